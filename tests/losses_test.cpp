#include <doctest/doctest.h>
#include <ebb/nn/nn.h>

#include <cmath>
#include <functional>
#include <limits>
#include <string>
#include <vector>

using namespace ebb;
using nn::Reduction;

namespace {

constexpr double inf = std::numeric_limits<double>::infinity(), not_a_number = std::numeric_limits<double>::quiet_NaN();

/// The gradient of a loss by its prediction.
std::vector<double> slope(const std::function<Tensor(const Tensor&)>& loss, const Tensor& prediction) {
  Graph graph;
  const Tensor p = graph.variable(prediction);
  sum(loss(p)).backward();
  return p.grad().to_vector<double>();
}

/// How many entries a graph gains by a loss, besides its prediction.
std::size_t ops_of(const std::function<Tensor(const Tensor&)>& loss, const Tensor& prediction) {
  Graph graph;
  const Tensor p = graph.variable(prediction);
  loss(p);
  std::size_t ops = 0;
  for (const Node& node : graph.nodes()) ops += node.kind == Node::Kind::op ? 1 : 0;
  return ops;
}

using Numbers = std::vector<double>;

}  // namespace

// ---- elementwise -------------------------------------------------------------------------------------------------

TEST_CASE("mse_loss is the mean square") {
  CHECK(nn::mse_loss(tensor({1, 2, 3}), tensor({1, 0, 0})).item() == doctest::Approx(13.0 / 3));
  CHECK(gradcheck([](const Tensor& p, const Tensor& t) { return nn::mse_loss(p, t); },
                  {randn({3, 2}, f64), randn({3, 2}, f64)}) < 1e-7);
}

TEST_CASE("losses never broadcast") {
  CHECK_THROWS_WITH_AS(
      nn::mse_loss(zeros({64, 1}), zeros({64})),
      "mse_loss([64, 1], [64]): prediction and target must have the same shape (losses never broadcast: "
      "this would average 64 x 64 pairs)\n  help: reshape(target, {64, 1})",
      ShapeError);
  CHECK_THROWS_WITH_AS(nn::binary_cross_entropy(zeros({3}), zeros({4})),
                       "binary_cross_entropy([3], [4]): prediction and target must have the same shape", ShapeError);
  CHECK_THROWS_WITH_AS(nn::binary_cross_entropy_with_logits(zeros({3, 1}), zeros({1})),
                       "binary_cross_entropy_with_logits([3, 1], [1]): prediction and target must have the same shape "
                       "(losses never broadcast: this would average 3 x 1 pairs)",
                       ShapeError);
}

TEST_CASE("binary_cross_entropy is its formula, and takes the logits of a recorded sigmoid") {
  const Tensor z = tensor({-2, 0.5, 3}, f64), y = tensor({0, 1, 0}, f64);
  double expected = 0;
  for (int i = 0; i < 3; ++i) {
    const double p = 1 / (1 + std::exp(-z.data<double>()[i]));
    expected -= (i == 1 ? std::log(p) : std::log(1 - p)) / 3;
  }
  CHECK(nn::binary_cross_entropy(sigmoid(z), y).item() == doctest::Approx(expected));
  CHECK(nn::binary_cross_entropy_with_logits(z, y).item() == doctest::Approx(expected));

  Graph graph;
  const Tensor far = graph.variable(tensor({-200, 200}));
  const Tensor loss = nn::binary_cross_entropy(sigmoid(far), tensor({1, 0}));
  CHECK(loss.item() == 200);
  loss.backward();
  CHECK(far.grad().to_vector<float>() == std::vector<float>{-0.5, 0.5});
}

TEST_CASE("binary_cross_entropy of probabilities is finite at 0 and 1, and its gradient is not flat there") {
  Graph graph;
  const Tensor p = graph.variable(tensor({0, 1, 0, 1}));
  const Tensor loss = nn::binary_cross_entropy(p, tensor({1, 0, 0, 1}));
  CHECK(loss.item() == 50);
  loss.backward();
  const std::vector<float> g = p.grad().to_vector<float>();
  CHECK(g[0] == doctest::Approx(-0.25e12));
  CHECK(g[1] == doctest::Approx(0.25e12));
  CHECK(g[2] == doctest::Approx(0.25));
  CHECK(g[3] == doctest::Approx(-0.25));
}

