// Optimizer: what every way of changing parameters by their gradients shares.
//
// An optimizer of one's own is a class like those of sgd.h and adam.h: an options struct, a constructor that checks it,
// and update(), which calls each() with the loop over one parameter's numbers.
//
// Weight decay has one of two meanings, and each optimizer's options say which:
//   L2         SGD, Adam: weight_decay·p joins the gradient inside the update (the stored gradient stays as it was), as
//              if the loss held ½·weight_decay·Σp².
//   decoupled  AdamW: p loses lr·weight_decay·p, whatever its gradient.
#pragma once

#include "../autograd/kernels/optimizer.h"
#include "../autograd/parameter.h"
#include "../nn/module.h"

#include <concepts>
#include <cstdint>
#include <functional>
#include <initializer_list>
#include <memory>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

namespace ebb::optim {

class ParameterList;

/// Whatever nn::parameters can be asked of.
template <class Model>
concept Trainable = !std::is_const_v<Model> && !std::same_as<Model, ParameterList> && !std::same_as<Model, Parameter> &&
                    !std::convertible_to<Model&, const std::vector<nn::NamedParameter>&>;

/// What an optimizer is to train: a model, nn::parameters(model), or a list {w, b}.
class ParameterList {
 public:
  template <Trainable Model> ParameterList(Model& model) : ParameterList(nn::parameters(model)) {}
  ParameterList(const std::vector<nn::NamedParameter>& parameters);
  ParameterList(std::initializer_list<std::reference_wrapper<Parameter>> parameters);

  using States = std::vector<std::shared_ptr<detail::ParameterState>>;
  const States& states() const { return states_; }

 private:
  States states_;
};

/// Changes parameters by their gradients.  It holds the parameters themselves, so it goes on when their model moves or
/// is assigned new numbers.
class Optimizer {
 public:
  virtual ~Optimizer();

  /// Changes every parameter by its gradient, and uses the gradients up: the next backward starts anew.
  /// Throws GraphError, and changes nothing, if no parameter has a gradient, or one has none and allow_missing is off.
  void step();

  /// The step size in force.
  double lr() const { return lr_; }
  /// Sets it for the steps to come; 0 lets the parameters rest.  Throws UsageError if it is negative or not finite.
  void lr(double rate);

  /// How many steps were made.
  std::int64_t steps() const { return steps_; }
  /// Throws the gradients away that wait for a step.
  void clear_gradients();
  /// What it is called in messages, e.g. "Adam".
  std::string_view name() const { return name_; }
  /// What it trains.
  const ParameterList::States& parameters() const { return parameters_; }

 protected:
  /// Keeps `kept` (0, 1 or 2) numbers for every number it trains, zero at first.  Throws UsageError if there are no
  /// parameters, one comes twice, or lr is not positive.
  Optimizer(std::string_view name, const ParameterList& parameters, double lr, int kept, bool allow_missing);
  Optimizer(Optimizer&&) = default;
  Optimizer& operator=(Optimizer&&) = default;

  /// One step; steps() counts it already.  Must not throw.
  virtual void update() = 0;

  /// Calls loop(turn) for every parameter that has a gradient, with a kernels::Turn of its own type of number.
  template <class Loop> void each(const Loop& loop) const {
    for (const Slot& slot : slots_) {
      if (slot.g == nullptr) continue;
      if (slot.dtype == f32) loop(turn<float>(slot));
      else loop(turn<double>(slot));
    }
  }

  /// Throws UsageError "Adam: beta1 must be in [0, 1), got 2" unless `good`.
  void check(bool good, std::string_view option, std::string_view must, double got) const;

 private:
  // Where one parameter's numbers lie; p and g hold for the length of a step.
  struct Slot {
    void* p = nullptr;
    const void* g = nullptr;
    void* m = nullptr;
    void* v = nullptr;
    std::int64_t n = 0;
    DType dtype = f32;
  };
  template <class T> static kernels::Turn<T> turn(const Slot& slot) {
    return {static_cast<T*>(slot.p), static_cast<const T*>(slot.g), static_cast<T*>(slot.m), static_cast<T*>(slot.v),
            slot.n};
  }
  void check_gradients() const;

  std::string name_;
  ParameterList::States parameters_;
  std::vector<Slot> slots_;   // one for each parameter, in order
  std::vector<Tensor> kept_;  // holds the buffers that m and v point into
  double lr_;
  std::int64_t steps_ = 0;
  bool allow_missing_;
};

}  // namespace ebb::optim
