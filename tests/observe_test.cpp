// What a graph tells of its nodes for pictures: what observing keeps, orders, gradients that were sent, what gradient()
// recorded, and the words for each op.
#include "draw.h"
#include "op_table.h"
#include "programs.h"

#include <doctest/doctest.h>
#include <ebb/autograd/memory.h>
#include <ebb/nn/nn.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

using namespace ebb;

namespace {

using Numbers = std::vector<double>;
using Names = std::vector<std::string>;

double rms(const Numbers& g) {
  double total = 0;
  for (const double v : g) total += v * v;
  return g.empty() ? 0 : std::sqrt(total / static_cast<double>(g.size()));
}

/// Equal, or neither is a number.
bool same(const Numbers& a, const Numbers& b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(),
                    [](double v, double w) { return v == w || (std::isnan(v) && std::isnan(w)); });
}
bool same(const Tensor& a, const Tensor& b) {
  return a.defined() ? b.defined() && a.shape() == b.shape() && same(a.to_vector<double>(), b.to_vector<double>())
                     : !b.defined();
}

/// The node that came last.
Node newest(const Graph& graph) { return graph.nodes().back(); }

/// "formula | rule" of what f computes of variables of these shapes.
template <class F> std::string words(const std::vector<Shape>& shapes, F f) {
  Graph graph;
  std::vector<Tensor> x;
  for (const Shape& shape : shapes) x.push_back(graph.variable(ones(shape)));
  f(x);
  const Node node = newest(graph);
  return node.formula + " | " + node.rule;
}

/// Each op that came later, as that of whose backward it is: "mul for tanh in enc.0, ...".
std::string backward_ops(const Graph& graph, std::uint32_t after) {
  const std::vector<Node> nodes = graph.nodes();
  std::map<std::uint32_t, const Node*> by_id;
  for (const Node& node : nodes) by_id[node.id] = &node;
  std::string all;
  for (const Node& node : nodes) {
    if (node.id <= after || node.kind != Node::Kind::op) continue;
    const Node* const origin = by_id[node.backward_of];
    std::string text = node.op + " for " +
                       (origin == nullptr    ? "none"
                        : origin->op.empty() ? origin->name
                                             : origin->op);
    if (!node.scope.empty()) text += " in " + node.scope;
    all += (all.empty() ? "" : ", ") + text;
  }
  return all;
}

}  // namespace

// ---- each_node() -------------------------------------------------------------------------------------------------

TEST_CASE("each_node() tells of each node what nodes() tells, on both lanes and of both kinds of backward") {
  Parameter w(ones({2, 3}, f64));
  w.rename("w");
  Graph graph({.observe = true});
  const Tensor x = graph.variable(ones({4, 3}, f64), "x");
  const Scalar s = graph.variable(0.5, "s");
  Tensor y;
  {
    const Scope scope("layer", "Layer(3 -> 2)");
    y = tanh(matmul(x, w, {.tb = true}) * 2.0) + s;
  }
  const Scalar a = y(0, 0) * s, b = clamp(a, -1, 1) + y(1, 1);
  const Tensor loss = sum(y * stack({a, b})) + b;
  sum(graph.gradient(loss, x)).backward({.retain = true});
  const std::vector<Node> nodes = graph.nodes();
  std::size_t i = 0;
  graph.each_node([&](const Node& node) {
    REQUIRE(i < nodes.size());
    const Node& known = nodes[i++];
    CAPTURE(known.id);
    CHECK(node.id == known.id);
    CHECK(node.kind == known.kind);
    CHECK(node.scalar == known.scalar);
    CHECK(node.op == known.op);
    CHECK(node.formula == known.formula);
    CHECK(node.rule == known.rule);
    CHECK(node.pointwise == known.pointwise);
    CHECK(node.inputs == known.inputs);
    CHECK(node.operands == known.operands);
    CHECK(same(node.numbers, known.numbers));
    CHECK(node.shape == known.shape);
    CHECK(node.dtype == known.dtype);
    CHECK(node.scope == known.scope);
    CHECK(node.scope_call == known.scope_call);
    CHECK(node.scope_kind == known.scope_kind);
    CHECK(node.backward_of == known.backward_of);
    CHECK(node.name == known.name);
    CHECK(node.saved.size() == known.saved.size());
    CHECK(same(node.value, known.value));
    CHECK(same(node.gradient, known.gradient));
    CHECK(node.value_number == known.value_number);
    CHECK(node.gradient_number == known.gradient_number);
    CHECK(node.order == known.order);
    CHECK(node.differentiated == known.differentiated);
    CHECK(node.uses == known.uses);
    CHECK(same(node.contributions, known.contributions));
    CHECK(same(node.sent_numbers, known.sent_numbers));
    CHECK(node.sent.size() == known.sent.size());
  });
  CHECK(i == graph.size());
  CHECK(i > 20);
}

