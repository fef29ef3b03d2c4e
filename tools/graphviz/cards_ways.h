// The ways of lines in the picture of a recurrence: within a step from card to card, from step to step through lanes.
#pragma once

#include "cards_grid.h"

#include <array>
#include <cstddef>
#include <map>
#include <string>
#include <vector>

namespace ebb::graphviz {

class CardWays {
 public:
  CardWays(const Cards& plan, const CardGrid& grid);

  /// The attribute pos of one of the plan's lines.  `returns`: it has an arrow at its beginning too.
  std::string line(std::size_t number, bool returns) const;
  /// Of the line from the root to the loss.
  std::string loss_line(std::uint32_t root, bool returns) const;
  /// Where a line's label stands.
  Spot label(std::size_t number) const;
  /// How far down lines go.
  double bottom() const { return bottom_; }

 private:
  struct Ends {
    Spot begin, end;
    bool sideways_out = false, sideways_in = false;
  };
  void end_within();
  void end_across();
  void take_lanes();
  bool is_last(const CardItem& item, bool right) const;
  std::vector<Spot> knees(std::size_t number) const;
  std::vector<Spot> turns(std::size_t number) const;

  const Cards& plan_;
  const CardGrid& grid_;
  std::map<std::size_t, std::pair<std::size_t, std::size_t>> within_;  // by line: its column, and its number there
  std::map<std::size_t, Ends> ends_;
  std::map<std::size_t, std::array<double, 3>>
      lanes_;  // x behind its beginning and before its end, y below all columns
  double bottom_ = 0;
};

}  // namespace ebb::graphviz
