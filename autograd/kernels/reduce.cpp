#include "reduce.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <type_traits>

namespace ebb::kernels {

namespace {

template <class T> T plus(T a, T b) { return a + b; }
// Whole numbers wrap around, as NumPy's do.
template <> std::int64_t plus(std::int64_t a, std::int64_t b) {
  return static_cast<std::int64_t>(static_cast<std::uint64_t>(a) + static_cast<std::uint64_t>(b));
}

template <class T> T times(T a, T b) { return a * b; }
template <> std::int64_t times(std::int64_t a, std::int64_t b) {
  return static_cast<std::int64_t>(static_cast<std::uint64_t>(a) * static_cast<std::uint64_t>(b));
}

constexpr std::int64_t base = 256;  // numbers added up straight before sums are added pairwise

template <class T> T sum_row(const T* x, std::int64_t n) {
  if (n > base) {
    const std::int64_t half = (n / 2 + base - 1) / base * base;
    return plus(sum_row(x, half), sum_row(x + half, n - half));
  }
  constexpr int lanes = 8;
  T lane[lanes] = {};
  std::int64_t i = 0;
  for (; i + lanes <= n; i += lanes)
    for (int k = 0; k < lanes; ++k) lane[k] = plus(lane[k], x[i + k]);
  T total =
      plus(plus(plus(lane[0], lane[4]), plus(lane[1], lane[5])), plus(plus(lane[2], lane[6]), plus(lane[3], lane[7])));
  for (; i < n; ++i) total = plus(total, x[i]);
  return total;
}

// Rows are added up in groups, and the groups' sums after that: the error grows with n / base + base, not with n.
template <class T> void sum_rows(T* y, const T* x, std::int64_t n, std::int64_t inner) {
  constexpr std::int64_t width = 512;
  for (std::int64_t from = 0; from < inner; from += width) {
    const std::int64_t w = std::min(width, inner - from);
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
  if constexpr (std::numeric_limits<T>::has_quiet_NaN) {
    if (best != best) return false;
    if (candidate != candidate) return true;
  }
  return sign > 0 ? candidate > best : candidate < best;
}

template <class T> T largest(const T* x, std::int64_t n, std::int64_t step) {
  T m = -std::numeric_limits<T>::infinity();
  for (std::int64_t k = 0; k < n; ++k) m = std::max(m, x[k * step]);
  return m;
}

}  // namespace

template <class T> void sum(T* y, const T* x, const Block& b) {
  for (std::int64_t o = 0; o < b.outer; ++o) {
    if (b.inner == 1) y[o] = sum_row(x + o * b.n, b.n);
    else sum_rows(y + o * b.inner, x + o * b.n * b.inner, b.n, b.inner);
  }
}

template <class T> void extreme(T* y, const T* x, const Block& b, int sign) {
  lines(b, [&](std::int64_t first, std::int64_t step, std::int64_t out) {
    T best = x[first];
    for (std::int64_t k = 1; k < b.n; ++k)
      if (beats(x[first + k * step], best, sign)) best = x[first + k * step];
    y[out] = best;
  });
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
  constexpr std::int64_t width = 512;
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

template <class T> void logsumexp(T* y, const T* x, const Block& b) {
  lines(b, [&](std::int64_t first, std::int64_t step, std::int64_t out) {
    const T m = largest(x + first, b.n, step);
    const T shift = std::isfinite(m) ? m : T(0);  // all -inf, or an inf: their sums speak for themselves
    T total = 0;
    for (std::int64_t k = 0; k < b.n; ++k) total += std::exp(x[first + k * step] - shift);
    y[out] = shift + std::log(total);
  });
}

template <class T> void softmax(T* y, const T* x, const Block& b) {
  lines(b, [&](std::int64_t first, std::int64_t step, std::int64_t) {
    const T m = largest(x + first, b.n, step);
    T total = 0;
    for (std::int64_t k = 0; k < b.n; ++k) total += y[first + k * step] = std::exp(x[first + k * step] - m);
    for (std::int64_t k = 0; k < b.n; ++k) y[first + k * step] /= total;
  });
}

template <class T> void log_softmax(T* y, const T* x, const Block& b) {
  lines(b, [&](std::int64_t first, std::int64_t step, std::int64_t) {
    const T m = largest(x + first, b.n, step);
    T total = 0;
    for (std::int64_t k = 0; k < b.n; ++k) total += std::exp(x[first + k * step] - m);
    const T shift = std::log(total);  // apart from m, beside which it would lose its digits
    for (std::int64_t k = 0; k < b.n; ++k) y[first + k * step] = (x[first + k * step] - m) - shift;
  });
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
  using Mask = std::conditional_t<sizeof(T) == 4, std::int32_t, std::int64_t>;  // as wide, so that vectors hold both
  Mask lost = 0;
  for (std::int64_t i = 0; i < n; ++i) lost |= Mask(x[i] - x[i] != T(0));
  return lost == 0;
}
template bool all_finite(const float*, std::int64_t);
template bool all_finite(const double*, std::int64_t);

}  // namespace ebb::kernels
