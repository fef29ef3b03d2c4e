// The graph: what it records, what backward leaves, what it refuses, and what nodes() and observe() show.
#include <doctest/doctest.h>
#include <ebb/autograd/autograd.h>

#include <cmath>
#include <limits>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <vector>

using namespace ebb;

namespace {

using Numbers = std::vector<double>;

Numbers numbers(const Tensor& t) { return t.to_vector<double>(); }

constexpr const char* no_scalar_recorded =
    "backward(): this value was not recorded: no graph was open when it was computed, or nothing in it depends on a "
    "variable or Parameter\n  help: open a Graph before computing it";
constexpr const char* other_thread =
    "this value belongs to a graph that another thread is recording\n"
    "  help: pass its numbers on instead: value() of a Scalar, detach() of a Tensor on its own thread";

/// Runs f on a thread of its own; what it throws comes out here.
template <class F> void on_another_thread(F f) {
  std::exception_ptr thrown;
  std::thread([&] {
    try {
      f();
    } catch (...) {
      thrown = std::current_exception();
    }
  }).join();
  if (thrown) std::rethrow_exception(thrown);
}

}  // namespace

// ---- backward ----------------------------------------------------------------------------------------------------

TEST_CASE("a tensor used twice gets both gradients, through any path") {
  Graph graph;
  const Tensor x = graph.variable(tensor({1, 2, 3}, f64));
  const Tensor y = x * x;
  sum(y * x + y).backward();
  CHECK(numbers(x.grad()) == Numbers{5, 16, 33});  // 3x² + 2x
}

TEST_CASE("a second backward needs retain, and then replaces the gradients of variables") {
  Graph graph;
  const Tensor x = graph.variable(tensor({2, 3}, f64));
  const Tensor loss = sum(x * x);
  loss.backward({.retain = true});
  CHECK(numbers(x.grad()) == Numbers{4, 6});
  loss.backward();
  CHECK(numbers(x.grad()) == Numbers{4, 6});
  CHECK_THROWS_WITH_AS(loss.backward(),
                       "backward(): already run on this graph (2 nodes let go)\n"
                       "  help: backward({.retain = true}) the first time, or a new Graph for each step",
                       GraphError);
  CHECK(numbers(x.grad()) == Numbers{4, 6});
}

TEST_CASE("a second backward of Scalars needs retain too") {
  Graph graph;
  const Scalar x = graph.variable(2.0);
  const Scalar y = x * x;
  y.backward();
  CHECK_THROWS_AS(y.backward(), GraphError);
  const Scalar z = x * 3;
  z.backward();
  CHECK(x.grad() == 3);
}

TEST_CASE("two losses that share nothing but leaves each have their backward") {
  Graph graph;
  const Tensor x = graph.variable(tensor({2}, f64));
  const Tensor first = sum(x * 3), second = sum(x * x);
  first.backward();
  second.backward();
  CHECK(numbers(x.grad()) == Numbers{4});
  const Tensor third = first * 2;
  CHECK_THROWS_AS(third.backward(), GraphError);
}

TEST_CASE("a loss of elements has its backward after another one's let go of what it passed") {
  Graph graph;
  const Tensor x = graph.variable(tensor({{1, 2}, {3, 4}}, f64));
  matmul(x, x)(0, 0).backward();
  CHECK(numbers(x.grad()) == Numbers{2, 3, 2, 0});
  matmul(x, x)(0, 1).backward();
  CHECK(numbers(x.grad()) == Numbers{2, 5, 0, 2});
}

TEST_CASE("only a single number has a gradient to start from") {
  Graph graph;
  const Tensor x = graph.variable(ones({32, 10}));
  CHECK_THROWS_WITH_AS((x * 2).backward(),
                       "backward(): the tensor has shape [32, 10]; only a single number has a gradient to start from\n"
                       "  help: sum() or mean() it first",
                       GraphError);
  CHECK_THROWS_AS(graph.gradient(x, x), GraphError);
  sum(x, {}, true).backward();  // [1, 1] is a single number
  CHECK(x.grad().shape() == Shape{32, 10});
  CHECK_THROWS_AS(graph.variable(zeros({0})).backward(), GraphError);
}

