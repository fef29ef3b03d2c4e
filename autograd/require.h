// How an op refuses: with the reason alone; apply() adds the op, the shapes and the module.
#pragma once

#include "op.h"

#include <fmt/format.h>

#include <utility>

namespace ebb::detail {

template <class... Args>
void require(bool ok, fmt::format_string<Args...> reason, Args&&... args) {
  if (!ok) [[unlikely]] throw Complaint{Complaint::shape, fmt::format(reason, std::forward<Args>(args)...), {}};
}
template <class... Args>
void require(bool ok, Complaint::Kind kind, fmt::format_string<Args...> reason, Args&&... args) {
  if (!ok) [[unlikely]] throw Complaint{kind, fmt::format(reason, std::forward<Args>(args)...), {}};
}

/// Runs what may refuse on behalf of an op that is made of others.
template <class Body>
decltype(auto) asked_of(const char* name, std::initializer_list<const Tensor*> in, Body&& body) {
  int i = 0;
  for (const Tensor* t : in) {
    if (!t->defined()) undefined_operand(name, i);
    ++i;
  }
  try {
    return body();
  } catch (const Complaint& why) {
    refuse(why, name, in.begin(), static_cast<int>(in.size()));
  }
}

}  // namespace ebb::detail
