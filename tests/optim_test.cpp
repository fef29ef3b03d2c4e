// Optimizers: each against its formula written as a plain loop in double.
#include <doctest/doctest.h>
#include <ebb/optim/optim.h>

#include <cmath>
#include <functional>
#include <string>
#include <utility>
#include <vector>

using namespace ebb;

namespace {

using Numbers = std::vector<double>;

/// Leaves exactly `gradient` in the parameter.
void give_gradient(Parameter& parameter, const Numbers& gradient) {
  Graph graph;
  sum(parameter * from(gradient, parameter.shape()).to(parameter.dtype())).backward();
}

/// The gradient of step t (from 0) for the i-th number: any that changes sign and size.
double gradient_at(std::size_t t, std::size_t i) {
  return std::sin(1.3 * static_cast<double>(t) + 0.7 * static_cast<double>(i)) + 0.1 * static_cast<double>(i);
}

/// What one number becomes under `rule`, which holds its own state; called with p, g and the step from 1.
using Rule = std::function<double(double p, double g, int t)>;

/// Runs five steps over tensors of odd sizes and compares every number with the rule after each.
void check_against(const std::function<Rule()>& new_rule, DType dtype, double tolerance,
                   const std::function<void(Parameter&, std::function<void()> between)>& run) {
  for (const std::int64_t n : {0, 1, 7, 33}) {
    CAPTURE(n);
    Numbers expected;
    std::vector<Rule> rules;
    for (std::int64_t i = 0; i < n; ++i) {
      expected.push_back(0.5 * static_cast<double>(i) - 2);
      rules.push_back(new_rule());
    }
    Parameter w(from(expected, {n}).to(dtype));
    std::size_t t = 0;
    run(w, [&] {
      const Numbers got = w.value().to_vector<double>();
      for (std::size_t i = 0; i < expected.size(); ++i) {
        expected[i] = rules[i](expected[i], gradient_at(t, i), static_cast<int>(t) + 1);
        CHECK(std::abs(got[i] - expected[i]) <= tolerance * std::max(1.0, std::abs(expected[i])));
      }
      ++t;
    });
    CHECK(t == 5);
  }
}

template <class Optimizer, class Options>
void five_steps(const Options& options, const std::function<Rule()>& new_rule) {
  for (const auto& [dtype, tolerance] : {std::pair(f64, 1e-14), std::pair(f32, 2e-6)}) {
    check_against(new_rule, dtype, tolerance, [&](Parameter& w, const std::function<void()>& compare) {
      Optimizer optimizer({w}, options);
      for (std::size_t t = 0; t < 5; ++t) {
        Numbers g;
        for (std::size_t i = 0; i < static_cast<std::size_t>(w.size()); ++i) g.push_back(gradient_at(t, i));
        give_gradient(w, g);
        optimizer.step();
        compare();
      }
    });
  }
}

Rule adam_rule(double lr, double beta1, double beta2, double epsilon, double l2, double decoupled) {
  return [=, m = 0.0, v = 0.0](double p, double g, int t) mutable {
    g += l2 * p;
    m = beta1 * m + (1 - beta1) * g;
    v = beta2 * v + (1 - beta2) * g * g;
    const double m_hat = m / (1 - std::pow(beta1, t)), v_hat = v / (1 - std::pow(beta2, t));
    return p - lr * decoupled * p - lr * m_hat / (std::sqrt(v_hat) + epsilon);
  };
}

/// A model of eight parameters, of which `used` says how many layers the loss depends on.
struct Decoder {
  nn::Dense a{2, 3}, b{3, 3}, c{3, 3}, out{3, 2};
  Tensor operator()(const Tensor& x, int used) const {
    Tensor h = a(x);
    if (used > 1) h = b(h);
    if (used > 2) h = c(h);
    return used > 3 ? out(h) : h;
  }
  EBB_FIELDS(a, b, c, out)
};

struct Line {
  Parameter slope{tensor(2.0, f64)}, shift{tensor(0.0, f64)};
  Tensor operator()(const Tensor& x) const { return slope * x + shift; }
  EBB_FIELDS(slope, shift)
};

/// One backward of (slope·1 + shift)²: both gradients are twice the prediction.
void square_backward(const Line& line) {
  Graph graph;
  sum(square(line(tensor(1.0, f64)))).backward();
}

}  // namespace

