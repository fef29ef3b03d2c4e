// Layers: plain structs with their parameters as fields and operator().
//
// Legend of shapes: in, out the sizes of the last axis; ... any axes before.
// A layer that is made with a size or option out of its range throws UsageError.
#pragma once

#include "../autograd/parameter.h"
#include "init.h"
#include "module.h"

#include <cstdint>
#include <optional>

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

/// How an Embedding is made.
struct EmbeddingOptions {
  std::optional<std::int64_t> padding_idx = {};  ///< the row for padding: begins at zero and gets no gradient
  Init init = normal_init(0, 1);
  DType dtype = f32;
};

/// The rows of a table that learns, e.g. a vector for each word.  Positions [...] i64 in [0, rows) -> [..., dim].
/// Its call throws DTypeError for positions that are not i64, IndexError for one out of range.
struct Embedding {
  Parameter weight;  ///< [rows, dim]
  std::optional<std::int64_t> padding_idx;
  Label label;

  Embedding(std::int64_t rows, std::int64_t dim, const EmbeddingOptions& options = {});
  Tensor operator()(const Tensor& positions) const;
  EBB_FIELDS(label, weight)

 private:
  Embedding(Label&& checked, std::int64_t rows, std::int64_t dim, const EmbeddingOptions& options);
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
#define EBB_ACTIVATION(Name)           \
  struct Name {                        \
    Label label{#Name};                \
    Tensor operator()(Tensor x) const; \
    EBB_FIELDS(label)                  \
  };
EBB_ACTIVATION(ReLU)
EBB_ACTIVATION(GELU)
EBB_ACTIVATION(SiLU)
EBB_ACTIVATION(Softplus)
EBB_ACTIVATION(Mish)
EBB_ACTIVATION(Sigmoid)
EBB_ACTIVATION(Tanh)
#undef EBB_ACTIVATION

/// x above 0, slope·x below.
struct LeakyReLU {
  double slope;
  Label label;

  explicit LeakyReLU(double slope = 0.01);
  Tensor operator()(const Tensor& x) const;
  EBB_FIELDS(label)
};

/// x above 0, alpha·(eˣ - 1) below.
struct ELU {
  double alpha;
  Label label;

  explicit ELU(double alpha = 1);
  Tensor operator()(const Tensor& x) const;
  EBB_FIELDS(label)
};

}  // namespace ebb::nn
