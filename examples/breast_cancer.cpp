// Is a breast tumour benign?  The guide's model, from a CSV file to a saved network, and how its gradients flow.
//
// It must reach: a mean accuracy of at least 0.93 over five folds, each judged by rows that it did not train on.
// Usage: breast_cancer [wdbc.csv]; writes breast_cancer.safetensors and flow.svg into the current folder.
#include <ebb/optim/optim.h>
#include <ebb/tools/graphviz.h>

#include <cstdio>
#include <filesystem>
#include <string>

using namespace ebb;

namespace {

constexpr double must_reach = 0.93;

nn::Sequential new_model() {
  return nn::Sequential{nn::Dense(10, 64), nn::ReLU(), nn::Dense(64, 32), nn::ReLU(), nn::Dense(32, 1), nn::Sigmoid()};
}

/// The mean accuracy over five models, each judged by the fifth of the rows that it did not see.
double cross_validate(const data::Dataset& rows) {
  seed(1);
  double sum = 0;
  const auto folds = rows.folds(5, /*seed=*/7, /*standardize=*/true);
  for (const data::Split& fold : folds) {
    nn::Sequential model = new_model();
    optim::Adam adam(model);
    optim::Trainer trainer(model, adam, {.loss = nn::binary_cross_entropy, .metrics = {nn::accuracy}});
    trainer.fit(fold.train, {.epochs = 50, .seed = 42, .verbose = false});
    const double accuracy = trainer.evaluate(fold.test)["accuracy"];
    std::printf("  %.3f", accuracy);
    std::fflush(stdout);
    sum += accuracy;
  }
  return sum / static_cast<double>(folds.size());
}

/// One batch forward and backward under observation, drawn.
void draw(nn::Sequential& model, const data::Dataset& batch, const std::string& file) {
  Graph graph;
  graph.observe();
  nn::binary_cross_entropy(model(batch.x), batch.y).backward();
  graphviz::render(graph, file, {.title = "How gradients flow through the guide's model"});
}

std::string here(const std::string& file) { return std::filesystem::absolute(file).string(); }

}  // namespace

int main(int argc, char** argv) try {
  const std::string file = argc > 1 ? argv[1] : EBB_SOURCE_ROOT "/examples/data/wdbc.csv";
  const data::Dataset rows = data::csv(file, {.label = "benign"});
  std::printf("%lld tumours, 10 measurements of each.  Which are benign?\n\n", static_cast<long long>(rows.size()));

  seed(1);
  auto [train, test] = rows.split({.test = 0.2, .seed = 7, .standardize = true});
  nn::Sequential model = new_model();
  optim::Adam adam(model, {.lr = 1e-3});
  optim::Trainer trainer(model, adam, {.loss = nn::binary_cross_entropy, .metrics = {nn::accuracy}});
  optim::History history = trainer.fit(train, {.epochs = 50, .batch = 32, .validation = 0.2, .seed = 42});
  optim::Scores scores = trainer.evaluate(test);
  nn::save(model, "breast_cancer.safetensors");

  std::printf("\n%lld tumours that it never saw: %.1f %% right, loss %.4f\n", static_cast<long long>(test.size()),
              100 * scores["accuracy"], scores["loss"]);
  std::printf("five folds, each judged by a model of the other four:");
  const double accuracy = cross_validate(rows);
  std::printf("   mean %.3f\n\n", accuracy);

  draw(model, train.rows(0, 32), "flow.svg");
  std::printf("%-22s  %s\n", "the model", here("breast_cancer.safetensors").c_str());
  std::printf("%-22s  %s\n", "how its gradients flow", here("flow.svg").c_str());
  if (accuracy >= must_reach) return 0;
  std::printf("breast_cancer: the mean accuracy over five folds is %.4f and must reach %.2f\n", accuracy, must_reach);
  return 1;
} catch (const Error& error) {
  std::fprintf(stderr, "breast_cancer: %s\n", error.what());
  return 1;
}
