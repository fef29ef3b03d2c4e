#include "text.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <vector>

namespace ebb::graphviz {

namespace {

constexpr char32_t replacement = 0xFFFD;

// Reads one character and moves `text` past it; a byte that begins no valid UTF-8 is the replacement character.
char32_t next(std::string_view& text) {
  const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(text[i]); };
  const unsigned char lead = byte(0);
  const std::size_t length = lead < 0x80             ? 1
                             : (lead & 0xE0) == 0xC0 ? 2
                             : (lead & 0xF0) == 0xE0 ? 3
                             : (lead & 0xF8) == 0xF0 ? 4
                                                     : 0;
  constexpr std::array<char32_t, 5> smallest{0, 0, 0x80, 0x800, 0x10000};
  if (length == 1) {
    text.remove_prefix(1);
    return lead;
  }
  char32_t c = length == 0 ? replacement : lead & (0xFFu >> (length + 1));
  bool valid = length != 0 && text.size() >= length;
  for (std::size_t i = 1; valid && i < length; ++i) {
    valid = (byte(i) & 0xC0) == 0x80;
    c = c << 6 | (byte(i) & 0x3Fu);
  }
  const bool surrogate = c >= 0xD800 && c <= 0xDFFF;
  valid = valid && c >= smallest[length] && c <= 0x10FFFF && !surrogate;
  text.remove_prefix(valid ? length : 1);
  return valid ? c : replacement;
}

// XML allows neither control characters nor the two last places of the basic plane.
char32_t printable(char32_t c) {
  if (c < 0x20) return 0x2400 + c;  // ␀ ␁ ␂ ...
  if (c == 0x7F) return 0x2421;
  return (c >= 0x80 && c < 0xA0) || c == 0xFFFE || c == 0xFFFF ? replacement : c;
}

void append(std::string& out, char32_t c) {
  const auto put = [&](char32_t bits) { out += static_cast<char>(static_cast<unsigned char>(bits)); };
  if (c < 0x80) {
    put(c);
  } else if (c < 0x800) {
    put(0xC0 | c >> 6), put(0x80 | (c & 0x3F));
  } else if (c < 0x10000) {
    put(0xE0 | c >> 12), put(0x80 | (c >> 6 & 0x3F)), put(0x80 | (c & 0x3F));
  } else {
    put(0xF0 | c >> 18), put(0x80 | (c >> 12 & 0x3F)), put(0x80 | (c >> 6 & 0x3F)), put(0x80 | (c & 0x3F));
  }
}

// dot reads escapes such as \N in labels too, and once more in quoted strings.
std::string escape(std::string_view text, std::string_view backslash) {
  std::string out;
  while (!text.empty()) {
    const char32_t c = printable(next(text));
    switch (c) {
      case '&':
        out += "&amp;";
        break;
      case '<':
        out += "&lt;";
        break;
      case '>':
        out += "&gt;";
        break;
      case '"':
        out += "&quot;";
        break;
      case '\\':
        out += backslash;
        break;
      default:
        append(out, c);
    }
  }
  return out;
}

bool is_digit(char32_t c) { return c >= '0' && c <= '9'; }

std::vector<char32_t> characters(std::string_view text) {
  std::vector<char32_t> out;
  while (!text.empty()) out.push_back(next(text));
  return out;
}

// Thousandths of the type size, for ' ' to '~'.
constexpr std::array<short, 95> helvetica{
    278, 278, 355, 556, 556, 889, 667, 191, 333, 333, 389, 584, 278, 333,  278, 278, 556, 556, 556,
    556, 556, 556, 556, 556, 556, 556, 278, 278, 584, 584, 584, 556, 1015, 667, 667, 722, 722, 667,
    611, 778, 722, 278, 500, 667, 556, 833, 722, 778, 667, 778, 722, 667,  611, 722, 667, 944, 667,
    667, 611, 278, 278, 278, 469, 556, 333, 556, 556, 500, 556, 556, 278,  556, 556, 222, 222, 500,
    222, 833, 556, 556, 556, 556, 333, 500, 278, 556, 500, 722, 500, 500,  500, 334, 260, 334, 584};

double advance(char32_t c) {
  if (c >= ' ' && c <= '~') return helvetica[c - ' '];
  if (c >= 0x300 && c < 0x370) return 0;  // combining marks
  return c >= 0x1100 && c < 0xFF00 && !(c >= 0x1D00 && c < 0x2E80) ? 1000 : 620;
}

// Of a terminal.
std::size_t columns(char32_t c) {
  struct Range {
    char32_t first, last;
  };
  constexpr std::array none{Range{0x300, 0x36F}, Range{0x200B, 0x200F}, Range{0xFE00, 0xFE0F}};
  constexpr std::array two{Range{0x1100, 0x115F},   Range{0x2E80, 0xA4CF},   Range{0xAC00, 0xD7A3},
                           Range{0xF900, 0xFAFF},   Range{0xFE30, 0xFE6F},   Range{0xFF00, 0xFF60},
                           Range{0xFFE0, 0xFFE6},   Range{0x1F300, 0x1F64F}, Range{0x1F680, 0x1F6FF},
                           Range{0x1F900, 0x1F9FF}, Range{0x20000, 0x3FFFD}};
  const auto holds = [&](const Range& range) { return c >= range.first && c <= range.last; };
  if (std::any_of(none.begin(), none.end(), holds)) return 0;
  return std::any_of(two.begin(), two.end(), holds) ? 2 : 1;
}

}  // namespace

