#include "losses.h"

#include "../autograd/error.h"
#include "../autograd/graph.h"
#include "../autograd/op.h"
#include "../autograd/ops.h"
#include "../autograd/require.h"
#include "../autograd/telling.h"

#include <fmt/format.h>

#include <cmath>
#include <limits>
#include <string>
#include <vector>

namespace ebb::nn {

namespace {

using ebb::detail::asked_of;
using ebb::detail::Complaint;
using ebb::detail::decided;
using ebb::detail::launch;
using ebb::detail::read;
using ebb::detail::require;

// ---- what is refused -----------------------------------------------------------------------------------------------

/// "64 x 64", or "" for shapes that do not broadcast.
std::string pairs(const Shape& a, const Shape& b) {
  try {
    const Shape both = broadcast(a, b);
    return fmt::format("{}", fmt::join(both, " x "));
  } catch (const ShapeError&) {
    return "";
  }
}

void require_same_shape(const Tensor& prediction, const Tensor& target) {
  const Shape &p = prediction.shape(), &t = target.shape();
  if (p == t) return;
  const std::string would = pairs(p, t);
  std::string reason = "prediction and target must have the same shape";
  if (!would.empty()) reason += fmt::format(" (losses never broadcast: this would average {} pairs)", would);
  std::string help;
  if (p.size() == t.size()) help = fmt::format("reshape(target, {{{}}})", fmt::join(p, ", "));
  throw Complaint{Complaint::shape, std::move(reason), std::move(help)};
}

/// "[3, 0]": where an element lies in its tensor; "" for a single number.
std::string position(std::int64_t i, const Shape& shape) {
  return shape.rank() == 0 ? "" : ebb::detail::place_text(shape, i);
}

/// Throws UsageError for the first element outside [0, 1].  A prediction that is not a number is the training's matter,
/// a target that is not is an error.
void require_unit(const char* loss, const char* what, const Tensor& t, bool nan_passes) {
  ebb::detail::dispatch(t.dtype(), [&]<class T>(T) {
    const auto check = [loss, what, nan_passes](const T* values, const Shape& shape) {
      for (std::int64_t i = 0; i < shape.size(); ++i) {
        const T v = values[i];
        if (v >= T(0) && v <= T(1)) continue;
        if (nan_passes && v != v) continue;
        throw UsageError(fmt::format("{}: {}{} = {} is outside [0, 1]{}", loss, what, position(i, shape), v,
                                     ebb::detail::where_in_model()));
      }
    };
    launch(check, read<T>(t), t.shape());
  });
}

bool broadcasts_to(const Shape& from, const Shape& to) {
  if (from.rank() > to.rank()) return false;
  for (int axis = -from.rank(); axis < 0; ++axis)
    if (from[axis] != 1 && from[axis] != to[axis]) return false;
  return true;
}

void require_row_weights(const Tensor& weights, const Shape& of) {
  if (!weights.defined()) return;
  require(of.rank() > 0, "row_weights need rows, and the prediction is a single number");
  require(weights.shape() == Shape{of[0]}, "row_weights must have shape [{}], one for each row, not {}", of[0],
          to_string(weights.shape()));
}

void require_class_weights(const Tensor& weights, std::int64_t classes) {
  if (!weights.defined()) return;
  require(weights.shape() == Shape{classes}, "class_weights must have shape [{}], one for each class, not {}", classes,
          to_string(weights.shape()));
  const std::vector<double> numbers = weights.to_vector<double>();
  for (std::size_t c = 0; c < numbers.size(); ++c)
    require(numbers[c] >= 0, Complaint::usage, "class_weights[{}] = {}, and none may be negative", c, numbers[c]);
}

// ---- what losses are made of ---------------------------------------------------------------------------------------

/// weight · x, which is 0 where the weight is, even of an infinite x.
Tensor weighed(const Tensor& weight, const Tensor& x) {
  const Tensor drop = (weight == 0) && (abs(x) == std::numeric_limits<double>::infinity());
  return weight * where(drop, 0.0, x);
}

/// The weights as factors of losses whose first axis is theirs.
Tensor by_row(const Tensor& weights, const Tensor& losses) {
  std::vector<std::int64_t> shape(static_cast<std::size_t>(losses.rank()), 1);
  shape[0] = weights.size();
  return reshape(weights.to(losses.dtype()), Shape(shape));
}

/// The losses of the elements, weighed by row, and made one number; the mean divides by `count`.
template <class Options, class Count> Tensor reduced(Tensor losses, const Options& options, const Count& count) {
  if (losses.dtype() == i64) losses = losses.to(f32);
  if (options.row_weights.defined()) losses = losses * by_row(options.row_weights, losses);
  if (options.reduction == Reduction::none) return losses;
  return options.reduction == Reduction::sum ? sum(losses) : sum(losses) / count;
}

/// Whether nothing but the mean is wanted.
template <class Options> bool plain(const Options& options) {
  return options.reduction == Reduction::mean && !options.row_weights.defined();
}

/// The same, where the mean divides by the number of elements.
template <class Options> Tensor reduced(const Tensor& losses, const Options& options) {
  return plain(options) ? mean(losses) : reduced(losses, options, static_cast<double>(losses.size()));
}

/// A loss that is computed element by element.
template <class Options, class Of>
Tensor by_element(const char* name, const Tensor& prediction, const Tensor& target, const Options& options, Of&& of) {
  return asked_of(name, {&prediction, &target}, [&] {
    require_same_shape(prediction, target);
    require_row_weights(options.row_weights, prediction.shape());
    return of();
  });
}

/// d²/(2·delta) for a distance up to delta, d - delta/2 beyond.
Tensor rounded_distance(const Tensor& prediction, const Tensor& target, double delta) {
  const Tensor difference = prediction - target, distance = abs(difference);
  return where(distance < delta, square(difference) * (0.5 / delta), distance - 0.5 * delta);
}

/// log p, ended at -100 below 1e-12, where its slope stays 1e12: finite, and never flat where the loss is largest.
Tensor bounded_log(const Tensor& p) {
  constexpr double low = 1e-12;
  const Tensor inside = p >= low;
  const Tensor beyond = detach(maximum(log(p), -100.0)) + (p - detach(p)) * (1 / low);
  return where(inside, log(where(inside, p, 1.0)), beyond);
}

DType floating(DType type) { return type == i64 ? f32 : type; }

/// Binary cross-entropy of logits: fused if nothing but its plain mean is wanted.
template <class Options>
Tensor of_logits(const Tensor& z, const Tensor& y, const Options& options, const Tensor& pos_weight = {}) {
  if (plain(options) && !pos_weight.defined()) return bce_with_logits(z, y);
  const Tensor yes = pos_weight.defined() ? y * pos_weight.to(floating(z.dtype())) : y;
  return reduced(weighed(yes, softplus(-z)) + weighed(1.0 - y, softplus(z)), options);
}

// ---- losses by class -----------------------------------------------------------------------------------------------

/// "permute(logits, {0, 2, 3, 1})": classes from axis 1, where PyTorch has them, to the last.
std::string classes_last(const char* called, int rank) {
  std::string order = "0";
  for (int axis = 2; axis < rank; ++axis) order += fmt::format(", {}", axis);
  return fmt::format("permute({}, {{{}, 1}})", called, order);
}

/// Throws for labels that do not fit the predictions z [..., classes]; `called` is what messages call these.
void require_labels(const Tensor& z, const Tensor& labels, const char* called) {
  const Shape &p = z.shape(), &y = labels.shape();
  if (const Shape wanted = p.without(-1); y != wanted) {
    std::string help;
    if (y == p) help = fmt::format("for one-hot rows use argmax(labels, {})", p.rank() - 1);
    else if (y == p.without(1)) help = "classes lie on the last axis: " + classes_last(called, p.rank());
    else if (y.size() == wanted.size()) help = fmt::format("reshape(labels, {{{}}})", fmt::join(wanted, ", "));
    throw Complaint{Complaint::shape, fmt::format("labels must be whole class numbers of shape {}", to_string(wanted)),
                    std::move(help)};
  }
  if (labels.dtype() != i64)
    throw Complaint{Complaint::dtype,
                    fmt::format("labels must be whole class numbers, i64, not {}", to_string(labels.dtype())),
                    "labels.to(i64)"};
}

/// The positions of the labels that are not to be ignored; undefined if that is all of them.
/// Throws IndexError for a label that is no class.
Tensor counted(const char* name, const Tensor& z, const Tensor& labels, std::optional<std::int64_t> ignore_index) {
  const std::int64_t classes = z.shape()[-1];
  const auto none_ignored = [name, classes, ignore_index, logits = z.shape()](const std::int64_t* numbers,
                                                                              const Shape& shape) {
    bool none = true;
    for (std::int64_t i = 0; i < shape.size(); ++i) {
      if (numbers[i] == ignore_index) none = false;
      else if (numbers[i] < 0 || numbers[i] >= classes)
        throw IndexError(fmt::format("{}: target{} = {} is outside [0, {}) for logits {}; labels count from zero{}",
                                     name, position(i, shape), numbers[i], classes, to_string(logits),
                                     ebb::detail::where_in_model()));
    }
    return none;
  };
  if (decided(none_ignored, read<std::int64_t>(labels), labels.shape())) return {};
  const Elements<std::int64_t> numbers = labels.data<std::int64_t>();
  std::vector<std::int64_t> kept;
  for (std::int64_t i = 0; i < labels.size(); ++i)
    if (numbers[i] != ignore_index) kept.push_back(i);
  return from(kept, {static_cast<std::int64_t>(kept.size())});
}

/// How the rows' losses come from predictions and class numbers.
struct ByClass {
  bool logits;  ///< else logarithms of probabilities
  double label_smoothing;
};

/// cross_entropy and nll_loss of class numbers.
template <class Options>
Tensor of_labels(const char* name, const Tensor& z, const Tensor& labels, const Options& options, ByClass how) {
  const std::int64_t classes = z.shape()[-1], n = labels.size();
  const Tensor kept = counted(name, z, labels, options.ignore_index);
  Tensor rows = z.rank() == 2 ? z : reshape(z, {n, classes}), y = z.rank() == 2 ? labels : reshape(labels, {n});
  if (kept.defined()) {
    rows = take(rows, kept);
    y = take(y, kept);
    require(options.reduction != Reduction::mean || y.size() > 0, Complaint::usage,
            "all labels are ignore_index, {}, so there is nothing to take the mean of", *options.ignore_index);
  }
  const bool weights = options.class_weights.defined();
  if (how.logits && plain(options) && !weights && how.label_smoothing == 0) return softmax_cross_entropy(rows, y);

  const Tensor log_p = how.logits ? log_softmax(rows) : rows;
  const Tensor w = weights ? options.class_weights.to(floating(log_p.dtype())) : Tensor();
  const Tensor own = weights ? take(w, y) : Tensor();
  Tensor losses = -squeeze(gather(log_p, unsqueeze(y, 1)), 1);
  if (weights) losses = weighed(own, losses);
  if (how.label_smoothing > 0) {
    const Tensor all = -sum(weights ? weighed(w, log_p) : log_p, 1);
    losses = losses * (1 - how.label_smoothing) + all * (how.label_smoothing / static_cast<double>(classes));
  }
  if (kept.defined()) losses = scatter_add(zeros({n}, losses.dtype()), kept, losses, 0);
  losses = reshape(losses, labels.shape());
  if (!weights) return reduced(losses, options, static_cast<double>(y.size()));
  const Tensor total = sum(own);
  const auto check = []<class T>(const T* weight) {
    require(*weight > T(0), Complaint::usage,
            "the class_weights of all labels are 0, so there is nothing to take the mean of");
  };
  if (options.reduction == Reduction::mean && n > 0)
    ebb::detail::dispatch(total.dtype(), [&]<class T>(T) { launch(check, read<T>(total)); });
  return reduced(losses, options, total);
}

/// Throws UsageError if a row of probabilities does not add up to 1, give or take 2 %: they were rounded, or never were
/// probabilities.
void require_distributions(const Tensor& target) {
  const auto check = []<class T>(const T* t, const Shape& shape) {
    const std::int64_t classes = shape[-1];
    for (std::int64_t row = 0; row + classes <= shape.size() && classes > 0; row += classes) {
      double total = 0;
      for (std::int64_t c = 0; c < classes; ++c) total += static_cast<double>(t[row + c]);
      if (std::abs(total - 1) <= 0.02) continue;
      throw Complaint{Complaint::usage,
                      fmt::format("the probabilities of target{} add up to {:.6g}, not 1",
                                  position(row / classes, shape.without(-1)), total),
                      "where several classes can be right at once, use binary_cross_entropy_with_logits"};
    }
  };
  ebb::detail::dispatch(target.dtype(), [&]<class T>(T) { launch(check, read<T>(target), target.shape()); });
}

/// cross_entropy of probabilities.
Tensor of_soft_labels(const Tensor& z, const Tensor& target, const CrossEntropyOptions& options) {
  const double classes = static_cast<double>(z.shape()[-1]), smoothing = options.label_smoothing;
  const Tensor log_p = log_softmax(z);
  Tensor t = smoothing > 0 ? target * (1 - smoothing) + smoothing / classes : target;
  if (options.class_weights.defined()) t = t * options.class_weights.to(floating(z.dtype()));
  return reduced(-sum(weighed(t, log_p), -1), options);
}

void require_logarithms(const Tensor& log_p) {
  if (!made_by(log_p, "softmax")) return;
  throw Complaint{Complaint::usage, "the prediction went through softmax, and this loss takes logarithms",
                  "use log_softmax in its place"};
}

}  // namespace

Tensor mse_loss(const Tensor& prediction, const Tensor& target, const LossOptions& options) {
  return by_element("mse_loss", prediction, target, options,
                    [&] { return reduced(square(prediction - target), options); });
}

Tensor l1_loss(const Tensor& prediction, const Tensor& target, const LossOptions& options) {
  return by_element("l1_loss", prediction, target, options, [&] { return reduced(abs(prediction - target), options); });
}

Tensor huber_loss(const Tensor& prediction, const Tensor& target, const HuberOptions& options) {
  return by_element("huber_loss", prediction, target, options, [&] {
    require(options.delta > 0, Complaint::usage, "delta must be above 0, not {}", options.delta);
    return reduced(rounded_distance(prediction, target, options.delta) * options.delta, options);
  });
}

Tensor smooth_l1_loss(const Tensor& prediction, const Tensor& target, const SmoothL1Options& options) {
  return by_element("smooth_l1_loss", prediction, target, options, [&] {
    require(options.beta > 0, Complaint::usage, "beta must be above 0, not {}", options.beta);
    return reduced(rounded_distance(prediction, target, options.beta), options);
  });
}

Tensor hinge_loss(const Tensor& prediction, const Tensor& target, const LossOptions& options) {
  return by_element("hinge_loss", prediction, target, options, [&] {
    const auto check = []<class T>(const T* t, const Shape& shape) {
      for (std::int64_t i = 0; i < shape.size(); ++i)
        if (t[i] != T(1) && t[i] != T(-1))
          throw Complaint{
              Complaint::usage,
              fmt::format("target{} = {}, and it must be -1 or 1", position(i, shape), static_cast<double>(t[i])),
              "of zeros and ones make 2 * target - 1"};
    };
    ebb::detail::dispatch(target.dtype(), [&]<class T>(T) { launch(check, read<T>(target), target.shape()); });
    return reduced(relu(1.0 - target * prediction), options);
  });
}

Tensor binary_cross_entropy(const Tensor& prediction, const Tensor& target, const LossOptions& options) {
  constexpr const char* name = "binary_cross_entropy";
  return by_element(name, prediction, target, options, [&] {
    require_unit(name, "target", target, false);
    if (const Tensor logits = input_of(prediction, "sigmoid"); logits.defined())
      return of_logits(logits, target, options);
    require_unit(name, "prediction", prediction, true);
    return reduced(-(target * bounded_log(prediction) + (1.0 - target) * bounded_log(1.0 - prediction)), options);
  });
}

Tensor binary_cross_entropy_with_logits(const Tensor& logits, const Tensor& target,
                                        const BceWithLogitsOptions& options) {
  constexpr const char* name = "binary_cross_entropy_with_logits";
  return by_element(name, logits, target, options, [&] {
    require_unit(name, "target", target, false);
    if (made_by(logits, "sigmoid"))
      throw Complaint{Complaint::usage, "the prediction went through sigmoid already", "use binary_cross_entropy"};
    if (const Tensor& w = options.pos_weight; w.defined())
      require(broadcasts_to(w.shape(), target.shape()), "pos_weight {} does not broadcast to the target's shape",
              to_string(w.shape()));
    return of_logits(logits, target, options, options.pos_weight);
  });
}

Tensor cross_entropy(const Tensor& logits, const Tensor& target, const CrossEntropyOptions& options) {
  constexpr const char* name = "cross_entropy";
  return asked_of(name, {&logits, &target}, [&] {
    require(logits.rank() >= 2, "logits must have a row for each label, [n, classes]");
    const bool soft = target.shape() == logits.shape() && target.dtype() != i64;
    if (!soft) require_labels(logits, target, "logits");
    require_row_weights(options.row_weights, logits.shape());
    require_class_weights(options.class_weights, logits.shape()[-1]);
    require(options.label_smoothing >= 0 && options.label_smoothing <= 1, Complaint::usage,
            "label_smoothing must be in [0, 1], not {}", options.label_smoothing);
    if (made_by(logits, "softmax"))
      throw Complaint{Complaint::usage, "the prediction went through softmax already, which is part of this loss",
                      "leave the last Softmax out; the largest stays the largest without it"};
    if (!soft) return of_labels(name, logits, target, options, {true, options.label_smoothing});
    require(!options.ignore_index || *options.ignore_index == ignored_label, Complaint::usage,
            "ignore_index is for class numbers, and the target has probabilities");
    require_unit(name, "target", target, false);
    require_distributions(target);
    return of_soft_labels(logits, target, options);
  });
}

Tensor nll_loss(const Tensor& log_p, const Tensor& labels, const NllOptions& options) {
  constexpr const char* name = "nll_loss";
  return asked_of(name, {&log_p, &labels}, [&] {
    require(log_p.rank() >= 2, "predictions must have a row for each label, [n, classes]");
    require_labels(log_p, labels, "log_p");
    require_row_weights(options.row_weights, log_p.shape());
    require_class_weights(options.class_weights, log_p.shape()[-1]);
    require_logarithms(log_p);
    return of_labels(name, log_p, labels, options, {false, 0});
  });
}

Tensor kl_div_loss(const Tensor& log_p, const Tensor& target, const KlDivOptions& options) {
  constexpr const char* name = "kl_div_loss";
  return by_element(name, log_p, target, options, [&] {
    require(log_p.rank() > 0, "the prediction must be a distribution, [..., classes]");
    require_logarithms(log_p);
    if (!options.log_target) require_unit(name, "target", target, false);
    const double distributions = static_cast<double>(log_p.shape().without(-1).size());
    const Tensor t = options.log_target ? exp(target) : target;
    const Tensor entropy = options.log_target ? weighed(t, target) : xlogy(t, t);
    return reduced(entropy - weighed(t, log_p), options, distributions);
  });
}

}  // namespace ebb::nn
