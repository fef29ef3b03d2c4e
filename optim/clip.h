// Clipping: bounds on gradients, between backward() and step().
#pragma once

#include "optimizer.h"

namespace ebb::optim {

struct ClipOptions {
  bool error_if_nonfinite = false;  ///< throw if the norm is infinite or NaN, instead of leaving that to the caller
};

/// Scales all gradients together so that their common Euclidean norm is at most `max_norm`, and returns the norm before.
/// A norm that is infinite or NaN is returned as it is, and nothing is scaled.  parameters: a model, {w, b}, or an
/// optimizer's parameters().  Throws GraphError if there is no gradient, UsageError if max_norm is not positive.
double clip_grad_norm(const ParameterList& parameters, double max_norm, const ClipOptions& options = {});
double clip_grad_norm(const ParameterList::States& parameters, double max_norm, const ClipOptions& options = {});

/// Brings every number of every gradient into [-most, most]; NaN stays.
/// Throws GraphError if there is no gradient, UsageError if `most` is not positive.
void clip_grad_value(const ParameterList& parameters, double most);
void clip_grad_value(const ParameterList::States& parameters, double most);

}  // namespace ebb::optim
