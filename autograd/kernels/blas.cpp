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

template <class T, class Product>
void call(bool ta, bool tb, std::int64_t m, std::int64_t n, std::int64_t k, T beta, T* c, Product product) {
  if (m == 0 || n == 0) return;
  if (k == 0) {
    for (std::int64_t i = 0; i < m * n; ++i) c[i] = beta == 0 ? 0 : beta * c[i];
    return;
  }
  constexpr std::int64_t most = std::numeric_limits<int>::max();
  if (m > most || n > most || k > most) throw std::length_error("a matrix axis longer than BLAS can count");
  product(ta ? CblasTrans : CblasNoTrans, tb ? CblasTrans : CblasNoTrans, static_cast<int>(m), static_cast<int>(n),
          static_cast<int>(k), static_cast<int>(ta ? m : k), static_cast<int>(tb ? k : n));
}

}  // namespace

void gemm(bool ta, bool tb, std::int64_t m, std::int64_t n, std::int64_t k, const float* a, const float* b, float beta,
          float* c) {
  call(ta, tb, m, n, k, beta, c, [&](auto opa, auto opb, int mm, int nn, int kk, int lda, int ldb) {
    cblas_sgemm(CblasRowMajor, opa, opb, mm, nn, kk, 1, a, lda, b, ldb, beta, c, nn);
  });
}

void gemm(bool ta, bool tb, std::int64_t m, std::int64_t n, std::int64_t k, const double* a, const double* b, double beta,
          double* c) {
  call(ta, tb, m, n, k, beta, c, [&](auto opa, auto opb, int mm, int nn, int kk, int lda, int ldb) {
    cblas_dgemm(CblasRowMajor, opa, opb, mm, nn, kk, 1, a, lda, b, ldb, beta, c, nn);
  });
}

}  // namespace ebb::kernels
