// What becomes of dot's SVG: two themes in one file, a backward pass that plays.
#include "svgs.h"

#include <ebb/tools/graphviz/draw.h>
#include <ebb/tools/graphviz/play.h>

#include <chrono>
#include <filesystem>
#include <regex>
#include <set>
#include <string>
#include <vector>

using namespace ebb;
using namespace ebb::graphviz;
using namespace ebb::graphs;

namespace {

// The numbers after "at" in the classes of the element and of all in it.
std::set<int> ranks_in(const Element& element) {
  std::set<int> ranks;
  each_element(element, [&](const Element& e) {
    const std::string classes(e.get("class"));
    std::smatch match;
    if (std::regex_search(classes, match, std::regex("back at([0-9]+)|line at([0-9]+)")))
      ranks.insert(std::stoi(match[1].matched ? match[1] : match[2]));
  });
  return ranks;
}

}  // namespace

TEST_CASE("XML is read and written again without a change, and what is none is refused") {
  const std::string text = "<svg a=\"1 &lt; 2\" b=\"\">\n<g/>\n<text> x &amp; <b>y</b> </text>\n</svg>";
  std::string again;
  write_xml(read_xml("<?xml version=\"1.0\"?>\n<!DOCTYPE svg>\n<!-- n1&#45;&gt;n2 -->\n" + text + "\n"), again);
  CHECK(again == "<svg a=\"1 &lt; 2\" b=\"\">\n<g/>\n<text> x &amp; \n<b>y</b> </text>\n</svg>");
  for (const char* const broken : {"", "text", "<", "<a", "<a>", "<a b", "<a b=\"", "<a b=\"\"", "</a>", "<a></b>",
                                   "<a/", "<!--", "<?", "<a b=\"\"/x>", "< >", "<a><b></a></b>"}) {
    CAPTURE(broken);
    CHECK_THROWS_WITH_AS(read_xml(broken), "graphviz: dot wrote an SVG that cannot be read", IoError);
  }
}

TEST_CASE(
    "an SVG for both themes is light to a viewer without CSS, and each of its colours has its dark one in a rule") {
  if (!dot_is_installed()) return;
  const Trace trace = mlp_trace();
  DotOptions light, dark;
  light.theme = Theme::light, dark.theme = Theme::dark;
  const std::string both = svg_of(trace);
  const Element in_both = read_xml(both), in_light = read_xml(svg_of(trace, light)),
                in_dark = read_xml(svg_of(trace, dark));
  std::vector<Element> plain, lit, unlit;
  const auto list = [](std::vector<Element>& out) {
    return [&out](const Element& e) {
      if (e.name != "style" && !e.name.empty()) out.push_back(e);
    };
  };
  each_element(in_both, list(plain));
  each_element(in_light, list(lit));
  each_element(in_dark, list(unlit));
  REQUIRE(plain.size() == lit.size());
  REQUIRE(plain.size() == unlit.size());
  std::size_t differ = 0;
  for (std::size_t i = 0; i < plain.size(); ++i) {
    for (const char* const attribute : {"fill", "stroke"}) {
      const std::string l(lit[i].get(attribute)), d(unlit[i].get(attribute));
      CHECK(plain[i].get(attribute) == l);
      if (l == d) continue;
      ++differ;
      std::smatch word;
      const std::string classes(plain[i].get("class"));
      REQUIRE(std::regex_search(classes, word, std::regex(std::string("\\b") + attribute[0] + "[0-9]+\\b")));
      CHECK(has(both, "." + word.str() + "{" + attribute + ":" + d + "}"));
    }
  }
  CHECK(differ > 100);
  CHECK(times(both, "<style>") == 1);
  CHECK(times(both, "@media (prefers-color-scheme:dark){") == 1);
  CHECK_FALSE(has(both, "#0100"));  // a stand-in
}

TEST_CASE("an SVG asks for nothing from elsewhere, and runs nothing") {
  if (!dot_is_installed()) return;
  DotOptions options;
  options.play = true;
  const std::string svg = svg_of(mlp_trace(), options);
  for (const char* const word : {"<script", "href", "url(", "@import", "DOCTYPE", "onload", "<image", "<a "}) {
    CAPTURE(word);
    CHECK_FALSE(has(svg, word));
  }
  CHECK(times(svg, "http") == 2);  // the names of the two namespaces
}

