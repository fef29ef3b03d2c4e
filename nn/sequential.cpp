#include "sequential.h"

#include "../autograd/error.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

namespace ebb::nn {

Sequential::Sequential(const Sequential& other) {
  children_.reserve(other.children_.size());
  for (const auto& child : other.children_) children_.push_back(child->copy());
}

Sequential& Sequential::operator=(const Sequential& other) {
  if (this == &other) return *this;
  // Copies first: from where on something changes, nothing fails.
  Sequential copy(other);
  for (std::size_t i = 0; i < std::min(size(), other.size()); ++i)
    if (children_[i]->assign(*copy.children_[i])) copy.children_[i] = std::move(children_[i]);
  return *this = std::move(copy);
}

Tensor Sequential::operator()(const Tensor& x) const {
  static_cast<void>(here_.state());  // throws if the layers were moved away
  // A layer may be a reference to a Sequential that has this one as a layer.
  static thread_local std::size_t depth = 0;
  const struct Deeper {
    Deeper() { ++depth; }
    ~Deeper() { --depth; }
  } deeper;
  if (depth > Visitor::most_deep)
    throw UsageError(
        fmt::format("Sequential: calls lie in calls {} deep: it has itself as a layer", Visitor::most_deep));
  Tensor y = x;
  for (const auto& child : children_) y = child->call(std::move(y));
  return y;
}

void Sequential::ebb_visit(Visitor& visitor) const {
  visitor.skip(here_);
  for (std::size_t i = 0; i < size(); ++i) children_[i]->visit(visitor, std::to_string(i));
}

Sequential::Child& Sequential::child(std::size_t i, const std::type_info& type) const {
  if (i >= size()) throw IndexError(fmt::format("Sequential::at({}): there are {} layers", i, size()));
  if (children_[i]->type() != type)
    throw UsageError(
        fmt::format("Sequential::at<{}>({}): layer {} is {}", type_name(type), i, i, type_name(children_[i]->type())));
  return *children_[i];
}

void Sequential::cannot_copy(const std::type_info& type) {
  throw UsageError(fmt::format("Sequential: a {} cannot be copied; move the model instead", type_name(type)));
}

void Sequential::holds_nothing(std::size_t i) {
  throw UsageError(fmt::format("Sequential: layer {} is a function that holds nothing", i));
}

}  // namespace ebb::nn
