// Watch: how gradients change while a model trains, as traces, a film and a report.
//   trainer.fit(train, {.epochs = 50, .callbacks = {graphviz::Watch("watched", {.every = 100})}});
// writes watched/step-000001.json, watched/step-000100.json, ... and watched/training.svg.
#pragma once

#include "../optim/callbacks.h"
#include "graphviz.h"

#include <cstdint>
#include <string>

namespace ebb::graphviz {

struct WatchOptions {
  std::int64_t every = 100;  ///< of the optimizer's steps: the first, and each whose number it divides
  /// How many traces are kept, at least 2.  As soon as there are more, `every` is doubled and what it no longer divides is
  /// removed: they lie evenly over the training, however long it is.
  std::int64_t most = 60;
  bool film = true;    ///< writes training.svg when training ends
  bool report = true;  ///< prints the report then, where fit() prints progress
  DotOptions picture = {.title = "Gradients while it trains", .depth = 1};  ///< how a step of the film is drawn
};

/// Saves a trace of every so many steps of a training, taken between backward and the step; in the end makes a film of
/// them, and reports what is wrong with the gradients, and since when.  The same training writes the same bytes, also if
/// it was killed and resumed; and watching changes no number of it.
/// The folder is made if it is not there; files of earlier trainings named as these are removed.  Throws IoError before
/// the first epoch if nothing can be written there, or a film is wanted and Graphviz's dot does not run.
class Watch : public optim::Callback {
 public:
  /// Throws UsageError for numbers that make no sense.
  explicit Watch(std::string folder, const WatchOptions& options = {});

  /// What graphviz::report said when training ended; empty before.
  const std::string& report() const { return report_; }

  void on_fit_begin(optim::Run& run) override;
  bool wants_graph(const optim::Run& run) override;
  void on_graph(optim::Run& run, const Graph& graph) override;
  void on_fit_end(optim::Run& run) override;
  /// The same: what spoilt a training is worth seeing.
  void on_fit_failed(optim::Run& run) override { on_fit_end(run); }

 private:
  std::string folder_;
  WatchOptions options_;
  std::string report_;
};

}  // namespace ebb::graphviz
