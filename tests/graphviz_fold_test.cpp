// Folding: what becomes one card, and that nothing is lost by it.
#include "graphs.h"

#include <ebb/tools/graphviz/fold.h>

#include <algorithm>
#include <random>
#include <regex>
#include <set>
#include <string>
#include <vector>

using namespace ebb;
using namespace ebb::graphviz;
using namespace ebb::graphs;

namespace {

std::string joined(const std::vector<std::string>& texts) {
  std::string all;
  for (const std::string& text : texts) all += (all.empty() ? "" : ", ") + text;
  return all;
}

// Of all cards, in the order of computing.
std::string titles(const Trace& trace) {
  std::vector<std::string> all;
  for (const Record& r : trace.records)
    if (r.is_op()) all.emplace_back(r.fold != nullptr ? r.fold->title : r.op);
  return joined(all);
}
std::string folds(const Trace& trace) { return joined(trace.folded); }

const Record& titled(const Trace& trace, const std::string& title) {
  const auto is_it = [&](const Record& r) { return r.fold != nullptr && r.fold->title == title; };
  const auto found = std::find_if(trace.records.begin(), trace.records.end(), is_it);
  REQUIRE_MESSAGE(found != trace.records.end(), "nothing is called ", title);
  return *found;
}

// As many nodes as cards can make of it: a leaf may stand beside each card that reads it.
std::size_t nodes(const Trace& trace) {
  std::set<std::uint32_t> beside;
  std::size_t n = trace.root != 0 ? 1 : 0;
  for (const Record& r : trace.records) {
    if (r.is_op()) ++n;
    for (const Operand& o : r.operands) {
      if (o.id == 0 || trace[o.id].is_op()) continue;
      beside.insert(o.id);
      ++n;
    }
  }
  for (const Record& r : trace.records) n += !r.is_op() && !beside.contains(r.id);
  return n;
}

// Whatever was folded, and how far.
void check_whole(const Trace& whole, const Trace& folded, int max_nodes) {
  CAPTURE(max_nodes);
  CHECK(nodes(folded) <= static_cast<std::size_t>(max_nodes));
  std::int64_t ops = 0;
  std::uint32_t before = 0;
  double forward = 0, forward_of_all = 0;
  std::vector<std::uint32_t> users(folded.records.size());
  for (const Record& r : folded.records) {
    CHECK(r.id > before);
    before = r.id;
    if (r.is_op()) ops += r.fold != nullptr ? r.fold->ops : 1;
    forward += r.forward_seconds;
    for (const Operand& o : r.operands) {
      if (o.id == 0) continue;
      CHECK(o.id < r.id);  // so there is no circle
      REQUIRE(folded.holds(o.id));
      ++users[folded.at(o.id)];
    }
  }
  for (const Record& r : whole.records) forward_of_all += r.is_op() ? r.forward_seconds : 0;
  for (std::size_t i = 0; i < users.size(); ++i) CHECK(users[i] == folded.records[i].users);
  CHECK(ops == whole.ops);
  CHECK(forward == doctest::Approx(forward_of_all));
  CHECK((folded.root == 0) == (whole.root == 0));
  if (folded.root != 0) CHECK(folded.holds(folded.root));
}

double gradient_of(const Trace& whole, std::uint32_t id) { return whole[id].gradient.size; }

// A step written with single ops: 17 of them.
struct Cell {
  Parameter in = parameter({32, 4}, 0.5, 1, "in"), own = parameter({32, 8}, 0.3, 2, "own"),
            bias = parameter({32}, 0.1, 3, "bias");
  void operator()(const Tensor& x, Tensor& h, Tensor& c) const {
    const Tensor z = matmul(x, in, {.tb = true}) + matmul(h, own, {.tb = true}) + bias;
    const auto gate = [&](std::int64_t n) { return slice(z, 8 * n, 8 * n + 8, 1); };
    const Tensor i = sigmoid(gate(0)), f = sigmoid(gate(1)), g = tanh(gate(2)), o = sigmoid(gate(3));
    c = f * c + i * g;
    h = o * tanh(c);
  }
};

Trace fifty_steps(const Cell& cell, const Layer& head, int steps = 50) {
  Graph graph;
  graph.observe();
  Tensor h = zeros({2, 8}), c = zeros({2, 8});
  for (int t = 0; t < steps; ++t) cell(numbers({2, 4}, 1, t), h, c);
  mean(square(head(h))).backward();
  return trace(graph);
}

}  // namespace

