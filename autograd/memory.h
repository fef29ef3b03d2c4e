// Memory for tensors: blocks that are handed out again and again.
#pragma once

#include <cstddef>
#include <cstdint>

namespace ebb::detail {

/// A block of at least `bytes`, aligned to 64.  `bucket` is to be given back with it.  nullptr if there is no memory.
void* take_block(std::size_t bytes, std::uint8_t& bucket);
/// Gives a block back, on whatever thread.
void give_block(void* block, std::uint8_t bucket) noexcept;

}  // namespace ebb::detail
