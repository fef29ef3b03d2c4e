// Convolutions and pools: windows that go over images [n, channels, height, width].  float and double.
#pragma once

#include <algorithm>
#include <cstdint>

namespace ebb::kernels {

/// How windows go over one axis of an image: tap k of window o reads position o·stride + k·dilation - padding.
struct Axis {
  std::int64_t image = 1, windows = 1, size = 1;  // positions; windows; taps of one window
  std::int64_t stride = 1, padding = 0, dilation = 1;

  struct Range {
    std::int64_t begin, end;
  };
  std::int64_t position(std::int64_t window, std::int64_t tap) const {
    return window * stride + tap * dilation - padding;
  }
  /// The windows whose tap k lies within the image, not in the padding.
  Range inside(std::int64_t tap) const {
    const std::int64_t missing = padding - tap * dilation, reach = image - 1 + missing;
    const std::int64_t begin = missing <= 0 ? 0 : std::min(windows, (missing - 1) / stride + 1);
    if ((windows - 1) * stride <= reach) return {begin, windows};  // as most often; a division takes its time
    return {begin, reach < 0 ? begin : std::max(begin, reach / stride + 1)};
  }
};

/// x [n, groups·in, h.image, w.image] and weight [groups·out, in, h.size, w.size] -> y [n, groups·out, h.windows,
/// w.windows].
struct Convolution {
  std::int64_t n = 0, groups = 1, in = 0, out = 0;
  Axis h, w;
};

/// How many numbers of scratch conv, conv_transpose and conv_weight take.
std::int64_t scratch_for(const Convolution& c);
std::int64_t scratch_for_transpose(const Convolution& c);
std::int64_t scratch_for_weight(const Convolution& c);
/// y = x ⋆ weight + bias for each output channel; bias may be nullptr.
template <class T> void conv(const Convolution& c, T* y, const T* x, const T* weight, const T* bias, T* scratch);
/// The gradient of conv by x, where y's is given; bias, for each channel of x, may be nullptr.
template <class T>
void conv_transpose(const Convolution& c, T* x, const T* y, const T* weight, const T* bias, T* scratch);
/// The gradient of conv by the weight, where y's is given; where `bias` is no nullptr, also that by the bias: the sums of y
/// for each output channel.  Only if sums_with_weight(c).
template <class T>
void conv_weight(const Convolution& c, T* weight, const T* x, const T* y, T* scratch, T* bias = nullptr);
bool sums_with_weight(const Convolution& c);

/// x [planes, h.image, w.image] -> y [planes, h.windows, w.windows].  No dilation, and no window all in the padding.
struct Pooling {
  std::int64_t planes = 0;
  Axis h, w;
};

/// How many numbers of scratch a pool takes.
std::int64_t scratch_for(const Pooling& p);
/// The largest of each window; NaN if there is one.
template <class T> void max_pool(const Pooling& p, T* y, const T* x);
/// dx = dy / ties where x is its window's largest, y; if `gated`, only where that is above 0.
template <class T>
void max_unpool(const Pooling& p, T* dx, const T* dy, const T* x, const T* y, T* scratch, bool gated);
/// The other way round: to = the mean of `from` over the places of each window where x is its largest, y.
template <class T> void max_pick(const Pooling& p, T* to, const T* from, const T* x, const T* y, T* scratch);
/// The mean of each window; the padding's zeros count or do not.
template <class T> void avg_pool(const Pooling& p, T* y, const T* x, bool count_padding);
/// dx = the shares of dy.
template <class T> void avg_unpool(const Pooling& p, T* dx, const T* dy, bool count_padding, T* scratch);

}  // namespace ebb::kernels
