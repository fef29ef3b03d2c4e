// Optimizer: what every way of changing parameters by their gradients shares.
//
// An optimizer of one's own is a class like those of sgd.h and adam.h: an options struct, a constructor that checks it,
// and update(), which calls each() with the loop over one parameter's numbers.
//
// Weight decay has one of two meanings, and each optimizer's options say which (kernels::descend applies both):
//   L2         SGD, Adam and most: weight_decay·p joins the gradient inside the update (the stored gradient stays as it
//              was), as if the loss held ½·weight_decay·Σp².
//   decoupled  AdamW, Lion: p loses lr·weight_decay·p, whatever its gradient.
#pragma once

#include "../autograd/kernels/optimizer.h"
#include "../autograd/parameter.h"
#include "../nn/io/safetensors.h"
#include "../nn/module.h"

#include <array>
#include <concepts>
#include <cstdint>
#include <functional>
#include <initializer_list>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

namespace ebb::optim {

class ParameterList;
class Group;

/// Whatever nn::parameters can be asked of.
template <class Model>
concept Trainable =
    !std::is_const_v<Model> && !std::same_as<Model, ParameterList> && !std::same_as<Model, Group> &&
    !std::same_as<Model, Parameter> && !std::convertible_to<Model&, const std::vector<nn::NamedParameter>&>;

/// What a group of parameters does differently; what it leaves open is as the optimizer's options say.
struct GroupOptions {
  std::optional<double> lr = {};            ///< step size; 0 lets the group rest.  lr(rate) changes it in proportion
  std::optional<double> weight_decay = {};  ///< in the meaning of the optimizer
};

/// What an optimizer is to train: a model, nn::parameters(model), a list {w, b}, or groups
/// {{model.body, {.lr = 1e-4}}, {model.head, {}}}.
class ParameterList {
 public:
  template <Trainable Model> ParameterList(Model& model) : ParameterList(nn::parameters(model)) {}
  ParameterList(const std::vector<nn::NamedParameter>& parameters);
  ParameterList(std::initializer_list<std::reference_wrapper<Parameter>> parameters);
  ParameterList(std::initializer_list<Group> groups);

  using States = std::vector<std::shared_ptr<detail::ParameterState>>;
  const States& states() const { return states_; }
  /// What each is called in a saved state: its path in what was given, or its place if paths are missing or not unique.
  std::vector<std::string> keys() const;
  const std::vector<GroupOptions>& groups() const { return groups_; }
  /// The group of each.
  const std::vector<std::size_t>& group_of() const { return group_of_; }

 private:
  States states_;
  std::vector<std::string> paths_;
  std::vector<GroupOptions> groups_{GroupOptions{}};
  std::vector<std::size_t> group_of_;
};

/// Parameters that are trained with options of their own: a model's, one, or a list's, whose groups keep what they set.
class Group {
 public:
  template <Trainable Model> Group(Model& model, const GroupOptions& options) : Group(ParameterList(model), options) {}
  Group(Parameter& parameter, const GroupOptions& options) : Group(ParameterList{parameter}, options) {}
  Group(const ParameterList& parameters, const GroupOptions& options) : parameters_(parameters), options_(options) {}

 private:
  friend class ParameterList;
  ParameterList parameters_;
  GroupOptions options_;
};

/// What weight decay means to an optimizer: see the head of this file.
enum class Decay { l2, decoupled };

/// A number that an optimizer keeps for every number that it trains.
struct KeptNumber {
  std::string name;  ///< in a saved state, as PyTorch calls it
  double start = 0;
};
using KeptNumbers = std::vector<KeptNumber>;

/// What an optimizer tells its base.
struct OptimizerOptions {
  double lr = 0;
  double weight_decay = 0;
  Decay decay = Decay::l2;
  bool allow_missing = false;
  KeptNumbers kept = {};  ///< at most kernels::Turn::most_kept
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
  /// Sets it for the steps to come, and that of the groups in proportion; 0 lets the parameters rest.
  /// Throws UsageError if it is negative or not finite.
  void lr(double rate);
  /// The step size of a group in force.  Throws IndexError.
  double group_lr(std::size_t group) const;

  /// All that changes from step to step, but for the parameters: "step", "lr", and what is kept for each parameter as
  /// "exp_avg.encoder.weight".  A snapshot: later steps do not change it.
  io::Tensors state() const;
  /// Makes it go on from there: with the same parameters and options, as if it had never stopped, bit for bit.
  /// Throws UsageError, having changed nothing, if names, shapes or types are not those of this optimizer's state.
  void load_state(const io::Tensors& state);

