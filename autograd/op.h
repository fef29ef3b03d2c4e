// What an op is, and how one runs.
//
// An op is a struct that is whole in one place (see ops/*.cpp):
//
//   static constexpr char name[], formula[], rule[], operands[];   // for people; operands: "x W b"
//   static constexpr Keep keep;                                    // what backward reads
//   Tensor run(const Tensor& a, ...) const;                        // checks shapes with require(), launch()es kernels
//   Tensor da(const Tensor& dy, const Tensor& a, ..., [const Tensor& y]) const;   // one for each operand
//   static constexpr auto gradients() { return std::tuple(&Op::da, ...); }        // in the operands' order
//
// A gradient is written with ops, so that it can be differentiated again; a kernel may stand in for them while
// !recording().  nullptr in gradients() says that no gradient passes to that operand.  What `keep` does not name is there
// in shape and type only.  An op that reads parts of an operand, number `adds_to`, can have add_gradient() too: it adds
// that operand's gradient in place, so that many reads of one tensor cost one buffer.  Where gradients are products,
// factors() says of what, and those of many uses become one.  gradient_with_next() gives those of two operands out of
// one pass, gated_gradient() one that comes through an op that `gates`, as relu does, without a pass of its own.  Told
// tell() const gives formula and rule with the op's own numbers in them.  apply(op, a, ...) does the rest: runs, records,
// and turns a complaint into an error that names the op, the shapes and the module.
#pragma once

#include "error.h"
#include "keep.h"
#include "launch.h"
#include "scalar.h"

#include <cmath>
#include <cstdint>
#include <new>
#include <span>
#include <string>
#include <tuple>
#include <type_traits>

namespace ebb {
class Axes;
}

