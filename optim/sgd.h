// SGD: stochastic gradient descent.
#pragma once

#include "optimizer.h"

namespace ebb::optim {

struct SGDOptions {
  double lr = 1e-2;            ///< step size
  double momentum = 0;         ///< share of the old direction that stays in each step, in [0, 1)
  bool nesterov = false;       ///< looks ahead along the momentum; needs some
  double weight_decay = 0;     ///< L2 (see optimizer.h)
  bool allow_missing = false;  ///< parameters without a gradient rest, instead of being an error
};

/// p ← p − lr·g.  With momentum m ← momentum·m + g, and p ← p − lr·m, or with Nesterov's p ← p − lr·(g + momentum·m).
/// Source: Sutskever, Martens, Dahl & Hinton 2013, with the learning rate outside of m, as in PyTorch.
class SGD : public Optimizer {
 public:
  explicit SGD(const ParameterList& parameters, const SGDOptions& options = {});

 private:
  void update() override;

  SGDOptions options_;
};

}  // namespace ebb::optim
