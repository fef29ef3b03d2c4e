// What a Hessian-vector product costs, in gradients of the same function.
#include "timing.h"

#include <ebb/autograd/autograd.h>

#include <cstdint>
#include <cstdlib>
#include <functional>

namespace {

using namespace ebb;

struct Case {
  const char* name;
  std::function<Tensor(const Tensor&)> f;
  Tensor x;
};

Tensor gradient(const Case& c) {
  Graph graph;
  const Tensor x = graph.variable(c.x);
  c.f(x).backward();
  return x.grad();
}

}  // namespace

int main() {
  std::printf("hvp(f, x, v) in gradients of f, on %s   goal: <= 4\n\n", bench::machine().c_str());
  seed(1);
  const Tensor data = randn({256, 64}), labels = rand({256, 1}), w2 = randn({64, 1}) * 0.2,
               images = randn({8, 4, 16, 16});
  const Case cases[] = {
      {"a net of two layers, by its first weights [64, 64]",
       [=](const Tensor& w) { return bce_with_logits(matmul(tanh(matmul(data, w)), w2), labels); },
       randn({64, 64}) * 0.1},
      {"the same with relu",
       [=](const Tensor& w) { return bce_with_logits(matmul(relu(matmul(data, w)), w2), labels); },
       randn({64, 64}) * 0.1},
      {"a convolution and tanh, by the kernel [8, 4, 3, 3]",
       [=](const Tensor& w) { return mean(square(tanh(conv2d(images, w, {.padding = 1})))); },
       randn({8, 4, 3, 3}) * 0.3},
      {"softmax cross-entropy of a layer, by its weights [64, 10]",
       [=](const Tensor& w) {
         return softmax_cross_entropy(matmul(data, w), arange(256) - 10 * (arange(256) / 10).to(i64));
       },
       randn({64, 10}) * 0.1},
      {"Rosenbrock's function of 100,000 variables",
       [](const Tensor& x) {
         const Tensor a = slice(x, 0, x.size() - 1), b = slice(x, 1, x.size());
         return sum(100 * square(b - square(a)) + square(1 - a));
       },
       randn({100000}, f64)},
      {"sum of sin(x) exp(x) tanh(x), 100,000 elements", [](const Tensor& x) { return sum(sin(x) * exp(x) * tanh(x)); },
       randn({100000}, f64)},
      {"the same, 10 elements", [](const Tensor& x) { return sum(sin(x) * exp(x) * tanh(x)); }, randn({10}, f64)},
  };
  for (const Case& c : cases) {
    const Tensor v = randn(c.x.shape(), c.x.dtype());
    const int calls = c.x.size() < 100 ? 500 : 5;
    const auto t = bench::compare({[&] { hvp(c.f, c.x, v); }, [&] { gradient(c); }}, calls, 21);
    std::printf("  %-60s %9.1f us / %8.1f us = %5.2f\n", c.name, t[0].seconds * 1e6, t[1].seconds * 1e6, t[0].ratio);
  }
  return EXIT_SUCCESS;
}
