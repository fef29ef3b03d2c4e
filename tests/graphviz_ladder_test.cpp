// The ladder, and what every view shares with it: what colours measure, the looks of gradients, second derivatives.
#include "graphs.h"

#include <ebb/tools/graphviz/folded.h>
#include <ebb/tools/graphviz/style.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <regex>
#include <string>
#include <vector>

using namespace ebb;
using namespace ebb::graphviz;
using namespace ebb::graphs;

namespace {

Trace mlp_trace() {
  const Mlp model;
  Graph graph;
  graph.observe();
  model.loss().backward();
  return trace(graph);
}

Record& op_of(Trace& trace, const std::string& name) {
  for (Record& r : trace.records)
    if (r.op == name) return r;
  FAIL("no op ", name);
  return trace.records.front();
}

std::string id_of(const Record& r) { return std::to_string(r.id); }

// tanh net with a penalty on the gradient by its input.
struct Penalty {
  Layer first{"0", 3, 8, 1}, second{"2", 8, 1, 3};
  Tensor loss(Graph& graph) const {
    const Tensor x = graph.variable(numbers({16, 3}, 1, 1), "x");
    const Tensor y = second(tanh(first(x)));
    const Tensor g = graph.gradient(sum(y), x);
    return mean(y) + mean(square(sqrt(sum(square(g), 1)) - 1));
  }
};

}  // namespace

TEST_CASE("what is measured is what colours, in its own words and units") {
  const Trace trace = mlp_trace();
  const Record& relu =
      *std::find_if(trace.records.begin(), trace.records.end(), [](const Record& r) { return r.op == "relu"; });
  const auto style = [&](Color color) {
    DotOptions options;
    options.color = color;
    return style_of(trace, options);
  };
  CHECK_FALSE(style(Color::gradient).forward(relu).has_value());
  CHECK(style(Color::gradient).backward(relu).value() == relu.gradient.size);
  CHECK(style(Color::value).forward(relu).value() == relu.value);
  CHECK_FALSE(style(Color::value).backward(relu).has_value());
  CHECK(style(Color::memory).forward(relu).value() == 32 * 8 * 4);
  CHECK(style(Color::memory).backward(relu).value() == 32 * 8 * 4);
  CHECK(style(Color::memory).text(1280) == "1.25 KiB");
  CHECK(style(Color::time).text(12e-6) == "12 µs");
  CHECK(style(Color::gradient).text(0.0023) == "2.3e-3");
  CHECK_FALSE(style(Color::time).of(relu.gradient).has_value());
  const auto drawn = [&](Color color) {
    DotOptions options;
    options.color = color;
    return words(write(trace, options));
  };
  CHECK(has(drawn(Color::gradient), "gradient rms   vanishing"));
  CHECK(has(drawn(Color::value), "rms of the values   smaller"));
  CHECK(has(drawn(Color::memory), "memory: values, and saved for backward   smaller"));
  CHECK(has(drawn(Color::time), "time   faster"));
  for (const Color color : {Color::value, Color::memory, Color::time}) CHECK_FALSE(has(drawn(color), "vanishing"));
  CHECK(has(drawn(Color::memory), "rms 0.643 · 1 KiB"));
  CHECK_FALSE(has(drawn(Color::gradient), "µs"));
}

TEST_CASE("the scale is centred on the median, two to four decades long, unless it is told otherwise") {
  Trace trace;
  const auto with = [&](const std::vector<double>& sizes, DotOptions options = {}) {
    trace.records.clear();
    for (const double size : sizes) {
      Record r;
      r.id = static_cast<std::uint32_t>(trace.records.size() + 1);
      r.gradient = {Gradient::State::known, size};
      trace.records.push_back(r);
    }
    return style_of(trace, options).heat;
  };
  CHECK(with({1e-3, 1e-2, 1e-1}).center() == 1e-2);
  CHECK(with({1e-3, 1e-2, 1e-1}).span() == 2);
  CHECK(with({1e-5, 1e-2, 1e-1}).span() == 3);
  CHECK(with({1e-30, 1e-2, 1e-1}).span() == 4);
  CHECK(with({0, std::numeric_limits<double>::quiet_NaN(), 1e-2}).center() == 1e-2);
  CHECK_FALSE(with({0, 0}).known());
  CHECK(with({1e-3, 1e-2}, {.heat_center = 0.5, .heat_span = 3.5}).center() == 0.5);
  CHECK(with({1e-3, 1e-2}, {.heat_center = 0.5, .heat_span = 3.5}).span() == 3.5);
  trace.compared = true;
  CHECK(with({1e-3, 1e-2}).center() == 1);
}

