#include "fold_repeats.h"

#include <algorithm>
#include <array>
#include <bit>
#include <map>
#include <span>

namespace ebb::graphviz {

namespace {

/// What stands in one call, side by side: its own ops, and calls inside of it.
struct Row {
  std::vector<std::uint64_t> look;
  std::vector<Place> first;  ///< one more at the end
};

Row row_of(const Order& order, std::uint32_t c) {
  const Call& call = order.calls[c];
  Row row;
  std::uint32_t inner = c + 1;
  for (Place op = call.first; op < call.end;) {
    row.first.push_back(op);
    if (inner < call.next && order.calls[inner].first == op) {
      row.look.push_back(order.look_of[inner]);
      op = order.calls[inner].end;
      inner = order.calls[inner].next;
    } else {
      row.look.push_back(order.look[op++]);
    }
  }
  row.first.push_back(call.end);
  return row;
}

/// Neighbours [first, first + lag + matches) of which each looks like the one `lag` further on.
struct Stretch {
  std::size_t first = 0, lag = 0, matches = 0;
  std::size_t blocks() const { return matches / lag + 1; }
};

/// Distances at which a few neighbours look the same again, those that seem to explain most first.
std::vector<std::size_t> lags_of(std::span<const std::uint64_t> look) {
  constexpr std::size_t most = 48;
  std::map<std::size_t, std::size_t> seen;  // lag -> how often
  std::vector<std::uint64_t> group(look.begin(),
                                   look.end());  // hashes of neighbours, first one of them, then 4, 16 and 64
  for (std::size_t in_group = 1; in_group <= 64 && group.size() >= fewest_blocks; in_group *= 4) {
    // Where a hash was seen last; what another one has displaced is forgotten, which loses little.
    const std::size_t slots = std::bit_ceil(std::min<std::size_t>(2 * group.size(), 1 << 20));
    std::vector<std::uint32_t> last(slots, nowhere);
    std::vector<std::uint32_t> tally(group.size());
    for (std::size_t i = 0; i < group.size(); ++i) {
      std::uint32_t& at = last[group[i] & (slots - 1)];
      if (at != nowhere && group[at] == group[i]) ++tally[i - at];
      at = static_cast<std::uint32_t>(i);
    }
    for (std::size_t lag = 1; lag < tally.size() / (fewest_blocks - 1); ++lag)
      if (tally[lag] >= fewest_blocks - 1) seen[lag] = std::max<std::size_t>(seen[lag], tally[lag]);
    std::vector<std::uint64_t> wider;
    for (std::size_t i = 0; i + 3 * in_group < group.size(); ++i)
      wider.push_back(mix(mix(mix(group[i], group[i + in_group]), group[i + 2 * in_group]), group[i + 3 * in_group]));
    group = std::move(wider);
  }
  std::vector<std::pair<std::size_t, std::size_t>> by_share;  // ops explained, lag
  for (const auto& [lag, times] : seen) by_share.emplace_back(lag * times, lag);
  std::stable_sort(by_share.begin(), by_share.end(), [](const auto& a, const auto& b) { return a.first > b.first; });
  std::vector<std::size_t> lags;
  for (const auto& [share, lag] : by_share)
    if (lags.size() < most) lags.push_back(lag);
  return lags;
}

/// Those that cover most first; of two that cover the same, the one with shorter blocks.
std::vector<Stretch> stretches_of(std::span<const std::uint64_t> look) {
  std::vector<Stretch> all;
  for (const std::size_t lag : lags_of(look)) {
    std::size_t first = 0;
    for (std::size_t i = 0; i + lag <= look.size(); ++i) {
      if (i + lag < look.size() && look[i] == look[i + lag]) continue;
      const Stretch found{first, lag, i - first};
      if (found.blocks() >= fewest_blocks) all.push_back(found);
      first = i + 1;
    }
  }
  const auto covered = [](const Stretch& s) { return s.matches + s.lag; };
  std::stable_sort(all.begin(), all.end(), [&](const Stretch& a, const Stretch& b) {
    return covered(a) != covered(b) ? covered(a) > covered(b) : a.lag < b.lag;
  });
  return all;
}

/// Whether blocks that look the same are wired the same, and what they share.
class Wiring {
 public:
  Wiring(const Trace& trace, const Order& order) : trace_(trace), order_(order) {}

  /// Whether the block at `b` reads what the one before it, at `a`, reads, as seen from there, in a row of blocks that
  /// begins at `first`.  What the first of them reads from outside is its own affair: it begins with something else.
  bool same(Place a, Place b, Place first) const {
    const Place length = b - a;
    for (Place op = a; op < b; ++op) {
      if (order_.look[op] != order_.look[op + length]) return false;
      std::uint32_t i = order_.begin[op], j = order_.begin[op + length];
      if (order_.begin[op + 1] - i != order_.begin[op + length + 1] - j) return false;
      for (; i < order_.begin[op + 1]; ++i, ++j)
        if (!same_operand(order_.reads[i], order_.reads[j], a, b, first)) return false;
    }
    return true;
  }

