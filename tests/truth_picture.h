// Explains every number in a picture, place by place.
#pragma once

#include "truth_words.h"

#include <regex>

namespace ebb::truth {

class Picture : private Saying {
 public:
  Picture(const std::vector<Node>& nodes, const std::string& dot, const DotOptions& options)
      : Saying(nodes, options, dot.starts_with("// strip")),
        places_(places_of(dot)),
        is_ladder_(dot.starts_with("// ladder")) {
    std::map<std::uint32_t, bool> drawn;
    std::set<std::uint32_t> slices;
    bool recorded_apart = false;
    for (const Place& place : places_) {
      const auto [letter, id, operand] = read(place.name);
      recorded_apart = recorded_apart || letter == 'q';
      if (letter == (is_ladder_ ? 'f' : 'n') && is_op(id))
        drawn[id] = place.classes.starts_with("folded") || place.classes.starts_with("module") ||
                    graphs::has(place.label, " as one|") || graphs::has(place.label, "|1 op|");
      if (letter == 'n' && is_op(id) && place.label.starts_with("|" + facts_[id].op + " of "))
        slices.insert(facts_[id].inputs[0]);
      if (is_strip_ && place.name == "loss" && place.tooltip != "|loss|") drawn[facts_.root->id] = false;
    }
    facts_.draw(drawn, recorded_apart, slices);
    for (const Place& place : places_)
      for (const auto& [id, n] : facts_.nodes())
        if (place.name[0] == 's' && !n->name.empty() && place.label.starts_with("|" + n->name + "|"))
          stubs_[place.name] = id;
    names_ = names();
  }

  /// Each number that is not true or not explained, and each that is missing; empty if all is well.
  std::string what_is_wrong() {
    std::string wrong = facts_.unfinished == 0 ? "" : std::to_string(facts_.unfinished) + " ops are not drawn\n";
    for (const Place& place : places_) {
      Truths label = names_, tooltip = names_;
      if (place.is_line()) line(place, label, tooltip);
      else node(place, label, tooltip);
      for (const auto& [text, truths] : {std::pair(&place.label, &label), std::pair(&place.tooltip, &tooltip)}) {
        if (text->empty() && !(place.is_line() && text == &place.label)) continue;
        const std::string found = truths->what_is_wrong(*text, numbers);
        if (!found.empty()) wrong += place.name + " " + found;
      }
    }
    return wrong;
  }

  std::size_t numbers = 0;  ///< that were explained
  Facts& facts() { return facts_; }

 private:
  struct Name {
    char letter = ' ';
    std::uint32_t id = 0;
    int operand = -1;
  };
  // "s12_1" of a stub; points on the way of a line have no number of their own.
  static Name read(const std::string& name) {
    static const std::regex form("([fbmqcnsi])([0-9]+)(?:_([0-9]+))?");
    std::smatch m;
    if (!std::regex_match(name, m, form)) return {};
    return {name[0], static_cast<std::uint32_t>(std::stoul(m[2])), m[3].matched ? std::stoi(m[3]) : -1};
  }

  // ---- nodes ------------------------------------------------------------------------------------------------------------

  void node(const Place& place, Truths& label, Truths& tooltip) {
    const auto [letter, id, operand] = read(place.name);
    if (place.name == "digraph" || place.name == "graph" || place.name.starts_with("label") || place.name == "legend" ||
        place.classes == "head")
      page(place, label);
    else if (place.name == "loss") loss(label, tooltip);
    else if (letter == 's' || letter == 'c') beside(letter, id, operand, label, tooltip);
    else if (letter == 'i' || !is_op(id)) leaf(letter, id, label, tooltip);
    else if (letter == 'q') recorded(id, label, tooltip);
    else if (letter == 'm') middle(facts_.cards.at(id), label, tooltip);
    else op(letter, facts_.cards.at(id), label, tooltip);
  }

