#include "html.h"

#include "describe.h"
#include "theme.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <charconv>
#include <nlohmann/json.hpp>
#include <optional>

namespace ebb::graphviz {

namespace {

using Json = nlohmann::ordered_json;

// Which card of which part has this name in DOT: "b12"; "s12_0" for an operand; "an12", "bn12" in several parts.
struct Card {
  std::size_t part = 0;
  char kind = 0;
  std::uint32_t id = 0;
  std::size_t operand = 0;
};

std::optional<Card> read_card(std::string_view name, const std::vector<Part>& parts) {
  constexpr std::string_view loss = "loss";
  Card card;
  std::string_view before;
  if (name.size() >= loss.size() && name.substr(name.size() - loss.size()) == loss) {
    before = name.substr(0, name.size() - loss.size());
  } else {
    const std::size_t digits = name.find_first_of("0123456789");
    if (digits == std::string_view::npos || digits == 0) return std::nullopt;
    before = name.substr(0, digits - 1);
    card.kind = name[digits - 1];
    const char* const end = name.data() + name.size();
    const auto [rest, error] = std::from_chars(name.data() + digits, end, card.id);
    if (error != std::errc{}) return std::nullopt;
    if (rest != end && *rest == '_') std::from_chars(rest + 1, end, card.operand);
  }
  std::size_t part = 0;  // a ... z, then aa ...
  for (const char letter : before) part = part * 26 + static_cast<std::size_t>(letter - 'a') + 1;
  card.part = part == 0 ? 0 : part - 1;
  if (card.part >= parts.size()) return std::nullopt;
  const Trace& trace = parts[card.part].trace;
  if (card.kind == 0) card.id = trace.root;
  return card.id != 0 && trace.holds(card.id) ? std::optional(card) : std::nullopt;
}

// The records that a card tells of.
std::vector<std::uint32_t> records_of(const Card& card, const Trace& trace) {
  const std::span<const Operand> operands = trace[card.id].operands;
  const bool of_operand = card.kind == 's' || card.kind == 'c';
  if (of_operand)
    return card.operand < operands.size() ? std::vector{operands[card.operand].id} : std::vector<std::uint32_t>{};
  std::vector<std::uint32_t> ids;
  if (card.kind == 'm')
    for (const Operand& o : operands)
      if (o.id != 0 && !trace[o.id].is_op() && trace[o.id].kind != Node::Kind::constant) ids.push_back(o.id);
  const bool point = card.kind == 'v' || card.kind == 'r';
  if (ids.empty() && !point) ids.push_back(card.id);
  return ids;
}

Json data_of(const Svg& svg, const Page& page) {
  Json cards = Json::object(), records = Json::object();
  const auto tell = [&](const Element& node) {
    const std::string name(node.get("id"));
    const std::optional<Card> card = read_card(name, page.parts());
    if (!card) return;
    const Trace& trace = page.parts()[card->part].trace;
    for (const std::uint32_t id : records_of(*card, trace)) {
      const std::string key = fmt::format("{}:{}", card->part, id);
      cards[name].push_back(key);
      if (records.contains(key)) continue;
      const Description about = describe(trace, trace[id], page.options().color == Color::time);
      records[key] = {{"title", about.title}, {"find", about.title + " " + about.path}, {"facts", about.lines}};
    }
  };
  for (const Element& graph : svg.root.children)
    for (const Element& group : graph.children)
      if (group.has_class("node")) tell(group);
  const std::string& title = page.options().title;
  return {{"title", title.empty() ? "Backpropagation" : title},
          {"play", page.options().play},
          {"steps", svg.steps},
          {"cards", cards},
          {"records", records}};
}

// No text can end the script that it stands in.
std::string as_script(const Json& data) {
  std::string text = data.dump(-1, ' ', false, Json::error_handler_t::replace);
  for (std::size_t at = text.find('<'); at != std::string::npos; at = text.find('<', at))
    text.replace(at, 1, "\\u003c");
  return text;
}

std::string colours(Theme theme) {
  const Palette& c = palette(theme);
  return fmt::format(
      ":root{{--page:{};--band:{};--card:{};--line:{};--text:{};--muted:{};--accent:{};color-scheme:{}}}", c.page,
      c.band, c.card, c.card_line, c.text, c.muted, c.hot, theme == Theme::dark ? "dark" : "light");
}

std::string styles(const Svg& svg, Theme theme) {
  std::string text = "<style>\n" + colours(theme) + "\n" + viewer_style + "</style>";
  if (theme != Theme::automatic) return text;
  return text + fmt::format("\n<style id=\"dark\" media=\"(prefers-color-scheme: dark)\">\n{}{}\n</style>",
                            colours(Theme::dark), fmt::join(svg.dark_rules, ""));
}

}  // namespace

std::string html_page(Svg svg, const Page& page) {
  std::erase_if(svg.root.attributes, [](const auto& a) { return a.first == "width" || a.first == "height"; });
  std::string picture;
  write_xml(svg.root, picture);
  const std::string scripts = "<script type=\"application/json\" id=\"data\">" + as_script(data_of(svg, page)) +
                              "</script>\n<script>\n" + viewer_script + "</script>";
  std::string text;
  std::string_view rest = viewer_page;
  const auto put = [&](std::string_view mark, const std::string& part) {
    const std::size_t at = rest.find(mark);
    text.append(rest.substr(0, at)).append(part);
    rest.remove_prefix(at + mark.size());
  };
  put("<!-- styles -->", styles(svg, page.options().theme));
  put("<!-- picture -->", picture);
  put("<!-- scripts -->", scripts);
  return text.append(rest);
}

}  // namespace ebb::graphviz