TEST_CASE("a node of one lane has nothing left of a node of the other that came before") {
  Graph graph({.observe = true});
  const Tensor x = graph.variable(ones({3}), "x");
  const Scalar s = x(1), t = s * 2 + s;
  sum(exp(x) * t).backward();
  graph.each_node([&](const Node& node) {
    CAPTURE(node.op);
    CHECK((node.kind == Node::Kind::op) == !node.rule.empty());
    CHECK(node.inputs.size() >= node.operands.size());
    if (!node.scalar) {
      CHECK(node.numbers.empty());
      CHECK(node.value_number == 0);
      return;
    }
    CHECK_FALSE(node.value.defined());
    CHECK_FALSE(node.gradient.defined());
    CHECK(node.shape == Shape{});
    CHECK(node.dtype == f64);
    CHECK(node.saved.empty());
    CHECK(node.sent.empty());
    CHECK(node.uses == 0);
    CHECK(node.forward_seconds == 0);
  });
}

TEST_CASE("a million nodes are visited in a moment and in no memory") {
  Graph graph;
  const Scalar x = graph.variable(1.0);
  Scalar y = x;
  for (int i = 0; i < 250000; ++i) y = tanh(y * 0.5 + x * 0.25);
  y.backward();
  const auto started = std::chrono::steady_clock::now();
  std::size_t count = 0;
  std::uint32_t last_order = 0;
  graph.each_node([&](const Node& node) {
    ++count;
    last_order = node.order;
  });
  const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - started).count();
  CHECK(count == 1000001);
  CHECK(last_order == 1);
  CHECK(seconds < 2);  // 0.1 of them, on a machine that does nothing else
}

// ---- orders ------------------------------------------------------------------------------------------------------

TEST_CASE("the orders of random graphs are the order in which their backward functions really ran") {
  for (std::uint64_t seed = 0; seed < 100; ++seed) {
    Generator generator(seed);
    const auto below = [&](std::size_t n) {
      return static_cast<std::size_t>(randint(0, static_cast<std::int64_t>(n), {}, generator).item());
    };
    Names ran;
    Graph graph({.observe = seed % 2 == 0});
    std::vector<Tensor> tensors = {graph.variable(full({2}, 0.5, f64))};
    std::vector<Scalar> scalars = {graph.variable(0.25)};
    std::map<std::uint32_t, std::string> names;
    for (int k = 0; k < 30; ++k) {
      const std::string name = "n" + std::to_string(k);
      if (below(2) == 0) {
        const Tensor a = tensors[below(tensors.size())],
                     b = tensors[below(tensors.size())] * scalars[below(scalars.size())];
        tensors.push_back(custom(
            name, {a, b}, [](const Tensor& p, const Tensor& q) { return 0.5 * (p + q); },
            [&ran, name](const Tensor& g, const Tensor&, const Tensor&) {
              ran.push_back(name);
              return std::pair(g * 0.5, g * 0.5);
            }));
        names[newest(graph).id] = name;
      } else {
        const Scalar a = scalars[below(scalars.size())], b = tensors[below(tensors.size())](1);
        scalars.push_back(a * 0.5 + b);
        graph.on_gradient(scalars.back(), [&ran, name](double) { ran.push_back(name); });
        names[newest(graph).id] = name;
      }
    }
    (sum(tensors.back()) * scalars.back()).backward();
    std::map<std::uint32_t, std::string> told;
    std::set<std::uint32_t> orders;
    for (const Node& node : graph.nodes()) {
      if (node.order == 0) continue;
      CHECK(orders.insert(node.order).second);
      if (names.contains(node.id)) told[node.order] = names[node.id];
    }
    CHECK(*orders.rbegin() == orders.size());  // each from 1 on
    Names in_order;
    for (const auto& each : told) in_order.push_back(each.second);
    CHECK(ran.size() > 1);
    CHECK(in_order == ran);
  }
}

