// Reductions: sum, mean, var, max, min, prod, norm, logsumexp, argmax, argmin; softmax, log_softmax, cumsum.
#include "../kernels/reduce.h"

#include "../graph.h"
#include "../launch.h"
#include "../ops.h"
#include "../require.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <span>

namespace ebb {

using namespace detail;

namespace {

using kernels::Block;

/// The axes of one reduction, as bits, and whether they stay with size 1.
struct Reduced {
  std::uint8_t axes = 0;
  bool keepdim = false;

  bool has(int axis) const { return (axes >> axis & 1) != 0; }

  Shape kept(const Shape& x) const { return Reduced{axes, true}.shape(x); }
  Shape shape(const Shape& x) const {
    std::array<std::int64_t, Shape::max_rank> sizes{};
    std::size_t n = 0;
    for (int axis = 0; axis < x.rank(); ++axis)
      if (!has(axis) || keepdim) sizes[n++] = has(axis) ? 1 : x[axis];
    return Shape(std::span<const std::int64_t>(sizes.data(), n));
  }
  std::int64_t count(const Shape& x) const {
    std::int64_t n = 1;
    for (int axis = 0; axis < x.rank(); ++axis)
      if (has(axis)) n *= x[axis];
    return n;
  }
};

Block block_of(const Shape& x, int first, int last) {
  Block b{1, 1, 1};
  for (int axis = 0; axis < x.rank(); ++axis) (axis < first ? b.outer : axis <= last ? b.n : b.inner) *= x[axis];
  return b;
}

Reduced reduced(const char* name, const Tensor& x, const Axes& axes, bool keepdim) {
  return asked_of(name, {&x}, [&] { return Reduced{axes_of(x.shape(), axes), keepdim}; });
}

/// Reduces run by run of neighbouring axes, the last run first; `step` reduces one block.
template <class Step> Tensor reduce(const Tensor& x, const Reduced& r, Step&& step) {
  Tensor y = x;
  bool any = false;
  for (int last = x.rank() - 1; last >= 0; --last) {
    if (!r.has(last)) continue;
    int first = last;
    while (first > 0 && r.has(first - 1)) --first;
    Shape shape = y.shape();
    for (int axis = first; axis <= last; ++axis) shape = shape.with(axis, 1);
    Tensor next = empty(shape, y.dtype());
    step(next, y, block_of(y.shape(), first, last));
    y = std::move(next);
    last = first;
    any = true;
  }
  if (!any) {  // nothing to reduce, as in the sum of a single number: each element on its own
    Tensor next = empty(x.shape(), x.dtype());
    step(next, x, Block{x.size(), 1, 1});
    y = std::move(next);
  }
  Access::impl(y)->shape = r.shape(x.shape());  // y is new, and nobody else's yet
  return y;
}

struct Sum : Reduced {
  static constexpr char name[] = "sum", formula[] = "Σ x", rule[] = "∇x = g, repeated", operands[] = "x";
  static constexpr Keep keep = Keep::nothing;

  Tensor run(const Tensor& x) const {
    return reduce(x, *this, [](Tensor& y, const Tensor& from, const Block& b) {
      dispatch(y.dtype(), [&]<class T>(T) { launch(kernels::sum<T>, write<T>(y), read<T>(from), b); });
    });
  }
  Tensor dx(const Tensor& dy, const Tensor& x) const { return broadcast_to(reshape(dy, kept(x.shape())), x.shape()); }
  static constexpr auto gradients() { return std::tuple(&Sum::dx); }
};

struct Mean : Reduced {
  static constexpr char name[] = "mean", formula[] = "Σ x / n", rule[] = "∇x = g / n, repeated", operands[] = "x";
  static constexpr Keep keep = Keep::nothing;

