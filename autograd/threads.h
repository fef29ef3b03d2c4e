// How many threads long ops may use.
#pragma once

namespace ebb {

/// How many threads long ops (products, convolutions, elementwise loops) may use, the calling one among them.  At first as many as the machine
/// has, or as the environment variable EBB_NUM_THREADS says.
int num_threads();
/// Sets it.  Results do not depend on it, to the last bit.  Throws UsageError unless 1 <= n <= 1024.
void set_num_threads(int n);

}  // namespace ebb
