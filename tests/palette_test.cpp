// Colours: what is read can be read, and what means something else looks different, to all eyes.
#include <doctest/doctest.h>
#include <ebb/tools/graphviz/theme.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <string>
#include <vector>

using namespace ebb::graphviz;

namespace {

using Triple = std::array<double, 3>;
using Matrix = std::array<Triple, 3>;

Triple linear(const std::string& colour) {
  Triple rgb{};
  for (std::size_t i = 0; i < 3; ++i) {
    const double s = std::stoi(colour.substr(1 + 2 * i, 2), nullptr, 16) / 255.0;
    rgb[i] = s <= 0.04045 ? s / 12.92 : std::pow((s + 0.055) / 1.055, 2.4);
  }
  return rgb;
}

// WCAG 2.1.
double contrast(const std::string& a, const std::string& b) {
  const auto luminance = [](const std::string& colour) {
    const Triple c = linear(colour);
    return 0.2126 * c[0] + 0.7152 * c[1] + 0.0722 * c[2];
  };
  const double first = luminance(a), second = luminance(b);
  return (std::max(first, second) + 0.05) / (std::min(first, second) + 0.05);
}

Triple times(const Matrix& m, const Triple& v) {
  Triple out{};
  for (std::size_t i = 0; i < 3; ++i)
    for (std::size_t j = 0; j < 3; ++j) out[i] += m[i][j] * v[j];
  return out;
}

// Machado, Oliveira, Fernandes 2009, severity 1.0, on linear RGB.
constexpr Matrix protan{
    {{0.152286, 1.052583, -0.204868}, {0.114503, 0.786281, 0.099216}, {-0.003882, -0.048116, 1.051998}}};
constexpr Matrix deutan{
    {{0.367322, 0.860646, -0.227968}, {0.280085, 0.672501, 0.047413}, {-0.011820, 0.042940, 0.968881}}};
constexpr Matrix tritan{
    {{1.255528, -0.076749, -0.178779}, {-0.078411, 0.930809, 0.147602}, {0.004733, 0.691367, 0.303900}}};
constexpr Matrix unchanged{{{1, 0, 0}, {0, 1, 0}, {0, 0, 1}}};

// CIE 1976 L*a*b* for D65, of a colour as such eyes see it.
Triple lab(const std::string& colour, const Matrix& eyes) {
  Triple rgb = times(eyes, linear(colour));
  for (double& c : rgb) c = std::clamp(c, 0.0, 1.0);
  constexpr Matrix to_xyz{
      {{0.4124564, 0.3575761, 0.1804375}, {0.2126729, 0.7151522, 0.0721750}, {0.0193339, 0.1191920, 0.9503041}}};
  Triple xyz = times(to_xyz, rgb);
  constexpr Triple white{0.95047, 1, 1.08883};
  for (std::size_t i = 0; i < 3; ++i) {
    const double t = xyz[i] / white[i];
    xyz[i] = t > 216.0 / 24389 ? std::cbrt(t) : (24389.0 / 27 * t + 16) / 116;
  }
  return {116 * xyz[1] - 16, 500 * (xyz[0] - xyz[1]), 200 * (xyz[1] - xyz[2])};
}

double apart(const std::string& a, const std::string& b, const Matrix& eyes) {
  const Triple first = lab(a, eyes), second = lab(b, eyes);
  return std::hypot(first[0] - second[0], first[1] - second[1], first[2] - second[2]);
}

constexpr double readable = 4.5;  // WCAG AA, text of any size
constexpr double noticeable = 9;  // CIE76

}  // namespace

TEST_CASE("words can be read on all they stand on, in both themes") {
  for (const Theme theme : {Theme::light, Theme::dark}) {
    CAPTURE(static_cast<int>(theme));
    const Palette& c = palette(theme);
    for (const char* const ground : {c.page, c.band, c.card, c.parameter, c.zero}) {
      CAPTURE(ground);
      CHECK(contrast(c.text, ground) >= readable);
      CHECK(contrast(c.muted, ground) >= readable);
    }
    CHECK(contrast(c.page, c.text) >= readable);     // in a pill
    CHECK(contrast(c.forward, c.page) >= readable);  // the heads of the columns
    CHECK(contrast(c.backward, c.page) >= readable);
    CHECK(contrast(c.broken, c.page) >= readable);  // "NaN or ∞" in the legend
  }
}

TEST_CASE("words can be read on every colour of the scale, in both themes") {
  for (const Theme theme : {Theme::light, Theme::dark}) {
    CAPTURE(static_cast<int>(theme));
    const Heat heat(palette(theme), 1);
    double worst = 21;
    for (int i = -2500; i <= 2500; ++i) {
      const double size = std::pow(10, i / 1000.0);
      worst = std::min(worst, contrast(heat.ink(size), heat.fill(size)));
    }
    CHECK(worst >= readable);
    for (const double size : {0.0, HUGE_VAL, std::nan("")})
      CHECK(contrast(heat.ink(size), heat.fill(size)) >= readable);
    for (const Heat::Step& step : heat.legend()) CHECK(contrast(step.ink, step.colour) >= readable);
  }
}

TEST_CASE("neighbours in the legend look different to protanopes, deuteranopes and tritanopes, in both themes") {
  for (const Theme theme : {Theme::light, Theme::dark}) {
    CAPTURE(static_cast<int>(theme));
    const std::vector<Heat::Step> legend = Heat(palette(theme), 1).legend();
    for (const Matrix& eyes : {unchanged, protan, deutan, tritan})
      for (std::size_t i = 1; i < legend.size(); ++i) {
        CAPTURE(i);
        CHECK(apart(legend[i - 1].colour, legend[i].colour, eyes) >= noticeable);
      }
  }
}

TEST_CASE("no colour of the scale is one of a page, card or text") {
  for (const Theme theme : {Theme::light, Theme::dark}) {
    const Palette& c = palette(theme);
    const Heat heat(c, 1);
    for (const char* const role : {c.page, c.band, c.band_line, c.card, c.card_line, c.text, c.muted, c.forward,
                                   c.parameter, c.parameter_line, c.saved, c.backward})
      CHECK_FALSE(paints_gradient(role));
    for (const double size : {0.0, 1e-9, 1e-2, 0.3, 1.0, 5.0, 1e9, HUGE_VAL}) {
      CHECK(paints_gradient(heat.fill(size)));
      CHECK(paints_gradient(heat.line(size)));
    }
  }
}
