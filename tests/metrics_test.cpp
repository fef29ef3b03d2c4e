#include <doctest/doctest.h>
#include <ebb/nn/nn.h>

#include <cmath>
#include <limits>
#include <string>
#include <vector>

using namespace ebb;

TEST_CASE("accuracy counts rows that are right") {
  CHECK(nn::accuracy(tensor({{0.9}, {0.2}, {0.5}, {0.1}}), tensor({{1}, {0}, {1}, {1}})) == 0.75);
  CHECK(nn::accuracy(tensor({0.9, 0.2}), tensor({1, 0}, i64)) == 1);
  CHECK(nn::accuracy(tensor({{1, 2, 0}, {5, 1, 1}}), tensor({1, 2}, i64)) == 0.5);
  CHECK_THROWS_WITH_AS(
      nn::accuracy(zeros({4, 1}), zeros({4})),
      "accuracy([4, 1], [4]): wants [n] or [n, 1] of one shape, or [n, classes] and class numbers [n]\n"
      "  help: reshape(target, {4, 1})",
      ShapeError);
  CHECK_THROWS_WITH_AS(nn::accuracy(zeros({4, 3}), zeros({4, 3})),
                       "accuracy([4, 3], [4, 3]): wants [n] or [n, 1] of one shape, or [n, classes] and class numbers "
                       "[n]\n  help: for one-hot rows use argmax(target, 1)",
                       ShapeError);
  CHECK_THROWS_AS(nn::accuracy(zeros({4, 3}), zeros({4})), DTypeError);
  CHECK_THROWS_WITH_AS(nn::accuracy(zeros({0, 1}), zeros({0, 1})), "accuracy([0, 1], [0, 1]): there are no rows",
                       UsageError);
}

TEST_CASE("accuracy of sequences counts each step") {
  const Tensor z = tensor({{{1, 0}, {0, 1}, {3, 2}}, {{0, 1}, {0, 1}, {1, 0}}});
  CHECK(nn::accuracy(z, tensor({{0, 1, 1}, {1, 0, 0}}, i64)) == doctest::Approx(4.0 / 6));
}

TEST_CASE("rows that cross_entropy ignores do not count in metrics of classes") {
  const Tensor z = tensor({{1, 2, 0}, {5, 1, 1}, {0, 3, 1}, {4, 3, 1}}), labels = tensor({1, -100, 2, 1}, i64);
  const Tensor without = take(z, tensor({0, 2, 3}, i64)), counted = tensor({1, 2, 1}, i64);
  CHECK(nn::accuracy(z, labels) == doctest::Approx(1.0 / 3));
  CHECK(nn::accuracy(reshape(z, {2, 2, 3}), reshape(labels, {2, 2})) == doctest::Approx(1.0 / 3));
  CHECK(nn::top_k_accuracy(z, labels, 2) == 1);
  CHECK(nn::confusion_matrix(z, labels).to_vector<std::int64_t>() ==
        std::vector<std::int64_t>{0, 0, 0, 1, 1, 0, 0, 1, 0});
  CHECK(nn::f1(z, labels) == nn::f1(without, counted));
  CHECK_THROWS_WITH_AS(nn::accuracy(z, full({4}, -100, i64)),
                       "accuracy([4, 3], [4]): all labels are -100, which does not count, so there are no rows",
                       UsageError);
  CHECK_THROWS_WITH_AS(nn::accuracy(z, tensor({1, -100, -1, 0}, i64)),
                       "accuracy([4, 3], [4]): target[2] = -1 is outside [0, 3)", IndexError);
}

TEST_CASE("a row is right in the top k if fewer than k come before its class") {
  const Tensor z = tensor({{4, 3, 2, 1}, {1, 2, 3, 4}, {5, 5, 5, 5}}), labels = tensor({1, 1, 2}, i64);
  CHECK(nn::top_k_accuracy(z, labels, 1) == 0);
  CHECK(nn::top_k_accuracy(z, labels, 2) == doctest::Approx(1.0 / 3));
  CHECK(nn::top_k_accuracy(z, labels, 3) == 1);
  CHECK(nn::top_k_accuracy(z, labels, 4) == 1);
  const Tensor many = randn({50, 7}), all = randint(0, 7, {50});
  CHECK(nn::top_k_accuracy(many, all, 1) == nn::accuracy(many, all));
  CHECK(nn::top_k_accuracy(many, all) > nn::accuracy(many, all));
}

TEST_CASE("the confusion matrix has the truth in its rows") {
  const Tensor z = one_hot(tensor({0, 1, 2, 2, 0, 2}, i64), 3), labels = tensor({0, 1, 2, 1, 0, 0}, i64);
  const Tensor m = nn::confusion_matrix(z, labels);
  CHECK(m.shape() == Shape{3, 3});
  CHECK(m.to_vector<std::int64_t>() == std::vector<std::int64_t>{2, 0, 1, 0, 1, 1, 0, 0, 1});
  CHECK(nn::confusion_matrix(tensor({0.9, 0.1, 0.6, 0.5}), tensor({1, 1, 0, 1})).to_vector<std::int64_t>() ==
        std::vector<std::int64_t>{0, 1, 1, 2});
}

