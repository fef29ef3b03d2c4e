// Pictures in a series: frames, films; and the page that holds a backward pass to go through.
#include "svgs.h"

#include <map>
#include <regex>
#include <string>
#include <vector>

using namespace ebb;
using namespace ebb::graphviz;
using namespace ebb::graphs;

namespace {

// What is left of an SVG without its colours, numbers and words about colours.
std::string geometry(std::string svg) {
  const std::size_t style = svg.find("<style>"), end = svg.find("</style>");
  if (end != std::string::npos) svg.erase(style, end - style);
  svg = std::regex_replace(svg, std::regex(" (fill|stroke|class)=\"[^\"]*\""), "");
  return svg;
}

std::string without_numbers(const std::string& text) {
  return std::regex_replace(text, std::regex("[−-]?[0-9.]+(e-?[0-9]+)?"), "0");
}

std::vector<Part> training(int steps) {
  const Mlp model;
  std::vector<Part> parts;
  for (int i = 0; i < steps; ++i) {
    Graph graph;
    graph.observe();
    model.loss().backward();
    parts.push_back({"Training", "step " + std::to_string(100 + i), trace(graph)});
    for (const Layer* layer : {&model.first, &model.second, &model.third})
      for (Parameter p : {layer->weight, layer->bias}) {
        p.assign(p.value() * 0.9);
        p.clear_grad();
      }
  }
  return parts;
}

}  // namespace

TEST_CASE("the frames of a backward pass differ in colours alone, and less is faint in each") {
  if (!dot_is_installed()) return;
  const Trace trace = mlp_trace();
  for (const View view : {View::ladder, View::cards}) {
    CAPTURE(static_cast<int>(view));
    const Folder folder;
    DotOptions options;
    options.view = view, options.theme = Theme::light;
    const std::vector<std::string> files = frames(trace, folder / "new/frames", options);
    REQUIRE(files.size() == 7);  // the seed, and six steps
    CHECK(files[0] == folder / "new/frames/step-000.svg");
    CHECK(files[6] == folder / "new/frames/step-006.svg");
    CHECK(read(files[6]) == svg_of(trace, options));
    std::size_t before = 0;
    for (std::size_t i = files.size(); i-- > 0;) {
      const Element frame = read_xml(read(files[i])), all = read_xml(read(files[6]));
      CHECK(geometry(read(files[i])) == geometry(read(files[6])));
      std::vector<std::string> colours, plain;
      const auto list = [](std::vector<std::string>& out) {
        return [&out](const Element& e) {
          out.emplace_back(e.get("fill"));
          out.emplace_back(e.get("stroke"));
        };
      };
      each_element(frame, list(colours));
      each_element(all, list(plain));
      std::size_t faint = 0;
      for (std::size_t j = 0; j < colours.size(); ++j) faint += colours[j] != plain[j];
      if (i < 6) CHECK(faint > before);
      else CHECK(faint == 0);
      before = faint;
    }
  }
}

TEST_CASE("frames leave what else is in their folder, and can be bitmaps") {
  if (!dot_is_installed()) return;
  Graph graph;
  graph.observe();
  const Scalar x = graph.variable(2.0, "x");
  square(x).backward();
  const Folder folder;
  put(folder / "step-1.svg", "mine");
  const std::vector<std::string> files = frames(trace(graph), folder.path.string(), {}, FrameFormat::png);
  REQUIRE(files.size() == 2);
  CHECK(read(files[1]).substr(1, 3) == "PNG");
  CHECK(read(folder / "step-1.svg") == "mine");
  put(folder / "file", "");
  CHECK_THROWS_WITH_AS(frames(trace(graph), folder / "file"),
                       ("graphviz: cannot make the folder " + (folder / "file") + ": Not a directory").c_str(),
                       IoError);
  CHECK_THROWS_WITH_AS(frames(std::vector<Part>(), folder.path.string()),
                       "graphviz: there is nothing to draw: no parts", UsageError);
}

