#include "loader.h"

#include "../../autograd/error.h"
#include "../../autograd/ops.h"
#include "../../autograd/random.h"
#include "rows.h"

#include <fmt/format.h>

#include <algorithm>

namespace ebb::data {

Loader::Loader(Dataset dataset, const LoaderOptions& options)
    : dataset_(std::move(dataset)), options_(options), epoch_(options.epoch) {
  if (options_.batch < 1)
    throw UsageError(fmt::format("loader: a batch must have at least 1 row, got {}", options_.batch));
  if (dataset_.size() == 0) throw UsageError("loader: the dataset has no rows");
  if (size() == 0)
    throw UsageError(fmt::format("loader: {} rows do not fill one batch of {}, and drop_last leaves the rest out",
                                 dataset_.size(), options_.batch));
}

std::int64_t Loader::size() const {
  const std::int64_t n = dataset_.size(), whole = n / options_.batch;
  return options_.drop_last || n % options_.batch == 0 ? whole : whole + 1;
}

Loader::Iterator Loader::begin() {
  Iterator i;
  i.loader_ = this;
  i.end_ = options_.drop_last ? size() * options_.batch : dataset_.size();
  if (options_.shuffle) {
    Generator generator(Generator::bits_at(options_.seed, static_cast<std::uint64_t>(epoch_)));
    i.order_ = randperm(dataset_.size(), generator).to_vector<std::int64_t>();
  }
  ++epoch_;
  i.fetch();
  return i;
}

Loader::Iterator& Loader::Iterator::operator++() {
  begin_ += loader_->options_.batch;
  if (begin_ < end_) fetch();
  return *this;
}

void Loader::Iterator::fetch() {
  const std::int64_t end = std::min(begin_ + loader_->options_.batch, end_);
  const Dataset& from = loader_->dataset_;
  const auto rows = [&](const Tensor& t) {
    if (!t.defined()) return t;
    if (order_.empty()) return slice(t, begin_, end);
    return detail::gather_rows(
        t, std::span(order_).subspan(static_cast<std::size_t>(begin_), static_cast<std::size_t>(end - begin_)));
  };
  batch_ = {rows(from.x), rows(from.y), rows(from.weight)};
}

Loader loader(const Dataset& dataset, const LoaderOptions& options) { return Loader(dataset, options); }

}  // namespace ebb::data
