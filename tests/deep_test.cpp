// Long chains on a small stack, and long training in little memory.
//
// The chains run on a thread with a stack of 256 KiB, as a program would under `ulimit -s 256`.
#include <doctest/doctest.h>
#include <ebb/autograd/autograd.h>

#include <malloc.h>
#include <pthread.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <exception>
#include <fstream>
#include <functional>
#include <new>
#include <thread>
#include <vector>

// Sanitizers make every step some ten times slower and larger, so under them the chains are a tenth as long, and the
// growth of the process, which they cause themselves, is not judged.
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define EBB_SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer) || __has_feature(memory_sanitizer)
#define EBB_SANITIZED 1
#endif
#endif
#ifndef EBB_SANITIZED
#define EBB_SANITIZED 0
#endif

namespace {

std::atomic<std::uint64_t> allocations{0};

void* counted(std::size_t bytes, std::size_t alignment) {
  ++allocations;
  void* const memory = alignment == 0 ? std::malloc(bytes == 0 ? 1 : bytes)
                                      : std::aligned_alloc(alignment, (bytes + alignment - 1) / alignment * alignment);
  if (memory == nullptr) throw std::bad_alloc();
  return memory;
}

}  // namespace

void* operator new(std::size_t bytes) { return counted(bytes, 0); }
void* operator new[](std::size_t bytes) { return counted(bytes, 0); }
void* operator new(std::size_t bytes, std::align_val_t a) { return counted(bytes, static_cast<std::size_t>(a)); }
void* operator new[](std::size_t bytes, std::align_val_t a) { return counted(bytes, static_cast<std::size_t>(a)); }
void operator delete(void* p) noexcept { std::free(p); }
void operator delete[](void* p) noexcept { std::free(p); }
void operator delete(void* p, std::size_t) noexcept { std::free(p); }
void operator delete[](void* p, std::size_t) noexcept { std::free(p); }
void operator delete(void* p, std::align_val_t) noexcept { std::free(p); }
void operator delete[](void* p, std::align_val_t) noexcept { std::free(p); }
void operator delete(void* p, std::size_t, std::align_val_t) noexcept { std::free(p); }
void operator delete[](void* p, std::size_t, std::align_val_t) noexcept { std::free(p); }

using namespace ebb;

namespace {

constexpr int scale = EBB_SANITIZED ? 10 : 1;

/// Runs the body on a thread with a stack of 256 KiB; what it throws comes out here.
void on_small_stack(const std::function<void()>& body) {
  struct Task {
    const std::function<void()>* body;
    std::exception_ptr thrown;
  } task{&body, nullptr};
  pthread_attr_t attributes;
  pthread_attr_init(&attributes);
  REQUIRE(pthread_attr_setstacksize(&attributes, 256 * 1024) == 0);
  pthread_t thread;
  const int failed = pthread_create(
      &thread, &attributes,
      [](void* raw) -> void* {
        Task& own = *static_cast<Task*>(raw);
        try {
          (*own.body)();
        } catch (...) {
          own.thrown = std::current_exception();
        }
        return nullptr;
      },
      &task);
  pthread_attr_destroy(&attributes);
  REQUIRE(failed == 0);
  pthread_join(thread, nullptr);
  if (task.thrown) std::rethrow_exception(task.thrown);
}

std::int64_t resident_bytes() {
  std::ifstream statm("/proc/self/statm");
  std::int64_t whole = 0, resident = 0;
  statm >> whole >> resident;
  return resident * sysconf(_SC_PAGESIZE);
}

std::int64_t bytes_in_use() {
  const auto info = mallinfo2();
  return static_cast<std::int64_t>(info.uordblks + info.hblkhd);
}

/// How often this thread met memory that the system had yet to give.
std::int64_t page_faults() {
  rusage usage{};
  getrusage(RUSAGE_THREAD, &usage);
  return usage.ru_minflt;
}

/// Calls step until it is warm, then `steps` times: how many times it called operator new, how many page faults it met,
/// and by how many bytes the process and its heap grew.
struct Growth {
  std::uint64_t allocations;
  std::int64_t faults, heap, resident;
};
template <class Step> Growth growth(int steps, Step&& step) {
  for (int i = 0; i < 100; ++i) step();
  const std::int64_t heap = bytes_in_use(), resident = resident_bytes();
  const std::uint64_t before = allocations;
  const std::int64_t faults = page_faults();
  for (int i = 0; i < steps; ++i) step();
  const std::int64_t new_faults = page_faults() - faults;
  return {allocations - before, new_faults, bytes_in_use() - heap, resident_bytes() - resident};
}

constexpr std::int64_t one_mebibyte = 1 << 20;

void check_steady(const Growth& seen) {
  CHECK(seen.allocations == 0);
  CHECK(seen.heap <= one_mebibyte);
  if (!EBB_SANITIZED) CHECK(seen.resident <= one_mebibyte);
  if (!EBB_SANITIZED) CHECK(seen.faults <= 8);  // of the whole run, not of a step: the measuring itself meets some
}

}  // namespace

