#include "folded.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>

namespace ebb::graphviz {

namespace {

constexpr double least_width = 92, widest_head = 170;  // of a card's first line
constexpr std::size_t most_blocks = 48;                // of a curve
constexpr std::string_view gap = "  ";

std::string muted(std::string_view text, double room, const Style& style) {
  return font(html(fit(text, room, 10)), 10, style.colours.muted);
}

// Bold title and muted detail, in two lines if one is not enough.
std::string head_rows(std::string_view title, const std::string& detail, const Style& style, int columns) {
  const std::string attributes = fmt::format("WIDTH=\"{:.0f}\" ALIGN=\"LEFT\"{}", least_width,
                                             columns > 1 ? fmt::format(" COLSPAN=\"{}\"", columns) : "");
  const double room = columns > 1 ? 2 * widest_head : widest_head;
  const std::string bold = font(html(fit(title, room, 13, true)), 13, {}, true);
  if (detail.empty()) return row(cell(bold, attributes));
  if (bold.empty()) return row(cell(muted(detail, room, style), attributes));
  if (width(title, 13, true) + width(gap, 12) + width(detail, 10) <= room)
    return row(cell(bold + std::string(gap) + muted(detail, room, style), attributes));
  return row(cell(bold, attributes)) + row(cell(muted(detail, room, style), attributes));
}

// "∇ weight" of one parameter, of several "∇θ".
std::string parameters_name(const Fold& fold) {
  if (fold.parameter_names.size() != 1) return "∇θ";
  const std::string_view path = fold.parameter_names[0];
  return "∇ " + fit(path.substr(path.rfind('.') + 1), 44, 9);
}

// What one gradient or value of a series is called: "g h".
std::string series_name(const Fold::Series& series) { return fit(series.name, 44, 10); }

std::string range_text(double least, double most, const Style& style) {
  if (std::isnan(least)) return "–";
  const std::string low = style.gradient_text(least);
  return least == most ? low : low + " … " + style.gradient_text(most);
}

// A coloured half of a card: two cells of fixed widths.
std::string chip(std::string_view what, const std::string& right, const Frame& frame, std::string_view ink) {
  const std::string cells = cell(font(html(what), 9, ink), "WIDTH=\"30\" ALIGN=\"LEFT\"") +
                            cell(font(right, 11, ink), "WIDTH=\"66\" ALIGN=\"RIGHT\"");
  return row(cell(table(frame, row(cells)), ""));
}

// The smallest and largest of what is neither zero nor infinite; NaN if there is none.
std::pair<double, double> range_of(std::span<const double> sizes) {
  double least = no_number, most = no_number;
  for (const double v : sizes) {
    const double size = std::abs(v);
    if (!std::isfinite(size) || size == 0) continue;
    least = std::isnan(least) ? size : std::min(least, size);
    most = std::isnan(most) ? size : std::max(most, size);
  }
  return {least, most};
}

// The middle in powers of what is neither zero nor infinite; else NaN if anything is not finite, else 0.
double middle_of(std::span<const double> sizes) {
  double logs = 0;
  std::size_t n = 0;
  for (const double size : sizes) {
    if (!std::isfinite(size)) return no_number;
    if (size != 0) logs += std::log(std::abs(size)), ++n;
  }
  return n == 0 ? 0 : std::exp(logs / static_cast<double>(n));
}

std::string curve_rows(const Fold& fold, const Style& style) {
  std::string rows;
  for (const Fold::Series& series : fold.series) {
    const auto [least, most] = range_of(series.values);
    rows += row(cell(font(html(series_name(series)), 10, style.colours.muted), "ALIGN=\"LEFT\"") +
                cell(curve(series.values, style), "ALIGN=\"LEFT\"") +
                cell(font(range_text(least, most, style), 10), "WIDTH=\"98\" ALIGN=\"RIGHT\""));
  }
  return rows;
}

int block_size(std::size_t blocks) { return blocks <= 24 ? 11 : 9; }

}  // namespace

double curve_width(std::size_t sizes) {
  constexpr double advance = 0.602;  // of DejaVu Sans Mono
  const std::size_t shown = std::min(sizes, most_blocks);
  return static_cast<double>(shown) * block_size(shown) * advance;
}

std::string steps_text(const Record& r) {
  if (r.fold == nullptr) return r.order == 0 ? "" : std::to_string(r.order);
  const std::uint32_t first = r.fold->first_step, last = r.fold->last_step;
  if (last == 0) return "";
  return first == last ? std::to_string(first) : fmt::format("{}–{}", first, last);
}

std::string chip_row(std::string_view what, std::string_view name, const Gradient& gradient, const Style& style) {
  const Palette& c = style.colours;
  if (gradient.state == Gradient::State::unneeded)
    return chip(what, "no gradient", {"", "", Frame::Corners::square, 3}, c.muted);
  const std::string before = name.empty() ? "" : html(name) + " ";
  if (gradient.state == Gradient::State::unknown)
    return what.empty() ? "" : chip(what, before + "–", {c.card_line, "", Frame::Corners::dashed, 2}, c.muted);
  const std::optional<double> size = style.of(gradient);
  const std::string fill = style.fill(size);
  return chip(what, before + "<B>" + style.gradient_text(gradient.size) + "</B>",
              {size && gradient.size != 0 ? fill : c.card_line, fill, Frame::Corners::rounded, 2}, style.ink(size));
}

std::string measure_rows(const Record& r, const Style& style) {
  if (style.color == Color::gradient) return "";
  const auto half = [&](const char* what, const std::optional<double>& size) {
    if (!size) return std::string();
    const std::string fill = style.fill(size);
    return chip(what, "<B>" + style.text(*size) + "</B>", {fill, fill, Frame::Corners::rounded, 2}, style.ink(size));
  };
  const bool values = style.color == Color::value;
  return half(values ? "rms" : "forward", style.forward(r)) +
         half(style.color == Color::memory ? "saved" : "backward", style.backward(r));
}

std::string curve(std::span<const double> sizes, const Style& style) {
  constexpr std::array blocks{"▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"};
  const auto [least, most] = range_of(sizes);
  const double lowest = std::log10(least),
               decades = std::log10(most) - lowest;  // of most / least there may be no double
  const std::size_t shown = std::min(sizes.size(), most_blocks);
  const int points = block_size(shown);
  std::string out;
  for (std::size_t i = 0; i < shown; ++i) {
    const std::size_t begin = i * sizes.size() / shown, end = (i + 1) * sizes.size() / shown;
    const double size = middle_of(sizes.subspan(begin, end - begin));
    const char* sign = "·";
    if (!std::isfinite(size)) {
      sign = "×";
    } else if (size != 0) {
      const double height = decades > 0 ? (std::log10(size) - lowest) / decades : 0.5;
      sign = blocks[static_cast<std::size_t>(std::lround(7 * std::clamp(height, 0.0, 1.0)))];
    }
    // Blocks of one colour too are pieces of their own: the picture of another step has as many.
    out += fmt::format("<FONT FACE=\"DejaVu Sans Mono\" POINT-SIZE=\"{}\" COLOR=\"{}\">{}</FONT>", points,
                       style.heat.line(size), sign);
  }
  return out;
}

std::string folded_card(const Trace& trace, const Record& folded, const Style& style) {
  const Fold& fold = *folded.fold;
  const Palette& c = style.colours;
  const bool repeats = fold.times > 1, curves = repeats && !fold.series.empty();
  const std::string title = with_arrow(std::string(fold.title));
  std::string detail = fold.detail == fold.title ? "" : with_arrow(std::string(fold.detail));
  if (detail.empty() && fold.kind == Fold::Kind::module && !repeats) detail = shape_text(folded.shape);
  const auto also = [&](const std::string& words) { detail += (detail.empty() ? "" : ", ") + words; };
  if (repeats || fold.kind == Fold::Kind::stretch) also(count(fold.ops, "op"));
  // Several gradients leave no room for the steps on the chips.
  if (!repeats && !fold.series.empty() && fold.last_step != 0) also(steps_text(folded));
  if (folded.change == Change::added) also("+ added");
  if (folded.change == Change::removed) also("− removed");
  std::string rows = head_rows(title, detail, style, curves ? 3 : 1) + measure_rows(folded, style);
  if (curves) {
    rows += curve_rows(fold, style);
  } else if (!fold.series.empty()) {
    for (const Fold::Series& series : fold.series)
      if (!series.values.empty())
        rows += chip_row(series_name(series), "", {Gradient::State::known, series.values.back()}, style);
  } else if (trace.differentiated) {
    rows += chip_row(steps_text(folded), "g", folded.gradient, style);
    if (fold.kind == Fold::Kind::stretch && !std::isnan(fold.least))
      rows += row(
          cell(font("inside " + range_text(fold.least, fold.most, style), 9, c.muted), "WIDTH=\"110\" ALIGN=\"LEFT\""));
  }
  if (fold.parameters > 0 && !curves && fold.parameter_gradient.state == Gradient::State::known)
    rows += chip_row(parameters_name(fold), "", fold.parameter_gradient, style);
  if (!trace.differentiated)
    rows += row(cell(font(count(fold.ops, "op") +
                              (fold.parameters > 0 ? " · " + count(fold.parameters, "parameter") : std::string()),
                          10, c.muted),
                     "ALIGN=\"LEFT\""));
  const bool dashed = repeats || folded.change == Change::removed;
  return table({c.card_line, repeats ? c.band : c.card, dashed ? Frame::Corners::dashed : Frame::Corners::rounded},
               rows);
}

std::string folded_words(const Record& folded, const Style& style) {
  const Fold& fold = *folded.fold;
  std::string text = shorten(fold.title, 120);
  if (!fold.detail.empty() && fold.detail != fold.title) text += (text.empty() ? "" : ", ") + shorten(fold.detail, 120);
  text += ": " + count(fold.ops, "op") + fmt::format(" -> {} {}", shape_text(folded.shape), folded.dtype);
  if (folded.has_value) text += ", " + value_text(folded);
  if (fold.last_step != 0) {
    text += fmt::format("; backward {} {}", fold.first_step == fold.last_step ? "step" : "steps", steps_text(folded));
    text += ", " + gradient_words(folded.gradient, folded.scalar, style.compared);
  }
  if (!std::isnan(fold.least)) text += ", inside " + range_text(fold.least, fold.most, style);
  if (fold.parameters > 0) {
    text += "; " + count(fold.parameters, "parameter");
    if (fold.parameter_gradient.state == Gradient::State::known) {
      text += ", " + gradient_words(fold.parameter_gradient, false, style.compared);
      if (fold.parameter_rms > 0 && !style.compared)
        text += fmt::format(", ‖∇‖/‖w‖ {}", number(fold.parameter_gradient.size / fold.parameter_rms));
    }
  }
  for (const Saved& saved : folded.saved) text += "; saved " + bytes(saved.bytes);
  return text;
}

}  // namespace ebb::graphviz
