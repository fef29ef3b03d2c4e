// An LSTM forecaster: from 24 steps of a series to the next, and from its own forecasts on.
//
// One step ahead, on a part that it did not see, it must err by less than a fifth of what "as the step before" errs by.
#include <ebb/optim/optim.h>

#include <cmath>
#include <cstdint>
#include <cstdio>
#include <vector>

using namespace ebb;

namespace {

constexpr std::int64_t steps = 24;

/// Windows x [n, steps, 1] and what follows them, y [n, 1], of two waves laid over each other.
data::Dataset windows(std::int64_t from_step, std::int64_t n) {
  std::vector<float> x, y;
  const auto wave = [](std::int64_t t) {
    return static_cast<float>(std::sin(0.4 * static_cast<double>(t)) + 0.5 * std::sin(0.13 * static_cast<double>(t)));
  };
  for (std::int64_t i = from_step; i < from_step + n; ++i) {
    for (std::int64_t t = 0; t < steps; ++t) x.push_back(wave(i + t));
    y.push_back(wave(i + steps));
  }
  return {from(x, {n, steps, 1}), from(y, {n, 1})};
}

}  // namespace

int main() {
  const data::Dataset train = windows(0, 400), test = windows(500, 100);
  // [story]
  seed(1);
  nn::Sequential model{nn::LSTM(1, 24), nn::Dense(24, 1)};
  optim::Adam adam(model, {.lr = 0.01});
  optim::Trainer trainer(model, adam, {.loss = nn::mse_loss, .metrics = {nn::mae}});
  trainer.fit(train, {.epochs = 12, .batch = 32, .seed = 42});
  optim::Scores scores = trainer.evaluate(test);
  Tensor window = slice(test.x, 0, 1);
  for (int ahead = 0; ahead < 20; ++ahead)
    window = concat({slice(window, 1, steps, 1), unsqueeze(trainer.predict(window), 1)}, 1);
  // [/story]
  const double persistence = nn::mae(reshape(slice(test.x, steps - 1, steps, 1), {test.size(), 1}), test.y);
  const double drift = nn::mae(reshape(slice(window, 4, steps, 1), {20, 1}), slice(test.y, 0, 20));
  std::printf("mean absolute error %.3f, of persistence %.3f, twenty steps ahead %.3f\n", scores["mae"], persistence,
              drift);
  return scores["mae"] < persistence / 5 && drift < persistence ? 0 : 1;
}
