// What is true of a graph and of the cards that it is drawn as, in the words of pictures.
#pragma once

#include "truth.h"

namespace ebb::truth {

using Kind = Node::Kind;

inline double rms(const Tensor& t) { return graphs::rms(t); }

inline double value_of(const Node& n) {
  return n.scalar ? n.value_number : n.shape.size() == 1 ? n.value.to(f64).item() : rms(n.value);
}
inline bool has_value(const Node& n) { return n.scalar || n.value.defined(); }

inline std::optional<double> gradient_of(const Node& n) {
  if (!n.differentiated) return {};
  if (n.scalar) return n.gradient_number;
  if (!n.gradient.defined()) return {};
  return rms(n.gradient);
}

// What an op sent to its operand i: the root mean square of the tensor, of a scalar the number itself.
inline std::optional<double> sent_by(const Node& op, std::size_t i) {
  if (i >= op.contributions.size() || std::isnan(op.contributions[i])) return {};
  if (i < op.sent.size() && op.sent[i].defined()) return rms(op.sent[i]);
  const bool one_of_many = op.op == "element";
  return i < op.sent_numbers.size() && !one_of_many ? op.sent_numbers[i] : op.contributions[i];
}

// The least and the greatest of what is neither zero nor infinite.
inline std::optional<std::pair<double, double>> range_of(const std::vector<double>& values) {
  std::optional<std::pair<double, double>> range;
  for (const double v : values) {
    const double size = std::abs(v);
    if (size == 0 || !std::isfinite(size)) continue;
    range = range ? std::pair(std::min(range->first, size), std::max(range->second, size)) : std::pair(size, size);
  }
  return range;
}

inline std::string range_words(const std::vector<double>& values) {
  const auto range = range_of(values);
  if (!range) return "–";
  const std::string low = three_digits(range->first);
  return range->first == range->second ? low : low + " … " + three_digits(range->second);
}

// Heights on a scale of powers, "·" for 0; at most 48, else neighbours share one, by their geometric mean.
inline std::string curve_of(const std::vector<double>& values) {
  const auto range = range_of(values).value_or(std::pair(1.0, 1.0));
  const std::size_t shown = std::min<std::size_t>(48, values.size());
  std::string text;
  for (std::size_t i = 0; i < shown; ++i) {
    double logs = 0;
    int n = 0;
    for (std::size_t j = i * values.size() / shown; j < (i + 1) * values.size() / shown; ++j)
      if (values[j] != 0) logs += std::log10(values[j]), ++n;
    const double all = std::log10(range.second / range.first);
    const double share = all > 0 ? (logs / n - std::log10(range.first)) / all : 0.5;
    text += n == 0 ? "·" : blocks()[static_cast<std::size_t>(std::lround(7 * share))];
  }
  return text;
}

/// An op that is drawn, or several that are drawn as one.
struct Card {
  std::uint32_t id = 0;
  std::vector<const Node*> ops;
  const Node* slice = nullptr;  ///< that its only op reads, drawn in the same card
  bool folded = false;          ///< drawn as one, if it is but one
  bool holds(std::uint32_t op) const {
    return std::any_of(ops.begin(), ops.end(), [&](const Node* n) { return n->id == op; }) ||
           (slice != nullptr && slice->id == op);
  }
};

/// What one op uses of a node.
struct Use {
  const Node* op;
  std::size_t operand;
};

class Facts {
 public:
  explicit Facts(const std::vector<Node>& nodes) {
    for (const Node& n : nodes) {
      by_id_[n.id] = &n;
      if (n.order == 1) root = &n;
      for (std::size_t i = 0; i < n.inputs.size(); ++i) uses_[n.inputs[i]].push_back({&n, i});
    }
  }

  const Node& operator[](std::uint32_t id) const { return *by_id_.at(id); }
  bool holds(std::uint32_t id) const { return by_id_.contains(id); }
  const std::vector<Use>& uses(std::uint32_t id) const {
    static const std::vector<Use> none;
    const auto found = uses_.find(id);
    return found == uses_.end() ? none : found->second;
  }
  /// How many gradients met there: the scalar lane does not count those that it adds up.
  std::size_t met(const Node& n) const {
    const std::vector<Use>& all = uses(n.id);
    const auto sends = [](const Use& use) { return sent_by(*use.op, use.operand).has_value(); };
    const auto sent = static_cast<std::size_t>(std::count_if(all.begin(), all.end(), sends));
    return std::max<std::size_t>(n.uses, sent);
  }
  template <class F> std::int64_t count(F&& is_one) const {
    return std::count_if(by_id_.begin(), by_id_.end(), [&](const auto& entry) { return is_one(*entry.second); });
  }
  const std::map<std::uint32_t, const Node*>& nodes() const { return by_id_; }

  /// The cards, and whether they say that they are folded: what is not drawn was folded into the op that is drawn next.
  void draw(const std::map<std::uint32_t, bool>& drawn, bool recorded_apart, const std::set<std::uint32_t>& slices) {
    Card card;
    for (const auto& [id, n] : by_id_) {
      const bool apart = (recorded_apart && n->backward_of != 0) || slices.contains(id);
      if (n->kind != Kind::op || (apart && !drawn.contains(id))) continue;
      card.ops.push_back(n);
      if (!drawn.contains(id)) continue;
      card.id = id, card.folded = drawn.at(id) || card.ops.size() > 1;
      if (!slices.empty() && n->inputs.size() == 1 && slices.contains(n->inputs[0])) card.slice = by_id_[n->inputs[0]];
      cards[id] = card;
      card = Card();
    }
    unfinished = card.ops.size();
  }

