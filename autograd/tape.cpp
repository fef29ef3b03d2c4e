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

// How far into its first page each array begins.  If the first entries of all lay at one place of their pages, a
// processor would take a load from one for a read of what was just stored into another, and wait.
constexpr std::size_t entry_start = 0, value_start = 1024, adjoint_start = 2048, code_start = 3072;

template <class T> std::byte* first_page(T* all, std::size_t start) {
  return reinterpret_cast<std::byte*>(all) - start;
}

template <class T> bool reserve(T*& all, std::size_t count, std::size_t start) {
  const std::size_t bytes = up_to_page(start + count * sizeof(T));
  void* const here = mmap(nullptr, bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  all = here == MAP_FAILED ? nullptr : reinterpret_cast<T*>(static_cast<std::byte*>(here) + start);
  return all != nullptr;
}

template <class T> void give_back(T*& all, std::size_t count, std::size_t start) {
  if (all != nullptr) munmap(first_page(all, start), up_to_page(start + count * sizeof(T)));
  all = nullptr;
}

constexpr std::size_t bytes_of_entry = sizeof(Entry) + 2 * sizeof(double) + sizeof(std::uint16_t);

/// Whether three times as many addresses are left when so many are taken.  Where these are limited (ulimit -v), other
/// lists, threads and tensors want some, too.
bool leaves_most(std::size_t bytes) {
  std::byte* all = nullptr;
  const bool there = reserve(all, 4 * bytes, 0);
  give_back(all, 4 * bytes, 0);
  return there;
}

/// Opens what is reserved at `all` up to `count` elements.
template <class T> void open(T* all, std::size_t count, std::size_t start) {
  std::byte* const from = first_page(all, start);
  const std::size_t bytes = up_to_page(start + count * sizeof(T));
  if (mprotect(from, bytes, PROT_READ | PROT_WRITE) != 0) throw std::bad_alloc();
#ifdef MADV_HUGEPAGE
  // Short lists stay in small pages, and cost what they use.
  constexpr std::size_t huge = std::size_t{2} << 20;
  const std::size_t first =
      (reinterpret_cast<std::uintptr_t>(from) / huge + 1) * huge - reinterpret_cast<std::uintptr_t>(from);
  if (bytes > first + huge) madvise(from + first, bytes - first, MADV_HUGEPAGE);
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
      if (reserve(entry, room, entry_start) && reserve(value, room, value_start) &&
          reserve(adjoint, room, adjoint_start) && reserve(code, room, code_start))
        break;
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
  open(entry, more, entry_start);
  open(value, more, value_start);
  open(adjoint, more, adjoint_start);
  open(code, more, code_start);
  capacity = more;
}

void Tape::release() noexcept {
  give_back(entry, reserved, entry_start);
  give_back(value, reserved, value_start);
  give_back(adjoint, reserved, adjoint_start);
  give_back(code, reserved, code_start);
  capacity = reserved = 0;
}

}  // namespace ebb::detail