namespace ebb::detail {

/// A tensor whose numbers are not yet written.  Throws UsageError if there is no memory for it.
Tensor empty(const Shape& shape, DType dtype);
/// The same numbers, from the offset on, as a tensor of another shape that belongs to no graph.
Tensor view(const Tensor& x, const Shape& shape, std::int64_t offset = 0);
/// Where a tensor's numbers can be written: its own buffer, first replaced by a copy if anyone else holds it.
void* writable(Tensor& t);
/// The same, the long way.
void* own_buffer(Tensor& t);

inline const TensorImpl& impl(const Tensor& t);
template <class T> const T* read(const Tensor& t);
/// Of a tensor that was just made by empty().
template <class T> T* write(Tensor& t);

/// How pictures and reports print an op.
struct Told {
  std::string formula, rule;
};

/// What the graph knows of a kind of op.
struct OpInfo {
  const char* name;
  const char* formula;
  const char* rule;
  const char* operands;
  Keep keep;
  /// The gradient for operand i, or an undefined tensor if none passes.  nullptr: backward records compose() and goes
  /// through that.
  Tensor (*gradient)(const void* op, int i, const Tensor& dy, const Tensor* in, int n, const Tensor& y);
  /// Copies the op into the graph's memory; `destroy` is nullptr if nothing is to be done when the graph lets it go.
  void (*copy)(void* to, const void* op);
  void (*destroy)(void* op);
  std::uint32_t size;
  /// Adds the gradient for the operand `adds_to` to one that is there; nullptr: `gradient` and a sum do.
  void (*add_gradient)(const void* op, Tensor& sum, const Tensor& dy, const Tensor* in, int n);
  /// The plain number that stands in for an operand, and whether for the first; nullptr if none does.
  double (*number)(const void* op);
  bool number_first;
  /// The same value out of other ops, through which derivatives of derivatives run; nullptr: `gradient` can be recorded.
  Tensor (*compose)(const void* op, const Tensor* in, int n);
  int adds_to = -1;
  bool by_element = false;  // an element of the result comes from the elements at its place (operands broadcast)
  std::uint8_t silent = 0;  // the operands that no gradient passes to, a bit for each
  /// What this very op does; nullptr: formula and rule say it of all of its kind.
  Told (*tell)(const void* op) = nullptr;
  /// Whether the gradient for operand i is leftᵀ·right, of two matrices [rows, ...] that it gives: the sum of many such
  /// is one product.  nullptr: it is none.
  bool (*factors)(const void* op, int i, const Tensor& dy, const Tensor* in, Tensor& left, Tensor& right) = nullptr;
  /// The gradient for operand i, and out of the same pass that for operand i + 1; undefined if this op has none such for i.
  /// nullptr: for no i.
  Tensor (*gradient_with_next)(const void* op, int i, const Tensor& dy, const Tensor* in, Tensor& next) = nullptr;
  /// The gradient passes where the result is above 0, and nowhere else.
  bool gates = false;
  /// The gradient for the only operand where that is above 0, and 0 elsewhere: as it is behind an op that gates, whose
  /// result the operand is.  nullptr: there is no shorter way to it.
  Tensor (*gated_gradient)(const void* op, const Tensor& dy, const Tensor* in, const Tensor& y) = nullptr;
};

/// An OpInfo under a name of the user's; it lives as long as the program.
const OpInfo& named_info(const OpInfo& like, std::string_view name, int arity);

/// Why an op refuses; apply() adds what it was asked.
struct Complaint {
  enum Kind { shape, dtype, index, usage } kind;
  std::string reason, help;
};
/// Turns a complaint into the exception that the user sees.
[[noreturn]] void refuse(const Complaint& why, const char* name, const Tensor* const* in, int n);
/// The same where the operands are not tensors: `what` stands before the colon.
[[noreturn]] void refuse(const Complaint& why, const std::string& what);
/// broadcast(), for ops: throws a Complaint.
Shape broadcast_of(const Shape& a, const Shape& b);
/// The axis counted from the front.  Throws a Complaint.
int axis_of(const Shape& shape, int axis);
/// The axes named, as bits counted from the front; none named means all.  Throws a Complaint.
std::uint8_t axes_of(const Shape& shape, const Axes& axes);
/// "\n  in encoder.0", or nothing outside of every scope.
std::string where_in_model();

/// When an observing graph started to run an op; 0 if none observes.
std::int64_t start_clock();
/// Notes the result of an op in the graph that records, if any operand is part of it.
void record(Tensor& y, const OpInfo& info, const void* op, const Tensor* const* in, int n, std::int64_t started);
[[noreturn]] void undefined_operand(const char* name, int i);

// ---- from an op's struct to its OpInfo ---------------------------------------------------------------------------

template <class Op, class Rule, std::size_t... I> Tensor call_rule(const Op& op, Rule rule, const Tensor& dy,
                                                                   const Tensor* in, const Tensor& y,
                                                                   std::index_sequence<I...>) {
  if constexpr (std::is_same_v<Rule, std::nullptr_t>) {
    return {};
  } else if constexpr (std::is_invocable_v<Rule, const Op&, const Tensor&, decltype(in[I])..., const Tensor&>) {
    return (op.*rule)(dy, in[I]..., y);
  } else {
    return (op.*rule)(dy, in[I]...);
  }
}

template <class Op>
Tensor call_gradient(const void* raw, int i, const Tensor& dy, const Tensor* in, int n, const Tensor& y) {
  const Op& op = *static_cast<const Op*>(raw);
  if constexpr (requires { op.gradient(i, dy, std::span(in, std::size_t(n)), y); }) {
    return op.gradient(i, dy, std::span(in, static_cast<std::size_t>(n)), y);
  } else {
    static constexpr auto rules = Op::gradients();
    constexpr std::size_t count = std::tuple_size_v<decltype(rules)>;
    return [&]<std::size_t... I>(std::index_sequence<I...> all) {
      Tensor dx;
      ((static_cast<int>(I) == i ? (dx = call_rule(op, std::get<I>(rules), dy, in, y, all), 0) : 0), ...);
      return dx;
    }
    (std::make_index_sequence<count>());
  }
}

/// An op that gives no gradients is computed again by its compose(), and these go through that.
template <class Op>
concept GivesGradients = requires { Op::gradients(); } ||
                         requires(const Op& op, const Tensor& t) { op.gradient(0, t, std::span(&t, 1), t); };

template <class Op> constexpr OpInfo make_info(const char* name) {
  OpInfo info{name,       Op::formula, Op::rule, Op::operands, Op::keep, nullptr, nullptr, nullptr,
              sizeof(Op), nullptr,     nullptr,  false,        nullptr};
  if constexpr (GivesGradients<Op>) info.gradient = &call_gradient<Op>;
  info.copy = [](void* to, const void* op) { ::new (to) Op(*static_cast<const Op*>(op)); };
  if constexpr (!std::is_trivially_destructible_v<Op>) info.destroy = [](void* op) { static_cast<Op*>(op)->~Op(); };
  if constexpr (requires { Op::adds_to; }) {
    info.adds_to = Op::adds_to;
    info.add_gradient = [](const void* op, Tensor& sum, const Tensor& dy, const Tensor* in, int n) {
      static_cast<const Op*>(op)->add_gradient(sum, dy, std::span(in, static_cast<std::size_t>(n)));
    };
  }
  if constexpr (requires(const Op& op) { op.number; }) {
    info.number = [](const void* op) { return static_cast<const Op*>(op)->number; };
    info.number_first = Op::number_stands_first;
  }
  if constexpr (requires(const Op& op, const Tensor* in) { op.compose(in); })
    info.compose = [](const void* op, const Tensor* in, int) { return static_cast<const Op*>(op)->compose(in); };
  if constexpr (requires { Op::by_element; }) info.by_element = Op::by_element;
  if constexpr (requires(const Op& op) { op.tell(); })
    info.tell = [](const void* op) { return static_cast<const Op*>(op)->tell(); };
  if constexpr (requires(const Op& op, Tensor& t) { op.factors(0, t, &t, t, t); })
    info.factors = [](const void* op, int i, const Tensor& dy, const Tensor* in, Tensor& left, Tensor& right) {
      return static_cast<const Op*>(op)->factors(i, dy, in, left, right);
    };
  if constexpr (requires(const Op& op, Tensor& t) { op.gradient_with_next(0, t, &t, t); })
    info.gradient_with_next = [](const void* op, int i, const Tensor& dy, const Tensor* in, Tensor& next) {
      return static_cast<const Op*>(op)->gradient_with_next(i, dy, in, next);
    };
  if constexpr (requires { Op::gates; }) info.gates = Op::gates;
  if constexpr (requires(const Op& op, const Tensor& t) { op.gated_gradient(t, t, t); })
    info.gated_gradient = [](const void* op, const Tensor& dy, const Tensor* in, const Tensor& y) {
      return static_cast<const Op*>(op)->gated_gradient(dy, in[0], y);
    };
  if constexpr (requires { Op::gradients(); })
    std::apply(
        [&, bit = 1](auto... rule) mutable {
          ((info.silent |= std::is_same_v<decltype(rule), std::nullptr_t> ? static_cast<std::uint8_t>(bit) : 0, bit *= 2),
           ...);
        },
        Op::gradients());
  return info;
}

template <class Op> inline constexpr OpInfo op_info = make_info<Op>(Op::name);

/// Runs an op on any number of operands and records it.
template <class Op> Tensor apply_all(const OpInfo& info, const Op& op, const Tensor* const* in, int n, auto&& run) {
  for (int i = 0; i < n; ++i)
    if (!in[i]->defined()) undefined_operand(info.name, i);
  const std::int64_t started = start_clock();
  Tensor y;
  try {
    y = run();
  } catch (const Complaint& why) {
    refuse(why, info.name, in, n);
  }
  record(y, info, &op, in, n, started);
  return y;
}

template <class Op, class... T> Tensor apply_as(const OpInfo& info, const Op& op, const T&... in) {
  const Tensor* operands[] = {&in...};
  return apply_all(info, op, operands, sizeof...(T), [&] { return op.run(in...); });
}

template <class Op, class... T> Tensor apply(const Op& op, const T&... in) { return apply_as(op_info<Op>, op, in...); }

/// The sum of x over the axes along which `shape` broadcasts to x's shape: how a gradient comes back to an operand.
Tensor sum_to(const Tensor& x, const Shape& shape);
inline Tensor sum_to(Tensor&& x, const Shape& shape) {
  return x.shape() == shape ? std::move(x) : sum_to(static_cast<const Tensor&>(x), shape);
}

// ---- inline ------------------------------------------------------------------------------------------------------

inline const TensorImpl& impl(const Tensor& t) { return *Access::impl(t); }
/// A handle of a tensor that someone else holds for as long: it is not counted.
class Borrowed {
 public:
  explicit Borrowed(TensorImpl* head) : handle_(Access::tensor(head)) {}
  ~Borrowed() { Access::take(handle_); }
  Borrowed(const Borrowed&) = delete;
  Borrowed& operator=(const Borrowed&) = delete;
  operator const Tensor&() const { return handle_; }

