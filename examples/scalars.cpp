// A network made of single numbers: every + and * is a node of the graph.
//
// A hidden layer of four neurons learns to tell two moons apart.  It must reach: all 100 points right.
// Usage: scalars; draws the graph of one point, forward and backward, into scalars.svg in the current folder.
#include <ebb/autograd/autograd.h>
#include <ebb/tools/graphviz.h>

#include <cmath>
#include <cstdio>
#include <numbers>
#include <string>
#include <vector>

using namespace ebb;

namespace {

constexpr int hidden = 4, steps = 200, report_every = 20;
constexpr double rate = 0.2, momentum = 0.9;

struct Point {
  double x, y, side;  // side: -1 for the upper moon, 1 for the lower
};

std::vector<Point> two_moons(int count, double noise) {
  Generator generator(2);
  std::vector<Point> points;
  for (int i = 0; i < count; ++i) {
    const double angle = std::numbers::pi * generator.uniform();
    const bool lower = i % 2 == 1;
    const double x = lower ? 1 - std::cos(angle) : std::cos(angle), y = lower ? 0.5 - std::sin(angle) : std::sin(angle);
    points.push_back({x + noise * generator.normal(), y + noise * generator.normal(), lower ? 1.0 : -1.0});
  }
  return points;
}

/// What training changes: a plain number, and what the picture calls it.
struct Weight {
  std::string name;
  double value;
  double velocity = 0;
};

/// For each hidden neuron two weights, a bias, and the weight of its output; and the output's bias.
std::vector<Weight> new_weights() {
  Generator generator(1);
  std::vector<Weight> weights;
  for (int i = 0; i < hidden; ++i) {
    const std::string n = std::to_string(i);
    weights.push_back({"w" + n + "x", generator.normal()});
    weights.push_back({"w" + n + "y", generator.normal()});
    weights.push_back({"b" + n, generator.normal()});
    weights.push_back({"v" + n, 0.3 * generator.normal()});
  }
  weights.push_back({"c", 0});
  return weights;
}

/// c + Σ vᵢ·tanh(wᵢ·(x, y) + bᵢ): positive for the lower moon.
Scalar network(const std::vector<Scalar>& w, const Scalar& x, const Scalar& y) {
  Scalar out = w.back();
  for (std::size_t i = 0; i + 1 < w.size(); i += 4) out += w[i + 3] * tanh(w[i] * x + w[i + 1] * y + w[i + 2]);
  return out;
}

/// One point's loss, the logistic one: small if the network's answer has the right sign and is sure.
Scalar loss_of(const std::vector<Scalar>& w, const Scalar& x, const Scalar& y, double side) {
  return softplus(-side * network(w, x, y));
}

/// The weights as leaves of a graph.
std::vector<Scalar> leaves(Graph& graph, const std::vector<Weight>& weights) {
  std::vector<Scalar> scalars;
  for (const Weight& weight : weights) scalars.push_back(graph.variable(weight.value, weight.name));
  return scalars;
}

/// One step of gradient descent with momentum.  Returns how many nodes it took.
std::size_t step(std::vector<Weight>& weights, const std::vector<Point>& points) {
  Graph graph;
  const std::vector<Scalar> w = leaves(graph, weights);
  Scalar loss = 0;
  for (const auto& [x, y, side] : points) loss += loss_of(w, x, y, side);
  loss /= points.size();
  loss.backward();
  for (std::size_t i = 0; i < w.size(); ++i) {
    weights[i].velocity = momentum * weights[i].velocity + w[i].grad();
    weights[i].value -= rate * weights[i].velocity;
  }
  return graph.size();
}

struct Judgement {
  double loss = 0, right = 0;  // means over the points
  Point hardest{};
};

/// How well the network does.  No graph is open, so the same code records nothing.
Judgement judge(const std::vector<Weight>& weights, const std::vector<Point>& points) {
  std::vector<Scalar> w;
  for (const Weight& weight : weights) w.push_back(weight.value);
  const double share = 1 / static_cast<double>(points.size());
  Judgement all;
  double worst = 0;
  for (const Point& point : points) {
    const double loss = loss_of(w, point.x, point.y, point.side).value();
    all.loss += loss * share;
    if (network(w, point.x, point.y).value() * point.side > 0) all.right += share;
    if (loss > worst) {
      worst = loss;
      all.hardest = point;
    }
  }
  return all;
}

void draw(const std::vector<Weight>& weights, const Point& point) {
  Graph graph;
  graph.observe();
  const std::vector<Scalar> w = leaves(graph, weights);
  const Scalar x = graph.variable(point.x, "x"), y = graph.variable(point.y, "y");
  loss_of(w, x, y, point.side).backward();
  graphviz::render(graph, "scalars.svg", {.title = "One point through a network of single numbers"});
}

}  // namespace

int main() try {
  const std::vector<Point> moons = two_moons(100, 0.1);
  std::vector<Weight> weights = new_weights();
  std::printf("%zu points on two moons, %zu weights, and nothing but single numbers\n\n", moons.size(), weights.size());

  std::size_t nodes = 0;
  Judgement now;
  for (int i = 1; i <= steps; ++i) {
    nodes = step(weights, moons);
    if (i % report_every != 0) continue;
    now = judge(weights, moons);
    std::printf("step %3d  loss %.4f  right %3.0f %%\n", i, now.loss, 100 * now.right);
  }

  draw(weights, now.hardest);
  std::printf("\neach step recorded %zu nodes and went back through them\n", nodes);
  std::printf("the hardest point's part of it: scalars.svg\n");
  if (now.right > 0.999) return 0;
  std::printf("scalars: %.0f %% of the points are right and all must be\n", 100 * now.right);
  return 1;
} catch (const Error& error) {
  std::fprintf(stderr, "scalars: %s\n", error.what());
  return 1;
}
