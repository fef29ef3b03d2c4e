// Matrix products in vectors of 512 bits.
#include "product.h"

#include <immintrin.h>

namespace ebb::kernels {

namespace {

struct Floats {
  using Number = float;
  using Vector = __m512;
  using Mask = __mmask16;
  static constexpr int width = 16, rows = 12;
  static Mask first(int n) { return static_cast<Mask>((1U << n) - 1); }
  static Vector all(float x) { return _mm512_set1_ps(x); }
  static Vector load(const float* p) { return _mm512_loadu_ps(p); }
  static Vector load(const float* p, Mask m) { return _mm512_maskz_loadu_ps(m, p); }
  static void store(float* p, Vector x) { _mm512_storeu_ps(p, x); }
  static void store(float* p, Vector x, Mask m) { _mm512_mask_storeu_ps(p, m, x); }
  static Vector fma(Vector a, Vector b, Vector c) { return _mm512_fmadd_ps(a, b, c); }
};

struct Doubles {
  using Number = double;
  using Vector = __m512d;
  using Mask = __mmask8;
  static constexpr int width = 8, rows = 12;
  static Mask first(int n) { return static_cast<Mask>((1U << n) - 1); }
  static Vector all(double x) { return _mm512_set1_pd(x); }
  static Vector load(const double* p) { return _mm512_loadu_pd(p); }
  static Vector load(const double* p, Mask m) { return _mm512_maskz_loadu_pd(m, p); }
  static void store(double* p, Vector x) { _mm512_storeu_pd(p, x); }
  static void store(double* p, Vector x, Mask m) { _mm512_mask_storeu_pd(p, m, x); }
  static Vector fma(Vector a, Vector b, Vector c) { return _mm512_fmadd_pd(a, b, c); }
};

}  // namespace

void product_avx512(const Product<float>& y) { Blocks<Floats>::product(y); }
void product_avx512(const Product<double>& y) { Blocks<Doubles>::product(y); }
void product_avx512(const Pairs<float>& y) { Blocks<Floats>::sum(y); }
void product_avx512(const Pairs<double>& y) { Blocks<Doubles>::sum(y); }

}  // namespace ebb::kernels
