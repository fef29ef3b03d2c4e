// Scalar: one number that knows its place in the graph.
#pragma once

#include "number.h"
#include "tape.h"
#include "tensor.h"

#include <iosfwd>
#include <type_traits>

namespace ebb {

namespace detail {
/// While `tracing`: a program asked for the value of what lies there.
[[gnu::cold]] void note_value_read(Place place);
}  // namespace detail

/// A double that is recorded: every + and * of Scalars is a node of the graph.  16 bytes, trivially copyable.
/// Made from a plain number it is a constant.
class Scalar {
 public:
  constexpr Scalar() = default;
  template <class T>
  requires std::is_arithmetic_v<T>
  constexpr Scalar(T value) : value_(static_cast<double>(value)) {}

  constexpr double value() const {
    if (!std::is_constant_evaluated() && detail::tracing) [[unlikely]]
      detail::note_value_read(place_);
    return value_;
  }
  /// The gradient that the last backward() left here.  Throws GraphError if none ran, or the graph is closed.
  double grad() const;
  /// Fills the gradients of all that this number depends on.  Throws GraphError if it was not recorded, or its graph is
  /// closed or used up.
  void backward(const BackwardOptions& options = {}) const;

 private:
  friend struct detail::Access;
  constexpr Scalar(double value, detail::Place place) : value_(value), place_(place) {}

