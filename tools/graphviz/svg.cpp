#include "svg.h"

#include "play.h"
#include "steps.h"
#include "theme.h"

#include "../../autograd/error.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cstdlib>
#include <iterator>
#include <map>
#include <optional>
#include <set>

namespace ebb::graphviz {

namespace {

constexpr std::size_t colour_length = 7;      // "#rrggbb"
constexpr unsigned first_stand_in = 0x10000;  // "#010000": nothing is painted in such a green-blue black

// ---- one element out of dot's several -------------------------------------------------------------------------------

Element element(const char* name, std::string text) {
  Element made;
  made.name = name;
  made.children.emplace_back();
  made.children.back().text = std::move(text);
  return made;
}

std::string text_in(const Element& element) {
  std::string text;
  for (const Element& child : element.children) text += child.name.empty() ? child.text : text_in(child);
  return text;
}

// dot wraps what has a tooltip into <g id="a_node1"><a xlink:title="...">: takes the wrapping off.
void unwrap(std::vector<Element>& children, std::string& tooltip) {
  std::vector<Element> flat;
  for (Element& child : children) {
    if (child.name != "a" && !(child.name == "g" && child.get("id").substr(0, 2) == "a_")) {
      flat.push_back(std::move(child));
      continue;
    }
    if (tooltip.empty()) tooltip = child.get("xlink:title");
    unwrap(child.children, tooltip);
    std::move(child.children.begin(), child.children.end(), std::back_inserter(flat));
  }
  children = std::move(flat);
}

// A group of dot's: its `title` is its DOT name, which becomes the id of a node; the tooltip takes its place.
void simplify(Element& group) {
  std::string name, tooltip;
  unwrap(group.children, tooltip);
  std::erase_if(group.children, [&](const Element& child) {
    if (child.name != "title") return false;
    name = text_in(child);
    return true;
  });
  std::erase_if(group.attributes, [](const auto& attribute) { return attribute.first == "id"; });
  if (group.has_class("node")) group.set("id", name);
  if (!tooltip.empty()) group.children.insert(group.children.begin(), element("title", tooltip));
}

// ---- colours --------------------------------------------------------------------------------------------------------

void colour(Element& element, const Paints& paints, std::set<std::string>& rules) {
  for (const char* const attribute : {"fill", "stroke"}) {
    if (element.get(attribute) == "transparent") element.set(attribute, "none");  // which is no colour of SVG 1.1
    const Paints::Pair* const pair = paints.pair(element.get(attribute));
    if (pair == nullptr) continue;
    const std::string word = fmt::format("{}{}", attribute[0], paints.number(*pair));
    element.set(attribute, pair->light);
    element.add_class(word);
    rules.insert(fmt::format(".{}{{{}:{}}}", word, attribute, pair->dark));
  }
  for (Element& child : element.children) colour(child, paints, rules);
}

// ---- what a gradient paints -----------------------------------------------------------------------------------------

struct Box {
  double left = 1e300, top = 1e300, right = -1e300, bottom = -1e300;
  bool holds(double x, double y) const { return x >= left && x <= right && y >= top && y <= bottom; }
};

// Around the points of a polygon or path: pairs x,y between letters and blanks.
Box box_of(const Element& shape) {
  Box box;
  const std::string points(shape.get(shape.name == "path" ? "d" : "points"));
  for (std::size_t at = 0; (at = points.find_first_of("-.0123456789", at)) != std::string::npos;) {
    const std::size_t comma = points.find(',', at), end = points.find_first_of(" MCLz", at);
    if (comma == std::string::npos || comma > end) break;
    const double x = std::strtod(points.c_str() + at, nullptr), y = std::strtod(points.c_str() + comma + 1, nullptr);
    box = {std::min(box.left, x), std::min(box.top, y), std::max(box.right, x), std::max(box.bottom, y)};
    at = std::min(end, points.size());
  }
  return box;
}

void mark(Element& element, std::size_t rank, bool line) {
  element.add_class(line ? "back line" : "back");
  element.add_class(fmt::format("at{}", rank));
}

// In a card of both directions, and in a line of both: what is painted by a gradient, and the words on that.
void mark_parts(Element& group, std::size_t rank, bool all, const Paints& paints) {
  std::vector<Box> chips;
  const bool edge = group.has_class("edge");
  for (Element& shape : group.children) {
    if (shape.name == "title" || shape.name == "text") continue;
    const bool filled = paints.is_heat(shape.get("fill")), drawn = paints.is_heat(shape.get("stroke"));
    if (filled && !edge) chips.push_back(box_of(shape));
    if (all || filled || drawn) mark(shape, rank, edge && shape.name == "path");
  }
  for (Element& text : group.children) {
    if (text.name != "text") continue;
    const double x = std::strtod(std::string(text.get("x")).c_str(), nullptr);
    const double y = std::strtod(std::string(text.get("y")).c_str(), nullptr);
    if (all || std::any_of(chips.begin(), chips.end(), [&](const Box& chip) { return chip.holds(x, y); }))
      mark(text, rank, false);
  }
}

// Returns the numbers of the steps.
std::vector<std::uint32_t> mark_steps(std::vector<Element>& groups, const Paints& paints) {
  std::set<std::uint32_t> steps;
  for (const Element& group : groups)
    if (const std::optional<std::uint32_t> step = step_of(group.get("class"))) steps.insert(*step);
  for (Element& group : groups) {
    const std::optional<std::uint32_t> step = step_of(group.get("class"));
    if (!step) continue;
    const auto rank = static_cast<std::size_t>(std::distance(steps.begin(), steps.find(*step)));
    const bool backward = group.has_class("bwd");
    if (backward && group.has_class("node")) mark(group, rank, false);
    else mark_parts(group, rank, backward, paints);
  }
  return {steps.begin(), steps.end()};
}

}  // namespace

std::string Paints::join(const std::string& light, const std::string& dark) {
  std::string joined = light;
  if (light.size() != dark.size()) throw Error("graphviz: the themes of a picture differ in more than colours");
  for (std::size_t i = 0; i < light.size(); ++i) {
    if (light[i] == dark[i]) continue;
    const std::size_t begin = light.rfind('#', i);
    if (begin == std::string::npos || i - begin >= colour_length)
      throw Error("graphviz: the themes of a picture differ in more than colours");
    const std::pair colours{light.substr(begin, colour_length), dark.substr(begin, colour_length)};
    const auto [found, is_new] = known_.emplace(colours, pairs_.size());
    if (is_new) pairs_.push_back({colours.first, colours.second});
    joined.replace(begin, colour_length, fmt::format("#{:06x}", first_stand_in + found->second));
    i = begin + colour_length - 1;
  }
  return joined;
}

const Paints::Pair* Paints::pair(std::string_view colour) const {
  if (colour.size() != colour_length || colour[0] != '#') return nullptr;
  const unsigned long number = std::strtoul(std::string(colour.substr(1)).c_str(), nullptr, 16);
  return number >= first_stand_in && number - first_stand_in < pairs_.size() ? &pairs_[number - first_stand_in]
                                                                             : nullptr;
}

bool Paints::is_heat(std::string_view colour) const {
  if (colour.empty() || colour[0] != '#') return false;
  const Pair* const both = pair(colour);
  return both != nullptr ? paints_gradient(both->light, both->dark) : paints_gradient(std::string(colour));
}

Svg refine(const std::string& from_dot, const Paints& paints) {
  Svg svg{read_xml(from_dot), {}, {}};
  for (Element& graph : svg.root.children) {
    std::erase_if(graph.children, [](const Element& child) { return child.name == "title"; });
    for (Element& group : graph.children)
      if (group.name == "g") simplify(group);
    svg.steps = mark_steps(graph.children, paints);
  }
  svg.root.set("xml:space", "preserve");
  colour(svg.root, paints, svg.dark_rules);
  return svg;
}

std::string svg_file(Svg svg, std::string rules) {
  if (!svg.dark_rules.empty())
    rules += fmt::format("@media (prefers-color-scheme:dark){{{}}}", fmt::join(svg.dark_rules, ""));
  if (!rules.empty()) svg.root.children.insert(svg.root.children.begin(), element("style", rules));
  std::string text = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n";
  write_xml(svg.root, text);
  return text + '\n';
}

std::string svg_file(const std::string& from_dot, const Paints& paints, const DotOptions& options) {
  Svg svg = refine(from_dot, paints);
  const std::string rules = options.play ? playing(svg.steps.size(), options.theme) : "";
  return svg_file(std::move(svg), rules);
}

}  // namespace ebb::graphviz
