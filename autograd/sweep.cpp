// Backward: one loop over the list from the loss down to the beginning.
#include "error.h"
#include "list.h"
#include "ops.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <map>
#include <memory>
#include <new>
#include <optional>

namespace ebb::detail {

namespace {

/// The operands and the output of a node as its gradient rules see them: whole if kept, else shape and type alone.
/// Borrows from the list; lives shorter than the node.
class Operands {
 public:
  Operands(List& list, const TensorNode& node) : count_(node.count + 1) {
    if (count_ > room) {
      many_ = std::make_unique<std::byte[]>(count_ * (sizeof(TensorImpl) + sizeof(Tensor)) + alignof(TensorImpl));
      void* place = many_.get();
      std::size_t space = count_ * sizeof(TensorImpl) + alignof(TensorImpl);
      heads_ = static_cast<std::byte*>(std::align(alignof(TensorImpl), count_ * sizeof(TensorImpl), place, space));
      tensors_ = reinterpret_cast<Tensor*>(heads_ + count_ * sizeof(TensorImpl));
    }
    for (std::uint32_t i = 0; i < node.count; ++i) {
      if (node.kept[i] != nullptr) {
        ::new (tensors_ + i) Tensor(share(node.kept[i]));
      } else {
        const TensorNode& input = list.tensor(node.input[i]);
        shadow(i, input.shape, input.dtype, input.kind == Node::Kind::constant ? 0 : node.input[i], list.graph());
      }
    }
    if (node.holds_output) ::new (tensors_ + node.count) Tensor(share(node.output));
    else shadow(node.count, node.shape, node.dtype, node.id, list.graph());
  }
  ~Operands() { std::destroy_n(tensors_, count_); }
  Operands(const Operands&) = delete;
  Operands& operator=(const Operands&) = delete;

  const Tensor* in() const { return tensors_; }
  const Tensor& output() const { return tensors_[count_ - 1]; }

 private:
  static constexpr std::size_t room = 4;

  // A head without numbers.  Its count of references never falls to nothing, so no handle frees it.
  void shadow(std::uint32_t i, const Shape& shape, DType dtype, std::uint32_t id, std::uint32_t graph) {
    auto* const head = ::new (heads_ + i * sizeof(TensorImpl)) TensorImpl;
    head->refs.store(2, std::memory_order_relaxed);
    head->shape = shape;
    head->dtype = dtype;
    head->node = id;
    head->graph = id == 0 ? 0 : graph;
    ::new (tensors_ + i) Tensor(Access::tensor(head));
  }

