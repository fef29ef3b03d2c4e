#include "threads.h"

#include <pthread.h>

#include <algorithm>
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

void in_turn(std::int64_t parts, const std::function<void(std::int64_t)>& f) {
  for (std::int64_t part = 0; part < parts; ++part) f(part);
}

class Pool {
 public:
  Pool() : threads_(at_start()) {}
  /// For the child of a fork, in which no thread of the parent's pool is there to work, to be joined, or to unlock what
  /// it locked.
  explicit Pool(const Pool& of_parent) : threads_(of_parent.threads_), of_parent_(&of_parent) {}

  int threads() {
    const std::lock_guard lock(state_);
    return threads_;
  }

  void resize(int n) {
    const std::lock_guard only(job_);
    stop();
    const std::lock_guard lock(state_);
    threads_ = n;
    stopping_ = false;
  }

  void run(std::int64_t parts, const std::function<void(std::int64_t)>& f) {
    std::unique_lock only(job_, std::try_to_lock);
    if (!only) return in_turn(parts, f);
    std::unique_lock lock(state_);
    start();
    if (workers_.empty()) {
      lock.unlock();
      only.unlock();
      return in_turn(parts, f);
    }
    f_ = &f;
    next_ = 0;
    parts_ = left_ = parts;
    wake_.notify_all();
    take_parts(lock);
    done_.wait(lock, [this] { return left_ == 0; });
    parts_ = next_ = 0;
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

  void take_parts(std::unique_lock<std::mutex>& lock) {
    inside = true;
    while (next_ < parts_) {
      const std::int64_t part = next_++;
      lock.unlock();
      std::exception_ptr thrown;
      try {
        (*f_)(part);
      } catch (...) {
        thrown = std::current_exception();
      }
      lock.lock();
      if (thrown && !failure_) failure_ = thrown;
      if (--left_ == 0) done_.notify_one();
    }
    inside = false;
  }

  void work() {
    std::unique_lock lock(state_);
    for (;;) {
      wake_.wait(lock, [this] { return stopping_ || next_ < parts_; });
      if (stopping_) return;
      take_parts(lock);
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
  }

  std::mutex job_;    // held by whoever shares work out
  std::mutex state_;  // guards all below
  std::condition_variable wake_, done_;
  const std::function<void(std::int64_t)>* f_ = nullptr;
  std::int64_t next_ = 0, parts_ = 0, left_ = 0;  // the next part to take, their number, those not done
  std::exception_ptr failure_;
  bool stopping_ = false;
  int threads_;
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

void parallel(std::int64_t parts, const std::function<void(std::int64_t)>& f) {
  if (parts > 1 && !inside) pool().run(parts, f);
  else in_turn(parts, f);
}

int num_threads() { return pool().threads(); }
void set_num_threads(int n) { pool().resize(n); }

}  // namespace ebb::kernels
