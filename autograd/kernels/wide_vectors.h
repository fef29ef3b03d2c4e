// Vectors as wide as the instruction set that a file is built for.  For the files built once for each set: what they call of
// headers' inline functions the linker might keep for machines that lack the set; so they call none, and all here is theirs
// alone.
#pragma once

#include <cstddef>
#include <cstdint>
#include <utility>

namespace ebb::kernels::wide {

namespace {

#if defined(__AVX512F__)
constexpr int bytes = 64, registers = 32;
#elif defined(__AVX__)
constexpr int bytes = 32, registers = 16;
#else
constexpr int bytes = 16, registers = 16;
#endif

template <class T> struct Vectors;
template <> struct Vectors<float> {
  using Aligned [[gnu::vector_size(bytes)]] = float;
  using Anywhere [[gnu::vector_size(bytes), gnu::aligned(alignof(float)), gnu::may_alias]] = float;
};
template <> struct Vectors<double> {
  using Aligned [[gnu::vector_size(bytes)]] = double;
  using Anywhere [[gnu::vector_size(bytes), gnu::aligned(alignof(double)), gnu::may_alias]] = double;
};
template <class T> using Vector = typename Vectors<T>::Aligned;
template <class T> using Anywhere = typename Vectors<T>::Anywhere;
template <class T> constexpr int lanes = bytes / static_cast<int>(sizeof(T));

template <class T> Vector<T> load(const T* from) { return *reinterpret_cast<const Anywhere<T>*>(from); }
template <class T> void store(T* to, Vector<T> v) { *reinterpret_cast<Anywhere<T>*>(to) = v; }

/// The first n < lanes numbers, in pieces of 8, 4, 2 and 1; behind them there are zeros.
template <class T> Vector<T> load_some(const T* from, std::int64_t n) {
  Vector<T> v{};
  T* to = reinterpret_cast<T*>(&v);
#pragma GCC unroll 4
  for (int piece = lanes<T> / 2; piece > 0; piece /= 2)
    if ((n & piece) != 0) {
      __builtin_memcpy(to, from, static_cast<std::size_t>(piece) * sizeof(T));
      to += piece, from += piece;
    }
  return v;
}
template <class T> void store_some(T* to, Vector<T> v, std::int64_t n) {
  const T* from = reinterpret_cast<const T*>(&v);
#pragma GCC unroll 4
  for (int piece = lanes<T> / 2; piece > 0; piece /= 2)
    if ((n & piece) != 0) {
      __builtin_memcpy(to, from, static_cast<std::size_t>(piece) * sizeof(T));
      to += piece, from += piece;
    }
}

template <class T, std::size_t... i>
void zip(Vector<T> a, Vector<T> b, Vector<T>& low, Vector<T>& high, std::index_sequence<i...>) {
  constexpr std::size_t n = sizeof...(i);
  low = __builtin_shufflevector(a, b, (i % 2 * n + i / 2)...);
  high = __builtin_shufflevector(a, b, (i % 2 * n + n / 2 + i / 2)...);
}

/// Vectors as a square whose rows become columns: rows i and i + half are shuffled like cards until all are.
template <class T> [[gnu::always_inline]] inline void transpose(Vector<T> (&m)[lanes<T>]) {
  constexpr int n = lanes<T>;
#pragma GCC unroll 4
  for (int stage = 1; stage < n; stage *= 2) {
    Vector<T> next[n];
#pragma GCC unroll 16
    for (int i = 0; i < n / 2; ++i)
      zip<T>(m[i], m[i + n / 2], next[2 * i], next[2 * i + 1], std::make_index_sequence<n>());
#pragma GCC unroll 16
    for (int i = 0; i < n; ++i) m[i] = next[i];
  }
}

}  // namespace

}  // namespace ebb::kernels::wide
