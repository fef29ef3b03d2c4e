// Trace: what a picture needs to know of a graph, as plain data: no tensors, no pointers.
#pragma once

#include "../../autograd/graph.h"

#include <cstdint>
#include <limits>
#include <string>
#include <vector>

namespace ebb::graphviz {

inline constexpr double no_number = std::numeric_limits<double>::quiet_NaN();

/// What the last backward brought to a value.
struct Gradient {
  enum class State : std::uint8_t {
    unknown,   ///< none ran, or its numbers were not kept
    unneeded,  ///< no gradient comes here: a constant, or off the path from the loss
    known
  };
  State state = State::unknown;
  double size = no_number;  ///< root mean square; of a scalar the number itself
};

/// One operand of an op.
struct Operand {
  std::uint32_t id = 0;             ///< 0: a plain number
  std::string name;                 ///< in the op's formula; may be empty
  double number = no_number;        ///< scalar lane: its value
  double contribution = no_number;  ///< root mean square of the gradient that this op sent to it; NaN: unknown or none
};

/// One node.
struct Record {
  std::uint32_t id = 0;
  Node::Kind kind = Node::Kind::op;
  bool scalar = false;
  std::string op, formula, rule, name, dtype;
  std::string scope, scope_kind;
  std::uint32_t scope_call = 0;
  std::vector<Operand> operands;
  std::vector<std::int64_t> shape;
  std::vector<Node::Saved> saved;  ///< parameters, which live on anyway, not counted
  bool has_value = false;
  double value = no_number;     ///< the number if there is one, else the root mean square
  std::vector<int> histogram;   ///< of the values, in nine equal steps: 0 to 7, by the square root of the count
  bool wants_gradient = false;  ///< a parameter or variable, or made from one by ops that pass gradients
  Gradient gradient;
  std::uint32_t order = 0, uses = 0;  ///< as in Node
  int users = 0;                      ///< of how many operands of ops it is the value

  bool is_op() const { return kind == Node::Kind::op; }
  std::int64_t size() const;
};

struct Trace {
  std::vector<Record> records;  ///< by id, ascending
  bool observed = false;
  bool differentiated = false;  ///< a backward ran
  std::uint32_t root = 0;       ///< where it started, or would start: the loss; 0: nowhere

  /// Position in `records`, which must hold the id.
  std::size_t at(std::uint32_t id) const;
  const Record& operator[](std::uint32_t id) const { return records[at(id)]; }
};

/// For each record, whether `id` was computed from it, or is it; none for id 0.
std::vector<bool> ancestors(const Trace& trace, std::uint32_t id);

/// Reads a graph's nodes.  Without `observed` no numbers are taken.
Trace trace(const std::vector<Node>& nodes, bool observed);

/// The middle size of all ops' gradients that are neither zero nor infinite; 0 if there is none.
double median_gradient(const Trace& trace);

}  // namespace ebb::graphviz
