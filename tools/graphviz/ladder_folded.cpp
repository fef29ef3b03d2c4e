// What a ladder says of several ops that were folded into one row.
#include "ladder_cards.h"

#include <fmt/format.h>

#include <algorithm>

namespace ebb::graphviz {

// All parameters that only the folded ops use, as one.
std::string LadderCards::folded_parameters(const Fold& fold) const {
  std::string names;
  for (const std::string_view name : fold.parameter_names) names += (names.empty() ? "" : ", ") + std::string(name);
  std::string rows = row(cell(font(count(fold.parameters, "parameter"), 12, {}, true), left(widths_.name)) +
                         amount(fold.parameter_gradient, "∇ "));
  if (!names.empty())
    rows += row(cell(font(html(fit(names, widths_.name + cell_padding + widths_.heat, 9)), 9, c_.muted), both_columns));
  return rows;
}

// Below the first line of a folded step back, line by line: the gradients inside, and those of each block.
std::vector<std::string> LadderCards::folded_words(const Record& op, std::string_view ink) const {
  const Fold& fold = *op.fold;
  std::vector<std::string> lines;
  if (!std::isnan(fold.least))
    lines.push_back(font(
        fmt::format("inside  {} … {}", style_.gradient_text(fold.least), style_.gradient_text(fold.most)), 10, ink));
  for (const Fold::Series& series : fold.series) {
    if (series.values.empty()) continue;
    const double bars = static_cast<double>(std::min<std::size_t>(series.values.size(), 24)) * 9 * 0.602;
    const std::string name = fit(series.name, std::max(20.0, step_room() - bars - words_gap), 9);
    lines.push_back(font(html(name), 9, ink) + "  " + log_sparkline(series.values, 9, ink));
  }
  return lines;
}

}  // namespace ebb::graphviz
