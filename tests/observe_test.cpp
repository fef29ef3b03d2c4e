// What observing tells of each node: the same through each_node() and nodes(), orders, and gradients that were sent.
#include "draw.h"
#include "programs.h"

#include <doctest/doctest.h>
#include <ebb/autograd/memory.h>
#include <ebb/nn/nn.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

using namespace ebb;

namespace {

using Numbers = std::vector<double>;
using Names = std::vector<std::string>;

double rms(const Numbers& g) {
  double total = 0;
  for (const double v : g) total += v * v;
  return g.empty() ? 0 : std::sqrt(total / static_cast<double>(g.size()));
}

/// Equal, or neither is a number.
bool same(const Numbers& a, const Numbers& b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(),
                    [](double v, double w) { return v == w || (std::isnan(v) && std::isnan(w)); });
}
bool same(const Tensor& a, const Tensor& b) {
  return a.defined() ? b.defined() && a.shape() == b.shape() && same(a.to_vector<double>(), b.to_vector<double>())
                     : !b.defined();
}

/// The node that came last.
Node newest(const Graph& graph) { return graph.nodes().back(); }

}  // namespace

// ---- each_node() -------------------------------------------------------------------------------------------------

TEST_CASE("each_node() tells of each node what nodes() tells, on both lanes and of both kinds of backward") {
  Parameter w(ones({2, 3}, f64));
  w.rename("w");
  Graph graph({.observe = true});
  const Tensor x = graph.variable(ones({4, 3}, f64), "x");
  const Scalar s = graph.variable(0.5, "s");
  Tensor y;
  {
    const Scope scope("layer", "Layer(3 -> 2)");
    y = tanh(matmul(x, w, {.tb = true}) * 2.0) + s;
  }
  const Scalar a = y(0, 0) * s, b = clamp(a, -1, 1) + y(1, 1);
  const Tensor loss = sum(y * stack({a, b})) + b;
  sum(graph.gradient(loss, x)).backward({.retain = true});
  const std::vector<Node> nodes = graph.nodes();
  std::size_t i = 0;
  graph.each_node([&](const Node& node) {
    REQUIRE(i < nodes.size());
    const Node& known = nodes[i++];
    CAPTURE(known.id);
    CHECK(node.id == known.id);
    CHECK(node.kind == known.kind);
    CHECK(node.scalar == known.scalar);
    CHECK(node.op == known.op);
    CHECK(node.formula == known.formula);
    CHECK(node.rule == known.rule);
    CHECK(node.pointwise == known.pointwise);
    CHECK(node.inputs == known.inputs);
    CHECK(node.operands == known.operands);
    CHECK(same(node.numbers, known.numbers));
    CHECK(node.shape == known.shape);
    CHECK(node.dtype == known.dtype);
    CHECK(node.scope == known.scope);
    CHECK(node.scope_call == known.scope_call);
    CHECK(node.scope_kind == known.scope_kind);
    CHECK(node.backward_of == known.backward_of);
    CHECK(node.name == known.name);
    CHECK(node.saved.size() == known.saved.size());
    CHECK(same(node.value, known.value));
    CHECK(same(node.gradient, known.gradient));
    CHECK(node.value_number == known.value_number);
    CHECK(node.gradient_number == known.gradient_number);
    CHECK(node.order == known.order);
    CHECK(node.differentiated == known.differentiated);
    CHECK(node.uses == known.uses);
    CHECK(same(node.contributions, known.contributions));
    CHECK(same(node.sent_numbers, known.sent_numbers));
    CHECK(node.sent.size() == known.sent.size());
  });
  CHECK(i == graph.size());
  CHECK(i > 20);
}

TEST_CASE("a node of one lane has nothing left of a node of the other that came before") {
  Graph graph({.observe = true});
  const Tensor x = graph.variable(ones({3}), "x");
  const Scalar s = x(1), t = s * 2 + s;
  sum(exp(x) * t).backward();
  graph.each_node([&](const Node& node) {
    CAPTURE(node.op);
    CHECK((node.kind == Node::Kind::op) == !node.rule.empty());
    CHECK(node.inputs.size() >= node.operands.size());
    if (!node.scalar) {
      CHECK(node.numbers.empty());
      CHECK(node.value_number == 0);
      return;
    }
    CHECK_FALSE(node.value.defined());
    CHECK_FALSE(node.gradient.defined());
    CHECK(node.shape == Shape{});
    CHECK(node.dtype == f64);
    CHECK(node.saved.empty());
    CHECK(node.sent.empty());
    CHECK(node.uses == 0);
    CHECK(node.forward_seconds == 0);
  });
}

