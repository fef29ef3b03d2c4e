#include "optimizer.h"

#include <cmath>

#if defined(__x86_64__) && defined(__GNUC__)
#define EBB_WIDE
#endif

namespace ebb::kernels {

namespace {

template <class T> [[gnu::always_inline]] inline void loop(const Turn<T>& turn, const SGDStep& step) {
  const T lr = static_cast<T>(step.lr), momentum = static_cast<T>(step.momentum), l2 = static_cast<T>(step.l2);
  T* const __restrict p = turn.p;
  const T* const __restrict g = turn.g;
  T* const __restrict m = turn.m;
  const std::int64_t n = turn.n;
  if (m == nullptr) {
    for (std::int64_t i = 0; i < n; ++i) p[i] -= lr * (g[i] + l2 * p[i]);
  } else if (step.nesterov) {
    for (std::int64_t i = 0; i < n; ++i) {
      const T gradient = g[i] + l2 * p[i];
      m[i] = momentum * m[i] + gradient;
      p[i] -= lr * (gradient + momentum * m[i]);
    }
  } else {
    for (std::int64_t i = 0; i < n; ++i) {
      m[i] = momentum * m[i] + (g[i] + l2 * p[i]);
      p[i] -= lr * m[i];
    }
  }
}

template <class T> [[gnu::always_inline]] inline void loop(const Turn<T>& turn, const AdamStep& step) {
  const T beta1 = static_cast<T>(step.beta1), new1 = static_cast<T>(1 - step.beta1);
  const T beta2 = static_cast<T>(step.beta2), new2 = static_cast<T>(1 - step.beta2);
  const T rate = static_cast<T>(step.rate), scale = static_cast<T>(step.scale), epsilon = static_cast<T>(step.epsilon);
  const T l2 = static_cast<T>(step.l2), keep = static_cast<T>(step.keep);
  T* const __restrict p = turn.p;
  const T* const __restrict g = turn.g;
  T* const __restrict m = turn.m;
  T* const __restrict v = turn.v;
  const std::int64_t n = turn.n;
  for (std::int64_t i = 0; i < n; ++i) {
    const T gradient = g[i] + l2 * p[i];
    m[i] = beta1 * m[i] + new1 * gradient;
    v[i] = beta2 * v[i] + new2 * (gradient * gradient);
    p[i] = keep * p[i] - rate * m[i] / (std::sqrt(v[i]) * scale + epsilon);
  }
}

// Each loop is compiled twice: roots and quotients take half the time where there is AVX2.  Every number comes out the
// same, as nothing is fused and no number depends on its neighbour.
#ifdef EBB_WIDE
const bool has_avx2 = __builtin_cpu_supports("avx2");

template <class T, class Step> [[gnu::target("avx2")]] void wide_loop(const Turn<T>& turn, const Step& step) {
  loop(turn, step);
}
#endif

template <class T, class Step> void run(const Turn<T>& turn, const Step& step) {
#ifdef EBB_WIDE
  if (has_avx2) return wide_loop(turn, step);
#endif
  loop(turn, step);
}

}  // namespace

template <class T> void sgd(const Turn<T>& turn, const SGDStep& step) { run(turn, step); }
template <class T> void adam(const Turn<T>& turn, const AdamStep& step) { run(turn, step); }

template void sgd(const Turn<float>&, const SGDStep&);
template void sgd(const Turn<double>&, const SGDStep&);
template void adam(const Turn<float>&, const AdamStep&);
template void adam(const Turn<double>&, const AdamStep&);

}  // namespace ebb::kernels
