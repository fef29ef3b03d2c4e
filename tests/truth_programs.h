// Programs of many kinds, each small enough that every number in its pictures can be checked.
#pragma once

#include "graphs.h"

#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace ebb::truth {

/// The parameters of a program, which outlive its graph.
using Net = std::shared_ptr<const std::vector<Parameter>>;

inline Net net(DType dtype, const std::vector<std::pair<std::string, Shape>>& names) {
  std::vector<Parameter> all;
  all.reserve(names.size());
  for (const auto& [name, shape] : names) {
    all.emplace_back(graphs::numbers(shape, 0.4, static_cast<int>(all.size()) + 1).to(dtype));
    all.back().rename(name);
  }
  return std::make_shared<const std::vector<Parameter>>(std::move(all));
}

inline Tensor data(const Net& net, const Shape& shape, int seed) {
  return graphs::numbers(shape, 1, seed).to(net->front().value().dtype());
}

inline Tensor dense(const char* path, const Tensor& x, const Net& net, std::size_t first) {
  const Scope scope(path, "Dense(8 -> 8)");
  return affine(x, (*net)[first], (*net)[first + 1]);
}

inline Tensor residual(const Net& net) {
  const Tensor h = relu(dense("stem", data(net, {16, 8}, 2), net, 0));
  return mean(square(dense("head", h + relu(dense("block", h, net, 2)), net, 4)));
}

inline Net cell(DType dtype) { return net(dtype, {{"cell.in", {32, 4}}, {"cell.own", {32, 8}}, {"cell.bias", {32}}}); }

/// An LSTM cell in single ops, again and again.
inline Tensor recurrent(const Net& net, int steps) {
  const DType dtype = net->front().value().dtype();
  Tensor h = zeros({2, 8}, dtype), c = zeros({2, 8}, dtype);
  for (int t = 0; t < steps; ++t) {
    const Scope scope("cell", "Cell(4 -> 8)");
    const Tensor z =
        matmul(data(net, {2, 4}, t), (*net)[0], {.tb = true}) + matmul(h, (*net)[1], {.tb = true}) + (*net)[2];
    const auto gate = [&](std::int64_t n) { return slice(z, 8 * n, 8 * n + 8, 1); };
    const Tensor i = sigmoid(gate(0)), f = sigmoid(gate(1)), g = tanh(gate(2)), o = sigmoid(gate(3));
    c = f * c + i * g;
    h = o * tanh(c);
  }
  return mean(square(h));
}

inline Tensor convolutions(const Net& net) {
  Tensor h;
  {
    const Scope scope("conv", "Conv2d(1 -> 3, 3)");
    h = relu(conv2d(data(net, {5, 1, 8, 8}, 9), (*net)[0], (*net)[1]));
  }
  return mean(square(dense("out", reshape(max_pool2d(h, 2), {5, 27}), net, 2)));
}

inline Scalar micrograd(Graph& graph) {
  const Scalar a = graph.variable(-4.0, "a"), b = graph.variable(2.0, "b");
  Scalar c = a + b, d = a * b + pow(b, 3.0);
  c = c + c + 1.0;
  c = c + 1.0 + c + (-a);
  d = d + d * 2.0 + relu(b + a);
  d = d + 3.0 * d + relu(b - a);
  const Scalar e = c - d, f = square(e);
  return f / 2.0 + 10.0 / f;
}

inline Tensor second_derivative(Graph& graph, const Net& net) {
  const Tensor x = graph.variable(data(net, {2, 3}, 3), "x");
  const Tensor y = sum(tanh(matmul(x, net->front())));
  return sum(square(graph.gradient(y, x))) + y;
}

/// One op takes a value twice, and makes different things of it; the loss does not need all that is computed.
inline Tensor aside(const Net& net) {
  const Tensor h = tanh(matmul(data(net, {4, 8}, 3), net->front()));
  const Tensor mixed = custom(
      "mix", {h, h}, [](const Tensor& p, const Tensor& q) { return p * 0.5 + q; },
      [](const Tensor& g, const Tensor&, const Tensor&) { return std::pair(g * 0.5, g); });
  static_cast<void>(abs(h));
  const Scope scope("end", "End");
  const Tensor loss = mean(square(mixed + h));
  static_cast<void>(square(loss));
  return loss;
}

inline Tensor stack_of_layers(const Net& net) {
  Tensor h = data(net, {4, 8}, 7);
  for (std::size_t i = 0; i < net->size(); i += 2) {
    const Scope scope("deep." + std::to_string(i / 2), "Dense(8 -> 8)");
    h = tanh(affine(h, (*net)[i], (*net)[i + 1]));
  }
  return mean(square(h));
}

struct Program {
  std::string name;
  std::function<Tensor(Graph&)> loss;
};

inline std::vector<Program> programs() {
  std::vector<Program> all;
  const auto add = [&](const std::string& name, const Net& net, Tensor (*loss)(const Net&)) {
    all.push_back({name, [net, loss](Graph&) { return loss(net); }});
  };
  all.push_back({"guide", [mlp = std::make_shared<const graphs::Mlp>()](Graph&) { return mlp->loss(); }});
  for (const DType dtype : {f32, f64}) {
    const Shape square{8, 8}, row{8};
    add("residual",
        net(dtype, {{"stem.weight", square},
                    {"stem.bias", row},
                    {"block.weight", square},
                    {"block.bias", row},
                    {"head.weight", square},
                    {"head.bias", row}}),
        residual);
    add("three steps", cell(dtype), [](const Net& net) { return recurrent(net, 3); });
    add("convolutions",
        net(dtype, {{"conv.weight", {3, 1, 3, 3}}, {"conv.bias", {3}}, {"out.weight", {4, 27}}, {"out.bias", {4}}}),
        convolutions);
    add("aside", net(dtype, {{"w", square}}), aside);
    std::vector<std::pair<std::string, Shape>> deep;
    for (const char* layer : {"0", "1", "2", "3", "4", "5", "6", "7"}) {
      const std::string path = std::string("deep.") + layer;
      deep.emplace_back(path + ".weight", square), deep.emplace_back(path + ".bias", row);
    }
    add("stack", net(dtype, deep), stack_of_layers);
    all.push_back({"second derivative",
                   [net = net(dtype, {{"w", {3, 3}}})](Graph& graph) { return second_derivative(graph, net); }});
  }
  add("fifty steps", cell(f64), [](const Net& net) { return recurrent(net, 50); });
  return all;
}

}  // namespace ebb::truth
