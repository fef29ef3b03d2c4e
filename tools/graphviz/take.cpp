// From a graph to a Trace: each node's words are kept once, its numbers as the few that pictures show.
#include "text.h"
#include "trace.h"

#include "../../autograd/error.h"

#include <fmt/format.h>

#include <array>
#include <cmath>
#include <unordered_set>

namespace ebb::graphviz {

namespace {

/// What a picture says of many numbers.
struct Numbers {
  double rms = 0, zeros = no_number, dead = no_number;
  std::vector<std::uint8_t> histogram;
};

template <class T> double root_mean_square(std::span<const T> values) {
  double squares = 0;
  for (const T v : values) squares += static_cast<double>(v) * static_cast<double>(v);
  return values.empty() ? 0 : std::sqrt(squares / static_cast<double>(values.size()));
}

// Empty if there is little to tell apart: few numbers, all equal, or not finite.
template <class T> std::vector<std::uint8_t> histogram_of(std::span<const T> values) {
  if (values.size() < 8) return {};
  const auto [least, most] = std::minmax_element(values.begin(), values.end());
  const double low = static_cast<double>(*least), high = static_cast<double>(*most);
  if (!std::isfinite(high - low) || low == high) return {};
  constexpr std::size_t bins = 9;
  std::array<double, bins> counts{};
  for (const T v : values) {
    const double place = (static_cast<double>(v) - low) / (high - low) * static_cast<double>(bins);
    if (std::isfinite(place)) counts[std::min(static_cast<std::size_t>(place), bins - 1)] += 1;
  }
  const double fullest = *std::max_element(counts.begin(), counts.end());
  std::vector<std::uint8_t> heights;
  for (const double n : counts) heights.push_back(static_cast<std::uint8_t>(std::lround(7 * std::sqrt(n / fullest))));
  return heights;
}

template <class T> Numbers numbers_of(std::span<const T> values, const Shape& shape) {
  Numbers n;
  n.rms = root_mean_square(values);
  if (values.empty()) return n;
  n.zeros = static_cast<double>(std::count(values.begin(), values.end(), T{0})) / static_cast<double>(values.size());
  if (n.zeros > 0 && shape.rank() > 1 && shape[0] > 1) {
    const std::size_t places = values.size() / static_cast<std::size_t>(shape[0]);
    std::vector<bool> lives(places);
    for (std::size_t i = 0; i < values.size(); ++i)
      if (values[i] != T{0}) lives[i % places] = true;
    n.dead = static_cast<double>(std::count(lives.begin(), lives.end(), false)) / static_cast<double>(places);
  } else if (shape.rank() > 1 && shape[0] > 1) {
    n.dead = 0;
  }
  n.histogram = histogram_of(values);
  return n;
}

template <class F> auto with_values(const Tensor& t, F&& f) {
  const auto as = [&]<class T>(T) {
    const auto values = t.data<T>();
    return f(std::span<const T>(values.begin(), values.end()));
  };
  return t.dtype() == f32 ? as(float{}) : t.dtype() == f64 ? as(double{}) : as(std::int64_t{});
}

/// Keeps each text once in a trace.  Most nodes say what one of the few before them said.
class Texts {
 public:
  std::string_view keep(Trace& trace, const std::string& text) {
    if (text.empty()) return {};
    const std::size_t ends = static_cast<unsigned char>(text.front()) * 31U + static_cast<unsigned char>(text.back());
    std::string_view& recent = recent_[(text.size() * 7 + ends) % recent_.size()];
    if (recent == text) return recent;
    const auto found = all_.find(text);
    return recent = found != all_.end() ? *found : *all_.insert(trace.keep(std::string_view(text))).first;
  }

 private:
  std::unordered_set<std::string_view> all_;
  std::array<std::string_view, 128> recent_;
};

class Taking {
 public:
  explicit Taking(bool observed, std::size_t nodes) {
    trace_.observed = observed;
    trace_.records.reserve(nodes);
    places_.reserve(nodes + 1);
    gradients_.reserve(nodes);
  }

  void add(const Node& node) {
    Record r;
    r.id = node.id, r.kind = node.kind, r.scalar = node.scalar;
    r.op = keep(node.op), r.formula = keep(node.formula), r.rule = keep(node.rule), r.name = keep(node.name);
    r.dtype = to_string(node.dtype);
    r.scope = keep(node.scope), r.scope_kind = keep(node.scope_kind), r.scope_call = node.scope_call;
    r.shape = trace_.keep(std::span<const std::int64_t>(node.shape.begin(), node.shape.end()));
    r.order = node.order, r.uses = node.uses;
    r.pointwise = node.pointwise, r.backward_of = node.backward_of;
    take_operands(node, r);
    if (trace_.observed) take_numbers(node, r);
    const auto wants = [&](const Operand& o) { return o.id != 0 && record(o.id).wants_gradient; };
    const bool passes = !r.rule.empty() || node.differentiated;
    r.wants_gradient =
        r.is_op() ? passes && std::any_of(r.operands.begin(), r.operands.end(), wants) : r.kind != Node::Kind::constant;
    take_saved(node, r);
    if (r.is_op()) ++trace_.ops;
    if (r.is_op() && r.order != 0) ++trace_.steps;
    if (r.kind == Node::Kind::parameter) trace_.parameters += r.size();
    trace_.differentiated = trace_.differentiated || node.differentiated || node.order != 0;
    if (node.order == 1) trace_.root = node.id;
    gradients_.push_back({node.gradient_number, node.differentiated});
    places_.resize(node.id + std::size_t{1});
    places_[node.id] = static_cast<std::uint32_t>(trace_.records.size());
    trace_.records.push_back(r);
  }

