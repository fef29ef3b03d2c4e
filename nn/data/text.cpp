#include "text.h"

#include "../io/source.h"

#include <algorithm>

namespace ebb::data {

std::string read_text(const std::string& path, std::int64_t most) {
  std::string text = io::read_unpacked(path, static_cast<std::uint64_t>(std::max<std::int64_t>(most, 0)));
  if (text.starts_with("\xEF\xBB\xBF")) text.erase(0, 3);
  return text;
}

}  // namespace ebb::data
