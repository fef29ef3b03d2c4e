#include "style.h"

#include "pieces.h"
#include "text.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

namespace ebb::graphviz {

namespace {

/// In words: what the colours measure, and what lies at the ends of the scale.
struct Words {
  const char *measure, *low, *high;
};

Words words_of(const Style& style) {
  if (style.color == Color::value) return {"rms of the values", "smaller", "larger"};
  if (style.color == Color::time) return {"time", "faster", "slower"};
  if (style.color == Color::memory) return {"memory: values, and saved for backward", "smaller", "larger"};
  if (style.compared) return {"gradient, as a multiple of what it was", "smaller", "larger"};
  return {"gradient rms", "vanishing", "exploding"};
}

double share(const std::vector<double>& sorted, double q) {
  return sorted[static_cast<std::size_t>(std::lround(q * static_cast<double>(sorted.size() - 1)))];
}

// Sizes at the ends that a few ops reach alone would take the colours from all the others.
double span_of(const std::vector<double>& sorted, double center) {
  constexpr double least = 2, most = 4;
  if (sorted.empty()) return least;
  const double decades = std::max(std::log10(share(sorted, 0.95) / center), std::log10(center / share(sorted, 0.05)));
  return std::clamp(std::ceil(decades * 2) / 2, least, most);
}

// One digit: a step of the scale is a colour, not a measurement.
std::string step_text(const Style& style, double size) {
  if (style.color == Color::time) return duration(size);
  if (style.color == Color::memory) return bytes(std::llround(size));
  if (style.compared && style.color == Color::gradient)
    return fmt::format("×{:g}", std::stod(fmt::format("{:.0e}", size)));
  const std::string text = fmt::format("{:.0e}", size);
  const std::size_t e = text.find('e');
  return fmt::format("{}e{}", text.substr(0, e), std::stoi(text.substr(e + 1)));
}

}  // namespace

std::int64_t saved_bytes(const Record& op) {
  std::int64_t total = 0;
  for (const Saved& saved : op.saved) total += saved.bytes;
  return total;
}

std::optional<double> Style::forward(const Record& op) const {
  if (color == Color::value && op.has_value) return std::abs(op.value);
  if (color == Color::time && op.forward_seconds > 0) return op.forward_seconds;
  if (color == Color::memory && op.is_op()) return static_cast<double>(op.bytes());
  return {};
}

std::optional<double> Style::backward(const Record& op) const {
  if (color == Color::gradient) return of(op.gradient);
  if (color == Color::time && op.backward_seconds > 0) return op.backward_seconds;
  if (color == Color::memory && !op.saved.empty()) return static_cast<double>(saved_bytes(op));
  return {};
}

std::optional<double> Style::of(const Gradient& gradient) const {
  if (color != Color::gradient || gradient.state != Gradient::State::known) return {};
  return gradient.size;
}

std::string Style::text(double size) const {
  if (color == Color::time) return duration(size);
  if (color == Color::memory) return bytes(std::llround(size));
  return color == Color::gradient ? gradient_text(size) : number(size);
}

std::string Style::gradient_text(double size) const { return (compared ? "×" : "") + number(size); }

Style style_of(const Trace& trace, const DotOptions& options) {
  const Palette& colours = palette(options.theme);
  Style style{colours, Heat(colours, 0), options.color, trace.compared};
  std::vector<double> sizes;
  for (const Record& r : trace.records) {
    if (!r.is_op()) continue;
    for (const std::optional<double>& size : {style.forward(r), style.backward(r)})
      if (size && std::isfinite(*size) && *size != 0) sizes.push_back(std::abs(*size));
  }
  std::sort(sizes.begin(), sizes.end());
  const bool ratios = trace.compared && options.color == Color::gradient;
  const double center = options.heat_center > 0 ? options.heat_center
                        : sizes.empty()         ? 0
                        : ratios                ? 1
                                                : sizes[sizes.size() / 2];
  style.heat = Heat(colours, center, options.heat_span > 0 ? options.heat_span : span_of(sizes, center));
  return style;
}

std::string scale_markup(const Style& style) {
  if (!style.heat.known()) return "";
  const auto [measure, low, high] = words_of(style);
  const std::string& muted = style.colours.muted;
  const std::string before = fmt::format("{}   {}", measure, low);
  constexpr double step_width = 46, step_height = 17, gap = 8;
  const double words_wide = width(before, 10) + gap, high_wide = width(high, 10) + gap;
  std::string scale = cell(font(before, 10, muted), fmt::format("WIDTH=\"{:.0f}\" ALIGN=\"LEFT\"", words_wide));
  double wide = words_wide + high_wide + 2 * gap;
  for (const Heat::Step& step : style.heat.legend()) {
    const std::string size = fmt::format("WIDTH=\"{}\" HEIGHT=\"{}\"", step_width, step_height);
    scale += cell(font(step_text(style, step.size), 8, step.ink), fmt::format("BGCOLOR=\"{}\" {}", step.colour, size));
    wide += step_width + 4;
  }
  scale += cell(font(high, 10, muted), fmt::format("WIDTH=\"{:.0f}\" ALIGN=\"RIGHT\"", high_wide));
  // Of a fixed size, or it would grow as wide as the words above it.
  return row(
      cell(fmt::format("<TABLE BORDER=\"0\" CELLBORDER=\"0\" CELLSPACING=\"4\" CELLPADDING=\"0\" FIXEDSIZE=\"TRUE\" "
                       "WIDTH=\"{:.0f}\" HEIGHT=\"27\">{}</TABLE>",
                       wide, row(scale)),
           ""));
}

}  // namespace ebb::graphviz
