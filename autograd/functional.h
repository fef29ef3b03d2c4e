// Functions as a whole: their Jacobians, Hessians and products with them, checkpoints, and whether their gradients are right.
//
// A function f takes one Tensor and returns a Tensor or a Scalar.  While a graph records, these join it: their results
// are recorded, and can be differentiated again.  Outside of one they open a graph of their own, and return constants.
// They leave Parameters' gradients alone.  f runs while a graph records, so layers such as dropout train in it.
#pragma once

#include "elementwise.h"
#include "ops.h"

#include <cstddef>
#include <functional>
#include <type_traits>
#include <utility>
#include <vector>

namespace ebb {

namespace detail {

using OneToOne = std::function<Tensor(const Tensor&)>;

inline Tensor tensor_of(const Tensor& y) { return y; }
inline Tensor tensor_of(const Scalar& y) { return as_tensor(y, f64); }

template <class F> OneToOne one_to_one(F& f) {
  static_assert(std::is_invocable_v<F&, const Tensor&>, "the function takes one Tensor");
  return [&f](const Tensor& x) { return tensor_of(f(x)); };
}

Tensor jacobian_of(const OneToOne& f, const Tensor& x);
Tensor hessian_of(const OneToOne& f, const Tensor& x);
Tensor hvp_of(const OneToOne& f, const Tensor& x, const Tensor& v);
Tensor jvp_of(const OneToOne& f, const Tensor& x, const Tensor& v);
Tensor vjp_of(const OneToOne& f, const Tensor& x, const Tensor& v);

using Recomputed = std::function<Tensor(const std::vector<Tensor>&)>;
Tensor checkpoint_of(Recomputed f, const std::vector<Tensor>& x);

}  // namespace detail

/// All derivatives of f at x: an element for each element of f(x) and each of x, of shape f(x).shape + x.shape.
/// One pass backward for each element of f(x).  Throws ShapeError where that has more than 8 axes.
template <class F> Tensor jacobian(F&& f, const Tensor& x) { return detail::jacobian_of(detail::one_to_one(f), x); }
/// All second derivatives at x of an f that returns a single number: of shape x.shape + x.shape.  One pass for each
/// element of x.  Throws GraphError if f returns more than one number.
template <class F> Tensor hessian(F&& f, const Tensor& x) { return detail::hessian_of(detail::one_to_one(f), x); }
/// The Hessian of f at x times v, without the Hessian, at the cost of a few gradients.  f returns a single number; v and
/// the result have x's shape.
template <class F> Tensor hvp(F&& f, const Tensor& x, const Tensor& v) {
  return detail::hvp_of(detail::one_to_one(f), x, v);
}
/// The Jacobian of f at x times v: how f changes when x moves along v.  v has x's shape, the result f(x)'s.
template <class F> Tensor jvp(F&& f, const Tensor& x, const Tensor& v) {
  return detail::jvp_of(detail::one_to_one(f), x, v);
}
/// v times the Jacobian of f at x: the gradient of Σ v·f(x).  v has f(x)'s shape, the result x's.
template <class F> Tensor vjp(F&& f, const Tensor& x, const Tensor& v) {
  return detail::vjp_of(detail::one_to_one(f), x, v);
}

/// f(x...), of which the graph keeps the operands alone: backward computes f again when it comes there.  A long chain cut
/// into √n such pieces trains in the memory of 2√n steps, for one more pass forward.
///   for (const auto& piece : pieces) h = checkpoint(piece, h);
/// f takes Tensors and returns one, or a Scalar; it may use Parameters and values of the graph besides.  It is copied into the graph,
/// and must compute the same each time: draws from the default generator, such as dropout's, are repeated, and a result
/// that differs by a bit is a GraphError from backward().  Only what it returns lives on.
template <class F, class... X>
requires(std::is_convertible_v<const X&, Tensor>&&...) Tensor checkpoint(F f, const X&... x) {
  return detail::checkpoint_of(
      [f](const std::vector<Tensor>& in) -> Tensor {
        return [&]<std::size_t... I>(std::index_sequence<I...>) { return detail::tensor_of(f(in[I]...)); }
        (std::index_sequence_for<X...>());
      },
      {Tensor(x)...});
}
/// The same of an f that takes its operands in a vector.
template <class F> Tensor checkpoint(F f, const std::vector<Tensor>& x) {
  return detail::checkpoint_of([f](const std::vector<Tensor>& in) -> Tensor { return detail::tensor_of(f(in)); }, x);
}

struct GradcheckOptions {
  int order = 1;       ///< 2 checks the gradient of the gradient as well, and reports the worse
  double step = 5e-3;  ///< of the 6th-order differences, in units of max(1, |x|)
};

namespace detail {

double check_gradients(const std::function<Tensor(const std::vector<Tensor>&)>& f, const std::vector<Tensor>& inputs,
                       const GradcheckOptions& options);
/// Throws UsageError if the counts differ.
void gradcheck_takes(std::size_t takes, std::size_t given);

}  // namespace detail

/// The worst relative error of f's gradients against 6th-order differences, in f64: |ad - fd| / max(1, |fd|), over all
/// elements of all inputs; NaN if any gradient is.  f takes 1 to 4 tensors, or a vector of any number, and returns a
/// tensor or Scalar; a graph records while it runs, so layers train in it, always with the same random numbers.  Keep
/// inputs away from kinks.  Parameters get no gradient.  Throws GraphError in a graph, UsageError if f takes others.
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

/// The same of an f of one tensor.
template <class F> double gradcheck(const F& f, const Tensor& input, const GradcheckOptions& options = {}) {
  return gradcheck(f, std::vector<Tensor>{input}, options);
}

}  // namespace ebb
