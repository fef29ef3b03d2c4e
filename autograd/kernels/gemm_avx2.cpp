// Matrix products in vectors of 256 bits.
#include "product.h"

#include <immintrin.h>

namespace ebb::kernels {

namespace {

struct Floats {
  using Number = float;
  using Vector = __m256;
  using Mask = __m256i;
  static constexpr int width = 8, rows = 6;
  static Mask first(int n) {
    return _mm256_cmpgt_epi32(_mm256_set1_epi32(n), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
  }
  static Vector all(float x) { return _mm256_set1_ps(x); }
  static Vector load(const float* p) { return _mm256_loadu_ps(p); }
  static Vector load(const float* p, Mask m) { return _mm256_maskload_ps(p, m); }
  static void store(float* p, Vector x) { _mm256_storeu_ps(p, x); }
  static void store(float* p, Vector x, Mask m) { _mm256_maskstore_ps(p, m, x); }
  static Vector fma(Vector a, Vector b, Vector c) { return _mm256_fmadd_ps(a, b, c); }
};

struct Doubles {
  using Number = double;
  using Vector = __m256d;
  using Mask = __m256i;
  static constexpr int width = 4, rows = 6;
  static Mask first(int n) { return _mm256_cmpgt_epi64(_mm256_set1_epi64x(n), _mm256_setr_epi64x(0, 1, 2, 3)); }
  static Vector all(double x) { return _mm256_set1_pd(x); }
  static Vector load(const double* p) { return _mm256_loadu_pd(p); }
  static Vector load(const double* p, Mask m) { return _mm256_maskload_pd(p, m); }
  static void store(double* p, Vector x) { _mm256_storeu_pd(p, x); }
  static void store(double* p, Vector x, Mask m) { _mm256_maskstore_pd(p, m, x); }
  static Vector fma(Vector a, Vector b, Vector c) { return _mm256_fmadd_pd(a, b, c); }
};

}  // namespace

void product_avx2(const Product<float>& y) { Blocks<Floats>::product(y); }
void product_avx2(const Product<double>& y) { Blocks<Doubles>::product(y); }
void product_avx2(const Pairs<float>& y) { Blocks<Floats>::sum(y); }
void product_avx2(const Pairs<double>& y) { Blocks<Doubles>::sum(y); }

}  // namespace ebb::kernels
