// Every number that is printed in a picture is that of a tensor, and none stands there that says something else.
#include "truth_picture.h"
#include "truth_programs.h"

#include <memory>
#include <utility>

using namespace ebb;
using namespace ebb::graphviz;
using namespace ebb::graphs;
using truth::Program;
using truth::programs;

namespace {

// How often numbers were explained.
std::size_t check_picture(const Graph& graph, const DotOptions& options) {
  const std::vector<Node> nodes = graph.nodes();
  truth::Picture picture(nodes, dot(graph, options), options);
  const std::string wrong = picture.what_is_wrong();
  CHECK_MESSAGE(wrong.empty(), wrong);
  return picture.numbers;
}

}  // namespace

TEST_CASE("every number in a picture is that of a tensor") {
  std::vector<DotOptions> looks;
  for (const int most : {400, 30, 12, 5}) {
    looks.push_back({.max_nodes = most});
    looks.push_back({.view = View::cards, .max_nodes = most});
    looks.push_back({.view = View::strip, .max_nodes = most});
  }
  looks.push_back({.depth = 1});
  for (const Program& program : programs()) {
    Graph graph;
    graph.observe();
    program.loss(graph).backward();
    for (const DotOptions& options : looks) {
      if (graph.size() > 400 && options.max_nodes == 400) continue;
      // Of what is folded in a recorded lane the picture does not tell which ops it is.
      if (program.name == "second derivative" && options.view == View::automatic && options.max_nodes < 400) continue;
      CAPTURE(program.name);
      CAPTURE(options.max_nodes);
      CAPTURE(static_cast<int>(options.view));
      CHECK(check_picture(graph, options) > 20);
    }
  }
}

TEST_CASE("every number of a graph of scalars is that of a node") {
  Graph graph;
  graph.observe();
  truth::micrograd(graph).backward();
  for (const View view : {View::scalar, View::cards, View::strip}) CHECK(check_picture(graph, {.view = view}) > 100);
}

TEST_CASE("each of many uses of a scalar says with its sign what it sends") {
  Graph graph;
  graph.observe();
  const Scalar x = graph.variable(0.5, "x");
  Scalar y = x;
  for (int i = 0; i < 12; ++i) y = i % 2 == 0 ? y * x - 0.25 : x / (y - 2.0);
  y.backward();
  const std::string text = dot(graph);
  CHECK(times(text, "class=\"stub") == 13);
  CHECK(has(text, ">−0."));
  CHECK(check_picture(graph, {}) > 100);
}

TEST_CASE("every number of a graph of both lanes is that of a node") {
  Graph graph;
  graph.observe();
  const Tensor x = graph.variable(numbers({4}, 1, 5), "x");
  const Scalar a = x(1) * x(2), b = tanh(a - x(3));
  const Tensor loss = sum(square(stack({a, b, a * b}, f32)) * 2.0) + mean(x);
  loss.backward();
  CHECK(check_picture(graph, {.view = View::cards}) > 50);
}

TEST_CASE("every value, time and size in bytes that a picture measures is that of its node") {
  for (const Program& program : programs()) {
    if (program.name == "fifty steps") continue;
    Graph graph;
    graph.observe();
    program.loss(graph).backward();
    CAPTURE(program.name);
    for (const Color color : {Color::value, Color::time, Color::memory}) {
      CAPTURE(static_cast<int>(color));
      check_picture(graph, {.color = color});
      check_picture(graph, {.view = View::cards, .color = color});
      check_picture(graph, {.depth = 1, .color = color});
    }
  }
}

// ---- tables ---------------------------------------------------------------------------------------------------------

namespace {

// A row of a table, cut at its columns, but for the names and the bar.
std::string columns_of(const std::string& line) {
  std::string text;
  std::size_t column = 0, at = 0;
  for (const auto& [wide, shown] : std::vector<std::pair<std::size_t, bool>>{
           {7, true}, {21, false}, {16, true}, {12, true}, {8, true}, {9, true}, {8, true}}) {
    std::string cell;
    for (const std::size_t end = column + wide; column < end && at < line.size(); ++column) {
      do cell += line[at++];
      while (at < line.size() && (static_cast<unsigned char>(line[at]) & 0xC0) == 0x80);
    }
    ++at, ++column;  // the space between
    const std::size_t begin = std::min(cell.find_first_not_of(' '), cell.size());
    if (shown) text += cell.substr(begin, cell.find_last_not_of(' ') + 1 - begin) + "|";
  }
  return text;
}

// What stands in the row of a card or a leaf.
std::string row_of(const truth::Facts& facts, const truth::Card* card, const Node& n) {
  const std::string kind = n.kind == Node::Kind::parameter  ? "parameter"
                           : n.kind == Node::Kind::variable ? "variable"
                                                            : n.op;
  const auto g = truth::gradient_of(n);
  std::string share;
  if (n.kind == Node::Kind::parameter && g) share = truth::three_digits(*g / std::abs(truth::value_of(n)));
  if (card != nullptr && card->folded) {
    const truth::Parameters p = truth::parameters_of(facts, *card);
    if (p.count > 0) share = truth::three_digits(p.gradient / p.value);
  }
  return (card != nullptr ? facts.steps_words(*card) : "") + "|" +
         (card != nullptr && card->folded ? truth::counted(std::ssize(card->ops), "op") : kind) + "|" +
         truth::shape_words(n.shape) + "|" + truth::three_digits(truth::value_of(n)) + "|" +
         (g ? truth::three_digits(*g) : "–") + "|" + share + "|";
}

}  // namespace

