#include "strip_plan.h"

#include <algorithm>
#include <utility>

namespace ebb::graphviz {

namespace {

constexpr std::size_t widest_row = 12;  // cards; what is a little longer still fits one row
constexpr std::size_t wrapped_row = 10;
constexpr std::size_t most_lines = 3;   // from one leaf
constexpr std::size_t most_inputs = 4;  // constants of one card, each drawn

// In cards: a curve over many steps is as wide as three.
std::size_t room(const Record& r) { return r.fold != nullptr && r.fold->times > 1 && !r.fold->series.empty() ? 3 : 1; }

// The ops that lead to the loss, if each uses the one before.
std::vector<std::uint32_t> chain_of(const Trace& trace, const std::vector<Link>& links) {
  const std::vector<bool> leads = ancestors(trace, trace.root);
  std::vector<std::uint32_t> chain;
  for (std::size_t i = 0; i < trace.records.size(); ++i)
    if (trace.records[i].is_op() && (leads[i] || trace.root == 0)) chain.push_back(trace.records[i].id);
  std::size_t joined = 0;
  for (const Link& link : links) {
    const auto to = std::lower_bound(chain.begin(), chain.end(), link.to);
    if (to != chain.end() && *to == link.to && to != chain.begin() && *(to - 1) == link.from) ++joined;
  }
  return joined + 1 == chain.size() ? chain : std::vector<std::uint32_t>{};
}

std::vector<std::vector<std::uint32_t>> wrapped(const Trace& trace, const std::vector<std::uint32_t>& chain) {
  std::size_t all = 0;
  for (const std::uint32_t id : chain) all += room(trace[id]);
  const std::size_t rows = all <= widest_row ? 1 : (all + wrapped_row - 1) / wrapped_row;
  const std::size_t most = (all + rows - 1) / rows;
  std::vector<std::vector<std::uint32_t>> out;
  std::size_t filled = most;
  for (const std::uint32_t id : chain) {
    if (filled >= most) out.emplace_back(), filled = 0;
    out.back().push_back(id);
    filled += room(trace[id]);
  }
  return out;
}

// Many constants of one card become one; inputs of one card are neighbours.
void merge_inputs(const Trace& trace, std::vector<Strip::Input>& inputs) {
  const auto is_constant = [&](const Strip::Input& input) { return trace[input.leaf].kind == Node::Kind::constant; };
  std::vector<Strip::Input> merged;
  for (auto begin = inputs.begin(), end = begin; begin != inputs.end(); begin = end) {
    end = std::find_if(begin, inputs.end(), [&](const Strip::Input& input) { return input.user != begin->user; });
    const auto constants = static_cast<std::size_t>(std::count_if(begin, end, is_constant));
    bool all_drawn = false;
    for (auto input = begin; input != end; ++input) {
      if (!is_constant(*input) || constants <= most_inputs) merged.push_back(*input);
      else if (!std::exchange(all_drawn, true)) merged.push_back({input->leaf, input->user, true, constants - 1});
    }
  }
  inputs = std::move(merged);
}

}  // namespace

Strip::Place Strip::place(std::uint32_t card) const {
  for (std::size_t row = 0; row < rows.size(); ++row) {
    const auto found = std::lower_bound(rows[row].begin(), rows[row].end(), card);
    if (found != rows[row].end() && *found == card) return {row, static_cast<std::size_t>(found - rows[row].begin())};
  }
  return {};
}

bool Strip::skips() const {
  return std::any_of(links.begin(), links.end(), [&](const Link& link) {
    const Place from = place(link.from), to = place(link.to);
    return from.row == to.row && from.column + 1 < to.column;
  });
}

Strip plan_strip(const Trace& trace) {
  Strip plan;
  plan.links = links(trace);
  if (trace.root != 0 && trace[trace.root].fold == nullptr) plan.loss = trace.root;
  plan.rows = wrapped(trace, chain_of(trace, plan.links));
  std::vector<std::uint32_t> users(trace.records.size());  // cards, not lines
  const auto each_leaf = [&](const auto& visit) {
    for (const Record& r : trace.records)
      for (std::size_t i = 0; i < r.operands.size(); ++i) {
        const std::uint32_t id = r.operands[i].id;
        const auto same = [&](const Operand& o) { return o.id == id; };
        const auto before = r.operands.begin() + static_cast<std::ptrdiff_t>(i);
        if (id != 0 && !trace[id].is_op() && std::none_of(r.operands.begin(), before, same)) visit(r, trace[id]);
      }
  };
  each_leaf([&](const Record&, const Record& leaf) { ++users[trace.at(leaf.id)]; });
  for (const Record& r : trace.records) {
    if (r.is_op() && r.id != plan.loss) plan.cards.push_back(r.id);
    if (r.kind == Node::Kind::parameter && users[trace.at(r.id)] > 1) plan.shared.push_back(r.id);
  }
  each_leaf([&](const Record& user, const Record& leaf) {
    const std::uint32_t n = users[trace.at(leaf.id)];
    if (leaf.kind == Node::Kind::parameter) return;
    if (leaf.kind == Node::Kind::constant && leaf.size() == 1) return;  // the card that uses it names it
    const bool computed = std::any_of(user.operands.begin(), user.operands.end(),
                                      [&](const Operand& o) { return o.id != 0 && trace[o.id].is_op(); });
    if (user.id == plan.loss && n == 1 && leaf.kind == Node::Kind::constant && computed)
      plan.targets.push_back(leaf.id);
    else plan.inputs.push_back({leaf.id, user.id, leaf.kind == Node::Kind::constant && n > most_lines, 0});
  });
  merge_inputs(trace, plan.inputs);
  return plan;
}

}  // namespace ebb::graphviz
