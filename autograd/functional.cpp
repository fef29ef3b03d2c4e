#include "functional.h"

#include "error.h"
#include "graph.h"
#include "kernels/movement.h"
#include "launch.h"
#include "list.h"
#include "op.h"
#include "ops.h"
#include "random.h"
#include "require.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <optional>
#include <utility>

namespace ebb {

using namespace detail;

namespace {

using Function = std::function<Tensor(const std::vector<Tensor>&)>;

/// One number of whatever f returns: its elements, weighted at random, added up.
Tensor weighed(const Tensor& y) {
  Generator generator(0x5eed);
  return sum(y * rand(y.shape(), f64, generator));
}

/// The worst relative error of `gradient`s against 6th-order differences of `value`.
double worst_error(const std::function<double(const std::vector<Tensor>&)>& value, const std::vector<Tensor>& inputs,
                   const std::vector<Tensor>& gradients, double unit) {
  constexpr std::array<double, 3> weight = {45.0 / 60, -9.0 / 60, 1.0 / 60};
  double worst = 0;
  std::vector<Tensor> moved = inputs;
  for (std::size_t k = 0; k < inputs.size(); ++k) {
    for (std::int64_t i = 0; i < inputs[k].size(); ++i) {
      const double x = read<double>(inputs[k])[i], h = unit * std::max(1.0, std::abs(x));
      double difference = 0;
      for (int step = 1; step <= 3; ++step) {
        for (const int side : {1, -1}) {
          Tensor shifted = inputs[k];
          static_cast<double*>(writable(shifted))[i] = x + side * step * h;
          moved[k] = shifted;
          difference += side * weight[static_cast<std::size_t>(step - 1)] * value(moved);
        }
      }
      moved[k] = inputs[k];
      const double fd = difference / h,
                   error = std::abs(read<double>(gradients[k])[i] - fd) / std::max(1.0, std::abs(fd));
      if (std::isnan(error)) return error;  // nothing is worse
      worst = std::max(worst, error);
    }
  }
  return worst;
}

std::vector<Tensor> variables(Graph& graph, const std::vector<Tensor>& inputs) {
  std::vector<Tensor> x;
  for (const Tensor& input : inputs) x.push_back(graph.variable(input));
  return x;
}

std::vector<Tensor> first_order(const Function& f, const std::vector<Tensor>& inputs) {
  Graph graph;
  const std::vector<Tensor> x = variables(graph, inputs);
  const Tensor y = weighed(f(x));
  std::vector<Tensor> gradients;
  if (!recorded_in(impl(y).graph)) {  // it depends on none of them
    for (const Tensor& input : inputs) gradients.push_back(zeros(input.shape(), f64));
    return gradients;
  }
  List::of(graph)->backward(impl(y).node, false, /*to_parameters=*/false);
  for (const Tensor& each : x) gradients.push_back(each.grad());
  return gradients;
}

/// The gradients of f, taken as recorded values, weighed into one number.
Tensor slope(Graph& graph, const Function& f, const std::vector<Tensor>& x) {
  Tensor total = zeros({}, f64);
  for (const Tensor& g : graph.gradient(weighed(f(x)), x)) total = total + weighed(g);
  return total;
}

// ---- Jacobians and what is made of them ------------------------------------------------------------------------

/// f at x in the graph that records, or in one of its own.
class Transform {
 public:
  Transform(const char* name, const OneToOne& f, const Tensor& x) : name_(name) {
    if (!x.defined()) undefined_operand(name, 0);
    if (!is_floating(x.dtype()))
      throw DTypeError(fmt::format("{}(f, i64 {}): whole numbers have no derivative{}\n  help: to(f32) or to(f64)",
                                   name, to_string(x.shape()), where_in_model()));
    if (!recording() && open_list != nullptr) aside_.emplace(*open_list);
    else if (!recording()) own_.emplace();
    list_ = recording_list();
    // A node of its own: what f captures of x, or of what x was made of, is no part of the question.
    x_ = impl(x).graph == list_->graph() ? apply(Argument{}, x) : list_->leaf(x);
    y_ = f(x_);
    if (!y_.defined()) throw UsageError(fmt::format("{}(): the function returned nothing", name));
  }

  const Tensor& x() const { return x_; }
  const Tensor& y() const { return y_; }
  Tensor leaf(const Tensor& value) { return list_->leaf(value); }
  void must_be_single() const { detail::must_be_single(fmt::format("{}()", name_).c_str(), y_.shape()); }
  void must_fit(const Tensor& v, const Tensor& like, const char* what) const {
    if (!v.defined()) undefined_operand(name_, 2);
    if (v.shape() != like.shape())
      throw ShapeError(
          fmt::format("{}(): v is {}, and {} is {}", name_, to_string(v.shape()), what, to_string(like.shape())));
  }

