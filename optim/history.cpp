#include "history.h"

#include "../autograd/error.h"

#include <fmt/format.h>

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
  if (columns_.empty())
    for (const Reading& reading : epoch) columns_.push_back({reading.first, {}});
  for (std::size_t i = 0; i < epoch.size(); ++i) columns_[i].second.push_back(epoch[i].second);
}

}  // namespace ebb::optim
