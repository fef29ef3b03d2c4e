// What becomes one record: ops that follow one another.
#pragma once

#include "fold_repeats.h"

#include "../graphviz.h"

#include <string>
#include <vector>

namespace ebb::graphviz {

/// Ops [first, end) that become one record.  The pieces of a graph do not overlap, so what is left is without circles: each
/// reads only what comes before it.
struct Piece {
  enum class Kind : std::uint8_t {
    module,   ///< a call
    modules,  ///< all calls in a row
    block,    ///< blocks of a repeat
    chain,    ///< pointwise ops
    stretch,  ///< neighbours
    before,   ///< neighbours in front of the module in focus
    between,
    after
  };
  Place first = 0, end = 0;
  Kind kind = Kind::stretch;
  std::uint32_t of = 0;     ///< a call in Order::calls, or a repeat
  std::uint32_t block = 0;  ///< of a repeat: the first
  std::uint32_t blocks = 1;
};

/// What becomes of leaves that folded ops alone use.
struct Leaves {
  bool keep_inputs = true;  ///< the data that a module reads with which the program begins stays
  bool keep_shared = true;  ///< parameters and variables of several pieces stay, if they are few
  bool keep_unused = true;  ///< what nothing reads at all stays
};

/// A graph, and what can be folded in it.
struct Foldable {
  const Trace& trace;
  Order order;
  std::vector<Repeat> repeats;
};

/// How many nodes a picture of it needs at most: one for each record and for the loss, and for a leaf one beside each
/// record that reads it.  Gives up counting above `most`.
std::size_t drawn(const Foldable& graph, const std::vector<Piece>& pieces, const Leaves& leaves, std::size_t most);

/// The trace with one record for each piece.
Trace contract(const Foldable& graph, const std::vector<Piece>& pieces, const Leaves& leaves, const std::string& focus);

/// What stands farther than options.radius ops from the module in options.focus; nothing if there is no focus.
/// Throws UsageError if no module has that path.
std::vector<Piece> outside_focus(const Foldable& graph, const DotOptions& options);

/// What a piece is called.
struct Words {
  std::string title, detail;
};
Words words_of(const Foldable& graph, const Piece& piece, const std::string& focus);
/// What was folded, each once: "46 of 50 steps of lstm", "pointwise ops in a row".
std::vector<std::string> summary(const Foldable& graph, const std::vector<Piece>& pieces, const std::string& focus);

}  // namespace ebb::graphviz
