// Adam and AdamW: steps scaled by running moments of the gradient.
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

}  // namespace ebb::optim
