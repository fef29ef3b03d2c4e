// Layers of windows: convolutions and pools.
//
// Images are [n, channels, height, width], signals [n, channels, length].  Two numbers of an image go as {height, width},
// or as one number that holds for both.  A layer that is made with a size or option out of its range throws UsageError; its
// call throws ShapeError for another rank or number of channels, or an image that is smaller than the window.
#pragma once

#include "../autograd/ops.h"
#include "../autograd/parameter.h"
#include "init.h"
#include "module.h"

#include <cstdint>

namespace ebb::nn {

/// How a Conv1d is made.
struct Conv1dOptions {
  std::int64_t stride = 1, padding = 0, dilation = 1;  ///< padding: zeros put in on both sides
  std::int64_t groups = 1;                             ///< inputs and outputs fall into so many parts that do not mix
  bool bias = true;
  Init init = glorot_uniform;  ///< draws the weight; the bias begins at zero
  DType dtype = f32;
};

/// How a Conv2d is made.
struct Conv2dOptions {
  Pair stride = 1, padding = 0, dilation = 1;  ///< padding: zeros put in on all sides
  std::int64_t groups = 1;                     ///< inputs and outputs fall into so many parts that do not mix
  bool bias = true;
  Init init = glorot_uniform;  ///< draws the weight; the bias begins at zero
  DType dtype = f32;
};

/// How a ConvTranspose2d is made.
struct ConvTranspose2dOptions {
  Pair stride = 1, padding = 0;  ///< of the convolution that it turns around: padding makes the result smaller
  Pair output_padding = 0;       ///< rows and columns added below and right; less than stride or dilation
  Pair dilation = 1;
  std::int64_t groups = 1;
  bool bias = true;
  Init init = glorot_uniform;  ///< draws the weight; the bias begins at zero
  DType dtype = f32;
};

/// Learned windows along a signal.  [n, in, length] -> [n, out, length'], as conv1d().
struct Conv1d {
  Parameter weight;  ///< [out, in / groups, size]
  Parameter bias;    ///< [out]; [0] and not listed if the layer has none
  Label label;
  ebb::Conv1dOptions windows;

  Conv1d(std::int64_t in, std::int64_t out, std::int64_t size, const Conv1dOptions& options = {});
  Tensor operator()(const Tensor& x) const;
  void ebb_visit(Visitor& visitor) const;
};

/// Learned windows over an image.  [n, in, h, w] -> [n, out, h', w'], as conv2d().
struct Conv2d {
  Parameter weight;  ///< [out, in / groups, height, width]
  Parameter bias;    ///< [out]; [0] and not listed if the layer has none
  Label label;
  ebb::Conv2dOptions windows;

  Conv2d(std::int64_t in, std::int64_t out, Pair size, const Conv2dOptions& options = {});
  Tensor operator()(const Tensor& x) const;
  void ebb_visit(Visitor& visitor) const;
};

/// A Conv2d the other way round, which enlarges.  [n, in, h, w] -> [n, out, h', w'], as conv_transpose2d().
struct ConvTranspose2d {
  Parameter weight;  ///< [in, out / groups, height, width]
  Parameter bias;    ///< [out]; [0] and not listed if the layer has none
  Label label;
  ebb::ConvTranspose2dOptions windows;

  ConvTranspose2d(std::int64_t in, std::int64_t out, Pair size, const ConvTranspose2dOptions& options = {});
  Tensor operator()(const Tensor& x) const;
  void ebb_visit(Visitor& visitor) const;
};

/// The largest of each window, as max_pool1d(): MaxPool1d(2) or MaxPool1d(3, {.stride = 2}).
struct MaxPool1d {
  std::int64_t size;
  Pool1dOptions windows;
  Label label;

  explicit MaxPool1d(std::int64_t size, const Pool1dOptions& options = {});
  Tensor operator()(const Tensor& x) const;
  EBB_FIELDS(label)
};

/// The largest of each window, as max_pool2d(): MaxPool2d(2) or MaxPool2d({3, 2}, {.stride = 2}).
struct MaxPool2d {
  Pair size;
  Pool2dOptions windows;
  Label label;

  explicit MaxPool2d(Pair size, const Pool2dOptions& options = {});
  Tensor operator()(const Tensor& x) const;
  EBB_FIELDS(label)
};

/// The mean of each window, as avg_pool2d().
struct AvgPool2d {
  Pair size;
  AvgPool2dOptions windows;
  Label label;

  explicit AvgPool2d(Pair size, const AvgPool2dOptions& options = {});
  Tensor operator()(const Tensor& x) const;
  EBB_FIELDS(label)
};

/// The mean of each channel: [n, channels, ...] -> [n, channels], for images of any size.
struct GlobalAvgPool {
  Label label{"GlobalAvgPool"};

  Tensor operator()(const Tensor& x) const;
  EBB_FIELDS(label)
};

}  // namespace ebb::nn
