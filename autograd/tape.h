// The scalar lane of the graph's list: flat arrays, one entry for each op.  Everything here is inlined into the
// programs that record, so it is small.
#pragma once

#include <cstdint>

// The library is there from a program's start, so what it keeps for each thread is found without a call.
#define EBB_FAST_THREAD_LOCAL __attribute__((tls_model("initial-exec")))

namespace ebb::detail {

/// What backward needs of one scalar op: where the operands lie and the local derivatives by them.  An operand that is
/// no node has id 0, and its place for a derivative holds its value instead: entry 0 takes what flows there, unread.
struct Entry {
  std::uint32_t a, b;
  double da, db;
};

/// 24 + 8 + 8 + 2 = 42 bytes for each op.  Entries of the tensor lane stand in the same list (code tensor_code).
struct Tape {
  Entry* entry = nullptr;
  double* value = nullptr;
  double* adjoint = nullptr;
  std::uint16_t* code = nullptr;
  std::uint32_t size = 1;  // entry 0 is every constant
  std::uint32_t capacity = 0;
  std::uint32_t graph = 0;  // the serial number of the graph it belongs to

  /// Makes room for more.  Throws std::bad_alloc, or GraphError past 2^32 entries.
  void grow();

  std::uint32_t push(std::uint16_t c, double v, std::uint32_t a, double da, std::uint32_t b, double db) {
    const std::uint32_t id = size;
    if (id == capacity) [[unlikely]] grow();
    entry[id] = {a, b, da, db};
    value[id] = v;
    code[id] = c;
    size = id + 1;
    return id;
  }
};

/// This thread's list, while a graph records and is not paused; else nullptr.
extern constinit thread_local Tape* tape EBB_FAST_THREAD_LOCAL;

}  // namespace ebb::detail
