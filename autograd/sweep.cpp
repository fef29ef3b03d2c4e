// Backward: one loop over the list from the loss down to the beginning.
#include "deferred.h"
#include "error.h"
#include "launch.h"
#include "list.h"
#include "operands.h"
#include "ops.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>

namespace ebb::detail {

namespace {

void add_to(Tensor& sum, const Tensor& more) {
  const bool own = capturing == nullptr || impl(sum).captured;
  if (own && impl(sum).refs.load(std::memory_order_relaxed) == 1 && impl(sum).owner == nullptr) {
    dispatch_floating(sum.dtype(), [&]<class T>(T) {
      T* const to = write<T>(sum);
      const auto add = [](T a, T b) { return a + b; };
      launch_map(to, sum.size(), add, static_cast<const T*>(to), read<T>(more));
    });
  } else {
    sum = sum + more;
  }
}

/// A gradient that arrives: the first is stored, not added, and needs no zero-filled buffer.
void receive(TensorNode& node, Tensor gradient) {
  if (node.gradient == nullptr) {
    node.gradient = Access::take(gradient);
    return;
  }
  Tensor sum = Access::tensor(std::exchange(node.gradient, nullptr));
  add_to(sum, gradient);
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

/// What came back to the elements of a tensor that were read as Scalars, among the entries up to `last`.
void receive_reads(List& list, TensorNode& node, std::uint32_t last) {
  std::uint32_t read = node.last_read;
  // Where nothing came back, nothing goes on: the tensor may be another loss's, and let go of.
  while (read != 0 && (read > last || list.adjoint[read] == 0)) read = List::read_before(list.entry[read]);
  if (read == 0) return;
  receive_part(node, [&](Tensor& gradient) {
    dispatch_floating(node.dtype, [&]<class T>(T) {
      T* const to = static_cast<T*>(writable(gradient));
      for (; read != 0; read = List::read_before(list.entry[read]))
        to[static_cast<std::int64_t>(list.entry[read].da)] += static_cast<T>(list.adjoint[read]);
    });
  });
}

/// The gradients of an op that kept nothing but how to compute its value: that is recorded once more, gone through, and
/// forgotten.  What the value was computed from lies below it in the list, so the gradients arrive where they belong.
void replay(List& list, TensorNode& node, const Tensor& dy) {
  struct Above {
    List& list;
    std::uint32_t floor;
    bool observing;
    std::uint32_t let_go_count;
    Arena::Mark memory;
    bool deferring;
    ~Above() {
      list.bury(floor + 1);
      list.arena.rewind(memory);
      list.observing = observing;
      list.let_go_count = let_go_count;
      list.deferring = deferring;
    }
  } above{list,
          list.size() - 1,
          std::exchange(list.observing, false),
          list.let_go_count,
          list.arena.mark(),
          std::exchange(list.deferring, false)};  // what each operand gets must be there when this is over

  Tensor again;
  {
    const Recording recording(list);
    again = node.op->compose(node.self, nullptr, static_cast<int>(node.count));
  }
  if (impl(again).graph != list.graph()) return;
  const std::uint32_t from = impl(again).node;
  receive(list.tensor(from), dy);
  if (from <= above.floor) return;
  std::memset(list.adjoint + above.floor + 1, 0, (from - above.floor) * sizeof(double));
  list.sweep(from, above.floor, /*retain=*/false);
  for (std::uint32_t id = above.floor + 1; id <= from; ++id) {
    if (list.code[id] == element_code && list.entry[id].a <= above.floor && list.adjoint[id] != 0)
      receive_part(list.tensor(list.entry[id].a), [&](Tensor& gradient) {
        dispatch_floating(gradient.dtype(), [&]<class T>(T) {
          static_cast<T*>(writable(gradient))[static_cast<std::int64_t>(list.entry[id].da)] +=
              static_cast<T>(list.adjoint[id]);
        });
      });
    if (list.is_tensor(id) && list.tensor(id).kind == Node::Kind::parameter && list.tensor(id).gradient != nullptr)
      changed_since(*list.parameters[list.tensor(id).parameter - 1], node.op->name);
  }
}

/// Notes what was sent: the tensor itself, which costs nothing.  Small parts of one tensor send gradients as large as all of
/// it, and together would need the square of its memory: of these it takes the sizes at once.
void keep(Observation::Sent& sent, const Tensor& dx, const Tensor& dy) {
  constexpr std::int64_t most = 4;
  if (dx.size() <= most * std::max(dy.size(), most)) {
    sent.whole = dx;
  } else {
    sent.size = root_mean_square(dx);
    sent.numbers = survey(dx);
  }
}

/// replay(), and what each operand got from it.
void replay_observed(List& list, TensorNode& node, const Tensor& dy, Observation& seen) {
  const auto gradient_of = [&](std::uint32_t i) {
    TensorImpl* const arrived = list.tensor(node.input[i]).gradient;
    return arrived != nullptr ? share(arrived) : Tensor();
  };
  std::vector<Tensor> before;
  for (std::uint32_t i = 0; i < node.count; ++i) before.push_back(gradient_of(i));
  replay(list, node, dy);
  for (std::uint32_t i = 0; i < node.count; ++i) {
    const Tensor after = gradient_of(i);
    if (!after.defined() || (before[i].defined() && &impl(after) == &impl(before[i]))) continue;
    seen.sent[i].whole = before[i].defined() ? after - before[i] : after;
    ++list.observations[list.entry[node.input[i]].a].uses;
  }
}

/// Whether what arrives at a node is its one gradient, which nobody else sees, and goes on where the node's value is above 0.
bool only_gates(const List& list, const TensorNode& node) {
  return node.op != nullptr && node.op->gates && node.readers == 1 && node.gradient == nullptr && node.last_read == 0 &&
         !node.watched && !list.observing && !list.checking;
}

void backward_of(List& list, TensorNode& node) {
  if (std::exchange(node.gated, false)) {
    Tensor passed = Access::tensor(std::exchange(node.gradient, nullptr));
    TensorNode& input = list.tensor(node.input[0]);
    if (input.kind != Node::Kind::constant) receive(input, std::move(passed));
    return;
  }
  const Borrowed borrowed(node.gradient);
  const Tensor& dy = borrowed;
  const std::int64_t started = list.observing ? std::chrono::steady_clock::now().time_since_epoch().count() : 0;
  Observation* const seen = list.observing ? &list.observations[list.entry[node.id].a] : nullptr;
  if (seen != nullptr) seen->sent.resize(node.count);
  if (is_stack(node)) {
    dispatch_floating(node.dtype, [&]<class T>(T) {
      const T* const g = read<T>(dy);
      for (std::uint32_t i = 0; i < node.count; ++i) list.adjoint[node.input[i]] += static_cast<double>(g[i]);
    });
  } else if (node.op->gradient == nullptr) {
    if (seen != nullptr) replay_observed(list, node, dy, *seen);
    else replay(list, node, dy);
  } else {
    const Operands operands(list, node);
    Tensor next;  // the gradient for the operand to come, where it came out of the same pass
    for (std::uint32_t i = 0; i < node.count; ++i) {
      TensorNode& input = list.tensor(node.input[i]);
      if (input.kind == Node::Kind::constant) continue;
      if (node.op->gated_gradient != nullptr && only_gates(list, input)) {
        receive(input, node.op->gated_gradient(node.self, dy, operands.in(), operands.output()));
        input.gated = true;
        continue;
      }
      const bool adds = node.op->adds_to == static_cast<int>(i);
      Tensor left, right;
      const bool defers = list.deferring && input.readers > 1 && node.op->factors != nullptr &&
                          node.op->factors(node.self, static_cast<int>(i), dy, operands.in(), left, right);
      Tensor dx;
      if (!(adds || defers) || seen != nullptr) {
        const bool both = node.op->gradient_with_next != nullptr && i + 1 < node.count &&
                          list.tensor(node.input[i + 1]).kind != Node::Kind::constant;
        if (next.defined()) dx = std::exchange(next, Tensor());
        else if (both)
          dx = node.op->gradient_with_next(node.self, static_cast<int>(i), dy, operands.in(), next);
        if (!dx.defined())
          dx = node.op->gradient(node.self, static_cast<int>(i), dy, operands.in(), static_cast<int>(node.count),
                                 operands.output());
        if (!dx.defined()) continue;
        must_fit(input, dx, node.op->name);
        if (list.checking) list.check_sent(node, i, dx);
      }
      if (seen != nullptr) {
        keep(seen->sent[i], dx, dy);
        ++list.observations[list.entry[input.id].a].uses;
      }
      if (defers) {
        defer(list, input, std::move(left), std::move(right));
        continue;
      }
      if (!adds) {
        receive(input, std::move(dx));
        continue;
      }
      dx = Tensor();
      receive_part(input, [&](Tensor& sum) {  // so observed too: the same numbers, to the last bit
        node.op->add_gradient(node.self, sum, dy, operands.in(), static_cast<int>(node.count));
      });
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

void List::backward(std::uint32_t from, bool retain, bool to_parameters, const Tensor& seed) {
  if (going_back)
    throw GraphError(
        "backward(): called by a function that backward() of the same graph calls\n"
        "  help: vjp(f, x, v) gives gradients there");
  if (let_go_root != 0) note_what_is_gone(*this);
  if (let_go_root != 0 && meets_what_is_gone(*this, from)) {
    const std::string name = name_of(let_go_root);
    throw GraphError(
        fmt::format("backward(): already run on this graph ({}{} nodes let go)\n"
                    "  help: backward({{.retain = true}}) the first time, or a new Graph for each step",
                    name.empty() ? "" : fmt::format("root \"{}\", ", name), with_commas(let_go_count)));
  }
  if (checking) check_values(from);
  const Pause pause;
  struct Sweeping {
    List& list;
    bool done = false;
    explicit Sweeping(List& l) : list(l) { list.going_back = list.sweeping = list.deferring = true; }
    ~Sweeping() {
      list.going_back = list.sweeping = list.deferring = false;
      for (std::size_t i = 0; i < list.deferred_count; ++i) list.deferred[i].forget();  // left, if it failed
      list.deferred_count = 0;
      list.failed = !done;
    }
  } at_work(*this);
  failed = false;
  for (std::size_t i = 0; i < tensor_count; ++i) {
    TensorNode& node = tensors[i];
    node.reached = node.gated = false;
    node.deferred = 0;
    if (node.gradient != nullptr) Access::tensor(std::exchange(node.gradient, nullptr));
    if (observing) observations[i].forget_backward();
  }
  std::memset(adjoint, 0, (std::size_t{from} + 1) * sizeof(double));
  root = from;
  if (is_tensor(from)) receive(tensor(from), seed.defined() ? seed : ones(tensor(from).shape, tensor(from).dtype));
  else adjoint[from] = 1;
  retained = retain;
  if (!retain) let_go_root = from;

  sweep(from, 0, retain);
  for (std::uint32_t id = 1; buried && id <= from; ++id)
    if (code[id] == dead_code && adjoint[id] != 0) buried_inside();

  // Parameters take their gradients only now that nothing can fail any more.
  for (std::size_t i = 0; i < tensor_count; ++i) {
    TensorNode& node = tensors[i];
    if (node.kind != Node::Kind::parameter) continue;
    if (node.gradient != nullptr && to_parameters) {
      const std::shared_ptr<ParameterState>& parameter = parameters[node.parameter - 1];
      Tensor gradient = observing ? share(node.gradient) : Access::tensor(std::exchange(node.gradient, nullptr));
      if (capturing != nullptr) note_gradient(parameter, gradient);
      else parameter->add_gradient(std::move(gradient));
    }
    // With its numbers let go, a step can change them in place; if the graph meets it again, it gets a new leaf.
    if (!retain && !observing && node.output != nullptr) Access::tensor(std::exchange(node.output, nullptr));
  }
  at_work.done = true;
}

void List::sweep(std::uint32_t from, std::uint32_t floor, bool retain) {
  const auto stations_up_to = [&](std::uint32_t id) {
    return static_cast<std::size_t>(std::upper_bound(stations.begin(), stations.end(), id) - stations.begin());
  };
  std::size_t station = stations_up_to(from), known = stations.size();
  std::uint32_t last = from + 1;  // station that was passed
  for (std::uint32_t id = from;;) {
    if (stations.size() != known) {  // a function of the user's watches one more Scalar
      station = stations_up_to(last - 1);
      known = stations.size();
    }
    const bool stops = station > 0 && stations[station - 1] > floor;
    const std::uint32_t stop = stops ? stations[station - 1] : floor;
    sweep_entries(entry, adjoint, id, stop);
    if (checking) check_swept(id, stop);
    if (!stops) return;
    --station;
    id = last = stop;
    if (!is_tensor(stop)) {  // a Scalar whose gradient someone watches; it then goes on with the others
      if (adjoint[stop] != 0) adjoint[stop] = watched(stop, Scalar(adjoint[stop])).value();
      continue;
    }
    --id;
    TensorNode& node = tensor(stop);
    if (node.last_read != 0) receive_reads(*this, node, from);
    settle(*this, node);
    if (node.gradient == nullptr) continue;
    if (node.watched) {
      Tensor passed = watched(stop, share(node.gradient));
      Access::tensor(std::exchange(node.gradient, Access::take(passed)));
    }
    node.reached = true;
    if (checking) check_arrived(node);
    if (node.kind != Node::Kind::op) continue;
    backward_of(*this, node);
    if (!retain) {
      let_go_of(node, observing);
      node.let_go = true;
      ++let_go_count;
    }
    if (!observing) Access::tensor(std::exchange(node.gradient, nullptr));
  }
}

Tensor List::watched(std::uint32_t id, Tensor gradient) {
  auto hook = hooks.lower_bound(id);
  for (std::size_t n = hooks.count(id); n > 0; --n, ++hook) {  // not those that they add
    const Tensor passed = hook->second.whole(gradient);
    if (!passed.defined()) continue;  // it only looked
    if (passed.shape() != gradient.shape() || passed.dtype() != gradient.dtype())
      throw UsageError(fmt::format("on_gradient(): the function returned {} {} for a gradient that is {} {}",
                                   to_string(passed.dtype()), to_string(passed.shape()), to_string(gradient.dtype()),
                                   to_string(gradient.shape())));
    gradient = passed;
  }
  return gradient;
}

Scalar List::watched(std::uint32_t id, Scalar gradient) {
  auto hook = hooks.lower_bound(id);
  for (std::size_t n = hooks.count(id); n > 0; --n, ++hook) gradient = hook->second.number(gradient);
  return gradient;
}

}  // namespace ebb::detail

namespace ebb {

using namespace detail;

void detail::changed_since(const ParameterState& parameter, const char* op) {
  throw GraphError(fmt::format(
      "backward(): the parameter {}{}{} changed between {} and backward, which computes it again{}", parameter.name,
      parameter.name.empty() ? "" : " ", to_string(parameter.value.shape()), op, where_in_model()));
}

void detail::must_be_single(const char* asked, const Shape& shape) {
  if (shape.size() == 1) return;
  throw GraphError(
      fmt::format("{}: the tensor has shape {}; only a single number has a gradient to start from\n"
                  "  help: sum() or mean() it first",
                  asked, to_string(shape)));
}

std::uint32_t detail::id_in(const List& list, const Scalar& s, const char* asked) {
  if (&list_of(Access::graph(s), asked) != &list)
    throw GraphError(fmt::format("{}: the value belongs to another graph", asked));
  if (list.code[Access::id(s)] == dead_code) buried_inside();
  return Access::id(s);
}
std::uint32_t detail::id_in(const List& list, const Tensor& t, const char* asked) {
  if (!t.defined()) throw UsageError(fmt::format("{}: the tensor holds nothing", asked));
  if (&list_of(impl(t).graph, asked) != &list)
    throw GraphError(fmt::format("{}: the value belongs to another graph", asked));
  if (list.code[impl(t).node] == dead_code) buried_inside();
  return impl(t).node;
}

void Scalar::backward(const BackwardOptions& options) const {
  List& list = list_of(graph_of(place_), "backward()");
  list.backward(id_in(list, *this, "backward()"), options.retain);
}

namespace {
void must_have_run(const List& list) {
  if (list.root == 0) throw GraphError("grad(): backward() has not run on this graph yet");
  if (list.failed) throw GraphError("grad(): the last backward() of this graph failed on its way");
}
}  // namespace

double Scalar::grad() const {
  // Programs ask this of as many numbers as they have.
  const bool here = open_list != nullptr && open_list->graph() == graph_of(place_);
  const List& list = here ? *open_list : list_of(graph_of(place_), "grad()");
  const std::uint32_t id = id_of(place_);
  if (list.code[id] == dead_code) buried_inside();
  must_have_run(list);
  return id <= list.root ? list.adjoint[id] : 0;
}

void Tensor::backward(const BackwardOptions& options) const {
  if (!defined()) throw UsageError("backward(): the tensor holds nothing");
  List& list = list_of(impl(*this).graph, "backward()");
  must_be_single("backward()", shape());
  list.backward(id_in(list, *this, "backward()"), options.retain);
}

Tensor Tensor::grad() const {
  if (!defined()) throw UsageError("grad(): the tensor holds nothing");
  List& list = list_of(impl(*this).graph, "grad()");
  const TensorNode& node = list.tensor(id_in(list, *this, "grad()"));
  must_have_run(list);
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
