#include "cards_steps.h"

#include <algorithm>
#include <map>
#include <set>
#include <string_view>
#include <utility>

namespace ebb::graphviz {

namespace {

constexpr std::size_t longest_period = 512;

bool is_folded_steps(const Record& r) { return r.fold != nullptr && r.fold->kind == Fold::Kind::repeat; }

// Neighbours in the order of computing, taken as one.
struct Unit {
  std::size_t begin = 0, end = 0;           // positions in the list of ops
  std::uint32_t token = 0;                  // the same for equal units
  std::vector<std::uint32_t> parameters{};  // that they use
};

// Equal blocks in a row: `count` of them, of `period` units each, from unit `begin` on.
struct Run {
  std::size_t begin = 0, period = 0, count = 0;
  std::size_t end() const { return begin + period * count; }
};

class Finder {
 public:
  // With `calls` a unit is all that a call of a module does in a row, however much of it is folded; else each op is
  // one.
  Finder(const Trace& trace, const std::vector<std::uint32_t>& ops, bool calls) : trace_(trace) {
    std::map<std::vector<std::uint64_t>, std::uint32_t> known;
    std::map<std::string_view, std::uint64_t> words;
    const auto word = [&](std::string_view text) { return words.try_emplace(text, words.size()).first->second; };
    const Record* before = nullptr;
    for (const std::uint32_t id : ops) {
      const Record& r = trace[id];
      if (is_folded_steps(r)) continue;
      ops_.push_back(id);
      std::vector<std::uint64_t> key{word(r.scope)};
      if (!calls) key.insert(key.end(), {word(r.fold == nullptr ? r.op : r.fold->detail), r.operands.size()});
      const bool same = calls && before != nullptr && before->scope == r.scope && before->scope_call == r.scope_call;
      if (!same) units_.push_back({ops_.size() - 1, 0});
      for (const Operand& o : r.operands) {
        const bool learns = o.id != 0 && trace[o.id].kind == Node::Kind::parameter;
        if (learns) units_.back().parameters.push_back(o.id);
        if (!calls) key.push_back(learns ? o.id : 0);
      }
      units_.back().end = ops_.size();
      if (!same)
        units_.back().token = known.try_emplace(std::move(key), static_cast<std::uint32_t>(known.size())).first->second;
      unit_of_.push_back(units_.size() - 1);
      before = &r;
    }
  }

  std::vector<Step> steps() const {
    Run best;
    for (std::size_t period = 1; period <= std::min(longest_period, units_.size() / 2); ++period) {
      for (std::size_t begin = 0; begin + period < units_.size();) {
        std::size_t equal = 0;
        while (begin + equal + period < units_.size() &&
               units_[begin + equal].token == units_[begin + equal + period].token)
          ++equal;
        const Run run{begin, period, equal / period + 1};
        if (run.count >= 2 && period * run.count > best.period * best.count)
          if (const Run aligned = align(run, equal % period); aligned.count > 0) best = aligned;
        begin += equal + 1;
      }
    }
    if (best.count == 0) return {};
    return with_folded(split(best));
  }

 private:
  // Blocks begin where least goes from one to the next, best where the op before does not go in at once, and late: the
  // first step is more often incomplete than the last.  Of no blocks if there is no place where each needs the one
  // before.
  Run align(Run run, std::size_t rest) const {
    Run best;
    std::pair<std::size_t, std::size_t> fewest;
    for (std::size_t shift = 0; shift <= rest; ++shift) {
      const Run shifted{run.begin + shift, run.period, run.count};
      const std::size_t values = crossing(shifted);
      if (values == 0) continue;
      std::size_t torn = 0;
      for (std::size_t block = 1; block < run.count; ++block) {
        const std::size_t first = units_[shifted.begin + block * run.period].begin;
        for (const Operand& o : trace_[ops_[first]].operands) torn += o.id == ops_[first - 1] ? 1 : 0;
      }
      if (best.count == 0 || std::pair(values, torn) <= fewest) best = shifted, fewest = {values, torn};
    }
    return best;
  }

  std::size_t unit_of(std::uint32_t op) const {
    return unit_of_[static_cast<std::size_t>(std::lower_bound(ops_.begin(), ops_.end(), op) - ops_.begin())];
  }

