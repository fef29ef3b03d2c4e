#include "schedule.h"

#include "../autograd/error.h"
#include "state.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <numbers>

namespace ebb::optim {

namespace {

void check(bool good, std::string_view schedule, std::string_view option, std::string_view must, double got) {
  if (!good) throw UsageError(fmt::format("{}: {} {}, got {}", schedule, option, must, got));
}

void check_steps(std::string_view schedule, std::int64_t steps) {
  check(steps >= 1, schedule, "steps", "must be at least 1", static_cast<double>(steps));
}

void check_share(std::string_view schedule, std::string_view option, double share) {
  check(share >= 0 && share <= 1, schedule, option, "must be in [0, 1]", share);
}

void check_factor(std::string_view schedule, double factor) {
  check(factor > 0 && std::isfinite(factor), schedule, "factor", "must be positive", factor);
}

double part(std::int64_t t, std::int64_t of) { return static_cast<double>(t) / static_cast<double>(of); }

/// Half a cosine from `from` to `to`, as `done` goes from 0 to 1.
double cosine_between(double from, double to, double done) {
  return to + (from - to) / 2 * (1 + std::cos(std::numbers::pi * done));
}

}  // namespace

Share step_decay(const StepDecayOptions& options) {
  check(options.every >= 1, "step_decay", "every", "must be at least 1", static_cast<double>(options.every));
  check_factor("step_decay", options.factor);
  return [=](std::int64_t t) { return std::pow(options.factor, static_cast<double>(t / options.every)); };
}

Share multi_step(const MultiStepOptions& options) {
  for (std::size_t i = 0; i < options.at.size(); ++i)
    check(options.at[i] > (i == 0 ? -1 : options.at[i - 1]), "multi_step", "at", "must rise from 0 on",
          static_cast<double>(options.at[i]));
  check_factor("multi_step", options.factor);
  return [=](std::int64_t t) {
    const auto drops = std::upper_bound(options.at.begin(), options.at.end(), t) - options.at.begin();
    return std::pow(options.factor, static_cast<double>(drops));
  };
}

Share exponential(double factor) {
  check_factor("exponential", factor);
  return [=](std::int64_t t) { return std::pow(factor, static_cast<double>(t)); };
}

Share polynomial(const PolynomialOptions& options) {
  check_steps("polynomial", options.steps);
  check(options.power > 0 && std::isfinite(options.power), "polynomial", "power", "must be positive", options.power);
  check_share("polynomial", "floor", options.floor);
  return [=](std::int64_t t) {
    const double left = 1 - part(std::min(t, options.steps), options.steps);
    return options.floor + (1 - options.floor) * std::pow(left, options.power);
  };
}

Share cosine(const CosineOptions& options) {
  check_steps("cosine", options.steps);
  check_share("cosine", "floor", options.floor);
  return [=](std::int64_t t) {
    return t < options.steps ? cosine_between(1, options.floor, part(t, options.steps)) : options.floor;
  };
}

Share cosine_restarts(const CosineRestartsOptions& options) {
  check_steps("cosine_restarts", options.steps);
  check(options.growth >= 1, "cosine_restarts", "growth", "must be at least 1", static_cast<double>(options.growth));
  check_share("cosine_restarts", "floor", options.floor);
  return [=](std::int64_t t) {
    std::int64_t round = options.steps, left = t;
    if (options.growth == 1) left %= round;
    while (left >= round) {
      left -= round;
      if (__builtin_mul_overflow(round, options.growth, &round)) round = std::numeric_limits<std::int64_t>::max();
    }
    return cosine_between(1, options.floor, part(left, round));
  };
}

Share one_cycle(const OneCycleOptions& options) {
  check_steps("one_cycle", options.steps);
  check(options.rising > 0 && options.rising < 1, "one_cycle", "rising", "must be in (0, 1)", options.rising);
  check_share("one_cycle", "start", options.start);
  check_share("one_cycle", "finish", options.finish);
  return [=](std::int64_t t) {
    // Both as in PyTorch: the peak may lie between two steps, and the last step is the end of the way down.
    const double all = static_cast<double>(options.steps), top = std::max(0.0, options.rising * all - 1);
    const double at = static_cast<double>(t);
    const bool rises = at < top;
    const double from = rises ? options.start : 1, to = rises ? 1 : options.finish;
    const double done = rises ? at / top : std::min(1.0, (at - top) / std::max(1.0, all - 1 - top));
    return options.linear ? from + (to - from) * done : cosine_between(from, to, done);
  };
}

Share warm_up(const WarmUpOptions& options, Share then) {
  check_steps("warm_up", options.steps);
  check_share("warm_up", "start", options.start);
  return [=, then = std::move(then)](std::int64_t t) {
    if (t < options.steps) return options.start + (1 - options.start) * part(t, options.steps);
    return then ? then(t - options.steps) : 1.0;
  };
}

Schedule::Schedule(Optimizer& optimizer) : optimizer_(&optimizer), base_lr_(optimizer.lr()) {
  if (base_lr_ == 0) throw UsageError("Schedule: the optimizer's lr is 0, and so is every share of it");
}

Schedule::Schedule(Optimizer& optimizer, Share share) : Schedule(optimizer) {
  if (!share) throw UsageError("Schedule: there is no function; give one, e.g. optim::cosine({.steps = 1000})");
  share_ = std::move(share);
  set(0, base_lr_, share_(0));
}

void Schedule::step(std::optional<double> measured) { set(steps_ + 1, base_lr_, share(steps_ + 1, measured)); }

double Schedule::share(std::int64_t t, std::optional<double> /*measured*/) { return share_(t); }

void Schedule::set(std::int64_t steps, double base_lr, double share) {
  if (!(share >= 0 && std::isfinite(base_lr * share)))
    throw UsageError(fmt::format("Schedule: the share of lr at step {} must not be negative, got {}", steps, share));
  optimizer_->lr(base_lr * share);
  steps_ = steps;
  base_lr_ = base_lr;
}

io::Tensors Schedule::state() const {
  return {{"step", full({}, static_cast<double>(steps_), i64)}, {"base_lr", full({}, base_lr_, f64)}};
}

void Schedule::load_state(const io::Tensors& state) {
  StateReader reader("Schedule", state);
  const std::int64_t steps = reader.count("step");
  const double base_lr = reader.number("base_lr");
  if (base_lr <= 0) reader.complain(fmt::format("base_lr is {}", base_lr));
  reader.finish();
  set(steps, base_lr, share_(steps));
}

Plateau::Plateau(Optimizer& optimizer, const PlateauOptions& options) : Schedule(optimizer), options_(options) {
  check(options.factor > 0 && options.factor < 1, "Plateau", "factor", "must be in (0, 1)", options.factor);
  check(options.patience >= 0, "Plateau", "patience", "must not be negative", static_cast<double>(options.patience));
  check(options.threshold >= 0 && std::isfinite(options.threshold), "Plateau", "threshold", "must not be negative",
        options.threshold);
  check(options.cooldown >= 0, "Plateau", "cooldown", "must not be negative", static_cast<double>(options.cooldown));
  check_share("Plateau", "floor", options.floor);
  if (options.highest) course_.best = -course_.best;
}

double Plateau::share(std::int64_t /*t*/, std::optional<double> measured) {
  if (!measured) throw UsageError("Plateau::step: it wants what was measured: schedule.step(loss)");
  const double margin = std::isinf(course_.best) ? 0 : options_.threshold * std::abs(course_.best);
  const bool better = options_.highest ? *measured > course_.best + margin : *measured < course_.best - margin;
  if (better) course_.best = *measured;
  course_.bad = better ? 0 : course_.bad + 1;
  if (course_.resting > 0) {
    --course_.resting;
    course_.bad = 0;
  }
  if (course_.bad > options_.patience) {
    course_.share = std::max(course_.share * options_.factor, options_.floor);
    course_.resting = options_.cooldown;
    course_.bad = 0;
  }
  return course_.share;
}

io::Tensors Plateau::state() const {
  io::Tensors state = Schedule::state();
  state["share"] = full({}, course_.share, f64);
  state["best"] = full({}, course_.best, f64);
  state["bad"] = full({}, static_cast<double>(course_.bad), i64);
  state["resting"] = full({}, static_cast<double>(course_.resting), i64);
  return state;
}

void Plateau::load_state(const io::Tensors& state) {
  StateReader reader("Plateau", state);
  const std::int64_t steps = reader.count("step");
  const double base_lr = reader.number("base_lr");
  const Course course{.share = reader.number("share"),
                      .best = reader.number("best"),
                      .bad = reader.count("bad"),
                      .resting = reader.count("resting")};
  if (base_lr <= 0) reader.complain(fmt::format("base_lr is {}", base_lr));
  if (course.share < 0 || course.share > 1) reader.complain(fmt::format("share is {}", course.share));
  reader.finish();
  set(steps, base_lr, course.share);
  course_ = course;
}

}  // namespace ebb::optim
