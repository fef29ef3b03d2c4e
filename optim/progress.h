// Progress: what fit() prints while it trains.
#pragma once

#include "history.h"

#include <chrono>
#include <cstdint>
#include <cstdio>
#include <span>
#include <string>

namespace ebb::optim {

/// Shows how training goes.  On a terminal the epoch at work is one line, redrawn at most 10 times a second:
///   epoch 12/50  ━━━━━━━━━━────────  loss 0.0713  accuracy 0.9780  · 3 s left
/// and finished epochs stay above it; elsewhere there are only these.  Of more than 20 epochs about 15 stay.
class Progress {
 public:
  /// columns: the width of the terminal; 0 if `out` is none.
  Progress(std::FILE* out, std::int64_t epochs, std::int64_t batches, int columns);
  /// Wipes a line that was left half-way.
  ~Progress();
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;

  /// After a batch, counted from 1, of an epoch, counted from 1.
  void batch(std::int64_t epoch, std::int64_t batch, std::span<const Reading> readings);
  /// After an epoch.
  void epoch(std::int64_t epoch, std::span<const Reading> readings, double seconds);
  /// A line of its own.
  void note(const std::string& text);

 private:
  using Clock = std::chrono::steady_clock;

  std::string head(std::int64_t epoch) const;
  void show(const std::string& text);

  std::FILE* out_;
  std::int64_t epochs_, batches_;
  int columns_;
  bool live_ = false;  // the cursor's line holds an unfinished epoch
  double begun_ = -1;  // which part of all batches was done when it began: training may be resumed
  Clock::time_point started_ = Clock::now(), drawn_ = started_;
};

/// The width of the terminal that `out` is; 0 if it is none.
int terminal_columns(std::FILE* out);

/// "0.4 ms", "1.4 s", "12 s", "3 min 20 s", "2 h 5 min".
std::string duration(double seconds);

}  // namespace ebb::optim
