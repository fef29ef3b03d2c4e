// Programs, run by the library and by the interpreter in forward.h, compared, and made small where the two disagree.
#pragma once

#include "forward.h"

#include <ebb/autograd/autograd.h>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <deque>
#include <functional>
#include <limits>
#include <map>
#include <optional>
#include <sstream>
#include <string>
#include <tuple>
#include <utility>
#include <variant>
#include <vector>

namespace ebb::programs {

using forward::Array;
using forward::Index;
using forward::Step;

/// Steps in order.  Leaves are steps too: "variable", "parameter" and "constant", of the scalar lane if flagged.
/// The loss is the sum of the outputs' numbers, each times a weight.
struct Program {
  std::vector<Step> steps;
  std::vector<int> outputs;
};

inline bool is_leaf(const Step& step) {
  return step.op == "variable" || step.op == "parameter" || step.op == "constant";
}
inline bool is_wanted(const Step& step) { return step.op == "variable" || step.op == "parameter"; }

/// Numbers in [-1, 1] that two runs agree on: weights of outputs (the first, second, ...), and the directions u and w.
inline double weight(int output, int place) { return std::cos(1.0 + 2.3 * output + 0.7 * place); }
inline double along_u(int leaf, int place) { return std::cos(2.0 + 1.9 * leaf + 1.3 * place); }
inline double along_w(int leaf, int place) { return std::cos(0.3 + 3.1 * leaf + 2.1 * place); }

/// The program as a person reads it: one line for each step, with what it computed.
inline std::string to_text(const Program& program) {
  std::ostringstream text;
  text.precision(17);
  const auto list = [&](const char* name, const auto& all) {
    if (all.empty()) return;
    text << "  " << name << " {";
    for (std::size_t i = 0; i < all.size(); ++i) text << (i == 0 ? "" : ", ") << all[i];
    text << "}";
  };
  for (std::size_t k = 0; k < program.steps.size(); ++k) {
    const Step& step = program.steps[k];
    text << "  v" << k << " = " << step.op;
    if (is_leaf(step)) text << (step.flag ? " number" : "");
    for (std::size_t i = 0; i < step.in.size(); ++i) text << (i == 0 ? "(v" : ", v") << step.in[i];
    text << (step.in.empty() ? "" : ")");
    list("axes", step.axes);
    list(is_leaf(step) ? "shape" : "sizes", step.sizes);
    list("places", step.places);
    list("numbers", step.numbers);
    if (!step.text.empty()) text << "  \"" << step.text << "\"";
    if (!is_leaf(step) && step.flag) text << "  flag";
    if (step.other_flag) text << "  other flag";
    text << "\n";
  }
  text << "  loss: ";
  for (std::size_t i = 0; i < program.outputs.size(); ++i)
    text << (i == 0 ? "" : " + ") << "weighed v" << program.outputs[i];
  return text.str() + "\n";
}

// ---- the interpreter's side --------------------------------------------------------------------------------------

using Direction = std::function<double(int leaf, int place)>;

inline Array leaf_value(const Step& step, int number, const Direction& u, const Direction& w) {
  Array x{step.sizes, {}, step.flag};
  for (int place = 0; place < forward::count(step.sizes); ++place) {
    forward::Number n = step.numbers[static_cast<std::size_t>(place)];
    if (is_wanted(step)) n.d.v = u(number, place), n.v.d = w(number, place);
    x.numbers.push_back(n);
  }
  return x;
}

inline Array step_value(const Step& step, const std::vector<Array>& before) {
  forward::Operands operands;
  for (const int i : step.in) operands.push_back(&before[static_cast<std::size_t>(i)]);
  return forward::ops().at(step.op)(step, operands);
}

/// Every step's value.  Throws forward::Kink.
inline std::vector<Array> values(const Program& program, const Direction& u, const Direction& w) {
  std::vector<Array> all;
  for (const Step& step : program.steps)
    all.push_back(is_leaf(step) ? leaf_value(step, static_cast<int>(all.size()), u, w) : step_value(step, all));
  return all;
}

inline forward::Number loss_of(const Program& program, const std::vector<Array>& values) {
  forward::Number loss = 0.0;
  for (std::size_t o = 0; o < program.outputs.size(); ++o) {
    int place = 0;
    for (const forward::Number& n : values[static_cast<std::size_t>(program.outputs[o])].numbers)
      loss = loss + weight(static_cast<int>(o), place++) * n;
  }
  return loss;
}

inline bool depends_on_nothing(const forward::Number& n) { return n.d.v == 0 && n.v.d == 0; }

// ---- the library's side ------------------------------------------------------------------------------------------

using Value = std::variant<Scalar, Tensor>;
using Values = std::vector<Value>;
using Call = std::function<Value(const Step&, const Values&)>;
using Library = std::map<std::string, Call>;

inline Shape shape_of(const Index& sizes) {
  const std::vector<std::int64_t> wide(sizes.begin(), sizes.end());
  return Shape(std::span<const std::int64_t>(wide));
}
inline Tensor positions(const Index& places, const Shape& shape) {
  return from(std::vector<std::int64_t>(places.begin(), places.end()), shape);
}

/// f of operands of either lane.
template <class F> Call of_one(F f) {
  return [f](const Step&, const Values& x) { return std::visit([&](const auto& a) -> Value { return f(a); }, x[0]); };
}
template <class F> Call of_two(F f) {
  return [f](const Step&, const Values& x) {
    return std::visit([&](const auto& a, const auto& b) -> Value { return f(a, b); }, x[0], x[1]);
  };
}
/// f of the step and its operands, which are all tensors.
template <class F> Call of_tensors(F f) {
  return [f](const Step& step, const Values& x) -> Value {
    std::vector<Tensor> tensors;
    for (const Value& operand : x) tensors.push_back(std::get<Tensor>(operand));
    return f(step, tensors);
  };
}

inline Library make_library() {
  using S = const Step&;
  using X = const std::vector<Tensor>&;
  Library all;
  all["neg"] = of_one([](const auto& x) { return -x; });
  all["abs"] = of_one([](const auto& x) { return abs(x); });
  all["sign"] = of_one([](const auto& x) { return sign(x); });
  all["exp"] = of_one([](const auto& x) { return exp(x); });
  all["expm1"] = of_one([](const auto& x) { return expm1(x); });
  all["log"] = of_one([](const auto& x) { return log(x); });
  all["log1p"] = of_one([](const auto& x) { return log1p(x); });
  all["sqrt"] = of_one([](const auto& x) { return sqrt(x); });
  all["rsqrt"] = of_one([](const auto& x) { return rsqrt(x); });
  all["square"] = of_one([](const auto& x) { return square(x); });
  all["reciprocal"] = of_one([](const auto& x) { return reciprocal(x); });
  all["sin"] = of_one([](const auto& x) { return sin(x); });
  all["cos"] = of_one([](const auto& x) { return cos(x); });
  all["tan"] = of_one([](const auto& x) { return tan(x); });
  all["asin"] = of_one([](const auto& x) { return asin(x); });
  all["acos"] = of_one([](const auto& x) { return acos(x); });
  all["atan"] = of_one([](const auto& x) { return atan(x); });
  all["sinh"] = of_one([](const auto& x) { return sinh(x); });
  all["cosh"] = of_one([](const auto& x) { return cosh(x); });
  all["tanh"] = of_one([](const auto& x) { return tanh(x); });
  all["erf"] = of_one([](const auto& x) { return erf(x); });
  all["sigmoid"] = of_one([](const auto& x) { return sigmoid(x); });
  all["relu"] = of_one([](const auto& x) { return relu(x); });
  all["leaky_relu"] = of_one([](const auto& x) { return leaky_relu(x); });
  all["elu"] = of_one([](const auto& x) { return elu(x); });
  all["gelu"] = of_one([](const auto& x) { return gelu(x); });
  all["silu"] = of_one([](const auto& x) { return silu(x); });
  all["softplus"] = of_one([](const auto& x) { return softplus(x); });
  all["mish"] = of_one([](const auto& x) { return mish(x); });
  all["hardtanh"] = of_one([](const auto& x) { return hardtanh(x); });
  all["detach"] = of_one([](const auto& x) { return detach(x); });
  all["swish"] = of_one(elementwise("swish", [](auto x) { return x / (1 + exp(-x)); }));
  all["clamp"] = [](S s, const Values& x) {
    return std::visit([&](const auto& a) -> Value { return clamp(a, s.numbers[0], s.numbers[1]); }, x[0]);
  };

  all["add"] = of_two([](const auto& a, const auto& b) { return a + b; });
  all["sub"] = of_two([](const auto& a, const auto& b) { return a - b; });
  all["mul"] = of_two([](const auto& a, const auto& b) { return a * b; });
  all["div"] = of_two([](const auto& a, const auto& b) { return a / b; });
  all["pow"] = of_two([](const auto& a, const auto& b) { return pow(a, b); });
  all["xlogy"] = of_two([](const auto& a, const auto& b) { return xlogy(a, b); });
  all["maximum"] = of_two([](const auto& a, const auto& b) { return maximum(a, b); });
  all["minimum"] = of_two([](const auto& a, const auto& b) { return minimum(a, b); });
  all["hypotenuse"] = of_two(elementwise("hypotenuse", [](auto a, auto b) { return sqrt(a * a + b * b + 1); }));
  all["blend"] = [blend = elementwise("blend", [](auto a, auto b, auto c, auto d) {
                    return a * sigmoid(b) + c * tanh(d);
                  })](S, const Values& x) {
    return std::visit([&](const auto&... operand) -> Value { return blend(operand...); }, x[0], x[1], x[2], x[3]);
  };
  all["where"] = [](S, const Values& x) {
    return std::visit(
        [](const auto& p, const auto& q, const auto& a, const auto& b) -> Value {
          const auto chosen = p > q;
          constexpr bool single =
              std::is_same_v<decltype(a), const Scalar&> && std::is_same_v<decltype(b), const Scalar&>;
          if constexpr (std::is_same_v<decltype(chosen), const bool> == single) return where(chosen, a, b);
          else throw UsageError("the condition is of one lane, what it chooses from of the other");
        },
        x[0], x[1], x[2], x[3]);
  };

  all["sum"] = of_tensors([](S s, X x) { return sum(x[0], s.axes, s.flag); });
  all["mean"] = of_tensors([](S s, X x) { return mean(x[0], s.axes, s.flag); });
  all["var"] = of_tensors([](S s, X x) { return var(x[0], s.axes, s.flag); });
  all["max"] = of_tensors([](S s, X x) { return max(x[0], s.axes, s.flag); });
  all["min"] = of_tensors([](S s, X x) { return min(x[0], s.axes, s.flag); });
  all["logsumexp"] = of_tensors([](S s, X x) { return logsumexp(x[0], s.axes, s.flag); });
  all["softmax"] = of_tensors([](S s, X x) { return softmax(x[0], s.axes[0]); });
  all["log_softmax"] = of_tensors([](S s, X x) { return log_softmax(x[0], s.axes[0]); });

  all["matmul"] = of_tensors([](S s, X x) { return matmul(x[0], x[1], {s.flag, s.other_flag}); });
  all["dot"] = of_tensors([](S, X x) { return dot(x[0], x[1]); });
  all["outer"] = of_tensors([](S, X x) { return outer(x[0], x[1]); });
  all["affine"] = of_tensors([](S, X x) { return affine(x[0], x[1], x[2]); });

  all["reshape"] = of_tensors([](S s, X x) { return reshape(x[0], shape_of(s.sizes)); });
  all["flatten"] = of_tensors([](S s, X x) { return flatten(x[0], s.axes[0]); });
  all["squeeze"] = of_tensors([](S s, X x) { return squeeze(x[0], s.axes[0]); });
  all["unsqueeze"] = of_tensors([](S s, X x) { return unsqueeze(x[0], s.axes[0]); });
  all["permute"] = of_tensors([](S s, X x) { return permute(x[0], s.axes); });
  all["transpose"] = of_tensors([](S s, X x) { return transpose(x[0], s.axes[0], s.axes[1]); });
  all["broadcast_to"] = of_tensors([](S s, X x) { return broadcast_to(x[0], shape_of(s.sizes)); });
  all["concat"] = of_tensors([](S s, X x) { return concat(x, s.axes[0]); });
  all["stack"] = [](S s, const Values& x) -> Value {
    if (std::holds_alternative<Scalar>(x[0])) {
      std::vector<Scalar> parts;
      for (const Value& part : x) parts.push_back(std::get<Scalar>(part));
      return stack(parts);
    }
    return of_tensors([](S step, X parts) { return stack(parts, step.axes[0]); })(s, x);
  };
  all["slice"] = of_tensors([](S s, X x) { return slice(x[0], s.sizes[0], s.sizes[1], s.axes[0]); });
  all["part"] = of_tensors([](S s, X x) { return x[0][s.places[0]]; });
  all["element"] = [](S s, const Values& x) -> Value {
    const Tensor& t = std::get<Tensor>(x[0]);
    const Index& i = s.places;
    switch (i.size()) {
      case 0:
        return t();
      case 1:
        return t(i[0]);
      case 2:
        return t(i[0], i[1]);
      case 3:
        return t(i[0], i[1], i[2]);
      default:
        return t(i[0], i[1], i[2], i[3]);
    }
  };
  all["gather"] = of_tensors([](S s, X x) { return gather(x[0], positions(s.places, shape_of(s.sizes)), s.axes[0]); });
  all["scatter_add"] =
      of_tensors([](S s, X x) { return scatter_add(x[0], positions(s.places, shape_of(s.sizes)), x[1], s.axes[0]); });
  all["prod"] = of_tensors([](S s, X x) { return prod(x[0], s.axes, s.flag); });
  all["norm"] = of_tensors([](S s, X x) { return norm(x[0], s.axes, s.flag); });
  all["cumsum"] = of_tensors([](S s, X x) { return cumsum(x[0], s.axes[0]); });
  all["einsum"] = of_tensors([](S s, X x) { return einsum(s.text, x); });
  all["split"] = of_tensors([](S s, X x) {
    const std::vector<std::int64_t> sizes(s.sizes.begin(), s.sizes.end());
    return split(x[0], sizes, s.axes[0])[static_cast<std::size_t>(s.places[0])];
  });
  all["pad"] = of_tensors([](S s, X x) {
    std::vector<std::pair<std::int64_t, std::int64_t>> widths;
    for (std::size_t a = 0; a < s.sizes.size(); a += 2) widths.emplace_back(s.sizes[a], s.sizes[a + 1]);
    return pad(x[0], widths, s.numbers[0]);
  });
  all["flip"] = of_tensors([](S s, X x) { return flip(x[0], s.axes); });
  all["take"] = of_tensors([](S s, X x) { return take(x[0], positions(s.places, shape_of(s.sizes)), s.axes[0]); });
  all["embedding"] = of_tensors([](S s, X x) { return embedding(positions(s.places, shape_of(s.sizes)), x[0]); });
  all["conv1d"] = of_tensors([](S s, X x) {
    const Conv1dOptions options = {s.sizes[0], s.sizes[1], s.sizes[2], s.sizes[3]};
    return x.size() > 2 ? conv1d(x[0], x[1], x[2], options) : conv1d(x[0], x[1], options);
  });
  all["conv2d"] = of_tensors([](S s, X x) {
    const Conv2dOptions options = {
        {s.sizes[0], s.sizes[1]}, {s.sizes[2], s.sizes[3]}, {s.sizes[4], s.sizes[5]}, s.sizes[6]};
    return x.size() > 2 ? conv2d(x[0], x[1], x[2], options) : conv2d(x[0], x[1], options);
  });
  all["conv_transpose2d"] = of_tensors([](S s, X x) {
    const ConvTranspose2dOptions options = {{s.sizes[0], s.sizes[1]},
                                            {s.sizes[2], s.sizes[3]},
                                            {s.sizes[7], s.sizes[8]},
                                            {s.sizes[4], s.sizes[5]},
                                            s.sizes[6]};
    return x.size() > 2 ? conv_transpose2d(x[0], x[1], x[2], options) : conv_transpose2d(x[0], x[1], options);
  });
  all["max_pool1d"] = of_tensors([](S s, X x) { return max_pool1d(x[0], s.sizes[0], {s.sizes[1], s.sizes[2]}); });
  all["max_pool2d"] = of_tensors([](S s, X x) {
    return max_pool2d(x[0], {s.sizes[0], s.sizes[1]}, {{s.sizes[2], s.sizes[3]}, {s.sizes[4], s.sizes[5]}});
  });
  all["avg_pool2d"] = of_tensors([](S s, X x) {
    return avg_pool2d(x[0], {s.sizes[0], s.sizes[1]}, {{s.sizes[2], s.sizes[3]}, {s.sizes[4], s.sizes[5]}, s.flag});
  });
  all["checkpoint"] = of_tensors(
      [](S, X x) { return checkpoint([](const Tensor& a, const Tensor& b) { return sin(a) * b; }, x[0], x[1]); });
  all["custom"] = of_tensors([](S, X x) {
    return custom(
        "sin(a)·b", {x[0], x[1]}, [](const Tensor& a, const Tensor& b) { return sin(a) * b; },
        [](const Tensor& dy, const Tensor& a, const Tensor& b) {
          return std::vector{dy * cos(a) * b, dy * sin(a)};
        });
  });
  all["bce_with_logits"] = of_tensors([](S, X x) { return bce_with_logits(x[0], x[1]); });
  all["softmax_cross_entropy"] =
      of_tensors([](S s, X x) { return softmax_cross_entropy(x[0], positions(s.places, {x[0].shape()[0]})); });
  return all;
}

inline const Library& library() {
  static const Library all = make_library();
  return all;
}

/// Of each leaf that is wanted: its number in the program, and its numbers' derivatives in row-major order.
using Gradients = std::vector<std::pair<int, std::vector<double>>>;

/// What the library makes of a program in the graph that records.
class Run {
 public:
  Run(Graph& graph, const Program& program, const Library& library = programs::library())
      : graph_(graph), program_(program) {
    for (const Step& step : program.steps) {
      if (is_leaf(step)) {
        values_.push_back(leaf(step));
      } else {
        Values operands;
        for (const int i : step.in) operands.push_back(values_[static_cast<std::size_t>(i)]);
        values_.push_back(library.at(step.op)(step, operands));
      }
    }
    weigh();
  }

