// Long sequences as rows of a dataset: text by number, or measurements.
#pragma once

#include "dataset.h"

#include <cstdint>

namespace ebb::data {

struct WindowOptions {
  std::int64_t time = 64;   ///< steps in a window
  std::int64_t stride = 1;  ///< steps from the beginning of a window to that of the next
  bool last = false;        ///< y holds what follows the whole window alone: [n, ...] and not [n, time, ...]
};
/// All windows of a sequence [steps, ...], and what follows each of their steps: x and y [n, time, ...].
/// Throws UsageError if an option is less than 1 or the sequence is too short for one window, ShapeError if it is a single
/// number.
Dataset windows(const Tensor& sequence, const WindowOptions& options = {});

struct StreamOptions {
  std::int64_t batch = 32;  ///< streams side by side
  std::int64_t time = 64;   ///< steps in a row
};
/// A sequence [steps, ...] cut into `batch` streams, for truncated backpropagation through time: x and y as of windows().
/// In a loader with the same batch and without shuffling, row i of a batch goes on where row i of the batch before ended,
/// so that a state can be carried over.  What does not fill all streams at the end is left out.
/// Throws as windows() does.
Dataset streams(const Tensor& sequence, const StreamOptions& options = {});

}  // namespace ebb::data
