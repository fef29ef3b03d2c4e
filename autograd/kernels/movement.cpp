#include "movement.h"

#include "map.h"

#include <cstring>

namespace ebb::kernels {

namespace {

template <class Word>
void gather_words(Word* y, const Word* x, const Shape& shape, const std::array<std::int64_t, Shape::max_rank>& stride) {
  if (shape.size() == 0) return;
  const int rank = shape.rank();
  if (rank == 0) {
    *y = *x;
    return;
  }
  const auto inner = static_cast<std::size_t>(rank - 1);
  const std::int64_t n = shape[-1], step = stride[inner];
  std::array<std::int64_t, Shape::max_rank> index{};
  std::int64_t from = 0;
  for (std::int64_t row = 0; row < shape.size(); row += n) {
    for (std::int64_t i = 0; i < n; ++i) y[row + i] = x[from + i * step];
    for (std::size_t axis = inner; axis-- > 0;) {
      from += stride[axis];
      if (++index[axis] < shape[static_cast<int>(axis)]) break;
      from -= stride[axis] * shape[static_cast<int>(axis)];
      index[axis] = 0;
    }
  }
}

}  // namespace

void gather_strided(void* y, const void* x, const Shape& shape, const std::array<std::int64_t, Shape::max_rank>& stride,
                    std::size_t width) {
  if (width == 4) gather_words(static_cast<std::uint32_t*>(y), static_cast<const std::uint32_t*>(x), shape, stride);
  else gather_words(static_cast<std::uint64_t*>(y), static_cast<const std::uint64_t*>(x), shape, stride);
}

void copy_out(void* y, const void* x, std::int64_t outer, std::int64_t n, std::int64_t total, std::int64_t at,
              std::int64_t inner, std::size_t width) {
  const std::size_t line = static_cast<std::size_t>(n * inner) * width, whole = static_cast<std::size_t>(total * inner) * width;
  const auto* from = static_cast<const std::byte*>(x) + static_cast<std::size_t>(at * inner) * width;
  auto* to = static_cast<std::byte*>(y);
  for (std::int64_t o = 0; o < outer && line > 0; ++o, from += whole, to += line) std::memcpy(to, from, line);
}

void copy_in(void* y, const void* x, std::int64_t outer, std::int64_t n, std::int64_t total, std::int64_t at,
             std::int64_t inner, std::size_t width) {
  const std::size_t line = static_cast<std::size_t>(n * inner) * width, whole = static_cast<std::size_t>(total * inner) * width;
  const auto* from = static_cast<const std::byte*>(x);
  auto* to = static_cast<std::byte*>(y) + static_cast<std::size_t>(at * inner) * width;
  for (std::int64_t o = 0; o < outer && line > 0; ++o, from += line, to += whole) std::memcpy(to, from, line);
}

}  // namespace ebb::kernels
