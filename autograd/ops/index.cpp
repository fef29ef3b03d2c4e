// Picking by position: gather, scatter_add, take, embedding, one_hot.
#include "../kernels/movement.h"

#include "../graph.h"
#include "../launch.h"
#include "../ops.h"
#include "../require.h"

#include <algorithm>
#include <cstring>

namespace ebb {

using namespace detail;

namespace {

void must_be_positions(const Tensor& index) {
  if (index.dtype() != i64)
    throw Complaint{Complaint::dtype, "positions must be i64", "tensor({...}, i64), or to(i64)"};
}

// Every position is checked before any is used.
void must_lie_within(const Tensor& index, std::int64_t n) {
  const auto check = [](const std::int64_t* i, std::int64_t count, std::int64_t end) {
    for (std::int64_t k = 0; k < count; ++k)
      require(i[k] >= 0 && i[k] < end, Complaint::index, "index[{}] = {} is outside [0, {})", k, i[k], end);
  };
  launch(check, read<std::int64_t>(index), index.size(), n);
}

// index must be i64, of x's rank and no larger off the axis.
void must_index(const Tensor& x, const Tensor& index, int axis) {
  must_be_positions(index);
  require(index.rank() == x.rank(), "the positions have rank {}, the tensor {}", index.rank(), x.rank());
  for (int a = 0; a < x.rank(); ++a)
    require(a == axis || index.shape()[a] <= x.shape()[a], "there are positions for {} of {} on axis {}",
            index.shape()[a], x.shape()[a], a);
  must_lie_within(index, x.shape()[axis]);
}

/// Calls f(position in picked, position in x) for each position; `picked` is of shape `index`.
template <class F> void walk(const Shape& x, const Shape& index, const std::int64_t* picked, int axis, F&& f) {
  std::array<std::int64_t, Shape::max_rank> at{}, stride{};
  std::int64_t step = 1;
  for (int a = x.rank() - 1; a >= 0; --a) {
    stride[std::size_t(a)] = step;
    step *= x[a];
  }
  for (std::int64_t k = 0; k < index.size(); ++k) {
    std::int64_t place = picked[k] * stride[std::size_t(axis)];
    for (int a = 0; a < x.rank(); ++a)
      if (a != axis) place += at[std::size_t(a)] * stride[std::size_t(a)];
    f(k, place);
    for (int a = x.rank() - 1; a >= 0; --a) {
      if (++at[std::size_t(a)] < index[a]) break;
      at[std::size_t(a)] = 0;
    }
  }
}

/// y[k] = x[where index[k] points], and the other way round, y[where index[k] points] += x[k].
template <class T>
void gather_at(T* y, const T* x, const std::int64_t* index, const Shape& sy, const Shape& sx, int axis) {
  walk(sx, sy, index, axis, [&](std::int64_t to, std::int64_t from) { y[to] = x[from]; });
}
template <class T>
void add_at(T* y, const T* x, const std::int64_t* index, const Shape& sy, const Shape& sx, int axis) {
  walk(sy, sx, index, axis, [&](std::int64_t from, std::int64_t to) { y[to] += x[from]; });
}

struct Gather {
  static constexpr char name[] = "gather", formula[] = "x[i]", rule[] = "∇x[i] += g", operands[] = "x i";
  static constexpr Keep keep = Keep::second;
  int axis;

  Tensor run(const Tensor& x, const Tensor& index) const {
    must_index(x, index, axis);
    Tensor y = empty(index.shape(), x.dtype());
    dispatch(x.dtype(), [&]<class T>(T) {
      launch(gather_at<T>, write<T>(y), read<T>(x), read<std::int64_t>(index), y.shape(), x.shape(), axis);
    });
    return y;
  }
  Tensor dx(const Tensor& dy, const Tensor& x, const Tensor& index) const {
    return scatter_add(zeros(x.shape(), x.dtype()), index, dy, axis);
  }
  static constexpr auto gradients() { return std::tuple(&Gather::dx, nullptr); }

