// Training that is killed and resumed, against training that never stopped.
#include "folder.h"

#include <doctest/doctest.h>
#include <ebb/optim/optim.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <fstream>
#include <functional>
#include <iterator>
#include <map>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

using namespace ebb;

namespace {

std::string contents(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  REQUIRE(file.good());
  return {std::istreambuf_iterator<char>(file), {}};
}

void write(const std::string& path, std::string_view bytes) {
  std::ofstream file(path, std::ios::binary | std::ios::trunc);
  file.write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
  REQUIRE(file.good());
}

/// x less a running mean, which training moves: a layer with a buffer.
struct Centered {
  mutable Tensor mean = zeros({2});
  Tensor operator()(const Tensor& x) const {
    if (nn::training()) {
      const Pause pause;
      mean = 0.9 * mean + 0.1 * ebb::mean(x, 0);
    }
    return x - mean;
  }
  EBB_FIELDS(mean)
};

/// All that is random or remembers: buffers, dropout, weights.
struct Net {
  Centered centered;
  nn::Dense hidden{2, 8};
  nn::BatchNorm1d norm{8};
  nn::Dropout dropout{0.3};
  nn::Dense out{8, 1};
  Tensor operator()(const Tensor& x) const { return sigmoid(out(dropout(tanh(norm(hidden(centered(x))))))); }
  EBB_FIELDS(centered, hidden, norm, dropout, out)
};

data::Dataset rows() {
  Generator generator(5);
  const Tensor x = randn({45, 2}, f32, generator);
  return {x, (sum(x, -1, true) > 0.0).to(f32), {}};
}

/// What training came to: the model's numbers, and the history without its times.
struct Result {
  std::map<std::string, std::vector<float>> numbers;
  std::map<std::string, std::vector<double>> history;
  bool operator==(const Result&) const = default;
};

/// One process's part of training: everything is made anew, from the given seed.
struct Training {
  Training(const std::string& file, std::uint64_t start, std::vector<optim::Metric> metrics = {nn::accuracy, nn::f1})
      : options{.epochs = 4,
                .batch = 4,
                .validation = 0.2,
                .seed = 11,
                .verbose = false,
                .accumulate = 2,
                .clip_norm = 0.5,
                .prefetch = 2,
                .checkpoint = file,
                .checkpoint_every = file.empty() ? 0 : 3,
                .resume = !file.empty()} {
    seed(start);
    net.emplace();
    adam.emplace(*net, optim::AdamWOptions{.lr = 0.05});
    trainer.emplace(*net, *adam,
                    optim::TrainerOptions{.loss = nn::binary_cross_entropy, .metrics = std::move(metrics)});
  }

  /// Trains, with something to happen after each batch.
  Result fit(const std::function<void(optim::Run&)>& happen = [](optim::Run&) {}) {
    options.callbacks = {optim::Scheduler(optim::cosine({.steps = 40}), {.each_step = true}),
                         optim::EarlyStopping({.patience = 3}), optim::on_batch_end(happen)};
    const optim::History history = trainer->fit(rows(), options);
    Result result{numbers(), {}};
    for (const std::string& name : history.names())
      if (name != "seconds") result.history[name] = history[name];
    return result;
  }

  std::map<std::string, std::vector<float>> numbers() {
    std::map<std::string, std::vector<float>> all;
    for (auto& [name, parameter] : nn::parameters(*net)) all[name] = parameter.value().to_vector<float>();
    for (auto& [name, buffer] : nn::buffers(*net)) all[name] = buffer.to_vector<float>();
    return all;
  }

  optim::FitOptions options;
  std::optional<Net> net;
  std::optional<optim::AdamW> adam;
  std::optional<optim::Trainer> trainer;
};

constexpr std::int64_t batches = 9;  // of 4 rows: 45 less the validation part are 36

struct Killed : std::runtime_error {
  using std::runtime_error::runtime_error;
};

std::function<void(optim::Run&)> after(std::int64_t batch, const std::function<void()>& what) {
  return [=](optim::Run& run) {
    if ((run.epoch() - 1) * batches + run.batch() == batch) what();
  };
}

}  // namespace

