#include "weights.h"

#include "../autograd/error.h"
#include "../autograd/op.h"

#include <fmt/format.h>

#include <unordered_set>

namespace ebb::optim {

Weights::Weights(const nn::Contents& model, const Optimizer& optimizer) {
  std::unordered_set<const detail::ParameterState*> listed;
  for (const nn::Contents::Trained& p : model.parameters) {
    trained_.push_back({p.name, p.parameter->state()});
    listed.insert(p.parameter->state().get());
  }
  // Two of these may bear one name, as layers do that were visited alone.
  std::unordered_set<std::string> taken;
  for (const Trained& t : trained_) taken.insert(t.name);
  std::size_t place = 0;
  for (const auto& parameter : optimizer.parameters()) {
    const std::string own = fmt::format("parameter.{}", place++);
    if (!listed.insert(parameter.get()).second) continue;
    const bool free = !parameter->name.empty() && taken.insert(parameter->name).second;
    trained_.push_back({free ? parameter->name : own, parameter});
  }
  // A Trainer refers to a model that is not const.
  for (const nn::Contents::Kept& b : model.buffers)
    if (b.tensor->defined()) kept_.push_back({b.name, const_cast<Tensor*>(b.tensor)});
}

io::Tensors Weights::get() const {
  io::Tensors numbers;
  const auto add = [&numbers](const std::string& name, const Tensor& value) {
    if (!numbers.emplace(name, value).second)
      throw UsageError(fmt::format("Trainer: two of the numbers to be trained are called \"{}\"", name));
  };
  for (const Trained& t : trained_) add(t.name, t.parameter->value);
  for (const Kept& k : kept_) add(k.name, *k.tensor);
  return numbers;
}

void Weights::set(const io::Tensors& numbers, const std::string& source, const char* holder, const char* outcome) {
  nn::require_fit(numbers, get(), source, holder, outcome);
  for (const Trained& t : trained_) t.parameter->value = numbers.at(t.name);
  for (const Kept& k : kept_) *k.tensor = numbers.at(k.name);
}

void Weights::clear_gradients() {
  for (const Trained& t : trained_) t.parameter->grad = Tensor();
}

std::vector<Tensor> Weights::buffers() const {
  std::vector<Tensor> numbers;
  for (const Kept& k : kept_) detail::writable(numbers.emplace_back(*k.tensor));
  return numbers;
}

void Weights::buffers(const std::vector<Tensor>& numbers) {
  for (std::size_t i = 0; i < kept_.size(); ++i) *kept_[i].tensor = numbers[i];
}

}  // namespace ebb::optim