TEST_CASE("every row of a table is that of a node, or of those that are folded") {
  for (const Program& program : programs()) {
    Graph graph;
    graph.observe();
    program.loss(graph).backward();
    CAPTURE(program.name);
    for (const DotOptions& options :
         {DotOptions{.view = View::cards}, DotOptions{.view = View::cards, .max_nodes = 12}}) {
      const std::vector<Node> nodes = graph.nodes();
      truth::Picture picture(nodes, dot(graph, options), options);  // it is folded in the same way
      const truth::Facts& facts = picture.facts();
      std::multiset<std::string> cards, leaves;
      for (const auto& [id, card] : facts.cards) {
        cards.insert(row_of(facts, &card, facts.output(card)));
        if (card.slice == nullptr) continue;
        const truth::Card slice{card.slice->id, {card.slice}, nullptr, false};
        cards.insert(row_of(facts, &slice, *card.slice));
      }
      for (const Node& n : nodes)
        if (n.kind == Node::Kind::parameter || n.kind == Node::Kind::variable) leaves.insert(row_of(facts, nullptr, n));
      std::istringstream lines(text(graph, options));
      bool in_rows = false;
      for (std::string line; std::getline(lines, line);) {
        const std::string row = columns_of(line);
        if (!std::exchange(in_rows, in_rows || row.starts_with("step|op|"))) continue;
        const auto card = cards.find(row), leaf = leaves.find(row);
        CHECK_MESSAGE((card != cards.end() || leaf != leaves.end()), row);
        if (card != cards.end()) cards.erase(card);
        else if (leaf != leaves.end()) leaves.erase(leaf);
      }
      const std::string missing = cards.empty() ? "" : *cards.begin();
      CHECK_MESSAGE(cards.empty(), missing);
      const bool all_open =
          std::none_of(facts.cards.begin(), facts.cards.end(), [](const auto& card) { return card.second.folded; });
      CHECK((leaves.empty() || !all_open));
    }
  }
}

// ---- what is behind the numbers -----------------------------------------------------------------------------------

TEST_CASE("what the uses of a shared parameter send adds up to its gradient") {
  const truth::Net net = truth::cell(f64);
  Graph graph;
  graph.observe();
  truth::recurrent(net, 3).backward();
  const std::vector<Node> nodes = graph.nodes();
  for (const Parameter& p : *net) {
    CAPTURE(p.name());
    const std::vector<double> gradient = p.grad().to_vector<double>();
    std::vector<double> sum(gradient.size());
    int uses = 0;
    for (const Node& n : nodes)
      for (std::size_t i = 0; i < n.inputs.size(); ++i) {
        if (nodes[n.inputs[i] - 1].name != p.name()) continue;
        ++uses;
        const std::vector<double> sent = n.sent[i].to_vector<double>();
        for (std::size_t k = 0; k < sum.size(); ++k) sum[k] += sent[k];
      }
    CHECK(uses == 3);
    for (std::size_t k = 0; k < sum.size(); ++k) CHECK(std::abs(sum[k] - gradient[k]) <= 1e-12);
  }
}

namespace {

// The ids of what a picture numbers, in the order of these numbers, as far as they are in the list.
std::vector<std::uint32_t> numbered(const std::string& dot, const std::vector<std::uint32_t>& ids) {
  static const std::regex on_ladder("[|]([0-9]+)[|].*"), on_cards(".*[|]([0-9]+)[|]g(rad)? .*");
  std::map<std::uint32_t, std::uint32_t> found;
  for (const truth::Place& place : truth::places_of(dot))
    for (const std::uint32_t id : ids) {
      std::smatch m;
      const bool ladder = place.name == "b" + std::to_string(id);
      if (!ladder && place.name != "n" + std::to_string(id)) continue;
      if (std::regex_match(place.label, m, ladder ? on_ladder : on_cards))
        found[static_cast<std::uint32_t>(std::stoul(m[1]))] = id;
    }
  std::vector<std::uint32_t> in_order;
  for (const auto& [step, id] : found) in_order.push_back(id);
  return in_order;
}

}  // namespace

TEST_CASE("the numbers of the steps back are in the order in which backward ran") {
  std::vector<std::uint32_t> ids, ran;
  Graph graph;
  graph.observe();
  const auto layer = [&](const Tensor& a, const Tensor& b) {
    const auto id = std::make_shared<std::uint32_t>();
    const Tensor y = custom(
        "layer", {a, b}, [](const Tensor& p, const Tensor& q) { return p * 0.5 + q; },
        [&ran, id](const Tensor& g, const Tensor&, const Tensor&) {
          ran.push_back(*id);
          return std::pair(g * 0.5, g);
        });
    ids.push_back(*id = graph.nodes().back().id);
    return y;
  };
  const Tensor x = graph.variable(numbers({4}, 1, 1), "x");
  const Tensor one = layer(x, x), two = layer(one, x), three = layer(one, two);

  SUBCASE("of a chain with skips") {
    sum(layer(three, one)).backward();
    CHECK(dot(graph).starts_with("// ladder"));
  }
  SUBCASE("of branches that meet") {
    const Tensor left = layer(three, x), right = layer(three, one), more = layer(right, left);
    sum(layer(left, more) * right).backward();
    CHECK(dot(graph).starts_with("// cards"));
  }
  SUBCASE("of numbers") {
    Scalar y = three(0) * three(1);
    for (int i = 0; i < 5; ++i) {
      y = y * three(2) + y;
      graph.on_gradient(y, [&ran, id = graph.nodes().back().id](double) { ran.push_back(id); });
      ids.push_back(graph.nodes().back().id);
    }
    y.backward();
  }
  CHECK(ran.size() == ids.size());
  CHECK(numbered(dot(graph), ids) == ran);
  CHECK(numbered(dot(graph, {.view = View::cards}), ids) == ran);
}
