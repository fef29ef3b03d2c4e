// Work shared out among threads.
#include <doctest/doctest.h>
#include <ebb/autograd/autograd.h>
#include <ebb/autograd/kernels/optimizer.h>
#include <ebb/autograd/kernels/recurrent.h>
#include <ebb/autograd/kernels/reduce.h>
#include <ebb/autograd/kernels/threads.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cmath>
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

TEST_CASE("what kernels share out comes out as if each row, column or number stood alone, on any number of threads") {
  const auto numbers = [](std::int64_t n, double step) {
    std::vector<float> all(static_cast<std::size_t>(n));
    for (std::size_t i = 0; i < all.size(); ++i) all[i] = static_cast<float>(std::sin(step * static_cast<double>(i)));
    return all;
  };
  for (const int n : {1, 3}) {
    const Threads threads(n);
    SUBCASE("sums of columns and of rows") {
      constexpr std::int64_t rows = 301, columns = 1100;
      const std::vector<float> x = numbers(rows * columns, 0.7);
      std::vector<float> sums(columns);
      kernels::sum(sums.data(), x.data(), {1, rows, columns});
      for (std::int64_t j = 0; j < columns; j += 37) {
        float alone[2];
        std::vector<float> pair;  // as one of two: a single column is added up as a row is
        for (std::int64_t i = 0; i < rows; ++i)
          pair.insert(pair.end(), 2, x[static_cast<std::size_t>(i * columns + j)]);
        kernels::sum(alone, pair.data(), {1, rows, 2});
        CHECK(sums[static_cast<std::size_t>(j)] == alone[0]);
      }
      std::vector<float> of_rows(rows), of_pairs(rows * 2);
      kernels::sum(of_rows.data(), x.data(), {rows, columns, 1});
      kernels::sum(of_pairs.data(), x.data(), {rows, columns / 2, 2});
      for (std::int64_t i = 0; i < rows; ++i) {
        float alone = 0, pair[2];
        kernels::sum(&alone, x.data() + i * columns, {1, columns, 1});
        kernels::sum(pair, x.data() + i * columns, {1, columns / 2, 2});
        CHECK(of_rows[static_cast<std::size_t>(i)] == alone);
        CHECK(of_pairs[static_cast<std::size_t>(2 * i + 1)] == pair[1]);
      }
    }
    SUBCASE("an optimizer's step") {
      constexpr std::int64_t size = 70'001;
      const std::vector<float> g = numbers(size, 0.3);
      const kernels::AdamStep step{0.9, 0.999, 1e-8, 0.1, 31.6};
      const auto after = [&](std::int64_t at_once) {
        std::vector<float> p = numbers(size, 0.9), m = numbers(size, 0.1), v(size, 0.5f);
        for (std::int64_t i = 0; i < size; i += at_once)
          kernels::adam<float>({p.data() + i,
                                g.data() + i,
                                {m.data() + i, v.data() + i, nullptr},
                                std::min(at_once, size - i),
                                1e-3,
                                0.01,
                                0.99},
                               step);
        p.insert(p.end(), m.begin(), m.end());
        p.insert(p.end(), v.begin(), v.end());
        return p;
      };
      CHECK(after(size) == after(997));
    }
    SUBCASE("a step of an LSTM cell") {
      constexpr std::int64_t rows = 37, hidden = 257, of_state = rows * hidden;
      const std::vector<float> gates = numbers(4 * of_state, 0.3), c = numbers(of_state, 0.7);
      const std::vector<float> dh = numbers(of_state, 0.2), dc = numbers(of_state, 0.9);
      const auto after = [&](std::int64_t at_once, bool keeps) {
        std::vector<float> h(of_state), next(of_state), active(5 * of_state), dgates(4 * of_state);
        for (std::int64_t row = 0; row < rows; row += at_once) {
          const std::int64_t i = row * hidden, some = std::min(at_once, rows - row);
          kernels::lstm_cell(h.data() + i, next.data() + i, keeps ? active.data() + 5 * i : nullptr,
                             gates.data() + 4 * i, c.data() + i, some, hidden);
          if (keeps)
            kernels::lstm_cell_dgates(dgates.data() + 4 * i, dh.data() + i, dc.data() + i, active.data() + 5 * i,
                                      c.data() + i, some, hidden);
        }
        h.insert(h.end(), next.begin(), next.end());
        if (keeps) h.insert(h.end(), active.begin(), active.end());
        if (keeps) h.insert(h.end(), dgates.begin(), dgates.end());
        return h;
      };
      CHECK(after(rows, true) == after(1, true));
      CHECK(after(rows, false) == after(1, false));
    }
  }
}
