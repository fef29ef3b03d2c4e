#include "text.h"

#include <fmt/format.h>

#include <algorithm>

namespace ebb::io {

std::string shown(std::string_view text) {
  constexpr std::size_t most = 64;
  std::string out;
  for (const char c : text.substr(0, most)) out += static_cast<unsigned char>(c) < 0x20 || c == 0x7f ? '?' : c;
  return text.size() > most ? out + "..." : out;
}

std::string listed(const std::vector<std::string>& items, std::size_t most) {
  const std::size_t first = std::min(items.size(), most);
  const std::string text = fmt::format("{}", fmt::join(items.begin(), items.begin() + std::ptrdiff_t(first), ", "));
  return items.size() > first ? fmt::format("{} (+{} more)", text, items.size() - first) : text;
}

}  // namespace ebb::io
