#include "../graphviz.h"

#include "file.h"
#include "fold.h"
#include "strip.h"
#include "text.h"
#include "write.h"

#include "../../autograd/error.h"
#include "../../autograd/graph.h"

#include <fmt/format.h>

#include <filesystem>

namespace ebb::graphviz {

namespace {

// As dot's option -T knows it.
std::string format_of(const std::string& file) {
  const std::string extension = std::filesystem::path(file).extension().string();
  if (extension == ".dot" || extension == ".svg" || extension == ".png" || extension == ".pdf")
    return extension.substr(1);
  throw UsageError(
      fmt::format("graphviz::render(\"{}\"): {}; .dot, .svg, .png and .pdf are known", shorten(file, 200),
                  extension.empty() ? "the file has no extension" : "unknown extension " + shorten(extension, 20)));
}

void check(const DotOptions& options) {
  if (options.depth < 0) throw UsageError(fmt::format("graphviz: depth is {}; it must be at least 0", options.depth));
}

// A strip shows modules whole.
DotOptions as_strip(DotOptions options) {
  options.view = View::strip;
  if (options.depth == DotOptions{}.depth) options.depth = 1;
  return options;
}

void draw(const std::string& text, const std::string& format, const std::string& file) {
  Replacement out(file);
  if (format == "dot") out.write(text);
  else run_dot(text, format, out);
  out.commit();
}

}  // namespace

std::string dot(const Trace& trace, const DotOptions& options) {
  check(options);
  const DotOptions all = options.view == View::strip ? as_strip(options) : options;
  return write(fold(trace, all), all);
}

std::string dot(const Graph& graph, const DotOptions& options) { return dot(trace(graph), options); }

void render(const Trace& trace, const std::string& file, const DotOptions& options) {
  const std::string format = format_of(file);
  if (format == "json") return save(trace, file);
  draw(dot(trace, options), format, file);
}

void render(const Graph& graph, const std::string& file, const DotOptions& options) {
  render(trace(graph), file, options);
}

std::string dot(const std::vector<Part>& parts, const DotOptions& options) {
  check(options);
  if (parts.empty()) throw UsageError("graphviz: there is nothing to draw: no parts");
  if (options.view != View::automatic && options.view != View::strip)
    throw UsageError("graphviz: several graphs in one picture are drawn as strips; View::strip or View::automatic");
  const DotOptions all = as_strip(options);
  std::vector<Part> folded = parts;
  for (Part& part : folded) part.trace = fold(part.trace, all);
  return write_strip(folded, all);
}

void render(const std::vector<Part>& parts, const std::string& file, const DotOptions& options) {
  const std::string format = format_of(file);
  draw(dot(parts, options), format, file);
}

}  // namespace ebb::graphviz
