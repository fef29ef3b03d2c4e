#include "movement.h"

#include "map.h"

#include <cstring>
#include <functional>

namespace ebb::kernels {

namespace {

/// Calls row(number of the first of n, its strided position) for every innermost row.
template <class Row> void strided_rows(Sizes sizes, const std::array<std::int64_t, max_rank>& stride, Row&& row) {
  const std::size_t inner = sizes.empty() ? 0 : sizes.size() - 1;
  const std::int64_t n = sizes.empty() ? 1 : sizes[inner];
  std::int64_t rows = n == 0 ? 0 : 1;
  for (std::size_t axis = 0; axis < inner; ++axis) rows *= sizes[axis];
  std::array<std::int64_t, max_rank> index{};
  std::int64_t at = 0;
  for (std::int64_t r = 0; r < rows; ++r) {
    row(r * n, at, n);
    for (std::size_t axis = inner; axis-- > 0;) {
      at += stride[axis];
      if (++index[axis] < sizes[axis]) break;
      at -= stride[axis] * sizes[axis];
      index[axis] = 0;
    }
  }
}

std::int64_t innermost(Sizes sizes, const std::array<std::int64_t, max_rank>& stride) {
  return sizes.empty() ? 1 : stride[sizes.size() - 1];
}

/// Calls f with pointers to words of that width.
template <class F> void as_words(void* y, const void* x, std::size_t width, F&& f) {
  if (width == 4) f(static_cast<std::uint32_t*>(y), static_cast<const std::uint32_t*>(x));
  else f(static_cast<std::uint64_t*>(y), static_cast<const std::uint64_t*>(x));
}

}  // namespace

void gather_strided(void* y, const void* x, Sizes sizes, const std::array<std::int64_t, max_rank>& stride,
                    std::size_t width) {
  as_words(y, x, width, [&](auto* to, const auto* from) {
    const std::int64_t step = innermost(sizes, stride);
    strided_rows(sizes, stride, [&](std::int64_t out, std::int64_t at, std::int64_t n) {
      for (std::int64_t i = 0; i < n; ++i) to[out + i] = from[at + i * step];
    });
  });
}

void scatter_strided(void* y, const void* x, Sizes sizes, const std::array<std::int64_t, max_rank>& stride,
                     std::size_t width) {
  as_words(y, x, width, [&](auto* to, const auto* from) {
    const std::int64_t step = innermost(sizes, stride);
    strided_rows(sizes, stride, [&](std::int64_t in, std::int64_t at, std::int64_t n) {
      for (std::int64_t i = 0; i < n; ++i) to[at + i * step] = from[in + i];
    });
  });
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

template <class T> void add_lines(T* y, const T* x, std::int64_t lines, std::int64_t length, std::int64_t apart) {
  on_vectors(
      [](T* to, const T* from, std::int64_t count, std::int64_t n, std::int64_t next) {
        for (; count > 0; --count, to += next, from += n) map_within(to, n, std::plus<T>(), to, from);
      },
      y, x, lines, length, apart);
}
template void add_lines(float*, const float*, std::int64_t, std::int64_t, std::int64_t);
template void add_lines(double*, const double*, std::int64_t, std::int64_t, std::int64_t);

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

void take(void* y, const void* x, const std::int64_t* index, std::int64_t count, std::int64_t outer, std::int64_t total,
          std::int64_t inner, std::size_t width) {
  if (inner == 1) {
    as_words(y, x, width, [&](auto* to, const auto* from) {
      for (std::int64_t o = 0; o < outer; ++o, to += count, from += total)
        for (std::int64_t k = 0; k < count; ++k) to[k] = from[index[k]];
    });
    return;
  }
  const std::size_t line = static_cast<std::size_t>(inner) * width;
  const auto* from = static_cast<const std::byte*>(x);
  auto* to = static_cast<std::byte*>(y);
  for (std::int64_t o = 0; o < outer && line > 0; ++o, from += static_cast<std::size_t>(total) * line)
    for (std::int64_t k = 0; k < count; ++k, to += line)
      std::memcpy(to, from + static_cast<std::size_t>(index[k]) * line, line);
}

template <class T> void add_at(T* y, const T* x, const std::int64_t* index, std::int64_t count, std::int64_t outer,
                               std::int64_t total, std::int64_t inner) {
  for (std::int64_t o = 0; o < outer; ++o, y += total * inner)
    for (std::int64_t k = 0; k < count; ++k, x += inner) {
      T* const to = y + index[k] * inner;
      for (std::int64_t i = 0; i < inner; ++i) to[i] += x[i];
    }
}
template void add_at(float*, const float*, const std::int64_t*, std::int64_t, std::int64_t, std::int64_t, std::int64_t);
template void add_at(double*, const double*, const std::int64_t*, std::int64_t, std::int64_t, std::int64_t,
                     std::int64_t);

}  // namespace ebb::kernels