  static constexpr int adds_to = 0;
  void add_gradient(Tensor& sum, const Tensor& dy, std::span<const Tensor> in) const {
    dispatch_floating(sum.dtype(), [&]<class T>(T) {
      T* const to = static_cast<T*>(writable(sum));
      launch(add_at<T>, to, read<T>(dy), read<std::int64_t>(in[1]), sum.shape(), in[1].shape(), axis);
    });
  }
};

struct ScatterAdd {
  static constexpr char name[] = "scatter_add", formula[] = "y[i] += x", rule[] = "∇y = g   ∇x = g[i]",
                        operands[] = "y i x";
  static constexpr Keep keep = Keep::second;
  int axis;

  Tensor run(const Tensor& y, const Tensor& index, const Tensor& x) const {
    must_index(y, index, axis);
    require(x.shape() == index.shape(), "what is added must have the positions' shape");
    Tensor sum = empty(y.shape(), y.dtype());
    dispatch(y.dtype(), [&]<class T>(T) {
      launch(std::memcpy, write<void>(sum), read<void>(y), static_cast<std::size_t>(y.size()) * sizeof(T));
      launch(add_at<T>, write<T>(sum), read<T>(x), read<std::int64_t>(index), y.shape(), index.shape(), axis);
    });
    return sum;
  }
  Tensor dy(const Tensor& g, const Tensor&, const Tensor&, const Tensor&) const { return g; }
  Tensor dx(const Tensor& g, const Tensor&, const Tensor& index, const Tensor&) const { return gather(g, index, axis); }
  static constexpr auto gradients() { return std::tuple(&ScatterAdd::dy, nullptr, &ScatterAdd::dx); }
};

/// A shape seen as [outer, n, inner] around one axis.
struct Around {
  std::int64_t outer = 1, n, inner = 1;
  Around(const Shape& shape, int axis) : n(shape[axis]) {
    for (int a = 0; a < shape.rank(); ++a)
      if (a != axis) (a < axis ? outer : inner) *= shape[a];
  }
};

/// The slices of x at the positions, which stand in the axis's place.
Tensor slices_at(const Tensor& x, const Tensor& index, int axis) {
  must_be_positions(index);
  require(x.rank() - 1 + index.rank() <= Shape::max_rank, "the result would have {} axes, and a tensor has at most {}",
          x.rank() - 1 + index.rank(), Shape::max_rank);
  must_lie_within(index, x.shape()[axis]);
  Shape shape = x.shape().without(axis);
  for (int a = 0; a < index.rank(); ++a) shape = shape.inserted(axis + a, index.shape()[a]);
  Tensor y = empty(shape, x.dtype());
  const Around of(x.shape(), axis);
  launch(kernels::take, write<void>(y), read<void>(x), read<std::int64_t>(index), index.size(), of.outer, of.n,
         of.inner, size_of(x.dtype()));
  return y;
}

/// Adds slices to those of y at the positions.
void add_slices(Tensor& y, const Tensor& slices, const Tensor& index, int axis) {
  const Around of(y.shape(), axis);
  dispatch_floating(y.dtype(), [&]<class T>(T) {
    launch(kernels::add_at<T>, static_cast<T*>(writable(y)), read<T>(slices), read<std::int64_t>(index), index.size(),
           of.outer, of.n, of.inner);
  });
}

/// Slices put at their positions along an axis of n, added where positions repeat, else 0: what take's gradient is.
struct PlaceAt {
  static constexpr char name[] = "place_at", formula[] = "y[i] += x within zeros", rule[] = "∇x = g[i]",
                        operands[] = "x i";
  static constexpr Keep keep = Keep::second;
  int axis;
  std::int64_t n;

  Tensor run(const Tensor& x, const Tensor& index) const {
    Shape shape = x.shape();
    for (int a = 0; a < index.rank(); ++a) shape = shape.without(axis);
    Tensor y = zeros(shape.inserted(axis, n), x.dtype());
    add_slices(y, x, index, axis);
    return y;
  }
  Tensor dx(const Tensor& dy, const Tensor&, const Tensor& index) const { return take(dy, index, axis); }
  static constexpr auto gradients() { return std::tuple(&PlaceAt::dx, nullptr); }
};

struct Take {
  static constexpr char name[] = "take", formula[] = "x[i]", rule[] = "∇x[i] += g", operands[] = "x i";
  static constexpr Keep keep = Keep::second;
  int axis;

