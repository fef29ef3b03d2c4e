// Attention: each query looks at all keys and takes the mean of their values, weighed by how well they fit.
//
// Legend of shapes: n rows of a batch, q queries, k keys (as many as values), d sizes of vectors.
#pragma once

#include "../autograd/tensor.h"
#include "init.h"
#include "layers.h"

#include <cstdint>

namespace ebb::nn {

/// What queries may look at.  All that is given holds together; a query that may look nowhere gets zeros, and sends no
/// gradient.
struct AttentionOptions {
  Tensor mask = {};         ///< 1 where a query may look at a key, else 0: of a shape that broadcasts to [..., q, k].
                            ///< PyTorch's masks of bool are the other way round in MultiheadAttention, True = hidden
  bool causal = false;      ///< the queries are the last q of the k places, and none looks at a later one
  Tensor key_lengths = {};  ///< i64 [n], for the first axis of [n, ..., k, d]: keys from there on are padding
};

/// How much each query looks at each key: softmax(query·keyᵀ / √d) over the keys.
/// query [..., q, d], key [..., k, d] -> [..., q, k]; a row adds up to 1, or is 0 if it may look nowhere.
/// Throws ShapeError or DTypeError for operands or options that do not fit, UsageError for a length outside [0, k] and
/// for a mask of other numbers than 0 and 1, e.g. one with -inf that is meant to be added.
Tensor attention_weights(const Tensor& query, const Tensor& key, const AttentionOptions& options = {});

/// softmax(query·keyᵀ / √d)·value.  query [..., q, d], key [..., k, d], value [..., k, dv] -> [..., q, dv].
/// Source: Vaswani et al. 2017.  Throws as attention_weights().
Tensor attention(const Tensor& query, const Tensor& key, const Tensor& value, const AttentionOptions& options = {});

/// How a MultiHeadAttention is made.
struct MultiHeadAttentionOptions {
  double dropout = 0;  ///< of the attention weights, while it trains
  bool bias = true;
  bool causal = false;         ///< always, whatever a call asks
  Init init = glorot_uniform;  ///< draws the weights; biases begin at zero
  DType dtype = f32;
};

/// Attention by several heads, each with a part of the vectors, which are projected before and after.
/// Inputs are [n, time, dim].  In a call's options a mask is [q, k], [n, q, k] or [n, heads, q, k].
/// Throws UsageError if the heads do not divide dim; its call throws as attention().
struct MultiHeadAttention {
  Parameter in_proj_weight;  ///< [3·dim, dim]: of queries, keys and values, one below the other
  Parameter in_proj_bias;    ///< [3·dim]; [0] and not listed without bias
  Dense out_proj;
  Dropout dropout;
  std::int64_t heads;
  bool causal;
  Label label;

  MultiHeadAttention(std::int64_t dim, std::int64_t heads, const MultiHeadAttentionOptions& options = {});
  /// Each place looks at all places of its own sequence.
  Tensor operator()(const Tensor& x, const AttentionOptions& options = {}) const { return (*this)(x, x, x, options); }
  /// query [n, q, dim], key and value [n, k, dim] -> [n, q, dim].
  Tensor operator()(const Tensor& query, const Tensor& key, const Tensor& value,
                    const AttentionOptions& options = {}) const;
  void ebb_visit(Visitor& visitor) const;

 private:
  /// x as `count` of queries, keys and values, from the `first` on: [count, n, heads, time, dim / heads].
  Tensor projected(const Tensor& x, std::int64_t first, std::int64_t count) const;
};

}  // namespace ebb::nn
