// Where gradients commonly turn into NaN: edges of domains, branches that were not chosen, kinks and ties.  Each row tells
// what the gradient is there, and it is that on both lanes, by backward() and by gradient().
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

struct Row {
  std::string name;
  std::function<Tensor(const Tensor&)> whole;    // of a tensor, of which each element goes its own way
  std::function<Scalar(const Scalar&)> element;  // the same of one number; empty: there is none
  std::vector<double> x, gradient;
};

/// One formula for both lanes.
template <class F> Row both(std::string name, F f, std::vector<double> x, std::vector<double> gradient) {
  return {std::move(name), [f](const Tensor& t) { return Tensor(f(t)); }, [f](const Scalar& s) { return Scalar(f(s)); },
          std::move(x), std::move(gradient)};
}
Row of_tensors(std::string name, std::function<Tensor(const Tensor&)> f, std::vector<double> x,
               std::vector<double> gradient) {
  return {std::move(name), std::move(f), {}, std::move(x), std::move(gradient)};
}

std::vector<Row> rows() {
  const double big = 1e3, half = 0.5, e2 = std::exp(2.0);
  return {
      // ---- what where() did not choose
      both("where(x > 0, log x, 0)", [](const auto& x) { return where(x > 0, log(x), 0 * x); }, {0, -1, 2},
           {0, 0, half}),
      both("where(x > 0, sqrt x, 0)", [](const auto& x) { return where(x > 0, sqrt(x), 0 * x); }, {0, -1, 4},
           {0, 0, 0.25}),
      both("where(x == 0, 1, sin(x) / x)", [](const auto& x) { return where(x == 0, 0 * x + 1, sin(x) / x); }, {0},
           {0}),
      both("where(x == 0, 0, 1 / x)", [](const auto& x) { return where(x == 0, 0 * x, 1 / x); }, {0, 2}, {0, -0.25}),
      both("where(x > 0, x^0.5, x)", [](const auto& x) { return where(x > 0, pow(x, 0.5), x); }, {0, 4}, {1, 0.25}),
      both("where(x < 700, exp x, 0)", [](const auto& x) { return where(x < 700, exp(x), 0 * x); }, {1000, 0}, {0, 1}),
      both("where(x > 0, x log x, 0)", [](const auto& x) { return where(x > 0, x * log(x), 0 * x); }, {0, 1}, {0, 1}),
      both("where(|x| < 1, asin x, 0)", [](const auto& x) { return where(abs(x) < 1, asin(x), 0 * x); }, {1, -1, 0, 2},
           {0, 0, 1, 0}),
      both("where(|x| < 1, acos x, 0)", [](const auto& x) { return where(abs(x) < 1, acos(x), 0 * x); }, {1, -1, 0},
           {0, 0, -1}),
      both("where(x > 0, rsqrt x, 0)", [](const auto& x) { return where(x > 0, rsqrt(x), 0 * x); }, {0, 4},
           {0, -1.0 / 16}),
      both("where(x > -1, log1p x, 0)", [](const auto& x) { return where(x > -1, log1p(x), 0 * x); }, {-1, 0}, {0, 1}),
      both("where(x != 0, reciprocal x, 0)", [](const auto& x) { return where(x != 0, reciprocal(x), 0 * x); }, {0, 2},
           {0, -0.25}),
      both("where of where", [](const auto& x) { return where(x > 1, log(x - 1), where(x > 0, sqrt(x), 0 * x)); },
           {0, 1, 2}, {0, half, 1}),
      both("log of where", [](const auto& x) { return log(where(x > 0, x, 0 * x + 1)); }, {0, -3, 2}, {0, 0, half}),
      of_tensors("a mask that multiplies", [](const Tensor& x) { return where(x > 0, log(x), 0) * (x > 0); }, {0, 2},
                 {0, half}),
      // ---- relu, clamp, maximum and the like
      both("relu(sqrt x)", [](const auto& x) { return relu(sqrt(x)); }, {0, 4}, {0, 0.25}),
      both("relu at 0", [](const auto& x) { return relu(x); }, {0, -0.0, 1, -1}, {0, 0, 1, 0}),
      both("relu of an infinite slope", [](const auto& x) { return relu(-sqrt(x)); }, {0, 1}, {0, 0}),
      both("leaky_relu at 0", [](const auto& x) { return leaky_relu(x); }, {0, 1, -1}, {0.01, 1, 0.01}),
      both("elu at 0, and far below", [](const auto& x) { return elu(x); }, {0, 1000, -1000}, {1, 1, 0}),
      both("elu(x, 2) at 0", [](const auto& x) { return elu(x, 2); }, {0, 1, -1000}, {2, 1, 0}),
      both("leaky_relu(x, 0.2) at 0", [](const auto& x) { return leaky_relu(x, 0.2); }, {0, 1, -1}, {0.2, 1, 0.2}),
      both("abs at 0", [](const auto& x) { return abs(x); }, {0, 3, -3}, {0, 1, -1}),
      both("sign", [](const auto& x) { return sign(x); }, {0, 3, -3}, {0, 0, 0}),
      both("clamp at its edges, and beyond", [](const auto& x) { return clamp(x, -1, 1); }, {-1, 1, -2, 2, 0},
           {1, 1, 0, 0, 1}),
      both("clamp(log x)", [](const auto& x) { return clamp(log(x), -5, 5); }, {0, 1}, {0, 1}),
      both("clamp(1 / x)", [](const auto& x) { return clamp(1 / x, -5, 5); }, {0, 1}, {0, -1}),
      both("hardtanh at its edges", [](const auto& x) { return hardtanh(x); }, {-1, 1, 3}, {1, 1, 0}),
      both("maximum at a tie", [](const auto& x) { return maximum(x, 2 * x); }, {0, 1, -1}, {1.5, 2, 1}),
      both("minimum at a tie", [](const auto& x) { return minimum(x, 2 * x); }, {0, 1, -1}, {1.5, 1, 2}),
      both("maximum(sqrt x, 1)", [](const auto& x) { return maximum(sqrt(x), 1); }, {0, 4}, {0, 0.25}),
      both("maximum(log x, -10)", [](const auto& x) { return maximum(log(x), -10); }, {0, 2}, {0, half}),
      both("minimum(1 / x, 10)", [](const auto& x) { return minimum(1 / x, 10); }, {0, 1}, {0, -1}),
      // ---- sqrt, pow, log and division at 0: IEEE's infinities, as they are documented
      both("sqrt at 0", [](const auto& x) { return sqrt(x); }, {0, 4}, {inf, 0.25}),
      both("log at 0", [](const auto& x) { return log(x); }, {0}, {inf}),
      both("sqrt(x)^2", [](const auto& x) { return square(sqrt(x)); }, {0, 9}, {0, 1}),
      both("sqrt(x²)", [](const auto& x) { return sqrt(square(x)); }, {3, -3}, {1, -1}),
      both("x^2", [](const auto& x) { return pow(x, 2); }, {0, 3, -3}, {0, 6, -6}),
      both("x^1", [](const auto& x) { return pow(x, 1); }, {0, 3, -3}, {1, 1, 1}),
      both("x^0", [](const auto& x) { return pow(x, 0); }, {0, 3, -3}, {0, 0, 0}),
      both("x^3 at 0", [](const auto& x) { return pow(x, 3); }, {0, -2}, {0, 12}),
      both("x^0.5 at 0", [](const auto& x) { return pow(x, 0.5); }, {0, 4}, {inf, 0.25}),
      both("0^x", [](const auto& x) { return pow(0, x); }, {0, 1, 2}, {0, 0, 0}),
      both("2^x at 0", [](const auto& x) { return pow(2, x); }, {0, 1}, {std::log(2.0), 2 * std::log(2.0)}),
      both("(-2)^x", [](const auto& x) { return pow(-2, x); }, {2, 3}, {0, 0}),
      // ---- entropies
      both("xlogy(x, x), an entropy", [](const auto& x) { return xlogy(x, x); }, {0, 1}, {0, 1}),
      both("xlogy(x, 2)", [](const auto& x) { return xlogy(x, 0 * x + 2); }, {0, 1}, {std::log(2.0), std::log(2.0)}),
      both("xlogy(0, x)", [](const auto& x) { return xlogy(0, x); }, {0, 1, 2}, {0, 0, 0}),
      // ---- formulas that are smooth where their parts have kinks, and safe where those overflow
      both("sigmoid", [](const auto& x) { return sigmoid(x); }, {0, big, -big}, {0.25, 0, 0}),
      both("softplus", [](const auto& x) { return softplus(x); }, {0, big, -big}, {half, 1, 0}),
      both("tanh", [](const auto& x) { return tanh(x); }, {0, big, -big}, {1, 0, 0}),
      both("gelu", [](const auto& x) { return gelu(x); }, {0, big, -big}, {half, 1, 0}),
      both("silu", [](const auto& x) { return silu(x); }, {0, big, -big}, {half, 1, 0}),
      both("mish", [](const auto& x) { return mish(x); }, {0, big, -big}, {0.6, 1, 0}),
      both("log(sigmoid(x)) by softplus", [](const auto& x) { return -softplus(-x); }, {0, big, -big}, {half, 0, 1}),
      both("exp(x) / (1 + exp(x)) where it does not overflow",
           [](const auto& x) { return where(x > 0, 1 / (1 + exp(-x)), exp(x) / (1 + exp(x))); }, {big, -big, -2.0},
           {0, 0, 1 / (e2 + 2 + 1 / e2)}),
      // ---- norms
      of_tensors("norm at 0", [](const Tensor& x) { return norm(x); }, {0, 0, 0}, {0, 0, 0}),
      of_tensors("norm along an axis of which one row is 0",
                 [](const Tensor& x) {
                   return norm(reshape(x, {2, 2}), 1);
                 },
                 {0, 0, 3, 4}, {0, 0, 0.6, 0.8}),
      of_tensors("norm of numbers whose squares overflow", [](const Tensor& x) { return norm(x); }, {3e200, 4e200},
                 {0.6, 0.8}),
      of_tensors("norm of numbers whose squares underflow", [](const Tensor& x) { return norm(x); }, {3e-200, 4e-200},
                 {0.6, 0.8}),
      of_tensors("x / norm(x) at 0, guarded",
                 [](const Tensor& x) {
                   const Tensor n = norm(x);
                   return where(n > 0, x / n, 0);
                 },
                 {0, 0}, {0, 0}),
      of_tensors("x / maximum(norm(x), 1e-12) at 0",
                 [](const Tensor& x) { return 1e-12 * x / maximum(norm(x), 1e-12); }, {0, 0}, {1, 1}),
      of_tensors("var of equal numbers", [](const Tensor& x) { return var(x); }, {2, 2, 2}, {0, 0, 0}),
      of_tensors("prod beside one 0", [](const Tensor& x) { return prod(x); }, {0, 2, 3}, {6, 0, 0}),
      of_tensors("prod beside two zeros", [](const Tensor& x) { return prod(x); }, {0, 0, 3}, {0, 0, 0}),
      // ---- reductions with ties and infinities
      of_tensors("max at a tie", [](const Tensor& x) { return max(x); }, {2, 2, 1, 2}, {1.0 / 3, 1.0 / 3, 0, 1.0 / 3}),
      of_tensors("min at a tie", [](const Tensor& x) { return min(x); }, {1, 2, 1}, {half, 0, half}),
      of_tensors("max_pool1d at a tie",
                 [](const Tensor& x) {
                   return max_pool1d(reshape(x, {1, 1, 4}), 2);
                 },
                 {1, 1, 3, 2}, {half, half, 1, 0}),
      of_tensors("logsumexp of nothing but -inf", [](const Tensor& x) { return logsumexp(x); }, {-inf, -inf}, {0, 0}),
      of_tensors("logsumexp beside -inf", [](const Tensor& x) { return logsumexp(x); }, {0, -inf}, {1, 0}),
      of_tensors("logsumexp of large numbers", [](const Tensor& x) { return logsumexp(x); }, {big, -big}, {1, 0}),
      of_tensors("softmax of large numbers", [](const Tensor& x) { return slice(softmax(x), 0, 1); }, {big, -big, 0},
                 {0, 0, 0}),
      of_tensors("softmax with a masked place",
                 [](const Tensor& x) { return slice(softmax(where(x > 5, -inf, x)), 0, 1); }, {0, 0, 9},
                 {0.25, -0.25, 0}),
      of_tensors("log_softmax of large numbers", [](const Tensor& x) { return slice(log_softmax(x), 0, 1); },
                 {-big, big}, {1, -1}),
      of_tensors("entropy of a softmax with ±1e3 logits",
                 [](const Tensor& x) {
                   const Tensor p = softmax(x);
                   return sum(xlogy(p, p));
                 },
                 {big, -big, -big}, {0, 0, 0}),
      // ---- losses
      of_tensors("bce_with_logits at ±1e3, right",
                 [](const Tensor& z) {
                   return bce_with_logits(z, tensor({1, 0}, f64));
                 },
                 {big, -big}, {0, 0}),
      of_tensors("bce_with_logits at ±1e3, wrong",
                 [](const Tensor& z) {
                   return bce_with_logits(z, tensor({0, 1}, f64));
                 },
                 {big, -big}, {half, -half}),
      of_tensors("bce_with_logits at 0",
                 [](const Tensor& z) {
                   return bce_with_logits(z, tensor({0, 1}, f64));
                 },
                 {0, 0}, {0.25, -0.25}),
      of_tensors("softmax_cross_entropy at ±1e3",
                 [](const Tensor& z) {
                   return softmax_cross_entropy(reshape(z, {1, 2}), tensor({1}, i64));
                 },
                 {big, -big}, {1, -1}),
  };
}

