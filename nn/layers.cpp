#include "layers.h"

#include "../autograd/error.h"
#include "../autograd/ops.h"
#include "mode.h"

#include <fmt/format.h>

namespace ebb::nn {

namespace {

std::string dense_kind(std::int64_t in, std::int64_t out) {
  std::string kind = fmt::format("Dense({} -> {})", in, out);
  if (in < 1 || out < 1) throw UsageError(fmt::format("{}: sizes must be at least 1", kind));
  return kind;
}

}  // namespace

// The label is made first, whatever the order of the fields: it checks the sizes.
Dense::Dense(std::int64_t in, std::int64_t out, const DenseOptions& options)
    : Dense(Label(dense_kind(in, out)), in, out, options) {}

Dense::Dense(Label&& checked, std::int64_t in, std::int64_t out, const DenseOptions& options)
    : weight(options.init({out, in}, options.dtype, default_generator())),
      bias(zeros({options.bias ? out : 0}, options.dtype)),
      label(std::move(checked)) {}

Tensor Dense::operator()(const Tensor& x) const {
  const Scope scope = label.scope();
  const Tensor w = weight;  // one after the other: the order in which a graph meets them is the same with every compiler
  if (bias.size() == 0) return matmul(x, w, {.tb = true});
  return affine(x, w, bias);
}

void Dense::ebb_visit(Visitor& visitor) const {
  visitor.fields("label, weight", label, weight);
  if (bias.size() == 0) visitor.skip(bias);
  else visitor.field("bias", bias);
}

Dropout::Dropout(double probability) : p(probability), label(fmt::format("Dropout({})", probability)) {
  if (!(p >= 0 && p < 1)) throw UsageError(fmt::format("{}: the probability must be in [0, 1)", label.kind()));
}

Tensor Dropout::operator()(const Tensor& x) const {
  const Scope scope = label.scope();
  if (p == 0 || !training()) return x;
  // Chosen, not multiplied by 0: what is dropped leaves no trace, be it infinite.
  return where(rand(x.shape()) >= p, x * (1 / (1 - p)), 0.0);
}

Softmax::Softmax(int along) : axis(along), label(fmt::format("Softmax({})", along)) {}
Tensor Softmax::operator()(const Tensor& x) const {
  const Scope scope = label.scope();
  return softmax(x, axis);
}

Flatten::Flatten(int from) : axis(from), label(fmt::format("Flatten({})", from)) {}
Tensor Flatten::operator()(const Tensor& x) const {
  const Scope scope = label.scope();
  return flatten(x, axis);
}

#define EBB_ACTIVATION(Name, function)             \
  Tensor Name::operator()(const Tensor& x) const { \
    const Scope scope = label.scope();             \
    return function(x);                            \
  }
EBB_ACTIVATION(ReLU, relu)
EBB_ACTIVATION(LeakyReLU, leaky_relu)
EBB_ACTIVATION(ELU, elu)
EBB_ACTIVATION(GELU, gelu)
EBB_ACTIVATION(SiLU, silu)
EBB_ACTIVATION(Softplus, softplus)
EBB_ACTIVATION(Mish, mish)
EBB_ACTIVATION(Sigmoid, sigmoid)
EBB_ACTIVATION(Tanh, tanh)
#undef EBB_ACTIVATION

}  // namespace ebb::nn
