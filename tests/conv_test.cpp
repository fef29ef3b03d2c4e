// Convolutions and pools: the kernels against plain loops, the laws that they obey, gradients beyond the second.
#include "reference.h"

#include <doctest/doctest.h>
#include <ebb/autograd/autograd.h>
#include <ebb/autograd/kernels/threads.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cmath>
#include <functional>
#include <limits>
#include <string>
#include <thread>
#include <vector>

using namespace ebb;
using reference::distance;
using reference::Plain;

namespace {

/// Normal numbers, the same for the same shape.
Tensor numbers(const Shape& shape, DType dtype = f64) {
  Generator generator(static_cast<std::uint64_t>(shape.size()) * 31 + static_cast<std::uint64_t>(shape.rank()));
  return randn(shape, dtype, generator);
}

/// One convolution of each kind: every option apart from its neutral value, alone and with others.
struct Geometry {
  Shape x, w;
  Conv2dOptions options;
};

std::vector<Geometry> geometries() {
  return {
      {{1, 1, 1, 1}, {1, 1, 1, 1}, {}},
      {{2, 3, 7, 5}, {4, 3, 3, 2}, {}},
      {{2, 3, 7, 5}, {4, 3, 3, 2}, {.stride = 2}},
      {{2, 3, 7, 5}, {4, 3, 3, 2}, {.stride = {1, 3}}},
      {{2, 3, 7, 5}, {4, 3, 3, 2}, {.stride = {3, 1}, .padding = {0, 4}}},
      {{2, 3, 7, 5}, {4, 3, 3, 2}, {.padding = {3, 1}, .dilation = {2, 3}}},
      {{2, 4, 7, 8}, {6, 2, 3, 3}, {.stride = 2, .padding = {1, 2}, .dilation = 2, .groups = 2}},
      {{3, 5, 6, 6}, {5, 1, 3, 3}, {.padding = 1, .groups = 5}},
      {{3, 5, 6, 6}, {10, 1, 2, 2}, {.stride = 2, .groups = 5}},
      {{2, 4, 7, 8}, {6, 4, 1, 1}, {}},
      {{1, 4, 7, 8}, {6, 2, 1, 1}, {.groups = 2}},
      {{2, 4, 17, 16}, {6, 2, 1, 1}, {.groups = 2}},  // a matrix for each image
      {{2, 4, 7, 8}, {6, 4, 1, 1}, {.stride = 2}},
      {{1, 4, 7, 8}, {6, 4, 1, 1}, {.stride = 2}},
      {{2, 4, 7, 8}, {6, 4, 1, 1}, {.padding = 1}},
      {{3, 16, 20, 20}, {5, 16, 3, 3}, {.padding = 1}},  // blocks that end within rows and images
      {{2, 1, 1, 5000}, {2, 1, 1, 3}, {}},               // a row longer than a block
      {{2, 1, 64, 64}, {2, 1, 2, 2}, {.stride = {1, 2}}},
      {{1, 1, 2, 2}, {1, 1, 5, 5}, {.padding = 9, .dilation = 4}},  // windows that lie in the padding alone
      {{2, 2, 9, 15}, {33, 2, 2, 2}, {.padding = 2}},               // more channels than fit into two vectors
      {{3, 9, 8, 9}, {17, 9, 2, 3}, {.padding = 1}},
      {{2, 18, 5, 6}, {19, 18, 1, 1}, {}},
      {{1, 2, 23, 17}, {5, 2, 7, 7}, {.stride = 2, .padding = 3}},
      {{2, 2, 23, 17}, {4, 2, 7, 7}, {.padding = {3, 5}}},
      {{2, 3, 9, 37}, {6, 1, 3, 5}, {.padding = {1, 2}, .groups = 3}},
      {{2, 8, 12, 13}, {24, 4, 2, 3}, {.stride = {4, 3}, .padding = {1, 2}, .dilation = {3, 1}, .groups = 2}},
      {{1, 4, 40, 6}, {4, 4, 33, 2}, {.stride = {1, 5}}},                 // more taps, and a longer stride
      {{1, 7, 61, 301}, {6, 7, 3, 4}, {.stride = {2, 1}, .padding = 1}},  // more rows than are laid out at a time
      {{1, 25, 1, 16001}, {4, 25, 1, 3}, {.padding = {0, 1}}},            // and more columns
      {{0, 3, 5, 5}, {2, 3, 3, 3}, {.padding = 1}},
      {{2, 3, 5, 5}, {0, 3, 3, 3}, {.padding = 1}},
      {{2, 0, 5, 5}, {2, 0, 3, 3}, {.padding = 1}},
      {{2, 2, 0, 3}, {2, 2, 2, 2}, {.padding = 1}},
  };
}

struct Pool {
  Pair size;
  Pool2dOptions options;
};

std::vector<Pool> pools() {
  return {{1, {}},
          {2, {}},
          {3, {}},
          {{3, 2}, {.stride = 1}},
          {{2, 3}, {.stride = {1, 2}, .padding = {1, 0}}},
          {3, {.stride = 2, .padding = 1}},
          {{4, 5}, {.stride = 3, .padding = 2}},
          {2, {.stride = 5}},
          {5, {.stride = {7, 1}, .padding = 2}}};
}
const std::vector<Shape> pooled_shapes = {{1, 1, 7, 5}, {2, 3, 8, 9}, {0, 3, 7, 7}, {2, 0, 7, 7}, {1, 2, 5, 33}};

double inner(const Tensor& a, const Tensor& b) { return sum(a * b).item(); }

/// The gradient by x of <y, v>.
template <class F> Tensor pulled_back(const F& f, const Tensor& x, const Tensor& v) {
  Graph graph;
  const Tensor leaf = graph.variable(x);
  sum(f(leaf) * v).backward();
  return leaf.grad();
}

}  // namespace

