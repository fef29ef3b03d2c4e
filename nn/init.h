// How weights begin.
//
// A weight [out, in, ...] has fan-in in·r and fan-out out·r, where r is the product of the sizes behind.
#pragma once

#include "../autograd/random.h"

namespace ebb::nn {

/// Draws a weight.
using Init = Tensor (*)(const Shape& shape, DType dtype, Generator& generator);

/// Uniform within ±√(6 / (fan-in + fan-out)).  Source: Glorot & Bengio 2010.  Throws ShapeError below two axes.
Tensor glorot_uniform(const Shape& shape, DType dtype = f32, Generator& generator = default_generator());
/// Normal with deviation √(2 / (fan-in + fan-out)).
Tensor glorot_normal(const Shape& shape, DType dtype = f32, Generator& generator = default_generator());
/// Uniform within ±√(6 / fan-in), for layers before a relu.  Source: He, Zhang, Ren & Sun 2015.
Tensor he_uniform(const Shape& shape, DType dtype = f32, Generator& generator = default_generator());
/// Normal with deviation √(2 / fan-in).
Tensor he_normal(const Shape& shape, DType dtype = f32, Generator& generator = default_generator());

}  // namespace ebb::nn
