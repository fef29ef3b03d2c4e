// The report: what is wrong with a net's gradients, in words that fit a terminal.
#include "../graphviz.h"

#include "findings.h"
#include "text.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>
#include <utility>

namespace ebb::graphviz {

namespace {

constexpr std::size_t columns = 100, most_of_a_kind = 6;

/// Lines that go on below themselves, moved in.
class Page {
 public:
  void line(std::string_view text, std::size_t indent = 0) {
    text_.append(indent, ' ');
    std::size_t used = indent;
    for (bool first = true; !text.empty(); first = false) {
      const std::size_t end = std::min(text.find(' '), text.size());
      const std::string_view word = text.substr(0, end);
      text.remove_prefix(std::min(end + 1, text.size()));
      const auto begins_character = [](char c) { return (c & 0xC0) != 0x80; };
      const auto wide = static_cast<std::size_t>(std::count_if(word.begin(), word.end(), begins_character));
      if (!first && used + 1 + wide > columns) {
        used = indent + 4;
        text_ += '\n' + std::string(used, ' ');
      } else if (!first) {
        text_ += ' ';
        ++used;
      }
      text_ += word;
      used += wide;
    }
    text_ += '\n';
  }
  const std::string& text() const { return text_; }

 private:
  std::string text_;
};

bool is_known(const Trace& trace) { return trace.observed && trace.differentiated; }

/// Why there is nothing to examine.
std::string unknown(const Trace& trace) {
  if (!trace.observed)
    return "nothing is known of the gradients: the graph was not observed\n"
           "  help: call graph.observe() before the model\n";
  return "nothing is known of the gradients: no backward ran\n  help: call backward() on the loss first\n";
}

/// "gradients reach all 3 layers, ∇ rms 0.0168 in 0 to 0.158 in 4, median 0.026"
std::string range(const Health& health) {
  if (health.learning == 0) return "nothing here learns: there is neither a parameter nor a variable";
  std::vector<Health::Layer> moving;
  for (const Health::Layer& layer : health.layers)
    if (moves(layer)) moving.push_back(layer);
  if (moving.empty())
    return "no gradient that is finite and not 0 reaches " +
           (health.learning == 1 ? "the layer" : "any of " + count(health.learning, "layer"));
  const std::string which = std::ssize(moving) < health.learning
                                ? fmt::format("{} of {}", moving.size(), health.learning)
                            : health.learning == 1 ? "the"
                            : health.learning == 2 ? "both"
                                                   : fmt::format("all {}", health.learning);
  const auto smaller = [](const Health::Layer& a, const Health::Layer& b) { return a.gradient < b.gradient; };
  const auto least = std::min_element(moving.begin(), moving.end(), smaller);
  const auto most = std::max_element(moving.begin(), moving.end(), smaller);
  std::string text = fmt::format("gradients reach {} layer{}, ∇ rms {} in {}", which, health.learning == 1 ? "" : "s",
                                 number(least->gradient), least->name);
  if (moving.size() > 1)
    text += fmt::format(" to {} in {}, median {}", number(most->gradient), most->name, number(health.median));
  if (health.relu_units > 0)
    text += fmt::format("; {:.0f}\u00a0% of ReLU units are dead", 100 * health.dead_units / health.relu_units);
  return text;
}

/// The findings, those of one kind together with what helps; `more` is said behind each.
template <class More> void list(const std::vector<Finding>& findings, const More& more, Page& page) {
  for (std::size_t first = 0; first < findings.size();) {
    const Finding::Kind kind = findings[first].kind;
    std::size_t end = first;
    while (end < findings.size() && findings[end].kind == kind) ++end;
    const std::size_t shown = std::min(end, first + most_of_a_kind);
    for (std::size_t i = first; i < shown; ++i)
      page.line(fmt::format("{}: {}{}", name_of(kind), findings[i].words, more(findings[i])), 2);
    if (shown < end) page.line(fmt::format("{}: {} more", name_of(kind), end - shown), 2);
    if (end == findings.size() || help_for(findings[end].kind) != help_for(kind))
      page.line(fmt::format("help: {}", help_for(kind)), 4);
    first = end;
  }
}

using Key = std::pair<Finding::Kind, std::string>;

std::set<Key> keys(const std::vector<Finding>& findings) {
  std::set<Key> all;
  for (const Finding& finding : findings) all.emplace(finding.kind, finding.place);
  return all;
}

/// What was found before and is gone at the end.
void list_passed(const std::vector<Moment>& moments, const std::vector<std::set<Key>>& found, Page& page) {
  std::set<Key> passed;
  for (const std::set<Key>& then : found) passed.insert(then.begin(), then.end());
  for (const Key& still : found.back()) passed.erase(still);
  std::size_t told = 0;
  for (const Key& key : passed) {
    if (told == most_of_a_kind) break;
    ++told;
    std::vector<std::int64_t> steps;
    for (std::size_t i = 0; i < moments.size(); ++i)
      if (found[i].contains(key)) steps.push_back(moments[i].step);
    const std::string when = steps.size() == 1 ? fmt::format("at step {}", thousands(steps[0]))
                                               : fmt::format("{} times from step {} to {}", steps.size(),
                                                             thousands(steps.front()), thousands(steps.back()));
    page.line(fmt::format("passed: {}, {}, {}", name_of(key.first), key.second, when), 2);
  }
  if (passed.size() > told) page.line(fmt::format("passed: {} more", passed.size() - told), 2);
}

}  // namespace

std::string report(const Trace& trace) {
  if (!is_known(trace)) return unknown(trace);
  const Health health = examine(trace);
  Page page;
  page.line((health.findings.empty() ? "healthy: " : "") + range(health));
  list(
      health.findings, [](const Finding&) { return ""; }, page);
  return page.text();
}

std::string report(const std::vector<Moment>& moments) {
  if (moments.empty()) return "nothing is known of the gradients: there is no trace\n";
  const Moment& last = moments.back();
  const std::string when = fmt::format("step {}: ", thousands(last.step));
  if (!is_known(last.trace)) return when + unknown(last.trace);
  std::vector<std::set<Key>> found;  // at each moment
  for (const Moment& moment : moments)
    found.push_back(is_known(moment.trace) ? keys(examine(moment.trace).findings) : std::set<Key>());

  const Health health = examine(last.trace);
  Page page;
  page.line(when + (health.findings.empty() ? "healthy: " : "") + range(health));
  const auto since = [&](const Finding& finding) {
    std::size_t first = moments.size() - 1;
    while (first > 0 && found[first - 1].contains({finding.kind, finding.place})) --first;
    return fmt::format(", since step {}", thousands(moments[first].step));
  };
  list(health.findings, since, page);
  list_passed(moments, found, page);
  return page.text();
}

}  // namespace ebb::graphviz