TEST_CASE("precision, recall and F1 of yes and no") {
  // 2 right of 3 that were predicted, of 4 that are.
  const Tensor p = tensor({0.9, 0.8, 0.7, 0.2, 0.1, 0.3}), y = tensor({1, 1, 0, 1, 1, 0});
  CHECK(nn::precision(p, y) == doctest::Approx(2.0 / 3));
  CHECK(nn::recall(p, y) == 0.5);
  CHECK(nn::f1(p, y) == doctest::Approx(4.0 / 7));
  CHECK(nn::recall(p >= 0.15, y) == 0.75);
  CHECK(nn::precision(zeros({6}), y) == 0);
  CHECK(nn::recall(p, zeros({6})) == 0);
  CHECK(nn::f1(zeros({6}), zeros({6})) == 0);
}

TEST_CASE("precision, recall and F1 of classes are averaged as asked, over those that occur") {
  // Class:      0    1    2   (3 never occurs)
  // right       2    1    1
  // predicted   2    1    3
  // actual      3    2    1
  const Tensor z = one_hot(tensor({0, 1, 2, 2, 0, 2}, i64), 4), labels = tensor({0, 1, 2, 1, 0, 0}, i64);
  CHECK(nn::precision(z, labels) == doctest::Approx((1 + 1 + 1.0 / 3) / 3));
  CHECK(nn::recall(z, labels) == doctest::Approx((2.0 / 3 + 1.0 / 2 + 1) / 3));
  CHECK(nn::f1(z, labels) == doctest::Approx((4.0 / 5 + 2.0 / 3 + 2.0 / 4) / 3));
  CHECK(nn::precision(z, labels, nn::Average::weighted) == doctest::Approx((3 * 1 + 2 * 1 + 1.0 / 3) / 6));
  CHECK(nn::f1(z, labels, nn::Average::weighted) == doctest::Approx((3 * 4.0 / 5 + 2 * 2.0 / 3 + 2.0 / 4) / 6));
  CHECK(nn::recall(z, labels, nn::Average::weighted) == doctest::Approx(4.0 / 6));
  using Score = double (*)(const Tensor&, const Tensor&, nn::Average);
  for (const Score score : {Score(nn::precision), Score(nn::recall), Score(nn::f1)})
    CHECK(score(z, labels, nn::Average::micro) == doctest::Approx(nn::accuracy(z, labels)));
}

TEST_CASE("ROC AUC is the share of pairs in which the yes is larger, ties counting half") {
  const Tensor p = tensor({0.1, 0.4, 0.35, 0.8, 0.4, 0.4}), y = tensor({0, 0, 1, 1, 1, 0});
  double won = 0;
  for (int i = 0; i < 6; ++i)
    for (int j = 0; j < 6; ++j)
      if (y(i).value() == 1 && y(j).value() == 0)
        won += p(i).value() > p(j).value() ? 1 : p(i).value() == p(j).value() ? 0.5 : 0;
  CHECK(nn::roc_auc(p, y) == doctest::Approx(won / 9));
  CHECK(nn::roc_auc(p * 10 - 3, y) == nn::roc_auc(p, y));
  CHECK(nn::roc_auc(-p, y) == doctest::Approx(1 - won / 9));
  CHECK(nn::roc_auc(zeros({4, 1}), tensor({{0}, {1}, {1}, {1}})) == 0.5);
  CHECK(nn::roc_auc(y, y) == 1);
  CHECK(std::isnan(nn::roc_auc(p, ones({6}))));
  CHECK(std::isnan(nn::roc_auc(full({6}, std::numeric_limits<double>::quiet_NaN()), y)));
}

TEST_CASE("MAE, MSE and R² are their formulas") {
  const Tensor p = tensor({{1, 2}, {3, 2}, {5, 2}}), y = tensor({{1, 2}, {2, 3}, {6, 4}});
  CHECK(nn::mae(p, y) == doctest::Approx(5.0 / 6));
  CHECK(nn::mse(p, y) == doctest::Approx(7.0 / 6));
  CHECK(nn::r2(p, y) == doctest::Approx(((1 - 2.0 / 14) + (1 - 5.0 / 2)) / 2));
  CHECK(nn::r2(y, y) == 1);
  CHECK(nn::r2(full({4}, 2.5), tensor({1, 2, 3, 4})) == 0);
  CHECK(nn::r2(tensor({2, 2}), tensor({2, 2}, i64)) == 1);
  CHECK(nn::r2(tensor({2, 3}), tensor({2, 2})) == 0);
  const Tensor large = tensor({16777217, 16777219}, f64);
  CHECK(nn::mae(large, tensor({16777216, 16777216})) == 2);
}

