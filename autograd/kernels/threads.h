// Work shared out among threads.
#pragma once

#include <cstdint>
#include <functional>

namespace ebb::kernels {

/// Calls f(0), ..., f(parts - 1), each once, on up to num_threads() threads, this one among them, and returns when all
/// are done.  Where one throws, the others still run, and the first exception goes on.  Within f, and while another thread
/// shares work out, the parts run here, one after the other.
/// For results that do not depend on the number of threads, what a part does must depend on the work alone.  A part is
/// worth it from about 100 µs on: threads that sleep take a while to wake.
void parallel(std::int64_t parts, const std::function<void(std::int64_t part)>& f);

int num_threads();
/// Waits for work in progress.  n must be positive.
void set_num_threads(int n);

}  // namespace ebb::kernels
