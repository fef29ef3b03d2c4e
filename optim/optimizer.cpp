#include "optimizer.h"

#include "../autograd/error.h"
#include "../autograd/op.h"
#include "state.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <unordered_set>

namespace ebb::optim {

namespace {

/// "decoder.out.weight [10, 64]"; a parameter without a name goes by its place in the list.
std::string describe(const detail::ParameterState& parameter, std::size_t place) {
  const std::string shape = to_string(parameter.value.shape());
  return parameter.name.empty() ? fmt::format("parameter {} {}", place, shape) : parameter.name + " " + shape;
}

}  // namespace

ParameterList::ParameterList(const std::vector<nn::NamedParameter>& parameters) {
  for (const nn::NamedParameter& named : parameters) {
    states_.push_back(named.parameter.state());
    paths_.push_back(named.name);
  }
  group_of_.resize(states_.size());
}

ParameterList::ParameterList(std::initializer_list<std::reference_wrapper<Parameter>> parameters) {
  for (const Parameter& parameter : parameters) states_.push_back(parameter.state());
  paths_.resize(states_.size());
  group_of_.resize(states_.size());
}

ParameterList::ParameterList(std::initializer_list<Group> groups) {
  groups_.clear();
  for (const Group& group : groups) {
    const ParameterList& list = group.parameters_;
    states_.insert(states_.end(), list.states_.begin(), list.states_.end());
    paths_.insert(paths_.end(), list.paths_.begin(), list.paths_.end());
    for (const std::size_t inner : list.group_of_) group_of_.push_back(groups_.size() + inner);
    for (const GroupOptions& inner : list.groups_)
      groups_.push_back({.lr = inner.lr ? inner.lr : group.options_.lr,
                         .weight_decay = inner.weight_decay ? inner.weight_decay : group.options_.weight_decay});
  }
}

std::vector<std::string> ParameterList::keys() const {
  std::unordered_set<std::string_view> seen;
  const bool good = std::all_of(paths_.begin(), paths_.end(),
                                [&](const std::string& path) { return !path.empty() && seen.insert(path).second; });
  if (good) return paths_;
  std::vector<std::string> places;
  for (std::size_t i = 0; i < paths_.size(); ++i) places.push_back(std::to_string(i));
  return places;
}

Optimizer::Optimizer(std::string_view name, const ParameterList& parameters, const OptimizerOptions& options)
    : name_(name),
      parameters_(parameters.states()),
      keys_(parameters.keys()),
      base_lr_(options.lr),
      lr_(options.lr),
      decay_(options.decay),
      allow_missing_(options.allow_missing) {
  check(lr_ > 0 && std::isfinite(lr_), "lr", "must be positive", lr_);
  check_not_negative("weight_decay", options.weight_decay);
  const std::vector<std::size_t>& group_of = parameters.group_of();
  for (std::size_t i = 0; i < parameters.groups().size(); ++i) {
    if (std::find(group_of.begin(), group_of.end(), i) == group_of.end() && !group_of.empty())
      throw UsageError(fmt::format("{}: there are no parameters in group {}", name_, i));
    const GroupOptions& group = parameters.groups()[i];
    rates_.push_back(group.lr);
    weight_decays_.push_back(group.weight_decay.value_or(options.weight_decay));
    check_not_negative(fmt::format("lr of group {}", i), rates_[i].value_or(0));
    check_not_negative(fmt::format("weight_decay of group {}", i), weight_decays_[i]);
  }
  for (const KeptNumber& kept : options.kept) kept_names_.push_back(kept.name);
  if (parameters_.empty()) throw UsageError(name_ + ": there are no parameters to train");
  if (kept_names_.size() > most_kept)
    throw UsageError(fmt::format("{}: {} numbers cannot be kept for every number; {} are the most", name_,
                                 kept_names_.size(), most_kept));
  std::unordered_set<const detail::ParameterState*> seen;
  for (std::size_t i = 0; i < parameters_.size(); ++i) {
    const detail::ParameterState& parameter = *parameters_[i];
    if (!seen.insert(&parameter).second)
      throw UsageError(fmt::format("{}: {} is listed twice", name_, describe(parameter, i)));
    const Tensor& value = parameter.value;
    Slot slot;
    slot.n = value.size();
    slot.dtype = value.dtype();
    slot.group = group_of[i];
    slots_.push_back(slot);
    for (const KeptNumber& kept : options.kept) kept_.push_back(full(value.shape(), kept.start, value.dtype()));
  }
}

Optimizer::~Optimizer() = default;

void Optimizer::lr(double rate) {
  check_not_negative("lr", rate);
  lr_ = rate;
}

double Optimizer::group_lr(std::size_t group) const {
  must_be_here("group_lr");
  if (group >= rates_.size())
    throw IndexError(fmt::format("{}: there is no group {}; they are 0 to {}", name_, group, rates_.size() - 1));
  const std::optional<double>& own = rates_[group];
  return own ? *own * (lr_ / base_lr_) : lr_;
}

void Optimizer::check(bool good, std::string_view option, std::string_view must, double got) const {
  if (!good) throw UsageError(fmt::format("{}: {} {}, got {}", name_, option, must, got));
}

void Optimizer::check_not_negative(std::string_view option, double got) const {
  check(got >= 0 && std::isfinite(got), option, "must not be negative", got);
}

void Optimizer::check_share(std::string_view option, double got) const {
  check(got >= 0 && got < 1, option, "must be in [0, 1)", got);
}

void Optimizer::check_epsilon(double got) const {
  check(static_cast<float>(got) > 0 && std::isfinite(got), "epsilon", "must be positive, also as an f32", got);
}

void Optimizer::must_be_here(std::string_view asked) const {
  if (!parameters_.empty()) return;
  throw UsageError(
      fmt::format("Optimizer::{}: this optimizer was moved from\n  help: use the one that it was moved to", asked));
}

io::Tensors Optimizer::state() const {
  must_be_here("state");
  io::Tensors state = own_state();
  state["step"] = full({}, static_cast<double>(steps_), i64);
  state["lr"] = full({}, lr_, f64);
  for (std::size_t i = 0; i < keys_.size(); ++i)
    for (std::size_t k = 0; k < kept_names_.size(); ++k)
      state[kept_names_[k] + "." + keys_[i]] = kept_[i * kept_names_.size() + k];
  return state;
}

void Optimizer::load_state(const io::Tensors& state) {
  must_be_here("load_state");
  StateReader reader(name_, state);
  const std::int64_t steps = reader.count("step");
  const double rate = reader.number("lr");
  if (rate < 0 || std::isinf(rate)) reader.complain(fmt::format("lr is {}", rate));
  std::vector<Tensor> kept;
  for (std::size_t i = 0; i < keys_.size(); ++i)
    for (std::size_t k = 0; k < kept_names_.size(); ++k)
      kept.push_back(reader.take(kept_names_[k] + "." + keys_[i], kept_[i * kept_names_.size() + k]));
  reader.note_dotted();  // its own state has names without one
  load_own_state(reader.rest());

  steps_ = steps;
  lr_ = rate;
  kept_ = std::move(kept);
}

void Optimizer::load_own_state(const io::Tensors& state) { StateReader(name_, state).finish(); }

void Optimizer::check_gradients() const {
  must_be_here("step");
  const auto lacks = [](const auto& parameter) { return !parameter->grad.defined(); };
  const auto missing = static_cast<std::size_t>(std::count_if(parameters_.begin(), parameters_.end(), lacks));
  if (missing == parameters_.size())
    throw GraphError(name_ +
                     "::step: no parameter has a gradient; call backward() on a loss first\n"
                     "  help: a model that was replaced by another since has other parameters");
  if (missing == 0 || allow_missing_) return;

  constexpr std::size_t most = 5;
  std::vector<std::string> names;
  for (std::size_t i = 0; i < parameters_.size() && names.size() < most; ++i)
    if (lacks(parameters_[i])) names.push_back(describe(*parameters_[i], i));
  throw GraphError(fmt::format(
      "{}::step: {} of {} parameters got no gradient since the last step: {}{}; {} not connected "
      "to the loss\n  help: if that is meant, set allow_missing among the optimizer's options",
      name_, missing, parameters_.size(), fmt::join(names, ", "),
      missing > most ? fmt::format(" (+{} more)", missing - most) : "", missing == 1 ? "it is" : "they are"));
}

void Optimizer::step() {
  prepare();
  check_gradients();
  // Only here can memory run out (a buffer that someone else still holds is copied): before anything has changed.
  for (std::size_t i = 0; i < slots_.size(); ++i) {
    detail::ParameterState& parameter = *parameters_[i];
    slots_[i].g = nullptr;
    if (!parameter.grad.defined()) continue;
    slots_[i].p = detail::writable(parameter.value);
    slots_[i].g = detail::impl(parameter.grad).data;
    const std::size_t kept = kept_names_.size();
    for (std::size_t k = 0; k < kept; ++k) slots_[i].kept[k] = detail::writable(kept_[i * kept + k]);
  }
  ++steps_;
  update();
  clear_gradients();
}

void Optimizer::count_step() {
  ++steps_;
  clear_gradients();
}

void Optimizer::clear_gradients() {
  for (const auto& parameter : parameters_) parameter->grad = Tensor();
}

}  // namespace ebb::optim
