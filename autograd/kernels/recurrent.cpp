#include "recurrent.h"

#include <cmath>

namespace ebb::kernels {

namespace {

template <class T> T sigmoid(T x) {
  const T e = std::exp(-std::abs(x));  // never overflows
  return (x < 0 ? e : T(1)) / (T(1) + e);
}
/// No gradient stays none, be the local derivative infinite.
template <class T> T times(T g, T local) { return g == 0 ? T(0) : g * local; }

/// What comes to c_next: from the next step, and through h.  `a` is a row of what the forward pass left.
template <class T> T to_cell(T dh, T dc_next, const T* a, std::int64_t hidden) {
  const T squashed = a[lstm::gates * hidden];
  return dc_next + times(dh, a[lstm::output * hidden] * (1 - squashed * squashed));
}

}  // namespace

template <class T>
void lstm_cell(T* h, T* c_next, T* active, const T* gates, const T* c, std::int64_t rows, std::int64_t hidden) {
  for (std::int64_t r = 0; r < rows; ++r, gates += lstm::gates * hidden) {
    for (std::int64_t k = 0; k < hidden; ++k) {
      const T i = sigmoid(gates[lstm::input * hidden + k]), f = sigmoid(gates[lstm::forget * hidden + k]),
              g = std::tanh(gates[lstm::candidate * hidden + k]), o = sigmoid(gates[lstm::output * hidden + k]);
      const T next = f * *c++ + i * g, squashed = std::tanh(next);
      *c_next++ = next;
      *h++ = o * squashed;
      if (active == nullptr) continue;
      T* const a = active + k;
      a[lstm::input * hidden] = i;
      a[lstm::forget * hidden] = f;
      a[lstm::candidate * hidden] = g;
      a[lstm::output * hidden] = o;
      a[lstm::gates * hidden] = squashed;
    }
    if (active != nullptr) active += (lstm::gates + 1) * hidden;
  }
}

template <class T> void lstm_cell_dgates(T* dgates, const T* dh, const T* dc_next, const T* active, const T* c,
                                         std::int64_t rows, std::int64_t hidden) {
  for (std::int64_t r = 0; r < rows; ++r) {
    for (std::int64_t k = 0; k < hidden; ++k) {
      const T* const a = active + k;
      T* const d = dgates + k;
      const T i = a[lstm::input * hidden], f = a[lstm::forget * hidden], g = a[lstm::candidate * hidden],
              o = a[lstm::output * hidden], dc = to_cell(dh[k], dc_next[k], a, hidden);
      d[lstm::input * hidden] = times(dc, g * i * (1 - i));
      d[lstm::forget * hidden] = times(dc, c[k] * f * (1 - f));
      d[lstm::candidate * hidden] = times(dc, i * (1 - g * g));
      d[lstm::output * hidden] = times(dh[k], a[lstm::gates * hidden] * o * (1 - o));
    }
    dgates += lstm::gates * hidden;
    active += (lstm::gates + 1) * hidden;
    dh += hidden;
    dc_next += hidden;
    c += hidden;
  }
}

template <class T>
void lstm_cell_dc(T* dc, const T* dh, const T* dc_next, const T* active, std::int64_t rows, std::int64_t hidden) {
  for (std::int64_t r = 0; r < rows; ++r, active += (lstm::gates + 1) * hidden)
    for (std::int64_t k = 0; k < hidden; ++k)
      *dc++ = times(to_cell(*dh++, *dc_next++, active + k, hidden), active[lstm::forget * hidden + k]);
}

template <class T> void gru_cell(T* h_next, T* active, const T* from_input, const T* from_state, const T* h,
                                 std::int64_t rows, std::int64_t hidden) {
  for (std::int64_t row = 0; row < rows; ++row) {
    for (std::int64_t k = 0; k < hidden; ++k) {
      const T *const x = from_input + k, *const s = from_state + k;
      const T r = sigmoid(x[gru::reset * hidden] + s[gru::reset * hidden]),
              z = sigmoid(x[gru::update * hidden] + s[gru::update * hidden]),
              n = std::tanh(x[gru::candidate * hidden] + r * s[gru::candidate * hidden]);
      *h_next++ = (1 - z) * n + z * *h++;
      if (active == nullptr) continue;
      T* const a = active + k;
      a[gru::reset * hidden] = r;
      a[gru::update * hidden] = z;
      a[gru::candidate * hidden] = n;
    }
    from_input += gru::gates * hidden;
    from_state += gru::gates * hidden;
    if (active != nullptr) active += gru::gates * hidden;
  }
}

template <class T> void gru_cell_dgates(T* dgates, bool by_state, const T* dy, const T* active, const T* from_state,
                                        const T* h, std::int64_t rows, std::int64_t hidden) {
  for (std::int64_t row = 0; row < rows; ++row) {
    for (std::int64_t k = 0; k < hidden; ++k) {
      const T* const a = active + k;
      T* const d = dgates + k;
      const T r = a[gru::reset * hidden], z = a[gru::update * hidden], n = a[gru::candidate * hidden];
      const T dn = times(dy[k], (1 - z) * (1 - n * n));
      d[gru::reset * hidden] = times(dn, from_state[gru::candidate * hidden + k] * r * (1 - r));
      d[gru::update * hidden] = times(dy[k], (h[k] - n) * z * (1 - z));
      d[gru::candidate * hidden] = by_state ? times(dn, r) : dn;
    }
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
