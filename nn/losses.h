// Losses: how far a prediction is from its target, as one number to differentiate.
//
// Each is the mean over all elements (cross_entropy: over rows).  Prediction and target never broadcast: other than
// equal shapes are a ShapeError.  Gradients go to the prediction and, except by class numbers, to the target.
#pragma once

#include "../autograd/tensor.h"

namespace ebb::nn {

/// Mean of (prediction - target)².
Tensor mse_loss(const Tensor& prediction, const Tensor& target);

/// Mean of -(y·log p + (1 - y)·log(1 - p)): probabilities p in [0, 1] against targets y in [0, 1].
/// A prediction that the recording graph made by sigmoid() is taken as its logits, which is safe for every size of
/// them.  Otherwise logarithms end at -100 and their gradient at 1e12, so that p = 0 and p = 1 give finite numbers.
/// Throws UsageError for a probability or target outside [0, 1].
Tensor binary_cross_entropy(const Tensor& prediction, const Tensor& target);

/// The same of sigmoid(logits), safe for every logit.
/// Throws UsageError for a target outside [0, 1], or logits that the recording graph made by sigmoid().
Tensor binary_cross_entropy_with_logits(const Tensor& logits, const Tensor& target);

/// Mean of -log softmax(logits)[label]: logits [..., classes] against class numbers [...] (i64, from zero).
/// Throws IndexError for a label outside [0, classes), DTypeError for labels that are not i64, UsageError for logits
/// that the recording graph made by softmax().
Tensor cross_entropy(const Tensor& logits, const Tensor& labels);

}  // namespace ebb::nn
