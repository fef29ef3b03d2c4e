// Metrics: numbers for people, not for training.
#pragma once

#include "../autograd/tensor.h"

namespace ebb::nn {

/// The share of rows that are right, in [0, 1].
/// prediction [n] or [n, 1], target of the same shape: both count as yes from 0.5 on.
/// prediction [n, classes], target [n] i64: the largest of a row is the class.
/// Throws ShapeError for other shapes, DTypeError for class numbers that are not i64, UsageError if there are no rows.
double accuracy(const Tensor& prediction, const Tensor& target);

}  // namespace ebb::nn
