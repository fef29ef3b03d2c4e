// The recorded lane of a ladder: what graph.gradient() computed as the backward of a row's op.
#include "ladder_cards.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

namespace ebb::graphviz {

namespace {

// Of one row; more would tear the rows apart.
constexpr std::size_t most_shown = 8, first_shown = 3, last_shown = 4;

// "∂" of a derivative of the forward pass, "∂²" of one of that, ...
std::string sign_of(const Trace& trace, const Record& op) {
  constexpr std::array<const char*, 4> signs{"∂", "∂²", "∂³", "∂ⁿ"};
  std::size_t level = 0;
  for (std::uint32_t of = op.backward_of; level + 1 < signs.size() && trace.holds(of) && trace[of].backward_of != 0;
       of = trace[of].backward_of)
    ++level;
  return signs[level];
}

}  // namespace

// With names in place of the leaves that it takes, where they are short.
std::string LadderCards::recorded_formula(const Record& op) const {
  std::string text = formula_of(op);
  for (const Operand& o : op.operands) {
    if (o.id == 0 || o.name.size() != 1 || trace_[o.id].is_op() || trace_[o.id].name.empty()) continue;
    const std::size_t at = text.find(o.name);
    if (at != std::string::npos && trace_[o.id].name.size() <= 12) text.replace(at, 1, trace_[o.id].name);
  }
  return text;
}

// One op: as a card of both directions, forward above and backward below.
std::string LadderCards::recorded_op(const Record& op) const {
  const std::string formula = recorded_formula(op);
  const double name_room = widths_.recorded - width("∂² ", 12);
  const double rest = name_room - words_gap - width(op.op, 12, true);
  std::string name =
      font(sign_of(trace_, op), 12, c_.forward) + " " + font(html(fit(op.op, name_room, 12, true)), 12, {}, true);
  if (rest > 12) name += "  " + font(html(fit(formula, rest, 10)), 10, c_.muted);
  std::string rows = row(cell(name, left(widths_.recorded)) +
                         cell(font(html(fit(shape_text(op.shape), widths_.recorded_shape, 10)), 10, c_.muted),
                              right(widths_.recorded_shape)));
  const Gradient& g = op.gradient;
  const std::optional<double> size = style_.backward(op);
  const bool known = g.state == Gradient::State::known;
  std::string chip;
  if (op.order != 0) {
    const std::string ink = size ? style_.ink(size) : known ? c_.text : c_.muted;
    std::string what;
    if (style_.color != Color::gradient) what = size ? font(style_.text(*size), 10, ink, true) : "";
    else if (known) what = font("g <B>" + style_.gradient_text(g.size) + "</B>", 10, ink);
    else if (trace_.observed) what = font(gradient_short(g, style_), 9, ink);
    chip = table(
        {c_.card_line, size ? style_.fill(size) : "", known ? Frame::Corners::rounded : Frame::Corners::dashed, 1},
        row(cell(font(std::to_string(op.order), 9, ink, true), "WIDTH=\"20\"") +
            cell(what, "WIDTH=\"56\" ALIGN=\"RIGHT\"")));
  }
  if (op.has_value || !chip.empty())
    rows += row(cell(font(value_text(op), 9, c_.muted), "ALIGN=\"LEFT\"") + cell(chip, "ALIGN=\"RIGHT\""));
  return rows;
}

std::string LadderCards::recorded(const Ladder::Row& at) const {
  const std::size_t n = at.recorded.size();
  std::string rows;
  const auto begin_part = [&] { rows += rows.empty() ? "" : "<HR/>"; };
  for (std::size_t i = n; i-- > 0;) {
    if (n > most_shown && i >= first_shown && i + last_shown < n) {
      if (i == first_shown)
        begin_part(),
            rows += row(cell(font(fmt::format("… {} more", n - first_shown - last_shown), 9, c_.muted), both_columns));
      continue;
    }
    begin_part(), rows += recorded_op(trace_[at.recorded[i]]);
  }
  return table({c_.forward, c_.card, Frame::Corners::rounded, 3}, rows);
}

}  // namespace ebb::graphviz