  /// How many steps were made.
  std::int64_t steps() const { return steps_; }
  /// Throws the gradients away that wait for a step.
  void clear_gradients();
  /// What it is called in messages, e.g. "Adam".
  std::string_view name() const { return name_; }
  /// What it trains.
  const ParameterList::States& parameters() const { return parameters_; }

 protected:
  /// Throws UsageError if there are no parameters (also in a group), one comes twice, lr is not positive, or a
  /// weight_decay or a group's lr is negative.
  Optimizer(std::string_view name, const ParameterList& parameters, const OptimizerOptions& options);
  Optimizer(Optimizer&&) = default;
  Optimizer& operator=(Optimizer&&) = default;

  /// Whatever of a step can fail; called before anything has changed, and before gradients are asked for.
  virtual void prepare() {}
  /// One step; steps() counts it already.  Must not throw.
  virtual void update() = 0;
  /// Throws what step() throws if there are no gradients to go by, and UsageError if this was moved from.
  void check_gradients() const;
  /// For one that makes its steps itself: counts one, and throws the gradients away.
  void count_step();
  /// What an optimizer keeps besides numbers for each number, under names without a dot.
  virtual io::Tensors own_state() const { return {}; }
  /// Takes it back.  Throws UsageError, having changed nothing, if it is not whole or holds anything else.
  virtual void load_own_state(const io::Tensors& state);

  /// Calls loop(turn) for every parameter that has a gradient, with a kernels::Turn of its own type of number.
  template <class Loop> void each(const Loop& loop) const {
    for (const Slot& slot : slots_) {
      if (slot.g == nullptr) continue;
      if (slot.dtype == f32) loop(turn<float>(slot));
      else loop(turn<double>(slot));
    }
  }

  /// Throws UsageError if this was moved from; `asked` is what was called.
  void must_be_here(std::string_view asked) const;
  /// Throws UsageError "Adam: beta1 must be in [0, 1), got 2" unless `good`.
  void check(bool good, std::string_view option, std::string_view must, double got) const;
  /// Throws unless the option is a number from 0 on.
  void check_not_negative(std::string_view option, double got) const;
  /// Throws unless the option is a share that something keeps each step: in [0, 1).
  void check_share(std::string_view option, double got) const;
  /// Throws unless the options' beta1 and beta2 are shares, and epsilon what check_epsilon() wants.
  void check_moments(const auto& options) const {
    check_share("beta1", options.beta1);
    check_share("beta2", options.beta2);
    check_epsilon(options.epsilon);
  }
  /// Throws unless it is positive, also as a float: 0 / 0 would make NaN of a parameter whose gradient is 0.
  void check_epsilon(double got) const;

 private:
  static constexpr std::size_t most_kept = kernels::Turn<float>::most_kept;
  // Where one parameter's numbers lie; p, g and kept hold for the length of a step.
  struct Slot {
    void* p = nullptr;
    const void* g = nullptr;
    std::array<void*, most_kept> kept{};
    std::int64_t n = 0;
    DType dtype = f32;
    std::size_t group = 0;
  };
  template <class T> kernels::Turn<T> turn(const Slot& slot) const {
    const double rate = group_lr(slot.group), decay = weight_decays_[slot.group];
    kernels::Turn<T> turn{static_cast<T*>(slot.p), static_cast<const T*>(slot.g), {}, slot.n, rate, 0, 1};
    for (std::size_t k = 0; k < most_kept; ++k) turn.kept[k] = static_cast<T*>(slot.kept[k]);
    if (decay_ == Decay::l2) turn.l2 = decay;
    else turn.keep = 1 - rate * decay;
    return turn;
  }

  std::string name_;
  ParameterList::States parameters_;
  std::vector<std::string> keys_;  // what each is called in a saved state
  std::vector<std::string> kept_names_;
  std::vector<Slot> slots_;                   // one for each parameter, in order
  std::vector<Tensor> kept_;                  // of each parameter in order, as many as there are names
  std::vector<std::optional<double>> rates_;  // of the groups that have their own
  std::vector<double> weight_decays_;         // of the groups
  double base_lr_;                            // to which rates_ are in proportion
  double lr_;
  std::int64_t steps_ = 0;
  Decay decay_;
  bool allow_missing_;
};

}  // namespace ebb::optim
