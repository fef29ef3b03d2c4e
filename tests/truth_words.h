// What is true of one op: its value, its step back, what it measures; and the names in a picture.
#pragma once

#include "truth_page.h"

#include <functional>

namespace ebb::truth {

class Saying {
 public:
  Saying(const std::vector<Node>& nodes, const DotOptions& options, bool is_strip)
      : facts_(nodes), options_(options), is_strip_(is_strip) {}

 protected:
  bool is_op(std::uint32_t id) const { return facts_.holds(id) && facts_[id].kind == Kind::op; }
  bool by_gradient() const { return options_.color == Color::gradient; }
  // Strips have one measure for all.
  bool in_scalars(const Node& n) const { return n.scalar && !is_strip_; }
  std::string size_words(const Node& n, double v) const { return in_scalars(n) ? four_places(v) : three_digits(v); }
  static std::string gradient_words(const Node& n, double v) {
    return (n.scalar ? "gradient " : "gradient rms ") + ten_digits(v);
  }
  static std::string value_words(const Node& n, bool all_digits) {
    const double v = value_of(n);
    return (n.shape.size() == 1 ? "value " : "rms ") + (all_digits ? ten_digits(v) : three_digits(v));
  }
  static std::string shape_and_type(const Node& n) {
    return shape_words(n.shape) + " " + std::string(to_string(n.dtype));
  }

  // ---- words that users and ops bring: numbers in them are names ------------------------------------------------------

  static std::string formula_of(const Node& n, const std::function<std::string(double)>& digits) {
    std::string text = n.formula;
    for (std::size_t i = 0; i < n.operands.size() && i < n.numbers.size(); ++i) {
      const std::string& name = n.operands[i];
      const std::size_t at = text.find(name);
      if (n.inputs[i] == 0 && !name.empty() && at != std::string::npos)
        text.replace(at, name.size(), digits(n.numbers[i]));
    }
    return text;
  }

  /// All of them.
  Truths names() const {
    Truths all_names;
    std::map<std::string, std::set<std::uint32_t>> calls;
    for (const auto& [id, n] : facts_.nodes()) {
      const auto name = [&](std::string text) {
        if (text.find_first_not_of("0123456789.") == std::string::npos) return;  // "0" is a layer, and so a number
        all_names.may(text);
        if (const std::size_t arrow = text.find("->"); arrow != std::string::npos)
          all_names.may(text.replace(arrow, 2, "→"));
      };
      name(n->op), name(n->name), name(n->formula), name(formula_of(*n, three_digits));
      for (std::size_t at = 0; at < n->rule.size(); at = n->rule.find_first_not_of(' ', at)) {
        const std::size_t end = std::min(n->rule.find("   ", at), n->rule.size());
        name(n->rule.substr(at, end - at)), at = end;
        if (at == n->rule.size()) break;
      }
      name(n->scope), name(n->scope_kind);
      if (n->scope.empty()) continue;
      calls[n->scope].insert(n->scope_call);
      const std::string rest = n->scope_kind.substr(std::min(n->scope_kind.find('('), n->scope_kind.size()));
      for (const std::string& kind : {n->scope_kind, rest})
        name(kind), name(n->scope + " " + kind), name(n->scope + ", " + kind);
      name("in " + n->scope), name(n->scope + " –"), name("– " + n->scope);
    }
    for (const auto& [path, all] : calls)
      for (std::size_t i = 1; i <= all.size() && all.size() > 1; ++i) {
        all_names.may("call " + std::to_string(i) + " of " + std::to_string(all.size()));
        all_names.may("call " + std::to_string(i));
      }
    for (const char* words : {"seed ∂L/∂L = 1", "seed 1", "it begins with 1", "gradient exactly 0"})
      all_names.may(words);
    return all_names;
  }

  // ---- ops ------------------------------------------------------------------------------------------------------------

  // A number of the scalar lane stands alone; its operands that are plain numbers beside its sign.
  void forward(const Card& card, const Node& out, Truths& label, Truths& tooltip) const {
    const bool single = !card.folded && !is_strip_;
    if (!out.scalar)
      label.put(shape_words(out.shape), single && card.slice == nullptr), tooltip.may(shape_and_type(out));
    if (!has_value(out)) return;
    const std::string exact = value_words(out, true);
    if (out.scalar) {
      label.put("|" + four_places(value_of(out)) + "|", single);
      tooltip.must(exact);
      for (std::size_t i = 0; i < out.inputs.size() && i < out.numbers.size(); ++i)
        if (out.inputs[i] == 0) label.may(four_places(out.numbers[i]));
    } else {
      if (out.value.defined()) label.put(bars(out.value), single && by_gradient());
      label.put(value_words(out, false), single && by_gradient());
      tooltip.put(shape_and_type(out) + ", " + exact, !card.folded);
      if (card.folded) tooltip.may(shape_and_type(out) + ", " + value_words(out, false));
    }
    if (options_.color == Color::value)
      label.must(three_digits(std::abs(value_of(out)))), label.may("rms " + three_digits(std::abs(value_of(out))));
    if (options_.color == Color::memory) {
      label.must(in_bytes(out.shape.size() * (out.dtype == f32 ? 4 : 8)));
      tooltip.may(in_bytes(out.shape.size() * (out.dtype == f32 ? 4 : 8)) + ", " + in_bytes(facts_.saved_bytes(card)) +
                  " saved");
    }
    if (options_.color == Color::time) times(card, label, tooltip);
  }

  static void times(const Card& card, Truths& label, Truths& tooltip) {
    double forward = 0, backward = 0;
    for (const Node* n : card.ops) forward += n->forward_seconds, backward += n->backward_seconds;
    label.may(duration(forward)), label.may(duration(backward));
    tooltip.may(duration(forward) + " forward, " + duration(backward) + " backward");
  }

  void backward(char letter, const Card& card, const Node& out, Truths& label, Truths& tooltip) const {
    const auto [first, last] = facts_.steps(card);
    const std::string steps = facts_.steps_words(card);
    const auto g = gradient_of(out);
    const bool single = !card.folded;
    if (last != 0 && single) {
      const auto slice = card.slice == nullptr || card.slice->order == 0 ? "" : "–" + std::to_string(card.slice->order);
      label.must("|" + steps + slice + "|");
      tooltip.must("step " + steps);
    }
    if (last != 0)
      label.may("|" + steps + "|"), label.may(", " + steps), tooltip.may("steps " + steps),
          tooltip.may("step " + steps);
    if (options_.color == Color::memory && facts_.saved_bytes(card) > 0) label.may(in_bytes(facts_.saved_bytes(card)));
    if (options_.color == Color::time) times(card, label, tooltip);
    if (out.scalar && last == 0) label.may("grad 0"), label.may("g 0"), tooltip.may("gradient 0");
    if (!g) return;
    const std::size_t met = facts_.met(out);
    const std::string size = size_words(out, *g), sum = met > 1 ? "Σ" + std::to_string(met) : "";
    const bool many_of_one = single && by_gradient();
    label.put((in_scalars(out) ? "grad " : "g ") + size, many_of_one);
    tooltip.put(gradient_words(out, *g), last != 0 || single);
    if (met > 1) label.may("′ " + sum);
    if (met > 1 && single) {
      label.put(letter == 'b' ? "′ " + sum : sum, !is_strip_ && by_gradient());
      tooltip.put("the sum of " + std::to_string(met), true);
    }
  }

  Facts facts_;
  const DotOptions options_;
  const bool is_strip_;
};

}  // namespace ebb::truth