TEST_CASE("means over rows can be put together from batches, and the others are said not to be") {
  const Tensor p = rand({10, 1}), y = randint(0, 2, {10, 1}).to(f32);
  for (const auto metric : {nn::accuracy, nn::mae, nn::mse}) {
    REQUIRE(nn::known_metric(metric) != nullptr);
    CHECK(nn::known_metric(metric)->mean_over_rows);
    const double parts = 7 * metric(slice(p, 0, 7), slice(y, 0, 7)) + 3 * metric(slice(p, 7, 10), slice(y, 7, 10));
    CHECK(metric(p, y) == doctest::Approx(parts / 10));
  }
  CHECK(nn::known_metric(nn::f1)->name == std::string("f1"));
  CHECK_FALSE(nn::known_metric(nn::f1)->mean_over_rows);
  CHECK_FALSE(nn::known_metric(nn::roc_auc)->mean_over_rows);
  CHECK_FALSE(nn::known_metric(nn::r2)->mean_over_rows);
  CHECK(nn::known_metric([](const Tensor&, const Tensor&) { return 0.0; }) == nullptr);
}

TEST_CASE("yes and no are told at 0.5, so logits go through sigmoid first") {
  const Tensor z = tensor({{-3}, {0.2}, {4}, {0.7}}), y = tensor({{0}, {1}, {1}, {0}});
  CHECK(nn::accuracy(z, y) == 0.5);
  CHECK(nn::accuracy(sigmoid(z), y) == 0.75);
  CHECK(nn::accuracy(tensor({NAN, 1}), tensor({1, 1})) == 0.5);
  CHECK(nn::accuracy(tensor({1.02, -0.01}), tensor({1, 0})) == 1);  // what a linear output gives
}

TEST_CASE("metrics leave the graph that records as it is") {
  Graph graph;
  const Tensor p = graph.variable(tensor({0.2, 0.9})), y = tensor({0, 1});
  for (const auto metric : {nn::accuracy, nn::mae, nn::mse, nn::roc_auc, nn::r2}) metric(p, y);
  nn::f1(p, y);
  nn::confusion_matrix(p, y);
  CHECK(graph.size() == 1);
}

TEST_CASE("metrics say what they cannot measure") {
  const Tensor z = zeros({4, 3});
  CHECK_THROWS_WITH_AS(nn::precision(z, tensor({0, 1, 2, 3}, i64)),
                       "precision([4, 3], [4]): target[3] = 3 is outside [0, 3)", IndexError);
  CHECK_THROWS_WITH_AS(nn::accuracy(z, tensor({0, -1, 2, 2}, i64)),
                       "accuracy([4, 3], [4]): target[1] = -1 is outside [0, 3)", IndexError);
  CHECK_THROWS_WITH_AS(nn::f1(tensor({0, 2, 1}, i64), tensor({0, 2, 1}, i64)),
                       "f1([3], [3]): target[1] = 2 is outside [0, 1]\n"
                       "  help: of several classes the prediction has a number for each, [n, classes]",
                       UsageError);
  CHECK_THROWS_WITH_AS(nn::recall(z, zeros({4})),
                       "recall(f32 [4, 3], f32 [4]): class numbers must be i64, not f32\n  help: target.to(i64)",
                       DTypeError);
  CHECK_THROWS_WITH_AS(nn::confusion_matrix(z, zeros({3}, i64)),
                       "confusion_matrix([4, 3], [3]): wants [n] or [n, 1] of one shape, or [n, classes] and class "
                       "numbers [n]",
                       ShapeError);
  CHECK_THROWS_WITH_AS(nn::top_k_accuracy(z, zeros({4}, i64), 4),
                       "top_k_accuracy([4, 3], [4]): k must be in [1, 3], not 4", UsageError);
  CHECK_THROWS_WITH_AS(
      nn::top_k_accuracy(zeros({4}), zeros({4}, i64)),
      "top_k_accuracy([4], [4]): wants [n, classes] and class numbers [n]\n  help: reshape(target, {4})", ShapeError);
  CHECK_THROWS_WITH_AS(nn::roc_auc(z, zeros({4}, i64)), "roc_auc([4, 3], [4]): wants [n] or [n, 1] of one shape",
                       ShapeError);
  CHECK_THROWS_WITH_AS(
      nn::mae(zeros({4, 1}), zeros({4})),
      "mae([4, 1], [4]): prediction and target must have the same shape\n  help: reshape(target, {4, 1})", ShapeError);
  CHECK_THROWS_WITH_AS(nn::r2(zeros({}), zeros({})), "r2([], []): wants rows, and the prediction is a single number",
                       ShapeError);
  CHECK_THROWS_WITH_AS(nn::mse(zeros({0}), zeros({0})), "mse([0], [0]): there are no rows", UsageError);
  CHECK_THROWS_WITH_AS(nn::mse(zeros({2}), Tensor()),
                       "mse: the second operand holds nothing: a Tensor made without a value", UsageError);
}