TEST_CASE("the frames of a training have one layout and one scale") {
  if (!dot_is_installed()) return;
  const std::vector<Part> parts = training(4);
  const Folder folder;
  DotOptions options;
  options.theme = Theme::light;
  for (const View view : {View::automatic, View::ladder}) {
    CAPTURE(static_cast<int>(view));
    options.view = view;
    const std::vector<std::string> files = frames(parts, folder.path.string(), options);
    REQUIRE(files.size() == parts.size());
    std::vector<std::string> scales;
    for (const std::string& file : files) {
      const std::string svg = read(file);
      CHECK(without_numbers(geometry(svg)) == without_numbers(geometry(read(files[0]))));
      scales.push_back(svg.substr(svg.find("vanishing")));
    }
    for (const std::string& scale : scales) CHECK(without_numbers(scale) == without_numbers(scales[0]));
    CHECK(times(read(files[2]), "step 102<") == 1);
  }
}

TEST_CASE("a film shows each frame in its turn, what they share once, and the last one at rest") {
  if (!dot_is_installed()) return;
  const std::vector<Part> parts = training(5);
  const Folder folder;
  film(parts, folder / "film.svg");
  const std::string text = read(folder / "film.svg");
  const Element svg = read_xml(text);
  std::map<std::string, std::string> at_rest;  // by class
  std::size_t inputs = 0;
  each_element(svg, [&](const Element& e) {
    if (e.has_class("turn")) at_rest[std::string(e.get("class"))] += std::string(e.get("visibility")) + ";";
    inputs += e.has_class("leaf");
  });
  REQUIRE(at_rest.size() == 5);
  CHECK_FALSE(has(at_rest["turn turn4"], "hidden"));
  for (const int i : {0, 1, 2, 3}) CHECK(at_rest["turn turn" + std::to_string(i)].substr(0, 7) == "hidden;");
  CHECK(inputs == 1);  // x is the same in all
  for (const int i : {100, 101, 102, 103, 104}) CHECK(times(text, "step " + std::to_string(i) + "<") == 1);
  CHECK(times(text, "@keyframes turn") == 5);
  CHECK(has(text, "@media (prefers-reduced-motion:no-preference){.turn{animation"));
  CHECK(times(text, "<style>") == 1);
}

TEST_CASE("a film of different graphs shows each whole, on a page as large as the largest") {
  if (!dot_is_installed()) return;
  const auto chain = [](int length) {
    Graph graph;
    graph.observe();
    Scalar x = graph.variable(0.5, "x");
    for (int i = 0; i < length; ++i) x = sin(x);
    x.backward();
    return trace(graph);
  };
  DotOptions options;
  options.view = View::cards;
  const std::vector<Part> parts{{"one", "", chain(1)}, {"five", "", chain(5)}, {"two", "", chain(2)}};
  const Folder folder;
  film(parts, folder / "film.svg", options);
  options.title = "five";
  const Element film = read_xml(read(folder / "film.svg")), largest = read_xml(svg_of(parts[1].trace, options));
  CHECK(film.get("viewBox") == largest.get("viewBox"));
  std::size_t turns = 0, sines = 0;
  each_element(film, [&](const Element& e) {
    turns += e.has_class("turn");
    sines += e.name.empty() && e.text == "sin";
  });
  CHECK(turns == 3);
  CHECK(sines == 8);
}

TEST_CASE("a page holds all facts, ends in no script of a user's, and is the same each time") {
  if (!dot_is_installed()) return;
  const Folder folder;
  for (const View view : {View::ladder, View::cards, View::strip}) {
    DotOptions options;
    options.view = view, options.title = "</script><script>alert(1)</script>";
    render(mlp_trace(), folder / "a.html", options);
    render(mlp_trace(), folder / "b.html", options);
    const std::string page = read(folder / "a.html");
    CHECK(page == read(folder / "b.html"));
    CHECK(times(page, "</script>") == 2);
    CHECK(times(page, "<script") == 2);
    CHECK_FALSE(has(page, "<!-- "));
    CHECK(has(page, "[\"kind\",\"parameter\"]") == (view != View::strip));  // a strip shows modules whole
    if (view == View::strip) continue;
    for (const char* const fact : {"∇x = g·W   ∇W = gᵀ·x   ∇b = Σ₀ g", "0  Dense(10 -> 8)"}) CHECK(has(page, fact));
  }
}
