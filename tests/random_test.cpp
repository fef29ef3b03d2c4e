// Random numbers: the published generator, the same everywhere, with the right moments.
#include <doctest/doctest.h>
#include <ebb/autograd/autograd.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <set>
#include <vector>

using namespace ebb;

namespace {

/// Philox4x32-10 as its paper states it: ten rounds, each a pair of 32-bit products whose halves change places, with
/// the key raised by the golden ratio and √3 - 1 between rounds.
std::array<std::uint32_t, 4> philox(std::array<std::uint32_t, 4> counter, std::array<std::uint32_t, 2> key) {
  for (int round = 0; round < 10; ++round) {
    if (round > 0) key = {key[0] + 0x9E3779B9u, key[1] + 0xBB67AE85u};
    const auto [c0, c1, c2, c3] = counter;
    const std::uint64_t first = std::uint64_t{c0} * 0xD2511F53u, second = std::uint64_t{c2} * 0xCD9E8D57u;
    const auto high = [](std::uint64_t product) { return static_cast<std::uint32_t>(product >> 32); };
    const auto low = [](std::uint64_t product) { return static_cast<std::uint32_t>(product); };
    counter = {high(second) ^ c1 ^ key[0], low(second), high(first) ^ c3 ^ key[1], low(first)};
  }
  return counter;
}

std::uint64_t expected_bits(std::uint64_t seed, std::uint64_t position) {
  const auto low = [](std::uint64_t x) { return static_cast<std::uint32_t>(x); };
  const auto c = philox({low(position), low(position >> 32), 0, 0}, {low(seed), low(seed >> 32)});
  return std::uint64_t{c[1]} << 32 | c[0];
}

/// The mean of (x - centre)^power.
double moment(const std::vector<double>& numbers, double centre, int power) {
  double total = 0;
  for (const double x : numbers) total += std::pow(x - centre, power);
  return total / static_cast<double>(numbers.size());
}

}  // namespace

TEST_CASE("the plain loop gives the known answers of Philox4x32-10") {
  CHECK(philox({0, 0, 0, 0}, {0, 0}) == std::array<std::uint32_t, 4>{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8});
  constexpr std::uint32_t all = 0xffffffffu;
  CHECK(philox({all, all, all, all}, {all, all}) ==
        std::array<std::uint32_t, 4>{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd});
  CHECK(philox({0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344}, {0xa4093822, 0x299f31d0}) ==
        std::array<std::uint32_t, 4>{0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1});
}

TEST_CASE("the generator's bits are Philox4x32-10 of seed and position") {
  CHECK(Generator::bits_at(0, 0) == 0xe169c58d6627e8d5u);
  for (const std::uint64_t seed : {std::uint64_t{0}, std::uint64_t{42}, std::uint64_t{1} << 40, ~std::uint64_t{0}})
    for (const std::uint64_t position : {std::uint64_t{0}, std::uint64_t{1}, std::uint64_t{7} << 33, ~std::uint64_t{0}})
      CHECK(Generator::bits_at(seed, position) == expected_bits(seed, position));
  Generator generator(42);
  CHECK(generator.seed() == 42);
  for (std::uint64_t p = 0; p < 5; ++p) {
    CHECK(generator.position() == p);
    CHECK(generator.bits() == expected_bits(42, p));
  }
  generator.position(2);
  CHECK(generator.bits() == expected_bits(42, 2));
}

TEST_CASE("uniform numbers are the upper 53 bits and half a step, strictly between 0 and 1") {
  Generator generator(3);
  for (std::uint64_t p = 0; p < 1000; ++p)
    CHECK(generator.uniform() == (static_cast<double>(expected_bits(3, p) >> 11) + 0.5) / 9007199254740992.0);
  seed(5);
  for (const DType dtype : {f32, f64}) {
    const std::vector<double> x = rand({100000}, dtype).to_vector<double>();
    CHECK(*std::min_element(x.begin(), x.end()) > 0);
    CHECK(*std::max_element(x.begin(), x.end()) < 1);
  }
}

TEST_CASE("rand has the moments of the uniform distribution") {
  seed(11);
  const std::vector<double> x = rand({200000}, f64).to_vector<double>();
  CHECK(moment(x, 0, 1) == doctest::Approx(0.5).epsilon(0.005));
  CHECK(moment(x, 0.5, 2) == doctest::Approx(1.0 / 12).epsilon(0.01));
  CHECK(std::abs(moment(x, 0.5, 3)) < 5e-4);
  CHECK(moment(x, 0.5, 4) == doctest::Approx(1.0 / 80).epsilon(0.01));
}