TEST_CASE("a chain of ten million scalar ops is built, differentiated and freed on a small stack") {
  constexpr int pairs = 5'000'000 / scale;
  if (EBB_SANITIZED) MESSAGE("built with a sanitizer: the chains are a tenth as long");
  on_small_stack([] {
    Graph graph;
    const Scalar x = graph.variable(0.5);
    Scalar y = x;
    double expected = 0.5;
    for (int i = 0; i < pairs; ++i) {
      y = y * (1 + 1e-7) + 1e-9;
      expected = expected * (1 + 1e-7) + 1e-9;
    }
    CHECK(graph.size() == 2 * std::size_t{pairs} + 1);
    CHECK(y.value() == expected);
    y.backward();
    CHECK(x.grad() == doctest::Approx(std::pow(1 + 1e-7, pairs)).epsilon(1e-8));
  });
}

TEST_CASE("a chain of a million tensor ops is built, differentiated and freed on a small stack") {
  constexpr int pairs = 500'000 / scale;
  on_small_stack([] {
    Graph graph;
    const Tensor x = graph.variable(full({}, 0.5, f64));
    Tensor y = x;
    double value = 0.5, slope = 1;
    for (int i = 0; i < pairs; ++i) {
      y = cos(y * 1.5);
      slope *= -1.5 * std::sin(1.5 * value);
      value = std::cos(1.5 * value);
    }
    CHECK(graph.size() == 2 * std::size_t{pairs} + 1);
    CHECK(y.item() == doctest::Approx(value).epsilon(1e-6));
    y.backward();
    CHECK(x.grad().item() == doctest::Approx(slope));
  });
}

TEST_CASE("a recorded gradient of a long chain, and its backward, fit on a small stack") {
  constexpr int length = 20'000 / scale;
  on_small_stack([] {
    Graph graph;
    const Scalar s = graph.variable(1.0);
    const Tensor t = graph.variable(full({}, 1.0, f64));
    Scalar y = s;
    Tensor z = t;
    for (int i = 0; i < length; ++i) {
      y = y * s;
      z = z * t;
    }
    graph.gradient(y, s).backward({.retain = true});  // y = sⁿ⁺¹
    CHECK(s.grad() == doctest::Approx(double(length) * (length + 1)));
    graph.gradient(z, t).backward();
    CHECK(t.grad().item() == doctest::Approx(double(length) * (length + 1)));
  });
}

TEST_CASE("a long chain of views is freed on a small stack") {
  on_small_stack([] {
    Tensor t = ones({1'000'000 / scale + 1});
    for (int i = 0; i < 1'000'000 / scale; ++i) t = slice(t, 1, t.size());
    CHECK(t.item() == 1);
  });
}

TEST_CASE("a hundred thousand training steps of a small model allocate nothing and do not grow the process") {
  Generator generator(1);
  Parameter w1(randn({16, 4}, f32, generator)), b1(zeros({16})), w2(randn({1, 16}, f32, generator)), b2(zeros({1}));
  const Tensor x = randn({8, 4}, f32, generator), target = rand({8, 1}, f32, generator);
  const Growth seen = growth(100'000 / scale, [&] {
    {
      Graph graph;
      bce_with_logits(affine(relu(affine(x, w1, b1)), w2, b2), target).backward();
    }
    for (Parameter* p : {&w1, &b1, &w2, &b2}) {
      p->assign(p->value() - p->grad() * 0.01);
      p->clear_grad();
    }
  });
  MESSAGE("grown by " << seen.heap << " bytes of heap, " << seen.resident << " resident");
  check_steady(seen);
}

