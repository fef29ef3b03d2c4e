// The ladder: one op in each row; forward down the left, parameters and what is saved in the middle, backward up the right.
//
// Names of DOT nodes: f forward card, m middle, b backward card, c constant beside a row, v and r points through which
// long lines pass; the number is the op's id.
#include "ladder_cards.h"
#include "write.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>

namespace ebb::graphviz {

namespace {

class Writer {
 public:
  Writer(const Trace& trace, const Ladder& plan, const DotOptions& options)
      : trace_(trace),
        plan_(plan),
        options_(options),
        style_(style_of(trace, options)),
        c_(style_.colours),
        cards_(trace, plan, style_) {
    for (std::size_t i = 0; i < plan.rows.size(); ++i) row_of_[plan.rows[i].op] = i;
  }

  std::string write() {
    out_ = "// ladder view; ids are the graph's\n" + head(trace_, options_, style_, facts(), 0.27, 0.55);
    line("hf [class=\"head\" group=f {}]", label(font("FORWARD ↓", 11, c_.forward, true)));
    line("hm [class=\"head\" {}]", label(font("PARAMETERS · SAVED", 11, c_.muted, true)));
    line("hb [class=\"head\" group=b {}]", label(font("BACKWARD ↑", 11, c_.backward, true)));
    line("{{ rank=same; hf; hm; hb }}");
    line("hf -> hm -> hb [style=invis]");
    if (plan_.top != 0) top();
    band(plan_.bands);
    if (trace_.root != 0) line("loss [class=\"loss\" {}]", label(loss_markup(trace_, style_)));
    line("legend [class=\"legend\" {}]", label(legend_markup(trace_, style_, words())));
    forward_lines();
    backward_lines();
    frame_lines();
    return out_ + "}\n";
  }

 private:
  template <class... T> void line(fmt::format_string<T...> text, T&&... values) {
    out_ += "  ";
    fmt::format_to(std::back_inserter(out_), text, std::forward<T>(values)...);
    out_ += '\n';
  }

  // The first op that sends the leaf on top its gradient, or would if it needed one.
  const Ladder::Row* reader_of_top() const {
    const auto reads = [&](const Ladder::Row& at) {
      const std::span<const Operand> operands = trace_[at.op].operands;
      return at.backward &&
             std::any_of(operands.begin(), operands.end(), [&](const Operand& o) { return o.id == plan_.top; });
    };
    const auto found = std::find_if(plan_.rows.begin(), plan_.rows.end(), reads);
    return plan_.top == 0 || found == plan_.rows.end() ? nullptr : &*found;
  }
  bool has_end() const { return reader_of_top() != nullptr && (stops() || arrives()); }
  bool stops() const { return !trace_[plan_.top].wants_gradient; }
  bool arrives() const { return trace_[plan_.top].gradient.state != Gradient::State::unneeded; }

  void top() {
    const Record& leaf = trace_[plan_.top];
    const std::string name = leaf_name(trace_, leaf);
    line("f{} [class=\"leaf\" group=f tooltip={} {}]", leaf.id,
         quoted(fmt::format("{}: {} {}", shorten(name, 80), shape_text(leaf.shape), leaf.dtype)),
         label(cards_.input(leaf)));
    if (!has_end()) return;
    if (stops())
      line("b{} [class=\"stop\" group=b {}]", leaf.id,
           label(font(html(fit(name, 120, 10) + " needs no gradient: stop"), 10, c_.muted)));
    else
      line("b{} [class=\"arrives\" group=b tooltip={} {}]", leaf.id,
           quoted(fmt::format("{}: {}", shorten(name, 80), gradient_words(leaf.gradient, false))),
           label(cards_.arrived(leaf)));
  }

  // ---- one row ------------------------------------------------------------------------------------------------

