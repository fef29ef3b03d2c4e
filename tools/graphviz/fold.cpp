#include "fold.h"

namespace ebb::graphviz {

Trace fold(const Trace& trace, const DotOptions&) { return trace; }

}  // namespace ebb::graphviz