void check_close(const std::vector<double>& got, const std::vector<double>& expected) {
  REQUIRE(got.size() == expected.size());
  for (std::size_t i = 0; i < got.size(); ++i) {
    if (std::isinf(expected[i])) CHECK(got[i] == expected[i]);
    else CHECK(std::abs(got[i] - expected[i]) <= 1e-14);
  }
}

Tensor tensor_of(const std::vector<double>& numbers) {
  return from(numbers, {static_cast<std::int64_t>(numbers.size())});
}

}  // namespace

TEST_CASE(
    "at edges, kinks and ties, and beside branches not chosen, gradients are what the table says, on both lanes") {
  int checked = 0;
  for (const Row& row : rows()) {
    CAPTURE(row.name);
    Graph graph;
    const Tensor x = graph.variable(tensor_of(row.x));
    const Tensor loss = sum(row.whole(x));
    check_close(graph.gradient(loss, x).to_vector<double>(), row.gradient);
    loss.backward();
    check_close(x.grad().to_vector<double>(), row.gradient);
    for (std::size_t i = 0; row.element && i < row.x.size(); ++i) {
      const Scalar s = graph.variable(row.x[i]);
      const Scalar y = row.element(s);
      check_close({graph.gradient(y, s).value()}, {row.gradient[i]});
      y.backward({.retain = true});
      check_close({s.grad()}, {row.gradient[i]});
    }
    checked += static_cast<int>(row.x.size()) * (row.element ? 4 : 2);
  }
  MESSAGE(rows().size() << " functions, " << checked << " gradients");
  CHECK(checked > 450);
}

