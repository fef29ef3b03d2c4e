#include "cards_plan.h"

#include "cards_steps.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>

namespace ebb::graphviz {

namespace {

constexpr std::size_t most_lines = 8;  // from one leaf that is drawn once
constexpr std::size_t most_runs = 8;

// By op, which of the bands in a band it lies in, from 1.
void number_bands(const Band& band, std::size_t number, std::map<std::uint32_t, std::size_t>& numbers) {
  for (const std::uint32_t op : band.ops) numbers[op] = number;
  for (const Band& inner : band.inner) number_bands(inner, number, numbers);
}

class Planner {
 public:
  Planner(const Trace& trace, int depth) : trace_(trace), depth_(depth) {}

  Cards plan(bool columns) {
    for (const Record& r : trace_.records) {
      if (r.is_op()) ops_.push_back(r.id);
      for (const Operand& o : r.operands)
        if (o.id != 0 && !trace_[o.id].is_op()) users_[o.id].push_back(r.id);
    }
    place_columns(columns ? find_runs() : std::vector<std::vector<Step>>());
    share_cards();
    place_leaves();
    draw_lines();
    for (std::size_t i = 0; i < plan_.columns.size(); ++i) lay_out(i);
    return std::move(plan_);
  }

 private:
  // ---- columns ------------------------------------------------------------------------------------------------

  static constexpr std::size_t nowhere = static_cast<std::size_t>(-1);

  std::size_t column_of(std::uint32_t op) const {
    const auto found = plan_.places.find(op);
    return found == plan_.places.end() ? nowhere : found->second;
  }

  // All recurrences, the first computed first.  What gradient() recorded goes through modules again, but is none.
  std::vector<std::vector<Step>> find_runs() const {
    std::vector<std::uint32_t> left;
    for (const std::uint32_t id : ops_)
      if (trace_[id].backward_of == 0) left.push_back(id);
    std::vector<std::vector<Step>> runs;
    while (runs.size() < most_runs) {
      std::vector<Step> steps = find_steps(trace_, left);
      if (steps.empty()) break;
      std::set<std::uint32_t> found;
      for (const Step& step : steps) found.insert(step.ops.begin(), step.ops.end());
      left.erase(std::remove_if(left.begin(), left.end(), [&](std::uint32_t id) { return found.contains(id); }),
                 left.end());
      runs.push_back(std::move(steps));
    }
    std::ranges::sort(runs, {}, [](const std::vector<Step>& steps) { return steps.front().ops.front(); });
    return runs;
  }

  // The steps of one recurrence, then what needs them, then those of the next.
  void place_columns(const std::vector<std::vector<Step>>& runs) {
    if (runs.empty()) {
      plan_.all = bands(trace_, ops_, depth_, false);
      return;
    }
    std::vector<std::size_t> behind{0};  // the column behind as many runs
    for (const std::vector<Step>& steps : runs) {
      for (std::size_t i = 0; i < steps.size(); ++i)
        for (const std::uint32_t id : steps[i].ops) plan_.places[id] = behind.back() + 1 + i;
      behind.push_back(behind.back() + steps.size() + 1);
    }
    members_.resize(behind.back() + 1);
    for (const std::uint32_t id : ops_) {
      if (column_of(id) == nowhere) {
        std::size_t last = 0;
        for (const Operand& o : trace_[id].operands)
          if (o.id != 0 && trace_[o.id].is_op()) last = std::max(last, column_of(o.id));
        plan_.places[id] = *std::lower_bound(behind.begin(), behind.end(), last);
      }
      members_[column_of(id)].push_back(id);
    }
    plan_.columns.resize(members_.size());
    for (std::size_t i = 0; i < members_.size(); ++i) plan_.columns[i].band = bands(trace_, members_[i], depth_, false);
    for (std::size_t run = 0; run < runs.size(); ++run)
      for (std::size_t i = 0; i < runs[run].size(); ++i) {
        Cards::Column& column = plan_.columns[behind[run] + 1 + i];
        column.step = i + 1;
        name_step(column, runs[run][i]);
      }
  }

