#include "folder.h"

#include <doctest/doctest.h>
#include <ebb/nn/nn.h>

#include <cmath>
#include <functional>
#include <limits>
#include <string>
#include <thread>
#include <vector>

using namespace ebb;

namespace {

using Numbers = std::vector<double>;
using Names = std::vector<std::string>;

Numbers numbers(const Tensor& t) { return t.to_vector<double>(); }
bool same(const Tensor& a, const Tensor& b) { return a.shape() == b.shape() && numbers(a) == numbers(b); }
double largest(const Tensor& t) { return t.size() == 0 ? 0 : max(abs(t)).item(); }

Names names(const auto& model) {
  Names found;
  for (auto& [name, parameter] : nn::parameters(model)) found.push_back(name);
  return found;
}

/// What an exception of that type says.
template <class Exception> std::string says(const std::function<void()>& f) {
  try {
    f();
  } catch (const Exception& e) {
    return e.what();
  }
  return "nothing was thrown";
}

}  // namespace

// ---- initialisers --------------------------------------------------------------------------------------------------

TEST_CASE("initialisers draw what their names say") {
  seed(3);
  Generator& g = default_generator();
  const auto deviation = [](const Tensor& t) { return std::sqrt(var(t).item()); };
  const Shape shape{300, 200};
  CHECK(deviation(nn::lecun_normal(shape, f64)) == doctest::Approx(std::sqrt(1.0 / 200)).epsilon(0.02));
  CHECK(deviation(nn::lecun_uniform(shape, f64)) == doctest::Approx(std::sqrt(1.0 / 200)).epsilon(0.02));
  CHECK(numbers(nn::constant_init(0.5)({3}, f64, g)) == Numbers{0.5, 0.5, 0.5});

  const Tensor u = nn::uniform_init(-1, 3)(shape, f64, g);
  CHECK(min(u).item() >= -1);
  CHECK(max(u).item() <= 3);
  CHECK(mean(u).item() == doctest::Approx(1).epsilon(0.02));
  const Tensor n = nn::normal_init(5, 0.1)(shape, f32, g);
  CHECK(n.dtype() == f32);
  CHECK(mean(n).item() == doctest::Approx(5).epsilon(0.001));
  CHECK(deviation(n) == doctest::Approx(0.1).epsilon(0.02));
  const Tensor t = nn::truncated_normal_init(1, 0.1)(shape, f64, g);
  CHECK(largest(t - 1.0) <= 0.2);
  CHECK(deviation(t) == doctest::Approx(0.088).epsilon(0.02));  // 0.88 of the deviation is left
}

TEST_CASE("an orthogonal weight has rows, or columns, of one length at right angles") {
  seed(4);
  for (const Shape& shape : {Shape{5, 3}, Shape{3, 5}, Shape{4, 4}, Shape{3, 2, 2, 2}, Shape{1, 1}, Shape{64, 64}}) {
    const Tensor w = nn::orthogonal_init(2)(shape, f64, default_generator()), m = reshape(w, {shape[0], -1});
    const Tensor products = m.shape()[0] <= m.shape()[1] ? matmul(m, m, {.tb = true}) : matmul(m, m, {.ta = true});
    CHECK(w.shape() == shape);
    CHECK(largest(products - 4.0 * eye(products.shape()[0], f64)) < 1e-12);
  }
  CHECK(nn::orthogonal_init()({0, 3}, f32, default_generator()).shape() == Shape{0, 3});
  CHECK_THROWS_WITH_AS(nn::orthogonal_init()({3}, f32, default_generator()),
                       "orthogonal_init([3]): a weight has at least two axes, [out, in, ...]", ShapeError);
}

TEST_CASE("initialisers refuse numbers that draw nothing") {
  const double inf = std::numeric_limits<double>::infinity();
  CHECK_THROWS_WITH_AS(nn::uniform_init(1, 0), "uniform_init(1, 0): both must be finite, the lower one first",
                       UsageError);
  CHECK_THROWS_WITH_AS(nn::normal_init(0, -1),
                       "normal_init(0, -1): mean and deviation must be finite, and the deviation at least 0",
                       UsageError);
  CHECK_THROWS_WITH_AS(nn::truncated_normal_init(inf, 1),
                       "truncated_normal_init(inf, 1): mean and deviation must be finite, and the deviation at least 0",
                       UsageError);
  CHECK_THROWS_WITH_AS(nn::orthogonal_init(inf), "orthogonal_init(inf): the gain must be finite", UsageError);
}

TEST_CASE("a layer's init may be any function, and what it gives is checked") {
  const nn::Dense half(2, 3, {.init = [](const Shape& s, DType d, Generator&) { return full(s, 0.5, d); }});
  CHECK(numbers(half.weight) == Numbers(6, 0.5));
  CHECK_THROWS_WITH_AS(nn::Dense(2, 3, {.init = nullptr}),
                       "Dense(2 -> 3): its init holds nothing to draw the weight with", UsageError);
  CHECK_THROWS_WITH_AS(nn::Dense(2, 3, {.init = [](const Shape&, DType, Generator&) { return zeros({2}, f64); }}),
                       "Dense(2 -> 3): its init was to give f32 [3, 2] and gave f64 [2]", UsageError);
  CHECK_THROWS_WITH_AS(nn::Dense(2, 3, {.init = [](const Shape&, DType, Generator&) { return Tensor(); }}),
                       "Dense(2 -> 3): its init was to give f32 [3, 2] and gave nothing", UsageError);
  CHECK_THROWS_WITH_AS(nn::Dense(2, 3, {.dtype = i64}), "Dense(2 -> 3): weights are f32 or f64, not i64", DTypeError);
  CHECK_THROWS_WITH_AS(nn::LayerNorm(3, {.dtype = i64}), "LayerNorm(3): weights are f32 or f64, not i64", DTypeError);
}

// ---- activations, Embedding ----------------------------------------------------------------------------------------

