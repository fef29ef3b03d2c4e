#include "lane_search.h"
#include "lanes.h"

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <unordered_map>
#include <utility>
#include <vector>

namespace ebb::kernels {

namespace {

constexpr std::size_t most_steps = LaneLoop::most_steps;
constexpr std::size_t most_kept = std::size_t{1} << 15;  // terms: more are computed twice sooner than read from afar

/// In which order what is sent to two operands, `a` first in each term, may go out, all of one before all of the other, if
/// later terms send first.
struct Order {
  bool a_first = false, b_first = false;  // must
};
Order order_of(const LaneLoop::Outside& a, const LaneLoop::Outside& b) {
  Order order;
  const auto meet = [&](std::int64_t i, std::int64_t j) { (j <= i ? order.a_first : order.b_first) = true; };
  const auto n = static_cast<std::int64_t>(a.place.size());
  if (a.running && b.running) {
    const std::int64_t ahead = std::int64_t{a.place[0]} - std::int64_t{b.place[0]};  // j = i + ahead
    if (ahead > -n && ahead < n) meet(0, ahead);
  } else if (a.fixed && b.fixed) {
    if (a.place[0] == b.place[0]) order = {true, true};
  } else {
    std::unordered_map<std::uint32_t, std::pair<std::int64_t, std::int64_t>> terms;  // of b: the first and the last
    for (std::int64_t j = 0; j < n; ++j)
      terms.try_emplace(b.place[static_cast<std::size_t>(j)], j, j).first->second.second = j;
    for (std::int64_t i = 0; i < n; ++i) {
      const auto there = terms.find(a.place[static_cast<std::size_t>(i)]);
      if (there == terms.end()) continue;
      meet(i, there->second.first);
      meet(i, there->second.second);
    }
  }
  return order;
}

/// Makes a loop of a range of steps.
class Rolling {
 public:
  Rolling(const LaneProgram& program, const LaneRange& range, const std::vector<std::uint32_t>& moved)
      : p_(program),
        range_(range),
        moved_(moved),
        of_step_(range.period),
        gradient_(range.period),
        uses_(range.period) {}

  LaneLoop run() {
    collect_operands();
    loop_.slots = static_cast<std::uint32_t>(loop_.outside.size());
    for (std::size_t j = 0; j + 1 < range_.period; ++j) of_step_[j] = loop_.slots++;
    loop_.arrived = loop_.slots++;
    for (std::size_t j = 0; j + 1 < range_.period; ++j) add_forward(j);
    add_backward();
    loop_.terms = static_cast<std::uint32_t>(range_.terms);
    find_once();
    find_pairs();
    set_in_order();
    return std::move(loop_);
  }

 private:
  using Work = LaneLoop::Work;
  using Op = Work::Op;

  struct Operand {
    bool inside, wanted;
    std::uint32_t step, slot;  // step: of the term, if it is inside
  };

  const LaneStep& step(std::size_t j, std::size_t term = 0) const {
    return p_.steps[range_.first + term * range_.period + j];
  }
  bool own(std::uint32_t place) const {
    return place >= p_.inputs + range_.first && place < p_.inputs + range_.first + range_.period;
  }
  std::size_t arity(const LaneStep& s) const {
    if (s.op == LaneStep::Op::call) return static_cast<std::size_t>(p_.calls[s.a].arity);
    return s.op == LaneStep::Op::neg ? 1 : 2;
  }
  std::uint32_t place(std::size_t j, std::size_t k, std::size_t term = 0) const {
    const LaneStep& s = step(j, term);
    if (s.op == LaneStep::Op::call) return p_.calls[s.a].x[k];
    return k == 0 ? s.a : s.b;
  }
  bool wanted(std::size_t j, std::size_t k) const {
    const LaneStep& s = step(j);
    if (s.op == LaneStep::Op::call) return s.to_a && p_.calls[s.a].wanted[k];
    return k == 0 ? s.to_a : s.to_b;
  }
  bool is_sum(std::size_t j, std::size_t k) const { return j + 1 == range_.period && (k == 0) == range_.sum_is_a; }

