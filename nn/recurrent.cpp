#include "recurrent.h"

#include "../autograd/error.h"
#include "../autograd/op.h"
#include "../autograd/ops.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <concepts>
#include <limits>
#include <optional>

namespace ebb::nn {

namespace {

using ebb::detail::Complaint;

// ---- a state is one tensor, or an LSTM's two -----------------------------------------------------------------------

/// The state of which each tensor is f of those at its place.
template <class F, std::same_as<Tensor>... T> Tensor each(const F& f, const T&... t) { return f(t...); }
template <class F, std::same_as<State>... S> State each(const F& f, const S&... s) { return {f(s.h...), f(s.c...)}; }

const Tensor& shown(const Tensor& h) { return h; }
const Tensor& shown(const State& state) { return state.h; }

Tensor stacked(const std::vector<Tensor>& all) { return stack(all); }
State stacked(const std::vector<State>& all) {
  std::vector<Tensor> h, c;
  for (const State& state : all) {
    h.push_back(state.h);
    c.push_back(state.c);
  }
  return {stack(h), stack(c)};
}

// ---- checks --------------------------------------------------------------------------------------------------------

std::string checked(const char* kind, std::int64_t in, std::int64_t hidden) {
  std::string text = fmt::format("{}({} -> {})", kind, in, hidden);
  constexpr std::int64_t most = std::numeric_limits<std::int32_t>::max();  // a matrix product counts in 32 bits
  if (in < 1 || hidden < 1 || in > most || hidden > most)
    throw UsageError(fmt::format("{}: sizes must be in [1, {}]", text, most));
  return text;
}

std::string checked(const char* kind, std::int64_t in, std::int64_t hidden, std::int64_t layers, bool bidirectional,
                    double dropout) {
  std::string text = checked(kind, in, hidden);
  if (layers < 1) throw UsageError(fmt::format("{}: layers must be at least 1, got {}", text, layers));
  if (!(dropout >= 0 && dropout < 1))
    throw UsageError(fmt::format("{}: dropout must be in [0, 1), got {}", text, dropout));
  if (dropout > 0 && layers == 1)
    throw UsageError(
        fmt::format("{}: dropout stands between layers, and there is one layer\n"
                    "  help: nn::Dropout({}) behind it",
                    text, dropout));
  text.pop_back();
  if (layers > 1) text += fmt::format(", {} layers", layers);
  if (bidirectional) text += ", bidirectional";
  return text + ")";
}

/// Refuses on behalf of a layer that was given x.
[[noreturn]] void refuse(const Label& label, const Tensor& x, Complaint::Kind kind, std::string reason,
                         std::string help = {}) {
  ebb::detail::refuse({kind, std::move(reason), std::move(help)},
                      fmt::format("{}({})", label.kind(), to_string(x.shape())));
}

void must_be_given(const Label& label, const Tensor& x) {
  if (!x.defined()) ebb::detail::undefined_operand(label.kind().c_str(), 0);
}

void must_be(const Label& label, const Tensor& x, const char* name, const Tensor& t, const Shape& shape) {
  if (t.shape() == shape) return;
  refuse(label, x, Complaint::shape,
         fmt::format("{} must be {}, not {}", name, to_string(shape), to_string(t.shape())));
}

/// The state as it was given, or zeros.
Tensor begun(const Label& label, const Tensor& x, const Tensor& h, const Shape& shape, DType dtype) {
  if (!h.defined()) return zeros(shape, dtype);
  must_be(label, x, "the state h", h, shape);
  return h;
}
State begun(const Label& label, const Tensor& x, const State& state, const Shape& shape, DType dtype) {
  if (state.h.defined() != state.c.defined())
    refuse(label, x, Complaint::usage,
           fmt::format("the state has {} without {}", state.h.defined() ? "h" : "c", state.h.defined() ? "c" : "h"));
  if (!state.h.defined()) {
    const Tensor zero = zeros(shape, dtype);
    return {zero, zero};
  }
  must_be(label, x, "the state h", state.h, shape);
  must_be(label, x, "the state c", state.c, shape);
  return state;
}

/// What a cell does when it is called by itself.
template <class Cell>
typename Cell::State one_step(const Cell& cell, const Tensor& x, const typename Cell::State& state) {
  const Scope scope = cell.label.scope();
  must_be_given(cell.label, x);
  if (x.rank() < 1 || x.shape()[-1] != cell.in())
    refuse(cell.label, x, Complaint::shape, fmt::format("x must be [..., {}]", cell.in()));
  const auto begin = begun(cell.label, x, state, x.shape().with(-1, cell.hidden()), cell.weight_hh.dtype());
  return cell.step(cell.project(x), begin);
}

/// Uniform within ±1/√hidden.
Tensor drawn(const Shape& shape, std::int64_t hidden, DType dtype) {
  return (rand(shape, dtype) - 0.5) * (2 / std::sqrt(static_cast<double>(hidden)));
}

/// x·Wᵀ, and b if there is any.
Tensor product(const Tensor& x, const Tensor& weight, const Tensor& bias) {
  return bias.defined() ? affine(x, weight, bias) : matmul(x, weight, {.tb = true});
}

/// Where a step passes the state's share on its own, both biases are added to the input's share.
Tensor project_with_both(const CellWeights& cell, const Tensor& x) {
  const Tensor weight = cell.weight_ih;
  if (!cell.has_bias()) return product(x, weight, {});
  const Tensor bias_ih = cell.bias_ih, bias_hh = cell.bias_hh;
  return product(x, weight, bias_ih + bias_hh);
}

/// The input's share of every step's gates.
template <class Cell> class Projected {
 public:
  /// rows: [time · n, in]; the first step that will be asked for is `from`.
  Projected(const Cell& cell, const Tensor& rows, std::int64_t n, std::int64_t from)
      : cell_(cell), rows_(rows), n_(n), at_once_(rows.shape()[0]) {
    // On a long way a part is used, and its gradient too, while it is still in a cache: one of so many rows that the
    // product is no slower.
    constexpr std::int64_t long_way = 1 << 20, enough_rows = 256;  // numbers of gates; rows
    if (rows.shape()[0] * cell.weight_ih.shape()[0] > long_way) at_once_ = (enough_rows + n - 1) / n * n;
    project(std::max<std::int64_t>(0, from) * n);
  }

  Tensor of(std::int64_t t) {
    const std::int64_t row = t * n_;
    if (row < first_ || row >= first_ + part_.shape()[0]) project(row);
    return slice(part_, row - first_, row - first_ + n_);
  }
  DType dtype() const { return part_.dtype(); }

 private:
  void project(std::int64_t row) {
    const std::int64_t all = rows_.shape()[0];
    first_ = at_once_ == 0 ? 0 : row / at_once_ * at_once_;
    part_ = cell_.project(at_once_ >= all ? rows_ : slice(rows_, first_, std::min(first_ + at_once_, all)));
  }

  const Cell& cell_;
  Tensor rows_, part_;
  std::int64_t n_, at_once_, first_ = 0;
};

/// Which rows are still running, if not all are to the end.
class Running {
 public:
  Running(const Label& label, const Tensor& x, const Tensor& lengths) {
    if (!lengths.defined()) return;
    const std::int64_t n = x.shape()[0], time = x.shape()[1];
    if (lengths.dtype() != i64)
      refuse(label, x, Complaint::dtype, fmt::format("lengths must be i64, not {}", to_string(lengths.dtype())));
    must_be(label, x, "lengths", lengths, {n});
    const std::vector<std::int64_t> ends = lengths.to_vector<std::int64_t>();
    for (std::size_t row = 0; row < ends.size(); ++row)
      if (ends[row] < 0 || ends[row] > time)
        refuse(label, x, Complaint::index, fmt::format("lengths[{}] = {} is outside [0, {}]", row, ends[row], time));
    if (n == 0) return;
    const auto [least, most] = std::minmax_element(ends.begin(), ends.end());
    shortest_ = *least;
    longest_ = *most;
    std::vector<std::int64_t> marks;
    marks.reserve(static_cast<std::size_t>(n * time));
    for (std::int64_t t = 0; t < time; ++t)
      for (const std::int64_t end : ends) marks.push_back(t < end ? 1 : 0);
    marks_ = from(marks, {time * n, 1});
  }

