// Functions as a whole: jacobian, hessian, hvp, jvp, vjp, checkpoint, custom ops, and watching gradients on their way.
#include "reference.h"

#include <doctest/doctest.h>
#include <ebb/autograd/memory.h>
#include <ebb/nn/nn.h>

#include <cmath>
#include <string>
#include <thread>
#include <vector>

using namespace ebb;
using reference::distance;

namespace {

Tensor normal(const Shape& shape, std::uint64_t seed = 1) {
  Generator generator(seed);
  return randn(shape, f64, generator);
}

/// Rosenbrock's valley in any number of variables, its gradient's zero at ones.
Tensor rosenbrock(const Tensor& x) {
  const std::int64_t n = x.size();
  const Tensor a = slice(x, 0, n - 1), b = slice(x, 1, n);
  return sum(100 * square(b - square(a)) + square(1 - a));
}
Scalar rosenbrock_of_scalars(const Tensor& x) {
  Scalar total = 0;
  for (std::int64_t i = 0; i + 1 < x.size(); ++i) {
    const Scalar valley = x(i + 1) - x(i) * x(i), away = 1 - x(i);
    total += 100 * valley * valley + away * away;
  }
  return total;
}

}  // namespace

// ---- Jacobians and what is made of them ------------------------------------------------------------------------

TEST_CASE("the Jacobian of a linear map is its matrix, and of x itself the identity") {
  const Tensor a = normal({3, 4}), x = normal({4}, 2);
  CHECK(distance(jacobian([&](const Tensor& v) { return matmul(a, v); }, x), a) < 1e-15);
  CHECK(distance(jacobian([](const Tensor& v) { return v; }, x), eye(4, f64)) == 0);
  CHECK(distance(jacobian([](const Tensor& v) { return sum(v * v); }, x), 2 * x) < 1e-15);
  CHECK(jacobian([](const Tensor& v) { return transpose(v); }, normal({2, 3})).shape() == Shape{3, 2, 2, 3});
  CHECK(distance(jacobian([](const Tensor&) { return ones({2}, f64); }, x), zeros({2, 4}, f64)) == 0);
  CHECK(jacobian([](const Tensor& v) { return v * 2; }, zeros({0}, f64)).shape() == Shape{0, 0});
}

TEST_CASE("the Hessian of Rosenbrock's function in 100 variables is the analytic one, on both lanes") {
  const Tensor x = normal({100});
  const auto v = x.to_vector<double>();
  std::vector<double> exact(100 * 100);
  for (std::size_t i = 0; i + 1 < 100; ++i) {
    exact[i * 100 + i] += 1200 * v[i] * v[i] - 400 * v[i + 1] + 2;
    exact[(i + 1) * 100 + i + 1] += 200;
    exact[i * 100 + i + 1] -= 400 * v[i];
    exact[(i + 1) * 100 + i] -= 400 * v[i];
  }
  CHECK(distance(hessian(rosenbrock, x), from(exact, {100, 100})) < 1e-10);
  CHECK(distance(hessian(rosenbrock_of_scalars, x), from(exact, {100, 100})) < 1e-10);
}

TEST_CASE("hvp is the Hessian times the vector") {
  const Tensor x = normal({5}), v = normal({5}, 3);
  const auto f = [](const Tensor& t) { return sum(exp(sin(t)) * logsumexp(t)) + t(0) * t(1) * t(4); };
  CHECK(distance(hvp(f, x, v), matmul(hessian(f, x), v)) < 1e-12);
  CHECK(distance(hvp(rosenbrock, x, v), matmul(hessian(rosenbrock, x), v)) < 1e-12);
  CHECK(distance(hvp([](const Tensor& t) { return sum(t); }, x, v), zeros({5}, f64)) == 0);
}

TEST_CASE("jvp and vjp are the Jacobian from either side, and agree with each other") {
  const Tensor w = normal({3, 4}, 5), x = normal({4}), along = normal({4}, 7), across = normal({3, 2}, 8);
  const auto f = [&](const Tensor& t) {
    return stack({tanh(matmul(w, t)), softmax(matmul(w, t * t))}, 1);  // [3, 2]
  };
  const Tensor j = reshape(jacobian(f, x), {6, 4});
  CHECK(distance(jvp(f, x, along), reshape(matmul(j, along), {3, 2})) < 1e-13);
  CHECK(distance(vjp(f, x, across), matmul(flatten(across), j)) < 1e-13);
  CHECK(sum(across * jvp(f, x, along)).item() == doctest::Approx(sum(vjp(f, x, across) * along).item()).epsilon(1e-13));
}

TEST_CASE("jvp and vjp agree where the derivative is infinite or none, on both lanes") {
  const Tensor one = ones({1}, f64);
  const auto agree = [&](const auto& f, double at) {
    const Tensor x = full({1}, at, f64);
    const double along = jvp(f, x, one).item(), against = vjp(f, x, one).item();
    CHECK((along == against || (std::isnan(along) && std::isnan(against))));
    return along;
  };
  CHECK(agree([](const Tensor& x) { return sqrt(x); }, 0) == HUGE_VAL);
  CHECK(agree([](const Tensor& x) { return 1 / x; }, 0) == -HUGE_VAL);
  CHECK(agree([](const Tensor& x) { return stack({sqrt(x(0))}, f64); }, 0) == HUGE_VAL);
  CHECK(std::isnan(agree([](const Tensor& x) { return sqrt(x); }, -1)));
  CHECK(agree([](const Tensor& x) { return where(x > 0, log(x), 0); }, 0) == 0);
}

