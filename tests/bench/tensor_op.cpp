// What an op on tensors of one element costs, recorded and differentiated: all overhead, no arithmetic.
#include "timing.h"

#include <ebb/autograd/autograd.h>

#include <cstdlib>

int main() {
  using namespace ebb;
  std::printf("an op on one-element tensors in a chain of 1,000, on %s\n\n", bench::machine().c_str());
  std::printf("%10s %14s %28s   goal: <= 120 ns\n", "op", "not recorded", "recorded and differentiated");
  const Tensor one = full({1, 1}, 1.0001);
  const auto row = [&](const char* name, auto op) {
    constexpr int ops = 1000;
    const auto plain = [&] {
      Tensor y = one;
      for (int i = 0; i < ops; ++i) y = op(y, one);
    };
    const auto recorded = [&] {
      Graph graph;
      const Tensor x = graph.variable(one);
      Tensor y = x;
      for (int i = 0; i < ops; ++i) y = op(y, x);
      y.backward();
    };
    const auto t = bench::compare({plain, recorded}, 20, 31, bench::thread_seconds);
    std::printf("%10s %11.1f ns %25.1f ns\n", name, t[0].seconds / ops * 1e9, t[1].seconds / ops * 1e9);
  };
  row("add", [](const Tensor& a, const Tensor& b) { return a + b; });
  row("mul", [](const Tensor& a, const Tensor& b) { return a * b; });
  row("tanh", [](const Tensor& a, const Tensor&) { return tanh(a); });
  row("matmul", [](const Tensor& a, const Tensor& b) { return matmul(a, b); });
  return EXIT_SUCCESS;
}
