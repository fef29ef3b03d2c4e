// Parameter: a tensor that training changes.
#pragma once

#include "scalar.h"

#include <atomic>
#include <concepts>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

namespace ebb {

namespace detail {
struct ParameterState;
}

/// A tensor that training changes; used anywhere a Tensor is, and then part of the graph that records.
/// Copying copies the numbers, not the gradient or the name; assigning one of the same shape changes the numbers, so that
/// an optimizer that holds it goes on; moving keeps the storage.  A moved-from Parameter throws UsageError when used.
class Parameter {
 public:
  explicit Parameter(const Tensor& value, std::string_view name = "");
  Parameter(const Parameter& other);
  Parameter(Parameter&& other) noexcept;
  Parameter& operator=(const Parameter& other);
  Parameter& operator=(Parameter&& other) noexcept;
  ~Parameter();

  /// The numbers, outside any graph.
  Tensor value() const;
  /// The sum of the gradients since the last step.  Throws GraphError if there is none.
  Tensor grad() const;
  bool has_grad() const;
  void clear_grad();
  /// Its path in the model, e.g. "encoder.0.weight"; empty before the model was first visited.
  std::string name() const;
  void rename(std::string_view name);
  /// Gives it new numbers.  Shape and dtype must be the same: ShapeError, DTypeError.
  void assign(const Tensor& value);

  const Shape& shape() const;
  std::int64_t size() const { return shape().size(); }
  DType dtype() const;

  /// What the graph that records (or none) sees.
  operator Tensor() const;
  Tensor operator[](std::int64_t i) const { return Tensor(*this)[i]; }
  template <std::integral... I> auto operator()(I... i) const { return Tensor(*this)(i...); }

  /// What an optimizer holds: the same parameter, wherever this object moves.
  const std::shared_ptr<detail::ParameterState>& state() const;

 private:
  void leave() noexcept;

  std::shared_ptr<detail::ParameterState> state_;
};

namespace detail {

/// A lock that costs a few nanoseconds where nobody else wants it, as nearly always.
class Latch {
 public:
  void lock() noexcept {
    while (taken_.exchange(true, std::memory_order_acquire)) std::this_thread::yield();
  }
  void unlock() noexcept { taken_.store(false, std::memory_order_release); }

 private:
  std::atomic<bool> taken_{false};
};

/// What a Parameter and the optimizers that train it share.
struct ParameterState {
  Tensor value;
  Tensor grad;  // undefined: none since the last step
  std::string name;
  std::atomic<std::uint64_t> leaf{0};  // graph << 32 | node of its leaf in the graph that met it last
  Latch adding;
  bool owned = false;  // by a Parameter: not by optimizers alone

  /// Adds a gradient.  Safe when several threads' graphs share the parameter.
  void add_gradient(Tensor gradient);
};

/// The live Parameters that lie within [begin, end): how a field that EBB_FIELDS forgot is found.
std::vector<const Parameter*> live_parameters(const void* begin, const void* end);

}  // namespace detail
}  // namespace ebb
