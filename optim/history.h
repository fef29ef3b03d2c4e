// History and Scores: what training and evaluating give back.
#pragma once

#include "../nn/io/safetensors.h"

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace ebb::optim {

/// A value and what it is called: "loss", 0.0713.
using Reading = std::pair<std::string, double>;

/// The loss and the metrics over a dataset: scores["loss"], scores["accuracy"].
class Scores {
 public:
  explicit Scores(std::vector<Reading> readings) : readings_(std::move(readings)) {}

  /// Throws UsageError for a name that it does not hold.
  double operator[](std::string_view name) const;
  /// All of them, the loss first.
  auto begin() const { return readings_.begin(); }
  auto end() const { return readings_.end(); }

 private:
  std::vector<Reading> readings_;
};

/// What fit() saw, epoch by epoch: "loss" and the metrics over the training part, "val_loss" and "val_..." over the
/// validation part if there is one, and "seconds".
class History {
 public:
  /// A value for every epoch.  Throws UsageError for a name that it does not hold.
  const std::vector<double>& operator[](std::string_view name) const;
  /// The value of the last epoch.  Throws UsageError for a name that it does not hold.
  double last(std::string_view name) const { return (*this)[name].back(); }
  std::int64_t epochs() const { return columns_.empty() ? 0 : static_cast<std::int64_t>(columns_[0].second.size()); }
  std::vector<std::string> names() const;
  /// Whether Ctrl-C ended training; the epoch that was at work is not counted.
  bool interrupted() const { return interrupted_; }

  /// Draws the loss and each metric over the epochs, training and validation, into one SVG file: legible on light and
  /// dark ground, the best epoch marked, logarithmic where the range asks for it.  The same history gives the same
  /// bytes.  Throws IoError, or UsageError if there are no epochs or nothing but seconds.
  void svg(const std::string& path) const;
  /// Writes it as a table (RFC 4180), a row for each epoch.  Throws IoError, or UsageError if there are no epochs.
  void csv(const std::string& path) const;

  /// Adds an epoch.  Throws UsageError, having changed nothing, unless it has the same names every time, each once.
  void add(std::span<const Reading> epoch);
  void interrupted(bool was) { interrupted_ = was; }

  /// All epochs, for a checkpoint.
  io::Tensors state() const;
  /// Throws UsageError, having changed nothing, if it is not the state of a history.
  void load_state(const io::Tensors& state);

 private:
  std::vector<std::pair<std::string, std::vector<double>>> columns_;
  bool interrupted_ = false;
};

/// A line of a table (RFC 4180) with its end: an epoch counted from 1, and the readings.
std::string csv_row(std::int64_t epoch, std::span<const Reading> readings);
/// The line above those: "epoch" and the names.
std::string csv_head(std::span<const std::string> names);

}  // namespace ebb::optim