TEST_CASE("a comparison shows multiples, and says what was added and removed") {
  Trace trace = mlp_trace();
  trace.compared = true;
  Record& relu = op_of(trace, "relu");
  relu.gradient.size = 0.5;
  relu.change = Change::added;
  op_of(trace, "sigmoid").change = Change::removed;
  const std::string text = write(trace, {});
  CHECK(has(statement(text, "b" + id_of(relu)), "g  <B>×0.5</B>"));
  CHECK(has(statement(text, "b" + id_of(relu)), "gradient 0.5 times what it was"));
  CHECK(has(words(statement(text, "f" + id_of(relu))), "+ added"));
  CHECK(has(words(statement(text, "f" + id_of(op_of(trace, "sigmoid")))), "− removed"));
  CHECK(has(statement(text, "f" + id_of(op_of(trace, "sigmoid"))), "STYLE=\"ROUNDED,DASHED\""));
  CHECK(has(words(text), "gradient, as a multiple of what it was   smaller"));
  CHECK(has(text, ">×1<"));
  CHECK_FALSE(has(words(text), "vanishing"));
}

TEST_CASE("the states of a gradient differ in words and shapes on a ladder") {
  Trace trace = mlp_trace();
  std::vector<Record*> relus;
  for (Record& r : trace.records)
    if (r.op == "relu") relus.push_back(&r);
  REQUIRE(relus.size() == 2);
  const auto drawn = [&](Gradient first) {
    relus[0]->gradient = first;
    return write(trace, {});
  };
  const std::string node = "b" + id_of(*relus[0]);
  const std::string zero = drawn({Gradient::State::known, 0});
  CHECK(has(statement(zero, node), "g  <B>0</B>"));
  CHECK(has(words(zero), "hollow arrow: gradient exactly 0"));
  const std::string broken = drawn({Gradient::State::known, std::numeric_limits<double>::quiet_NaN()});
  CHECK(has(statement(broken, node), "g  <B>NaN</B>"));
  CHECK(has(words(broken), "diamond, NaN or ∞: the gradient is not finite"));
  const std::string unknown = drawn({});
  CHECK(has(words(statement(unknown, node)), "not computed"));
  CHECK(has(statement(unknown, node), "STYLE=\"ROUNDED,DASHED\""));
  CHECK(has(words(unknown), "dashed line: gradient not computed"));
  const std::string unneeded = drawn({Gradient::State::unneeded, no_number});
  CHECK_FALSE(has(unneeded, "\n  " + node + " ["));
  CHECK(has(words(unneeded), "not on the gradient's path"));
  for (const std::string& text : {zero, broken, unknown, unneeded}) {
    CHECK(has(words(text), "seed  ∂L/∂L = 1"));
    CHECK(has(words(text), "x needs no gradient: stop"));
    CHECK(has(text, "arrowtail=tee"));
    check_drawable(text);
  }
}

TEST_CASE("an exact zero has a hollow arrow, what is not finite a diamond") {
  const Style style = style_of(mlp_trace(), {});
  CHECK(has(back_line({Gradient::State::known, 0}, style), "arrowtail=onormal"));
  CHECK(has(back_line({Gradient::State::known, std::numeric_limits<double>::infinity()}, style), "arrowtail=diamond"));
  CHECK(has(back_line({}, style), "style=dashed"));
  CHECK_FALSE(has(back_line({Gradient::State::known, 0.1}, style), "arrowtail"));
}

