// What it costs that a graph is observed, values, gradients and times of every node: a training step of the guide's model,
// 10-64-32-1 with ReLU, Sigmoid, binary cross-entropy and Adam, with and without.
#include "timing.h"

#include <ebb/optim/optim.h>

#include <cstdlib>

int main() {
  using namespace ebb;
  std::printf("one training step of 10-64-32-1 (f32, Adam), on %s   goal at batch 32: ratio <= 2\n\n",
              bench::machine().c_str());
  std::printf("%8s %12s %15s %8s\n", "batch", "step", "observed step", "ratio");
  for (const int batch : {1, 32, 1024}) {
    seed(1);
    nn::Sequential model{nn::Dense(10, 64), nn::ReLU(), nn::Dense(64, 32), nn::ReLU(), nn::Dense(32, 1), nn::Sigmoid()};
    optim::Adam adam(model, {.lr = 1e-3});
    const Tensor x = randn({batch, 10}), y = (rand({batch, 1}) > 0.5).to(f32);
    const auto step = [&](bool observe) {
      Graph graph({.observe = observe});
      nn::binary_cross_entropy(model(x), y).backward();
      adam.step();
    };
    const auto t = bench::compare({[&] { step(true); }, [&] { step(false); }}, batch == 1024 ? 20 : 500, 31,
                                  bench::thread_seconds);
    std::printf("%8d %9.2f us %12.2f us %8.2f\n", batch, t[1].seconds * 1e6, t[0].seconds * 1e6, t[0].ratio);
  }
  return EXIT_SUCCESS;
}
