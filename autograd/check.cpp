// graph.check(), and what .check = true throws: where the first number came to be that is not finite.
#include "error.h"
#include "graph.h"
#include "telling.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdlib>
#include <limits>
#include <span>
#include <string_view>
#include <utility>

namespace ebb {
namespace detail {

namespace {

std::string number_text(double v) { return std::isnan(v) ? "nan" : fmt::format("{:.6g}", v); }

/// One report.
struct Fault {
  std::string what;    // "backward of log"
  Survey numbers;      // of the tensor that is not finite
  Shape shape;         // its shape
  std::string values;  // "input 0, upstream 1": what made the first such number
  std::string scope;
  std::uint32_t id = 0;
  std::string call;     // "log([32, 4])"
  std::string because;  // a line more
  std::string_view help;

  std::string text() const {
    const std::int64_t count = numbers.not_finite();
    return fmt::format("{}: {} of {} {} not finite{}{}{}\n  at node {}: {}{}{}{}", what, count, numbers.size,
                       count == 1 ? "is" : "are", numbers.size > 1 ? ", first at " : "",
                       numbers.size > 1 ? place_text(shape, numbers.first) : "",
                       (values.empty() ? "" : " (" + values + ")") + (scope.empty() ? "" : "\n  in " + scope), id, call,
                       because.empty() ? "" : "\n  " + because, help.empty() ? "" : "\n  help: ", help);
  }
};

// ---- what is known to help -------------------------------------------------------------------------------------

struct Help {
  std::string_view op, value, gradient;
  bool at_zero = false;  // only where an operand is 0 or negative; elsewhere the number is just too large
};
constexpr std::string_view smooth_log = "log(x + eps); log_softmax(x) for log(softmax(x)), xlogy(a, b) for a * log(b)",
                           in_range =
                               "softmax, log_softmax and logsumexp keep exponentials in range; or clamp the input",
                           unmasked = "leave at least one number along the axis above -inf",
                           divide = "a / (b + eps), or where(b != 0, a / where(b != 0, b, 1), 0)",
                           power = "a negative base wants a whole exponent, and 0 a positive one: pow(abs(a) + eps, b)",
                           bounded = "clamp(x, -1 + eps, 1 - eps)";
constexpr std::array helps = {
    Help{"log", smooth_log, smooth_log},
    Help{"log1p", "keep x above -1: log1p(maximum(x, -1 + eps))", "keep x above -1: log1p(maximum(x, -1 + eps))"},
    Help{"xlogy", "keep b positive: xlogy(a, b + eps)", "keep b positive: xlogy(a, b + eps)"},
    Help{"sqrt", "sqrt(maximum(x, 0)), or sqrt(x + eps)", "sqrt(x + eps), or norm(x) for the root of a sum of squares"},
    Help{"rsqrt", "rsqrt(x + eps)", "rsqrt(x + eps)", true},
    Help{"reciprocal", divide, divide, true},
    Help{"div", divide, divide, true},
    Help{"pow", power, "pow(a + eps, b)", true},
    Help{"exp", in_range, in_range},
    Help{"expm1", in_range, in_range},
    Help{"sinh", in_range, in_range},
    Help{"cosh", in_range, in_range},
    Help{"asin", bounded, bounded},
    Help{"acos", bounded, bounded},
    Help{"softmax", unmasked, unmasked},
    Help{"log_softmax", unmasked, unmasked},
    Help{"logsumexp", unmasked, unmasked},
};

std::string_view beyond(DType type) {
  return type == f32 ? "f32 ends at 3.4e38: to(f64), or smaller numbers" : "f64 ends at 1.8e308: smaller numbers";
}

/// `operands`: the numbers that the first bad one was made of, as far as they are known.
std::string_view help_for(std::string_view op, std::span<const double> operands, const Survey& bad, DType type,
                          bool backward) {
  const auto known = std::find_if(helps.begin(), helps.end(), [&](const Help& help) { return help.op == op; });
  const bool no_zero = std::none_of(operands.begin(), operands.end(), [](double v) { return v <= 0; });
  if (known != helps.end() && !(known->at_zero && no_zero)) return backward ? known->gradient : known->value;
  const bool too_large =
      std::none_of(operands.begin(), operands.end(), [](double v) { return v == 0 || !std::isfinite(v); });
  if (bad.infinite > 0 && too_large) return beyond(type);
  return op == "mean" && !backward ? "the mean of nothing is NaN: look at the sizes" : "";
}

// ---- words for what an op worked on ----------------------------------------------------------------------------

Tensor output_of(const List& list, std::uint32_t id) {
  if (!list.is_tensor(id)) return {};
  TensorImpl* const output = list.tensors[list.entry[id].a].output;
  return output == nullptr ? Tensor() : share(output);
}

/// Where the element of a result of shape y lies in an operand that broadcasts to it.
std::int64_t place_within(const Shape& operand, const Shape& y, std::int64_t place) {
  std::int64_t within = 0, step = 1;
  for (int axis = -1; axis >= -y.rank(); --axis) {
    if (axis >= -operand.rank()) {
      if (operand[axis] != 1) within += place % y[axis] * step;
      step *= operand[axis];
    }
    place /= y[axis];
  }
  return within;
}

double largest(const Tensor& t) {
  double most = 0;
  for (std::int64_t i = 0; i < t.size(); ++i) {
    const double size = std::abs(number_at(t, i));
    if (!(size <= most)) most = size;  // a NaN stays
  }
  return most;
}

struct Words {
  std::vector<double> numbers;
  std::vector<std::string> names;

