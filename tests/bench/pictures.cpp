// What a picture of a large graph costs: taking it out of the graph, folding it, writing DOT, and dot's layout.
#include "timing.h"

#include <ebb/autograd/autograd.h>
#include <ebb/tools/graphviz.h>

#include <cstdlib>
#include <filesystem>
#include <string>

namespace {

using namespace ebb;

/// Three ops for each layer, on tensors of four numbers.
Tensor layers(const Tensor& x, const Parameter& w, int ops) {
  Tensor y = x;
  for (int i = 0; i < ops; i += 3) y = tanh(y * w + 0.1);
  return sum(y);
}

/// Small networks of scalars, one for each sample, as micrograd computes them.
Scalar networks(Graph& graph, std::size_t nodes) {
  std::vector<Scalar> w;
  for (int i = 0; i < 110; ++i) w.push_back(graph.variable(0.01 * i));
  Scalar loss = 0.0;
  while (graph.size() < nodes) {
    Scalar out = 0.0;
    for (std::size_t neuron = 0; neuron < 10; ++neuron) {
      Scalar sum = w[11 * neuron];
      for (std::size_t i = 1; i <= 10; ++i) sum = sum + w[11 * neuron + i] * (0.1 * static_cast<double>(i));
      out = out + tanh(sum);
    }
    loss = loss + square(out - 1.0);
  }
  return loss;
}

void row(const char* name, double seconds, const char* goal) {
  std::printf("%-48s %8.1f ms   goal: <= %s\n", name, seconds * 1e3, goal);
}

}  // namespace

int main() {
  std::printf("pictures of large graphs, on %s\n\n", bench::machine().c_str());
  const std::string file = (std::filesystem::temp_directory_path() / "ebb-bench-pictures.svg").string();
  {
    const Parameter w(full({4}, 0.5));
    Graph graph({.observe = true});
    layers(graph.variable(full({4}, 0.3), "x"), w, 10'000).backward();
    const auto t = bench::compare({[&] { graphviz::dot(graph); }, [&] { graphviz::render(graph, file); }}, 1, 9);
    row("10,000 ops on tensors: DOT", t[0].seconds, "50 ms");
    row("10,000 ops on tensors: folded, laid out by dot", t[1].seconds, "2000 ms");
  }
  {
    Graph graph({.observe = true});
    networks(graph, 1'000'000).backward();
    const auto t = bench::compare({[&] { graphviz::dot(graph); }}, 1, 5);
    row("1,000,000 ops on scalars: DOT", t[0].seconds, "1000 ms");
  }
  std::filesystem::remove(file);
  return EXIT_SUCCESS;
}
