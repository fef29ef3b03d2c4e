// Layers: plain structs with their parameters as fields and operator().
//
// Legend of shapes: in, out the sizes of the last axis; ... any axes before.
#pragma once

#include "../autograd/parameter.h"
#include "init.h"
#include "module.h"

#include <cstdint>

namespace ebb::nn {

/// How a Dense layer is made.
struct DenseOptions {
  bool bias = true;
  Init init = glorot_uniform;  ///< draws the weight; the bias begins at zero
  DType dtype = f32;
};

/// x·Wᵀ + b.  x [..., in] -> [..., out].
/// Throws UsageError for sizes below 1; its call throws ShapeError for another last axis.
struct Dense {
  Parameter weight;  ///< [out, in]
  Parameter bias;    ///< [out]; [0] and not listed if the layer has none
  Label label;

  Dense(std::int64_t in, std::int64_t out, const DenseOptions& options = {});
  Tensor operator()(const Tensor& x) const;
  void ebb_visit(Visitor& visitor) const;

 private:
  Dense(Label&& checked, std::int64_t in, std::int64_t out, const DenseOptions& options);
};

/// Drops each number with probability p and scales the others by 1 / (1 - p), so that sums keep their size.
/// It does so while a graph records (see mode.h), and is the identity otherwise.  The mask comes from the default
/// generator.  Throws UsageError unless 0 <= p < 1.
struct Dropout {
  double p;
  Label label;

  explicit Dropout(double p = 0.5);
  Tensor operator()(const Tensor& x) const;
  EBB_FIELDS(label)
};

/// eˣ / Σeˣ along an axis.
struct Softmax {
  int axis;
  Label label;

  explicit Softmax(int axis = -1);
  Tensor operator()(const Tensor& x) const;
  EBB_FIELDS(label)
};

/// Makes all axes from `axis` on one: [batch, 28, 28] -> [batch, 784].
struct Flatten {
  int axis;
  Label label;

  explicit Flatten(int axis = 1);
  Tensor operator()(const Tensor& x) const;
  EBB_FIELDS(label)
};

/// An elementwise op as a layer.
#define EBB_ACTIVATION(Name)                  \
  struct Name {                               \
    Label label{#Name};                       \
    Tensor operator()(const Tensor& x) const; \
    EBB_FIELDS(label)                         \
  };
EBB_ACTIVATION(ReLU)
EBB_ACTIVATION(LeakyReLU)
EBB_ACTIVATION(ELU)
EBB_ACTIVATION(GELU)
EBB_ACTIVATION(SiLU)
EBB_ACTIVATION(Softplus)
EBB_ACTIVATION(Mish)
EBB_ACTIVATION(Sigmoid)
EBB_ACTIVATION(Tanh)
#undef EBB_ACTIVATION

}  // namespace ebb::nn
