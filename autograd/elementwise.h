// Elementwise ops: how a formula runs on tensors, and elementwise(), which makes an op of your own formula.
#pragma once

#include "formulas.h"
#include "launch.h"
#include "op.h"
#include "scalar.h"

#include <concepts>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace ebb {

bool recording();

namespace detail {

// What a formula's function calls; compiled once for the library's formulas, in ops/elementwise.cpp.
template <class F> Tensor on_tensors(const Tensor& x);
template <class F> Tensor on_tensors(Tensor&& x);
template <class F> Tensor on_tensors(const Tensor& a, const Tensor& b);
template <class F> Tensor on_tensors(const Tensor& a, const Scalar& b);
template <class F> Tensor on_tensors(const Scalar& a, const Tensor& b);

/// A Scalar as a tensor of rank 0, recorded.
Tensor as_tensor(const Scalar& s, DType dtype);

}  // namespace detail

// Where ops/elementwise.cpp includes ops.h, each line there also compiles the tensor half of the function it declares.
#ifdef EBB_COMPILE_ELEMENTWISE
#define EBB_COMPILED template
#else
#define EBB_COMPILED extern template
#endif

#define EBB_ELEMENTWISE_1(function, F)                                                                   \
  inline Tensor function(const Tensor& x) { return detail::on_tensors<formula::F>(x); }                  \
  inline Tensor function(Tensor&& x) { return detail::on_tensors<formula::F>(std::move(x)); }            \
  EBB_ALWAYS_INLINE Scalar function(Scalar x) { return detail::on_scalars<formula::F>(x); }              \
  template <detail::AnyNumber N> auto function(const N& x) { return detail::on_numbers<formula::F>(x); } \
  EBB_COMPILED Tensor detail::on_tensors<formula::F>(const Tensor&);                                     \
  EBB_COMPILED Tensor detail::on_tensors<formula::F>(Tensor&&);

#define EBB_ELEMENTWISE_2(function, F)                                                                              \
  inline Tensor function(const Tensor& a, const Tensor& b) { return detail::on_tensors<formula::F>(a, b); }         \
  inline Tensor function(const Tensor& a, const Scalar& b) { return detail::on_tensors<formula::F>(a, b); }         \
  inline Tensor function(const Scalar& a, const Tensor& b) { return detail::on_tensors<formula::F>(a, b); }         \
  EBB_ALWAYS_INLINE Scalar function(Scalar a, Scalar b) { return detail::on_scalars<formula::F>(a, b); }         \
  template <class U> requires std::is_arithmetic_v<U>                                                               \
  EBB_ALWAYS_INLINE Scalar function(Scalar a, U b) { return detail::on_scalars<formula::F>(a, static_cast<double>(b)); } \
  template <class U> requires std::is_arithmetic_v<U>                                                               \
  EBB_ALWAYS_INLINE Scalar function(U a, Scalar b) { return detail::on_scalars<formula::F>(static_cast<double>(a), b); } \
  template <detail::AnyNumber N> auto function(const N& a, const N& b) { return detail::on_numbers<formula::F>(a, b); } \
  template <detail::AnyNumber N, class U> requires std::is_arithmetic_v<U>                                           \
  auto function(const N& a, U b) { return detail::on_numbers<formula::F>(a, N(b)); }                                 \
  template <detail::AnyNumber N, class U> requires std::is_arithmetic_v<U>                                           \
  auto function(U a, const N& b) { return detail::on_numbers<formula::F>(N(a), b); }                                 \
  EBB_COMPILED Tensor detail::on_tensors<formula::F>(const Tensor&, const Tensor&);                                  \
  EBB_COMPILED Tensor detail::on_tensors<formula::F>(const Tensor&, const Scalar&);                                  \
  EBB_COMPILED Tensor detail::on_tensors<formula::F>(const Scalar&, const Tensor&);

namespace detail {

// ---- an op of one's own ------------------------------------------------------------------------------------------

/// A formula of 1 to 4 operands as an op.  Its derivative is carried along by Duals; derivatives of that run through
/// the formula on Tensors.
template <class F, int N>
struct Own {
  [[no_unique_address]] F f;

