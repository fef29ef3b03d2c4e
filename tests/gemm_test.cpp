// Matrix products in vectors of our own, and gradients that are products, of many uses as one.
#include <doctest/doctest.h>
#include <ebb/autograd/kernels/blas.h>
#include <ebb/autograd/kernels/gemm.h>
#include <ebb/autograd/threads.h>
#include <ebb/nn/nn.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <functional>
#include <limits>
#include <string>
#include <vector>

using namespace ebb;
using kernels::Product;
using kernels::Way;

namespace {

constexpr double not_a_number = std::numeric_limits<double>::quiet_NaN();

Tensor numbers(const Shape& shape, std::uint64_t seed = 1, DType dtype = f64) {
  Generator generator(seed);
  return randn(shape, dtype, generator);
}

template <class T> std::vector<T> drawn(std::int64_t n, std::uint64_t seed) {
  return numbers({n}, seed, sizeof(T) == 4 ? f32 : f64).template to_vector<T>();
}

/// The largest difference between numbers of two tensors of one shape; NaN if one of them is.
double distance(const Tensor& a, const Tensor& b) {
  REQUIRE(a.shape() == b.shape());
  return a.size() == 0 ? 0 : max(abs(a - b).to(f64)).item();
}

bool same_bits(const Tensor& a, const Tensor& b) {
  return a.shape() == b.shape() && a.to_vector<double>() == b.to_vector<double>();
}

template <class P> struct Level {
  const char* name;
  void (*run)(const P&);
};
/// The products that this machine has instructions for.
template <class P> std::vector<Level<P>> levels() {
  std::vector<Level<P>> all;
#ifdef __x86_64__
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) all.push_back({"avx2", kernels::product_avx2});
  if (__builtin_cpu_supports("avx512f")) all.push_back({"avx512", kernels::product_avx512});
#endif
  return all;
}

template <class T> void check_product(Way way, bool ta, bool tb, std::int64_t m, std::int64_t n, std::int64_t k) {
  const std::vector<T> a = drawn<T>(m * k, 1), b = drawn<T>(n * k, 2), d = drawn<T>(m * n, 3);
  std::vector<T> first;
  for (const Level<Product<T>>& level : levels<Product<T>>()) {
    CAPTURE(level.name);
    for (const int adds : {0, 1, 2}) {  // nothing, one row to all, a whole matrix
      std::vector<T> c(static_cast<std::size_t>(m * n), T(not_a_number));
      level.run({way, ta, tb, m, n, k, a.data(), ta ? m : k, b.data(), tb ? k : n, adds == 0 ? nullptr : d.data(),
                 adds == 1 ? 0 : n, c.data(), n});
      double worst = 0;
      for (std::int64_t i = 0; i < m; ++i)
        for (std::int64_t j = 0; j < n; ++j) {
          double sum = adds == 0 ? 0 : static_cast<double>(d[static_cast<std::size_t>(adds == 1 ? j : i * n + j)]);
          for (std::int64_t p = 0; p < k; ++p)
            sum += static_cast<double>(a[static_cast<std::size_t>(ta ? p * m + i : i * k + p)]) *
                   static_cast<double>(b[static_cast<std::size_t>(tb ? j * k + p : p * n + j)]);
          const double off = std::abs(sum - static_cast<double>(c[static_cast<std::size_t>(i * n + j)]));
          worst = off <= worst ? worst : off;
        }
      CHECK(worst < (sizeof(T) == 4 ? 2e-4 : 1e-12));
      if (adds < 2) continue;
      if (first.empty()) first = c;
      else CHECK(std::memcmp(first.data(), c.data(), c.size() * sizeof(T)) == 0);
    }
  }
}

template <class T> void check_products() {
  const std::int64_t sizes[] = {1, 7, 33};
  for (const Way way : {Way::straight, Way::turned})
    for (const bool ta : {false, true})
      for (const bool tb : {false, true}) {
        CAPTURE(int(way));
        CAPTURE(ta);
        CAPTURE(tb);
        for (const std::int64_t m : sizes)
          for (const std::int64_t n : sizes)
            for (const std::int64_t k : sizes) check_product<T>(way, ta, tb, m, n, k);
        check_product<T>(way, ta, tb, 205, 67, 3);
        check_product<T>(way, ta, tb, 50, 131, 300);
        check_product<T>(way, ta, tb, 13, 1041, 258);
        check_product<T>(way, ta, tb, 400, 20, 513);
      }
  for (const std::int64_t m : {1, 7, 33})
    for (const std::int64_t n : {1, 7, 33}) check_product<T>(Way::outer, true, false, m, n, 1);
  for (const std::int64_t n : {1, 7, 33, 150})
    for (const std::int64_t k : {1, 7, 33, 300}) {
      for (const std::int64_t m : {1, 3, 40}) check_product<T>(Way::dots, false, true, m, n, k);
      for (const bool ta : {false, true}) check_product<T>(Way::row, ta, false, 1, n, k);
      check_product<T>(Way::dots, true, true, 1, n, k);
    }
}

