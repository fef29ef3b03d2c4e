// Graphviz's picture of a page, folded as far as it takes.
#pragma once

#include "file.h"
#include "page.h"
#include "svg.h"

#include <string>

namespace ebb::graphviz {

struct Drawing {
  Paints paints;        ///< the DOT, and what its colours stand for
  std::string picture;  ///< what dot made of it
};
/// `format` is an option of dot.  What dot cannot draw, or not within the limit, is folded further, to half as many cards and
/// so on, and the subtitle says so.
/// Throws TooMuch if that does not help, and what run_dot() throws.
Drawing draw(Page& page, const std::string& format, std::chrono::milliseconds limit = time_limit);

/// Graphviz's picture of the page in an image format: svg, png or pdf.
std::string image(Page& page, const std::string& format);

}  // namespace ebb::graphviz