TEST_CASE("transforms of transforms: the Jacobian of the Jacobian, and of jvp, hvp and vjp, are derivatives of f") {
  const Tensor x = normal({3}), v = normal({3}, 2);
  const auto cubes = [](const Tensor& t) { return t * t * t; };
  const Tensor third = jacobian([&](const Tensor& t) { return jacobian(cubes, t); }, x);
  for (std::int64_t i = 0; i < 3; ++i)
    for (std::int64_t j = 0; j < 3; ++j)
      for (std::int64_t k = 0; k < 3; ++k)
        CHECK(third(i, j, k).value() == doctest::Approx(i == j && j == k ? 6 * x(i).value() : 0));
  const auto along = [&](const Tensor& t) { return jvp(cubes, t, v); };
  CHECK(distance(jvp(along, x, v), 6 * x * v * v) < 1e-13);
  CHECK(distance(hessian([&](const Tensor& t) { return sum(along(t)); }, x), 6 * eye(3, f64) * v) < 1e-13);
  const auto f = [](const Tensor& t) { return sum(exp(t) * sin(t)); };
  CHECK(
      distance(
          jacobian([&](const Tensor& t) { return vjp([&](const Tensor& s) { return f(s); }, t, tensor(1.0, f64)); }, x),
          hessian(f, x)) < 1e-13);
  CHECK(distance(jacobian([&](const Tensor& t) { return hvp(f, t, v); }, x),
                 jacobian([&](const Tensor& t) { return matmul(hessian(f, t), v); }, x)) < 1e-12);
}

TEST_CASE("inside a graph that records, transforms are recorded and their results can be trained through") {
  Graph graph;
  const Tensor x = graph.variable(normal({3}), "x");
  const Tensor y = sin(x);
  const Tensor j = jacobian([](const Tensor& t) { return t * t; }, y);  // diag(2 sin x)
  sum(j).backward({.retain = true});
  CHECK(distance(x.grad(), 2 * cos(detach(x))) < 1e-14);
  // What the function captures is no part of its argument.
  CHECK(distance(vjp([&](const Tensor& t) { return t * y; }, y, ones({3}, f64)), sin(detach(x))) < 1e-15);
}

TEST_CASE("under a Pause, transforms answer and leave the graph as it was") {
  Graph graph;
  const Tensor x = graph.variable(normal({3}));
  const Tensor y = exp(x);
  const std::size_t before = graph.size();
  Tensor h, j;
  {
    const Pause pause;
    h = hessian([](const Tensor& t) { return sum(where(t > 0, t * t, 3 * t * t)); }, x);
    j = jvp([](const Tensor& t) { return exp(t); }, x, ones({3}, f64));
    CHECK(!recording());
  }
  CHECK(graph.size() == before);
  CHECK(distance(j, detach(y)) < 1e-14);
  CHECK(distance(h, eye(3, f64) * where(detach(x) > 0, full({3}, 2, f64), full({3}, 6, f64))) < 1e-14);
  sum(y).backward();
  CHECK(distance(x.grad(), detach(y)) == 0);
}

TEST_CASE("transforms leave the gradients of Parameters alone") {
  const Parameter w(normal({3}));
  CHECK(distance(hvp([&](const Tensor& t) { return sum(t * t * w); }, normal({3}, 2), ones({3}, f64)), 2 * w.value()) <
        1e-14);
  CHECK(!w.has_grad());
}

TEST_CASE("derivatives of third order of sin(x) exp(x) tanh(x) are the closed form, on both lanes") {
  for (const double at : {-1.3, -0.2, 0.0, 0.4, 2.1}) {
    const double s = std::sin(at), c = std::cos(at), e = std::exp(at), t = std::tanh(at), u = 1 - t * t;
    // The derivatives of p = sin·exp and of tanh, put together by Leibniz's rule.
    const double p[] = {s * e, (s + c) * e, 2 * c * e, 2 * (c - s) * e};
    const double q[] = {t, u, -2 * t * u, u * (6 * t * t - 2)};
    const double exact = p[3] * q[0] + 3 * p[2] * q[1] + 3 * p[1] * q[2] + p[0] * q[3];
    Graph graph;
    const Scalar x = graph.variable(at);
    const Scalar y = sin(x) * exp(x) * tanh(x);
    CHECK(graph.gradient(graph.gradient(graph.gradient(y, x), x), x).value() == doctest::Approx(exact).epsilon(1e-12));
    const Tensor w = graph.variable(tensor({at, at}, f64));
    const auto slope = [&](const Tensor& f) { return graph.gradient(sum(f), w); };
    const Tensor third = slope(slope(slope(sin(w) * exp(w) * tanh(w))));
    CHECK(third(0).value() == doctest::Approx(exact).epsilon(1e-12));
    CHECK(third(1).value() == doctest::Approx(exact).epsilon(1e-12));
  }
}

