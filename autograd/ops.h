// The vocabulary.  Every op once, with its contract; reading this file is learning the library.
//
// Unless said otherwise an op takes tensors of one floating type, promotes mixed ones (i64 < f32 < f64), works on empty
// tensors, and is differentiable to any order.  Negative axes count from the end.  A Parameter goes wherever a Tensor
// does.  Errors: ShapeError, DTypeError, IndexError, each naming the op, the shapes and the module.
#pragma once

#include "elementwise.h"
#include "formulas.h"
#include "scalar.h"
#include "tensor.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <concepts>
#include <cstdlib>
#include <initializer_list>
#include <optional>
#include <string_view>
#include <utility>
#include <vector>

namespace ebb {

// ---- elementwise -----------------------------------------------------------------------------------------------
// Each line declares one function of a Tensor, and of a Scalar, out of its formula in formulas.h.

EBB_ELEMENTWISE_1(neg, Neg)                ///< -x
EBB_ELEMENTWISE_1(abs, Abs)                ///< |x|; the gradient at 0 is 0
EBB_ELEMENTWISE_1(sign, Sign)              ///< -1, 0 or 1; the gradient is 0 everywhere
EBB_ELEMENTWISE_1(exp, Exp)                ///< eˣ
EBB_ELEMENTWISE_1(expm1, Expm1)            ///< eˣ - 1, exact near 0
EBB_ELEMENTWISE_1(log, Log)                ///< natural logarithm; -inf at 0, NaN below
EBB_ELEMENTWISE_1(log1p, Log1p)            ///< log(1 + x), exact near 0
EBB_ELEMENTWISE_1(sqrt, Sqrt)              ///< square root; the gradient at 0 is infinite (sqrt(sum(x * x)): take norm(x))
EBB_ELEMENTWISE_1(rsqrt, Rsqrt)            ///< 1/√x
EBB_ELEMENTWISE_1(square, Square)          ///< x²
EBB_ELEMENTWISE_1(reciprocal, Reciprocal)  ///< 1/x
EBB_ELEMENTWISE_1(sin, Sin)                ///< sine of x in radians
EBB_ELEMENTWISE_1(cos, Cos)                ///< cosine of x in radians
EBB_ELEMENTWISE_1(tan, Tan)                ///< tangent of x in radians
EBB_ELEMENTWISE_1(asin, Asin)              ///< arc sine in [-π/2, π/2]; NaN outside [-1, 1]
EBB_ELEMENTWISE_1(acos, Acos)              ///< arc cosine in [0, π]; NaN outside [-1, 1]
EBB_ELEMENTWISE_1(atan, Atan)              ///< arc tangent in (-π/2, π/2)
EBB_ELEMENTWISE_1(sinh, Sinh)              ///< hyperbolic sine
EBB_ELEMENTWISE_1(cosh, Cosh)              ///< hyperbolic cosine
EBB_ELEMENTWISE_1(tanh, Tanh)              ///< hyperbolic tangent
EBB_ELEMENTWISE_1(erf, Erf)                ///< error function
EBB_ELEMENTWISE_1(sigmoid, Sigmoid)        ///< 1/(1 + e⁻ˣ), safe for every x
EBB_ELEMENTWISE_1(relu, Relu)              ///< max(0, x); the gradient at 0 is 0
EBB_ELEMENTWISE_1(gelu, Gelu)              ///< x·Φ(x) with the exact normal distribution function
EBB_ELEMENTWISE_1(silu, Silu)              ///< x·σ(x), also called swish
EBB_ELEMENTWISE_1(softplus, Softplus)      ///< log(1 + eˣ), safe for every x
EBB_ELEMENTWISE_1(mish, Mish)              ///< x·tanh(softplus(x))
EBB_ELEMENTWISE_1(hardtanh, Hardtanh)      ///< x held within [-1, 1]; the gradient at the edges is 1
EBB_ELEMENTWISE_1(leaky_relu, LeakyRelu)   ///< x above 0, 0.01·x below
EBB_ELEMENTWISE_1(elu, Elu)                ///< x above 0, eˣ - 1 below

// abs() of a plain number stays the number's own, of its own type: the C library's takes int alone.
using std::abs;

// Of two tensors, or a tensor and a number, or two Scalars; shapes broadcast by NumPy's rule.  Numbers never promote a
// tensor: an i64 tensor takes whole numbers only.  At a tie, maximum and minimum give half the gradient to each.
EBB_ELEMENTWISE_2(operator+, Add)          ///< a + b
EBB_ELEMENTWISE_2(operator-, Sub)          ///< a - b
EBB_ELEMENTWISE_2(operator*, Mul)          ///< a · b
EBB_ELEMENTWISE_2(operator/, Div)          ///< a / b; the quotient of i64 tensors is f32
EBB_ELEMENTWISE_2(pow, Pow)                ///< aᵇ; the gradient by b is 0 where a is not positive
EBB_ELEMENTWISE_2(xlogy, XLogY)            ///< a · log b; 0, with no gradient to b, where a is 0, as entropies want it
EBB_ELEMENTWISE_2(maximum, Maximum)        ///< the larger of a and b; NaN if either is
EBB_ELEMENTWISE_2(minimum, Minimum)        ///< the smaller of a and b; NaN if either is

inline Tensor operator-(const Tensor& x) { return neg(x); }
inline Scalar operator-(Scalar x) { return neg(x); }
template <detail::AnyNumber N> auto operator-(const N& x) { return neg(x); }
inline Tensor operator+(const Tensor& x) { return x; }
inline Scalar operator+(Scalar x) { return x; }
template <detail::ScalarLike B> Scalar& operator+=(Scalar& a, const B& b) { return a = a + b; }
template <detail::ScalarLike B> Scalar& operator-=(Scalar& a, const B& b) { return a = a - b; }
template <detail::ScalarLike B> Scalar& operator*=(Scalar& a, const B& b) { return a = a * b; }
template <detail::ScalarLike B> Scalar& operator/=(Scalar& a, const B& b) { return a = a / b; }
template <class T, int N> Dual<T, N>& operator+=(Dual<T, N>& a, const std::type_identity_t<Dual<T, N>>& b) { return a = a + b; }
template <class T, int N> Dual<T, N>& operator-=(Dual<T, N>& a, const std::type_identity_t<Dual<T, N>>& b) { return a = a - b; }
template <class T, int N> Dual<T, N>& operator*=(Dual<T, N>& a, const std::type_identity_t<Dual<T, N>>& b) { return a = a * b; }
template <class T, int N> Dual<T, N>& operator/=(Dual<T, N>& a, const std::type_identity_t<Dual<T, N>>& b) { return a = a / b; }
// A new value in the same handle: whoever else holds the old tensor keeps it.
inline Tensor& operator+=(Tensor& a, const Tensor& b) { return a = a + b; }
inline Tensor& operator-=(Tensor& a, const Tensor& b) { return a = a - b; }
inline Tensor& operator*=(Tensor& a, const Tensor& b) { return a = a * b; }
inline Tensor& operator/=(Tensor& a, const Tensor& b) { return a = a / b; }
inline Tensor& operator+=(Tensor& a, const Scalar& b) { return a = a + b; }
inline Tensor& operator-=(Tensor& a, const Scalar& b) { return a = a - b; }
inline Tensor& operator*=(Tensor& a, const Scalar& b) { return a = a * b; }
inline Tensor& operator/=(Tensor& a, const Scalar& b) { return a = a / b; }

/// 1 where the comparison holds, else 0, as i64; no gradient passes.  Between Scalars they give bool (scalar.h).
#define EBB_COMPARISON(op)                           \
  Tensor operator op(const Tensor& a, const Tensor& b); \
  Tensor operator op(const Tensor& a, const Scalar& b); \
  Tensor operator op(const Scalar& a, const Tensor& b);
EBB_COMPARISON(<)
EBB_COMPARISON(<=)
EBB_COMPARISON(>)
EBB_COMPARISON(>=)
EBB_COMPARISON(==)
EBB_COMPARISON(!=)
#undef EBB_COMPARISON
/// Both, either, not: of numbers that are 0 or not, as i64.
inline Tensor operator&&(const Tensor& a, const Tensor& b) { return (a != 0) * (b != 0); }
inline Tensor operator||(const Tensor& a, const Tensor& b) { return (a != 0) + (b != 0) > 0; }
inline Tensor operator!(const Tensor& a) { return a == 0; }

/// a where condition is not 0, else b; all three broadcast.  The gradient of what is not chosen is exactly 0.
Tensor where(const Tensor& condition, const Tensor& a, const Tensor& b);
Tensor where(const Tensor& condition, const Tensor& a, const Scalar& b);
Tensor where(const Tensor& condition, const Scalar& a, const Tensor& b);
/// Of two numbers: an f32 tensor.
Tensor where(const Tensor& condition, const Scalar& a, const Scalar& b);
inline Scalar where(bool condition, const Scalar& a, const Scalar& b) { return condition ? a : b; }
template <class A, class B> requires(std::is_arithmetic_v<A> && std::is_arithmetic_v<B>)
double where(bool condition, A a, B b) {
  return condition ? static_cast<double>(a) : static_cast<double>(b);
}

/// x held within [low, high]; the gradient at the edges is 1.  Throws UsageError if low > high.
Tensor clamp(const Tensor& x, double low, double high);
Scalar clamp(const Scalar& x, double low, double high);
template <detail::AnyNumber N> N clamp(const N& x, double low, double high) {
  return where(x < low, N(low), where(x > high, N(high), x));
}

// The same with other constants.
/// x above 0, slope·x below.
template <class X> requires(std::is_convertible_v<const X&, Tensor> || std::is_same_v<X, Scalar> || detail::AnyNumber<X>)
auto leaky_relu(const X& x, double slope) { return where(x > 0, +x, slope * x); }
/// x above 0, alpha·(eˣ - 1) below.
template <class X> requires(std::is_convertible_v<const X&, Tensor> || std::is_same_v<X, Scalar> || detail::AnyNumber<X>)
auto elu(const X& x, double alpha) { return where(x > 0, +x, alpha * expm1(where(x > 0, zeros_like(x), x))); }
/// x held within [low, high], as clamp.
template <class X> requires(std::is_convertible_v<const X&, Tensor> || std::is_same_v<X, Scalar> || detail::AnyNumber<X>)
auto hardtanh(const X& x, double low, double high) { return clamp(x, low, high); }

// ---- reductions ------------------------------------------------------------------------------------------------

/// Which axes to reduce: none named means all.
class Axes {
 public:
  Axes() = default;
  Axes(int axis) : axes_{axis} {}
  Axes(std::initializer_list<int> axes) : axes_(axes) {}
  Axes(std::vector<int> axes) : axes_(std::move(axes)) {}
  bool all() const { return axes_.empty(); }
  auto begin() const { return axes_.begin(); }
  auto end() const { return axes_.end(); }

