// What callbacks see of a batch's graph, the traces and the film of a training, and the report.
#include "graphs.h"

#include <ebb/optim/optim.h>
#include <ebb/tools/training.h>

#include <cstdint>
#include <filesystem>
#include <functional>
#include <regex>
#include <set>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

using namespace ebb;
using namespace ebb::graphs;

namespace {

/// Rows around two centers, with their sides.
data::Dataset rows(std::int64_t n) {
  Generator generator(5);
  std::vector<float> x, y;
  for (std::int64_t i = 0; i < n; ++i) {
    const double center = i % 2 == 0 ? -1 : 1;
    for (int axis = 0; axis < 2; ++axis) x.push_back(static_cast<float>(center + 0.4 * generator.normal()));
    y.push_back(i % 2 == 0 ? 0.0F : 1.0F);
  }
  return {from(x, {n, 2}), from(y, {n, 1}), {}};
}

struct Training {
  nn::Sequential model = (seed(3), nn::Sequential{nn::Dense(2, 8), nn::ReLU(), nn::Dropout(0.2), nn::Dense(8, 1)});
  optim::Adam adam{model, {.lr = 0.02}};
  optim::Trainer trainer{model, adam, {.loss = nn::binary_cross_entropy_with_logits}};

  /// 4 epochs of 5 batches, the last of which has 2 rows.
  optim::FitOptions options(optim::Callbacks callbacks) const {
    return {.epochs = 4, .batch = 8, .verbose = false, .callbacks = std::move(callbacks)};
  }
  std::vector<float> fit(const optim::FitOptions& options) {
    seed(4);  // for Dropout
    trainer.fit(rows(34), options);
    std::vector<float> numbers;
    for (auto& [name, parameter] : nn::parameters(model))
      for (const float v : parameter.value().to_vector<float>()) numbers.push_back(v);
    return numbers;
  }
};

std::set<std::string> files_in(const std::string& folder) {
  std::set<std::string> names;
  for (const auto& file : std::filesystem::directory_iterator(folder)) names.insert(file.path().filename().string());
  return names;
}

std::vector<std::pair<std::string, std::string>> contents_of(const std::string& folder) {
  std::vector<std::pair<std::string, std::string>> files;
  for (const std::string& name : files_in(folder)) files.emplace_back(name, bytes_of(folder + "/" + name));
  return files;
}

/// Traces only: what a test without Graphviz can have.
graphviz::Watch traces(const std::string& folder, std::int64_t every, std::int64_t most = 60) {
  return graphviz::Watch(folder, {.every = every, .most = most, .film = false, .report = false});
}

void assign(nn::Sequential& model, const std::string& wanted, const Tensor& value) {
  for (auto& [name, parameter] : nn::parameters(model))
    if (name == wanted) parameter.assign(value);
}

/// The report of one step of a model.
template <class Model> std::string report_of(Model& model, const Tensor& x, const Tensor& y) {
  const optim::SGD names(model, {.lr = 1});
  Graph graph;
  graph.observe();
  nn::mse_loss(model(x), y).backward();
  return report(trace(graph));
}

}  // namespace

TEST_CASE("a callback sees the graphs of the steps that it asked for, observed, after backward and before the step") {
  Training training;
  std::vector<std::int64_t> steps;
  const auto look = [&](optim::Run& run, const Graph& graph) {
    steps.push_back(run.step());
    CHECK(run.stepped());
    CHECK(graph.observing());
    CHECK(training.adam.steps() == run.step() - 1);
    const Trace seen = trace(graph);
    CHECK(seen.differentiated);
    CHECK(seen.parameters == 2 * 8 + 8 + 8 + 1);
    for (const Record& r : seen.records)
      if (r.kind == Node::Kind::parameter) CHECK(r.gradient.state == Gradient::State::known);
  };
  training.fit(training.options({optim::on_graph({.every = 7}, look)}));
  CHECK(steps == std::vector<std::int64_t>{1, 7, 14});
}

TEST_CASE("nobody's graph is observed where nobody asked for it") {
  struct Asking : optim::Callback {
    std::vector<std::int64_t> asked;
    bool wants_graph(const optim::Run& run) override {
      asked.push_back(run.batch());
      return false;
    }
    void on_graph(optim::Run&, const Graph&) override { FAIL("it did not ask"); }
  } asking;
  Training training;
  training.fit(training.options({std::ref(asking)}));
  CHECK(asking.asked == std::vector<std::int64_t>{1, 2, 3, 4, 5, 1, 2, 3, 4, 5, 1, 2, 3, 4, 5, 1, 2, 3, 4, 5});
}

