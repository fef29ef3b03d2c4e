// Optimizers and schedules against PyTorch: the hill of tests/parity/optim.py, gone down by all.
#include "parity.h"

#include <ebb/optim/optim.h>

#include <functional>
#include <memory>
#include <string>
#include <vector>

using namespace ebb;

namespace {

const Golden& golden() {
  static const Golden one("optim");
  return one;
}

/// ½·w·A·w − b·w + Σ u⁴/4 − c·u.
struct Hill {
  Parameter w, u;
  Tensor a, b, c;
  explicit Hill(DType dtype)
      : w(of("w").to(dtype)), u(of("u").to(dtype)), a(of("A").to(dtype)), b(of("b").to(dtype)), c(of("c").to(dtype)) {}
  static Tensor of(const char* what) { return golden()("hill", what); }
  double descend() const {
    Graph graph;
    const Tensor flat = reshape(w, {15});
    const Tensor loss = 0.5 * dot(flat, matmul(a, flat)) - dot(b, flat) + sum(square(square(u)) / 4 - c * u);
    loss.backward();
    return loss.item();
  }
};

using Make = std::function<std::unique_ptr<optim::Optimizer>(Hill&)>;

template <class Optimizer, class Options> Make with(const Options& options) {
  return [options](Hill& hill) { return std::make_unique<Optimizer>(optim::ParameterList{hill.w, hill.u}, options); };
}

void check_descent(const std::string& one, const std::function<void(Hill&)>& step, Hill& hill) {
  for (int t = 1; t <= 100; ++t) {
    const std::string at = std::to_string(t);
    step(hill);
    if (!golden().has(one, "w." + at)) continue;
    CHECK_PARITY(hill.w.value(), golden()(one, "w." + at), one + " after " + at);
    CHECK_PARITY(hill.u.value(), golden()(one, "u." + at), one + " after " + at);
  }
}

void check_optimizer(const std::string& one, const Make& make) {
  for (const DType dtype : {f64, f32}) {
    const std::string which = dtype == f64 ? one : one + ".f32";
    if (!golden().has(which, "w.1")) continue;
    Hill hill(dtype);
    const auto optimizer = make(hill);
    check_descent(
        which,
        [&](Hill& on) {
          on.descend();
          optimizer->step();
        },
        hill);
  }
}

void check_lbfgs(const std::string& one, int calls, const optim::LBFGSOptions& options) {
  const DType dtype = golden()(one, "w.1").dtype();
  Hill hill(dtype);
  optim::LBFGS lbfgs({hill.w, hill.u}, options);
  for (int t = 1; t <= calls; ++t) {
    lbfgs.step([&] { return hill.descend(); });
    const std::string at = std::to_string(t);
    if (!golden().has(one, "w." + at)) continue;
    CHECK_PARITY(hill.w.value(), golden()(one, "w." + at), one + " after " + at);
    CHECK_PARITY(hill.u.value(), golden()(one, "u." + at), one + " after " + at);
  }
}

void check_schedule(const std::string& one, const optim::Share& share) {
  Parameter w(zeros({1}));
  optim::SGD sgd({w}, {.lr = 0.5});
  optim::Schedule schedule(sgd, share);
  std::vector<double> rates;
  for (int t = 0; t < 100; ++t) {
    rates.push_back(sgd.lr());
    schedule.step();
  }
  CHECK_PARITY(from(rates, {100}), golden()("schedule." + one, "lr"), one);
}

void check_plateau(const std::string& one, const optim::PlateauOptions& options) {
  Parameter w(zeros({1}));
  optim::SGD sgd({w}, {.lr = 0.5});
  optim::Plateau schedule(sgd, options);
  std::vector<double> rates;
  for (const double measured : golden()("schedule." + one, "measured").to_vector<double>()) {
    schedule.step(options.highest ? 3 - measured : measured);
    rates.push_back(sgd.lr());
  }
  CHECK_PARITY(from(rates, {100}), golden()("schedule." + one, "lr"), one);
}

}  // namespace

