#include "sequence.h"

#include "../../autograd/error.h"
#include "../../autograd/ops.h"
#include "rows.h"

#include <fmt/format.h>

#include <initializer_list>
#include <utility>
#include <vector>

namespace ebb::data {

namespace {

/// Refuses what is no sequence, and options below 1; returns the steps that can have a next one.
std::int64_t steps_of(const char* name, const Tensor& sequence,
                      std::initializer_list<std::pair<const char*, std::int64_t>> sizes) {
  if (sequence.rank() < 1) throw ShapeError(fmt::format("{}: a sequence is [steps, ...], got []", name));
  for (const auto& [option, size] : sizes)
    if (size < 1) throw UsageError(fmt::format("{}: {} must be at least 1, got {}", name, option, size));
  return sequence.shape()[0] - 1;
}

/// [begins, time, ...]: the steps from each of these on.
Tensor stretches(const Tensor& sequence, const std::vector<std::int64_t>& begins, std::int64_t time) {
  std::vector<std::int64_t> steps;
  steps.reserve(begins.size() * static_cast<std::size_t>(time));
  for (const std::int64_t begin : begins)
    for (std::int64_t t = 0; t < time; ++t) steps.push_back(begin + t);
  const Shape shape = sequence.shape().with(0, time).inserted(0, std::ssize(begins));
  return reshape(detail::gather_rows(sequence, steps), shape);
}

std::vector<std::int64_t> shifted(std::vector<std::int64_t> steps, std::int64_t by) {
  for (std::int64_t& step : steps) step += by;
  return steps;
}

}  // namespace

Dataset windows(const Tensor& sequence, const WindowOptions& options) {
  const std::int64_t time = options.time, stride = options.stride;
  const std::int64_t steps = steps_of("windows", sequence, {{"time", time}, {"stride", stride}});
  if (steps < time) throw UsageError(fmt::format("windows: {} steps are too few for {} and the next", steps + 1, time));
  std::vector<std::int64_t> begins;
  for (std::int64_t begin = 0; begin <= steps - time; begin += stride) {
    begins.push_back(begin);
    if (stride > steps) break;
  }
  Tensor x = stretches(sequence, begins, time);
  if (options.last) return {std::move(x), detail::gather_rows(sequence, shifted(begins, time))};
  return {std::move(x), stretches(sequence, shifted(begins, 1), time)};
}

Dataset streams(const Tensor& sequence, const StreamOptions& options) {
  const std::int64_t batch = options.batch, time = options.time;
  const std::int64_t steps = steps_of("streams", sequence, {{"batch", batch}, {"time", time}});
  const std::int64_t rows = steps / batch / time;  // of each stream
  if (rows < 1)
    throw UsageError(
        fmt::format("streams: {} steps are too few for {} streams of {} and the next", steps + 1, batch, time));
  std::vector<std::int64_t> begins;
  for (std::int64_t row = 0; row < rows; ++row)
    for (std::int64_t stream = 0; stream < batch; ++stream) begins.push_back((stream * rows + row) * time);
  return {stretches(sequence, begins, time), stretches(sequence, shifted(begins, 1), time)};
}

}  // namespace ebb::data
