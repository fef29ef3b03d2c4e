#include "fold_pieces.h"

#include "fold_leaves.h"
#include "text.h"

#include <algorithm>
#include <cmath>

namespace ebb::graphviz {

namespace {

/// The root mean square of several lists, each given by its own.
class MeanSquare {
 public:
  void add(double rms, std::int64_t size) {
    squares_ += rms * rms * static_cast<double>(size);
    size_ += size;
  }
  bool any() const { return size_ > 0; }
  double root() const { return std::sqrt(squares_ / static_cast<double>(size_)); }

 private:
  double squares_ = 0;
  std::int64_t size_ = 0;
};

Fold::Kind kind_of(Piece::Kind kind) {
  switch (kind) {
    case Piece::Kind::module:
    case Piece::Kind::modules:
      return Fold::Kind::module;
    case Piece::Kind::block:
      return Fold::Kind::repeat;
    case Piece::Kind::chain:
      return Fold::Kind::chain;
    default:
      return Fold::Kind::stretch;
  }
}

class Contracting {
 public:
  Contracting(const Foldable& graph, const std::vector<Piece>& pieces, const Leaves& leaves, const std::string& focus)
      : graph_(graph),
        trace_(graph.trace),
        order_(graph.order),
        pieces_(pieces),
        use_(graph, pieces, leaves),
        focus_(focus),
        result_(trace_.without_records()) {}

  Trace run() {
    place_ops();
    result_.folded = summary(graph_, pieces_, focus_);
    if (const std::int64_t n = use_.gone(); n > 0) result_.folded.push_back(count(n, "shared parameter"));
    auto piece = pieces_.begin();
    for (std::size_t i = 0; i < trace_.records.size(); ++i) {
      const Place op = order_.place[i];
      if (op == nowhere) {
        if (use_.stays(i)) result_.records.push_back(trace_.records[i]);
        continue;
      }
      while (piece != pieces_.end() && piece->end <= op) ++piece;
      if (piece == pieces_.end() || op < piece->first) open_op(i);
      else if (op + 1 == piece->end) folded(static_cast<std::uint32_t>(piece - pieces_.begin()));
    }
    if (trace_.root != 0) result_.root = id_of_[trace_.at(trace_.root)];
    result_.index();
    count_users();
    return std::move(result_);
  }

 private:
  /// What each record becomes a part of, and what leaves each piece.
  void place_ops() {
    id_of_.resize(trace_.records.size());
    for (std::size_t i = 0; i < id_of_.size(); ++i)
      id_of_[i] = order_.place[i] == nowhere && !use_.stays(i) ? 0 : trace_.records[i].id;
    for (const Piece& piece : pieces_)
      for (Place op = piece.first; op < piece.end; ++op)
        id_of_[order_.record[op]] = trace_.records[order_.record[piece.end - 1]].id;
    leaves_it_.resize(order_.size());
    for (Place op = 0; op < order_.size(); ++op) {
      const std::uint32_t id = id_of_[order_.record[op]];
      for (std::uint32_t i = order_.begin[op]; i < order_.begin[op + 1]; ++i) {
        const std::uint32_t read = order_.reads[i];
        if (read != nowhere && order_.place[read] != nowhere && id_of_[read] != id)
          leaves_it_[order_.place[read]] = true;
      }
    }
    slot_.assign(trace_.records.size(), nowhere);
  }

  const Record& op(Place place) const { return trace_.records[order_.record[place]]; }

  void open_op(std::size_t i) {
    Record r = trace_.records[i];
    std::vector<Operand> operands(r.operands.begin(), r.operands.end());
    for (Operand& o : operands)
      if (o.id != 0) o.id = id_of_[trace_.at(o.id)];
    r.operands = result_.keep(operands);
    r.backward_of = origin(r);
    result_.records.push_back(r);
  }

  std::uint32_t origin(const Record& r) const {
    return r.backward_of == 0 || !trace_.holds(r.backward_of) ? 0 : id_of_[trace_.at(r.backward_of)];
  }

  /// The op whose result is the piece's: the loss, else the last to be read from outside that has a gradient, else the
  /// last to be read from outside.
  Place output_of(const Piece& piece) const {
    Place found = nowhere;
    for (Place place = piece.end; place-- > piece.first;) {
      if (op(place).id == trace_.root) return place;
      if (!leaves_it_[place]) continue;
      if (found == nowhere) found = place;
      const bool better = op(place).gradient.state != Gradient::State::unneeded;
      if (better && op(found).gradient.state == Gradient::State::unneeded) found = place;
    }
    return found == nowhere ? piece.end - 1 : found;
  }

  void folded(std::uint32_t n) {
    const Piece& piece = pieces_[n];
    const Record& last = op(piece.end - 1);
    Record r = op(output_of(piece));
    Fold fold;
    const Words words = words_of(graph_, piece, focus_);
    fold.title = result_.keep(words.title), fold.detail = result_.keep(words.detail);
    fold.kind = kind_of(piece.kind);
    fold.times = piece.blocks;
    r.id = last.id;
    r.op = fold.title, r.formula = r.rule = r.name = {};
    r.pointwise = false;
    place_in_module(piece, r);
    sum_up(piece, r, fold);
    merge_operands(piece, r);
    take_in(n, fold);
    if (piece.kind == Piece::Kind::block) fold.series = series_of(piece);
    r.fold = result_.keep(fold);
    result_.records.push_back(r);
  }

