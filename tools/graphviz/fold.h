// Folding: several nodes as one, until what is left can be seen.
#pragma once

#include "../graphviz.h"

namespace ebb::graphviz {

/// The trace with modules at level options.depth as one record each, open to options.radius around options.focus, and
/// folded further until no more than options.max_nodes nodes are drawn, counting the loss, and a leaf beside each op that
/// reads it; `folded` says what was done.  No leaf needs to be drawn beside a folded record: parameters and variables that
/// only folded records read are in them, or, if several of them do and such leaves are few,
/// records of their own for a panel.
/// A record that is folded reads what its ops read from outside, once each.  Its gradient is that of its output: the loss,
/// or the last of its ops that others read and that has one.  Its least and most are of gradients that are finite and not 0.
/// Its id is that of its last op: what it stands for are neighbours in the order of computing, so no circle comes of it.
/// Throws UsageError if options.focus names no module, or max_nodes or radius are too small.
Trace fold(const Trace& trace, const DotOptions& options);

}  // namespace ebb::graphviz
