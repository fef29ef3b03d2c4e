// A training as one SVG: what differs between its pictures is shown in turn, by CSS alone.
#include "draw.h"
#include "file.h"
#include "frames.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>

namespace ebb::graphviz {

namespace {

Element& graph_of(Svg& svg) {
  const auto found = std::find_if(svg.root.children.begin(), svg.root.children.end(),
                                  [](const Element& child) { return child.name == "g"; });
  if (found == svg.root.children.end()) throw IoError("graphviz: dot wrote an SVG that cannot be read");
  return *found;
}

std::string text_of(const Element& element) {
  std::string text;
  write_xml(element, text);
  return text;
}

// Whether their children can be told apart one by one: the same cards and lines, in the same place.
bool fit_together(Svg& a, Svg& b) {
  const Element &first = graph_of(a), &second = graph_of(b);
  return a.root.get("viewBox") == b.root.get("viewBox") && first.get("transform") == second.get("transform") &&
         std::equal(first.children.begin(), first.children.end(), second.children.begin(), second.children.end(),
                    [](const Element& x, const Element& y) { return x.name == y.name && x.get("id") == y.get("id"); });
}

// Shown while frame `number` is; the last is what a reader sees who wants no motion.
Element shown_in(std::size_t number, std::size_t last) {
  Element group;
  group.name = 'g';
  group.set("class", fmt::format("turn turn{}", number));
  if (number != last) group.set("visibility", "hidden");
  return group;
}

// "0.00 0.00 width height".
double area(const Svg& svg) {
  const std::string box(svg.root.get("viewBox"));
  const std::size_t width = box.find(' ', box.find(' ') + 1), height = box.rfind(' ');
  if (width == std::string::npos) return 0;
  return std::strtod(box.c_str() + width, nullptr) * std::strtod(box.c_str() + height, nullptr);
}

// All frames in one tree: what is the same in all of them once.
Element joined(std::vector<Svg>& frames) {
  const bool fit =
      std::all_of(frames.begin(), frames.end(), [&](Svg& frame) { return fit_together(frames.front(), frame); });
  const std::size_t last = frames.size() - 1;
  Element all = graph_of(frames.front());
  all.children.clear();
  if (!fit) {
    all.attributes.clear();
    for (std::size_t i = 0; i <= last; ++i) {
      Element group = shown_in(i, last);
      group.children.push_back(graph_of(frames[i]));
      all.children.push_back(std::move(group));
    }
    return all;
  }
  for (std::size_t child = 0; child < graph_of(frames.front()).children.size(); ++child) {
    std::vector<std::string> texts;
    for (Svg& frame : frames) texts.push_back(text_of(graph_of(frame).children[child]));
    if (std::all_of(texts.begin(), texts.end(), [&](const std::string& text) { return text == texts.front(); })) {
      all.children.push_back(graph_of(frames.front()).children[child]);
      continue;
    }
    for (std::size_t i = 0; i <= last; ++i) {
      Element group = shown_in(i, last);
      group.children.push_back(graph_of(frames[i]).children[child]);
      all.children.push_back(std::move(group));
    }
  }
  return all;
}

// Each frame in its turn; the last stays longer.
std::string turns(std::size_t frames) {
  constexpr double after = 2, pace = 0.8, longest = 20;
  if (frames == 1) return "";
  const double each = std::min(pace, (longest - after) / static_cast<double>(frames));
  const double all = each * static_cast<double>(frames) + after;
  const auto percent = [&](double seconds) { return fmt::format("{:.2f}%", 100 * seconds / all); };
  std::string rules = fmt::format(
      "@media (prefers-reduced-motion:no-preference){{.turn{{animation:var(--at) {:.2f}s step-end infinite}}", all);
  for (std::size_t i = 0; i < frames; ++i) {
    const std::string begin = percent(each * static_cast<double>(i));
    const std::string shown =
        i == 0 ? "0%{visibility:visible}" : "0%{visibility:hidden}" + begin + "{visibility:visible}";
    const std::string end = i + 1 == frames ? "" : percent(each * static_cast<double>(i + 1)) + "{visibility:hidden}";
    rules += fmt::format(".turn{0}{{--at:turn{0}}}@keyframes turn{0}{{{1}{2}}}", i, shown, end);
  }
  return rules + "}";
}

}  // namespace

void film(const std::vector<Part>& parts, const std::string& file, const DotOptions& options) {
  DotOptions scaled = on_one_scale(parts, options);
  scaled.play = false;
  Replacement out(file);
  Paints paints;
  std::vector<Svg> frames;
  std::vector<std::string> pictures;
  for (const Part& part : parts) {
    Page page(part.trace, titled(part, scaled));
    pictures.push_back(run_dot(page, "svg", paints));
  }
  for (const std::string& picture : pictures) frames.push_back(refine(picture, paints));

  Svg film =
      *std::max_element(frames.begin(), frames.end(), [](const Svg& a, const Svg& b) { return area(a) < area(b); });
  for (const Svg& frame : frames) film.dark_rules.insert(frame.dark_rules.begin(), frame.dark_rules.end());
  graph_of(film) = joined(frames);
  out.write(svg_file(std::move(film), turns(frames.size())));
  out.commit();
}

}  // namespace ebb::graphviz