TEST_CASE("what a callback computes from a graph is not recorded in it") {
  Training training;
  training.fit(training.options({optim::on_graph({}, [&](optim::Run&, const Graph& graph) {
    const std::size_t before = graph.size();
    training.model(ones({3, 2}));
    CHECK(graph.size() == before);
  })}));
}

TEST_CASE(
    "with accumulate the graph of a step is that of its last batch, and its parameters have the gradient of all") {
  Training training;
  std::vector<std::pair<std::int64_t, std::int64_t>> seen;  // step and batch
  optim::FitOptions options = training.options(
      {optim::on_graph({}, [&](optim::Run& run, const Graph&) { seen.emplace_back(run.step(), run.batch()); })});
  options.epochs = 2, options.accumulate = 2;
  training.fit(options);
  CHECK(seen == std::vector<std::pair<std::int64_t, std::int64_t>>{{1, 2}, {2, 4}, {3, 5}, {4, 2}, {5, 4}, {6, 5}});
}

TEST_CASE("watching a training changes none of its numbers") {
  const Folder folder;
  for (const std::int64_t accumulate : {1, 3})
    for (const std::int64_t prefetch : {0, 2}) {
      CAPTURE(accumulate);
      CAPTURE(prefetch);
      Training alone, watched;
      optim::FitOptions options = alone.options({});
      options.accumulate = accumulate, options.prefetch = prefetch, options.clip_norm = 0.5;
      const std::vector<float> numbers = alone.fit(options);
      options.callbacks = {traces(folder / "watched", 1)};
      CHECK(watched.fit(options) == numbers);
    }
}

TEST_CASE("a step that cannot be looked at is a usage error") {
  CHECK_THROWS_WITH_AS(optim::on_graph({.every = 0}, [](optim::Run&, const Graph&) {}),
                       "optim::on_graph: every must be at least 1, got 0", UsageError);
  CHECK_THROWS_WITH_AS(Watch("x", {.every = -1}), "Watch: every must be at least 1, got -1", UsageError);
  CHECK_THROWS_WITH_AS(Watch("x", {.most = 1}), "Watch: most must be at least 2, got 1", UsageError);
}

TEST_CASE("Watch keeps a trace of the first step and of each n-th, with the same bytes each time") {
  const Folder folder;
  Training first, second;
  first.fit(first.options({traces(folder / "a", 6)}));
  CHECK(files_in(folder / "a") ==
        std::set<std::string>{"step-000001.json", "step-000006.json", "step-000012.json", "step-000018.json"});
  second.fit(second.options({traces(folder / "b", 6)}));
  CHECK(contents_of(folder / "a") == contents_of(folder / "b"));
  const Trace seen = load(folder / "a" + "/step-000012.json");
  CHECK(seen.observed);
  CHECK(seen.differentiated);
}

TEST_CASE("Watch thins traces out evenly when there are too many, and removes those of an earlier training") {
  const Folder folder;
  std::filesystem::create_directory(folder / "w");
  put(folder / "w" + "/step-000900.json", "of a longer training");
  put(folder / "w" + "/step-9.json", "no name of its own");
  Training training;
  training.fit(training.options({traces(folder / "w", 1, 6)}));
  CHECK(files_in(folder / "w") == std::set<std::string>{"step-000001.json", "step-000004.json", "step-000008.json",
                                                        "step-000012.json", "step-000016.json", "step-000020.json",
                                                        "step-9.json"});
}

TEST_CASE("a training that was killed and resumed leaves the traces of one that never stopped") {
  const Folder folder;
  Training straight;
  straight.fit(straight.options({traces(folder / "straight", 1, 6)}));
  Training killed;
  optim::FitOptions options =
      killed.options({traces(folder / "resumed", 1, 6), optim::on_batch_end([](optim::Run& run) {
                        if (run.step() == 14) throw std::runtime_error("killed");
                      })});
  options.checkpoint = folder / "run";
  options.checkpoint_every = 2;
  CHECK_THROWS_AS(killed.fit(options), std::runtime_error);
  Training again;
  options.callbacks = {traces(folder / "resumed", 1, 6), optim::on_batch_end([](optim::Run&) {})};
  options.resume = true;
  again.fit(options);
  CHECK(contents_of(folder / "resumed") == contents_of(folder / "straight"));
}

TEST_CASE("a folder that cannot be written is an error before the first epoch") {
  const Folder folder;
  put(folder / "file", "not a folder");
  Training training;
  bool began = false;
  const auto begin = optim::on_epoch_begin([&](optim::Run&) { began = true; });
  CHECK_THROWS_AS(training.fit(training.options({traces(folder / "file" + "/w", 1), begin})), IoError);
  CHECK_THROWS_WITH_AS(training.fit(training.options({traces(folder / "file", 1), begin})),
                       ("Watch: cannot make the folder \"" + folder / "file" + "\": Not a directory").c_str(), IoError);
  CHECK_FALSE(began);
}

