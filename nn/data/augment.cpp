#include "augment.h"

#include "../../autograd/error.h"
#include "../../autograd/op.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>

namespace ebb::data {

namespace {

/// An image's sizes; its channels, and whatever else stands before height and width, are one axis.
struct Sizes {
  std::int64_t channels, height, width;
  std::int64_t pixels() const { return channels * height * width; }
};

/// Calls `change(from, to, sizes, generator)` for each image of a batch, on whatever numbers it has.
template <class Change> Transform for_each_image(const char* name, Change change) {
  return [name, change](Batch batch, Generator& generator) {
    ebb::detail::cannot_replay("changes images");
    const Shape shape = batch.x.shape();
    if (shape.rank() < 3)
      throw ShapeError(fmt::format("{}: images are [n, ..., height, width], got {}", name, to_string(shape)));
    if (shape.size() == 0) return batch;
    const Sizes sizes{shape.size() / (shape[0] * shape[-2] * shape[-1]), shape[-2], shape[-1]};
    Tensor changed = ebb::detail::empty(shape, batch.x.dtype());
    const auto go = [&]<class T>(T* to) {
      const T* from = ebb::detail::read<T>(batch.x);
      for (std::int64_t at = 0; at < shape.size(); at += sizes.pixels()) change(from + at, to + at, sizes, generator);
    };
    if (changed.dtype() == f32) go(ebb::detail::write<float>(changed));
    else if (changed.dtype() == f64) go(ebb::detail::write<double>(changed));
    else go(ebb::detail::write<std::int64_t>(changed));
    batch.x = std::move(changed);
    return batch;
  };
}

}  // namespace

Transform random_crop(std::int64_t most) {
  if (most < 0 || most > (std::int64_t{1} << 30))
    throw UsageError(fmt::format("random_crop: images move by 0 to 2^30 pixels, got {}", most));
  return for_each_image("random_crop", [most]<class T>(const T* from, T* to, const Sizes& s, Generator& draws) {
    const std::int64_t down = draws.below(2 * most + 1) - most, right = draws.below(2 * most + 1) - most;
    std::fill_n(to, s.pixels(), T{0});
    const std::int64_t kept = s.width - std::abs(right), left = std::max<std::int64_t>(right, 0);
    for (std::int64_t c = 0; kept > 0 && c < s.channels; ++c)
      for (std::int64_t row = std::max<std::int64_t>(down, 0); row < std::min(s.height, s.height + down); ++row)
        std::copy_n(from + (c * s.height + row - down) * s.width + left - right, kept,
                    to + (c * s.height + row) * s.width + left);
  });
}

Transform random_flip(double share) {
  if (!(share >= 0 && share <= 1))
    throw UsageError(fmt::format("random_flip: the share of images must be in [0, 1], got {}", share));
  return for_each_image("random_flip", [share]<class T>(const T* from, T* to, const Sizes& s, Generator& draws) {
    const bool flip = draws.uniform() < share;
    for (std::int64_t row = 0; row < s.channels * s.height; ++row, from += s.width, to += s.width)
      if (flip) std::reverse_copy(from, from + s.width, to);
      else std::copy_n(from, s.width, to);
  });
}

Transform random_erase(std::int64_t side) {
  if (side < 1) throw UsageError(fmt::format("random_erase: a square has a side of 1 pixel or more, got {}", side));
  return for_each_image("random_erase", [side]<class T>(const T* from, T* to, const Sizes& s, Generator& draws) {
    // [begin, end) among `size` pixels: `side` of them around a middle that is drawn.
    const auto stretch = [&](std::int64_t size) {
      const std::int64_t middle = draws.below(size), before = side / 2;
      return std::pair(middle - std::min(before, middle), middle + std::min(side - before, size - middle));
    };
    const auto [top, bottom] = stretch(s.height);
    const auto [left, right] = stretch(s.width);
    std::copy_n(from, s.pixels(), to);
    for (std::int64_t c = 0; c < s.channels; ++c)
      for (std::int64_t row = top; row < bottom; ++row)
        std::fill_n(to + (c * s.height + row) * s.width + left, right - left, T{0});
  });
}

Transform compose(std::vector<Transform> transforms) {
  for (const Transform& transform : transforms)
    if (!transform) throw UsageError("compose: one of the transforms is empty");
  return [transforms = std::move(transforms)](Batch batch, Generator& generator) {
    for (const Transform& transform : transforms) batch = transform(std::move(batch), generator);
    return batch;
  };
}

}  // namespace ebb::data
