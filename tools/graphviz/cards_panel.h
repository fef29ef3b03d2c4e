// The panel below the cards: the gradient of each shared parameter as the sum of what its uses send.
#pragma once

#include "cards_plan.h"
#include "pieces.h"

#include <string>

namespace ebb::graphviz {

/// A table with a row for each leaf that is drawn at its uses; empty if there is none that learns.
/// Of more than eight uses it shows the first and last three, and a curve of all.
std::string shared_panel(const Trace& trace, const Cards& plan, const Style& style);

}  // namespace ebb::graphviz