TEST_CASE("LeakyReLU and ELU take their constant, and show it") {
  const Tensor x = tensor({-2, 0, 3}, f64);
  CHECK(numbers(nn::LeakyReLU(0.25)(x)) == Numbers{-0.5, 0, 3});
  CHECK(numbers(nn::ELU(2)(x)) == Numbers{2 * std::expm1(-2.0), 0, 3});
  CHECK(same(nn::LeakyReLU()(x), nn::LeakyReLU(0.01)(x)));
  CHECK(same(nn::ELU()(x), nn::ELU(1)(x)));
  CHECK(nn::LeakyReLU(0.25).label.kind() == "LeakyReLU(0.25)");
  CHECK(nn::ELU().label.kind() == "ELU(1)");
  CHECK_THROWS_WITH_AS(nn::ELU(std::nan("")), "ELU(nan): the number must be finite", UsageError);
}

TEST_CASE("an Embedding gives rows of its table, and gradients to those alone") {
  seed(5);
  nn::Embedding table(5, 2, {.padding_idx = 3, .dtype = f64});
  CHECK(names(table) == Names{"weight"});
  CHECK(numbers(table.weight.value()[3]) == Numbers{0, 0});
  CHECK(largest(table.weight.value()[2]) > 0);

  const Tensor positions = tensor({{1, 3, 1}, {0, 3, 4}}, i64);
  Graph graph;
  const Tensor y = table(positions);
  CHECK(y.shape() == Shape{2, 3, 2});
  CHECK(same(y[1][0], table.weight.value()[0]));
  sum(y).backward();
  CHECK(numbers(table.weight.grad()) == Numbers{1, 1, 2, 2, 0, 0, 0, 0, 1, 1});
}

TEST_CASE("an Embedding wants whole positions within its table") {
  const nn::Embedding table(5, 2);
  CHECK(says<DTypeError>([&] {
          table(zeros({2, 3}));
        }) == "Embedding(f32 [2, 3]): positions must be whole numbers, i64\n  in Embedding(5, 2)\n  help: x.to(i64)");
  CHECK(says<IndexError>([&] {
          table(tensor({1, 5}, i64));
        }) == "embedding([2], [5, 2]): index[1] = 5 is outside [0, 5)\n  in Embedding(5, 2)");
  CHECK_THROWS_AS(table(tensor({-1}, i64)), IndexError);
  CHECK_THROWS_WITH_AS(nn::Embedding(0, 2), "Embedding(0, 2): sizes must be at least 1", UsageError);
  CHECK_THROWS_WITH_AS(nn::Embedding(5, 2, {.padding_idx = 5}), "Embedding(5, 2): padding_idx 5 is outside [0, 5)",
                       UsageError);
}

// ---- convolutions and pools ----------------------------------------------------------------------------------------

TEST_CASE("a convolution's weight is drawn by what one output reads") {
  seed(6);
  const auto deviation = [](const Parameter& p) { return std::sqrt(var(p).item()); };
  CHECK(deviation(nn::Conv1d(40, 60, 5, {.init = nn::he_normal}).weight) ==
        doctest::Approx(std::sqrt(2.0 / 200)).epsilon(0.03));
  CHECK(deviation(nn::Conv2d(40, 60, {3, 5}, {.groups = 4, .init = nn::he_normal}).weight) ==
        doctest::Approx(std::sqrt(2.0 / 150)).epsilon(0.03));
  const nn::ConvTranspose2d turned(40, 60, {3, 5}, {.groups = 4, .init = nn::he_normal});
  CHECK(turned.weight.shape() == Shape{40, 15, 3, 5});
  CHECK(deviation(turned.weight) == doctest::Approx(std::sqrt(2.0 / 150)).epsilon(0.03));
  CHECK(numbers(turned.bias) == Numbers(60, 0));
}

TEST_CASE("layers of windows say what they are") {
  CHECK(nn::Conv2d(1, 32, 3).label.kind() == "Conv2d(1 -> 32, 3x3)");
  CHECK(nn::Conv2d(4, 8, {3, 5}, {.stride = {2, 1}, .padding = 1, .dilation = 2, .groups = 4}).label.kind() ==
        "Conv2d(4 -> 8, 3x5, stride 2x1, padding 1, dilation 2, groups 4)");
  CHECK(nn::Conv1d(1, 2, 3, {.stride = 2}).label.kind() == "Conv1d(1 -> 2, 3, stride 2)");
  CHECK(nn::ConvTranspose2d(1, 2, 3).label.kind() == "ConvTranspose2d(1 -> 2, 3x3)");
  CHECK(nn::MaxPool1d(3).label.kind() == "MaxPool1d(3)");
  CHECK(nn::MaxPool2d(2, {.stride = 1}).label.kind() == "MaxPool2d(2x2, stride 1)");
  CHECK(nn::AvgPool2d({2, 3}, {.padding = 1}).label.kind() == "AvgPool2d(2x3, padding 1)");
}

