// Matrix products in vectors, written once for all instruction sets that have a fused multiply-add: each file that
// includes this is compiled for one of them, and says what a vector is there by the struct that stands for L here.
//
// Whatever is packed, and whatever part of a product this is, a number of the result is computed the same way: blocks of
// `deep` terms are summed in order, by one fused multiply-add each, and the blocks are added up in order.  A product of
// one row or one column has an order of its own: dots_of() says which, and one_row() makes one block of all terms.
#pragma once

#include "gemm.h"

#include <algorithm>
#include <cstdint>
#include <memory>
#include <new>
#include <type_traits>
#include <utility>

namespace ebb::kernels {

// What is named alike here in two files is not the same code.
namespace {

/// Memory that a thread uses again for each product.
template <class T> class Scratch {
 public:
  T* take(std::int64_t n) {
    if (n > size_) {
      size_ = 0;
      memory_.reset(static_cast<T*>(::operator new(static_cast<std::size_t>(n) * sizeof(T), alignment)));
      size_ = n;
    }
    return memory_.get();
  }

 private:
  static constexpr std::align_val_t alignment{64};
  struct Free {
    void operator()(T* p) const { ::operator delete(p, alignment); }
  };
  std::unique_ptr<T, Free> memory_;
  std::int64_t size_ = 0;
};

// ---- moving blocks ---------------------------------------------------------------------------------------------------

template <int half, class V, std::size_t... i>
[[gnu::always_inline]] inline V near_halves(V x, V y, std::index_sequence<i...>) {
  constexpr int width = sizeof...(i);
  return __builtin_shufflevector(x, y, ((int(i) & half) != 0 ? width + int(i) - half : int(i))...);
}
template <int half, class V, std::size_t... i>
[[gnu::always_inline]] inline V far_halves(V x, V y, std::index_sequence<i...>) {
  constexpr int width = sizeof...(i);
  return __builtin_shufflevector(x, y, ((int(i) & half) != 0 ? width + int(i) : int(i) + half)...);
}

/// Transposes a square of vectors: at first its quarters as wholes, then each of them.
template <class L, int half = L::width / 2>
[[gnu::always_inline]] inline void transpose(typename L::Vector (&x)[L::width]) {
  constexpr auto all = std::make_index_sequence<L::width>();
#pragma GCC unroll 16
  for (int i = 0; i < L::width; ++i) {
    if ((i & half) != 0) continue;
    const typename L::Vector above = x[i], below = x[i + half];
    x[i] = near_halves<half>(above, below, all);
    x[i + half] = far_halves<half>(above, below, all);
  }
  if constexpr (half > 1) transpose<L, half / 2>(x);
}

/// to[j][i] = from[i][j], + more[j][i] if there is any, for i < rows, j < columns.
template <class L> void move_transposed(std::int64_t rows, std::int64_t columns, const typename L::Number* from,
                                        std::int64_t ld_from, typename L::Number* to, std::int64_t ld_to,
                                        const typename L::Number* more = nullptr, std::int64_t ld_more = 0) {
  constexpr int width = L::width;
  const auto square = [=](std::int64_t i, std::int64_t j) {
    const int high = static_cast<int>(std::min<std::int64_t>(width, rows - i));
    const int wide = static_cast<int>(std::min<std::int64_t>(width, columns - j));
    typename L::Vector x[width];
    const typename L::Number* const in = from + i * ld_from + j;
    typename L::Number* const at = to + j * ld_to + i;
    const typename L::Number* const sum = more == nullptr ? nullptr : more + j * ld_more + i;
    if (high == width && wide == width) {
#pragma GCC unroll 16
      for (int r = 0; r < width; ++r) x[r] = L::load(in + r * ld_from);
      transpose<L>(x);
#pragma GCC unroll 16
      for (int r = 0; r < width && sum != nullptr; ++r) x[r] += L::load(sum + r * ld_more);
        // Only now: a load that follows a store to another row at the same place within a page waits for it.
#pragma GCC unroll 16
      for (int r = 0; r < width; ++r) L::store(at + r * ld_to, x[r]);
      return;
    }
    const typename L::Mask down = L::first(high), across = L::first(wide);
#pragma GCC unroll 16
    for (int r = 0; r < width; ++r) x[r] = r < high ? L::load(in + r * ld_from, across) : L::all(0);
    transpose<L>(x);
#pragma GCC unroll 16
    for (int r = 0; r < width; ++r) {
      if (r >= wide) break;
      if (sum != nullptr) x[r] += L::load(sum + r * ld_more, down);
      L::store(at + r * ld_to, x[r], down);
    }
  };
  // Along the longer side, for the same reason.
  if (rows > columns) {
    for (std::int64_t j = 0; j < columns; j += width)
      for (std::int64_t i = 0; i < rows; i += width) square(i, j);
  } else {
    for (std::int64_t i = 0; i < rows; i += width)
      for (std::int64_t j = 0; j < columns; j += width) square(i, j);
  }
}

/// Strips of `wide` columns, one after the other, each as it is read: number (i, j) of a strip goes to[i · wide + j].
template <class L, int wide> void cut_to_strips(std::int64_t rows, std::int64_t columns, const typename L::Number* from,
                                                std::int64_t ld_from, typename L::Number* to, std::int64_t to_next) {
  constexpr int vectors = (wide + L::width - 1) / L::width;
  constexpr int rest = wide - (vectors - 1) * L::width;
  constexpr std::int64_t soon = 6;  // rows
  for (std::int64_t i = 0; i < rows; ++i, from += ld_from, to += wide) {
    typename L::Number* at = to;
    std::int64_t j = 0;
    for (; j + wide <= columns; j += wide, at += to_next) {
#pragma GCC unroll 4
      for (int v = 0; v < vectors; ++v) __builtin_prefetch(from + soon * ld_from + j + v * L::width);
#pragma GCC unroll 4
      for (int v = 0; v + 1 < vectors; ++v) L::store(at + v * L::width, L::load(from + j + v * L::width));
      constexpr int last = (vectors - 1) * L::width;
      if constexpr (rest == L::width) L::store(at + last, L::load(from + j + last));
      else L::store(at + last, L::load(from + j + last, L::first(rest)), L::first(rest));
    }
    for (std::int64_t left = columns - j; left > 0; left -= L::width, j += L::width, at += L::width) {
      const typename L::Mask across = L::first(static_cast<int>(std::min<std::int64_t>(L::width, left)));
      L::store(at, L::load(from + j, across), across);
    }
  }
}

// ---- the tile --------------------------------------------------------------------------------------------------------

/// Where the numbers of a tile's rows of a stand: row r, term p at a[r·row + p·step]; one of the two is 1.
template <class T> struct Rows {
  const T* a;
  std::int64_t row, step;
};

/// A tile of the result and what is added to it; of its last vector, the columns in `last` alone.
template <class L> struct Result {
  typename L::Number* c;
  std::int64_t ldc;
  const typename L::Number* d;
  std::int64_t ldd;
  typename L::Mask last;
};

/// c [rows, vectors · width] = a · b + d, all sums in registers.
template <class L, bool along, int rows, int vectors> void tile(std::int64_t k, const Rows<typename L::Number>& from,
                                                                const typename L::Number* b, std::int64_t ldb,
                                                                const Result<L>& to) {
  using V = typename L::Vector;
  const typename L::Number* a = from.a;
  const std::int64_t row = along ? from.row : 1, step = along ? 1 : from.step;
  const typename L::Mask last = to.last;
  V sum[rows][vectors];
#pragma GCC unroll 16
  for (int r = 0; r < rows; ++r)
#pragma GCC unroll 4
    for (int v = 0; v < vectors; ++v) sum[r][v] = L::all(0);
  // The rows of the next tile, if there is nothing between two rows: they arrive meanwhile.
  const typename L::Number* next = a + rows * row;
  for (std::int64_t p = 0; p < k; ++p) {
    if constexpr (along && rows == L::rows) {
      __builtin_prefetch(next);
      next += rows;
    }
    V x[vectors];
#pragma GCC unroll 4
    for (int v = 0; v + 1 < vectors; ++v) x[v] = L::load(b + v * L::width);
    x[vectors - 1] = L::load(b + (vectors - 1) * L::width, last);
#pragma GCC unroll 16
    for (int r = 0; r < rows; ++r) {
      const V factor = L::all(a[r * row]);
#pragma GCC unroll 4
      for (int v = 0; v < vectors; ++v) sum[r][v] = L::fma(factor, x[v], sum[r][v]);
    }
    a += step;
    b += ldb;
  }
  const auto finish = [&](auto adds) {
    const typename L::Number* d = to.d;
    typename L::Number* c = to.c;
#pragma GCC unroll 16
    for (int r = 0; r < rows; ++r, c += to.ldc) {
#pragma GCC unroll 4
      for (int v = 0; v < vectors; ++v) {
        const bool whole = v + 1 < vectors;
        if constexpr (adds) sum[r][v] += whole ? L::load(d + v * L::width) : L::load(d + v * L::width, last);
        if (whole) L::store(c + v * L::width, sum[r][v]);
        else L::store(c + v * L::width, sum[r][v], last);
      }
      if constexpr (adds) d += to.ldd;
    }
  };
  if (to.d == nullptr) finish(std::false_type());
  else finish(std::true_type());
}

template <class L> using Tile = void (*)(std::int64_t, const Rows<typename L::Number>&, const typename L::Number*,
                                         std::int64_t, const Result<L>&);

template <class L, bool along, int vectors> Tile<L> tile_of(int rows) {
  return [&]<int... r>(std::integer_sequence<int, r...>) {
    static constexpr Tile<L> all[] = {&tile<L, along, r + 1, vectors>...};
    return all[rows - 1];
  }
  (std::make_integer_sequence<int, L::rows>());
}

/// All rows of a strip of up to two vectors of columns.
template <class L> void strip(std::int64_t m, std::int64_t n, std::int64_t k, Rows<typename L::Number> a,
                              std::int64_t to_next_rows, const typename L::Number* b, std::int64_t ldb,
                              typename L::Number* c, std::int64_t ldc, const typename L::Number* d, std::int64_t ldd) {
  const int vectors = n > L::width ? 2 : 1;
  Result<L> to{c, ldc, d, ldd, L::first(static_cast<int>(n) - (vectors - 1) * L::width)};
  const bool along = a.step == 1;
  for (std::int64_t i = 0; i < m; i += L::rows, a.a += to_next_rows, to.c += L::rows * ldc) {
    const int rows = static_cast<int>(std::min<std::int64_t>(L::rows, m - i));
    const Tile<L> run = vectors == 2 ? (along ? tile_of<L, true, 2>(rows) : tile_of<L, false, 2>(rows))
                                     : (along ? tile_of<L, true, 1>(rows) : tile_of<L, false, 1>(rows));
    run(k, a, b, ldb, to);
    if (to.d != nullptr) to.d += L::rows * ldd;
  }
}

// ---- few rows --------------------------------------------------------------------------------------------------------

/// Number i of x[0] becomes the sum of x[i] for each i < count: halves are added, then their halves.
template <class L, int count, int half = L::width / 2>
[[gnu::always_inline]] inline void add_up(typename L::Vector (&x)[count]) {
  constexpr auto all = std::make_index_sequence<L::width>();
  constexpr int left = count < half ? count : half;
#pragma GCC unroll 8
  for (int i = 0; i < left; ++i) {
    const typename L::Vector above = x[i], below = x[i + half < count ? i + half : i];
    x[i] = near_halves<half>(above, below, all) + far_halves<half>(above, below, all);
  }
  if constexpr (half > 1) add_up<L, count, half / 2>(x);
}

/// The sums x · rows[i] over k terms, for i < high <= count, as one vector.  Each is made in 64 bytes of partial sums,
/// whatever a vector holds, so that it has the same bits on all.
template <class L, int count>
[[gnu::always_inline]] inline typename L::Vector dots_of(int high, std::int64_t k, const typename L::Number* x,
                                                         const typename L::Number* rows, std::int64_t ld) {
  using V = typename L::Vector;
  constexpr int width = L::width, parts = 64 / static_cast<int>(sizeof(V));
  const typename L::Number* row[count];
  V sum[parts][count];
#pragma GCC unroll 16
  for (int r = 0; r < count; ++r) {
    row[r] = rows;
    if (r + 1 < high) rows += ld;
#pragma GCC unroll 2
    for (int part = 0; part < parts; ++part) sum[part][r] = L::all(0);
  }
  std::int64_t p = 0;
  for (; p + parts * width <= k; p += parts * width)
#pragma GCC unroll 2
    for (int part = 0; part < parts; ++part) {
      const V factor = L::load(x + p + part * width);
#pragma GCC unroll 16
      for (int r = 0; r < count; ++r) sum[part][r] = L::fma(factor, L::load(row[r] + p + part * width), sum[part][r]);
    }
#pragma GCC unroll 2
  for (int part = 0; part < parts; ++part, p += width) {
    const typename L::Mask across = L::first(static_cast<int>(std::clamp<std::int64_t>(k - p, 0, width)));
    const V factor = L::load(x + p, across);
#pragma GCC unroll 16
    for (int r = 0; r < count; ++r) sum[part][r] = L::fma(factor, L::load(row[r] + p, across), sum[part][r]);
  }
  if constexpr (parts == 2) {
#pragma GCC unroll 16
    for (int r = 0; r < count; ++r) sum[0][r] += sum[1][r];
  }
  add_up<L, count>(sum[0]);
  return sum[0][0];
}

/// c[i] = x · rows[i] + d[i · d_step] over k terms, for i < n; d_step is 0 or 1.
template <class L> void dots(std::int64_t n, std::int64_t k, const typename L::Number* x,
                             const typename L::Number* rows, std::int64_t ld, const typename L::Number* d,
                             std::int64_t d_step, typename L::Number* c) {
  for (std::int64_t i = 0; i < n; i += L::width) {
    const int high = static_cast<int>(std::min<std::int64_t>(L::width, n - i));
    typename L::Vector sum =
        high == 1 ? dots_of<L, 1>(1, k, x, rows + i * ld, ld) : dots_of<L, L::width>(high, k, x, rows + i * ld, ld);
    const typename L::Mask which = L::first(high);
    if (d != nullptr) sum += d_step == 0 ? L::all(*d) : L::load(d + i, which);
    L::store(c + i, sum, which);
  }
}

/// One row: of as many columns at once as hide how long a sum takes.
template <class L> void one_row(std::int64_t n, std::int64_t k, const Rows<typename L::Number>& a,
                                const typename L::Number* b, std::int64_t ldb, const typename L::Number* d,
                                typename L::Number* c) {
  constexpr int vectors = 4, two = 2 * L::width;
  std::int64_t j = 0;
  for (; j + vectors * L::width <= n; j += vectors * L::width)
    tile<L, false, 1, vectors>(k, a, b + j, ldb, {c + j, 0, d == nullptr ? d : d + j, 0, L::first(L::width)});
  for (; j < n; j += two)
    strip<L>(1, std::min<std::int64_t>(two, n - j), k, a, 0, b + j, ldb, c + j, 0, d == nullptr ? d : d + j, 0);
}

// ---- the product -----------------------------------------------------------------------------------------------------

template <class L> struct Blocks {
  using T = typename L::Number;
  // The largest blocks that stay in the caches of a core while they are read again.
  static constexpr std::int64_t deep = 256, high = 192, wide = 1024;
  static constexpr int column = 2 * L::width;

  /// From one packed strip to the next: at a multiple of a page all would drive each other out of the nearest cache.
  static constexpr std::int64_t strip_of(std::int64_t across, std::int64_t k) {
    return across * k + 64 / std::int64_t{sizeof(T)};
  }
  static constexpr std::int64_t room_a = strip_of(L::rows, deep) * (high / L::rows + 1);
  static constexpr std::int64_t room_b = strip_of(column, deep) * (wide / column + 1);

  /// A block of a, in strips if it is packed, times one of b, likewise.
  static void block(std::int64_t m, std::int64_t n, std::int64_t k, Rows<T> a, std::int64_t to_next_rows, const T* b,
                    std::int64_t ldb, std::int64_t to_next_columns, T* c, std::int64_t ldc, const T* d,
                    std::int64_t ldd) {
    // Over few terms, the way of c to memory takes longer than the sums: then whole rows of it are finished at a time.
    const std::int64_t at_once = k > 64 ? m : L::rows;
    for (std::int64_t i = 0; i < m; i += at_once, a.a += to_next_rows)
      for (std::int64_t j = 0; j < n; j += column)
        strip<L>(std::min(at_once, m - i), std::min<std::int64_t>(column, n - j), k, a, to_next_rows,
                 b + j / column * to_next_columns, ldb, c + i * ldc + j, ldc, d == nullptr ? d : d + i * ldd + j, ldd);
  }

  static void run(const Product<T>& y) {
    thread_local Scratch<T> of_a, of_b;
    // What is read but once or twice, or is small, is read where it stands.
    // Rows a page apart drive each other out of the nearest cache.
    const bool pages_apart =
        !y.ta && y.m >= L::rows && y.n > 2 * column && y.lda % (4096 / std::int64_t{sizeof(T)}) == 0;
    const bool pack_a = y.n > 4 * column || pages_apart || (y.ta && y.n > L::width && y.m * y.k > 1 << 17);
    const bool pack_b = y.tb || (y.m > 4 * L::rows && y.n * y.k > 4096);
    for (std::int64_t p = 0; p < y.k; p += deep) {
      const std::int64_t k = std::min(deep, y.k - p);
      const T* const d = p == 0 ? y.d : y.c;
      const std::int64_t ldd = p == 0 ? y.ldd : y.ldc;
      for (std::int64_t j = 0; j < y.n; j += wide) {
        const std::int64_t n = std::min(wide, y.n - j);
        const T* b = y.b + (y.tb ? j * y.ldb + p : p * y.ldb + j);
        if (pack_b) {
          T* const packed = of_b.take(room_b);
          if (!y.tb) cut_to_strips<L, column>(k, n, b, y.ldb, packed, strip_of(column, k));
          for (std::int64_t jj = 0; y.tb && jj < n; jj += column)
            move_transposed<L>(std::min<std::int64_t>(column, n - jj), k, b + jj * y.ldb, y.ldb,
                               packed + jj / column * strip_of(column, k), column);
          b = packed;
        }
        for (std::int64_t i = 0; i < y.m; i += high) {
          const std::int64_t m = std::min(high, y.m - i);
          Rows<T> a{y.a + (y.ta ? p * y.lda + i : i * y.lda + p), y.ta ? 1 : y.lda, y.ta ? y.lda : 1};
          std::int64_t to_next_rows = L::rows * a.row;
          if (pack_a) {
            T* const packed = of_a.take(room_a);
            if (y.ta) cut_to_strips<L, L::rows>(k, m, a.a, y.lda, packed, strip_of(L::rows, k));
            for (std::int64_t ii = 0; !y.ta && ii < m; ii += L::rows)
              move_transposed<L>(std::min<std::int64_t>(L::rows, m - ii), k, a.a + ii * y.lda, y.lda,
                                 packed + ii / L::rows * strip_of(L::rows, k), L::rows);
            a = {packed, 1, L::rows};
            to_next_rows = strip_of(L::rows, k);
          }
          block(m, n, k, a, to_next_rows, b, pack_b ? column : y.ldb, pack_b ? strip_of(column, k) : column,
                y.c + i * y.ldc + j, y.ldc, d == nullptr ? d : d + i * ldd + j, ldd);
        }
      }
    }
  }

  static void run_turned(const Product<T>& y) {
    thread_local Scratch<T> turned, of_a;
    constexpr std::int64_t some = 32 * L::rows, across = 2 * column;
    for (std::int64_t i = 0; i < y.m; i += across) {
      const std::int64_t m = std::min(across, y.m - i);
      const T* a = y.a + (y.ta ? i : i * y.lda);
      std::int64_t lda = y.lda;
      if (!y.ta) {
        T* const packed = of_a.take(across * y.k);
        move_transposed<L>(m, y.k, a, y.lda, packed, m);
        a = packed;
        lda = m;
      }
      T* const part = turned.take(some * across);
      for (std::int64_t j = 0; j < y.n; j += some) {
        const std::int64_t n = std::min(some, y.n - j), at_once = y.tb ? L::rows : n;
        for (std::int64_t jj = j; jj < j + n; jj += at_once) {
          const std::int64_t rows = std::min(at_once, j + n - jj);
          run({Way::straight, !y.tb, false, rows, m, y.k, y.b + (y.tb ? jj * y.ldb : jj), y.ldb, a, lda, nullptr, 0,
               part + (jj - j) * m, m});
        }
        move_transposed<L>(n, m, part, m, y.c + i * y.ldc + j, y.ldc, y.d == nullptr ? y.d : y.d + i * y.ldd + j,
                           y.ldd);
      }
    }
  }

  static void outer(const Product<T>& y) {
    const std::int64_t down = y.ta ? 1 : y.lda, n = y.n;
    const std::int64_t whole = n / L::width * L::width;
    const typename L::Mask across = L::first(static_cast<int>(n - whole));
    const T* const b = y.b;
    for (std::int64_t i = 0; i < y.m; ++i) {
      const typename L::Vector factor = L::all(y.a[i * down]);
      const T* const d = y.d == nullptr ? nullptr : y.d + i * y.ldd;
      T* const c = y.c + i * y.ldc;
      for (std::int64_t j = 0; j < whole; j += L::width)
        L::store(c + j, L::fma(factor, L::load(b + j), d == nullptr ? L::all(0) : L::load(d + j)));
      if (whole == n) continue;
      const typename L::Vector sum = d == nullptr ? L::all(0) : L::load(d + whole, across);
      L::store(c + whole, L::fma(factor, L::load(b + whole, across), sum), across);
    }
  }

  static void run_dots(const Product<T>& y) {
    if (y.n == 1) return dots<L>(y.m, y.k, y.b, y.a, y.lda, y.d, y.ldd, y.c);
    for (std::int64_t i = 0; i < y.m; ++i)
      dots<L>(y.n, y.k, y.a + i * y.lda, y.b, y.ldb, y.d == nullptr ? y.d : y.d + i * y.ldd, 1, y.c + i * y.ldc);
  }

  static void product(const Product<T>& y) {
    if (y.way == Way::outer) outer(y);
    else if (y.way == Way::row) one_row<L>(y.n, y.k, {y.a, 1, y.ta ? y.lda : 1}, y.b, y.ldb, y.d, y.c);
    else if (y.way == Way::dots) run_dots(y);
    else if (y.way == Way::turned) run_turned(y);
    else run(y);
  }

  /// As many pairs at a time as make a block of `deep` terms.
  static void sum(const Pairs<T>& y) {
    thread_local Scratch<T> of_a, of_b;
    const std::int64_t at_once = std::max<std::int64_t>(1, deep / y.k);
    for (std::int64_t s = 0; s < y.count; s += at_once) {
      const std::int64_t count = std::min(at_once, y.count - s), k = count * y.k;
      const T* const d = s == 0 ? y.d : y.c;
      const std::int64_t ldd = s == 0 ? y.ldd : y.ldc;
      if (count == 1) {
        run({Way::straight, true, false, y.m, y.n, k, y.a[s] + y.first_a, y.lda, y.b[s] + y.first_b, y.ldb, d, ldd, y.c,
             y.ldc});
        continue;
      }
      for (std::int64_t j = 0; j < y.n; j += wide) {
        const std::int64_t n = std::min(wide, y.n - j);
        T* const b = of_b.take(room_b);
        for (std::int64_t q = 0; q < count; ++q)
          cut_to_strips<L, column>(y.k, n, y.b[s + q] + y.first_b + j, y.ldb, b + q * y.k * column,
                                   strip_of(column, k));
        for (std::int64_t i = 0; i < y.m; i += high) {
          const std::int64_t m = std::min(high, y.m - i);
          T* const a = of_a.take(room_a);
          for (std::int64_t q = 0; q < count; ++q)
            cut_to_strips<L, L::rows>(y.k, m, y.a[s + q] + y.first_a + i, y.lda, a + q * y.k * L::rows,
                                      strip_of(L::rows, k));
          block(m, n, k, {a, 1, L::rows}, strip_of(L::rows, k), b, column, strip_of(column, k), y.c + i * y.ldc + j,
                y.ldc, d == nullptr ? d : d + i * ldd + j, ldd);
        }
      }
    }
  }
};

}  // namespace

}  // namespace ebb::kernels
