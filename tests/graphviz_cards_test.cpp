// Pictures as cards: recurrences in columns, scalars from left to right, any graph at all.
#include "draw.h"
#include "graphs.h"

#include <ebb/tools/graphviz/cards_plan.h>
#include <ebb/tools/graphviz/cards_steps.h>
#include <ebb/tools/graphviz/fold.h>

#include <algorithm>
#include <cstdint>
#include <map>
#include <random>
#include <sstream>
#include <set>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

using namespace ebb;
using namespace ebb::graphviz;
using namespace ebb::graphs;

namespace {

// An LSTM cell written with single ops.
struct Cell {
  std::string path = "lstm", kind = "LSTM(3 -> 4)";
  Parameter wx = parameter({3, 16}, 0.5, 1, "lstm.Wx"), wh = parameter({4, 16}, 0.5, 2, "lstm.Wh"),
            b = parameter({16}, 0.25, 3, "lstm.b");
  std::pair<Tensor, Tensor> operator()(const Tensor& x, const Tensor& h, const Tensor& c) const {
    const Scope scope(path, kind);
    const Tensor from_x = matmul(x, wx), from_h = matmul(h, wh);  // in this order, whatever the compiler
    const Tensor both = from_x + from_h, z = both + b;
    const Tensor i = sigmoid(slice(z, 0, 4, 1)), f = sigmoid(slice(z, 4, 8, 1));
    const Tensor g = tanh(slice(z, 8, 12, 1)), o = sigmoid(slice(z, 12, 16, 1));
    const Tensor kept = f * c, added = i * g;
    const Tensor next = kept + added;
    return {o * tanh(next), next};
  }
};

Tensor lstm_loss(const Cell& cell, const Layer& head, int steps) {
  Tensor h = zeros({8, 4}), c = zeros({8, 4});
  for (int t = 0; t < steps; ++t) std::tie(h, c) = cell(numbers({8, 3}, 1, t + 4), h, c);
  return bce_with_logits(head(h), ones({8, 1}));
}

Trace lstm_trace(const Cell& cell, int steps) {
  const Layer head("head", 4, 1, 9);
  Graph graph;
  graph.observe();
  lstm_loss(cell, head, steps).backward();
  return trace(graph);
}

// micrograd's own example.
struct Micrograd {
  Graph graph;
  Scalar a, b, g;
  Micrograd() {
    graph.observe();
    a = graph.variable(-4.0, "a"), b = graph.variable(2.0, "b");
    const Scalar product = a * b, cube = pow(b, 3);  // in this order, whatever the compiler
    Scalar c = a + b, d = product + cube;
    c += c + 1;
    const Scalar more = 1 + c, less = -a;
    c += more + less;
    const Scalar twice = d * 2, first = relu(b + a);
    d += twice + first;
    const Scalar thrice = 3 * d, second = relu(b - a);
    d += thrice + second;
    const Scalar e = c - d, f = pow(e, 2);
    g = f / 2.0;
    g += 10.0 / f;
    g.backward();
  }
};

struct Box {
  double x, y, wide, high;
};

// What stands between two marks behind `at`; empty if they do not.
std::string between(const std::string& line, std::size_t at, const std::string& mark, char end) {
  const std::size_t from = line.find(mark, at);
  if (from == std::string::npos) return "";
  const std::size_t begin = from + mark.size();
  return line.substr(begin, line.find(end, begin) - begin);
}

// Of the cards whose place the text gives.  (No regular expression: std::regex recurses for every letter of a line.)
std::map<std::string, Box> boxes(const std::string& text) {
  std::map<std::string, Box> all;
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) {
    const std::size_t begin = line.find_first_not_of(' '), table = line.find("label=<<TABLE WIDTH=\"");
    if (begin == std::string::npos || begin == 0 || (line[begin] != 'n' && line[begin] != 's')) continue;
    const std::string name = line.substr(begin, line.find(' ', begin) - begin), at = between(line, 0, " pos=\"", '"');
    if (table == std::string::npos || at.empty()) continue;
    all[name] = {std::stod(at), -std::stod(at.substr(at.find(',') + 1)), std::stod(between(line, table, "WIDTH=\"", '"')),
                 std::stod(between(line, table, "HEIGHT=\"", '"'))};
  }
  return all;
}

