// What is wrong with the gradients of a trace, found by comparing its numbers.
#pragma once

#include "trace.h"

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace ebb::graphviz {

struct Finding {
  /// In the order of a report: what spoils most comes first.
  enum class Kind : std::uint8_t {
    not_finite,
    off_path,
    zero,
    exploding,
    growing,  ///< from layer to layer, towards the input
    vanishing,
    shrinking,  ///< from layer to layer, towards the input
    dead,
    saturated
  };
  Kind kind = Kind::zero;
  std::string place;  ///< what it is about: the same at another step of the training
  std::string words;  ///< with the place, the number and what it is compared with
};

/// "vanishing"
std::string_view name_of(Finding::Kind kind);
/// What usually helps.
std::string_view help_for(Finding::Kind kind);

struct Health {
  /// A module that has parameters of its own, called by its path; where there are no parameters, a variable.
  struct Layer {
    std::string name;
    double gradient = 0;  ///< root mean square, over all numbers of its parameters
    double weight = 0;    ///< the same of the numbers themselves
  };
  std::vector<Layer> layers;  ///< which a gradient reaches, in the order in which they are first used
  std::int64_t learning = 0;  ///< how many layers there are
  double median = 0;          ///< of the gradients of the layers that are finite and not 0
  double relu_units = 0,
         dead_units = 0;          ///< of all ReLUs, and those that are 0 in every row; where there are enough rows
  std::vector<Finding> findings;  ///< by kind
};

/// The trace must be observed, differentiated and not folded.
Health examine(const Trace& trace);

/// Whether a layer's gradient is a number to compare.
inline bool moves(const Health::Layer& layer) { return std::isfinite(layer.gradient) && layer.gradient != 0; }

}  // namespace ebb::graphviz
