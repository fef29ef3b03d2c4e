// One step of a recurrent cell: lstm_cell, gru_cell.
//
// Each is one pass instead of a dozen ops.  The composition that it stands for is beside it, and derivatives beyond the
// first go through that.
#include "../kernels/recurrent.h"

#include "../elementwise.h"
#include "../launch.h"
#include "../ops.h"
#include "../require.h"

#include <limits>

namespace ebb {

using namespace detail;

namespace {

/// One gate of those that lie side by side.
Tensor gate(const Tensor& gates, std::int64_t hidden, int which) {
  return slice(gates, which * hidden, (which + 1) * hidden, -1);
}

/// How many rows `gates` has for a state of which each row has that many numbers.
std::int64_t rows_of(const char* what, const Tensor& gates, const Tensor& state, int count) {
  const Shape &g = gates.shape(), &s = state.shape();
  const bool fits = g.rank() >= 1 && g.rank() == s.rank() && g.with(-1, 0) == s.with(-1, 0);
  require(fits && g[-1] % count == 0 && g[-1] / count == s[-1], "{} must have {} numbers for each of the state's", what,
          count);
  return s[-1] == 0 ? 0 : s.size() / s[-1];
}

struct LstmCell {
  static constexpr char name[] = "lstm_cell", formula[] = "c′ = σ(f)·c + σ(i)·tanh g,  h′ = σ(o)·tanh c′",
                        rule[] =
                            "∇c′ += ∇h′·σ(o)·(1−tanh² c′)   ∇c = ∇c′·σ(f)   ∇i = ∇c′·tanh g·σ′(i)   "
                            "∇f = ∇c′·c·σ′(f)   ∇g = ∇c′·σ(i)·tanh′ g   ∇o = ∇h′·tanh c′·σ′(o)",
                        operands[] = "gates c";
  static constexpr Keep keep = Keep::inputs;
  mutable Tensor active{};  // what the forward pass leaves for the gradients

  Tensor run(const Tensor& gates, const Tensor& c) const {
    const std::int64_t rows = rows_of("the gates", gates, c, kernels::lstm::gates), n = c.size();
    require(c.shape()[0] <= std::numeric_limits<std::int64_t>::max() / 2, "twice {} rows are more than can be counted",
            c.shape()[0]);
    Tensor y = empty(c.shape().with(0, 2 * c.shape()[0]), c.dtype());
    if (recording()) active = empty({n + gates.size()}, c.dtype());
    dispatch_floating(c.dtype(), [&]<class T>(T) {
      T* const h = write<T>(y);
      launch(kernels::lstm_cell<T>, h, h + n, recording() ? write<T>(active) : nullptr, read<T>(gates), read<T>(c),
             rows, c.shape()[-1]);
    });
    return y;
  }
  Tensor compose(const Tensor* in) const {
    using namespace kernels::lstm;
    const Tensor &all = in[0], &c = in[1];
    const std::int64_t n = c.shape()[-1];
    const Tensor next =
        sigmoid(gate(all, n, forget)) * c + sigmoid(gate(all, n, input)) * tanh(gate(all, n, candidate));
    return concat({sigmoid(gate(all, n, output)) * tanh(next), next});
  }
  Tensor dgates(const Tensor& dy, const Tensor& gates, const Tensor& c) const {
    Tensor dgates = empty(gates.shape(), gates.dtype());
    const std::int64_t n = c.size(), hidden = c.shape()[-1];
    dispatch_floating(c.dtype(), [&]<class T>(T) {
      launch(kernels::lstm_cell_dgates<T>, write<T>(dgates), read<T>(dy), read<T>(dy) + n, read<T>(active), read<T>(c),
             hidden == 0 ? 0 : n / hidden, hidden);
    });
    return dgates;
  }
  Tensor dc(const Tensor& dy, const Tensor&, const Tensor& c) const {
    Tensor dc = empty(c.shape(), c.dtype());
    const std::int64_t n = c.size(), hidden = c.shape()[-1];
    dispatch_floating(c.dtype(), [&]<class T>(T) {
      launch(kernels::lstm_cell_dc<T>, write<T>(dc), read<T>(dy), read<T>(dy) + n, read<T>(active),
             hidden == 0 ? 0 : n / hidden, hidden);
    });
    return dc;
  }
  static constexpr auto gradients() { return std::tuple(&LstmCell::dgates, &LstmCell::dc); }
};

struct GruCell {
  static constexpr char name[] = "gru_cell", formula[] = "h′ = (1−σ(z))·n + σ(z)·h,  n = tanh(xₙ + σ(r)·sₙ)",
                        rule[] =
                            "∇h = g·σ(z)   ∇xₙ = g·(1−σ(z))·(1−n²)   ∇sₙ = ∇xₙ·σ(r)   ∇r = ∇xₙ·sₙ·σ′(r)   "
                            "∇z = g·(h−n)·σ′(z)",
                        operands[] = "x s h";
  static constexpr Keep keep = Keep::inputs;
  mutable Tensor active{};  // what the forward pass leaves for the gradients

