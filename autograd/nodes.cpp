// Reading the list: what graph.nodes() tells of each entry.
#include "graph.h"
#include "list.h"
#include "telling.h"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <cmath>

namespace ebb {

using namespace detail;

namespace {

void describe_scalar(const List& list, std::uint32_t id, Node& node) {
  const std::uint16_t code = list.code[id];
  node.scalar = true;
  node.dtype = f64;
  node.value_number = list.value[id];
  if (code == leaf_code) {
    node.kind = Node::Kind::variable;
  } else if (code == element_code) {
    node.op = "element";
    node.formula = fmt::format("x[{}]", static_cast<std::int64_t>(list.entry[id].da));
    node.rule = "∇x[i] += g";
    node.inputs = {list.entry[id].a};
    node.operands = {"x"};
    if (list.observing && list.root != 0 && id <= list.root && list.adjoint[id] != 0) {
      const auto n = static_cast<double>(list.tensors[list.entry[list.entry[id].a].a].shape.size());
      node.contributions = {std::abs(list.adjoint[id]) / std::sqrt(n)};
    }
  } else {
    const ScalarRule& rule = scalar_rule(code);
    node.op = rule.name;
    node.formula = rule.formula;
    node.rule = rule.rule;
    std::vector<double> derivatives;
    scalar_operands(list, id, node.inputs, node.numbers, derivatives);
    if (list.observing && list.root != 0 && id <= list.root && list.adjoint[id] != 0)
      for (const double d : derivatives) node.contributions.push_back(std::abs(d * list.adjoint[id]));
    const char* const names[] = {"a", "b", "c", "d"};
    if (rule.arity == 1) node.operands = {"x"};
    else node.operands.assign(names, names + rule.arity);
  }
}

/// "a · b" and "∇a = g·b   ∇b = g·a" where the second operand is the number 2: "a · 2" and "∇a = g·2".
void put_number(const OpInfo& op, double number, Node& node) {
  const std::size_t gap = node.rule.find("   ");
  if (gap != std::string::npos) node.rule = op.number_first ? node.rule.substr(gap + 3) : node.rule.substr(0, gap);
  const char letter = op.number_first ? 'a' : 'b';
  const std::string text = fmt::format("{:.6g}", number);
  for (std::string* line : {&node.formula, &node.rule}) {
    std::string put;
    for (std::size_t i = 0; i < line->size(); ++i) {
      const auto is_letter = [&](std::size_t at) {
        return at < line->size() && std::isalpha(static_cast<unsigned char>((*line)[at]));
      };
      const bool alone = (*line)[i] == letter && !is_letter(i + 1) && (i == 0 || !is_letter(i - 1));
      if (alone) put += text;
      else put += (*line)[i];
    }
    *line = put;
  }
}

void describe_tensor(const List& list, std::uint32_t id, Node& node) {
  const std::size_t place = list.entry[id].a;
  const TensorNode& known = list.tensors[place];
  node.kind = known.kind;
  node.shape = known.shape;
  node.dtype = known.dtype;
  if (known.op != nullptr) {
    node.op = known.op->name;
    node.formula = known.op->formula;
    node.rule = known.op->rule;
    node.operands = words(known.op->operands);
    node.inputs.assign(known.input, known.input + known.count);
    if (known.op->number != nullptr) put_number(*known.op, known.op->number(known.self), node);
    const auto bytes = [](const Shape& s, DType d) { return s.size() * static_cast<std::int64_t>(size_of(d)); };
    for (std::uint32_t i = 0; i < known.count && !is_stack(known); ++i) {
      const TensorNode& input = list.tensors[list.entry[known.input[i]].a];
      if (!keeps_input(known.op->keep, static_cast<int>(i)) || input.kind == Node::Kind::parameter) continue;
      node.saved.push_back({i < node.operands.size() ? node.operands[i] : "x", bytes(input.shape, input.dtype)});
    }
    if (known.holds_output) node.saved.push_back({"y", bytes(known.shape, known.dtype)});
  }
  if (known.output != nullptr) node.value = view(share(known.output), known.shape);
  if (known.gradient != nullptr) node.gradient = share(known.gradient);
  node.differentiated = known.reached;
  if (list.observing) {
    const Observation& seen = list.observations[place];
    node.forward_seconds = seen.forward_seconds;
    node.backward_seconds = seen.backward_seconds;
    node.uses = seen.uses;
    node.contributions = seen.contributions;
  }
}

}  // namespace

std::vector<Node> Graph::nodes() const {
  const List& list = *list_;
  std::vector<Node> all;
  all.reserve(size());
  std::size_t mark = 0;
  for (std::uint32_t id = 1; id < list.size(); ++id) {
    if (list.code[id] == part_code || list.code[id] == dead_code) continue;
    Node& node = all.emplace_back();
    node.id = id;
    node.name = list.name_of(id);
    while (mark < list.marks.size() && list.marks[mark].first <= id) ++mark;
    if (mark > 0 && list.marks[mark - 1].second != 0) {
      node.scope_call = list.marks[mark - 1].second;
      const List::ScopeEntry& scope = list.scopes[node.scope_call];
      node.scope = scope.path.empty() ? scope.kind : scope.path;
      node.scope_kind = scope.kind;
    }
    if (list.is_tensor(id)) describe_tensor(list, id, node);
    else describe_scalar(list, id, node);
    if (node.scalar && list.root != 0 && id <= list.root) {
      node.gradient_number = list.adjoint[id];
      node.differentiated = list.adjoint[id] != 0;
    }
  }
  // Backward is one loop from the loss down, so the order of its steps can be told from which nodes it reached.
  std::uint32_t order = 0;
  for (auto node = all.rbegin(); node != all.rend(); ++node)
    if (node->kind == Node::Kind::op && node->differentiated) node->order = ++order;
  return all;
}

}  // namespace ebb
