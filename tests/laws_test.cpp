// Laws: what must hold between one computation and another, whatever the numbers, on at least 200 random cases each.
#include "draw.h"
#include "folder.h"
#include "op_table.h"
#include "programs.h"
#include "reference.h"

#include <doctest/doctest.h>
#include <ebb/nn/nn.h>

#include <algorithm>
#include <cstring>
#include <limits>

using namespace ebb;
using namespace ebb::programs;
using reference::distance;

namespace {

constexpr std::uint64_t cases = 200;

bool same_bits(double a, double b) { return std::memcmp(&a, &b, sizeof a) == 0; }
bool same_bits(const std::vector<double>& a, const std::vector<double>& b) {
  return a.size() == b.size() &&
         std::equal(a.begin(), a.end(), b.begin(), [](double x, double y) { return same_bits(x, y); });
}
bool same_bits(const Tensor& a, const Tensor& b) {
  return a.shape() == b.shape() && a.dtype() == b.dtype() &&
         same_bits(a.to_vector<double>(), b.to_vector<double>());  // of every type a double can tell apart
}
bool same_bits(const Value& a, const Value& b) {
  if (a.index() != b.index()) return false;
  if (const Scalar* s = std::get_if<Scalar>(&a)) return same_bits(s->value(), std::get<Scalar>(b).value());
  return same_bits(std::get<Tensor>(a), std::get<Tensor>(b));
}

/// Random shapes and numbers.
class Case {
 public:
  explicit Case(std::uint64_t seed) : generator_(seed) {}

  int below(int n) { return static_cast<int>(generator_.below(n)); }
  double uniform() { return 2 * generator_.uniform() - 1; }
  Shape shape(int least_rank, int most_rank) {
    Shape s;
    for (int axes = least_rank + below(most_rank - least_rank + 1); axes > 0; --axes) s = s.inserted(0, 1 + below(5));
    return s;
  }
  Tensor tensor(const Shape& shape) { return randn(shape, f64, generator_); }
  Tensor tensor(int least_rank = 0, int most_rank = 4) { return tensor(shape(least_rank, most_rank)); }
  Tensor positions(const Shape& shape, std::int64_t n) { return randint(0, n, shape, generator_); }
  Tensor permutation(std::int64_t n) { return randperm(n, generator_); }

