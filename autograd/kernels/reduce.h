// Reductions of x, seen as [outer, n, inner], along its middle axis.  float, double; sum, extreme, prod and
// cumsum also std::int64_t.
#pragma once

#include <cstdint>

namespace ebb::kernels {

struct Block {
  std::int64_t outer, n, inner;
};

/// y [outer, inner].  Sums are added up pairwise, in an order that depends on the sizes alone.
template <class T> void sum(T* y, const T* x, const Block& block);
/// The largest (sign 1) or smallest (sign -1); NaN if there is one.  n must be positive.
template <class T> void extreme(T* y, const T* x, const Block& block, int sign);
/// The position of the first largest (smallest), of the first NaN if there is one.  n must be positive.
template <class T> void arg_extreme(std::int64_t* y, const T* x, const Block& block, int sign);
template <class T> void prod(T* y, const T* x, const Block& block);
/// dx = dy · the product of all others on x's line: no division, so zeros do no harm.  dy [outer, inner]; 0 where dy is.
template <class T> void prod_gradient(T* dx, const T* dy, const T* x, const Block& block);
/// The root of the sum of squares, which itself may be too large or too small for T.
template <class T> void norm(T* y, const T* x, const Block& block);
/// y [outer, n, inner]: the sums of all up to each, or from each on.
template <class T> void cumsum(T* y, const T* x, const Block& block, bool from_the_end);
template <class T> void logsumexp(T* y, const T* x, const Block& block);
/// y [outer, n, inner].
template <class T> void softmax(T* y, const T* x, const Block& block);
template <class T> void log_softmax(T* y, const T* x, const Block& block);

template <class T> bool all_finite(const T* x, std::int64_t n);

}  // namespace ebb::kernels
