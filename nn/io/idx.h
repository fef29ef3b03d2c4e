// IDX files: the format of MNIST and its kin.
#pragma once

#include "../../autograd/tensor.h"

#include <optional>
#include <string>

namespace ebb::io {

/// Reads an IDX file, gzip-packed or not: whole numbers of 8, 16 or 32 bits as i64, floats as f32, doubles as f64; or
/// all as the `dtype` that is asked for.
/// Throws IoError if the file cannot be read, ParseError if it is not what the format says or cut, DTypeError if
/// fractions are asked for as i64.  Memory is asked for only after the file has shown that it can fill it.
Tensor read_idx(const std::string& path, std::optional<DType> dtype = {});

}  // namespace ebb::io
