#include "tensor.h"

#include "error.h"
#include "launch.h"
#include "list.h"
#include "memory.h"
#include "op.h"
#include "ops.h"
#include "require.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <new>
#include <ostream>

namespace ebb {

using namespace detail;

// ---- handles and heads -----------------------------------------------------------------------------------------

constinit thread_local std::uint64_t detail::numbers_read EBB_FAST_THREAD_LOCAL = 0;

namespace {

constexpr std::size_t head_bytes = (sizeof(TensorImpl) + 63) / 64 * 64;

void note_reading(const TensorImpl& head) {
  if (capturing != nullptr) [[unlikely]]
    note_number_read(head);
  if (recorded_in(head.graph)) ++numbers_read;
}

}  // namespace

namespace detail {

void holds_nothing(const char* asked) {
  throw UsageError(fmt::format("{}: the tensor holds nothing: it was made without a value", asked));
}

namespace {

Tensor made(void* block, std::uint8_t bucket, const Shape& shape, DType dtype, bool captured = false) {
  void* const data = static_cast<std::byte*>(block) + head_bytes;
  return Access::tensor(
      ::new (block) TensorImpl{.dtype = dtype, .bucket = bucket, .captured = captured, .data = data, .shape = shape});
}

[[gnu::noinline]] Tensor empty_elsewhere(const Shape& shape, DType dtype) {
  std::uint8_t bucket = 0;
  const std::size_t bytes = static_cast<std::size_t>(shape.size()) * size_of(dtype);
  const bool captured = capturing != nullptr;
  void* const block =
      captured ? take_captured_block(head_bytes + bytes, bucket) : take_block(head_bytes + bytes, bucket);
  if (block == nullptr) {
    throw UsageError(fmt::format("there is no memory for {} {}: {} bytes{}", to_string(dtype), to_string(shape), bytes,
                                 where_in_model()));
  }
  return made(block, bucket, shape, dtype, captured);
}

}  // namespace

Tensor empty(const Shape& shape, DType dtype) {
  std::uint8_t bucket = 0;
  if (capturing == nullptr) [[likely]]
    if (void* const block =
            take_idle_block(head_bytes + static_cast<std::size_t>(shape.size()) * size_of(dtype), bucket);
        block != nullptr) [[likely]]
      return made(block, bucket, shape, dtype);
  return empty_elsewhere(shape, dtype);
}

Tensor view(const Tensor& x, const Shape& shape, std::int64_t offset) {
  TensorImpl* const base = Access::impl(x);
  TensorImpl* const owner = base->owner != nullptr ? base->owner : base;
  std::uint8_t bucket = 0;
  const bool captured = capturing != nullptr;
  void* const block = captured ? take_captured_block(head_bytes, bucket) : take_block(head_bytes, bucket);
  if (block == nullptr) throw std::bad_alloc();
  void* const data = static_cast<std::byte*>(base->data) + static_cast<std::size_t>(offset) * size_of(base->dtype);
  owner->refs.fetch_add(1, std::memory_order_relaxed);
  return Access::tensor(::new (block) TensorImpl{
      .dtype = base->dtype, .bucket = bucket, .captured = captured, .data = data, .owner = owner, .shape = shape});
}

void* own_buffer(Tensor& t) {
  const TensorImpl& head = impl(t);
  if (head.refs.load(std::memory_order_acquire) != 1 || head.owner != nullptr || head.graph != 0) {
    Tensor own = empty(head.shape, head.dtype);
    launch(std::memcpy, impl(own).data, head.data, static_cast<std::size_t>(head.shape.size()) * size_of(head.dtype));
    t = std::move(own);
  } else if (!head.captured) {
    cannot_replay("changes numbers in place");
  }
  return impl(t).data;
}

double root_mean_square(const Tensor& t) {
  if (t.size() == 0) return 0;
  return dispatch(t.dtype(), [&]<class T>(T) {
    const T* const x = read<T>(t);
    double sum = 0;
    for (std::int64_t i = 0; i < t.size(); ++i) sum += static_cast<double>(x[i]) * static_cast<double>(x[i]);
    return std::sqrt(sum / static_cast<double>(t.size()));
  });
}

}  // namespace detail

namespace {

[[gnu::noinline]] void release_elsewhere(TensorImpl* last) noexcept {
  TensorImpl* const owner = last->owner;
  if (last->captured) [[unlikely]]
    give_captured_block(last, last->bucket);
  else give_block(last, last->bucket);
  if (owner != nullptr) Access::tensor(owner);  // one step down: an owner views nobody
}

}  // namespace

void Tensor::release(TensorImpl* last) noexcept {
  const bool plain = last->owner == nullptr && !last->captured;
  if (!plain || !give_idle_block(last, last->bucket)) release_elsewhere(last);
}

double Tensor::item() const {
  if (whole("item()").shape.size() != 1)
    throw ShapeError(fmt::format("item(): the tensor has shape {}; only a single number is one item{}",
                                 to_string(shape()), where_in_model()));
  note_reading(impl(*this));
  return dispatch(dtype(), [&]<class T>(T) { return static_cast<double>(*read<T>(*this)); });
}

template <class T> Elements<T> Tensor::data() const {
  if (whole("data()").dtype != dtype_of<T>) {
    throw DTypeError(fmt::format("data<{0}>(): the tensor {1} is {2}\n  help: to({0}) first, or to_vector",
                                 to_string(dtype_of<T>), to_string(shape()), to_string(dtype())));
  }
  note_reading(impl(*this));
  return {read<T>(*this), static_cast<std::size_t>(size())};
}

template <class T> std::vector<T> Tensor::to_vector() const {
  note_reading(whole("to_vector()"));
  return dispatch(dtype(), [&]<class U>(U) {
    const U* const x = read<U>(*this);
    std::vector<T> copy(static_cast<std::size_t>(size()));
    std::transform(x, x + size(), copy.begin(), [](U v) { return static_cast<T>(v); });
    return copy;
  });
}

template Elements<float> Tensor::data<float>() const;
template Elements<double> Tensor::data<double>() const;
template Elements<std::int64_t> Tensor::data<std::int64_t>() const;
template std::vector<float> Tensor::to_vector<float>() const;
template std::vector<double> Tensor::to_vector<double>() const;
template std::vector<std::int64_t> Tensor::to_vector<std::int64_t>() const;

std::string Tensor::name() const {
  const TensorImpl& head = whole("name()");
  return head.graph != 0 && open_list != nullptr && head.graph == open_list->graph() ? open_list->name_of(head.node)
                                                                                     : "";
}

Scalar Tensor::element(const std::int64_t* index, int count) const {
  const Shape& s = whole("t(i, ...)").shape;
  const auto asked = [&] { return fmt::format("t({}) of {}", fmt::join(index, index + count, ", "), to_string(s)); };
  if (count != s.rank())
    throw IndexError(
        fmt::format("{}: there must be {} indices, one for each axis{}", asked(), s.rank(), where_in_model()));
  std::int64_t place = 0;
  for (int axis = 0; axis < count; ++axis) {
    const std::int64_t i = index[axis] < 0 ? index[axis] + s[axis] : index[axis];
    if (i < 0 || i >= s[axis])
      throw IndexError(fmt::format("{}: index {} is outside axis {} of size {}{}", asked(), index[axis], axis, s[axis],
                                   where_in_model()));
    place = place * s[axis] + i;
  }
  return element_of(*this, place);
}

Tensor Tensor::operator[](std::int64_t i) const {
  const Shape& s = whole("t[i]").shape;
  if (s.rank() == 0)
    throw IndexError(fmt::format("t[{}]: a single number has no axis to index{}", i, where_in_model()));
  const std::int64_t at = i < 0 ? i + s[0] : i;
  if (at < 0 || at >= s[0])
    throw IndexError(fmt::format("t[{}] of {}: index {} is outside axis 0 of size {}{}", i, to_string(s), i, s[0],
                                 where_in_model()));
  return reshape(slice(*this, at, at + 1), s.without(0));
}

// ---- making them -----------------------------------------------------------------------------------------------

Tensor full(const Shape& shape, double value, DType dtype) {
  if (dtype == i64 && !is_whole(value))
    throw DTypeError(fmt::format("full({}, {}, i64): whole numbers only", to_string(shape), value));
  Tensor t = empty(shape, dtype);
  dispatch(dtype, [&]<class T>(T) {
    const auto fill = [](T* to, std::int64_t n, T with) {
      if (n > 0 && with == 0 && !std::signbit(static_cast<double>(with)))
        std::memset(to, 0, static_cast<std::size_t>(n) * sizeof(T));
      else std::fill_n(to, n, with);
    };
    launch(fill, write<T>(t), shape.size(), static_cast<T>(value));
  });
  return t;
}

Tensor zeros(const Shape& shape, DType dtype) { return full(shape, 0, dtype); }
Tensor ones(const Shape& shape, DType dtype) { return full(shape, 1, dtype); }
Tensor zeros_like(const Tensor& x) { return zeros(x.shape(), x.dtype()); }
Scalar zeros_like(const Scalar&) { return 0; }

namespace {
void must_count(const char* asked, std::int64_t n) {
  if (n < 0) throw ShapeError(fmt::format("{}: the number of elements must not be negative, got {}", asked, n));
}
}  // namespace

Tensor eye(std::int64_t n, DType dtype) {
  must_count("eye()", n);
  Tensor t = zeros({n, n}, dtype);
  dispatch(dtype, [&]<class T>(T) {
    const auto diagonal = [](T* to, std::int64_t size) {
      for (std::int64_t i = 0; i < size; ++i) to[i * size + i] = T(1);
    };
    launch(diagonal, write<T>(t), n);
  });
  return t;
}

Tensor arange(std::int64_t n, DType dtype) {
  must_count("arange()", n);
  Tensor t = empty({n}, dtype);
  dispatch(dtype, [&]<class T>(T) {
    const auto count = [](T* to, std::int64_t size) {
      for (std::int64_t i = 0; i < size; ++i) to[i] = static_cast<T>(i);
    };
    launch(count, write<T>(t), n);
  });
  return t;
}

Tensor linspace(double a, double b, std::int64_t n, DType dtype) {
  if (dtype == i64) throw DTypeError("linspace(..., i64): evenly spaced numbers are seldom whole; use f32 or f64");
  must_count("linspace()", n);
  Tensor t = empty({n}, dtype);
  dispatch_floating(dtype, [&]<class T>(T) {
    const auto space = [](T* to, std::int64_t size, double first, double end) {
      const auto last = static_cast<double>(size - 1);
      for (std::int64_t i = 0; i < size; ++i)
        to[i] = static_cast<T>(size == 1       ? first
                               : i == size - 1 ? end
                                               : first + (end - first) * (static_cast<double>(i) / last));
    };
    launch(space, write<T>(t), n, a, b);
  });
  return t;
}

template <class T>
requires ElementType<T> Tensor from(std::span<const T> values, const Shape& shape) {
  if (static_cast<std::int64_t>(values.size()) != shape.size())
    throw ShapeError(fmt::format("from(): {} values do not fill shape {} of {} elements", values.size(),
                                 to_string(shape), shape.size()));
  cannot_replay("makes a tensor out of C++ numbers with from(), which may be others at each call");
  Tensor t = empty(shape, dtype_of<T>);
  std::copy(values.begin(), values.end(), write<T>(t));
  return t;
}
template Tensor from(std::span<const float>, const Shape&);
template Tensor from(std::span<const double>, const Shape&);
template Tensor from(std::span<const std::int64_t>, const Shape&);

namespace {

void measure(const Nested& nested, std::vector<std::int64_t>& sizes, std::size_t level) {
  if (nested.leaf) {
    if (level != sizes.size()) throw ShapeError("tensor({...}): numbers and braces stand side by side");
    return;
  }
  if (level == 4) throw ShapeError("tensor({...}): more than 4 levels of braces; use from(values, shape)");
  const auto n = static_cast<std::int64_t>(nested.items.size());
  if (level == sizes.size()) sizes.push_back(n);
  if (sizes[level] != n)
    throw ShapeError(fmt::format("tensor({{...}}): rows of one level differ in length, {} and {}", sizes[level], n));
  bool first = true;
  for (const Nested& item : nested.items) {
    if (!first && item.leaf != nested.items.front().leaf)
      throw ShapeError("tensor({...}): numbers and braces stand side by side");
    measure(item, sizes, level + 1);
    first = false;
  }
}

void pour(const Nested& nested, std::vector<const Nested*>& numbers) {
  if (nested.leaf) numbers.push_back(&nested);
  for (const Nested& item : nested.items) pour(item, numbers);
}

}  // namespace

Tensor tensor(std::initializer_list<Nested> values, DType dtype) {
  const Nested root(values);
  std::vector<std::int64_t> sizes;
  measure(root, sizes, 0);
  std::vector<const Nested*> numbers;
  pour(root, numbers);
  const Uncaptured constant;
  Tensor t = empty(Shape(std::span<const std::int64_t>(sizes)), dtype);
  dispatch(dtype, [&]<class T>(T) {
    for (std::size_t i = 0; i < numbers.size(); ++i) {
      const Nested& given = *numbers[i];
      if (dtype == i64 && !given.whole && !is_whole(given.number))
        throw DTypeError(fmt::format("tensor({{...}}, i64): {} is no whole number", given.number));
      write<T>(t)[i] = given.whole ? static_cast<T>(given.integer) : static_cast<T>(given.number);
    }
  });
  return t;
}

// ---- printing --------------------------------------------------------------------------------------------------

namespace {

constexpr std::int64_t shown_at_an_end = 3;

std::string number_text(double v, DType dtype) {
  return dtype == i64 ? fmt::format("{}", static_cast<std::int64_t>(v))
                      : fmt::format("{:.{}g}", v, dtype == f32 ? 6 : 10);
}

void print(const Tensor& t, int axis, std::int64_t place, std::string& out) {
  if (axis == t.rank()) {
    dispatch(t.dtype(), [&]<class T>(T) {
      if constexpr (std::is_integral_v<T>) out += std::to_string(read<T>(t)[place]);
      else out += number_text(static_cast<double>(read<T>(t)[place]), t.dtype());
    });
    return;
  }
  const std::int64_t n = t.shape()[axis];
  out += '[';
  for (std::int64_t i = 0; i < n; ++i) {
    if (i > 0) out += axis == t.rank() - 1 ? std::string(", ") : fmt::format(",\n{:{}}", "", axis + 1);
    if (n > 4 * shown_at_an_end && i == shown_at_an_end) {
      out += "...";
      i = n - shown_at_an_end - 1;
      continue;
    }
    print(t, axis + 1, place * n + i, out);
  }
  out += ']';
}

}  // namespace

std::string to_string(const Tensor& t) {
  if (!t.defined()) return "no tensor";
  if (capturing != nullptr) note_number_read(impl(t));
  std::string out;
  print(t, 0, 0, out);
  return fmt::format("{}  {} {}", out, to_string(t.dtype()), to_string(t.shape()));
}

std::ostream& operator<<(std::ostream& out, const Tensor& t) { return out << to_string(t); }
std::ostream& operator<<(std::ostream& out, DType d) { return out << to_string(d); }
std::ostream& operator<<(std::ostream& out, const Scalar& s) { return out << s.value(); }

}  // namespace ebb
