// Strips: one card for each module, in rows; several graphs on one scale; the cards of folded records.
#include "graphs.h"

#include <ebb/tools/graphviz/folded.h>

#include <array>
#include <limits>
#include <random>
#include <regex>
#include <set>
#include <sstream>

using namespace ebb;
using namespace ebb::graphviz;
using namespace ebb::graphs;

namespace {

// Layers in a row, each with its activation inside.
struct Net {
  std::vector<Layer> layers;
  std::vector<std::string> names;
  bool saturates;

  Net(int depth, double scale, bool saturating) : saturates(saturating) {
    for (int i = 0; i < depth; ++i) names.push_back(std::to_string(i));
    for (int i = 0; i < depth; ++i) {
      const int in = i == 0 ? 6 : 8, out = i + 1 == depth ? 1 : 8;
      layers.emplace_back(names[static_cast<std::size_t>(i)], in, out, i);
      Parameter& weight = layers.back().weight;
      weight.assign(numbers(weight.value().shape(), scale, 3 * i + 1));
    }
  }
  Tensor operator()(const Tensor& x) const {
    Tensor h = x;
    for (std::size_t i = 0; i < layers.size(); ++i) {
      const Scope scope(names[i], layers[i].kind);
      h = affine(h, layers[i].weight, layers[i].bias);
      if (i + 1 < layers.size()) h = saturates ? h / (1.0 + abs(h)) : relu(h);
    }
    return h;
  }
  Trace watched() const {
    Graph graph;
    graph.observe();
    mean(square((*this)(numbers({16, 6}, 1, 9)))).backward();
    return trace(graph);
  }
};

// A cell called again and again, and a head.
Trace recurrent(int steps) {
  const Parameter wx = parameter({6, 6}, 0.5, 1, "cell.wx"), wh = parameter({6, 6}, 0.5, 2, "cell.wh");
  const Layer head("head", 6, 1, 3);
  Graph graph;
  graph.observe();
  Tensor h = zeros({4, 6});
  for (int t = 0; t < steps; ++t) {
    const Scope scope("cell", "Cell(6 -> 6)");
    h = tanh(matmul(numbers({4, 6}, 1, t), wx) + matmul(h, wh));
  }
  mean(square(head(h))).backward();
  return trace(graph);
}

std::vector<std::string> find_all(const std::string& text, const std::string& pattern) {
  const std::regex expression(pattern);
  std::vector<std::string> found;
  for (std::sregex_iterator at(text.begin(), text.end(), expression), end; at != end; ++at) found.push_back(at->str(1));
  return found;
}

void check_layout(const std::string& text) {
  if (dot_is_installed()) CHECK_NOTHROW(run_dot(text, "plain"));
}

// Where dot puts nodes and lines, without labels and colours.
std::string geometry(const std::string& dot) {
  std::istringstream lines(run_dot(dot, "plain"));
  std::string text;
  for (std::string line; std::getline(lines, line);) {
    if (line.starts_with("graph ")) text += line + '\n';
    if (!line.starts_with("node ") && !line.starts_with("edge ")) continue;
    std::istringstream words(line);
    std::string word;
    for (int i = 0; i < 6 && words >> word; ++i) text += word + ' ';
    text += '\n';
  }
  return text;
}

}  // namespace

TEST_CASE("at depth 1 each module is a card with the gradient at its output and at its parameters") {
  const Net net(3, 0.5, false);
  Graph graph;
  graph.observe();
  Tensor h = numbers({16, 6}, 1, 9);
  std::vector<double> at_outputs;
  const Tensor y = net(h);
  const Tensor loss = mean(square(y));
  loss.backward();
  const std::string text = dot(graph, {.depth = 1});
  CHECK(times(text, "class=\"module") == 3);
  for (const Layer& layer : net.layers) {
    const auto squares = [](const Tensor& t) { return rms(t) * rms(t) * static_cast<double>(t.size()); };
    const Tensor dw = layer.weight.grad(), db = layer.bias.grad();
    const double all = std::sqrt((squares(dw) + squares(db)) / static_cast<double>(dw.size() + db.size()));
    CHECK(has(text, "∇θ</FONT></TD><TD WIDTH=\"66\" ALIGN=\"RIGHT\"><FONT POINT-SIZE=\"11\""));
    CHECK(has(text, "<B>" + number(all) + "</B>"));
  }
  for (const Node& node : graph.nodes())
    if (node.op == "relu") CHECK(has(text, "g <B>" + number(rms(node.gradient)) + "</B>"));
  CHECK(has(text, "loss <B>" + number(loss.item()) + "</B>"));
  CHECK(has(text, "rankdir=LR"));
  CHECK(has(text, ">6–7</FONT>"));  // the steps of the first layer, which run last
  check_layout(text);
}

