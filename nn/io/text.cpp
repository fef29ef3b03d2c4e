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

std::size_t character_bytes(std::string_view text) {
  const auto byte = [&](std::size_t i) { return i < text.size() ? static_cast<unsigned char>(text[i]) : 0u; };
  const auto within = [](unsigned b, unsigned low, unsigned high) { return low <= b && b <= high; };
  const unsigned first = byte(0);
  const std::size_t bytes = within(first, 0x00, 0x7F)   ? 1
                            : within(first, 0xC2, 0xDF) ? 2
                            : within(first, 0xE0, 0xEF) ? 3
                            : within(first, 0xF0, 0xF4) ? 4
                                                        : 0;
  // Not what fewer bytes can say, no halves of pairs, nothing beyond 10FFFF.
  const unsigned low = first == 0xE0 ? 0xA0 : first == 0xF0 ? 0x90 : 0x80;
  const unsigned high = first == 0xED ? 0x9F : first == 0xF4 ? 0x8F : 0xBF;
  if (text.empty() || (bytes > 1 && !within(byte(1), low, high))) return 0;
  for (std::size_t i = 2; i < bytes; ++i)
    if (!within(byte(i), 0x80, 0xBF)) return 0;
  return bytes;
}

}  // namespace ebb::io
