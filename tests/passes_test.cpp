// Ops that share a pass over memory, or write over what nobody reads any more: all comes out as if each stood alone.
#include "reference.h"

#include <doctest/doctest.h>
#include <ebb/autograd/autograd.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>
#include <thread>
#include <vector>

using namespace ebb;

namespace {

constexpr double infinity = std::numeric_limits<double>::infinity(), nan = std::numeric_limits<double>::quiet_NaN();

Tensor numbers(const Shape& shape, DType dtype = f64) {
  Generator generator(static_cast<std::uint64_t>(shape.size()) * 31 + static_cast<std::uint64_t>(shape.rank()));
  return randn(shape, dtype, generator);
}

bool same_bits(const Tensor& a, const Tensor& b) {
  const std::vector<double> x = a.to_vector<double>(), y = b.to_vector<double>();
  return a.shape() == b.shape() && std::equal(x.begin(), x.end(), y.begin(), [](double v, double w) {
           return (v == w && std::signbit(v) == std::signbit(w)) || (v != v && w != w);
         });
}

using Model = std::function<Tensor(const Tensor&)>;

/// The gradient by x of the weighted sum of f(x); observed, each op goes back alone.
Tensor slope(const Model& f, const Tensor& x, bool observed, bool retain = false) {
  Graph graph;
  if (observed) graph.observe();
  const Tensor v = graph.variable(x), y = f(v);
  sum(y * numbers(y.shape(), y.dtype())).backward({.retain = retain});
  return v.grad();
}

/// Whole numbers, so that windows have ties, and -0, infinities and NaN among them.
Tensor awkward(const Shape& shape, DType dtype) {
  std::vector<double> all = numbers(shape).to_vector<double>();
  for (std::size_t i = 0; i < all.size(); ++i) {
    all[i] = std::round(2 * all[i]);
    if (i % 23 == 0) all[i] = i % 2 == 0 ? nan : infinity;
    if (i % 29 == 0) all[i] = -0.0;
  }
  return from(std::span<const double>(all), shape).to(dtype);
}

}  // namespace

TEST_CASE("the gradient of a max pool behind relu is, to the bit, what pool and relu send one after the other") {
  const std::vector<Model> models = {
      [](const Tensor& x) { return max_pool2d(relu(x * 1), 2); },
      [](const Tensor& x) { return max_pool2d(relu(x * 1), 3, 2, 1); },
      [](const Tensor& x) { return max_pool2d(relu(x * 1), 3, 1); },
      [](const Tensor& x) {
        return max_pool1d(relu(reshape(x, {-1, x.shape()[1], x.shape()[3]})), 2);
      },
      [](const Tensor& x) { return max_pool2d(relu(max_pool2d(relu(x * 2), 2)), 1); },
  };
  for (const DType dtype : {f32, f64})
    for (const Shape& shape : {Shape{1, 1, 3, 3}, {2, 3, 7, 7}, {3, 5, 14, 14}, {2, 3, 33, 36}, {40, 7, 12, 28}})
      for (const Model& model : models)
        for (const bool retain : {false, true})
          CHECK(same_bits(slope(model, awkward(shape, dtype), false, retain),
                          slope(model, awkward(shape, dtype), true, retain)));
}

TEST_CASE("a value that others read beside the pool behind it keeps its numbers and gets all gradients") {
  const Tensor numbers_of_x = numbers({2, 3, 8, 8});
  const std::vector<Model> models = {
      [](const Tensor& x) {
        const Tensor y = relu(x * 1);
        return max_pool2d(y, 2) + 3 * max_pool2d(y * y, 2);
      },
      [](const Tensor& x) {
        const Tensor y = relu(x * 1);
        return max_pool2d(y, 2) * y(0, 0, 1, 1);
      },
      [](const Tensor& x) {
        return checkpoint([](const Tensor& v) { return max_pool2d(relu(v * 1), 2); }, x) + max_pool2d(relu(x), 2);
      },
  };
  for (const Model& model : models) {
    CHECK(reference::distance(slope(model, numbers_of_x, false), slope(model, numbers_of_x, true)) < 1e-14);
    CHECK(gradcheck(model, {numbers({1, 2, 4, 4})}) < 1e-7);
  }
  Graph graph;
  const Tensor x = graph.variable(numbers_of_x), y = relu(x * 1);
  const std::vector<double> before = y.to_vector<double>();
  sum(max_pool2d(y, 2)).backward();
  CHECK(y.to_vector<double>() == before);
}

