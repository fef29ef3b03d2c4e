#include "cards_markup.h"

#include "folded.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>

namespace ebb::graphviz {

namespace {

constexpr double op_width = 132, scalar_width = 108, leaf_width = 72, stub_width = 46, widest_title = 150;
constexpr double line_height = 22, small_height = 18, chip_height = 24;
constexpr std::string_view both = "COLSPAN=\"2\"";

std::string_view symbol(const Record& r) {
  static const std::map<std::string_view, std::string_view> symbols{{"add", "+"},     {"sub", "−"}, {"mul", "×"},
                                                                    {"div", "÷"},     {"neg", "−"}, {"pow", "^"},
                                                                    {"square", "x²"}, {"sqrt", "√"}};
  const auto found = symbols.find(r.op);
  return r.scalar && found != symbols.end() ? found->second : r.op;
}

// The table, of at least that size.
std::string sized(std::string_view markup, double wide, double high) {
  return fmt::format("<TABLE WIDTH=\"{:.0f}\" HEIGHT=\"{:.0f}\"{}", wide, high, markup.substr(6));
}
std::string sized(const Frame& frame, std::string_view rows, double wide, double high) {
  return sized(table(frame, rows), wide, high);
}

// "∂": one of those that graph.gradient() recorded.
std::string mark(const Record& r) {
  std::string text = r.backward_of == 0 ? "" : "∂ ";
  if (r.change == Change::added) text = "+ " + text;
  if (r.change == Change::removed) text = "− " + text;
  return text;
}

}  // namespace

std::string step_class(const Record& op) {
  if (op.fold != nullptr) return op.fold->first_step == 0 ? "" : fmt::format(" step{}", op.fold->first_step);
  return op.order == 0 ? "" : fmt::format(" step{}", op.order);
}

std::string card_words(const Trace& trace, const Record& r) {
  std::string text =
      r.is_op() ? fmt::format("{} = {}", r.op, shorten(r.formula, 200)) : shorten(leaf_name(trace, r), 80);
  if (!r.scope.empty()) text += fmt::format(" in {}", shorten(r.scope, 80));
  if (!r.scalar) text += fmt::format(": {} {}", shape_text(r.shape), r.dtype);
  if (r.has_value)
    text += r.scalar || r.size() == 1 ? fmt::format(", value {:.10g}", r.value) : fmt::format(", rms {:.10g}", r.value);
  if (r.order != 0) text += fmt::format("; backward step {}", r.order);
  if (r.wants_gradient || r.gradient.state == Gradient::State::known)
    text += ", " + gradient_words(r.gradient, r.scalar, trace.compared);
  if (r.uses > 1) text += fmt::format(", the sum of {}", r.uses);
  if (r.is_op() && !r.rule.empty()) text += "; " + shorten(r.rule, 200);
  for (const Saved& saved : r.saved) text += fmt::format("; saved {} {}", saved.what, bytes(saved.bytes));
  return text;
}

std::string duplex(const Gradient& gradient, const Trace& trace, const Style& style) {
  const Palette& c = style.colours;
  using State = Gradient::State;
  if (gradient.state == State::unknown && trace.differentiated)
    return fmt::format("dir=both arrowhead=vee style=dashed color=\"{}:{}\" penwidth=1.2", c.forward, c.saved);
  if (gradient.state != State::known) return "penwidth=1.5 arrowhead=vee";
  const std::string_view tail = gradient.size == 0 ? "onormal" : std::isfinite(gradient.size) ? "normal" : "diamond";
  const std::optional<double> size = style.of(gradient);
  if (!size || *size == 0)
    return fmt::format("dir=both arrowhead=vee arrowtail={} color=\"{}:{}\" penwidth={}", tail, c.forward,
                       size ? c.zero_line : c.edge_mid, size ? "1" : "1.8");
  const long lines = std::clamp(std::lround(style.heat.pen_width(*size) / 1.8), 1L, 3L);
  std::string colours(c.forward);
  for (long i = 0; i < lines; ++i) colours += ":" + style.heat.line(*size);
  return fmt::format("dir=both arrowhead=vee arrowtail={} color=\"{}\" penwidth=1.8", tail, colours);
}

// A coloured half of a card: plain for no size, an outline for 0.
std::string CardMarkup::chip(std::string_view left, std::string_view right, const std::optional<double>& size,
                             double wide) const {
  const double pill = left.empty() ? 2 : 36;
  const std::string ink = style_.ink(size), fill = style_.fill(size);
  const std::string cells =
      cell(font(left, 10, ink, true), fmt::format("WIDTH=\"{:.0f}\" ALIGN=\"LEFT\"", pill)) +
      cell(font(right, 11, ink), fmt::format("WIDTH=\"{:.0f}\" ALIGN=\"RIGHT\"", wide - pill - 16));
  const Frame frame{!size ? "" : *size == 0 ? std::string(c_.card_line) : fill, fill, Frame::Corners::rounded, 1};
  return row(cell(table(frame, row(cells)), both));
}

// Where there is no gradient to show, in words.
std::string CardMarkup::note(std::string_view left, std::string_view words) const {
  return row(cell(font(left, 10, c_.muted, true), "ALIGN=\"LEFT\"") +
             cell(font(words, 9, c_.muted), "ALIGN=\"RIGHT\""));
}

std::string CardMarkup::gradient_chip(const Record& r, std::string_view steps, double wide) const {
  const std::string_view name = r.scalar ? "grad" : r.is_op() ? "g" : "∇";
  const std::string text = r.scalar ? scalar_number(r.gradient.size) : style_.gradient_text(r.gradient.size);
  std::string words = fmt::format("{} <B>{}</B>", name, text);
  if (r.uses > 1) words += fmt::format("  <FONT POINT-SIZE=\"9\">Σ{}</FONT>", r.uses);
  return chip(steps, words, style_.of(r.gradient), wide);
}

std::string CardMarkup::backward(const Record& r, std::string_view steps, double wide) const {
  using State = Gradient::State;
  if (!r.is_op() || style_.color == Color::gradient || style_.color == Color::value) {
    if (r.gradient.state == State::known) return gradient_chip(r, steps, wide);
    if (r.gradient.state == State::unneeded && trace_.differentiated && r.kind != Node::Kind::constant)
      return note(steps, "no gradient");
    const bool missing = r.wants_gradient && trace_.differentiated && trace_.observed;
    return missing ? note(steps, trace_.compared ? "no ratio" : "not computed") : steps.empty() ? "" : note(steps, "");
  }
  const std::optional<double> size = style_.backward(r);
  if (size)
    return chip(steps, fmt::format("{} <B>{}</B>", style_.color == Color::time ? "back" : "saved", style_.text(*size)),
                size, wide);
  return steps.empty() ? "" : note(steps, "");
}

// What was computed: with its own colour where that is measured, else in small print.
std::string CardMarkup::forward(const Record& r, double wide) const {
  const std::optional<double> size = style_.forward(r);
  if (size && style_.color == Color::value) {  // of a single number with its sign
    const std::string value = r.scalar ? scalar_number(r.value) : number(r.value);
    return chip("", fmt::format("{} <B>{}</B>", r.size() == 1 ? "value" : "rms", value), size, wide);
  }
  if (size) {
    const char* const what = style_.color == Color::time ? "forward" : "values";
    return chip("", fmt::format("{} <B>{}</B>", what, style_.text(*size)), size, wide);
  }
  if (r.scalar || !r.has_value) return "";
  return row(cell(value_markup(value_text(r), r, 9, c_.muted, style_), "ALIGN=\"LEFT\"") +
             cell(sparkline(r.histogram, 7, c_.forward), "ALIGN=\"RIGHT\""));
}

CardMarkup::Words CardMarkup::title(const Record& r, const Record* slice) const {
  Words title;
  const auto put = [&](const std::string& text, double points, std::string_view colour, bool bold) {
    if (text.empty()) return;
    title.markup += (title.markup.empty() ? "" : " ") + font(html(text), points, colour, bold);
    title.width += (title.width > 0 ? 4 : 0) + width(text, points, bold);
  };
  if (!r.scalar) {
    const std::string name = mark(r) + fit(r.op, widest_title, 12, true);
    const std::string formula = slice != nullptr ? "of " + formula_of(*slice) : formula_of(r);
    put(name, 12, {}, true);
    if (width(formula, 10) <= widest_title - width(name, 12, true)) put(formula, 10, c_.muted, false);
    return title;
  }
  for (std::size_t i = 0; i < r.operands.size(); ++i) {
    const bool plain = r.operands[i].id == 0 && !std::isnan(r.operands[i].number);
    if (plain && i == 0) put(scalar_number(r.operands[i].number), 12, {}, false);
    if (i == 0) put(mark(r) + fit(symbol(r), 90, 14, true), 14, {}, true);
    if (plain && i > 0) put(scalar_number(r.operands[i].number), 12, {}, false);
  }
  const bool of_a_tensor = r.operands.size() == 1 && r.operands[0].id != 0 && !trace_[r.operands[0].id].scalar;
  if (of_a_tensor) put(fit(r.formula, widest_title, 10), 10, c_.muted, false);  // "x[3]"
  return title;
}

CardLook CardMarkup::op(const Record& r, const Record* slice) const {
  std::string steps = r.order == 0 ? "" : std::to_string(r.order), words = card_words(trace_, r);
  if (slice != nullptr) {
    if (slice->order != 0 && r.order != 0) steps += fmt::format("–{}", slice->order);
    words += "; of " + card_words(trace_, *slice);
  }
  const Words title = this->title(r, slice);
  const std::string shape = r.scalar ? "" : shape_text(r.shape);
  const double beside = r.scalar ? 60 : std::max(44.0, width(shape, 10) + 8);
  CardLook look;
  look.width = std::max(r.scalar ? scalar_width : op_width, title.width + beside + 16);
  const std::string facts = r.scalar
                                ? (r.has_value ? value_markup(scalar_number(r.value), r, 12, "", style_, true) : "")
                                : font(shape, 10, c_.muted);
  const std::string forward = this->forward(r, look.width), backward = this->backward(r, steps, look.width);
  look.height = line_height + 2 + (r.scalar ? 2 : 0);
  if (!forward.empty()) look.height += style_.forward(r) ? chip_height : small_height;
  if (!backward.empty()) look.height += chip_height;
  const std::string rows =
      row(cell(title.markup, fmt::format("WIDTH=\"{:.0f}\" ALIGN=\"LEFT\"", look.width - beside - 4)) +
          cell(facts, fmt::format("WIDTH=\"{:.0f}\" ALIGN=\"RIGHT\"", beside))) +
      forward + backward;
  const Frame frame{r.backward_of == 0 ? c_.card_line : c_.forward, c_.card,
                    r.change == Change::removed ? Frame::Corners::dashed : Frame::Corners::rounded};
  look.attributes = fmt::format("class=\"op{}{}\" tooltip={} {}", step_class(r), r.backward_of == 0 ? "" : " recorded",
                                quoted(words), label(sized(frame, rows, look.width, look.height)));
  return look;
}

CardLook CardMarkup::leaf(const Record& r) const {
  const std::string name = mark(r) + fit(leaf_name(trace_, r), 160, 12, true);
  const bool one_number = r.has_value && r.shape.empty(), learns = r.kind != Node::Kind::constant;
  const std::string shape = r.scalar ? "" : shape_text(r.shape);
  const std::string value = one_number ? (r.scalar ? scalar_number(r.value) : number(r.value)) : "";
  const double beside = 8 + (one_number ? 40 : width(shape, 10));
  std::string title = font(html(name), 12, {}, true);
  double wide = width(name, 12, true);
  if (name.empty() && !learns) title = font("constant", 10, c_.muted), wide = 42;
  CardLook look;
  const std::string backward = this->backward(r, "", leaf_width);
  const double least = backward.empty() ? 0 : r.scalar ? scalar_width - 10 : leaf_width;
  look.width = std::max(least, std::max(30.0, wide + 8) + beside + 4);
  look.height = line_height + 2 + (backward.empty() ? 0 : chip_height);
  const std::string rows =
      row(cell(title, "WIDTH=\"30\" ALIGN=\"LEFT\"") +
          cell(one_number ? font(value, 12, {}, true) : font(shape, 10, c_.muted), "ALIGN=\"RIGHT\"")) +
      (backward.empty() ? "" : this->backward(r, "", look.width));
  const Frame frame =
      learns ? Frame{c_.parameter_line, c_.parameter} : Frame{c_.card_line, c_.page, Frame::Corners::dashed};
  look.attributes = fmt::format("class=\"leaf\" tooltip={} {}", quoted(card_words(trace_, r)),
                                label(sized(frame, rows, look.width, look.height)));
  return look;
}

CardLook CardMarkup::stub(const Record& op, std::size_t operand) const {
  const Record& leaf = trace_[op.operands[operand].id];
  const Gradient sent = flow(trace_, op, operand);
  std::string name = leaf_name(trace_, leaf);
  if (name.empty()) name = leaf.scalar ? scalar_number(leaf.value) : shape_text(leaf.shape);
  name = fit(name, 130, 12, true);
  CardLook look;
  look.width = std::max(stub_width, width(name, 12, true) + 12);
  look.height = line_height + 2;
  std::string rows = row(cell(font(html(name), 12, {}, true), ""));
  if (sent.state == Gradient::State::known) {
    const std::optional<double> size = style_.of(sent);
    const std::string text = leaf.scalar ? scalar_number(sent.size) : style_.gradient_text(sent.size);
    rows += row(cell(font((sent.size < 0 ? "" : "+") + text, 9, style_.ink(size)),
                     fmt::format("BGCOLOR=\"{}\"", style_.fill(size))));
    look.height += small_height;
  }
  const bool learns = leaf.kind != Node::Kind::constant;
  const Frame frame =
      learns ? Frame{c_.parameter_line, c_.parameter} : Frame{c_.card_line, c_.page, Frame::Corners::dashed};
  look.attributes = fmt::format("class=\"stub{}\" tooltip={} {}", step_class(op),
                                quoted(fmt::format("{}, one of {} uses: {}", shorten(name, 80), leaf.users,
                                                   gradient_words(sent, leaf.scalar, trace_.compared))),
                                label(sized(frame, rows, look.width, look.height)));
  return look;
}

// folded_card() as it comes out: of chips, or of curves over all blocks.
CardSize CardMarkup::size_of_folded(const Record& r) const {
  const Fold& fold = *r.fold;
  const double title = width(fold.title, 13, true), detail = width(fold.detail, 10) + width(", 100,000 ops", 10);
  const bool curves = fold.times > 1 && !fold.series.empty();
  const double room = curves ? 340 : 170;
  CardSize size{12 + (title + detail + 8 <= room ? title + detail + 8 : std::min(room, std::max(title, detail))), 28};
  if (title + detail + 8 > room) size.height += 20;
  if (curves) {
    double names = 0;
    std::size_t blocks = 0;
    for (const Fold::Series& series : fold.series) {
      names = std::max(names, width(fit(series.name, 44, 10), 10));
      blocks = std::max(blocks, std::min<std::size_t>(series.values.size(), 48));
    }
    size.width = std::max(size.width, names + static_cast<double>(blocks * (blocks <= 24 ? 7 : 6)) + 124);
    size.height += 20 * static_cast<double>(fold.series.size());
    return size;
  }
  std::size_t chips = fold.series.empty() ? 1 : fold.series.size();
  if (fold.parameters > 0 && fold.parameter_gradient.state == Gradient::State::known) ++chips;
  if (fold.kind == Fold::Kind::stretch) ++chips;
  if (style_.color != Color::gradient) chips += 2;
  return {std::max(size.width, 118.0), size.height + 27 * static_cast<double>(chips)};
}

CardLook CardMarkup::folded(const Record& r) const {
  const CardSize size = size_of_folded(r);
  CardLook look;
  look.width = size.width, look.height = size.height;
  look.attributes = fmt::format("class=\"folded{}\" tooltip={} {}", step_class(r), quoted(folded_words(r, style_)),
                                label(sized(folded_card(trace_, r, style_), size.width, size.height)));
  return look;
}

}  // namespace ebb::graphviz
