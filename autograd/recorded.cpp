// Gradients that are recorded, so that they can be differentiated again: one loop from y down that writes new entries
// above it.
#include "error.h"
#include "list.h"
#include "operands.h"
#include "ops.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <optional>
#include <unordered_map>

namespace ebb::detail {

namespace {

/// While it lives, what is recorded is noted as the backward of one entry after the other, and in that entry's scope.
/// A sweep through what one op is composed of is all that op's.
class Retracing {
 public:
  explicit Retracing(List& list)
      : list_(list),
        outermost_(!std::exchange(list.retracing_now, true)),
        scope_(List::marked(list.marks, list.size())) {}
  ~Retracing() {
    if (outermost_) list_.mark(list_.origins, 0);
    if (outermost_) list_.retracing_now = false;
    list_.mark(list_.marks, scope_);
  }
  Retracing(const Retracing&) = delete;
  Retracing& operator=(const Retracing&) = delete;

  /// What comes now is the backward of this entry.
  void at(std::uint32_t id) {
    at_ = id;
    if (outermost_) list_.mark(list_.origins, id);
    list_.mark(list_.marks, List::marked(list_.marks, id));
  }
  /// The sum of two gradients that arrive at an entry.
  template <class G> G sum(std::uint32_t id, const G& a, const G& b) {
    if (!outermost_) return a + b;
    const std::uint32_t before = at_;
    at(id);
    G sum = a + b;
    at(before);
    return sum;
  }

