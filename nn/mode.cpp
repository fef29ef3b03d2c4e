#include "mode.h"

#include "../autograd/graph.h"

#include <utility>

namespace ebb::nn {

namespace {

// What the innermost guard on this thread says.
enum Mode : int { by_graph, train, use };
thread_local int mode = by_graph;

}  // namespace

bool training() { return mode == by_graph ? recording() : mode == train; }

Training::Training() : before_(std::exchange(mode, train)) {}
Training::~Training() { mode = before_; }

Evaluating::Evaluating() : before_(std::exchange(mode, use)) {}
Evaluating::~Evaluating() { mode = before_; }

}  // namespace ebb::nn