// ---- kernels against plain loops -----------------------------------------------------------------------------------

TEST_CASE("conv2d is the plain loop over windows, for every option, in both types") {
  for (const Geometry& g : geometries())
    for (const DType dtype : {f32, f64}) {
      CAPTURE(g.x);
      CAPTURE(g.w);
      const double allowed = dtype == f32 ? 1e-5 : 1e-13;
      const Tensor x = numbers(g.x, dtype), w = numbers(g.w, dtype), b = numbers({g.w[0]}, dtype);
      const Plain expected = reference::conv2d(Plain(x), Plain(w), g.options);
      const Tensor y = conv2d(x, w, g.options);
      CHECK(y.dtype() == dtype);
      CHECK(distance(y, expected) < allowed);
      CHECK(distance(conv2d(x, w, b, g.options),
                     reference::map(expected, Plain(reshape(b, {g.w[0], 1, 1})), std::plus<>())) < allowed);
    }
}

TEST_CASE("conv_transpose2d is the plain loop that spreads each number through the kernel") {
  for (const Geometry& g : geometries())
    for (const Pair more : {Pair(0), Pair(1, 0), Pair(0, 1)}) {
      const Conv2dOptions& o = g.options;
      if (more.h >= std::max(o.stride.h, o.dilation.h) || more.w >= std::max(o.stride.w, o.dilation.w)) continue;
      const Shape from = conv2d(zeros(g.x), zeros(g.w), o).shape();
      const ConvTranspose2dOptions back{o.stride, o.padding, more, o.dilation, o.groups};
      if (from.with(0, 1).with(1, 1).size() == 0) continue;
      if ((from[2] - 1) * o.stride.h + (g.w[2] - 1) * o.dilation.h + more.h < 2 * o.padding.h) continue;
      if ((from[3] - 1) * o.stride.w + (g.w[3] - 1) * o.dilation.w + more.w < 2 * o.padding.w) continue;
      CAPTURE(from);
      CAPTURE(g.w);
      for (const DType dtype : {f32, f64}) {
        const double allowed = dtype == f32 ? 1e-5 : 1e-13;
        const Tensor y = numbers(from, dtype), w = numbers(g.w, dtype), b = numbers({g.w[1] * o.groups}, dtype);
        const Plain expected = reference::conv_transpose2d(Plain(y), Plain(w), back);
        CHECK(distance(conv_transpose2d(y, w, back), expected) < allowed);
        CHECK(distance(conv_transpose2d(y, w, b, back),
                       reference::map(expected, Plain(reshape(b, {b.size(), 1, 1})), std::plus<>())) < allowed);
      }
    }
}

