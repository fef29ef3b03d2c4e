// The format: 93 "NUMPY"; version, two bytes; the length of the header, 2 bytes in version 1, else 4, little-endian; the
// header, a Python dictionary {'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }; the numbers.
#include "npy.h"

#include "../../autograd/error.h"
#include "../../autograd/op.h"
#include "../../autograd/ops.h"
#include "file.h"
#include "numbers.h"
#include "text.h"
#include "zip.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <numeric>
#include <optional>
#include <vector>

namespace ebb::io {

namespace {

constexpr std::string_view magic = "\x93NUMPY";
constexpr std::uint32_t longest_header = 1u << 16;
constexpr std::string_view suffix = ".npy";

struct {
  std::string_view code;
  Stored type;
} constexpr npy_types[] = {{"b1", Stored::boolean}, {"u1", Stored::u8},  {"i1", Stored::i8},  {"u2", Stored::u16},
                           {"i2", Stored::i16},     {"u4", Stored::u32}, {"i4", Stored::i32}, {"u8", Stored::u64},
                           {"i8", Stored::i64},     {"f2", Stored::f16}, {"f4", Stored::f32}, {"f8", Stored::f64}};

/// What a header says.
struct Header {
  std::optional<std::string> descr;
  std::optional<bool> fortran_order;
  std::optional<std::vector<std::uint64_t>> shape;
};

/// Reads the one kind of Python that headers are written in.
class HeaderReader {
 public:
  HeaderReader(std::string_view text, std::uint64_t begin, const std::string& path)
      : text_(text), begin_(begin), path_(path) {}

  Header read() {
    Header header;
    want('{');
    while (!take('}')) {
      const std::string key = string();
      want(':');
      if (key == "descr" && !header.descr) header.descr = descr();
      else if (key == "fortran_order" && !header.fortran_order) header.fortran_order = boolean();
      else if (key == "shape" && !header.shape) header.shape = tuple();
      else fail(fmt::format("\"{}\" has no place there", shown(key)));
      if (!take(',')) {
        want('}');
        break;
      }
    }
    skip();
    if (at_ != text_.size()) fail("it goes on behind its end");
    return header;
  }

 private:
  void skip() {
    while (at_ < text_.size() && (text_[at_] == ' ' || text_[at_] == '\n')) ++at_;
  }
  bool take(char c) {
    skip();
    if (at_ >= text_.size() || text_[at_] != c) return false;
    ++at_;
    return true;
  }
  bool take(std::string_view word) {
    skip();
    if (!text_.substr(at_).starts_with(word)) return false;
    at_ += word.size();
    return true;
  }
  void want(char c) {
    if (!take(c)) fail(fmt::format("\"{}\" was expected", c));
  }
  std::string string() {
    skip();
    const char quote = take('"') ? '"' : '\'';
    if (quote == '\'' && !take(quote)) fail("a quote was expected");
    const std::size_t end = text_.find(quote, at_);
    if (end == std::string_view::npos) fail("a quote never ends");
    std::string value(text_.substr(at_, end - at_));
    at_ = end + 1;
    return value;
  }
  std::string descr() {
    skip();
    if (at_ < text_.size() && text_[at_] == '[')
      throw DTypeError(fmt::format("{}: it is an array of records; arrays of numbers can be read", path_));
    return string();
  }
  bool boolean() {
    if (take("True")) return true;
    if (!take("False")) fail("True or False was expected");
    return false;
  }
  std::vector<std::uint64_t> tuple() {
    std::vector<std::uint64_t> numbers;
    want('(');
    while (!take(')')) {
      skip();
      std::uint64_t number = 0;
      const auto [end, error] = std::from_chars(text_.data() + at_, text_.data() + text_.size(), number);
      if (error != std::errc()) fail("a size was expected");
      at_ = static_cast<std::size_t>(end - text_.data());
      take('L');  // Python 2 wrote so
      numbers.push_back(number);
      if (!take(',')) {
        want(')');
        break;
      }
    }
    return numbers;
  }
  [[noreturn]] void fail(const std::string& why) const {
    throw ParseError(fmt::format("{}: the header is damaged at byte {}: {}", path_, begin_ + at_, why));
  }

