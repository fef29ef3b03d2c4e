// The cards: one for each op, forward above, backward below; any graph fits.
//
// Names of DOT nodes: n a card, s a leaf drawn once more beside an op that shares it; the number is the graph's id.
// t and g hold a column and the gap before it in their places, p is a point that a line in a gap passes.
#include "cards_markup.h"
#include "cards_panel.h"
#include "cards_plan.h"
#include "folded.h"
#include "write.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <set>
#include <utility>
#include <vector>

namespace ebb::graphviz {

namespace {

// A picture of scalars goes from left to right, unless it would be a ribbon.
constexpr std::size_t longest_row = 40;

bool is_of_scalars(const Trace& trace) {
  return std::all_of(trace.records.begin(), trace.records.end(), [](const Record& r) { return r.scalar || !r.is_op(); });
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

class Writer {
 public:
  Writer(const Trace& trace, const DotOptions& options)
      : trace_(trace),
        style_(style_of(trace, options)),
        c_(style_.colours),
        markup_(trace, style_),
        plan_(plan_cards(trace, options.depth)) {
    across_ = is_of_scalars(trace) && longest_path(trace) <= longest_row;
    opening_ = "// cards view; ids are the graph's\n";
    opening_ += across_ ? head(trace_, options, style_, "", 0.3, 0.16) + "  rankdir=LR\n"
                        : head(trace_, options, style_, "", 0.42, 0.28);
    gaps_.resize(plan_.columns.size());
    for (const Cards::Column& column : plan_.columns) rows_ = std::max(rows_, column.rows.size());
  }

  std::string write() {
    out_.clear();  // lines first, which say what the gaps between columns hold; they are written last
    for (const Record& r : trace_.records) lines_to(r);
    if (trace_.root != 0) {
      Gradient seed = trace_[trace_.root].gradient;
      if (!trace_.differentiated) seed.state = Gradient::State::unneeded;
      line("n{} -> loss [class=\"seed\" {} weight=4]", trace_.root, duplex(seed, trace_, style_));
    }
    const std::string lines = std::exchange(out_, opening_);
    // A cluster's label below the cards: as a node it would move them.
    line("subgraph cluster_page {{");
    line("graph [peripheries=0 margin=0 labelloc=b labeljust=c {}]", label(foot()));
    if (trace_.records.empty()) line("empty [{}]", label(font("nothing was recorded", 12, c_.muted)));
    for (const std::uint32_t id : plan_.leaves) line("n{} [{}]", id, markup_.leaf(trace_[id]));
    band(plan_.rest);
    for (const Cards::Column& column : plan_.columns) this->column(column);
    if (trace_.root != 0) line("loss [class=\"loss\" {}]", label(loss_markup(trace_, style_)));
    if (!plan_.columns.empty()) hold_columns();
    line("}}");
    return out_ + lines + "}\n";
  }

 private:
  template <class... T> void line(fmt::format_string<T...> text, T&&... values) {
    out_ += "  ";
    fmt::format_to(std::back_inserter(out_), text, std::forward<T>(values)...);
    out_ += '\n';
  }

  // ---- cards --------------------------------------------------------------------------------------------------

  void op(const Record& r) {
    for (std::size_t i = 0; i < r.operands.size(); ++i)
      if (plan_.stubs.contains(r.operands[i].id)) line("s{}_{} [{}]", r.id, i, markup_.stub(r, i));
    if (const auto leaves = plan_.beside.find(r.id); leaves != plan_.beside.end())
      for (const std::uint32_t id : leaves->second) line("n{} [{}]", id, markup_.leaf(trace_[id]));
    if (plan_.within.contains(r.id)) return;
    if (r.fold != nullptr) {
      line("n{} [class=\"folded{}\" tooltip={} {}]", r.id, step_class(r), quoted(folded_words(r, style_)),
           label(folded_card(trace_, r, style_)));
      return;
    }
    const bool reads_a_slice = r.operands.size() == 1 && plan_.within.contains(r.operands[0].id);
    line("n{} [{}]", r.id, markup_.op(r, reads_a_slice ? &trace_[r.operands[0].id] : nullptr));
  }

  void band(const Band& band) {
    for (const std::uint32_t id : band.ops) op(trace_[id]);
    for (const Band& inner : band.inner) frame(inner);
  }

  void frame(const Band& inner) {
    line("subgraph cluster_{} {{", ++clusters_);
    line("{}", band_attributes(inner, style_, "l"));
    band(inner);
    line("}}");
  }

  // ---- columns ------------------------------------------------------------------------------------------------

  void column(const Cards::Column& column) {
    if (column.is_step) frame(column.band);
    else band(column.band);
    for (const std::vector<CardItem>& row : column.rows)
      for (std::size_t i = 1; i < row.size(); ++i)
        line("{} -> {} [style=invis]", name_of(row[i - 1]), name_of(row[i]));
  }

  static std::string name_of(const CardItem& item) {
    return item.operand < 0 ? fmt::format("n{}", item.id) : fmt::format("s{}_{}", item.id, item.operand);
  }

  // Each row on one rank; and the columns, with the gaps between them, from left to right: dot orders clusters neither
  // as they are declared nor by lines between them, but points in a row above, each with a stem into one, hold them.
  void hold_columns() {
    start_leaves();
    std::string points, chain, stems;
    const auto hold = [&](const std::string& point, const std::string& node) {
      points += " " + point + ";";
      chain += (chain.empty() ? "" : " -> ") + point;
      stems += fmt::format("  {} -> {} [style=invis weight=2]\n", point, node);
    };
    for (std::size_t i = 0; i < plan_.columns.size(); ++i) {
      const CardRows& rows = plan_.columns[i].rows;
      if (!gaps_[i].nodes.empty()) hold(fmt::format("g{}", i), gaps_[i].nodes.front());
      hold(fmt::format("t{}", i), name_of(rows.front().front()));
      for (std::size_t row = 0; row < rows.size(); ++row)
        for (const CardItem& item : rows[row]) ranks_[row] += " " + name_of(item) + ";";
    }
    line("{{ rank=same; node [shape=point style=invis width=0.01]{} }}", points);
    line("{} [style=invis]", chain);
    out_ += stems;
    for (std::size_t i = 0; i < gaps_.size(); ++i)
      if (!gaps_[i].nodes.empty())
        line("subgraph cluster_gap{} {{ graph [label=\"\" peripheries=0 margin=4]{} }}", i, gaps_[i].statements);
    for (const auto& [row, nodes] : ranks_) line("{{ rank=same;{} }}", nodes);
  }

  // At the left of the first column, a row above what takes them.
  void start_leaves() {
    for (const std::uint32_t id : plan_.starts) {
      std::size_t row = rows_;
      for (const auto& [op, place] : plan_.places)
        for (const Operand& o : trace_[op].operands)
          if (o.id == id) row = std::min(row, place.row);
      gaps_[0].nodes.push_back(fmt::format("n{}", id));
      gaps_[0].statements += fmt::format(" n{};", id);
      if (row > 0) ranks_[row - 1] += fmt::format(" n{};", id);
    }
  }

  // A point in the gap before a column, on the rank of a row; there may be one more row than cards have.
  std::string point(std::size_t column, std::size_t row) {
    const std::string name = fmt::format("p{}", ++points_);
    gaps_[column].nodes.push_back(name);
    gaps_[column].statements +=
        fmt::format(" {} [class=\"via\" shape=point width=0.01 height=0.01 color=\"{}\"];", name, c_.forward);
    ranks_[row] += " " + name + ";";
    for (const Cards::Column& other : plan_.columns)
      if (row >= rows_ && other.rows.size() == rows_)
        line("{} -> {} [style=invis minlen={}]", name_of(other.rows.back().front()), name, row + 1 - rows_);
    return name;
  }

  // ---- lines --------------------------------------------------------------------------------------------------

  // Of each value that the card shows as taken, one line for both directions: dot lays out half as many.
  void lines_to(const Record& r) {
    if (plan_.within.contains(r.id)) return;
    std::set<std::uint32_t> drawn;
    for (std::size_t i = 0; i < r.operands.size(); ++i) {
      const std::uint32_t id = r.operands[i].id;
      if (id == 0) continue;
      if (plan_.within.contains(id)) line_from(trace_[id], 0, r);
      else if (plan_.stubs.contains(id) || drawn.insert(id).second) line_from(r, i, r);
    }
  }

  // What `taker` takes there goes to the card of `shown`.
  void line_from(const Record& taker, std::size_t operand, const Record& shown) {
    const std::uint32_t id = taker.operands[operand].id;
    const bool is_stub = plan_.stubs.contains(id);
    std::size_t times = 0;
    for (const Operand& o : taker.operands) times += o.id == id ? o.times : 0;
    const Gradient g =
        is_stub ? flow(trace_, taker, operand) : flow(trace_, {id, taker.id, operand, static_cast<int>(times)});
    const bool known = g.state == Gradient::State::known;
    const std::string words = gradient_words(g, trace_[id].scalar, trace_.compared);
    Line line;
    line.from = is_stub ? fmt::format("s{}_{}", taker.id, operand) : fmt::format("n{}", id);
    line.to = fmt::format("n{}", shown.id);
    line.facts =
        fmt::format("class=\"flow{}{}\" tooltip=\"{}{}\"", step_class(taker), known && g.size == 0 ? " zero" : "",
                    known && taker.order != 0 ? fmt::format("step {}: ", taker.order) : "", words);
    line.look = duplex(g, trace_, style_);
    if (!is_stub && times > 1) line.label = fmt::format(" label=\"   ×{}\"", times);
    const auto begin = plan_.places.find(id), end = plan_.places.find(shown.id);
    if (begin != plan_.places.end() && end != plan_.places.end() && begin->second.column != end->second.column)
      put_across(line, begin->second, end->second);
    else put(line);
  }

  struct Line {
    std::string from, to, facts, look, label;
  };

  void put(const Line& l) {
    line("{}{} -> {}{} [{} {}{}]", l.from, across_ ? ":e" : "", l.to, across_ ? ":w" : "", l.facts, l.look, l.label);
  }

  // Between columns a line rises or falls in the gaps alone: points at the ranks next to its ends keep it there.  Along
  // one rank, where dot draws badly between clusters, it makes a bend.
  void put_across(const Line& l, const Cards::Place& begin, const Cards::Place& end) {
    const std::size_t away = begin.row < end.row || begin.row == 0 ? begin.row + 1 : begin.row - 1;
    const std::size_t there = begin.row < end.row ? end.row - 1 : begin.row > end.row ? end.row + 1 : away;
    const bool next = begin.column + 1 == end.column;
    std::vector<std::string> knots{l.from + ":e"};
    if (!next) {
      knots.push_back(point(begin.column + 1, away));
      knots.push_back(point(end.column, away == there ? away + 1 : there));
    } else if (away != end.row) {
      knots.push_back(point(end.column, away));
      if (away != there) knots.push_back(point(end.column, there));
    }
    knots.push_back(l.to + ":w");
    const bool returns = l.look.starts_with("dir=both");
    for (std::size_t i = 1; i < knots.size(); ++i) {
      const bool first = i == 1, last = i + 1 == knots.size();
      const std::string_view ends = first && last      ? ""
                                    : first && returns ? " dir=back headclip=false"
                                    : first            ? " dir=none headclip=false"
                                    : last             ? " dir=forward tailclip=false"
                                                       : " dir=none headclip=false tailclip=false";
      line("{} -> {} [{} {}{}{} constraint=false]", knots[i - 1], knots[i], l.facts, l.look, ends, last ? l.label : "");
    }
  }

  // ---- the foot of the page -----------------------------------------------------------------------------------

  std::string foot() const {
    const auto any = [&](bool scalar) {
      return std::any_of(trace_.records.begin(), trace_.records.end(), [=](const Record& r) { return r.scalar == scalar; });
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
    std::string rows;
    if (const std::string panel = shared_panel(trace_, plan_, style_); !panel.empty()) rows += row(cell(panel, ""));
    rows += row(cell(legend_markup(trace_, style_, words), ""));
    return table({"", "", Frame::Corners::square, 4}, rows);
  }

  const Trace& trace_;
  const Style style_;
  const Palette& c_;
  const CardMarkup markup_;
  const Cards plan_;
  std::string opening_, out_;
  int clusters_ = 0;
  bool across_ = false;  // from left to right

  // What lies before a column.
  struct Gap {
    std::vector<std::string> nodes;
    std::string statements;
  };
  std::vector<Gap> gaps_;
  std::map<std::size_t, std::string> ranks_;  // nodes by row
  std::size_t rows_ = 0;                      // of the longest column
  int points_ = 0;
};

}  // namespace

std::string write_cards(const Trace& trace, const DotOptions& options) { return Writer(trace, options).write(); }

}  // namespace ebb::graphviz
