// Metric: a number for people that is reported beside the loss.
#pragma once

#include "loss.h"

#include <concepts>
#include <functional>
#include <string>
#include <type_traits>
#include <utility>

namespace ebb::optim {

/// Over what a metric is taken.
enum class Over {
  rows,     ///< it is a mean over rows, so that those of batches, weighed by their rows, give that of all
  dataset,  ///< it wants all predictions at once, which are kept until the epoch ends
};

/// nn::accuracy or another function of nn/metrics.h, or {"mae", function} for one of your own.
struct Metric {
  using Function = std::function<double(const Tensor& prediction, const Tensor& target)>;

  /// A function of nn/metrics.h under its own name.  Throws UsageError for any other, which needs one.
  Metric(double (*function)(const Tensor&, const Tensor&));
  /// The same under another name; taken over what nn/metrics.h says, any other over rows.
  Metric(std::string called, double (*function)(const Tensor&, const Tensor&));
  /// The function returns a number, or a Tensor of one element.
  template <std::invocable<const Tensor&, const Tensor&> F>
  Metric(std::string called, F measure, Over taken_over = Over::rows) : name(std::move(called)), over(taken_over) {
    if constexpr (std::is_convertible_v<std::invoke_result_t<F, const Tensor&, const Tensor&>, double>)
      function = std::move(measure);
    else function = [measure = std::move(measure)](const Tensor& p, const Tensor& y) { return measure(p, y).item(); };
  }
  /// A loss: {"mse", nn::mse_loss}.
  template <LossOptions Options>
  Metric(std::string called, Tensor (*loss)(const Tensor&, const Tensor&, const Options&))
      : Metric(std::move(called), Loss(loss)) {}

  std::string name;
  Function function;
  Over over = Over::rows;
  bool cuts_at_half = false;  ///< it wants probabilities: a Trainer whose loss takes logits gives it their sigmoid
};

}  // namespace ebb::optim