// ---- what gradient() recorded ------------------------------------------------------------------------------------

TEST_CASE("ops that gradient() recorded belong to the op whose backward they are, and to its module") {
  Graph graph;
  const Tensor x = graph.variable(tensor({1, 2}, f64), "x");
  Tensor h, y;
  {
    const Scope scope("enc.0", "First");
    h = tanh(x);
  }
  {
    const Scope scope("enc.1", "Second");
    y = exp(h) * h;
  }
  const Tensor loss = sum(y);
  const std::uint32_t before = newest(graph).id;
  for (const Node& node : graph.nodes()) CHECK(node.backward_of == 0);

  const Tensor g = graph.gradient(loss, x);
  CHECK(
      backward_ops(graph, before) ==
      "mul for mul in enc.1, mul for mul in enc.1, mul for exp in enc.1, add for tanh in enc.0, mul for tanh in enc.0, "
      "sub for tanh in enc.0, mul for tanh in enc.0");
  for (const Node& node : graph.nodes())
    if (node.id > before && node.scope == "enc.0") CHECK(node.scope_kind == "First");
  const std::uint32_t first = newest(graph).id;

  const Tensor slope = sum(g * g);
  CHECK(backward_ops(graph, first) == "mul for none, sum for none");
  const std::uint32_t second = newest(graph).id;
  graph.gradient(slope, x);
  std::set<std::string> found;
  std::size_t of_backward = 0;
  for (const Node& node : graph.nodes()) {
    if (node.id <= second || node.kind != Node::Kind::op) continue;
    CHECK(node.backward_of != 0);
    CHECK(node.backward_of <= second);
    of_backward += node.backward_of > before && node.backward_of <= first;
    found.insert(node.scope);
  }
  CHECK(of_backward > 5);  // of ops that the first gradient recorded
  CHECK(found == std::set<std::string>{"", "enc.0", "enc.1"});
}

TEST_CASE("gradient() of Scalars tells the same") {
  Graph graph;
  const Scalar x = graph.variable(0.5, "x");
  Scalar y;
  {
    const Scope scope("cell");
    y = sin(x) * x;
  }
  const std::uint32_t before = newest(graph).id;
  const Scalar g = graph.gradient(y, x);
  // d(sin(x)·x) = 1·x·cos(x) + 1·sin(x): the two meet at x, which is of no module.
  CHECK(backward_ops(graph, before) ==
        "mul for mul in cell, mul for mul in cell, cos for sin in cell, mul for sin in cell, add for x");
  const std::uint32_t first = newest(graph).id;
  graph.gradient(g, x);
  for (const Node& node : graph.nodes())
    if (node.id > first && node.kind == Node::Kind::op) CHECK(node.backward_of != 0);
  CHECK(newest(graph).backward_of == 1);
}

TEST_CASE("what a fused op's backward records is all that op's") {
  Graph graph;
  const Tensor gates = graph.variable(ones({2, 8}, f64)), c = graph.variable(ones({2, 2}, f64));
  Tensor y;
  {
    const Scope scope("lstm");
    y = lstm_cell(gates, c);
  }
  const std::uint32_t cell = newest(graph).id;
  const Tensor loss = sum(y);
  const std::uint32_t before = newest(graph).id;
  graph.gradient(loss, {gates, c});
  int count = 0;
  for (const Node& node : graph.nodes()) {
    if (node.id <= before || node.kind != Node::Kind::op || node.backward_of == before) continue;
    CHECK(node.backward_of == cell);
    CHECK(node.scope == "lstm");
    ++count;
  }
  CHECK(count > 10);
}

