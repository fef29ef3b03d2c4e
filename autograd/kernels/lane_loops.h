// Sums of many terms that are all computed alike, s = s + t(x[i], x[i + 1], c), as they stand in a recorded function of
// single numbers.
//
// Run as a loop, one order does a piece of work for some dozens of terms, and what the terms need in between stays in the
// first cache: forward only the sum is kept; backward computes each term again and sends its gradients right away.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace ebb::kernels {

/// What a loop works on lies in slots, each one line for each term in work.  The first are the operands that come from
/// outside of the loop, in the order of `outside`.
struct LaneLoop {
  static constexpr std::size_t most_steps = 64;               // of a term
  static constexpr std::size_t most_slots = 15 * most_steps;  // that so many steps can need

  /// An operand of the terms that is computed elsewhere.
  struct Outside {
    std::vector<std::uint32_t> place;  // for each term
    bool fixed, running;               // the same for all terms; side by side in the order of the terms
  };
  /// A piece of work on slots.  From pass on they go backward: g is the gradient that arrived, a and b are what the
  /// derivative hangs on.  A pair's first step, of a and b, is wanted by its second alone, whose other operand is g.
  struct Work {
    enum class Op : std::uint8_t { add, sub, mul, div, neg, call, pair, pass, product, twice, over, under };
    enum class Second : std::uint8_t { none, add, sub, sub_from, mul };  // sub_from: g less the first
    Op op;
    bool adds, minus;  // to what lies there; what goes backward is taken away
    std::uint32_t to, a, b, g;
    Op first = Op::add;  // of a pair
    Second second = Second::none;
  };
  struct Call {
    void (*run)(const double* const* x, double* y, double* const* dx);
    int arity;
    std::array<std::uint32_t, 4> x, dx;
    std::uint32_t y;
  };
  /// What goes to the gradients of an operand outside.
  struct Sent {
    Work work;
    std::uint32_t outside;
  };

  std::uint32_t terms, slots;
  std::uint32_t start;          // the place of what the terms are added to
  bool to_start;                // whether that wants a gradient
  bool is_result = false;       // then the gradient that arrives is 1, and all terms are kept
  std::uint32_t term, arrived;  // the slots of the terms and of the sum's gradient
  std::vector<Outside> outside;
  std::vector<Work> once, forward, backward;  // once: what is the same for all terms
  std::vector<Call> calls;
  std::vector<Sent> sent;
  bool by_term = false;              // must what is sent go out term by term, to arrive in order
  std::vector<std::uint32_t> clear;  // places to which backward has brought no gradient yet

  /// How many terms are in work at a time.
  std::size_t chunk() const;
  /// The lines that it works in.
  std::size_t room() const { return slots * chunk() + (is_result ? terms : 0); }
};

// Lines of 8 rows each, aligned to 64 bytes: those of all places' values and gradients, y and arrived of the sum, and room.
void run_forward(const LaneLoop& loop, const double* value, double* y, double* room);
void run_backward(const LaneLoop& loop, const double* value, double* gradient, const double* arrived, double* room);
/// Both, of a loop that is the result.
void run_at_once(const LaneLoop& loop, const double* value, double* gradient, double* y, double* room);

}  // namespace ebb::kernels
