// graph.explain(x): in words, why x has the gradient that it has.
//
// Two loops over the list find the paths between x and the loss: forward, what was computed from x; backward, what the
// loss was computed from.  Where they do not meet, x was cut off; where they do, the gradient is followed down them.
#include "error.h"
#include "graph.h"
#include "ops.h"
#include "telling.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <set>
#include <string_view>
#include <utility>

namespace ebb {

using namespace detail;

namespace {

std::string number_text(double v) { return std::isnan(v) ? "nan" : fmt::format("{:.3g}", v); }

// ---- how an op can keep a gradient from passing ------------------------------------------------------------------

enum class Habit { other, masks, saturates, multiplies, shares, moves };

struct Known {
  std::string_view op;
  Habit habit;
};
constexpr std::array habits = {
    Known{"relu", Habit::masks},
    Known{"where", Habit::masks},
    Known{"clamp", Habit::masks},
    Known{"hardtanh", Habit::masks},
    Known{"maximum", Habit::masks},
    Known{"minimum", Habit::masks},
    Known{"max", Habit::masks},
    Known{"min", Habit::masks},
    Known{"max_pool1d", Habit::masks},
    Known{"max_pool2d", Habit::masks},
    Known{"tanh", Habit::saturates},
    Known{"sigmoid", Habit::saturates},
    Known{"erf", Habit::saturates},
    Known{"exp", Habit::saturates},
    Known{"elu", Habit::saturates},
    Known{"gelu", Habit::saturates},
    Known{"silu", Habit::saturates},
    Known{"mish", Habit::saturates},
    Known{"softplus", Habit::saturates},
    Known{"bce_with_logits", Habit::saturates},
    Known{"mul", Habit::multiplies},
    Known{"matmul", Habit::multiplies},
    Known{"affine", Habit::multiplies},
    Known{"dot", Habit::multiplies},
    Known{"outer", Habit::multiplies},
    Known{"einsum", Habit::multiplies},
    Known{"conv1d", Habit::multiplies},
    Known{"conv2d", Habit::multiplies},
    Known{"conv_transpose2d", Habit::multiplies},
    Known{"softmax", Habit::shares},
    Known{"log_softmax", Habit::shares},
    Known{"softmax_cross_entropy", Habit::shares},
    Known{"concat", Habit::moves},
    Known{"stack", Habit::moves},
    Known{"slice", Habit::moves},
    Known{"place", Habit::moves},
    Known{"pad", Habit::moves},
    Known{"gather", Habit::moves},
    Known{"scatter_add", Habit::moves},
    Known{"embedding", Habit::moves},
};
Habit habit_of(std::string_view op) {
  const auto known = std::find_if(habits.begin(), habits.end(), [&](const Known& k) { return k.op == op; });
  return known == habits.end() ? Habit::other : known->habit;
}

// ---- numbers -----------------------------------------------------------------------------------------------------

double largest(const Tensor& t) {
  double most = 0;
  for (std::int64_t i = 0; i < t.size(); ++i) most = std::max(most, std::abs(number_at(t, i)));
  return most;
}

/// The root mean square, of numbers however small.
double typical(const Tensor& t) {
  const double unit = largest(t);
  return unit == 0 || !std::isfinite(unit) ? unit : unit * root_mean_square(t.to(f64) / unit);
}

std::string of_numbers(std::int64_t some, std::int64_t all) { return fmt::format("{} of {} numbers", some, all); }

/// "detach() cut it at mul (node 12, in encoder.0)": of the op's operands, at the one that `matters`.
template <class Matters> std::string cut_text(const List& list, std::uint32_t cut, Matters&& matters) {
  const CutValue& value = list.cuts[cut];
  if (value.parameter != nullptr) return "a Pause cut it: it was read while that lived";
  std::uint32_t at = 0;
  for (const Place p : {value.b, value.a})
    if (recorded_in(graph_of(p)) && (at == 0 || matters(id_of(p)))) at = id_of(p);
  switch (value.kind) {
    case Cut::detached:
      return "detach() cut it at " + called(list, at);
    case Cut::paused:
      return fmt::format("a Pause cut it at {}: {} was computed while that lived", called(list, at), value.op);
    default:
      return fmt::format("{} of {} gives whole numbers, which have no gradient", value.op, called(list, at));
  }
}

// ---- the report --------------------------------------------------------------------------------------------------

class Explanation {
 public:
  /// Of the entries `x`: one, or all leaves of a parameter; `who` is how the report calls them.
  Explanation(List& list, std::vector<std::uint32_t> x, std::string who, std::shared_ptr<ParameterState> parameter = {})
      : list_(list), x_(std::move(x)), who_(std::move(who)), parameter_(std::move(parameter)) {}

