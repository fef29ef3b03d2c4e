#include "lbfgs.h"

#include "../autograd/error.h"
#include "../autograd/ops.h"
#include "state.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <span>
#include <utility>

namespace ebb::optim {

struct LBFGS::Point {
  double loss = 0;
  Tensor gradient;
  double length = 0, slope = 0;  // of a point on a Line: how far along, and how steep the loss is there
};

struct LBFGS::Line {
  Tensor start, direction;
};

namespace {

double largest(const Tensor& x) { return x.size() == 0 ? 0 : max(abs(x)).item(); }

/// The numbers of several tensors as one vector.
class Joiner {
 public:
  void add(const Tensor& t) {
    const std::vector<double> numbers = t.to_vector<double>();
    all_.insert(all_.end(), numbers.begin(), numbers.end());
  }
  Tensor joined() const { return from(all_, {static_cast<std::int64_t>(all_.size())}); }

 private:
  std::vector<double> all_;
};

/// Where the cubic through two points with their slopes is lowest, within [low, high]; the middle if nowhere.
/// Source: Nocedal & Wright 2006, (3.59).
double cubic_minimum(double x1, double y1, double slope1, double x2, double y2, double slope2, double low,
                     double high) {
  if (x1 > x2) return cubic_minimum(x2, y2, slope2, x1, y1, slope1, low, high);
  const double d1 = slope1 + slope2 - 3 * (y1 - y2) / (x1 - x2);
  const double square = d1 * d1 - slope1 * slope2, d2 = std::sqrt(square);
  const double x = x2 - (x2 - x1) * ((slope2 + d2 - d1) / (slope2 - slope1 + 2 * d2));
  return std::isfinite(x) ? std::clamp(x, low, high) : (low + high) / 2;
}

std::int64_t five_quarters(std::int64_t n) {
  std::int64_t more = 0;
  return __builtin_add_overflow(n, n / 4, &more) ? std::numeric_limits<std::int64_t>::max() : more;
}

}  // namespace

LBFGS::LBFGS(const ParameterList& parameters, const LBFGSOptions& options)
    : Optimizer("LBFGS", parameters, {.lr = options.lr, .allow_missing = options.allow_missing}),
      options_(options),
      max_evaluations_(options.max_evaluations.value_or(five_quarters(options.max_iterations))) {
  const auto at_least_1 = [&](const char* option, std::int64_t got) {
    check(got >= 1, option, "must be at least 1", static_cast<double>(got));
  };
  at_least_1("max_iterations", options.max_iterations);
  at_least_1("max_evaluations", max_evaluations_);
  check_not_negative("tolerance_gradient", options.tolerance_gradient);
  check_not_negative("tolerance_change", options.tolerance_change);
  at_least_1("history", options.history);
  const GroupOptions& group = parameters.groups()[0];
  if (parameters.groups().size() > 1 || group.lr || group.weight_decay)
    throw UsageError("LBFGS: all parameters are one vector, so there cannot be groups");
  for (const auto& parameter : this->parameters()) size_ += parameter->value.size();
}

void LBFGS::prepare() {
  throw UsageError(
      "LBFGS::step: it computes the loss several times, and must be told how\n"
      "  help: step([&] { Graph graph; ...; loss.backward(); return loss; })");
}

Tensor LBFGS::values() const {
  Joiner all;
  for (const auto& parameter : parameters()) all.add(parameter->value);
  return all.joined();
}

void LBFGS::put(const Tensor& values) {
  std::int64_t begin = 0;
  for (const auto& parameter : parameters()) {
    Tensor& value = parameter->value;
    const std::span<const double> numbers(values.data<double>() + begin, static_cast<std::size_t>(value.size()));
    begin += value.size();
    value = from(numbers, value.shape()).to(value.dtype());
  }
}

LBFGS::Point LBFGS::evaluate(const Loss& closure) {
  clear_gradients();
  Point point;
  point.loss = closure();
  check_gradients();
  Joiner all;
  for (const auto& parameter : parameters())
    all.add(parameter->grad.defined() ? parameter->grad : zeros(parameter->value.shape(), parameter->value.dtype()));
  point.gradient = all.joined();
  return point;
}

double LBFGS::minimize(const Loss& closure) {
  std::vector<Tensor> before;
  for (const auto& parameter : parameters()) before.push_back(parameter->value);
  Course course = course_;
  try {
    const double loss = iterate(closure, course);
    course_ = std::move(course);
    count_step();
    return loss;
  } catch (...) {
    for (std::size_t i = 0; i < before.size(); ++i) parameters()[i]->value = before[i];
    clear_gradients();
    throw;
  }
}

double LBFGS::iterate(const Loss& closure, Course& course) {
  const auto demand_finite = [](const Point& point) {
    if (std::isfinite(point.loss) && std::isfinite(largest(point.gradient))) return;
    throw UsageError(
        fmt::format("LBFGS::step: the loss is {}, and the largest number of its gradient {}\n"
                    "  help: try line_search, or a smaller lr",
                    unsigned_nan(point.loss), largest(point.gradient)));
  };
  const auto flat = [&](const Point& point) { return largest(point.gradient) <= options_.tolerance_gradient; };

  Point here = evaluate(closure);
  demand_finite(here);
  const double first_loss = here.loss;
  if (flat(here)) return first_loss;

  std::int64_t evaluations = 1;
  for (std::int64_t iteration = 1; iteration <= options_.max_iterations; ++iteration) {
    const bool first = course.iterations++ == 0;
    const Line line{values(), direction(course, here.gradient)};
    double length = first ? std::min(1.0, 1 / sum(abs(here.gradient)).item()) * lr() : lr();
    course.gradient = here.gradient;
    course.move = zeros({size_}, f64);
    here.length = 0;
    here.slope = dot(here.gradient, line.direction).item();
    if (here.slope > -options_.tolerance_change) break;

    const double loss_before = here.loss;
    if (options_.line_search) here = search(closure, line, here, evaluations, length);
    course.move = line.direction * length;
    put(line.start + course.move);
    if (iteration == options_.max_iterations) break;  // nothing would look at another loss
    if (!options_.line_search) {
      here = evaluate(closure);
      ++evaluations;
      demand_finite(here);
    }
    if (evaluations >= max_evaluations_ || flat(here) || largest(course.move) <= options_.tolerance_change ||
        std::abs(here.loss - loss_before) < options_.tolerance_change)
      break;
  }
  return first_loss;
}

/// −H·g by the two loops of algorithm 7.4, having added the last step to what is known.
Tensor LBFGS::direction(Course& course, const Tensor& gradient) const {
  if (course.move.defined()) {
    const Tensor dy = gradient - course.gradient;
    if (dot(dy, course.move).item() > 1e-10) {  // else the curvature would not be positive
      course.dy.push_back(dy);
      course.dx.push_back(course.move);
    }
    if (static_cast<std::int64_t>(course.dy.size()) > options_.history) {
      course.dy.erase(course.dy.begin());
      course.dx.erase(course.dx.begin());
    }
  }
  const std::size_t known = course.dy.size();
  if (known == 0) return -gradient;

  std::vector<double> curvature(known), share(known);
  for (std::size_t i = 0; i < known; ++i) curvature[i] = dot(course.dy[i], course.dx[i]).item();
  Tensor d = -gradient;
  for (std::size_t i = known; i-- > 0;) {
    share[i] = dot(course.dx[i], d).item() / curvature[i];
    d = d - course.dy[i] * share[i];
  }
  const Tensor& last = course.dy.back();
  d = d * (curvature.back() / dot(last, last).item());
  for (std::size_t i = 0; i < known; ++i)
    d = d + course.dx[i] * (share[i] - dot(course.dy[i], d).item() / curvature[i]);
  return d;
}

/// A length that meets the strong Wolfe conditions, or the best one that was found, and the point there.
/// The two phases of algorithms 3.5 and 3.6: bracket such a length, then narrow the bracket.
LBFGS::Point LBFGS::search(const Loss& closure, const Line& line, const Point& start, std::int64_t& evaluations,
                           double& length) {
  constexpr double enough_descent = 1e-4, enough_flatness = 0.9;
  constexpr int most_trials = 25;
  int trials = 0;
  const auto at = [&](double t) {
    put(line.start + line.direction * t);
    Point point = evaluate(closure);
    ++evaluations;
    if (!std::isfinite(point.loss)) point.loss = std::numeric_limits<double>::infinity();  // too far
    point.length = t;
    point.slope = dot(point.gradient, line.direction).item();
    return point;
  };
  const auto too_high = [&](const Point& p) { return p.loss > start.loss + enough_descent * p.length * start.slope; };
  const auto flat_enough = [&](const Point& p) { return std::abs(p.slope) <= -enough_flatness * start.slope; };
  const auto lowest = [](const Point& a, const Point& b, double low, double high) {
    return cubic_minimum(a.length, a.loss, a.slope, b.length, b.loss, b.slope, low, high);
  };
  const auto take = [&](const Point& p) {
    length = p.length;
    return p;
  };

  Point before = start, here = at(length);
  while (!too_high(here) && !(trials > 1 && here.loss >= before.loss)) {
    if (flat_enough(here)) return take(here);
    if (here.slope >= 0) break;
    const double further = lowest(before, here, here.length + 0.01 * (here.length - before.length), 10 * here.length);
    before = std::exchange(here, at(further));
    if (++trials == most_trials) {
      before = start;
      break;
    }
  }

  Point low = before, high = here;
  if (!(low.loss <= high.loss)) std::swap(low, high);
  const double widest = largest(line.direction);
  bool stuck = false;
  while (trials < most_trials && std::abs(high.length - low.length) * widest >= options_.tolerance_change) {
    const double left = std::min(low.length, high.length), right = std::max(low.length, high.length);
    double t = lowest(low, high, left, right);
    // Twice near an end, or at one: a tenth of the bracket away from it, so that the bracket shrinks.
    const double margin = 0.1 * (right - left);
    const bool near = std::min(right - t, t - left) < margin;
    const bool away = near && (stuck || t >= right || t <= left);
    if (away) t = right - t < t - left ? right - margin : left + margin;
    stuck = near && !away;

    const Point point = at(t);
    ++trials;
    if (too_high(point) || point.loss >= low.loss) {
      high = point;
      if (!(low.loss <= high.loss)) std::swap(low, high);
      continue;
    }
    if (flat_enough(point)) return take(point);
    if (point.slope * (high.length - low.length) >= 0) high = low;
    low = point;
  }
  return take(low);
}

io::Tensors LBFGS::own_state() const {
  io::Tensors state{{"iterations", full({}, static_cast<double>(course_.iterations), i64)}};
  if (course_.iterations == 0) return state;
  state["move"] = course_.move;
  state["prev_flat_grad"] = course_.gradient;
  const auto known = static_cast<std::int64_t>(course_.dy.size());
  const auto rows = [&](const std::vector<Tensor>& all) {
    Joiner joiner;
    for (const Tensor& one : all) joiner.add(one);
    return reshape(joiner.joined(), {known, size_});
  };
  state["old_dirs"] = rows(course_.dy);
  state["old_stps"] = rows(course_.dx);
  return state;
}

void LBFGS::load_own_state(const io::Tensors& state) {
  StateReader reader(name(), state);
  Course course;
  course.iterations = reader.count("iterations");
  if (course.iterations > 0) {
    const Tensor one = zeros({size_}, f64);
    course.move = reader.take("move", one);
    course.gradient = reader.take("prev_flat_grad", one);
    const auto dirs = state.find("old_dirs");
    const std::int64_t known =
        dirs != state.end() && dirs->second.defined() && dirs->second.rank() == 2 ? dirs->second.shape()[0] : 0;
    if (known > options_.history)
      reader.complain(fmt::format("it knows {} steps, and history is {}", known, options_.history));
    const Tensor rows = zeros({known, size_}, f64);
    const Tensor dy = reader.take("old_dirs", rows), dx = reader.take("old_stps", rows);
    for (std::int64_t i = 0; dy.defined() && dx.defined() && i < known; ++i) {
      course.dy.push_back(dy[i]);
      course.dx.push_back(dx[i]);
    }
  }
  reader.finish();
  course_ = std::move(course);
}

}  // namespace ebb::optim
