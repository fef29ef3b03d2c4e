// Metrics: numbers for people, not for training.
//
// prediction [n] or [n, 1], target of the same shape in [0, 1]: both count as yes from 0.5 on, so logits want
// accuracy(sigmoid(z), y) (a Trainer whose loss takes logits does that by itself), and another threshold
// precision(p >= 0.3, y).  prediction [..., classes], target [...] i64: the largest of a row is the class, and a row of
// class ignored_label, -100, does not count.  mae, mse and r2 take any numbers of one shape.
//
// accuracy, top_k_accuracy, mae and mse are means over rows: those of batches, weighed by their rows that count, give
// that of the whole.  precision, recall, f1, roc_auc, r2 and confusion_matrix are not: they want all rows at once.
//
// All throw ShapeError for other shapes, DTypeError for class numbers that are not i64, IndexError for one outside
// [0, classes), UsageError for another target outside [0, 1] and if there are no rows, or none that counts.
#pragma once

#include "../autograd/tensor.h"

#include <cstdint>

namespace ebb::nn {

/// The share of rows that are right, in [0, 1].
double accuracy(const Tensor& prediction, const Tensor& target);
/// The share of rows whose class is among the k largest predictions, the first of equal ones counting as larger.
/// Throws UsageError unless k is in [1, classes].
double top_k_accuracy(const Tensor& prediction, const Tensor& target, std::int64_t k = 5);

/// How many rows of class i were predicted to be j, at [i, j]: i64 [classes, classes], [2, 2] of no and yes.
Tensor confusion_matrix(const Tensor& prediction, const Tensor& target);

/// How the numbers of several classes become one.
enum class Average {
  macro,     ///< their mean, over the classes that occur in prediction or target
  micro,     ///< that of all rows together, which is their accuracy
  weighted,  ///< their mean, each class counting by its rows in the target
};
/// The share of right ones among the rows that were predicted to be yes; of several classes the average, macro unless
/// told otherwise.  0 where nothing was predicted to be.
double precision(const Tensor& prediction, const Tensor& target);
double precision(const Tensor& prediction, const Tensor& target, Average average);
/// The share of right ones among the rows that are yes.  0 where there are none.
double recall(const Tensor& prediction, const Tensor& target);
double recall(const Tensor& prediction, const Tensor& target, Average average);
/// 2 · right / (predicted + actual): the harmonic mean of precision and recall.  0 where there is neither.
double f1(const Tensor& prediction, const Tensor& target);
double f1(const Tensor& prediction, const Tensor& target, Average average);

/// The area under the ROC curve: how often a yes has a larger prediction than a no, a tie counting half.
/// prediction [n] or [n, 1], any numbers; target of the same shape.  NaN if all rows are yes, all are no, or a
/// prediction is NaN.
double roc_auc(const Tensor& prediction, const Tensor& target);

/// Mean of |prediction - target|.
double mae(const Tensor& prediction, const Tensor& target);
/// Mean of (prediction - target)².
double mse(const Tensor& prediction, const Tensor& target);
/// The coefficient of determination, 1 - Σ(target - prediction)² / Σ(target - its mean)²: 1 is exact, 0 no better than
/// the mean.  Of [n, ...] the mean over all but the first axis.  Where the target never changes: 1 if the prediction is
/// exact, else 0.
double r2(const Tensor& prediction, const Tensor& target);

/// A metric of this file that takes a prediction and a target alone.
struct KnownMetric {
  const char* name;
  double (*function)(const Tensor& prediction, const Tensor& target);
  bool mean_over_rows;
  bool cuts_at_half;  ///< tells yes from no by probabilities, not by logits
};
/// What is known of a function; nullptr if it is none of these.
const KnownMetric* known_metric(double (*function)(const Tensor&, const Tensor&));

}  // namespace ebb::nn
