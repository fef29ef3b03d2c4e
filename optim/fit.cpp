#include "fit.h"

#include "../autograd/error.h"
#include "../autograd/graph.h"
#include "../autograd/kernels/reduce.h"
#include "../autograd/op.h"
#include "../autograd/ops.h"
#include "clip.h"
#include "interrupt.h"
#include "state.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <chrono>
#include <cmath>
#include <filesystem>
#include <span>
#include <system_error>
#include <typeinfo>

namespace ebb::optim {

namespace {

void check(const FitOptions& options) {
  const auto refuse = [](const std::string& what) { throw UsageError("Trainer::fit: " + what); };
  if (options.epochs < 1) refuse(fmt::format("epochs must be at least 1, got {}", options.epochs));
  if (!(options.validation >= 0 && options.validation < 1))
    refuse(fmt::format("validation must be in [0, 1), got {}", options.validation));
  if (options.validation > 0 && options.validation_data)
    refuse("validation and validation_data are both given; training is judged by one");
  if (options.accumulate < 1) refuse(fmt::format("accumulate must be at least 1, got {}", options.accumulate));
  if (!(options.clip_norm > 0)) refuse(fmt::format("clip_norm must be positive, got {}", options.clip_norm));
  if (!(options.clip_value > 0)) refuse(fmt::format("clip_value must be positive, got {}", options.clip_value));
  if (options.checkpoint_every < 0)
    refuse(fmt::format("checkpoint_every must not be negative, got {}", options.checkpoint_every));
  if (options.checkpoint.empty() && options.checkpoint_every > 0) refuse("checkpoint_every wants a .checkpoint file");
  if (options.checkpoint.empty() && options.resume) refuse("resume wants a .checkpoint file to go on from");
}

/// The dataset's weights times those of the rows' classes.
Tensor weighed_by_class(const data::Dataset& dataset, const std::vector<double>& of_class) {
  const auto refuse = [](const std::string& what) { throw UsageError("Trainer::fit: class_weights " + what); };
  for (const double w : of_class)
    if (!(w >= 0 && std::isfinite(w))) refuse(fmt::format("must not be negative, got {}", w));
  const Shape& y = dataset.y.shape();
  const bool one_number = y.rank() == 1 || (y.rank() == 2 && y[1] == 1);
  if (!one_number) refuse(fmt::format("wants class numbers [n], or 0 and 1 in [n] or [n, 1], not {}", to_string(y)));

  const std::vector<double> classes = dataset.y.to_vector<double>();
  std::vector<double> weights(classes.size(), 1.0);
  if (dataset.weight.defined()) weights = dataset.weight.to_vector<double>();
  for (std::size_t row = 0; row < classes.size(); ++row) {
    const double number = classes[row];
    if (number != std::floor(number) || number < 0 || number >= static_cast<double>(of_class.size()))
      refuse(fmt::format("has {} numbers, and row {} is of class {}", of_class.size(), row, number));
    weights[row] *= of_class[static_cast<std::size_t>(number)];
  }
  return from(weights, {y[0]});
}

double seconds_since(std::chrono::steady_clock::time_point started) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - started).count();
}

/// Exact, while tensor(v, i64) goes by a double.
Tensor whole_number(std::int64_t v) { return from(std::span<const std::int64_t>(&v, 1), {}); }

/// Throws unless the loss is a value of this graph.
void must_be_recorded(const Graph& graph, const Tensor& loss) {
  const std::uint32_t place = detail::impl(loss).graph;
  if (detail::recorded_in(place)) return;
  throw UsageError(fmt::format(
      "Trainer::fit: the loss has no gradient: {}\n  help: compute it from the prediction, without detach(), "
      "Pause, item() or whole numbers on the way",
      place == 0 ? "nothing in it depends on a parameter" : graph.explain(loss)));
}

/// Lines of a message, moved in below another.
std::string indented(const std::string& text) {
  std::string lines = "\n  ";
  for (const char c : text) lines += c == '\n' ? std::string("\n  ") : std::string(1, c);
  return lines;
}

}  // namespace

void check_weights(const data::Dataset& dataset) {
  if (!dataset.weight.defined()) return;
  const std::vector<double> weights = dataset.weight.to_vector<double>();
  const auto bad = std::find_if(weights.begin(), weights.end(), [](double w) { return !(w >= 0 && std::isfinite(w)); });
  if (bad != weights.end())
    throw UsageError(
        fmt::format("Trainer: the weight of row {} is {}; weights must not be negative", bad - weights.begin(), *bad));
}

