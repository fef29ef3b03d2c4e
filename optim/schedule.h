// Schedules: how the step size changes while training goes on.
//
// A schedule is a function that says which share of the optimizer's own lr is in force at step t, and a Schedule, which
// applies it.  Shares and not rates, so that the groups of an optimizer keep their proportions:
//   optim::Schedule schedule(adam, optim::warm_up({.steps = 100}, optim::cosine({.steps = 900})));
//   ... adam.step(); schedule.step();
// What a step is, a batch or an epoch, is whatever step() is called after.
#pragma once

#include "../nn/io/safetensors.h"
#include "optimizer.h"

#include <cstdint>
#include <functional>
#include <limits>
#include <optional>
#include <vector>

namespace ebb::optim {

/// The share of the optimizer's own lr at step t, counted from 0: one of the functions below, or of your own.
using Share = std::function<double(std::int64_t t)>;

struct StepDecayOptions {
  std::int64_t every = 1;  ///< steps from one drop to the next
  double factor = 0.1;     ///< what a drop leaves
};
/// factor^⌊t / every⌋.
Share step_decay(const StepDecayOptions& options);

struct MultiStepOptions {
  std::vector<std::int64_t> at = {};  ///< the steps with a drop, rising
  double factor = 0.1;                ///< what a drop leaves
};
/// factor^(how many of `at` are not after t).
Share multi_step(const MultiStepOptions& options);

/// factorᵗ.
Share exponential(double factor);

struct PolynomialOptions {
  std::int64_t steps = 0;  ///< from the first to where it ends; must be given
  double power = 1;        ///< 1: a straight line
  double floor = 0;        ///< the share from there on
};
/// floor + (1 − floor)·(1 − t/steps)^power.
Share polynomial(const PolynomialOptions& options);

struct CosineOptions {
  std::int64_t steps = 0;  ///< from the first to where it ends; must be given
  double floor = 0;        ///< the share from there on
};
/// floor + (1 − floor)·(1 + cos(π·t/steps))/2; it stays at its floor, while PyTorch's climbs again.
/// Source: Loshchilov & Hutter 2017, "SGDR: stochastic gradient descent with warm restarts".
Share cosine(const CosineOptions& options);

struct CosineRestartsOptions {
  std::int64_t steps = 0;   ///< of the first round; must be given
  std::int64_t growth = 1;  ///< each round is this many times as long as the one before
  double floor = 0;         ///< the share towards which a round falls
};
/// cosine() again and again, from 1 each time.
Share cosine_restarts(const CosineRestartsOptions& options);

struct OneCycleOptions {
  std::int64_t steps = 0;      ///< in all; must be given
  double rising = 0.3;         ///< which part of them climbs to the whole lr, in (0, 1)
  double start = 1.0 / 25;     ///< the share at the beginning
  double finish = 1.0 / 25e4;  ///< the share at the end
  bool linear = false;         ///< straight lines instead of half a cosine
};
/// From `start` up to 1, then down to `finish`: the optimizer's own lr is the peak.
/// Source: Smith & Topin 2019, "Super-convergence"; two phases as in PyTorch, which also moves the momentum.
Share one_cycle(const OneCycleOptions& options);

struct WarmUpOptions {
  std::int64_t steps = 0;  ///< until the whole lr; must be given
  double start = 1.0 / 3;  ///< the share at the beginning
};
/// A straight line from `start` to 1, then another schedule, whose t begins at 0 there; without one, 1.
Share warm_up(const WarmUpOptions& options, Share then = nullptr);

/// Moves an optimizer's step size along a schedule.
class Schedule {
 public:
  /// The optimizer's lr of now is the whole; it is set to its share at step 0.  The optimizer must stay where it is.
  /// Throws UsageError if there is no function, or its share is negative or not finite.
  Schedule(Optimizer& optimizer, Share share);
  virtual ~Schedule() = default;

  /// Moves on by one step; `measured` is for those that look at how training goes (Plateau), and the others let it be.
  /// Throws UsageError, having changed nothing, if the share there is negative or not finite.
  void step(std::optional<double> measured = {});
  /// How many steps were made.
  std::int64_t steps() const { return steps_; }
  /// Whose step size it moves.
  const Optimizer& optimizer() const { return *optimizer_; }
  /// The whole lr, of which it takes shares.
  double base_lr() const { return base_lr_; }

  /// All that changes from step to step.
  virtual io::Tensors state() const;
  /// Makes it go on from there, and sets the optimizer's lr.
  /// Throws UsageError, having changed nothing, if it is not the state of such a schedule.
  virtual void load_state(const io::Tensors& state);

 protected:
  /// For those that decide as they go: the lr stays as it is at first.
  explicit Schedule(Optimizer& optimizer);
  /// The share at step t; must have changed nothing if it throws.
  virtual double share(std::int64_t t, std::optional<double> measured);
  /// Sets all of it; throws UsageError, having changed nothing, if base_lr·share is no lr.
  void set(std::int64_t steps, double base_lr, double share);

 private:
  Optimizer* optimizer_;
  Share share_;
  double base_lr_;
  std::int64_t steps_ = 0;
};

struct PlateauOptions {
  double factor = 0.1;         ///< what a drop leaves, in (0, 1)
  std::int64_t patience = 10;  ///< so many steps without a better measurement are borne, and the next drops
  double threshold = 1e-4;     ///< what counts as better: by more than this share of the best
  std::int64_t cooldown = 0;   ///< so many steps after a drop are not counted
  double floor = 0;            ///< the share that stays
  bool highest = false;        ///< more is better, as of an accuracy
};

/// Lowers the step size when what is measured, e.g. the validation loss, gets no better: schedule.step(loss).
/// NaN is not better than anything.
class Plateau : public Schedule {
 public:
  explicit Plateau(Optimizer& optimizer, const PlateauOptions& options = {});

  io::Tensors state() const override;
  void load_state(const io::Tensors& state) override;

 private:
  double share(std::int64_t t, std::optional<double> measured) override;

  PlateauOptions options_;
  struct Course {
    double share = 1;
    double best = std::numeric_limits<double>::infinity();
    std::int64_t bad = 0, resting = 0;  // steps without a better one; steps of cooldown to come
  } course_;
};

}  // namespace ebb::optim
