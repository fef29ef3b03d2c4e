#include "fold.h"

#include "fold_pieces.h"
#include "text.h"

#include "../../autograd/error.h"

#include <fmt/format.h>

#include <algorithm>

namespace ebb::graphviz {

namespace {

/// How far a graph is folded.
struct Stage {
  enum class Which : std::uint8_t {
    none,
    some,  ///< of repeats those that are not in blocks of others; of blocks those of repeats that are
    all
  };
  int level = 0;                ///< modules there and deeper are one record each; 0: all modules
  bool chains = false;          ///< pointwise ops in a row
  Which repeats = Which::none;  ///< all blocks but the first and the last two
  Which blocks = Which::none;   ///< these four as well, each by itself
};

/// The pieces that a stage asks for.
class Choosing {
 public:
  Choosing(const Foldable& graph, const Stage& stage) : graph_(graph), order_(graph.order), stage_(stage) {}

  /// `fixed` are among them.
  std::vector<Piece> all(const std::vector<Piece>& fixed) {
    Place from = 0;
    for (const Piece& piece : fixed) {
      range(0, from, piece.first);
      pieces_.push_back(piece);
      from = piece.end;
    }
    range(0, from, order_.size());
    return std::move(pieces_);
  }

 private:
  /// What stands side by side in a call, as far as it lies in [from, to).
  void range(std::uint32_t c, Place from, Place to) {
    const Call& call = order_.calls[c];
    std::uint32_t inner = c + 1;
    auto repeat =
        std::partition_point(graph_.repeats.begin(), graph_.repeats.end(), [&](const Repeat& r) { return r.call < c; });
    for (Place op = from; op < to;) {
      while (inner < call.next && order_.calls[inner].end <= op) inner = order_.calls[inner].next;
      const auto is_past = [&](const Repeat& r) {
        return r.first < op || r.end > to || (r.inner && stage_.repeats == Stage::Which::some);
      };
      while (repeat != graph_.repeats.end() && repeat->call == c && is_past(*repeat)) ++repeat;
      const bool repeats = stage_.repeats != Stage::Which::none && repeat != graph_.repeats.end() && repeat->call == c;
      if (repeats && repeat->first == op) {
        folded(*repeat);
        op = repeat->end;
      } else if (inner < call.next && order_.calls[inner].first <= op) {
        const Place end = std::min(to, order_.calls[inner].end);
        if (order_.calls[inner].level < std::max(stage_.level, 1)) range(inner, op, end);
        else if (stage_.level == 0) modules(op, end);
        else pieces_.push_back({op, end, Piece::Kind::module, inner, 0, 1});
        op = end;
      } else {
        Place end = op + 1;
        while (stage_.chains && end < to && order_.chained[end - 1] && !(repeats && repeat->first == end)) ++end;
        if (end - op > 1) pieces_.push_back({op, end, Piece::Kind::chain, 0, 0, 1});
        op = end;
      }
    }
  }

  /// All that is in modules as one.
  void modules(Place first, Place end) {
    const bool goes_on = !pieces_.empty() && pieces_.back().end == first && pieces_.back().kind == Piece::Kind::modules;
    if (goes_on) pieces_.back().end = end;
    else pieces_.push_back({first, end, Piece::Kind::modules, 0, 0, 1});
  }

  void folded(const Repeat& repeat) {
    const auto of = static_cast<std::uint32_t>(&repeat - graph_.repeats.data());
    const auto blocks = static_cast<std::uint32_t>(repeat.blocks());
    const auto block = [&](std::uint32_t n) { one_block(repeat, of, n); };
    block(0), block(1);
    pieces_.push_back({repeat.block(2), repeat.block(blocks - 2), Piece::Kind::block, of, 2, blocks - 4});
    block(blocks - 2), block(blocks - 1);
  }

  /// One that stays: a record if it is a single module that is to be one.
  void one_block(const Repeat& repeat, std::uint32_t of, std::uint32_t n) {
    const Place first = repeat.block(n), end = first + repeat.length;
    const bool asked = stage_.blocks == Stage::Which::all || (stage_.blocks == Stage::Which::some && repeat.inner);
    if (repeat.length > 1 && (asked || is_folded_module(repeat.call, first, end)))
      pieces_.push_back({first, end, Piece::Kind::block, of, n, 1});
    else range(repeat.call, first, end);
  }

  bool is_folded_module(std::uint32_t outer, Place first, Place end) const {
    if (order_.calls[outer].level + 1 < std::max(stage_.level, 1)) return false;
    for (std::uint32_t c = outer + 1; c < order_.calls[outer].next; c = order_.calls[c].next)
      if (order_.calls[c].first == first) return order_.calls[c].end == end;
    return false;
  }

