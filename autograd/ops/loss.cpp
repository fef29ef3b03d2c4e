// Losses, fused: each is one pass instead of a handful of ops, and safe where the composition would overflow.
#include "../kernels/loss.h"

#include "../graph.h"
#include "../launch.h"
#include "../ops.h"
#include "../require.h"

namespace ebb {

using namespace detail;

namespace {

/// What of the loss's gradient goes to each of the n that it is the mean of.
template <class T> T share_of(T arrived, std::int64_t n) {
  return static_cast<T>(static_cast<double>(arrived) / static_cast<double>(n));
}

// The same as mean(maximum(z, 0) - z·y + softplus(-|z|)).
struct BceWithLogits {
  static constexpr char name[] = "bce_with_logits", formula[] = "BCE(σ(z), y)",
                        rule[] = "∇z = g·(σ(z) − y)/n   ∇y = −g·z/n", operands[] = "z y";
  static constexpr Keep keep = Keep::inputs;

  Tensor run(const Tensor& z, const Tensor& y) const {
    require(z.shape() == y.shape(), "logits and targets must have the same shape");
    Tensor loss = empty({}, z.dtype());
    dispatch_floating(z.dtype(), [&]<class T>(T) {
      const auto mean = [](T* to, const T* logits, const T* targets, std::int64_t n) {
        *to = static_cast<T>(kernels::bce_with_logits(logits, targets, n) / static_cast<double>(n));
      };
      launch(mean, write<T>(loss), read<T>(z), read<T>(y), z.size());
    });
    return loss;
  }
  Tensor dz(const Tensor& g, const Tensor& z, const Tensor& y) const {
    if (recording()) return g * (sigmoid(z) - y) * (1 / static_cast<double>(z.size()));
    Tensor dz = empty(z.shape(), z.dtype());
    dispatch_floating(z.dtype(), [&]<class T>(T) {
      const auto gradient = [](T* to, const T* logits, const T* targets, std::int64_t n, const T* arrived) {
        kernels::bce_with_logits_gradient(to, logits, targets, n, share_of(*arrived, n));
      };
      launch(gradient, write<T>(dz), read<T>(z), read<T>(y), z.size(), read<T>(g));
    });
    return dz;
  }
  Tensor dy(const Tensor& g, const Tensor& z, const Tensor&) const {
    return g * z * (-1 / static_cast<double>(z.size()));
  }
  static constexpr auto gradients() { return std::tuple(&BceWithLogits::dz, &BceWithLogits::dy); }
};

// The same as mean(logsumexp(z, 1) - gather(z, label, 1)).
struct SoftmaxCrossEntropy {
  static constexpr char name[] = "softmax_cross_entropy", formula[] = "−log softmax(z)[y]",
                        rule[] = "∇z = g·(softmax(z) − [y])/n", operands[] = "z y";
  static constexpr Keep keep = Keep::inputs;

  Tensor run(const Tensor& z, const Tensor& labels) const {
    require(labels.dtype() == i64, Complaint::dtype, "labels must be class numbers, i64");
    require(z.rank() == 2 && labels.rank() == 1 && labels.shape()[0] == z.shape()[0],
            "logits must be [n, classes] and labels [n]");
    const std::int64_t rows = z.shape()[0], classes = z.shape()[1];
    Tensor loss = empty({}, z.dtype());
    dispatch_floating(z.dtype(), [&]<class T>(T) {
      const auto mean = [](T* to, const T* logits, const std::int64_t* label, std::int64_t n, std::int64_t end) {
        for (std::int64_t r = 0; r < n; ++r)
          require(label[r] >= 0 && label[r] < end, Complaint::index, "label[{}] = {} is outside [0, {})", r, label[r],
                  end);
        *to = static_cast<T>(kernels::cross_entropy(logits, label, n, end) / static_cast<double>(n));
      };
      launch(mean, write<T>(loss), read<T>(z), read<std::int64_t>(labels), rows, classes);
    });
    return loss;
  }
  Tensor dz(const Tensor& g, const Tensor& z, const Tensor& labels) const {
    const std::int64_t rows = z.shape()[0], classes = z.shape()[1];
    if (recording()) return g * (softmax(z) - one_hot(labels, classes, z.dtype())) * (1 / static_cast<double>(rows));
    Tensor dz = empty(z.shape(), z.dtype());
    dispatch_floating(z.dtype(), [&]<class T>(T) {
      const auto gradient = [](T* to, const T* logits, const std::int64_t* label, std::int64_t n, std::int64_t width,
                               const T* arrived) {
        kernels::cross_entropy_gradient(to, logits, label, n, width, share_of(*arrived, n));
      };
      launch(gradient, write<T>(dz), read<T>(z), read<std::int64_t>(labels), rows, classes, read<T>(g));
    });
    return dz;
  }
  static constexpr auto gradients() { return std::tuple(&SoftmaxCrossEntropy::dz, nullptr); }
};

}  // namespace

Tensor bce_with_logits(const Tensor& z, const Tensor& y) {
  return asked_of(BceWithLogits::name, {&z, &y}, [&] {
    DType type = promote(z.dtype(), y.dtype());
    if (type == i64) type = f32;
    return apply(BceWithLogits{}, z.to(type), y.to(type));
  });
}

Tensor softmax_cross_entropy(const Tensor& z, const Tensor& labels) {
  return asked_of(SoftmaxCrossEntropy::name, {&z, &labels},
                  [&] { return apply(SoftmaxCrossEntropy{}, z.dtype() == i64 ? z.to(f32) : z, labels); });
}

}  // namespace ebb