TEST_CASE("a loss that no graph recorded has no backward") {
  CHECK_THROWS_WITH_AS(Scalar(3).backward(), no_scalar_recorded, GraphError);
  CHECK_THROWS_WITH_AS(sum(ones({3})).backward(), no_scalar_recorded, GraphError);
  Graph graph;
  CHECK_THROWS_WITH_AS(sum(ones({3}) * 2).backward(), no_scalar_recorded, GraphError);
}

TEST_CASE("a value of a closed graph is a constant: no backward, no grad") {
  Tensor x, y;
  Scalar s;
  {
    Graph graph;
    x = graph.variable(tensor({3}), "x");
    s = graph.variable(2.0, "s") * 2;
    y = sum(x * x);
    y.backward();
    CHECK(x.name() == "x");
  }
  CHECK(x.name() == "");
  CHECK_THROWS_WITH_AS(y.backward(),
                       "backward(): the graph that recorded this value is closed\n"
                       "  help: keep the graph open, or make it a Parameter",
                       GraphError);
  CHECK_THROWS_WITH_AS(x.grad(),
                       "grad(): the graph that recorded this value is closed\n"
                       "  help: keep the graph open, or make it a Parameter",
                       GraphError);
  CHECK_THROWS_AS(s.backward(), GraphError);
  CHECK_THROWS_AS(s.grad(), GraphError);
  Graph next;
  const Tensor z = next.variable(tensor({5}));
  const Scalar t = next.variable(7.0);
  (sum(z * x)() + t * s).backward();
  CHECK(numbers(z.grad()) == Numbers{3});
  CHECK(t.grad() == 4);
  CHECK_THROWS_AS(x.grad(), GraphError);
  CHECK_THROWS_AS(next.gradient(sum(z * x), x), GraphError);
}

TEST_CASE("grad() before backward, or of an intermediate value, says what to do") {
  Graph graph;
  const Tensor x = graph.variable(ones({2, 3}));
  const Tensor y = exp(x);
  CHECK_THROWS_WITH_AS(x.grad(), "grad(): backward() has not run on this graph yet", GraphError);
  CHECK_THROWS_WITH_AS(graph.variable(1.0).grad(), "grad(): backward() has not run on this graph yet", GraphError);
  sum(y).backward();
  CHECK_THROWS_WITH_AS(y.grad(),
                       "grad(): the gradient of an intermediate exp [2, 3] was not kept\n"
                       "  help: graph.observe() before backward(), or make it a variable",
                       GraphError);
}

TEST_CASE("grad() of a variable that the loss does not depend on is zeros") {
  Graph graph;
  const Tensor x = graph.variable(ones({2})), other = graph.variable(ones({3}, f64));
  sum(x).backward();
  CHECK(numbers(other.grad()) == Numbers(3, 0.0));
  CHECK(other.grad().dtype() == f64);
}

TEST_CASE("two graphs cannot record on one thread, but one after the other can, and one on each") {
  {
    Graph graph;
    CHECK_THROWS_WITH_AS(Graph(),
                         "Graph: a graph is already recording on this thread\n"
                         "  help: let it go out of scope first, or record into the one that is open",
                         GraphError);
    CHECK(recording());
    on_another_thread([] {
      CHECK_FALSE(recording());
      Graph own;
      const Scalar x = own.variable(3.0);
      (x * x).backward();
      CHECK(x.grad() == 6);
    });
    const Scalar x = graph.variable(2.0);
    (x * x).backward();
    CHECK(x.grad() == 4);
  }
  CHECK_FALSE(recording());
  Graph next;
  CHECK(next.size() == 0);
}

