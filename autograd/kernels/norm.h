// Normalisation of x, seen as [outer, groups, inner], of which every group has its own mean and deviation: a channel of
// images [n, channels, h·w], or a row of [1, rows, size].
#pragma once

#include <cstdint>

namespace ebb::kernels {

struct Groups {
  std::int64_t outer, groups, inner;
  bool by_group;  ///< whether scale and shift are [groups], or [inner]
};

/// mean [groups], and variance [groups], the mean square distance from it; NaN for groups of nothing.
template <class T> void moments(T* mean, T* variance, const T* x, const Groups& groups);

/// y = x̂ · scale + shift with x̂ = (x - mean) · rate.
template <class T>
void normalize(T* y, const T* x, const T* mean, const T* rate, const T* scale, const T* shift, const Groups& groups);

/// dx, where rate = 1 / √(variance + eps) of x itself: rate · (g - mean(g) - x̂ · mean(g · x̂)) with g = dy · scale.
/// Where mean and rate are fixed: rate · g.
template <class T> void normalize_gradient(T* dx, const T* dy, const T* x, const T* mean, const T* rate, const T* scale,
                                           const Groups& groups, bool fixed);

/// dscale = Σ dy · x̂.
template <class T>
void normalize_scale(T* dscale, const T* dy, const T* x, const T* mean, const T* rate, const Groups& groups);

}  // namespace ebb::kernels