TEST_CASE("conv1d is conv2d of images one number high") {
  for (const Conv1dOptions& o :
       {Conv1dOptions{}, Conv1dOptions{.stride = 2, .padding = 3, .dilation = 2, .groups = 2}}) {
    const Tensor x = numbers({3, 4, 33}), w = numbers({6, 4 / o.groups, 5}), b = numbers({6});
    const Conv2dOptions of_image{{1, o.stride}, {0, o.padding}, {1, o.dilation}, o.groups};
    CHECK(distance(unsqueeze(conv1d(x, w, b, o), 2), conv2d(unsqueeze(x, 2), unsqueeze(w, 2), b, of_image)) == 0);
    CHECK(distance(unsqueeze(conv1d(x, w, o), 2), conv2d(unsqueeze(x, 2), unsqueeze(w, 2), of_image)) == 0);
  }
}

TEST_CASE("pools fold the numbers of each window, in both types") {
  for (const Pool& pool : pools())
    for (const Shape& shape : pooled_shapes)
      for (const DType dtype : {f32, f64}) {
        CAPTURE(shape);
        const Pair size = pool.size;
        const Pool2dOptions& o = pool.options;
        CAPTURE(size.h);
        CAPTURE(size.w);
        const double allowed = dtype == f32 ? 1e-6 : 1e-14;
        const Tensor x = numbers(shape, dtype);
        const Pair stride{o.stride.h == 0 ? size.h : o.stride.h, o.stride.w == 0 ? size.w : o.stride.w};
        const auto folded = [&](auto fold) { return reference::pool2d(Plain(x), size, stride, o.padding, fold); };
        CHECK(distance(max_pool2d(x, size, o), folded(reference::max)) == 0);
        CHECK(distance(avg_pool2d(x, size, {o.stride, o.padding, false}), folded(reference::mean)) < allowed);
        const auto all = static_cast<double>(size.h * size.w);
        CHECK(distance(avg_pool2d(x, size, {o.stride, o.padding}),
                       folded([&](const auto& run) { return reference::sum(run) / all; })) < allowed);
      }
  const Tensor x = numbers({2, 3, 33});
  CHECK(distance(unsqueeze(max_pool1d(x, 3, {.stride = 2, .padding = 1}), 2),
                 max_pool2d(unsqueeze(x, 2), {1, 3}, {.stride = {1, 2}, .padding = {0, 1}})) == 0);
}

TEST_CASE("whole numbers are convolved and pooled as f32, and mixed types as the wider one") {
  const Tensor x = arange(16), image = reshape(x, {1, 1, 4, 4});
  CHECK(conv2d(image, ones({1, 1, 2, 2}, i64)).dtype() == f32);
  CHECK(conv2d(image, ones({1, 1, 2, 2}), zeros({1}, f64)).dtype() == f64);
  CHECK(conv_transpose2d(image, ones({1, 1, 2, 2}, f64)).dtype() == f64);
  CHECK(max_pool2d(image, 4).to_vector<float>() == std::vector<float>{15});
  CHECK(avg_pool2d(image, 4).to_vector<float>() == std::vector<float>{7.5});
  CHECK(max_pool1d(reshape(x, {1, 1, 16}), 8).to_vector<float>() == std::vector<float>{7, 15});
}

// ---- laws ----------------------------------------------------------------------------------------------------------

TEST_CASE("a convolution is a matrix product with the columns that its windows read") {
  const Tensor x = numbers({2, 3, 6, 5}), w = numbers({4, 3, 3, 2});
  std::vector<Tensor> taps;  // each [2, 3, 4, 4], in the order of a kernel's numbers
  for (std::int64_t i = 0; i < 3; ++i)
    for (std::int64_t kh = 0; kh < 3; ++kh)
      for (std::int64_t kw = 0; kw < 2; ++kw)
        taps.push_back(reshape(slice(slice(slice(x, i, i + 1, 1), kh, kh + 4, 2), kw, kw + 4, 3), {2, 16}));
  const Tensor columns = stack(taps, 1);
  CHECK(distance(conv2d(x, w), reshape(matmul(reshape(w, {4, 18}), columns), {2, 4, 4, 4})) < 1e-13);
}

