// Functions of Scalars that run again on many rows at once.
#pragma once

#include "scalar.h"
#include "tensor.h"

#include <array>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <type_traits>
#include <utility>

namespace ebb {

/// A function's values [batch] and its gradients [batch, n] in n numbers, both f64.
struct RowGradients {
  Tensor values, gradients;
};

/// What replay() makes of a function of Scalars: call it with a batch of rows.
class ScalarReplay {
 public:
  using Function = std::function<Scalar(std::span<const Scalar>)>;

  /// `again`: f may read numbers that change between calls, so each call records it anew.
  ScalarReplay(Function f, int arity, bool again);
  ~ScalarReplay();
  ScalarReplay(ScalarReplay&&) noexcept;
  ScalarReplay& operator=(ScalarReplay&&) noexcept;

  /// The function of each row of x [batch, n], with its gradient.  To the last bit what a graph for each row would give.
  /// Throws ShapeError if x is no matrix or the function takes another number of numbers, UsageError while a graph
  /// records, which the results could not be part of; and what the function throws.
  RowGradients operator()(const Tensor& x);
  /// The same with each of its numbers as a tensor [batch].
  template <class... X>
  requires(sizeof...(X) > 0 && (std::is_convertible_v<const X&, Tensor> && ...)) RowGradients operator()(
      const Tensor& x, const X&... more) {
    const Tensor columns[] = {x, more...};
    return of_columns(columns);
  }

  /// Why each row is recorded by itself, instead of many run at once; empty if they do.
  const std::string& why() const;
  /// How many ways through the function's comparisons are kept, to run rows that go that way.
  int paths() const;

 private:
  struct Work;
  RowGradients of_columns(std::span<const Tensor> columns);
  std::unique_ptr<Work> work_;
};

namespace detail {

template <class F, std::size_t... I> constexpr bool takes_scalars(std::index_sequence<I...>) {
  return std::is_invocable_r_v<Scalar, F&, decltype(static_cast<void>(I), std::declval<const Scalar&>())...> &&
         !std::is_invocable_v<F&, decltype(static_cast<void>(I), std::declval<const Tensor&>())...>;
}
/// How many Scalars F takes, 1 to 8; 0 if it is no such function.
template <class F> constexpr int scalars_of() {
  int n = 0;
  [&]<std::size_t... N>(std::index_sequence<N...>) {
    ((n == 0 && takes_scalars<F>(std::make_index_sequence<N + 1>()) ? n = static_cast<int>(N) + 1 : 0), ...);
  }
  (std::make_index_sequence<8>());
  return n;
}
template <class F> constexpr bool of_a_span =
    std::is_invocable_r_v<Scalar, F&, std::span<const Scalar>> && !std::is_invocable_v<F&, const Tensor&>;

}  // namespace detail

/// A function of numbers, f(std::span<const Scalar> x) or f(Scalar x, Scalar y, ...) of up to 8, for batches of rows: it
/// is recorded on one row, and that record runs forward and backward on all, many at once.
///   auto distance = replay([](Scalar x, Scalar y) { return sqrt(x * x + y * y); });
///   auto [values, gradients] = distance(x, y);
/// Comparisons of Scalars are part of the record: a row that answers one otherwise is recorded for itself, and what it went
/// through kept for others, up to 16 ways.  A function that reads value(), computes with tensors or pauses decides by
/// what no record holds, so each row runs by itself; why() says so.
/// A function with captures is recorded anew in each call, since what it captured may have changed; one without is taken to
/// hang on its numbers alone.
template <class F>
requires(detail::of_a_span<F> || detail::scalars_of<F>() > 0) ScalarReplay replay(F f) {
  if constexpr (detail::of_a_span<F>) {
    return {std::move(f), -1, !std::is_empty_v<F>};
  } else {
    constexpr int n = detail::scalars_of<F>();
    return {[f = std::move(f)](std::span<const Scalar> x) mutable {
              return [&]<std::size_t... I>(std::index_sequence<I...>) { return Scalar(f(x[I]...)); }
              (std::make_index_sequence<std::size_t(n)>());
            },
            n, !std::is_empty_v<F>};
  }
}

}  // namespace ebb
