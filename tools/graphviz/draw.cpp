#include "draw.h"

namespace ebb::graphviz {

Drawing draw(Page& page, const std::string& format, std::chrono::milliseconds limit) {
  for (;;) {
    Paints paints = format == "svg" ? paint(page) : Paints{page.dot(), {}};
    try {
      std::string picture = run_dot(paints.dot, format, limit);
      return {std::move(paints), std::move(picture)};
    } catch (const TooMuch& error) {
      if (!page.fold_further(error.in_short)) throw;
    }
  }
}

std::string image(Page& page, const std::string& format) {
  const Drawing drawing = draw(page, format);
  return format == "svg" ? svg_file(drawing.picture, drawing.paints, page.options()) : drawing.picture;
}

}  // namespace ebb::graphviz
