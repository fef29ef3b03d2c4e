// What is used where, and the gradients that flow back from there.
#include "plan.h"

#include <algorithm>
#include <cmath>

namespace ebb::graphviz {

std::vector<Link> links(const Trace& trace) {
  std::vector<Link> all;
  for (const Record& r : trace.records) {
    const std::size_t first = all.size();
    for (std::size_t i = 0; i < r.operands.size(); ++i) {
      const std::uint32_t id = r.operands[i].id;
      if (id == 0 || !trace[id].is_op()) continue;
      const auto times = static_cast<int>(r.operands[i].times);
      const auto same = [&](const Link& link) { return link.from == id; };
      const auto known = std::find_if(all.begin() + static_cast<std::ptrdiff_t>(first), all.end(), same);
      if (known == all.end()) all.push_back({id, r.id, i, times});
      else known->times += times;
    }
  }
  return all;
}

Gradient flow(const Trace& trace, const Record& op, std::size_t operand) {
  using State = Gradient::State;
  const Operand& o = op.operands[operand];
  if (o.id == 0 || !trace[o.id].wants_gradient || op.gradient.state == State::unneeded)
    return {State::unneeded, no_number};
  if (!std::isnan(o.contribution)) return {State::known, o.contribution};
  if (op.scalar && op.gradient.size == 0) return {State::known, 0};
  const auto sends = [](const Operand& other) { return !std::isnan(other.contribution); };
  const Gradient& sum = trace[o.id].gradient;
  if (std::any_of(op.operands.begin(), op.operands.end(), sends) && !std::isnan(sum.size))
    return {State::unneeded, no_number};  // it sends none this way
  if (sum.state == State::known && trace[o.id].users == 1) return sum;
  return {};
}

Gradient flow(const Trace& trace, const Link& link) {
  const Record& op = trace[link.to];
  Gradient largest = flow(trace, op, link.operand);
  for (std::size_t i = 0; i < op.operands.size(); ++i) {
    if (op.operands[i].id != link.from) continue;
    const Gradient other = flow(trace, op, i);
    if (other.state == Gradient::State::known && !(std::abs(other.size) <= std::abs(largest.size))) largest = other;
  }
  return largest;
}

}  // namespace ebb::graphviz