bool overlap(const Box& a, const Box& b) {
  return std::abs(a.x - b.x) < (a.wide + b.wide) / 2 && std::abs(a.y - b.y) < (a.high + b.high) / 2;
}

// dot must lay it out, not only read it.
void check_laid_out(const std::string& text) {
  if (!dot_is_installed()) return;
  const Folder folder;
  Replacement out(folder / "plain.txt");
  CHECK_NOTHROW(run_dot(text, "plain", out));
}

DotOptions as_cards() {
  DotOptions options;
  options.view = View::cards;
  return options;
}

}  // namespace

TEST_CASE("three LSTM steps are drawn as the columns of tests/golden") {
  const Trace steps = lstm_trace(Cell(), 3);
  const std::string text = dot(steps, {.title = "Backpropagation through time: one LSTM cell, three steps"});
  check_golden("lstm_cards.dot", text);
  check_laid_out(text);
}

TEST_CASE("equal ops of all steps stand at one height, and each step as far from the one before") {
  const Trace steps = lstm_trace(Cell(), 4);
  const std::map<std::string, Box> cards = boxes(dot(steps));
  std::vector<std::vector<Box>> by_step;
  std::uint32_t call = 0;
  for (const Record& r : steps.records) {
    if (!r.is_op() || r.scope != "lstm") continue;
    if (r.scope_call != call) by_step.emplace_back();
    call = r.scope_call;
    if (const auto box = cards.find("n" + std::to_string(r.id)); box != cards.end())
      by_step.back().push_back(box->second);
  }
  REQUIRE(by_step.size() == 4);
  CHECK(by_step[0].size() == 13);  // four slices share the cards of their gates
  for (std::size_t step = 1; step < by_step.size(); ++step) {
    REQUIRE(by_step[step].size() == by_step[0].size());
    for (std::size_t i = 0; i < by_step[0].size(); ++i) {
      CHECK(by_step[step][i].y == by_step[0][i].y);
      CHECK(by_step[step][i].x - by_step[step - 1][i].x ==
            doctest::Approx(by_step[step][0].x - by_step[step - 1][0].x).epsilon(0.001));
      CHECK(by_step[step][i].x > by_step[step - 1][i].x + 200);
    }
  }
}

TEST_CASE("a slice shares the card of its gate, which counts both steps and keeps both numbers") {
  const Trace steps = lstm_trace(Cell(), 2);
  const std::string text = dot(steps);
  for (const Record& r : steps.records) {
    if (r.op != "sigmoid") continue;
    const Record& slice = steps[r.operands[0].id];
    REQUIRE(slice.op == "slice");
    CHECK_FALSE(has(text, "\n  n" + std::to_string(slice.id) + " ["));
    const std::string card = statement(text, "n" + std::to_string(r.id));
    CHECK(has(card, "<B>" + std::to_string(r.order) + "–" + std::to_string(slice.order) + "</B>"));
    CHECK(has(card, ">of x["));
    CHECK(has(card, "backward step " + std::to_string(slice.order) + ", "));
    const std::string line = "n" + std::to_string(slice.operands[0].id) + " -> n" + std::to_string(r.id) +
                             " [class=\"flow step" + std::to_string(slice.order);
    CHECK(has(text, line));
  }
}

