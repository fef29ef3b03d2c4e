// A convolution is a matrix product with the columns that its windows read: cols [in·kh·kw, windows].  They are laid out
// for one block of windows at a time, which stays in the cache, whatever the size of an image.
// n images, o outputs, k taps, g groups; a window's number counts all windows of all images.
#include "conv_columns.h"

#include "blas.h"
#include "parts.h"
#include "threads.h"

#include <limits>
#include <vector>

namespace ebb::kernels::columns {

namespace {

std::int64_t image_size(const Convolution& c) { return c.h.image * c.w.image; }
std::int64_t windows_of(const Convolution& c) { return c.h.windows * c.w.windows; }

}  // namespace

bool is_matrix(const Convolution& c) {
  const auto single = [](const Axis& a) { return a.size == 1 && a.padding == 0 && a.image == a.windows; };
  const std::int64_t windows = windows_of(c);
  return single(c.h) && single(c.w) && (windows >= 256 || c.n == 1) &&
         windows <= std::numeric_limits<std::int32_t>::max();
}

namespace {

std::int64_t taps_of(const Convolution& c) { return c.in * c.h.size * c.w.size; }

/// How many windows make a block: so many that reading the weight again for each block is little beside the product,
/// and not more.  (256 to 4096 measure alike.)
std::int64_t block_size(const Convolution& c) { return std::min<std::int64_t>(c.n * windows_of(c), 512); }

/// Neighbouring windows of one row.
struct Piece {
  std::int64_t image, row, column, count;
  std::int64_t at;  // of the first in the block
};

/// A block of windows.  What it reads of y is [o, count] with y's channels far apart.
struct Block {
  std::int64_t begin = 0, count = 0;
  std::vector<Piece> pieces;

  Block(const Convolution& c, std::int64_t first, std::int64_t most)
      : begin(first), count(std::min(most, c.n * windows_of(c) - first)) {
    for (std::int64_t at = 0; at < count;) {
      const std::int64_t row = (begin + at) / c.w.windows, column = (begin + at) % c.w.windows;
      const std::int64_t length = std::min(c.w.windows - column, count - at);
      pieces.push_back({row / c.h.windows, row % c.h.windows, column, length, at});
      at += length;
    }
  }

  /// Calls f(place in the block, place in y, count) for every run of numbers of one output channel of one group.
  template <class F> void runs(const Convolution& c, std::int64_t group, F&& f) const {
    const std::int64_t plane = windows_of(c);
    for (std::int64_t o = 0; o < c.out; ++o)
      for (std::int64_t at = 0; at < count;) {
        const std::int64_t image = (begin + at) / plane, window = (begin + at) % plane;
        const std::int64_t length = std::min(plane - window, count - at);
        f(o * count + at, ((image * c.groups + group) * c.out + o) * plane + window, length);
        at += length;
      }
  }

