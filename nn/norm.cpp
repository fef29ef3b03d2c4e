#include "norm.h"

#include "../autograd/error.h"
#include "../autograd/graph.h"
#include "../autograd/kernels/norm.h"
#include "../autograd/ops.h"
#include "../autograd/require.h"
#include "mode.h"

#include <fmt/format.h>

#include <cmath>
#include <mutex>
#include <span>
#include <tuple>
#include <utility>

namespace ebb::nn {

namespace {

using namespace ebb::detail;

/// Running statistics change in calls, and one layer may be called by several threads.
std::mutex& changing() {
  static std::mutex one;
  return one;
}

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

// ---- the op --------------------------------------------------------------------------------------------------------

using kernels::Groups;

/// What normalises: for each group its mean and 1 / √(variance + eps), and whether these are given or are x's own.
struct Statistics {
  Tensor mean, variance, rate;
  double eps;
  bool fixed;
};

Tensor rate_of(const Tensor& variance, double eps) { return rsqrt(variance + eps); }

/// x's own, as plain numbers.
Statistics statistics_of(const Tensor& x, const Groups& groups, double eps) {
  Tensor mean = empty({groups.groups}, x.dtype()), variance = empty(mean.shape(), x.dtype());
  dispatch_floating(x.dtype(),
                    [&]<class T>(T) { kernels::moments(write<T>(mean), write<T>(variance), read<T>(x), groups); });
  Tensor rate = rate_of(variance, eps);
  return {std::move(mean), std::move(variance), std::move(rate), eps, false};
}

/// Those that a layer keeps.
Statistics fixed(const Tensor& running_mean, const Tensor& running_var, DType dtype, double eps) {
  const std::lock_guard lock(changing());
  Tensor variance = running_var.to(dtype), rate = rate_of(variance, eps);
  return {running_mean.to(dtype), std::move(variance), std::move(rate), eps, true};
}

/// A normalisation in a few passes.  Derivatives of derivatives go through compose(), the same out of other ops.
template <bool by_group> struct Normalize {
  static constexpr const char *name = by_group ? "batch_norm" : "layer_norm", *formula = "x̂·w + b, x̂ = (x − μ)/σ",
                              *rule = "∇x = (g·w − mean(g·w) − x̂·mean(g·w·x̂))/σ   ∇w = Σ g·x̂   ∇b = Σ g",
                              *operands = "x w b";
  static constexpr Keep keep = Keep::inputs;
  Groups groups;
  Statistics by;

  Tensor run(const Tensor& x, const Tensor& w, const Tensor& b) const {
    const std::int64_t learned = by_group ? groups.groups : groups.inner;
    require(w.size() == learned && b.size() == learned, Complaint::usage, "weight and bias must have {} numbers each",
            learned);
    require(by.mean.size() == groups.groups && by.rate.size() == groups.groups, Complaint::usage,
            "running_mean and running_var must have {} numbers each", groups.groups);
    Tensor y = empty(x.shape(), x.dtype());
    dispatch_floating(x.dtype(), [&]<class T>(T) {
      kernels::normalize(write<T>(y), read<T>(x), read<T>(by.mean), read<T>(by.rate), read<T>(w), read<T>(b), groups);
    });
    return y;
  }
  Tensor dx(const Tensor& dy, const Tensor& x, const Tensor& w, const Tensor&) const {
    Tensor dx = empty(x.shape(), x.dtype());
    dispatch_floating(x.dtype(), [&]<class T>(T) {
      kernels::normalize_gradient(write<T>(dx), read<T>(dy), read<T>(x), read<T>(by.mean), read<T>(by.rate), read<T>(w),
                                  groups, by.fixed);
    });
    return dx;
  }
  Tensor dw(const Tensor& dy, const Tensor& x, const Tensor& w, const Tensor&) const {
    Tensor dw = empty(w.shape(), x.dtype());
    dispatch_floating(x.dtype(), [&]<class T>(T) {
      kernels::normalize_scale(write<T>(dw), read<T>(dy), read<T>(x), read<T>(by.mean), read<T>(by.rate), groups);
    });
    return dw;
  }
  Tensor db(const Tensor& dy, const Tensor&, const Tensor&, const Tensor& b) const {
    return reshape(sum(seen(dy), by_group ? Axes{0, 2} : Axes{0, 1}), b.shape());
  }
  static constexpr auto gradients() { return std::tuple(&Normalize::dx, &Normalize::dw, &Normalize::db); }

  Tensor compose(const Tensor* in) const {
    const Tensor x = seen(in[0]), w = each(in[1]), b = each(in[2]);
    const Tensor m = by.fixed ? reshape(by.mean, {groups.groups, 1}) : mean(x, {0, 2}, true);
    const Tensor r =
        by.fixed ? reshape(by.rate, {groups.groups, 1}) : rate_of(mean(square(x - m), {0, 2}, true), by.eps);
    return reshape((x - m) * r * w + b, in[0].shape());
  }

 private:
  Tensor seen(const Tensor& x) const { return reshape(x, {groups.outer, groups.groups, groups.inner}); }
  Tensor each(const Tensor& w) const { return by_group ? reshape(w, {groups.groups, 1}) : reshape(w, {groups.inner}); }
};

/// x̂ · weight + bias, of tensors of x's type; the bare x̂ if these have no numbers.
template <bool by_group> Tensor normalized(const Tensor& x, const Parameter& weight, const Parameter& bias,
                                           const Shape& shape, const Groups& groups, const Statistics& by) {
  const bool bare = weight.size() == 0;
  const Tensor w = bare ? ones(shape, x.dtype()) : Tensor(weight).to(x.dtype());
  const Tensor b = bare ? zeros(shape, x.dtype()) : Tensor(bias).to(x.dtype());
  return apply(Normalize<by_group>{groups, by}, x, w, b);
}

/// The type in which x and a layer's numbers meet.
Tensor promoted(const Tensor& x, DType layer) { return x.to(promote(x.dtype(), layer)); }

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
  if (x.rank() < least_rank_ || x.rank() > most_rank_)
    refuse(Complaint::shape, fmt::format("wants {}", wants_), "", name_, x);
  if (x.shape()[1] != channels_)
    refuse(Complaint::shape, fmt::format("the layer is for {} channels, x has {}", channels_, x.shape()[1]), "", name_,
           x);
  if (by_batch && x.size() / channels_ < 2)
    refuse(Complaint::usage,
           fmt::format("training needs at least 2 numbers in each channel, and there are {}", x.size() / channels_),
           "a larger batch; nn::Evaluating for one that is only looked at", name_, x);
}

void BatchNorm::track(const Tensor& mean, const Tensor& variance, std::int64_t n) const {
  const Pause pause;
  const std::lock_guard lock(changing());
  const Tensor count = num_batches_tracked + 1;
  const double f = momentum ? *momentum : 1 / count.item(),
               unbiased = static_cast<double>(n) / static_cast<double>(n - 1);
  const auto moved = [f](const Tensor& running, const Tensor& now, double factor) {
    return running * (1 - f) + now.to(running.dtype()) * (f * factor);
  };
  const Tensor m = moved(running_mean, mean, 1), v = moved(running_var, variance, unbiased);
  running_mean = m;
  running_var = v;
  num_batches_tracked = count;
}

Tensor BatchNorm::operator()(const Tensor& given) const {
  const Scope scope = label.scope();
  const bool by_batch = training() || !track_running_stats;
  check(given, by_batch);
  const Tensor x = promoted(given, weight.dtype());
  const Shape channels{channels_};
  const Groups groups{x.shape()[0], channels_, x.size() == 0 ? 0 : x.size() / (x.shape()[0] * channels_), true};
  const Statistics by = by_batch ? statistics_of(x, groups, eps) : fixed(running_mean, running_var, x.dtype(), eps);
  const Tensor y = normalized<true>(x, weight, bias, channels, groups, by);
  if (training() && track_running_stats && !recomputing()) track(by.mean, by.variance, x.size() / channels_);
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

Tensor LayerNorm::operator()(const Tensor& given) const {
  const Scope scope = label.scope();
  const int before = given.rank() - shape.rank();
  bool fits = before >= 0;
  for (int axis = 0; fits && axis < shape.rank(); ++axis) fits = given.shape()[before + axis] == shape[axis];
  if (!fits)
    refuse(Complaint::shape, fmt::format("the layer is for last axes {}", to_string(shape)), "", "LayerNorm", given);

  const Tensor x = promoted(given, weight.dtype());
  const Groups groups{1, x.size() / shape.size(), shape.size(), false};
  return normalized<false>(x, weight, bias, shape, groups, statistics_of(x, groups, eps));
}

void LayerNorm::ebb_visit(Visitor& visitor) const {
  visitor.field("label", label);
  visitor.field_if_any("weight", weight);
  visitor.field_if_any("bias", bias);
}

}  // namespace ebb::nn
