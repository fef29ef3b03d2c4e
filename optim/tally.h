// Tally: the loss and the metrics over the rows seen so far.
#pragma once

#include "../nn/io/safetensors.h"
#include "history.h"
#include "metric.h"

#include <vector>

namespace ebb::optim {

class Tally {
 public:
  explicit Tally(const std::vector<Metric>& metrics);

  /// A batch whose mean loss is `loss`.  Throws UsageError for a prediction that has not a row for each of the target's.
  void add(const Tensor& prediction, const Tensor& target, double loss);
  /// The loss and those metrics that are means over rows.
  std::vector<Reading> so_far() const;
  /// The loss and all metrics.
  std::vector<Reading> readings() const;

  /// What it takes to go on from here.
  io::Tensors state() const;
  /// Throws UsageError, having changed nothing, if it is not the state of a tally with these metrics.
  void load_state(const io::Tensors& state);

 private:
  const std::vector<Metric>* metrics_;
  std::vector<double> means_;  // the loss, and one for each metric; 0 for one over the dataset
  double rows_ = 0;
  bool keeps_ = false;  // some metric wants all predictions
  std::vector<Tensor> predictions_, targets_;
};

}  // namespace ebb::optim
