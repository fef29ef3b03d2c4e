// Callbacks: what Trainer::fit calls on its way.
//   trainer.fit(train, {.epochs = 100, .validation = 0.2,
//                       .callbacks = {optim::EarlyStopping({.patience = 5}), optim::CsvLog("log.csv")}});
#pragma once

#include "../nn/module.h"
#include "run.h"
#include "schedule.h"

#include <concepts>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

namespace ebb {
class Graph;
}

namespace ebb::optim {

/// The base of all of them; one of your own overrides what it wants to see.  What it throws ends training.
class Callback {
 public:
  virtual ~Callback() = default;

  /// Before anything else: starts anew.
  virtual void on_fit_begin(Run&) {}
  virtual void on_epoch_begin(Run&) {}
  virtual void on_batch_end(Run&) {}
  /// Whether on_graph() is to see the batch that comes next, whose number run.batch() is.  A graph that somebody wants is
  /// observed, which takes time and memory, and changes no number; else nothing is done for it.
  virtual bool wants_graph(const Run&) { return false; }
  /// After the backward of a batch that was asked for, with finite loss and gradients, before these are clipped and a step
  /// is made.  What is computed here is not recorded.  With FitOptions::accumulate parameters have the sum of the batches'
  /// gradients so far, and the graph tells of this batch.
  virtual void on_graph(Run&, const Graph&) {}
  /// After validation.
  virtual void on_epoch_end(Run&) {}
  /// After the last epoch, or Ctrl-C.
  virtual void on_fit_end(Run&) {}
  /// In its place if something was thrown since on_fit_begin, which fit then throws on; what this throws is lost.
  virtual void on_fit_failed(Run&) {}

  /// What it takes to go on after a checkpoint.
  virtual io::Tensors state() const { return {}; }
  /// Takes it back, between on_fit_begin and the first epoch.  Throws an Error, having changed nothing, if it is not such
  /// a state.
  virtual void load_state(const io::Tensors&) {}
};

/// Any mix of callbacks, called in their order: {EarlyStopping(), CsvLog("log.csv"), std::ref(mine)}.
/// Objects are moved in; one that is to be asked afterwards is given by std::ref or as a std::shared_ptr.
class Callbacks {
 public:
  Callbacks() = default;
  template <class... C>
  requires(sizeof...(C) > 0 && (!std::same_as<std::remove_cvref_t<C>, Callbacks> && ...)) Callbacks(C&&... callbacks) {
    (add(std::forward<C>(callbacks)), ...);
  }

  auto begin() const { return all_.begin(); }
  auto end() const { return all_.end(); }

 private:
  void add(std::shared_ptr<Callback> callback);
  template <std::derived_from<Callback> C> void add(std::reference_wrapper<C> callback) {
    add(std::shared_ptr<Callback>(&callback.get(), [](Callback*) {}));
  }
  template <class C>
  requires std::derived_from<std::remove_cvref_t<C>, Callback>
  void add(C&& callback) {
    add(std::shared_ptr<Callback>(std::make_shared<std::remove_cvref_t<C>>(std::forward<C>(callback))));
  }

  std::vector<std::shared_ptr<Callback>> all_;
};

/// Which of two readings is the better one.
enum class Better {
  by_name,  ///< smaller of losses and errors, larger of accuracy, precision, recall, f1, AUC and R²
  smaller,
  larger,
};

/// Looks after one reading for the best epoch.
class Monitor {
 public:
  /// name: "" stands for val_loss, or loss where nothing validates.  What is not better by more than min_delta is not.
  Monitor(std::string name, Better better, double min_delta = 0);

  /// Forgets what it saw.  Throws UsageError, beginning with `who`, for a reading that there is not, or whose name does
  /// not say what is better.
  void begin(const Run& run, const char* who);
  /// Whether this epoch is the best so far; NaN never is.
  bool improved(const Run& run);

  const std::string& name() const { return found_; }
  bool larger() const { return larger_; }
  /// The best reading, and its epoch; 0 if there is none.
  double best() const { return best_; }
  std::int64_t epoch() const { return epoch_; }

  io::Tensors state() const;
  /// Takes its part of a state, and returns the rest.
  io::Tensors load_state(const io::Tensors& state);

 private:
  std::string name_, found_;
  Better better_;
  double min_delta_, best_ = 0;
  std::int64_t epoch_ = 0;
  bool larger_ = false;
};

struct EarlyStoppingOptions {
  std::string monitor = "";   ///< the reading that judges; "": val_loss, or loss where nothing validates
  std::int64_t patience = 5;  ///< how many epochs may pass without a better one
  double min_delta = 0;       ///< by how much a better one must be better
  Better better = Better::by_name;
  bool restore_best = true;  ///< in the end the model gets the weights of the best epoch, unless training failed
};

/// Ends training when nothing gets better any more.
class EarlyStopping : public Callback {
 public:
  explicit EarlyStopping(const EarlyStoppingOptions& options = {});

  /// The best reading, and its epoch; 0 if there is none.
  double best() const { return monitor_.best(); }
  std::int64_t best_epoch() const { return monitor_.epoch(); }
  /// Whether it ended training.
  bool stopped() const { return waited_ >= options_.patience; }

  void on_fit_begin(Run& run) override;
  void on_epoch_end(Run& run) override;
  void on_fit_end(Run& run) override;
  io::Tensors state() const override;
  void load_state(const io::Tensors& state) override;

