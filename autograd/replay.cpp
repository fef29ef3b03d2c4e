#include "replay.h"

#include "capture.h"
#include "list.h"
#include "ops.h"
#include "random.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <mutex>
#include <unordered_map>

namespace ebb::detail {

namespace {

constexpr std::size_t most_recordings = 8;
constexpr int most_wasted = 4;                        // recordings in a row that no call could use
constexpr std::uint64_t soon = 16 * most_recordings;  // a recording used so few calls ago may be wanted again

std::size_t bytes_of(const Tensor& t) { return static_cast<std::size_t>(t.size()) * size_of(t.dtype()); }

Tensor copy_of(const Tensor& t) {
  Tensor copy = empty(t.shape(), t.dtype());
  std::memcpy(impl(copy).data, impl(t).data, bytes_of(t));
  return copy;
}

/// Sets what this thread captures.
class Capturing {
 public:
  explicit Capturing(Capture& capture) { capturing = &capture; }
  ~Capturing() { capturing = nullptr; }
  Capturing(const Capturing&) = delete;
  Capturing& operator=(const Capturing&) = delete;
};

std::uint32_t holders(const TensorImpl& head) { return head.refs.load(std::memory_order_acquire); }

}  // namespace

/// One recording: its launches work on these very tensors.
struct Recorded : Capture {
  std::vector<Tensor> inputs, results;
  std::vector<Tensor> given;       // what the inputs are copies of: held, so that it stays what it was
  Generator* generator = nullptr;  // the thread's
  int mode = 0;
  bool copies = false;  // gradients are handed out as copies: somebody kept one
  int wasted = 0;
  std::uint64_t last_used = 0;  // the number of the call
  /// Buffers that are handed out with gradients, and how many handles of each are the recording's own.
  std::vector<std::pair<const TensorImpl*, std::uint32_t>> lent;

  bool is_for(std::span<const Tensor* const> x, const Generator* drawing) const {
    if (generator != drawing || mode != layer_mode || inputs.size() != x.size()) return false;
    for (std::size_t i = 0; i < x.size(); ++i)
      if (inputs[i].dtype() != x[i]->dtype() || inputs[i].shape() != x[i]->shape()) return false;
    return true;
  }

  /// Whether all that it reads is still where it was, and all that it writes nobody else's.
  bool stands() const {
    for (const Met& met : parameters)
      if (!met.parameter->owned || impl(met.parameter->value).data != met.data) return false;
    for (const Kept& each : kept) {
      if (each.here.expired() || !each.tensor->defined() || impl(*each.tensor).data != each.data) return false;
      if (each.changes && holders(impl(*each.tensor)) != 1) return false;
    }
    return true;
  }

  /// Takes back the gradients that were lent.  A Parameter that still has one, to add to it, gets a copy.
  bool take_back() {
    for (const auto& [parameter, gradient] : gradients) {
      const std::lock_guard lock(parameter->adding);
      if (parameter->grad.defined() && &impl(parameter->grad) == &impl(gradient)) parameter->grad = copy_of(gradient);
    }
    for (const auto& [head, own] : lent)
      if (holders(*head) != own) return false;
    return true;
  }

  void take_inputs(std::span<const Tensor* const> x) {
    // A Parameter's numbers change in place as long as nobody else holds them.
    const auto changes = [&](const Tensor& t) {
      return std::any_of(parameters.begin(), parameters.end(),
                         [&](const Met& met) { return &impl(met.parameter->value) == &impl(t); });
    };
    given.resize(x.size());
    for (std::size_t i = 0; i < x.size(); ++i) {
      if (given[i].defined() && &impl(given[i]) == &impl(*x[i])) continue;
      std::memcpy(impl(inputs[i]).data, impl(*x[i]).data, bytes_of(*x[i]));
      given[i] = changes(*x[i]) ? Tensor() : *x[i];
    }
  }

  /// Hands out what was computed.
  void deliver(std::span<Tensor> to) {
    for (const auto& [parameter, gradient] : gradients) {
      const std::lock_guard lock(parameter->adding);
      if (parameter->grad.defined()) parameter->grad = parameter->grad + gradient;
      else parameter->grad = copies ? copy_of(gradient) : gradient;
    }
    for (std::size_t i = 0; i < to.size(); ++i) to[i] = copy_of(results[i]);
  }

  /// Runs the list on these operands; false, and nothing has changed, if it does not fit them.
  bool run(std::span<const Tensor* const> x) {
    std::unique_lock<std::mutex> lock;
    if (!kept.empty()) {
      lock = std::unique_lock(keeping());
      if (!stands()) return false;  // another thread was faster
    }
    const Generator before = *generator;
    std::vector<Tensor> statistics;
    for (const Kept& each : kept)
      if (each.changes) statistics.push_back(copy_of(*each.tensor));
    take_inputs(x);
    try {
      launches.run();
      return true;
    } catch (...) {  // the function itself says it better
      *generator = before;
      auto was = statistics.begin();
      for (const Kept& each : kept)
        if (each.changes) std::memcpy(impl(*each.tensor).data, impl(*was).data, bytes_of(*was)), ++was;
      return false;
    }
  }

