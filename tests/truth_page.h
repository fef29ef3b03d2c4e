// What is true of a picture as a whole: its subtitle, its scale of colours, the panel of what is shared.
#pragma once

#include "truth_folded.h"

namespace ebb::truth {

// What the colours measure, of each card: forward and backward halves.
inline std::vector<double> measured(const Facts& facts, Color color) {
  std::vector<double> sizes;
  const auto take = [&](double v) {
    if (std::isfinite(v) && v != 0) sizes.push_back(std::abs(v));
  };
  std::vector<Card> cards;
  for (const auto& [id, card] : facts.cards) {
    cards.push_back(card);
    if (card.slice != nullptr) cards.push_back({card.slice->id, {card.slice}, nullptr, false});
  }
  for (const auto& [id, n] : facts.nodes()) {
    const auto is_drawn = [op = id](const Card& card) { return card.holds(op); };
    if (n->kind == Kind::op && std::none_of(cards.begin(), cards.end(), is_drawn))
      cards.push_back({id, {n}, nullptr, false});
  }
  for (const Card& card : cards) {
    const Node& out = facts.output(card);
    double forward = 0, backward = 0;
    for (const Node* n : card.ops) forward += n->forward_seconds, backward += n->backward_seconds;
    if (color == Color::gradient) take(gradient_of(out).value_or(0));
    if (color == Color::value) take(value_of(out));
    if (color == Color::time) take(forward), take(backward);
    if (color == Color::memory)
      take(static_cast<double>(out.shape.size() * (out.dtype == f32 ? 4 : 8))),
          take(static_cast<double>(facts.saved_bytes(card)));
  }
  std::sort(sizes.begin(), sizes.end());
  return sizes;
}

// The nine steps of the scale: around the median, over two to four decades to either side.
inline std::string scale_words(const Facts& facts, const DotOptions& options) {
  const std::vector<double> sizes = measured(facts, options.color);
  if (sizes.empty() && options.heat_center == 0) return "";
  const auto share = [&](double q) {
    return sizes[static_cast<std::size_t>(std::lround(q * static_cast<double>(sizes.size() - 1)))];
  };
  const double center = options.heat_center > 0 ? options.heat_center : sizes[sizes.size() / 2];
  const double decades = std::max(std::log10(share(0.95) / center), std::log10(center / share(0.05)));
  const double span = options.heat_span > 0 ? options.heat_span : std::clamp(std::ceil(decades * 2) / 2, 2.0, 4.0);
  std::string words;
  for (int i = -4; i <= 4; ++i) {
    const double size = center * std::pow(10, i * span / 4);
    words += "|" + (options.color == Color::time     ? duration(size)
                    : options.color == Color::memory ? bytes(std::llround(size))
                                                     : short_exponent(printed("%.0e", size)));
  }
  return words + "|";
}

// A shared leaf's row: what each use sends, and the gradient, which is their sum.
inline std::string panel_row(const Facts& facts, const Node& leaf, bool strip) {
  std::vector<double> sent;
  std::vector<std::string> words;
  for (const auto& [id, card] : facts.cards) {
    if (card.folded) {
      std::size_t lines = 0;
      const auto largest = Facts::largest(facts.flows(nullptr, leaf.id, card, &lines));
      if (lines == 0) continue;
      words.push_back(largest ? three_digits(*largest) : "–");
      if (largest) sent.push_back(std::abs(*largest));
      continue;
    }
    for (const Node* op : card.ops)
      for (std::size_t i = 0; i < op->inputs.size(); ++i) {
        if (op->inputs[i] != leaf.id) continue;
        const auto g = sent_by(*op, i);
        words.push_back(g ? three_digits(*g) : "–");
        if (g) sent.push_back(std::abs(*g));
      }
  }
  if (words.size() < 2) return "";
  const std::size_t most = strip ? 7 : 8;
  std::string text = "|" + leaf.name + (strip ? "|" : " ") + shape_words(leaf.shape);
  for (std::size_t i = 0; i < words.size(); ++i) {
    const bool middle = words.size() > most && i >= 3 && i + 3 < words.size();
    if (!middle) text += "|" + words[i];
    else if (i == 3) text += "|" + (strip ? "…" : curve_of(sent));
  }
  return text + "|∇ " + three_digits(gradient_of(leaf).value_or(no_number));
}

inline void subtitle_words(const Facts& facts, const DotOptions& options, Truths& label) {
  std::int64_t parameters = 0;
  for (const auto& [id, n] : facts.nodes())
    if (n->kind == Kind::parameter) parameters += n->shape.size();
  const auto ops = facts.count([](const Node& n) { return n.kind == Kind::op; });
  const auto recorded = facts.count([](const Node& n) { return n.kind == Kind::op && n.backward_of != 0; });
  const auto steps = facts.count([](const Node& n) { return n.kind == Kind::op && n.order != 0; });
  if (parameters > 0) label.must(counted(parameters, "parameter"));
  label.must(counted(steps, "backward step"));
  label.may(counted(ops - recorded, "forward op")), label.may(counted(recorded, "recorded backward op"));
  label.may(counted(ops, "op") + " drawn as " + counted(std::ssize(facts.cards), "card"));
  for (const auto& [id, n] : facts.nodes())
    if (n->kind == Kind::constant && n->shape.rank() > 1) label.may("batch " + grouped(n->shape[0]) + " ·");
  label.may("modules at depth " + std::to_string(options.depth)), label.may("modules at depth 1");
  for (const auto& [id, card] : facts.cards)
    for (std::size_t times = 1; times <= card.ops.size(); ++times) {
      if (card.ops.size() % times != 0) continue;
      const auto [before, after] = facts.equal_neighbours(card, card.ops.size() / times);
      const std::string all = std::to_string(before + times + after);
      for (const char* noun : {" steps", " layers"})
        label.may(std::to_string(times) + " of " + all + noun), label.may(all + noun);
    }
}

inline void page_words(const Facts& facts, const DotOptions& options, const Place& place, bool ladder,
                       const std::set<const Node*>& gone, Truths& label) {
  if (place.name.starts_with("label")) {
    if (!gone.empty()) label.must("· " + counted(std::ssize(gone), "shared parameter"));
    return subtitle_words(facts, options, label);
  }
  const bool is_foot = graphs::has(place.label, "vanishing") || graphs::has(place.label, "smaller") ||
                       graphs::has(place.label, "faster");
  if (!is_foot) {  // a band: the steps in time are counted
    for (std::size_t i = 1; i <= facts.cards.size(); ++i) label.may("step " + std::to_string(i));
    for (const auto& [id, n] : facts.nodes()) {
      label.may("|" + n->scope + "|");
      label.may("|" + n->scope + " ");
    }
    return;
  }
  label.must(scale_words(facts, options));
  if (ladder) return;
  const bool strip = graphs::has(place.label, "one card per module");
  std::size_t most = 0;
  for (const auto& [id, n] : facts.nodes()) {
    if (n->kind == Kind::op || n->kind == Kind::constant) continue;
    const std::string row = panel_row(facts, *n, strip);
    if (row.empty() || gone.contains(n)) continue;
    label.put(row, n->kind == Kind::parameter);
    label.may(row);
    most = std::max(most, facts.uses(n->id).size());
  }
  for (std::size_t i = 1; i <= most; ++i)
    for (const char* of : {"step ", "use ", "all "}) label.may(of + std::to_string(i));
}

}  // namespace ebb::truth
