// What the machine can do at most, by the instructions that this is compiled for: multiply and add, and copy.
#pragma once

#include <cstddef>
#include <cstring>
#include <thread>
#include <vector>

namespace bench {

/// Calls f(0), ..., f(threads - 1), each on a thread of its own.
inline void on_threads(int threads, const auto& f) {
  std::vector<std::thread> others;
  for (int i = 1; i < threads; ++i) others.emplace_back(f, i);
  f(0);
  for (std::thread& other : others) other.join();
}

#if defined(__AVX512F__)
constexpr int vector_bytes = 64;
#elif defined(__AVX__)
constexpr int vector_bytes = 32;
#else
constexpr int vector_bytes = 16;
#endif

/// Multiplications and additions in registers, fused where the processor can, in 12 chains that do not wait for each
/// other: 10⁹ floating point operations (f32) on each thread.
class MultiplyAdd {
 public:
  static double operations(int threads) { return 2.0 * chains * floats * rounds * threads; }

  void run(int threads) {
    std::vector<float> result(static_cast<std::size_t>(threads));
    on_threads(threads, [&](int i) { result[static_cast<std::size_t>(i)] = run_one(); });
    sum_ = result[0];
  }

 private:
  using Vector = float __attribute__((vector_size(vector_bytes)));
  static constexpr int chains = 12, floats = vector_bytes / 4, rounds = 500'000'000 / chains / floats;

  [[gnu::noinline]] static float run_one() {
    Vector sum[chains];
    // Unlike each other, or one would do; and none 1, where it would stay, so that compilers leave the chain out.
    for (int i = 0; i < chains; ++i) sum[i] = Vector{} + static_cast<float>(i + 2);
    const Vector a = Vector{} + 0.999f, b = Vector{} + 0.001f;
    for (int round = 0; round < rounds; ++round)
      for (Vector& s : sum) s = a * s + b;
    float total = 0;
    for (const Vector& s : sum) total += s[0];
    return total;
  }

  volatile float sum_ = 0;  // somebody reads the result
};

/// Copies 64 MB, more than caches hold.
class Copier {
 public:
  static constexpr double bytes = 2.0 * (std::size_t{64} << 20);  // read and written

  void run(int threads) {
    const std::size_t share = from_.size() / static_cast<std::size_t>(threads);
    on_threads(threads, [&](int i) {
      const std::size_t at = share * static_cast<std::size_t>(i);
      std::memcpy(to_.data() + at, from_.data() + at, share);
    });
  }

 private:
  std::vector<char> from_ = std::vector<char>(std::size_t{64} << 20, 1), to_ = std::vector<char>(std::size_t{64} << 20);
};

}  // namespace bench
