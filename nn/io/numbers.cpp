#include "numbers.h"

#include "../../autograd/error.h"
#include "../../autograd/op.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstring>
#include <limits>
#include <type_traits>

namespace ebb::io {

namespace {

// Half and boolean are types of their own, so that From says how bytes are meant.
enum class Half : std::uint16_t {};
enum class Boolean : std::uint8_t {};

template <class To, class From> To converted(From value) {
  if constexpr (std::is_same_v<From, Half>) return static_cast<To>(from_half(static_cast<std::uint16_t>(value)));
  else if constexpr (std::is_same_v<From, Boolean>) return static_cast<To>(value != Boolean{});
  else return static_cast<To>(value);
}

/// Whether every number found its place.
template <class To, class From> bool convert(const char* from, std::size_t n, bool swap, To* to) {
  bool fits = true;
  for (std::size_t i = 0; i < n; ++i) {
    std::array<char, sizeof(From)> bytes;
    std::memcpy(bytes.data(), from + i * sizeof(From), sizeof(From));
    if (swap) std::reverse(bytes.begin(), bytes.end());
    const From value = std::bit_cast<From>(bytes);
    if constexpr (std::is_same_v<From, std::uint64_t> && std::is_same_v<To, std::int64_t>)
      fits &= std::in_range<std::int64_t>(value);
    to[i] = converted<To>(value);
  }
  return fits;
}

template <class To> bool convert(Stored type, const char* from, std::size_t n, bool swap, To* to) {
  switch (type) {
    case Stored::boolean:
      return convert<To, Boolean>(from, n, swap, to);
    case Stored::u8:
      return convert<To, std::uint8_t>(from, n, swap, to);
    case Stored::i8:
      return convert<To, std::int8_t>(from, n, swap, to);
    case Stored::u16:
      return convert<To, std::uint16_t>(from, n, swap, to);
    case Stored::i16:
      return convert<To, std::int16_t>(from, n, swap, to);
    case Stored::u32:
      return convert<To, std::uint32_t>(from, n, swap, to);
    case Stored::i32:
      return convert<To, std::int32_t>(from, n, swap, to);
    case Stored::u64:
      return convert<To, std::uint64_t>(from, n, swap, to);
    case Stored::i64:
      return convert<To, std::int64_t>(from, n, swap, to);
    case Stored::f16:
      return convert<To, Half>(from, n, swap, to);
    case Stored::f32:
      return convert<To, float>(from, n, swap, to);
    case Stored::f64:
      break;
  }
  return convert<To, double>(from, n, swap, to);
}

bool convert(Stored type, const char* from, std::size_t n, bool swap, Tensor& to, std::size_t first) {
  ebb::detail::cannot_replay("reads a file");
  switch (to.dtype()) {
    case DType::f32:
      return convert(type, from, n, swap, ebb::detail::write<float>(to) + first);
    case DType::f64:
      return convert(type, from, n, swap, ebb::detail::write<double>(to) + first);
    case DType::i64:
      break;
  }
  return convert(type, from, n, swap, ebb::detail::write<std::int64_t>(to) + first);
}

}  // namespace

std::size_t size_of(Stored type) {
  constexpr std::array<std::size_t, 12> sizes{1, 1, 1, 2, 2, 4, 4, 8, 8, 2, 4, 8};
  return sizes[static_cast<std::size_t>(type)];
}

DType natural(Stored type) {
  if (type == Stored::f64) return DType::f64;
  return type == Stored::f16 || type == Stored::f32 ? DType::f32 : DType::i64;
}

float from_half(std::uint16_t h) {
  const int exponent = h >> 10 & 31, fraction = h & 1023;
  float value;
  if (exponent == 31)
    value = fraction == 0 ? std::numeric_limits<float>::infinity() : std::numeric_limits<float>::quiet_NaN();
  else if (exponent == 0) value = std::ldexp(static_cast<float>(fraction), -24);
  else value = std::ldexp(static_cast<float>(fraction + 1024), exponent - 25);
  return (h >> 15) != 0 ? -value : value;
}

std::optional<Shape> shape_of(std::span<const std::uint64_t> sizes) {
  if (sizes.size() > static_cast<std::size_t>(Shape::max_rank)) return {};
  std::array<std::int64_t, Shape::max_rank> axes{};
  std::uint64_t bytes = 16;  // as Shape counts
  for (std::size_t axis = 0; axis < sizes.size(); ++axis) {
    if (!std::in_range<std::int64_t>(sizes[axis]) ||
        __builtin_mul_overflow(bytes, std::max<std::uint64_t>(sizes[axis], 1), &bytes))
      return {};
    axes[axis] = static_cast<std::int64_t>(sizes[axis]);
  }
  if (!std::in_range<std::int64_t>(bytes)) return {};
  return Shape(std::span<const std::int64_t>(axes.data(), sizes.size()));
}

Tensor rest_as_numbers(Source& source, Stored type, bool big_endian, const Shape& shape, DType dtype) {
  const std::uint64_t begin = source.position(), bytes = static_cast<std::uint64_t>(shape.size()) * size_of(type);
  const auto cut = [&](const char* how, std::uint64_t end) {
    throw ParseError(fmt::format("{}: numbers of shape {} need bytes [{}, {}) but the file ends {} {}: truncated copy?",
                                 source.name(), to_string(shape), begin, begin + bytes, how, end));
  };
  if (bytes > source.most_left()) cut(source.packed() ? "before" : "at", begin + source.most_left());

  Tensor numbers = ebb::detail::empty(shape, dtype);
  std::array<char, 1 << 15> piece;
  std::size_t read = 0;
  for (const auto n = static_cast<std::size_t>(shape.size()); read < n;) {
    const std::size_t count = std::min(n - read, piece.size() / size_of(type));
    if (source.read(std::span(piece).first(count * size_of(type))) < count * size_of(type))
      cut("at", source.position());
    if (!convert(type, piece.data(), count, big_endian != (std::endian::native == std::endian::big), numbers, read))
      throw ParseError(
          fmt::format("{}: a number before byte {} is too large for i64", source.name(), source.position()));
    read += count;
  }
  if (source.read(std::span(piece).first(1)) != 0)
    throw ParseError(fmt::format("{}: bytes follow the numbers, which end at {}", source.name(), begin + bytes));
  return numbers;
}

}  // namespace ebb::io