  /// The module around it.
  void place_in_module(const Piece& piece, Record& r) const {
    std::uint32_t c = 0;
    if (piece.kind == Piece::Kind::module) {
      c = order_.calls[piece.of].outer;
    } else if (piece.kind == Piece::Kind::block) {
      c = graph_.repeats[piece.of].call;
    } else {
      while (true) {  // the innermost that holds all of it
        std::uint32_t inner = c + 1;
        while (inner < order_.calls[c].next && order_.calls[inner].end <= piece.first) inner = order_.calls[inner].next;
        if (inner >= order_.calls[c].next || order_.calls[inner].first > piece.first ||
            order_.calls[inner].end < piece.end)
          break;
        c = inner;
      }
    }
    const Call& call = order_.calls[c];
    r.scope = call.path, r.scope_kind = call.kind, r.scope_call = call.number;
  }

  /// Times, steps, bytes, and the gradients within.
  void sum_up(const Piece& piece, Record& r, Fold& fold) {
    r.forward_seconds = r.backward_seconds = 0, r.order = 0;
    std::int64_t saved = 0;
    bool all_backward = true;
    for (Place place = piece.first; place < piece.end; ++place) {
      const Record& inner = op(place);
      fold.ops += inner.fold != nullptr ? inner.fold->ops : 1;
      r.forward_seconds += inner.forward_seconds, r.backward_seconds += inner.backward_seconds;
      for (const Saved& s : inner.saved) saved += s.bytes;
      if (inner.change != r.change) r.change = Change::none;
      all_backward = all_backward && inner.backward_of != 0;
      const auto step = [&](std::uint32_t first, std::uint32_t last_step) {
        if (first == 0) return;
        fold.first_step = fold.first_step == 0 ? first : std::min(fold.first_step, first);
        fold.last_step = std::max(fold.last_step, last_step);
      };
      const auto size = [&](double gradient) {
        const double g = std::abs(gradient);
        if (!std::isfinite(g) || g == 0) return;
        if (!(fold.least <= g)) fold.least = g;
        if (!(fold.most >= g)) fold.most = g;
      };
      if (inner.fold != nullptr) {
        step(inner.fold->first_step, inner.fold->last_step);
        size(inner.fold->least), size(inner.fold->most);
      } else {
        step(inner.order, inner.order);
        if (inner.gradient.state == Gradient::State::known) size(inner.gradient.size);
      }
    }
    r.order = fold.first_step;
    r.saved = {};
    if (saved > 0) r.saved = result_.keep(std::vector<Saved>{{"…", saved}});
    r.backward_of = all_backward ? origin(op(piece.first)) : 0;
    if (r.backward_of == r.id) r.backward_of = 0;
  }

  /// One operand for each record that it reads: with the largest contribution, and the name if there is but one.
  void merge_operands(const Piece& piece, Record& r) {
    std::vector<Operand> operands;
    std::vector<std::size_t> touched;
    for (Place place = piece.first; place < piece.end; ++place) {
      const std::uint32_t* reads = order_.reads.data() + order_.begin[place];
      for (const Operand& o : op(place).operands) {
        const std::uint32_t read = *reads++;
        if (read == nowhere) continue;
        const std::uint32_t id = id_of_[read];
        if (id == 0 || id == r.id) continue;
        const std::size_t key = order_.place[read] == nowhere ? read : trace_.at(id);
        if (slot_[key] == nowhere) {
          slot_[key] = static_cast<std::uint32_t>(operands.size());
          touched.push_back(key);
          operands.push_back(o);
          operands.back().id = id, operands.back().number = no_number;
          continue;
        }
        Operand& same = operands[slot_[key]];
        same.times += o.times;
        if (same.name != o.name) same.name = {};
        if (std::isnan(same.contribution) || std::abs(o.contribution) > std::abs(same.contribution))
          same.contribution = o.contribution;
      }
    }
    for (const std::size_t key : touched) slot_[key] = nowhere;
    r.operands = result_.keep(operands);
  }