TEST_CASE("what comes after gradient() is the program's own again, also where that failed") {
  Graph graph;
  const Tensor x = graph.variable(ones({2}, f64));
  const auto reads_numbers = [](const Tensor& g, const Tensor&) { return full({2}, g.data<double>()[0], f64); };
  const Scope outer("model");
  Tensor y;
  {
    const Scope inner("model.part");
    y = custom(
        "once", {x}, [](const Tensor& a) { return a * 1.0; }, reads_numbers);
  }
  const Tensor g = graph.gradient(sum(y), x);
  CHECK_THROWS_AS(graph.gradient(sum(g), x), GraphError);
  const Tensor after = exp(x);
  CHECK(newest(graph).backward_of == 0);
  CHECK(newest(graph).scope == "model");
  CHECK(after.size() == 2);
}

TEST_CASE("hvp() and vjp() inside of a graph tell whose backward they recorded") {
  Graph graph;
  const Tensor x = graph.variable(tensor({1, 2}, f64));
  const auto f = [](const Tensor& a) {
    const Scope scope("f");
    return sum(a * a * a);
  };
  hvp(f, x, tensor({1, 0}, f64));
  int of_backward = 0, of_forward = 0;
  for (const Node& node : graph.nodes()) {
    if (node.kind != Node::Kind::op) continue;
    (node.backward_of != 0 ? of_backward : of_forward) += 1;
    if (node.backward_of != 0 && node.op == "mul") CHECK(node.scope == "f");
  }
  CHECK(of_forward == 4);  // the argument, two products, the sum
  CHECK(of_backward > 8);
}

// ---- what was sent -----------------------------------------------------------------------------------------------

namespace {

/// The gradients that arrive at each node, added up from what the nodes that use it sent; and which of them are whole.
struct Arrivals {
  std::map<std::uint32_t, Numbers> sum, size;
  std::set<std::uint32_t> partly;

  Arrivals(const std::vector<Node>& nodes, std::uint32_t root) {
    std::map<std::uint32_t, const Node*> by_id;
    for (const Node& node : nodes) {
      by_id[node.id] = &node;
      sum[node.id] = size[node.id] = Numbers(static_cast<std::size_t>(node.shape.size()), 0.0);
    }
    sum[root].assign(1, 1.0);
    for (const Node& node : nodes) {
      if (node.op == "checkpoint") partly.insert(node.inputs.begin(), node.inputs.end());
      for (std::size_t i = 0; i < node.contributions.size(); ++i) {
        if (std::isnan(node.contributions[i])) continue;
        const std::uint32_t id = node.inputs[i];
        if (node.op == "element") {
          add(id, static_cast<std::size_t>(std::stoi(node.formula.substr(2))), node.sent_numbers[i]);
        } else if (i < node.sent_numbers.size()) {
          add(id, 0, node.sent_numbers[i]);
          CHECK(node.contributions[i] == std::abs(node.sent_numbers[i]));
        } else if (node.sent[i].defined()) {
          const Numbers sent = node.sent[i].to_vector<double>();
          CHECK(node.sent[i].shape() == by_id[id]->shape);
          CHECK(node.contributions[i] == doctest::Approx(rms(sent)).epsilon(1e-14));
          for (std::size_t k = 0; k < sent.size(); ++k) add(id, k, sent[k]);
        } else {
          partly.insert(id);
        }
      }
    }
  }

  void add(std::uint32_t id, std::size_t place, double g) {
    sum[id][place] += g;
    size[id][place] += std::abs(g);
  }
};

/// The program's gradients and, if it observes, all nodes.
std::pair<programs::Gradients, std::vector<Node>> swept(const programs::Program& program, bool observe) {
  Graph graph({.observe = observe});
  programs::Run run(graph, program);
  programs::Gradients gradients = run.swept();
  return {std::move(gradients), graph.nodes()};  // the graph closes here, and the nodes keep what they hold
}

}  // namespace