  void place(const Ladder::Row& at) {
    const Record& r = trace_[at.op];
    std::string same;
    std::string previous;
    const auto next_in_row = [&](const std::string& name, bool chained) {
      same += name + "; ";
      if (chained && !previous.empty()) line("{} -> {} [style=invis]", previous, name);
      previous = name;
    };
    for (const std::size_t skip : at.passing) {
      const Link& link = plan_.skips[skip].link;
      const std::string name = fmt::format("v{}_{}_{}", link.from, link.to, r.id);
      line("{} [shape=point width=0.022 color=\"{}\" group=\"v{}_{}\"]", name, c_.forward, link.from, link.to);
      next_in_row(name, true);
    }
    for (const std::size_t i : at.beside) {
      const Record& leaf = trace_[r.operands[i].id];
      const std::string id = fmt::format("c{}_{}", r.id, i), name = leaf_name(trace_, leaf, r.operands[i].name);
      line("{} [class=\"leaf\" tooltip={} {}]", id,
           quoted(fmt::format("{}: {} {}, no gradient", shorten(name, 80), shape_text(leaf.shape), leaf.dtype)),
           label(cards_.constant(leaf, r.operands[i])));
      next_in_row(id, true);
    }
    line("f{} [class=\"fwd\" group=f tooltip={} {}]", r.id,
         quoted(fmt::format("{} = {}: {} {}{}{}", r.op, shorten(r.formula, 200), shape_text(r.shape), r.dtype,
                            r.has_value ? ", " : "", value_text(r))),
         label(cards_.forward(r)));
    next_in_row(fmt::format("f{}", r.id), at.beside.empty());
    const std::string in_middle = cards_.middle(at);
    if (!in_middle.empty()) {
      line("m{} [class=\"{}\" {}{}]", r.id, at.kept.empty() ? "saved" : "param", tooltip_of(at), label(in_middle));
      next_in_row(fmt::format("m{}", r.id), !at.backward && at.kept.empty());
    }
    if (at.backward) {
      const std::string step = r.order != 0 ? fmt::format(" step{}", r.order) : "";
      line("b{} [class=\"bwd{}\" group=b tooltip={} {}]", r.id, step,
           quoted(fmt::format("backward{} of {}: {}; {}", r.order != 0 ? fmt::format(" step {}", r.order) : "", r.op,
                              gradient_words(r.gradient, false), shorten(r.rule, 200))),
           label(cards_.backward(r)));
      next_in_row(fmt::format("b{}", r.id), in_middle.empty());
    } else if (passed_by_gradient(at.op)) {
      line("r{} [shape=point group=b {}]", r.id, passing_look(at.op));
      next_in_row(fmt::format("r{}", r.id), true);
    }
    line("{{ rank=same; {}}}", same);
  }

  std::string tooltip_of(const Ladder::Row& at) const {
    if (at.kept.empty()) return "";
    std::string text;
    for (const std::size_t i : at.kept) {
      const Record& leaf = trace_[trace_[at.op].operands[i].id];
      text += fmt::format("{}{} {}: {}", text.empty() ? "" : ", ", shorten(leaf.name, 80), shape_text(leaf.shape),
                          gradient_words(leaf.gradient, false));
      if (leaf.gradient.state == Gradient::State::known && leaf.has_value && leaf.value != 0)
        text += fmt::format(" ({} of the values)", number(leaf.gradient.size / std::abs(leaf.value)));
    }
    return "tooltip=" + quoted(text) + " ";
  }

  void band(const Band& band) {
    for (const std::uint32_t id : band.ops) place(plan_.rows[row_of_.at(id)]);
    for (const Band& inner : band.inner) {
      line("subgraph cluster_{} {{", ++clusters_);
      line("{}", band_attributes(inner, style_, "c"));
      this->band(inner);
      line("}}");
    }
  }

  // ---- lines --------------------------------------------------------------------------------------------------

