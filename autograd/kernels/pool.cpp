// Pools, a row of windows at a time.
#include "conv.h"
#include "parts.h"
#include "threads.h"
#include "wide.h"

#include <bit>
#include <limits>

namespace ebb::kernels {

namespace {

/// Calls f(row of all planes' windows, its number within its plane, the plane's place in x).
template <class F> void for_each_row(const Pooling& p, F&& f) {
  for (std::int64_t row = 0; row < p.planes * p.h.windows; ++row)
    f(row * p.w.windows, row % p.h.windows, row / p.h.windows * p.h.image * p.w.image);
}

/// The positions along an axis that a window reads, padding left out.
Axis::Range reads(const Axis& a, std::int64_t window) {
  const std::int64_t first = a.position(window, 0);
  return {std::max<std::int64_t>(0, first), std::min(a.image, first + a.size)};
}

/// Calls f(place, begin, end) for each tap of a row of windows: window o of begin <= o < end reads x[place + o·stride].
template <class F> void for_each_tap(const Pooling& p, std::int64_t row, std::int64_t plane, F&& f) {
  const Axis::Range rows = reads(p.h, row);
  const std::int64_t first = std::max<std::int64_t>(0, p.w.padding - (p.w.windows - 1) * p.w.stride),
                     last = std::min(p.w.size, p.w.image + p.w.padding);
  for (std::int64_t y = rows.begin; y < rows.end; ++y)
    for (std::int64_t tap = first; tap < last; ++tap) {
      const Axis::Range inside = p.w.inside(tap);
      f(plane + y * p.w.image + p.w.position(0, tap), inside.begin, inside.end);
    }
}

/// v or 0, without a branch: which number is the largest is as good as random, and wrong guesses take most of the time.
/// (v times 0 or 1 would not do: v may be infinite.)
template <class T> T if_chosen(bool chosen, T v) {
  using Bits = std::conditional_t<sizeof(T) == 4, std::uint32_t, std::uint64_t>;
  return std::bit_cast<T>(std::bit_cast<Bits>(v) & (Bits(0) - Bits(chosen)));
}

/// How many numbers the mean of a window is of.
struct Count {
  const Pooling& p;
  bool padding;