TEST_CASE("SGD goes where PyTorch's goes") {
  using optim::SGD, optim::SGDOptions;
  check_optimizer("sgd", with<SGD>(SGDOptions{.lr = 0.05}));
  check_optimizer("sgd.decay", with<SGD>(SGDOptions{.lr = 0.05, .weight_decay = 0.1}));
  check_optimizer("sgd.momentum", with<SGD>(SGDOptions{.lr = 0.02, .momentum = 0.9, .weight_decay = 0.1}));
  check_optimizer("sgd.nesterov",
                  with<SGD>(SGDOptions{.lr = 0.02, .momentum = 0.8, .nesterov = true, .weight_decay = 0.1}));
}

TEST_CASE("Adam and its kin go where PyTorch's go") {
  using namespace optim;
  check_optimizer("adam", with<Adam>(AdamOptions{.lr = 0.02}));
  check_optimizer("adam.decay", with<Adam>(AdamOptions{
                                    .lr = 0.02, .beta1 = 0.8, .beta2 = 0.95, .epsilon = 1e-3, .weight_decay = 0.1}));
  check_optimizer("adam.amsgrad",
                  with<Adam>(AdamOptions{.lr = 0.1, .beta2 = 0.9, .weight_decay = 0.1, .amsgrad = true}));
  check_optimizer("adamw", with<AdamW>(AdamWOptions{.lr = 0.02}));
  check_optimizer("adamw.amsgrad",
                  with<AdamW>(AdamWOptions{.lr = 0.1, .beta2 = 0.9, .weight_decay = 0.1, .amsgrad = true}));
  check_optimizer("adamax", with<Adamax>(AdamaxOptions{}));
  check_optimizer("adamax.decay", with<Adamax>(AdamaxOptions{
                                      .lr = 0.05, .beta1 = 0.8, .beta2 = 0.9, .epsilon = 1e-3, .weight_decay = 0.1}));
  check_optimizer("nadam", with<NAdam>(NAdamOptions{}));
  check_optimizer(
      "nadam.decay",
      with<NAdam>(NAdamOptions{.lr = 0.02, .beta1 = 0.8, .beta2 = 0.95, .weight_decay = 0.1, .momentum_decay = 0.1}));
  check_optimizer("radam", with<RAdam>(RAdamOptions{.lr = 0.02}));
  check_optimizer("radam.decay", with<RAdam>(RAdamOptions{
                                     .lr = 0.02, .beta1 = 0.8, .beta2 = 0.9, .epsilon = 1e-3, .weight_decay = 0.1}));
}

TEST_CASE("RMSprop, Adagrad and Adadelta go where PyTorch's go") {
  using namespace optim;
  check_optimizer("rmsprop", with<RMSprop>(RMSpropOptions{}));
  check_optimizer("rmsprop.momentum",
                  with<RMSprop>(RMSpropOptions{.lr = 0.005, .alpha = 0.9, .weight_decay = 0.1, .momentum = 0.8}));
  check_optimizer("rmsprop.centered",
                  with<RMSprop>(RMSpropOptions{.lr = 0.005, .alpha = 0.9, .epsilon = 1e-3, .centered = true}));
  check_optimizer("rmsprop.both", with<RMSprop>(RMSpropOptions{
                                      .lr = 0.002, .alpha = 0.9, .epsilon = 1e-3, .momentum = 0.8, .centered = true}));
  check_optimizer("adagrad", with<Adagrad>(AdagradOptions{.lr = 0.1}));
  check_optimizer("adagrad.decay", with<Adagrad>(AdagradOptions{
                                       .lr = 0.2, .lr_decay = 0.05, .weight_decay = 0.1, .initial_accumulator = 0.3}));
  check_optimizer("adadelta", with<Adadelta>(AdadeltaOptions{}));
  check_optimizer("adadelta.decay",
                  with<Adadelta>(AdadeltaOptions{.lr = 0.5, .rho = 0.8, .epsilon = 1e-4, .weight_decay = 0.1}));
}

