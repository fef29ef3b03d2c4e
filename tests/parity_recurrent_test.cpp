// Recurrent layers and cells beside PyTorch's: tests/parity/recurrent.py says what the cases are.
#include "parity.h"

#include <string>

namespace {

using namespace ebb;

const Golden& golden() {
  static const Golden file("recurrent");
  return file;
}

/// f gives each tensor of a state, with its name.
template <class F> void each_of(const Tensor& h, F f) { f("h", h); }
template <class F> void each_of(const nn::State& state, F f) {
  f("h", state.h);
  f("c", state.c);
}
void give(Tensor& h, Graph& graph, const std::string& one) {
  if (golden().has(one, "h")) h = graph.variable(golden()(one, "h"));
}
void give(nn::State& state, Graph& graph, const std::string& one) {
  if (!golden().has(one, "h")) return;
  state.h = graph.variable(golden()(one, "h"));
  state.c = graph.variable(golden()(one, "c"));
}

/// Checks the state that came back, the gradients by x, by the state given and by the weights.  `loss` is what the
/// outputs add.
template <class Model, class State>
void check(Model& model, const std::string& one, const Tensor& x, const State& begin, const State& last, Tensor loss) {
  each_of(last, [&](const std::string& name, const Tensor& s) {
    CHECK_PARITY(s, golden()(one, name + "n"), one);
    loss += sum(s * golden()(one, "d" + name + "n"));
  });
  loss.backward();
  CHECK_PARITY(x.grad(), golden()(one, "grad.x"), one);
  each_of(begin, [&](const std::string& name, const Tensor& s) {
    if (s.defined()) CHECK_PARITY(s.grad(), golden()(one, "grad." + name), one + "/" + name);
  });
  const auto parameters = nn::parameters(model);
  for (const auto& [name, parameter] : parameters)
    CHECK_PARITY(parameter.grad(), golden()(one, "grad." + name), one + "/" + name);
  CHECK(parameters.size() == (one.ends_with(".deep") || one.ends_with(".both") ? 8u
                              : one.ends_with(".all")                          ? 16u
                              : one.ends_with(".unbiased")                     ? 2u
                                                                               : 4u));
}

template <class Layer> void check_layer(Layer layer, const std::string& one) {
  CAPTURE(one);
  golden().fill(layer, one);
  Graph graph;
  const Tensor x = graph.variable(golden()(one, "x"));
  typename Layer::State begin;
  give(begin, graph, one);
  const Tensor lengths = golden().has(one, "lengths") ? golden()(one, "lengths") : Tensor();
  const auto [outputs, last] = layer.run(x, begin, lengths);
  CHECK_PARITY(outputs, golden()(one, "y"), one);
  check(layer, one, x, begin, last, sum(outputs * golden()(one, "dy")));
}

template <class Cell> void check_cell(Cell cell, const std::string& one) {
  CAPTURE(one);
  golden().fill(cell, one);
  Graph graph;
  const Tensor x = graph.variable(golden()(one, "x"));
  typename Cell::State begin;
  give(begin, graph, one);
  check(cell, one, x, begin, cell(x, begin), zeros({}, x.dtype()));
}

/// The cases of one kind of layer.
template <class Layer, class Options> void check_all(const std::string& kind, Options common) {
  const auto with = [&](auto change) {
    Options options = common;
    options.dtype = f64;
    change(options);
    return Layer(2, 4, options);
  };
  check_layer(with([](Options&) {}), kind + ".plain");
  check_layer(with([](Options&) {}), kind + ".state");
  check_layer(with([](Options& o) { o.dtype = f32; }), kind + ".f32");
  check_layer(with([](Options& o) { o.bias = false; }), kind + ".unbiased");
  check_layer(with([](Options& o) { o.layers = 2; }), kind + ".deep");
  check_layer(with([](Options& o) { o.bidirectional = true; }), kind + ".both");
  check_layer(with([](Options&) {}), kind + ".lengths");
  check_layer(with([](Options& o) { o.layers = 2, o.bidirectional = true; }), kind + ".all");
}

}  // namespace

TEST_CASE("RNN layers are PyTorch's, with tanh and with relu") {
  check_all<nn::RNN>("rnn", nn::RNNOptions{});
  check_all<nn::RNN>("relu", nn::RNNOptions{.nonlinearity = nn::Nonlinearity::relu});
}
TEST_CASE("LSTM layers are PyTorch's") { check_all<nn::LSTM>("lstm", nn::RecurrentOptions{}); }
TEST_CASE("GRU layers are PyTorch's") { check_all<nn::GRU>("gru", nn::RecurrentOptions{}); }

TEST_CASE("recurrent cells are PyTorch's") {
  check_cell(nn::RNNCell(2, 4, {.dtype = f64}), "rnn.cell");
  check_cell(nn::RNNCell(2, 4, {.nonlinearity = nn::Nonlinearity::relu, .dtype = f64}), "relu.cell");
  check_cell(nn::LSTMCell(2, 4, {.dtype = f64}), "lstm.cell");
  check_cell(nn::GRUCell(2, 4, {.dtype = f64}), "gru.cell");
}

TEST_CASE("every case of the golden file is one that was checked") { CHECK(golden().cases().size() == 4 * 9); }
