// The lines of a ladder: values down, gradients up.
//
// Names of DOT nodes: f forward card, m middle, b backward card, q recorded backward, c constant beside a row, v and r
// points through which long lines pass; the number is the id of the row's op.
#pragma once

#include "ladder_cards.h"

#include <fmt/format.h>

#include <cstdint>
#include <map>
#include <string>

namespace ebb::graphviz {

class LadderLines {
 public:
  LadderLines(const Trace& trace, const Ladder& plan, const Style& style, const LadderCards& cards);

  /// All of them, as statements.
  std::string write();

  /// Where the backward lane passes a row without a step: attributes of a point there; empty where it does not.
  std::string passing_look(std::uint32_t op) const;
  /// The name of the point where a skip passes a row.
  std::string point(const Ladder::Skip& skip, const Ladder::Row& row) const;
  /// " step7" of a node that belongs to a step of backward.
  std::string step_of(const Record& op) const;

 private:
  template <class... T> void line(fmt::format_string<T...> text, T&&... values) {
    out_ += "  ";
    fmt::format_to(std::back_inserter(out_), text, std::forward<T>(values)...);
    out_ += '\n';
  }

  void forward();
  void skip(const Ladder::Skip& skip);
  void backward();
  void in_recorded_lane();
  void to_parameters();
  std::string back_attributes(const Gradient& gradient, const Record& op) const;
  std::string both(const Gradient& gradient, bool forward_is_head) const;
  const Ladder::Row& row_at(std::size_t place) const { return plan_.rows[place - 1]; }
  const Link* passing_gradient(std::uint32_t op) const;

  const Trace& trace_;
  const Ladder& plan_;
  const Style& style_;
  const Palette& c_;
  const LadderCards& cards_;
  std::map<std::uint32_t, std::size_t> row_of_;
  std::string out_;
};

}  // namespace ebb::graphviz