  Tensor run(const Tensor& x) const {
    Tensor y = Sum{*this}.run(x);
    const auto n = static_cast<double>(count(x.shape()));
    const double share = n == 0 ? std::numeric_limits<double>::quiet_NaN() : 1 / n;
    dispatch_floating(y.dtype(), [&]<class T>(T) {
      const auto scale = [](T* to, std::int64_t size, T by) {
        for (std::int64_t i = 0; i < size; ++i) to[i] *= by;
      };
      launch(scale, static_cast<T*>(writable(y)), y.size(), static_cast<T>(share));
    });
    return y;
  }
  Tensor dx(const Tensor& dy, const Tensor& x) const {
    const Tensor share = dy * (1 / static_cast<double>(count(x.shape())));
    return broadcast_to(reshape(share, kept(x.shape())), x.shape());
  }
  static constexpr auto gradients() { return std::tuple(&Mean::dx); }
};

template <int sign> struct Extreme : Reduced {
  static constexpr const char *name = sign > 0 ? "max" : "min", *formula = sign > 0 ? "max x" : "min x";
  static constexpr char rule[] = "∇x = g ⊙ [x=y] / ties", operands[] = "x";
  static constexpr Keep keep = Keep::first | Keep::output;

  Tensor run(const Tensor& x) const {
    require(count(x.shape()) > 0 || shape(x.shape()).size() == 0, "there is no {} of nothing",
            sign > 0 ? "largest" : "smallest");
    return reduce(x, *this, [](Tensor& y, const Tensor& from, const Block& b) {
      if (b.outer * b.inner == 0) return;
      dispatch(y.dtype(), [&]<class T>(T) { launch(kernels::extreme<T>, write<T>(y), read<T>(from), b, sign); });
    });
  }
  Tensor dx(const Tensor& dy, const Tensor& x, const Tensor& y) const {
    const Shape kept_shape = kept(x.shape());
    const Tensor here = x == reshape(y, kept_shape);
    const Tensor ties = Sum{{static_cast<const Reduced&>(*this).axes, true}}.run(here).to(dy.dtype());
    return where(here, reshape(dy, kept_shape) / ties, Scalar(0.0));
  }
  static constexpr auto gradients() { return std::tuple(&Extreme::dx); }
};

/// The product of all others along the middle axis of x [outer, n, inner], by halving: pairs, then pairs of pairs.  It
/// is made of products alone, so that it is right beside zeros, and so are all its derivatives.
Tensor product_of_others(const Tensor& x) {
  const std::int64_t n = x.shape()[1], half = n / 2;
  if (n <= 1) return ones(x.shape(), x.dtype());
  const Tensor a = slice(x, 0, half, 1), b = slice(x, half, 2 * half, 1), odd = slice(x, 2 * half, n, 1);
  const Tensor others = product_of_others(concat({a * b, odd}, 1)), of_pairs = slice(others, 0, half, 1);
  return concat({of_pairs * b, of_pairs * a, slice(others, half, others.shape()[1], 1)}, 1);
}

/// Whether all numbers are so far from 0 and infinity that a product with one, or a quotient by it, is not lost.
bool all_moderate(const Tensor& t) {
  return dispatch_floating(t.dtype(), [&]<class T>(T) {
    const T least = std::sqrt(std::numeric_limits<T>::min()), most = std::sqrt(std::numeric_limits<T>::max());
    const auto moderate = [least, most](const T* x, std::int64_t n) {
      return std::all_of(x, x + n, [=](T v) { return std::abs(v) >= least && std::abs(v) <= most; });
    };
    return decided(moderate, read<T>(t), t.size());
  });
}

/// Along neighbouring axes.
struct Prod : Reduced {
  static constexpr char name[] = "prod", formula[] = "Π x", rule[] = "∇xᵢ = g · Π xⱼ, j ≠ i", operands[] = "x";
  static constexpr Keep keep = Keep::inputs | Keep::output;

  Block block(const Shape& x) const {
    int first = 0, last = x.rank() - 1;
    while (first < last && !has(first)) ++first;
    while (last > first && !has(last)) --last;
    return axes == 0 ? Block{x.size(), 1, 1} : block_of(x, first, last);
  }
  Tensor run(const Tensor& x) const {
    Tensor y = empty(shape(x.shape()), x.dtype());
    dispatch(x.dtype(), [&]<class T>(T) { launch(kernels::prod<T>, write<T>(y), read<T>(x), block(x.shape())); });
    return y;
  }
  Tensor dx(const Tensor& dy, const Tensor& x, const Tensor& y) const {
    const Block b = block(x.shape());
    if (recording() && all_moderate(x) && all_moderate(y)) return reshape(dy * y, kept(x.shape())) / x;
    if (recording()) {
      const Tensor others = product_of_others(reshape(x, {b.outer, b.n, b.inner}));
      return reshape(reshape(dy, {b.outer, 1, b.inner}) * others, x.shape());
    }
    Tensor dx = empty(x.shape(), x.dtype());
    dispatch_floating(x.dtype(),
                      [&]<class T>(T) { launch(kernels::prod_gradient<T>, write<T>(dx), read<T>(dy), read<T>(x), b); });
    return dx;
  }
  static constexpr auto gradients() { return std::tuple(&Prod::dx); }
};

struct Norm : Reduced {
  static constexpr char name[] = "norm", formula[] = "√Σ x²", rule[] = "∇x = g · x/y", operands[] = "x";
  static constexpr Keep keep = Keep::first | Keep::output;