TEST_CASE("a convolution with kernels of one number is a matrix product over channels") {
  for (const std::int64_t side : {1, 7, 33}) {
    const Tensor x = numbers({2, 3, side, side}), w = numbers({4, 3});
    const Tensor product = matmul(w, reshape(x, {2, 3, side * side}));
    CHECK(distance(conv2d(x, reshape(w, {4, 3, 1, 1})), reshape(product, {2, 4, side, side})) < 1e-13);
  }
}

TEST_CASE("groups are convolutions of their own, side by side") {
  const Tensor x = numbers({2, 6, 7, 7}), w = numbers({9, 2, 3, 3});
  const Conv2dOptions options{.stride = 2, .padding = 1};
  std::vector<Tensor> parts;
  for (std::int64_t g = 0; g < 3; ++g)
    parts.push_back(conv2d(slice(x, 2 * g, 2 * g + 2, 1), slice(w, 3 * g, 3 * g + 3), options));
  Conv2dOptions grouped = options;
  grouped.groups = 3;
  CHECK(distance(conv2d(x, w, grouped), concat(parts, 1)) < 1e-13);
}

TEST_CASE("conv_transpose2d is the adjoint of conv2d: <v, conv(x)> = <conv_transpose(v), x>") {
  for (const Geometry& g : geometries()) {
    CAPTURE(g.x);
    CAPTURE(g.w);
    const Conv2dOptions& o = g.options;
    const Tensor x = numbers(g.x), w = numbers(g.w), v = numbers(conv2d(x, w, o).shape());
    const auto forward = [&](const Tensor& image) { return conv2d(image, w, o); };
    const Tensor back = pulled_back(forward, x, v);
    const double size = 1 + inner(abs(v), abs(forward(x)));
    CHECK(std::abs(inner(v, forward(x)) - inner(back, x)) / size < 1e-14);
    // The same by name, with the rows and columns put back that no window reached.
    const auto lost = [](std::int64_t n, std::int64_t k, std::int64_t stride, std::int64_t padding, std::int64_t gap) {
      return (n + 2 * padding - gap * (k - 1) - 1) % stride;
    };
    if (x.size() == 0) continue;
    const Pair more{lost(g.x[2], g.w[2], o.stride.h, o.padding.h, o.dilation.h),
                    lost(g.x[3], g.w[3], o.stride.w, o.padding.w, o.dilation.w)};
    CHECK(distance(conv_transpose2d(v, w, {o.stride, o.padding, more, o.dilation, o.groups}), back) == 0);
  }
}

TEST_CASE("the weight's gradient is the adjoint too: <v, conv(x, w)> = <its gradient by w, w>") {
  for (const Geometry& g : geometries()) {
    CAPTURE(g.x);
    CAPTURE(g.w);
    const Tensor x = numbers(g.x), w = numbers(g.w), y = conv2d(x, w, g.options), v = numbers(y.shape());
    const Tensor back = pulled_back([&](const Tensor& weight) { return conv2d(x, weight, g.options); }, w, v);
    CHECK(std::abs(inner(v, y) - inner(back, w)) / (1 + inner(abs(v), abs(y))) < 1e-14);
  }
}

TEST_CASE("dilation is a kernel with zeros between its numbers") {
  const Tensor x = numbers({2, 3, 11, 9}), w = numbers({4, 3, 3, 2});
  Tensor wide = zeros({4, 3, 5, 2}, f64);  // rows two apart
  wide = scatter_add(wide, broadcast_to(reshape(tensor({0, 2, 4}, i64), {3, 1}), {4, 3, 3, 2}), w, 2);
  CHECK(distance(conv2d(x, w, {.padding = 1, .dilation = {2, 1}}), conv2d(x, wide, {.padding = 1})) < 1e-13);
}