TEST_CASE("layers of windows refuse sizes and options out of their range") {
  CHECK_THROWS_WITH_AS(nn::Conv2d(0, 1, 3), "Conv2d(0 -> 1, 3x3): sizes must be at least 1", UsageError);
  CHECK_THROWS_WITH_AS(nn::Conv1d(1, 1, 0), "Conv1d(1 -> 1, 0): sizes must be at least 1", UsageError);
  CHECK_THROWS_WITH_AS(nn::Conv2d(1, 1, 3, {.stride = {1, 0}}),
                       "Conv2d(1 -> 1, 3x3, stride 1x0): the stride must be at least 1", UsageError);
  CHECK_THROWS_WITH_AS(nn::Conv2d(1, 1, 3, {.padding = -1}),
                       "Conv2d(1 -> 1, 3x3, padding -1): the padding must not be negative", UsageError);
  CHECK_THROWS_WITH_AS(nn::Conv1d(1, 1, 3, {.dilation = 0}),
                       "Conv1d(1 -> 1, 3, dilation 0): the dilation must be at least 1", UsageError);
  CHECK_THROWS_WITH_AS(nn::Conv2d(1, 1, 3, {.groups = 0}),
                       "Conv2d(1 -> 1, 3x3, groups 0): there must be at least 1 group", UsageError);
  CHECK_THROWS_WITH_AS(nn::Conv2d(4, 6, 3, {.groups = 4}),
                       "Conv2d(4 -> 6, 3x3, groups 4): the groups must divide both numbers of channels", UsageError);
  CHECK_THROWS_WITH_AS(
      nn::ConvTranspose2d(4, 6, 3, {.output_padding = 1}),
      "ConvTranspose2d(4 -> 6, 3x3): the output padding must be at least 0 and less than the stride or "
      "the dilation",
      UsageError);
  CHECK_THROWS_WITH_AS(nn::MaxPool2d(0), "MaxPool2d(0x0): the window must be at least 1", UsageError);
  CHECK_THROWS_WITH_AS(nn::MaxPool1d(3, {.stride = -1}),
                       "MaxPool1d(3, stride -1): the stride must be at least 1, or 0 for the window's size",
                       UsageError);
  CHECK_THROWS_WITH_AS(nn::AvgPool2d(3, {.padding = 2}),
                       "AvgPool2d(3x3, padding 2): the padding must be at least 0 and at most half of the window",
                       UsageError);
}

TEST_CASE("a wrong image is refused with the layer's name") {
  CHECK(says<ShapeError>([] {
          nn::Conv2d(3, 5, 3)(zeros({2, 4, 7, 7}));
        }) ==
        "conv2d([2, 4, 7, 7], [5, 3, 3, 3], [5]): the weight is for 3 input channels, x has 4\n"
        "  in Conv2d(3 -> 5, 3x3)");
  CHECK(says<ShapeError>([] {
          nn::Conv2d(3, 5, 3, {.bias = false})(zeros({3, 7, 7}));
        }) ==
        "conv2d([3, 7, 7], [5, 3, 3, 3]): images are [n, channels, height, width]\n  in Conv2d(3 -> 5, 3x3)\n"
        "  help: unsqueeze(x, 0) is a batch of one");
  CHECK(says<ShapeError>([] {
          nn::MaxPool2d(3)(zeros({1, 1, 2, 5}));
        }) ==
        "max_pool2d([1, 1, 2, 5]): the window's height of 3 does not fit into the 2 of x, padding included\n"
        "  in MaxPool2d(3x3)");
  CHECK(says<ShapeError>([] {
          nn::GlobalAvgPool()(zeros({2, 3}));
        }) == "GlobalAvgPool([2, 3]): wants [n, channels, ...] with numbers in each channel\n  in GlobalAvgPool");
  CHECK_THROWS_AS(nn::GlobalAvgPool()(zeros({2, 3, 0})), ShapeError);
}

TEST_CASE("GlobalAvgPool takes signals and volumes too") {
  CHECK(numbers(nn::GlobalAvgPool()(tensor({{{1, 2, 3}, {4, 5, 9}}}))) == Numbers{2, 6});
  CHECK(nn::GlobalAvgPool()(zeros({2, 3, 4, 5, 6})).shape() == Shape{2, 3});
  CHECK(says<UsageError>([] { nn::GlobalAvgPool()({}); }) ==
        "GlobalAvgPool: the first operand holds nothing: a Tensor made without a value\n  in GlobalAvgPool");
}

// ---- BatchNorm, LayerNorm ------------------------------------------------------------------------------------------

TEST_CASE("BatchNorm trains while a graph records, and uses its running statistics otherwise") {
  seed(7);
  nn::BatchNorm1d norm(3, {.dtype = f64});
  CHECK(names(norm) == Names{"weight", "bias"});
  const Tensor x = 4.0 * randn({50, 3}, f64) + 7.0;
  CHECK(largest(norm(x) - x / std::sqrt(1 + 1e-5)) < 1e-12);  // mean 0 and variance 1, as it begins
  {
    Graph graph;
    const Tensor y = norm(x);
    CHECK(largest(mean(y, 0)) < 1e-12);
    CHECK(largest(var(y, 0, false, 0) - 1.0) < 1e-5);
  }
  CHECK(largest(norm.running_mean - 0.1 * mean(x, 0)) < 1e-12);
  CHECK(largest(norm.running_var - (0.9 + 0.1 * var(x, 0))) < 1e-12);
  CHECK(norm.num_batches_tracked.item() == 1);

  const Tensor before = norm.running_mean;
  norm(x);
  {
    Graph graph;
    const nn::Evaluating in_use;
    norm(x);
  }
  {
    Graph graph;
    const Pause pause;
    norm(x);
  }
  CHECK(same(norm.running_mean, before));
  CHECK(norm.num_batches_tracked.item() == 1);
  {
    const nn::Training on;
    norm(x);
  }
  CHECK(norm.num_batches_tracked.item() == 2);
}

TEST_CASE("BatchNorm's statistics belong to no graph") {
  nn::BatchNorm2d norm(2);
  Graph graph;
  const Tensor x = graph.variable(randn({3, 2, 4, 4}));
  norm(x);
  const std::size_t size = graph.size();
  const Tensor y = norm.running_mean * 2.0 + norm.running_var;
  CHECK(graph.size() == size);
  CHECK_THROWS_AS(y.grad(), GraphError);
}

