#include "fold_leaves.h"

namespace ebb::graphviz {

namespace {

constexpr std::int64_t most_rows = 12;  // of a panel that is still read

/// Of a module with which the program begins, one that reads no op before it, the first op that reads data.
Place reader_of_input(const Foldable& graph, const Piece& piece) {
  const Order& order = graph.order;
  Place found = nowhere;
  if (piece.kind != Piece::Kind::module && piece.kind != Piece::Kind::modules) return found;
  for (Place op = piece.first; op < piece.end; ++op) {
    for (std::uint32_t i = order.begin[op]; i < order.begin[op + 1]; ++i) {
      const std::uint32_t read = order.reads[i];
      if (read == nowhere) continue;
      if (order.place[read] != nowhere && order.place[read] < piece.first) return nowhere;
      const bool is_data = order.place[read] == nowhere && graph.trace.records[read].kind != Node::Kind::parameter;
      if (is_data && found == nowhere) found = op;
    }
  }
  return found;
}

}  // namespace

LeafUse::LeafUse(const Foldable& graph, const std::vector<Piece>& pieces, const Leaves& leaves)
    : trace_(graph.trace),
      keep_unused_(leaves.keep_unused),
      most_shared_(leaves.keep_shared ? most_rows : 0),
      by_(trace_.records.size(), nobody),
      reads_(trace_.records.size()) {
  const Order& order = graph.order;
  Place reads_input = nowhere;
  std::vector<std::uint32_t> last(trace_.records.size(), nobody);  // that was seen to read it
  auto piece = pieces.begin();
  for (Place op = 0; op < order.size(); ++op) {
    while (piece != pieces.end() && piece->end <= op) ++piece;
    const bool folded = piece != pieces.end() && piece->first <= op;
    const auto reader = folded ? static_cast<std::uint32_t>(piece - pieces.begin()) : open;
    if (folded && piece->first == op) reads_input = leaves.keep_inputs ? reader_of_input(graph, *piece) : nowhere;
    const bool input = folded && op == reads_input;
    for (std::uint32_t i = order.begin[op]; i < order.begin[op + 1]; ++i) {
      const std::uint32_t leaf = order.reads[i];
      if (leaf == nowhere || order.place[leaf] != nowhere) continue;
      if (!folded || last[leaf] != reader) ++reads_[leaf];
      last[leaf] = reader;
      std::uint32_t& by = by_[leaf];
      if (input && trace_.records[leaf].kind != Node::Kind::parameter && by != open) by = an_input;
      else if (by == nobody) by = reader;
      else if (reader == open || by == open) by = open;
      else if (by != reader && by != an_input) by = several;
    }
  }
  for (std::size_t i = 0; i < by_.size(); ++i)
    shared_ += by_[i] == several && trace_.records[i].kind != Node::Kind::constant;
}

bool LeafUse::stays(std::size_t leaf) const {
  switch (by_[leaf]) {
    case nobody:
      return keep_unused_;
    case open:
    case an_input:
      return true;
    case several:
      return shared_ <= most_shared_ && trace_.records[leaf].kind != Node::Kind::constant;
    default:
      return false;
  }
}

}  // namespace ebb::graphviz