  static constexpr char formula[] = "", rule[] = "", operands[] = "";  // given by named_info()
  static constexpr Keep keep = Keep::inputs;
  static constexpr bool by_element = true;

  Tensor run(const auto&... x) const {
    Shape shape;
    DType type = f32;
    ((shape = broadcast_of(shape, x.shape()), type = x.dtype()), ...);
    Tensor y = empty(shape, type);
    dispatch_floating(y.dtype(), [&]<class T>(T) {
      const kernels::Walk<N> walk(shape.sizes(), {x.shape().sizes()...});
      launch_map(write<T>(y), walk, [f = f](auto... v) { return Num<T>(f(Num<T>(v)...)).v; }, read<T>(x)...);
    });
    return y;
  }

  Tensor gradient(int i, const Tensor& dy, std::span<const Tensor> in, const Tensor&) const {
    Tensor dx = empty(dy.shape(), dy.dtype());
    [&]<std::size_t... K>(std::index_sequence<K...>) {
      dispatch_floating(dy.dtype(), [&]<class T>(T) {
        const kernels::Walk<N + 1> walk(dy.shape().sizes(), {dy.shape().sizes(), in[K].shape().sizes()...});
        const auto local = [f = f, i](T g, auto... v) {
          const Num<T> along[] = {Num<T>(int(K) == i)...};
          const Dual<T, 1> y(f(Dual<T, 1>(Num<T>(v), along[K])...));
          return chain(y.d[0], Num<T>(g)).v;  // no gradient stays none
        };
        launch_map(write<T>(dx), walk, local, read<T>(dy), read<T>(in[K])...);
      });
    }(std::make_index_sequence<N>());
    return sum_to(dx, in[std::size_t(i)].shape());
  }

  Tensor compose(const Tensor* in) const {
    return [&]<std::size_t... K>(std::index_sequence<K...>) { return Tensor(f(in[K]...)); }(std::make_index_sequence<N>());
  }
};

/// Throws UsageError if the name of an op is empty.
void must_be_named(std::string_view name);
/// The code of a scalar op under a name of the user's: the same for the same name and gradient.
std::uint16_t own_code(std::string_view name, int arity, decltype(ScalarRule::gradient) gradient,
                       decltype(ScalarRule::on_lanes) on_lanes);
/// Records a scalar op of 1 to 4 operands with its local derivatives.
Scalar record_scalars(std::uint16_t code, double y, const Scalar* x, const double* dx, int n);
/// The gradients of compose(x) by its operands, recorded.
void composed_gradient(const Scalar& dy, const Scalar* x, int n, Scalar (*compose)(const Scalar*), Scalar* out);

template <class T> concept TensorLike = std::convertible_to<const T&, Tensor>;
template <class T> concept ScalarLike = std::convertible_to<const T&, Scalar>;

/// How many operands a formula takes: the least N from 1 to 4 with which it can be called.
template <class F>
constexpr int arity_of() {
  using N = Num<double>;
  if constexpr (std::is_invocable_v<const F&, N>) return 1;
  else if constexpr (std::is_invocable_v<const F&, N, N>) return 2;
  else if constexpr (std::is_invocable_v<const F&, N, N, N>) return 3;
  else if constexpr (std::is_invocable_v<const F&, N, N, N, N>) return 4;
  else return 0;
}

/// What elementwise() returns: call it on Tensors, Parameters, Scalars and numbers; shapes broadcast.
template <class F>
class ElementwiseOp {
 public:
  static constexpr int N = arity_of<F>();
  static_assert(N > 0, "elementwise() takes a formula of 1 to 4 operands that runs on any kind of number");

  ElementwiseOp(std::string_view name, F f) : f_(std::move(f)) {
    must_be_named(name);
    // What it captures may be gone when this function has returned.
    if constexpr (!std::is_empty_v<F>) cannot_replay("makes an elementwise() op whose formula captures");
    info_ = &named_info(make_info<Own<F, N>>(""), name, N);
    if constexpr (plain) code_ = own_code(name, N, &scalar_gradient, &on_lanes);
  }

