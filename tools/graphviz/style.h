// Style: the colours of a picture, and what they measure.
#pragma once

#include "theme.h"

#include <optional>
#include <string>

namespace ebb::graphviz {

/// What a writer holds on to.
struct Style {
  const Palette& colours;
  Heat heat;
  Color color = Color::gradient;
  bool compared = false;  ///< gradients are multiples of what they were

  /// What colours the forward half of an op's card; nothing where it stays plain.
  std::optional<double> forward(const Record& op) const;
  /// The same for the backward half.
  std::optional<double> backward(const Record& op) const;
  /// What colours a gradient on its way, or in a parameter: its size, if gradients are what is measured.
  std::optional<double> of(const Gradient& gradient) const;

  /// Of a half of a card, and of text on it: plain for nothing.
  std::string fill(const std::optional<double>& size) const { return size ? heat.fill(*size) : colours.card; }
  std::string ink(const std::optional<double>& size) const { return size ? heat.ink(*size) : colours.text; }
  /// Muted text on it; one that is coloured has no room for a second ink.
  std::string muted(const std::optional<double>& size) const { return size ? heat.ink(*size) : colours.muted; }

  /// What was measured, as cards print it: "2.3e-3", "×0.5", "12 µs", "1.25 KiB".
  std::string text(double size) const;
  /// A gradient, whatever the colours measure: "2.3e-3", "×0.5".
  std::string gradient_text(double size) const;
};

/// The centre is the median of what is measured, and the scale as long as it needs, unless the options say otherwise.
Style style_of(const Trace& trace, const DotOptions& options);

/// The scale of colours with what it measures, as rows of a legend; empty if nothing was measured.
std::string scale_markup(const Style& style);

/// Bytes that an op keeps for its backward.
std::int64_t saved_bytes(const Record& op);

}  // namespace ebb::graphviz