TEST_CASE("a checkpoint that runs again does not count its batch again") {
  seed(8);
  nn::BatchNorm1d norm(3, {.dtype = f64}), kept = norm;
  const nn::Dense dense(3, 3, {.dtype = f64});
  const Tensor x = randn({5, 3}, f64);
  Tensor dx[2];
  {
    Graph graph;
    const Tensor v = graph.variable(x);
    sum(square(dense(kept(v)))).backward();
    dx[0] = v.grad();
  }
  {
    Graph graph;
    const Tensor v = graph.variable(x);
    const Tensor y = checkpoint([&](const Tensor& u) { return square(dense(norm(u))); }, v);
    CHECK(norm.num_batches_tracked.item() == 1);
    sum(y).backward();
    dx[1] = v.grad();
    CHECK_FALSE(nn::recomputing());
  }
  CHECK(norm.num_batches_tracked.item() == 1);
  CHECK(same(norm.running_mean, kept.running_mean));
  CHECK(same(norm.running_var, kept.running_var));
  CHECK(same(dx[0], dx[1]));
}

TEST_CASE("a batch of one number for each channel cannot train BatchNorm, and leaves it as it was") {
  nn::Sequential model{nn::BatchNorm1d(3)};
  nn::parameters(model);
  const auto& norm = model.at<nn::BatchNorm1d>(0);
  {
    Graph graph;
    CHECK(
        says<UsageError>([&] {
          model(ones({1, 3}));
        }) ==
        "BatchNorm1d([1, 3]): training needs at least 2 numbers in each channel, and there are 1\n  in 0\n"
        "  help: a larger batch, or .drop_last = true for a last one that is cut short; nn::Evaluating for one that is "
        "only looked at");
    CHECK_THROWS_AS(model(ones({0, 3})), UsageError);
    CHECK(model(ones({1, 3, 2})).shape() == Shape{1, 3, 2});
  }
  CHECK(norm.num_batches_tracked.item() == 1);
  CHECK(model(ones({1, 3})).shape() == Shape{1, 3});
  CHECK(model(ones({0, 3})).shape() == Shape{0, 3});
}

TEST_CASE("norms refuse other shapes and options") {
  CHECK(says<ShapeError>([] {
          nn::BatchNorm1d(3)(zeros({5, 3, 2, 2}));
        }) == "BatchNorm1d([5, 3, 2, 2]): wants [n, channels] or [n, channels, length]\n  in BatchNorm1d(3)");
  CHECK(says<ShapeError>([] {
          nn::BatchNorm2d(3)(zeros({5, 3}));
        }) == "BatchNorm2d([5, 3]): wants [n, channels, height, width]\n  in BatchNorm2d(3)");
  CHECK(says<ShapeError>([] {
          nn::BatchNorm2d(3)(zeros({5, 4, 2, 2}));
        }) == "BatchNorm2d([5, 4, 2, 2]): the layer is for 3 channels, x has 4\n  in BatchNorm2d(3)");
  CHECK(says<ShapeError>([] {
          nn::LayerNorm({2, 3})(zeros({5, 3, 2}));
        }) == "LayerNorm([5, 3, 2]): the layer is for last axes [2, 3]\n  in LayerNorm(2, 3)");
  CHECK_THROWS_AS(nn::LayerNorm({2, 3})(zeros({3})), ShapeError);
  const std::string nothing = ": the first operand holds nothing: a Tensor made without a value\n  in ";
  CHECK(says<UsageError>([] { nn::BatchNorm2d(3)({}); }) == "BatchNorm2d" + nothing + "BatchNorm2d(3)");
  CHECK(says<UsageError>([] { nn::LayerNorm(3)({}); }) == "LayerNorm" + nothing + "LayerNorm(3)");
  CHECK_THROWS_WITH_AS(nn::BatchNorm1d(0), "BatchNorm1d(0): sizes must be at least 1", UsageError);
  CHECK_THROWS_WITH_AS(nn::BatchNorm1d(-3), "BatchNorm1d(-3): sizes must be at least 1", UsageError);
  CHECK_THROWS_WITH_AS(nn::BatchNorm2d(3, {.eps = 0}), "BatchNorm2d(3): eps must be positive, got 0", UsageError);
  CHECK_THROWS_WITH_AS(nn::BatchNorm2d(3, {.momentum = 1.5}), "BatchNorm2d(3): momentum must be in [0, 1], got 1.5",
                       UsageError);
  CHECK_THROWS_WITH_AS(nn::LayerNorm(Shape{}), "LayerNorm(): sizes must be at least 1", UsageError);
  CHECK_THROWS_WITH_AS(nn::LayerNorm(3, {.eps = -1}), "LayerNorm(3): eps must be positive, got -1", UsageError);
}

TEST_CASE("gradcheck checks layers as they train, with the same random numbers each time") {
  const nn::BatchNorm1d batch(3, {.dtype = f64});
  const nn::Dropout drop(0.5);
  bool always_trained = true;
  const auto f = [&](const Tensor& x) {
    always_trained &= nn::training();
    return square(drop(batch(x)));
  };
  CHECK(gradcheck(f, randn({5, 3}, f64)) < 1e-7);
  CHECK(always_trained);
}

TEST_CASE("the gradients of norms agree with differences, to second order") {
  seed(9);
  nn::BatchNorm1d batch(3, {.dtype = f64});
  nn::BatchNorm2d images(2, {.affine = false, .dtype = f64});
  nn::LayerNorm layer(5, {.dtype = f64});
  CHECK(gradcheck([&](const Tensor& x) { return square(batch(x)); }, randn({5, 3}, f64), {.order = 2}) < 1e-6);
  CHECK(gradcheck([&](const Tensor& x) { return exp(images(x)); }, randn({2, 2, 3, 2}, f64), {.order = 2}) < 1e-6);
  CHECK(gradcheck([&](const Tensor& x) { return square(layer(x)); }, randn({3, 5}, f64), {.order = 2}) < 1e-6);
  const nn::Evaluating in_use;
  CHECK(gradcheck([&](const Tensor& x) { return square(batch(x)); }, randn({5, 3}, f64), {.order = 2}) < 1e-6);
}

