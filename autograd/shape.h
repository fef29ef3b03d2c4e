// The sizes of a tensor's axes.
#pragma once

#include "kernels/walk.h"

#include <array>
#include <concepts>
#include <cstdint>
#include <initializer_list>
#include <span>
#include <string>
#include <utility>

namespace ebb {

namespace detail {
/// A whole number of any type, so that {v.size(), 3} is a shape too.
struct Size {
  template <std::integral I> constexpr Size(I n)
      : value(std::in_range<std::int64_t>(n) ? static_cast<std::int64_t>(n) : -2) {}
  std::int64_t value;
};
}  // namespace detail

/// The sizes of a tensor's axes, outermost first; rank 0 is a single number.
/// Throws ShapeError for a negative size, more than 8 axes, or more elements than 64 bits count.
class Shape {
 public:
  static constexpr int max_rank = kernels::max_rank;

  Shape() = default;
  Shape(std::initializer_list<detail::Size> sizes);
  explicit Shape(std::span<const std::int64_t> sizes);

  int rank() const { return rank_; }
  /// The number of elements: the product of the sizes, 1 for rank 0.
  std::int64_t size() const { return size_; }
  /// The size of an axis; negative axes count from the end.  Throws IndexError.
  std::int64_t operator[](int axis) const { return sizes_[static_cast<std::size_t>(at(axis))]; }

  std::span<const std::int64_t> sizes() const { return {sizes_.data(), static_cast<std::size_t>(rank_)}; }
  const std::int64_t* begin() const { return sizes_.data(); }
  const std::int64_t* end() const { return sizes_.data() + rank_; }

  /// The same shape with one axis removed, put in before `axis`, or given another size.
  Shape without(int axis) const;
  Shape with(int axis, std::int64_t size) const;
  Shape inserted(int axis, std::int64_t size) const;

  /// The axis counted from the front.  Throws IndexError if there is no such axis.
  int at(int axis) const {
    const int a = axis < 0 ? axis + rank_ : axis;
    if (a < 0 || a >= rank_) no_such_axis(axis);
    return a;
  }

  friend bool operator==(const Shape& a, const Shape& b) {
    if (a.rank_ != b.rank_) return false;
    for (int i = 0; i < a.rank_; ++i)
      if (a.sizes_[static_cast<std::size_t>(i)] != b.sizes_[static_cast<std::size_t>(i)]) return false;
    return true;
  }

 private:
  [[noreturn]] void no_such_axis(int axis) const;
  /// Checks the sizes, and multiplies them.
  void count();
  /// The same where a size is negative, or the product too large, unless another one is 0.
  void count_odd();

  std::array<std::int64_t, max_rank> sizes_{};
  std::int64_t size_ = 1;
  int rank_ = 0;
};

/// "[2, 3]"; rank 0 is "[]".
std::string to_string(const Shape& shape);
std::ostream& operator<<(std::ostream& out, const Shape& shape);

/// The shape that two operands broadcast to, by NumPy's rule: aligned at the last axis, sizes equal or 1.
/// Throws ShapeError.
Shape broadcast(const Shape& a, const Shape& b);

}  // namespace ebb