TEST_CASE("SGD moves against the gradient") {
  five_steps<optim::SGD>(optim::SGDOptions{.lr = 0.1},
                         [] { return Rule([](double p, double g, int) { return p - 0.1 * g; }); });
}

TEST_CASE("SGD's momentum keeps a share of the old direction") {
  five_steps<optim::SGD>(optim::SGDOptions{.lr = 0.1, .momentum = 0.9}, [] {
    return Rule([m = 0.0](double p, double g, int) mutable {
      m = 0.9 * m + g;
      return p - 0.1 * m;
    });
  });
}

TEST_CASE("Nesterov's momentum looks one step ahead, and weight decay joins the gradient before it") {
  five_steps<optim::SGD>(optim::SGDOptions{.lr = 0.1, .momentum = 0.8, .nesterov = true, .weight_decay = 0.05}, [] {
    return Rule([m = 0.0](double p, double g, int) mutable {
      g += 0.05 * p;
      m = 0.8 * m + g;
      return p - 0.1 * (g + 0.8 * m);
    });
  });
}

TEST_CASE("Adam corrects its moments for starting from zero") {
  five_steps<optim::Adam>(optim::AdamOptions{.lr = 0.01}, [] { return adam_rule(0.01, 0.9, 0.999, 1e-8, 0, 0); });
}

TEST_CASE("Adam's weight decay joins the gradient, AdamW's does not") {
  five_steps<optim::Adam>(
      optim::AdamOptions{.lr = 0.01, .beta1 = 0.8, .beta2 = 0.95, .epsilon = 1e-3, .weight_decay = 0.3},
      [] { return adam_rule(0.01, 0.8, 0.95, 1e-3, 0.3, 0); });
  five_steps<optim::AdamW>(
      optim::AdamWOptions{.lr = 0.01, .beta1 = 0.8, .beta2 = 0.95, .epsilon = 1e-3, .weight_decay = 0.3},
      [] { return adam_rule(0.01, 0.8, 0.95, 1e-3, 0, 0.3); });
}

TEST_CASE("a step counts once for all parameters") {
  Parameter a(tensor(1.0, f64)), b(tensor(1.0, f64));
  optim::Adam adam({a, b});
  for (int t = 0; t < 3; ++t) {
    give_gradient(a, {0.5});
    give_gradient(b, {0.5});
    adam.step();
  }
  CHECK(adam.steps() == 3);
  CHECK(a.value().item() == b.value().item());
}

TEST_CASE("a step uses the gradients up, and backwards before it add up") {
  Line line;
  optim::SGD sgd(line, {.lr = 0.25});
  square_backward(line);
  square_backward(line);
  sgd.step();
  CHECK(line.slope.value().item() == 0.0);  // 2 - 0.25·(4 + 4)
  CHECK(line.shift.value().item() == -2.0);
  CHECK_FALSE(line.slope.has_grad());
  CHECK_THROWS_WITH_AS(sgd.step(),
                       "SGD::step: no parameter has a gradient; call backward() on a loss first\n"
                       "  help: a model that was replaced by another since has other parameters",
                       GraphError);
  CHECK(sgd.steps() == 1);
}

TEST_CASE("gradients that wait for a step can be thrown away") {
  Line line;
  optim::SGD sgd(line);
  square_backward(line);
  sgd.clear_gradients();
  CHECK_FALSE(line.slope.has_grad());
}

TEST_CASE("neither a gradient nor a value that someone still holds is changed by a step") {
  Parameter w(tensor({1, 2, 3}));
  const Tensor before = w.value();
  give_gradient(w, {1, 1, 1});
  const Tensor gradient = w.grad();
  optim::SGD sgd({w}, {.lr = 1.0, .weight_decay = 0.5});
  sgd.step();
  CHECK(before.to_vector<double>() == Numbers{1, 2, 3});
  CHECK(gradient.to_vector<double>() == Numbers{1, 1, 1});
  CHECK(w.value().to_vector<double>() == Numbers{-0.5, 0, 0.5});
}

