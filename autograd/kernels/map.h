// The loops of elementwise ops.  Templates, so that a formula is inlined into its loop: those of the library's formulas
// are compiled in ops/elementwise.cpp, a user's own in the program that makes it.
#pragma once

#include "../shape.h"

#include <array>
#include <cstdint>
#include <tuple>
#include <utility>

namespace ebb::kernels {

/// How N operands are walked side by side with a contiguous output: broadcast axes have stride 0, and axes that
/// can be walked as one are one.
template <int N>
struct Walk {
  int rank = 0;
  std::array<std::int64_t, Shape::max_rank> size{};
  std::array<std::array<std::int64_t, Shape::max_rank>, N> stride{};

  Walk(const Shape& out, const std::array<const Shape*, N>& in) {
    std::array<std::int64_t, N> step;
    step.fill(1);
    std::array<std::int64_t, Shape::max_rank> sizes{};
    std::array<std::array<std::int64_t, Shape::max_rank>, N> strides{};
    int axes = 0;  // innermost first
    for (int axis = out.rank() - 1; axis >= 0; --axis) {
      const std::int64_t n = out[axis];
      std::array<std::int64_t, N> here{};
      for (std::size_t k = 0; k < N; ++k) {
        const int own = axis - out.rank() + in[k]->rank();
        const std::int64_t m = own < 0 ? 1 : (*in[k])[own];
        here[k] = m == 1 ? 0 : step[k];
        step[k] *= m;
      }
      if (n == 1) continue;
      bool joins = axes > 0;
      for (std::size_t k = 0; k < N && joins; ++k)
        joins = here[k] == strides[k][std::size_t(axes - 1)] * sizes[std::size_t(axes - 1)];
      if (joins) {
        sizes[std::size_t(axes - 1)] *= n;
        continue;
      }
      sizes[std::size_t(axes)] = n;
      for (std::size_t k = 0; k < N; ++k) strides[k][std::size_t(axes)] = here[k];
      ++axes;
    }
    if (axes == 0) {
      sizes[0] = 1;
      axes = 1;
    }
    rank = axes;
    for (std::size_t i = 0; i < std::size_t(axes); ++i) {
      size[i] = sizes[std::size_t(axes) - 1 - i];
      for (std::size_t k = 0; k < N; ++k) stride[k][i] = strides[k][std::size_t(axes) - 1 - i];
    }
  }

  /// Calls row(position in the output, positions in the operands) for every innermost row.
  template <class Row> void rows(Row&& row) const {
    std::array<std::int64_t, Shape::max_rank> index{};
    std::array<std::int64_t, N> at{};
    const auto inner = std::size_t(rank - 1);
    std::int64_t count = 1;
    for (std::size_t i = 0; i < inner; ++i) count *= size[i];
    if (size[inner] == 0) return;
    for (std::int64_t r = 0, out = 0; r < count; ++r, out += size[inner]) {
      row(out, at);
      for (std::size_t i = inner; i-- > 0;) {
        for (std::size_t k = 0; k < N; ++k) at[k] += stride[k][i];
        if (++index[i] < size[i]) break;
        for (std::size_t k = 0; k < N; ++k) at[k] -= stride[k][i] * size[i];
        index[i] = 0;
      }
    }
  }
};

/// y[i] = f(x₀[i], x₁[i], ...) over n numbers that lie side by side.
template <class Y, class F, class... X>
void map(Y* __restrict y, std::int64_t n, F f, const X* __restrict... x) {
  for (std::int64_t i = 0; i < n; ++i) y[i] = f(x[i]...);
}

/// The same over broadcast operands.
template <class Y, class F, class... X>
void map(Y* y, const Walk<int(sizeof...(X))>& walk, F f, const X*... x) {
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
  }(std::make_index_sequence<N>());
}

}  // namespace ebb::kernels
