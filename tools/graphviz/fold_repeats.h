// Blocks of ops that come again and again: layers of a stack, steps in time.
#pragma once

#include "fold_order.h"

#include <cstddef>
#include <vector>

namespace ebb::graphviz {

/// Equal blocks, one behind the other, that stand in one call.
struct Repeat {
  enum class Parameters : std::uint8_t { none, same, distinct, some };

  std::uint32_t call = 0;                    ///< in Order::calls: where the blocks stand
  Place first = 0, end = 0;                  ///< all blocks
  Place length = 0;                          ///< ops in each
  bool inner = false;                        ///< they stand in a block of another that is not folded away
  bool recurrent = false;                    ///< each reads what the one before made
  Parameters parameters = Parameters::none;  ///< that each has of what the one before has
  std::vector<Place> crossing;               ///< of a block: the ops that the next one reads, counted from its first

  std::size_t blocks() const { return (end - first) / length; }
  Place block(std::size_t n) const { return first + static_cast<Place>(n) * length; }
};

/// Fewer are not worth folding: the first two and the last two stay.
inline constexpr std::size_t fewest_blocks = 5;

/// Equal is what has the same ops on the same shapes, which read one another in the same way; numbers and names do not
/// count.  Sorted by call, then by place; one stands before those inside of its blocks.
std::vector<Repeat> find_repeats(const Trace& trace, const Order& order);

}  // namespace ebb::graphviz
