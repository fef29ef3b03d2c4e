// The guide's model, from data to a saved network.
//
// It must reach an accuracy of 0.88 on the rows kept for testing.
#include <ebb/optim/optim.h>

#include <cstdio>

using namespace ebb;

int main() {
  auto [train, test] = data::csv(EBB_SOURCE_ROOT "/examples/data/wdbc.csv", {.label = "benign"})
                           .split({.test = 0.2, .seed = 7, .standardize = true});
  // [story]
  seed(1);
  nn::Sequential model{nn::Dense(10, 64), nn::ReLU(), nn::Dense(64, 32), nn::ReLU(), nn::Dense(32, 1), nn::Sigmoid()};
  optim::Adam adam(model, {.lr = 1e-3});
  optim::Trainer trainer(model, adam, {.loss = nn::binary_cross_entropy, .metrics = {nn::accuracy}});
  optim::History history = trainer.fit(train, {.epochs = 20, .batch = 32, .validation = 0.2, .seed = 42});
  optim::Scores scores = trainer.evaluate(test);
  nn::save(model, "guide.safetensors");
  nn::load(model, "guide.safetensors");
  // [/story]
  std::printf("accuracy %.3f, validation %.3f\n", scores["accuracy"], history.last("val_accuracy"));
  return scores["accuracy"] >= 0.88 && trainer.evaluate(test)["loss"] == scores["loss"] ? 0 : 1;
}
