// The cards: one for each op, forward above, backward below; any graph fits.
//
// Names of DOT nodes: n a card, s a leaf drawn once more beside an op that shares it; the number is the graph's id.
#include "cards_markup.h"
#include "cards_panel.h"
#include "cards_plan.h"
#include "cards_ways.h"
#include "write.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>
#include <utility>
#include <vector>

namespace ebb::graphviz {

namespace {

constexpr std::size_t longest_row = 40;  // of scalars from left to right: a longer one is a ribbon
constexpr CardSize loss_size{172, 36};

bool is_of_scalars(const Trace& trace) {
  return std::all_of(trace.records.begin(), trace.records.end(),
                     [](const Record& r) { return r.scalar || !r.is_op(); });
}

std::size_t longest_path(const Trace& trace) {
  std::vector<std::size_t> depth(trace.records.size());
  std::size_t longest = 0;
  for (std::size_t i = 0; i < depth.size(); ++i) {
    for (const Operand& o : trace.records[i].operands)
      if (o.id != 0) depth[i] = std::max(depth[i], depth[trace.at(o.id)] + 1);
    longest = std::max(longest, depth[i]);
  }
  return longest;
}

bool goes_across(const Trace& trace, const DotOptions& options) {
  if (options.view == View::scalar) return true;
  return options.view == View::automatic && is_of_scalars(trace) && longest_path(trace) <= longest_row;
}

// Of the words in a label, about.
double width_of(std::string_view markup) {
  std::string words;
  for (std::size_t i = 0; i < markup.size(); ++i) {
    if (markup[i] == '<') i = std::min(markup.find('>', i), markup.size());
    else words += markup[i];
  }
  return width(words, 12, true);
}

class Writer {
 public:
  Writer(const Trace& trace, const DotOptions& options)
      : trace_(trace),
        options_(options),
        style_(style_of(trace, options)),
        c_(style_.colours),
        markup_(trace, style_),
        across_(goes_across(trace, options)),
        plan_(plan_cards(trace, options.depth, !across_)) {
    if (plan_.columns.empty()) return;
    const CardSizes sizes{[this](const CardItem& item) -> CardSize { return look_of(item); },
                          [this](const Band& band) {
                            return width_of(band_attributes(band, style_, "l")) -
                                   width_of(band_attributes({}, style_, "l"));
                          },
                          loss_size};
    grid_ = grid_of(trace, plan_, sizes);
    ways_.emplace(plan_, *grid_);
  }

  std::string write() {
    out_ = "// cards view; ids are the graph's\n";
    out_ += across_ ? head(trace_, options_, style_, "", 0.5, 0.16) : head(trace_, options_, style_, "", 0.42, 0.28);
    if (across_) line("rankdir=LR");
    if (grid_) line("layout=nop2 // every place is given");
    // A cluster's label below the cards: as a node it would move them.
    line("subgraph cluster_page {{");
    line("graph [peripheries=0 margin=0 labelloc=b labeljust=c {}]", grid_ ? page_box() : label(foot()));
    if (trace_.records.empty()) line("empty [{}]", label(font("nothing was recorded", 12, c_.muted)));
    for (const std::uint32_t id : plan_.leaves) card({id});
    band(plan_.all);
    for (const Cards::Column& column : plan_.columns) column.step > 0 ? frame(column.band) : band(column.band);
    if (trace_.root != 0)
      line("loss [class=\"loss\" {}{}]", label(loss_markup(trace_, style_)), grid_ ? place(grid_->loss) : "");
    if (grid_) foot_card();
    line("}}");
    for (std::size_t i = 0; i < plan_.lines.size(); ++i) join(i);
    if (trace_.root != 0) seed();
    return out_ + "}\n";
  }

 private:
  template <class... T> void line(fmt::format_string<T...> text, T&&... values) {
    out_ += "  ";
    fmt::format_to(std::back_inserter(out_), text, std::forward<T>(values)...);
    out_ += '\n';
  }

  // ---- cards --------------------------------------------------------------------------------------------------

  CardLook look_of(const CardItem& item) const {
    const Record& r = trace_[item.id];
    if (item.operand >= 0) return markup_.stub(r, static_cast<std::size_t>(item.operand));
    if (!r.is_op()) return markup_.leaf(r);
    if (r.fold != nullptr) return markup_.folded(r);
    const bool reads_a_slice = r.operands.size() == 1 && plan_.within.contains(r.operands[0].id);
    return markup_.op(r, reads_a_slice ? &trace_[r.operands[0].id] : nullptr);
  }

  static std::string name_of(const CardItem& item) {
    return item.operand < 0 ? fmt::format("n{}", item.id) : fmt::format("s{}_{}", item.id, item.operand);
  }

  static std::string place(const Area& area) {
    return fmt::format(" pos=\"{:.1f},{:.1f}\"", area.middle().x, -area.middle().y + 0.0);
  }

  void card(const CardItem& item) {
    line("{} [{}{}]", name_of(item), look_of(item).attributes,
         grid_ ? place(grid_->cards.at({item.id, item.operand})) : "");
  }

  void op(const Record& r) {
    for (std::size_t i = 0; i < r.operands.size(); ++i)
      if (plan_.stubs.contains(r.operands[i].id)) card({r.id, static_cast<int>(i)});
    if (const auto leaves = plan_.beside.find(r.id); leaves != plan_.beside.end())
      for (const std::uint32_t id : leaves->second) card({id});
    if (!plan_.within.contains(r.id)) card({r.id});
  }