std::string plain(std::string_view text) {
  std::string out;
  while (!text.empty()) append(out, printable(next(text)));
  return out;
}

std::size_t columns(std::string_view text) {
  std::size_t all = 0;
  while (!text.empty()) all += columns(next(text));
  return all;
}

std::string html(std::string_view text) { return escape(text, "\\\\"); }

std::string quoted(std::string_view text) { return '"' + escape(text, "\\\\\\\\") + '"'; }

std::string shorten(std::string_view text, std::size_t most) {
  const std::vector<char32_t> all = characters(text);
  if (all.size() <= most) return std::string(text);
  const std::size_t kept = most > 0 ? most - 1 : 0;
  std::size_t front = kept - kept / 2, back = all.size() - kept / 2;
  // A number that is cut is another number.
  const auto in_number = [&](std::size_t i) {
    return i > 0 && i < all.size() && is_digit(all[i - 1]) && is_digit(all[i]);
  };
  while (in_number(front)) --front;
  while (in_number(back)) ++back;
  std::string out;
  for (std::size_t i = 0; i < front; ++i) append(out, all[i]);
  out += "…";
  for (std::size_t i = back; i < all.size(); ++i) append(out, all[i]);
  return out;
}

std::string cut(std::string_view text, std::size_t most) {
  const std::vector<char32_t> all = characters(text);
  if (all.size() <= most) return std::string(text);
  std::string out;
  for (std::size_t i = 0; i + 1 < most; ++i) append(out, all[i]);
  return out + "…";
}

std::string number(double v) {
  if (std::isnan(v)) return "NaN";
  if (std::isinf(v)) return v < 0 ? "−∞" : "∞";
  if (v == 0) return "0";
  const std::string sign = v < 0 ? "−" : "";
  const double size = std::abs(v);
  if (size >= 0.01 && size < 999.5) return sign + fmt::format("{:.3g}", size);
  const std::string text = fmt::format("{:.1e}", size);  // 2.3e-03
  const std::size_t e = text.find('e');
  return sign + fmt::format("{}e{}", text.substr(0, e), std::stoi(text.substr(e + 1)));
}

std::string scalar_number(double v) {
  if (!std::isfinite(v) || (v != 0 && (std::abs(v) >= 1e5 || std::abs(v) < 1e-3))) return number(v);
  std::string text = fmt::format("{:.4f}", std::abs(v));
  text.erase(text.find_last_not_of('0') + 1);
  if (text.back() == '.') text.pop_back();
  return v < 0 && text != "0" ? "−" + text : text;
}

std::string thousands(std::int64_t n) {
  std::string out = std::to_string(n);
  for (std::ptrdiff_t i = std::ssize(out) - 3; i > 0; i -= 3) out.insert(static_cast<std::size_t>(i), ",");
  return out;
}

std::string bytes(std::int64_t n) {
  constexpr std::array units{"B", "KiB", "MiB", "GiB", "TiB"};
  double size = static_cast<double>(n);
  std::size_t unit = 0;
  while (size >= 1024 && unit + 1 < units.size()) size /= 1024, ++unit;
  return fmt::format("{:.{}g} {}", size, size >= 1000 ? 4 : 3, units[unit]);
}

std::string duration(double seconds) {
  constexpr std::array units{"ns", "µs", "ms", "s"};
  double size = seconds * 1e9;
  std::size_t unit = 0;
  while (size >= 999.5 && unit + 1 < units.size()) size /= 1000, ++unit;
  return size < 9.95 ? fmt::format("{:.1f} {}", size, units[unit]) : fmt::format("{:.0f} {}", size, units[unit]);
}

std::string shape_text(std::span<const std::int64_t> sizes) {
  return sizes.empty() ? "scalar" : fmt::format("{}", fmt::join(sizes, "×"));
}

std::string count(std::int64_t n, std::string_view noun) {
  return fmt::format("{} {}{}", thousands(n), noun, n == 1 ? "" : "s");
}

double width(std::string_view text, double points, bool bold) {
  double thousandths = 0;
  while (!text.empty()) thousandths += advance(next(text));
  return thousandths / 1000 * points * (bold ? 1.1 : 1);
}

std::string fit(std::string_view text, double points_wide, double points, bool bold) {
  points_wide += 0.5;  // sums of widths differ in their last digits
  if (width(text, points, bold) <= points_wide) return std::string(text);
  std::size_t few = 1, many = std::min<std::size_t>(characters(text).size(), 400);
  while (few + 1 < many) {
    const std::size_t middle = (few + many) / 2;
    (width(shorten(text, middle), points, bold) <= points_wide ? few : many) = middle;
  }
  return shorten(text, few);
}

}  // namespace ebb::graphviz
