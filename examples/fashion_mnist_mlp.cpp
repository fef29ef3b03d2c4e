// A feedforward net tells ten kinds of clothes apart: dense layers alone.
//
// It must reach: an accuracy of 0.88 on the 10,000 test photographs; with --short, on a slice,
// 0.78.
// Usage: fashion_mnist_mlp [--short] [folder]; writes fashion_mnist_mlp.safetensors, .svg (how training went) and
// _flow.svg (how gradients flow) into the current folder.
#include "fashion.h"

using namespace ebb;

int main(int argc, char** argv) try {
  const Request request(argc, argv);
  const data::Split photographs = fashion_mnist(request);

  seed(1);
  nn::Sequential model{nn::Flatten(),
                       nn::Dense(784, 256, {.init = nn::he_uniform}),
                       nn::ReLU(),
                       nn::Dropout(0.2),
                       nn::Dense(256, 128, {.init = nn::he_uniform}),
                       nn::ReLU(),
                       nn::Dropout(0.2),
                       nn::Dense(128, 10)};
  optim::AdamW adamw(model, {.lr = 2e-3});
  optim::Trainer trainer(model, adamw, {.loss = nn::cross_entropy, .metrics = {nn::accuracy}});
  optim::FitOptions options = fashion_training(photographs.train, /*epochs=*/request.brief ? 6 : 12,
                                               /*batch=*/request.brief ? 32 : 128);
  const optim::History history = trainer.fit(photographs.train, options);
  return report("fashion_mnist_mlp", model, trainer, history, photographs, /*must_reach=*/request.brief ? 0.78 : 0.88);
} catch (const Error& error) {
  std::fprintf(stderr, "fashion_mnist_mlp: %s\n", error.what());
  return 1;
}
