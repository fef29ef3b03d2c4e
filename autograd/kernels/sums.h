// Sums and largest numbers in several lanes: what one is depends on nothing but the numbers and how many there are, on any
// instruction set.  For loops that on_vectors() runs.
#pragma once

#include "map.h"
#include "math.h"

#include <algorithm>
#include <cstdint>
#include <limits>
#include <type_traits>

namespace ebb::kernels {

template <class T> [[gnu::always_inline]] inline T plus(T a, T b) {
  if constexpr (std::is_integral_v<T>)  // wraps around, as NumPy's do
    return static_cast<T>(static_cast<std::make_unsigned_t<T>>(a) + static_cast<std::make_unsigned_t<T>>(b));
  else return a + b;
}

/// x(0), ..., x(n - 1) put together: the i-th in lane i mod 64 / sizeof(T), the lanes pairwise, and the rest one by one.
/// put(none, v) is v.
template <class T, class Put, class F> [[gnu::always_inline]] inline T in_lanes(T none, std::int64_t n, Put put, F x) {
  constexpr int lanes = 64 / sizeof(T);
  T all = none;
  std::int64_t i = 0;
  if (n >= lanes) {
    T lane[lanes];
    for (int k = 0; k < lanes; ++k) lane[k] = none;
    for (; i + lanes <= n; i += lanes)
      for (int k = 0; k < lanes; ++k) lane[k] = put(lane[k], static_cast<T>(x(i + k)));
    for (int half = lanes / 2; half > 0; half /= 2)
      for (int k = 0; k < half; ++k) lane[k] = put(lane[k], lane[k + half]);
    all = lane[0];
  }
  for (; i < n; ++i) all = put(all, static_cast<T>(x(i)));
  return all;
}

/// x(0) + ... + x(n - 1), as a T.
template <class T, class F> [[gnu::always_inline]] inline T sum_of(std::int64_t n, F x) {
  return in_lanes(
      T(0), n, [](T a, T b) { return plus(a, b); }, x);
}

/// The largest of n numbers; -inf if none is a number.
template <class T> [[gnu::always_inline]] inline T largest_of(const T* x, std::int64_t n) {
  return in_lanes(
      -std::numeric_limits<T>::infinity(), n, [](T m, T v) { return m < v ? v : m; },
      [x](std::int64_t i) { return x[i]; });
}

/// f(x₀[0], x₁[0], ...) + f(x₀[1], x₁[1], ...) + ... of n numbers each, of T, as a Sum.
template <class Sum, class F, class T, class... X>
[[gnu::always_inline]] inline Sum sum_mapped(std::int64_t n, const F& f, const T* x, const X*... more) {
  constexpr std::int64_t piece = 256;
  T y[piece];
  Sum total = 0;
  if (n < 4) {
    for (std::int64_t i = 0; i < n; ++i) total += f(x[i], more[i]...);
    return total;
  }
  for (std::int64_t from = 0; from < n; from += piece) {
    const std::int64_t size = std::min(piece, n - from);
    map_within(y, size, f, x + from, (more + from)...);
    total += sum_of<Sum>(size, [&y](std::int64_t i) { return y[i]; });
  }
  return total;
}

}  // namespace ebb::kernels