TEST_CASE("a million nodes are visited in a moment and in no memory") {
  Graph graph;
  const Scalar x = graph.variable(1.0);
  Scalar y = x;
  for (int i = 0; i < 250000; ++i) y = tanh(y * 0.5 + x * 0.25);
  y.backward();
  const auto started = std::chrono::steady_clock::now();
  std::size_t count = 0;
  std::uint32_t last_order = 0;
  graph.each_node([&](const Node& node) {
    ++count;
    last_order = node.order;
  });
  const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - started).count();
  CHECK(count == 1000001);
  CHECK(last_order == 1);
  CHECK(seconds < 2);  // 0.1 of them, on a machine that does nothing else
}

// ---- orders ------------------------------------------------------------------------------------------------------

TEST_CASE("the orders of random graphs are the order in which their backward functions really ran") {
  for (std::uint64_t seed = 0; seed < 100; ++seed) {
    Generator generator(seed);
    const auto below = [&](std::size_t n) {
      return static_cast<std::size_t>(randint(0, static_cast<std::int64_t>(n), {}, generator).item());
    };
    Names ran;
    Graph graph({.observe = seed % 2 == 0});
    std::vector<Tensor> tensors = {graph.variable(full({2}, 0.5, f64))};
    std::vector<Scalar> scalars = {graph.variable(0.25)};
    std::map<std::uint32_t, std::string> names;
    for (int k = 0; k < 30; ++k) {
      const std::string name = "n" + std::to_string(k);
      if (below(2) == 0) {
        const Tensor a = tensors[below(tensors.size())],
                     b = tensors[below(tensors.size())] * scalars[below(scalars.size())];
        tensors.push_back(custom(
            name, {a, b}, [](const Tensor& p, const Tensor& q) { return 0.5 * (p + q); },
            [&ran, name](const Tensor& g, const Tensor&, const Tensor&) {
              ran.push_back(name);
              return std::pair(g * 0.5, g * 0.5);
            }));
        names[newest(graph).id] = name;
      } else {
        const Scalar a = scalars[below(scalars.size())], b = tensors[below(tensors.size())](1);
        scalars.push_back(a * 0.5 + b);
        graph.on_gradient(scalars.back(), [&ran, name](double) { ran.push_back(name); });
        names[newest(graph).id] = name;
      }
    }
    (sum(tensors.back()) * scalars.back()).backward();
    std::map<std::uint32_t, std::string> told;
    std::set<std::uint32_t> orders;
    for (const Node& node : graph.nodes()) {
      if (node.order == 0) continue;
      CHECK(orders.insert(node.order).second);
      if (names.contains(node.id)) told[node.order] = names[node.id];
    }
    CHECK(*orders.rbegin() == orders.size());  // each from 1 on
    Names in_order;
    for (const auto& each : told) in_order.push_back(each.second);
    CHECK(ran.size() > 1);
    CHECK(in_order == ran);
  }
}

// ---- what was sent -----------------------------------------------------------------------------------------------

namespace {

/// The gradients that arrive at each node, added up from what the nodes that use it sent; and which of them are whole.
struct Arrivals {
  std::map<std::uint32_t, Numbers> sum, size;
  std::set<std::uint32_t> partly;

  Arrivals(const std::vector<Node>& nodes, std::uint32_t root) {
    std::map<std::uint32_t, const Node*> by_id;
    for (const Node& node : nodes) {
      by_id[node.id] = &node;
      sum[node.id] = size[node.id] = Numbers(static_cast<std::size_t>(node.shape.size()), 0.0);
    }
    sum[root].assign(1, 1.0);
    for (const Node& node : nodes) {
      for (std::size_t i = 0; i < node.contributions.size(); ++i) {
        if (std::isnan(node.contributions[i])) continue;
        const std::uint32_t id = node.inputs[i];
        if (node.op == "element") {
          add(id, static_cast<std::size_t>(std::stoi(node.formula.substr(2))), node.sent_numbers[i]);
        } else if (i < node.sent_numbers.size()) {
          add(id, 0, node.sent_numbers[i]);
          CHECK(node.contributions[i] == std::abs(node.sent_numbers[i]));
        } else if (node.sent[i].defined()) {
          const Numbers sent = node.sent[i].to_vector<double>();
          CHECK(node.sent[i].shape() == by_id[id]->shape);
          CHECK(node.contributions[i] == doctest::Approx(rms(sent)).epsilon(1e-14));
          for (std::size_t k = 0; k < sent.size(); ++k) add(id, k, sent[k]);
        } else {
          partly.insert(id);
        }
      }
    }
  }

  void add(std::uint32_t id, std::size_t place, double g) {
    sum[id][place] += g;
    size[id][place] += std::abs(g);
  }
};

/// The program's gradients and, if it observes, all nodes.
std::pair<programs::Gradients, std::vector<Node>> swept(const programs::Program& program, bool observe) {
  Graph graph({.observe = observe});
  programs::Run run(graph, program);
  programs::Gradients gradients = run.swept();
  return {std::move(gradients), graph.nodes()};  // the graph closes here, and the nodes keep what they hold
}

}  // namespace

