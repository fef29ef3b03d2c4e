// Where everything stands in the picture of a recurrence: steps side by side, equal ops at equal heights.  dot only
// draws it.
#pragma once

#include "cards_markup.h"
#include "cards_plan.h"

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <utility>
#include <vector>

namespace ebb::graphviz {

/// In points, y down.
struct Spot {
  double x = 0, y = 0;
};
struct Area {
  double left = 0, top = 0, right = 0, bottom = 0;
  Spot middle() const { return {(left + right) / 2, (top + bottom) / 2}; }
};

/// What a grid has to know of how things look.
struct CardSizes {
  std::function<CardSize(const CardItem&)> card;
  std::function<double(const Band&)> title;  ///< the width of a band's title
  CardSize loss;
};

struct CardGrid {
  using Key = std::pair<std::uint32_t, int>;  ///< of a CardItem
  struct Row {
    double top = 0, bottom = 0;
  };
  struct Column {
    Area area;
    std::vector<double> x;  ///< the middles of items and knots
    std::vector<Row> rows;
    double gap = 0;  ///< how much of the space before it is lanes for lines
  };

  std::map<Key, Area> cards;
  std::map<Key, std::pair<std::size_t, std::size_t>> rows;  ///< column and row of each card
  std::map<const Band*, Area> frames;                       ///< of those bands that hold nothing that is not theirs
  std::vector<Column> columns;
  Area loss, all;
};

CardGrid grid_of(const Trace& trace, const Cards& plan, const CardSizes& sizes);

/// Whether a line goes from one column to another, through the lanes between them.
bool goes_across(const Cards& plan, const CardLine& line);

/// How far lanes are apart, and from what stands beside them.
inline constexpr double lane_gap = 14, lane_margin = 16;
/// The height of a band's title.
inline constexpr double title_height = 22;

}  // namespace ebb::graphviz
