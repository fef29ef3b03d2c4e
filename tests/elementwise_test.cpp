// Elementwise ops at the points where formulas break, and ops of one's own.
#include <doctest/doctest.h>
#include <ebb/autograd/autograd.h>

#include <cmath>
#include <functional>
#include <limits>
#include <string>
#include <vector>

using namespace ebb;

namespace {

constexpr double inf = std::numeric_limits<double>::infinity();
constexpr double not_a_number = std::numeric_limits<double>::quiet_NaN();

bool same(double a, double b) { return a == b || (std::isnan(a) && std::isnan(b)); }

struct At {
  double value, gradient;
};

/// The value and gradient of a formula at x on the scalar lane, on the tensor lane in f64, and by a recorded gradient.
template <class F> std::vector<At> on_all_lanes(F f, double x) {
  std::vector<At> all;
  Graph graph;
  const Scalar s = graph.variable(x);
  const Scalar y = f(s);
  all.push_back({y.value(), graph.gradient(y, s).value()});
  y.backward({.retain = true});
  all.push_back({y.value(), s.grad()});
  const Tensor t = graph.variable(full({3}, x, f64));
  const Tensor z = f(t);
  all.push_back({z(1).value(), graph.gradient(sum(z), t)(1).value()});
  sum(z).backward();
  all.push_back({z(2).value(), t.grad()(2).value()});
  return all;
}

struct Point {
  const char* name;
  double x, value, gradient;
  std::function<std::vector<At>(double)> at;
};

template <class F> Point point(const char* name, F f, double x, double value, double gradient) {
  return {name, x, value, gradient, [f](double v) { return on_all_lanes(f, v); }};
}

}  // namespace

