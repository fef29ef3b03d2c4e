// Reading the list: what graph.nodes() and graph.each_node() tell of each entry.
#include "graph.h"
#include "list.h"
#include "telling.h"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <cmath>
#include <iterator>
#include <limits>
#include <string>
#include <string_view>

namespace ebb {

using namespace detail;

namespace {

bool ends_with_sign(std::string_view text) {
  while (text.ends_with(' ')) text.remove_suffix(1);
  return text.ends_with("·") || text.ends_with("+") || text.ends_with("−") || text.ends_with("/");
}

std::string number_text(double number) {
  return (std::signbit(number) ? "−" : "") + fmt::format("{:.6g}", std::abs(number));
}

/// "²", "⁻¹" or "^0.5"; nothing for 1.
std::string power_text(double power) {
  if (power == 1) return "";
  if (std::trunc(power) != power || std::abs(power) > 999) return "^" + number_text(power);
  const char* const digits[] = {"⁰", "¹", "²", "³", "⁴", "⁵", "⁶", "⁷", "⁸", "⁹"};
  std::string text = power < 0 ? "⁻" : "";
  for (const char digit : fmt::format("{:.0f}", std::abs(power))) text += digits[digit - '0'];
  return text;
}

/// "a · b" where the operand of this letter is the number 2: "a · 2".
std::string with_number(std::string_view text, char letter, double number) {
  constexpr std::string_view power = "ᵇ", one_less = "ᵇ⁻¹";
  const auto is_letter = [&](std::size_t at) {
    return at < text.size() && std::isalpha(static_cast<unsigned char>(text[at]));
  };
  std::string put;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const std::string_view rest = text.substr(i);
    if (letter == 'b' && rest.starts_with(power)) {
      const bool less = rest.starts_with(one_less);
      put += power_text(less ? number - 1 : number);
      i += (less ? one_less : power).size() - 1;
    } else if (text[i] == letter && !is_letter(i + 1) && (i == 0 || !is_letter(i - 1))) {
      const bool apart = number < 0 && (ends_with_sign(put) || rest.substr(1).starts_with(power));
      put += apart ? "(" + number_text(number) + ")" : number_text(number);
    } else {
      put += text[i];
    }
  }
  return put;
}

/// Where one operand is a plain number: "a · b" becomes "a · 2", and "∇a = g·b   ∇b = g·a" becomes "∇a = g·2".
void put_number(const OpInfo& op, double number, Node& node) {
  const std::size_t gap = node.rule.find("   ");
  if (gap != std::string::npos) node.rule = op.number_first ? node.rule.substr(gap + 3) : node.rule.substr(0, gap);
  for (std::string* text : {&node.formula, &node.rule}) *text = with_number(*text, op.number_first ? 'a' : 'b', number);
}

/// Whether Σ before it would seem to belong to its first term alone.
bool has_terms(std::string_view text) {
  int depth = 0;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '(' || text[i] == '[') ++depth;
    if (text[i] == ')' || text[i] == ']') --depth;
    if (depth == 0 && (text.substr(i).starts_with("−") || text.substr(i).starts_with(" + "))) return true;
  }
  return false;
}

/// An operand that broadcasts gets the sum: "∇b = g" becomes "∇b = Σ g".
void put_sum(const std::string& operand, Node& node) {
  const std::string left = "∇" + operand + " = ";
  const std::size_t found = node.rule.find(left);
  if (found == std::string::npos) return;
  const std::size_t begin = found + left.size(), end = std::min(node.rule.find("   ", begin), node.rule.size());
  const std::string right = node.rule.substr(begin, end - begin);
  node.rule.replace(begin, end - begin, "Σ " + (has_terms(right) ? "(" + right + ")" : right));
}

/// Tells one entry after the other, in ascending order, in one Node.
class Telling {
 public:
  explicit Telling(const List& list) : list_(list) {
    for (std::uint32_t id = 1; id < list.size(); ++id) steps_ += takes_step(id);
  }

  /// The next that is a node of its own; nullptr at the end.
  const Node* next() {
    do ++id_;
    while (id_ < list_.size() && (list_.code[id_] == part_code || list_.code[id_] == dead_code));
    if (id_ >= list_.size()) return nullptr;
    node_.id = id_;
    tell_place();
    if (list_.is_tensor(id_)) tell_tensor(list_.entry[id_].a);
    else tell_scalar();
    // Backward is one loop from the loss down, so the order of its steps can be told from which nodes it reached.
    node_.order = takes_step(id_) ? steps_-- : 0;
    return &node_;
  }

