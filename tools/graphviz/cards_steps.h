// Steps in time: where a graph does the same again with the same parameters, on what it got the last time.
#pragma once

#include "trace.h"

#include <cstdint>
#include <vector>

namespace ebb::graphviz {

/// One step of a recurrence, or several that are folded into one record.
struct Step {
  std::vector<std::uint32_t> ops;  ///< ids, ascending
  std::int64_t number = 0;         ///< from 1; of several the first
};

/// The longest run of equal blocks, one after the other in `ops` (ids, ascending), that share parameters and each take
/// something from the one before; none if there is no such run.  The first and the last may lack some ops.
/// Blocks are equal if they call the same modules in a row, else if they are of the same ops, modules and parameters.
std::vector<Step> find_steps(const Trace& trace, const std::vector<std::uint32_t>& ops);

}  // namespace ebb::graphviz
