#include "folder.h"

#include <doctest/doctest.h>
#include <ebb/optim/optim.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

using namespace ebb;

namespace {

constexpr std::int64_t odd_sizes[] = {0, 1, 7, 33};
constexpr double not_a_number = std::numeric_limits<double>::quiet_NaN();

Tensor numbers(const Shape& shape, std::uint64_t seed = 1, DType dtype = f64) {
  Generator generator(seed);
  return randn(shape, dtype, generator);
}

/// The largest difference between numbers of two tensors of one shape; NaN if one of them is.
double distance(const Tensor& a, const Tensor& b) {
  REQUIRE_MESSAGE(a.shape() == b.shape(), to_string(a.shape()) << " and not " << to_string(b.shape()));
  return a.size() == 0 ? 0 : max(abs(a - b).to(f64)).item();
}

double sigma(double x) { return 1 / (1 + std::exp(-x)); }
double number(const Tensor& t, std::int64_t row, std::int64_t k) { return t(row, k).value(); }

/// What one step of an LSTM is, in ops that know nothing of cells.
Tensor lstm_by_ops(const Tensor& gates, const Tensor& c) {
  const std::vector<Tensor> all = split(gates, {c.shape()[-1], c.shape()[-1], c.shape()[-1], c.shape()[-1]}, -1);
  const Tensor next = sigmoid(all[1]) * c + sigmoid(all[0]) * tanh(all[2]);
  return concat({sigmoid(all[3]) * tanh(next), next});
}
Tensor gru_by_ops(const Tensor& x, const Tensor& s, const Tensor& h) {
  const std::int64_t n = h.shape()[-1];
  const std::vector<Tensor> xs = split(x, {n, n, n}, -1), ss = split(s, {n, n, n}, -1);
  const Tensor z = sigmoid(xs[1] + ss[1]), next = tanh(xs[2] + sigmoid(xs[0] + ss[0]) * ss[2]);
  return (1 - z) * next + z * h;
}

/// Value and gradients of f(x...), weighed at random.
template <class F> std::vector<Tensor> with_gradients(const F& f, const std::vector<Tensor>& inputs) {
  Graph graph;
  std::vector<Tensor> x;
  for (const Tensor& each : inputs) x.push_back(graph.variable(each));
  Tensor y;
  if constexpr (std::is_invocable_v<F, Tensor, Tensor, Tensor>) y = f(x[0], x[1], x[2]);
  else y = f(x[0], x[1]);
  sum(y * numbers(y.shape(), 3, y.dtype())).backward();
  std::vector<Tensor> all{detach(y)};
  for (const Tensor& each : x) all.push_back(each.grad());
  return all;
}

template <class F, class G> void check_same(const F& fused, const G& composed, const std::vector<Tensor>& inputs) {
  const auto one = with_gradients(fused, inputs), other = with_gradients(composed, inputs);
  for (std::size_t i = 0; i < one.size(); ++i) {
    CAPTURE(i);
    CHECK(distance(one[i], other[i]) < (one[i].dtype() == f64 ? 1e-14 : 2e-6));
  }
}

/// Runs f on an RNN, an LSTM and a GRU of the same sizes.
template <class F> void for_each_kind(std::int64_t in, std::int64_t hidden, const nn::RecurrentOptions& o, const F& f) {
  f(nn::RNN(in, hidden, {o.layers, o.bidirectional, o.sequences, o.dropout, o.bias, o.dtype}));
  f(nn::LSTM(in, hidden, o));
  f(nn::GRU(in, hidden, o));
}

std::vector<Tensor> parts(const Tensor& h) { return {h}; }
std::vector<Tensor> parts(const nn::State& state) { return {state.h, state.c}; }
void assemble(Tensor& h, const std::vector<Tensor>& from) { h = from[0]; }
void assemble(nn::State& state, const std::vector<Tensor>& from) { state = {from[0], from[1]}; }

/// The state of one row: [k, batch, hidden] -> [k, 1, hidden].
template <class State> State row_of(const State& state, std::int64_t row) {
  std::vector<Tensor> rows;
  for (const Tensor& t : parts(state)) rows.push_back(slice(t, row, row + 1, 1));
  State one;
  assemble(one, rows);
  return one;
}

template <class State> State random_state(const Shape& shape, std::uint64_t seed = 9) {
  State state;
  assemble(state, {numbers(shape, seed), numbers(shape, seed + 1)});
  return state;
}

std::vector<std::string> names(auto& model) {
  std::vector<std::string> found;
  for (auto& [name, parameter] : nn::parameters(model)) found.push_back(name);
  return found;
}

std::size_t nodes_of(const auto& layer, std::int64_t time) {
  Graph graph;
  layer(graph.variable(zeros({2, time, 3})));
  return graph.size();
}

}  // namespace

// ---- ops -----------------------------------------------------------------------------------------------------------

