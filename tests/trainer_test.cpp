// Trainer, History, Scores and what is printed while training.
#include <doctest/doctest.h>
#include <ebb/optim/optim.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <string>
#include <vector>

using namespace ebb;

namespace {

const optim::FitOptions quiet{.verbose = false};

data::Dataset xor_table() { return {tensor({{0, 0}, {0, 1}, {1, 0}, {1, 1}}), tensor({{0}, {1}, {1}, {0}}), {}}; }

/// n rows around (-1, -1), answer 0, and n around (1, 1), answer 1.
data::Dataset two_blobs(std::int64_t n) {
  Generator generator(5);
  std::vector<float> x, y;
  for (std::int64_t i = 0; i < 2 * n; ++i) {
    const double center = i % 2 == 0 ? -1 : 1;
    for (int axis = 0; axis < 2; ++axis) x.push_back(static_cast<float>(center + 0.4 * generator.normal()));
    y.push_back(i % 2 == 0 ? 0.0f : 1.0f);
  }
  return {from(x, {2 * n, 2}), from(y, {2 * n, 1}), {}};
}

nn::Sequential small_model() {
  seed(3);
  return nn::Sequential{nn::Dense(2, 8), nn::Tanh(), nn::Dense(8, 1), nn::Sigmoid()};
}

std::vector<float> all_numbers(nn::Sequential& model) {
  std::vector<float> numbers;
  for (auto& [name, parameter] : nn::parameters(model))
    for (const float v : parameter.value().to_vector<float>()) numbers.push_back(v);
  return numbers;
}

/// A model whose hidden layers lie outside of it, where only the graph can find them.
struct Forgetful {
  std::vector<nn::Dense> hidden{nn::Dense(2, 4, {.bias = false})};
  nn::Dense out{4, 1};
  Tensor operator()(const Tensor& x) const { return sigmoid(out(tanh(hidden[0](x)))); }
  EBB_FIELDS(out)
};

/// What a function wrote into a file.
template <class Write> std::string written(const Write& write) {
  std::FILE* const file = std::tmpfile();
  REQUIRE(file != nullptr);
  write(file);
  std::rewind(file);
  std::string text;
  for (int c = std::fgetc(file); c != EOF; c = std::fgetc(file)) text += static_cast<char>(c);
  std::fclose(file);
  return text;
}

}  // namespace

TEST_CASE("fit learns XOR: loss under 0.01 in 500 steps with seed 3") {
  nn::Sequential model = small_model();
  optim::Adam adam(model, {.lr = 0.05});
  optim::Trainer trainer(model, adam, {.loss = nn::binary_cross_entropy, .metrics = {nn::accuracy}});
  const optim::History history = trainer.fit(xor_table(), {.epochs = 500, .batch = 4, .verbose = false});
  CHECK(history.last("loss") < 0.01);
  CHECK(history.last("accuracy") == 1.0);
  const Tensor p = trainer.predict(xor_table().x);
  CHECK(p.shape() == Shape{4, 1});
  CHECK(p(1, 0).value() > 0.9);
  CHECK(p(3, 0).value() < 0.1);
}

TEST_CASE("fit tells two blobs apart and its history holds every epoch") {
  nn::Sequential model = small_model();
  optim::SGD sgd(model, {.lr = 0.1, .momentum = 0.9});
  optim::Trainer trainer(model, sgd,
                         {.loss = nn::binary_cross_entropy, .metrics = {nn::accuracy, {"mse", nn::mse_loss}}});
  const data::Dataset blobs = two_blobs(50);
  const optim::History history =
      trainer.fit(blobs, {.epochs = 6, .batch = 16, .validation = 0.2, .seed = 1, .verbose = false});
  CHECK(history.epochs() == 6);
  CHECK(history.names() ==
        std::vector<std::string>{"loss", "accuracy", "mse", "val_loss", "val_accuracy", "val_mse", "seconds"});
  CHECK(history["loss"].size() == 6);
  CHECK(history["loss"].front() > history["loss"].back());
  CHECK(history.last("val_accuracy") >= 0.95);
  CHECK(history.last("val_mse") < 0.05);
  CHECK(sgd.steps() == 6 * 5);  // 80 rows train, 20 judge
  CHECK_THROWS_WITH_AS(
      history["acuracy"],
      "History: there is no \"acuracy\"; there are: loss, accuracy, mse, val_loss, val_accuracy, val_mse, "
      "seconds",
      UsageError);
}

TEST_CASE("training judged by a dataset of its own trains on every row") {
  nn::Sequential model = small_model();
  optim::Adam adam(model);
  optim::Trainer trainer(model, adam, {.loss = nn::mse_loss});
  const optim::History history =
      trainer.fit(two_blobs(8), {.epochs = 2, .batch = 8, .verbose = false, .validation_data = two_blobs(4)});
  CHECK(adam.steps() == 4);
  CHECK(history.names() == std::vector<std::string>{"loss", "val_loss", "seconds"});
}

