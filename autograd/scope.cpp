#include "scope.h"

#include "list.h"

namespace ebb {

namespace {
constinit thread_local const Scope* innermost EBB_FAST_THREAD_LOCAL = nullptr;
}

Scope::Scope(std::string_view path, std::string_view kind) : path_(path), kind_(kind), outer_(innermost) {
  if (detail::List* const list = detail::recording_list()) list->enter(this);
  innermost = this;
}

Scope::~Scope() {
  innermost = outer_;
  if (detail::open_list != nullptr && graph == detail::open_list->graph()) detail::open_list->enter(outer_);
}

const Scope* Scope::current() noexcept { return innermost; }

}  // namespace ebb
