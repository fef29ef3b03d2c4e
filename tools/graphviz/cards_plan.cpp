#include "cards_plan.h"

#include "cards_steps.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>

namespace ebb::graphviz {

namespace {

constexpr std::size_t most_lines = 8;  // from one leaf that is drawn once

class Planner {
 public:
  Planner(const Trace& trace, int depth) : trace_(trace), depth_(depth) {}

  Cards plan() {
    std::vector<std::uint32_t> ops;
    for (const Record& r : trace_.records)
      if (r.is_op()) ops.push_back(r.id);
    gather_users();
    place_columns(ops);
    share_cards();
    place_leaves();
    for (std::size_t i = 0; i < plan_.columns.size(); ++i) lay_out(i);
    return std::move(plan_);
  }

 private:
  void gather_users() {
    for (const Record& r : trace_.records)
      for (const Operand& o : r.operands)
        if (o.id != 0 && !trace_[o.id].is_op()) users_[o.id].push_back(r.id);
  }

  // ---- columns ------------------------------------------------------------------------------------------------

  // -1: in none.
  int column_of(std::uint32_t op) const {
    const auto found = plan_.places.find(op);
    return found == plan_.places.end() ? -1 : static_cast<int>(found->second.column);
  }

  void place_columns(const std::vector<std::uint32_t>& ops) {
    steps_ = find_steps(trace_, ops);
    for (std::size_t i = 0; i < steps_.size(); ++i)
      for (const std::uint32_t id : steps_[i].ops) plan_.places[id] = {i, 0};
    std::vector<std::uint32_t> rest, after;
    for (const std::uint32_t id : ops) {
      if (column_of(id) >= 0) continue;
      const std::span<const Operand> operands = trace_[id].operands;
      const bool is_after = std::any_of(operands.begin(), operands.end(),
                                        [&](const Operand& o) { return o.id != 0 && column_of(o.id) >= 0; });
      if (is_after) plan_.places[id] = {steps_.size(), 0};
      (is_after ? after : rest).push_back(id);
    }
    plan_.rest = bands(trace_, rest, depth_, false);
    for (const Step& step : steps_) {
      Cards::Column column;
      column.is_step = true;
      column.band = step_band(step);
      plan_.columns.push_back(std::move(column));
    }
    if (!after.empty()) {
      plan_.columns.push_back({bands(trace_, after, depth_, false), false, {}});
      steps_.push_back({after, 0});
    }
  }

  // "lstm  step 1": of one call of one module the module's band, else one around those of all modules in it.
  Band step_band(const Step& step) const {
    Band band = bands(trace_, step.ops, depth_, false);
    const Fold* const fold = trace_[step.ops.front()].fold;
    const bool several = fold != nullptr && fold->times > 1;
    const std::string name =
        several ? fmt::format("steps {} – {}", step.number, step.number + fold->times - 1) : fmt::format("step {}", step.number);
    if (band.inner.size() == 1 && band.ops.empty()) {
      Band inner = std::move(band.inner[0]);
      inner.call = 0;
      if (inner.titles.size() == 1) {
        inner.titles.push_back({name, ""});
        return inner;
      }
      band.inner = {std::move(inner)};
    }
    band.titles = {{name, ""}};
    return band;
  }

  // A slice that one op takes and changes number by number is no more than that op's way of reading.
  void share_cards() {
    for (const Record& r : trace_.records) {
      if (r.fold != nullptr || r.scalar || r.operands.size() != 1 || r.operands[0].id == 0) continue;
      const Record& slice = trace_[r.operands[0].id];
      const bool plain = slice.op == "slice" && slice.fold == nullptr && slice.operands.size() == 1 &&
                         slice.operands[0].id != 0 && slice.change == Change::none;
      if (plain && slice.users == 1 && slice.id != trace_.root && std::ranges::equal(slice.shape, r.shape) &&
          slice.scope == r.scope && slice.scope_call == r.scope_call && slice.backward_of == 0 && r.backward_of == 0 &&
          column_of(slice.id) == column_of(r.id) && !plan_.within.contains(slice.operands[0].id))
        plan_.within[slice.id] = r.id;
    }
  }

  // ---- leaves -------------------------------------------------------------------------------------------------

  void place_leaves() {
    const std::set<std::uint32_t> starts = find_starts();
    for (const Record& leaf : trace_.records) {
      if (leaf.is_op()) continue;
      const std::vector<std::uint32_t>& users = users_[leaf.id];
      const bool parameter = leaf.kind == Node::Kind::parameter;
      const int column = users.empty() ? -1 : column_of(users[0]);
      const bool one_column =
          std::all_of(users.begin(), users.end(), [&](std::uint32_t user) { return column_of(user) == column; });
      if (users.size() > (parameter ? 1 : most_lines) || (!one_column && !starts.contains(leaf.id)))
        plan_.stubs[leaf.id] = users.size();
      else if (starts.contains(leaf.id)) plan_.leaves.push_back(leaf.id), plan_.starts.push_back(leaf.id);
      else if (!users.empty() && (parameter || column >= 0)) plan_.beside[users[0]].push_back(leaf.id);
      else plan_.leaves.push_back(leaf.id);
    }
  }

