// Loss: what training makes small.
#pragma once

#include "../autograd/tensor.h"
#include "../nn/losses.h"

#include <concepts>
#include <functional>
#include <string>
#include <type_traits>
#include <utility>

namespace ebb::optim {

/// What a loss of nn/losses.h takes.
template <class Options>
concept LossOptions = requires(Options options) {
  { options.reduction } -> std::same_as<nn::Reduction&>;
  { options.row_weights } -> std::same_as<Tensor&>;
};

/// The mean over rows of how far a prediction is from its target: nn::mse_loss, or a function of your own.
class Loss {
 public:
  /// None.
  Loss() = default;
  /// A function of nn/losses.h, with options if wanted: Loss(nn::cross_entropy, {.label_smoothing = 0.1}).
  /// Throws UsageError for Reduction::sum, which is no mean, and for row_weights, which a Dataset carries.
  template <LossOptions Options> Loss(Tensor (*function)(const Tensor&, const Tensor&, const Options&),
                                      const std::type_identity_t<Options>& options = {})
      : takes_weights_(true), takes_logits_(std::same_as<Options, nn::BceWithLogitsOptions>) {
    check(options.reduction, options.row_weights);
    if (function == nullptr) return;
    function_ = [function, options](const Tensor& prediction, const Tensor& target, const Tensor& weights) {
      Options all = options;
      all.row_weights = weights;
      return function(prediction, target, all);
    };
  }
  /// A function of your own that returns its mean over rows as a Tensor of one element, or the loss of each row (or
  /// element), [n, ...].  Rows can be weighed only if it returns the latter.
  template <std::invocable<const Tensor&, const Tensor&> F>
  requires(!std::same_as<F, Loss>) Loss(F function) {
    if constexpr (requires { function == nullptr; })
      if (function == nullptr) return;
    function_ = [function = std::move(function)](const Tensor& prediction, const Tensor& target, const Tensor&) {
      return function(prediction, target);
    };
  }

  /// Whether there is one.
  explicit operator bool() const { return function_ != nullptr; }
  /// Whether predictions of yes and no are logits to it: binary_cross_entropy_with_logits.
  bool takes_logits() const { return takes_logits_; }
  /// The mean over rows of the losses, each times its weight if `weights` [n] holds something: one element.
  /// Throws ShapeError for a loss of another shape, UsageError if it cannot weigh rows.
  Tensor operator()(const Tensor& prediction, const Tensor& target, const Tensor& weights = {}) const;

 private:
  static void check(nn::Reduction reduction, const Tensor& row_weights);

  std::function<Tensor(const Tensor& prediction, const Tensor& target, const Tensor& weights)> function_;
  bool takes_weights_ = false, takes_logits_ = false;
};

}  // namespace ebb::optim
