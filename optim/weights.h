// Weights: all numbers of a model that training changes.
#pragma once

#include "../autograd/parameter.h"
#include "../nn/io/safetensors.h"
#include "../nn/module.h"
#include "optimizer.h"

#include <memory>
#include <string>
#include <vector>

namespace ebb::optim {

/// What a model lists, and what its optimizer trains besides.  It refers to both, so they must stay where they are.
class Weights {
 public:
  Weights() = default;
  Weights(const nn::Contents& model, const Optimizer& optimizer);

  /// By name; a parameter without one of its own goes by its place in the optimizer's list.  Throws UsageError if two
  /// have the same name.
  io::Tensors get() const;
  /// Throws UsageError, beginning with `source`, unless these are the same names, shapes and types; nothing has changed
  /// then.
  void set(const io::Tensors& numbers, const std::string& source, const char* holder, const char* outcome);

  /// Of all parameters, also those that rest.
  void clear_gradients();

  /// Copies: a replayed step changes the buffers in place.
  std::vector<Tensor> buffers() const;
  void buffers(const std::vector<Tensor>& numbers);

 private:
  struct Trained {
    std::string name;
    std::shared_ptr<detail::ParameterState> parameter;
  };
  struct Kept {
    std::string name;
    Tensor* tensor;
  };
  std::vector<Trained> trained_;
  std::vector<Kept> kept_;
};

}  // namespace ebb::optim
