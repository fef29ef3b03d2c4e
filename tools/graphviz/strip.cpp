// Names of DOT nodes: n a card or leaf, i a copy of a leaf beside one of its users, r a point that keeps rows in order;
// the number is the graph's id.  Of several graphs the first one's names begin with a, the second's with b, and so on.
#include "strip.h"

#include "folded.h"
#include "strip_plan.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

namespace ebb::graphviz {

namespace {

constexpr double widest_name = 150;

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
        style_(style),
        c_(style.colours),
        down_(down),
        prefix_(std::move(prefix)) {}

  void write() {
    if (trace_.records.empty()) line("{}empty [{}]", prefix_, label(font("nothing was recorded", 12, c_.muted)));
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

  /// The node that begins each row; the first card, if there are no rows.
  std::vector<std::string> beginnings() const {
    std::vector<std::string> first;
    for (const std::vector<std::uint32_t>& row : plan_.rows)
      first.push_back(down_ ? node(row.front()) : beginning(row));
    if (first.empty() && !plan_.cards.empty()) first.push_back(node(plan_.cards.front()));
    return first;
  }

  /// Rows of a table: the parameters that several cards use.
  std::string shared_rows() const {
    std::string rows;
    for (const std::uint32_t id : plan_.shared) {
      const Record& leaf = trace_[id];
      std::string cells = cell(font(html(fit(leaf.name, 200, 12, true)), 12, {}, true), "ALIGN=\"LEFT\"") +
                          cell(font(shape_text(leaf.shape), 10, c_.muted), "ALIGN=\"LEFT\"") +
                          cell(font("used " + std::to_string(leaf.users) + " times", 10, c_.muted), "ALIGN=\"LEFT\"");
      if (leaf.gradient.state == Gradient::State::known)
        cells += cell(font("∇ <B>" + number(leaf.gradient.size) + "</B>", 11, style_.heat.ink(leaf.gradient.size)),
                      fmt::format("WIDTH=\"70\" ALIGN=\"RIGHT\" BGCOLOR=\"{}\"", style_.heat.fill(leaf.gradient.size)));
      rows += row(cells);
    }
    return rows;
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

  static std::string step_of(const Record& r) {
    const std::uint32_t step = r.fold != nullptr ? r.fold->first_step : r.order;
    return step == 0 ? "" : fmt::format(" step{}", step);
  }

  // ---- rows ---------------------------------------------------------------------------------------------------

  void rows() {
    for (const std::vector<std::uint32_t>& row : plan_.rows) {
      std::string nodes = row.front() == plan_.rows.front().front() ? beginning(row) + " " : "";
      for (const std::uint32_t id : row) nodes += node(id) + " ";
      if (&row == &plan_.rows.back() && trace_.root != 0 && plan_.loss == 0) nodes += prefix_ + "loss ";
      line("{{ rank=same {}}}", nodes);
    }
    for (std::size_t i = 1; i < plan_.rows.size(); ++i) line("{{ rank=same {0}l{1} {0}r{1} }}", prefix_, i);
  }

  // From the end of a row to the beginning of the next: down, all the way to the left between the rows, and down.
  void turn(std::size_t row, const std::string& from, const std::string& to, const Gradient& g,
            const std::string& classes) {
    const std::string left = fmt::format("{}l{}", prefix_, row), right = fmt::format("{}r{}", prefix_, row);
    line("{} [shape=point width=0.01 color=\"{}\"]", left, c_.forward);
    line("{} [shape=point width=0.01 color=\"{}\"]", right, c_.forward);
    line("{} -> {} [{} headclip=false weight=100]", from, right, duplex(g, classes, Stretch::start));
    line("{} -> {} [{} headclip=false tailclip=false]", left, right, duplex(g, classes, Stretch::back));
    line("{} -> {} [{} tailclip=false weight=100]", left, to, duplex(g, classes, Stretch::end));
  }

  // ---- cards --------------------------------------------------------------------------------------------------

  void card(const Record& r) {
    line("{} [class=\"{}{}\" tooltip={} {}]", node(r.id), r.fold != nullptr ? "module" : "op", step_of(r),
         quoted(r.fold != nullptr ? folded_words(r) : words_of(r)),
         label(r.fold != nullptr ? folded_card(trace_, r, style_) : small_card(r)));
  }

  // An op between modules.
  std::string small_card(const Record& r) const {
    std::string beside = shape_text(r.shape);
    for (const Operand& o : r.operands)
      if (o.id != 0 && trace_[o.id].kind == Node::Kind::constant && trace_[o.id].size() == 1 && trace_[o.id].has_value)
        beside = number(trace_[o.id].value);
    std::string rows =
        row(cell(font(html(fit(r.op, widest_name, 12, true)), 12, {}, true) + "  " + font(beside, 10, c_.muted),
                 "WIDTH=\"70\" ALIGN=\"LEFT\""));
    if (trace_.differentiated) rows += chip_row(steps_text(r), "g", r.gradient, style_);
    for (const Operand& o : r.operands) {
      if (o.id == 0 || trace_[o.id].kind != Node::Kind::parameter || trace_[o.id].users > 1) continue;
      const Record& leaf = trace_[o.id];
      if (leaf.gradient.state == Gradient::State::known)
        rows += chip_row("∇ " + fit(leaf.name, 60, 9), "", leaf.gradient, style_);
    }
    return table({c_.card_line, c_.card, Frame::Corners::rounded}, rows);
  }

  static std::string words_of(const Record& r) {
    std::string text = fmt::format("{} = {}: {} {}", r.op, shorten(r.formula, 200), shape_text(r.shape), r.dtype);
    if (r.has_value) text += ", " + value_text(r);
    if (r.order != 0) text += fmt::format("; backward step {}, {}", r.order, gradient_words(r.gradient, r.scalar));
    if (!r.rule.empty()) text += "; " + shorten(r.rule, 200);
    return text;
  }

  void input(const Strip::Input& input) {
    const auto same = [&](const Strip::Input& other) { return other.leaf == input.leaf && !other.copy; };
    if (!input.copy && &*std::find_if(plan_.inputs.begin(), plan_.inputs.end(), same) != &input)
      return;  // drawn with its first use
    const Record& leaf = trace_[input.leaf];
    const std::string name = leaf_name(trace_, leaf, "constant");
    std::string rows;
    if (input.also > 0) rows += row(cell(font(fmt::format("{} inputs", input.also + 1), 10, c_.muted), ""));
    else if (!name.empty()) rows += row(cell(font(html(fit(name, 90, 12, true)), 12, {}, true), ""));
    rows += row(cell(font(shape_text(leaf.shape), 10, c_.muted), ""));
    const bool learns = leaf.kind != Node::Kind::constant;
    if (leaf.gradient.state == Gradient::State::known) rows += chip_row("", "∇", leaf.gradient, style_);
    line("{} [class=\"leaf\" tooltip={} {}]", node(input),
         quoted(fmt::format("{}: {} {}{}{}, {}", shorten(name, 80), shape_text(leaf.shape), leaf.dtype,
                            leaf.has_value ? ", " : "", value_text(leaf), gradient_words(leaf.gradient, leaf.scalar))),
         label(learns ? table({c_.parameter_line, c_.parameter, Frame::Corners::rounded}, rows)
                      : table({c_.card_line, c_.card, Frame::Corners::dashed, 3}, rows)));
  }

  void loss() {
    const Record& root = trace_[trace_.root];
    const std::string value = root.has_value ? " <B>" + number(root.value) + "</B>" : "";
    std::string rows = row(cell(font("loss" + value, 15), "WIDTH=\"96\" CELLPADDING=\"6\""));
    if (plan_.loss != 0) rows += row(cell(font(html(fit(root.op, 130, 9)), 9, c_.muted), ""));
    if (trace_.differentiated) rows += row(cell(font("seed  ∂L/∂L = 1", 9, c_.muted), ""));
    std::string words = plan_.loss != 0 ? words_of(root) : "loss";
    for (const std::uint32_t id : plan_.targets)
      words += fmt::format("; {}: {} {}", shorten(leaf_name(trace_, trace_[id], "constant"), 80),
                           shape_text(trace_[id].shape), trace_[id].dtype);
    line("{}loss [class=\"loss{}\" tooltip={} {}]", prefix_, plan_.loss != 0 ? step_of(root) : "", quoted(words),
         label(fmt::format("<TABLE BORDER=\"2\" COLOR=\"{}\" STYLE=\"ROUNDED\" BGCOLOR=\"{}\" CELLBORDER=\"0\""
                           " CELLSPACING=\"0\" CELLPADDING=\"3\">{}</TABLE>",
                           c_.text, c_.card, rows)));
  }

  // ---- lines --------------------------------------------------------------------------------------------------

  // Which part of a line: only whole ones have both arrows; what runs from right to left is drawn from left to right.
  enum class Stretch { whole, start, back, end };

  // One line for both directions: slate to the right, heat to the left.
  std::string duplex(const Gradient& g, std::string classes, Stretch stretch = Stretch::whole) const {
    std::vector<std::string> colours{c_.forward};
    std::string tail, look = "penwidth=1.8";
    if (g.state == Gradient::State::unknown && trace_.differentiated) {
      colours.push_back(c_.saved), look = "style=dashed penwidth=1.2";
    } else if (g.state != Gradient::State::known) {
      look = "penwidth=1.6";
    } else if (g.size == 0) {
      colours.push_back(c_.saved), tail = "onormal", look = "penwidth=1", classes += " zero";
    } else {
      const auto lines = static_cast<std::size_t>(std::clamp(std::lround(style_.heat.pen_width(g.size)), 1L, 5L));
      colours.resize(1 + lines, style_.heat.line(g.size)), tail = "normal";
    }
    if (stretch == Stretch::back) std::reverse(colours.begin(), colours.end());
    const bool tailed = !tail.empty() && (stretch == Stretch::whole || stretch == Stretch::start);
    const bool headed = stretch == Stretch::whole || stretch == Stretch::end;
    return fmt::format("class=\"{}\" dir={}{}{} color=\"{}\" {}", classes,
                       tailed && headed ? "both"
                       : tailed         ? "back"
                       : headed         ? "forward"
                                        : "none",
                       headed ? " arrowhead=vee" : "", tailed ? " arrowtail=" + tail : "", fmt::join(colours, ":"),
                       look);
  }

  std::string flow_words(const Record& op, const Gradient& g) const {
    const std::string steps = steps_text(op);
    return quoted((steps.empty() || g.state != Gradient::State::known ? "" : "backward " + steps + ": ") +
                  gradient_words(g, false));
  }

  void join(const Link& link) {
    const Record& to = trace_[link.to];
    const Gradient g = flow(trace_, link);
    const Strip::Place here = plan_.place(link.from), there = plan_.place(link.to);
    const bool ends_row = plan_.wraps() && here.column + 1 == plan_.rows[here.row].size();
    if (ends_row && here.row + 1 == there.row && there.column == 0)
      return turn(there.row, node(link.from), node(link.to), g, "flow" + step_of(to));
    std::uint32_t times = 0;
    for (const Operand& o : to.operands)
      if (o.id == link.from) times += o.times;
    const bool next = !plan_.rows.empty() && here.row == there.row && here.column + 1 == there.column;
    line("{} -> {} [{} tooltip={}{}{}]", node(link.from), node(link.to), duplex(g, "flow" + step_of(to)),
         flow_words(to, g), times > 1 ? fmt::format(" label=\" ×{}\"", times) : "", next ? " weight=100" : "");
  }

  void join(const Strip::Input& input) {
    const Record& user = trace_[input.user];
    std::size_t operand = 0;
    while (user.operands[operand].id != input.leaf) ++operand;
    const Gradient g = flow(trace_, user, operand);
    const bool first = !plan_.rows.empty() && input_of(plan_.rows.front()) == &input;
    line("{} -> {} [{} tooltip={}{}]", node(input), node(input.user), duplex(g, "flow" + step_of(user)),
         flow_words(user, g), first ? " weight=100" : "");
  }

  std::string& out_;
  const Trace& trace_;
  const Strip& plan_;
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
        row(cell(font("parameters that several cards share", 10, style.colours.muted), "COLSPAN=\"4\" ALIGN=\"LEFT\""));
    rows += row(cell(table({style.colours.parameter_line, style.colours.parameter}, title + shared), "ALIGN=\"LEFT\""));
  }
  rows += row(cell(legend_markup(all, style, words), ""));
  return table({"", "", Frame::Corners::square, 4}, rows);
}

// The first nodes of rows, from top to bottom.  Where rows are dot's ranks, one below the other; where columns are,
// points in a column of their own keep the order, which dot would not promise otherwise.
std::string in_order(const std::vector<std::string>& beginnings, bool down) {
  if (beginnings.size() < 2) return "";
  std::string text;
  for (std::size_t i = 0; down && i + 1 < beginnings.size(); ++i)
    text += fmt::format("  {} -> {} [style=invis weight=1000]\n", beginnings[i], beginnings[i + 1]);
  if (down) return text;
  text += "  { rank=same edge [style=invis] node [shape=point style=invis width=0.01 label=\"\"]";
  for (std::size_t i = 0; i < beginnings.size(); ++i) text += fmt::format("{}order{}", i == 0 ? " " : " -> ", i);
  text += " }\n";
  for (std::size_t i = 0; i < beginnings.size(); ++i)
    text += fmt::format("  order{} -> {} [style=invis weight=10]\n", i, beginnings[i]);
  return text;
}

// a ... z, then aa ...
std::string letters(std::size_t i) {
  std::string text(1, static_cast<char>('a' + i % 26));
  return i < 26 ? text : letters(i / 26 - 1) + text;
}

}  // namespace

bool looks_like_strip(const Trace& folded, const DotOptions& options) {
  std::int64_t modules = 0, ops = 0;
  for (const Record& r : folded.records)
    if (r.is_op() && r.id != folded.root) ++(r.fold != nullptr ? modules : ops);
  return modules > 0 && (ops == 0 || options.depth == 1);
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
  std::string shared, statements;
  std::vector<std::string> beginnings;
  for (std::size_t i = 0; i < parts.size(); ++i) {
    Writer writer(statements, parts[i].trace, plans[i], style, down, parts.size() > 1 ? letters(i) : "");
    if (parts.size() > 1) {
      Band band;
      band.titles = {{parts[i].title, parts[i].detail}};
      statements += fmt::format("  subgraph cluster_{} {{\n  {}\n", letters(i), band_attributes(band, style, "l"));
    }
    writer.write();
    if (parts.size() > 1) statements += "  }\n";
    for (std::string& first : writer.beginnings()) beginnings.push_back(std::move(first));
    shared += writer.shared_rows();
  }
  return "// strip view; ids are the graph's\n" + head(all, options, style, "", down ? 0.3 : 0.34, down ? 0.34 : 0.25) +
         (down ? "" : "  graph [rankdir=LR]\n") +
         fmt::format("  subgraph cluster_page {{\n  graph [peripheries=0 margin=0 labelloc=b labeljust=l {}]\n",
                     label(foot(all, style, shared))) +
         statements + "  }\n" + in_order(beginnings, down) + "}\n";
}

}  // namespace ebb::graphviz