TEST_CASE("a norm in one op is the formula out of many, and so are its gradients") {
  seed(18);
  const auto check = [](auto layer, const Shape& shape, const Axes& axes, const Shape& each, bool by_batch) {
    INFO(layer.label.kind() << " of " << to_string(shape));
    layer.weight.assign(randn(layer.weight.shape(), f64));
    layer.bias.assign(randn(layer.weight.shape(), f64));
    Graph graph;
    const Tensor x = graph.variable(2.0 * randn(shape, f64) + 3.0), dy = randn(shape, f64);
    const Tensor w = layer.weight, b = layer.bias, y = layer(x);
    const auto fresh = [&](double value) { return full(each, value, f64); };
    const Tensor m = by_batch ? mean(x, axes, true) : fresh(0), v = by_batch ? var(x, axes, true, 0) : fresh(1);
    const Tensor formula = (x - m) / sqrt(v + layer.eps) * reshape(w, each) + reshape(b, each);
    CHECK(largest(y - formula) < 1e-12);

    const Tensor loss = sum(y * dy);
    const std::vector<Tensor> composed = graph.gradient(loss, {x, w, b}),
                              wanted = graph.gradient(sum(formula * dy), {x, w, b});
    loss.backward();
    const Tensor fused[] = {x.grad(), layer.weight.grad(), layer.bias.grad()};
    for (std::size_t i = 0; i < 3; ++i) {
      CHECK(largest(fused[i] - wanted[i]) < 1e-11);
      CHECK(largest(composed[i] - wanted[i]) < 1e-11);
    }
  };
  for (const std::int64_t n : {2, 7, 33})
    for (const std::int64_t size : {1, 7, 33, 300}) {
      const nn::BatchNorm1d batch(size, {.dtype = f64});
      check(batch, {n, size}, {0}, {size}, true);
      check(batch, {n, size, 3}, {0, 2}, {size, 1}, true);
      check(nn::LayerNorm(size, {.dtype = f64}), {n, size}, {1}, {size}, true);
      check(nn::LayerNorm({3, size}, {.dtype = f64}), {n, 3, size}, {1, 2}, {3, size}, true);
      const nn::Evaluating in_use;
      check(batch, {n, size}, {0}, {size}, false);
    }
  check(nn::BatchNorm2d(7, {.dtype = f64}), {3, 7, 33, 5}, {0, 2, 3}, {7, 1, 1}, true);
}

TEST_CASE("norms of no rows give none, and pass no gradient") {
  nn::LayerNorm layer(4);
  nn::BatchNorm2d batch(3);
  const nn::Evaluating in_use;
  Graph graph;
  const Tensor x = graph.variable(zeros({0, 4})), z = graph.variable(zeros({2, 3, 0, 5}));
  (sum(layer(x)) + sum(batch(z))).backward();
  CHECK(x.grad().shape() == Shape{0, 4});
  CHECK(z.grad().shape() == Shape{2, 3, 0, 5});
  CHECK(largest(layer.weight.grad()) == 0);
  CHECK(largest(batch.bias.grad()) == 0);
}

TEST_CASE("batch_norm hands out the moments that it went by, and does the same by these") {
  seed(19);
  const Tensor x = randn({7, 3, 5}, f64), w = randn({3}, f64), b = randn({3}, f64);
  Graph graph;
  Moments own;
  const Tensor y = batch_norm(graph.variable(x), w, b, 1e-3, &own);
  CHECK(largest(own.mean - mean(x, {0, 2})) < 1e-14);
  CHECK(largest(own.variance - var(x, {0, 2}, false, 0)) < 1e-14);
  CHECK(same(batch_norm(x, w, b, own, 1e-3), y));

  const std::size_t size = graph.size();
  (void)(own.mean + own.variance);
  CHECK(graph.size() == size);
  const Moments before = own;
  CHECK_THROWS_AS(batch_norm(x, zeros({2}), b, 1e-3, &own), UsageError);
  CHECK(same(own.mean, before.mean));

  const Moments recorded{graph.variable(own.mean), graph.variable(own.variance)};
  const Tensor cut = batch_norm(x, w, b, recorded, 1e-3);
  CHECK(same(cut, y));
  CHECK_THROWS_AS(sum(cut).backward(), GraphError);
}

TEST_CASE("norms whose numbers were replaced by others of another size say so") {
  nn::BatchNorm1d norm(3);
  norm.running_mean = zeros({2});
  CHECK(says<UsageError>([&] {
          norm(zeros({4, 3}));
        }) ==
        "batch_norm([4, 3], [3], [3]): running_mean and running_var must have 3 numbers each\n  in BatchNorm1d(3)");
  nn::LayerNorm layer(3);
  layer.bias = Parameter(zeros({5}));
  CHECK(says<UsageError>([&] {
          layer(zeros({4, 3}));
        }) == "layer_norm([4, 3], [3], [5]): weight and bias must have 3 numbers each\n  in LayerNorm(3)");
}

TEST_CASE("norms work in the wider of their own type and their input's") {
  const nn::LayerNorm layer(3), wide(3, {.dtype = f64});
  CHECK(layer(zeros({2, 3}, f64)).dtype() == f64);
  CHECK(wide(zeros({2, 3})).dtype() == f64);
  CHECK(layer(zeros({2, 3}, i64)).dtype() == f32);
  nn::BatchNorm1d batch(3);
  const nn::Training on;
  CHECK(batch(randn({5, 3}, f64)).dtype() == f64);
  CHECK(batch.running_mean.dtype() == f32);
}

TEST_CASE("a channel or row of equal numbers comes out as the shift, with finite gradients") {
  nn::BatchNorm1d batch(2);
  nn::LayerNorm layer(4);
  batch.bias.assign(tensor({3, 4}));
  Graph graph;
  const Tensor x = graph.variable(full({5, 2}, 1e6)), z = graph.variable(full({3, 4}, -7));
  const Tensor y = batch(x), w = layer(z);
  CHECK(numbers(y[0]) == Numbers{3, 4});
  CHECK(largest(w) == 0);
  (sum(square(y)) + sum(w * arange(4).to(f32))).backward();
  CHECK(std::isfinite(largest(x.grad())));
  CHECK(std::isfinite(largest(z.grad())));
}

