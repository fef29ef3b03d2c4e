#include "lion.h"

namespace ebb::optim {

Lion::Lion(const ParameterList& parameters, const LionOptions& options)
    : Optimizer("Lion", parameters,
                {.lr = options.lr,
                 .weight_decay = options.weight_decay,
                 .decay = Decay::decoupled,
                 .allow_missing = options.allow_missing,
                 .kept = {{"exp_avg"}}}),
      options_(options) {
  check_share("beta1", options.beta1);
  check_share("beta2", options.beta2);
}

void Lion::update() {
  const kernels::LionStep step{.beta1 = options_.beta1, .beta2 = options_.beta2};
  each([&](const auto& turn) { kernels::lion(turn, step); });
}

}  // namespace ebb::optim
