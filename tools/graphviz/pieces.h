// What all views are written with: fonts, cards of leaves, the head of the page, the legend.
#pragma once

#include "plan.h"
#include "style.h"
#include "text.h"

#include <string>
#include <string_view>

namespace ebb::graphviz {

/// `markup` (escaped already) in a size and colour; empty for empty markup, which dot could not read.
std::string font(std::string_view markup, double points, std::string_view colour = {}, bool bold = false);
/// A cell; `attributes` as in "ALIGN=\"LEFT\"".
std::string cell(std::string_view markup, std::string_view attributes);
std::string row(std::string_view cells);
/// The frame of a card.
struct Frame {
  enum class Corners { square, rounded, dashed };
  std::string line, fill;  ///< colours; empty: none
  Corners corners = Corners::square;
  int padding = 4;  ///< within its cells
};
std::string table(const Frame& frame, std::string_view rows);
/// A statement's label=<...>.
std::string label(std::string_view markup);

/// A histogram as ▂▄▆█; empty without one.
std::string sparkline(std::span<const std::uint8_t> heights, double points, std::string_view colour);
/// "rms 1.44", "value 0.826"; empty without a value.
std::string value_text(const Record& r);
/// What is said of the value of `r`, in `ink` on a plain card; NaN and infinity stand out.
std::string value_markup(const std::string& text, const Record& r, double points, std::string_view ink,
                         const Style& style, bool bold = false);
/// For tooltips, with all digits: "affine = x·Wᵀ + b: 32×8 f32, rms 0.8219123"; the seconds if they are what is measured.
std::string op_words(const Record& op, const Style& style);
/// What a card is headed: the op's name, or what was folded into it.
std::string_view title_of(const Record& op);
/// The op's formula with the plain numbers that it took put in, or what is to be said of a fold.
std::string formula_of(const Record& op);
/// "+ added", "− removed"; empty for what is in both traces.
std::string_view change_words(const Record& op);
/// "Dense(10 -> 64)" with a real arrow.
std::string with_arrow(std::string text);
/// A leaf's name: its own, or what its first use calls it, or `otherwise`.
std::string leaf_name(const Trace& trace, const Record& leaf, std::string_view otherwise = {});

/// The opening of the digraph: page, title, fonts.  `facts` begin the subtitle, if the options have none; the gaps are in
/// inches.
std::string head(const Trace& trace, const DotOptions& options, const Style& style, std::string_view facts,
                 double rank_gap, double node_gap);
/// What the signs mean: `words`, then the scale of colours with what it measures, then what is drawn of zeros and the like.
std::string legend_markup(const Trace& trace, const Style& style, std::string_view words);
/// The card at the end of the forward pass, with its two ports v and s.
std::string loss_markup(const Trace& trace, const Style& style);
/// A band's label, `indent` points from its side, graph attributes and all.
std::string band_attributes(const Band& band, const Style& style, std::string_view justify, double indent = 0);

/// Attributes of a line that a gradient flows back along: filled arrow; hollow for exactly 0, a diamond for NaN and ∞,
/// dashes for not computed.
std::string back_line(const Gradient& gradient, const Style& style);
/// Attributes of a node that a line of that width (points) passes through without a seam.
std::string joint(double line_width, std::string_view colour);
/// For tooltips, with all digits: "gradient rms 0.00231746", "gradient not computed", ...
std::string gradient_words(const Gradient& gradient, bool scalar, bool compared = false);
/// The same number as cards print it, in words where it is none: "2.3e-3", "×0.5", "not computed", "no ratio", "no gradient".
std::string gradient_short(const Gradient& gradient, const Style& style);

}  // namespace ebb::graphviz
