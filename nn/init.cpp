#include "init.h"

#include "../autograd/error.h"
#include "../autograd/ops.h"

#include <fmt/format.h>

#include <cmath>

namespace ebb::nn {

namespace {

struct Fans {
  double in, out;
};

Fans fans(const char* init, const Shape& shape) {
  if (shape.rank() < 2)
    throw ShapeError(fmt::format("{}({}): a weight has at least two axes, [out, in, ...]", init, to_string(shape)));
  double receptive = 1;
  for (int axis = 2; axis < shape.rank(); ++axis) receptive *= static_cast<double>(shape[axis]);
  return {static_cast<double>(shape[1]) * receptive, static_cast<double>(shape[0]) * receptive};
}

Tensor uniform(const Shape& shape, DType dtype, Generator& generator, double bound) {
  return (rand(shape, dtype, generator) - 0.5) * (2 * bound);
}

}  // namespace

Tensor glorot_uniform(const Shape& shape, DType dtype, Generator& generator) {
  const Fans fan = fans("glorot_uniform", shape);
  return uniform(shape, dtype, generator, std::sqrt(6 / (fan.in + fan.out)));
}

Tensor glorot_normal(const Shape& shape, DType dtype, Generator& generator) {
  const Fans fan = fans("glorot_normal", shape);
  return randn(shape, dtype, generator) * std::sqrt(2 / (fan.in + fan.out));
}

Tensor he_uniform(const Shape& shape, DType dtype, Generator& generator) {
  const Fans fan = fans("he_uniform", shape);
  return uniform(shape, dtype, generator, std::sqrt(6 / fan.in));
}

Tensor he_normal(const Shape& shape, DType dtype, Generator& generator) {
  const Fans fan = fans("he_normal", shape);
  return randn(shape, dtype, generator) * std::sqrt(2 / fan.in);
}

}  // namespace ebb::nn
