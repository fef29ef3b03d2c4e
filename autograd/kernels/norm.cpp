#include "norm.h"

#include <algorithm>
#include <cmath>

namespace ebb::kernels {

namespace {

// So many groups at a time at most, whose sums stand on the stack.
constexpr std::int64_t width = 256;

/// Σ f(i) over i < n, in double and in an order that depends on n alone.
template <class F> double sum_of(std::int64_t n, F&& f) {
  constexpr int lanes = 8;
  double total = 0;
  std::int64_t i = 0;
  if (n >= lanes) {
    double lane[lanes] = {};
    for (; i + lanes <= n; i += lanes)
      for (int k = 0; k < lanes; ++k) lane[k] += static_cast<double>(f(i + k));
    total = ((lane[0] + lane[4]) + (lane[1] + lane[5])) + ((lane[2] + lane[6]) + (lane[3] + lane[7]));
  }
  for (; i < n; ++i) total += static_cast<double>(f(i));
  return total;
}

/// g · v, and 0 where g is 0, be v infinite or no number: what does not count downstream leaves no trace upstream.
template <class T> T sent(T g, T v) { return g == T(0) ? T(0) : g * v; }

/// Calls f(first group, how many) for parts of the groups: one by one, or many where their runs of numbers are so short
/// that going from one to the next in memory is what counts.
template <class F> void parts(const Groups& s, F&& f) {
  const std::int64_t most = s.inner < 16 ? width : 1;
  for (std::int64_t from = 0; from < s.groups; from += most) f(from, std::min(most, s.groups - from));
}

/// Calls f(group, where its run of numbers begins) for all runs of a part.
template <class F> void runs(const Groups& s, std::int64_t from, std::int64_t count, F&& f) {
  for (std::int64_t o = 0; o < s.outer; ++o)
    for (std::int64_t g = from; g < from + count; ++g) f(g, (o * s.groups + g) * s.inner);
}

/// sum[k] += Σ f(group, where a run begins, i) over the runs of the part's k-th group.
template <class F> void add_up(double* sum, const Groups& s, std::int64_t from, std::int64_t count, F&& f) {
  if (s.inner == 1) {  // rows, of which each number belongs to another group
    for (std::int64_t o = 0; o < s.outer; ++o)
      for (std::int64_t k = 0; k < count; ++k)
        sum[k] += static_cast<double>(f(from + k, o * s.groups + from + k, std::int64_t{0}));
    return;
  }
  runs(s, from, count, [&](std::int64_t g, std::int64_t at) {
    sum[g - from] += sum_of(s.inner, [&](std::int64_t i) { return f(g, at, i); });
  });
}

template <bool by_group, class T> void gradient(T* dx, const T* dy, const T* x, const T* mean, const T* rate,
                                                const T* scale, const Groups& s, bool fixed) {
  const double n = static_cast<double>(s.outer * s.inner);
  const auto scaled = [dy, scale](std::int64_t group, std::int64_t at, std::int64_t i) {
    return sent(dy[at + i], scale[by_group ? group : i]);
  };
  const auto whitened = [x, mean, rate](std::int64_t group, std::int64_t at, std::int64_t i) {
    return (x[at + i] - mean[group]) * rate[group];
  };
  parts(s, [&](std::int64_t from, std::int64_t count) {
    double sum[width] = {}, along[width] = {};
    if (!fixed) {
      add_up(sum, s, from, count, scaled);
      add_up(along, s, from, count, [&](std::int64_t group, std::int64_t at, std::int64_t i) {
        return sent(scaled(group, at, i), whitened(group, at, i));
      });
    }
    runs(s, from, count, [&](std::int64_t group, std::int64_t at) {
      const T level = static_cast<T>(sum[group - from] / n), slope = static_cast<T>(along[group - from] / n),
              r = rate[group];
      for (std::int64_t i = 0; i < s.inner; ++i)
        dx[at + i] = sent(scaled(group, at, i) - level - sent(slope, whitened(group, at, i)), r);
    });
  });
}

}  // namespace

template <class T> void moments(T* mean, T* variance, const T* x, const Groups& s) {
  const double n = static_cast<double>(s.outer * s.inner);
  parts(s, [&](std::int64_t from, std::int64_t count) {
    double m[width] = {}, squares[width] = {};
    add_up(m, s, from, count, [x](std::int64_t, std::int64_t at, std::int64_t i) { return x[at + i]; });
    for (std::int64_t k = 0; k < count; ++k) m[k] /= n;
    add_up(squares, s, from, count, [x, &m, from](std::int64_t group, std::int64_t at, std::int64_t i) {
      const double apart = static_cast<double>(x[at + i]) - m[group - from];
      return apart * apart;
    });
    for (std::int64_t k = 0; k < count; ++k) {
      mean[from + k] = static_cast<T>(m[k]);
      variance[from + k] = static_cast<T>(squares[k] / n);
    }
  });
}

template <class T>
void normalize(T* y, const T* x, const T* mean, const T* rate, const T* scale, const T* shift, const Groups& s) {
  runs(s, 0, s.groups, [&](std::int64_t group, std::int64_t at) {
    const T m = mean[group], r = rate[group];
    if (s.by_group) {
      const T factor = r * scale[group], b = shift[group];
      for (std::int64_t i = at; i < at + s.inner; ++i) y[i] = (x[i] - m) * factor + b;
    } else {
      for (std::int64_t i = 0; i < s.inner; ++i) y[at + i] = (x[at + i] - m) * r * scale[i] + shift[i];
    }
  });
}

template <class T> void normalize_gradient(T* dx, const T* dy, const T* x, const T* mean, const T* rate, const T* scale,
                                           const Groups& s, bool fixed) {
  if (s.by_group) gradient<true>(dx, dy, x, mean, rate, scale, s, fixed);
  else gradient<false>(dx, dy, x, mean, rate, scale, s, fixed);
}

template <class T>
void normalize_scale(T* dscale, const T* dy, const T* x, const T* mean, const T* rate, const Groups& s) {
  if (s.by_group) {
    parts(s, [&](std::int64_t from, std::int64_t count) {
      double sum[width] = {};
      add_up(sum, s, from, count, [&](std::int64_t group, std::int64_t at, std::int64_t i) {
        return sent(dy[at + i], (x[at + i] - mean[group]) * rate[group]);
      });
      for (std::int64_t k = 0; k < count; ++k) dscale[from + k] = static_cast<T>(sum[k]);
    });
    return;
  }
  for (std::int64_t from = 0; from < s.inner; from += width) {
    const std::int64_t w = std::min(width, s.inner - from);
    double sum[width] = {};
    runs(s, 0, s.groups, [&](std::int64_t group, std::int64_t at) {
      const T m = mean[group], r = rate[group];
      const T *const g = dy + at + from, *const v = x + at + from;
      for (std::int64_t i = 0; i < w; ++i) sum[i] += static_cast<double>(sent(g[i], (v[i] - m) * r));
    });
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
