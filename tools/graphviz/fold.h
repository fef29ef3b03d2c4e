// Folding: several nodes as one, until what is left can be seen.
#pragma once

#include "../graphviz.h"

namespace ebb::graphviz {

/// The trace with modules at level options.depth as one record each, open to options.radius around options.focus, and
/// folded further until no more than options.max_nodes nodes are drawn, counting the loss, and a leaf beside each record
/// that reads it; `folded` says what was done.
/// Parameters and variables that one folded record alone reads are in it; of what several read, twelve at most stay as
/// records, if there is room for them, else `folded` says how many there were.
/// A record that is folded reads what its ops read from outside, once each.  Its gradient is that of its output: the loss,
/// or the last of its ops that others read and that has one.  Its least and most are of gradients that are finite and not 0.
/// Its id is that of its last op: what it stands for are neighbours in the order of computing, so no circle comes of it.
/// Throws UsageError if options.focus names no module, or max_nodes or radius are too small.
Trace fold(const Trace& trace, const DotOptions& options);

}  // namespace ebb::graphviz