/// Gradients of the weights of a recurrence: by backward(), observed or not, which sums products, and as recorded ones,
/// each of which is taken by itself.
using Weights = std::vector<Tensor>;
using Recurrence = std::function<Tensor(const Weights&)>;
Weights by_backward(const Recurrence& f, const Weights& values, bool observed) {
  Graph graph({.observe = observed});
  Weights w, gradients;
  for (const Tensor& value : values) w.push_back(graph.variable(value));
  f(w).backward();
  for (const Tensor& each : w) gradients.push_back(detach(each.grad()));
  return gradients;
}
Weights recorded(const Recurrence& f, const Weights& values) {
  Graph graph;
  Weights w, gradients;
  for (const Tensor& value : values) w.push_back(graph.variable(value));
  for (const Tensor& g : graph.gradient(f(w), w)) gradients.push_back(detach(g));
  return gradients;
}
void check_gradients(const Recurrence& f, const Weights& values) {
  const Weights plain = by_backward(f, values, false), observed = by_backward(f, values, true),
                alone = recorded(f, values);
  for (std::size_t i = 0; i < values.size(); ++i) {
    CAPTURE(i);
    CHECK(distance(plain[i], alone[i]) < 1e-12 * (1 + max(abs(alone[i])).item()));
    CHECK(same_bits(plain[i], observed[i]));
  }
  CHECK(gradcheck([&](const std::vector<Tensor>& w) { return f(w); }, values) < 1e-7);
}

}  // namespace

TEST_CASE("a product in vectors is the plain loop, and the same bits for every set of instructions") {
  check_products<float>();
  check_products<double>();
}

TEST_CASE("a NaN stays in its row and its column, whatever is packed beside it") {
  for (const bool ta : {false, true})
    for (const bool tb : {false, true}) {
      std::vector<double> a(37 * 41, 0.0), b(41 * 43, 1.0);
      a[static_cast<std::size_t>(ta ? 5 * 37 + 3 : 3 * 41 + 5)] = not_a_number;
      b[static_cast<std::size_t>(tb ? 9 * 41 + 7 : 7 * 43 + 9)] = std::numeric_limits<double>::infinity();
      std::vector<double> c(37 * 43);
      kernels::gemm(ta, tb, 37, 43, 41, a.data(), b.data(), 0.0, c.data());
      for (std::int64_t i = 0; i < 37; ++i)
        for (std::int64_t j = 0; j < 43; ++j) {
          const double y = c[static_cast<std::size_t>(i * 43 + j)];
          CHECK(std::isnan(y) == (i == 3 || j == 9));  // 0 · ∞ is NaN
        }
    }
}

TEST_CASE("products do not depend on the number of threads") {
  const Tensor a = numbers({310, 330}, 1, f32), b = numbers({330, 500}, 2, f32), w = numbers({500, 330}, 3, f32);
  const Tensor square = numbers({2100, 2100}, 5, f32), row = numbers({1, 2100}, 6, f32);
  const int before = num_threads();
  const auto all = [&] {
    std::vector<std::vector<float>> y;
    y.push_back(matmul(row, square).to_vector<float>());
    y.push_back(matmul(row, square, {.tb = true}).to_vector<float>());
    y.push_back(matmul(square, row, {.tb = true}).to_vector<float>());
    y.push_back(matmul(a, b).to_vector<float>());
    y.push_back(matmul(a, w, {.tb = true}).to_vector<float>());
    y.push_back(matmul(b, b, {.ta = true}).to_vector<float>());
    y.push_back(affine(slice(a, 0, 40), concat({w, w}), numbers({40, 1000}, 4, f32)).to_vector<float>());
    return y;
  };
  set_num_threads(1);
  const auto alone = all();
  for (const int threads : {2, 3}) {
    set_num_threads(threads);
    CHECK(all() == alone);
  }
  set_num_threads(before);
}

