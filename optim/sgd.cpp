#include "sgd.h"

#include "../autograd/error.h"

namespace ebb::optim {

SGD::SGD(const ParameterList& parameters, const SGDOptions& options)
    : Optimizer("SGD", parameters,
                {.lr = options.lr,
                 .weight_decay = options.weight_decay,
                 .allow_missing = options.allow_missing,
                 .kept = options.momentum != 0 ? KeptNumbers{{"momentum_buffer"}} : KeptNumbers{}}),
      options_(options) {
  check_share("momentum", options.momentum);
  if (options.nesterov && options.momentum == 0)
    throw UsageError("SGD: nesterov looks ahead along the momentum, and momentum is 0");
}

void SGD::update() {
  const kernels::SGDStep step{options_.momentum, options_.nesterov};
  each([&](const auto& turn) { kernels::sgd(turn, step); });
}

}  // namespace ebb::optim
