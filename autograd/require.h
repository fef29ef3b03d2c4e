// How an op refuses: with the reason alone; apply() adds the op, the shapes and the module.
#pragma once

#include "list.h"

#include <fmt/format.h>

#include <exception>
#include <initializer_list>
#include <utility>

namespace ebb::detail {

template <class... Args> void require(bool ok, fmt::format_string<Args...> reason, Args&&... args) {
  if (!ok) [[unlikely]]
    throw Complaint{Complaint::shape, fmt::format(reason, std::forward<Args>(args)...), {}};
}
template <class... Args>
void require(bool ok, Complaint::Kind kind, fmt::format_string<Args...> reason, Args&&... args) {
  if (!ok) [[unlikely]]
    throw Complaint{kind, fmt::format(reason, std::forward<Args>(args)...), {}};
}

/// While it lives, an exception takes back what this thread's graph records: a failed call changes nothing.
class Attempt {
 public:
  using Undo = void (List::*)(std::uint32_t) noexcept;

  /// With &List::bury where a function of the user's is called, out of which handles can have come.
  explicit Attempt(Undo undo = &List::take_back)
      : list_(recording_list()),
        undo_(undo),
        size_(list_ != nullptr ? list_->size() : 0),
        failing_(std::uncaught_exceptions()) {}
  ~Attempt() {
    if (list_ != nullptr && std::uncaught_exceptions() > failing_) (list_->*undo_)(size_);
  }
  Attempt(const Attempt&) = delete;
  Attempt& operator=(const Attempt&) = delete;

 private:
  List* list_;
  Undo undo_;
  std::uint32_t size_;
  int failing_;
};

/// Runs what may refuse on behalf of an op that is made of others.
template <class Body> decltype(auto) asked_of(const char* name, std::initializer_list<const Tensor*> in, Body&& body) {
  int i = 0;
  for (const Tensor* t : in) {
    if (!t->defined()) undefined_operand(name, i);
    ++i;
  }
  const Attempt attempt;
  try {
    return body();
  } catch (const Complaint& why) {
    refuse(why, name, in.begin(), static_cast<int>(in.size()));
  }
}

}  // namespace ebb::detail
