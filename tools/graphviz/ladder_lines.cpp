#include "ladder_lines.h"

#include <algorithm>
#include <cmath>

namespace ebb::graphviz {

namespace {

// The largest of several gradients on one line; zero only if all are, unknown only if none is known.
void take_larger(Gradient& largest, const Gradient& other) {
  using State = Gradient::State;
  const bool larger = largest.state != State::known || !(std::abs(other.size) <= std::abs(largest.size));
  if (other.state == State::known && larger) largest = other;
  else if (other.state == State::unknown && largest.state == State::unneeded) largest = other;
}

}  // namespace

LadderLines::LadderLines(const Trace& trace, const Ladder& plan, const Style& style, const LadderCards& cards)
    : trace_(trace), plan_(plan), style_(style), c_(style.colours), cards_(cards) {
  for (std::size_t i = 0; i < plan.rows.size(); ++i) row_of_[plan.rows[i].op] = i;
}

std::string LadderLines::write() {
  out_.clear();
  forward();
  in_recorded_lane();
  for (const Ladder::Skip& s : plan_.skips) skip(s);
  backward();
  to_parameters();
  return std::move(out_);
}

std::string LadderLines::step_of(const Record& op) const {
  return op.order == 0 ? "" : fmt::format(" step{}", op.order);
}

std::string LadderLines::point(const Ladder::Skip& skip, const Ladder::Row& row) const {
  return fmt::format("v{}_{}_{}", skip.link.from, skip.link.to, row.op);
}

// ---- values -------------------------------------------------------------------------------------------------------

void LadderLines::forward() {
  for (const Link& link : plan_.straight) {
    const std::string times = link.times > 1 ? fmt::format(" label=\"   ×{}\"", link.times) : "";
    line("f{} -> f{} [class=\"fwd\" weight=40 penwidth=1.6 arrowhead=vee tooltip={}{}]", link.from, link.to,
         quoted(leaf_name(trace_, trace_[link.from]) + op_words(trace_[link.from], style_)), times);
  }
  for (const Ladder::Row& at : plan_.rows) {
    for (const std::size_t i : at.beside)
      line("c{}_{} -> f{} [class=\"fwd\" penwidth=1.6 arrowhead=vee]", at.op, i, at.op);
    if (cards_.has_parameters(at)) line("f{} -> m{} [class=\"fwd\" dir=back penwidth=1.3 arrowtail=vee]", at.op, at.op);
    else if (at.backward && !trace_[at.op].saved.empty())
      line("f{0} -> m{0} -> b{0} [class=\"saved\" style=dashed color=\"{1}\" arrowhead=none penwidth=1]", at.op,
           c_.saved);
  }
  if (trace_.root != 0 && trace_[trace_.root].backward_of == 0)
    line("f{} -> loss:v:n [class=\"fwd\" penwidth=1.6 arrowhead=vee]", trace_.root);
}

// Through points in the rows that it passes; from the recorded lane its gradient comes back on the same line.
void LadderLines::skip(const Ladder::Skip& skip) {
  const Link& link = skip.link;
  const bool to_loss = link.to == 0;
  std::string look = "class=\"fwd\" penwidth=1.6", first = "arrowhead=none", last = "arrowhead=vee";
  if (skip.recorded) {
    Gradient g = to_loss ? trace_[link.from].gradient : flow(trace_, link);
    if (to_loss && !trace_.differentiated) g.state = Gradient::State::unneeded;
    const std::string step = to_loss ? " step0" : step_of(trace_[link.to]);
    if (g.state == Gradient::State::known) {
      const std::optional<double> size = style_.of(g);
      look = fmt::format("class=\"flow{}\" dir=both penwidth=1.8 color=\"{}:{}\" tooltip=\"{}\"", step, c_.forward,
                         size ? style_.heat.line(*size) : c_.edge_mid, gradient_words(g, false, trace_.compared));
      first = "arrowhead=none arrowtail=normal", last = "arrowhead=vee arrowtail=none";
    }
  }
  const Ladder::Row& from = row_at(std::max<std::size_t>(skip.above, 1));
  std::string before = skip.recorded ? fmt::format("q{}:w", from.op) : fmt::format("f{}:w", link.from);
  bool at_start = true;
  for (std::size_t place = skip.above + 1; place < skip.below; ++place) {
    const std::string through = point(skip, row_at(place));
    line("{} -> {} [{} {} headclip=false tailclip={} weight=30]", before, through, look,
         at_start        ? first
         : skip.recorded ? "arrowhead=none arrowtail=none"
                         : "arrowhead=none",
         at_start);
    before = through, at_start = false;
  }
  if (to_loss) {
    line("{} -> loss:w [{} {} tailclip={}]", before, look, at_start && skip.recorded ? "arrowhead=vee" : last,
         at_start);
    return;
  }
  // The constant's arrow, or the recorded lane, has the left side of the card; the top is free unless a line comes down.
  const Ladder::Row& to = row_at(skip.below);
  const bool comes_down = std::any_of(plan_.straight.begin(), plan_.straight.end(),
                                      [&](const Link& straight) { return straight.to == to.op; });
  const char* const side = to.beside.empty() && to.recorded.empty() ? "w" : comes_down ? "nw" : "n";
  line(
      "{} -> f{}:{} [{} {} tailclip={} weight=2]", before, link.to, side, look,
      at_start && skip.recorded && look.find("dir=both") != std::string::npos ? "arrowhead=vee arrowtail=normal" : last,
      at_start);
}

// ---- both ways ------------------------------------------------------------------------------------------------------

// A value one way and its gradient the other, side by side: dot gives the head the first colour, the tail the last.
std::string LadderLines::both(const Gradient& g, bool forward_is_head) const {
  const char* const value_arrow = forward_is_head ? "arrowhead=vee" : "arrowtail=vee";
  if (g.state != Gradient::State::known)
    return fmt::format("dir={} {} penwidth=1.4 color=\"{}\"", forward_is_head ? "forward" : "back", value_arrow,
                       c_.forward);
  const std::optional<double> size = style_.of(g);
  const std::string heat = size ? style_.heat.line(*size) : c_.edge_mid;
  const char* const look = g.size == 0 ? "onormal" : !std::isfinite(g.size) ? "diamond" : "normal";
  const long lines = size ? std::clamp(std::lround(style_.heat.pen_width(*size) / 1.8), 1L, 3L) : 1;
  std::string colours = forward_is_head ? std::string(c_.forward) : heat;
  for (long i = 1; i < lines + (forward_is_head ? 1 : 0); ++i) colours += ":" + heat;
  if (!forward_is_head) colours += std::string(":") + c_.forward;
  return fmt::format("dir=both {} {}={} penwidth=1.8 color=\"{}\"", value_arrow,
                     forward_is_head ? "arrowtail" : "arrowhead", look, colours);
}

void LadderLines::in_recorded_lane() {
  for (const Ladder::Rung& rung : plan_.recorded) {
    Gradient largest{Gradient::State::unneeded, no_number};
    std::string step;
    for (const Link& link : rung.links) {
      take_larger(largest, flow(trace_, link));
      step = step_of(trace_[link.to]);
    }
    const bool up = rung.to < rung.from;
    const Ladder::Row &above = row_at(std::min(rung.from, rung.to)), &below = row_at(std::max(rung.from, rung.to));
    const auto first_between = plan_.rows.begin() + static_cast<std::ptrdiff_t>(std::min(rung.from, rung.to));
    const auto last_between = plan_.rows.begin() + static_cast<std::ptrdiff_t>(std::max(rung.from, rung.to)) - 1;
    const bool straight =
        std::all_of(first_between, last_between, [](const Ladder::Row& between) { return between.recorded.empty(); });
    const char* const side = straight ? "" : ":w";
    line("q{}{} -> q{}{} [class=\"recorded{}\" {} weight={} tooltip=\"{}{}\"]", above.op, side, below.op, side, step,
         both(largest, !up), straight ? 20 : 0, rung.links.size() > 1 ? "the largest: " : "",
         gradient_words(largest, false, trace_.compared));
  }
  for (const Ladder::Row& at : plan_.rows) {
    if (!at.recorded_reads || !at.beside.empty()) continue;
    Gradient largest{Gradient::State::unneeded, no_number};
    std::string step;
    for (const std::uint32_t id : at.recorded) {
      const Record& op = trace_[id];
      for (std::size_t i = 0; i < op.operands.size(); ++i) {
        const std::uint32_t from = op.operands[i].id;
        if (from == 0 || trace_[from].backward_of != 0 || trace_[from].kind == Node::Kind::parameter) continue;
        take_larger(largest, flow(trace_, op, i));
        step = step_of(op);
      }
    }
    if (largest.state == Gradient::State::known)
      line("q{} -> f{} [class=\"recorded{}\" {} tooltip=\"what it reads of the forward pass, and {}\"]", at.op, at.op,
           step, both(largest, false), gradient_words(largest, false, trace_.compared));
    else
      line(
          "q{} -> f{} [class=\"recorded\" dir=back arrowtail=vee style=dashed color=\"{}\" tooltip=\"what it reads of "
          "the "
          "forward pass\"]",
          at.op, at.op, c_.saved);
  }
}

// ---- gradients ------------------------------------------------------------------------------------------------------

std::string LadderLines::back_attributes(const Gradient& gradient, const Record& op) const {
  return fmt::format("class=\"bwd{}\" {} tooltip=\"{}{}\"", step_of(op), back_line(gradient, style_),
                     op.order == 0 ? "" : fmt::format("step {}: ", op.order),
                     gradient_words(gradient, false, trace_.compared));
}

void LadderLines::backward() {
  if (trace_.root != 0 && plan_.rows.back().backward && plan_.rows.back().op == trace_.root && trace_.differentiated)
    line("b{} -> loss:s:n [class=\"bwd step0\" {} tooltip=\"it begins with 1\"]", trace_.root,
         back_line(trace_[trace_.root].gradient, style_));
  for (const Link& link : plan_.back) {
    const std::string look = back_attributes(flow(trace_, link), trace_[link.to]) + " weight=40";
    std::string before = fmt::format("b{}", link.from);
    for (std::size_t i = link.from == plan_.top ? 0 : row_of_.at(link.from) + 1; i < row_of_.at(link.to); ++i) {
      const std::string through = fmt::format("r{}", plan_.rows[i].op);
      line("{} -> {} [{} headclip=false{}]", before, through, look,
           before[0] == 'r' ? " arrowtail=none tailclip=false" : "");
      before = through;
    }
    line("{} -> b{} [{}{}]", before, link.to, look, before[0] == 'r' ? " arrowtail=none tailclip=false" : "");
  }
  for (const Link& link : plan_.back_skips)
    line("b{}:e -> b{}:e [{} weight=0]", link.from, link.to, back_attributes(flow(trace_, link), trace_[link.to]));
}

void LadderLines::to_parameters() {
  for (const Ladder::Row& at : plan_.rows) {
    if (!at.backward || !cards_.has_parameters(at)) continue;
    const Record& op = trace_[at.op];
    Gradient largest{Gradient::State::unneeded, no_number};
    for (const std::size_t i : at.kept) take_larger(largest, flow(trace_, op, i));
    if (op.fold != nullptr && op.fold->parameters > 0) take_larger(largest, op.fold->parameter_gradient);
    line("m{} -> b{} [{}]", at.op, at.op, back_attributes(largest, op));
  }
}

// The gradient that passes the row of an op without a step of its own.
const Link* LadderLines::passing_gradient(std::uint32_t op) const {
  const std::size_t here = row_of_.at(op);
  for (const Link& link : plan_.back) {
    const bool above = link.from == plan_.top || row_of_.at(link.from) < here;
    if (above && row_of_.at(link.to) > here) return &link;
  }
  return nullptr;
}

std::string LadderLines::passing_look(std::uint32_t op) const {
  const Link* const link = passing_gradient(op);
  if (link == nullptr) return "";
  const Gradient g = flow(trace_, *link);
  const std::optional<double> size = style_.of(g);
  const bool known = g.state == Gradient::State::known;
  return fmt::format("class=\"bwd{}\" {}", step_of(trace_[link->to]),
                     size ? joint(style_.heat.pen_width(*size), style_.heat.line(*size))
                          : joint(known ? 1.8 : 1.4, known ? c_.edge_mid : c_.saved));
}

}  // namespace ebb::graphviz
