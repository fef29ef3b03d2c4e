// Checkpoints: all it takes to go on training as if it had never stopped, in one safetensors file.
//
// Trainer::fit writes its own (FitOptions::checkpoint); these two are for loops of one's own:
//   optim::save_checkpoint("run.ckpt", model, adam, {.schedule = &schedule, .notes = {{"epoch", tensor(epoch, i64)}}});
//   io::Tensors notes = optim::load_checkpoint("run.ckpt", model, adam, {.schedule = &schedule});
// A file's tensors are named by what they belong to: "model.0.weight", "optimizer.Adam.exp_avg.0.weight", "schedule...",
// "random", "notes...".
#pragma once

#include "../nn/io/safetensors.h"
#include "../nn/module.h"
#include "optimizer.h"
#include "schedule.h"

#include <string>
#include <type_traits>

namespace ebb::optim {

/// What belongs to a checkpoint besides model and optimizer.
struct CheckpointOptions {
  Schedule* schedule = nullptr;
  io::Tensors notes = {};  ///< whatever else the loop wants to find again
};

/// Writes parameters, buffers, optimizer, schedule, notes, and where this thread's default generator is.
/// The file is replaced in one step: whatever happens, it is whole.  Throws IoError.
void save_checkpoint(const std::string& path, const nn::Contents& model, const Optimizer& optimizer,
                     const CheckpointOptions& options = {});
template <nn::HasFields Model> void save_checkpoint(const std::string& path, const Model& model,
                                                    const Optimizer& optimizer, const CheckpointOptions& options = {}) {
  save_checkpoint(path, nn::contents(model), optimizer, options);
}

/// Gives all of it back, and returns the notes.
/// Throws IoError, ParseError, or UsageError for a file that is no checkpoint or one of another model, optimizer or
/// schedule; nothing has changed then.
io::Tensors load_checkpoint(const std::string& path, const nn::Contents& model, Optimizer& optimizer,
                            const CheckpointOptions& options = {});
template <nn::HasFields Model> io::Tensors load_checkpoint(const std::string& path, Model& model, Optimizer& optimizer,
                                                           const CheckpointOptions& options = {}) {
  static_assert(!std::is_const_v<Model>, "load_checkpoint changes its model, so it must not be const");
  return load_checkpoint(path, nn::contents(model), optimizer, options);
}

}  // namespace ebb::optim
