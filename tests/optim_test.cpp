// Optimizers: each against its formula written as a plain loop in double.
#include <doctest/doctest.h>
#include <ebb/optim/optim.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <functional>
#include <limits>
#include <memory>
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

/// Runs eight steps over tensors of odd sizes and compares every number with the rule after each.
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
    CHECK(t == 8);
  }
}

template <class Optimizer, class Options>
void eight_steps(const Options& options, const std::function<Rule()>& new_rule) {
  for (const auto& [dtype, tolerance] : {std::pair(f64, 1e-14), std::pair(f32, 2e-6)}) {
    check_against(new_rule, dtype, tolerance, [&](Parameter& w, const std::function<void()>& compare) {
      Optimizer optimizer({w}, options);
      for (std::size_t t = 0; t < 8; ++t) {
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

/// Any other rule that keeps up to three numbers: change(g, t, a, b, c) is what p loses, g holding the L2 decay.
using Change = std::function<double(double g, int t, double& a, double& b, double& c)>;
Rule rule(const Change& change, double l2 = 0, double start = 0) {
  return [=, a = start, b = 0.0, c = 0.0](double p, double g, int t) mutable {
    return p - change(g + l2 * p, t, a, b, c);
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
  eight_steps<optim::SGD>(optim::SGDOptions{.lr = 0.1},
                          [] { return Rule([](double p, double g, int) { return p - 0.1 * g; }); });
}

TEST_CASE("SGD's momentum keeps a share of the old direction") {
  eight_steps<optim::SGD>(optim::SGDOptions{.lr = 0.1, .momentum = 0.9}, [] {
    return Rule([m = 0.0](double p, double g, int) mutable {
      m = 0.9 * m + g;
      return p - 0.1 * m;
    });
  });
}

TEST_CASE("Nesterov's momentum looks one step ahead, and weight decay joins the gradient before it") {
  eight_steps<optim::SGD>(optim::SGDOptions{.lr = 0.1, .momentum = 0.8, .nesterov = true, .weight_decay = 0.05}, [] {
    return Rule([m = 0.0](double p, double g, int) mutable {
      g += 0.05 * p;
      m = 0.8 * m + g;
      return p - 0.1 * (g + 0.8 * m);
    });
  });
}

TEST_CASE("Adam corrects its moments for starting from zero") {
  eight_steps<optim::Adam>(optim::AdamOptions{.lr = 0.01}, [] { return adam_rule(0.01, 0.9, 0.999, 1e-8, 0, 0); });
}

TEST_CASE("Adam's weight decay joins the gradient, AdamW's does not") {
  eight_steps<optim::Adam>(
      optim::AdamOptions{.lr = 0.01, .beta1 = 0.8, .beta2 = 0.95, .epsilon = 1e-3, .weight_decay = 0.3},
      [] { return adam_rule(0.01, 0.8, 0.95, 1e-3, 0.3, 0); });
  eight_steps<optim::AdamW>(
      optim::AdamWOptions{.lr = 0.01, .beta1 = 0.8, .beta2 = 0.95, .epsilon = 1e-3, .weight_decay = 0.3},
      [] { return adam_rule(0.01, 0.8, 0.95, 1e-3, 0, 0.3); });
}

TEST_CASE("AMSGrad divides by the largest second moment so far") {
  eight_steps<optim::Adam>(optim::AdamOptions{.lr = 0.01, .beta2 = 0.3, .amsgrad = true}, [] {
    return rule([](double g, int t, double& m, double& v, double& largest) {
      m = 0.9 * m + 0.1 * g;
      v = 0.3 * v + 0.7 * g * g;
      largest = std::max(largest, v);
      return 0.01 * m / (1 - std::pow(0.9, t)) / (std::sqrt(largest / (1 - std::pow(0.3, t))) + 1e-8);
    });
  });
}

TEST_CASE("Adamax divides by the largest of the gradients that it still knows") {
  eight_steps<optim::Adamax>(optim::AdamaxOptions{.lr = 0.01, .beta2 = 0.5, .epsilon = 1e-3, .weight_decay = 0.1}, [] {
    return rule(
        [](double g, int t, double& m, double& u, double&) {
          m = 0.9 * m + 0.1 * g;
          u = std::max(0.5 * u, std::abs(g) + 1e-3);
          return 0.01 * m / (1 - std::pow(0.9, t)) / u;
        },
        0.1);
  });
}

TEST_CASE("NAdam looks ahead along a momentum that grows") {
  eight_steps<optim::NAdam>(optim::NAdamOptions{.lr = 0.01, .weight_decay = 0.1, .momentum_decay = 0.2}, [] {
    return rule(
        [](double g, int t, double& m, double& v, double& product) {
          const auto mu = [](int i) { return 0.9 * (1 - 0.5 * std::pow(0.96, 0.2 * i)); };
          product = (t == 1 ? 1 : product) * mu(t);
          m = 0.9 * m + 0.1 * g;
          v = 0.999 * v + 0.001 * g * g;
          const double ahead = (1 - mu(t)) * g / (1 - product) + mu(t + 1) * m / (1 - product * mu(t + 1));
          return 0.01 * ahead / (std::sqrt(v / (1 - std::pow(0.999, t))) + 1e-8);
        },
        0.1);
  });
}

TEST_CASE("RAdam goes by the momentum alone until the second moment rests on enough steps") {
  eight_steps<optim::RAdam>(optim::RAdamOptions{.lr = 0.01, .beta2 = 0.9, .weight_decay = 0.1}, [] {
    return rule(
        [](double g, int t, double& m, double& v, double&) {
          m = 0.9 * m + 0.1 * g;
          v = 0.9 * v + 0.1 * g * g;
          const double step = 0.01 * m / (1 - std::pow(0.9, t)), decayed = std::pow(0.9, t);
          const double most = 19, now = most - 2 * t * decayed / (1 - decayed);
          CHECK((now > 5) == (t > 5));
          if (now <= 5) return step;
          const double r = std::sqrt((now - 4) * (now - 2) * most / ((most - 4) * (most - 2) * now));
          return step * r * std::sqrt(1 - decayed) / (std::sqrt(v) + 1e-8);
        },
        0.1);
  });
}

TEST_CASE("RMSprop divides by the size of the gradient, or by its deviation, and can have momentum") {
  for (const bool centered : {false, true}) {
    for (const double momentum : {0.0, 0.7}) {
      CAPTURE(centered);
      CAPTURE(momentum);
      eight_steps<optim::RMSprop>(optim::RMSpropOptions{.lr = 0.01,
                                                        .alpha = 0.8,
                                                        .epsilon = 0.1,
                                                        .weight_decay = 0.1,
                                                        .momentum = momentum,
                                                        .centered = centered},
                                  [=] {
                                    return rule(
                                        [=](double g, int, double& v, double& mean, double& b) {
                                          v = 0.8 * v + 0.2 * g * g;
                                          mean = 0.8 * mean + 0.2 * g;
                                          b = momentum * b + g / (std::sqrt(centered ? v - mean * mean : v) + 0.1);
                                          return 0.01 * b;
                                        },
                                        0.1);
                                  });
    }
  }
}

TEST_CASE("a centered RMSprop of gradients that never change has no negative variance") {
  Parameter w(tensor({0.1, 0.3, 0.7}));
  optim::RMSprop rmsprop({w}, {.alpha = 0.5, .centered = true});
  for (int t = 0; t < 200; ++t) {
    give_gradient(w, {0.1, 0.3, 0.7});
    rmsprop.step();
  }
  for (const double x : w.value().to_vector<double>()) CHECK(std::isfinite(x));
}

TEST_CASE("Adagrad divides by all gradients so far") {
  eight_steps<optim::Adagrad>(
      optim::AdagradOptions{.lr = 0.1, .lr_decay = 0.2, .weight_decay = 0.1, .initial_accumulator = 0.5}, [] {
        return rule(
            [](double g, int t, double& s, double&, double&) {
              s += g * g;
              return 0.1 / (1 + 0.2 * (t - 1)) * g / (std::sqrt(s) + 1e-10);
            },
            0.1, 0.5);
      });
}

TEST_CASE("Adadelta scales its steps by the steps before") {
  eight_steps<optim::Adadelta>(optim::AdadeltaOptions{.lr = 0.5, .weight_decay = 0.1}, [] {
    return rule(
        [](double g, int, double& v, double& u, double&) {
          v = 0.9 * v + 0.1 * g * g;
          const double d = std::sqrt((u + 1e-6) / (v + 1e-6)) * g;
          u = 0.9 * u + 0.1 * d * d;
          return 0.5 * d;
        },
        0.1);
  });
}

TEST_CASE("Lion's steps have one size, and its weight decay is decoupled") {
  eight_steps<optim::Lion>(optim::LionOptions{.lr = 0.01, .weight_decay = 0.3}, [] {
    return Rule([m = 0.0](double p, double g, int) mutable {
      const double direction = 0.9 * m + 0.1 * g;
      m = 0.99 * m + 0.01 * g;
      return p - 0.01 * 0.3 * p - 0.01 * ((direction > 0) - (direction < 0));
    });
  });
  Parameter w(tensor({1.0, 2.0}, f64));
  optim::Lion lion({w});
  give_gradient(w, {0, std::nan("")});
  lion.step();
  CHECK(w.value().to_vector<double>()[0] == 1);
  CHECK(std::isnan(w.value().to_vector<double>()[1]));
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
  Parameter w(tensor(1.0, f64)), v(tensor(1.0, f64)), u(tensor(1.0, f64)), x(zeros({2})), y(zeros({2}));
  optim::SGD sgd({{w, {.lr = 0.25}}, {v, {.weight_decay = 1}}, {u, {}}, {decoder, {.lr = 0}}, {{x, y}, {.lr = 2}}},
                 {.lr = 0.5, .allow_missing = true});
  CHECK(sgd.parameters().size() == 13);
  const auto step = [&] {
    for (Parameter* p : {&w, &v, &u}) give_gradient(*p, {1});
    sgd.step();
  };
  step();
  CHECK(w.value().item() == 0.75);
  CHECK(v.value().item() == 0);  // 1 - 0.5·(1 + 1)
  CHECK(u.value().item() == 0.5);
  sgd.lr(0.25);
  CHECK(sgd.group_lr(0) == 0.125);
  CHECK(sgd.group_lr(1) == 0.25);
  CHECK(sgd.group_lr(3) == 0);
  CHECK(sgd.group_lr(4) == 1);
  CHECK_THROWS_WITH_AS(sgd.group_lr(5), "SGD: there is no group 5; they are 0 to 4", IndexError);
  step();
  CHECK(w.value().item() == 0.625);
  CHECK(v.value().item() == -0.25);
  CHECK(u.value().item() == 0.25);
}

TEST_CASE("groups within a group keep what they set, and take the rest from it") {
  Parameter w(tensor(1.0, f64)), v(tensor(1.0, f64)), u(tensor(1.0, f64));
  const optim::ParameterList inner{{w, {.lr = 0.25}}, {v, {}}};
  optim::SGD sgd({{u, {}}, {inner, {.lr = 2, .weight_decay = 1}}}, {.lr = 0.5});
  CHECK(sgd.group_lr(0) == 0.5);
  CHECK(sgd.group_lr(1) == 0.25);
  CHECK(sgd.group_lr(2) == 2);
  for (Parameter* p : {&w, &v, &u}) give_gradient(*p, {1});
  sgd.step();
  CHECK(w.value().item() == 0.5);
  CHECK(v.value().item() == -3);
  CHECK(u.value().item() == 0.5);
}

TEST_CASE("a group whose lr is 0 rests, and so does what the optimizer was not given") {
  Decoder decoder;
  const auto numbers = [](const nn::Dense& layer) { return layer.weight.value().to_vector<float>(); };
  const auto a = numbers(decoder.a), b = numbers(decoder.b), out = numbers(decoder.out);
  optim::AdamW adam({{decoder.b, {.lr = 0}}, {decoder.c, {}}, {decoder.out, {}}}, {.weight_decay = 0.5});
  for (int t = 0; t < 3; ++t) {
    Graph graph;
    sum(square(decoder(ones({1, 2}), 4))).backward();
    adam.step();
  }
  CHECK(numbers(decoder.a) == a);
  CHECK(numbers(decoder.b) == b);
  CHECK(numbers(decoder.out) != out);
}

TEST_CASE("groups that make no sense are refused with a sentence") {
  Parameter w(zeros({2})), v(zeros({3}));
  CHECK_THROWS_WITH_AS(optim::Adam({{w, {}}, {v, {.lr = -1}}}), "Adam: lr of group 1 must not be negative, got -1",
                       UsageError);
  CHECK_THROWS_WITH_AS(optim::Adam({{w, {.weight_decay = -1}}, {v, {}}}),
                       "Adam: weight_decay of group 0 must not be negative, got -1", UsageError);
  nn::Sequential empty{nn::ReLU()};
  CHECK_THROWS_WITH_AS(optim::Adam({{w, {}}, {empty, {.lr = 1}}}), "Adam: there are no parameters in group 1",
                       UsageError);
  CHECK_THROWS_WITH_AS(optim::Adam({{w, {}}, {w, {}}}), "Adam: parameter 1 [2] is listed twice", UsageError);
  CHECK_THROWS_WITH_AS(optim::LBFGS({{w, {.lr = 1}}}),
                       "LBFGS: all parameters are one vector, so there cannot be groups", UsageError);
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

TEST_CASE("options of the other optimizers that make no sense are refused with a sentence") {
  using namespace optim;
  Parameter w(zeros({2}));
  CHECK_THROWS_WITH_AS(Adamax({w}, {.beta1 = 1}), "Adamax: beta1 must be in [0, 1), got 1", UsageError);
  CHECK_THROWS_WITH_AS(Adamax({w}, {.beta2 = -1}), "Adamax: beta2 must be in [0, 1), got -1", UsageError);
  CHECK_THROWS_WITH_AS(Adamax({w}, {.epsilon = 0}), "Adamax: epsilon must be positive, also as an f32, got 0",
                       UsageError);
  CHECK_THROWS_WITH_AS(NAdam({w}, {.beta1 = 1}), "NAdam: beta1 must be in [0, 1), got 1", UsageError);
  CHECK_THROWS_WITH_AS(NAdam({w}, {.beta2 = 1}), "NAdam: beta2 must be in [0, 1), got 1", UsageError);
  CHECK_THROWS_WITH_AS(NAdam({w}, {.epsilon = -1}), "NAdam: epsilon must be positive, also as an f32, got -1",
                       UsageError);
  CHECK_THROWS_WITH_AS(NAdam({w}, {.momentum_decay = -1}), "NAdam: momentum_decay must not be negative, got -1",
                       UsageError);
  CHECK_THROWS_WITH_AS(RAdam({w}, {.beta1 = 2}), "RAdam: beta1 must be in [0, 1), got 2", UsageError);
  CHECK_THROWS_WITH_AS(RAdam({w}, {.beta2 = 1}), "RAdam: beta2 must be in [0, 1), got 1", UsageError);
  CHECK_THROWS_WITH_AS(RAdam({w}, {.epsilon = 1e-60}), "RAdam: epsilon must be positive, also as an f32, got 1e-60",
                       UsageError);
  CHECK_THROWS_WITH_AS(RMSprop({w}, {.alpha = 1}), "RMSprop: alpha must be in [0, 1), got 1", UsageError);
  CHECK_THROWS_WITH_AS(RMSprop({w}, {.epsilon = 0}), "RMSprop: epsilon must be positive, also as an f32, got 0",
                       UsageError);
  CHECK_THROWS_WITH_AS(RMSprop({w}, {.momentum = 1}), "RMSprop: momentum must be in [0, 1), got 1", UsageError);
  CHECK_THROWS_WITH_AS(Adagrad({w}, {.lr_decay = -1}), "Adagrad: lr_decay must not be negative, got -1", UsageError);
  CHECK_THROWS_WITH_AS(Adagrad({w}, {.epsilon = 0}), "Adagrad: epsilon must be positive, also as an f32, got 0",
                       UsageError);
  CHECK_THROWS_WITH_AS(Adagrad({w}, {.initial_accumulator = -1}),
                       "Adagrad: initial_accumulator must not be negative, got -1", UsageError);
  CHECK_THROWS_WITH_AS(Adadelta({w}, {.rho = 1}), "Adadelta: rho must be in [0, 1), got 1", UsageError);
  CHECK_THROWS_WITH_AS(Adadelta({w}, {.epsilon = 0}), "Adadelta: epsilon must be positive, also as an f32, got 0",
                       UsageError);
  CHECK_THROWS_WITH_AS(Lion({w}, {.beta1 = 1}), "Lion: beta1 must be in [0, 1), got 1", UsageError);
  CHECK_THROWS_WITH_AS(Lion({w}, {.beta2 = 1}), "Lion: beta2 must be in [0, 1), got 1", UsageError);
  CHECK_THROWS_WITH_AS(Lion({w}, {.weight_decay = -1}), "Lion: weight_decay must not be negative, got -1", UsageError);
  CHECK_THROWS_WITH_AS(LBFGS({w}, {.max_iterations = 0}), "LBFGS: max_iterations must be at least 1, got 0",
                       UsageError);
  CHECK_THROWS_WITH_AS(LBFGS({w}, {.max_evaluations = 0}), "LBFGS: max_evaluations must be at least 1, got 0",
                       UsageError);
  CHECK_THROWS_WITH_AS(LBFGS({w}, {.tolerance_gradient = -1}), "LBFGS: tolerance_gradient must not be negative, got -1",
                       UsageError);
  CHECK_THROWS_WITH_AS(LBFGS({w}, {.tolerance_change = -1}), "LBFGS: tolerance_change must not be negative, got -1",
                       UsageError);
  CHECK_THROWS_WITH_AS(LBFGS({w}, {.history = 0}), "LBFGS: history must be at least 1, got 0", UsageError);
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

namespace {

using NewOptimizer = std::function<std::unique_ptr<optim::Optimizer>(Decoder&)>;
template <class Optimizer, class Options> NewOptimizer maker(const Options& options) {
  return [options](Decoder& decoder) { return std::make_unique<Optimizer>(decoder, options); };
}

/// One step down Σ (decoder(x) − 1)², with an x that depends on t.
void train(Decoder& decoder, optim::Optimizer& optimizer, int t) {
  const auto closure = [&] {
    Graph graph;
    const Tensor loss = sum(square(decoder(full({1, 2}, std::sin(t)), 4) - 1));
    loss.backward();
    return loss.item();
  };
  if (auto* const lbfgs = dynamic_cast<optim::LBFGS*>(&optimizer)) {
    lbfgs->step(closure);
  } else {
    closure();
    optimizer.step();
  }
}

std::vector<float> all_numbers(Decoder& decoder) {
  std::vector<float> all;
  for (const auto& [name, parameter] : nn::parameters(decoder))
    for (const float x : parameter.value().to_vector<float>()) all.push_back(x);
  return all;
}

}  // namespace

TEST_CASE("an optimizer that goes on from a saved state equals one that never stopped, bit for bit") {
  using namespace optim;
  const std::vector<NewOptimizer> all{
      maker<SGD>(SGDOptions{.lr = 0.01, .momentum = 0.9}),
      maker<Adam>(AdamOptions{.lr = 0.01, .amsgrad = true}),
      maker<AdamW>(AdamWOptions{.lr = 0.01}),
      maker<Adamax>(AdamaxOptions{}),
      maker<NAdam>(NAdamOptions{}),
      maker<RAdam>(RAdamOptions{.beta2 = 0.9}),
      maker<RMSprop>(RMSpropOptions{.lr = 1e-3, .momentum = 0.5, .centered = true}),
      maker<Adagrad>(AdagradOptions{.lr_decay = 0.1, .initial_accumulator = 0.1}),
      maker<Adadelta>(AdadeltaOptions{}),
      maker<Lion>(LionOptions{}),
      maker<LBFGS>(LBFGSOptions{.lr = 0.1, .max_iterations = 2, .history = 3}),
      maker<LBFGS>(LBFGSOptions{.max_iterations = 2, .line_search = true}),
  };
  for (const NewOptimizer& make : all) {
    seed(1);
    Decoder decoder;
    const auto optimizer = make(decoder);
    CAPTURE(optimizer->name());
    for (int t = 0; t < 4; ++t) train(decoder, *optimizer, t);
    optimizer->lr(optimizer->lr() / 2);
    Decoder resumed = decoder;
    const io::Tensors state = optimizer->state();
    const std::string path = "optim_test_state.safetensors";
    io::write_safetensors(path, state);
    for (int t = 4; t < 8; ++t) train(decoder, *optimizer, t);

    const auto other = make(resumed);
    other->load_state(io::read_safetensors(path));
    std::remove(path.c_str());
    CHECK(other->steps() == 4);
    CHECK(other->lr() == optimizer->lr());
    for (int t = 4; t < 8; ++t) train(resumed, *other, t);
    CHECK(all_numbers(resumed) == all_numbers(decoder));
    CHECK(other->steps() == optimizer->steps());

    // The saved state is a snapshot: what was trained since is not in it, and loading it again leads there again.
    CHECK(state.at("step").item() == 4);
    other->load_state(state);
    CHECK(other->steps() == 4);
  }
}

TEST_CASE("a state names what is kept by PyTorch's names and the path in the model") {
  nn::Sequential model{nn::Dense(2, 1)};
  Parameter a(zeros({2})), b(zeros({}, f64));
  const auto names = [](const io::Tensors& state) {
    std::string all;
    for (const auto& [name, tensor] : state) all += name + " " + to_string(tensor.shape()) + " ";
    return all;
  };
  CHECK(names(optim::Adam(model).state()) ==
        "exp_avg.0.bias [1] exp_avg.0.weight [1, 2] exp_avg_sq.0.bias [1] exp_avg_sq.0.weight [1, 2] lr [] step [] ");
  CHECK(names(optim::SGD({a, b}, {.momentum = 0.9}).state()) ==
        "lr [] momentum_buffer.0 [2] momentum_buffer.1 [] step [] ");
  nn::Dense c(1, 1), d(1, 1);
  CHECK(names(optim::RMSprop({{c, {}}, {d, {.lr = 1}}}).state()) ==
        "lr [] square_avg.0 [1, 1] square_avg.1 [1] square_avg.2 [1, 1] square_avg.3 [1] step [] ");
  CHECK(names(optim::NAdam({b}).state()) == "exp_avg.0 [] exp_avg_sq.0 [] lr [] mu_product [] step [] ");
}

TEST_CASE("a state that is not this optimizer's is refused whole") {
  Parameter w(zeros({2})), v(zeros({3}, f64));
  optim::NAdam nadam({w, v}, {.lr = 0.5});
  give_gradient(w, {1, 1});
  give_gradient(v, {1, 1, 1});
  nadam.step();
  const io::Tensors good = nadam.state();
  const auto changed = [&](const std::string& name, const Tensor& value) {
    io::Tensors state = good;
    state[name] = value;
    return state;
  };
  const auto check_refused = [&](const io::Tensors& state, const char* message) {
    CHECK_THROWS_WITH_AS(nadam.load_state(state), message, UsageError);
    CHECK(nadam.steps() == 1);
    CHECK(nadam.lr() == 0.5);
    CHECK(nadam.state().at("exp_avg.1").to_vector<double>() == good.at("exp_avg.1").to_vector<double>());
  };
  check_refused(
      {}, "NAdam::load_state: missing: step, lr, exp_avg.0, exp_avg_sq.0, exp_avg.1 (+1 more). Nothing was loaded");
  check_refused(changed("exp_avg.0", zeros({3})),
                "NAdam::load_state: exp_avg.0 is f32 [3], not f32 [2]. Nothing was loaded");
  check_refused(changed("exp_avg.1", zeros({3})),
                "NAdam::load_state: exp_avg.1 is f32 [3], not f64 [3]. Nothing was loaded");
  check_refused(changed("exp_avg.0", Tensor()),
                "NAdam::load_state: exp_avg.0 is nothing, not f32 [2]. Nothing was loaded");
  check_refused(changed("exp_avg.2", zeros({3})), "NAdam::load_state: unknown: exp_avg.2. Nothing was loaded");
  check_refused(changed("step", tensor(-1, i64)), "NAdam::load_state: step is -1. Nothing was loaded");
  check_refused(changed("step", tensor(1.0, f64)), "NAdam::load_state: step is f64 [], not i64 []. Nothing was loaded");
  check_refused(changed("lr", tensor(-1.0, f64)), "NAdam::load_state: lr is -1. Nothing was loaded");
  check_refused(changed("lr", tensor(std::nan(""), f64)), "NAdam::load_state: lr is nan. Nothing was loaded");
  check_refused(changed("mu_product", tensor(2.0, f64)), "NAdam::load_state: mu_product is 2. Nothing was loaded");
  io::Tensors without = good;
  without.erase("mu_product");
  check_refused(without, "NAdam::load_state: missing: mu_product. Nothing was loaded");
  check_refused(optim::SGD({w, v}, {.momentum = 0.5}).state(),
                "NAdam::load_state: missing: exp_avg.0, exp_avg_sq.0, exp_avg.1, exp_avg_sq.1; unknown: "
                "momentum_buffer.0, momentum_buffer.1. Nothing was loaded");
  nn::Sequential model{nn::Dense(2, 1)};
  check_refused(
      optim::NAdam(model).state(),
      "NAdam::load_state: missing: exp_avg.0, exp_avg_sq.0, exp_avg.1, exp_avg_sq.1; unknown: exp_avg.0.bias, "
      "exp_avg.0.weight, exp_avg_sq.0.bias, exp_avg_sq.0.weight. Nothing was loaded");
}

TEST_CASE("an optimizer that was moved from says so") {
  Parameter w(zeros({2}));
  optim::Adam old({w});
  const optim::Adam held = std::move(old);
  const auto message = [](const char* asked) {
    return std::string("Optimizer::") + asked +
           ": this optimizer was moved from\n  help: use the one that it was moved to";
  };
  CHECK_THROWS_WITH_AS(old.step(), message("step").c_str(), UsageError);
  CHECK_THROWS_WITH_AS(old.state(), message("state").c_str(), UsageError);
  CHECK_THROWS_WITH_AS(old.load_state(held.state()), message("load_state").c_str(), UsageError);
  CHECK_THROWS_WITH_AS(old.group_lr(0), message("group_lr").c_str(), UsageError);
  nn::Dense dense(1, 1);
  CHECK_THROWS_WITH_AS(
      optim::Trainer(dense, old, {.loss = nn::mse_loss}),
      "Trainer: the optimizer was moved from\n  help: make the Trainer with the one that it was moved to", UsageError);
}

TEST_CASE("a state that was loaded is not changed by the steps that follow") {
  Parameter w(zeros({2}, f64));
  optim::SGD sgd({w}, {.momentum = 0.9});
  io::Tensors state = sgd.state();
  sgd.load_state(state);
  give_gradient(w, {1, 2});
  sgd.step();
  CHECK(state.at("momentum_buffer.0").to_vector<double>() == Numbers{0, 0});
  CHECK(sgd.state().at("momentum_buffer.0").to_vector<double>() == Numbers{1, 2});
}

TEST_CASE("a state of LBFGS that does not fit is refused") {
  Parameter w(zeros({2}, f64));
  optim::LBFGS lbfgs({w}, {.max_iterations = 4, .history = 2});
  const auto closure = [&] {
    Graph graph;
    const Tensor loss = sum(square(w - tensor({1, 2}, f64)) * tensor({1, 5}, f64));
    loss.backward();
    return loss;
  };
  lbfgs.step(closure);
  const io::Tensors good = lbfgs.state();
  CHECK(good.at("old_dirs").shape() == Shape{2, 2});
  const auto check_refused = [&](const std::string& name, const Tensor& value, const char* message) {
    io::Tensors state = good;
    state[name] = value;
    CHECK_THROWS_WITH_AS(lbfgs.load_state(state), message, UsageError);
    CHECK(lbfgs.steps() == 1);
  };
  check_refused("move", zeros({3}, f64), "LBFGS::load_state: move is f64 [3], not f64 [2]. Nothing was loaded");
  check_refused("old_stps", zeros({1, 2}, f64),
                "LBFGS::load_state: old_stps is f64 [1, 2], not f64 [2, 2]. Nothing was loaded");
  check_refused(
      "old_dirs", Tensor(),
      "LBFGS::load_state: old_dirs is nothing, not f64 [0, 2], old_stps is f64 [2, 2], not f64 [0, 2]. Nothing "
      "was loaded");
  optim::LBFGS forgetful({w}, {.history = 1});
  CHECK_THROWS_WITH_AS(forgetful.load_state(good),
                       "LBFGS::load_state: it knows 2 steps, and history is 1. Nothing was loaded", UsageError);
}

TEST_CASE("LBFGS finds the lowest point of Rosenbrock's valley") {
  Parameter w(tensor({-1.2, 1}, f64));
  optim::LBFGS lbfgs({w},
                     {.max_iterations = 100, .max_evaluations = 200, .tolerance_change = 1e-20, .line_search = true});
  const double first = lbfgs.step([&] {
    Graph graph;
    const Scalar x = Tensor(w)(0), y = Tensor(w)(1);
    const Scalar loss = 100 * square(y - square(x)) + square(1 - x);
    loss.backward();
    return loss.value();
  });
  CHECK(first == doctest::Approx(24.2));
  CHECK(std::abs(w.value().to_vector<double>()[0] - 1) < 1e-6);
  CHECK(std::abs(w.value().to_vector<double>()[1] - 1) < 1e-6);
  CHECK(lbfgs.steps() == 1);
  CHECK_FALSE(w.has_grad());
}

TEST_CASE("LBFGS may compute more losses the more iterations it is given, unless told how many") {
  const auto evaluations = [](const optim::LBFGSOptions& options) {
    Parameter w(tensor({3, -4, 5, 7}, f64));
    optim::LBFGS lbfgs({w}, options);
    int count = 0;
    lbfgs.step([&] {
      ++count;
      Graph graph;
      const Tensor loss = sum(square(square(w)) * tensor({1, 9, 25, 81}, f64));
      loss.backward();
      return loss;
    });
    return count;
  };
  // Without a line search it is one for each iteration, but the last iteration's is not computed.
  CHECK(evaluations({.lr = 1e-3, .max_iterations = 1}) == 1);
  CHECK(evaluations({.lr = 1e-3, .max_iterations = 30}) == 30);
  CHECK(evaluations({.lr = 1e-3, .max_iterations = 30, .max_evaluations = 7}) == 7);
  CHECK(evaluations({.lr = 1e-3, .max_iterations = 40, .max_evaluations = 25}) == 25);
}

TEST_CASE("LBFGS needs a closure, a gradient and finite numbers, and changes nothing without") {
  Parameter w(tensor({3, 4}, f64)), idle(zeros({2}));
  optim::LBFGS lbfgs({w}, {.lr = 1e200, .max_iterations = 5});
  optim::Optimizer& base = lbfgs;
  const char* const message =
      "LBFGS::step: it computes the loss several times, and must be told how\n"
      "  help: step([&] { Graph graph; ...; loss.backward(); return loss; })";
  CHECK_THROWS_WITH_AS(lbfgs.step(), message, UsageError);
  give_gradient(w, {1, 1});
  CHECK_THROWS_WITH_AS(base.step(), message, UsageError);
  CHECK_THROWS_WITH_AS(lbfgs.step(), message, UsageError);
  CHECK(w.has_grad());
  CHECK_THROWS_WITH_AS(lbfgs.step([] { return 1.0; }),
                       "LBFGS::step: no parameter has a gradient; call backward() on a loss first\n"
                       "  help: a model that was replaced by another since has other parameters",
                       GraphError);
  const auto quartic = [&] {
    Graph graph;
    const Tensor loss = sum(square(square(w)));
    loss.backward();
    return loss.item();
  };
  CHECK_THROWS_WITH_AS(lbfgs.step(quartic),
                       "LBFGS::step: the loss is inf, and the largest number of its gradient inf\n"
                       "  help: try line_search, or a smaller lr",
                       UsageError);
  int calls = 0;
  CHECK_THROWS_WITH_AS(lbfgs.step([&]() -> double {
    if (++calls == 2) throw UsageError("enough");
    return quartic();
  }),
                       "enough", UsageError);
  CHECK(w.value().to_vector<double>() == Numbers{3, 4});
  CHECK(lbfgs.steps() == 0);
  CHECK(lbfgs.state().size() == 3);

  optim::LBFGS with_idle({w, idle}, {.lr = 0.01, .allow_missing = true});
  with_idle.step(quartic);
  CHECK(idle.value().to_vector<double>() == Numbers{0, 0});
}

TEST_CASE("a line search comes back from where the loss is not finite") {
  Parameter w(tensor({1, 2}, f64));
  optim::LBFGS lbfgs({w}, {.lr = 100, .max_iterations = 1, .line_search = true});
  bool was_infinite = false;
  const auto loss = [&] {
    Graph graph;
    const Tensor value = sum(exp(square(w)));
    value.backward();
    was_infinite |= std::isinf(value.item());
    return value.item();
  };
  const double before = lbfgs.step(loss);
  CHECK(was_infinite);
  CHECK(loss() < before / 2);
}

TEST_CASE("what goes lower than its tolerance is left alone by LBFGS") {
  Parameter w(tensor({1e-9, -1e-9}, f64)), nothing(zeros({0}));
  optim::LBFGS lbfgs({w}), empty({nothing});
  lbfgs.step([&] {
    Graph graph;
    const Tensor loss = sum(square(w));
    loss.backward();
    return loss;
  });
  CHECK(w.value().to_vector<double>() == Numbers{1e-9, -1e-9});
  empty.step([&] {
    Graph graph;
    const Tensor loss = sum(square(nothing));
    loss.backward();
    return loss;
  });
  CHECK(empty.steps() == 1);
}

TEST_CASE("gradients are clipped together by their norm, which is told") {
  Parameter a(zeros({2})), b(zeros({1}, f64)), idle(zeros({3}));
  give_gradient(a, {3, 0});
  give_gradient(b, {-4});
  CHECK(optim::clip_grad_norm({a, b, idle}, 10) == 5);
  CHECK(a.grad().to_vector<double>() == Numbers{3, 0});
  const Tensor held = a.grad();
  CHECK(optim::clip_grad_norm({a, b, idle}, 2.5) == 5);
  CHECK(a.grad().to_vector<double>() == Numbers{1.5, 0});
  CHECK(b.grad().to_vector<double>() == Numbers{-2});
  CHECK(held.to_vector<double>() == Numbers{3, 0});

  Line line;
  square_backward(line);
  optim::SGD sgd(line);
  CHECK(optim::clip_grad_norm(line, 1) == doctest::Approx(4 * std::sqrt(2)));
  CHECK(optim::clip_grad_norm(sgd.parameters(), 1) == doctest::Approx(1));
}

TEST_CASE("a norm whose square has no place in a double is found all the same") {
  Parameter a(zeros({2}, f64));
  for (const double size : {1e200, 1e-200, 1e-310}) {
    a.clear_grad();
    give_gradient(a, {3 * size, 4 * size});
    CHECK(std::abs(optim::clip_grad_norm({a}, size / 2) / size - 5) < 1e-6);
    CHECK(std::abs(optim::clip_grad_norm({a}, size) / size - 0.5) < 1e-6);
  }
  a.clear_grad();
  give_gradient(a, {0, 0});
  CHECK(optim::clip_grad_norm({a}, 1) == 0);
}

TEST_CASE("a norm that is not finite is told, and nothing is clipped by it") {
  Parameter a(zeros({2}));
  for (const double bad : {std::nan(""), HUGE_VAL}) {
    a.clear_grad();
    give_gradient(a, {1, bad});
    const double norm = optim::clip_grad_norm({a}, 0.5);
    CHECK((std::isnan(bad) ? std::isnan(norm) : norm == bad));
    CHECK(a.grad().to_vector<double>()[0] == 1);
  }
  CHECK_THROWS_WITH_AS(optim::clip_grad_norm({a}, 0.5, {.error_if_nonfinite = true}),
                       "clip_grad_norm: the norm of the gradients is inf, so they cannot be clipped", UsageError);
}

TEST_CASE("gradients are clipped number by number") {
  Parameter a(zeros({4}));
  give_gradient(a, {3, -0.25, std::nan(""), -HUGE_VAL});
  optim::clip_grad_value({a}, 0.5);
  const Numbers clipped = a.grad().to_vector<double>();
  CHECK(clipped[0] == 0.5);
  CHECK(clipped[1] == -0.25);
  CHECK(std::isnan(clipped[2]));
  CHECK(clipped[3] == -0.5);
}

TEST_CASE("there must be a gradient and a bound to clip") {
  Parameter a(zeros({4}));
  CHECK_THROWS_WITH_AS(optim::clip_grad_norm({a}, 1),
                       "clip_grad_norm: no parameter has a gradient; call backward() on a loss first", GraphError);
  CHECK_THROWS_WITH_AS(optim::clip_grad_value({a}, 1),
                       "clip_grad_value: no parameter has a gradient; call backward() on a loss first", GraphError);
  give_gradient(a, {1, 1, 1, 1});
  CHECK_THROWS_WITH_AS(optim::clip_grad_norm({a}, 0), "clip_grad_norm: max_norm must be positive, got 0", UsageError);
  CHECK_THROWS_WITH_AS(optim::clip_grad_value({a}, std::nan("")),
                       "clip_grad_value: the bound must be positive, got nan", UsageError);
}

namespace {

struct Counter {
  Parameter w{tensor({1, 2})}, v{tensor(1.0, f64)};
  Tensor seen{tensor(0.0)};
  EBB_FIELDS(w, v, seen)
};

}  // namespace

TEST_CASE("the average of a model follows it, and takes its buffers") {
  Counter model, average = model;
  model.w.assign(tensor({3, 6}));
  model.v.assign(tensor(5.0, f64));
  model.seen = tensor(7.0);
  const Tensor before = average.w.value();
  optim::ema_update(average, model, 0.75);
  CHECK(average.w.value().to_vector<double>() == Numbers{1.5, 3});
  CHECK(average.v.value().item() == 2);
  CHECK(average.seen.item() == 7);
  CHECK(model.w.value().to_vector<double>() == Numbers{3, 6});
  CHECK(before.to_vector<double>() == Numbers{1, 2});
}

TEST_CASE("an average must be a copy of its model") {
  Counter model, average = model;
  nn::Dense small(1, 2), large(1, 3);
  CHECK_THROWS_WITH_AS(optim::ema_update(average, model, 1.5), "ema_update: decay must be in [0, 1], got 1.5",
                       UsageError);
  CHECK_THROWS_WITH_AS(optim::ema_update(model, model, 0.5),
                       "ema_update: w is the same parameter in both; the average must be a copy", UsageError);
  CHECK_THROWS_WITH_AS(optim::ema_update(small, large, 0.5),
                       "ema_update: weight is f32 [2, 1] in the average, f32 [3, 1] in the model", UsageError);
  nn::Sequential one{nn::Dense(1, 2)}, two{nn::Dense(1, 2), nn::Dense(2, 1)};
  CHECK_THROWS_WITH_AS(optim::ema_update(one, two, 0.5),
                       "ema_update: one model has 2 parameters and 0 buffers, the other 4 and 0", UsageError);
}

TEST_CASE("a schedule that goes on from a saved state gives the rates of one that never stopped") {
  Parameter w(zeros({2}));
  for (const bool plateau : {false, true}) {
    const auto make = [&](optim::SGD& sgd) -> std::unique_ptr<optim::Schedule> {
      if (plateau) return std::make_unique<optim::Plateau>(sgd, optim::PlateauOptions{.patience = 1, .cooldown = 1});
      return std::make_unique<optim::Schedule>(sgd, optim::cosine({.steps = 12}));
    };
    optim::SGD sgd({w}, {.lr = 0.5}), other({w}, {.lr = 0.25});
    const auto schedule = make(sgd), resumed = make(other);
    for (int t = 0; t < 4; ++t) schedule->step(1.0);
    resumed->load_state(schedule->state());
    CHECK(resumed->steps() == 4);
    CHECK(resumed->base_lr() == 0.5);
    for (int t = 0; t < 6; ++t) {
      CHECK(other.lr() == sgd.lr());
      schedule->step(1.0);
      resumed->step(1.0);
    }
    CHECK(sgd.lr() < 0.06);
  }
}

TEST_CASE("schedules stay where they end") {
  CHECK(optim::cosine({.steps = 5, .floor = 0.25})(1000) == 0.25);
  CHECK(optim::polynomial({.steps = 5, .floor = 0.25})(1000) == 0.25);
  CHECK(optim::one_cycle({.steps = 5, .finish = 0.25})(1000) == 0.25);
  CHECK(optim::one_cycle({.steps = 1})(0) == 1);
  CHECK(optim::warm_up({.steps = 5})(1000) == 1);
  CHECK(optim::cosine_restarts({.steps = 1, .growth = 3})(std::numeric_limits<std::int64_t>::max()) >= 0);
}

TEST_CASE("schedules that make no sense are refused with a sentence") {
  using namespace optim;
  CHECK_THROWS_WITH_AS(step_decay({.every = 0}), "step_decay: every must be at least 1, got 0", UsageError);
  CHECK_THROWS_WITH_AS(step_decay({.factor = 0}), "step_decay: factor must be positive, got 0", UsageError);
  CHECK_THROWS_WITH_AS(multi_step({.at = {3, 3}}), "multi_step: at must rise from 0 on, got 3", UsageError);
  CHECK_THROWS_WITH_AS(multi_step({.at = {-1}}), "multi_step: at must rise from 0 on, got -1", UsageError);
  CHECK_THROWS_WITH_AS(multi_step({.factor = -1}), "multi_step: factor must be positive, got -1", UsageError);
  CHECK_THROWS_WITH_AS(exponential(HUGE_VAL), "exponential: factor must be positive, got inf", UsageError);
  CHECK_THROWS_WITH_AS(polynomial({}), "polynomial: steps must be at least 1, got 0", UsageError);
  CHECK_THROWS_WITH_AS(polynomial({.steps = 1, .power = 0}), "polynomial: power must be positive, got 0", UsageError);
  CHECK_THROWS_WITH_AS(polynomial({.steps = 1, .floor = 2}), "polynomial: floor must be in [0, 1], got 2", UsageError);
  CHECK_THROWS_WITH_AS(cosine({}), "cosine: steps must be at least 1, got 0", UsageError);
  CHECK_THROWS_WITH_AS(cosine({.steps = 1, .floor = -1}), "cosine: floor must be in [0, 1], got -1", UsageError);
  CHECK_THROWS_WITH_AS(cosine_restarts({}), "cosine_restarts: steps must be at least 1, got 0", UsageError);
  CHECK_THROWS_WITH_AS(cosine_restarts({.steps = 1, .growth = 0}), "cosine_restarts: growth must be at least 1, got 0",
                       UsageError);
  CHECK_THROWS_WITH_AS(cosine_restarts({.steps = 1, .floor = 2}), "cosine_restarts: floor must be in [0, 1], got 2",
                       UsageError);
  CHECK_THROWS_WITH_AS(one_cycle({}), "one_cycle: steps must be at least 1, got 0", UsageError);
  CHECK_THROWS_WITH_AS(one_cycle({.steps = 1, .rising = 1}), "one_cycle: rising must be in (0, 1), got 1", UsageError);
  CHECK_THROWS_WITH_AS(one_cycle({.steps = 1, .start = 2}), "one_cycle: start must be in [0, 1], got 2", UsageError);
  CHECK_THROWS_WITH_AS(one_cycle({.steps = 1, .finish = 2}), "one_cycle: finish must be in [0, 1], got 2", UsageError);
  CHECK_THROWS_WITH_AS(warm_up({}), "warm_up: steps must be at least 1, got 0", UsageError);
  CHECK_THROWS_WITH_AS(warm_up({.steps = 1, .start = 2}), "warm_up: start must be in [0, 1], got 2", UsageError);

  Parameter w(zeros({2}));
  SGD sgd({w}, {.lr = 0.5});
  CHECK_THROWS_WITH_AS(Schedule(sgd, nullptr),
                       "Schedule: there is no function; give one, e.g. optim::cosine({.steps = 1000})", UsageError);
  CHECK_THROWS_WITH_AS(Plateau(sgd, {.factor = 1}), "Plateau: factor must be in (0, 1), got 1", UsageError);
  CHECK_THROWS_WITH_AS(Plateau(sgd, {.patience = -1}), "Plateau: patience must not be negative, got -1", UsageError);
  CHECK_THROWS_WITH_AS(Plateau(sgd, {.threshold = -1}), "Plateau: threshold must not be negative, got -1", UsageError);
  CHECK_THROWS_WITH_AS(Plateau(sgd, {.cooldown = -1}), "Plateau: cooldown must not be negative, got -1", UsageError);
  CHECK_THROWS_WITH_AS(Plateau(sgd, {.floor = 2}), "Plateau: floor must be in [0, 1], got 2", UsageError);
  Plateau plateau(sgd);
  CHECK_THROWS_WITH_AS(plateau.step(), "Plateau::step: it wants what was measured: schedule.step(loss)", UsageError);
  CHECK(plateau.steps() == 0);
  Schedule falling(sgd, [](std::int64_t t) { return 1 - 0.75 * static_cast<double>(t); });
  falling.step();
  CHECK_THROWS_WITH_AS(falling.step(), "Schedule: the share of lr at step 2 must not be negative, got -0.5",
                       UsageError);
  CHECK(falling.steps() == 1);
  CHECK(sgd.lr() == 0.125);
  sgd.lr(0);
  CHECK_THROWS_WITH_AS(Schedule(sgd, exponential(0.5)),
                       "Schedule: the optimizer's lr is 0, and so is every share of it", UsageError);
}

TEST_CASE("a state that is not this schedule's is refused whole") {
  Parameter w(zeros({2}));
  optim::SGD sgd({w}, {.lr = 0.5});
  optim::Schedule schedule(sgd, optim::exponential(0.5));
  optim::Plateau plateau(sgd);
  schedule.step();
  const auto check_refused = [&](optim::Schedule& one, const std::string& name, const Tensor& value,
                                 const char* message) {
    io::Tensors state = one.state();
    state[name] = value;
    CHECK_THROWS_WITH_AS(one.load_state(state), message, UsageError);
    CHECK(sgd.lr() == 0.25);
  };
  check_refused(schedule, "step", tensor(-3, i64), "Schedule::load_state: step is -3. Nothing was loaded");
  check_refused(schedule, "base_lr", tensor(0.0, f64), "Schedule::load_state: base_lr is 0. Nothing was loaded");
  check_refused(schedule, "best", tensor(0.0, f64), "Schedule::load_state: unknown: best. Nothing was loaded");
  check_refused(plateau, "best", tensor(std::nan(""), f64), "Plateau::load_state: best is nan. Nothing was loaded");
  check_refused(plateau, "share", tensor(2.0, f64), "Plateau::load_state: share is 2. Nothing was loaded");
  check_refused(plateau, "bad", tensor(-2, i64), "Plateau::load_state: bad is -2. Nothing was loaded");
  CHECK_THROWS_WITH_AS(plateau.load_state(schedule.state()),
                       "Plateau::load_state: missing: share, best, bad, resting. Nothing was loaded", UsageError);
}

TEST_CASE("a measurement that is NaN is no better, and the first number is better than none") {
  Parameter w(zeros({2}));
  optim::SGD sgd({w}, {.lr = 0.5});
  optim::Plateau plateau(sgd, {.factor = 0.5, .patience = 1, .floor = 0.2});
  const auto after = [&](double measured) {
    plateau.step(measured);
    return sgd.lr();
  };
  CHECK(after(std::nan("")) == 0.5);
  CHECK(after(3) == 0.5);
  CHECK(after(std::nan("")) == 0.5);
  CHECK(after(HUGE_VAL) == 0.25);
  CHECK(after(4) == 0.25);
  CHECK(after(4) == 0.125);
  CHECK(after(4) == 0.125);
  CHECK(after(4) == 0.1);
}
