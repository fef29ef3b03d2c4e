// Steps of the backward pass in a DOT text: each statement, one line, says by a class stepN which step it shows.
#pragma once

#include "../graphviz.h"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace ebb::graphviz {

/// The N of a word stepN in the value of an attribute `class`.
std::optional<std::uint32_t> step_of(std::string_view classes);

/// Gives each node without a step that of the last line which brings it a gradient, as a leaf has its gradient once all of
/// its uses have sent theirs; and to the seed step 0.
std::string give_steps(const std::string& dot);

/// The numbers of the steps, in the order in which they ran.
std::vector<std::uint32_t> steps_in(const std::string& dot);

/// The same picture with all that comes after a step painted faintly.
std::string fade(const std::string& dot, std::uint32_t after, Theme theme);

}  // namespace ebb::graphviz
