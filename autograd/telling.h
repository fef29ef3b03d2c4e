// What reports on a graph share: how they call an entry, and what its operands are.
#pragma once

#include "list.h"

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace ebb::detail {

/// Calls f(i, operand) for each operand of an entry that is an entry itself.
template <class F> void each_operand(const List& list, std::uint32_t id, F&& f) {
  const std::uint16_t code = list.code[id];
  if (code == tensor_code) {
    const TensorNode& node = list.tensors[list.entry[id].a];
    for (std::uint32_t i = 0; i < node.count; ++i)
      if (node.input[i] != 0) f(i, node.input[i]);
  } else if (code == part_code || code == element_code || code >= first_rule_code) {
    if (list.entry[id].a != 0) f(0u, list.entry[id].a);
    if (list.entry[id].b != 0 && code != element_code) f(1u, list.entry[id].b);
  }
}

/// The operands of a scalar op, those of its parts included: ids, values and, where the operand is a node, the op's
/// derivative by it.
void scalar_operands(const List& list, std::uint32_t id, std::vector<std::uint32_t>& ids, std::vector<double>& values,
                     std::vector<double>& derivatives);

/// A part of an op counts as the op.
inline std::uint32_t whole_op(const List& list, std::uint32_t id) {
  while (list.code[id] == part_code) ++id;
  return id;
}

/// "matmul"; "variable", "parameter" or "constant" of a leaf.
std::string kind_of(const List& list, std::uint32_t id);
/// The module that an entry belongs to, e.g. "encoder.0"; empty outside of any.
std::string scope_of(const List& list, std::uint32_t id);
/// "relu (node 7, in hidden)"; `"w" (node 3, variable [4])`.
std::string called(const List& list, std::uint32_t id);
/// The first tensor op whose numbers the list did not keep; 0 if none.
std::uint32_t unobserved(const List& list);
/// What graph.check() says: where the first number came to be that is not finite.  Needs a list of which no numbers are
/// unobserved.
std::string first_not_finite(const List& list);
/// "[0, 5]": where in a tensor of that shape the element lies.
std::string place_text(const Shape& shape, std::int64_t place);
/// Any element, as a double.
double number_at(const Tensor& t, std::int64_t place);
/// "x W b" as words.
std::vector<std::string> words(std::string_view text);

}  // namespace ebb::detail
