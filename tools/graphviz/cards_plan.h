// The plan of the cards: which ops share a card, which leaves stand where, and, of a recurrence, its steps as columns.
//
// dot lays out any graph from top to bottom, which makes a staircase of a recurrence.  So each step is given a column, equal
// ops are given equal rows, and each row an order from left to right; what is left to dot are the coordinates.
#pragma once

#include "cards_rows.h"
#include "plan.h"

#include <cstdint>
#include <map>
#include <vector>

namespace ebb::graphviz {

struct Cards {
  /// Ops that lie below each other, beside those before and after.
  struct Column {
    Band band;
    bool is_step = false;  ///< its band is one step; else it holds what comes after the steps
    CardRows rows;
  };
  struct Place {
    std::size_t column = 0, row = 0;
  };

  std::map<std::uint32_t, std::uint32_t> within;               ///< slices that are drawn in the card of the op behind
  std::map<std::uint32_t, std::size_t> stubs;                  ///< leaves drawn at each use, and how many uses there are
  std::map<std::uint32_t, std::vector<std::uint32_t>> beside;  ///< leaves drawn in the band of an op
  std::vector<std::uint32_t> leaves;                           ///< all others
  std::vector<Column> columns;                                 ///< empty: it is no recurrence
  std::map<std::uint32_t, Place> places;                       ///< of the ops in columns
  std::vector<std::uint32_t> starts;  ///< of `leaves`, those that the first step takes where others take a result
  Band rest;                          ///< ops in no column: above all of them
};

Cards plan_cards(const Trace& trace, int depth);

}  // namespace ebb::graphviz
