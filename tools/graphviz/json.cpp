#include "json.h"

#include "text.h"

#include <cmath>

namespace ebb::graphviz {

namespace {

constexpr std::size_t most_deep = 16;
constexpr std::size_t most_values = std::size_t{1} << 20;  // in one object of the list, and in all the rest

}  // namespace

// ---- values ---------------------------------------------------------------------------------------------------------

std::string Value::place() const {
  if (holder_ == nullptr) return std::string(name_);
  const std::string before = holder_->place();
  if (name_.empty()) return fmt::format("{}[{}]", before, position_);
  return before.empty() ? std::string(name_) : fmt::format("{}.{}", before, name_);
}

void Value::fail(std::string_view what) const {
  const std::string where = place();
  throw ParseError(fmt::format("{}: {}", where.empty() ? "the trace" : where, what));
}

Value Value::operator[](const char* key) const {
  if (!json_.is_object()) fail("is no object");
  const auto found = json_.find(key);
  if (found == json_.end()) fail(fmt::format("has no \"{}\"", key));
  return {*found, this, key, 0};
}

bool Value::flag() const {
  if (!json_.is_boolean()) fail("is neither true nor false");
  return json_.get<bool>();
}

std::int64_t Value::integer(std::int64_t least, std::int64_t most) const {
  constexpr auto top = static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max());
  const bool fits = json_.is_number_integer() && (!json_.is_number_unsigned() || json_.get<std::uint64_t>() <= top);
  const std::int64_t n = fits ? json_.get<std::int64_t>() : 0;
  if (!fits || n < least || n > most) fail(fmt::format("is no whole number from {} to {}", least, most));
  return n;
}

double Value::number() const {
  if (is("nan")) return std::numeric_limits<double>::quiet_NaN();
  if (is("inf")) return std::numeric_limits<double>::infinity();
  if (is("-inf")) return -std::numeric_limits<double>::infinity();
  if (!json_.is_number()) fail("is no number");
  return json_.get<double>();
}

const std::string& Value::text() const {
  if (!json_.is_string()) fail("is no text");
  return json_.get_ref<const std::string&>();
}

// ---- reading --------------------------------------------------------------------------------------------------------

Json OneList::read(std::string_view text) {
  text_ = text;
  if (text.empty()) throw ParseError("the file is empty");
  Json::sax_parse(text.begin(), text.end(), this);
  if (!all_.is_object()) throw ParseError("the trace: is no object");
  if (listed_ == nullptr) begin_(all_);
  return std::move(all_);
}

std::string OneList::place(std::size_t levels) const {
  std::string all;
  for (std::size_t i = 0; i < levels; ++i) {
    const std::size_t begun = i + 1 < open_.size() ? 1 : 0;  // the last one is in its list already
    if (i == 1 && in_list()) all += fmt::format("[{}]", handed_);
    else if (open_[i]->is_array()) all += fmt::format("[{}]", open_[i]->size() - begun);
    else all += (all.empty() ? "" : ".") + shorten(names_[i], 40);
  }
  return all.empty() ? "the trace" : all;
}

bool OneList::add(Json value) {
  if (++values_ > most_values)
    throw ParseError(fmt::format("{}: holds more than {} values", place(in_list() ? 2 : 0), thousands(most_values)));
  if (open_.empty()) {
    all_ = std::move(value);
  } else if (open_.size() == 2 && in_list() && !value.is_object()) {
    throw ParseError(fmt::format("{}: is no object", place(2)));
  } else if (open_.back()->is_array()) {
    open_.back()->push_back(std::move(value));
  } else {
    (*open_.back())[names_.back()] = std::move(value);
  }
  return true;
}

bool OneList::open(Json empty) {
  if (open_.size() >= most_deep)
    throw ParseError(fmt::format("{}: nests deeper than {} levels", place(in_list() ? 2 : 0), most_deep));
  const bool is_list = open_.size() == 1 && empty.is_array() && names_.back() == list_;
  add(std::move(empty));
  Json* const made = open_.empty()              ? &all_
                     : open_.back()->is_array() ? &open_.back()->back()
                                                : &(*open_.back())[names_.back()];
  open_.push_back(made);
  names_.emplace_back();
  if (is_list) {
    listed_ = made;
    begin_(all_);
  }
  return true;
}

bool OneList::close() {
  const bool ends_one = open_.size() == 3 && in_list();
  if (ends_one) each_(*open_.back(), handed_);
  open_.pop_back();
  names_.pop_back();
  if (ends_one) {
    open_.back()->clear();
    ++handed_;
    values_ = 0;
  }
  return true;
}

bool OneList::key(std::string& name) {
  names_.back() = std::move(name);
  if (open_.back()->contains(names_.back())) throw ParseError(fmt::format("{}: comes twice", place(open_.size())));
  return true;
}

bool OneList::parse_error(std::size_t position, const std::string&, const nlohmann::detail::exception& error) {
  const std::size_t end = std::min(position, text_.size());
  const std::string_view before = text_.substr(0, end);
  const auto line = std::count(before.begin(), before.end(), '\n') + 1;
  constexpr int out_of_range = 406;
  throw ParseError(fmt::format("line {}, byte {}: {}", line, end,
                               error.id == out_of_range ? "a number is too large"
                               : end == text_.size()    ? "the JSON ends too soon, or badly"
                                                        : "this is no JSON"));
}

}  // namespace ebb::graphviz
