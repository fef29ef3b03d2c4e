// Recurrent layers: RNN, LSTM, GRU, and the cells they are made of.
//
// Weights are named and laid out as PyTorch's state_dict has them; gates lie side by side, in the order that lstm_cell and
// gru_cell (autograd/ops.h) give.  All begin uniform within ±1/√hidden, as PyTorch's.  State goes in and comes back: one
// that a closed graph computed is a constant in the next, so training on a long sequence in pieces cuts gradients between
// them by itself.
//
// Legend of shapes: in, hidden the sizes of the last axis; time the steps; d the directions, 1 or 2; ... any axes.
#pragma once

#include "../autograd/parameter.h"
#include "layers.h"
#include "module.h"

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

namespace ebb::nn {

/// What an LSTM remembers from step to step: h, which it shows, and the cell c behind it.
struct State {
  Tensor h, c;
};

/// The function of a plain RNN.
enum class Nonlinearity { tanh, relu };

// ---- cells -----------------------------------------------------------------------------------------------------

/// How an LSTMCell or GRUCell is made.
struct CellOptions {
  bool bias = true;
  DType dtype = f32;
};
struct RNNCellOptions {
  Nonlinearity nonlinearity = Nonlinearity::tanh;
  bool bias = true;
  DType dtype = f32;
};

/// The weights of a cell with that many gates.
struct CellWeights {
  Parameter weight_ih;  ///< [gates·hidden, in]
  Parameter weight_hh;  ///< [gates·hidden, hidden]
  Parameter bias_ih;    ///< [gates·hidden]; [0] and not listed if there is none
  Parameter bias_hh;    ///< the same
  Label label;

  std::int64_t in() const { return weight_ih.shape()[1]; }
  std::int64_t hidden() const { return weight_hh.shape()[1]; }
  bool has_bias() const { return bias_ih.size() > 0; }
  void ebb_visit(Visitor& visitor) const;
  /// The same with an ending to each name, as "weight_ih_l0".
  void visit(Visitor& visitor, const std::string& ending) const;

 protected:
  CellWeights(Label&& checked, std::int64_t gates, std::int64_t in, std::int64_t hidden, bool bias, DType dtype);
};

/// One step of a plain RNN: h' = tanh(W_ih·x + b_ih + W_hh·h + b_hh), or relu of that.  x [..., in], h [..., hidden] ->
/// h' [..., hidden]; h is 0 if left out.  Source: Elman 1990.
/// Throws UsageError for sizes below 1; its call throws ShapeError for shapes that do not fit.
struct RNNCell : CellWeights {
  using State = Tensor;
  Nonlinearity nonlinearity;

  RNNCell(std::int64_t in, std::int64_t hidden, const RNNCellOptions& options = {});
  Tensor operator()(const Tensor& x, const Tensor& h = {}) const;

  /// The two halves of a call: what comes from the input, which needs no state, and the step.
  Tensor project(const Tensor& x) const;
  Tensor step(const Tensor& projected, const Tensor& h) const;
};

/// One step of an LSTM: i, f, g, o = W_ih·x + b_ih + W_hh·h + b_hh;  c' = σ(f)·c + σ(i)·tanh(g),  h' = σ(o)·tanh(c').
/// x [..., in], h and c [..., hidden] -> State{h', c'}; the state is 0 if left out.  Errors as RNNCell.
/// Source: Hochreiter & Schmidhuber 1997, Gers, Schmidhuber & Cummins 2000.
struct LSTMCell : CellWeights {
  using State = nn::State;

  LSTMCell(std::int64_t in, std::int64_t hidden, const CellOptions& options = {});
  State operator()(const Tensor& x, const State& state = {}) const;

  Tensor project(const Tensor& x) const;
  State step(const Tensor& projected, const State& state) const;
};

/// One step of a GRU: r, z, n of the input W_ih·x + b_ih and of the state W_hh·h + b_hh;  h' = (1 - z)·n + z·h with
/// n = tanh(nₓ + r·nₕ).  x [..., in], h [..., hidden] -> h' [..., hidden]; h is 0 if left out.  Errors as RNNCell.
/// Source: Cho et al. 2014, with the reset gate after the product, as cuDNN and PyTorch have it.
struct GRUCell : CellWeights {
  using State = Tensor;

  GRUCell(std::int64_t in, std::int64_t hidden, const CellOptions& options = {});
  Tensor operator()(const Tensor& x, const Tensor& h = {}) const;

