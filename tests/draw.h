// Random programs, drawn from a seed: of any length, on both lanes, with values used over and over, and far enough from
// kinks and from numbers so large that rounding would show.
#pragma once

#include "programs.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <map>
#include <optional>
#include <random>
#include <set>
#include <string>
#include <vector>

namespace ebb::programs {

/// Draws a program from a seed: the same each time.
class Draw {
 public:
  explicit Draw(std::uint64_t seed) : bits_(seed) {}

  Program program() {
    do {
      program_ = {};
      values_.clear();
      uses_.clear();
      const int kind = below(20), length = kind < 14 ? 5 + below(20) : kind < 19 ? 25 + below(50) : 75 + below(126);
      const bool only_singles = below(5) == 0;
      for (int n = 1 + below(3); n > 0;) {
        const bool single = only_singles || below(3) == 0;
        n -= add(leaf(below(4) == 0 ? "parameter" : "variable", single));
      }
      for (int ops = 0, tries = 0; ops < length && tries < 60 * length; ++tries) {
        if (below(25) == 0) add(leaf(below(2) == 0 ? "variable" : "constant", ops % 2 == 0));
        if (const std::optional<Step> step =
                draw(names()[static_cast<std::size_t>(below(static_cast<int>(names().size())))]))
          ops += add(*step);
      }
      choose_outputs();
    } while (program_.outputs.empty());
    return program_;
  }

 private:
  static constexpr int most_elements = 48;

  int below(int n) { return static_cast<int>(bits_() % static_cast<std::uint64_t>(n)); }
  double uniform(double low, double high) { return low + (high - low) * static_cast<double>(bits_() >> 11) * 0x1p-53; }
  template <class T> const T& one_of(const std::vector<T>& all) {
    return all[static_cast<std::size_t>(below(static_cast<int>(all.size())))];
  }

  /// The names of all ops, each as often as its share.
  static const std::vector<std::string>& names() {
    static const std::vector<std::string> all = [] {
      std::vector<std::string> bag;
      for (const auto& [name, op] : forward::ops()) {
        static const std::set<std::string> often = {"add",   "sub",    "mul",   "div",   "element",
                                                    "stack", "matmul", "slice", "concat"};
        for (int n = often.contains(name) ? 4 : 1; n > 0; --n) bag.push_back(name);
      }
      return bag;
    }();
    return all;
  }

  const Array& value(int k) const { return values_[static_cast<std::size_t>(k)]; }
  const Index& shape(int k) const { return value(k).shape; }
  int rank(int k) const { return static_cast<int>(shape(k).size()); }

  Step leaf(const std::string& op, bool single) {
    Index shape;
    if (!single)
      for (int axes = below(4); axes > 0; --axes) shape.push_back(1 + below(4));
    return leaf(op, single && op != "parameter", shape);
  }
  Step leaf(const std::string& op, bool single, const Index& shape) {
    Step step{op};
    step.flag = single;
    step.sizes = shape;
    const bool positive = below(3) == 0;
    for (int n = forward::count(shape); n > 0; --n) step.numbers.push_back(uniform(positive ? 0.3 : -2, 2));
    return step;
  }

  static double magnitude(const Array& x) {
    double most = 0;
    for (const forward::Number& n : x.numbers) most = std::isnan(n.v.v) ? n.v.v : std::max(most, std::abs(n.v.v));
    return most;
  }
  static double steepness(const Array& x) {
    double most = 0;
    for (const forward::Number& n : x.numbers)
      for (const double d : {n.d.v, n.v.d, n.d.d}) most = std::isnan(d) ? d : std::max(most, std::abs(d));
    return most;
  }

