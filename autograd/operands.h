// What both sweeps, the plain and the recorded one, hand to an op's gradient rules.
#pragma once

#include "list.h"

#include <fmt/format.h>

#include <memory>
#include <new>

namespace ebb::detail {

/// The operands and the output of a node as its gradient rules see them: whole if kept, else shape and type alone.
/// Borrows from the list and lives shorter than what the node keeps, so its handles are not counted, and never destroyed.
class Operands {
 public:
  Operands(List& list, const TensorNode& node) : count_(node.count + 1) {
    if (count_ > room) {
      many_ = std::make_unique<std::byte[]>(count_ * (sizeof(TensorImpl) + sizeof(Tensor)) + alignof(TensorImpl));
      void* place = many_.get();
      std::size_t space = count_ * sizeof(TensorImpl) + alignof(TensorImpl);
      heads_ = static_cast<std::byte*>(std::align(alignof(TensorImpl), count_ * sizeof(TensorImpl), place, space));
      tensors_ = reinterpret_cast<Tensor*>(heads_ + count_ * sizeof(TensorImpl));
    }
    for (std::uint32_t i = 0; i < node.count; ++i) {
      if (node.kept[i] != nullptr) {
        ::new (tensors_ + i) Tensor(Access::tensor(node.kept[i]));
      } else {
        const TensorNode& input = list.tensor(node.input[i]);
        shadow(i, input.shape, input.dtype, input.kind == Node::Kind::constant ? 0 : node.input[i], list.graph());
      }
    }
    if (node.holds_output) ::new (tensors_ + node.count) Tensor(Access::tensor(node.output));
    else shadow(node.count, node.shape, node.dtype, node.id, list.graph());
  }
  Operands(const Operands&) = delete;
  Operands& operator=(const Operands&) = delete;

  const Tensor* in() const { return tensors_; }
  const Tensor& output() const { return tensors_[count_ - 1]; }

 private:
  static constexpr std::size_t room = 4;

  // A head without numbers.  Its count of references never falls to nothing, so no handle frees it.
  void shadow(std::uint32_t i, const Shape& shape, DType dtype, std::uint32_t id, std::uint32_t graph) {
    auto* const head = ::new (heads_ + i * sizeof(TensorImpl)) TensorImpl;
    head->refs.store(2, std::memory_order_relaxed);
    head->shape = shape;
    head->dtype = dtype;
    head->node = id;
    head->graph = id == 0 ? 0 : graph;
    ::new (tensors_ + i) Tensor(Access::tensor(head));
  }

  std::size_t count_;
  alignas(TensorImpl) std::byte few_heads_[room * sizeof(TensorImpl)];
  alignas(Tensor) std::byte few_tensors_[room * sizeof(Tensor)];
  std::unique_ptr<std::byte[]> many_;
  std::byte* heads_ = few_heads_;
  Tensor* tensors_ = reinterpret_cast<Tensor*>(few_tensors_);
};

[[noreturn, gnu::cold, gnu::noinline]] inline void does_not_fit(const TensorNode& node, const Tensor& gradient,
                                                                const char* from) {
  throw Error(fmt::format("backward of {}: the gradient is {} {} where the value is {} {}; the op's rule is wrong",
                          from, to_string(gradient.dtype()), to_string(gradient.shape()), to_string(node.dtype),
                          to_string(node.shape)));
}
EBB_ALWAYS_INLINE void must_fit(const TensorNode& node, const Tensor& gradient, const char* from) {
  if (gradient.shape() != node.shape || gradient.dtype() != node.dtype) [[unlikely]]
    does_not_fit(node, gradient, from);
}

}  // namespace ebb::detail