TEST_CASE("what fits is left as it is") {
  const Mlp model;
  Graph graph;
  graph.observe();
  model.loss().backward();
  const Trace whole = trace(graph), same = fold(whole, {});
  CHECK(same.records.size() == whole.records.size());
  CHECK(same.folded.empty());
}

TEST_CASE("at depth 1 each module is one card, at depth 2 those inside of it are") {
  const Layer q("encoder.0.q", 4, 4, 1), k("encoder.0.k", 4, 4, 2), other("encoder.1", 4, 4, 3), head("head", 4, 1, 4);
  Graph graph;
  graph.observe();
  const Tensor x = numbers({2, 4}, 1, 1);
  Tensor h = other(q(x) + k(x));
  mean(square(head(h))).backward();
  const Trace whole = trace(graph);
  CHECK(titles(fold(whole, {.depth = 1})) == "encoder.0, add, encoder.1, head, square, mean");
}

TEST_CASE("a module is open at a level that is open") {
  const Layer q("encoder.0.q", 4, 4, 1), k("encoder.0.k", 4, 4, 2), head("head", 4, 1, 4);
  Graph graph;
  graph.observe();
  const Tensor x = numbers({2, 4}, 1, 1);
  Tensor h;
  {
    const Scope encoder("encoder", "Encoder");
    const Scope block("encoder.0", "Block");
    const Tensor first = q(x);
    h = tanh(first + k(x));
  }
  mean(square(head(h))).backward();
  const Trace whole = trace(graph);
  CHECK(titles(fold(whole, {.depth = 0})) == "encoder – head, square, mean");
  const Trace one = fold(whole, {.depth = 1}), two = fold(whole, {.depth = 2}), three = fold(whole, {.depth = 3});
  CHECK(titles(one) == "encoder, head, square, mean");
  CHECK(titles(two) == "encoder.0, affine, square, mean");
  CHECK(titles(three) == "encoder.0.q, encoder.0.k, add, tanh, affine, square, mean");
  CHECK(titles(fold(whole, {})) == titles(whole));
  CHECK(folds(one) == "modules at depth 1");
  CHECK(titled(two, "encoder.0").scope == "encoder");
  CHECK(titled(two, "encoder.0").fold->detail == "Block");
  CHECK(titled(one, "encoder").fold->kind == Fold::Kind::module);
  for (const int depth : {0, 1, 2, 3}) check_whole(whole, fold(whole, {.depth = depth}), 400);

  SUBCASE("the data that the first module reads stays, and its parameters do not") {
    const Record& x_leaf = one.records.front();
    CHECK(x_leaf.kind == Node::Kind::constant);
    CHECK(titled(one, "encoder").operands.size() == 1);
    CHECK(titled(one, "encoder").operands[0].times == 2);
    CHECK(one.records.size() == 5);
  }
}