TEST_CASE("training that was stopped at any batch and resumed is training that never stopped, bit for bit") {
  const Folder folder;
  const Result straight = Training("", 1).fit();
  REQUIRE(straight.history.at("loss").size() == 4);
  for (const std::int64_t batch : {1, 3, 8, 9, 14, 31}) {
    CAPTURE(batch);
    const std::string file = folder / std::to_string(batch);
    Training first(file, 1);
    first.options.resume = false;
    CHECK_THROWS_AS(first.fit(after(batch, [] { throw Killed("now"); })), Killed);
    Training second(file, 77);  // other weights, and other random numbers to come
    CHECK(second.fit() == straight);
  }
}

TEST_CASE("a process that is killed twice leaves what training needs to go on, bit for bit") {
  const Folder folder;
  const Result straight = Training("", 1).fit();
  for (const std::int64_t batch : {5, 22}) {
    const pid_t child = fork();
    REQUIRE(child >= 0);
    if (child == 0) {
      Training(folder / "run", 1).fit(after(batch, [] { std::raise(SIGKILL); }));
      _exit(1);
    }
    int status = 0;
    REQUIRE(waitpid(child, &status, 0) == child);
    REQUIRE(WIFSIGNALED(status));
    CHECK(WTERMSIG(status) == SIGKILL);
  }
  CHECK(Training(folder / "run", 2).fit() == straight);
}

TEST_CASE("training that Ctrl-C ended goes on as if it had not") {
  std::signal(SIGINT, SIG_DFL);  // doctest has a handler of its own
  const Folder folder;
  const Result straight = Training("", 1).fit();
  Training first(folder / "run", 1);
  first.options.checkpoint_every = 0;  // Ctrl-C writes one of its own
  CHECK(first.fit(after(13, [] { std::raise(SIGINT); })).history.at("loss").size() == 1);
  Training second(folder / "run", 5);
  CHECK(second.fit() == straight);
}

TEST_CASE("Ctrl-C pressed twice kills at once") {
  const pid_t child = fork();
  REQUIRE(child >= 0);
  if (child == 0) {
    std::signal(SIGINT, SIG_DFL);
    Training("", 1).fit(after(2, [] {
      std::raise(SIGINT);
      std::raise(SIGINT);
    }));
    _exit(1);
  }
  int status = 0;
  REQUIRE(waitpid(child, &status, 0) == child);
  REQUIRE(WIFSIGNALED(status));
  CHECK(WTERMSIG(status) == SIGINT);
}

TEST_CASE("training that is over does not begin again, and goes on if it is to have more epochs") {
  const Folder folder;
  const auto epochs = [&](std::int64_t n, std::int64_t& batches_seen, const std::string& file) {
    Training training(file, 1);
    training.options.epochs = n;
    return training.fit([&](optim::Run&) { ++batches_seen; });
  };
  std::int64_t seen = 0;
  const Result two = epochs(2, seen, folder / "run");
  CHECK(seen == 2 * batches);
  CHECK(epochs(2, seen, folder / "run").history == two.history);
  CHECK(seen == 2 * batches);
  const Result four = epochs(4, seen, folder / "run");
  CHECK(seen == 4 * batches);
  CHECK(four == epochs(4, seen, ""));
}

TEST_CASE("training that begins anew leaves an old checkpoint alone until it has one of its own") {
  const Folder folder;
  Training(folder / "run", 1).fit();
  const std::string old = contents(folder / "run");
  Training anew(folder / "run", 2);
  anew.options.resume = false;
  CHECK_THROWS_AS(anew.fit(after(2, [] { throw Killed("now"); })), Killed);
  CHECK(contents(folder / "run") == old);
  CHECK_THROWS_AS(anew.fit(after(batches, [] { throw Killed("now"); })), Killed);
  CHECK(contents(folder / "run") != old);
}

