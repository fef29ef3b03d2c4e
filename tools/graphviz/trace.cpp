#include "trace.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <functional>
#include <numeric>

namespace ebb::graphviz {

namespace {

double root_mean_square(const std::vector<double>& values) {
  const double squares = std::inner_product(values.begin(), values.end(), values.begin(), 0.0);
  return values.empty() ? 0 : std::sqrt(squares / static_cast<double>(values.size()));
}

// Empty if there is little to tell apart: few numbers, all equal, or not finite.
std::vector<int> histogram_of(const std::vector<double>& values) {
  if (values.size() < 8) return {};
  const auto [low, high] = std::minmax_element(values.begin(), values.end());
  if (!std::isfinite(*high - *low) || *low == *high) return {};
  constexpr std::size_t bins = 9;
  std::array<double, bins> counts{};
  for (const double v : values) {
    const double place = (v - *low) / (*high - *low) * static_cast<double>(bins);
    if (std::isfinite(place)) counts[std::min(static_cast<std::size_t>(place), bins - 1)] += 1;
  }
  const double most = *std::max_element(counts.begin(), counts.end());
  std::vector<int> heights;
  for (const double n : counts) heights.push_back(static_cast<int>(std::lround(7 * std::sqrt(n / most))));
  return heights;
}

Record describe(const Node& node, bool observed) {
  Record r;
  r.id = node.id, r.kind = node.kind, r.scalar = node.scalar;
  r.op = node.op, r.formula = node.formula, r.rule = node.rule, r.name = node.name;
  r.dtype = to_string(node.dtype);
  r.scope = node.scope, r.scope_kind = node.scope_kind, r.scope_call = node.scope_call;
  r.shape.assign(node.shape.begin(), node.shape.end());
  for (std::size_t i = 0; i < node.inputs.size(); ++i) {
    Operand operand;
    operand.id = node.inputs[i];
    if (i < node.operands.size()) operand.name = node.operands[i];
    if (i < node.numbers.size()) operand.number = node.numbers[i];
    if (observed && i < node.contributions.size()) operand.contribution = node.contributions[i];
    r.operands.push_back(std::move(operand));
  }
  r.order = node.order, r.uses = node.uses;
  if (!observed) return r;
  if (node.scalar) {
    r.has_value = true;
    r.value = node.value_number;
  } else if (node.value.defined()) {
    const std::vector<double> values = node.value.to_vector<double>();
    r.has_value = true;
    r.value = values.size() == 1 ? values[0] : root_mean_square(values);
    r.histogram = histogram_of(values);
  }
  if (node.differentiated && node.scalar) {
    r.gradient = {Gradient::State::known, node.gradient_number};
  } else if (node.differentiated && node.gradient.defined()) {
    r.gradient = {Gradient::State::known, root_mean_square(node.gradient.to_vector<double>())};
  }
  return r;
}

}  // namespace

std::int64_t Record::size() const {
  return std::accumulate(shape.begin(), shape.end(), std::int64_t{1}, std::multiplies<>());
}

std::size_t Trace::at(std::uint32_t id) const {
  const auto place = std::lower_bound(records.begin(), records.end(), id,
                                      [](const Record& r, std::uint32_t wanted) { return r.id < wanted; });
  return static_cast<std::size_t>(place - records.begin());
}

std::vector<bool> ancestors(const Trace& trace, std::uint32_t id) {
  std::vector<bool> found(trace.records.size());
  if (id == 0) return found;
  found[trace.at(id)] = true;
  for (std::size_t i = trace.records.size(); i-- > 0;) {
    if (!found[i]) continue;
    for (const Operand& o : trace.records[i].operands)
      if (o.id != 0) found[trace.at(o.id)] = true;
  }
  return found;
}

Trace trace(const std::vector<Node>& nodes, bool observed) {
  Trace t;
  t.observed = observed;
  for (const Node& node : nodes) {
    t.records.push_back(describe(node, observed));
    t.differentiated = t.differentiated || node.differentiated || node.order != 0;
    if (node.order == 1) t.root = node.id;
  }
  const std::vector<bool> below_loss = ancestors(t, t.root);
  for (std::size_t i = 0; i < nodes.size(); ++i) {
    Record& r = t.records[i];
    for (const Operand& o : r.operands)
      if (o.id != 0) ++t.records[t.at(o.id)].users;
    const auto wants = [&](const Operand& o) { return o.id != 0 && t[o.id].wants_gradient; };
    const bool passes = !r.rule.empty() || nodes[i].differentiated;
    r.wants_gradient =
        r.is_op() ? passes && std::any_of(r.operands.begin(), r.operands.end(), wants) : r.kind != Node::Kind::constant;
    // The scalar lane takes no step for a gradient of 0; that it is 0 is known all the same.
    const bool passed_by = t.differentiated && r.scalar && below_loss[i] && r.wants_gradient;
    if (passed_by && observed) r.gradient = {Gradient::State::known, nodes[i].gradient_number};
    const bool missed = t.differentiated && !nodes[i].differentiated && r.order == 0 && !passed_by;
    if (missed || !r.wants_gradient) r.gradient = {Gradient::State::unneeded, no_number};
    for (const Node::Saved& saved : nodes[i].saved) {
      const auto names_it = [&](const Operand& o) { return o.name == saved.what; };
      const auto operand = std::find_if(r.operands.begin(), r.operands.end(), names_it);
      const bool lives_on =
          operand != r.operands.end() && operand->id != 0 && t[operand->id].kind == Node::Kind::parameter;
      if (!lives_on) r.saved.push_back(saved);
    }
  }
  if (!t.differentiated) {
    const auto last = std::find_if(t.records.rbegin(), t.records.rend(),
                                   [](const Record& r) { return r.is_op() && r.size() == 1 && r.wants_gradient; });
    if (last != t.records.rend()) t.root = last->id;
  }
  return t;
}

double median_gradient(const Trace& trace) {
  std::vector<double> sizes;
  for (const Record& r : trace.records) {
    const double size = std::abs(r.gradient.size);
    if (r.is_op() && r.gradient.state == Gradient::State::known && std::isfinite(size) && size > 0)
      sizes.push_back(size);
  }
  if (sizes.empty()) return 0;
  const auto middle = sizes.begin() + std::ssize(sizes) / 2;
  std::nth_element(sizes.begin(), middle, sizes.end());
  return *middle;
}

}  // namespace ebb::graphviz
