// The backward pass as a film: CSS alone, so that it plays wherever an image is shown.
#pragma once

#include "../graphviz.h"

#include <cstddef>
#include <string>

namespace ebb::graphviz {

/// Rules for what has the classes `back` and `atN`: faint until its step of `steps` begins, emphasised while it runs, then
/// lit; lines flow.  The film repeats itself, and is at rest, all lit, for a reader who wants no motion.
std::string playing(std::size_t steps, Theme theme);

}  // namespace ebb::graphviz
