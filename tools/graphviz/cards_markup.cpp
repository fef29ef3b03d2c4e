#include "cards_markup.h"

#include "folded.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>

namespace ebb::graphviz {

namespace {

constexpr double op_width = 120, scalar_width = 96, leaf_width = 60, widest_title = 150;
constexpr std::string_view both = "COLSPAN=\"2\"";

std::string_view symbol(const Record& r) {
  static const std::map<std::string_view, std::string_view> symbols{
      {"add", "+"}, {"sub", "−"}, {"mul", "×"}, {"div", "÷"}, {"neg", "−"}, {"pow", "^"}, {"square", "x²"}, {"sqrt", "√"}};
  const auto found = symbols.find(r.op);
  return r.scalar && found != symbols.end() ? found->second : r.op;
}

double width_of(const Record& r) {
  return r.is_op() ? (r.scalar ? scalar_width : op_width) : (r.scalar ? scalar_width - 10 : leaf_width);
}

// "∂": one of those that graph.gradient() recorded.
std::string mark(const Record& r) {
  std::string text = r.backward_of == 0 ? "" : "∂";
  if (r.change == Change::added) text = "+ " + text;
  if (r.change == Change::removed) text = "− " + text;
  return text;
}

}  // namespace

std::string scalar_number(double v) {
  if (!std::isfinite(v) || (v != 0 && (std::abs(v) >= 1e5 || std::abs(v) < 1e-3))) return number(v);
  std::string text = fmt::format("{:.4f}", std::abs(v));
  text.erase(text.find_last_not_of('0') + 1);
  if (text.back() == '.') text.pop_back();
  return v < 0 && text != "0" ? "−" + text : text;
}

std::string step_class(const Record& op) {
  if (op.fold != nullptr) return op.fold->first_step == 0 ? "" : fmt::format(" step{}", op.fold->first_step);
  return op.order == 0 ? "" : fmt::format(" step{}", op.order);
}

std::string card_words(const Trace& trace, const Record& r) {
  std::string text = r.is_op() ? fmt::format("{} = {}", r.op, shorten(r.formula, 200)) : shorten(leaf_name(trace, r), 80);
  if (!r.scope.empty()) text += fmt::format(" in {}", shorten(r.scope, 80));
  if (!r.scalar) text += fmt::format(": {} {}", shape_text(r.shape), r.dtype);
  if (r.has_value) text += r.scalar || r.size() == 1 ? fmt::format(", value {:.10g}", r.value) : fmt::format(", rms {:.10g}", r.value);
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
                       size ? c.saved : c.edge_mid, size ? "1" : "1.8");
  const long lines = std::clamp(std::lround(style.heat.pen_width(*size) / 1.8), 1L, 3L);
  std::string colours(c.forward);
  for (long i = 0; i < lines; ++i) colours += ":" + style.heat.line(*size);
  return fmt::format("dir=both arrowhead=vee arrowtail={} color=\"{}\" penwidth=1.8", tail, colours);
}

// A coloured half of a card: plain for no size, an outline for 0.
std::string CardMarkup::chip(std::string_view left, std::string_view right, const std::optional<double>& size,
                             double wide) const {
  const double pill = left.empty() ? 2 : 26;
  const std::string ink = style_.ink(size), fill = style_.fill(size);
  const std::string cells =
      cell(font(left, 10, ink, true), fmt::format("WIDTH=\"{:.0f}\" ALIGN=\"LEFT\"", pill)) +
      cell(font(right, 11, ink), fmt::format("WIDTH=\"{:.0f}\" ALIGN=\"RIGHT\"", wide - pill - 2));
  const Frame frame{!size ? "" : *size == 0 ? std::string(c_.card_line) : fill, fill, Frame::Corners::rounded, 1};
  return row(cell(table(frame, row(cells)), both));
}

// Where there is no gradient to show, in words.
std::string CardMarkup::note(std::string_view left, std::string_view words) const {
  return row(cell(font(left, 10, c_.muted, true), "ALIGN=\"LEFT\"") + cell(font(words, 9, c_.muted), "ALIGN=\"RIGHT\""));
}

std::string CardMarkup::gradient_chip(const Record& r, std::string_view steps) const {
  const std::string_view name = r.scalar ? "grad" : r.is_op() ? "g" : "∇";
  const std::string text = r.scalar ? scalar_number(r.gradient.size) : style_.gradient_text(r.gradient.size);
  std::string words = fmt::format("{} <B>{}</B>", name, text);
  if (r.uses > 1) words += fmt::format("  <FONT POINT-SIZE=\"9\">Σ{}</FONT>", r.uses);
  return chip(steps, words, style_.of(r.gradient), width_of(r));
}

std::string CardMarkup::backward(const Record& r, std::string_view steps) const {
  using State = Gradient::State;
  if (!r.is_op() || style_.color == Color::gradient || style_.color == Color::value) {
    if (r.gradient.state == State::known) return gradient_chip(r, steps);
    if (r.gradient.state == State::unneeded && trace_.differentiated && (r.is_op() || r.kind == Node::Kind::variable))
      return note(steps, "no gradient");
    const bool missing = r.wants_gradient && trace_.differentiated && trace_.observed;
    return missing ? note(steps, "not computed") : steps.empty() ? "" : note(steps, "");
  }
  const std::optional<double> size = style_.backward(r);
  if (size) return chip(steps, fmt::format("back <B>{}</B>", style_.text(*size)), size, width_of(r));
  return steps.empty() ? "" : note(steps, "");
}

