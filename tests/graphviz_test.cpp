// Pictures.  The texts of three are kept in tests/golden; EBB_UPDATE_GOLDEN=1 in the environment writes them anew.
#include "graphs.h"

#include <chrono>
#include <filesystem>
#include <limits>
#include <regex>
#include <string>
#include <vector>

using namespace ebb;
using namespace ebb::graphviz;
using namespace ebb::graphs;

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
  CHECK(has(text, "<B>÷</B></FONT> <FONT POINT-SIZE=\"12\">2</FONT>"));  // the plain number
  CHECK(has(text, "tooltip=\"w1, value -3, gradient 1\""));
  CHECK(has(text, "tooltip=\"w2, value 1, gradient 0\""));
}

TEST_CASE("each use of a scalar shows the gradient that it sends, not their sum") {
  Graph graph;
  graph.observe();
  const Scalar x = graph.variable(2.0, "x");
  (x * 5 + x).backward();
  const std::string text = dot(graph);
  CHECK(has(text, "tooltip=\"x, value 2, gradient 6, the sum of 2\""));
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
    const std::vector<std::int64_t> three{3};
    x.id = 1, x.kind = Node::Kind::variable, x.shape = trace.keep(three), x.name = "x", x.wants_gradient = true, x.users = 1;
    op.id = 2, op.op = "relu", op.rule = "∇x = g", op.shape = x.shape, op.wants_gradient = true, op.gradient = gradient;
    Operand operand;
    operand.id = 1;
    op.operands = trace.keep(std::vector{operand});
    trace.records = {x, op};
    DotOptions cards;
    cards.view = View::cards;
    return statement(write(trace, cards), "n2");
  };
  const std::string zero = card({Gradient::State::known, 0}), broken = card({Gradient::State::known, nan});
  const std::string unneeded = card({Gradient::State::unneeded, nan}), unknown = card({Gradient::State::unknown, nan});
  CHECK(has(zero, "g <B>0</B>"));
  CHECK(has(zero, "BGCOLOR=\"#fdfdfd\" STYLE=\"ROUNDED\" CELLBORDER=\"0\" CELLSPACING=\"0\" CELLPADDING=\"1\""));
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
    options.view = View::cards;
    const std::string text = dot(graph, options);
    return times(text, "subgraph cluster_") - times(text, "subgraph cluster_page");
  };
  CHECK(bands_at(0) == 0);
  CHECK(bands_at(1) == 0);   // net is a card
  CHECK(bands_at(2) == 1);   // net.block and net.head are, inside of net
  CHECK(bands_at(3) == 3);   // they are open
  CHECK(bands_at(16) == 5);  // net.block.dense and net.block.out inside of that
  CHECK(has(words(dot(graph)), "<net.block.dense  (4 → 4)>"));
}

TEST_CASE("an activation layer shares the band of the layer before it") {
  const Mlp model;
  Graph graph;
  model.loss();
  const std::string text = dot(graph);
  CHECK(times(text, "subgraph cluster_") == 3);
  CHECK(has(words(text), "<0  Dense(10 → 8)  ·  1  ReLU>"));
}

TEST_CASE("the calls of one module are told apart") {
  const Layer cell("cell", 4, 4, 1);
  Graph graph;
  const Tensor x = numbers({2, 4}, 1, 1);
  const Tensor twice = cell(tanh(cell(x)));
  sum(cell(x) * twice);
  const std::string text = dot(graph);
  CHECK(has(words(text), "<cell  Dense(4 → 4)  call 1>"));
  CHECK(has(words(text), "<cell  Dense(4 → 4)  call 3>"));
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
  CHECK(shape_text(std::vector<std::int64_t>{32, 64}) == "32×64");
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
  CHECK_THROWS_WITH_AS(render(graph, "flow.htm"),
                       "graphviz::render(\"flow.htm\"): unknown extension .htm; .dot, .svg, .png, .pdf, .html and .json are "
                       "known",
                       UsageError);
  CHECK_THROWS_WITH_AS(render(graph, "flow"),
                       "graphviz::render(\"flow\"): the file has no extension; .dot, .svg, .png, .pdf, .html and .json are "
                       "known",
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
    CHECK_THROWS_WITH_AS(render(graph, folder / "flow.svg"), "graphviz: dot was ended by signal 6\n  help: another view or depth may do", IoError);
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