 private:
  Generator generator_;
};

/// Calls law(case) for each of `cases` seeds.
template <class Law> void for_each_case(Law&& law) {
  for (std::uint64_t seed = 0; seed < cases; ++seed) {
    CAPTURE(seed);
    Case c(seed);
    law(c);
  }
}

/// Smooth functions of a tensor of any shape with at least one axis.
using Function = std::function<Tensor(const Tensor&)>;
const std::vector<Function>& functions() {
  using T = const Tensor&;
  static const auto swish = elementwise("swish", [](auto x) { return x / (1 + exp(-x)); });
  static const std::vector<Function> all = {
      [](T x) { return tanh(x) * x; },
      [](T x) { return softmax(x) * sin(x); },
      [](T x) { return logsumexp(x, 0) + mean(cos(x)); },
      [](T x) { return matmul(flatten(x), 0.1 * flatten(x)) / (1 + sum(square(x))); },
      [](T x) { return log_softmax(x, 0) - var(x, {}, false, 0); },
      [](T x) {
        return swish(x) * reshape(x, {-1, 1})(0, 0);
      },
      [](T x) {
        return concat({sigmoid(x), slice(x, 0, 1) * 2}, 0) + 1;
      },
      [](T x) { return x / sqrt(1 + sum(square(x), -1, true)); },
      [](T x) { return gather(exp(-square(x)), zeros(x.shape(), i64), -1); },
  };
  return all;
}

/// Whether the tensor was recorded, or is a constant among the values of a program.
bool belongs(Graph& graph, const Tensor& t) {
  const std::size_t size = graph.size();
  sum(t);
  return graph.size() > size;
}

/// A number out of all elements, each with a weight of its own.
Tensor weighed(const Tensor& y, double turn = 0) {
  std::vector<double> weights;
  for (int k = 0; k < y.size(); ++k) weights.push_back(std::cos(turn + 1.3 * k));
  return sum(y * from(weights, y.shape()));
}

Tensor gradient_of(const std::function<Tensor(const Tensor&)>& f, const Tensor& at) {
  Graph graph;
  const Tensor x = graph.variable(at);
  f(x).backward();
  return x.grad();
}

/// Where each of 0, ..., n - 1 stands in an order of them.
Tensor inverse_of(const Tensor& order) {
  std::vector<std::int64_t> places(static_cast<std::size_t>(order.size()));
  for (std::int64_t k = 0; k < order.size(); ++k) places[static_cast<std::size_t>(order.data<std::int64_t>()[k])] = k;
  return from(places, order.shape());
}

/// The steps of a program in another order that a reader could have written, and where each went.
std::pair<Program, std::vector<int>> reordered(const Program& program, Case& c) {
  const int n = static_cast<int>(program.steps.size());
  Program other;
  std::vector<int> to(static_cast<std::size_t>(n), -1);
  while (static_cast<int>(other.steps.size()) < n) {
    const auto k = static_cast<std::size_t>(c.below(n));
    Step step = program.steps[k];
    const bool ready = std::all_of(step.in.begin(), step.in.end(), [&](int i) { return to[std::size_t(i)] >= 0; });
    if (to[k] >= 0 || !ready) continue;
    for (int& i : step.in) i = to[static_cast<std::size_t>(i)];
    to[k] = static_cast<int>(other.steps.size());
    other.steps.push_back(std::move(step));
  }
  for (const int output : program.outputs) other.outputs.push_back(to[static_cast<std::size_t>(output)]);
  return {other, to};
}

/// Two programs as one: the steps of each in their order, in turns that `first` takes.  And where each went.
Program merged(const Program& a, const Program& b, const std::function<bool()>& first) {
  Program both;
  std::vector<int> to[2];
  const Program* const of[] = {&a, &b};
  while (to[0].size() < a.steps.size() || to[1].size() < b.steps.size()) {
    const int which = to[0].size() == a.steps.size() ? 1 : to[1].size() == b.steps.size() ? 0 : first() ? 0 : 1;
    Step step = of[which]->steps[to[which].size()];
    for (int& i : step.in) i = to[which][static_cast<std::size_t>(i)];
    to[which].push_back(static_cast<int>(both.steps.size()));
    both.steps.push_back(std::move(step));
  }
  for (const int which : {0, 1})
    for (const int output : of[which]->outputs) both.outputs.push_back(to[which][static_cast<std::size_t>(output)]);
  return both;
}

}  // namespace

// ---- gradients are linear ----------------------------------------------------------------------------------------

TEST_CASE("the gradient of a sum of multiples is the sum of the multiples of the gradients") {
  for_each_case([](Case& c) {
    const Tensor at = c.tensor(1, 3);
    const Function &f = functions()[static_cast<std::size_t>(c.below(9))],
                   &g = functions()[static_cast<std::size_t>(c.below(9))];
    const double a = c.uniform(), b = c.uniform();
    const Tensor whole = gradient_of([&](const Tensor& x) { return a * weighed(f(x)) + b * weighed(g(x), 1); }, at);
    const Tensor parts = a * gradient_of([&](const Tensor& x) { return weighed(f(x)); }, at) +
                         b * gradient_of([&](const Tensor& x) { return weighed(g(x), 1); }, at);
    CHECK(distance(whole, parts) < 1e-13);
  });
}

TEST_CASE("accumulating the same gradient twice doubles it, bit for bit") {
  for_each_case([](Case& c) {
    Parameter p(c.tensor(1, 3));
    const Function& f = functions()[static_cast<std::size_t>(c.below(9))];
    const auto pass = [&] {
      Graph graph;
      weighed(f(p)).backward();
    };
    pass();
    const Tensor once = p.grad();
    pass();
    CHECK(same_bits(p.grad(), once * 2));
  });
}

TEST_CASE("scaling the loss by a power of two scales every gradient, bit for bit") {
  for (std::uint64_t seed = 0; seed < cases; ++seed) {
    CAPTURE(seed);
    const Program program = Draw(seed).program();
    const double scale = std::ldexp(1.0, static_cast<int>(seed % 41) - 20);
    Graph graph;
    Run run(graph, program);
    const Value scaled = std::visit([&](const auto& loss) -> Value { return loss * scale; }, run.loss());
    const Gradients once = run.swept(run.loss(), {.retain = true}), more = run.swept(scaled);
    for (std::size_t l = 0; l < once.size(); ++l) {
      std::vector<double> expected = once[l].second;
      for (double& g : expected) g *= scale;
      CHECK(same_bits(more[l].second, expected));
    }
  }
}