TEST_CASE("parameters that the loss does not reach are named, and nothing changes") {
  Decoder decoder;
  optim::Adam adam(decoder);
  const auto before = decoder.a.weight.value().to_vector<float>();
  const auto backward = [&](int used) {
    Graph graph;
    sum(decoder(ones({1, 2}), used)).backward();
  };
  backward(3);
  CHECK_THROWS_WITH_AS(adam.step(),
                       "Adam::step: 2 of 8 parameters got no gradient since the last step: out.weight [2, 3], out.bias "
                       "[2]; they are not connected to the loss\n"
                       "  help: if that is meant, set allow_missing among the optimizer's options",
                       GraphError);
  CHECK(decoder.a.weight.value().to_vector<float>() == before);
  CHECK(decoder.a.weight.has_grad());
  CHECK(adam.steps() == 0);

  adam.clear_gradients();
  backward(1);
  CHECK_THROWS_WITH_AS(
      adam.step(),
      "Adam::step: 6 of 8 parameters got no gradient since the last step: b.weight [3, 3], b.bias [3], "
      "c.weight [3, 3], c.bias [3], out.weight [2, 3] (+1 more); they are not connected to the loss\n"
      "  help: if that is meant, set allow_missing among the optimizer's options",
      GraphError);
}

TEST_CASE("a parameter without a name goes by its place in the list") {
  Parameter a(zeros({2})), b(zeros({3, 1}));
  optim::SGD sgd({a, b});
  give_gradient(a, {1, 1});
  CHECK_THROWS_WITH_AS(
      sgd.step(),
      "SGD::step: 1 of 2 parameters got no gradient since the last step: parameter 1 [3, 1]; it is not "
      "connected to the loss\n  help: if that is meant, set allow_missing among the optimizer's options",
      GraphError);
}

TEST_CASE("with allow_missing, parameters without a gradient rest") {
  Decoder decoder;
  optim::AdamW adam(decoder, {.allow_missing = true});
  const auto resting = decoder.out.weight.value().to_vector<float>();
  const auto training = decoder.a.weight.value().to_vector<float>();
  {
    Graph graph;
    sum(decoder(ones({1, 2}), 3)).backward();
  }
  adam.step();
  CHECK(decoder.out.weight.value().to_vector<float>() == resting);
  CHECK(decoder.a.weight.value().to_vector<float>() != training);
  CHECK_THROWS_AS(adam.step(), GraphError);
}

TEST_CASE("an optimizer goes on when its model moves") {
  Line line;
  optim::SGD sgd(line, {.lr = 0.25});
  std::vector<Line> elsewhere;
  elsewhere.push_back(std::move(line));
  square_backward(elsewhere[0]);
  sgd.step();
  CHECK(elsewhere[0].slope.value().item() == 1.0);  // 2 - 0.25·4
}

TEST_CASE("an optimizer goes on when its model is assigned new numbers") {
  Line line, other;
  optim::SGD sgd(line, {.lr = 0.25});
  other.slope.assign(tensor(4.0, f64));
  line = other;
  square_backward(line);
  sgd.step();
  CHECK(line.slope.value().item() == 2.0);  // 4 - 0.25·8
  CHECK(other.slope.value().item() == 4.0);

  nn::Sequential model{nn::Dense(2, 1)}, prototype{nn::Dense(2, 1)};
  optim::SGD for_model(model, {.lr = 1.0});
  model = prototype;
  {
    Graph graph;
    sum(model(ones({1, 2}))).backward();
  }
  for_model.step();
  CHECK(model.at<nn::Dense>(0).bias.value().item() == -1.0);
  CHECK(prototype.at<nn::Dense>(0).bias.value().item() == 0.0);
}

TEST_CASE("an optimizer takes a model, its named parameters, a list, or one parameter") {
  nn::Sequential model{nn::Dense(2, 3), nn::ReLU(), nn::Dense(3, 1)};
  auto named = nn::parameters(model);
  Parameter w(zeros({2})), b(zeros({1}));
  CHECK(optim::Adam(model).parameters().size() == 4);
  CHECK(optim::Adam(named).parameters().size() == 4);
  CHECK(optim::Adam(nn::parameters(model)).parameters().size() == 4);
  CHECK(optim::Adam(model.at<nn::Dense>(2)).parameters().size() == 2);
  std::vector<Parameter> several{w, b};
  CHECK(optim::Adam(several).parameters().size() == 2);
  CHECK(optim::Adam({w, b}).parameters().size() == 2);
  CHECK(optim::Adam({w}).parameters().size() == 1);
  CHECK(optim::Adam({w}, {.lr = 0.1}).parameters().size() == 1);
}

