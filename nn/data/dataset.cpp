#include "dataset.h"

#include "../../autograd/error.h"
#include "../../autograd/ops.h"
#include "../../autograd/random.h"
#include "rows.h"

#include <fmt/format.h>

#include <cmath>

namespace ebb::data {

namespace {

Split standardized(Split parts) {
  const Standardizer standardizer(parts.train.x);
  parts.train.x = standardizer(parts.train.x);
  parts.test.x = standardizer(parts.test.x);
  return parts;
}

/// The same dataset with other rows: `rows` picks them out of each tensor.
template <class Rows> Dataset picked(Dataset dataset, const Rows& rows) {
  for (Tensor* t : {&dataset.x, &dataset.y, &dataset.weight})
    if (t->defined()) *t = rows(*t);
  return dataset;
}

std::vector<std::int64_t> shuffled(std::int64_t n, std::uint64_t seed) {
  Generator generator(seed);
  return randperm(n, generator).to_vector<std::int64_t>();
}

}  // namespace

void detail::require_filled(const Dataset& dataset, std::string_view who) {
  if (!dataset.x.defined()) throw UsageError(fmt::format("{}: the dataset is empty: its x holds nothing", who));
}

std::int64_t Dataset::size() const {
  detail::require_filled(*this, "Dataset");
  if (x.rank() < 1) throw ShapeError("Dataset: x [] has no rows");
  if (y.defined() && (y.rank() < 1 || x.shape()[0] != y.shape()[0]))
    throw ShapeError(fmt::format("Dataset: x {} and y {} must have one row for each other", to_string(x.shape()),
                                 to_string(y.shape())));
  if (weight.defined() && weight.shape() != Shape{x.shape()[0]})
    throw ShapeError(fmt::format("Dataset: weight {} must hold one number for each row of x {}",
                                 to_string(weight.shape()), to_string(x.shape())));
  return x.shape()[0];
}

Dataset Dataset::rows(std::int64_t begin, std::int64_t end) const {
  if (begin < 0 || begin > end || end > size())
    throw IndexError(fmt::format("Dataset::rows({}, {}): there are {} rows", begin, end, size()));
  return picked(*this, [&](const Tensor& t) { return slice(t, begin, end); });
}

Dataset Dataset::rows(std::span<const std::int64_t> numbers) const {
  const std::int64_t n = size();
  for (const std::int64_t i : numbers)
    if (i < 0 || i >= n) throw IndexError(fmt::format("Dataset::rows: there is no row {} of {}", i, n));
  return picked(*this, [&](const Tensor& t) { return detail::gather_rows(t, numbers); });
}

Split Dataset::split(const SplitOptions& options) const {
  if (!(options.test > 0 && options.test < 1))
    throw UsageError(fmt::format("Dataset::split: test must be in (0, 1), got {}", options.test));
  const std::int64_t n = size(), test = std::llround(options.test * static_cast<double>(n));
  if (test == 0 || test == n)
    throw UsageError(fmt::format("Dataset::split: test = {} of {} rows leaves a part empty", options.test, n));

  const std::vector<std::int64_t> order = shuffled(n, options.seed);
  const std::span<const std::int64_t> all(order);
  const auto cut = static_cast<std::size_t>(test);
  Split parts{rows(all.subspan(cut)), rows(all.first(cut))};
  return options.standardize ? standardized(std::move(parts)) : parts;
}

std::vector<Split> Dataset::folds(std::int64_t k, std::uint64_t seed, bool standardize) const {
  const std::int64_t n = size();
  if (k < 2 || k > n) throw UsageError(fmt::format("Dataset::folds: k must be in [2, {}], got {}", n, k));
  const std::vector<std::int64_t> order = shuffled(n, seed);
  std::vector<Split> splits;
  for (std::int64_t fold = 0; fold < k; ++fold) {
    std::vector<std::int64_t> train, test;
    for (std::int64_t i = 0; i < n; ++i) (i % k == fold ? test : train).push_back(order[static_cast<std::size_t>(i)]);
    Split parts{rows(train), rows(test)};
    splits.push_back(standardize ? standardized(std::move(parts)) : parts);
  }
  return splits;
}

Standardizer::Standardizer(const Tensor& x) {
  if (!x.defined()) throw UsageError("Standardizer: x holds nothing");
  if (!is_floating(x.dtype()))
    throw DTypeError(fmt::format("Standardizer: columns must be f32 or f64, not {}", to_string(x.dtype())));
  if (x.rank() < 1 || x.shape()[0] == 0)
    throw ShapeError(fmt::format("Standardizer: there are no rows to learn from in {}", to_string(x.shape())));
  const Tensor exact = x.to(f64), middle = ebb::mean(exact, 0), spread = sqrt(var(exact, 0, false, 0));
  mean_ = middle.to(x.dtype());
  deviation_ = where(spread == 0.0, 1.0, spread).to(x.dtype());
}

Tensor Standardizer::operator()(const Tensor& x) const {
  if (!x.defined()) throw UsageError("Standardizer: x holds nothing");
  if (x.rank() < 1 || x.shape().without(0) != mean_.shape())
    throw ShapeError(fmt::format("Standardizer: learned columns of shape {}, got {}", to_string(mean_.shape()),
                                 to_string(x.shape())));
  return (x - mean_) / deviation_;
}

}  // namespace ebb::data
