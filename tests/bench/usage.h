// What a process asks of the system: allocations, page faults, mutexes, memory.
#pragma once

#include <cstdint>

namespace bench {

/// Counts from the start of the process.  Allocations and locks are counted where the C library is glibc, faults and
/// memory on Linux; 0 elsewhere.
struct Usage {
  std::int64_t allocations, faults, locks;
};
Usage usage();

/// Bytes in memory that no file backs: what the program itself holds, now and at most so far.  Code that is read in
/// from libraries on first use does not count.
std::int64_t private_bytes();
std::int64_t most_private_bytes();

}  // namespace bench
