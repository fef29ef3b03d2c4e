// Pictures of a graph: values flow forward, gradients back.
#pragma once

#include "graphviz/trace.h"

#include <cstdint>
#include <string>
#include <vector>

namespace ebb::graphviz {

enum class Theme {
  automatic,  ///< the reader's: .svg and .html hold both and follow the screen's setting; elsewhere light
  light,
  dark
};

/// How the ops are laid out.
enum class View {
  automatic,  ///< by the graph's form: scalar, a ladder if it is a chain (with skips), else cards; a strip at depth 1,
              ///< and of a chain that is mostly folded
  ladder,     ///< one op in each row: forward down the left, parameters in the middle, backward up the right
  cards,      ///< one card for each op, forward above, backward below; steps in time go from left to right
  strip,      ///< one card for each module (at depth 1 unless a smaller one is asked for), in a row from left to right
  scalar      ///< every + and * with its value and gradient, from left to right
};

/// What the colours and widths say.
enum class Color {
  gradient,  ///< root mean square of the gradient that arrives
  value,     ///< root mean square of the values
  time,      ///< seconds, forward and backward each
  memory     ///< bytes: of the values, and of what is kept for backward
};

struct DotOptions {
  std::string title = "";     ///< empty: one that says what is seen
  std::string subtitle = "";  ///< empty: the counts of parameters, ops and backward steps, and what was folded
  Theme theme = Theme::automatic;
  /// How many levels of modules are opened: at 1 each top-level module is one card, at 2 the modules inside of it are;
  /// a module at a level that is open is a band around its ops.
  int depth = 16;
  View view = View::automatic;
  Color color = Color::gradient;
  double heat_center = 0;  ///< the size in the middle of the scale of colours; 0: the median
  double heat_span = 0;    ///< decades from the middle to either end; 0: 2, more if it takes more
  /// The most nodes that are drawn, leaves and the loss among them; at least 2.  A larger graph is folded, and the subtitle
  /// says how: pointwise ops in a row; of five equal blocks in a row or more (steps in time, layers of a stack) all but the
  /// first two and the last two; modules from the innermost out; each of these four blocks; and then neighbours.
  int max_nodes = 400;
  std::string focus = "";  ///< the path of a module: only what is within `radius` ops of it is drawn open
  int radius = 2;
  bool play = false;  ///< .svg and .html: plays the backward pass, in the order in which it ran, over and over
};

/// The graph as text for Graphviz's `dot`: the same graph gives the same bytes.
/// After graph.observe() and a backward it shows values, gradients and the order of the steps; a graph that was not
/// observed shows structure and shapes.
/// Throws UsageError for options that mean nothing, for a view that does not fit the graph, and for a graph of more
/// than most_nodes.
std::string dot(const Graph& graph, const DotOptions& options = {});
std::string dot(const Trace& trace, const DotOptions& options = {});

/// Draws the graph into a file; the extension says how: .dot, .svg, .png, .pdf, .html (a page to zoom, search and step
/// through), or .json (a trace, as save() writes it).  All but .dot and .json need Graphviz; what it cannot lay out in
/// 20 s is folded further.
/// The file is replaced only by a whole picture.  Throws what dot() throws, UsageError for another extension, and
/// IoError if the file cannot be written or Graphviz is missing, fails, or takes too long for the smallest picture.
void render(const Graph& graph, const std::string& file, const DotOptions& options = {});
void render(const Trace& trace, const std::string& file, const DotOptions& options = {});

/// One of several graphs in one picture.
struct Part {
  std::string title = "";   ///< of the band behind it
  std::string detail = "";  ///< beside the title
  Trace trace;
};

/// A strip for each part, one above the other on one scale of colours, so that their gradients can be compared; modules
/// are opened as in View::strip.
/// Throws what dot() throws, and UsageError for no parts or another view.
std::string dot(const std::vector<Part>& parts, const DotOptions& options = {});
void render(const std::vector<Part>& parts, const std::string& file, const DotOptions& options = {});

enum class FrameFormat { svg, png };

/// The backward pass as images, which differ in colours alone: in the N-th, what comes after step N is faint.  They are named
/// step-000.svg (nothing has come yet), step-001.svg, ...; the paths are returned.  The folder is made if need be; other
/// files in it stay.
/// Throws what render() throws.
std::vector<std::string> frames(const Trace& trace, const std::string& folder, const DotOptions& options = {},
                                FrameFormat format = FrameFormat::svg);

/// A training as images: one for each part, named frame-000.svg, ..., on one scale of colours; the part's title stands above
/// it, its detail in the subtitle.  The same model gives the same layout, with other numbers and colours.
/// Throws what render() throws, and UsageError for no parts.
std::vector<std::string> frames(const std::vector<Part>& parts, const std::string& folder,
                                const DotOptions& options = {}, FrameFormat format = FrameFormat::svg);

/// The same as one SVG that shows them one after the other, over and over; at rest, for a reader who wants no motion, it
/// shows the last.
/// Throws what render() throws, and UsageError for no parts.
void film(const std::vector<Part>& parts, const std::string& file, const DotOptions& options = {});

/// What became of a step: the nodes of `after`, with those that only `before` has where they were, marked.
/// The sizes of gradients, their contributions and those of parameters are after / before: 1 where both are exactly 0, ∞
/// where only `before` is; of what only one of them has, unknown.  Values are those of `after`.
/// A leaf is the same node if it has the same name, or none and the same use; an op if it is in the same module, in the
/// same call of it, and in the same place there among ops of its name, so that one layer more shifts no other.
Trace diff(const Trace& before, const Trace& after);

/// The same facts as a table for a terminal, at most 100 columns wide and folded by the same options: a row for each
/// op, parameter and variable, sorted by what options.color names, the largest first.
/// Throws UsageError for options that mean nothing, and for times that the trace does not hold.
std::string text(const Graph& graph, const DotOptions& options = {});
std::string text(const Trace& trace, const DotOptions& options = {});

/// What is wrong with the gradients, in words for a terminal: numbers that are not finite, and where they began; parameters
/// off the path to the loss; layers whose gradient is exactly 0, or a hundred times below or above the median of all;
/// gradients that fall or rise from layer to layer; dead ReLUs, whose units are 0 in every row of the batch; saturated
/// sigmoids and tanhs.  Each with its module path, the number, what it is compared with, and what usually helps.
/// Of a healthy net one sentence.  The trace should not be folded.
std::string report(const Trace& trace);

/// A trace of a training.
struct Moment {
  std::int64_t step = 0;  ///< of the optimizer, counted from 1
  Trace trace;
};

/// The same of the last, with the step since which it is so, and what was so before and passed.
std::string report(const std::vector<Moment>& moments);

}  // namespace ebb::graphviz
