// The update loops of the optimizers: one pass over a parameter and all that belongs to it.
#pragma once

#include <concepts>
#include <cstdint>

namespace ebb::kernels {

/// One parameter's turn in a step: its n numbers p, their gradient g, and what the optimizer keeps of each number.
template <class T> struct Turn {
  static constexpr int most_kept = 3;

  T* p;
  const T* g;
  T* kept[most_kept];  ///< in the order in which the optimizer named them; nullptr behind the last
  std::int64_t n;
  double lr;    ///< step size
  double l2;    ///< weight decay that joins the gradient
  double keep;  ///< what decoupled weight decay leaves of p: 1 − lr·weight_decay
};

/// p ← keep·p − change(g + l2·p, kept...) for each number: the one place that knows what weight decay does.
/// change takes the gradient, and references to as many kept numbers as it wants; it may be called in any order.
template <class T, class Change> [[gnu::always_inline]] inline void descend(const Turn<T>& turn, const Change& change) {
  T* const __restrict p = turn.p;
  const T* const __restrict g = turn.g;
  T* const __restrict a = turn.kept[0];
  T* const __restrict b = turn.kept[1];
  T* const __restrict c = turn.kept[2];
  const T l2 = static_cast<T>(turn.l2), keep = static_cast<T>(turn.keep);
  const std::int64_t n = turn.n;
  for (std::int64_t i = 0; i < n; ++i) {
    const T gradient = g[i] + l2 * p[i];
    if constexpr (std::invocable<Change, T>) p[i] = keep * p[i] - change(gradient);
    else if constexpr (std::invocable<Change, T, T&>) p[i] = keep * p[i] - change(gradient, a[i]);
    else if constexpr (std::invocable<Change, T, T&, T&>) p[i] = keep * p[i] - change(gradient, a[i], b[i]);
    else p[i] = keep * p[i] - change(gradient, a[i], b[i], c[i]);
  }
}

/// What SGD does to every number, g being the gradient with its weight decay.
struct SGDStep {
  double momentum;
  bool nesterov;
};
/// p ← p − lr·g; with momentum (where m is kept) m ← momentum·m + g takes the gradient's place.
template <class T> void sgd(const Turn<T>& turn, const SGDStep& step);

/// What Adam does to every number.
struct AdamStep {
  double beta1, beta2, epsilon;
  double correction;  ///< 1 − beta1ᵗ
  double scale;       ///< 1 / √(1 − beta2ᵗ)
};
/// m ← beta1·m + (1 − beta1)·g, v ← beta2·v + (1 − beta2)·g², p ← p − lr/correction·m / (√v·scale + epsilon).
/// Where a third thing is kept it is the largest v so far, and takes v's place in the last formula.
template <class T> void adam(const Turn<T>& turn, const AdamStep& step);

}  // namespace ebb::kernels