 private:
  List& list_;
  bool outermost_;
  std::uint32_t scope_, at_ = 0;
};

}  // namespace

std::vector<std::pair<Scalar, Tensor>> List::recorded_sweep(std::uint32_t from, const std::pair<Scalar, Tensor>& dy,
                                                            std::uint32_t floor, const std::vector<std::uint32_t>& by) {
  std::vector<std::uint32_t> sorted = by;
  std::sort(sorted.begin(), sorted.end());
  const auto wanted = [&](std::uint32_t id) { return std::binary_search(sorted.begin(), sorted.end(), id); };
  const std::size_t span = from - floor;
  std::vector<bool> depends(span + 1);
  const auto matters = [&](std::uint32_t id) { return id > floor ? bool(depends[id - floor]) : id != 0 && wanted(id); };
  for (std::uint32_t id = floor + 1; id <= from; ++id) {
    bool any = wanted(id);
    if (is_tensor(id)) {
      const TensorNode& node = tensor(id);
      for (std::uint32_t i = 0; i < node.count && !any; ++i) any = matters(node.input[i]);
    } else {
      any = any || matters(entry[id].a) || matters(entry[id].b);
    }
    depends[id - floor] = any;
  }

  const bool watching = !hooks.empty();
  std::vector<std::optional<Scalar>> scalar(span + 1);
  std::vector<Tensor> whole(span + 1);
  std::map<std::uint32_t, std::pair<std::optional<Scalar>, Tensor>> below;  // operands at or under the floor
  std::map<std::uint32_t, std::vector<std::pair<std::int64_t, Scalar>>> elements;
  const auto scalar_at = [&](std::uint32_t id) -> std::optional<Scalar>& {
    return id > floor ? scalar[id - floor] : below[id].first;
  };
  const auto tensor_at = [&](std::uint32_t id) -> Tensor& { return id > floor ? whole[id - floor] : below[id].second; };
  Retracing retracing(*this);
  const auto give = [&](std::uint32_t id, const Scalar& g) {
    std::optional<Scalar>& sum = scalar_at(id);
    sum = sum ? retracing.sum(id, *sum, g) : g;
  };
  const auto give_tensor = [&](std::uint32_t id, const Tensor& g) {
    Tensor& sum = tensor_at(id);
    sum = sum.defined() ? retracing.sum(id, sum, g) : g;
  };
  // What single elements sent is put together once, when all of it has arrived.
  const auto gather_elements = [&](std::uint32_t id) {
    const auto found = elements.find(id);
    if (found == elements.end()) return;
    retracing.at(id);
    const TensorNode& node = tensor(id);
    std::vector<Scalar> g;
    std::vector<std::int64_t> places;
    for (const auto& [place, part] : found->second) {
      g.push_back(part);
      places.push_back(place);
    }
    const auto n = static_cast<std::int64_t>(g.size());
    const Tensor spread =
        scatter_add(zeros({node.shape.size()}, node.dtype), ebb::from(places, {n}), stack(g, node.dtype), 0);
    give_tensor(id, reshape(spread, node.shape));
    elements.erase(id);
  };

  // Each once; the Scalars that a checkpoint used are named by a stack of them.
  const auto operands_of = [&](const TensorNode& node) {
    std::vector<std::uint32_t> ids;
    for (std::uint32_t i = 0; i < node.count; ++i) {
      ids.push_back(node.input[i]);
      const TensorNode& input = tensor(node.input[i]);
      if (node.op->gradient == nullptr && is_stack(input))
        ids.insert(ids.end(), input.input, input.input + input.count);
    }
    std::sort(ids.begin(), ids.end());
    ids.erase(std::unique(ids.begin(), ids.end()), ids.end());
    return ids;
  };

  if (is_tensor(from)) give_tensor(from, dy.second);
  else give(from, dy.first);
  for (std::uint32_t id = from; id > floor; --id) {
    if (!depends[id - floor]) continue;
    retracing.at(id);
    const std::uint16_t kind = code[id];
    if (kind == tensor_code) {
      gather_elements(id);
      TensorNode& node = tensor(id);
      if (node.watched && whole[id - floor].defined()) {
        whole[id - floor] = watched(id, whole[id - floor]);
        retracing.at(id);  // what it called may have opened scopes
      }
      const Tensor g = whole[id - floor];
      if (!g.defined() || node.kind != Node::Kind::op) continue;
      if (!wanted(id)) whole[id - floor] = Tensor();
      if (is_stack(node)) {
        const Tensor flat = reshape(g, {g.size()});
        for (std::uint32_t i = 0; i < node.count; ++i)
          if (matters(node.input[i])) give(node.input[i], flat(i));
        continue;
      }
      if (node.let_go) {
        throw GraphError(
            fmt::format("gradient(): backward() let go of what it needs of {}\n"
                        "  help: take gradients first, or backward({{.retain = true}})",
                        node.op->name));
      }
      const Operands operands(*this, node);
      if (node.op->compose != nullptr) {
        const std::uint32_t before = size() - 1;
        const Tensor again = node.op->compose(node.self, operands.in(), static_cast<int>(node.count));
        retracing.at(id);
        if (impl(again).graph != graph()) continue;  // it came out constant
        if (impl(again).node <= before) {            // it came out as one of its operands
          if (matters(impl(again).node)) give_tensor(impl(again).node, sum_to(g, again.shape()));
          continue;
        }
        const std::vector<std::uint32_t> below_it = operands_of(node);
        const auto arrived = recorded_sweep(impl(again).node, {0, sum_to(g, again.shape())}, before, below_it);
        for (std::size_t i = 0; i < below_it.size(); ++i) {
          if (!matters(below_it[i])) continue;
          if (!is_tensor(below_it[i])) give(below_it[i], arrived[i].first);
          else if (arrived[i].second.defined()) give_tensor(below_it[i], arrived[i].second);
        }
        continue;
      }
      for (std::uint32_t i = 0; i < node.count; ++i) {
        if (!matters(node.input[i])) continue;
        const Tensor dx = node.op->gradient(node.self, static_cast<int>(i), g, operands.in(),
                                            static_cast<int>(node.count), operands.output());
        if (!dx.defined()) continue;
        must_fit(tensor(node.input[i]), dx, node.op->name);
        give_tensor(node.input[i], dx);
      }
      continue;
    }
    if (watching && scalar[id - floor]) {
      scalar[id - floor] = watched(id, *scalar[id - floor]);
      retracing.at(id);
    }
    const std::optional<Scalar> g = scalar[id - floor];
    if (!g || kind == leaf_code || kind == part_code) continue;
    if (kind == element_code) {
      elements[entry[id].a].emplace_back(static_cast<std::int64_t>(entry[id].da), *g);
      continue;
    }
    const ScalarRule& rule = scalar_rule(kind);
    std::uint32_t ids[4] = {};
    Scalar operand[4], dx[4];
    int n = 0;
    const auto add = [&](std::uint32_t a, double partial) {
      if (code[a] == dead_code) buried_inside();
      ids[n] = a;
      operand[n++] = a == 0 ? Scalar(partial) : Access::scalar(value[a], place_of(graph(), a));
    };
    const auto side = [&](std::uint32_t a, double partial) {
      if (a != 0 && code[a] == part_code) {
        const Entry part = entry[a];
        add(part.a, part.da);
        add(part.b, part.db);
      } else {
        add(a, partial);
      }
    };
    const Entry e = entry[id];
    side(e.a, e.da);
    if (rule.arity > 1) side(e.b, e.db);
    rule.gradient(*g, operand, Access::scalar(value[id], place_of(graph(), id)), dx);
    for (int i = 0; i < rule.arity; ++i) {
      if (!matters(ids[i])) continue;
      // Where no gradient arrives, none goes on, be the local derivative infinite.
      const bool none = g->value() == 0 && !std::isfinite(dx[i].value());
      give(ids[i], none ? Scalar(0) : dx[i]);
    }
  }

  std::vector<std::pair<Scalar, Tensor>> result;
  result.reserve(by.size());
  for (const std::uint32_t id : by) {
    if (is_tensor(id)) gather_elements(id);
    if (is_tensor(id)) result.emplace_back(0, tensor_at(id));
    else result.emplace_back(scalar_at(id).value_or(Scalar(0)), Tensor());
  }
  return result;
}

void composed_gradient(const Scalar& dy, const Scalar* x, int n, Scalar (*compose)(const Scalar*), Scalar* out) {
  List& list = *recording_list();
  const std::uint32_t before = list.size() - 1;
  const Scalar again = compose(x);
  std::fill_n(out, n, Scalar(0));
  if (Access::id(again) == 0) return;
  std::vector<std::uint32_t> by;
  for (int i = 0; i < n; ++i) by.push_back(Access::id(x[i]));
  if (Access::id(again) <= before) {  // it came out as one of its operands
    const auto same = std::find(by.begin(), by.end(), Access::id(again));
    if (same != by.end()) out[same - by.begin()] = dy;
    return;
  }
  const auto parts = list.recorded_sweep(Access::id(again), {dy, Tensor()}, before, by);
  for (std::size_t i = 0; i < by.size(); ++i)
    if (by[i] != 0 && std::find(by.begin(), by.begin() + static_cast<std::ptrdiff_t>(i), by[i]) ==
                          by.begin() + static_cast<std::ptrdiff_t>(i))
      out[i] = parts[i].first;
}

}  // namespace ebb::detail

