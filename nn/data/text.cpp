#include "text.h"

#include "../io/source.h"

namespace ebb::data {

std::string read_text(const std::string& path) {
  std::string text = io::read_unpacked(path, std::uint64_t{1} << 30);
  if (text.starts_with("\xEF\xBB\xBF")) text.erase(0, 3);
  return text;
}

}  // namespace ebb::data
