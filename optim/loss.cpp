#include "loss.h"

#include "../autograd/error.h"
#include "../autograd/ops.h"

#include <fmt/format.h>

#include <vector>

namespace ebb::optim {

void Loss::check(nn::Reduction reduction, const Tensor& row_weights) {
  if (reduction == nn::Reduction::sum)
    throw UsageError(
        "Loss: training makes a mean over rows small, not a sum\n  help: leave reduction out; a larger lr makes up "
        "for it");
  if (row_weights.defined())
    throw UsageError(
        "Loss: row_weights would be the same in every batch\n  help: put them into the dataset: dataset.weight");
}

Tensor Loss::operator()(const Tensor& prediction, const Tensor& target, const Tensor& weights) const {
  const Tensor w =
      weights.defined() && weights.dtype() != prediction.dtype() ? weights.to(prediction.dtype()) : weights;
  const Tensor loss = function_(prediction, target, w);
  const std::int64_t rows = prediction.shape().rank() > 0 ? prediction.shape()[0] : 1;
  const bool weighed = takes_weights_ || !w.defined();
  if (weighed && loss.size() == 1) return loss;
  if (loss.rank() == 0)
    throw UsageError(
        "Loss: the rows have weights, and this loss gives one number for all of them\n  help: return the loss of each "
        "row, [n], or use a function of nn/losses.h");
  if (loss.shape()[0] != rows)
    throw ShapeError(fmt::format("Loss: a loss must be one number, or one for each of the {} rows, but it is {}", rows,
                                 to_string(loss.shape())));
  if (weighed) return mean(loss);
  std::vector<std::int64_t> one_for_each(static_cast<std::size_t>(loss.rank()), 1);
  one_for_each[0] = rows;
  return mean(loss * reshape(w, Shape(one_for_each)));
}

}  // namespace ebb::optim