TEST_CASE("a value that another thread's open graph records is refused, whatever is done with it") {
  Graph graph;
  const Scalar s = graph.variable(2.0);
  const Tensor t = graph.variable(ones({2}));
  CHECK_THROWS_WITH_AS(on_another_thread([&] { s + 1; }), other_thread, GraphError);
  CHECK_THROWS_WITH_AS(on_another_thread([&] { exp(t); }), other_thread, GraphError);
  CHECK_THROWS_WITH_AS(on_another_thread([&] { t(0); }), other_thread, GraphError);
  CHECK_THROWS_WITH_AS(on_another_thread([&] { stack({s}); }), other_thread, GraphError);
  CHECK_THROWS_WITH_AS(on_another_thread([&] { s.backward(); }), other_thread, GraphError);
  CHECK_THROWS_WITH_AS(on_another_thread([&] { t.grad(); }), other_thread, GraphError);
  CHECK_THROWS_WITH_AS(on_another_thread([&] { graph.variable(1.0); }), other_thread, GraphError);
  CHECK_THROWS_WITH_AS(on_another_thread([&] {
                         Graph own;
                         own.variable(ones({2})) * t;
                       }),
                       other_thread, GraphError);
  on_another_thread([&] { CHECK(s.value() + 1 == 3); });
}

TEST_CASE("while a Pause lives nothing records, and its values are constants") {
  Graph graph;
  const Scalar x = graph.variable(3.0);
  const Tensor t = graph.variable(ones({2}));
  Scalar constant;
  {
    const Pause pause;
    CHECK_FALSE(recording());
    constant = x * x;
    const Pause again;
    exp(t);
  }
  CHECK(recording());
  CHECK(graph.size() == 2);
  (constant * x).backward();
  CHECK(x.grad() == 9);
  const Pause pause;
  CHECK_THROWS_AS(graph.gradient(x * x, x), GraphError);
}

TEST_CASE("ops on constants alone are not recorded") {
  Graph graph;
  exp(ones({3})) + matmul(ones({2, 2}), ones({2, 2}))(0, 0);
  CHECK(graph.size() == 0);
  const Tensor x = graph.variable(ones({3}));
  const Tensor shared = full({3}, 2);
  x* shared + shared;
  CHECK(graph.size() == 4);  // x, the constant once, ·, +
  CHECK(graph.nodes()[1].kind == Node::Kind::constant);
}

TEST_CASE("an exception in the middle leaves the graph usable") {
  Graph graph;
  const Tensor x = graph.variable(ones({3}));
  const Tensor y = x * 2;
  CHECK_THROWS_AS(y + ones({4}), ShapeError);
  CHECK(graph.size() == 2);
  sum(y).backward();
  CHECK(numbers(x.grad()) == Numbers{2, 2, 2});
}

// ---- parameters --------------------------------------------------------------------------------------------------

TEST_CASE("a parameter's gradients add up over backwards and graphs until they are cleared") {
  Parameter w(tensor({1, 2}));
  CHECK_FALSE(w.has_grad());
  CHECK_THROWS_WITH_AS(w.grad(),
                       "grad(): the parameter [2] has no gradient since the last step\n"
                       "  help: call backward() on a loss that depends on it",
                       GraphError);
  for (int i = 0; i < 2; ++i) {
    Graph graph;
    const Tensor loss = sum(w * tensor({3, 5}));
    loss.backward({.retain = true});
    loss.backward();
  }
  CHECK(numbers(w.grad()) == Numbers{12, 20});
  w.clear_grad();
  CHECK_FALSE(w.has_grad());
}

TEST_CASE("a parameter used many times in one graph is one leaf") {
  Parameter w(tensor({1, 2}));
  w.rename("w");
  Graph graph;
  sum(w * w + w).backward();
  CHECK(numbers(w.grad()) == Numbers{3, 5});
  int leaves = 0;
  for (const Node& node : graph.nodes()) leaves += node.kind == Node::Kind::parameter;
  CHECK(leaves == 1);
  CHECK(graph.nodes()[0].name == "w");
}

TEST_CASE("assigning to a parameter while a graph is open keeps the gradient of the value that was used") {
  Parameter w(tensor({3}, f64));
  Graph graph;
  const Tensor used = w * w;
  w.assign(tensor({10}, f64));
  CHECK(w.value().item() == 10);
  sum(used).backward();
  CHECK(numbers(w.grad()) == Numbers{6});  // 2 · 3, not 2 · 10
  w.clear_grad();
  sum(w * w).backward();
  CHECK(numbers(w.grad()) == Numbers{20});
}

