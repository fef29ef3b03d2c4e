// Moving numbers about: to, detach, reshape, flatten, squeeze, unsqueeze, permute, transpose, broadcast_to, concat, stack,
// slice, split, pad, flip.
#include "../kernels/movement.h"

#include "../launch.h"
#include "../list.h"
#include "../ops.h"
#include "../require.h"

#include <algorithm>
#include <cmath>

namespace ebb {

using namespace detail;

namespace {

std::int64_t product(const Shape& s, int from, int to) {
  std::int64_t n = 1;
  for (int axis = from; axis < to; ++axis) n *= s[axis];
  return n;
}

/// How far apart the numbers along each axis lie.
std::array<std::int64_t, Shape::max_rank> strides(const Shape& s) {
  std::array<std::int64_t, Shape::max_rank> all{};
  std::int64_t step = 1;
  for (int axis = s.rank() - 1; axis >= 0; --axis) {
    all[std::size_t(axis)] = step;
    step *= s[axis];
  }
  return all;
}

using Strides = std::array<std::int64_t, Shape::max_rank>;

// A shape is handed on whole: its sizes alone would point to where it was.
void gather(void* y, const void* x, const Shape& shape, const Strides& stride, std::size_t width) {
  kernels::gather_strided(y, x, shape.sizes(), stride, width);
}
void scatter(void* y, const void* x, const Shape& shape, const Strides& stride, std::size_t width) {
  kernels::scatter_strided(y, x, shape.sizes(), stride, width);
}

struct Cast {
  static constexpr char name[] = "to", formula[] = "x as another type", rule[] = "∇x = g", operands[] = "x";
  static constexpr Keep keep = Keep::nothing;
  static constexpr bool by_element = true;
  DType type;

  Told tell() const { return {fmt::format("x as {}", to_string(type)), rule}; }

  Tensor run(const Tensor& x) const {
    Tensor y = empty(x.shape(), type);
    dispatch(x.dtype(), [&]<class From>(From) {
      dispatch(type, [&]<class To>(To) {
        if constexpr (std::is_floating_point_v<From> && std::is_integral_v<To>) {
          // Numbers without a place among the integers would be undefined to convert.
          const auto check = [](const From* v, std::int64_t n) {
            for (std::int64_t i = 0; i < n; ++i)
              require(std::abs(v[i]) < From(0x1p63), Complaint::dtype, "{} is no 64-bit integer", v[i]);
          };
          launch(check, read<From>(x), x.size());
        }
        launch_map(
            write<To>(y), x.size(), [](From v) { return static_cast<To>(v); }, read<From>(x));
      });
    });
    return y;
  }
  Tensor dx(const Tensor& dy, const Tensor& x) const { return dy.to(x.dtype()); }
  static constexpr auto gradients() { return std::tuple(&Cast::dx); }
};

struct Reshape {
  static constexpr char name[] = "reshape", formula[] = "x in another shape", rule[] = "∇x = g in x's shape",
                        operands[] = "x";
  static constexpr Keep keep = Keep::nothing;
  Shape shape;

  Tensor run(const Tensor& x) const { return view(x, shape); }
  Tensor dx(const Tensor& dy, const Tensor& x) const { return reshape(dy, x.shape()); }
  static constexpr auto gradients() { return std::tuple(&Reshape::dx); }
};

struct Permute {
  static constexpr char name[] = "permute", formula[] = "x, axes reordered", rule[] = "∇x = g, axes back",
                        operands[] = "x";
  static constexpr Keep keep = Keep::nothing;
  std::array<std::int8_t, Shape::max_rank> order{};

