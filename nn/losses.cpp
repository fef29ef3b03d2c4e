#include "losses.h"

#include "../autograd/error.h"
#include "../autograd/op.h"
#include "../autograd/ops.h"

#include <fmt/format.h>

#include <string>
#include <vector>

namespace ebb::nn {

namespace {

using ebb::detail::Complaint;

[[noreturn]] void refuse(Complaint::Kind kind, std::string reason, std::string help, const char* loss,
                         const Tensor& prediction, const Tensor& target) {
  const Tensor* operands[] = {&prediction, &target};
  ebb::detail::refuse({kind, std::move(reason), std::move(help)}, loss, operands, 2);
}

/// "64 x 64", or "" for shapes that do not broadcast.
std::string pairs(const Shape& a, const Shape& b) {
  try {
    const Shape both = broadcast(a, b);
    return fmt::format("{}", fmt::join(both, " x "));
  } catch (const ShapeError&) {
    return "";
  }
}

void require_same_shape(const char* loss, const Tensor& prediction, const Tensor& target) {
  const Shape &p = prediction.shape(), &t = target.shape();
  if (p == t) return;
  const std::string would = pairs(p, t);
  std::string reason = "prediction and target must have the same shape";
  if (!would.empty()) reason += fmt::format(" (losses never broadcast: this would average {} pairs)", would);
  std::string help;
  if (p.size() == t.size()) help = fmt::format("reshape(target, {{{}}})", fmt::join(p, ", "));
  refuse(Complaint::shape, std::move(reason), std::move(help), loss, prediction, target);
}

/// Where an element lies in its tensor: "[3, 0]"; "" for a single number.
std::string position(std::int64_t i, const Shape& shape) {
  if (shape.rank() == 0) return "";
  std::vector<std::int64_t> index(static_cast<std::size_t>(shape.rank()));
  for (int axis = shape.rank() - 1; axis >= 0; --axis) {
    index[static_cast<std::size_t>(axis)] = i % shape[axis];
    i /= shape[axis];
  }
  return fmt::format("[{}]", fmt::join(index, ", "));
}

/// Throws UsageError for the first element outside [0, 1].  A prediction that is not a number is the training's matter,
/// a target that is not is an error.
void require_unit(const char* loss, const char* what, const Tensor& t, bool nan_passes) {
  ebb::detail::dispatch(t.dtype(), [&]<class T>(T) {
    const Elements<T> values = t.data<T>();
    for (std::int64_t i = 0; i < t.size(); ++i) {
      const T v = values[i];
      if (v >= T(0) && v <= T(1)) continue;
      if (nan_passes && v != v) continue;
      throw UsageError(fmt::format("{}: {}{} = {} is outside [0, 1]{}", loss, what, position(i, t.shape()), v,
                                   ebb::detail::where_in_model()));
    }
  });
}

/// log p, ended at -100 below 1e-12, where its slope stays 1e12: finite, and never flat where the loss is largest.
Tensor bounded_log(const Tensor& p) {
  constexpr double low = 1e-12;
  const Tensor inside = p >= low;
  const Tensor beyond = detach(maximum(log(p), -100.0)) + (p - detach(p)) * (1 / low);
  return where(inside, log(where(inside, p, 1.0)), beyond);
}

}  // namespace

Tensor mse_loss(const Tensor& prediction, const Tensor& target) {
  require_same_shape("mse_loss", prediction, target);
  return mean(square(prediction - target));
}

Tensor binary_cross_entropy(const Tensor& prediction, const Tensor& target) {
  constexpr const char* name = "binary_cross_entropy";
  require_same_shape(name, prediction, target);
  require_unit(name, "target", target, false);
  if (const Tensor logits = input_of(prediction, "sigmoid"); logits.defined()) return bce_with_logits(logits, target);
  require_unit(name, "prediction", prediction, true);
  return -mean(target * bounded_log(prediction) + (1.0 - target) * bounded_log(1.0 - prediction));
}

Tensor binary_cross_entropy_with_logits(const Tensor& logits, const Tensor& target) {
  constexpr const char* name = "binary_cross_entropy_with_logits";
  require_same_shape(name, logits, target);
  require_unit(name, "target", target, false);
  if (input_of(logits, "sigmoid").defined())
    refuse(Complaint::usage, "the prediction went through sigmoid already", "use binary_cross_entropy", name, logits,
           target);
  return bce_with_logits(logits, target);
}

Tensor cross_entropy(const Tensor& logits, const Tensor& labels) {
  constexpr const char* name = "cross_entropy";
  const Shape &z = logits.shape(), &y = labels.shape();
  if (z.rank() < 2)
    refuse(Complaint::shape, "logits must have a row for each label, [n, classes]", "", name, logits, labels);
  const std::int64_t classes = z[-1];
  if (const Shape wanted = z.without(-1); y != wanted) {
    std::string help;
    if (y == z) help = fmt::format("for one-hot rows use argmax(labels, {})", z.rank() - 1);
    else if (y.size() == wanted.size()) help = fmt::format("reshape(labels, {{{}}})", fmt::join(wanted, ", "));
    refuse(Complaint::shape, fmt::format("labels must be whole class numbers of shape {}", to_string(wanted)),
           std::move(help), name, logits, labels);
  }
  if (labels.dtype() != i64)
    refuse(Complaint::dtype, fmt::format("labels must be whole class numbers, i64, not {}", to_string(labels.dtype())),
           "labels.to(i64)", name, logits, labels);
  const Elements<std::int64_t> numbers = labels.data<std::int64_t>();
  for (std::int64_t i = 0; i < labels.size(); ++i)
    if (numbers[i] < 0 || numbers[i] >= classes)
      throw IndexError(fmt::format("{}: target{} = {} is outside [0, {}) for logits {}; labels count from zero{}", name,
                                   position(i, y), numbers[i], classes, to_string(z), ebb::detail::where_in_model()));
  if (input_of(logits, "softmax").defined())
    refuse(Complaint::usage, "the prediction went through softmax already, which is part of this loss",
           "leave the last Softmax out; the largest stays the largest without it", name, logits, labels);
  if (z.rank() == 2) return softmax_cross_entropy(logits, labels);
  return softmax_cross_entropy(reshape(logits, {labels.size(), classes}), reshape(labels, {labels.size()}));
}

}  // namespace ebb::nn
