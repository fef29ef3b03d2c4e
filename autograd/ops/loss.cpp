// Losses, fused: each is one pass instead of a handful of ops, and safe where the composition would overflow.
#include "../kernels/loss.h"

#include "../graph.h"
#include "../ops.h"
#include "../require.h"

namespace ebb {

using namespace detail;

namespace {

// The same as mean(maximum(z, 0) - z·y + softplus(-|z|)).
struct BceWithLogits {
  static constexpr char name[] = "bce_with_logits", formula[] = "BCE(σ(z), y)",
                        rule[] = "∇z = g·(σ(z) − y)/n   ∇y = −g·z/n", operands[] = "z y";
  static constexpr Keep keep = Keep::inputs;

  Tensor run(const Tensor& z, const Tensor& y) const {
    require(z.shape() == y.shape(), "logits and targets must have the same shape");
    return dispatch_floating(z.dtype(), [&]<class T>(T) {
      const double total = kernels::bce_with_logits(read<T>(z), read<T>(y), z.size());
      return full({}, total / static_cast<double>(z.size()), z.dtype());
    });
  }
  Tensor dz(const Tensor& g, const Tensor& z, const Tensor& y) const {
    const double n = static_cast<double>(z.size());
    if (recording()) return g * (sigmoid(z) - y) * (1 / n);
    Tensor dz = empty(z.shape(), z.dtype());
    dispatch_floating(z.dtype(), [&]<class T>(T) {
      kernels::bce_with_logits_gradient(write<T>(dz), read<T>(z), read<T>(y), z.size(), static_cast<T>(g.item() / n));
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
    const auto* const label = read<std::int64_t>(labels);
    for (std::int64_t r = 0; r < rows; ++r)
      require(label[r] >= 0 && label[r] < classes, Complaint::index, "label[{}] = {} is outside [0, {})", r, label[r],
              classes);
    return dispatch_floating(z.dtype(), [&]<class T>(T) {
      return full({}, kernels::cross_entropy(read<T>(z), label, rows, classes) / static_cast<double>(rows), z.dtype());
    });
  }
  Tensor dz(const Tensor& g, const Tensor& z, const Tensor& labels) const {
    const std::int64_t rows = z.shape()[0], classes = z.shape()[1];
    const double n = static_cast<double>(rows);
    if (recording()) return g * (softmax(z) - one_hot(labels, classes, z.dtype())) * (1 / n);
    Tensor dz = empty(z.shape(), z.dtype());
    dispatch_floating(z.dtype(), [&]<class T>(T) {
      kernels::cross_entropy_gradient(write<T>(dz), read<T>(z), read<std::int64_t>(labels), rows, classes,
                                      static_cast<T>(g.item() / n));
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
