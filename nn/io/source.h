// The bytes of a file in their order, unpacked on the way.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace ebb::io {

enum class Packing { none, gzip, deflate };

constexpr std::uint64_t tightest = 1032;  ///< deflate packs at most so many bytes into one

/// How a file is packed: gzip is known by its first two bytes, whatever the file is called.
Packing packing_of(std::string_view bytes);

/// Reads bytes one after the other, and asks for no memory: what they claim can be judged before they are believed.
class Source {
 public:
  /// `bytes` must outlive it; `name` is the file's in messages; `crc` the checksum that all unpacked bytes must have.
  Source(std::string_view bytes, Packing packing, std::string name, std::optional<std::uint32_t> crc = {});
  ~Source();
  Source(const Source&) = delete;
  Source& operator=(const Source&) = delete;

  /// Fills `to` and returns how many bytes came: fewer only where they end.
  /// Throws ParseError if the packed data are damaged, cut, or followed by something else, or the checksum is another.
  std::size_t read(std::span<char> to);

  const std::string& name() const { return name_; }
  /// How many bytes have come.
  std::uint64_t position() const { return position_; }
  bool packed() const { return inflater_ != nullptr; }
  /// No more than these can still come.
  std::uint64_t most_left() const;

 private:
  struct Inflater;

  std::string_view left_;
  std::size_t whole_;
  std::string name_;
  std::uint64_t position_ = 0;
  std::unique_ptr<Inflater> inflater_;
  std::optional<std::uint32_t> wanted_crc_;
  std::uint32_t crc_ = 0;
};

/// A whole file, unpacked if gzip packed it.
/// Throws IoError, and ParseError if the packed data are damaged or hold more than `most` bytes.
std::string read_unpacked(const std::string& path, std::uint64_t most);

}  // namespace ebb::io