  void forward_lines() {
    for (const Link& link : plan_.straight) {
      const std::string times = link.times > 1 ? fmt::format(" label=\"   ×{}\"", link.times) : "";
      line("f{} -> f{} [class=\"fwd\" weight=40 penwidth=1.6 arrowhead=vee{}]", link.from, link.to, times);
    }
    for (const Ladder::Skip& skip : plan_.skips) {
      const Link& link = skip.link;
      std::string before = fmt::format("f{}:w", link.from);
      const char* tail = "true";
      for (const Ladder::Row& at : plan_.rows) {
        const bool passes = std::any_of(at.passing.begin(), at.passing.end(), [&](std::size_t i) {
          return plan_.skips[i].link.from == link.from && plan_.skips[i].link.to == link.to;
        });
        if (!passes) continue;
        const std::string point = fmt::format("v{}_{}_{}", link.from, link.to, at.op);
        line("{} -> {} [class=\"fwd\" penwidth=1.6 arrowhead=none headclip=false tailclip={} weight=30]", before, point,
             tail);
        before = point;
        tail = "false";
      }
      const bool shared = !plan_.rows[row_of_.at(link.to)].beside.empty();  // the constant's arrow has that side
      line("{} -> f{}:{} [class=\"fwd\" penwidth=1.6 arrowhead=vee tailclip=false weight=2]", before, link.to,
           shared ? "nw" : "w");
    }
    for (const Ladder::Row& at : plan_.rows) {
      for (const std::size_t i : at.beside)
        line("c{}_{} -> f{} [class=\"fwd\" penwidth=1.6 arrowhead=vee]", at.op, i, at.op);
      if (!at.kept.empty()) line("f{} -> m{} [class=\"fwd\" dir=back penwidth=1.3 arrowtail=vee]", at.op, at.op);
      else if (at.backward && !trace_[at.op].saved.empty())
        line("f{0} -> m{0} -> b{0} [class=\"saved\" style=dashed color=\"{1}\" arrowhead=none penwidth=1]", at.op,
             c_.saved);
    }
    if (trace_.root != 0) line("f{} -> loss:v:n [class=\"fwd\" penwidth=1.6 arrowhead=vee]", trace_.root);
  }

  void backward_lines() {
    if (trace_.root != 0 && plan_.rows.back().backward && trace_.differentiated)
      line("b{} -> loss:s:n [class=\"bwd step0\" {}]", trace_.root, back_line(trace_[trace_.root].gradient, style_));
    for (const Link& link : plan_.back) {
      const Gradient g = flow(trace_, link);
      std::string before = fmt::format("b{}", link.from);
      const std::string look = fmt::format("class=\"bwd{}\" {} weight=40 tooltip=\"{}{}\"", step_of(link.to),
                                           back_line(g, style_), step_words(link.to), gradient_words(g, false));
      for (std::size_t i = link.from == plan_.top ? 0 : row_of_.at(link.from) + 1; i < row_of_.at(link.to); ++i) {
        const std::string point = fmt::format("r{}", plan_.rows[i].op);
        line("{} -> {} [{} headclip=false{}]", before, point, look,
             before[0] == 'r' ? " arrowtail=none tailclip=false" : "");
        before = point;
      }
      line("{} -> b{} [{}{}]", before, link.to, look, before[0] == 'r' ? " arrowtail=none tailclip=false" : "");
    }
    for (const Link& link : plan_.back_skips) {
      const Gradient g = flow(trace_, link);
      line("b{}:e -> b{}:e [class=\"bwd{}\" {} weight=0 tooltip=\"{}{}\"]", link.from, link.to, step_of(link.to),
           back_line(g, style_), step_words(link.to), gradient_words(g, false));
    }
    for (const Ladder::Row& at : plan_.rows) {
      if (!at.backward || at.kept.empty()) continue;
      Gradient largest;
      for (const std::size_t i : at.kept) {
        const Gradient sent = flow(trace_, trace_[at.op], i);
        if (sent.state == Gradient::State::known && !(sent.size <= largest.size)) largest = sent;
      }
      line("m{} -> b{} [class=\"bwd{}\" {} tooltip=\"{}{}\"]", at.op, at.op, step_of(at.op), back_line(largest, style_),
           step_words(at.op), gradient_words(largest, false));
    }
  }

