// Two traces as one.  Nodes are matched by what stays when a model changes: a leaf by its name, an op by its module, by
// which call of the module it is, and by its place among the ops of that call; so one layer more shifts no other.
#include "../graphviz.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <tuple>
#include <unordered_set>

namespace ebb::graphviz {

namespace {

constexpr std::size_t none = std::numeric_limits<std::size_t>::max();

using Positions = std::vector<std::size_t>;  // in Trace::records

// ---- who is who -----------------------------------------------------------------------------------------------------

// Pairs of positions whose elements are equal, both rising: as many as there can be, or, where that would take too
// long, those that a walk through both finds.
template <class Equal>
std::vector<std::pair<std::size_t, std::size_t>> align(std::size_t n, std::size_t m, Equal&& equal) {
  std::vector<std::pair<std::size_t, std::size_t>> pairs;
  std::size_t begin = 0;
  while (begin < n && begin < m && equal(begin, begin)) pairs.emplace_back(begin, begin), ++begin;
  std::size_t same_end = 0;
  while (begin + same_end < n && begin + same_end < m && equal(n - 1 - same_end, m - 1 - same_end)) ++same_end;
  const std::size_t rows = n - same_end - begin, wide = m - same_end - begin;
  constexpr std::size_t most_cells = 4'000'000;
  if (rows > 0 && wide > 0 && rows <= most_cells / wide) {
    std::vector<std::uint32_t> longest((rows + 1) * (wide + 1));  // of what begins at i and j
    const auto at = [&](std::size_t i, std::size_t j) -> std::uint32_t& { return longest[i * (wide + 1) + j]; };
    for (std::size_t i = rows; i-- > 0;)
      for (std::size_t j = wide; j-- > 0;)
        at(i, j) = equal(begin + i, begin + j) ? at(i + 1, j + 1) + 1 : std::max(at(i + 1, j), at(i, j + 1));
    for (std::size_t i = 0, j = 0; i < rows && j < wide;) {
      if (equal(begin + i, begin + j)) pairs.emplace_back(begin + i++, begin + j++);
      else ++(at(i + 1, j) >= at(i, j + 1) ? i : j);
    }
  } else {
    constexpr std::size_t far = 64;
    for (std::size_t i = 0, j = 0; i < rows && j < wide; ++i) {
      std::size_t next = j;
      while (next < wide && next < j + far && !equal(begin + i, begin + next)) ++next;
      if (next < wide && next < j + far) pairs.emplace_back(begin + i, begin + next), j = next + 1;
    }
  }
  for (std::size_t i = same_end; i > 0; --i) pairs.emplace_back(n - i, m - i);
  return pairs;
}

// What nodes that may be the same have in common.
using Group =
    std::tuple<Node::Kind, std::string_view, std::uint32_t>;  // name of a leaf; module of an op and which call

// By scope_call: the first, second, ... call of that module.
using Calls = std::map<std::pair<std::string_view, std::uint32_t>, std::uint32_t>;

Calls calls_of(const Trace& trace) {
  Calls calls;
  std::map<std::string_view, std::uint32_t> made;
  for (const Record& r : trace.records)
    if (r.is_op() && calls.try_emplace({r.scope, r.scope_call}, made[r.scope]).second) ++made[r.scope];
  return calls;
}

std::map<Group, Positions> groups_of(const Trace& trace, const Calls& calls) {
  std::map<Group, Positions> groups;
  for (std::size_t i = 0; i < trace.records.size(); ++i) {
    const Record& r = trace.records[i];
    if (r.is_op()) groups[{r.kind, r.scope, calls.at({r.scope, r.scope_call})}].push_back(i);
    else if (!r.name.empty()) groups[{r.kind, r.name, 0}].push_back(i);
  }
  return groups;
}

bool same_op(const Record& a, const Record& b) {
  const auto title = [](const Record& r) { return r.fold != nullptr ? r.fold->title : std::string_view(); };
  return a.op == b.op && (a.backward_of == 0) == (b.backward_of == 0) && title(a) == title(b);
}

// For each record of `before`, the position of the same in `after`, or none.
Positions match(const Trace& before, const Trace& after, const Calls& calls_before, const Calls& calls_after) {
  Positions partner(before.records.size(), none);
  const std::map<Group, Positions> old_groups = groups_of(before, calls_before);
  for (const auto& [group, now] : groups_of(after, calls_after)) {
    const auto found = old_groups.find(group);
    if (found == old_groups.end()) continue;
    const Positions &old = found->second, &current = now;
    const auto pairs = align(old.size(), now.size(), [&](std::size_t i, std::size_t j) {
      return same_op(before.records[old[i]], after.records[current[j]]);
    });
    for (const auto& [i, j] : pairs) partner[old[i]] = now[j];
  }
  // A leaf without a name is the same if the same op uses it in the same place.
  std::vector<bool> taken(after.records.size());
  for (const std::size_t p : partner)
    if (p != none) taken[p] = true;
  for (std::size_t i = 0; i < before.records.size(); ++i) {
    if (partner[i] == none) continue;
    const Record &old = before.records[i], &now = after.records[partner[i]];
    for (std::size_t k = 0; k < std::min(old.operands.size(), now.operands.size()); ++k) {
      if (old.operands[k].id == 0 || now.operands[k].id == 0) continue;
      const std::size_t a = before.at(old.operands[k].id), b = after.at(now.operands[k].id);
      const Record &leaf = before.records[a], &other = after.records[b];
      if (partner[a] != none || taken[b] || leaf.is_op() || leaf.kind != other.kind) continue;
      if (leaf.name.empty() && other.name.empty()) partner[a] = b, taken[b] = true;
    }
  }
  return partner;
}

// ---- what became of it ----------------------------------------------------------------------------------------------

double ratio(double after, double before) {
  if (after == 0 && before == 0) return 1;
  return std::abs(after) / std::abs(before);
}

Gradient ratio(const Gradient& after, const Gradient& before) {
  using State = Gradient::State;
  if (after.state == State::known && before.state == State::known)
    return {State::known, ratio(after.size, before.size)};
  const bool unneeded = after.state == State::unneeded && before.state == State::unneeded;
  return {unneeded ? State::unneeded : State::unknown, no_number};
}

class Comparing {
 public:
  Comparing(const Trace& before, const Trace& after)
      : before_(before),
        after_(after),
        calls_before_(calls_of(before)),
        calls_after_(calls_of(after)),
        after_of_(match(before, after, calls_before_, calls_after_)),
        before_of_(after.records.size(), none) {
    for (std::size_t i = 0; i < after_of_.size(); ++i)
      if (after_of_[i] != none) before_of_[after_of_[i]] = i;
    for (const auto& [call, place] : calls_after_) {
      call_there_[{call.first, place}] = call.second;
      next_call_ = std::max(next_call_, call.second + 1);
    }
  }

