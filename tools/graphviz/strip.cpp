// Names of DOT nodes: n a card or leaf, i a copy of a leaf beside one of its users, numbered by the graph's ids; l and r
// the corners at the left and right where one row turns into the next; order a point that keeps several graphs in order.
// Of several graphs the first one's names begin with a, the second's with b, and so on.
#include "strip.h"

#include "cards_markup.h"
#include "folded.h"
#include "strip_cards.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

namespace ebb::graphviz {

namespace {

// What all parts show together.
Trace together(const std::vector<Part>& parts) {
  Trace all;
  for (const Part& part : parts) {
    const Trace& t = part.trace;
    all.records.insert(all.records.end(), t.records.begin(), t.records.end());
    all.observed = all.observed || t.observed;
    all.differentiated = all.differentiated || t.differentiated;
    all.timed = all.timed || t.timed;
    all.compared = all.compared || t.compared;
    all.ops += t.ops, all.steps += t.steps, all.parameters += t.parameters;
    for (const std::string& words : t.folded)
      if (std::find(all.folded.begin(), all.folded.end(), words) == all.folded.end()) all.folded.push_back(words);
  }
  return all;
}

class Writer {
 public:
  /// With `down` each row is a rank of dot's, else each column.
  Writer(std::string& out, const Trace& trace, const Strip& plan, const Style& style, bool down, std::string prefix)
      : out_(out),
        trace_(trace),
        plan_(plan),
        look_(trace, plan, style),
        style_(style),
        c_(style.colours),
        down_(down),
        prefix_(std::move(prefix)) {}

  void write() {
    if (is_empty()) line("{}empty [{}]", prefix_, label(font("nothing was computed", 12, c_.muted)));
    for (const Strip::Input& input : plan_.inputs) this->input(input);
    for (const std::uint32_t id : plan_.cards) card(trace_[id]);
    if (trace_.root != 0) loss();
    if (down_) rows();
    for (const Link& link : plan_.links) join(link);
    for (const Strip::Input& input : plan_.inputs) join(input);
    if (trace_.root != 0 && plan_.loss == 0) {
      Gradient seed = trace_[trace_.root].gradient;
      if (!trace_.differentiated) seed.state = Gradient::State::unneeded;
      line("{} -> {}loss [{} weight=100]", node(trace_.root), prefix_, duplex(seed, "seed"));
    }
  }

  /// The nodes that begin the first and the last row; the first card, if there are no rows.
  std::pair<std::string, std::string> beginnings() const {
    if (is_empty()) return {prefix_ + "empty", prefix_ + "empty"};
    if (plan_.rows.empty()) {
      const std::string first = node(plan_.cards.empty() ? plan_.loss : plan_.cards.front());
      return {first, first};
    }
    return {down_ ? node(plan_.rows.front().front()) : beginning(plan_.rows.front()), node(plan_.rows.back().front())};
  }

 private:
  template <class... T> void line(fmt::format_string<T...> text, T&&... values) {
    out_ += "  ";
    fmt::format_to(std::back_inserter(out_), text, std::forward<T>(values)...);
    out_ += '\n';
  }

  std::string node(std::uint32_t id) const {
    return id == plan_.loss && id != 0 ? prefix_ + "loss" : fmt::format("{}n{}", prefix_, id);
  }
  std::string node(const Strip::Input& input) const {
    return input.copy ? fmt::format("{}i{}_{}", prefix_, input.leaf, input.user) : node(input.leaf);
  }
  bool is_empty() const { return plan_.cards.empty() && plan_.loss == 0; }

  // The input that stands to the left of a row; null where none does.
  const Strip::Input* input_of(const std::vector<std::uint32_t>& row) const {
    const auto into = [&](const Strip::Input& input) { return input.user == row.front(); };
    const auto found = std::find_if(plan_.inputs.begin(), plan_.inputs.end(), into);
    return found == plan_.inputs.end() ? nullptr : &*found;
  }
  std::string beginning(const std::vector<std::uint32_t>& row) const {
    const Strip::Input* input = input_of(row);
    return input != nullptr && &row == &plan_.rows.front() ? node(*input) : node(row.front());
  }

