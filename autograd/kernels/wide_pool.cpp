// Pools of windows 2 by 2, side by side: see wide.h.
#include "wide.h"
#include "wide_vectors.h"

namespace ebb::kernels::wide {

namespace {

template <class T> struct Window { T top_left, top_right, bottom_left, bottom_right; };

template <class T, std::size_t... i> Vector<T> every_other(Vector<T> a, Vector<T> b, std::index_sequence<i...>) {
  return __builtin_shufflevector(a, b, (2 * i)...);
}
template <class T, std::size_t... i> Vector<T> others(Vector<T> a, Vector<T> b, std::index_sequence<i...>) {
  return __builtin_shufflevector(a, b, (2 * i + 1)...);
}

/// The windows whose upper rows begin at x, as many as a vector holds.
template <class T> [[gnu::always_inline]] inline Window<Vector<T>> windows_at(const T* x, std::int64_t width) {
  constexpr auto all = std::make_index_sequence<lanes<T>>();
  const Vector<T> a = load(x), b = load(x + lanes<T>), c = load(x + width), d = load(x + width + lanes<T>);
  return {every_other<T>(a, b, all), others<T>(a, b, all), every_other<T>(c, d, all), others<T>(c, d, all)};
}
template <class T> Window<T> window_at(const T* x, std::int64_t width) { return {x[0], x[1], x[width], x[width + 1]}; }

/// The larger; NaN if there is one.
template <class V> V larger(V best, V v) {
  const auto wins = (v > best) | (v != v);
  return wins ? v : best;
}
template <class V> V largest(const Window<V>& w) {
  return larger(larger(larger(w.top_left, w.top_right), w.bottom_left), w.bottom_right);
}

/// Calls many(place in x, place in y) for as many windows as a vector holds, and one for single ones; and then, for each
/// row of windows, done(place in x, whether the plane's last).  Rows shorter than a vector are written with numbers too many,
/// which the rows behind put right; where there are none, windows go one by one.
template <class T, class Many, class One, class Done>
[[gnu::always_inline]] inline void walk(const Halves& h, Many many, One one, Done done) {
  constexpr int L = lanes<T>;
  const std::int64_t rows = h.height / 2, columns = h.width / 2;
  const std::int64_t x_end = h.planes * h.height * h.width, y_end = h.planes * rows * columns;
  std::int64_t y = 0;
  for (std::int64_t plane = 0; plane < h.planes; ++plane)
    for (std::int64_t row = 0; row < rows; ++row, y += columns) {
      const std::int64_t x = (plane * h.height + 2 * row) * h.width;
      if (columns >= L)
        for (std::int64_t c = 0; c < columns; c += L) {
          const std::int64_t at = c + L <= columns ? c : columns - L;  // the last ones once more
          many(x + 2 * at, y + at);
        }
      else if (y + L <= y_end && x + h.width + 2 * L <= x_end) many(x, y);
      else
        for (std::int64_t c = 0; c < columns; ++c) one(x + 2 * c, y + c);
      done(x, row == rows - 1);
    }
}

template <class T> void max_pool(const Halves& h, T* y, const T* x) {
  walk<T>(
      h, [=](std::int64_t from, std::int64_t to) { store<T>(y + to, largest(windows_at(x + from, h.width))); },
      [=](std::int64_t from, std::int64_t to) { y[to] = largest(window_at(x + from, h.width)); },
      [](std::int64_t, bool) {});
}

/// What each of a window's numbers gets of its gradient; `gated`: where the largest, y, is above 0.
template <class T, bool gated, class V> Window<V> shares(const Window<V>& x, const V& y, const V& dy) {
  const V zero{}, one = zero + T(1);
  const auto a = x.top_left == y, b = x.top_right == y, c = x.bottom_left == y, d = x.bottom_right == y;
  const V ties = (a ? one : zero) + (b ? one : zero) + (c ? one : zero) + (d ? one : zero);
  V share = dy / (ties > one ? ties : one) + zero;  // + 0, as sums of shares begin with it: no -0
  if constexpr (gated) share = y > zero ? share : zero;
  return {a ? share : zero, b ? share : zero, c ? share : zero, d ? share : zero};
}

/// Writes what the functions of (place in dx, place in dy) give the numbers of as many windows as a vector holds, and of one;
/// and zeros where no window reads.
template <class T, class Many, class One> void spread(const Halves& h, T* dx, Many many_shares, One one_shares) {
  const auto many = [=](std::int64_t to, std::int64_t from) {
    const Window<Vector<T>> share = many_shares(to, from);
    constexpr auto all = std::make_index_sequence<lanes<T>>();
    Vector<T> low, high;
    zip<T>(share.top_left, share.top_right, low, high, all);
    store<T>(dx + to, low), store<T>(dx + to + lanes<T>, high);
    zip<T>(share.bottom_left, share.bottom_right, low, high, all);
    store<T>(dx + to + h.width, low), store<T>(dx + to + h.width + lanes<T>, high);
  };
  const auto one = [=](std::int64_t to, std::int64_t from) {
    const Window<T> share = one_shares(to, from);
    dx[to] = share.top_left, dx[to + 1] = share.top_right;
    dx[to + h.width] = share.bottom_left, dx[to + h.width + 1] = share.bottom_right;
  };
  walk<T>(h, many, one, [=](std::int64_t to, bool last) {
    if (h.width % 2 != 0) dx[to + h.width - 1] = dx[to + 2 * h.width - 1] = T(0);
    if (last && h.height % 2 != 0)
      for (std::int64_t i = 0; i < h.width; ++i) dx[to + 2 * h.width + i] = T(0);
  });
}

template <class T, bool gated> void max_unpool(const Halves& h, T* dx, const T* dy, const T* x, const T* y) {
  spread<T>(
      h, dx,
      [=](std::int64_t to, std::int64_t from) {
        return shares<T, gated>(windows_at(x + to, h.width), load(y + from), load(dy + from));
      },
      [=](std::int64_t to, std::int64_t from) {
        return shares<T, gated>(window_at(x + to, h.width), y[from], dy[from]);
      });
}
template <class T> void max_unpool(const Halves& h, T* dx, const T* dy, const T* x, const T* y, bool gated) {
  return (gated ? max_unpool<T, true> : max_unpool<T, false>)(h, dx, dy, x, y);
}

template <class T, class V> V mean(const Window<V>& w) {
  return (V{} + w.top_left + w.top_right + w.bottom_left + w.bottom_right) / T(4);
}
/// dy's share for each number of a window.
template <class T, class V> Window<V> quarters(const V& dy) {
  const V share = dy / T(4) + V{};
  return {share, share, share, share};
}

template <class T> void avg_pool(const Halves& h, T* y, const T* x) {
  walk<T>(
      h, [=](std::int64_t from, std::int64_t to) { store<T>(y + to, mean<T>(windows_at(x + from, h.width))); },
      [=](std::int64_t from, std::int64_t to) { y[to] = mean<T>(window_at(x + from, h.width)); },
      [](std::int64_t, bool) {});
}

template <class T> void avg_unpool(const Halves& h, T* dx, const T* dy) {
  spread<T>(
      h, dx, [=](std::int64_t, std::int64_t from) { return quarters<T>(load(dy + from)); },
      [=](std::int64_t, std::int64_t from) { return quarters<T>(dy[from]); });
}

}  // namespace

extern const PoolLoops<float> EBB_NAME(pool_f32);
extern const PoolLoops<double> EBB_NAME(pool_f64);
const PoolLoops<float> EBB_NAME(pool_f32){max_pool, max_unpool, avg_pool, avg_unpool};
const PoolLoops<double> EBB_NAME(pool_f64){max_pool, max_unpool, avg_pool, avg_unpool};

}  // namespace ebb::kernels::wide