// What was computed: with its own colour where that is measured, else in small print.
std::string CardMarkup::forward(const Record& r) const {
  const std::optional<double> size = style_.forward(r);
  if (size) return chip("", fmt::format("<B>{}</B>", style_.text(*size)), size, width_of(r));
  if (r.scalar || !r.has_value) return "";
  return row(cell(font(value_text(r), 9, c_.muted), "ALIGN=\"LEFT\"") +
             cell(sparkline(r.histogram, 7, c_.forward), "ALIGN=\"RIGHT\""));
}

std::string CardMarkup::title(const Record& r, const Record* slice) const {
  const std::string before = mark(r);
  if (!r.scalar) {
    std::string text = font(html(before + fit(r.op, widest_title, 12, true)), 12, {}, true);
    const std::string_view formula = slice != nullptr ? "of a slice" : r.formula;
    if (width(formula, 10) <= widest_title - width(r.op, 12, true)) text += " " + font(html(formula), 10, c_.muted);
    return text;
  }
  std::string text;
  for (std::size_t i = 0; i < r.operands.size(); ++i) {
    const bool plain = r.operands[i].id == 0 && !std::isnan(r.operands[i].number);
    if (plain && i == 0) text += font(scalar_number(r.operands[i].number), 12) + " ";
    if (i == 0) text += font(html(before + fit(symbol(r), 90, 14, true)), 14, {}, true);
    if (plain && i > 0) text += " " + font(scalar_number(r.operands[i].number), 12);
  }
  const bool of_a_tensor = r.operands.size() == 1 && r.operands[0].id != 0 && !trace_[r.operands[0].id].scalar;
  if (of_a_tensor) text += " " + font(html(fit(r.formula, widest_title, 10)), 10, c_.muted);  // "x[3]"
  return text;
}

std::string CardMarkup::op(const Record& r, const Record* slice) const {
  std::string steps = r.order == 0 ? "" : std::to_string(r.order), words = card_words(trace_, r);
  if (slice != nullptr) {
    if (slice->order != 0 && r.order != 0) steps += fmt::format("–{}", slice->order);
    words += "\n" + card_words(trace_, *slice);
  }
  const std::string beside = r.scalar ? (r.has_value ? font(scalar_number(r.value), 12, {}, true) : "")
                                      : font(shape_text(r.shape), 10, c_.muted);
  std::string rows = row(cell(title(r, slice), fmt::format("WIDTH=\"{}\" ALIGN=\"LEFT\"", r.scalar ? 44 : 80)) +
                         cell(beside, fmt::format("WIDTH=\"{}\" ALIGN=\"RIGHT\"", r.scalar ? 52 : 44)));
  rows += forward(r) + backward(r, steps);
  const Frame frame{c_.card_line, c_.card,
                    r.change == Change::removed ? Frame::Corners::dashed : Frame::Corners::rounded};
  return fmt::format("class=\"op{}{}\" tooltip={} {}", step_class(r), r.backward_of == 0 ? "" : " recorded", quoted(words),
                     label(table(frame, rows)));
}

std::string CardMarkup::leaf(const Record& r) const {
  const std::string name = leaf_name(trace_, r);
  std::string beside = font(shape_text(r.shape), 10, c_.muted);
  if (r.has_value && r.size() == 1) beside = font(r.scalar ? scalar_number(r.value) : number(r.value), 12, {}, true);
  else if (r.scalar) beside = "";
  std::string title = font(html(mark(r) + fit(name, 160, 12, true)), 12, {}, true);
  if (title.empty()) title = font(r.kind == Node::Kind::constant ? "constant" : "", 10, c_.muted);
  const std::string rows =
      row(cell(title, "WIDTH=\"30\" ALIGN=\"LEFT\"") + cell(beside, "ALIGN=\"RIGHT\"")) + backward(r, "");
  const bool learns = r.kind != Node::Kind::constant;
  return fmt::format("class=\"leaf\" tooltip={} {}", quoted(card_words(trace_, r)),
                     label(learns ? table({c_.parameter_line, c_.parameter}, rows)
                                  : table({c_.card_line, c_.page, Frame::Corners::dashed}, rows)));
}

std::string CardMarkup::stub(const Record& op, std::size_t operand) const {
  const Record& leaf = trace_[op.operands[operand].id];
  const Gradient sent = flow(trace_, op, operand);
  std::string name = leaf_name(trace_, leaf);
  if (name.empty()) name = leaf.scalar ? scalar_number(leaf.value) : shape_text(leaf.shape);
  std::string rows = row(cell(font(html(fit(name, 130, 12, true)), 12, {}, true), "WIDTH=\"34\""));
  if (sent.state == Gradient::State::known) {
    const std::optional<double> size = style_.of(sent);
    const std::string text = leaf.scalar ? scalar_number(sent.size) : style_.gradient_text(sent.size);
    rows += row(cell(font("+" + text, 9, style_.ink(size)), fmt::format("BGCOLOR=\"{}\"", style_.fill(size))));
  }
  const bool learns = leaf.kind != Node::Kind::constant;
  return fmt::format("class=\"stub{}\" tooltip={} {}", step_class(op),
                     quoted(fmt::format("{}, one of {} uses: {}", shorten(name, 80), leaf.users,
                                        gradient_words(sent, leaf.scalar, trace_.compared))),
                     label(learns ? table({c_.parameter_line, c_.parameter}, rows)
                                  : table({c_.card_line, c_.page, Frame::Corners::dashed}, rows)));
}

}  // namespace ebb::graphviz
