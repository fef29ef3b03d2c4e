// Each thread keeps the blocks that it gave back, by size, and takes from them first: a steady training step asks
// nothing of the system.  Under AddressSanitizer every block is the system's own, so that errors are seen.
#include "memory.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cstdlib>
#include <utility>

namespace ebb::detail {

constinit thread_local BytesHeld bytes_held EBB_FAST_THREAD_LOCAL;
constinit thread_local BlockPool* pool EBB_FAST_THREAD_LOCAL = nullptr;

namespace {

constexpr std::size_t small = BlockPool::small, buckets = BlockPool::buckets;

constexpr std::size_t bucket_of(std::size_t bytes) {
  if (bytes <= small) return bytes == 0 ? 0 : (bytes - 1) / 64;
  const auto power = static_cast<std::size_t>(std::bit_width(bytes - 1));  // 2^(power-1) < bytes <= 2^power
  const std::size_t quarter = std::size_t{1} << (power - 3);
  const std::size_t step = (bytes - (std::size_t{1} << (power - 1)) + quarter - 1) / quarter;  // 1..4
  return 16 + (power - 11) * 4 + step - 1;
}

constexpr std::size_t bytes_of(std::size_t bucket) {
  if (bucket < 16) return (bucket + 1) * 64;
  const std::size_t power = (bucket - 16) / 4 + 11, step = (bucket - 16) % 4 + 1;
  return (std::size_t{1} << (power - 1)) + step * (std::size_t{1} << (power - 3));
}
static_assert(bytes_of(bucket_of(1025)) == 1280 && bytes_of(bucket_of(2048)) == 2048 &&
              bytes_of(bucket_of(2049)) == 2560);

#if defined(__SANITIZE_ADDRESS__)
constexpr bool pooled = false;
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
constexpr bool pooled = false;
#else
constexpr bool pooled = true;
#endif
#else
constexpr bool pooled = true;
#endif

constinit thread_local bool closed EBB_FAST_THREAD_LOCAL = false;

// Gives a thread's idle blocks back when it ends.  What is freed later goes to the system at once.
struct Owner {
  BlockPool own;
  Owner() { pool = &own; }
  ~Owner() {
    pool = nullptr;
    closed = true;
    for (IdleBlock* list : own.idle)
      while (list != nullptr) std::free(std::exchange(list, list->next));
  }
};

BlockPool* opened() {
  if (!pooled || closed) return nullptr;
  thread_local Owner owner;
  return pool;
}

}  // namespace

void* take_block(std::size_t bytes, std::uint8_t& bucket) {
  const std::size_t b = bucket_of(bytes);
  if (b >= buckets) return nullptr;
  bucket = static_cast<std::uint8_t>(b);
  bytes_held.now += static_cast<std::int64_t>(bytes_of(b));
  if (bytes_held.now > bytes_held.most) bytes_held.most = bytes_held.now;
  if (pool != nullptr)
    if (void* const block = pool->take(b, bytes_of(b)); block != nullptr) return block;
  return std::aligned_alloc(64, bytes_of(b));
}

std::uint8_t bucket_for(std::size_t bytes) { return static_cast<std::uint8_t>(std::min(bucket_of(bytes), buckets)); }
std::int64_t bytes_in(std::uint8_t bucket) { return static_cast<std::int64_t>(bytes_of(bucket)); }

void give_block(void* block, std::uint8_t bucket) noexcept {
  const std::size_t bytes = bytes_of(bucket);
  bytes_held.now -= static_cast<std::int64_t>(bytes);
  BlockPool* const mine = pool != nullptr ? pool : opened();
  if (mine == nullptr || !mine->give(block, bucket, bytes)) std::free(block);
}

}  // namespace ebb::detail