TEST_CASE("gradients of the binary cross-entropies agree with differences, to second order") {
  const Tensor p = tensor({0.1, 0.4, 0.9}, f64), z = tensor({-1, 0, 2}, f64), y = tensor({0, 0.3, 1}, f64);
  CHECK(gradcheck([&](const Tensor& q) { return nn::binary_cross_entropy(q, y); }, {p}, {.order = 2}) < 1e-6);
  CHECK(gradcheck([&](const Tensor& q) { return nn::binary_cross_entropy(sigmoid(q), y); }, {z}, {.order = 2}) < 1e-6);
  CHECK(gradcheck([&](const Tensor& q) { return nn::binary_cross_entropy_with_logits(q, y); }, {z}, {.order = 2}) <
        1e-6);
}

TEST_CASE("binary cross-entropies name the first number outside [0, 1]") {
  CHECK_THROWS_WITH_AS(nn::binary_cross_entropy(tensor({{0.5}, {0.5}}), tensor({{1}, {2}})),
                       "binary_cross_entropy: target[1, 0] = 2 is outside [0, 1]", UsageError);
  CHECK_THROWS_WITH_AS(nn::binary_cross_entropy(tensor({0.5, -0.5}), tensor({1, 0})),
                       "binary_cross_entropy: prediction[1] = -0.5 is outside [0, 1]", UsageError);
  CHECK_THROWS_WITH_AS(nn::binary_cross_entropy_with_logits(tensor({3, 3}), tensor({0, -1}, i64)),
                       "binary_cross_entropy_with_logits: target[1] = -1 is outside [0, 1]", UsageError);
  CHECK(std::isnan(nn::binary_cross_entropy(full({2}, not_a_number), zeros({2})).item()));
  CHECK_THROWS_AS(nn::binary_cross_entropy(zeros({2}), full({2}, not_a_number)), UsageError);

  Graph graph;
  const Tensor p = sigmoid(graph.variable(zeros({2})));
  CHECK_THROWS_WITH_AS(nn::binary_cross_entropy_with_logits(p, zeros({2})),
                       "binary_cross_entropy_with_logits([2], [2]): the prediction went through sigmoid already\n"
                       "  help: use binary_cross_entropy",
                       UsageError);
}

TEST_CASE("cross_entropy is the mean of -log softmax at the label") {
  const Tensor z = tensor({{1, 2, 3}, {0, 0, 0}}, f64);
  const double expected = (std::log(std::exp(-2) + std::exp(-1) + 1) + std::log(3)) / 2;
  CHECK(nn::cross_entropy(z, tensor({2, 1}, i64)).item() == doctest::Approx(expected));
  CHECK(nn::cross_entropy(reshape(z, {1, 2, 3}), tensor({{2, 1}}, i64)).item() == doctest::Approx(expected));
  CHECK(gradcheck([](const Tensor& x) { return nn::cross_entropy(x, tensor({2, 1}, i64)); }, {z}, {.order = 2}) < 1e-6);
}

