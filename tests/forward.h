// A second engine, to test the library against: programs of steps over arrays of nested dual numbers, which carry a
// value, its derivatives along two directions and the second derivative along both forward through plain loops.
// Nothing of the library is in it, and nothing in it is fast.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <functional>
#include <map>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

namespace forward {

// ---- numbers -----------------------------------------------------------------------------------------------------

/// v + d·ε, where ε² = 0.
template <class T> struct Dual {
  T v{}, d{};

  Dual() = default;
  Dual(double value) : v(value) {}
  Dual(const T& value, const T& derivative) : v(value), d(derivative) {}

  friend Dual operator+(const Dual& a, const Dual& b) { return {a.v + b.v, a.d + b.d}; }
  friend Dual operator-(const Dual& a, const Dual& b) { return {a.v - b.v, a.d - b.d}; }
  friend Dual operator-(const Dual& a) { return {-a.v, -a.d}; }
  friend Dual operator*(const Dual& a, const Dual& b) { return {a.v * b.v, a.v * b.d + a.d * b.v}; }
  friend Dual operator/(const Dual& a, const Dual& b) { return {a.v / b.v, (a.d * b.v - a.v * b.d) / (b.v * b.v)}; }
};

/// Of a value along u and w: v.v the value, v.d the derivative along w, d.v along u, d.d the second along both.
using Number = Dual<Dual<double>>;

using std::atan, std::cos, std::erf, std::exp, std::expm1, std::log, std::log1p, std::sin, std::sqrt;
template <class T> Dual<T> exp(const Dual<T>& x) { return {exp(x.v), exp(x.v) * x.d}; }
template <class T> Dual<T> expm1(const Dual<T>& x) { return {expm1(x.v), exp(x.v) * x.d}; }
template <class T> Dual<T> log(const Dual<T>& x) { return {log(x.v), x.d / x.v}; }
template <class T> Dual<T> log1p(const Dual<T>& x) { return {log1p(x.v), x.d / (1.0 + x.v)}; }
template <class T> Dual<T> sqrt(const Dual<T>& x) { return {sqrt(x.v), x.d / (2.0 * sqrt(x.v))}; }
template <class T> Dual<T> sin(const Dual<T>& x) { return {sin(x.v), cos(x.v) * x.d}; }
template <class T> Dual<T> cos(const Dual<T>& x) { return {cos(x.v), -(sin(x.v) * x.d)}; }
template <class T> Dual<T> atan(const Dual<T>& x) { return {atan(x.v), x.d / (1.0 + x.v * x.v)}; }
template <class T> Dual<T> erf(const Dual<T>& x) {
  return {erf(x.v), std::sqrt(4 / std::acos(-1.0)) * exp(-(x.v * x.v)) * x.d};
}

/// A program came so near to a kink, or to the edge of what a function is defined on, that rounding decides.
struct Kink : std::runtime_error {
  Kink() : std::runtime_error("a number is too near to where its derivative jumps or has no bounds") {}
};
inline bool greater(const Number& a, const Number& b) {
  if (std::abs(a.v.v - b.v.v) < 1e-6) throw Kink();
  return a.v.v > b.v.v;
}

inline const Number& inside(const Number& x) {  // (-1, 1)
  if (!(std::abs(x.v.v) < 0.99)) throw Kink();
  return x;
}
inline const Number& above_zero(const Number& x) {
  if (!(x.v.v > 0.01)) throw Kink();
  return x;
}
// The second derivative of 1/x, of which a sum may leave nothing, is 2/x³: nearer to 0, its rounding is seen.
inline const Number& not_zero(const Number& x) {
  if (!(std::abs(x.v.v) > 0.1)) throw Kink();
  return x;
}

// ---- programs ----------------------------------------------------------------------------------------------------

using Index = std::vector<int>;

/// One step: an op on earlier steps' values, by their numbers.  What the other fields mean, the op decides.
struct Step {
  std::string op;
  std::vector<int> in{};
  Index axes{};                   ///< that it works along
  Index sizes{};                  ///< a shape, or positions from and to
  Index places{};                 ///< positions in an operand, row-major
  bool flag = false;              ///< keepdim; ta
  bool other_flag = false;        ///< tb
  std::vector<double> numbers{};  ///< limits; what pad() puts in; of a leaf its value, row-major
  std::string text{};             ///< einsum's formula
};

/// A value: an array in row-major order, or a single number of the scalar lane.
struct Array {
  Index shape;
  std::vector<Number> numbers;
  bool single = false;

