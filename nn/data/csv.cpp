#include "csv.h"

#include "../../autograd/error.h"
#include "../io/source.h"
#include "../io/text.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <limits>
#include <numeric>
#include <optional>
#include <string_view>
#include <type_traits>
#include <unordered_map>
#include <utility>

namespace ebb::data {

namespace {

using io::shown;

constexpr std::size_t longest_line = 16u << 20, most_one_hot = 1000;
constexpr std::uint64_t longest_unpacked = std::uint64_t{4} << 30;

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

/// A cell as a number that a float can hold.
std::optional<float> number_in(const Cell& cell) {
  float number = 0;
  if (!parse(cell.text, number) || !std::isfinite(number)) return {};
  return number;
}

bool is_missing(const Cell& cell, bool words) {
  if (cell.quoted && words) return false;
  std::string text(trimmed(cell.text));
  for (char& c : text) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  constexpr std::string_view missing[] = {"", "na", "n/a", "nan", "null", "?"};
  return std::find(std::begin(missing), std::end(missing), text) != std::end(missing);
}

/// Whether it begins as words do and is neither a number, be it infinite, nor missing.
bool is_word(const Cell& cell) {
  const std::string_view text = trimmed(cell.text);
  const auto first = static_cast<unsigned char>(text.empty() ? '\0' : text.front());
  const bool letter = (first >= 'A' && first <= 'Z') || (first >= 'a' && first <= 'z') || first >= 0x80;
  double number = 0;
  return letter && !parse(text, number) && !is_missing(cell, false);
}

/// Words and their numbers: those that were given, or what is found.
class Words {
 public:
  explicit Words(const std::vector<std::string>& given = {}) : given_(!given.empty()) {
    for (const std::string& word : given) number_of(word, true);
  }

  /// No number if the word is not among those that were given.
  std::optional<std::int64_t> operator()(const std::string& word) { return number_of(word, !given_); }

  /// Puts what was found in order; what `numbers` held becomes the place in it.
  std::vector<std::string> sort(std::vector<std::int64_t>& numbers) {
    if (given_) return list_;
    std::vector<std::string> sorted = list_;
    std::sort(sorted.begin(), sorted.end());
    for (std::int64_t& n : numbers)
      n = std::lower_bound(sorted.begin(), sorted.end(), list_[static_cast<std::size_t>(n)]) - sorted.begin();
    return sorted;
  }
  const std::vector<std::string>& list() const { return list_; }

 private:
  std::optional<std::int64_t> number_of(const std::string& word, bool may_be_new) {
    const auto found = numbers_.find(word);
    if (found != numbers_.end()) return found->second;
    if (!may_be_new) return {};
    list_.push_back(word);
    return numbers_[word] = std::ssize(list_) - 1;
  }