  Trace finish() {
    trace_.index();
    const std::vector<bool> below_loss = ancestors(trace_, trace_.root);
    count_contributions();
    for (std::size_t i = 0; i < trace_.records.size(); ++i) {
      Record& r = trace_.records[i];
      // The scalar lane takes no step for a gradient of 0; that it is 0 is known all the same.
      const bool passed_by = trace_.differentiated && r.scalar && below_loss[i] && r.wants_gradient;
      if (passed_by && trace_.observed) r.gradient = {Gradient::State::known, gradients_[i].number};
      const bool missed = trace_.differentiated && !gradients_[i].arrived && r.order == 0 && !passed_by;
      if (missed || !r.wants_gradient) r.gradient = {Gradient::State::unneeded, no_number};
    }
    if (!trace_.differentiated) {
      const auto last = std::find_if(trace_.records.rbegin(), trace_.records.rend(),
                                     [](const Record& r) { return r.is_op() && r.size() == 1 && r.wants_gradient; });
      if (last != trace_.records.rend()) trace_.root = last->id;
    }
    trace_.timed = trace_.observed;
    return std::move(trace_);
  }

 private:
  Record& record(std::uint32_t id) { return trace_.records[places_[id]]; }

  std::string_view keep(const std::string& text) { return texts_.keep(trace_, text); }

  // The scalar lane adds up gradients without counting them, also those of elements of a tensor.
  void count_contributions() {
    std::vector<std::uint32_t> sent(trace_.records.size());
    for (const Record& r : trace_.records)
      for (const Operand& o : r.operands)
        if (o.id != 0 && !std::isnan(o.contribution)) ++sent[places_[o.id]];
    for (std::size_t i = 0; i < sent.size(); ++i) trace_.records[i].uses = std::max(trace_.records[i].uses, sent[i]);
  }

  void take_operands(const Node& node, Record& r) {
    operands_.clear();
    for (std::size_t i = 0; i < node.inputs.size(); ++i) {
      Operand operand;
      operand.id = node.inputs[i];
      if (i < node.operands.size()) operand.name = keep(node.operands[i]);
      if (i < node.numbers.size()) operand.number = node.numbers[i];
      if (trace_.observed && i < node.contributions.size()) operand.contribution = node.contributions[i];
      const bool one_number = operand.id != 0 && record(operand.id).scalar && i < node.sent_numbers.size();
      if (trace_.observed && one_number) operand.contribution = node.sent_numbers[i];
      if (operand.id != 0) ++record(operand.id).users;
      operands_.push_back(operand);
    }
    r.operands = trace_.keep(operands_);
  }

  void take_numbers(const Node& node, Record& r) {
    r.forward_seconds = node.forward_seconds, r.backward_seconds = node.backward_seconds;
    if (node.scalar) {
      r.has_value = true;
      r.value = node.value_number;
      if (node.differentiated) r.gradient = {Gradient::State::known, node.gradient_number};
      return;
    }
    if (node.value.defined()) {
      const Numbers n = with_values(node.value, [&](auto values) { return numbers_of(values, node.shape); });
      r.has_value = true;
      r.value = node.shape.size() == 1 ? node.value.to(f64).item() : n.rms;
      r.zeros = n.zeros, r.dead = n.dead;
      r.histogram = trace_.keep(n.histogram);
    }
    if (node.differentiated && node.gradient.defined())
      r.gradient = {Gradient::State::known,
                    with_values(node.gradient, [](auto values) { return root_mean_square(values); })};
  }

  // Parameters live on anyway.
  void take_saved(const Node& node, Record& r) {
    std::vector<Saved> saved;
    for (const Node::Saved& s : node.saved) {
      const auto names_it = [&](const Operand& o) { return o.name == s.what; };
      const auto operand = std::find_if(r.operands.begin(), r.operands.end(), names_it);
      const bool lives_on =
          operand != r.operands.end() && operand->id != 0 && record(operand->id).kind == Node::Kind::parameter;
      if (!lives_on) saved.push_back({keep(s.what), s.bytes});
    }
    r.saved = trace_.keep(saved);
  }

  Trace trace_;
  struct Arrived {
    double number = 0;  // of the scalar lane
    bool arrived = false;
  };

  Texts texts_;
  std::vector<std::uint32_t> places_;  // by id
  std::vector<Arrived> gradients_;     // by place
  std::vector<Operand> operands_;
};

}  // namespace

Trace trace(const std::vector<Node>& nodes, bool observed) {
  Taking taking(observed, nodes.size());
  for (const Node& node : nodes) taking.add(node);
  return taking.finish();
}

Trace trace(const Graph& graph) {
  if (const auto size = static_cast<std::int64_t>(graph.size()); size > most_nodes)  // before anything is taken
    throw UsageError(fmt::format(
        "graphviz: {} nodes are more than a picture can be made of ({})\n  help: draw the graph of one sample, or of "
        "fewer steps",
        thousands(size), thousands(most_nodes)));
  Taking taking(graph.observing(), graph.size());
  graph.each_node([&](const Node& node) { taking.add(node); });
  return taking.finish();
}

}  // namespace ebb::graphviz