TEST_CASE("what transforms refuse says why") {
  const Tensor x = normal({4});
  const auto twice = [](const Tensor& t) { return t * 2; };
  CHECK_THROWS_WITH_AS(hessian(twice, x),
                       "hessian(): the tensor has shape [4]; only a single number has a gradient to start from\n"
                       "  help: sum() or mean() it first",
                       GraphError);
  CHECK_THROWS_WITH_AS(hvp([](const Tensor& t) { return sum(t); }, x, zeros({3}, f64)), "hvp(): v is [3], and x is [4]",
                       ShapeError);
  CHECK_THROWS_WITH_AS(jvp(twice, x, zeros({2, 2}, f64)), "jvp(): v is [2, 2], and x is [4]", ShapeError);
  CHECK_THROWS_WITH_AS(vjp(twice, x, zeros({}, f64)), "vjp(): v is [], and f(x) is [4]", ShapeError);
  CHECK_THROWS_WITH_AS(jacobian(twice, arange(3)),
                       "jacobian(f, i64 [3]): whole numbers have no derivative\n  help: to(f32) or to(f64)",
                       DTypeError);
  CHECK_THROWS_WITH_AS(jacobian(twice, Tensor()),
                       "jacobian: the first operand holds nothing: a Tensor made without a value", UsageError);
  CHECK_THROWS_WITH_AS(jacobian([](const Tensor&) { return Tensor(); }, x), "jacobian(): the function returned nothing",
                       UsageError);
  CHECK_THROWS_WITH_AS(jacobian(twice, zeros({1, 1, 1, 1, 1}, f64)),
                       "jacobian(): [1, 1, 1, 1, 1] by [1, 1, 1, 1, 1] is more than the 8 axes that a tensor can have",
                       ShapeError);
  Graph graph;
  const Tensor y = graph.variable(x);
  CHECK_THROWS_AS(jacobian([](const Tensor& t) { return matmul(exp(t), zeros({2, 3}, f64)); }, y), ShapeError);
  CHECK(graph.size() == 1);
}

// ---- checkpoint ------------------------------------------------------------------------------------------------

TEST_CASE("a checkpoint gives the value and the gradients of its function, to the bit, and keeps one node") {
  const Parameter w(normal({4, 4}, 3)), late(normal({4}, 4));
  const Tensor numbers = normal({2, 4}), factor = normal({4}, 5);
  const auto run = [&](bool kept) {
    Graph graph;
    const Tensor x = graph.variable(numbers), captured = graph.variable(factor);
    const Scalar gain = graph.variable(1.5);
    const auto f = [=, &w, &late](const Tensor& t) { return tanh(matmul(t, w) * captured * gain + t(0, 1)) * late; };
    const Tensor y = kept ? f(f(x)) : checkpoint(f, checkpoint(f, x));
    sum(y * y).backward();
    std::vector<Tensor> all = {y, x.grad(), captured.grad(), full({}, gain.grad(), f64), w.grad(), late.grad()};
    const_cast<Parameter&>(w).clear_grad();
    const_cast<Parameter&>(late).clear_grad();
    for (Tensor& t : all) t = detach(t);
    return all;
  };
  const std::vector<Tensor> kept = run(true), again = run(false);
  for (std::size_t i = 0; i < kept.size(); ++i) CHECK(distance(again[i], kept[i]) < 1e-15);

  Graph graph;
  const Tensor x = graph.variable(numbers);
  checkpoint([](const Tensor& t) { return tanh(exp(t) * sin(t)); }, x);
  CHECK(graph.size() == 2);
  CHECK(graph.nodes().back().op == "checkpoint");
}

TEST_CASE("gradients of a checkpoint can be differentiated again, and checkpoints nest") {
  const Tensor numbers = normal({3});
  const auto f = [](const Tensor& t) { return sin(t) * exp(t); };
  const auto nested = [f](const Tensor& t) {
    return checkpoint([f](const Tensor& s) { return checkpoint(f, s * s) + checkpoint(f, s); }, t);
  };
  const auto plain = [f](const Tensor& s) { return f(s * s) + f(s); };
  CHECK(distance(jacobian(nested, numbers), jacobian(plain, numbers)) < 1e-14);
  const auto total = [](const auto& g) { return [g](const Tensor& t) { return sum(g(t)); }; };
  CHECK(distance(hessian(total(nested), numbers), hessian(total(plain), numbers)) < 1e-13);
  CHECK(gradcheck(nested, {numbers}, {.order = 2}) < 1e-6);
  // Scalars that the function captured get theirs through a recorded gradient as well.
  Graph graph;
  const Scalar s = graph.variable(0.7);
  const Tensor x = graph.variable(numbers);
  const Tensor y = sum(checkpoint([s](const Tensor& t) { return t * (s * s * s); }, x));
  const Scalar ds = graph.gradient(y, s);
  CHECK(ds.value() == doctest::Approx(3 * 0.49 * sum(numbers).item()));
  CHECK(graph.gradient(ds, s).value() == doctest::Approx(6 * 0.7 * sum(numbers).item()));
}

TEST_CASE("a checkpoint repeats the draws of dropout exactly") {
  seed(11);
  const nn::Dropout dropout(0.5);
  Graph graph;
  const Tensor x = graph.variable(ones({1000}, f64));
  const Tensor y = checkpoint([dropout](const Tensor& t) { return dropout(t * 3); }, x);
  const std::uint64_t position = default_generator().position();
  sum(y).backward();
  CHECK(default_generator().position() == position);
  CHECK(distance(x.grad(), detach(y)) == 0);  // 0 or 6 in the same places
  CHECK(max(x.grad()).item() == 6);
  CHECK(min(x.grad()).item() == 0);
}

