// The plan of a picture: what stands where, before anything is written.
#pragma once

#include "trace.h"

#include <cstddef>
#include <optional>
#include <string>
#include <vector>

namespace ebb::graphviz {

/// The band drawn behind the ops of a module.
struct Band {
  struct Title {
    std::string path, kind;
  };
  std::vector<Title> titles;       ///< several where a small module shares its neighbour's band; none: no band at all
  std::uint32_t call = 0;          ///< which call of the module, from 1; 0 if it is called once
  std::vector<std::uint32_t> ops;  ///< ids of the ops that lie directly in it
  std::vector<Band> inner;
};

/// The ops by their modules, as bands in bands, at most `depth` levels.  With `in_rows` a band holds neighbours in
/// `ops` alone, and an activation layer shares the band of the layer before it.
Band bands(const Trace& trace, const std::vector<std::uint32_t>& ops, int depth, bool in_rows);

/// A value used by a later op.
struct Link {
  std::uint32_t from = 0, to = 0;
  std::size_t operand = 0;  ///< the first of `to`'s operands that it is
  int times = 1;            ///< how many lines between the two it stands for
};
/// Every use of an op's result by an op, in the order of the ops that use it.
std::vector<Link> links(const Trace& trace);
/// The gradient that flows back along a link; its size is a root mean square.
Gradient flow(const Trace& trace, const Link& link);
/// The same for one operand of an op.
Gradient flow(const Trace& trace, const Record& op, std::size_t operand);

/// One op in each row, top to bottom; beside each what graph.gradient() recorded as its backward.
struct Ladder {
  struct Row {
    std::uint32_t op = 0;
    std::vector<std::size_t> kept;        ///< operands drawn in the middle: parameters and variables
    std::vector<std::size_t> beside;      ///< operands drawn at the left: constants
    bool backward = false;                ///< it has a step in the backward lane
    std::vector<std::uint32_t> recorded;  ///< the ops of its recorded backward, the first first
    bool recorded_reads = false;          ///< they read what the forward pass computed
    std::vector<std::size_t> passing;     ///< skips that pass this row, from the outermost in
  };
  /// A value that is used further down; from the recorded lane if that is where it was computed.
  struct Skip {
    Link link;  ///< its `to` is 0 where it ends at the loss, being the loss
    bool recorded = false;
    std::size_t above = 0, below = 0;  ///< places: rows from 1, the leaf on top at 0, the loss after the last row
    std::size_t column = 0;            ///< 0: next to the cards
  };
  /// Values that the recorded ops of one row take from those of another.
  struct Rung {
    std::size_t from = 0, to = 0;  ///< places
    std::vector<Link> links;
  };
  std::uint32_t top = 0;  ///< the leaf on top: the input; 0: none
  std::vector<Row> rows;
  std::vector<Link> straight;  ///< from one row to the next
  std::vector<Skip> skips;     ///< past other rows, and from the recorded lane
  std::vector<Link> back;      ///< that a gradient flows along, straight up
  std::vector<Link> back_skips;
  std::vector<Rung> recorded;  ///< within the recorded lane
  bool has_recorded = false;   ///< there is a recorded lane
  Band bands;
};

/// Whether an operand of a recorded op is a value of the forward pass.
bool reads_forward(const Trace& trace, const Operand& operand);

/// Nothing if the graph is no chain with skips: then `why_not` says where it is not.
std::optional<Ladder> plan_ladder(const Trace& trace, int depth, std::string& why_not);

}  // namespace ebb::graphviz
