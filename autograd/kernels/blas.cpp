#include "blas.h"

#include "gemm.h"
#include "simd.h"
#include "threads.h"

#include <cblas.h>

#include <algorithm>
#include <iterator>
#include <limits>
#include <stdexcept>

extern "C" void openblas_set_num_threads(int) __attribute__((weak));

namespace ebb::kernels {

namespace {

// OpenBLAS's own threads spin between products, beside those of threads.h; at the sizes of small models they cost more
// than they bring.
[[maybe_unused]] const bool one_thread = [] {
  if (openblas_set_num_threads != nullptr) openblas_set_num_threads(1);
  return true;
}();

template <class P> using Run = void (*)(const P&);

/// The product in the vectors in use; nullptr where these have no fused multiply-add, and BLAS does all.
template <class P> Run<P> in_vectors() {
#ifdef EBB_WIDE
  if (isa() == Isa::avx512) return product_avx512;
  if (isa() == Isa::avx2) return product_avx2;
#endif
  return nullptr;
}

/// Whether vectors of our own are at least as fast as BLAS, and how.  Measured against OpenBLAS on Zen 4: a few rows or
/// columns leave most of a tile empty.
template <class T> bool ours(Product<T>& y) {
  if (in_vectors<Product<T>>() == nullptr) return false;
  y.way = Way::straight;
  if (y.k == 1 && (!y.tb || y.ldb == 1)) return y.way = Way::outer, y.n > 1;
  const bool along = (!y.ta || y.lda == 1) && (y.tb || y.ldb == 1), column = y.n == 1 && y.ldc == 1 && y.ldd <= 1;
  if (along && (column || (y.m == 1 && y.n > 1))) return y.way = Way::dots, true;
  if (y.m == 1 && !y.tb) return y.way = Way::row, true;
  if (y.m < 8 || y.n < 8) return false;
  const bool few_columns = y.ta && y.n <= 12 && y.m > y.n;
  if (few_columns || (y.tb && y.n * y.k > 4 * y.m * (y.n + y.k))) y.way = Way::turned;
  else if (y.n < 16 && y.tb && y.m > 16) return false;
  return true;
}

/// Cuts the rows or columns of a result into as many parts as there are threads, if each is worth waking one for, and
/// calls f(by_rows, first, count) for each.  Which part a number stands in does not change how it is computed.
template <class F> void in_parts(std::int64_t m, std::int64_t n, std::int64_t k, const F& f) {
  constexpr double worth = 1 << 21;
  const double work = static_cast<double>(m) * static_cast<double>(n) * static_cast<double>(k);
  const std::int64_t parts =
      work < 2 * worth ? 1 : std::min(num_threads(), static_cast<int>(std::min(1e6, work / worth)));
  const bool by_rows = m > n;
  const std::int64_t side = by_rows ? m : n, step = parts < 2 ? side : (side / parts + 31) / 32 * 32;
  const auto part = [&](std::int64_t i) { f(by_rows, i * step, std::min(step, side - i * step)); };
  if (parts < 2) part(0);
  else parallel((side + step - 1) / step, part);
}

/// Moves what is cut out of c and d.
template <class P> void cut_result(P& of, bool by_rows, std::int64_t first, std::int64_t count) {
  (by_rows ? of.m : of.n) = count;
  of.c += by_rows ? first * of.ldc : first;
  if (of.d != nullptr) of.d += by_rows ? first * of.ldd : first;
}

template <class T> void in_parts(const Product<T>& y) {
  if (y.m < 64 && y.n * y.k < 1 << 13) return in_vectors<Product<T>>()(y);  // to copy it may take as long as to run it
  in_parts(y.m, y.n, y.k, [&](bool by_rows, std::int64_t first, std::int64_t count) {
    Product<T> of = y;
    cut_result(of, by_rows, first, count);
    if (by_rows) of.a += first * (y.ta ? 1 : y.lda);
    else of.b += first * (y.tb ? y.ldb : 1);
    in_vectors<Product<T>>()(of);
  });
}

// At so few products a call to BLAS takes several times as long as they do.
constexpr std::int64_t few = 16;

template <class T> void plain(const Product<T>& y) {
  for (std::int64_t i = 0; i < y.m; ++i)
    for (std::int64_t j = 0; j < y.n; ++j) {
      T sum = y.d == nullptr ? T(0) : y.d[i * y.ldd + j];
      for (std::int64_t p = 0; p < y.k; ++p)
        sum += y.a[y.ta ? p * y.lda + i : i * y.lda + p] * y.b[y.tb ? j * y.ldb + p : p * y.ldb + j];
      y.c[i * y.ldc + j] = sum;
    }
}

void cblas(const Product<float>& y, CBLAS_TRANSPOSE ta, CBLAS_TRANSPOSE tb, float beta) {
  cblas_sgemm(CblasRowMajor, ta, tb, static_cast<int>(y.m), static_cast<int>(y.n), static_cast<int>(y.k), 1, y.a,
              static_cast<int>(y.lda), y.b, static_cast<int>(y.ldb), beta, y.c, static_cast<int>(y.ldc));
}
void cblas(const Product<double>& y, CBLAS_TRANSPOSE ta, CBLAS_TRANSPOSE tb, double beta) {
  cblas_dgemm(CblasRowMajor, ta, tb, static_cast<int>(y.m), static_cast<int>(y.n), static_cast<int>(y.k), 1, y.a,
              static_cast<int>(y.lda), y.b, static_cast<int>(y.ldb), beta, y.c, static_cast<int>(y.ldc));
}

template <class T> void by_blas(const Product<T>& y) {
  constexpr std::int64_t most = std::numeric_limits<int>::max();
  if (y.m > most || y.n > most || y.k > most) throw std::length_error("a matrix axis longer than BLAS can count");
  if (y.d != nullptr && y.d != y.c)
    for (std::int64_t i = 0; i < y.m; ++i) std::copy_n(y.d + i * y.ldd, y.n, y.c + i * y.ldc);
  cblas(y, y.ta ? CblasTrans : CblasNoTrans, y.tb ? CblasTrans : CblasNoTrans, y.d == nullptr ? T(0) : T(1));
}

template <class T> void product(Product<T>&& y) {
  if (y.m == 0 || y.n == 0) return;
  const bool tiny = y.m <= few && y.n <= few && y.k <= few && y.m * y.n * y.k <= few;
  if (tiny || y.k == 0) plain(y);
  else if (ours(y)) in_parts(y);
  else by_blas(y);
}

template <class T> void sum_of_pairs(Pairs<T> y) {
  if (y.m == 0 || y.n == 0) return;
  if (in_vectors<Pairs<T>>() != nullptr && y.k > 0) {
    in_parts(y.m, y.n, y.k * y.count, [&](bool by_rows, std::int64_t first, std::int64_t count) {
      Pairs<T> of = y;
      cut_result(of, by_rows, first, count);
      (by_rows ? of.first_a : of.first_b) = first;
      in_vectors<Pairs<T>>()(of);
    });
    return;
  }
  for (std::int64_t s = 0; s < y.count; ++s) {
    product<T>({Way::straight, true, false, y.m, y.n, y.k, y.a[s], y.m, y.b[s], y.n, y.d, y.ldd, y.c, y.ldc});
    y.d = y.c;
    y.ldd = y.ldc;
  }
}

}  // namespace

void gemm(bool ta, bool tb, std::int64_t m, std::int64_t n, std::int64_t k, const float* a, const float* b, float beta,
          float* c) {
  product<float>({Way::straight, ta, tb, m, n, k, a, ta ? m : k, b, tb ? k : n, beta == 0 ? nullptr : c, n, c, n});
}
void gemm(bool ta, bool tb, std::int64_t m, std::int64_t n, std::int64_t k, const double* a, const double* b,
          double beta, double* c) {
  product<double>({Way::straight, ta, tb, m, n, k, a, ta ? m : k, b, tb ? k : n, beta == 0 ? nullptr : c, n, c, n});
}

void gemm_onto(std::int64_t m, std::int64_t n, std::int64_t k, const float* a, const float* b, const float* d,
               std::int64_t ldd, float* c) {
  product<float>({Way::straight, false, true, m, n, k, a, k, b, k, d, ldd, c, n});
}
void gemm_onto(std::int64_t m, std::int64_t n, std::int64_t k, const double* a, const double* b, const double* d,
               std::int64_t ldd, double* c) {
  product<double>({Way::straight, false, true, m, n, k, a, k, b, k, d, ldd, c, n});
}

void gemm_pairs(std::int64_t m, std::int64_t n, std::int64_t k, const std::vector<const float*>& a,
                const std::vector<const float*>& b, float* c, bool adds) {
  sum_of_pairs<float>({m, n, k, std::ssize(a), a.data(), b.data(), m, n, 0, 0, adds ? c : nullptr, n, c, n});
}
void gemm_pairs(std::int64_t m, std::int64_t n, std::int64_t k, const std::vector<const double*>& a,
                const std::vector<const double*>& b, double* c, bool adds) {
  sum_of_pairs<double>({m, n, k, std::ssize(a), a.data(), b.data(), m, n, 0, 0, adds ? c : nullptr, n, c, n});
}

}  // namespace ebb::kernels