TEST_CASE("View::strip shows modules whole, and a graph of few modules and no depth is no strip") {
  const Trace trace = Net(3, 0.5, false).watched();
  CHECK(has(dot(trace, {.view = View::strip}), "// strip view"));
  CHECK(times(dot(trace, {.view = View::strip}), "class=\"module") == 3);
  CHECK(dot(trace, {.depth = 1, .view = View::strip}) == dot(trace, {.view = View::strip}));
  CHECK(!has(dot(trace), "// strip view"));
}

TEST_CASE("two nets stand one above the other on one scale of colours, as in tests/golden") {
  const Trace saturating = Net(4, 0.25, true).watched(), steady = Net(4, 0.75, false).watched();
  const DotOptions options{.title = "Same depth, same data, same scale"};
  const std::vector<Part> parts{{"soft", "the gradient vanishes", saturating}, {"relu", "it keeps its size", steady}};
  const std::string text = dot(parts, options);
  check_golden("two_strips.dot", text);
  check_layout(text);
  CHECK(times(text, "gradient rms   vanishing") == 1);
  // A card of either is as it is in a picture of both turned around.
  const std::string turned = dot({parts[1], parts[0]}, options);
  for (const std::string& card : find_all(text, "\n  an[0-9]+ \\[class=\"module[^\n]*(label=[^\n]*)"))
    CHECK(has(turned, card));
  CHECK(find_all(text, "\n  (an[0-9]+) \\[class=\"module").size() == 4);
  // The upper one comes first, and stays there.
  if (dot_is_installed()) {
    const std::string plain = run_dot(text, "plain");
    const auto height = [&](const std::string& node) {
      return std::stod(find_all(plain, "\nnode " + node + " [0-9.e+-]+ ([0-9.e+-]+) ").at(0));
    };
    CHECK(height("aloss") > height("bloss"));
  }
}

TEST_CASE("parts have one view, and there is at least one") {
  CHECK_THROWS_WITH_AS(dot(std::vector<Part>{}), "graphviz: there is nothing to draw: no parts", UsageError);
  const std::vector<Part> parts{{"a", "", Net(2, 0.5, false).watched()}};
  CHECK_THROWS_WITH_AS(dot(parts, {.view = View::ladder}),
                       "graphviz: several graphs in one picture are drawn as strips; View::strip or View::automatic",
                       UsageError);
}

TEST_CASE("a long chain goes on in the next row, and each row turns back to the left") {
  const Net net(26, 0.75, false);
  const std::string text = dot(net.watched(), {.view = View::strip});
  CHECK(times(text, "class=\"module") == 26);
  const std::vector<std::string> rows = find_all(text, "\n  \\{ rank=same ([^l][^}]*n[0-9]+ [^}]*)\\}");
  REQUIRE(rows.size() == 3);
  CHECK(rows[2].ends_with("loss "));
  CHECK(times(text, "headclip=false tailclip=false") == 2);
  if (!dot_is_installed()) return;
  const std::string plain = run_dot(text, "plain");
  std::set<std::string> heights;
  for (const std::string& y : find_all(plain, "\nnode n[0-9]+ [0-9.e+-]+ ([0-9.e+-]+) ")) heights.insert(y);
  CHECK(heights.size() == 3);
}

