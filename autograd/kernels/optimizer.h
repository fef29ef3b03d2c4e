// The update loops of the optimizers: one pass over a parameter and all that belongs to it.
#pragma once

#include <cstdint>

namespace ebb::kernels {

/// One parameter's turn in a step: its n numbers p, their gradient g, and what the optimizer keeps of each number.
template <class T> struct Turn {
  T* p;
  const T* g;
  T* m;  ///< the first thing kept; nullptr if the optimizer keeps none
  T* v;  ///< the second
  std::int64_t n;
};

/// What SGD does to every number.
struct SGDStep {
  double lr, momentum, l2;
  bool nesterov;
};
/// p ← p − lr·(g + l2·p); with momentum (where m is kept) m ← momentum·m + g + l2·p takes that gradient's place.
template <class T> void sgd(const Turn<T>& turn, const SGDStep& step);

/// What Adam does to every number.
struct AdamStep {
  double beta1, beta2, epsilon;
  double rate;   ///< lr / (1 − beta1ᵗ)
  double scale;  ///< 1 / √(1 − beta2ᵗ)
  double l2;     ///< weight decay that joins the gradient
  double keep;   ///< what decoupled weight decay leaves of p: 1 − lr·weight_decay
};
/// m ← beta1·m + (1 − beta1)·g, v ← beta2·v + (1 − beta2)·g², p ← keep·p − rate·m / (√v·scale + epsilon).
template <class T> void adam(const Turn<T>& turn, const AdamStep& step);

}  // namespace ebb::kernels
