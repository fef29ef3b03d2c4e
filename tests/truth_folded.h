// What is true of several ops that are drawn as one card.
#pragma once

#include "truth_facts.h"

namespace ebb::truth {

/// All that a card alone learns, as one.
struct Parameters {
  std::int64_t count = 0;
  double value = 0, gradient = no_number;  ///< root mean squares
  std::vector<std::string> names;
};

inline Parameters parameters_of(const Facts& facts, const Card& card) {
  Parameters p;
  double values = 0, gradients = 0;
  std::int64_t learned = 0;
  for (const Node* n : facts.own_leaves(card)) {
    const auto squares = [&](double rms) { return rms * rms * static_cast<double>(n->shape.size()); };
    p.count += n->shape.size();
    if (has_value(*n)) values += squares(value_of(*n));
    if (const auto g = gradient_of(*n)) gradients += squares(*g), learned += n->shape.size();
    p.names.push_back(n->name);
  }
  if (p.count > 0) p.value = std::sqrt(values / static_cast<double>(p.count));
  if (learned > 0) p.gradient = std::sqrt(gradients / static_cast<double>(learned));
  return p;
}

inline void parameters_words(const Facts& facts, const Card& card, Truths& label, Truths& tooltip) {
  const Parameters p = parameters_of(facts, card);
  if (p.count == 0) return;
  const std::string count = counted(p.count, "parameter");
  label.may(count), tooltip.may(count);
  if (std::isnan(p.gradient)) return;
  const std::string size = three_digits(p.gradient), exact = "gradient rms " + ten_digits(p.gradient);
  label.may(count + "|∇ " + size), label.may("∇θ|" + size);
  for (const std::string& name : p.names) label.may("∇ " + name.substr(name.rfind('.') + 1) + "|" + size);
  tooltip.may(count + ", " + exact + ", ‖∇‖/‖w‖ " + three_digits(p.gradient / p.value));
  std::string names;
  for (std::size_t i = 0; i < std::min<std::size_t>(4, p.names.size()); ++i) names += (i == 0 ? "" : ", ") + p.names[i];
  label.may(names);
  tooltip.may(count + " (" + names + "): " + exact + ", ‖∇‖/‖w‖ " + printed("%.6g", p.gradient / p.value));
}

// What of equal blocks in a row is told: which of them these are, and curves over them.
inline void blocks_words(const Facts& facts, const Card& card, std::size_t times, Truths& label, Truths& tooltip) {
  const std::size_t length = card.ops.size() / times;
  for (std::size_t i = length; i < card.ops.size(); ++i)
    if (card.ops[i]->op != card.ops[i - length]->op) return;
  const auto [before, after] = facts.equal_neighbours(card, length);
  const std::string all = std::to_string(before + times + after);
  // Of a stack every block has parameters of its own, of a recurrence all have the same.
  const bool own = !facts.own_leaves(card).empty();
  for (Truths* words : {&label, &tooltip}) {
    for (const std::string noun : {own ? "layer" : "step", "copie"}) {
      const std::string first = std::to_string(before + 1), last = std::to_string(before + times);
      words->may(times == 1 ? noun + " " + first : noun + "s " + first + " – " + last);
    }
    if (times == 1) continue;
    words->may("× " + std::to_string(times) + (own ? ", distinct parameters" : ", same parameters"));
    words->may("× " + std::to_string(times));
  }
  for (std::size_t i = 0; i < length; ++i) {
    std::vector<double> values;
    for (std::size_t at = i; at < card.ops.size(); at += length)
      if (const auto g = gradient_of(*card.ops[at])) values.push_back(std::abs(*g));
    if (values.size() != times) continue;
    const std::string name = "g " + card.ops[i]->op;
    if (times == 1) label.may(name + "|" + three_digits(values[0]));
    else label.may(name + "|" + curve_of(values) + "|" + range_words(values)), label.may(name + "|" + curve_of(values));
  }
}

inline void fold_words(const Facts& facts, const Card& card, Truths& label, Truths& tooltip) {
  const auto n = std::ssize(card.ops);
  std::vector<double> sizes;
  std::map<std::string, std::int64_t> names;
  std::string chain;
  for (const Node* op : card.ops) {
    if (const auto g = gradient_of(*op)) sizes.push_back(*g);
    ++names[op->op];
    chain += (chain.empty() ? "" : " · ") + op->op;
  }
  for (Truths* words : {&label, &tooltip}) {
    words->may(counted(n, "op")), words->may(counted(n, "pointwise op")), words->may("inside " + range_words(sizes));
    if (const auto range = range_of(sizes))
      words->may("inside " + three_digits(range->first) + " … " + three_digits(range->second));
    words->may(chain);
    words->may(counted(std::ssize(card.ops[0]->inputs), "operand"));
    for (const auto& [name, times] : names) {
      words->may(name + " × " + grouped(times));
      for (std::size_t i = 0; i < name.size(); ++i) words->may("…" + name.substr(i) + " × " + grouped(times));  // cut
    }
  }
  std::set<std::string> paths;  // modules may be called by numbers
  for (const Node* op : card.ops)
    for (std::size_t dot = op->scope.find('.'); !op->scope.empty(); dot = op->scope.find('.', dot + 1)) {
      paths.insert(op->scope.substr(0, dot));
      if (dot == std::string::npos) break;
    }
  for (const std::string& path : paths) {
    label.may("|" + path + "|"), label.may("|" + path + " "), label.may("|" + path + "′"),
        tooltip.may("|" + path + ":");
    label.may("|" + path + " " + facts.steps_words(card) + "|");
    for (const std::string& to : paths) label.may(path + " – " + to), tooltip.may(path + " – " + to);
  }
  for (std::size_t times = 1; times <= card.ops.size(); ++times)
    if (card.ops.size() % times == 0) blocks_words(facts, card, times, label, tooltip);
  parameters_words(facts, card, label, tooltip);
}

}  // namespace ebb::truth
