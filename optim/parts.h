// Parts: what a checkpoint is made of.
#pragma once

#include "optimizer.h"
#include "weights.h"

#include <functional>
#include <string>
#include <vector>

namespace ebb::optim {

/// Something that goes into checkpoints.
struct Part {
  std::string name;  ///< what its tensors' names begin with
  std::function<io::Tensors()> state;
  std::function<void(const io::Tensors&)> load_state;  ///< throws having changed nothing
};

Part weights_part(Weights& weights);
Part optimizer_part(Optimizer& optimizer);
/// This thread's default generator.
Part random_part();

/// Throws IoError.
void write_parts(const std::string& path, const std::vector<Part>& parts);
/// Gives every part its state.  Throws IoError, ParseError, or UsageError for a file that is no checkpoint or does not
/// have just these parts; none of them has changed then.
void read_parts(const std::string& path, const std::vector<Part>& parts);

}  // namespace ebb::optim
