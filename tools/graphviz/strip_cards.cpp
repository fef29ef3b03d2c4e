#include "strip_cards.h"

#include "cards_markup.h"
#include "folded.h"

#include <fmt/format.h>

namespace ebb::graphviz {

namespace {

constexpr double widest_name = 150;
constexpr std::size_t shares_shown = 7;  // of a shared parameter

}  // namespace

std::string StripCards::op(const Record& r) const {
  std::string name = r.backward_of == 0 ? "" : "∂ ";  // one of those that graph.gradient() recorded
  if (r.change == Change::added) name = "+ added " + name;
  if (r.change == Change::removed) name = "− removed " + name;
  name += r.op;
  std::string beside = r.scope.empty() ? shape_text(r.shape) : std::string(r.scope);
  for (const Operand& o : r.operands)
    if (o.id != 0 && trace_[o.id].kind == Node::Kind::constant && trace_[o.id].size() == 1 && trace_[o.id].has_value)
      beside = number(trace_[o.id].value);
  std::string rows = row(cell(font(html(fit(name, widest_name, 12, true)), 12, {}, true) + "  " +
                                  font(html(fit(beside, widest_name, 10)), 10, c_.muted),
                              "WIDTH=\"70\" ALIGN=\"LEFT\""));
  rows += measure_rows(r, style_);
  if (trace_.differentiated) rows += chip_row(steps_text(r), "g", r.gradient, style_);
  for (const Operand& o : r.operands) {
    if (o.id == 0 || trace_[o.id].kind != Node::Kind::parameter || trace_[o.id].users > 1) continue;
    const Record& leaf = trace_[o.id];
    const std::string_view last = leaf.name.substr(leaf.name.rfind('.') + 1);
    if (leaf.gradient.state == Gradient::State::known)
      rows += chip_row("∇ " + fit(last, 60, 9), "", leaf.gradient, style_);
  }
  return table({c_.card_line, c_.card, r.change == Change::removed ? Frame::Corners::dashed : Frame::Corners::rounded},
               rows);
}

std::string StripCards::input(const Strip::Input& input) const {
  const Record& leaf = trace_[input.leaf];
  const std::string name = leaf_name(trace_, leaf, "constant");
  std::string rows;
  if (input.also > 0) rows += row(cell(font(fmt::format("{} inputs", input.also + 1), 10, c_.muted), ""));
  else if (!name.empty()) rows += row(cell(font(html(fit(name, 90, 12, true)), 12, {}, true), ""));
  rows += row(cell(font(shape_text(leaf.shape), 10, c_.muted), ""));
  if (leaf.gradient.state == Gradient::State::known) rows += chip_row("", "∇", leaf.gradient, style_);
  if (leaf.kind == Node::Kind::constant) return table({c_.card_line, c_.card, Frame::Corners::dashed, 3}, rows);
  return table({c_.parameter_line, c_.parameter, Frame::Corners::rounded}, rows);
}

std::string StripCards::input_words(const Strip::Input& input) const {
  const Record& leaf = trace_[input.leaf];
  std::string text = card_words(trace_, leaf);
  if (!leaf.wants_gradient) text += "; it needs no gradient: stop";
  if (input.also > 0) text += "; and " + count(static_cast<std::int64_t>(input.also), "other input");
  return text;
}

std::string StripCards::loss() const {
  const Record& root = trace_[trace_.root];
  const std::string value = root.has_value ? " <B>" + number(root.value) + "</B>" : "";
  std::string rows = row(cell(font("loss" + value, 15), "WIDTH=\"96\" CELLPADDING=\"6\""));
  if (plan_.loss != 0) rows += row(cell(font(html(fit(root.op, 130, 9)), 9, c_.muted), ""));
  if (trace_.differentiated) rows += row(cell(font("seed  ∂L/∂L = 1", 9, c_.muted), ""));
  return fmt::format(
      "<TABLE BORDER=\"2\" COLOR=\"{}\" STYLE=\"ROUNDED\" BGCOLOR=\"{}\" CELLBORDER=\"0\" CELLSPACING=\"0\""
      " CELLPADDING=\"3\">{}</TABLE>",
      c_.text, c_.card, rows);
}

std::string StripCards::loss_words() const {
  if (plan_.loss == 0) return "loss";
  std::string words = card_words(trace_, trace_[plan_.loss]);
  for (const std::uint32_t id : plan_.targets)
    words += fmt::format("; {}: {} {}", shorten(leaf_name(trace_, trace_[id], "constant"), 80),
                         shape_text(trace_[id].shape), trace_[id].dtype);
  return words;
}

// Room below it: dot would let a thick line cross the text.
std::string StripCards::times(std::uint32_t n) const {
  return table({"", "", Frame::Corners::square, 0},
               row(cell(font(fmt::format("×{}", n), 9, c_.muted), "")) + row(cell("", "HEIGHT=\"9\"")));
}

std::string StripCards::shared_rows() const {
  std::string rows;
  for (const std::uint32_t id : plan_.shared) {
    const Record& leaf = trace_[id];
    std::vector<Gradient> sent;
    for (const Record& r : trace_.records)
      for (std::size_t i = 0; i < r.operands.size(); ++i)
        if (r.operands[i].id == id) sent.push_back(flow(trace_, r, i));
    std::string cells = cell(font(html(fit(leaf.name, 200, 12, true)), 12, {}, true), "ALIGN=\"LEFT\"") +
                        cell(font(shape_text(leaf.shape), 10, c_.muted), "ALIGN=\"LEFT\"");
    const std::size_t all = sent.size(), ends = shares_shown / 2;
    for (std::size_t i = 0; i < shares_shown; ++i) {
      if (all <= shares_shown) cells += i < all ? share(sent[i], "") : cell("", "");
      else if (i == ends) cells += cell(font("…", 9, c_.muted), "");
      else cells += share(sent[i < ends ? i : all - shares_shown + i], "");
    }
    rows += row(cells + share(leaf.gradient, "∇ "));
  }
  return rows;
}
std::string StripCards::share(const Gradient& g, const std::string& before) const {
  const bool sum = !before.empty();
  const std::optional<double> size = style_.of(g);
  const bool known = g.state == Gradient::State::known;
  return cell(font(before + (known ? style_.gradient_text(g.size) : "–"), sum ? 11 : 9,
                   known ? style_.ink(size) : c_.muted, sum),
              fmt::format("WIDTH=\"{}\" ALIGN=\"RIGHT\"{}", sum ? 70 : 46,
                          size ? " BGCOLOR=\"" + style_.fill(size) + "\"" : ""));
}

}  // namespace ebb::graphviz
