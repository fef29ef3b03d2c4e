#include "recurrent.h"

#include "map.h"
#include "math.h"
#include "parts.h"
#include "threads.h"

#include <cstdint>
#include <vector>

namespace ebb::kernels {

namespace {

/// Room for so many numbers of a kernel's own, which each thread keeps for the next call.
template <class T> std::vector<T>& kept(std::int64_t count) {
  thread_local std::vector<T> all;
  if (all.size() < static_cast<std::size_t>(count)) all.resize(static_cast<std::size_t>(count));
  return all;
}

/// Calls f(first row, how many) for all rows, in parts for the threads to share.
template <class F> void rows_in_parts(std::int64_t rows, std::int64_t hidden, const F& f) {
  constexpr double enough = 4096;  // numbers of h
  const Parts parts(rows, static_cast<double>(rows) * static_cast<double>(hidden), enough);
  parallel(parts.count, [&](std::int64_t part) { f(parts.begin(part), parts.size(part)); });
}

/// Sends for a row that the forward pass left long ago.
template <class T> [[gnu::always_inline]] inline void send_for(const T* row, std::int64_t n) {
  constexpr std::int64_t line = 64 / std::int64_t{sizeof(T)};
  for (std::int64_t k = 0; k < n; k += line) __builtin_prefetch(row + k);
}

/// No gradient stays none, be the local derivative infinite.
template <class T> T times(T g, T local) { return math::select(g == 0, T(0), g * local); }

/// What comes to c_next, from the next step and through h.
template <class T> T to_cell(T dc_next, T dh, T o, T squashed) {
  return dc_next + times(dh, o * (1 - squashed * squashed));
}

}  // namespace

template <class T>
void lstm_cell(T* h, T* c_next, T* active, const T* gates, const T* c, std::int64_t rows, std::int64_t hidden) {
  constexpr std::int64_t width = lstm::gates + 1;
  const auto loop = [](T* y, T* next, T* a, std::int64_t to_next_a, const T* z, const T* before, std::int64_t count,
                       std::int64_t n) {
    const auto open = [](T x) { return math::sigmoid(x); };
    const auto bound = [](T x) { return math::tanh(x); };
    for (std::int64_t row = 0; row < count; ++row) {
      T *const i = a + lstm::input * n, *const f = a + lstm::forget * n, *const g = a + lstm::candidate * n,
               *const o = a + lstm::output * n, *const squashed = a + lstm::gates * n;
      map_within(i, n, open, z + lstm::input * n);
      map_within(f, n, open, z + lstm::forget * n);
      map_within(g, n, bound, z + lstm::candidate * n);
      map_within(o, n, open, z + lstm::output * n);
      map_within(
          next, n, [](T i_, T f_, T g_, T c_) { return f_ * c_ + i_ * g_; }, i, f, g, before);
      map_within(squashed, n, bound, next);
      map_within(
          y, n, [](T o_, T s) { return o_ * s; }, o, squashed);
      y += n;
      next += n;
      a += to_next_a;
      z += lstm::gates * n;
      before += n;
    }
  };
  rows_in_parts(rows, hidden, [=](std::int64_t first, std::int64_t count) {
    const bool kept_by_caller = active != nullptr;
    T* const a = kept_by_caller ? active + first * width * hidden : kept<T>(width * hidden).data();
    on_vectors(loop, h + first * hidden, c_next + first * hidden, a, kept_by_caller ? width * hidden : 0,
               gates + first * lstm::gates * hidden, c + first * hidden, count, hidden);
  });
}

template <class T> void lstm_cell_dgates(T* dgates, const T* dh, const T* dc_next, const T* active, const T* c,
                                         std::int64_t rows, std::int64_t hidden) {
  const auto loop = [](T* to, T* dc, const T* dy, const T* dnext, const T* a, const T* before, std::int64_t count,
                       std::int64_t n) {
    const auto open = [](T g, T other, T x) { return times(g, other * x * (1 - x)); };
    for (std::int64_t row = 0; row < count; ++row) {
      const T *const i = a + lstm::input * n, *const f = a + lstm::forget * n, *const g = a + lstm::candidate * n,
                     *const o = a + lstm::output * n, *const squashed = a + lstm::gates * n;
      if (row + 1 < count) send_for(a + (lstm::gates + 1) * n, (lstm::gates + 1) * n);
      map_within(
          dc, n, [](T d, T dh_, T o_, T s) { return to_cell(d, dh_, o_, s); }, dnext, dy, o, squashed);
      map_within(to + lstm::input * n, n, open, dc, g, i);
      map_within(to + lstm::forget * n, n, open, dc, before, f);
      map_within(
          to + lstm::candidate * n, n, [](T d, T i_, T g_) { return times(d, i_ * (1 - g_ * g_)); }, dc, i, g);
      map_within(to + lstm::output * n, n, open, dy, squashed, o);
      to += lstm::gates * n;
      dy += n;
      dnext += n;
      a += (lstm::gates + 1) * n;
      before += n;
    }
  };
  rows_in_parts(rows, hidden, [=](std::int64_t first, std::int64_t count) {
    on_vectors(loop, dgates + first * lstm::gates * hidden, kept<T>(hidden).data(), dh + first * hidden,
               dc_next + first * hidden, active + first * (lstm::gates + 1) * hidden, c + first * hidden, count,
               hidden);
  });
}

template <class T>
void lstm_cell_dc(T* dc, const T* dh, const T* dc_next, const T* active, std::int64_t rows, std::int64_t hidden) {
  const auto loop = [](T* to, const T* dy, const T* dnext, const T* a, std::int64_t count, std::int64_t n) {
    for (std::int64_t row = 0; row < count; ++row) {
      map_within(
          to, n, [](T d, T dh_, T o, T s, T f) { return times(to_cell(d, dh_, o, s), f); }, dnext, dy,
          a + lstm::output * n, a + lstm::gates * n, a + lstm::forget * n);
      to += n;
      dy += n;
      dnext += n;
      a += (lstm::gates + 1) * n;
    }
  };
  on_vectors(loop, dc, dh, dc_next, active, rows, hidden);
}

template <class T> void gru_cell(T* h_next, T* active, const T* from_input, const T* from_state, const T* h,
                                 std::int64_t rows, std::int64_t hidden) {
  const auto loop = [](T* y, T* a, std::int64_t to_next_a, const T* x, const T* s, const T* before, std::int64_t count,
                       std::int64_t width) {
    const auto open = [](T x_, T s_) { return math::sigmoid(x_ + s_); };
    for (std::int64_t row = 0; row < count; ++row) {
      T *const r = a + gru::reset * width, *const z = a + gru::update * width, *const n = a + gru::candidate * width;
      map_within(r, width, open, x + gru::reset * width, s + gru::reset * width);
      map_within(z, width, open, x + gru::update * width, s + gru::update * width);
      map_within(
          n, width, [](T x_, T r_, T s_) { return math::tanh(x_ + r_ * s_); }, x + gru::candidate * width, r,
          s + gru::candidate * width);
      map_within(
          y, width, [](T z_, T n_, T h_) { return (1 - z_) * n_ + z_ * h_; }, z, n, before);
      y += width;
      a += to_next_a;
      x += gru::gates * width;
      s += gru::gates * width;
      before += width;
    }
  };
  const bool kept_by_caller = active != nullptr;
  on_vectors(loop, h_next, kept_by_caller ? active : kept<T>(gru::gates * hidden).data(),
             kept_by_caller ? gru::gates * hidden : 0, from_input, from_state, h, rows, hidden);
}

template <class T> void gru_cell_dgates(T* dgates, bool by_state, const T* dy, const T* active, const T* from_state,
                                        const T* h, std::int64_t rows, std::int64_t hidden) {
  const auto loop = [](T* to, T* dn, bool state, const T* g, const T* a, const T* s, const T* before,
                       std::int64_t count, std::int64_t width) {
    for (std::int64_t row = 0; row < count; ++row) {
      const T *const r = a + gru::reset * width, *const z = a + gru::update * width,
                     *const n = a + gru::candidate * width;
      map_within(
          dn, width, [](T g_, T z_, T n_) { return times(g_, (1 - z_) * (1 - n_ * n_)); }, g, z, n);
      map_within(
          to + gru::reset * width, width, [](T d, T s_, T r_) { return times(d, s_ * r_ * (1 - r_)); }, dn,
          s + gru::candidate * width, r);
      map_within(
          to + gru::update * width, width, [](T g_, T h_, T n_, T z_) { return times(g_, (h_ - n_) * z_ * (1 - z_)); },
          g, before, n, z);
      map_within(
          to + gru::candidate * width, width, [state](T d, T r_) { return state ? times(d, r_) : d; }, dn, r);
      to += gru::gates * width;
      g += width;
      a += gru::gates * width;
      s += gru::gates * width;
      before += width;
    }
  };
  on_vectors(loop, dgates, kept<T>(hidden).data(), by_state, dy, active, from_state, h, rows, hidden);
}

template <class T> void gru_cell_dh(T* dh, const T* dy, const T* active, std::int64_t rows, std::int64_t hidden) {
  for (std::int64_t row = 0; row < rows; ++row, active += gru::gates * hidden)
    for (std::int64_t k = 0; k < hidden; ++k) *dh++ = times(*dy++, active[gru::update * hidden + k]);
}

#define EBB_FOR(T)                                                                                             \
  template void lstm_cell(T*, T*, T*, const T*, const T*, std::int64_t, std::int64_t);                         \
  template void lstm_cell_dgates(T*, const T*, const T*, const T*, const T*, std::int64_t, std::int64_t);      \
  template void lstm_cell_dc(T*, const T*, const T*, const T*, std::int64_t, std::int64_t);                    \
  template void gru_cell(T*, T*, const T*, const T*, const T*, std::int64_t, std::int64_t);                    \
  template void gru_cell_dgates(T*, bool, const T*, const T*, const T*, const T*, std::int64_t, std::int64_t); \
  template void gru_cell_dh(T*, const T*, const T*, std::int64_t, std::int64_t);
EBB_FOR(float)
EBB_FOR(double)
#undef EBB_FOR

}  // namespace ebb::kernels