TEST_CASE("lstm_cell is the plain loop over its numbers, at odd sizes") {
  for (const std::int64_t rows : odd_sizes)
    for (const std::int64_t hidden : odd_sizes) {
      CAPTURE(rows);
      CAPTURE(hidden);
      const Tensor gates = numbers({rows, 4 * hidden}), c = numbers({rows, hidden}, 2), y = lstm_cell(gates, c);
      REQUIRE(y.shape() == Shape{2 * rows, hidden});
      double worst = 0;
      for (std::int64_t r = 0; r < rows; ++r)
        for (std::int64_t k = 0; k < hidden; ++k) {
          const double i = number(gates, r, k), f = number(gates, r, hidden + k), g = number(gates, r, 2 * hidden + k),
                       o = number(gates, r, 3 * hidden + k);
          const double next = sigma(f) * number(c, r, k) + sigma(i) * std::tanh(g);
          worst = std::max(
              {worst, std::abs(number(y, rows + r, k) - next), std::abs(number(y, r, k) - sigma(o) * std::tanh(next))});
        }
      CHECK(worst < 1e-14);
    }
}

TEST_CASE("gru_cell is the plain loop over its numbers, at odd sizes") {
  for (const std::int64_t rows : odd_sizes)
    for (const std::int64_t hidden : odd_sizes) {
      CAPTURE(rows);
      CAPTURE(hidden);
      const Tensor x = numbers({rows, 3 * hidden}), s = numbers({rows, 3 * hidden}, 2), h = numbers({rows, hidden}, 3),
                   y = gru_cell(x, s, h);
      REQUIRE(y.shape() == h.shape());
      double worst = 0;
      for (std::int64_t row = 0; row < rows; ++row)
        for (std::int64_t k = 0; k < hidden; ++k) {
          const double r = sigma(number(x, row, k) + number(s, row, k));
          const double z = sigma(number(x, row, hidden + k) + number(s, row, hidden + k));
          const double n = std::tanh(number(x, row, 2 * hidden + k) + r * number(s, row, 2 * hidden + k));
          worst = std::max(worst, std::abs(number(y, row, k) - (1 - z) * n - z * number(h, row, k)));
        }
      CHECK(worst < 1e-14);
    }
}

TEST_CASE("a fused cell has the value and the gradients of the ops that it stands for") {
  for (const DType dtype : {f32, f64})
    for (const std::int64_t rows : odd_sizes)
      for (const std::int64_t hidden : odd_sizes) {
        CAPTURE(rows);
        CAPTURE(hidden);
        const auto some = [&](std::int64_t width, std::uint64_t seed) { return numbers({rows, width}, seed, dtype); };
        check_same(lstm_cell, lstm_by_ops, {some(4 * hidden, 1), some(hidden, 2)});
        check_same(gru_cell, gru_by_ops, {some(3 * hidden, 1), some(3 * hidden, 2), some(hidden, 3)});
      }
}

TEST_CASE("cells in f32 are those in f64, rounded, from the smallest numbers to the largest") {
  std::vector<float> all{0};
  for (double x = 1e-30; x < 1e30; x *= 1.003)
    for (const double signed_x : {x, -x}) all.push_back(static_cast<float>(signed_x));
  const auto n = static_cast<std::int64_t>(all.size());
  const Tensor x = from(all, {n, 1}), wide = concat({x, flip(x, 0), x, flip(x, 0)}, 1), three = slice(wide, 0, 3, 1);
  const Tensor half = full({n, 1}, 0.5);
  CHECK(distance(lstm_cell(wide, half).to(f64), lstm_cell(wide.to(f64), half.to(f64))) < 3e-7);
  CHECK(distance(gru_cell(three, x * zeros({1, 3}), half).to(f64),
                 gru_cell(three.to(f64), zeros({n, 3}, f64), half.to(f64))) < 3e-7);
  // With the input gate open and the forget gate shut, c' is tanh alone.
  const Tensor shut = concat({full({n, 1}, 100), full({n, 1}, -100), x, full({n, 1}, 100)}, 1);
  const Tensor c = slice(lstm_cell(shut, zeros({n, 1})), n, 2 * n).to(f64), exact = tanh(x.to(f64));
  CHECK(max(abs(c - exact) / maximum(abs(exact), 1e-30)).item() < 3e-7);
}

TEST_CASE("a gate that is not a number, or infinite, is what its function makes of it") {
  const double inf = std::numeric_limits<double>::infinity();
  for (const DType dtype : {f32, f64}) {
    const Tensor open = lstm_cell(tensor({inf, -inf, inf, inf}, dtype), tensor({3}, dtype));  // i f g o
    CHECK(distance(open.to(f64), tensor({std::tanh(1.0), 1.0}, f64)) < 2e-7);
    const Tensor lost = lstm_cell(tensor({0.0, 0.0, not_a_number, 0.0}, dtype), tensor({3}, dtype));
    CHECK(std::isnan(lost(0).value()));
    CHECK(std::isnan(gru_cell(tensor({not_a_number, 0, 1}, dtype), ones({3}, dtype), ones({1}, dtype))(0).value()));
  }
}