TEST_CASE("a checkpoint of other training is refused with a reason, and nothing has changed") {
  const Folder folder;
  const std::string file = folder / "run";
  Training(file, 1).fit();
  const std::string good = contents(file);

  const auto refused = [&](Training& training, const std::string& message) {
    const auto before = training.numbers();
    const io::Tensors optimizer = training.adam->state();
    const std::uint64_t position = default_generator().position();
    CHECK_THROWS_WITH_AS(training.fit(), message.c_str(), UsageError);
    CHECK(training.numbers() == before);
    CHECK(default_generator().position() == position);
    CHECK(training.adam->lr() == 0.05);
    CHECK(training.adam->steps() == 0);
    CHECK(contents(file) == good);
  };
  const std::string other = file + " is a checkpoint of other training: ";
  Training batch(file, 2);
  batch.options.batch = 8;
  refused(batch, other + "Fit::load_state: batch was 4, and is 8. Nothing was loaded");
  Training seeds(file, 2);
  seeds.options.seed = 12;
  refused(seeds, other + "Fit::load_state: seed was 11, and is 12. Nothing was loaded");
  Training metrics(file, 2, {nn::accuracy});
  refused(metrics, other + "Tally::load_state: unknown: metric.f1. Nothing was loaded");
  Training weights(file, 2);
  weights.net->out = nn::Dense(8, 1, {.dtype = f64});
  weights.adam.emplace(*weights.net, optim::AdamWOptions{.lr = 0.05});
  refused(weights, other +
                       "it does not fit the model: out.bias is f32 in the file, f64 in the model, out.weight is f32 "
                       "in the file, f64 in the model. Nothing was loaded");

  Net net;
  optim::SGD sgd(net);
  CHECK_THROWS_WITH_AS(
      optim::load_checkpoint(file, net, sgd),
      (file + " is a checkpoint of other training: there is no place here for "
              "callback.1.Scheduler.base_lr, callback.1.Scheduler.step, callback.2.EarlyStopping.best.val_loss "
              "(+45 more). Nothing was loaded")
          .c_str(),
      UsageError);
  nn::save(net, file);
  CHECK_THROWS_WITH_AS(Training(file, 1).fit(),
                       (file + " is no checkpoint of training; a model alone is read by nn::load").c_str(), UsageError);
  CHECK_THROWS_WITH_AS(Training(folder / "no/where", 1).fit(), doctest::Contains("cannot write"), IoError);
}

TEST_CASE("a checkpoint of training that was judged by other readings is refused before it costs an epoch") {
  const Folder folder;
  const std::string file = folder / "run";
  nn::Sequential model{nn::Dense(2, 1)};
  optim::SGD sgd(model, {.lr = 0.05});
  optim::Trainer trainer(model, sgd, {.loss = nn::mse_loss});
  trainer.fit(rows(), {.verbose = false, .validation_data = rows(), .checkpoint = file});
  const std::vector<float> before = nn::parameters(model)[0].parameter.value().to_vector<float>();
  CHECK_THROWS_WITH_AS(trainer.fit(rows(), {.epochs = 3, .verbose = false, .checkpoint = file, .resume = true}),
                       (file + " is a checkpoint of other training: its epochs have loss, val_loss, seconds, and now "
                               "they have loss, seconds. Nothing was loaded")
                           .c_str(),
                       UsageError);
  CHECK(nn::parameters(model)[0].parameter.value().to_vector<float>() == before);
}

TEST_CASE("the best of one reading is not the best of another when training goes on") {
  const Folder folder;
  const std::string file = folder / "run";
  const auto train = [&](const char* reading) {
    nn::Sequential model{nn::Dense(2, 1)};
    optim::SGD sgd(model, {.lr = 0.05});
    optim::Trainer trainer(model, sgd, {.loss = nn::mse_loss, .metrics = {nn::r2}});
    trainer.fit(rows(), {.verbose = false,
                         .callbacks = {optim::EarlyStopping({.monitor = reading})},
                         .checkpoint = file,
                         .resume = true});
  };
  train("r2");
  CHECK_THROWS_WITH_AS(train("loss"),
                       (file + " is a checkpoint of other training: Monitor::load_state: missing: best.loss. Nothing "
                               "was loaded")
                           .c_str(),
                       UsageError);
}

TEST_CASE("restore_best is as it is given when training goes on, not as it was") {
  const Folder folder;
  const std::string file = folder / "run";
  const auto train = [&](bool restore_best, std::int64_t epochs) {
    nn::Sequential model{nn::Dense(2, 1)};
    optim::SGD sgd(model, {.lr = 0.05});
    double reading = 0;  // of which the first is the best
    const optim::Metric worse{"error", [&](const Tensor&, const Tensor&) { return ++reading; }};
    optim::Trainer trainer(model, sgd, {.loss = nn::mse_loss, .metrics = {worse}});
    std::vector<float> last;
    trainer.fit(rows(), {.epochs = epochs,
                         .batch = 45,
                         .verbose = false,
                         .callbacks = {optim::EarlyStopping({.monitor = "error", .restore_best = restore_best}),
                                       optim::on_epoch_end([&](optim::Run& run) {
                                         if (run.epoch() == epochs)
                                           last = run.weights().at("0.weight").to_vector<float>();
                                       })},
                         .checkpoint = file,
                         .resume = true});
    return model.at<nn::Dense>(0).weight.value().to_vector<float>() == last;
  };
  CHECK(train(true, 1));
  CHECK(train(false, 3));
  CHECK_THROWS_WITH_AS(
      train(true, 4),
      (file + " is a checkpoint of other training: EarlyStopping::load_state: restore_best was off, so "
              "the best epoch's weights are not kept. Nothing was loaded")
          .c_str(),
      UsageError);
  CHECK(train(false, 4));
}