TEST_CASE("a folded module tells of its ops, steps, bytes and parameters, and its gradient is that of its output") {
  const Mlp model;
  Graph graph;
  graph.observe();
  model.loss().backward();
  const Trace whole = trace(graph), folded = fold(whole, {.depth = 1});
  CHECK(titles(folded) == "0, 1, 2, 3, 4, 5, bce_with_logits");
  const Record& first = titled(folded, "0");
  const Fold& fold_of = *first.fold;
  CHECK(fold_of.detail == "Dense(10 -> 8)");
  CHECK(fold_of.ops == 1);
  CHECK(fold_of.parameters == 88);
  CHECK(fold_of.parameter_names.size() == 2);
  CHECK(fold_of.parameter_names[0] == "0.weight");
  const double w = rms(model.first.weight.grad()), b = rms(model.first.bias.grad());
  CHECK(fold_of.parameter_gradient.size == doctest::Approx(std::sqrt((80 * w * w + 8 * b * b) / 88)));
  const double vw = rms(model.first.weight.value()), vb = rms(model.first.bias.value());
  CHECK(fold_of.parameter_rms == doctest::Approx(std::sqrt((80 * vw * vw + 8 * vb * vb) / 88)));
  CHECK(first.gradient.size == gradient_of(whole, first.id));
  CHECK(fold_of.least == first.gradient.size);
  CHECK(fold_of.first_step == whole[first.id].order);
  CHECK(first.value == whole[first.id].value);
  CHECK(first.shape.size() == 2);
  CHECK(first.saved.size() == 1);
  CHECK(first.saved[0].bytes == 32 * 10 * 4);
  CHECK(titled(folded, "5").gradient.state == Gradient::State::unneeded);
}

TEST_CASE("of fifty steps the first two and the last two stay, and the others are one card with every gradient") {
  const Cell cell;
  const Layer head("head", 8, 1, 5);
  const Trace whole = fifty_steps(cell, head);
  REQUIRE(whole.ops == 853);
  const Trace folded = fold(whole, {});
  CHECK(folds(folded) == "46 of 50 steps");
  const Record& middle = titled(folded, "steps 3 – 48");
  CHECK(middle.fold->detail == "× 46, same parameters");
  CHECK(middle.fold->kind == Fold::Kind::repeat);
  CHECK(middle.fold->times == 46);
  CHECK(middle.fold->ops == 46 * 17);
  REQUIRE(middle.fold->series.size() == 3);
  CHECK(middle.fold->series[0].name == "g mul");  // h, the last computed
  CHECK(middle.fold->series[1].name == "g add");  // c
  CHECK(middle.fold->series[2].name == "g matmul");
  std::vector<double> h;
  std::uint32_t nth = 0;
  for (const Record& r : whole.records)
    if (r.op == "mul" && ++nth % 3 == 0) h.push_back(r.gradient.size);
  REQUIRE(h.size() == 50);
  const auto& values = middle.fold->series[0].values;
  CHECK(std::equal(values.begin(), values.end(), h.begin() + 2, h.begin() + 48));
  check_whole(whole, folded, 400);

  SUBCASE("in at most 12 cards each of the four is one card as well") {
    const Trace small = fold(whole, {.max_nodes = 12});
    CHECK(titles(small) == "step 1, step 2, steps 3 – 48, step 49, step 50, affine, square, mean");
    CHECK(folds(small) == "50 steps, 3 shared parameters");
    CHECK(titled(small, "step 49").fold->series[0].values[0] == h[48]);
    CHECK(titled(small, "step 2").operands.size() == 1);
    CHECK(titled(small, "step 2").operands[0].times == 2);
    check_whole(whole, small, 12);
    check_drawable(dot(whole, {.max_nodes = 12}));
  }
  SUBCASE("with room for a few more the parameters that they share are told of") {
    const Trace small = fold(whole, {.max_nodes = 26});
    CHECK(folds(small) == "50 steps");
    for (std::size_t i = 0; i < 3; ++i) CHECK(small.records[i].kind == Node::Kind::parameter);
    for (std::size_t i = 0; i < 3; ++i) CHECK(small.records[i].users == 5);
    check_whole(whole, small, 26);
  }
}

TEST_CASE("fewer than five blocks are not folded") {
  const Cell cell;
  const Layer head("head", 8, 1, 5);
  CHECK(folds(fold(fifty_steps(cell, head, 4), {.max_nodes = 60})) != "46 of 50 steps");
  const Trace five = fold(fifty_steps(cell, head, 5), {.max_nodes = 30});
  CHECK(folds(five) == "5 steps");
  CHECK(titled(five, "step 3").fold->ops == 17);
}