TEST_CASE("all that goes back belongs to the step in which it ran") {
  const Mlp model;
  Graph graph;
  graph.observe();
  model.loss().backward();
  const std::string text = dot(graph);
  for (const Node& node : graph.nodes()) {
    if (node.order == 0) continue;
    const std::string step = "class=\"bwd step" + std::to_string(node.order) + "\"";
    CAPTURE(node.op);
    CHECK(has(statement(text, "b" + std::to_string(node.id)), step));
    CHECK(times(text, step) >= 2);  // with its lines
  }
  const std::regex no_step("class=\"bwd\"");
  CHECK_FALSE(std::regex_search(text, no_step));
}

TEST_CASE("a tooltip has all digits, and of a parameter the ratio of gradient and value") {
  const Mlp model;
  Graph graph;
  graph.observe();
  model.loss().backward();
  const std::string text = dot(graph);
  const double g = rms(model.first.weight.grad()), w = rms(model.first.weight.value());
  char expected[100];
  std::snprintf(expected, sizeof expected, "0.weight 8×10: gradient rms %.10g, ‖∇‖/‖w‖ %.6g", g, g / w);
  CHECK(has(text, expected));
}

TEST_CASE("a value used twice says how many gradients met there") {
  const Layer stem("stem", 8, 16, 1), block("block", 16, 16, 2), head("head", 16, 1, 3);
  Graph graph;
  graph.observe();
  residual_loss(stem, block, head).backward();
  CHECK(times(dot(graph), ">Σ2<") == 1);
}

TEST_CASE("names of ops are not cut where there is room") {
  Graph graph;
  graph.observe();
  const Tensor x = graph.variable(numbers({4, 3}, 1, 1), "x");
  softmax_cross_entropy(tanh(x), from(std::vector<std::int64_t>{0, 1, 2, 0}, {4})).backward();
  const std::string text = dot(graph);
  CHECK(has(text, "<B>softmax_cross_entropy</B>"));
  CHECK(has(text, "<B>softmax_cross_entropy′</B>"));
}

TEST_CASE("two heads on one trunk are a ladder") {
  const Layer trunk("trunk", 3, 8, 1), deeper("deeper", 8, 8, 2), value("value", 8, 1, 3), policy("policy", 8, 4, 5);
  Graph graph;
  graph.observe();
  const Tensor h = relu(deeper(relu(trunk(numbers({16, 3}, 1, 1)))));
  (mean(square(value(h))) + mean(square(policy(h)))).backward();
  const std::string text = dot(graph);
  CHECK(has(text, "// ladder view"));
  check_drawable(text);
}

TEST_CASE("two branches of one op are cards") {
  Graph small;
  const Tensor x = small.variable(numbers({3}, 1, 1), "x");
  sum(exp(x) * sin(x));
  CHECK(has(dot(small), "// cards view"));
}

TEST_CASE("a loss with a factor is a ladder that ends in the product") {
  const Layer layer("layer", 3, 8, 1);
  Graph graph;
  graph.observe();
  (mean(square(layer(numbers({16, 3}, 1, 1)))) * 0.5).backward();
  const std::string text = dot(graph);
  CHECK(has(text, "// ladder view"));
  CHECK(has(text, "<B>mul′</B>"));
  check_drawable(text);
}

TEST_CASE("a ladder that nobody could see as one is folded") {
  std::vector<Layer> layers;
  for (int i = 0; i < 50; ++i) layers.emplace_back("net." + std::to_string(i), 8, 8, i);
  Graph graph;
  graph.observe();
  Tensor h = numbers({16, 8}, 1, 1);
  for (const Layer& layer : layers) h = tanh(layer(h));
  mean(square(h)).backward();
  const std::string text = dot(graph);
  CHECK(has(text, "// ladder view"));
  CHECK(times(text, "[class=\"fwd\" group=f ") <= 60);
  CHECK(has(words(text), "102 ops drawn as "));
  check_drawable(text);
}