 private:
  Tensor handle_;
};
/// Another handle of the tensor with this head.
inline Tensor share(TensorImpl* head) {
  head->refs.fetch_add(1, std::memory_order_relaxed);
  return Access::tensor(head);
}
template <class T> const T* read(const Tensor& t) {
  if (capturing != nullptr) [[unlikely]]
    note_operand(impl(t));
  return static_cast<const T*>(impl(t).data);
}
template <class T> T* write(Tensor& t) { return static_cast<T*>(impl(t).data); }

inline void* writable(Tensor& t) {
  const TensorImpl& head = impl(t);
  const bool own = head.refs.load(std::memory_order_acquire) == 1 && head.owner == nullptr && head.graph == 0;
  return own && (capturing == nullptr || head.captured) ? head.data : own_buffer(t);
}

/// Whether a double is one of the 64-bit integers.
inline bool is_whole(double v) { return v >= -0x1p63 && v < 0x1p63 && std::trunc(v) == v; }

/// Calls f with a number of the C++ type that `dtype` names.
template <class F> decltype(auto) dispatch(DType dtype, F&& f) {
  switch (dtype) {
    case f32:
      return f(float{});
    case f64:
      return f(double{});
    default:
      return f(std::int64_t{});
  }
}
template <class F> decltype(auto) dispatch_floating(DType dtype, F&& f) {
  if (dtype == f32) return f(float{});
  return f(double{});
}

}  // namespace ebb::detail