  Trace compare() {
    number();
    out_.observed = before_.observed && after_.observed;
    out_.differentiated = after_.differentiated;
    out_.timed = after_.timed;
    out_.compared = true;
    out_.ops = after_.ops, out_.steps = after_.steps, out_.parameters = after_.parameters;
    out_.folded = after_.folded;
    for (const Place& place : order_) {
      Record r = place.removed ? removed(place.position) : stayed(place.position);
      r.id = static_cast<std::uint32_t>(out_.records.size() + 1);
      r.users = 0;
      for (const Operand& o : r.operands)
        if (o.id != 0) ++out_.records[o.id - 1].users;
      if (place.removed && r.is_op()) out_.ops += r.fold != nullptr ? r.fold->ops : 1;
      out_.records.push_back(r);
    }
    out_.index();
    if (after_.root != 0) out_.root = id_after_[after_.at(after_.root)];
    return std::move(out_);
  }

 private:
  struct Place {
    bool removed;
    std::size_t position;  // in before_ if removed, else in after_
  };

  // Those of `after` in their order; what was removed stands behind what stood before it, and behind its operands.
  void number() {
    std::vector<std::size_t> behind(before_.records.size());  // how many of `after` stand before it
    std::vector<Positions> removed_behind(after_.records.size() + 1);
    for (std::size_t i = 0; i < before_.records.size(); ++i) {
      if (after_of_[i] != none) {
        behind[i] = after_of_[i] + 1;
        continue;
      }
      const Record& r = before_.records[i];
      behind[i] = i > 0 ? behind[i - 1] : 0;
      for (const Operand& o : r.operands)
        if (o.id != 0) behind[i] = std::max(behind[i], behind[before_.at(o.id)]);
      if (before_.holds(r.backward_of)) behind[i] = std::max(behind[i], behind[before_.at(r.backward_of)]);
      removed_behind[behind[i]].push_back(i);
    }
    id_before_.resize(before_.records.size());
    id_after_.resize(after_.records.size());
    const auto next = [&] { return static_cast<std::uint32_t>(order_.size() + 1); };
    for (std::size_t j = 0; j <= after_.records.size(); ++j) {
      for (const std::size_t i : removed_behind[j]) id_before_[i] = next(), order_.push_back({true, i});
      if (j < after_.records.size()) id_after_[j] = next(), order_.push_back({false, j});
    }
    for (std::size_t i = 0; i < before_.records.size(); ++i)
      if (after_of_[i] != none) id_before_[i] = id_after_[after_of_[i]];
  }

