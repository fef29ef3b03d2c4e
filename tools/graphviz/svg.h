// From dot's SVG to one that follows the reader's light or dark screen, and whose backward pass can play.
#pragma once

#include "page.h"
#include "xml.h"

#include <cstdint>
#include <string>
#include <vector>

namespace ebb::graphviz {

/// One picture in one theme or in two: a colour that differs between them is a stand-in, so that dot runs once.
struct Paints {
  struct Pair {
    std::string light, dark;
  };
  std::string dot;
  std::vector<Pair> pairs;  ///< by stand-in
};

/// Joins the DOT of both themes, which differ in colours alone.
Paints join(const std::string& light, const std::string& dark);
/// What dot is to draw for an SVG: for Theme::automatic both themes.
Paints paint(const Page& page);

/// A picture without what dot alone needed, ready to be changed.  A node's `id` is its name in DOT; a `title` in it, or in a
/// line, is its tooltip.  What a gradient paints has the classes `back` and `atN`: it comes with the N-th step, from 0.
struct Svg {
  Element root;
  std::string dark_rules;            ///< CSS: the colours of a dark screen; empty: there is one theme
  std::vector<std::uint32_t> steps;  ///< of backward, in the order in which they ran, by their numbers in the picture
};
Svg refine(const std::string& from_dot, const Paints& paints);

/// The picture as a file; it plays if the options say so.
std::string svg_file(const std::string& from_dot, const Paints& paints, const DotOptions& options);

}  // namespace ebb::graphviz
