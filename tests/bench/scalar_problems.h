// Functions of many scalars, written once for every kind of number that takes part: plain doubles, Ebb's Scalar, a bare
// tape's, and other libraries'.
#pragma once

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <stdexcept>
#include <string>
#include <vector>

namespace bench {

/// Σ 100·(xᵢ₊₁ − xᵢ²)² + (1 − xᵢ)².  Source: Rosenbrock 1960.
template <class T> [[gnu::noinline]] T rosenbrock(std::span<const T> x) {
  T sum = 0.0;
  for (std::size_t i = 0; i + 1 < x.size(); ++i) {
    const T off = x[i + 1] - x[i] * x[i], from_one = 1.0 - x[i];
    sum = sum + (100.0 * off * off + from_one * from_one);
  }
  return sum;
}

/// The squared error of a net 2-16-16-1 with tanh, by its 337 weights, for one sample.
template <class T> T net_of(std::span<const T> w, double a, double b, double target) {
  using std::tanh;
  constexpr std::size_t hidden = 16;
  auto next = w.begin();
  T first[hidden], second[hidden];
  for (T& h : first) {
    h = tanh(next[0] * a + next[1] * b + next[2]);
    next += 3;
  }
  for (T& h : second) {
    T z = *next++;
    for (const T& f : first) z = z + *next++ * f;
    h = tanh(z);
  }
  T y = *next++;
  for (const T& s : second) y = y + *next++ * s;
  const T off = y - target;
  return off * off;
}

/// The same over 100 samples of the function a·b.
template <class T> [[gnu::noinline]] T net(std::span<const T> w) {
  T sum = 0.0;
  for (int sample = 0; sample < 100; ++sample) {
    const double a = sample / 50.0 - 1, b = (sample * 37 % 100) / 50.0 - 1;
    sum = sum + net_of(w, a, b, a * b);
  }
  return sum;
}

/// Σ sin(xᵢ)·e^xᵢ·tanh(xᵢ).
template <class T> [[gnu::noinline]] T terms(std::span<const T> x) {
  using std::exp, std::sin, std::tanh;
  T sum = 0.0;
  for (const T& one : x) sum = sum + sin(one) * exp(one) * tanh(one);
  return sum;
}

/// A function, and where its gradient is asked for.
struct Problem {
  enum Function { of_rosenbrock, of_net, of_terms } function;
  std::string name;
  std::vector<double> at;
  double operations;  // how many a tape records that records each
  double goal;        // milliseconds that Ebb may take

  template <class T> T operator()(const std::vector<T>& x) const {
    switch (function) {
      case of_rosenbrock:
        return rosenbrock<T>(x);
      case of_net:
        return net<T>(x);
      case of_terms:
        return terms<T>(x);
    }
    throw std::logic_error("no such function");
  }
};

inline std::vector<Problem> problems() {
  const auto points = [](std::size_t n) {
    std::vector<double> x(n);
    for (std::size_t i = 0; i < n; ++i) x[i] = 0.8 * std::sin(1.0 + 0.7 * static_cast<double>(i));
    return x;
  };
  constexpr double of_one_sample = 16 * (4 + 1) + 16 * (2 * 16 + 1) + 2 * 16 + 1 + 2;
  return {{Problem::of_rosenbrock, "Rosenbrock, 100,000 variables", points(100'000), 8.0 * 99'999, 4.3},
          {Problem::of_net, "tanh net 2-16-16-1 (337 weights), 100 samples", points(337), 100 * of_one_sample, 0.30},
          {Problem::of_terms, "100,000 terms of sin, exp and tanh", points(100'000), 6.0 * 100'000, 5.5}};
}

/// A way to find a gradient: records the function, goes back, and gives its value and all of its derivatives.
struct Way {
  std::string name;
  std::function<double(const Problem& f, std::vector<double>& gradient)> gradient;
};

/// The other libraries that this was built with.
std::vector<Way> peers();

}  // namespace bench