 private:
  std::vector<int> axes_;
};

/// With keepdim, reduced axes stay with size 1.  The sum of nothing is 0, its mean NaN; max and min of nothing throw.
/// i64 sums stay i64; i64 means and variances are f32.
Tensor sum(const Tensor& x, const Axes& axes = {}, bool keepdim = false);
Tensor mean(const Tensor& x, const Axes& axes = {}, bool keepdim = false);
/// Mean square distance from the mean, divided by n - correction.
Tensor var(const Tensor& x, const Axes& axes = {}, bool keepdim = false, int correction = 1);
/// Equal largest (smallest) elements share the gradient equally.
Tensor max(const Tensor& x, const Axes& axes = {}, bool keepdim = false);
Tensor min(const Tensor& x, const Axes& axes = {}, bool keepdim = false);
/// The product; that of nothing is 1.  Its gradient is right beside zeros too.  i64 products stay i64.
Tensor prod(const Tensor& x, const Axes& axes = {}, bool keepdim = false);
/// The Euclidean norm, the root of the sum of squares, without overflow; at 0 the gradient is 0, of every order.
/// (x / norm(x) at 0 is 0/0 = NaN: where(n > 0, x / n, 0) is 0 there, and so is its gradient.)
Tensor norm(const Tensor& x, const Axes& axes = {}, bool keepdim = false);
/// log of the sum of exponentials, without overflow.
Tensor logsumexp(const Tensor& x, const Axes& axes = {}, bool keepdim = false);
/// The position of the first largest (smallest) element, i64: along an axis, or in row-major order of the whole.
Tensor argmax(const Tensor& x, std::optional<int> axis = {}, bool keepdim = false);
Tensor argmin(const Tensor& x, std::optional<int> axis = {}, bool keepdim = false);
/// eˣ / Σeˣ along an axis, without overflow, and its logarithm.
Tensor softmax(const Tensor& x, int axis = -1);
Tensor log_softmax(const Tensor& x, int axis = -1);
/// y[i] = x[0] + ... + x[i] along an axis.
Tensor cumsum(const Tensor& x, int axis = -1);

// ---- linear algebra --------------------------------------------------------------------------------------------

/// Which operands matmul reads transposed, at no cost.
struct MatmulOptions {
  bool ta = false, tb = false;
};
/// Matrix product.  a [..., m, k], b [..., k, n] -> [..., m, n]; leading axes broadcast.  An a of rank 1 is a row, a b
/// of rank 1 a column, and that axis is dropped from the result.
Tensor matmul(const Tensor& a, const Tensor& b, const MatmulOptions& options = {});
/// The inner product of two vectors of one length.
Tensor dot(const Tensor& a, const Tensor& b);
/// a [m], b [n] -> [m, n].
Tensor outer(const Tensor& a, const Tensor& b);
/// Sums of products by Einstein's convention: one letter for each axis, operands apart by commas, e.g. "bij,bjk->bik".
/// A letter that the result does not name is summed over; one that an operand has twice is its diagonal; "..." stands
/// for axes that broadcast; without "->" the result has those and the letters that occur once, in alphabetical order.
/// Operands are multiplied from left to right.  Throws UsageError for a formula that cannot be read, ShapeError where it
/// does not fit the operands.
Tensor einsum(std::string_view formula, const std::vector<Tensor>& operands);
template <class... T> requires(std::is_convertible_v<const T&, Tensor> && ...)
Tensor einsum(std::string_view formula, const T&... operands) {
  return einsum(formula, std::vector<Tensor>{operands...});
}
/// x·Wᵀ + b in one pass.  x [..., in], weight [out, in], bias [out] or [..., out] -> [..., out].
Tensor affine(const Tensor& x, const Tensor& weight, const Tensor& bias);

// ---- movement --------------------------------------------------------------------------------------------------

/// The shape that reshape() is to give: a Shape, or sizes of which one may be -1, to be found from the others.
class NewShape {
 public:
  NewShape() = default;
  NewShape(const Shape& shape) : count_(shape.sizes().size()) { std::copy(shape.begin(), shape.end(), sizes_.begin()); }
  NewShape(std::initializer_list<detail::Size> sizes) : count_(sizes.size()) {
    std::size_t i = 0;
    for (const detail::Size& size : sizes)
      if (i < sizes_.size()) sizes_[i++] = size.value;
  }
  /// The shape for that many elements.  Throws a Complaint if there is none.
  Shape of(std::int64_t elements) const;

