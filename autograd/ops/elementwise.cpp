// How formulas run on tensors.  The formulas themselves, with their derivatives, are in formulas.h; every function that
// ops.h declares of one is compiled here.
#define EBB_COMPILE_ELEMENTWISE
#include "../formulas.h"
#include "../kernels/reduce.h"
#include "../launch.h"
#include "../list.h"
#include "../op.h"
#include "../require.h"
#include "../scalar.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace ebb {

bool recording();
Tensor where(const Tensor& condition, const Scalar& a, const Tensor& b);
Tensor operator==(const Tensor& a, const Scalar& b);

namespace detail {

Tensor as_tensor(const Scalar& s, DType dtype);

namespace {

/// What stands in for an operand that the formula does not read: any tensor of the output's shape.
template <class F> const Tensor& read_or(const Tensor& x, int i, const Tensor& dummy) {
  return keeps_input(F::keep, i) ? x : dummy;
}
// Where no gradient arrives, none goes on, be the local derivative infinite: what where(), relu or max did not choose
// stays out of it.
template <class T> T unless_none(T g, Num<T> dx) { return kernels::math::select(g == T(0), T(0), dx.v); }
// The same of a gradient made of ops.  There an exact 0 may yet matter to the next derivative, as that of log x · log x / 2
// does at 1: only what is not finite is taken out.
Tensor unless_none(const Tensor& dy, const Tensor& dx) {
  const Tensor none = dispatch_floating(dx.dtype(), [&]<class T>(T) -> Tensor {
    const auto is_none = [](T g, T d) { return std::int64_t{g == T(0) && !std::isfinite(d)}; };
    if (decided(kernels::all_finite<T>, read<T>(dx), dx.size())) return {};
    Tensor marks = empty(dx.shape(), i64);
    auto* const mark = write<std::int64_t>(marks);
    launch_map(mark, dx.size(), is_none, read<T>(dy), read<T>(dx));
    const auto any = [](const std::int64_t* marked, std::int64_t n) { return std::count(marked, marked + n, 1) > 0; };
    return decided(any, static_cast<const std::int64_t*>(mark), dx.size()) ? marks : Tensor();
  });
  return none.defined() ? where(none, Scalar(0.0), dx) : dx;
}

template <class F> const Tensor& output_or(const Tensor& y, const Tensor& dummy) {
  return keeps_output(F::keep) ? y : dummy;
}

template <class F> struct OfOne {
  static constexpr const char *name = F::name, *formula = F::formula, *rule = F::rule, *operands = "x";
  static constexpr Keep keep = F::keep;
  static constexpr bool by_element = true, gates = F::gates;
  bool in_place = false;  // nobody reads x any more

  Tensor run(const Tensor& x) const {
    Tensor y = in_place ? view(x, x.shape()) : empty(x.shape(), x.dtype());
    const auto loop = [&]<class T>(T) {
      launch_map(
          write<T>(y), x.size(), [](T v) { return F::f(Num<T>(v)).v; }, read<T>(x));
    };
    if constexpr (F::integers) dispatch(x.dtype(), loop);
    else dispatch_floating(x.dtype(), loop);
    return y;
  }
  Tensor dx(const Tensor& dy, const Tensor& x, const Tensor& y) const {
    if constexpr (!F::composed) {
      if (!recording()) {
        Tensor dx = empty(dy.shape(), dy.dtype());
        dispatch_floating(dy.dtype(), [&]<class T>(T) {
          using N = Num<T>;
          const auto local = [](T g, T v, T w) { return unless_none(g, F::dx(N(g), N(v), N(w))); };
          launch_map(write<T>(dx), dy.size(), local, read<T>(dy), read<T>(read_or<F>(x, 0, dy)),
                     read<T>(output_or<F>(y, dy)));
        });
        return dx;
      }
      return unless_none(dy, F::dx(dy, x, y));
    }
    return F::dx(dy, x, y);
  }
  static constexpr auto gradients() { return std::tuple(&OfOne::dx); }
};

template <class F> struct OfTwo {
  static constexpr const char *name = F::name, *formula = F::formula, *rule = F::rule, *operands = "a b";
  static constexpr Keep keep = F::keep;
  static constexpr bool by_element = true;

  Tensor run(const Tensor& a, const Tensor& b) const {
    const bool alike = a.shape() == b.shape();
    Tensor y = alike ? empty(a.shape(), a.dtype()) : empty(broadcast_of(a.shape(), b.shape()), a.dtype());
    const auto loop = [&]<class T>(T) {
      const auto f = [](T v, T w) { return F::f(Num<T>(v), Num<T>(w)).v; };
      if (alike) launch_map(write<T>(y), y.size(), f, read<T>(a), read<T>(b));
      else
        launch_map(write<T>(y), kernels::Walk<2>(y.shape().sizes(), {a.shape().sizes(), b.shape().sizes()}), f,
                   read<T>(a), read<T>(b));
    };
    if constexpr (F::integers) dispatch(y.dtype(), loop);
    else dispatch_floating(y.dtype(), loop);
    return y;
  }

  /// The rule's gradient in the shape of the output.
  template <class Rule>
  Tensor carried(Rule local_rule, const Tensor& dy, const Tensor& a, const Tensor& b, const Tensor& y) const {
    if constexpr (F::composed) return local_rule(dy, a, b, y);
    if (recording()) return unless_none(dy, local_rule(dy, a, b, y));
    const Tensor& ra = read_or<F>(a, 0, dy);
    const Tensor& rb = read_or<F>(b, 1, dy);
    const Tensor& ry = output_or<F>(y, dy);
    Tensor dx = empty(dy.shape(), dy.dtype());
    dispatch_floating(dy.dtype(), [&]<class T>(T) {
      using N = Num<T>;
      const auto local = [&](T g, T v, T w, T u) { return unless_none(g, local_rule(N(g), N(v), N(w), N(u))); };
      if (ra.shape() == dy.shape() && rb.shape() == dy.shape()) {
        launch_map(write<T>(dx), dy.size(), local, read<T>(dy), read<T>(ra), read<T>(rb), read<T>(ry));
      } else {
        const auto sizes = dy.shape().sizes();
        launch_map(write<T>(dx), kernels::Walk<4>(sizes, {sizes, ra.shape().sizes(), rb.shape().sizes(), sizes}), local,
                   read<T>(dy), read<T>(ra), read<T>(rb), read<T>(ry));
      }
    });
    return dx;
  }
  Tensor da(const Tensor& dy, const Tensor& a, const Tensor& b, const Tensor& y) const {
    const auto by_a = [](const auto& g, const auto&... x) { return F::da(g, x...); };
    return sum_to(carried(by_a, dy, a, b, y), a.shape());
  }
  Tensor db(const Tensor& dy, const Tensor& a, const Tensor& b, const Tensor& y) const {
    const auto by_b = [](const auto& g, const auto&... x) { return F::db(g, x...); };
    return sum_to(carried(by_b, dy, a, b, y), b.shape());
  }
  static constexpr auto gradients() { return std::tuple(&OfTwo::da, &OfTwo::db); }
};

/// A formula of two whose one operand is a plain number.
template <class F, bool number_first> struct WithNumber {
  static constexpr const char *name = F::name, *formula = F::formula, *rule = F::rule;
  static constexpr const char* operands = number_first ? "b" : "a";
  static constexpr Keep own = static_cast<Keep>(
      keeps_input(F::keep, number_first ? 1 : 0) ? static_cast<int>(Keep::first) : static_cast<int>(Keep::nothing));
  static constexpr Keep keep = keeps_output(F::keep) ? own | Keep::output : own;
  static constexpr bool number_stands_first = number_first, by_element = true;
  double number;

  static auto value(const auto& x, const auto& c) {
    if constexpr (number_first) return F::f(c, x);
    else return F::f(x, c);
  }
  static auto derivative(const auto& g, const auto& x, const auto& c, const auto& y) {
    if constexpr (number_first) return F::db(g, c, x, y);
    else return F::da(g, x, c, y);
  }

  Tensor run(const Tensor& x) const {
    Tensor y = empty(x.shape(), x.dtype());
    const auto loop = [&]<class T>(T) {
      const Num<T> c(number);
      launch_map(
          write<T>(y), x.size(), [c](T v) { return value(Num<T>(v), c).v; }, read<T>(x));
    };
    if constexpr (F::integers) dispatch(x.dtype(), loop);
    else dispatch_floating(x.dtype(), loop);
    return y;
  }
  Tensor dx(const Tensor& dy, const Tensor& x, const Tensor& y) const {
    if constexpr (!F::composed) {
      if (!recording()) {
        Tensor dx = empty(dy.shape(), dy.dtype());
        dispatch_floating(dy.dtype(), [&]<class T>(T) {
          using N = Num<T>;
          const N c(number);
          const auto local = [c](T g, T v, T w) { return unless_none(g, derivative(N(g), N(v), c, N(w))); };
          launch_map(write<T>(dx), dy.size(), local, read<T>(dy), read<T>(keeps_input(keep, 0) ? x : dy),
                     read<T>(keeps_output(keep) ? y : dy));
        });
        return dx;
      }
    }
    if constexpr (F::composed) {
      if constexpr (number_first) return F::db(dy, Scalar(number), x, y);
      else return F::da(dy, x, Scalar(number), y);
    } else {
      const Tensor c = full({}, number, dy.dtype());
      return unless_none(dy, derivative(dy, x, c, y));
    }
  }
  static constexpr auto gradients() { return std::tuple(&WithNumber::dx); }
};

/// The operand as the formula takes it: whole numbers become f32 where the result can be a fraction.
template <class F> Tensor fit(const Tensor& x, DType type) { return x.dtype() == type ? x : x.to(type); }
template <class F> DType type_for(DType type) { return F::integers || type != i64 ? type : f32; }

template <class F> void must_be_whole(const Tensor& x, double number, bool number_first) {
  if (!F::integers || x.dtype() != i64 || is_whole(number)) return;
  const bool fraction = std::trunc(number) != number;
  refuse({Complaint::dtype, fmt::format("{} does not fit an i64 tensor", fraction ? "a fraction" : "the number"),
          "to(f32)"},
         number_first ? fmt::format("{}({}, i64 {})", F::name, number, to_string(x.shape()))
                      : fmt::format("{}(i64 {}, {})", F::name, to_string(x.shape()), number));
}

/// Whether an op of one operand may write over it: nobody else reads it, and the result can be recorded beyond doubt, as
/// an operand of an op that failed must be what it was.
bool may_write_over(const TensorImpl& x) {
  const List* const list = recording_list();
  const bool unread = x.refs.load(std::memory_order_acquire) == 1 && x.owner == nullptr &&
                      (capturing == nullptr || x.captured) && !(list != nullptr && list->checking);
  if (!unread || x.graph == 0) return unread;
  return list != nullptr && x.graph == list->graph() && list->is_tensor(x.node) && list->size() + 1 < list->capacity;
}

void must_hold(const char* name, const Tensor& x, int i) {
  if (!x.defined()) undefined_operand(name, i);
}

}  // namespace

template <class F> Tensor on_tensors(const Tensor& x) {
  must_hold(F::name, x, 0);
  return apply(OfOne<F>{}, fit<F>(x, type_for<F>(x.dtype())));
}

// What an expression passes on is most often the result of the op before, whose memory is still in the cache.
template <class F> Tensor on_tensors(Tensor&& x) {
  must_hold(F::name, x, 0);
  const Tensor& operand = x;
  const bool in_place =
      !keeps_input(F::keep, 0) && type_for<F>(x.dtype()) == x.dtype() && may_write_over(impl(operand));
  Tensor y = in_place ? apply(OfOne<F>{in_place}, operand) : on_tensors<F>(operand);
  x = Tensor();  // who gave it away and yet reads it is told, instead of given other numbers
  return y;
}

template <class F> Tensor on_tensors(const Tensor& a, const Tensor& b) {
  must_hold(F::name, a, 0);
  must_hold(F::name, b, 1);
  const DType type = type_for<F>(promote(a.dtype(), b.dtype()));
  if (a.dtype() == type && b.dtype() == type) return apply(OfTwo<F>{}, a, b);
  const Attempt attempt;
  return apply(OfTwo<F>{}, fit<F>(a, type), fit<F>(b, type));
}

template <class F> Tensor on_tensors(const Tensor& a, const Scalar& b) {
  must_hold(F::name, a, 0);
  if (recorded_in(Access::graph(b))) {  // its gradient must find a way back, and none leads through whole numbers
    const Tensor x = a.dtype() == i64 ? a.to(f32) : a;
    return apply(OfTwo<F>{}, x, as_tensor(b, x.dtype()));
  }
  must_be_whole<F>(a, b.value(), false);
  const Tensor x = fit<F>(a, type_for<F>(a.dtype()));
  return apply(WithNumber<F, false>{b.value()}, x);
}

template <class F> Tensor on_tensors(const Scalar& a, const Tensor& b) {
  must_hold(F::name, b, 1);
  if (recorded_in(Access::graph(a))) {
    const Tensor x = b.dtype() == i64 ? b.to(f32) : b;
    return apply(OfTwo<F>{}, as_tensor(a, x.dtype()), x);
  }
  must_be_whole<F>(b, a.value(), true);
  const Tensor x = fit<F>(b, type_for<F>(b.dtype()));
  return apply(WithNumber<F, true>{a.value()}, x);
}

}  // namespace detail
}  // namespace ebb

