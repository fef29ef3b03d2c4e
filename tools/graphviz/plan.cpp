#include "plan.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>

namespace ebb::graphviz {

namespace {

constexpr std::size_t most_rows = 120;   // a taller picture is no longer seen as one
constexpr std::size_t most_columns = 3;  // skips side by side

// The input: of the first op, the first operand that is data rather than a parameter.
std::uint32_t top_leaf(const Trace& trace, const Record& first) {
  for (const Node::Kind kind : {Node::Kind::constant, Node::Kind::variable})
    for (const Operand& o : first.operands)
      if (o.id != 0 && trace[o.id].kind == kind) return o.id;
  return 0;
}

// Sorted into columns so that skips in one column only touch.  False if they need too many.
bool place_skips(const std::map<std::uint32_t, std::size_t>& row_of, std::vector<Ladder::Skip>& skips) {
  const auto length = [&](const Ladder::Skip& s) { return row_of.at(s.link.to) - row_of.at(s.link.from); };
  std::vector<Ladder::Skip*> by_length;
  for (Ladder::Skip& skip : skips) by_length.push_back(&skip);
  std::stable_sort(by_length.begin(), by_length.end(),
                   [&](const Ladder::Skip* a, const Ladder::Skip* b) { return length(*a) < length(*b); });
  for (std::size_t i = 0; i < by_length.size(); ++i) {
    const Link& mine = by_length[i]->link;
    for (std::size_t j = 0; j < i; ++j) {
      const Link& other = by_length[j]->link;
      if (row_of.at(mine.from) < row_of.at(other.to) && row_of.at(other.from) < row_of.at(mine.to))
        by_length[i]->column = std::max(by_length[i]->column, by_length[j]->column + 1);
    }
    if (by_length[i]->column >= most_columns) return false;
  }
  return true;
}

}  // namespace

std::vector<Link> links(const Trace& trace) {
  std::vector<Link> all;
  for (const Record& r : trace.records) {
    const std::size_t first = all.size();
    for (std::size_t i = 0; i < r.operands.size(); ++i) {
      const std::uint32_t id = r.operands[i].id;
      if (id == 0 || !trace[id].is_op()) continue;
      const auto same = [&](const Link& link) { return link.from == id; };
      const auto known = std::find_if(all.begin() + static_cast<std::ptrdiff_t>(first), all.end(), same);
      if (known == all.end()) all.push_back({id, r.id, i, 1});
      else ++known->times;
    }
  }
  return all;
}

Gradient flow(const Trace& trace, const Record& op, std::size_t operand) {
  using State = Gradient::State;
  const Operand& o = op.operands[operand];
  if (o.id == 0 || !trace[o.id].wants_gradient || op.gradient.state == State::unneeded)
    return {State::unneeded, no_number};
  if (!std::isnan(o.contribution)) return {State::known, std::abs(o.contribution)};
  if (op.scalar && op.gradient.size == 0) return {State::known, 0};
  const auto sends = [](const Operand& other) { return !std::isnan(other.contribution); };
  const Gradient& sum = trace[o.id].gradient;
  if (std::any_of(op.operands.begin(), op.operands.end(), sends) && !std::isnan(sum.size))
    return {State::unneeded, no_number};  // it sends none this way
  if (sum.state == State::known && trace[o.id].users == 1) return {State::known, std::abs(sum.size)};
  return {};
}

Gradient flow(const Trace& trace, const Link& link) {
  const Record& op = trace[link.to];
  Gradient largest = flow(trace, op, link.operand);
  for (std::size_t i = 0; i < op.operands.size(); ++i) {
    if (op.operands[i].id != link.from) continue;
    const Gradient other = flow(trace, op, i);
    if (other.state == Gradient::State::known && !(other.size <= largest.size)) largest = other;
  }
  return largest;
}

std::optional<Ladder> plan_ladder(const Trace& trace, int depth, std::string& why_not) {
  const auto no = [&](std::string reason) {
    why_not = std::move(reason);
    return std::nullopt;
  };
  std::vector<std::uint32_t> ops;
  for (const Record& r : trace.records) {
    if (r.is_op() && r.scalar) return no("it computes with scalars");
    if (!r.is_op() && r.users == 0) return no("it has a leaf that no op uses");
    if (r.is_op() && r.id != trace.root) ops.push_back(r.id);
  }
  if (trace.root != 0) {  // last, even if something was computed after it
    if (trace[trace.root].users > 0) return no("the loss is used by another op");
    ops.push_back(trace.root);
  }
  if (ops.empty()) return no("it has no op");
  if (ops.size() > most_rows) return no(fmt::format("{} ops are more than {} rows", ops.size(), most_rows));

  Ladder plan;
  plan.top = top_leaf(trace, trace[ops.front()]);
  std::map<std::uint32_t, std::size_t> row_of;  // the leaf on top is row 0
  if (plan.top != 0) row_of[plan.top] = 0;
  for (std::size_t i = 0; i < ops.size(); ++i) row_of[ops[i]] = i + 1;

  const std::vector<bool> spine = ancestors(trace, ops.back());
  std::uint32_t before = 0;
  for (const std::uint32_t id : ops) {
    const Record& r = trace[id];
    const auto takes = [&](std::uint32_t wanted) {
      return std::any_of(r.operands.begin(), r.operands.end(), [&](const Operand& o) { return o.id == wanted; });
    };
    if (spine[trace.at(id)]) {
      if (before != 0 && !takes(before))
        return no(fmt::format("node {} ({}) does not take the result of the op before it", id, r.op));
      before = id;
    }
    Ladder::Row row;
    row.op = id;
    row.backward = r.wants_gradient && spine[trace.at(id)] && r.gradient.state != Gradient::State::unneeded;
    for (std::size_t i = 0; i < r.operands.size(); ++i) {
      const std::uint32_t from = r.operands[i].id;
      if (from == 0 || row_of.contains(from)) continue;
      (trace[from].kind == Node::Kind::constant ? row.beside : row.kept).push_back(i);
    }
    plan.rows.push_back(std::move(row));
  }

  std::vector<Link> all = links(trace);
  if (plan.top != 0) {
    for (const std::uint32_t id : ops) {
      const std::span<const Operand> operands = trace[id].operands;
      const auto is_top = [&](const Operand& o) { return o.id == plan.top; };
      const auto first = std::find_if(operands.begin(), operands.end(), is_top);
      const auto times = std::count_if(operands.begin(), operands.end(), is_top);
      if (times > 0)
        all.push_back({plan.top, id, static_cast<std::size_t>(first - operands.begin()), static_cast<int>(times)});
    }
  }
  const auto steps_between = [&](std::size_t above, std::size_t below) {
    return std::any_of(plan.rows.begin() + static_cast<std::ptrdiff_t>(above),
                       plan.rows.begin() + static_cast<std::ptrdiff_t>(below) - 1,
                       [](const Ladder::Row& row) { return row.backward; });
  };
  for (const Link& link : all) {
    const std::size_t above = row_of.at(link.from), below = row_of.at(link.to);
    if (below == above + 1) plan.straight.push_back(link);
    else plan.skips.push_back({link, 0});
    const bool returns = link.from == plan.top ? trace[link.from].gradient.state != Gradient::State::unneeded
                                               : plan.rows[above - 1].backward;
    if (returns && plan.rows[below - 1].backward)
      (steps_between(above, below) ? plan.back_skips : plan.back).push_back(link);
  }
  if (!place_skips(row_of, plan.skips)) return no(fmt::format("more than {} skips lie side by side", most_columns));
  for (std::size_t i = 0; i < plan.skips.size(); ++i)
    for (std::size_t row = row_of.at(plan.skips[i].link.from) + 1; row < row_of.at(plan.skips[i].link.to); ++row)
      plan.rows[row - 1].passing.push_back(i);
  for (Ladder::Row& row : plan.rows)
    std::stable_sort(row.passing.begin(), row.passing.end(),
                     [&](std::size_t a, std::size_t b) { return plan.skips[a].column > plan.skips[b].column; });
  plan.bands = bands(trace, ops, depth, true);
  return plan;
}

}  // namespace ebb::graphviz
