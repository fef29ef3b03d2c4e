// Draws three graphs in every view and prints the pictures, tables, reports and traces: the same bytes, always.
//
// Usage: determinism FILE N: traces go through FILE, and N other graphs are made in the process before.
#include <ebb/nn/nn.h>
#include <ebb/tools/graphviz.h>

#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <functional>
#include <iterator>
#include <memory>

using namespace ebb;
using namespace ebb::graphviz;

namespace {

// Large enough for several threads.
Tensor network(Graph&) {
  seed(3);
  static nn::Sequential model{nn::Dense(96, 256), nn::GELU(), nn::Dense(256, 96), nn::Softmax()};
  nn::parameters(model);
  return mean(square(model(randn({512, 96}))));
}

Tensor convolutions(Graph&) {
  seed(5);
  static nn::Sequential model{nn::Conv2d(1, 8, 3), nn::ReLU(), nn::MaxPool2d(2), nn::Flatten(), nn::Dense(8 * 81, 4)};
  nn::parameters(model);
  return nn::cross_entropy(model(randn({16, 1, 20, 20})), randint(0, 4, {16}));
}

Tensor recurrent(Graph& graph) {
  seed(7);
  static const Parameter w(randn({16, 16}) * 0.2), u(randn({8, 16}) * 0.2);
  Tensor h = zeros({4, 16});
  for (int t = 0; t < 40; ++t) h = tanh(matmul(randn({4, 8}), u) + matmul(h, w));
  const Tensor x = graph.variable(randn({16}), "x");
  const Tensor y = sum(tanh(h * x));
  const Scalar a = x(2) * x(3), b = a * a + x(4);
  return y + sum(square(graph.gradient(y, x))) + sum(stack({a, b}, f32));
}

std::string picture(const std::function<Tensor(Graph&)>& loss, const std::string& trace_file) {
  Graph graph;
  graph.observe();
  loss(graph).backward();
  std::string all;
  for (const int most : {400, 20, 5})
    for (const View view : {View::automatic, View::cards, View::strip})
      all += dot(graph, {.view = view, .max_nodes = most});
  all += text(graph) + report(trace(graph));
  save(graph, trace_file);
  std::ifstream file(trace_file, std::ios::binary);
  return all.append(std::istreambuf_iterator<char>(file), {});
}

}  // namespace

int main(int count, char** arguments) {
  if (count != 3) return 2;
  std::vector<std::unique_ptr<Parameter>> kept;  // moves what is allocated next
  for (int i = 0; i < std::atoi(arguments[2]); ++i) {
    kept.push_back(std::make_unique<Parameter>(ones({i % 7 + 1, 3})));
    Graph graph;
    graph.observe();
    sum(tanh(*kept.back())).backward();
    if (i % 5 == 0) dot(graph, {.max_nodes = 3});
  }
  for (const auto& loss : {network, convolutions, recurrent}) std::fputs(picture(loss, arguments[1]).c_str(), stdout);
}
