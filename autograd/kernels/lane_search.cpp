#include "lane_search.h"

#include <array>
#include <cstdint>
#include <optional>
#include <utility>

namespace ebb::kernels {

namespace {

constexpr std::size_t fewest_steps = 4, fewest_terms = 8;

class Search {
 public:
  explicit Search(const LaneProgram& program) : p_(program), last_use_(program.steps.size()) {
    for (std::size_t s = 0; s < p_.steps.size(); ++s)
      for_operands(s, [&](std::uint32_t place, bool) { use(place, s); });
    for (const LaneGuard& guard : p_.guards) {
      use(guard.a, never);
      use(guard.b, never);
    }
    use(p_.result, never);
  }

  std::vector<LaneRange> run() const {
    std::vector<LaneRange> found;
    std::size_t from = 0;
    for (std::size_t s = 0; s < p_.steps.size(); ++s) {
      const std::optional<LaneRange> range = ending_second(s, from);
      if (!range) continue;
      found.push_back(*range);
      from = range->end();
      s = from - 1;
    }
    return found;
  }

 private:
  static constexpr std::size_t never = ~std::size_t{0};

  void use(std::uint32_t place, std::size_t by) {
    if (is_step(place)) last_use_[place - p_.inputs] = by;
  }
  bool is_step(std::uint32_t place) const { return place >= p_.inputs && place - p_.inputs < p_.steps.size(); }
  template <class F> void for_operands(std::size_t s, F f) const {
    const LaneStep& step = p_.steps[s];
    if (step.op == LaneStep::Op::call) {
      const LaneCall& call = p_.calls[step.a];
      for (std::size_t k = 0; k < static_cast<std::size_t>(call.arity); ++k) f(call.x[k], call.wanted[k] && step.to_a);
    } else {
      f(step.a, step.to_a);
      if (step.op != LaneStep::Op::neg) f(step.b, step.to_b);
    }
  }

  /// The longest run of terms whose second ends with step s, from step `from` on.
  std::optional<LaneRange> ending_second(std::size_t s, std::size_t from) const {
    const LaneStep& step = p_.steps[s];
    if (step.op != LaneStep::Op::add || step.a == step.b) return {};
    for (const bool sum_is_a : {true, false}) {
      const std::uint32_t sum = sum_is_a ? step.a : step.b, term = sum_is_a ? step.b : step.a;
      if (!is_step(sum) || !is_step(term) || sum - p_.inputs >= s || !(sum_is_a ? step.to_b : step.to_a)) continue;
      const std::size_t period = s - (sum - p_.inputs);
      if (period < fewest_steps || period > LaneLoop::most_steps || s + 1 < from + period) continue;
      for (const std::size_t before : {period, std::size_t{0}}) {
        if (s + 1 < from + period + before) continue;
        LaneRange range{s + 1 - period - before, period, 1, sum_is_a};
        if (!is_term(range, 0) || !starts(range)) continue;
        while (range.end() + period <= p_.steps.size() && is_term(range, range.terms)) ++range.terms;
        // The sums before the last are for the loop alone.
        for (std::size_t k = 1; k < range.terms; ++k)
          if (last_use_[range.first + k * period - 1] != range.first + (k + 1) * period - 1) range.terms = k;
        if (range.terms >= fewest_terms) return range;
      }
    }
    return {};
  }

  /// The sum's own gradient comes at no term's place.
  bool starts(const LaneRange& range) const {
    const LaneStep& sum = p_.steps[range.first + range.period - 1];
    const std::uint32_t start = range.sum_is_a ? sum.a : sum.b;
    bool alone = true;
    for (std::size_t s = range.first; s + 1 < range.first + range.period; ++s)
      for_operands(s, [&](std::uint32_t place, bool wanted) { alone = alone && !(wanted && place == start); });
    return alone && sum.op == LaneStep::Op::add && sum.a != sum.b &&
           !(is_step(start) && start - p_.inputs >= range.first);
  }

  /// Whether the k-th term is computed as the first, out of what comes before the loop.
  bool is_term(const LaneRange& range, std::size_t k) const {
    const std::size_t begin = range.first + k * range.period, end = begin + range.period;
    const auto own = [&](std::uint32_t place, std::size_t of) {
      return place >= p_.inputs + of && place < p_.inputs + of + range.period;
    };
    for (std::size_t j = 0; j < range.period; ++j) {
      const LaneStep &here = p_.steps[begin + j], &first = p_.steps[range.first + j];
      if (here.op != first.op) return false;
      const bool last = j + 1 == range.period;
      if (!last && last_use_[begin + j] >= end && last_use_[begin + j] != 0) return false;
      if (here.op == LaneStep::Op::call && (p_.calls[here.a].run != p_.calls[first.a].run || here.to_a != first.to_a))
        return false;
      std::array<std::pair<std::uint32_t, bool>, 4> x{};
      std::size_t n = 0, i = 0;
      for_operands(begin + j, [&](std::uint32_t place, bool wanted) { x[n++] = {place, wanted}; });
      bool same = true;
      for_operands(range.first + j, [&](std::uint32_t place, bool wanted) {
        const auto [mine, mine_wanted] = x[i];
        if (last && (i == 0) == range.sum_is_a) {
          same = same && (k == 0 || mine == p_.inputs + begin - 1);
        } else {
          const bool outside = !is_step(mine) || mine - p_.inputs < range.first;
          same = same && mine_wanted == wanted && outside != own(mine, begin) &&
                 own(mine, begin) == own(place, range.first) && (outside || mine - begin == place - range.first);
        }
        if (last && (i == 0) != range.sum_is_a) same = same && own(mine, begin);
        ++i;
      });
      if (!same) return false;
    }
    return true;
  }

  const LaneProgram& p_;
  std::vector<std::size_t> last_use_;  // the step that uses each last
};

}  // namespace

std::vector<LaneRange> find_sums(const LaneProgram& program) { return Search(program).run(); }

}  // namespace ebb::kernels
