#include "../graphviz.h"

#include "draw.h"
#include "file.h"
#include "text.h"

#include "../../autograd/graph.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <filesystem>

namespace ebb::graphviz {

namespace {

// As dot's option -T knows it, where dot does.
std::string format_of(const std::string& file, const DotOptions& options) {
  constexpr std::array known{".dot", ".svg", ".png", ".pdf", ".html", ".json"};
  const std::string extension = std::filesystem::path(file).extension().string();
  const auto refuse = [&](const std::string& why) {
    throw UsageError(fmt::format("graphviz::render(\"{}\"): {}", shorten(file, 200), why));
  };
  if (std::find(known.begin(), known.end(), extension) == known.end())
    refuse((extension.empty() ? "the file has no extension" : "unknown extension " + shorten(extension, 20)) +
           "; .dot, .svg, .png, .pdf, .html and .json are known");
  if (options.play && extension != ".svg" && extension != ".html") refuse("only a .svg or .html plays");
  return extension.substr(1);
}

void draw_into(const std::string& file, const std::string& format, Page page) {
  Replacement out(file);
  out.write(format == "dot" ? page.dot() : image(page, format));
  out.commit();
}

}  // namespace

std::string dot(const Trace& trace, const DotOptions& options) { return Page(trace, options).dot(); }

std::string dot(const Graph& graph, const DotOptions& options) { return dot(trace(graph), options); }

std::string dot(const std::vector<Part>& parts, const DotOptions& options) { return Page(parts, options).dot(); }

void render(const Trace& trace, const std::string& file, const DotOptions& options) {
  const std::string format = format_of(file, options);
  if (format == "json") return save(trace, file);
  draw_into(file, format, Page(trace, options));
}

void render(const Graph& graph, const std::string& file, const DotOptions& options) {
  render(trace(graph), file, options);
}

void render(const std::vector<Part>& parts, const std::string& file, const DotOptions& options) {
  const std::string format = format_of(file, options);
  if (format == "json")
    throw UsageError(fmt::format("graphviz::render(\"{}\"): a trace holds one graph, not several parts; save() each",
                                 shorten(file, 200)));
  draw_into(file, format, Page(parts, options));
}

}  // namespace ebb::graphviz
