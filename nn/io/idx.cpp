#include "idx.h"

#include "../../autograd/error.h"
#include "file.h"
#include "numbers.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <array>
#include <vector>

namespace ebb::io {

namespace {

constexpr struct {
  unsigned code;
  Stored type;
} idx_types[] = {{0x08, Stored::u8},  {0x09, Stored::i8},  {0x0B, Stored::i16},
                 {0x0C, Stored::i32}, {0x0D, Stored::f32}, {0x0E, Stored::f64}};

}  // namespace

Tensor read_idx(const std::string& path, std::optional<DType> dtype) {
  const std::string bytes = read_file(path);
  Source source(bytes, packing_of(bytes), path);
  const auto refuse = [&](const std::string& why) { throw ParseError(fmt::format("{}: {}", path, why)); };

  std::array<char, 4> head{};
  if (source.read(head) < head.size()) refuse(fmt::format("{} bytes are too few for an IDX file", source.position()));
  const auto head_at = [&](std::size_t i) { return static_cast<unsigned>(static_cast<unsigned char>(head[i])); };
  if (head_at(0) != 0 || head_at(1) != 0)
    refuse(
        fmt::format("it begins with {:02X} {:02X} and not with two zeros: is it an IDX file?", head_at(0), head_at(1)));
  const Stored* type = nullptr;
  for (const auto& known : idx_types)
    if (known.code == head_at(2)) type = &known.type;
  if (type == nullptr)
    refuse(
        fmt::format("byte 2 says that numbers are of type {:02X}; 08 (u8), 09 (i8), 0B (i16), 0C (i32), 0D (f32) and "
                    "0E (f64) are known",
                    head_at(2)));
  if (dtype == i64 && natural(*type) != i64)
    throw DTypeError(fmt::format("{}: it holds {} numbers, which i64 cannot", path, to_string(natural(*type))));
  const unsigned rank = head_at(3);
  if (rank > Shape::max_rank) refuse(fmt::format("byte 3 says {} axes; {} are the most", rank, Shape::max_rank));

  std::vector<std::uint64_t> sizes;
  for (unsigned axis = 0; axis < rank; ++axis) {
    std::array<char, 4> size{};
    if (source.read(size) < size.size())
      refuse(fmt::format("the sizes need bytes [4, {}) but the file ends at {}: truncated copy?", 4 + 4 * rank,
                         source.position()));
    std::uint64_t value = 0;
    for (const char byte : size) value = value << 8 | static_cast<unsigned char>(byte);
    sizes.push_back(value);
  }
  const std::optional<Shape> shape = shape_of(sizes);
  if (!shape) refuse(fmt::format("it has shape [{}], which is more than 64 bits count", fmt::join(sizes, ", ")));
  return rest_as_numbers(source, *type, true, *shape, dtype.value_or(natural(*type)));
}

}  // namespace ebb::io