TEST_CASE("whoever watches the value between pool and relu sees the gradient that the pool sends") {
  Graph graph;
  const Tensor x = graph.variable(tensor({{{{-1, -2}, {-3, -4}}}}, f64)), y = relu(x * 1);
  std::vector<double> seen;
  graph.on_gradient(y, [&](const Tensor& g) {
    seen = g.to_vector<double>();
    return g;
  });
  sum(max_pool2d(y, 2)).backward();
  CHECK(seen == std::vector<double>(4, 0.25));
  CHECK(x.grad().to_vector<double>() == std::vector<double>(4, 0));
}

TEST_CASE("a convolution's weight and bias get the gradients together that each gets alone") {
  struct Case {
    Shape x, w;
    Conv2dOptions options;
  };
  const std::vector<Case> cases = {{{1, 1, 1, 1}, {5, 1, 1, 1}, {.padding = 1}},
                                   {{3, 2, 7, 5}, {4, 2, 3, 2}, {}},
                                   {{3, 2, 7, 5}, {3, 2, 3, 2}, {}},  // too few channels for vectors of them
                                   {{3, 4, 7, 33}, {34, 2, 3, 3}, {.stride = 2, .padding = 1, .groups = 2}},
                                   {{5, 8, 9, 9}, {16, 8, 1, 1}, {}},  // a matrix product
                                   {{20, 3, 28, 28}, {17, 3, 5, 5}, {.padding = 2}}};
  for (const Case& c : cases) {
    const Tensor image = numbers(c.x), kernel = numbers(c.w), start = numbers({c.w[0]});
    const auto gradients = [&](bool by_weight, bool by_bias) {
      Graph graph;
      const Tensor x = graph.variable(image), w = by_weight ? graph.variable(kernel) : kernel,
                   b = by_bias ? graph.variable(start) : start, y = conv2d(x, w, b, c.options);
      sum(y * numbers(y.shape())).backward();
      return std::vector{by_weight ? w.grad() : Tensor(), by_bias ? b.grad() : Tensor()};
    };
    const std::vector<Tensor> both = gradients(true, true);
    CHECK(reference::distance(both[0], gradients(true, false)[0]) < 1e-12);
    CHECK(reference::distance(both[1], gradients(false, true)[1]) < 1e-12);
  }
}

