// Text as training data.
#pragma once

#include "../../autograd/tensor.h"

#include <cstdint>
#include <functional>
#include <iterator>
#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace ebb::data {

/// The bytes of a text file, gzip-packed or not, without a byte order mark.
/// Throws IoError if it cannot be read, ParseError if what is packed is damaged or holds more than 1 GiB.
std::string read_text(const std::string& path);

/// What a text is cut into.
enum class Symbols {
  characters,  ///< code points of UTF-8; a byte that belongs to none is a symbol too, so that nothing is lost
  words        ///< runs of letters, digits, _, ' and what is not ASCII; every other visible character; spaces separate
};

struct VocabularyOptions {
  Symbols symbols = Symbols::characters;
  std::int64_t most = 0;     ///< only so many, those that come most often; 0: all
  std::string unknown = {};  ///< stands for all others, e.g. "<unk>", as number 0; if it is empty they are refused
};

/// The symbols of a text and their numbers: 0, 1, ... in the order of their bytes.
class Vocabulary {
 public:
  /// Of all symbols in the text.  Throws UsageError if there are none, or `most` is negative or leaves some out while
  /// nothing stands for the unknown.
  explicit Vocabulary(std::string_view text, const VocabularyOptions& options = {});
  /// Of these, in this order: symbols() of another one.  Throws UsageError if one is empty or comes twice.
  static Vocabulary listed(std::vector<std::string> symbols, const VocabularyOptions& options = {});

  std::int64_t size() const { return std::ssize(list_); }
  /// By number.
  const std::vector<std::string>& symbols() const { return list_; }
  /// Throws UsageError for a symbol that is not known, unless something stands for such.
  std::int64_t number(std::string_view symbol) const;

  /// The text's symbols by number: [n] i64.  Throws UsageError as number() does.
  Tensor encode(std::string_view text) const;
  /// The text of numbers, i64 of any shape; words come back with spaces between them.  Throws IndexError, DTypeError.
  std::string decode(const Tensor& numbers) const;

 private:
  Vocabulary() = default;
  void add(std::string symbol);

  VocabularyOptions options_;
  std::vector<std::string> list_;
  std::map<std::string, std::int64_t, std::less<>> numbers_;
};

}  // namespace ebb::data