namespace ebb {

using namespace detail;

namespace {

/// The Parameter that an entry is a leaf of; nullptr if of none.
const ParameterState* parameter_of(List& list, std::uint32_t id) {
  if (!list.is_tensor(id) || list.tensor(id).kind != Node::Kind::parameter) return nullptr;
  return list.parameters[list.tensor(id).parameter - 1].get();
}

template <class Y>
std::vector<std::pair<Scalar, Tensor>> gradients(List& list, const Y& y, const std::vector<std::uint32_t>& by) {
  if (tape != &list && list.going_back)
    throw GraphError(
        "gradient(): called by a function that backward() of the same graph calls\n"
        "  help: vjp(f, x, v) gives gradients there");
  if (tape != &list)
    throw GraphError(
        "gradient(): the graph is paused, and gradients are recorded\n"
        "  help: let the Pause go out of scope first");
  std::pair<Scalar, Tensor> seed{1, Tensor()};
  std::uint32_t from = 0;
  if constexpr (std::is_same_v<Y, Tensor>) {
    must_be_single("gradient()", y.shape());
    if (recorded_in(impl(y).graph)) from = id_in(list, y, "gradient()");
    seed.second = ones(y.shape(), y.dtype());
  } else if (recorded_in(Access::graph(y))) {
    from = id_in(list, y, "gradient()");
  }
  // What was made after y has no path to it; a Parameter may have met this graph as several leaves.
  std::unordered_map<const ParameterState*, std::vector<std::uint32_t>> leaves;
  for (const std::uint32_t id : by)
    if (const ParameterState* const parameter = parameter_of(list, id)) leaves[parameter];
  for (std::size_t i = 0; i < list.parameters.size() && !leaves.empty(); ++i) {
    const auto wanted = leaves.find(list.parameters[i].get());
    if (wanted != leaves.end()) wanted->second.push_back(list.parameter_leaves[i]);
  }
  std::vector<std::uint32_t> places;
  std::vector<std::size_t> owner;
  for (std::size_t i = 0; i < by.size(); ++i) {
    const ParameterState* const parameter = parameter_of(list, by[i]);
    for (const std::uint32_t id : parameter != nullptr ? leaves[parameter] : std::vector{by[i]}) {
      if (id > from) continue;
      places.push_back(id);
      owner.push_back(i);
    }
  }
  if (list.checking) list.check_values(from);
  std::vector<std::pair<Scalar, Tensor>> result(by.size());
  if (!places.empty()) {
    const auto arrived = list.recorded_sweep(from, seed, 0, places);
    Retracing retracing(list);
    for (std::size_t k = 0; k < places.size(); ++k) {
      auto& [scalar, whole] = result[owner[k]];
      if (!list.is_tensor(places[k])) scalar = arrived[k].first;
      else if (arrived[k].second.defined())
        whole = whole.defined() ? retracing.sum(places[k], whole, arrived[k].second) : arrived[k].second;
    }
  }
  if (list.checking && list.size() > 1) list.check_values(list.size() - 1, /*outcome=*/false);
  for (std::size_t i = 0; i < by.size(); ++i)
    if (list.is_tensor(by[i]) && !result[i].second.defined())
      result[i].second = zeros(list.tensor(by[i]).shape, list.tensor(by[i]).dtype);
  return result;
}

template <class X, class Y> std::vector<X> gradients_by(List& list, const Y& y, const std::vector<X>& x) {
  std::vector<std::uint32_t> by;
  for (const X& each : x) by.push_back(id_in(list, each, "gradient() by"));
  std::vector<X> all;
  for (auto& [scalar, whole] : gradients(list, y, by)) {
    if constexpr (std::is_same_v<X, Scalar>) all.push_back(scalar);
    else all.push_back(whole);
  }
  return all;
}

}  // namespace

Tensor Graph::gradient(const Tensor& y, const Tensor& x) { return gradients_by<Tensor>(*list_, y, {x})[0]; }
Scalar Graph::gradient(const Scalar& y, const Scalar& x) { return gradients_by<Scalar>(*list_, y, {x})[0]; }
Tensor Graph::gradient(const Scalar& y, const Tensor& x) { return gradients_by<Tensor>(*list_, y, {x})[0]; }
Scalar Graph::gradient(const Tensor& y, const Scalar& x) { return gradients_by<Scalar>(*list_, y, {x})[0]; }
std::vector<Tensor> Graph::gradient(const Tensor& y, const std::vector<Tensor>& x) {
  return gradients_by(*list_, y, x);
}
std::vector<Scalar> Graph::gradient(const Scalar& y, const std::vector<Scalar>& x) {
  return gradients_by(*list_, y, x);
}
std::vector<Tensor> Graph::gradient(const Scalar& y, const std::vector<Tensor>& x) {
  return gradients_by(*list_, y, x);
}
std::vector<Scalar> Graph::gradient(const Tensor& y, const std::vector<Scalar>& x) {
  return gradients_by(*list_, y, x);
}

}  // namespace ebb