TEST_CASE("a checkpoint whose function computes something else in backward is found out") {
  Graph graph;
  const Tensor x = graph.variable(ones({3}, f64));
  auto calls = std::make_shared<int>(0);
  const Tensor y = sum(checkpoint([calls](const Tensor& t) { return t * static_cast<double>(++*calls); }, x));
  CHECK_THROWS_WITH_AS(y.backward(),
                       "backward(): the function of a checkpoint gave another result when it was computed again\n"
                       "  help: it must depend on its operands, Parameters and the default generator alone, and not be "
                       "changed by running",
                       GraphError);
}

TEST_CASE("a checkpoint whose Parameter changed before backward is refused, be its value the same") {
  Parameter w(tensor({1, 3}, f64));
  Graph graph;
  const Tensor x = graph.variable(zeros({2}, f64));
  const auto f = [&](const Tensor& t) { return t * w; };
  const Tensor first = sum(checkpoint(f, x)),
               second = sum(checkpoint(f, x));  // the leaf comes inside, and stands before
  w.assign(full({2}, 5, f64));
  const char* const message =
      "backward(): the parameter [2] changed between checkpoint and backward, which computes it again";
  for (const Tensor& loss : {first, second}) {
    CHECK_THROWS_WITH_AS(graph.gradient(loss, x), message, GraphError);
    CHECK_THROWS_WITH_AS(loss.backward({.retain = true}), message, GraphError);
  }
  CHECK(!w.has_grad());
}

TEST_CASE("checkpoints that share a Parameter can go back one after the other, and by it") {
  Parameter w(tensor({1, 3}, f64));
  Graph graph;
  const Tensor x = graph.variable(tensor({1, 2}, f64));
  const auto f = [&](const Tensor& t) { return t * w; };
  const Tensor first = sum(checkpoint(f, x)), second = sum(checkpoint(f, x * 2)), third = sum(checkpoint(f, x * 3));
  const Tensor leaf = w;
  first.backward();
  CHECK(distance(w.grad(), tensor({1, 2}, f64)) == 0);
  const Tensor elsewhere = sum(w * 10);  // as another leaf
  second.backward();
  CHECK(distance(w.grad(), tensor({3, 6}, f64)) == 0);
  CHECK(distance(graph.gradient(third, leaf), tensor({3, 6}, f64)) == 0);
  third.backward();
  elsewhere.backward();
  CHECK(distance(w.grad(), tensor({16, 22}, f64)) == 0);
}

TEST_CASE("graphs of several threads that share a Parameter each meet it as one leaf, in checkpoints too") {
  Parameter w(ones({2}, f64));
  const auto leaves = [&] {
    Graph graph;
    const Tensor x = graph.variable(ones({2}, f64));
    const auto f = [&](const Tensor& t) {
      std::thread([&] {
        Graph other;
        CHECK(sum(w * 2).item() == 4);
      }).join();
      return t * w;
    };
    sum(checkpoint(f, f(x))).backward();
    return graph.size();
  };
  CHECK(leaves() == 5);  // x, w, a product, the checkpoint, the sum
  CHECK(distance(w.grad(), full({2}, 2, f64)) == 0);
}

TEST_CASE("what was computed inside of a checkpoint cannot be used outside") {
  Graph graph;
  const Tensor x = graph.variable(ones({3}, f64));
  Tensor inside;
  const Tensor y = checkpoint([&](const Tensor& t) { return (inside = t * 2) + 1; }, x);
  const char* const message =
      "this value was computed inside of checkpoint(), which forgets it: only what the function returns lives on\n"
      "  help: return it from the function";
  CHECK_THROWS_WITH_AS(y + inside, message, GraphError);
  CHECK_THROWS_WITH_AS(graph.gradient(sum(y), inside), message, GraphError);
  Scalar number;
  const Scalar s = graph.variable(2.0);
  checkpoint([&](const Tensor& t) { return t * (number = s * s); }, x);
  CHECK_THROWS_WITH_AS((number * 3).backward(), message, GraphError);
}

TEST_CASE("what left a function that then threw is known for gone, and is not taken for what came after") {
  Graph graph;
  const Tensor x = graph.variable(tensor({1, 2}, f64));
  const Scalar s = graph.variable(2.0);
  Tensor left;
  Scalar number;
  const auto leave = [&](const Tensor& t) -> Tensor {
    left = t * 2;
    number = s * 5;
    throw UsageError("no");
  };
  CHECK_THROWS_AS(checkpoint(leave, x), UsageError);
  const Tensor y = x * 3;
  const Scalar z = s * 7;
  const char* const message =
      "this value was computed inside of checkpoint(), which forgets it: only what the function returns lives on\n"
      "  help: return it from the function";
  CHECK_THROWS_WITH_AS(left + 1, message, GraphError);
  CHECK_THROWS_WITH_AS(number.backward(), message, GraphError);
  CHECK_THROWS_AS(jacobian(leave, x), UsageError);
  CHECK_THROWS_WITH_AS(left + 1, message, GraphError);
  CHECK(graph.size() == 4);
  (sum(y) + z).backward();
  CHECK(distance(x.grad(), full({2}, 3, f64)) == 0);
  CHECK(s.grad() == 7);
  CHECK_THROWS_WITH_AS(left.grad(), message, GraphError);
  CHECK_THROWS_WITH_AS(number.grad(), message, GraphError);
  CHECK_THROWS_WITH_AS(number.backward(), message, GraphError);
  CHECK(s.grad() == 7);
}