  const Values& values() const { return values_; }
  const Value& loss() const { return loss_; }
  double loss_value() const {
    return std::visit([]<class V>(const V& v) { return number(v); }, loss_);
  }

  /// By backward(), of the loss or what was made of it.
  Gradients swept() { return swept(loss_); }
  Gradients swept(const Value& of, const BackwardOptions& options = {}) {
    for (Parameter& p : parameters_) p.clear_grad();
    std::visit([&](const auto& y) { y.backward(options); }, of);
    Gradients all;
    std::size_t parameter = 0;
    for_each_wanted([&](int k, const auto& x) {
      if (program_.steps[static_cast<std::size_t>(k)].op == "parameter") {
        const Parameter& p = parameters_[parameter++];
        all.emplace_back(k, p.has_grad() ? p.grad().to_vector<double>()
                                         : std::vector<double>(static_cast<std::size_t>(p.size()), 0.0));
      } else {
        all.emplace_back(k, plain(x.grad()));
      }
    });
    return all;
  }

  /// By graph.gradient(), and the gradient of <that, u>.
  std::pair<Gradients, Gradients> recorded() {
    const Values first = gradient(loss_);
    // Where the gradient is constant nothing of it is recorded; 0 times a leaf keeps the next gradient askable.
    Scalar along = 0;
    std::size_t at = 0;
    for_each_wanted([&](int k, const auto& x) {
      along =
          along + 0.0 * total(x, [](int) { return 1.0; }) +
          std::visit([&](const auto& g) { return total(g, [&](int place) { return along_u(k, place); }); }, first[at]);
      ++at;
    });
    return {plain_of(first), plain_of(gradient(along))};
  }

