// Leaves where ops are folded: which are still drawn, and which of the folded records takes in the others.
#pragma once

#include "fold_pieces.h"

#include <algorithm>
#include <cstdint>
#include <vector>

namespace ebb::graphviz {

class LeafUse {
 public:
  LeafUse(const Foldable& graph, const std::vector<Piece>& pieces, const Leaves& leaves);

  /// By the leaf's place in Trace::records.
  bool stays(std::size_t leaf) const;
  /// In how many places it is then drawn, at most: beside each op and each piece that reads it.
  std::size_t places(std::size_t leaf) const { return std::max<std::size_t>(reads_[leaf], 1); }
  /// The place of the one piece that reads it, which takes it in; no place of a piece if there is none.
  std::uint32_t owner(std::size_t leaf) const { return by_[leaf]; }
  /// How many parameters and variables do not stay because several pieces read them.
  std::int64_t gone() const { return shared_ <= most_shared_ ? 0 : shared_; }

 private:
  static constexpr std::uint32_t nobody = nowhere, open = nowhere - 1, several = nowhere - 2, an_input = nowhere - 3;

  const Trace& trace_;
  const bool keep_unused_;
  const std::int64_t most_shared_;
  std::int64_t shared_ = 0;
  std::vector<std::uint32_t> by_;     // the piece that reads it, or one of those above
  std::vector<std::uint32_t> reads_;  // how many operands of ops, and how many pieces, it is
};

}  // namespace ebb::graphviz