TEST_CASE("<v, J u> is <Jᵀ v, u>") {
  for_each_case([](Case& c) {
    Graph graph;
    const Function& f = functions()[static_cast<std::size_t>(c.below(9))];
    const Tensor x = graph.variable(c.tensor(1, 3)), y = f(x);
    const Tensor u = c.tensor(x.shape()), v = graph.variable(c.tensor(y.shape()));
    const Tensor back = graph.gradient(sum(y * v), x);      // Jᵀ v, linear in v
    const Tensor forth = graph.gradient(sum(back * u), v);  // J u
    const double one = sum(v * forth).item(), other = sum(back * u).item();
    CHECK(one == doctest::Approx(other).epsilon(1e-12));
    CHECK(distance(jvp(f, x, u), forth) < 1e-12);
    CHECK(distance(vjp(f, x, v), back) < 1e-12);
  });
}

// ---- the way a value was made does not matter --------------------------------------------------------------------

TEST_CASE("broadcasting is broadcast_to, in values and gradients") {
  const std::vector<std::function<Tensor(const Tensor&, const Tensor&)>> ops = {
      [](const Tensor& a, const Tensor& b) { return a + b; },
      [](const Tensor& a, const Tensor& b) { return a - b; },
      [](const Tensor& a, const Tensor& b) { return a * b; },
      [](const Tensor& a, const Tensor& b) { return a / (2 + square(b)); },
      [](const Tensor& a, const Tensor& b) { return pow(1 + square(a), b); },
      [](const Tensor& a, const Tensor& b) { return maximum(a, b); },
      [](const Tensor& a, const Tensor& b) { return minimum(a, b); },
      [](const Tensor& a, const Tensor& b) { return xlogy(a, 1 + square(b)); },
      [](const Tensor& a, const Tensor& b) { return where(a > b, sin(a), b * b); },
  };
  for_each_case([&](Case& c) {
    const Shape whole = c.shape(0, 4);
    Shape part = whole;
    for (int axis = 0; axis < part.rank(); ++axis)
      if (c.below(2) == 0) part = part.with(axis, 1);
    while (part.rank() > 0 && part[0] == 1 && c.below(2) == 0) part = part.without(0);
    const Tensor a = c.tensor(whole), b = c.tensor(part);
    for (const auto& op : ops)
      for (const bool swapped : {false, true}) {
        const auto run = [&](bool spread) {
          Graph graph;
          const Tensor x = graph.variable(a), y = graph.variable(b), z = spread ? broadcast_to(y, whole) : y;
          const Tensor value = swapped ? op(z, x) : op(x, z);
          weighed(value).backward();
          return std::vector{detach(value), x.grad(), y.grad()};
        };
        const std::vector<Tensor> implicit = run(false), spelled_out = run(true);
        CHECK(same_bits(implicit[0], spelled_out[0]));
        CHECK(same_bits(implicit[1], spelled_out[1]));
        CHECK(distance(implicit[2], spelled_out[2]) < 1e-13);
      }
  });
}

TEST_CASE("a program written in another order has the same values, bit for bit, and the same gradients") {
  for_each_case([n = std::uint64_t{0}](Case& c) mutable {
    const Program program = Draw(n++).program();
    const auto [other, to] = reordered(program, c);
    Graph graph;
    Run run(graph, program);
    const Gradients here = run.swept();
    Run again(graph, other);
    const Gradients there = again.swept();
    for (std::size_t k = 0; k < to.size(); ++k)
      CHECK(same_bits(run.values()[k], again.values()[static_cast<std::size_t>(to[k])]));
    for (const auto& [leaf, gradient] : here)
      for (const auto& [other_leaf, other_gradient] : there) {
        if (other_leaf != to[static_cast<std::size_t>(leaf)]) continue;
        for (std::size_t i = 0; i < gradient.size(); ++i) CHECK(apart(other_gradient[i], gradient[i]) < 1e-11);
      }
  });
}