TEST_CASE("the same model at another step has a strip of the same geometry") {
  if (!dot_is_installed()) return;
  for (const int depth : {4, 26}) {
    const std::string early = dot(Net(depth, 0.75, false).watched(), {.view = View::strip});
    const std::string late = dot(Net(depth, 0.125, false).watched(), {.view = View::strip});
    CHECK(early != late);
    CHECK(geometry(early) == geometry(late));
  }
  const DotOptions folded{.view = View::automatic, .max_nodes = 12};
  const Trace trace = recurrent(50);
  CHECK(geometry(dot(trace, folded)) == geometry(dot(trace, {.theme = Theme::dark, .max_nodes = 12})));
}

TEST_CASE("fifty steps are folded into a strip with a curve over those in the middle") {
  const Trace trace = recurrent(50);
  const std::string text = dot(trace, {.max_nodes = 12});
  CHECK(has(text, "// strip view"));
  const std::vector<std::string> cards = find_all(text, "\n  (n[0-9]+) \\[class=\"(module|op)");
  CHECK(cards.size() <= 12);
  CHECK(has(text, "<B>steps 3 – 48</B>"));
  CHECK(has(text, "× 46, same parameters, 184 ops"));
  for (const std::string& curve : find_all(text, "ALIGN=\"LEFT\">((<FONT FACE=[^>]*>[▁▂▃▄▅▆▇█·×]+</FONT>)+)</TD>"))
    CHECK(times(curve, "<FONT") == 46);
  check_layout(text);
}

TEST_CASE("a curve is on a scale of powers; 0 and what is not finite have signs of their own") {
  const DotOptions options;
  const Style style = style_of(Trace{}, options);
  const auto signs = [&](const std::vector<double>& sizes) {
    std::string all;
    for (const std::string& sign : find_all(curve(sizes, style), ">([^<]+)</FONT>")) all += sign;
    return all;
  };
  CHECK(signs({1e-7, 1e-6, 1e-5, 1e-4, 1e-3, 1e-2, 1e-1, 1}) == "▁▂▃▄▅▆▇█");
  CHECK(signs({1, 0, 1e-8, std::nan(""), -1, std::numeric_limits<double>::infinity()}) == "█·▁×█×");
  CHECK(signs({0, 0}) == "··");
  CHECK(signs({3, 3, 3}) == "▅▅▅");
  CHECK(signs({}).empty());
  // Of more than fit, neighbours share a sign, and one that is not finite is not lost among them.
  std::vector<double> many(1000, 2.0);
  many[500] = std::nan("");
  CHECK(find_all(curve(many, style), ">([^<]+)</FONT>").size() == 48);
  CHECK(times(signs(many), "×") == 1);
}

TEST_CASE("zero, not finite, not needed and not computed look different on a card") {
  const Style style = style_of(Net(2, 0.5, false).watched(), {});
  using State = Gradient::State;
  const std::string some = chip_row("3", "g", {State::known, 0.5}, style);
  const std::string zero = chip_row("3", "g", {State::known, 0}, style);
  const std::string broken = chip_row("3", "g", {State::known, std::nan("")}, style);
  const std::string unneeded = chip_row("", "g", {State::unneeded, no_number}, style);
  const std::string unknown = chip_row("3", "g", {}, style);
  CHECK(std::set<std::string>{some, zero, broken, unneeded, unknown}.size() == 5);
  CHECK(has(zero, "g <B>0</B>"));
  CHECK(has(broken, "g <B>NaN</B>"));
  CHECK(has(unneeded, ">no gradient<"));
  CHECK(has(unknown, "DASHED"));
  CHECK(has(unknown, ">g –<"));
  CHECK(chip_row("", "g", {}, style).empty());
}

TEST_CASE("what several cards share stands below with what each of them sent, and the sum") {
  const Parameter w = parameter({6, 6}, 0.5, 1, "tied.weight");
  Graph graph;
  graph.observe();
  Tensor h = numbers({4, 6}, 1, 2);
  for (const char* const name : {"first", "second", "third"}) {
    const Scope scope(name, "Tied");
    h = tanh(matmul(h, w) + 0.5);
  }
  mean(square(h)).backward();
  const std::string text = dot(graph, {.depth = 1});
  CHECK(has(text, "shared parameters: one gradient from each card, and their sum"));
  CHECK(has(text, "<B>tied.weight</B>"));
  CHECK(has(text, "∇ " + number(rms(w.grad()))));
  std::int64_t uses = 0;
  for (const Node& node : graph.nodes()) {
    if (node.op != "matmul") continue;
    ++uses;
    CHECK(
        has(text, ">" + number(rms(matmul(transpose(graph.nodes()[node.inputs[0] - 1].value), node.gradient))) + "<"));
  }
  CHECK(uses == 3);
  check_layout(text);
}

