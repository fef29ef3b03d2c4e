#include "plan.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>

namespace ebb::graphviz {

namespace {

constexpr std::size_t most_rows = 120;        // a taller picture is no longer seen as one
constexpr std::size_t most_columns = 3;       // skips side by side
constexpr std::size_t rows_for_a_branch = 8;  // with more branches than that, cards show the form better

bool takes(const Record& op, std::uint32_t id) {
  return std::any_of(op.operands.begin(), op.operands.end(), [&](const Operand& o) { return o.id == id; });
}

// Of a folded trace the record that stands for the id: that of the last op folded into it.
const Record& holder_of(const Trace& trace, std::uint32_t id) {
  return trace.records[std::min(trace.at(id), trace.records.size() - 1)];
}

class Planner {
 public:
  Planner(const Trace& trace, int depth) : trace_(trace), depth_(depth) {}

  // What is wrong, or nothing.
  std::string plan() {
    for (const Record& r : trace_.records) {
      if (!r.is_op() && r.users == 0) return "it has a leaf that no op uses";
      if (r.is_op() && r.backward_of == 0 && r.id != trace_.root) ops_.push_back(r.id);
      if (r.is_op() && r.backward_of != 0) plan_.has_recorded = true;
    }
    const bool recorded_root = trace_.root != 0 && trace_[trace_.root].backward_of != 0;
    if (trace_.root != 0 && !recorded_root) {  // last, even if something was computed after it
      if (trace_[trace_.root].users > 0) return "the loss is used by another op";
      ops_.push_back(trace_.root);
    }
    if (ops_.empty()) return "it has no op";
    if (ops_.size() > most_rows) return fmt::format("{} ops are more than {} rows", ops_.size(), most_rows);
    spine_ = ancestors(trace_, trace_.root != 0 ? trace_.root : plan_.has_recorded ? last_op() : ops_.back());
    plan_.top = top_leaf(trace_[ops_.front()]);
    if (plan_.top != 0) place_of_[plan_.top] = 0;
    for (std::size_t i = 0; i < ops_.size(); ++i) place_of_[ops_[i]] = i + 1;
    if (std::string branches = too_many_branches(); !branches.empty()) return branches;
    for (const std::uint32_t id : ops_) add_row(trace_[id]);
    for (const Record& r : trace_.records)
      if (r.is_op() && r.backward_of != 0) add_recorded(r);
    for (const Link& link : links(trace_)) {
      if (!is_recorded(link.to) && place_of_.at(link.from) >= place_of_.at(link.to))
        return fmt::format("node {} ({}) was computed after the loss", link.to, trace_[link.to].op);
      add_link(link);
    }
    if (plan_.top != 0) add_links_of_top();
    if (recorded_root) add_skip({trace_.root, 0, 0, 1}, place_of_.at(trace_.root), ops_.size() + 1);
    if (!place_skips()) return fmt::format("more than {} skips lie side by side", most_columns);
    plan_.bands = bands(trace_, ops_, depth_, true);
    return "";
  }

  Ladder take() { return std::move(plan_); }

 private:
  // The input: of the first op, the first operand that is data rather than a parameter.
  std::uint32_t top_leaf(const Record& first) const {
    for (const Node::Kind kind : {Node::Kind::constant, Node::Kind::variable})
      for (const Operand& o : first.operands)
        if (o.id != 0 && trace_[o.id].kind == kind) return o.id;
    return 0;
  }

  std::uint32_t last_op() const {
    const auto last =
        std::find_if(trace_.records.rbegin(), trace_.records.rend(), [](const Record& r) { return r.is_op(); });
    return last->id;
  }

  bool on_spine(std::uint32_t id) const { return spine_[trace_.at(id)]; }
  bool is_recorded(std::uint32_t id) const { return id != 0 && trace_[id].backward_of != 0; }

  // An op that does not take the result of the one before it begins a branch, unless it goes on from the recorded lane.
  std::string too_many_branches() const {
    std::string first;
    std::size_t branches = 0;
    std::uint32_t before = 0;
    for (const std::uint32_t id : ops_) {
      if (!on_spine(id)) continue;
      const Record& r = trace_[id];
      const bool goes_on =
          std::any_of(r.operands.begin(), r.operands.end(), [&](const Operand& o) { return is_recorded(o.id); });
      if (before != 0 && !goes_on && !takes(r, before)) {
        if (first.empty()) first = fmt::format("node {} ({}) does not take the result of the op before it", id, r.op);
        ++branches;
      }
      before = id;
    }
    return branches * rows_for_a_branch > ops_.size() ? first : "";
  }

  void add_row(const Record& r) {
    Ladder::Row row;
    row.op = r.id;
    const bool only_recorded = plan_.has_recorded && !trace_.differentiated;  // that is the backward to look at
    row.backward =
        r.wants_gradient && on_spine(r.id) && !only_recorded && r.gradient.state != Gradient::State::unneeded;
    for (std::size_t i = 0; i < r.operands.size(); ++i) {
      const std::uint32_t from = r.operands[i].id;
      if (from == 0 || trace_[from].is_op() || place_of_.contains(from)) continue;
      (trace_[from].kind == Node::Kind::constant ? row.beside : row.kept).push_back(i);
    }
    plan_.rows.push_back(std::move(row));
  }

