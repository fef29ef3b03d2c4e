// Zip archives, as far as .npz files need them.
#pragma once

#include "source.h"

#include <cstdint>
#include <deque>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace ebb::io {

/// A file in an archive; `bytes` are within the archive's.
struct ZipEntry {
  std::string name;
  std::string_view bytes;
  Packing packing = Packing::none;
  std::uint32_t crc = 0;
};

/// The files in an archive, stored or deflated, in the order of its directory.  `path` is for messages.
/// Throws ParseError if it is not what the format says: all places are checked, and no two files may share bytes.
std::vector<ZipEntry> zip_entries(std::string_view archive, const std::string& path);

/// Puts an archive together.
class ZipWriter {
 public:
  /// `asked` begins its messages.
  explicit ZipWriter(std::string asked) : asked_(std::move(asked)) {}

  /// Adds a file of a head and a body; the body must live until the archive is written.
  /// Throws UsageError for a name that an archive cannot hold, and where 4 GiB or 65,535 files are reached.
  void add(const std::string& name, std::string head, std::span<const char> body, bool compress);

  /// What has been added, to be written before directory().
  const std::vector<std::span<const char>>& parts() const { return parts_; }
  /// What ends the archive.
  std::string directory() const;

 private:
  std::string asked_;
  std::deque<std::string> own_;  // what parts_ see does not move
  std::vector<std::span<const char>> parts_;
  std::string directory_;
  std::uint64_t size_ = 0;
  std::uint16_t files_ = 0;
};

}  // namespace ebb::io