  void band(const Band& band) {
    for (const std::uint32_t id : band.ops) op(trace_[id]);
    for (const Band& inner : band.inner) frame(inner);
  }

  void frame(const Band& inner) {
    if (grid_ && !grid_->frames.contains(&inner)) return band(inner);  // others would stand in it
    line("subgraph cluster_{} {{", ++clusters_);
    const std::string attributes = band_attributes(inner, style_, "l");
    line("{}", attributes);
    if (grid_) {
      const Area& area = grid_->frames.at(&inner);
      const double title = width_of(attributes) - width_of(band_attributes({}, style_, "l"));
      line("graph [{} lp=\"{:.1f},{:.1f}\"]", box(area), area.left + 14 + title / 2, -area.top - title_height / 2 - 2);
    }
    band(inner);
    line("}}");
  }

  static std::string box(const Area& area) {
    return fmt::format("bb=\"{:.1f},{:.1f},{:.1f},{:.1f}\"", area.left, -area.bottom, area.right, -area.top);
  }

  // ---- lines --------------------------------------------------------------------------------------------------

  void join(std::size_t number) {
    const CardLine& l = plan_.lines[number];
    const Record& taker = trace_[l.taker];
    const std::uint32_t id = taker.operands[l.operand].id;
    const bool is_stub = l.from.operand != CardItem::card;
    std::size_t times = 0;
    for (const Operand& o : taker.operands) times += o.id == id ? o.times : 0;
    const Gradient g =
        is_stub ? flow(trace_, taker, l.operand) : flow(trace_, {id, taker.id, l.operand, static_cast<int>(times)});
    const bool known = g.state == Gradient::State::known;
    const std::string look = duplex(g, trace_, style_);
    std::string places;
    if (ways_) places = fmt::format(" pos=\"{}\"", ways_->line(number, look.starts_with("dir=both")));
    if (!is_stub && times > 1) {
      places += fmt::format(" label=\"{}×{}\"", ways_ ? "" : "   ", times);
      if (ways_) places += fmt::format(" lp=\"{:.1f},{:.1f}\"", ways_->label(number).x, -ways_->label(number).y);
    }
    const char* const ends = across_ ? ":e" : "";
    line("{}{} -> n{}{} [class=\"flow{}{}\" {} tooltip=\"{}{}\"{}]", name_of(l.from), ends, l.to, across_ ? ":w" : "",
         step_class(taker), known && g.size == 0 ? " zero" : "", look,
         known && taker.order != 0 ? fmt::format("step {}: ", taker.order) : "",
         gradient_words(g, trace_[id].scalar, trace_.compared), places);
  }

  void seed() {
    Gradient gradient = trace_[trace_.root].gradient;
    if (!trace_.differentiated) gradient.state = Gradient::State::unneeded;
    const std::string look = duplex(gradient, trace_, style_);
    line("n{} -> loss [class=\"seed\" {} weight=4{}]", trace_.root, look,
         ways_ ? fmt::format(" pos=\"{}\"", ways_->loss_line(trace_.root, look.starts_with("dir=both"))) : "");
  }

  // ---- the foot of the page -----------------------------------------------------------------------------------

  std::string foot() const {
    const auto any = [&](bool scalar) {
      return std::any_of(trace_.records.begin(), trace_.records.end(),
                         [=](const Record& r) { return r.scalar == scalar; });
    };
    const bool scalars = any(true), tensors = any(false);
    std::string words = trace_.observed ? "card: forward above" : "card: op and shape";
    if (trace_.differentiated && trace_.observed) {
      words += ", backward below (step number, ";
      words += scalars && tensors ? "gradient: of a scalar its value, of a tensor its rms"
               : scalars          ? "gradient"
                                  : "gradient rms";
      words += ", Σn = sum of n contributions)";
    }
    const bool recorded =
        std::any_of(trace_.records.begin(), trace_.records.end(), [](const Record& r) { return r.backward_of != 0; });
    if (recorded) words += "     ∂: recorded by graph.gradient(), differentiable again";
    std::string rows;
    if (const std::string panel = shared_panel(trace_, plan_, style_); !panel.empty()) rows += row(cell(panel, ""));
    rows += row(cell(legend_markup(trace_, style_, words), ""));
    return table({"", "", Frame::Corners::square, 4}, rows);
  }

  std::string page_box() const {
    return box({grid_->all.left, grid_->all.top, grid_->all.right, ways_->bottom()}) + " label=\"\"";
  }

  void foot_card() {
    const auto shown = std::count_if(plan_.stubs.begin(), plan_.stubs.end(),
                                     [&](const auto& stub) { return trace_[stub.first].kind != Node::Kind::constant; });
    const double high = 96 + (shown > 0 ? 34 + 27 * static_cast<double>(shown) : 0), top = ways_->bottom() + 30;
    line("legend [class=\"legend\" {}{}]", label(foot()), place({grid_->all.left, top, grid_->all.right, top + high}));
  }

  const Trace& trace_;
  const DotOptions& options_;
  const Style style_;
  const Palette& c_;
  const CardMarkup markup_;
  const bool across_;  // from left to right
  const Cards plan_;
  std::optional<CardGrid> grid_;
  std::optional<CardWays> ways_;
  std::string out_;
  int clusters_ = 0;
};

}  // namespace

std::string write_cards(const Trace& trace, const DotOptions& options) { return Writer(trace, options).write(); }

}  // namespace ebb::graphviz
