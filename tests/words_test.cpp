// The words for each op: its formula, its rule, and whether it is pointwise.
#include "op_table.h"

#include <doctest/doctest.h>
#include <ebb/autograd/autograd.h>

#include <algorithm>
#include <cmath>
#include <iterator>
#include <set>
#include <string>
#include <vector>

using namespace ebb;

namespace {

using Names = std::vector<std::string>;

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
