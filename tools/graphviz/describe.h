// All that is known of a card, for whoever asks for it: longer than a card or a tooltip can say.
#pragma once

#include "trace.h"

#include <string>
#include <utility>
#include <vector>

namespace ebb::graphviz {

struct Description {
  std::string title;  ///< "affine", "encoder.weight"
  std::string path;   ///< of its module, with that one's kind: "encoder  Dense(10 -> 64)"
  std::vector<std::pair<std::string, std::string>> lines;  ///< name and value
};

/// The time that an op took differs from run to run, and is told only where it was asked for.
Description describe(const Trace& trace, const Record& record, bool with_times);

}  // namespace ebb::graphviz
