// Functions of Scalars on batches of rows: the same numbers as a graph for each row, whatever way a row goes.
#include <doctest/doctest.h>
#include <ebb/autograd/autograd.h>

#include <bit>
#include <cmath>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

using namespace ebb;

namespace {

using Function = std::function<Scalar(std::span<const Scalar>)>;

/// A graph for each row.
RowGradients row_by_row(const Function& f, const Tensor& x) {
  const std::int64_t batch = x.shape()[0], n = x.shape()[1];
  std::vector<double> values, gradients;
  for (std::int64_t r = 0; r < batch; ++r) {
    Graph graph;
    std::vector<Scalar> row;
    for (std::int64_t i = 0; i < n; ++i) row.push_back(graph.variable(x.data<double>()[r * n + i]));
    const Scalar y = f(row);
    values.push_back(y.value());
    const std::size_t before = graph.size();
    if (before > static_cast<std::size_t>(n)) y.backward();
    for (const Scalar& s : row) gradients.push_back(before > static_cast<std::size_t>(n) ? s.grad() : 0);
  }
  return {from(values, {batch}), from(gradients, {batch, n})};
}

/// How many numbers differ in a bit; all NaNs are one number.
int differing(const Tensor& a, const Tensor& b) {
  REQUIRE(a.shape() == b.shape());
  const auto bits = [](double v) { return v == v ? std::bit_cast<std::uint64_t>(v) : ~std::uint64_t{0}; };
  int count = 0;
  for (std::int64_t i = 0; i < a.size(); ++i) count += bits(a.data<double>()[i]) != bits(b.data<double>()[i]);
  return count;
}

Tensor rows(std::int64_t batch, std::int64_t n) {
  Generator generator(5);
  return randn({batch, n}, f64, generator);
}

Scalar mixture(std::span<const Scalar> x) {
  Scalar sum = 1;
  for (std::size_t i = 0; i + 1 < x.size(); ++i) {
    sum += 100 * square(x[i + 1] - x[i] * x[i]) - (1 - x[i]) / 3.0;
    sum *= tanh(x[i]) + exp(-x[i + 1]) / (2 + x[i] * x[i]);
    sum -= sqrt(abs(x[i])) + maximum(x[i], x[i + 1]) * pow(x[i] * x[i] + 1, x[i + 1]);
    sum = sum / (1 + sum * sum) + sigmoid(-sum) - log1p(x[i] * x[i]) + x[0] * 0;
  }
  return sum;
}

}  // namespace

TEST_CASE("rows in lanes have the values and gradients of a graph for each, to the last bit, in batches of any size") {
  auto f = replay(mixture);
  for (const std::int64_t batch : {0, 1, 7, 8, 9, 33, 100}) {
    const Tensor x = rows(batch, 4);
    const auto [y, dx] = f(x);
    const RowGradients expected = row_by_row(mixture, x);
    CHECK(differing(y, expected.values) == 0);
    CHECK(differing(dx, expected.gradients) == 0);
  }
  CHECK(f.why() == "");
  CHECK(f.paths() == 1);
}

