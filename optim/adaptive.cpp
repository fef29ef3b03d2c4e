#include "adaptive.h"

namespace ebb::optim {

namespace {

KeptNumbers rmsprop_keeps(const RMSpropOptions& options) {
  KeptNumbers kept{{"square_avg"}};
  if (options.centered) kept.push_back({"grad_avg"});
  if (options.momentum != 0) kept.push_back({"momentum_buffer"});
  return kept;
}

}  // namespace

RMSprop::RMSprop(const ParameterList& parameters, const RMSpropOptions& options)
    : Optimizer("RMSprop", parameters,
                {.lr = options.lr,
                 .weight_decay = options.weight_decay,
                 .allow_missing = options.allow_missing,
                 .kept = rmsprop_keeps(options)}),
      options_(options) {
  check_share("alpha", options.alpha);
  check_epsilon(options.epsilon);
  check_share("momentum", options.momentum);
}

void RMSprop::update() {
  const kernels::RMSpropStep step{.alpha = options_.alpha,
                                  .epsilon = options_.epsilon,
                                  .momentum = options_.momentum,
                                  .centered = options_.centered};
  each([&](const auto& turn) { kernels::rmsprop(turn, step); });
}

Adagrad::Adagrad(const ParameterList& parameters, const AdagradOptions& options)
    : Optimizer("Adagrad", parameters,
                {.lr = options.lr,
                 .weight_decay = options.weight_decay,
                 .allow_missing = options.allow_missing,
                 .kept = {{"sum", options.initial_accumulator}}}),
      options_(options) {
  check_not_negative("lr_decay", options.lr_decay);
  check_epsilon(options.epsilon);
  check_not_negative("initial_accumulator", options.initial_accumulator);
}

void Adagrad::update() {
  const kernels::AdagradStep step{.epsilon = options_.epsilon,
                                  .slowed = 1 + static_cast<double>(steps() - 1) * options_.lr_decay};
  each([&](const auto& turn) { kernels::adagrad(turn, step); });
}

Adadelta::Adadelta(const ParameterList& parameters, const AdadeltaOptions& options)
    : Optimizer("Adadelta", parameters,
                {.lr = options.lr,
                 .weight_decay = options.weight_decay,
                 .allow_missing = options.allow_missing,
                 .kept = {{"square_avg"}, {"acc_delta"}}}),
      options_(options) {
  check_share("rho", options.rho);
  check_epsilon(options.epsilon);
}

void Adadelta::update() {
  const kernels::AdadeltaStep step{.rho = options_.rho, .epsilon = options_.epsilon};
  each([&](const auto& turn) { kernels::adadelta(turn, step); });
}

}  // namespace ebb::optim