TEST_CASE(
    "at every node of random programs the gradient is the sum of what its uses sent, and observing changes none") {
  std::size_t whole = 0, parts = 0, several = 0;
  for (std::uint64_t seed = 0; seed < 400; ++seed) {
    const programs::Program program = programs::Draw(seed).program();
    CAPTURE(seed);
    const auto [gradients, nodes] = swept(program, true);
    const auto plain = swept(program, false).first;
    REQUIRE(gradients.size() == plain.size());
    for (std::size_t i = 0; i < plain.size(); ++i) CHECK(same(gradients[i].second, plain[i].second));

    const auto root = std::find_if(nodes.begin(), nodes.end(), [](const Node& node) { return node.order == 1; });
    if (root == nodes.end()) continue;
    const Arrivals arrivals(nodes, root->id);
    for (const Node& node : nodes) {
      if (node.kind == Node::Kind::constant || node.dtype == i64) continue;
      ++(arrivals.partly.contains(node.id) ? parts : whole);
      if (arrivals.partly.contains(node.id)) continue;
      const Numbers arrived = node.scalar               ? Numbers{node.gradient_number}
                              : node.gradient.defined() ? node.gradient.to_vector<double>()
                                                        : Numbers(arrivals.sum.at(node.id).size(), 0.0);
      const Numbers &sum = arrivals.sum.at(node.id), &size = arrivals.size.at(node.id);
      REQUIRE(arrived.size() == sum.size());
      several += node.uses > 1;
      for (std::size_t k = 0; k < sum.size(); ++k) CHECK(std::abs(arrived[k] - sum[k]) <= 1e-12 * (1 + size[k]));
    }
  }
  MESSAGE(whole << " nodes, " << several << " of them with several tensors, and " << parts
                << " of which parts were sent");
  CHECK(whole > 20 * parts);
  CHECK(several > 500);
}

TEST_CASE("a second backward forgets what nodes sent in the first") {
  Graph graph({.observe = true});
  const Tensor x = graph.variable(ones({3}, f64));
  const Tensor a = sum(exp(x)), b = sum(x * 2.0);
  a.backward();
  CHECK(graph.nodes()[1].contributions.size() == 1);
  b.backward();
  const Node exponential = graph.nodes()[1];
  CHECK(exponential.op == "exp");
  CHECK(exponential.order == 0);
  CHECK(exponential.contributions.empty());
  CHECK(exponential.sent.empty());
  CHECK(exponential.backward_seconds == 0);
}

TEST_CASE("observe() again changes nothing") {
  Graph graph;
  graph.observe();
  const Tensor x = graph.variable(ones({3}, f64));
  sum(exp(x)).backward();
  graph.observe();
  CHECK(graph.nodes()[1].contributions.size() == 1);
  CHECK(graph.nodes()[1].uses == 1);
}

TEST_CASE("training steps that are observed take no more memory, however many there are") {
  seed(1);
  nn::Sequential model{nn::Dense(10, 64), nn::ReLU(), nn::Dense(64, 1), nn::Sigmoid()};
  const Tensor x = randn({32, 10}), y = (rand({32, 1}) > 0.5).to(f32);
  const auto step = [&] {
    Graph graph({.observe = true});
    nn::binary_cross_entropy(model(x), y).backward();
    for (auto& [name, parameter] : nn::parameters(model)) parameter.clear_grad();
  };
  for (int i = 0; i < 3; ++i) step();
  const std::int64_t before = detail::bytes_held.now;
  detail::bytes_held.most = before;
  step();
  const std::int64_t most = detail::bytes_held.most;
  CHECK(detail::bytes_held.now == before);
  CHECK(most > before);
  for (int i = 0; i < 50; ++i) step();
  CHECK(detail::bytes_held.now == before);
  CHECK(detail::bytes_held.most == most);
}

TEST_CASE(
    "observing a long sequence that is read step by step needs memory for what was computed, not for its square") {
  constexpr std::int64_t steps = 1000, wide = 64;
  const std::int64_t before = detail::bytes_held.now;
  detail::bytes_held.most = before;
  Graph graph({.observe = true});
  const Tensor x = graph.variable(ones({steps, wide}));
  Tensor total = zeros({wide});
  for (std::int64_t t = 0; t < steps; ++t) total = total + x[t];
  sum(total).backward();
  const std::int64_t once = steps * wide * 4;
  CHECK(detail::bytes_held.most - before < 16 * once);
  double squares = 0;
  graph.each_node([&](const Node& node) {
    if (node.op != "slice") return;
    REQUIRE(node.contributions.size() == 1);
    squares += node.contributions[0] * node.contributions[0];
    CHECK_FALSE(node.sent[0].defined());
  });
  CHECK(squares == doctest::Approx(1));  // each sent ones to its thousandth of x
}