TEST_CASE("cross_entropy wants class numbers") {
  Tensor labels = from(std::vector<std::int64_t>(32, 3), {32});
  CHECK_THROWS_WITH_AS(nn::cross_entropy(zeros({32, 10}), zeros({32, 10}, i64)),
                       "cross_entropy([32, 10], [32, 10]): labels must be whole class numbers of shape [32]\n"
                       "  help: for one-hot rows use argmax(labels, 1)",
                       ShapeError);
  CHECK_THROWS_WITH_AS(nn::cross_entropy(zeros({32, 10}), reshape(labels, {32, 1})),
                       "cross_entropy([32, 10], [32, 1]): labels must be whole class numbers of shape [32]\n"
                       "  help: reshape(labels, {32})",
                       ShapeError);
  CHECK_THROWS_WITH_AS(nn::cross_entropy(zeros({2, 3, 4, 5}), zeros({2, 4, 5}, i64)),
                       "cross_entropy([2, 3, 4, 5], [2, 4, 5]): labels must be whole class numbers of shape [2, 3, 4]\n"
                       "  help: classes lie on the last axis: permute(logits, {0, 2, 3, 1})",
                       ShapeError);
  CHECK_THROWS_WITH_AS(nn::nll_loss(zeros({2, 3, 4}), zeros({2, 4}, i64)),
                       "nll_loss([2, 3, 4], [2, 4]): labels must be whole class numbers of shape [2, 3]\n"
                       "  help: classes lie on the last axis: permute(log_p, {0, 2, 1})",
                       ShapeError);
  CHECK_THROWS_WITH_AS(nn::cross_entropy(zeros({10}), labels),
                       "cross_entropy([10], [32]): logits must have a row for each label, [n, classes]", ShapeError);
  std::vector<std::int64_t> numbers(32, 3);
  numbers[17] = 10;
  CHECK_THROWS_WITH_AS(nn::cross_entropy(zeros({32, 10}), from(numbers, {32})),
                       "cross_entropy: target[17] = 10 is outside [0, 10) for logits [32, 10]; labels count from zero",
                       IndexError);
  numbers[17] = -1;
  CHECK_THROWS_AS(nn::cross_entropy(zeros({32, 10}), from(numbers, {32})), IndexError);

  try {
    nn::cross_entropy(zeros({32, 10}), zeros({32}));
    FAIL("float labels were taken");
  } catch (const DTypeError& e) {
    const std::string message = e.what();
    CHECK(message.find("labels must be whole class numbers, i64, not f32\n  help: labels.to(i64)") !=
          std::string::npos);
  }

  Graph graph;
  const Tensor p = softmax(graph.variable(zeros({32, 10})));
  CHECK_THROWS_WITH_AS(
      nn::cross_entropy(p, labels),
      "cross_entropy([32, 10], [32]): the prediction went through softmax already, which is part of this "
      "loss\n  help: leave the last Softmax out; the largest stays the largest without it",
      UsageError);
}

TEST_CASE("probabilities of a model are told from logits though the graph let the logits go") {
  const Tensor x = randn({4, 5}), labels = tensor({0, 1, 2, 0}, i64), yes = zeros({4, 3});
  Graph graph;
  const nn::Sequential softened{nn::Dense(5, 3), nn::Softmax()}, squashed{nn::Dense(5, 3), nn::Sigmoid()};
  const Tensor p = softened(x);
  CHECK_THROWS_WITH_AS(nn::cross_entropy(p, labels),
                       "cross_entropy([4, 3], [4]): the prediction went through softmax already, which is part of this "
                       "loss\n  help: leave the last Softmax out; the largest stays the largest without it",
                       UsageError);
  CHECK_THROWS_AS(nn::cross_entropy(p, p), UsageError);
  CHECK_THROWS_AS(nn::nll_loss(p, labels), UsageError);
  CHECK_THROWS_AS(nn::kl_div_loss(p, ones({4, 3}) / 3), UsageError);
  CHECK_THROWS_AS(nn::binary_cross_entropy_with_logits(squashed(x), yes), UsageError);
  CHECK_NOTHROW(nn::nll_loss(log_softmax(nn::Dense(5, 3)(x)), labels));
}

TEST_CASE("binary_cross_entropy reads the logits behind a model's last Sigmoid") {
  const nn::Sequential model{nn::Dense(5, 3), nn::Sigmoid()};
  const Tensor x = randn({4, 5}), y = zeros({4, 3});
  Graph graph;
  nn::binary_cross_entropy(model(x), y);
  CHECK(graph.nodes().back().op == "bce_with_logits");
}

// ---- options -----------------------------------------------------------------------------------------------------

TEST_CASE("distances are measured as their names say") {
  const Tensor p = tensor({0, 0.5, 3, -2}, f64), y = tensor({0, 0, 0, 0}, f64);
  const auto each = [&](auto loss, auto options) {
    options.reduction = Reduction::none;
    return loss(p, y, options).template to_vector<double>();
  };
  CHECK(each(nn::mse_loss, nn::LossOptions{}) == Numbers{0, 0.25, 9, 4});
  CHECK(each(nn::l1_loss, nn::LossOptions{}) == Numbers{0, 0.5, 3, 2});
  CHECK(each(nn::huber_loss, nn::HuberOptions{}) == Numbers{0, 0.125, 2.5, 1.5});
  CHECK(each(nn::huber_loss, nn::HuberOptions{.delta = 2}) == Numbers{0, 0.125, 4, 2});
  CHECK(each(nn::smooth_l1_loss, nn::SmoothL1Options{.beta = 2}) == Numbers{0, 0.0625, 2, 1});
  CHECK(nn::hinge_loss(p, tensor({1, 1, 1, -1}), {.reduction = Reduction::none}).to_vector<double>() ==
        Numbers{1, 0.5, 0, 0});
}

