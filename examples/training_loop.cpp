// The guide's model once more, as a struct of your own with the training loop written by hand.
//
// It must reach: an accuracy of at least 0.9 on the fifth of the rows that it did not train on (breast_cancer judges the
// model more closely, over five folds).
// Usage: training_loop [wdbc.csv]
#include <ebb/optim/optim.h>

#include <cstdio>
#include <string>

using namespace ebb;

namespace {

struct Classifier {
  nn::Dense first{10, 64}, second{64, 32}, out{32, 1};
  Tensor operator()(const Tensor& x) const { return sigmoid(out(relu(second(relu(first(x)))))); }
  EBB_FIELDS(first, second, out)  // their names in files, summaries, errors and pictures
};

}  // namespace

int main(int argc, char** argv) try {
  const std::string file = argc > 1 ? argv[1] : EBB_SOURCE_ROOT "/examples/data/wdbc.csv";
  auto [train, test] = data::csv(file, {.label = "benign"}).split({.test = 0.2, .seed = 7, .standardize = true});

  seed(1);
  Classifier model;
  optim::Adam adam(model, {.lr = 1e-3});
  data::Loader batches = data::loader(train, {.batch = 32, .shuffle = true, .seed = 1});
  for (int epoch = 1; epoch <= 50; ++epoch) {
    double sum = 0;
    for (auto [x, y] : batches) {
      Graph graph;  // what follows is recorded
      const Tensor loss = nn::binary_cross_entropy(model(x), y);
      loss.backward();  // every parameter gets its gradient
      adam.step();      // and moves a little against it
      sum += loss.item();
    }  // the graph is gone, and its memory back
    if (epoch % 10 == 0) std::printf("epoch %d  loss %.4f\n", epoch, sum / static_cast<double>(batches.size()));
  }

  const double accuracy = nn::accuracy(model(test.x), test.y);  // no graph: nothing is recorded
  std::printf("accuracy on %lld rows that it never saw: %.3f\n", static_cast<long long>(test.size()), accuracy);
  if (accuracy >= 0.9) return 0;
  std::printf("training_loop: the accuracy is %.4f and must reach 0.9\n", accuracy);
  return 1;
} catch (const Error& error) {
  std::fprintf(stderr, "training_loop: %s\n", error.what());
  return 1;
}