// ---- words -------------------------------------------------------------------------------------------------------

namespace {

/// Calls check(node, whether the op is elementwise) of each op that the table's lines record, with what backward saw.
template <class Check> void for_each_op(Check&& check) {
  for (const table::OpCase& op : table::op_cases())
    for (const std::vector<Shape>& shapes : op.shapes) {
      Graph graph({.observe = true});
      table::Operands x;
      for (const Tensor& input : table::samples(op, shapes)) x.push_back(graph.variable(input));
      const Tensor y = op.call(x);
      const std::size_t own = graph.size();
      Tensor loss = sum(square(y));
      if (op.differentiable) {
        Tensor slope = zeros({}, f64);
        for (const Tensor& g : graph.gradient(loss, x)) slope = slope + sum(g * g);
        loss = loss + slope;
        loss.backward();
      }
      CAPTURE(op.name);
      std::size_t place = 0;
      graph.each_node([&](const Node& node) {
        if (node.kind == Node::Kind::op) check(node, place < own && bool(op.scalar));
        ++place;
      });
    }
}

}  // namespace

TEST_CASE("every op that is differentiated says what it computes, and a rule for each operand that gets a gradient") {
  std::set<std::string> ops;
  const std::set<std::string> own_letters = {"lstm_cell", "gru_cell", "concat", "stack"};
  for_each_op([&](const Node& node, bool) {
    CAPTURE(node.op);
    CAPTURE(node.rule);
    ops.insert(node.op);
    CHECK_FALSE(node.formula.empty());
    CHECK(node.rule.starts_with("∇"));
    CHECK(node.rule.find('=') != std::string::npos);
    if (own_letters.contains(node.op)) return;
    CHECK(node.operands.size() == node.inputs.size());
    for (std::size_t i = 0; i < node.contributions.size(); ++i)
      if (!std::isnan(node.contributions[i])) CHECK(node.rule.find("∇" + node.operands[i]) != std::string::npos);
  });
  CHECK(ops.size() > 80);
}

TEST_CASE("every elementwise op of the table is pointwise, on both lanes, and what mixes places is not") {
  std::set<std::string> pointwise, other;
  for_each_op([&](const Node& node, bool elementwise) {
    CAPTURE(node.op);
    if (elementwise) CHECK(node.pointwise);
    (node.pointwise ? pointwise : other).insert(node.op);
  });
  Names both;
  std::set_intersection(pointwise.begin(), pointwise.end(), other.begin(), other.end(), std::back_inserter(both));
  CHECK(both == Names{});
  CHECK(pointwise.size() >= 40);
  for (const char* name : {"sum", "mean", "matmul", "affine", "softmax", "reshape", "permute", "broadcast_to", "slice",
                           "concat", "cumsum", "conv2d", "embedding", "gather", "batch_norm", "lstm_cell"})
    CHECK(other.contains(name));
  CHECK(pointwise.contains("where"));

  Graph graph;
  const Scalar a = graph.variable(0.5);
  const Tensor t = graph.variable(ones({2}));
  exp(a * 2) + a;
  t(1);
  for (const Node& node : graph.nodes()) CHECK(node.pointwise == (node.op != "element" && !node.op.empty()));
  t.to(f64);
  CHECK(newest(graph).pointwise);
  elementwise("swish", [](auto x) { return x / (1 + exp(-x)); })(t);
  CHECK(newest(graph).pointwise);
  custom(
      "mine", {t}, [](const Tensor& x) { return x * 2.0; }, [](const Tensor& g) { return g * 2.0; });
  CHECK_FALSE(newest(graph).pointwise);
}

