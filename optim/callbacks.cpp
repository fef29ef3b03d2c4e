#include "callbacks.h"

#include "../autograd/error.h"
#include "../nn/io/file.h"
#include "average.h"
#include "optimizer.h"
#include "state.h"

#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <string_view>
#include <system_error>

namespace ebb::optim {

namespace {

bool contains_any(std::string_view text, std::initializer_list<std::string_view> parts) {
  return std::any_of(parts.begin(), parts.end(), [&](auto part) { return text.find(part) != std::string_view::npos; });
}

void append(const std::string& path, const std::string& line) {
  std::FILE* const file = std::fopen(path.c_str(), "ab");
  const bool written = file != nullptr && std::fwrite(line.data(), 1, line.size(), file) == line.size();
  const bool closed = file != nullptr && std::fclose(file) == 0;
  if (!written || !closed) throw IoError(fmt::format("cannot write \"{}\": {}", path, std::strerror(errno)));
}

/// The path with {epoch} and {reading} replaced.
std::string filled(const std::string& path, const std::function<std::string(const std::string& name)>& value) {
  std::string text;
  for (std::size_t at = 0; at < path.size();) {
    const std::size_t open = path.find('{', at), close = path.find('}', open);
    if (close == std::string::npos) return text + path.substr(at);
    text += path.substr(at, open - at) + value(path.substr(open + 1, close - open - 1));
    at = close + 1;
  }
  return text;
}

}  // namespace

double Run::operator[](std::string_view name) const {
  std::string names;
  for (const auto& [known, value] : readings_) {
    if (known == name) return value;
    names += (names.empty() ? "" : ", ") + known;
  }
  throw UsageError(fmt::format("Run: there is no \"{}\"; there are: {}", name, names.empty() ? "none yet" : names));
}

void Callbacks::add(std::shared_ptr<Callback> callback) {
  if (callback == nullptr) throw UsageError("Callbacks: one of them is a null pointer");
  all_.push_back(std::move(callback));
}

// ---- Monitor ----------------------------------------------------------------------------------------------------

Monitor::Monitor(std::string name, Better better, double min_delta)
    : name_(std::move(name)), better_(better), min_delta_(min_delta) {}

void Monitor::begin(const Run& run, const char* who) {
  const auto& names = run.names();
  const auto known = [&](std::string_view name) { return std::find(names.begin(), names.end(), name) != names.end(); };
  found_ = !name_.empty() ? name_ : known("val_loss") ? "val_loss" : "loss";
  if (!known(found_))
    throw UsageError(fmt::format("{}: there is no \"{}\" to judge by; there are: {}{}", who, found_,
                                 fmt::join(names, ", "),
                                 found_.starts_with("val_") ? "\n  help: fit validates if given .validation or "
                                                              ".validation_data"
                                                            : ""));
  const bool small = contains_any(found_, {"loss", "error", "mae", "mse", "entropy", "perplexity"});
  const bool large = contains_any(found_, {"acc", "precision", "recall", "f1", "auc", "r2"});
  if (better_ == Better::by_name && small == large)
    throw UsageError(
        fmt::format("{}: its name does not say whether more of \"{}\" is better\n  help: give .better = "
                    "optim::Better::larger or smaller",
                    who, found_));
  larger_ = better_ == Better::by_name ? large : better_ == Better::larger;
  epoch_ = 0;
  best_ = 0;
}

bool Monitor::improved(const Run& run) {
  const double now = run[found_];
  if (std::isnan(now)) return false;
  if (epoch_ > 0 && !(larger_ ? now > best_ + min_delta_ : now < best_ - min_delta_)) return false;
  best_ = now;
  epoch_ = run.epoch();
  return true;
}

io::Tensors Monitor::state() const {
  return {{"best." + found_, tensor(best_, f64)}, {"best_epoch", from(std::span<const std::int64_t>(&epoch_, 1), {})}};
}

io::Tensors Monitor::load_state(const io::Tensors& state) {
  StateReader reader("Monitor", state);
  const double best = reader.number("best." + found_);  // not to be compared with another reading
  const std::int64_t epoch = reader.count("best_epoch");
  io::Tensors rest = reader.rest();
  best_ = best;
  epoch_ = epoch;
  return rest;
}

// ---- EarlyStopping ----------------------------------------------------------------------------------------------

EarlyStopping::EarlyStopping(const EarlyStoppingOptions& options)
    : options_(options), monitor_(options.monitor, options.better, options.min_delta) {
  if (options.patience < 1)
    throw UsageError(fmt::format("EarlyStopping: patience must be at least 1, got {}", options.patience));
  if (!(options.min_delta >= 0))
    throw UsageError(fmt::format("EarlyStopping: min_delta must not be negative, got {}", options.min_delta));
}

void EarlyStopping::on_fit_begin(Run& run) {
  monitor_.begin(run, "EarlyStopping");
  waited_ = 0;
  best_weights_.clear();
}

void EarlyStopping::on_epoch_end(Run& run) {
  if (monitor_.improved(run)) {
    waited_ = 0;
    if (options_.restore_best) best_weights_ = run.weights();
  } else if (++waited_ >= options_.patience) {
    run.stop();
  }
}

void EarlyStopping::on_fit_end(Run& run) {
  if (!best_weights_.empty()) run.weights(best_weights_);
}

io::Tensors EarlyStopping::state() const {
  io::Tensors state = monitor_.state();
  state.emplace("waited", from(std::span<const std::int64_t>(&waited_, 1), {}));
  for (const auto& [name, weight] : best_weights_) state.emplace("weights." + name, weight);
  return state;
}

void EarlyStopping::load_state(const io::Tensors& state) {
  Monitor monitor = monitor_;
  StateReader reader("EarlyStopping", monitor.load_state(state));
  const std::int64_t waited = reader.count("waited");
  constexpr std::string_view prefix = "weights.";
  io::Tensors weights;
  for (const auto& [name, weight] : reader.rest())
    if (name.starts_with(prefix)) weights.emplace(name.substr(prefix.size()), weight);
  if (!options_.restore_best) weights.clear();
  else if (weights.empty() && monitor.epoch() > 0)
    reader.complain("restore_best was off, so the best epoch's weights are not kept");
  reader.rest();
  monitor_ = std::move(monitor);
  waited_ = waited;
  best_weights_ = std::move(weights);
}

// ---- ModelCheckpoint --------------------------------------------------------------------------------------------

ModelCheckpoint::ModelCheckpoint(std::string path, const ModelCheckpointOptions& options)
    : path_(std::move(path)), options_(options), monitor_(options.monitor, options.better) {
  if (!options.best_only && !options.monitor.empty())
    throw UsageError("ModelCheckpoint: monitor says which epoch is the best, and wants .best_only = true");
}

void ModelCheckpoint::on_fit_begin(Run& run) {
  if (options_.best_only) monitor_.begin(run, "ModelCheckpoint");
  const auto& names = run.names();
  const std::string one_of_them = filled(path_, [&](const std::string& name) -> std::string {
    if (name == "epoch" || std::find(names.begin(), names.end(), name) != names.end()) return "0";
    throw UsageError(fmt::format("ModelCheckpoint(\"{}\"): there is no \"{}\"; there are: epoch, {}", path_, name,
                                 fmt::join(names, ", ")));
  });
  // A place that cannot be written shall not cost an epoch; a folder that goes by readings is not known yet.
  const std::size_t slash = path_.rfind('/');
  if (slash == std::string::npos || path_.find('{') > slash) io::require_writable(one_of_them);
}

void ModelCheckpoint::on_epoch_end(Run& run) {
  if (options_.best_only && !monitor_.improved(run)) return;
  const std::string path = filled(path_, [&](const std::string& name) {
    return name == "epoch" ? std::to_string(run.epoch()) : fmt::format("{:.4f}", run[name]);
  });
  io::write_safetensors(path, run.weights());
}

io::Tensors ModelCheckpoint::state() const { return options_.best_only ? monitor_.state() : io::Tensors(); }

void ModelCheckpoint::load_state(const io::Tensors& state) {
  if (options_.best_only) monitor_.load_state(state);
}

// ---- Scheduler --------------------------------------------------------------------------------------------------

Scheduler::Scheduler(Share share, const SchedulerOptions& options) : share_(std::move(share)), options_(options) {
  if (!share_) throw UsageError("Scheduler: there is no schedule; give one, e.g. optim::cosine({.steps = 50})");
  if (!options.monitor.empty())
    throw UsageError("Scheduler: monitor is for a Plateau; a function of steps reads nothing");
}

Scheduler::Scheduler(Schedule& schedule, const SchedulerOptions& options)
    : schedule_(&schedule, [](Schedule*) {}), options_(options) {
  if (options.each_step && !options.monitor.empty())
    throw UsageError("Scheduler: with each_step the loss so far is measured, so there is no monitor to choose");
}

void Scheduler::on_fit_begin(Run& run) {
  if (!share_ && &schedule_->optimizer() != &run.optimizer())
    throw UsageError(
        fmt::format("Scheduler: its schedule moves the lr of another optimizer, of type {}, than the {} that trains\n"
                    "  help: make the schedule of the optimizer that the Trainer has",
                    schedule_->optimizer().name(), run.optimizer().name()));
  Monitor monitor(options_.monitor, Better::smaller);  // which way is better is the schedule's own matter
  monitor.begin(run, "Scheduler");
  measured_ = monitor.name();
  if (share_) schedule_ = std::make_shared<Schedule>(run.optimizer(), share_);
}

void Scheduler::on_batch_end(Run& run) {
  if (options_.each_step && run.stepped()) schedule_->step(run["loss"]);
}

void Scheduler::on_epoch_end(Run& run) {
  if (!options_.each_step) schedule_->step(run[measured_]);
}

void Scheduler::on_fit_end(Run& run) {
  if (share_) run.optimizer().lr(schedule_->base_lr());
}

io::Tensors Scheduler::state() const { return schedule_ ? schedule_->state() : io::Tensors(); }

void Scheduler::load_state(const io::Tensors& state) {
  if (!schedule_)
    throw UsageError("Scheduler::load_state: there is no schedule before training begins. Nothing was loaded");
  schedule_->load_state(state);
}

// ---- MovingAverage ----------------------------------------------------------------------------------------------

void MovingAverage::check() const {
  if (!(decay_ >= 0 && decay_ <= 1))
    throw UsageError(fmt::format("MovingAverage: decay must be in [0, 1], got {}", decay_));
  nn::require_fit(nn::numbers(average_()), nn::numbers(model_()), "MovingAverage: the average", "the average",
                  "Make it a copy of the model");
}

void MovingAverage::on_batch_end(Run& run) {
  if (run.stepped()) follow(average_(), model_(), decay_);
}

io::Tensors MovingAverage::state() const { return nn::numbers(average_()); }
void MovingAverage::load_state(const io::Tensors& state) { nn::give_numbers(average_(), state, "MovingAverage"); }

// ---- CsvLog -----------------------------------------------------------------------------------------------------

void CsvLog::on_fit_begin(Run&) {
  begun_ = false;
  // A place that cannot be written shall not cost an epoch, and what it holds now stays until there is one.
  io::require_writable(path_);
  std::error_code none;
  if (std::filesystem::exists(path_, none)) append(path_, "");
}

void CsvLog::on_epoch_end(Run& run) {
  // The first row brings those before it along: after a checkpoint the file may lack some, or have some twice.
  const History& history = run.history();
  std::vector<Reading> row;
  for (const std::string& name : history.names()) row.emplace_back(name, history.last(name));
  if (begun_) append(path_, csv_row(run.epoch(), row));
  else history.csv(path_);
  begun_ = true;
}

// ---- Calls ------------------------------------------------------------------------------------------------------

Calls::Calls(Functions functions) : functions_(std::move(functions)) {
  if (functions_.graph_every < 1)
    throw UsageError(fmt::format("optim::on_graph: every must be at least 1, got {}", functions_.graph_every));
}
void Calls::on_epoch_begin(Run& run) {
  if (functions_.epoch_begin) functions_.epoch_begin(run);
}
void Calls::on_batch_end(Run& run) {
  if (functions_.batch_end) functions_.batch_end(run);
}
bool Calls::wants_graph(const Run& run) {
  return functions_.graph && is_one_of({.every = functions_.graph_every}, run);
}
void Calls::on_graph(Run& run, const Graph& graph) { functions_.graph(run, graph); }
void Calls::on_epoch_end(Run& run) {
  if (functions_.epoch_end) functions_.epoch_end(run);
}

Calls on_epoch_begin(Calls::Function function) { return Calls({.epoch_begin = std::move(function)}); }
Calls on_batch_end(Calls::Function function) { return Calls({.batch_end = std::move(function)}); }
Calls on_epoch_end(Calls::Function function) { return Calls({.epoch_end = std::move(function)}); }

bool is_one_of(const GraphStepsOptions& steps, const Run& run) {
  return run.stepped() && (run.step() == 1 || run.step() % steps.every == 0);
}

Calls on_graph(const GraphStepsOptions& steps, Calls::GraphFunction function) {
  return Calls({.graph = std::move(function), .graph_every = steps.every});
}

}  // namespace ebb::optim