TEST_CASE("rows that are not chosen leave no trace in a LayerNorm's gradients, be they infinite") {
  const double inf = std::numeric_limits<double>::infinity();
  nn::LayerNorm layer(3);
  Graph graph;
  const Tensor x = graph.variable(tensor({{1, 2, 4}, {inf, 0, 1}})), chosen = tensor({{1}, {0}}, i64);
  sum(where(chosen, square(layer(x)), 0.0)).backward();
  CHECK(std::isfinite(largest(layer.weight.grad())));
  CHECK(std::isfinite(largest(x.grad())));
  CHECK(largest(x.grad()[1]) == 0);

  nn::BatchNorm1d batch(2);
  const nn::Evaluating in_use;
  const Tensor z = graph.variable(tensor({{1, 2}, {inf, 0}}));
  sum(where(chosen, square(batch(z)), 0.0)).backward();
  CHECK(std::isfinite(largest(batch.weight.grad())));
  CHECK(largest(z.grad()[1]) == 0);
}

TEST_CASE("threads that train one BatchNorm count every batch") {
  nn::BatchNorm1d norm(2);
  const Tensor x = randn({4, 2});
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t)
    threads.emplace_back([&] {
      for (int i = 0; i < 25; ++i) {
        Graph graph;
        norm(x);
      }
    });
  for (std::thread& t : threads) t.join();
  CHECK(norm.num_batches_tracked.item() == 100);
}

TEST_CASE("a copy of a BatchNorm has its own statistics") {
  nn::Sequential model{nn::BatchNorm1d(2)}, copy = model;
  {
    Graph graph;
    copy(randn({4, 2}));
  }
  CHECK(model.at<nn::BatchNorm1d>(0).num_batches_tracked.item() == 0);
  CHECK(copy.at<nn::BatchNorm1d>(0).num_batches_tracked.item() == 1);
  model = copy;
  CHECK(same(model.at<nn::BatchNorm1d>(0).running_mean, copy.at<nn::BatchNorm1d>(0).running_mean));
}

// ---- attention -----------------------------------------------------------------------------------------------------

TEST_CASE("attention is the mean of values, weighed by softmax(query·keyᵀ / √d)") {
  const Tensor q = tensor({{2, 0}}, f64), k = tensor({{1, 0}, {0, 1}}, f64), v = tensor({{10}, {20}}, f64);
  const double e = std::exp(std::sqrt(2.0)), p = e / (e + 1);
  CHECK(nn::attention_weights(q, k)(0, 0).value() == doctest::Approx(p));
  CHECK(nn::attention(q, k, v).item() == doctest::Approx(10 * p + 20 * (1 - p)));
  CHECK(nn::attention(q, k, v, {.mask = tensor({{0, 1}}, i64)}).item() == 20);
  CHECK(nn::attention(zeros({3, 2, 4, 5}), zeros({3, 2, 7, 5}), zeros({3, 2, 7, 6})).shape() == Shape{3, 2, 4, 6});
}

TEST_CASE("causal queries see their own place and those before, as the last of the keys' places") {
  const Tensor w = nn::attention_weights(zeros({3, 2}), zeros({3, 2}), {.causal = true});
  CHECK(largest(w - tensor({{1, 0, 0}, {0.5, 0.5, 0}, {1.0 / 3, 1.0 / 3, 1.0 / 3}})) < 1e-7);
  // The last two of three: what a step of generation asks, with the keys that it kept.
  CHECK(same(nn::attention_weights(zeros({2, 2}), zeros({3, 2}), {.causal = true}), slice(w, 1, 3)));

  seed(10);
  const nn::MultiHeadAttention attention(6, 2, {.causal = true, .dtype = f64});
  const Tensor x = randn({1, 5, 6}, f64), other = concat({slice(x, 0, 3, 1), randn({1, 2, 6}, f64)}, 1);
  CHECK(largest(slice(attention(x), 0, 3, 1) - slice(attention(other), 0, 3, 1)) < 1e-12);
  CHECK(largest(attention(x) - attention(other)) > 1e-3);
}

TEST_CASE("a query that may look nowhere gets zeros, and sends no gradient") {
  const auto check = [](const nn::AttentionOptions& options) {
    seed(11);
    Graph graph({.check = true});
    const Tensor q = graph.variable(randn({2, 3, 4})), k = graph.variable(randn({2, 3, 4})),
                 v = graph.variable(randn({2, 3, 4}));
    const Tensor y = nn::attention(q, k, v, options);
    CHECK(largest(y[0]) == 0);
    CHECK(largest(y[1]) > 0);
    sum(square(y) + y).backward();
    for (const Tensor& dx : {q.grad(), k.grad(), v.grad()}) {
      CHECK(largest(dx[0]) == 0);
      CHECK(std::isfinite(largest(dx)));
      CHECK(largest(dx[1]) > 0);
    }
  };
  check({.key_lengths = tensor({0, 2}, i64)});
  check({.mask = tensor({{{0}}, {{1}}}, i64)});
  check({.mask = tensor({{{0}}, {{1}}}), .causal = true, .key_lengths = tensor({3, 2}, i64)});
}

