// Moving numbers about, whatever their type: `width` is the bytes of one, 4 or 8.
#pragma once

#include "walk.h"

#include <array>
#include <cstddef>
#include <cstdint>

namespace ebb::kernels {

/// y[i...] = x[position of i...] where a step along axis k of y is stride[k] numbers of x.
void gather_strided(void* y, const void* x, Sizes sizes, const std::array<std::int64_t, max_rank>& stride,
                    std::size_t width);
/// y[position of i...] = x[i...] where a step along axis k of x is stride[k] numbers of y: the other way round.
void scatter_strided(void* y, const void* x, Sizes sizes, const std::array<std::int64_t, max_rank>& stride,
                     std::size_t width);
/// Copies [outer, n, inner] out of (into) the middle of [outer, total, inner], from position `at` on.
void copy_out(void* y, const void* x, std::int64_t outer, std::int64_t n, std::int64_t total, std::int64_t at,
              std::int64_t inner, std::size_t width);
void copy_in(void* y, const void* x, std::int64_t outer, std::int64_t n, std::int64_t total, std::int64_t at,
             std::int64_t inner, std::size_t width);

/// Adds x, `lines` lines of so many numbers, to the lines of y, which begin `apart` numbers from each other.  float, double.
template <class T> void add_lines(T* y, const T* x, std::int64_t lines, std::int64_t length, std::int64_t apart);

/// A number that tells bytes apart: with other bytes it is another, but for one chance in 2^64.
std::uint64_t fingerprint(const void* bytes, std::size_t count);
/// y [outer, count, inner]: of x [outer, total, inner] the slices at the positions index [count], each in [0, total).
void take(void* y, const void* x, const std::int64_t* index, std::int64_t count, std::int64_t outer, std::int64_t total,
          std::int64_t inner, std::size_t width);
/// The other way round: adds x [outer, count, inner] to the slices of y [outer, total, inner].  float, double.
template <class T> void add_at(T* y, const T* x, const std::int64_t* index, std::int64_t count, std::int64_t outer,
                               std::int64_t total, std::int64_t inner);

}  // namespace ebb::kernels
