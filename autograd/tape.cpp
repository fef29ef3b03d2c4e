// The memory of the scalar lane.  Room for the longest list is reserved at once, which costs addresses and no memory;
// what is used of it is opened as the list grows.  So nothing is copied or held twice, however long it gets.
#include "tape.h"

#include "error.h"

#include <fmt/format.h>

#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <limits>
#include <new>

namespace ebb::detail {

namespace {

std::size_t up_to_page(std::size_t bytes) {
  static const auto page = static_cast<std::size_t>(sysconf(_SC_PAGESIZE));
  return (bytes + page - 1) / page * page;
}

template <class T> bool reserve(T*& all, std::size_t count) {
  void* const here =
      mmap(nullptr, up_to_page(count * sizeof(T)), PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  all = here == MAP_FAILED ? nullptr : static_cast<T*>(here);
  return all != nullptr;
}

template <class T> void give_back(T*& all, std::size_t count) {
  if (all != nullptr) munmap(all, up_to_page(count * sizeof(T)));
  all = nullptr;
}

constexpr std::size_t bytes_of_entry = sizeof(Entry) + 2 * sizeof(double) + sizeof(std::uint16_t);

/// Whether three times as many addresses are left when so many are taken.  Where these are limited (ulimit -v), other
/// lists, threads and tensors want some, too.
bool leaves_most(std::size_t bytes) {
  std::byte* all = nullptr;
  const bool there = reserve(all, 4 * bytes);
  give_back(all, 4 * bytes);
  return there;
}

/// Opens what is reserved at `all` up to `count` elements.
template <class T> void open(T* all, std::size_t count) {
  const std::size_t bytes = up_to_page(count * sizeof(T));
  if (mprotect(all, bytes, PROT_READ | PROT_WRITE) != 0) throw std::bad_alloc();
#ifdef MADV_HUGEPAGE
  // Short lists stay in small pages, and cost what they use.
  constexpr std::size_t huge = std::size_t{2} << 20;
  const std::size_t first =
      (reinterpret_cast<std::uintptr_t>(all) / huge + 1) * huge - reinterpret_cast<std::uintptr_t>(all);
  if (bytes > first + huge) madvise(reinterpret_cast<std::byte*>(all) + first, bytes - first, MADV_HUGEPAGE);
#endif
}

}  // namespace

void Tape::grow() {
  constexpr std::uint32_t most = std::numeric_limits<std::uint32_t>::max();
  if (capacity == 0) {
    for (std::uint32_t room = most;; room /= 2) {
      if (room < (1u << 10)) throw GraphError("Graph: the system has no addresses for a list");
      if (!leaves_most(bytes_of_entry * room)) continue;
      reserved = room;
      if (reserve(entry, room) && reserve(value, room) && reserve(adjoint, room) && reserve(code, room)) break;
      release();
    }
  } else if (capacity == reserved) {
    if (reserved == most) throw GraphError("Graph: 2^32 entries are the limit of one graph");
    throw GraphError(
        fmt::format("Graph: the system has no addresses for a list of more than {} entries\n"
                    "  help: raise the limit on virtual memory (ulimit -v)",
                    reserved));
  }
  const std::uint32_t more = capacity == 0 ? 1024 : capacity > reserved / 2 ? reserved : 2 * capacity;
  open(entry, more);
  open(value, more);
  open(adjoint, more);
  open(code, more);
  capacity = more;
}

void Tape::release() noexcept {
  give_back(entry, reserved);
  give_back(value, reserved);
  give_back(adjoint, reserved);
  give_back(code, reserved);
  capacity = reserved = 0;
}

}  // namespace ebb::detail
