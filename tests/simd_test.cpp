// Loops on vectors: functions of float against the C library's in double, and the same bits on every instruction set.
#include "op_table.h"

#include <doctest/doctest.h>
#include <ebb/autograd/kernels/loss.h>
#include <ebb/autograd/kernels/map.h>
#include <ebb/autograd/kernels/math.h>
#include <ebb/autograd/kernels/norm.h>
#include <ebb/autograd/kernels/optimizer.h>
#include <ebb/autograd/kernels/reduce.h>

#include <bit>
#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <limits>
#include <string>
#include <vector>

using namespace ebb;
using kernels::Isa;

namespace {

constexpr float inf = std::numeric_limits<float>::infinity();

/// Runs on at most that instruction set until it goes out of scope.
struct On {
  explicit On(Isa isa) { kernels::use_isa(isa); }
  ~On() { kernels::use_isa(Isa::avx512); }
};

/// How far y is from the truth, in units of the truth's last place as a float; -1 if it is another kind of number.
double units_off(float y, double truth) {
  const auto rounded = static_cast<float>(truth);
  if (std::isnan(truth) || std::isnan(y)) return std::isnan(truth) && std::isnan(y) ? 0 : -1;
  if (y == rounded) return std::signbit(y) == std::signbit(rounded) ? 0 : -1;
  int exponent = 0;
  std::frexp(truth, &exponent);
  const double unit = std::ldexp(1, std::max(exponent, -125) - 24);
  const double number = std::isinf(y) ? std::copysign(0x1p128, static_cast<double>(y)) : static_cast<double>(y);
  return std::abs(number - truth) / unit;
}

/// The most that a function is off over floats of all magnitudes and signs; EBB_ALL_FLOATS=1: over every float.
template <class F> double most_off(F f, double (*truth)(double)) {
  const std::uint64_t step = std::getenv("EBB_ALL_FLOATS") != nullptr ? 1 : 1999, block = 4096;
  std::vector<float> x(block), y(block);
  double most = 0;
  for (std::uint64_t first = 0; first >> 32 == 0; first += step * block) {
    for (std::uint64_t k = 0; k < block; ++k) x[k] = std::bit_cast<float>(static_cast<std::uint32_t>(first + k * step));
    kernels::map(y.data(), static_cast<std::int64_t>(block), f, x.data());
    for (std::uint64_t k = 0; k < block; ++k) {
      const double off = units_off(y[k], truth(static_cast<double>(x[k])));
      if (off < 0) FAIL_CHECK("of ", x[k], " it makes ", y[k]);
      most = std::max(most, off);
    }
  }
  return most;
}

double open(double x) { return x < 0 ? std::exp(x) / (1 + std::exp(x)) : 1 / (1 + std::exp(-x)); }

std::vector<std::uint32_t> bits(const std::vector<float>& numbers) {
  std::vector<std::uint32_t> all;
  for (const float x : numbers) all.push_back(std::isnan(x) ? 0x7fc00000 : std::bit_cast<std::uint32_t>(x));
  return all;
}

/// Numbers of many magnitudes, with zeros, infinities and NaN among them.
std::vector<float> numbers(std::size_t count, std::uint32_t seed) {
  std::vector<float> all;
  for (std::uint32_t state = seed * 2654435761U + 1; all.size() < count;) {
    state = state * 1664525U + 1013904223U;
    const float sized =
        std::ldexp(static_cast<float>(state >> 8) / 16777216.0F - 0.5F, static_cast<int>(state >> 28) - 7);
    all.push_back(all.size() % 61 == 7 ? 0.0F : all.size() % 67 == 5 ? -inf : all.size() % 71 == 3 ? NAN : sized);
  }
  return all;
}

/// Checks that run(out) leaves the same bits on every instruction set.
template <class Run> void same_on_all(const std::string& what, std::size_t size, Run run) {
  CAPTURE(what);
  std::vector<std::uint32_t> plain;
  for (const Isa isa : {Isa::baseline, Isa::avx2, Isa::avx512}) {
    const On on(isa);
    std::vector<float> out(size, 7);
    run(out.data());
    if (isa == Isa::baseline) plain = bits(out);
    else CHECK(bits(out) == plain);
  }
}

}  // namespace

TEST_CASE("functions of float are within 2 units in the last place, of whatever number") {
  namespace math = kernels::math;
  CHECK(most_off([](float x) { return math::exp(x); }, [](double x) { return std::exp(x); }) < 1);
  CHECK(most_off([](float x) { return math::log(x); }, [](double x) { return std::log(x); }) < 1);
  CHECK(most_off([](float x) { return math::tanh(x); }, [](double x) { return std::tanh(x); }) < 1.5);
  CHECK(most_off([](float x) { return math::sigmoid(x); }, open) < 2);
  CHECK(most_off([](float x) { return math::expm1(x); }, [](double x) { return std::expm1(x); }) < 2);
  CHECK(most_off([](float x) { return math::log1p(x); }, [](double x) { return std::log1p(x); }) < 1.5);
  CHECK(most_off([](float x) { return math::erf(x); }, [](double x) { return std::erf(x); }) < 1.5);
}

TEST_CASE("a loop over any number of numbers writes those and no others") {
  for (const Isa isa : {Isa::baseline, Isa::avx2, Isa::avx512}) {
    const On on(isa);
    for (const std::size_t n : std::vector<std::size_t>{0, 1, 2, 4, 5, 7, 15, 16, 17, 33, 48, 257}) {
      const std::vector<float> a = numbers(n, 1), b = numbers(n, 2);
      std::vector<float> y(n + 20, 7);
      kernels::map(
          y.data(), static_cast<std::int64_t>(n), [](float v, float w) { return v * w; }, a.data(), b.data());
      std::vector<float> expected(n + 20, 7);
      for (std::size_t i = 0; i < n; ++i) expected[i] = a[i] * b[i];
      CHECK(bits(y) == bits(expected));
    }
  }
}

