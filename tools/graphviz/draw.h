// Graphviz's picture of a trace, folded as far as it takes.
#pragma once

#include "file.h"
#include "svg.h"

#include "../graphviz.h"

#include <string>

namespace ebb::graphviz {

/// Throws UsageError for options that mean nothing.
void check(const DotOptions& options);

struct Drawing {
  Trace folded;         ///< what was drawn
  Paints paints;        ///< the DOT, and what its colours stand for
  std::string picture;  ///< what dot made of it
};
/// `format` is an option of dot.  What dot cannot draw, or not within the limit, is folded further, to half as many cards and
/// so on, and the subtitle says so.
/// Throws TooMuch if even 25 cards are too many, and what run_dot() throws.
Drawing draw(const Trace& trace, DotOptions options, const std::string& format,
             std::chrono::milliseconds limit = time_limit);

}  // namespace ebb::graphviz