TEST_CASE("saturated gates neither overflow nor pass NaN") {
  const Tensor far = tensor({{1e4, -1e4, 1e4, -1e4}, {-1e4, 1e4, -1e4, 1e4}}, f32);
  for (const Tensor& t : with_gradients(lstm_cell, {far, ones({2, 1})})) CHECK(distance(t, t) == 0);
  const Tensor three = slice(far, 0, 3, 1);
  for (const Tensor& t : with_gradients(gru_cell, {three, three, ones({2, 1})})) CHECK(distance(t, t) == 0);
}

TEST_CASE("a gradient of exactly 0 absorbs what is infinite in a cell") {
  const double inf = std::numeric_limits<double>::infinity();
  Graph graph;
  const Tensor gates = graph.variable(numbers({2, 4})), c = graph.variable(tensor({{inf}, {0.5}}, f64));
  sum(lstm_cell(gates, c) * tensor({{0.0}, {1.0}, {0.0}, {1.0}}, f64)).backward();
  CHECK(distance(gates.grad(), gates.grad()) == 0);
  CHECK(c.grad()(0, 0).value() == 0);
}

TEST_CASE("cells promote their operands to one type, and take any leading axes") {
  CHECK(lstm_cell(zeros({4}), zeros({1}, f64)).dtype() == f64);
  CHECK(lstm_cell(zeros({2, 3, 8}, i64), zeros({2, 3, 2}, i64)).dtype() == f32);
  CHECK(lstm_cell(zeros({2, 3, 8}), zeros({2, 3, 2})).shape() == Shape{4, 3, 2});
  CHECK(gru_cell(zeros({3}), zeros({3}, f64), zeros({1})).dtype() == f64);
}

TEST_CASE("cells say which gates do not fit the state") {
  CHECK_THROWS_WITH_AS(lstm_cell(zeros({2, 12}), zeros({2, 4})),
                       "lstm_cell([2, 12], [2, 4]): the gates must have 4 numbers for each of the state's", ShapeError);
  CHECK_THROWS_WITH_AS(lstm_cell(zeros({3, 16}), zeros({2, 4})),
                       "lstm_cell([3, 16], [2, 4]): the gates must have 4 numbers for each of the state's", ShapeError);
  CHECK_THROWS_WITH_AS(lstm_cell(zeros({}), zeros({})),
                       "lstm_cell([], []): the gates must have 4 numbers for each of the state's", ShapeError);
  CHECK_THROWS_WITH_AS(lstm_cell(zeros({3}), zeros({0})),
                       "lstm_cell([3], [0]): the gates must have 4 numbers for each of the state's", ShapeError);
  constexpr std::int64_t many = std::int64_t{1} << 62;
  CHECK_THROWS_WITH_AS(
      lstm_cell(zeros({many, 0}), zeros({many, 0})),
      "lstm_cell([4611686018427387904, 0], [4611686018427387904, 0]): twice 4611686018427387904 rows are "
      "more than can be counted",
      ShapeError);
  CHECK_THROWS_WITH_AS(
      gru_cell(zeros({2, 6}), zeros({2, 9}), zeros({2, 3})),
      "gru_cell([2, 6], [2, 9], [2, 3]): the gates from the input must have 3 numbers for each of the state's",
      ShapeError);
  CHECK_THROWS_WITH_AS(
      gru_cell(zeros({2, 9}), zeros({2, 3}), zeros({2, 3})),
      "gru_cell([2, 9], [2, 3], [2, 3]): the gates from the state must have 3 numbers for each of the state's",
      ShapeError);
  CHECK_THROWS_WITH_AS(gru_cell(zeros({3}), Tensor(), zeros({1})),
                       "gru_cell: the second operand holds nothing: a Tensor made without a value", UsageError);
}

// ---- layers --------------------------------------------------------------------------------------------------------

TEST_CASE("a layer is its cell, called step by step") {
  for_each_kind(3, 4, {.dtype = f64}, [](const auto& layer) {
    const Tensor x = numbers({2, 5, 3});
    const auto [outputs, last] = layer.run(x);
    typename std::decay_t<decltype(layer)>::State state;
    const auto cell = layer.cell(0);
    for (std::int64_t t = 0; t < 5; ++t) {
      state = cell(squeeze(slice(x, t, t + 1, 1), 1), state);
      CHECK(distance(squeeze(slice(outputs, t, t + 1, 1), 1), parts(state)[0]) < 1e-14);
    }
    for (std::size_t i = 0; i < parts(state).size(); ++i) CHECK(distance(parts(last)[i][0], parts(state)[i]) < 1e-14);
  });
}

