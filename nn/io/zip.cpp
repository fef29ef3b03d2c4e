// The format: files, each behind a header of its own; the directory, one record for each file; and the record that ends
// the archive and says where the directory is.  Numbers are little-endian.  What does not fit 16 or 32 bits says so with
// all bits set and stands in the wider records that ZIP64 added.
// Source: PKWARE, "APPNOTE.TXT - .ZIP File Format Specification", version 6.3.
#include "zip.h"

#include "../../autograd/error.h"
#include "text.h"

#include <fmt/format.h>
#include <zlib.h>

#include <algorithm>
#include <array>
#include <limits>

namespace ebb::io {

namespace {

constexpr std::string_view file_mark = "PK\3\4", directory_mark = "PK\1\2", end_mark = "PK\5\6",
                           wide_end_mark = "PK\6\6", wide_place_mark = "PK\6\7";
constexpr std::size_t file_bytes = 30, directory_bytes = 46, end_bytes = 22, wide_end_bytes = 56, wide_place_bytes = 20;
constexpr std::uint64_t none16 = 0xFFFF, none32 = 0xFFFFFFFF;
constexpr std::size_t longest_name = 4096;

/// A record of an archive, wholly inside of it.
class Record {
 public:
  Record(std::string_view archive, std::uint64_t at, std::size_t bytes, std::string_view mark,
         const std::string& path) {
    if (at > archive.size() || bytes > archive.size() - at)
      throw ParseError(fmt::format("{}: a record of the archive needs bytes [{}, {}) but the file ends at {}", path, at,
                                   at + bytes, archive.size()));
    if (!archive.substr(at).starts_with(mark))
      throw ParseError(fmt::format("{}: no record of the archive stands at byte {}, where one should", path, at));
    bytes_ = archive.substr(at, bytes);
  }
  std::uint64_t number(std::size_t at, std::size_t bytes) const {
    std::uint64_t n = 0;
    for (std::size_t i = bytes; i-- > 0;) n = n << 8 | static_cast<unsigned char>(bytes_[at + i]);
    return n;
  }

