// The loops of convolutions: see wide.h.
#include "wide.h"
#include "wide_vectors.h"

namespace ebb::kernels::wide {

namespace {

/// How many windows a tile has: their sums, the weights of one tap and one number of x fill the registers.
template <int vectors> constexpr int widest = registers == 32 ? 28 / vectors : (registers - 1) / vectors - 1;

/// V vectors of channels of R neighbouring windows, of which `count` are wanted; behind the first of them, `room` numbers
/// of a channel can be written, since those that are not wanted are yet to come.
template <class T, int V, int R> void tile(const Windows& w, const Places& to, std::int64_t channels,
                                           std::int64_t count, std::int64_t room, T* y, const T* x, const T* weight,
                                           const T* start) {
  constexpr int L = lanes<T>;
  Vector<T> sum[R][V];
#pragma GCC unroll 2
  for (int v = 0; v < V; ++v)
#pragma GCC unroll 32
    for (int r = 0; r < R; ++r) sum[r][v] = load(start + v * L);
  for (std::int64_t t = 0; t < w.count; ++t, weight += V * L) {
    const T* const at = x + w.taps[t];
#pragma GCC unroll 32
    for (int r = 0; r < R; ++r)
#pragma GCC unroll 2
      for (int v = 0; v < V; ++v) sum[r][v] += load(weight + v * L) * at[r];
  }
#pragma GCC unroll 2
  for (int v = 0; v < V; ++v)
#pragma GCC unroll 4
    for (int first = 0; first < R; first += L) {
      Vector<T> turned[L];
#pragma GCC unroll 16
      for (int i = 0; i < L; ++i) turned[i] = first + i < R ? sum[first + i][v] : Vector<T>{};
      transpose<T>(turned);
      const std::int64_t n = count - first;
      for (int i = 0; i < L && v * L + i < channels; ++i) {
        T* const row = y + (v * L + i) * to.channel + first * to.column;
        if (to.column != 1)
          for (int r = 0; r < L && r < n; ++r) row[r * to.column] = turned[i][r];
        else if (n >= L || (n > 0 && room - first >= L)) store<T>(row, turned[i]);
        else if (n > 0) store_some<T>(row, turned[i], n);
      }
    }
}

template <class T> using Tile = void (*)(const Windows&, const Places&, std::int64_t, std::int64_t, std::int64_t, T*,
                                         const T*, const T*, const T*);

/// The narrowest tile that holds n windows.
template <class T, int V, int R = 1> Tile<T> tile_for(std::int64_t n) {
  if constexpr (R >= widest<V>) return tile<T, V, widest<V>>;
  else return n <= R ? tile<T, V, R> : tile_for<T, V, R + (R < 8 ? 1 : 2)>(n);
}

template <class T, int V> void all_windows(const Windows& w, const Places& to, std::int64_t channels, T* y, const T* x,
                                           const T* weight, const T* start) {
  const std::int64_t pieces = (w.columns + widest<V> - 1) / widest<V>;
  if (pieces == 0) return;
  const std::int64_t most = (w.columns + pieces - 1) / pieces;
  const Tile<T> run = tile_for<T, V>(most);
  const std::int64_t follow = to.column == 1 && to.row == w.columns ? w.rows * w.columns : 0;
  for (std::int64_t row = 0; row < w.rows; ++row) {
    // What stores miss in the cache would hold them up: their lines are sent for a row ahead.
    if (row + 1 < w.rows)
      for (std::int64_t o = 0; o < channels; ++o) {
        const T* const next = y + o * to.channel + (row + 1) * to.row;
        for (std::int64_t i = 0; i < to.row; i += 64 / static_cast<int>(sizeof(T))) __builtin_prefetch(next + i, 1);
      }
    for (std::int64_t column = 0; column < w.columns; column += most) {
      const std::int64_t left = w.columns - column, place = row * to.row + column * to.column;
      run(w, to, channels, left < most ? left : most, follow - place, y + place, x + row * w.x_row + column, weight,
          start);
    }
  }
}

template <class T> void windows(const Windows& w, const Places& to, std::int64_t block, std::int64_t channels, T* y,
                                const T* x, const T* weight, const T* start) {
  if (block == lanes<T>) all_windows<T, 1>(w, to, channels, y, x, weight, start);
  else all_windows<T, 2>(w, to, channels, y, x, weight, start);
}

/// How many taps with runs of Q numbers have their sums in registers at a time.
template <int V, int Q> constexpr int group_of() {
  constexpr int room = registers == 32 ? 26 : 12, most = room / (V * Q);
  return most > 8 ? 8 : most < 1 ? 1 : most;
}

template <class T, int V, int P, int Q>
void weight_tile(const Windows& w, const std::int64_t* taps, T* sums, const T* x, const T* y) {
  constexpr int L = lanes<T>;
  Vector<T> sum[P * Q][V];
#pragma GCC unroll 32
  for (int i = 0; i < P * Q; ++i)
#pragma GCC unroll 2
    for (int v = 0; v < V; ++v) sum[i][v] = load(sums + (i * V + v) * L);
  for (std::int64_t row = 0; row < w.rows; ++row) {
    const T* at[P];
#pragma GCC unroll 8
    for (int p = 0; p < P; ++p) at[p] = x + row * w.x_row + taps[p];
    for (std::int64_t c = 0; c < w.columns; ++c, y += V * L)
#pragma GCC unroll 8
      for (int p = 0; p < P; ++p)
#pragma GCC unroll 8
        for (int q = 0; q < Q; ++q)
#pragma GCC unroll 2
          for (int v = 0; v < V; ++v) sum[p * Q + q][v] += load(y + v * L) * at[p][c + q];
  }
#pragma GCC unroll 32
  for (int i = 0; i < P * Q; ++i)
#pragma GCC unroll 2
    for (int v = 0; v < V; ++v) store<T>(sums + (i * V + v) * L, sum[i][v]);
}

template <class T, int V, int Q> void all_weights(const Windows& w, T* sums, const T* x, const T* y) {
  constexpr int P = group_of<V, Q>();
  for (std::int64_t p = 0; p < w.count; p += P)
    weight_tile<T, V, P, Q>(w, w.taps + p, sums + p * Q * V * lanes<T>, x, y);
}

/// f<V, Q>() for runs of Q numbers.
template <int V, class F> auto with_run(std::int64_t run, F f) {
  switch (run) {
    case 2:
      return f.template operator()<V, 2>();
    case 3:
      return f.template operator()<V, 3>();
    case 5:
      return f.template operator()<V, 5>();
    case 7:
      return f.template operator()<V, 7>();
    default:
      return f.template operator()<V, 1>();
  }
}

template <class T>
void weights(const Windows& w, std::int64_t block, std::int64_t run, T* sums, const T* x, const T* y) {
  const auto all = [&]<int V, int Q>() { all_weights<T, V, Q>(w, sums, x, y); };
  if (block == lanes<T>) with_run<1>(run, all);
  else with_run<2>(run, all);
}

template <class T> std::int64_t group(std::int64_t block, std::int64_t run) {
  const auto of = []<int V, int Q>() -> std::int64_t { return group_of<V, Q>(); };
  return block == lanes<T> ? with_run<1>(run, of) : with_run<2>(run, of);
}

/// The windows of R rows, from a column on of which `count` are wanted.
template <class T, int R>
void tile_along(const Windows& w, const Places& to, std::int64_t count, T* y, const T* x, const T* weight, T start) {
  Vector<T> sum[R];
  for (int r = 0; r < R; ++r) sum[r] = Vector<T>{} + start;
  for (std::int64_t t = 0; t < w.count; ++t) {
    const T* const at = x + w.taps[t];
    for (int r = 0; r < R; ++r) sum[r] += weight[t] * load(at + r * w.x_row);
  }
  for (int r = 0; r < R; ++r, y += to.row)
    if (to.column != 1)
      for (int i = 0; i < lanes<T> && i < count; ++i) y[i * to.column] = sum[r][i];
    else if (count >= lanes<T>) store<T>(y, sum[r]);
    else store_some<T>(y, sum[r], count);
}

template <class T> void windows_along(const Windows& w, const Places& to, T* y, const T* x, const T* weight, T start) {
  constexpr int rows = 6;  // so many sums at a time hide how long each takes
  for (std::int64_t c = 0; c < w.columns; c += lanes<T>) {
    const std::int64_t count = w.columns - c;
    const T* from = x + c;
    T* at = y + c * to.column;
    std::int64_t row = 0;
    for (; row + rows <= w.rows; row += rows, from += rows * w.x_row, at += rows * to.row)
      tile_along<T, rows>(w, to, count, at, from, weight, start);
    for (; row < w.rows; ++row, from += w.x_row, at += to.row) tile_along<T, 1>(w, to, count, at, from, weight, start);
  }
}

template <class T> constexpr T counting[] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};

/// The first n numbers of v, and zeros behind them.
template <class T> Vector<T> first_of(Vector<T> v, std::int64_t n) {
  return load(counting<T>) < Vector<T>{} + static_cast<T>(n) ? v : Vector<T>{};
}

/// P taps.
template <class T, int P> void weight_tile_along(const Windows& w, const Places& from, const std::int64_t* taps,
                                                 T* sums, const T* x, const T* y) {
  constexpr int L = lanes<T>;
  Vector<T> sum[P] = {};
  for (std::int64_t row = 0; row < w.rows; ++row, x += w.x_row, y += from.row) {
    std::int64_t c = 0;
    for (; c + L <= w.columns; c += L)
      for (int p = 0; p < P; ++p) sum[p] += load(y + c) * load(x + taps[p] + c);
    const std::int64_t left = w.columns - c;
    if (left == 0) continue;
    const Vector<T> some = load_some(y + c, left);
    for (int p = 0; p < P; ++p) sum[p] += some * first_of<T>(load(x + taps[p] + c), left);  // 0 · ∞ is no zero
  }
  for (int p = 0; p < P; ++p)
    for (int i = 0; i < L; ++i) sums[p] += sum[p][i];
}

template <class T> void weights_along(const Windows& w, const Places& from, T* sums, const T* x, const T* y) {
  constexpr int most = 9;
  std::int64_t p = 0;
  for (; p + most <= w.count; p += most) weight_tile_along<T, most>(w, from, w.taps + p, sums + p, x, y);
  for (; p < w.count; ++p) weight_tile_along<T, 1>(w, from, w.taps + p, sums + p, x, y);
}

template <class T>
void turn(const Windows& w, const Places& from, std::int64_t block, std::int64_t channels, T* to, const T* y) {
  constexpr int L = lanes<T>;
  const bool one_row = from.row == w.columns;
  const std::int64_t rows = one_row ? 1 : w.rows, columns = one_row ? w.rows * w.columns : w.columns;
  for (std::int64_t row = 0; row < rows; ++row, y += from.row, to += columns * block)
    for (std::int64_t v = 0; v < block; v += L)
      for (std::int64_t c = 0; c < columns; c += L) {
        const std::int64_t left = columns - c;
        const bool whole = left >= L || (rows - 1 - row) * from.row + left >= L;  // so much of the plane follows
        Vector<T> square[L];
#pragma GCC unroll 16
        for (int i = 0; i < L; ++i) {
          const T* const channel = y + (v + i) * from.channel + c;
          square[i] = v + i >= channels ? Vector<T>{} : whole ? load(channel) : load_some(channel, left);
        }
        transpose<T>(square);
        for (int i = 0; i < L && i < left; ++i) store<T>(to + (c + i) * block + v, square[i]);
      }
}

template <class T> void add_up(std::int64_t windows, std::int64_t block, T* sums, const T* y) {
  constexpr int L = lanes<T>, at_once = 4;
  for (std::int64_t v = 0; v < block; v += L) {
    Vector<T> sum[at_once] = {};
    std::int64_t i = 0;
    for (; i + at_once <= windows; i += at_once)
      for (int k = 0; k < at_once; ++k) sum[k] += load(y + (i + k) * block + v);
    for (; i < windows; ++i) sum[0] += load(y + i * block + v);
    store<T>(sums + v, load(sums + v) + ((sum[0] + sum[1]) + (sum[2] + sum[3])));
  }
}

/// Zeros for n numbers and some more.
template <class T> void clear(T* to, std::int64_t n) {
  for (std::int64_t i = 0; i < n; i += lanes<T>) store<T>(to + i, Vector<T>{});
}

template <class T> void lay_out(const Rows& rows, T* to, const T* x) {
  constexpr int L = lanes<T>;
  const std::int64_t right = rows.pitch - rows.left - rows.numbers;
  for (std::int64_t row = 0; row < rows.count; ++row, to += rows.pitch, x += rows.x_pitch) {
    if (!rows.margins) clear(to, rows.left);
    T* const middle = to + rows.left;
    std::int64_t i = 0;
    const std::int64_t follow = (rows.count - 1 - row) * rows.x_pitch + rows.numbers;
    for (; i < rows.numbers && i + L <= follow; i += L) store<T>(middle + i, load(x + i));
    for (; i < rows.numbers; ++i) middle[i] = x[i];
    clear(middle + rows.numbers, right);
  }
}

}  // namespace

extern const ConvLoops<float> EBB_NAME(conv_f32);
extern const ConvLoops<double> EBB_NAME(conv_f64);
const ConvLoops<float> EBB_NAME(conv_f32){lanes<float>, lay_out,      turn,          add_up,       windows,
                                          weights,      group<float>, windows_along, weights_along};
const ConvLoops<double> EBB_NAME(conv_f64){lanes<double>, lay_out,       turn,          add_up,       windows,
                                           weights,       group<double>, windows_along, weights_along};

}  // namespace ebb::kernels::wide