TEST_CASE("a copy of a parameter has numbers of its own, and assignment keeps the identity") {
  Parameter a(tensor({1}));
  Parameter b(a);
  a.assign(tensor({5}));
  CHECK(b.value().item() == 1);
  const auto state = b.state();
  b = a;
  CHECK(b.value().item() == 5);
  CHECK(b.state() == state);
  Parameter moved(std::move(a));
  CHECK(moved.value().item() == 5);
  CHECK_THROWS_WITH_AS(a.value(), "Parameter: its numbers were moved away", UsageError);
}

TEST_CASE("the value read from a parameter does not change when the parameter does") {
  Parameter w(tensor({1, 2}));
  const Tensor before = w.value();
  w.assign(tensor({7, 8}));
  CHECK(numbers(before) == Numbers{1, 2});
}

TEST_CASE("state carried out of a graph is cut there by itself") {
  Parameter w(tensor({2}, f64));
  Tensor state = tensor({1}, f64);
  for (int step = 0; step < 3; ++step) {
    w.clear_grad();
    Graph graph;
    state = state * w;
    sum(state).backward();
    CHECK(graph.size() == 4);  // the old state, w, ·, sum: nothing of the steps before
    CHECK(numbers(w.grad()) == Numbers{std::pow(2.0, step)});
  }
  CHECK(state.item() == 8);
}

TEST_CASE("threads that share a parameter add to one gradient") {
  Parameter w(zeros({33}, f64));
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i)
    threads.emplace_back([&] {
      for (int step = 0; step < 100; ++step) {
        Graph graph;
        sum(w * 2).backward();
      }
    });
  for (std::thread& thread : threads) thread.join();
  CHECK(numbers(w.grad()) == Numbers(33, 800.0));
}

TEST_CASE("a parameter outside of any graph is a plain tensor") {
  Parameter w(tensor({1, 2}));
  const Tensor y = w * 2;
  CHECK(numbers(y) == Numbers{2, 4});
  CHECK_THROWS_AS(sum(y).backward(), GraphError);
  CHECK_FALSE(w.has_grad());
}

// ---- recorded gradients ------------------------------------------------------------------------------------------

TEST_CASE("gradient() by a tensor that has no path to y is zeros of its shape and type") {
  Graph graph;
  const Tensor x = graph.variable(ones({2})), other = graph.variable(ones({3, 1}, f64));
  const std::vector<Tensor> slopes = graph.gradient(sum(x * x), {other, x});
  CHECK(slopes[0].shape() == Shape{3, 1});
  CHECK(slopes[0].dtype() == f64);
  CHECK(numbers(slopes[0]) == Numbers(3, 0.0));
  CHECK(numbers(slopes[1]) == Numbers{2, 2});
}

TEST_CASE("gradient() by an intermediate value is its gradient") {
  Graph graph;
  const Tensor x = graph.variable(tensor({1, 2}, f64));
  const Tensor y = x * 3;
  CHECK(numbers(graph.gradient(sum(y * y), y)) == Numbers{6, 12});
  CHECK(graph.gradient(sum(y), sum(y)).item() == 0);  // another node of the same value: no path
}

TEST_CASE("a gradient can be part of a loss") {
  Graph graph;
  const Tensor x = graph.variable(tensor({1, 2}, f64));
  const Tensor slope = graph.gradient(sum(x * x * x), x);  // 3x²
  sum(slope * slope).backward();
  CHECK(numbers(x.grad()) == Numbers{36, 288});  // 36x³
}

TEST_CASE("a gradient by a Parameter's leaf trains the Parameter") {
  Parameter w(tensor({2}, f64));
  Graph graph;
  const Tensor leaf = w;
  sum(square(graph.gradient(sum(w * w * w), leaf))).backward();  // (3w²)²
  CHECK(numbers(w.grad()) == Numbers{36 * 8});
}

TEST_CASE("gradient() after backward let go of what it needs says so") {
  Graph graph;
  const Tensor x = graph.variable(tensor({1, 2}, f64));
  const Tensor loss = sum(x * x);
  loss.backward();
  CHECK_THROWS_WITH_AS(graph.gradient(loss, x),
                       "gradient(): backward() let go of what it needs of sum\n"
                       "  help: take gradients first, or backward({.retain = true})",
                       GraphError);
}

