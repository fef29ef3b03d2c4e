#include "conv.h"

#include "../autograd/error.h"
#include "../autograd/op.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

namespace ebb::nn {

namespace {

/// "3x5"
std::string text(Pair p) { return fmt::format("{}x{}", p.h, p.w); }
std::string text(std::int64_t n) { return fmt::format("{}", n); }
/// ", stride 2" or ", stride 2x1", unless it is the usual one.
std::string unless(Pair usual, const char* what, Pair p) {
  if (p == usual) return "";
  return fmt::format(", {} {}", what, p.h == p.w ? text(p.h) : text(p));
}

void must(bool ok, const std::string& kind, const char* what) {
  if (!ok) throw UsageError(fmt::format("{}: {}", kind, what));
}
bool at_least(std::int64_t least, Pair p) { return p.h >= least && p.w >= least; }

/// "Conv2d(1 -> 32, 3x3, padding 1)", of sizes that are checked.
template <class Size, class Options>
std::string conv_kind(const char* name, std::int64_t in, std::int64_t out, Size size, const Options& o) {
  std::string kind = fmt::format("{}({} -> {}, {}", name, in, out, text(size));
  kind += unless(1, "stride", o.stride) + unless(0, "padding", o.padding) + unless(1, "dilation", o.dilation) +
          unless(1, "groups", o.groups) + ")";
  must(in >= 1 && out >= 1 && at_least(1, size), kind, "sizes must be at least 1");
  must(at_least(1, o.stride), kind, "the stride must be at least 1");
  must(at_least(0, o.padding), kind, "the padding must not be negative");
  must(at_least(1, o.dilation), kind, "the dilation must be at least 1");
  must(o.groups >= 1, kind, "there must be at least 1 group");
  must(in % o.groups == 0 && out % o.groups == 0, kind, "the groups must divide both numbers of channels");
  return kind;
}

template <class Options> std::string pool_kind(const char* name, Pair size, const Options& o, std::string shown) {
  const Pair padding = o.padding;
  std::string kind =
      fmt::format("{}({}{}{})", name, std::move(shown), unless(0, "stride", o.stride), unless(0, "padding", padding));
  must(at_least(1, size), kind, "the window must be at least 1");
  must(at_least(0, o.stride), kind, "the stride must be at least 1, or 0 for the window's size");
  must(at_least(0, padding) && padding.h <= size.h / 2 && padding.w <= size.w / 2, kind,
       "the padding must be at least 0 and at most half of the window");
  return kind;
}

Tensor bias_if(bool wanted, std::int64_t out, DType dtype) { return zeros({wanted ? out : 0}, dtype); }
/// The bias as an operand: a Tensor that holds nothing is none.
Tensor if_any(const Parameter& bias) { return bias.size() == 0 ? Tensor() : Tensor(bias); }

Shape kernel(std::int64_t a, std::int64_t b, std::int64_t size) { return {a, b, size}; }
Shape kernel(std::int64_t a, std::int64_t b, Pair size) { return {a, b, size.h, size.w}; }

/// A weight [out, in / groups, ...]; sizes and options are checked first.
template <class Size, class Options>
Tensor draw(const char* name, std::int64_t in, std::int64_t out, Size size, const Options& o) {
  const std::string kind = conv_kind(name, in, out, size, o);
  return draw_weight(kind, o.init, kernel(out, in / o.groups, size), o.dtype);
}

/// A weight [in, out / groups, ...], drawn with the fan-in of what an output reads.
Tensor draw_turned(const char* name, std::int64_t in, std::int64_t out, Pair size, const ConvTranspose2dOptions& o) {
  const Tensor w = draw(name, in, out, size, o);
  must(at_least(0, o.output_padding) && o.output_padding.h < std::max(o.stride.h, o.dilation.h) &&
           o.output_padding.w < std::max(o.stride.w, o.dilation.w),
       conv_kind(name, in, out, size, o),
       "the output padding must be at least 0 and less than the stride or the dilation");
  const std::int64_t g = o.groups;
  return reshape(transpose(reshape(w, {g, out / g, in / g, size.h, size.w}), 1, 2), {in, out / g, size.h, size.w});
}

void visit(Visitor& visitor, const auto& layer) {
  visitor.fields("label, weight", layer.label, layer.weight);
  visitor.field_if_any("bias", layer.bias);
}

}  // namespace

// The weight comes first, and its making checks the sizes and options.
Conv1d::Conv1d(std::int64_t in, std::int64_t out, std::int64_t size, const Conv1dOptions& o)
    : weight(draw("Conv1d", in, out, size, o)),
      bias(bias_if(o.bias, out, o.dtype)),
      label(conv_kind("Conv1d", in, out, size, o)),
      windows{o.stride, o.padding, o.dilation, o.groups} {}

Tensor Conv1d::operator()(const Tensor& x) const {
  const Scope scope = label.scope();
  const Tensor w = weight;
  return conv1d(x, w, if_any(bias), windows);
}

void Conv1d::ebb_visit(Visitor& visitor) const { visit(visitor, *this); }

Conv2d::Conv2d(std::int64_t in, std::int64_t out, Pair size, const Conv2dOptions& o)
    : weight(draw("Conv2d", in, out, size, o)),
      bias(bias_if(o.bias, out, o.dtype)),
      label(conv_kind("Conv2d", in, out, size, o)),
      windows{o.stride, o.padding, o.dilation, o.groups} {}

Tensor Conv2d::operator()(const Tensor& x) const {
  const Scope scope = label.scope();
  const Tensor w = weight;
  return conv2d(x, w, if_any(bias), windows);
}

void Conv2d::ebb_visit(Visitor& visitor) const { visit(visitor, *this); }

ConvTranspose2d::ConvTranspose2d(std::int64_t in, std::int64_t out, Pair size, const ConvTranspose2dOptions& o)
    : weight(draw_turned("ConvTranspose2d", in, out, size, o)),
      bias(bias_if(o.bias, out, o.dtype)),
      label(conv_kind("ConvTranspose2d", in, out, size, o)),
      windows{o.stride, o.padding, o.output_padding, o.dilation, o.groups} {}

Tensor ConvTranspose2d::operator()(const Tensor& x) const {
  const Scope scope = label.scope();
  const Tensor w = weight;
  return conv_transpose2d(x, w, if_any(bias), windows);
}

void ConvTranspose2d::ebb_visit(Visitor& visitor) const { visit(visitor, *this); }

MaxPool1d::MaxPool1d(std::int64_t window, const Pool1dOptions& options)
    : size(window), windows(options), label(pool_kind("MaxPool1d", window, options, text(window))) {}
Tensor MaxPool1d::operator()(const Tensor& x) const {
  const Scope scope = label.scope();
  return max_pool1d(x, size, windows);
}

MaxPool2d::MaxPool2d(Pair window, const Pool2dOptions& options)
    : size(window), windows(options), label(pool_kind("MaxPool2d", window, options, text(window))) {}
Tensor MaxPool2d::operator()(const Tensor& x) const {
  const Scope scope = label.scope();
  return max_pool2d(x, size, windows);
}

AvgPool2d::AvgPool2d(Pair window, const AvgPool2dOptions& options)
    : size(window), windows(options), label(pool_kind("AvgPool2d", window, options, text(window))) {}
Tensor AvgPool2d::operator()(const Tensor& x) const {
  const Scope scope = label.scope();
  return avg_pool2d(x, size, windows);
}

Tensor GlobalAvgPool::operator()(const Tensor& x) const {
  const Scope scope = label.scope();
  if (!x.defined()) ebb::detail::undefined_operand("GlobalAvgPool", 0);
  if (x.rank() < 3 || x.size() == 0) {
    const Tensor* const in[] = {&x};
    ebb::detail::refuse({ebb::detail::Complaint::shape, "wants [n, channels, ...] with numbers in each channel", ""},
                        "GlobalAvgPool", in, 1);
  }
  return mean(flatten(x, 2), -1);
}

}  // namespace ebb::nn