  std::string text() {
    if (list_.root == 0) return who_ + ": backward() has not run on this graph yet";
    if (!x_.empty() && x_.front() > list_.root)
      return fmt::format("{} has no gradient: it was made after the loss of the last backward(), {}", who_, loss());
    look_forward();
    look_backward();
    const bool connected = std::any_of(x_.begin(), x_.end(), [&](std::uint32_t id) { return on_path(id); });
    return connected ? gradient() : no_path();
  }

 private:
  static constexpr std::uint32_t no_cut = 0xffffffff;

  const TensorNode& tensor(std::uint32_t id) const { return list_.tensors[list_.entry[id].a]; }
  const Observation* observation(std::uint32_t id) const {
    return list_.observing ? &list_.observations[list_.entry[id].a] : nullptr;
  }
  bool observed(std::uint32_t id) const { return list_.is_tensor(id) && tensor(id).output != nullptr; }
  std::string name(std::uint32_t id) const { return called(list_, id); }
  std::string loss() const {
    const std::string known = list_.name_of(list_.root);
    return known.empty() ? name(list_.root) : fmt::format("\"{}\" (node {})", known, list_.root);
  }

  /// Whether a gradient can pass from an entry to its operand i.
  bool passes(std::uint32_t id, std::uint32_t i) const {
    if (!list_.is_tensor(id) || tensor(id).op == nullptr || i > 7) return true;
    return (tensor(id).op->silent >> i & 1) == 0;
  }

  void look_forward() {
    reached_.assign(list_.size(), false);
    for (const std::uint32_t id : x_) reached_[id] = true;
    cut_before_.assign(list_.size(), no_cut);
    origin_.assign(list_.cuts.size(), no_cut);
    std::size_t cut = 0, use = 0;
    for (std::uint32_t id = 1; id < list_.size(); ++id) {
      each_operand(list_, id, [&](std::uint32_t i, std::uint32_t operand) {
        if (reached_[operand] && passes(id, i)) reached_[id] = true;
        if (cut_before_[id] == no_cut) cut_before_[id] = cut_before_[operand];
      });
      // The cuts that an entry uses were made before it, out of entries before it.
      for (; use < list_.cut_uses.size() && list_.cut_uses[use].user == id; ++use) {
        for (; cut <= list_.cut_uses[use].cut; ++cut) look_at_cut(cut);
        if (cut_before_[id] == no_cut) cut_before_[id] = origin_[list_.cut_uses[use].cut];
      }
    }
    for (; cut < list_.cuts.size(); ++cut) look_at_cut(cut);
  }

  /// Whether a value that was cut off came from x, and by which cut.
  void look_at_cut(std::size_t cut) {
    const CutValue& value = list_.cuts[cut];
    std::uint32_t& origin = origin_[cut];
    if (parameter_ != nullptr && value.parameter == parameter_) origin = static_cast<std::uint32_t>(cut);
    for (const Place p : {value.a, value.b}) {
      if (origin != no_cut || p == 0) continue;
      if ((graph_of(p) & cut_bit) != 0) origin = origin_[id_of(p)];
      else origin = reached_[id_of(p)] ? static_cast<std::uint32_t>(cut) : cut_before_[id_of(p)];
    }
  }

