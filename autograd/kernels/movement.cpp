#include "movement.h"

#include <cstring>

namespace ebb::kernels {

namespace {

template <class Word>
void gather_words(Word* y, const Word* x, Sizes sizes, const std::array<std::int64_t, max_rank>& stride) {
  if (sizes.empty()) {
    *y = *x;
    return;
  }
  const std::size_t inner = sizes.size() - 1;
  const std::int64_t n = sizes[inner], step = stride[inner];
  std::int64_t rows = n == 0 ? 0 : 1;
  for (std::size_t axis = 0; axis < inner; ++axis) rows *= sizes[axis];
  std::array<std::int64_t, max_rank> index{};
  std::int64_t from = 0;
  for (std::int64_t row = 0; row < rows; ++row, y += n) {
    for (std::int64_t i = 0; i < n; ++i) y[i] = x[from + i * step];
    for (std::size_t axis = inner; axis-- > 0;) {
      from += stride[axis];
      if (++index[axis] < sizes[axis]) break;
      from -= stride[axis] * sizes[axis];
      index[axis] = 0;
    }
  }
}

}  // namespace

void gather_strided(void* y, const void* x, Sizes sizes, const std::array<std::int64_t, max_rank>& stride,
                    std::size_t width) {
  if (width == 4) gather_words(static_cast<std::uint32_t*>(y), static_cast<const std::uint32_t*>(x), sizes, stride);
  else gather_words(static_cast<std::uint64_t*>(y), static_cast<const std::uint64_t*>(x), sizes, stride);
}

void copy_out(void* y, const void* x, std::int64_t outer, std::int64_t n, std::int64_t total, std::int64_t at,
              std::int64_t inner, std::size_t width) {
  const std::size_t line = static_cast<std::size_t>(n * inner) * width,
                    whole = static_cast<std::size_t>(total * inner) * width;
  const auto* from = static_cast<const std::byte*>(x) + static_cast<std::size_t>(at * inner) * width;
  auto* to = static_cast<std::byte*>(y);
  for (std::int64_t o = 0; o < outer && line > 0; ++o, from += whole, to += line) std::memcpy(to, from, line);
}

void copy_in(void* y, const void* x, std::int64_t outer, std::int64_t n, std::int64_t total, std::int64_t at,
             std::int64_t inner, std::size_t width) {
  const std::size_t line = static_cast<std::size_t>(n * inner) * width,
                    whole = static_cast<std::size_t>(total * inner) * width;
  const auto* from = static_cast<const std::byte*>(x);
  auto* to = static_cast<std::byte*>(y) + static_cast<std::size_t>(at * inner) * width;
  for (std::int64_t o = 0; o < outer && line > 0; ++o, from += line, to += whole) std::memcpy(to, from, line);
}

std::uint64_t fingerprint(const void* bytes, std::size_t count) {
  std::uint64_t sum = count;
  const auto* at = static_cast<const std::byte*>(bytes);
  const auto stir = [&](std::uint64_t word) {
    sum = (sum ^ word) * 0x9e3779b97f4a7c15;
    sum ^= sum >> 32;
  };
  for (; count >= sizeof(std::uint64_t); count -= sizeof(std::uint64_t), at += sizeof(std::uint64_t)) {
    std::uint64_t word;
    std::memcpy(&word, at, sizeof word);
    stir(word);
  }
  std::uint64_t rest = 0;
  std::memcpy(&rest, at, count);
  stir(rest);
  return sum;
}

}  // namespace ebb::kernels
