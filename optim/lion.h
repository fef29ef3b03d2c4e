// Lion: steps of one size, in the direction of the momentum's sign.
#pragma once

#include "optimizer.h"

namespace ebb::optim {

struct LionOptions {
  double lr = 1e-4;            ///< step size, in units of the parameter: a third to a tenth of Adam's
  double beta1 = 0.9;          ///< share of the momentum in the direction, in [0, 1)
  double beta2 = 0.99;         ///< share of the old momentum kept each step, in [0, 1)
  double weight_decay = 0;     ///< decoupled (see optimizer.h); 3 to 10 times as much as AdamW's
  bool allow_missing = false;  ///< parameters without a gradient rest, instead of being an error
};

/// p ← p − lr·sign(beta1·m + (1 − beta1)·g),  then m ← beta2·m + (1 − beta2)·g.
/// Source: Chen et al. 2023, "Symbolic discovery of optimization algorithms", algorithm 2.
class Lion : public Optimizer {
 public:
  explicit Lion(const ParameterList& parameters, const LionOptions& options = {});

 private:
  void update() override;

  LionOptions options_;
};

}  // namespace ebb::optim