TEST_CASE("the same seeds give the same weights bit for bit, another seed others") {
  const auto train = [](std::uint64_t order) {
    nn::Sequential model = small_model();
    optim::Adam adam(model);
    optim::Trainer trainer(model, adam, {.loss = nn::binary_cross_entropy});
    trainer.fit(two_blobs(20), {.epochs = 3, .batch = 7, .validation = 0.25, .seed = order, .verbose = false});
    return all_numbers(model);
  };
  CHECK(train(1) == train(1));
  CHECK(train(1) != train(2));
}

TEST_CASE("scores are means over rows, whatever the batch") {
  nn::Sequential model = small_model();
  optim::Adam adam(model);
  optim::Trainer trainer(model, adam, {.loss = nn::mse_loss, .metrics = {nn::accuracy}});
  const data::Dataset blobs = two_blobs(11);
  const optim::Scores whole = trainer.evaluate(blobs), parts = trainer.evaluate(blobs, {.batch = 5});
  CHECK(std::abs(whole["loss"] - parts["loss"]) < 1e-6);
  CHECK(std::abs(whole["accuracy"] - parts["accuracy"]) < 1e-12);
  CHECK(std::abs(whole["accuracy"] - nn::accuracy(trainer.predict(blobs.x), blobs.y)) < 1e-12);
  CHECK_THROWS_WITH_AS(whole["f1"], "Scores: there is no \"f1\"; there are: loss, accuracy", UsageError);
}

TEST_CASE("evaluate and predict record nothing, and dropout rests in them") {
  nn::Sequential model{nn::Dropout(0.5)};
  Parameter unused(zeros({1}));
  optim::SGD sgd({unused});
  optim::Trainer trainer(model, sgd, {.loss = nn::mse_loss});
  Graph graph;
  const Tensor x = graph.variable(ones({64, 1}));
  const std::size_t before = graph.size();
  CHECK(trainer.predict(x).to_vector<float>() == std::vector<float>(64, 1.0f));
  CHECK(trainer.evaluate({x, ones({64, 1}), {}})["loss"] == 0.0);
  CHECK(graph.size() == before);
}

TEST_CASE("a model may be a lambda over parameters of its own") {
  Parameter w(zeros({1, 2})), b(zeros({1}));
  auto model = [&](const Tensor& x) { return sigmoid(affine(x, w, b)); };
  optim::SGD sgd({w, b}, {.lr = 1.0});
  optim::Trainer trainer(model, sgd, {.loss = nn::binary_cross_entropy, .metrics = {nn::accuracy}});
  CHECK(trainer.fit(two_blobs(20), {.epochs = 10, .verbose = false}).last("accuracy") >= 0.95);
}

TEST_CASE("gradients left over from before fit do not join its first step") {
  const auto train = [](bool left_over) {
    nn::Sequential model = small_model();
    optim::SGD sgd(model, {.lr = 0.1});
    if (left_over) {
      Graph graph;
      sum(model(ones({1, 2}))).backward();
    }
    optim::Trainer trainer(model, sgd, {.loss = nn::mse_loss});
    trainer.fit(two_blobs(4), quiet);
    return all_numbers(model);
  };
  CHECK(train(true) == train(false));
}

TEST_CASE("a layer that EBB_FIELDS forgot is reported before the first step") {
  Forgetful model;
  optim::Adam adam(model);
  optim::Trainer trainer(model, adam, {.loss = nn::binary_cross_entropy});
  const auto before = model.out.weight.value().to_vector<float>();
  CHECK_THROWS_WITH_AS(
      trainer.fit(two_blobs(4), quiet),
      "Trainer::fit: the loss depends on what Adam does not train and the model does not list: a parameter [4, 2] in "
      "Dense(2 -> 4)\n  help: EBB_FIELDS must list the field that holds it",
      UsageError);
  CHECK(model.out.weight.value().to_vector<float>() == before);
}

TEST_CASE("a layer that the optimizer was not given stays as it is") {
  nn::Sequential model = small_model();
  optim::Adam adam(model.at<nn::Dense>(2));
  const auto frozen = model.at<nn::Dense>(0).weight.value().to_vector<float>();
  const auto head = model.at<nn::Dense>(2).weight.value().to_vector<float>();
  optim::Trainer trainer(model, adam, {.loss = nn::binary_cross_entropy});
  trainer.fit(two_blobs(4), quiet);
  CHECK(model.at<nn::Dense>(0).weight.value().to_vector<float>() == frozen);
  CHECK(model.at<nn::Dense>(2).weight.value().to_vector<float>() != head);
}