  void look_backward() {
    to_.assign(std::size_t{list_.root} + 1, false);
    to_[list_.root] = true;
    for (std::uint32_t id = list_.root; id > 0; --id)
      if (to_[id])
        each_operand(list_, id, [&](std::uint32_t i, std::uint32_t operand) {
          if (passes(id, i)) to_[operand] = true;
        });
  }

  bool on_path(std::uint32_t id) const { return id <= list_.root && reached_[id] && to_[id]; }
  bool leads_to_loss(std::uint32_t id) const { return id <= list_.root && to_[id]; }

  // ---- no path to the loss ---------------------------------------------------------------------------------------

  std::string cut_text(std::uint32_t cut) const {
    return ebb::cut_text(list_, cut, [&](std::uint32_t id) { return reached_[id]; });
  }

  /// The op that reads a constant's entry on the way to the loss; the entry itself if it is an op.
  std::uint32_t reader_of(std::uint32_t id) const {
    if (!list_.is_tensor(id) || tensor(id).op != nullptr) return id;
    std::uint32_t reader = 0;
    for (std::uint32_t user = id + 1; user <= list_.root && reader == 0; ++user)
      if (to_[user])
        each_operand(list_, user, [&](std::uint32_t, std::uint32_t operand) {
          if (operand == id) reader = user;
        });
    return reader == 0 ? id : reader;
  }

  std::string no_path() const {
    for (const CutUse& use : list_.cut_uses)
      if (origin_[use.cut] != no_cut && leads_to_loss(use.user))
        return fmt::format("{} has no path to the loss: {}; its result is a constant in {}", who_,
                           cut_text(origin_[use.cut]), name(reader_of(use.user)));
    for (std::uint32_t id = 1; id <= list_.root; ++id) {
      if (!to_[id]) continue;
      std::string text;
      each_operand(list_, id, [&](std::uint32_t i, std::uint32_t operand) {
        if (reached_[operand] && !passes(id, i) && text.empty())
          text = fmt::format("{} has no path to the loss: no gradient passes to operand {} of {}", who_,
                             operand_name(id, i), name(id));
      });
      if (!text.empty()) return text;
    }
    if (const std::uint32_t constant = numbers_as_constant(); constant != 0)
      return fmt::format("{} has no path to the loss: value() gave its numbers as a constant to {}", who_,
                         name(reader_of(constant)));
    std::uint32_t last = 0;
    for (std::uint32_t id = 1; id < list_.size(); ++id)
      if (reached_[id] && std::find(x_.begin(), x_.end(), id) == x_.end()) last = id;
    const auto cut = std::find_if(origin_.begin(), origin_.end(), [](std::uint32_t o) { return o != no_cut; });
    if (last == 0 && cut != origin_.end())
      return fmt::format("{} has no path to the loss {}: {}, and the loss does not depend on what came of that", who_,
                         loss(), cut_text(*cut));
    if (last == 0) return fmt::format("{} has no gradient: nothing uses it{}", who_, from_elsewhere());
    return fmt::format(
        "{} has no path to the loss {}: it goes as far as {}, on which the loss does not depend{}\n"
        "  help: numbers taken out by item(), value() or data() are constants when they come back",
        who_, loss(), name(last), last > list_.root ? "; that came after it" : "");
  }

  std::string operand_name(std::uint32_t id, std::uint32_t i) const {
    const std::vector<std::string> names = words(tensor(id).op->operands);
    return i < names.size() ? names[i] : fmt::format("{}", i + 1);
  }

  /// The constant that stands for a parameter's numbers as value() gives them, if it leads to the loss.
  std::uint32_t numbers_as_constant() const {
    if (parameter_ == nullptr) return 0;
    const TensorImpl& head = impl(parameter_->value);
    const std::uint64_t leaf = head.leaf.load(std::memory_order_relaxed);
    return leaf >> 32 == list_.graph() && list_.stands_for(id_of(leaf), head) && leads_to_loss(id_of(leaf))
               ? id_of(leaf)
               : 0;
  }
  std::string from_elsewhere() const {
    return parameter_ != nullptr && parameter_->grad.defined() ? " in this graph; what grad() gives is from others"
                                                               : "";
  }