TEST_CASE("a backward that fails inside of a checkpoint leaves no gradients, and can run again") {
  Parameter w(ones({2}, f64));
  Graph graph;
  const Tensor x = graph.variable(tensor({1, 2}, f64));
  bool fails = true;
  const Tensor y = checkpoint(
      [&](const Tensor& t) {
        const Tensor own = graph.variable(ones({2}, f64));  // its gradient is forgotten with it
        const Tensor a = t * w * own, b = a * 2;
        graph.on_gradient(b, [&](const Tensor&) {
          if (fails) throw UsageError("no");
        });
        return b * a;
      },
      x);
  const Tensor loss = sum(y);
  CHECK_THROWS_WITH_AS(loss.backward({.retain = true}), "no", UsageError);
  CHECK(!w.has_grad());
  CHECK_THROWS_WITH_AS(x.grad(), "grad(): the last backward() of this graph failed on its way", GraphError);
  fails = false;
  loss.backward({.retain = true});
  CHECK(distance(x.grad(), tensor({4, 8}, f64)) == 0);
  CHECK(distance(w.grad(), tensor({4, 16}, f64)) == 0);
}

TEST_CASE("outside of a graph a checkpoint is its function, and one of constants is a constant") {
  const Tensor x = normal({3});
  CHECK(distance(checkpoint([](const Tensor& t) { return t * 2; }, x), 2 * x) == 0);
  Graph graph;
  CHECK(distance(checkpoint([](const Tensor& t) { return t * 2; }, x), 2 * x) == 0);
  CHECK(graph.size() == 0);
  const Tensor v = graph.variable(x);
  CHECK(graph.gradient(sum(checkpoint([](const Tensor& t) { return t; }, v)), v)(0).value() == 1);
  CHECK_THROWS_WITH_AS(checkpoint([](const Tensor&) { return Tensor(); }, v),
                       "checkpoint(): the function returned nothing", UsageError);
}

TEST_CASE("a recurrent net of 1000 steps trains in the memory of about 2 √1000 of them") {
  constexpr std::int64_t steps = 1024, piece = 32, batch = 63, hidden = 64;
  Parameter w(normal({hidden, hidden}, 2) * 0.1);
  const Tensor start = normal({batch, hidden});
  Tensor gradient;
  const auto most_held = [&](bool whole) {
    const std::int64_t before = detail::bytes_held.now;
    detail::bytes_held.most = before;
    Graph graph;
    const auto run = [&](Tensor h) {
      for (std::int64_t t = 0; t < piece; ++t) h = tanh(matmul(h, w));
      return h;
    };
    Tensor h = start;
    for (std::int64_t t = 0; t < steps; t += piece) h = whole ? run(h) : checkpoint(run, h);
    mean(h * h).backward();
    gradient = w.grad();
    w.clear_grad();
    return static_cast<double>(detail::bytes_held.most - before) / 32768;  // what a state takes
  };
  const double of_pieces = most_held(false);
  const Tensor exact = gradient;
  const double of_whole = most_held(true);
  MESSAGE("live states of " << steps << " steps: " << of_whole << ", with a checkpoint every " << piece << ": "
                            << of_pieces);
  CHECK(of_whole > 1000);
  CHECK(of_pieces < 2.25 * 32);
  CHECK(distance(gradient, exact) < 1e-13);
}

// ---- custom ops ------------------------------------------------------------------------------------------------

namespace {

/// x³ by plain loops, forward and backward.
Tensor cube_by_loops(const Tensor& x) {
  return custom(
      "cube", {x},
      [](const Tensor& t) {
        std::vector<double> y;
        for (const double v : t.to_vector<double>()) y.push_back(v * v * v);
        return from(y, t.shape());
      },
      [](const Tensor& dy, const Tensor& t) {
        std::vector<double> dx;
        const auto g = dy.data<double>(), v = t.data<double>();
        for (std::int64_t i = 0; i < t.size(); ++i) dx.push_back(g[i] * 3 * v[i] * v[i]);
        return from(dx, t.shape());
      });
}

/// a · b with a backward made of ops; b's gradient reads the value.
Tensor product(const Tensor& a, const Tensor& b) {
  return custom(
      "product", {a, b}, [](const Tensor& x, const Tensor& w) { return x * w; },
      [](const Tensor& dy, const Tensor& x, const Tensor& w, const Tensor& y) {
        return std::vector<Tensor>{dy * w, dy * y / w + 0.0 * x};
      });
}

}  // namespace

TEST_CASE("a custom op made of plain loops is right, and is in the graph under its name") {
  const Tensor x = normal({5});
  CHECK(gradcheck(cube_by_loops, {x}) < 1e-7);
  Graph graph;
  const Tensor v = graph.variable(x);
  const Tensor y = cube_by_loops(v);
  CHECK(graph.size() == 2);
  CHECK(graph.nodes()[1].op == "cube");
  CHECK(graph.nodes()[1].formula == "cube(x)");
  CHECK(distance(graph.gradient(sum(y), v), 3 * x * x) < 1e-15);
}