  /// Whether the step's value is fit to go on with; then it is part of the program.
  bool add(const Step& step) {
    Array y;
    try {
      y = is_leaf(step) ? leaf_value(step, static_cast<int>(values_.size()), along_u, along_w)
                        : step_value(step, values_);
    } catch (const forward::Kink&) {
      return false;
    }
    // Neither so large nor so steep that rounding shows at 1e-10; written so that NaN is refused too.
    double before = 1;
    for (const int i : step.in) before = std::max(before, steepness(value(i)));
    if (!(magnitude(y) > 1e-3 && magnitude(y) < 1e3 && steepness(y) < std::min(100 * before, 1e3))) return false;
    for (const int i : step.in) ++uses_[static_cast<std::size_t>(i)];
    program_.steps.push_back(step);
    values_.push_back(std::move(y));
    uses_.push_back(0);
    return true;
  }

  /// The number of a value that fits, or -1: sooner a late one, or one that nobody has used yet.
  template <class F> int pick(F&& fits) {
    std::vector<int> all, unused;
    for (int k = 0; k < static_cast<int>(values_.size()); ++k)
      if (fits(k)) {
        all.push_back(k);
        if (uses_[static_cast<std::size_t>(k)] == 0) unused.push_back(k);
      }
    if (all.empty()) return -1;
    if (!unused.empty() && below(2) == 0) return one_of(unused);
    const int n = static_cast<int>(all.size());
    return below(2) == 0 ? all[static_cast<std::size_t>(n - 1 - below(std::min(n, 4)))] : one_of(all);
  }
  int any() {
    return pick([](int) { return true; });
  }
  int tensor(int least_rank = 0) {
    return pick([&](int k) { return !value(k).single && rank(k) >= least_rank; });
  }
  /// A value that broadcasts with `shape`; at times a new constant.
  int beside(const Index& to) {
    if (below(6) == 0) {
      Index own;
      const bool single = below(2) == 0;
      if (!single)
        for (const int size : to) own.push_back(below(3) == 0 ? 1 : size);
      if (add(leaf("constant", single, own))) return static_cast<int>(values_.size()) - 1;
    }
    return pick([&](int k) {
      const Index& own = shape(k);
      for (std::size_t a = 1; a <= std::min(own.size(), to.size()); ++a) {
        const int p = own[own.size() - a], q = to[to.size() - a];
        if (p != q && p != 1 && q != 1) return false;
      }
      return forward::count(forward::broadcast(own, to)) <= most_elements;
    });
  }
  /// An operand of this very shape, at times made for it.
  int like(const Index& wanted) {
    if (below(3) == 0 && add(leaf(below(2) == 0 ? "variable" : "constant", false, wanted)))
      return static_cast<int>(values_.size()) - 1;
    return pick([&](int k) { return !value(k).single && shape(k) == wanted; });
  }
  /// A new leaf of a shape, for ops whose operands seldom fit by chance.
  int made(const Index& wanted) {
    const int found = like(wanted);
    if (found >= 0) return found;
    while (!add(leaf("variable", false, wanted))) continue;
    return static_cast<int>(values_.size()) - 1;
  }

  Index some_axes(int rank) {
    Index axes;
    for (int axis = 0; axis < rank; ++axis)
      if (below(2) == 0) axes.push_back(axis);
    if (axes.empty())
      for (int axis = 0; axis < rank; ++axis) axes.push_back(axis);
    return axes;
  }
  int size(int k, int axis) const { return shape(k)[static_cast<std::size_t>(axis)]; }

  /// A step with that op on values that fit it, if there are any.
  std::optional<Step> draw(const std::string& op) {
    Step step{op};
    if (forward::unary().contains(op)) {
      step.in = {any()};
    } else if (op == "clamp") {
      step.in = {any()};
      step.numbers = {uniform(-2, 0), uniform(0.1, 2)};
    } else if (forward::binary().contains(op)) {
      step.in = {any()};
      step.in.push_back(beside(shape(step.in[0])));
      if (below(2) == 0) std::swap(step.in[0], step.in[1]);
    } else if (op == "blend" || op == "where") {
      Index all;
      for (int n = 0; n < 4; ++n) {
        step.in.push_back(n == 0 ? any() : beside(all));
        if (step.in.back() < 0) return {};
        all = forward::broadcast(all, shape(step.in.back()));
      }
      const auto single = [&](int n) { return value(step.in[static_cast<std::size_t>(n)]).single; };
      if (op == "where" && (single(0) && single(1)) != (single(2) && single(3))) return {};
    } else if (forward::folds().contains(op)) {
      step.in = {tensor(op == "var" ? 1 : 0)};
      if (step.in[0] < 0) return {};
      step.axes = some_axes(rank(step.in[0]));
      step.flag = below(2) == 0;
    } else if (op == "softmax" || op == "log_softmax" || op == "cumsum") {
      step.in = {tensor(1)};
      if (step.in[0] < 0) return {};
      step.axes = {below(rank(step.in[0]))};
    } else if (!draw_product(step) && !draw_movement(step) && !draw_index(step) && !draw_windows(step)) {
      return {};
    }
    for (const int i : step.in)
      if (i < 0) return {};
    return step;
  }

