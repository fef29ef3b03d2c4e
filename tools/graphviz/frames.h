// What the pictures of a series have in common.
#pragma once

#include "../graphviz.h"

#include <vector>

namespace ebb::graphviz {

/// The options for all parts: one scale, from the middle of what any of them measures, as long as they need; a strip,
/// unless another view is asked for.
/// Throws UsageError for no parts.
DotOptions on_one_scale(const std::vector<Part>& parts, DotOptions options);

/// The same with what the part says of itself.
DotOptions titled(const Part& part, DotOptions options);

}  // namespace ebb::graphviz
