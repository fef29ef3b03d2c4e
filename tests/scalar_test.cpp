// The scalar lane: values, gradients of any order, and what a Scalar is when no graph records it.
#include <doctest/doctest.h>
#include <ebb/autograd/autograd.h>

#include <cmath>
#include <sstream>
#include <vector>

using namespace ebb;

TEST_CASE("micrograd's example comes out as micrograd says") {
  Graph graph;
  const Scalar a = graph.variable(-4.0), b = graph.variable(2.0);
  Scalar c = a + b;
  Scalar d = a * b + pow(b, 3);
  c += c + 1;
  c += 1 + c + (-a);
  d += d * 2 + relu(b + a);
  d += 3 * d + relu(b - a);
  const Scalar e = c - d;
  const Scalar f = pow(e, 2);
  Scalar g = f / 2.0;
  g += 10.0 / f;
  g.backward();
  CHECK(g.value() == doctest::Approx(24.7041).epsilon(1e-5));
  CHECK(a.grad() == doctest::Approx(138.8338).epsilon(1e-6));
  CHECK(b.grad() == doctest::Approx(645.5773).epsilon(1e-6));
}

TEST_CASE("a value used twice gets both gradients") {
  Graph graph;
  const Scalar x = graph.variable(3.0);
  (x * x + x).backward();
  CHECK(x.grad() == 7.0);  // 2x + 1
}

TEST_CASE("a Scalar is 16 bytes, prints and compares as its value") {
  static_assert(sizeof(Scalar) == 16);
  Graph graph;
  const Scalar x = graph.variable(2.5), y = graph.variable(2.5);
  CHECK(x == y);
  CHECK(x <= y);
  CHECK_FALSE(x < y);
  CHECK(x > 1);
  CHECK(3 >= x);
  CHECK(x != 1.0);
  std::ostringstream text;
  text << x;
  CHECK(text.str() == "2.5");
  CHECK(graph.size() == 2);  // comparing and printing record nothing
}

TEST_CASE("plain numbers and Scalars of no graph are constants and record nothing") {
  const Scalar two = 2, half = 0.5f;
  CHECK((two * half + exp(two - 2)).value() == 2);
  Graph graph;
  const Scalar constant = two + 3;
  CHECK(graph.size() == 0);
  const Scalar x = graph.variable(4.0);
  const Scalar y = x * constant + 1;
  CHECK(graph.size() == 3);  // x, ·, +
  y.backward();
  CHECK(x.grad() == 5);
  CHECK_THROWS_AS(constant.grad(), GraphError);
}

TEST_CASE("every arithmetic operator has its gradient by both operands") {
  Graph graph;
  const Scalar a = graph.variable(3.0), b = graph.variable(-2.0);
  const auto slopes = [&](const Scalar& y) {
    y.backward({.retain = true});
    return std::vector<double>{a.grad(), b.grad()};
  };
  CHECK(slopes(a + b) == std::vector<double>{1, 1});
  CHECK(slopes(a - b) == std::vector<double>{1, -1});
  CHECK(slopes(a * b) == std::vector<double>{-2, 3});
  CHECK(slopes(a / b) == std::vector<double>{-0.5, -0.75});
  CHECK(slopes(-a) == std::vector<double>{-1, 0});
  CHECK(slopes(2 * a - b / 4) == std::vector<double>{2, -0.25});
  CHECK(slopes(6 / b) == std::vector<double>{0, -1.5});
  Scalar y = a;
  y += b;
  y -= 1;
  y *= b;
  y /= 2;
  CHECK(y.value() == 0);
  CHECK(slopes(y) == std::vector<double>{-1, -1});
}