TEST_CASE("keys behind a row's length are as if they were not there") {
  seed(12);
  const nn::MultiHeadAttention attention(4, 2, {.dtype = f64});
  const Tensor query = randn({2, 3, 4}, f64), key = randn({2, 5, 4}, f64);
  const Tensor y = attention(query, key, key, {.key_lengths = tensor({5, 2}, i64)});
  const Tensor alone = slice(slice(key, 1, 2), 0, 2, 1);
  CHECK(largest(y[1] - attention(slice(query, 1, 2), alone, alone)[0]) < 1e-12);
  CHECK(largest(y[0] - attention(query, key, key)[0]) < 1e-12);
  // The same as a mask, for each row and for each row and head.
  const Tensor mask = tensor({{{1, 1, 1, 1, 1}}, {{1, 1, 0, 0, 0}}}, i64);
  CHECK(same(attention(query, key, key, {.mask = mask}), y));
  CHECK(same(attention(query, key, key, {.mask = unsqueeze(mask, 1)}), y));
}

TEST_CASE("self-attention is attention with the same keys and values, of any number of heads") {
  seed(13);
  for (const std::int64_t heads : {1, 2, 3, 6}) {
    const nn::MultiHeadAttention attention(6, heads, {.dtype = f64});
    const Tensor x = randn({2, 5, 6}, f64), again = x * 1.0;
    CHECK(largest(attention(x) - attention(x, again, again)) < 1e-12);
  }
}

TEST_CASE("the gradients of attention agree with differences, to second order") {
  seed(14);
  const nn::AttentionOptions options{.causal = true, .key_lengths = tensor({2, 3}, i64)};
  CHECK(gradcheck([&](const Tensor& q, const Tensor& k, const Tensor& v) { return nn::attention(q, k, v, options); },
                  {randn({2, 2, 3}, f64), randn({2, 3, 3}, f64), randn({2, 3, 2}, f64)}, {.order = 2}) < 1e-6);
  const nn::MultiHeadAttention attention(4, 2, {.dtype = f64});
  CHECK(gradcheck([&](const Tensor& x) { return attention(x, {.causal = true}); }, randn({2, 3, 4}, f64),
                  {.order = 2}) < 1e-6);
}

TEST_CASE("MultiHeadAttention drops weights while it trains") {
  seed(15);
  const nn::MultiHeadAttention attention(4, 2, {.dropout = 0.5});
  const Tensor x = randn({2, 5, 4});
  CHECK(same(attention(x), attention(x)));
  const nn::Training on;
  CHECK_FALSE(same(attention(x), attention(x)));
}

TEST_CASE("attention refuses what does not fit, and says why") {
  const Tensor x = zeros({2, 3, 4});
  CHECK(says<ShapeError>([&] {
          nn::attention(x, zeros({2, 3, 5}), x);
        }) == "attention([2, 3, 4], [2, 3, 5], [2, 3, 4]): queries are of size 4, keys of 5");
  CHECK(says<ShapeError>([&] {
          nn::attention(x, x, zeros({2, 5, 4}));
        }) == "attention([2, 3, 4], [2, 3, 4], [2, 5, 4]): there are 3 keys and 5 values");
  CHECK(says<ShapeError>([&] { nn::attention_weights(zeros({4}), x); }) ==
        "attention_weights([4], [2, 3, 4]): queries and keys have at least two axes, [..., places, d]");
  CHECK(says<ShapeError>([&] { nn::attention(x, x, zeros({4})); }) ==
        "attention([2, 3, 4], [2, 3, 4], [4]): values have at least two axes, [..., places, dv]");
  CHECK(says<ShapeError>([&] {
          nn::attention_weights(zeros({2, 4, 4}), x, {.causal = true});
        }) ==
        "attention_weights([2, 4, 4], [2, 3, 4]): causal queries are the last of the keys' places, but there are 4 "
        "queries for 3 keys");
  CHECK(says<ShapeError>([&] {
          nn::attention_weights(x, x, {.mask = ones({2, 3})});
        }) ==
        "attention_weights([2, 3, 4], [2, 3, 4]): a mask of shape [2, 3] does not broadcast to the scores [2, 3, 3]");
  CHECK(says<ShapeError>([&] {
          nn::attention_weights(x, x, {.mask = ones({1, 2, 3, 3})});
        }) ==
        "attention_weights([2, 3, 4], [2, 3, 4]): a mask of shape [1, 2, 3, 3] does not broadcast to the scores "
        "[2, 3, 3]");
  const double inf = std::numeric_limits<double>::infinity();
  CHECK(says<UsageError>([&] {
          nn::attention_weights(x, x, {.mask = tensor({{0, 0, 0}, {0, 0, -inf}, {0, -inf, -inf}})});
        }) ==
        "attention_weights([2, 3, 4], [2, 3, 4]): mask[1, 2] = -inf, and it must be 1 where a query may look and 0 "
        "where not\n  help: of a mask that is added, with 0 where a query may look, make mask == 0");
  CHECK_THROWS_AS(nn::attention(x, x, x, {.mask = tensor({1, 2, 0}, i64)}), UsageError);
  CHECK_THROWS_AS(nn::attention(x, x, x, {.mask = tensor({1, std::nan(""), 0})}), UsageError);
  CHECK(says<DTypeError>([&] { nn::attention_weights(x, x, {.key_lengths = ones({2})}); }) ==
        "attention_weights(f32 [2, 3, 4], f32 [2, 3, 4]): key_lengths must be i64, not f32");
  CHECK(says<ShapeError>([&] { nn::attention_weights(x, x, {.key_lengths = tensor({1}, i64)}); }) ==
        "attention_weights([2, 3, 4], [2, 3, 4]): key_lengths must be of shape [2], one for each row, not [1]");
  CHECK(says<ShapeError>([&] {
          nn::attention_weights(x[0], x[0], {.key_lengths = tensor({1, 1, 1}, i64)});
        }) == "attention_weights([3, 4], [3, 4]): key_lengths are for batches, [n, ..., k, d]");
  CHECK(says<UsageError>([&] {
          nn::attention_weights(x, x, {.key_lengths = tensor({1, 4}, i64)});
        }) == "attention_weights([2, 3, 4], [2, 3, 4]): key_lengths[1] = 4 is outside [0, 3]");
  CHECK_THROWS_AS(nn::attention(Tensor(), x, x), UsageError);
}

