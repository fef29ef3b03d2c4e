// Pictures of a graph: values flow forward, gradients back.
#pragma once

#include <string>

namespace ebb {
class Graph;
}

namespace ebb::graphviz {

enum class Theme { light, dark };

/// How the ops are laid out.
enum class View {
  automatic,  ///< a ladder if the graph is a chain (with skips), cards if not
  ladder,     ///< one op in each row: forward down the left, parameters in the middle, backward up the right
  cards       ///< one card for each op: forward above, backward below
};

struct DotOptions {
  std::string title = "";     ///< empty: one that says what is seen
  std::string subtitle = "";  ///< empty: the counts of parameters, ops and backward steps
  Theme theme = Theme::light;
  int depth =
      16;  ///< how many levels of modules inside modules get a band of their own; deeper ops lie in the last one
  View view = View::automatic;
};

/// The most nodes, leaves included, that a picture holds.
inline constexpr int max_nodes = 2000;

/// The graph as text for Graphviz's `dot`: the same graph gives the same bytes.
/// After graph.observe() and a backward it shows values, gradients and the order of the steps; a graph that was not
/// observed shows structure and shapes.
/// Throws UsageError if the graph has more than max_nodes nodes, if `depth` is negative, or if View::ladder is asked of
/// a graph that is no chain.
std::string dot(const Graph& graph, const DotOptions& options = {});

/// Draws the graph into a file; the extension says how: .dot, .svg, .png or .pdf.  All but .dot need Graphviz.
/// The file is replaced only by a whole picture.  Throws what dot() throws, UsageError for another extension, and
/// IoError if the file cannot be written or Graphviz is missing, fails, or takes longer than 20 s.
void render(const Graph& graph, const std::string& file, const DotOptions& options = {});

}  // namespace ebb::graphviz