TEST_CASE("a custom op whose backward reads numbers refuses to be differentiated twice") {
  const char* const message =
      "gradient(): custom \"cube\" can be differentiated once: its backward reads numbers, and what it does with them "
      "is "
      "not recorded\n  help: write its backward with ops on whole tensors";
  CHECK_THROWS_WITH_AS(hessian([](const Tensor& t) { return sum(cube_by_loops(t)); }, normal({3})), message,
                       GraphError);
  Graph graph;
  const Tensor x = graph.variable(normal({3}));
  const Tensor slope = graph.gradient(sum(cube_by_loops(x)), x);
  CHECK_THROWS_WITH_AS(sum(slope * slope).backward(), message, GraphError);
  // Also where it mixes both: an op on dy, and a number of its operand.
  const Tensor mixed = custom(
      "scaled", {x}, [](const Tensor& t) { return t * t(0).value(); },
      [](const Tensor& dy, const Tensor& t) { return dy * t.to_vector<double>()[0]; });
  const Tensor again = graph.gradient(sum(mixed), x);
  CHECK_THROWS_AS(graph.gradient(sum(again * again), x), GraphError);
}

TEST_CASE(
    "a custom op whose backward reads elements can be differentiated once, for no one sees what is done with them") {
  const auto cube = [](const Tensor& t) { return t * t * t; };
  const auto by_value = [&](const Tensor& t) {
    return sum(custom("cube", {t}, cube,
                      [](const Tensor& dy, const Tensor& x) { return dy * (3 * x(0).value() * x(0).value()); }));
  };
  // One of two reads goes unseen: the Hessian would be 9, not 18.
  const auto by_both = [&](const Tensor& t) {
    return sum(custom("cube", {t}, cube, [](const Tensor& dy, const Tensor& x) {
      const Scalar s = x(0);
      return dy * (3 * s * s.value());
    }));
  };
  const Tensor three = full({1}, 3, f64);
  CHECK(jacobian(by_value, three).to_vector<double>() == std::vector<double>{27});
  CHECK_THROWS_WITH_AS(
      hessian(by_value, three),
      "gradient(): custom \"cube\" can be differentiated once: its backward reads numbers, and what it "
      "does with them is not recorded\n  help: write its backward with ops on whole tensors",
      GraphError);
  CHECK(jacobian(by_both, three).to_vector<double>() == std::vector<double>{27});
  CHECK_THROWS_AS(hessian(by_both, three), GraphError);
}

TEST_CASE("a custom op whose backward is made of ops is differentiable to any order") {
  CHECK(gradcheck(product, {normal({4}), normal({4}, 2) + 3.0}, {.order = 2}) < 1e-6);
  const auto f = [](const Tensor& t) { return sum(product(t, t + 4)); };
  CHECK(distance(hessian(f, normal({3})), 2 * eye(3, f64)) < 1e-12);
}

TEST_CASE(
    "a custom op takes its operands one by one or in a vector, and gives gradients alone, in a pair or a vector") {
  const Tensor a = normal({3}), b = normal({3}, 2), c = normal({3}, 3);
  using List = std::vector<Tensor>;
  const auto total = [](const List& in) { return in[0] + in[1] + in[2]; };
  const auto thrice = [](const Tensor& dy, const List&) { return List{dy, Tensor(), dy * 3}; };
  Graph graph;
  const Tensor x = graph.variable(a), y = graph.variable(b), z = graph.variable(c);
  sum(custom("total", {x, y, z}, total, thrice)).backward({.retain = true});
  CHECK(distance(x.grad(), ones({3}, f64)) == 0);
  CHECK(distance(y.grad(), zeros({3}, f64)) == 0);
  CHECK(distance(z.grad(), full({3}, 3, f64)) == 0);
  sum(custom(
          "pair", {x, y}, [](const auto& p, const auto& q) { return p * q; },
          [](const Tensor& dy, const List& in) { return std::pair(dy * in[1], dy * in[0]); }))
      .backward();
  CHECK(distance(x.grad(), b) == 0);
  CHECK(distance(custom(
                     "one", {a}, [](const List& in) { return in[0]; },
                     [](const Tensor& dy, const List&, const Tensor&) { return dy; }),
                 a) == 0);
}

TEST_CASE("a retained custom op answers each backward anew") {
  Graph graph;
  const Tensor x = graph.variable(normal({3}));
  const Tensor y = sum(cube_by_loops(x));
  y.backward({.retain = true});
  const Tensor first = x.grad();
  y.backward({.retain = true});
  CHECK(distance(x.grad(), first) == 0);
  CHECK(distance(graph.gradient(y, x), first) < 1e-15);
  y.backward();
  CHECK(distance(x.grad(), first) == 0);
}

