// A module of one's own: a block with a way around it, used as a layer.
//
// It must reach an accuracy of 0.88 on the rows kept for testing.
#include <ebb/optim/optim.h>

#include <cstdint>
#include <cstdio>

using namespace ebb;

// [story]
struct Residual {
  nn::Dense inner, outer;
  explicit Residual(std::int64_t width) : inner(width, width), outer(width, width) {}
  Tensor operator()(const Tensor& x) const { return relu(x + outer(relu(inner(x)))); }
  EBB_FIELDS(inner, outer)
};
// [/story]

int main() {
  auto [train, test] = data::csv(EBB_SOURCE_ROOT "/examples/data/wdbc.csv", {.label = "benign"})
                           .split({.test = 0.2, .seed = 7, .standardize = true});
  // [story]
  seed(1);
  nn::Sequential model{nn::Dense(10, 32), Residual(32), Residual(32), nn::Dense(32, 1), nn::Sigmoid()};
  optim::Adam adam(model, {.lr = 1e-3});
  optim::Trainer trainer(model, adam, {.loss = nn::binary_cross_entropy, .metrics = {nn::accuracy}});
  trainer.fit(train, {.epochs = 15, .batch = 32, .seed = 42});
  optim::Scores scores = trainer.evaluate(test);
  // [/story]
  std::printf("accuracy %.3f of %s and %zu more\n", scores["accuracy"], nn::parameters(model)[2].name.c_str(),
              nn::parameters(model).size() - 1);
  return scores["accuracy"] >= 0.88 && nn::parameters(model)[2].name == "1.inner.weight" ? 0 : 1;
}