  // ---- a path, and what came down it -----------------------------------------------------------------------------

  enum class Flow { zero, some, unknown };
  Flow flow(std::uint32_t id) const {
    if (!list_.is_tensor(id)) return list_.adjoint[id] != 0 ? Flow::some : Flow::zero;
    const TensorNode& node = tensor(id);
    if (node.gradient != nullptr) return survey(share(node.gradient)).all_zero() ? Flow::zero : Flow::some;
    return node.reached ? Flow::unknown : Flow::zero;
  }

  /// The gradient of x as far as it is known: of a number as a tensor, of a parameter as what it was given.
  Tensor found() const {
    if (!list_.is_tensor(x_.front())) return full({}, list_.adjoint[x_.front()], f64);
    Tensor sum;
    for (const std::uint32_t id : x_) {
      const TensorNode& node = tensor(id);
      if (node.gradient != nullptr) sum = sum.defined() ? sum + share(node.gradient) : share(node.gradient);
      else if (node.reached) return parameter_ != nullptr ? parameter_->grad : Tensor();
    }
    return sum.defined() ? sum : zeros(tensor(x_.front()).shape, tensor(x_.front()).dtype);
  }

  std::string gradient() {
    const Unnoted unnoted(&list_);
    if (x_.front() == list_.root) return who_ + " is the loss itself: its gradient is 1";
    const Tensor g = found();
    if (!g.defined() && parameter_ != nullptr)
      return fmt::format("{}: a gradient came to it, and a step or clear_grad() has taken it since{}", who_, sources());
    if (!g.defined())
      return fmt::format(
          "{}: a gradient came to it, but was not kept\n"
          "  help: graph.observe() before computing, and ask again",
          who_);
    const Survey numbers = survey(g);
    if (numbers.not_finite() > 0) return not_finite(numbers);
    if (numbers.size == 0) return who_ + " holds no numbers, and its gradient none";
    if (numbers.all_zero()) return zero();
    std::string zeros = numbers.zeros == 0 ? "" : fmt::format(", {} are 0", of_numbers(numbers.zeros, numbers.size));
    if (numbers.size == 1) return fmt::format("{} has a gradient: {}{}", who_, number_text(g.item()), sources());
    return fmt::format("{} has a gradient: root mean square {}{}{}", who_, number_text(typical(g)), zeros, sources());
  }

  std::string not_finite(const Survey& numbers) const {
    std::string text =
        fmt::format("{}: {} of its gradient are not finite", who_, of_numbers(numbers.not_finite(), numbers.size));
    const bool known = unobserved(list_) == 0;
    return text +
           (known ? "\n" + first_not_finite(list_) : "\n  help: graph.observe() before computing, and ask again");
  }

  /// "; it comes from matmul (node 5), 0.1, and add (node 9), 0.02".
  std::string sources() const {
    std::vector<std::string> all;
    for (std::uint32_t id = list_.root; id > 0; --id) {
      if (!on_path(id)) continue;
      each_operand(list_, id, [&](std::uint32_t i, std::uint32_t operand) {
        if (std::find(x_.begin(), x_.end(), operand) == x_.end() || !passes(id, i)) return;
        const double size = sent_size(id, i);
        if (size == 0) return;
        all.push_back(name(id) + (std::isnan(size) ? "" : ", " + number_text(size)));
      });
    }
    const std::size_t shown = std::min(all.size(), std::size_t{3});
    if (all.empty()) return "";
    return fmt::format("; it comes from {}{}", fmt::join(all.begin(), all.begin() + static_cast<long>(shown), " and "),
                       all.size() > shown ? fmt::format(" and {} more", all.size() - shown) : "");
  }