TEST_CASE("gradients of the losses agree with differences, away from kinks") {
  const Tensor p = tensor({{0.3, -1.7, 0.2}, {2.5, -0.4, 0.7}}, f64), y = tensor({{0, 0.1, 1}, {-0.2, 0.3, 0.6}}, f64);
  const Tensor rows = tensor({2, 0.5}, f64);
  CHECK(gradcheck([&](const Tensor& a, const Tensor& b,
                      const Tensor& w) { return nn::mse_loss(a, b, {.reduction = Reduction::none, .row_weights = w}); },
                  {p, y, rows}, {.order = 2}) < 1e-6);
  CHECK(gradcheck([&](const Tensor& a, const Tensor& b) { return nn::l1_loss(a, b, {.row_weights = rows}); }, {p, y}) <
        1e-7);
  CHECK(gradcheck([&](const Tensor& a, const Tensor& b) { return nn::huber_loss(a, b, {.delta = 0.5}); }, {p, y},
                  {.order = 2}) < 1e-6);
  CHECK(gradcheck([&](const Tensor& a) { return nn::hinge_loss(a, sign(p)); }, {p}) < 1e-7);
  const Tensor q = softmax(y), classes = tensor({1, 0.5, 2}, f64), labels = tensor({2, 0}, i64);
  CHECK(gradcheck(
            [&](const Tensor& a, const Tensor& b, const Tensor& w) {
              return nn::binary_cross_entropy_with_logits(a, sigmoid(b), {.row_weights = rows, .pos_weight = w});
            },
            {p, y, classes}, {.order = 2}) < 1e-6);
  CHECK(gradcheck(
            [&](const Tensor& a, const Tensor& b, const Tensor& w) {
              return nn::cross_entropy(a, softmax(b), {.class_weights = w, .label_smoothing = 0.1});
            },
            {p, y, classes}, {.order = 2}) < 1e-6);
  CHECK(gradcheck(
            [&](const Tensor& a, const Tensor& w) {
              return nn::cross_entropy(a, labels, {.row_weights = rows, .class_weights = w, .label_smoothing = 0.1});
            },
            {p, classes}, {.order = 2}) < 1e-6);
  CHECK(gradcheck([&](const Tensor& a) { return nn::nll_loss(log_softmax(a), labels); }, {p}, {.order = 2}) < 1e-6);
  CHECK(gradcheck([&](const Tensor& a, const Tensor& b) { return nn::kl_div_loss(log_softmax(a), softmax(b)); }, {p, y},
                  {.order = 2}) < 1e-6);
}

TEST_CASE("a weight of 2 for a row is that row twice, except that the mean divides by the rows there are") {
  const Tensor p = tensor({{1, 2, 3}, {0, 5, 1}}, f64), y = tensor({{0, 0, 1}, {2, 1, 1}}, f64);
  const Tensor p3 = tensor({{1, 2, 3}, {1, 2, 3}, {0, 5, 1}}, f64), y3 = tensor({{0, 0, 1}, {0, 0, 1}, {2, 1, 1}}, f64);
  const Tensor labels = tensor({1, 0}, i64), labels3 = tensor({1, 1, 0}, i64), twice = tensor({2, 1}, i64);
  CHECK(nn::mse_loss(p, y, {.row_weights = twice}).item() == doctest::Approx(nn::mse_loss(p3, y3).item() * 3 / 2));
  CHECK(nn::cross_entropy(p, labels, {.row_weights = twice}).item() ==
        doctest::Approx(nn::cross_entropy(p3, labels3).item() * 3 / 2));
  CHECK(nn::cross_entropy(p, labels, {.reduction = Reduction::sum, .row_weights = twice}).item() ==
        doctest::Approx(nn::cross_entropy(p3, labels3, {.reduction = Reduction::sum}).item()));
}