 private:
  static double number(const Scalar& s) { return s.value(); }
  static double number(const Tensor& t) { return t.item(); }
  static std::vector<double> plain(double v) { return {v}; }
  static std::vector<double> plain(const Scalar& s) { return {s.value()}; }
  static std::vector<double> plain(const Tensor& t) { return t.to_vector<double>(); }

  /// The sum of the numbers, each times its weight.
  template <class F> static Scalar total(const Scalar& s, F weight) { return s * weight(0); }
  template <class F> static Scalar total(const Tensor& t, F weight) { return weighed(t, weight)(); }
  template <class F> static Tensor weighed(const Tensor& t, F weight) {
    std::vector<double> weights;
    for (int place = 0; place < t.size(); ++place) weights.push_back(weight(place));
    return sum(t * from(weights, t.shape()));
  }

  Value leaf(const Step& step) {
    if (step.flag) return step.op == "constant" ? Scalar(step.numbers[0]) : graph_.variable(step.numbers[0]);
    const Tensor t = from(step.numbers, shape_of(step.sizes));
    if (step.op == "variable") return graph_.variable(t);
    if (step.op == "constant") return t;
    return Tensor(parameters_.emplace_back(t));
  }

  /// The loss is a tensor or a number, by the program's length, unless all outputs are of one lane.
  void weigh() {
    std::optional<Tensor> tensors;
    std::optional<Scalar> singles;
    for (std::size_t o = 0; o < program_.outputs.size(); ++o) {
      const auto of_output = [&](int place) { return weight(static_cast<int>(o), place); };
      const Value& output = values_[static_cast<std::size_t>(program_.outputs[o])];
      if (const Scalar* s = std::get_if<Scalar>(&output)) {
        singles = singles.value_or(Scalar(0)) + total(*s, of_output);
      } else {
        const Tensor part = weighed(std::get<Tensor>(output), of_output);
        tensors = tensors ? *tensors + part : part;
      }
    }
    if (!tensors) loss_ = *singles;
    else if (!singles) loss_ = *tensors;
    else if (program_.steps.size() % 2 == 0) loss_ = *tensors + *singles;
    else loss_ = (*tensors)() + *singles;
  }

