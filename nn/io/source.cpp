#include "source.h"

#include "../../autograd/error.h"
#include "file.h"

#include <fmt/format.h>
#include <zlib.h>

#include <algorithm>
#include <array>
#include <cstring>

namespace ebb::io {

namespace {

constexpr std::string_view gzip_magic = "\x1f\x8b";

uInt piece(std::size_t bytes) { return static_cast<uInt>(std::min<std::size_t>(bytes, 1u << 30)); }

}  // namespace

Packing packing_of(std::string_view bytes) { return bytes.starts_with(gzip_magic) ? Packing::gzip : Packing::none; }

struct Source::Inflater {
  z_stream stream{};
  bool gzip, ended = false;

  Inflater(bool with_gzip_header, const std::string& name) : gzip(with_gzip_header) {
    if (inflateInit2(&stream, gzip ? 15 + 16 : -15) != Z_OK)
      throw IoError(fmt::format("{}: there is no memory to unpack it", name));
  }
  ~Inflater() { inflateEnd(&stream); }
  Inflater(const Inflater&) = delete;
  Inflater& operator=(const Inflater&) = delete;
};

Source::Source(std::string_view bytes, Packing packing, std::string name, std::optional<std::uint32_t> crc)
    : left_(bytes), whole_(bytes.size()), name_(std::move(name)), wanted_crc_(crc) {
  if (packing != Packing::none) inflater_ = std::make_unique<Inflater>(packing == Packing::gzip, name_);
}

Source::~Source() = default;

std::uint64_t Source::most_left() const {
  if (!inflater_) return left_.size();
  // What zlib has taken in but not yet given out is its window at most, and the symbol that it is at.
  return (left_.size() + 64) * tightest + (1u << 16);
}

std::size_t Source::read(std::span<char> to) {
  std::size_t got = 0;
  if (!inflater_) {
    got = std::min(to.size(), left_.size());
    if (got != 0) std::memcpy(to.data(), left_.data(), got);
    left_.remove_prefix(got);
  }
  while (inflater_ && got < to.size() && !inflater_->ended) {
    z_stream& z = inflater_->stream;
    const uInt in = piece(left_.size()), out = piece(to.size() - got);
    z.next_in = const_cast<Bytef*>(reinterpret_cast<const Bytef*>(left_.data()));
    z.avail_in = in;
    z.next_out = reinterpret_cast<Bytef*>(to.data() + got);
    z.avail_out = out;
    const int result = inflate(&z, Z_NO_FLUSH);
    left_.remove_prefix(in - z.avail_in);
    got += out - z.avail_out;
    if (result == Z_OK) continue;
    if (result == Z_BUF_ERROR)
      throw ParseError(
          fmt::format("{}: the packed data end at byte {} before they are whole: truncated copy?", name_, whole_));
    if (result == Z_MEM_ERROR) throw IoError(fmt::format("{}: there is no memory to unpack it", name_));
    if (result != Z_STREAM_END)
      throw ParseError(fmt::format("{}: the packed data are damaged before byte {}", name_, whole_ - left_.size()));
    if (inflater_->gzip && left_.starts_with(gzip_magic)) inflateReset(&z);  // a file may be several, one after another
    else if (left_.empty()) inflater_->ended = true;
    else throw ParseError(fmt::format("{}: {} bytes follow the packed data", name_, left_.size()));
  }
  position_ += got;
  if (wanted_crc_) {
    crc_ = static_cast<std::uint32_t>(crc32_z(crc_, reinterpret_cast<const Bytef*>(to.data()), got));
    if (got < to.size() && crc_ != *wanted_crc_)
      throw ParseError(
          fmt::format("{}: its bytes are damaged: their checksum is {:08x} and not {:08x}", name_, crc_, *wanted_crc_));
  }
  return got;
}

std::string read_unpacked(const std::string& path, std::uint64_t most) {
  std::string bytes = read_file(path);
  if (packing_of(bytes) == Packing::none) return bytes;
  Source source(bytes, Packing::gzip, path);
  std::string unpacked;
  std::array<char, 1 << 15> piece;
  for (std::size_t got = piece.size(); got == piece.size();) {
    got = source.read(piece);
    unpacked.append(piece.data(), got);
    if (unpacked.size() > most) throw ParseError(fmt::format("{}: unpacked, it is longer than {} bytes", path, most));
  }
  return unpacked;
}

}  // namespace ebb::io
