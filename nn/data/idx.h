// Images and their classes in IDX files.
#pragma once

#include "dataset.h"

#include <string>

namespace ebb::data {

/// How idx() hands images out.
struct IdxOptions {
  double scale = 1.0 / 255;  ///< each number times this: bytes become numbers in [0, 1]
  bool channel = true;       ///< images [n, height, width] become [n, 1, height, width], as convolutions want them
};

/// Images with their classes, in IDX files as MNIST and Fashion-MNIST come in, gzip-packed or not: x [n, 1, height,
/// width] f32, y [n] i64.
/// Throws what io::read_idx does, and ParseError if the labels are not one whole number for each image.
Dataset idx(const std::string& images, const std::string& labels, const IdxOptions& options = {});

}  // namespace ebb::data
