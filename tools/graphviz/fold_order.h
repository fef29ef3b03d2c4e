// The ops of a trace in the order of computing, and which calls of which modules they are.
#pragma once

#include "trace.h"

#include <cstdint>
#include <limits>
#include <string_view>
#include <vector>

namespace ebb::graphviz {

/// A place among the ops, from 0, in the order of computing.
using Place = std::uint32_t;
inline constexpr std::uint32_t nowhere = std::numeric_limits<std::uint32_t>::max();

/// One call of a module: ops that follow one another.
struct Call {
  std::string_view path, kind;   ///< kind: empty if it computes nothing by itself
  std::uint32_t number = 0;      ///< Record::scope_call of its own ops, or of the first inside of it
  bool backward = false;         ///< it is what gradient() recorded for one
  int level = 0;                 ///< 0: the whole program, 1: a module on top, 2: one inside of that, ...
  Place first = 0, end = 0;      ///< its ops, those of inner calls included
  std::uint32_t outer = 0;       ///< in Order::calls
  std::uint32_t next = nowhere;  ///< in Order::calls: the first call behind it and all that is inside of it
};

/// The whole program as a sequence of ops: with what they read, and what each looks like.
struct Order {
  std::vector<std::uint32_t> record;   ///< of an op: its place in Trace::records
  std::vector<Place> place;            ///< of a record: its place among the ops; nowhere: a leaf
  std::vector<std::uint32_t> reads;    ///< the operands of all ops: places in Trace::records; nowhere: a plain number
  std::vector<std::uint32_t> begin;    ///< of an op: where its operands begin in `reads`; one more at the end
  std::vector<std::uint64_t> look;     ///< of an op: a hash of its name, result and count of operands
  std::vector<bool> chained;           ///< of an op: it and the next are pointwise, and only the next reads it
  std::vector<Call> calls;             ///< the whole program, then each call, its inner calls behind it
  std::vector<std::uint64_t> look_of;  ///< of a call: a hash of all that it does
  int levels = 0;                      ///< the deepest

  Place size() const { return static_cast<Place>(record.size()); }
};

Order order_of(const Trace& trace);

/// The part of a path that names modules: a layer without a name goes by its kind, and the dot in "Dropout(0.5)" is none
/// between modules.
std::string_view names_of(std::string_view path);

/// Mixes one more number into a hash.
constexpr std::uint64_t mix(std::uint64_t hash, std::uint64_t next) {
  std::uint64_t x = (hash ^ next) + 0x9e3779b97f4a7c15U;
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9U;
  x = (x ^ (x >> 27)) * 0x94d049bb133111ebU;
  return x ^ (x >> 31);
}

}  // namespace ebb::graphviz
