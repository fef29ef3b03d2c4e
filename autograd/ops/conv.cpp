// Convolutions and pools: conv1d, conv2d, conv_transpose2d, max_pool1d, max_pool2d, avg_pool2d.
// A signal is an image of height 1, so each op is written once; `axes` says over how many its windows move.
#include "../kernels/conv.h"

#include "../error.h"
#include "../launch.h"
#include "../ops.h"
#include "../require.h"

#include <limits>

namespace ebb {

using namespace detail;

namespace {

using kernels::Axis;
using kernels::Convolution;
using kernels::Pooling;

/// [a, b, height, width], or [a, b, width] of signals.
template <int axes> Shape shape_of(std::int64_t a, std::int64_t b, std::int64_t height, std::int64_t width) {
  try {
    return axes == 1 ? Shape{a, b, width} : Shape{a, b, height, width};
  } catch (const ShapeError&) {
    throw Complaint{Complaint::shape, "the result would have more elements than can be counted", {}};
  }
}
template <int axes> Shape images(const Convolution& c) {
  return shape_of<axes>(c.n, c.groups * c.in, c.h.image, c.w.image);
}

// ---- convolution: three products, of which each one's gradients are the other two ---------------------------------

template <int axes, bool biased> struct ConvTranspose;
template <int axes> struct ConvWeight;

template <class T> const T* read_if_any(const Tensor& bias) { return bias.defined() ? read<T>(bias) : nullptr; }
/// What a bias, one number for each channel, gets from y [n, channels, ...].
Tensor channel_sum(const Tensor& dy) { return sum(dy, dy.rank() == 3 ? Axes{0, 2} : Axes{0, 2, 3}); }

/// The weight's gradient; where db is given, also the bias's.
template <int axes>
Tensor weight_gradient(const Convolution& c, const Tensor& x, const Tensor& y, Tensor* db = nullptr) {
  Tensor w = empty(shape_of<axes>(c.groups * c.out, c.in, c.h.size, c.w.size), x.dtype()),
         scratch = empty({kernels::scratch_for_weight(c)}, x.dtype());
  if (db != nullptr) *db = empty({c.groups * c.out}, x.dtype());
  dispatch_floating(x.dtype(), [&]<class T>(T) {
    launch(kernels::conv_weight<T>, c, write<T>(w), read<T>(x), read<T>(y), write<T>(scratch),
           db != nullptr ? write<T>(*db) : nullptr);
  });
  return w;
}

template <int axes, bool biased> struct Conv {
  static constexpr const char *name = axes == 1 ? "conv1d" : "conv2d", *formula = biased ? "x ∗ W + b" : "x ∗ W",
                              *rule = biased ? "∇x = g ∗ᵀ W   ∇W = x ∗ g   ∇b = Σ g" : "∇x = g ∗ᵀ W   ∇W = x ∗ g",
                              *operands = biased ? "x W b" : "x W";
  static constexpr Keep keep = Keep::first | Keep::second;
  Convolution c;

  Tensor run(const Tensor& x, const Tensor& w, const Tensor& b = {}) const {
    Tensor y = empty(shape_of<axes>(c.n, c.groups * c.out, c.h.windows, c.w.windows), x.dtype()),
           scratch = empty({kernels::scratch_for(c)}, x.dtype());
    dispatch_floating(x.dtype(), [&]<class T>(T) {
      launch(kernels::conv<T>, c, write<T>(y), read<T>(x), read<T>(w), read_if_any<T>(b), write<T>(scratch));
    });
    return y;
  }
  Tensor dx(const Tensor& dy, const Tensor& w) const { return apply(ConvTranspose<axes, false>{c}, dy, w); }
  Tensor dw(const Tensor& dy, const Tensor& x) const { return apply(ConvWeight<axes>{c}, x, dy); }
  Tensor db(const Tensor& dy) const { return channel_sum(dy); }
  Tensor gradient(int i, const Tensor& dy, std::span<const Tensor> in, const Tensor&) const {
    return i == 0 ? dx(dy, in[1]) : i == 1 ? dw(dy, in[0]) : db(dy);
  }
  Tensor gradient_with_next(int i, const Tensor& dy, const Tensor* in, Tensor& next) const {
    return biased && i == 1 && kernels::sums_with_weight(c) ? weight_gradient<axes>(c, in[0], dy, &next) : Tensor();
  }
};

/// y [n, groups·out, ...] back to images: c is of the convolution that goes the other way.
template <int axes, bool biased> struct ConvTranspose {
  static constexpr const char *name = axes == 1 ? "conv_transpose1d" : "conv_transpose2d",
                              *formula = biased ? "x ∗ᵀ W + b" : "x ∗ᵀ W",
                              *rule = biased ? "∇x = g ∗ W   ∇W = g ∗ x   ∇b = Σ g" : "∇x = g ∗ W   ∇W = g ∗ x",
                              *operands = biased ? "x W b" : "x W";
  static constexpr Keep keep = Keep::first | Keep::second;
  Convolution c;

  Tensor run(const Tensor& y, const Tensor& w, const Tensor& b = {}) const {
    Tensor x = empty(images<axes>(c), y.dtype()), scratch = empty({kernels::scratch_for_transpose(c)}, y.dtype());
    dispatch_floating(y.dtype(), [&]<class T>(T) {
      launch(kernels::conv_transpose<T>, c, write<T>(x), read<T>(y), read<T>(w), read_if_any<T>(b), write<T>(scratch));
    });
    return x;
  }
  Tensor dy(const Tensor& dx, const Tensor& w) const { return apply(Conv<axes, false>{c}, dx, w); }
  Tensor dw(const Tensor& dx, const Tensor& y) const { return apply(ConvWeight<axes>{c}, dx, y); }
  Tensor db(const Tensor& dx) const { return channel_sum(dx); }
  Tensor gradient(int i, const Tensor& dx, std::span<const Tensor> in, const Tensor&) const {
    return i == 0 ? dy(dx, in[1]) : i == 1 ? dw(dx, in[0]) : db(dx);
  }
};

/// The weight's gradient: how much x, through each tap, went along with y.
template <int axes> struct ConvWeight {
  static constexpr const char *name = axes == 1 ? "conv1d_weight" : "conv2d_weight", *formula = "x ∗ y",
                              *rule = "∇x = y ∗ᵀ g   ∇y = x ∗ g", *operands = "x y";
  static constexpr Keep keep = Keep::first | Keep::second;
  Convolution c;

  Tensor run(const Tensor& x, const Tensor& y) const { return weight_gradient<axes>(c, x, y); }
  Tensor dx(const Tensor& dw, const Tensor&, const Tensor& y) const {
    return apply(ConvTranspose<axes, false>{c}, y, dw);
  }
  Tensor dy(const Tensor& dw, const Tensor& x, const Tensor&) const { return apply(Conv<axes, false>{c}, x, dw); }
  static constexpr auto gradients() { return std::tuple(&ConvWeight::dx, &ConvWeight::dy); }
};

// ---- pools: the largest of windows, the mean of windows, and how both are spread back ------------------------------

template <int axes> struct MaxUnpool;

/// One number for each window of x, or for each place of the image that was pooled to y.
template <int axes> Shape pooled(const Pooling& p, const Shape& x) {
  return shape_of<axes>(x[0], x[1], p.h.windows, p.w.windows);
}
template <int axes> Shape unpooled(const Pooling& p, const Shape& y) {
  return shape_of<axes>(y[0], y[1], p.h.image, p.w.image);
}

/// dy's shares at the places of x that are their window's largest, y; gated: where that is above 0.
template <int axes>
Tensor unpool_max(const Pooling& p, const Tensor& dy, const Tensor& x, const Tensor& y, bool gated) {
  Tensor dx = empty(x.shape(), dy.dtype()), scratch = empty({kernels::scratch_for(p)}, dy.dtype());
  dispatch_floating(dy.dtype(), [&]<class T>(T) {
    launch(kernels::max_unpool<T>, p, write<T>(dx), read<T>(dy), read<T>(x), read<T>(y), write<T>(scratch), gated);
  });
  return dx;
}

template <int axes> struct MaxPool {
  static constexpr const char *name = axes == 1 ? "max_pool1d" : "max_pool2d", *formula = "max of each window of x",
                              *rule = "∇x = g / ties at each largest", *operands = "x";
  static constexpr Keep keep = Keep::first | Keep::output;
  Pooling p;

  Tensor run(const Tensor& x) const {
    Tensor y = empty(pooled<axes>(p, x.shape()), x.dtype());
    dispatch_floating(x.dtype(), [&]<class T>(T) { launch(kernels::max_pool<T>, p, write<T>(y), read<T>(x)); });
    return y;
  }
  Tensor gated_gradient(const Tensor& dy, const Tensor& x, const Tensor& y) const {
    return unpool_max<axes>(p, dy, x, y, /*gated=*/true);
  }
  // Which place is the largest does not change with x, nearly everywhere: the rule reads x and y as constants.
  Tensor dx(const Tensor& dy, const Tensor& x, const Tensor& y) const {
    return apply(MaxUnpool<axes>{p}, dy, detach(x), detach(y));
  }
  static constexpr auto gradients() { return std::tuple(&MaxPool::dx); }
};

/// What max_pool of x, whose result is y, makes of any numbers v in x's shape: their mean over the largest's places.
template <int axes> struct MaxPick {
  static constexpr const char *name = axes == 1 ? "max_pick1d" : "max_pick2d", *formula = "v where x is largest",
                              *rule = "∇v = g / ties at each largest", *operands = "v x y";
  static constexpr Keep keep = Keep::second | Keep::third;
  Pooling p;

  Tensor run(const Tensor& v, const Tensor& x, const Tensor& y) const {
    Tensor picked = empty(y.shape(), v.dtype()), scratch = empty({kernels::scratch_for(p)}, v.dtype());
    dispatch_floating(v.dtype(), [&]<class T>(T) {
      launch(kernels::max_pick<T>, p, write<T>(picked), read<T>(v), read<T>(x), read<T>(y), write<T>(scratch));
    });
    return picked;
  }
  Tensor dv(const Tensor& g, const Tensor&, const Tensor& x, const Tensor& y) const {
    return apply(MaxUnpool<axes>{p}, g, detach(x), detach(y));
  }
  static constexpr auto gradients() { return std::tuple(&MaxPick::dv, nullptr, nullptr); }
};

template <int axes> struct MaxUnpool {
  static constexpr const char *name = axes == 1 ? "max_unpool1d" : "max_unpool2d",
                              *formula = "v / ties where x is largest", *rule = "∇v = g where x is largest",
                              *operands = "v x y";
  static constexpr Keep keep = Keep::second | Keep::third;
  Pooling p;

  Tensor run(const Tensor& v, const Tensor& x, const Tensor& y) const {
    return unpool_max<axes>(p, v, x, y, /*gated=*/false);
  }
  Tensor dv(const Tensor& g, const Tensor&, const Tensor& x, const Tensor& y) const {
    return apply(MaxPick<axes>{p}, g, detach(x), detach(y));
  }
  static constexpr auto gradients() { return std::tuple(&MaxUnpool::dv, nullptr, nullptr); }
};

struct AvgUnpool;

struct AvgPool {
  static constexpr char name[] = "avg_pool2d", formula[] = "mean of each window of x", rule[] = "∇x = Σ g / n",
                        operands[] = "x";
  static constexpr Keep keep = Keep::nothing;
  Pooling p;
  bool count_padding;