  Told tell() const {
    const bool of_matrix = order == std::array<std::int8_t, Shape::max_rank>{1, 0};  // with more axes no two are 0
    return of_matrix ? Told{"xᵀ", "∇x = gᵀ"} : Told{formula, rule};
  }
  Tensor run(const Tensor& x) const {
    const std::array<std::int64_t, Shape::max_rank> own = strides(x.shape());
    std::array<std::int64_t, Shape::max_rank> stride{}, sizes{};
    for (std::size_t i = 0; i < std::size_t(x.rank()); ++i) {
      stride[i] = own[std::size_t(order[i])];
      sizes[i] = x.shape()[order[i]];
    }
    Tensor y = empty(Shape(std::span<const std::int64_t>(sizes.data(), std::size_t(x.rank()))), x.dtype());
    launch(gather, write<void>(y), read<void>(x), y.shape(), stride, size_of(x.dtype()));
    return y;
  }
  Tensor dx(const Tensor& dy, const Tensor&) const {
    std::vector<int> back(std::size_t(dy.rank()));
    for (std::size_t i = 0; i < back.size(); ++i) back[std::size_t(order[i])] = static_cast<int>(i);
    return permute(dy, back);
  }
  static constexpr auto gradients() { return std::tuple(&Permute::dx); }
};

struct BroadcastTo {
  static constexpr char name[] = "broadcast_to", formula[] = "x, repeated", rule[] = "∇x = Σ g", operands[] = "x";
  static constexpr Keep keep = Keep::nothing;
  Shape shape;

  Tensor run(const Tensor& x) const {
    bool fits = x.rank() <= shape.rank();
    for (int i = 1; i <= x.rank() && fits; ++i) fits = x.shape()[-i] == 1 || x.shape()[-i] == shape[-i];
    if (!fits) require(false, "does not broadcast to {}; each axis must be equal or 1", to_string(shape));
    Tensor y = empty(shape, x.dtype());
    const kernels::Walk<1> walk(shape.sizes(), {x.shape().sizes()});
    dispatch(x.dtype(), [&]<class T>(T) {
      launch_map(
          write<T>(y), walk, [](T v) { return v; }, read<T>(x));
    });
    return y;
  }
  Tensor dx(const Tensor& dy, const Tensor& x) const { return sum_to(dy, x.shape()); }
  static constexpr auto gradients() { return std::tuple(&BroadcastTo::dx); }
};

/// "[:, 3:7]".
std::string part_text(std::int64_t begin, std::int64_t end, int axis) {
  std::string text = "[";
  for (int before = 0; before < axis; ++before) text += ":, ";
  return text + fmt::format("{}:{}]", begin, end);
}

struct Slice {
  static constexpr char name[] = "slice", formula[] = "x[i:j]", rule[] = "∇x[i:j] += g", operands[] = "x";
  static constexpr Keep keep = Keep::nothing;
  std::int64_t begin, end;
  int axis;

  Told tell() const {
    const std::string part = part_text(begin, end, axis);
    return {"x" + part, "∇x" + part + " += g"};
  }
  Tensor run(const Tensor& x) const {
    const Shape shape = x.shape().with(axis, end - begin);
    const std::int64_t outer = product(x.shape(), 0, axis), inner = product(x.shape(), axis + 1, x.rank());
    if (outer == 1) return view(x, shape, begin * inner);
    Tensor y = empty(shape, x.dtype());
    launch(kernels::copy_out, write<void>(y), read<void>(x), outer, end - begin, x.shape()[axis], begin, inner,
           size_of(x.dtype()));
    return y;
  }
  Tensor dx(const Tensor& dy, const Tensor& x) const;
  static constexpr auto gradients() { return std::tuple(&Slice::dx); }

  static constexpr int adds_to = 0;
  void add_gradient(Tensor& sum, const Tensor& dy, std::span<const Tensor>) const {
    const Shape whole = sum.shape();  // a copy: writable() may put another tensor in sum's place
    const std::int64_t inner = product(whole, axis + 1, whole.rank()), line = (end - begin) * inner;
    dispatch_floating(sum.dtype(), [&]<class T>(T) {
      launch(kernels::add_lines<T>, static_cast<T*>(writable(sum)) + begin * inner, read<T>(dy),
             product(whole, 0, axis), line, whole[axis] * inner);
    });
  }
};

/// g in its place within zeros of another size along one axis: what a slice's gradient is.
struct Place {
  static constexpr char name[] = "place", formula[] = "x within zeros", rule[] = "∇x = g[i:j]", operands[] = "x";
  static constexpr Keep keep = Keep::nothing;
  std::int64_t begin, total;
  int axis;