TEST_CASE("what two programs compute does not depend on how their steps take turns, bit for bit") {
  for_each_case([n = std::uint64_t{0}](Case& c) mutable {
    const Program a = Draw(n).program(), b = Draw(1000 + n).program();
    ++n;
    const auto gradients = [&](const std::function<bool()>& first) {
      Graph graph;
      std::vector<std::vector<double>> all;
      const Program both = merged(a, b, first);
      for (auto& [leaf, numbers] : Run(graph, both).swept()) all.push_back(numbers);
      std::sort(all.begin(), all.end());
      return all;
    };
    CHECK(gradients([] { return true; }) == gradients([&] { return c.below(2) == 0; }));
    CHECK(gradients([] { return true; }) == gradients([] { return false; }));
  });
}

TEST_CASE("every op takes a view within another tensor as it takes a tensor of its own, bit for bit") {
  int calls = 0;
  for (const table::OpCase& op : table::op_cases())
    for (const std::vector<Shape>& shapes : op.shapes) {
      CAPTURE(op.name);
      const table::Operands inputs = table::samples(op, shapes);
      const auto run = [&](bool views) {
        Graph graph;
        table::Operands x, operands;
        for (const Tensor& input : inputs) {
          x.push_back(graph.variable(views ? concat({ones({3}, f64), flatten(input), ones({2}, f64)}) : input));
          operands.push_back(views ? reshape(slice(x.back(), 3, 3 + input.size()), input.shape()) : x.back());
        }
        const Tensor y = op.call(operands);
        std::vector<Tensor> all = {detach(y)};
        if (!op.differentiable) return all;
        weighed(y.to(f64)).backward();
        for (std::size_t i = 0; i < x.size(); ++i)
          all.push_back(views ? reshape(slice(x[i].grad(), 3, 3 + inputs[i].size()), inputs[i].shape()) : x[i].grad());
        return all;
      };
      const std::vector<Tensor> viewed = run(true), copied = run(false);
      for (std::size_t i = 0; i < copied.size(); ++i) CHECK(same_bits(viewed[i], copied[i]));
      ++calls;
    }
  CHECK(calls > 400);
}

TEST_CASE("concat of slices is the identity, and so is its gradient") {
  for_each_case([](Case& c) {
    Graph graph;
    const Tensor x = graph.variable(c.tensor(1, 4)), dy = c.tensor(x.shape());
    const int axis = c.below(x.rank());
    const std::int64_t n = x.shape()[axis], at = c.below(static_cast<int>(n) + 1);
    const Tensor y = concat({slice(x, 0, at, axis), slice(x, at, n, axis)}, axis);
    sum(y * dy).backward();
    CHECK(same_bits(y, x));
    CHECK(same_bits(x.grad(), dy));
  });
}

TEST_CASE("concat of split is the identity, and so is its gradient") {
  for_each_case([](Case& c) {
    Graph graph;
    const Tensor x = graph.variable(c.tensor(1, 4)), dy = c.tensor(x.shape());
    const int axis = c.below(x.rank());
    const Tensor y = concat(split(x, 1 + c.below(4), axis), axis);
    sum(y * dy).backward();
    CHECK(same_bits(y, x));
    CHECK(same_bits(x.grad(), dy));
  });
}

TEST_CASE("what undoes a movement gives the tensor back, and its gradient") {
  for_each_case([](Case& c) {
    const Tensor at = c.tensor(1, 4), dy = c.tensor(at.shape());
    const int axis = c.below(at.rank());
    const std::int64_t n = at.shape()[axis], before = c.below(3);
    std::vector<std::pair<std::int64_t, std::int64_t>> widths(static_cast<std::size_t>(at.rank()));
    widths[static_cast<std::size_t>(axis)] = {before, c.below(3)};
    const Tensor order = reshape(c.permutation(n), Shape{n});
    const std::vector<Function> there_and_back = {
        [&](const Tensor& x) { return flip(flip(x, axis), axis); },
        [&](const Tensor& x) { return slice(pad(x, widths, 7), before, before + n, axis); },
        [&](const Tensor& x) { return take(take(x, order, axis), inverse_of(order), axis); },
        [&](const Tensor& x) { return transpose(transpose(x, 0, axis), 0, axis); },
        [&](const Tensor& x) { return squeeze(unsqueeze(x, axis), axis); },
        [&](const Tensor& x) { return reshape(flatten(x), x.shape()); },
        [&](const Tensor& x) {
          return stack({x, 2 * x})[0];
        },
    };
    for (const Function& f : there_and_back) {
      CHECK(same_bits(f(at), at));
      CHECK(same_bits(gradient_of([&](const Tensor& x) { return sum(f(x) * dy); }, at), dy));
    }
    const Tensor sums = cumsum(at, axis), first = slice(sums, 0, 1, axis);
    const Tensor steps = concat({first, slice(sums, 1, n, axis) - slice(sums, 0, n - 1, axis)}, axis);
    CHECK(distance(steps, at) < 1e-13);
  });
}