TEST_CASE("where the gradient is finite, so is the gradient of the gradient") {
  for (const Row& row : rows()) {
    CAPTURE(row.name);
    bool finite = true;
    for (const double g : row.gradient) finite = finite && std::isfinite(g);
    if (!finite) continue;
    Graph graph;
    const Tensor x = graph.variable(tensor_of(row.x));
    for (const double second : graph.gradient(sum(graph.gradient(sum(row.whole(x)), x)), x).to_vector<double>())
      CHECK(std::isfinite(second));
  }
}

TEST_CASE("a gradient that is 0 by chance still has its derivative") {
  // log(x)²/2 at 1: the gradient that comes to log is 0, its own derivative is not; the second derivative is 1.
  Graph graph;
  const Tensor x = graph.variable(tensor({1.0}, f64));
  const Tensor slope = graph.gradient(sum(square(log(x)) * 0.5), x);
  CHECK(slope.item() == 0);
  CHECK(graph.gradient(sum(slope), x).item() == 1);
  const Scalar s = graph.variable(1.0);
  CHECK(graph.gradient(graph.gradient(square(log(s)) * 0.5, s), s).value() == 1);
}

TEST_CASE("the slope of a^b by a is 0 at b = 0, and the slope of that by b is 1/a") {
  Graph graph;
  const Tensor a = graph.variable(tensor({2.0, 0.0}, f64)), b = graph.variable(tensor({0.0, 0.0}, f64));
  const Tensor slope = graph.gradient(sum(pow(a, b)), a);
  CHECK(slope.to_vector<double>() == std::vector<double>{0, 0});
  CHECK(graph.gradient(sum(slope), b).to_vector<double>() == std::vector<double>{0.5, 0});
  const Scalar s = graph.variable(2.0), t = graph.variable(0.0);
  CHECK(graph.gradient(graph.gradient(pow(s, t), s), t).value() == 0.5);
}

TEST_CASE("where a is not positive, no gradient of a^b passes to b, though the value is infinite or NaN") {
  Graph graph;
  const Tensor a = tensor({0.0, -1.0, 2.0}, f64), b = graph.variable(tensor({-1.0, 0.5, 1.0}, f64));
  sum(pow(a, b)).backward();
  CHECK(b.grad().to_vector<double>() == std::vector<double>{0, 0, 2 * std::log(2.0)});
  const Scalar t = graph.variable(-1.0);
  pow(Scalar(0.0), t).backward();
  CHECK(t.grad() == 0);
}

TEST_CASE("x / norm(x) at 0 is 0/0 in value and gradient, as IEEE has it") {
  Graph graph;
  const Tensor x = graph.variable(zeros({2}, f64));
  const Tensor y = x / norm(x);
  CHECK(std::isnan(y(0).value()));
}