Fit::Fit(Trainer& trainer, const data::Dataset& train, const FitOptions& options)
    : trainer_(trainer),
      options_(options),
      training_(train),
      validation_(options.validation_data),
      weights_(trainer.contents_ ? trainer.contents_() : nn::Contents(), *trainer.optimizer_),
      tally_(trainer.options_.metrics) {
  check(options);
  data::detail::require_filled(train, "Trainer::fit");
  if (validation_) data::detail::require_filled(*validation_, "Trainer::fit: validation_data");
  if (!train.y.defined()) throw UsageError("Trainer::fit: the dataset has no answers y to aim at");
  if (validation_ && !validation_->y.defined())
    throw UsageError("Trainer::fit: validation_data has no answers y to judge by");
  if (options.validation > 0) {
    const auto kept = std::llround(options.validation * static_cast<double>(train.size()));
    if (kept == 0 || kept == train.size())
      throw UsageError(fmt::format("Trainer::fit: validation = {} of {} rows leaves a part empty", options.validation,
                                   train.size()));
    data::Split split = train.split({.test = options.validation, .seed = options.seed});
    training_ = std::move(split.train);
    validation_ = std::move(split.test);
  }
  check_weights(training_);
  if (validation_) check_weights(*validation_);
  if (!options.class_weights.empty()) training_.weight = weighed_by_class(training_, options.class_weights);

  verbose_ = options.verbose;
  epochs_ = options.epochs;
  batches_ = data::loader(training_, {.batch = options.batch, .drop_last = options.drop_last}).size();
  for (const char* const prefix : {"", "val_"}) {
    if (*prefix != '\0' && !validation_) continue;
    names_.push_back(std::string(prefix) + "loss");
    for (const Metric& metric : trainer.options_.metrics) names_.push_back(prefix + metric.name);
  }
}

History Fit::train() {
  try {
    begin();
    train_epochs();
  } catch (...) {
    fail();
    throw;
  }
  return history_;
}

void Fit::begin() {
  weights_.clear_gradients();
  for (const auto& callback : options_.callbacks) {
    callback->on_fit_begin(*this);
    ++begun_;
  }
  std::error_code none;
  const bool there = std::filesystem::exists(options_.checkpoint, none);
  if (there && options_.resume) resume();
  if (!there) save();  // a place that cannot be written shall not cost an epoch
}

void Fit::fail() noexcept {
  weights_.clear_gradients();
  for (const auto& callback : options_.callbacks) {
    if (begun_ == 0) return;
    --begun_;
    try {
      callback->on_fit_failed(*this);
    } catch (...) {
      // What made training fail is what the caller must hear of.
    }
  }
}

void Fit::train_epochs() {
  if (options_.verbose) progress_.emplace(stdout, epochs_, batches_, terminal_columns(stdout));

  const Interruptible ctrl_c(options_.interruptible);
  bool whole = true;
  while (whole && history_.epochs() < epochs_ && !stopping_ && !ctrl_c.interrupted()) whole = train_epoch(ctrl_c);
  history_.interrupted(ctrl_c.interrupted() && history_.epochs() < epochs_ && !stopping_);
  if (progress_ && history_.interrupted())
    progress_->note(whole ? fmt::format("interrupted after epoch {}", epoch_)
                          : fmt::format("interrupted in epoch {}, after batch {} of {}", epoch_, batch_, batches_));
  weights_.clear_gradients();
  progress_.reset();
  call(&Callback::on_fit_end);
}

bool Fit::train_epoch(const Interruptible& ctrl_c) {
  const auto started = std::chrono::steady_clock::now();
  epoch_ = history_.epochs() + 1;
  steps_.clear();  // what callbacks did between epochs may make the model another
  if (batch_ == 0) {
    readings_.clear();
    call(&Callback::on_epoch_begin);
  }
  data::Loader loader = data::loader(training_, {.batch = options_.batch,
                                                 .shuffle = options_.shuffle,
                                                 .seed = options_.seed,
                                                 .drop_last = options_.drop_last,
                                                 .epoch = history_.epochs(),
                                                 .first_batch = batch_,
                                                 .prefetch = options_.prefetch,
                                                 .transform = options_.transform});
  for (const data::Batch& batch : loader) {
    train_batch(batch);
    readings_ = tally_.so_far();
    call(&Callback::on_batch_end);
    if (progress_) progress_->batch(epoch_, batch_, readings_);
    ++unsaved_batches_;
    if (!stepped_ || batch_ == batches_) continue;
    const bool due = options_.checkpoint_every > 0 && unsaved_batches_ >= options_.checkpoint_every;
    if (due || ctrl_c.interrupted()) save();
    if (ctrl_c.interrupted()) return false;
  }
  finish_epoch(seconds_since(started));
  return true;
}

