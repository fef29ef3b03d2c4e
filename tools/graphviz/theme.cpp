#include "theme.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>

namespace ebb::graphviz {

namespace {

constexpr Palette light{.page = "#ffffff",
                        .band = "#f5f7fa",
                        .band_line = "#d5dbe3",
                        .card = "#ffffff",
                        .card_line = "#b4bdc9",
                        .text = "#1c2733",
                        .muted = "#66717f",
                        .forward = "#4a5a70",
                        .parameter = "#fffdf5",
                        .parameter_line = "#b59a3c",
                        .saved = "#8a94a3",
                        .backward = "#b84d07",
                        .cold = "#2166ac",
                        .mid = "#f0f0ee",
                        .hot = "#d95f0e",
                        .deep = "#8c2d04",
                        .edge_mid = "#969eaa",
                        .zero = "#fdfdfd",
                        .zero_line = "#8b95a4",
                        .broken = "#c2188b"};

constexpr Palette dark{.page = "#0d1117",
                       .band = "#151b23",
                       .band_line = "#303a46",
                       .card = "#1b232d",
                       .card_line = "#3d4957",
                       .text = "#e6edf3",
                       .muted = "#9aa7b5",
                       .forward = "#a9bdd6",
                       .parameter = "#26231a",
                       .parameter_line = "#c9ab4b",
                       .saved = "#6f7c8b",
                       .backward = "#f58231",
                       .cold = "#4292dc",
                       .mid = "#3a424c",
                       .hot = "#f0781e",
                       .deep = "#ffbe5a",
                       .edge_mid = "#78828e",
                       .zero = "#1c242e",
                       .zero_line = "#6e7b8a",
                       .broken = "#ef5db3"};

// What is painted in one colour whatever the gradients are.
constexpr std::array roles{&Palette::page,      &Palette::band,  &Palette::band_line,      &Palette::card,
                           &Palette::card_line, &Palette::text,  &Palette::muted,          &Palette::forward,
                           &Palette::parameter, &Palette::saved, &Palette::parameter_line, &Palette::backward};

using Rgb = std::array<int, 3>;

Rgb parse(const std::string& colour) {
  const int all = std::stoi(colour.substr(1), nullptr, 16);
  return {all >> 16, all >> 8 & 255, all & 255};
}

std::string mix(const std::string& from, const std::string& to, double share) {
  const Rgb a = parse(from), b = parse(to);
  Rgb c{};
  for (std::size_t i = 0; i < 3; ++i) c[i] = static_cast<int>(std::lround(a[i] + (b[i] - a[i]) * share));
  return fmt::format("#{:02x}{:02x}{:02x}", c[0], c[1], c[2]);
}

// Relative luminance as WCAG 2 defines it.
double luminance(const std::string& colour) {
  const Rgb c = parse(colour);
  const auto linear = [](int v) {
    const double s = v / 255.0;
    return s <= 0.04045 ? s / 12.92 : std::pow((s + 0.055) / 1.055, 2.4);
  };
  return 0.2126 * linear(c[0]) + 0.7152 * linear(c[1]) + 0.0722 * linear(c[2]);
}

// Black or white, whichever is easier to read on the colour.
const char* ink_on(const std::string& colour) {
  const double l = luminance(colour);
  return (l + 0.05) / 0.05 >= 1.05 / (l + 0.05) ? "#000000" : "#ffffff";
}

}  // namespace

const Palette& palette(Theme theme) { return theme == Theme::dark ? dark : light; }

bool paints_gradient(const std::string& in_light, const std::string& in_dark) {
  return std::none_of(roles.begin(), roles.end(),
                      [&](const auto role) { return in_light == light.*role && in_dark == dark.*role; });
}

bool paints_gradient(const std::string& colour) {
  return std::none_of(roles.begin(), roles.end(),
                      [&](const auto role) { return colour == light.*role || colour == dark.*role; });
}

std::string faint(const std::string& colour, Theme theme) { return mix(colour, palette(theme).card, 0.88); }

double Heat::decades(double size) const { return known() ? std::log10(std::abs(size) / center_) / span_ : 0; }

std::string Heat::ramp(double d, const char* mid) const {
  d = std::clamp(d, -1.0, 1.0);
  if (d < 0) return mix(mid, colours_->cold, -d);
  return d < 0.7 ? mix(mid, colours_->hot, d / 0.7) : mix(colours_->hot, colours_->deep, (d - 0.7) / 0.3);
}

std::string Heat::fill(double size) const {
  if (!std::isfinite(size)) return colours_->broken;
  return size == 0 ? colours_->zero : ramp(decades(size), colours_->mid);
}

std::string Heat::ink(double size) const { return size == 0 ? colours_->text : ink_on(fill(size)); }

std::string Heat::line(double size) const {
  if (!std::isfinite(size)) return colours_->broken;
  return size == 0 ? colours_->zero_line : ramp(decades(size), colours_->edge_mid);
}

double Heat::pen_width(double size) const {
  if (!std::isfinite(size)) return 5.5;
  return size == 0 ? 1 : 1.2 + 4.3 * std::clamp((decades(size) + 1) / 2, 0.0, 1.0);
}

std::vector<Heat::Step> Heat::legend() const {
  std::vector<Step> steps;
  for (int i = -4; i <= 4; ++i) {
    const double size = center_ * std::pow(10, i * span_ / 4);
    steps.push_back({size, fill(size), ink(size)});
  }
  return steps;
}

}  // namespace ebb::graphviz
