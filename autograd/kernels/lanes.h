// A recorded function of single numbers, run forward and backward on many rows at once.
//
// Each number of the function has a place, and each place a line of `width` numbers, one for each row of a block: inputs
// first, then the result of each step, then the constants.
#pragma once

#include "lane_loops.h"

#include <array>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace ebb::kernels {

/// Its step number s writes place inputs + s.
struct LaneStep {
  enum class Op : std::uint8_t { add, sub, mul, div, neg, call, loop };
  Op op;
  bool to_a, to_b;        ///< which operands' gradients are wanted
  bool first_a, first_b;  ///< whether backward has brought nothing there yet: it stores, and later ones add
  std::uint32_t a, b;     ///< places; of a call or a loop, a is its position in LaneProgram::calls or ::loops
};

/// Any other op of 1 to 4 operands.
struct LaneCall {
  /// y and the local derivatives dx of 8 rows.
  void (*run)(const double* const* x, double* y, double* const* dx);
  int arity;
  std::array<std::uint32_t, 4> x;
  std::array<bool, 4> wanted, first;
  std::uint32_t derivatives;  ///< the first of its `arity` lines of local derivatives

  /// In which its operands get their gradients (those that it has): as where the op lies in a graph, the later pair first.
  std::array<int, 4> order() const { return arity > 2 ? std::array{2, 3, 0, 1} : std::array{0, 1, 2, 3}; }
};

/// The answer that a comparison of two places must have.
struct LaneGuard {
  enum class How : std::uint8_t { less, less_equal, greater, greater_equal, equal, not_equal };
  How how;
  bool answer;
  std::uint32_t a, b;
};

struct LaneProgram {
  std::uint32_t inputs = 0, result = 0, derivatives = 0;  // derivatives: lines that its calls need
  std::vector<LaneStep> steps;
  std::vector<LaneCall> calls;
  std::vector<LaneLoop> loops;
  std::vector<LaneGuard> guards;
  std::vector<double> constants;

  /// Makes loops of sums of many terms that are computed alike; to be called once all steps stand.
  void find_loops();
  /// Notes whose gradients come first; to be called after that.
  void find_first();
  std::size_t places() const { return inputs + steps.size() + constants.size(); }
};

/// How many rows make a block of a call for `rows`: more, as long as its numbers stay in the second cache.
int lane_width(const LaneProgram& program, std::int64_t rows);
/// The doubles that a block of that width works in.
std::size_t lane_room(const LaneProgram& program, int width);

/// y[r] and dx[r, :] for the `count` rows r named, count <= width; x and dx are [.., inputs].  holds[i] says whether the
/// guards hold in row[i]; of the others nothing is written.  `room`, aligned to 64 bytes, is lane_room() doubles.
void run_lanes(const LaneProgram& program, int width, double* room, const double* x, const std::int64_t* row, int count,
               double* y, double* dx, bool* holds);

}  // namespace ebb::kernels
