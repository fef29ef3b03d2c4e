// Every op: its line in the table, its gradients of first and second order, its two lanes, and its kernel.
#include "op_table.h"
#include "reference.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <limits>
#include <set>
#include <sstream>

using namespace ebb;
using ebb::table::OpCase;
using ebb::table::Operands;
using reference::distance;
using reference::Plain;

namespace {

std::string text_of(const std::filesystem::path& path) {
  std::ifstream file(path);
  REQUIRE(file);
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

/// Whatever stands between `from` and the next of `ends`, or nothing.
std::string between(const std::string& text, std::size_t from, const char* ends) {
  const std::size_t end = text.find_first_of(ends, from);
  return end == std::string::npos ? "" : text.substr(from, end - from);
}

/// The names of the functions that ops.h declares.
std::set<std::string> declared_ops() {
  std::set<std::string> names;
  std::istringstream lines(text_of(std::filesystem::path(EBB_SOURCE_ROOT) / "autograd/ops.h"));
  for (std::string line; std::getline(lines, line);) {
    for (const char* opening : {"inline ", "Tensor ", "Tensor& ", "Scalar ", "Scalar& ", "std::vector<Tensor> "})
      if (line.starts_with(opening) && line.find('(') != std::string::npos) {
        line.erase(0, std::string(opening).size());
        if (std::string(opening) != "inline ") names.insert(between(line, 0, "("));
      }
    if (line.starts_with("EBB_ELEMENTWISE_")) names.insert(between(line, line.find('(') + 1, ","));
    if (line.starts_with("EBB_COMPARISON(")) names.insert("operator" + between(line, line.find('(') + 1, ")"));
  }
  return names;
}

/// The names under which graphs show the ops that the sources define.
std::set<std::string> defined_ops() {
  const std::filesystem::path root = std::filesystem::path(EBB_SOURCE_ROOT) / "autograd";
  std::vector<std::filesystem::path> files = {root / "formulas.h"};
  for (const auto& entry : std::filesystem::directory_iterator(root / "ops")) files.push_back(entry.path());
  std::set<std::string> names;
  for (const auto& file : files) {
    const std::string text = text_of(file);
    for (const char* opening : {" name[] = ", " *name = "})
      for (std::size_t at = text.find(opening); at != std::string::npos; at = text.find(opening, at + 1)) {
        const std::string value = between(text, at + std::string(opening).size(), ",;");
        for (std::size_t quote = value.find('"'); quote != std::string::npos;) {
          const std::string name = between(value, quote + 1, "\"");
          names.insert(name);
          quote = value.find('"', quote + name.size() + 2);
        }
      }
  }
  return names;
}

std::string list(const std::set<std::string>& names) {
  std::string text;
  for (const std::string& name : names) text += (text.empty() ? "" : " ") + name;
  return text;
}

std::string list(const Operands& inputs) {
  std::string text;
  for (const Tensor& x : inputs) text += (text.empty() ? "" : ", ") + to_string(x.shape());
  return text;
}

/// Calls check(op, operands) for every line of the table and every choice of shapes.
template <class Check> void for_each_call(Check&& check, std::uint64_t seed = 0) {
  for (const OpCase& op : table::op_cases())
    for (const std::vector<Shape>& shapes : op.shapes) {
      const Operands inputs = table::samples(op, shapes, seed);
      CAPTURE(op.name);
      CAPTURE(list(inputs));
      CAPTURE(seed);
      check(op, inputs);
    }
}

/// How two shapes broadcast, axis by axis from the front: "=" equal sizes, "<" or ">" where that side is 1, "." where
/// both are, "(" or ")" where that side has no such axis, "0" where there is nothing.
std::string broadcasting_class(const Shape& a, const Shape& b) {
  std::string text;
  for (int axis = std::max(a.rank(), b.rank()); axis >= 1; --axis) {
    const std::int64_t m = axis > a.rank() ? -1 : a[-axis], n = axis > b.rank() ? -1 : b[-axis];
    text += m == 0 || n == 0 ? '0' : m < 0 ? '(' : n < 0 ? ')' : m == n ? (m == 1 ? '.' : '=') : m == 1 ? '<' : '>';
  }
  return text;
}

enum class How { swept, recorded };

/// The gradients of the op's result, weighed at random, by its operands.
std::vector<Tensor> gradients(const OpCase& op, const Operands& inputs, How how) {
  Graph graph;
  Operands x;
  for (const Tensor& input : inputs) x.push_back(graph.variable(input));
  const Tensor y = op.call(x);
  Generator generator(7);
  const Tensor loss = sum(y * rand(y.shape(), y.dtype(), generator));
  if (how == How::recorded) return graph.gradient(loss, x);
  loss.backward();
  std::vector<Tensor> all;
  for (const Tensor& each : x) all.push_back(each.grad());
  return all;
}

}  // namespace

// ---- the table ---------------------------------------------------------------------------------------------------

TEST_CASE("every op that ops.h declares has a line in the table") {
  std::set<std::string> in_table;
  for (const OpCase& op : table::op_cases()) in_table.insert(op.name);
  const std::set<std::string> declared = declared_ops();
  CHECK(declared.size() >= 80);
  std::set<std::string> missing, unknown;
  std::set_difference(declared.begin(), declared.end(), in_table.begin(), in_table.end(),
                      std::inserter(missing, missing.end()));
  std::set_difference(in_table.begin(), in_table.end(), declared.begin(), declared.end(),
                      std::inserter(unknown, unknown.end()));
  CHECK(list(missing) == "");
  CHECK(list(unknown) == "operator() operator[] to");  // what a Tensor itself can do
}

TEST_CASE("every op that the sources define is recorded by some line of the table") {
  std::set<std::string> recorded;
  for (const DType dtype : {f32, f64})
    for_each_call([&](const OpCase& op, const Operands& inputs) {
      Graph graph;
      Operands x;
      for (const Tensor& input : inputs) x.push_back(graph.variable(input.to(dtype)));
      Tensor y = sum(square(op.call(x)));
      for (int order = 1; op.differentiable && order <= 2; ++order) {  // some ops are others' second derivatives
        Tensor slope = zeros({}, dtype);
        for (const Tensor& g : graph.gradient(y, x)) slope += sum(square(g));
        y = slope;
      }
      for (const Node& node : graph.nodes()) recorded.insert(node.op);
    });
  const std::set<std::string> defined = defined_ops();
  CHECK(defined.size() > 50);
  std::set<std::string> missing;
  std::set_difference(defined.begin(), defined.end(), recorded.begin(), recorded.end(),
                      std::inserter(missing, missing.end()));
  CHECK(list(missing) == "");
}

TEST_CASE("every op's gradients of first and second order agree with high-order differences") {
  constexpr std::uint64_t seeds = 3;
  std::int64_t checks = 0, derivatives = 0;
  std::set<std::string> names, classes, shapes;
  for (std::uint64_t seed = 0; seed < seeds; ++seed)
    for_each_call(
        [&](const OpCase& op, const Operands& inputs) {
          if (!op.differentiable) return;
          CHECK(gradcheck(op.call, inputs) < 1e-7);
          CHECK(gradcheck(op.call, inputs, {.order = 2}) < 1e-6);
          checks += 2;
          names.insert(op.name);
          shapes.insert(list(inputs));
          if (op.scalar && inputs.size() == 2) classes.insert(broadcasting_class(inputs[0].shape(), inputs[1].shape()));
          for (const Tensor& x : inputs) derivatives += 2 * x.size();
        },
        seed);
  MESSAGE("gradcheck: " << names.size() << " ops, " << classes.size() << " broadcasting classes, " << shapes.size()
                        << " choices of shapes, " << seeds << " seeds, 2 orders: " << checks << " checks of "
                        << derivatives << " derivatives, first order at 1e-7, second at 1e-6");
  CHECK(names.size() >= 83);
  CHECK(classes.size() >= 18);
  CHECK(checks >= 3000);
}

namespace {

/// Of the op's result, weighed at random, the k-th derivative along v: a number.  One graph, recorded throughout.
double derivative_along(const OpCase& op, const Operands& inputs, const Operands& v, int k) {
  Graph graph;
  Operands x;
  for (const Tensor& input : inputs) x.push_back(graph.variable(input));
  const Tensor y = op.call(x);
  Generator generator(7);
  Tensor value = sum(y * rand(y.shape(), f64, generator));
  for (int order = 0; order < k; ++order) {
    const std::vector<Tensor> g = graph.gradient(value, x);
    value = zeros({}, f64);
    for (std::size_t i = 0; i < x.size(); ++i) value = value + sum(g[i] * v[i]);
  }
  return value.item();
}

}  // namespace

TEST_CASE("derivatives of third order agree with differences of the second") {
  int checked = 0;
  for_each_call([&](const OpCase& op, const Operands& inputs) {
    if (!op.differentiable) return;
    Operands v;
    for (std::size_t i = 0; i < inputs.size(); ++i) {
      Generator generator(99 + i);
      v.push_back(rand(inputs[i].shape(), f64, generator) * 2.0 - 1.0);
    }
    constexpr double h = 5e-3, weight[] = {45.0 / 60, -9.0 / 60, 1.0 / 60};
    double difference = 0;
    for (int step = 1; step <= 3; ++step)
      for (const int side : {1, -1}) {
        Operands moved;
        for (std::size_t i = 0; i < inputs.size(); ++i) moved.push_back(inputs[i] + v[i] * (side * step * h));
        difference += side * weight[step - 1] * derivative_along(op, moved, v, 2) / h;
      }
    const double third = derivative_along(op, inputs, v, 3);
    CHECK(std::abs(third - difference) / std::max(1.0, std::abs(difference)) < 1e-6);
    ++checked;
  });
  MESSAGE(checked << " derivatives of third order at 1e-6");
}

TEST_CASE("every op's f32 gradient is its f64 gradient, rounded") {
  for_each_call([&](const OpCase& op, const Operands& inputs) {
    if (!op.differentiable) return;
    Operands narrow, wide;
    for (const Tensor& input : inputs) {
      narrow.push_back(input.to(f32));
      wide.push_back(narrow.back().to(f64));
    }
    const std::vector<Tensor> got = gradients(op, narrow, How::swept), exact = gradients(op, wide, How::swept);
    for (std::size_t i = 0; i < got.size(); ++i) {
      CHECK(got[i].dtype() == f32);
      CHECK(distance(got[i], exact[i]) < 1e-4);
    }
  });
}

TEST_CASE("a recorded gradient is the gradient that backward leaves") {
  for_each_call([&](const OpCase& op, const Operands& inputs) {
    if (!op.differentiable) return;
    const std::vector<Tensor> swept = gradients(op, inputs, How::swept),
                              recorded = gradients(op, inputs, How::recorded);
    for (std::size_t i = 0; i < swept.size(); ++i) CHECK(distance(recorded[i], swept[i]) < 1e-12);
  });
}

TEST_CASE("the scalar lane gives the tensor lane's values and gradients") {
  int ops = 0;
  for (const OpCase& op : table::op_cases()) {
    if (!op.scalar) continue;
    CAPTURE(op.name);
    const Operands inputs = table::samples(op, std::vector<Shape>(op.shapes.back().size(), Shape{33}));
    Graph graph;
    Operands x;
    for (const Tensor& input : inputs) x.push_back(graph.variable(input));
    const Tensor y = op.call(x);
    std::vector<std::vector<Scalar>> s(33);
    std::vector<Scalar> value;
    Scalar total = 0;
    for (std::int64_t k = 0; k < 33; ++k) {
      for (const Tensor& input : inputs) s[std::size_t(k)].push_back(graph.variable(input(k).value()));
      value.push_back(op.scalar(s[std::size_t(k)]));
      total += value.back();
    }
    (total + sum(y)(/* rank 0 */)).backward();
    for (std::size_t k = 0; k < 33; ++k) {
      CHECK(value[k].value() == doctest::Approx(y.to_vector<double>()[k]).epsilon(1e-14));
      for (std::size_t i = 0; i < x.size(); ++i)
        CHECK(s[k][i].grad() == doctest::Approx(x[i].grad().to_vector<double>()[k]).epsilon(1e-14));
    }
    ++ops;
  }
  CHECK(ops > 45);
}

TEST_CASE("no gradient passes through the ops that the table calls constant") {
  for_each_call([&](const OpCase& op, const Operands& inputs) {
    if (op.differentiable) return;
    Graph graph;
    Operands x;
    for (const Tensor& input : inputs) x.push_back(graph.variable(input));
    const Tensor y = op.call(x);
    CHECK(graph.size() == x.size());
    CHECK_THROWS_AS(sum(y.to(f64)).backward(), GraphError);
  });
}

// ---- kernels against plain loops ---------------------------------------------------------------------------------

namespace {

/// Normal numbers, the same for the same shape.
Tensor numbers(const Shape& shape, DType dtype = f64) {
  Generator generator(static_cast<std::uint64_t>(shape.size()) * 31 + static_cast<std::uint64_t>(shape.rank()));
  return randn(shape, dtype, generator);
}

constexpr std::int64_t odd_sizes[] = {0, 1, 7, 33};

std::vector<int> axes_of(unsigned mask, int rank) {
  std::vector<int> axes;
  for (int axis = 0; axis < rank; ++axis)
    if ((mask >> axis & 1) != 0) axes.push_back(axis);
  return axes;
}

}  // namespace

TEST_CASE("matmul is the plain triple loop, at every odd size and with every flag") {
  for (const DType dtype : {f32, f64}) {
    const double allowed = dtype == f32 ? 2e-5 : 1e-13;
    for (const std::int64_t m : odd_sizes)
      for (const std::int64_t k : odd_sizes)
        for (const std::int64_t n : odd_sizes)
          for (const bool ta : {false, true})
            for (const bool tb : {false, true}) {
              const Tensor a = numbers(ta ? Shape{k, m} : Shape{m, k}, dtype),
                           b = numbers(tb ? Shape{n, k} : Shape{k, n}, dtype);
              CAPTURE(a.shape());
              CAPTURE(b.shape());
              CHECK(distance(matmul(a, b, {ta, tb}), reference::matmul(Plain(a), Plain(b), ta, tb)) < allowed);
            }
  }
}

TEST_CASE("batches of matrices broadcast as NumPy's do") {
  const std::vector<std::pair<Shape, Shape>> batches = {{{3}, {}},     {{}, {3}},     {{3}, {3}},
                                                        {{1}, {3}},    {{2, 1}, {3}}, {{2, 3}, {2, 3}},
                                                        {{2, 3}, {3}}, {{0}, {1}},    {{2, 1, 3}, {4, 1}}};
  const auto with = [](const Shape& batch, std::int64_t rows, std::int64_t columns) {
    return batch.inserted(batch.rank(), rows).inserted(batch.rank() + 1, columns);
  };
  for (const auto& [of_a, of_b] : batches)
    for (const bool ta : {false, true})
      for (const bool tb : {false, true}) {
        const Tensor a = numbers(ta ? with(of_a, 5, 7) : with(of_a, 7, 5)),
                     b = numbers(tb ? with(of_b, 3, 5) : with(of_b, 5, 3));
        CAPTURE(a.shape());
        CAPTURE(b.shape());
        CHECK(distance(matmul(a, b, {ta, tb}), reference::matmul(Plain(a), Plain(b), ta, tb)) < 1e-13);
      }
}

TEST_CASE("affine is matmul and add, and outer and dot are matmul") {
  for (const std::int64_t n : odd_sizes)
    for (const std::int64_t in : odd_sizes)
      for (const std::int64_t out : odd_sizes) {
        const Tensor x = numbers({n, in}), w = numbers({out, in}), b = numbers({out});
        CHECK(distance(affine(x, w, b), matmul(x, w, {.tb = true}) + b) < 1e-13);
      }
  const Tensor a = numbers({33}), b = numbers({7});
  CHECK(distance(outer(a, b), matmul(reshape(a, {33, 1}), reshape(b, {1, 7}))) < 1e-15);
  CHECK(dot(a, a).item() == doctest::Approx(sum(a * a).item()).epsilon(1e-14));
  CHECK(matmul(a, a).shape() == Shape{});
}

TEST_CASE("reductions are plain folds over every subset of axes, with and without keepdim") {
  const std::vector<Shape> shapes = {{}, {0}, {1}, {7}, {33}, {7, 33}, {33, 7}, {7, 0}, {3, 1, 7}, {7, 3, 2, 5}};
  for (const Shape& shape : shapes)
    for (unsigned mask = 1; mask < 1u << std::max(shape.rank(), 1); ++mask)
      for (const bool keepdim : {false, true}) {
        const Tensor x = numbers(shape);
        const Plain plain(x);
        const Axes axes = shape.rank() == 0 ? Axes() : Axes(axes_of(mask, shape.rank()));
        CAPTURE(shape);
        CAPTURE(mask);
        const auto folded = [&](auto fold) { return reference::reduce(plain, mask, keepdim, fold); };
        CHECK(distance(sum(x, axes, keepdim), folded(reference::sum)) < 1e-13);
        CHECK(distance(mean(x, axes, keepdim), folded(reference::mean)) < 1e-13);
        CHECK(distance(prod(x, axes, keepdim), folded(reference::prod)) < 1e-13);
        CHECK(distance(norm(x, axes, keepdim), folded(reference::norm)) < 1e-13);
        CHECK(distance(logsumexp(x, axes, keepdim), folded(reference::logsumexp)) < 1e-13);
        CHECK(distance(var(x, axes, keepdim, 0), folded([](const auto& run) { return reference::var(run, 0); })) <
              1e-13);
        CHECK(distance(var(x, axes, keepdim), folded([](const auto& run) {
                         return run.size() < 2 ? std::numeric_limits<double>::quiet_NaN() : reference::var(run, 1);
                       })) < 1e-13);
        if (x.size() > 0) {
          CHECK(distance(max(x, axes, keepdim), folded(reference::max)) == 0);
          CHECK(distance(min(x, axes, keepdim), folded(reference::min)) == 0);
        }
      }
}

TEST_CASE("a f32 reduction keeps f32's precision over many numbers") {
  const Tensor x = rand({1001, 33});
  const Plain plain(x);
  CHECK(distance(sum(x), reference::reduce(plain, 3, false, reference::sum)) < 1e-5);
  CHECK(distance(mean(x, 0), reference::reduce(plain, 1, false, reference::mean)) < 1e-5);
  CHECK(distance(var(x, 0),
                 reference::reduce(plain, 1, false, [](const auto& run) { return reference::var(run, 1); })) < 1e-5);
}

TEST_CASE("cumsum adds up along any axis, and in f32 does not drift") {
  for (const Shape& shape : {Shape{0}, Shape{1}, Shape{7}, Shape{33}, Shape{7, 33}, Shape{3, 0, 2}, Shape{2, 3, 700}})
    for (int axis = 0; axis < shape.rank(); ++axis) {
      const Tensor x = numbers(shape);
      CHECK(distance(cumsum(x, axis), reference::cumsum(Plain(x), axis)) < 1e-12);
      CHECK(distance(cumsum(x, axis - shape.rank()), cumsum(x, axis)) == 0);
    }
  const std::int64_t n = 1'000'000;
  CHECK(cumsum(full({n}, 0.1))(-1).value() == doctest::Approx(0.1 * static_cast<double>(n)).epsilon(1e-7));
}

TEST_CASE("argmax and argmin give the first of equal extremes") {
  for (const Shape& shape : {Shape{1}, Shape{7}, Shape{33}, Shape{7, 3, 5}})
    for (int axis = 0; axis < shape.rank(); ++axis) {
      const Tensor x = table::positions(shape, 4);
      CHECK(distance(argmax(x, axis), reference::reduce(Plain(x), 1u << axis, false, reference::argmax)) == 0);
      CHECK(distance(argmin(x, axis, true), reference::reduce(Plain(x), 1u << axis, true, reference::argmin)) == 0);
    }
  CHECK(argmax(tensor({{1, 5}, {5, 2}})).item() == 1);
  CHECK(argmin(tensor({{3, 1}, {1, 2}})).item() == 1);
}

TEST_CASE("softmax and log_softmax are exponentials over their sum along any axis") {
  for (const Shape& shape : {Shape{0}, Shape{1}, Shape{7}, Shape{33}, Shape{7, 33}, Shape{3, 0, 2}, Shape{3, 7, 2}})
    for (int axis = 0; axis < shape.rank(); ++axis) {
      const Tensor x = numbers(shape);
      const Plain expected = reference::log_softmax(Plain(x), axis);
      CHECK(distance(log_softmax(x, axis), expected) < 1e-13);
      CHECK(distance(softmax(x, axis),
                     reference::map(expected, Plain(Shape{}), [](double l, double) { return std::exp(l); })) < 1e-13);
      CHECK(distance(softmax(x.to(f32), axis), Plain(exp(log_softmax(x, axis)))) < 1e-5);
    }
}

TEST_CASE("softmax and logsumexp neither overflow nor underflow") {
  const Tensor x = tensor({1000, 1001, -1e300}, f64);
  CHECK(logsumexp(x).item() == doctest::Approx(1001 + std::log1p(std::exp(-1))).epsilon(1e-15));
  CHECK(softmax(x)(1).value() == doctest::Approx(1 / (1 + std::exp(-1))).epsilon(1e-15));
  CHECK(softmax(x)(2).value() == 0);
  CHECK(log_softmax(x)(0).value() == doctest::Approx(-1 - std::log1p(std::exp(-1))).epsilon(1e-15));
}

TEST_CASE("permute and transpose move every element to its place") {
  for (const Shape& shape : {Shape{7, 33}, Shape{33, 1, 7}, Shape{3, 0, 2}, Shape{2, 3, 4, 5}}) {
    std::vector<int> order(std::size_t(shape.rank()));
    for (std::size_t i = 0; i < order.size(); ++i) order[i] = static_cast<int>(i);
    const Tensor x = numbers(shape);
    do {
      CHECK(distance(permute(x, order), reference::permute(Plain(x), order)) == 0);
      CHECK(distance(permute(x.to(f32), order), reference::permute(Plain(x.to(f32)), order)) == 0);
    } while (std::next_permutation(order.begin(), order.end()));
    std::swap(order[std::size_t(shape.rank()) - 1], order[std::size_t(shape.rank()) - 2]);
    CHECK(distance(transpose(x), reference::permute(Plain(x), order)) == 0);
  }
}

TEST_CASE("slice, concat, gather and scatter_add agree with plain loops on every axis") {
  for (const Shape& shape : {Shape{7}, Shape{33, 7}, Shape{3, 7, 2}})
    for (int axis = 0; axis < shape.rank(); ++axis) {
      CAPTURE(shape);
      CAPTURE(axis);
      const Tensor x = numbers(shape), other = numbers(shape.with(axis, 1));
      const std::int64_t n = shape[axis];
      CHECK(distance(slice(x, 1, n, axis), reference::slice(Plain(x), 1, n, axis)) == 0);
      CHECK(distance(slice(x, -2, -1, axis), reference::slice(Plain(x), n - 2, n - 1, axis)) == 0);
      CHECK(slice(x, 1, 1, axis).size() == 0);
      CHECK(distance(concat({x, other}, axis), reference::concat(Plain(x), Plain(other), axis)) == 0);
      CHECK(distance(concat({other, x}, axis - shape.rank()), reference::concat(Plain(other), Plain(x), axis)) == 0);
      const Tensor index = table::positions(shape.with(axis, 5), n), added = numbers(index.shape());
      CHECK(distance(gather(x, index, axis), reference::gather(Plain(x), Plain(index), axis)) == 0);
      CHECK(distance(scatter_add(x, index, added, axis),
                     reference::scatter_add(Plain(x), Plain(index), Plain(added), axis)) < 1e-15);
    }
}

TEST_CASE("take, pad and flip agree with plain loops on every axis, in all three types") {
  for (const Shape& shape : {Shape{7}, Shape{33, 7}, Shape{3, 7, 2}, Shape{1, 3, 1, 7}})
    for (const DType dtype : {f32, f64, i64}) {
      const Tensor x = (numbers(shape) * 10).to(dtype);
      const Plain plain(x);
      CAPTURE(shape);
      for (int axis = 0; axis < shape.rank(); ++axis) {
        for (const Shape& picked : {Shape{}, Shape{0}, Shape{1}, Shape{5}, Shape{2, 3}}) {
          const Tensor index = table::positions(picked, shape[axis]);
          CHECK(distance(take(x, index, axis), reference::take(plain, Plain(index), axis)) == 0);
          CHECK(distance(take(x, index, axis - shape.rank()), take(x, index, axis)) == 0);
          CHECK(take(x, index, axis).dtype() == dtype);
        }
        std::vector<std::pair<std::int64_t, std::int64_t>> widths(std::size_t(shape.rank()), {0, 0});
        widths[std::size_t(axis)] = {2, 1};
        CHECK(distance(pad(x, widths, -3), reference::pad(plain, widths, -3)) == 0);
        widths.back() = {1, 3};
        CHECK(distance(pad(x, widths), reference::pad(plain, widths, 0)) == 0);
        CHECK(distance(pad(x, {{1, 3}}), pad(pad(x, {{1, 0}}), {{0, 3}})) == 0);
      }
      for (unsigned mask = 1; mask < 1u << shape.rank(); ++mask) {
        CHECK(distance(flip(x, axes_of(mask, shape.rank())), reference::flip(plain, mask)) == 0);
        CHECK(distance(flip(flip(x, axes_of(mask, shape.rank())), axes_of(mask, shape.rank())), plain) == 0);
      }
      CHECK(distance(flip(x), reference::flip(plain, (1u << shape.rank()) - 1)) == 0);
    }
  CHECK(pad(zeros({2, 0}), {{1, 1}, {0, 2}}, 4).to_vector<float>() == std::vector<float>(8, 4.0f));
  CHECK(flip(tensor(3, i64)).item() == 3);
}

TEST_CASE("split comes apart where it says, and concat puts it together again") {
  for (const Shape& shape : {Shape{7}, Shape{0, 3}, Shape{3, 7}, Shape{2, 3, 5}})
    for (int axis = 0; axis < shape.rank(); ++axis)
      for (const std::int64_t size : {1, 2, 3, 100}) {
        const Tensor x = numbers(shape);
        const std::vector<Tensor> pieces = split(x, size, axis - shape.rank());
        CHECK(static_cast<std::int64_t>(pieces.size()) == std::max<std::int64_t>(1, (shape[axis] + size - 1) / size));
        for (std::size_t i = 0; i + 1 < pieces.size(); ++i) CHECK(pieces[i].shape()[axis] == size);
        CHECK(distance(concat(pieces, axis), x) == 0);
      }
  const std::vector<Tensor> pieces = split(arange(6), {1, 0, 3, 2});
  CHECK(pieces.size() == 4);
  CHECK(pieces[1].shape() == Shape{0});
  CHECK(pieces[2].to_vector<std::int64_t>() == std::vector<std::int64_t>{1, 2, 3});
  CHECK(pieces[3].to_vector<std::int64_t>() == std::vector<std::int64_t>{4, 5});
  CHECK(split(zeros({0}), std::vector<std::int64_t>{}).empty());
}

TEST_CASE("whole numbers stay whole where ops only move, add and multiply them") {
  const Tensor x = tensor({{1, 2, 3}, {4, 5, 6}}, i64);
  CHECK(prod(x, 0).to_vector<std::int64_t>() == std::vector<std::int64_t>{4, 10, 18});
  CHECK(prod(x).dtype() == i64);
  CHECK(prod(zeros({0}, i64)).item() == 1);
  CHECK(prod(full({4}, 1 << 16, i64)).item() == 0);  // 2^64 wraps around
  CHECK(cumsum(x).to_vector<std::int64_t>() == std::vector<std::int64_t>{1, 3, 6, 4, 9, 15});
  CHECK(pad(x, {{1, 0}}, 9).to_vector<std::int64_t>() == std::vector<std::int64_t>{9, 1, 2, 3, 9, 4, 5, 6});
  CHECK(embedding(tensor({1}, i64), x).dtype() == i64);
  CHECK(norm(tensor({3, 4}, i64)).item() == 5);
  CHECK(norm(tensor({3, 4}, i64)).dtype() == f32);
}

TEST_CASE("an embedding is in the graph under its own name, and repeated rows add up their gradients") {
  Graph graph;
  const Tensor w = graph.variable(tensor({{1, 2}, {3, 4}, {5, 6}}), "w");
  const Tensor y = embedding(tensor({2, 0, 2}, i64), w);
  CHECK(y.to_vector<float>() == std::vector<float>{5, 6, 1, 2, 5, 6});
  CHECK(graph.nodes().back().op == "embedding");
  sum(y * tensor({{1, 2}, {3, 4}, {5, 6}})).backward();
  CHECK(w.grad().to_vector<float>() == std::vector<float>{3, 4, 0, 0, 6, 8});
}

TEST_CASE("many lookups in one table gather their gradient in time that grows with what they read") {
  // Through the whole table for each of them, every one of these would be more than 50 GB of traffic.
  const Tensor table = ones({50000, 8}, f64), row = tensor({7, 7, 49999}, i64);
  const auto many = [&](auto&& look_up) {
    Graph graph;
    const Tensor w = graph.variable(table);
    Tensor total = tensor(0.0, f64);
    for (int i = 0; i < 20000; ++i) total = total + sum(look_up(w));
    total.backward();
    CHECK(w.grad()(7, 0).value() == 40000);
    CHECK(w.grad()(49999, 7).value() == 20000);
    CHECK(w.grad()(8, 0).value() == 0);
  };
  const Tensor places = broadcast_to(reshape(row, {3, 1}), {3, 8});
  many([&](const Tensor& w) { return embedding(row, w); });
  many([&](const Tensor& w) { return take(w, row); });
  many([&](const Tensor& w) { return gather(w, places, 0); });
}

TEST_CASE("arithmetic broadcasts as the plain loop does, in all three types") {
  for (const std::vector<Shape>& shapes : table::binary_shapes())
    for (const DType dtype : {f32, f64, i64}) {
      const Tensor a = (numbers(shapes[0]) * 10).to(dtype), b = (numbers(shapes[1]) * 7).to(dtype);
      CAPTURE(a.shape());
      CAPTURE(b.shape());
      const double allowed = dtype == f32 ? 1e-6 : 0;
      const auto plain = [&](auto f) { return reference::map(Plain(a), Plain(b), f); };
      CHECK(distance(a + b, plain([](double x, double y) { return x + y; })) <= allowed);
      CHECK(distance(a - b, plain([](double x, double y) { return x - y; })) <= allowed);
      CHECK(distance(a * b, plain([](double x, double y) { return x * y; })) <= allowed);
      CHECK(distance(maximum(a, b), plain([](double x, double y) { return std::max(x, y); })) == 0);
      CHECK(distance(minimum(a, b), plain([](double x, double y) { return std::min(x, y); })) == 0);
      CHECK(distance(a < b, plain([](double x, double y) { return x < y ? 1.0 : 0.0; })) == 0);
      CHECK(distance(where(a > 0, a, b), reference::map(Plain(broadcast_to(a, broadcast(a.shape(), b.shape()))),
                                                        Plain(b), [](double x, double y) { return x > 0 ? x : y; })) ==
            0);
    }
}

// ---- at zeros and at the ends of the number line -------------------------------------------------------------------

TEST_CASE("prod's gradients of any order are right beside zeros") {
  for (const std::vector<double>& x : {std::vector<double>{2, 3, 5}, {0, 3, 5}, {2, 0, 5}, {0, 3, 0}, {0, 0, 0}}) {
    CAPTURE(x);
    const auto value = [](const Tensor& t) { return prod(t); };
    CHECK(gradcheck(value, {from(x, {3})}) < 1e-9);
    CHECK(gradcheck(value, {from(x, {3})}, {.order = 2}) < 1e-9);
    Graph graph;
    const Tensor t = graph.variable(from(x, {3}));
    const Tensor first = graph.gradient(prod(t), t);
    CHECK(first.to_vector<double>() == std::vector<double>{x[1] * x[2], x[0] * x[2], x[0] * x[1]});
    const Tensor second = graph.gradient(first(0), t);
    CHECK(second.to_vector<double>() == std::vector<double>{0, x[2], x[1]});
    const Tensor third = graph.gradient(second(1), t);
    CHECK(third.to_vector<double>() == std::vector<double>{0, 0, 1});
    CHECK(graph.gradient(third(2), t).to_vector<double>() == std::vector<double>{0, 0, 0});
  }
}

TEST_CASE("prod over any axes has the right gradient where whole lines are zero") {
  const Tensor x = where(table::positions({3, 4, 2}, 5) == 0, 0.0, numbers({3, 4, 2}));
  for (unsigned mask = 1; mask < 8; ++mask)
    for (const bool keepdim : {false, true}) {
      const auto f = [&](const Tensor& t) { return prod(t, axes_of(mask, 3), keepdim); };
      CHECK(gradcheck(f, {x}) < 1e-8);
      CHECK(gradcheck(f, {x}, {.order = 2}) < 1e-7);
    }
}

TEST_CASE("norm neither overflows nor underflows, and inf and NaN come through") {
  constexpr double inf = std::numeric_limits<double>::infinity(), nan = std::numeric_limits<double>::quiet_NaN();
  CHECK(norm(tensor({3e200, 4e200}, f64)).item() == doctest::Approx(5e200).epsilon(1e-15));
  CHECK(norm(tensor({3e-200, -4e-200}, f64)).item() == doctest::Approx(5e-200).epsilon(1e-15));
  CHECK(norm(tensor({3e-310, 4e-310}, f64)).item() == doctest::Approx(5e-310).epsilon(1e-12));
  CHECK(norm(tensor({1e200, 1}, f64)).item() == 1e200);
  CHECK(norm(tensor({3e30, 4e30})).item() == doctest::Approx(5e30).epsilon(1e-7));
  CHECK(norm(tensor({3e-30, 4e-30})).item() == doctest::Approx(5e-30).epsilon(1e-7));
  CHECK(norm(tensor({1, -inf}, f64)).item() == inf);
  CHECK(std::isnan(norm(tensor({1, nan}, f64)).item()));
  CHECK(std::isnan(norm(tensor({nan, 1e200}, f64)).item()));
  CHECK(norm(zeros({0}, f64)).item() == 0);
  for (const double scale : {1e200, 1e-200}) {
    Graph graph;
    const Tensor x = graph.variable(tensor({3, 4}, f64) * scale);
    const Tensor g = graph.gradient(norm(x), x);
    CHECK(g(0).value() == doctest::Approx(0.6).epsilon(1e-15));
    const Tensor second = graph.gradient(g(0), x);  // (1 - 0.36) / n and -0.48 / n
    CHECK(second(0).value() * scale == doctest::Approx(0.128).epsilon(1e-14));
    CHECK(second(1).value() * scale == doctest::Approx(-0.096).epsilon(1e-14));
  }
}

TEST_CASE("the gradient of norm at 0 is 0 in every axis form, and so are its derivatives") {
  for (const Axes& axes : {Axes(), Axes(0), Axes(-1), Axes{0, 2}})
    for (const bool keepdim : {false, true}) {
      Graph graph;
      const Tensor x = graph.variable(zeros({2, 3, 4}, f64)), c = graph.variable(ones({2, 3, 4}, f64));
      const Tensor g = graph.gradient(sum(norm(x * c, axes, keepdim)), x);
      CHECK(distance(g, Plain(Shape{2, 3, 4})) == 0);
      const std::vector<Tensor> second = graph.gradient(sum(g * c), {x, c});
      CHECK(distance(second[0], Plain(Shape{2, 3, 4})) == 0);
      CHECK(distance(second[1], Plain(Shape{2, 3, 4})) == 0);
      CHECK(distance(graph.gradient(sum(second[0]), x), Plain(Shape{2, 3, 4})) == 0);
      sum(norm(x, axes, keepdim)).backward();
      CHECK(distance(x.grad(), Plain(Shape{2, 3, 4})) == 0);
    }
}

TEST_CASE("a vector over its norm, chosen where there is one, has gradient 0 at 0 and the right one elsewhere") {
  const auto unit = [](const Tensor& x) {
    const Tensor n = norm(x, -1, true);
    return where(n > 0, x / n, 0);
  };
  const Tensor x = tensor({{0, 0}, {3, 4}}, f64);
  Graph graph;
  const Tensor v = graph.variable(x);
  const Tensor y = unit(v);
  CHECK(y.to_vector<double>() == std::vector<double>{0, 0, 0.6, 0.8});
  sum(y * tensor({1, 0}, f64)).backward();
  const std::vector<double> g = v.grad().to_vector<double>();
  CHECK(g[0] == 0);
  CHECK(g[1] == 0);
  CHECK(g[2] == doctest::Approx(0.128).epsilon(1e-14));
  CHECK(g[3] == doctest::Approx(-0.096).epsilon(1e-14));
}

// ---- fused ops against their composition -------------------------------------------------------------------------

TEST_CASE("the fused losses are their compositions, and stay finite where those overflow") {
  const Tensor z = numbers({7, 5}) * 3, y = rand({7, 5}, f64), labels = table::positions({7}, 5);
  CHECK(bce_with_logits(z, y).item() ==
        doctest::Approx(mean(maximum(z, 0) - z * y + softplus(-abs(z))).item()).epsilon(1e-14));
  CHECK(
      softmax_cross_entropy(z, labels).item() ==
      doctest::Approx(mean(logsumexp(z, 1) - reshape(gather(z, reshape(labels, {7, 1})), {7})).item()).epsilon(1e-14));
  CHECK(bce_with_logits(tensor({1000, -1000}, f64), tensor({0, 1}, f64)).item() == 1000);
  CHECK(softmax_cross_entropy(tensor({{1000, 0}}, f64), tensor({1}, i64)).item() == 1000);
}
