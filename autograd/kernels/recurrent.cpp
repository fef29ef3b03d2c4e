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

/// No gradient stays none, be the local derivative infinite.
template <class T> T times(T g, T local) { return math::select(g == 0, T(0), g * local); }

/// What comes to c_next, from the next step and through h.  `a` is a row of what the forward pass left.
template <class T> void to_cell(T* d, const T* dh, const T* dc_next, const T* a, std::int64_t hidden) {
  map(
      d, hidden, [](T dc, T g, T o, T t) { return dc + times(g, o * (1 - t * t)); }, dc_next, dh,
      a + lstm::output * hidden, a + lstm::gates * hidden);
}

}  // namespace

template <class T>
void lstm_cell(T* h, T* c_next, T* active, const T* gates, const T* c, std::int64_t rows, std::int64_t hidden) {
  const auto open = [](T x) { return math::sigmoid(x); };
  const auto bound = [](T x) { return math::tanh(x); };
  const auto one = [=](std::int64_t row, T* a) {
    T *const i = a + lstm::input * hidden, *const f = a + lstm::forget * hidden,
             *const g = a + lstm::candidate * hidden, *const o = a + lstm::output * hidden,
             *const squashed = a + lstm::gates * hidden, *const next = c_next + row * hidden;
    const T* const from = gates + row * lstm::gates * hidden;
    map(i, hidden, open, from + lstm::input * hidden);
    map(f, hidden, open, from + lstm::forget * hidden);
    map(g, hidden, bound, from + lstm::candidate * hidden);
    map(o, hidden, open, from + lstm::output * hidden);
    map(
        next, hidden, [](T i_, T f_, T g_, T c_) { return f_ * c_ + i_ * g_; }, i, f, g, c + row * hidden);
    map(squashed, hidden, bound, next);
    map(
        h + row * hidden, hidden, [](T o_, T s) { return o_ * s; }, o, squashed);
  };
  rows_in_parts(rows, hidden, [=](std::int64_t first, std::int64_t count) {
    constexpr std::int64_t width = lstm::gates + 1;
    T* const one_row = kept<T>(active == nullptr ? width * hidden : 0).data();
    for (std::int64_t row = first; row < first + count; ++row)
      one(row, active == nullptr ? one_row : active + row * width * hidden);
  });
}

template <class T> void lstm_cell_dgates(T* dgates, const T* dh, const T* dc_next, const T* active, const T* c,
                                         std::int64_t rows, std::int64_t hidden) {
  const auto open = [](T g, T other, T x) { return times(g, other * x * (1 - x)); };
  const auto one = [=](std::int64_t row, T* dc) {
    const T* const a = active + row * (lstm::gates + 1) * hidden;
    const T *const i = a + lstm::input * hidden, *const f = a + lstm::forget * hidden,
                   *const g = a + lstm::candidate * hidden, *const o = a + lstm::output * hidden,
                   *const squashed = a + lstm::gates * hidden, *const dh_row = dh + row * hidden;
    T* const to = dgates + row * lstm::gates * hidden;
    to_cell(dc, dh_row, dc_next + row * hidden, a, hidden);
    map(to + lstm::input * hidden, hidden, open, dc, g, i);
    map(to + lstm::forget * hidden, hidden, open, dc, c + row * hidden, f);
    map(
        to + lstm::candidate * hidden, hidden, [](T d, T i_, T g_) { return times(d, i_ * (1 - g_ * g_)); }, dc, i, g);
    map(to + lstm::output * hidden, hidden, open, dh_row, squashed, o);
  };
  rows_in_parts(rows, hidden, [=](std::int64_t first, std::int64_t count) {
    T* const dc = kept<T>(hidden).data();
    for (std::int64_t row = first; row < first + count; ++row) one(row, dc);
  });
}

template <class T>
void lstm_cell_dc(T* dc, const T* dh, const T* dc_next, const T* active, std::int64_t rows, std::int64_t hidden) {
  for (std::int64_t r = 0; r < rows; ++r, active += (lstm::gates + 1) * hidden, dh += hidden, dc_next += hidden) {
    to_cell(dc, dh, dc_next, active, hidden);
    for (std::int64_t k = 0; k < hidden; ++k, ++dc) *dc = times(*dc, active[lstm::forget * hidden + k]);
  }
}

template <class T> void gru_cell(T* h_next, T* active, const T* from_input, const T* from_state, const T* h,
                                 std::int64_t rows, std::int64_t hidden) {
  std::vector<T>& one_row = kept<T>(active == nullptr ? gru::gates * hidden : 0);
  const auto open = [](T x, T s) { return math::sigmoid(x + s); };
  for (std::int64_t row = 0; row < rows; ++row) {
    T* const a = active == nullptr ? one_row.data() : active + row * gru::gates * hidden;
    T *const r = a + gru::reset * hidden, *const z = a + gru::update * hidden, *const n = a + gru::candidate * hidden;
    map(r, hidden, open, from_input + gru::reset * hidden, from_state + gru::reset * hidden);
    map(z, hidden, open, from_input + gru::update * hidden, from_state + gru::update * hidden);
    map(
        n, hidden, [](T x, T r_, T s) { return math::tanh(x + r_ * s); }, from_input + gru::candidate * hidden, r,
        from_state + gru::candidate * hidden);
    map(
        h_next, hidden, [](T z_, T n_, T h_) { return (1 - z_) * n_ + z_ * h_; }, z, n, h);
    from_input += gru::gates * hidden;
    from_state += gru::gates * hidden;
    h += hidden;
    h_next += hidden;
  }
}

template <class T> void gru_cell_dgates(T* dgates, bool by_state, const T* dy, const T* active, const T* from_state,
                                        const T* h, std::int64_t rows, std::int64_t hidden) {
  std::vector<T>& dn = kept<T>(hidden);
  for (std::int64_t row = 0; row < rows; ++row) {
    const T *const r = active + gru::reset * hidden, *const z = active + gru::update * hidden,
                   *const n = active + gru::candidate * hidden;
    map(
        dn.data(), hidden, [](T g, T z_, T n_) { return times(g, (1 - z_) * (1 - n_ * n_)); }, dy, z, n);
    map(
        dgates + gru::reset * hidden, hidden, [](T g, T s, T r_) { return times(g, s * r_ * (1 - r_)); }, dn.data(),
        from_state + gru::candidate * hidden, r);
    map(
        dgates + gru::update * hidden, hidden,
        [](T g, T h_, T n_, T z_) { return times(g, (h_ - n_) * z_ * (1 - z_)); }, dy, h, n, z);
    map(
        dgates + gru::candidate * hidden, hidden, [=](T g, T r_) { return by_state ? times(g, r_) : g; }, dn.data(), r);
    dgates += gru::gates * hidden;
    active += gru::gates * hidden;
    from_state += gru::gates * hidden;
    dy += hidden;
    h += hidden;
  }
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