  void collect_operands() {
    for (std::size_t j = 0; j < range_.period; ++j) {
      for (std::size_t k = 0; k < arity(step(j)); ++k) {
        if (is_sum(j, k)) continue;
        Operand& x = operands_[j * 4 + k];
        x = {own(place(j, k)), wanted(j, k), 0, 0};
        if (x.inside) {
          x.step = static_cast<std::uint32_t>(place(j, k) - p_.inputs - range_.first);
          uses_[x.step] += x.wanted;
          continue;
        }
        LaneLoop::Outside from{{}, true, true};
        from.place.reserve(range_.terms);
        for (std::size_t t = 0; t < range_.terms; ++t) {
          const std::uint32_t now = moved_[place(j, k, t)];
          from.fixed = from.fixed && (t == 0 || now == from.place[0]);
          from.running = from.running && (t == 0 || now == from.place[0] + t);
          from.place.push_back(now);
        }
        const auto known = std::find_if(loop_.outside.begin(), loop_.outside.end(),
                                        [&](const LaneLoop::Outside& o) { return o.place == from.place; });
        x.slot = static_cast<std::uint32_t>(known - loop_.outside.begin());
        if (known == loop_.outside.end()) loop_.outside.push_back(std::move(from));
      }
    }
    const std::size_t last = range_.period - 1, side = range_.sum_is_a ? 0 : 1;
    loop_.start = moved_[place(last, side)];
    loop_.to_start = wanted(last, side);
  }

  std::uint32_t slot(std::size_t j, std::size_t k) const {
    const Operand& x = operands_[j * 4 + k];
    return x.inside ? of_step_[x.step] : x.slot;
  }

  void add_forward(std::size_t j) {
    const LaneStep& s = step(j);
    if (s.op != LaneStep::Op::call) {
      const std::uint32_t a = slot(j, 0);
      loop_.forward.push_back({static_cast<Op>(s.op), false, false, of_step_[j], a, arity(s) > 1 ? slot(j, 1) : a, 0});
      return;
    }
    LaneLoop::Call call{p_.calls[s.a].run, p_.calls[s.a].arity, {}, {}, of_step_[j]};
    for (std::size_t k = 0; k < arity(s); ++k) {
      call.x[k] = slot(j, k);
      call.dx[k] = loop_.slots++;
    }
    call_of_[j] = static_cast<std::uint32_t>(loop_.calls.size());
    loop_.forward.push_back({Op::call, false, false, of_step_[j], call_of_[j], 0, 0});
    loop_.calls.push_back(call);
  }

  /// What brings a step its gradient: at first a piece of work that is not done yet, since it may go on as it is.
  struct Gradient {
    bool there = false, in_slot = false;
    Work work{};
  };

  static Work pass(std::uint32_t slot, bool minus) { return {Op::pass, false, minus, 0, 0, 0, slot}; }

  /// An operand gets its gradient by `work`.
  void give(std::size_t j, std::size_t k, Work work) {
    const Operand& x = operands_[j * 4 + k];
    if (!x.wanted) return;
    if (!x.inside) {
      loop_.sent.push_back({work, x.slot});
      return;
    }
    Gradient& g = gradient_[x.step];
    if (uses_[x.step] == (work.op == Op::twice ? 2 : 1)) {
      g = {true, false, work};
      return;
    }
    work.adds = g.there;
    work.to = g.there ? g.work.g : loop_.slots++;
    loop_.backward.push_back(work);
    g = {true, true, pass(work.to, false)};
  }

  /// The gradient of step j, ready to be read more than once.
  Work settled(std::size_t j) {
    Gradient& g = gradient_[j];
    if (g.work.op == Op::pass) return g.work;
    g.work.to = loop_.slots++;
    loop_.backward.push_back(g.work);
    return g.work = pass(g.work.to, false);
  }