TEST_CASE("a stride leaves out windows, and padding is zeros put around the image") {
  const Tensor x = numbers({2, 3, 9, 8}), w = numbers({4, 3, 3, 2});
  const Tensor all = conv2d(x, w);
  std::vector<Tensor> every_second;
  for (std::int64_t row = 0; row < 7; row += 2) every_second.push_back(slice(all, row, row + 1, 2));
  CHECK(distance(conv2d(x, w, {.stride = {2, 1}}), concat(every_second, 2)) < 1e-13);
  const Tensor side = zeros({2, 3, 9, 2}, f64), above = zeros({2, 3, 1, 12}, f64);
  const Tensor padded = concat({above, concat({side, x, side}, 3), above}, 2);
  CHECK(distance(conv2d(x, w, {.padding = {1, 2}}), conv2d(padded, w)) < 1e-13);
}

TEST_CASE("moving the image moves the result") {
  const Tensor x = numbers({1, 2, 8, 9}), w = numbers({3, 2, 3, 3});
  const Tensor whole = conv2d(x, w), moved = conv2d(slice(slice(x, 2, 8, 2), 1, 9, 3), w);
  CHECK(distance(moved, slice(slice(whole, 2, 6, 2), 1, 7, 3)) < 1e-13);
}

TEST_CASE("a batch is its images one by one") {
  const Tensor x = numbers({5, 3, 9, 9}), w = numbers({4, 3, 3, 3}), b = numbers({4});
  const Conv2dOptions options{.stride = 2, .padding = 1};
  const Tensor y = conv2d(x, w, b, options), pooled = max_pool2d(x, 3, {.padding = 1});
  for (std::int64_t i = 0; i < 5; ++i) {
    CHECK(distance(slice(y, i, i + 1), conv2d(slice(x, i, i + 1), w, b, options)) < 1e-13);
    CHECK(distance(slice(pooled, i, i + 1), max_pool2d(slice(x, i, i + 1), 3, {.padding = 1})) == 0);
  }
}

TEST_CASE("pools with windows of one number give the image back") {
  const Tensor x = numbers({2, 3, 5, 7});
  CHECK(distance(max_pool2d(x, 1), x) == 0);
  CHECK(distance(avg_pool2d(x, 1), x) == 0);
  CHECK(distance(max_pool1d(reshape(x, {2, 3, 35}), 1), reshape(x, {2, 3, 35})) == 0);
}

TEST_CASE("avg_pool2d is a convolution of each channel with a constant kernel") {
  const Tensor x = numbers({2, 3, 7, 8}), w = full({3, 1, 3, 2}, 1.0 / 6, f64);
  CHECK(distance(avg_pool2d(x, {3, 2}, {.stride = 2, .padding = 1}),
                 conv2d(x, w, {.stride = 2, .padding = 1, .groups = 3})) < 1e-14);
}

TEST_CASE("the largest of -x is the smallest of x, and a pool over the whole image is max or mean") {
  const Tensor x = numbers({2, 3, 7, 8});
  CHECK(distance(-max_pool2d(-x, 3, {.stride = 2, .padding = 1}),
                 reference::pool2d(Plain(x), 3, 2, 1, reference::min)) == 0);
  CHECK(distance(max_pool2d(x, {7, 8}), max(x, {2, 3}, true)) == 0);
  CHECK(distance(avg_pool2d(x, {7, 8}), mean(x, {2, 3}, true)) < 1e-14);
}

// ---- edges ---------------------------------------------------------------------------------------------------------

TEST_CASE("padding never wins a max pool, and a NaN always does") {
  const double nan = std::numeric_limits<double>::quiet_NaN(), inf = std::numeric_limits<double>::infinity();
  const Tensor below = full({1, 1, 3, 3}, -5, f64);
  CHECK(distance(max_pool2d(below, 3, {.stride = 1, .padding = 1}), below) == 0);
  CHECK(max_pool1d(full({1, 1, 4}, -inf, f64), 2).to_vector<double>() == std::vector<double>{-inf, -inf});
  for (const std::size_t at : {0u, 1u, 2u}) {
    std::vector<double> x = {3, 7, 5, 1, 2, inf};
    x[at] = nan;
    const std::vector<double> y = max_pool1d(from(x, {1, 1, 6}), 3).to_vector<double>();
    CHECK(std::isnan(y[0]));
    CHECK(y[1] == inf);
  }
}

