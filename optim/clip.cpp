#include "clip.h"

#include "../autograd/error.h"
#include "../autograd/op.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

namespace ebb::optim {

namespace {

using States = ParameterList::States;

void check(const char* who, const States& parameters, const char* option, double bound) {
  if (!(bound > 0)) throw UsageError(fmt::format("{}: {} must be positive, got {}", who, option, bound));
  if (std::none_of(parameters.begin(), parameters.end(), [](const auto& p) { return p->grad.defined(); }))
    throw GraphError(fmt::format("{}: no parameter has a gradient; call backward() on a loss first", who));
}

/// Calls f(numbers, n) for every gradient, with numbers of its own type.
template <class F> void read_each(const States& parameters, const F& f) {
  for (const auto& parameter : parameters) {
    const Tensor& g = parameter->grad;
    if (!g.defined()) continue;
    if (g.dtype() == f32) f(g.data<float>().data(), g.size());
    else f(g.data<double>().data(), g.size());
  }
}

/// The same with numbers that can be changed.
template <class F> void change_each(const States& parameters, const F& f) {
  // Memory can run out only here: a gradient that someone else still holds is copied.
  for (const auto& parameter : parameters)
    if (parameter->grad.defined()) detail::writable(parameter->grad);
  for (const auto& parameter : parameters) {
    Tensor& g = parameter->grad;
    if (!g.defined()) continue;
    if (g.dtype() == f32) f(static_cast<float*>(detail::writable(g)), g.size());
    else f(static_cast<double*>(detail::writable(g)), g.size());
  }
}

double norm_of(const States& parameters) {
  double squares = 0;
  read_each(parameters, [&](const auto* g, std::int64_t n) { squares += kernels::sum_of_squares(g, n, 1.0); });
  if (std::isfinite(squares) && squares > 1e-290) return std::sqrt(squares);
  // The squares may have left the range of a double where the norm does not.
  double largest = 0;
  read_each(parameters, [&](const auto* g, std::int64_t n) {
    const double here = kernels::largest_magnitude(g, n);
    largest = here <= largest ? largest : here;
  });
  if (!std::isfinite(largest) || largest == 0) return largest;
  const double unit = std::max(largest, 1e-300);
  squares = 0;
  read_each(parameters, [&](const auto* g, std::int64_t n) { squares += kernels::sum_of_squares(g, n, 1 / unit); });
  return unit * std::sqrt(squares);
}

}  // namespace

double clip_grad_norm(const States& parameters, double max_norm, const ClipOptions& options) {
  check("clip_grad_norm", parameters, "max_norm", max_norm);
  const double norm = norm_of(parameters);
  if (!std::isfinite(norm)) {
    if (!options.error_if_nonfinite) return norm;
    throw UsageError(fmt::format("clip_grad_norm: the norm of the gradients is {}, so they cannot be clipped", norm));
  }
  if (norm > max_norm) change_each(parameters, [&](auto* g, std::int64_t n) { kernels::scale(g, n, max_norm / norm); });
  return norm;
}

double clip_grad_norm(const ParameterList& parameters, double max_norm, const ClipOptions& options) {
  return clip_grad_norm(parameters.states(), max_norm, options);
}

void clip_grad_value(const States& parameters, double most) {
  check("clip_grad_value", parameters, "the bound", most);
  change_each(parameters, [&](auto* g, std::int64_t n) { kernels::clip(g, n, most); });
}

void clip_grad_value(const ParameterList& parameters, double most) { clip_grad_value(parameters.states(), most); }

}  // namespace ebb::optim