TEST_CASE("at kinks and far out, every lane gives the documented value and gradient") {
  const auto f_abs = [](const auto& x) { return abs(x); };
  const auto f_sign = [](const auto& x) { return sign(x); };
  const auto f_relu = [](const auto& x) { return relu(x); };
  const auto f_leaky = [](const auto& x) { return leaky_relu(x); };
  const auto f_elu = [](const auto& x) { return elu(x); };
  const auto f_hardtanh = [](const auto& x) { return hardtanh(x); };
  const auto f_clamp = [](const auto& x) { return clamp(x, -1, 2); };
  const auto f_sqrt = [](const auto& x) { return sqrt(x); };
  const auto f_log = [](const auto& x) { return log(x); };
  const auto f_sigmoid = [](const auto& x) { return sigmoid(x); };
  const auto f_softplus = [](const auto& x) { return softplus(x); };
  const auto f_tanh = [](const auto& x) { return tanh(x); };
  const auto f_gelu = [](const auto& x) { return gelu(x); };
  const auto f_silu = [](const auto& x) { return silu(x); };
  const auto f_mish = [](const auto& x) { return mish(x); };
  const auto f_max0 = [](const auto& x) { return maximum(x, 0); };
  const auto f_min0 = [](const auto& x) { return minimum(0, x); };
  const auto f_cube = [](const auto& x) { return pow(x, 3); };
  const auto f_pow0 = [](const auto& x) { return pow(x, 0); };
  const auto f_base = [](const auto& x) { return pow(-2, x); };
  const auto f_zero_base = [](const auto& x) { return pow(0, x); };
  const auto f_expm1 = [](const auto& x) { return expm1(x); };
  const auto f_log1p = [](const auto& x) { return log1p(x); };

  const std::vector<Point> points = {
      point("abs", f_abs, 0, 0, 0),
      point("abs", f_abs, -inf, inf, -1),
      point("sign", f_sign, 0, 0, 0),
      point("sign", f_sign, -7, -1, 0),
      point("relu", f_relu, 0, 0, 0),
      point("relu", f_relu, 1e-300, 1e-300, 1),
      point("relu", f_relu, -inf, 0, 0),
      point("relu", f_relu, inf, inf, 1),
      point("relu", f_relu, not_a_number, not_a_number, 0),
      point("leaky_relu", f_leaky, 0, 0, 0.01),
      point("elu", f_elu, 0, 0, 1),
      point("elu", f_elu, -1000, -1, 0),
      point("elu", f_elu, 1000, 1000, 1),
      point("hardtanh", f_hardtanh, 1, 1, 1),
      point("hardtanh", f_hardtanh, -1, -1, 1),
      point("hardtanh", f_hardtanh, 1.5, 1, 0),
      point("clamp", f_clamp, -1, -1, 1),
      point("clamp", f_clamp, 2, 2, 1),
      point("sqrt", f_sqrt, 0, 0, inf),
      point("sqrt", f_sqrt, -1, not_a_number, not_a_number),
      point("log", f_log, 0, -inf, inf),
      point("log", f_log, -1, not_a_number, -1),
      point("sigmoid", f_sigmoid, 1000, 1, 0),
      point("sigmoid", f_sigmoid, -1000, 0, 0),
      point("sigmoid", f_sigmoid, 0, 0.5, 0.25),
      point("softplus", f_softplus, 0, std::log(2.0), 0.5),
      point("softplus", f_softplus, 1000, 1000, 1),
      point("softplus", f_softplus, -1000, 0, 0),
      point("tanh", f_tanh, 1000, 1, 0),
      point("tanh", f_tanh, -1000, -1, 0),
      point("gelu", f_gelu, 0, 0, 0.5),
      point("gelu", f_gelu, -40, 0, 0),
      point("gelu", f_gelu, 40, 40, 1),
      point("silu", f_silu, 0, 0, 0.5),
      point("silu", f_silu, -1000, 0, 0),
      point("silu", f_silu, 1000, 1000, 1),
      point("mish", f_mish, 1000, 1000, 1),
      point("mish", f_mish, -1000, 0, 0),
      point("maximum", f_max0, 0, 0, 0.5),
      point("maximum", f_max0, -inf, 0, 0),
      point("minimum", f_min0, 0, 0, 0.5),
      point("pow(x, 3)", f_cube, 0, 0, 0),
      point("pow(x, 3)", f_cube, -2, -8, 12),
      point("pow(x, 0)", f_pow0, 0, 1, 0),
      point("pow(x, 0)", f_pow0, -5, 1, 0),
      point("pow(-2, x)", f_base, 3, -8, 0),
      point("pow(0, x)", f_zero_base, 2, 0, 0),
      point("expm1", f_expm1, 1e-300, 1e-300, 1),
      point("log1p", f_log1p, 1e-300, 1e-300, 1),
  };
  for (const Point& p : points) {
    CAPTURE(p.name);
    CAPTURE(p.x);
    for (const At& at : p.at(p.x)) {
      CAPTURE(at.value);
      CAPTURE(at.gradient);
      CHECK(same(at.value, p.value));
      CHECK(same(at.gradient, p.gradient));
    }
  }
}

