// Memory for tensors: blocks that are handed out again and again.
#pragma once

#include "tape.h"

#include <array>
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

// ---- what every op does, inlined ---------------------------------------------------------------------------------

struct IdleBlock {
  IdleBlock* next;
};
/// The blocks that a thread gave back, by bucket.
struct BlockPool {
  static constexpr std::size_t small = 1024;                 // up to here, a bucket for every 64 bytes
  static constexpr std::size_t buckets = 16 + 4 * 40;        // above, four for every doubling
  static constexpr std::size_t most = std::size_t{512} << 20;  // bytes that a thread keeps at most
  std::array<IdleBlock*, buckets> idle{};
  std::size_t bytes = 0;

  void* take(std::size_t bucket, std::size_t size) {
    IdleBlock* const block = idle[bucket];
    if (block == nullptr) return nullptr;
    idle[bucket] = block->next;
    bytes -= size;
    return block;
  }
  bool give(void* block, std::size_t bucket, std::size_t size) {
    if (bytes + size > most) return false;
    auto* const freed = static_cast<IdleBlock*>(block);
    freed->next = idle[bucket];
    idle[bucket] = freed;
    bytes += size;
    return true;
  }
};
/// This thread's; nullptr: not yet, or no longer.
extern constinit thread_local BlockPool* pool EBB_FAST_THREAD_LOCAL;

/// take_block() where most ops need it: of a small block that is idle; nullptr if there is none.
EBB_ALWAYS_INLINE void* take_idle_block(std::size_t bytes, std::uint8_t& bucket) {
  if (bytes - 1 >= BlockPool::small || pool == nullptr) return nullptr;
  const std::size_t b = (bytes - 1) / 64, size = (b + 1) * 64;
  void* const block = pool->take(b, size);
  if (block == nullptr) return nullptr;
  bucket = static_cast<std::uint8_t>(b);
  bytes_held.now += static_cast<std::int64_t>(size);
  if (bytes_held.now > bytes_held.most) bytes_held.most = bytes_held.now;
  return block;
}
/// give_block() of a small block, as far as it needs no call; returns whether it did.
EBB_ALWAYS_INLINE bool give_idle_block(void* block, std::uint8_t bucket) noexcept {
  const std::size_t size = (bucket + std::size_t{1}) * 64;
  if (bucket >= BlockPool::small / 64 || pool == nullptr || !pool->give(block, bucket, size)) return false;
  bytes_held.now -= static_cast<std::int64_t>(size);
  return true;
}

}  // namespace ebb::detail
