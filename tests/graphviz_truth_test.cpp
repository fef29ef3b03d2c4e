// Every number that is printed in a picture is that of a tensor, and none stands there that says something else.
#include "truth_picture.h"

#include <ebb/nn/nn.h>

using namespace ebb;
using namespace ebb::graphviz;
using namespace ebb::graphs;

namespace {

// ---- programs -------------------------------------------------------------------------------------------------------

Parameter learned(const Shape& shape, double scale, int seed, const char* name, DType dtype) {
  Parameter p(numbers(shape, scale, seed).to(dtype));
  p.rename(name);
  return p;
}

struct Program {
  const char* name;
  std::function<Tensor(Graph&)> loss;
};

Tensor dense(const char* path, const Tensor& x, const Parameter& w, const Parameter& b) {
  const Scope scope(path, "Dense(8 -> 8)");
  return affine(x, w, b);
}

Tensor residual(Graph&, DType dtype) {
  static std::map<DType, std::vector<Parameter>> models;
  std::vector<Parameter>& p = models[dtype];
  if (p.empty()) {
    p.reserve(6);
    int seed = 1;
    for (const char* path : {"stem", "block", "head"})
      for (const char* part : {".weight", ".bias"})
        p.push_back(learned(std::string(part) == ".bias" ? Shape{8} : Shape{8, 8}, 0.4, ++seed, (std::string(path) + part).c_str(), dtype));
  }
  const Tensor x = numbers({16, 8}, 1, 2).to(dtype);
  const Tensor h = relu(dense("stem", x, p[0], p[1]));
  const Tensor sum = h + relu(dense("block", h, p[2], p[3]));
  return mean(square(dense("head", sum, p[4], p[5])));
}

struct Cell {
  Parameter in, own, bias;
  explicit Cell(DType dtype)
      : in(learned({32, 4}, 0.5, 1, "cell.in", dtype)), own(learned({32, 8}, 0.3, 2, "cell.own", dtype)), bias(learned({32}, 0.1, 3, "cell.bias", dtype)) {}
  void operator()(const Tensor& x, Tensor& h, Tensor& c) const {
    const Scope scope("cell", "Cell(4 -> 8)");
    const Tensor z = matmul(x, in, {.tb = true}) + matmul(h, own, {.tb = true}) + bias;
    const auto gate = [&](std::int64_t n) { return slice(z, 8 * n, 8 * n + 8, 1); };
    const Tensor i = sigmoid(gate(0)), f = sigmoid(gate(1)), g = tanh(gate(2)), o = sigmoid(gate(3));
    c = f * c + i * g;
    h = o * tanh(c);
  }
};

Tensor recurrent(const Cell& cell, int steps, DType dtype) {
  Tensor h = zeros({2, 8}, dtype), c = zeros({2, 8}, dtype);
  for (int t = 0; t < steps; ++t) cell(numbers({2, 4}, 1, t).to(dtype), h, c);
  return mean(square(h));
}

Tensor convolutions(DType dtype) {
  static std::map<DType, std::vector<Parameter>> models;
  std::vector<Parameter>& p = models[dtype];
  if (p.empty()) {
    p.reserve(4);
    p.push_back(learned({3, 1, 3, 3}, 0.5, 1, "conv.weight", dtype)), p.push_back(learned({3}, 0.2, 2, "conv.bias", dtype));
    p.push_back(learned({4, 27}, 0.3, 3, "out.weight", dtype)), p.push_back(learned({4}, 0.1, 4, "out.bias", dtype));
  }
  const Tensor x = numbers({5, 1, 8, 8}, 1, 9).to(dtype);
  Tensor h;
  {
    const Scope scope("conv", "Conv2d(1 -> 3, 3)");
    h = relu(conv2d(x, p[0], p[1]));
  }
  h = flatten(max_pool2d(h, 2));
  const Scope scope("out", "Dense(27 -> 4)");
  return mean(square(affine(h, p[2], p[3])));
}

Scalar micrograd(Graph& graph) {
  const Scalar a = graph.variable(-4.0, "a"), b = graph.variable(2.0, "b");
  Scalar c = a + b, d = a * b + pow(b, 3.0);
  c = c + c + 1.0;
  c = c + 1.0 + c + (-a);
  d = d + d * 2.0 + relu(b + a);
  d = d + 3.0 * d + relu(b - a);
  const Scalar e = c - d, f = square(e);
  return f / 2.0 + 10.0 / f;
}

Tensor penalty(Graph& graph, DType dtype) {
  static std::map<DType, Parameter> models;
  const Parameter& w = models.try_emplace(dtype, learned({3, 3}, 0.5, 4, "w", dtype)).first->second;
  const Tensor x = graph.variable(numbers({2, 3}, 1, 3).to(dtype), "x");
  const Tensor y = sum(tanh(matmul(x, w)));
  return sum(square(graph.gradient(y, x))) + y;
}

Tensor stack_of_layers(DType dtype) {
  static std::map<DType, std::vector<Parameter>> models;
  std::vector<Parameter>& p = models[dtype];
  for (int i = 0; p.size() < 16; ++i) {
    p.reserve(16);
    p.push_back(learned({8, 8}, 0.5, i, ("deep." + std::to_string(i) + ".weight").c_str(), dtype));
    p.push_back(learned({8}, 0.1, i, ("deep." + std::to_string(i) + ".bias").c_str(), dtype));
  }
  Tensor h = numbers({4, 8}, 1, 7).to(dtype);
  for (std::size_t i = 0; i < 8; ++i) {
    const Scope scope("deep." + std::to_string(i), "Dense(8 -> 8)");
    h = tanh(affine(h, p[2 * i], p[2 * i + 1]));
  }
  return mean(square(h));
}

std::vector<Program> programs() {
  static const Mlp mlp;
  static const Cell cell32(f32), cell64(f64);
  std::vector<Program> all{{"guide", [](Graph&) { return mlp.loss(); }},
                           {"three steps", [](Graph&) { return recurrent(cell32, 3, f32); }},
                           {"three steps, f64", [](Graph&) { return recurrent(cell64, 3, f64); }},
                           {"fifty steps", [](Graph&) { return recurrent(cell64, 50, f64); }}};
  for (const DType dtype : {f32, f64}) {
    all.push_back({"residual", [=](Graph& graph) { return residual(graph, dtype); }});
    all.push_back({"convolutions", [=](Graph&) { return convolutions(dtype); }});
    all.push_back({"second derivative", [=](Graph& graph) { return penalty(graph, dtype); }});
    all.push_back({"stack", [=](Graph&) { return stack_of_layers(dtype); }});
  }
  return all;
}

// How often numbers were explained.
std::size_t check_picture(const Graph& graph, const DotOptions& options) {
  const std::vector<Node> nodes = graph.nodes();
  truth::Picture picture(nodes, dot(graph, options), options);
  const std::string wrong = picture.what_is_wrong();
  CHECK_MESSAGE(wrong.empty(), wrong);
  return picture.numbers;
}

}  // namespace

TEST_CASE("every number in a picture is that of a tensor") {
  std::vector<DotOptions> looks;
  for (const int most : {400, 30, 12, 5}) {
    looks.push_back({.max_nodes = most});
    looks.push_back({.view = View::cards, .max_nodes = most});
    looks.push_back({.view = View::strip, .max_nodes = most});
  }
  looks.push_back({.depth = 1});
  for (const Program& program : programs()) {
    Graph graph;
    graph.observe();
    program.loss(graph).backward();
    for (const DotOptions& options : looks) {
      if (graph.size() > 400 && options.max_nodes == 400) continue;
      CAPTURE(program.name);
      CAPTURE(options.max_nodes);
      CAPTURE(static_cast<int>(options.view));
      CHECK(check_picture(graph, options) > 20);
    }
  }
}

TEST_CASE("every number of a graph of scalars is that of a node") {
  Graph graph;
  graph.observe();
  micrograd(graph).backward();
  for (const View view : {View::scalar, View::cards, View::strip})
    CHECK(check_picture(graph, {.view = view}) > 100);
}
