#include "adam.h"

#include <cmath>

namespace ebb::optim {

Adam::Adam(const ParameterList& parameters, const AdamOptions& options)
    : Adam("Adam", parameters, options, Decay::l2) {}

Adam::Adam(std::string_view name, const ParameterList& parameters, const AdamOptions& options, Decay decay)
    : Optimizer(name, parameters,
                {.lr = options.lr,
                 .weight_decay = options.weight_decay,
                 .decay = decay,
                 .allow_missing = options.allow_missing,
                 .kept = options.amsgrad ? KeptNumbers{{"exp_avg"}, {"exp_avg_sq"}, {"max_exp_avg_sq"}}
                                         : KeptNumbers{{"exp_avg"}, {"exp_avg_sq"}}}),
      options_(options) {
  check_share("beta1", options.beta1);
  check_share("beta2", options.beta2);
  check_epsilon(options.epsilon);
}

void Adam::update() {
  const auto t = static_cast<double>(steps());
  const kernels::AdamStep step{.beta1 = options_.beta1,
                               .beta2 = options_.beta2,
                               .epsilon = options_.epsilon,
                               .correction = 1 - std::pow(options_.beta1, t),
                               .scale = 1 / std::sqrt(1 - std::pow(options_.beta2, t))};
  each([&](const auto& turn) { kernels::adam(turn, step); });
}

AdamW::AdamW(const ParameterList& parameters, const AdamWOptions& options)
    : Adam("AdamW", parameters,
           {.lr = options.lr,
            .beta1 = options.beta1,
            .beta2 = options.beta2,
            .epsilon = options.epsilon,
            .weight_decay = options.weight_decay,
            .amsgrad = options.amsgrad,
            .allow_missing = options.allow_missing},
           Decay::decoupled) {}

}  // namespace ebb::optim
