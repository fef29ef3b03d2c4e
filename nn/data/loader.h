// Loader: a dataset in batches.
#pragma once

#include "../../autograd/random.h"
#include "dataset.h"

#include <cstddef>
#include <cstdint>
#include <functional>
#include <iterator>
#include <memory>
#include <type_traits>
#include <utility>

namespace ebb::data {

/// Some rows of a dataset: auto [x, y] = batch; where rows count differently, batch.weight says how much.
struct Batch {
  Tensor x, y;
  Tensor weight = {};  ///< [n]; holds nothing if all rows count alike

  template <std::size_t i> const Tensor& get() const {
    if constexpr (i == 0) return x;
    else return y;
  }
};

/// What becomes of a batch before it is used.  What it draws comes from the generator, which is the batch's own; so does
/// what it draws from the default generator, which is this one meanwhile.
using Transform = std::function<Batch(Batch, Generator&)>;

/// How a Loader goes through its dataset.
struct LoaderOptions {
  std::int64_t batch = 32;  ///< rows in a batch
  bool shuffle = false;     ///< a new order in every epoch, a function of seed and epoch alone
  std::uint64_t seed = 0;
  bool drop_last = false;        ///< leave out a last batch that is not full
  std::int64_t epoch = 0;        ///< the number of the first epoch
  std::int64_t first_batch = 0;  ///< so many batches of the first epoch are left out: they were used before a stop
  std::int64_t prefetch = 0;     ///< a second thread makes so many batches ahead; they are the same batches
  Transform transform = {};      ///< e.g. random_flip(); its generator depends on seed, epoch and batch alone
};

/// Goes through a dataset in batches: for (auto [x, y] : loader) ...  Each such loop is an epoch.
class Loader {
  struct Epoch;
  class Ahead;

 public:
  class Iterator {
   public:
    using value_type = Batch;
    using difference_type = std::ptrdiff_t;
    using iterator_concept = std::input_iterator_tag;

    Iterator() = default;
    const Batch& operator*() const { return batch_; }
    const Batch* operator->() const { return &batch_; }
    Iterator& operator++();
    void operator++(int) { ++*this; }
    friend bool operator==(const Iterator& i, std::default_sentinel_t) { return i.number_ >= i.end_; }

   private:
    friend class Loader;
    void fetch();

    std::shared_ptr<const Epoch> epoch_;
    std::shared_ptr<Ahead> ahead_;
    std::int64_t number_ = 0, end_ = 0;  // of the batch
    Batch batch_;
  };

  /// Throws UsageError if there are no rows, a batch would have none, or an option is out of its range.
  Loader(Dataset dataset, const LoaderOptions& options);

  /// Begins an epoch.  What a transform throws comes out here, or where the loop asks for that batch.
  Iterator begin();
  std::default_sentinel_t end() const { return {}; }

  /// Batches in an epoch.
  std::int64_t size() const;
  /// The number of the next epoch.
  std::int64_t epoch() const { return epoch_; }
  const Dataset& dataset() const { return dataset_; }

 private:
  Dataset dataset_;
  LoaderOptions options_;
  std::int64_t epoch_ = 0;
};

/// The dataset in batches; its tensors are shared, not copied.
Loader loader(const Dataset& dataset, const LoaderOptions& options = {});

}  // namespace ebb::data

// A Batch is taken apart into x and y alone, so that loops over plain data need not name its weight.
template <> struct std::tuple_size<ebb::data::Batch> : std::integral_constant<std::size_t, 2> {};
template <std::size_t i> struct std::tuple_element<i, ebb::data::Batch> { using type = const ebb::Tensor; };