  Tensor run(const Tensor& x, const Tensor& index) const { return slices_at(x, index, axis); }
  Tensor dx(const Tensor& dy, const Tensor& x, const Tensor& index) const {
    return apply(PlaceAt{axis, x.shape()[axis]}, dy, index);
  }
  static constexpr auto gradients() { return std::tuple(&Take::dx, nullptr); }

  static constexpr int adds_to = 0;
  void add_gradient(Tensor& sum, const Tensor& dy, std::span<const Tensor> in) const {
    add_slices(sum, dy, in[1], axis);
  }
};

/// Rows of a table: index [...], w [rows, width] -> [..., width].
struct Embedding {
  static constexpr char name[] = "embedding", formula[] = "W[i]", rule[] = "∇W[i] += g", operands[] = "i W";
  static constexpr Keep keep = Keep::first;

  Tensor run(const Tensor& index, const Tensor& w) const {
    require(w.rank() == 2, "the weight must be [rows, width]");
    return slices_at(w, index, 0);
  }
  Tensor dw(const Tensor& dy, const Tensor& index, const Tensor& w) const {
    return apply(PlaceAt{0, w.shape()[0]}, dy, index);
  }
  static constexpr auto gradients() { return std::tuple(nullptr, &Embedding::dw); }

  static constexpr int adds_to = 1;
  void add_gradient(Tensor& sum, const Tensor& dy, std::span<const Tensor> in) const { add_slices(sum, dy, in[0], 0); }
};

}  // namespace

Tensor gather(const Tensor& x, const Tensor& index, int axis) {
  return asked_of(Gather::name, {&x, &index}, [&] { return apply(Gather{axis_of(x.shape(), axis)}, x, index); });
}

Tensor scatter_add(const Tensor& y, const Tensor& index, const Tensor& x, int axis) {
  return asked_of(ScatterAdd::name, {&y, &index, &x}, [&] {
    const DType type = promote(y.dtype(), x.dtype());
    return apply(ScatterAdd{axis_of(y.shape(), axis)}, y.to(type), index, x.to(type));
  });
}

Tensor take(const Tensor& x, const Tensor& index, int axis) {
  return asked_of(Take::name, {&x, &index}, [&] { return apply(Take{axis_of(x.shape(), axis)}, x, index); });
}

Tensor embedding(const Tensor& index, const Tensor& weight) {
  const bool turned = index.defined() && weight.defined() && index.dtype() != i64 && weight.dtype() == i64;
  return turned ? apply(Embedding{}, weight, index) : apply(Embedding{}, index, weight);
}

Tensor one_hot(const Tensor& labels, std::int64_t classes, DType dtype) {
  return asked_of("one_hot", {&labels}, [&] {
    require(labels.dtype() == i64, Complaint::dtype, "labels must be i64");
    require(classes >= 0, Complaint::usage, "the number of classes must not be negative, got {}", classes);
    const auto check = [](const std::int64_t* label, std::int64_t count, std::int64_t end) {
      for (std::int64_t k = 0; k < count; ++k)
        require(label[k] >= 0 && label[k] < end, Complaint::index, "label[{}] = {} is outside [0, {})", k, label[k],
                end);
    };
    launch(check, read<std::int64_t>(labels), labels.size(), classes);
    Tensor y = zeros(labels.shape().inserted(labels.rank(), classes), dtype);
    dispatch(dtype, [&]<class T>(T) {
      const auto mark = [](T* to, const std::int64_t* label, std::int64_t count, std::int64_t width) {
        for (std::int64_t k = 0; k < count; ++k) to[k * width + label[k]] = T(1);
      };
      launch(mark, write<T>(y), read<std::int64_t>(labels), labels.size(), classes);
    });
    mark_cut(y, Cut::whole, "one_hot", {&labels});
    return y;
  });
}

}  // namespace ebb
