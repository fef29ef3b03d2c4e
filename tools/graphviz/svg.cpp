#include "svg.h"

#include "play.h"
#include "theme.h"

#include "../../autograd/error.h"

#include <fmt/format.h>

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

std::string stand_in(std::size_t i) { return fmt::format("#{:06x}", first_stand_in + i); }

// The pair that an attribute's value stands for; null if it is a colour itself.
const Paints::Pair* pair_of(std::string_view value, const Paints& paints) {
  if (value.size() != colour_length || value[0] != '#') return nullptr;
  const unsigned long number = std::stoul(std::string(value.substr(1)), nullptr, 16);
  const bool stands = number >= first_stand_in && number - first_stand_in < paints.pairs.size();
  return stands ? &paints.pairs[number - first_stand_in] : nullptr;
}

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

// A group of dot's: its `title` is its DOT name, which is returned and becomes the id of a node; the tooltip takes its place.
std::string simplify(Element& group) {
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
  return name;
}

// ---- colours --------------------------------------------------------------------------------------------------------

void colour(Element& element, const Paints& paints, std::set<std::string>& rules) {
  for (const char* const attribute : {"fill", "stroke"}) {
    if (element.get(attribute) == "transparent") element.set(attribute, "none");  // which is no colour of SVG 1.1
    const Paints::Pair* const pair = pair_of(element.get(attribute), paints);
    if (pair == nullptr) continue;
    const std::string word = fmt::format("{}{}", attribute[0], pair - paints.pairs.data());
    element.set(attribute, pair->light);
    element.add_class(word);
    rules.insert(fmt::format(".{}{{{}:{}}}", word, attribute, pair->dark));
  }
  for (Element& child : element.children) colour(child, paints, rules);
}

bool is_heat(std::string_view value, const Paints& paints) {
  if (value.empty() || value[0] != '#') return false;
  const Paints::Pair* const pair = pair_of(value, paints);
  return pair != nullptr ? paints_gradient(pair->light, pair->dark) : paints_gradient(std::string(value));
}

// ---- what a gradient paints -----------------------------------------------------------------------------------------

// The number N of a class stepN; none for a group without a step.
std::optional<std::uint32_t> own_step(const Element& group) {
  const std::string classes = ' ' + std::string(group.get("class"));
  const std::size_t at = classes.find(" step");
  if (at == std::string::npos || classes.find_first_of("0123456789", at) != at + 5) return std::nullopt;
  return static_cast<std::uint32_t>(std::stoul(classes.substr(at + 5)));
}

// For each of the groups, the step that brings it its gradient.  That of a leaf is there once the last line has brought its
// share; a line's name is "from&#45;&gt;to" with ports "from:e".
std::vector<std::optional<std::uint32_t>> steps_of(const std::vector<Element>& groups,
                                                   const std::vector<std::string>& names) {
  std::vector<std::optional<std::uint32_t>> steps;
  std::map<std::string, std::uint32_t> last;
  for (std::size_t i = 0; i < groups.size(); ++i) {
    steps.push_back(own_step(groups[i]));
    if (!steps[i] || !groups[i].has_class("edge")) continue;
    std::uint32_t& latest = last[names[i].substr(0, names[i].find_first_of(":&"))];
    latest = std::max(latest, *steps[i]);
  }
  for (std::size_t i = 0; i < groups.size(); ++i)
    if (const auto found = last.find(names[i]); !steps[i] && found != last.end()) steps[i] = found->second;
  return steps;
}

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
    const bool filled = is_heat(shape.get("fill"), paints), drawn = is_heat(shape.get("stroke"), paints);
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
std::vector<std::uint32_t> mark_steps(std::vector<Element>& groups, const std::vector<std::string>& names,
                                      const Paints& paints) {
  const std::vector<std::optional<std::uint32_t>> steps = steps_of(groups, names);
  std::set<std::uint32_t> numbers;
  for (const std::optional<std::uint32_t>& step : steps)
    if (step) numbers.insert(*step);
  for (std::size_t i = 0; i < groups.size(); ++i) {
    if (!steps[i]) continue;
    const auto rank = static_cast<std::size_t>(std::distance(numbers.begin(), numbers.find(*steps[i])));
    const bool backward = groups[i].has_class("bwd");
    if (backward && groups[i].has_class("node")) mark(groups[i], rank, false);
    else mark_parts(groups[i], rank, backward, paints);
  }
  return {numbers.begin(), numbers.end()};
}

}  // namespace

Paints join(const std::string& light, const std::string& dark) {
  Paints paints{light, {}};
  std::map<std::pair<std::string, std::string>, std::size_t> known;
  if (light.size() != dark.size()) throw Error("graphviz: the themes of a picture differ in more than colours");
  for (std::size_t i = 0; i < light.size(); ++i) {
    if (light[i] == dark[i]) continue;
    const std::size_t begin = light.rfind('#', i);
    if (begin == std::string::npos || i - begin >= colour_length)
      throw Error("graphviz: the themes of a picture differ in more than colours");
    const std::pair colours{light.substr(begin, colour_length), dark.substr(begin, colour_length)};
    const auto [found, is_new] = known.emplace(colours, known.size());
    if (is_new) paints.pairs.push_back({colours.first, colours.second});
    paints.dot.replace(begin, colour_length, stand_in(found->second));
    i = begin + colour_length - 1;
  }
  return paints;
}

Paints paint(const Page& page) {
  if (page.options().theme != Theme::automatic) return {page.dot(), {}};
  return join(page.dot(Theme::light), page.dot(Theme::dark));
}

Svg refine(const std::string& from_dot, const Paints& paints) {
  Svg svg{read_xml(from_dot), "", {}};
  std::set<std::string> rules;
  for (Element& graph : svg.root.children) {
    std::erase_if(graph.children, [](const Element& child) { return child.name == "title"; });
    std::vector<std::string> names;
    for (Element& group : graph.children) names.push_back(group.name == "g" ? simplify(group) : "");
    svg.steps = mark_steps(graph.children, names, paints);
  }
  svg.root.set("xml:space", "preserve");
  colour(svg.root, paints, rules);
  for (const std::string& rule : rules) svg.dark_rules += rule;
  return svg;
}

std::string svg_file(const std::string& from_dot, const Paints& paints, const DotOptions& options) {
  Svg svg = refine(from_dot, paints);
  std::string rules;
  if (options.play) rules += playing(svg.steps.size(), options.theme);
  if (!svg.dark_rules.empty()) rules += "@media (prefers-color-scheme:dark){" + svg.dark_rules + "}";
  if (!rules.empty()) svg.root.children.insert(svg.root.children.begin(), element("style", rules));
  std::string text = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n";
  write_xml(svg.root, text);
  return text + '\n';
}

}  // namespace ebb::graphviz
