#include "../graphviz.h"

#include "draw.h"
#include "fold.h"
#include "text.h"
#include "write.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <filesystem>

namespace ebb::graphviz {

namespace {

std::string format_of(const std::string& file) {
  constexpr std::array known{".dot", ".svg", ".png", ".pdf", ".html", ".json"};
  const std::string extension = std::filesystem::path(file).extension().string();
  if (std::find(known.begin(), known.end(), extension) != known.end()) return extension.substr(1);
  throw UsageError(
      fmt::format("graphviz::render(\"{}\"): {}; .dot, .svg, .png, .pdf, .html and .json are known", shorten(file, 200),
                  extension.empty() ? "the file has no extension" : "unknown extension " + shorten(extension, 20)));
}

}  // namespace

std::string dot(const Trace& trace, const DotOptions& options) {
  check(options);
  return write(fold(trace, options), options);
}

std::string dot(const Graph& graph, const DotOptions& options) { return dot(trace(graph), options); }

void render(const Trace& trace, const std::string& file, const DotOptions& options) {
  const std::string format = format_of(file);
  if (options.play && format != "svg")
    throw UsageError(fmt::format("graphviz::render(\"{}\"): only a .svg plays", shorten(file, 200)));
  if (format == "json") return save(trace, file);
  Replacement out(file);
  if (format == "dot") {
    out.write(dot(trace, options));
  } else {
    const Drawing drawing = draw(trace, options, format);
    out.write(format == "svg" ? svg_file(drawing.picture, drawing.paints, options) : drawing.picture);
  }
  out.commit();
}

void render(const Graph& graph, const std::string& file, const DotOptions& options) {
  render(trace(graph), file, options);
}

}  // namespace ebb::graphviz