TEST_CASE("a layer of two directions is two runs, one over the sequence flipped, side by side") {
  for_each_kind(3, 4, {.bidirectional = true, .dtype = f64}, [](const auto& both) {
    const Tensor x = numbers({2, 5, 3});
    for_each_kind(3, 4, {.dtype = f64}, [&](auto one) {
      if constexpr (std::is_same_v<std::decay_t<decltype(one)>, std::decay_t<decltype(both)>>) {
        one.cell(0) = both.cell(0);
        const Tensor forward = one.run(x).outputs;
        one.cell(0) = both.cell(0, true);
        const Tensor reverse = flip(one.run(flip(x, 1)).outputs, 1);
        CHECK(distance(both.run(x).outputs, concat({forward, reverse}, 2)) < 1e-14);
        // The last of the forward direction and the last of the reverse one, which is at the first step.
        CHECK(distance(both(x), concat({squeeze(slice(forward, 4, 5, 1), 1), squeeze(slice(reverse, 0, 1, 1), 1)}, 1)) <
              1e-14);
      }
    });
  });
}

TEST_CASE("rows of different lengths are what each gives alone, whatever stands behind their ends") {
  const std::vector<std::int64_t> ends{3, 5, 0, 1};
  for (const bool bidirectional : {false, true})
    for_each_kind(3, 4, {.layers = 2, .bidirectional = bidirectional, .dtype = f64}, [&](const auto& layer) {
      using State = typename std::decay_t<decltype(layer)>::State;
      std::vector<double> x = numbers({4, 6, 3}).to_vector<double>();
      for (std::size_t row = 0; row < 4; ++row)
        for (std::size_t k = static_cast<std::size_t>(ends[row]) * 3; k < 18; ++k) x[row * 18 + k] = not_a_number;
      const auto begin = random_state<State>({2 * layer.directions(), 4, 4});

      Graph graph;
      const Tensor all = graph.variable(from(x, {4, 6, 3}));
      const auto [outputs, last] = layer.run(all, begin, from(ends, {4}));
      const Tensor weights = numbers(outputs.shape(), 5);
      Tensor loss = sum(outputs * weights), alone_loss = zeros({}, f64);
      for (const Tensor& t : parts(last)) loss += sum(square(t));
      std::vector<Tensor> alone;
      for (std::int64_t row = 0; row < 4; ++row) {
        const std::int64_t end = ends[static_cast<std::size_t>(row)];
        alone.push_back(graph.variable(slice(slice(from(x, {4, 6, 3}), row, row + 1), 0, end, 1)));
        const auto [y, state] = layer.run(alone.back(), row_of(begin, row));
        CHECK(distance(slice(outputs[row], 0, end), y[0]) < 1e-14);
        CHECK(sum(abs(slice(outputs[row], end, 6))).item() == 0);
        alone_loss += sum(y * slice(slice(weights, row, row + 1), 0, end, 1));
        const auto expected = parts(state), got = parts(row_of(last, row));
        for (std::size_t i = 0; i < got.size(); ++i) {
          CHECK(distance(got[i], expected[i]) < 1e-14);
          alone_loss += sum(square(expected[i]));
        }
      }
      (loss + alone_loss).backward();
      for (std::int64_t row = 0; row < 4; ++row) {
        const std::int64_t end = ends[static_cast<std::size_t>(row)];
        CHECK(distance(slice(all.grad()[row], 0, end), alone[static_cast<std::size_t>(row)].grad()[0]) < 1e-13);
        CHECK(sum(abs(slice(all.grad()[row], end, 6))).item() == 0);
      }
    });
}

TEST_CASE("one run is two runs, of which the second begins where the first ended") {
  for_each_kind(3, 4, {.layers = 2, .dtype = f64}, [](auto layer) {
    Graph graph;
    const Tensor x = graph.variable(numbers({2, 10, 3}));
    const auto whole = layer.run(x);
    const auto first = layer.run(slice(x, 0, 5, 1)), second = layer.run(slice(x, 5, 10, 1), first.state);
    CHECK(distance(whole.outputs, concat({first.outputs, second.outputs}, 1)) < 1e-14);
    const Tensor by_one = graph.gradient(sum(square(whole.outputs)), x);
    const Tensor by_two = graph.gradient(sum(square(concat({first.outputs, second.outputs}, 1))), x);
    CHECK(distance(by_one, by_two) < 1e-13);
    for (std::size_t i = 0; i < parts(whole.state).size(); ++i)
      CHECK(distance(parts(whole.state)[i], parts(second.state)[i]) < 1e-14);
  });
}

