// Matrix products for one set of instructions each; blas.h has the one that chooses.
#pragma once

#include <cstdint>

namespace ebb::kernels {

enum class Way : std::uint8_t {
  straight,
  turned,  ///< as (op(b)ᵀ · op(a)ᵀ)ᵀ, which reads a long transposed b as it stands and makes few columns few rows
  outer,   ///< k is 1, and a transposed b has its numbers side by side: a column times a row
  dots,    ///< rows of op(a) and columns of op(b) lie side by side; if n is 1 so do the numbers of c, and ldd is 0 or 1
  row      ///< m is 1, b is not transposed
};

/// c [m, n] = op(a) · op(b) + d.  The rows of c are ldc numbers apart; a is [m, k] with rows lda apart, or [k, m] if ta;
/// b is [k, n], or [n, k] if tb.  d may be c itself; nullptr adds nothing, and with ldd 0 it is one row for all.  No side
/// is 0.
template <class T> struct Product {
  Way way;
  bool ta, tb;
  std::int64_t m, n, k;
  const T* a;
  std::int64_t lda;
  const T* b;
  std::int64_t ldb;
  const T* d;
  std::int64_t ldd;
  T* c;
  std::int64_t ldc;
};

/// c [m, n] = Σ aₛᵀ·bₛ + d, of at least one pair: aₛ are k rows, lda numbers apart, whose columns count from first_a on;
/// so bₛ.
template <class T> struct Pairs {
  std::int64_t m, n, k, count;
  const T* const* a;
  const T* const* b;
  std::int64_t lda, ldb, first_a, first_b;
  const T* d;
  std::int64_t ldd;
  T* c;
  std::int64_t ldc;
};

void product_avx2(const Product<float>& y);
void product_avx2(const Product<double>& y);
void product_avx2(const Pairs<float>& y);
void product_avx2(const Pairs<double>& y);
void product_avx512(const Product<float>& y);
void product_avx512(const Product<double>& y);
void product_avx512(const Pairs<float>& y);
void product_avx512(const Pairs<double>& y);

}  // namespace ebb::kernels