void Fit::finish_epoch(double seconds) {
  readings_ = tally_.readings();
  if (validation_)
    for (const auto& [name, value] : trainer_.evaluate(*validation_)) readings_.emplace_back("val_" + name, value);
  std::vector<Reading> row = readings_;
  row.emplace_back("seconds", seconds);
  history_.add(row);
  if (progress_) progress_->epoch(epoch_, readings_, seconds);
  tally_ = Tally(trainer_.options_.metrics);
  call(&Callback::on_epoch_end);
  batch_ = 0;
  save();
}

void Fit::train_batch(const data::Batch& batch) {
  if (batch_ % options_.accumulate == 0) ++step_;
  ++batch_;
  stepped_ = batch_ % options_.accumulate == 0 || batch_ == batches_;
  const Generator generator = default_generator();
  const std::vector<Tensor> buffers = weights_.buffers();
  Outcome outcome;
  {
    const std::vector<Callback*> watching = who_wants_graph();
    if (watching.empty() && options_.replay && checked_parameters_) {
      outcome = replayed(batch);
    } else {
      not_replayed_ = !options_.replay     ? "FitOptions::replay is false"
                      : watching.empty() ? "the first batch is looked at"
                                         : "a callback wants the graph";
      Graph graph({.observe = !watching.empty()});
      outcome = forward_and_backward(batch, graph, !std::exchange(checked_parameters_, true));
      if (outcome.finite && !watching.empty()) {
        const Pause pause;
        for (Callback* const callback : watching) callback->on_graph(*this, graph);
      }
    }
  }
  if (!outcome.finite) {
    default_generator() = generator;
    weights_.buffers(buffers);
    weights_.clear_gradients();
    explain_not_finite(batch, outcome.loss);
  }
  if (stepped_) step();
  tally_.add(outcome.prediction, batch.y, outcome.loss);
}

std::vector<Callback*> Fit::who_wants_graph() {
  std::vector<Callback*> all;
  for (const auto& callback : options_.callbacks)
    if (callback->wants_graph(*this)) all.push_back(callback.get());
  return all;
}

Fit::Outcome Fit::forward_and_backward(const data::Batch& batch, Graph& graph, bool check_parameters) {
  Outcome outcome;
  outcome.prediction = trainer_.model_(batch.x);
  const Tensor loss = trainer_.options_.loss(outcome.prediction, batch.y, batch.weight);
  must_be_recorded(graph, loss);
  if (check_parameters) trainer_.check_parameters(graph);
  outcome.loss = loss.item();
  outcome.finite = std::isfinite(outcome.loss);
  if (!outcome.finite) return outcome;
  if (options_.accumulate == 1) loss.backward();
  else (loss * share_of_step(batch)).backward();
  outcome.finite = gradients_are_finite();
  return outcome;
}

Fit::Outcome Fit::replayed(const data::Batch& batch) {
  struct Step {
    Fit& fit;
    double share;
    bool weighed;
  } step{*this, options_.accumulate == 1 ? 1 : share_of_step(batch), batch.weight.defined()};
  enum { to_differentiate, loss, prediction, count };
  const auto run = [](void* asked, const Tensor* const* x, Tensor* results) {
    const Step& s = *static_cast<const Step*>(asked);
    results[prediction] = s.fit.trainer_.model_(*x[0]);
    results[loss] = s.fit.trainer_.options_.loss(results[prediction], *x[1], s.weighed ? *x[2] : Tensor());
    results[to_differentiate] = s.fit.options_.accumulate == 1 ? results[loss] : results[loss] * s.share;
  };
  const Tensor* const operands[] = {&batch.x, &batch.y, &batch.weight};
  Tensor results[count];
  detail::Replayer& replayer = steps_[step.share];
  replayer.run({run, &step}, {operands, step.weighed ? 3u : 2u}, results);
  not_replayed_ = replayer.why();

  Outcome outcome{results[prediction], results[loss].item()};
  outcome.finite = std::isfinite(outcome.loss) && gradients_are_finite();
  return outcome;
}

double Fit::share_of_step(const data::Batch& batch) const {
  // As large as they say, or as there is anything to do: the products cannot overflow.
  const std::int64_t together = std::min(options_.accumulate, batches_);
  const std::int64_t batch_rows = std::min(options_.batch, training_.size());
  const std::int64_t size = options_.drop_last ? batches_ * batch_rows : training_.size();
  const std::int64_t first = (batch_ - 1) / together * together * batch_rows;
  const std::int64_t rows = std::min(together * batch_rows, size - first);
  return static_cast<double>(batch.x.shape()[0]) / static_cast<double>(rows);
}

bool Fit::gradients_are_finite() const {
  const auto finite = [](const auto& parameter) {
    const Tensor& g = parameter->grad;
    if (!g.defined()) return true;
    return g.dtype() == f32 ? kernels::all_finite(g.data<float>().data(), g.size())
                            : kernels::all_finite(g.data<double>().data(), g.size());
  };
  const auto& parameters = trainer_.optimizer_->parameters();
  return std::all_of(parameters.begin(), parameters.end(), finite);
}