TEST_CASE("a folded row shows what it stands for") {
  Trace trace = mlp_trace();
  Record& relu = op_of(trace, "relu");
  Fold fold;
  fold.kind = Fold::Kind::repeat;
  fold.title = "steps 3 – 48", fold.detail = "× 46, same parameters";
  fold.ops = 782, fold.times = 46, fold.first_step = 3, fold.last_step = 103;
  fold.least = 1e-5, fold.most = 0.2;
  fold.parameters = 2112, fold.parameter_rms = 0.5, fold.parameter_gradient = {Gradient::State::known, 0.02};
  fold.parameter_names = trace.keep(std::vector{trace.keep("lstm.weight"), trace.keep("lstm.bias")});
  const std::vector<double> sizes(46, 0.01);
  fold.series = trace.keep(std::vector{Fold::Series{trace.keep("g"), trace.keep(sizes)}});
  relu.fold = trace.keep(fold);
  trace.folded = {"steps 3 – 48 of lstm as one"};
  trace.ops = 854;
  const std::string text = write(trace, {});
  check_drawable(text);
  CHECK(has(words(text), "854 ops drawn as 7 cards"));
  CHECK(has(words(text), "steps 3 – 48 of lstm as one"));
  const std::string forward = words(statement(text, "f" + id_of(relu)));
  CHECK(has(forward, "steps 3 – 48 32×8 × 46, same parameters 782 ops as one"));
  const std::string middle = words(statement(text, "m" + id_of(relu)));
  CHECK(has(middle, "2,112 parameters ∇ 0.02 lstm.weight, lstm.bias"));
  CHECK(has(middle, "‖∇‖/‖w‖ 0.04"));
  const std::string backward = words(statement(text, "b" + id_of(relu)));
  CHECK(has(backward, "3–103 "));
  CHECK(has(backward, "inside  1.0e-5 … 0.2"));
  CHECK(times(backward, "▅") == 46);
}

TEST_CASE("what gradient() recorded stands in a lane of its own, in the row of the op whose backward it is") {
  const Penalty model;
  Graph graph;
  graph.observe();
  model.loss(graph).backward();
  const std::string text = dot(graph);
  CHECK(has(text, "// ladder view"));
  CHECK(has(words(text), "RECORDED BACKWARD ↑"));
  check_drawable(text);
  std::size_t recorded = 0;
  for (const Node& node : graph.nodes()) {
    if (node.backward_of == 0 || node.kind != Node::Kind::op) continue;
    ++recorded;
    CAPTURE(node.op);
    const std::string lane = statement(text, "q" + std::to_string(node.backward_of));
    CHECK(has(lane, "<B>" + node.op + "</B>"));
    CHECK(has(lane, ">rms " + number(rms(node.value)) + "<"));
    CHECK(has(lane, ">g <B>" + number(rms(node.gradient)) + "</B><"));
    CHECK(has(lane, "<B>" + std::to_string(node.order) + "</B>"));
    CHECK_FALSE(has(text, "\n  f" + std::to_string(node.id) + " ["));
  }
  CHECK(recorded == 5);
  CHECK(has(words(text), "5 recorded backward ops"));
}

TEST_CASE("a parameter shows what its recorded use sends it, and the two make its gradient") {
  const Penalty model;
  Graph graph;
  graph.observe();
  model.loss(graph).backward();
  const std::string text = words(dot(graph));
  std::vector<double> sent;
  for (const Node& node : graph.nodes())
    for (std::size_t i = 0; i < node.inputs.size() && i < node.contributions.size(); ++i)
      if (node.inputs[i] != 0 && graph.nodes()[node.inputs[i] - 1].name == "0.weight")
        sent.push_back(node.contributions[i]);
  REQUIRE(sent.size() == 2);
  CHECK(has(text, "∇ +" + number(sent[0])));
  CHECK(has(text, "by ∂ matmul ∇ +" + number(sent[1])));
  CHECK(has(text, "shared by 2 · Σ ∇ " + number(rms(model.first.weight.grad()))));
}