TEST_CASE("weights do not change the type of a loss") {
  const Tensor two = tensor({1, 1}, f64), p = tensor({{1, 2}, {3, 4}}), labels = tensor({0, 1}, i64);
  CHECK(nn::mse_loss(p, p, {.row_weights = two}).dtype() == f32);
  CHECK(nn::cross_entropy(p, labels, {.row_weights = two, .class_weights = two, .label_smoothing = 0.1}).dtype() ==
        f32);
  CHECK(nn::binary_cross_entropy_with_logits(p, zeros({2, 2}), {.pos_weight = two}).dtype() == f32);
  CHECK(nn::mse_loss(labels, labels, {.reduction = Reduction::none, .row_weights = tensor({0.5, 0.5})}).dtype() == f32);
}

TEST_CASE("the mean that every training takes is a single op") {
  const Tensor z = tensor({{1, 2, 0}, {0, 1, 3}}), labels = tensor({2, 0}, i64);
  CHECK(ops_of([&](const Tensor& x) { return nn::cross_entropy(x, labels); }, z) == 1);
  CHECK(ops_of([&](const Tensor& x) { return nn::binary_cross_entropy_with_logits(x, zeros({2, 3})); }, z) == 1);
  CHECK(ops_of([&](const Tensor& x) { return nn::mse_loss(x, z); }, z) == 3);
}

TEST_CASE("ignored rows count for nothing, whatever stands in them") {
  const Tensor z = tensor({{1, 2, 3}, {not_a_number, inf, 0}, {0, 0, 0}}, f64), labels = tensor({2, -100, 1}, i64);
  const Tensor without = tensor({{1, 2, 3}, {0, 0, 0}}, f64);
  const double mean_of_two = nn::cross_entropy(without, tensor({2, 1}, i64)).item();
  CHECK(nn::cross_entropy(z, labels).item() == mean_of_two);
  CHECK(nn::cross_entropy(z, tensor({2, 0, 1}, i64), {.ignore_index = 0}).item() == mean_of_two);
  const std::vector<double> each =
      nn::cross_entropy(z, labels, {.reduction = Reduction::none, .label_smoothing = 0.1}).to_vector<double>();
  CHECK(each[1] == 0);
  CHECK(each[2] == doctest::Approx(std::log(3)));
  for (const double smoothing : {0.0, 0.1}) {
    const std::vector<double> g =
        slope([&](const Tensor& x) { return nn::cross_entropy(x, labels, {.label_smoothing = smoothing}); }, z);
    CHECK(Numbers(g.begin() + 3, g.begin() + 6) == Numbers{0, 0, 0});
    CHECK(g[8] == doctest::Approx(1.0 / 6 - smoothing / 6));
  }
  CHECK(nn::cross_entropy(slice(z, 1, 2), tensor({-100}, i64), {.reduction = Reduction::sum}).item() == 0);
}

TEST_CASE("a class that is masked by -inf costs nothing where it is not the target") {
  const Tensor z = tensor({{0, 0, -inf}, {0, -inf, 0}}, f64), labels = tensor({1, 0}, i64);
  const Tensor soft = tensor({{0, 1, 0}, {1, 0, 0}}, f64), weights = tensor({1, 1, 0}, f64);
  const Numbers want{0.25, -0.25, 0, -0.25, 0, 0.25};
  for (const auto& loss : std::vector<std::function<Tensor(const Tensor&)>>{
           [&](const Tensor& x) { return nn::cross_entropy(x, labels); },
           [&](const Tensor& x) { return nn::cross_entropy(x, labels, {.row_weights = ones({2})}); },
           [&](const Tensor& x) { return nn::cross_entropy(x, labels, {.class_weights = weights}); },
           [&](const Tensor& x) { return nn::cross_entropy(x, soft); },
           [&](const Tensor& x) { return nn::nll_loss(log_softmax(x), labels); },
           [&](const Tensor& x) { return nn::kl_div_loss(log_softmax(x), soft); }}) {
    CHECK(loss(z).item() == doctest::Approx(std::log(2)));
    CHECK(slope(loss, z) == want);
  }
}