 private:
  std::string_view bytes_;
};

/// Where the directory is.
struct Directory {
  std::uint64_t begin, bytes, files;
};

Directory find_directory(std::string_view archive, const std::string& path) {
  const std::size_t last =
      archive.size() < end_bytes ? std::string_view::npos : archive.rfind(end_mark, archive.size() - end_bytes);
  if (last == std::string_view::npos || archive.size() - last > end_bytes + none16)
    throw ParseError(fmt::format("{}: it has no end of a zip archive: another format, or a truncated copy?", path));
  const Record end(archive, last, end_bytes, end_mark, path);
  if (end.number(20, 2) != archive.size() - last - end_bytes)
    throw ParseError(fmt::format("{}: the comment that ends the archive at byte {} is not as long as it says", path,
                                 last + end_bytes));
  Directory d{end.number(16, 4), end.number(12, 4), end.number(10, 2)};
  if (last >= wide_place_bytes && archive.substr(last - wide_place_bytes).starts_with(wide_place_mark)) {
    const Record place(archive, last - wide_place_bytes, wide_place_bytes, wide_place_mark, path);
    const Record wide(archive, place.number(8, 8), wide_end_bytes, wide_end_mark, path);
    d = {wide.number(48, 8), wide.number(40, 8), wide.number(32, 8)};
  }
  if (d.begin > last || d.bytes > last - d.begin || d.files > d.bytes / directory_bytes)
    throw ParseError(fmt::format("{}: a directory of {} files at bytes [{}, {} + {}) does not fit into the archive",
                                 path, d.files, d.begin, d.begin, d.bytes));
  return d;
}

/// What a directory's record says of a file.
struct Described {
  std::uint64_t packed, size, place;
};

/// Numbers that did not fit their record stand among its extra fields, in this order.
void widen(Described& d, std::string_view extra, const std::string& name) {
  while (extra.size() >= 4) {
    const auto byte = [&extra](std::size_t i) {
      return static_cast<std::size_t>(static_cast<unsigned char>(extra[i]));
    };
    const std::size_t kind = byte(0) | byte(1) << 8, bytes = byte(2) | byte(3) << 8;
    if (bytes > extra.size() - 4) break;
    std::size_t at = 4;
    for (std::uint64_t* n : {&d.size, &d.packed, &d.place})
      if (kind == 1 && *n == none32 && at + 8 <= 4 + bytes) {
        *n = 0;
        for (std::size_t i = 8; i-- > 0;) *n = *n << 8 | byte(at + i);
        at += 8;
      }
    extra.remove_prefix(4 + bytes);
  }
  if (d.size == none32 || d.packed == none32 || d.place == none32)
    throw ParseError(fmt::format("{}: its size or place is missing", name));
}

struct Placed {
  std::uint64_t begin, end;
  std::size_t entry;
};

std::string little_endian(std::initializer_list<std::pair<std::uint64_t, int>> numbers) {
  std::string bytes;
  for (auto [number, count] : numbers)
    for (; count > 0; --count, number >>= 8) bytes += static_cast<char>(number & 255);
  return bytes;
}

std::string deflated(std::span<const char> head, std::span<const char> body, const std::string& asked) {
  z_stream z{};
  if (deflateInit2(&z, Z_DEFAULT_COMPRESSION, Z_DEFLATED, -15, 8, Z_DEFAULT_STRATEGY) != Z_OK)
    throw UsageError(fmt::format("{}: there is no memory to compress", asked));
  std::string packed;
  std::array<char, 1 << 15> piece;
  const auto go = [&](std::span<const char> from, int flush) {
    z.next_in = const_cast<Bytef*>(reinterpret_cast<const Bytef*>(from.data()));
    z.avail_in = static_cast<uInt>(from.size());  // less than 4 GiB
    do {
      z.next_out = reinterpret_cast<Bytef*>(piece.data());
      z.avail_out = static_cast<uInt>(piece.size());
      deflate(&z, flush);
      packed.append(piece.data(), piece.size() - z.avail_out);
    } while (z.avail_out == 0);
  };
  go(head, Z_NO_FLUSH);
  go(body, Z_NO_FLUSH);
  go({}, Z_FINISH);
  deflateEnd(&z);
  return packed;
}

}  // namespace

std::vector<ZipEntry> zip_entries(std::string_view archive, const std::string& path) {
  const Directory directory = find_directory(archive, path);
  std::vector<ZipEntry> entries;
  std::vector<Placed> places;
  std::uint64_t at = directory.begin;
  for (std::uint64_t i = 0; i < directory.files; ++i) {
    const Record record(archive.substr(0, directory.begin + directory.bytes), at, directory_bytes, directory_mark,
                        path);
    const std::uint64_t flags = record.number(8, 2), method = record.number(10, 2);
    const auto crc = static_cast<std::uint32_t>(record.number(16, 4));
    const std::uint64_t name_bytes = record.number(28, 2), extra_bytes = record.number(30, 2);
    const std::uint64_t bytes = directory_bytes + name_bytes + extra_bytes + record.number(32, 2);
    if (bytes > directory.begin + directory.bytes - at)
      throw ParseError(fmt::format("{}: the record at byte {} is longer than the directory", path, at));
    const std::string name(archive.substr(at + directory_bytes, name_bytes));
    const std::string place = fmt::format("{}: {}", path, shown(name));
    if (name.size() > longest_name)
      throw ParseError(fmt::format("{}: a name of {} bytes; {} are the most", place, name.size(), longest_name));
    if ((flags & 1) != 0) throw ParseError(fmt::format("{}: it is encrypted", place));
    if (method != 0 && method != 8)
      throw ParseError(
          fmt::format("{}: it is packed by method {}; 0 (stored) and 8 (deflated) can be read", place, method));
    Described d{record.number(20, 4), record.number(24, 4), record.number(42, 4)};
    widen(d, archive.substr(at + directory_bytes + name_bytes, extra_bytes), place);

    const std::string_view files = archive.substr(0, directory.begin);
    const Record own(files, d.place, file_bytes, file_mark, place);
    const std::uint64_t begin = d.place + file_bytes + own.number(26, 2) + own.number(28, 2);
    if (begin > files.size() || d.packed > files.size() - begin)
      throw ParseError(fmt::format("{}: its {} bytes from {} on reach into the directory at {}", place, d.packed, begin,
                                   directory.begin));
    if (method == 0 && d.packed != d.size)
      throw ParseError(fmt::format("{}: it is stored, but as {} bytes of {}", place, d.packed, d.size));
    places.push_back({d.place, begin + d.packed, entries.size()});
    entries.push_back({name, files.substr(begin, d.packed), method == 0 ? Packing::none : Packing::deflate, crc});
    at += bytes;
  }

  std::sort(places.begin(), places.end(), [](const Placed& a, const Placed& b) { return a.begin < b.begin; });
  for (std::size_t i = 1; i < places.size(); ++i)
    if (places[i].begin < places[i - 1].end)
      throw ParseError(fmt::format("{}: {} begins at byte {}, inside of {}", path, shown(entries[places[i].entry].name),
                                   places[i].begin, shown(entries[places[i - 1].entry].name)));
  return entries;
}

void ZipWriter::add(const std::string& name, std::string head, std::span<const char> body, bool compress) {
  const auto control = [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; };
  if (name.empty() || name.size() > longest_name || std::any_of(name.begin(), name.end(), control))
    throw UsageError(fmt::format("{}: \"{}\" cannot be a name in an archive", asked_, shown(name)));
  const std::uint64_t bytes = head.size() + body.size();
  // Compressed it may become a little longer; headers and names come on top.
  if (size_ + directory_.size() + bytes + bytes / 1000 + 3 * longest_name >= none32 || files_ == none16 - 1)
    throw UsageError(fmt::format("{}: at \"{}\" the archive reaches 4 GiB or 65,535 files; write safetensors instead",
                                 asked_, shown(name)));

  const auto add_to = [](uLong crc, std::span<const char> part) {
    return crc32_z(crc, reinterpret_cast<const Bytef*>(part.data()), part.size());
  };
  const uLong crc = add_to(add_to(crc32_z(0, nullptr, 0), head), body);
  if (compress) {
    head = deflated(head, body, asked_);
    body = {};
  }
  const bool ascii = std::none_of(name.begin(), name.end(), [](char c) { return (c & 0x80) != 0; });
  const auto record = [&](std::string_view mark, std::string_view before, std::string_view behind) {
    // Version 2.0 can read it; bit 11 says that names are UTF-8; the time is the format's first, so that the same arrays
    // give the same bytes.
    return fmt::format("{}{}{}{}{}", mark, before,
                       little_endian({{20, 2},
                                      {ascii ? 0u : 1u << 11, 2},
                                      {compress ? 8u : 0u, 2},
                                      {0x210000, 4},
                                      {crc, 4},
                                      {head.size() + body.size(), 4},
                                      {bytes, 4},
                                      {name.size(), 2},
                                      {0, 2}}),
                       behind, name);
  };
  const std::string own = record(file_mark, "", "");
  directory_ += record(directory_mark, little_endian({{20, 2}}), little_endian({{0, 10}, {size_, 4}}));
  ++files_;
  size_ += own.size() + head.size() + body.size();
  parts_.emplace_back(own_.emplace_back(own + head));
  if (!body.empty()) parts_.push_back(body);
}

std::string ZipWriter::directory() const {
  return directory_ + std::string(end_mark) +
         little_endian({{0, 2}, {0, 2}, {files_, 2}, {files_, 2}, {directory_.size(), 4}, {size_, 4}, {0, 2}});
}

}  // namespace ebb::io
