// Folding: several nodes as one, until what is left can be seen.
#pragma once

#include "../graphviz.h"

namespace ebb::graphviz {

/// The trace with modules below options.depth as one record each, and folded further until it has at most
/// options.max_nodes records; `folded` says what was done.  The records of one fold never lie on both sides of another.
/// Throws UsageError if options.focus names no module.
Trace fold(const Trace& trace, const DotOptions& options);

}  // namespace ebb::graphviz