TEST_CASE("equal largest numbers of a window share its gradient equally, and a NaN takes none") {
  Graph graph;
  const double nan = std::numeric_limits<double>::quiet_NaN();
  const Tensor x = graph.variable(from(std::vector<double>{2, 2, 1, 2, nan, 3, 4, 4, 4}, {1, 1, 9}));
  sum(max_pool1d(x, 3, {.stride = 3}) * tensor({{{6, 1, 9}}}, f64)).backward();
  CHECK(x.grad().to_vector<double>() == std::vector<double>{3, 3, 0, 0, 0, 0, 3, 3, 3});
}

TEST_CASE("a number that wins several windows gets the gradient of each") {
  Graph graph;
  const Tensor x = graph.variable(tensor({{{1, 5, 2, 3}}}, f64));
  sum(max_pool1d(x, 2, {.stride = 1}) * tensor({{{1, 10, 100}}}, f64)).backward();
  CHECK(x.grad().to_vector<double>() == std::vector<double>{0, 11, 0, 100});
}

TEST_CASE("without its padding a mean is of what the window reads of the image") {
  const Tensor x = ones({1, 1, 2, 2}, f64);
  const AvgPool2dOptions counted{.stride = 1, .padding = 1},
      left_out{.stride = 1, .padding = 1, .count_padding = false};
  CHECK(avg_pool2d(x, 2, counted).to_vector<double>() == std::vector<double>{.25, .5, .25, .5, 1, .5, .25, .5, .25});
  CHECK(distance(avg_pool2d(x, 2, left_out), ones({1, 1, 3, 3}, f64)) == 0);
}

TEST_CASE("a convolution, with its bias, is one node of the graph under its own name") {
  Graph graph;
  const Tensor x = graph.variable(zeros({1, 2, 4, 4})), w = graph.variable(zeros({3, 2, 3, 3})),
               b = graph.variable(zeros({3}));
  const std::size_t before = graph.size();
  conv2d(x, w, b, {.padding = 1});
  CHECK(graph.size() == before + 1);
  const Node node = graph.nodes().back();
  CHECK(node.op == "conv2d");
  CHECK(node.formula == "x ∗ W + b");
  CHECK(node.operands == std::vector<std::string>{"x", "W", "b"});
  max_pool1d(reshape(x, {1, 2, 16}), 2);
  CHECK(graph.nodes().back().op == "max_pool1d");
}

// ---- gradients of gradients ----------------------------------------------------------------------------------------

namespace {

/// The worst relative error of derivatives of the third order: of sum(f(x)³) by the first operand, of that slope's
/// squares, weighted, by the last, and of that by each; against sixth-order differences.
double worst_third(const std::function<Tensor(const std::vector<Tensor>&)>& f, const std::vector<Tensor>& at) {
  const auto second = [&](Graph& graph, const std::vector<Tensor>& x) {
    const Tensor first = graph.gradient(sum(pow(f(x), 3)), x[0]);
    return sum(graph.gradient(sum(square(first) * numbers(first.shape())), x.back()) * numbers(x.back().shape()));
  };
  const auto variables = [](Graph& graph, const std::vector<Tensor>& values) {
    std::vector<Tensor> x;
    for (const Tensor& value : values) x.push_back(graph.variable(value));
    return x;
  };
  std::vector<Tensor> third;
  {
    Graph graph;
    const std::vector<Tensor> x = variables(graph, at);
    third = graph.gradient(second(graph, x), x);
  }
  const double h = 1e-2, weight[] = {45.0 / 60, -9.0 / 60, 1.0 / 60};
  double worst = 0;
  for (std::size_t k = 0; k < at.size(); ++k)
    for (std::size_t i = 0; i < static_cast<std::size_t>(at[k].size()); ++i) {
      double difference = 0;
      for (const int step : {-3, -2, -1, 1, 2, 3}) {
        std::vector<double> numbers_of_k = at[k].to_vector<double>();
        numbers_of_k[i] += step * h;
        std::vector<Tensor> moved = at;
        moved[k] = from(numbers_of_k, at[k].shape());
        Graph graph;
        difference += (step < 0 ? -1 : 1) * weight[std::abs(step) - 1] * second(graph, variables(graph, moved)).item();
      }
      const double expected = difference / h, got = third[k].to_vector<double>()[i];
      worst = std::max(worst, std::abs(got - expected) / std::max(1.0, std::abs(expected)));
    }
  return worst;
}

}  // namespace

