#include "average.h"

#include "../autograd/error.h"
#include "../autograd/kernels/optimizer.h"
#include "../autograd/op.h"

#include <fmt/format.h>

namespace ebb::optim {

namespace {

void check(const nn::Contents& average, const nn::Contents& model, double decay) {
  if (!(decay >= 0 && decay <= 1)) throw UsageError(fmt::format("ema_update: decay must be in [0, 1], got {}", decay));
  if (average.parameters.size() != model.parameters.size() || average.buffers.size() != model.buffers.size())
    throw UsageError(fmt::format("ema_update: one model has {} parameters and {} buffers, the other {} and {}",
                                 average.parameters.size(), average.buffers.size(), model.parameters.size(),
                                 model.buffers.size()));
  for (std::size_t i = 0; i < model.parameters.size(); ++i) {
    const Parameter& a = *average.parameters[i].parameter;
    const Parameter& p = *model.parameters[i].parameter;
    if (a.state() == p.state())
      throw UsageError(fmt::format("ema_update: {} is the same parameter in both; the average must be a copy",
                                   model.parameters[i].name));
    if (a.shape() != p.shape() || a.dtype() != p.dtype())
      throw UsageError(fmt::format("ema_update: {} is {} {} in the average, {} {} in the model",
                                   model.parameters[i].name, to_string(a.dtype()), to_string(a.shape()),
                                   to_string(p.dtype()), to_string(p.shape())));
  }
}

}  // namespace

void follow(const nn::Contents& average, const nn::Contents& model, double decay) {
  check(average, model, decay);
  // Memory can run out only here: numbers that someone else still holds are copied.
  for (const nn::Contents::Trained& a : average.parameters) detail::writable(a.parameter->state()->value);
  for (std::size_t i = 0; i < model.parameters.size(); ++i) {
    Tensor& a = average.parameters[i].parameter->state()->value;
    const Tensor p = model.parameters[i].parameter->value();
    if (a.dtype() == f32)
      kernels::approach(static_cast<float*>(detail::writable(a)), p.data<float>().data(), p.size(), 1 - decay);
    else kernels::approach(static_cast<double*>(detail::writable(a)), p.data<double>().data(), p.size(), 1 - decay);
  }
  // The average that was visited is not const: ema_update asks for that.
  for (std::size_t i = 0; i < model.buffers.size(); ++i)
    *const_cast<Tensor*>(average.buffers[i].tensor) = *model.buffers[i].tensor;
}

}  // namespace ebb::optim
