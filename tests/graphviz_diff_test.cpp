// Two traces as one, and traces as tables.
#include "graphs.h"

#include <algorithm>
#include <limits>
#include <set>

namespace {

using namespace ebb;
using namespace ebb::graphs;

constexpr double infinity = std::numeric_limits<double>::infinity();

// A chain of layers; `scale` is what the loss is multiplied by, and `at` a relu more, behind that layer.
Trace chain(int layers, double scale = 1, int at = -1) {
  std::vector<Layer> all;
  for (int i = 0; i < layers; ++i) all.emplace_back(std::to_string(i), 4, 4, i);
  Graph graph;
  graph.observe();
  Tensor h = numbers({8, 4}, 1, 9);
  for (int i = 0; i < layers; ++i) {
    h = all[static_cast<std::size_t>(i)](h);
    if (i == at)
      h = activation(
          "more", "ReLU", [](const Tensor& t) { return relu(t); }, h);
  }
  (mean(square(h)) * scale).backward();
  return trace(graph);
}

// Ops by their kind, leaves by their name, sorted: compilers differ in which operand of a call they record first.
std::string with_change(const Trace& trace, Change change) {
  std::multiset<std::string_view> all;
  for (const Record& r : trace.records)
    if (r.change == change) all.insert(r.is_op() ? r.op : r.name);
  std::string text;
  for (const std::string_view name : all) text += (text.empty() ? "" : " ") + std::string(name);
  return text;
}

const Record& op(const Trace& trace, std::string_view module) {
  for (const Record& r : trace.records)
    if (r.is_op() && r.scope == module) return r;
  FAIL("no op in ", module);
  return trace.records.front();
}

// Ids rise, and operands come before who uses them.
void check_order(const Trace& trace) {
  for (std::size_t i = 0; i < trace.records.size(); ++i) {
    REQUIRE(trace.records[i].id == i + 1);
    for (const Operand& o : trace.records[i].operands) CHECK(o.id < trace.records[i].id);
  }
}

TEST_CASE("a trace compared with itself has the same layout, and every gradient is once what it was") {
  const Trace one = chain(3);
  const Trace both = diff(one, one);
  CHECK(both.compared);
  REQUIRE(both.records.size() == one.records.size());
  for (std::size_t i = 0; i < both.records.size(); ++i) {
    const Record &r = both.records[i], &was = one.records[i];
    CHECK(r.id == was.id);
    CHECK(r.change == Change::none);
    CHECK(r.gradient.state == was.gradient.state);
    if (r.gradient.state == Gradient::State::known) CHECK(r.gradient.size == 1);
    REQUIRE(r.operands.size() == was.operands.size());
    for (std::size_t k = 0; k < r.operands.size(); ++k)
      CHECK((r.operands[k].contribution == 1 || std::isnan(was.operands[k].contribution)));
  }
}

TEST_CASE("sizes of gradients in a comparison are after divided by before") {
  const Trace both = diff(chain(3), chain(3, -4));
  for (const Record& r : both.records) {
    if (r.gradient.state != Gradient::State::known || r.scope.empty()) continue;
    CHECK(r.gradient.size == doctest::Approx(4));
    for (const Operand& o : r.operands)
      if (!std::isnan(o.contribution)) CHECK(o.contribution == doctest::Approx(4));
  }
}

TEST_CASE("an op more shifts no other, and is marked as added") {
  const Trace before = chain(4), after = chain(4, 1, 1), both = diff(before, after);
  CHECK(with_change(both, Change::added) == "relu");
  CHECK(with_change(both, Change::removed).empty());
  CHECK(op(both, "more").gradient.state == Gradient::State::unknown);
  for (const char* module : {"0", "1", "2", "3"}) {
    const double ratio = op(after, module).gradient.size / op(before, module).gradient.size;
    CHECK(op(both, module).gradient.size == doctest::Approx(ratio));
  }
  check_order(both);
}

TEST_CASE("an op that is gone stands where it was, with lines to who used it") {
  const Trace both = diff(chain(4, 1, 1), chain(4));
  CHECK(with_change(both, Change::removed) == "relu");
  CHECK(with_change(both, Change::added).empty());
  const Record &gone = op(both, "more"), &before = op(both, "1"), &behind = op(both, "2");
  CHECK(gone.order == 0);
  CHECK(gone.operands[0].id == before.id);
  CHECK(gone.id > before.id);
  CHECK(gone.id < behind.id);
  CHECK(behind.operands.front().id == before.id);
  CHECK(behind.operands.back().id == gone.id);
  CHECK(gone.users == 1);
  CHECK(both.ops == 8);
  check_order(both);
  check_drawable(dot(both));
}

TEST_CASE("a layer that is gone goes with its parameters") {
  const Trace both = diff(chain(4), chain(3));
  CHECK(with_change(both, Change::removed) == "3.bias 3.weight affine");
  check_order(both);
  check_drawable(dot(both));
}

TEST_CASE("the third call of a module is compared with the third") {
  const auto steps = [](int n) {
    const Layer cell("cell", 4, 4, 1);
    Graph graph;
    graph.observe();
    Tensor h = numbers({2, 4}, 1, 2);
    for (int i = 0; i < n; ++i) h = cell(h);
    mean(square(h)).backward();
    return trace(graph);
  };
  const Trace three = steps(3), five = steps(5), both = diff(three, five);
  CHECK(with_change(both, Change::added) == "affine affine");
  std::vector<double> ratios, sizes_before, sizes_after;
  for (const Record& r : both.records)
    if (r.scope == "cell" && r.is_op() && r.change == Change::none) ratios.push_back(r.gradient.size);
  for (const Record& r : three.records)
    if (r.scope == "cell" && r.is_op()) sizes_before.push_back(r.gradient.size);
  for (const Record& r : five.records)
    if (r.scope == "cell" && r.is_op()) sizes_after.push_back(r.gradient.size);
  REQUIRE(ratios.size() == 3);
  for (std::size_t i = 0; i < 3; ++i) CHECK(ratios[i] == doctest::Approx(sizes_after[i] / sizes_before[i]));
}

TEST_CASE("zero over zero is 1, and what was zero is infinitely larger") {
  const auto product = [](double factor) {
    Graph graph;
    graph.observe();
    const Scalar a = graph.variable(2.0, "a");
    (a * factor).backward();
    return trace(graph);
  };
  CHECK(diff(product(0), product(0)).records.front().gradient.size == 1);
  CHECK(diff(product(0), product(3)).records.front().gradient.size == infinity);
  CHECK(diff(product(3), product(0)).records.front().gradient.size == 0);
  CHECK(diff(product(-2), product(1)).records.front().gradient.size == 0.5);
}

TEST_CASE("modules in another order are compared, each with itself") {
  const auto in_order = [](bool turned) {
    const Layer a("a", 4, 4, 1), b("b", 4, 4, 2), gone("gone", 4, 4, 3);
    Graph graph;
    graph.observe();
    const Tensor x = graph.variable(numbers({2, 4}, 1, 2), "x");
    mean(turned ? a(b(x)) : b(gone(a(x)))).backward();
    return trace(graph);
  };
  const Trace both = diff(in_order(false), in_order(true));
  CHECK(with_change(both, Change::added).empty());
  CHECK(with_change(both, Change::removed) == "affine gone.bias gone.weight");
  check_order(both);
  check_drawable(dot(both));
}

TEST_CASE("traces that have nothing in common are compared, and each stays whole") {
  const Trace before = chain(2);
  Graph graph;
  graph.observe();
  const Scalar a = graph.variable(2.0, "a");
  exp(a).backward();
  const Trace both = diff(before, trace(graph));
  CHECK(both.records.size() == before.records.size() + 2);
  CHECK(with_change(both, Change::added) == "a exp");
  check_order(both);
  check_drawable(dot(both));
  CHECK(diff(Trace(), Trace()).records.empty());
}

TEST_CASE("a comparison survives a file") {
  const Folder folder;
  const Trace both = diff(chain(4, 1, 1), chain(4));
  save(both, folder / "diff.json");
  const Trace again = load(folder / "diff.json");
  CHECK(again.compared);
  CHECK(with_change(again, Change::removed) == "relu");
  CHECK(dot(again) == dot(both));
}

TEST_CASE("thousands of ops in one place are compared at once") {
  const auto sums = [](int n, bool odd) {
    Graph graph;
    const Scalar a = graph.variable(1.0, "a");
    Scalar s = a;
    for (int i = 0; i < n; ++i) s = odd && i % 100 == 0 ? s * a : s + a;
    s.backward();
    return trace(graph);
  };
  const Trace both = diff(sums(20'000, false), sums(20'000, true));
  CHECK(with_change(both, Change::added).size() < 40'000);
  check_order(both);
}

// ---- tables ---------------------------------------------------------------------------------------------------------

std::vector<std::string> lines(const std::string& text) {
  std::vector<std::string> all;
  std::istringstream in(text);
  for (std::string line; std::getline(in, line);) all.push_back(line);
  return all;
}

TEST_CASE("a table is sorted by gradient, the largest first, and what needs none is last") {
  const Mlp model;
  Graph graph;
  graph.observe();
  model.loss().backward();
  const std::vector<std::string> rows = lines(text(graph));
  REQUIRE(rows.size() == 5 + 13);
  CHECK(rows[1] == "7 ops · 129 parameters · 6 backward steps");
  CHECK(rows[2] == "by gradient (root mean square), the largest first: what vanishes is at the end");
  CHECK(has(rows[5], "      1                       bce_with_logits  scalar"));
  CHECK(rows.back() ==
        "        5                     sigmoid          32×1            0.434         –          none needed");
  check_golden("mlp_table.txt", text(graph));
}

TEST_CASE("a table holds the numbers of the tensors") {
  const Mlp model;
  Graph graph;
  graph.observe();
  model.loss().backward();
  const std::vector<std::string> rows = lines(text(graph));
  for (const Parameter* p : {&model.first.weight, &model.second.weight, &model.third.bias}) {
    const auto row =
        std::find_if(rows.begin(), rows.end(), [&](const std::string& line) { return has(line, p->name() + " "); });
    REQUIRE(row != rows.end());
    const double size = rms(p->value()), gradient = rms(p->grad());
    CHECK(has(*row, " " + number(p->value().size() == 1 ? p->value().to(f64).to_vector<double>()[0] : size) + " "));
    CHECK(has(*row, " " + number(gradient) + " "));
    CHECK(has(*row, " " + number(gradient / size) + " "));
  }
}

TEST_CASE("no row of a table is wider than 100 columns, whatever the names are") {
  for (const std::string& name : {std::string(10'000, 'x'), std::string("層層層層層層層層層層層層層層層層層層"),
                                  std::string("\x1b[31m\n\t\xff"), std::string("e\u0301e\u0301")}) {
    Graph graph;
    graph.observe();
    const Scope scope(name, name);
    const Scalar a = graph.variable(-1e-300, name);
    (a * a * 1e308).backward();
    for (const std::string& line : lines(text(graph, {.title = name, .subtitle = name}))) {
      CHECK(columns(line) <= 100);
      CHECK(line.find('\x1b') == std::string::npos);
    }
  }
}

TEST_CASE("a table says what is exactly 0, not finite, and not computed") {
  Graph graph;
  graph.observe();
  const Scalar a = graph.variable(0.0, "a"), b = graph.variable(1.0, "b"), c = graph.variable(2.0, "c");
  (log(a) + b * 0.0).backward();
  static_cast<void>(c * 2.0);
  const std::string all = text(graph);
  const std::vector<std::string> rows = lines(all);
  CHECK(has(rows[5], "a                     variable         scalar              0         ∞          not finite!"));
  CHECK(has(all, "b                     variable         scalar              1         0          exactly 0"));
  CHECK(has(all, "c                     variable         scalar              2         –          none needed"));
}

TEST_CASE("a graph without gradients is a table in the order of computing, which says what is missing") {
  Graph graph;
  const Scalar a = graph.variable(1.0, "a");
  static_cast<void>(exp(a) + a);
  const std::vector<std::string> rows = lines(text(graph));
  CHECK(rows[1] == "2 ops · no numbers: graph.observe() before the forward pass keeps them");
  CHECK(rows[2] == "in the order of computing");
  REQUIRE(rows.size() == 8);
  CHECK(has(rows[6], "exp"));
  CHECK(has(rows[7], "add"));
}

TEST_CASE("a table by memory begins with the largest") {
  const Mlp model;
  Graph graph;
  graph.observe();
  model.loss().backward();
  DotOptions options;
  options.color = Color::memory;
  const std::vector<std::string> rows = lines(text(graph, options));
  CHECK(rows[2] == "by memory, of values and of what backward keeps, the largest first");
  CHECK(has(rows[5], "affine           32×8"));
  CHECK(has(rows[5], "2.25 KiB"));
}

TEST_CASE("a table by times that a trace does not hold is refused") {
  const Folder folder;
  save(chain(1), folder / "t.json");
  DotOptions options;
  options.color = Color::time;
  CHECK_THROWS_WITH_AS(
      static_cast<void>(text(load(folder / "t.json"), options)),
      "graphviz: the trace holds no times\n  help: graphviz::save(graph, file, {.times = true}) keeps them",
      UsageError);
}

TEST_CASE("a comparison is a table of multiples") {
  const std::string all = text(diff(chain(4, 1, 1), chain(4, 2)));
  CHECK(has(all, "Gradients, as multiples of what they were"));
  CHECK(has(all, "more                  − relu"));
  CHECK(has(all, "removed"));
  CHECK(has(all, "×"));
}

}  // namespace
