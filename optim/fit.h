// Fit: one call of Trainer::fit at work.
#pragma once

#include "../autograd/random.h"
#include "../autograd/replay.h"
#include "../nn/data/loader.h"
#include "parts.h"
#include "progress.h"
#include "tally.h"
#include "trainer.h"
#include "weights.h"

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace ebb::optim {

class Interruptible;

/// Throws UsageError unless every row's weight is a number from 0 on.
void check_weights(const data::Dataset& dataset);

class Fit final : public Run {
 public:
  /// Throws UsageError for options that make no sense.
  Fit(Trainer& trainer, const data::Dataset& train, const FitOptions& options);

  History train();

  Optimizer& optimizer() override { return *trainer_.optimizer_; }
  io::Tensors weights() const override { return weights_.get(); }
  void weights(const io::Tensors& numbers) override {
    weights_.set(numbers, "Run::weights: what is given", "it", "Nothing has changed");
  }

 private:
  void begin();
  void train_epochs();
  /// False if it ended before the epoch did.
  bool train_epoch(const Interruptible& ctrl_c);
  void train_batch(const data::Batch& batch);
  void finish_epoch(double seconds);

  std::vector<Callback*> who_wants_graph();
  /// What the model makes of a batch.
  struct Outcome {
    Tensor prediction;
    double loss = 0;
    bool finite = true;  // loss and gradients
  };
  Outcome forward_and_backward(const data::Batch& batch, Graph& graph, bool check_parameters);
  Outcome replayed(const data::Batch& batch);
  [[noreturn]] void explain_not_finite(const data::Batch& batch, double loss);
  double share_of_step(const data::Batch& batch) const;
  void step();
  bool gradients_are_finite() const;

  /// Has each callback that began let go of what it holds.
  void fail() noexcept;
  template <class Method> void call(Method method) {
    for (const auto& callback : options_.callbacks) (*callback.*method)(*this);
  }

  /// What decides which numbers come out, and so must be the same when training goes on.
  std::vector<std::pair<std::string, std::int64_t>> settings() const;
  /// All that changes while it trains.
  std::vector<Part> parts();
  io::Tensors state() const;
  void load_state(const io::Tensors& state);
  void load_history(const io::Tensors& state);
  void save();
  void resume();

  Trainer& trainer_;
  const FitOptions& options_;
  data::Dataset training_;
  std::optional<data::Dataset> validation_;
  Weights weights_;
  Tally tally_;
  std::optional<Progress> progress_;
  std::size_t begun_ = 0;  // callbacks
  std::int64_t unsaved_batches_ = 0;
  bool checked_parameters_ = false;
  std::map<double, detail::Replayer> steps_;  // by the share of an optimizer's step that a batch is
};

}  // namespace ebb::optim