  std::set<std::uint32_t> parameters_of(const Run& run, std::size_t block) const {
    std::set<std::uint32_t> all;
    for (std::size_t i = run.begin + block * run.period; i < run.begin + (block + 1) * run.period; ++i)
      all.insert(units_[i].parameters.begin(), units_[i].parameters.end());
    return all;
  }

  // How many values are used in a later block; 0 if a block shares no parameter with the one before, or none of its
  // parameters meets what comes from there.
  std::size_t crossing(const Run& run) const {
    std::set<std::uint32_t> values, parameters = parameters_of(run, 0);
    if (parameters.empty()) return 0;
    for (std::size_t block = 1; block < run.count; ++block) {
      bool linked = false;
      std::set<std::uint32_t> handed_on;  // ops of this block that need the one before
      const std::size_t first = run.begin + block * run.period;
      for (std::size_t i = units_[first].begin; i < units_[first + run.period - 1].end; ++i) {
        bool learns = false, needs = false;
        for (const Operand& o : trace_[ops_[i]].operands) {
          if (o.id == 0) continue;
          const Record& from = trace_[o.id];
          learns = learns || from.kind == Node::Kind::parameter;
          if (!from.is_op()) continue;
          const std::size_t unit = is_folded_steps(from) ? first - 1 : unit_of(o.id);
          if (unit >= run.begin && unit < first) values.insert(o.id);
          needs = needs || (unit + run.period >= first && unit < first) || handed_on.contains(o.id);
        }
        if (needs) handed_on.insert(ops_[i]);
        linked = linked || (needs && learns);
      }
      std::set<std::uint32_t> mine = parameters_of(run, block);
      const auto shared = [&](std::uint32_t id) { return parameters.contains(id); };
      if (!linked || std::none_of(mine.begin(), mine.end(), shared)) return 0;
      parameters = std::move(mine);
    }
    return values.size();
  }

  // The first step often has no state to start from, the last none to hand on: fewer ops, in the same order.
  std::vector<Step> split(const Run& run) const {
    std::vector<Step> steps;
    const auto token = [&](std::size_t place) { return units_[run.begin + place].token; };
    std::size_t first = run.begin, last = run.end();
    for (std::size_t i = run.period; i-- > 0 && first > 0;) first -= units_[first - 1].token == token(i) ? 1 : 0;
    for (std::size_t i = 0; i < run.period && last < units_.size(); ++i) last += units_[last].token == token(i) ? 1 : 0;
    const auto add = [&](std::size_t from, std::size_t to) {
      Step& step = steps.emplace_back();
      for (std::size_t i = units_[from].begin; i < units_[to - 1].end; ++i) step.ops.push_back(ops_[i]);
    };
    if ((run.begin - first) * 2 >= run.period) add(first, run.begin);
    for (std::size_t i = 0; i < run.count; ++i) add(run.begin + i * run.period, run.begin + (i + 1) * run.period);
    if ((last - run.end()) * 2 > run.period) add(run.end(), last);
    return steps;
  }

  // Folded steps stand where they were, and the count goes on after them.
  std::vector<Step> with_folded(std::vector<Step> steps) const {
    for (const Record& r : trace_.records) {
      if (!is_folded_steps(r) || r.id < steps.front().ops.front() || r.id > steps.back().ops.back()) continue;
      const auto after = std::find_if(steps.begin(), steps.end(), [&](const Step& s) { return s.ops.front() > r.id; });
      steps.insert(after, {{r.id}, 0});
    }
    std::int64_t number = 1;
    for (Step& step : steps) {
      step.number = number;
      const Fold* const fold = trace_[step.ops.front()].fold;
      number += fold != nullptr && fold->kind == Fold::Kind::repeat ? fold->times : 1;
    }
    return steps;
  }

  const Trace& trace_;
  std::vector<std::uint32_t> ops_;  // folded steps are left out
  std::vector<Unit> units_;
  std::vector<std::size_t> unit_of_;  // by position in ops_
};

}  // namespace

std::vector<Step> find_steps(const Trace& trace, const std::vector<std::uint32_t>& ops) {
  std::vector<Step> steps = Finder(trace, ops, true).steps();
  return steps.empty() ? Finder(trace, ops, false).steps() : steps;
}

}  // namespace ebb::graphviz
