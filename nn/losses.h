// Losses: how far a prediction is from its target, as one number to differentiate.
//
// All are called alike, f(prediction, target, options), and every options struct begins with the same two fields.
// Prediction and target never broadcast: other than equal shapes (class numbers apart) are a ShapeError.  Gradients go
// to the prediction and, except by class numbers, to the target.  An option that does not fit is a UsageError, weights
// of another shape are a ShapeError.
#pragma once

#include "../autograd/tensor.h"

#include <cstdint>
#include <optional>

namespace ebb::nn {

/// What becomes of the losses of the elements (cross_entropy, nll_loss: of the rows): their mean, their sum, or none,
/// and they are returned as they are.
enum class Reduction { mean, sum, none };

/// What every loss can be told.
struct LossOptions {
  Reduction reduction = Reduction::mean;
  Tensor row_weights = {};  ///< [n], a factor for each row (first axis); the mean divides by the number of elements
};

/// (prediction - target)².
Tensor mse_loss(const Tensor& prediction, const Tensor& target, const LossOptions& options = {});

/// |prediction - target|.
Tensor l1_loss(const Tensor& prediction, const Tensor& target, const LossOptions& options = {});

struct HuberOptions {
  Reduction reduction = Reduction::mean;
  Tensor row_weights = {};
  double delta = 1;  ///< where the parabola ends, above 0
};
/// d²/2 of the distance d = |prediction - target| up to delta, delta · (d - delta/2) beyond.
/// Source: Huber 1964.
Tensor huber_loss(const Tensor& prediction, const Tensor& target, const HuberOptions& options = {});

struct SmoothL1Options {
  Reduction reduction = Reduction::mean;
  Tensor row_weights = {};
  double beta = 1;  ///< where the parabola ends, above 0
};
/// d²/(2·beta) of the distance d = |prediction - target| up to beta, d - beta/2 beyond: huber_loss / beta.
Tensor smooth_l1_loss(const Tensor& prediction, const Tensor& target, const SmoothL1Options& options = {});

/// max(0, 1 - target · prediction): any numbers against targets -1 and 1.
/// Throws UsageError for other targets.
Tensor hinge_loss(const Tensor& prediction, const Tensor& target, const LossOptions& options = {});

/// -(y·log p + (1 - y)·log(1 - p)): probabilities p in [0, 1] against targets y in [0, 1].
/// A prediction that the recording graph made by sigmoid() is taken as its logits, which is safe for every size of
/// them.  Otherwise logarithms end at -100 and their gradient at 1e12, so that p = 0 and p = 1 give finite numbers.
/// Throws UsageError for a probability or target outside [0, 1].
Tensor binary_cross_entropy(const Tensor& prediction, const Tensor& target, const LossOptions& options = {});

struct BceWithLogitsOptions {
  Reduction reduction = Reduction::mean;
  Tensor row_weights = {};
  Tensor pos_weight = {};  ///< factor of the losses where y = 1, of a shape that broadcasts to the target's
};
/// The same of sigmoid(logits), safe for every logit.
/// Throws UsageError for a target outside [0, 1], or logits that the recording graph made by sigmoid().
Tensor binary_cross_entropy_with_logits(const Tensor& logits, const Tensor& target,
                                        const BceWithLogitsOptions& options = {});

/// The class number of rows that do not count, unless a loss is told another one; to metrics it is always that.
inline constexpr std::int64_t ignored_label = -100;

struct CrossEntropyOptions {
  Reduction reduction = Reduction::mean;
  Tensor row_weights = {};
  Tensor class_weights = {};   ///< [classes], none negative: the mean is weighted, Σ w[label]·loss / Σ w[label],
                               ///< while row_weights and FitOptions::class_weights divide by the rows alone
  double label_smoothing = 0;  ///< in [0, 1]: the share of each target that is spread evenly over all classes
  std::optional<std::int64_t> ignore_index = ignored_label;  ///< rows with this label do not count, and get no gradient
};
/// -log softmax(logits)[label]: logits [..., classes] against class numbers [...] (i64, from zero), or against
/// probabilities [..., classes] (soft labels), of which the mean divides by the number of rows.
/// Classes lie on the last axis: of images [n, classes, h, w], give permute(logits, {0, 2, 3, 1}).
/// Throws IndexError for a label outside [0, classes), DTypeError for labels that are not i64, UsageError for logits
/// that the recording graph made by softmax(), for probabilities that do not add up to 1, and for a mean of no rows
/// because all of them are ignored or of weight 0.
Tensor cross_entropy(const Tensor& logits, const Tensor& target, const CrossEntropyOptions& options = {});

struct NllOptions {
  Reduction reduction = Reduction::mean;
  Tensor row_weights = {};
  Tensor class_weights = {};                                 ///< as in CrossEntropyOptions
  std::optional<std::int64_t> ignore_index = ignored_label;  ///< as in CrossEntropyOptions
};
/// -log_p[label]: logarithms of probabilities [..., classes], as log_softmax gives them, against class numbers [...].
/// Throws as cross_entropy.
Tensor nll_loss(const Tensor& log_p, const Tensor& labels, const NllOptions& options = {});

struct KlDivOptions {
  Reduction reduction = Reduction::mean;
  Tensor row_weights = {};
  bool log_target = false;  ///< the target too is given by its logarithms
};
/// Kullback and Leibler's divergence of the target from the prediction, t·(log t - log_p) for each class: logarithms of
/// probabilities [..., classes] against probabilities of the same shape.  The mean divides by the number of
/// distributions, not of classes (PyTorch: "batchmean").
/// Throws UsageError for a target outside [0, 1], and for a prediction that the recording graph made by softmax().
Tensor kl_div_loss(const Tensor& log_p, const Tensor& target, const KlDivOptions& options = {});

}  // namespace ebb::nn
