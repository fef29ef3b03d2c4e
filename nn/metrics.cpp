#include "metrics.h"

#include "../autograd/graph.h"
#include "../autograd/ops.h"
#include "../autograd/require.h"
#include "../autograd/telling.h"
#include "losses.h"

#include <fmt/format.h>

#include <algorithm>
#include <functional>
#include <limits>
#include <numeric>
#include <string>
#include <vector>

namespace ebb::nn {

namespace {

using ebb::detail::asked_of;
using ebb::detail::Complaint;
using ebb::detail::place_text;
using ebb::detail::require;

/// Runs what may refuse.  A number for people is no part of the graph.
template <class Body> auto metric(const char* name, const Tensor& prediction, const Tensor& target, Body&& body) {
  const Pause pause;
  return asked_of(name, {&prediction, &target}, [&] {
    require(prediction.size() > 0, Complaint::usage, "there are no rows");
    return body();
  });
}

bool are_yes_or_no(const Shape& p, const Shape& t) { return p == t && (p.rank() == 1 || (p.rank() == 2 && p[1] == 1)); }

/// Predictions and their class numbers.
struct Rows {
  Tensor prediction, target;
};

/// The rows that count: all in their own shapes, or [n, classes] and [n].
/// Throws for a target that is not of the classes of predictions [..., classes].
Rows counted(const Tensor& prediction, const Tensor& target, const char* wanted) {
  const Shape &p = prediction.shape(), &t = target.shape();
  if (p.rank() < 2 || p[-1] == 1 || t != p.without(-1)) {
    std::string help;
    if (p == t && p.rank() >= 2) help = fmt::format("for one-hot rows use argmax(target, {})", p.rank() - 1);
    else if (p.size() == t.size()) help = fmt::format("reshape(target, {{{}}})", fmt::join(p, ", "));
    throw Complaint{Complaint::shape, wanted, std::move(help)};
  }
  if (target.dtype() != i64)
    throw Complaint{Complaint::dtype, fmt::format("class numbers must be i64, not {}", to_string(target.dtype())),
                    "target.to(i64)"};
  const Elements<std::int64_t> labels = target.data<std::int64_t>();
  std::vector<std::int64_t> kept;
  for (std::int64_t i = 0; i < target.size(); ++i) {
    if (labels[i] == ignored_label) continue;
    require(labels[i] >= 0 && labels[i] < p[-1], Complaint::index, "target{} = {} is outside [0, {})", place_text(t, i),
            labels[i], p[-1]);
    kept.push_back(i);
  }
  const auto count = static_cast<std::int64_t>(kept.size());
  if (count == target.size()) return {prediction, target};
  require(count > 0, Complaint::usage, "all labels are {}, which does not count, so there are no rows", ignored_label);
  const Tensor places = from(kept, {count});
  return {take(reshape(prediction, {-1, p[-1]}), places), take(reshape(target, {-1}), places)};
}

constexpr const char* either = "wants [n] or [n, 1] of one shape, or [n, classes] and class numbers [n]";

/// Throws for a target outside [0, 1].
void require_yes_or_no(const Tensor& target) {
  const std::vector<double> numbers = target.to_vector<double>();
  const auto wrong = std::find_if(numbers.begin(), numbers.end(), [](double v) { return !(v >= 0 && v <= 1); });
  if (wrong == numbers.end()) return;
  const std::string place = place_text(target.shape(), wrong - numbers.begin());
  throw Complaint{Complaint::usage, fmt::format("target{} = {} is outside [0, 1]", place, *wrong),
                  "of several classes the prediction has a number for each, [n, classes]"};
}

/// 1 for yes, 0 for no.
std::vector<std::int64_t> yes(const Tensor& answers) { return (answers >= 0.5).to_vector<std::int64_t>(); }

/// What was predicted and what is, row by row.
struct Decisions {
  std::vector<std::int64_t> predicted, actual;
  std::int64_t classes;
};

Decisions decide(const Tensor& prediction, const Tensor& target) {
  if (are_yes_or_no(prediction.shape(), target.shape())) {
    require_yes_or_no(target);
    return {yes(prediction), yes(target), 2};
  }
  const Rows rows = counted(prediction, target, either);
  return {argmax(rows.prediction, -1).to_vector<std::int64_t>(), rows.target.to_vector<std::int64_t>(),
          prediction.shape()[-1]};
}

/// How often a class was right, was predicted, and is.
struct Counts {
  double right = 0, predicted = 0, actual = 0;
};

/// The average over classes of what a class's counts give; of yes and no, what those of yes give.
template <class Of>
double score(const char* name, const Tensor& prediction, const Tensor& target, Average average, Of&& of) {
  return metric(name, prediction, target, [&] {
    const Decisions rows = decide(prediction, target);
    std::vector<Counts> counts(static_cast<std::size_t>(rows.classes));
    for (std::size_t i = 0; i < rows.actual.size(); ++i) {
      Counts& is = counts[static_cast<std::size_t>(rows.actual[i])];
      is.actual += 1;
      is.right += rows.actual[i] == rows.predicted[i] ? 1 : 0;
      counts[static_cast<std::size_t>(rows.predicted[i])].predicted += 1;
    }
    if (are_yes_or_no(prediction.shape(), target.shape())) return of(counts[1]);
    if (average == Average::micro) {
      Counts all;
      for (const Counts& c : counts) all = {all.right + c.right, all.predicted + c.predicted, all.actual + c.actual};
      return of(all);
    }
    double total = 0, weights = 0;
    for (const Counts& c : counts) {
      if (c.actual + c.predicted == 0) continue;
      const double weight = average == Average::macro ? 1 : c.actual;
      total += weight * of(c);
      weights += weight;
    }
    return total / weights;
  });
}

double ratio(double a, double b) { return b > 0 ? a / b : 0; }

void require_one_shape(const Tensor& prediction, const Tensor& target) {
  if (prediction.shape() == target.shape()) return;
  std::string help;
  if (prediction.size() == target.size())
    help = fmt::format("reshape(target, {{{}}})", fmt::join(prediction.shape(), ", "));
  throw Complaint{Complaint::shape, "prediction and target must have the same shape", std::move(help)};
}

Tensor distance(const Tensor& prediction, const Tensor& target) {
  require_one_shape(prediction, target);
  return prediction.to(f64) - target.to(f64);
}

}  // namespace

double accuracy(const Tensor& prediction, const Tensor& target) {
  return metric("accuracy", prediction, target, [&] {
    const Decisions rows = decide(prediction, target);
    const auto right = std::transform_reduce(rows.predicted.begin(), rows.predicted.end(), rows.actual.begin(),
                                             std::int64_t{0}, std::plus<>(), std::equal_to<>());
    return static_cast<double>(right) / static_cast<double>(rows.actual.size());
  });
}

double top_k_accuracy(const Tensor& prediction, const Tensor& target, std::int64_t k) {
  return metric("top_k_accuracy", prediction, target, [&] {
    const auto [scores, classes_of] = counted(prediction, target, "wants [n, classes] and class numbers [n]");
    const std::int64_t classes = prediction.shape()[-1], rows = classes_of.size();
    require(k >= 1 && k <= classes, Complaint::usage, "k must be in [1, {}], not {}", classes, k);
    const std::vector<double> numbers = scores.to_vector<double>();
    const std::vector<std::int64_t> labels = classes_of.to_vector<std::int64_t>();
    std::int64_t right = 0;
    for (std::int64_t r = 0; r < rows; ++r) {
      const double* const row = numbers.data() + r * classes;
      const std::int64_t label = labels[static_cast<std::size_t>(r)];
      std::int64_t before = 0;  // with NaN before all numbers, as argmax has it
      for (std::int64_t c = 0; c < classes; ++c)
        before += c < label ? !(row[c] < row[label]) : c > label && !(row[c] <= row[label]);
      right += before < k;
    }
    return static_cast<double>(right) / static_cast<double>(rows);
  });
}

Tensor confusion_matrix(const Tensor& prediction, const Tensor& target) {
  return metric("confusion_matrix", prediction, target, [&] {
    const Decisions rows = decide(prediction, target);
    std::vector<std::int64_t> cell = rows.actual;
    for (std::size_t i = 0; i < cell.size(); ++i) cell[i] = cell[i] * rows.classes + rows.predicted[i];
    const Shape cells{static_cast<std::int64_t>(cell.size())};
    return reshape(scatter_add(zeros({rows.classes * rows.classes}, i64), from(cell, cells), full(cells, 1, i64), 0),
                   {rows.classes, rows.classes});
  });
}

double precision(const Tensor& prediction, const Tensor& target, Average average) {
  return score("precision", prediction, target, average, [](const Counts& c) { return ratio(c.right, c.predicted); });
}
double precision(const Tensor& prediction, const Tensor& target) {
  return precision(prediction, target, Average::macro);
}

double recall(const Tensor& prediction, const Tensor& target, Average average) {
  return score("recall", prediction, target, average, [](const Counts& c) { return ratio(c.right, c.actual); });
}
double recall(const Tensor& prediction, const Tensor& target) { return recall(prediction, target, Average::macro); }

double f1(const Tensor& prediction, const Tensor& target, Average average) {
  return score("f1", prediction, target, average,
               [](const Counts& c) { return ratio(2 * c.right, c.predicted + c.actual); });
}
double f1(const Tensor& prediction, const Tensor& target) { return f1(prediction, target, Average::macro); }

double roc_auc(const Tensor& prediction, const Tensor& target) {
  return metric("roc_auc", prediction, target, [&] {
    require(are_yes_or_no(prediction.shape(), target.shape()), "wants [n] or [n, 1] of one shape");
    require_yes_or_no(target);
    const std::vector<std::int64_t> is_yes = yes(target);
    const std::vector<double> score = prediction.to_vector<double>();
    const std::size_t n = score.size();
    const double positive = static_cast<double>(std::accumulate(is_yes.begin(), is_yes.end(), std::int64_t{0}));
    const double negative = static_cast<double>(n) - positive;
    if (positive == 0 || negative == 0 || std::any_of(score.begin(), score.end(), [](double s) { return s != s; }))
      return std::numeric_limits<double>::quiet_NaN();

    std::vector<std::size_t> order(n);
    std::iota(order.begin(), order.end(), std::size_t{0});
    std::sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) { return score[a] < score[b]; });
    double won = 0, beaten = 0;  // pairs that a yes won; noes below the present score
    for (std::size_t i = 0; i < n;) {
      double yes_here = 0, no_here = 0;
      for (const double here = score[order[i]]; i < n && score[order[i]] == here; ++i)
        (is_yes[order[i]] != 0 ? yes_here : no_here) += 1;
      won += yes_here * (beaten + no_here / 2);
      beaten += no_here;
    }
    return won / (positive * negative);
  });
}