  bool draw_product(Step& step) {
    if (step.op == "matmul") {
      const int a = tensor(2);
      if (a < 0) return false;
      step.flag = below(2) == 0;
      step.other_flag = below(2) == 0;
      const int k = size(a, rank(a) - (step.flag ? 2 : 1)), n = 1 + below(3);
      Index other = step.other_flag ? Index{n, k} : Index{k, n};
      if (rank(a) == 3 && below(2) == 0) other.insert(other.begin(), below(2) == 0 ? 1 : size(a, 0));
      if (rank(a) == 2 && below(3) == 0) other.insert(other.begin(), 1 + below(2));
      step.in = {a, made(other)};
    } else if (step.op == "dot" || step.op == "outer") {
      const int a = pick([&](int k) { return !value(k).single && rank(k) == 1; });
      if (a < 0) return false;
      step.in = {a, made(step.op == "dot" ? shape(a) : Index{1 + below(3)})};
    } else if (step.op == "affine") {
      const int x = tensor(1), out = 1 + below(3);
      if (x < 0) return false;
      step.in = {x, made({out, shape(x).back()}), made({out})};
    } else if (step.op == "einsum") {
      static const std::vector<std::vector<std::string>> formulas = {
          {"ij", "jk", "ik"}, {"bij", "bjk", "bik"}, {"ij", "j", "k", "ki"}, {"i", "j", "ji"},   {"ij", "ij", ""},
          {"ijk", "ki"},      {"ij", "j"},           {"ijk", "kj", "i"},     {"ij", "kj", "jik"}};
      const std::vector<std::string>& terms = one_of(formulas);
      const int x = pick([&](int k) { return !value(k).single && rank(k) == static_cast<int>(terms[0].size()); });
      if (x < 0) return false;
      step.in = {x};
      std::map<char, int> sizes;
      for (std::size_t a = 0; a < terms[0].size(); ++a) sizes[terms[0][a]] = size(x, static_cast<int>(a));
      step.text = terms[0];
      for (std::size_t t = 1; t + 1 < terms.size(); ++t) {
        Index wanted;
        for (const char c : terms[t]) wanted.push_back(sizes.try_emplace(c, 1 + below(3)).first->second);
        step.in.push_back(made(wanted));
        step.text += "," + terms[t];
      }
      step.text += "->" + terms.back();
    } else if (step.op == "checkpoint" || step.op == "custom") {
      const int a = tensor();
      if (a < 0) return false;
      step.in = {a, made(shape(a))};
    } else if (step.op == "bce_with_logits") {
      const int z = tensor();
      if (z < 0) return false;
      step.in = {z, made(shape(z))};
    } else if (step.op == "softmax_cross_entropy") {
      const int z = pick([&](int k) { return !value(k).single && rank(k) == 2; });
      if (z < 0) return false;
      step.in = {z};
      for (int row = 0; row < size(z, 0); ++row) step.places.push_back(below(size(z, 1)));
    } else {
      return false;
    }
    return true;
  }

