// Tensor: an immutable array of numbers, held by a cheap handle.
#pragma once

#include "dtype.h"
#include "shape.h"

#include <atomic>
#include <concepts>
#include <initializer_list>
#include <iosfwd>
#include <ranges>
#include <span>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

namespace ebb {

class Scalar;

namespace detail {

struct Access;

/// A tensor's head; its numbers lie behind it in the same block, or in the block of the owner that it views.
struct alignas(64) TensorImpl {
  std::atomic<std::uint32_t> refs{1};
  DType dtype = f32;
  std::uint8_t bucket = 0;             // of the pool
  bool captured = false;               // made while replay() recorded
  std::uint32_t node = 0, graph = 0;   // where it is recorded; 0: a constant
  std::atomic<std::uint64_t> leaf{0};  // of a constant: graph << 32 | node of its leaf in the graph that met it last
  void* data = nullptr;
  TensorImpl* owner = nullptr;
  Shape shape;
};

/// Throws UsageError: a tensor that holds nothing was asked.
[[noreturn]] void holds_nothing(const char* asked);

}  // namespace detail

/// How backward() leaves the graph.
struct BackwardOptions {
  bool retain = false;  ///< keep what backward needs, so that it can run again
};

/// A tensor's numbers in row-major order: a span that is also a pointer.  Valid while a handle of the tensor lives.
template <class T> class Elements {
 public:
  Elements(const T* data, std::size_t size) : data_(data), size_(size) {}
  const T* data() const { return data_; }
  std::size_t size() const { return size_; }
  bool empty() const { return size_ == 0; }
  const T* begin() const { return data_; }
  const T* end() const { return data_ + size_; }
  template <std::integral I> const T& operator[](I i) const { return data_[i]; }
  operator const T*() const { return data_; }
  operator std::span<const T>() const { return {data_, size_}; }

 private:
  const T* data_;
  std::size_t size_;
};

/// An immutable array of f32, f64 or i64 numbers in row-major order; copying a Tensor copies a handle.
/// A default-made Tensor holds nothing: defined() is false, and every other call throws UsageError.
class Tensor {
 public:
  Tensor() = default;
  Tensor(const Tensor& other) noexcept : impl_(other.impl_) {
    if (impl_ != nullptr) impl_->refs.fetch_add(1, std::memory_order_relaxed);
  }
  Tensor(Tensor&& other) noexcept : impl_(std::exchange(other.impl_, nullptr)) {}
  Tensor& operator=(const Tensor& other) noexcept {
    Tensor copy(other);
    return *this = std::move(copy);
  }
  Tensor& operator=(Tensor&& other) noexcept {
    std::swap(impl_, other.impl_);
    return *this;
  }
  ~Tensor() {
    // Who holds the only handle needs no locked instruction to see that: nobody else can make another.
    if (impl_ != nullptr && (impl_->refs.load(std::memory_order_acquire) == 1 ||
                             impl_->refs.fetch_sub(1, std::memory_order_acq_rel) == 1))
      release(impl_);
  }

  bool defined() const { return impl_ != nullptr; }
  const Shape& shape() const { return whole("shape()").shape; }
  int rank() const { return shape().rank(); }
  std::int64_t size() const { return shape().size(); }
  DType dtype() const { return whole("dtype()").dtype; }

  /// The only element, as a double.  Throws ShapeError if there is not exactly one.
  double item() const;
  /// Whether the only element is not 0, as in if (loss < 0.1).  Throws ShapeError if there is not exactly one.
  explicit operator bool() const { return item() != 0; }
  /// The numbers where they lie.  T must be the tensor's own type: float, double or std::int64_t.  Throws DTypeError.
  template <class T> Elements<T> data() const;
  /// A copy of the numbers, converted to T.
  template <class T> std::vector<T> to_vector() const;
  /// The same numbers in another type; gradients pass through between floating types.
  Tensor to(DType dtype) const;
  /// The name given to graph.variable(), or the parameter's; empty if it has none or its graph is closed.
  std::string name() const;

