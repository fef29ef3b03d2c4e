// Num and Dual: the numbers that formulas run on besides Scalar and Tensor.  Num is one float or double; Dual carries
// derivatives along.
#pragma once

#include "kernels/math.h"

#include <cmath>
#include <cstddef>
#include <limits>
#include <type_traits>

namespace ebb {

/// One number.  It is a type of its own so that a formula's exp(x) means the function of this precision, on every
/// system, whatever headers are included.
template <class T> struct Num {
  T v{};

  constexpr Num() = default;
  template <class U>
  requires std::is_arithmetic_v<U>
  constexpr Num(U value) : v(static_cast<T>(value)) {}

  // Whole numbers wrap around, as NumPy's do, instead of being undefined.
  using Word = typename std::conditional_t<std::is_integral_v<T>, std::make_unsigned<T>, std::type_identity<T>>::type;

  friend constexpr Num operator+(Num a, Num b) { return Word(a.v) + Word(b.v); }
  friend constexpr Num operator-(Num a, Num b) { return Word(a.v) - Word(b.v); }
  friend constexpr Num operator*(Num a, Num b) { return Word(a.v) * Word(b.v); }
  friend constexpr Num operator/(Num a, Num b) { return a.v / b.v; }
  friend constexpr Num operator-(Num a) {
    if constexpr (std::is_integral_v<T>) return Word(0) - Word(a.v);
    else return -a.v;
  }
  constexpr Num& operator+=(Num b) { return *this = *this + b; }
  constexpr Num& operator-=(Num b) { return *this = *this - b; }
  constexpr Num& operator*=(Num b) { return *this = *this * b; }
  constexpr Num& operator/=(Num b) { return *this = *this / b; }
  friend constexpr bool operator<(Num a, Num b) { return a.v < b.v; }
  friend constexpr bool operator<=(Num a, Num b) { return a.v <= b.v; }
  friend constexpr bool operator>(Num a, Num b) { return a.v > b.v; }
  friend constexpr bool operator>=(Num a, Num b) { return a.v >= b.v; }
  friend constexpr bool operator==(Num a, Num b) { return a.v == b.v; }
  friend constexpr bool operator!=(Num a, Num b) { return a.v != b.v; }

  friend constexpr Num where(bool condition, Num a, Num b) { return kernels::math::select(condition, a.v, b.v); }
  friend Num abs(Num x) { return std::abs(x.v); }
  friend Num exp(Num x) { return kernels::math::exp(x.v); }
  friend Num expm1(Num x) { return kernels::math::expm1(x.v); }
  friend Num log(Num x) { return kernels::math::log(x.v); }
  friend Num log1p(Num x) { return kernels::math::log1p(x.v); }
  friend Num sqrt(Num x) { return std::sqrt(x.v); }
  friend Num sin(Num x) { return std::sin(x.v); }
  friend Num cos(Num x) { return std::cos(x.v); }
  friend Num tan(Num x) { return std::tan(x.v); }
  friend Num asin(Num x) { return std::asin(x.v); }
  friend Num acos(Num x) { return std::acos(x.v); }
  friend Num atan(Num x) { return std::atan(x.v); }
  friend Num sinh(Num x) { return std::sinh(x.v); }
  friend Num cosh(Num x) { return std::cosh(x.v); }
  friend Num tanh(Num x) { return kernels::math::tanh(x.v); }
  friend Num erf(Num x) { return kernels::math::erf(x.v); }
  friend Num pow(Num a, Num b) { return std::pow(a.v, b.v); }
};

/// A number with its derivatives by N variables: what an op made by elementwise() is differentiated with.
template <class T, int N> struct Dual {
  Num<T> v{};
  Num<T> d[N]{};

  constexpr Dual() = default;
  template <class U>
  requires std::is_arithmetic_v<U>
  constexpr Dual(U value) : v(value) {}
  constexpr Dual(Num<T> value) : v(value) {}
  constexpr Dual(Num<T> value, Num<T> along) requires(N == 1) : v(value), d{along} {}

  friend bool operator<(const Dual& a, const Dual& b) { return a.v < b.v; }
  friend bool operator<=(const Dual& a, const Dual& b) { return a.v <= b.v; }
  friend bool operator>(const Dual& a, const Dual& b) { return a.v > b.v; }
  friend bool operator>=(const Dual& a, const Dual& b) { return a.v >= b.v; }
  friend bool operator==(const Dual& a, const Dual& b) { return a.v == b.v; }
  friend bool operator!=(const Dual& a, const Dual& b) { return a.v != b.v; }
  friend Dual where(bool condition, const Dual& a, const Dual& b) {
    Dual y(where(condition, a.v, b.v));
    for (int i = 0; i < N; ++i) y.d[i] = where(condition, a.d[i], b.d[i]);
    return y;
  }
};

namespace detail {

template <class T> struct IsNumber : std::false_type {};
template <class T> struct IsNumber<Num<T>> : std::true_type {};
template <class T, int N> struct IsNumber<Dual<T, N>> : std::true_type {};
template <class T>
concept AnyNumber = IsNumber<T>::value;

/// p·d where no derivative (an exact 0) stays none, even against an infinite p.
template <class T> Num<T> chain(Num<T> p, Num<T> d) { return where(d == Num<T>(0), Num<T>(0), p * d); }

/// A formula on numbers.  On Duals, its derivative rule carries the derivatives along.
template <class F, class T> Num<T> on_numbers(Num<T> x) { return F::f(x); }
template <class F, class T> Num<T> on_numbers(Num<T> a, Num<T> b) { return F::f(a, b); }
template <class F, class T, int N> Dual<T, N> on_numbers(const Dual<T, N>& x) {
  Dual<T, N> y(F::f(x.v));
  const Num<T> p = F::dx(Num<T>(1), x.v, y.v);
  for (int i = 0; i < N; ++i) y.d[i] = chain(p, x.d[i]);
  return y;
}
template <class F, class T, int N> Dual<T, N> on_numbers(const Dual<T, N>& a, const Dual<T, N>& b) {
  Dual<T, N> y(F::f(a.v, b.v));
  const Num<T> p = F::da(Num<T>(1), a.v, b.v, y.v), q = F::db(Num<T>(1), a.v, b.v, y.v);
  for (int i = 0; i < N; ++i) y.d[i] = chain(p, a.d[i]) + chain(q, b.d[i]);
  return y;
}

}  // namespace detail
}  // namespace ebb
