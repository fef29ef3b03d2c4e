#include "reduce.h"

#include "parts.h"
#include "sums.h"
#include "threads.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <type_traits>

namespace ebb::kernels {

namespace {

template <class T> T times(T a, T b) { return a * b; }
template <> std::int64_t times(std::int64_t a, std::int64_t b) {
  return static_cast<std::int64_t>(static_cast<std::uint64_t>(a) * static_cast<std::uint64_t>(b));
}

constexpr std::int64_t base = 256;       // rows added up straight before sums are added up
constexpr std::int64_t straight = 1024;  // numbers added up in lanes before sums are added pairwise
constexpr std::int64_t width = 512;      // columns taken at a time

template <class T> T sum_row(const T* x, std::int64_t n) {
  const auto part = [x](std::int64_t from, std::int64_t size) {
    return sum_of<T>(size, [at = x + from](std::int64_t i) { return at[i]; });
  };
  if (n <= straight) return part(0, n);
  T waiting[64];  // the sums of ever longer stretches, each a power of two times the last
  int stretches = 0;
  std::int64_t parts = 0;
  for (std::int64_t from = 0; from < n; from += straight) {
    T total = part(from, std::min(straight, n - from));
    for (std::int64_t even = ++parts; even % 2 == 0; even /= 2) total = plus(waiting[--stretches], total);
    waiting[stretches++] = total;
  }
  T total = waiting[--stretches];
  while (stretches > 0) total = plus(waiting[--stretches], total);
  return total;
}

// Rows are added up in groups, and the groups' sums after that: the error grows with n / base + base, not with n.
template <class T> void sum_rows(T* y, const T* x, std::int64_t n, std::int64_t inner, std::int64_t columns) {
  for (std::int64_t from = 0; from < columns; from += width) {
    const std::int64_t w = std::min(width, columns - from);
    T group[width];
    std::fill_n(y + from, w, T(0));
    for (std::int64_t row = 0; row < n; row += base) {
      std::fill_n(group, w, T(0));
      for (std::int64_t r = row; r < std::min(row + base, n); ++r) {
        const T* const from_row = x + r * inner + from;
        for (std::int64_t i = 0; i < w; ++i) group[i] = plus(group[i], from_row[i]);
      }
      for (std::int64_t i = 0; i < w; ++i) y[from + i] = plus(y[from + i], group[i]);
    }
  }
}

/// Calls f(first number, its step, position in the output) for every line along the middle axis.
template <class F> void lines(const Block& b, F&& f) {
  for (std::int64_t o = 0; o < b.outer; ++o)
    for (std::int64_t i = 0; i < b.inner; ++i) f(o * b.n * b.inner + i, b.inner, o * b.inner + i);
}

template <class T> bool beats(T candidate, T best, int sign) {
  const bool further = sign > 0 ? candidate > best : candidate < best;
  if constexpr (std::numeric_limits<T>::has_quiet_NaN)
    return (best == best) & (further | (candidate != candidate));  // the first NaN is beaten by none
  return further;
}

}  // namespace

template <class T> void sum(T* y, const T* x, const Block& block) {
  constexpr double enough = 1 << 16;
  const auto run = [](T* to, const T* from, Block b, std::int64_t columns) {
    for (std::int64_t o = 0; o < b.outer; ++o) {
      if (b.inner == 1) to[o] = sum_row(from + o * b.n, b.n);
      else sum_rows(to + o * b.inner, from + o * b.n * b.inner, b.n, b.inner, columns);
    }
  };
  // In parts for the threads to share, which add up whole columns: their sums are the same in any parts.
  const bool by_columns = block.outer == 1;
  const double numbers =
      static_cast<double>(block.outer) * static_cast<double>(block.n) * static_cast<double>(block.inner);
  const Parts parts(by_columns ? (block.inner + width - 1) / width : block.outer, numbers, enough);
  if (parts.count == 1) return on_vectors(run, y, x, block, block.inner);
  parallel(parts.count, [&](std::int64_t i) {
    const std::int64_t begin = parts.begin(i), size = parts.size(i);
    if (by_columns)
      on_vectors(run, y + begin * width, x + begin * width, block, std::min(size * width, block.inner - begin * width));
    else
      on_vectors(run, y + begin * block.inner, x + begin * block.n * block.inner, Block{size, block.n, block.inner},
                 block.inner);
  });
}

template <class T> void extreme(T* y, const T* x, const Block& block, int sign) {
  on_vectors(
      [](T* to, const T* from, Block b, int s) {
        const auto better = [s](T a, T c) { return math::select(beats(c, a, s), c, a); };
        for (std::int64_t o = 0; o < b.outer; ++o, to += b.inner, from += b.n * b.inner) {
          if (b.inner == 1) {
            *to = in_lanes(*from, b.n, better, [from](std::int64_t i) { return from[i]; });
            continue;
          }
          std::copy_n(from, b.inner, to);
          for (std::int64_t k = 1; k < b.n; ++k)
            for (std::int64_t i = 0; i < b.inner; ++i) to[i] = better(to[i], from[k * b.inner + i]);
        }
      },
      y, x, block, sign);
}

template <class T> void arg_extreme(std::int64_t* y, const T* x, const Block& b, int sign) {
  lines(b, [&](std::int64_t first, std::int64_t step, std::int64_t out) {
    std::int64_t best = 0;
    for (std::int64_t k = 1; k < b.n; ++k)
      if (beats(x[first + k * step], x[first + best * step], sign)) best = k;
    y[out] = best;
  });
}

template <class T> void prod(T* y, const T* x, const Block& b) {
  std::fill_n(y, b.outer * b.inner, T(1));
  for (std::int64_t o = 0; o < b.outer; ++o, y += b.inner)
    for (std::int64_t k = 0; k < b.n; ++k, x += b.inner)
      for (std::int64_t i = 0; i < b.inner; ++i) y[i] = times(y[i], x[i]);
}

template <class T> void prod_gradient(T* dx, const T* dy, const T* x, const Block& b) {
  lines(b, [&](std::int64_t first, std::int64_t step, std::int64_t out) {
    T before = dy[out], after = 1;
    for (std::int64_t k = 0; k < b.n; ++k) {
      dx[first + k * step] = before;
      if (dy[out] != 0) before *= x[first + k * step];
    }
    for (std::int64_t k = b.n; k-- > 0 && dy[out] != 0;) {
      dx[first + k * step] *= after;
      after *= x[first + k * step];
    }
  });
}

template <class T> void norm(T* y, const T* x, const Block& b) {
  // Between these, neither the sum nor a square that matters in it was rounded away.
  constexpr double least = 1e-280, most = 1e300;
  lines(b, [&](std::int64_t first, std::int64_t step, std::int64_t out) {
    double total = 0;
    for (std::int64_t k = 0; k < b.n; ++k) {
      const double v = static_cast<double>(x[first + k * step]);
      total += v * v;
    }
    double size = std::sqrt(total);
    if (!(total > least && total < most)) {
      double longest = 0;
      for (std::int64_t k = 0; k < b.n; ++k)
        longest = std::max(longest, std::abs(static_cast<double>(x[first + k * step])));
      if (longest > 0 && std::isfinite(longest) && !std::isnan(total)) {
        total = 0;
        for (std::int64_t k = 0; k < b.n; ++k) {
          const double v = static_cast<double>(x[first + k * step]) / longest;
          total += v * v;
        }
        size = longest * std::sqrt(total);
      }
    }
    y[out] = static_cast<T>(size);
  });
}

template <class T> void cumsum(T* y, const T* x, const Block& b, bool from_the_end) {
  // f32 is added up in f64: a running sum meets all its roundings.
  using Wide = std::conditional_t<std::is_same_v<T, float>, double, T>;
  Wide total[width];
  for (std::int64_t o = 0; o < b.outer; ++o)
    for (std::int64_t from = 0; from < b.inner; from += width) {
      const std::int64_t w = std::min(width, b.inner - from);
      std::fill_n(total, w, Wide(0));
      for (std::int64_t k = 0; k < b.n; ++k) {
        const std::int64_t row = (o * b.n + (from_the_end ? b.n - 1 - k : k)) * b.inner + from;
        for (std::int64_t i = 0; i < w; ++i) {
          total[i] = plus(total[i], static_cast<Wide>(x[row + i]));
          y[row + i] = static_cast<T>(total[i]);
        }
      }
    }
}

namespace {

/// Calls f(first number, first number of the output, how many side by side) for all columns of [outer, n, inner], so many
/// at a time that what is kept of them stays at hand.
template <class F> void columns(const Block& b, F&& f) {
  for (std::int64_t o = 0; o < b.outer; ++o)
    for (std::int64_t from = 0; from < b.inner; from += width)
      f(o * b.n * b.inner + from, o * b.inner + from, std::min(width, b.inner - from));
}

/// most ← the largest of each of w columns.
template <class T> void largest(T* most, const T* x, std::int64_t w, const Block& b) {
  std::fill_n(most, w, -std::numeric_limits<T>::infinity());
  for (std::int64_t k = 0; k < b.n; ++k)
    map_within(
        most, w, [](T m, T v) { return math::select(m < v, v, m); }, most, x + k * b.inner);
}

/// total ← Σ e^(x - most) of each of w columns.
template <class T> void sum_powers(T* total, const T* x, const T* most, std::int64_t w, const Block& b) {
  std::fill_n(total, w, T(0));
  for (std::int64_t k = 0; k < b.n; ++k)
    map_within(
        total, w, [](T sum, T v, T m) { return sum + math::exp(v - m); }, total, x + k * b.inner, most);
}

template <class T> T sum_powers(const T* x, T most, std::int64_t n) {
  return sum_mapped<T>(
      n, [most](T v) { return math::exp(v - most); }, x);
}

/// What is taken off before a power: the largest, but 0 for all -inf, or an inf: their sums speak for themselves.
template <class T> T shift_of(T most) {
  return math::select(std::abs(most) < std::numeric_limits<T>::infinity(), most, T(0));
}

}  // namespace

template <class T> void logsumexp(T* y, const T* x, const Block& block) {
  on_vectors(
      [](T* to, const T* from, Block b) {
        if (b.inner == 1) {
          for (std::int64_t o = 0; o < b.outer; ++o, from += b.n) {
            const T shift = shift_of(largest_of(from, b.n));
            to[o] = shift + math::log(sum_powers(from, shift, b.n));
          }
          return;
        }
        T most[width];
        columns(b, [&](std::int64_t first, std::int64_t out, std::int64_t w) {
          largest(most, from + first, w, b);
          map_within(
              most, w, [](T m) { return shift_of(m); }, most);
          sum_powers(to + out, from + first, most, w, b);
          map_within(
              to + out, w, [](T m, T total) { return m + math::log(total); }, most, to + out);
        });
      },
      y, x, block);
}

template <class T> void softmax(T* y, const T* x, const Block& block) {
  on_vectors(
      [](T* to, const T* from, Block b) {
        if (b.inner == 1) {
          for (std::int64_t o = 0; o < b.outer; ++o, from += b.n, to += b.n) {
            const T m = largest_of(from, b.n);
            map_within(
                to, b.n, [m](T v) { return math::exp(v - m); }, from);
            const T total = sum_of<T>(b.n, [to](std::int64_t i) { return to[i]; });
            map_within(
                to, b.n, [total](T e) { return e / total; }, to);
          }
          return;
        }
        T most[width], total[width];
        columns(b, [&](std::int64_t first, std::int64_t, std::int64_t w) {
          largest(most, from + first, w, b);
          sum_powers(total, from + first, most, w, b);
          for (std::int64_t k = 0; k < b.n; ++k)
            map_within(
                to + first + k * b.inner, w, [](T v, T m, T all) { return math::exp(v - m) / all; },
                from + first + k * b.inner, most, total);
        });
      },
      y, x, block);
}

template <class T> void log_softmax(T* y, const T* x, const Block& block) {
  // The logarithm is taken off apart from the largest, beside which it would lose its digits.
  on_vectors(
      [](T* to, const T* from, Block b) {
        if (b.inner == 1) {
          for (std::int64_t o = 0; o < b.outer; ++o, from += b.n, to += b.n) {
            const T m = largest_of(from, b.n), shift = math::log(sum_powers(from, m, b.n));
            map_within(
                to, b.n, [m, shift](T v) { return (v - m) - shift; }, from);
          }
          return;
        }
        T most[width], shift[width];
        columns(b, [&](std::int64_t first, std::int64_t, std::int64_t w) {
          largest(most, from + first, w, b);
          sum_powers(shift, from + first, most, w, b);
          map_within(
              shift, w, [](T total) { return math::log(total); }, shift);
          for (std::int64_t k = 0; k < b.n; ++k)
            map_within(
                to + first + k * b.inner, w, [](T v, T m, T off) { return (v - m) - off; }, from + first + k * b.inner,
                most, shift);
        });
      },
      y, x, block);
}

template void sum(float*, const float*, const Block&);
template void sum(double*, const double*, const Block&);
template void sum(std::int64_t*, const std::int64_t*, const Block&);
template void extreme(float*, const float*, const Block&, int);
template void extreme(double*, const double*, const Block&, int);
template void extreme(std::int64_t*, const std::int64_t*, const Block&, int);
template void arg_extreme(std::int64_t*, const float*, const Block&, int);
template void arg_extreme(std::int64_t*, const double*, const Block&, int);
template void arg_extreme(std::int64_t*, const std::int64_t*, const Block&, int);
template void prod(float*, const float*, const Block&);
template void prod(double*, const double*, const Block&);
template void prod(std::int64_t*, const std::int64_t*, const Block&);
template void prod_gradient(float*, const float*, const float*, const Block&);
template void prod_gradient(double*, const double*, const double*, const Block&);
template void norm(float*, const float*, const Block&);
template void norm(double*, const double*, const Block&);
template void cumsum(float*, const float*, const Block&, bool);
template void cumsum(double*, const double*, const Block&, bool);
template void cumsum(std::int64_t*, const std::int64_t*, const Block&, bool);
template void logsumexp(float*, const float*, const Block&);
template void logsumexp(double*, const double*, const Block&);
template void softmax(float*, const float*, const Block&);
template void softmax(double*, const double*, const Block&);
template void log_softmax(float*, const float*, const Block&);
template void log_softmax(double*, const double*, const Block&);

template <class T> bool all_finite(const T* x, std::int64_t n) {
  return on_vectors(
      [](const T* from, std::int64_t count) {
        using Mask = std::conditional_t<sizeof(T) == 4, std::int32_t, std::int64_t>;  // as wide as a number
        Mask lost = 0;
        for (std::int64_t i = 0; i < count; ++i) lost |= Mask(from[i] - from[i] != T(0));
        return lost == 0;
      },
      x, n);
}
template bool all_finite(const float*, std::int64_t);
template bool all_finite(const double*, std::int64_t);

}  // namespace ebb::kernels
