#include "fold_order.h"

#include <algorithm>
#include <array>

namespace ebb::graphviz {

namespace {

constexpr int most_levels = 60;  // paths that a file may hold are not to overflow the stack

std::uint64_t hash_of(std::string_view text) {
  std::uint64_t hash = text.size();
  for (const char c : text) hash = mix(hash, static_cast<unsigned char>(c));
  return hash;
}

/// hash_of() texts that are few, and kept where they are.
class Names {
 public:
  std::uint64_t operator()(std::string_view text) {
    Known& known = known_[(reinterpret_cast<std::uintptr_t>(text.data()) / 8) % known_.size()];
    if (known.text.data() != text.data() || known.text.size() != text.size()) known = {text, hash_of(text)};
    return known.hash;
  }

 private:
  struct Known {
    std::string_view text;
    std::uint64_t hash = hash_of({});
  };
  std::array<Known, 256> known_;
};

std::uint64_t look_of(const Record& r, Names& names) {
  std::uint64_t hash = mix(names(r.op), names(r.dtype));
  hash = mix(hash, 2 * r.operands.size() + (r.scalar ? 1 : 0));
  for (const std::int64_t n : r.shape) hash = mix(hash, static_cast<std::uint64_t>(n));
  return mix(hash, r.backward_of == 0 ? 0 : 1);
}

/// Builds Order::calls from op after op.
class Calling {
 public:
  explicit Calling(Order& order) : order_(order) { order_.calls.push_back({}); }

  void add(Place op, const Record& r) {
    const bool backward = r.backward_of != 0;
    if (r.scope.data() == scope_.data() && r.scope.size() == scope_.size() && r.scope_call == number_ &&
        backward == backward_)
      return;
    scope_ = r.scope, number_ = r.scope_call, backward_ = backward;
    while (at_ != 0 && !holds(order_.calls[at_], r)) close(op);
    while (order_.calls[at_].path.size() < r.scope.size()) open(op, r);
    if (!is_own_[at_]) own(r);
  }
  void finish() {
    while (at_ != 0) close(order_.size());
    order_.calls[0].end = order_.size();
    order_.calls[0].next = static_cast<std::uint32_t>(order_.calls.size());
  }

 private:
  bool holds(const Call& call, const Record& r) const {
    if (call.backward != backward_ || !r.scope.starts_with(call.path)) return false;
    if (r.scope.size() == call.path.size()) return !is_own_[at_] || call.number == r.scope_call;
    return r.scope[call.path.size()] == '.' && call.path.size() < names_of(r.scope).size();
  }
  void own(const Record& r) {
    order_.calls[at_].number = r.scope_call;
    order_.calls[at_].kind = r.scope_kind;
    is_own_[at_] = true;
  }
  void open(Place op, const Record& r) {
    const Call& outer = order_.calls[at_];
    const std::size_t from = outer.path.empty() ? 0 : outer.path.size() + 1;
    const std::size_t dot = names_of(r.scope).find('.', from + 1);  // one more, so that ".." has an end
    Call call;
    call.path = outer.level + 1 < most_levels ? r.scope.substr(0, dot) : r.scope;
    call.number = r.scope_call;
    call.backward = backward_;
    call.level = outer.level + 1;
    call.first = op;
    call.outer = at_;
    order_.levels = std::max(order_.levels, call.level);
    at_ = static_cast<std::uint32_t>(order_.calls.size());
    order_.calls.push_back(call);
    is_own_.resize(order_.calls.size());
  }
  void close(Place end) {
    Call& call = order_.calls[at_];
    call.end = end;
    call.next = static_cast<std::uint32_t>(order_.calls.size());
    at_ = call.outer;
  }

  Order& order_;
  std::uint32_t at_ = 0, number_ = 0;  // at_: the innermost that is open
  std::vector<bool> is_own_ = {true};  // of a call: an op of its own was seen
  std::string_view scope_;
  bool backward_ = false;
};

/// Inner calls come later in the list.
void find_looks(Order& order) {
  order.look_of.resize(order.calls.size());
  for (std::size_t c = order.calls.size(); c-- > 0;) {
    const Call& call = order.calls[c];
    std::uint64_t hash = call.backward ? 2 : 1;
    std::size_t inner = c + 1;
    for (Place op = call.first; op < call.end;) {
      if (inner < call.next && order.calls[inner].first == op) {
        hash = mix(hash, order.look_of[inner]);
        op = order.calls[inner].end;
        inner = order.calls[inner].next;
      } else {
        hash = mix(hash, order.look[op++]);
      }
    }
    order.look_of[c] = hash;
  }
}

bool is_chained(const Trace& trace, const Record& op, const Record& next) {
  if (!op.pointwise || !next.pointwise || op.id == trace.root || op.change != next.change) return false;
  if (op.scope != next.scope || op.scope_call != next.scope_call || (op.backward_of == 0) != (next.backward_of == 0))
    return false;
  const auto is_op = [&](const Operand& o) { return o.id == op.id; };
  return op.users > 0 && std::count_if(next.operands.begin(), next.operands.end(), is_op) == op.users;
}

}  // namespace

std::string_view names_of(std::string_view path) { return path.substr(0, path.find('(')); }

Order order_of(const Trace& trace) {
  Order order;
  Names names;
  Calling calling(order);
  order.place.assign(trace.records.size(), nowhere);
  order.record.reserve(static_cast<std::size_t>(trace.ops));
  order.look.reserve(static_cast<std::size_t>(trace.ops));
  order.chained.reserve(static_cast<std::size_t>(trace.ops));
  for (std::size_t i = 0; i < trace.records.size(); ++i) {
    const Record& r = trace.records[i];
    if (!r.is_op()) continue;
    const Place op = order.size();
    if (op > 0) order.chained.push_back(is_chained(trace, trace.records[order.record.back()], r));
    order.place[i] = op;
    order.record.push_back(static_cast<std::uint32_t>(i));
    order.begin.push_back(static_cast<std::uint32_t>(order.reads.size()));
    for (const Operand& o : r.operands)
      order.reads.push_back(o.id == 0 ? nowhere : static_cast<std::uint32_t>(trace.at(o.id)));
    order.look.push_back(look_of(r, names));
    calling.add(op, r);
  }
  order.begin.push_back(static_cast<std::uint32_t>(order.reads.size()));
  order.chained.push_back(false);
  calling.finish();
  find_looks(order);
  return order;
}

}  // namespace ebb::graphviz
