// JSON that anybody may have written: read one node at a time, within bounds, each complaint with its place.
#pragma once

#include "../../autograd/error.h"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <array>
#include <cstdint>
#include <functional>
#include <limits>
#include <string>
#include <string_view>
#include <vector>

namespace ebb::graphviz {

using Json = nlohmann::json;

/// A value with its place in the file; what it is asked for and is not throws ParseError: "nodes[17].in[1].id: ...".
class Value {
 public:
  /// The whole of what was read at a place.
  Value(const Json& json, std::string_view place) : json_(json), name_(place) {}

  [[noreturn]] void fail(std::string_view what) const;
  bool has(const char* key) const { return json_.contains(key); }
  /// Good for as long as this value is.
  Value operator[](const char* key) const;

  bool flag() const;
  std::int64_t integer(std::int64_t least, std::int64_t most) const;
  std::uint32_t id() const { return static_cast<std::uint32_t>(integer(0, std::numeric_limits<std::uint32_t>::max())); }
  /// Also "nan", "inf" and "-inf".
  double number() const;
  const std::string& text() const;
  bool is(std::string_view text) const { return json_.is_string() && json_.get_ref<const std::string&>() == text; }
  /// The position of its text among the known.
  template <std::size_t n> std::size_t one_of(const std::array<const char*, n>& known) const {
    const auto found = std::find(known.begin(), known.end(), text());
    if (found == known.end()) fail(fmt::format("is none of {}", fmt::join(known, ", ")));
    return static_cast<std::size_t>(found - known.begin());
  }
  template <class F> void each(F&& f) const {
    if (!json_.is_array()) fail("is no list");
    for (std::size_t i = 0; i < json_.size(); ++i) f(Value(json_[i], this, "", i));
  }

 private:
  Value(const Json& json, const Value* holder, std::string_view name, std::size_t position)
      : json_(json), holder_(holder), name_(name), position_(position) {}
  std::string place() const;

  const Json& json_;
  const Value* holder_ = nullptr;
  std::string_view name_;  // in an object; empty: of a list, at the position
  std::size_t position_ = 0;
};

/// The objects of the list that the top-level object has under a key are handed over as they are read, the rest is kept:
/// a large file is never a tree in memory.
class OneList : public nlohmann::json_sax<Json> {
 public:
  /// `begin` is called before the first of them, with the rest as far as it was read.
  OneList(std::string list, std::function<void(const Json& rest)> begin,
          std::function<void(const Json& one, std::size_t position)> each)
      : list_(std::move(list)), begin_(std::move(begin)), each_(std::move(each)) {}

  /// Throws ParseError where the text is no JSON, nests deeper than any trace, holds a key twice, or packs more into one
  /// object of the list than memory should hold; and what the functions throw.
  Json read(std::string_view text);

  bool null() override { return add(nullptr); }
  bool boolean(bool value) override { return add(value); }
  bool number_integer(std::int64_t value) override { return add(value); }
  bool number_unsigned(std::uint64_t value) override { return add(value); }
  bool number_float(double value, const std::string&) override { return add(value); }
  bool string(std::string& value) override { return add(std::move(value)); }
  bool binary(Json::binary_t&) override { return false; }  // not in text
  bool start_object(std::size_t) override { return open(Json::object()); }
  bool start_array(std::size_t) override { return open(Json::array()); }
  bool end_object() override { return close(); }
  bool end_array() override { return close(); }
  bool key(std::string& name) override;
  bool parse_error(std::size_t position, const std::string& token, const nlohmann::detail::exception& error) override;

 private:
  bool add(Json value);
  bool open(Json empty);
  bool close();
  bool in_list() const { return open_.size() >= 2 && open_[1] == listed_ && listed_ != nullptr; }
  std::string place(std::size_t levels) const;  // of what is being read, by so many of its keys and positions

  std::string list_;
  std::function<void(const Json&)> begin_;
  std::function<void(const Json&, std::size_t)> each_;
  Json all_;
  std::vector<Json*> open_;         // objects and lists that have not ended, the outermost first
  std::vector<std::string> names_;  // of each that is open: the last key in it
  const Json* listed_ = nullptr;    // the list, once it began
  std::size_t handed_ = 0, values_ = 0;
  std::string_view text_;
};

}  // namespace ebb::graphviz