  bool draw_movement(Step& step) {
    const std::string& op = step.op;
    if (op == "stack" && below(3) > 0) {
      step.axes = {0};
      for (int n = 1 + below(4); n > 0; --n) step.in.push_back(pick([&](int k) { return value(k).single; }));
      return true;
    }
    const bool any_rank =
        op == "reshape" || op == "unsqueeze" || op == "broadcast_to" || op == "stack" || op == "element";
    const int x = tensor(any_rank ? 0 : op == "transpose" ? 2 : 1);
    if (x < 0) return false;
    step.in = {x};
    const int r = rank(x), axis = r == 0 ? 0 : below(r);
    if (op == "reshape") {
      int left = forward::count(shape(x));
      while (left > 1 || (below(3) == 0 && step.sizes.size() < 4)) {
        int size = step.sizes.size() < 3 ? 1 + below(left) : left;
        while (left % size != 0) --size;
        step.sizes.push_back(size);
        left /= size;
      }
    } else if (op == "flatten") {
      step.axes = {axis};
      step.sizes = Index(shape(x).begin(), shape(x).begin() + axis);
      step.sizes.push_back(forward::count(Index(shape(x).begin() + axis, shape(x).end())));
    } else if (op == "squeeze") {
      if (size(x, axis) != 1) return false;
      step.axes = {axis};
      step.sizes = forward::without(shape(x), axis);
    } else if (op == "unsqueeze") {
      if (r > 3) return false;
      step.axes = {below(r + 1)};
      step.sizes = forward::inserted(shape(x), step.axes[0], 1);
    } else if (op == "permute") {
      for (int a = 0; a < r; ++a) step.axes.push_back(a);
      for (int a = r - 1; a > 0; --a)
        std::swap(step.axes[static_cast<std::size_t>(a)], step.axes[static_cast<std::size_t>(below(a + 1))]);
    } else if (op == "transpose") {
      step.axes = {axis, below(r)};
    } else if (op == "broadcast_to") {
      step.sizes = shape(x);
      for (int& size : step.sizes)
        if (size == 1) size = 1 + below(3);
      if (r < 3 && below(2) == 0) step.sizes.insert(step.sizes.begin(), 1 + below(3));
      if (forward::count(step.sizes) > most_elements) return false;
    } else if (op == "concat") {
      step.axes = {axis};
      for (int n = 1 + below(2); n > 0; --n)
        step.in.push_back(pick([&](int k) {
          return !value(k).single && rank(k) == r &&
                 forward::with(shape(k), axis, 0) == forward::with(shape(x), axis, 0) &&
                 forward::count(shape(k)) < most_elements / 3;
        }));
    } else if (op == "stack") {
      if (r > 2) return false;
      step.axes = {below(r + 1)};
      for (int n = below(3); n > 0; --n) step.in.push_back(like(shape(x)));
    } else if (op == "slice") {
      step.axes = {axis};
      const int begin = below(size(x, axis));
      step.sizes = {begin, begin + 1 + below(size(x, axis) - begin)};
    } else if (op == "split") {
      step.axes = {axis};
      for (int left = size(x, axis); left > 0; left -= step.sizes.back()) step.sizes.push_back(1 + below(left));
      step.places = {below(static_cast<int>(step.sizes.size()))};
    } else if (op == "pad") {
      for (int a = 0; a < 2 * r; ++a) step.sizes.push_back(below(3) == 0 ? 1 + below(2) : 0);
      step.numbers = {below(2) == 0 ? 0 : uniform(-2, 2)};
    } else if (op == "flip") {
      step.axes = some_axes(r);
    } else if (op == "part") {
      step.places = {below(size(x, 0))};
    } else if (op == "element") {
      if (r > 4) return false;
      for (const int size : shape(x)) step.places.push_back(below(size));
    } else {
      return false;
    }
    return true;
  }