TEST_CASE("training stops at a loss that is not finite and says where") {
  nn::Sequential model{nn::Dense(1, 1)};
  optim::SGD sgd(model, {.lr = 0.5});
  optim::Trainer trainer(model, sgd, {.loss = nn::mse_loss});
  const data::Dataset spoilt{tensor({{1}, {2}, {NAN}}), tensor({{1}, {2}, {3}}), {}};
  CHECK_THROWS_WITH_AS(trainer.fit(spoilt, {.batch = 1, .shuffle = false, .verbose = false}),
                       "Trainer::fit: the loss is nan in epoch 1, batch 3 of 3\n  help: try a smaller lr than 0.5, "
                       "standardize the inputs, and look for NaN among them",
                       UsageError);
  CHECK(std::isfinite(model.at<nn::Dense>(0).weight.value().item()));
}

TEST_CASE("what a Trainer cannot work with is refused with a sentence") {
  nn::Sequential model = small_model();
  optim::Adam adam(model);
  const auto twice = [](const Tensor&, const Tensor&) { return 2.0; };
  CHECK_THROWS_WITH_AS(optim::Trainer(model, adam, {}),
                       "Trainer: there is no loss; give one, e.g. {.loss = nn::mse_loss}", UsageError);
  CHECK_THROWS_WITH_AS(optim::Trainer(model, adam, {.loss = nn::mse_loss, .metrics = {{"two", twice}, {"two", twice}}}),
                       "Trainer: a metric cannot be called \"two\": that name is taken", UsageError);
  CHECK_THROWS_WITH_AS(optim::Metric(+twice), "Metric: a function of your own needs a name: {\"name\", function}",
                       UsageError);
  optim::Trainer trainer(model, adam, {.loss = nn::mse_loss});
  const data::Dataset blobs = two_blobs(4);
  CHECK_THROWS_WITH_AS(trainer.fit(blobs, {.epochs = 0}), "Trainer::fit: epochs must be at least 1, got 0", UsageError);
  CHECK_THROWS_WITH_AS(trainer.fit(blobs, {.validation = 1}), "Trainer::fit: validation must be in [0, 1), got 1",
                       UsageError);
  CHECK_THROWS_WITH_AS(trainer.fit(blobs, {.validation = 0.5, .validation_data = blobs}),
                       "Trainer::fit: validation and validation_data are both given; training is judged by one",
                       UsageError);
}

TEST_CASE("off a terminal every epoch is one plain line") {
  const std::vector<optim::Reading> readings{{"loss", 0.07131}, {"accuracy", 1.0}, {"tiny", 3e-7}};
  const std::string text = written([&](std::FILE* file) {
    optim::Progress progress(file, 10, 4, 0);
    progress.batch(9, 4, readings);
    progress.epoch(9, readings, 0.0412);
    progress.epoch(10, readings, 75);
  });
  CHECK(text ==
        "epoch  9/10  loss 0.0713  accuracy 1.0000  tiny 3.000e-07  41.2 ms\n"
        "epoch 10/10  loss 0.0713  accuracy 1.0000  tiny 3.000e-07  1 min 15 s\n");
}

TEST_CASE("of many epochs between 10 and 20 lines stay, the first and last among them") {
  for (const std::int64_t epochs : {21, 50, 99, 1000}) {
    CAPTURE(epochs);
    const std::vector<optim::Reading> readings{{"loss", 0.5}};
    const std::string text = written([&](std::FILE* file) {
      optim::Progress progress(file, epochs, 1, 0);
      for (std::int64_t epoch = 1; epoch <= epochs; ++epoch) progress.epoch(epoch, readings, 1);
    });
    const auto lines = std::count(text.begin(), text.end(), '\n');
    CHECK(lines >= 10);
    CHECK(lines <= 20);
    const std::string n = std::to_string(epochs);
    CHECK(text.find("1/" + n) != std::string::npos);
    CHECK(text.find(n + "/" + n) != std::string::npos);
  }
}

TEST_CASE("on a terminal a line half-way is wiped in the end") {
  const std::vector<optim::Reading> readings{{"loss", 0.5}};
  const std::string text = written([&](std::FILE* file) {
    optim::Progress progress(file, 2, 1, 80);
    const auto start = std::chrono::steady_clock::now();
    while (std::chrono::steady_clock::now() - start < std::chrono::milliseconds(150)) progress.batch(1, 1, readings);
  });
  const std::string shown = "\r\033[2Kepoch 1/2  ━━━━━━━━━━━━━━━━━━━━━━━━  loss 0.5000  · ";
  CHECK(text.substr(0, shown.size()) == shown);
  CHECK(text.substr(text.size() - 5) == "\r\033[2K");
}