  /// Looks for tensors of the capture that somebody else holds, and notes those that are to be lent.
  void settle() {
    std::unordered_map<const TensorImpl*, std::uint32_t> own;
    const auto hold = [&](const Tensor& t) {
      if (own[&impl(t)]++ == 0 && impl(t).owner != nullptr) ++own[impl(t).owner];
    };
    for (const auto* tensors : {&inputs, &results})
      for (const Tensor& t : *tensors) hold(t);
    for (const auto& [parameter, gradient] : gradients) hold(gradient);
    for (const auto& [block, bucket] : used) {
      const auto* const head = static_cast<const TensorImpl*>(block);
      const auto found = own.find(head);
      if (found == own.end() || found->second != holders(*head))
        mark_unreplayable(*this, "computes a tensor that outlives it");
    }
    for (const auto& [parameter, gradient] : gradients)
      for (const TensorImpl* const head : {&impl(gradient), static_cast<const TensorImpl*>(impl(gradient).owner)})
        if (head != nullptr && used.contains(const_cast<TensorImpl*>(head))) lent.emplace_back(head, own[head]);
    used.clear();
    known.clear();
    launches.join();
  }
};

Replayer::Replayer() = default;
Replayer::~Replayer() = default;
Replayer::Replayer(Replayer&&) noexcept = default;
Replayer& Replayer::operator=(Replayer&&) noexcept = default;

std::int64_t Replayer::bytes() const {
  std::int64_t total = 0;
  for (const auto& each : all_) total += each->bytes;
  return total;
}

Recorded* Replayer::find(std::span<const Tensor* const> x) {
  const Generator* const drawing = &default_generator();
  for (std::size_t i = 0; i < all_.size(); ++i) {
    if (!all_[i]->is_for(x, drawing)) continue;
    if (i > 0)
      std::rotate(all_.begin(), all_.begin() + static_cast<std::ptrdiff_t>(i),
                  all_.begin() + static_cast<std::ptrdiff_t>(i) + 1);
    return all_.front().get();
  }
  return nullptr;
}

void Replayer::eager(const Call& call, std::span<const Tensor* const> x, std::span<Tensor> results) {
  Graph graph;
  call.run(call.function, x.data(), results.data());
  results[0].backward();
}

void Replayer::run(const Call& call, std::span<const Tensor* const> x, std::span<Tensor> results) {
  if (open_list != nullptr || paused() || capturing != nullptr ||
      std::any_of(x.begin(), x.end(), [](const Tensor* t) { return !t->defined(); })) {
    why_ = "a graph or a Pause is open on this thread, or an operand holds nothing";
    return eager(call, x, results);
  }
  Recorded* const known = find(x);
  ++calls_;
  if (known == nullptr) {
    if (all_.size() < most_recordings || calls_ - all_.back()->last_used > soon)
      return record(nullptr, call, x, results);
    why_ = fmt::format("operands of more than {} kinds take turns", most_recordings);
    return eager(call, x, results);
  }
  known->last_used = calls_;
  if (known->why != nullptr) {
    why_ = fmt::format("the function {}", known->why);
    return eager(call, x, results);
  }
  if (!known->stands()) return record(known, call, x, results);
  if (!known->take_back()) {
    known->copies = true;
    return record(known, call, x, results);
  }
  if (!known->run(x)) return record(known, call, x, results);
  known->wasted = 0;
  known->deliver(results);
  why_.clear();
}

void Replayer::record(Recorded* before, const Call& call, std::span<const Tensor* const> x, std::span<Tensor> results) {
  auto made = std::make_unique<Recorded>();
  made->generator = &default_generator();
  made->mode = layer_mode;
  made->last_used = calls_;
  made->results.resize(results.size());
  if (before != nullptr) {
    made->copies = before->copies;
    made->wasted = before->wasted + 1;
    all_.erase(all_.begin());  // where find() put it: its memory serves the new one
  }
  {
    const Capturing now(*made);
    for (const Tensor* const operand : x) made->inputs.push_back(empty(operand->shape(), operand->dtype()));
    made->take_inputs(x);
    std::vector<const Tensor*> inputs;
    for (const Tensor& input : made->inputs) inputs.push_back(&input);
    Graph graph;
    call.run(call.function, inputs.data(), made->results.data());
    made->results[0].backward();
  }
  made->given.clear();  // only now is it known what is a Parameter's
  made->settle();
  if (made->wasted >= most_wasted)
    mark_unreplayable(*made, "finds at every call other numbers to choose by, or its parameters elsewhere");
  why_ = made->why == nullptr ? "" : fmt::format("the function {}", made->why);
  if (made->why == nullptr) {
    made->deliver(results);
  } else {
    made->copies = false;
    for (const auto& [parameter, gradient] : made->gradients) parameter->add_gradient(gradient);
    for (std::size_t i = 0; i < results.size(); ++i) results[i] = made->results[i];
    made->gradients.clear();
    made->results.clear();
    made->constants.clear();
    made->parameters.clear();
    made->kept.clear();
    made->lent.clear();
    made->give_back();
    made->bytes = 0;
  }
  if (all_.size() == most_recordings) all_.pop_back();
  all_.insert(all_.begin(), std::move(made));
}

}  // namespace ebb::detail
