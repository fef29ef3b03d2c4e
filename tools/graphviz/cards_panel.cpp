#include "cards_panel.h"

#include "folded.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <vector>

namespace ebb::graphviz {

namespace {

constexpr std::size_t most_shown = 8, shown_at_an_end = 3;

struct Use {
  std::uint32_t op = 0;
  Gradient sent;
};

class Panel {
 public:
  Panel(const Trace& trace, const Cards& plan, const Style& style)
      : trace_(trace), plan_(plan), style_(style), c_(style.colours) {
    for (const Record& r : trace.records)
      for (std::size_t i = 0; i < r.operands.size(); ++i)
        if (r.operands[i].id != 0 && is_shown(r.operands[i].id))
          uses_[r.operands[i].id].push_back({r.id, flow(trace, r, i)});
    for (const auto& [id, uses] : uses_) columns_ = std::max(columns_, uses.size());
    by_step_ =
        std::all_of(uses_.begin(), uses_.end(), [&](const auto& entry) { return one_in_each_step(entry.second); });
  }

  std::string markup() const {
    if (uses_.empty()) return "";
    std::string rows = heading();
    for (const auto& [id, uses] : uses_) {
      const Record& leaf = trace_[id];
      std::string cells = cell(
          font(html(fit(leaf.name, 200, 12, true)), 12, {}, true) + "  " + font(shape_text(leaf.shape), 10, c_.muted),
          "ALIGN=\"LEFT\"");
      for (std::size_t i = 0; i < shown(); ++i) cells += shown_use(uses, i);
      rows += row(cells + amount(leaf.gradient, true));
    }
    return fmt::format(
        "<TABLE BORDER=\"1\" COLOR=\"{}\" BGCOLOR=\"{}\" CELLBORDER=\"0\" CELLSPACING=\"3\" "
        "CELLPADDING=\"3\">{}</TABLE>",
        c_.parameter_line, c_.parameter, rows);
  }

 private:
  bool is_shown(std::uint32_t id) const { return plan_.stubs.contains(id) && trace_[id].kind != Node::Kind::constant; }

  std::size_t step_of(const Use& use) const {
    const auto place = plan_.places.find(use.op);
    return place != plan_.places.end() && !plan_.columns.empty() ? plan_.columns[place->second].step : 0;
  }
  bool one_in_each_step(const std::vector<Use>& uses) const {
    for (std::size_t i = 0; i < uses.size(); ++i)
      if (step_of(uses[i]) != i + 1) return false;
    return true;
  }

  bool is_cut() const { return columns_ > most_shown; }
  // The first, the curve, the last.
  std::size_t shown() const { return is_cut() ? 2 * shown_at_an_end + 1 : columns_; }

  std::string heading() const {
    std::string cells = cell(font("<B>shared parameters</B>: gradient = Σ over uses", 10, c_.muted), "ALIGN=\"LEFT\"");
    for (std::size_t i = 0; i < shown(); ++i) {
      std::string words;
      if (is_cut() && i == shown_at_an_end) words = fmt::format("all {}", columns_);
      else if (!is_cut() || i < shown_at_an_end)
        words = by_step_ ? "step " + plan_.columns[i + 1].name : fmt::format("use {}", i + 1);
      else
        words = by_step_ ? "step " + plan_.columns[columns_ + 1 - (shown() - i)].name : shown() - i == 1 ? "last" : "";
      cells += cell(font(words, 9, c_.muted), "");
    }
    return row(cells + cell(font("sum", 9, c_.muted), ""));
  }

  std::string shown_use(const std::vector<Use>& uses, std::size_t column) const {
    if (!is_cut() || uses.size() <= shown_at_an_end)
      return column < uses.size() ? amount(uses[column].sent, false) : cell("", "");
    if (column < shown_at_an_end) return amount(uses[column].sent, false);
    if (column > shown_at_an_end) {
      const std::size_t back = shown() - column;
      return uses.size() >= shown_at_an_end + back ? amount(uses[uses.size() - back].sent, false) : cell("", "");
    }
    std::vector<double> sizes;
    for (const Use& use : uses)
      if (use.sent.state == Gradient::State::known) sizes.push_back(use.sent.size);
    return cell(sizes.size() > 1 ? curve(sizes, style_) : "", "");
  }

  std::string amount(const Gradient& g, bool is_sum) const {
    if (g.state != Gradient::State::known) return cell(font("–", 9, c_.muted), "WIDTH=\"38\"");
    const std::optional<double> size = style_.of(g);
    return cell(
        font((is_sum ? "∇ " : "") + style_.gradient_text(g.size), is_sum ? 11 : 9, style_.ink(size), is_sum),
        fmt::format("WIDTH=\"{}\"{}", is_sum ? 58 : 38, size ? fmt::format(" BGCOLOR=\"{}\"", style_.fill(size)) : ""));
  }

  const Trace& trace_;
  const Cards& plan_;
  const Style& style_;
  const Palette& c_;
  std::map<std::uint32_t, std::vector<Use>> uses_;
  std::size_t columns_ = 0;
  bool by_step_ = false;
};

}  // namespace

std::string shared_panel(const Trace& trace, const Cards& plan, const Style& style) {
  return Panel(trace, plan, style).markup();
}

}  // namespace ebb::graphviz
