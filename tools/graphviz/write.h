// The two writers: from a plan to DOT.
#pragma once

#include "../graphviz.h"
#include "plan.h"

#include <string>

namespace ebb::graphviz {

std::string write_ladder(const Trace& trace, const Ladder& plan, const DotOptions& options);
/// From left to right if the options ask for the view of scalars, or leave it open and every op is one.
std::string write_cards(const Trace& trace, const DotOptions& options);

/// The view that the options ask for, or that fits, as DOT.
std::string write(const Trace& trace, const DotOptions& options);

}  // namespace ebb::graphviz
