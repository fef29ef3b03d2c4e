// Adam and its kin: steps scaled by running moments of the gradient.
#pragma once

#include "optimizer.h"

namespace ebb::optim {

struct AdamOptions {
  double lr = 1e-3;            ///< step size, in units of the parameter
  double beta1 = 0.9;          ///< share of the old first moment kept each step, in [0, 1)
  double beta2 = 0.999;        ///< the same for the second moment
  double epsilon = 1e-8;       ///< added outside the square root
  double weight_decay = 0;     ///< L2 (see optimizer.h)
  bool amsgrad = false;        ///< divides by the largest second moment so far, so that no step grows back
  bool allow_missing = false;  ///< parameters without a gradient rest, instead of being an error
};

/// m ← beta1·m + (1 − beta1)·g,  v ← beta2·v + (1 − beta2)·g²,  p ← p − lr·m̂ / (√v̂ + epsilon), where
/// m̂ = m / (1 − beta1ᵗ) and v̂ = v / (1 − beta2ᵗ) make up for m and v starting from 0; t counts the optimizer's steps.
/// Source: Kingma & Ba 2015, "Adam: a method for stochastic optimization", algorithm 1; amsgrad: Reddi, Kale & Kumar
/// 2018, "On the convergence of Adam and beyond".
class Adam : public Optimizer {
 public:
  explicit Adam(const ParameterList& parameters, const AdamOptions& options = {});

 protected:
  Adam(std::string_view name, const ParameterList& parameters, const AdamOptions& options, Decay decay);

 private:
  void update() override;

  AdamOptions options_;
};

struct AdamWOptions {
  double lr = 1e-3;            ///< step size, in units of the parameter
  double beta1 = 0.9;          ///< share of the old first moment kept each step, in [0, 1)
  double beta2 = 0.999;        ///< the same for the second moment
  double epsilon = 1e-8;       ///< added outside the square root
  double weight_decay = 1e-2;  ///< decoupled (see optimizer.h)
  bool amsgrad = false;        ///< divides by the largest second moment so far, so that no step grows back
  bool allow_missing = false;  ///< parameters without a gradient rest, instead of being an error
};

/// Adam whose weight decay is decoupled from the gradient.
/// Source: Loshchilov & Hutter 2019, "Decoupled weight decay regularization".
class AdamW : public Adam {
 public:
  explicit AdamW(const ParameterList& parameters, const AdamWOptions& options = {});
};

struct AdamaxOptions {
  double lr = 2e-3;            ///< step size, in units of the parameter
  double beta1 = 0.9;          ///< share of the old first moment kept each step, in [0, 1)
  double beta2 = 0.999;        ///< what a step leaves of the largest gradient, in [0, 1)
  double epsilon = 1e-8;       ///< added to the size of the gradient
  double weight_decay = 0;     ///< L2 (see optimizer.h)
  bool allow_missing = false;  ///< parameters without a gradient rest, instead of being an error
};

/// Adam whose steps are scaled by the largest of the recent gradients: u ← max(beta2·u, |g| + epsilon),
/// p ← p − lr·m̂ / u.  Source: Kingma & Ba 2015, algorithm 2.
class Adamax : public Optimizer {
 public:
  explicit Adamax(const ParameterList& parameters, const AdamaxOptions& options = {});

 private:
  void update() override;

  AdamaxOptions options_;
};

struct NAdamOptions {
  double lr = 2e-3;         ///< step size, in units of the parameter
  double beta1 = 0.9;       ///< share of the old first moment kept each step, in [0, 1)
  double beta2 = 0.999;     ///< the same for the second moment
  double epsilon = 1e-8;    ///< added outside the square root
  double weight_decay = 0;  ///< L2 (see optimizer.h)
  double momentum_decay =
      4e-3;  ///< how soon the momentum is at its whole: μₜ = beta1·(1 − 0.96^(t·momentum_decay) / 2)
  bool allow_missing = false;  ///< parameters without a gradient rest, instead of being an error
};

/// Adam that looks ahead along its momentum:
/// p ← p − lr·((1 − μₜ)/(1 − μ₁···μₜ)·g + μₜ₊₁/(1 − μ₁···μₜ₊₁)·m) / (√v̂ + epsilon).
/// Source: Dozat 2016, "Incorporating Nesterov momentum into Adam"; as PyTorch's with foreach, while that of 1.13 without
/// has μₜ twice in μ₁···μₜ₊₁.
class NAdam : public Optimizer {
 public:
  explicit NAdam(const ParameterList& parameters, const NAdamOptions& options = {});

 private:
  void update() override;
  io::Tensors own_state() const override;
  void load_own_state(const io::Tensors& state) override;

  NAdamOptions options_;
  double mu_product_ = 1;  // μ₁···μₜ
};

struct RAdamOptions {
  double lr = 1e-3;            ///< step size, in units of the parameter
  double beta1 = 0.9;          ///< share of the old first moment kept each step, in [0, 1)
  double beta2 = 0.999;        ///< the same for the second moment
  double epsilon = 1e-8;       ///< added outside the square root
  double weight_decay = 0;     ///< L2 (see optimizer.h)
  bool allow_missing = false;  ///< parameters without a gradient rest, instead of being an error
};

/// Adam that trusts the second moment as far as it rests on enough steps: p ← p − lr·r·m̂·√(1 − beta2ᵗ)/(√v + epsilon),
/// and p ← p − lr·m̂ in the first few.
/// Source: Liu, Jiang, He, Chen, Liu, Gao & Han 2020, "On the variance of the adaptive learning rate and beyond".
class RAdam : public Optimizer {
 public:
  explicit RAdam(const ParameterList& parameters, const RAdamOptions& options = {});

 private:
  void update() override;

  RAdamOptions options_;
};

}  // namespace ebb::optim
