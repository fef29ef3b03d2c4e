// The graph's answers to questions: why a gradient is as it is, and where the first number came to be that is not finite.
#include <doctest/doctest.h>
#include <ebb/autograd/autograd.h>

#include <array>
#include <cmath>
#include <cstdint>
#include <deque>
#include <functional>
#include <limits>
#include <string>
#include <string_view>
#include <vector>

using namespace ebb;

namespace {

constexpr double infinity = std::numeric_limits<double>::infinity();
constexpr double not_a_number = std::numeric_limits<double>::quiet_NaN();

std::uint32_t newest(const Graph& graph) { return graph.nodes().back().id; }

bool contains(std::string_view text, std::string_view part) { return text.find(part) != std::string_view::npos; }

const std::array<const char*, 6> scopes = {"encoder", "encoder.0",    "encoder.1.attention",
                                           "head",    "decoder.lstm", "out"};
const char* scope_name(int k) { return scopes[static_cast<std::size_t>(k) % scopes.size()]; }

const std::array<Shape, 5> shapes = {Shape{4}, Shape{7}, Shape{3, 5}, Shape{2, 3, 4}, Shape{33}};
const Shape& shape_of(int k) { return shapes[static_cast<std::size_t>(k) % shapes.size()]; }
DType type_of(int k) { return k % 2 == 0 ? f64 : f32; }

/// Positive numbers, between 0.5 and 1.5.
Tensor positive(const Shape& shape, DType type = f64) { return rand(shape, type) + 0.5; }

/// Up to three ops that let every gradient through.
template <class T> T some_steps(T x, int k) {
  for (int step = 0; step < k % 4; ++step) {
    switch ((k / 4 + step) % 4) {
      case 0:
        x = tanh(x * 0.5);
        break;
      case 1:
        x = x * 0.7 + 0.1;
        break;
      case 2:
        x = sigmoid(x);
        break;
      default:
        x = exp(x * 0.1);
    }
  }
  return x;
}

}  // namespace

// ---- whole sentences ---------------------------------------------------------------------------------------------

TEST_CASE("explain() says what cut a variable off from the loss, and where") {
  Graph graph;
  const Tensor w = graph.variable(ones({4}), "w"), other = graph.variable(ones({4}), "other");
  const Tensor unused = graph.variable(ones({2, 2})), dangling = graph.variable(ones({4}), "dangling");
  CHECK(graph.explain(w) == "\"w\" (node 1, variable [4]): backward() has not run on this graph yet");
  Tensor doubled;
  {
    const Scope scope("encoder.0");
    doubled = w * 2;
  }
  exp(dangling);
  const Tensor loss = sum(detach(doubled) + other);
  loss.backward();
  CHECK(
      graph.explain(w) ==
      "\"w\" (node 1, variable [4]) has no path to the loss: detach() cut it at mul (node 5, in encoder.0); its result "
      "is a constant in add (node 8)");
  CHECK(graph.explain(unused) == "variable [2, 2] (node 3) has no gradient: nothing uses it");
  CHECK(graph.explain(dangling) ==
        "\"dangling\" (node 4, variable [4]) has no path to the loss sum (node 9): it goes as far as exp (node 6), on "
        "which the loss does not depend\n"
        "  help: numbers taken out by item(), value() or data() are constants when they come back");
  CHECK(graph.explain(other) ==
        "\"other\" (node 2, variable [4]) has a gradient: root mean square 1; it comes from add (node 8)");
  CHECK(graph.explain(loss) == "sum (node 9) is the loss itself: its gradient is 1");
  CHECK(graph.explain(detach(doubled)) ==
        "this value is no part of the graph and gets no gradient: detach() cut it at mul (node 5, in encoder.0)");
  const Tensor late = graph.variable(ones({3}), "late");
  CHECK(graph.explain(late) ==
        "\"late\" (node 10, variable [3]) has no gradient: it was made after the loss of the last backward(), "
        "sum (node 9)");
}

TEST_CASE("explain() says which op lets no gradient through, and of how many numbers") {
  Graph graph({.observe = true});
  const Tensor x = graph.variable(tensor({-1, -2, -3, -4}), "x");
  Tensor hidden;
  {
    const Scope scope("hidden");
    hidden = relu(x);
  }
  sum(hidden).backward();
  CHECK(graph.explain(x) ==
        "\"x\" (node 1, variable [4]): its gradient is zero: relu (node 2, in hidden) lets none of it through: 4 of 4 "
        "numbers are masked");
}

TEST_CASE("explain() of several masks says what each stops") {
  Graph graph({.observe = true});
  const Tensor x = graph.variable(tensor({-1, -2, 3, 4}), "x");
  sum(where(tensor({1, 1, 0, 0}, i64), relu(x), 0.0)).backward();
  CHECK(
      graph.explain(x) ==
      "\"x\" (node 1, variable [4]): its gradient is zero: relu (node 2) stops 2 of 4 numbers, where (node 5) stops 2 "
      "of 4 numbers: together all of it");
}

TEST_CASE("explain() gives the two factors whose product is too small") {
  Graph graph;
  const Scalar x = graph.variable(1.0, "x");
  (x * 1e-200 * 3e-200).backward();
  CHECK(graph.explain(x) ==
        "\"x\" (node 1, variable): its gradient is zero: it underflows: at mul (node 2) 3e-200 · 1e-200 is below the "
        "smallest double");
  const Tensor t = graph.variable(ones({2}), "t");
  (t(0) * 1e-60).backward();
  CHECK(graph.explain(t) ==
        "\"t\" (node 4, variable [2]): its gradient is zero: it underflows: at element (node 5) 1e-60 · 1 is below the "
        "smallest float");
}