TEST_CASE("many constants of one card stand as one") {
  Graph graph;
  graph.observe();
  const Layer head("head", 6, 1, 3);
  Tensor sum = numbers({4, 6}, 1, 0);
  for (int i = 1; i < 30; ++i) {
    const Scope scope("mix", "Mix");
    sum = sum + numbers({4, 6}, 1, i);
  }
  mean(square(head(sum))).backward();
  const std::string text = dot(graph, {.depth = 1});
  CHECK(times(text, "class=\"leaf\"") <= 4);
  check_layout(text);
}

TEST_CASE("without numbers a strip shows what is folded, and how much") {
  const Net net(3, 0.5, false);
  Graph graph;
  const Tensor loss = mean(square(net(numbers({16, 6}, 1, 9))));
  const std::string text = dot(graph, {.depth = 1});
  CHECK(has(text, ">2 ops · 56 parameters<"));
  CHECK(!has(text, "dir=both"));
  CHECK(has(text, "\n  loss [class=\"loss\""));
  check_layout(text);
}

TEST_CASE("an empty graph, a leaf alone and an op alone are strips") {
  for (const int ops : {-1, 0, 1}) {
    Graph graph;
    if (ops >= 0) {
      const Scalar x = graph.variable(2.0, "x");
      if (ops > 0) (x * x).backward();
    }
    const std::string text = dot(graph, {.view = View::strip});
    CHECK(has(text, ops > 0 ? "loss" : "nothing was computed"));
    check_layout(text);
    check_layout(dot({{"one", "", trace(graph)}, {"two", "", trace(graph)}}));
  }
}

TEST_CASE("any graph can be drawn as a strip") {
  for (unsigned seed = 0; seed < 40; ++seed) {
    std::minstd_rand random(seed + 1);
    const auto below = [&](std::size_t n) { return static_cast<std::size_t>(random() % n); };
    const std::array<std::string, 5> names{"a", "b", "c.d", "c.e", "<f>&\"|{}\\"};
    const std::vector<Parameter> weights{parameter({4, 4}, 0.5, 1, "w"), parameter({4, 4}, 0.5, 2, "")};
    Graph graph;
    if (seed % 4 != 0) graph.observe();
    std::vector<Tensor> values{numbers({4, 4}, 1, 1), graph.variable(numbers({4, 4}, 1, 2), "v")};
    for (std::size_t i = 0, n = 1 + below(seed % 2 == 0 ? 12 : 60); i < n; ++i) {
      const Scope scope(names[below(names.size())], "Kind(4 -> 4)");
      const auto any = [&]() -> const Tensor& {
        return values[values.size() - 1 - below(std::min<std::size_t>(values.size(), 5))];
      };
      for (std::size_t k = below(4) + 1; k-- > 0;) {
        const std::size_t kind = below(4);
        if (kind == 0) values.push_back(relu(any()));
        else if (kind == 1) values.push_back(any() * any());
        else if (kind == 2) values.push_back(any() + numbers({4, 4}, 1, static_cast<int>(i)));
        else values.push_back(matmul(any(), weights[below(2)]));
      }
    }
    const Tensor loss = mean(values.back() * values[1]);
    if (seed % 3 != 0) loss.backward();
    const int nodes = static_cast<int>(5 + below(60));
    CAPTURE(seed);
    check_layout(dot(graph, {.view = View::strip, .max_nodes = nodes}));
    const Trace taken = trace(graph);
    check_layout(
        dot({{"one", "", taken}, {"<two>", "\\", taken}}, {.depth = seed % 2 == 0 ? 16 : 2, .max_nodes = nodes}));
  }
}
