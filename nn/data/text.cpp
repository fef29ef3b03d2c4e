#include "text.h"

#include "../../autograd/error.h"
#include "../io/source.h"
#include "../io/text.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <utility>

namespace ebb::data {

namespace {

bool is_space(char c) { return c == ' ' || (c >= '\t' && c <= '\r'); }
bool is_in_word(char c) {
  return (c & 0x80) != 0 || (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' ||
         c == '\'';
}

std::size_t word_bytes(std::string_view text) {
  const auto end = std::find_if_not(text.begin(), text.end(), is_in_word);
  return std::max<std::size_t>(static_cast<std::size_t>(end - text.begin()), 1);
}

/// Calls take(symbol) for each symbol of a text, in order.
template <class Take> void each_symbol(std::string_view text, Symbols symbols, const Take& take) {
  while (!text.empty()) {
    if (symbols == Symbols::words && is_space(text[0])) {
      text.remove_prefix(1);
      continue;
    }
    const std::size_t bytes =
        symbols == Symbols::words ? word_bytes(text) : std::max<std::size_t>(io::character_bytes(text), 1);
    take(text.substr(0, bytes));
    text.remove_prefix(bytes);
  }
}

}  // namespace

std::string read_text(const std::string& path) {
  std::string text = io::read_unpacked(path, std::uint64_t{1} << 30);
  if (text.starts_with("\xEF\xBB\xBF")) text.erase(0, 3);
  return text;
}

Vocabulary::Vocabulary(std::string_view text, const VocabularyOptions& options) : options_(options) {
  if (options.most < 0)
    throw UsageError(fmt::format("Vocabulary: it keeps 1 symbol or more, or with 0 all, got most = {}", options.most));
  std::map<std::string, std::int64_t, std::less<>> counts;
  each_symbol(text, options.symbols, [&](std::string_view symbol) {
    const auto found = counts.find(symbol);
    if (found != counts.end()) ++found->second;
    else counts.emplace(symbol, 1);
  });
  if (counts.empty()) throw UsageError("Vocabulary: there is no symbol in the text");

  std::vector<std::pair<std::int64_t, std::string>> kept;  // those that come more often first
  for (auto& [symbol, count] : counts) kept.emplace_back(-count, symbol);
  if (options.most > 0 && options.most < std::ssize(kept)) {
    if (options.unknown.empty())
      throw UsageError(
          fmt::format("Vocabulary: most = {} of {} symbols, and nothing stands for the others\n"
                      "  help: name it, e.g. .unknown = \"<unk>\"",
                      options.most, kept.size()));
    std::sort(kept.begin(), kept.end());
    kept.resize(static_cast<std::size_t>(options.most));
    std::sort(kept.begin(), kept.end(), [](const auto& a, const auto& b) { return a.second < b.second; });
  }
  if (!options.unknown.empty()) add(options.unknown);
  for (auto& [count, symbol] : kept)
    if (symbol != options.unknown) add(std::move(symbol));
}

Vocabulary Vocabulary::listed(std::vector<std::string> symbols, const VocabularyOptions& options) {
  Vocabulary made;
  made.options_ = options;
  if (!options.unknown.empty() && (symbols.empty() || symbols[0] != options.unknown))
    throw UsageError(fmt::format("Vocabulary: the list must begin with \"{}\", which stands for the unknown",
                                 io::shown(options.unknown)));
  for (std::string& symbol : symbols) made.add(std::move(symbol));
  if (made.list_.empty()) throw UsageError("Vocabulary: there is no symbol in the list");
  return made;
}

void Vocabulary::add(std::string symbol) {
  if (symbol.empty()) throw UsageError("Vocabulary: a symbol is empty");
  if (!numbers_.emplace(symbol, size()).second)
    throw UsageError(fmt::format("Vocabulary: \"{}\" comes twice", io::shown(symbol)));
  list_.push_back(std::move(symbol));
}

std::int64_t Vocabulary::number(std::string_view symbol) const {
  if (const auto found = numbers_.find(symbol); found != numbers_.end()) return found->second;
  if (options_.unknown.empty())
    throw UsageError(fmt::format("Vocabulary: \"{}\" is none of its {} symbols", io::shown(symbol), size()));
  return 0;
}

Tensor Vocabulary::encode(std::string_view text) const {
  std::vector<std::int64_t> numbers;
  each_symbol(text, options_.symbols, [&](std::string_view symbol) { numbers.push_back(number(symbol)); });
  return from(numbers, {std::ssize(numbers)});
}

std::string Vocabulary::decode(const Tensor& numbers) const {
  if (numbers.dtype() != i64)
    throw DTypeError(
        fmt::format("Vocabulary::decode: symbols have numbers of i64, not {}", to_string(numbers.dtype())));
  std::string text;
  for (const std::int64_t number : numbers.to_vector<std::int64_t>()) {
    if (number < 0 || number >= size())
      throw IndexError(fmt::format("Vocabulary::decode: there is no symbol {} of {}", number, size()));
    if (options_.symbols == Symbols::words && !text.empty()) text += ' ';
    text += list_[static_cast<std::size_t>(number)];
  }
  return text;
}

}  // namespace ebb::data