TEST_CASE("layers of a stack are folded by their paths, and have distinct parameters") {
  std::vector<Layer> stack;
  for (int i = 0; i < 50; ++i) stack.emplace_back("encoder." + std::to_string(i) + ".dense", 4, 4, i);
  Graph graph;
  graph.observe();
  Tensor h = numbers({2, 4}, 1, 1);
  for (const Layer& layer : stack) {
    const std::string path = layer.path.substr(0, layer.path.rfind('.'));
    const Scope scope(path, "Block");
    h = tanh(layer(h) + h);
  }
  mean(square(h)).backward();
  const Trace whole = trace(graph);
  const Trace folded = fold(whole, {.max_nodes = 60});
  const Record& middle = titled(folded, "encoder.2 – encoder.47");
  CHECK(middle.fold->detail == "× 46, distinct parameters");
  CHECK(middle.fold->parameters == 46 * 20);
  CHECK(middle.fold->parameter_names.size() == 4);
  CHECK(middle.fold->series[0].values.size() == 46);
  CHECK(middle.scope == "encoder");
  CHECK(folded.folded[0] == "46 of 50 layers of encoder");
  check_whole(whole, folded, 60);
}

TEST_CASE("calls of one cell in a loop are steps") {
  const Layer cell("cell", 4, 4, 1);
  Graph graph;
  graph.observe();
  Tensor h = numbers({2, 4}, 1, 1);
  for (int t = 0; t < 20; ++t) h = tanh(cell(h));
  mean(square(h)).backward();
  const Trace folded = fold(trace(graph), {.max_nodes = 20});
  CHECK(titled(folded, "steps 3 – 18").fold->detail == "× 16, same parameters");
  const Trace by_depth = fold(trace(graph), {.depth = 1});
  CHECK(titled(by_depth, "cell").fold->detail == "Dense(4 -> 4), call 1 of 20");
}

TEST_CASE("repeats within the blocks that stay are folded where there is no room for them") {
  Graph graph;
  graph.observe();
  std::vector<Scalar> w;
  for (int i = 0; i < 20; ++i) w.push_back(graph.variable(0.1 * i - 1, "w" + std::to_string(i)));
  Scalar loss = 0.0;
  for (int sample = 0; sample < 12; ++sample) {
    Scalar out = w[0];
    for (std::size_t i = 1; i < 20; ++i) out = out + w[i] * (0.01 * sample);
    loss = loss + square(out);
  }
  loss.backward();
  const Trace whole = trace(graph);
  const Trace folded = fold(whole, {.max_nodes = 60});
  CHECK(folds(folded) == "8 of 12 steps, repeats within them, pointwise ops in a row, 20 shared parameters");
  CHECK(titled(folded, "steps 3 – 10").fold->detail == "× 8");
  CHECK(titled(folded, "steps 3 – 17").fold->ops == 30);
  check_whole(whole, folded, 60);
  CHECK(titles(fold(whole, {.max_nodes = 10})) == "step 1, step 2, steps 3 – 10, step 11, step 12");
}

TEST_CASE("equal ops that are wired otherwise are no blocks") {
  Graph graph;
  graph.observe();
  std::vector<Scalar> all{graph.variable(0.5, "a"), graph.variable(0.25, "b")};
  std::mt19937 random(7);
  for (int i = 0; i < 600; ++i) all.push_back(all[random() % all.size()] * all[random() % all.size()]);
  all.back().backward();
  const Trace folded = fold(trace(graph), {.max_nodes = 50});
  CHECK(folded.folded[0] == "neighbours");
  check_whole(trace(graph), folded, 50);
}

TEST_CASE("pointwise ops in a row are one card, up to the one whose result is read twice") {
  Graph graph;
  graph.observe();
  const Tensor x = graph.variable(numbers({3, 4}, 1, 1), "x");
  const Tensor twice = tanh(relu(x) * 2);
  sum(matmul(exp(neg(twice)), twice, {.tb = true})).backward();
  const Trace whole = trace(graph);
  const Trace folded = fold(whole, {.max_nodes = 8});
  CHECK(titles(folded) == "relu · mul · tanh, neg · exp, matmul, sum");
  CHECK(folds(folded) == "pointwise ops in a row");
  CHECK(titled(folded, "neg · exp").fold->detail == "2 pointwise ops");
  CHECK(titled(folded, "neg · exp").fold->kind == Fold::Kind::chain);
  check_whole(whole, folded, 8);
}

