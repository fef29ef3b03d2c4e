// Trace files: what is written is read again, and whatever else stands in one is refused with its place.
#include "graphs.h"

#include <ebb/tools/graphviz/fold.h>

#include <cctype>
#include <cstring>
#include <limits>
#include <random>
#include <set>

namespace {

using namespace ebb;
using namespace ebb::graphs;

// A trace of a small step, as text.
std::string written() {
  const Layer layer("0", 3, 2, 1);
  Graph graph;
  graph.observe();
  const Tensor x = graph.variable(numbers({4, 3}, 1, 1), "x");
  mean(square(relu(layer(x)))).backward();
  const Folder folder;
  save(graph, folder / "step.json");
  return bytes_of(folder / "step.json");
}

// What load() says of a file with this text; empty if it takes it.
std::string complaint(const std::string& text) {
  const Folder folder;
  const std::string file = put(folder / "t.json", text);
  try {
    static_cast<void>(load(file));
    return "";
  } catch (const ParseError& error) {
    const std::string said = error.what(), before = "graphviz::load(\"" + file + "\"): ";
    return said.starts_with(before) ? said.substr(before.size()) : "no place: " + said;
  }
}

std::string replaced(std::string text, const std::string& part, const std::string& with) {
  const std::size_t at = text.find(part);
  REQUIRE_MESSAGE(at != std::string::npos, part);
  return text.replace(at, part.size(), with);
}

// The smallest trace around some nodes.
std::string around(const std::string& nodes, const std::string& root = "0") {
  return R"({"format": "ebb-trace", "version": 1, "observed": true, "differentiated": true, "root": )" + root +
         ", \"nodes\": [" + nodes + "]}";
}
std::string op(const std::string& more = "") {
  return R"({"id": 1, "kind": "op", "op": "f", "dtype": "f32")" + more + "}";
}

TEST_CASE("a trace that was read is written with the same bytes, and drawn as the graph is") {
  const Mlp model;
  Graph graph;
  graph.observe();
  model.loss().backward();
  const Folder folder;
  save(graph, folder / "a.json");
  const Trace again = load(folder / "a.json");
  save(again, folder / "b.json");
  CHECK(bytes_of(folder / "a.json") == bytes_of(folder / "b.json"));
  CHECK(dot(again) == dot(graph));
  CHECK_FALSE(again.timed);
}

TEST_CASE("trace.md names every key of a trace") {
  const Folder folder;
  std::string text;
  const auto add = [&](const Trace& trace) {
    save(trace, folder / "t.json", {.times = true});
    text += bytes_of(folder / "t.json");
  };
  const Mlp model;
  Graph graph;
  graph.observe();
  model.loss().backward();
  DotOptions folded;
  folded.depth = 1;
  folded.max_nodes = 5;
  add(trace(graph));
  add(fold(trace(graph), folded));
  add(diff(trace(graph), Trace()));
  const std::string page = bytes_of(std::string(EBB_SOURCE_ROOT) + "/tools/graphviz/trace.md");
  std::set<std::string> keys;
  for (std::size_t at = text.find("\": "); at != std::string::npos; at = text.find("\": ", at + 1)) {
    const std::size_t begin = text.rfind('"', at - 1) + 1;
    keys.insert(text.substr(begin, at - begin));
  }
  CHECK(keys.size() > 40);
  for (const std::string& key : keys) CHECK_MESSAGE(has(page, "`" + key + "`"), key);
}

TEST_CASE("times are in a trace if they were asked for, and survive it") {
  const Mlp model;
  Graph graph;
  graph.observe();
  model.loss().backward();
  const Folder folder;
  const Trace taken = trace(graph);
  save(taken, folder / "a.json", {.times = true});
  const Trace again = load(folder / "a.json");
  CHECK(again.timed);
  CHECK(again[again.root].forward_seconds == doctest::Approx(taken[taken.root].forward_seconds));
}

TEST_CASE("names of any bytes survive a trace, broken UTF-8 as replacement characters") {
  const std::vector<std::pair<std::string, std::string>> names{{"a<b>&\"|{}\\", "a<b>&\"|{}\\"},
                                                               {std::string("nul\0!", 5), std::string("nul\0!", 5)},
                                                               {"gewicht·ß", "gewicht·ß"},
                                                               {"\xff", "\uFFFD"},
                                                               {std::string(10'000, 'x'), std::string(10'000, 'x')},
                                                               {"\n\t", "\n\t"}};
  for (const auto& pair : names) {
    Graph graph;
    graph.observe();
    const Scalar a = graph.variable(2.0, pair.first);
    (a * a).backward();
    const Folder folder;
    save(graph, folder / "t.json");
    const Trace again = load(folder / "t.json");
    CHECK(again.records.front().name == pair.second);
    check_drawable(dot(again));
  }
}

TEST_CASE("numbers that are not finite survive a trace") {
  Graph graph;
  graph.observe();
  const Scalar a = graph.variable(0.0, "a");
  log(a).backward();
  const Folder folder;
  save(graph, folder / "t.json");
  const Trace again = load(folder / "t.json");
  CHECK(again[again.root].value == -std::numeric_limits<double>::infinity());
  CHECK(again.records.front().gradient.size == std::numeric_limits<double>::infinity());
}

TEST_CASE("unknown keys of a trace are passed over") {
  CHECK(complaint(around(op(R"(, "later": {"a": [1, {"b": null}]})"))).empty());
  CHECK(complaint(replaced(around(op()), "\"observed\"", "\"later\": [[]], \"observed\"")).empty());
}

TEST_CASE("a trace cut short anywhere is refused") {
  const std::string text = written();
  REQUIRE(complaint(text).empty());
  const std::size_t end = text.rfind('}');
  for (std::size_t n = 0; n < end; ++n) {
    const std::string said = complaint(text.substr(0, n));
    CHECK_MESSAGE(has(said, n == 0 ? "the file is empty" : ": the JSON ends too soon, or badly"), n, ": ", said);
  }
}

TEST_CASE("what is no trace is refused with the place") {
  const std::string deep(1'000'000, '[');
  const std::vector<std::pair<std::string, std::string>> cases{
      {"", "the file is empty"},
      {"\n\nhello", "line 3, byte 3: this is no JSON"},
      {"[]", "the trace: is no object"},
      {"3", "the trace: is no object"},
      {"{}", "the trace: does not begin with \"format\": \"ebb-trace\""},
      {R"({"nodes": [{"id": "a"}]})", "the trace: does not begin with \"format\": \"ebb-trace\""},
      {R"({"format": "ebb-trace"})", "the trace: has no \"version\""},
      {R"({"format": "ebb-trace", "version": 2})", "version: is 2, and this program knows traces up to 1"},
      {R"({"format": "ebb-trace", "version": 1})", "the trace: has no \"nodes\""},
      {R"({"format": "ebb-trace", "version": 1, "nodes": 3})", "nodes: is no list"},
      {R"({"format": "ebb-trace", "version": 1, "nodes": []})", "the trace: has no \"observed\""},
      {around("3"), "nodes[0]: is no object"},
      {around("{}"), "nodes[0]: has no \"id\""},
      {around(op(), "7"), "root: is 7, which is no op of the trace"},
      {around(op()) + " x y", "line 1, byte 155: this is no JSON"},
      {deep, "the trace: nests deeper than 16 levels"},
      {around(op(R"(, "later": )" + deep)), "nodes[0]: nests deeper than 16 levels"},
      {replaced(around(op()), "\"root\": 0", "\"root\": 0, \"root\": 0"), "root: comes twice"},
      {around(op(R"(, "in": [{"id": 0}, {"id": 0, "id": 0}])")), "nodes[0].in[1].id: comes twice"},
  };
  for (const auto& pair : cases) CHECK(complaint(pair.first) == pair.second);
}

TEST_CASE("a wrong value in a node is refused with the place") {
  const std::vector<std::pair<std::string, std::string>> cases{
      {R"({"id": 0})", "nodes[0].id: is no whole number from 1 to 4294967295"},
      {R"({"id": 1.5})", "nodes[0].id: is no whole number from 1 to 4294967295"},
      {R"({"id": 18446744073709551615})", "nodes[0].id: is no whole number from 1 to 4294967295"},
      {R"({"id": 1, "kind": "weight"})", "nodes[0].kind: is none of op, parameter, variable, constant"},
      {R"({"id": 1, "kind": 0})", "nodes[0].kind: is no text"},
      {R"({"id": 1, "kind": "op", "dtype": "f32"})", "nodes[0]: is an op, and has no \"op\", its name"},
      {R"({"id": 1, "kind": "constant", "dtype": "f16"})", "nodes[0].dtype: is none of f32, f64, i64"},
      {op() + ", " + op(), "nodes[1].id: is 1, and the node before it has 1: ids must rise"},
      {op(R"(, "in": [{"id": 1}])"), "nodes[0].in[0].id: is 1, and no node before has that id"},
      {op(R"(, "in": [{"id": 0}, {}])"), "nodes[0].in[1]: has no \"id\""},
      {op(R"(, "in": {"id": 0})"), "nodes[0].in: is no list"},
      {op(R"(, "in": [{"id": 0, "times": 0}])"), "nodes[0].in[0].times: is no whole number from 1 to 1000000000"},
      {op(R"(, "shape": [-1])"), "nodes[0].shape[0]: is no whole number from 0 to 1099511627776"},
      {op(R"(, "shape": [1000000000, 0, 1000000000])"),
       "nodes[0].shape[2]: makes more than 1,099,511,627,776 elements"},
      {op(R"(, "saved": [{"what": "y", "bytes": -1}])"),
       "nodes[0].saved[0].bytes: is no whole number from 0 to 9007199254740992"},
      {op(R"(, "histogram": [255])"), "nodes[0].histogram[0]: is no whole number from 0 to 7"},
      {op(R"(, "histogram": [)" +
          [] {
            std::string many = "0";
            for (int i = 0; i < 64; ++i) many += ", 0";
            return many;
          }() +
          "]"),
       "nodes[0].histogram: has more than 64 bars"},
      {op(R"(, "gradient": "none")"), "nodes[0].gradient: is no number"},
      {op(R"(, "value": true)"), "nodes[0].value: is no number"},
      {op(R"(, "scalar": 1)"), "nodes[0].scalar: is neither true nor false"},
      {op(R"(, "seconds": [1])"), "nodes[0].seconds: are not two numbers: forward, backward"},
      {op(R"(, "change": "moved")"), "nodes[0].change: is none of none, added, removed"},
      {op(R"(, "backward_of": 1)"), "nodes[0].backward_of: is 1, which is no node before 1"},
      {op(R"(, "fold": {"kind": "loop"})"), "nodes[0].fold.kind: is none of module, repeat, chain, stretch"},
      {op(R"(, "fold": {"kind": "repeat", "series": [{"values": ["x"]}]})"),
       "nodes[0].fold.series[0].values[0]: is no number"},
      {R"({"id": 1, "kind": "constant", "dtype": "f32"}, {"id": 2, "kind": "parameter", "dtype": "f32", "in": [{"id": 1}]})",
       "nodes[1].in: is not empty, and only an op has operands"},
      {R"({"id": 1, "kind": "constant", "dtype": "f32", "fold": {"kind": "chain"}})",
       "nodes[0].fold: only an op stands for others"},
  };
  for (const auto& pair : cases) CHECK(complaint(around(pair.first)) == pair.second);
  CHECK(complaint(around(op(R"(, "value": 1e999)"))) == "line 1, byte 166: a number is too large");
}

TEST_CASE("a trace whose sizes add up to more than can be counted is refused") {
  std::string nodes;
  for (int i = 1; i <= 200'000; ++i)
    nodes += (i == 1 ? "" : ",") + std::string(R"({"id":)") + std::to_string(i) +
             R"(,"kind":"variable","dtype":"f64","shape":[1099511627776]})";
  CHECK(complaint(around(nodes)) == "nodes[131072]: makes more bytes, with those before, than can be counted");
}

TEST_CASE("a node that would fill the memory is refused") {
  std::string many = "0";
  for (int i = 0; i < 1 << 20; ++i) many += ",0";
  CHECK(complaint(around(op(R"(, "later": [)" + many + "]"))) == "nodes[0]: holds more than 1,048,576 values");
  CHECK(complaint(replaced(around(op()), "\"observed\"", "\"later\": [" + many + "], \"observed\"")) ==
        "the trace: holds more than 1,048,576 values");
}

// The text with one of its words or numbers in another's place, left out, or become something hostile.
std::string mutated(const std::string& text, std::mt19937_64& random) {
  const auto below = [&](std::size_t n) { return static_cast<std::size_t>(random() % n); };
  const auto word = [&](std::size_t& begin) {  // a text, number, true or false, somewhere
    const auto in_word = [&](std::size_t i) {
      return std::isalnum(static_cast<unsigned char>(text[i])) != 0 || std::strchr("\"_.+-", text[i]) != nullptr;
    };
    do begin = below(text.size());
    while (!in_word(begin));
    std::size_t end = begin;
    while (begin > 0 && in_word(begin - 1)) --begin;
    while (end < text.size() && in_word(end)) ++end;
    return end - begin;
  };
  static const std::vector<std::string> hostile{"0",
                                                "1",
                                                "2",
                                                "7",
                                                "-1",
                                                "1e308",
                                                "5e-324",
                                                "-0.0",
                                                "4294967295",
                                                "1099511627776",
                                                "9007199254740992",
                                                "\"nan\"",
                                                "\"inf\"",
                                                "\"-inf\"",
                                                "\"unneeded\"",
                                                "\"\"",
                                                "\"op\"",
                                                "\"parameter\"",
                                                "\"variable\"",
                                                "\"constant\"",
                                                "true",
                                                "false",
                                                "null",
                                                "[]",
                                                "{}",
                                                "[[]]",
                                                "\"a<b>&|{}\\\\\"",
                                                "\"\\u0000\\n\"",
                                                "\"step\"",
                                                "\"scalar\": true, \"x\"",
                                                "\"change\": \"removed\", \"x\"",
                                                "\"wants_gradient\": true, \"x\"",
                                                "\"shape\": [2, 0], \"y\"",
                                                "\"fold\": {\"kind\": \"repeat\", \"times\": 9}, \"x\"",
                                                '"' + std::string(10'000, 'W') + '"'};
  std::size_t begin = 0, other = 0;
  const std::size_t size = word(begin);
  std::string out = text;
  switch (below(5)) {
    case 0: {
      const std::size_t n = word(other);
      return out.replace(begin, size, text.substr(other, n));
    }
    case 1:
      out[begin] = static_cast<char>(below(256));
      return out;
    default:
      return out.replace(begin, size, hostile[below(hostile.size())]);
  }
}

// Steps in time of which the middle ones are one record; Scalars with a recorded gradient.
std::string folded_steps() {
  const Layer cell("cell", 4, 4, 1);
  Graph graph;
  graph.observe();
  Tensor h = numbers({2, 4}, 1, 2);
  for (int i = 0; i < 20; ++i)
    h = activation(
        "tanh", "Tanh", [](const Tensor& t) { return tanh(t); }, cell(h));
  mean(square(h)).backward();
  DotOptions options;
  options.max_nodes = 12;
  const Folder folder;
  save(fold(trace(graph), options), folder / "t.json", {.times = true});
  return bytes_of(folder / "t.json");
}
std::string second_derivative() {
  Graph graph;
  graph.observe();
  const Scalar x = graph.variable(0.5, "x");
  graph.gradient(sin(x * x), x).backward();
  const Folder folder;
  save(graph, folder / "t.json");
  return bytes_of(folder / "t.json");
}

TEST_CASE("whatever stands in a trace, it is refused, or drawn by dot") {
  std::mt19937_64 random(5);
  const std::vector<std::string> originals{written(), folded_steps(), second_derivative()};
  const Folder folder;
  const Trace whole = load(put(folder / "whole.json", originals.front()));
  int drawn = 0, refused = 0;
  const char* const more = std::getenv("EBB_TRACES");
  const int count = more != nullptr ? std::atoi(more) : 600;
  for (int i = 0; i < count; ++i) {
    std::string hostile = mutated(originals[static_cast<std::size_t>(i) % 3], random);
    if (i % 4 == 1) hostile = mutated(hostile, random);
    CAPTURE(hostile);
    const std::string file = put(folder / "t.json", hostile);
    try {
      const Trace read = load(file), other = diff(whole, read);
      static_cast<void>(text(read) + report(read) + text(diff(read, whole)));
      if (i % 10 == 0) check_drawable(dot(other));
      for (const View view : {View::automatic, View::cards, View::strip, View::scalar}) {
        DotOptions options;
        options.view = view;
        options.max_nodes = i % 3 == 0 ? 4 : 400;
        const std::string picture = dot(read, options);
        if (++drawn % 20 == 0) check_drawable(picture);
      }
    } catch (const Error&) {
      ++refused;
    }
  }
  CHECK(drawn > 200);
  CHECK(refused > 100);
}

TEST_CASE("what is no file is refused, and so is a file without end") {
  const Folder folder;
  CHECK_THROWS_WITH_AS(
      load(folder / "none.json"),
      ("graphviz::load(\"" + folder / "none.json" + "\"): cannot be opened: No such file or directory").c_str(),
      IoError);
  CHECK_THROWS_WITH_AS(load(folder.path.string()),
                       ("graphviz::load(\"" + folder.path.string() + "\"): cannot be read: Is a directory").c_str(),
                       IoError);
  CHECK_THROWS_WITH_AS(load("/dev/zero"), "graphviz::load(\"/dev/zero\"): the file is larger than 256 MiB", ParseError);
}

}  // namespace
