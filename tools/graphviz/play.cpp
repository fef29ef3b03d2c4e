#include "play.h"

#include "theme.h"

#include <fmt/format.h>

#include <algorithm>

namespace ebb::graphviz {

std::string playing(std::size_t steps, Theme theme) {
  // In seconds: nothing is lit yet, then the steps, then all of it is.
  constexpr double before = 0.6, after = 2.6, pace = 0.55, longest = 20;
  if (steps == 0) return "";
  const double each = std::min(pace, (longest - before - after) / static_cast<double>(steps));
  const double all = before + each * static_cast<double>(steps) + after;
  const auto percent = [&](double seconds) { return fmt::format("{:.2f}%", 100 * seconds / all); };

  std::string rules = fmt::format(
      "svg{{color:{}}}"
      "@media (prefers-reduced-motion:no-preference){{"
      ".back{{animation:var(--at) {:.2f}s linear infinite both}}"
      ".line{{stroke-dasharray:9 4;animation:var(--at) {:.2f}s linear infinite both,flow .9s linear infinite}}"
      "@keyframes flow{{to{{stroke-dashoffset:13}}}}",
      palette(theme).hot, all, all);
  for (std::size_t i = 0; i < steps; ++i) {
    const double begin = before + each * static_cast<double>(i);
    rules += fmt::format(
        ".at{0}{{--at:at{0}}}@keyframes at{0}{{0%,{1}{{opacity:.12;filter:none}}"
        "{2}{{opacity:1;filter:drop-shadow(0 0 5px)}}{3}{{opacity:1;filter:none}}97%{{opacity:1}}100%{{opacity:.12}}}}",
        i, percent(begin), percent(begin + each / 3), percent(begin + each * 1.4));
  }
  rules += '}';
  if (theme == Theme::automatic)
    rules += fmt::format("@media (prefers-color-scheme:dark){{svg{{color:{}}}}}", palette(Theme::dark).hot);
  return rules;
}

}  // namespace ebb::graphviz