TEST_CASE("third derivatives of convolutions agree with differences of the second") {
  using Operands = const std::vector<Tensor>&;
  const Tensor x = numbers({1, 2, 4, 4}), w = numbers({2, 1, 3, 2}), b = numbers({2});
  const Conv2dOptions options{.stride = {1, 2}, .padding = 1, .dilation = {1, 2}, .groups = 2};
  const ConvTranspose2dOptions back{.stride = {1, 2}, .padding = 1, .output_padding = 1, .dilation = 2, .groups = 2};
  const Conv1dOptions of_signal{.stride = 2, .padding = 1, .groups = 2};
  CHECK(worst_third([&](Operands a) { return conv2d(a[0], a[1], options); }, {x, w}) < 1e-8);
  CHECK(worst_third([&](Operands a) { return conv2d(a[1], a[0], options); }, {w, x}) < 1e-8);
  CHECK(worst_third([&](Operands a) { return conv2d(a[0], a[1], a[2], options); }, {x, w, b}) < 1e-8);
  CHECK(worst_third([&](Operands a) { return conv_transpose2d(a[0], a[1], back); }, {x, w}) < 1e-8);
  CHECK(worst_third([&](Operands a) { return conv_transpose2d(a[0], a[1], a[2], back); }, {x, w, b}) < 1e-8);
  CHECK(worst_third([&](Operands a) { return conv1d(a[0], a[1], a[2], of_signal); },
                    {numbers({2, 2, 6}), numbers({2, 1, 3}), b}) < 1e-8);
}

TEST_CASE("third derivatives of what is computed from pools agree with differences of the second") {
  using Operands = const std::vector<Tensor>&;
  const Tensor x = reshape(randperm(50).to(f64), {1, 2, 5, 5}) * 0.1 - 2.47;  // no two are near each other
  const Pool2dOptions options{.stride = 2, .padding = 1};
  CHECK(worst_third([&](Operands a) { return max_pool2d(a[0], 3, options); }, {x}) < 1e-8);
  CHECK(worst_third([](Operands a) { return max_pool1d(reshape(a[0], {2, 1, 25}), 3); }, {x}) < 1e-8);
  for (const bool count_padding : {true, false})
    CHECK(worst_third([&](Operands a) { return avg_pool2d(a[0], 3, {2, 1, count_padding}); }, {x}) < 1e-8);
}

TEST_CASE("at a tie the second derivative is that of the mean of the largest") {
  Graph graph;
  const Tensor x = graph.variable(tensor({{{3, 3, 1}}}, f64)), y = max_pool1d(x, 3);
  const Tensor slope = graph.gradient(sum(pow(y, 3)), x);  // 3y²/2 at both, 0 at the third
  CHECK(slope.to_vector<double>() == std::vector<double>{13.5, 13.5, 0});
  const Tensor curvature = graph.gradient(slope(0, 0, 0), x);  // 6y/2, shared in halves
  CHECK(curvature.to_vector<double>() == std::vector<double>{4.5, 4.5, 0});
}