  template <class F> void for_each_wanted(F&& f) const {
    for (std::size_t k = 0; k < values_.size(); ++k)
      if (is_wanted(program_.steps[k])) std::visit([&](const auto& x) { f(static_cast<int>(k), x); }, values_[k]);
  }

  /// The recorded gradients of y by the wanted leaves, in order.
  Values gradient(const Value& y) const {
    std::vector<Tensor> tensors;
    std::vector<Scalar> singles;
    for_each_wanted([&]<class V>(int, const V& x) {
      if constexpr (std::is_same_v<V, Scalar>) singles.push_back(x);
      else tensors.push_back(x);
    });
    return std::visit(
        [&](const auto& from) {
          const std::vector<Tensor> by_tensors = graph_.gradient(from, tensors);
          const std::vector<Scalar> by_singles = graph_.gradient(from, singles);
          Values all;
          std::size_t t = 0, s = 0;
          for_each_wanted([&]<class V>(int, const V&) {
            if constexpr (std::is_same_v<V, Scalar>) all.push_back(by_singles[s++]);
            else all.push_back(by_tensors[t++]);
          });
          return all;
        },
        y);
  }
  Gradients plain_of(const Values& gradients) const {
    Gradients all;
    for_each_wanted([&](int k, const auto&) {
      all.emplace_back(k, std::visit([](const auto& g) { return plain(g); }, gradients[all.size()]));
    });
    return all;
  }