TEST_CASE("a film without Graphviz is an error before the first epoch") {
  const Folder folder, empty;
  Training training;
  const OnlyPath path(empty / "");
  CHECK_THROWS_AS(training.fit(training.options({Watch(folder / "w")})), IoError);
  CHECK(training.adam.steps() == 0);
}

TEST_CASE("Watch ends with a film and a report, also when training fails") {
  if (!dot_is_installed()) return;
  const Folder folder;
  Watch watch(folder / "w", {.every = 5});
  Training training;
  training.fit(training.options({std::ref(watch)}));
  const std::string film = bytes_of(folder / "w" + "/training.svg");
  CHECK(film.starts_with("<?xml"));
  for (const char* const step : {"1", "5", "10", "15", "20"})
    CHECK(has(film, std::string("Gradients while it trains, step ") + step + "<"));
  CHECK(has(watch.report(), "step 20: healthy: gradients reach both layers, ∇ rms "));

  Training fails;
  const auto fail = optim::on_batch_end([](optim::Run& run) {
    if (run.step() == 11) throw std::runtime_error("out of patience");
  });
  CHECK_THROWS_AS(fails.fit(fails.options({std::ref(watch), fail})), std::runtime_error);
  CHECK(has(watch.report(), "step 10: healthy"));
}

// ---- the report -------------------------------------------------------------------------------------------------

TEST_CASE("the report of a healthy net is one sentence with its range") {
  Training training;
  std::string words;
  training.fit(training.options(
      {optim::on_graph({.every = 1000}, [&](optim::Run&, const Graph& graph) { words = report(trace(graph)); })}));
  CHECK(words.starts_with("healthy: gradients reach both layers, ∇ rms "));
  CHECK_FALSE(has(words, "help: "));
}

TEST_CASE("the report says what is missing where nothing is known") {
  Graph graph;
  const Parameter w(ones({2}));
  sum(w * w).backward();
  CHECK(report(trace(graph)) ==
        "nothing is known of the gradients: the graph was not observed\n"
        "  help: call graph.observe() before the model\n");
  CHECK(report(std::vector<Moment>{}) == "nothing is known of the gradients: there is no trace\n");
}

TEST_CASE("a backward that never ran is told apart from gradients of 0") {
  const Parameter w(ones({2}));
  Graph graph;
  graph.observe();
  sum(w * w);
  CHECK(report(trace(graph)) ==
        "nothing is known of the gradients: no backward ran\n  help: call backward() on the loss first\n");
}

TEST_CASE("the report counts ReLU units that are 0 in every row") {
  nn::Sequential model{nn::Dense(4, 8), nn::ReLU(), nn::Dense(8, 1)};
  // Of 8 units the first 6 are far below 0 whatever comes, the others far above.
  assign(model, "0.bias", tensor({-99, -99, -99, -99, -99, -99, 99, 99}));
  const std::string words = report_of(model, numbers({16, 4}, 1, 1), zeros({16, 1}));
  CHECK(has(words, "75\u00a0% of ReLU units are dead\n"));
  CHECK(has(words,
            "  dead ReLUs: 6 of 8 units of relu in 1 are 0 in all 16 rows, 75\u00a0% of its numbers are 0\n"
            "    help: try a smaller lr, or LeakyReLU, whose gradient never stops\n"));
}

TEST_CASE("a net whose ReLUs are all dead has layers without any gradient") {
  nn::Sequential model{nn::Dense(4, 8), nn::ReLU(), nn::Dense(8, 1)};
  assign(model, "0.bias", full({8}, -99));
  const std::string words = report_of(model, numbers({16, 4}, 1, 1), ones({16, 1}));
  CHECK(has(words, "gradients reach 1 of 2 layers"));
  CHECK(has(words, "  no gradient: ∇ is exactly 0 in 0\n"));
  CHECK(has(words, "8 of 8 units of relu in 1 are 0 in all 16 rows"));
}

TEST_CASE("a layer whose gradient is a hundred times off the median is named with both numbers") {
  const auto scaled = [](double by) {
    const Parameter a(ones({4})), b(ones({4})), c(ones({4}));
    Graph graph;
    graph.observe();
    Tensor loss = zeros({});
    for (const auto& [path, p, factor] : {std::tuple("first", &a, 1.0), {"second", &b, 2.0}, {"third", &c, by}}) {
      const Scope scope(path, "Scale");
      loss = loss + sum(*p * factor);
    }
    loss.backward();
    return report(trace(graph));
  };
  CHECK(has(scaled(0.005),
            "  vanishing: ∇ rms 5.0e-3 in third is 200 times below the layers' median, 1\n"
            "    help: try ReLU or GELU for sigmoid, larger weights to begin with (the layer's .init), or skips\n"
            "        or norms between the layers\n"));
  CHECK(has(scaled(500), "  exploding: ∇ rms 500 in third is 250 times above the layers' median, 2\n"));
  CHECK(scaled(3) == "healthy: gradients reach all 3 layers, ∇ rms 1 in first to 3 in third, median 2\n");
}