#include "../ops.h"

namespace ebb {

using namespace detail;

// ---- comparisons -----------------------------------------------------------------------------------------------

namespace {

template <class Holds> Tensor compare(const char* name, Holds holds, const Tensor& a, const Tensor& b) {
  return asked_of(name, {&a, &b}, [&] {
    const DType type = promote(a.dtype(), b.dtype());
    const Pause pause;  // no gradient passes, so nothing is to be recorded
    const Tensor x = a.to(type), w = b.to(type);
    const Shape shape = broadcast_of(x.shape(), w.shape());
    Tensor y = empty(shape, i64);
    dispatch(type, [&]<class T>(T) {
      launch_map(
          write<std::int64_t>(y), kernels::Walk<2>(shape.sizes(), {x.shape().sizes(), w.shape().sizes()}),
          [holds](T v, T u) { return std::int64_t{holds(v, u)}; }, read<T>(x), read<T>(w));
    });
    mark_cut(y, Cut::whole, name, {&a, &b});
    return y;
  });
}

/// A plain number beside a tensor, in the tensor's type if it fits there, else as f64.
Tensor beside(const Scalar& s, const Tensor& t) {
  const bool fits = t.dtype() != i64 || is_whole(s.value());
  return full({}, s.value(), t.defined() && fits ? t.dtype() : f64);
}

}  // namespace

#define EBB_COMPARISON(op, name)                            \
  Tensor operator op(const Tensor& a, const Tensor& b) {    \
    return compare(                                         \
        name, [](auto v, auto w) { return v op w; }, a, b); \
  }                                                         \
  Tensor operator op(const Tensor& a, const Scalar& b) {    \
    if (!a.defined()) undefined_operand(name, 0);           \
    return a op beside(b, a);                               \
  }                                                         \
  Tensor operator op(const Scalar& a, const Tensor& b) {    \
    if (!b.defined()) undefined_operand(name, 1);           \
    return beside(a, b) op b;                               \
  }
EBB_COMPARISON(<, "less")
EBB_COMPARISON(<=, "less_equal")
EBB_COMPARISON(>, "greater")
EBB_COMPARISON(>=, "greater_equal")
EBB_COMPARISON(==, "equal")
EBB_COMPARISON(!=, "not_equal")
#undef EBB_COMPARISON

// ---- choosing --------------------------------------------------------------------------------------------------

namespace {

struct Where {
  static constexpr char name[] = "where", formula[] = "c ? a : b", rule[] = "∇a = g ⊙ [c]   ∇b = g ⊙ [¬c]",
                        operands[] = "c a b";
  static constexpr Keep keep = Keep::first;
  static constexpr bool by_element = true;

