// Text as training data.
#pragma once

#include <cstdint>
#include <string>

namespace ebb::data {

/// The bytes of a text file, gzip-packed or not, without a byte order mark.
/// Throws IoError if it cannot be read, ParseError if what is packed is damaged or holds more than 1 GiB.
std::string read_text(const std::string& path);

}  // namespace ebb::data
