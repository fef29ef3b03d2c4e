// A picture as a page of its own: to zoom, to search, and to go through backward step by step.
#pragma once

#include "page.h"
#include "svg.h"

#include <string>

namespace ebb::graphviz {

/// One file that needs no other.
std::string html_page(Svg svg, const Page& page);

/// Its parts: viewer.html, viewer.css and viewer.js.
extern const char* const viewer_page;
extern const char* const viewer_style;
extern const char* const viewer_script;

}  // namespace ebb::graphviz
