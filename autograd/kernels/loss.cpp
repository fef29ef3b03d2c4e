#include "loss.h"

#include "reduce.h"

#include <algorithm>
#include <cmath>

namespace ebb::kernels {

template <class T> double bce_with_logits(const T* z, const T* y, std::int64_t n) {
  double sum = 0;
  for (std::int64_t i = 0; i < n; ++i) {
    // max(z, 0) - z·y, where a share of 0 stays 0 even of an infinite z.
    const T share = z[i] < 0 ? y[i] : T(1) - y[i];
    sum += static_cast<double>((share == 0 ? T(0) : std::abs(z[i]) * share) + std::log1p(std::exp(-std::abs(z[i]))));
  }
  return sum;
}

template <class T> void bce_with_logits_gradient(T* dz, const T* z, const T* y, std::int64_t n, T g) {
  for (std::int64_t i = 0; i < n; ++i) {
    const T e = std::exp(-std::abs(z[i]));  // never overflows
    dz[i] = g * ((z[i] < 0 ? e : T(1)) / (T(1) + e) - y[i]);
  }
}

template <class T>
double cross_entropy(const T* z, const std::int64_t* label, std::int64_t rows, std::int64_t classes) {
  double sum = 0;
  for (std::int64_t r = 0; r < rows; ++r, z += classes) {
    const T m = *std::max_element(z, z + classes);
    T total = 0;
    for (std::int64_t k = 0; k < classes; ++k) total += std::exp(z[k] - m);
    sum += static_cast<double>(std::log(total) - (z[label[r]] - m));
  }
  return sum;
}

template <class T> void cross_entropy_gradient(T* dz, const T* z, const std::int64_t* label, std::int64_t rows,
                                               std::int64_t classes, T g) {
  softmax(dz, z, Block{rows, classes, 1});
  for (std::int64_t r = 0; r < rows; ++r, dz += classes) {
    dz[label[r]] -= T(1);
    for (std::int64_t k = 0; k < classes; ++k) dz[k] *= g;
  }
}

template double bce_with_logits(const float*, const float*, std::int64_t);
template double bce_with_logits(const double*, const double*, std::int64_t);
template void bce_with_logits_gradient(float*, const float*, const float*, std::int64_t, float);
template void bce_with_logits_gradient(double*, const double*, const double*, std::int64_t, double);
template double cross_entropy(const float*, const std::int64_t*, std::int64_t, std::int64_t);
template double cross_entropy(const double*, const std::int64_t*, std::int64_t, std::int64_t);
template void cross_entropy_gradient(float*, const float*, const std::int64_t*, std::int64_t, std::int64_t, float);
template void cross_entropy_gradient(double*, const double*, const std::int64_t*, std::int64_t, std::int64_t, double);

}  // namespace ebb::kernels