  /// The leaves that it alone reads, each once.
  void take_in(std::uint32_t n, Fold& fold) {
    constexpr std::size_t most_names = 4;
    const Piece& piece = pieces_[n];
    MeanSquare values, gradients;
    std::vector<std::string_view> names;
    std::vector<std::uint32_t> touched;
    for (Place place = piece.first; place < piece.end; ++place) {
      if (const Fold* inner = op(place).fold; inner != nullptr && inner->parameters > 0) {
        fold.parameters += inner->parameters;
        values.add(inner->parameter_rms, inner->parameters);
        add(inner->parameter_gradient, inner->parameters, gradients, fold.parameter_gradient);
        names.insert(names.end(), inner->parameter_names.begin(), inner->parameter_names.end());
      }
      for (std::uint32_t i = order_.begin[place]; i < order_.begin[place + 1]; ++i) {
        const std::uint32_t leaf = order_.reads[i];
        if (leaf == nowhere || use_.owner(leaf) != n || slot_[leaf] != nowhere) continue;
        slot_[leaf] = 0;
        touched.push_back(leaf);
        const Record& r = trace_.records[leaf];
        if (r.kind == Node::Kind::constant) continue;
        fold.parameters += r.size();
        values.add(r.value, r.size());
        add(r.gradient, r.size(), gradients, fold.parameter_gradient);
        if (names.size() < most_names) names.push_back(r.name);
      }
    }
    for (const std::uint32_t leaf : touched) slot_[leaf] = nowhere;
    if (fold.parameters == 0) return;
    fold.parameter_rms = values.root();
    if (gradients.any()) fold.parameter_gradient = {Gradient::State::known, gradients.root()};
    names.resize(std::min(names.size(), most_names));
    fold.parameter_names = result_.keep(names);
  }

  /// `sum` is that of the numbers whose gradients are known, and `state` of the others.
  static void add(const Gradient& gradient, std::int64_t size, MeanSquare& sum, Gradient& state) {
    if (gradient.state == Gradient::State::known) sum.add(gradient.size, size);
    else state = gradient;
  }

  /// The gradients that go from block to block, the last computed first, or that of the block's last op if none does; and
  /// that of the largest result, if none of these is as large.  Of more blocks than a curve can show, those at equal
  /// distances from the first to the last.
  std::span<const Fold::Series> series_of(const Piece& piece) {
    constexpr std::size_t most_series = 3;
    constexpr std::uint64_t most_values = 4096;
    const Repeat& repeat = graph_.repeats[piece.of];
    std::vector<Place> chosen(repeat.crossing.rbegin(), repeat.crossing.rend());
    chosen.resize(std::min(chosen.size(), most_series - 1));
    if (chosen.empty()) chosen.push_back(repeat.length - 1);
    std::int64_t most = 0;
    for (const Place i : chosen) most = std::max(most, op(piece.first + i).size());
    Place largest = nowhere;
    for (Place i = 0; i < repeat.length; ++i) {
      const Record& r = op(piece.first + i);
      if (r.gradient.state != Gradient::State::known || r.size() <= most) continue;
      largest = i, most = r.size();
    }
    if (largest != nowhere) chosen.push_back(largest);
    std::vector<Fold::Series> all;
    for (const Place i : chosen) {
      std::vector<double> values;
      bool any = false;
      const std::uint64_t kept = std::min<std::uint64_t>(piece.blocks, most_values);
      for (std::uint64_t n = 0; n < kept; ++n) {
        const auto block = static_cast<std::uint32_t>(n * (piece.blocks - 1) / std::max<std::uint64_t>(kept - 1, 1));
        const Gradient& g = op(repeat.block(piece.block + block) + i).gradient;
        any = any || g.state == Gradient::State::known;
        values.push_back(g.state == Gradient::State::known ? std::abs(g.size) : no_number);
      }
      if (any) all.push_back({result_.keep("g " + name_of(piece.first + i)), result_.keep(values)});
    }
    return result_.keep(all);
  }

  std::string name_of(Place place) const {
    const Record& r = op(place);
    return shorten(r.name.empty() ? r.op : r.name, 24);
  }

  void count_users() {
    for (Record& r : result_.records) r.users = 0;
    for (const Record& r : result_.records)
      for (const Operand& o : r.operands)
        if (o.id != 0) ++result_.records[result_.at(o.id)].users;
  }

  const Foldable& graph_;
  const Trace& trace_;
  const Order& order_;
  const std::vector<Piece>& pieces_;
  const LeafUse use_;
  const std::string& focus_;
  Trace result_;
  std::vector<std::uint32_t> id_of_;  // by place in the trace's records; 0: gone
  std::vector<bool> leaves_it_;       // by place of the op: another record reads it
  std::vector<std::uint32_t> slot_;   // by place in the trace's records: scratch, nowhere in between
};

}  // namespace

std::size_t drawn(const Foldable& graph, const std::vector<Piece>& pieces, const Leaves& leaves, std::size_t most) {
  std::size_t nodes = graph.order.size() + (graph.trace.root != 0 ? 1 : 0);
  for (const Piece& piece : pieces) nodes -= piece.end - piece.first - 1;
  if (nodes > most) return nodes;
  const LeafUse use(graph, pieces, leaves);
  for (std::size_t i = 0; i < graph.trace.records.size(); ++i)
    if (graph.order.place[i] == nowhere && use.stays(i)) nodes += use.places(i);
  return nodes;
}

Trace contract(const Foldable& graph, const std::vector<Piece>& pieces, const Leaves& leaves,
               const std::string& focus) {
  return Contracting(graph, pieces, leaves, focus).run();
}

}  // namespace ebb::graphviz
