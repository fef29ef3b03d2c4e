// The cards of a ladder: what stands in each row, as markup.
#pragma once

#include "pieces.h"

#include <string>
#include <string_view>

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
  /// The leaf on top, and the gradient that arrives there.
  std::string input(const Record& leaf) const;
  std::string arrived(const Record& leaf) const;
  /// A constant at the left of the op that uses it.
  std::string constant(const Record& leaf, const Operand& use) const;

 private:
  // Of texts, in points.  One width for each column of the picture, so that numbers change without moving the layout.
  struct Widths {
    double op = 98, shape = 54;       // forward card
    double name = 76, heat = 58;      // parameter
    double step = 78, gradient = 68;  // backward card, beside its pill
  };

  Widths measure(const Ladder& plan) const;
  std::string name_and(std::string_view name, std::string_view words, double room, double points) const;
  std::string rule_lines(std::string_view rule, std::string_view ink) const;
  std::string parameter(const Record& op, std::size_t operand) const;
  Frame frame_of(const Gradient& gradient) const;
  std::string ink_of(const Gradient& gradient) const;

  const Trace& trace_;
  const Style& style_;
  const Palette& c_;
  const Widths widths_;
};

}  // namespace ebb::graphviz
