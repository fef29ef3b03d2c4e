// Averages of weights: a copied model whose numbers follow those of the one that trains.
#pragma once

#include "../nn/module.h"

#include <type_traits>

namespace ebb::optim {

/// Moves the parameters of one model towards those of another.
void follow(const nn::Contents& average, const nn::Contents& model, double decay);

/// average ← decay·average + (1 − decay)·model for every parameter; buffers are copied.  Made to run after each step:
///   Net average = net;  ...  adam.step();  optim::ema_update(average, net, 0.999);
/// Throws UsageError, having changed nothing, if decay is not in [0, 1] or the two do not have the same parameters.
template <class Model> void ema_update(Model& average, const Model& model, double decay) {
  static_assert(!std::is_const_v<Model>, "ema_update changes its first model, so it must not be const");
  follow(nn::contents(average), nn::contents(model), decay);
}

}  // namespace ebb::optim
