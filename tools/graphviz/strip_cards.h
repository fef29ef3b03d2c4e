// The cards of a strip, but those of folded records.
#pragma once

#include "pieces.h"
#include "strip_plan.h"

#include <string>

namespace ebb::graphviz {

/// Each card is a table for a label; words, in full, are for a tooltip.
class StripCards {
 public:
  StripCards(const Trace& trace, const Strip& plan, const Style& style)
      : trace_(trace), plan_(plan), style_(style), c_(style.colours) {}

  /// An op between modules, or the only one of a module, with the gradients of its parameters.
  std::string op(const Record& r) const;
  std::string input(const Strip::Input& input) const;
  std::string input_words(const Strip::Input& input) const;
  std::string loss() const;
  std::string loss_words() const;
  /// "×2", to stand above a line.
  std::string times(std::uint32_t n) const;
  /// Rows of a table: the parameters that several cards use, with the gradient from each, and their sum.
  std::string shared_rows() const;

 private:
  std::string share(const Gradient& g, const std::string& before) const;

  const Trace& trace_;
  const Strip& plan_;
  const Style& style_;
  const Palette& c_;
};

}  // namespace ebb::graphviz
