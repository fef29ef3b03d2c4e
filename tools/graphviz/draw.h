// Graphviz's picture of a page, folded as far as it takes.
#pragma once

#include "file.h"
#include "page.h"
#include "svg.h"

#include <functional>
#include <string>

namespace ebb::graphviz {

/// What is done to the DOT of each theme before dot sees it.
using Alter = std::function<std::string(const std::string& dot, Theme theme)>;

/// What dot makes of the page; `format` is an option of dot.  An SVG is painted in stand-ins where the page is for both
/// themes.  What dot cannot draw, or not within the limit, is folded further, to half as many cards and so on, and the
/// subtitle says so.
/// Throws TooMuch if that does not help, and what run_dot() throws.
std::string run_dot(Page& page, const std::string& format, Paints& paints, const Alter& alter = nullptr,
                    std::chrono::milliseconds limit = time_limit);

/// The picture as a file: svg, png, pdf, or html.
std::string image(Page& page, const std::string& format, const Alter& alter = nullptr);

}  // namespace ebb::graphviz