 private:
  /// Whether the last backward brought a gradient to a scalar entry.
  bool met(std::uint32_t id) const { return list_.root != 0 && id <= list_.root && list_.adjoint[id] != 0; }
  bool takes_step(std::uint32_t id) const {
    const std::uint16_t code = list_.code[id];
    if (code == tensor_code) {
      const TensorNode& known = list_.tensors[list_.entry[id].a];
      return known.kind == Node::Kind::op && known.reached;
    }
    return (code == element_code || code >= first_rule_code) && met(id);
  }

  /// The name and what it is a part of.
  void tell_place() {
    while (name_ < list_.names.size() && list_.names[name_].first < id_) ++name_;
    if (name_ < list_.names.size() && list_.names[name_].first == id_) node_.name = list_.names[name_].second;
    else node_.name.clear();
    node_.backward_of = advance(list_.origins, origin_);
    const std::uint32_t call = advance(list_.marks, mark_);
    if (call == node_.scope_call) return;
    const List::ScopeEntry& scope = list_.scopes[call];
    node_.scope_call = call;
    node_.scope = scope.path.empty() ? scope.kind : scope.path;
    node_.scope_kind = scope.kind;
  }
  std::uint32_t advance(const std::vector<List::Mark>& marks, std::size_t& passed) const {
    while (passed < marks.size() && marks[passed].first <= id_) ++passed;
    return passed == 0 ? 0 : marks[passed - 1].second;
  }

  void tell_scalar() {
    node_.scalar = true;
    node_.value_number = list_.value[id_];
    node_.gradient_number = list_.root != 0 && id_ <= list_.root ? list_.adjoint[id_] : 0;
    node_.differentiated = met(id_);
    if (!was_scalar_) forget_tensor();
    was_scalar_ = true;
    const std::uint16_t code = list_.code[id_];
    if (code == leaf_code) tell_variable();
    else if (code == element_code) tell_element();
    else tell_rule(scalar_rule(code));
    told_ = code;
  }

  void tell_variable() {
    node_.kind = Node::Kind::variable;
    node_.op.clear(), node_.formula.clear(), node_.rule.clear();
    node_.pointwise = false;
    node_.inputs.clear(), node_.operands.clear(), node_.numbers.clear();
    forget_sent();
  }

  void tell_element() {
    node_.kind = Node::Kind::op;
    node_.op = "element";
    node_.formula = "x[";
    fmt::format_to(std::back_inserter(node_.formula), "{}]", static_cast<std::int64_t>(list_.entry[id_].da));
    node_.rule = "∇x[i] += g";
    node_.pointwise = false;
    node_.inputs.assign(1, list_.entry[id_].a);
    node_.operands.assign(1, "x");
    node_.numbers.clear();
    forget_sent();
    if (!list_.observing || !met(id_)) return;
    node_.sent_numbers.push_back(list_.adjoint[id_]);
    const auto n = static_cast<double>(list_.tensors[list_.entry[list_.entry[id_].a].a].shape.size());
    node_.contributions.push_back(std::abs(list_.adjoint[id_]) / std::sqrt(n));
  }

  void tell_rule(const ScalarRule& rule) {
    if (told_ != list_.code[id_]) {  // most programs repeat a few ops
      node_.kind = Node::Kind::op;
      node_.op = rule.name;
      node_.formula = rule.formula;
      node_.rule = rule.rule;
      node_.pointwise = true;
      static constexpr const char* names[] = {"a", "b", "c", "d"};
      node_.operands.resize(static_cast<std::size_t>(rule.arity));
      for (std::size_t i = 0; i < node_.operands.size(); ++i) node_.operands[i] = rule.arity == 1 ? "x" : names[i];
    }
    node_.inputs.clear(), node_.numbers.clear();
    derivatives_.clear();
    scalar_operands(list_, id_, node_.inputs, node_.numbers, derivatives_);
    forget_sent();
    if (!list_.observing || !met(id_)) return;
    for (const double d : derivatives_) put_sent_number(d * list_.adjoint[id_]);
  }

  void put_sent_number(double g) {
    node_.sent_numbers.push_back(g);
    node_.contributions.push_back(std::abs(g));
  }
  void forget_sent() { node_.contributions.clear(), node_.sent.clear(), node_.sent_numbers.clear(); }

