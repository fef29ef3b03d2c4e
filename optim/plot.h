// A history as a picture.
#pragma once

#include "history.h"

#include <string>

namespace ebb::optim {

/// One self-contained SVG: below each other a panel for the loss and one for each metric.
std::string plot(const History& history);

}  // namespace ebb::optim