  // "lstm  step 1": of one call of one module the module's band, else one around those of all modules in it.  What is
  // folded into one card says itself what it is.
  void name_step(Cards::Column& column, const Step& step) const {
    const Fold* const fold = trace_[step.ops.front()].fold;
    const bool several = fold != nullptr && fold->times > 1;
    column.name =
        several ? fmt::format("{} – {}", step.number, step.number + fold->times - 1) : fmt::format("{}", step.number);
    if (step.ops.size() == 1 && fold != nullptr) {
      column.band = {};
      column.band.ops = step.ops;
      return;
    }
    const std::string words = (several ? "steps " : "step ") + column.name;
    Band& band = column.band;
    if (band.inner.size() == 1 && band.ops.empty()) {
      Band inner = std::move(band.inner[0]);
      inner.call = 0;
      if (inner.titles.size() == 1) {
        inner.titles.push_back({words, ""});
        band = std::move(inner);
        return;
      }
      band.inner = {std::move(inner)};
    }
    band.titles = {{words, ""}};
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
      const std::size_t column = users.empty() ? nowhere : column_of(users[0]);
      const bool one_column =
          std::all_of(users.begin(), users.end(), [&](std::uint32_t user) { return column_of(user) == column; });
      if (users.size() > (parameter ? 1 : most_lines) || (!one_column && !starts.contains(leaf.id)))
        plan_.stubs[leaf.id] = users.size();
      else if (starts.contains(leaf.id)) plan_.leaves.push_back(leaf.id), plan_.starts.push_back(leaf.id);
      else if (!users.empty() && (parameter || column != nowhere)) plan_.beside[users[0]].push_back(leaf.id);
      else plan_.leaves.push_back(leaf.id);
    }
  }

  // What the first step takes where the second takes an op's result.
  std::set<std::uint32_t> find_starts() const {
    std::set<std::uint32_t> found;
    if (members_.size() < 3) return found;
    const std::vector<std::uint32_t>&first = members_[1], &second = members_[2];
    for (std::size_t i = 0; i < std::min(first.size(), second.size()); ++i) {
      if (trace_[first[i]].op != trace_[second[i]].op) break;
      const std::span<const Operand> here = trace_[first[i]].operands, there = trace_[second[i]].operands;
      for (std::size_t j = 0; j < std::min(here.size(), there.size()); ++j) {
        if (here[j].id == 0 || there[j].id == 0) continue;
        const Record& leaf = trace_[here[j].id];
        if (!leaf.is_op() && leaf.kind != Node::Kind::parameter && trace_[there[j].id].is_op()) found.insert(leaf.id);
      }
    }
    for (auto leaf = found.begin(); leaf != found.end();) {
      const std::vector<std::uint32_t>& users = users_.at(*leaf);
      const auto is_first = [&](std::uint32_t user) { return column_of(user) == 1; };
      leaf = std::all_of(users.begin(), users.end(), is_first) ? std::next(leaf) : found.erase(leaf);
    }
    return found;
  }

  // ---- lines --------------------------------------------------------------------------------------------------

  // Of each value that a card shows as taken, one line for both directions: dot lays out half as many.
  void draw_lines() {
    for (const std::uint32_t id : ops_) {
      if (plan_.within.contains(id)) continue;
      std::set<std::uint32_t> drawn;
      const std::span<const Operand> operands = trace_[id].operands;
      for (std::size_t i = 0; i < operands.size(); ++i) {
        const std::uint32_t from = operands[i].id;
        if (from == 0 || (!plan_.stubs.contains(from) && !drawn.insert(from).second)) continue;
        if (plan_.within.contains(from)) draw_line(from, 0, id);
        else draw_line(id, i, id);
      }
    }
  }

  void draw_line(std::uint32_t taker, std::size_t operand, std::uint32_t to) {
    const std::uint32_t from = trace_[taker].operands[operand].id;
    CardLine line{{from}, taker, to, operand};
    if (plan_.stubs.contains(from)) line.from = {taker, static_cast<int>(operand)};
    plan_.lines.push_back(line);
  }

  // ---- rows ---------------------------------------------------------------------------------------------------