  void add_backward() {
    const std::size_t last = range_.period - 1, side = range_.sum_is_a ? 1 : 0;
    loop_.term = slot(last, side);
    give(last, side, pass(loop_.arrived, false));
    for (std::size_t j = last; j-- > 0;) {
      if (!gradient_[j].there) continue;
      const LaneStep& s = step(j);
      if (s.op == LaneStep::Op::add || s.op == LaneStep::Op::sub || s.op == LaneStep::Op::neg) {
        const bool both = arity(s) > 1 && wanted(j, 0) && wanted(j, 1);
        // Twice something counts as two uses, which what it passes through may not have.
        Work on = both || gradient_[j].work.op == Op::twice ? settled(j) : gradient_[j].work;
        on.minus = on.minus != (s.op == LaneStep::Op::neg);
        give(j, 0, on);
        on.minus = on.minus != (s.op == LaneStep::Op::sub);
        if (arity(s) > 1) give(j, 1, on);
        continue;
      }
      const Work g = settled(j);
      const auto by = [&](Op op, std::uint32_t a, std::uint32_t b = 0) {
        return Work{op, false, g.minus, 0, a, b, g.g};
      };
      if (s.op == LaneStep::Op::call) {
        for (const int k : p_.calls[s.a].order()) {
          const auto at = static_cast<std::size_t>(k);
          if (k < p_.calls[s.a].arity) give(j, at, by(Op::product, loop_.calls[call_of_[j]].dx[at]));
        }
        continue;
      }
      const std::uint32_t a = slot(j, 0), b = slot(j, 1);
      if (s.op == LaneStep::Op::div) {
        give(j, 0, by(Op::over, b));
        give(j, 1, by(Op::under, of_step_[j], b));
      } else if (a == b) {
        give(j, 0, by(Op::twice, a));
      } else {
        give(j, 0, by(Op::product, b));
        give(j, 1, by(Op::product, a));
      }
    }
  }

  /// What hangs on nothing that differs from term to term is computed once.
  void find_once() {
    std::vector<bool> fixed(loop_.slots);
    std::vector<int> writers(loop_.slots);
    for (std::size_t k = 0; k < loop_.outside.size(); ++k) fixed[k] = loop_.outside[k].fixed;
    fixed[loop_.arrived] = true;
    for (const LaneLoop::Work& work : loop_.backward) ++writers[work.to];
    const auto move_from = [&](std::vector<LaneLoop::Work>& all, bool backward) {
      std::erase_if(all, [&](const LaneLoop::Work& work) {
        const bool one = work.op == Op::pass;
        const bool same = work.op != Op::call && work.to != loop_.term && writers[work.to] <= 1 &&
                          (backward ? fixed[work.g] && (one || fixed[work.a]) && (work.op != Op::under || fixed[work.b])
                                    : fixed[work.a] && fixed[work.b]);
        if (!same) return false;
        fixed[work.to] = true;
        loop_.once.push_back(work);
        return true;
      });
    };
    move_from(loop_.forward, false);
    move_from(loop_.backward, true);
  }

  /// What one other step alone reads is not laid down in between.
  void find_pairs() {
    std::vector<int> reads(loop_.slots);
    const auto note = [&](const Work& w) {
      ++reads[w.a];
      ++reads[w.b];
      ++reads[w.g];
    };
    for (const auto* all : {&loop_.once, &loop_.backward})
      for (const Work& w : *all) note(w);
    for (const LaneLoop::Sent& sent : loop_.sent) note(sent.work);
    for (const LaneLoop::Call& call : loop_.calls)
      for (int k = 0; k < call.arity; ++k) ++reads[call.x[static_cast<std::size_t>(k)]];
    const auto simple = [](const Work& w) { return w.op == Op::add || w.op == Op::sub || w.op == Op::mul; };
    for (const Work& w : loop_.forward) {
      if (w.op == Op::call) continue;
      ++reads[w.a];
      if (w.op != Op::neg) ++reads[w.b];
    }
    std::vector<Work> made;
    for (Work second : loop_.forward) {
      const auto first = std::find_if(made.begin(), made.end(), [&](const Work& w) {
        return simple(w) && reads[w.to] == 1 && w.to != loop_.term && (w.to == second.a || w.to == second.b);
      });
      if (simple(second) && first != made.end()) {
        using Second = Work::Second;
        const bool is_a = first->to == second.a;
        const Second how = second.op == Op::add   ? Second::add
                           : second.op == Op::mul ? Second::mul
                           : is_a                 ? Second::sub
                                                  : Second::sub_from;
        second = {Op::pair, false, false, second.to, first->a, first->b, is_a ? second.b : second.a, first->op, how};
        made.erase(first);
      }
      made.push_back(second);
    }
    loop_.forward = std::move(made);
  }

