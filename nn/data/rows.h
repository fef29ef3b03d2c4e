// Copying single rows out of a tensor.
#pragma once

#include "../../autograd/tensor.h"

#include <cstdint>
#include <span>

namespace ebb::data::detail {

/// The rows of x with these numbers, in this order.  The numbers must be in range.
Tensor gather_rows(const Tensor& x, std::span<const std::int64_t> numbers);

}  // namespace ebb::data::detail
