#include "history.h"

#include "../autograd/error.h"
#include "../nn/io/file.h"
#include "../nn/io/text.h"
#include "plot.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>

namespace ebb::optim {

namespace {

/// What stands under a name in a list of pairs.
template <class Pairs> const auto& find(const Pairs& pairs, std::string_view name, const char* who) {
  std::string names;
  for (const auto& pair : pairs) {
    if (pair.first == name) return pair.second;
    names += (names.empty() ? "" : ", ") + pair.first;
  }
  throw UsageError(fmt::format("{}: there is no \"{}\"; there are: {}", who, name, names.empty() ? "none" : names));
}

}  // namespace

double Scores::operator[](std::string_view name) const { return find(readings_, name, "Scores"); }

const std::vector<double>& History::operator[](std::string_view name) const { return find(columns_, name, "History"); }

std::vector<std::string> History::names() const {
  std::vector<std::string> names;
  for (const auto& column : columns_) names.push_back(column.first);
  return names;
}

void History::add(std::span<const Reading> epoch) {
  if (columns_.empty()) {
    for (std::size_t i = 0; i < epoch.size(); ++i)
      for (std::size_t j = 0; j < i; ++j)
        if (epoch[i].first == epoch[j].first)
          throw UsageError(fmt::format("History: an epoch has two readings \"{}\"", io::shown(epoch[i].first)));
    for (const Reading& reading : epoch) columns_.push_back({reading.first, {}});
  }
  const auto same = [](const auto& column, const Reading& reading) { return column.first == reading.first; };
  if (!std::equal(columns_.begin(), columns_.end(), epoch.begin(), epoch.end(), same))
    throw UsageError(
        fmt::format("History: an epoch has other names than those before, which are: {}", fmt::join(names(), ", ")));
  for (std::size_t i = 0; i < epoch.size(); ++i) columns_[i].second.push_back(epoch[i].second);
}

void History::svg(const std::string& path) const {
  if (epochs() == 0) throw UsageError("History::svg: there are no epochs to draw");
  const auto is_seconds = [](const auto& column) { return column.first == "seconds"; };
  if (std::all_of(columns_.begin(), columns_.end(), is_seconds))
    throw UsageError("History::svg: there is nothing but seconds to draw");
  const std::string text = plot(*this);
  const std::span<const char> parts[] = {text};
  io::replace_file(path, parts);
}

void History::csv(const std::string& path) const {
  if (epochs() == 0) throw UsageError("History::csv: there are no epochs to write");
  std::string text = csv_head(names());
  for (std::size_t epoch = 0; epoch < static_cast<std::size_t>(epochs()); ++epoch) {
    std::vector<Reading> readings;
    for (const auto& [name, values] : columns_) readings.emplace_back(name, values[epoch]);
    text += csv_row(static_cast<std::int64_t>(epoch) + 1, readings);
  }
  const std::span<const char> parts[] = {text};
  io::replace_file(path, parts);
}

io::Tensors History::state() const {
  io::Tensors state;
  for (std::size_t place = 0; place < columns_.size(); ++place)  // which says their order
    state.emplace(fmt::format("{}.{}", place, columns_[place].first), from(columns_[place].second, {epochs()}));
  return state;
}

void History::load_state(const io::Tensors& state) {
  std::vector<std::pair<std::string, std::vector<double>>> columns(state.size());
  for (const auto& [key, values] : state) {
    const std::size_t dot = key.find('.');
    std::size_t place = state.size();
    if (dot != std::string::npos) std::from_chars(key.data(), key.data() + dot, place);
    const bool good = place < state.size() && dot + 1 < key.size() && columns[place].first.empty() &&
                      values.dtype() == f64 && values.rank() == 1 && values.size() > 0 &&
                      values.size() == state.begin()->second.size();
    if (!good) throw UsageError(fmt::format("History::load_state: \"{}\" is no column of a history", io::shown(key)));
    const std::string name = key.substr(dot + 1);
    if (std::any_of(columns.begin(), columns.end(), [&](const auto& column) { return column.first == name; }))
      throw UsageError(fmt::format("History::load_state: there are two columns \"{}\"", io::shown(name)));
    columns[place] = {name, values.to_vector<double>()};
  }
  columns_ = std::move(columns);
}

std::string csv_head(std::span<const std::string> names) {
  std::string line = "epoch";
  for (const std::string& name : names) {
    const bool quoted = name.find_first_of(",\"\r\n") != std::string::npos;
    std::string cell;
    for (const char c : name) cell += c == '"' ? "\"\"" : std::string(1, c);
    line += quoted ? ",\"" + cell + "\"" : "," + cell;
  }
  return line + "\r\n";
}

std::string csv_row(std::int64_t epoch, std::span<const Reading> readings) {
  std::string line = std::to_string(epoch);
  for (const Reading& reading : readings) line += fmt::format(",{}", reading.second);
  return line + "\r\n";
}

}  // namespace ebb::optim
