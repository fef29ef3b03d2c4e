// Loops built once for each instruction set, of which wide.cpp chooses the best that this machine has.  (Loops that the
// compiler makes vectors of by itself stay with their kernels.)
#pragma once

#include <cstdint>

namespace ebb::kernels::wide {

/// Windows in rows and columns that read laid-out planes x: window (r, c) reads x[r·x_row + c + taps[t]] through tap t.
struct Windows {
  std::int64_t rows = 0, columns = 0, x_row = 0;
  const std::int64_t* taps = nullptr;
  std::int64_t count = 0;  // of taps
};

/// Where the numbers of windows are: those of channel o and window (r, c) at o·channel + r·row + c·column.
struct Places {
  std::int64_t channel = 0, row = 0, column = 1;
};

/// Rows of numbers with zeros at their left and right, which fill the pitch.
struct Rows {
  std::int64_t count = 0, x_pitch = 0, numbers = 0;  // in x
  std::int64_t pitch = 0, left = 0;                  // laid out
  bool margins = false;  // there are zeros at the left already; there must be some at the right
};

/// How many numbers behind laid-out planes are read and written, and not used.
constexpr std::int64_t slack = 16;

/// The runs of neighbouring taps that `weights` has loops for.
constexpr bool has_run(std::int64_t n) { return n == 1 || n == 2 || n == 3 || n == 5 || n == 7; }

/// The loops of convolutions.  They know nothing of padding, strides of columns or groups: images are laid out so that the
/// windows of a row read neighbouring numbers through each tap.  Vectors go over output channels: weights and results have
/// those innermost, in blocks of one or two vectors.
template <class T> struct ConvLoops {
  std::int64_t lanes = 0;  // numbers of a vector

  /// Copies rows in between zeros.  Rows are written in order, each with some numbers too many.
  void (*lay_out)(const Rows&, T* to, const T* x) = nullptr;
  /// to [windows, block] = the numbers of the first `channels`, and zeros behind them.  Columns must lie side by side.
  void (*turn)(const Windows&, const Places&, std::int64_t block, std::int64_t channels, T* to, const T* y) = nullptr;
  /// sums [block] += Σ over windows of y [windows, block].
  void (*add_up)(std::int64_t windows, std::int64_t block, T* sums, const T* y) = nullptr;
  /// y = start + Σ over taps of weight [taps, block] · x, of which the first `channels` of the block are written.
  void (*windows)(const Windows&, const Places&, std::int64_t block, std::int64_t channels, T* y, const T* x,
                  const T* weight, const T* start) = nullptr;
  /// sums [taps, run, block] += Σ over windows of y [windows, block] · x through tap + 0, 1, ... run - 1.  The number of
  /// taps is a multiple of group(block, run).
  void (*weights)(const Windows&, std::int64_t block, std::int64_t run, T* sums, const T* x, const T* y) = nullptr;
  /// How many taps `weights` takes at a time.
  std::int64_t (*group)(std::int64_t block, std::int64_t run) = nullptr;

  /// For a block of a single channel, vectors go over windows: y = start + Σ over taps of weight [taps] · x.
  void (*windows_along)(const Windows&, const Places&, T* y, const T* x, const T* weight, T start) = nullptr;
  /// sums [taps] += Σ over windows of y · x through each tap.  Columns of y must lie side by side.
  void (*weights_along)(const Windows&, const Places&, T* sums, const T* x, const T* y) = nullptr;
};

/// Planes whose windows are 2 by 2 and side by side.
struct Halves {
  std::int64_t planes = 0, height = 0, width = 0;  // of x; y has half of both, rounded down
};

/// The loops of such pools, as in conv.h.
template <class T> struct PoolLoops {
  void (*max_pool)(const Halves&, T* y, const T* x) = nullptr;
  void (*max_unpool)(const Halves&, T* dx, const T* dy, const T* x, const T* y, bool gated) = nullptr;
  void (*avg_pool)(const Halves&, T* y, const T* x) = nullptr;
  void (*avg_unpool)(const Halves&, T* dx, const T* dy) = nullptr;
};

template <class T> const ConvLoops<T>& conv_loops();
template <class T> const PoolLoops<T>& pool_loops();

}  // namespace ebb::kernels::wide