TEST_CASE("Lion goes where its paper's formula goes") {
  using optim::Lion, optim::LionOptions;
  check_optimizer("lion", with<Lion>(LionOptions{.lr = 0.01}));
  check_optimizer("lion.decay", with<Lion>(LionOptions{.lr = 0.01, .beta1 = 0.8, .beta2 = 0.95, .weight_decay = 0.1}));
}

TEST_CASE("groups go where PyTorch's go") {
  check_optimizer("groups", [](Hill& hill) {
    return std::make_unique<optim::AdamW>(
        optim::ParameterList{{hill.w, {.lr = 0.005}}, {hill.u, {.weight_decay = 0.5}}},
        optim::AdamWOptions{.lr = 0.02});
  });
}

TEST_CASE("LBFGS goes where PyTorch's goes, with and without a line search") {
  check_lbfgs("lbfgs", 4, {.lr = 0.3, .max_iterations = 4, .history = 3});
  check_lbfgs("lbfgs.wolfe", 2, {.max_iterations = 5, .line_search = true});
  check_lbfgs("lbfgs.wolfe.far", 2, {.lr = 20, .max_iterations = 3, .history = 2, .line_search = true});
  check_lbfgs("lbfgs.wolfe.near", 2, {.lr = 0.01, .max_iterations = 3, .line_search = true});
  check_lbfgs("lbfgs.wolfe.f32", 2, {.max_iterations = 3, .line_search = true});
}

TEST_CASE("LBFGS's line search goes where PyTorch's goes, through valleys and waves") {
  const auto valley = [](const Tensor& x) { return 100 * square(x(1) - square(x(0))) + square(1 - x(0)); };
  const auto waves = [](const Tensor& x) { return sum(square(x) / 10 + sin(3 * x)); };
  int searches = 0;
  for (const std::string& one : golden().cases()) {
    if (!golden().has(one, "start")) continue;
    ++searches;
    Parameter x(golden()(one, "start"));
    optim::LBFGS lbfgs({x}, {.lr = golden()(one, "lr").item(), .max_iterations = 2, .line_search = true});
    for (int t = 0; t < 4; ++t) {
      lbfgs.step([&] {
        Graph graph;
        const Tensor now = x;
        const Tensor loss = one.starts_with("lbfgs.valley") ? stack({valley(now)}) : waves(now);
        loss.backward();
        return loss;
      });
      CHECK_PARITY(x.value(), golden()(one, "x." + std::to_string(t)), one);
    }
  }
  CHECK(searches == 14);
}

TEST_CASE("schedules give PyTorch's rates") {
  using namespace optim;
  check_schedule("step", step_decay({.every = 30, .factor = 0.3}));
  check_schedule("multi_step", multi_step({.at = {10, 11, 60}, .factor = 0.3}));
  check_schedule("exponential", exponential(0.95));
  check_schedule("polynomial", polynomial({.steps = 80, .power = 1.7}));
  check_schedule("linear", polynomial({.steps = 70, .floor = 0.2}));
  check_schedule("cosine", cosine({.steps = 100, .floor = 0.1}));
  check_schedule("restarts", cosine_restarts({.steps = 30, .floor = 0.1}));
  check_schedule("growing", cosine_restarts({.steps = 7, .growth = 3, .floor = 0.1}));
  check_schedule("one_cycle", one_cycle({.steps = 101}));
  check_schedule("one_cycle.linear",
                 one_cycle({.steps = 101, .rising = 0.25, .start = 0.1, .finish = 0.001, .linear = true}));
  check_schedule("lambda", [](std::int64_t t) { return 1 / (1 + static_cast<double>(t)); });
  check_schedule("warm_up", warm_up({.steps = 20, .start = 0.1}, cosine({.steps = 80})));
  check_plateau("plateau", {});
  check_plateau("plateau.lowest", {.factor = 0.5, .patience = 2, .threshold = 0.01, .cooldown = 3, .floor = 0.02});
  check_plateau("plateau.highest", {.factor = 0.5, .patience = 3, .threshold = 0.001, .highest = true});
}