// ---- between the lanes -------------------------------------------------------------------------------------------

TEST_CASE("gradients cross from Scalars into tensors and back") {
  Graph graph;
  const Tensor t = graph.variable(tensor({{1, 2}, {3, 4}}, f64));
  const Scalar s = graph.variable(5.0);
  const Scalar y = t(0, 1) * s + t(-1, -1) * t(0, 1);  // 2s + 4·2
  const Tensor z = stack({y, s, 7.0}) * tensor({1, 10, 100}, f64);
  (sum(z)() + sum(s * t)()).backward();
  CHECK(numbers(t.grad()) == Numbers{5, 5 + 5 + 4, 5, 5 + 2});
  CHECK(s.grad() == 2 + 10 + 10);
}

TEST_CASE("second derivatives cross the lanes both ways") {
  Graph graph;
  const Tensor t = graph.variable(tensor({2, 3}, f64));
  const Scalar y = t(0) * t(0) * t(1);
  const Tensor slope = graph.gradient(y, t);  // [2ab, a²]
  CHECK(numbers(slope) == Numbers{12, 4});
  CHECK(numbers(graph.gradient(sum(slope), t)) == Numbers{6 + 4, 4});  // [2b + 2a, 2a]
  const Scalar s = graph.variable(3.0);
  const Tensor cubes = stack({s, s * s}) * s;  // [s², s³]
  const Scalar first = graph.gradient(sum(cubes), s);
  CHECK(first.value() == 2 * 3 + 3 * 9);
  CHECK(graph.gradient(first, s).value() == 2 + 6 * 3);
}

TEST_CASE("an element of a f32 tensor passes its gradient back in f32") {
  Graph graph;
  const Tensor t = graph.variable(tensor({1, 2, 3}));
  (t(1) * 4).backward();
  CHECK(t.grad().dtype() == f32);
  CHECK(numbers(t.grad()) == Numbers{0, 4, 0});
}

TEST_CASE("stack of Scalars is f64 unless told otherwise") {
  Graph graph;
  const Scalar s = graph.variable(2.0);
  CHECK(stack({s, 1.0}).dtype() == f64);
  const Tensor narrow = stack({s, s * s}, f32);
  CHECK(narrow.dtype() == f32);
  sum(narrow).backward();
  CHECK(s.grad() == 5);
  CHECK(stack(std::vector<Scalar>{}).shape() == Shape{0});
}

// ---- nodes() and observe() ---------------------------------------------------------------------------------------

TEST_CASE("nodes() lists leaves and ops in the order in which they came") {
  Parameter w(ones({2, 3}));
  w.rename("layer.weight");
  Graph graph;
  const Tensor x = graph.variable(ones({4, 3}), "x");
  Tensor y;
  {
    const Scope outer("model", "Model"), inner("model.layer", "Dense(3 -> 2)");
    y = matmul(x, w, {.tb = true});
  }
  const Tensor z = tanh(y * 2);
  const Scalar s = sum(z)(), t = s * s + 1;
  const std::vector<Node> nodes = graph.nodes();
  REQUIRE(nodes.size() == graph.size());
  REQUIRE(nodes.size() == 9);
  const std::vector<std::string> ops = {"", "", "matmul", "mul", "tanh", "sum", "element", "mul", "add"};
  for (std::size_t i = 0; i < nodes.size(); ++i) {
    CHECK(nodes[i].id == i + 1);
    CHECK(nodes[i].op == ops[i]);
    for (const std::uint32_t input : nodes[i].inputs) CHECK(input < nodes[i].id);
  }
  CHECK(nodes[0].kind == Node::Kind::variable);
  CHECK(nodes[0].name == "x");
  CHECK(nodes[1].kind == Node::Kind::parameter);
  CHECK(nodes[1].name == "layer.weight");
  const Node& product = nodes[2];
  CHECK(product.kind == Node::Kind::op);
  CHECK(product.inputs == std::vector<std::uint32_t>{1, 2});
  CHECK(product.operands == std::vector<std::string>{"a", "b"});
  CHECK(product.shape == Shape{4, 2});
  CHECK(product.dtype == f32);
  CHECK(product.scope == "model.layer");
  CHECK(product.scope_kind == "Dense(3 -> 2)");
  CHECK(nodes[3].scope == "");
  CHECK_FALSE(product.formula.empty());
  CHECK_FALSE(product.rule.empty());
  REQUIRE(product.saved.size() == 1);  // x; a parameter is there anyway
  CHECK(product.saved[0].what == "a");
  CHECK(product.saved[0].bytes == 4 * 3 * 4);
  REQUIRE(nodes[4].saved.size() == 1);
  CHECK(nodes[4].saved[0].what == "y");
  CHECK(nodes[7].scalar);
  CHECK(nodes[7].inputs == std::vector<std::uint32_t>{7, 7});
  CHECK(nodes[8].inputs == std::vector<std::uint32_t>{8, 0});
  CHECK(nodes[8].numbers == Numbers{nodes[7].value_number, 1});
  CHECK(nodes[8].value_number == t.value());
}

