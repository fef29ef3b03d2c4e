// A program that runs training steps when it is told to, so that several can take turns: A B A B ..., each in a process
// of its own, with its own threads, BLAS and settings of the environment.
//
// On standard input:  losses N     answers N numbers, the losses of the next N steps
//                     run N        answers seconds a step over N steps, after a few that are not timed: by the clock,
//                                  and of this thread; then for each step allocations, page faults and mutexes locked
//                     memory       answers the most bytes that this process held beyond what it began with, and "held",
//                                  what the library itself says that it held (0 if it does not say)
#pragma once

#include "timing.h"
#include "usage.h"

#include <cstdint>
#include <cstdio>
#include <exception>
#include <functional>
#include <iostream>
#include <string>

#ifdef __linux__
#include <signal.h>
#include <sys/prctl.h>
#endif

namespace bench {

/// One training step, and the loss before it; reading the loss is no part of a step that is timed.
struct Served {
  std::function<void()> step;
  std::function<double()> loss;
  std::function<std::int64_t()> held = [] { return std::int64_t{0}; };
};

inline void answer_run(const Served& served, int steps) {
  for (int i = 0; i < (steps + 6) / 8; ++i) served.step();  // this process did not run for a while
  const Usage before = usage();
  const double wall = wall_seconds(), thread = thread_seconds();
  for (int i = 0; i < steps; ++i) served.step();
  const double wall_end = wall_seconds(), thread_end = thread_seconds();
  const Usage after = usage();
  const auto each = [&](std::int64_t a, std::int64_t b) { return static_cast<double>(b - a) / steps; };
  std::printf("%.9g %.9g %.4g %.4g %.4g\n", (wall_end - wall) / steps, (thread_end - thread) / steps,
              each(before.allocations, after.allocations), each(before.faults, after.faults),
              each(before.locks, after.locks));
}

/// The whole of main() after `make` built the model: serves until standard input ends.
inline int serve(const std::function<Served()>& make) try {
#ifdef __linux__
  prctl(PR_SET_PDEATHSIG, SIGKILL);  // who asks may be gone while this stands still
#endif
  const std::int64_t base = private_bytes();
  const Served served = make();
  std::string command;
  while (std::cin >> command) {
    int n = 0;
    if (command == "memory") {
      std::printf("%lld %lld\n", static_cast<long long>(most_private_bytes() - base),
                  static_cast<long long>(served.held()));
    } else if (std::cin >> n && command == "losses") {
      for (int i = 0; i < n; ++i) {
        served.step();
        std::printf("%.9g%c", served.loss(), i + 1 < n ? ' ' : '\n');
      }
    } else {
      answer_run(served, n);
    }
    std::fflush(stdout);
  }
  return 0;
} catch (const std::exception& error) {
  std::fprintf(stderr, "%s\n", error.what());
  return 1;
}

}  // namespace bench
