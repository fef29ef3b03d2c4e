#include "weights.h"

#include "../autograd/error.h"

#include <fmt/format.h>

#include <unordered_set>

namespace ebb::optim {

Weights::Weights(const nn::Contents& model, const Optimizer& optimizer) {
  std::unordered_set<const detail::ParameterState*> listed;
  for (const nn::Contents::Trained& p : model.parameters) {
    trained_.push_back({p.name, p.parameter->state()});
    listed.insert(p.parameter->state().get());
  }
  std::size_t place = 0;
  for (const auto& parameter : optimizer.parameters()) {
    const std::string name = parameter->name.empty() ? fmt::format("parameter.{}", place) : parameter->name;
    if (listed.insert(parameter.get()).second) trained_.push_back({name, parameter});
    ++place;
  }
  // A Trainer refers to a model that is not const.
  for (const nn::Contents::Kept& b : model.buffers)
    if (b.tensor->defined()) kept_.push_back({b.name, const_cast<Tensor*>(b.tensor)});

  std::unordered_set<std::string> names;
  const auto enter = [&names](const std::string& name) {
    if (!names.insert(name).second)
      throw UsageError(fmt::format("Trainer: two of the numbers to be trained are called \"{}\"", name));
  };
  for (const Trained& t : trained_) enter(t.name);
  for (const Kept& k : kept_) enter(k.name);
}

io::Tensors Weights::get() const {
  io::Tensors numbers;
  for (const Trained& t : trained_) numbers.emplace(t.name, t.parameter->value);
  for (const Kept& k : kept_) numbers.emplace(k.name, *k.tensor);
  return numbers;
}

void Weights::set(const io::Tensors& numbers, const std::string& source) {
  nn::require_fit(numbers, get(), source);
  for (const Trained& t : trained_) t.parameter->value = numbers.at(t.name);
  for (const Kept& k : kept_) *k.tensor = numbers.at(k.name);
}

std::vector<Tensor> Weights::buffers() const {
  std::vector<Tensor> numbers;
  for (const Kept& k : kept_) numbers.push_back(*k.tensor);
  return numbers;
}

void Weights::buffers(const std::vector<Tensor>& numbers) {
  for (std::size_t i = 0; i < kept_.size(); ++i) *kept_[i].tensor = numbers[i];
}

}  // namespace ebb::optim