  double sent_size(std::uint32_t id, std::uint32_t i) const {
    constexpr double unknown = std::numeric_limits<double>::quiet_NaN();
    if (!list_.is_tensor(id)) {
      const Entry& e = list_.entry[id];
      if (list_.code[id] == element_code) return std::abs(list_.adjoint[id]);
      return std::abs(list_.adjoint[id] * (i == 0 ? e.da : e.db));
    }
    TensorImpl* const arrived = tensor(id).gradient;
    if (is_stack(tensor(id))) return arrived != nullptr ? std::abs(number_at(share(arrived), i)) : unknown;
    const Observation* const seen = observation(id);
    return seen != nullptr && i < seen->sent.size() ? seen->sent[i].root_mean_square() : unknown;
  }

  // ---- a gradient of zeros ---------------------------------------------------------------------------------------

  /// Whether an entry that got a gradient sent nothing but zeros to its operand i.
  Flow sent(std::uint32_t id, std::uint32_t i) const {
    const auto flow_of = [](double g) { return g != 0 ? Flow::some : Flow::zero; };
    if (!list_.is_tensor(id)) {
      const Entry& e = list_.entry[id];
      if (list_.code[id] == element_code)
        return flow_of(tensor(e.a).dtype == f64 ? list_.adjoint[id] : static_cast<float>(list_.adjoint[id]));
      return flow_of(list_.adjoint[id] * (i == 0 ? e.da : e.db));
    }
    const TensorNode& node = tensor(id);
    if (is_stack(node)) return node.gradient == nullptr ? Flow::unknown : flow_of(number_at(share(node.gradient), i));
    const Observation* const seen = observation(id);
    if (seen == nullptr || i >= seen->sent.size() || node.op->gradient == nullptr) return Flow::unknown;
    return seen->sent[i].survey().all_zero() ? Flow::zero : Flow::some;
  }

  /// Follows the gradient down from the loss until it ends: there, the causes are.
  std::string zero() {
    constexpr std::size_t most = 3;
    std::vector<std::string> causes;
    std::size_t more = 0;
    bool blind = false;
    std::set<std::uint32_t> cancelled;  // each has many uses, and is one cause
    const auto add = [&](auto&& cause) {
      if (causes.size() == most) {
        ++more;
      } else if (std::string text = cause(); std::find(causes.begin(), causes.end(), text) == causes.end()) {
        causes.push_back(std::move(text));
      }
    };
    for (std::uint32_t id = list_.root; id > 0; --id) {
      if (!on_path(id) || std::find(x_.begin(), x_.end(), id) != x_.end()) continue;
      const Flow here = flow(id);
      blind = blind || here == Flow::unknown;
      if (here != Flow::some) continue;
      each_operand(list_, id, [&](std::uint32_t i, std::uint32_t operand) {
        if (!on_path(operand) || !passes(id, i)) return;
        const Flow passed = sent(id, i);
        if (passed == Flow::zero) {
          add([&] { return list_.is_tensor(id) ? end_at_tensor(id, i, operand) : end_at_scalar(id, i, operand); });
          return;
        }
        const Flow arrived = flow(operand);
        if (arrived == Flow::some) return;
        if (passed == Flow::some && arrived == Flow::zero) {
          if (cancelled.insert(operand).second) add([&] { return cancels_at(operand); });
        } else if (arrived == Flow::zero && observed(id)) {
          add([&] { return "it ends inside of " + name(id); });
        } else {
          blind = true;
        }
      });
    }
    if (causes.empty())
      return fmt::format("{}: its gradient is zero{}", who_,
                         blind ? "; which node let none of it through was not kept\n"
                                 "  help: graph.observe() before computing, and ask again"
                               : "");
    std::string text = fmt::format("{}: its gradient is zero: {}", who_, causes[0]);
    for (std::size_t i = 1; i < causes.size(); ++i) text += "\n  and on another way: " + causes[i];
    return more == 0 ? text : text + fmt::format("\n  and on {} more", more);
  }

