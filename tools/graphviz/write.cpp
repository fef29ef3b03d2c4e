#include "write.h"

#include "cards_plan.h"
#include "fold.h"
#include "pieces.h"
#include "strip.h"

#include "../../autograd/error.h"

#include <fmt/format.h>

#include <algorithm>

namespace ebb::graphviz {

namespace {

constexpr std::size_t tallest = 60;    // rows; of a taller ladder nobody sees both ends
constexpr std::ptrdiff_t widest = 16;  // steps in time side by side

bool computes_with_scalars(const Trace& trace) {
  return std::any_of(trace.records.begin(), trace.records.end(), [](const Record& r) { return r.is_op() && r.scalar; });
}

bool has_recorded(const Trace& trace) {
  return std::any_of(trace.records.begin(), trace.records.end(), [](const Record& r) { return r.backward_of != 0; });
}

std::string as_ladder(const Trace& trace, const DotOptions& options) {
  std::string why_not;
  const std::optional<Ladder> plan = plan_ladder(trace, options.depth, why_not);
  if (plan) return write_ladder(trace, *plan, options);
  throw UsageError(fmt::format("graphviz: the graph is no ladder: {}\n  help: View::cards draws any graph", why_not));
}

// Empty if it is no ladder, or too tall a one even if it is folded further.
std::string as_ladder_if_it_fits(const Trace& trace, const DotOptions& options) {
  std::string why_not;
  std::optional<Ladder> plan = plan_ladder(trace, options.depth, why_not);
  if (plan && plan->rows.size() <= tallest) return write_ladder(trace, *plan, options);
  if (!plan || !options.focus.empty()) return "";
  DotOptions shorter = options;
  shorter.max_nodes = std::min<int>(options.max_nodes, 2 * tallest);  // with their leaves
  const Trace folded = fold(trace, shorter);
  plan = plan_ladder(folded, options.depth, why_not);
  return plan && plan->rows.size() <= tallest ? write_ladder(folded, *plan, options) : "";
}

void check_scalars(const Trace& trace) {
  for (const Record& r : trace.records)
    if (r.is_op() && !r.scalar)
      throw UsageError(
          fmt::format("graphviz: the graph is not of scalars: node {} ({}) computes a tensor\n"
                      "  help: View::cards draws any graph",
                      r.id, title_of(r)));
}

// Folded further if its steps make too wide a page.
std::string as_cards_that_fit(const Trace& trace, const DotOptions& options) {
  const std::vector<Cards::Column> columns = plan_cards(trace, options.depth, !computes_with_scalars(trace)).columns;
  const auto steps = std::count_if(columns.begin(), columns.end(), [](const Cards::Column& c) { return c.step != 0; });
  if (steps <= widest || !options.focus.empty()) return write_cards(trace, options);
  DotOptions narrower = options;
  narrower.max_nodes = std::min(options.max_nodes, static_cast<int>(trace.records.size() / 2));
  return write_cards(fold(trace, narrower), options);
}

}  // namespace

std::string write(const Trace& trace, const DotOptions& options) {
  if (options.view == View::strip || (options.view == View::automatic && looks_like_strip(trace, options)))
    return write_strip(trace, options);
  if (options.view == View::ladder) return as_ladder(trace, options);
  if (options.view == View::automatic && (!computes_with_scalars(trace) || has_recorded(trace)))
    if (std::string ladder = as_ladder_if_it_fits(trace, options); !ladder.empty()) return ladder;
  if (options.view == View::scalar) check_scalars(trace);
  return options.view == View::automatic ? as_cards_that_fit(trace, options) : write_cards(trace, options);
}

}  // namespace ebb::graphviz