TEST_CASE("the panel has a number for each step of a shared parameter, and their sum") {
  const Trace steps = lstm_trace(Cell(), 3);
  const std::string text = dot(steps);
  const std::string panel = statement(text, "legend");
  CHECK(has(panel, ">step 1<"));
  CHECK(has(panel, ">step 3<"));
  CHECK_FALSE(has(panel, ">step 4<"));
  for (const Record& leaf : steps.records) {
    if (leaf.kind != Node::Kind::parameter || leaf.users < 2) continue;
    CAPTURE(leaf.name);
    CHECK(has(panel, ">∇ " + number(leaf.gradient.size) + "<"));
    for (const Record& r : steps.records)
      for (const Operand& o : r.operands)
        if (o.id == leaf.id) CHECK(has(panel, ">" + number(o.contribution) + "<"));
  }
}

TEST_CASE("of many uses the panel shows the first and last three, and a curve of all") {
  const std::string text = statement(dot(lstm_trace(Cell(), 12)), "legend");
  CHECK(has(text, ">step 3<"));
  CHECK_FALSE(has(text, ">step 4<"));
  CHECK_FALSE(has(text, ">step 9<"));
  CHECK(has(text, ">step 10<"));
  CHECK(has(text, ">step 12<"));
  CHECK(has(text, ">all 12<"));
}

TEST_CASE("folded steps have a column between those that are open, and the count goes on") {
  const Cell cell;
  const Layer head("head", 4, 1, 9);
  Graph graph;
  graph.observe();
  lstm_loss(cell, head, 40).backward();
  const std::string text = dot(graph);
  check_laid_out(text);
  CHECK(has(text, ">step 2<"));
  CHECK(has(text, "steps 3 – 38"));
  CHECK(has(text, ">step 39<"));
  CHECK(has(text, ">step 40<"));
  const std::map<std::string, Box> cards = boxes(text);
  for (auto one = cards.begin(); one != cards.end(); ++one)
    for (auto other = std::next(one); other != cards.end(); ++other)
      CHECK_FALSE_MESSAGE(overlap(one->second, other->second), one->first, " lies on ", other->first);
}

TEST_CASE("a recurrence is found by what it shares and hands on") {
  const auto steps_of = [](const Trace& t) {
    std::vector<std::uint32_t> ops;
    for (const Record& r : t.records)
      if (r.is_op()) ops.push_back(r.id);
    return find_steps(t, ops);
  };
  const Parameter w = parameter({4, 4}, 0.5, 1, "w"), v = parameter({4, 4}, 0.5, 2, "v");
  Graph graph;
  SUBCASE("the same module again, on its own result") {
    const Layer cell("cell", 4, 4, 1);
    Tensor h = numbers({2, 4}, 1, 1);
    for (int t = 0; t < 3; ++t) h = tanh(cell(h));
    const std::vector<Step> steps = steps_of(trace(graph));
    REQUIRE(steps.size() == 3);
    CHECK(steps[2].ops.size() == 2);
    CHECK(steps[2].number == 3);
  }
  SUBCASE("the same ops again, without any module") {
    Tensor h = numbers({2, 4}, 1, 1);
    for (int t = 0; t < 5; ++t) {
      const Tensor from_h = matmul(h, w), from_x = matmul(numbers({2, 4}, 1, t), v);
      h = relu(from_h + from_x);
    }
    CHECK(steps_of(trace(graph)).size() == 5);
  }
  SUBCASE("a first step that has no state") {
    Tensor h = tanh(matmul(numbers({2, 4}, 1, 1), v));
    for (int t = 0; t < 3; ++t) {
      const Tensor from_x = matmul(numbers({2, 4}, 1, t), v), from_h = matmul(h, w);
      h = tanh(from_x + from_h);
    }
    const std::vector<Step> steps = steps_of(trace(graph));
    CHECK(steps.size() == 4);
    CHECK(steps.front().ops.size() == 2);
  }
  SUBCASE("not layers of a stack, which share nothing") {
    const Layer one("0", 4, 4, 1), two("1", 4, 4, 2), three("2", 4, 4, 3);
    tanh(three(tanh(two(tanh(one(numbers({2, 4}, 1, 1)))))));
    CHECK(steps_of(trace(graph)).empty());
  }
  SUBCASE("not one module on two inputs, which hands nothing on") {
    const Layer twin("twin", 4, 4, 1);
    const Tensor a = tanh(twin(numbers({2, 4}, 1, 1))), b = tanh(twin(numbers({2, 4}, 1, 2)));
    sum(a - b);
    CHECK(steps_of(trace(graph)).empty());
  }
}

