// Normalisation: batch_norm, layer_norm.
//
// Each is a few passes instead of a dozen ops.  The composition that it stands for is beside it, and derivatives beyond
// the first go through that.
#include "../kernels/norm.h"

#include "../launch.h"
#include "../ops.h"
#include "../require.h"

#include <algorithm>
#include <cmath>

namespace ebb {

using namespace detail;

namespace {

using kernels::Groups;

Tensor rate_of(const Tensor& variance, double eps) { return rsqrt(variance + eps); }

template <bool by_group> struct Normalize {
  static constexpr const char *name = by_group ? "batch_norm" : "layer_norm", *formula = "x̂·w + b, x̂ = (x − μ)/σ",
                              *rule = "∇x = (g·w − mean(g·w) − x̂·mean(g·w·x̂))/σ   ∇w = Σ g·x̂   ∇b = Σ g",
                              *operands = "x w b";
  static constexpr Keep keep = Keep::inputs;
  Groups groups;
  double eps;
  bool fixed = false;  // whether the moments are given, or are x's own
  // What the forward pass leaves for the gradients: constants of x's type, [groups] each.
  mutable Moments by{};
  mutable Tensor rate{};  // 1 / √(variance + eps)

  Tensor run(const Tensor& x, const Tensor& w, const Tensor& b) const {
    const std::int64_t learned = by_group ? groups.groups : groups.inner;
    require(w.size() == learned && b.size() == learned, Complaint::usage, "weight and bias must have {} numbers each",
            learned);
    require(eps >= 0 && std::isfinite(eps), Complaint::usage, "eps must be finite and at least 0, got {}", eps);
    by = fixed ? given(x.dtype()) : own(x);
    rate = rate_of(by.variance, eps);
    Tensor y = empty(x.shape(), x.dtype());
    dispatch_floating(x.dtype(), [&]<class T>(T) {
      launch(kernels::normalize<T>, write<T>(y), read<T>(x), read<T>(by.mean), read<T>(rate), read<T>(w), read<T>(b),
             groups);
    });
    return y;
  }
  Tensor compose(const Tensor* in) const {
    const Tensor x = seen(in[0]), w = each(in[1]), b = each(in[2]);
    const Tensor m = fixed ? reshape(by.mean, {groups.groups, 1}) : mean(x, {0, 2}, true);
    const Tensor r = fixed ? reshape(rate, {groups.groups, 1}) : rate_of(mean(square(x - m), {0, 2}, true), eps);
    return reshape((x - m) * r * w + b, in[0].shape());
  }
  Tensor dx(const Tensor& dy, const Tensor& x, const Tensor& w, const Tensor&) const {
    Tensor dx = empty(x.shape(), x.dtype());
    dispatch_floating(x.dtype(), [&]<class T>(T) {
      launch(kernels::normalize_gradient<T>, write<T>(dx), read<T>(dy), read<T>(x), read<T>(by.mean), read<T>(rate),
             read<T>(w), groups, fixed);
    });
    return dx;
  }
  Tensor dw(const Tensor& dy, const Tensor& x, const Tensor& w, const Tensor&) const {
    Tensor dw = empty(w.shape(), x.dtype());
    dispatch_floating(x.dtype(), [&]<class T>(T) {
      launch(kernels::normalize_scale<T>, write<T>(dw), read<T>(dy), read<T>(x), read<T>(by.mean), read<T>(rate),
             groups);
    });
    return dw;
  }
  Tensor db(const Tensor& dy, const Tensor&, const Tensor&, const Tensor& b) const {
    return reshape(sum(seen(dy), by_group ? Axes{0, 2} : Axes{0, 1}), b.shape());
  }
  static constexpr auto gradients() { return std::tuple(&Normalize::dx, &Normalize::dw, &Normalize::db); }

 private:
  Moments own(const Tensor& x) const {
    Moments of{empty({groups.groups}, x.dtype()), empty({groups.groups}, x.dtype())};
    dispatch_floating(x.dtype(), [&]<class T>(T) {
      launch(kernels::moments<T>, write<T>(of.mean), write<T>(of.variance), read<T>(x), groups);
    });
    return of;
  }
  Moments given(DType dtype) const {
    for (const Tensor& t : {by.mean, by.variance})
      require(t.defined() && t.size() == groups.groups, Complaint::usage,
              "running_mean and running_var must have {} numbers each", groups.groups);
    return {detach(by.mean).to(dtype), detach(by.variance).to(dtype)};
  }
  Tensor seen(const Tensor& x) const { return reshape(x, {groups.outer, groups.groups, groups.inner}); }
  Tensor each(const Tensor& w) const { return by_group ? reshape(w, {groups.groups, 1}) : reshape(w, {groups.inner}); }
};

/// The channels of x [n, channels, ...].
Groups channels_of(const Tensor& x) {
  require(x.rank() >= 2, "x must be [n, channels, ...]");
  const std::int64_t n = x.shape()[0], channels = x.shape()[1];
  return {n, channels, x.size() == 0 ? 0 : x.size() / (n * channels), true};
}

/// The rows of x [..., row].
Groups rows_of(const Tensor& x, const Shape& row) {
  const Shape& all = x.shape();
  require(row.rank() > 0, "the weight names the axes to normalise over, and has none");
  require(all.rank() >= row.rank() && std::equal(row.begin(), row.end(), all.end() - row.rank()),
          "the last axes of x must be the weight's");
  return {1, x.size() == 0 ? 0 : x.size() / row.size(), row.size(), false};
}

/// Moments that are given do not move with x.
constexpr OpInfo by_given_moments = [] {
  OpInfo info = op_info<Normalize<true>>;
  info.rule = "∇x = g·w/σ   ∇w = Σ g·x̂   ∇b = Σ g";
  return info;
}();

/// apply(), of tensors of the type in which the three meet.
template <bool by_group> Tensor normalized(const OpInfo& info, const Normalize<by_group>& op, const Tensor& x,
                                           const Tensor& weight, const Tensor& bias) {
  DType type = promote(x.dtype(), promote(weight.dtype(), bias.dtype()));
  if (type == i64) type = f32;
  return apply_as(info, op, x.to(type), weight.to(type), bias.to(type));
}

}  // namespace

Tensor batch_norm(const Tensor& x, const Tensor& weight, const Tensor& bias, double eps, Moments* own) {
  return asked_of(Normalize<true>::name, {&x, &weight, &bias}, [&] {
    const Normalize<true> op{channels_of(x), eps};
    Tensor y = normalized(op_info<Normalize<true>>, op, x, weight, bias);
    if (own != nullptr) *own = op.by;
    return y;
  });
}

Tensor batch_norm(const Tensor& x, const Tensor& weight, const Tensor& bias, const Moments& running, double eps) {
  return asked_of(Normalize<true>::name, {&x, &weight, &bias}, [&] {
    return normalized(by_given_moments, Normalize<true>{channels_of(x), eps, true, running}, x, weight, bias);
  });
}

Tensor layer_norm(const Tensor& x, const Tensor& weight, const Tensor& bias, double eps) {
  return asked_of(Normalize<false>::name, {&x, &weight, &bias}, [&] {
    return normalized(op_info<Normalize<false>>, Normalize<false>{rows_of(x, weight.shape()), eps}, x, weight, bias);
  });
}

}  // namespace ebb