  double value_ = 0;
  detail::Place place_ = 0;
};
static_assert(sizeof(Scalar) == 16 && std::is_trivially_copyable_v<Scalar>);

/// Prints the value.
std::ostream& operator<<(std::ostream& out, const Scalar& s);

namespace detail {

/// What the list knows of a kind of scalar op: how it is called, and its derivative as recorded Scalars.
struct ScalarRule {
  const char* name;
  const char* formula;
  const char* rule;
  int arity;
  void (*gradient)(const Scalar& dy, const Scalar* operands, const Scalar& y, Scalar* out);
  /// Its values y and local derivatives dx of `lanes_at_once` rows, each operand and derivative an array of as many;
  /// nullptr: it hangs on numbers that the list does not know.
  void (*on_lanes)(const double* const* x, double* y, double* const* dx) = nullptr;
};
/// The rows that a replayed function of Scalars computes together (lanes.h).
constexpr int lanes_at_once = 8;

/// Enters a rule in the table of codes.  Throws UsageError if the table is full.
std::uint16_t register_scalar_rule(const ScalarRule& rule);

/// The one door into what handles keep to themselves.
struct Access {
  static Scalar scalar(double v, Place place) { return {v, place}; }
  static Place place(const Scalar& s) { return s.place_; }
  static std::uint32_t id(const Scalar& s) { return id_of(s.place_); }
  static std::uint32_t graph(const Scalar& s) { return graph_of(s.place_); }
  static double value(const Scalar& s) { return s.value_; }
  static Tensor tensor(TensorImpl* owned) { return Tensor(owned); }
  static TensorImpl* impl(const Tensor& t) { return t.impl_; }
  static TensorImpl* take(Tensor& t) { return std::exchange(t.impl_, nullptr); }
};

/// A value of a graph other than this thread's recording one: a constant if that graph is closed or paused.
/// Throws GraphError if another thread is recording it.
Scalar outside(const Scalar& s);

/// The same where not all operands are of the graph that records: constants, values of closed graphs, or no graph.  (The
/// constants' values take the place of da and db.)
[[gnu::cold]] Scalar record_mixed(std::uint16_t code, double v, Scalar a, double da, Scalar b, double db);

EBB_ALWAYS_INLINE Scalar record_scalar(std::uint16_t code, double v, Scalar a, double da) {
  Tape* const t = tape;
  const Place pa = Access::place(a);
  if (graph_of(pa ^ t->next) == 0) [[likely]]
    return Access::scalar(v, t->push(code, v, id_of(pa), da, 0, 0.0));
  return record_mixed(code, v, a, da, 0, 0);
}

EBB_ALWAYS_INLINE Scalar record_scalar(std::uint16_t code, double v, Scalar a, double da, Scalar b, double db) {
  Tape* const t = tape;
  const Place pa = Access::place(a), pb = Access::place(b);
  if ((graph_of(pa ^ t->next) | graph_of(pb ^ t->next)) == 0) [[likely]]
    return Access::scalar(v, t->push(code, v, id_of(pa), da, id_of(pb), db));
  return record_mixed(code, v, a, da, b, db);
}

// One operand is a number of the program's.
EBB_ALWAYS_INLINE Scalar record_scalar(std::uint16_t code, double v, Scalar a, double da, double b) {
  Tape* const t = tape;
  const Place pa = Access::place(a);
  if (graph_of(pa ^ t->next) == 0) [[likely]]
    return Access::scalar(v, t->push(code, v, id_of(pa), da, 0, b));
  return record_mixed(code, v, a, da, b, 0);
}
EBB_ALWAYS_INLINE Scalar record_scalar(std::uint16_t code, double v, double a, Scalar b, double db) {
  Tape* const t = tape;
  const Place pb = Access::place(b);
  if (graph_of(pb ^ t->next) == 0) [[likely]]
    return Access::scalar(v, t->push(code, v, 0, a, id_of(pb), db));
  return record_mixed(code, v, a, 0, b, db);
}

template <class F> void scalar_gradient(const Scalar& dy, const Scalar* operand, const Scalar& y, Scalar* out) {
  if constexpr (F::arity == 1) {
    out[0] = F::dx(dy, operand[0], y);
  } else {
    out[0] = F::da(dy, operand[0], operand[1], y);
    out[1] = F::db(dy, operand[0], operand[1], y);
  }
}

template <class F> void scalar_on_lanes(const double* const* x, double* y, double* const* dx) {
  using N = Num<double>;
  for (int i = 0; i < lanes_at_once; ++i) {
    if constexpr (F::arity == 1) {
      const N v(x[0][i]), value = F::f(v);
      y[i] = value.v;
      dx[0][i] = F::dx(N(1.0), v, value).v;
    } else {
      const N a(x[0][i]), b(x[1][i]), value = F::f(a, b);
      y[i] = value.v;
      dx[0][i] = F::da(N(1.0), a, b, value).v;
      dx[1][i] = F::db(N(1.0), a, b, value).v;
    }
  }
}

/// The code of a formula's scalar op.
template <class F>
inline const std::uint16_t scalar_code = register_scalar_rule({F::name, F::formula, F::rule, F::arity,
                                                               &scalar_gradient<F>, &scalar_on_lanes<F>});

/// One formula on Scalars: its value and its local derivatives, recorded.
template <class F> EBB_ALWAYS_INLINE Scalar on_scalars(Scalar x) {
  using N = Num<double>;
  const N v(Access::value(x)), y = F::f(v);
  return record_scalar(scalar_code<F>, y.v, x, F::dx(N(1.0), v, y).v);
}
template <class F> EBB_ALWAYS_INLINE Scalar on_scalars(Scalar a, Scalar b) {
  using N = Num<double>;
  const N va(Access::value(a)), vb(Access::value(b)), y = F::f(va, vb);
  return record_scalar(scalar_code<F>, y.v, a, F::da(N(1.0), va, vb, y).v, b, F::db(N(1.0), va, vb, y).v);
}
template <class F> EBB_ALWAYS_INLINE Scalar on_scalars(Scalar a, double b) {
  using N = Num<double>;
  const N va(Access::value(a)), vb(b), y = F::f(va, vb);
  return record_scalar(scalar_code<F>, y.v, a, F::da(N(1.0), va, vb, y).v, b);
}
template <class F> EBB_ALWAYS_INLINE Scalar on_scalars(double a, Scalar b) {
  using N = Num<double>;
  const N va(a), vb(Access::value(b)), y = F::f(va, vb);
  return record_scalar(scalar_code<F>, y.v, a, b, F::db(N(1.0), va, vb, y).v);
}

/// How two Scalars are compared.
enum class Comparison : std::uint8_t { less, less_equal, greater, greater_equal, equal, not_equal };
/// While `tracing`: a program asked, and went the way of that answer.
[[gnu::cold]] void note_comparison(Comparison how, const Scalar& a, const Scalar& b, bool answer);
EBB_ALWAYS_INLINE bool answered(Comparison how, const Scalar& a, const Scalar& b, bool answer) {
  if (tracing) [[unlikely]]
    note_comparison(how, a, b, answer);
  return answer;
}

}  // namespace detail

#define EBB_COMPARISON(op, how)                                                                       \
  inline bool operator op(const Scalar& a, const Scalar& b) {                                         \
    using detail::Access, detail::Comparison;                                                         \
    return detail::answered(Comparison::how, a, b, Access::value(a) op Access::value(b));             \
  }
EBB_COMPARISON(<, less)
EBB_COMPARISON(<=, less_equal)
EBB_COMPARISON(>, greater)
EBB_COMPARISON(>=, greater_equal)
EBB_COMPARISON(==, equal)
EBB_COMPARISON(!=, not_equal)
#undef EBB_COMPARISON

template <std::integral... I> Scalar Tensor::operator()(I... i) const {
  const std::int64_t index[] = {static_cast<std::int64_t>(i)..., 0};
  return element(index, static_cast<int>(sizeof...(I)));
}

}  // namespace ebb