TEST_CASE("MultiHeadAttention refuses what does not fit, and says why") {
  CHECK_THROWS_WITH_AS(nn::MultiHeadAttention(6, 4), "MultiHeadAttention(6, 4 heads): the heads must divide the size",
                       UsageError);
  CHECK_THROWS_WITH_AS(nn::MultiHeadAttention(std::int64_t{1} << 62, 1),
                       "MultiHeadAttention(4611686018427387904, 1 heads): sizes must be in [1, 2147483647]",
                       UsageError);
  CHECK_THROWS_WITH_AS(nn::MultiHeadAttention(6, 0), "MultiHeadAttention(6, 0 heads): sizes must be in [1, 2147483647]",
                       UsageError);
  CHECK_THROWS_WITH_AS(nn::MultiHeadAttention(6, 2, {.dropout = 1}), "Dropout(1): the probability must be in [0, 1)",
                       UsageError);
  const nn::MultiHeadAttention attention(4, 2);
  const Tensor x = zeros({2, 3, 4});
  CHECK(says<ShapeError>([&] {
          attention(zeros({3, 4}));
        }) ==
        "MultiHeadAttention([3, 4], [3, 4], [3, 4]): inputs are [n, time, 4]\n  in MultiHeadAttention(4, 2 heads)");
  CHECK(says<ShapeError>([&] {
          attention(x, zeros({2, 3, 5}), x);
        }) ==
        "MultiHeadAttention([2, 3, 4], [2, 3, 5], [2, 3, 4]): inputs are [n, time, 4]\n"
        "  in MultiHeadAttention(4, 2 heads)");
  CHECK(says<ShapeError>([&] {
          attention(x, zeros({1, 3, 4}), x);
        }) ==
        "MultiHeadAttention([2, 3, 4], [1, 3, 4], [2, 3, 4]): the batches differ, 2 != 1\n"
        "  in MultiHeadAttention(4, 2 heads)");
  CHECK(says<ShapeError>([&] {
          attention(x, x, zeros({2, 5, 4}));
        }) ==
        "MultiHeadAttention([2, 3, 4], [2, 3, 4], [2, 5, 4]): there are 3 keys and 5 values\n"
        "  in MultiHeadAttention(4, 2 heads)");
  CHECK(says<ShapeError>([&] {
          attention(x, {.mask = ones({3, 2})});
        }) ==
        "MultiHeadAttention([2, 3, 4], [2, 3, 4], [2, 3, 4]): a mask of shape [3, 2] does not broadcast to the scores "
        "[2, 2, 3, 3]\n  in MultiHeadAttention(4, 2 heads)");
}

// ---- all of them, in a model ---------------------------------------------------------------------------------------

TEST_CASE("the layers stand in a Sequential, a summary and a file under PyTorch's names") {
  seed(16);
  const auto made = [] {
    return nn::Sequential{nn::Embedding(11, 6), nn::MultiHeadAttention(6, 2, {.dropout = 0.1}),
                          nn::LayerNorm(6),     nn::Conv1d(5, 4, 3, {.padding = 1, .bias = false}),
                          nn::BatchNorm1d(4),   nn::MaxPool1d(2),
                          nn::GlobalAvgPool(),  nn::LeakyReLU(0.2)};
  };
  nn::Sequential model = made();
  const Tensor x = randint(0, 11, {3, 5});
  CHECK(model(x).shape() == Shape{3, 4});
  CHECK(names(model) == Names{"0.weight", "1.in_proj_weight", "1.in_proj_bias", "1.out_proj.weight", "1.out_proj.bias",
                              "2.weight", "2.bias", "3.weight", "4.weight", "4.bias"});
  const std::string summary = nn::summary(model);
  CHECK(summary.find("1           MultiHeadAttention(6, 2 heads)  in_proj_weight [18, 6], in_proj_bias [18]  ") !=
        std::string::npos);
  CHECK(summary.find("\n1.out_proj  Dense(6 -> 6)  ") != std::string::npos);
  CHECK(
      summary.find("weight [4], bias [4]; not trained: running_mean [4], running_var [4], num_batches_tracked []  ") !=
      std::string::npos);
  CHECK(summary.ends_with("\n314 parameters, 1.2 KiB\n"));
  {
    Graph graph;
    sum(square(model(x))).backward();
    for (const nn::NamedParameter& p : nn::parameters(model)) CHECK_MESSAGE(p.parameter.has_grad(), p.name);
  }

  const Folder folder;
  const std::string path = folder / "model.safetensors";
  nn::save(model, path);
  nn::Sequential loaded = made();
  CHECK_FALSE(same(loaded(x), model(x)));
  nn::load(loaded, path);
  CHECK(same(loaded(x), model(x)));
  CHECK(loaded.at<nn::BatchNorm1d>(4).num_batches_tracked.item() == 1);
  nn::Sequential copy = model;
  CHECK(same(copy(x), model(x)));
}

TEST_CASE("the layers of images stand in a Sequential") {
  seed(17);
  nn::Sequential model{nn::Conv2d(1, 4, 3, {.padding = 1, .init = nn::he_normal}),
                       nn::BatchNorm2d(4),
                       nn::ReLU(),
                       nn::MaxPool2d(2),
                       nn::Conv2d(4, 6, 3, {.stride = 2, .groups = 2}),
                       nn::AvgPool2d(2, {.stride = 1}),
                       nn::ConvTranspose2d(6, 2, 2, {.stride = 2}),
                       nn::Flatten(),
                       nn::Dense(2 * 4 * 4, 3)};
  Graph graph;
  const Tensor y = model(randn({2, 1, 14, 14}));
  CHECK(y.shape() == Shape{2, 3});
  sum(square(y)).backward();
  for (const nn::NamedParameter& p : nn::parameters(model)) CHECK_MESSAGE(largest(p.parameter.grad()) > 0, p.name);
}
