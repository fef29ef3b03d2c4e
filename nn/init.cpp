#include "init.h"

#include "../autograd/error.h"
#include "../autograd/op.h"
#include "../autograd/ops.h"

#include <fmt/format.h>

#include <cmath>
#include <vector>

namespace ebb::nn {

namespace {

struct Fans {
  double in, out;
};

void must_be_weight(const char* init, const Shape& shape) {
  if (shape.rank() < 2)
    throw ShapeError(fmt::format("{}({}): a weight has at least two axes, [out, in, ...]", init, to_string(shape)));
}

Fans fans(const char* init, const Shape& shape) {
  must_be_weight(init, shape);
  double receptive = 1;
  for (int axis = 2; axis < shape.rank(); ++axis) receptive *= static_cast<double>(shape[axis]);
  return {static_cast<double>(shape[1]) * receptive, static_cast<double>(shape[0]) * receptive};
}

Tensor uniform(const Shape& shape, DType dtype, Generator& generator, double bound) {
  return (rand(shape, dtype, generator) - 0.5) * (2 * bound);
}

void must_be_normal(const char* init, double mean, double deviation) {
  if (!std::isfinite(mean) || !std::isfinite(deviation) || deviation < 0)
    throw UsageError(fmt::format("{}({}, {}): mean and deviation must be finite, and the deviation at least 0", init,
                                 mean, deviation));
}

double within_two(Generator& generator) {
  double z = generator.normal();
  while (std::abs(z) > 2) z = generator.normal();
  return z;
}

double inner_product(const std::vector<double>& a, const std::vector<double>& b) {
  double sum = 0;
  for (std::size_t i = 0; i < a.size(); ++i) sum += a[i] * b[i];
  return sum;
}

/// `count` vectors of length 1 in so many dimensions, at right angles: normal vectors, each freed of those before it
/// (Gram-Schmidt; twice, since once leaves what rounding left).
std::vector<std::vector<double>> frame(std::size_t count, std::size_t dimensions, Generator& generator) {
  std::vector<std::vector<double>> all;
  while (all.size() < count) {
    std::vector<double> v(dimensions);
    for (double& x : v) x = generator.normal();
    const double drawn = std::sqrt(inner_product(v, v));
    for (int pass = 0; pass < 2; ++pass) {
      for (const std::vector<double>& u : all) {
        const double along = inner_product(u, v);
        for (std::size_t i = 0; i < dimensions; ++i) v[i] -= along * u[i];
      }
    }
    const double left = std::sqrt(inner_product(v, v));
    if (left < 1e-9 * drawn) continue;  // nothing but rounding: another draw
    for (double& x : v) x /= left;
    all.push_back(std::move(v));
  }
  return all;
}

Tensor orthogonal(const Shape& shape, DType dtype, Generator& generator, double gain) {
  must_be_weight("orthogonal_init", shape);
  if (shape.size() == 0) return zeros(shape, dtype);
  const std::int64_t rows = shape[0], columns = shape.size() / rows;
  const bool wide = rows <= columns;
  const auto vectors = frame(static_cast<std::size_t>(wide ? rows : columns),
                             static_cast<std::size_t>(wide ? columns : rows), generator);
  std::vector<double> flat;
  for (const std::vector<double>& v : vectors) flat.insert(flat.end(), v.begin(), v.end());
  const Tensor matrix = wide ? from(flat, {rows, columns}) : transpose(from(flat, {columns, rows}));
  return (reshape(matrix, shape) * gain).to(dtype);
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

Tensor lecun_uniform(const Shape& shape, DType dtype, Generator& generator) {
  const Fans fan = fans("lecun_uniform", shape);
  return uniform(shape, dtype, generator, std::sqrt(3 / fan.in));
}

Tensor lecun_normal(const Shape& shape, DType dtype, Generator& generator) {
  const Fans fan = fans("lecun_normal", shape);
  return randn(shape, dtype, generator) * std::sqrt(1 / fan.in);
}

Init constant_init(double value) {
  return [value](const Shape& shape, DType dtype, Generator&) { return full(shape, value, dtype); };
}

Init uniform_init(double low, double high) {
  if (!std::isfinite(low) || !std::isfinite(high) || low > high)
    throw UsageError(fmt::format("uniform_init({}, {}): both must be finite, the lower one first", low, high));
  return [low, high](const Shape& shape, DType dtype, Generator& generator) {
    const Tensor share = rand(shape, dtype, generator);
    return low * (1.0 - share) + high * share;  // high - low could overflow
  };
}

Init normal_init(double mean, double deviation) {
  must_be_normal("normal_init", mean, deviation);
  return [mean, deviation](const Shape& shape, DType dtype, Generator& generator) {
    return randn(shape, dtype, generator) * deviation + mean;
  };
}

Init truncated_normal_init(double mean, double deviation) {
  must_be_normal("truncated_normal_init", mean, deviation);
  return [mean, deviation](const Shape& shape, DType dtype, Generator& generator) {
    std::vector<double> drawn(static_cast<std::size_t>(shape.size()));
    for (double& z : drawn) z = within_two(generator);
    return (from(drawn, shape) * deviation + mean).to(dtype);
  };
}

Init orthogonal_init(double gain) {
  if (!std::isfinite(gain)) throw UsageError(fmt::format("orthogonal_init({}): the gain must be finite", gain));
  return [gain](const Shape& shape, DType dtype, Generator& generator) {
    return orthogonal(shape, dtype, generator, gain);
  };
}

Tensor draw_weight(const std::string& layer, const Init& init, const Shape& shape, DType dtype) {
  if (dtype == i64) throw DTypeError(fmt::format("{}: weights are f32 or f64, not i64", layer));
  if (!init) throw UsageError(fmt::format("{}: its init holds nothing to draw the weight with", layer));
  Tensor weight = init(shape, dtype, default_generator());
  if (!weight.defined() || weight.shape() != shape || weight.dtype() != dtype)
    throw UsageError(fmt::format(
        "{}: its init was to give {} {} and gave {}", layer, to_string(dtype), to_string(shape),
        weight.defined() ? fmt::format("{} {}", to_string(weight.dtype()), to_string(weight.shape())) : "nothing"));
  return weight;
}

}  // namespace ebb::nn
