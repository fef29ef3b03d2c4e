// Work shared out among threads.
#pragma once

#include <cstdint>

namespace ebb::kernels {

/// A function of a part's number, which is called where it lies: it must outlive the call that it is given to.
class PartFunction {
 public:
  template <class F>
  PartFunction(const F& f)  // NOLINT(google-explicit-constructor): lambdas are handed over as they are
      : object_(&f), call_([](const void* object, std::int64_t part) { (*static_cast<const F*>(object))(part); }) {}
  void operator()(std::int64_t part) const { call_(object_, part); }

 private:
  const void* object_;
  void (*call_)(const void*, std::int64_t);
};

/// Calls f(0), ..., f(parts - 1), each once, on up to num_threads() threads, this one among them, and returns when all
/// are done.  Where one throws, the others still run, and the first exception goes on.  Within f, and while another thread
/// shares work out, the parts run here, one after the other.
/// For results that do not depend on the number of threads, what a part does must depend on the work alone.  A part is
/// worth it from about 10 µs on: the call takes about one where the last was no more than 50 µs ago, so that threads still
/// look out for work, and wakes them otherwise.
void parallel(std::int64_t parts, PartFunction f);

int num_threads();
/// Waits for work in progress.  n must be positive.
void set_num_threads(int n);

}  // namespace ebb::kernels