  std::size_t count_;
  alignas(TensorImpl) std::byte few_heads_[room * sizeof(TensorImpl)];
  alignas(Tensor) std::byte few_tensors_[room * sizeof(Tensor)];
  std::unique_ptr<std::byte[]> many_;
  std::byte* heads_ = few_heads_;
  Tensor* tensors_ = reinterpret_cast<Tensor*>(few_tensors_);
};

void add_to(Tensor& sum, const Tensor& more) {
  if (impl(sum).refs.load(std::memory_order_relaxed) == 1 && impl(sum).owner == nullptr) {
    dispatch_floating(sum.dtype(), [&]<class T>(T) {
      T* const to = write<T>(sum);
      const T* const from = read<T>(more);
      const std::int64_t n = sum.size();
      for (std::int64_t i = 0; i < n; ++i) to[i] += from[i];
    });
  } else {
    sum = sum + more;
  }
}

void must_fit(const TensorNode& node, const Tensor& gradient, const char* from) {
  if (gradient.shape() == node.shape && gradient.dtype() == node.dtype) return;
  throw Error(fmt::format("backward of {}: the gradient is {} {} where the value is {} {}; the op's rule is wrong",
                          from, to_string(gradient.dtype()), to_string(gradient.shape()), to_string(node.dtype),
                          to_string(node.shape)));
}

/// A gradient that arrives: the first is stored, not added, and needs no zero-filled buffer.
void receive(TensorNode& node, Tensor gradient, bool observing) {
  if (node.gradient == nullptr) {
    node.gradient = Access::take(gradient);
    return;
  }
  Tensor sum = Access::tensor(std::exchange(node.gradient, nullptr));
  if (observing) sum = sum + gradient;  // the contributions stay as they are
  else add_to(sum, gradient);
  node.gradient = Access::take(sum);
}

// The whole of the scalar lane's backward: entries lo < id <= hi.  An op most often uses the result of the one before it;
// what flows there stays in a register, since the way through memory and back is longer than the arithmetic.
void sweep_entries(const Entry* entry, double* adjoint, std::uint32_t hi, std::uint32_t lo) {
  double g = adjoint[hi];
  for (std::uint32_t id = hi; id > lo;) {
    const Entry& e = entry[id];
    const std::uint32_t before = --id;
    double next = adjoint[before];
    if (g != 0) {  // else nothing arrived: an infinite derivative of what was not chosen must not make it NaN
      if (e.a == before) next += g * e.da;
      else adjoint[e.a] += g * e.da;
      if (e.b == before) next += g * e.db;
      else adjoint[e.b] += g * e.db;
      adjoint[before] = next;
    }
    g = next;
  }
}

/// Adds to a tensor's gradient in place: zeros are made once, however many parts of the tensor were read.
template <class Add> void receive_part(TensorNode& node, Add&& add) {
  Tensor gradient =
      node.gradient == nullptr ? zeros(node.shape, node.dtype) : Access::tensor(std::exchange(node.gradient, nullptr));
  add(gradient);
  node.gradient = Access::take(gradient);
}

void receive_element(TensorNode& node, std::int64_t place, double g) {
  receive_part(node, [&](Tensor& gradient) {
    if (node.dtype == f64) static_cast<double*>(writable(gradient))[place] += g;
    else static_cast<float*>(writable(gradient))[place] += static_cast<float>(g);
  });
}

void backward_of(List& list, TensorNode& node) {
  const Tensor dy = share(node.gradient);
  const std::int64_t started = list.observing ? std::chrono::steady_clock::now().time_since_epoch().count() : 0;
  Observation* const seen = list.observing ? &list.observations[list.entry[node.id].a] : nullptr;
  if (seen != nullptr) seen->contributions.assign(node.count, std::numeric_limits<double>::quiet_NaN());
  if (is_stack(node)) {
    dispatch_floating(node.dtype, [&]<class T>(T) {
      const T* const g = read<T>(dy);
      for (std::uint32_t i = 0; i < node.count; ++i) {
        list.adjoint[node.input[i]] += static_cast<double>(g[i]);
        if (seen != nullptr) seen->contributions[i] = std::abs(static_cast<double>(g[i]));
      }
    });
  } else {
    const Operands operands(list, node);
    for (std::uint32_t i = 0; i < node.count; ++i) {
      TensorNode& input = list.tensor(node.input[i]);
      if (input.kind == Node::Kind::constant) continue;
      if (node.op->adds_to == static_cast<int>(i) && seen == nullptr) {
        receive_part(input, [&](Tensor& sum) {
          node.op->add_gradient(node.self, sum, dy, operands.in(), static_cast<int>(node.count));
        });
        continue;
      }
      Tensor dx = node.op->gradient(node.self, static_cast<int>(i), dy, operands.in(), static_cast<int>(node.count),
                                    operands.output());
      if (!dx.defined()) continue;
      must_fit(input, dx, node.op->name);
      if (seen != nullptr) {
        seen->contributions[i] = root_mean_square(dx);
        ++list.observations[list.entry[input.id].a].uses;
      }
      receive(input, std::move(dx), list.observing);
    }
  }
  if (seen != nullptr) seen->backward_seconds = seconds_since(started);
}

/// Scalar ops hold on to what they have, but one that a backward went through without retain is as gone as a tensor
/// op.  Only a further backward asks, so what the last one reached is noted when the next begins.
void note_what_is_gone(List& list) {
  if (list.retained || list.root == 0) return;
  list.gone.resize(list.root + std::size_t{1});
  for (std::uint32_t id = 1; id <= list.root; ++id) {
    const bool op = list.code[id] >= first_rule_code || list.code[id] == element_code;
    if (!op || list.adjoint[id] == 0 || list.gone[id]) continue;
    list.gone[id] = true;
    ++list.let_go_count;
  }
}

/// Whether a new backward from `from` would pass through what an earlier one let go.
bool meets_what_is_gone(List& list, std::uint32_t from) {
  std::vector<bool> reached(from + std::size_t{1});
  reached[from] = true;
  for (std::uint32_t id = from; id > 0; --id) {
    if (!reached[id]) continue;
    if (list.is_tensor(id)) {
      TensorNode& node = list.tensor(id);
      if (node.let_go) return true;
      for (std::uint32_t i = 0; i < node.count; ++i) reached[node.input[i]] = true;
    } else {
      if (id < list.gone.size() && list.gone[id]) return true;
      reached[list.entry[id].a] = reached[list.entry[id].b] = true;
    }
  }
  return false;
}

std::string with_commas(std::uint32_t n) {
  return n < 1000 ? fmt::format("{}", n) : fmt::format("{},{:03}", with_commas(n / 1000), n % 1000);
}

}  // namespace

void List::backward(std::uint32_t from, bool retain, bool to_parameters) {
  if (let_go_root != 0) note_what_is_gone(*this);
  if (let_go_root != 0 && meets_what_is_gone(*this, from)) {
    const std::string name = name_of(let_go_root);
    throw GraphError(
        fmt::format("backward(): already run on this graph ({}{} nodes let go)\n"
                    "  help: backward({{.retain = true}}) the first time, or a new Graph for each step",
                    name.empty() ? "" : fmt::format("root \"{}\", ", name), with_commas(let_go_count)));
  }
  const Pause pause;
  for (std::size_t i = 0; i < tensor_count; ++i) {
    TensorNode& node = tensors[i];
    node.reached = false;
    if (node.gradient != nullptr) Access::tensor(std::exchange(node.gradient, nullptr));
    if (observing) observations[i].uses = 0;
  }
  std::memset(adjoint, 0, (std::size_t{from} + 1) * sizeof(double));
  root = from;
  if (is_tensor(from)) receive(tensor(from), ones(tensor(from).shape, tensor(from).dtype), observing);
  else adjoint[from] = 1;
  retained = retain;
  if (!retain) let_go_root = from;

  auto station = static_cast<std::size_t>(std::upper_bound(stations.begin(), stations.end(), from) - stations.begin());
  std::uint32_t id = from;
  while (true) {
    const std::uint32_t stop = station == 0 ? 0 : stations[station - 1];
    sweep_entries(entry, adjoint, id, stop);
    if (station == 0) break;
    --station;
    id = stop - 1;
    if (code[stop] == element_code) {
      if (adjoint[stop] != 0)
        receive_element(tensor(entry[stop].a), static_cast<std::int64_t>(entry[stop].da), adjoint[stop]);
      continue;
    }
    TensorNode& node = tensor(stop);
    if (node.gradient == nullptr) continue;
    node.reached = true;
    if (node.kind != Node::Kind::op) continue;
    backward_of(*this, node);
    if (!retain) {
      let_go_of(node, observing);
      node.let_go = true;
      ++let_go_count;
    }
    if (!observing) Access::tensor(std::exchange(node.gradient, nullptr));
  }

  // Parameters take their gradients only now that nothing can fail any more.
  for (std::size_t i = 0; i < tensor_count; ++i) {
    TensorNode& node = tensors[i];
    if (node.kind != Node::Kind::parameter) continue;
    if (node.gradient != nullptr && to_parameters) {
      parameters[node.parameter - 1]->add_gradient(share(node.gradient));
      if (!observing) Access::tensor(std::exchange(node.gradient, nullptr));
    }
    // With its numbers let go, a step can change them in place; if the graph meets it again, it gets a new leaf.
    if (!retain && !observing && node.output != nullptr) Access::tensor(std::exchange(node.output, nullptr));
  }
}

// ---- gradients that are recorded -------------------------------------------------------------------------------

std::vector<std::pair<Scalar, Tensor>> List::recorded_sweep(std::uint32_t from, const std::pair<Scalar, Tensor>& dy,
                                                            std::uint32_t floor, const std::vector<std::uint32_t>& by) {
  const auto wanted = [&](std::uint32_t id) { return std::find(by.begin(), by.end(), id) != by.end(); };
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

  std::vector<std::optional<Scalar>> scalar(span + 1);
  std::vector<Tensor> whole(span + 1);
  std::map<std::uint32_t, std::pair<std::optional<Scalar>, Tensor>> below;  // operands at or under the floor
  std::map<std::uint32_t, std::vector<std::pair<std::int64_t, Scalar>>> elements;
  const auto scalar_at = [&](std::uint32_t id) -> std::optional<Scalar>& {
    return id > floor ? scalar[id - floor] : below[id].first;
  };
  const auto tensor_at = [&](std::uint32_t id) -> Tensor& { return id > floor ? whole[id - floor] : below[id].second; };
  const auto give = [&](std::uint32_t id, const Scalar& g) {
    std::optional<Scalar>& sum = scalar_at(id);
    sum = sum ? *sum + g : g;
  };
  const auto give_tensor = [&](std::uint32_t id, const Tensor& g) {
    Tensor& sum = tensor_at(id);
    sum = sum.defined() ? sum + g : g;
  };
  // What single elements sent is put together once, when all of it has arrived.
  const auto gather_elements = [&](std::uint32_t id) {
    const auto found = elements.find(id);
    if (found == elements.end()) return;
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

  if (is_tensor(from)) give_tensor(from, dy.second);
  else give(from, dy.first);
  for (std::uint32_t id = from; id > floor; --id) {
    if (!depends[id - floor]) continue;
    const std::uint16_t kind = code[id];
    if (kind == tensor_code) {
      gather_elements(id);
      const Tensor g = whole[id - floor];
      TensorNode& node = tensor(id);
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
        if (impl(again).graph != graph()) continue;  // it came out constant
        std::vector<std::uint32_t> inputs(node.input, node.input + node.count);
        if (impl(again).node <= before) {  // it came out as one of its operands
          if (matters(impl(again).node)) give_tensor(impl(again).node, sum_to(g, again.shape()));
          continue;
        }
        const auto arrived = recorded_sweep(impl(again).node, {0, sum_to(g, again.shape())}, before, inputs);
        for (std::uint32_t i = 0; i < node.count; ++i) {
          const bool first = std::find(inputs.begin(), inputs.begin() + i, inputs[i]) == inputs.begin() + i;
          if (first && matters(inputs[i]) && arrived[i].second.defined()) give_tensor(inputs[i], arrived[i].second);
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
    for (int i = 0; i < rule.arity; ++i)
      if (matters(ids[i])) give(ids[i], dx[i]);
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

void must_be_single(const char* asked, const Shape& shape) {
  if (shape.size() == 1) return;
  throw GraphError(
      fmt::format("{}: the tensor has shape {}; only a single number has a gradient to start from\n"
                  "  help: sum() or mean() it first",
                  asked, to_string(shape)));
}

std::uint32_t id_in(const List& list, std::uint32_t graph, std::uint32_t id, const char* what) {
  List& home = list_of(graph, what);
  if (&home != &list) throw GraphError(fmt::format("{}: the value belongs to another graph", what));
  return id;
}
std::uint32_t id_in(const List& list, const Scalar& s, const char* what) {
  return id_in(list, Access::graph(s), Access::id(s), what);
}
std::uint32_t id_in(const List& list, const Tensor& t, const char* what) {
  if (!t.defined()) throw UsageError(fmt::format("{}: the tensor holds nothing", what));
  return id_in(list, impl(t).graph, impl(t).node, what);
}

/// The entry itself, or all leaves of the same Parameter.
std::vector<std::uint32_t> leaves_like(List& list, std::uint32_t id) {
  if (!list.is_tensor(id) || list.tensor(id).kind != Node::Kind::parameter) return {id};
  const auto& state = list.parameters[list.tensor(id).parameter - 1];
  std::vector<std::uint32_t> all;
  for (std::size_t i = 0; i < list.tensor_count; ++i) {
    const TensorNode& node = list.tensors[i];
    if (node.kind == Node::Kind::parameter && list.parameters[node.parameter - 1] == state) all.push_back(node.id);
  }
  return all;
}

template <class Y>
std::vector<std::pair<Scalar, Tensor>> gradients(List& list, const Y& y, const std::vector<std::uint32_t>& by) {
  if (tape != &list)
    throw GraphError(
        "gradient(): the graph is paused, and gradients are recorded\n"
        "  help: let the Pause go out of scope first");
  std::pair<Scalar, Tensor> seed{1, Tensor()};
  std::uint32_t from = 0;
  if constexpr (std::is_same_v<Y, Tensor>) {
    must_be_single("gradient()", y.shape());
    if (impl(y).graph != 0) from = id_in(list, y, "gradient()");
    seed.second = ones(y.shape(), y.dtype());
  } else if (Access::graph(y) != 0) {
    from = id_in(list, y, "gradient()");
  }
  // What was made after y has no path to it; a Parameter may have met this graph as several leaves.
  std::vector<std::uint32_t> places;
  std::vector<std::size_t> owner;
  for (std::size_t i = 0; i < by.size(); ++i) {
    for (const std::uint32_t id : leaves_like(list, by[i])) {
      if (id > from) continue;
      places.push_back(id);
      owner.push_back(i);
    }
  }
  std::vector<std::pair<Scalar, Tensor>> result(by.size());
  if (!places.empty()) {
    const auto arrived = list.recorded_sweep(from, seed, 0, places);
    for (std::size_t k = 0; k < places.size(); ++k) {
      auto& [scalar, whole] = result[owner[k]];
      if (!list.is_tensor(places[k])) scalar = arrived[k].first;
      else if (arrived[k].second.defined()) whole = whole.defined() ? whole + arrived[k].second : arrived[k].second;
    }
  }
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

void Scalar::backward(const BackwardOptions& options) const {
  list_of(graph_of(place_), "backward()").backward(id_of(place_), options.retain);
}

double Scalar::grad() const {
  const List& list = list_of(graph_of(place_), "grad()");
  if (list.root == 0) throw GraphError("grad(): backward() has not run on this graph yet");
  return id_of(place_) <= list.root ? list.adjoint[id_of(place_)] : 0;
}

void Tensor::backward(const BackwardOptions& options) const {
  if (!defined()) throw UsageError("backward(): the tensor holds nothing");
  List& list = list_of(impl(*this).graph, "backward()");
  must_be_single("backward()", shape());
  list.backward(impl(*this).node, options.retain);
}

Tensor Tensor::grad() const {
  if (!defined()) throw UsageError("grad(): the tensor holds nothing");
  List& list = list_of(impl(*this).graph, "grad()");
  if (list.root == 0) throw GraphError("grad(): backward() has not run on this graph yet");
  const TensorNode& node = list.tensor(impl(*this).node);
  if (node.gradient != nullptr) return share(node.gradient);
  if (node.kind == Node::Kind::op && !list.observing) {
    throw GraphError(
        fmt::format("grad(): the gradient of an intermediate {} {} was not kept\n"
                    "  help: graph.observe() before backward(), or make it a variable",
                    node.op->name, to_string(node.shape)));
  }
  if (node.kind == Node::Kind::parameter && !list.observing) {
    throw GraphError("grad(): a Parameter's gradient went to the Parameter itself\n  help: ask it for grad()");
  }
  return zeros(node.shape, node.dtype);
}

}  // namespace ebb