TEST_CASE("recurrences of every shape are drawn without a card on another") {
  int with_columns = 0;
  for (std::uint64_t seed = 0; seed < 60; ++seed) {
    CAPTURE(seed);
    std::mt19937_64 bits(seed);
    const auto below = [&](int n) { return static_cast<int>(bits() % static_cast<std::uint64_t>(n)); };
    std::vector<Parameter> weights;
    for (int i = 0; i < 3; ++i) weights.push_back(parameter({4, 4}, 0.5, i, ("w" + std::to_string(i)).c_str()));
    const int ops = 1 + below(9), steps = 2 + below(5), modules = below(3);
    std::vector<int> choices;
    for (int i = 0; i < 4 * ops; ++i) choices.push_back(below(1000));
    const std::string inner = "cell.inner", outer = "cell", kind = "Cell";
    Graph graph;
    graph.observe();
    std::vector<Tensor> early{numbers({2, 4}, 1, 1)}, collected;
    for (int i = below(3); i > 0; --i) early.push_back(tanh(matmul(early.back(), weights[0])));
    Tensor state = zeros({2, 4}), other = zeros({2, 4});
    for (int t = 0; t < steps; ++t) {
      std::vector<Tensor> made{state, other, early.back(), numbers({2, 4}, 1, t)};
      for (int i = 0; i < ops; ++i) {
        const auto pick = [&](int n) { return choices[static_cast<std::size_t>(4 * i + n)]; };
        const auto value = [&](int n) { return made[static_cast<std::size_t>(pick(n)) % made.size()]; };
        const Scope scope(modules == 0 ? outer : i % 3 == 0 ? inner : outer, kind);
        switch (pick(0) % 4) {
          case 0:
            made.push_back(matmul(value(1), weights[static_cast<std::size_t>(pick(2)) % 3]));
            break;
          case 1:
            made.push_back(value(1) * value(2));
            break;
          case 2:
            made.push_back(sigmoid(value(1)));
            break;
          default:
            made.push_back(value(1) + value(2));
        }
      }
      const Tensor before = state;
      state = made.back() + matmul(state, weights[1]);
      other = modules == 2 ? before : made[made.size() / 2] * other;
      if (below(2) == 0) collected.push_back(state);
    }
    collected.push_back(other);
    Tensor loss = sum(square(state));
    for (const Tensor& t : collected) loss = loss + mean(t * t);
    loss.backward();
    const Trace t = trace(graph);
    const std::string text = dot(t, as_cards());
    if (seed % 4 == 0) check_laid_out(text);
    CHECK(dot(t, as_cards()) == text);
    const Cards plan = plan_cards(t, 16, true);
    if (plan.columns.empty()) continue;
    ++with_columns;
    CHECK(has(text, "layout=nop2"));
    const std::map<std::string, Box> cards = boxes(text);
    for (const Record& r : t.records) CHECK(cards.contains("n" + std::to_string(r.id)) == !plan.stubs.contains(r.id));
    for (auto one = cards.begin(); one != cards.end(); ++one)
      for (auto next = std::next(one); next != cards.end(); ++next)
        CHECK_FALSE_MESSAGE(overlap(one->second, next->second), one->first, " lies on ", next->first);
  }
  CHECK(with_columns > 40);
}

