#include "loader.h"

#include "../../autograd/error.h"
#include "../../autograd/ops.h"
#include "rows.h"

#include <fmt/format.h>

#include <algorithm>
#include <condition_variable>
#include <deque>
#include <exception>
#include <mutex>
#include <span>
#include <system_error>
#include <thread>
#include <utility>
#include <vector>

namespace ebb::data {

/// All that the batches of an epoch depend on.  It does not change, so any thread may make them.
struct Loader::Epoch {
  Batch all;
  std::int64_t rows, batch;
  std::vector<std::int64_t> order = {};  // empty: as the rows stand
  std::uint64_t seed = 0;                // of this epoch
  Transform transform = {};

  Batch make(std::int64_t number) const {
    const std::int64_t begin = number * batch, end = std::min(begin + batch, rows);
    const auto part = [&](const Tensor& t) {
      if (!t.defined()) return t;
      if (order.empty()) return slice(t, begin, end);
      return detail::gather_rows(
          t, std::span(order).subspan(static_cast<std::size_t>(begin), static_cast<std::size_t>(end - begin)));
    };
    Batch made{part(all.x), part(all.y), part(all.weight)};
    if (!transform) return made;
    const struct Restore {
      Generator before;
      ~Restore() { default_generator() = before; }
    } restore{
        std::exchange(default_generator(), Generator(Generator::bits_at(~seed, static_cast<std::uint64_t>(number))))};
    return transform(std::move(made), default_generator());
  }
};

/// A thread that makes batches before they are asked for.
class Loader::Ahead {
 public:
  /// Throws std::system_error if there is no thread to be had.
  Ahead(std::shared_ptr<const Epoch> epoch, std::int64_t first, std::int64_t end, std::int64_t most)
      : epoch_(std::move(epoch)),
        most_(static_cast<std::size_t>(most)),
        thread_([this, first, end] { run(first, end); }) {}

  ~Ahead() {
    {
      const std::lock_guard lock(mutex_);
      stopped_ = true;
    }
    changed_.notify_all();
    thread_.join();
  }
  Ahead(const Ahead&) = delete;
  Ahead& operator=(const Ahead&) = delete;

  /// The next batch; waits for it.  `used` is let go of by the thread that made it, so that its memory is taken again.
  Batch next(Batch used) {
    Batch batch;
    {
      std::unique_lock lock(mutex_);
      used_.push_back(std::move(used));
      changed_.wait(lock, [this] { return !made_.empty(); });
      // A failure stays: nothing comes after it, and who asks again must not wait for ever.
      if (made_.front().failure) std::rethrow_exception(made_.front().failure);
      batch = std::move(made_.front().batch);
      made_.pop_front();
    }
    changed_.notify_all();
    return batch;
  }

 private:
  struct Made {
    Batch batch = {};
    std::exception_ptr failure = nullptr;
  };

  void run(std::int64_t first, std::int64_t end) {
    for (std::int64_t number = first; number < end; ++number) {
      std::vector<Batch> used;
      {
        std::unique_lock lock(mutex_);
        changed_.wait(lock, [this] { return stopped_ || made_.size() < most_; });
        if (stopped_) return;
        used.swap(used_);
      }
      used.clear();
      Made made;
      try {
        made.batch = epoch_->make(number);
      } catch (...) {
        made.failure = std::current_exception();
      }
      const bool failed = made.failure != nullptr;
      {
        const std::lock_guard lock(mutex_);
        made_.push_back(std::move(made));
      }
      changed_.notify_all();
      if (failed) return;
    }
  }

  std::shared_ptr<const Epoch> epoch_;
  std::size_t most_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<Made> made_;
  std::vector<Batch> used_;
  bool stopped_ = false;
  std::thread thread_;  // last: it begins when all else is there
};

Loader::Loader(Dataset dataset, const LoaderOptions& options)
    : dataset_(std::move(dataset)), options_(options), epoch_(options.epoch) {
  if (options_.batch < 1)
    throw UsageError(fmt::format("loader: a batch must have at least 1 row, got {}", options_.batch));
  detail::require_filled(dataset_, "loader");
  if (dataset_.size() == 0) throw UsageError("loader: the dataset has no rows");
  if (size() == 0)
    throw UsageError(fmt::format("loader: {} rows do not fill one batch of {}, and drop_last leaves the rest out",
                                 dataset_.size(), options_.batch));
  if (options_.epoch < 0) throw UsageError(fmt::format("loader: epoch must be at least 0, got {}", options_.epoch));
  if (options_.first_batch < 0 || options_.first_batch > size())
    throw UsageError(fmt::format("loader: first_batch must be in [0, {}], got {}", size(), options_.first_batch));
  if (options_.prefetch < 0)
    throw UsageError(fmt::format("loader: prefetch must be at least 0, got {}", options_.prefetch));
}

std::int64_t Loader::size() const {
  const std::int64_t n = dataset_.size(), whole = n / options_.batch;
  return options_.drop_last || n % options_.batch == 0 ? whole : whole + 1;
}

Loader::Iterator Loader::begin() {
  Epoch epoch{{dataset_.x, dataset_.y, dataset_.weight}, dataset_.size(), options_.batch};
  epoch.seed = Generator::bits_at(options_.seed, static_cast<std::uint64_t>(epoch_));
  epoch.transform = options_.transform;
  if (options_.shuffle) {
    Generator generator(epoch.seed);
    epoch.order = randperm(epoch.rows, generator).to_vector<std::int64_t>();
  }
  Iterator i;
  i.epoch_ = std::make_shared<const Epoch>(std::move(epoch));
  i.number_ = options_.first_batch;
  i.end_ = size();
  if (options_.prefetch > 0 && i.number_ < i.end_) try {
      i.ahead_ = std::make_shared<Ahead>(i.epoch_, i.number_, i.end_, options_.prefetch);
    } catch (const std::system_error&) {
      // No thread is left to be had; without one the batches are the same.
    }
  i.fetch();
  ++epoch_;
  options_.first_batch = 0;
  return i;
}

Loader::Iterator& Loader::Iterator::operator++() {
  ++number_;
  fetch();
  return *this;
}

void Loader::Iterator::fetch() {
  if (number_ >= end_) return;
  if (ahead_) batch_ = ahead_->next(std::exchange(batch_, {}));
  else batch_ = epoch_->make(number_);
}

Loader loader(const Dataset& dataset, const LoaderOptions& options) { return Loader(dataset, options); }

}  // namespace ebb::data
