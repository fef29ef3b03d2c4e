#include "adam.h"

#include <cmath>

namespace ebb::optim {

Adam::Adam(const ParameterList& parameters, const AdamOptions& options)
    : Adam("Adam", parameters, options, /*decoupled=*/false) {}

Adam::Adam(std::string_view name, const ParameterList& parameters, const AdamOptions& options, bool decoupled)
    : Optimizer(name, parameters, options.lr, 2, options.allow_missing), options_(options), decoupled_(decoupled) {
  check(options.beta1 >= 0 && options.beta1 < 1, "beta1", "must be in [0, 1)", options.beta1);
  check(options.beta2 >= 0 && options.beta2 < 1, "beta2", "must be in [0, 1)", options.beta2);
  // As a float too: 0 / 0 would make NaN of a parameter whose gradient is 0.
  check(static_cast<float>(options.epsilon) > 0 && std::isfinite(options.epsilon), "epsilon",
        "must be positive, also as an f32", options.epsilon);
  check(options.weight_decay >= 0 && std::isfinite(options.weight_decay), "weight_decay", "must not be negative",
        options.weight_decay);
}

void Adam::update() {
  const auto t = static_cast<double>(steps());
  kernels::AdamStep step{};
  step.beta1 = options_.beta1;
  step.beta2 = options_.beta2;
  step.epsilon = options_.epsilon;
  step.rate = lr() / (1 - std::pow(options_.beta1, t));
  step.scale = 1 / std::sqrt(1 - std::pow(options_.beta2, t));
  step.l2 = decoupled_ ? 0 : options_.weight_decay;
  step.keep = decoupled_ ? 1 - lr() * options_.weight_decay : 1;
  each([&](const auto& turn) { kernels::adam(turn, step); });
}

AdamW::AdamW(const ParameterList& parameters, const AdamWOptions& options)
    : Adam("AdamW", parameters,
           {.lr = options.lr,
            .beta1 = options.beta1,
            .beta2 = options.beta2,
            .epsilon = options.epsilon,
            .weight_decay = options.weight_decay,
            .allow_missing = options.allow_missing},
           /*decoupled=*/true) {}

}  // namespace ebb::optim
