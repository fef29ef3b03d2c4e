// Run: what a callback sees of Trainer::fit, and may tell it.
#pragma once

#include "../nn/io/safetensors.h"
#include "history.h"

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace ebb::optim {

class Optimizer;

class Run {
 public:
  virtual ~Run() = default;

  /// The epoch at work or just finished, counted from 1; 0 before the first.
  std::int64_t epoch() const { return epoch_; }
  /// How many there will be, unless something ends training before.
  std::int64_t epochs() const { return epochs_; }
  /// How many batches of this epoch are done.
  std::int64_t batch() const { return batch_; }
  /// How many it has.
  std::int64_t batches() const { return batches_; }
  /// The optimizer's step at work or just made, counted from 1 over all epochs, also those before training was resumed;
  /// 0 before the first.
  std::int64_t step() const { return step_; }
  /// Whether the optimizer made a step after the last batch (see FitOptions::accumulate); while a batch is at work, whether
  /// it will.
  bool stepped() const { return stepped_; }

  /// Why the last batch was not replayed (see FitOptions::replay); empty if it was.
  const std::string& not_replayed() const { return not_replayed_; }

  /// Whether fit() prints progress.
  bool verbose() const { return verbose_; }

  /// After an epoch its loss and metrics, also "val_..."; after a batch those of the epoch so far that are means over
  /// rows.
  const std::vector<Reading>& readings() const { return readings_; }
  /// One of them: run["val_loss"].  Throws UsageError for a name that is not there.
  double operator[](std::string_view name) const;
  /// The names of the readings after each epoch.
  const std::vector<std::string>& names() const { return names_; }
  /// The epochs done.
  const History& history() const { return history_; }

  virtual Optimizer& optimizer() = 0;
  /// The model's parameters and buffers by name, as nn::save would write them, and what the optimizer trains besides.
  virtual io::Tensors weights() const = 0;
  /// Gives them back to the model.  Throws UsageError, having changed nothing, if they are not this model's.
  virtual void weights(const io::Tensors& numbers) = 0;

  /// Ends training after this epoch.
  void stop() { stopping_ = true; }
  bool stopping() const { return stopping_; }

 protected:
  std::int64_t epoch_ = 0, epochs_ = 0, batch_ = 0, batches_ = 0, step_ = 0;
  bool stepped_ = false, stopping_ = false, verbose_ = false;
  std::string not_replayed_;
  std::vector<Reading> readings_;
  std::vector<std::string> names_;
  History history_;
};

}  // namespace ebb::optim
