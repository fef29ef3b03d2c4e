// Images that are changed a little each time they are seen.
#pragma once

#include "loader.h"

#include <cstdint>
#include <vector>

namespace ebb::data {

// Each is a Transform for LoaderOptions.transform, for images x [n, ..., height, width] whose last two axes are height
// and width; y and weight stay.  Each image of a batch is changed by draws of its own.  All throw ShapeError for a batch
// without such axes.

/// Moves each image by up to `most` pixels up or down, and left or right; what comes in at the edge is 0.  It is the same
/// as padding by `most` and cropping to the old size at random.  Throws UsageError if most < 0.
Transform random_crop(std::int64_t most);
/// Mirrors left and right in this share of the images.  Throws UsageError unless 0 <= share <= 1.
Transform random_flip(double share = 0.5);
/// Sets a square of this side to 0 in each image, its middle anywhere: at the edge, less is seen of it.
/// Throws UsageError if side < 1.  Source: DeVries & Taylor 2017, "Improved regularization of convolutional neural
/// networks with cutout".
Transform random_erase(std::int64_t side);

/// One after the other.  Throws UsageError if one of them is empty.
Transform compose(std::vector<Transform> transforms);

}  // namespace ebb::data
