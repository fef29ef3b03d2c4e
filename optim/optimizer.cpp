#include "optimizer.h"

#include "../autograd/error.h"
#include "../autograd/op.h"

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
  for (const nn::NamedParameter& named : parameters) states_.push_back(named.parameter.state());
}

ParameterList::ParameterList(std::initializer_list<std::reference_wrapper<Parameter>> parameters) {
  for (const Parameter& parameter : parameters) states_.push_back(parameter.state());
}

Optimizer::Optimizer(std::string_view name, const ParameterList& parameters, double lr, int kept, bool allow_missing)
    : name_(name), parameters_(parameters.states()), lr_(lr), allow_missing_(allow_missing) {
  check(lr > 0 && std::isfinite(lr), "lr", "must be positive", lr);
  if (parameters_.empty()) throw UsageError(name_ + ": there are no parameters to train");
  std::unordered_set<const detail::ParameterState*> seen;
  for (std::size_t i = 0; i < parameters_.size(); ++i) {
    const detail::ParameterState& parameter = *parameters_[i];
    if (!seen.insert(&parameter).second)
      throw UsageError(fmt::format("{}: {} is listed twice", name_, describe(parameter, i)));
    const Tensor& value = parameter.value;
    Slot slot;
    slot.n = value.size();
    slot.dtype = value.dtype();
    const auto keep = [&] { return detail::writable(kept_.emplace_back(zeros(value.shape(), value.dtype()))); };
    if (kept > 0) slot.m = keep();
    if (kept > 1) slot.v = keep();
    slots_.push_back(slot);
  }
}

Optimizer::~Optimizer() = default;

void Optimizer::lr(double rate) {
  check(rate >= 0 && std::isfinite(rate), "lr", "must not be negative", rate);
  lr_ = rate;
}

void Optimizer::check(bool good, std::string_view option, std::string_view must, double got) const {
  if (!good) throw UsageError(fmt::format("{}: {} {}, got {}", name_, option, must, got));
}

void Optimizer::check_gradients() const {
  const auto lacks = [](const auto& parameter) { return !parameter->grad.defined(); };
  const auto missing = static_cast<std::size_t>(std::count_if(parameters_.begin(), parameters_.end(), lacks));
  if (missing == parameters_.size())
    throw GraphError(name_ + "::step: no parameter has a gradient; call backward() on a loss first\n"
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
  check_gradients();
  // Only here can memory run out (a buffer that someone else still holds is copied): before anything has changed.
  for (std::size_t i = 0; i < slots_.size(); ++i) {
    detail::ParameterState& parameter = *parameters_[i];
    slots_[i].g = nullptr;
    if (!parameter.grad.defined()) continue;
    slots_[i].p = detail::writable(parameter.value);
    slots_[i].g = detail::impl(parameter.grad).data;
  }
  ++steps_;
  update();
  clear_gradients();
}

void Optimizer::clear_gradients() {
  for (const auto& parameter : parameters_) parameter->grad = Tensor();
}

}  // namespace ebb::optim
