#include "shape.h"

#include "error.h"
#include "op.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <limits>
#include <ostream>
#include <vector>

namespace ebb {

namespace {
std::vector<std::int64_t> numbers(std::initializer_list<detail::Size> sizes) {
  std::vector<std::int64_t> all;
  for (const detail::Size& size : sizes) all.push_back(size.value);
  return all;
}
}  // namespace

Shape::Shape(std::initializer_list<detail::Size> sizes) {
  if (sizes.size() > sizes_.size()) {
    *this = Shape(std::span<const std::int64_t>(numbers(sizes)));
    return;
  }
  for (const detail::Size& size : sizes) sizes_[static_cast<std::size_t>(rank_++)] = size.value;
  count();
}

Shape::Shape(std::span<const std::int64_t> sizes) {
  if (sizes.size() > sizes_.size())
    throw ShapeError(fmt::format("Shape: {} axes are more than the {} that a tensor can have", sizes.size(), max_rank));
  for (const std::int64_t n : sizes) sizes_[static_cast<std::size_t>(rank_++)] = n;
  count();
}

void Shape::count() {
  constexpr std::int64_t most = std::numeric_limits<std::int64_t>::max() / 16;  // bytes must be countable too
  for (const std::int64_t n : sizes())
    if (n < 0 || __builtin_mul_overflow(size_, n, &size_) || size_ > most) [[unlikely]]
      return count_odd();
}

void Shape::count_odd() {
  if (std::any_of(begin(), end(), [](std::int64_t n) { return n < 0; }))
    throw ShapeError(fmt::format("Shape: a size must not be negative, got [{}]", fmt::join(sizes(), ", ")));
  if (std::find(begin(), end(), 0) == end())
    throw ShapeError(fmt::format("Shape: [{}] has more elements than can be counted", fmt::join(sizes(), ", ")));
  size_ = 0;
}

void Shape::no_such_axis(int axis) const {
  throw IndexError(fmt::format("axis {} is out of range for shape {} of rank {}", axis, to_string(*this), rank_));
}

Shape Shape::without(int axis) const {
  const int a = at(axis);
  std::array<std::int64_t, max_rank> left{};
  std::size_t n = 0;
  for (int i = 0; i < rank_; ++i)
    if (i != a) left[n++] = sizes_[static_cast<std::size_t>(i)];
  return Shape(std::span<const std::int64_t>(left.data(), n));
}

Shape Shape::with(int axis, std::int64_t size) const {
  std::array<std::int64_t, max_rank> sizes = sizes_;
  sizes[static_cast<std::size_t>(at(axis))] = size;
  return Shape(std::span<const std::int64_t>(sizes.data(), static_cast<std::size_t>(rank_)));
}

Shape Shape::inserted(int axis, std::int64_t size) const {
  const int a = axis < 0 ? axis + rank_ + 1 : axis;
  if (a < 0 || a > rank_) no_such_axis(axis);
  std::array<std::int64_t, max_rank + 1> sizes{};
  std::size_t n = 0;
  for (int i = 0; i <= rank_; ++i) {
    if (i == a) sizes[n++] = size;
    if (i < rank_) sizes[n++] = sizes_[static_cast<std::size_t>(i)];
  }
  return Shape(std::span<const std::int64_t>(sizes.data(), n));
}

std::string to_string(const Shape& shape) { return fmt::format("[{}]", fmt::join(shape.begin(), shape.end(), ", ")); }

std::ostream& operator<<(std::ostream& out, const Shape& shape) { return out << to_string(shape); }

namespace detail {

Shape broadcast_of(const Shape& a, const Shape& b) {
  if (a == b) return a;
  const int rank = std::max(a.rank(), b.rank());
  std::array<std::int64_t, Shape::max_rank> sizes{};
  for (int i = 1; i <= rank; ++i) {
    const std::int64_t m = i <= a.rank() ? a[-i] : 1, n = i <= b.rank() ? b[-i] : 1;
    if (m != n && m != 1 && n != 1) {
      const std::string which = i == 1 ? "the last axis is" : fmt::format("axis {} is", -i);
      throw Complaint{
          Complaint::shape, fmt::format("do not broadcast, {} {} and {}; each must be equal or 1", which, m, n), {}};
    }
    sizes[static_cast<std::size_t>(rank - i)] = m == 1 ? n : m;
  }
  return Shape(std::span<const std::int64_t>(sizes.data(), static_cast<std::size_t>(rank)));
}

}  // namespace detail

Shape broadcast(const Shape& a, const Shape& b) {
  try {
    return detail::broadcast_of(a, b);
  } catch (const detail::Complaint& why) {
    throw ShapeError(fmt::format("broadcast({}, {}): {}", to_string(a), to_string(b), why.reason));
  }
}

}  // namespace ebb