  std::string cancels_at(std::uint32_t id) const {
    int uses = 0;
    for (std::uint32_t user = id + 1; user <= list_.root; ++user)
      if (to_[user])
        each_operand(list_, user, [&](std::uint32_t i, std::uint32_t operand) {
          if (operand == id && passes(user, i) && flow(user) != Flow::zero && sent(user, i) != Flow::zero) ++uses;
        });
    if (list_.hooks.contains(id)) return "on_gradient() gave zeros in place of what arrived at " + name(id);
    return fmt::format("what its {} uses send back to {} cancels", uses, name(id));
  }

  std::string underflow(std::uint32_t id, double g, double derivative, DType type) const {
    return fmt::format("it underflows: at {} {} · {} is below the smallest {}", name(id), number_text(g),
                       number_text(derivative), type == f32 ? "float" : "double");
  }

  // Why the gradient ends between an entry and its operand i.

  std::string end_at_scalar(std::uint32_t id, std::uint32_t i, std::uint32_t operand) const {
    const Entry& e = list_.entry[id];
    const double g = list_.adjoint[id];
    if (list_.code[id] == element_code) return underflow(id, g, 1, tensor(operand).dtype);
    const double derivative = i == 0 ? e.da : e.db;
    if (derivative != 0) return underflow(id, g, derivative, f64);
    const std::uint32_t op = whole_op(list_, id), other = i == 0 ? e.b : e.a;
    switch (habit_of(kind_of(list_, op))) {
      case Habit::masks:
        return fmt::format("{} lets none of it through ({})", name(op), inputs_of(op));
      case Habit::saturates:
        return fmt::format("{} is saturated ({}, output {})", name(op), inputs_of(op), number_text(list_.value[op]));
      case Habit::multiplies:
        return fmt::format("{} multiplies it by 0{}", name(op), other == 0 ? "" : ": " + name(other) + " is 0");
      default:
        return fmt::format("the derivative of {} is 0 there ({})", name(op), inputs_of(op));
    }
  }

  /// "input 3", or "a 1, b 0".
  std::string inputs_of(std::uint32_t op) const {
    std::vector<std::uint32_t> ids;
    std::vector<double> values, derivatives;
    scalar_operands(list_, op, ids, values, derivatives);
    if (values.size() == 1) return "input " + number_text(values[0]);
    std::string text;
    for (std::size_t i = 0; i < values.size(); ++i)
      text += fmt::format("{}{} {}", i == 0 ? "" : ", ", static_cast<char>('a' + i), number_text(values[i]));
    return text;
  }

  Tensor value_of(std::uint32_t id) const {
    if (!list_.is_tensor(id) || tensor(id).output == nullptr) return {};
    return view(share(tensor(id).output), tensor(id).shape);
  }

  /// What a node would send to operand i for the gradient dy; undefined where the node's op or numbers are gone, or the
  /// rule is a user's own function, which is not to be called again.
  Tensor would_send(const TensorNode& node, std::uint32_t i, const Tensor& dy) const {
    if (node.self == nullptr || node.op->gradient == nullptr || node.op->destroy != nullptr) return {};
    std::vector<Tensor> in;
    for (std::uint32_t k = 0; k < node.count; ++k) {
      in.push_back(value_of(node.input[k]));
      if (!in.back().defined()) return {};
    }
    const Tensor y = value_of(node.id);
    if (!y.defined()) return {};
    return node.op->gradient(node.self, static_cast<int>(i), dy, in.data(), static_cast<int>(node.count), y);
  }