  Tensor run(const Tensor& x) const {
    Tensor y = zeros(x.shape().with(axis, total), x.dtype());
    launch(kernels::copy_in, write<void>(y), read<void>(x), product(x.shape(), 0, axis), x.shape()[axis], total, begin,
           product(x.shape(), axis + 1, x.rank()), size_of(x.dtype()));
    return y;
  }
  Tensor dx(const Tensor& dy, const Tensor& x) const { return slice(dy, begin, begin + x.shape()[axis], axis); }
  static constexpr auto gradients() { return std::tuple(&Place::dx); }
};

Tensor Slice::dx(const Tensor& dy, const Tensor& x) const { return apply(Place{begin, x.shape()[axis], axis}, dy); }

/// Numbers on all sides: [..., n, ...] -> [..., before + n + after, ...].
struct Pad {
  static constexpr char name[] = "pad", formula[] = "x within a frame", rule[] = "∇x = g within the frame",
                        operands[] = "x";
  static constexpr Keep keep = Keep::nothing;
  std::array<std::int64_t, Shape::max_rank> before{}, after{};
  double value;

  Tensor run(const Tensor& x) const {
    Shape shape = x.shape();
    for (int axis = 0; axis < x.rank(); ++axis)
      shape = shape.with(axis, before[std::size_t(axis)] + x.shape()[axis] + after[std::size_t(axis)]);
    Tensor y = full(shape, value, x.dtype());
    const std::array<std::int64_t, Shape::max_rank> stride = strides(shape);
    std::int64_t corner = 0;
    for (std::size_t axis = 0; axis < std::size_t(x.rank()); ++axis) corner += before[axis] * stride[axis];
    if (x.size() > 0)
      launch(scatter, write<std::byte>(y) + std::size_t(corner) * size_of(x.dtype()), read<void>(x), x.shape(), stride,
             size_of(x.dtype()));
    return y;
  }
  Tensor dx(const Tensor& dy, const Tensor& x) const {
    Tensor g = dy;
    for (int axis = 0; axis < x.rank(); ++axis) {
      const std::int64_t begin = before[std::size_t(axis)];
      if (dy.shape()[axis] != x.shape()[axis]) g = slice(g, begin, begin + x.shape()[axis], axis);
    }
    return g;
  }
  static constexpr auto gradients() { return std::tuple(&Pad::dx); }
};

struct Flip {
  static constexpr char name[] = "flip", formula[] = "x backwards", rule[] = "∇x = g backwards", operands[] = "x";
  static constexpr Keep keep = Keep::nothing;
  std::uint8_t axes;

  Tensor run(const Tensor& x) const {
    Tensor y = empty(x.shape(), x.dtype());
    std::array<std::int64_t, Shape::max_rank> stride = strides(x.shape());
    std::int64_t first = 0;
    for (int axis = 0; axis < x.rank(); ++axis) {
      if ((axes >> axis & 1) == 0) continue;
      first += (x.shape()[axis] - 1) * stride[std::size_t(axis)];
      stride[std::size_t(axis)] *= -1;
    }
    if (x.size() > 0)
      launch(gather, write<void>(y), read<std::byte>(x) + std::size_t(first) * size_of(x.dtype()), x.shape(), stride,
             size_of(x.dtype()));
    return y;
  }
  Tensor dx(const Tensor& dy, const Tensor&) const { return apply(*this, dy); }
  static constexpr auto gradients() { return std::tuple(&Flip::dx); }
};

struct Concat {
  static constexpr char name[] = "concat", formula[] = "[a, b, …]", rule[] = "∇a = g[a's part]   …",
                        operands[] = "a b c d";
  static constexpr Keep keep = Keep::nothing;
  int axis;

