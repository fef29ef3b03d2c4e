// Matrix products: matmul, dot, outer, affine.
#include "../kernels/blas.h"
#include "../launch.h"
#include "../ops.h"
#include "../require.h"

#include <algorithm>
#include <limits>

namespace ebb {

using namespace detail;

namespace {

/// kernels::gemm(), launched: the type tells which.
template <class T>
void product(bool ta, bool tb, std::int64_t m, std::int64_t n, std::int64_t k, const T* a, const T* b, T beta, T* c) {
  launch([](auto... all) { kernels::gemm(all...); }, ta, tb, m, n, k, a, b, beta, c);
}

Shape matrix(std::int64_t rows, std::int64_t columns) { return {rows, columns}; }

/// The leading axes of a batch of matrices.
Shape batch_of(const Shape& s) {
  return Shape(std::span<const std::int64_t>(s.begin(), static_cast<std::size_t>(s.rank() - 2)));
}

// BLAS counts in 32 bits.
void must_count(std::int64_t m, std::int64_t n, std::int64_t k) {
  if (std::max({m, n, k}) <= std::numeric_limits<std::int32_t>::max()) return;
  for (const std::int64_t size : {m, n, k})
    require(size <= std::numeric_limits<std::int32_t>::max(), "a side of {} is longer than a matrix product can be",
            size);
}

Shape batch_shape(const Shape& a, const Shape& b) {
  try {
    return broadcast_of(a, b);
  } catch (const Complaint&) {
    throw Complaint{
        Complaint::shape, fmt::format("the batches {} and {} do not broadcast", to_string(a), to_string(b)), {}};
  }
}

/// All leading axes as rows: [..., k] -> [rows, k].
Tensor rows_of(const Tensor& x) {
  const std::int64_t k = x.shape()[-1];
  std::int64_t rows = 1;
  for (int axis = 0; axis + 1 < x.rank(); ++axis) rows *= x.shape()[axis];
  return x.rank() == 2 ? x : reshape(x, matrix(rows, k));
}

/// Matrix product.  a [..., m, k], b [..., k, n] -> [..., m, n]; leading axes broadcast.
struct Matmul {
  static constexpr char name[] = "matmul", formula[] = "a·b", rule[] = "∇a = g·bᵀ   ∇b = aᵀ·g", operands[] = "a b";
  static constexpr Keep keep = Keep::inputs;
  bool ta = false, tb = false;  // read a, b transposed: no copies in backward

  Told tell() const {
    if (ta && tb) return {"aᵀ·bᵀ", "∇a = bᵀ·gᵀ   ∇b = gᵀ·aᵀ"};
    if (ta) return {"aᵀ·b", "∇a = b·gᵀ   ∇b = a·g"};
    if (tb) return {"a·bᵀ", "∇a = g·b   ∇b = gᵀ·a"};
    return {formula, rule};
  }
  Tensor run(const Tensor& a, const Tensor& b) const {
    const Shape &sa = a.shape(), &sb = b.shape();
    require(sa.rank() >= 2 && sb.rank() >= 2, "both must have at least one axis");
    const std::int64_t m = sa[ta ? -1 : -2], k = sa[ta ? -2 : -1], k2 = sb[tb ? -1 : -2], n = sb[tb ? -2 : -1];
    require(k == k2, "inner sizes differ, {} != {}", k, k2);
    must_count(m, n, k);
    if (sa.rank() == 2 && sb.rank() == 2) {
      Tensor y = empty({m, n}, a.dtype());
      dispatch_floating(y.dtype(),
                        [&]<class T>(T) { product(ta, tb, m, n, k, read<T>(a), read<T>(b), T(0), write<T>(y)); });
      return y;
    }
    const Shape batch_a = batch_of(sa), batch_b = batch_of(sb), batch = batch_shape(batch_a, batch_b);
    if (sb.rank() == 2 && !ta) must_count(batch.size() * m, n, k);
    Tensor y = empty(batch.inserted(batch.rank(), m).inserted(batch.rank() + 1, n), a.dtype());
    dispatch_floating(y.dtype(), [&]<class T>(T) {
      T* const to = write<T>(y);
      if (sb.rank() == 2 && !ta) {  // one matrix for the whole batch: its rows are one long matrix
        product(false, tb, batch.size() * m, n, k, read<T>(a), read<T>(b), T(0), to);
        return;
      }
      // Each number of the walk stands for one matrix.
      const kernels::Walk<2> walk(batch.sizes(), {batch_a.sizes(), batch_b.sizes()});
      const auto inner = static_cast<std::size_t>(walk.rank - 1);
      walk.rows([&](std::int64_t out, const std::array<std::int64_t, 2>& at) {
        for (std::int64_t i = 0; i < walk.size[inner]; ++i)
          product(ta, tb, m, n, k, read<T>(a) + (at[0] + i * walk.stride[0][inner]) * m * k,
                  read<T>(b) + (at[1] + i * walk.stride[1][inner]) * k * n, T(0), to + (out + i) * m * n);
      });
    });
    return y;
  }