  // ---- rows ---------------------------------------------------------------------------------------------------

  void rows() {
    for (const std::vector<std::uint32_t>& row : plan_.rows) {
      std::string nodes = row.front() == plan_.rows.front().front() ? beginning(row) + " " : "";
      for (const std::uint32_t id : row) nodes += node(id) + " ";
      if (&row == &plan_.rows.back() && trace_.root != 0 && plan_.loss == 0) nodes += prefix_ + "loss ";
      line("{{ rank=same {}}}", nodes);
    }
    for (std::size_t i = 1; i < plan_.rows.size(); ++i) {
      line("{{ rank=same {0}l{1} {0}r{1} }}", prefix_, i);
      line("{} -> {}l{} [style=invis weight=1000]", node(plan_.rows[i - 1].front()), prefix_, i);
    }
  }

  // Whether inputs stand between a row and the one before it.
  bool has_inputs_above(std::size_t row) const {
    return std::any_of(plan_.inputs.begin(), plan_.inputs.end(),
                       [&](const Strip::Input& input) { return plan_.place(input.user).row == row; });
  }

  // From the end of a row to the beginning of the next: down, all the way to the left between the rows, and down.
  void turn(const Link& link, std::size_t row, const Gradient& g) {
    const Record& to = trace_[link.to];
    const std::string left = fmt::format("{}l{}", prefix_, row), right = fmt::format("{}r{}", prefix_, row);
    const std::string classes = "flow" + step_class(to), words = flow_words(to, g);
    const std::vector<std::string> colours = strands(g);
    for (const std::string& corner : {left, right})  // as wide as the line, and so a round corner
      line("{} [shape=point width=0.01 color=\"{}\" penwidth={:.1f}]", corner, colours.back(),
           1.8 * static_cast<double>(colours.size()));
    line("{} -> {} [{} headclip=false weight=100 tooltip={}]", node(link.from), right,
         duplex(g, classes, Stretch::start), words);
    line("{} -> {} [{} headclip=false tailclip=false tooltip={}]", left, right, duplex(g, classes, Stretch::back),
         words);
    line("{} -> {} [{} tailclip=false weight=1000{} tooltip={}]", left, node(link.to), duplex(g, classes, Stretch::end),
         has_inputs_above(row) ? " minlen=2" : "", words);
  }

  // ---- cards --------------------------------------------------------------------------------------------------

  void card(const Record& r) {
    const bool folded = r.fold != nullptr;
    line("{} [class=\"{}{}\" tooltip={} {}]", node(r.id), folded ? "module" : "op", step_class(r),
         quoted(folded ? folded_words(r, style_) : card_words(trace_, r)),
         label(folded ? folded_card(trace_, r, style_) : look_.op(r)));
  }

  void input(const Strip::Input& input) {
    const auto same = [&](const Strip::Input& other) { return other.leaf == input.leaf && !other.copy; };
    if (!input.copy && &*std::find_if(plan_.inputs.begin(), plan_.inputs.end(), same) != &input)
      return;  // drawn with its first use
    line("{} [class=\"leaf\" tooltip={} {}]", node(input), quoted(look_.input_words(input)), label(look_.input(input)));
  }

  void loss() {
    line("{}loss [class=\"loss{}\" tooltip={} {}]", prefix_, plan_.loss != 0 ? step_class(trace_[plan_.loss]) : "",
         quoted(look_.loss_words()), label(look_.loss()));
  }

  // ---- lines --------------------------------------------------------------------------------------------------

  // The parallel lines of an edge: slate for the values, then heat for the gradient, the more the larger it is.
  std::vector<std::string> strands(const Gradient& g) const {
    std::vector<std::string> colours{c_.forward};
    if (g.state == Gradient::State::unknown && trace_.differentiated) colours.push_back(c_.saved);
    if (g.state != Gradient::State::known) return colours;
    const std::optional<double> size = style_.of(g);
    const double width = size && *size != 0 ? style_.heat.pen_width(*size) : 1;
    colours.resize(1 + static_cast<std::size_t>(std::clamp(std::lround(width), 1L, 5L)),
                   size ? style_.heat.line(*size) : c_.edge_mid);
    return colours;
  }