  bool given_;
  std::vector<std::string> list_;
  std::unordered_map<std::string, std::int64_t> numbers_;
};

enum class Role { input, answer, class_number, class_name };

/// A column of the table: what its cells are, and what they held.
struct Column {
  std::string name;
  Role role = Role::input;
  bool words = false;
  Words known = Words();
  std::vector<float> numbers = {};
  std::vector<std::int64_t> whole = {};   // of words and classes, instead
  std::vector<std::size_t> missing = {};  // rows of `numbers`
  bool undecided = false;                 // the first class tells whether all are numbers or names
};

std::size_t find_column(const std::vector<Column>& columns, const std::string& name, const std::string& path) {
  const auto found = std::find_if(columns.begin(), columns.end(), [&](const Column& c) { return c.name == name; });
  if (found != columns.end()) return static_cast<std::size_t>(found - columns.begin());
  std::vector<std::string> names;
  for (const Column& column : columns) names.push_back(column.name);
  throw UsageError(fmt::format("{}: no column is called \"{}\"; there are {}", path, shown(name), shown_names(names)));
}

/// Refuses options that contradict each other.
void check(const CsvOptions& options, const std::vector<std::string>& names, const std::string& path) {
  const auto refuse = [&](const char* why) { throw UsageError(fmt::format("{}: {}", path, why)); };
  const bool one = !options.label.empty(), several = !options.labels.empty();
  if (options.labelled && !one && !several)
    throw UsageError(
        fmt::format("{}: which column holds the answers? Name it as .label; there are {}", path, shown_names(names)));
  if (one && several) refuse(".label and .labels are both given; one of them names the answers");
  if (!options.labelled && (one || several)) refuse("a label is named, and .labelled is false");
  if (options.classes && !one) refuse(".classes wants a single .label");
  if (!options.classes && !options.class_names.empty()) refuse(".class_names are for .classes = true");
  if (options.missing == Missing::fill && !std::isfinite(static_cast<float>(options.fill)))
    refuse(".fill must be a finite number of f32");
}

std::vector<Column> columns_of(const std::vector<std::string>& names, const CsvOptions& options,
                               const std::string& path) {
  check(options, names, path);
  std::vector<Column> columns;
  for (const std::string& name : names) columns.push_back({name});
  std::vector<std::string> labels = options.labels;
  if (!options.label.empty()) labels.push_back(options.label);
  for (const std::string& label : labels) {
    Column& column = columns[find_column(columns, label, path)];
    if (std::exchange(column.role, Role::answer) == Role::answer)
      throw UsageError(fmt::format("{}: \"{}\" is named twice among .labels", path, shown(label)));
  }
  const auto is_input = [](const Column& c) { return c.role == Role::input; };
  if (std::none_of(columns.begin(), columns.end(), is_input)) {
    throw UsageError(fmt::format("{}: there is no column besides \"{}\"", path, shown(labels.front())));
  }
  if (options.classes) {
    Column& label = columns[find_column(columns, options.label, path)];
    label.role = options.class_names.empty() ? Role::class_number : Role::class_name;
    label.undecided = options.class_names.empty();
    label.known = Words(options.class_names);
    if (label.known.list().size() != options.class_names.size())
      throw UsageError(fmt::format("{}: a name is twice among .class_names", path));
  }
  for (const auto& [name, words] : options.categories) {
    Column& column = columns[find_column(columns, name, path)];
    if (column.role != Role::input)
      throw UsageError(fmt::format("{}: \"{}\" holds answers; words as answers are .classes", path, shown(name)));
    column.words = true;
    column.known = Words(words);
    if (column.known.list().size() != words.size())
      throw UsageError(fmt::format("{}: a word is twice among the categories of \"{}\"", path, shown(name)));
  }
  return columns;
}

/// Reads the rows below the header into the columns.
class Table {
 public:
  Table(Reader& reader, std::vector<Column>& columns, const CsvOptions& options)
      : reader_(reader), columns_(columns), options_(options) {}

  /// Returns how many rows were kept.
  std::int64_t read(std::vector<Cell> first) {
    std::vector<Cell> cells = std::move(first);
    if (cells.empty() && !reader_.next(cells)) return 0;
    do {
      if (cells.size() != columns_.size())
        reader_.fail(cells[0].line, 1,
                     fmt::format("the row has {} cells, {}", cells.size(),
                                 options_.header ? fmt::format("the header names {} columns", columns_.size())
                                                 : fmt::format("the first one has {}", columns_.size())));
      if (options_.missing == Missing::drop && lacks(cells)) continue;
      for (std::size_t i = 0; i < cells.size(); ++i) take(i, cells[i]);
      ++rows_;
    } while (reader_.next(cells));
    return rows_;
  }

 private:
  bool lacks(const std::vector<Cell>& cells) const {
    for (std::size_t i = 0; i < cells.size(); ++i)
      if (is_missing(cells[i], holds_words(columns_[i]))) return true;
    return false;
  }
  static bool holds_words(const Column& c) { return c.words || c.undecided || c.role == Role::class_name; }

  [[noreturn]] void refuse(std::size_t i, const Cell& cell, const std::string& wanted,
                           const std::string& help = "") const {
    reader_.fail(cell.line, cell.column,
                 fmt::format("column {} (\"{}\") wants {}, got \"{}\"{}", i + 1, shown(columns_[i].name), wanted,
                             shown(cell.text), help));
  }
  /// What may be meant by a word in a column of numbers.
  std::string word_help(const Column& column, const Cell& cell) const {
    if (!is_word(cell)) return "";
    if (column.role == Role::input)
      return fmt::format("\n  help: .categories = {{{{\"{}\", {{}}}}}} reads a column of words", shown(column.name));
    return options_.labels.empty() ? "\n  help: .classes = true reads names of classes" : "";
  }

  void take(std::size_t i, const Cell& cell) {
    Column& column = columns_[i];
    if (std::exchange(column.undecided, false) && !number_in(cell) && !is_missing(cell, true))
      column.role = Role::class_name;
    if (column.words || column.role == Role::class_name) return take_word(i, cell);
    if (column.role == Role::class_number) {
      std::int64_t number = 0;
      if (!parse(cell.text, number) || number < 0) refuse(i, cell, "a class number (0, 1, 2, ...)");
      column.whole.push_back(number);
      return;
    }
    std::optional<float> number = number_in(cell);
    if (!number && column.role == Role::input && fills() && is_missing(cell, false)) {
      column.missing.push_back(column.numbers.size());
      number = static_cast<float>(options_.fill);
    }
    if (!number) refuse(i, cell, "a number", word_help(column, cell));
    column.numbers.push_back(*number);
  }

