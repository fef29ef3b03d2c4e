// Losses in one pass.
#pragma once

#include <cstdint>

namespace ebb::kernels {

/// Σ max(z, 0) - z·y + log(1 + e^-|z|).
template <class T> double bce_with_logits(const T* z, const T* y, std::int64_t n);
/// dz = g · (σ(z) - y).
template <class T> void bce_with_logits_gradient(T* dz, const T* z, const T* y, std::int64_t n, T g);
/// Σ over rows of log Σ eᶻ - z[label].
template <class T> double cross_entropy(const T* z, const std::int64_t* label, std::int64_t rows, std::int64_t classes);
/// dz = g · (softmax(z) - one_hot(label)).
template <class T>
void cross_entropy_gradient(T* dz, const T* z, const std::int64_t* label, std::int64_t rows, std::int64_t classes, T g);

}  // namespace ebb::kernels
