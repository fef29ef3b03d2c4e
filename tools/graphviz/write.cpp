#include "write.h"

#include "strip.h"

#include "../../autograd/error.h"

#include <fmt/format.h>

namespace ebb::graphviz {

std::string write(const Trace& trace, const DotOptions& options) {
  if (options.view == View::strip || (options.view == View::automatic && looks_like_strip(trace, options)))
    return write_strip(trace, options);
  if (options.view != View::cards) {
    std::string why_not;
    if (const std::optional<Ladder> plan = plan_ladder(trace, options.depth, why_not))
      return write_ladder(trace, *plan, options);
    if (options.view == View::ladder)
      throw UsageError(
          fmt::format("graphviz: the graph is no ladder: {}\n  help: View::cards draws any graph", why_not));
  }
  return write_cards(trace, options);
}

}  // namespace ebb::graphviz
