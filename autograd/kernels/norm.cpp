#include "norm.h"

#include <algorithm>
#include <cmath>

namespace ebb::kernels {

namespace {

/// Σ f(i) over i < n, in double and in an order that depends on n alone.
template <class F> double sum_of(std::int64_t n, F&& f) {
  constexpr int lanes = 8;
  double lane[lanes] = {};
  std::int64_t i = 0;
  for (; i + lanes <= n; i += lanes)
    for (int k = 0; k < lanes; ++k) lane[k] += static_cast<double>(f(i + k));
  double total = ((lane[0] + lane[4]) + (lane[1] + lane[5])) + ((lane[2] + lane[6]) + (lane[3] + lane[7]));
  for (; i < n; ++i) total += static_cast<double>(f(i));
  return total;
}

/// g · v, and 0 where g is 0, be v infinite or no number: what does not count downstream leaves no trace upstream.
template <class T> T sent(T g, T v) { return g == T(0) ? T(0) : g * v; }

/// Calls f(first) with where each of a group's runs of `inner` numbers begins.
template <class F> void runs(const Groups& s, std::int64_t group, F&& f) {
  for (std::int64_t o = 0; o < s.outer; ++o) f((o * s.groups + group) * s.inner);
}

/// Calls f with a function that gives the i-th number's scale (or shift), so that its loops know which kind it is.
template <class T, class F> void scaled(const Groups& s, std::int64_t group, const T* scale, F&& f) {
  if (s.by_group) f([v = scale[group]](std::int64_t) { return v; });
  else f([scale](std::int64_t i) { return scale[i]; });
}

}  // namespace

template <class T> void moments(T* mean, T* variance, const T* x, const Groups& s) {
  const double n = static_cast<double>(s.outer * s.inner);
  for (std::int64_t g = 0; g < s.groups; ++g) {
    double sum = 0, squares = 0;
    runs(s, g, [&](std::int64_t at) { sum += sum_of(s.inner, [run = x + at](std::int64_t i) { return run[i]; }); });
    const double m = sum / n;
    runs(s, g, [&](std::int64_t at) {
      squares += sum_of(s.inner, [run = x + at, m](std::int64_t i) {
        const double apart = static_cast<double>(run[i]) - m;
        return apart * apart;
      });
    });
    mean[g] = static_cast<T>(m);
    variance[g] = static_cast<T>(squares / n);
  }
}

template <class T>
void normalize(T* y, const T* x, const T* mean, const T* rate, const T* scale, const T* shift, const Groups& s) {
  for (std::int64_t o = 0; o < s.outer; ++o) {
    for (std::int64_t g = 0; g < s.groups; ++g, x += s.inner, y += s.inner) {
      const T m = mean[g], r = rate[g];
      if (s.by_group) {
        const T factor = r * scale[g], b = shift[g];
        for (std::int64_t i = 0; i < s.inner; ++i) y[i] = (x[i] - m) * factor + b;
      } else {
        for (std::int64_t i = 0; i < s.inner; ++i) y[i] = (x[i] - m) * r * scale[i] + shift[i];
      }
    }
  }
}

template <class T> void normalize_gradient(T* dx, const T* dy, const T* x, const T* mean, const T* rate, const T* scale,
                                           const Groups& s, bool fixed) {
  const double n = static_cast<double>(s.outer * s.inner);
  for (std::int64_t group = 0; group < s.groups; ++group) {
    scaled(s, group, scale, [&](auto scale_at) {
      const T m = mean[group], r = rate[group];
      double sum = 0, along = 0;
      if (!fixed) {
        runs(s, group, [&](std::int64_t at) {
          sum += sum_of(s.inner, [&, g = dy + at](std::int64_t i) { return sent(g[i], scale_at(i)); });
          along += sum_of(s.inner, [&, g = dy + at, v = x + at](std::int64_t i) {
            return sent(sent(g[i], scale_at(i)), (v[i] - m) * r);
          });
        });
      }
      const T level = static_cast<T>(sum / n), slope = static_cast<T>(along / n);
      runs(s, group, [&](std::int64_t at) {
        const T *const g = dy + at, *const v = x + at;
        T* const to = dx + at;
        for (std::int64_t i = 0; i < s.inner; ++i) {
          const T through = sent(g[i], scale_at(i)) - level - sent(slope, (v[i] - m) * r);
          to[i] = sent(through, r);
        }
      });
    });
  }
}

template <class T>
void normalize_scale(T* dscale, const T* dy, const T* x, const T* mean, const T* rate, const Groups& s) {
  if (s.by_group) {
    for (std::int64_t group = 0; group < s.groups; ++group) {
      const T m = mean[group], r = rate[group];
      double sum = 0;
      runs(s, group, [&](std::int64_t at) {
        sum += sum_of(s.inner, [g = dy + at, v = x + at, m, r](std::int64_t i) { return sent(g[i], (v[i] - m) * r); });
      });
      dscale[group] = static_cast<T>(sum);
    }
    return;
  }
  // Some columns at a time, whose sums stay near.
  constexpr std::int64_t width = 256;
  for (std::int64_t from = 0; from < s.inner; from += width) {
    const std::int64_t w = std::min(width, s.inner - from);
    double sum[width] = {};
    for (std::int64_t row = 0; row < s.outer * s.groups; ++row) {
      const std::int64_t at = row * s.inner + from;
      const T m = mean[row % s.groups], r = rate[row % s.groups];
      const T *const g = dy + at, *const v = x + at;
      for (std::int64_t i = 0; i < w; ++i) sum[i] += static_cast<double>(sent(g[i], (v[i] - m) * r));
    }
    for (std::int64_t i = 0; i < w; ++i) dscale[from + i] = static_cast<T>(sum[i]);
  }
}

#define EBB_NORM(T)                                                                                            \
  template void moments(T*, T*, const T*, const Groups&);                                                      \
  template void normalize(T*, const T*, const T*, const T*, const T*, const T*, const Groups&);                \
  template void normalize_gradient(T*, const T*, const T*, const T*, const T*, const T*, const Groups&, bool); \
  template void normalize_scale(T*, const T*, const T*, const T*, const T*, const Groups&);
EBB_NORM(float)
EBB_NORM(double)
#undef EBB_NORM

}  // namespace ebb::kernels
