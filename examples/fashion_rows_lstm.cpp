// An LSTM reads photographs of clothes row by row, from top to bottom, and then says what it saw.
//
// It must reach: an accuracy of 0.88 on the 10,000 test photographs; with --short, on a slice,
// 0.72.
// Usage: fashion_rows_lstm [--short] [folder]; writes fashion_rows_lstm.safetensors, .svg (how training went) and
// _flow.svg (how gradients flow) into the current folder.
#include "fashion.h"

using namespace ebb;

int main(int argc, char** argv) try {
  const Request request(argc, argv);
  const data::Split photographs = fashion_mnist(request);

  seed(1);
  const auto rows = [](const Tensor& x) { return squeeze(x, 1); };  // 28 steps of 28 pixels
  nn::Sequential model{rows, nn::LSTM(28, 128), nn::Dropout(0.2), nn::Dense(128, 10)};
  optim::AdamW adamw(model, {.lr = 3e-3});
  optim::Trainer trainer(model, adamw, {.loss = nn::cross_entropy, .metrics = {nn::accuracy}});
  optim::FitOptions options = fashion_training(photographs.train, /*epochs=*/request.brief ? 10 : 8,
                                               /*batch=*/request.brief ? 32 : 128);
  options.clip_norm = 1;
  const optim::History history = trainer.fit(photographs.train, options);
  return report("fashion_rows_lstm", model, trainer, history, photographs, /*must_reach=*/request.brief ? 0.72 : 0.88,
                /*rows_drawn=*/4);
} catch (const Error& error) {
  std::fprintf(stderr, "fashion_rows_lstm: %s\n", error.what());
  return 1;
}
