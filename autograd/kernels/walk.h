// How broadcast operands are walked side by side.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

namespace ebb::kernels {

/// The most axes that a tensor can have.
inline constexpr int max_rank = 8;

/// The sizes of a tensor's axes, outermost first.
using Sizes = std::span<const std::int64_t>;

/// How N operands are walked side by side with a contiguous output: broadcast axes have stride 0, and axes that
/// can be walked as one are one.
template <int N> struct Walk {
  int rank = 1;
  std::array<std::int64_t, max_rank> size;  // of these, and of the strides, `rank` count
  std::array<std::array<std::int64_t, max_rank>, N> stride;

  /// N operands of n numbers that lie side by side.
  explicit Walk(std::int64_t n) {
    size[0] = n;
    for (std::size_t k = 0; k < N; ++k) stride[k][0] = 1;
  }

  Walk(Sizes out, const std::array<Sizes, N>& in) {
    std::array<std::int64_t, N> step;
    step.fill(1);
    std::array<std::int64_t, max_rank> sizes{};
    std::array<std::array<std::int64_t, max_rank>, N> strides{};
    int axes = 0;  // innermost first
    for (std::size_t from_back = 1; from_back <= out.size(); ++from_back) {
      const std::int64_t n = out[out.size() - from_back];
      std::array<std::int64_t, N> here{};
      for (std::size_t k = 0; k < N; ++k) {
        const std::int64_t m = from_back > in[k].size() ? 1 : in[k][in[k].size() - from_back];
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

  /// The numbers of an innermost row, and how far apart they are in an operand: 1, or 0 where one stands for all.
  std::int64_t row_size() const { return size[std::size_t(rank - 1)]; }
  std::int64_t row_step(std::size_t operand) const { return stride[operand][std::size_t(rank - 1)]; }

  std::int64_t numbers() const {
    std::int64_t all = size[0];
    for (int axis = 1; axis < rank; ++axis) all *= size[std::size_t(axis)];
    return all;
  }
  /// The walk of positions begin <= i < end of the outermost axis, from the numbers at begin on.
  Walk part(std::int64_t begin, std::int64_t end) const {
    Walk some = *this;
    some.size[0] = end - begin;
    return some;
  }

  /// Calls row(position in the output, positions in the operands) for every innermost row.
  template <class Row> void rows(Row&& row) const {
    std::array<std::int64_t, max_rank> index{};
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

}  // namespace ebb::kernels
