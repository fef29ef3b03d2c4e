#include "draw.h"

#include "fold.h"
#include "write.h"

#include <fmt/format.h>

#include <algorithm>

namespace ebb::graphviz {

void check(const DotOptions& options) {
  if (options.depth < 0) throw UsageError(fmt::format("graphviz: depth is {}; it must be at least 0", options.depth));
}

Drawing draw(const Trace& trace, DotOptions options, const std::string& format, std::chrono::milliseconds limit) {
  constexpr int fewest = 25;
  check(options);
  Trace folded = fold(trace, options);
  for (;;) {
    try {
      Paints paints = format == "svg" ? paint(folded, options) : Paints{write(folded, options), {}};
      std::string picture = run_dot(paints.dot, format, limit);
      return {std::move(folded), std::move(paints), std::move(picture)};
    } catch (const TooMuch& error) {
      const std::size_t drawn = folded.records.size();
      const std::size_t half = std::min(drawn, static_cast<std::size_t>(std::max(options.max_nodes, 0))) / 2;
      if (drawn <= fewest || options.max_nodes <= fewest) throw;
      options.max_nodes = std::max(fewest, static_cast<int>(half));
      folded = fold(trace, options);
      if (folded.records.size() >= drawn) throw;
      folded.folded.push_back(fmt::format("at most {} cards: {}", options.max_nodes, error.in_short));
    }
  }
}

}  // namespace ebb::graphviz
