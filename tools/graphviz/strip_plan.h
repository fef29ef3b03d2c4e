// The plan of a strip: what stands in which row, and what is drawn beside it.
#pragma once

#include "plan.h"

#include <cstdint>
#include <string>
#include <vector>

namespace ebb::graphviz {

struct Strip {
  /// A leaf at the left of the card that uses it.
  struct Input {
    std::uint32_t leaf = 0, user = 0;
    bool copy = false;     ///< it stands beside other users too: long lines from one leaf would cross the picture
    std::size_t also = 0;  ///< how many other constants of the same card it stands for
  };
  /// From the first to the last card before the loss, each using the one before; a long chain goes on in the next row.
  /// Empty if the graph is no chain.
  std::vector<std::vector<std::uint32_t>> rows;
  std::vector<std::uint32_t> cards;    ///< every op, in the order of computing; without `loss`
  std::uint32_t loss = 0;              ///< the op that is drawn as the loss itself; 0: none
  std::vector<Link> links;             ///< between ops, each pair once
  std::vector<Input> inputs;           ///< data and variables
  std::vector<std::uint32_t> shared;   ///< parameters that several cards use
  std::vector<std::uint32_t> targets;  ///< constants that the loss alone uses

  /// The row that the card stands in, and its place there; {0, 0} where there are no rows.
  struct Place {
    std::size_t row = 0, column = 0;
  };
  Place place(std::uint32_t card) const;
  bool wraps() const { return rows.size() > 1; }
  /// Whether a card uses one of its row that is not its neighbour.
  bool skips() const;
};

Strip plan_strip(const Trace& folded);

}  // namespace ebb::graphviz
