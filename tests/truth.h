// What a picture prints, taken apart, and the numbers that may stand there, made again from the tensors.  Nothing here
// uses the library's way from a graph to a picture: the nodes give the numbers, printf the digits.
#pragma once

#include "graphs.h"

#include <algorithm>
#include <cctype>
#include <cmath>
#include <cstdio>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace ebb::truth {

using namespace ebb::graphviz;

// ---- digits ---------------------------------------------------------------------------------------------------------

inline std::string printed(const char* format, double v) {
  char text[64];
  std::snprintf(text, sizeof text, format, v);
  return text;
}

// "1.2e-05" as pictures have it: "1.2e-5".
inline std::string short_exponent(std::string text) {
  const std::size_t e = text.find('e');
  if (e == std::string::npos) return text;
  const int exponent = std::atoi(text.c_str() + e + 1);
  return text.substr(0, e + 1) + std::to_string(exponent);
}

inline std::string three_digits(double v) {
  if (std::isnan(v)) return "NaN";
  const std::string sign = v < 0 ? "−" : "";
  const double size = std::abs(v);
  if (std::isinf(v)) return sign + "∞";
  if (size == 0) return "0";
  return sign + (size < 0.01 || size >= 999.5 ? short_exponent(printed("%.1e", size)) : printed("%.3g", size));
}

// Of single numbers: four digits behind the point.
inline std::string four_places(double v) {
  const double size = std::abs(v);
  if (!std::isfinite(v) || size >= 1e5 || (size != 0 && size < 1e-3)) return three_digits(v);
  std::string text = printed("%.4f", size);
  while (text.back() == '0') text.pop_back();
  if (text.back() == '.') text.pop_back();
  return (v < 0 ? "−" : "") + text;
}

inline std::string ten_digits(double v) { return printed("%.10g", v); }

inline std::string grouped(std::int64_t n) {
  const std::string digits = std::to_string(n);
  std::string text;
  for (std::size_t i = 0; i < digits.size(); ++i)
    text += (i > 0 && (digits.size() - i) % 3 == 0 ? "," : "") + digits.substr(i, 1);
  return text;
}

inline std::string counted(std::int64_t n, const std::string& noun) {
  return grouped(n) + " " + noun + (n == 1 ? "" : "s");
}

inline std::string in_bytes(std::int64_t n) {
  const char* units[] = {" B", " KiB", " MiB"};
  double size = static_cast<double>(n);
  int unit = 0;
  while (size >= 1024 && unit < 2) size /= 1024, ++unit;
  return printed(size >= 1000 ? "%.4g" : "%.3g", size) + units[unit];
}

inline std::string shape_words(const Shape& shape) {
  std::string text;
  for (const std::int64_t n : shape) text += (text.empty() ? "" : "×") + std::to_string(n);
  return text.empty() ? "scalar" : text;
}

inline const std::vector<std::string>& blocks() {
  static const std::vector<std::string> all{"▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"};
  return all;
}

// How the values lie between the least and the greatest of them, in nine parts.
inline std::string bars(const Tensor& t) {
  const std::vector<double> values = t.to_vector<double>();
  if (values.size() < 8) return "";
  const double low = *std::min_element(values.begin(), values.end()),
               high = *std::max_element(values.begin(), values.end());
  if (low == high || !std::isfinite(high - low)) return "";
  std::vector<int> counts(9);
  for (const double v : values)
    ++counts[std::min<std::size_t>(8, static_cast<std::size_t>((v - low) / (high - low) * 9))];
  const double fullest = *std::max_element(counts.begin(), counts.end());
  std::string text;
  for (const int n : counts) text += blocks()[static_cast<std::size_t>(std::lround(7 * std::sqrt(n / fullest)))];
  return text;
}

// ---- what a reader sees ----------------------------------------------------------------------------------------------

// One statement of a picture that shows words: a node, a line "b4 -> b5", or attributes of the page or a band.
struct Place {
  std::string name, classes, label, tooltip;
  bool is_line() const { return name.find("->") != std::string::npos; }
};

inline std::string unescaped(std::string text) {
  const std::pair<const char*, const char*> escapes[] = {
      {"&lt;", "<"}, {"&gt;", ">"}, {"&quot;", "\""}, {"\\\\", "\\"}, {"&amp;", "&"}};
  for (const auto& [code, character] : escapes)
    for (std::size_t at = text.find(code); at != std::string::npos; at = text.find(code, at + 1))
      text.replace(at, std::string(code).size(), character);
  return text;
}

// Without tags, each cell between two "|", and no two spaces in a row.
inline std::string cells_of(const std::string& markup) {
  std::string text = "|";
  const auto put = [&](char c) {
    if (c == ' ' && (text.back() == ' ' || text.back() == '|')) return;
    if (c == '|' && text.back() == ' ') text.pop_back();
    if (c != '|' || text.back() != '|') text += c;
  };
  for (std::size_t i = 0; i < markup.size(); ++i) {
    if (markup[i] != '<') {
      put(markup[i]);
      continue;
    }
    if (markup.compare(i, 5, "</TD>") == 0) put('|');
    if (markup.compare(i, 3, "<BR") == 0) put(' ');
    i = markup.find('>', i);
  }
  put('|');
  return unescaped(text);
}