TEST_CASE("each card and line has its tooltip as its title, and a card its name in DOT as its id") {
  if (!dot_is_installed()) return;
  const Element svg = read_xml(svg_of(mlp_trace()));
  const Element* const card = find_id(svg, "b8");
  REQUIRE(card != nullptr);
  REQUIRE(card->children.front().name == "title");
  CHECK(has(card->children.front().children.front().text, "backward step 4 of affine: gradient rms "));
  std::size_t lines = 0;
  each_element(svg, [&](const Element& e) {
    CHECK(e.name != "a");
    if (e.has_class("edge") && e.has_class("step4")) {
      ++lines;
      CHECK(e.get("id").empty());
      CHECK(has(e.children.front().children.front().text, "step 4: gradient rms "));
    }
  });
  CHECK(lines == 2);  // to the parameters, and on
}

TEST_CASE("what backward did in its N-th step is lit by the N-th rule") {
  if (!dot_is_installed()) return;
  const Trace trace = mlp_trace();
  for (const View view : {View::ladder, View::cards}) {
    CAPTURE(static_cast<int>(view));
    DotOptions options;
    options.view = view, options.play = true;
    const std::string text = svg_of(trace, options);
    const Element svg = read_xml(text);
    for (const Record& r : trace.records) {
      if (!r.is_op() || r.order == 0) continue;
      CAPTURE(r.op);
      const Element* const card = find_id(svg, (view == View::ladder ? "b" : "n") + std::to_string(r.id));
      REQUIRE(card != nullptr);
      CHECK(ranks_in(*card) == std::set<int>{static_cast<int>(r.order)});
      for (const Operand& o : r.operands) {
        if (o.id == 0 || trace[o.id].kind != Node::Kind::parameter) continue;
        const Element* const leaf =
            find_id(svg, view == View::ladder ? "m" + std::to_string(r.id) : "n" + std::to_string(o.id));
        REQUIRE(leaf != nullptr);
        CHECK(ranks_in(*leaf) == ranks_in(*card));
      }
    }
    CHECK(has(text, "@media (prefers-reduced-motion:no-preference){.back{animation"));
    CHECK_FALSE(has(svg_of(trace), "animation"));
  }
}

TEST_CASE("the forward half of a card does not play") {
  if (!dot_is_installed()) return;
  DotOptions options;
  options.view = View::cards, options.play = true;
  const Element svg = read_xml(svg_of(mlp_trace(), options));
  const Element* const card = find_id(svg, "n8");
  REQUIRE(card != nullptr);
  std::string calm, played;
  for (const Element& e : card->children)
    if (e.name == "text") (e.has_class("back") ? played : calm) += e.children.front().text + "|";
  CHECK(has(calm, "affine|"));
  CHECK(has(calm, "32×4|"));
  CHECK(has(played, "4|g "));
  CHECK_FALSE(has(played, "affine"));
}

TEST_CASE("a gradient of exactly 0 is faint until its step, as any other") {
  if (!dot_is_installed()) return;
  Graph graph;
  graph.observe();
  const Scalar x = graph.variable(0.0, "x"), y = graph.variable(2.0, "y");
  (x * y).backward();
  DotOptions options;
  options.view = View::cards, options.play = true;
  const Element svg = read_xml(svg_of(trace(graph), options));
  std::size_t played = 0;
  each_element(svg, [&](const Element& e) {
    if (!e.has_class("zero")) return;
    for (const Element& shape : e.children) played += shape.has_class("back");
  });
  CHECK(played == 2);  // the line and its hollow arrow
}

TEST_CASE("a film of many steps takes 20 s, one of few half a second for each") {
  const auto seconds = [](std::size_t steps) {
    const std::string rules = playing(steps, Theme::light);
    std::smatch match;
    REQUIRE(std::regex_search(rules, match, std::regex("var\\(--at\\) ([0-9.]+)s")));
    CHECK(times(rules, "@keyframes at") == steps);
    return std::stod(match[1]);
  };
  CHECK(seconds(4) == doctest::Approx(0.6 + 4 * 0.55 + 2.6));
  CHECK(seconds(1000) == doctest::Approx(20));
  CHECK(playing(0, Theme::light).empty());
}

TEST_CASE("a scale that means nothing is refused") {
  DotOptions center, span;
  center.heat_center = -1, span.heat_span = std::nan("");
  CHECK_THROWS_WITH_AS(dot(Trace(), center),
                       "graphviz: heat_center is -1; it must be a finite number above 0, or 0 for one that fits",
                       UsageError);
  CHECK_THROWS_WITH_AS(dot(Trace(), span),
                       "graphviz: heat_span is nan; it must be a finite number above 0, or 0 for one that fits",
                       UsageError);
}

