// Numbers as files hold them.
#pragma once

#include "../../autograd/tensor.h"
#include "source.h"

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

namespace ebb::io {

/// A type of numbers in files.
enum class Stored : std::uint8_t { boolean, u8, i8, u16, i16, u32, i32, u64, i64, f16, f32, f64 };

/// Bytes of one number.
std::size_t size_of(Stored type);
/// What holds all such numbers: i64 whole ones (but for u64 beyond its end), f32 halves too.
DType natural(Stored type);

float from_half(std::uint16_t h);

/// The shape of these sizes, if 64 bits count the bytes of its numbers and it has as many axes as a Shape can.
std::optional<Shape> shape_of(std::span<const std::uint64_t> sizes);

/// The numbers that are all that is left of a file.  Throws ParseError if they are not exactly as many as the shape
/// says, before any memory is asked for where that can be known, or if a number has no place in the dtype.
Tensor rest_as_numbers(Source& source, Stored type, bool big_endian, const Shape& shape, DType dtype);

}  // namespace ebb::io
