// Trainer: the training loop, ready made.
#pragma once

#include "../autograd/tensor.h"
#include "../nn/data/dataset.h"
#include "history.h"
#include "optimizer.h"

#include <concepts>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

namespace ebb {
class Graph;
}

namespace ebb::optim {

/// A number for people that is reported beside the loss: nn::accuracy, or {"mae", function} for one of your own.
struct Metric {
  using Function = std::function<double(const Tensor& prediction, const Tensor& target)>;

  /// A function of the library under its own name.  Throws UsageError for any other, which needs one.
  Metric(double (*function)(const Tensor&, const Tensor&));
  /// The function returns a number, or a Tensor of one element, and is a mean over rows: batches are weighed by theirs.
  template <std::invocable<const Tensor&, const Tensor&> F> Metric(std::string called, F measure)
      : name(std::move(called)) {
    if constexpr (std::is_convertible_v<std::invoke_result_t<F, const Tensor&, const Tensor&>, double>)
      function = std::move(measure);
    else function = [measure = std::move(measure)](const Tensor& p, const Tensor& y) { return measure(p, y).item(); };
  }

  std::string name;
  Function function;
};

/// What a Trainer aims at.
struct TrainerOptions {
  std::function<Tensor(const Tensor& prediction, const Tensor& target)> loss = nullptr;  ///< a mean over rows
  std::vector<Metric> metrics = {};
};

/// How Trainer::fit goes about it.
struct FitOptions {
  std::int64_t epochs = 1;
  std::int64_t batch = 32;  ///< rows in a step
  double validation = 0;    ///< the share of rows, in [0, 1), drawn by the seed, that is kept from training to judge it
  std::uint64_t seed = 0;   ///< fixes the validation part and every epoch's order
  bool shuffle = true;      ///< a new order of rows in every epoch
  bool verbose = true;      ///< prints progress: a live line on a terminal, else about 15 plain lines
  std::optional<data::Dataset> validation_data = std::nullopt;  ///< judges training in place of a share of its rows
};

struct EvaluateOptions {
  std::int64_t batch = 256;  ///< rows at a time; the scores do not depend on it
};

/// Trains a model: anything that makes a Tensor from a Tensor.  It refers to model and optimizer, so both must outlive
/// it and stay where they are.
class Trainer {
 public:
  /// Throws UsageError if there is no loss, or two metrics have one name.
  template <class Model>
  requires std::is_invocable_r_v<Tensor, Model&, const Tensor&> Trainer(Model& model, Optimizer& optimizer,
                                                                        TrainerOptions options)
      : Trainer(Call([&model](const Tensor& x) -> Tensor { return model(x); }), optimizer, std::move(options)) {
    if constexpr (nn::HasFields<Model> && !std::is_const_v<Model>) listed_ = ParameterList(model).states();
  }

  /// Trains for some epochs, and reports each.  The training part's values are means over the epoch, each batch judged
  /// before its step; the validation part's are taken after it.  Gradients left over from before are thrown away.
  /// Parameters that the optimizer was not given stay as they are.  Throws UsageError for options that make no sense, a
  /// parameter that is used but is neither the optimizer's nor among those that the model's EBB_FIELDS list, and a loss
  /// that is no longer finite; the parameters are then those of the last good step.
  History fit(const data::Dataset& train, const FitOptions& options = {});
  /// The loss and the metrics over all rows, without recording.
  Scores evaluate(const data::Dataset& dataset, const EvaluateOptions& options = {}) const;
  /// What the model makes of x, without recording.
  Tensor predict(const Tensor& x) const;

 private:
  using Call = std::function<Tensor(const Tensor&)>;

  Trainer(Call model, Optimizer& optimizer, TrainerOptions options);
  void check_parameters(const Graph& graph) const;

  Call model_;
  Optimizer* optimizer_;
  TrainerOptions options_;
  std::optional<ParameterList::States> listed_;  // the model's parameters, if it is one that lists its fields
};

}  // namespace ebb::optim