TEST_CASE("scope_call tells one call of a module from the next") {
  Graph graph;
  const Tensor x = graph.variable(ones({2}));
  for (int call = 0; call < 2; ++call) {
    const Scope scope("cell");
    tanh(x * 2);
  }
  const std::vector<Node> nodes = graph.nodes();
  CHECK(nodes[1].scope_call == nodes[2].scope_call);
  CHECK(nodes[3].scope_call == nodes[4].scope_call);
  CHECK(nodes[1].scope_call != nodes[3].scope_call);
}

TEST_CASE("the order that nodes() tells is the order of backward's steps") {
  Graph graph;
  graph.observe();
  const Tensor x = graph.variable(tensor({1, 2}, f64));
  const Tensor a = exp(x), unused = sin(x), b = a * x, loss = sum(b);
  loss.backward();
  const std::vector<Node> nodes = graph.nodes();
  CHECK(nodes[4].op == "sum");
  CHECK(nodes[4].order == 1);
  CHECK(nodes[3].order == 2);  // mul
  CHECK(nodes[2].order == 0);  // sin: not reached
  CHECK_FALSE(nodes[2].differentiated);
  CHECK(nodes[1].order == 3);  // exp
  CHECK(nodes[0].order == 0);  // a leaf takes no step
  CHECK(nodes[0].differentiated);
  CHECK(unused.size() == 2);
}

TEST_CASE("observe() keeps values, gradients, uses and times of every node") {
  Graph graph;
  graph.observe();
  CHECK(graph.observing());
  const Tensor x = graph.variable(tensor({3, 4}, f64), "x"), w = graph.variable(tensor({1, 2}, f64), "w");
  const Tensor y = x * w, loss = sum(y * y);
  loss.backward();
  CHECK(numbers(y.grad()) == Numbers{6, 16});
  CHECK(loss.grad().item() == 1);
  const std::vector<Node> nodes = graph.nodes();
  CHECK(numbers(nodes[2].value) == Numbers{3, 8});
  CHECK(numbers(nodes[2].gradient) == Numbers{6, 16});
  CHECK(numbers(nodes[0].gradient) == Numbers{6, 32});
  CHECK(nodes[2].uses == 2);
  CHECK(nodes[0].uses == 1);
  CHECK(nodes[2].forward_seconds > 0);
  CHECK(nodes[2].backward_seconds > 0);
}

TEST_CASE("contributions are the root mean squares of what each node sent to its inputs") {
  Graph graph;
  graph.observe();
  const Tensor x = graph.variable(tensor({3, 4}, f64)), w = graph.variable(tensor({1, 2}, f64));
  const Tensor constant = tensor({1, 1}, f64);
  const Tensor y = x * w + constant, z = y * 2;
  sum(z + y).backward();  // y gets 2 from z and 1 directly
  for (const Node& node : graph.nodes()) {
    if (node.kind != Node::Kind::op) continue;
    REQUIRE(node.contributions.size() == node.inputs.size());
  }
  const auto rms = [](const Numbers& g) {
    double total = 0;
    for (const double v : g) total += v * v;
    return std::sqrt(total / static_cast<double>(g.size()));
  };
  const std::vector<Node> nodes = graph.nodes();
  const Node& product = nodes[2];
  CHECK(product.op == "mul");
  CHECK(numbers(product.gradient) == Numbers{3, 3});
  CHECK(product.contributions[0] == doctest::Approx(rms({3, 6})));
  CHECK(product.contributions[1] == doctest::Approx(rms({9, 12})));
  CHECK(product.contributions[0] == doctest::Approx(rms(numbers(nodes[0].gradient))));
  CHECK(nodes[4].op == "add");
  CHECK(std::isnan(nodes[4].contributions[1]));  // none is sent to a constant
  CHECK(nodes[4].uses == 2);
  // What y received is the sum of what was sent: 2 and 1, of one sign.
  CHECK(nodes[5].contributions[0] + nodes[6].contributions[1] == doctest::Approx(rms(numbers(nodes[4].gradient))));
}