  std::string end_at_tensor(std::uint32_t id, std::uint32_t i, std::uint32_t operand) const {
    const TensorNode& node = tensor(id);
    const Habit habit = habit_of(node.op->name);
    if (is_stack(node) || habit == Habit::moves)
      return fmt::format("none comes back to its part of {}: the loss does not depend on that part", name(id));
    if (observation(id)->sent[i].survey().size == 0 && tensor(operand).shape.size() > 0)
      return fmt::format("the backward of {} gives none to operand {}", name(id), operand_name(id, i));
    const Tensor dy = share(node.gradient);
    const std::int64_t size = tensor(operand).shape.size();
    // Ones in place of the gradient bring out the derivatives of an elementwise op; a gradient of the same direction but
    // of size 1 brings out what was lost for being small.
    const Tensor local = would_send(node, i, ones(dy.shape(), dy.dtype()));
    const double unit = largest(dy);
    const Tensor scaled = would_send(node, i, (dy.to(f64) / unit).to(dy.dtype()));
    if (scaled.defined() && std::isfinite(unit) && !survey(scaled).all_zero()) {
      std::int64_t at = 0;
      for (std::int64_t k = 0; k < scaled.size(); ++k)
        if (std::abs(number_at(scaled, k)) > std::abs(number_at(scaled, at))) at = k;
      const double g = scaled.shape() == dy.shape() ? number_at(dy, at) : unit;
      const double sent = number_at(scaled, at);
      return underflow(id, g, scaled.shape() == dy.shape() ? sent / (g / unit) : sent, tensor(operand).dtype);
    }
    if (!local.defined() && node.op->by_element)
      return fmt::format("{} lets none of it through; its numbers, which were not kept, would tell why", name(id));
    const bool known = local.defined() && node.op->by_element;
    const std::int64_t stopped = known ? survey(local).zeros : size;
    if (known && stopped < size) {
      if (tensor(operand).shape != node.shape) return fmt::format("its parts cancel where {} adds them up", name(id));
      return together(id, stopped, size);
    }
    const Tensor x = value_of(operand);
    switch (habit) {
      case Habit::masks:
        return fmt::format("{} lets none of it through: {} are masked", name(id), of_numbers(stopped, size));
      case Habit::saturates:
        return fmt::format("{} is saturated: its derivative is 0 for {}{}", name(id), of_numbers(stopped, size),
                           range_of(x));
      case Habit::multiplies:
        return multiplied(id, i);
      case Habit::shares:
        return fmt::format(
            "{} lets none of it through: its results always add up the same, and what comes back to them "
            "is equal, or there is only one",
            name(id));
      default:
        return known
                   ? fmt::format("the derivative of {} is 0 for {}{}", name(id), of_numbers(stopped, size), range_of(x))
                   : fmt::format("{} lets none of it through: its parts cancel, or its derivative is 0 there",
                                 name(id));
    }
  }

  std::string range_of(const Tensor& x) const {
    if (!x.defined() || x.size() == 0) return "";
    double low = number_at(x, 0), high = low;
    for (std::int64_t k = 1; k < x.size(); ++k) {
      low = std::min(low, number_at(x, k));
      high = std::max(high, number_at(x, k));
    }
    if (low == high) return fmt::format(" (input {})", number_text(low));
    return fmt::format(" (inputs from {} to {})", number_text(low), number_text(high));
  }

  /// A product: the other factor is 0, or what comes back through it adds up to 0.
  std::string multiplied(std::uint32_t id, std::uint32_t i) const {
    const TensorNode& node = tensor(id);
    if (node.op->number != nullptr && node.self != nullptr && node.op->number(node.self) == 0)
      return fmt::format("{} multiplies it by 0", name(id));
    for (std::uint32_t k = 0; k < node.count; ++k) {
      const bool factor = k != i && (k < 2 || std::string_view(node.op->name) == "einsum");  // a third one is a bias
      const Tensor other = factor ? value_of(node.input[k]) : Tensor();
      if (!other.defined()) continue;
      const Survey numbers = survey(other);
      if (numbers.all_zero() && numbers.size > 0)
        return fmt::format("{} multiplies it by 0: {} of {} are 0", name(id), of_numbers(numbers.zeros, numbers.size),
                           name(node.input[k]));
    }
    if (node.op->by_element) return fmt::format("{} multiplies it by 0 wherever it is not 0 already", name(id));
    return fmt::format("its parts cancel where {} adds them up", name(id));
  }

