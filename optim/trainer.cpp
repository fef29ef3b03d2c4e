#include "trainer.h"

#include "../autograd/error.h"
#include "../autograd/graph.h"
#include "../autograd/list.h"
#include "../nn/data/loader.h"
#include "../nn/metrics.h"
#include "progress.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cmath>

namespace ebb::optim {

namespace {

/// The loss and the metrics over the rows seen so far.
class Tally {
 public:
  explicit Tally(const TrainerOptions& aims) : aims_(aims) {
    readings_.emplace_back("loss", 0.0);
    for (const Metric& metric : aims.metrics) readings_.emplace_back(metric.name, 0.0);
  }

  void add(const Tensor& prediction, const Tensor& target, double loss) {
    const Pause pause;
    const auto rows = static_cast<double>(target.shape()[0]);
    rows_ += rows;
    const auto blend = [&](double& mean, double value) { mean += (value - mean) * (rows / rows_); };
    blend(readings_[0].second, loss);
    for (std::size_t i = 0; i < aims_.metrics.size(); ++i)
      blend(readings_[i + 1].second, aims_.metrics[i].function(prediction, target));
  }

  const std::vector<Reading>& readings() const { return readings_; }

 private:
  const TrainerOptions& aims_;
  std::vector<Reading> readings_;
  double rows_ = 0;
};

void check(const FitOptions& options) {
  if (options.epochs < 1)
    throw UsageError(fmt::format("Trainer::fit: epochs must be at least 1, got {}", options.epochs));
  if (!(options.validation >= 0 && options.validation < 1))
    throw UsageError(fmt::format("Trainer::fit: validation must be in [0, 1), got {}", options.validation));
  if (options.validation > 0 && options.validation_data)
    throw UsageError("Trainer::fit: validation and validation_data are both given; training is judged by one");
}

}  // namespace

Metric::Metric(double (*measure)(const Tensor&, const Tensor&)) : function(measure) {
  if (measure != &nn::accuracy) throw UsageError("Metric: a function of your own needs a name: {\"name\", function}");
  name = "accuracy";
}

Trainer::Trainer(Call model, Optimizer& optimizer, TrainerOptions options)
    : model_(std::move(model)), optimizer_(&optimizer), options_(std::move(options)) {
  if (!options_.loss) throw UsageError("Trainer: there is no loss; give one, e.g. {.loss = nn::mse_loss}");
  std::vector<std::string> names{"loss", "seconds"};
  for (const Metric& metric : options_.metrics) {
    if (!metric.function) throw UsageError(fmt::format("Trainer: the metric \"{}\" has no function", metric.name));
    if (std::find(names.begin(), names.end(), metric.name) != names.end())
      throw UsageError(fmt::format("Trainer: a metric cannot be called \"{}\": that name is taken", metric.name));
    names.push_back(metric.name);
  }
}

History Trainer::fit(const data::Dataset& train, const FitOptions& options) {
  check(options);
  data::Dataset training = train;
  std::optional<data::Dataset> validation = options.validation_data;
  if (options.validation > 0) {
    data::Split split = train.split({.test = options.validation, .seed = options.seed});
    training = std::move(split.train);
    validation = std::move(split.test);
  }
  data::Loader loader =
      data::loader(training, {.batch = options.batch, .shuffle = options.shuffle, .seed = options.seed});
  std::optional<Progress> progress;
  if (options.verbose) progress.emplace(stdout, options.epochs, loader.size(), terminal_columns(stdout));

  optimizer_->clear_gradients();
  History history;
  for (std::int64_t epoch = 1; epoch <= options.epochs; ++epoch) {
    const auto started = std::chrono::steady_clock::now();
    Tally tally(options_);
    std::int64_t batch = 0;
    for (const auto& [x, y] : loader) {
      const bool first = ++batch == 1 && epoch == 1;
      Graph graph;
      const Tensor prediction = model_(x);
      const Tensor loss = options_.loss(prediction, y);
      if (first) check_parameters(graph);
      const double value = loss.item();
      if (!std::isfinite(value))
        throw UsageError(
            fmt::format("Trainer::fit: the loss is {} in epoch {}, batch {} of {}\n  help: try a smaller lr "
                        "than {}, standardize the inputs, and look for NaN among them",
                        value, epoch, batch, loader.size(), optimizer_->lr()));
      loss.backward();
      optimizer_->step();
      tally.add(prediction, y, value);
      if (progress) progress->batch(epoch, batch, tally.readings());
    }

    std::vector<Reading> readings = tally.readings();
    if (validation)
      for (const auto& [name, value] : evaluate(*validation)) readings.emplace_back("val_" + name, value);
    const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - started).count();
    if (progress) progress->epoch(epoch, readings, seconds);
    readings.emplace_back("seconds", seconds);
    history.add(readings);
  }
  return history;
}

void Trainer::check_parameters(const Graph& graph) const {
  if (!listed_) return;
  constexpr std::size_t most = 5;
  std::vector<std::string> strangers;
  std::size_t count = 0;
  const auto& held = optimizer_->parameters();
  auto used = detail::List::of(graph)->parameters.begin();  // as many as there are nodes of this kind, in their order
  for (const Node& node : graph.nodes()) {
    if (node.kind != Node::Kind::parameter) continue;
    const auto& one = *used++;
    const auto is_in = [&one](const auto& all) { return std::find(all.begin(), all.end(), one) != all.end(); };
    if (is_in(held) || is_in(*listed_) || ++count > most) continue;
    const std::string& place = node.scope.empty() ? node.scope_kind : node.scope;
    strangers.push_back(fmt::format("{} {}{}", node.name.empty() ? "a parameter" : node.name, to_string(node.shape),
                                    place.empty() ? "" : " in " + place));
  }
  if (count == 0) return;
  throw UsageError(fmt::format(
      "Trainer::fit: the loss depends on what {} does not train and the model does not list: {}{}\n  help: EBB_FIELDS "
      "must list the field that holds it",
      optimizer_->name(), fmt::join(strangers, ", "), count > most ? fmt::format(" (+{} more)", count - most) : ""));
}

Scores Trainer::evaluate(const data::Dataset& dataset, const EvaluateOptions& options) const {
  const Pause pause;
  Tally tally(options_);
  data::Loader loader = data::loader(dataset, {.batch = options.batch});
  for (const auto& [x, y] : loader) {
    const Tensor prediction = model_(x);
    tally.add(prediction, y, options_.loss(prediction, y).item());
  }
  return Scores(tally.readings());
}

Tensor Trainer::predict(const Tensor& x) const {
  const Pause pause;
  return model_(x);
}

}  // namespace ebb::optim