  void op(char letter, const Card& card, Truths& label, Truths& tooltip) {
    const Node& out = facts_.output(card);
    Truths of_other;
    forward(card, out, letter == 'b' ? of_other : label, letter == 'b' && !card.folded ? of_other : tooltip);
    if (letter != 'f') backward(letter, card, out, label, tooltip);
    if (card.slice != nullptr) {
      Truths no_label;
      forward(card, *card.slice, no_label, tooltip),
          backward('n', {card.id, {card.slice}, nullptr, false}, *card.slice, no_label, tooltip);
    }
    fold(card, label, tooltip);
    if (card.folded && letter != 'f') {
      tooltip.must(counted(std::ssize(card.ops), "op"));
      if (const auto n = parameters_of(facts_, card).count; n > 0) tooltip.must(counted(n, "parameter"));
    }
    if (is_strip_)  // instead of its shape, the number that it takes
      for (const Node* n : card.ops)
        for (const std::uint32_t id : n->inputs)
          if (id != 0 && facts_[id].kind == Kind::constant && facts_[id].shape.size() == 1)
            label.may(n->op + " " + three_digits(value_of(facts_[id])));
    for (const auto& [what, bytes] : facts_.saved(out))
      tooltip.put("saved " + what + " " + in_bytes(bytes), letter == 'n' && !card.folded);
    if (const std::int64_t bytes = facts_.saved_bytes(card); bytes > 0)
      tooltip.put("saved " + in_bytes(bytes), letter == 'n' && card.folded);
  }

  // ---- leaves -----------------------------------------------------------------------------------------------------------

  void leaf(char letter, std::uint32_t id, Truths& label, Truths& tooltip) const {
    const Node& n = facts_[id];
    const auto g = gradient_of(n);
    if (!n.scalar) label.may(shape_words(n.shape)), tooltip.may(shape_and_type(n));
    if (has_value(n)) {
      if (n.shape.size() == 1) label.may("|" + size_words(n, value_of(n)) + "|");
      if (letter != 'b') tooltip.must(value_words(n, true));
    }
    if (letter == 'i' || is_strip_) several_inputs(label, tooltip);
    if (!g || letter == 'f') return;
    const std::string size = size_words(n, *g);
    label.must(letter == 'b' ? "|" + size + "|" : (in_scalars(n) ? "grad " : "∇ ") + size);
    tooltip.must(gradient_words(n, *g));
    if (const std::size_t met = facts_.met(n); met > 1)
      label.put("Σ" + std::to_string(met), letter == 'n' && !is_strip_),
          tooltip.may("the sum of " + std::to_string(met));
  }

  // Constants of one card that stand as one.
  void several_inputs(Truths& label, Truths& tooltip) const {
    for (const auto& [id, card] : facts_.cards) {
      std::set<std::uint32_t> constants;
      for (const Node* op : card.ops)
        for (const std::uint32_t in : op->inputs)
          if (in != 0 && facts_[in].kind == Kind::constant) constants.insert(in);
      const auto n = std::ssize(constants);
      label.may(counted(n, "input")), tooltip.may("and " + counted(n - 1, "other input"));
    }
  }

  // A leaf that stands beside one of its uses: what that sends it.
  void beside(char letter, std::uint32_t id, int operand, Truths& label, Truths& tooltip) const {
    const Card& card = facts_.cards.at(id);
    std::set<std::uint32_t> leaves;
    for (const Node* op : card.ops) {
      if (!card.folded) leaves = {op->inputs[static_cast<std::size_t>(operand)]};
      else
        for (const std::uint32_t in : op->inputs)
          if (in != 0 && !is_op(in)) leaves.insert(in);
    }
    for (const std::uint32_t in : leaves) {
      const Node& n = facts_[in];
      label.may(shape_words(n.shape)),
          tooltip.may(shape_and_type(n) + (has_value(n) ? ", " + value_words(n, true) : ""));
      if (has_value(n) && n.shape.size() == 1) label.may(size_words(n, value_of(n)));
      if (letter == 'c') continue;
      const std::string uses = ", one of " + std::to_string(users(in)) + " uses";
      tooltip.put(uses, !card.folded);
      const auto sent = card.folded ? Facts::largest(facts_.flows(nullptr, in, card))
                                    : sent_by(*card.ops[0], static_cast<std::size_t>(operand));
      if (!sent) continue;
      label.put((*sent < 0 ? "" : "+") + size_words(n, *sent), !card.folded);
      tooltip.put(uses + ": " + gradient_words(n, *sent), !card.folded);
    }
  }