  // Which part of a line: only whole ones have both arrows; what runs from right to left is drawn from left to right.
  enum class Stretch { whole, start, back, end };

  std::string duplex(const Gradient& g, std::string classes, Stretch stretch = Stretch::whole) const {
    std::vector<std::string> colours = strands(g);
    if (stretch == Stretch::back) std::reverse(colours.begin(), colours.end());
    const bool known = g.state == Gradient::State::known, zero = known && g.size == 0;
    if (zero) classes += " zero";
    const char* const look = zero                  ? "penwidth=1"
                             : known               ? "penwidth=1.8"
                             : colours.size() == 1 ? "penwidth=1.6"
                                                   : "style=dashed penwidth=1.2";
    const bool tailed = known && (stretch == Stretch::whole || stretch == Stretch::start);
    const bool headed = stretch == Stretch::whole || stretch == Stretch::end;
    const char* const tail = !tailed                 ? ""
                             : zero                  ? " arrowtail=onormal"
                             : std::isfinite(g.size) ? " arrowtail=normal"
                                                     : " arrowtail=diamond";
    return fmt::format("class=\"{}\" dir={}{}{} color=\"{}\" {}", classes,
                       tailed && headed ? "both"
                       : tailed         ? "back"
                       : headed         ? "forward"
                                        : "none",
                       headed ? " arrowhead=vee" : "", tail, fmt::join(colours, ":"), look);
  }

  std::string flow_words(const Record& op, const Gradient& g) const {
    const std::string steps = steps_text(op);
    return quoted((steps.empty() || g.state != Gradient::State::known ? "" : "backward " + steps + ": ") +
                  gradient_words(g, false, style_.compared));
  }

  void join(const Link& link) {
    const Record& to = trace_[link.to];
    const Gradient g = flow(trace_, link);
    const Strip::Place here = plan_.place(link.from), there = plan_.place(link.to);
    const bool ends_row = plan_.wraps() && here.column + 1 == plan_.rows[here.row].size();
    if (ends_row && here.row + 1 == there.row && there.column == 0) return turn(link, there.row, g);
    std::uint32_t times = 0;
    for (const Operand& o : to.operands)
      if (o.id == link.from) times += o.times;
    const bool next = !plan_.rows.empty() && here.row == there.row && here.column + 1 == there.column;
    line("{} -> {} [{} tooltip={}{}{}]", node(link.from), node(link.to), duplex(g, "flow" + step_class(to)),
         flow_words(to, g), times > 1 ? " " + label(look_.times(times)) : "", next ? " weight=100" : "");
  }

  void join(const Strip::Input& input) {
    const Record& user = trace_[input.user];
    std::size_t operand = 0;
    while (user.operands[operand].id != input.leaf) ++operand;
    const Gradient g = flow(trace_, user, operand);
    const bool first = !plan_.rows.empty() && input_of(plan_.rows.front()) == &input;
    line("{} -> {} [{} tooltip={}{}]", node(input), node(input.user), duplex(g, "flow" + step_class(user)),
         flow_words(user, g), first ? " weight=100" : "");
  }

