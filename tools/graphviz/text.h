// Text in pictures: what may stand in DOT, how numbers are written, and how wide it all will be.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

namespace ebb::graphviz {

/// Any bytes as text for an HTML-like label: markup and backslashes escaped, control characters and broken UTF-8 made
/// visible.
std::string html(std::string_view text);
/// The same as a quoted DOT attribute, quotes included.
std::string quoted(std::string_view text);

/// The same as one line on a terminal, which nothing in it can command.
std::string plain(std::string_view text);
/// How many columns of a terminal it takes.
std::size_t columns(std::string_view text);

/// At most `most` characters: the middle is left out, "…" stands for it.
std::string shorten(std::string_view text, std::size_t most);

/// The same, but the end is left out.
std::string cut(std::string_view text, std::size_t most);

/// Three significant digits for 0.01 <= |v| < 1000, else 2.3e-3; "0", "NaN", "∞".
std::string number(double v);
/// Four decimals, which is as exact as a reader calculates: "24.7041", "−4"; else as number().
std::string scalar_number(double v);
/// 2817 -> "2,817".
std::string thousands(std::int64_t n);
/// "128 B", "1.25 KiB", "8 MiB".
std::string bytes(std::int64_t n);
/// "450 ns", "1.2 µs", "12 µs", "1.5 s".
std::string duration(double seconds);
/// "32×64"; "scalar" for rank 0.
std::string shape_text(std::span<const std::int64_t> sizes);
/// "1 op", "3 ops".
std::string count(std::int64_t n, std::string_view noun);

/// The width in points of text set in Helvetica (or a face with its metrics); other alphabets are estimated.
double width(std::string_view text, double points, bool bold = false);
/// The text, or as much of its beginning and end as is at most `points_wide`.
std::string fit(std::string_view text, double points_wide, double points, bool bold = false);

}  // namespace ebb::graphviz
