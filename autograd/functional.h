// Questions about functions: are their gradients right?
#pragma once

#include "elementwise.h"

#include <cstddef>
#include <functional>
#include <type_traits>
#include <vector>

namespace ebb {

struct GradcheckOptions {
  int order = 1;       ///< 2 checks the gradient of the gradient as well, and reports the worse
  double step = 5e-3;  ///< of the 6th-order differences, in units of max(1, |x|)
};

namespace detail {

double check_gradients(const std::function<Tensor(const std::vector<Tensor>&)>& f, const std::vector<Tensor>& inputs,
                       const GradcheckOptions& options);
/// Throws UsageError if the counts differ.
void gradcheck_takes(std::size_t takes, std::size_t given);

inline Tensor tensor_of(const Tensor& y) { return y; }
inline Tensor tensor_of(const Scalar& y) { return as_tensor(y, f64); }

}  // namespace detail

/// The worst relative error of f's gradients against 6th-order differences, in f64: |ad - fd| / max(1, |fd|), over all
/// elements of all inputs; NaN if any gradient is.  f takes 1 to 4 tensors, or a vector of any number, and returns a
/// Scalar, or a tensor of any shape, of which random weights make one number.  Keep inputs away from kinks.  Parameters
/// that f uses get no gradient.  Throws GraphError while a graph records, UsageError if f takes another number.
template <class F>
double gradcheck(const F& f, const std::vector<Tensor>& inputs, const GradcheckOptions& options = {}) {
  using T = Tensor;
  return detail::check_gradients(
      [&f](const std::vector<Tensor>& x) -> Tensor {
        const auto takes = [&](std::size_t n) { detail::gradcheck_takes(n, x.size()); };
        if constexpr (std::is_invocable_v<const F&, T>) return takes(1), detail::tensor_of(f(x[0]));
        else if constexpr (std::is_invocable_v<const F&, T, T>) return takes(2), detail::tensor_of(f(x[0], x[1]));
        else if constexpr (std::is_invocable_v<const F&, T, T, T>)
          return takes(3), detail::tensor_of(f(x[0], x[1], x[2]));
        else if constexpr (std::is_invocable_v<const F&, T, T, T, T>)
          return takes(4), detail::tensor_of(f(x[0], x[1], x[2], x[3]));
        else return detail::tensor_of(f(x));
      },
      inputs, options);
}

}  // namespace ebb
