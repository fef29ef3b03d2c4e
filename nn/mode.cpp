#include "mode.h"

#include "../autograd/launch.h"
#include "../autograd/list.h"

#include <utility>

namespace ebb::nn {

namespace {

// What the innermost guard on this thread says.
enum Mode : int { by_graph, train, use };
using ebb::detail::layer_mode;

}  // namespace

bool training() { return layer_mode == by_graph ? recording() : layer_mode == train; }

bool recomputing() {
  const ebb::detail::List* const list = ebb::detail::open_list;  // though a Pause may live in the function
  return list != nullptr && list->watched_before != 0;
}

Training::Training() : before_(std::exchange(layer_mode, train)) {}
Training::~Training() { layer_mode = before_; }

Evaluating::Evaluating() : before_(std::exchange(layer_mode, use)) {}
Evaluating::~Evaluating() { layer_mode = before_; }

}  // namespace ebb::nn