TEST_CASE("a hundred thousand scalar training steps allocate nothing and do not grow the process") {
  double w[3] = {0.1, -0.2, 0.3};
  const Growth seen = growth(100'000 / scale, [&] {
    Graph graph;
    const Scalar a = graph.variable(w[0]), b = graph.variable(w[1]), c = graph.variable(w[2]);
    Scalar loss = 0;
    for (int i = 0; i < 10; ++i) loss += square(tanh(a * (0.1 * i) + b) * c - 0.05 * i);
    loss.backward();
    w[0] -= 0.01 * a.grad();
    w[1] -= 0.01 * b.grad();
    w[2] -= 0.01 * c.grad();
  });
  check_steady(seen);
}

TEST_CASE("a scalar program of a million ops is recorded and differentiated again without a page fault") {
  const Growth seen = growth(5, [&] {
    Graph graph;
    const Scalar x = graph.variable(0.5), c = graph.variable(0.3);
    Scalar y = x;
    for (int i = 0; i < 500'000 / scale; ++i) y = y * c + x;
    y.backward();
  });
  check_steady(seen);
}

TEST_CASE("training steps of an LSTM allocate nothing") {
  constexpr std::int64_t batch = 3, features = 2, hidden = 5;
  Generator generator(1);
  Parameter from_x(randn({4 * hidden, features}, f32, generator)), from_h(randn({4 * hidden, hidden}, f32, generator)),
      bias(zeros({4 * hidden}));
  const Tensor x = randn({batch, features}, f32, generator), zero = zeros({batch, hidden});
  check_steady(growth(2'000 / scale, [&] {
    {
      Graph graph;
      Tensor h = zero, c = zero;
      for (int t = 0; t < 6; ++t) {
        const Tensor both = lstm_cell(affine(x, from_x, bias) + matmul(h, from_h, {.tb = true}), c);
        h = slice(both, 0, batch);
        c = slice(both, batch, 2 * batch);
      }
      sum(h * h).backward();
    }
    for (Parameter* p : {&from_x, &from_h, &bias}) {
      p->assign(p->value() - p->grad() * 0.01);
      p->clear_grad();
    }
  }));
}

TEST_CASE("a replayed function of Scalars allocates nothing when it runs again") {
  auto f = replay([](Scalar x, Scalar y) { return x > y ? exp(x) * y : tanh(x * y) - 2; });
  Generator generator(2);
  const Tensor x = randn({100, 2}, f64, generator);
  check_steady(growth(1'000, [&] { (void)f(x); }));
}

// Sanitizers want more addresses than any limit leaves them.
TEST_CASE("where addresses are limited a list leaves most of them to others" * doctest::skip(EBB_SANITIZED)) {
  constexpr rlim_t gibibyte = rlim_t{1} << 30;
  const pid_t child = fork();
  REQUIRE(child >= 0);
  if (child == 0) {
    rlim_t pages = 0;
    std::ifstream("/proc/self/statm") >> pages;
    const rlim_t limit = pages * static_cast<rlim_t>(sysconf(_SC_PAGESIZE)) + 13 * gibibyte;
    const rlimit addresses{limit, limit};
    bool fits = setrlimit(RLIMIT_AS, &addresses) == 0;
    std::thread([&] {  // whose first graph makes a list
      Graph graph;
      const Scalar x = graph.variable(2.0);
      (x * x).backward();
      void* const others = std::malloc(8 * gibibyte);
      fits = fits && x.grad() == 4 && others != nullptr;
      std::free(others);
    }).join();
    _exit(fits ? 0 : 1);
  }
  int status = 0;
  REQUIRE(waitpid(child, &status, 0) == child);
  CHECK(status == 0);
}

TEST_CASE("tensors without a graph are recycled, not allocated again") {
  const Tensor x = ones({33, 7});
  check_steady(growth(10'000, [&] { (void)sum(exp(x) * 2 + x).item(); }));
}

TEST_CASE("errors leave nothing behind") {
  const Tensor a = ones({33, 7}), b = ones({7, 33});
  const Growth seen = growth(10'000, [&] {
    Graph graph;
    const Tensor x = graph.variable(a);
    try {
      exp(x) + b;
    } catch (const ShapeError&) {
    }
  });
  CHECK(seen.heap <= one_mebibyte);
  if (!EBB_SANITIZED) CHECK(seen.resident <= one_mebibyte);
  CHECK(seen.allocations > 0);  // each makes a message: the counter that the tests above read does count
}