TEST_CASE("an op writes over its operand if nobody reads that any more, and over nothing else") {
  const Tensor numbers_of_x = numbers({40'000}, f32);
  const std::vector<float> plain = relu(numbers_of_x).to_vector<float>();
  Graph graph;
  const Tensor x = graph.variable(numbers_of_x);
  const Tensor z = x + 0, other = z;
  Tensor given = z * 1;
  CHECK(relu(x + 0).to_vector<float>() == plain);
  CHECK(relu(Tensor(z)).to_vector<float>() == plain);
  CHECK(z.to_vector<float>() == numbers_of_x.to_vector<float>());
  const float* const place = given.data<float>().data();
  const Tensor y = relu(std::move(given));
  CHECK(y.data<float>().data() == place);
  CHECK(y.to_vector<float>() == plain);
}

TEST_CASE("an op that fails leaves its operand as it was, though it would have written over it") {
  Graph graph;
  const Tensor x = graph.variable(tensor({-1, 2}, f64));
  Tensor y = x * 3;
  std::thread([&] { CHECK_THROWS_AS(relu(std::move(y)), GraphError); }).join();
  CHECK(y.to_vector<double>() == std::vector<double>{-3, 6});
  Tensor inner;
  const Tensor z = checkpoint(
      [&](const Tensor& v) {
        inner = v * 3;
        return sum(v);
      },
      x);
  CHECK_THROWS_AS(relu(std::move(inner)), GraphError);
  CHECK(inner.to_vector<double>() == std::vector<double>{-3, 6});
  (sum(y * y) + z).backward();
  CHECK(x.grad().to_vector<double>() == std::vector<double>{-17, 37});
}

TEST_CASE("a tensor that was given away holds nothing, whether or not it was written over") {
  Graph graph;
  Tensor alone = graph.variable(ones({2})) * 2, shared = alone * 1;
  const Tensor other = shared, y = relu(std::move(alone)), z = relu(std::move(shared));
  CHECK(y.to_vector<float>() == z.to_vector<float>());
  CHECK_FALSE(alone.defined());
  CHECK_FALSE(shared.defined());
  CHECK_THROWS_WITH_AS(y + alone, "add: the second operand holds nothing: a Tensor made without a value", UsageError);
}

TEST_CASE("chains of ops that write over each other's results have the gradients of their formulas") {
  const auto all = [](const Tensor& x) {
    return exp(x * 0.5) + sigmoid(exp(x * 0.5)) + tanh(square(x + 1)) + relu(-exp(-x) + 1) + sqrt(exp(tanh(x)));
  };
  CHECK(gradcheck(all, {numbers({33})}, {.order = 2}) < 1e-6);
  CHECK(same_bits(slope(all, numbers({33}), false), slope(all, numbers({33}), true)));
}

TEST_CASE("what is written over within replay() is written anew each time") {
  const Tensor w = numbers({3, 1, 3, 3}, f32), constant = numbers({2, 3, 8, 8}, f32) * 1;
  Parameter weight(w);
  auto step = replay([&](const Tensor& x) {
    const Tensor y = max_pool2d(relu(conv2d(x, weight, zeros({3}), {.padding = 1}) + sigmoid(constant * 1)), 2);
    return sum(square(y)) + sum(tanh(exp(relu(x * 1))));
  });
  const auto once = [&](const Tensor& x) {
    Graph graph;
    const Tensor y = max_pool2d(relu(conv2d(x, weight, zeros({3}), {.padding = 1}) + sigmoid(constant * 1)), 2);
    return (sum(square(y)) + sum(tanh(exp(relu(x * 1))))).item();
  };
  for (int i = 0; i < 4; ++i) {
    const Tensor x = numbers({2, 1, 8, 8}, f32) * (0.3 + i);
    CHECK(step(x).item() == once(x));
  }
  CHECK(step.why() == "");
}

TEST_CASE("elementwise loops come out the same on any number of threads, eager and replayed") {
  const Tensor x = numbers({301, 1, 257}, f32), row = numbers({257}, f32), column = numbers({301, 3, 1}, f32);
  const auto mine = elementwise("mine", [](auto v, auto w) { return v * w / (1 + exp(-v)); });
  const auto loss = [&](const Tensor& v) {
    const Tensor y = mine(tanh(v * row) + column, column) - relu(v);
    return sum(square(sigmoid(y) + y * y));
  };
  const auto all = [&] {
    Graph graph;
    const Tensor v = graph.variable(x), y = loss(v);
    y.backward();
    std::vector<float> bits = v.grad().to_vector<float>();
    bits.push_back(y.to_vector<float>()[0]);
    return bits;
  };
  const auto replayed = [&] {
    const Parameter p(x);
    auto step = replay([&](const Tensor& by) { return loss(p * by); });
    std::vector<float> bits;
    for (const double by : {1.0, 0.5, 1.0}) {
      step(full({}, by));
      for (const float g : p.grad().to_vector<float>()) bits.push_back(g);
    }
    CHECK(step.why() == "");
    return bits;
  };
  const int before = num_threads();
  set_num_threads(1);
  const std::vector<float> alone = all(), alone_replayed = replayed();
  for (const int n : {2, 3}) {
    set_num_threads(n);
    CHECK(all() == alone);
    CHECK(replayed() == alone_replayed);
  }
  set_num_threads(before);
}
