#include "sgd.h"

#include "../autograd/error.h"

#include <cmath>

namespace ebb::optim {

SGD::SGD(const ParameterList& parameters, const SGDOptions& options)
    : Optimizer("SGD", parameters, options.lr, options.momentum != 0 ? 1 : 0, options.allow_missing),
      options_(options) {
  check(options.momentum >= 0 && options.momentum < 1, "momentum", "must be in [0, 1)", options.momentum);
  check(options.weight_decay >= 0 && std::isfinite(options.weight_decay), "weight_decay", "must not be negative",
        options.weight_decay);
  if (options.nesterov && options.momentum == 0)
    throw UsageError("SGD: nesterov looks ahead along the momentum, and momentum is 0");
}

void SGD::update() {
  const kernels::SGDStep step{lr(), options_.momentum, options_.weight_decay, options_.nesterov};
  each([&](const auto& turn) { kernels::sgd(turn, step); });
}

}  // namespace ebb::optim
