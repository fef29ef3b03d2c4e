// The card of a record that stands for several: a module, equal steps in a row, a chain of small ops.
#pragma once

#include "pieces.h"

#include <string>
#include <string_view>

namespace ebb::graphviz {

/// The card as a table: title and detail, then the gradient at its output and that of its parameters; of repeated
/// blocks a curve over all of them instead.  Numbers have room of a fixed width.
std::string folded_card(const Trace& trace, const Record& folded, const Style& style);

/// All that is known of it, in words, for a tooltip.
std::string folded_words(const Record& folded, const Style& style);

/// The half of a card that tells of a gradient, as a row of one cell: `what` at the left, and `name` with the number at
/// the right.  Empty where no gradient was computed and there is nothing else to say.
std::string chip_row(std::string_view what, std::string_view name, const Gradient& gradient, const Style& style);

/// Rows for what the colours measure where that is no gradient: of the forward half, of the backward half, if any.
std::string measure_rows(const Record& r, const Style& style);

/// "23–25", "7"; empty if it took no step back.
std::string steps_text(const Record& r);

/// Sizes as a curve ▁▃▅█ in colours of heat, on a scale of powers: the first at the left, "·" for 0, "×" for what is not
/// finite.  Neighbours share a block if there are more than fit.
std::string curve(std::span<const double> sizes, const Style& style);
/// How wide a curve of so many sizes is, in points.
double curve_width(std::size_t sizes);

}  // namespace ebb::graphviz
