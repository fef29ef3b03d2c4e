#include "norm.h"

#include "../autograd/capture.h"
#include "../autograd/error.h"
#include "../autograd/graph.h"
#include "../autograd/ops.h"
#include "mode.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <mutex>
#include <span>
#include <utility>

namespace ebb::nn {

namespace {

using namespace ebb::detail;

std::string must_hold(std::string kind, bool sizes, double eps) {
  if (!sizes) throw UsageError(fmt::format("{}: sizes must be at least 1", kind));
  if (!(eps > 0) || !std::isfinite(eps)) throw UsageError(fmt::format("{}: eps must be positive, got {}", kind, eps));
  return kind;
}

std::string batch_kind(const char* name, std::int64_t channels, const BatchNormOptions& o) {
  std::string kind = must_hold(fmt::format("{}({})", name, channels), channels >= 1, o.eps);
  if (o.momentum && !(*o.momentum >= 0 && *o.momentum <= 1))
    throw UsageError(fmt::format("{}: momentum must be in [0, 1], got {}", kind, *o.momentum));
  return kind;
}

std::string layer_kind(const Shape& shape, double eps) {
  return must_hold(fmt::format("LayerNorm({})", fmt::join(shape, ", ")), shape.rank() > 0 && shape.size() > 0, eps);
}

/// Ones, or nothing without affine, for the layer of that kind: its sizes are checked by now.
Tensor scale_of(const std::string& kind, std::span<const std::int64_t> sizes, const auto& options) {
  if (options.dtype == i64) throw DTypeError(fmt::format("{}: weights are f32 or f64, not i64", kind));
  return ones(options.affine ? Shape(sizes) : Shape{0}, options.dtype);
}

[[noreturn]] void refuse(Complaint::Kind kind, std::string reason, std::string help, const char* name,
                         const Tensor& x) {
  const Tensor* const in[] = {&x};
  ebb::detail::refuse({kind, std::move(reason), std::move(help)}, name, in, 1);
}

/// A layer's weight and bias; without affine, what leaves x̂ as it is.
struct Learned {
  Tensor weight, bias;
};
Learned learned(const Parameter& weight, const Parameter& bias, const Shape& shape) {
  if (weight.size() > 0) return {weight, bias};
  return {ones(shape, weight.dtype()), zeros(shape, weight.dtype())};
}

/// A layer's running statistics at one moment.
Moments both(const Anchor& anchor, Tensor& running_mean, Tensor& running_var) {
  const std::lock_guard lock(keeping());
  meet(anchor, running_mean);
  meet(anchor, running_var);
  return {running_mean, running_var};
}

}  // namespace

// ---- BatchNorm -----------------------------------------------------------------------------------------------------

BatchNorm::BatchNorm(const char* name, std::int64_t channels, const BatchNormOptions& o, int least_rank, int most_rank,
                     const char* wants)
    : weight(scale_of(batch_kind(name, channels, o), {&channels, 1}, o)),
      bias(zeros(weight.shape(), o.dtype)),
      eps(o.eps),
      momentum(o.momentum),
      track_running_stats(o.track_running_stats),
      label(batch_kind(name, channels, o)),
      name_(name),
      channels_(channels),
      least_rank_(least_rank),
      most_rank_(most_rank),
      wants_(wants) {
  if (!o.track_running_stats) return;
  running_mean = zeros({channels}, o.dtype);
  running_var = ones({channels}, o.dtype);
  num_batches_tracked = zeros({}, i64);
}

void BatchNorm::check(const Tensor& x, bool by_batch) const {
  if (!x.defined()) undefined_operand(name_, 0);
  if (x.rank() < least_rank_ || x.rank() > most_rank_)
    refuse(Complaint::shape, fmt::format("wants {}", wants_), "", name_, x);
  if (x.shape()[1] != channels_)
    refuse(Complaint::shape, fmt::format("the layer is for {} channels, x has {}", channels_, x.shape()[1]), "", name_,
           x);
  if (by_batch && x.size() / channels_ < 2)
    refuse(Complaint::usage,
           fmt::format("training needs at least 2 numbers in each channel, and there are {}", x.size() / channels_),
           "a larger batch, or .drop_last = true for a last one that is cut short; nn::Evaluating for one that is only "
           "looked at",
           name_, x);
}

void BatchNorm::track(const Tensor& mean, const Tensor& variance, std::int64_t n) const {
  const Pause pause;
  const std::lock_guard lock(keeping());
  for (Tensor* const kept : {&running_mean, &running_var, &num_batches_tracked}) meet(anchor_, *kept);
  const Tensor count = num_batches_tracked + 1;
  const double f = momentum ? *momentum : 1 / count.item(),
               unbiased = static_cast<double>(n) / static_cast<double>(n - 1);
  const auto moved = [f](const Tensor& running, const Tensor& now, double factor) {
    return running * (1 - f) + now.to(running.dtype()) * (f * factor);
  };
  const Tensor m = moved(running_mean, mean, 1), v = moved(running_var, variance, unbiased);
  carry(running_mean, m);
  carry(running_var, v);
  carry(num_batches_tracked, count);
}

Tensor BatchNorm::operator()(const Tensor& x) const {
  const Scope scope = label.scope();
  const bool by_batch = training() || !track_running_stats;
  check(x, by_batch);
  const auto [w, b] = learned(weight, bias, {channels_});
  if (!by_batch) return batch_norm(x, w, b, both(anchor_, running_mean, running_var), eps);
  Moments batch;
  const Tensor y = batch_norm(x, w, b, eps, &batch);
  if (training() && track_running_stats && !recomputing()) track(batch.mean, batch.variance, x.size() / channels_);
  return y;
}

void BatchNorm::ebb_visit(Visitor& visitor) const {
  visitor.field("label", label);
  visitor.field_if_any("weight", weight);
  visitor.field_if_any("bias", bias);
  if (track_running_stats)
    visitor.fields("running_mean, running_var, num_batches_tracked", running_mean, running_var, num_batches_tracked);
}

// ---- LayerNorm -----------------------------------------------------------------------------------------------------

LayerNorm::LayerNorm(const Shape& of, const LayerNormOptions& o)
    : weight(scale_of(layer_kind(of, o.eps), of.sizes(), o)),
      bias(zeros(weight.shape(), o.dtype)),
      shape(of),
      eps(o.eps),
      label(layer_kind(of, o.eps)) {}

Tensor LayerNorm::operator()(const Tensor& x) const {
  const Scope scope = label.scope();
  if (!x.defined()) undefined_operand("LayerNorm", 0);
  const Shape& all = x.shape();
  if (all.rank() < shape.rank() || !std::equal(shape.begin(), shape.end(), all.end() - shape.rank()))
    refuse(Complaint::shape, fmt::format("the layer is for last axes {}", to_string(shape)), "", "LayerNorm", x);
  const auto [w, b] = learned(weight, bias, shape);
  return layer_norm(x, w, b, eps);
}

void LayerNorm::ebb_visit(Visitor& visitor) const {
  visitor.field("label", label);
  visitor.field_if_any("weight", weight);
  visitor.field_if_any("bias", bias);
}

}  // namespace ebb::nn
