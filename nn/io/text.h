// Other people's text.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace ebb::io {

/// At most 64 bytes of it, and nothing that a terminal would obey.
std::string shown(std::string_view text);

/// "a, b, c (+2 more)": at most so many of them.
std::string listed(const std::vector<std::string>& items, std::size_t most);

/// How many bytes the UTF-8 character at the beginning of a text takes; 0 if none begins there.
/// Source: The Unicode Standard 15.0, table 3-7, "Well-Formed UTF-8 Byte Sequences".
std::size_t character_bytes(std::string_view text);

}  // namespace ebb::io
