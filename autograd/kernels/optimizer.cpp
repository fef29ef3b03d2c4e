#include "optimizer.h"

#include "parts.h"
#include "sums.h"
#include "threads.h"

#include <algorithm>
#include <cmath>

namespace ebb::kernels {

namespace {

/// In parts for the threads to share: what becomes of a number does not depend on where it stands.
template <class T, class Change> void run(const Turn<T>& turn, const Change& change) {
  constexpr double enough = 16384;
  constexpr std::int64_t line = 64 / static_cast<std::int64_t>(sizeof(T));  // no two parts write to one
  const auto all = [](const Turn<T>* one, const Change& by) { descend(*one, by); };
  const Parts parts((turn.n + line - 1) / line, static_cast<double>(turn.n), enough);
  if (parts.count == 1) return on_vectors(all, &turn, change);
  parallel(parts.count, [&](std::int64_t i) {
    const std::int64_t begin = parts.begin(i) * line;
    Turn<T> part = turn;
    part.p += begin;
    part.g += begin;
    for (T*& kept : part.kept)
      if (kept != nullptr) kept += begin;
    part.n = std::min(parts.size(i) * line, turn.n - begin);
    on_vectors(all, &part, change);
  });
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
    largest = std::max(largest, v);
    return rate * m / (std::sqrt(largest) * scale + epsilon);
  });
}

template <class T> void adamax(const Turn<T>& turn, const AdamaxStep& step) {
  const T beta1 = static_cast<T>(step.beta1), new1 = static_cast<T>(1 - step.beta1);
  const T beta2 = static_cast<T>(step.beta2), epsilon = static_cast<T>(step.epsilon);
  const T rate = static_cast<T>(turn.lr / step.correction);
  run(turn, [=](T g, T& m, T& u) {
    m = beta1 * m + new1 * g;
    u = std::max(beta2 * u, std::abs(g) + epsilon);
    return rate * m / u;
  });
}

template <class T> void nadam(const Turn<T>& turn, const NAdamStep& step) {
  const T beta1 = static_cast<T>(step.beta1), new1 = static_cast<T>(1 - step.beta1);
  const T beta2 = static_cast<T>(step.beta2), new2 = static_cast<T>(1 - step.beta2);
  const T epsilon = static_cast<T>(step.epsilon), scale = static_cast<T>(step.scale);
  const T now = static_cast<T>(turn.lr * step.now), momentum = static_cast<T>(turn.lr * step.momentum);
  run(turn, [=](T g, T& m, T& v) {
    m = beta1 * m + new1 * g;
    v = beta2 * v + new2 * (g * g);
    return (now * g + momentum * m) / (std::sqrt(v) * scale + epsilon);
  });
}

template <class T> void radam(const Turn<T>& turn, const RAdamStep& step) {
  const T beta1 = static_cast<T>(step.beta1), new1 = static_cast<T>(1 - step.beta1);
  const T beta2 = static_cast<T>(step.beta2), new2 = static_cast<T>(1 - step.beta2);
  const T rate = static_cast<T>(turn.lr / step.correction), epsilon = static_cast<T>(step.epsilon);
  const T rectified = static_cast<T>(turn.lr / step.correction * step.rectified);
  if (step.rectified == 0)
    return run(turn, [=](T g, T& m, T& v) {
      m = beta1 * m + new1 * g;
      v = beta2 * v + new2 * (g * g);
      return rate * m;
    });
  run(turn, [=](T g, T& m, T& v) {
    m = beta1 * m + new1 * g;
    v = beta2 * v + new2 * (g * g);
    return rectified * m / (std::sqrt(v) + epsilon);
  });
}

template <class T> void rmsprop(const Turn<T>& turn, const RMSpropStep& step) {
  const T alpha = static_cast<T>(step.alpha), fresh = static_cast<T>(1 - step.alpha);
  const T lr = static_cast<T>(turn.lr), epsilon = static_cast<T>(step.epsilon);
  const T momentum = static_cast<T>(step.momentum);
  const auto whole = [=](T g, T& v) {
    v = alpha * v + fresh * (g * g);
    return g / (std::sqrt(v) + epsilon);
  };
  const auto centered = [=](T g, T& v, T& a) {
    v = alpha * v + fresh * (g * g);
    a = alpha * a + fresh * g;
    return g / (std::sqrt(std::max(v - a * a, T(0))) + epsilon);  // rounding must not make it negative
  };
  const auto push = [=](T change, T& b) {
    b = momentum * b + change;
    return lr * b;
  };
  if (step.centered && step.momentum != 0)
    return run(turn, [=](T g, T& v, T& a, T& b) { return push(centered(g, v, a), b); });
  if (step.centered) return run(turn, [=](T g, T& v, T& a) { return lr * centered(g, v, a); });
  if (step.momentum != 0) return run(turn, [=](T g, T& v, T& b) { return push(whole(g, v), b); });
  run(turn, [=](T g, T& v) { return lr * whole(g, v); });
}