  /// The gradient of Σ seed·of by x, recorded; zeros where there is none.
  Tensor gradient(const Tensor& of, const Tensor& seed, const Tensor& by) {
    if (impl(of).graph != list_->graph() || impl(of).node < impl(by).node) return zeros(by.shape(), by.dtype());
    const Tensor dx =
        list_->recorded_sweep(impl(of).node, {0, seed.to(of.dtype())}, impl(by).node - 1, {impl(by).node})[0].second;
    return dx.defined() ? dx : zeros(by.shape(), by.dtype());
  }
  /// The same where nobody asks further: not recorded, if the graph is this function's own.
  Tensor last_gradient(const Tensor& of, const Tensor& seed, const Tensor& by) {
    if (!own_) return gradient(of, seed, by);
    if (impl(of).graph != list_->graph() || impl(of).node < impl(by).node) return zeros(by.shape(), by.dtype());
    list_->backward(impl(of).node, /*retain=*/true, /*to_parameters=*/false, detach(seed.to(of.dtype())));
    return detach(by.grad());
  }
  /// A row for each element of y, of shape y.shape + x.shape.
  Tensor rows(const Tensor& y) {
    std::vector<Tensor> all;
    Shape shape = y.shape();
    for (const std::int64_t size : x_.shape()) {
      if (shape.rank() == Shape::max_rank)
        throw ShapeError(fmt::format("{}(): {} by {} is more than the {} axes that a tensor can have", name_,
                                     to_string(y.shape()), to_string(x_.shape()), Shape::max_rank));
      shape = shape.inserted(shape.rank(), size);
    }
    if (shape.size() == 0 || impl(y).graph != list_->graph()) return zeros(shape, x_.dtype());
    for (std::int64_t i = 0; i < y.size(); ++i) {
      Tensor seed = zeros(y.shape(), y.dtype());
      dispatch_floating(y.dtype(),
                        [&]<class T>(T) { launch([](T* to, std::int64_t at) { to[at] = T(1); }, write<T>(seed), i); });
      all.push_back(last_gradient(y, seed, x_));
    }
    return reshape(stack(all), shape);
  }
  /// A result: recorded in the graph that was there, else a constant.
  Tensor done(const Tensor& result) const { return own_ || aside_ ? view(result, result.shape()) : result; }

 private:
  /// Beside a Pause: what is recorded meanwhile is forgotten.
  struct Aside {
    List& list;
    std::uint32_t before;
    Arena::Mark memory;
    Recording recording;
    explicit Aside(List& open) : list(open), before(open.size()), memory(open.arena.mark()), recording(open) {}
    ~Aside() {
      list.bury(before);
      list.arena.rewind(memory);
    }
  };

  struct Argument {
    static constexpr char name[] = "argument", formula[] = "x", rule[] = "∇x = g", operands[] = "x";
    static constexpr Keep keep = Keep::nothing;
    static constexpr bool by_element = true;
    Tensor run(const Tensor& x) const { return view(x, x.shape()); }
    Tensor dx(const Tensor& dy, const Tensor&) const { return dy; }
    static constexpr auto gradients() { return std::tuple(&Argument::dx); }
  };

  const char* name_;
  std::optional<Aside> aside_;
  std::optional<Graph> own_;
  List* list_ = nullptr;
  Tensor x_, y_;
};

// ---- checkpoint ------------------------------------------------------------------------------------------------

/// This thread's default generator, of which a checkpoint only sets when it draws what.
Generator* drawing() {
  const Uncaptured known;
  return &default_generator();
}

/// What a checkpoint keeps to compute the same once more, as numbers of a tensor, where a replay finds it too.
struct Kept {
  Generator before, meanwhile;  // the default generator, when the function ran, and while it runs again
  std::uint64_t value;          // the result's fingerprint
};
static_assert(std::is_trivially_copyable_v<Kept> && sizeof(Kept) == 5 * sizeof(std::int64_t));

std::uint64_t fingerprint(const void* y, std::size_t bytes) { return kernels::fingerprint(y, bytes); }
std::size_t bytes_of(const Tensor& t) { return static_cast<std::size_t>(t.size()) * size_of(t.dtype()); }

/// A Parameter that a checkpoint's function used, and the leaf that it was, with its numbers.
struct Used {
  std::shared_ptr<ParameterState> parameter;
  Tensor leaf;
};

/// f(x...), forgotten but for f and x.
struct Checkpoint {
  static constexpr char name[] = "checkpoint", formula[] = "f(x)", rule[] = "∇x = through f, computed again",
                        operands[] = "x";
  static constexpr Keep keep = Keep::nothing;
  Recomputed f;
  std::vector<Tensor> x;
  std::vector<Used> used;
  mutable Tensor kept;  // a Kept

