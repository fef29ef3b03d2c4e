// The plan of the cards: which ops share a card, which leaves stand where, what lines are drawn, and, of a recurrence,
// its steps as columns; of several, one after the other.
//
// dot lays out any graph from top to bottom, which makes a staircase of a recurrence.  So each step is given a column,
// and equal steps equal rows.
#pragma once

#include "cards_rows.h"
#include "plan.h"

#include <cstdint>
#include <map>
#include <string>
#include <vector>

namespace ebb::graphviz {

/// What `taker` takes as an operand, drawn to the card that shows the taker.
struct CardLine {
  CardItem from;  ///< a card, or a leaf beside the taker
  std::uint32_t taker = 0, to = 0;
  std::size_t operand = 0;
};

struct Cards {
  /// Ops that lie below each other.
  struct Column {
    Band band;
    std::string name;      ///< of a step: "1", "3 – 48"
    std::size_t step = 0;  ///< as which of its recurrence it is a step, from 1; 0: it holds what comes before, or after
    CardItems items;
    CardRows rows;
    std::vector<std::size_t> lines;  ///< by line of `items`: which of all lines it is
  };

  std::map<std::uint32_t, std::uint32_t> within;  ///< slices that are drawn in the card of the op behind
  std::map<std::uint32_t, std::size_t> stubs;     ///< leaves drawn at each use, and how many uses there are
  std::map<std::uint32_t, std::vector<std::uint32_t>> beside;  ///< leaves drawn in the band of an op
  std::vector<std::uint32_t> leaves;                           ///< all others
  std::vector<CardLine> lines;
  Band all;                     ///< every op, if it is no recurrence
  std::vector<Column> columns;  ///< empty if it is none; else first what stands above all others, or nothing
  std::map<std::uint32_t, std::size_t> places;  ///< the columns of ops
  std::vector<std::uint32_t> starts;  ///< of `leaves`, those that the first step takes where others take a result
};

/// Without `columns` a recurrence is a graph as any other.
Cards plan_cards(const Trace& trace, int depth, bool columns);

}  // namespace ebb::graphviz
