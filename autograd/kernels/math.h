// The functions of <cmath> that most time is spent in, for float without branches, calls or tables: loops over them
// become vectors on any instruction set.  Products and sums are rounded one after the other, so the bits are the same on all.
// double goes to the C library.
//
// Largest errors over all floats, in units of the last place: exp 0.75, log 0.8, erf and tanh 1.3, log1p 1.4, expm1 1.6,
// sigmoid 1.97.  NaN, infinities, overflow, denormal numbers and the sign of 0 come out as the C library's.
#pragma once

#include <bit>
#include <cmath>
#include <cstdint>
#include <limits>
#include <type_traits>

// Clang fuses a product and a sum within one expression unless told not to; GCC is told by whoever compiles a loop for
// instruction sets that could (see simd.h).
#ifdef __clang__
#define EBB_ROUND_EACH _Pragma("clang fp contract(off)")
#else
#define EBB_ROUND_EACH
#endif

namespace ebb::kernels::math {

/// condition ? a : b, of which both are computed: by bits, since compilers turn it into a branch otherwise, and then do
/// without vectors.
template <class T> [[gnu::always_inline]] inline T select(bool condition, T a, T b) {
  if constexpr (sizeof(T) == 4 || sizeof(T) == 8) {
    using Word = std::conditional_t<sizeof(T) == 4, std::uint32_t, std::uint64_t>;
    const Word mask = Word(0) - Word(condition);
    return std::bit_cast<T>((std::bit_cast<Word>(a) & mask) | (std::bit_cast<Word>(b) & ~mask));
  } else {
    return condition ? a : b;
  }
}

namespace detail {

/// 2ⁿ, n from -126 to 127.
[[gnu::always_inline]] inline float power_of_two(std::int32_t n) {
  return std::bit_cast<float>(static_cast<std::uint32_t>(n + 127) << 23);
}

/// eˣ = 2ⁿ · (1 + r + rest) with |r| <= log 2 / 2.
struct Reduced {
  std::int32_t n;
  float r, rest;  ///< r is exact, and holds most
};
[[gnu::always_inline]] inline Reduced reduce(float x) {
  EBB_ROUND_EACH
  // Added to this number, n stands in the lowest bits.
  constexpr float magic = 12582912.0F;  // 1.5·2²³
  const float shifted = x * 1.44269504F + magic, n = shifted - magic;
  // log 2 in two parts, of which n times the first is exact.
  const float first = x - n * 0.693359375F, second = n * 2.12194440e-4F, r = first + second;
  const float q = 0.49999993F + r * (0.1666652F + r * (0.041668393F + r * (8.3687806e-3F + r * 1.3814465e-3F)));
  const auto whole = std::bit_cast<std::uint32_t>(shifted) - std::bit_cast<std::uint32_t>(magic);
  return {static_cast<std::int32_t>(whole), first, r * r * q + second};
}

/// eˣ where it neither over- nor underflows: |x| <= 87.
[[gnu::always_inline]] inline float exp_within(float x) {
  EBB_ROUND_EACH
  const Reduced at = reduce(x);
  return (1.0F + (at.r + at.rest)) * power_of_two(at.n);
}

/// eˣ where x <= 89 or NaN.  The scale comes in two steps, so that it goes on into the denormal numbers.
[[gnu::always_inline]] inline float exp_below(float x) {
  EBB_ROUND_EACH
  const Reduced at = reduce(select(x < -104.0F, -104.0F, x));
  const float most = 1.0F + at.r, lost = (1.0F - most) + at.r;
  const std::int32_t half = at.n >> 1;
  return (most + (lost + at.rest)) * power_of_two(half) * power_of_two(at.n - half);
}

/// log(1 + f) - f, for 1 + f from √½ to √2.
[[gnu::always_inline]] inline float log_rest(float f) {
  EBB_ROUND_EACH
  const float s = f * f;
  const float p = 0.33333313F +
                  f * (-0.2500001F +
                       f * (0.20002119F +
                            f * (-0.16667996F +
                                 f * (0.14219551F + f * (-0.12405591F +
                                                         f * (0.11888175F + f * (-0.11675641F + f * 0.067466014F)))))));
  return f * s * p - 0.5F * s;
}

/// n · log 2 + log(1 + f).
[[gnu::always_inline]] inline float log_sum(float n, float f) {
  EBB_ROUND_EACH
  return (f + (log_rest(f) + n * -2.12194440e-4F)) + n * 0.693359375F;
}

inline constexpr float infinity = std::numeric_limits<float>::infinity();
inline constexpr float nan = std::numeric_limits<float>::quiet_NaN();
inline constexpr std::uint32_t root_half = 0x3f3504f3;  // the bits of √½

}  // namespace detail

[[gnu::always_inline]] inline float exp(float x) { return detail::exp_below(select(x > 89.0F, 89.0F, x)); }

[[gnu::always_inline]] inline float expm1(float x) {
  EBB_ROUND_EACH
  float within = select(x < -26.0F, -26.0F, x);
  within = select(within > 89.0F, 89.0F, within);
  const detail::Reduced at = detail::reduce(within);
  // Half of it first: 2ⁿ itself may be too large.
  const float scale = detail::power_of_two(at.n - 1);
  const float part = at.r + at.rest;
  return std::copysign(select(at.n == 0, part, 2.0F * (scale * part + (scale - 0.5F))), x);
}

[[gnu::always_inline]] inline float log(float x) {
  EBB_ROUND_EACH
  const bool tiny = x < std::numeric_limits<float>::min();
  const float normal = x * select(tiny, 8388608.0F, 1.0F);
  const auto bits = std::bit_cast<std::uint32_t>(normal);
  const std::int32_t e = static_cast<std::int32_t>(bits - detail::root_half) >> 23;
  const float f = std::bit_cast<float>(bits - (static_cast<std::uint32_t>(e) << 23)) - 1.0F;
  const float y = detail::log_sum(static_cast<float>(e) - select(tiny, 23.0F, 0.0F), f);
  const float beyond = select(x < 0.0F, detail::nan, select(x == 0.0F, -detail::infinity, x));
  return select((x > 0.0F) & (x < detail::infinity), y, beyond);
}

[[gnu::always_inline]] inline float log1p(float x) {
  EBB_ROUND_EACH
  const float u = 1.0F + x;
  const auto bits = std::bit_cast<std::uint32_t>(u);
  const std::int32_t e = static_cast<std::int32_t>(bits - detail::root_half) >> 23;
  const float m = std::bit_cast<float>(bits - (static_cast<std::uint32_t>(e) << 23));
  // What u lost in rounding is still in x: f = x / 2ᵉ - (1 - 1 / 2ᵉ).  Far out it does not matter.
  const std::int32_t near = e < 25 ? e : 25;
  const float scale = detail::power_of_two(near), inverse = detail::power_of_two(-near);
  const float f = select(e < 25, (x - (scale - 1.0F)) * inverse, m - 1.0F);
  const float y = detail::log_sum(static_cast<float>(e), f);
  const float beyond = select(x < -1.0F, detail::nan, select(x == -1.0F, -detail::infinity, x));
  return select((x > -1.0F) & (x < detail::infinity) & (x != 0.0F), y, beyond);
}

[[gnu::always_inline]] inline float tanh(float x) {
  EBB_ROUND_EACH
  const float a = std::abs(x), s = x * x;
  const float near =
      x + x * (s * (-0.3333328F + s * (0.13331442F + s * (-0.053739712F + s * (0.020639079F + s * -5.704979e-3F)))));
  const float far = 1.0F - 2.0F / (detail::exp_within(2.0F * select(a > 10.0F, 10.0F, a)) + 1.0F);
  return std::copysign(select(a < 0.625F, near, far), x);
}

/// 1 / (1 + e^-x).
[[gnu::always_inline]] inline float sigmoid(float x) {
  EBB_ROUND_EACH
  const float e = detail::exp_below(-std::abs(x)), whole = 1.0F + e, lost = (1.0F - whole) + e;
  const float y = select(x < 0.0F, e, 1.0F) / whole;
  return y - y * lost;  // what the sum lost in rounding
}

[[gnu::always_inline]] inline float erf(float x) {
  EBB_ROUND_EACH
  const float s = x * x, a = select(std::abs(x) > 4.0F, 4.0F, std::abs(x));
  const float near =
      x +
      x * (0.12837917F +
           s * (-0.37612626F + s * (0.11283585F + s * (-0.026853812F +
                                                       s * (5.1883276e-3F + s * (-8.010193e-4F + s * 7.853858e-5F))))));
  const float log_of_rest =
      1.8041543e-4F +
      a * (-1.1295426F + a * (-0.63329045F +
                              a * (-0.10834283F + a * (0.025160495F + a * (-4.186886e-3F +
                                                                           a * (4.377840e-4F + a * -2.1387928e-5F))))));
  const float far = 1.0F - detail::exp_within(log_of_rest);
  return std::copysign(select(a < 1.0F, near, far), x);
}

#define EBB_OF_THE_C_LIBRARY(function) \
  template <class T>                   \
  requires(!std::is_same_v<T, float>) T function(T x) { return static_cast<T>(std::function(x)); }
EBB_OF_THE_C_LIBRARY(exp)
EBB_OF_THE_C_LIBRARY(expm1)
EBB_OF_THE_C_LIBRARY(log)
EBB_OF_THE_C_LIBRARY(log1p)
EBB_OF_THE_C_LIBRARY(tanh)
EBB_OF_THE_C_LIBRARY(erf)
#undef EBB_OF_THE_C_LIBRARY
inline double sigmoid(double x) {
  const double e = std::exp(-std::abs(x));
  return (x < 0 ? e : 1.0) / (1.0 + e);
}

}  // namespace ebb::kernels::math