TEST_CASE("the learning rate can be read, and set between steps") {
  Parameter w(tensor(1.0, f64));
  optim::SGD sgd({w}, {.lr = 0.5});
  CHECK(sgd.lr() == 0.5);
  sgd.lr(0.25);
  give_gradient(w, {1.0});
  sgd.step();
  CHECK(w.value().item() == 0.75);
  sgd.lr(0);
  give_gradient(w, {1.0});
  sgd.step();
  CHECK(w.value().item() == 0.75);
  CHECK_THROWS_WITH_AS(sgd.lr(-1), "SGD: lr must not be negative, got -1", UsageError);
  CHECK(sgd.lr() == 0);
}

TEST_CASE("a group has a step size and a weight decay of its own, and lr(rate) changes all in proportion") {
  Decoder decoder;
  Parameter w(tensor(1.0, f64)), v(tensor(1.0, f64)), u(tensor(1.0, f64));
  optim::SGD sgd({{w, {.lr = 0.25}}, {v, {.weight_decay = 1}}, {u, {}}, {decoder, {.lr = 0}}},
                 {.lr = 0.5, .allow_missing = true});
  CHECK(sgd.group_lr(0) == 0.25);
  CHECK(sgd.group_lr(1) == 0.5);
}

TEST_CASE("options that make no sense are refused with a sentence") {
  Parameter w(zeros({2}));
  CHECK_THROWS_WITH_AS(optim::SGD({w}, {.lr = -0.1}), "SGD: lr must be positive, got -0.1", UsageError);
  CHECK_THROWS_WITH_AS(optim::SGD({w}, {.lr = std::nan("")}), "SGD: lr must be positive, got nan", UsageError);
  CHECK_THROWS_WITH_AS(optim::SGD({w}, {.momentum = 1}), "SGD: momentum must be in [0, 1), got 1", UsageError);
  CHECK_THROWS_WITH_AS(optim::SGD({w}, {.weight_decay = -1}), "SGD: weight_decay must not be negative, got -1",
                       UsageError);
  CHECK_THROWS_WITH_AS(optim::SGD({w}, {.nesterov = true}),
                       "SGD: nesterov looks ahead along the momentum, and momentum is 0", UsageError);
  CHECK_THROWS_WITH_AS(optim::Adam({w}, {.lr = 0}), "Adam: lr must be positive, got 0", UsageError);
  CHECK_THROWS_WITH_AS(optim::Adam({w}, {.beta1 = 1.5}), "Adam: beta1 must be in [0, 1), got 1.5", UsageError);
  CHECK_THROWS_WITH_AS(optim::Adam({w}, {.beta2 = -0.5}), "Adam: beta2 must be in [0, 1), got -0.5", UsageError);
  CHECK_THROWS_WITH_AS(optim::AdamW({w}, {.epsilon = 0}), "AdamW: epsilon must be positive, also as an f32, got 0",
                       UsageError);
  CHECK_THROWS_WITH_AS(optim::AdamW({w}, {.weight_decay = -2}), "AdamW: weight_decay must not be negative, got -2",
                       UsageError);
}

TEST_CASE("a list that cannot be trained is refused") {
  Parameter w(zeros({2}));
  nn::Sequential empty{nn::ReLU()};
  CHECK_THROWS_WITH_AS(optim::Adam{empty}, "Adam: there are no parameters to train", UsageError);
  CHECK_THROWS_WITH_AS(optim::Adam({w, w}), "Adam: parameter 1 [2] is listed twice", UsageError);
}

TEST_CASE("a schedule takes shares of the optimizer's lr, and groups keep their proportions") {
  Parameter w(zeros({2})), v(zeros({2}));
  optim::SGD sgd({{w, {}}, {v, {.lr = 0.25}}}, {.lr = 0.5});
  optim::Schedule schedule(sgd,
                           optim::warm_up({.steps = 4, .start = 0.5}, optim::step_decay({.every = 2, .factor = 0.5})));
  Numbers rates, group;
  for (int t = 0; t < 9; ++t) {
    rates.push_back(sgd.lr());
    group.push_back(sgd.group_lr(1));
    schedule.step();
  }
  CHECK(rates == Numbers{0.25, 0.3125, 0.375, 0.4375, 0.5, 0.5, 0.25, 0.25, 0.125});
  for (std::size_t t = 0; t < rates.size(); ++t) CHECK(group[t] == rates[t] / 2);
}