TEST_CASE("only what is near the module in focus is open") {
  std::vector<Layer> stack;
  for (int i = 0; i < 20; ++i) stack.emplace_back("net." + std::to_string(i), 4, 4, i);
  Graph graph;
  graph.observe();
  Tensor h = numbers({2, 4}, 1, 1);
  for (const Layer& layer : stack) h = tanh(layer(h));
  mean(square(h)).backward();
  const Trace whole = trace(graph);
  const Trace near = fold(whole, {.focus = "net.7", .radius = 1});
  CHECK(titles(near) == "before net.7, tanh, affine, tanh, after net.7, mean");
  CHECK(folds(near) == "all but net.7");
  check_whole(whole, near, 400);
  CHECK(titles(fold(whole, {.focus = "net.7", .radius = 0})) == "before net.7, affine, after net.7, mean");
  CHECK(titles(fold(whole, {.focus = "net", .radius = 1000})) == titles(whole));
  CHECK_THROWS_WITH_AS(fold(whole, {.focus = "net.71"}),
                       "graphviz: no module \"net.71\" to focus on\n"
                       "  help: there is \"net.1\", \"net.11\", \"net.7\", \"net.0\"",
                       UsageError);
  CHECK_THROWS_WITH_AS(fold(whole, {.focus = "net.7", .radius = -1}), "graphviz: radius is -1; it must be at least 0",
                       UsageError);
  CHECK_THROWS_WITH_AS(fold(whole, {.max_nodes = 1}), "graphviz: max_nodes is 1; it must be at least 2", UsageError);
}

TEST_CASE("a module in focus is not looked for where there are none") {
  Graph graph;
  sum(exp(graph.variable(numbers({3}, 1, 1), "x")));
  CHECK_THROWS_WITH_AS(fold(trace(graph), {.focus = "net"}),
                       "graphviz: no module \"net\" to focus on\n  help: the graph was computed outside of modules",
                       UsageError);
}

TEST_CASE("what gradient() recorded for a module is a card of its own") {
  const Layer layer("net", 3, 3, 1);
  Graph graph;
  graph.observe();
  const Tensor x = graph.variable(numbers({2, 3}, 1, 1), "x");
  const Tensor g = graph.gradient(sum(tanh(layer(x))), x);
  sum(square(g)).backward();
  const Trace whole = trace(graph), folded = fold(whole, {.depth = 1});
  CHECK(titles(folded) == "net, tanh, sum, mul, sub, mul, ∂ net, square, sum");
  CHECK(titled(folded, "∂ net").backward_of == titled(folded, "net").id);
  check_whole(whole, folded, 400);
}