TEST_CASE("xlogy at 0 is 0, with the documented gradients of both orders, on both lanes") {
  struct Edge {
    double a, b, value, da, db, daa, dab, dbb;
  };
  const Edge edges[] = {{0, 0, 0, 0, 0, 0, 0, 0},
                        {0, 0.5, 0, std::log(0.5), 0, 0, 2, 0},
                        {0, inf, 0, inf, 0, 0, 0, 0},
                        {0, -1, 0, 0, 0, 0, 0, 0},
                        {0, not_a_number, 0, 0, 0, 0, 0, 0},
                        {2, 0.5, 2 * std::log(0.5), std::log(0.5), 4, 0, 2, -8},
                        {-2, 4, -2 * std::log(4), std::log(4), -0.5, 0, 0.25, 0.125},
                        {2, 0, -inf, -inf, inf, 0, inf, -inf}};
  for (const Edge& e : edges) {
    CAPTURE(e.a);
    CAPTURE(e.b);
    const auto check = [](double got, double wanted) {
      CHECK((same(got, wanted) || got == doctest::Approx(wanted).epsilon(1e-15)));
    };
    Graph graph;
    const Scalar a = graph.variable(e.a), b = graph.variable(e.b), y = xlogy(a, b);
    const Tensor ta = graph.variable(full({3}, e.a, f64)), tb = graph.variable(full({3}, e.b, f64)), ty = xlogy(ta, tb);
    check(y.value(), e.value);
    check(ty(1).value(), e.value);
    const Scalar da = graph.gradient(y, a), db = graph.gradient(y, b);
    const Tensor tda = graph.gradient(sum(ty), ta), tdb = graph.gradient(sum(ty), tb);
    check(da.value(), e.da);
    check(db.value(), e.db);
    check(tda(1).value(), e.da);
    check(tdb(1).value(), e.db);
    check(graph.gradient(da, a).value(), e.daa);
    check(graph.gradient(da, b).value(), e.dab);
    check(graph.gradient(db, a).value(), e.dab);
    check(graph.gradient(db, b).value(), e.dbb);
    check(graph.gradient(sum(tda), ta)(1).value(), e.daa);
    check(graph.gradient(sum(tda), tb)(1).value(), e.dab);
    check(graph.gradient(sum(tdb), ta)(1).value(), e.dab);
    check(graph.gradient(sum(tdb), tb)(1).value(), e.dbb);
    sum(ty).backward({.retain = true});
    check(ta.grad()(2).value(), e.da);
    check(tb.grad()(2).value(), e.db);
    y.backward();
    check(a.grad(), e.da);
    check(b.grad(), e.db);
  }
}

TEST_CASE("the entropy of probabilities, some of them 0, has a finite gradient on both lanes") {
  Graph graph;
  const Tensor p = graph.variable(tensor({0, 0.25, 0.75}, f64));
  const Tensor entropy = -sum(xlogy(p, p));
  CHECK(entropy.item() == doctest::Approx(0.25 * std::log(4) - 0.75 * std::log(0.75)).epsilon(1e-15));
  const Tensor g = graph.gradient(entropy, p);
  CHECK(g(0).value() == 0);
  CHECK(g(1).value() == doctest::Approx(-1 - std::log(0.25)).epsilon(1e-15));
  CHECK(graph.gradient(sum(g), p)(0).value() == 0);
  const Scalar s = graph.variable(0.0);
  CHECK(graph.gradient(xlogy(s, s), s).value() == 0);
}

TEST_CASE("a tie shares the gradient in halves, on both lanes") {
  Graph graph;
  const Scalar a = graph.variable(3.0), b = graph.variable(3.0);
  const Tensor s = graph.variable(tensor({3, 1}, f64)), t = graph.variable(tensor({3, 2}, f64));
  (maximum(a, b) + 10 * minimum(a, b) + sum(maximum(s, t))()).backward();
  CHECK(a.grad() == 5.5);
  CHECK(b.grad() == 5.5);
  CHECK(s.grad().to_vector<double>() == std::vector<double>{0.5, 0});
  CHECK(t.grad().to_vector<double>() == std::vector<double>{0.5, 1});
}

TEST_CASE("maximum and minimum pass a NaN on from either side") {
  const Tensor a = tensor({not_a_number, 1, not_a_number}, f64), b = tensor({1, not_a_number, not_a_number}, f64);
  for (const Tensor& y : {maximum(a, b), minimum(a, b)})
    for (const double v : y.to_vector<double>()) CHECK(std::isnan(v));
  CHECK(std::isnan(maximum(Scalar(1), Scalar(not_a_number)).value()));
  CHECK(std::isnan(minimum(Scalar(not_a_number), Scalar(1)).value()));
}

