// How cards look: an op with its forward half above and its backward half below, leaves, stubs of what several ops
// share.
#pragma once

#include "pieces.h"

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

namespace ebb::graphviz {

struct CardSize {
  double width = 0, height = 0;
};

/// The attributes of a DOT node (class, tooltip, label), and how large it is in points; its numbers change neither.
struct CardLook : CardSize {
  std::string attributes;
};

class CardMarkup {
 public:
  CardMarkup(const Trace& trace, const Style& style) : trace_(trace), style_(style), c_(style.colours) {}

  /// `slice`: an op that only reads for this one and shares its card; may be null.
  CardLook op(const Record& r, const Record* slice = nullptr) const;
  /// A leaf that is drawn once.
  CardLook leaf(const Record& r) const;
  /// What stands, beside one of its users, for a leaf that has several.
  CardLook stub(const Record& op, std::size_t operand) const;
  /// A record that stands for several.
  CardLook folded(const Record& r) const;

 private:
  struct Words {
    std::string markup;
    double width = 0;
  };
  CardSize size_of_folded(const Record& r) const;
  Words title(const Record& r, const Record* slice) const;
  std::string forward(const Record& r, double wide) const;
  std::string backward(const Record& r, std::string_view steps, double wide) const;
  std::string gradient_chip(const Record& r, std::string_view steps, double wide) const;
  std::string chip(std::string_view left, std::string_view right, const std::optional<double>& size, double wide) const;
  std::string note(std::string_view left, std::string_view words) const;

  const Trace& trace_;
  const Style& style_;
  const Palette& c_;
};

/// All that is known of a node, in full: a tooltip has room for all digits.
std::string card_words(const Trace& trace, const Record& r);

/// " step12" for an op of that step: pictures play by it.
std::string step_class(const Record& op);

/// Attributes of the one line that stands for both directions: the value forward, a gradient back.
std::string duplex(const Gradient& gradient, const Trace& trace, const Style& style);

}  // namespace ebb::graphviz