TEST_CASE("what a custom op returns is checked") {
  const auto same = [](const Tensor& t) { return t; };
  const auto pass = [](const Tensor& dy, const Tensor&) { return dy; };
  const auto try_backward = [&](const auto& backward) {
    Graph graph;
    const Tensor x = graph.variable(ones({3}, f64));
    sum(custom("mine", {x}, same, backward)).backward();
  };
  CHECK_THROWS_WITH_AS(try_backward([](const Tensor&, const Tensor&) { return ones({2}, f64); }),
                       "backward of custom \"mine\"([3]): the gradient for operand 0 is [2], and the operand [3]",
                       ShapeError);
  CHECK_THROWS_WITH_AS(try_backward([](const Tensor&, const Tensor&) { return ones({3}, f32); }),
                       "backward of custom \"mine\"([3]): the gradient for operand 0 is f32, and the operand f64",
                       DTypeError);
  CHECK_THROWS_WITH_AS(try_backward([](const Tensor& dy, const Tensor&) {
                         return std::vector<Tensor>{dy, dy};
                       }),
                       "backward of custom \"mine\"([3]): it returned 2 gradients for 1 operands", UsageError);
  CHECK_THROWS_WITH_AS(custom("", {ones({3})}, same, pass),
                       "custom(\"\"): an op needs a name, under which graphs and errors show it", UsageError);
  CHECK_THROWS_WITH_AS(custom(
                           "mine", {ones({3})}, [](const Tensor&) { return Tensor(); }, pass),
                       "mine([3]): its forward returned nothing", UsageError);
  CHECK_THROWS_WITH_AS(custom("mine", {Tensor()}, same, pass),
                       "mine: the first operand holds nothing: a Tensor made without a value", UsageError);
  CHECK_THROWS_WITH_AS(custom("mine", {ones({3}), ones({3})}, same, pass),
                       "custom \"mine\": its forward does not take 2 tensors\n"
                       "  help: it takes the operands, one by one or as a const std::vector<Tensor>&",
                       UsageError);
  CHECK_THROWS_WITH_AS(custom(
                           "mine", {ones({3}), ones({3})}, [](const Tensor& a, const Tensor&) { return a; }, pass),
                       "custom \"mine\": its backward does not take 2 tensors\n"
                       "  help: backward(dy, a, b), backward(dy, a, b, y), or the operands as a const "
                       "std::vector<Tensor>&",
                       UsageError);
}

// ---- watching gradients on their way ---------------------------------------------------------------------------

TEST_CASE("on_gradient shows the whole gradient of a value once, when all of it has arrived") {
  Graph graph;
  const Tensor x = graph.variable(ones({3}, f64));
  const Tensor h = x * 2;
  std::vector<Tensor> seen;
  graph.on_gradient(h, [&](const Tensor& g) { seen.push_back(g); });
  (sum(h * h) + sum(h)).backward();
  REQUIRE(seen.size() == 1);
  CHECK(distance(seen[0], full({3}, 5, f64)) == 0);
  CHECK(distance(x.grad(), full({3}, 10, f64)) == 0);
}

TEST_CASE("what on_gradient returns goes on in the gradient's stead, through backward and through gradient()") {
  Parameter w(ones({2}, f64));
  Graph graph;
  const Tensor x = graph.variable(tensor({1, -2}, f64));
  const Tensor h = x * w;
  graph.on_gradient(h, [](const Tensor& g) { return clamp(g, -1, 1); });
  graph.on_gradient(h, [](const Tensor& g) { return -g; });
  graph.on_gradient(w, [](const Tensor& g) { return g * 10; });
  const Tensor loss = sum(h * h * h);  // 3h² = 3, 12: clamped to 1, turned to -1
  CHECK(distance(graph.gradient(loss, x), tensor({-1, -1}, f64)) == 0);
  loss.backward();
  CHECK(distance(x.grad(), tensor({-1, -1}, f64)) == 0);
  CHECK(distance(w.grad(), tensor({-10, 20}, f64)) == 0);
}

TEST_CASE("on_gradient watches and changes Scalars too") {
  Graph graph;
  const Scalar x = graph.variable(2.0);
  const Scalar y = x * x;
  double seen = 0;
  graph.on_gradient(y, [&](const Scalar& g) { seen = g.value(); });
  graph.on_gradient(y, [](double g) { return g / 2; });
  const Scalar z = y * 3 + exp(y * 0);
  z.backward({.retain = true});
  CHECK(seen == 3);
  CHECK(x.grad() == 6);
  CHECK(graph.gradient(z, x).value() == 6);
}

TEST_CASE("a hook that is not met is not called, and one that returns another shape is refused") {
  Graph graph;
  const Tensor x = graph.variable(ones({3}, f64));
  const Tensor unused = x * 2;
  graph.on_gradient(unused, [](const Tensor&) { FAIL("no gradient comes here"); });
  graph.on_gradient(x, [](const Tensor& g) { return sum(g); });
  CHECK_THROWS_WITH_AS(sum(x).backward(), "on_gradient(): the function returned f64 [] for a gradient that is f64 [3]",
                       UsageError);
  const Tensor constant = ones({3});
  CHECK_THROWS_AS(graph.on_gradient(constant, [](const Tensor&) {}), GraphError);
}