TEST_CASE("randn has the moments and the tails of the normal distribution") {
  seed(12);
  const std::vector<double> x = randn({200000}, f64).to_vector<double>();
  CHECK(std::abs(moment(x, 0, 1)) < 0.01);
  CHECK(moment(x, 0, 2) == doctest::Approx(1).epsilon(0.01));
  CHECK(std::abs(moment(x, 0, 3)) < 0.03);
  CHECK(moment(x, 0, 4) == doctest::Approx(3).epsilon(0.03));
  const auto beyond = [&](double limit) {
    return static_cast<double>(std::count_if(x.begin(), x.end(), [&](double v) { return std::abs(v) > limit; })) /
           200000;
  };
  CHECK(beyond(1) == doctest::Approx(std::erfc(1 / std::sqrt(2.0))).epsilon(0.02));
  CHECK(beyond(3) == doctest::Approx(std::erfc(3 / std::sqrt(2.0))).epsilon(0.2));
}

TEST_CASE("a normal number is the quantile of the uniform one at its position") {
  Generator uniform(8), normal(8);
  for (int i = 0; i < 1000; ++i) {
    const double x = normal.normal();
    CHECK(0.5 * std::erfc(-x / std::sqrt(2.0)) == doctest::Approx(uniform.uniform()).epsilon(1e-13));
  }
}

TEST_CASE("the same seed gives the same numbers, another seed others") {
  seed(7);
  const std::vector<float> first = randn({33}).to_vector<float>();
  seed(7);
  CHECK(randn({33}).to_vector<float>() == first);
  seed(8);
  CHECK(randn({33}).to_vector<float>() != first);
  Generator own(7);
  CHECK(randn({33}, f32, own).to_vector<float>() == first);
  CHECK(default_generator().seed() == 8);
  CHECK(default_generator().position() == 33);
}

TEST_CASE("f32 numbers are the f64 numbers, rounded") {
  for (const bool normal : {false, true}) {
    Generator narrow(9), wide(9);
    const std::vector<float> a = (normal ? randn({1000}, f32, narrow) : rand({1000}, f32, narrow)).to_vector<float>();
    const std::vector<double> b = (normal ? randn({1000}, f64, wide) : rand({1000}, f64, wide)).to_vector<double>();
    for (std::size_t i = 0; i < a.size(); ++i) CHECK(a[i] == static_cast<float>(b[i]));
  }
}

TEST_CASE("randperm is a permutation, and every number comes first equally often") {
  seed(1);
  for (const std::int64_t n : {0, 1, 7, 33, 1000}) {
    std::vector<std::int64_t> order = randperm(n).to_vector<std::int64_t>();
    std::sort(order.begin(), order.end());
    for (std::int64_t i = 0; i < n; ++i) CHECK(order[static_cast<std::size_t>(i)] == i);
    CHECK(order.size() == static_cast<std::size_t>(n));
  }
  std::array<int, 5> came_first{};
  for (int i = 0; i < 10000; ++i) ++came_first[static_cast<std::size_t>(randperm(5)(0).value())];
  for (const int count : came_first) CHECK(std::abs(count - 2000) < 200);  // five standard deviations
}

TEST_CASE("below() reaches its whole range evenly, however large") {
  Generator generator(4);
  std::array<int, 7> seen{};
  for (int i = 0; i < 70000; ++i) {
    const std::int64_t x = generator.below(7);
    REQUIRE(x >= 0);
    REQUIRE(x < 7);
    ++seen[static_cast<std::size_t>(x)];
  }
  for (const int count : seen) CHECK(std::abs(count - 10000) < 500);
  CHECK(generator.below(1) == 0);
  constexpr std::int64_t wide = std::int64_t{3}
                                << 61;  // no power of two: a plain remainder would favour the lower part
  int upper = 0;
  for (int i = 0; i < 20000; ++i) {
    const std::int64_t x = generator.below(wide);
    REQUIRE(x >= 0);
    REQUIRE(x < wide);
    upper += x >= wide / 2;
  }
  CHECK(std::abs(upper - 10000) < 400);
}

TEST_CASE("randint stays in its range and reaches both ends") {
  seed(2);
  const std::vector<std::int64_t> x = randint(-3, 4, {7, 100}).to_vector<std::int64_t>();
  CHECK(std::set<std::int64_t>(x.begin(), x.end()) == std::set<std::int64_t>{-3, -2, -1, 0, 1, 2, 3});
  CHECK(randint(5, 6, {33}).to_vector<double>() == std::vector<double>(33, 5.0));
  CHECK(randint(0, 9, {0}).size() == 0);
}
