// NumPy's files: one array in .npy, several by name in .npz.
#pragma once

#include "safetensors.h"

#include <string>

namespace ebb::io {

/// Reads what np.save wrote (versions 1 to 3, C or Fortran order, either order of bytes): f4 and f2 as f32, f8 as f64,
/// whole numbers and booleans as i64.
/// Throws IoError if the file cannot be read, DTypeError for another type of elements, ParseError if it is not what the
/// format says or cut.  Memory is asked for only after the file has shown that it can fill it.
Tensor read_npy(const std::string& path);
/// Writes an array that np.load reads.  The old file stays whole until the new one is.  Throws IoError.
void write_npy(const std::string& path, const Tensor& array);

/// Reads what np.savez or np.savez_compressed wrote; names are those that np.load shows.
/// Throws as read_npy does, and ParseError for a file within it that is no .npy.
Tensors read_npz(const std::string& path);

struct NpzOptions {
  bool compress = false;  ///< as np.savez_compressed does
};
/// Writes arrays that np.load reads by their names; the same arrays give the same bytes.  The old file stays whole until
/// the new one is.  Throws IoError, or UsageError for a name that the format does not allow or 4 GiB or more.
void write_npz(const std::string& path, const Tensors& arrays, const NpzOptions& options = {});

}  // namespace ebb::io
