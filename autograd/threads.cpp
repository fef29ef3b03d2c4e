#include "threads.h"

#include "error.h"
#include "kernels/threads.h"

#include <fmt/format.h>

namespace ebb {

int num_threads() { return kernels::num_threads(); }

void set_num_threads(int n) {
  if (n < 1 || n > 1024) throw UsageError(fmt::format("set_num_threads: n must be in [1, 1024], got {}", n));
  kernels::set_num_threads(n);
}

}  // namespace ebb