  /// The i-th slice along the first axis, without copying; a negative i counts from the end.  Throws IndexError.
  Tensor operator[](std::int64_t i) const;
  /// One element as a Scalar, recorded: gradients pass back into the tensor.  Throws IndexError.  (Body in scalar.h.)
  template <std::integral... I> Scalar operator()(I... i) const;

  /// The gradient that the last backward() left here: of a variable always, of another value if the graph observes.
  /// Same shape as the value; zeros if the loss does not depend on it.  Throws GraphError if there is none to give.
  Tensor grad() const;
  /// Fills the gradients of all that this single number depends on: variables' are set, parameters' are added to.
  /// Throws GraphError if it was not recorded, holds more than one element, or its graph is closed or used up.
  void backward(const BackwardOptions& options = {}) const;

 private:
  friend struct detail::Access;
  explicit Tensor(detail::TensorImpl* owned) noexcept : impl_(owned) {}
  static void release(detail::TensorImpl* last) noexcept;
  const detail::TensorImpl& whole(const char* asked) const {
    if (impl_ == nullptr) [[unlikely]]
      detail::holds_nothing(asked);
    return *impl_;
  }
  Scalar element(const std::int64_t* index, int count) const;

  detail::TensorImpl* impl_ = nullptr;
};

/// Prints the numbers in nested brackets, long axes shortened, and the shape and type behind.
std::ostream& operator<<(std::ostream& out, const Tensor& t);
std::string to_string(const Tensor& t);

namespace detail {

template <class T>
concept ElementType = std::same_as<T, float> || std::same_as<T, double> || std::same_as<T, std::int64_t>;

/// Nested braces of numbers, up to rank 4.
struct Nested {
  template <class T>
  requires std::is_arithmetic_v<T> Nested(T v) : number(static_cast<double>(v)) {
    if constexpr (std::is_integral_v<T>) {
      whole = std::in_range<std::int64_t>(v);
      if (whole) integer = static_cast<std::int64_t>(v);
    }
  }
  Nested(std::initializer_list<Nested> list) : items(list.begin(), list.end()), leaf(false) {}
  double number = 0;
  std::int64_t integer = 0;  // if `whole`: exact where a double is not
  bool whole = false;
  std::vector<Nested> items;
  bool leaf = true;
};
}  // namespace detail

/// A copy of `values` in the given shape.  Throws ShapeError if the count differs.
template <class T>
requires detail::ElementType<T> Tensor from(std::span<const T> values, const Shape& shape);
/// The same of a vector, array or span of float, double or std::int64_t.
template <std::ranges::contiguous_range R>
requires detail::ElementType<std::ranges::range_value_t<R>> Tensor from(const R& values, const Shape& shape) {
  return from(std::span<const std::ranges::range_value_t<R>>(std::ranges::data(values), std::ranges::size(values)),
              shape);
}

Tensor zeros(const Shape& shape, DType dtype = f32);
Tensor ones(const Shape& shape, DType dtype = f32);
Tensor full(const Shape& shape, double value, DType dtype = f32);
/// A tensor from a number or nested braces of numbers: tensor({{1, 2}, {3, 4}}) has shape [2, 2].
/// Throws ShapeError if the rows differ in length or there are more than 4 levels.
template <class T>
requires std::is_arithmetic_v<T> Tensor tensor(T value, DType dtype = f32) {
  return full({}, static_cast<double>(value), dtype);
}
Tensor tensor(std::initializer_list<detail::Nested> values, DType dtype = f32);

/// The n by n identity matrix.
Tensor eye(std::int64_t n, DType dtype = f32);
/// 0, 1, ..., n - 1.
Tensor arange(std::int64_t n, DType dtype = i64);
/// n evenly spaced numbers from a to b, both included.
Tensor linspace(double a, double b, std::int64_t n, DType dtype = f32);

}  // namespace ebb
