#include "telling.h"

#include "op.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>

namespace ebb::detail {

Survey survey(const Tensor& t) {
  Survey found;
  found.size = t.size();
  dispatch(t.dtype(), [&]<class T>(T) {
    const T* const x = read<T>(t);
    for (std::int64_t i = 0; i < found.size; ++i) {
      const auto v = static_cast<double>(x[i]);
      if (v == 0) ++found.zeros;
      if (std::isfinite(v)) continue;
      if (found.not_finite() == 0) found.first = i;
      ++(std::isnan(v) ? found.nan : found.infinite);
    }
  });
  return found;
}

double Observation::Sent::root_mean_square() const { return whole.defined() ? detail::root_mean_square(whole) : size; }
Survey Observation::Sent::survey() const { return whole.defined() ? detail::survey(whole) : numbers; }

void scalar_operands(const List& list, std::uint32_t id, std::vector<std::uint32_t>& ids, std::vector<double>& values,
                     std::vector<double>& derivatives) {
  const int arity = scalar_rule(list.code[id]).arity;
  const auto side = [&](std::uint32_t operand, double partial, double outer, auto&& self) -> void {
    if (operand != 0 && list.code[operand] == part_code) {
      const Entry& part = list.entry[operand];
      self(part.a, part.da, outer * partial, self);
      self(part.b, part.db, outer * partial, self);
      return;
    }
    ids.push_back(operand);
    values.push_back(operand == 0 ? partial : list.value[operand]);
    derivatives.push_back(operand == 0 ? std::numeric_limits<double>::quiet_NaN() : outer * partial);
  };
  side(list.entry[id].a, list.entry[id].da, 1.0, side);
  if (arity > 1) side(list.entry[id].b, list.entry[id].db, 1.0, side);
  ids.resize(std::min(ids.size(), static_cast<std::size_t>(arity)));
  values.resize(ids.size());
  derivatives.resize(ids.size());
}

std::string kind_of(const List& list, std::uint32_t id) {
  const std::uint16_t code = list.code[id];
  if (code == element_code) return "element";
  if (code >= first_rule_code) return scalar_rule(code).name;
  if (code == dead_code) return "value inside of a checkpoint";
  if (code != tensor_code) return "variable";
  const TensorNode& node = list.tensors[list.entry[id].a];
  if (node.op != nullptr) return node.op->name;
  return node.kind == Node::Kind::parameter ? "parameter" : node.kind == Node::Kind::variable ? "variable" : "constant";
}

std::string scope_of(const List& list, std::uint32_t id) {
  const List::ScopeEntry& scope = list.scopes[List::marked(list.marks, id)];
  return scope.path.empty() ? scope.kind : scope.path;
}

std::string called(const List& list, std::uint32_t id) {
  id = whole_op(list, id);
  const std::string kind = kind_of(list, id), scope = scope_of(list, id), name = list.name_of(id);
  const bool tensor = list.is_tensor(id);
  const bool leaf = tensor ? list.tensors[list.entry[id].a].op == nullptr : list.code[id] == leaf_code;
  const std::string where = scope.empty() ? "" : ", in " + scope;
  if (!leaf) return fmt::format("{} (node {}{})", kind, id, where);
  const std::string what = tensor ? fmt::format("{} {}", kind, to_string(list.tensors[list.entry[id].a].shape)) : kind;
  return name.empty() ? fmt::format("{} (node {}{})", what, id, where)
                      : fmt::format("\"{}\" (node {}, {}{})", name, id, what, where);
}

std::string place_text(const Shape& shape, std::int64_t place) {
  std::string text;
  for (int axis = shape.rank() - 1; axis >= 0; --axis) {
    text = fmt::format("{}{}{}", place % shape[axis], text.empty() ? "" : ", ", text);
    place /= shape[axis];
  }
  return "[" + text + "]";
}

double number_at(const Tensor& t, std::int64_t place) {
  return dispatch(t.dtype(), [&]<class T>(T) { return static_cast<double>(read<T>(t)[place]); });
}

std::vector<std::string> words(std::string_view text) {
  std::vector<std::string> all;
  while (!text.empty()) {
    const std::size_t end = std::min(text.find(' '), text.size());
    if (end > 0) all.emplace_back(text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return all;
}

}  // namespace ebb::detail
