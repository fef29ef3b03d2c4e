// Many gradients that are products, on their way to one tensor, as one product.
#pragma once

#include "list.h"

namespace ebb::detail {

/// Notes the gradient leftᵀ·right for a node, of two matrices [rows, ...].
void defer(List& list, TensorNode& node, Tensor left, Tensor right);
/// Adds what was noted to the node's gradient.
void settle(List& list, TensorNode& node);

}  // namespace ebb::detail