  Tensor run(const Tensor& x, const Tensor& s, const Tensor& h) const {
    const std::int64_t rows = rows_of("the gates from the input", x, h, kernels::gru::gates);
    rows_of("the gates from the state", s, h, kernels::gru::gates);
    Tensor y = empty(h.shape(), h.dtype());
    if (recording()) active = empty({x.size()}, h.dtype());
    dispatch_floating(h.dtype(), [&]<class T>(T) {
      launch(kernels::gru_cell<T>, write<T>(y), recording() ? write<T>(active) : nullptr, read<T>(x), read<T>(s),
             read<T>(h), rows, h.shape()[-1]);
    });
    return y;
  }
  Tensor compose(const Tensor* in) const {
    using namespace kernels::gru;
    const Tensor &x = in[0], &s = in[1], &h = in[2];
    const std::int64_t n = h.shape()[-1];
    const auto open = [&](int which) { return sigmoid(gate(x, n, which) + gate(s, n, which)); };
    const Tensor z = open(update), next = tanh(gate(x, n, candidate) + open(reset) * gate(s, n, candidate));
    return (1 - z) * next + z * h;
  }
  Tensor dgates(bool by_state, const Tensor& dy, const Tensor& s, const Tensor& h) const {
    Tensor dgates = empty(s.shape(), s.dtype());
    const std::int64_t hidden = h.shape()[-1];
    dispatch_floating(h.dtype(), [&]<class T>(T) {
      launch(kernels::gru_cell_dgates<T>, write<T>(dgates), by_state, read<T>(dy), read<T>(active), read<T>(s),
             read<T>(h), hidden == 0 ? 0 : h.size() / hidden, hidden);
    });
    return dgates;
  }
  Tensor dx(const Tensor& dy, const Tensor&, const Tensor& s, const Tensor& h) const { return dgates(false, dy, s, h); }
  Tensor ds(const Tensor& dy, const Tensor&, const Tensor& s, const Tensor& h) const { return dgates(true, dy, s, h); }
  Tensor dh(const Tensor& dy, const Tensor&, const Tensor&, const Tensor& h) const {
    Tensor dh = empty(h.shape(), h.dtype());
    const std::int64_t hidden = h.shape()[-1];
    dispatch_floating(h.dtype(), [&]<class T>(T) {
      launch(kernels::gru_cell_dh<T>, write<T>(dh), read<T>(dy), read<T>(active), hidden == 0 ? 0 : h.size() / hidden,
             hidden);
    });
    return dh;
  }
  static constexpr auto gradients() { return std::tuple(&GruCell::dx, &GruCell::ds, &GruCell::dh); }
};

/// The type of numbers that a cell computes in.
DType common(DType a, DType b) {
  const DType type = promote(a, b);
  return type == i64 ? f32 : type;
}

}  // namespace

Tensor lstm_cell(const Tensor& gates, const Tensor& c) {
  return asked_of(LstmCell::name, {&gates, &c}, [&] {
    const DType type = common(gates.dtype(), c.dtype());
    return apply(LstmCell{}, gates.to(type), c.to(type));
  });
}

Tensor gru_cell(const Tensor& x, const Tensor& s, const Tensor& h) {
  return asked_of(GruCell::name, {&x, &s, &h}, [&] {
    const DType type = common(x.dtype(), common(s.dtype(), h.dtype()));
    return apply(GruCell{}, x.to(type), s.to(type), h.to(type));
  });
}

}  // namespace ebb