TEST_CASE("an op's words are of this very op: its numbers, parts, flags, and what broadcasts") {
  using X = const std::vector<Tensor>&;
  const Shape v{3}, m{2, 3};
  CHECK(words({v}, [](X x) { return x[0] * 2; }) == "a · 2 | ∇a = g·2");
  CHECK(words({v}, [](X x) { return x[0] * -2; }) == "a · (−2) | ∇a = g·(−2)");
  CHECK(words({v}, [](X x) { return -2 * x[0]; }) == "−2 · b | ∇b = g·(−2)");
  CHECK(words({v}, [](X x) { return x[0] - 0.5; }) == "a − 0.5 | ∇a = g");
  CHECK(words({v}, [](X x) { return 3 / x[0]; }) == "3 / b | ∇b = −g·y/b");
  CHECK(words({v}, [](X x) { return maximum(x[0], -1); }) == "max(a, −1) | ∇a = g ⊙ ([a>−1] + ½[a=−1])");
  CHECK(words({v}, [](X x) { return pow(x[0], 3); }) == "a³ | ∇a = g·3·a²");
  CHECK(words({v}, [](X x) { return pow(x[0], 2); }) == "a² | ∇a = g·2·a");
  CHECK(words({v}, [](X x) { return pow(x[0], -1); }) == "a⁻¹ | ∇a = g·(−1)·a⁻²");
  CHECK(words({v}, [](X x) { return pow(x[0], 1.5); }) == "a^1.5 | ∇a = g·1.5·a^0.5");
  CHECK(words({v}, [](X x) { return pow(2, x[0]); }) == "2ᵇ | ∇b = g·y·log 2");
  CHECK(words({v, v}, [](X x) { return pow(x[0], x[1]); }) == "aᵇ | ∇a = g·b·aᵇ⁻¹   ∇b = g·y·log a");
  CHECK(words({m, v}, [](X x) { return x[0] + x[1]; }) == "a + b | ∇a = g   ∇b = Σ g");
  CHECK(words({v, m}, [](X x) { return x[0] * x[1]; }) == "a · b | ∇a = Σ g·b   ∇b = g·a");
  CHECK(words({m, v}, [](X x) { return x[0] - x[1]; }) == "a − b | ∇a = g   ∇b = Σ (−g)");
  CHECK(words({m, v}, [](X x) { return where(x[0] > 0, x[0], x[1]); }) == "c ? a : b | ∇a = g ⊙ [c]   ∇b = Σ g ⊙ [¬c]");
  CHECK(words({m, m}, [](X x) { return matmul(x[0], x[1], {.tb = true}); }) == "a·bᵀ | ∇a = g·b   ∇b = gᵀ·a");
  CHECK(words({m, m}, [](X x) { return matmul(x[0], x[1], {.ta = true}); }) == "aᵀ·b | ∇a = b·gᵀ   ∇b = a·g");
  CHECK(words({m, {3, 2}}, [](X x) { return matmul(x[0], x[1]); }) == "a·b | ∇a = g·bᵀ   ∇b = aᵀ·g");
  CHECK(words({m, {4, 2}}, [](X x) { return matmul(x[0], x[1], {.ta = true, .tb = true}); }) ==
        "aᵀ·bᵀ | ∇a = bᵀ·gᵀ   ∇b = gᵀ·aᵀ");
  CHECK(words({m}, [](X x) { return transpose(x[0]); }) == "xᵀ | ∇x = gᵀ");
  CHECK(words({{2, 3, 4}}, [](X x) { return permute(x[0], {1, 0, 2}); }) == "x, axes reordered | ∇x = g, axes back");
  CHECK(words({m}, [](X x) { return slice(x[0], 1, 3, 1); }) == "x[:, 1:3] | ∇x[:, 1:3] += g");
  CHECK(words({m}, [](X x) { return slice(x[0], 0, 1); }) == "x[0:1] | ∇x[0:1] += g");
  CHECK(words({v}, [](X x) { return x[0].to(f64); }) == "x as f64 | ∇x = g");
  CHECK(words({v}, [](X x) { return clamp(x[0], -0.5, 2); }) == "x in [-0.5, 2] | ∇x = g ⊙ [-0.5≤x≤2]");
  CHECK(words({v}, [](X x) { return elementwise("twice", [](auto a) { return a + a; })(x[0]); }) ==
        "twice(x) | ∇x = g·∂twice/∂x");
  CHECK(words({{4, 2}, {2}}, [](X x) {
          return batch_norm(x[0], x[1], x[1], Moments{zeros({2}), ones({2})}, 1e-5);
        }) == "x̂·w + b, x̂ = (x − μ)/σ | ∇x = g·w/σ   ∇w = Σ g·x̂   ∇b = Σ g");
}