  /// What a node of the scalar lane has nothing to say of.
  void forget_tensor() {
    node_.shape = Shape();
    node_.dtype = f64;
    node_.saved.clear();
    node_.value = node_.gradient = Tensor();
    node_.uses = 0;
    node_.forward_seconds = node_.backward_seconds = 0;
  }

  void tell_tensor(std::size_t place) {
    const TensorNode& known = list_.tensors[place];
    was_scalar_ = false;
    told_ = tensor_code;
    node_.scalar = false;
    node_.value_number = node_.gradient_number = 0;
    node_.numbers.clear();
    node_.kind = known.kind;
    node_.shape = known.shape;
    node_.dtype = known.dtype;
    node_.saved.clear();
    if (known.op != nullptr) {
      tell_op(known);
    } else {
      node_.op.clear(), node_.formula.clear(), node_.rule.clear();
      node_.pointwise = false;
      node_.inputs.clear(), node_.operands.clear();
    }
    node_.value = known.output != nullptr ? view(share(known.output), known.shape) : Tensor();
    node_.gradient = known.gradient != nullptr ? share(known.gradient) : Tensor();
    node_.differentiated = known.reached;
    forget_sent();
    if (!list_.observing) return;
    const Observation& seen = list_.observations[place];
    node_.forward_seconds = seen.forward_seconds;
    node_.backward_seconds = seen.backward_seconds;
    node_.uses = seen.uses;
    if (known.op != nullptr && is_stack(known)) {
      for (std::uint32_t i = 0; i < known.count && known.gradient != nullptr; ++i)
        put_sent_number(known.input[i] != 0 ? number_at(node_.gradient, i) : std::numeric_limits<double>::quiet_NaN());
      return;
    }
    for (const Observation::Sent& sent : seen.sent) {
      node_.contributions.push_back(sent.root_mean_square());
      node_.sent.push_back(sent.whole);
    }
  }

  void tell_op(const TensorNode& known) {
    node_.op = known.op->name;
    node_.formula = known.op->formula;
    node_.rule = known.op->rule;
    node_.pointwise = known.op->by_element;
    node_.operands = words(known.op->operands);
    if (node_.operands.size() > known.count) node_.operands.resize(known.count);
    node_.inputs.assign(known.input, known.input + known.count);
    if (known.op->tell != nullptr && known.self != nullptr) {
      Told told = known.op->tell(known.self);
      node_.formula = std::move(told.formula);
      node_.rule = std::move(told.rule);
    }
    if (known.op->number != nullptr) put_number(*known.op, known.op->number(known.self), node_);
    for (std::size_t i = 0; i < node_.operands.size() && node_.pointwise; ++i)
      if (list_.tensors[list_.entry[known.input[i]].a].shape != known.shape) put_sum(node_.operands[i], node_);
    const auto bytes = [](const Shape& s, DType d) { return s.size() * static_cast<std::int64_t>(size_of(d)); };
    for (std::uint32_t i = 0; i < known.count && !is_stack(known); ++i) {
      const TensorNode& input = list_.tensors[list_.entry[known.input[i]].a];
      if (!keeps_input(known.op->keep, static_cast<int>(i)) || input.kind == Node::Kind::parameter) continue;
      node_.saved.push_back({i < node_.operands.size() ? node_.operands[i] : "x", bytes(input.shape, input.dtype)});
    }
    if (known.holds_output) node_.saved.push_back({"y", bytes(known.shape, known.dtype)});
  }

  const List& list_;
  Node node_;
  std::uint32_t id_ = 0, steps_ = 0;              // steps_: of backward, that the entries to come took
  std::size_t name_ = 0, mark_ = 0, origin_ = 0;  // how many of them are passed
  std::uint16_t told_ = tensor_code;              // what node_ tells of now
  bool was_scalar_ = false;
  std::vector<double> derivatives_;
};

}  // namespace

void Graph::each_node(const std::function<void(const Node&)>& f) const {
  Telling telling(*list_);
  while (const Node* const node = telling.next()) f(*node);
}

std::vector<Node> Graph::nodes() const {
  std::vector<Node> all;
  all.reserve(size());
  each_node([&](const Node& node) { all.push_back(node); });
  return all;
}

}  // namespace ebb
