// Memory for tensors: blocks that are handed out again and again.
#pragma once

#include "tape.h"

#include <cstddef>
#include <cstdint>

namespace ebb::detail {

/// A block of at least `bytes`, aligned to 64.  `bucket` is to be given back with it.  nullptr if there is no memory.
void* take_block(std::size_t bytes, std::uint8_t& bucket);
/// The same while this thread captures: of the capture's own, which takes back what is given back meanwhile.
void* take_captured_block(std::size_t bytes, std::uint8_t& bucket);
void give_captured_block(void* block, std::uint8_t bucket) noexcept;
/// The bucket of blocks of so many bytes; and the bytes of its blocks.
std::uint8_t bucket_for(std::size_t bytes);
std::int64_t bytes_in(std::uint8_t bucket);
/// Gives a block back, on whatever thread.
void give_block(void* block, std::uint8_t bucket) noexcept;

/// Bytes that this thread took and has not given back, and the most that these have been; give() on another thread counts
/// there.
struct BytesHeld {
  std::int64_t now = 0, most = 0;
};
extern constinit thread_local BytesHeld bytes_held EBB_FAST_THREAD_LOCAL;

}  // namespace ebb::detail