 private:
  std::array<std::int64_t, Shape::max_rank> sizes_{};
  std::size_t count_ = 0;
};
/// The same numbers in another shape, without copying.
Tensor reshape(const Tensor& x, const NewShape& shape);
/// From `axis` on, all axes become one.
Tensor flatten(const Tensor& x, int axis = 0);
/// Removes axes of size 1: all of them, or the one named.
Tensor squeeze(const Tensor& x, std::optional<int> axis = {});
/// Puts in an axis of size 1, so that it stands at `axis`.
Tensor unsqueeze(const Tensor& x, int axis);
/// Swaps two axes.
Tensor transpose(const Tensor& x, int a = -2, int b = -1);
/// Axis i of the result is axis order[i] of x.
Tensor permute(const Tensor& x, const std::vector<int>& order);
/// x repeated to the shape, by the broadcasting rule.
Tensor broadcast_to(const Tensor& x, const Shape& shape);
/// Joins tensors along an axis that they have.
Tensor concat(const std::vector<Tensor>& parts, int axis = 0);
/// Joins tensors of one shape along a new axis.
Tensor stack(const std::vector<Tensor>& parts, int axis = 0);
/// A tensor [n] of n Scalars; gradients pass back to each.
Tensor stack(const std::vector<Scalar>& parts, DType dtype = f64);
/// Positions begin <= i < end along an axis; without copying along the first.  Negative positions count from the end.
Tensor slice(const Tensor& x, std::int64_t begin, std::int64_t end, int axis = 0);
/// Pieces of `size` positions along an axis, the last one smaller if it does not come out even; at least one.  Throws
/// UsageError if size is not positive.
std::vector<Tensor> split(const Tensor& x, std::int64_t size, int axis = 0);
/// Pieces of the given sizes, which must add up to the axis's.
std::vector<Tensor> split(const Tensor& x, const std::vector<std::int64_t>& sizes, int axis = 0);
/// x with `value` around it: {before, after} for each axis, or for the last ones alone.  Throws UsageError if one is
/// negative.
Tensor pad(const Tensor& x, const std::vector<std::pair<std::int64_t, std::int64_t>>& widths, double value = 0);
/// The axes named run backwards; none named means all.
Tensor flip(const Tensor& x, const Axes& axes = {});

// ---- index -----------------------------------------------------------------------------------------------------

/// y[i][j][k] = x[i][index[i][j][k]][k] for axis 1, and so on: index is i64, of x's rank, and no larger than x off the
/// axis.  Throws IndexError for an index out of range.
Tensor gather(const Tensor& x, const Tensor& index, int axis = -1);
/// y with y.shape = x.shape, into which x was added at the places that gather would read: the other way round.
Tensor scatter_add(const Tensor& y, const Tensor& index, const Tensor& x, int axis = -1);
/// The slices of x at the positions along an axis: index may have any shape, and stands in the axis's place.
/// x [2, 5, 3], index [4, 6], axis 1 -> [2, 4, 6, 3].  Throws IndexError for an index out of range.
Tensor take(const Tensor& x, const Tensor& index, int axis = 0);
/// The rows of a table: index [...] i64 in [0, rows), weight [rows, width] -> [..., width], in either order, as only
/// one of them is i64.  Throws IndexError.
Tensor embedding(const Tensor& index, const Tensor& weight);
/// labels [...] i64 in [0, classes) -> [..., classes]: 1 at the label, else 0.  No gradient.
Tensor one_hot(const Tensor& labels, std::int64_t classes, DType dtype = f32);

// ---- convolution -----------------------------------------------------------------------------------------------
// Images are [n, channels, height, width], signals [n, channels, length]; kernels [out, in / groups, height, width].
// Options of two axes take one number for both or {height, width}.  Windows that do not fit wholly are left out; a kernel
// larger than the padded image is a ShapeError, an option out of its range a UsageError.  i64 numbers become f32.  A bias
// that holds nothing is none.

/// One number for each of two axes.
struct Pair {
  std::int64_t h = 0, w = 0;
  template <std::integral I> constexpr Pair(I both) : h(both), w(both) {}
  constexpr Pair(std::int64_t height, std::int64_t width) : h(height), w(width) {}
  friend constexpr bool operator==(const Pair&, const Pair&) = default;
};
struct Conv1dOptions {
  std::int64_t stride = 1, padding = 0, dilation = 1, groups = 1;  ///< padding: zeros put in on both sides
};
struct Conv2dOptions {
  Pair stride = 1, padding = 0, dilation = 1;  ///< padding: zeros put in on both sides
  std::int64_t groups = 1;                     ///< inputs and outputs fall into so many parts that do not mix
};
/// Cross-correlation.  x [n, in, length], weight [out, in / groups, k], bias [out] ->
/// [n, out, (length + 2·padding - dilation·(k - 1) - 1) / stride + 1].
Tensor conv1d(const Tensor& x, const Tensor& weight, const Conv1dOptions& options = {});
Tensor conv1d(const Tensor& x, const Tensor& weight, const Tensor& bias, const Conv1dOptions& options = {});
/// Cross-correlation of images.  x [n, in, h, w], weight [out, in / groups, kh, kw], bias [out] -> [n, out, h', w'].
Tensor conv2d(const Tensor& x, const Tensor& weight, const Conv2dOptions& options = {});
Tensor conv2d(const Tensor& x, const Tensor& weight, const Tensor& bias, const Conv2dOptions& options = {});
struct ConvTranspose2dOptions {
  Pair stride = 1, padding = 0;   ///< of the convolution that it turns around: padding makes the result smaller
  Pair output_padding = 0;        ///< rows and columns added below and right; less than stride or dilation
  Pair dilation = 1;
  std::int64_t groups = 1;
};
/// The gradient of conv2d by its image, as an op: it enlarges.  x [n, in, h, w], weight [in, out / groups, kh, kw],
/// bias [out] -> [n, out, (h - 1)·stride - 2·padding + dilation·(kh - 1) + output_padding + 1, ...].
Tensor conv_transpose2d(const Tensor& x, const Tensor& weight, const ConvTranspose2dOptions& options = {});
Tensor conv_transpose2d(const Tensor& x, const Tensor& weight, const Tensor& bias,
                        const ConvTranspose2dOptions& options = {});
struct Pool1dOptions {
  std::int64_t stride = 0, padding = 0;  ///< stride 0: the window's size; padding: at most half of it
};
struct Pool2dOptions {
  Pair stride = 0, padding = 0;  ///< stride 0: the window's size; padding: at most half of it
};
struct AvgPool2dOptions {
  Pair stride = 0, padding = 0;
  bool count_padding = true;  ///< whether the zeros of the padding are among the numbers of the mean
};
/// The largest of each window; padding never wins.  Equal largest share the gradient equally.  NaN if one is in it, and
/// then no gradient passes.
Tensor max_pool1d(const Tensor& x, std::int64_t size, const Pool1dOptions& options = {});
Tensor max_pool2d(const Tensor& x, Pair size, const Pool2dOptions& options = {});
inline Tensor max_pool1d(const Tensor& x, std::int64_t size, std::int64_t stride, std::int64_t padding = 0) {
  return max_pool1d(x, size, {.stride = stride, .padding = padding});
}
inline Tensor max_pool2d(const Tensor& x, Pair size, std::int64_t stride, std::int64_t padding = 0) {
  return max_pool2d(x, size, {.stride = stride, .padding = padding});
}
/// The mean of each window.
Tensor avg_pool2d(const Tensor& x, Pair size, const AvgPool2dOptions& options = {});
inline Tensor avg_pool2d(const Tensor& x, Pair size, std::int64_t stride, std::int64_t padding = 0) {
  return avg_pool2d(x, size, {.stride = stride, .padding = padding});
}

// ---- recurrent cells -------------------------------------------------------------------------------------------
// One step of a cell after its matrix products (nn/recurrent.h has the cells whole), in one pass.  Gates lie side by side
// along the last axis, h numbers each, in PyTorch's order.

/// One step of an LSTM.  gates [n, ..., 4·h] in the order input i, forget f, candidate g, output o; c [n, ..., h] ->
/// [2·n, ..., h]: first h' = σ(o)·tanh(c'), then c' = σ(f)·c + σ(i)·tanh(g), so that a slice of the first axis is either.
/// Source: Hochreiter & Schmidhuber 1997, Gers et al. 2000.
Tensor lstm_cell(const Tensor& gates, const Tensor& c);
/// One step of a GRU.  x [..., 3·h] are the gates from the input, s [..., 3·h] those from the state, both in the order
/// reset r, update z, candidate n; h [..., h] -> [..., h]: (1 - z')·n' + z'·h with r' = σ(x_r + s_r), z' = σ(x_z + s_z) and
/// n' = tanh(x_n + r'·s_n).  Source: Cho et al. 2014.
Tensor gru_cell(const Tensor& x, const Tensor& s, const Tensor& h);

// ---- normalisation ---------------------------------------------------------------------------------------------
// x̂·weight + bias with x̂ = (x - mean) / √(variance + eps); nn/norm.h has the layers.  Throw UsageError for a weight, bias
// or moments of another size, and for a negative eps.

/// Of each channel its mean and its mean square distance from it: [channels].
struct Moments {
  Tensor mean, variance;
};
/// Each channel by its own moments.  x [n, channels, ...], weight and bias [channels] -> x's shape.  `own`, unless it is
/// nullptr, gets these moments, as constants; those of nothing are NaN.  Source: Ioffe & Szegedy 2015.
Tensor batch_norm(const Tensor& x, const Tensor& weight, const Tensor& bias, double eps = 1e-5, Moments* own = nullptr);
/// Each channel by moments that are given, such as a mean over many batches; no gradient passes to them.
Tensor batch_norm(const Tensor& x, const Tensor& weight, const Tensor& bias, const Moments& running, double eps = 1e-5);
/// Each row by its own mean and variance.  x [..., row], weight and bias [row], where row is one axis or several -> x's
/// shape.  Source: Ba, Kiros & Hinton 2016.
Tensor layer_norm(const Tensor& x, const Tensor& weight, const Tensor& bias, double eps = 1e-5);

// ---- losses, fused ---------------------------------------------------------------------------------------------
// nn/losses.h has them under their usual names, with checks and options.

/// Σ over elements of max(z, 0) - z·y + log(1 + e^-|z|), divided by their number: cross-entropy of labels y in [0, 1]
/// against sigmoid(z), safe for every z.  Same shapes; gradients to both.
Tensor bce_with_logits(const Tensor& z, const Tensor& y);
/// Mean over rows of -log softmax(z)[label].  z [n, classes], labels [n] i64 in [0, classes).  Throws IndexError.
Tensor softmax_cross_entropy(const Tensor& z, const Tensor& labels);

// ---- the graph's edges -----------------------------------------------------------------------------------------

/// The same numbers as a constant: no gradient passes.
Tensor detach(const Tensor& x);
Scalar detach(const Scalar& x);
/// Whether the graph that records made `t` by the named op of one input, e.g. "softmax".
bool made_by(const Tensor& t, std::string_view op);
/// What `t` was computed from, if it is made_by the named op and the numbers are still there, as sigmoid's are until
/// backward; else undefined.
Tensor input_of(const Tensor& t, std::string_view op);

}  // namespace ebb
