#include "pieces.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <cmath>

namespace ebb::graphviz {

namespace {

std::int64_t cards(const Trace& trace) {
  return std::count_if(trace.records.begin(), trace.records.end(), [](const Record& r) { return r.is_op(); });
}

std::string default_subtitle(const Trace& trace, std::string_view facts) {
  std::string text(facts);
  if (trace.parameters > 0) text += count(trace.parameters, "parameter") + " · ";
  const auto recorded = std::count_if(trace.records.begin(), trace.records.end(), [](const Record& r) {
    return r.is_op() && r.backward_of != 0 && r.fold == nullptr;
  });
  if (trace.folded.empty()) text += count(trace.ops - recorded, "forward op");
  else text += fmt::format("{} drawn as {}", count(trace.ops, "op"), count(cards(trace), "card"));
  if (recorded > 0 && trace.folded.empty()) text += " · " + count(recorded, "recorded backward op");
  if (trace.steps > 0) text += " · " + count(trace.steps, "backward step");
  for (const std::string& what : trace.folded) text += " · " + what;
  if (!trace.observed) text += " · shapes only: graph.observe() before the forward pass keeps the numbers";
  else if (!trace.differentiated) text += " · no gradients: backward() has not run";
  return text;
}

// What is left of the module's kind when its path is said: nothing of "Embedding" at "embedding", "(9, 4)" of
// "Embedding(9, 4)" there.
std::string_view rest_of_kind(std::string_view path, std::string_view kind) {
  if (path.ends_with(kind)) return {};  // it has no other name
  const std::string_view name = path.substr(path.rfind('.') + 1), word = kind.substr(0, kind.find('('));
  const auto same = [](char a, char b) {
    return std::tolower(static_cast<unsigned char>(a)) == std::tolower(static_cast<unsigned char>(b));
  };
  return std::equal(name.begin(), name.end(), word.begin(), word.end(), same) ? kind.substr(word.size()) : kind;
}

}  // namespace

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

std::string value_markup(const std::string& text, const Record& r, double points, std::string_view ink,
                         const Style& style, bool bold) {
  const bool stands_out = r.has_value && !std::isfinite(r.value);
  return font(text, points, stands_out ? style.colours.broken : ink, bold || stands_out);
}

std::string op_words(const Record& op, const Style& style) {
  const std::string formula = formula_of(op);
  const char* const between = formula.empty() ? "" : op.fold != nullptr ? ", " : " = ";
  std::string text = fmt::format("{}{}{}: {} {}", shorten(title_of(op), 100), between, shorten(formula, 200),
                                 shape_text(op.shape), op.dtype);
  if (op.has_value) text += fmt::format(", {}{:.10g}", op.size() == 1 ? "value " : "rms ", op.value);
  if (style.color == Color::time && op.forward_seconds > 0)
    text += fmt::format(", {} forward, {} backward", duration(op.forward_seconds), duration(op.backward_seconds));
  if (style.color == Color::memory) text += fmt::format(", {}, {} saved", bytes(op.bytes()), bytes(saved_bytes(op)));
  return text;
}

std::string_view title_of(const Record& op) { return op.fold != nullptr ? op.fold->title : op.op; }

std::string formula_of(const Record& op) {
  if (op.fold != nullptr) return with_arrow(std::string(op.fold->detail));
  std::string text(op.formula);
  const auto is_word = [](char c) { return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '_'; };
  for (const Operand& o : op.operands) {
    if (o.id != 0 || o.name.empty() || std::isnan(o.number)) continue;
    const std::size_t at = text.find(o.name), end = at + o.name.size();
    if (at == std::string::npos || (at > 0 && is_word(text[at - 1])) || (end < text.size() && is_word(text[end])))
      continue;
    text.replace(at, o.name.size(), number(o.number));
  }
  return text;
}

std::string_view change_words(const Record& op) {
  return op.change == Change::added ? "+ added" : op.change == Change::removed ? "− removed" : "";
}

std::string with_arrow(std::string text) {
  if (const std::size_t arrow = text.find("->"); arrow != std::string::npos) text.replace(arrow, 2, "→");
  return text;
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
      table({"", "", Frame::Corners::square, 1}, line(font(html(cut(title, 120)), 19, {}, true)) +
                                                     line(font(html(cut(subtitle, 200)), 12, c.muted)) +
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

std::string legend_markup(const Trace& trace, const Style& style, std::string_view words) {
  const Palette& c = style.colours;
  const auto any = [&](auto&& holds) {
    return std::any_of(trace.records.begin(), trace.records.end(), [&](const Record& r) { return holds(r.gradient); });
  };
  using State = Gradient::State;
  std::string rows = row(cell(font(html(words), 10, c.muted), "")) + scale_markup(style);
  std::string more;
  if (any([](const Gradient& g) { return g.state == State::known && g.size == 0; }))
    more += cell(font("blank, hollow arrow: gradient exactly 0", 10, c.muted), "");
  if (any([](const Gradient& g) { return g.state == State::known && !std::isfinite(g.size); }))
    more += cell(font("diamond, NaN or ∞: the gradient is not finite", 10, style.heat.ink(no_number), true),
                 fmt::format("BGCOLOR=\"{}\"", c.broken));
  if (trace.differentiated && trace.observed && any([](const Gradient& g) { return g.state == State::unknown; }))
    more += cell(
        font(trace.compared ? "dashed line: only one of the two has a gradient" : "dashed line: gradient not computed",
             10, c.muted),
        "");
  if (!more.empty())
    rows += row(cell(fmt::format("<TABLE BORDER=\"0\" CELLBORDER=\"0\" CELLSPACING=\"6\">{}</TABLE>", row(more)), ""));
  return table({"", "", Frame::Corners::square, 3}, rows);
}

std::string loss_markup(const Trace& trace, const Style& style) {
  const Palette& c = style.colours;
  const Record& root = trace[trace.root];
  const bool recorded = root.backward_of != 0;  // a gradient, of which the gradient was taken
  const std::string digits = root.scalar ? scalar_number(root.value) : number(root.value);
  const std::string value = root.has_value ? "  <B>" + digits + "</B>" : "";
  std::string cells = cell(value_markup((recorded ? "∂" : "loss") + value, root, 15, "", style), "PORT=\"v\"");
  if (trace.differentiated) cells += cell(font(recorded ? "seed  1" : "seed  ∂L/∂L = 1", 11, c.muted), "PORT=\"s\"");
  return fmt::format(
      "<TABLE BORDER=\"2\" COLOR=\"{}\" STYLE=\"ROUNDED\" BGCOLOR=\"{}\" CELLBORDER=\"0\" CELLSPACING=\"0\""
      " CELLPADDING=\"6\">{}</TABLE>",
      c.text, c.card, row(cells));
}

std::string band_attributes(const Band& band, const Style& style, std::string_view justify, double indent) {
  const Palette& c = style.colours;
  // Gaps stand by themselves: spaces at the edge of a piece of text would be dropped.
  std::string text;
  const auto put = [&](std::string_view words, bool bold) {
    if (!words.empty()) text += (text.empty() ? "" : "  ") + font(html(words), 12, {}, bold);
  };
  for (const Band::Title& title : band.titles) {
    if (!text.empty()) put("·", false);
    put(cut(with_arrow(title.path), 60), true);
    put(cut(with_arrow(std::string(rest_of_kind(title.path, title.kind))), 60), false);
  }
  if (band.call != 0) put(fmt::format("call {}", band.call), false);
  if (indent > 0)
    text = table({"", "", Frame::Corners::square, 0},
                 row(cell("", fmt::format("WIDTH=\"{:.0f}\"", indent)) + cell(text, "")));
  return fmt::format(
      "graph [{} labeljust={} labelloc=t fontcolor=\"{}\" style=\"rounded,filled\" color=\"{}\" fillcolor=\"{}\" "
      "margin=12 peripheries=1]",
      label(text), justify, c.muted, c.band_line, c.band);
}

std::string back_line(const Gradient& gradient, const Style& style) {
  const Palette& c = style.colours;
  if (gradient.state != Gradient::State::known)
    return fmt::format("dir=back style=dashed color=\"{}\" penwidth=1.4", c.saved);
  const char* const arrow = gradient.size == 0              ? " arrowtail=onormal"
                            : !std::isfinite(gradient.size) ? " arrowtail=diamond"
                                                            : "";
  const std::optional<double> size = style.of(gradient);
  if (!size) return fmt::format("dir=back color=\"{}\" penwidth=1.80{}", c.edge_mid, arrow);
  return fmt::format("dir=back color=\"{}\" penwidth={:.2f}{}", style.heat.line(*size), style.heat.pen_width(*size),
                     arrow);
}

// dot ends the line a point before and begins it a point after the middle, whatever lies there.
std::string joint(double line_width, std::string_view colour) {
  return fmt::format(
      "shape=box style=filled penwidth=0 label=\"\" fixedsize=true width={:.3f} height=0.03 color=\"{}\"",
      line_width / 72, colour);
}

std::string gradient_words(const Gradient& gradient, bool scalar, bool compared) {
  if (gradient.state == Gradient::State::unknown) return compared ? "no ratio of gradients" : "gradient not computed";
  if (gradient.state == Gradient::State::unneeded) return "no gradient";
  if (compared) return fmt::format("gradient {:.10g} times what it was", gradient.size);
  return scalar ? fmt::format("gradient {:.10g}", gradient.size)
                : fmt::format("gradient rms {:.10g}", std::abs(gradient.size));
}

std::string gradient_short(const Gradient& gradient, const Style& style) {
  if (gradient.state == Gradient::State::unknown) return style.compared ? "no ratio" : "not computed";
  if (gradient.state == Gradient::State::unneeded) return "no gradient";
  return style.gradient_text(gradient.size);
}

}  // namespace ebb::graphviz
