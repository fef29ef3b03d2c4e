#include "layers.h"

#include "../autograd/error.h"
#include "../autograd/op.h"
#include "../autograd/ops.h"
#include "mode.h"

#include <fmt/format.h>

#include <cmath>
#include <utility>

namespace ebb::nn {

namespace {

std::string dense_kind(std::int64_t in, std::int64_t out) {
  std::string kind = fmt::format("Dense({} -> {})", in, out);
  if (in < 1 || out < 1) throw UsageError(fmt::format("{}: sizes must be at least 1", kind));
  return kind;
}

std::string embedding_kind(std::int64_t rows, std::int64_t dim, std::optional<std::int64_t> padding) {
  std::string kind = fmt::format("Embedding({}, {})", rows, dim);
  if (rows < 1 || dim < 1) throw UsageError(fmt::format("{}: sizes must be at least 1", kind));
  if (padding && (*padding < 0 || *padding >= rows))
    throw UsageError(fmt::format("{}: padding_idx {} is outside [0, {})", kind, *padding, rows));
  return kind;
}

/// "LeakyReLU(0.2)".
std::string activation_kind(const char* name, double constant) {
  std::string kind = fmt::format("{}({})", name, constant);
  if (!std::isfinite(constant)) throw UsageError(fmt::format("{}: the number must be finite", kind));
  return kind;
}

}  // namespace

// The label is made first, whatever the order of the fields: it checks the sizes.
Dense::Dense(std::int64_t in, std::int64_t out, const DenseOptions& options)
    : Dense(Label(dense_kind(in, out)), in, out, options) {}

Dense::Dense(Label&& checked, std::int64_t in, std::int64_t out, const DenseOptions& options)
    : weight(draw_weight(checked.kind(), options.init, {out, in}, options.dtype)),
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
  visitor.field_if_any("bias", bias);
}

Embedding::Embedding(std::int64_t rows, std::int64_t dim, const EmbeddingOptions& options)
    : Embedding(Label(embedding_kind(rows, dim, options.padding_idx)), rows, dim, options) {}

Embedding::Embedding(Label&& checked, std::int64_t rows, std::int64_t dim, const EmbeddingOptions& options)
    : weight(draw_weight(checked.kind(), options.init, {rows, dim}, options.dtype)),
      padding_idx(options.padding_idx),
      label(std::move(checked)) {
  if (padding_idx)
    weight.assign(where(unsqueeze(arange(rows) == static_cast<double>(*padding_idx), 1), 0.0, weight.value()));
}

Tensor Embedding::operator()(const Tensor& positions) const {
  const Scope scope = label.scope();
  if (positions.defined() && positions.dtype() != i64) {
    const Tensor* const in[] = {&positions};
    ebb::detail::refuse({ebb::detail::Complaint::dtype, "positions must be whole numbers, i64", "x.to(i64)"}, "Embedding",
                        in, 1);
  }
  const Tensor rows = embedding(positions, weight);
  if (!padding_idx) return rows;
  const Tensor padding = positions == static_cast<double>(*padding_idx);
  return where(unsqueeze(padding, positions.rank()), detach(rows), rows);
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

#define EBB_ACTIVATION(Name, function)      \
  Tensor Name::operator()(Tensor x) const { \
    const Scope scope = label.scope();      \
    return function(std::move(x));          \
  }
EBB_ACTIVATION(ReLU, relu)
EBB_ACTIVATION(GELU, gelu)
EBB_ACTIVATION(SiLU, silu)
EBB_ACTIVATION(Softplus, softplus)
EBB_ACTIVATION(Mish, mish)
EBB_ACTIVATION(Sigmoid, sigmoid)
EBB_ACTIVATION(Tanh, tanh)
#undef EBB_ACTIVATION

LeakyReLU::LeakyReLU(double below) : slope(below), label(activation_kind("LeakyReLU", below)) {}
Tensor LeakyReLU::operator()(const Tensor& x) const {
  const Scope scope = label.scope();
  return slope == 0.01 ? leaky_relu(x) : leaky_relu(x, slope);  // the first is one pass
}

ELU::ELU(double below) : alpha(below), label(activation_kind("ELU", below)) {}
Tensor ELU::operator()(const Tensor& x) const {
  const Scope scope = label.scope();
  return alpha == 1 ? elu(x) : elu(x, alpha);
}

}  // namespace ebb::nn