  /// None of several nodes stops all of the gradient, but together they do: this one, and others between it and the loss.
  std::string together(std::uint32_t id, std::int64_t stopped, std::int64_t size) const {
    std::string text = fmt::format("{} stops {}", name(id), of_numbers(stopped, size));
    std::vector<bool> above(std::size_t{list_.root} + 1);
    above[id] = true;
    for (std::uint32_t user = id + 1; user <= list_.root; ++user) {
      bool passes_on = false;
      std::int64_t lost = 0, all = 0;
      each_operand(list_, user, [&](std::uint32_t i, std::uint32_t operand) {
        if (!above[operand] || !passes(user, i)) return;
        passes_on = true;
        const Observation* const seen = list_.is_tensor(user) ? observation(user) : nullptr;
        const TensorImpl* const arrived = list_.is_tensor(user) ? tensor(user).gradient : nullptr;
        if (seen == nullptr || i >= seen->sent.size() || arrived == nullptr) return;
        const Survey numbers = seen->sent[i].survey();
        lost = numbers.zeros - survey(share(tensor(user).gradient)).zeros;
        all = numbers.size;
        if (all != tensor(user).shape.size()) lost = 0;
      });
      above[user] = passes_on && to_[user];
      if (above[user] && lost > 0) text += fmt::format(", {} stops {}", name(user), of_numbers(lost, all));
    }
    return text + ": together all of it";
  }

  List& list_;
  std::vector<std::uint32_t> x_;
  std::string who_;
  std::shared_ptr<ParameterState> parameter_;
  std::vector<bool> reached_;              // by derivatives, from x
  std::vector<bool> to_;                   // the loss was computed from it
  std::vector<std::uint32_t> cut_before_;  // of each entry that x reaches as a constant only: the cut, or no_cut
  std::vector<std::uint32_t> origin_;      // of each cut value: the cut that parted it from x, or no_cut
};

std::string explain_parameter(List& list, const std::shared_ptr<ParameterState>& state) {
  const std::vector<std::uint32_t> leaves = list.leaves_of(*state);
  std::string who = "parameter " + to_string(state->value.shape());
  if (!leaves.empty() && (state->name.empty() || !list.name_of(leaves.front()).empty()))
    who = called(list, leaves.front());
  else if (!state->name.empty()) who = fmt::format("\"{}\" ({})", state->name, who);
  return Explanation(list, leaves, who, state).text();
}

/// Of a value that was cut off from the list, as its number in List::cuts.
std::string explain_cut(const List& list, std::uint32_t cut) {
  const auto is_cut = [](Place p) { return (graph_of(p) & cut_bit) != 0; };
  while (list.cuts[cut].kind == Cut::none) cut = id_of(is_cut(list.cuts[cut].a) ? list.cuts[cut].a : list.cuts[cut].b);
  return "this value is no part of the graph and gets no gradient: " +
         cut_text(list, cut, [](std::uint32_t) { return false; });
}

std::string explain_entry(List& list, std::uint32_t id) {
  if (list.is_tensor(id) && list.tensor(id).kind == Node::Kind::parameter)
    return explain_parameter(list, list.parameters[list.tensor(id).parameter - 1]);
  return Explanation(list, {id}, called(list, id)).text();
}

template <class X> std::string explain_value(List& list, const X& x, Place place) {
  if (graph_of(place) == (list.graph() | cut_bit)) return explain_cut(list, id_of(place));
  return explain_entry(list, id_in(list, x, "explain()"));
}

}  // namespace

std::string Graph::explain(const Tensor& x) const {
  if (!x.defined()) throw UsageError("explain(): the tensor holds nothing");
  return explain_value(*list_, x, place_in(x));
}
std::string Graph::explain(const Scalar& x) const { return explain_value(*list_, x, Access::place(x)); }
std::string Graph::explain(const Parameter& x) const { return explain_parameter(*list_, x.state()); }

}  // namespace ebb
