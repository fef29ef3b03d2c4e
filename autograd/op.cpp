#include "op.h"

#include "launch.h"
#include "list.h"
#include "ops.h"
#include "require.h"
#include "scope.h"

#include <fmt/format.h>

#include <algorithm>

namespace ebb::detail {

namespace {

[[noreturn]] void raise(Complaint::Kind kind, const std::string& message) {
  switch (kind) {
    case Complaint::dtype:
      throw DTypeError(message);
    case Complaint::index:
      throw IndexError(message);
    case Complaint::usage:
      throw UsageError(message);
    default:
      throw ShapeError(message);
  }
}

std::string operands_text(const Tensor* const* in, int n, bool with_types) {
  constexpr int most = 5;
  std::string text;
  for (int i = 0; i < std::min(n, most); ++i) {
    if (i > 0) text += ", ";
    if (with_types) text += fmt::format("{} ", to_string(in[i]->dtype()));
    text += to_string(in[i]->shape());
  }
  if (n > most) text += fmt::format(", +{} more", n - most);
  return text;
}

}  // namespace

int axis_of(const Shape& shape, int axis) {
  const int rank = shape.rank(), from_front = axis < 0 ? axis + rank : axis;
  if (from_front < 0 || from_front >= rank)
    throw Complaint{Complaint::index, fmt::format("axis {} is out of range for rank {}", axis, rank), {}};
  return from_front;
}

std::uint8_t axes_of(const Shape& shape, const Axes& axes) {
  unsigned bits = axes.all() ? (1u << shape.rank()) - 1 : 0;
  for (const int axis : axes) {
    const unsigned bit = 1u << axis_of(shape, axis);
    require((bits & bit) == 0, "axis {} is named twice", axis);
    bits |= bit;
  }
  return static_cast<std::uint8_t>(bits);
}

std::string where_in_model() {
  cannot_replay("makes a call that fails, and goes on");  // every message asks for the place
  for (const Scope* scope = Scope::current(); scope != nullptr; scope = scope->outer()) {
    const std::string_view name = scope->path().empty() ? scope->kind() : scope->path();
    if (!name.empty()) return fmt::format("\n  in {}", name);
  }
  return "";
}

void refuse(const Complaint& why, const std::string& what) {
  raise(why.kind, fmt::format("{}: {}{}{}{}", what, why.reason, where_in_model(),
                              why.help.empty() ? "" : "\n  help: ", why.help));
}

void refuse(const Complaint& why, const char* name, const Tensor* const* in, int n) {
  refuse(why, fmt::format("{}({})", name, operands_text(in, n, why.kind == Complaint::dtype)));
}

void undefined_operand(const char* name, int i) {
  const char* const ordinals[] = {"first", "second", "third", "fourth"};
  const std::string which = i < 4 ? std::string(ordinals[i]) : fmt::format("{}th", i + 1);
  throw UsageError(
      fmt::format("{}: the {} operand holds nothing: a Tensor made without a value{}", name, which, where_in_model()));
}

}  // namespace ebb::detail
