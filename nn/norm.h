// Normalisation: layers that bring what passes through them to mean 0 and variance 1, then scale and shift it.
//
// Legend of shapes: n rows of a batch, channels, l a length, h and w height and width.
// A layer that is made with a size or option out of its range throws UsageError; its call throws ShapeError for another
// rank or number of channels.
#pragma once

#include "../autograd/launch.h"
#include "../autograd/parameter.h"
#include "module.h"

#include <cstdint>
#include <optional>
#include <string>

namespace ebb::nn {

/// How a BatchNorm1d or BatchNorm2d is made.
struct BatchNormOptions {
  double eps = 1e-5;  ///< added to the variance
  std::optional<double> momentum =
      0.1;                          ///< the weight of a new batch in the running statistics; none: their plain mean
  bool affine = true;               ///< learns a scale and a shift for each channel
  bool track_running_stats = true;  ///< without, every batch is normalised by its own statistics
  DType dtype = f32;
};

/// What BatchNorm1d and BatchNorm2d share: (x - mean) / √(variance + eps) · weight + bias, for each channel (axis 1).
/// While it trains (see mode.h) mean and variance are the batch's own, and the running statistics move towards them with
/// every call, but not when backward() runs a checkpoint() again; otherwise they are the running ones, and these stay.
/// So a model that is called only to look at it while a graph records wants an Evaluating guard, and gradcheck() and
/// differences of one's own want a Training guard: without, they compare gradients by the batch with values by the running
/// statistics.
/// The running statistics belong to no graph; running_var is unbiased (n - 1), what normalises is not.
/// Source: Ioffe & Szegedy 2015.  Throws UsageError for a batch of fewer than 2 numbers in a channel while it trains.
struct BatchNorm {
  Parameter weight, bias;  ///< [channels]; [0] and not listed without affine
  // Changed by calls although these are const; hold nothing without track_running_stats.
  mutable Tensor running_mean, running_var;  ///< [channels]
  mutable Tensor num_batches_tracked;        ///< [] i64
  double eps;
  std::optional<double> momentum;
  bool track_running_stats;
  Label label;

  Tensor operator()(const Tensor& x) const;
  void ebb_visit(Visitor& visitor) const;

 protected:
  /// Of tensors that have one of so many axes; `wants` names them.
  BatchNorm(const char* name, std::int64_t channels, const BatchNormOptions& options, int least_rank, int most_rank,
            const char* wants);

 private:
  void check(const Tensor& x, bool by_batch) const;
  void track(const Tensor& mean, const Tensor& variance, std::int64_t n) const;

  const char* name_;
  std::int64_t channels_;
  int least_rank_, most_rank_;
  const char* wants_;
  ebb::detail::Anchor anchor_;
};

/// BatchNorm of [n, channels] or [n, channels, l].
struct BatchNorm1d : BatchNorm {
  explicit BatchNorm1d(std::int64_t channels, const BatchNormOptions& options = {})
      : BatchNorm("BatchNorm1d", channels, options, 2, 3, "[n, channels] or [n, channels, length]") {}
};

/// BatchNorm of [n, channels, h, w].
struct BatchNorm2d : BatchNorm {
  explicit BatchNorm2d(std::int64_t channels, const BatchNormOptions& options = {})
      : BatchNorm("BatchNorm2d", channels, options, 4, 4, "[n, channels, height, width]") {}
};

/// How a LayerNorm is made.
struct LayerNormOptions {
  double eps = 1e-5;   ///< added to the variance
  bool affine = true;  ///< learns a scale and a shift for each place
  DType dtype = f32;
};

/// Each row by its own mean and variance: (x - mean) / √(variance + eps) · weight + bias over the last axes.
/// x [..., shape] -> the same.  Source: Ba, Kiros & Hinton 2016.
struct LayerNorm {
  Parameter weight, bias;  ///< of `shape`; [0] and not listed without affine
  Shape shape;
  double eps;
  Label label;

  explicit LayerNorm(const Shape& shape, const LayerNormOptions& options = {});
  explicit LayerNorm(std::int64_t size, const LayerNormOptions& options = {}) : LayerNorm(Shape{size}, options) {}
  Tensor operator()(const Tensor& x) const;
  void ebb_visit(Visitor& visitor) const;
};

}  // namespace ebb::nn
