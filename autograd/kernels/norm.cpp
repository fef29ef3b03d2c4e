#include "norm.h"

#include "sums.h"

#include <algorithm>

namespace ebb::kernels {

namespace {

// So many groups at a time at most, whose sums stand on the stack.
constexpr std::int64_t width = 256;

/// g · v, and 0 where g is 0, be v infinite or no number: what does not count downstream leaves no trace upstream.
template <class T> T sent(T g, T v) { return math::select(g == T(0), T(0), g * v); }

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
    // Piece by piece: first vectors of numbers, then their sum.
    decltype(f(g, at, at)) piece[width];
    for (std::int64_t begin = 0; begin < s.inner; begin += width) {
      const std::int64_t size = std::min(width, s.inner - begin);
      for (std::int64_t i = 0; i < size; ++i) piece[i] = f(g, at, begin + i);
      sum[g - from] += sum_of<double>(size, [&piece](std::int64_t i) { return piece[i]; });
    }
  });
}

/// The gradient of one run of numbers of a group, of which `scale` belongs to all or, by its place, to each.
template <class T> struct Run {
  const T *dy, *x, *scale;
  std::int64_t n;
  T mean, rate;
  bool one_scale;

  /// f(scaled gradient, x̂) for each number, as `with` takes it.
  template <class F, class With> [[gnu::always_inline]] auto each(const F& f, const With& with) const {
    const auto of = [f, m = mean, r = rate](T g, T v, T by) { return f(sent(g, by), (v - m) * r); };
    if (one_scale) return with([of, by = *scale](T g, T v) { return of(g, v, by); }, dy, x);
    return with(of, dy, x, scale);
  }
};

/// The same where every number of a row [groups] belongs to another group.
template <class T> void gradient_of_rows(T* dx, const T* dy, const T* x, const T* mean, const T* rate, const T* scale,
                                         const Groups& s, bool fixed) {
  const double n = static_cast<double>(s.outer);
  for (std::int64_t from = 0; from < s.groups; from += width) {
    const std::int64_t count = std::min(width, s.groups - from);
    const T *const m = mean + from, *const r = rate + from, *const by = scale + from;
    double sum[width], along[width];
    std::fill_n(sum, count, 0.0);
    std::fill_n(along, count, 0.0);
    for (std::int64_t at = from; !fixed && at < s.outer * s.groups; at += s.groups) {
      map_within(
          sum, count, [](double total, T g, T b) { return total + static_cast<double>(sent(g, b)); }, sum, dy + at, by);
      const auto add = [](double total, T g, T b, T v, T mid, T rise) {
        return total + static_cast<double>(sent(sent(g, b), (v - mid) * rise));
      };
      map_within(along, count, add, along, dy + at, by, x + at, m, r);
    }
    T level[width], slope[width];
    map_within(
        level, count, [n](double total) { return static_cast<T>(total / n); }, sum);
    map_within(
        slope, count, [n](double total) { return static_cast<T>(total / n); }, along);
    const auto back = [](T g, T b, T v, T mid, T rise, T flat, T lean) {
      return sent(sent(g, b) - flat - sent(lean, (v - mid) * rise), rise);
    };
    for (std::int64_t at = from; at < s.outer * s.groups; at += s.groups)
      map_within(dx + at, count, back, dy + at, by, x + at, m, r, level, slope);
  }
}

template <class T> void gradient(T* dx, const T* dy, const T* x, const T* mean, const T* rate, const T* scale,
                                 const Groups& s, bool fixed) {
  const double n = static_cast<double>(s.outer * s.inner);
  parts(s, [&](std::int64_t from, std::int64_t count) {
    double sum[width], along[width];
    std::fill_n(sum, count, 0.0);
    std::fill_n(along, count, 0.0);
    const auto run_at = [&](std::int64_t group, std::int64_t at) {
      return Run<T>{dy + at, x + at, s.by_group ? scale + group : scale, s.inner, mean[group], rate[group], s.by_group};
    };
    if (!fixed)
      runs(s, from, count, [&](std::int64_t group, std::int64_t at) {
        const Run<T> run = run_at(group, at);
        const auto total = [&run](const auto& f, const auto*... number) {
          return sum_mapped<double>(run.n, f, number...);
        };
        sum[group - from] += run.each([](T g, T) { return g; }, total);
        along[group - from] += run.each([](T g, T whitened) { return sent(g, whitened); }, total);
      });
    runs(s, from, count, [&](std::int64_t group, std::int64_t at) {
      const Run<T> run = run_at(group, at);
      const T level = static_cast<T>(sum[group - from] / n), slope = static_cast<T>(along[group - from] / n);
      run.each([level, slope, r = run.rate](T g, T whitened) { return sent(g - level - sent(slope, whitened), r); },
               [&run, to = dx + at](const auto& f, const auto*... number) { map_within(to, run.n, f, number...); });
    });
  });
}

}  // namespace

template <class T> void moments(T* mean, T* variance, const T* x, const Groups& s) {
  on_vectors([=] {
    const double n = static_cast<double>(s.outer * s.inner);
    parts(s, [&](std::int64_t from, std::int64_t count) {
      double m[width], squares[width];
      std::fill_n(m, count, 0.0);
      std::fill_n(squares, count, 0.0);
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
  });
}

template <class T>
void normalize(T* y, const T* x, const T* mean, const T* rate, const T* scale, const T* shift, const Groups& s) {
  on_vectors([=] {
    runs(s, 0, s.groups, [&](std::int64_t group, std::int64_t at) {
      const T m = mean[group], r = rate[group];
      if (s.by_group) {
        const T factor = r * scale[group], b = shift[group];
        map_within(
            y + at, s.inner, [=](T v) { return (v - m) * factor + b; }, x + at);
      } else {
        map_within(
            y + at, s.inner, [=](T v, T by, T to) { return (v - m) * r * by + to; }, x + at, scale, shift);
      }
    });
  });
}

template <class T> void normalize_gradient(T* dx, const T* dy, const T* x, const T* mean, const T* rate, const T* scale,
                                           const Groups& s, bool fixed) {
  on_vectors([=] {
    if (s.by_group && s.inner == 1) gradient_of_rows(dx, dy, x, mean, rate, scale, s, fixed);
    else gradient(dx, dy, x, mean, rate, scale, s, fixed);
  });
}

template <class T>
void normalize_scale(T* dscale, const T* dy, const T* x, const T* mean, const T* rate, const Groups& s) {
  on_vectors([=] {
    if (s.by_group) {
      parts(s, [&](std::int64_t from, std::int64_t count) {
        double sum[width];
        std::fill_n(sum, count, 0.0);
        add_up(sum, s, from, count, [&](std::int64_t group, std::int64_t at, std::int64_t i) {
          return sent(dy[at + i], (x[at + i] - mean[group]) * rate[group]);
        });
        for (std::int64_t k = 0; k < count; ++k) dscale[from + k] = static_cast<T>(sum[k]);
      });
      return;
    }
    for (std::int64_t from = 0; from < s.inner; from += width) {
      const std::int64_t w = std::min(width, s.inner - from);
      double sum[width];
      std::fill_n(sum, w, 0.0);
      runs(s, 0, s.groups, [&](std::int64_t group, std::int64_t at) {
        const T m = mean[group], r = rate[group];
        const T *const g = dy + at + from, *const v = x + at + from;
        for (std::int64_t i = 0; i < w; ++i) sum[i] += static_cast<double>(sent(g[i], (v[i] - m) * r));
      });
      for (std::int64_t i = 0; i < w; ++i) dscale[from + i] = static_cast<T>(sum[i]);
    }
  });
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
