// The ladder: one op in each row; forward down the left, parameters and what is saved in the middle, backward up the right;
// what graph.gradient() recorded goes up at the left of the forward pass.
#include "folded.h"
#include "ladder_cards.h"
#include "ladder_lines.h"
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
        cards_(trace, plan, style_),
        lines_(trace, plan, style_, cards_) {
    for (const Ladder::Row& row : plan.rows) rows_[row.op] = &row;
  }

  std::string write() {
    out_ = "// ladder view; ids are the graph's\n" + head(trace_, options_, style_, facts(), 0.27, 0.55);
    heads();
    if (plan_.top != 0) top();
    band(plan_.bands);
    if (trace_.root != 0) line("loss [class=\"loss\" {}]", label(loss_markup(trace_, style_)));
    line("legend [class=\"legend\" {}]", label(legend_markup(trace_, style_, words())));
    out_ += lines_.write();
    frame_lines();
    return out_ + "}\n";
  }

 private:
  template <class... T> void line(fmt::format_string<T...> text, T&&... values) {
    out_ += "  ";
    fmt::format_to(std::back_inserter(out_), text, std::forward<T>(values)...);
    out_ += '\n';
  }

  bool has_backward() const {
    return std::any_of(plan_.rows.begin(), plan_.rows.end(), [](const Ladder::Row& at) { return at.backward; });
  }
  bool has_middle() const {
    return std::any_of(plan_.rows.begin(), plan_.rows.end(),
                       [&](const auto& at) { return !cards_.middle(at).empty(); });
  }

  void heads() {
    std::vector<std::string> names;
    const auto head = [&](const char* name, const char* column, const char* text, const char* colour) {
      line("{} [class=\"head\" {}{}]", name, column, label(font(text, 11, colour, true)));
      names.push_back(name);
    };
    if (plan_.has_recorded) head("hq", "group=q ", "RECORDED BACKWARD ↑", c_.forward);
    head("hf", "group=f ", "FORWARD ↓", c_.forward);
    if (!plan_.has_recorded || has_middle()) head("hm", "", "PARAMETERS · SAVED", c_.muted);
    if (!plan_.has_recorded || has_backward()) head("hb", "group=b ", "BACKWARD ↑", c_.backward);
    line("{{ rank=same; {} }}", fmt::join(names, "; "));
    if (names.size() > 1) line("{} [style=invis]", fmt::join(names, " -> "));
  }

  // ---- the leaf on top ----------------------------------------------------------------------------------------

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
    line("f{} [class=\"leaf\" group=f tooltip={} {}]", leaf.id, quoted(leaf_words(leaf, name)),
         label(cards_.input(leaf)));
    if (!has_end()) return;
    const std::string step = lines_.step_of(trace_[reader_of_top()->op]);
    if (stops())
      line("b{} [class=\"stop\" group=b tooltip={} {}]", leaf.id, quoted(shorten(name, 80) + " needs no gradient"),
           label(font(html(fit(name, 120, 10) + " needs no gradient: stop"), 10, c_.muted)));
    else
      line("b{} [class=\"bwd{}\" group=b tooltip={} {}]", leaf.id, step,
           quoted(fmt::format("{}: {}", shorten(name, 80), gradient_words(leaf.gradient, false, trace_.compared))),
           label(cards_.arrived(leaf)));
  }

  std::string leaf_words(const Record& leaf, std::string_view name) const {
    return fmt::format(
        "{}: {} {}{}{}", shorten(name, 80), shape_text(leaf.shape), leaf.dtype,
        leaf.has_value ? fmt::format(", {}{:.10g}", leaf.size() == 1 ? "value " : "rms ", leaf.value) : "",
        leaf.wants_gradient ? "" : ", no gradient");
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
    const auto points = [&](bool recorded) {
      for (const std::size_t i : at.passing) {
        const Ladder::Skip& skip = plan_.skips[i];
        if (skip.recorded != recorded) continue;
        const std::string name = lines_.point(skip, at);
        line("{} [{} group=\"v{}_{}\"]", name, joint(1.6, c_.forward), skip.link.from, skip.link.to);
        next_in_row(name, true);
      }
    };
    points(true);
    if (!at.recorded.empty()) {
      line("q{} [class=\"recorded\" group=q tooltip={} {}]", r.id, quoted(recorded_words(at)),
           label(cards_.recorded(at)));
      next_in_row(fmt::format("q{}", r.id), true);
    }
    points(false);
    for (const std::size_t i : at.beside) {
      const Record& leaf = trace_[r.operands[i].id];
      const std::string id = fmt::format("c{}_{}", r.id, i), name = leaf_name(trace_, leaf, r.operands[i].name);
      line("{} [class=\"leaf\" tooltip={} {}]", id, quoted(leaf_words(leaf, name)),
           label(cards_.constant(leaf, r.operands[i])));
      next_in_row(id, true);
    }
    line("f{} [class=\"fwd\" group=f tooltip={} {}]", r.id, quoted(op_words(r, style_)), label(cards_.forward(r)));
    next_in_row(fmt::format("f{}", r.id), at.beside.empty() && !(at.recorded_reads && previous[0] == 'q'));
    const bool parameters = cards_.has_parameters(at);
    const std::string in_middle = cards_.middle(at);
    if (!in_middle.empty()) {
      line("m{} [class=\"{}\" {}{}]", r.id, parameters ? "param" : "saved", tooltip_of(at), label(in_middle));
      next_in_row(fmt::format("m{}", r.id), !at.backward && !parameters);
    }
    if (at.backward) {
      line("b{} [class=\"bwd{}\" group=b tooltip={} {}]", r.id, lines_.step_of(r), quoted(step_words(r)),
           label(cards_.backward(r)));
      next_in_row(fmt::format("b{}", r.id), in_middle.empty());
    } else if (const std::string look = lines_.passing_look(at.op); !look.empty()) {
      line("r{} [group=b {}]", r.id, look);
      next_in_row(fmt::format("r{}", r.id), true);
    }
    line("{{ rank=same; {}}}", same);
  }

  std::string step_words(const Record& r) const {
    if (r.fold != nullptr) return folded_words(r, style_);
    std::string text = "backward";
    if (r.order != 0) text += fmt::format(" step {}", r.order);
    text += fmt::format(" of {}: {}", shorten(title_of(r), 100), gradient_words(r.gradient, r.scalar, trace_.compared));
    if (r.uses > 1) text += fmt::format(", the sum of {}", r.uses);
    return r.rule.empty() ? text : text + "; " + shorten(r.rule, 200);
  }

  std::string recorded_words(const Ladder::Row& at) const {
    std::string text = fmt::format("recorded as the backward of {}", shorten(title_of(trace_[at.op]), 100));
    for (const std::uint32_t id : at.recorded) {
      const Record& op = trace_[id];
      text += "; " + op_words(op, style_);
      if (op.order != 0)
        text += fmt::format(", step {}: {}", op.order, gradient_words(op.gradient, op.scalar, trace_.compared));
    }
    return shorten(text, 2000);
  }

  std::string tooltip_of(const Ladder::Row& at) const {
    const Record& op = trace_[at.op];
    std::string text;
    const auto add = [&](std::string_view name, const Gradient& g, double value) {
      text += fmt::format("{}{}: {}", text.empty() ? "" : "; ", name, gradient_words(g, false, trace_.compared));
      if (g.state == Gradient::State::known && value != 0 && !std::isnan(value) && !trace_.compared)
        text += fmt::format(", ‖∇‖/‖w‖ {:.6g}", std::abs(g.size / value));
    };
    for (const std::size_t i : at.kept) {
      const Record& leaf = trace_[op.operands[i].id];
      add(fmt::format("{} {}", shorten(leaf.name, 80), shape_text(leaf.shape)), leaf.gradient, leaf.value);
    }
    if (op.fold != nullptr && op.fold->parameters > 0) {
      std::string names;
      for (const std::string_view name : op.fold->parameter_names)
        names += (names.empty() ? "" : ", ") + shorten(name, 80);
      add(fmt::format("{} ({})", count(op.fold->parameters, "parameter"), names), op.fold->parameter_gradient,
          op.fold->parameter_rms);
    }
    return text.empty() ? "" : "tooltip=" + quoted(text) + " ";
  }

  void band(const Band& band) {
    for (const std::uint32_t id : band.ops) place(*rows_.at(id));
    for (const Band& inner : band.inner) {
      line("subgraph cluster_{} {{", ++clusters_);
      line("{}", plan_.has_recorded ? band_attributes(inner, style_, "l", 28) : band_attributes(inner, style_, "c"));
      this->band(inner);
      line("}}");
    }
  }

  // ---- the page -------------------------------------------------------------------------------------------------

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
    std::uint32_t step_above = 0;
    for (const Ladder::Row& at : plan_.rows) {
      if (!at.backward) continue;
      const auto joins = [&](const Link& link) { return link.from == step_above && link.to == at.op; };
      if (step_above != 0 && std::none_of(plan_.back.begin(), plan_.back.end(), joins))
        line("b{} -> b{} [style=invis weight=40]", step_above, at.op);
      step_above = at.op;
    }
    line("hf -> f{} [style=invis weight=40]", plan_.top != 0 ? plan_.top : first.op);
    const auto hold = [&](const char* head, const char* column, auto&& is_there) {
      const auto found = std::find_if(plan_.rows.begin(), plan_.rows.end(), is_there);
      if (found != plan_.rows.end()) line("{} -> {}{} [style=invis weight=40]", head, column, found->op);
    };
    if (has_end()) line("hb -> b{} [style=invis weight=40]", plan_.top);
    else hold("hb", "b", [](const Ladder::Row& at) { return at.backward; });
    hold("hm", "m", [&](const Ladder::Row& at) { return !cards_.middle(at).empty(); });
    hold("hq", "q", [](const Ladder::Row& at) { return !at.recorded.empty(); });
    if (trace_.root != 0) {
      if (trace_[trace_.root].backward_of != 0) line("f{} -> loss [style=invis]", plan_.rows.back().op);
      line("loss -> legend [style=invis]");
    } else {
      line("f{} -> legend [style=invis]", plan_.rows.back().op);
    }
  }

  std::string words() const {
    std::vector<std::string> parts;
    if (trace_.differentiated && trace_.observed && style_.color == Color::gradient)
      parts.emplace_back("g: gradient arriving at the op (rms)");
    if (trace_.differentiated) parts.push_back("number: order in which backward ran");
    if (style_.heat.known() && style_.color == Color::gradient)
      parts.push_back(trace_.compared ? "colour, width: change of the gradient" : "colour, width: gradient rms");
    if (plan_.has_recorded) parts.push_back("∂: recorded by graph.gradient(), differentiable again");
    parts.push_back("dashed: saved for backward");
    if (!trace_.differentiated && has_backward()) parts.push_back("dashed cards: not computed");
    return fmt::format("{}", fmt::join(parts, "     "));
  }

  const Trace& trace_;
  const Ladder& plan_;
  const DotOptions& options_;
  const Style style_;
  const Palette& c_;
  const LadderCards cards_;
  LadderLines lines_;
  std::map<std::uint32_t, const Ladder::Row*> rows_;
  std::string out_;
  int clusters_ = 0;
};

}  // namespace

std::string write_ladder(const Trace& trace, const Ladder& plan, const DotOptions& options) {
  return Writer(trace, plan, options).write();
}

}  // namespace ebb::graphviz
