#include "page.h"

#include "fold.h"
#include "strip.h"
#include "write.h"

#include "../../autograd/error.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

namespace ebb::graphviz {

namespace {

// A strip shows modules whole.
DotOptions as_strip(DotOptions options) {
  options.view = View::strip;
  if (options.depth == DotOptions{}.depth) options.depth = 1;
  return options;
}

}  // namespace

Page::Page(const Trace& trace, const DotOptions& options)
    : options_(options.view == View::strip ? as_strip(options) : options), whole_{&trace}, folded_(1) {
  check();
  fold();
}

Page::Page(const std::vector<Part>& parts, const DotOptions& options) : options_(as_strip(options)), strips_(true) {
  check();
  if (parts.empty()) throw UsageError("graphviz: there is nothing to draw: no parts");
  if (options.view != View::automatic && options.view != View::strip)
    throw UsageError("graphviz: several graphs in one picture are drawn as strips; View::strip or View::automatic");
  for (const Part& part : parts) {
    whole_.push_back(&part.trace);
    folded_.push_back({part.title, part.detail, {}});
  }
  fold();
}

void Page::check() const {
  const auto refuse = [](const char* what, auto given, const char* must) {
    throw UsageError(fmt::format("graphviz: {} is {}; it must be {}", what, given, must));
  };
  constexpr const char* scale = "a finite number above 0, or 0 for one that fits";
  if (options_.depth < 0) refuse("depth", options_.depth, "at least 0");
  if (!(options_.heat_center >= 0) || std::isinf(options_.heat_center))
    refuse("heat_center", options_.heat_center, scale);
  if (!(options_.heat_span >= 0) || std::isinf(options_.heat_span)) refuse("heat_span", options_.heat_span, scale);
}

void Page::fold() {
  for (std::size_t i = 0; i < whole_.size(); ++i) folded_[i].trace = graphviz::fold(*whole_[i], options_);
}

std::size_t Page::cards() const {
  std::size_t most = 0;
  for (const Part& part : folded_) most = std::max(most, part.trace.records.size());
  return most;
}

std::string Page::dot(Theme theme) const {
  DotOptions options = options_;
  options.theme = theme;
  return strips_ ? write_strip(folded_, options) : write(folded_.front().trace, options);
}

bool Page::fold_further(const std::string& why) {
  constexpr int fewest = 25;
  const std::size_t before = cards();
  if (before <= fewest || options_.max_nodes <= fewest) return false;
  options_.max_nodes = std::max(fewest, std::min(options_.max_nodes, static_cast<int>(before)) / 2);
  fold();
  for (Part& part : folded_) part.trace.folded.push_back(fmt::format("at most {} cards: {}", options_.max_nodes, why));
  return cards() < before;
}

}  // namespace ebb::graphviz