TEST_CASE("binary cross-entropy with weights is as safe as without") {
  const Tensor z = tensor({-200, 200, -inf, inf}), y = tensor({1, 0, 0, 1});
  const auto loss = [&](const Tensor& x) {
    return nn::binary_cross_entropy_with_logits(x, y, {.row_weights = ones({4}), .pos_weight = tensor(2)});
  };
  CHECK(loss(z).item() == 150);
  CHECK(slope(loss, z) == Numbers{-0.5, 0.25, 0, 0});
  const auto of_sigmoid = [&](const Tensor& x) {
    return nn::binary_cross_entropy(sigmoid(x), y, {.reduction = Reduction::none});
  };
  CHECK(slope(of_sigmoid, z) == Numbers{-1, 1, 0, 0});
}

TEST_CASE("soft labels that are one-hot give what class numbers give") {
  const Tensor z = randn({5, 4}, f64), labels = tensor({3, 1, 0, 0, 2}, i64), soft = one_hot(labels, 4, f64);
  for (const double smoothing : {0.0, 0.3, 1.0})
    CHECK(nn::cross_entropy(z, soft, {.label_smoothing = smoothing}).item() ==
          doctest::Approx(nn::cross_entropy(z, labels, {.label_smoothing = smoothing}).item()));
  CHECK(nn::cross_entropy(z, labels, {.label_smoothing = 1}).item() == doctest::Approx(-mean(log_softmax(z)).item()));
}

TEST_CASE("kl_div_loss is 0 between equals, and cross_entropy less the target's entropy else") {
  const Tensor z = randn({2, 3, 4}, f64), t = softmax(randn({2, 3, 4}, f64));
  CHECK(nn::kl_div_loss(log_softmax(z), softmax(z)).item() == doctest::Approx(0).epsilon(1e-12));
  CHECK(nn::kl_div_loss(log_softmax(z), t).item() ==
        doctest::Approx(nn::cross_entropy(z, t).item() + sum(t * log(t)).item() / 6));
  CHECK(nn::kl_div_loss(log_softmax(z), log(t), {.log_target = true}).item() ==
        doctest::Approx(nn::kl_div_loss(log_softmax(z), t).item()));
}

TEST_CASE("the mean of no elements is NaN, their sum 0, and themselves none") {
  const Tensor none = zeros({0, 3}), labels = zeros({0}, i64);
  CHECK(std::isnan(nn::mse_loss(none, none).item()));
  CHECK(nn::mse_loss(none, none, {.reduction = Reduction::sum, .row_weights = zeros({0})}).item() == 0);
  CHECK(std::isnan(nn::cross_entropy(none, labels).item()));
  CHECK(nn::cross_entropy(none, labels, {.reduction = Reduction::none, .class_weights = ones({3})}).shape() ==
        Shape{0});
}

// ---- what is refused ---------------------------------------------------------------------------------------------

