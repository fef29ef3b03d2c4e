// The strip: one card for each module, in a row from left to right.
#pragma once

#include "../graphviz.h"

#include <string>
#include <vector>

namespace ebb::graphviz {

/// Whether a folded trace is drawn as a strip where the options leave it open: it is shown at depth 1, or it is a chain
/// of which little is left unfolded.
bool looks_like_strip(const Trace& folded, const DotOptions& options);

std::string write_strip(const Trace& folded, const DotOptions& options);
/// One strip above the other, with a band behind each.
std::string write_strip(const std::vector<Part>& folded, const DotOptions& options);

}  // namespace ebb::graphviz
