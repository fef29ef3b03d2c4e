#include "../graphviz.h"

#include "file.h"
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

}  // namespace

std::string dot(const Graph& graph, const DotOptions& options) {
  const std::size_t size = graph.size();
  if (size > static_cast<std::size_t>(max_nodes))  // before nodes() makes them
    throw UsageError(
        fmt::format("graphviz: {} nodes are more than a picture holds ({})\n  help: draw the graph of one sample, or "
                    "of fewer steps",
                    thousands(static_cast<std::int64_t>(size)), thousands(max_nodes)));
  if (options.depth < 0) throw UsageError(fmt::format("graphviz: depth is {}; it must be at least 0", options.depth));
  return write(graph.nodes(), graph.observing(), options);
}

void render(const Graph& graph, const std::string& file, const DotOptions& options) {
  const std::string format = format_of(file);
  const std::string text = dot(graph, options);
  Replacement out(file);
  if (format == "dot") out.write(text);
  else run_dot(text, format, out);
  out.commit();
}

}  // namespace ebb::graphviz