TEST_CASE("a sequence so long that its input is projected in parts is its pieces, one after the other, either way") {
  constexpr std::int64_t time = 69;  // no multiple of the steps of a part
  const Tensor x = numbers({40, time, 3});
  const nn::LSTM both(3, 128, {.bidirectional = true, .dtype = f64});
  nn::LSTM one(3, 128, {.dtype = f64});
  const auto run = [&](const Tensor& rows, std::int64_t at_once) {
    Graph graph;
    const Tensor watched = graph.variable(rows);
    std::vector<Tensor> outputs;
    nn::State state;
    for (std::int64_t t = 0; t < time; t += at_once) {
      const auto piece = one.run(slice(watched, t, std::min(t + at_once, time), 1), state);
      outputs.push_back(piece.outputs);
      state = piece.state;
    }
    const Tensor all = concat(outputs, 1);
    std::vector<Tensor> result{detach(all)};
    result.push_back(graph.gradient(mean(square(all)), watched));
    mean(square(all)).backward();
    for (Parameter* const p : {&one.cell(0).weight_ih, &one.cell(0).weight_hh, &one.cell(0).bias_ih}) {
      result.push_back(p->grad());
      p->clear_grad();
    }
    return result;
  };
  std::vector<Tensor> sides;
  for (const bool reverse : {false, true}) {
    one.cell(0) = both.cell(0, reverse);
    const Tensor rows = reverse ? flip(x, 1) : x;
    const std::vector<Tensor> whole = run(rows, time), pieces = run(rows, 10);
    for (std::size_t i = 0; i < whole.size(); ++i) CHECK(distance(whole[i], pieces[i]) < 1e-14);
    sides.push_back(reverse ? flip(pieces[0], 1) : pieces[0]);
  }
  CHECK(distance(both.run(x).outputs, concat(sides, 2)) < 1e-14);
}

TEST_CASE(
    "a state that a closed graph computed is a constant in the next: training in pieces cuts gradients by itself") {
  for_each_kind(3, 4, {.dtype = f64}, [](auto layer) {
    const Tensor x = numbers({2, 10, 3});
    typename std::decay_t<decltype(layer)>::State carried;
    {
      Graph graph;
      carried = layer.run(graph.variable(slice(x, 0, 5, 1))).state;
    }
    const auto gradient = [&](const auto& state) {
      Graph graph;
      sum(layer.run(slice(x, 5, 10, 1), state).outputs).backward();
      const Tensor g = layer.cell(0).weight_hh.grad();
      layer.cell(0).weight_hh.clear_grad();
      return g;
    };
    std::vector<Tensor> plain;
    for (const Tensor& t : parts(carried)) plain.push_back(from(t.to_vector<double>(), t.shape()));
    auto constant = carried;
    assemble(constant, plain);
    CHECK(distance(gradient(carried), gradient(constant)) == 0);
  });
}

TEST_CASE("gradients of first and second order pass through layers, directions, lengths and states") {
  for_each_kind(2, 3, {.layers = 2, .bidirectional = true, .dtype = f64}, [](const auto& layer) {
    const auto f = [&](const std::vector<Tensor>& in) {
      typename std::decay_t<decltype(layer)>::State state;
      assemble(state, {in[1], in.back()});
      const auto [outputs, last] = layer.run(in[0], state, tensor({2, 3}, i64));
      return sum(outputs * outputs) + sum(parts(last).back());
    };
    const Tensor state = numbers({4, 2, 3}, 4);
    CHECK(gradcheck(f, {numbers({2, 3, 2}), state, numbers({4, 2, 3}, 5)}) < 1e-8);
    CHECK(gradcheck(f, {numbers({2, 3, 2}), state, numbers({4, 2, 3}, 5)}, {.order = 2}) < 1e-6);
  });
}

TEST_CASE("a step costs a fixed number of nodes") {
  const auto per_step = [](const auto& layer) {
    const std::size_t ten = nodes_of(layer, 10), twenty = nodes_of(layer, 20), forty = nodes_of(layer, 40);
    CHECK(forty - twenty == 2 * (twenty - ten));
    return (twenty - ten) / 10;
  };
  CHECK(per_step(nn::RNN(3, 4)) == 3);   // slice affine tanh
  CHECK(per_step(nn::LSTM(3, 4)) == 5);  // slice affine lstm_cell, and a slice of that each for h and c
  CHECK(per_step(nn::GRU(3, 4)) == 3);   // slice affine gru_cell
}

TEST_CASE("ten thousand steps forward and back neither overflow the stack nor copy the sequence at each") {
  for_each_kind(1, 2, {.sequences = true}, [](auto layer) {
    Graph graph;
    const Tensor x = graph.variable(numbers({1, 10000, 1}, 1, f32));
    sum(layer(x)).backward();
    CHECK(std::isfinite(sum(x.grad()).item()));
  });
}

TEST_CASE("a call gives the last step's output, or with sequences all, as run() does") {
  for_each_kind(3, 4, {}, [](auto layer) {
    const Tensor x = numbers({2, 5, 3}, 1, f32), all = layer.run(x).outputs;
    CHECK(distance(layer(x), squeeze(slice(all, 4, 5, 1), 1)) == 0);
    layer.sequences = true;
    CHECK(distance(layer(x), all) == 0);
  });
}

TEST_CASE("a sequence of no steps leaves the state as it was, and a batch of no rows gives none") {
  for_each_kind(3, 4, {.layers = 2, .bidirectional = true, .dtype = f64}, [](const auto& layer) {
    using State = typename std::decay_t<decltype(layer)>::State;
    const State begin = random_state<State>({4, 2, 4});
    const auto [outputs, last] = layer.run(zeros({2, 0, 3}), begin);
    CHECK(outputs.shape() == Shape{2, 0, 8});
    for (std::size_t i = 0; i < parts(last).size(); ++i) CHECK(distance(parts(last)[i], parts(begin)[i]) == 0);
    CHECK(distance(layer(zeros({2, 0, 3})), zeros({2, 8})) == 0);
    CHECK(layer(zeros({0, 5, 3})).shape() == Shape{0, 8});
    CHECK(layer(zeros({0, std::int64_t{1} << 60, 3})).shape() == Shape{0, 8});
    CHECK(layer.run(zeros({0, 5, 3}), {}, zeros({0}, i64)).outputs.shape() == Shape{0, 5, 8});
  });
}