  bool all(std::int64_t t) const { return t < shortest_; }
  bool none(std::int64_t t) const { return t >= longest_; }
  /// [batch, 1]: 1 for the rows that run at step t.
  Tensor at(std::int64_t t, std::int64_t n) const { return slice(marks_, t * n, (t + 1) * n); }
  /// What stands behind a row's end is not looked at, be it NaN.
  Tensor without_rest(const Tensor& rows) const { return marks_.defined() ? where(marks_, rows, 0.0) : rows; }

 private:
  std::int64_t shortest_ = std::numeric_limits<std::int64_t>::max(), longest_ = shortest_;
  Tensor marks_;  // [time · batch, 1]
};

/// What may be meant by x of two axes.
std::string sequence_help(const Tensor& x, std::int64_t in) {
  if (x.rank() != 2) return "";
  if (in == 1) return "unsqueeze(x, 2) is one number for each step";
  if (x.shape()[1] != in) return "";
  return "a recurrent layer before this one wants .sequences = true; unsqueeze(x, 0) is a batch of one";
}

}  // namespace

// ---- cells -----------------------------------------------------------------------------------------------------------

CellWeights::CellWeights(Label&& checked_before, std::int64_t gates, std::int64_t in, std::int64_t hidden, bool bias,
                         DType dtype)
    : weight_ih(drawn({gates * hidden, in}, hidden, dtype)),
      weight_hh(drawn({gates * hidden, hidden}, hidden, dtype)),
      bias_ih(drawn({bias ? gates * hidden : 0}, hidden, dtype)),
      bias_hh(drawn({bias ? gates * hidden : 0}, hidden, dtype)),
      label(std::move(checked_before)) {}

void CellWeights::ebb_visit(Visitor& visitor) const {
  visitor.field("label", label);
  visit(visitor, "");
}

void CellWeights::visit(Visitor& visitor, const std::string& ending) const {
  visitor.field("weight_ih" + ending, weight_ih);
  visitor.field("weight_hh" + ending, weight_hh);
  if (has_bias()) {
    visitor.field("bias_ih" + ending, bias_ih);
    visitor.field("bias_hh" + ending, bias_hh);
  } else {
    visitor.skip(bias_ih);
    visitor.skip(bias_hh);
  }
}

RNNCell::RNNCell(std::int64_t in, std::int64_t hidden, const RNNCellOptions& options)
    : CellWeights(Label(checked("RNNCell", in, hidden)), 1, in, hidden, options.bias, options.dtype),
      nonlinearity(options.nonlinearity) {}
Tensor RNNCell::operator()(const Tensor& x, const Tensor& h) const { return one_step(*this, x, h); }
Tensor RNNCell::project(const Tensor& x) const { return project_with_both(*this, x); }
Tensor RNNCell::step(const Tensor& projected, const Tensor& h) const {
  const Tensor z = affine(h, weight_hh, projected);
  return nonlinearity == Nonlinearity::tanh ? tanh(z) : relu(z);
}

LSTMCell::LSTMCell(std::int64_t in, std::int64_t hidden, const CellOptions& options)
    : CellWeights(Label(checked("LSTMCell", in, hidden)), 4, in, hidden, options.bias, options.dtype) {}
State LSTMCell::operator()(const Tensor& x, const State& state) const { return one_step(*this, x, state); }
Tensor LSTMCell::project(const Tensor& x) const { return project_with_both(*this, x); }
State LSTMCell::step(const Tensor& projected, const State& state) const {
  const Tensor both = lstm_cell(affine(state.h, weight_hh, projected), state.c);
  const std::int64_t n = state.c.shape()[0];
  return {slice(both, 0, n), slice(both, n, 2 * n)};
}

GRUCell::GRUCell(std::int64_t in, std::int64_t hidden, const CellOptions& options)
    : CellWeights(Label(checked("GRUCell", in, hidden)), 3, in, hidden, options.bias, options.dtype) {}
Tensor GRUCell::operator()(const Tensor& x, const Tensor& h) const { return one_step(*this, x, h); }
Tensor GRUCell::project(const Tensor& x) const {
  const Tensor weight = weight_ih;
  return product(x, weight, has_bias() ? Tensor(bias_ih) : Tensor());
}
Tensor GRUCell::step(const Tensor& projected, const Tensor& h) const {
  const Tensor weight = weight_hh;
  return gru_cell(projected, product(h, weight, has_bias() ? Tensor(bias_hh) : Tensor()), h);
}

// ---- layers ----------------------------------------------------------------------------------------------------------

template <class Cell> template <class Options, class Make>
Recurrent<Cell>::Recurrent(const char* kind, std::int64_t in, std::int64_t hidden, const Options& options, Make make)
    : label(checked(kind, in, hidden, options.layers, options.bidirectional, options.dropout)),
      sequences(options.sequences),
      bidirectional_(options.bidirectional),
      dropout_(options.dropout) {
  for (std::int64_t layer = 0; layer < options.layers; ++layer)
    for (std::int64_t direction = 0; direction < directions(); ++direction)
      cells_.push_back(make(layer == 0 ? in : hidden * directions()));
}

template <class Cell> const Cell& Recurrent<Cell>::cell(std::int64_t layer, bool reverse) const {
  static_cast<void>(here_.state());  // throws if the cells were moved away
  if (layer < 0 || layer >= layers() || (reverse && !bidirectional_))
    throw IndexError(fmt::format("{}: there is no {}cell of layer {}", label.kind(), reverse ? "reverse " : "", layer));
  return cells_[static_cast<std::size_t>(layer * directions() + (reverse ? 1 : 0))];
}

template <class Cell> void Recurrent<Cell>::ebb_visit(Visitor& visitor) const {
  static_cast<void>(cell(0));  // throws if the cells were moved away
  visitor.field("label", label);
  visitor.skip(here_);
  if (dropout_.p > 0) visitor.place("dropout", dropout_.label);
  for (std::size_t k = 0; k < cells_.size(); ++k) {
    const bool reverse = bidirectional_ && k % 2 == 1;
    const std::string place = fmt::format("l{}{}", bidirectional_ ? k / 2 : k, reverse ? "_reverse" : "");
    cells_[k].visit(visitor, "_" + place);
    if (cells_.size() > 1) visitor.place(place, cells_[k].label);
  }
}

template <class Cell> typename Recurrent<Cell>::Unrolled Recurrent<Cell>::unroll(const Tensor& x, const State& state,
                                                                                 const Tensor& lengths,
                                                                                 bool rows_wanted) const {
  must_be_given(label, x);
  if (x.rank() != 3 || x.shape()[2] != in())
    refuse(label, x, Complaint::shape, fmt::format("x must be [batch, time, {}]", in()), sequence_help(x, in()));
  const std::int64_t n = x.shape()[0], time = x.shape()[1];
  const std::int64_t steps = n > 0 ? time : std::min<std::int64_t>(time, 1);  // of no rows, one step is as good as many
  const auto cells = static_cast<std::int64_t>(cells_.size());
  const State begin = begun(label, x, state, {cells, n, hidden()}, cell(0).weight_hh.dtype());
  const Running running(label, x, lengths);

  // The steps come first: each is then a view into all, and its gradient is added there in place.
  Unrolled result;
  result.rows = running.without_rest(reshape(transpose(x, 0, 1), {time * n, in()}));
  for (std::int64_t layer = 0; layer < layers(); ++layer) {
    if (layer > 0) result.rows = dropout_(result.rows);
    std::vector<Tensor> sides;
    for (std::int64_t direction = 0; direction < directions(); ++direction) {
      const auto k = static_cast<std::size_t>(layer * directions() + direction);
      const Cell& cell = cells_[k];
      std::optional<Scope> of_cell;
      if (cells > 1) of_cell.emplace(cell.label.path(), cell.label.kind());
      Projected projected(cell, result.rows, n, direction == 0 ? 0 : steps - 1);
      State now = each([&](const Tensor& t) { return t[static_cast<std::int64_t>(k)]; }, begin);
      std::vector<Tensor> outputs(static_cast<std::size_t>(steps));
      for (std::int64_t i = 0; i < steps; ++i) {
        const std::int64_t t = direction == 0 ? i : steps - 1 - i;
        Tensor& output = outputs[static_cast<std::size_t>(t)];
        if (running.none(t)) {
          output = zeros({n, hidden()}, projected.dtype());
          continue;
        }
        const State next = cell.step(projected.of(t), now);
        if (running.all(t)) {
          now = next;
          output = shown(now);
        } else {
          const Tensor runs = running.at(t, n);
          now = each([&](const Tensor& a, const Tensor& b) { return where(runs, a, b); }, next, now);
          output = where(runs, shown(next), 0.0);
        }
      }
      result.last.push_back(now);
      if (!rows_wanted && layer == layers() - 1) continue;
      sides.push_back(steps == 0 ? zeros({0, hidden()}, projected.dtype()) : concat(outputs));
    }
    if (sides.empty()) result.rows = Tensor();
    else result.rows = sides.size() == 1 ? sides[0] : concat(sides, 1);
  }
  return result;
}

template <class Cell> Tensor Recurrent<Cell>::operator()(const Tensor& x) const {
  if (sequences) return run(x).outputs;
  const Scope scope = label.scope();
  const std::vector<State> last = unroll(x, {}, {}, false).last;
  if (!bidirectional_) return shown(last.back());
  return concat({shown(last[last.size() - 2]), shown(last.back())}, 1);
}

template <class Cell>
Run<typename Cell::State> Recurrent<Cell>::run(const Tensor& x, const State& state, const Tensor& lengths) const {
  const Scope scope = label.scope();
  const Unrolled unrolled = unroll(x, state, lengths, true);
  const std::int64_t n = x.shape()[0], time = x.shape()[1];
  return {transpose(reshape(unrolled.rows, {time, n, hidden() * directions()}), 0, 1), stacked(unrolled.last)};
}

RNN::RNN(std::int64_t in, std::int64_t hidden, const RNNOptions& options)
    : Recurrent("RNN", in, hidden, options, [&](std::int64_t from) {
        return RNNCell(from, hidden, {options.nonlinearity, options.bias, options.dtype});
      }) {}
LSTM::LSTM(std::int64_t in, std::int64_t hidden, const RecurrentOptions& options)
    : Recurrent("LSTM", in, hidden, options, [&](std::int64_t from) {
        return LSTMCell(from, hidden, {options.bias, options.dtype});
      }) {}
GRU::GRU(std::int64_t in, std::int64_t hidden, const RecurrentOptions& options)
    : Recurrent("GRU", in, hidden, options, [&](std::int64_t from) {
        return GRUCell(from, hidden, {options.bias, options.dtype});
      }) {}

template class Recurrent<RNNCell>;
template class Recurrent<LSTMCell>;
template class Recurrent<GRUCell>;

}  // namespace ebb::nn
