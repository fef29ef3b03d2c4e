#include "pieces.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>

namespace ebb::graphviz {

namespace {

std::string default_subtitle(const Trace& trace, std::string_view facts) {
  std::string text(facts);
  if (trace.parameters > 0) text += count(trace.parameters, "parameter") + " · ";
  text += count(trace.ops, "forward op");
  if (trace.steps > 0) text += " · " + count(trace.steps, "backward step");
  if (!trace.observed) text += " · shapes only: graph.observe() before the forward pass keeps the numbers";
  else if (!trace.differentiated) text += " · no gradients: backward() has not run";
  return text;
}

// "Dense(10 -> 64)" with a real arrow.
std::string with_arrow(std::string text) {
  if (const std::size_t arrow = text.find("->"); arrow != std::string::npos) text.replace(arrow, 2, "→");
  return text;
}

}  // namespace

Style style_of(const Trace& trace, const DotOptions& options) {
  const Palette& colours = palette(options.theme);
  return {colours, Heat(colours, options.heat_center > 0 ? options.heat_center : median_gradient(trace))};
}

std::string font(std::string_view markup, double points, std::string_view colour, bool bold) {
  if (markup.empty()) return "";
  const std::string paint = colour.empty() ? "" : fmt::format(" COLOR=\"{}\"", colour);
  return bold ? fmt::format("<FONT POINT-SIZE=\"{}\"{}><B>{}</B></FONT>", points, paint, markup)
              : fmt::format("<FONT POINT-SIZE=\"{}\"{}>{}</FONT>", points, paint, markup);
}

std::string cell(std::string_view markup, std::string_view attributes) {
  return fmt::format("<TD{}{}>{}</TD>", attributes.empty() ? "" : " ", attributes, markup);
}

std::string row(std::string_view cells) { return fmt::format("<TR>{}</TR>", cells); }

std::string label(std::string_view markup) { return fmt::format("label=<{}>", markup); }

std::string table(const Frame& frame, std::string_view rows) {
  std::string attributes = frame.line.empty() ? "BORDER=\"0\"" : fmt::format("BORDER=\"1\" COLOR=\"{}\"", frame.line);
  if (!frame.fill.empty()) attributes += fmt::format(" BGCOLOR=\"{}\"", frame.fill);
  if (frame.corners == Frame::Corners::rounded) attributes += " STYLE=\"ROUNDED\"";
  if (frame.corners == Frame::Corners::dashed) attributes += " STYLE=\"ROUNDED,DASHED\"";
  return fmt::format("<TABLE {} CELLBORDER=\"0\" CELLSPACING=\"0\" CELLPADDING=\"{}\">{}</TABLE>", attributes,
                     frame.padding, rows);
}

std::string sparkline(std::span<const std::uint8_t> heights, double points, std::string_view colour) {
  constexpr std::array blocks{"▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"};
  std::string bars;
  for (const std::uint8_t h : heights) bars += blocks[h];
  if (bars.empty()) return "";  // Helvetica has no blocks, and what stands in for it is of another width
  return fmt::format("<FONT FACE=\"DejaVu Sans Mono\" POINT-SIZE=\"{}\" COLOR=\"{}\">{}</FONT>", points, colour, bars);
}

std::string value_text(const Record& r) {
  if (!r.has_value) return "";
  return (r.size() == 1 ? "value " : "rms ") + number(r.value);
}

std::string leaf_name(const Trace& trace, const Record& leaf, std::string_view otherwise) {
  if (!leaf.name.empty()) return std::string(leaf.name);
  if (leaf.kind != Node::Kind::constant) return "";
  for (const Record& r : trace.records)
    for (const Operand& o : r.operands)
      if (o.id == leaf.id && !o.name.empty()) return std::string(o.name);
  return std::string(otherwise);
}

std::string head(const Trace& trace, const DotOptions& options, const Style& style, std::string_view facts,
                 double rank_gap, double node_gap) {
  const std::string title = !options.title.empty() ? options.title
                            : trace.differentiated ? "Backpropagation, step by step"
                                                   : "Computational graph";
  const std::string subtitle = options.subtitle.empty() ? default_subtitle(trace, facts) : options.subtitle;
  const Palette& c = style.colours;
  const auto line = [](const std::string& text) { return row(cell(text, "ALIGN=\"LEFT\"")); };
  const std::string words =
      table({"", "", Frame::Corners::square, 1}, line(font(html(shorten(title, 120)), 19, {}, true)) +
                                                     line(font(html(shorten(subtitle, 200)), 12, c.muted)) +
                                                     row(cell("", "HEIGHT=\"8\"")));
  return fmt::format(
      "digraph backpropagation {{\n"
      "  graph [rankdir=TB newrank=true nodesep={} ranksep={} pad=0.3 bgcolor=\"{}\" "
      "fontname=\"Helvetica,Arial,sans-serif\""
      " fontcolor=\"{}\" labelloc=t labeljust=l\n         {}]\n"
      "  node [shape=plain fontname=\"Helvetica,Arial,sans-serif\" fontsize=12 fontcolor=\"{}\"]\n"
      "  edge [fontname=\"Helvetica,Arial,sans-serif\" fontsize=9 fontcolor=\"{}\" color=\"{}\" arrowsize=0.75]\n",
      node_gap, rank_gap, c.page, c.text, label(words), c.text, c.muted, c.forward);
}

std::string legend_markup(const Trace& trace, const Style& style, std::string_view words, std::string_view measure) {
  const Palette& c = style.colours;
  std::string rows = row(cell(font(html(words), 10, c.muted), ""));
  if (style.heat.known()) {
    std::string scale = cell(font(std::string(measure) + "   vanishing  ", 10, c.muted), "");
    for (const Heat::Step& step : style.heat.legend())
      scale += cell(font(step.label, 8, step.ink),
                    fmt::format("BGCOLOR=\"{}\" WIDTH=\"40\" HEIGHT=\"17\" FIXEDSIZE=\"TRUE\"", step.colour));
    scale += cell(font("  exploding", 10, c.muted), "");
    rows += row(cell(table({"", "", Frame::Corners::square, 0}, row(scale)), ""));
  }
  const bool any_zero = std::any_of(trace.records.begin(), trace.records.end(), [](const Record& r) {
    return r.gradient.state == Gradient::State::known && r.gradient.size == 0;
  });
  const bool any_broken = std::any_of(trace.records.begin(), trace.records.end(), [](const Record& r) {
    return r.gradient.state == Gradient::State::known && !std::isfinite(r.gradient.size);
  });
  std::string more;
  if (any_zero) more += font("blank, hollow arrow: gradient exactly 0", 10, c.muted);
  if (any_broken)
    more += font(more.empty() ? "" : "     ", 10) + font("NaN or ∞: the gradient is not finite", 10, c.broken, true);
  if (!more.empty()) rows += row(cell(more, ""));
  return table({"", "", Frame::Corners::square, 3}, rows);
}

std::string loss_markup(const Trace& trace, const Style& style) {
  const Palette& c = style.colours;
  const Record& root = trace[trace.root];
  const std::string value = root.has_value ? "  <B>" + number(root.value) + "</B>" : "";
  std::string cells = cell(font("loss" + value, 15), "PORT=\"v\"");
  if (trace.differentiated) cells += cell(font("seed  ∂L/∂L = 1", 11, c.muted), "PORT=\"s\"");
  return fmt::format(
      "<TABLE BORDER=\"2\" COLOR=\"{}\" STYLE=\"ROUNDED\" BGCOLOR=\"{}\" CELLBORDER=\"0\" CELLSPACING=\"0\""
      " CELLPADDING=\"6\">{}</TABLE>",
      c.text, c.card, row(cells));
}

std::string band_attributes(const Band& band, const Style& style, std::string_view justify) {
  const Palette& c = style.colours;
  const std::string gap = "\u00a0\u00a0\u00a0";  // spaces at the edge of a piece of text would be dropped
  std::string text;
  for (const Band::Title& title : band.titles) {
    if (!text.empty()) text += gap + "·" + gap;
    const std::string kind = title.kind == title.path ? "" : with_arrow(title.kind);
    text += "<B>" + html(shorten(with_arrow(title.path), 60)) + "</B>";
    if (!kind.empty()) text += gap + html(shorten(kind, 60));
  }
  if (band.call != 0) text += gap + fmt::format("call {}", band.call);
  return fmt::format(
      "graph [{} labeljust={} labelloc=t fontcolor=\"{}\" style=\"rounded,filled\" color=\"{}\" fillcolor=\"{}\" "
      "margin=12 peripheries=1]",
      label(font(text, 12)), justify, c.muted, c.band_line, c.band);
}

std::string back_line(const Gradient& gradient, const Style& style) {
  if (gradient.state != Gradient::State::known)
    return fmt::format("dir=back style=dashed color=\"{}\" penwidth=1.4", style.colours.saved);
  return fmt::format("dir=back color=\"{}\" penwidth={:.2f}{}", style.heat.line(gradient.size),
                     style.heat.pen_width(gradient.size), gradient.size == 0 ? " arrowtail=onormal" : "");
}

std::string gradient_words(const Gradient& gradient, bool scalar) {
  if (gradient.state == Gradient::State::unknown) return "gradient not computed";
  if (gradient.state == Gradient::State::unneeded) return "no gradient";
  return (scalar ? "gradient " : "gradient rms ") + number(gradient.size);
}

}  // namespace ebb::graphviz