double mae(const Tensor& prediction, const Tensor& target) {
  return metric("mae", prediction, target, [&] { return mean(abs(distance(prediction, target))).item(); });
}

double mse(const Tensor& prediction, const Tensor& target) {
  return metric("mse", prediction, target, [&] { return mean(square(distance(prediction, target))).item(); });
}

double r2(const Tensor& prediction, const Tensor& target) {
  return metric("r2", prediction, target, [&] {
    require(prediction.rank() > 0, "wants rows, and the prediction is a single number");
    const Tensor left = sum(square(distance(prediction, target)), 0), t = target.to(f64);
    const Tensor whole = sum(square(t - mean(t, 0, true)), 0);
    return mean(where(whole > 0, 1.0 - left / where(whole > 0, whole, 1.0), (left == 0).to(f64))).item();
  });
}

const KnownMetric* known_metric(double (*function)(const Tensor&, const Tensor&)) {
  static constexpr KnownMetric known[] = {{"accuracy", accuracy, true, true}, {"precision", precision, false, true},
                                          {"recall", recall, false, true},    {"f1", f1, false, true},
                                          {"roc_auc", roc_auc, false, false}, {"mae", mae, true, false},
                                          {"mse", mse, true, false},          {"r2", r2, false, false}};
  const auto* const found =
      std::find_if(std::begin(known), std::end(known), [&](const KnownMetric& k) { return k.function == function; });
  return found == std::end(known) ? nullptr : found;
}

}  // namespace ebb::nn
