// The words of trace files, for who writes them and who reads them.
#pragma once

#include "trace.h"

#include <array>

namespace ebb::graphviz::trace_words {

inline constexpr const char* format = "ebb-trace";
inline constexpr int version = 1;

inline constexpr std::array kinds{"op", "parameter", "variable", "constant"};    // by Node::Kind
inline constexpr std::array fold_kinds{"module", "repeat", "chain", "stretch"};  // by Fold::Kind
inline constexpr std::array changes{"none", "added", "removed"};                 // by Change
inline constexpr std::array dtypes{"f32", "f64", "i64"};

}  // namespace ebb::graphviz::trace_words