TEST_CASE("only an SVG or a page plays") {
  DotOptions options;
  options.play = true;
  CHECK_THROWS_WITH_AS(render(Trace(), "flow.png", options),
                       "graphviz::render(\"flow.png\"): only a .svg or .html plays", UsageError);
}

TEST_CASE("names that look like colours, tags or ends of scripts are words in an SVG") {
  if (!dot_is_installed()) return;
  for (const std::string name : {"#010000", "fill=\"#010001\"", "]]>", "</svg>", "</script><script>", "<!--", "-->",
                                 "&#35;", "</style>", "a class=\"bwd step3\"", "#2166ac #f0f0ee"}) {
    CAPTURE(name);
    Parameter p(numbers({2, 2}, 1, 1));
    p.rename(name);
    Graph graph;
    graph.observe();
    const Tensor x = graph.variable(numbers({2, 2}, 1, 1), name);
    Tensor y;
    {
      const Scope scope(name, name);
      y = tanh(matmul(x, p));
    }
    sum(y).backward();
    DotOptions options;
    options.title = options.subtitle = name, options.play = true;
    for (const View view : {View::ladder, View::cards}) {
      options.view = view;
      const std::string text = svg_of(trace(graph), options);
      const Element svg = read_xml(text);
      std::string words;
      std::size_t styles = 0;
      each_element(svg, [&](const Element& e) {
        styles += e.name == "style";
        CHECK(e.name != "script");
        if (e.name.empty()) words += e.text + "\n";
      });
      CHECK(styles == 1);
      words = std::regex_replace(words, std::regex("&#45;"), "-");
      CHECK(has(words, html(name) + "\n"));
    }
  }
}

TEST_CASE("what dot cannot draw in time, or dies of, is folded further, and the subtitle says so") {
  Graph graph;
  graph.observe();
  Tensor x = graph.variable(numbers({2, 2}, 1, 1), "x");
  for (int i = 0; i < 40; ++i) x = matmul(tanh(x), exp(x));
  sum(x).backward();
  const Trace all = trace(graph);
  const Folder folder;
  const auto drawn = [&](const std::string& otherwise, const std::string& why) {
    fake_dot(folder, "case \"$(/bin/cat)\" in *\"" + why + "\"*) echo '<svg></svg>';; *) " + otherwise + ";; esac");
    const OnlyPath path(folder.path.string());
    Page page(all, {});
    Paints paints;
    CHECK(run_dot(page, "svg", paints, nullptr, std::chrono::milliseconds(400)) == "<svg></svg>\n");
    CHECK(page.parts().front().trace.records.size() <= 61);
    CHECK(has(page.dot(), why));
  };
  SUBCASE("too slow") { drawn("while :; do :; done", "at most 61 cards: dot took too long for more"); }
  SUBCASE("a crash") { drawn("kill -6 $$", "at most 61 cards: dot crashed on more"); }
  SUBCASE("even then") {
    fake_dot(folder, "kill -6 $$");
    const OnlyPath path(folder.path.string());
    Page page(all, {});
    Paints paints;
    CHECK_THROWS_AS(run_dot(page, "svg", paints), TooMuch);
    CHECK(page.parts().front().trace.records.size() <= 25);
  }
}

TEST_CASE("a small graph that dot cannot draw is not folded: the message says what happened") {
  const Trace all = mlp_trace();
  Page page(all, {});
  const Folder folder;
  SUBCASE("a crash") {
    fake_dot(folder, "kill -6 $$");
    const OnlyPath path(folder.path.string());
    CHECK_THROWS_WITH_AS(image(page, "svg"),
                         "graphviz: dot was ended by signal 6\n  help: another view or depth may do", TooMuch);
  }
  SUBCASE("a picture that its format cannot hold") {
    fake_dot(folder, "echo 'dot: graph is too large for cairo-renderer bitmaps. Scaling by 0.5 to fit' >&2; echo PNG");
    const OnlyPath path(folder.path.string());
    CHECK_THROWS_WITH_AS(image(page, "png"),
                         "graphviz: the picture is larger than the 32,767 pixels that a .png holds\n"
                         "  help: write a .svg, or draw a smaller graph",
                         TooMuch);
  }
}

TEST_CASE("a shell that answers with no SVG is found out") {
  const Folder folder;
  fake_dot(folder, "echo 'this is no picture'");
  const OnlyPath path(folder.path.string());
  CHECK_THROWS_WITH_AS(render(Trace(), folder / "x.svg"), "graphviz: dot wrote an SVG that cannot be read", IoError);
  CHECK_FALSE(std::filesystem::exists(folder / "x.svg"));
}
