// How weights begin.
//
// A weight [out, in, ...] has fan-in in·r and fan-out out·r, where r is the product of the sizes behind.
#pragma once

#include "../autograd/random.h"

#include <functional>
#include <string>

namespace ebb::nn {

/// Draws a weight: one of the functions below, what one of the factories returns, or a function of your own.
using Init = std::function<Tensor(const Shape& shape, DType dtype, Generator& generator)>;

/// Uniform within ±√(6 / (fan-in + fan-out)).  Source: Glorot & Bengio 2010.  Throws ShapeError below two axes.
Tensor glorot_uniform(const Shape& shape, DType dtype = f32, Generator& generator = default_generator());
/// Normal with deviation √(2 / (fan-in + fan-out)).
Tensor glorot_normal(const Shape& shape, DType dtype = f32, Generator& generator = default_generator());
/// Uniform within ±√(6 / fan-in), for layers before a relu.  Source: He, Zhang, Ren & Sun 2015.
Tensor he_uniform(const Shape& shape, DType dtype = f32, Generator& generator = default_generator());
/// Normal with deviation √(2 / fan-in).
Tensor he_normal(const Shape& shape, DType dtype = f32, Generator& generator = default_generator());
/// Uniform within ±√(3 / fan-in).  Source: LeCun, Bottou, Orr & Müller 1998.
Tensor lecun_uniform(const Shape& shape, DType dtype = f32, Generator& generator = default_generator());
/// Normal with deviation √(1 / fan-in).
Tensor lecun_normal(const Shape& shape, DType dtype = f32, Generator& generator = default_generator());

/// All of one value.
Init constant_init(double value);
/// Uniform in (low, high).  Throws UsageError unless both are finite and low <= high.
Init uniform_init(double low, double high);
/// Normal.  Throws UsageError unless both are finite and the deviation is at least 0.
Init normal_init(double mean, double deviation);
/// Normal, drawn again where it is more than two deviations from its mean.
Init truncated_normal_init(double mean, double deviation);
/// `gain` times a matrix [out, in·r] whose rows, or columns if there are more rows, are of length 1 and at right angles,
/// uniform among all such.  Source: Saxe, McClelland & Ganguli 2014.  Throws UsageError unless the gain is finite, and
/// the weight ShapeError below two axes.
Init orthogonal_init(double gain = 1);

/// What a layer does with its Init: a weight from the default generator.
/// Throws DTypeError unless the dtype is a floating one, UsageError if `init` holds nothing or gives another shape or type.
Tensor draw_weight(const std::string& layer, const Init& init, const Shape& shape, DType dtype);

}  // namespace ebb::nn