TEST_CASE("every elementwise op of the table makes the same bits on every instruction set, and so do its gradients") {
  for (const table::OpCase& op : table::op_cases()) {
    if (!op.scalar || !op.differentiable) continue;  // not elementwise
    for (const std::vector<Shape>& shapes : op.shapes) {
      std::string where = op.name;
      for (const Shape& shape : shapes) where += " " + to_string(shape);
      CAPTURE(where);
      std::vector<std::vector<std::uint32_t>> plain;
      for (const Isa isa : {Isa::baseline, Isa::avx2, Isa::avx512}) {
        const On on(isa);
        Graph graph;
        std::vector<Tensor> x;
        for (const Tensor& each : table::samples(op, shapes)) x.push_back(graph.variable(each.to(f32)));
        const Tensor y = op.call(x);
        sum(y).backward();
        std::vector<std::vector<std::uint32_t>> all{bits(y.to_vector<float>())};
        for (const Tensor& each : x) all.push_back(bits(each.grad().to_vector<float>()));
        if (isa == Isa::baseline) plain = all;
        else CHECK(all == plain);
      }
    }
  }
}

TEST_CASE("an op of one's own makes the same bits on every instruction set") {
  const auto own = elementwise("own", [](auto a, auto b) { return where(a < b, a * exp(-b) + b, tanh(a) * a + 0.5); });
  const Tensor a = rand({7, 33}) * 4 - 2.0, b = rand({33}) * 4 - 2.0;
  same_on_all("value", 231, [&](float* out) {
    const std::vector<float> y = own(a, b).to_vector<float>();
    std::copy(y.begin(), y.end(), out);
  });
  same_on_all("gradient", 33, [&](float* out) {
    Graph graph;
    const Tensor x = graph.variable(b);
    sum(own(a, x)).backward();
    const std::vector<float> dx = x.grad().to_vector<float>();
    std::copy(dx.begin(), dx.end(), out);
  });
}

TEST_CASE("reductions make the same bits on every instruction set") {
  for (const std::int64_t n : {1, 7, 33, 256, 2500})
    for (const std::int64_t inner : {1, 7, 33}) {
      const kernels::Block block{3, n, inner};
      const std::string where = std::to_string(n) + " by " + std::to_string(inner);
      const auto all = static_cast<std::size_t>(3 * n * inner), few = static_cast<std::size_t>(3 * inner);
      const std::vector<float> x = numbers(all, 3);
      same_on_all("sum " + where, few, [&](float* y) { kernels::sum(y, x.data(), block); });
      same_on_all("max " + where, few, [&](float* y) { kernels::extreme(y, x.data(), block, 1); });
      same_on_all("min " + where, few, [&](float* y) { kernels::extreme(y, x.data(), block, -1); });
      same_on_all("logsumexp " + where, few, [&](float* y) { kernels::logsumexp(y, x.data(), block); });
      same_on_all("softmax " + where, all, [&](float* y) { kernels::softmax(y, x.data(), block); });
      same_on_all("log_softmax " + where, all, [&](float* y) { kernels::log_softmax(y, x.data(), block); });
    }
}

TEST_CASE("losses, normalisation and Adam make the same bits on every instruction set") {
  const std::size_t n = 1500;
  const std::vector<float> x = numbers(n, 4), g = numbers(n, 5), scale = numbers(n, 6), mean = numbers(n, 7);
  const std::vector<std::int64_t> label(n, 2);
  same_on_all("bce", 1, [&](float* y) { *y = static_cast<float>(kernels::bce_with_logits(x.data(), g.data(), 33)); });
  same_on_all("bce gradient", 33,
              [&](float* y) { kernels::bce_with_logits_gradient(y, x.data(), g.data(), 33, 0.5F); });
  same_on_all("cross entropy", 1,
              [&](float* y) { *y = static_cast<float>(kernels::cross_entropy(x.data(), label.data(), 33, 7)); });
  same_on_all("cross entropy gradient", 231,
              [&](float* y) { kernels::cross_entropy_gradient(y, x.data(), label.data(), 33, 7, 0.5F); });
  for (const kernels::Groups& groups : {kernels::Groups{4, 5, 33, true}, kernels::Groups{40, 7, 1, true},
                                        kernels::Groups{1, 9, 33, false}, kernels::Groups{6, 3, 7, true}}) {
    const auto all = static_cast<std::size_t>(groups.outer * groups.groups * groups.inner);
    same_on_all("moments", 18, [&](float* y) { kernels::moments(y, y + 9, x.data(), groups); });
    same_on_all("normalize", all, [&](float* y) {
      kernels::normalize(y, x.data(), mean.data(), scale.data(), scale.data() + 9, mean.data() + 9, groups);
    });
    for (const bool fixed : {false, true})
      same_on_all("normalize_gradient", all, [&](float* y) {
        kernels::normalize_gradient(y, g.data(), x.data(), mean.data(), scale.data(), scale.data() + 9, groups, fixed);
      });
  }
  same_on_all("Adam", 3 * 77, [&](float* p) {
    const kernels::Turn<float> turn{p, g.data(), {p + 77, p + 154, nullptr}, 77, 1e-3, 0.1, 1};
    kernels::adam(turn, {0.9, 0.999, 1e-8, 0.1, 30});
  });
}