TEST_CASE("a stride can stand alone behind a pool's size, and a bias that holds nothing is none") {
  const Tensor x = numbers({1, 2, 7, 7});
  CHECK(distance(max_pool2d(x, 3, 2), max_pool2d(x, 3, {.stride = 2})) == 0);
  CHECK(distance(max_pool2d(x, 3, 2, 1), max_pool2d(x, 3, {.stride = 2, .padding = 1})) == 0);
  CHECK(distance(avg_pool2d(x, 3, 1), avg_pool2d(x, 3, {.stride = 1})) == 0);
  CHECK(distance(max_pool1d(reshape(x, {1, 2, 49}), 3, 2), max_pool1d(reshape(x, {1, 2, 49}), 3, {.stride = 2})) == 0);
  const Tensor w = numbers({3, 2, 3, 3});
  CHECK(distance(conv2d(x, w, {}, {.padding = 1}), conv2d(x, w, {.padding = 1})) == 0);
}

TEST_CASE("convolutions and pools give the same bits on any number of threads") {
  const Tensor x = randn({9, 16, 31, 29}), w = randn({24, 8, 3, 3}), b = randn({24}), tall = randn({20, 16, 1, 1});
  const Conv2dOptions options{.stride = {1, 2}, .padding = 1, .groups = 2};
  const auto all = [&] {
    Graph graph;
    const Tensor vx = graph.variable(x), vw = graph.variable(w), vb = graph.variable(b), vt = graph.variable(tall);
    const Tensor y = conv2d(vx, vw, vb, options);
    const Tensor pools = sum(square(max_pool2d(y, 2))) + sum(square(avg_pool2d(y, 3, 1, 1)));
    (pools + sum(square(conv2d(vx, vt))) + sum(square(conv_transpose2d(y, vw, {.groups = 2})))).backward();
    std::vector<float> bits;
    for (const Tensor& t : {y, pools, vx.grad(), vw.grad(), vb.grad(), vt.grad()})
      for (const float number : t.to_vector<float>()) bits.push_back(number);
    return bits;
  };
  const int before = num_threads();
  set_num_threads(1);
  const std::vector<float> alone = all();
  for (const int n : {2, 3, 8}) {
    set_num_threads(n);
    CHECK(num_threads() == n);
    CHECK(all() == alone);
  }
  set_num_threads(before);
  CHECK_THROWS_WITH_AS(set_num_threads(0), "set_num_threads: n must be in [1, 1024], got 0", UsageError);
}

TEST_CASE("the child of a fork has threads of its own, whatever those of its parent were at") {
  const Tensor x = randn({9, 6, 31, 29}), w = randn({32, 6, 3, 3});
  const int before = num_threads();
  const std::vector<float> of_parent = conv2d(x, w).to_vector<float>();
  set_num_threads(3);
  std::atomic<int> at_work = 0;
  std::atomic<bool> forked = false;
  std::thread busy([&] {
    kernels::parallel(3, [&](std::int64_t) {
      ++at_work;
      while (!forked) std::this_thread::yield();
    });
  });
  while (at_work < 3) std::this_thread::yield();
  const pid_t child = fork();
  if (child == 0) {
    alarm(20);  // ends it if it waits for a thread that is not there
    const auto same = [&] { return conv2d(x, w).to_vector<float>() == of_parent; };
    const bool kept = num_threads() == 3 && same();
    set_num_threads(2);
    _exit(kept && num_threads() == 2 && same() ? 7 : 1);
  }
  forked = true;
  busy.join();
  REQUIRE(child >= 0);
  int status = 0;
  REQUIRE(waitpid(child, &status, 0) == child);
  REQUIRE(WIFEXITED(status));
  CHECK(WEXITSTATUS(status) == 7);
  CHECK(conv2d(x, w).to_vector<float>() == of_parent);
  set_num_threads(before);
}

TEST_CASE("two threads of a program may convolve at once") {
  const Tensor x = randn({9, 6, 31, 29}), w = randn({32, 6, 3, 3}), y = conv2d(x, w);
  std::vector<double> distances(4, 1.0);
  std::vector<std::thread> threads;
  for (double& apart : distances)
    threads.emplace_back([&, weight = w.to(f64), image = x.to(f64)] {
      apart = 0;
      for (int i = 0; i < 5; ++i) apart = std::max(apart, distance(conv2d(image, weight), y.to(f64)));
    });
  for (std::thread& thread : threads) thread.join();
  for (const double apart : distances) CHECK(apart < 1e-4);
}
