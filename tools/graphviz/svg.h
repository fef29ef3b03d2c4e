// From dot's SVG to one that follows the reader's light or dark screen, and whose backward pass can play.
#pragma once

#include "page.h"
#include "xml.h"

#include <cstddef>
#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace ebb::graphviz {

/// Colours that differ between two themes, each with a stand-in, so that dot runs once for both.
class Paints {
 public:
  struct Pair {
    std::string light, dark;
  };
  /// The DOT of both themes, which differs in colours alone, as one.
  std::string join(const std::string& light, const std::string& dark);
  /// What a colour of a picture stands for; null if it is a colour itself.
  const Pair* pair(std::string_view colour) const;
  /// Its number, from 0.
  std::size_t number(const Pair& pair) const { return static_cast<std::size_t>(&pair - pairs_.data()); }
  /// Whether a gradient's size gave it.
  bool is_heat(std::string_view colour) const;

 private:
  std::vector<Pair> pairs_;
  std::map<std::pair<std::string, std::string>, std::size_t> known_;
};

/// A picture without what dot alone needed, ready to be changed.  A node's `id` is its name in DOT; a `title` in it, or in a
/// line, is its tooltip.  What a gradient paints has the classes `back` and `atN`: it comes with the N-th step, from 0.
struct Svg {
  Element root;
  std::set<std::string> dark_rules;  ///< CSS: the colours of a dark screen; none: there is one theme
  std::vector<std::uint32_t> steps;  ///< of backward, in the order in which they ran, by their numbers in the picture
};
Svg refine(const std::string& from_dot, const Paints& paints);

/// The picture as a file; it plays if the options say so.
std::string svg_file(const std::string& from_dot, const Paints& paints, const DotOptions& options);
/// The same of what refine() gave, and was changed; `rules` is CSS for both themes.
std::string svg_file(Svg svg, std::string rules);

}  // namespace ebb::graphviz