  const Foldable& graph_;
  const Order& order_;
  const Stage stage_;
  std::vector<Piece> pieces_;
};

std::vector<Stage> stages_of(const Order& order, const DotOptions& options) {
  const int level = std::min(options.depth, order.levels + 1);
  using enum Stage::Which;
  std::vector<Stage> stages{{level, false, none, none}, {level, true, none, none}, {level, false, some, none},
                            {level, true, some, none},  {level, true, all, none},  {level, true, all, some}};
  for (int shallower = level - 1; shallower > 1; --shallower) stages.push_back({shallower, true, all, some});
  for (int shallower = level; shallower > 0; --shallower) stages.push_back({shallower, true, all, all});
  return stages;
}

/// What is left, so many neighbours as one; the loss stays by itself.
std::vector<Piece> cut(const Foldable& graph, const std::vector<Piece>& atoms, std::size_t each, bool open) {
  const Order& order = graph.order;
  const Place loss = graph.trace.root == 0 ? nowhere : order.place[graph.trace.at(graph.trace.root)];
  std::vector<Piece> pieces;
  std::size_t taken = each;
  for (const Piece& atom : atoms) {
    const bool is_loss = atom.first <= loss && loss < atom.end;
    if (taken == each || is_loss) {
      pieces.push_back(atom);
      taken = 0;
    } else {
      pieces.back() = {pieces.back().first, atom.end, Piece::Kind::stretch, 0, 0, 1};
    }
    taken = is_loss ? each : taken + 1;
  }
  const auto single = [](const Piece& p) { return p.kind == Piece::Kind::stretch && p.end - p.first == 1; };
  if (open) std::erase_if(pieces, single);
  return pieces;
}

/// The pieces, and each other op as one.
std::vector<Piece> atoms_of(const Foldable& graph, const std::vector<Piece>& pieces) {
  std::vector<Piece> atoms;
  auto piece = pieces.begin();
  for (Place op = 0; op < graph.order.size(); op = atoms.back().end) {
    if (piece != pieces.end() && piece->first == op) atoms.push_back(*piece++);
    else atoms.push_back({op, op + 1, Piece::Kind::stretch, 0, 0, 1});
  }
  return atoms;
}

/// How many records all lines between records pass: dot takes seconds for more than a few thousand.
std::size_t length_of_lines(const Order& order, const std::vector<Piece>& pieces) {
  std::vector<std::uint32_t> record(order.size());  // of an op: which record it becomes a part of
  std::uint32_t records = 0;
  auto piece = pieces.begin();
  for (Place op = 0; op < order.size(); ++records) {
    const Place end = piece != pieces.end() && piece->first == op ? (piece++)->end : op + 1;
    for (; op < end; ++op) record[op] = records;
  }
  std::size_t length = 0;
  std::vector<std::uint32_t> reader(records, nowhere);  // the last that was seen to read it
  for (Place op = 0; op < order.size(); ++op) {
    for (std::uint32_t i = order.begin[op]; i < order.begin[op + 1]; ++i) {
      if (order.reads[i] == nowhere || order.place[order.reads[i]] == nowhere) continue;
      const std::uint32_t from = record[order.place[order.reads[i]]];
      if (from != record[op] && reader[from] != record[op]) length += record[op] - from;
      reader[from] = record[op];
    }
  }
  return length;
}

/// Tries one way to fold after the other, each of which leaves less than the one before, until one fits.  None of them
/// knows the budget, so that a smaller one never shows more.
class Planning {
 public:
  Planning(const Foldable& graph, const DotOptions& options)
      : graph_(graph), options_(options), most_(static_cast<std::size_t>(options.max_nodes)) {}

  Trace run(const std::vector<Piece>& fixed) {
    std::vector<Piece> pieces;
    for (const Stage& stage : stages_of(graph_.order, options_)) {
      pieces = Choosing(graph_, stage).all(fixed);
      for (const Leaves& leaves : {Leaves{true, true, true}, Leaves{true, false, true}, Leaves{false, false, true}})
        if (drawn(graph_, pieces, leaves, most_) <= most_) return done(pieces, leaves);
    }
    const std::vector<Piece> atoms = atoms_of(graph_, pieces);
    for (std::size_t each = 1; each < 2 * atoms.size(); each += 1 + each / 12) {
      if (atoms.size() / each > most_) continue;
      pieces = cut(graph_, atoms, each, true);
      if (length_of_lines(graph_.order, pieces) > longest_lines) continue;
      for (const Leaves& leaves : {Leaves{false, true, false}, Leaves{false, false, false}})
        if (drawn(graph_, pieces, leaves, most_) <= most_) return done(pieces, leaves);
    }
    pieces = cut(graph_, atoms, atoms.size(), false);
    if (drawn(graph_, pieces, {false, false, false}, most_) > most_)
      pieces = {{0, graph_.order.size(), Piece::Kind::stretch, 0, 0, 1}};
    if (graph_.order.size() == 0) pieces.clear();
    return done(pieces, {false, false, false});
  }

 private:
  Trace done(const std::vector<Piece>& pieces, const Leaves& leaves) const {
    if (pieces.empty() && leaves.keep_unused) return graph_.trace;
    return contract(graph_, pieces, leaves, options_.focus);
  }

  static constexpr std::size_t longest_lines = 1500;

  const Foldable& graph_;
  const DotOptions& options_;
  const std::size_t most_;
};

void check(const DotOptions& options) {
  if (options.max_nodes < 2)
    throw UsageError(fmt::format("graphviz: max_nodes is {}; it must be at least 2", options.max_nodes));
  if (options.radius < 0)
    throw UsageError(fmt::format("graphviz: radius is {}; it must be at least 0", options.radius));
}

}  // namespace

Trace fold(const Trace& trace, const DotOptions& options) {
  check(options);
  Foldable graph{trace, order_of(trace), {}};
  const std::vector<Piece> outside = outside_focus(graph, options);
  const bool fits = drawn(graph, outside, {}, static_cast<std::size_t>(options.max_nodes)) <=
                    static_cast<std::size_t>(options.max_nodes);
  if (!fits) graph.repeats = find_repeats(trace, graph.order);
  return Planning(graph, options).run(outside);
}

}  // namespace ebb::graphviz
