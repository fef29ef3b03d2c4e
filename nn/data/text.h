// Text as training data.
#pragma once

#include <cstdint>
#include <string>

namespace ebb::data {

/// The bytes of a text file, gzip-packed or not, without a byte order mark.
/// Throws IoError if it cannot be read, ParseError if it is damaged or longer than `most` bytes.
std::string read_text(const std::string& path, std::int64_t most = std::int64_t{1} << 30);

}  // namespace ebb::data