  void add(std::string name, double v) {
    names.push_back(std::move(name));
    numbers.push_back(v);
  }
  /// "input 0" or "a 1, b 0".
  std::string text() const {
    if (names.size() == 1) return "input " + number_text(numbers[0]);
    std::string all;
    for (std::size_t i = 0; i < names.size(); ++i)
      all += fmt::format("{}{} {}", i == 0 ? "" : ", ", names[i], number_text(numbers[i]));
    return all;
  }
};

/// The operands' elements behind one element of an elementwise result.
Words elements_behind(const OpInfo& info, const void* self, std::span<const Tensor> in, const Shape& y,
                      std::int64_t place) {
  const std::vector<std::string> names = words(info.operands);
  Words found;
  const bool number = info.number != nullptr && self != nullptr;
  if (number && info.number_first) found.add("a", info.number(self));
  for (std::size_t i = 0; i < in.size(); ++i)
    if (in[i].defined())
      found.add(i < names.size() ? names[i] : "x", number_at(in[i], place_within(in[i].shape(), y, place)));
  if (number && !info.number_first) found.add("b", info.number(self));
  return found;
}

/// "|x| up to 3e+38": what the operands of another op are like.
std::string sizes_behind(const OpInfo& info, std::span<const Tensor> in) {
  const std::vector<std::string> names = words(info.operands);
  std::string text;
  for (std::size_t i = 0; i < in.size() && i < 4; ++i)
    if (in[i].defined() && in[i].dtype() != i64)
      text += fmt::format("{}|{}| up to {}", text.empty() ? "" : ", ", i < names.size() ? names[i] : "x",
                          number_text(largest(in[i])));
  return text;
}

std::string call_text(std::string_view name, std::span<const Shape> shapes) {
  std::string text;
  for (std::size_t i = 0; i < shapes.size() && i < 5; ++i) text += (i == 0 ? "" : ", ") + to_string(shapes[i]);
  if (shapes.size() > 5) text += fmt::format(", +{} more", shapes.size() - 5);
  return fmt::format("{}({})", name, text);
}

std::vector<Tensor> operands_of(const List& list, const TensorNode& node) {
  std::vector<Tensor> in;
  for (std::uint32_t i = 0; i < node.count && !is_stack(node); ++i) in.push_back(output_of(list, node.input[i]));
  return in;
}

std::string call_of(const List& list, std::uint32_t id) {
  std::vector<Shape> shapes;
  if (!list.is_tensor(id)) return fmt::format("{} of Scalars", kind_of(list, id));
  const TensorNode& node = list.tensors[list.entry[id].a];
  if (node.op == nullptr) return to_string(node.shape);
  for (std::uint32_t i = 0; i < node.count; ++i)
    shapes.push_back(is_stack(node) ? Shape{} : list.tensors[list.entry[node.input[i]].a].shape);
  return call_text(node.op->name, shapes);
}

std::string leaf_text(const List& list, std::uint32_t id) {
  const std::string name = list.name_of(id);
  return kind_of(list, id) + (name.empty() ? "" : fmt::format(" \"{}\"", name));
}

// ---- values ----------------------------------------------------------------------------------------------------

constexpr std::string_view brought_in = "it came in so: look at where these numbers are from",
                           trained_so = "an assign() or a step made it so: look at the gradient and step size before";

Fault leaf_fault(const List& list, std::uint32_t id, const Survey& numbers, const Shape& shape, double first) {
  const bool parameter = list.is_tensor(id) && list.tensors[list.entry[id].a].kind == Node::Kind::parameter;
  return {leaf_text(list, id),
          numbers,
          shape,
          number_text(first),
          scope_of(list, id),
          id,
          list.is_tensor(id) ? to_string(shape) : "a Scalar",
          "",
          parameter ? trained_so : brought_in};
}

Fault result_fault(const OpInfo& info, const void* self, std::span<const Tensor> in, const Tensor& y,
                   const Survey& bad) {
  Fault fault{info.name, bad, y.shape(), "", "", 0, "", "", ""};
  Words behind;
  if (info.by_element) {
    behind = elements_behind(info, self, in, y.shape(), bad.first);
    fault.values = behind.text();
  } else {
    fault.values = sizes_behind(info, in);
  }
  fault.values += (fault.values.empty() ? "output " : ", output ") + number_text(number_at(y, bad.first));
  fault.help = help_for(info.name, behind.numbers, bad, y.dtype(), false);
  return fault;
}

Survey one_bad(double v) { return {1, 0, std::isnan(v) ? 0 : 1, std::isnan(v) ? 1 : 0, 0}; }

/// -inf among constants, and any infinity that stands alone, is written by intent: masks and limits are.
bool may_be_meant(const Tensor& constant, const Survey& numbers) {
  if (numbers.nan > 0) return false;
  if (numbers.size == 1) return true;
  return dispatch_floating(constant.dtype(), [&]<class T>(T) {
    const T* const x = read<T>(constant);
    return std::none_of(x, x + constant.size(), [](T v) { return v == std::numeric_limits<T>::infinity(); });
  });
}

/// An entry whose value is not finite, as a report; its operands are finite, or infinite by intent.
Fault value_fault(const List& list, std::uint32_t id) {
  if (!list.is_tensor(id)) {
    const double v = list.value[id];
    if (list.code[id] == leaf_code) return leaf_fault(list, id, one_bad(v), {}, v);
    Fault fault{kind_of(list, id), one_bad(v), {}, "", scope_of(list, id), id, call_of(list, id), "", ""};
    std::vector<std::uint32_t> ids;
    std::vector<double> values, derivatives;
    Words behind;
    scalar_operands(list, id, ids, values, derivatives);
    for (std::size_t i = 0; i < values.size(); ++i) behind.add(std::string(1, static_cast<char>('a' + i)), values[i]);
    fault.values = behind.text() + ", output " + number_text(v);
    fault.help = help_for(kind_of(list, id), values, fault.numbers, f64, false);
    return fault;
  }
  const TensorNode& node = list.tensors[list.entry[id].a];
  const Tensor y = output_of(list, id);
  const Survey bad = survey(y);
  if (node.op == nullptr) return leaf_fault(list, id, bad, node.shape, number_at(y, bad.first));
  Fault fault = result_fault(*node.op, node.self, operands_of(list, node), y, bad);
  if (is_stack(node))
    fault.values = fmt::format("input {}, {}", number_text(list.value[node.input[bad.first]]), fault.values);
  fault.scope = scope_of(list, id);
  fault.id = id;
  fault.call = call_of(list, id);
  return fault;
}

constexpr std::string_view out_of = "out of the infinity in ";

struct Values {
  std::string fault;                  // the first that is not finite; empty if none
  std::vector<std::uint32_t> source;  // of each entry that is infinite by intent, where that was written
};
Values look_at_values(const List& list, std::uint32_t last) {
  Values found{"", std::vector<std::uint32_t>(std::size_t{last} + 1)};
  std::vector<std::uint32_t>& source = found.source;
  for (std::uint32_t id = 1; id <= last; ++id) {
    std::uint32_t meant = 0;
    each_operand(list, id, [&](std::uint32_t, std::uint32_t operand) {
      if (meant == 0) meant = source[operand];
    });
    bool nan = false;
    if (list.is_tensor(id)) {
      const TensorNode& node = list.tensors[list.entry[id].a];
      if (node.output == nullptr || node.dtype == i64) continue;
      const Tensor y = share(node.output);
      const Survey numbers = survey(y);
      if (numbers.not_finite() == 0) continue;
      nan = numbers.nan > 0;
      if (node.kind == Node::Kind::constant && may_be_meant(y, numbers)) meant = id;
      if (node.op != nullptr && node.op->number != nullptr && node.self != nullptr &&
          std::isinf(node.op->number(node.self)))
        meant = id;
      // What a checkpoint computed was looked at while it was there.
      if (list.checking && node.op != nullptr && node.op->gradient == nullptr && !is_stack(node) && meant == 0)
        meant = id;
    } else if (std::isfinite(list.value[id])) {
      // A part only carries gradients; the values that it carries are looked at as its op's.
      if (list.code[id] == part_code) source[id] = meant;
      continue;
    } else {
      nan = std::isnan(list.value[id]);
      if (list.code[id] >= first_rule_code && meant == 0) {
        std::vector<std::uint32_t> ids;
        std::vector<double> values, derivatives;
        scalar_operands(list, id, ids, values, derivatives);
        for (std::size_t i = 0; i < ids.size(); ++i)
          if (ids[i] == 0 && std::isinf(values[i])) meant = id;
      }
    }
    if (meant == 0 || nan) {
      Fault fault = value_fault(list, id);
      if (meant != 0 && meant != id) fault.because = std::string(out_of) + called(list, meant);
      found.fault = fault.text();
      return found;
    }
    source[id] = meant;
  }
  return found;
}

// ---- gradients -------------------------------------------------------------------------------------------------

constexpr std::string_view too_large_a_sum =
    "what arrives is finite and overflows when added up: scale the loss down, or f64";

Fault arrived_fault(const List& list, std::uint32_t id, const Survey& bad, const Shape& shape, double first) {
  // A checkpoint computes its own nodes again, and forgets what passed between them.
  for (std::uint32_t user = id + 1; list.is_tensor(id) && user <= list.root; ++user) {
    if (!list.is_tensor(user) || !list.tensors[list.entry[user].a].reached) continue;
    const TensorNode& node = list.tensors[list.entry[user].a];
    const bool replayed = node.op != nullptr && node.op->gradient == nullptr && !is_stack(node);
    if (replayed && std::find(node.input, node.input + node.count, id) != node.input + node.count)
      return {fmt::format("backward of {}", node.op->name),
              bad,
              shape,
              "sent " + number_text(first),
              scope_of(list, user),
              user,
              call_of(list, user),
              "inside of it",
              ".check = true finds where"};
  }
  const std::string name = list.name_of(id);
  const bool watched = list.hooks.contains(id);
  return {fmt::format("{} {}", watched ? "what on_gradient() gave for" : "gradients added up at",
                      name.empty() ? kind_of(list, id) : leaf_text(list, id)),
          bad,
          shape,
          (watched ? "" : "sum ") + number_text(first),
          scope_of(list, id),
          id,
          call_of(list, id),
          "",
          watched ? "" : too_large_a_sum};
}

Fault sent_fault(const List& list, const TensorNode& node, std::uint32_t i, const Survey& bad) {
  const OpInfo& info = *node.op;
  const TensorNode& operand = list.tensors[list.entry[node.input[i]].a];
  const Tensor dy = share(node.gradient);
  Fault fault{fmt::format("backward of {}", info.name),
              bad,
              operand.shape,
              "",
              scope_of(list, node.id),
              node.id,
              call_of(list, node.id),
              "",
              ""};
  const std::vector<std::string> names = words(info.operands);
  if (node.count > 1)
    fault.call += fmt::format(", to {}", i < names.size() ? names[i] : fmt::format("operand {}", i + 1));
  Words behind;
  const std::vector<Tensor> in = operands_of(list, node);
  if (info.by_element && operand.shape == node.shape) {
    behind = elements_behind(info, node.self, in, node.shape, bad.first);
    fault.values = behind.text();
    fault.values += (fault.values.empty() ? "upstream " : ", upstream ") + number_text(number_at(dy, bad.first));
  } else {
    const std::string sizes = sizes_behind(info, in);
    fault.values = fmt::format("{}{}upstream up to {}", sizes, sizes.empty() ? "" : ", ", number_text(largest(dy)));
  }
  fault.help = help_for(info.name, behind.numbers, bad, operand.dtype, true);
  return fault;
}

/// What a scalar entry with gradient g sends: its fault, if that is not finite.
std::string bad_scalar_step(const List& list, std::uint32_t id) {
  const std::uint16_t code = list.code[id];
  if (code != leaf_code && code != part_code && code != element_code && code < first_rule_code) return "";
  const double g = list.adjoint[id];
  if (!std::isfinite(g)) return arrived_fault(list, whole_op(list, id), one_bad(g), {}, g).text();
  if (g == 0 || code == leaf_code) return "";
  const Entry& e = list.entry[id];
  if (code == element_code) {
    const TensorNode& x = list.tensors[list.entry[e.a].a];
    if (x.dtype == f64 || std::abs(g) <= static_cast<double>(std::numeric_limits<float>::max())) return "";
    return Fault{"backward of element", one_bad(g), {},         "upstream " + number_text(g), scope_of(list, id), id,
                 call_of(list, id),     "",         beyond(f32)}
        .text();
  }
  const bool a = e.a != 0 && !std::isfinite(g * e.da), b = e.b != 0 && !std::isfinite(g * e.db);
  if (!a && !b) return "";
  const std::uint32_t op = whole_op(list, id);
  const double sent = g * (a ? e.da : e.db);
  Fault fault{
      "backward of " + kind_of(list, op), one_bad(sent), {}, "", scope_of(list, op), op, call_of(list, op), "", ""};
  std::vector<std::uint32_t> ids;
  std::vector<double> values, derivatives;
  Words behind;
  scalar_operands(list, op, ids, values, derivatives);
  for (std::size_t i = 0; i < values.size(); ++i) behind.add(std::string(1, static_cast<char>('a' + i)), values[i]);
  fault.values = fmt::format("{}, upstream {}", behind.text(), number_text(g));
  fault.help = help_for(kind_of(list, op), values, fault.numbers, f64, true);
  return fault.text();
}

std::string first_bad_gradient(const List& list) {
  for (std::uint32_t id = list.root; id > 0; --id) {
    if (!list.is_tensor(id)) {
      if (std::string fault = bad_scalar_step(list, id); !fault.empty()) return fault;
      continue;
    }
    const TensorNode& node = list.tensors[list.entry[id].a];
    if (!node.reached || node.gradient == nullptr) continue;
    const Tensor arrived = share(node.gradient);
    const Survey numbers = survey(arrived);
    if (numbers.not_finite() > 0)
      return arrived_fault(list, id, numbers, node.shape, number_at(arrived, numbers.first)).text();
    if (node.op == nullptr) continue;
    std::uint32_t i = 0;
    for (const Observation::Sent& sent : list.observations[list.entry[id].a].sent) {
      if (const Survey bad = sent.survey(); bad.not_finite() > 0) return sent_fault(list, node, i, bad).text();
      ++i;
    }
  }
  return "";
}

void throw_unless_empty(const std::string& fault) {
  if (!fault.empty()) throw GraphError(fault);
}

}  // namespace

// ---- as soon as it happens -------------------------------------------------------------------------------------

void List::check_leaf(std::uint32_t id) {
  const Tensor leaf = output_of(*this, id);
  const Survey numbers = survey(leaf);
  if (numbers.not_finite() == 0) return;
  const std::string fault = leaf_fault(*this, id, numbers, leaf.shape(), number_at(leaf, numbers.first)).text();
  take_back(id);
  throw GraphError(fault);
}

void List::check_result(const Tensor& y, const OpInfo& info, const void* op, const Tensor* const* in, int n) {
  std::uint32_t id = size();  // that the op, and constants before it, would have
  std::vector<Tensor> operands;
  std::vector<Shape> shapes;
  std::vector<const TensorImpl*> constants;
  std::string infinite_constant;
  bool finite = true;
  for (int i = 0; i < n; ++i) {
    const TensorImpl& head = impl(*in[i]);
    operands.push_back(*in[i]);
    shapes.push_back(head.shape);
    const Survey numbers = head.dtype == i64 ? Survey() : survey(*in[i]);
    finite = finite && numbers.not_finite() == 0;
    const std::uint64_t leaf = head.leaf.load(std::memory_order_relaxed);
    if (head.graph == graph() || (leaf >> 32 == graph() && stands_for(id_of(leaf), head))) continue;
    if (std::find(constants.begin(), constants.end(), &head) != constants.end()) continue;
    constants.push_back(&head);
    if (numbers.not_finite() > 0 && !may_be_meant(*in[i], numbers)) {
      Fault fault{"constant",
                  numbers,
                  head.shape,
                  number_text(number_at(*in[i], numbers.first)),
                  scope_of(*this, id),
                  id,
                  to_string(head.shape),
                  "",
                  brought_in};
      throw GraphError(fault.text());
    }
    if (numbers.not_finite() > 0 && infinite_constant.empty()) {
      const std::string scope = scope_of(*this, id);
      infinite_constant =
          fmt::format("constant {} (node {}{})", to_string(head.shape), id, scope.empty() ? "" : ", in " + scope);
    }
    ++id;
  }
  const Survey numbers = survey(y);
  if (numbers.not_finite() == 0) return;
  if (info.number != nullptr && std::isinf(info.number(op))) finite = false;
  const bool meant = !finite && numbers.nan == 0;  // an infinity by intent goes on
  if (meant && size() - 1 - parts == tensor_count) return;
  const Values before = look_at_values(*this, size() - 1);  // a Scalar may have been the first
  throw_unless_empty(before.fault);
  if (meant) return;
  Fault fault = result_fault(info, op, operands, y, numbers);
  fault.scope = scope_of(*this, id);
  fault.id = id;
  fault.call = call_text(info.name, shapes);
  for (int i = 0; i < n && fault.because.empty(); ++i) {
    const std::uint32_t known = impl(*in[i]).graph == graph() ? before.source[impl(*in[i]).node] : 0;
    if (known != 0) fault.because = std::string(out_of) + called(*this, known);
    else if (!infinite_constant.empty()) fault.because = std::string(out_of) + infinite_constant;
  }
  throw GraphError(fault.text());
}

void List::check_values(std::uint32_t last, bool outcome) {
  const Values values = look_at_values(*this, last);
  throw_unless_empty(values.fault);
  if (outcome && values.source[last] != 0) throw GraphError(value_fault(*this, values.source[last]).text());
}

void List::check_arrived(const TensorNode& node) {
  const Tensor arrived = share(node.gradient);
  const Survey numbers = survey(arrived);
  if (numbers.not_finite() == 0) return;
  throw GraphError(arrived_fault(*this, node.id, numbers, node.shape, number_at(arrived, numbers.first)).text());
}

void List::check_sent(const TensorNode& node, std::uint32_t i, const Tensor& dx) {
  const Survey numbers = survey(dx);
  if (numbers.not_finite() > 0) throw GraphError(sent_fault(*this, node, i, numbers).text());
}

void List::check_swept(std::uint32_t hi, std::uint32_t lo) {
  for (std::uint32_t id = hi; id > lo; --id)
    if (!is_tensor(id)) throw_unless_empty(bad_scalar_step(*this, id));
}

// ---- afterwards ------------------------------------------------------------------------------------------------

std::uint32_t unobserved(const List& list) {
  for (std::size_t i = 0; i < list.tensor_count; ++i)
    if (list.tensors[i].op != nullptr && list.tensors[i].output == nullptr) return list.tensors[i].id;
  return 0;
}

std::string first_not_finite(const List& list) {
  const std::uint32_t last = list.size() - 1;
  const Values values = look_at_values(list, last);
  if (!values.fault.empty()) return values.fault;
  const std::uint32_t outcome = values.source[list.root != 0 ? list.root : last];
  if (outcome != 0) return value_fault(list, outcome).text();
  return list.root != 0 ? first_bad_gradient(list) : "";
}

}  // namespace detail

std::string Graph::check() const {
  if (const std::uint32_t id = detail::unobserved(*list_); id != 0) {
    throw GraphError(
        fmt::format("check(): the numbers of {} were not kept\n"
                    "  help: graph.observe() before computing, or Graph graph({{.check = true}})",
                    detail::called(*list_, id)));
  }
  return detail::first_not_finite(*list_);
}

}  // namespace ebb