TEST_CASE("derivatives of third order agree with the formula, and with the tensor lane") {
  const auto f = [](const auto& x) { return sin(x) * exp(x) * tanh(x); };
  const double at = 0.7;
  // With u = sin x·eˣ: u' = eˣ(sin + cos), u'' = 2eˣcos, u''' = 2eˣ(cos - sin); t = tanh x, s = 1 - t².
  const double e = std::exp(at), sine = std::sin(at), cosine = std::cos(at), t = std::tanh(at), s = 1 - t * t;
  const double u[] = {e * sine, e * (sine + cosine), 2 * e * cosine, 2 * e * (cosine - sine)};
  const double v[] = {t, s, -2 * t * s, -2 * s * s + 4 * t * t * s};
  const double expected[] = {u[1] * v[0] + u[0] * v[1], u[2] * v[0] + 2 * u[1] * v[1] + u[0] * v[2],
                             u[3] * v[0] + 3 * u[2] * v[1] + 3 * u[1] * v[2] + u[0] * v[3]};
  Graph graph;
  const Scalar x = graph.variable(at);
  Scalar y = f(x);
  const Tensor w = graph.variable(full({7}, at, f64));
  Tensor z = f(w);
  for (const double slope : expected) {
    y = graph.gradient(y, x);
    CHECK(y.value() == doctest::Approx(slope).epsilon(1e-13));
    z = graph.gradient(sum(z), w);
    CHECK(z(6).value() == doctest::Approx(slope).epsilon(1e-13));
  }
  y.backward();  // the fourth, by the other way
  CHECK(std::isfinite(x.grad()));
}

TEST_CASE("gradients by several Scalars come in their order, 0 where there is no path") {
  Graph graph;
  const Scalar a = graph.variable(2.0), b = graph.variable(5.0), unrelated = graph.variable(1.0);
  const std::vector<Scalar> slopes = graph.gradient(a * a * b, {b, unrelated, a});
  CHECK(slopes[0].value() == 4);
  CHECK(slopes[1].value() == 0);
  CHECK(slopes[2].value() == 20);
  const Scalar later = graph.variable(1.0);
  CHECK(graph.gradient(a * b, later).value() == 0);
  CHECK(graph.gradient(a, a).value() == 1);
  CHECK(graph.gradient(Scalar(3), a).value() == 0);
}

TEST_CASE("grad() of what the loss does not depend on is 0") {
  Graph graph;
  const Scalar a = graph.variable(2.0), b = graph.variable(5.0);
  const Scalar loss = a * a;
  const Scalar after = a * b;
  loss.backward();
  CHECK(a.grad() == 4);
  CHECK(b.grad() == 0);
  CHECK(after.grad() == 0);
  CHECK(loss.grad() == 1);
}

TEST_CASE("an infinite local derivative that nothing reaches does no harm") {
  Graph graph;
  const Scalar x = graph.variable(0.0), y = graph.variable(2.0);
  const Scalar root = sqrt(x);
  (where(root > 1, root, y) * 3 + root * 0).backward();
  CHECK(y.grad() == 3);
  CHECK(x.grad() == 0);
}

TEST_CASE("detach() of a Scalar stops the gradient") {
  Graph graph;
  const Scalar x = graph.variable(3.0);
  (x * detach(x)).backward();
  CHECK(x.grad() == 3);
}

TEST_CASE("a two-layer net of Scalars learns XOR") {
  Generator generator(1);
  std::vector<double> weights(17);
  for (double& w : weights) w = generator.normal();
  const double inputs[4][2] = {{0, 0}, {0, 1}, {1, 0}, {1, 1}}, targets[4] = {0, 1, 1, 0};
  double last = 0;
  for (int step = 0; step < 500; ++step) {
    Graph graph;
    std::vector<Scalar> w;
    for (const double number : weights) w.push_back(graph.variable(number));
    Scalar loss = 0;
    for (int sample = 0; sample < 4; ++sample) {
      Scalar out = w[16];
      for (std::size_t h = 0; h < 4; ++h)
        out += w[12 + h] * tanh(w[3 * h] * inputs[sample][0] + w[3 * h + 1] * inputs[sample][1] + w[3 * h + 2]);
      loss += square(out - targets[sample]);
    }
    loss.backward();
    for (std::size_t i = 0; i < w.size(); ++i) weights[i] -= 0.04 * w[i].grad();
    last = loss.value();
  }
  CHECK(last < 0.01);
}
