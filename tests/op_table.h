// The op table: one line for each op, with its name as ops.h declares it, a call, and shapes to try.  Value, gradients
// of first and second order in f64 and f32, and the agreement of the lanes are all checked from these lines.
#pragma once

#include <ebb/autograd/autograd.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <functional>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

namespace ebb::table {

/// Where an operand's numbers are drawn from, at random: away from kinks and inside the op's domain.
enum class Domain {
  any,       // (-2, 2), at least 0.1 away from -1, 0 and 1, where formulas have their kinks
  positive,  // (0.5, 2.5)
  inside,    // (-0.8, 0.8)
  apart,     // around 0, every two numbers of all operands at least 0.05 from each other: no ties, no changes of order
};

using Operands = std::vector<Tensor>;
using Shapes = std::vector<std::vector<Shape>>;  // each entry: the shapes of the operands of one call

struct OpCase {
  std::string name;
  std::function<Tensor(const Operands&)> call;
  Shapes shapes;
  std::vector<Domain> domains{};                             // of the operands; the last stands for all that follow
  std::function<Scalar(const std::vector<Scalar>&)> scalar{};  // the same on Scalars, where the op is elementwise
  bool differentiable = true;                                // false: no gradient passes

  Domain domain(std::size_t operand) const {
    return domains.empty() ? Domain::any : domains[std::min(operand, domains.size() - 1)];
  }
};

/// One operand's numbers in f64: the same for the same shape, domain, operand and seed.
inline Tensor sample(const Shape& shape, Domain domain, std::size_t operand, std::uint64_t seed = 0) {
  Generator generator(1000 * (seed + 1) + operand);
  if (domain == Domain::positive) return rand(shape, f64, generator) * 2.0 + 0.5;
  if (domain == Domain::inside) return rand(shape, f64, generator) * 1.6 - 0.8;
  if (domain == Domain::apart) {
    const auto middle = static_cast<double>(shape.size() / 2);
    const Tensor steps = reshape(randperm(shape.size(), generator).to(f64), shape);
    return (steps - middle) * 0.1 + 0.05 * static_cast<double>(operand) + 0.013;
  }
  std::vector<double> numbers = rand(shape, f64, generator).to_vector<double>();
  for (double& x : numbers) {
    x = 4 * x - 2;
    const double kink = std::round(x);
    if (std::abs(kink) <= 1 && std::abs(x - kink) < 0.1) x = kink + (x < kink ? -0.1 : 0.1);
  }
  return from(numbers, shape);
}

inline Operands samples(const OpCase& op, const std::vector<Shape>& shapes, std::uint64_t seed = 0) {
  Operands all;
  for (std::size_t i = 0; i < shapes.size(); ++i) all.push_back(sample(shapes[i], op.domain(i), i, seed));
  return all;
}

/// Positions in [0, below), in no order, with repetitions.
inline Tensor positions(const Shape& shape, std::int64_t below) {
  std::vector<std::int64_t> all(static_cast<std::size_t>(shape.size()));
  for (std::size_t k = 0; k < all.size(); ++k) all[k] = static_cast<std::int64_t>(k * k + 3 * k + 1) % below;
  return from(all, shape);
}

/// Zeros and ones, in no order.
inline Tensor choices(const Shape& shape) { return positions(shape, 7) < 3; }

inline Shapes unary_shapes() { return {{{}}, {{0}}, {{1}}, {{7}}, {{33}}, {{257}}, {{3, 7}}, {{2, 0, 3}}}; }
/// Every way in which two shapes can broadcast: an axis of equal sizes, of size 1 on either side or both, missing on
/// either side; at the front, in the middle, at the end; with nothing in it; up to rank 5.
inline Shapes binary_shapes() {
  return {{{}, {}},
          {{0}, {0}},
          {{1}, {1}},
          {{7}, {7}},
          {{33}, {33}},
          {{33}, {}},
          {{}, {7}},
          {{1}, {0}},
          {{5}, {3, 5}},
          {{3, 4}, {4}},
          {{3, 4}, {1}},
          {{3, 1}, {1, 5}},
          {{7, 1}, {1, 3}},
          {{0, 3}, {1, 3}},
          {{3, 0, 2}, {2}},
          {{1, 2}, {3, 0, 1}},
          {{1, 3, 4}, {2, 3, 4}},
          {{2, 3, 4}, {2, 1, 4}},
          {{2, 3, 1}, {2, 3, 4}},
          {{2, 1, 3}, {7, 1}},
          {{1, 1, 1}, {2, 1}},
          {{2, 1, 3, 1, 2}, {1, 2, 1, 3, 1}},
          {{2, 1, 2, 2, 3}, {1, 3}}};
}

/// An elementwise op of one operand.  Its lambda runs on both lanes.
template <class F>
OpCase unary(std::string name, F f, Domain domain = Domain::any) {
  return {std::move(name), [f](const Operands& x) { return Tensor(f(x[0])); }, unary_shapes(), {domain},
          [f](const std::vector<Scalar>& x) { return Scalar(f(x[0])); }};
}
/// An elementwise op of two operands.
template <class F>
OpCase binary(std::string name, F f, std::vector<Domain> domains = {Domain::any}) {
  return {std::move(name), [f](const Operands& x) { return Tensor(f(x[0], x[1])); }, binary_shapes(), domains,
          [f](const std::vector<Scalar>& x) { return Scalar(f(x[0], x[1])); }};
}
/// Each elementwise op of two again, with one tensor for both: its gradient comes back on two ways.
inline std::vector<OpCase> with_both_alike(std::vector<OpCase> table) {
  for (std::size_t i = 0, lines = table.size(); i < lines; ++i) {
    const OpCase op = table[i];
    if (!op.scalar || op.shapes.front().size() != 2) continue;
    const auto call = [op](const Operands& x) { return op.call({x[0], x[0]}); };
    const auto scalar = [op](const std::vector<Scalar>& x) { return op.scalar({x[0], x[0]}); };
    table.push_back({op.name, call, unary_shapes(), {op.domain(0) == Domain::any ? op.domain(1) : op.domain(0)}, scalar});
  }
  return table;
}
/// Any op of one, two or three tensors.
template <class F>
OpCase whole(std::string name, F f, Shapes shapes, std::vector<Domain> domains = {Domain::any}) {
  auto call = [f](const Operands& x) -> Tensor {
    if constexpr (std::is_invocable_v<F, Tensor>) return f(x[0]);
    else if constexpr (std::is_invocable_v<F, Tensor, Tensor>) return f(x[0], x[1]);
    else return f(x[0], x[1], x[2]);
  };
  return {std::move(name), call, std::move(shapes), std::move(domains)};
}
/// An op through which no gradient passes.
template <class F>
OpCase constant(std::string name, F f, Shapes shapes) {
  OpCase op = whole(std::move(name), f, std::move(shapes));
  op.differentiable = false;
  return op;
}

inline std::vector<OpCase> op_cases() {
  using T = const Tensor&;
  const Domain any = Domain::any, positive = Domain::positive, inside = Domain::inside, apart = Domain::apart;
  const Shapes reducible = {{{}}, {{0}}, {{1}}, {{7}}, {{33}}, {{3, 7}}, {{2, 0, 3}}, {{2, 3, 4}}};
  const Shapes not_empty = {{{}}, {{1}}, {{7}}, {{33}}, {{3, 7}}, {{2, 3, 4}}};
  const Shapes cubes = {{{2, 3, 4}}, {{1, 7, 1}}, {{0, 3, 2}}, {{7, 1, 3}}};
  const Shapes tables = {{{3, 7}}, {{1, 1}}, {{7, 3}}, {{0, 2}}, {{2, 33}}};
  const Shapes rows = {{{1}}, {{7}}, {{33}}, {{3, 7}}, {{2, 0, 3}}, {{2, 3, 4}}};

  return with_both_alike({
      // ---- elementwise, of one
      unary("neg", [](const auto& x) { return neg(x); }),
      unary("abs", [](const auto& x) { return abs(x); }),
      unary("sign", [](const auto& x) { return sign(x); }),
      unary("exp", [](const auto& x) { return exp(x); }),
      unary("expm1", [](const auto& x) { return expm1(x); }),
      unary("log", [](const auto& x) { return log(x); }, positive),
      unary("log1p", [](const auto& x) { return log1p(x); }, positive),
      unary("sqrt", [](const auto& x) { return sqrt(x); }, positive),
      unary("rsqrt", [](const auto& x) { return rsqrt(x); }, positive),
      unary("square", [](const auto& x) { return square(x); }),
      unary("reciprocal", [](const auto& x) { return reciprocal(x); }, positive),
      unary("sin", [](const auto& x) { return sin(x); }),
      unary("cos", [](const auto& x) { return cos(x); }),
      unary("tan", [](const auto& x) { return tan(x); }, inside),
      unary("asin", [](const auto& x) { return asin(x); }, inside),
      unary("acos", [](const auto& x) { return acos(x); }, inside),
      unary("atan", [](const auto& x) { return atan(x); }),
      unary("sinh", [](const auto& x) { return sinh(x); }),
      unary("cosh", [](const auto& x) { return cosh(x); }),
      unary("tanh", [](const auto& x) { return tanh(x); }),
      unary("erf", [](const auto& x) { return erf(x); }),
      unary("sigmoid", [](const auto& x) { return sigmoid(x); }),
      unary("relu", [](const auto& x) { return relu(x); }),
      unary("gelu", [](const auto& x) { return gelu(x); }),
      unary("silu", [](const auto& x) { return silu(x); }),
      unary("softplus", [](const auto& x) { return softplus(x); }),
      unary("mish", [](const auto& x) { return mish(x); }),
      unary("hardtanh", [](const auto& x) { return hardtanh(x); }),
      unary("leaky_relu", [](const auto& x) { return leaky_relu(x); }),
      unary("elu", [](const auto& x) { return elu(x); }),
      unary("leaky_relu", [](const auto& x) { return leaky_relu(x, 0.2); }),
      unary("elu", [](const auto& x) { return elu(x, 1.5); }),
      unary("hardtanh", [](const auto& x) { return hardtanh(x, -1, 1); }),
      unary("clamp", [](const auto& x) { return clamp(x, -1, 1); }),
      unary("operator-", [](const auto& x) { return -x; }),
      whole("operator+", [](T x) { return +x; }, unary_shapes()),

      // ---- elementwise, of two: tensors, then a tensor and a number
      binary("operator+", [](const auto& a, const auto& b) { return a + b; }),
      binary("operator-", [](const auto& a, const auto& b) { return a - b; }),
      binary("operator*", [](const auto& a, const auto& b) { return a * b; }),
      binary("operator/", [](const auto& a, const auto& b) { return a / b; }, {any, positive}),
      binary("pow", [](const auto& a, const auto& b) { return pow(a, b); }, {positive, any}),
      binary("xlogy", [](const auto& a, const auto& b) { return xlogy(a, b); }, {any, positive}),
      binary("maximum", [](const auto& a, const auto& b) { return maximum(a, b); }, {apart}),
      binary("minimum", [](const auto& a, const auto& b) { return minimum(a, b); }, {apart}),
      unary("operator+", [](const auto& x) { return x + 2 + (3 + x); }),
      unary("operator-", [](const auto& x) { return (x - 2) * (3 - x); }),
      unary("operator*", [](const auto& x) { return (x * 2) * (3 * x); }),
      unary("operator/", [](const auto& x) { return x / 2 + 3 / x; }, positive),
      unary("pow", [](const auto& x) { return pow(x, 3) + pow(1.5, x) + pow(x, 0); }),
      unary("xlogy", [](const auto& x) { return xlogy(x, 2) + xlogy(3, x); }, positive),
      unary("maximum", [](const auto& x) { return maximum(x, 1) + maximum(0, x); }),
      unary("minimum", [](const auto& x) { return minimum(x, 1) + minimum(0, x); }),
      whole("operator+=", [](T a, T b) { Tensor y = a; return y += b; }, {{{7}, {7}}, {{3, 4}, {4}}}),
      whole("operator-=", [](T a, T b) { Tensor y = a; return y -= b; }, {{{7}, {7}}, {{3, 4}, {4}}}),
      whole("operator*=", [](T a, T b) { Tensor y = a; return y *= b; }, {{{7}, {7}}, {{3, 4}, {4}}}),
      whole("operator/=", [](T a, T b) { Tensor y = a; return y /= b; }, {{{7}, {7}}, {{3, 4}, {4}}}, {any, positive}),
      constant("operator<", [](T a, T b) { return a < b; }, binary_shapes()),
      constant("operator<=", [](T a, T b) { return a <= b; }, binary_shapes()),
      constant("operator>", [](T a, T b) { return a > b; }, binary_shapes()),
      constant("operator>=", [](T a, T b) { return a >= b; }, binary_shapes()),
      constant("operator==", [](T a, T b) { return a == b; }, binary_shapes()),
      constant("operator!=", [](T a, T b) { return a != b; }, binary_shapes()),
      constant("operator&&", [](T a, T b) { return a > 0 && b > 0; }, binary_shapes()),
      constant("operator||", [](T a, T b) { return a > 0 || b > 0; }, binary_shapes()),
      constant("operator!", [](T a, T b) { return !(a > b); }, binary_shapes()),
      whole("where", [](T a, T b) { return where(choices(broadcast(a.shape(), b.shape())), a, b); }, binary_shapes()),
      whole("where", [](T x) { return where(choices({7}), x, 2.0) * where(choices({7}), 3.0, x); }, {{{7}}, {{33, 1}}}),

      // ---- reductions
      whole("sum", [](T x) { return sum(x); }, reducible),
      whole("sum", [](T x) { return sum(x, {0, -1}); }, cubes),
      whole("sum", [](T x) { return sum(x, 1, true); }, cubes),
      whole("mean", [](T x) { return mean(x); }, reducible),
      whole("mean", [](T x) { return mean(x, -2); }, cubes),
      whole("mean", [](T x) { return mean(x, {0, 2}, true); }, cubes),
      whole("var", [](T x) { return var(x, {}, false, 0); }, reducible),
      whole("var", [](T x) { return var(x, 1); }, {{{2, 3, 4}}, {{1, 7, 1}}, {{0, 3, 2}}, {{2, 33}}}),
      whole("var", [](T x) { return var(x, {0, 1}, true, 2); }, {{{2, 3, 4}}, {{1, 7, 1}}}),
      whole("max", [](T x) { return max(x); }, not_empty, {apart}),
      whole("max", [](T x) { return max(x, 1); }, cubes, {apart}),
      whole("max", [](T x) { return max(x, {0, 2}, true); }, {{{2, 3, 4}}, {{7, 1, 3}}}, {apart}),
      whole("min", [](T x) { return min(x); }, not_empty, {apart}),
      whole("min", [](T x) { return min(x, -2); }, cubes, {apart}),
      whole("min", [](T x) { return min(x, {0, 2}, true); }, {{{2, 3, 4}}, {{7, 1, 3}}}, {apart}),
      whole("prod", [](T x) { return prod(x); }, {{{}}, {{0}}, {{1}}, {{7}}, {{3, 5}}, {{2, 0, 3}}, {{2, 3, 2}}}),
      whole("prod", [](T x) { return prod(x, {0, -1}); }, cubes),
      whole("prod", [](T x) { return prod(x, 1, true); }, cubes),
      whole("prod", [](T x) { return prod(x, {1, 2}); }, cubes),
      whole("norm", [](T x) { return norm(x); }, reducible),
      whole("norm", [](T x) { return norm(x, {0, -1}); }, cubes),
      whole("norm", [](T x) { return norm(x, -2, true); }, cubes),
      whole("logsumexp", [](T x) { return logsumexp(x); }, reducible),
      whole("logsumexp", [](T x) { return logsumexp(x, 1); }, cubes),
      whole("logsumexp", [](T x) { return logsumexp(x, {0, 2}, true); }, cubes),
      constant("argmax", [](T x) { return argmax(x); }, not_empty),
      constant("argmax", [](T x) { return argmax(x, 1, true); }, cubes),
      constant("argmin", [](T x) { return argmin(x); }, not_empty),
      constant("argmin", [](T x) { return argmin(x, -2); }, cubes),
      whole("softmax", [](T x) { return softmax(x); }, rows),
      whole("softmax", [](T x) { return softmax(x, 0); }, rows),
      whole("log_softmax", [](T x) { return log_softmax(x); }, rows),
      whole("log_softmax", [](T x) { return log_softmax(x, 0); }, rows),
      whole("cumsum", [](T x) { return cumsum(x); }, rows),
      whole("cumsum", [](T x) { return cumsum(x, 0); }, rows),
      whole("cumsum", [](T x) { return cumsum(x, -2); }, cubes),

      // ---- linear algebra
      whole("matmul", [](T a, T b) { return matmul(a, b); },
            {{{3, 5}, {5, 2}}, {{1, 1}, {1, 1}}, {{7, 1}, {1, 7}}, {{1, 33}, {33, 1}}, {{0, 3}, {3, 2}},
             {{2, 0}, {0, 3}}, {{2, 3, 4}, {4, 2}}, {{3, 4}, {2, 4, 2}}, {{2, 1, 3, 2}, {3, 2, 1}},
             {{0, 2, 3}, {3, 2}}}),
      whole("matmul", [](T a, T b) { return matmul(a, b); },
            {{{7}, {7}}, {{0}, {0}}, {{3}, {3, 2}}, {{2, 3}, {3}}, {{3}, {2, 3, 4}}, {{2, 4, 3}, {3}}}),
      whole("matmul", [](T a, T b) { return matmul(a, b, {.ta = true}); },
            {{{5, 3}, {5, 2}}, {{2, 4, 3}, {4, 2}}, {{4, 3}, {2, 4, 1}}}),
      whole("matmul", [](T a, T b) { return matmul(a, b, {.tb = true}); },
            {{{3, 5}, {2, 5}}, {{2, 3, 4}, {2, 4}}, {{3, 4}, {2, 1, 4}}}),
      whole("matmul", [](T a, T b) { return matmul(a, b, {.ta = true, .tb = true}); },
            {{{5, 3}, {2, 5}}, {{2, 4, 3}, {2, 4}}, {{1, 4, 3}, {2, 1, 4}}}),
      whole("dot", [](T a, T b) { return dot(a, b); }, {{{0}, {0}}, {{1}, {1}}, {{7}, {7}}, {{33}, {33}}}),
      whole("outer", [](T a, T b) { return outer(a, b); }, {{{0}, {3}}, {{1}, {1}}, {{7}, {3}}, {{1}, {33}}}),
      whole("affine", [](T x, T w, T b) { return affine(x, w, b); },
            {{{3, 5}, {2, 5}, {2}}, {{5}, {2, 5}, {2}}, {{2, 3, 4}, {1, 4}, {1}}, {{0, 3}, {2, 3}, {2}},
             {{7, 1}, {33, 1}, {33}}, {{3, 5}, {2, 5}, {3, 2}}, {{2, 3, 4}, {5, 4}, {2, 3, 5}}, {{0, 3}, {2, 3}, {0, 2}}}),
      whole("einsum", [](T a, T b) { return einsum("ij,jk->ik", a, b); },
            {{{3, 5}, {5, 2}}, {{1, 1}, {1, 1}}, {{0, 3}, {3, 2}}, {{2, 0}, {0, 3}}}),
      whole("einsum", [](T a, T b) { return einsum("bhqd,bhkd->bhqk", a, b); },
            {{{2, 1, 3, 4}, {2, 1, 2, 4}}, {{1, 2, 1, 3}, {1, 2, 3, 3}}}),
      whole("einsum", [](T a, T b) { return einsum("...ij,...jk", a, b); },
            {{{2, 3, 4}, {4, 2}}, {{3, 4}, {2, 4, 2}}, {{2, 1, 3, 2}, {3, 2, 1}}}),
      whole("einsum", [](T a, T b, T c) { return einsum("ij,kj,k->i", a, b, c); },
            {{{2, 3}, {4, 3}, {4}}, {{1, 7}, {3, 7}, {3}}, {{2, 0}, {3, 0}, {3}}}),
      whole("einsum", [](T x) { return einsum("iji->ij", x) * einsum("iij->ij", transpose(x)); },
            {{{3, 2, 3}}, {{1, 4, 1}}, {{2, 0, 2}}}),
      whole("einsum", [](T a, T b) { return einsum("ib,jb->b", a, b) + einsum("bi,bi->b", transpose(a), transpose(a)); },
            {{{2, 3}, {4, 3}}, {{1, 1}, {1, 1}}}),

      // ---- movement
      whole("reshape", [](T x) { return reshape(x, {-1, 1}); }, {{{}}, {{1}}, {{7}}, {{33}}, {{3, 7}}, {{2, 0}}}),
      whole("reshape", [](T x) { return reshape(x, Shape{x.size()}); }, unary_shapes()),
      whole("flatten", [](T x) { return flatten(x); }, unary_shapes()),
      whole("flatten", [](T x) { return flatten(x, 1); }, cubes),
      whole("squeeze", [](T x) { return squeeze(x); }, {{{1, 7, 1}}, {{1}}, {{33}}, {{0, 1}}}),
      whole("squeeze", [](T x) { return squeeze(x, -1); }, {{{1, 7, 1}}, {{1}}, {{33, 1}}, {{0, 1}}}),
      whole("unsqueeze", [](T x) { return unsqueeze(x, -1); }, unary_shapes()),
      whole("unsqueeze", [](T x) { return unsqueeze(x, 0); }, unary_shapes()),
      whole("transpose", [](T x) { return transpose(x); }, tables),
      whole("transpose", [](T x) { return transpose(x, 0, -1); }, cubes),
      whole("permute", [](T x) { return permute(x, {2, 0, -2}); }, cubes),
      whole("broadcast_to", [](T x) { return broadcast_to(x, {2, 3, 7}); },
            {{{}}, {{1}}, {{7}}, {{3, 7}}, {{2, 1, 1}}, {{2, 3, 7}}}),
      whole("broadcast_to", [](T x) { return broadcast_to(x, {0, 33}); }, {{{}}, {{33}}, {{1, 1}}, {{0, 1}}}),
      whole("concat", [](T a, T b) { return concat({a, b, a}); }, {{{1}, {7}}, {{0}, {33}}, {{2, 3}, {1, 3}}}),
      whole("concat", [](T a, T b) { return concat({a, b}, -1); },
            {{{2, 3}, {2, 1}}, {{2, 0}, {2, 3}}, {{2, 3, 4}, {2, 3, 1}}}),
      whole("stack", [](T a, T b) { return stack({a, b, a}); },
            {{{}, {}}, {{0}, {0}}, {{1}, {1}}, {{7}, {7}}, {{2, 3}, {2, 3}}}),
      whole("stack", [](T a, T b) { return stack({a, b}, -1); }, {{{}, {}}, {{7}, {7}}, {{2, 3}, {2, 3}}}),
      whole("stack", [](T x) { return stack({x(0), x(0) * x(-1), x(-1), 2.0}); }, {{{1}}, {{7}}, {{33}}}),
      whole("slice", [](T x) { return slice(x, 1, -1); }, {{{2}}, {{7}}, {{33}}, {{3, 2}}, {{4, 0}}}),
      whole("slice", [](T x) { return slice(x, 0, 2, -1); }, {{{2}}, {{3, 7}}, {{2, 3, 4}}, {{0, 2}}}),
      whole("split", [](T x) { const auto piece = split(x, 3); return concat({piece.back(), piece[0] * 2}); },
            {{{1}}, {{3}}, {{7}}, {{33}}, {{7, 2}}, {{0, 2}}}),
      whole("split", [](T x) {
        const auto piece = split(x, {2, x.shape()[-1] - 2, 0}, -1);
        return concat({piece[1], piece[2], piece[0] * piece[0]}, -1);
      }, {{{2}}, {{7}}, {{33}}, {{3, 7}}, {{2, 3, 4}}, {{0, 2}}}),
      whole("pad", [](T x) { return pad(x, {{1, 2}}); }, rows),
      whole("pad", [](T x) { return pad(x, {{0, 1}, {2, 0}}, -1.5); }, cubes),
      whole("pad", [](T x) { return pad(x, {}, 3); }, unary_shapes()),
      whole("flip", [](T x) { return flip(x) * x; }, unary_shapes()),
      whole("flip", [](T x) { return flip(x, {0, -1}); }, cubes),
      whole("flip", [](T x) { return flip(x, 1); }, cubes),

      // ---- index
      whole("gather", [](T x) { return gather(x, positions({x.shape()[0], 5}, x.shape()[-1])); },
            {{{3, 7}}, {{1, 1}}, {{2, 33}}}),
      whole("gather", [](T x) { return gather(x, positions({2, 3}, x.shape()[0]), 0); },
            {{{3, 7}}, {{1, 3}}, {{7, 4}}}),
      whole("scatter_add", [](T y, T x) { return scatter_add(y, positions(x.shape(), y.shape()[-1]), x); },
            {{{3, 7}, {2, 5}}, {{1}, {33}}, {{2, 3}, {2, 0}}, {{2, 3}, {0, 3}}}),
      whole("scatter_add", [](T y, T x) { return scatter_add(y, positions(x.shape(), y.shape()[0]), x, 0); },
            {{{3, 7}, {7, 2}}, {{1, 1}, {1, 1}}}),
      whole("take", [](T x) { return take(x, positions({2, 3}, x.shape()[0])); }, {{{1}}, {{7}}, {{33}}, {{3, 7}}}),
      whole("take", [](T x) { return take(x, positions({5}, x.shape()[-1]), -1); }, {{{1}}, {{7}}, {{3, 7}}, {{0, 2}}}),
      whole("take", [](T x) { return take(x, positions({}, x.shape()[1]), 1); }, {{{2, 3, 4}}, {{1, 7, 1}}, {{7, 1, 3}}}),
      whole("take", [](T x) { return take(x, positions({2, 0}, 1), 1); }, cubes),
      whole("embedding", [](T w) { return embedding(positions({2, 5}, w.shape()[0]), w); },
            {{{3, 7}}, {{1, 1}}, {{7, 3}}, {{2, 0}}}),
      whole("embedding", [](T w) {
        return embedding(positions({3}, w.shape()[0]), w) * embedding(positions({}, w.shape()[0]), w);
      }, {{{3, 7}}, {{1, 1}}, {{7, 3}}}),
      constant("one_hot", [](T x) { return one_hot((x > 0).to(i64), 3); }, {{{}}, {{7}}, {{2, 3}}, {{0}}}),

      // ---- convolution: strides, paddings, dilations, groups; no images, no outputs, no inputs
      whole("conv1d", [](T x, T w) { return conv1d(x, w); },
            {{{2, 2, 7}, {3, 2, 3}}, {{1, 1, 1}, {1, 1, 1}}, {{0, 2, 5}, {1, 2, 2}}, {{1, 1, 33}, {2, 1, 7}}}),
      whole("conv1d", [](T x, T w, T b) { return conv1d(x, w, b, {.stride = 2, .padding = 1}); },
            {{{2, 2, 6}, {3, 2, 3}, {3}}, {{1, 1, 1}, {1, 1, 3}, {1}}}),
      whole("conv1d", [](T x, T w) { return conv1d(x, w, {.padding = 2, .dilation = 2, .groups = 2}); },
            {{{1, 4, 5}, {2, 2, 3}}, {{2, 2, 3}, {4, 1, 2}}}),
      whole("conv2d", [](T x, T w) { return conv2d(x, w); },
            {{{2, 2, 4, 5}, {3, 2, 3, 3}}, {{1, 3, 3, 2}, {2, 3, 1, 1}}, {{2, 1, 3, 3}, {1, 1, 2, 2}},
             {{1, 1, 2, 5}, {2, 1, 1, 4}}, {{0, 2, 4, 4}, {3, 2, 3, 3}}, {{1, 2, 3, 3}, {0, 2, 2, 2}},
             {{2, 0, 3, 3}, {2, 0, 2, 2}}}),
      whole("conv2d", [](T x, T w, T b) { return conv2d(x, w, b, {.padding = 1}); },
            {{{2, 2, 3, 4}, {3, 2, 3, 3}, {3}}, {{1, 1, 1, 1}, {1, 1, 3, 3}, {1}}, {{1, 2, 0, 2}, {2, 2, 2, 2}, {2}},
             {{0, 1, 3, 3}, {2, 1, 2, 2}, {2}}, {{1, 0, 2, 2}, {2, 0, 3, 3}, {2}}, {{1, 2, 2, 2}, {0, 2, 3, 3}, {0}}}),
      whole("conv2d", [](T x, T w, T b) { return conv2d(x, w, b); }, {{{2, 3, 2, 2}, {2, 3, 1, 1}, {2}}}),
      whole("conv2d", [](T x, T w) { return conv2d(x, w, {.stride = 2, .padding = {1, 2}}); },
            {{{1, 2, 5, 4}, {2, 2, 3, 3}}, {{2, 1, 4, 4}, {1, 1, 2, 2}}, {{1, 2, 3, 3}, {2, 2, 1, 1}}}),
      whole("conv2d", [](T x, T w) { return conv2d(x, w, {.stride = {2, 1}, .dilation = 2}); },
            {{{1, 1, 6, 5}, {2, 1, 3, 2}}, {{2, 2, 4, 3}, {1, 2, 2, 2}}}),
      whole("conv2d", [](T x, T w) { return conv2d(x, w, {.stride = 3, .padding = 1, .dilation = {1, 2}}); },
            {{{1, 1, 7, 8}, {2, 1, 3, 3}}}),
      whole("conv2d", [](T x, T w, T b) { return conv2d(x, w, b, {.padding = 1, .groups = 2}); },
            {{{2, 4, 3, 3}, {2, 2, 3, 3}, {2}}, {{1, 2, 3, 3}, {4, 1, 2, 2}, {4}}, {{1, 4, 2, 2}, {6, 2, 1, 1}, {6}}}),
      whole("conv2d", [](T x, T w) { return conv2d(x, w, {.stride = 2, .padding = 1, .groups = x.shape()[1]}); },
            {{{1, 3, 4, 4}, {3, 1, 3, 3}}, {{2, 2, 3, 5}, {4, 1, 2, 2}}}),  // each channel on its own
      whole("conv_transpose2d", [](T x, T w) { return conv_transpose2d(x, w); },
            {{{2, 2, 2, 3}, {2, 3, 3, 3}}, {{1, 3, 2, 2}, {3, 2, 1, 1}}, {{0, 2, 3, 3}, {2, 1, 2, 2}},
             {{1, 2, 2, 2}, {2, 0, 2, 2}}, {{2, 0, 2, 2}, {0, 2, 2, 2}}}),
      whole("conv_transpose2d",
            [](T x, T w, T b) {
              return conv_transpose2d(x, w, b, {.stride = 2, .padding = 1, .output_padding = {1, 0}});
            },
            {{{2, 2, 2, 3}, {2, 1, 3, 3}, {1}}, {{1, 1, 3, 2}, {1, 2, 2, 2}, {2}}, {{1, 0, 2, 2}, {0, 2, 3, 3}, {2}}}),
      whole("conv_transpose2d",
            [](T x, T w, T b) {
              return conv_transpose2d(x, w, b, {.output_padding = 1, .dilation = {2, 3}, .groups = 2});
            },
            {{{1, 4, 2, 2}, {4, 1, 2, 2}, {2}}, {{2, 2, 2, 1}, {2, 2, 1, 2}, {4}}}),
      whole("max_pool1d", [](T x) { return max_pool1d(x, 2); }, {{{2, 2, 7}}, {{1, 1, 2}}, {{0, 1, 3}}}, {apart}),
      whole("max_pool1d", [](T x) { return max_pool1d(x, 3, {.stride = 1, .padding = 1}); },
            {{{1, 2, 7}}, {{1, 1, 1}}, {{1, 1, 33}}}, {apart}),
      whole("max_pool2d", [](T x) { return max_pool2d(x, 2); },
            {{{2, 2, 4, 5}}, {{1, 1, 2, 2}}, {{0, 2, 3, 3}}, {{2, 0, 3, 3}}}, {apart}),
      whole("max_pool2d", [](T x) { return max_pool2d(x, 3, {.stride = 2, .padding = 1}); },
            {{{1, 2, 5, 4}}, {{1, 1, 1, 1}}}, {apart}),
      whole("max_pool2d", [](T x) { return max_pool2d(x, {3, 2}, {.stride = {1, 3}, .padding = {0, 1}}); },
            {{{1, 1, 5, 7}}, {{2, 1, 3, 2}}}, {apart}),
      whole("avg_pool2d", [](T x) { return avg_pool2d(x, 2); },
            {{{2, 2, 4, 5}}, {{1, 1, 2, 2}}, {{0, 2, 3, 3}}, {{2, 0, 3, 3}}}),
      whole("avg_pool2d", [](T x) { return avg_pool2d(x, 3, {.stride = 2, .padding = 1}); },
            {{{1, 2, 5, 4}}, {{1, 1, 1, 1}}}),
      whole("avg_pool2d",
            [](T x) {
              return avg_pool2d(x, {3, 2}, {.stride = {1, 3}, .padding = {1, 1}, .count_padding = false});
            },
            {{{1, 1, 5, 7}}, {{2, 1, 2, 2}}}),

      // ---- recurrent cells
      whole("lstm_cell", [](T gates, T c) { return lstm_cell(gates, c); },
            {{{3, 20}, {3, 5}}, {{1, 4}, {1, 1}}, {{0, 12}, {0, 3}}, {{3, 0}, {3, 0}}, {{28}, {7}}, {{2, 3, 8}, {2, 3, 2}}}),
      whole("gru_cell", [](T x, T s, T h) { return gru_cell(x, s, h); },
            {{{3, 15}, {3, 15}, {3, 5}}, {{1, 3}, {1, 3}, {1, 1}}, {{0, 9}, {0, 9}, {0, 3}}, {{3, 0}, {3, 0}, {3, 0}},
             {{21}, {21}, {7}}, {{2, 3, 6}, {2, 3, 6}, {2, 3, 2}}}),

      // ---- normalisation: by what x is itself and by what is given; of one number, of short runs and long ones, of none
      whole("batch_norm", [](T x, T w, T b) { return batch_norm(x, w, b, 0.1); },
            {{{7, 3}, {3}, {3}}, {{2, 3, 4}, {3}, {3}}, {{1, 2, 1}, {2}, {2}}, {{3, 1, 33}, {1}, {1}},
             {{2, 2, 3, 2}, {2}, {2}}, {{0, 3}, {3}, {3}}, {{2, 3, 0}, {3}, {3}}, {{2, 0}, {0}, {0}}}),
      whole("batch_norm",
            [](T x, T w, T b) { return batch_norm(x, w, b, {arange(w.size()), arange(w.size()) + 2}); },
            {{{7, 3}, {3}, {3}}, {{2, 3, 4}, {3}, {3}}, {{1, 2, 1}, {2}, {2}}, {{0, 3}, {3}, {3}},
             {{2, 2, 3, 2}, {2}, {2}}}),
      whole("layer_norm", [](T x, T w, T b) { return layer_norm(x, w, b, 0.1); },
            {{{3, 5}, {5}, {5}}, {{7}, {7}, {7}}, {{2, 3, 4}, {3, 4}, {3, 4}}, {{3, 1}, {1}, {1}}, {{2, 33}, {33}, {33}},
             {{0, 3}, {3}, {3}}, {{3, 0}, {0}, {0}}, {{2, 0, 3}, {0, 3}, {0, 3}}}),

      // ---- losses, fused
      whole("bce_with_logits", [](T z, T y) { return bce_with_logits(z, y); },
            {{{}, {}}, {{0}, {0}}, {{1}, {1}}, {{7, 1}, {7, 1}}, {{33}, {33}}}, {any, positive}),
      whole("softmax_cross_entropy",
            [](T z) { return softmax_cross_entropy(z, positions({z.shape()[0]}, z.shape()[1])); },
            {{{1, 1}}, {{3, 7}}, {{7, 3}}, {{1, 33}}, {{0, 3}}}),

      // ---- the graph's edges, and what a Tensor itself can do
      constant("detach", [](T x) { return detach(x); }, unary_shapes()),
      whole("input_of", [](T x) {
        const Tensor made = sigmoid(x), before = input_of(made, "sigmoid");
        return made * (before.defined() ? before : x);
      }, unary_shapes()),
      whole("to", [](T x) { return x.to(f64) * x; }, unary_shapes()),
      whole("operator[]", [](T x) { return x[0] * x[-1]; }, {{{1}}, {{7}}, {{3, 7}}, {{2, 0}}}),
      whole("operator()", [](T x) { return x * x(0) + x(-1) / 3; }, {{{1}}, {{7}}, {{33}}}),
  });
}

}  // namespace ebb::table