TEST_CASE("a graph that was never observed shows structure without numbers") {
  Graph graph;
  const Tensor x = graph.variable(ones({2}));
  const Tensor loss = sum(exp(x));
  loss.backward();
  const std::vector<Node> nodes = graph.nodes();
  CHECK_FALSE(graph.observing());
  CHECK_FALSE(nodes[1].value.defined());
  CHECK_FALSE(nodes[1].gradient.defined());
  CHECK(nodes[1].contributions.empty());
}

TEST_CASE("scalar nodes show their values and gradients without being observed") {
  Graph graph;
  const Scalar x = graph.variable(3.0, "x");
  const Scalar y = x * x;
  y.backward();
  const std::vector<Node> nodes = graph.nodes();
  CHECK(nodes[0].name == "x");
  CHECK(nodes[0].gradient_number == 6);
  CHECK(nodes[1].value_number == 9);
  CHECK(nodes[1].gradient_number == 1);
  CHECK(nodes[1].order == 1);
}

TEST_CASE("variables are named, and whole numbers cannot be variables") {
  Graph graph;
  CHECK(graph.variable(ones({2}), "input").name() == "input");
  CHECK(ones({2}).name() == "");
  CHECK_THROWS_WITH_AS(graph.variable(tensor({1, 2}, i64)),
                       "Graph::variable(i64 [2]): whole numbers have no gradient\n  help: to(f32) or to(f64)",
                       DTypeError);
  CHECK_THROWS_WITH_AS(graph.variable(Tensor()), "Graph::variable: the tensor holds nothing", UsageError);
}

TEST_CASE("a type change passes gradients through between floating types and stops them at whole numbers") {
  Graph graph;
  const Tensor x = graph.variable(tensor({1.5, 2.5}));
  sum(x.to(f64) * 3).backward();
  CHECK(x.grad().dtype() == f32);
  CHECK(numbers(x.grad()) == Numbers{3, 3});
  CHECK_THROWS_AS(sum(x.to(i64)).backward(), GraphError);
}

TEST_CASE("made_by knows the op that made a tensor when the numbers of its input are gone") {
  Graph graph;
  const Tensor x = graph.variable(ones({2}));
  const Tensor y = softmax(x + x);
  CHECK(made_by(y, "softmax"));
  CHECK_FALSE(input_of(y, "softmax").defined());
  CHECK_FALSE(made_by(y, "sigmoid"));
  CHECK_FALSE(made_by(x, "softmax"));
  CHECK_FALSE(made_by(softmax(ones({2})), "softmax"));
  CHECK_FALSE(made_by(Tensor(), "softmax"));
  CHECK(made_by(sigmoid(x + x), "sigmoid"));
  sum(y).backward();
  CHECK(made_by(y, "softmax"));
  const Pause pause;
  CHECK_FALSE(made_by(y, "softmax"));
}

TEST_CASE("input_of finds what an op was given, while its graph records") {
  Graph graph;
  const Tensor x = graph.variable(ones({2}));
  const Tensor y = sigmoid(x);
  CHECK(input_of(sigmoid(x + x), "sigmoid").defined());
  CHECK(input_of(y, "sigmoid").defined());
  CHECK_FALSE(input_of(y, "tanh").defined());
  CHECK_FALSE(input_of(x, "sigmoid").defined());
  CHECK_FALSE(input_of(ones({2}), "sigmoid").defined());
}

