// A convolutional network, straight from IDX files.
//
// It must reach an accuracy of 0.7 on the test images after two passes over 2,000 training images.
// Given a path, it writes the model there: tests/same.py compares them.
#include <ebb/optim/optim.h>

#include <cstdio>
#include <string>

using namespace ebb;

int main(int argc, char** argv) {
  const std::string folder = EBB_SOURCE_ROOT "/examples/data/fashion-mnist/";
  // [story]
  seed(1);
  data::Dataset train = data::idx(folder + "train-images-idx3-ubyte.gz", folder + "train-labels-idx1-ubyte.gz");
  data::Dataset test = data::idx(folder + "t10k-images-idx3-ubyte.gz", folder + "t10k-labels-idx1-ubyte.gz");
  nn::Sequential model{nn::Conv2d(1, 8, 3), nn::ReLU(),       nn::MaxPool2d(2), nn::Conv2d(8, 16, 3),
                       nn::ReLU(),          nn::MaxPool2d(2), nn::Flatten(),    nn::Dense(16 * 5 * 5, 10)};
  optim::Adam adam(model, {.lr = 3e-3});
  optim::Trainer trainer(model, adam, {.loss = nn::cross_entropy, .metrics = {nn::accuracy}});
  trainer.fit(train, {.epochs = 2, .batch = 32, .seed = 42});
  optim::Scores scores = trainer.evaluate(test);
  // [/story]
  if (argc > 1) nn::save(model, argv[1]);
  std::printf("accuracy %.3f of %lld images\n", scores["accuracy"], static_cast<long long>(test.size()));
  return scores["accuracy"] >= 0.7 ? 0 : 1;
}
