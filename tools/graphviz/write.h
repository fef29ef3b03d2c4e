// The two writers: from a plan to DOT.
#pragma once

#include "../graphviz.h"
#include "plan.h"

#include <string>

namespace ebb::graphviz {

std::string write_ladder(const Trace& trace, const Ladder& plan, const DotOptions& options);
std::string write_cards(const Trace& trace, const DotOptions& options);

/// The picture of a trace, in the view that the options ask for or that fits.  Throws UsageError as dot() does.
std::string write(const Trace& trace, const DotOptions& options);

/// The picture of nodes.  Throws UsageError as dot() does.
std::string write(const std::vector<Node>& nodes, bool observed, const DotOptions& options);

}  // namespace ebb::graphviz