  Tensor compose(const Tensor*) const {
    List& list = *recording_list();
    for (const Used& each : used) {
      if (impl(each.parameter->value).data != impl(each.leaf).data) changed_since(*each.parameter, name);
      list.meet_as(each.parameter, each.leaf);
    }
    struct Restore {
      List& list;
      Generator* generator;
      Kept* state;
      std::uint32_t watched_before;
      ~Restore() {
        launch([](Generator* g, const Kept* was) { *g = was->meanwhile; }, generator, state);
        list.watched_before = watched_before;
      }
    } const restore{list, drawing(), write<Kept>(kept), std::exchange(list.watched_before, list.size() - 1)};
    launch([](Generator* g, Kept* was) { was->meanwhile = std::exchange(*g, was->before); }, restore.generator,
           restore.state);
    Tensor y = f(x);
    const auto same = [](const Kept* was, const void* again, std::size_t bytes) {
      return fingerprint(again, bytes) == was->value;
    };
    if (!y.defined() || !decided(same, read<Kept>(kept), read<void>(y), bytes_of(y)))
      throw GraphError(
          fmt::format("backward(): the function of a checkpoint gave another result when it was computed again{}\n"
                      "  help: it must depend on its operands, Parameters and the default generator alone, and not be "
                      "changed by running",
                      where_in_model()));
    return y;
  }
};

/// What the entries above `floor` took from those below: tensors, Scalars, and Parameters that first came in there.
struct Captured {
  std::vector<std::uint32_t> tensors, scalars;
  std::vector<std::shared_ptr<ParameterState>> parameters;

