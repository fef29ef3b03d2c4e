#include "../graphviz.h"

#include "file.h"
#include "fold.h"
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

}  // namespace

std::string dot(const Trace& trace, const DotOptions& options) {
  check(options);
  return write(fold(trace, options), options);
}

std::string dot(const Graph& graph, const DotOptions& options) { return dot(trace(graph), options); }

void render(const Trace& trace, const std::string& file, const DotOptions& options) {
  const std::string format = format_of(file);
  if (format == "json") return save(trace, file);
  const std::string text = dot(trace, options);
  Replacement out(file);
  if (format == "dot") out.write(text);
  else run_dot(text, format, out);
  out.commit();
}

void render(const Graph& graph, const std::string& file, const DotOptions& options) {
  render(trace(graph), file, options);
}

}  // namespace ebb::graphviz