TEST_CASE("explain() of a value whose twenty thousand uses cancel looks at each once") {
  Graph graph;
  const Scalar s = graph.variable(1.0, "s");
  const Scalar x = s * 1;
  Scalar total = 0;
  for (int i = 0; i < 20'000; ++i) total = total + x * (i % 2 == 0 ? 1 : -1);
  total.backward();
  CHECK(graph.explain(s) ==
        "\"s\" (node 1, variable): its gradient is zero: what its 20000 uses send back to mul (node 2) cancels");
}

TEST_CASE("explain() without observe() says what it cannot know") {
  Graph graph;
  const Tensor x = graph.variable(tensor({-1, -2}), "x");
  const Tensor y = relu(x);
  sum(y).backward();
  CHECK(graph.explain(x) ==
        "\"x\" (node 1, variable [2]): its gradient is zero; which node let none of it through was not kept\n"
        "  help: graph.observe() before computing, and ask again");
  CHECK(graph.explain(y) ==
        "relu (node 2): a gradient came to it, but was not kept\n"
        "  help: graph.observe() before computing, and ask again");
}

TEST_CASE("explain() of a Parameter gives it no leaf by asking") {
  Parameter w(ones({3})), frozen(ones({3})), plain(ones({3}));
  w.rename("encoder.weight");
  Graph graph;
  const Tensor x = graph.variable(ones({3}), "x");
  CHECK(graph.explain(w) == "\"encoder.weight\" (parameter [3]): backward() has not run on this graph yet");
  Tensor paused;
  {
    const Pause pause;
    paused = exp(frozen);
  }
  sum(x * paused * plain.value()).backward();
  const std::size_t size = graph.size();
  CHECK(graph.explain(w) == "\"encoder.weight\" (parameter [3]) has no gradient: nothing uses it");
  CHECK(graph.explain(frozen) ==
        "parameter [3] has no path to the loss: a Pause cut it: it was read while that lived; its result is a constant "
        "in mul (node 3)");
  CHECK(graph.explain(plain) ==
        "parameter [3] has no path to the loss: value() gave its numbers as a constant to mul (node 5)");
  CHECK(graph.size() == size);
}

TEST_CASE("explain() of a Parameter that was stepped, and of one that met the graph twice") {
  Graph graph;
  Parameter w(ones({2}));
  w.rename("w");
  sum(w * 3).backward();
  CHECK(graph.explain(w) ==
        "\"w\" (node 1, parameter [2]) has a gradient: root mean square 3; it comes from mul (node 2)");
  CHECK(graph.explain(Tensor(w)) != "");
  w.clear_grad();
  CHECK(contains(graph.explain(w), "a gradient came to it, and a step or clear_grad() has taken it since"));
}

TEST_CASE("explain() names on_gradient(), custom() and checkpoint() where the gradient ends there") {
  Graph graph({.observe = true});
  const Tensor x = graph.variable(positive({3}), "x");
  const Tensor y = exp(x);
  graph.on_gradient(y, [](const Tensor& g) { return g * 0; });
  sum(y * 2).backward();
  CHECK(graph.explain(x) ==
        "\"x\" (node 1, variable [3]): its gradient is zero: on_gradient() gave zeros in place of what arrived at exp "
        "(node 2)");
  const Tensor z = graph.variable(positive({3}), "z");
  const Tensor own = custom(
      "stop", {z}, [](const Tensor& t) { return t * 1; }, [](const Tensor&, const Tensor&) { return Tensor(); });
  sum(own).backward();
  CHECK(graph.explain(z) ==
        "\"z\" (node 5, variable [3]): its gradient is zero: the backward of stop (node 6) gives none to operand x");
  const Tensor u = graph.variable(positive({3}), "u");
  const Tensor piece = checkpoint([](const Tensor& t) { return relu(t - 5); }, u);
  const std::string node = std::to_string(newest(graph));
  sum(piece).backward();
  CHECK(graph.explain(u) ==
        "\"u\" (node 8, variable [3]): its gradient is zero: it ends inside of checkpoint (node " + node + ")");
}

TEST_CASE("explain() of what a checkpoint gives as a constant says what cut it") {
  Graph graph;
  const Tensor x = graph.variable(tensor({1, 2}, f64), "x");
  const Tensor cut = checkpoint([](const Tensor& t) { return detach(t); }, x);
  const Tensor inside = checkpoint([](const Tensor& t) { return argmax(t * 2); }, x);
  CHECK(graph.size() == 1);
  CHECK(graph.explain(cut) ==
        "this value is no part of the graph and gets no gradient: detach() cut it at \"x\" (node 1, variable [2])");
  CHECK(
      graph.explain(inside) ==
      "this value is no part of the graph and gets no gradient: argmax of value inside of a checkpoint (node 2) gives "
      "whole numbers, which have no gradient");
  sum(cut * graph.variable(ones({2}, f64))).backward();
  CHECK(graph.explain(x) ==
        "\"x\" (node 1, variable [2]) has no path to the loss: detach() cut it at \"x\" (node 1, variable [2]); its "
        "result is a constant in mul (node 5)");
}

TEST_CASE("explain() refuses what is no value of the graph, in the words of other questions") {
  Tensor closed;
  {
    Graph graph;
    closed = graph.variable(ones({2}));
  }
  Graph graph;
  CHECK_THROWS_WITH_AS(graph.explain(Tensor()), "explain(): the tensor holds nothing", UsageError);
  CHECK_THROWS_WITH_AS(graph.explain(closed),
                       "explain(): the graph that recorded this value is closed\n"
                       "  help: keep the graph open, or make it a Parameter",
                       GraphError);
  CHECK_THROWS_AS(graph.explain(ones({2})), GraphError);
  CHECK_THROWS_AS(graph.explain(Scalar(2)), GraphError);
}

TEST_CASE("check() is silent where all is finite, and where infinity is meant") {
  Graph graph({.observe = true});
  const Tensor x = graph.variable(positive({2, 3}), "x");
  const Tensor mask = tensor({{1, 0, 1}, {0, 1, 1}}, i64);
  sum(square(softmax(where(mask, x, -infinity)))).backward();
  CHECK(graph.check() == "");
  const Tensor added = tensor({{0, -infinity, 0}, {-infinity, 0, 0}});
  sum(square(softmax(x + added))).backward();
  CHECK(graph.check() == "");
}

TEST_CASE(
    "check() names a value that is the first not to be finite: op, place, operands, module, shapes and a way out") {
  Graph graph({.observe = true});
  const Tensor x = graph.variable(tensor({{1, 0.5}, {-3, 0}}), "x");
  const Scope scope("head");
  sum(log(x) * 2).backward();
  CHECK(graph.check() ==
        "log: 2 of 4 are not finite, first at [1, 0] (input -3, output nan)\n"
        "  in head\n"
        "  at node 2: log([2, 2])\n"
        "  help: log(x + eps); log_softmax(x) for log(softmax(x)), xlogy(a, b) for a * log(b)");
  CHECK(contains(graph.explain(x),
                 "\"x\" (node 1, variable [2, 2]): 1 of 4 numbers of its gradient are not finite\nlog: "));
}

TEST_CASE("check() names a gradient that is the first not to be finite") {
  Graph graph({.observe = true});
  const Tensor x = graph.variable(tensor({4, 0}));
  const Scope scope("head");
  sum(sqrt(x)).backward();
  CHECK(graph.check() ==
        "backward of sqrt: 1 of 2 is not finite, first at [1] (input 0, upstream 1)\n"
        "  in head\n"
        "  at node 2: sqrt([2])\n"
        "  help: sqrt(x + eps), or norm(x) for the root of a sum of squares");
}

TEST_CASE("check() of Scalars needs no observe()") {
  Graph graph;
  const Scalar x = graph.variable(0.0), y = graph.variable(2.0);
  sqrt(x * y).backward();
  CHECK(graph.check() ==
        "backward of sqrt: 1 of 1 is not finite (input 0, upstream 1)\n"
        "  at node 4: sqrt of Scalars\n"
        "  help: sqrt(x + eps), or norm(x) for the root of a sum of squares");
  y / x;
  CHECK(graph.check() ==
        "div: 1 of 1 is not finite (a 2, b 0, output inf)\n"
        "  at node 5: div of Scalars\n"
        "  help: a / (b + eps), or where(b != 0, a / where(b != 0, b, 1), 0)");
}

TEST_CASE(
    "check() names leaves, overflow of f32, gradients that overflow when added up, and rows that are all masked") {
  Parameter w(tensor({1, infinity}));
  w.rename("head.weight");
  {
    Graph graph({.observe = true});
    sum(w * 2);
    CHECK(graph.check() ==
          "parameter \"head.weight\": 1 of 2 is not finite, first at [1] (inf)\n"
          "  at node 1: [2]\n"
          "  help: an assign() or a step made it so: look at the gradient and step size before");
  }
  {
    Graph graph({.observe = true});
    const Tensor x = graph.variable(full({2, 2}, 3e38));
    matmul(x, x);
    CHECK(graph.check() ==
          "matmul: 4 of 4 are not finite, first at [0, 0] (|a| up to 3e+38, |b| up to 3e+38, output inf)\n"
          "  at node 2: matmul([2, 2], [2, 2])\n"
          "  help: f32 ends at 3.4e38: to(f64), or smaller numbers");
  }
  {
    Graph graph({.observe = true});
    const Tensor x = graph.variable(full({2}, 0.1), "x");
    sum(x * 2e38 + x * 3e38).backward();
    CHECK(graph.check() ==
          "gradients added up at variable \"x\": 2 of 2 are not finite, first at [0] (sum inf)\n"
          "  at node 1: [2]\n"
          "  help: what arrives is finite and overflows when added up: scale the loss down, or f64");
  }
  {
    Graph graph({.observe = true});
    const Tensor x = graph.variable(ones({2, 2}));
    softmax(where(tensor({{1, 0}, {0, 0}}, i64), x, -infinity));
    CHECK(graph.check() ==
          "softmax: 2 of 4 are not finite, first at [1, 0] (|x| up to inf, output nan)\n"
          "  at node 5: softmax([2, 2])\n"
          "  out of the infinity in constant [] (node 3)\n"
          "  help: leave at least one number along the axis above -inf");
  }
}

TEST_CASE("with .check = true a mask of -inf may stand before, within and behind a checkpoint") {
  Graph graph({.check = true});
  const Tensor x = graph.variable(tensor({1, 2, 3}, f64), "x");
  const Tensor mask = tensor({0, -HUGE_VAL, 0}, f64), weights = tensor({1, 2, 3}, f64);
  const Tensor before = checkpoint([](const Tensor& t) { return t * 2; }, x + mask);
  const Tensor within = checkpoint([&](const Tensor& t) { return softmax(t + mask, 0); }, x);
  const Tensor out = checkpoint([&](const Tensor& t) { return t + mask; }, x);
  sum((softmax(before, 0) + within + softmax(out, 0)) * weights).backward();
  CHECK(x.grad()(1).value() == 0);
  CHECK(x.grad()(2).value() > 0);
  CHECK(graph.check() == "");
  CHECK_THROWS_AS(checkpoint([](const Tensor& t) { return log(t - 1); }, x), GraphError);
}

TEST_CASE("check() of tensors that were not observed says what to do") {
  Graph graph;
  const Tensor x = graph.variable(ones({2}));
  -x;
  CHECK_THROWS_WITH_AS(graph.check(),
                       "check(): the numbers of neg (node 2) were not kept\n"
                       "  help: graph.observe() before computing, or Graph graph({.check = true})",
                       GraphError);
}

TEST_CASE("with .check = true a failed op leaves the graph as it was, and the next graph is unchecked") {
  {
    Graph graph({.check = true});
    const Tensor x = graph.variable(tensor({1, 0}), "x");
    const Tensor divisor = tensor({0, 1});
    CHECK_THROWS_AS(x / divisor, GraphError);
    CHECK(graph.size() == 1);
    CHECK_THROWS_WITH_AS(graph.variable(tensor(not_a_number), "y"),
                         "variable \"y\": 1 of 1 is not finite (nan)\n"
                         "  at node 2: []\n"
                         "  help: it came in so: look at where these numbers are from",
                         GraphError);
    CHECK(graph.size() == 1);
    sum(x * 2).backward();
    CHECK(x.grad().to_vector<double>() == std::vector<double>{2, 2});
    CHECK(graph.check() == "");
  }
  Graph graph;
  log(graph.variable(tensor(-1)));
}

// ---- a hundred lost gradients ------------------------------------------------------------------------------------

namespace {

/// What explain() said of a gradient, and what it had to name.
struct Verdict {
  std::string text, cause;
  std::uint32_t node = 0;  // 0: none
  std::string scope = {};
};

bool is_right(const Verdict& v) {
  const std::string node = "(node " + std::to_string(v.node);
  return contains(v.text, v.cause) && (v.node == 0 || contains(v.text, node + ")") || contains(v.text, node + ",")) &&
         (v.scope.empty() || contains(v.text, "in " + v.scope));
}

Verdict detached(int k) {
  Graph graph;
  const Tensor w = graph.variable(positive(shape_of(k), type_of(k)), "w"),
               v = graph.variable(positive(shape_of(k), type_of(k)));
  Tensor h = some_steps(w, k);
  std::uint32_t node = 0;
  {
    const Scope scope(scope_name(k));
    h = h * 2;
    node = newest(graph);
  }
  sum(some_steps(some_steps(detach(h), k + 1) * v, k)).backward();
  return {graph.explain(w), "has no path to the loss: detach() cut it at mul", node, scope_name(k)};
}

Verdict detached_scalar(int k) {
  Graph graph;
  const Scalar w = graph.variable(0.7, "w"), v = graph.variable(1.3);
  const Scalar h = some_steps(w, k) * v;
  const std::uint32_t node = newest(graph);
  (some_steps(detach(h), k + 1) * v + v).backward();
  return {graph.explain(w), "detach() cut it at mul", node};
}

Verdict detached_in_stack(int k) {
  Graph graph;
  const Tensor w = graph.variable(positive({3}), "w");
  const Scalar v = graph.variable(1.0);
  const Scalar read = some_steps(w, k)(1);
  const std::uint32_t node = newest(graph);
  sum(some_steps(stack({v, detach(read), v * 2}), k)).backward();
  return {graph.explain(w), "detach() cut it at element", node};
}

Verdict detached_twice(int k) {
  Graph graph;
  const Tensor w = graph.variable(positive({3}), "w"), v = graph.variable(positive({3}));
  const Tensor first = some_steps(w, k) * 2;
  const std::uint32_t node = newest(graph);
  const Tensor second = some_steps(detach(first) * v, k);
  sum(detach(second) + v).backward();
  return {graph.explain(w), "detach() cut it at mul", node};
}

Verdict frozen_parameter(int k) {
  Parameter w(positive(shape_of(k)));
  Graph graph;
  const Tensor v = graph.variable(positive(shape_of(k)));
  const Tensor leaf = w;
  const std::uint32_t node = newest(graph);
  sum(some_steps(v * detach(leaf), k)).backward();
  return {graph.explain(w), "detach() cut it at parameter", node};
}

Verdict paused(int k) {
  Graph graph;
  const Tensor w = graph.variable(positive(shape_of(k), type_of(k)), "w"),
               v = graph.variable(positive(shape_of(k), type_of(k)));
  const Tensor h = some_steps(w, k) + 1;
  const std::uint32_t node = newest(graph);
  Tensor cut;
  {
    const Pause pause;
    cut = some_steps(exp(h), k);
  }
  sum(some_steps(cut + v, k)).backward();
  return {graph.explain(w), "a Pause cut it at add", node};
}

Verdict paused_scalar(int k) {
  Graph graph;
  const Scalar w = graph.variable(0.5, "w"), v = graph.variable(2.0);
  const Scalar h = some_steps(w, k) * v;
  const std::uint32_t node = newest(graph);
  Scalar cut;
  {
    const Pause pause;
    cut = h * h;
  }
  (some_steps(v, k) + cut).backward();
  return {graph.explain(w), "a Pause cut it at mul", node};
}

Verdict paused_parameter(int k) {
  Parameter w(positive(shape_of(k)));
  Graph graph;
  const Tensor v = graph.variable(positive(shape_of(k)));
  Tensor cut;
  {
    const Pause pause;
    cut = some_steps(Tensor(w) * 2, k);
  }
  const Tensor product = v * cut;
  const std::uint32_t node = newest(graph);
  sum(some_steps(product, k)).backward();
  return {graph.explain(w), "a Pause cut it: it was read while that lived; its result is a constant in mul", node};
}

Verdict whole_numbers(int k) {
  Graph graph;
  const Tensor w = graph.variable(positive({3, 5}), "w"), v = graph.variable(positive({3, 5}));
  const Tensor h = some_steps(w, k) * 3;
  const std::uint32_t node = newest(graph);
  Tensor whole;
  std::string op;
  switch (k % 5) {
    case 0:
      whole = argmax(h, 1, true), op = "argmax";
      break;
    case 1:
      whole = h > 3, op = "greater";
      break;
    case 2:
      whole = h.to(i64), op = "to";
      break;
    case 3:
      whole = argmin(h, 0, true), op = "argmin";
      break;
    default:
      whole = h <= v, op = "less_equal";
  }
  sum(some_steps(whole.to(f64) * v, k)).backward();
  return {graph.explain(w), op + " of mul", node};
}

Verdict one_hot_of(int k) {
  Graph graph;
  const Tensor w = graph.variable(positive({4, 3}), "w"), v = graph.variable(positive({4, 3}));
  const Tensor h = some_steps(w, k) - 1;
  const std::uint32_t node = newest(graph);
  sum(one_hot(argmax(h, 1), 3, f64) * v).backward();
  return {graph.explain(w), "argmax of sub", node};
}

Verdict never_used(int k) {
  Parameter p(positive(shape_of(k)));
  Graph graph;
  const Tensor w = graph.variable(positive(shape_of(k)), "w");
  const std::uint32_t of_tensor = newest(graph);
  const Scalar s = graph.variable(2.0, "s");
  const std::uint32_t of_scalar = newest(graph);
  sum(some_steps(graph.variable(positive({3})), k)).backward();
  if (k % 3 == 0) return {graph.explain(p), "has no gradient: nothing uses it", 0};
  return {k % 3 == 1 ? graph.explain(w) : graph.explain(s), "has no gradient: nothing uses it",
          k % 3 == 1 ? of_tensor : of_scalar};
}

Verdict not_connected(int k) {
  Graph graph;
  const Tensor w = graph.variable(positive(shape_of(k)), "w");
  const Scalar s = graph.variable(0.5, "s");
  const Tensor h = some_steps(w, k) * 2;
  const std::uint32_t of_tensor = newest(graph);
  some_steps(s, k) / 3;
  const std::uint32_t of_scalar = newest(graph);
  sum(graph.variable(positive({3}))).backward();
  const bool scalar = k % 2 == 1;
  return {scalar ? graph.explain(s) : graph.explain(w), scalar ? "it goes as far as div" : "it goes as far as mul",
          scalar ? of_scalar : of_tensor};
}

Verdict made_too_late(int k) {
  Graph graph;
  const Tensor v = graph.variable(positive(shape_of(k)));
  sum(some_steps(v, k)).backward();
  const std::uint32_t loss = newest(graph);
  return {graph.explain(graph.variable(1.0, "w")), "it was made after the loss of the last backward(), sum", loss};
}

/// An op that masks all of what comes to it, by which name explain() must call it.
Verdict masked(int k) {
  Graph graph({.observe = true});
  const Shape& shape = shape_of(k / 7);
  const DType type = type_of(k / 7);
  const Tensor w = graph.variable(positive(shape, type), "w");
  const Tensor h = some_steps(w, k) * 1;
  Tensor y;
  std::string op;
  std::uint32_t node = 0;
  {
    const Scope scope(scope_name(k));
    switch (k % 7) {
      case 0:
        y = relu(h - 100), op = "relu";
        break;
      case 1:
        y = where(zeros(shape, i64), h, 1.0), op = "where";
        break;
      case 2:
        y = clamp(h, 2, 3), op = "clamp";
        break;
      case 3:
        y = hardtanh(h + 10), op = "hardtanh";
        break;
      case 4:
        y = maximum(h, full(shape, 3, type)), op = "maximum";
        break;
      case 5:
        y = minimum(h, full(shape, -3, type)), op = "minimum";
        break;
      default: {
        const Tensor inner = where(h > 50, h, 0.0);
        node = newest(graph);
        y = where(h > 100, 1.0, inner), op = "where";
      }
    }
    if (node == 0) node = newest(graph);
  }
  sum(some_steps(y, k + 1)).backward();
  const std::string n = std::to_string(shape.size());
  return {graph.explain(w),
          op + " (node " + std::to_string(node) + ", in " + scope_name(k) + ") lets none of it through: " + n + " of " +
              n + " numbers are masked",
          node, scope_name(k)};
}

Verdict masked_scalar(int k) {
  Graph graph;
  const Scalar w = graph.variable(0.5, "w");
  const Scalar h = some_steps(w, k) - 10;
  const Scalar y = relu(h);
  const std::uint32_t node = newest(graph);
  (some_steps(y, k) + 1).backward();
  return {graph.explain(w), "lets none of it through (input -", node};
}

Verdict masked_together(int k) {
  Graph graph({.observe = true});
  const Tensor w = graph.variable(tensor({-1, -2, 3, 4}, f64), "w");
  const Tensor first = relu(w);
  const std::uint32_t node = newest(graph);
  const Tensor h = some_steps(first, k);
  const Tensor second = k % 2 == 0 ? where(tensor({1, 1, 0, 0}, i64), h, 0.0) : h * tensor({1, 1, 0, 0}, f64);
  const std::uint32_t other = newest(graph);
  sum(second).backward();
  const std::string name = k % 2 == 0 ? "where" : "mul";
  return {graph.explain(w), name + " (node " + std::to_string(other) + ") stops 2 of 4 numbers: together all of it",
          node};
}

Verdict dropped_out(int k) {
  Graph graph({.observe = true});
  const Tensor w = graph.variable(positive(shape_of(k), type_of(k)), "w");
  const Tensor h = some_steps(w, k) * zeros(shape_of(k), type_of(k));
  const std::uint32_t node = newest(graph);
  sum(some_steps(h, k)).backward();
  return {graph.explain(w), "multiplies it by 0: ", node};
}

Verdict zero_weight(int k) {
  Parameter weight(zeros({2, 4})), bias(zeros({2}));
  weight.rename("head.weight");
  Graph graph({.observe = true});
  const Tensor x = graph.variable(positive({3, 4}, f32), "x");
  const Tensor h = some_steps(x, k);
  const Tensor y = k % 2 == 0 ? affine(h, weight, bias) : matmul(h, weight, {.tb = true});
  const std::uint32_t node = newest(graph);
  sum(some_steps(y, k)).backward();
  return {graph.explain(x), "multiplies it by 0: 8 of 8 numbers of \"head.weight\"", node};
}

Verdict underflows(int k) {
  Graph graph({.observe = true});
  const DType type = type_of(k);
  const double tiny = type == f64 ? 1e-200 : 1e-30;
  const Tensor w = graph.variable(positive(shape_of(k), type), "w");
  const Tensor h = some_steps(w, k) * tiny;
  const std::uint32_t node = newest(graph);
  sum(h * tiny).backward();
  return {graph.explain(w),
          type == f64 ? "1e-200 · 1e-200 is below the smallest double" : "1e-30 · 1e-30 is below the smallest float",
          node};
}

Verdict underflows_scalar(int k) {
  Graph graph;
  const Scalar w = graph.variable(0.5, "w");
  const Scalar h = some_steps(w, k) * 1e-180;
  const std::uint32_t node = newest(graph);
  (h * 2e-200 + 1).backward();
  return {graph.explain(w), "2e-200 · 1e-180 is below the smallest double", node};
}

Verdict underflows_in_a_cast(int k) {
  Graph graph({.observe = true});
  const Tensor w = graph.variable(positive(shape_of(k), f32), "w");
  const Tensor h = some_steps(w, k).to(f64);
  const std::uint32_t node = newest(graph);
  sum(h * 1e-100).backward();
  return {graph.explain(w), "it underflows: at to", node};
}

Verdict saturated(int k) {
  Graph graph({.observe = true});
  const Tensor w = graph.variable(positive(shape_of(k)), "w");
  const Tensor far = some_steps(w, k) * (k % 3 == 2 ? -20000 : 20000);
  const Tensor y = k % 3 == 0 ? tanh(far) : k % 3 == 1 ? sigmoid(far) : exp(far);
  const std::uint32_t node = newest(graph);
  sum(some_steps(y, k)).backward();
  return {graph.explain(w), "is saturated: its derivative is 0 for", node};
}

Verdict saturated_scalar(int k) {
  Graph graph;
  const Scalar w = graph.variable(0.5, "w");
  const Scalar far = some_steps(w, k) * 1000;
  const Scalar y = k % 2 == 0 ? tanh(far) : sigmoid(far);
  const std::uint32_t node = newest(graph);
  (y + 1).backward();
  return {graph.explain(w), "is saturated (input ", node};
}

Verdict read_by_value(int k) {
  Parameter w(positive(shape_of(k)));
  Graph graph;
  const Tensor v = graph.variable(positive(shape_of(k)));
  const Tensor y = some_steps(v, k) * w.value();
  const std::uint32_t node = newest(graph);
  sum(y).backward();
  return {graph.explain(w), "value() gave its numbers as a constant to mul", node};
}

Verdict cancelled(int k) {
  Graph graph({.observe = true});
  const Tensor w = graph.variable(positive(shape_of(k)), "w");
  const Tensor h = some_steps(w, k) * 2;
  const std::uint32_t node = newest(graph);
  sum(h * 3 - h * 3).backward();
  return {graph.explain(w), "what its 2 uses send back to mul", node};
}

Verdict flat(int k) {
  Graph graph({.observe = true});
  const Tensor w = graph.variable(k % 2 == 0 ? positive(shape_of(k)) : zeros(shape_of(k), f64), "w");
  const Tensor y = k % 2 == 0 ? sign(some_steps(w, k)) : square(w);
  const std::uint32_t node = newest(graph);
  sum(y).backward();
  return {graph.explain(w), k % 2 == 0 ? "the derivative of sign" : "the derivative of square", node};
}

Verdict condition(int k) {
  Graph graph;
  const Tensor w = graph.variable(positive(shape_of(k)), "w"), v = graph.variable(positive(shape_of(k)));
  const Tensor y = where(some_steps(w, k), v, 0.0);
  const std::uint32_t node = newest(graph);
  sum(y).backward();
  return {graph.explain(w), "no gradient passes to operand c of where", node};
}

Verdict part_not_taken(int k) {
  Graph graph({.observe = true});
  const Tensor w = graph.variable(positive({3}), "w"), v = graph.variable(positive({4}));
  const Tensor both = concat({some_steps(w, k), v});
  const std::uint32_t node = newest(graph);
  sum(slice(both, 3, 7)).backward();
  return {graph.explain(w), "none comes back to its part of concat", node};
}

Verdict softmax_summed(int k) {
  Graph graph({.observe = true});
  const Tensor w = graph.variable(positive({3, 1}), "w");
  const Tensor y = softmax(some_steps(w, k));
  const std::uint32_t node = newest(graph);
  sum(square(y)).backward();
  return {graph.explain(w), "its results always add up the same", node};
}

struct Family {
  const char* name;
  Verdict (*program)(int);
  int count;
};
const Family lost_gradients[] = {
    {"detached", detached, 4},
    {"detached twice", detached_twice, 2},
    {"detached scalar", detached_scalar, 3},
    {"detached in a stack", detached_in_stack, 2},
    {"frozen parameter", frozen_parameter, 3},
    {"paused", paused, 4},
    {"paused scalar", paused_scalar, 3},
    {"paused parameter", paused_parameter, 3},
    {"whole numbers", whole_numbers, 5},
    {"one_hot", one_hot_of, 2},
    {"never used", never_used, 6},
    {"not connected", not_connected, 4},
    {"made too late", made_too_late, 2},
    {"masked", masked, 14},
    {"masked scalar", masked_scalar, 3},
    {"masked together", masked_together, 4},
    {"dropped out", dropped_out, 3},
    {"zero weight", zero_weight, 3},
    {"underflow", underflows, 4},
    {"underflow of scalars", underflows_scalar, 2},
    {"underflow in a cast", underflows_in_a_cast, 2},
    {"saturated", saturated, 6},
    {"saturated scalar", saturated_scalar, 2},
    {"read by value()", read_by_value, 3},
    {"cancelled", cancelled, 3},
    {"flat", flat, 3},
    {"condition", condition, 2},
    {"part not taken", part_not_taken, 2},
    {"softmax of one", softmax_summed, 1},
};

}  // namespace

TEST_CASE("explain() names the cause and the node of a hundred lost gradients") {
  int right = 0, all = 0;
  for (const Family& family : lost_gradients) {
    for (int k = 0; k < family.count; ++k) {
      seed(static_cast<std::uint64_t>(100 * all + k));
      const Verdict verdict = family.program(k);
      CAPTURE(family.name);
      CAPTURE(k);
      CAPTURE(verdict.cause);
      CAPTURE(verdict.node);
      CHECK_MESSAGE(is_right(verdict), verdict.text);
      right += is_right(verdict);
      ++all;
    }
  }
  CHECK(all == 100);
  MESSAGE("explain() named the cause of " << right << " of " << all << " lost gradients");
}

// ---- two hundred networks with one fault -------------------------------------------------------------------------

namespace {

/// What a program that goes wrong had to be told: the beginning of the report, and the node.
struct Fault {
  std::string begins;
  std::uint32_t node = 0;
};

/// A network of random depth, widths and activations, with one more step put in after a layer.
class Network {
 public:
  using Step = std::function<Tensor(const Tensor&)>;

  Network(Graph& graph, int k, DType type) : graph_(graph), k_(k), type_(type) {}

  /// `smooth`: gradients come back through all of it.
  Tensor loss(bool smooth, const Step& step) {
    const int layers = 1 + k_ % 4, at = k_ / 4 % layers;
    Tensor h = graph_.variable(randn({6, 5}, type_), "x");
    for (int i = 0; i < layers; ++i) {
      const Scope scope(scope_name(k_ + i));
      const Tensor y = activation(smooth, i, affine(h, weight({7, h.shape()[1]}), weight({7})));
      h = h.shape() == y.shape() ? h + y : y;
      if (i == at) h = step(h);
    }
    const Tensor out = affine(h, weight({3, h.shape()[1]}), weight({3}));
    switch (k_ % 3) {
      case 0:
        return mean(square(out - 0.1));
      case 1:
        return softmax_cross_entropy(out, tensor({0, 1, 2, 0, 1, 2}, i64));
      default:
        return mean(square(softmax(out) - 0.2));
    }
  }

  Tensor weight(const Shape& shape) {
    parameters_.emplace_back(randn(shape, type_) * 0.3);
    return parameters_.back();
  }

 private:
  Tensor activation(bool smooth, int i, const Tensor& x) const {
    switch ((k_ + i) % (smooth ? 3 : 5)) {
      case 0:
        return tanh(x);
      case 1:
        return sigmoid(x);
      case 2:
        return gelu(x);
      case 3:
        return relu(x);
      default:
        return softmax(x);
    }
  }

  Graph& graph_;
  int k_;
  DType type_;
  std::deque<Parameter> parameters_;
};

/// 1 everywhere but at one place, where it is `odd`.
Tensor ones_but(const Shape& shape, DType type, double odd, int k) {
  std::vector<double> numbers(static_cast<std::size_t>(shape.size()), 1.0);
  numbers[static_cast<std::size_t>(7 * k) % numbers.size()] = odd;
  return from(numbers, shape).to(type);
}

/// Values: the op that makes the first one that is not finite, out of finite ones; or a leaf.
Fault bad_value(Graph& graph, int k) {
  const DType type = type_of(k);
  Network network(graph, k, type);
  Fault fault;
  const auto is_here = [&](const char* op) { fault = {std::string(op) + ": ", newest(graph)}; };
  network
      .loss(false,
            [&](const Tensor& h) -> Tensor {
              const Tensor one = square(tanh(h)) + 0.5;  // between 0.5 and 1.5
              const Tensor odd = one * ones_but(h.shape(), type, -1, k), zero = one * ones_but(h.shape(), type, 0, k);
              Tensor y;
              switch (k / 2 % 16) {
                case 0:
                  y = log(odd), is_here("log");
                  break;
                case 1:
                  y = log(zero), is_here("log");
                  break;
                case 2:
                  y = one / zero, is_here("div");
                  break;
                case 3:
                  y = exp(one * 5000), is_here("exp");
                  break;
                case 4:
                  y = sqrt(odd), is_here("sqrt");
                  break;
                case 5:
                  y = pow(odd, 0.5), is_here("pow");
                  break;
                case 6:
                  y = rsqrt(zero), is_here("rsqrt");
                  break;
                case 7:
                  y = reciprocal(zero), is_here("reciprocal");
                  break;
                case 8:
                  y = log1p(one * -3), is_here("log1p");
                  break;
                case 9:
                  y = asin(one + 1), is_here("asin");
                  break;
                case 10: {
                  const double large = type == f32 ? 1e30 : 1e300;
                  y = matmul(one * large, transpose(one * large)), is_here("matmul");
                  y = sum(y) * h;
                  break;
                }
                case 11: {
                  const Tensor nothing = zeros(h.shape(), i64);
                  y = softmax(where(nothing, h, -infinity)), is_here("softmax");
                  break;
                }
                case 12: {
                  const Parameter bad(ones_but(h.shape(), type, k % 4 == 0 ? infinity : not_a_number, k));
                  const Tensor leaf = bad;
                  is_here("parameter");
                  y = leaf * one;
                  break;
                }
                case 13:
                  y = one + ones_but(h.shape(), type, k % 4 == 0 ? infinity : not_a_number, k);
                  fault = {"constant: ", newest(graph) - 1};
                  break;
                case 14:
                  y = square(one * (type == f32 ? 1e25 : 1e200)), is_here("square");
                  break;
                default: {
                  const Tensor leaf = graph.variable(ones_but(h.shape(), type, not_a_number, k), "noise");
                  fault = {"variable \"noise\": ", newest(graph)};
                  y = one * leaf;
                }
              }
              return y;
            })
      .backward();
  return fault;
}

/// Zeros, to a gradient of ones.
Tensor with_gradient_1(const Tensor& x) {
  return custom(
      "with_gradient_1", {x}, [](const Tensor& t) { return zeros(t.shape(), t.dtype()); },
      [](const Tensor& g, const Tensor&) { return ones(g.shape(), g.dtype()); });
}

/// Gradients: all values are finite, and what one node sends back, or what adds up at one, is not.
Fault bad_gradient(Graph& graph, int k) {
  const DType type = type_of(k);
  Network network(graph, k, type);
  Fault fault;
  const auto is_here = [&](const char* op) { fault = {"backward of " + std::string(op) + ": ", newest(graph)}; };
  network
      .loss(true,
            [&](const Tensor& h) -> Tensor {
              const Tensor one = square(tanh(h)) + 0.5;
              const Tensor zero = one * ones_but(h.shape(), type, 0, k);
              Tensor y;
              switch (k / 2 % 6) {
                case 0:
                  y = sqrt(zero), is_here("sqrt");
                  break;
                case 1:
                  y = pow(zero, 0.25), is_here("pow");
                  break;
                case 2:
                  y = asin(clamp(one, 0, 1) * 0 + 1), is_here("asin");
                  break;
                case 3:
                  y = acos(zero * 0 - 1), is_here("acos");
                  break;
                case 4: {  // small on the way forward, too large on the way back
                  const double tiny = type == f32 ? 1e-18 : 1e-150, huge = type == f32 ? 1e20 : 1e160;
                  const Tensor small = one * tiny * tiny * huge;
                  is_here("mul");
                  y = h + with_gradient_1(small * huge);
                  break;
                }
                default: {
                  const double large = type == f32 ? 3e38 : 1.5e308;
                  const Tensor twice = one * (1e-5 / large);
                  fault = {"gradients added up at mul: ", newest(graph)};
                  y = h + with_gradient_1(twice * large * 0.9 + twice * large * 0.8);
                }
              }
              return y;
            })
      .backward();
  return fault;
}

/// Nets of Scalars: a few neurons, and one step that goes wrong.
Fault bad_scalar(Graph& graph, int k) {
  Fault fault;
  const auto is_here = [&](const char* op) { fault = {std::string(op) + ": ", newest(graph)}; };
  std::vector<Scalar> x;
  for (int i = 0; i < 3; ++i) x.push_back(graph.variable(0.3 * (i + 1), "x" + std::to_string(i)));
  const auto neuron = [&](const std::vector<Scalar>& in) {
    Scalar sum = graph.variable(0.1);
    for (const Scalar& each : in) sum = sum + each * graph.variable(0.5);
    return tanh(sum);
  };
  for (int layer = 0; layer < k % 3; ++layer) x = {neuron(x), neuron(x), neuron(x)};
  const Scalar h = neuron(x);  // between 0 and 1
  Scalar y;
  switch (k % 10) {
    case 0:
      y = log(h - 2), is_here("log");
      break;
    case 1:
      y = h / (h - h), is_here("div");
      break;
    case 2:
      y = exp(h * 1e6), is_here("exp");
      break;
    case 3:
      y = sqrt(h - 1), is_here("sqrt");
      break;
    case 4: {
      const Scalar bad = graph.variable(infinity, "bad");
      is_here("variable \"bad\"");
      y = tanh(h * bad);
      break;
    }
    case 5:
      y = sqrt(h - h) * 2, fault = {"backward of sqrt: ", newest(graph) - 1};
      break;
    case 6:
      y = pow(h - h, 0.5) + h, fault = {"backward of pow: ", newest(graph) - 1};
      break;
    case 7: {
      const Scalar small = h * 1e-300 * 1e150;
      fault = {"backward of mul: ", newest(graph)};
      y = small * 1e200 * 1e50;
      break;
    }
    case 8: {
      const Tensor numbers = stack({h * 1e-30, h * 2}, f32);
      y = numbers(0) * 1e150, fault = {"backward of element: ", newest(graph) - 1};
      break;
    }
    default:
      sum(stack({h * 1e60, h}, f32) * 2), fault = {"stack: ", newest(graph) - 2};
      y = h;
  }
  const bool large = k % 10 == 7 || k % 10 == 8;  // too large for a tanh to let a gradient through
  for (int layer = 0; layer < k % 4 && !large; ++layer) y = neuron({y, h});
  y.backward();
  return fault;
}

}  // namespace

TEST_CASE(
    "check() names the node where the first number is not finite, in two hundred networks, and .check = true too") {
  struct Programs {
    const char* name;
    Fault (*build)(Graph&, int);
    int count;
  };
  const Programs families[] = {{"values", bad_value, 96}, {"gradients", bad_gradient, 64}, {"scalars", bad_scalar, 40}};
  int right = 0, all = 0, at_once = 0;
  for (const Programs& family : families) {
    for (int k = 0; k < family.count; ++k) {
      const auto draw = static_cast<std::uint64_t>(1000 + all);
      seed(draw);
      Fault fault;
      std::string report, thrown = "nothing";
      {
        Graph graph({.observe = true});
        fault = family.build(graph, k);
        report = graph.check();
      }
      seed(draw);
      try {
        Graph graph({.check = true});
        family.build(graph, k);
      } catch (const GraphError& error) {
        thrown = error.what();
      }
      CAPTURE(family.name);
      CAPTURE(k);
      CAPTURE(fault.begins);
      CAPTURE(fault.node);
      const bool named = report.rfind(fault.begins, 0) == 0 && fault.node != 0 &&
                         contains(report, "\n  at node " + std::to_string(fault.node) + ":");
      CHECK_MESSAGE(named, report);
      CHECK(thrown == report);
      right += named;
      at_once += thrown == report;
      ++all;
    }
  }
  CHECK(all == 200);
  MESSAGE("check() named the node of " << right << " of " << all << " faults, and .check = true the same of "
                                       << at_once);
}