  /// Calls f(place in cols, place in x, begin, end, count) for every tap of every piece: of `count` windows those from
  /// `begin` to `end` read x, one stride after the other, and the others read padding.
  template <class F> void taps(const Convolution& c, std::int64_t group, F&& f) const {
    for (std::int64_t i = 0, row = 0; i < c.in; ++i)
      for (std::int64_t kh = 0; kh < c.h.size; ++kh)
        for (std::int64_t kw = 0; kw < c.w.size; ++kw, row += count) {
          const Axis::Range inside = c.w.inside(kw);
          for (const Piece& p : pieces) {
            const std::int64_t y = c.h.position(p.row, kh);
            const bool above_or_below = y < 0 || y >= c.h.image;
            const std::int64_t end = above_or_below ? 0 : std::clamp<std::int64_t>(inside.end - p.column, 0, p.count);
            const std::int64_t begin_x = std::clamp<std::int64_t>(inside.begin - p.column, 0, end);
            const std::int64_t plane = (p.image * c.groups + group) * c.in + i;
            f(row + p.at, (plane * c.h.image + y) * c.w.image + c.w.position(p.column, kw), begin_x, end, p.count);
          }
        }
  }
};

template <class T>
void gather_columns(const Convolution& c, const Block& block, std::int64_t group, T* cols, const T* x) {
  with_stride(c.w.stride, [&](auto stride) {
    block.taps(c, group, [&](std::int64_t to, std::int64_t from, std::int64_t begin, std::int64_t end, std::int64_t n) {
      for (std::int64_t i = 0; i < begin; ++i) cols[to + i] = T(0);
      for (std::int64_t i = begin; i < end; ++i) cols[to + i] = x[from + i * stride];
      for (std::int64_t i = end; i < n; ++i) cols[to + i] = T(0);
    });
  });
}

template <class T> void add_columns(const Convolution& c, const Block& block, std::int64_t group, T* x, const T* cols) {
  with_stride(c.w.stride, [&](auto stride) {
    block.taps(c, group, [&](std::int64_t from, std::int64_t to, std::int64_t begin, std::int64_t end, std::int64_t) {
      for (std::int64_t i = begin; i < end; ++i) x[to + i * stride] += cols[from + i];
    });
  });
}

/// Calls f(block) for all windows.
template <class F> void for_each_block(const Convolution& c, F&& f) {
  const std::int64_t most = block_size(c);
  for (std::int64_t begin = 0; begin < c.n * windows_of(c); begin += most) f(Block(c, begin, most));
}

/// Calls f(the group, place in x, place in y) for each group of each image.
template <class F> void for_each_image(const Convolution& c, F&& f) {
  for (std::int64_t i = 0; i < c.n * c.groups; ++i)
    f(i % c.groups, i * c.in * image_size(c), i * c.out * windows_of(c));
}

/// Each channel of n images full of its bias, or of zeros.
template <class T> void fill(T* y, const T* bias, std::int64_t n, std::int64_t channels, std::int64_t size) {
  for (std::int64_t i = 0; i < n * channels; ++i, y += size) std::fill_n(y, size, bias ? bias[i % channels] : T(0));
}

Parts parts_of(const Convolution& c) {
  const double products = static_cast<double>(c.n * windows_of(c)) * static_cast<double>(c.groups * c.out * taps_of(c));
  return {c.n, products, 2e6};
}

/// The convolution of some of the images.
Convolution of_images(const Convolution& c, std::int64_t n) {
  Convolution some = c;
  some.n = n;
  return some;
}

/// Calls f(the convolution of a part's images, place in x, place in y, number) for each part.
template <class F> void for_each_part(const Convolution& c, const F& f) {
  const Parts parts = parts_of(c);
  parallel(parts.count, [&](std::int64_t part) {
    const std::int64_t image = parts.begin(part) * c.groups;
    f(of_images(c, parts.size(part)), image * c.in * image_size(c), image * c.out * windows_of(c), part);
  });
}

std::int64_t weights_of(const Convolution& c) { return c.groups * c.out * taps_of(c); }

/// What each part takes.
std::int64_t columns_of_part(const Convolution& c) {
  const Convolution part = of_images(c, parts_of(c).largest());
  return part.out == 0 || is_matrix(part) ? 0 : block_size(part) * (taps_of(part) + part.out);
}

template <class T> void conv_part(const Convolution& c, T* y, const T* x, const T* weight, const T* bias, T* scratch) {
  const std::int64_t k = taps_of(c);
  if (is_matrix(c)) {
    if (bias != nullptr) fill(y, bias, c.n, c.groups * c.out, windows_of(c));
    for_each_image(c, [&](std::int64_t g, std::int64_t at_x, std::int64_t at_y) {
      gemm(false, false, c.out, windows_of(c), c.in, weight + g * c.out * k, x + at_x, T(bias != nullptr), y + at_y);
    });
    return;
  }
  T *const part = scratch, *const cols = scratch + block_size(c) * c.out;
  for_each_block(c, [&](const Block& block) {
    for (std::int64_t g = 0; g < c.groups; ++g) {
      gather_columns(c, block, g, cols, x);
      gemm(false, false, c.out, block.count, k, weight + g * c.out * k, cols, T(0), part);
      block.runs(c, g, [&](std::int64_t from, std::int64_t to, std::int64_t n) {
        const T b = bias == nullptr ? T(0) : bias[g * c.out + from / block.count];
        for (std::int64_t i = 0; i < n; ++i) y[to + i] = part[from + i] + b;
      });
    }
  });
}

template <class T>
void conv_transpose_part(const Convolution& c, T* x, const T* y, const T* weight, const T* bias, T* scratch) {
  fill(x, bias, c.n, c.groups * c.in, image_size(c));
  if (c.out == 0) return;
  const std::int64_t k = taps_of(c);
  if (is_matrix(c)) {
    for_each_image(c, [&](std::int64_t g, std::int64_t at_x, std::int64_t at_y) {
      gemm(true, false, c.in, windows_of(c), c.out, weight + g * c.out * k, y + at_y, T(1), x + at_x);
    });
    return;
  }
  T *const part = scratch, *const cols = scratch + block_size(c) * c.out;
  for_each_block(c, [&](const Block& block) {
    for (std::int64_t g = 0; g < c.groups; ++g) {
      block.runs(c, g,
                 [&](std::int64_t to, std::int64_t from, std::int64_t n) { std::copy_n(y + from, n, part + to); });
      gemm(true, false, k, block.count, c.out, weight + g * c.out * k, part, T(0), cols);
      add_columns(c, block, g, x, cols);
    }
  });
}

template <class T> void conv_weight_part(const Convolution& c, T* weight, const T* x, const T* y, T* scratch) {
  const std::int64_t k = taps_of(c);
  std::fill_n(weight, c.groups * c.out * k, T(0));
  if (is_matrix(c)) {
    for_each_image(c, [&](std::int64_t g, std::int64_t at_x, std::int64_t at_y) {
      gemm(false, true, c.out, c.in, windows_of(c), y + at_y, x + at_x, T(1), weight + g * c.out * k);
    });
    return;
  }
  T *const part = scratch, *const cols = scratch + block_size(c) * c.out;
  for_each_block(c, [&](const Block& block) {
    for (std::int64_t g = 0; g < c.groups; ++g) {
      block.runs(c, g,
                 [&](std::int64_t to, std::int64_t from, std::int64_t n) { std::copy_n(y + from, n, part + to); });
      gather_columns(c, block, g, cols, x);
      gemm(false, true, c.out, k, block.count, part, cols, T(1), weight + g * c.out * k);
    }
  });
}

}  // namespace

std::int64_t scratch_for(const Convolution& c) { return parts_of(c).count * columns_of_part(c); }
// Each part but the first, whose place is the result, has a sum of its own.
std::int64_t scratch_for_weight(const Convolution& c) {
  return columns::scratch_for(c) + (parts_of(c).count - 1) * weights_of(c);
}

template <class T> void conv(const Convolution& c, T* y, const T* x, const T* weight, const T* bias, T* scratch) {
  if (c.out == 0) return;
  const std::int64_t each = columns_of_part(c);
  for_each_part(c, [&](const Convolution& some, std::int64_t at_x, std::int64_t at_y, std::int64_t part) {
    conv_part(some, y + at_y, x + at_x, weight, bias, scratch + part * each);
  });
}

template <class T>
void conv_transpose(const Convolution& c, T* x, const T* y, const T* weight, const T* bias, T* scratch) {
  const std::int64_t each = columns_of_part(c);
  for_each_part(c, [&](const Convolution& some, std::int64_t at_x, std::int64_t at_y, std::int64_t part) {
    conv_transpose_part(some, x + at_x, y + at_y, weight, bias, scratch + part * each);
  });
}

template <class T> void conv_weight(const Convolution& c, T* weight, const T* x, const T* y, T* scratch) {
  if (c.out == 0) return;
  const std::int64_t each = columns_of_part(c), count = parts_of(c).count, weights = weights_of(c);
  T* const sums = scratch + count * each;
  for_each_part(c, [&](const Convolution& some, std::int64_t at_x, std::int64_t at_y, std::int64_t part) {
    T* const sum = part == 0 ? weight : sums + (part - 1) * weights;
    conv_weight_part(some, sum, x + at_x, y + at_y, scratch + part * each);
  });
  for (std::int64_t part = 0; part < count - 1; ++part)
    for (std::int64_t i = 0; i < weights; ++i) weight[i] += sums[part * weights + i];
}

#define EBB_FOR(T)                                                                        \
  template void conv(const Convolution&, T*, const T*, const T*, const T*, T*);           \
  template void conv_transpose(const Convolution&, T*, const T*, const T*, const T*, T*); \
  template void conv_weight(const Convolution&, T*, const T*, const T*, T*);
EBB_FOR(float)
EBB_FOR(double)
#undef EBB_FOR

}  // namespace ebb::kernels::columns