  Tensor run(const Tensor& c, const Tensor& a, const Tensor& b) const {
    const Shape shape = broadcast_of(broadcast_of(a.shape(), b.shape()), c.shape());
    Tensor y = empty(shape, a.dtype());
    dispatch(y.dtype(), [&]<class T>(T) {
      dispatch(c.dtype(), [&]<class C>(C) {
        launch_map(
            write<T>(y), kernels::Walk<3>(shape.sizes(), {c.shape().sizes(), a.shape().sizes(), b.shape().sizes()}),
            [](C k, T v, T w) { return kernels::math::select(k != C(0), v, w); }, read<C>(c), read<T>(a), read<T>(b));
      });
    });
    return y;
  }
  Tensor da(const Tensor& dy, const Tensor& c, const Tensor& a, const Tensor&) const {
    return sum_to(where(c, dy, Scalar(0.0)), a.shape());
  }
  Tensor db(const Tensor& dy, const Tensor& c, const Tensor&, const Tensor& b) const {
    return sum_to(where(c, Scalar(0.0), dy), b.shape());
  }
  static constexpr auto gradients() { return std::tuple(nullptr, &Where::da, &Where::db); }
};

/// x held within [low, high].
struct Clamp {
  static constexpr char name[] = "clamp", formula[] = "x in [low, high]", rule[] = "∇x = g ⊙ [low≤x≤high]",
                        operands[] = "x";
  static constexpr Keep keep = Keep::inputs;
  static constexpr bool by_element = true;
  double low, high;