  std::int64_t operator()(std::int64_t row, std::int64_t column) const {
    if (padding) return p.h.size * p.w.size;
    const Axis::Range y = reads(p.h, row), x = reads(p.w, column);
    return (y.end - y.begin) * (x.end - x.begin);
  }
};

Parts parts_of(const Pooling& p) {
  const double reads =
      static_cast<double>(p.planes * p.h.windows * p.w.windows) * static_cast<double>(p.h.size * p.w.size);
  return {p.planes, reads, 2e5};
}

/// Calls f(the pooling of a part's planes, place in x, place in y, number) for each part.
template <class F> void for_each_part(const Pooling& p, const F& f) {
  const Parts parts = parts_of(p);
  parallel(parts.count, [&](std::int64_t part) {
    Pooling some = p;
    some.planes = parts.size(part);
    const std::int64_t plane = parts.begin(part);
    f(some, plane * p.h.image * p.w.image, plane * p.h.windows * p.w.windows, part);
  });
}

/// Whether windows are 2 by 2 and side by side.
bool halves(const Pooling& p) {
  const auto half = [](const Axis& a) { return a.size == 2 && a.stride == 2 && a.padding == 0; };
  return half(p.h) && half(p.w);
}

template <class T> void max_pool_part(const Pooling& p, T* y, const T* x) {
  if (halves(p)) return wide::pool_loops<T>().max_pool({p.planes, p.h.image, p.w.image}, y, x);
  std::fill_n(y, p.planes * p.h.windows * p.w.windows, -std::numeric_limits<T>::infinity());
  with_stride(p.w.stride, [&](auto stride) {
    for_each_row(p, [&](std::int64_t at, std::int64_t row, std::int64_t plane) {
      T* const best = y + at;
      for_each_tap(p, row, plane, [&](std::int64_t from, std::int64_t begin, std::int64_t end) {
        for (std::int64_t o = begin; o < end; ++o) {
          const T v = x[from + o * stride];
          best[o] = v > best[o] || v != v ? v : best[o];  // a NaN is beaten by nothing
        }
      });
    });
  });
}

template <class T>
void max_unpool_part(const Pooling& p, T* dx, const T* dy, const T* x, const T* y, T* scratch, bool gated) {
  if (halves(p)) return wide::pool_loops<T>().max_unpool({p.planes, p.h.image, p.w.image}, dx, dy, x, y, gated);
  std::fill_n(dx, p.planes * p.h.image * p.w.image, T(0));
  with_stride(p.w.stride, [&](auto stride) {
    for_each_row(p, [&](std::int64_t at, std::int64_t row, std::int64_t plane) {
      const T *const best = y + at, *const g = dy + at;
      T* const share = scratch;
      std::fill_n(share, p.w.windows, T(0));
      for_each_tap(p, row, plane, [&](std::int64_t from, std::int64_t begin, std::int64_t end) {
        for (std::int64_t o = begin; o < end; ++o) share[o] += T(x[from + o * stride] == best[o]);
      });
      for (std::int64_t o = 0; o < p.w.windows; ++o)
        share[o] = if_chosen(!gated || best[o] > 0, g[o] / std::max(T(1), share[o]));
      for_each_tap(p, row, plane, [&](std::int64_t from, std::int64_t begin, std::int64_t end) {
        for (std::int64_t o = begin; o < end; ++o)
          dx[from + o * stride] += if_chosen(x[from + o * stride] == best[o], share[o]);
      });
    });
  });
}

template <class T> void max_pick_part(const Pooling& p, T* to, const T* from, const T* x, const T* y, T* scratch) {
  std::fill_n(to, p.planes * p.h.windows * p.w.windows, T(0));
  with_stride(p.w.stride, [&](auto stride) {
    for_each_row(p, [&](std::int64_t at, std::int64_t row, std::int64_t plane) {
      const T* const best = y + at;
      T *const sum = to + at, *const ties = scratch;
      std::fill_n(ties, p.w.windows, T(0));
      for_each_tap(p, row, plane, [&](std::int64_t first, std::int64_t begin, std::int64_t end) {
        for (std::int64_t o = begin; o < end; ++o) {
          const bool here = x[first + o * stride] == best[o];
          ties[o] += T(here);
          sum[o] += if_chosen(here, from[first + o * stride]);
        }
      });
      for (std::int64_t o = 0; o < p.w.windows; ++o) sum[o] /= std::max(T(1), ties[o]);
    });
  });
}

template <class T> void avg_pool_part(const Pooling& p, T* y, const T* x, bool count_padding) {
  if (halves(p)) return wide::pool_loops<T>().avg_pool({p.planes, p.h.image, p.w.image}, y, x);
  const Count count{p, count_padding};
  std::fill_n(y, p.planes * p.h.windows * p.w.windows, T(0));
  with_stride(p.w.stride, [&](auto stride) {
    for_each_row(p, [&](std::int64_t at, std::int64_t row, std::int64_t plane) {
      T* const mean = y + at;
      for_each_tap(p, row, plane, [&](std::int64_t from, std::int64_t begin, std::int64_t end) {
        for (std::int64_t o = begin; o < end; ++o) mean[o] += x[from + o * stride];
      });
      for (std::int64_t o = 0; o < p.w.windows; ++o) mean[o] /= static_cast<T>(count(row, o));
    });
  });
}

template <class T> void avg_unpool_part(const Pooling& p, T* dx, const T* dy, bool count_padding, T* scratch) {
  if (halves(p)) return wide::pool_loops<T>().avg_unpool({p.planes, p.h.image, p.w.image}, dx, dy);
  const Count count{p, count_padding};
  std::fill_n(dx, p.planes * p.h.image * p.w.image, T(0));
  with_stride(p.w.stride, [&](auto stride) {
    for_each_row(p, [&](std::int64_t at, std::int64_t row, std::int64_t plane) {
      T* const share = scratch;
      for (std::int64_t o = 0; o < p.w.windows; ++o) share[o] = dy[at + o] / static_cast<T>(count(row, o));
      for_each_tap(p, row, plane, [&](std::int64_t to, std::int64_t begin, std::int64_t end) {
        for (std::int64_t o = begin; o < end; ++o) dx[to + o * stride] += share[o];
      });
    });
  });
}

}  // namespace

std::int64_t scratch_for(const Pooling& p) { return parts_of(p).count * p.w.windows; }

template <class T> void max_pool(const Pooling& p, T* y, const T* x) {
  for_each_part(p, [&](const Pooling& some, std::int64_t at_x, std::int64_t at_y, std::int64_t) {
    max_pool_part(some, y + at_y, x + at_x);
  });
}

template <class T>
void max_unpool(const Pooling& p, T* dx, const T* dy, const T* x, const T* y, T* scratch, bool gated) {
  for_each_part(p, [&](const Pooling& some, std::int64_t at_x, std::int64_t at_y, std::int64_t part) {
    max_unpool_part(some, dx + at_x, dy + at_y, x + at_x, y + at_y, scratch + part * p.w.windows, gated);
  });
}

template <class T> void max_pick(const Pooling& p, T* to, const T* from, const T* x, const T* y, T* scratch) {
  for_each_part(p, [&](const Pooling& some, std::int64_t at_x, std::int64_t at_y, std::int64_t part) {
    max_pick_part(some, to + at_y, from + at_x, x + at_x, y + at_y, scratch + part * p.w.windows);
  });
}

template <class T> void avg_pool(const Pooling& p, T* y, const T* x, bool count_padding) {
  for_each_part(p, [&](const Pooling& some, std::int64_t at_x, std::int64_t at_y, std::int64_t) {
    avg_pool_part(some, y + at_y, x + at_x, count_padding);
  });
}

template <class T> void avg_unpool(const Pooling& p, T* dx, const T* dy, bool count_padding, T* scratch) {
  for_each_part(p, [&](const Pooling& some, std::int64_t at_x, std::int64_t at_y, std::int64_t part) {
    avg_unpool_part(some, dx + at_x, dy + at_y, count_padding, scratch + part * p.w.windows);
  });
}

#define EBB_FOR(T)                                                                      \
  template void max_pool(const Pooling&, T*, const T*);                                 \
  template void max_unpool(const Pooling&, T*, const T*, const T*, const T*, T*, bool); \
  template void max_pick(const Pooling&, T*, const T*, const T*, const T*, T*);         \
  template void avg_pool(const Pooling&, T*, const T*, bool);                           \
  template void avg_unpool(const Pooling&, T*, const T*, bool, T*);
EBB_FOR(float)
EBB_FOR(double)
#undef EBB_FOR

}  // namespace ebb::kernels
