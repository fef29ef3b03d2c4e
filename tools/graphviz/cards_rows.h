// Rows of cards: how deep each stands, and what stands left of what.
#pragma once

#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

namespace ebb::graphviz {

/// A card, or a leaf that stands once more beside an op that shares it.
struct CardItem {
  std::uint32_t id = 0;  ///< of an op or a leaf
  int operand = -1;      ///< of a leaf drawn beside the op `id`: as which of its operands
};

/// What is to be put into rows.  Lines go from an item to a later one.
struct CardItems {
  std::vector<CardItem> items;
  std::vector<std::pair<std::size_t, std::size_t>> lines;  ///< between positions in `items`
  std::vector<bool> from_left, to_right;                   ///< by item: whether a line comes in, or goes out, at that side
};

/// From top to bottom, each row from left to right.
using CardRows = std::vector<std::vector<CardItem>>;

/// Every line goes down, items without one from above stand right above what they serve, and few lines cross.
/// Gives positions in `items`.
std::vector<std::vector<std::size_t>> rows_of(const CardItems& graph);

}  // namespace ebb::graphviz
