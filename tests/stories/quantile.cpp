// A loss and a metric of one's own: what nine of ten answers stay below.
//
// Of the rows kept for testing, between 0.85 and 0.95 must stay below.
#include <ebb/optim/optim.h>

#include <cstdio>

using namespace ebb;

// [story]
Tensor pinball(const Tensor& prediction, const Tensor& target) {
  const Tensor miss = target - prediction;
  return mean(maximum(0.9 * miss, -0.1 * miss));
}

Tensor coverage(const Tensor& prediction, const Tensor& target) { return mean(target <= prediction); }
// [/story]

int main() {
  seed(2);
  const Tensor x = 2 * rand({1500, 1}) - 1, y = sin(3 * x) + (0.2 + 0.3 * abs(x)) * randn({1500, 1});
  const data::Dataset train{slice(x, 0, 1000), slice(y, 0, 1000)}, test{slice(x, 1000, 1500), slice(y, 1000, 1500)};
  // [story]
  seed(1);
  nn::Sequential model{nn::Dense(1, 32), nn::Tanh(), nn::Dense(32, 1)};
  optim::Adam adam(model, {.lr = 1e-2});
  optim::Trainer trainer(model, adam, {.loss = pinball, .metrics = {{"coverage", coverage}}});
  trainer.fit(train, {.epochs = 30, .batch = 32, .seed = 42});
  optim::Scores scores = trainer.evaluate(test);
  // [/story]
  std::printf("%.1f %% stay below\n", 100 * scores["coverage"]);
  return scores["coverage"] >= 0.85 && scores["coverage"] <= 0.95 ? 0 : 1;
}