TEST_CASE("movement commutes with elementwise functions, in values and gradients, bit for bit") {
  const std::vector<Function> elementwise_functions = {
      [](const Tensor& x) { return tanh(x); }, [](const Tensor& x) { return x * sigmoid(x) + 3; },
      [](const Tensor& x) { return gelu(x); }, [](const Tensor& x) { return clamp(x, -0.5, 1); },
      [](const Tensor& x) { return relu(x); }, [](const Tensor& x) { return 1 / (2 + cos(x)); }};
  for_each_case([&](Case& c) {
    const Tensor at = c.tensor(2, 4);
    const int axis = c.below(at.rank()), other = c.below(at.rank());
    const std::vector<Function> moves = {
        [&](const Tensor& x) { return transpose(x, axis, other); },
        [&](const Tensor& x) { return reshape(x, {x.size()}); },
        [&](const Tensor& x) { return slice(x, 0, (x.shape()[axis] + 1) / 2, axis); },
        [&](const Tensor& x) { return unsqueeze(x, axis); },
        [&](const Tensor& x) { return x[0]; },
    };
    for (const Function& move : moves)
      for (const Function& f : elementwise_functions) {
        CHECK(same_bits(f(move(at)), move(f(at))));
        CHECK(same_bits(gradient_of([&](const Tensor& x) { return weighed(f(move(x))); }, at),
                        gradient_of([&](const Tensor& x) { return weighed(move(f(x))); }, at)));
      }
  });
}

TEST_CASE("the gradient of a batch is the sum of the gradients of its examples") {
  for_each_case([](Case& c) {
    const int n = 1 + c.below(6), in = 1 + c.below(5), out = 2 + c.below(4);
    const Tensor x = c.tensor({n, in}), labels = c.positions(Shape{n}, out), w0 = c.tensor({out, in}),
                 b0 = c.tensor(Shape{out});
    const auto gradients = [&](const Tensor& rows, const Tensor& of_rows) {
      Graph graph;
      const Tensor w = graph.variable(w0), b = graph.variable(b0);
      const Tensor z = tanh(affine(rows, w, b));
      (softmax_cross_entropy(z, of_rows) * static_cast<double>(rows.shape()[0])).backward();
      return std::pair(w.grad(), b.grad());
    };
    const auto [dw, db] = gradients(x, labels);
    Tensor sum_w = zeros(w0.shape(), f64), sum_b = zeros(b0.shape(), f64);
    for (int row = 0; row < n; ++row) {
      const auto [one_w, one_b] = gradients(slice(x, row, row + 1), slice(labels, row, row + 1));
      sum_w += one_w;
      sum_b += one_b;
    }
    CHECK(distance(dw, sum_w) < 1e-13);
    CHECK(distance(db, sum_b) < 1e-13);
  });
}

TEST_CASE("a recorded value is the value that is computed without a graph, bit for bit") {
  for (std::uint64_t seed = 0; seed < cases; ++seed) {
    CAPTURE(seed);
    const Program program = Draw(seed).program();
    Graph graph;
    const Run recorded(graph, program);
    const std::size_t size = graph.size();
    const Pause pause;
    const Run plain(graph, program);
    for (std::size_t k = 0; k < recorded.values().size(); ++k)
      CHECK(same_bits(recorded.values()[k], plain.values()[k]));
    const auto is_variable = [](const Step& step) { return step.op == "variable"; };
    const auto variables = std::count_if(program.steps.begin(), program.steps.end(), is_variable);
    CHECK(graph.size() == size + static_cast<std::size_t>(variables));
  }
}