  std::string step_of(std::uint32_t op) const {
    return trace_[op].order == 0 ? "" : fmt::format(" step{}", trace_[op].order);
  }
  std::string step_words(std::uint32_t op) const {
    return trace_[op].order == 0 ? "" : fmt::format("step {}: ", trace_[op].order);
  }

  // The gradient that passes the row of an op without a step of its own.
  const Link* passing_gradient(std::uint32_t op) const {
    const std::size_t here = row_of_.at(op);
    for (const Link& link : plan_.back) {
      const bool above = link.from == plan_.top || row_of_.at(link.from) < here;
      if (above && row_of_.at(link.to) > here) return &link;
    }
    return nullptr;
  }
  bool passed_by_gradient(std::uint32_t op) const { return passing_gradient(op) != nullptr; }
  // As wide as the line, so that its two halves meet without a seam.
  std::string passing_look(std::uint32_t op) const {
    const Gradient g = flow(trace_, *passing_gradient(op));
    const bool known = g.state == Gradient::State::known;
    return fmt::format("width={:.3f} color=\"{}\"", (known ? style_.heat.pen_width(g.size) : 1.4) / 72,
                       known ? style_.heat.line(g.size) : c_.saved);
  }

  // The batch that went through: the first axis of the input.
  std::string facts() const {
    if (plan_.top == 0 || trace_[plan_.top].wants_gradient || trace_[plan_.top].shape.size() < 2) return "";
    return "batch " + thousands(trace_[plan_.top].shape[0]) + " · ";
  }

  // What holds the columns and the page together: the heads on top, the legend below.
  void frame_lines() {
    const Ladder::Row& first = plan_.rows.front();
    if (has_end() && stops())
      line("b{} -> b{} [class=\"stop\" dir=back arrowtail=tee style=dotted color=\"{}\" weight=40]", plan_.top,
           reader_of_top()->op, c_.saved);
    for (std::size_t i = 1; i < plan_.rows.size(); ++i) {
      const std::uint32_t above = plan_.rows[i - 1].op, below = plan_.rows[i].op;
      const auto joins = [&](const Link& link) { return link.from == above && link.to == below; };
      if (std::none_of(plan_.straight.begin(), plan_.straight.end(), joins))
        line("f{} -> f{} [style=invis weight=40]", above, below);
    }
    line("hf -> f{} [style=invis weight=40]", plan_.top != 0 ? plan_.top : first.op);
    const auto returning = std::find_if(plan_.rows.begin(), plan_.rows.end(), [](const auto& r) { return r.backward; });
    if (returning != plan_.rows.end()) line("hb -> b{} [style=invis weight=40]", has_end() ? plan_.top : returning->op);
    const auto has_middle = [&](const Ladder::Row& r) { return !cards_.middle(r).empty(); };
    if (const auto kept = std::find_if(plan_.rows.begin(), plan_.rows.end(), has_middle); kept != plan_.rows.end())
      line("hm -> m{} [style=invis weight=40]", kept->op);
    if (trace_.root != 0) line("loss -> legend [style=invis]");
    else line("f{} -> legend [style=invis]", plan_.rows.back().op);
  }

  std::string words() const {
    std::string text;
    if (style_.heat.known())
      text +=
          "g: gradient arriving at the op (rms)     number: order in which backward ran     colour, width: gradient "
          "rms     ";
    text += "dashed: saved for backward";
    return trace_.differentiated ? text : text + "     dashed cards: not computed";
  }

  const Trace& trace_;
  const Ladder& plan_;
  const DotOptions& options_;
  const Style style_;
  const Palette& c_;
  const LadderCards cards_;
  std::map<std::uint32_t, std::size_t> row_of_;
  std::string out_;
  int clusters_ = 0;
};

}  // namespace

std::string write_ladder(const Trace& trace, const Ladder& plan, const DotOptions& options) {
  return Writer(trace, plan, options).write();
}

}  // namespace ebb::graphviz