TEST_CASE("numbers drop out between layers, while training, and nowhere else") {
  for_each_kind(3, 64, {.layers = 2, .sequences = true, .dropout = 0.5}, [](const auto& layer) {
    const Tensor x = numbers({1, 3, 3}, 1, f32);
    const Tensor quiet = layer(x);
    CHECK(distance(layer(x), quiet) == 0);
    const nn::Training training;
    CHECK(distance(layer(x), quiet) > 0.01);
    CHECK(min(abs(layer(x))).item() > 0);  // what the last layer shows is whole
    seed(1);
    const Tensor one = layer(x);
    seed(1);
    CHECK(distance(layer(x), one) == 0);
  });
}

// ---- layers as parts of models ---------------------------------------------------------------------------------------

TEST_CASE("weights are named and shaped as in PyTorch's state_dict, and begin within 1/√hidden") {
  nn::LSTM lstm(3, 4, {.layers = 2, .bidirectional = true});
  CHECK(names(lstm) == std::vector<std::string>{"weight_ih_l0", "weight_hh_l0", "bias_ih_l0", "bias_hh_l0",
                                                "weight_ih_l0_reverse", "weight_hh_l0_reverse", "bias_ih_l0_reverse",
                                                "bias_hh_l0_reverse", "weight_ih_l1", "weight_hh_l1", "bias_ih_l1",
                                                "bias_hh_l1", "weight_ih_l1_reverse", "weight_hh_l1_reverse",
                                                "bias_ih_l1_reverse", "bias_hh_l1_reverse"});
  CHECK(lstm.cell(1).weight_ih.shape() == Shape{16, 8});
  CHECK(lstm.cell(1, true).weight_hh.shape() == Shape{16, 4});
  CHECK(lstm.cell(0).bias_ih.shape() == Shape{16});
  CHECK(nn::GRU(3, 4).cell(0).weight_ih.shape() == Shape{12, 3});
  CHECK(nn::RNN(3, 4).cell(0).weight_hh.shape() == Shape{4, 4});
  nn::GRU bare(3, 4, {.bias = false});
  CHECK(names(bare) == std::vector<std::string>{"weight_ih_l0", "weight_hh_l0"});
  nn::LSTMCell cell(3, 4);
  CHECK(names(cell) == std::vector<std::string>{"weight_ih", "weight_hh", "bias_ih", "bias_hh"});
  const nn::GRU wide(40, 100);
  for (const auto& [name, parameter] : nn::parameters(wide)) {
    CHECK(max(abs(parameter.value())).item() <= 0.1);
    CHECK(max(abs(parameter.value())).item() > 0.09);
  }
}

TEST_CASE("errors and pictures say where in the model a recurrent layer stands") {
  struct Net {
    nn::Sequential body{nn::LSTM(3, 4, {.layers = 2}), nn::Dense(4, 1)};
    Tensor operator()(const Tensor& x) const { return body(x); }
    EBB_FIELDS(body)
  } net;
  CHECK(names(net)[4] == "body.0.weight_ih_l1");
  CHECK_THROWS_WITH_AS(net(zeros({2, 7})), "LSTM(3 -> 4, 2 layers)([2, 7]): x must be [batch, time, 3]\n  in body.0",
                       ShapeError);
  Graph graph;
  net(zeros({2, 1, 3}));
  std::vector<std::string> scopes;
  for (const Node& node : graph.nodes())
    if (node.kind == Node::Kind::op && (scopes.empty() || scopes.back() != node.scope)) scopes.push_back(node.scope);
  CHECK(scopes == std::vector<std::string>{"body.0.l0", "body.0.l1", "body.1"});
}

TEST_CASE("a layer that EBB_FIELDS forgot is reported") {
  struct Net {
    nn::GRU body{2, 3};
    nn::Dense out{3, 1};
    EBB_FIELDS(out)
  } net;
  CHECK_THROWS_WITH_AS(
      nn::parameters(net),
      "nn::parameters: a Sequential or recurrent layer inside the model is not reached by EBB_FIELDS; add "
      "the field that holds it to EBB_FIELDS, or it will never train",
      UsageError);
}