  Tensor project(const Tensor& x) const;
  Tensor step(const Tensor& projected, const Tensor& h) const;
};

// ---- layers ----------------------------------------------------------------------------------------------------

/// How an LSTM or GRU is made.
struct RecurrentOptions {
  std::int64_t layers = 1;     ///< each above the first reads the outputs of the one below
  bool bidirectional = false;  ///< each layer runs once from either end, and shows both side by side
  bool sequences = false;      ///< a call gives the outputs of all steps, not of the last alone
  double dropout = 0;          ///< while training, between layers: the probability that a number is dropped
  bool bias = true;
  DType dtype = f32;
};
struct RNNOptions {
  std::int64_t layers = 1;
  bool bidirectional = false;
  bool sequences = false;
  double dropout = 0;
  bool bias = true;
  DType dtype = f32;
  Nonlinearity nonlinearity = Nonlinearity::tanh;
};

/// What a run over a sequence gives: outputs [batch, time, hidden·d], and the state after the last step, of which h (and
/// an LSTM's c) is [layers·d, batch, hidden], each layer's forward direction before its reverse.
template <class S> struct Run {
  Tensor outputs;
  S state;
};

/// What RNN, LSTM and GRU share.
template <class Cell> class Recurrent {
 public:
  using State = typename Cell::State;

  Label label;
  bool sequences;  ///< see RecurrentOptions

  /// x [batch, time, in] -> [batch, hidden·d], what the last layer shows at the end of each direction; or, made with
  /// sequences, [batch, time, hidden·d], what it shows at each step.  Throws ShapeError for another x.
  Tensor operator()(const Tensor& x) const;
  /// The same with the state that it begins with (0 if left out) and the one that it ends with.
  /// lengths [batch] i64, if given, tells how many steps of each row count: outputs after those are 0, the state is the
  /// one at the row's own last step, and the reverse direction begins there.  Throws ShapeError, DTypeError, and
  /// IndexError for a length outside [0, time].
  Run<State> run(const Tensor& x, const State& state = {}, const Tensor& lengths = {}) const;

  std::int64_t in() const { return cell(0).in(); }
  std::int64_t hidden() const { return cell(0).hidden(); }
  std::int64_t layers() const { return static_cast<std::int64_t>(cells_.size()) / directions(); }
  std::int64_t directions() const { return bidirectional_ ? 2 : 1; }
  /// The weights of a layer in one direction.  Throws IndexError if there is no such.
  const Cell& cell(std::int64_t layer, bool reverse = false) const;
  Cell& cell(std::int64_t layer, bool reverse = false) {
    return const_cast<Cell&>(std::as_const(*this).cell(layer, reverse));
  }
  void ebb_visit(Visitor& visitor) const;

 protected:
  template <class Options, class Make>
  Recurrent(const char* kind, std::int64_t in, std::int64_t hidden, const Options& options, Make make);

 private:
  struct Unrolled {
    Tensor rows;              // what the last layer shows: [time · batch, hidden · d], or undefined
    std::vector<State> last;  // of each cell
  };
  Unrolled unroll(const Tensor& x, const State& state, const Tensor& lengths, bool rows_wanted) const;

  std::vector<Cell> cells_;  // layer by layer, the forward direction before the reverse
  bool bidirectional_;
  Dropout dropout_;
  // The cells lie elsewhere; this empty Parameter stands among a model's fields for them, so that a layer that EBB_FIELDS
  // forgot is found.
  Parameter here_{zeros({0})};
};

/// Layers of RNNCell.  Throws UsageError for sizes or layers below 1, a dropout outside [0, 1), or one with one layer.
struct RNN : Recurrent<RNNCell> {
  RNN(std::int64_t in, std::int64_t hidden, const RNNOptions& options = {});
};
/// Layers of LSTMCell: nn::LSTM(in, hidden, {.layers = 2}).  Errors as RNN.
struct LSTM : Recurrent<LSTMCell> {
  LSTM(std::int64_t in, std::int64_t hidden, const RecurrentOptions& options = {});
};
/// Layers of GRUCell.  Errors as RNN.
struct GRU : Recurrent<GRUCell> {
  GRU(std::int64_t in, std::int64_t hidden, const RecurrentOptions& options = {});
};

extern template class Recurrent<RNNCell>;
extern template class Recurrent<LSTMCell>;
extern template class Recurrent<GRUCell>;

}  // namespace ebb::nn