TEST_CASE("equal extremes of a tensor share the gradient equally") {
  Graph graph;
  const Tensor x = graph.variable(tensor({{5, 1, 5}, {5, 5, 2}}, f64));
  max(x).backward();
  CHECK(x.grad().to_vector<double>() == std::vector<double>{0.25, 0, 0.25, 0.25, 0.25, 0});
  min(x, 0)(1).backward();
  CHECK(x.grad().to_vector<double>() == std::vector<double>{0, 1, 0, 0, 0, 0});
}

TEST_CASE("logsumexp of nothing but -inf is -inf, and its gradient 0") {
  Graph graph;
  const Tensor x = graph.variable(full({3}, -inf, f64));
  const Tensor y = logsumexp(x);
  CHECK(y.item() == -inf);
  CHECK(graph.gradient(y, x).to_vector<double>() == std::vector<double>(3, 0.0));
  y.backward();
  CHECK(x.grad().to_vector<double>() == std::vector<double>(3, 0.0));
  CHECK(logsumexp(tensor({-inf, 0}, f64)).item() == 0);
  CHECK(logsumexp(zeros({0}, f64)).item() == -inf);
}

TEST_CASE("what where() does not choose gets an exact 0, never an infinity times 0") {
  Graph graph;
  const Tensor x = graph.variable(tensor({-2, 0, 4}, f64));
  const Tensor y = where(x > 0, log(x), 0.0);
  CHECK(y.to_vector<double>() == std::vector<double>{0, 0, std::log(4.0)});
  sum(y).backward();
  for (const int i : {0, 1}) CHECK(x.grad()(i).value() == 0);
  CHECK(x.grad()(2).value() == 0.25);
  const Tensor upstream = graph.variable(tensor({inf, not_a_number, 1}, f64)), other = graph.variable(ones({3}, f64));
  sum(where(tensor({0, 0, 1}), upstream, other) * 2).backward();
  CHECK(upstream.grad().to_vector<double>() == std::vector<double>{0, 0, 2});
  CHECK(other.grad().to_vector<double>() == std::vector<double>{2, 2, 0});
}

TEST_CASE("relu, clamp, maximum and hardtanh pass no infinity through the side that is cut off") {
  const auto slope = [](auto f) {
    Graph graph;
    const Tensor x = graph.variable(tensor({-3}, f64));
    sum(f(x) * inf).backward();  // the gradient that arrives is infinite
    return x.grad()(0).value();
  };
  CHECK(slope([](const Tensor& x) { return relu(x); }) == 0);
  CHECK(slope([](const Tensor& x) { return clamp(x, -1, 1); }) == 0);
  CHECK(slope([](const Tensor& x) { return maximum(x, 0); }) == 0);
  CHECK(slope([](const Tensor& x) { return hardtanh(x); }) == 0);
  CHECK(slope([](const Tensor& x) { return abs(x); }) == -inf);
}

TEST_CASE("an unsafe formula is made safe by choosing its input first") {
  Graph graph;
  const Tensor x = graph.variable(tensor({0, 0.25}, f64));
  sum(where(x > 0, sqrt(where(x > 0, x, 1.0)), 0.0)).backward();
  CHECK(x.grad().to_vector<double>() == std::vector<double>{0, 1});
}

TEST_CASE("whole numbers stay whole where that is exact, and become f32 where it is not") {
  const Tensor n = tensor({-4, 0, 9}, i64);
  for (const Tensor& y : {n + 1, n - n, n * 2, -n, abs(n), sign(n), square(n), relu(n), maximum(n, 1), clamp(n, -1, 1)})
    CHECK(y.dtype() == i64);
  for (const Tensor& y : {n / 2, sqrt(n), exp(n), sigmoid(n), pow(n, 2), mean(n), softmax(n)}) CHECK(y.dtype() == f32);
  CHECK((n + 1).to_vector<std::int64_t>() == std::vector<std::int64_t>{-3, 1, 10});
  CHECK((n / 2).to_vector<float>() == std::vector<float>{-2, 0, 4.5});
}

