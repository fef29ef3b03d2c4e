// Fine-tuning from PyTorch's weights: the first layers are read and stay as they are, a new last one is trained.
//
// It must reach an accuracy of 0.9 on rows that neither saw, and leave PyTorch's numbers alone.
#include <ebb/optim/optim.h>

#include <cstdio>
#include <string>

using namespace ebb;

int main() {
  const std::string file = EBB_SOURCE_ROOT "/tests/stories/features.safetensors";
  auto [train, test] = data::csv(EBB_SOURCE_ROOT "/examples/data/wdbc.csv", {.label = "benign"})
                           .split({.test = 0.2, .seed = 7, .standardize = true});
  // [story]
  seed(1);
  nn::Sequential features{nn::Dense(10, 32), nn::ReLU(), nn::Dense(32, 16), nn::ReLU()};
  nn::load(features, file);
  nn::Sequential model{features, nn::Dense(16, 1), nn::Sigmoid()};
  optim::Adam adam(model.at<nn::Dense>(1), {.lr = 1e-2});
  optim::Trainer trainer(model, adam, {.loss = nn::binary_cross_entropy, .metrics = {nn::accuracy}});
  trainer.fit(train, {.epochs = 5, .batch = 32, .seed = 42});
  optim::Scores scores = trainer.evaluate(test);
  // [/story]
  bool untouched = true;
  const io::Tensors written = io::read_safetensors(file);
  for (const auto& [name, parameter] : nn::parameters(model.at<nn::Sequential>(0)))
    untouched = untouched && min((parameter.value() == written.at(name)).to(f32)).item() == 1;
  std::printf("accuracy %.3f, PyTorch's weights %s\n", scores["accuracy"], untouched ? "untouched" : "changed");
  return scores["accuracy"] >= 0.9 && untouched ? 0 : 1;
}
