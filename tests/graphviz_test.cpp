// Pictures.  The texts of three are kept in tests/golden; EBB_UPDATE_GOLDEN=1 in the environment writes them anew.
#include "folder.h"

#include <doctest/doctest.h>
#include <ebb/autograd/autograd.h>
#include <ebb/tools/graphviz.h>
#include <ebb/tools/graphviz/file.h>
#include <ebb/tools/graphviz/text.h>
#include <ebb/tools/graphviz/write.h>
#include <sys/stat.h>

#include <chrono>
#include <cmath>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <limits>
#include <regex>
#include <sstream>
#include <string>
#include <vector>

using namespace ebb;
using namespace ebb::graphviz;

namespace {

// Numbers without any library function in them, so that the pictures are the same everywhere.
Tensor numbers(const Shape& shape, double scale, int seed) {
  std::vector<float> values;
  for (std::int64_t i = 0; i < shape.size(); ++i)
    values.push_back(static_cast<float>(scale * (static_cast<double>((i * 37 + seed * 11) % 64) / 32 - 1)));
  return from(values, shape);
}

Parameter parameter(const Shape& shape, double scale, int seed, const char* name) {
  Parameter p(numbers(shape, scale, seed));
  p.rename(name);
  return p;
}

// A layer as pictures see it: parameters with names, and a scope.
struct Layer {
  std::string path, kind;
  Parameter weight, bias;
  Layer(std::string name, int in, int out, int seed)
      : path(std::move(name)),
        kind("Dense(" + std::to_string(in) + " -> " + std::to_string(out) + ")"),
        weight(parameter({out, in}, 0.5, seed, (path + ".weight").c_str())),
        bias(parameter({out}, 0.25, seed + 1, (path + ".bias").c_str())) {}
  Tensor operator()(const Tensor& x) const {
    const Scope scope(path, kind);
    return affine(x, weight, bias);
  }
};

Tensor activation(const char* path, const char* kind, Tensor (*f)(const Tensor&), const Tensor& x) {
  const Scope scope(path, kind);
  return f(x);
}

// The guide's model, small enough to read: the loss takes the logits, so the sigmoid has no step back.
struct Mlp {
  Layer first{"0", 10, 8, 1}, second{"2", 8, 4, 3}, third{"4", 4, 1, 5};
  Tensor loss() const {
    const Tensor x = numbers({32, 10}, 1, 9), y = ones({32, 1});
    Tensor h = activation(
        "1", "ReLU", [](const Tensor& t) { return relu(t); }, first(x));
    h = activation(
        "3", "ReLU", [](const Tensor& t) { return relu(t); }, second(h));
    const Tensor z = third(h);
    activation(
        "5", "Sigmoid", [](const Tensor& t) { return sigmoid(t); }, z);
    return bce_with_logits(z, y);
  }
};

Tensor residual_loss(const Layer& stem, const Layer& block, const Layer& head) {
  const Tensor h = relu(stem(numbers({16, 8}, 1, 2)));
  const Tensor sum = h + relu(block(h));
  return mean(square(head(sum)));
}

bool dot_is_installed() {
  static const bool installed = std::system("command -v dot > /dev/null 2>&1") == 0;
  if (!installed) MESSAGE("dot (package graphviz) is not installed: what needs it is not tested");
  return installed;
}

std::string read(const std::string& file) {
  std::ifstream in(file, std::ios::binary);
  std::ostringstream text;
  text << in.rdbuf();
  return text.str();
}

std::size_t times(const std::string& text, const std::string& part) {
  std::size_t n = 0;
  for (std::size_t at = text.find(part); at != std::string::npos; at = text.find(part, at + 1)) ++n;
  return n;
}

bool has(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

// The statement that makes the DOT node, e.g. "b4".
std::string statement(const std::string& text, const std::string& node) {
  const std::size_t begin = text.find("  " + node + " [");
  REQUIRE_MESSAGE(begin != std::string::npos, "no node ", node);
  return text.substr(begin, text.find('\n', begin) - begin);
}

void check_golden(const std::string& name, const std::string& text) {
  const std::string file = std::string(EBB_SOURCE_ROOT) + "/tests/golden/" + name;
  if (std::getenv("EBB_UPDATE_GOLDEN") != nullptr) put(file, text);
  const bool same = read(file) == text;
  CHECK_MESSAGE(same, name, " differs from the picture in tests/golden; EBB_UPDATE_GOLDEN=1 writes it anew");
}

double rms(const Tensor& t) {
  double squares = 0;
  for (const double v : t.to_vector<double>()) squares += v * v;
  return std::sqrt(squares / static_cast<double>(t.size()));
}

// dot must take the text.
void check_drawable(const std::string& text) {
  if (!dot_is_installed()) return;
  const Folder folder;
  Replacement out(folder / "canon.dot");
  CHECK_NOTHROW(run_dot(text, "canon", out));
}

// PATH holds nothing but this folder until the end of the scope.
struct OnlyPath {
  std::string before = std::getenv("PATH") == nullptr ? "" : std::getenv("PATH");
  explicit OnlyPath(const std::string& folder) { ::setenv("PATH", folder.c_str(), 1); }
  ~OnlyPath() { ::setenv("PATH", before.c_str(), 1); }
};

void fake_dot(const Folder& folder, const std::string& script) {
  put(folder / "dot", "#!/bin/sh\n" + script + "\n");
  ::chmod((folder / "dot").c_str(), 0755);
}

}  // namespace

TEST_CASE("the guide's model is drawn as the ladder of tests/golden") {
  const Mlp model;
  Graph graph;
  graph.observe();
  model.loss().backward();
  const std::string text = dot(graph, {.title = "How backpropagation flows through the MLP"});
  check_golden("mlp_ladder.dot", text);
  check_drawable(text);
}

TEST_CASE("a residual net is drawn with a skip on either side") {
  const Layer stem("stem", 8, 16, 1), block("block", 16, 16, 2), head("head", 16, 1, 3);
  Graph graph;
  graph.observe();
  residual_loss(stem, block, head).backward();
  const std::string text = dot(graph);
  check_golden("residual_ladder.dot", text);
  check_drawable(text);
  CHECK(has(text, "[class=\"fwd\" penwidth=1.6 arrowhead=none headclip=false"));  // forward, at the left
  CHECK(std::regex_search(text,
                          std::regex("b[0-9]+:e -> b[0-9]+:e \\[class=\"bwd step[0-9]+\"")));  // backward, at the right
}

TEST_CASE("a graph of scalars is drawn as cards with value and gradient") {
  Graph graph;
  graph.observe();
  const Scalar x1 = graph.variable(2.0, "x1"), x2 = graph.variable(0.0, "x2");
  const Scalar w1 = graph.variable(-3.0, "w1"), w2 = graph.variable(1.0, "w2");
  const Scalar first = x1 * w1, second = x2 * w2;
  const Scalar y = square(first + second + 6.5) / 2;
  y.backward();
  const std::string text = dot(graph);
  check_golden("scalars.dot", text);
  check_drawable(text);
  CHECK(has(text, "<B>÷</B></FONT> <FONT POINT-SIZE=\"10\" COLOR=\"#66717f\">2</FONT>"));  // the plain number
  CHECK(has(text, "tooltip=\"w1, value -3, gradient 1\""));
  CHECK(has(text, "tooltip=\"w2, value 1, gradient 0\""));
}

TEST_CASE("each use of a scalar shows the gradient that it sends, not their sum") {
  Graph graph;
  graph.observe();
  const Scalar x = graph.variable(2.0, "x");
  (x * 5 + x).backward();
  const std::string text = dot(graph);
  CHECK(has(text, "tooltip=\"x, value 2, gradient 6\""));
  CHECK(has(text, ": gradient 5\"]"));
  CHECK(has(text, ": gradient 1\"]"));
  CHECK_FALSE(has(text, ": gradient 6\"]"));
}

TEST_CASE("the same program gives the same bytes") {
  const auto draw = [] {
    const Mlp model;
    Graph graph;
    graph.observe();
    model.loss().backward();
    return dot(graph);
  };
  const std::string first = draw();
  const std::vector<char> elsewhere(1 << 20);  // moves what is allocated next
  CHECK(draw() == first);
  CHECK_FALSE(has(first, "0x"));
}

TEST_CASE("every number in the ladder is that of its tensor") {
  const Mlp model;
  Graph graph;
  graph.observe();
  model.loss().backward();
  const std::string text = dot(graph);
  std::size_t backward_cards = 0;
  for (const Node& node : graph.nodes()) {
    const std::string id = std::to_string(node.id);
    if (node.kind != Node::Kind::op) continue;
    CAPTURE(node.op);
    const std::string value =
        node.value.size() == 1 ? "value " + number(node.value.item()) : "rms " + number(rms(node.value));
    CHECK(has(statement(text, "f" + id), ">" + value + "<"));
    if (node.order == 0) continue;
    ++backward_cards;
    const std::string card = statement(text, "b" + id);
    CHECK(has(card, "g  <B>" + number(rms(node.gradient)) + "</B>"));
    CHECK(has(card, "<B>" + std::to_string(node.order) + "</B>"));
    CHECK(has(card, "step" + std::to_string(node.order)));
  }
  CHECK(backward_cards == 6);
  for (const Parameter* p : {&model.first.weight, &model.first.bias, &model.second.weight, &model.third.bias}) {
    CAPTURE(p->name());
    CHECK(has(text, "<B>" + p->name() + "</B>"));
    CHECK(has(text, "∇ <B>" + number(rms(p->grad())) + "</B>"));
  }
}

TEST_CASE("the contributions to a shared parameter are drawn beside each use, and their sum once") {
  const Parameter w = parameter({4, 4}, 0.5, 1, "w");
  Graph graph;
  graph.observe();
  const Tensor a = numbers({2, 4}, 1, 1), b = numbers({2, 4}, 1, 2);
  sum(matmul(a, w) * matmul(b, w)).backward();
  const std::string text = dot(graph);
  std::vector<double> contributions;
  for (const Node& node : graph.nodes())
    if (node.op == "matmul") contributions.push_back(node.contributions[1]);
  REQUIRE(contributions.size() == 2);
  for (const double c : contributions) CHECK(has(text, ">+" + number(c) + "<"));
  CHECK(has(text, "<B>∇ " + number(rms(w.grad())) + "</B>"));
  CHECK(times(text, "class=\"stub") == 2);
}

TEST_CASE("an op that the loss does not read has no step back, and says so") {
  const Mlp model;
  Graph graph;
  graph.observe();
  model.loss().backward();
  const std::string text = dot(graph);
  CHECK(has(text, "<B>sigmoid</B>"));
  CHECK_FALSE(has(text, "<B>sigmoid′</B>"));
  CHECK(times(text, "not on the gradient's path") == 1);
}

TEST_CASE("a graph that was never observed shows shapes and no numbers") {
  const Mlp model;
  Graph graph;
  model.loss().backward();
  const std::string text = dot(graph);
  CHECK(has(text, "32×10"));
  CHECK(has(text, "<B>affine′</B>"));
  CHECK(has(text, "∇x = g·W"));
  CHECK_FALSE(has(text, "rms "));
  CHECK_FALSE(has(text, "value "));
  CHECK_FALSE(has(text, "g  <B>"));
  CHECK_FALSE(has(text, "∇ <B>"));
  CHECK_FALSE(has(text, "vanishing"));
  check_drawable(text);
}

TEST_CASE("an observed graph without a backward shows values and no gradients") {
  const Mlp model;
  Graph graph;
  graph.observe();
  model.loss();
  const std::string text = dot(graph);
  CHECK(has(text, "rms "));
  CHECK(has(text, "no gradients: backward() has not run"));
  CHECK_FALSE(has(text, "g  <B>"));
  CHECK_FALSE(has(text, "seed"));
}

TEST_CASE("zero, not needed, not computed and not finite look different") {
  const double nan = std::numeric_limits<double>::quiet_NaN();
  const auto card = [&](Gradient gradient) {
    Trace trace;
    trace.observed = trace.differentiated = true;
    Record x, op;
    x.id = 1, x.kind = Node::Kind::variable, x.shape = {3}, x.name = "x", x.wants_gradient = true, x.users = 1;
    op.id = 2, op.op = "relu", op.rule = "∇x = g", op.shape = {3}, op.wants_gradient = true, op.gradient = gradient;
    Operand operand;
    operand.id = 1;
    op.operands = {operand};
    trace.records = {x, op};
    DotOptions cards;
    cards.view = View::cards;
    return statement(write(trace, cards), "n2");
  };
  const std::string zero = card({Gradient::State::known, 0}), broken = card({Gradient::State::known, nan});
  const std::string unneeded = card({Gradient::State::unneeded, nan}), unknown = card({Gradient::State::unknown, nan});
  CHECK(has(zero, "g <B>0</B>"));
  CHECK(has(zero, "BGCOLOR=\"#ffffff\" STYLE=\"ROUNDED\" CELLBORDER=\"0\" CELLSPACING=\"0\" CELLPADDING=\"1\""));
  CHECK(has(broken, "g <B>NaN</B>"));
  CHECK(has(broken, "BGCOLOR=\"#c2188b\""));
  CHECK(has(unneeded, ">no gradient<"));
  CHECK_FALSE(has(unneeded, "g <B>"));
  CHECK_FALSE(has(unknown, "g <B>"));
  CHECK_FALSE(has(unknown, ">no gradient<"));

  Graph graph;
  graph.observe();
  const Tensor x = graph.variable(tensor({-1, -2}), "x");
  sum(relu(x)).backward();
  CHECK(has(dot(graph), "arrowtail=onormal"));  // the hollow arrow of an exact 0
}

TEST_CASE("a gradient that is not finite is drawn in its own colour with the word") {
  Graph graph;
  graph.observe();
  const Tensor x = graph.variable(tensor({0, 4}), "x");
  sum(sqrt(x)).backward();  // infinite at 0
  const std::string text = dot(graph);
  CHECK(has(text, "<B>∞</B>"));
  CHECK(has(text, "#c2188b"));
  CHECK(has(text, "NaN or ∞: the gradient is not finite"));
  check_drawable(text);
}

TEST_CASE("modules are bands, nested to the depth asked for") {
  const Layer inner("net.block.dense", 4, 4, 1), other("net.block.out", 4, 4, 2), last("net.head", 4, 1, 3);
  Graph graph;
  mean(last(other(inner(numbers({2, 4}, 1, 1)))));
  const auto bands_at = [&](int depth) {
    DotOptions options;
    options.depth = depth;
    return times(dot(graph, options), "subgraph cluster_");
  };
  CHECK(bands_at(0) == 0);
  CHECK(bands_at(1) == 1);   // net
  CHECK(bands_at(2) == 3);   // net.block and net.head inside
  CHECK(bands_at(16) == 5);  // net.block.dense and net.block.out inside of that
  CHECK(has(dot(graph), "<B>net.block.dense</B>\u00a0\u00a0\u00a0Dense(4 → 4)"));
}

TEST_CASE("an activation layer shares the band of the layer before it") {
  const Mlp model;
  Graph graph;
  model.loss();
  const std::string text = dot(graph);
  CHECK(times(text, "subgraph cluster_") == 3);
  CHECK(has(text, "<B>0</B>\u00a0\u00a0\u00a0Dense(10 → 8)\u00a0\u00a0\u00a0·\u00a0\u00a0\u00a0<B>1</B>\u00a0\u00a0\u00a0ReLU"));
}

TEST_CASE("the calls of one module are told apart") {
  const Layer cell("cell", 4, 4, 1);
  Graph graph;
  const Tensor x = numbers({2, 4}, 1, 1);
  sum(cell(x) * cell(tanh(cell(x))));
  const std::string text = dot(graph);
  CHECK(has(text, "<B>cell</B>\u00a0\u00a0\u00a0Dense(4 → 4)\u00a0\u00a0\u00a0call 1"));
  CHECK(has(text, "<B>cell</B>\u00a0\u00a0\u00a0Dense(4 → 4)\u00a0\u00a0\u00a0call 3"));
  check_drawable(text);
}

TEST_CASE("any graph can be drawn") {
  SUBCASE("without a node") {
    Graph graph;
    check_drawable(dot(graph));
    CHECK(has(dot(graph), "nothing was recorded"));
  }
  SUBCASE("with a leaf alone") {
    Graph graph;
    graph.variable(1.0, "alone");
    check_drawable(dot(graph));
  }
  SUBCASE("with branches") {
    Graph graph;
    graph.observe();
    const Tensor x = graph.variable(numbers({3}, 1, 1), "x");
    sum(exp(x) * sin(x) + x * x).backward();
    check_drawable(dot(graph));
    CHECK(has(dot(graph), "×2"));  // x * x: one line for both
  }
  SUBCASE("with both lanes") {
    Graph graph;
    graph.observe();
    const Tensor x = graph.variable(numbers({3}, 1, 1), "x");
    const Scalar s = x(0) * x(1);
    sum(stack({s, s * 2})).backward();
    check_drawable(dot(graph));
  }
  SUBCASE("of derivatives of derivatives") {
    Graph graph;
    graph.observe();
    const Tensor x = graph.variable(numbers({3}, 1, 1), "x");
    const Tensor g = graph.gradient(sum(tanh(x) * x), x);
    sum(square(g)).backward();
    check_drawable(dot(graph));
  }
  SUBCASE("in the dark") {
    const Mlp model;
    Graph graph;
    graph.observe();
    model.loss().backward();
    DotOptions dark;
    dark.theme = Theme::dark;
    check_drawable(dot(graph, dark));
    CHECK(has(dot(graph, dark), "bgcolor=\"#0d1117\""));
  }
}

TEST_CASE("no name breaks dot, and each is still to be read") {
  const std::string long_name = std::string(5000, 'a') + "MIDDLE" + std::string(5000, 'z');
  const std::vector<std::string> names{"a<b>&\"|{}\\",
                                       "\\N\\G\\",
                                       "-->",
                                       "</TABLE>",
                                       "Ünïcödé 层 🙂",
                                       "tab\tnew\nline\x01\x7f",
                                       "\xff\xfe broken \xc3",
                                       "&lt;",
                                       "<",
                                       "",
                                       " ",
                                       long_name};
  for (const std::string& name : names) {
    CAPTURE(name);
    Parameter p(numbers({2, 2}, 1, 1));
    p.rename(name);
    const std::string kind = "Kind " + name;
    Graph graph;
    graph.observe();
    const Tensor x = graph.variable(numbers({2, 2}, 1, 1), name);
    Tensor y;
    {
      const Scope scope(name, kind);
      y = tanh(matmul(x, p));
    }
    sum(y).backward();
    for (const View view : {View::ladder, View::cards}) {
      DotOptions options;
      options.view = view, options.title = name, options.subtitle = name;
      const std::string text = dot(graph, options);
      check_drawable(text);
      CHECK(text.size() < 40000);
      if (!dot_is_installed() || name.size() > 100 || name.empty()) continue;
      const Folder folder;
      Replacement out(folder / "hostile.svg");
      run_dot(text, "svg", out);
      out.commit();
      const std::string svg = read(folder / "hostile.svg");
      if (name == "a<b>&\"|{}\\") CHECK(has(svg, ">a&lt;b&gt;&amp;&quot;|{}\\</text>"));
      if (name == "\\N\\G\\") CHECK(has(svg, ">\\N\\G\\</text>"));
      if (name == "Ünïcödé 层 🙂") CHECK(has(svg, "Ünïcödé 层 🙂</text>"));
      if (name == "&lt;") CHECK(has(svg, ">&amp;lt;</text>"));
    }
  }
  CHECK(shorten(long_name, 9) == "aaaa…zzzz");
}

TEST_CASE("too large a graph is refused at once") {
  Graph graph;
  Scalar s = graph.variable(1.0);
  for (int i = 0; i < 1'000'000; ++i) s = s + 1.0;
  const auto started = std::chrono::steady_clock::now();
  CHECK_THROWS_WITH_AS(dot(graph),
                       "graphviz: 1,000,001 nodes are more than a picture holds (2,000)\n"
                       "  help: draw the graph of one sample, or of fewer steps",
                       UsageError);
  CHECK(std::chrono::steady_clock::now() - started < std::chrono::seconds(1));
}

TEST_CASE("the largest graph that is drawn is drawn within the time limit") {
  if (!dot_is_installed()) return;
  Graph graph;
  graph.observe();
  Scalar s = graph.variable(0.5, "x");
  while (graph.size() < static_cast<std::size_t>(max_nodes)) s = sin(s);
  s.backward();
  const Folder folder;
  CHECK_NOTHROW(render(graph, folder / "chain.svg"));
}

TEST_CASE("options that mean nothing are refused") {
  Graph graph;
  const Tensor x = graph.variable(numbers({3}, 1, 1), "x");
  const Tensor e = exp(x), s = sin(x);
  sum(e * s);
  DotOptions ladder, depth;
  ladder.view = View::ladder;
  depth.depth = -1;
  CHECK_THROWS_WITH_AS(dot(graph, ladder),
                       "graphviz: the graph is no ladder: node 3 (sin) does not take the result of the op before it\n"
                       "  help: View::cards draws any graph",
                       UsageError);
  CHECK_THROWS_WITH_AS(dot(graph, depth), "graphviz: depth is -1; it must be at least 0", UsageError);
}

TEST_CASE("numbers have three digits, or an exponent") {
  CHECK(number(0) == "0");
  CHECK(number(1) == "1");
  CHECK(number(0.0168) == "0.0168");
  CHECK(number(24.7041) == "24.7");
  CHECK(number(-645.5773) == "−646");
  CHECK(number(0.0023) == "2.3e-3");
  CHECK(number(0.003) == "3.0e-3");
  CHECK(number(999.7) == "1.0e3");
  CHECK(number(1e-300) == "1.0e-300");
  CHECK(number(std::numeric_limits<double>::infinity()) == "∞");
  CHECK(number(std::numeric_limits<double>::quiet_NaN()) == "NaN");
  CHECK(bytes(128) == "128 B");
  CHECK(bytes(1280) == "1.25 KiB");
  CHECK(bytes(8192) == "8 KiB");
  CHECK(bytes(1023 * 1024) == "1023 KiB");
  CHECK(thousands(2817) == "2,817");
  CHECK(thousands(817) == "817");
  CHECK(shape_text({32, 64}) == "32×64");
  CHECK(shape_text({}) == "scalar");
}

TEST_CASE("render writes each of its formats, and knows no other") {
  const Mlp model;
  Graph graph;
  graph.observe();
  model.loss().backward();
  const Folder folder;
  render(graph, folder / "flow.dot");
  CHECK(read(folder / "flow.dot") == dot(graph));
  if (dot_is_installed()) {
    render(graph, folder / "flow.svg");
    render(graph, folder / "flow.png");
    render(graph, folder / "flow.pdf");
    CHECK(has(read(folder / "flow.svg"), "</svg>"));
    CHECK(read(folder / "flow.png").substr(1, 3) == "PNG");
    CHECK(read(folder / "flow.pdf").substr(0, 4) == "%PDF");
  }
  CHECK_THROWS_WITH_AS(render(graph, "flow.html"),
                       "graphviz::render(\"flow.html\"): unknown extension .html; .dot, .svg, .png and .pdf are known",
                       UsageError);
  CHECK_THROWS_WITH_AS(render(graph, "flow"),
                       "graphviz::render(\"flow\"): the file has no extension; .dot, .svg, .png and .pdf are known",
                       UsageError);
  CHECK_THROWS_WITH_AS(render(graph, folder / "none/flow.dot"),
                       ("graphviz: cannot write " + (folder / "none/flow.dot") + ": No such file or directory").c_str(),
                       IoError);
}

TEST_CASE("a picture that fails leaves the old file, and nothing else") {
  Graph graph;
  graph.variable(1.0, "x");
  const Folder folder;
  put(folder / "flow.svg", "old");
  const auto is_untouched = [&] {
    std::size_t files = 0;
    for (const auto& entry : std::filesystem::directory_iterator(folder.path))
      files += entry.path().filename() != "dot";
    return files == 1 && read(folder / "flow.svg") == "old";
  };
  SUBCASE("dot is not installed") {
    const OnlyPath path(folder.path.string());
    CHECK_THROWS_WITH_AS(render(graph, folder / "flow.svg"),
                         "graphviz: the program dot is not installed\n"
                         "  help: install the package graphviz, or write a .dot file, which needs nothing",
                         IoError);
    CHECK(is_untouched());
  }
  SUBCASE("dot fails") {
    fake_dot(folder, "echo 'no room' >&2; echo '<svg>'; exit 3");
    const OnlyPath path(folder.path.string());
    CHECK_THROWS_WITH_AS(render(graph, folder / "flow.svg"), "graphviz: dot failed with status 3: no room", IoError);
    CHECK(is_untouched());
  }
  SUBCASE("dot crashes") {
    fake_dot(folder, "kill -6 $$");
    const OnlyPath path(folder.path.string());
    CHECK_THROWS_WITH_AS(render(graph, folder / "flow.svg"), "graphviz: dot was ended by signal 6", IoError);
    CHECK(is_untouched());
  }
  SUBCASE("dot complains, but says that all is well") {
    fake_dot(folder, "echo 'Error: <stdin>: syntax error' >&2; echo '<svg>'");
    const OnlyPath path(folder.path.string());
    CHECK_THROWS_WITH_AS(render(graph, folder / "flow.svg"),
                         "graphviz: dot failed with status 0: Error: <stdin>: syntax error", IoError);
    CHECK(is_untouched());
  }
  SUBCASE("dot hangs") {
    fake_dot(folder, "while :; do :; done");
    const OnlyPath path(folder.path.string());
    Replacement out(folder / "new.svg");
    CHECK_THROWS_WITH_AS(run_dot("digraph {}", "svg", out, std::chrono::milliseconds(200)),
                         "graphviz: dot took longer than 0.2 s and was stopped\n  help: draw a smaller graph", IoError);
  }
}

TEST_CASE("a picture keeps the mode of the file that it replaces, and follows a link") {
  Graph graph;
  graph.variable(1.0, "x");
  const Folder folder;
  put(folder / "kept.dot", "old");
  ::chmod((folder / "kept.dot").c_str(), 0640);
  std::filesystem::create_symlink(folder / "kept.dot", folder / "link.dot");
  render(graph, folder / "link.dot");
  struct stat kept {};
  REQUIRE(::stat((folder / "kept.dot").c_str(), &kept) == 0);
  CHECK((kept.st_mode & 0777) == 0640);
  CHECK(std::filesystem::is_symlink(folder / "link.dot"));
  CHECK(read(folder / "kept.dot") == dot(graph));
  std::filesystem::create_directory(folder / "folder.dot");
  CHECK_THROWS_WITH_AS(render(graph, folder / "folder.dot"),
                       ("graphviz: cannot write " + (folder / "folder.dot") + ": it is not a regular file").c_str(),
                       IoError);
}