TEST_CASE("a copied layer has its own numbers, and a moved one takes them along") {
  const Tensor x = numbers({2, 3, 3}, 1, f32);
  nn::LSTM lstm(3, 4), copy = lstm;
  const Tensor before = lstm(x);
  copy.cell(0).weight_ih.assign(zeros({16, 3}));
  CHECK(distance(lstm(x), before) == 0);
  CHECK(distance(copy(x), before) > 0);
  const nn::LSTM moved = std::move(lstm);
  CHECK(distance(moved(x), before) == 0);
  CHECK_THROWS_AS(lstm(x), UsageError);
  CHECK_THROWS_AS(lstm.in(), UsageError);
  CHECK_THROWS_AS(nn::parameters(lstm), UsageError);
}

TEST_CASE("a file gives a model of recurrent layers its numbers back") {
  const Folder folder;
  const std::string path = folder / "model.safetensors";
  nn::Sequential model{nn::GRU(3, 4, {.bidirectional = true, .sequences = true}), nn::LSTM(8, 5), nn::Dense(5, 1)};
  nn::Sequential other{nn::GRU(3, 4, {.bidirectional = true, .sequences = true}), nn::LSTM(8, 5), nn::Dense(5, 1)};
  const Tensor x = numbers({2, 3, 3}, 1, f32);
  CHECK(distance(model(x), other(x)) > 0);
  nn::save(model, path);
  nn::load(other, path);
  CHECK(distance(model(x), other(x)) == 0);
}

TEST_CASE("the summary tells a recurrent layer's weights") {
  nn::Sequential model{nn::LSTM(3, 4, {.layers = 2}), nn::Dense(4, 1)};
  const std::string text = nn::summary(model);
  CHECK(text.find("LSTM(3 -> 4, 2 layers)") != std::string::npos);
  CHECK(text.find("weight_ih_l0 [16, 3]") != std::string::npos);
  CHECK(text.find("309 parameters") != std::string::npos);  // 16·(3 + 4 + 2) + 16·(4 + 4 + 2) + 5
}

TEST_CASE("each kind learns, within a Sequential, what stood first in a sequence") {
  for_each_kind(1, 16, {}, [](const auto& layer) {
    seed(3);
    nn::Sequential model{layer, nn::Dense(16, 1)};
    optim::Adam adam(model, {.lr = 1e-2});
    Generator generator(5);
    double loss = 1;
    for (int step = 0; step < 300; ++step) {
      const Tensor x = randn({32, 6, 1}, f32, generator), y = squeeze(slice(x, 0, 1, 1), 1);
      Graph graph;
      const Tensor error = nn::mse_loss(model(x), y);
      loss = step == 0 ? error.item() : 0.9 * loss + 0.1 * error.item();
      error.backward();
      adam.step();
    }
    CAPTURE(layer.label.kind());
    CHECK(loss < 0.1);  // 1 without memory
  });
}

// ---- what is refused -------------------------------------------------------------------------------------------------

TEST_CASE("layers and cells say what is wrong with how they are made") {
  CHECK_THROWS_WITH_AS(nn::LSTM(0, 5), "LSTM(0 -> 5): sizes must be in [1, 2147483647]", UsageError);
  CHECK_THROWS_WITH_AS(nn::GRU(3, -1), "GRU(3 -> -1): sizes must be in [1, 2147483647]", UsageError);
  CHECK_THROWS_WITH_AS(nn::RNNCell(std::int64_t{1} << 40, 1),
                       "RNNCell(1099511627776 -> 1): sizes must be in [1, 2147483647]", UsageError);
  CHECK_THROWS_WITH_AS(nn::LSTMCell(3, 0), "LSTMCell(3 -> 0): sizes must be in [1, 2147483647]", UsageError);
  CHECK_THROWS_WITH_AS(nn::GRUCell(3, 0), "GRUCell(3 -> 0): sizes must be in [1, 2147483647]", UsageError);
  CHECK_THROWS_WITH_AS(nn::RNN(3, 5, {.layers = 0}), "RNN(3 -> 5): layers must be at least 1, got 0", UsageError);
  CHECK_THROWS_WITH_AS(nn::LSTM(3, 5, {.layers = 2, .dropout = 1}), "LSTM(3 -> 5): dropout must be in [0, 1), got 1",
                       UsageError);
  CHECK_THROWS_WITH_AS(nn::LSTM(3, 5, {.layers = 2, .dropout = not_a_number}),
                       "LSTM(3 -> 5): dropout must be in [0, 1), got nan", UsageError);
  CHECK_THROWS_WITH_AS(nn::LSTM(3, 5, {.dropout = 0.2}),
                       "LSTM(3 -> 5): dropout stands between layers, and there is one layer\n"
                       "  help: nn::Dropout(0.2) behind it",
                       UsageError);
  const nn::LSTM lstm(3, 5, {.layers = 2});
  CHECK_THROWS_WITH_AS(lstm.cell(2), "LSTM(3 -> 5, 2 layers): there is no cell of layer 2", IndexError);
  CHECK_THROWS_WITH_AS(lstm.cell(-1), "LSTM(3 -> 5, 2 layers): there is no cell of layer -1", IndexError);
  CHECK_THROWS_WITH_AS(lstm.cell(0, true), "LSTM(3 -> 5, 2 layers): there is no reverse cell of layer 0", IndexError);
}