  // How many cards' operands it is, each card's folded ops as one.
  std::size_t users(std::uint32_t leaf) const {
    std::size_t n = 0;
    for (const auto& [id, card] : facts_.cards) {
      std::size_t lines = 0;
      facts_.flows(nullptr, leaf, card, &lines);
      n += card.folded ? std::min<std::size_t>(lines, 1) : lines;
    }
    for (const Use& use : facts_.uses(leaf))
      n += is_ladder_ && use.op->backward_of != 0 && !facts_.cards.contains(use.op->id);
    return n;
  }

  // ---- a ladder's own -----------------------------------------------------------------------------------------------------

  void middle(const Card& card, Truths& label, Truths& tooltip) const {
    std::int64_t saved = 0;
    std::string kept;
    for (const auto& [what, bytes] : facts_.saved(*card.ops[0]))
      kept += (kept.empty() ? "" : ", ") + what, saved += bytes;
    if (!card.folded && saved > 0) label.put("saved " + kept + " · " + in_bytes(saved), card.ops[0]->order != 0);
    if (card.folded) label.may("saved · " + in_bytes(facts_.saved_bytes(card)));
    std::set<std::uint32_t> seen;
    for (const Node* op : card.ops) {
      for (std::size_t i = 0; i < op->inputs.size(); ++i) {
        if (op->inputs[i] == 0 || is_op(op->inputs[i]) || !seen.insert(op->inputs[i]).second) continue;
        const Node& n = facts_[op->inputs[i]];
        if (n.kind == Kind::constant) continue;
        const auto g = gradient_of(n), sent = sent_by(*op, i);
        const bool shared = users(n.id) > 1, required = !card.folded && n.kind == Kind::parameter && by_gradient();
        const std::string head = "|" + n.name + " " + shape_words(n.shape);
        if (!g) continue;
        if (!shared) label.put(head + "|∇ " + three_digits(*g), required);
        else if (sent) label.put(head + "|∇ +" + three_digits(*sent), required);
        if (shared) label.put("shared by " + std::to_string(users(n.id)) + " · Σ ∇ " + three_digits(*g), required);
        tooltip.put(n.name + " " + shape_words(n.shape) + ": gradient rms " + ten_digits(*g) + ", ‖∇‖/‖w‖ " +
                        printed("%.6g", *g / std::abs(value_of(n))),
                    required);
        for (const Use& again : facts_.uses(n.id))
          if (const auto more = sent_by(*again.op, again.operand); more && again.op->backward_of != 0)
            label.may("by ∂ " + again.op->op + "|∇ +" + three_digits(*more));
      }
    }
    if (card.folded) own_parameters(card, label, tooltip);
  }

  // The op of the forward pass whose backward a recorded op is a part of; 0: it adds up what arrives at a leaf.
  std::uint32_t origin(const Node& n) const {
    std::uint32_t of = n.backward_of;
    while (is_op(of) && facts_[of].backward_of != 0) of = facts_[of].backward_of;
    return is_op(of) ? of : 0;
  }

  void recorded(std::uint32_t id, Truths& label, Truths& tooltip) const {
    std::int64_t all = 0;
    for (const auto& [_, n] : facts_.nodes()) {
      if (n->backward_of == 0 || n->kind != Kind::op || (origin(*n) != id && origin(*n) != 0)) continue;
      const auto g = gradient_of(*n);
      all += origin(*n) == id;
      const Card card{n->id, {n}, nullptr, false};
      const std::string shape = shape_words(n->shape), value = value_words(*n, false),
                        saved = in_bytes(facts_.saved_bytes(card));
      std::string chip = g && by_gradient() ? "|g " + three_digits(*g) : "";
      std::string exact = shape_and_type(*n) + ", " + value_words(*n, true);
      if (options_.color == Color::time) {
        chip = n->backward_seconds > 0 ? "|" + duration(n->backward_seconds) : "";
        exact += ", " + duration(n->forward_seconds) + " forward, " + duration(n->backward_seconds) + " backward";
      } else if (options_.color == Color::memory) {
        chip = facts_.saved(*n).empty() ? "" : "|" + saved;
        exact += ", " + in_bytes(n->shape.size() * (n->dtype == f32 ? 4 : 8)) + ", " + saved + " saved";
      }
      label.may("|" + shape + "|"), label.may(bars(n->value)), tooltip.may(exact);
      if (n->order == 0) label.may(shape + "|" + value);
      else label.may(shape + "|" + value + "|" + std::to_string(n->order) + chip);
      if (g) tooltip.may(exact + ", step " + std::to_string(n->order) + ": " + gradient_words(*n, *g));
    }
    label.may("… " + std::to_string(all - 7) + " more");
  }

