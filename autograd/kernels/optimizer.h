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
/// It comes as a copy, so that the compiler knows that storing p does not change what it holds.
template <class T, class Change> [[gnu::always_inline]] inline void descend(const Turn<T>& turn, Change change) {
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

/// What Adamax does to every number.
struct AdamaxStep {
  double beta1, beta2, epsilon;
  double correction;  ///< 1 − beta1ᵗ
};
/// m ← beta1·m + (1 − beta1)·g, u ← max(beta2·u, |g| + epsilon), p ← p − lr/correction·m / u.
template <class T> void adamax(const Turn<T>& turn, const AdamaxStep& step);

/// What NAdam does to every number.
struct NAdamStep {
  double beta1, beta2, epsilon;
  double scale;          ///< 1 / √(1 − beta2ᵗ)
  double now, momentum;  ///< shares of g and of m in the step
};
/// m and v as Adam's, p ← p − lr·(now·g + momentum·m) / (√v·scale + epsilon).
template <class T> void nadam(const Turn<T>& turn, const NAdamStep& step);

/// What RAdam does to every number.
struct RAdamStep {
  double beta1, beta2, epsilon;
  double correction;  ///< 1 − beta1ᵗ
  double rectified;   ///< r·√(1 − beta2ᵗ); 0 while v is not to be trusted
};
/// m and v as Adam's, p ← p − lr/correction·m·(rectified / (√v + epsilon), or 1 if that is 0).
template <class T> void radam(const Turn<T>& turn, const RAdamStep& step);

/// What RMSprop does to every number.
struct RMSpropStep {
  double alpha, epsilon, momentum;
  bool centered;
};
/// v ← alpha·v + (1 − alpha)·g²; centered (where a mean a ← alpha·a + (1 − alpha)·g is kept behind it) v − a² stands for
/// v; p ← p − lr·g / (√v + epsilon), or with momentum (where b is kept last) b ← momentum·b + g / (...) and p ← p − lr·b.
template <class T> void rmsprop(const Turn<T>& turn, const RMSpropStep& step);

/// What Adagrad does to every number.
struct AdagradStep {
  double epsilon;
  double slowed;  ///< 1 + (t − 1)·lr_decay
};
/// s ← s + g², p ← p − lr/slowed·g / (√s + epsilon).
template <class T> void adagrad(const Turn<T>& turn, const AdagradStep& step);

/// What Adadelta does to every number.
struct AdadeltaStep {
  double rho, epsilon;
};
/// v ← rho·v + (1 − rho)·g², d = √((u + epsilon) / (v + epsilon))·g, u ← rho·u + (1 − rho)·d², p ← p − lr·d.
template <class T> void adadelta(const Turn<T>& turn, const AdadeltaStep& step);

/// What Lion does to every number.
struct LionStep {
  double beta1, beta2;
};
/// p ← p − lr·sign(beta1·m + (1 − beta1)·g), then m ← beta2·m + (1 − beta2)·g.
template <class T> void lion(const Turn<T>& turn, const LionStep& step);

/// Σ (scale·x)², in double.
template <class T> double sum_of_squares(const T* x, std::int64_t n, double scale);
/// The largest |x|; NaN if there is one, 0 if there are no numbers.
template <class T> double largest_magnitude(const T* x, std::int64_t n);
/// x ← factor·x.
template <class T> void scale(T* x, std::int64_t n, double factor);
/// x ← x within [−bound, bound]; NaN stays.
template <class T> void clip(T* x, std::int64_t n, double bound);
/// a ← a + share·(x − a).
template <class T> void approach(T* a, const T* x, std::int64_t n, double share);

}  // namespace ebb::kernels
