// RMSprop, Adagrad and Adadelta: steps scaled by the size that each number's gradients had so far.
#pragma once

#include "optimizer.h"

namespace ebb::optim {

struct RMSpropOptions {
  double lr = 1e-2;            ///< step size, in units of the parameter
  double alpha = 0.99;         ///< share of the old mean square kept each step, in [0, 1)
  double epsilon = 1e-8;       ///< added outside the square root
  double weight_decay = 0;     ///< L2 (see optimizer.h)
  double momentum = 0;         ///< share of the old direction that stays in each step, in [0, 1)
  bool centered = false;       ///< divides by the deviation of the gradient, instead of its mean size
  bool allow_missing = false;  ///< parameters without a gradient rest, instead of being an error
};

/// v ← alpha·v + (1 − alpha)·g²,  p ← p − lr·g / (√v + epsilon).
/// Source: Hinton 2012, "Neural networks for machine learning", lecture 6; centered: Graves 2013, "Generating sequences
/// with recurrent neural networks".
class RMSprop : public Optimizer {
 public:
  explicit RMSprop(const ParameterList& parameters, const RMSpropOptions& options = {});

 private:
  void update() override;

  RMSpropOptions options_;
};

struct AdagradOptions {
  double lr = 1e-2;                ///< step size, in units of the parameter
  double lr_decay = 0;             ///< the t-th step goes lr / (1 + (t − 1)·lr_decay)
  double epsilon = 1e-10;          ///< added outside the square root
  double weight_decay = 0;         ///< L2 (see optimizer.h)
  double initial_accumulator = 0;  ///< the sum before the first step
  bool allow_missing = false;      ///< parameters without a gradient rest, instead of being an error
};

/// s ← s + g²,  p ← p − lr·g / (√s + epsilon).
/// Source: Duchi, Hazan & Singer 2011, "Adaptive subgradient methods for online learning and stochastic optimization".
class Adagrad : public Optimizer {
 public:
  explicit Adagrad(const ParameterList& parameters, const AdagradOptions& options = {});

 private:
  void update() override;

  AdagradOptions options_;
};

struct AdadeltaOptions {
  double lr = 1;               ///< share of its own step size that is gone
  double rho = 0.9;            ///< share of the old mean squares kept each step, in [0, 1)
  double epsilon = 1e-6;       ///< added inside the square roots
  double weight_decay = 0;     ///< L2 (see optimizer.h)
  bool allow_missing = false;  ///< parameters without a gradient rest, instead of being an error
};

/// v ← rho·v + (1 − rho)·g²,  d = √((u + epsilon)/(v + epsilon))·g,  u ← rho·u + (1 − rho)·d²,  p ← p − lr·d.
/// Source: Zeiler 2012, "Adadelta: an adaptive learning rate method".
class Adadelta : public Optimizer {
 public:
  explicit Adadelta(const ParameterList& parameters, const AdadeltaOptions& options = {});

 private:
  void update() override;

  AdadeltaOptions options_;
};

}  // namespace ebb::optim