 private:
  EarlyStoppingOptions options_;
  Monitor monitor_;
  std::int64_t waited_ = 0;
  io::Tensors best_weights_;
};

struct ModelCheckpointOptions {
  bool best_only = false;  ///< only after epochs that are better than all before
  std::string monitor = "";
  Better better = Better::by_name;
};

/// Saves the model after epochs, as nn::save does.  In the path {epoch} stands for the epoch's number and {val_loss}
/// for that reading: "model.{epoch}.safetensors"; without either, one file is written again and again.
/// A place that cannot be written is an IoError before the first epoch.
class ModelCheckpoint : public Callback {
 public:
  explicit ModelCheckpoint(std::string path, const ModelCheckpointOptions& options = {});

  void on_fit_begin(Run& run) override;
  void on_epoch_end(Run& run) override;
  io::Tensors state() const override;
  void load_state(const io::Tensors& state) override;

 private:
  std::string path_;
  ModelCheckpointOptions options_;
  Monitor monitor_;
};

struct SchedulerOptions {
  bool each_step = false;    ///< moves on after each step of the optimizer; else after each epoch
  std::string monitor = "";  ///< the reading that a Plateau measures; "": val_loss, or loss where nothing validates.
                             ///< With each_step it is the loss of the epoch so far, and nothing else can be asked for
};

/// Moves the step size along a schedule: Scheduler(optim::cosine({.steps = 50})), or a Schedule of your own.
class Scheduler : public Callback {
 public:
  /// Of the lr that the optimizer has when training begins, and has again when it ends or fails.
  explicit Scheduler(Share share, const SchedulerOptions& options = {});
  /// The schedule must be of the optimizer that trains, or fit() throws UsageError, and stay where it is.
  explicit Scheduler(Schedule& schedule, const SchedulerOptions& options = {});

  void on_fit_begin(Run& run) override;
  void on_batch_end(Run& run) override;
  void on_epoch_end(Run& run) override;
  void on_fit_end(Run& run) override;
  void on_fit_failed(Run& run) override { on_fit_end(run); }
  io::Tensors state() const override;
  void load_state(const io::Tensors& state) override;

 private:
  Share share_;
  std::shared_ptr<Schedule> schedule_;
  SchedulerOptions options_;
  std::string measured_;
};

/// Has a copy of the model follow it, step by step, as ema_update does; the copy is part of checkpoints:
///   Net average = net;  trainer.fit(train, {.callbacks = {optim::MovingAverage(average, net, 0.999)}});
class MovingAverage : public Callback {
 public:
  /// Both models must stay where they are.  Throws UsageError if decay is not in [0, 1].
  template <nn::HasFields Model> MovingAverage(Model& average, const Model& model, double decay)
      : average_([&average] { return nn::contents(average); }),
        model_([&model] { return nn::contents(model); }),
        decay_(decay) {
    static_assert(!std::is_const_v<Model>, "MovingAverage changes its first model, so it must not be const");
    check();
  }

  void on_batch_end(Run& run) override;
  io::Tensors state() const override;
  void load_state(const io::Tensors& state) override;

 private:
  void check() const;

  std::function<nn::Contents()> average_, model_;
  double decay_;
};

/// Writes a table (RFC 4180), a row as soon as its epoch is done; the first takes the place of what the file held.
/// A place that cannot be written is an IoError before the first epoch.
class CsvLog : public Callback {
 public:
  explicit CsvLog(std::string path) : path_(std::move(path)) {}

  void on_fit_begin(Run& run) override;
  void on_epoch_end(Run& run) override;

 private:
  std::string path_;
  bool begun_ = false;
};

/// Callbacks that are functions.
class Calls : public Callback {
 public:
  using Function = std::function<void(Run&)>;
  using GraphFunction = std::function<void(Run&, const Graph&)>;
  struct Functions {
    Function epoch_begin = nullptr, batch_end = nullptr, epoch_end = nullptr;
    GraphFunction graph = nullptr;
    std::int64_t graph_every = 1;  ///< as GraphStepsOptions::every
  };
  /// Throws UsageError if graph_every is less than 1.
  explicit Calls(Functions functions);

  void on_epoch_begin(Run& run) override;
  void on_batch_end(Run& run) override;
  bool wants_graph(const Run& run) override;
  void on_graph(Run& run, const Graph& graph) override;
  void on_epoch_end(Run& run) override;

 private:
  Functions functions_;
};

/// A function as a callback: optim::on_epoch_end([](optim::Run& run) { ... run["loss"] ... }).
Calls on_epoch_begin(Calls::Function function);
Calls on_batch_end(Calls::Function function);
Calls on_epoch_end(Calls::Function function);

struct GraphStepsOptions {
  std::int64_t every = 1;  ///< of the optimizer's steps: the first, and each whose number it divides
};

/// Whether the batch at work is the last of such a step.
bool is_one_of(const GraphStepsOptions& steps, const Run& run);

/// A function that looks at graphs, as Callback::on_graph says:
///   optim::on_graph({.every = 100}, [](optim::Run&, const Graph& graph) { graphviz::render(graph, "flow.svg"); })
/// Throws UsageError if every is less than 1.
Calls on_graph(const GraphStepsOptions& steps, Calls::GraphFunction function);

}  // namespace ebb::optim