template <class T> void adagrad(const Turn<T>& turn, const AdagradStep& step) {
  const T rate = static_cast<T>(turn.lr / step.slowed), epsilon = static_cast<T>(step.epsilon);
  run(turn, [=](T g, T& s) {
    s += g * g;
    return rate * g / (std::sqrt(s) + epsilon);
  });
}

template <class T> void adadelta(const Turn<T>& turn, const AdadeltaStep& step) {
  const T rho = static_cast<T>(step.rho), fresh = static_cast<T>(1 - step.rho);
  const T lr = static_cast<T>(turn.lr), epsilon = static_cast<T>(step.epsilon);
  run(turn, [=](T g, T& v, T& u) {
    v = rho * v + fresh * (g * g);
    const T d = std::sqrt((u + epsilon) / (v + epsilon)) * g;
    u = rho * u + fresh * (d * d);
    return lr * d;
  });
}

template <class T> void lion(const Turn<T>& turn, const LionStep& step) {
  const T beta1 = static_cast<T>(step.beta1), new1 = static_cast<T>(1 - step.beta1);
  const T beta2 = static_cast<T>(step.beta2), new2 = static_cast<T>(1 - step.beta2);
  const T lr = static_cast<T>(turn.lr);
  run(turn, [=](T g, T& m) {
    const T direction = beta1 * m + new1 * g;
    m = beta2 * m + new2 * g;
    // The last is 0 or NaN, which stays NaN.
    return lr * (direction > 0 ? T(1) : direction < 0 ? T(-1) : direction);
  });
}

template <class T> double sum_of_squares(const T* x, std::int64_t n, double scale) {
  return on_vectors(
      [](const T* from, std::int64_t count, double factor) {
        return sum_of<double>(count, [=](std::int64_t i) {
          const double scaled = factor * static_cast<double>(from[i]);
          return scaled * scaled;
        });
      },
      x, n, scale);
}

template <class T> double largest_magnitude(const T* x, std::int64_t n) {
  return on_vectors(
      [](const T* from, std::int64_t count) {
        const auto larger = [](T a, T b) { return math::select((b <= a) | (a != a), a, b); };  // NaN stays
        return static_cast<double>(in_lanes(T(0), count, larger, [from](std::int64_t i) { return std::abs(from[i]); }));
      },
      x, n);
}

template <class T> void scale(T* x, std::int64_t n, double factor) {
  map(
      x, n, [factor](T v) { return static_cast<T>(factor * static_cast<double>(v)); }, x);
}

template <class T> void clip(T* x, std::int64_t n, double bound) {
  const T most = static_cast<T>(bound);
  map(
      x, n, [most](T v) { return math::select(v > most, most, math::select(v < -most, -most, v)); }, x);
}

template <class T> void approach(T* a, const T* x, std::int64_t n, double share) {
  const T part = static_cast<T>(share);
  map(
      a, n, [part](T mean, T v) { return mean + part * (v - mean); }, a, x);
}

#define EBB_INSTANTIATE(T)                                        \
  template void sgd(const Turn<T>&, const SGDStep&);              \
  template void adam(const Turn<T>&, const AdamStep&);            \
  template void adamax(const Turn<T>&, const AdamaxStep&);        \
  template void nadam(const Turn<T>&, const NAdamStep&);          \
  template void radam(const Turn<T>&, const RAdamStep&);          \
  template void rmsprop(const Turn<T>&, const RMSpropStep&);      \
  template void adagrad(const Turn<T>&, const AdagradStep&);      \
  template void adadelta(const Turn<T>&, const AdadeltaStep&);    \
  template void lion(const Turn<T>&, const LionStep&);            \
  template double sum_of_squares(const T*, std::int64_t, double); \
  template double largest_magnitude(const T*, std::int64_t);      \
  template void scale(T*, std::int64_t, double);                  \
  template void clip(T*, std::int64_t, double);                   \
  template void approach(T*, const T*, std::int64_t, double);
EBB_INSTANTIATE(float)
EBB_INSTANTIATE(double)
#undef EBB_INSTANTIATE

}  // namespace ebb::kernels
