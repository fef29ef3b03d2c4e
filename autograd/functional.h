// Questions about functions: are their gradients right?
#pragma once

#include "tensor.h"

#include <functional>
#include <vector>

namespace ebb {

struct GradcheckOptions {
  int order = 1;       ///< 2 checks the gradient of the gradient as well, and reports the worse
  double step = 5e-3;  ///< of the 6th-order differences, in units of max(1, |x|)
};

/// The worst relative error of f's gradients against 6th-order differences, in f64: |ad - fd| / max(1, |fd|), over all
/// elements of all inputs.  f takes as many tensors as `inputs` holds and may return a tensor of any shape: random
/// weights make one number of it.  Keep inputs away from kinks.  Throws GraphError while a graph records.
double gradcheck(const std::function<Tensor(const std::vector<Tensor>&)>& f, const std::vector<Tensor>& inputs,
                 const GradcheckOptions& options = {});

/// The same for a function of one tensor, or of as many as it takes.
template <class F>
  requires(std::is_invocable_v<const F&, Tensor> || std::is_invocable_v<const F&, Tensor, Tensor> ||
           std::is_invocable_v<const F&, Tensor, Tensor, Tensor>)
double gradcheck(const F& f, const std::vector<Tensor>& inputs, const GradcheckOptions& options = {}) {
  return gradcheck(std::function<Tensor(const std::vector<Tensor>&)>([&f](const std::vector<Tensor>& x) -> Tensor {
                     if constexpr (std::is_invocable_v<const F&, Tensor>) return f(x.at(0));
                     else if constexpr (std::is_invocable_v<const F&, Tensor, Tensor>) return f(x.at(0), x.at(1));
                     else return f(x.at(0), x.at(1), x.at(2));
                   }),
                   inputs, options);
}

}  // namespace ebb