  void take_word(std::size_t i, const Cell& cell) {
    Column& column = columns_[i];
    const char* const kind = column.words ? "a word" : "the name of a class";
    if (is_missing(cell, true)) refuse(i, cell, kind);
    const std::optional<std::int64_t> number = column.known(std::string(trimmed(cell.text)));
    if (!number) refuse(i, cell, fmt::format("one of {}", shown_names(column.known.list())));
    column.whole.push_back(*number);
  }

  bool fills() const { return options_.missing == Missing::fill || options_.missing == Missing::mean; }

  Reader& reader_;
  std::vector<Column>& columns_;
  const CsvOptions& options_;
  std::int64_t rows_ = 0;
};

/// Gives missing numbers the mean of the others.
void fill_with_mean(Column& column, const std::string& path) {
  const std::size_t there = column.numbers.size() - column.missing.size();
  if (there == 0)
    throw ParseError(fmt::format("{}: column \"{}\" has no number that its missing ones could be given the mean of",
                                 path, shown(column.name)));
  for (const std::size_t row : column.missing) column.numbers[row] = 0;
  const double total = std::accumulate(column.numbers.begin(), column.numbers.end(), 0.0);
  for (const std::size_t row : column.missing)
    column.numbers[row] = static_cast<float>(total / static_cast<double>(there));
}

/// Columns side by side: [n, columns].
Tensor beside_each_other(const std::vector<std::vector<float>>& columns, std::int64_t n) {
  std::vector<float> rows;
  rows.reserve(columns.size() * static_cast<std::size_t>(n));
  for (std::size_t row = 0; row < static_cast<std::size_t>(n); ++row)
    for (const std::vector<float>& column : columns) rows.push_back(column[row]);
  return from(rows, {n, std::ssize(columns)});
}

}  // namespace

Dataset csv(const std::string& path, const CsvOptions& options) {
  if (std::string_view("\"\r\n").find(options.separator) != std::string_view::npos)
    throw UsageError(
        fmt::format("{}: .separator cannot be {}", path, options.separator == '"' ? "a quote" : "what ends a line"));
  const std::string text = io::read_unpacked(path, longest_unpacked);
  Reader reader(text, options.separator, path);
  std::vector<Cell> first;
  std::vector<std::string> names;
  if (options.header) names = read_header(reader, path);
  else if (!reader.next(first)) throw ParseError(fmt::format("{}: the file is empty", path));
  for (std::size_t i = 0; i < first.size(); ++i) names.push_back(std::to_string(i));

  std::vector<Column> columns = columns_of(names, options, path);
  const std::int64_t n = Table(reader, columns, options).read(std::move(first));
  if (n == 0)
    throw ParseError(options.missing == Missing::drop
                         ? fmt::format("{}: no row has all its cells", path)
                         : fmt::format("{}: there are no rows below the names of the columns", path));

  Dataset dataset;
  std::vector<std::vector<float>> inputs, answers;
  for (const std::string& label : options.labels) answers.push_back(columns[find_column(columns, label, path)].numbers);
  for (Column& column : columns) {
    if (options.missing == Missing::mean && !column.missing.empty()) fill_with_mean(column, path);
    if (column.role == Role::class_name) dataset.classes = column.known.sort(column.whole);
    if (column.role == Role::class_name || column.role == Role::class_number) {
      dataset.y = from(column.whole, {n});
    } else if (column.role == Role::answer) {
      if (options.labels.empty()) answers.push_back(std::move(column.numbers));
    } else if (!column.words) {
      dataset.features.push_back(column.name);
      inputs.push_back(std::move(column.numbers));
    } else {
      const std::vector<std::string>& words = dataset.categories[column.name] = column.known.sort(column.whole);
      if (!options.one_hot) {
        dataset.features.push_back(column.name);
        inputs.emplace_back(column.whole.begin(), column.whole.end());
        continue;
      }
      if (words.size() > most_one_hot)
        throw UsageError(fmt::format("{}: column \"{}\" holds {} words, and one_hot makes {} columns of it at most",
                                     path, shown(column.name), words.size(), most_one_hot));
      for (std::size_t word = 0; word < words.size(); ++word) {
        dataset.features.push_back(column.name + "=" + words[word]);
        std::vector<float>& is_word = inputs.emplace_back();
        for (const std::int64_t number : column.whole)
          is_word.push_back(number == static_cast<std::int64_t>(word) ? 1.0F : 0.0F);
      }
    }
  }
  dataset.x = beside_each_other(inputs, n);
  if (!answers.empty()) dataset.y = beside_each_other(answers, n);
  return dataset;
}

}  // namespace ebb::data
