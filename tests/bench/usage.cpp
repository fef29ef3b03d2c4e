// Counts by standing in for malloc(), which glibc offers under a second name as well, and for pthread_mutex_lock().
#include "usage.h"

#include <sys/resource.h>

#include <atomic>
#include <cerrno>
#include <cstddef>
#include <fstream>
#include <string>

#include <dlfcn.h>
#include <pthread.h>

namespace {

std::atomic<std::int64_t> allocations{0}, locks{0};

void count(std::atomic<std::int64_t>& counter) { counter.fetch_add(1, std::memory_order_relaxed); }

}  // namespace

#ifdef __GLIBC__
extern "C" {
void* __libc_malloc(std::size_t);
void* __libc_calloc(std::size_t, std::size_t);
void* __libc_realloc(void*, std::size_t);
void* __libc_memalign(std::size_t, std::size_t);

void* malloc(std::size_t bytes) {
  count(allocations);
  return __libc_malloc(bytes);
}
void* calloc(std::size_t n, std::size_t bytes) {
  count(allocations);
  return __libc_calloc(n, bytes);
}
void* realloc(void* block, std::size_t bytes) {
  count(allocations);
  return __libc_realloc(block, bytes);
}
void* memalign(std::size_t alignment, std::size_t bytes) {
  count(allocations);
  return __libc_memalign(alignment, bytes);
}
void* aligned_alloc(std::size_t alignment, std::size_t bytes) {
  count(allocations);
  return __libc_memalign(alignment, bytes);
}
int posix_memalign(void** block, std::size_t alignment, std::size_t bytes) {
  count(allocations);
  *block = __libc_memalign(alignment, bytes);
  return *block == nullptr ? ENOMEM : 0;
}
int pthread_mutex_lock(pthread_mutex_t* mutex) {
  using Lock = int (*)(pthread_mutex_t*);
  static const Lock next = reinterpret_cast<Lock>(dlsym(RTLD_NEXT, "pthread_mutex_lock"));
  count(locks);
  return next(mutex);
}
}
#endif

namespace bench {

namespace {

/// A line of /proc/self/status, which tells kilobytes; 0 if there is none.
std::int64_t told(const std::string& field) {
  std::ifstream status("/proc/self/status");
  for (std::string line; std::getline(status, line);)
    if (line.starts_with(field + ":")) return std::stoll(line.substr(field.size() + 1)) * 1024;
  return 0;
}

}  // namespace

Usage usage() {
  rusage used{};
  getrusage(RUSAGE_SELF, &used);
  return {allocations.load(), used.ru_minflt + used.ru_majflt, locks.load()};
}

std::int64_t private_bytes() { return told("RssAnon"); }

std::int64_t most_private_bytes() { return told("VmHWM") - told("RssFile") - told("RssShmem"); }

}  // namespace bench
