// The loops of elementwise ops.  Templates, so that a formula is inlined into its loop: those of the library's formulas
// are compiled in ops/elementwise.cpp, a user's own in the program that makes it.
#pragma once

#include "walk.h"

#include <array>
#include <cstdint>
#include <tuple>
#include <utility>

namespace ebb::kernels {

/// y[i] = f(x₀[i], x₁[i], ...) over n numbers that lie side by side.
template <class Y, class F, class... X> void map(Y* __restrict y, std::int64_t n, F f, const X* __restrict... x) {
  for (std::int64_t i = 0; i < n; ++i) y[i] = f(x[i]...);
}

/// The same over broadcast operands.
template <class Y, class F, class... X> void map(Y* y, const Walk<int(sizeof...(X))>& walk, F f, const X*... x) {
  constexpr std::size_t N = sizeof...(X);
  const auto inner = std::size_t(walk.rank - 1);
  const std::int64_t n = walk.size[inner];
  std::array<std::int64_t, N> step;
  bool side_by_side = true;
  for (std::size_t k = 0; k < N; ++k) {
    step[k] = walk.stride[k][inner];
    side_by_side = side_by_side && step[k] == 1;
  }
  [&]<std::size_t... K>(std::index_sequence<K...>) {
    walk.rows([&](std::int64_t out, const std::array<std::int64_t, N>& at) {
      Y* const row = y + out;
      if (side_by_side) {
        for (std::int64_t i = 0; i < n; ++i) row[i] = f((x + at[K])[i]...);
      } else if constexpr (N == 2) {
        const auto a = std::get<0>(std::tie(x...)) + at[0];
        const auto b = std::get<1>(std::tie(x...)) + at[1];
        if (step[0] == 1 && step[1] == 0) {
          const auto number = *b;
          for (std::int64_t i = 0; i < n; ++i) row[i] = f(a[i], number);
        } else if (step[0] == 0 && step[1] == 1) {
          const auto number = *a;
          for (std::int64_t i = 0; i < n; ++i) row[i] = f(number, b[i]);
        } else {
          for (std::int64_t i = 0; i < n; ++i) row[i] = f(a[i * step[0]], b[i * step[1]]);
        }
      } else {
        for (std::int64_t i = 0; i < n; ++i) row[i] = f((x + at[K])[i * step[K]]...);
      }
    });
  }
  (std::make_index_sequence<N>());
}

}  // namespace ebb::kernels
