// custom(): an op of your own on whole tensors, whose forward and backward you give.
#pragma once

#include "tensor.h"

#include <array>
#include <concepts>
#include <cstddef>
#include <functional>
#include <string_view>
#include <tuple>
#include <type_traits>
#include <utility>
#include <vector>

namespace ebb {
namespace detail {

using CustomForward = std::function<Tensor(const std::vector<Tensor>& in)>;
using CustomBackward =
    std::function<std::vector<Tensor>(const Tensor& dy, const std::vector<Tensor>& in, const Tensor& y)>;

Tensor run_custom(std::string_view name, const std::vector<Tensor>& in, const CustomForward& forward,
                  CustomBackward backward);
/// Throws UsageError: the function cannot be called with so many tensors.
[[noreturn]] void custom_takes_other(std::string_view name, const char* which, std::size_t given);

template <class F, class Is> struct TakesTensors;
template <class F, std::size_t... I> struct TakesTensors<F, std::index_sequence<I...>> {
  template <std::size_t> using T = const Tensor&;
  static constexpr bool value = std::is_invocable_v<F&, T<I>...>;
};
/// Whether f can be called with n tensors.
template <class F, std::size_t n> inline constexpr bool takes_tensors =
    TakesTensors<F, std::make_index_sequence<n>>::value;

template <class F, std::size_t... I> auto call_with(F& f, const Tensor* const* x, std::index_sequence<I...>) {
  return f(*x[I]...);
}

inline std::vector<Tensor> as_list(Tensor dx) { return {std::move(dx)}; }
inline std::vector<Tensor> as_list(std::vector<Tensor> dx) { return dx; }
template <std::size_t n> std::vector<Tensor> as_list(const std::array<Tensor, n>& dx) { return {dx.begin(), dx.end()}; }
template <class A, class B> std::vector<Tensor> as_list(const std::pair<A, B>& dx) { return {dx.first, dx.second}; }
template <class... D> std::vector<Tensor> as_list(const std::tuple<D...>& dx) {
  return std::apply([](const auto&... each) { return std::vector<Tensor>{each...}; }, dx);
}

inline constexpr std::size_t most_custom_operands = 6;

template <class F> CustomForward custom_forward(std::string_view name, F f, std::size_t n) {
  if constexpr (std::is_invocable_v<F&, const std::vector<Tensor>&> && !takes_tensors<F, 1>) {
    return f;
  } else {
    CustomForward found;
    [&]<std::size_t... I>(std::index_sequence<I...>) {
      const auto offer = [&]<std::size_t count>(std::integral_constant<std::size_t, count>) {
        if constexpr (takes_tensors<F, count>)
          if (n == count)
            found = [f](const std::vector<Tensor>& in) mutable -> Tensor {
              const Tensor* x[count];
              for (std::size_t k = 0; k < count; ++k) x[k] = &in[k];
              return call_with(f, x, std::make_index_sequence<count>());
            };
      };
      (offer(std::integral_constant<std::size_t, I + 1>()), ...);
    }
    (std::make_index_sequence<most_custom_operands>());
    if (!found) custom_takes_other(name, "forward", n);
    return found;
  }
}

template <class F> CustomBackward custom_backward(std::string_view name, F f, std::size_t n) {
  using List = const std::vector<Tensor>&;
  if constexpr (std::is_invocable_v<F&, const Tensor&, List, const Tensor&> && !takes_tensors<F, 3>) {
    return [f](const Tensor& dy, List in, const Tensor& y) mutable { return as_list(f(dy, in, y)); };
  } else if constexpr (std::is_invocable_v<F&, const Tensor&, List> && !takes_tensors<F, 2>) {
    return [f](const Tensor& dy, List in, const Tensor&) mutable { return as_list(f(dy, in)); };
  } else {
    CustomBackward found;
    [&]<std::size_t... I>(std::index_sequence<I...>) {
      // With dy and the operands, with the value as well, or with dy alone.
      const auto offer = [&]<std::size_t count>(std::integral_constant<std::size_t, count>) {
        if constexpr (takes_tensors<F, count>)
          if (count == n + 1 || (count == n + 2 && !found) || (count == 1 && !found))
            found = [f](const Tensor& dy, List in, const Tensor& y) mutable {
              const Tensor* x[count];
              x[0] = &dy;
              for (std::size_t k = 1; k < count; ++k) x[k] = k <= in.size() ? &in[k - 1] : &y;
              return as_list(call_with(f, x, std::make_index_sequence<count>()));
            };
      };
      (offer(std::integral_constant<std::size_t, most_custom_operands + 2 - I>()), ...);
    }
    (std::make_index_sequence<most_custom_operands + 2>());
    if (!found) custom_takes_other(name, "backward", n);
    return found;
  }
}

}  // namespace detail

/// An op of your own on whole tensors, under its name in the graph.
///   forward    the operands -> its value.  It may read numbers with data<T>() and make tensors with from(); what it
///              computes is not recorded.
///   backward   the value's gradient dy, alone, with the operands, or with the operands and the value -> a gradient for
///              each operand, in a vector, pair, tuple or array (as it is if there is one operand); an undefined Tensor
///              says that none passes.
/// Both take the operands one by one, or as one const std::vector<Tensor>&; a parameter `auto` means one Tensor.
/// A backward written with ops on whole tensors can be differentiated again.  One that reads numbers or elements cannot:
/// derivatives of derivatives through it throw GraphError.  Numbers that it has from elsewhere are constants to it.
/// Throws UsageError if the functions take another number of tensors, or return nothing; from backward(), ShapeError or
/// DTypeError if a gradient is not of its operand's shape or type.
template <class Forward, class Backward>
Tensor custom(std::string_view name, const std::vector<Tensor>& operands, Forward forward, Backward backward) {
  const std::size_t n = operands.size();
  const detail::CustomForward run = detail::custom_forward(name, std::move(forward), n);
  return detail::run_custom(name, operands, run, detail::custom_backward(name, std::move(backward), n));
}

}  // namespace ebb
