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

// Equal blocks in a row: `count` of them, of `period` ops each, from position `begin` on.
struct Run {
  std::size_t begin = 0, period = 0, count = 0;
  std::size_t end() const { return begin + period * count; }
};

class Finder {
 public:
  Finder(const Trace& trace, const std::vector<std::uint32_t>& ops) : trace_(trace) {
    std::map<std::vector<std::uint64_t>, std::uint32_t> known;
    std::map<std::string_view, std::uint64_t> words;
    const auto word = [&](std::string_view text) { return words.try_emplace(text, words.size()).first->second; };
    for (const std::uint32_t id : ops) {
      const Record& r = trace[id];
      if (is_folded_steps(r)) continue;
      std::vector<std::uint64_t> key{word(r.fold == nullptr ? r.op : r.fold->detail), word(r.scope), r.operands.size()};
      bool learns = false;
      for (const Operand& o : r.operands) {
        const bool parameter = o.id != 0 && trace[o.id].kind == Node::Kind::parameter;
        learns = learns || parameter;
        key.push_back(parameter ? o.id : 0);
      }
      ops_.push_back(id);
      learns_.push_back(learns);
      tokens_.push_back(known.try_emplace(std::move(key), static_cast<std::uint32_t>(known.size())).first->second);
    }
  }

  std::vector<Step> steps() const {
    Run best;
    for (std::size_t period = 1; period <= std::min(longest_period, tokens_.size() / 2); ++period) {
      for (std::size_t begin = 0; begin + period < tokens_.size();) {
        std::size_t equal = 0;
        while (begin + equal + period < tokens_.size() && tokens_[begin + equal] == tokens_[begin + equal + period])
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
  // Where blocks begin is where least goes from block to block.  Of no blocks if there is no place where each takes
  // something from the one before.
  Run align(Run run, std::size_t rest) const {
    Run best;
    std::size_t fewest = 0;
    for (std::size_t shift = 0; shift <= rest; ++shift) {
      const Run shifted{run.begin + shift, run.period, run.count};
      const std::size_t values = crossing(shifted);
      if (values > 0 && (best.count == 0 || values < fewest)) best = shifted, fewest = values;
    }
    return best;
  }

  std::size_t place(std::uint32_t id) const {
    return static_cast<std::size_t>(std::lower_bound(ops_.begin(), ops_.end(), id) - ops_.begin());
  }

  // How many values are used in a later block; 0 if a block takes nothing from the one before, or nothing is learnt.
  std::size_t crossing(const Run& run) const {
    const auto learning = learns_.begin() + static_cast<std::ptrdiff_t>(run.begin);
    if (std::none_of(learning, learning + static_cast<std::ptrdiff_t>(run.period), [](bool learns) { return learns; }))
      return 0;
    std::set<std::uint32_t> values;
    for (std::size_t block = 1; block < run.count; ++block) {
      bool linked = false;
      for (std::size_t i = run.begin + block * run.period; i < run.begin + (block + 1) * run.period; ++i) {
        for (const Operand& o : trace_[ops_[i]].operands) {
          if (o.id == 0 || !trace_[o.id].is_op()) continue;
          const std::size_t from = place(o.id);
          const bool folded = is_folded_steps(trace_[o.id]);
          if (!folded && (from < run.begin || (from - run.begin) / run.period == block)) continue;
          linked = linked || folded || (from - run.begin) / run.period + 1 == block;
          values.insert(o.id);
        }
      }
      if (!linked) return 0;
    }
    return values.size();
  }

  // The first step often has no state to start from, the last none to hand on: fewer ops, in the same order.
  std::vector<Step> split(const Run& run) const {
    std::vector<Step> steps;
    const auto block = tokens_.begin() + static_cast<std::ptrdiff_t>(run.begin);
    std::size_t first = run.begin, last = run.end();
    for (std::size_t i = run.period; i-- > 0 && first > 0;) first -= tokens_[first - 1] == block[std::ptrdiff_t(i)];
    for (std::size_t i = 0; i < run.period && last < tokens_.size(); ++i) last += tokens_[last] == block[std::ptrdiff_t(i)];
    const auto add = [&](std::size_t from, std::size_t to) {
      steps.push_back({{ops_.begin() + std::ptrdiff_t(from), ops_.begin() + std::ptrdiff_t(to)}, 0});
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
  std::vector<std::uint32_t> ops_, tokens_;  // folded steps are left out
  std::vector<bool> learns_;
};

}  // namespace

std::vector<Step> find_steps(const Trace& trace, const std::vector<std::uint32_t>& ops) {
  return Finder(trace, ops).steps();
}

}  // namespace ebb::graphviz