  // What the first step takes where the second takes an op's result.
  std::set<std::uint32_t> find_starts() const {
    std::set<std::uint32_t> found;
    if (steps_.size() < 2) return found;
    for (std::size_t i = 0; i < std::min(steps_[0].ops.size(), steps_[1].ops.size()); ++i) {
      if (trace_[steps_[0].ops[i]].op != trace_[steps_[1].ops[i]].op) break;
      const std::span<const Operand> first = trace_[steps_[0].ops[i]].operands, second = trace_[steps_[1].ops[i]].operands;
      for (std::size_t j = 0; j < std::min(first.size(), second.size()); ++j) {
        if (first[j].id == 0 || second[j].id == 0) continue;
        const Record& leaf = trace_[first[j].id];
        if (!leaf.is_op() && leaf.kind != Node::Kind::parameter && trace_[second[j].id].is_op()) found.insert(leaf.id);
      }
    }
    return found;
  }

  // ---- rows ---------------------------------------------------------------------------------------------------

  // The items of a column, each after what it takes.
  CardItems items_of(std::size_t column) const {
    CardItems graph;
    std::map<std::uint32_t, std::size_t> place;  // of cards and leaves
    for (const std::uint32_t id : steps_[column].ops) {
      std::vector<std::size_t> above;
      const Record& r = trace_[id];
      for (std::size_t i = 0; i < r.operands.size(); ++i) {
        const std::uint32_t from = r.operands[i].id;
        if (from == 0 || !plan_.stubs.contains(from)) continue;
        above.push_back(graph.items.size());
        graph.items.push_back({id, static_cast<int>(i)});
      }
      if (const auto leaves = plan_.beside.find(id); leaves != plan_.beside.end())
        for (const std::uint32_t leaf : leaves->second) place[leaf] = graph.items.size(), graph.items.push_back({leaf});
      std::set<std::uint32_t> seen;
      for (const Operand& o : r.operands)
        if (o.id != 0 && seen.insert(o.id).second)
          if (const auto from = place.find(o.id); from != place.end()) above.push_back(from->second);
      if (plan_.within.contains(id)) {  // no card of its own: what the op behind takes is what it takes
        if (!above.empty()) place[id] = above.front();
        continue;
      }
      place[id] = graph.items.size();
      for (const std::size_t from : above) graph.lines.emplace_back(from, graph.items.size());
      graph.items.push_back({id});
    }
    graph.from_left.resize(graph.items.size());
    graph.to_right.resize(graph.items.size());
    return graph;
  }

  void join_sides(std::size_t column, CardItems& graph) const {
    const std::set<std::uint32_t> starts(plan_.starts.begin(), plan_.starts.end());
    std::set<std::uint32_t> sends;
    for (std::size_t later = column + 1; later < steps_.size(); ++later)
      for (const std::uint32_t id : steps_[later].ops)
        for (const Operand& o : trace_[id].operands) sends.insert(o.id);
    for (std::size_t i = 0; i < graph.items.size(); ++i) {
      const auto [id, operand] = graph.items[i];
      if (operand >= 0 || !trace_[id].is_op()) continue;
      graph.to_right[i] = sends.contains(id);
      for (const Operand& o : trace_[id].operands) {
        const int from = o.id == 0 ? -1 : column_of(o.id);
        if ((from >= 0 && from < static_cast<int>(column)) || starts.contains(o.id)) graph.from_left[i] = true;
      }
    }
  }

  // Equal steps get equal rows, though the first and the last have other neighbours.
  void lay_out(std::size_t column) {
    CardItems graph = items_of(column);
    const bool as_before = column > 0 && plan_.columns[column].is_step && graph.lines == last_lines_ &&
                           graph.items.size() == last_items_;
    if (!as_before) {
      join_sides(column, graph);
      last_rows_ = rows_of(graph);
      last_lines_ = graph.lines, last_items_ = graph.items.size();
    }
    CardRows& rows = plan_.columns[column].rows;
    for (const std::vector<std::size_t>& row : last_rows_) {
      rows.emplace_back();
      for (const std::size_t i : row) {
        rows.back().push_back(graph.items[i]);
        if (graph.items[i].operand < 0 && trace_[graph.items[i].id].is_op())
          plan_.places[graph.items[i].id].row = rows.size() - 1;
      }
    }
  }

  const Trace& trace_;
  const int depth_;
  Cards plan_;
  std::vector<Step> steps_;  // by column
  std::set<std::uint32_t> behind_steps_;
  std::map<std::uint32_t, std::vector<std::uint32_t>> users_;  // of leaves, one for each operand
  std::vector<std::vector<std::size_t>> last_rows_;
  std::vector<std::pair<std::size_t, std::size_t>> last_lines_;
  std::size_t last_items_ = 0;
};

}  // namespace

Cards plan_cards(const Trace& trace, int depth) { return Planner(trace, depth).plan(); }

}  // namespace ebb::graphviz