  Tensor run(const Tensor& x) const {
    return reduce(x, *this, [](Tensor& y, const Tensor& from, const Block& b) {
      dispatch_floating(y.dtype(), [&]<class T>(T) { launch(kernels::norm<T>, write<T>(y), read<T>(from), b); });
    });
  }
  Tensor dx(const Tensor& dy, const Tensor& x, const Tensor& y) const {
    const Tensor g = reshape(dy, kept(x.shape())), size = reshape(y, kept(x.shape()));
    if (all_moderate(y)) return x * (g / size);
    const Tensor none = size == 0.0;
    return where(none, Scalar(0.0), g * (x / where(none, Scalar(1.0), size)));
  }
  static constexpr auto gradients() { return std::tuple(&Norm::dx); }
};

struct LogSumExp : Reduced {
  static constexpr char name[] = "logsumexp", formula[] = "log Σ eˣ", rule[] = "∇x = g · eˣ⁻ʸ", operands[] = "x";
  static constexpr Keep keep = Keep::first | Keep::output;

  Tensor run(const Tensor& x) const {
    return reduce(x, *this, [](Tensor& y, const Tensor& from, const Block& b) {
      dispatch_floating(y.dtype(), [&]<class T>(T) { launch(kernels::logsumexp<T>, write<T>(y), read<T>(from), b); });
    });
  }
  Tensor dx(const Tensor& dy, const Tensor& x, const Tensor& y) const {
    const Tensor g = reshape(dy, kept(x.shape())), top = reshape(y, kept(x.shape()));
    // Where all of x is -inf, so is y, and their difference says nothing: the gradient there is 0.
    const Tensor nothing = top == -std::numeric_limits<double>::infinity();
    return where(nothing, Scalar(0.0), g * exp(x - where(nothing, Scalar(0.0), top)));
  }
  static constexpr auto gradients() { return std::tuple(&LogSumExp::dx); }
};

template <class Kernel> Tensor along(const Tensor& x, int axis, Kernel kernel) {
  Tensor y = empty(x.shape(), x.dtype());
  if (x.size() > 0)
    dispatch_floating(x.dtype(),
                      [&]<class T>(T) { launch(kernel, write<T>(y), read<T>(x), block_of(x.shape(), axis, axis)); });
  return y;
}

struct Softmax {
  static constexpr char name[] = "softmax", formula[] = "eˣ / Σeˣ", rule[] = "∇x = y ⊙ (g − Σ g⊙y)", operands[] = "x";
  static constexpr Keep keep = Keep::output;
  int axis;

  Tensor run(const Tensor& x) const {
    return along(x, axis, [](auto* y, const auto* from, const Block& b) { kernels::softmax(y, from, b); });
  }
  Tensor dx(const Tensor& dy, const Tensor&, const Tensor& y) const { return y * (dy - sum(dy * y, axis, true)); }
  static constexpr auto gradients() { return std::tuple(&Softmax::dx); }
};

struct LogSoftmax {
  static constexpr char name[] = "log_softmax", formula[] = "x − log Σeˣ", rule[] = "∇x = g − eʸ·Σg", operands[] = "x";
  static constexpr Keep keep = Keep::output;
  int axis;

  Tensor run(const Tensor& x) const {
    return along(x, axis, [](auto* y, const auto* from, const Block& b) { kernels::log_softmax(y, from, b); });
  }
  Tensor dx(const Tensor& dy, const Tensor&, const Tensor& y) const { return dy - exp(y) * sum(dy, axis, true); }
  static constexpr auto gradients() { return std::tuple(&LogSoftmax::dx); }
};

struct CumSum {
  static constexpr char name[] = "cumsum", formula[] = "x₀ + … + xᵢ", rule[] = "∇xᵢ = gᵢ + gᵢ₊₁ + …", operands[] = "x";
  static constexpr Keep keep = Keep::nothing;
  int axis;
  bool from_the_end = false;

