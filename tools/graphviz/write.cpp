#include "write.h"

#include "strip.h"

#include "../../autograd/error.h"

#include <fmt/format.h>

#include <algorithm>

namespace ebb::graphviz {

namespace {

constexpr std::size_t tallest = 60;  // rows; of a taller ladder nobody sees both ends

bool computes_with_scalars(const Trace& trace) {
  return std::any_of(trace.records.begin(), trace.records.end(), [](const Record& r) { return r.is_op() && r.scalar; });
}

bool has_recorded(const Trace& trace) {
  return std::any_of(trace.records.begin(), trace.records.end(), [](const Record& r) { return r.backward_of != 0; });
}

}  // namespace

std::string write(const Trace& trace, const DotOptions& options) {
  if (options.view == View::strip || (options.view == View::automatic && looks_like_strip(trace, options)))
    return write_strip(trace, options);
  const bool fits = options.view == View::ladder || !computes_with_scalars(trace) || has_recorded(trace);
  if (fits && (options.view == View::automatic || options.view == View::ladder)) {
    std::string why_not;
    const std::optional<Ladder> plan = plan_ladder(trace, options.depth, why_not);
    if (plan && (plan->rows.size() <= tallest || options.view == View::ladder))
      return write_ladder(trace, *plan, options);
    if (options.view == View::ladder)
      throw UsageError(
          fmt::format("graphviz: the graph is no ladder: {}\n  help: View::cards draws any graph", why_not));
  }
  return write_cards(trace, options);
}

}  // namespace ebb::graphviz