  template <class... X>
    requires(sizeof...(X) == std::size_t(N) && (TensorLike<X> || ...) && ((TensorLike<X> || ScalarLike<X>) && ...))
  Tensor operator()(const X&... x) const {
    DType type = i64;
    const auto see = [&]<class U>(const U& u) { if constexpr (TensorLike<U>) type = promote(type, dtype_in(u)); };
    (see(x), ...);
    if (type == i64) type = f32;
    return apply_as(*info_, Own<F, N>{f_}, operand(x, type)...);
  }

  template <class... X>
    requires(sizeof...(X) == std::size_t(N) && (ScalarLike<X> && ...))
  Scalar operator()(const X&... x) const {
    const Scalar operands[] = {Scalar(x)...};
    if constexpr (!plain) {
      return std::apply([&](const auto&... s) { return Scalar(f_(s...)); }, std::tuple(Scalar(x)...));
    } else {
      double partial[N];
      const Dual<double, N> y = dual([&](std::size_t k) { return Access::value(operands[k]); });
      for (int k = 0; k < N; ++k) partial[k] = y.d[k].v;
      return record_scalars(code_, y.v.v, operands, partial, N);
    }
  }

 private:
  // A formula that captures nothing can be made again wherever its derivative is wanted; one that captures is recorded
  // on Scalars as the ops it is made of.
  static constexpr bool plain = std::is_empty_v<F> && std::is_default_constructible_v<F>;

  // What holds nothing goes through as it is: apply_as() names the op when it complains.
  template <class U> static DType dtype_in(const U& u) {
    const Tensor t(u);
    return t.defined() ? t.dtype() : f32;
  }
  template <class U> static Tensor operand(const U& u, DType type) {
    if constexpr (TensorLike<U>) {
      const Tensor t(u);
      return t.defined() ? t.to(type) : t;
    } else {
      return as_tensor(u, type);
    }
  }
  static Scalar compose(const Scalar* x) {
    return [&]<std::size_t... K>(std::index_sequence<K...>) { return Scalar(F{}(x[K]...)); }(std::make_index_sequence<N>());
  }
  static void scalar_gradient(const Scalar& dy, const Scalar* x, const Scalar&, Scalar* out) {
    composed_gradient(dy, x, N, &compose, out);
  }
  /// The value and all derivatives where operand k is x(k).
  static Dual<double, N> dual(auto&& x) {
    return [&]<std::size_t... K>(std::index_sequence<K...>) {
      Dual<double, N> d[] = {Dual<double, N>(x(K))...};
      ((d[K].d[K] = Num<double>(1)), ...);
      return Dual<double, N>(F{}(d[K]...));
    }(std::make_index_sequence<N>());
  }
  static void on_lanes(const double* const* x, double* y, double* const* dx) {
    for (int i = 0; i < lanes_at_once; ++i) {
      const Dual<double, N> row = dual([&](std::size_t k) { return x[k][i]; });
      y[i] = row.v.v;
      for (int k = 0; k < N; ++k) dx[k][i] = row.d[k].v;
    }
  }

  [[no_unique_address]] F f_;
  const OpInfo* info_;
  std::uint16_t code_ = 0;
};

}  // namespace detail

/// An op of your own from one formula of 1 to 4 operands, elementwise over broadcast shapes: one pass forward, one pass
/// for each operand backward, differentiable to any order, in the graph under its name.
///   auto swish = elementwise("swish", [](auto x) { return x / (1 + exp(-x)); });
/// The formula may use operators, this library's elementwise functions, comparisons and where(condition, a, b).  From -O2
/// on its loops are vectors in the program that makes it too, for what the machine has; with sqrt if that is compiled
/// with -fno-math-errno.  It must change nothing outside of itself: on long tensors several threads call it at once.
/// Throws UsageError if the name is empty.
template <class F>
detail::ElementwiseOp<F> elementwise(std::string_view name, F formula) {
  return {name, std::move(formula)};
}

}  // namespace ebb