TEST_CASE("a weight that a recurrence multiplies by again and again gets the sum of what each step sends") {
  const Tensor x = numbers({11, 3, 4}, 9);
  SUBCASE("rows by a transposed weight") {
    check_gradients(
        [&](const Weights& w) {
          Tensor h = zeros({3, 4}, f64);
          for (std::int64_t t = 0; t < 11; ++t) h = tanh(x[t] + matmul(h, w[0], {.tb = true}));
          return sum(h * h);
        },
        {numbers({4, 4}, 2) * 0.5});
  }
  SUBCASE("rows by a weight as it stands, and a weight decay beside it") {
    check_gradients(
        [&](const Weights& w) {
          Tensor h = zeros({3, 4}, f64);
          for (std::int64_t t = 0; t < 11; ++t) h = tanh(x[t] + matmul(h, w[0]));
          return sum(h * h) + sum(square(w[0]));
        },
        {numbers({4, 4}, 2) * 0.5});
  }
  SUBCASE("an affine step with weight, bias and an addend, of batches that shrink") {
    check_gradients(
        [&](const Weights& w) {
          Tensor h = zeros({3, 4}, f64);
          for (std::int64_t t = 0; t < 11; ++t) {
            h = slice(h, 0, t < 6 ? 3 : 2);
            h = tanh(affine(affine(h, w[0], w[1]), w[0], slice(x[t], 0, h.shape()[0])));
          }
          return sum(h * h);
        },
        {numbers({4, 4}, 2) * 0.5, numbers({4}, 3)});
  }
  SUBCASE("a weight by a vector, and by columns") {
    check_gradients(
        [&](const Weights& w) {
          Tensor h = zeros({4}, f64), columns = zeros({4, 3}, f64);
          for (std::int64_t t = 0; t < 11; ++t) {
            h = tanh(x[t][0] + matmul(w[0], h));
            columns = tanh(transpose(x[t], 0, 1) + matmul(w[0], columns));
          }
          return sum(h * h) + sum(columns);
        },
        {numbers({4, 4}, 2) * 0.5});
  }
  SUBCASE("a weight that is itself computed, and steps that are computed again") {
    check_gradients(
        [&](const Weights& w) {
          const Tensor u = tanh(w[0]);
          Tensor h = zeros({3, 4}, f64);
          for (std::int64_t t = 0; t < 11; ++t) {
            const Tensor now = x[t];
            const auto step = [now, u](const Tensor& from) { return tanh(now + matmul(from, u, {.tb = true})); };
            h = t % 3 == 0 ? checkpoint(step, h) : step(h);
          }
          return sum(h * h);
        },
        {numbers({4, 4}, 2) * 0.5});
  }
}

TEST_CASE("what is summed as one product is let through hooks once, and comes again from a retained graph") {
  const Tensor x = numbers({40, 9, 4}, 9);
  Parameter w(numbers({4, 4}, 2) * 0.5);
  Graph graph;
  const Tensor leaf = w;
  int calls = 0;
  graph.on_gradient(leaf, [&](const Tensor& g) {
    ++calls;
    return g * 2;
  });
  Tensor h = zeros({9, 4}, f64);
  for (std::int64_t t = 0; t < 40; ++t) h = tanh(x[t] + matmul(h, leaf, {.tb = true}));
  const Tensor loss = sum(h * h), alone = detach(graph.gradient(loss, leaf));
  CHECK(calls == 1);
  loss.backward({.retain = true});
  CHECK(calls == 2);
  const Tensor once = w.grad();
  CHECK(distance(once, alone) < 1e-12);
  loss.backward();
  CHECK(same_bits(w.grad(), once + once));
}

TEST_CASE("a backward that fails leaves nothing for the next") {
  Graph graph;
  const Tensor w = graph.variable(numbers({4, 4}, 2)), x = numbers({3, 4}, 3), early = graph.variable(x);
  const Tensor y = matmul(matmul(early, w), w), loss = sum(y * y);
  bool fails = true;
  graph.on_gradient(early, [&](const Tensor&) {
    if (fails) throw std::runtime_error("no");
  });
  CHECK_THROWS_WITH(loss.backward({.retain = true}), "no");
  fails = false;
  loss.backward({.retain = true});
  const Tensor gradient = detach(w.grad());
  CHECK(distance(gradient, detach(graph.gradient(loss, w))) < 1e-11);
}