  void loss(Truths& label, Truths& tooltip) const {
    const Node& root = *facts_.root;
    label.must(" " + size_words(root, value_of(root)) + "|");
    const auto found = facts_.cards.find(root.id);
    if (!is_strip_ || found == facts_.cards.end() || found->second.folded) return;
    const Card& card = found->second;
    Truths no_label;
    forward(card, root, no_label, tooltip), backward('n', card, root, no_label, tooltip);
    for (const std::uint32_t in : root.inputs)
      if (in != 0) tooltip.may(shape_and_type(facts_[in]));
    for (const auto& [what, bytes] : facts_.saved(root)) tooltip.may("saved " + what + " " + in_bytes(bytes));
  }

  // ---- lines --------------------------------------------------------------------------------------------------------------

  void line(const Place& place, Truths& label, Truths& tooltip) const {
    const std::size_t arrow = place.name.find(" -> ");
    const auto end = [&](const std::string& name) { return read(name.substr(0, name.find(':'))); };
    const Name from = end(place.name.substr(0, arrow)), to = end(place.name.substr(arrow + 4));
    if (from.letter == 'm') return to_parameters(facts_.cards.at(to.id), tooltip);
    for (const auto& [id, taker] : facts_.cards) {
      const bool ends_there = facts_.cards.contains(to.id) && to.letter != 'q',
                 ends_at_loss = is_strip_ && place.name.ends_with("loss");
      if (ends_there ? to.id != id : ends_at_loss && facts_.root->id != id) continue;
      if (from.letter == 's' || from.letter == 'i')
        flow(nullptr, leaf_of(from, place.name.substr(0, arrow)), taker, place, label, tooltip);
      else if (facts_.holds(from.id) && !is_op(from.id)) flow(nullptr, from.id, taker, place, label, tooltip);
      else if (from.letter != 'q' && facts_.cards.contains(from.id))
        flow(&facts_.cards.at(from.id), 0, taker, place, label, tooltip);
      else anything_into(taker, place, label, tooltip);
    }
    if (from.letter == 'f' && !is_op(from.id) && options_.color == Color::memory)
      tooltip.may(in_bytes(facts_[from.id].shape.size() * (facts_[from.id].dtype == f32 ? 4 : 8)) + ", 0 B saved");
    if (from.letter == 'f' && !is_op(from.id))
      tooltip.must(shape_and_type(facts_[from.id]) + ", " + value_words(facts_[from.id], true));
    if (from.letter == 'f' && facts_.cards.contains(from.id)) {
      Truths no_label;
      forward(facts_.cards.at(from.id), facts_.output(facts_.cards.at(from.id)), no_label, tooltip);
      fold(facts_.cards.at(from.id), no_label, tooltip);
    }
    if (is_ladder_ && (from.letter == 'q' || place.name.starts_with("v"))) between_recorded(tooltip);
  }

  std::uint32_t leaf_of(const Name& name, const std::string& text) const {
    const auto found = stubs_.find(text.substr(0, text.find(':')));
    return name.letter == 'i'      ? name.id
           : found != stubs_.end() ? found->second
                                   : facts_.cards.at(name.id).ops[0]->inputs[static_cast<std::size_t>(name.operand)];
  }

  // Between the points on a long line's way one end of it is not told.
  void anything_into(const Card& taker, const Place& place, Truths& label, Truths& tooltip) const {
    for (const auto& [id, card] : facts_.cards)
      if (id != taker.id) flow(&card, 0, taker, place, label, tooltip, false);
    for (const Node* op : taker.ops)
      for (const std::uint32_t in : op->inputs)
        if (in != 0 && !is_op(in)) flow(nullptr, in, taker, place, label, tooltip, false);
  }