TEST_CASE("gradients that fall from layer to layer are said to vanish towards the input") {
  seed(1);
  nn::Sequential model;
  for (int i = 0; i < 8; ++i) {
    model.add(nn::Dense(i == 0 ? 10 : 32, i == 7 ? 1 : 32, {.init = nn::normal_init(0, 0.2)}));
    model.add(nn::Sigmoid());
  }
  const std::string words = report_of(model, randn({32, 10}), ones({32, 1}));
  CHECK(has(words, "  vanishing towards the input: ∇ rms falls from "));
  CHECK(has(words, " in 14 to "));
  CHECK_FALSE(has(words, "exploding"));
}

TEST_CASE("a tanh that passes little on is called saturated, and one that the loss reads is not") {
  nn::Sequential inside{nn::Dense(4, 8), nn::Tanh(), nn::Dense(8, 1)}, outside{nn::Dense(4, 1), nn::Tanh()};
  assign(inside, "0.bias", full({8}, 5));
  assign(outside, "0.bias", full({1}, 5));
  const std::string words = report_of(inside, numbers({16, 4}, 1, 1), zeros({16, 1}));
  CHECK(std::regex_search(words,
                          std::regex("  saturated: tanh in 1 passes 0\\.\\d+\u00a0% of its gradient on, and could pass "
                                     "100\u00a0%\n    help: try smaller weights to begin with")));
  CHECK_FALSE(has(report_of(outside, numbers({16, 4}, 1, 1), zeros({16, 1})), "saturated"));
}

TEST_CASE("the report says where values and gradients stop being finite") {
  const Parameter w(tensor({0.0, 4.0}), "w");
  {
    Graph graph;
    graph.observe();
    sum(sqrt(w)).backward();
    CHECK(has(report(trace(graph)),
              "  not finite: the gradient that sqrt (node 2) sends on, in step 2 of backward, is not finite; the\n"
              "      one that arrives there is: 1\n"));
  }
  Graph graph;
  graph.observe();
  const Scope scope("head", "Head");
  sum(exp(1000.0 * w)).backward();
  CHECK(has(report(trace(graph)), "  not finite: exp in head holds ∞, and what it is computed from is finite\n"));
}

TEST_CASE("parameters off the path to the loss are named") {
  const Parameter used(ones({2})), unused(ones({2}), "unused");
  Graph graph;
  graph.observe();
  const Tensor other = unused + 1;
  sum(used * used).backward();
  CHECK(has(report(trace(graph)),
            "  off the path to the loss: no gradient comes to unused\n"
            "    help: graph.explain(parameter) says where the path ends\n"));
}

TEST_CASE("the report of a training says since when it is so, and what passed") {
  const auto moment = [](std::int64_t step, double third, double second) {
    const Parameter a(ones({4})), b(ones({4})), c(ones({4}));
    Graph graph;
    graph.observe();
    Tensor loss = zeros({});
    for (const auto& [path, p, factor] : {std::tuple("first", &a, 1.0), {"second", &b, second}, {"third", &c, third}}) {
      const Scope scope(path, "Scale");
      loss = loss + sum(*p * factor);
    }
    loss.backward();
    return Moment{step, trace(graph)};
  };
  CHECK(report({moment(1, 1, 500), moment(100, 1, 1), moment(200, 0.001, 1), moment(300, 0.001, 1)}) ==
        "step 300: gradients reach all 3 layers, ∇ rms 1.0e-3 in third to 1 in first, median 1\n"
        "  vanishing: ∇ rms 1.0e-3 in third is 1,000 times below the layers' median, 1, since step 200\n"
        "    help: try ReLU or GELU for sigmoid, larger weights to begin with (the layer's .init), or skips\n"
        "        or norms between the layers\n"
        "  passed: exploding, second, at step 1\n");
  CHECK(report({moment(1, 1, 1), moment(100, 1, 2)}) ==
        "step 100: healthy: gradients reach all 3 layers, ∇ rms 1 in first to 2 in second, median 1\n");
}

TEST_CASE("names in a report cannot command the terminal") {
  const Parameter w(ones({2}), "a\x1b[31mb\nc");
  Graph graph;
  graph.observe();
  sum(w * w).backward();
  CHECK(report(trace(graph)) == "healthy: gradients reach the layer, ∇ rms 2 in a␛[31mb␊c\n");
}
