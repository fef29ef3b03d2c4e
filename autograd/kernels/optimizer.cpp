#include "optimizer.h"

#include <cmath>

#if defined(__x86_64__) && defined(__GNUC__)
#define EBB_WIDE
#endif

namespace ebb::kernels {

namespace {

// Each loop is compiled twice: roots and quotients take half the time where there is AVX2.  Every number comes out the
// same, as nothing is fused and no number depends on its neighbour.
#ifdef EBB_WIDE
const bool has_avx2 = __builtin_cpu_supports("avx2");

template <class T, class Change> [[gnu::target("avx2")]] void wide_descend(const Turn<T>& turn, const Change& change) {
  descend(turn, change);
}
#endif

template <class T, class Change> void run(const Turn<T>& turn, const Change& change) {
#ifdef EBB_WIDE
  if (has_avx2) return wide_descend(turn, change);
#endif
  descend(turn, change);
}

}  // namespace

template <class T> void sgd(const Turn<T>& turn, const SGDStep& step) {
  const T lr = static_cast<T>(turn.lr), momentum = static_cast<T>(step.momentum);
  if (turn.kept[0] == nullptr) return run(turn, [=](T g) { return lr * g; });
  if (step.nesterov)
    return run(turn, [=](T g, T& m) {
      m = momentum * m + g;
      return lr * (g + momentum * m);
    });
  run(turn, [=](T g, T& m) {
    m = momentum * m + g;
    return lr * m;
  });
}

template <class T> void adam(const Turn<T>& turn, const AdamStep& step) {
  const T beta1 = static_cast<T>(step.beta1), new1 = static_cast<T>(1 - step.beta1);
  const T beta2 = static_cast<T>(step.beta2), new2 = static_cast<T>(1 - step.beta2);
  const T rate = static_cast<T>(turn.lr / step.correction), scale = static_cast<T>(step.scale);
  const T epsilon = static_cast<T>(step.epsilon);
  if (turn.kept[2] == nullptr)
    return run(turn, [=](T g, T& m, T& v) {
      m = beta1 * m + new1 * g;
      v = beta2 * v + new2 * (g * g);
      return rate * m / (std::sqrt(v) * scale + epsilon);
    });
  run(turn, [=](T g, T& m, T& v, T& largest) {
    m = beta1 * m + new1 * g;
    v = beta2 * v + new2 * (g * g);
    largest = largest < v ? v : largest;
    return rate * m / (std::sqrt(largest) * scale + epsilon);
  });
}

template void sgd(const Turn<float>&, const SGDStep&);
template void sgd(const Turn<double>&, const SGDStep&);
template void adam(const Turn<float>&, const AdamStep&);
template void adam(const Turn<double>&, const AdamStep&);

}  // namespace ebb::kernels
