#include "ladder_cards.h"
#include "folded.h"

#include <fmt/format.h>

#include <algorithm>

namespace ebb::graphviz {

namespace {

constexpr double widest_op = 142;    // beside a longer name the formula gets a line of its own
constexpr double widest_name = 200;  // a longer one is shortened

const char* role_on_top(const Record& leaf) { return leaf.wants_gradient ? "variable" : "input"; }

std::string role_beside(const Record& leaf, const std::string& name) {
  if (leaf.size() == 1 && leaf.has_value) return number(leaf.value);
  return name == "y" || name == "target" || name == "labels" ? "target" : "constant";
}

std::string saved_words(const Record& op) {
  if (op.fold != nullptr) return op.saved.empty() ? "" : "saved · " + bytes(saved_bytes(op));
  std::string names;
  for (const Saved& saved : op.saved) names += (names.empty() ? "" : ", ") + std::string(saved.what);
  return names.empty() ? "" : "saved " + shorten(names, 24) + " · " + bytes(saved_bytes(op));
}

std::string sum_words(const Record& op) { return op.uses > 1 ? fmt::format("Σ{}", op.uses) : ""; }

// Of the curves below a folded step back, with their names.
double widest_curve(const Fold& fold) {
  double widest = 0;
  for (const Fold::Series& series : fold.series)
    if (series.values.size() > 1)
      widest = std::max(widest, width(fit(series.name, most_name_of_curve, 9), 9) + curve_width(series.values.size()) +
                                    3 * cell_padding);
  return widest;
}

std::vector<std::string> rules_of(std::string_view rule) {
  std::vector<std::string> parts;
  for (std::size_t begin = 0; begin < rule.size();) {
    const std::size_t end = std::min(rule.find("   ", begin), rule.size());
    parts.emplace_back(rule.substr(begin, end - begin));
    begin = std::min(rule.find_first_not_of(' ', end), rule.size());
  }
  return parts;
}

}  // namespace

LadderCards::LadderCards(const Trace& trace, const Ladder& plan, const Style& style)
    : trace_(trace), style_(style), c_(style.colours), widths_(measure(plan)) {}

LadderCards::Widths LadderCards::measure(const Ladder& plan) const {
  Widths w;
  const auto grow = [](double& column, double to) { column = std::max(column, to); };
  for (const Ladder::Row& row : plan.rows) {
    const Record& r = trace_[row.op];
    const double name = width(title_of(r), 13, true), beside = name + words_gap + width(formula_of(r), 10);
    grow(w.op, beside <= widest_op ? beside : name);
    grow(w.shape, width(shape_text(r.shape), 11));
    grow(w.step, name + words_gap + (r.uses > 1 ? words_gap + width(sum_words(r), 9) : 0));
    grow(w.pill, width(steps_text(r), 10, true) + 8);
    for (const std::size_t i : row.kept) {
      const Record& leaf = trace_[r.operands[i].id];
      grow(w.name, width(leaf.name, 12, true) + words_gap + width(shape_text(leaf.shape), 10));
    }
    if (r.fold != nullptr) {
      grow(w.name, width(count(r.fold->parameters, "parameter"), 12, true));
      grow(w.step, widest_curve(*r.fold) - w.gradient - w.pill - 2 * cell_padding);
    }
    for (const std::uint32_t id : row.recorded) {
      const Record& op = trace_[id];
      grow(w.recorded, width("∂² ", 12) + width(op.op, 12, true) + words_gap + width(recorded_formula(op), 10));
      grow(w.recorded_shape, width(shape_text(op.shape), 10));
    }
  }
  if (plan.top != 0) {
    const Record& leaf = trace_[plan.top];
    grow(w.op, width(leaf_name(trace_, leaf), 13, true) + words_gap + width(role_on_top(leaf), 10));
    grow(w.shape, width(shape_text(leaf.shape), 11));
  }
  w.op = std::min(w.op, widest_name), w.step = std::min(w.step, 1.2 * widest_name);
  w.shape = std::min(w.shape, 110.0), w.name = std::min(w.name, 230.0);
  w.recorded = std::min(w.recorded, widest_op), w.recorded_shape = std::min(w.recorded_shape, 90.0);
  return w;
}

// A bold name, shortened to leave room for the muted words beside it.
std::string LadderCards::name_and(std::string_view name, std::string_view words, double room, double points,
                                  std::string_view ink) const {
  const double rest = room - (words.empty() ? 0 : words_gap + width(words, 10));
  std::string text = font(html(fit(name, rest, points, true)), points, ink, true);
  if (!words.empty()) text += (text.empty() ? "" : "  ") + font(html(words), 10, ink.empty() ? c_.muted : ink);
  return text;
}

// Parts (markup in `between`'s measure), as many in a line as the backward card is wide.
std::string LadderCards::lines_of(const std::vector<std::string>& parts, std::string_view between, double points,
                                  std::string_view ink) const {
  std::vector<std::string> lines;
  for (const std::string& part : parts) {
    if (!lines.empty() && width(lines.back(), points) + width(between, points) + width(part, points) <= step_room())
      lines.back().append(between).append(part);
    else lines.push_back(fit(part, step_room(), points));
  }
  std::string text;
  for (const std::string& line : lines) text += (text.empty() ? "" : "<BR ALIGN=\"LEFT\"/>") + html(line);
  if (lines.size() > 1) text += "<BR ALIGN=\"LEFT\"/>";
  return font(text, points, ink);
}

// Of a line below the first of a backward card.
double LadderCards::step_room() const {
  return widths_.pill + 2 + cell_padding + widths_.step + cell_padding + widths_.gradient;
}

std::string LadderCards::pill(std::string_view text) const {
  const std::string size = fmt::format("WIDTH=\"{:.0f}\" HEIGHT=\"15\" FIXEDSIZE=\"TRUE\"", widths_.pill);
  return table({c_.text, c_.text, Frame::Corners::rounded, 0}, row(cell(font(text, 10, c_.page, true), size)));
}

// ---- cards ----------------------------------------------------------------------------------------------------------

std::string LadderCards::forward(const Record& op) const {
  const std::optional<double> size = style_.forward(op);
  const std::string ink = style_.ink(size), muted = style_.muted(size), formula = formula_of(op);
  const bool one_line = width(title_of(op), 13, true) + words_gap + width(formula, 10) <= widths_.op;
  std::string rows =
      row(cell(name_and(title_of(op), one_line ? formula : "", widths_.op, 13, size ? ink : ""), left(widths_.op)) +
          cell(font(html(fit(shape_text(op.shape), widths_.shape, 11)), 11, size ? ink : ""), right(widths_.shape)));
  if (!one_line) rows += row(cell(font(html(fit(formula, widths_.op + widths_.shape, 10)), 10, muted), both_columns));
  if (op.fold != nullptr)
    rows += row(cell(font(count(op.fold->ops, "op") + (op.fold->ops > 1 ? " as one" : ""), 10, muted), both_columns));
  std::string below = value_text(op);
  if (size && style_.color != Color::value) below += (below.empty() ? "" : " · ") + style_.text(*size);
  if (!below.empty())
    rows += row(cell(size ? font(below, 10, muted) : value_markup(below, op, 10, muted, style_), "ALIGN=\"LEFT\"") +
                cell(sparkline(op.histogram, 9, size ? ink : c_.forward), "ALIGN=\"RIGHT\""));
  if (op.change != Change::none) rows += row(cell(font(change_words(op), 11, ink, true), both_columns));
  const auto corners = op.change == Change::removed ? Frame::Corners::dashed : Frame::Corners::rounded;
  return table({c_.card_line, style_.fill(size), corners}, rows);
}

std::string LadderCards::backward(const Record& op) const {
  const std::optional<double> size = style_.backward(op);
  const bool known = op.gradient.state == Gradient::State::known;
  const std::string ink = size ? style_.ink(size) : known ? c_.text : c_.muted;
  const std::string order = steps_text(op);
  std::string cells = order.empty() ? "" : cell(pill(order), "ALIGN=\"LEFT\"");
  const double sum_room = op.uses > 1 ? words_gap + width(sum_words(op), 9) : 0;
  std::string name =
      font(html(fit(title_of(op), widths_.step - words_gap / 2 - sum_room, 13, true)) + "′", 13, ink, true);
  if (op.uses > 1) name += "  " + font(sum_words(op), 9, ink);
  cells += cell(name, left(order.empty() ? widths_.step + widths_.pill + 2 + cell_padding : widths_.step));
  std::string what;
  if (style_.color != Color::gradient) what = size ? font(style_.text(*size), 12, ink, true) : "";
  else if (known) what = font("g  <B>" + style_.gradient_text(op.gradient.size) + "</B>", 12, ink);
  else if (trace_.differentiated && trace_.observed) what = font(gradient_short(op.gradient, style_), 10, ink);
  cells += cell(what, right(widths_.gradient));
  const std::string across = fmt::format("ALIGN=\"LEFT\" BALIGN=\"LEFT\" COLSPAN=\"{}\"", order.empty() ? 2 : 3);
  std::string rows = row(cells);
  if (op.fold == nullptr) rows += row(cell(lines_of(rules_of(op.rule), "    ", 10, ink), across));
  else
    for (const std::string& line : inside_lines(*op.fold, ink)) rows += row(cell(line, across));
  const auto corners = known ? Frame::Corners::rounded : Frame::Corners::dashed;
  return table({c_.card_line, size ? style_.fill(size) : known ? c_.card : "", corners}, rows);
}

// ---- the middle -----------------------------------------------------------------------------------------------------

bool LadderCards::has_parameters(const Ladder::Row& row) const {
  const Fold* const fold = trace_[row.op].fold;
  return !row.kept.empty() || (fold != nullptr && fold->parameters > 0);
}

// A cell with the gradient that arrives in a parameter.
std::string LadderCards::amount(const Gradient& g, std::string_view before) const {
  const std::string where = right(widths_.heat);
  if (g.state != Gradient::State::known) {
    const bool to_say = trace_.differentiated && (trace_.observed || g.state == Gradient::State::unneeded);
    return cell(to_say ? font(gradient_short(g, style_), 9, c_.muted) : "", where);
  }
  const std::optional<double> size = style_.of(g);
  const std::string fill = size ? fmt::format("BGCOLOR=\"{}\" ", style_.fill(size)) : "";
  return cell(font(fmt::format("{}<B>{}</B>", before, style_.gradient_text(g.size)), 11, style_.ink(size)),
              fill + where);
}

// A parameter of the row's op: its name, and the gradient that this op sends it; then what its recorded backward sends.
std::string LadderCards::parameter(const Ladder::Row& at, std::size_t operand) const {
  const Record& op = trace_[at.op];
  const Record& leaf = trace_[op.operands[operand].id];
  const bool shared = leaf.users > 1;
  std::string rows = row(cell(name_and(leaf.name, shape_text(leaf.shape), widths_.name, 12), left(widths_.name)) +
                         amount(shared ? flow(trace_, op, operand) : leaf.gradient, shared ? "∇ +" : "∇ "));
  for (const std::uint32_t id : at.recorded) {
    const Record& again = trace_[id];
    for (std::size_t i = 0; i < again.operands.size(); ++i)
      if (again.operands[i].id == leaf.id)
        rows += row(
            cell(font(html(fit(fmt::format("by ∂ {}", again.op), widths_.name, 9)), 9, c_.muted), left(widths_.name)) +
            amount(flow(trace_, again, i), "∇ +"));
  }
  if (shared && leaf.gradient.state == Gradient::State::known)
    rows += row(cell(
        font(fmt::format("shared by {} · Σ ∇ {}", leaf.users, style_.gradient_text(leaf.gradient.size)), 9, c_.muted),
        both_columns));
  return rows;
}

std::string LadderCards::middle(const Ladder::Row& at) const {
  const Record& op = trace_[at.op];
  if (!has_parameters(at)) {
    const std::string words = at.backward                                      ? saved_words(op)
                              : !trace_.differentiated && !at.recorded.empty() ? ""
                              : op.wants_gradient                              ? "not on the gradient's path"
                                                                               : "passes no gradient";
    return words.empty() ? ""
                         : table({"", "", Frame::Corners::square, 2}, row(cell(font(html(words), 10, c_.muted), "")));
  }
  std::string rows;
  const auto begin_part = [&] { rows += rows.empty() ? "" : "<HR/>"; };
  for (const std::size_t i : at.kept) begin_part(), rows += parameter(at, i);
  if (op.fold != nullptr && op.fold->parameters > 0) begin_part(), rows += folded_parameters(*op.fold);
  if (const std::string saved = saved_words(op); !saved.empty() && at.backward)
    rows += row(cell(font("+ " + html(saved), 9, c_.muted), both_columns));
  return table({c_.parameter_line, c_.parameter}, rows);
}

// ---- leaves ---------------------------------------------------------------------------------------------------------

std::string LadderCards::input(const Record& leaf) const {
  const std::string name = leaf_name(trace_, leaf);
  const std::string beside = leaf.size() == 1 && leaf.has_value ? number(leaf.value) : shape_text(leaf.shape);
  return table({c_.card_line, "", leaf.wants_gradient ? Frame::Corners::rounded : Frame::Corners::dashed},
               row(cell(name_and(name, role_on_top(leaf), widths_.op, 13), left(widths_.op)) +
                   cell(font(beside, 11), right(widths_.shape))));
}

std::string LadderCards::arrived(const Record& leaf) const {
  const Gradient& g = leaf.gradient;
  const std::optional<double> size = style_.of(g);
  const bool known = g.state == Gradient::State::known;
  const std::string ink = known ? style_.ink(size) : c_.muted;
  std::string what = known ? font(style_.gradient_text(g.size), 12, ink, true) : "";
  if (g.state == Gradient::State::unknown && trace_.differentiated && trace_.observed)
    what = font(gradient_short(g, style_), 10, ink);
  return table({c_.card_line, size ? style_.fill(size) : "", known ? Frame::Corners::rounded : Frame::Corners::dashed},
               row(cell(font("∇" + html(fit(leaf_name(trace_, leaf), 100, 13)), 13, ink, true),
                        left(widths_.pill + 2 + cell_padding + widths_.step)) +
                   cell(what, right(widths_.gradient))));
}

std::string LadderCards::constant(const Record& leaf, const Operand& use) const {
  const std::string name = leaf_name(trace_, leaf, use.name), role = role_beside(leaf, name);
  const double wide = std::min(120.0, width(name, 13, true) + words_gap + width(role, 10));
  return table({c_.card_line, "", Frame::Corners::dashed},
               row(cell(name_and(name, role, wide, 13), left(wide)) +
                   cell(font(shape_text(leaf.shape), 11), right(width(shape_text(leaf.shape), 11)))));
}

}  // namespace ebb::graphviz