TEST_CASE(
    "at every node of random programs the gradient is the sum of what its uses sent, and observing changes none") {
  std::size_t whole = 0, parts = 0, several = 0;
  for (std::uint64_t seed = 0; seed < 400; ++seed) {
    const programs::Program program = programs::Draw(seed).program();
    CAPTURE(seed);
    const auto [gradients, nodes] = swept(program, true);
    const auto plain = swept(program, false).first;
    REQUIRE(gradients.size() == plain.size());
    for (std::size_t i = 0; i < plain.size(); ++i) CHECK(same(gradients[i].second, plain[i].second));

    const auto root = std::find_if(nodes.begin(), nodes.end(), [](const Node& node) { return node.order == 1; });
    if (root == nodes.end()) continue;
    const Arrivals arrivals(nodes, root->id);
    for (const Node& node : nodes) {
      if (node.kind == Node::Kind::constant || node.dtype == i64) continue;
      ++(arrivals.partly.contains(node.id) ? parts : whole);
      if (arrivals.partly.contains(node.id)) continue;
      const Numbers arrived = node.scalar               ? Numbers{node.gradient_number}
                              : node.gradient.defined() ? node.gradient.to_vector<double>()
                                                        : Numbers(arrivals.sum.at(node.id).size(), 0.0);
      const Numbers &sum = arrivals.sum.at(node.id), &size = arrivals.size.at(node.id);
      REQUIRE(arrived.size() == sum.size());
      several += node.uses > 1;
      for (std::size_t k = 0; k < sum.size(); ++k) CHECK(std::abs(arrived[k] - sum[k]) <= 1e-12 * (1 + size[k]));
    }
  }
  MESSAGE(whole << " nodes, " << several << " of them with several tensors, and " << parts
                << " of which parts were sent");
  CHECK(whole > 20 * parts);
  CHECK(several > 500);
}

TEST_CASE("a second backward forgets what nodes sent in the first") {
  Graph graph({.observe = true});
  const Tensor x = graph.variable(ones({3}, f64));
  const Tensor a = sum(exp(x)), b = sum(x * 2.0);
  a.backward();
  CHECK(graph.nodes()[1].contributions.size() == 1);
  b.backward();
  const Node exponential = graph.nodes()[1];
  CHECK(exponential.op == "exp");
  CHECK(exponential.order == 0);
  CHECK(exponential.contributions.empty());
  CHECK(exponential.sent.empty());
  CHECK(exponential.backward_seconds == 0);
}

TEST_CASE("observe() again changes nothing") {
  Graph graph;
  graph.observe();
  const Tensor x = graph.variable(ones({3}, f64));
  sum(exp(x)).backward();
  graph.observe();
  CHECK(graph.nodes()[1].contributions.size() == 1);
  CHECK(graph.nodes()[1].uses == 1);
}

TEST_CASE("training steps that are observed take no more memory, however many there are") {
  seed(1);
  nn::Sequential model{nn::Dense(10, 64), nn::ReLU(), nn::Dense(64, 1), nn::Sigmoid()};
  const Tensor x = randn({32, 10}), y = (rand({32, 1}) > 0.5).to(f32);
  const auto step = [&] {
    Graph graph({.observe = true});
    nn::binary_cross_entropy(model(x), y).backward();
    for (auto& [name, parameter] : nn::parameters(model)) parameter.clear_grad();
  };
  for (int i = 0; i < 3; ++i) step();
  const std::int64_t before = detail::bytes_held.now;
  detail::bytes_held.most = before;
  step();
  const std::int64_t most = detail::bytes_held.most;
  CHECK(detail::bytes_held.now == before);
  CHECK(most > before);
  for (int i = 0; i < 50; ++i) step();
  CHECK(detail::bytes_held.now == before);
  CHECK(detail::bytes_held.most == most);
}

TEST_CASE(
    "observing a long sequence that is read step by step needs memory for what was computed, not for its square") {
  constexpr std::int64_t steps = 1000, wide = 64;
  const std::int64_t before = detail::bytes_held.now;
  detail::bytes_held.most = before;
  Graph graph({.observe = true});
  const Tensor x = graph.variable(ones({steps, wide}));
  Tensor total = zeros({wide});
  for (std::int64_t t = 0; t < steps; ++t) total = total + x[t];
  sum(total).backward();
  const std::int64_t once = steps * wide * 4;
  CHECK(detail::bytes_held.most - before < 16 * once);
  double squares = 0;
  graph.each_node([&](const Node& node) {
    if (node.op != "slice") return;
    REQUIRE(node.contributions.size() == 1);
    squares += node.contributions[0] * node.contributions[0];
    CHECK_FALSE(node.sent[0].defined());
  });
  CHECK(squares == doctest::Approx(1));  // each sent ones to its thousandth of x
}