TEST_CASE(
    "sums of terms that are all computed alike have the values and gradients of a graph for each row, to the last "
    "bit") {
  using Numbers = std::span<const Scalar>;
  const std::vector<std::pair<std::string, Function>> sums = {
      {"neighbours",
       [](Numbers x) {
         Scalar sum = 0;
         for (std::size_t i = 0; i + 1 < x.size(); ++i)
           sum = sum + (100 * square(x[i + 1] - x[i] * x[i]) + (1 - x[i]) * (1 - x[i]) * (1 - x[i]));
         return sum;
       }},
      {"neighbours, from the last",
       [](Numbers x) {
         Scalar sum = x[0];
         for (std::size_t i = x.size() - 1; i > 0; --i) sum = x[i] * x[i - 1] * (x[i] - x[i - 1]) / x[i] + sum;
         return sum;
       }},
      {"a line through points",
       [](Numbers x) {
         Scalar sum = 0;
         for (int i = 0; i < 40; ++i) {
           const Scalar off = x[0] * std::sin(i) + x[1] * (i % 3) - x[0] / (1 + i);
           sum += off * off;
         }
         return sqrt(sum + 1) * x[1] / 40;
       }},
      {"two sums, with one's start in the other",
       [](Numbers x) {
         Scalar first = exp(x[0]), second = 3;
         const Scalar shared = x[0] * x[1];
         for (const Scalar& one : x) first += tanh(one * shared) * pow(one * one + 1, shared);
         for (const Scalar& one : x) second = second + -(one + one) * (first - one) * maximum(one, shared);
         return second * first;
       }},
      {"operands in any order",
       [](Numbers x) {
         Scalar sum = 0;
         for (std::size_t i = 0; i < 50; ++i) {
           const Scalar &a = x[i * 7 % x.size()], &b = x[(i * i + 3) % x.size()];
           sum += (a * b + a) * (b - 2.0 / (3 + a * a));
         }
         return sum;
       }},
      {"nothing arrives where a derivative is infinite",
       [](Numbers x) {
         Scalar sum = 0;
         for (const Scalar& one : x) sum += sqrt(one * 0) * (one * 0) + (one - 1) / (one * 2 + 9) * 3;
         return sum;
       }},
      {"a sum whose middle counts, too",
       [](Numbers x) {
         Scalar sum = 0, middle = 1;
         for (std::size_t i = 0; i < x.size(); ++i) {
           sum += x[i] * (x[i] - 3) * 2;
           if (i == x.size() / 2) middle = sum;
         }
         return sum * middle;
       }},
      {"terms of more than two operands",
       [](Numbers x) {
         static const auto blend = elementwise("blend", [](auto a, auto b, auto t) { return a + (b - a) * t * t; });
         Scalar sum = 1;
         for (std::size_t i = 0; i + 1 < x.size(); ++i) sum += blend(x[i], x[0], x[i + 1]) * x[i] * (x[0] - 1);
         return -sum;
       }},
      {"a square taken from what it is of",
       [](Numbers x) {
         Scalar sum = 0;
         for (const Scalar& one : x) {
           const Scalar twice = one * 2, less = twice - 1;
           sum = sum + (twice - less * less);
         }
         return sum;
       }},
      {"a term that is compared", [](Numbers x) {
         Scalar sum = 0;
         for (const Scalar& one : x) {
           const Scalar term = one * one * one - one;
           sum += term > 1e9 ? term * 2 : term;
         }
         return sum > 0 ? sum : sum * sum;
       }}};
  for (const auto& sum : sums) {
    const std::string& name = sum.first;
    const Function& f = sum.second;
    CAPTURE(name);
    for (const std::int64_t n : {2, 9, 33, 70}) {
      auto replayed = replay(f);
      for (const std::int64_t batch : {1, 7, 33}) {
        const Tensor x = rows(batch, n);
        const auto [y, dx] = replayed(x);
        const RowGradients expected = row_by_row(f, x);
        CHECK(differing(y, expected.values) == 0);
        CHECK(differing(dx, expected.gradients) == 0);
      }
      CHECK(replayed.why() == "");
    }
  }
}

