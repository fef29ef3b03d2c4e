// Folders of images.
#pragma once

#include "dataset.h"

#include <cstdint>
#include <string>

namespace ebb::data {

struct ImagesOptions {
  std::int64_t channels = 0;           ///< 1: grey; 3: red, green, blue; 0: as the first image has it
  std::int64_t height = 0, width = 0;  ///< images are resized to this; 0 and 0: all must have the same size
};

/// Reads a folder that has a folder of PNG files for each class: x [n, channels, height, width] f32 in [0, 1], y [n]
/// i64, classes the names of the folders; folders and files in the order of their names.  Names that begin with a dot,
/// and files beside the classes' folders, count for nothing.
/// Throws IoError if something cannot be read, ParseError if a file is no PNG or damaged, UsageError if there are no
/// classes or one has no images or a file that is not called .png, ShapeError if sizes differ.
Dataset images(const std::string& folder, const ImagesOptions& options = {});

/// Images [..., height, width] in another size, by the triangle filter: linear between pixels where they grow, and a
/// weighted mean of all pixels where they shrink.  f32 or f64.  Throws ShapeError, DTypeError.
Tensor resize(const Tensor& images, std::int64_t height, std::int64_t width);

}  // namespace ebb::data
