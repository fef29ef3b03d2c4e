// The cards of a ladder: what stands in each row, as markup.
#pragma once

#include "pieces.h"

#include <cmath>
#include <string>
#include <string_view>
#include <vector>

namespace ebb::graphviz {

class LadderCards {
 public:
  LadderCards(const Trace& trace, const Ladder& plan, const Style& style);

  /// An op's result.
  std::string forward(const Record& op) const;
  /// An op's step back: its order, the gradient that arrives, its rule.
  std::string backward(const Record& op) const;
  /// What stands between them: parameters with their gradients and what is saved; empty if nothing is to be said.
  std::string middle(const Ladder::Row& row) const;
  /// The ops of an op's recorded backward, the first at the bottom.
  std::string recorded(const Ladder::Row& row) const;
  /// The leaf on top, and the gradient that arrives there.
  std::string input(const Record& leaf) const;
  std::string arrived(const Record& leaf) const;
  /// A constant at the left of the op that uses it.
  std::string constant(const Record& leaf, const Operand& use) const;

  /// Whether parameters stand in the middle of the row.
  bool has_parameters(const Ladder::Row& row) const;

 private:
  // Of texts, in points.  One width for each column of the picture, so that numbers change without moving the layout.
  struct Widths {
    double op = 98, shape = 54;                  // forward card
    double name = 76, heat = 58;                 // parameter
    double pill = 22, step = 78, gradient = 68;  // backward card
    double recorded = 90, recorded_shape = 40;   // recorded op
  };

  Widths measure(const Ladder& plan) const;
  std::string name_and(std::string_view name, std::string_view words, double room, double points,
                       std::string_view ink = {}) const;
  std::string lines_of(const std::vector<std::string>& parts, std::string_view between, double points,
                       std::string_view ink) const;
  std::string pill(std::string_view text) const;
  std::string amount(const Gradient& gradient, std::string_view before) const;
  std::string parameter(const Ladder::Row& row, std::size_t operand) const;
  std::string folded_parameters(const Fold& fold) const;
  std::vector<std::string> inside_lines(const Fold& fold, std::string_view ink) const;
  std::string recorded_op(const Record& op) const;
  std::string recorded_formula(const Record& op) const;
  double step_room() const;

  const Trace& trace_;
  const Style& style_;
  const Palette& c_;
  const Widths widths_;
};

// What the cards are measured with, in points.
inline constexpr double cell_padding = 8;  // left and right together
inline constexpr double most_name_of_curve = 60;
inline constexpr double words_gap = 12;  // between a name and the words beside it

inline std::string left(double points) {
  return "WIDTH=\"" + std::to_string(std::lround(points + cell_padding)) + "\" ALIGN=\"LEFT\"";
}
inline std::string right(double points) {
  return "WIDTH=\"" + std::to_string(std::lround(points + cell_padding)) + "\" ALIGN=\"RIGHT\"";
}
inline constexpr const char* both_columns = "COLSPAN=\"2\" ALIGN=\"LEFT\"";

}  // namespace ebb::graphviz