  // The items of a column, each after what it takes.
  CardItems items_of(std::size_t column) {
    CardItems graph;
    std::map<std::pair<std::uint32_t, int>, std::size_t> place;
    std::map<std::uint32_t, std::size_t> band_of;
    const Band& band = plan_.columns[column].band;
    for (std::size_t i = 0; i < band.inner.size(); ++i) number_bands(band.inner[i], i + 1, band_of);
    std::size_t section = 0, last_band = 0;
    const auto put = [&](CardItem item) {
      place[{item.id, item.operand}] = graph.items.size();
      graph.items.push_back(item);
      graph.sections.push_back(section);
    };
    for (const CardLine& line : plan_.lines)
      if (column > 0 && column_of(line.to) == column && line.from.operand == CardItem::card &&
          column_of(line.from.id) == 0 && !place.contains({line.from.id, CardItem::entry}))
        put({line.from.id, CardItem::entry});
    auto line = plan_.lines.begin();
    for (const std::uint32_t id : members_[column]) {
      if (band_of[id] != last_band) ++section;
      last_band = band_of[id];
      for (std::size_t i = 0; i < trace_[id].operands.size(); ++i)
        if (plan_.stubs.contains(trace_[id].operands[i].id)) put({id, static_cast<int>(i)});
      if (const auto leaves = plan_.beside.find(id); leaves != plan_.beside.end())
        for (const std::uint32_t leaf : leaves->second) put({leaf});
      if (plan_.within.contains(id)) continue;
      put({id});
      while (line != plan_.lines.end() && line->to < id) ++line;
      for (; line != plan_.lines.end() && line->to == id; ++line) {
        auto from = place.find({line->from.id, line->from.operand});
        if (from == place.end()) from = place.find({line->from.id, CardItem::entry});
        if (from == place.end()) continue;
        graph.lines.emplace_back(from->second, graph.items.size() - 1);
        plan_.columns[column].lines.push_back(static_cast<std::size_t>(line - plan_.lines.begin()));
      }
    }
    if (column == 0)
      for (const std::uint32_t leaf : plan_.leaves)
        if (std::find(plan_.starts.begin(), plan_.starts.end(), leaf) == plan_.starts.end()) put({leaf});
    return graph;
  }

  // Which items send to a later column, or take from an earlier one.
  void join_sides(std::size_t column, CardItems& graph) const {
    const std::set<std::uint32_t> starts(plan_.starts.begin(), plan_.starts.end());
    std::set<std::uint32_t> takes, sends;
    for (const CardLine& line : plan_.lines) {
      if (line.from.operand != CardItem::card) continue;
      const std::size_t from = column_of(line.from.id), to = column_of(line.to);
      const bool crosses = trace_[line.from.id].is_op() ? from > 0 && from != to : starts.contains(line.from.id);
      if (crosses && to == column) takes.insert(line.to);
      if (crosses && from == column) sends.insert(line.from.id);
    }
    for (const CardItem& item : graph.items) {
      graph.from_left.push_back(item.operand == CardItem::card && takes.contains(item.id));
      graph.to_right.push_back(item.operand == CardItem::card && sends.contains(item.id));
    }
  }

  // Equal steps get equal rows, though the first and the last have other neighbours.
  void lay_out(std::size_t column) {
    Cards::Column& here = plan_.columns[column];
    here.items = items_of(column);
    if (here.step > 1) {
      const Cards::Column& before = plan_.columns[column - 1];
      const auto operand = [](const CardItem& item) { return item.operand; };
      if (here.items.lines == before.items.lines && here.items.sections == before.items.sections &&
          std::ranges::equal(here.items.items, before.items.items, {}, operand, operand)) {
        here.rows = before.rows;
        return;
      }
    }
    join_sides(column, here.items);
    here.rows = rows_of(here.items);
  }

  const Trace& trace_;
  const int depth_;
  Cards plan_;
  std::vector<std::uint32_t> ops_;
  std::vector<std::vector<std::uint32_t>> members_;            // ops by column
  std::map<std::uint32_t, std::vector<std::uint32_t>> users_;  // of leaves, one for each operand
};

}  // namespace

Cards plan_cards(const Trace& trace, int depth, bool columns) { return Planner(trace, depth).plan(columns); }

}  // namespace ebb::graphviz
