// Dataset: rows of inputs and the answers that belong to them.
#pragma once

#include "../../autograd/tensor.h"

#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace ebb::data {

/// How Dataset::split divides.
struct SplitOptions {
  double test = 0.2;         ///< the share of rows that is kept for testing, in (0, 1)
  std::uint64_t seed = 0;    ///< which rows: a function of this number
  bool standardize = false;  ///< scale both parts' inputs by the training part's mean and deviation
};

struct Split;

/// Rows of inputs x [n, ...] and their answers y [n, ...].  Without answers y holds nothing.
struct Dataset {
  Tensor x, y;
  std::vector<std::string> features = {};  ///< the names of x's columns; empty if they have none
  Tensor weight = {};                      ///< [n], how much each row counts; holds nothing if all count alike
  std::vector<std::string> classes = {};   ///< the names of the classes 0, 1, ... in y; empty if they have none
  std::map<std::string, std::vector<std::string>> categories =
      {};  ///< of columns that were words: the word of each number

  /// The number of rows.  Throws ShapeError if x, y and weight disagree about it, UsageError if x holds nothing.
  std::int64_t size() const;
  /// Rows begin <= i < end, without copying.  Throws IndexError.
  Dataset rows(std::int64_t begin, std::int64_t end) const;
  /// The rows with these numbers, in this order.  Throws IndexError.
  Dataset rows(std::span<const std::int64_t> numbers) const;

  /// Two parts, of rows drawn by the seed: auto [train, test] = dataset.split({.test = 0.2, .seed = 7});
  /// Throws UsageError if `test` is outside (0, 1) or a part would be empty.
  Split split(const SplitOptions& options = {}) const;
  /// k splits for cross-validation: rows are shuffled by the seed and dealt into k parts; each is the test part once.
  /// Throws UsageError unless 2 <= k <= size().
  std::vector<Split> folds(std::int64_t k, std::uint64_t seed = 0, bool standardize = false) const;
};

struct Split {
  Dataset train, test;
};

namespace detail {
/// Throws UsageError, beginning with `who`, for a Dataset that was made without x.
void require_filled(const Dataset& dataset, std::string_view who);
}  // namespace detail

/// Scales each column to mean 0 and deviation 1 over the rows that it was made from.
class Standardizer {
 public:
  /// Learns from x [n, ...], f32 or f64; the deviation is the population's, and a constant column's counts as 1.
  explicit Standardizer(const Tensor& x);
  /// (x - mean) / deviation.  Throws ShapeError if the columns are not those it learned from.
  Tensor operator()(const Tensor& x) const;

  const Tensor& mean() const { return mean_; }
  const Tensor& deviation() const { return deviation_; }

 private:
  Tensor mean_, deviation_;
};

}  // namespace ebb::data