TEST_CASE("a hook may add hooks, and they hold from then on") {
  Graph graph;
  const Tensor x = graph.variable(tensor({1, 2}, f64));
  const Scalar s = graph.variable(1.0), early = s * 2;
  const Tensor middle = x * early, after = middle * 2, last = after * 3;
  int more = 0;
  for (int i = 0; i < 2; ++i) {
    graph.on_gradient(last, [&](const Tensor&) {
      graph.on_gradient(early, [](double g) { return g / 2; });
      graph.on_gradient(middle, [](const Tensor& g) { return g * 3; });
      graph.on_gradient(last, [&](const Tensor&) { ++more; });
    });
  }
  sum(last).backward({.retain = true});
  CHECK(more == 0);
  CHECK(distance(x.grad(), full({2}, 12 * 9, f64)) == 0);
  CHECK(s.grad() == 2 * 6 * 3 * 9 / 4);
}

TEST_CASE("what the function of a checkpoint watches is watched once, however often it runs again") {
  Graph graph;
  const Tensor x = graph.variable(tensor({1, 2}, f64));
  const Scalar s = graph.variable(3.0), half = s * 1;
  int inside = 0;
  const Tensor y = sum(checkpoint(
      [&](const Tensor& t) {
        graph.on_gradient(t, [](const Tensor& g) { return g / 2; });
        graph.on_gradient(half, [](double g) { return g / 2; });
        const Tensor twice = t * 2;
        graph.on_gradient(twice, [&](const Tensor&) { ++inside; });
        return twice * half;
      },
      x * 1));
  for (int i = 1; i <= 3; ++i) {
    y.backward({.retain = true});
    CHECK(distance(x.grad(), full({2}, 3, f64)) == 0);
    CHECK(s.grad() == 3);
    CHECK(inside == i);
  }
  CHECK(graph.gradient(y, s).value() == 3);
}

TEST_CASE("a hundred thousand hooks cost no more than as many nodes") {
  Graph graph;
  Scalar s = graph.variable(1.0);
  int met = 0;
  for (int i = 0; i < 100'000; ++i) {
    s = s + 1;
    graph.on_gradient(s, [&](double) { ++met; });
  }
  s.backward();  // each looked for among all would be 10^10 steps
  CHECK(met == 100'000);
}

TEST_CASE(
    "a function that backward() calls cannot begin another backward in its midst, but can take gradients of "
    "functions") {
  Graph graph;
  const Tensor x = graph.variable(tensor({1, 2}, f64)), other = sum(x * x);
  const char* const message =
      "backward(): called by a function that backward() of the same graph calls\n"
      "  help: vjp(f, x, v) gives gradients there";
  const auto tries = [&] {
    CHECK_THROWS_WITH_AS(other.backward({.retain = true}), message, GraphError);
    CHECK_THROWS_WITH_AS(graph.gradient(other, x),
                         "gradient(): called by a function that backward() of the same graph calls\n"
                         "  help: vjp(f, x, v) gives gradients there",
                         GraphError);
    const Tensor slope = vjp([](const Tensor& t) { return sum(t * t); }, x, tensor(1.0, f64));
    CHECK(distance(slope, x * 2) == 0);
  };
  const Tensor watched = x * 2;
  graph.on_gradient(watched, [&](const Tensor&) { tries(); });
  const Tensor own = custom(
      "own", {watched}, [](const Tensor& t) { return t * 3; },
      [&](const Tensor& dy, const Tensor&) {
        tries();
        return dy * 3;
      });
  sum(own).backward();
  CHECK(distance(x.grad(), full({2}, 6, f64)) == 0);

  bool again = false;
  const Tensor piece = checkpoint(
      [&](const Tensor& t) {
        if (again) CHECK_THROWS_WITH_AS(other.backward({.retain = true}), message, GraphError);
        return t * 5;
      },
      x);
  again = true;
  sum(piece).backward();
  CHECK(distance(x.grad(), full({2}, 5, f64)) == 0);
}

// ---- spellings -------------------------------------------------------------------------------------------------

TEST_CASE("checkpoint takes its operands in a vector too, and functions may return Scalars, change, or see dy alone") {
  const Tensor a = normal({3}), b = normal({3}, 2);
  using List = std::vector<Tensor>;
  Graph graph;
  const Tensor x = graph.variable(a), y = graph.variable(b);
  CHECK(distance(checkpoint([](const List& in) { return in[0] * in[1]; }, {x, y}), a * b) == 0);
  checkpoint([](const Tensor& t) { return t(0) * t(1); }, x).backward({.retain = true});
  CHECK(x.grad()(0).value() == a(1).value());
  int calls = 0;
  graph.on_gradient(y, [calls](const Tensor&) mutable { ++calls; });
  const Tensor turned = custom(
      "turn", {y}, [](const Tensor& t) { return t; }, [](const Tensor& dy) { return -dy; });
  CHECK(distance(graph.gradient(sum(turned), y), -ones({3}, f64)) == 0);
  const Tensor product = custom(
      "product", {x, y}, [](const Tensor& p, const Tensor& q) { return p * q; },
      [](const Tensor& dy, const Tensor& p, const Tensor& q) { return std::tuple(dy * q, dy * p); });
  CHECK(distance(graph.gradient(sum(product), x), b) == 0);
  int runs = 0;
  CHECK(distance(jacobian([runs](const Tensor& t) mutable { return ++runs * t; }, b), eye(3, f64)) == 0);
}

TEST_CASE("gradcheck takes a single tensor without braces") {
  CHECK(gradcheck([](const Tensor& t) { return exp(t); }, normal({3})) < 1e-7);
}
