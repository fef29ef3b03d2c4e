// History and Scores: what training and evaluating give back.
#pragma once

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

  /// Adds an epoch: the same names every time.
  void add(std::span<const Reading> epoch);

 private:
  std::vector<std::pair<std::string, std::vector<double>>> columns_;
};

}  // namespace ebb::optim
