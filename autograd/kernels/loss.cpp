#include "loss.h"

#include "sums.h"

#include <cmath>

namespace ebb::kernels {

template <class T> double bce_with_logits(const T* z, const T* y, std::int64_t n) {
  const auto one = [](T logit, T target) {
    // max(z, 0) - z·y, where a share of 0 stays 0 even of an infinite z.
    const T size = std::abs(logit), share = math::select(logit < T(0), target, T(1) - target);
    return math::select(share == T(0), T(0), size * share) + math::log1p(math::exp(-size));
  };
  return on_vectors([](auto... a) { return sum_mapped<double>(a...); }, n, one, z, y);
}

template <class T> void bce_with_logits_gradient(T* dz, const T* z, const T* y, std::int64_t n, T g) {
  map(
      dz, n, [g](T logit, T target) { return g * (math::sigmoid(logit) - target); }, z, y);
}

template <class T>
double cross_entropy(const T* z, const std::int64_t* label, std::int64_t rows, std::int64_t classes) {
  return on_vectors(
      [](const T* row, const std::int64_t* right, std::int64_t count, std::int64_t n) {
        double sum = 0;
        for (std::int64_t r = 0; r < count; ++r, row += n) {
          const T m = largest_of(row, n);
          const T total = sum_mapped<T>(
              n, [m](T v) { return math::exp(v - m); }, row);
          sum += static_cast<double>(math::log(total) - (row[right[r]] - m));
        }
        return sum;
      },
      z, label, rows, classes);
}

template <class T> void cross_entropy_gradient(T* dz, const T* z, const std::int64_t* label, std::int64_t rows,
                                               std::int64_t classes, T g) {
  on_vectors(
      [](T* to, const T* row, const std::int64_t* right, std::int64_t count, std::int64_t n, T weight) {
        for (std::int64_t r = 0; r < count; ++r, row += n, to += n) {
          const T m = largest_of(row, n);
          map_within(
              to, n, [m](T v) { return math::exp(v - m); }, row);
          const T total = sum_of<T>(n, [to](std::int64_t k) { return to[k]; });
          const T own = to[right[r]] / total - T(1);
          map_within(
              to, n, [total, weight](T e) { return e / total * weight; }, to);
          to[right[r]] = own * weight;
        }
      },
      dz, z, label, rows, classes, g);
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
