#include "blas.h"

#include <cblas.h>

#include <limits>
#include <stdexcept>

extern "C" void openblas_set_num_threads(int) __attribute__((weak));

namespace ebb::kernels {

namespace {

// OpenBLAS's own threads spin between products; at the sizes of small models they cost more than they bring.
[[maybe_unused]] const bool one_thread = [] {
  if (openblas_set_num_threads != nullptr) openblas_set_num_threads(1);
  return true;
}();

// At so few products a call to BLAS takes several times as long as they do.
constexpr std::int64_t few = 16;

template <class T>
void plain(bool ta, bool tb, std::int64_t m, std::int64_t n, std::int64_t k, const T* a, const T* b, T beta, T* c) {
  for (std::int64_t i = 0; i < m; ++i)
    for (std::int64_t j = 0; j < n; ++j) {
      T sum = beta == 0 ? T(0) : beta * c[i * n + j];
      for (std::int64_t p = 0; p < k; ++p) sum += a[ta ? p * m + i : i * k + p] * b[tb ? j * k + p : p * n + j];
      c[i * n + j] = sum;
    }
}

template <class T, class Product> void call(bool ta, bool tb, std::int64_t m, std::int64_t n, std::int64_t k,
                                            const T* a, const T* b, T beta, T* c, Product product) {
  if (m == 0 || n == 0) return;
  if (m <= few && n <= few && k <= few && m * n * k <= few) return plain(ta, tb, m, n, k, a, b, beta, c);
  if (k == 0) return plain(ta, tb, m, n, k, a, b, beta, c);
  constexpr std::int64_t most = std::numeric_limits<int>::max();
  if (m > most || n > most || k > most) throw std::length_error("a matrix axis longer than BLAS can count");
  product(ta ? CblasTrans : CblasNoTrans, tb ? CblasTrans : CblasNoTrans, static_cast<int>(m), static_cast<int>(n),
          static_cast<int>(k), static_cast<int>(ta ? m : k), static_cast<int>(tb ? k : n));
}

}  // namespace

void gemm(bool ta, bool tb, std::int64_t m, std::int64_t n, std::int64_t k, const float* a, const float* b, float beta,
          float* c) {
  call(ta, tb, m, n, k, a, b, beta, c, [&](auto opa, auto opb, int mm, int nn, int kk, int lda, int ldb) {
    cblas_sgemm(CblasRowMajor, opa, opb, mm, nn, kk, 1, a, lda, b, ldb, beta, c, nn);
  });
}

void gemm(bool ta, bool tb, std::int64_t m, std::int64_t n, std::int64_t k, const double* a, const double* b,
          double beta, double* c) {
  call(ta, tb, m, n, k, a, b, beta, c, [&](auto opa, auto opb, int mm, int nn, int kk, int lda, int ldb) {
    cblas_dgemm(CblasRowMajor, opa, opb, mm, nn, kk, 1, a, lda, b, ldb, beta, c, nn);
  });
}

}  // namespace ebb::kernels