TEST_CASE("whatever a callback throws at its state, nothing has changed") {
  struct Stubborn : optim::Callback {
    io::Tensors state() const override { return {{"mood", ones({1})}}; }
    void load_state(const io::Tensors&) override { throw std::runtime_error("no"); }
  };
  const Folder folder;
  const std::string file = folder / "run";
  for (const bool again : {false, true}) {
    nn::Sequential model{nn::Dense(2, 1)};
    optim::Adam adam(model);
    optim::Trainer trainer(model, adam, {.loss = nn::mse_loss});
    const std::vector<float> before = nn::parameters(model)[0].parameter.value().to_vector<float>();
    const optim::FitOptions options{.verbose = false, .callbacks = {Stubborn()}, .checkpoint = file, .resume = again};
    if (!again) {
      trainer.fit(rows(), options);
      continue;
    }
    CHECK_THROWS_WITH_AS(trainer.fit(rows(), options), "no", std::runtime_error);
    CHECK(nn::parameters(model)[0].parameter.value().to_vector<float>() == before);
    CHECK(adam.steps() == 0);
  }
}

TEST_CASE("every truncation of a checkpoint is refused, and what follows trains as if there had been none") {
  const Folder folder;
  const std::string file = folder / "run";
  Training(file, 1).fit();
  const std::string good = contents(file);
  Training training(file, 1);
  const auto before = training.numbers();
  for (std::size_t size = 0; size < good.size(); size += 1 + good.size() / 97) {
    CAPTURE(size);
    write(file, std::string_view(good).substr(0, size));
    CHECK_THROWS_AS(training.fit(), ParseError);
  }
  CHECK(training.numbers() == before);
}

TEST_CASE("a loop of one's own goes on from a checkpoint, too") {
  const Folder folder;
  const data::Dataset data = rows();
  const auto train = [&](Net& net, optim::Optimizer& sgd, optim::Schedule& schedule, std::int64_t from,
                         std::int64_t to) {
    for (std::int64_t epoch = from; epoch < to; ++epoch) {
      for (const auto& [x, y] : data::loader(data, {.batch = 8, .shuffle = true, .epoch = epoch})) {
        Graph graph;
        nn::binary_cross_entropy(net(x), y).backward();
        sgd.step();
      }
      schedule.step();
    }
  };
  const auto numbers = [](Net& net) {
    std::vector<float> all;
    for (auto& [name, buffer] : nn::buffers(net))
      for (const float v : buffer.to_vector<float>()) all.push_back(v);
    for (auto& [name, parameter] : nn::parameters(net))
      for (const float v : parameter.value().to_vector<float>()) all.push_back(v);
    return all;
  };
  seed(3);
  Net straight;
  optim::SGD straight_sgd(straight, {.lr = 0.1, .momentum = 0.9});
  optim::Schedule straight_schedule(straight_sgd, optim::exponential(0.7));
  train(straight, straight_sgd, straight_schedule, 0, 4);

  seed(3);
  Net net;
  optim::SGD sgd(net, {.lr = 0.1, .momentum = 0.9});
  optim::Schedule schedule(sgd, optim::exponential(0.7));
  train(net, sgd, schedule, 0, 2);
  optim::save_checkpoint(folder / "c", net, sgd, {.schedule = &schedule, .notes = {{"epoch", tensor(2, i64)}}});

  seed(8);
  Net again;
  optim::SGD again_sgd(again, {.lr = 0.1, .momentum = 0.9});
  optim::Schedule again_schedule(again_sgd, optim::exponential(0.7));
  const io::Tensors notes = optim::load_checkpoint(folder / "c", again, again_sgd, {.schedule = &again_schedule});
  CHECK(notes.at("epoch").item() == 2);
  CHECK(again_schedule.steps() == 2);
  train(again, again_sgd, again_schedule, 2, 4);
  CHECK(numbers(again) == numbers(straight));
}