TEST_CASE("sums of random terms have the values and gradients of a graph for each row, to the last bit") {
  struct Step {
    std::int64_t op, a, b;  // operands below 5 come from outside, others are the results of the steps before
  };
  Generator generator(11);
  const auto below = [&](std::int64_t n) { return static_cast<std::int64_t>(randint(0, n, {}, generator).item()); };
  for (int round = 0; round < 400; ++round) {
    std::vector<Step> steps;
    const std::int64_t length = 2 + below(6);
    for (std::int64_t k = 0; k < length; ++k) {
      const auto operand = [&] { return k > 0 && below(3) > 0 ? 5 + below(k) : below(5); };
      steps.push_back({below(8), k > 0 ? 4 + k : below(5), operand()});
    }
    const auto term = [&](std::span<const Scalar> x, std::size_t i) {
      std::vector<Scalar> v{x[i], x[i + 1], x[0], x[i * 3 % x.size()], Scalar(0.5 + static_cast<double>(i))};
      for (const Step& step : steps) {
        const Scalar a = v[static_cast<std::size_t>(step.a)], b = v[static_cast<std::size_t>(step.b)];
        v.push_back(step.op == 0   ? a + b
                    : step.op == 1 ? a - b
                    : step.op == 2 ? b - a
                    : step.op == 3 ? a * b
                    : step.op == 4 ? a / b
                    : step.op == 5 ? -a
                    : step.op == 6 ? a * a
                                   : tanh(a));
      }
      return v.back();
    };
    const Function f = [&](std::span<const Scalar> x) {
      Scalar sum = round % 3 == 0 ? x[1] : Scalar(0);
      for (std::size_t i = 0; i + 1 < x.size(); ++i) sum = round % 2 == 0 ? sum + term(x, i) : term(x, i) + sum;
      return round % 5 == 0 ? sum * x[0] : sum;
    };
    const Tensor x = rows(1 + round % 9, 12);
    auto replayed = replay(f);
    const auto [y, dx] = replayed(x);
    const RowGradients expected = row_by_row(f, x);
    CAPTURE(round);
    CHECK(differing(y, expected.values) == 0);
    CHECK(differing(dx, expected.gradients) == 0);
    CHECK(replayed.why() == "");
  }
}

