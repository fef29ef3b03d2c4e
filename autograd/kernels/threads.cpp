#include "threads.h"

#include <pthread.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdlib>
#include <exception>
#include <mutex>
#include <system_error>
#include <thread>
#include <utility>
#include <vector>

namespace ebb::kernels {

namespace {

thread_local bool inside = false;  // this thread is at work on a part

/// As many as the machine has, or as the environment says.
int at_start() {
  if (const char* const asked = std::getenv("EBB_NUM_THREADS"))
    if (const int n = std::atoi(asked); n > 0) return std::min(n, 1024);
  return static_cast<int>(std::max(1U, std::thread::hardware_concurrency()));
}

void in_turn(std::int64_t parts, const PartFunction& f) {
  std::exception_ptr failure;
  for (std::int64_t part = 0; part < parts; ++part) try {
      f(part);
    } catch (...) {
      if (!failure) failure = std::current_exception();
    }
  if (failure) std::rethrow_exception(failure);
}

void pause() {
#if defined(__x86_64__) || defined(__i386__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#endif
}

using Clock = std::chrono::steady_clock;

/// Looks again and again for up to 50 µs: going to sleep and being woken takes 5 to 50 µs.  After the first few it offers
/// its core, once, since on a busy machine the very thread that it looks out for may want it.  Whether done() came true.
template <class F> bool soon(const F& done) {
  const Clock::time_point begin = Clock::now();
  bool offered = false;
  do {
    for (int i = 0; i < 64; ++i) {
      if (done()) return true;
      pause();
    }
    if (!std::exchange(offered, true)) std::this_thread::yield();
  } while (Clock::now() - begin < std::chrono::microseconds(50));
  return done();
}

class Pool {
 public:
  Pool() : threads_(at_start()) {}
  /// For the child of a fork, in which no thread of the parent's pool is there to work, to be joined, or to unlock what
  /// it locked.
  explicit Pool(const Pool& of_parent) : threads_(of_parent.threads()), of_parent_(&of_parent) {}

  int threads() const { return threads_; }

  void resize(int n) {
    const std::lock_guard only(job_);
    stop();
    threads_ = n;
    alone_ = 0;
  }

  void run(std::int64_t parts, const PartFunction& f) {
    if (threads_ == 1) return in_turn(parts, f);
    std::unique_lock only(job_, std::try_to_lock);
    if (!only) return in_turn(parts, f);
    start();
    if (workers_.empty() || alone_ > 0) {
      alone_ -= alone_ > 0;
      only.unlock();
      return in_turn(parts, f);
    }
    f_ = &f;
    parts_ = parts;
    next_ = 0;
    open_ = true;
    ++jobs_;
    if (sleepers_ > 0) {
      { const std::lock_guard lock(state_); }
      wake_.notify_all();
    }
    const Clock::duration longest = take_parts();
    open_ = false;
    await(longest);
    if (failure_) std::rethrow_exception(std::exchange(failure_, nullptr));
  }

 private:
  /// Sees to it that all threads are there, or as many as the system gives.
  void start() {
    try {
      while (static_cast<int>(workers_.size()) < threads_ - 1) workers_.emplace_back([this] { work(); });
    } catch (const std::system_error&) {
      threads_ = static_cast<int>(workers_.size()) + 1;
    }
  }

  /// Returns the time of the longest.
  Clock::duration take_parts() {
    Clock::duration longest{};
    Clock::time_point begin = Clock::now();
    inside = true;
    for (std::int64_t part; (part = next_++) < parts_;) {
      try {
        (*f_)(part);
      } catch (...) {
        const std::lock_guard lock(state_);
        if (!failure_) failure_ = std::current_exception();
      }
      const Clock::time_point end = Clock::now();
      longest = std::max(longest, end - std::exchange(begin, end));
    }
    inside = false;
    return longest;
  }

  /// Returns when no worker is in the job.  Parts are about as long as each other; where the last ones take far longer than
  /// those that this thread did, others want the machine's cores, and work is not shared out for a while.
  void await(Clock::duration longest) {
    const auto all_out = [this] { return at_work_ == 0; };
    if (all_out()) return;
    const Clock::time_point begin = Clock::now();
    if (!spinning() || !soon(all_out)) {
      std::unique_lock lock(state_);
      awaited_ = true;
      done_.wait(lock, all_out);
      awaited_ = false;
    }
    if (Clock::now() - begin > 2 * longest + std::chrono::microseconds(200)) alone_ = 20;
  }

  /// Whoever looks out for work takes a core from those who work, where there are more threads than cores.
  bool spinning() const { return threads_ <= cores_; }

  void work() {
    std::uint64_t seen = 0;
    for (;;) {
      const auto called = [&] { return stopping_ || jobs_ != seen; };
      if (!spinning() || !soon(called)) {
        std::unique_lock lock(state_);
        ++sleepers_;
        wake_.wait(lock, called);
        --sleepers_;
      }
      if (stopping_) return;
      seen = jobs_;
      ++at_work_;  // before the look at open_: whoever closes the job sees this worker, or this worker sees it closed
      if (open_) take_parts();
      if (--at_work_ == 0 && awaited_) {
        { const std::lock_guard lock(state_); }
        done_.notify_one();
      }
    }
  }

  void stop() {
    {
      const std::lock_guard lock(state_);
      stopping_ = true;
    }
    wake_.notify_all();
    for (std::thread& worker : workers_) worker.join();
    workers_.clear();
    stopping_ = false;
  }

  std::mutex job_;    // held by whoever shares work out
  std::mutex state_;  // for sleep and failure_
  std::condition_variable wake_, done_;
  // The job: written by whoever holds job_ while no worker is in it.
  const PartFunction* f_ = nullptr;
  std::int64_t parts_ = 0;
  int alone_ = 0;  // so many jobs are not shared out
  std::exception_ptr failure_;
  alignas(64) std::atomic<std::int64_t> next_ = 0;  // the next part to take
  alignas(64) std::atomic<std::uint64_t> jobs_ = 0;
  std::atomic<bool> open_ = false, stopping_ = false;
  alignas(64) std::atomic<int> at_work_ = 0;  // workers in the job
  std::atomic<int> sleepers_ = 0;
  std::atomic<bool> awaited_ = false;  // somebody sleeps until at_work_ is 0
  std::atomic<int> threads_;
  const int cores_ = static_cast<int>(std::max(1U, std::thread::hardware_concurrency()));
  std::vector<std::thread> workers_;
  [[maybe_unused]] const Pool* of_parent_ = nullptr;  // still known, so that nobody takes it for a leak
};

/// Never destroyed: its threads end with the program, whichever way it ends.
Pool& pool() {
  static Pool* one = new Pool;
  [[maybe_unused]] static const int told = pthread_atfork(nullptr, nullptr, [] { one = new Pool(*one); });
  return *one;
}

}  // namespace

void parallel(std::int64_t parts, PartFunction f) {
  if (parts > 1 && !inside) pool().run(parts, f);
  else in_turn(parts, f);
}

int num_threads() { return pool().threads(); }
void set_num_threads(int n) { pool().resize(n); }

}  // namespace ebb::kernels