  std::string& out_;
  const Trace& trace_;
  const Strip& plan_;
  const StripCards look_;
  const Style& style_;
  const Palette& c_;
  const bool down_;
  const std::string prefix_;
};

std::string foot(const Trace& all, const Style& style, const std::string& shared) {
  std::string words = "one card per module, forward to the right, backward to the left";
  if (all.differentiated && all.observed)
    words += " · g: gradient rms at its output · ∇θ: at its parameters · numbers: backward steps";
  std::string rows;
  if (!shared.empty()) {
    const std::string title =
        row(cell(font("shared parameters: one gradient from each card, and their sum", 10, style.colours.muted),
                 "COLSPAN=\"10\" ALIGN=\"LEFT\""));
    rows += row(cell(table({style.colours.parameter_line, style.colours.parameter}, title + shared), ""));
  }
  rows += row(cell(legend_markup(all, style, words), ""));
  return table({"", "", Frame::Corners::square, 4}, rows);
}

// Parts from top to bottom, each told by the first node of its first and of its last row.  Where rows are dot's ranks,
// one below the other; where columns are, points in a column of their own keep the order, which dot would not promise
// otherwise.
std::string in_order(const std::vector<std::pair<std::string, std::string>>& parts, bool down) {
  if (parts.size() < 2) return "";
  std::string text;
  for (std::size_t i = 1; down && i < parts.size(); ++i)
    text += fmt::format("  {} -> {} [style=invis weight=1000]\n", parts[i - 1].second, parts[i].first);
  if (down) return text;
  text += "  { rank=same edge [style=invis] node [shape=point style=invis width=0.01 label=\"\"]";
  for (std::size_t i = 0; i < parts.size(); ++i) text += fmt::format("{}order{}", i == 0 ? " " : " -> ", i);
  text += " }\n";
  for (std::size_t i = 0; i < parts.size(); ++i)
    text += fmt::format("  order{} -> {} [style=invis weight=10]\n", i, parts[i].first);
  return text;
}

// a ... z, then aa ...
std::string letters(std::size_t i) {
  std::string text(1, static_cast<char>('a' + i % 26));
  return i < 26 ? text : letters(i / 26 - 1) + text;
}

}  // namespace

bool looks_like_strip(const Trace& folded, const DotOptions& options) {
  std::int64_t cards = 0, ops = 0;
  bool only_modules = true;
  for (const Record& r : folded.records) {
    if (!r.is_op() || r.id == folded.root) continue;
    ++(r.fold != nullptr ? cards : ops);
    only_modules = only_modules && (r.fold == nullptr || r.fold->kind == Fold::Kind::module);
  }
  if (cards == 0 || options.depth <= 1) return cards > 0;
  // Modules in modules are seen better as bands.
  return cards > ops && !only_modules && !plan_strip(folded).rows.empty();
}

std::string write_strip(const Trace& folded, const DotOptions& options) {
  return write_strip(std::vector<Part>{{"", "", folded}}, options);
}

std::string write_strip(const std::vector<Part>& parts, const DotOptions& options) {
  const Trace all = together(parts);
  const Style style = style_of(all, options);
  std::vector<Strip> plans;
  for (const Part& part : parts) plans.push_back(plan_strip(part.trace));
  const bool down = std::any_of(plans.begin(), plans.end(), [](const Strip& plan) { return plan.wraps(); });
  // Lines past other cards in a row are arcs above it.
  const bool arcs = std::any_of(plans.begin(), plans.end(), [](const Strip& plan) { return plan.skips(); });
  const double rank_gap = !down ? 0.34 : arcs ? 0.6 : 0.3;
  std::string shared, statements;
  std::vector<std::pair<std::string, std::string>> beginnings;
  for (std::size_t i = 0; i < parts.size(); ++i) {
    Writer writer(statements, parts[i].trace, plans[i], style, down, parts.size() > 1 ? letters(i) : "");
    if (parts.size() > 1) {
      Band band;
      band.titles = {{parts[i].title, parts[i].detail}};
      // The outer one is the gap between bands.
      statements += fmt::format(
          "  subgraph cluster_{0}_ {{\n  graph [label=\"\" peripheries=0 margin=6]\n"
          "  subgraph cluster_{0} {{\n  {1}\n",
          letters(i), band_attributes(band, style, "l"));
    }
    writer.write();
    if (parts.size() > 1) statements += "  }\n  }\n";
    beginnings.push_back(writer.beginnings());
    shared += StripCards(parts[i].trace, plans[i], style).shared_rows();
  }
  return "// strip view; ids are the graph's\n" + head(all, options, style, "", rank_gap, down ? 0.34 : 0.3) +
         (down ? "" : "  graph [rankdir=LR]\n") +
         fmt::format("  subgraph cluster_page {{\n  graph [peripheries=0 margin=0 labelloc=b labeljust=l {}]\n",
                     label(foot(all, style, shared))) +
         statements + "  }\n" + in_order(beginnings, down) + "}\n";
}

}  // namespace ebb::graphviz