TEST_CASE("a sum of more terms than are kept has the gradients of a graph for each row, to the last bit") {
  const auto f = [](std::span<const Scalar> x) {
    Scalar sum = 0;
    for (std::size_t i = 0; i + 1 < x.size(); ++i) sum += (x[i] - x[i + 1]) * x[i] * x[i];
    return sum;
  };
  const Tensor x = rows(3, 40'000);
  const auto [y, dx] = replay(f)(x);
  const RowGradients expected = row_by_row(f, x);
  CHECK(differing(y, expected.values) == 0);
  CHECK(differing(dx, expected.gradients) == 0);
}

TEST_CASE("a function of a span runs on rows of another width than before") {
  auto f = replay([](std::span<const Scalar> x) { return mixture(x); });
  for (const std::int64_t n : {4, 2, 7, 1}) {
    const Tensor x = rows(20, n);
    const auto [y, dx] = f(x);
    const RowGradients expected = row_by_row(mixture, x);
    CHECK(differing(y, expected.values) == 0);
    CHECK(differing(dx, expected.gradients) == 0);
  }
}

TEST_CASE("a function that runs another replayed one under a Pause still goes each row's own way") {
  auto f = replay([](Scalar x) {
    {
      const Pause pause;
      replay([](Scalar z) { return z * z; })(ones({2}, f64));
    }
    return x > 0 ? x * x : 3 * x;
  });
  CHECK(f(tensor({2, -2, 3}, f64)).gradients.to_vector<double>() == std::vector<double>{4, 3, 6});
  CHECK(f.paths() == 2);
}

TEST_CASE("a function of two Scalars takes its numbers as columns, or as rows of two") {
  auto distance = replay([](Scalar x, Scalar y) { return sqrt(x * x + y * y); });
  const auto [values, gradients] = distance(tensor({3, 6}), tensor({4, 8}, f64));
  CHECK(values.to_vector<double>() == std::vector<double>{5, 10});
  for (int i = 0; i < 4; ++i) CHECK(gradients.data<double>()[i] == doctest::Approx(i % 2 == 0 ? 0.6 : 0.8));
  CHECK(gradients.shape() == Shape{2, 2});
  CHECK(distance(tensor({{3, 4}})).values.to_vector<double>() == std::vector<double>{5});
  auto cube = replay([](Scalar x) { return x * x * x; });
  CHECK(cube(tensor({1, 2})).gradients.to_vector<double>() == std::vector<double>{3, 12});
}

TEST_CASE("rows that answer a comparison otherwise go their own way, and each way is kept") {
  const auto branches = [](std::span<const Scalar> x) -> Scalar {
    if (x[0] > x[1]) return x[0] * x[1];
    if (x[1] <= 0.5) return exp(x[0]) - 7;
    return x[0] != x[1] ? where(x[0] < 0, x[1] * 2, x[0]) : Scalar(3);
  };
  auto f = replay(branches);
  for (int again = 0; again < 2; ++again) {
    Tensor x = rows(100, 2);
    const auto [y, dx] = f(x);
    const RowGradients expected = row_by_row(branches, x);
    CHECK(differing(y, expected.values) == 0);
    CHECK(differing(dx, expected.gradients) == 0);
    CHECK(f.paths() == 4);
    CHECK(f.why() == "");
  }
}

TEST_CASE("more ways than are kept still give each row its own") {
  const auto steps = [](std::span<const Scalar> x) {
    Scalar y = x[0];
    int n = 0;
    while (y < 100 && n++ < 60) y = y * 1.1 + 1;
    return y;
  };
  auto f = replay(steps);
  const Tensor x = reshape(linspace(-200, 99, 300, f64), {300, 1});
  for (int again = 0; again < 2; ++again) {
    const auto [y, dx] = f(x);
    const RowGradients expected = row_by_row(steps, x);
    CHECK(differing(y, expected.values) == 0);
    CHECK(differing(dx, expected.gradients) == 0);
    CHECK(f.paths() == 16);
  }
}

TEST_CASE("a comparison with NaN is answered in lanes as it is in C++") {
  const auto f = [](std::span<const Scalar> x) { return x[0] < 1 ? x[0] * 2 : x[0] >= 1 ? x[0] * 3 : Scalar(9); };
  const double nan = std::nan("");
  const Tensor x = from(std::vector<double>{0, 1, nan, 2, 0.5, nan, 3, -1}, {8, 1});
  const auto [y, dx] = replay(f)(x);
  CHECK(y.to_vector<double>() == std::vector<double>{0, 3, 9, 6, 1, 9, 9, -2});
  CHECK(dx.to_vector<double>() == std::vector<double>{2, 3, 0, 3, 2, 0, 3, 2});
}

TEST_CASE("where no gradient arrives none goes on, be the local derivative infinite, in lanes too") {
  const auto f = [](std::span<const Scalar> x) { return sqrt(x[0]) * x[1] + x[0]; };
  const Tensor x = from(std::vector<double>{0, 0, 4, 1, 0, 2, 1, 0}, {4, 2});
  const RowGradients expected = row_by_row(f, x);
  CHECK(differing(replay(f)(x).gradients, expected.gradients) == 0);
}

TEST_CASE("an elementwise() op of two to four operands runs in lanes") {
  auto blend = elementwise("blend", [](auto a, auto b, auto t) { return a + (b - a) * t * t; });
  auto four = elementwise("four", [](auto a, auto b, auto c, auto d) { return a * b - exp(c) / d; });
  auto hypotenuse = elementwise("hypotenuse", [](auto a, auto b) { return sqrt(a * a + b * b); });
  const auto f = [&](std::span<const Scalar> x) {
    return blend(x[0], x[1], x[2]) * four(x[0], 3, x[2], x[3]) + hypotenuse(x[3], 1.5) + four(x[1], x[1], x[1], x[0]);
  };
  auto replayed = replay(f);
  const Tensor x = rows(19, 4);
  const auto [y, dx] = replayed(x);
  const RowGradients expected = row_by_row(f, x);
  CHECK(replayed.why() == "");
  CHECK(differing(y, expected.values) == 0);
  CHECK(differing(dx, expected.gradients) == 0);
}

TEST_CASE("what a function captured may change between calls") {
  double scale = 2;
  auto f = replay([&](Scalar x) { return x * scale; });
  const Tensor x = tensor({1, 2, 3}, f64);
  CHECK(f(x).gradients.to_vector<double>() == std::vector<double>{2, 2, 2});
  scale = 5;
  CHECK(f(x).gradients.to_vector<double>() == std::vector<double>{5, 5, 5});
}

TEST_CASE("a function whose way no record holds runs row by row and says why") {
  const Tensor x = from(std::vector<double>{-1, 2, 3}, {3, 1});
  const auto says = [&](ScalarReplay f, const std::vector<double>& dx, const std::string& why) {
    CHECK(f(x).gradients.to_vector<double>() == dx);
    CHECK(f(x).gradients.to_vector<double>() == dx);
    CAPTURE(f.why());
    CHECK(f.why().find(why) != std::string::npos);
    CHECK(f.paths() == 0);
  };
  says(replay([](Scalar s) { return s.value() > 0 ? s * 2 : s * 3; }), {3, 2, 2}, "reads value()");
  says(replay([](Scalar s) { return s * detach(s); }), {-1, 2, 3}, "detach() or a Pause");
  says(replay([](Scalar s) {
         const Pause pause;
         return s.value() > 0 ? Scalar(1) : s;
       }),
       {1, 0, 0}, "reads value()");
  says(replay([](Scalar s) { return stack(std::vector<Scalar>{s, s})(0) * 2; }), {2, 2, 2}, "computes with tensors");
  says(replay([](Scalar s) { return clamp(s, 0, 2.5) * 2; }), {0, 2, 0}, "clamp() of Scalars");
}

TEST_CASE("results that are an input, or a plain number, have their gradients") {
  const Tensor x = rows(9, 2);
  const RowGradients same = replay([](Scalar, Scalar b) { return b; })(x);
  const RowGradients number = replay([](Scalar, Scalar) { return Scalar(4); })(x);
  for (std::int64_t r = 0; r < 9; ++r) {
    CHECK(same.values.data<double>()[r] == x.data<double>()[2 * r + 1]);
    CHECK(same.gradients.data<double>()[2 * r] == 0);
    CHECK(same.gradients.data<double>()[2 * r + 1] == 1);
    CHECK(number.values.data<double>()[r] == 4);
    CHECK(number.gradients.data<double>()[2 * r] == 0);
  }
}

TEST_CASE("asking a replayed function of Scalars for what it cannot do says so") {
  auto f = replay([](Scalar x, Scalar y) { return x + y; });
  const auto message = [](auto&& call) -> std::string {
    try {
      call();
    } catch (const Error& e) {
      return e.what();
    }
    return "";
  };
  CHECK(message([&] { f(ones({2, 3})); }) == "replay(): the function takes 2 numbers, and rows of [2, 3] have 3");
  CHECK(message([&] { f(ones({2, 3, 4})); }) == "replay(): rows of numbers come as [batch, n], not [2, 3, 4]");
  CHECK(message([&] { f(ones({2}), ones({3})); }) ==
        "replay(): each of the function's numbers comes as a tensor [batch], not [3] beside [2]");
  {
    Graph graph;
    CHECK(message([&] {
            f(ones({2, 2}));
          }) ==
          "replay(): a graph records, and what comes out of a replayed function is no part of it\n"
          "  help: call it before the graph opens, or while a Pause lives");
    const Scalar three = graph.variable(3.0);
    const Pause pause;
    auto g = replay([&](Scalar x) { return x * three; });
    CHECK(g(tensor({1, 2})).gradients.to_vector<double>() == std::vector<double>{3, 3});
  }
  auto throwing = replay([](Scalar x) -> Scalar {
    if (x > 2) throw UsageError("too large");
    return x;
  });
  CHECK(message([&] { throwing(tensor({1, 3})); }) == "too large");
  CHECK(throwing(tensor({1, 2})).values.to_vector<double>() == std::vector<double>{1, 2});
  Graph graph;  // the thread is as it was
  const Scalar x = graph.variable(2.0);
  (x * x).backward();
  CHECK(x.grad() == 4);
}
