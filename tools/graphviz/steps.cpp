#include "steps.h"

#include "theme.h"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <map>
#include <optional>
#include <set>
#include <string_view>

namespace ebb::graphviz {

namespace {

// "  b4 -> b5:e [class="bwd step4" ...]": in texts of users there are no line breaks, and no quotes that are not escaped.
struct Statement {
  std::string text;
  std::string name;  // of the node, or of the one that the line begins at; empty: something else
  bool is_edge = false;
  std::size_t attributes = 0;           // behind the "["
  std::size_t classes = 0, length = 0;  // of the value of the attribute class; 0: it has none

  std::string_view class_names() const { return std::string_view(text).substr(classes, length); }
};

bool in_name(char c) { return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '_'; }

Statement read_statement(std::string text) {
  constexpr std::string_view opening = "class=\"";
  Statement s;
  s.text = std::move(text);
  const std::size_t begin = s.text.find_first_not_of(' '), bracket = s.text.find('[');
  if (begin == std::string::npos || bracket == std::string::npos) return s;
  std::size_t end = begin;
  while (end < bracket && in_name(s.text[end])) ++end;
  const std::string_view between = std::string_view(s.text).substr(end, bracket - end);
  s.is_edge = between.find("->") != std::string_view::npos;
  if (end == begin || (!s.is_edge && between != " ")) return s;
  s.name = s.text.substr(begin, end - begin);
  s.attributes = bracket + 1;
  const std::size_t classes = s.text.find(opening, bracket);
  if (classes == std::string::npos) return s;
  s.classes = classes + opening.size();
  s.length = std::min(s.text.find('"', s.classes), s.text.size()) - s.classes;
  return s;
}

std::vector<Statement> read_statements(const std::string& dot) {
  std::vector<Statement> statements;
  for (std::size_t begin = 0; begin < dot.size();) {
    const std::size_t end = std::min(dot.find('\n', begin), dot.size());
    statements.push_back(read_statement(dot.substr(begin, end - begin)));
    begin = end + 1;
  }
  return statements;
}

std::string text_of(const std::vector<Statement>& statements) {
  std::string text;
  for (const Statement& s : statements) text += s.text + '\n';
  return text;
}

// Paints what a gradient painted, or all of it, faintly.  Colours stand in attributes, one or several: "#4a5a70:#d95f0e".
void fade_colours(std::string& text, bool all, Theme theme) {
  constexpr std::size_t length = 7;
  for (const std::string_view attribute : {"color=\"", "COLOR=\""}) {
    for (std::size_t at = text.find(attribute); at != std::string::npos; at = text.find(attribute, at)) {
      for (at += attribute.size(); text.compare(at, 1, "#") == 0; at += text.compare(at, 1, ":") == 0) {
        const std::string colour = text.substr(at, length);
        if (all || paints_gradient(colour)) text.replace(at, length, faint(colour, theme));
        at += length;
      }
    }
  }
}

}  // namespace

std::optional<std::uint32_t> step_of(std::string_view classes) {
  constexpr std::string_view word = "step";
  for (std::size_t at = classes.find(word); at != std::string_view::npos; at = classes.find(word, at + 1)) {
    std::uint64_t step = 0;
    std::size_t end = at + word.size();
    while (end < classes.size() && classes[end] >= '0' && classes[end] <= '9' && step < UINT32_MAX)
      step = step * 10 + static_cast<std::uint64_t>(classes[end++] - '0');
    const bool whole = (at == 0 || classes[at - 1] == ' ') && (end == classes.size() || classes[end] == ' ');
    if (whole && end > at + word.size()) return static_cast<std::uint32_t>(std::min<std::uint64_t>(step, UINT32_MAX));
  }
  return std::nullopt;
}

std::string give_steps(const std::string& dot) {
  std::vector<Statement> statements = read_statements(dot);
  std::map<std::string, std::uint32_t> last;
  for (Statement& s : statements) {
    if (!s.is_edge) continue;
    if (s.class_names().substr(0, 4) == "seed") s.text.insert(s.classes + 4, " step0");
    const std::optional<std::uint32_t> step = step_of(s.class_names());
    if (step) last[s.name] = std::max(last[s.name], *step);
  }
  for (Statement& s : statements) {
    const auto found = last.find(s.name);
    if (s.is_edge || found == last.end() || step_of(s.class_names())) continue;
    if (s.classes != 0) s.text.insert(s.classes + s.length, fmt::format(" step{}", found->second));
    else s.text.insert(s.attributes, fmt::format("class=\"step{}\" ", found->second));
  }
  return text_of(statements);
}

std::vector<std::uint32_t> steps_in(const std::string& dot) {
  std::set<std::uint32_t> steps;
  for (const Statement& s : read_statements(dot))
    if (const std::optional<std::uint32_t> step = step_of(s.class_names())) steps.insert(*step);
  return {steps.begin(), steps.end()};
}

std::string fade(const std::string& dot, std::uint32_t after, Theme theme) {
  std::vector<Statement> statements = read_statements(dot);
  for (Statement& s : statements) {
    const std::optional<std::uint32_t> step = step_of(s.class_names());
    if (step && *step > after) fade_colours(s.text, s.class_names().substr(0, 3) == "bwd", theme);
  }
  return text_of(statements);
}

}  // namespace ebb::graphviz
