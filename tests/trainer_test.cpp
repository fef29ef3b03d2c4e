// Trainer, History, Scores and what is printed while training.
#include "folder.h"

#include <doctest/doctest.h>
#include <ebb/optim/optim.h>

#include <algorithm>
#include <cmath>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <functional>
#include <iterator>
#include <limits>
#include <memory>
#include <stdexcept>
#include <string>
#include <utility>
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

std::string contents(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  REQUIRE(file.good());
  return {std::istreambuf_iterator<char>(file), {}};
}

/// A metric whose values are these, one after the other: for training of one batch in an epoch.
optim::Metric scripted(std::vector<double> values) {
  return {"script", [values, i = std::size_t{0}](const Tensor&, const Tensor&) mutable { return values.at(i++); }};
}

/// One weight, one input, one answer.
struct Line {
  Parameter w{tensor({{1}}, f64)};
  Tensor operator()(const Tensor& x) const { return matmul(x, w); }
  EBB_FIELDS(w)
};

std::string svg_of(const optim::History& history) {
  const Folder folder;
  history.svg(folder / "h.svg");
  return contents(folder / "h.svg");
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

TEST_CASE("a loss that leads back to no parameter is refused in words of its own") {
  nn::Sequential model{nn::Dense(1, 1)};
  optim::SGD sgd(model, {.lr = 0.5});
  const data::Dataset rows{ones({3, 1}), ones({3, 1}), {}};
  const auto message = [&](auto loss) -> std::string {
    try {
      optim::Trainer(model, sgd, {.loss = loss}).fit(rows, {.verbose = false});
    } catch (const UsageError& e) {
      return e.what();
    }
    return "it trained";
  };
  const std::string
      says = "Trainer::fit: the loss has no gradient: ",
      cut = says + "this value is no part of the graph and gets no gradient: ",
      help =
          "\n  help: compute it from the prediction, without detach(), Pause, item() or whole numbers on the "
          "way";
  CHECK(message([](const Tensor& p, const Tensor& y) { return mean(square(detach(p) - y)); }) ==
        cut + "detach() cut it at affine (node 4, in 0)" + help);
  CHECK(message([](const Tensor& p, const Tensor& y) { return sum((p > y).to(i64)); }) ==
        cut + "greater of affine (node 4, in 0) gives whole numbers, which have no gradient" + help);
  CHECK(message([](const Tensor&, const Tensor& y) { return mean(y); }) ==
        says + "nothing in it depends on a parameter" + help);
}

TEST_CASE("a loss that is NaN of either sign is called nan") {
  const float negative = std::copysign(std::numeric_limits<float>::quiet_NaN(), -1.0F);
  nn::Sequential model{nn::Dense(1, 1)};
  optim::SGD sgd(model, {.lr = 0.5});
  const std::vector<optim::Metric> metrics{{"worst", [=](const Tensor&, const Tensor&) { return double{negative}; }}};
  optim::Trainer trainer(
      model, sgd, {.loss = [=](const Tensor& p, const Tensor&) { return sum(p) * negative; }, .metrics = metrics});
  const data::Dataset rows{ones({3, 1}), ones({3, 1}), {}};
  CHECK(!std::signbit(trainer.evaluate(rows)["loss"]));
  CHECK(!std::signbit(trainer.evaluate(rows)["worst"]));
  try {
    trainer.fit(rows, {.verbose = false});
    FAIL("it trained");
  } catch (const UsageError& e) {
    CHECK(std::string(e.what()).starts_with("Trainer::fit: the loss is nan in epoch 1, batch 1 of 1\n"));
  }
}

TEST_CASE("training stops at a loss that is not finite and says where") {
  nn::Sequential model{nn::Dense(1, 1)};
  optim::SGD sgd(model, {.lr = 0.5});
  optim::Trainer trainer(model, sgd, {.loss = nn::mse_loss});
  const data::Dataset spoilt{tensor({{1}, {2}, {NAN}}), tensor({{1}, {2}, {3}}), {}};
  CHECK_THROWS_WITH_AS(
      trainer.fit(spoilt, {.batch = 1, .shuffle = false, .verbose = false}),
      "Trainer::fit: the loss is nan in epoch 1, batch 3 of 3\n  constant: 1 of 1 is not finite (nan)\n    in 0\n    "
      "at node 3: [1, 1]\n    help: it came in so: look at where these numbers are from\n  help: try a smaller lr than "
      "0.5, "
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
  CHECK_THROWS_WITH_AS(optim::Trainer(model, adam, {.loss = nn::mse_loss, .metrics = {{"val_a", twice}}}),
                       "Trainer: a metric cannot be called \"val_a\": val_ marks those of the validation part",
                       UsageError);
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
  CHECK_THROWS_WITH_AS(trainer.fit(blobs, {.validation = 0.01}),
                       "Trainer::fit: validation = 0.01 of 8 rows leaves a part empty", UsageError);
  const data::Dataset questions{blobs.x, {}};
  CHECK_THROWS_WITH_AS(trainer.fit(blobs, {.validation_data = questions}),
                       "Trainer::fit: validation_data has no answers y to judge by", UsageError);
  CHECK_THROWS_WITH_AS(trainer.evaluate(questions),
                       "Trainer::evaluate: the dataset has no answers y\n  help: predict() asks for none", UsageError);
  CHECK_THROWS_WITH_AS(trainer.fit({}), "Trainer::fit: the dataset is empty: its x holds nothing", UsageError);
  CHECK_THROWS_WITH_AS(trainer.fit(blobs, {.validation_data = data::Dataset{}}),
                       "Trainer::fit: validation_data: the dataset is empty: its x holds nothing", UsageError);
  CHECK_THROWS_WITH_AS(trainer.evaluate({}), "Trainer::evaluate: the dataset is empty: its x holds nothing",
                       UsageError);
  CHECK_THROWS_WITH_AS(trainer.predict(data::Dataset{}), "Trainer::predict: the dataset is empty: its x holds nothing",
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

TEST_CASE("a loss is a function of the library with or without options, or any callable") {
  const Tensor p = tensor({{0.5, -1}, {2, 0}, {0, 1}}), y = from(std::vector<std::int64_t>{0, 1, 1}, {3});
  const auto value = [&](const optim::Loss& loss, const Tensor& w = {}) { return loss(p, y, w).item(); };
  CHECK(value(nn::cross_entropy) == nn::cross_entropy(p, y).item());
  CHECK(value(optim::Loss(nn::cross_entropy, {.label_smoothing = 0.1})) ==
        nn::cross_entropy(p, y, {.label_smoothing = 0.1}).item());
  const auto rows = [](const Tensor& a, const Tensor& b) {
    return nn::cross_entropy(a, b, {.reduction = nn::Reduction::none});
  };
  const auto whole = [](const Tensor& a, const Tensor& b) { return nn::cross_entropy(a, b); };
  CHECK(std::abs(value(rows) - value(whole)) < 1e-6);
  const Tensor w = tensor({2, 0, 1}, f64);
  CHECK(std::abs(value(nn::cross_entropy, w) - nn::cross_entropy(p, y, {.row_weights = w.to(f32)}).item()) < 1e-6);
  CHECK(std::abs(value(rows, w) - value(nn::cross_entropy, w)) < 1e-6);
  CHECK_THROWS_WITH_AS(
      value(whole, w),
      "Loss: the rows have weights, and this loss gives one number for all of them\n  help: return the "
      "loss of each row, [n], or use a function of nn/losses.h",
      UsageError);
  CHECK_THROWS_WITH_AS(value([](const Tensor& a, const Tensor&) { return flatten(a, 0); }),
                       "Loss: a loss must be one number, or one for each of the 3 rows, but it is [6]", ShapeError);
  CHECK_THROWS_WITH_AS(
      optim::Loss(nn::mse_loss, {.reduction = nn::Reduction::sum}),
      "Loss: training makes a mean over rows small, not a sum\n  help: leave reduction out; a larger lr "
      "makes up for it",
      UsageError);
  CHECK_THROWS_WITH_AS(optim::Loss(nn::mse_loss, {.row_weights = w}),
                       "Loss: row_weights would be the same in every batch\n  help: put them into the dataset: "
                       "dataset.weight",
                       UsageError);
}

TEST_CASE("weights of rows and of classes multiply each row's loss in the mean over rows") {
  const auto weight_after = [](const Tensor& row_weights, const std::vector<double>& class_weights) {
    Line model;
    optim::SGD sgd(model, {.lr = 1});
    optim::Trainer trainer(model, sgd, {.loss = nn::mse_loss});
    const data::Dataset rows{tensor({{1}, {2}, {3}}, f64), tensor({{0}, {1}, {1}}, f64), {}, row_weights};
    trainer.fit(rows, {.verbose = false, .class_weights = class_weights});
    return model.w.value().item();
  };
  // d/dw of (w·x - y)² at w = 1 is 2·(x - y)·x: 2, 4 and 12.
  CHECK(weight_after({}, {}) == doctest::Approx(1 - (2 + 4 + 12) / 3.0).epsilon(1e-12));
  CHECK(weight_after(tensor({3, 0, 1}), {}) == doctest::Approx(1 - (3 * 2 + 12) / 3.0).epsilon(1e-12));
  CHECK(weight_after({}, {2, 0.5}) == doctest::Approx(1 - (2 * 2 + 0.5 * 4 + 0.5 * 12) / 3).epsilon(1e-12));
  CHECK(weight_after(tensor({3, 0, 1}), {2, 0.5}) == doctest::Approx(1 - (6 * 2 + 0.5 * 12) / 3).epsilon(1e-12));
  CHECK_THROWS_WITH_AS(weight_after(tensor({3, -1, 1}), {}),
                       "Trainer: the weight of row 1 is -1; weights must not be negative", UsageError);
  Line model;
  optim::SGD sgd(model);
  const data::Dataset negative{tensor({{1}, {2}}, f64), tensor({{0}, {1}}, f64), {}, tensor({1, -1})};
  CHECK_THROWS_WITH_AS(optim::Trainer(model, sgd, {.loss = nn::mse_loss}).evaluate(negative),
                       "Trainer: the weight of row 1 is -1; weights must not be negative", UsageError);
  CHECK_THROWS_WITH_AS(weight_after({}, {1}), "Trainer::fit: class_weights has 1 numbers, and row 1 is of class 1",
                       UsageError);
  CHECK_THROWS_WITH_AS(weight_after({}, {1, -2}), "Trainer::fit: class_weights must not be negative, got -2",
                       UsageError);
}

TEST_CASE("steps over accumulated batches are those of batches as large together, the last and smaller one too") {
  const auto train = [](std::int64_t batch, std::int64_t accumulate, std::int64_t& steps) {
    nn::Sequential model = small_model();
    optim::Adam adam(model, {.lr = 0.01});
    optim::Trainer trainer(model, adam, {.loss = nn::mse_loss});
    trainer.fit(two_blobs(19), {.epochs = 2, .batch = batch, .seed = 4, .verbose = false, .accumulate = accumulate});
    steps = adam.steps();
    return all_numbers(model);
  };
  std::int64_t steps = 0, whole_steps = 0;
  const std::vector<float> parts = train(4, 3, steps), whole = train(12, 1, whole_steps);
  CHECK(steps == 2 * 4);  // 38 rows: 12, 12, 12, and 2
  CHECK(whole_steps == steps);
  for (std::size_t i = 0; i < parts.size(); ++i) CHECK(std::abs(parts[i] - whole[i]) < 2e-6f);
}

TEST_CASE("a last batch that is not full may be left out, and neither batch nor accumulate can be too large") {
  const auto steps = [](std::int64_t batch, std::int64_t accumulate, bool drop_last) {
    nn::Sequential model{nn::Dense(2, 3), nn::BatchNorm1d(3), nn::Dense(3, 1)};
    optim::SGD sgd(model);
    optim::Trainer trainer(model, sgd, {.loss = nn::mse_loss});
    const data::Dataset blobs = two_blobs(10);
    trainer.fit(blobs.rows(0, 19),
                {.batch = batch, .verbose = false, .drop_last = drop_last, .accumulate = accumulate});
    return sgd.steps();
  };
  CHECK_THROWS_AS(steps(6, 1, false), UsageError);  // BatchNorm cannot learn of one row
  CHECK(steps(6, 1, true) == 3);
  CHECK(steps(6, 2, true) == 2);
  constexpr std::int64_t most = std::numeric_limits<std::int64_t>::max();
  CHECK(steps(most, 1, false) == 1);
  CHECK(steps(5, most, false) == 1);
}

TEST_CASE("gradients of layers that rest do not pile up") {
  nn::Sequential model = small_model();
  optim::Adam adam(model.at<nn::Dense>(2));
  optim::Trainer trainer(model, adam, {.loss = nn::mse_loss});
  trainer.fit(two_blobs(4), quiet);
  for (auto& [name, parameter] : nn::parameters(model)) CHECK_FALSE(parameter.has_grad());
}

TEST_CASE("a metric that is no mean over rows is taken over all predictions of the epoch") {
  nn::Sequential model = small_model();
  optim::SGD sgd(model, {.lr = 0.001});
  const auto largest = [](const Tensor& p, const Tensor&) { return max(p).item(); };
  optim::Trainer trainer(
      model, sgd,
      {.loss = nn::binary_cross_entropy,
       .metrics = {nn::f1, nn::accuracy, {"auc", nn::roc_auc}, {"largest", largest, optim::Over::dataset}}});
  const data::Dataset blobs = two_blobs(13);
  const optim::Scores scores = trainer.evaluate(blobs, {.batch = 5});
  const Tensor p = trainer.predict(blobs, {.batch = 7});
  CHECK(p.to_vector<float>() == trainer.predict(blobs.x).to_vector<float>());
  CHECK(scores["f1"] == nn::f1(p, blobs.y));
  CHECK(scores["auc"] == nn::roc_auc(p, blobs.y));
  CHECK(scores["largest"] == max(p).item());
  const optim::History history = trainer.fit(blobs, {.batch = 5, .verbose = false});
  CHECK(history.names() == std::vector<std::string>{"loss", "f1", "accuracy", "auc", "largest", "seconds"});
  CHECK(history.last("f1") > 0);
}

TEST_CASE("early stopping ends training when nothing gets better, and gives the best weights back") {
  nn::Sequential model = small_model();
  optim::Adam adam(model, {.lr = 0.1});
  optim::Trainer trainer(model, adam, {.loss = nn::mse_loss, .metrics = {scripted({5, 3, 3.5, NAN, 2.95, 9, 9, 9})}});
  optim::EarlyStopping early({.monitor = "script", .patience = 3, .min_delta = 0.1, .better = optim::Better::smaller});
  std::vector<std::vector<float>> after;
  const auto note = optim::on_epoch_end([&](optim::Run& run) {
    CHECK(run.epoch() == static_cast<std::int64_t>(after.size()) + 1);
    after.push_back(all_numbers(model));
  });
  const optim::History history =
      trainer.fit(two_blobs(4), {.epochs = 8, .batch = 8, .verbose = false, .callbacks = {std::ref(early), note}});
  CHECK(history.epochs() == 5);
  CHECK(early.stopped());
  CHECK(early.best_epoch() == 2);
  CHECK(early.best() == 3);
  CHECK(all_numbers(model) == after[1]);
  CHECK(all_numbers(model) != after[4]);
}

TEST_CASE("what is better is known of a reading's name, or asked for") {
  nn::Sequential model = small_model();
  optim::Adam adam(model);
  optim::Trainer trainer(model, adam, {.loss = nn::mse_loss, .metrics = {nn::accuracy, scripted({1})}});
  const auto fit = [&](const optim::EarlyStoppingOptions& options) {
    trainer.fit(two_blobs(4), {.batch = 8, .verbose = false, .callbacks = {optim::EarlyStopping(options)}});
  };
  CHECK_THROWS_WITH_AS(
      fit({.monitor = "script"}),
      "EarlyStopping: its name does not say whether more of \"script\" is better\n  help: give .better "
      "= optim::Better::larger or smaller",
      UsageError);
  CHECK_THROWS_WITH_AS(
      fit({.monitor = "val_loss"}),
      "EarlyStopping: there is no \"val_loss\" to judge by; there are: loss, accuracy, script\n  help: "
      "fit validates if given .validation or .validation_data",
      UsageError);
  CHECK(adam.steps() == 0);
  fit({.monitor = "accuracy"});
  CHECK(adam.steps() == 1);
  CHECK_THROWS_WITH_AS(fit({.patience = 0}), "EarlyStopping: patience must be at least 1, got 0", UsageError);
  CHECK_THROWS_WITH_AS(fit({.min_delta = -1}), "EarlyStopping: min_delta must not be negative, got -1", UsageError);
  CHECK_THROWS_WITH_AS(optim::Callbacks(std::shared_ptr<optim::Callback>()), "Callbacks: one of them is a null pointer",
                       UsageError);
}

TEST_CASE("models are saved after each epoch or after better ones, under names with the epoch and readings") {
  const Folder folder;
  nn::Sequential model = small_model();
  optim::Adam adam(model, {.lr = 0.1});
  optim::Trainer trainer(model, adam, {.loss = nn::mse_loss, .metrics = {scripted({0.5, 0.75, 0.25})}});
  trainer.fit(two_blobs(4),
              {.epochs = 3,
               .batch = 8,
               .verbose = false,
               .callbacks = {
                   optim::ModelCheckpoint(folder / "each.{epoch}.safetensors"),
                   optim::ModelCheckpoint(folder / "best.{epoch}.{script}.safetensors",
                                          {.best_only = true, .monitor = "script", .better = optim::Better::larger})}});
  for (const char* const name : {"each.1", "each.2", "each.3", "best.1.0.5000", "best.2.0.7500"})
    CHECK(std::filesystem::exists(folder / (std::string(name) + ".safetensors")));
  CHECK_FALSE(std::filesystem::exists(folder / "best.3.0.2500.safetensors"));
  const std::vector<float> last = all_numbers(model);
  nn::load(model, folder / "best.2.0.7500.safetensors");
  CHECK(all_numbers(model) != last);
  nn::load(model, folder / "each.3.safetensors");
  CHECK(all_numbers(model) == last);
  CHECK_THROWS_WITH_AS(trainer.fit(two_blobs(4), {.verbose = false, .callbacks = {optim::ModelCheckpoint("m.{acc}")}}),
                       "ModelCheckpoint(\"m.{acc}\"): there is no \"acc\"; there are: epoch, loss, script", UsageError);
  CHECK_THROWS_WITH_AS(optim::ModelCheckpoint("m", {.monitor = "loss"}),
                       "ModelCheckpoint: monitor says which epoch is the best, and wants .best_only = true",
                       UsageError);
}

TEST_CASE("a schedule moves on after epochs or steps, and the lr is what it was in the end") {
  nn::Sequential model = small_model();
  optim::SGD sgd(model, {.lr = 0.8});
  optim::Trainer trainer(model, sgd, {.loss = nn::mse_loss});
  std::vector<double> rates;
  const auto note = optim::on_batch_end([&](optim::Run& run) { rates.push_back(run.optimizer().lr()); });
  trainer.fit(
      two_blobs(4),
      {.epochs = 2, .batch = 4, .verbose = false, .callbacks = {note, optim::Scheduler(optim::exponential(0.5))}});
  CHECK(rates == std::vector<double>{0.8, 0.8, 0.4, 0.4});
  CHECK(sgd.lr() == 0.8);
  rates.clear();
  trainer.fit(two_blobs(4), {.epochs = 1,
                             .batch = 2,
                             .verbose = false,
                             .accumulate = 2,
                             .callbacks = {note, optim::Scheduler(optim::exponential(0.5), {.each_step = true})}});
  CHECK(rates == std::vector<double>{0.8, 0.8, 0.4, 0.4});

  optim::Plateau plateau(sgd, {.factor = 0.5, .patience = 0});
  optim::Trainer judged(model, sgd, {.loss = nn::mse_loss, .metrics = {scripted({1, 2, 3})}});
  judged.fit(
      two_blobs(4),
      {.epochs = 3, .batch = 8, .verbose = false, .callbacks = {optim::Scheduler(plateau, {.monitor = "script"})}});
  CHECK(sgd.lr() == 0.2);
  optim::SGD other(model, {.lr = 0.1});
  optim::Schedule of_other(other, optim::exponential(0.5));
  CHECK_THROWS_WITH_AS(
      trainer.fit(two_blobs(4), {.epochs = 1, .verbose = false, .callbacks = {optim::Scheduler(of_other)}}),
      "Scheduler: its schedule moves the lr of another optimizer, of type SGD, than the SGD that trains\n"
      "  help: make the schedule of the optimizer that the Trainer has",
      UsageError);
  CHECK(sgd.lr() == 0.2);
  CHECK_THROWS_WITH_AS(optim::Scheduler(optim::exponential(0.5), {.monitor = "script"}),
                       "Scheduler: monitor is for a Plateau; a function of steps reads nothing", UsageError);
  CHECK_THROWS_WITH_AS(optim::Scheduler(plateau, {.each_step = true, .monitor = "script"}),
                       "Scheduler: with each_step the loss so far is measured, so there is no monitor to choose",
                       UsageError);
  CHECK_THROWS_WITH_AS(optim::Scheduler(nullptr),
                       "Scheduler: there is no schedule; give one, e.g. optim::cosine({.steps = 50})", UsageError);
}

TEST_CASE("a Scheduler gives the lr back whatever ends training") {
  const auto thrower = [](auto when) {
    return when([](optim::Run& run) {
      if (run.epoch() == 3) throw std::runtime_error("enough");
    });
  };
  const auto lr_after = [](optim::Callbacks callbacks, const data::Dataset& data) {
    nn::Sequential model{nn::Dense(2, 1)};
    optim::SGD sgd(model, {.lr = 0.8});
    optim::Trainer trainer(model, sgd, {.loss = nn::mse_loss});
    CHECK_THROWS(trainer.fit(
        data, {.epochs = 5, .batch = 2, .verbose = false, .accumulate = 2, .callbacks = std::move(callbacks)}));
    CHECK_THROWS_AS(model.at<nn::Dense>(0).weight.grad(), GraphError);  // none waits
    return sgd.lr();
  };
  const optim::Scheduler halves(optim::exponential(0.5)), steps(optim::exponential(0.5), {.each_step = true});
  CHECK(lr_after({halves, thrower(optim::on_epoch_begin)}, two_blobs(4)) == 0.8);
  CHECK(lr_after({thrower(optim::on_batch_end), steps}, two_blobs(4)) == 0.8);
  CHECK(lr_after({halves, thrower(optim::on_epoch_end)}, two_blobs(4)) == 0.8);
  data::Dataset spoilt = two_blobs(4);
  spoilt.x = where(arange(16) == 15.0, NAN, reshape(spoilt.x, {16}));
  spoilt.x = reshape(spoilt.x, {8, 2});
  CHECK(lr_after({steps}, spoilt) == 0.8);
  struct Late : optim::Callback {
    void on_fit_end(optim::Run&) override { throw std::runtime_error("too late"); }
  };
  CHECK(lr_after({Late(), halves}, two_blobs(4)) == 0.8);
}

TEST_CASE("a Scheduler that has not begun has no state, and takes none") {
  optim::Scheduler halves(optim::exponential(0.5));
  CHECK(halves.state().empty());
  CHECK_THROWS_WITH_AS(halves.load_state({}),
                       "Scheduler::load_state: there is no schedule before training begins. Nothing was loaded",
                       UsageError);
}

TEST_CASE("when training fails, callbacks that began are told, and the first failure is the one that is thrown") {
  struct Diary : optim::Callback {
    explicit Diary(std::string& t) : text(t) {}
    std::string& text;
    void on_fit_begin(optim::Run&) override { text += "("; }
    void on_fit_end(optim::Run&) override { text += ")"; }
    void on_fit_failed(optim::Run&) override {
      text += "!";
      throw std::runtime_error("mine");
    }
  };
  struct Refusing : optim::Callback {
    void on_fit_begin(optim::Run&) override { throw std::runtime_error("no"); }
  };
  nn::Sequential model = small_model();
  optim::SGD sgd(model);
  optim::Trainer trainer(model, sgd, {.loss = nn::mse_loss});
  std::string text;
  const optim::Callbacks refused{Diary(text), Diary(text), Refusing(), Diary(text)};
  CHECK_THROWS_WITH_AS(trainer.fit(two_blobs(4), {.verbose = false, .callbacks = refused}), "no", std::runtime_error);
  CHECK(text == "((!!");
  text.clear();
  const optim::Callbacks stopped{Diary(text),
                                 optim::on_batch_end([](optim::Run&) { throw std::runtime_error("now"); })};
  CHECK_THROWS_WITH_AS(trainer.fit(two_blobs(4), {.verbose = false, .callbacks = stopped}), "now", std::runtime_error);
  CHECK(text == "(!");
}

TEST_CASE("callbacks are called in their order, around fit, epochs and batches") {
  struct Diary : optim::Callback {
    std::string text;
    void on_fit_begin(optim::Run&) override { text += "("; }
    void on_epoch_begin(optim::Run&) override { text += "["; }
    void on_batch_end(optim::Run& run) override { text += run.stepped() ? "s" : "b"; }
    void on_epoch_end(optim::Run& run) override { text += run.epoch() == 2 ? "]!" : "]"; }
    void on_fit_end(optim::Run&) override { text += ")"; }
  };
  const auto diary = std::make_shared<Diary>();
  nn::Sequential model = small_model();
  optim::SGD sgd(model);
  optim::Trainer trainer(model, sgd, {.loss = nn::mse_loss});
  const auto stop = optim::on_epoch_begin([](optim::Run& run) {
    if (run.epoch() == 2) run.stop();
  });
  trainer.fit(two_blobs(4), {.epochs = 5, .batch = 3, .verbose = false, .accumulate = 2, .callbacks = {diary, stop}});
  CHECK(diary->text == "([bss][bss]!)");
}

TEST_CASE("the log and the history are tables with a row for each epoch") {
  const Folder folder;
  optim::History history;
  history.add(std::vector<optim::Reading>{{"loss", 0.5}, {"a \"b\", c", 1e-7}});
  history.add(std::vector<optim::Reading>{{"loss", 0.1}, {"a \"b\", c", 3}});
  history.csv(folder / "h.csv");
  CHECK(contents(folder / "h.csv") == "epoch,loss,\"a \"\"b\"\", c\"\r\n1,0.5,1e-07\r\n2,0.1,3\r\n");
  CHECK_THROWS_WITH_AS(history.add(std::vector<optim::Reading>{{"loss", 1}}),
                       "History: an epoch has other names than those before, which are: loss, a \"b\", c", UsageError);
  optim::History twice;
  CHECK_THROWS_WITH_AS(twice.add(std::vector<optim::Reading>{{"loss", 1}, {"b", 2}, {"loss", 3}}),
                       "History: an epoch has two readings \"loss\"", UsageError);
  CHECK(twice.epochs() == 0);
  CHECK_THROWS_WITH_AS(optim::History().csv("h.csv"), "History::csv: there are no epochs to write", UsageError);

  nn::Sequential model = small_model();
  optim::SGD sgd(model);
  optim::Trainer trainer(model, sgd, {.loss = nn::mse_loss});
  std::vector<std::size_t> rows;
  const auto count = optim::on_epoch_end([&](optim::Run&) {
    const std::string text = contents(folder / "log.csv");
    rows.push_back(static_cast<std::size_t>(std::count(text.begin(), text.end(), '\n')) - 1);
  });
  const optim::History trained = trainer.fit(
      two_blobs(4), {.epochs = 3, .verbose = false, .callbacks = {optim::CsvLog(folder / "log.csv"), count}});
  CHECK(rows == std::vector<std::size_t>{1, 2, 3});
  trained.csv(folder / "trained.csv");
  CHECK(contents(folder / "log.csv") == contents(folder / "trained.csv"));
}

TEST_CASE(
    "what a callback cannot write is told before the first epoch, and an old file stays until there is a new one") {
  const Folder folder;
  nn::Sequential model = small_model();
  optim::SGD sgd(model);
  optim::Trainer trainer(model, sgd, {.loss = nn::mse_loss});
  const auto fit = [&](const optim::Callbacks& callbacks) {
    trainer.fit(two_blobs(4), {.verbose = false, .callbacks = callbacks});
  };
  const std::string nowhere = folder / "no/where", why = "cannot write \"" + nowhere;
  CHECK_THROWS_WITH_AS(fit({optim::CsvLog(nowhere)}), (why + "\": No such file or directory").c_str(), IoError);
  CHECK_THROWS_WITH_AS(fit({optim::ModelCheckpoint(nowhere)}), (why + "\": No such file or directory").c_str(),
                       IoError);
  CHECK_THROWS_WITH_AS(fit({optim::ModelCheckpoint(nowhere + ".{epoch}.{loss}")}), doctest::Contains(why.c_str()),
                       IoError);
  CHECK_THROWS_WITH_AS(fit({optim::CsvLog(folder / ".")}), doctest::Contains("it is no regular file"), IoError);
  CHECK(sgd.steps() == 0);

  std::ofstream(folder / "old") << "old";
  const auto fail = optim::on_batch_end([](optim::Run&) { throw std::runtime_error("now"); });
  CHECK_THROWS_AS(fit({optim::CsvLog(folder / "old"), optim::ModelCheckpoint(folder / "old"),
                       optim::CsvLog(folder / "new"), optim::ModelCheckpoint(folder / "new.{loss}"), fail}),
                  std::runtime_error);
  CHECK(contents(folder / "old") == "old");
  CHECK(std::distance(std::filesystem::directory_iterator(folder / ""), {}) == 1);
}

TEST_CASE("a history takes no state but a history's") {
  optim::History history;
  for (const char* const key : {"", ".", "0", "0.", "loss", ".loss", "1.loss", "-1.loss"})
    CHECK_THROWS_WITH_AS(history.load_state({{key, ones({2}, f64)}}),
                         ("History::load_state: \"" + std::string(key) + "\" is no column of a history").c_str(),
                         UsageError);
  CHECK_THROWS_WITH_AS(history.load_state({{"0.loss", ones({2}, f64)}, {"1.loss", ones({2}, f64)}}),
                       "History::load_state: there are two columns \"loss\"", UsageError);
  history.load_state({{"0.loss", ones({2}, f64)}});
  CHECK(history.epochs() == 2);
  history.load_state({{"0.seconds", ones({2}, f64)}});
  CHECK_THROWS_WITH_AS(history.svg("seconds.svg"), "History::svg: there is nothing but seconds to draw", UsageError);
}

TEST_CASE("a history draws itself: the same bytes each time, every panel, no nan, and names as text") {
  optim::History history;
  for (int epoch = 1; epoch <= 30; ++epoch) {
    const double t = epoch;
    history.add(std::vector<optim::Reading>{{"loss", 2 * std::exp(-t / 4) + 0.004},
                                            {"a<b & c\x01", 1 - 0.5 * std::exp(-t / 5)},
                                            {"broken", epoch % 7 == 0 ? NAN : t},
                                            {"val_loss", 2 * std::exp(-t / 4) + 0.03 + 0.002 * t},
                                            {"val_a<b & c\x01", 0.9 - 0.5 * std::exp(-t / 5)},
                                            {"val_broken", epoch == 3 ? 1e300 : INFINITY},
                                            {"seconds", 0.1}});
  }
  const std::string svg = svg_of(history);
  CHECK(svg == svg_of(history));
  CHECK(svg.find("nan") == std::string::npos);
  CHECK(svg.find("inf") == std::string::npos);
  CHECK(svg.find("a&lt;b &amp; c?") != std::string::npos);
  CHECK(svg.find("best: epoch 22") != std::string::npos);
  CHECK(svg.find("(logarithmic)") != std::string::npos);
  CHECK(svg.find("prefers-color-scheme: dark") != std::string::npos);
  CHECK(svg.find("not finite") != std::string::npos);
  CHECK(svg.find("seconds") == std::string::npos);

  // In order: whole characters; a byte that begins none; too long a form; half of a pair; beyond Unicode; cut short; what
  // XML forbids.
  for (const auto& [name, shown] : std::vector<std::pair<std::string, std::string>>{
           {"\xC3\xA4\xE2\x82\xAC\xF0\x9F\x98\x80", "\xC3\xA4\xE2\x82\xAC\xF0\x9F\x98\x80"},
           {"a\x80", "a?"},
           {"b\xC0\x80", "b??"},
           {"c\xED\xA0\x80", "c???"},
           {"d\xF4\x90\x80\x80", "d????"},
           {"e\xE2\x82", "e??"},
           {"f\xEF\xBF\xBE\x7F", "f??"}}) {
    optim::History one;
    one.add(std::vector<optim::Reading>{{name, 1}, {"seconds", 1}});
    CHECK(svg_of(one).find(">" + shown + "<") != std::string::npos);
  }

  for (const double value : {0.0, 1.0, -3e-300, 1e308, static_cast<double>(NAN), static_cast<double>(INFINITY)}) {
    CAPTURE(value);
    optim::History one;
    one.add(std::vector<optim::Reading>{{"loss", value}, {"seconds", 1}});
    const std::string picture = svg_of(one);
    CHECK(picture.find("nan") == std::string::npos);
    CHECK(picture.find("inf") == std::string::npos);
  }
  CHECK_THROWS_WITH_AS(optim::History().svg("h.svg"), "History::svg: there are no epochs to draw", UsageError);
}

TEST_CASE("Ctrl-C ends training after the batch at work, keeps the best weights, and works as before afterwards") {
  std::signal(SIGINT, SIG_DFL);  // doctest has a handler of its own
  nn::Sequential model = small_model();
  optim::Adam adam(model, {.lr = 0.1});
  optim::Trainer trainer(model, adam, {.loss = nn::mse_loss});
  std::vector<float> first;
  const auto press = optim::on_batch_end([&](optim::Run& run) {
    if (run.epoch() == 2 && run.batch() == 1) std::raise(SIGINT);
  });
  const auto note = optim::on_epoch_end([&](optim::Run&) { first = all_numbers(model); });
  const optim::History history = trainer.fit(
      two_blobs(4), {.epochs = 9, .batch = 2, .verbose = false, .callbacks = {press, note, optim::EarlyStopping()}});
  CHECK(history.interrupted());
  CHECK(history.epochs() == 1);
  CHECK(adam.steps() == 4 + 1);
  CHECK(all_numbers(model) == first);
  const bool as_before = std::signal(SIGINT, SIG_DFL) == SIG_DFL;
  CHECK(as_before);
  CHECK_FALSE(trainer.fit(two_blobs(4), quiet).interrupted());
}

TEST_CASE("a handler that the program has for Ctrl-C stays its own") {
  static int caught = 0;
  std::signal(SIGINT, [](int) { ++caught; });
  nn::Sequential model = small_model();
  optim::Adam adam(model);
  optim::Trainer trainer(model, adam, {.loss = nn::mse_loss});
  const auto press = optim::on_batch_end([](optim::Run&) { std::raise(SIGINT); });
  const optim::History history = trainer.fit(two_blobs(4), {.verbose = false, .callbacks = {press}});
  CHECK_FALSE(history.interrupted());
  CHECK(history.epochs() == 1);
  std::signal(SIGINT, SIG_DFL);
  CHECK(caught == 1);
}

TEST_CASE("a gradient that is not finite stops training before it reaches the weights, and says where it came to be") {
  Parameter w(zeros({1, 1}));
  auto model = [&](const Tensor& x) { return matmul(x, w); };
  optim::SGD sgd({w});
  optim::Trainer trainer(model, sgd, {.loss = [](const Tensor& p, const Tensor&) { return mean(sqrt(p)); }});
  CHECK_THROWS_WITH_AS(
      trainer.fit({tensor({{1}}), tensor({{1}}), {}}, quiet),
      "Trainer::fit: the gradient is not finite in epoch 1, batch 1 of 1\n  backward of sqrt: 1 of 1 is not finite "
      "(input 0, upstream 1)\n    at node 4: sqrt([1, 1])\n    help: sqrt(x + eps), or norm(x) for the root of a sum "
      "of "
      "squares\n  help: try a smaller lr than 0.01, standardize the inputs, and look for NaN among them",
      UsageError);
  CHECK(w.value().item() == 0);
}

TEST_CASE("an optimizer of another model is refused, and so is one whose model was replaced") {
  nn::Sequential model = small_model(), other = small_model();
  optim::Adam adam(other);
  const std::string message =
      ": Adam trains none of the model's 4 parameters\n  help: make it from this model; a copy, or a model that was "
      "replaced by one of other sizes, has parameters of its own";
  CHECK_THROWS_WITH_AS(optim::Trainer(model, adam, {.loss = nn::mse_loss}), ("Trainer" + message).c_str(), UsageError);
  optim::Trainer trainer(other, adam, {.loss = nn::mse_loss});
  other = nn::Sequential{nn::Dense(2, 3), nn::Dense(3, 1)};
  CHECK_THROWS_WITH_AS(trainer.fit(two_blobs(4), quiet), ("Trainer::fit" + message).c_str(), UsageError);
}

TEST_CASE("weights do not depend on how many batches are made ahead") {
  const auto train = [](std::int64_t prefetch) {
    nn::Sequential model = small_model();
    optim::Adam adam(model);
    optim::Trainer trainer(model, adam, {.loss = nn::mse_loss});
    const data::Transform shake = [](data::Batch batch, Generator& generator) {
      batch.x = batch.x + 0.1 * randn(batch.x.shape(), f32, generator);
      return batch;
    };
    trainer.fit(two_blobs(20),
                {.epochs = 3, .batch = 7, .seed = 1, .verbose = false, .transform = shake, .prefetch = prefetch});
    return all_numbers(model);
  };
  const std::vector<float> none = train(0);
  for (const std::int64_t prefetch : {1, 2, 7}) CHECK(train(prefetch) == none);
}

TEST_CASE("weights do not depend on how many threads train") {
  const int before = num_threads();
  const auto train = [](int threads) {
    set_num_threads(threads);
    seed(1);
    const auto rows = [](const Tensor& x) { return reshape(x, {x.shape()[0], 7, -1}); };
    nn::Sequential model{nn::Conv2d(1, 6, 3, {.padding = 1}),
                         nn::BatchNorm2d(6),
                         nn::ReLU(),
                         nn::MaxPool2d(2),
                         rows,
                         nn::LSTM(42, 10),
                         nn::Dropout(0.2),
                         nn::Dense(10, 3)};
    optim::Adam adam(model, {.lr = 0.01});
    optim::Trainer trainer(model, adam, {.loss = nn::cross_entropy});
    Generator generator(2);
    const data::Dataset images{randn({70, 1, 14, 14}, f32, generator), randint(0, 3, {70}, generator)};
    trainer.fit(images, {.epochs = 2, .batch = 32, .verbose = false, .transform = data::random_flip(), .prefetch = 1});
    return all_numbers(model);
  };
  const std::vector<float> one = train(1);
  for (const int threads : {2, 3}) CHECK(train(threads) == one);
  set_num_threads(before);
}

TEST_CASE("a copy of the model follows it through fit as in a loop of one's own") {
  nn::Sequential model = small_model(), average = model;
  optim::SGD sgd(model, {.lr = 0.1});
  optim::Trainer trainer(model, sgd, {.loss = nn::mse_loss});
  std::vector<float> slow = all_numbers(model);
  const auto follow = optim::on_batch_end([&](optim::Run&) {
    const std::vector<float> now = all_numbers(model);
    for (std::size_t i = 0; i < slow.size(); ++i) slow[i] = 0.75f * slow[i] + 0.25f * now[i];
  });
  trainer.fit(
      two_blobs(8),
      {.epochs = 2, .batch = 4, .verbose = false, .callbacks = {optim::MovingAverage(average, model, 0.75), follow}});
  const std::vector<float> got = all_numbers(average);
  for (std::size_t i = 0; i < slow.size(); ++i) CHECK(std::abs(got[i] - slow[i]) < 1e-6f);
  CHECK_THROWS_WITH_AS(optim::MovingAverage(average, model, 1.5), "MovingAverage: decay must be in [0, 1], got 1.5",
                       UsageError);
  nn::Sequential other{nn::Dense(2, 8), nn::Tanh(), nn::Dense(8, 2)};
  CHECK_THROWS_WITH_AS(optim::MovingAverage(other, model, 0.5),
                       "MovingAverage: the average does not fit the model: 2.bias is [2] in the average, [1] in the "
                       "model, 2.weight is [2, 8] in the average, [1, 8] in the model. Make it a copy of the model",
                       UsageError);
}

TEST_CASE("a run takes no weights but the model's") {
  nn::Sequential model{nn::Dense(2, 1)};
  optim::SGD sgd(model);
  optim::Trainer trainer(model, sgd, {.loss = nn::mse_loss});
  const auto give = optim::on_batch_end([](optim::Run& run) {
    run.weights({{"0.weight", ones({3})}, {"w", ones({1})}});
  });
  CHECK_THROWS_WITH_AS(
      trainer.fit(two_blobs(4), {.verbose = false, .callbacks = {give}}),
      "Run::weights: what is given does not fit the model: 0.weight is [3] in it, [1, 2] in the model; "
      "missing in it: 0.bias; unknown: w. Nothing has changed",
      UsageError);
}

TEST_CASE("two layers trained without a model around them may bear the same names") {
  nn::Dense a(2, 4), b(4, 1);
  auto model = [&](const Tensor& x) { return sigmoid(b(tanh(a(x)))); };
  std::vector<nn::NamedParameter> both = nn::parameters(a);
  for (const nn::NamedParameter& p : nn::parameters(b)) both.push_back(p);
  optim::Adam adam(both, {.lr = 0.1});
  optim::Trainer trainer(model, adam, {.loss = nn::mse_loss});
  const optim::History history =
      trainer.fit(two_blobs(8), {.epochs = 2, .verbose = false, .callbacks = {optim::EarlyStopping()}});
  CHECK(history.last("loss") < history["loss"].front());
}

TEST_CASE("a loss of logits shows metrics of yes and no their sigmoid") {
  const data::Dataset rows{tensor({{-3}, {0.2}, {4}, {0.7}}), tensor({{0}, {1}, {1}, {0}})};
  Parameter scale(ones({1}));
  const auto model = [&](const Tensor& x) { return x * scale; };
  optim::SGD sgd({scale});
  optim::Trainer trainer(model, sgd, {.loss = nn::binary_cross_entropy_with_logits, .metrics = {nn::accuracy, nn::mae}});
  CHECK(trainer.evaluate(rows)["accuracy"] == 0.75);
  CHECK(trainer.evaluate(rows)["mae"] == doctest::Approx((3 + 0.8 + 3 + 0.7) / 4));
}

TEST_CASE("replayed batches give the weights of batches that record, bit for bit") {
  struct Watching : optim::Callback {
    std::vector<std::string> reasons;
    void on_batch_end(optim::Run& run) override { reasons.push_back(run.not_replayed()); }
  };
  data::Dataset weighed = two_blobs(30);
  weighed.weight = rand({60}) + 0.5;
  const auto train = [&](bool replay, std::int64_t accumulate, bool with_weights, std::vector<std::string>* reasons) {
    seed(8);
    nn::Sequential model{nn::Dense(2, 9), nn::BatchNorm1d(9), nn::ReLU(), nn::Dropout(0.25), nn::Dense(9, 1), nn::Sigmoid()};
    optim::Adam adam(model, {.lr = 0.01});
    optim::Trainer trainer(model, adam, {.loss = nn::binary_cross_entropy, .metrics = {nn::accuracy}});
    const auto watching = std::make_shared<Watching>();
    const optim::History history = trainer.fit(with_weights ? weighed : two_blobs(30),
                                               {.epochs = 3,
                                                .batch = 8,
                                                .seed = 4,
                                                .verbose = false,
                                                .accumulate = accumulate,
                                                .clip_norm = 0.5,
                                                .callbacks = {watching},
                                                .replay = replay});
    if (reasons != nullptr) *reasons = watching->reasons;
    std::vector<float> numbers = all_numbers(model);
    for (const char* const name : {"loss", "accuracy"})
      for (const double value : history[name]) numbers.push_back(static_cast<float>(value));
    return numbers;
  };
  for (const std::int64_t accumulate : {1, 3})
    for (const bool with_weights : {false, true}) {
      std::vector<std::string> reasons;
      CHECK(train(true, accumulate, with_weights, &reasons) == train(false, accumulate, with_weights, nullptr));
      REQUIRE(reasons.size() == 24);
      CHECK(reasons[0] == "the first batch is looked at");
      for (std::size_t batch = 1; batch < reasons.size(); ++batch) CHECK(reasons[batch] == "");
    }
}
