#include "draw.h"

#include "html.h"
#include "steps.h"

namespace ebb::graphviz {

namespace {

std::string painted(const Page& page, const std::string& format, Paints& paints, const Alter& alter) {
  const auto in = [&](Theme theme) {
    const std::string dot = give_steps(page.dot(theme));
    return alter ? alter(dot, theme) : dot;
  };
  const Theme theme = page.options().theme;
  return format == "svg" && theme == Theme::automatic ? paints.join(in(Theme::light), in(Theme::dark)) : in(theme);
}

}  // namespace

std::string run_dot(Page& page, const std::string& format, Paints& paints, const Alter& alter,
                    std::chrono::milliseconds limit) {
  for (;;) {
    const std::string dot = painted(page, format, paints, alter);
    try {
      return run_dot(dot, format, limit);
    } catch (const TooMuch& error) {
      if (!page.fold_further(error.in_short)) throw;
    }
  }
}

std::string image(Page& page, const std::string& format, const Alter& alter) {
  Paints paints;
  const std::string picture = run_dot(page, format == "html" ? "svg" : format, paints, alter);
  if (format == "html") return html_page(refine(picture, paints), page);
  return format == "svg" ? svg_file(picture, paints, page.options()) : picture;
}

}  // namespace ebb::graphviz