  Told tell() const {
    return {fmt::format("x in [{:.6g}, {:.6g}]", low, high), fmt::format("∇x = g ⊙ [{:.6g}≤x≤{:.6g}]", low, high)};
  }
  Tensor run(const Tensor& x) const {
    Tensor y = empty(x.shape(), x.dtype());
    dispatch(x.dtype(), [&]<class T>(T) {
      // An i64 tensor's limits are whole numbers or beyond all of them.
      const bool open_below = std::is_integral_v<T> && low < -0x1p63,
                 open_above = std::is_integral_v<T> && high >= 0x1p63;
      const T least = open_below ? std::numeric_limits<T>::min() : static_cast<T>(low);
      const T most = open_above ? std::numeric_limits<T>::max() : static_cast<T>(high);
      launch_map(
          write<T>(y), x.size(),
          [=](T v) { return kernels::math::select(v < least, least, kernels::math::select(v > most, most, v)); },
          read<T>(x));
    });
    return y;
  }
  Tensor dx(const Tensor& dy, const Tensor& x) const { return where((x >= low) * (x <= high), dy, Scalar(0.0)); }
  static constexpr auto gradients() { return std::tuple(&Clamp::dx); }
};

void must_be_ordered(const std::string& what, double low, double high) {
  if (!(low <= high)) refuse({Complaint::usage, fmt::format("low {} is above high {}", low, high), {}}, what);
}

}  // namespace

Tensor where(const Tensor& condition, const Tensor& a, const Tensor& b) {
  must_hold(Where::name, condition, 0);
  must_hold(Where::name, a, 1);
  must_hold(Where::name, b, 2);
  const DType type = promote(a.dtype(), b.dtype());
  const Attempt attempt;
  return apply(Where{}, condition, a.to(type), b.to(type));
}

namespace {
/// The type of a Scalar beside a tensor: the tensor's own, unless that holds whole numbers and the Scalar is none.
DType beside_type(const Tensor& t, const Scalar& s) {
  return t.dtype() == i64 && (recorded_in(Access::graph(s)) || !is_whole(s.value())) ? f32 : t.dtype();
}
}  // namespace

Tensor where(const Tensor& condition, const Tensor& a, const Scalar& b) {
  must_hold(Where::name, a, 1);
  return where(condition, a, as_tensor(b, beside_type(a, b)));
}

Tensor where(const Tensor& condition, const Scalar& a, const Tensor& b) {
  must_hold(Where::name, b, 2);
  return where(condition, as_tensor(a, beside_type(b, a)), b);
}

Tensor where(const Tensor& condition, const Scalar& a, const Scalar& b) {
  return where(condition, as_tensor(a, f32), as_tensor(b, f32));
}

Tensor clamp(const Tensor& x, double low, double high) {
  must_hold(Clamp::name, x, 0);
  must_be_ordered(fmt::format("clamp({})", to_string(x.shape())), low, high);
  if (x.dtype() == i64 && !(std::trunc(low) == low && std::trunc(high) == high))
    refuse({Complaint::dtype, "a fraction does not fit an i64 tensor", "to(f32)"},
           fmt::format("clamp(i64 {}, {}, {})", to_string(x.shape()), low, high));
  return apply(Clamp{low, high}, x);
}

Scalar clamp(const Scalar& x, double low, double high) {
  must_be_ordered("clamp()", low, high);
  // Recorded also where it is held, with no gradient: a loss that hangs on it alone is still one of the graph.
  static const std::uint16_t code =
      register_scalar_rule({Clamp::name, Clamp::formula, Clamp::rule, 1,
                            [](const Scalar& dy, const Scalar* operand, const Scalar& y, Scalar* out) {
                              out[0] = operand[0].value() == y.value() ? dy : Scalar(0);
                            }});
  const double v = Access::value(x), y = v < low ? low : v > high ? high : v;
  return record_scalar(code, y, x, y == v ? 1 : 0);
}

}  // namespace ebb