TEST_CASE("a recurrence is drawn whatever is known of it, and whatever its names are") {
  const Layer head("head", 4, 1, 9);
  SUBCASE("nothing but shapes") {
    Graph graph;
    lstm_loss(Cell(), head, 3);
    check_laid_out(dot(graph));
  }
  SUBCASE("values without gradients") {
    Graph graph;
    graph.observe();
    lstm_loss(Cell(), head, 3);
    check_laid_out(dot(graph));
  }
  SUBCASE("times") {
    DotOptions options;
    options.color = Color::time;
    check_laid_out(dot(lstm_trace(Cell(), 3), options));
  }
  SUBCASE("names that mean something to dot") {
    for (const char* name :
         {"a<b>&\"|{}\\", "\\N\\G\\", "</TABLE>", "Ünïcödé 层 🙂", "\xff\xfe broken \xc3", "tab\tline\n", " "}) {
      Cell cell;
      cell.path = cell.kind = name;
      for (Parameter* p : {&cell.wx, &cell.wh, &cell.b}) p->rename(name);
      const std::string text = dot(lstm_trace(cell, 3));
      CHECK(has(text, "layout=nop2"));
      check_laid_out(text);
    }
  }
}

TEST_CASE("random programs are laid out by dot") {
  if (!dot_is_installed()) return;
  for (std::uint64_t seed = 0; seed < 40; ++seed) {
    CAPTURE(seed);
    programs::Draw draw(seed);
    const programs::Program program = draw.program();
    Graph graph;
    graph.observe();
    programs::Run run(graph, program);
    run.swept();
    DotOptions options = as_cards();
    options.max_nodes = 150;
    check_laid_out(dot(graph, options));
  }
}

TEST_CASE(
    "micrograd's example is drawn from left to right as in tests/golden, with all the digits that micrograd prints") {
  const Micrograd example;
  const std::string text = dot(example.graph, {.title = "micrograd's example"});
  check_golden("micrograd.dot", text);
  check_laid_out(text);
  CHECK(has(text, "rankdir=LR"));
  CHECK(has(text, "<B>24.7041</B>"));
  CHECK(has(text, "grad <B>138.8338</B>"));
  CHECK(has(text, "grad <B>645.5773</B>"));
  CHECK(has(text, "<B>+</B></FONT> <FONT POINT-SIZE=\"12\">1</FONT>"));  // the plain number of c + 1
}

TEST_CASE("the view of scalars is for scalars") {
  Graph graph;
  const Tensor x = graph.variable(numbers({3}, 1, 1), "x");
  sum(exp(x));
  DotOptions scalar;
  scalar.view = View::scalar;
  CHECK_THROWS_WITH_AS(dot(graph, scalar),
                       "graphviz: the graph is not of scalars: node 2 (exp) computes a tensor\n"
                       "  help: View::cards draws any graph",
                       UsageError);
}

TEST_CASE("scalars have four decimals, or an exponent") {
  CHECK(scalar_number(24.70408163) == "24.7041");
  CHECK(scalar_number(-4) == "−4");
  CHECK(scalar_number(0.5) == "0.5");
  CHECK(scalar_number(0) == "0");
  CHECK(scalar_number(-0.0) == "0");
  CHECK(scalar_number(99999.99999) == "100000");
  CHECK(scalar_number(1e5) == "1.0e5");
  CHECK(scalar_number(0.00012) == "1.2e-4");
}

TEST_CASE("what gradient() recorded is marked, and is no step of a recurrence") {
  const Layer first("a", 3, 8, 1), second("b", 8, 1, 2);
  Graph graph;
  graph.observe();
  const Tensor x = graph.variable(numbers({4, 3}, 1, 1), "x");
  mean(square(graph.gradient(sum(second(tanh(first(x)))), x))).backward();
  const std::string text = dot(graph, as_cards());
  check_laid_out(text);
  CHECK(has(text, "<B>∂ matmul</B>"));
  CHECK(has(text, " recorded\""));
  CHECK_FALSE(has(text, ">step 1<"));
}
