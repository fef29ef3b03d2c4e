// What a graph tells of the ops that gradient() recorded: whose backward they are, and in which module.
#include <doctest/doctest.h>
#include <ebb/autograd/autograd.h>

#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <vector>

using namespace ebb;

namespace {

/// The node that came last.
Node newest(const Graph& graph) { return graph.nodes().back(); }

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