  void set_in_order() {
    std::vector<LaneLoop::Sent> left = std::move(loop_.sent), sorted;
    const std::vector<LaneLoop::Sent> as_they_come = left;
    const auto must_precede = [&](const LaneLoop::Sent& x, std::size_t at_x, const LaneLoop::Sent& y,
                                  std::size_t at_y) {
      const auto &of_x = loop_.outside[x.outside], &of_y = loop_.outside[y.outside];
      return at_x < at_y ? order_of(of_x, of_y).a_first : order_of(of_y, of_x).b_first;
    };
    const std::size_t n = left.size();
    std::vector<bool> precedes(n * n), done(n);
    for (std::size_t x = 0; x < n; ++x)
      for (std::size_t y = 0; y < n; ++y)
        if (x != y) precedes[x * n + y] = must_precede(left[x], x, left[y], y);
    while (sorted.size() < n) {
      std::size_t next = 0;
      const auto is_free = [&](std::size_t y) {
        for (std::size_t x = 0; x < n; ++x)
          if (!done[x] && precedes[x * n + y]) return false;
        return !done[y];
      };
      while (next < n && !is_free(next)) ++next;
      if (next == n) break;
      done[next] = true;
      sorted.push_back(left[next]);
    }
    loop_.by_term = sorted.size() < n;
    loop_.sent = loop_.by_term ? as_they_come : sorted;
  }

  const LaneProgram& p_;
  const LaneRange range_;
  const std::vector<std::uint32_t>& moved_;  // where each place of the program lies now
  LaneLoop loop_{};
  std::array<Operand, 4 * most_steps> operands_{};
  std::array<std::uint32_t, most_steps> call_of_{};
  std::vector<std::uint32_t> of_step_;  // slots of the term's steps
  std::vector<Gradient> gradient_;
  std::vector<int> uses_;
};

}  // namespace

void LaneProgram::find_loops() {
  const std::vector<LaneRange> ranges = find_sums(*this);
  if (ranges.empty()) return;
  // Where places lie when each range is one step.
  std::vector<std::uint32_t> moved(places());
  std::uint32_t next = 0;
  auto range = ranges.begin();
  for (std::uint32_t place = 0; place < moved.size(); ++place) {
    moved[place] = next;
    const std::size_t s = place - inputs;
    while (range != ranges.end() && place >= inputs && s >= range->end()) ++range;
    const bool inside = place >= inputs && range != ranges.end() && s >= range->first && s + 1 < range->end();
    if (!inside) ++next;
  }
  const std::vector<LaneStep> old_steps = steps;
  const std::vector<LaneCall> old_calls = calls;
  std::vector<LaneLoop> made;
  for (const LaneRange& r : ranges) {
    made.push_back(Rolling(*this, r, moved).run());
    made.back().is_result = result == inputs + r.end() - 1 && r.terms <= most_kept;
  }
  steps.clear();
  calls.clear();
  loops = std::move(made);
  derivatives = 0;
  range = ranges.begin();
  for (std::size_t s = 0; s < old_steps.size(); ++s) {
    if (range != ranges.end() && s >= range->first) {
      const auto k = static_cast<std::uint32_t>(range - ranges.begin());
      steps.push_back({LaneStep::Op::loop, true, false, false, false, k, 0});
      s = range->end() - 1;
      ++range;
      continue;
    }
    LaneStep step = old_steps[s];
    if (step.op == LaneStep::Op::call) {
      LaneCall call = old_calls[step.a];
      for (std::size_t k = 0; k < static_cast<std::size_t>(call.arity); ++k) call.x[k] = moved[call.x[k]];
      call.derivatives = std::exchange(derivatives, derivatives + static_cast<std::uint32_t>(call.arity));
      step.a = static_cast<std::uint32_t>(calls.size());
      calls.push_back(call);
    } else {
      step.a = moved[step.a];
      step.b = moved[step.b];
    }
    steps.push_back(step);
  }
  for (LaneGuard& guard : guards) {
    guard.a = moved[guard.a];
    guard.b = moved[guard.b];
  }
  result = moved[result];
}

}  // namespace ebb::kernels