  Tensor run(const Tensor& x) const {
    Tensor y = empty(x.shape(), x.dtype());
    dispatch(x.dtype(), [&]<class T>(T) {
      launch(kernels::cumsum<T>, write<T>(y), read<T>(x), block_of(x.shape(), axis, axis), from_the_end);
    });
    return y;
  }
  Tensor dx(const Tensor& dy, const Tensor&) const { return apply(CumSum{axis, !from_the_end}, dy); }
  static constexpr auto gradients() { return std::tuple(&CumSum::dx); }
};

Tensor floating(const Tensor& x) { return x.defined() && x.dtype() == i64 ? x.to(f32) : x; }

Tensor arg_extreme(const char* name, const Tensor& x, std::optional<int> axis, bool keepdim, int sign) {
  return asked_of(name, {&x}, [&] {
    const int a = axis ? axis_of(x.shape(), *axis) : 0;
    const Block b = axis ? block_of(x.shape(), a, a) : Block{1, x.size(), 1};
    require(b.n > 0 || b.outer * b.inner == 0, "there is no {} of nothing", sign > 0 ? "largest" : "smallest");
    Tensor y = empty(axis ? keepdim ? x.shape().with(a, 1) : x.shape().without(a) : Shape{}, i64);
    dispatch(x.dtype(),
             [&]<class T>(T) { launch(kernels::arg_extreme<T>, write<std::int64_t>(y), read<T>(x), b, sign); });
    mark_cut(y, Cut::whole, name, {&x});
    return y;
  });
}

}  // namespace

Tensor sum(const Tensor& x, const Axes& axes, bool keepdim) { return apply(Sum{reduced("sum", x, axes, keepdim)}, x); }

Tensor mean(const Tensor& x, const Axes& axes, bool keepdim) {
  return apply(Mean{reduced("mean", x, axes, keepdim)}, floating(x));
}

Tensor var(const Tensor& x, const Axes& axes, bool keepdim, int correction) {
  const Reduced r = reduced("var", x, axes, keepdim);
  const auto n = static_cast<double>(r.count(x.shape()) - correction);
  const Tensor whole = floating(x);
  const Tensor apart = whole - mean(whole, axes, true);
  return sum(square(apart), axes, keepdim) * (n <= 0 ? std::numeric_limits<double>::quiet_NaN() : 1 / n);
}

Tensor max(const Tensor& x, const Axes& axes, bool keepdim) {
  return apply(Extreme<1>{reduced("max", x, axes, keepdim)}, x);
}
Tensor min(const Tensor& x, const Axes& axes, bool keepdim) {
  return apply(Extreme<-1>{reduced("min", x, axes, keepdim)}, x);
}

Tensor prod(const Tensor& x, const Axes& axes, bool keepdim) {
  const Reduced r = reduced(Prod::name, x, axes, keepdim);
  if (r.axes == 0) return apply(Prod{r}, x);
  Tensor y = x;
  for (int last = x.rank() - 1; last >= 0; --last) {  // each run of neighbouring axes, the last first
    Prod run{{0, keepdim}};
    for (; last >= 0 && r.has(last); --last) run.axes = static_cast<std::uint8_t>(run.axes | 1u << last);
    if (run.axes != 0) y = apply(run, y);
  }
  return y;
}

Tensor norm(const Tensor& x, const Axes& axes, bool keepdim) {
  return apply(Norm{reduced(Norm::name, x, axes, keepdim)}, floating(x));
}

Tensor logsumexp(const Tensor& x, const Axes& axes, bool keepdim) {
  return apply(LogSumExp{reduced("logsumexp", x, axes, keepdim)}, floating(x));
}

Tensor argmax(const Tensor& x, std::optional<int> axis, bool keepdim) {
  return arg_extreme("argmax", x, axis, keepdim, 1);
}
Tensor argmin(const Tensor& x, std::optional<int> axis, bool keepdim) {
  return arg_extreme("argmin", x, axis, keepdim, -1);
}

Tensor softmax(const Tensor& x, int axis) {
  return apply(Softmax{asked_of("softmax", {&x}, [&] { return axis_of(x.shape(), axis); })}, floating(x));
}
Tensor log_softmax(const Tensor& x, int axis) {
  return apply(LogSoftmax{asked_of("log_softmax", {&x}, [&] { return axis_of(x.shape(), axis); })}, floating(x));
}

Tensor cumsum(const Tensor& x, int axis) {
  return apply(CumSum{asked_of(CumSum::name, {&x}, [&] { return axis_of(x.shape(), axis); })}, x);
}

namespace detail {

Tensor sum_to(const Tensor& x, const Shape& shape) {
  if (x.shape() == shape) return x;
  Reduced r;
  const int extra = x.rank() - shape.rank();
  for (int axis = 0; axis < x.rank(); ++axis)
    if (axis < extra || (shape[axis - extra] == 1 && x.shape()[axis] != 1))
      r.axes = static_cast<std::uint8_t>(r.axes | 1u << axis);
  const Tensor y = apply(Sum{r}, x);
  return y.shape() == shape ? y : reshape(y, shape);
}

}  // namespace detail
}  // namespace ebb