  // In the row of the op whose backward it is; a sum of gradients at a leaf in that of the leaf's first use.
  void add_recorded(const Record& r) {
    const Record* of = &r;
    while (of->backward_of != 0 && of->backward_of < of->id) of = &holder_of(trace_, of->backward_of);
    std::size_t place = 0;
    if (of->is_op()) {
      if (const auto known = place_of_.find(of->id); known != place_of_.end()) place = known->second;
    } else {
      const auto user =
          std::find_if(ops_.begin(), ops_.end(), [&](std::uint32_t id) { return takes(trace_[id], of->id); });
      if (user != ops_.end()) place = static_cast<std::size_t>(user - ops_.begin()) + 1;
    }
    place = std::max<std::size_t>(place, 1);
    place_of_[r.id] = place;
    Ladder::Row& row = plan_.rows[place - 1];
    row.recorded.push_back(r.id);
    for (const Operand& o : r.operands)
      if (reads_forward(trace_, o)) row.recorded_reads = true;
  }

  void add_skip(const Link& link, std::size_t above, std::size_t below) {
    plan_.skips.push_back({link, is_recorded(link.from), above, below, 0});
  }

  void add_link(const Link& link) {
    const std::size_t from = place_of_.at(link.from), to = place_of_.at(link.to);
    if (is_recorded(link.to)) {
      if (!is_recorded(link.from) || from == to) return;  // what it reads in its own row goes without saying
      const auto same = [&](const Ladder::Rung& rung) { return rung.from == from && rung.to == to; };
      auto rung = std::find_if(plan_.recorded.begin(), plan_.recorded.end(), same);
      if (rung == plan_.recorded.end()) rung = plan_.recorded.insert(rung, {from, to, {}});
      rung->links.push_back(link);
      return;
    }
    if (to == from + 1 && !is_recorded(link.from)) plan_.straight.push_back(link);
    else add_skip(link, from, to);
    if (is_recorded(link.from)) return;
    const bool returns =
        from == 0 ? trace_[link.from].gradient.state != Gradient::State::unneeded : plan_.rows[from - 1].backward;
    if (returns && plan_.rows[to - 1].backward)
      (steps_between(from, to) ? plan_.back_skips : plan_.back).push_back(link);
  }

  void add_links_of_top() {
    for (const std::uint32_t id : ops_) {
      const std::span<const Operand> operands = trace_[id].operands;
      const auto is_top = [&](const Operand& o) { return o.id == plan_.top; };
      const auto first = std::find_if(operands.begin(), operands.end(), is_top);
      const auto times = std::count_if(operands.begin(), operands.end(), is_top);
      if (times > 0)
        add_link({plan_.top, id, static_cast<std::size_t>(first - operands.begin()), static_cast<int>(times)});
    }
  }

  bool steps_between(std::size_t above, std::size_t below) const {
    return std::any_of(plan_.rows.begin() + static_cast<std::ptrdiff_t>(above),
                       plan_.rows.begin() + static_cast<std::ptrdiff_t>(below) - 1,
                       [](const Ladder::Row& row) { return row.backward; });
  }

  // Sorted into columns so that skips in one column only touch, and noted in the rows that they pass.  False if they need
  // too many.
  bool place_skips() {
    std::vector<Ladder::Skip*> by_length;
    for (Ladder::Skip& skip : plan_.skips) by_length.push_back(&skip);
    std::stable_sort(by_length.begin(), by_length.end(), [](const Ladder::Skip* a, const Ladder::Skip* b) {
      return a->below - a->above < b->below - b->above;
    });
    for (std::size_t i = 0; i < by_length.size(); ++i) {
      Ladder::Skip& mine = *by_length[i];
      for (std::size_t j = 0; j < i; ++j) {
        const Ladder::Skip& other = *by_length[j];
        if (mine.recorded == other.recorded && mine.above < other.below && other.above < mine.below)
          mine.column = std::max(mine.column, other.column + 1);
      }
      if (mine.column >= most_columns) return false;
    }
    for (std::size_t i = 0; i < plan_.skips.size(); ++i)
      for (std::size_t place = plan_.skips[i].above + 1; place < plan_.skips[i].below; ++place)
        plan_.rows[place - 1].passing.push_back(i);
    for (Ladder::Row& row : plan_.rows)
      std::stable_sort(row.passing.begin(), row.passing.end(),
                       [&](std::size_t a, std::size_t b) { return plan_.skips[a].column > plan_.skips[b].column; });
    return true;
  }

  const Trace& trace_;
  int depth_;
  std::vector<std::uint32_t> ops_;  // of the rows
  std::vector<bool> spine_;
  std::map<std::uint32_t, std::size_t> place_of_;
  Ladder plan_;
};

}  // namespace

bool reads_forward(const Trace& trace, const Operand& operand) {
  if (operand.id == 0) return false;
  const Record& from = trace[operand.id];
  return from.backward_of == 0 && from.kind != Node::Kind::parameter;
}

std::optional<Ladder> plan_ladder(const Trace& trace, int depth, std::string& why_not) {
  Planner planner(trace, depth);
  why_not = planner.plan();
  if (!why_not.empty()) return std::nullopt;
  return planner.take();
}

}  // namespace ebb::graphviz
