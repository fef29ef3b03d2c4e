// Where a recorded function of single numbers has sums of terms that are all computed alike.
#pragma once

#include "lanes.h"

#include <cstddef>
#include <vector>

namespace ebb::kernels {

/// Terms of `period` steps each, of which the last adds to the sum.
struct LaneRange {
  std::size_t first, period, terms;
  bool sum_is_a;  // of the operands of those last
  std::size_t end() const { return first + period * terms; }
};

/// In their order, none within another.
std::vector<LaneRange> find_sums(const LaneProgram& program);

}  // namespace ebb::kernels
