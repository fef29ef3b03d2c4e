#include "adam.h"

#include "state.h"

#include <fmt/format.h>

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
  check_moments(options);
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

Adamax::Adamax(const ParameterList& parameters, const AdamaxOptions& options)
    : Optimizer("Adamax", parameters,
                {.lr = options.lr,
                 .weight_decay = options.weight_decay,
                 .allow_missing = options.allow_missing,
                 .kept = {{"exp_avg"}, {"exp_inf"}}}),
      options_(options) {
  check_moments(options);
}

void Adamax::update() {
  const kernels::AdamaxStep step{.beta1 = options_.beta1,
                                 .beta2 = options_.beta2,
                                 .epsilon = options_.epsilon,
                                 .correction = 1 - std::pow(options_.beta1, static_cast<double>(steps()))};
  each([&](const auto& turn) { kernels::adamax(turn, step); });
}

NAdam::NAdam(const ParameterList& parameters, const NAdamOptions& options)
    : Optimizer("NAdam", parameters,
                {.lr = options.lr,
                 .weight_decay = options.weight_decay,
                 .allow_missing = options.allow_missing,
                 .kept = {{"exp_avg"}, {"exp_avg_sq"}}}),
      options_(options) {
  check_moments(options);
  check_not_negative("momentum_decay", options.momentum_decay);
}

void NAdam::update() {
  const auto t = static_cast<double>(steps());
  const auto mu_at = [&](double step) {
    return options_.beta1 * (1 - 0.5 * std::pow(0.96, step * options_.momentum_decay));
  };
  const double mu = mu_at(t), mu_next = mu_at(t + 1);
  mu_product_ *= mu;
  const kernels::NAdamStep step{.beta1 = options_.beta1,
                                .beta2 = options_.beta2,
                                .epsilon = options_.epsilon,
                                .scale = 1 / std::sqrt(1 - std::pow(options_.beta2, t)),
                                .now = (1 - mu) / (1 - mu_product_),
                                .momentum = mu_next / (1 - mu_product_ * mu_next)};
  each([&](const auto& turn) { kernels::nadam(turn, step); });
}

io::Tensors NAdam::own_state() const { return {{"mu_product", full({}, mu_product_, f64)}}; }

void NAdam::load_own_state(const io::Tensors& state) {
  StateReader reader(name(), state);
  const double mu_product = reader.number("mu_product");
  if (mu_product < 0 || mu_product > 1) reader.complain(fmt::format("mu_product is {}", mu_product));
  reader.finish();
  mu_product_ = mu_product;
}

RAdam::RAdam(const ParameterList& parameters, const RAdamOptions& options)
    : Optimizer("RAdam", parameters,
                {.lr = options.lr,
                 .weight_decay = options.weight_decay,
                 .allow_missing = options.allow_missing,
                 .kept = {{"exp_avg"}, {"exp_avg_sq"}}}),
      options_(options) {
  check_moments(options);
}

void RAdam::update() {
  const auto t = static_cast<double>(steps());
  const double decayed = std::pow(options_.beta2, t), correction2 = 1 - decayed;
  // How many steps the second moment rests on, in the long run and now.
  const double most = 2 / (1 - options_.beta2) - 1, now = most - 2 * t * decayed / correction2;
  const double rectified =
      now > 5 ? std::sqrt((now - 4) * (now - 2) * most / ((most - 4) * (most - 2) * now) * correction2) : 0;
  const kernels::RAdamStep step{.beta1 = options_.beta1,
                                .beta2 = options_.beta2,
                                .epsilon = options_.epsilon,
                                .correction = 1 - std::pow(options_.beta1, t),
                                .rectified = rectified};
  each([&](const auto& turn) { kernels::radam(turn, step); });
}

}  // namespace ebb::optim
