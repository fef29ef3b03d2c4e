#include "tally.h"

#include "../autograd/error.h"
#include "../autograd/graph.h"
#include "../autograd/ops.h"
#include "state.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

namespace ebb::optim {

Tally::Tally(const std::vector<Metric>& metrics) : metrics_(&metrics), means_(metrics.size() + 1) {
  keeps_ = std::any_of(metrics.begin(), metrics.end(), [](const Metric& m) { return m.over == Over::dataset; });
}

void Tally::add(const Tensor& prediction, const Tensor& target, double loss) {
  const Pause pause;
  const auto rows = static_cast<double>(target.shape()[0]);
  rows_ += rows;
  const auto blend = [&](double& mean, double value) { mean += (value - mean) * (rows / rows_); };
  blend(means_[0], loss);
  for (std::size_t i = 0; i < metrics_->size(); ++i)
    if ((*metrics_)[i].over == Over::rows) blend(means_[i + 1], (*metrics_)[i].function(prediction, target));
  if (!keeps_) return;
  if (prediction.rank() == 0 || prediction.shape()[0] != target.shape()[0])
    throw ShapeError(
        fmt::format("Trainer: a metric over the dataset needs a prediction for each row, but {} rows gave {}",
                    target.shape()[0], to_string(prediction.shape())));
  predictions_.push_back(detach(prediction));
  targets_.push_back(target);
}

std::vector<Reading> Tally::so_far() const {
  std::vector<Reading> readings{{"loss", unsigned_nan(means_[0])}};
  for (std::size_t i = 0; i < metrics_->size(); ++i)
    if ((*metrics_)[i].over == Over::rows) readings.emplace_back((*metrics_)[i].name, unsigned_nan(means_[i + 1]));
  return readings;
}

std::vector<Reading> Tally::readings() const {
  if (!keeps_) return so_far();
  const Pause pause;
  const Tensor predictions = concat(predictions_, 0), targets = concat(targets_, 0);
  std::vector<Reading> readings{{"loss", unsigned_nan(means_[0])}};
  for (std::size_t i = 0; i < metrics_->size(); ++i)
    readings.emplace_back((*metrics_)[i].name, unsigned_nan((*metrics_)[i].over == Over::rows
                                                                ? means_[i + 1]
                                                                : (*metrics_)[i].function(predictions, targets)));
  return readings;
}

io::Tensors Tally::state() const {
  io::Tensors state{{"rows", tensor(rows_, f64)}, {"loss", tensor(means_[0], f64)}};
  for (std::size_t i = 0; i < metrics_->size(); ++i)
    state.emplace("metric." + (*metrics_)[i].name, tensor(means_[i + 1], f64));
  if (predictions_.empty()) return state;
  const Pause pause;
  state.emplace("predictions", concat(predictions_, 0));
  state.emplace("targets", concat(targets_, 0));
  return state;
}

void Tally::load_state(const io::Tensors& state) {
  io::Tensors numbers = state, kept;
  for (const char* const name : {"predictions", "targets"})
    if (keeps_ && numbers.contains(name)) kept.insert(numbers.extract(name));
  StateReader reader("Tally", numbers);
  Tally read(*metrics_);
  const auto number = [&reader](const std::string& name) {  // a metric's may be NaN
    const Tensor got = reader.take(name, tensor(0.0, f64));
    return got.defined() ? got.item() : 0;
  };
  read.rows_ = number("rows");
  read.means_[0] = number("loss");
  for (std::size_t i = 0; i < metrics_->size(); ++i) read.means_[i + 1] = number("metric." + (*metrics_)[i].name);
  reader.finish();
  if (kept.contains("predictions")) read.predictions_.push_back(kept.at("predictions"));
  if (kept.contains("targets")) read.targets_.push_back(kept.at("targets"));
  *this = std::move(read);
}

}  // namespace ebb::optim
