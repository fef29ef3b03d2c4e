// What a ladder says of several ops that were folded into one row.
#include "folded.h"
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

// Below the first line of a folded step back: the gradients inside, and curves over the blocks.
std::vector<std::string> LadderCards::inside_lines(const Fold& fold, std::string_view ink) const {
  std::vector<std::string> lines;
  if (!std::isnan(fold.least))
    lines.push_back(font(
        fmt::format("inside  {} … {}", style_.gradient_text(fold.least), style_.gradient_text(fold.most)), 10, ink));
  // On a plain ground: the curve has the colours of heat itself.
  for (const Fold::Series& series : fold.series)
    if (series.values.size() > 1)
      lines.push_back(
          table({"", c_.card, Frame::Corners::rounded, 3},
                row(cell(font(html(fit(series.name, most_name_of_curve, 9)), 9, c_.muted), "ALIGN=\"LEFT\"") +
                    cell(curve(series.values, style_), "ALIGN=\"LEFT\""))));
  return lines;
}

}  // namespace ebb::graphviz