  Record stayed(std::size_t position) {
    Record r = after_.records[position];
    const bool added = before_of_[position] == none;
    const Record* const old = added ? nullptr : &before_.records[before_of_[position]];
    r.change = added ? Change::added : Change::none;
    r.gradient = added ? unknown(r.gradient) : ratio(r.gradient, old->gradient);
    std::vector<Operand> operands;
    for (std::size_t k = 0; k < r.operands.size(); ++k) {
      Operand o = r.operands[k];
      if (o.id != 0) o.id = id_after_[after_.at(o.id)];
      const Operand* const was = added ? nullptr : same_operand(*old, k, o.id);
      o.contribution = was == nullptr ? no_number : ratio(o.contribution, was->contribution);
      o.name = keep(o.name);
      operands.push_back(o);
    }
    if (!added) add_removed(*old, id_after_[position], operands);
    r.operands = out_.keep(operands);
    if (r.backward_of != 0) r.backward_of = after_.holds(r.backward_of) ? id_after_[after_.at(r.backward_of)] : 0;
    keep_texts(r);
    if (r.fold != nullptr) r.fold = fold(*r.fold, old == nullptr ? nullptr : old->fold);
    return r;
  }

  Record removed(std::size_t position) {
    Record r = before_.records[position];
    r.change = Change::removed;
    r.gradient = unknown(r.gradient);
    r.order = r.uses = 0;
    std::vector<Operand> operands;
    for (Operand o : r.operands) {
      if (o.id != 0) o.id = id_before_[before_.at(o.id)];
      o.contribution = no_number;
      o.name = keep(o.name);
      operands.push_back(o);
    }
    r.operands = out_.keep(operands);
    if (r.backward_of != 0) r.backward_of = before_.holds(r.backward_of) ? id_before_[before_.at(r.backward_of)] : 0;
    r.scope_call = call_there(r);
    keep_texts(r);
    if (r.fold != nullptr) r.fold = fold(*r.fold, nullptr);
    return r;
  }

  // There is nothing to divide by, or nothing to divide.
  static Gradient unknown(const Gradient& g) {
    return {g.state == Gradient::State::unneeded ? g.state : Gradient::State::unknown, no_number};
  }

