#include "mode.h"

#include "../autograd/list.h"

#include <utility>

namespace ebb::nn {

namespace {

// What the innermost guard on this thread says.
enum Mode : int { by_graph, train, use };
thread_local int mode = by_graph;

}  // namespace

bool training() { return mode == by_graph ? recording() : mode == train; }

bool recomputing() {
  const ebb::detail::List* const list = ebb::detail::open_list;  // though a Pause may live in the function
  return list != nullptr && list->watched_before != 0;
}

Training::Training() : before_(std::exchange(mode, train)) {}
Training::~Training() { mode = before_; }

Evaluating::Evaluating() : before_(std::exchange(mode, use)) {}
Evaluating::~Evaluating() { mode = before_; }

}  // namespace ebb::nn
