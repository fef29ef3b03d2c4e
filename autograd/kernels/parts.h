// How kernels share their work out, and those of images step through it.
#pragma once

#include <algorithm>
#include <cstdint>
#include <type_traits>

namespace ebb::kernels {

/// Strides 1 and 2 as constants: their loops become vectors.
template <class F> void with_stride(std::int64_t stride, F&& f) {
  if (stride == 1) f(std::integral_constant<std::int64_t, 1>());
  else if (stride == 2) f(std::integral_constant<std::int64_t, 2>());
  else f(stride);
}

/// So many numbers of an elementwise loop are worth a thread.
inline constexpr std::int64_t enough_numbers = 1 << 15;

/// Images, or rows, in parts for the threads to share: how many is a function of the work alone, so that sums are the
/// same whatever the number of threads.
struct Parts {
  std::int64_t n, count;

  /// enough: as much work as makes a part worth a thread.
  Parts(std::int64_t images, double work, double enough)
      : n(images),
        count(static_cast<std::int64_t>(std::clamp(std::min(work / enough, static_cast<double>(n)), 1.0, 8.0))) {}
  std::int64_t begin(std::int64_t part) const { return part * n / count; }
  std::int64_t size(std::int64_t part) const { return begin(part + 1) - begin(part); }
  std::int64_t largest() const { return (n + count - 1) / count; }
};

}  // namespace ebb::kernels