namespace {

// Of any shape: ops of both lanes that read what is there over and over, in modules in modules, with loops, and now and
// then one that reads a thousand values.
void random_program(Graph& graph, std::mt19937& random, int length) {
  const auto below = [&](std::size_t n) { return static_cast<std::size_t>(random() % n); };
  std::vector<Parameter> learned;
  for (int i = 0; i < 5; ++i) learned.push_back(parameter({3, 3}, 0.5, i, ("p" + std::to_string(i)).c_str()));
  std::vector<Tensor> tensors{graph.variable(numbers({3, 3}, 1, 1), "x")};
  std::vector<Scalar> scalars{graph.variable(0.5, "s")};
  const auto any = [&]() -> Tensor {
    const std::size_t kind = below(8);
    if (kind == 0) return learned[below(learned.size())];
    if (kind == 1) return numbers({3, 3}, 1, static_cast<int>(below(9)));
    return tensors[kind < 5 ? tensors.size() - 1 : below(tensors.size())];
  };
  const auto op = [&] {
    switch (below(9)) {
      case 0:
        return tensors.push_back(matmul(any(), any()));
      case 1:
        return tensors.push_back(tanh(any()));
      case 2:
        return tensors.push_back(any() + any());
      case 3:
        return tensors.push_back(affine(any(), learned[below(5)], numbers({3}, 1, 1)));
      case 4:
        return scalars.push_back(any()(1, 2));
      case 5:
        return scalars.push_back(tanh(scalars.back() * scalars[below(scalars.size())]));
      case 6:
        return scalars.push_back(graph.variable(0.1, "v"));
      case 7:
        return tensors.push_back(tensors.back() * scalars.back());
      default:
        return tensors.push_back(relu(tensors.back()));
    }
  };
  const std::vector<std::string> paths{"a", "a.b", "a.b.c", "d", "d.e", "f.g.h.i", "k(0.5).l"};
  while (static_cast<int>(graph.size()) < length) {
    const std::size_t kind = below(30);
    if (kind == 0 && length > 1000) {
      std::vector<Tensor> many;
      for (int i = 0; i < 1000; ++i) many.push_back(numbers({1, 3}, 1, i));
      tensors.push_back(slice(concat(many), 0, 3));
    } else if (kind == 1) {
      const std::size_t times = 3 + below(9);
      for (std::size_t i = 0; i < times; ++i) tensors.push_back(tanh(matmul(tensors.back(), learned[0]) + learned[1]));
    } else if (kind == 2 && graph.size() > 10 && length < 300) {
      tensors.push_back(graph.gradient(sum(tensors.back()), tensors[0]));
    } else if (kind < 12) {
      const std::string& path = paths[below(paths.size())];
      const Scope scope(path, "Kind");
      for (std::size_t i = 1 + below(8); i > 0; --i) op();
    } else {
      op();
    }
  }
  if (below(4) == 0) return;
  (sum(tensors.back()) + scalars.back()).backward();
}

}  // namespace

TEST_CASE("the budget holds on 200 random graphs, nothing is lost, and no circle comes of it") {
  for (unsigned seed = 0; seed < 200; ++seed) {
    CAPTURE(seed);
    std::mt19937 random(seed);
    Graph graph;
    if (seed % 3 != 0) graph.observe();
    random_program(graph, random, seed % 20 == 0 ? 4000 : 20 + static_cast<int>(random() % 600));
    const Trace whole = trace(graph);
    std::size_t before = 0;
    for (const int max_nodes : {5, 6, 7, 9, 12, 17, 25, 40, 77, 130, 250, 400}) {
      DotOptions options;
      options.max_nodes = max_nodes;
      if (seed % 5 == 1) options.depth = static_cast<int>(seed / 5 % 5);
      const Trace folded = fold(whole, options);
      check_whole(whole, folded, max_nodes);
      CHECK(nodes(folded) >= before);  // a larger budget never shows less
      before = nodes(folded);
      if (max_nodes == 77)
        check_whole(whole, fold(folded, {.max_nodes = 20}), 20);  // folding goes on where it was left
    }
    if (seed % 10 != 0) continue;
    const std::string text = dot(whole, {.view = View::cards, .max_nodes = 60});
    const std::regex node("(^|\n) *(n[0-9]+|s[0-9]+_[0-9]+|loss) \\[");
    const auto drawn = std::distance(std::sregex_iterator(text.begin(), text.end(), node), {});
    CHECK(drawn > 1);
    CHECK(drawn <= 60);
    check_drawable(text);
  }
}

TEST_CASE("a graph of leaves alone, or of none, fits into any budget") {
  Graph graph;
  CHECK(fold(trace(graph), {.max_nodes = 2}).records.empty());
  for (int i = 0; i < 30; ++i) graph.variable(1.0, "v");
  CHECK(fold(trace(graph), {.max_nodes = 5}).records.empty());
  CHECK(fold(trace(graph), {}).records.size() == 30);
}

TEST_CASE("the same graph is folded into the same bytes") {
  const auto draw = [] {
    std::mt19937 random(3);
    Graph graph;
    graph.observe();
    random_program(graph, random, 2000);
    return dot(graph, {.max_nodes = 100});
  };
  const std::string first = draw();
  const std::vector<char> elsewhere(1 << 20);  // moves what is allocated next
  CHECK(draw() == first);
}
