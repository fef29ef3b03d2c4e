// Random numbers that are the same on every machine.
#pragma once

#include "tensor.h"

#include <cstdint>

namespace ebb {

/// A counter-based generator: the n-th number depends on the seed and n alone.
/// Source: Salmon, Moraes, Dror & Shaw 2011, "Parallel random numbers: as easy as 1, 2, 3" (Philox4x32-10).
class Generator {
 public:
  explicit Generator(std::uint64_t seed = 0) : seed_(seed) {}

  /// The next 64 random bits.
  std::uint64_t bits();
  /// Uniform in (0, 1).
  double uniform();
  /// Standard normal.
  double normal();
  /// Uniform among 0, ..., n - 1, without bias.  n must be positive.
  std::int64_t below(std::int64_t n);

  std::uint64_t seed() const { return seed_; }
  /// How many numbers have been drawn; set it to go on from there.
  std::uint64_t position() const { return position_; }
  void position(std::uint64_t p) { position_ = p; }

  /// The number at position p of the stream with this seed.
  static std::uint64_t bits_at(std::uint64_t seed, std::uint64_t p);

 private:
  std::uint64_t seed_ = 0, position_ = 0;
};

/// Sets this thread's default generator, from which rand(), randn() and the initialisers draw when given none.
void seed(std::uint64_t seed);
/// This thread's default generator.
Generator& default_generator();

/// Uniform in (0, 1).
Tensor rand(const Shape& shape, DType dtype = f32);
Tensor rand(const Shape& shape, DType dtype, Generator& generator);
/// Standard normal.
Tensor randn(const Shape& shape, DType dtype = f32);
Tensor randn(const Shape& shape, DType dtype, Generator& generator);
/// Whole numbers in [low, high), i64.
Tensor randint(std::int64_t low, std::int64_t high, const Shape& shape);
Tensor randint(std::int64_t low, std::int64_t high, const Shape& shape, Generator& generator);
/// 0, ..., n - 1 in random order, i64.
Tensor randperm(std::int64_t n);
Tensor randperm(std::int64_t n, Generator& generator);

}  // namespace ebb
