// Sequential: layers one after the other.
#pragma once

#include "../autograd/tensor.h"
#include "module.h"

#include <concepts>
#include <cstddef>
#include <memory>
#include <string>
#include <type_traits>
#include <typeinfo>
#include <utility>
#include <vector>

namespace ebb::nn {

/// Anything that makes a Tensor from a Tensor: a layer, a struct of your own, a lambda, a function.
template <class T>
concept Layer = requires(std::decay_t<T>& layer, const Tensor& x) {
  { layer(x) } -> std::convertible_to<Tensor>;
};

/// Several types, or one that is not T: what tells a constructor from copying.
template <class T, class... U>
concept NotOne = sizeof...(U) > 1 || (sizeof...(U) == 1 && !(std::same_as<std::decay_t<U>, T> && ...));

/// Layers of any types, each given what the one before made.  Its parts are named "0", "1", ...
/// A copy has its own numbers.  Assigning another Sequential changes the numbers of the layers that are of the same type,
/// so that an optimizer that holds them goes on, and replaces the others; moving keeps the parameters themselves.
class Sequential {
 public:
  Sequential() = default;
  template <Layer... L>
  requires NotOne<Sequential, L...> Sequential(L&&... layers) {
    children_.reserve(sizeof...(L));
    (add(std::forward<L>(layers)), ...);
  }
  Sequential(const Sequential& other);
  Sequential(Sequential&& other) noexcept = default;
  Sequential& operator=(const Sequential& other);
  Sequential& operator=(Sequential&& other) noexcept = default;
  ~Sequential() = default;

  /// Puts a layer at the end.  Throws UsageError for a function that holds nothing.
  template <Layer L> Sequential& add(L&& layer) {
    using T = std::decay_t<L>;
    auto child = std::make_unique<Holder<T>>(std::forward<L>(layer));
    if constexpr (std::is_constructible_v<T, std::nullptr_t> && requires(const T& t) { t == nullptr; })
      if (child->layer == nullptr) holds_nothing(size());
    children_.push_back(std::move(child));
    return *this;
  }

  /// Throws UsageError if it has itself as a layer.
  Tensor operator()(const Tensor& x) const;

  std::size_t size() const { return children_.size(); }
  /// The i-th layer.  Throws IndexError if there is none, UsageError if it is no T.
  template <class T> T& at(std::size_t i) { return static_cast<Holder<T>&>(child(i, typeid(T))).layer; }
  template <class T> const T& at(std::size_t i) const { return static_cast<Holder<T>&>(child(i, typeid(T))).layer; }

  void ebb_visit(Visitor& visitor) const;

 private:
  struct Child {
    virtual ~Child() = default;
    virtual Tensor call(Tensor x) = 0;
    virtual std::unique_ptr<Child> copy() const = 0;
    /// Takes over the other's numbers; false if it cannot, because it is of another type.
    virtual bool assign(const Child& other) = 0;
    virtual void visit(Visitor& visitor, const std::string& name) const = 0;
    virtual const std::type_info& type() const = 0;
  };
  template <class T> struct Holder;

  Child& child(std::size_t i, const std::type_info& type) const;
  [[noreturn]] static void cannot_copy(const std::type_info& type);
  [[noreturn]] static void holds_nothing(std::size_t i);

  std::vector<std::unique_ptr<Child>> children_;
  // Its layers' Parameters lie elsewhere; this empty one stands among a model's fields for them, so that a Sequential that
  // EBB_FIELDS forgot is found as a forgotten Parameter is.
  Parameter here_{zeros({0})};
};

template <class T> struct Sequential::Holder final : Child {
  explicit Holder(const T& l) : layer(l) {}
  explicit Holder(T&& l) : layer(std::move(l)) {}

  // A layer with a label opens its own scope; anything else works in one that bears its place's name.
  Tensor call(Tensor x) override {
    if constexpr (requires { layer.label.scope(); }) {
      return layer(std::move(x));
    } else {
      const Scope scope = label.scope();
      if constexpr (std::is_invocable_v<T&, Tensor>) return layer(std::move(x));
      else return layer(std::as_const(x));
    }
  }
  std::unique_ptr<Child> copy() const override {
    if constexpr (std::is_copy_constructible_v<T>) return std::make_unique<Holder>(layer);
    cannot_copy(typeid(T));
  }
  bool assign(const Child& other) override {
    if constexpr (std::is_copy_assignable_v<T>) {
      if (other.type() == typeid(T)) {
        layer = static_cast<const Holder&>(other).layer;
        return true;
      }
    }
    return false;
  }
  void visit(Visitor& visitor, const std::string& name) const override {
    visitor.place(name, label);
    if constexpr (HasFields<T> || IsReference<T>) visitor.field(name, layer);
    else visitor.opaque(name, layer);
  }
  const std::type_info& type() const override { return typeid(T); }

  T layer;
  Label label{type_name(typeid(T))};
};

}  // namespace ebb::nn
