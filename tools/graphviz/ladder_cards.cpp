#include "ladder_cards.h"

#include <fmt/format.h>

#include <algorithm>

namespace ebb::graphviz {

namespace {

constexpr double padding = 8;  // of a cell, left and right together
constexpr double pill_width = 22;
constexpr double pill_cell = pill_width + 2 + padding;
constexpr double gap = 12;         // between a name and the words beside it
constexpr double widest_op = 142;  // beside a longer name the formula gets a line of its own

constexpr const char* both_columns = "COLSPAN=\"2\" ALIGN=\"LEFT\"";

std::string left(double points) { return fmt::format("WIDTH=\"{:.0f}\" ALIGN=\"LEFT\"", points + padding); }
std::string right(double points) { return fmt::format("WIDTH=\"{:.0f}\" ALIGN=\"RIGHT\"", points + padding); }

const char* role_on_top(const Record& leaf) { return leaf.wants_gradient ? "variable" : "input"; }

std::string role_beside(const Record& leaf, const std::string& name) {
  if (leaf.size() == 1 && leaf.has_value) return number(leaf.value);
  return name == "y" || name == "target" || name == "labels" ? "target" : "constant";
}

std::string saved_words(const Record& op) {
  std::string names;
  std::int64_t total = 0;
  for (const Saved& saved : op.saved) {
    names += (names.empty() ? "" : ", ") + std::string(saved.what);
    total += saved.bytes;
  }
  return names.empty() ? "" : "saved " + shorten(names, 24) + " · " + bytes(total);
}

}  // namespace

LadderCards::LadderCards(const Trace& trace, const Ladder& plan, const Style& style)
    : trace_(trace), style_(style), c_(style.colours), widths_(measure(plan)) {}

LadderCards::Widths LadderCards::measure(const Ladder& plan) const {
  Widths w;
  for (const Ladder::Row& row : plan.rows) {
    const Record& r = trace_[row.op];
    const double name = width(r.op, 13, true), beside = name + gap + width(r.formula, 10);
    w.op = std::max(w.op, beside <= widest_op ? beside : std::min(name, widest_op));
    w.shape = std::max(w.shape, width(shape_text(r.shape), 11));
    w.step = std::max(w.step, width(r.op, 13, true) + gap);
    for (const std::size_t i : row.kept) {
      const Record& leaf = trace_[r.operands[i].id];
      w.name = std::max(w.name, width(leaf.name, 12, true) + gap + width(shape_text(leaf.shape), 10));
    }
  }
  if (plan.top != 0) {
    const Record& leaf = trace_[plan.top];
    w.op = std::max(w.op, width(leaf_name(trace_, leaf), 13, true) + gap + width(role_on_top(leaf), 10));
    w.shape = std::max(w.shape, width(shape_text(leaf.shape), 11));
  }
  w.op = std::min(w.op, widest_op);
  w.shape = std::min(w.shape, 110.0), w.name = std::min(w.name, 230.0), w.step = std::min(w.step, widest_op);
  return w;
}

// A bold name, shortened to leave room for the muted words beside it.
std::string LadderCards::name_and(std::string_view name, std::string_view words, double room, double points) const {
  const double rest = room - (words.empty() ? 0 : gap + width(words, 10));
  std::string text = font(html(fit(name, rest, points, true)), points, {}, true);
  if (!words.empty()) text += (text.empty() ? "" : "  ") + font(html(words), 10, c_.muted);
  return text;
}

// ---- the looks of a gradient --------------------------------------------------------------------------------------

Frame LadderCards::frame_of(const Gradient& g) const {
  Frame frame{c_.card_line, "", Frame::Corners::rounded};
  if (g.state == Gradient::State::known) frame.fill = style_.heat.fill(g.size);
  else frame.corners = Frame::Corners::dashed;
  return frame;
}

std::string LadderCards::ink_of(const Gradient& g) const {
  if (g.state != Gradient::State::known) return c_.muted;
  return style_.heat.ink(g.size);
}

// ---- cards ----------------------------------------------------------------------------------------------------------

std::string LadderCards::forward(const Record& op) const {
  const bool one_line = width(op.op, 13, true) + gap + width(op.formula, 10) <= widths_.op;
  std::string rows = row(cell(name_and(op.op, one_line ? op.formula : "", widths_.op, 13), left(widths_.op)) +
                         cell(font(fit(shape_text(op.shape), widths_.shape, 11), 11), right(widths_.shape)));
  if (!one_line)
    rows += row(cell(font(html(fit(op.formula, widths_.op + widths_.shape, 10)), 10, c_.muted), both_columns));
  if (op.has_value)
    rows += row(cell(font(value_text(op), 10, c_.muted), "ALIGN=\"LEFT\"") +
                cell(sparkline(op.histogram, 9, c_.forward), "ALIGN=\"RIGHT\""));
  return table({c_.card_line, c_.card, Frame::Corners::rounded}, rows);
}

// "∇x = g·W   ∇W = gᵀ·x" in lines that fit the card.
std::string LadderCards::rule_lines(std::string_view rule, std::string_view ink) const {
  const double room = pill_cell + widths_.step + padding + widths_.gradient;
  std::vector<std::string> lines;
  for (std::size_t begin = 0; begin < rule.size();) {
    const std::size_t end = std::min(rule.find("   ", begin), rule.size());
    const std::string part(rule.substr(begin, end - begin));
    if (!lines.empty() && width(lines.back() + "    " + part, 10) <= room) lines.back() += "    " + part;
    else lines.push_back(fit(part, room, 10));
    begin = std::min(rule.find_first_not_of(' ', end), rule.size());
  }
  std::string text;
  for (const std::string& part : lines) text += (text.empty() ? "" : "<BR ALIGN=\"LEFT\"/>") + html(part);
  if (lines.size() > 1) text += "<BR ALIGN=\"LEFT\"/>";
  return font(text, 10, ink);
}

std::string LadderCards::backward(const Record& op) const {
  const std::string ink = ink_of(op.gradient);
  std::string cells;
  if (op.order != 0) {
    const std::string size = fmt::format("WIDTH=\"{:.0f}\" HEIGHT=\"15\" FIXEDSIZE=\"TRUE\"", pill_width);
    const std::string pill = row(cell(font(std::to_string(op.order), 10, c_.page, true), size));
    cells += cell(table({c_.text, c_.text, Frame::Corners::rounded, 0}, pill), "ALIGN=\"LEFT\"");
  }
  cells += cell(font(html(fit(op.op, widths_.step - gap / 2, 13, true)) + "′", 13, ink, true),
                left(op.order != 0 ? widths_.step : widths_.step + pill_cell));
  const bool known = op.gradient.state == Gradient::State::known;
  cells += cell(known ? font("g  <B>" + number(op.gradient.size) + "</B>", 12, ink) : "", right(widths_.gradient));
  const char* const across =
      op.order != 0 ? "ALIGN=\"LEFT\" BALIGN=\"LEFT\" COLSPAN=\"3\"" : "ALIGN=\"LEFT\" BALIGN=\"LEFT\" COLSPAN=\"2\"";
  return table(frame_of(op.gradient), row(cells) + row(cell(rule_lines(op.rule, ink), across)));
}

// A parameter of this op: its name, and the gradient that this op sends it.
std::string LadderCards::parameter(const Record& op, std::size_t operand) const {
  const Record& leaf = trace_[op.operands[operand].id];
  const bool shared = leaf.users > 1;
  const Gradient sent = shared ? flow(trace_, op, operand) : leaf.gradient;
  std::string heat = cell("", right(widths_.heat));
  if (sent.state == Gradient::State::known) {
    const std::string fill = style_.heat.fill(sent.size);
    heat = cell(font((shared ? "∇ +<B>" : "∇ <B>") + number(sent.size) + "</B>", 11, ink_of(sent)),
                fmt::format("BGCOLOR=\"{}\" {}", fill, right(widths_.heat)));
  } else if (sent.state == Gradient::State::unneeded) {
    heat = cell(font("no gradient", 9, c_.muted), right(widths_.heat));
  }
  std::string rows =
      row(cell(name_and(leaf.name, shape_text(leaf.shape), widths_.name, 12), left(widths_.name)) + heat);
  if (shared && leaf.gradient.state == Gradient::State::known)
    rows += row(cell(font(fmt::format("shared by {} · Σ ∇ {}", leaf.users, number(leaf.gradient.size)), 9, c_.muted),
                     both_columns));
  return rows;
}

std::string LadderCards::middle(const Ladder::Row& at) const {
  const Record& op = trace_[at.op];
  if (at.kept.empty()) {
    const std::string words = at.backward         ? saved_words(op)
                              : op.wants_gradient ? "not on the gradient's path"
                                                  : "passes no gradient";
    return words.empty() ? ""
                         : table({"", "", Frame::Corners::square, 2}, row(cell(font(html(words), 10, c_.muted), "")));
  }
  std::string rows;
  for (const std::size_t i : at.kept) {
    if (!rows.empty()) rows += "<HR/>";
    rows += parameter(op, i);
  }
  if (const std::string saved = saved_words(op); !saved.empty() && at.backward)
    rows += row(cell(font("+ " + html(saved), 9, c_.muted), both_columns));
  return table({c_.parameter_line, c_.parameter}, rows);
}

std::string LadderCards::input(const Record& leaf) const {
  const std::string name = leaf_name(trace_, leaf);
  return table({c_.card_line, "", leaf.wants_gradient ? Frame::Corners::rounded : Frame::Corners::dashed},
               row(cell(name_and(name, role_on_top(leaf), widths_.op, 13), left(widths_.op)) +
                   cell(font(shape_text(leaf.shape), 11), right(widths_.shape))));
}

std::string LadderCards::arrived(const Record& leaf) const {
  const std::string ink = ink_of(leaf.gradient);
  const std::string size = leaf.gradient.state == Gradient::State::known ? number(leaf.gradient.size) : "";
  return table(frame_of(leaf.gradient), row(cell(font("∇" + html(fit(leaf_name(trace_, leaf), 100, 13)), 13, ink, true),
                                                 left(pill_cell + widths_.step)) +
                                            cell(font(size, 12, ink, true), right(widths_.gradient))));
}

std::string LadderCards::constant(const Record& leaf, const Operand& use) const {
  const std::string name = leaf_name(trace_, leaf, use.name), role = role_beside(leaf, name);
  const double wide = std::min(120.0, width(name, 13, true) + gap + width(role, 10));
  return table({c_.card_line, "", Frame::Corners::dashed},
               row(cell(name_and(name, role, wide, 13), left(wide)) +
                   cell(font(shape_text(leaf.shape), 11), right(width(shape_text(leaf.shape), 11)))));
}

}  // namespace ebb::graphviz