TEST_CASE("layers say what is wrong with what they are given, and record nothing of it") {
  const nn::LSTM lstm(3, 5, {.bidirectional = true});
  const nn::GRU gru(3, 5);
  const Tensor x = zeros({2, 7, 3});
  Graph graph;
  const std::string where = "\n  in LSTM(3 -> 5, bidirectional)", asked = "LSTM(3 -> 5, bidirectional)([2, 7, 3]): ";
  const auto refused = [&]<class E>(E*, const std::string& message, auto call) {
    CHECK_THROWS_WITH_AS(call(), (message + where).c_str(), E);
  };
  ShapeError* const shape = nullptr;
  refused(shape, "LSTM(3 -> 5, bidirectional)([2, 7, 4]): x must be [batch, time, 3]", [&] { lstm(zeros({2, 7, 4})); });
  CHECK_THROWS_WITH_AS(
      lstm(zeros({7, 3})),
      ("LSTM(3 -> 5, bidirectional)([7, 3]): x must be [batch, time, 3]" + where +
       "\n  help: a recurrent layer before this one wants .sequences = true; unsqueeze(x, 0) is a batch "
       "of one")
          .c_str(),
      ShapeError);
  refused(shape, "LSTM(3 -> 5, bidirectional)([7, 4]): x must be [batch, time, 3]", [&] { lstm(zeros({7, 4})); });
  CHECK_THROWS_WITH_AS(nn::GRU(1, 5)(zeros({7, 12})),
                       "GRU(1 -> 5)([7, 12]): x must be [batch, time, 1]\n"
                       "  in GRU(1 -> 5)\n"
                       "  help: unsqueeze(x, 2) is one number for each step",
                       ShapeError);
  refused(shape, asked + "the state h must be [2, 2, 5], not [1, 2, 5]", [&] {
    lstm.run(x, {zeros({1, 2, 5}), zeros({2, 2, 5})});
  });
  refused(shape, asked + "the state c must be [2, 2, 5], not [2, 5]", [&] {
    lstm.run(x, {zeros({2, 2, 5}), zeros({2, 5})});
  });
  refused(static_cast<UsageError*>(nullptr), asked + "the state has h without c", [&] {
    lstm.run(x, {zeros({2, 2, 5}), Tensor()});
  });
  refused(static_cast<UsageError*>(nullptr), asked + "the state has c without h", [&] {
    lstm.run(x, {Tensor(), zeros({2, 2, 5})});
  });
  refused(shape, asked + "lengths must be [2], not [3]", [&] { lstm.run(x, {}, zeros({3}, i64)); });
  refused(static_cast<DTypeError*>(nullptr), asked + "lengths must be i64, not f32",
          [&] { lstm.run(x, {}, zeros({2})); });
  refused(static_cast<IndexError*>(nullptr), asked + "lengths[1] = 8 is outside [0, 7]", [&] {
    lstm.run(x, {}, tensor({7, 8}, i64));
  });
  refused(static_cast<IndexError*>(nullptr), asked + "lengths[0] = -1 is outside [0, 7]", [&] {
    lstm.run(x, {}, tensor({-1, 8}, i64));
  });
  CHECK_THROWS_WITH_AS(gru.run(x, zeros({2, 5})),
                       "GRU(3 -> 5)([2, 7, 3]): the state h must be [1, 2, 5], not [2, 5]\n  in GRU(3 -> 5)",
                       ShapeError);
  CHECK_THROWS_WITH_AS(gru(Tensor()),
                       "GRU(3 -> 5): the first operand holds nothing: a Tensor made without a value\n  in GRU(3 -> 5)",
                       UsageError);
  CHECK(graph.size() == 0);
}

TEST_CASE("cells say what is wrong with what they are given: a state never broadcasts") {
  const nn::LSTMCell lstm(3, 5);
  const nn::RNNCell rnn(3, 5);
  Graph graph;
  CHECK_THROWS_WITH_AS(rnn(zeros({2, 4})), "RNNCell(3 -> 5)([2, 4]): x must be [..., 3]\n  in RNNCell(3 -> 5)",
                       ShapeError);
  CHECK_THROWS_WITH_AS(rnn(zeros({})), "RNNCell(3 -> 5)([]): x must be [..., 3]\n  in RNNCell(3 -> 5)", ShapeError);
  CHECK_THROWS_WITH_AS(rnn(zeros({2, 3}), zeros({1, 5})),
                       "RNNCell(3 -> 5)([2, 3]): the state h must be [2, 5], not [1, 5]\n  in RNNCell(3 -> 5)",
                       ShapeError);
  CHECK_THROWS_WITH_AS(lstm(zeros({2, 3}), {zeros({2, 5}), zeros({5})}),
                       "LSTMCell(3 -> 5)([2, 3]): the state c must be [2, 5], not [5]\n  in LSTMCell(3 -> 5)",
                       ShapeError);
  CHECK(graph.size() == 0);
  CHECK(lstm(zeros({3})).h.shape() == Shape{5});
}
