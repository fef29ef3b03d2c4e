// Scalar: one number that knows its place in the graph.
#pragma once

#include "number.h"
#include "tape.h"
#include "tensor.h"

#include <iosfwd>
#include <type_traits>

namespace ebb {

/// A double that is recorded: every + and * of Scalars is a node of the graph.  16 bytes, trivially copyable.
/// Made from a plain number it is a constant.
class Scalar {
 public:
  constexpr Scalar() = default;
  template <class T>
  requires std::is_arithmetic_v<T>
  constexpr Scalar(T value) : value_(static_cast<double>(value)) {}

  constexpr double value() const { return value_; }
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

inline bool operator<(const Scalar& a, const Scalar& b) { return a.value() < b.value(); }
inline bool operator<=(const Scalar& a, const Scalar& b) { return a.value() <= b.value(); }
inline bool operator>(const Scalar& a, const Scalar& b) { return a.value() > b.value(); }
inline bool operator>=(const Scalar& a, const Scalar& b) { return a.value() >= b.value(); }
inline bool operator==(const Scalar& a, const Scalar& b) { return a.value() == b.value(); }
inline bool operator!=(const Scalar& a, const Scalar& b) { return a.value() != b.value(); }

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
};
/// Enters a rule in the table of codes.  Throws UsageError if the table is full.
std::uint16_t register_scalar_rule(const ScalarRule& rule);

/// The one door into what handles keep to themselves.
struct Access {
  static Scalar scalar(double v, Place place) { return {v, place}; }
  static Place place(const Scalar& s) { return s.place_; }
  static std::uint32_t id(const Scalar& s) { return id_of(s.place_); }
  static std::uint32_t graph(const Scalar& s) { return graph_of(s.place_); }
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
  // A number written into the program is known here, and costs no more than the other operand.
  const bool a_number = __builtin_constant_p(pa) && pa == 0, b_number = __builtin_constant_p(pb) && pb == 0;
  if (a_number) da = a.value();
  if (b_number) db = b.value();
  const bool a_here = a_number || graph_of(pa ^ t->next) == 0, b_here = b_number || graph_of(pb ^ t->next) == 0;
  if (a_here && b_here && !(a_number && b_number)) [[likely]]
    return Access::scalar(v, t->push(code, v, id_of(pa), da, id_of(pb), db));
  return record_mixed(code, v, a, da, b, db);
}

template <class F> void scalar_gradient(const Scalar& dy, const Scalar* operand, const Scalar& y, Scalar* out) {
  if constexpr (F::arity == 1) {
    out[0] = F::dx(dy, operand[0], y);
  } else {
    out[0] = F::da(dy, operand[0], operand[1], y);
    out[1] = F::db(dy, operand[0], operand[1], y);
  }
}

/// The code of a formula's scalar op.
template <class F> inline const std::uint16_t scalar_code = register_scalar_rule({F::name, F::formula, F::rule,
                                                                                  F::arity, &scalar_gradient<F>});

/// One formula on Scalars: its value and its local derivatives, recorded.
template <class F> EBB_ALWAYS_INLINE Scalar on_scalars(Scalar x) {
  using N = Num<double>;
  const N v(x.value()), y = F::f(v);
  return record_scalar(scalar_code<F>, y.v, x, F::dx(N(1.0), v, y).v);
}
template <class F> EBB_ALWAYS_INLINE Scalar on_scalars(Scalar a, Scalar b) {
  using N = Num<double>;
  const N va(a.value()), vb(b.value()), y = F::f(va, vb);
  return record_scalar(scalar_code<F>, y.v, a, F::da(N(1.0), va, vb, y).v, b, F::db(N(1.0), va, vb, y).v);
}

}  // namespace detail

template <std::integral... I> Scalar Tensor::operator()(I... i) const {
  const std::int64_t index[] = {static_cast<std::int64_t>(i)..., 0};
  return element(index, static_cast<int>(sizeof...(I)));
}

}  // namespace ebb