  Tensor run(const Tensor& x) const {
    Tensor y = empty(pooled<2>(p, x.shape()), x.dtype());
    dispatch_floating(x.dtype(),
                      [&]<class T>(T) { launch(kernels::avg_pool<T>, p, write<T>(y), read<T>(x), count_padding); });
    return y;
  }
  Tensor dx(const Tensor& dy, const Tensor&) const;
  static constexpr auto gradients() { return std::tuple(&AvgPool::dx); }
};

struct AvgUnpool {
  static constexpr char name[] = "avg_unpool2d", formula[] = "Σ y / n of each window",
                        rule[] = "∇y = mean of g's window", operands[] = "y";
  static constexpr Keep keep = Keep::nothing;
  Pooling p;
  bool count_padding;

  Tensor run(const Tensor& y) const {
    Tensor x = empty(unpooled<2>(p, y.shape()), y.dtype()), scratch = empty({kernels::scratch_for(p)}, y.dtype());
    dispatch_floating(y.dtype(), [&]<class T>(T) {
      launch(kernels::avg_unpool<T>, p, write<T>(x), read<T>(y), count_padding, write<T>(scratch));
    });
    return x;
  }
  Tensor dy(const Tensor& dx, const Tensor&) const { return apply(AvgPool{p, count_padding}, dx); }
  static constexpr auto gradients() { return std::tuple(&AvgUnpool::dy); }
};

Tensor AvgPool::dx(const Tensor& dy, const Tensor&) const { return apply(AvgUnpool{p, count_padding}, dy); }

// ---- what is asked, checked ----------------------------------------------------------------------------------------

// BLAS counts in 32 bits; and no product of two such numbers, nor the sum of two such products, overflows.
void must_count(const char* what, std::int64_t number) {
  constexpr std::int64_t most = std::numeric_limits<std::int32_t>::max();
  require(number <= most, "a {} of {} is more than the {} that can be counted", what, number, most);
}

void must_step(const Axis& a) {
  require(a.stride >= 1, Complaint::usage, "the stride must be at least 1, got {}", a.stride);
  require(a.padding >= 0, Complaint::usage, "the padding must not be negative, got {}", a.padding);
  require(a.dilation >= 1, Complaint::usage, "the dilation must be at least 1, got {}", a.dilation);
  must_count("stride", a.stride);
  must_count("padding", a.padding);
  must_count("dilation", a.dilation);
}

/// The windows that fit along an axis of x; `what` is the axis, and `window` what they are called.
Axis fitted(const char* what, const char* window, Axis a) {
  must_count(what, a.image);
  must_count(window, a.size);
  must_step(a);
  const std::int64_t padded = a.image + 2 * a.padding, span = a.dilation * (a.size - 1) + 1;
  require(span <= padded, "the {}'s {} of {}{} does not fit into the {} of x, padding included", window, what, a.size,
          a.dilation == 1 ? "" : fmt::format(", {} with its gaps,", span), padded);
  a.windows = (padded - span) / a.stride + 1;
  return a;
}

template <int axes> const char* last_axis() { return axes == 1 ? "length" : "width"; }

DType floating(DType type) { return type == i64 ? f32 : type; }

/// `one_channel`: nothing but x with one channel would do.
template <int axes> void must_be_images(const Tensor& x, bool one_channel = false) {
  if (x.rank() == axes + 2) return;
  const char* help = "";
  if (x.rank() == axes + 1) help = one_channel ? "unsqueeze(x, 1) is one channel" : "unsqueeze(x, 0) is a batch of one";
  throw Complaint{Complaint::shape,
                  axes == 1 ? "signals are [n, channels, length]" : "images are [n, channels, height, width]", help};
}

/// Applies the op of an image and a weight, or that with a bias besides, to operands of one floating type.
template <class Plain, class Biased>
Tensor convolved(const Tensor& x, const Tensor& w, const Tensor* bias, const auto& geometry) {
  const auto body = [&] {
    const Convolution c = geometry();
    const DType weights = bias == nullptr ? w.dtype() : promote(w.dtype(), bias->dtype()),
                type = floating(promote(x.dtype(), weights));
    if (bias == nullptr) return apply(Plain{c}, x.to(type), w.to(type));
    return apply(Biased{c}, x.to(type), w.to(type), bias->to(type));
  };
  return bias == nullptr ? asked_of(Plain::name, {&x, &w}, body) : asked_of(Plain::name, {&x, &w, bias}, body);
}

/// What both convolutions ask of their operands; the weight has the input channels of a group on `in_axis`.
template <int axes> void must_convolve(const Tensor& x, const Tensor& w, int in_axis, std::int64_t groups) {
  must_be_images<axes>(x, w.rank() == axes + 2 && w.shape()[in_axis] == 1 && groups == 1);
  require(w.rank() == axes + 2, "the weight must have {} axes, not {}", axes + 2, w.rank());
  require(groups >= 1, Complaint::usage, "there must be at least 1 group, got {}", groups);
  must_count("number of groups", groups);
  for (const std::int64_t channels : {x.shape()[1], w.shape()[0], w.shape()[1]})
    must_count("number of channels", channels);
  for (int axis = 2; axis < w.rank(); ++axis)
    require(w.shape()[axis] >= 1, "the kernel has no {}", axis == w.rank() - 1 ? last_axis<axes>() : "height");
}
void must_divide(std::int64_t groups, std::int64_t channels, const char* which) {
  require(channels % groups == 0, "{} groups do not divide {} {} channels", groups, channels, which);
}
void must_fit(const Tensor* bias, std::int64_t channels) {
  if (bias == nullptr) return;
  require(bias->rank() == 1, "the bias must have one axis");
  require(bias->size() == channels, "the bias has {} numbers for {} outputs", bias->size(), channels);
}
/// What a window reads is the inner side of a matrix product.
Convolution counted(const Convolution& c) {
  must_count("kernel", c.h.size * c.w.size);
  must_count("kernel", c.in * c.h.size * c.w.size);
  return c;
}

template <int axes>
Tensor convolve(const Tensor& x, const Tensor& w, const Tensor* bias, const Conv2dOptions& options) {
  return convolved<Conv<axes, false>, Conv<axes, true>>(x, w, bias, [&] {
    must_convolve<axes>(x, w, 1, options.groups);
    const std::int64_t in = x.shape()[1], out = w.shape()[0], groups = options.groups;
    must_divide(groups, in, "input");
    must_divide(groups, out, "output");
    require(w.shape()[1] == in / groups, "the weight is for {} input channels{}, x has {}", w.shape()[1],
            groups == 1 ? "" : fmt::format(" in each of {} groups", groups), in);
    must_fit(bias, out);
    Convolution c{x.shape()[0], groups, in / groups, out / groups, {}, {}};
    if (axes == 2)
      c.h = fitted("height", "kernel",
                   {x.shape()[2], 0, w.shape()[2], options.stride.h, options.padding.h, options.dilation.h});
    c.w = fitted(last_axis<axes>(), "kernel",
                 {x.shape()[-1], 0, w.shape()[-1], options.stride.w, options.padding.w, options.dilation.w});
    return counted(c);
  });
}

/// The axis of the image that a transposed convolution makes of `windows`.
Axis unfolded(const char* what, Axis a, std::int64_t output_padding) {
  must_count(what, a.windows);
  must_count("kernel", a.size);
  must_step(a);
  require(a.windows >= 1, "x has no {}", what);
  require(output_padding >= 0, Complaint::usage, "the output padding must not be negative, got {}", output_padding);
  require(output_padding < std::max(a.stride, a.dilation), Complaint::usage,
          "the output padding {} must be less than the stride {} or the dilation {}", output_padding, a.stride,
          a.dilation);
  a.image = (a.windows - 1) * a.stride - 2 * a.padding + a.dilation * (a.size - 1) + output_padding + 1;
  require(a.image >= 1, "a padding of {} leaves a {} of {}", a.padding, what, a.image);
  must_count(what, a.image);
  return a;
}

Tensor transpose_convolve(const Tensor& x, const Tensor& w, const Tensor* bias, const ConvTranspose2dOptions& options) {
  return convolved<ConvTranspose<2, false>, ConvTranspose<2, true>>(x, w, bias, [&] {
    must_convolve<2>(x, w, 0, options.groups);
    const Shape &sx = x.shape(), &sw = w.shape();
    const std::int64_t groups = options.groups;
    require(sw[0] == sx[1], "the weight is for {} input channels, x has {}", sw[0], sx[1]);
    must_divide(groups, sx[1], "input");
    must_count("number of channels", sw[1] * groups);
    must_fit(bias, sw[1] * groups);
    Convolution c{sx[0], groups, sw[1], sx[1] / groups, {}, {}};
    c.h = unfolded("height", {0, sx[2], sw[2], options.stride.h, options.padding.h, options.dilation.h},
                   options.output_padding.h);
    c.w = unfolded("width", {0, sx[3], sw[3], options.stride.w, options.padding.w, options.dilation.w},
                   options.output_padding.w);
    return counted(c);
  });
}

/// The windows of a pool along one axis; stride 0 is the window's size.
Axis pool_axis(const char* what, std::int64_t image, std::int64_t size, std::int64_t stride, std::int64_t padding) {
  require(size >= 1, Complaint::usage, "the window's {} must be at least 1, got {}", what, size);
  require(stride >= 0, Complaint::usage, "the stride must be at least 1, or 0 for the window's size, got {}", stride);
  require(padding <= size / 2, Complaint::usage, "the padding {} is more than half of the window's {} of {}", padding,
          what, size);
  require(image >= 1, "x has no {}", what);
  return fitted(what, "window", {image, 0, size, stride == 0 ? size : stride, padding, 1});
}

template <int axes> Pooling pooling(const Tensor& x, Pair size, Pair stride, Pair padding) {
  must_be_images<axes>(x);
  Pooling p{x.shape()[0] * x.shape()[1], {}, {}};
  if (axes == 2) p.h = pool_axis("height", x.shape()[2], size.h, stride.h, padding.h);
  p.w = pool_axis(last_axis<axes>(), x.shape()[-1], size.w, stride.w, padding.w);
  return p;
}

template <int axes> Tensor pool_max(const Tensor& x, Pair size, const Pool2dOptions& options) {
  return asked_of(MaxPool<axes>::name, {&x}, [&] {
    const MaxPool<axes> op{pooling<axes>(x, size, options.stride, options.padding)};
    return apply(op, x.to(floating(x.dtype())));
  });
}

const Tensor* if_any(const Tensor& bias) { return bias.defined() ? &bias : nullptr; }
Conv2dOptions of_signal(const Conv1dOptions& o) { return {o.stride, o.padding, o.dilation, o.groups}; }

}  // namespace

Tensor conv1d(const Tensor& x, const Tensor& weight, const Conv1dOptions& options) {
  return convolve<1>(x, weight, nullptr, of_signal(options));
}
Tensor conv1d(const Tensor& x, const Tensor& weight, const Tensor& bias, const Conv1dOptions& options) {
  return convolve<1>(x, weight, if_any(bias), of_signal(options));
}
Tensor conv2d(const Tensor& x, const Tensor& weight, const Conv2dOptions& options) {
  return convolve<2>(x, weight, nullptr, options);
}
Tensor conv2d(const Tensor& x, const Tensor& weight, const Tensor& bias, const Conv2dOptions& options) {
  return convolve<2>(x, weight, if_any(bias), options);
}
Tensor conv_transpose2d(const Tensor& x, const Tensor& weight, const ConvTranspose2dOptions& options) {
  return transpose_convolve(x, weight, nullptr, options);
}
Tensor conv_transpose2d(const Tensor& x, const Tensor& weight, const Tensor& bias,
                        const ConvTranspose2dOptions& options) {
  return transpose_convolve(x, weight, if_any(bias), options);
}

Tensor max_pool1d(const Tensor& x, std::int64_t size, const Pool1dOptions& options) {
  return pool_max<1>(x, size, {options.stride, options.padding});
}
Tensor max_pool2d(const Tensor& x, Pair size, const Pool2dOptions& options) { return pool_max<2>(x, size, options); }

Tensor avg_pool2d(const Tensor& x, Pair size, const AvgPool2dOptions& options) {
  return asked_of(AvgPool::name, {&x}, [&] {
    const AvgPool op{pooling<2>(x, size, options.stride, options.padding), options.count_padding};
    return apply(op, x.to(floating(x.dtype())));
  });
}

}  // namespace ebb