TEST_CASE("hooks that look and graphs that observe or check change no gradient by more than rounding") {
  for (std::uint64_t seed = 0; seed < cases; ++seed) {
    CAPTURE(seed);
    const Program program = Draw(seed).program();
    const auto gradients = [&](const GraphOptions& options, bool hooks) {
      Graph graph(options);
      Run run(graph, program);
      for (const Value& value : run.values())
        if (const Tensor* t = std::get_if<Tensor>(&value); hooks && t != nullptr && belongs(graph, *t))
          graph.on_gradient(*t, [](const Tensor&) {});
      return run.swept();
    };
    const Gradients alone = gradients({}, false), observed = gradients({.observe = true}, false),
                    checked = gradients({.check = true}, false), hooked = gradients({}, true);
    for (std::size_t l = 0; l < alone.size(); ++l) {
      CHECK(same_bits(hooked[l].second, alone[l].second));
      CHECK(same_bits(checked[l].second, observed[l].second));
      // What adds up in place adds in another order than what is summed up first.
      for (std::size_t i = 0; i < alone[l].second.size(); ++i)
        CHECK(apart(observed[l].second[i], alone[l].second[i]) < 1e-12);
    }
  }
}

TEST_CASE("a checkpoint has its function's value and gradients, bit for bit") {
  for_each_case([](Case& c) {
    const Tensor at = c.tensor(1, 3);
    const Function &f = functions()[static_cast<std::size_t>(c.below(9))],
                   &g = functions()[static_cast<std::size_t>(c.below(9))];
    const auto plain = [&](const Tensor& x) { return weighed(g(flatten(f(x)))); };
    const auto saved = [&](const Tensor& x) { return weighed(checkpoint(g, flatten(checkpoint(f, x)))); };
    CHECK(same_bits(plain(at), saved(at)));
    CHECK(same_bits(gradient_of(saved, at), gradient_of(plain, at)));
  });
}

// ---- softmax -----------------------------------------------------------------------------------------------------

TEST_CASE("softmax does not change when all its numbers move together, nor does its gradient") {
  for_each_case([](Case& c) {
    const Tensor at = c.tensor(1, 3);
    const int axis = c.below(at.rank());
    const double shift = 100 * c.uniform();
    CHECK(distance(softmax(at + shift, axis), softmax(at, axis)) < 1e-12);
    const Tensor g = gradient_of([&](const Tensor& x) { return weighed(softmax(x, axis)); }, at);
    CHECK(distance(gradient_of([&](const Tensor& x) { return weighed(softmax(x + shift, axis)); }, at), g) < 1e-12);
    CHECK(distance(sum(g, axis), zeros(at.shape().without(axis), f64)) < 1e-15);
  });
}

TEST_CASE("each row of cross-entropy's gradient adds up to nothing") {
  for_each_case([](Case& c) {
    const int n = 1 + c.below(6), classes = 1 + c.below(9);
    const Tensor z = c.tensor({n, classes}) * 5, labels = c.positions(Shape{n}, classes);
    const Tensor g = gradient_of([&](const Tensor& x) { return softmax_cross_entropy(x, labels); }, z);
    CHECK(distance(sum(g, 1), zeros({n}, f64)) < 1e-15);
  });
}

// ---- what must not happen ----------------------------------------------------------------------------------------

TEST_CASE("under Pause nothing is recorded and nothing gets a gradient") {
  for_each_case([](Case& c) {
    Graph graph;
    const Tensor x = graph.variable(c.tensor(1, 3));
    const Function& f = functions()[static_cast<std::size_t>(c.below(9))];
    const std::size_t size = graph.size();
    Tensor paused;
    {
      const Pause pause;
      paused = weighed(f(x));
    }
    CHECK(graph.size() == size);
    CHECK_THROWS_AS(paused.backward(), GraphError);
    (paused + sum(x)).backward();
    CHECK(same_bits(x.grad(), ones(x.shape(), f64)));
  });
}