  // With y = op(a)·op(b): the gradients are products again, whatever the flags.
  Tensor da(const Tensor& dy, const Tensor& a, const Tensor& b) const {
    return sum_to(ta ? matmul(b, dy, {tb, true}) : matmul(dy, b, {false, !tb}), a.shape());
  }
  Tensor db(const Tensor& dy, const Tensor& a, const Tensor& b) const {
    if (b.rank() == 2 && !ta) {
      const Tensor rows = rows_of(a), g = rows_of(dy);
      return tb ? matmul(g, rows, {true, false}) : matmul(rows, g, {true, false});
    }
    return sum_to(tb ? matmul(dy, a, {true, ta}) : matmul(a, dy, {!ta, false}), b.shape());
  }
  /// db, where all rows of a meet one matrix; and da, where one column does.
  bool factors(int i, const Tensor& dy, const Tensor* in, Tensor& left, Tensor& right) const {
    const Tensor &a = in[0], &b = in[1];
    constexpr std::int64_t few = 16;  // products, which take less time than it takes to note them
    if (a.size() * dy.shape()[-1] <= few) return false;
    if (i == 1 && b.rank() == 2 && !ta) {
      left = rows_of(tb ? dy : a);
      right = rows_of(tb ? a : dy);
      return true;
    }
    if (i == 0 && a.rank() == 2 && b.rank() == 2 && !ta && dy.shape()[1] == 1) {
      left = reshape(dy, matrix(1, dy.size()));
      right = reshape(b, matrix(1, b.size()));
      return true;
    }
    return false;
  }
  static constexpr auto gradients() { return std::tuple(&Matmul::da, &Matmul::db); }
};

/// x·Wᵀ + b: a matmul and an add in one.
struct Affine {
  static constexpr char name[] = "affine", formula[] = "x·Wᵀ + b", rule[] = "∇x = g·W   ∇W = gᵀ·x   ∇b = Σ₀ g",
                        operands[] = "x W b";
  static constexpr Keep keep = Keep::first | Keep::second;
  bool whole = false;  // b is of the result's shape, not one row

