// Summary: what a model is made of, as a table.
#pragma once

#include "module.h"

#include <string>

namespace ebb::nn {

/// The table of what a model holds.
std::string summary_of(const Contents& contents);

/// A table of the model's layers, their parameters and how many numbers these have.
template <class Model> std::string summary(const Model& model) { return summary_of(contents(model)); }

}  // namespace ebb::nn