TEST_CASE("a branch that is not used or not chosen changes no gradient, be it infinite") {
  constexpr double inf = std::numeric_limits<double>::infinity();
  const std::vector<Function> infinite = {
      [](const Tensor& x) { return log(x - x); },
      [](const Tensor& x) { return 1 / (x - x); },
      [](const Tensor& x) { return sqrt(x - x) / (x - x); },
      [](const Tensor& x) { return pow(x - x, -1.5); },
      [](const Tensor& x) { return exp(1e6 * (1 + square(x))) * x; },
      [](const Tensor& x) { return x * inf - x * inf; },
  };
  for_each_case([&](Case& c) {
    const Tensor at = c.tensor(1, 3);
    const Function &f = functions()[static_cast<std::size_t>(c.below(9))],
                   &bad = infinite[static_cast<std::size_t>(c.below(6))];
    const Tensor alone = gradient_of([&](const Tensor& x) { return weighed(f(x)); }, at);
    CHECK(same_bits(gradient_of(
                        [&](const Tensor& x) {
                          const Tensor unused = bad(x);
                          return weighed(f(x));
                        },
                        at),
                    alone));
    CHECK(same_bits(gradient_of(
                        [&](const Tensor& x) {
                          const Tensor y = f(x), chosen = y == y;
                          return weighed(where(chosen, y, sum(bad(x))));
                        },
                        at),
                    alone));
  });
}

TEST_CASE("a call that throws leaves the graph and its gradients as they were") {
  using Bad = std::function<void(const Tensor&, const Tensor&)>;
  const std::vector<Bad> bad = {
      [](const Tensor& x, const Tensor&) { reshape(x, {x.size() + 1}); },
      [](const Tensor& x, const Tensor& i) { gather(x, i + 1000, 0); },
      [](const Tensor& x, const Tensor& i) { scatter_add(x, i - 1000, x, 0); },
      [](const Tensor& x, const Tensor&) { softmax(x, 9); },
      [](const Tensor& x, const Tensor&) { slice(x, 0, x.shape()[0] + 1); },
      [](const Tensor& x, const Tensor&) {
        matmul(x, zeros({x.shape()[-1] + 1, 2}, f64));
      },
      [](const Tensor& x, const Tensor&) {
        concat({x, zeros({}, f64)});
      },
      [](const Tensor& x, const Tensor&) { (void)(x + zeros(x.shape().with(0, 3), f64)); },
      [](const Tensor& x, const Tensor&) {
        permute(x, {0, 0});
      },
      [](const Tensor& x, const Tensor&) {
        sum(x, {0, 0});
      },
      [](const Tensor& x, const Tensor&) { x(1000); },
      [](const Tensor& x, const Tensor&) {
        affine(x, zeros({2, x.shape()[-1]}, f64), zeros({3}, f64));
      },
      [](const Tensor& x, const Tensor&) { x.backward(); },
      [](const Tensor& x, const Tensor&) { softmax_cross_entropy(x, x); },
  };
  for_each_case([&](Case& c) {
    const Shape shape = c.shape(2, 3).inserted(0, 2);
    Graph graph;
    const Tensor x = graph.variable(c.tensor(shape)), index = zeros(shape, i64);
    Parameter p(c.tensor(shape));
    weighed(tanh(x) * p).backward({.retain = true});
    const Tensor dx = x.grad(), dp = p.grad();
    for (const Bad& call : bad) {
      const std::size_t size = graph.size();
      CHECK_THROWS_AS(call(x, index), Error);
      CHECK(graph.size() == size);
      CHECK(same_bits(x.grad(), dx));
      CHECK(same_bits(p.grad(), dp));
    }
  });
}

// ---- files -------------------------------------------------------------------------------------------------------

TEST_CASE("a model that was saved and loaded has the same numbers, bit for bit") {
  const Folder folder;
  const std::string path = folder / "model.safetensors";
  for_each_case([&](Case& c) {
    const int in = 1 + c.below(9), hidden = 1 + c.below(9);
    const auto model = [&](DType dtype) {
      return nn::Sequential{nn::Dense(in, hidden, {.dtype = dtype}), nn::Tanh(),
                            nn::Dense(hidden, 2, {.dtype = dtype})};
    };
    const DType dtype = c.below(2) == 0 ? f32 : f64;
    const nn::Sequential saved = model(dtype);
    nn::Sequential loaded = model(dtype);
    nn::save(saved, path);
    nn::load(loaded, path);
    const auto before = nn::parameters(saved);
    const auto after = nn::parameters(loaded);
    REQUIRE(before.size() == 4);
    for (std::size_t i = 0; i < 4; ++i) CHECK(same_bits(after[i].parameter.value(), before[i].parameter.value()));
  });
}
