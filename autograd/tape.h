// The scalar lane of the graph's list: flat arrays, one entry for each op.  Everything here is inlined into the
// programs that record, so it is small.
#pragma once

#include <cstdint>

// The library is there from a program's start, so what it keeps for each thread is found without a call.
#define EBB_FAST_THREAD_LOCAL __attribute__((tls_model("initial-exec")))
// A scalar op is a handful of instructions, and a call would double them.
#define EBB_ALWAYS_INLINE [[gnu::always_inline]] inline

namespace ebb::detail {

/// What backward needs of one scalar op: where the operands lie and the local derivatives by them.  An operand that is
/// no node has id 0, and its place for a derivative holds its value instead: entry 0 takes what flows there, unread.
struct Entry {
  std::uint32_t a, b;
  double da, db;
};

/// Where a value is recorded: the graph's serial number in the upper half, the entry's id in the lower; 0: a constant.
using Place = std::uint64_t;
constexpr std::uint32_t id_of(Place p) { return static_cast<std::uint32_t>(p); }
constexpr std::uint32_t graph_of(Place p) { return static_cast<std::uint32_t>(p >> 32); }
constexpr Place place_of(std::uint32_t graph, std::uint32_t id) { return Place{graph} << 32 | id; }
/// Set in the graph's half of the place of a value that was computed from the graph's values and is yet no part of it:
/// a constant to all ops.  The lower half then says which of List::cuts tells why.
constexpr std::uint32_t cut_bit = std::uint32_t{1} << 31;
/// Whether the value is an entry of some graph.
constexpr bool recorded_in(std::uint32_t graph) { return graph != 0 && (graph & cut_bit) == 0; }

/// 24 + 8 + 8 + 2 = 42 bytes for each op.  Entries of the tensor lane stand in the same list (code tensor_code).  The
/// arrays lie where room for all that may come is reserved, so that they grow without moving.
struct Tape {
  Entry* entry = nullptr;
  double* value = nullptr;
  double* adjoint = nullptr;
  std::uint16_t* code = nullptr;
  Place next = place_of(no_graph, 1);  // of the entry to come; entry 0 is every constant
  std::uint32_t capacity = 0, reserved = 0;  // entries

  static constexpr std::uint32_t no_graph = 0xffffffff;  // a serial number that no graph has
  std::uint32_t size() const { return id_of(next); }
  std::uint32_t graph() const { return graph_of(next); }

  /// Makes room for more.  Throws std::bad_alloc, or GraphError past 2^32 entries or the reserved room.
  [[gnu::cold]] void grow();
  /// Gives all its memory back.
  void release() noexcept;

  EBB_ALWAYS_INLINE Place push(std::uint16_t c, double v, std::uint32_t a, double da, std::uint32_t b, double db) {
    const Place place = next;
    const std::uint32_t id = id_of(place);
    if (id == capacity) [[unlikely]]
      grow();
    entry[id] = {a, b, da, db};
    value[id] = v;
    code[id] = c;
    next = place + 1;
    return place;
  }
};

/// What stands in for a list while nothing is recorded: no value is of its graph.
extern Tape no_tape;
/// This thread's list, while a graph records and is not paused; else &no_tape.
extern constinit thread_local Tape* tape EBB_FAST_THREAD_LOCAL;
/// Whether this thread records a function of Scalars that is to run again on other numbers (lanes.h): what it asks of its
/// values is noted.
extern constinit thread_local bool tracing EBB_FAST_THREAD_LOCAL;

}  // namespace ebb::detail