  std::string_view text_;
  std::uint64_t begin_;
  const std::string& path_;
  std::size_t at_ = 0;
};

/// The next bytes, which must be there.
template <class Bytes> void fill(Bytes& to, Source& source, const char* what) {
  const std::uint64_t begin = source.position();
  if (source.read(to) < to.size())
    throw ParseError(fmt::format("{}: {} needs bytes [{}, {}) but the file ends at {}: truncated copy?", source.name(),
                                 what, begin, begin + to.size(), source.position()));
}

Header read_header(Source& source) {
  std::array<char, 8> head{};
  if (const std::size_t got = source.read(head); got < head.size())
    throw ParseError(fmt::format("{}: {} bytes are too few for a .npy file", source.name(), got));
  if (!std::string_view(head.data(), head.size()).starts_with(magic))
    throw ParseError(fmt::format("{}: it does not begin with 93 \"NUMPY\": is it a .npy file?", source.name()));
  if (head[6] < 1 || head[6] > 3)
    throw ParseError(fmt::format("{}: it is of version {}; 1, 2 and 3 can be read", source.name(),
                                 static_cast<int>(static_cast<unsigned char>(head[6]))));
  std::string length(head[6] == 1 ? 2 : 4, '\0');
  fill(length, source, "the header's length");
  std::uint32_t bytes = 0;
  for (std::size_t i = length.size(); i-- > 0;) bytes = bytes << 8 | static_cast<unsigned char>(length[i]);
  if (bytes > longest_header)
    throw ParseError(
        fmt::format("{}: the header claims {} bytes, and {} are the most", source.name(), bytes, longest_header));
  std::string text(bytes, '\0');
  const std::uint64_t begin = source.position();
  fill(text, source, "the header");
  Header header = HeaderReader(text, begin, source.name()).read();
  for (const auto& [there, key] :
       {std::pair(header.descr.has_value(), "descr"), std::pair(header.fortran_order.has_value(), "fortran_order"),
        std::pair(header.shape.has_value(), "shape")})
    if (!there) throw ParseError(fmt::format("{}: the header has no \"{}\"", source.name(), key));
  return header;
}

Tensor read_npy(Source& source) {
  const Header header = read_header(source);
  const std::string_view descr = *header.descr, code = descr.substr(std::min<std::size_t>(descr.size(), 1));
  const auto known =
      std::find_if(std::begin(npy_types), std::end(npy_types), [&](const auto& t) { return t.code == code; });
  if (known == std::end(npy_types) || std::string_view("<>|=").find(descr[0]) == std::string_view::npos)
    throw DTypeError(fmt::format("{}: it holds \"{}\"; b1, i1 to i8, u1 to u8 and f2 to f8 can be read", source.name(),
                                 shown(descr)));
  std::vector<std::uint64_t> sizes = *header.shape;
  if (sizes.size() > static_cast<std::size_t>(Shape::max_rank))
    throw ParseError(fmt::format("{}: it has {} axes; {} are the most", source.name(), sizes.size(), Shape::max_rank));
  if (*header.fortran_order) std::reverse(sizes.begin(), sizes.end());
  const std::optional<Shape> shape = shape_of(sizes);
  if (!shape)
    throw ParseError(fmt::format("{}: it has shape [{}], which is more than 64 bits count", source.name(),
                                 fmt::join(*header.shape, ", ")));
  const Tensor numbers = rest_as_numbers(source, known->type, descr[0] == '>', *shape, natural(known->type));
  if (!*header.fortran_order || numbers.rank() < 2) return numbers;
  std::vector<int> backwards(sizes.size());
  std::iota(backwards.rbegin(), backwards.rend(), 0);
  return permute(numbers, backwards);
}

/// All that stands before an array's numbers.
std::string header_of(const Tensor& array) {
  const char* const descr = array.dtype() == f32 ? "<f4" : array.dtype() == f64 ? "<f8" : "<i8";
  std::string text = fmt::format("{{'descr': '{}', 'fortran_order': False, 'shape': ({}{}), }}", descr,
                                 fmt::join(array.shape().sizes(), ", "), array.rank() == 1 ? "," : "");
  const std::size_t before = magic.size() + 4;
  text.resize((before + text.size() + 1 + 63) / 64 * 64 - before - 1, ' ');  // numbers begin at a multiple of 64
  text += '\n';
  std::string bytes(magic);
  bytes += {'\1', '\0', static_cast<char>(text.size() & 255), static_cast<char>(text.size() >> 8)};
  return bytes + text;
}

std::span<const char> bytes_of(const Tensor& array) {
  return {static_cast<const char*>(ebb::detail::impl(array).data),
          static_cast<std::size_t>(array.size()) * ebb::size_of(array.dtype())};
}

}  // namespace

Tensor read_npy(const std::string& path) {
  const std::string bytes = read_file(path);
  Source source(bytes, packing_of(bytes), path);
  return read_npy(source);
}

void write_npy(const std::string& path, const Tensor& array) {
  const std::string header = header_of(array);
  const std::array<std::span<const char>, 2> parts{header, bytes_of(array)};
  replace_file(path, parts);
}

Tensors read_npz(const std::string& path) {
  const std::string bytes = read_file(path);
  Tensors arrays;
  for (const ZipEntry& entry : zip_entries(bytes, path)) {
    const std::string name = fmt::format("{}: {}", path, shown(entry.name));
    if (!entry.name.ends_with(suffix)) throw ParseError(fmt::format("{} is no .npy file", name));
    Source source(entry.bytes, entry.packing, name, entry.crc);
    Tensor array = read_npy(source);
    if (!arrays.emplace(entry.name.substr(0, entry.name.size() - suffix.size()), std::move(array)).second)
      throw ParseError(fmt::format("{} is there twice", name));
  }
  return arrays;
}

void write_npz(const std::string& path, const Tensors& arrays, const NpzOptions& options) {
  ZipWriter zip("write_npz");
  for (const auto& [name, array] : arrays) {
    if (!array.defined())
      throw UsageError(fmt::format("write_npz: \"{}\" is a Tensor that holds nothing", shown(name)));
    zip.add(name + std::string(suffix), header_of(array), bytes_of(array), options.compress);
  }
  const std::string end = zip.directory();
  std::vector<std::span<const char>> parts = zip.parts();
  parts.emplace_back(end);
  replace_file(path, parts);
}

}  // namespace ebb::io