TEST_CASE("losses say which option does not fit") {
  const Tensor p = zeros({4, 3}), labels = zeros({4}, i64);
  CHECK_THROWS_WITH_AS(nn::mse_loss(p, p, {.row_weights = ones({3})}),
                       "mse_loss([4, 3], [4, 3]): row_weights must have shape [4], one for each row, not [3]",
                       ShapeError);
  CHECK_THROWS_WITH_AS(nn::l1_loss(zeros({}), zeros({}), {.row_weights = ones({1})}),
                       "l1_loss([], []): row_weights need rows, and the prediction is a single number", ShapeError);
  CHECK_THROWS_WITH_AS(nn::huber_loss(p, p, {.delta = 0}), "huber_loss([4, 3], [4, 3]): delta must be above 0, not 0",
                       UsageError);
  CHECK_THROWS_WITH_AS(nn::smooth_l1_loss(p, p, {.beta = not_a_number}),
                       "smooth_l1_loss([4, 3], [4, 3]): beta must be above 0, not nan", UsageError);
  CHECK_THROWS_WITH_AS(nn::hinge_loss(zeros({2}), zeros({2})),
                       "hinge_loss([2], [2]): target[0] = 0, and it must be -1 or 1\n"
                       "  help: of zeros and ones make 2 * target - 1",
                       UsageError);
  CHECK_THROWS_WITH_AS(
      nn::binary_cross_entropy_with_logits(p, p, {.pos_weight = ones({4})}),
      "binary_cross_entropy_with_logits([4, 3], [4, 3]): pos_weight [4] does not broadcast to the target's "
      "shape",
      ShapeError);
  CHECK_THROWS_WITH_AS(
      nn::binary_cross_entropy_with_logits(zeros({3}), zeros({3}), {.pos_weight = ones({4, 3})}),
      "binary_cross_entropy_with_logits([3], [3]): pos_weight [4, 3] does not broadcast to the target's "
      "shape",
      ShapeError);
  CHECK_THROWS_WITH_AS(nn::cross_entropy(p, labels, {.class_weights = ones({4})}),
                       "cross_entropy([4, 3], [4]): class_weights must have shape [3], one for each class, not [4]",
                       ShapeError);
  CHECK_THROWS_WITH_AS(nn::nll_loss(p, labels, {.class_weights = tensor({1, -1, 0})}),
                       "nll_loss([4, 3], [4]): class_weights[1] = -1, and none may be negative", UsageError);
  CHECK_THROWS_WITH_AS(nn::cross_entropy(p, labels, {.label_smoothing = 1.1}),
                       "cross_entropy([4, 3], [4]): label_smoothing must be in [0, 1], not 1.1", UsageError);
  CHECK_THROWS_WITH_AS(nn::cross_entropy(p, full({4}, -100, i64)),
                       "cross_entropy([4, 3], [4]): all labels are ignore_index, -100, so there is nothing to take the "
                       "mean of",
                       UsageError);
  CHECK_THROWS_WITH_AS(nn::cross_entropy(p, labels, {.class_weights = tensor({0, 1, 1})}),
                       "cross_entropy([4, 3], [4]): the class_weights of all labels are 0, so there is nothing to take "
                       "the mean of",
                       UsageError);
  CHECK_THROWS_WITH_AS(nn::cross_entropy(p, full({4}, -100, i64), {.ignore_index = std::nullopt}),
                       "cross_entropy: target[0] = -100 is outside [0, 3) for logits [4, 3]; labels count from zero",
                       IndexError);
  CHECK_THROWS_WITH_AS(nn::cross_entropy(p, one_hot(labels, 3) * 0.5),
                       "cross_entropy([4, 3], [4, 3]): the probabilities of target[0] add up to 0.5, not 1\n"
                       "  help: where several classes can be right at once, use binary_cross_entropy_with_logits",
                       UsageError);
  CHECK_THROWS_WITH_AS(nn::cross_entropy(p, ones({4, 3}) * 2), "cross_entropy: target[0, 0] = 2 is outside [0, 1]",
                       UsageError);
  CHECK_THROWS_WITH_AS(nn::cross_entropy(p, one_hot(labels, 3), {.ignore_index = 0}),
                       "cross_entropy([4, 3], [4, 3]): ignore_index is for class numbers, and the target has "
                       "probabilities",
                       UsageError);
  CHECK_THROWS_WITH_AS(nn::kl_div_loss(zeros({}), zeros({})),
                       "kl_div_loss([], []): the prediction must be a distribution, [..., classes]", ShapeError);
  CHECK_THROWS_WITH_AS(nn::kl_div_loss(p, ones({4, 3}) * -1), "kl_div_loss: target[0, 0] = -1 is outside [0, 1]",
                       UsageError);
  CHECK_THROWS_WITH_AS(nn::mse_loss(Tensor(), p),
                       "mse_loss: the first operand holds nothing: a Tensor made without a value", UsageError);
  CHECK_THROWS_WITH_AS(nn::nll_loss(p, zeros({3}, i64)),
                       "nll_loss([4, 3], [3]): labels must be whole class numbers of shape [4]", ShapeError);

  Graph graph;
  const Tensor q = softmax(graph.variable(p));
  const Tensor logs = log(q);
  const std::size_t before = graph.size();
  CHECK_THROWS_WITH_AS(nn::nll_loss(q, labels),
                       "nll_loss([4, 3], [4]): the prediction went through softmax, and this loss takes logarithms\n"
                       "  help: use log_softmax in its place",
                       UsageError);
  CHECK_THROWS_AS(nn::kl_div_loss(q, ones({4, 3}) / 3), UsageError);
  CHECK_THROWS_AS(nn::cross_entropy(logs, labels, {.class_weights = tensor({0, 1, 1})}), UsageError);
  CHECK(graph.size() == before);
}