  const Number& operator[](const Index& i) const;
};

using Operands = std::vector<const Array*>;

// ---- walking over arrays -----------------------------------------------------------------------------------------

inline int count(const Index& shape) {
  int n = 1;
  for (const int size : shape) n *= size;
  return n;
}
inline std::size_t place_of(const Index& i, const Index& shape) {
  int place = 0;
  for (std::size_t axis = 0; axis < shape.size(); ++axis) place = place * shape[axis] + i[axis];
  return static_cast<std::size_t>(place);
}
inline Index index_of(int place, const Index& shape) {
  Index i(shape.size());
  for (std::size_t axis = shape.size(); axis-- > 0; place /= shape[axis]) i[axis] = place % shape[axis];
  return i;
}
inline const Number& Array::operator[](const Index& i) const { return numbers[place_of(i, shape)]; }

/// An array whose number at index i is f(i).
template <class F> Array build(const Index& shape, F&& f) {
  Array y{shape, {}};
  for (int place = 0; place < count(shape); ++place) y.numbers.push_back(f(index_of(place, shape)));
  return y;
}

/// The number that stands at index i of a larger shape, by the rule of broadcasting.
inline const Number& at(const Array& x, const Index& i) {
  Index own(i.end() - static_cast<std::ptrdiff_t>(x.shape.size()), i.end());
  for (std::size_t axis = 0; axis < own.size(); ++axis)
    if (x.shape[axis] == 1) own[axis] = 0;
  return x[own];
}

inline Index broadcast(Index a, Index b) {
  if (a.size() < b.size()) std::swap(a, b);
  const std::size_t extra = a.size() - b.size();
  for (std::size_t axis = 0; axis < b.size(); ++axis)
    if (a[extra + axis] == 1) a[extra + axis] = b[axis];
  return a;
}

/// i with another position on one axis; without it; with one more put in before it.
inline Index with(Index i, int axis, int position) {
  i[static_cast<std::size_t>(axis)] = position;
  return i;
}
inline Index without(Index i, int axis) {
  i.erase(i.begin() + axis);
  return i;
}
inline Index inserted(Index i, int axis, int position) {
  i.insert(i.begin() + axis, position);
  return i;
}
inline int size_of(const Array& x, int axis) { return x.shape[static_cast<std::size_t>(axis)]; }

/// The numbers of x that differ from index i only on the axes named, in row-major order.
inline std::vector<Number> run_of(const Array& x, const Index& i, const Index& axes) {
  std::vector<Number> run;
  Index sizes;
  for (const int axis : axes) sizes.push_back(size_of(x, axis));
  for (int k = 0; k < count(sizes); ++k) {
    Index j = i;
    const Index along = index_of(k, sizes);
    for (std::size_t a = 0; a < axes.size(); ++a) j[static_cast<std::size_t>(axes[a])] = along[a];
    run.push_back(x[j]);
  }
  return run;
}

// ---- formulas ----------------------------------------------------------------------------------------------------

using Unary = Number (*)(const Number&);
using Binary = Number (*)(const Number&, const Number&);
using Fold = Number (*)(const std::vector<Number>&);

inline Number sigmoid(const Number& x) { return 1.0 / (1.0 + exp(-x)); }
// Smooth at 0, where the two ways to write it meet: none of them overflows on its side.
inline Number softplus(const Number& x) { return x.v.v > 0 ? x + log1p(exp(-x)) : log1p(exp(x)); }
inline Number tanh(const Number& x) { return 1.0 - 2.0 / (exp(2.0 * x) + 1.0); }
inline Number asin(const Number& x) { return atan(x / sqrt(1.0 - inside(x) * x)); }

inline const std::map<std::string, Unary>& unary() {
  static const std::map<std::string, Unary> all = {
      {"neg", [](const Number& x) { return -x; }},
      {"abs", [](const Number& x) { return greater(x, 0.0) ? x : -x; }},
      {"sign", [](const Number& x) { return Number(greater(x, 0.0) ? 1.0 : -1.0); }},
      {"exp", [](const Number& x) { return exp(x); }},
      {"expm1", [](const Number& x) { return expm1(x); }},
      {"log", [](const Number& x) { return log(above_zero(x)); }},
      {"log1p", [](const Number& x) { return log1p(above_zero(1.0 + x) - 1.0); }},
      {"sqrt", [](const Number& x) { return sqrt(above_zero(x)); }},
      {"rsqrt", [](const Number& x) { return exp(-0.5 * log(above_zero(x))); }},
      {"square", [](const Number& x) { return x * x; }},
      {"reciprocal", [](const Number& x) { return 1.0 / not_zero(x); }},
      {"sin", [](const Number& x) { return sin(x); }},
      {"cos", [](const Number& x) { return cos(x); }},
      {"tan", [](const Number& x) { return sin(x) / not_zero(cos(x)); }},
      {"asin", asin},
      {"acos", [](const Number& x) { return std::acos(0.0) - asin(x); }},
      {"atan", [](const Number& x) { return atan(x); }},
      {"sinh", [](const Number& x) { return 0.5 * (exp(x) - exp(-x)); }},
      {"cosh", [](const Number& x) { return 0.5 * (exp(x) + exp(-x)); }},
      {"tanh", tanh},
      {"erf", [](const Number& x) { return erf(x); }},
      {"sigmoid", sigmoid},
      {"relu", [](const Number& x) { return greater(x, 0.0) ? x : Number(0.0); }},
      {"leaky_relu", [](const Number& x) { return greater(x, 0.0) ? x : 0.01 * x; }},
      {"elu", [](const Number& x) { return greater(x, 0.0) ? x : exp(x) - 1.0; }},
      {"gelu", [](const Number& x) { return x * (0.5 + 0.5 * erf(x / std::sqrt(2.0))); }},
      {"silu", [](const Number& x) { return x / (1.0 + exp(-x)); }},
      {"softplus", softplus},
      {"mish", [](const Number& x) { return x * tanh(softplus(x)); }},
      {"hardtanh", [](const Number& x) { return greater(x, 1.0)    ? Number(1.0)
                                                : greater(-1.0, x) ? Number(-1.0)
                                                                   : x; }},
      {"detach", [](const Number& x) { return Number(x.v.v); }},
      {"swish",
       [](const Number& x) { return x * sigmoid(x); }},  // swish, hypotenuse and blend are made by elementwise()
  };
  return all;
}

inline const std::map<std::string, Binary>& binary() {
  static const std::map<std::string, Binary> all = {
      {"add", [](const Number& a, const Number& b) { return a + b; }},
      {"sub", [](const Number& a, const Number& b) { return a - b; }},
      {"mul", [](const Number& a, const Number& b) { return a * b; }},
      {"div", [](const Number& a, const Number& b) { return a / not_zero(b); }},
      {"pow", [](const Number& a, const Number& b) { return exp(b * log(above_zero(a))); }},
      {"xlogy", [](const Number& a, const Number& b) { return a * log(above_zero(b)); }},
      {"maximum", [](const Number& a, const Number& b) { return greater(a, b) ? a : b; }},
      {"minimum", [](const Number& a, const Number& b) { return greater(a, b) ? b : a; }},
      {"hypotenuse", [](const Number& a, const Number& b) { return sqrt(a * a + b * b + 1.0); }},
  };
  return all;
}

inline const std::map<std::string, Fold>& folds() {
  using Run = std::vector<Number>;
  static const auto sum = [](const Run& run) {
    Number total = 0.0;
    for (const Number& x : run) total = total + x;
    return total;
  };
  static const auto mean = [](const Run& run) { return sum(run) / static_cast<double>(run.size()); };
  static const std::map<std::string, Fold> all = {
      {"sum", sum},
      {"mean", mean},
      {"var",
       [](const Run& run) {
         Run squares;
         for (const Number& x : run) squares.push_back((x - mean(run)) * (x - mean(run)));
         return sum(squares) / static_cast<double>(run.size() - 1);
       }},
      {"prod",
       [](const Run& run) {
         Number product = 1.0;
         for (const Number& x : run) product = product * x;
         return product;
       }},
      {"norm",
       [](const Run& run) {
         Number squares = 0.0;
         for (const Number& x : run) squares = squares + x * x;
         return sqrt(above_zero(squares));
       }},
      {"max",
       [](const Run& run) {
         Number most = run[0];
         for (std::size_t k = 1; k < run.size(); ++k) most = greater(run[k], most) ? run[k] : most;
         return most;
       }},
      {"min",
       [](const Run& run) {
         Number least = run[0];
         for (std::size_t k = 1; k < run.size(); ++k) least = greater(run[k], least) ? least : run[k];
         return least;
       }},
      {"logsumexp",
       [](const Run& run) {
         double most = run[0].v.v;  // a constant to stay clear of overflow and underflow
         for (const Number& x : run) most = std::max(most, x.v.v);
         Run powers;
         for (const Number& x : run) powers.push_back(exp(x - most));
         return log(sum(powers)) + most;
       }},
  };
  return all;
}

// ---- ops on arrays -----------------------------------------------------------------------------------------------

/// f of the operands' numbers at each index of the shape that they broadcast to; of single numbers, a single number.
template <class F> Array elementwise(const Operands& x, F&& f) {
  Index shape;
  bool single = true;
  for (const Array* operand : x) {
    shape = broadcast(shape, operand->shape);
    single = single && operand->single;
  }
  Array y = build(shape, [&](const Index& i) {
    std::vector<Number> numbers;
    for (const Array* operand : x) numbers.push_back(at(*operand, i));
    return f(numbers);
  });
  y.single = single;
  return y;
}

/// The axes named are folded, and stay with size 1 if keepdim.
inline Array reduce(const Array& x, const Index& axes, bool keepdim, Fold fold) {
  Array y{x.shape, {}};
  for (const int axis : axes) y.shape[static_cast<std::size_t>(axis)] = 1;
  y = build(y.shape, [&](const Index& i) { return fold(run_of(x, i, axes)); });
  Index kept;
  for (int axis = 0; axis < static_cast<int>(x.shape.size()); ++axis) {
    bool goes = false;
    for (const int other : axes) goes = goes || other == axis;
    if (!goes || keepdim) kept.push_back(size_of(y, axis));
  }
  y.shape = kept;
  return y;
}

/// Sums of products: of matrices as they stand or transposed, over leading axes that broadcast.
inline Array matmul(const Array& a, const Array& b, bool ta, bool tb) {
  const auto split = [](const Index& s) {
    return std::pair(Index(s.begin(), s.end() - 2), Index(s.end() - 2, s.end()));
  };
  const Index side_a = split(a.shape).second, side_b = split(b.shape).second;
  Index shape = broadcast(split(a.shape).first, split(b.shape).first);
  shape.push_back(side_a[ta]);
  shape.push_back(side_b[!tb]);
  return build(shape, [&](const Index& i) {
    const auto [batch, place] = split(i);
    Number total = 0.0;
    for (int k = 0; k < side_a[!ta]; ++k) {
      Index in_a = batch, in_b = batch;
      for (const int p : {ta ? k : place[0], ta ? place[0] : k}) in_a.push_back(p);
      for (const int p : {tb ? place[1] : k, tb ? k : place[1]}) in_b.push_back(p);
      // Only leading axes of size 1 are read over and over: within a matrix, each index is its own.
      total = total + at(a, in_a) * at(b, in_b);
    }
    return total;
  });
}

inline Array concat(const Operands& parts, int axis) {
  Index shape = parts[0]->shape;
  for (std::size_t p = 1; p < parts.size(); ++p) shape[static_cast<std::size_t>(axis)] += size_of(*parts[p], axis);
  return build(shape, [&](const Index& i) {
    int position = i[static_cast<std::size_t>(axis)];
    std::size_t p = 0;
    for (; position >= size_of(*parts[p], axis); ++p) position -= size_of(*parts[p], axis);
    return (*parts[p])[with(i, axis, position)];
  });
}

inline Array reshaped(Array x, const Index& shape) {
  x.shape = shape;
  return x;
}

/// The mean over rows of −log of the label's share in Σ eᶻ.
inline Number cross_entropy(const Array& z, const Index& labels) {
  Number total = 0.0;
  for (int row = 0; row < z.shape[0]; ++row)
    total = total + folds().at("logsumexp")(run_of(z, {row, 0}, {1})) - z[{row, labels[static_cast<std::size_t>(row)]}];
  return total / static_cast<double>(z.shape[0]);
}

/// Einstein's sum with every axis named: the result's letters, each operand's, and all letters' sizes.
inline Array einsum(const std::string& formula, const Operands& x) {
  std::vector<std::string> terms = {""};
  std::string result;
  const std::size_t arrow = formula.find("->");
  for (const char c : formula.substr(0, arrow)) c == ',' ? terms.push_back("") : terms.back().push_back(c);
  result = formula.substr(arrow + 2);
  std::map<char, int> sizes;
  for (std::size_t t = 0; t < terms.size(); ++t)
    for (std::size_t a = 0; a < terms[t].size(); ++a) sizes[terms[t][a]] = size_of(*x[t], static_cast<int>(a));
  std::string summed;
  Index summed_sizes, shape;
  for (const char c : result) shape.push_back(sizes[c]);
  for (const auto& [c, size] : sizes)
    if (result.find(c) == std::string::npos) summed.push_back(c), summed_sizes.push_back(size);
  return build(shape, [&](const Index& i) {
    std::map<char, int> position;
    for (std::size_t a = 0; a < result.size(); ++a) position[result[a]] = i[a];
    Number total = 0.0;
    for (int k = 0; k < count(summed_sizes); ++k) {
      const Index j = index_of(k, summed_sizes);
      for (std::size_t a = 0; a < summed.size(); ++a) position[summed[a]] = j[a];
      Number product = 1.0;
      for (std::size_t t = 0; t < terms.size(); ++t) {
        Index at_operand;
        for (const char c : terms[t]) at_operand.push_back(position[c]);
        product = product * (*x[t])[at_operand];
      }
      total = total + product;
    }
    return total;
  });
}

/// How windows move over images: {height, width} of each.
struct Windows {
  Index size, stride, padding, dilation{1, 1};
  int groups = 1;

