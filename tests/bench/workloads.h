// The training steps that are measured, as plain numbers: every library that takes part builds the same model from
// them, begins with the same weights and reads the same data.
//
// Legend of shapes: n the batch; t the time steps.
#pragma once

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <numeric>
#include <stdexcept>
#include <string>
#include <vector>

namespace bench {

using Sizes = std::vector<std::int64_t>;

inline std::size_t count(const Sizes& shape) {
  return static_cast<std::size_t>(std::accumulate(shape.begin(), shape.end(), std::int64_t{1}, std::multiplies<>()));
}

/// `count` numbers in [low, high), the same on every machine; another `stream`, other numbers.  Source: Steele, Lea &
/// Flood 2014, "Fast splittable pseudorandom number generators" (SplitMix64).
inline std::vector<float> uniform(std::size_t count, std::uint64_t stream, float low, float high) {
  std::vector<float> drawn(count);
  std::uint64_t state = stream * 0xd1342543de82ef95u + 1;
  for (float& number : drawn) {
    std::uint64_t z = state += 0x9e3779b97f4a7c15u;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    z ^= z >> 31;
    number = low + (high - low) * static_cast<float>(z >> 40) * 0x1p-24f;
  }
  return drawn;
}

enum class Net {
  mlp,     // 10-64-32-1: ReLU, ReLU, sigmoid and binary cross-entropy
  digits,  // 784-128-10: ReLU, cross-entropy
  cnn,     // 1-16-32 channels, 5x5, each with ReLU and a pool of 2, then 1568-10; cross-entropy
  lstm,    // the last hidden state into one number; mean squared error
  chain    // one number times itself, t times over; no optimizer
};

/// One workload.  A class is an i64 target, one for each row.
struct Workload {
  std::string name;
  Net net;
  std::int64_t n = 1, t = 0, in = 0, hidden = 0;  // in and hidden: of an lstm

  Sizes x_shape() const {
    switch (net) {
      case Net::mlp:
        return {n, 10};
      case Net::digits:
        return {n, 784};
      case Net::cnn:
        return {n, 1, 28, 28};
      case Net::lstm:
        return {n, t, in};
      case Net::chain:
        return {1};
    }
    throw std::logic_error("no such net");
  }
  bool classes() const { return net == Net::digits || net == Net::cnn; }

  /// Shapes of the parameters, in the order in which PyTorch lists them.
  std::vector<Sizes> parameters() const {
    switch (net) {
      case Net::mlp:
        return {{64, 10}, {64}, {32, 64}, {32}, {1, 32}, {1}};
      case Net::digits:
        return {{128, 784}, {128}, {10, 128}, {10}};
      case Net::cnn:
        return {{16, 1, 5, 5}, {16}, {32, 16, 5, 5}, {32}, {10, 1568}, {10}};
      case Net::lstm:
        return {{4 * hidden, in}, {4 * hidden, hidden}, {4 * hidden}, {4 * hidden}, {1, hidden}, {1}};
      case Net::chain:
        return {};
    }
    throw std::logic_error("no such net");
  }

  /// The numbers of parameter p at the start: uniform within ±1/√(inputs of one output).
  std::vector<float> start(std::size_t p) const {
    const Sizes shape = parameters().at(p);
    const double inputs = static_cast<double>(count(shape)) / static_cast<double>(shape[0]);
    const float bound = static_cast<float>(shape.size() == 1 ? 0.1 : 1 / std::sqrt(inputs));
    return uniform(count(shape), 100 + p, -bound, bound);
  }
  std::vector<float> x() const {
    if (net == Net::chain) return {1.0001f};
    return uniform(count(x_shape()), 1, -1, 1);
  }
  /// [n, 1]: 0 or 1 for the mlp, any in [-1, 1) for the lstm.
  std::vector<float> y() const {
    std::vector<float> drawn = uniform(static_cast<std::size_t>(n), 2, -1, 1);
    if (net == Net::mlp)
      for (float& number : drawn) number = number > 0 ? 1.0f : 0.0f;
    return drawn;
  }
  /// [n], in [0, 10).
  std::vector<std::int64_t> labels() const {
    std::vector<std::int64_t> drawn;
    for (const float number : uniform(static_cast<std::size_t>(n), 3, 0, 10))
      drawn.push_back(static_cast<std::int64_t>(number));
    return drawn;
  }

  /// Floating point operations of the products of one step, forward and backward, without the gradient of x: what no
  /// implementation can do without (a Winograd or FFT convolution apart).
  double flops() const {
    double forward = 0, to_x = 0;  // multiplications and additions; to_x: of the gradient that nobody asks for
    const auto product = [&](double m, double k, double o, bool first) {
      forward += 2 * m * k * o;
      if (first) to_x += 2 * m * k * o;
    };
    const double rows = static_cast<double>(n);
    switch (net) {
      case Net::mlp:
        product(rows, 10, 64, true);
        product(rows, 64, 32, false);
        product(rows, 32, 1, false);
        break;
      case Net::digits:
        product(rows, 784, 128, true);
        product(rows, 128, 10, false);
        break;
      case Net::cnn:
        product(rows * 784, 25, 16, true);
        product(rows * 196, 400, 32, false);
        product(rows, 1568, 10, false);
        break;
      case Net::lstm: {
        const double steps = rows * static_cast<double>(t), h = static_cast<double>(hidden);
        product(steps, static_cast<double>(in), 4 * h, true);
        product(steps, h, 4 * h, false);
        product(rows, h, 1, false);
        break;
      }
      case Net::chain:
        break;
    }
    return 3 * forward - to_x;
  }
};

inline std::vector<Workload> workloads() {
  return {{"mlp-1", Net::mlp, 1},
          {"mlp-32", Net::mlp, 32},
          {"mlp-1024", Net::mlp, 1024},
          {"digits", Net::digits, 64},
          {"cnn", Net::cnn, 64},
          {"lstm-256", Net::lstm, 32, 100, 64, 256},
          {"lstm-32", Net::lstm, 16, 24, 1, 32},
          {"one-element", Net::chain, 1, 1000},
          {"one-multiply", Net::chain, 1, 1}};
}

/// Throws if there is none of that name.
inline Workload workload(const std::string& name) {
  for (const Workload& w : workloads())
    if (w.name == name) return w;
  throw std::invalid_argument("no workload named " + name);
}

}  // namespace bench