  /// What can be told of two blocks beyond their being wired the same.
  Repeat describe(std::uint32_t call, Place first, Place end, Place length) const {
    Repeat r;
    r.call = call, r.first = first, r.end = end, r.length = length;
    const Place middle = first + length * static_cast<Place>(r.blocks() / 2);
    std::size_t same = 0, distinct = 0;
    for (Place op = middle; op < middle + length; ++op) {
      for (std::uint32_t i = order_.begin[op]; i < order_.begin[op + 1]; ++i) {
        const std::uint32_t read = order_.reads[i];
        if (read == nowhere) continue;
        const Place place = order_.place[read];
        if (place != nowhere && place < middle && place + length >= middle)
          r.crossing.push_back(place + length - middle);
        if (trace_.records[read].kind == Node::Kind::parameter)
          ++(read == operand_before(op, i, length) ? same : distinct);
      }
    }
    std::sort(r.crossing.begin(), r.crossing.end());
    r.crossing.erase(std::unique(r.crossing.begin(), r.crossing.end()), r.crossing.end());
    r.recurrent = !r.crossing.empty();
    using P = Repeat::Parameters;
    if (same + distinct > 0) r.parameters = distinct == 0 ? P::same : same == 0 ? P::distinct : P::some;
    return r;
  }

 private:
  std::uint32_t operand_before(Place op, std::uint32_t i, Place length) const {
    return order_.reads[order_.begin[op - length] + (i - order_.begin[op])];
  }

  bool same_operand(std::uint32_t before, std::uint32_t after, Place a, Place b, Place first) const {
    const Place p = before == nowhere ? nowhere : order_.place[before],
                q = after == nowhere ? nowhere : order_.place[after];
    const auto inside = [&](Place place, Place block) { return place != nowhere && place >= block; };
    if (inside(p, a) || inside(q, b)) return p != nowhere && q != nowhere && q == p + (b - a);
    if (a == first) return true;
    if (p != nowhere && q != nowhere) return q == p + (b - a) || (p < first && q < first);
    if (before == nowhere || after == nowhere) return before == after;
    const Record &x = trace_.records[before], &y = trace_.records[after];
    return p == q && x.kind == y.kind && std::equal(x.shape.begin(), x.shape.end(), y.shape.begin(), y.shape.end());
  }

  const Trace& trace_;
  const Order& order_;
};

class Finding {
 public:
  Finding(const Trace& trace, const Order& order) : order_(order), wiring_(trace, order) {}

  std::vector<Repeat> run() {
    for (std::uint32_t c = 0; c < order_.calls.size(); ++c) {
      if (order_.calls[c].end - order_.calls[c].first < 2 * fewest_blocks) continue;
      const Row row = row_of(order_, c);
      search(c, row, 0, row.look.size(), false);
    }
    std::sort(found_.begin(), found_.end(), [](const Repeat& a, const Repeat& b) {
      return a.call != b.call ? a.call < b.call : a.first != b.first ? a.first < b.first : a.end > b.end;
    });
    return std::move(found_);
  }

 private:
  /// Among the neighbours [from, to) of a row.
  void search(std::uint32_t c, const Row& row, std::size_t from, std::size_t to, bool inner) {
    if (to - from < fewest_blocks) return;
    std::vector<bool> taken(to - from);
    for (const Stretch& s : stretches_of(std::span(row.look).subspan(from, to - from))) {
      // What is left of it by those that cover more.
      const auto begin = taken.begin() + static_cast<std::ptrdiff_t>(s.first);
      const auto end = begin + static_cast<std::ptrdiff_t>(s.matches + s.lag);
      const auto free = std::find(begin, end, false), full = std::find(free, end, true);
      const auto first = static_cast<std::size_t>(free - taken.begin());
      const std::size_t blocks = static_cast<std::size_t>(full - free) / s.lag;
      if (blocks >= fewest_blocks)
        split(c, row, from + first, s.lag, blocks, inner, [&](std::size_t n, std::size_t count) {
          std::fill_n(free + static_cast<std::ptrdiff_t>(n * s.lag), count * s.lag, true);
        });
    }
  }

  /// Blocks that look the same, at `first` of the row, by where their wiring changes; what is found is told to `take`.
  template <class F> void split(std::uint32_t c, const Row& row, std::size_t first, std::size_t lag, std::size_t blocks,
                                bool inner, F&& take) {
    const auto place = [&](std::size_t block) { return row.first[first + block * lag]; };
    const Place length = place(1) - place(0);
    std::size_t begin = 0;
    for (std::size_t n = 1; n <= blocks; ++n) {
      if (n < blocks && place(n + 1) - place(n) == length && wiring_.same(place(n - 1), place(n), place(begin)))
        continue;
      const std::size_t count = n - begin;
      if (count >= fewest_blocks && count * length >= 2 * fewest_blocks) {
        found_.push_back(wiring_.describe(c, place(begin), place(n), length));
        found_.back().inner = inner;
        take(begin, count);
        for (const std::size_t block : {begin, begin + 1, n - 2, n - 1})  // those that stay
          search(c, row, first + block * lag, first + (block + 1) * lag, true);
      }
      begin = n;
    }
  }

  const Order& order_;
  const Wiring wiring_;
  std::vector<Repeat> found_;
};

}  // namespace

std::vector<Repeat> find_repeats(const Trace& trace, const Order& order) { return Finding(trace, order).run(); }

}  // namespace ebb::graphviz