  int out(const Array& x, int axis) const {  // how many fit along axis 0 (height) or 1
    const auto a = static_cast<std::size_t>(axis);
    return (x.shape[a + 2] + 2 * padding[a] - dilation[a] * (size[a] - 1) - 1) / stride[a] + 1;
  }
  /// Calls f(tap, place in the image) for each tap of window (i, j) that lies inside an image of h by w.
  template <class F> void each_tap(int i, int j, int h, int w, F&& f) const {
    for (int k = 0; k < size[0]; ++k)
      for (int l = 0; l < size[1]; ++l) {
        const int row = i * stride[0] - padding[0] + k * dilation[0],
                  column = j * stride[1] - padding[1] + l * dilation[1];
        if (row >= 0 && row < h && column >= 0 && column < w) f(Index{k, l}, Index{row, column});
      }
  }
};

/// x [n, groups·in, h, w], weight [groups·out, in, kh, kw], bias [groups·out] or none.
inline Array conv(const Array& x, const Array& weight, const Array* bias, const Windows& windows) {
  const int outs = weight.shape[0], in = weight.shape[1];
  return build({x.shape[0], outs, windows.out(x, 0), windows.out(x, 1)}, [&](const Index& i) {
    Number total = bias == nullptr ? Number(0.0) : (*bias)[{i[1]}];
    const int group = i[1] / (outs / windows.groups);
    windows.each_tap(i[2], i[3], x.shape[2], x.shape[3], [&](const Index& tap, const Index& place) {
      for (int c = 0; c < in; ++c)
        total = total + x[{i[0], group * in + c, place[0], place[1]}] * weight[{i[1], c, tap[0], tap[1]}];
    });
    return total;
  });
}

/// The other way round: every number of x [n, groups·in, h, w] is spread over its window of the result;
/// weight [groups·in, out, kh, kw].
inline Array conv_transpose(const Array& x, const Array& weight, const Array* bias, const Windows& windows,
                            const Index& extra) {
  const int outs = weight.shape[1], in = weight.shape[0] / windows.groups;
  Index shape = {x.shape[0], windows.groups * outs, 0, 0};
  for (std::size_t a : {0u, 1u})
    shape[a + 2] = (x.shape[a + 2] - 1) * windows.stride[a] - 2 * windows.padding[a] +
                   windows.dilation[a] * (windows.size[a] - 1) + extra[a] + 1;
  Array y = build(shape, [&](const Index& i) { return bias == nullptr ? Number(0.0) : (*bias)[{i[1]}]; });
  for (int from = 0; from < count(x.shape); ++from) {
    const Index i = index_of(from, x.shape);
    windows.each_tap(i[2], i[3], shape[2], shape[3], [&](const Index& tap, const Index& place) {
      for (int o = 0; o < outs; ++o) {
        Number& to = y.numbers[place_of({i[0], i[1] / in * outs + o, place[0], place[1]}, shape)];
        to = to + x[i] * weight[{i[1], o, tap[0], tap[1]}];
      }
    });
  }
  return y;
}

/// fold of each window's numbers; a mean over the whole window where padding counts.
inline Array pool(const Array& x, const Windows& windows, const std::string& fold, bool count_padding) {
  return build({x.shape[0], x.shape[1], windows.out(x, 0), windows.out(x, 1)}, [&](const Index& i) {
    std::vector<Number> run;
    windows.each_tap(i[2], i[3], x.shape[2], x.shape[3], [&](const Index&, const Index& place) {
      run.push_back(x[{i[0], i[1], place[0], place[1]}]);
    });
    if (count_padding) run.resize(static_cast<std::size_t>(count(windows.size)), 0.0);
    return folds().at(fold)(run);
  });
}

/// A signal [n, c, length] as an image of height 1, and back.
inline Array raised(const Array& x) { return reshaped(x, inserted(x.shape, 2, 1)); }
inline Array lowered(const Array& x) { return reshaped(x, without(x.shape, 2)); }

using Op = std::function<Array(const Step&, const Operands&)>;

inline const std::map<std::string, Op>& ops() {
  static const std::map<std::string, Op> all = [] {
    std::map<std::string, Op> table;
    for (const auto& [name, f] : unary())
      table[name] = [f = f](const Step&, const Operands& x) {
        return elementwise(x, [&](const auto& n) { return f(n[0]); });
      };
    for (const auto& [name, f] : binary())
      table[name] = [f = f](const Step&, const Operands& x) {
        return elementwise(x, [&](const auto& n) { return f(n[0], n[1]); });
      };
    for (const auto& [name, f] : folds())
      table[name] = [f = f](const Step& s, const Operands& x) { return reduce(*x[0], s.axes, s.flag, f); };

    table["clamp"] = [](const Step& s, const Operands& x) {
      return elementwise(x, [&](const auto& n) {
        const Number low = s.numbers[0], high = s.numbers[1];
        return greater(low, n[0]) ? low : greater(n[0], high) ? high : n[0];
      });
    };
    table["where"] = [](const Step&, const Operands& x) {  // p > q ? a : b
      return elementwise(x, [](const auto& n) { return greater(n[0], n[1]) ? n[2] : n[3]; });
    };
    table["blend"] = [](const Step&, const Operands& x) {
      return elementwise(x, [](const auto& n) { return n[0] * sigmoid(n[1]) + n[2] * tanh(n[3]); });
    };
    table["softmax"] = [](const Step& s, const Operands& x) {
      return build(x[0]->shape,
                   [&](const Index& i) { return exp((*x[0])[i] - folds().at("logsumexp")(run_of(*x[0], i, s.axes))); });
    };
    table["log_softmax"] = [](const Step& s, const Operands& x) {
      return build(x[0]->shape,
                   [&](const Index& i) { return (*x[0])[i] - folds().at("logsumexp")(run_of(*x[0], i, s.axes)); });
    };
    table["matmul"] = [](const Step& s, const Operands& x) { return matmul(*x[0], *x[1], s.flag, s.other_flag); };
    table["outer"] = [](const Step&, const Operands& x) {
      return build({x[0]->shape[0], x[1]->shape[0]}, [&](const Index& i) { return (*x[0])[{i[0]}] * (*x[1])[{i[1]}]; });
    };
    table["dot"] = [](const Step&, const Operands& x) {
      Number total = 0.0;
      for (int k = 0; k < x[0]->shape[0]; ++k) total = total + (*x[0])[{k}] * (*x[1])[{k}];
      return Array{{}, {total}};
    };
    table["affine"] = [](const Step&, const Operands& x) {
      const Array product =
          matmul(x[0]->shape.size() == 1 ? reshaped(*x[0], inserted(x[0]->shape, 0, 1)) : *x[0], *x[1], false, true);
      Index shape = x[0]->shape;
      shape.back() = x[1]->shape[0];
      const Array y = reshaped(product, shape);
      return build(shape, [&](const Index& i) { return y[i] + (*x[2])[{i.back()}]; });
    };
    table["reshape"] = [](const Step& s, const Operands& x) { return reshaped(*x[0], s.sizes); };
    for (const char* name : {"flatten", "squeeze", "unsqueeze"}) table[name] = table["reshape"];
    table["permute"] = [](const Step& s, const Operands& x) {
      Index shape;
      for (const int axis : s.axes) shape.push_back(size_of(*x[0], axis));
      return build(shape, [&](const Index& i) {
        Index from(i.size());
        for (std::size_t a = 0; a < i.size(); ++a) from[static_cast<std::size_t>(s.axes[a])] = i[a];
        return (*x[0])[from];
      });
    };
    table["transpose"] = [](const Step& s, const Operands& x) {
      const auto swapped = [&](Index i) {
        std::swap(i[static_cast<std::size_t>(s.axes[0])], i[static_cast<std::size_t>(s.axes[1])]);
        return i;
      };
      return build(swapped(x[0]->shape), [&](const Index& i) { return (*x[0])[swapped(i)]; });
    };
    table["broadcast_to"] = [](const Step& s, const Operands& x) {
      return build(s.sizes, [&](const Index& i) { return at(*x[0], i); });
    };
    table["concat"] = [](const Step& s, const Operands& x) { return concat(x, s.axes[0]); };
    table["stack"] = [](const Step& s, const Operands& x) {  // of arrays, or of single numbers
      std::vector<Array> raised;
      for (const Array* part : x) raised.push_back({inserted(part->shape, s.axes[0], 1), part->numbers});
      Operands parts;
      for (const Array& part : raised) parts.push_back(&part);
      return concat(parts, s.axes[0]);
    };
    table["slice"] = [](const Step& s, const Operands& x) {
      return build(with(x[0]->shape, s.axes[0], s.sizes[1] - s.sizes[0]), [&](const Index& i) {
        return (*x[0])[with(i, s.axes[0], i[static_cast<std::size_t>(s.axes[0])] + s.sizes[0])];
      });
    };
    table["part"] = [](const Step& s, const Operands& x) {  // x[k]
      return build(without(x[0]->shape, 0), [&](const Index& i) { return (*x[0])[inserted(i, 0, s.places[0])]; });
    };
    table["element"] = [](const Step& s, const Operands& x) {  // x(i, j, ...), a single number
      return Array{{}, {(*x[0])[s.places]}, true};
    };
    table["gather"] = [](const Step& s, const Operands& x) {
      return build(s.sizes,
                   [&](const Index& i) { return (*x[0])[with(i, s.axes[0], s.places[place_of(i, s.sizes)])]; });
    };
    table["scatter_add"] = [](const Step& s, const Operands& x) {
      Array y = *x[0];
      for (int k = 0; k < count(s.sizes); ++k) {
        const Index i = index_of(k, s.sizes);
        const std::size_t to = place_of(with(i, s.axes[0], s.places[static_cast<std::size_t>(k)]), y.shape);
        y.numbers[to] = y.numbers[to] + (*x[1])[i];
      }
      return y;
    };
    table["cumsum"] = [](const Step& s, const Operands& x) {
      return build(x[0]->shape, [&](const Index& i) {
        Number total = 0.0;
        for (int k = 0; k <= i[static_cast<std::size_t>(s.axes[0])]; ++k)
          total = total + (*x[0])[with(i, s.axes[0], k)];
        return total;
      });
    };
    table["einsum"] = [](const Step& s, const Operands& x) { return einsum(s.text, x); };
    table["split"] = [](const Step& s, const Operands& x) {  // into pieces of these sizes, of which one is taken
      int begin = 0;
      for (int piece = 0; piece < s.places[0]; ++piece) begin += s.sizes[static_cast<std::size_t>(piece)];
      const int size = s.sizes[static_cast<std::size_t>(s.places[0])];
      return build(with(x[0]->shape, s.axes[0], size), [&](const Index& i) {
        return (*x[0])[with(i, s.axes[0], i[static_cast<std::size_t>(s.axes[0])] + begin)];
      });
    };
    table["pad"] = [](const Step& s, const Operands& x) {  // sizes: before and after each axis
      Index shape = x[0]->shape;
      for (std::size_t a = 0; a < shape.size(); ++a) shape[a] += s.sizes[2 * a] + s.sizes[2 * a + 1];
      return build(shape, [&](Index i) {
        bool inside = true;
        for (std::size_t a = 0; a < i.size(); ++a) {
          i[a] -= s.sizes[2 * a];
          inside = inside && i[a] >= 0 && i[a] < x[0]->shape[a];
        }
        return inside ? (*x[0])[i] : Number(s.numbers[0]);
      });
    };
    table["flip"] = [](const Step& s, const Operands& x) {
      return build(x[0]->shape, [&](Index i) {
        for (const int axis : s.axes)
          i[static_cast<std::size_t>(axis)] = size_of(*x[0], axis) - 1 - i[static_cast<std::size_t>(axis)];
        return (*x[0])[i];
      });
    };
    table["take"] = [](const Step& s, const Operands& x) {  // sizes: the positions' shape
      Index shape = without(x[0]->shape, s.axes[0]);
      shape.insert(shape.begin() + s.axes[0], s.sizes.begin(), s.sizes.end());
      return build(shape, [&](const Index& i) {
        const auto first = i.begin() + s.axes[0], last = first + static_cast<std::ptrdiff_t>(s.sizes.size());
        const int position = s.places[place_of(Index(first, last), s.sizes)];
        Index from(i.begin(), first);
        from.push_back(position);
        from.insert(from.end(), last, i.end());
        return (*x[0])[from];
      });
    };
    table["embedding"] = table["take"];
    table["conv2d"] = [](const Step& s, const Operands& x) {  // sizes: stride, padding, dilation, groups
      const Index& w = x[1]->shape;
      return conv(
          *x[0], *x[1], x.size() > 2 ? x[2] : nullptr,
          {{w[2], w[3]}, {s.sizes[0], s.sizes[1]}, {s.sizes[2], s.sizes[3]}, {s.sizes[4], s.sizes[5]}, s.sizes[6]});
    };
    table["conv1d"] = [](const Step& s, const Operands& x) {
      const Array image = raised(*x[0]), weight = raised(*x[1]);
      return lowered(conv(image, weight, x.size() > 2 ? x[2] : nullptr,
                          {{1, x[1]->shape[2]}, {1, s.sizes[0]}, {0, s.sizes[1]}, {1, s.sizes[2]}, s.sizes[3]}));
    };
    table["conv_transpose2d"] = [](const Step& s, const Operands& x) {  // sizes: as conv2d, then output_padding
      const Index& w = x[1]->shape;
      return conv_transpose(
          *x[0], *x[1], x.size() > 2 ? x[2] : nullptr,
          {{w[2], w[3]}, {s.sizes[0], s.sizes[1]}, {s.sizes[2], s.sizes[3]}, {s.sizes[4], s.sizes[5]}, s.sizes[6]},
          {s.sizes[7], s.sizes[8]});
    };
    for (const char* name :
         {"max_pool2d", "avg_pool2d"})  // sizes: of the window, stride, padding; flag: padding counts
      table[name] = [name](const Step& s, const Operands& x) {
        return pool(*x[0], {{s.sizes[0], s.sizes[1]}, {s.sizes[2], s.sizes[3]}, {s.sizes[4], s.sizes[5]}},
                    name[0] == 'm' ? "max" : "mean", s.flag);
      };
    table["max_pool1d"] = [](const Step& s, const Operands& x) {
      return lowered(pool(raised(*x[0]), {{1, s.sizes[0]}, {1, s.sizes[1]}, {0, s.sizes[2]}}, "max", false));
    };
    table["checkpoint"] = table["custom"] = [](const Step&, const Operands& x) {  // sin(a)·b of one shape
      return elementwise(x, [](const auto& n) { return sin(n[0]) * n[1]; });
    };
    table["bce_with_logits"] = [](const Step&, const Operands& x) {
      Number total = 0.0;
      for (std::size_t k = 0; k < x[0]->numbers.size(); ++k) {
        const Number &z = x[0]->numbers[k], &y = x[1]->numbers[k];
        total = total + y * softplus(-z) + (1.0 - y) * softplus(z);
      }
      return Array{{}, {total / static_cast<double>(x[0]->numbers.size())}};
    };
    table["softmax_cross_entropy"] = [](const Step& s, const Operands& x) {
      return Array{{}, {cross_entropy(*x[0], s.places)}};
    };
    return table;
  }();
  return all;
}

}  // namespace forward
