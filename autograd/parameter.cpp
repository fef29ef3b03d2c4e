#include "parameter.h"

#include "error.h"
#include "launch.h"
#include "list.h"
#include "ops.h"

#include <fmt/format.h>

#include <functional>
#include <mutex>
#include <set>

namespace ebb {

using namespace detail;

namespace {

// Where Parameters stand, for the check that EBB_FIELDS forgot none.  Never destroyed: a static Parameter may outlive
// any other static.
struct Register {
  std::mutex mutex;
  std::set<const Parameter*, std::less<>> all;
};
Register& live() {
  static auto* const one = new Register;
  return *one;
}

void enter(const Parameter* p) {
  const std::lock_guard lock(live().mutex);
  live().all.insert(p);
}

std::shared_ptr<ParameterState> state_of(const Tensor& value) {
  auto state = std::make_shared<ParameterState>();
  state->value = value;
  state->owned = true;
  return state;
}

constexpr char asks_gradient[] = "asks a Parameter for its gradient";

/// The value as no graph's.
Tensor trainable(const Tensor& value) {
  if (!value.defined()) throw UsageError("Parameter: the tensor holds nothing");
  if (value.dtype() == i64)
    throw DTypeError(fmt::format("Parameter(i64 {}): whole numbers cannot be trained\n  help: to(f32) or to(f64)",
                                 to_string(value.shape())));
  return view(value, value.shape());
}

}  // namespace

Parameter::Parameter(const Tensor& value, std::string_view name) : state_(state_of(trainable(value))) {
  state_->name = name;
  enter(this);
}

Parameter::Parameter(const Parameter& other) : state_(state_of(other.value())) { enter(this); }

Parameter::Parameter(Parameter&& other) noexcept : state_(std::move(other.state_)) { enter(this); }

Parameter& Parameter::operator=(const Parameter& other) {
  if (this == &other) return *this;
  const Tensor value = other.value();
  if (state_ == nullptr || value.shape() != shape() || value.dtype() != dtype()) {
    leave();
    state_ = state_of(value);  // another parameter altogether: nobody who holds the old one can go on with it
  } else {
    state_->value = value;
    state_->grad = Tensor();
  }
  return *this;
}

Parameter& Parameter::operator=(Parameter&& other) noexcept {
  if (this != &other) leave();
  state_ = std::move(other.state_);
  return *this;
}

Parameter::~Parameter() {
  leave();
  const std::lock_guard lock(live().mutex);
  live().all.erase(this);
}

void Parameter::leave() noexcept {
  if (state_ != nullptr) state_->owned = false;
}

const std::shared_ptr<ParameterState>& Parameter::state() const {
  if (state_ == nullptr) throw UsageError("Parameter: its numbers were moved away");
  return state_;
}

Tensor Parameter::value() const {
  if (capturing != nullptr) note_parameter(state());
  return state()->value;
}
bool Parameter::has_grad() const {
  cannot_replay(asks_gradient);
  return state()->grad.defined();
}
void Parameter::clear_grad() {
  cannot_replay(asks_gradient);
  state()->grad = Tensor();
}
std::string Parameter::name() const { return state()->name; }
void Parameter::rename(std::string_view name) { state()->name = name; }
const Shape& Parameter::shape() const { return state()->value.shape(); }
DType Parameter::dtype() const { return state()->value.dtype(); }

Tensor Parameter::grad() const {
  if (has_grad()) return state_->grad;
  throw GraphError(
      fmt::format("grad(): the parameter {}{}{} has no gradient since the last step\n"
                  "  help: call backward() on a loss that depends on it",
                  name(), name().empty() ? "" : " ", to_string(shape())));
}

void Parameter::assign(const Tensor& value) {
  if (!value.defined()) throw UsageError("assign(): the tensor holds nothing");
  const std::string what = name().empty() ? "assign()" : fmt::format("assign() to {}", name());
  if (value.shape() != shape())
    throw ShapeError(
        fmt::format("{}: the parameter is {}, the new value {}", what, to_string(shape()), to_string(value.shape())));
  if (value.dtype() != dtype())
    throw DTypeError(fmt::format("{}: the parameter is {}, the new value {}\n  help: to({})", what, to_string(dtype()),
                                 to_string(value.dtype()), to_string(dtype())));
  cannot_replay("assigns to a Parameter");
  state()->value = view(value, value.shape());
}

Parameter::operator Tensor() const {
  List* const list = recording_list();
  if (capturing != nullptr) note_parameter(state());
  if (list != nullptr) return list->parameter_leaf(state());
  return open_list != nullptr ? open_list->paused_parameter(state()) : value();
}

namespace detail {

void ParameterState::add_gradient(Tensor gradient) {
  const std::lock_guard lock(adding);
  grad = grad.defined() ? grad + gradient : std::move(gradient);
}

std::vector<const Parameter*> live_parameters(const void* begin, const void* end) {
  const std::lock_guard lock(live().mutex);
  const auto& all = live().all;
  std::vector<const Parameter*> found;
  for (auto at = all.lower_bound(static_cast<const Parameter*>(begin)); at != all.end(); ++at) {
    if (!std::less<const void*>()(*at, end)) break;
    found.push_back(*at);
  }
  return found;
}

}  // namespace detail
}  // namespace ebb