TEST_CASE("observing may begin after something was recorded") {
  // On a thread of its own, whose list nobody has used before.
  std::thread([] {
    Graph graph;
    const Tensor x = graph.variable(tensor({1, 2}, f64));
    const Tensor y = sum(x * x);
    graph.observe();
    y.backward();
    CHECK(x.grad().to_vector<double>() == std::vector<double>{2, 4});
    CHECK(graph.nodes().size() == graph.size());
  }).join();
}

TEST_CASE("the gradient by a Parameter counts every way in which the graph met it") {
  Parameter w(tensor({2, 3}, f64));
  SUBCASE("after a backward of another loss") {
    Graph graph;
    const Tensor y = sum(w * w), z = sum(w * 3.0);
    y.backward();
    CHECK(graph.gradient(z, w).to_vector<double>() == std::vector<double>{3, 3});
  }
  SUBCASE("after another thread's graph used it") {
    Graph graph;
    const Tensor y = sum(w * w);
    std::thread([&] {
      Graph other;
      CHECK((w * 2.0).defined());
    }).join();
    CHECK(graph.gradient(y + sum(w * 1.0), w).to_vector<double>() == std::vector<double>{5, 7});
  }
}

TEST_CASE("two losses of one graph can go back one after the other, in either order, on both lanes") {
  Graph graph;
  const Scalar x = graph.variable(2.0);
  const Scalar a = x * x, b = x * 3;
  b.backward();
  CHECK(x.grad() == 3);
  a.backward();
  CHECK(x.grad() == 4);
  CHECK_THROWS_AS(a.backward(), GraphError);
  const Tensor t = graph.variable(tensor({1, 2}, f64));
  const Tensor c = sum(t * t), d = sum(t * 3.0);
  d.backward();
  c.backward();
  CHECK(t.grad().to_vector<double>() == std::vector<double>{2, 4});
}

TEST_CASE("a list of one gives a list of gradients") {
  Graph graph;
  const Tensor x = graph.variable(tensor({1, 2}, f64));
  const std::vector<Tensor> g = graph.gradient(sum(x * x), {x});
  CHECK(g.size() == 1);
  CHECK(g[0].to_vector<double>() == std::vector<double>{2, 4});
}

TEST_CASE("a recorded Scalar beside whole numbers keeps its gradient") {
  Graph graph;
  const Scalar w = graph.variable(3.0);
  sum(arange(3) * w).backward();
  CHECK(w.grad() == 3);
}

TEST_CASE("a tensor read row by row gathers its gradient in time that grows with its size") {
  Graph graph;
  const Tensor x = graph.variable(ones({20000, 8}, f64));
  Tensor total = tensor(0.0, f64);
  for (std::int64_t i = 0; i < 20000; ++i) total = total + sum(x[i]) * static_cast<double>(i % 3);
  total.backward();  // for each row through the whole tensor, this would be 26 GB of traffic
  CHECK(x.grad()[19999].to_vector<double>() == std::vector<double>(8, 1.0));
  CHECK(x.grad()[2].to_vector<double>() == std::vector<double>(8, 2.0));
}

TEST_CASE("gradients by ten thousand Parameters at once cost no more than as many nodes") {
  std::vector<Parameter> all;
  for (int i = 0; i < 10'000; ++i) all.emplace_back(full({}, i, f64));
  Graph graph;
  const std::vector<Tensor> leaves(all.begin(), all.end());
  Tensor total = tensor(0.0, f64);
  for (const Tensor& leaf : leaves) total = total + leaf * leaf;
  const std::vector<Tensor> slopes = graph.gradient(total, leaves);  // each looked for among all: 10^8 steps
  CHECK(slopes[7].item() == 14);
  CHECK(slopes[9'999].item() == 2 * 9'999);
}

TEST_CASE("a slice's gradient is added to one that arrived as a view of another") {
  Graph graph;
  const Tensor x = graph.variable(ones({2, 3}, f64));
  const Tensor part = slice(x, 1, 3, 1), flat = reshape(x, {6});
  (sum(flat * arange(6).to(f64)) + sum(part * 10)).backward();
  CHECK(x.grad().to_vector<double>() == std::vector<double>{0, 11, 12, 3, 14, 15});
}