TEST_CASE("types promote i64 < f32 < f64, and plain numbers promote nothing") {
  const Tensor whole = ones({2}, i64), narrow = ones({2}), wide = ones({2}, f64);
  CHECK((whole + narrow).dtype() == f32);
  CHECK((narrow + wide).dtype() == f64);
  CHECK((wide * whole).dtype() == f64);
  CHECK((narrow * 0.1).dtype() == f32);
  CHECK((2 * narrow).dtype() == f32);
  CHECK((narrow < wide).dtype() == i64);
  CHECK(where(whole, narrow, wide).dtype() == f64);
  CHECK(concat({whole, wide}).dtype() == f64);
  Graph graph;
  CHECK((graph.variable(2.0) * narrow).dtype() == f32);
}

// ---- ops of one's own --------------------------------------------------------------------------------------------

TEST_CASE("an op of one's own carries its name, and its derivatives are right on both lanes") {
  const auto swish = elementwise("swish", [](auto x) { return x / (1 + exp(-x)); });
  Generator generator(1);
  for (const Shape& shape : {Shape{}, Shape{0}, Shape{1}, Shape{7}, Shape{33}})
    CHECK(gradcheck(swish, {randn(shape, f64, generator)}, {.order = 2}) < 1e-6);
  CHECK(gradcheck(swish, {randn({7, 3}, f64, generator)}) < 1e-7);
  Graph graph;
  const Tensor x = graph.variable(tensor({1, -2}, f64));
  const Scalar s = graph.variable(-2.0);
  const Tensor y = swish(x);
  const Scalar z = swish(s);
  CHECK(graph.nodes()[2].op == "swish");
  CHECK(graph.nodes()[3].op == "swish");
  CHECK(graph.nodes()[2].formula == "swish(x)");
  CHECK(graph.gradient(graph.gradient(z, s), s).value() ==
        doctest::Approx(graph.gradient(sum(graph.gradient(sum(y), x)), x)(1).value()).epsilon(1e-14));
  (sum(y)() + z).backward();
  CHECK(s.grad() == doctest::Approx(x.grad()(1).value()).epsilon(1e-14));
  CHECK(z.value() == doctest::Approx(silu(-2.0 * Scalar(1)).value()).epsilon(1e-14));
}

TEST_CASE("ops of one's own take up to four operands, broadcast, and mix numbers, Scalars and Parameters") {
  const auto weighed = elementwise("weighed", [](auto a, auto b, auto c, auto d) { return a * b + c * exp(d); });
  Generator generator(2);
  const auto on_tensors = [&](const Tensor& a, const Tensor& b, const Tensor& c) { return weighed(a, b, c, 0.5); };
  CHECK(gradcheck(on_tensors, {randn({3, 1}, f64, generator), randn({4}, f64, generator), randn({}, f64, generator)},
                  {.order = 2}) < 1e-6);
  Parameter p(tensor({1, 2}));
  Graph graph;
  const Scalar s = graph.variable(3.0);
  const Tensor y = weighed(p, s, 1, 0);
  CHECK(y.to_vector<float>() == std::vector<float>{4, 7});
  sum(y).backward();
  CHECK(p.grad().to_vector<float>() == std::vector<float>{3, 3});
  CHECK(s.grad() == 3);
  const Scalar z = weighed(s, s, s, s);
  CHECK(z.value() == doctest::Approx(9 + 3 * std::exp(3.0)));
  z.backward();
  CHECK(s.grad() == doctest::Approx(6 + 4 * std::exp(3.0)));
}

TEST_CASE("an op of one's own may choose with where(), and may capture") {
  double slope = 0.25;
  const auto bent = elementwise("bent", [slope](auto x) { return where(x > 0.0, x, slope * x); });
  Graph graph;
  const Tensor x = graph.variable(tensor({-2, 3}, f64));
  const Scalar s = graph.variable(-2.0);
  (sum(bent(x))() + bent(s)).backward();
  CHECK(x.grad().to_vector<double>() == std::vector<double>{0.25, 1});
  CHECK(s.grad() == 0.25);
}

