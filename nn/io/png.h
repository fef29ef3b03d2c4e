// Images in PNG files.
#pragma once

#include "../../autograd/tensor.h"

#include <cstdint>
#include <string>

namespace ebb::io {

struct PngOptions {
  std::int64_t channels = 0;  ///< 1: grey, by the luma of ITU-R BT.601; 3: red, green, blue; 0: as the file has it
};

/// Reads an image: [channels, height, width] f32 in [0, 1].  Transparency is left out, as if all were opaque.
/// Throws IoError if the file cannot be read, ParseError if it is no PNG or damaged, UsageError for other channels.
/// Memory is asked for only after the file has shown that it can fill it.
Tensor read_png(const std::string& path, const PngOptions& options = {});

/// Writes an image [height, width] or [1 or 3, height, width] of f32 or f64 with 8 bits for each number in [0, 1]; what
/// is beyond counts as 0 or 1.  The old file stays whole until the new one is.
/// Throws IoError, ShapeError, DTypeError, and UsageError if a number is NaN.
void write_png(const std::string& path, const Tensor& image);

}  // namespace ebb::io