  /// The op whose result is the card's.
  const Node& output(const Card& card) const {
    const Node* found = nullptr;
    for (auto op = card.ops.rbegin(); op != card.ops.rend(); ++op) {
      if (*op == root) return **op;
      const auto& uses = this->uses((*op)->id);
      if (std::none_of(uses.begin(), uses.end(), [&](const Use& use) { return !card.holds(use.op->id); })) continue;
      if (found == nullptr || ((*op)->differentiated && !found->differentiated)) found = *op;
    }
    return found == nullptr ? *card.ops.back() : *found;
  }

  /// Parameters and variables that it alone uses, in the order in which it reads them.
  std::vector<const Node*> own_leaves(const Card& card) const {
    std::vector<const Node*> own;
    for (const Node* op : card.ops) {
      for (const std::uint32_t id : op->inputs) {
        if (id == 0 || (*this)[id].kind == Kind::op || (*this)[id].kind == Kind::constant) continue;
        const auto& uses = this->uses(id);
        const bool alone = std::all_of(uses.begin(), uses.end(), [&](const Use& u) { return card.holds(u.op->id); });
        if (alone && std::find(own.begin(), own.end(), by_id_.at(id)) == own.end()) own.push_back(by_id_.at(id));
      }
    }
    return own;
  }

  /// What the ops of `taker` sent to those of `from`, a card or a leaf: each by itself.
  std::vector<double> flows(const Card* from, std::uint32_t leaf, const Card& taker,
                            std::size_t* lines = nullptr) const {
    std::vector<double> sizes;
    std::size_t n = 0;
    const auto take = [&](const Node& op) {
      for (std::size_t i = 0; i < op.inputs.size(); ++i) {
        const std::uint32_t id = op.inputs[i];
        if (id == 0 || (from != nullptr ? !from->holds(id) : id != leaf) || taker.holds(id)) continue;
        ++n;
        if (const auto sent = sent_by(op, i)) sizes.push_back(*sent);
        else if (op.scalar && op.order == 0 && root != nullptr) sizes.push_back(0);  // it takes no step for a 0
      }
    };
    for (const Node* op : taker.ops) take(*op);
    if (taker.slice != nullptr) take(*taker.slice);
    if (lines != nullptr) *lines = n;
    return sizes;
  }
  static std::optional<double> largest(const std::vector<double>& sizes) {
    std::optional<double> found;
    for (const double v : sizes)
      if (!found || std::abs(v) > std::abs(*found)) found = v;
    return found;
  }

  std::pair<std::uint32_t, std::uint32_t> steps(const Card& card) const {
    std::pair<std::uint32_t, std::uint32_t> range{0, 0};
    for (const Node* n : card.ops) {
      if (n->order == 0) continue;
      range.first = range.first == 0 ? n->order : std::min(range.first, n->order);
      range.second = std::max(range.second, n->order);
    }
    return range;
  }
  std::string steps_words(const Card& card) const {
    const auto [first, last] = steps(card);
    if (last == 0) return "";
    return std::to_string(first) + (first == last ? "" : "–" + std::to_string(last));
  }

  std::int64_t saved_bytes(const Card& card) const {
    std::int64_t all = 0;
    for (const Node* n : card.ops)
      for (const auto& [what, bytes] : saved(*n)) all += bytes;
    return all;
  }
  /// What it keeps, but for parameters.
  std::vector<std::pair<std::string, std::int64_t>> saved(const Node& op) const {
    std::vector<std::pair<std::string, std::int64_t>> all;
    for (const Node::Saved& s : op.saved) {
      const auto at = std::find(op.operands.begin(), op.operands.end(), s.what);
      const auto i = static_cast<std::size_t>(at - op.operands.begin());
      const bool parameter =
          at != op.operands.end() && op.inputs[i] != 0 && (*this)[op.inputs[i]].kind == Kind::parameter;
      if (!parameter) all.emplace_back(s.what, s.bytes);
    }
    return all;
  }

  /// How often blocks equal to its ops, of `length` each, stand right before it, and right after it.
  std::pair<std::size_t, std::size_t> equal_neighbours(const Card& card, std::size_t length) const {
    std::vector<const Node*> ops;
    for (const auto& [id, n] : by_id_)
      if (n->kind == Kind::op) ops.push_back(n);
    const auto at = static_cast<std::size_t>(std::find(ops.begin(), ops.end(), card.ops[0]) - ops.begin());
    const auto equal = [&](std::size_t place) {
      for (std::size_t i = 0; i < length; ++i)
        if (place + i >= ops.size() || ops[place + i]->op != card.ops[i]->op) return false;
      return true;
    };
    std::pair<std::size_t, std::size_t> n{0, 0};
    while (at >= (n.first + 1) * length && equal(at - (n.first + 1) * length)) ++n.first;
    while (equal(at + card.ops.size() + n.second * length)) ++n.second;
    return n;
  }

  const Node* root = nullptr;
  std::map<std::uint32_t, Card> cards;
  std::size_t unfinished = 0;  ///< ops that are in no card

 private:
  std::map<std::uint32_t, const Node*> by_id_;
  std::map<std::uint32_t, std::vector<Use>> uses_;
};

}  // namespace ebb::truth