TEST_CASE("the second derivative of sin(x·x) is drawn from both its programs") {
  const double x0 = 0.8, second = 2 * std::cos(x0 * x0) - 4 * x0 * x0 * std::sin(x0 * x0);
  SUBCASE("backward() of the first") {
    Graph graph;
    graph.observe();
    const Scalar x = graph.variable(x0, "x");
    graph.gradient(sin(x * x), x).backward();
    const std::string text = dot(graph);
    CHECK(has(text, "// ladder view"));
    CHECK(has(words(text), "∇x " + number(second)));
    CHECK(has(words(text), "seed  1"));
    check_drawable(text);
  }
  SUBCASE("gradient() of the first") {
    Graph graph;
    graph.observe();
    const Scalar x = graph.variable(x0, "x");
    const Scalar first = graph.gradient(sin(x * x), x);
    graph.gradient(first, x);
    const std::string text = dot(graph);
    CHECK(has(text, "// ladder view"));
    CHECK(has(words(text), "∂²"));
    CHECK(has(words(statement(text, "loss")), "∂  " + number(second)));
    check_drawable(text);
  }
}

TEST_CASE("any order of programs with gradient() in them can be drawn") {
  const Layer layer("0", 3, 3, 1);
  Graph graph;
  graph.observe();
  const Tensor x = graph.variable(numbers({4, 3}, 1, 1), "x");
  SUBCASE("recorded after the backward") {
    const Tensor loss = mean(square(layer(x)));
    loss.backward({.retain = true});
    square(graph.gradient(loss, x));
  }
  SUBCASE("recorded, and never used") {
    const Tensor loss = mean(square(layer(x)));
    graph.gradient(loss, x);
    loss.backward();
  }
  SUBCASE("by a parameter") { sum(square(graph.gradient(mean(square(layer(x))), Tensor(layer.weight)))).backward(); }
  SUBCASE("of a gradient of a gradient") {
    const Tensor first = graph.gradient(sum(tanh(x)), x);
    const Tensor second = graph.gradient(sum(square(first)), x);
    sum(square(graph.gradient(sum(second), x))).backward();
  }
  SUBCASE("through a residual net") {
    const Tensor y = x + tanh(layer(x));
    sum(square(graph.gradient(sum(y * y), x))).backward();
  }
  check_drawable(dot(graph));
  for (const Color color : {Color::value, Color::memory, Color::time}) check_drawable(dot(graph, {.color = color}));
}

TEST_CASE("a module is named once in its band") {
  const auto title = [](const char* path, const char* kind) {
    Graph graph;
    const Tensor x = graph.variable(numbers({2, 2}, 1, 1), "x");
    {
      const Scope scope(path, kind);
      sum(tanh(x));
    }
    const std::string text = words(dot(graph));
    const std::size_t begin = text.find("graph [label=<", text.find("subgraph cluster_")) + 14;
    return text.substr(begin, text.find('>', begin) - begin);
  };
  CHECK(title("embedding", "Embedding") == "embedding");
  CHECK(title("embedding", "Embedding(9, 4)") == "embedding  (9, 4)");
  CHECK(title("encoder.0", "Dense(10 -> 64)") == "encoder.0  Dense(10 → 64)");
  CHECK(title("encoder.Dropout(0.5)", "Dropout(0.5)") == "encoder.Dropout(0.5)");
  const std::string kind = "Kind(" + std::string(80, 'a') + ")";
  CHECK(title("net", kind.c_str()) == "net  Kind(" + std::string(54, 'a') + "…");
}

TEST_CASE("times are said in the unit that fits") {
  CHECK(duration(450e-9) == "450 ns");
  CHECK(duration(1.24e-6) == "1.2 µs");
  CHECK(duration(12e-6) == "12 µs");
  CHECK(duration(0.9996e-3) == "1.0 ms");
  CHECK(duration(90) == "90 s");
}