  Told tell() const { return {formula, whole ? "∇x = g·W   ∇W = gᵀ·x   ∇b = g" : rule}; }
  Tensor run(const Tensor& x, const Tensor& w, const Tensor& b) const {
    require(x.rank() >= 1 && w.rank() == 2 && (b.rank() == 1 || b.rank() == x.rank()),
            "x needs at least one axis, the weight two, the bias one, or as many as x");
    const std::int64_t in = w.shape()[1], out = w.shape()[0];
    require(x.shape()[-1] == in, "inner sizes differ, {} != {}", x.shape()[-1], in);
    const Shape shape = x.shape().with(-1, out);
    if (whole && b.shape() != shape) require(false, "the bias must be [{}] or {}", out, to_string(shape));
    if (!whole) require(b.shape()[0] == out, "the bias has {} numbers for {} outputs", b.shape()[0], out);
    Tensor y = empty(shape, x.dtype());
    const std::int64_t rows = out == 0 ? 0 : y.size() / out;
    must_count(rows, out, in);
    dispatch_floating(y.dtype(), [&]<class T>(T) {
      launch([](auto... all) { kernels::gemm_onto(all...); }, rows, out, in, read<T>(x), read<T>(w), read<T>(b),
             whole ? out : std::int64_t{0}, write<T>(y));
    });
    return y;
  }
  Tensor dx(const Tensor& dy, const Tensor&, const Tensor& w, const Tensor&) const { return matmul(dy, w); }
  Tensor dw(const Tensor& dy, const Tensor& x, const Tensor&, const Tensor&) const {
    return matmul(rows_of(dy), rows_of(x), {true, false});
  }
  Tensor db(const Tensor& dy, const Tensor&, const Tensor&, const Tensor& b) const { return sum_to(dy, b.shape()); }
  bool factors(int i, const Tensor& dy, const Tensor* in, Tensor& left, Tensor& right) const {
    if (i != 1) return false;
    left = rows_of(dy);
    right = rows_of(in[0]);
    return true;
  }
  static constexpr auto gradients() { return std::tuple(&Affine::dx, &Affine::dw, &Affine::db); }
};

}  // namespace

Tensor matmul(const Tensor& a, const Tensor& b, const MatmulOptions& options) {
  if (a.defined() && b.defined() && a.rank() >= 2 && b.rank() >= 2 && a.dtype() == b.dtype() && is_floating(a.dtype()))
    return apply(Matmul{options.ta, options.tb}, a, b);
  return asked_of(Matmul::name, {&a, &b}, [&] {
    require(a.rank() >= 1 && b.rank() >= 1, "both must have at least one axis");
    DType type = promote(a.dtype(), b.dtype());
    if (type == i64) type = f32;
    if (a.rank() >= 2 && b.rank() >= 2) return apply(Matmul{options.ta, options.tb}, a.to(type), b.to(type));
    require(!(options.ta && a.rank() == 1) && !(options.tb && b.rank() == 1), "a vector cannot be read transposed");
    const std::int64_t k = a.shape()[options.ta ? -2 : -1], k2 = b.shape()[b.rank() == 1 || options.tb ? -1 : -2];
    require(k == k2, "inner sizes differ, {} != {}", k, k2);
    const Tensor rows = a.rank() == 1 ? unsqueeze(a, 0) : a, columns = b.rank() == 1 ? unsqueeze(b, 1) : b;
    Tensor y = apply(Matmul{options.ta, options.tb}, rows.to(type), columns.to(type));
    if (b.rank() == 1) y = squeeze(y, -1);
    if (a.rank() == 1) y = squeeze(y, b.rank() == 1 ? -1 : -2);
    return y;
  });
}

Tensor dot(const Tensor& a, const Tensor& b) {
  return asked_of("dot", {&a, &b}, [&] {
    require(a.rank() == 1 && b.rank() == 1, "both must be vectors");
    require(a.size() == b.size(), "lengths differ, {} != {}", a.size(), b.size());
    return matmul(a, b);
  });
}

Tensor outer(const Tensor& a, const Tensor& b) {
  return asked_of("outer", {&a, &b}, [&] {
    require(a.rank() == 1 && b.rank() == 1, "both must be vectors");
    return unsqueeze(a, 1) * unsqueeze(b, 0);
  });
}

Tensor affine(const Tensor& x, const Tensor& weight, const Tensor& bias) {
  const auto is_as_x = [&](const Tensor& t) { return t.defined() && t.dtype() == x.dtype(); };
  if (x.defined() && is_floating(x.dtype()) && is_as_x(weight) && is_as_x(bias))
    return apply(Affine{bias.rank() > 1}, x, weight, bias);
  return asked_of(Affine::name, {&x, &weight, &bias}, [&] {
    DType type = promote(x.dtype(), promote(weight.dtype(), bias.dtype()));
    if (type == i64) type = f32;
    return apply(Affine{bias.rank() > 1}, x.to(type), weight.to(type), bias.to(type));
  });
}

}  // namespace ebb