TEST_CASE("an op without a name is refused") {
  CHECK_THROWS_WITH_AS(elementwise("", [](auto x) { return x; }),
                       "elementwise(\"\"): an op needs a name, under which graphs and errors show it", UsageError);
}

TEST_CASE("gradcheck finds a wrong gradient") {
  const auto wrong = [](const Tensor& x) { return detach(x) * x; };  // the gradient is x, the truth 2x
  CHECK(gradcheck(wrong, {tensor({1, 2}, f64)}) > 0.1);
}

TEST_CASE("plain doubles keep the functions of <cmath> beside the library's") {
  CHECK(exp(0.5) == std::exp(0.5));
  CHECK(sqrt(2.0) == std::sqrt(2.0));
  CHECK(pow(2.0, 3.0) == 8.0);
}

TEST_CASE("a formula may return its operand as it is, and is differentiated to any order") {
  const auto mine = elementwise("mine", [](auto x) { return where(x > 0, x, 0.0); });
  const auto same = elementwise("same", [](auto x) { return x; });
  Graph graph;
  const Scalar a = graph.variable(2.0);
  CHECK(graph.gradient(mine(a) * a, a).value() == 4);
  CHECK(graph.gradient(same(a) * a, a).value() == 4);
  const Tensor x = graph.variable(tensor({1, 2}, f64));
  CHECK(graph.gradient(sum(same(x) * x), x).to_vector<double>() == std::vector<double>{2, 4});
}

TEST_CASE("formulas may clamp, add up in place and choose between numbers") {
  const auto f = elementwise("f", [](auto x) {
    auto r = clamp(x, -1, 1);
    r += x;
    r *= 2;
    return r * where(x > 0, 1, 3);
  });
  CHECK(f(Scalar(0.5)).value() == 2);
  CHECK(gradcheck(f, {tensor({0.5, -0.5, 1.7, -2.1}, f64)}, {.order = 2}) < 1e-9);
}

TEST_CASE("formulas may join conditions") {
  const auto f =
      elementwise("f", [](auto x) { return where(x > 0 && !(x > 1), x * x, where(x > 2 || x < -2, 3 * x, x)); });
  CHECK(f(tensor({0.5, 1.5, 3, -3}, f64)).to_vector<double>() == std::vector<double>{0.25, 1.5, 9, -9});
  CHECK(gradcheck(f, {tensor({0.5, 1.5, 3, -3}, f64)}, {.order = 2}) < 1e-9);
}

TEST_CASE("abs of a plain number is the number's own") {
  CHECK(abs(-2.5) == 2.5);
  CHECK(abs(-2) == 2);
}

TEST_CASE("gradcheck reports a NaN wherever it stands") {
  const auto f = [](const Tensor& x) { return sqrt(x * x); };
  CHECK(std::isnan(gradcheck(f, {tensor({0, 2}, f64)})));
  CHECK(gradcheck(f, {tensor({1, 2}, f64)}) < 1e-7);
  CHECK(gradcheck([](auto x) { return x(0) * x(1); }, {tensor({1, 2}, f64)}) < 1e-7);
  CHECK_THROWS_WITH_AS(gradcheck([](const Tensor& a, const Tensor& b) { return a * b; }, {ones({2})}),
                       "gradcheck(): the function takes 2 tensors, and 1 were given", UsageError);
}

TEST_CASE("an op of one's own is not taken for the library's of the same name") {
  const auto steep = elementwise("sigmoid", [](auto x) { return 1 / (1 + exp(-5 * x)); });
  Graph graph;
  const Tensor x = graph.variable(tensor({0.3}, f64));
  CHECK_FALSE(input_of(steep(x), "sigmoid").defined());
  CHECK(input_of(sigmoid(x), "sigmoid").defined());
}
