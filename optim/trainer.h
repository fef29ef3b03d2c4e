// Trainer: the training loop, ready made.
#pragma once

#include "../autograd/tensor.h"
#include "../nn/data/dataset.h"
#include "../nn/data/loader.h"
#include "callbacks.h"
#include "history.h"
#include "loss.h"
#include "metric.h"
#include "optimizer.h"

#include <cstdint>
#include <functional>
#include <limits>
#include <optional>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

namespace ebb {
class Graph;
}

namespace ebb::optim {

class Fit;

/// What a Trainer aims at.
struct TrainerOptions {
  Loss loss = {};
  std::vector<Metric> metrics = {};  ///< accuracy and its kin see sigmoid(prediction) if the loss takes logits
};

/// How Trainer::fit goes about it.
struct FitOptions {
  std::int64_t epochs = 1;
  std::int64_t batch = 32;  ///< rows in a batch
  double validation = 0;    ///< the share of rows, in [0, 1), drawn by the seed, that is kept from training to judge it
  std::uint64_t seed = 0;   ///< fixes the validation part and every epoch's order
  bool shuffle = true;      ///< a new order of rows in every epoch
  bool verbose = true;      ///< prints progress: a live line on a terminal, else about 15 plain lines
  std::optional<data::Dataset> validation_data = std::nullopt;  ///< judges training in place of a share of its rows
  bool drop_last = false;                  ///< leave out a last batch that is not full, as BatchNorm may want
  std::vector<double> class_weights = {};  ///< factors of the losses of each class's rows in training, beside their own
                                           ///< weight; the mean divides by the rows, not by Σ w as class_weights of
                                           ///< nn::cross_entropy do
  std::int64_t accumulate = 1;             ///< batches in a step, whose gradient is the mean over all their rows
  double clip_norm = std::numeric_limits<double>::infinity();   ///< how long all gradients together may be
  double clip_value = std::numeric_limits<double>::infinity();  ///< how large each of their numbers may be
  data::Transform transform = {};  ///< changes batches before they train, e.g. data::random_flip()
  std::int64_t prefetch = 0;       ///< a second thread makes so many batches ahead; the weights do not depend on it
  Callbacks callbacks = {};
  std::string checkpoint = "";        ///< the file that holds all it takes to go on; written after each epoch
  std::int64_t checkpoint_every = 0;  ///< after so many batches, too, at the next step
  bool resume = false;                ///< goes on from the checkpoint if the file exists
  bool replay = true;  ///< records a batch in each epoch and replays it for the others (see replay()), with the same results;
                       ///< without where a model or loss works otherwise by C++ variables that change within an epoch
  bool interruptible =
      true;  ///< Ctrl-C ends training after the batch at work; pressed again, it kills (see Interruptible)
};

struct EvaluateOptions {
  std::int64_t batch = 256;  ///< rows at a time; scores depend on it only where the loss is no plain mean over rows, as
                             ///< with class_weights or ignore_index of its own
};

/// Trains a model: anything that makes a Tensor from a Tensor.  It refers to model and optimizer, so both must outlive
/// it and stay where they are.
class Trainer {
 public:
  /// Throws UsageError if there is no loss, two metrics have one name, or the optimizer trains nothing of the model.
  template <class Model>
  requires std::is_invocable_r_v<Tensor, Model&, const Tensor&> Trainer(Model& model, Optimizer& optimizer,
                                                                        TrainerOptions options)
      : Trainer(Call([&model](const Tensor& x) -> Tensor { return model(x); }), contents_of(model), optimizer,
                std::move(options)) {}

  /// Trains for some epochs, and reports each.  The training part's values are means over the epoch, each batch judged
  /// before its step; the validation part's are taken after it.  Rows of a dataset with weights count as much, in the
  /// mean of weight · loss.  Gradients left over from before are thrown away.  Parameters that the optimizer was not
  /// given stay as they are.  The same seeds give the same weights, bit for bit, also if training was killed and resumed.
  ///
  /// Throws UsageError for options that make no sense, a parameter that is used but is neither the optimizer's nor among
  /// those that the model's EBB_FIELDS list, a checkpoint of other training, and a loss or gradient that is not finite,
  /// saying where it came to be; the model is then that of the last good step.
  History fit(const data::Dataset& train, const FitOptions& options = {});
  /// The loss and the metrics over all rows, without recording.  Throws UsageError if there are no answers y, or a
  /// row's weight is negative.
  Scores evaluate(const data::Dataset& dataset, const EvaluateOptions& options = {}) const;
  /// What the model makes of x, without recording.
  Tensor predict(const Tensor& x) const;
  /// What it makes of a dataset's rows, in batches.
  Tensor predict(const data::Dataset& dataset, const EvaluateOptions& options = {}) const;

 private:
  friend class Fit;
  using Call = std::function<Tensor(const Tensor&)>;
  using Visit = std::function<nn::Contents()>;

  template <class Model> static Visit contents_of(Model& model) {
    if constexpr (nn::HasFields<Model> && !std::is_const_v<Model>) return [&model] { return nn::contents(model); };
    else return nullptr;
  }

  Trainer(Call model, Visit contents, Optimizer& optimizer, TrainerOptions options);
  void check_optimizer(const char* who) const;
  void check_parameters(const Graph& graph) const;

  Call model_;
  Visit contents_;  // lists the model's fields, if it has any
  Optimizer* optimizer_;
  TrainerOptions options_;
};

}  // namespace ebb::optim