  // The one of the op as it was that came from the same node, in the same place if it can be.
  const Operand* same_operand(const Record& old, std::size_t place, std::uint32_t id) const {
    const auto same = [&](const Operand& o) { return id != 0 && o.id != 0 && id_before_[before_.at(o.id)] == id; };
    if (place < old.operands.size() && same(old.operands[place])) return &old.operands[place];
    const auto found = std::find_if(old.operands.begin(), old.operands.end(), same);
    return found == old.operands.end() ? nullptr : &*found;
  }

  // Lines from what was removed to who used it.
  void add_removed(const Record& old, std::uint32_t user, std::vector<Operand>& operands) {
    for (Operand o : old.operands) {
      if (o.id == 0) continue;
      const std::size_t position = before_.at(o.id);
      if (after_of_[position] != none || id_before_[position] >= user) continue;
      o.id = id_before_[position];
      o.contribution = no_number;
      o.name = keep(o.name);
      operands.push_back(o);
    }
  }

  // The call of the module as `after` numbers it.
  std::uint32_t call_there(const Record& r) {
    if (!r.is_op()) return r.scope_call;
    const auto made = call_there_.try_emplace({r.scope, calls_before_.at({r.scope, r.scope_call})}, next_call_);
    if (made.second) ++next_call_;
    return made.first->second;
  }

  std::string_view keep(std::string_view text) {
    if (text.empty()) return {};
    const auto found = words_.find(text);
    return found != words_.end() ? *found : *words_.insert(out_.keep(text)).first;
  }
  void keep_texts(Record& r) {
    for (std::string_view* const text : {&r.op, &r.formula, &r.rule, &r.name, &r.dtype, &r.scope, &r.scope_kind})
      *text = keep(*text);
    r.shape = out_.keep(r.shape);
    r.histogram = out_.keep(r.histogram);
    std::vector<Saved> saved(r.saved.begin(), r.saved.end());
    for (Saved& s : saved) s.what = keep(s.what);
    r.saved = out_.keep(saved);
  }

  const Fold* fold(Fold f, const Fold* old) {
    f.title = keep(f.title), f.detail = keep(f.detail);
    f.least = f.most = no_number;  // of other ops than they were
    f.parameter_gradient =
        old == nullptr ? unknown(f.parameter_gradient) : ratio(f.parameter_gradient, old->parameter_gradient);
    std::vector<std::string_view> names(f.parameter_names.begin(), f.parameter_names.end());
    for (std::string_view& name : names) name = keep(name);
    f.parameter_names = out_.keep(names);
    std::vector<Fold::Series> series;
    for (std::size_t i = 0; old != nullptr && i < std::min(f.series.size(), old->series.size()); ++i) {
      const Fold::Series &now = f.series[i], &was = old->series[i];
      if (now.name != was.name || now.values.size() != was.values.size()) continue;
      std::vector<double> ratios;
      for (std::size_t k = 0; k < now.values.size(); ++k) ratios.push_back(ratio(now.values[k], was.values[k]));
      series.push_back({keep(now.name), out_.keep(ratios)});
    }
    f.series = out_.keep(series);
    return out_.keep(f);
  }

  const Trace &before_, &after_;
  const Calls calls_before_, calls_after_;
  const Positions after_of_;                         // by position in before_
  Positions before_of_;                              // by position in after_
  std::vector<Place> order_;                         // of the new trace
  std::vector<std::uint32_t> id_before_, id_after_;  // in the new trace, by position in each
  std::map<std::pair<std::string_view, std::uint32_t>, std::uint32_t> call_there_;  // by module and which call
  std::uint32_t next_call_ = 1;
  std::unordered_set<std::string_view> words_;  // kept in out_
  Trace out_;
};

}  // namespace

Trace diff(const Trace& before, const Trace& after) { return Comparing(before, after).compare(); }

}  // namespace ebb::graphviz
