#include "custom.h"

#include "error.h"
#include "list.h"
#include "op.h"
#include "ops.h"
#include "require.h"

#include <fmt/format.h>

#include <algorithm>
#include <memory>
#include <utility>

namespace ebb::detail {

namespace {

/// What a custom op carries into the graph.
struct Custom {
  static constexpr char name[] = "custom", formula[] = "", rule[] = "", operands[] = "";  // given by named_info()
  static constexpr Keep keep = Keep::inputs | Keep::output;
  std::shared_ptr<const CustomBackward> backward;
  const char* own_name;
  // The function gives all gradients at once, and backward asks for one after the other.
  mutable std::vector<Tensor> given{};
  mutable Tensor given_for{};
  mutable int last = 0;

  Tensor gradient(int i, const Tensor& dy, std::span<const Tensor> in, const Tensor& y) const;
};

/// The gradient of an op whose backward reads numbers: right, and not to be differentiated again.
struct Once {
  static constexpr char name[] = "custom_gradient", formula[] = "∇x", rule[] = "none", operands[] = "";
  static constexpr Keep keep = Keep::nothing;
  const char* of;

  Tensor gradient(int, const Tensor&, std::span<const Tensor>, const Tensor&) const {
    throw GraphError(fmt::format(
        "gradient(): custom \"{}\" can be differentiated once: its backward reads numbers, and what it does "
        "with them is not recorded\n  help: write its backward with ops on whole tensors",
        of));
  }
};

std::string asked(std::string_view name, std::span<const Tensor> in) {
  std::string shapes;
  for (const Tensor& x : in) shapes += (shapes.empty() ? "" : ", ") + to_string(x.shape());
  return fmt::format("custom \"{}\"({})", name, shapes);
}

/// The gradients that the function gives, each checked against its operand.
std::vector<Tensor> checked(const Custom& op, const Tensor& dy, std::span<const Tensor> in, const Tensor& y) {
  std::vector<Tensor> all = (*op.backward)(dy, {in.begin(), in.end()}, y);
  if (all.size() != in.size())
    throw UsageError(fmt::format("backward of {}: it returned {} gradients for {} operands", asked(op.own_name, in),
                                 all.size(), in.size()));
  for (std::size_t i = 0; i < in.size(); ++i) {
    if (!all[i].defined()) continue;
    if (all[i].shape() != in[i].shape())
      throw ShapeError(fmt::format("backward of {}: the gradient for operand {} is {}, and the operand {}",
                                   asked(op.own_name, in), i, to_string(all[i].shape()), to_string(in[i].shape())));
    if (all[i].dtype() != in[i].dtype())
      throw DTypeError(fmt::format("backward of {}: the gradient for operand {} is {}, and the operand {}",
                                   asked(op.own_name, in), i, to_string(all[i].dtype()), to_string(in[i].dtype())));
  }
  return all;
}

/// Whether elements were read as Scalars from entry `first` on: no one sees whether their value() was taken.
bool elements_read(const List& list, std::uint32_t first) {
  return std::find(list.code + first, list.code + list.size(), element_code) != list.code + list.size();
}

/// Recorded gradients: as ops if the function is made of ops, else as values that refuse to be differentiated.
std::vector<Tensor> recorded(const Custom& op, Tensor dy, std::span<const Tensor> in, const Tensor& y) {
  List& list = *recording_list();
  // A gradient made of ops shows that by being recorded; that takes a dy that is.
  if (impl(dy).graph != list.graph()) dy = list.leaf(dy);
  const std::uint64_t reads = numbers_read;
  const std::uint32_t first = list.size();
  std::vector<Tensor> all = checked(op, dy, in, y);
  const bool was_read = numbers_read != reads || elements_read(list, first);
  std::vector<const Tensor*> from = {&dy};
  for (const Tensor& x : in) from.push_back(&x);
  for (Tensor& dx : all) {
    if (!dx.defined() || (!was_read && impl(dx).graph == list.graph())) continue;
    dx = view(dx, dx.shape());
    const Once once{op.own_name};
    record(dx, op_info<Once>, &once, from.data(), static_cast<int>(from.size()), 0);
  }
  return all;
}

Tensor Custom::gradient(int i, const Tensor& dy, std::span<const Tensor> in, const Tensor& y) const {
  if (!given_for.defined() || &impl(given_for) != &impl(dy) || i <= last) {
    given = recording() ? recorded(*this, dy, in, y) : checked(*this, dy, in, y);
    given_for = dy;
  }
  last = i;
  return std::exchange(given[static_cast<std::size_t>(i)], Tensor());
}

}  // namespace

void custom_takes_other(std::string_view name, const char* which, std::size_t given) {
  throw UsageError(
      fmt::format("custom \"{}\": its {} does not take {} tensor{}\n"
                  "  help: {}",
                  name, which, given, given == 1 ? "" : "s",
                  std::string_view(which) == "forward"
                      ? "it takes the operands, one by one or as a const std::vector<Tensor>&"
                      : "backward(dy, a, b), backward(dy, a, b, y), or the operands as a const std::vector<Tensor>&"));
}

Tensor run_custom(std::string_view name, const std::vector<Tensor>& in, const CustomForward& forward,
                  CustomBackward backward) {
  if (name.empty()) throw UsageError("custom(\"\"): an op needs a name, under which graphs and errors show it");
  const OpInfo& info = named_info(op_info<Custom>, name, static_cast<int>(in.size()));
  std::vector<const Tensor*> operands;
  for (const Tensor& x : in) operands.push_back(&x);
  const Custom op{std::make_shared<const CustomBackward>(std::move(backward)), info.name};
  return apply_all(info, op, operands.data(), static_cast<int>(in.size()), [&] {
    const Unnoted unnoted(open_list);
    const Tensor y = forward(in);
    require(y.defined(), Complaint::usage, "its forward returned nothing");
    return view(y, y.shape());  // a head of its own, which the graph can mark
  });
}

}  // namespace ebb::detail