  Tensor run(std::span<const Tensor* const> parts) const {
    std::int64_t total = 0;
    const Shape& first = parts[0]->shape();
    for (std::size_t i = 0; i < parts.size(); ++i) {
      const Shape& s = parts[i]->shape();
      require(s.rank() == first.rank(), "part {} has rank {}, the first {}", i, s.rank(), first.rank());
      require(s.with(axis, 0) == first.with(axis, 0), "part {} and the first differ off axis {}", i, axis);
      total += s[axis];
    }
    Tensor y = empty(first.with(axis, total), parts[0]->dtype());
    const std::int64_t outer = product(first, 0, axis), inner = product(first, axis + 1, first.rank());
    std::int64_t at = 0;
    for (const Tensor* part : parts) {
      const std::int64_t n = part->shape()[axis];
      launch(kernels::copy_in, write<void>(y), read<void>(*part), outer, n, total, at, inner, size_of(y.dtype()));
      at += n;
    }
    return y;
  }
  Tensor gradient(int i, const Tensor& dy, std::span<const Tensor> parts, const Tensor&) const {
    std::int64_t begin = 0;
    for (int before = 0; before < i; ++before) begin += parts[std::size_t(before)].shape()[axis];
    return slice(dy, begin, begin + parts[std::size_t(i)].shape()[axis], axis);
  }
};

std::vector<const Tensor*> pointers(const std::vector<Tensor>& parts) {
  std::vector<const Tensor*> all;
  for (const Tensor& part : parts) all.push_back(&part);
  return all;
}

/// Whether there is room for a new axis, so that it stands at `axis`.
void must_take_axis(const Tensor& x, int axis) {
  require(axis >= -x.rank() - 1 && axis <= x.rank(), Complaint::index, "a new axis can stand at {} to {}, not at {}",
          -x.rank() - 1, x.rank(), axis);
  require(x.rank() < Shape::max_rank, "a tensor has at most {} axes", Shape::max_rank);
}

/// Parts in the type that they all promote to.
std::vector<Tensor> alike(const char* name, const std::vector<Tensor>& parts) {
  if (parts.empty()) throw ShapeError(fmt::format("{}(): there is nothing to join{}", name, where_in_model()));
  DType type = i64;
  for (std::size_t i = 0; i < parts.size(); ++i) {
    if (!parts[i].defined()) undefined_operand(name, static_cast<int>(i));
    type = promote(type, parts[i].dtype());
  }
  std::vector<Tensor> all;
  for (const Tensor& part : parts) all.push_back(part.to(type));
  return all;
}

}  // namespace

Tensor Tensor::to(DType dtype) const {
  if (!defined()) undefined_operand("to", 0);
  if (dtype == this->dtype()) return *this;
  return apply(Cast{dtype}, *this);
}

Tensor detach(const Tensor& x) {
  if (!x.defined()) undefined_operand("detach", 0);
  Tensor y = view(x, x.shape());
  mark_cut(y, Cut::detached, "detach", {&x});
  return y;
}
Scalar detach(const Scalar& x) {
  const auto cut = open_list == nullptr ? 0 : open_list->cut(Cut::detached, "detach", Access::place(x));
  return Access::scalar(Access::value(x), cut);
}

bool made_by(const Tensor& t, std::string_view op) {
  List* const list = recording_list();
  if (list == nullptr || !t.defined() || impl(t).graph != list->graph()) return false;
  const TensorNode& node = list->tensor(impl(t).node);
  // An op of the user's may bear any name, and can be told by its compose().
  return node.op != nullptr && node.op->name == op && node.count == 1 && node.op->compose == nullptr;
}

Tensor input_of(const Tensor& t, std::string_view op) {
  if (!made_by(t, op)) return {};
  List* const list = recording_list();
  const TensorNode& node = list->tensor(impl(t).node);
  // Its numbers are needed again: only a node that still holds them can give them.
  const TensorNode& input = list->tensor(node.input[0]);
  if (input.output != nullptr) return share(input.output);
  return node.kept != nullptr && node.kept[0] != nullptr ? share(node.kept[0]) : Tensor();
}

Shape NewShape::of(std::int64_t elements) const {
  require(count_ <= sizes_.size(), "{} axes are more than the {} that a tensor can have", count_, sizes_.size());
  std::array<std::int64_t, Shape::max_rank> sizes = sizes_;
  const auto text = [&] { return fmt::format("[{}]", fmt::join(sizes_.begin(), sizes_.begin() + count_, ", ")); };
  std::int64_t known = 1;
  std::optional<std::size_t> open;
  for (std::size_t i = 0; i < count_; ++i) {
    if (sizes[i] == -1) {
      require(!open, "only one size can be -1");
      open = i;
      continue;
    }
    require(sizes[i] >= 0, "a size must not be negative, got {}", sizes[i]);
    if (__builtin_mul_overflow(known, sizes[i], &known))
      require(false, "{} has more elements than can be counted", text());
  }
  const bool fits = open ? known > 0 && elements % known == 0 : known == elements;
  if (!fits) require(false, "{} elements do not fill {}", elements, text());
  if (open) sizes[*open] = elements / known;
  return Shape(std::span<const std::int64_t>(sizes.data(), count_));
}

Tensor reshape(const Tensor& x, const NewShape& shape) {
  return asked_of(Reshape::name, {&x}, [&] {
    const Shape wanted = shape.of(x.size());
    return x.shape() == wanted ? x : apply(Reshape{wanted}, x);
  });
}

Tensor flatten(const Tensor& x, int axis) {
  return asked_of("flatten", {&x}, [&] {
    if (x.rank() == 0) return reshape(x, Shape{1});
    const int from = axis_of(x.shape(), axis);
    Shape shape;
    for (int a = 0; a < from; ++a) shape = shape.inserted(a, x.shape()[a]);
    return reshape(x, shape.inserted(from, product(x.shape(), from, x.rank())));
  });
}

Tensor squeeze(const Tensor& x, std::optional<int> axis) {
  return asked_of("squeeze", {&x}, [&] {
    Shape shape = x.shape();
    if (axis) {
      const int a = axis_of(shape, *axis);
      require(shape[a] == 1, "axis {} has size {}, not 1", *axis, shape[a]);
      shape = shape.without(a);
    } else {
      for (int a = shape.rank() - 1; a >= 0; --a)
        if (shape[a] == 1) shape = shape.without(a);
    }
    return reshape(x, shape);
  });
}

Tensor unsqueeze(const Tensor& x, int axis) {
  return asked_of("unsqueeze", {&x}, [&] {
    must_take_axis(x, axis);
    return reshape(x, x.shape().inserted(axis, 1));
  });
}

Tensor permute(const Tensor& x, const std::vector<int>& order) {
  return asked_of("permute", {&x}, [&] {
    require(static_cast<int>(order.size()) == x.rank(), "the order [{}] names {} of {} axes", fmt::join(order, ", "),
            order.size(), x.rank());
    Permute op;
    std::array<bool, Shape::max_rank> named{};
    for (std::size_t i = 0; i < order.size(); ++i) {
      const int axis = axis_of(x.shape(), order[i]);
      require(!named[std::size_t(axis)], "axis {} is named twice", order[i]);
      named[std::size_t(axis)] = true;
      op.order[i] = static_cast<std::int8_t>(axis);
    }
    return apply(op, x);
  });
}

Tensor transpose(const Tensor& x, int a, int b) {
  return asked_of("transpose", {&x}, [&] {
    std::vector<int> order(std::size_t(x.rank()));
    for (std::size_t i = 0; i < order.size(); ++i) order[i] = static_cast<int>(i);
    std::swap(order[std::size_t(axis_of(x.shape(), a))], order[std::size_t(axis_of(x.shape(), b))]);
    return permute(x, order);
  });
}

Tensor broadcast_to(const Tensor& x, const Shape& shape) {
  if (x.defined() && x.shape() == shape) return x;
  return apply(BroadcastTo{shape}, x);
}

Tensor concat(const std::vector<Tensor>& parts, int axis) {
  const Attempt attempt;
  const std::vector<Tensor> same = alike(Concat::name, parts);
  const std::vector<const Tensor*> in = pointers(same);
  const int n = static_cast<int>(in.size());
  Concat op{axis};
  const OpInfo& info = op_info<Concat>;
  try {
    op.axis = axis_of(same[0].shape(), axis);
  } catch (const Complaint& why) {
    refuse(why, Concat::name, in.data(), n);
  }
  return apply_all(info, op, in.data(), n, [&] { return op.run(in); });
}

Tensor stack(const std::vector<Tensor>& parts, int axis) {
  const Attempt attempt;
  const std::vector<Tensor> same = alike("stack", parts);
  const std::vector<const Tensor*> in = pointers(same);
  std::vector<Tensor> raised;
  try {
    for (std::size_t i = 0; i < same.size(); ++i) {
      require(same[i].shape() == same[0].shape(), "part {} has another shape than the first", i);
      must_take_axis(same[i], axis);
      raised.push_back(unsqueeze(same[i], axis));
    }
  } catch (const Complaint& why) {
    refuse(why, "stack", in.data(), static_cast<int>(in.size()));
  }
  return concat(raised, axis < 0 ? axis + raised[0].rank() : axis);
}

Tensor stack(const std::vector<Scalar>& parts, DType dtype) {
  return from_scalars(parts, {static_cast<std::int64_t>(parts.size())}, dtype);
}

Tensor slice(const Tensor& x, std::int64_t begin, std::int64_t end, int axis) {
  return asked_of(Slice::name, {&x}, [&] {
    const int a = axis_of(x.shape(), axis);
    const std::int64_t n = x.shape()[a], from = begin < 0 ? begin + n : begin, to = end < 0 ? end + n : end;
    require(0 <= from && from <= n && 0 <= to && to <= n, Complaint::index,
            "positions {} to {} are outside axis {} of size {}", begin, end, axis, n);
    require(from <= to, Complaint::index, "positions {} to {} run backwards", begin, end);
    return apply(Slice{from, to, a}, x);
  });
}

std::vector<Tensor> split(const Tensor& x, std::int64_t size, int axis) {
  return asked_of("split", {&x}, [&] {
    require(size > 0, Complaint::usage, "the size of a piece must be positive, got {}", size);
    const int a = axis_of(x.shape(), axis);
    const std::int64_t n = x.shape()[a];
    std::vector<Tensor> pieces{slice(x, 0, std::min(size, n), a)};
    for (std::int64_t at = size; at < n; at += std::min(size, n - at))
      pieces.push_back(slice(x, at, at + std::min(size, n - at), a));
    return pieces;
  });
}

std::vector<Tensor> split(const Tensor& x, const std::vector<std::int64_t>& sizes, int axis) {
  return asked_of("split", {&x}, [&] {
    const int a = axis_of(x.shape(), axis);
    std::int64_t left = x.shape()[a];
    for (std::size_t i = 0; i < sizes.size(); ++i) {
      require(sizes[i] >= 0, "the size of piece {} must not be negative, got {}", i, sizes[i]);
      require(sizes[i] <= left, "piece {} of size {} does not fit into what is left of axis {}, {}", i, sizes[i], axis,
              left);
      left -= sizes[i];
    }
    require(left == 0, "the pieces leave {} of the {} positions on axis {}", left, x.shape()[a], axis);
    std::vector<Tensor> pieces;
    std::int64_t at = 0;
    for (const std::int64_t size : sizes) {
      pieces.push_back(slice(x, at, at + size, a));
      at += size;
    }
    return pieces;
  });
}

Tensor pad(const Tensor& x, const std::vector<std::pair<std::int64_t, std::int64_t>>& widths, double value) {
  return asked_of(Pad::name, {&x}, [&] {
    require(widths.size() <= std::size_t(x.rank()), "there are widths for {} axes, the tensor has {}", widths.size(),
            x.rank());
    if (x.dtype() == i64 && !is_whole(value))
      throw Complaint{Complaint::dtype, fmt::format("{} does not fit an i64 tensor", value), "to(f32)"};
    Pad op{{}, {}, value};
    const std::size_t first = std::size_t(x.rank()) - widths.size();
    for (std::size_t i = 0; i < widths.size(); ++i) {
      const auto [before, after] = widths[i];
      const std::int64_t n = x.shape()[static_cast<int>(first + i)];
      require(before >= 0 && after >= 0, Complaint::usage, "widths must not be negative, got {{{}, {}}}", before,
              after);
      std::int64_t total = 0;
      require(!__builtin_add_overflow(before, after, &total) && !__builtin_add_overflow(total, n, &total),
              "the widths {{{}, {}}} are more than can be counted", before, after);
      op.before[first + i] = before;
      op.after[first + i] = after;
    }
    return apply(op, x);
  });
}

Tensor flip(const Tensor& x, const Axes& axes) {
  return apply(Flip{asked_of(Flip::name, {&x}, [&] { return axes_of(x.shape(), axes); })}, x);
}

}  // namespace ebb