inline std::vector<Place> places_of(const std::string& dot) {
  std::vector<Place> places;
  std::istringstream lines(dot);
  for (std::string line; std::getline(lines, line);) {
    for (const char* other : {"xlabel=", "headlabel=", "taillabel=", "URL=", "href=", "edgetooltip="})
      CHECK_FALSE(graphs::has(line, other));
    Place place;
    const std::size_t begin = line.find_first_not_of(' '), bracket = line.find(" [");
    if (begin == std::string::npos || line.compare(begin, 2, "//") == 0) continue;
    place.name = line.substr(begin, bracket == std::string::npos ? bracket : bracket - begin);
    if (const std::size_t at = line.find("label=<"); at != std::string::npos) {
      std::size_t end = at + 7;
      for (int open = 1; open > 0; ++end) open += line[end] == '<' ? 1 : line[end] == '>' ? -1 : 0;
      place.label = cells_of(line.substr(at + 7, end - at - 8));
    } else if (const std::size_t quote = line.find("label=\""); quote != std::string::npos) {
      place.label = cells_of(line.substr(quote + 7, line.find('"', quote + 7) - quote - 7));
    }
    if (const std::size_t at = line.find("class=\""); at != std::string::npos)
      place.classes = line.substr(at + 7, line.find('"', at + 7) - at - 7);
    if (const std::size_t at = line.find("tooltip=\""); at != std::string::npos)
      place.tooltip = "|" + unescaped(line.substr(at + 9, line.find('"', at + 9) - at - 9)) + "|";
    if (place.label.size() > 1 || !place.tooltip.empty()) places.push_back(place);
  }
  return places;
}

// ---- what is true -----------------------------------------------------------------------------------------------------

// Words with true numbers, of which some must stand at a place, and others may.
class Truths {
 public:
  void may(const std::string& words) { words_.emplace(words, false); }
  void must(const std::string& words) { words_[words] = true; }
  void put(const std::string& words, bool required) { required ? must(words) : may(words); }

  /// What is left of the text without them, if that has a number in it, or which of them is missing; else nothing.
  /// Counts the numbers that it explains.
  std::string what_is_wrong(std::string text, std::size_t& numbers) const {
    std::vector<std::pair<std::string, bool>> longest_first(words_.begin(), words_.end());
    std::stable_sort(longest_first.begin(), longest_first.end(),
                     [](const auto& a, const auto& b) { return a.first.size() > b.first.size(); });
    std::string wrong;
    const std::string whole = text;
    for (const auto& [words, required] : longest_first) {
      if (words.empty()) continue;
      if (required && !occurs(whole, words)) wrong += "missing \"" + words + "\" in " + whole + "\n";
      for (std::size_t at = text.find(words); at != std::string::npos; at = text.find(words, at + 1)) {
        if (!stands_alone(text, at, at + words.size())) continue;
        numbers += has_number(words);
        // A cell's walls stay: the next words may need them.
        for (std::size_t i = at; i < at + words.size(); ++i)
          if (text[i] != '|') text[i] = '~';
      }
    }
    if (has_number(text)) wrong += "unexplained: " + text + "\n         in: " + whole + "\n";
    return wrong;
  }

 private:
  static bool occurs(const std::string& text, const std::string& words) {
    for (std::size_t at = text.find(words); at != std::string::npos; at = text.find(words, at + 1))
      if (stands_alone(text, at, at + words.size())) return true;
    return false;
  }
  static bool has_number(const std::string& text) {
    const auto is_digit = [](unsigned char c) { return std::isdigit(c) != 0; };
    if (std::any_of(text.begin(), text.end(), is_digit) || graphs::has(text, "NaN") || graphs::has(text, "∞"))
      return true;
    return std::any_of(blocks().begin(), blocks().end(), [&](const std::string& b) { return graphs::has(text, b); });
  }
  // No part of a longer number or name.
  static bool stands_alone(const std::string& text, std::size_t begin, std::size_t end) {
    const auto in_word = [&](std::size_t i) { return std::isalnum(static_cast<unsigned char>(text[i])) != 0; };
    const auto joins = [&](std::size_t from, std::initializer_list<const char*> signs) {
      return std::any_of(signs.begin(), signs.end(),
                         [&](const std::string sign) { return text.compare(from, sign.size(), sign) == 0; });
    };
    if (in_word(begin) && begin > 0) {
      if (in_word(begin - 1) || joins(begin - 1, {".", "-", "+", ","})) return false;
      if (begin > 2 && joins(begin - 3, {"−", "–"})) return false;
      if (begin > 1 && joins(begin - 2, {"×"})) return false;
    }
    if (!in_word(end - 1) || end >= text.size()) return true;
    const bool ends_sentence = end + 1 < text.size() && in_word(end + 1);
    return !in_word(end) && !joins(end, {"×", "–", "%"}) && !(joins(end, {".", ","}) && ends_sentence);
  }

  std::map<std::string, bool> words_;
};

}  // namespace ebb::truth
