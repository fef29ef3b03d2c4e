// Pictures of whole models, as they come from the layers that users take.
#include "graphs.h"

#include <ebb/nn/nn.h>
#include <ebb/tools/graphviz/fold.h>

#include <algorithm>
#include <cmath>
#include <string>

using namespace ebb;
using namespace ebb::graphviz;
using namespace ebb::graphs;

namespace {

struct Block {
  nn::Dense dense{4, 4};
  nn::Label label{"x + relu(Dense(x))"};
  Tensor operator()(const Tensor& x) const {
    const Scope scope = label.scope();
    return x + relu(dense(x));
  }
  EBB_FIELDS(dense, label)
};

struct Blocks {
  Block block;
  nn::ReLU out;
  Tensor operator()(const Tensor& x) const { return out(block(x)); }
  EBB_FIELDS(block, out)
};

template <class Model> Trace watched(const Model& model, const Tensor& x) {
  nn::parameters(model);
  Graph graph;
  graph.observe();
  mean(square(model(x))).backward();
  return trace(graph);
}

}  // namespace

TEST_CASE("an activation behind a module of layers is not in that module's band") {
  const std::string text = dot(watched(Blocks(), numbers({3, 4}, 1, 1)));
  CHECK(has(text, "<B>out</B>"));
}

TEST_CASE("more steps than can be seen side by side are folded, unless cards are asked for") {
  const Trace steps = watched(nn::GRU(3, 4), numbers({2, 30, 3}, 1, 1));
  CHECK(has(dot(steps), "steps 3 – 28"));
  CHECK_FALSE(has(dot(steps, {.view = View::cards}), "steps 3"));
  CHECK_FALSE(has(dot(watched(nn::GRU(3, 4), numbers({2, 9, 3}, 1, 1))), "steps 3"));
}

TEST_CASE("of very many blocks a folded record keeps a number for 4,096, the first and the last among them") {
  Graph graph;
  graph.observe();
  const Scalar a = graph.variable(1, "a");
  Scalar s = a;
  for (int i = 0; i < 6000; ++i) s = s * 0.999 + a * 0.001;
  s.backward();
  const Trace whole = trace(graph), few = fold(whole, {.max_nodes = 40});
  const auto is_steps = [](const Record& r) { return r.fold != nullptr && r.fold->times == 5996; };
  const auto steps = std::find_if(few.records.begin(), few.records.end(), is_steps);
  REQUIRE(steps != few.records.end());
  REQUIRE(!steps->fold->series.empty());
  const auto sum = steps->fold->series[0].values;
  REQUIRE(sum.size() == 4096);
  CHECK(sum.front() == doctest::Approx(std::pow(0.999, 5997)).epsilon(1e-9));
  CHECK(sum.back() == doctest::Approx(std::pow(0.999, 2)).epsilon(1e-9));
}

TEST_CASE("a single number and a tensor whose elements are read say how many gradients met there") {
  Graph graph;
  graph.observe();
  const Scalar x = graph.variable(2.0, "x");
  const Tensor w = graph.variable(tensor({1.0, 2.0}), "w");
  (sum(square(w)) + w(0) * x + x).backward();
  const std::string text = dot(graph);
  CHECK(has(text, "tooltip=\"x, value 2, gradient 2, the sum of 2\""));
  CHECK(has(text, "w: 2 f32, rms 1.58113883, gradient rms 4, the sum of 2\""));
}

TEST_CASE("a value that is not finite stands out") {
  const std::string magenta = "COLOR=\"#c2188b\"><B>";
  Graph graph;
  graph.observe();
  const Tensor w = graph.variable(tensor({-1.0, 2.0}), "w");
  sum(sqrt(w)).backward();
  const std::string text = dot(graph);
  CHECK(has(text, magenta + "rms NaN"));
  CHECK(has(text, magenta + "loss  <B>NaN"));
}

TEST_CASE("of an op that only one of two traces has there is no ratio") {
  const nn::Sequential one{nn::Dense(4, 4), nn::ReLU()}, two{nn::Dense(4, 4), nn::ReLU(), nn::Dense(4, 4), nn::ReLU()};
  const Trace both = diff(watched(one, numbers({3, 4}, 1, 1)), watched(two, numbers({3, 4}, 1, 1)));
  CHECK(has(dot(both), "no ratio"));
  CHECK_FALSE(has(dot(both), "not computed"));
}

TEST_CASE("facts above a table that are too long for a line are broken between two of them") {
  nn::Sequential model{nn::Dense(4, 4), nn::ReLU(), nn::Dense(4, 4)};
  nn::parameters(model);
  Graph graph;
  mean(square(model(numbers({3, 4}, 1, 1)))).backward();
  CHECK(has(text(graph),
            "5 ops · 40 parameters · 5 backward steps\n"
            "no numbers: graph.observe() before the forward pass keeps them\n"));
}

TEST_CASE("a gradient that is 0 everywhere is not called infinite") {
  Graph graph;
  graph.observe();
  const Tensor w = graph.variable(zeros({3}), "w");
  sum(square(w)).backward();
  CHECK(report(trace(graph)).starts_with("no gradient that is finite and not 0 reaches the layer\n"));
}
