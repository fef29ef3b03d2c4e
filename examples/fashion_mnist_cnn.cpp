// A convolutional net tells ten kinds of clothes apart.
//
// It must reach: an accuracy of 0.915 on the 10,000 test photographs; with --short, on a slice,
// 0.8.
// Usage: fashion_mnist_cnn [--short] [folder]; writes fashion_mnist_cnn.safetensors, .svg (how training went) and
// _flow.svg (how gradients flow) into the current folder.
#include "fashion.h"

using namespace ebb;

int main(int argc, char** argv) try {
  const Request request(argc, argv);
  const data::Split photographs = fashion_mnist(request);

  seed(1);
  nn::Sequential model{nn::Conv2d(1, 32, 3, {.padding = 1, .init = nn::he_uniform}),
                       nn::ReLU(),
                       nn::MaxPool2d(2),
                       nn::Conv2d(32, 64, 3, {.padding = 1, .init = nn::he_uniform}),
                       nn::ReLU(),
                       nn::MaxPool2d(2),
                       nn::Flatten(),
                       nn::Dropout(0.3),
                       nn::Dense(64 * 7 * 7, 128, {.init = nn::he_uniform}),
                       nn::ReLU(),
                       nn::Dropout(0.3),
                       nn::Dense(128, 10)};
  optim::AdamW adamw(model, {.lr = 3e-3});
  optim::Trainer trainer(model, adamw, {.loss = nn::cross_entropy, .metrics = {nn::accuracy}});
  optim::FitOptions options = fashion_training(photographs.train, /*epochs=*/request.brief ? 4 : 8,
                                               /*batch=*/request.brief ? 32 : 128);
  options.transform = data::random_flip();  // a shirt in a mirror is a shirt
  options.prefetch = 2;
  const optim::History history = trainer.fit(photographs.train, options);
  return report("fashion_mnist_cnn", model, trainer, history, photographs, /*must_reach=*/request.brief ? 0.8 : 0.915);
} catch (const Error& error) {
  std::fprintf(stderr, "fashion_mnist_cnn: %s\n", error.what());
  return 1;
}
