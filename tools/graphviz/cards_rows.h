// Rows of cards: how deep each stands, what stands left of what, and where.
#pragma once

#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

namespace ebb::graphviz {

/// A card, or what stands beside one.
struct CardItem {
  static constexpr int card = -1, entry = -2;
  std::uint32_t id = 0;  ///< of an op or a leaf
  /// Of a leaf that stands once more beside the op `id`: as which of its operands.  Or `card`; or `entry`: where lines
  /// from the card of `id`, which is above, come in.
  int operand = card;
  friend bool operator==(const CardItem&, const CardItem&) = default;
};

/// What is to be put into rows.
struct CardItems {
  std::vector<CardItem> items;
  std::vector<std::pair<std::size_t, std::size_t>> lines;  ///< from an item to a later one, as positions in `items`
  std::vector<std::size_t> sections;      ///< by item, ascending: a section stands below the one before
  std::vector<bool> from_left, to_right;  ///< by item: whether a line comes in, or goes out, at that side
};

/// Positions in `items`; from items.size() on they are knots, of lines that pass a row.
struct CardRows {
  std::vector<std::vector<std::size_t>> rows;   ///< from top to bottom, each from left to right
  std::vector<std::vector<std::size_t>> knots;  ///< by line, from top to bottom
};

/// Every line goes down, items without one from above stand right above what they serve, and few lines cross.
CardRows rows_of(const CardItems& graph);

/// The middle of each item and knot from left to right, the first from 0 on: near those that it is joined to.
/// `widths` are those of the items; `gap` is kept between neighbours.
std::vector<double> spread(const CardItems& graph, const CardRows& rows, const std::vector<double>& widths, double gap);

}  // namespace ebb::graphviz