  Captured(List& list, std::uint32_t floor) {
    const auto take = [&](std::uint32_t id) {
      if (id != 0 && id <= floor) (list.is_tensor(id) ? tensors : scalars).push_back(id);
    };
    for (std::uint32_t id = floor + 1; id < list.size(); ++id) {
      if (list.is_tensor(id)) {
        const TensorNode& node = list.tensor(id);
        for (std::uint32_t i = 0; i < node.count; ++i) take(node.input[i]);
        if (node.kind == Node::Kind::parameter) parameters.push_back(list.parameters[node.parameter - 1]);
      } else {
        take(list.entry[id].a);
        take(list.entry[id].b);
      }
    }
    for (auto* ids : {&tensors, &scalars}) {
      std::sort(ids->begin(), ids->end());
      ids->erase(std::unique(ids->begin(), ids->end()), ids->end());
    }
  }
};

}  // namespace

namespace detail {

Tensor jacobian_of(const OneToOne& f, const Tensor& x) {
  const Attempt attempt(&List::bury);
  Transform at("jacobian", f, x);
  return at.done(at.rows(at.y()));
}

Tensor hessian_of(const OneToOne& f, const Tensor& x) {
  const Attempt attempt(&List::bury);
  Transform at("hessian", f, x);
  at.must_be_single();
  return at.done(at.rows(at.gradient(at.y(), ones(at.y().shape(), at.y().dtype()), at.x())));
}

Tensor hvp_of(const OneToOne& f, const Tensor& x, const Tensor& v) {
  const Attempt attempt(&List::bury);
  Transform at("hvp", f, x);
  at.must_be_single();
  at.must_fit(v, at.x(), "x");
  const Tensor slope = at.gradient(at.y(), ones(at.y().shape(), at.y().dtype()), at.x());
  return at.done(at.last_gradient(slope, v, at.x()));
}

Tensor jvp_of(const OneToOne& f, const Tensor& x, const Tensor& v) {
  const Attempt attempt(&List::bury);
  Transform at("jvp", f, x);
  at.must_fit(v, at.x(), "x");
  // The gradient of f, weighed by u, is linear in u: its derivative by u along v is what f does along v.  u is ones, since
  // a gradient of zero would absorb an infinite derivative.
  const Tensor u = at.leaf(ones(at.y().shape(), at.y().dtype()));
  const Tensor weighed = at.gradient(at.y(), u, at.x());
  return at.done(at.last_gradient(weighed, v, u));
}

Tensor vjp_of(const OneToOne& f, const Tensor& x, const Tensor& v) {
  const Attempt attempt(&List::bury);
  Transform at("vjp", f, x);
  at.must_fit(v, at.y(), "f(x)");
  return at.done(at.last_gradient(at.y(), v, at.x()));
}

Tensor checkpoint_of(Recomputed f, const std::vector<Tensor>& x) {
  for (std::size_t i = 0; i < x.size(); ++i)
    if (!x[i].defined()) undefined_operand(Checkpoint::name, static_cast<int>(i));
  List* const list = recording_list();
  if (list == nullptr) return f(x);
  const Attempt attempt(&List::bury);
  Tensor kept = empty({sizeof(Kept) / sizeof(std::int64_t)}, i64);
  launch([](Kept* now, const Generator* g) { now->before = *g; }, write<Kept>(kept), drawing());
  const std::uint32_t floor = list->size() - 1;
  const auto memory = list->arena.mark();
  const Tensor inside = f(x);
  if (!inside.defined()) throw UsageError("checkpoint(): the function returned nothing" + where_in_model());
  if (impl(inside).graph != list->graph() || impl(inside).node <= floor) {  // a constant, or a value from before
    list->bury(floor + 1);
    list->arena.rewind(memory);
    return inside;
  }
  const Captured captured(*list, floor);
  Tensor y = view(inside, inside.shape());
  list->bury(floor + 1);
  list->arena.rewind(memory);

  std::vector<Tensor> from;
  std::vector<Used> used;
  for (const std::uint32_t id : captured.tensors) {
    from.push_back(list->shadow(id));
    const TensorNode& node = list->tensor(id);
    if (node.kind == Node::Kind::parameter && node.output != nullptr)
      used.push_back({list->parameters[node.parameter - 1], share(node.output)});
  }
  for (const auto& state : captured.parameters) {
    from.push_back(list->parameter_leaf(state));
    used.push_back({state, from.back()});
  }
  if (!captured.scalars.empty()) {
    std::vector<Scalar> parts;
    for (const std::uint32_t id : captured.scalars)
      parts.push_back(Access::scalar(list->value[id], place_of(list->graph(), id)));
    from.push_back(stack(parts));
  }
  std::vector<const Tensor*> in;
  for (const Tensor& t : from) in.push_back(&t);
  launch([](Kept* now, const void* made, std::size_t bytes) { now->value = fingerprint(made, bytes); },
         write<Kept>(kept), read<void>(y), bytes_of(y));
  const Checkpoint op{std::move(f), x, std::move(used), std::move(kept)};
  // What f computed was checked as it came, and the shadows hold no numbers.
  struct Unchecked {
    List& list;
    bool checking = std::exchange(list.checking, false);
    ~Unchecked() { list.checking = checking; }
  } const unchecked{*list};
  record(y, op_info<Checkpoint>, &op, in.data(), static_cast<int>(in.size()), 0);
  return y;
}

void gradcheck_takes(std::size_t takes, std::size_t given) {
  if (takes != given)
    throw UsageError(fmt::format("gradcheck(): the function takes {} tensors, and {} were given", takes, given));
}

double check_gradients(const Function& asked, const std::vector<Tensor>& given, const GradcheckOptions& options) {
  if (recording())
    throw GraphError("gradcheck(): a graph is recording on this thread\n  help: call it outside of any graph");
  if (options.order != 1 && options.order != 2)
    throw UsageError(fmt::format("gradcheck(): order must be 1 or 2, got {}", options.order));
  if (!(options.step > 0)) throw UsageError(fmt::format("gradcheck(): step must be positive, got {}", options.step));
  std::vector<Tensor> inputs;
  for (const Tensor& input : given) inputs.push_back(detach(input.to(f64)));

  // On both sides a graph records, and random numbers are the same, so that a layer that trains is one function.
  const Function f = [&asked, before = default_generator()](const std::vector<Tensor>& x) {
    default_generator() = before;
    return asked(x);
  };
  const auto value_at = [&](const std::vector<Tensor>& at) {
    Graph graph;
    return weighed(f(variables(graph, at))).item();
  };
  double worst = worst_error(value_at, inputs, first_order(f, inputs), options.step);
  if (options.order == 2 && !std::isnan(worst)) {
    std::vector<Tensor> second;
    {
      Graph graph;
      const std::vector<Tensor> x = variables(graph, inputs);
      second = graph.gradient(slope(graph, f, x), x);
    }
    const auto slope_at = [&](const std::vector<Tensor>& at) {
      Graph graph;
      return slope(graph, f, variables(graph, at)).item();
    };
    const double of_second = worst_error(slope_at, inputs, second, options.step);
    worst = std::isnan(of_second) ? of_second : std::max(worst, of_second);
  }
  return worst;
}

}  // namespace detail
}  // namespace ebb
