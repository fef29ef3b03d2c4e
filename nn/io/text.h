// Other people's text in messages.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace ebb::io {

/// At most 64 bytes of it, and nothing that a terminal would obey.
std::string shown(std::string_view text);

/// "a, b, c (+2 more)": at most so many of them.
std::string listed(const std::vector<std::string>& items, std::size_t most);

}  // namespace ebb::io