  Graph& graph_;
  const Program& program_;
  std::deque<Parameter> parameters_;
  Values values_;
  Value loss_;
};

// ---- both, compared ----------------------------------------------------------------------------------------------

/// How far the two engines are apart, relative to max(1, |what the interpreter says|).
struct Comparison {
  double value = 0, first = 0, second = 0;
  std::string error;  ///< what the library threw, if it did

  bool agrees(double tolerance = 1e-10) const {
    return error.empty() && value <= tolerance && first <= tolerance && second <= tolerance;
  }
  std::string text() const {
    std::ostringstream out;
    if (!error.empty()) out << "the library threw: " << error;
    else
      out << "apart by " << value << " in the values, " << first << " in the gradients, " << second
          << " in the second derivatives";
    return out.str();
  }
};

inline double apart(double got, double expected) {
  const double d = std::abs(got - expected) / std::max(1.0, std::abs(expected));
  return std::isnan(d) ? std::numeric_limits<double>::infinity() : d;
}

/// How far what the gradients add up to along a direction is from `expected`.  Where large parts cancel, their rounding is
/// left, so it is also relative to the largest of them.
inline double apart_along(const Gradients& gradients, const Direction& direction, double expected) {
  double total = 0, largest = 1;
  for (const auto& [leaf, numbers] : gradients) {
    int place = 0;
    for (const double g : numbers) {
      const double part = g * direction(leaf, place++);
      total += part;
      largest = std::max(largest, std::abs(part));
    }
  }
  return std::abs(expected) < largest ? apart(total / largest, expected / largest) : apart(total, expected);
}

/// Runs the program in both.  Throws forward::Kink.
inline Comparison compare(const Program& program, const Library& library = programs::library()) {
  const std::vector<Array> expected = values(program, along_u, along_w);
  const forward::Number loss = loss_of(program, expected);
  Comparison result;
  try {
    Graph graph;
    Run run(graph, program, library);
    for (std::size_t k = 0; k < expected.size(); ++k) {
      const Value& value = run.values()[k];
      const std::vector<double> got = std::holds_alternative<Scalar>(value)
                                          ? std::vector{std::get<Scalar>(value).value()}
                                          : std::get<Tensor>(value).to_vector<double>();
      const Shape shape = std::holds_alternative<Scalar>(value) ? Shape{} : std::get<Tensor>(value).shape();
      if (expected[k].single != std::holds_alternative<Scalar>(value) || shape_of(expected[k].shape) != shape) {
        result.error = "v" + std::to_string(k) + " has shape " + to_string(shape);
        return result;
      }
      for (std::size_t i = 0; i < got.size(); ++i)
        result.value = std::max(result.value, apart(got[i], expected[k].numbers[i].v.v));
    }
    result.value = std::max(result.value, apart(run.loss_value(), loss.v.v));
    if (depends_on_nothing(loss)) return result;
    const auto [recorded, second] = run.recorded();
    const Gradients swept = run.swept();
    for (const Gradients* gradients : {&recorded, &swept})
      result.first = std::max(
          {result.first, apart_along(*gradients, along_u, loss.d.v), apart_along(*gradients, along_w, loss.v.d)});
    result.second = apart_along(second, along_w, loss.d.d);

    // Few inputs are asked for one by one: u along each axis in turn, w as second order's other direction.
    std::size_t inputs = 0;
    for (const auto& leaf : swept) inputs += leaf.second.size();
    if (inputs > 6) return result;
    for (std::size_t l = 0; l < swept.size(); ++l)
      for (std::size_t i = 0; i < swept[l].second.size(); ++i) {
        const Direction axis = [&](int leaf, int place) {
          return leaf == swept[l].first && place == static_cast<int>(i) ? 1.0 : 0.0;
        };
        const forward::Number by = loss_of(program, values(program, axis, along_u));
        result.first =
            std::max({result.first, apart(swept[l].second[i], by.d.v), apart(recorded[l].second[i], by.d.v)});
        result.second = std::max(result.second, apart(second[l].second[i], by.d.d));
      }
  } catch (const Error& error) {
    result.error = error.what();
  }
  return result;
}

// ---- making a program small --------------------------------------------------------------------------------------

/// The program without the steps that its outputs do not need.
inline Program without_dead_steps(const Program& program) {
  std::vector<bool> needed(program.steps.size());
  for (const int output : program.outputs) needed[static_cast<std::size_t>(output)] = true;
  for (std::size_t k = needed.size(); k-- > 0;)
    for (const int i : program.steps[k].in)
      if (needed[k]) needed[static_cast<std::size_t>(i)] = true;
  Program small;
  std::vector<int> number;
  for (std::size_t k = 0; k < needed.size(); ++k) {
    number.push_back(static_cast<int>(small.steps.size()));
    if (!needed[k]) continue;
    Step step = program.steps[k];
    for (int& i : step.in) i = number[static_cast<std::size_t>(i)];
    small.steps.push_back(std::move(step));
  }
  for (const int output : program.outputs) small.outputs.push_back(number[static_cast<std::size_t>(output)]);
  return small;
}

/// The smallest program found that `fails` like the one given: fewer outputs, leaves in the place of steps.
template <class Fails> Program shrunk(Program program, Fails&& fails) {
  const auto cost = [](const Program& p) {
    return std::tuple(std::count_if(p.steps.begin(), p.steps.end(), [](const Step& s) { return !is_leaf(s); }),
                      p.steps.size(), p.outputs.size());
  };
  const auto take = [&](const Program& candidate) {
    try {
      if (cost(candidate) >= cost(program) || !fails(candidate)) return false;
    } catch (const forward::Kink&) {
      return false;
    }
    program = candidate;
    return true;
  };
  const auto make_smaller = [&] {
    const int steps = static_cast<int>(program.steps.size());
    for (int k = 0; k < steps; ++k) {
      Program less = program;
      less.outputs = {k};
      if (take(without_dead_steps(less)) || take(less)) return true;
    }
    const std::vector<Array> computed = values(program, along_u, along_w);
    for (int k = steps - 1; k >= 0; --k) {
      const Array& value = computed[static_cast<std::size_t>(k)];
      Step leaf{"variable"};
      leaf.flag = value.single;
      leaf.sizes = value.shape;
      for (const forward::Number& n : value.numbers) leaf.numbers.push_back(n.v.v);
      Program less = program;
      less.steps[static_cast<std::size_t>(k)] = leaf;
      if (take(without_dead_steps(less)) || take(less)) return true;
    }
    return false;
  };
  while (make_smaller()) continue;
  return program;
}

}  // namespace ebb::programs
