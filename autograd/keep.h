// Keep: what an op's backward reads, and what the graph therefore holds on to.
#pragma once

#include <cstdint>

namespace ebb::detail {

/// Which of an op's operands, and whether its output, backward reads the numbers of.  Of the others it sees the shape
/// and type alone, and their buffers are free as soon as nobody else holds them.
enum class Keep : std::uint8_t { nothing = 0, first = 1, second = 2, third = 4, inputs = 127, output = 128 };

constexpr Keep operator|(Keep a, Keep b) {
  return static_cast<Keep>(static_cast<std::uint8_t>(a) | static_cast<std::uint8_t>(b));
}
constexpr bool keeps_output(Keep k) { return (static_cast<std::uint8_t>(k) & 128) != 0; }
constexpr bool keeps_input(Keep k, int i) {
  return (static_cast<std::uint8_t>(k) >> (i < 6 ? i : 6) & 1) != 0;  // bit 6 stands for all operands past the sixth
}

}  // namespace ebb::detail
