// Work shared out among threads.
#include <doctest/doctest.h>
#include <ebb/autograd/autograd.h>
#include <ebb/autograd/kernels/threads.h>

#include <atomic>
#include <chrono>
#include <stdexcept>
#include <thread>
#include <vector>

using namespace ebb;
using kernels::parallel;

namespace {

/// As many threads as asked for until the end of the block.
struct Threads {
  int before = num_threads();
  explicit Threads(int n) { set_num_threads(n); }
  Threads(const Threads&) = delete;
  Threads& operator=(const Threads&) = delete;
  ~Threads() { set_num_threads(before); }
};

void pass(std::chrono::microseconds time) {
  const auto end = std::chrono::steady_clock::now() + time;
  while (std::chrono::steady_clock::now() < end) {
  }
}

}  // namespace

TEST_CASE("each part runs once, on any number of threads, and all have run when the call returns") {
  for (const int n : {1, 2, 3, 8}) {
    const Threads threads(n);
    for (const std::int64_t parts : {0, 1, 2, 7, 33, 1000}) {
      std::vector<int> times(static_cast<std::size_t>(parts), 0);  // no part writes another's
      parallel(parts, [&](std::int64_t part) { ++times[static_cast<std::size_t>(part)]; });
      CHECK(times == std::vector<int>(times.size(), 1));
    }
  }
}

TEST_CASE("threads that look out for work and threads that sleep both take it") {
  const Threads threads(2);
  std::int64_t sum = 0;
  for (int job = 0; job < 2000; ++job) {
    if (job % 100 == 0) std::this_thread::sleep_for(std::chrono::milliseconds(1));
    std::int64_t squares[5] = {};
    parallel(5, [&](std::int64_t part) { squares[part] = part * part; });
    for (const std::int64_t square : squares) sum += square;
  }
  CHECK(sum == 2000 * 30);
}

TEST_CASE("parts of different length all end before the call returns") {
  const Threads threads(4);
  for (int job = 0; job < 20; ++job) {
    std::atomic<int> ended = 0;
    parallel(6, [&](std::int64_t part) {
      pass(std::chrono::microseconds(part * 200));
      ++ended;
    });
    CHECK(ended == 6);
  }
}

TEST_CASE("where a part throws the others still run, and the exception goes on") {
  for (const int n : {2, 3}) {
    const Threads threads(n);
    for (int job = 0; job < 100; ++job) {
      std::atomic<int> ended = 0;
      const auto some_throw = [&](std::int64_t part) {
        if (part % 3 == 1) throw std::runtime_error("no");
        ++ended;
      };
      CHECK_THROWS_WITH_AS(parallel(9, some_throw), "no", std::runtime_error);
      CHECK(ended == 6);
    }
    std::atomic<int> ended = 0;
    parallel(9, [&](std::int64_t) { ++ended; });
    CHECK(ended == 9);
  }
}

TEST_CASE("parts within a part run on its thread, in turn") {
  const Threads threads(3);
  std::atomic<int> wrong = 0;
  parallel(6, [&](std::int64_t) {
    std::int64_t next = 0;
    const auto here = std::this_thread::get_id();
    parallel(5, [&](std::int64_t part) { wrong += part != next++ || std::this_thread::get_id() != here; });
  });
  CHECK(wrong == 0);
}

TEST_CASE("threads of a program may share work out at once, and change the number of threads meanwhile") {
  const Threads threads(3);
  std::atomic<int> ended = 0;
  std::vector<std::thread> callers;
  for (int caller = 0; caller < 3; ++caller)
    callers.emplace_back([&] {
      for (int job = 0; job < 200; ++job) parallel(4, [&](std::int64_t) { ++ended; });
    });
  for (int n = 1; n < 6; ++n) set_num_threads(n);
  for (std::thread& caller : callers) caller.join();
  CHECK(ended == 3 * 200 * 4);
}
