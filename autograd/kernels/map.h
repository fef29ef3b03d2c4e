// The loops of elementwise ops.  Templates, so that a formula is inlined into its loop: those of the library's formulas
// are compiled in ops/elementwise.cpp, a user's own in the program that makes it.
#pragma once

#include "parts.h"
#include "simd.h"
#include "threads.h"
#include "walk.h"

#include <algorithm>
#include <array>
#include <cstdint>
#include <tuple>
#include <utility>

namespace ebb::kernels {

namespace detail {

// Loops run in blocks of so many numbers: with a count that they know, compilers make vectors of them at -O2 as well.
inline constexpr std::int64_t block = 16;

/// y[i] = f(x₀[i·step₀], x₁[i·step₁], ...) for i < n by blocks: where a step is 0, x has a block of one number.
template <class Y, class F, std::size_t... K, class... X>
[[gnu::always_inline]] inline void by_blocks(std::index_sequence<K...>, Y* __restrict y, std::int64_t n, const F& f,
                                             const std::array<std::int64_t, sizeof...(X)>& step,
                                             const X* __restrict... x) {
  std::int64_t i = 0;
  for (; i + block <= n; i += block)
    for (std::int64_t j = 0; j < block; ++j) y[i + j] = f((x + i * step[K])[j]...);
  if (i == n) return;
  // Vectors of which some numbers are left out, where there are such.
  for (std::int64_t j = 0; j < block; ++j)
    if (j < n - i) y[i + j] = f((x + i * step[K])[j]...);
}

/// A block of one number, once it is filled.
template <class X> struct Fixed {
  X number[block];
  Fixed() {}
  [[gnu::always_inline]] const X* fill(X with) {
    for (std::int64_t j = 0; j < block; ++j) number[j] = with;
    return number;
  }
};

struct MapLoop {
  template <class Y, class F, class... X>
  [[gnu::always_inline]] void operator()(Y* y, const Walk<int(sizeof...(X))>* walk, const F& f, const X*... x) const {
    run(std::index_sequence_for<X...>(), y, *walk, f, x...);
  }

 private:
  template <class Y, class F, std::size_t... K, class... X>
  [[gnu::always_inline]] static void run(std::index_sequence<K...> operands, Y* y, const Walk<int(sizeof...(X))>& walk,
                                         const F& f, const X*... x) {
    constexpr std::size_t N = sizeof...(X);
    const std::int64_t n = walk.row_size();
    const std::array<std::int64_t, N> step{walk.row_step(K)...};
    std::tuple<Fixed<X>...> fixed;
    walk.rows([&](std::int64_t out, const std::array<std::int64_t, N>& at) {
      by_blocks(operands, y + out, n, f, step, (step[K] == 1 ? x + at[K] : std::get<K>(fixed).fill(x[at[K]]))...);
    });
  }
};

/// The same one by one, for rows so short that vectors do not pay.
struct FewLoop {
  template <class Y, class F, class... X>
  [[gnu::always_inline]] void operator()(Y* y, const Walk<int(sizeof...(X))>* walk, const F& f, const X*... x) const {
    run(std::index_sequence_for<X...>(), y, *walk, f, x...);
  }

 private:
  template <class Y, class F, std::size_t... K, class... X>
  [[gnu::always_inline]] static void run(std::index_sequence<K...>, Y* y, const Walk<int(sizeof...(X))>& walk,
                                         const F& f, const X*... x) {
    constexpr std::size_t N = sizeof...(X);
    const std::int64_t n = walk.row_size();
    const std::array<std::int64_t, N> step{walk.row_step(K)...};
    walk.rows([&](std::int64_t out, const std::array<std::int64_t, N>& at) {
      for (std::int64_t i = 0; i < n; ++i) y[out + i] = f(x[at[K] + i * step[K]]...);
    });
  }
};
inline constexpr std::int64_t few = 4;

struct OneNumber {
  template <class Y, class F, class... X>
  [[gnu::always_inline]] void operator()(Y* y, const F& f, const X*... x) const {
    *y = f(*x...);
  }
};

}  // namespace detail

/// y[i] = f(x₀[i], x₁[i], ...) over n numbers, within a loop that on_vectors() runs.
template <class Y, class F, class... X>
[[gnu::always_inline]] inline void map_within(Y* y, std::int64_t n, const F& f, const X*... x) {
  std::array<std::int64_t, sizeof...(X)> step;
  step.fill(1);
  detail::by_blocks(std::index_sequence_for<X...>(), y, n, f, step, x...);
}

namespace detail {

template <class Y, class F, class... X>
void map_part(Y* y, const Walk<int(sizeof...(X))>& walk, const F& f, const X*... x) {
  if (walk.row_size() <= few) on_baseline(FewLoop{}, y, &walk, f, x...);
  else on_vectors(MapLoop{}, y, &walk, f, x...);
}

template <class Y, class F, std::size_t... K, class... X>
[[gnu::noinline]] void map_parts(std::index_sequence<K...>, Y* y, const Walk<int(sizeof...(X))>& walk, const F& f,
                                 const X*... x) {
  const std::int64_t n = walk.size[0], row = walk.numbers() / n;
  const std::int64_t unit = row == 1 ? block : 1;  // vectors begin where vectors of the whole would
  const Parts parts((n + unit - 1) / unit, static_cast<double>(walk.numbers()), enough_numbers);
  parallel(parts.count, [&](std::int64_t part) {
    const std::int64_t begin = parts.begin(part) * unit, end = std::min(n, parts.begin(part + 1) * unit);
    map_part(y + begin * row, walk.part(begin, end), f, (x + begin * walk.stride[K][0])...);
  });
}

}  // namespace detail

/// y[i] = f(x₀[i], x₁[i], ...) over broadcast operands, with the same bits on every instruction set and any number of
/// threads.  y may be one of the operands, unless that one is broadcast.
template <class Y, class F, class... X> void map(Y* y, const Walk<int(sizeof...(X))>& walk, F f, const X*... x) {
  if (walk.numbers() < 2 * enough_numbers) detail::map_part(y, walk, f, x...);
  else detail::map_parts(std::index_sequence_for<X...>(), y, walk, f, x...);
}

/// The same over n numbers that lie side by side.
template <class Y, class F, class... X> void map(Y* y, std::int64_t n, F f, const X*... x) {
  if (n == 1) detail::on_baseline(detail::OneNumber{}, y, f, x...);
  else map(y, Walk<int(sizeof...(X))>(n), f, x...);
}

}  // namespace ebb::kernels