  bool draw_index(Step& step) {
    if (step.op == "take" || step.op == "embedding") {
      const int x = pick([&](int k) { return !value(k).single && (step.op == "take" ? rank(k) > 0 : rank(k) == 2); });
      if (x < 0) return false;
      step.in = {x};
      step.axes = {step.op == "take" ? below(rank(x)) : 0};
      for (int axes = below(3); axes > 0; --axes) step.sizes.push_back(1 + below(3));
      for (int n = forward::count(step.sizes); n > 0; --n) step.places.push_back(below(size(x, step.axes[0])));
      return forward::count(step.sizes) * forward::count(shape(x)) / size(x, step.axes[0]) <= most_elements;
    }
    if (step.op != "gather" && step.op != "scatter_add") return false;
    const int x = tensor(1);
    if (x < 0) return false;
    const int axis = below(rank(x));
    step.axes = {axis};
    for (const int size : shape(x)) step.sizes.push_back(1 + below(size));
    step.sizes[static_cast<std::size_t>(axis)] = 1 + below(4);
    for (int n = forward::count(step.sizes); n > 0; --n) step.places.push_back(below(size(x, axis)));
    step.in = {x};
    if (step.op == "scatter_add") step.in.push_back(made(step.sizes));
    return true;
  }

  /// An image or signal: one that there is, or a new one.
  int image(int axes, int channels) {
    const auto fits = [&](int k) { return !value(k).single && rank(k) == axes + 2 && size(k, 1) % channels == 0; };
    const int found = below(3) == 0 ? -1 : pick(fits);
    if (found >= 0) return found;
    Index wanted = {1 + below(2), channels, 2 + below(3), 2 + below(3)};
    wanted.resize(static_cast<std::size_t>(axes) + 2);
    return made(wanted);
  }
  bool draw_windows(Step& step) {
    const std::string& op = step.op;
    if (!op.starts_with("conv") && op.find("_pool") == std::string::npos) return false;
    const int axes = op.ends_with("1d") ? 1 : 2;
    Index size_of_window, stride, padding, dilation, extra;
    if (op.starts_with("conv")) {
      const int groups = 1 + below(2), x = image(axes, groups), in = size(x, 1) / groups, out = 1 + below(2);
      const bool transposed = op.starts_with("conv_transpose");
      for (int a = 0; a < axes; ++a) {
        size_of_window.push_back(1 + below(3));
        stride.push_back(1 + below(2));
        padding.push_back(below(2));
        dilation.push_back(1 + below(2));
        extra.push_back(stride.back() > 1 || dilation.back() > 1 ? below(2) : 0);
        const int n = size(x, a + 2), span = dilation.back() * (size_of_window.back() - 1) + 1;
        if (transposed ? (n - 1) * stride.back() - 2 * padding.back() + span + extra.back() < 1
                       : n + 2 * padding.back() < span)
          return false;
      }
      Index weight = transposed ? Index{groups * in, out} : Index{groups * out, in};
      weight.insert(weight.end(), size_of_window.begin(), size_of_window.end());
      step.in = {x, made(weight)};
      if (below(2) == 0) step.in.push_back(made({groups * out}));
      for (const Index* part : {&stride, &padding, &dilation})
        step.sizes.insert(step.sizes.end(), part->begin(), part->end());
      step.sizes.push_back(groups);
      if (transposed) step.sizes.insert(step.sizes.end(), extra.begin(), extra.end());
    } else {
      const int x = image(axes, 1);
      step.in = {x};
      for (int a = 0; a < axes; ++a) {
        size_of_window.push_back(1 + below(std::min(3, size(x, a + 2))));
        stride.push_back(1 + below(2));
        padding.push_back(below(size_of_window.back() / 2 + 1));
      }
      for (const Index* part : {&size_of_window, &stride, &padding})
        step.sizes.insert(step.sizes.end(), part->begin(), part->end());
      step.flag = op == "avg_pool2d" && below(2) == 0;
    }
    return true;
  }

  /// What nobody used, most of it, and now and then something that was used; nothing if the loss depends on no leaf.
  void choose_outputs() {
    for (int k = 0; k < static_cast<int>(values_.size()); ++k)
      if (!is_leaf(program_.steps[static_cast<std::size_t>(k)]) &&
          (uses_[static_cast<std::size_t>(k)] == 0 ? below(10) > 0 : below(20) == 0))
        program_.outputs.push_back(k);
    if (depends_on_nothing(loss_of(program_, values_))) program_.outputs.clear();
  }

  std::mt19937_64 bits_;
  Program program_;
  std::vector<Array> values_;
  std::vector<int> uses_;
};

}  // namespace ebb::programs
