#include "csv.h"

#include "../../autograd/error.h"
#include "../io/file.h"
#include "../io/text.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <type_traits>
#include <limits>
#include <cmath>
#include <string_view>

namespace ebb::data {

namespace {

using io::shown;

constexpr std::size_t longest_line = 16u << 20;

std::string_view trimmed(std::string_view text) {
  const std::size_t begin = std::min(text.find_first_not_of(" \t"), text.size());
  return text.substr(begin, text.find_last_not_of(" \t") + 1 - begin);
}

/// One cell and where it begins; line and column count from 1, columns in bytes.
struct Cell {
  std::string text;
  bool quoted = false;
  std::int64_t line = 0, column = 0;
};

/// Cuts a table into rows of cells.
class Reader {
 public:
  Reader(std::string_view text, char separator, const std::string& path)
      : text_(text), separator_(separator), path_(path) {
    if (text_.starts_with("\xEF\xBB\xBF")) text_.remove_prefix(3);
  }

  /// The next row that is not an empty line, into `cells`; false at the end.
  bool next(std::vector<Cell>& cells) {
    while (at_ < text_.size()) {
      std::size_t used = 0;
      do {
        if (used == cells.size()) cells.emplace_back();
        read(cells[used++]);
      } while (take(separator_));
      const bool carriage_return = take('\r');
      if (take('\n') || carriage_return) begin_line();
      cells.resize(used);
      if (used > 1 || cells[0].quoted || !cells[0].text.empty()) return true;
    }
    return false;
  }

  [[noreturn]] void fail(std::int64_t line, std::int64_t column, const std::string& why) const {
    throw ParseError(fmt::format("{}:{}:{}: {}", path_, line, column, why));
  }

 private:
  std::int64_t column() const { return static_cast<std::int64_t>(at_ - line_begin_) + 1; }
  bool ends_cell() const {
    if (at_ >= text_.size()) return true;
    const char c = text_[at_];
    return c == separator_ || c == '\n' || c == '\r';
  }
  bool take(char c) {
    if (at_ >= text_.size() || text_[at_] != c) return false;
    ++at_;
    return true;
  }
  char take_any() {
    if (at_ - line_begin_ >= longest_line)
      fail(line_, 1, fmt::format("the line is longer than {} bytes", longest_line));
    return text_[at_++];
  }
  void begin_line() {
    ++line_;
    line_begin_ = at_;
  }

  void read(Cell& cell) {
    cell.text.clear();
    cell.line = line_;
    cell.column = column();
    cell.quoted = take('"');
    if (cell.quoted) read_quoted(cell);
    else
      while (!ends_cell()) cell.text += take_any();
  }

  void read_quoted(Cell& cell) {
    while (true) {
      if (at_ >= text_.size()) fail(cell.line, cell.column, "a quote begins here and never ends");
      const char c = take_any();
      if (c == '"' && !take('"')) break;
      cell.text += c;
      if (c == '\n') begin_line();
    }
    if (!ends_cell()) fail(line_, column(), "text behind a closing quote; a quote within quotes is written \"\"");
  }

  std::string_view text_;
  char separator_;
  const std::string& path_;
  std::size_t at_ = 0, line_begin_ = 0;
  std::int64_t line_ = 1;
};

/// A cell as a number of type T, in whatever locale the program runs.
template <class T> bool parse(std::string_view text, T& value) {
  if constexpr (std::is_same_v<T, float>) {  // too small for a float is 0, and a number
    double whole = 0;
    if (!parse(text, whole) || std::abs(whole) > static_cast<double>(std::numeric_limits<float>::max())) return false;
    value = static_cast<float>(whole);
    return true;
  }
  text = trimmed(text);
  if (text.size() > 1 && text[0] == '+' && text[1] != '-') text.remove_prefix(1);
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  return error == std::errc() && end == text.data() + text.size();
}

std::string shown_names(std::vector<std::string> names) {
  for (std::string& name : names) name = shown(name);
  return io::listed(names, 20);
}

std::vector<std::string> read_header(Reader& reader, const std::string& path) {
  std::vector<Cell> cells;
  if (!reader.next(cells))
    throw ParseError(fmt::format("{}: the file is empty; its first line should name the columns", path));
  std::vector<std::string> names;
  for (const Cell& cell : cells) names.emplace_back(trimmed(cell.text));

  std::vector<std::string> sorted = names;
  std::sort(sorted.begin(), sorted.end());
  if (const auto twin = std::adjacent_find(sorted.begin(), sorted.end()); twin != sorted.end())
    reader.fail(cells[0].line, 1, fmt::format("two columns are called \"{}\"", shown(*twin)));
  return names;
}

std::size_t find_label(const std::vector<std::string>& names, const std::string& label, const std::string& path) {
  if (label.empty())
    throw UsageError(
        fmt::format("{}: which column holds the answers? Name it as .label; there are {}", path, shown_names(names)));
  const auto found = std::find(names.begin(), names.end(), label);
  if (found == names.end())
    throw UsageError(
        fmt::format("{}: no column is called \"{}\"; there are {}", path, shown(label), shown_names(names)));
  if (names.size() == 1) throw UsageError(fmt::format("{}: there is no column besides \"{}\"", path, shown(label)));
  return static_cast<std::size_t>(found - names.begin());
}

}  // namespace

Dataset csv(const std::string& path, const CsvOptions& options) {
  const std::string text = io::read_file(path);
  Reader reader(text, options.separator, path);
  std::vector<std::string> names = read_header(reader, path);
  const std::size_t label = find_label(names, options.label, path);

  std::vector<float> x, y;
  std::vector<std::int64_t> classes;
  std::int64_t n = 0;
  for (std::vector<Cell> cells; reader.next(cells); ++n) {
    if (cells.size() != names.size())
      reader.fail(cells[0].line, 1,
                  fmt::format("the row has {} cells, the header names {} columns", cells.size(), names.size()));
    for (std::size_t i = 0; i < cells.size(); ++i) {
      const Cell& cell = cells[i];
      const auto refuse = [&](const char* wanted) {
        reader.fail(
            cell.line, cell.column,
            fmt::format("column {} (\"{}\") wants {}, got \"{}\"", i + 1, shown(names[i]), wanted, shown(cell.text)));
      };
      if (i == label && options.classes) {
        std::int64_t number = 0;
        if (!parse(cell.text, number) || number < 0) refuse("a class number (0, 1, 2, ...)");
        classes.push_back(number);
      } else {
        float number = 0;
        if (!parse(cell.text, number) || !std::isfinite(number)) refuse("a number");
        (i == label ? y : x).push_back(number);
      }
    }
  }
  if (n == 0) throw ParseError(fmt::format("{}: there are no rows below the names of the columns", path));

  names.erase(names.begin() + static_cast<std::ptrdiff_t>(label));
  Tensor inputs = from(x, {n, std::ssize(names)});
  Tensor answers = options.classes ? from(classes, {n}) : from(y, {n, 1});
  return {std::move(inputs), std::move(answers), std::move(names)};
}

}  // namespace ebb::data