void Fit::explain_not_finite(const data::Batch& batch, double loss) {
  // The same again, watched: the generator stands where it stood.
  const Generator generator = default_generator();
  const std::vector<Tensor> buffers = weights_.buffers();
  std::string where;
  try {
    Graph graph({.check = true});
    forward_and_backward(batch, graph, false);
    where = graph.check();
  } catch (const Error& error) {
    where = error.what();
  }
  default_generator() = generator;
  weights_.buffers(buffers);
  weights_.clear_gradients();
  throw UsageError(fmt::format(
      "Trainer::fit: the {} in epoch {}, batch {} of {}{}\n  help: try a smaller lr than {}, standardize the inputs, "
      "and look for NaN among them",
      std::isfinite(loss) ? "gradient is not finite" : fmt::format("loss is {}", unsigned_nan(loss)), epoch_, batch_,
      batches_, where.empty() ? "" : indented(where), optimizer().lr()));
}

void Fit::step() {
  const auto& parameters = optimizer().parameters();
  if (std::isfinite(options_.clip_value)) clip_grad_value(parameters, options_.clip_value);
  if (std::isfinite(options_.clip_norm)) clip_grad_norm(parameters, options_.clip_norm);
  optimizer().step();
  weights_.clear_gradients();
}

// ---- checkpoints ------------------------------------------------------------------------------------------------

std::vector<std::pair<std::string, std::int64_t>> Fit::settings() const {
  return {{"rows", training_.size()},
          {"batch", options_.batch},
          {"accumulate", options_.accumulate},
          {"drop_last", options_.drop_last ? 1 : 0},
          {"shuffle", options_.shuffle ? 1 : 0},
          {"seed", std::bit_cast<std::int64_t>(options_.seed)}};
}

std::vector<Part> Fit::parts() {
  std::vector<Part> parts{weights_part(weights_), optimizer_part(optimizer()), random_part()};
  parts.push_back({"fit", [this] { return state(); }, [this](const io::Tensors& given) { load_state(given); }});
  parts.push_back(
      {"tally", [this] { return tally_.state(); }, [this](const io::Tensors& given) { tally_.load_state(given); }});
  parts.push_back(
      {"history", [this] { return history_.state(); }, [this](const io::Tensors& given) { load_history(given); }});
  std::size_t place = 0;
  for (const auto& callback : options_.callbacks) {
    Callback* const one = callback.get();
    parts.push_back({fmt::format("callback.{}.{}", ++place, nn::type_name(typeid(*one))),
                     [one] { return one->state(); }, [one](const io::Tensors& given) { one->load_state(given); }});
  }
  return parts;
}

io::Tensors Fit::state() const {
  io::Tensors state{{"batches_done", whole_number(batch_)}, {"stopping", whole_number(stopping_ ? 1 : 0)}};
  for (const auto& [name, value] : settings()) state.emplace(name, whole_number(value));
  return state;
}

void Fit::load_state(const io::Tensors& state) {
  StateReader reader("Fit", state);
  for (const auto& [name, value] : settings()) {
    const Tensor then = reader.take(name, whole_number(value));
    if (then.defined() && *then.data<std::int64_t>().data() != value)
      reader.complain(fmt::format("{} was {}, and is {}", name, *then.data<std::int64_t>().data(), value));
  }
  const std::int64_t done = reader.count("batches_done"), stopping = reader.count("stopping");
  if (done >= batches_) reader.complain(fmt::format("{} batches of an epoch's {} were done", done, batches_));
  reader.finish();
  batch_ = done;
  stopping_ = stopping != 0;
}

void Fit::load_history(const io::Tensors& state) {
  History read;
  read.load_state(state);
  std::vector<std::string> names = names_;
  names.emplace_back("seconds");
  if (read.epochs() > 0 && read.names() != names)
    throw UsageError(fmt::format("its epochs have {}, and now they have {}. Nothing was loaded",
                                 fmt::join(read.names(), ", "), fmt::join(names, ", ")));
  history_ = std::move(read);
}

void Fit::save() {
  if (options_.checkpoint.empty()) return;
  write_parts(options_.checkpoint, parts());
  unsaved_batches_ = 0;
}

void Fit::resume() {
  read_parts(options_.checkpoint, parts());
  epoch_ = history_.epochs();
  const auto steps_in = [this](std::int64_t batches) { return (batches - 1) / options_.accumulate + 1; };
  step_ = epoch_ * steps_in(batches_) + (batch_ == 0 ? 0 : steps_in(batch_));
}

}  // namespace ebb::optim