  void flow(const Card* from, std::uint32_t leaf, const Card& taker, const Place& place, Truths& label, Truths& tooltip,
            bool only_one = true) const {
    std::size_t lines = 0;
    const auto sizes = facts_.flows(from, leaf, taker, &lines);
    const Node& source = from != nullptr ? facts_.output(*from) : leaf != 0 ? facts_[leaf] : *taker.ops[0];
    if (lines > 1) label.put("×" + std::to_string(lines), only_one && from != nullptr && !graphs::has(place.name, "b"));
    const auto largest = Facts::largest(sizes);
    if (!largest) return;
    const auto [first, last] = facts_.steps(taker);
    const std::string words =
        in_scalars(source) ? gradient_words(source, *largest) : "gradient rms " + ten_digits(std::abs(*largest));
    const std::string step = is_strip_ && first != 0 ? "backward " + facts_.steps_words(taker) + ": "
                             : first != 0
                                 ? "step " +
                                       std::to_string(taker.slice != nullptr && taker.slice->order != 0 &&
                                                              from != nullptr && from->holds(taker.slice->inputs[0])
                                                          ? taker.slice->order
                                                          : first) +
                                       ": "
                                 : "";
    const bool forward_line = is_ladder_ && place.name.starts_with("f");
    tooltip.put(step + words, only_one && !forward_line);
    tooltip.may(words);
  }

  void to_parameters(const Card& card, Truths& tooltip) const {
    const auto own = facts_.own_leaves(card);
    std::vector<double> sizes;
    for (const Node* op : card.ops)
      for (const std::uint32_t id : op->inputs) {
        const auto on_top = [name = "f" + std::to_string(id)](const Place& place) { return place.name == name; };
        if (id == 0 || is_op(id) || facts_[id].kind == Kind::constant) continue;
        if (std::any_of(places_.begin(), places_.end(), on_top)) continue;
        if (card.folded && std::find(own.begin(), own.end(), &facts_[id]) != own.end()) continue;
        const auto sent = facts_.flows(nullptr, id, card);
        sizes.insert(sizes.end(), sent.begin(), sent.end());
      }
    if (const double g = parameters_of(facts_, card).gradient; card.folded && !std::isnan(g)) sizes.push_back(g);
    if (const auto largest = Facts::largest(sizes))
      tooltip.must("step " + std::to_string(facts_.steps(card).first) + ": gradient rms " + ten_digits(*largest));
  }

  void between_recorded(Truths& tooltip) const {
    for (const auto& [id, n] : facts_.nodes())
      for (std::size_t i = 0; i < n->inputs.size(); ++i)
        if (const auto sent = sent_by(*n, i)) tooltip.may("gradient rms " + ten_digits(*sent));
  }

  void fold(const Card& card, Truths& label, Truths& tooltip) const { fold_words(facts_, card, label, tooltip); }
  void own_parameters(const Card& card, Truths& label, Truths& tooltip) const {
    parameters_words(facts_, card, label, tooltip);
  }
  void page(const Place& place, Truths& label) const { page_words(facts_, options_, place, is_ladder_, gone(), label); }

  // Shared leaves that are drawn nowhere.
  std::set<const Node*> gone() const {
    std::set<const Node*> all;
    for (const auto& [id, n] : facts_.nodes()) {
      if ((n->kind != Kind::parameter && n->kind != Kind::variable) || users(id) < 2) continue;
      const auto shows = [&, name = "|" + n->name](const Place& place) {
        return graphs::has(place.label, name + "|") || graphs::has(place.label, name + " ");
      };
      if (std::none_of(places_.begin(), places_.end(), shows)) all.insert(n);
    }
    return all;
  }

  const std::vector<Place> places_;
  const bool is_ladder_;
  Truths names_;
  std::map<std::string, std::uint32_t> stubs_;  ///< which leaf stands beside one of its uses, by that node's name
};

}  // namespace ebb::truth
