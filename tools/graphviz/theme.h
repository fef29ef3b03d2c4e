// Colours: of the page, and of sizes.
#pragma once

#include "../graphviz.h"

#include <string>
#include <vector>

namespace ebb::graphviz {

/// Colours as #rrggbb.
struct Palette {
  const char *page, *band, *band_line, *card, *card_line, *text, *muted, *forward, *parameter, *parameter_line, *saved;
  const char* backward;                            // words about the way back
  const char *cold, *mid, *hot, *deep, *edge_mid;  // sizes: far below the centre, at it, above, far above
  const char *zero, *zero_line;                    // exactly 0: hardly to be told from a card, and from what is saved
  const char* broken;                              // NaN and infinity
};

const Palette& palette(Theme theme);

/// Whether a colour that a picture in either theme uses is a gradient's, not a page's, card's or text's.
bool paints_gradient(const std::string& colour);
/// The same of what is painted in these two in the two themes.
bool paints_gradient(const std::string& in_light, const std::string& in_dark);

/// The colour on a card that it hardly differs from.
std::string faint(const std::string& colour, Theme theme);

/// How a size becomes colour and width: `span` decades down to cold, as many up to hot, about a centre.
class Heat {
 public:
  Heat(const Palette& colours, double center, double span = 2) : colours_(&colours), center_(center), span_(span) {}

  bool known() const { return center_ > 0; }
  double center() const { return center_; }
  double span() const { return span_; }
  /// Of a card or chip.  Zero is nearly that of a card; what is not finite has a colour of its own.
  std::string fill(double size) const;
  /// Of text on that: black or white, whichever is easier to read; on zero that of the page.
  std::string ink(double size) const;
  /// Of a line.
  std::string line(double size) const;
  double pen_width(double size) const;

  struct Step {
    double size;
    std::string colour, ink;
  };
  /// The scale, from cold to hot.
  std::vector<Step> legend() const;

 private:
  double decades(double size) const;
  std::string ramp(double d, const char* mid) const;

  const Palette* colours_;
  double center_;  // 0: nothing to compare with
  double span_;
};

}  // namespace ebb::graphviz
