// What pieces are called.
#include "fold_pieces.h"
#include "text.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>

namespace ebb::graphviz {

namespace {

constexpr std::size_t longest_title = 60;

/// The longest run of names, module for module, with which both paths begin.
std::string_view common(std::string_view a, std::string_view b) {
  std::size_t same = 0;
  for (std::size_t i = 0; i <= std::min(a.size(), b.size()); ++i) {
    const bool ends = (i == a.size() || a[i] == '.') && (i == b.size() || b[i] == '.');
    if (ends && i <= names_of(a).size()) same = i;
    if (i == a.size() || i == b.size() || a[i] != b[i]) break;
  }
  return a.substr(0, same);
}

/// The module below `above` that `path` lies in; empty if it lies in `above` itself.
std::string_view below(std::string_view path, std::string_view above) {
  if (path.size() == above.size()) return {};
  return path.substr(0, names_of(path).find('.', above.empty() ? 1 : above.size() + 2));
}

const Record& op(const Foldable& graph, Place place) { return graph.trace.records[graph.order.record[place]]; }

/// "mul × 60, add × 50, tanh".
std::string names_in(const Foldable& graph, Place first, Place end) {
  std::map<std::string_view, std::int64_t> counts;
  for (Place place = first; place < end; ++place) ++counts[op(graph, place).op];
  std::vector<std::pair<std::string_view, std::int64_t>> names(counts.begin(), counts.end());
  std::stable_sort(names.begin(), names.end(), [](const auto& a, const auto& b) { return a.second > b.second; });
  std::string text;
  for (std::size_t i = 0; i < std::min<std::size_t>(names.size(), 3); ++i) {
    text += (i == 0 ? "" : ", ") + shorten(names[i].first, 20);
    if (names[i].second > 1) text += " × " + thousands(names[i].second);
  }
  return names.size() > 3 ? text + ", …" : text;
}

Words of_call(const Foldable& graph, std::uint32_t c) {
  const auto& calls = graph.order.calls;
  const auto inner_is_all = [&] {
    const std::size_t inner = c + 1;
    return inner < calls[c].next && calls[inner].first == calls[c].first && calls[inner].end == calls[c].end;
  };
  const auto is_one = [&](const Call& other) {
    return other.path == calls[c].path && other.backward == calls[c].backward;
  };
  auto all = std::count_if(calls.begin(), calls.end(), is_one);
  while (all > 1 && calls[c].kind.empty() && inner_is_all()) {  // one of a list's modules: its own name says more
    ++c;
    all = std::count_if(calls.begin(), calls.end(), is_one);
  }
  const Call& call = calls[c];
  Words words{(call.backward ? "∂ " : "") + std::string(call.path),
              call.kind == call.path ? "" : std::string(call.kind)};
  if (all > 1) {
    const auto before = std::count_if(calls.begin(), calls.begin() + c, is_one);
    words.detail += fmt::format("{}call {} of {}", words.detail.empty() ? "" : ", ", before + 1, all);
  }
  return words;
}

/// The call that a block of a repeat is, if it is one.
const Call* call_of(const Foldable& graph, const Repeat& repeat, std::size_t block) {
  const Place first = repeat.block(block);
  const std::vector<Call>& calls = graph.order.calls;
  for (std::uint32_t c = repeat.call + 1; c < calls[repeat.call].next; c = calls[c].next)
    if (calls[c].first == first) return calls[c].end == first + repeat.length ? &calls[c] : nullptr;
  return nullptr;
}

/// Its module.
std::string_view module_of(const Foldable& graph, const Repeat& repeat, std::size_t block) {
  const Call* const call = call_of(graph, repeat, block);
  return call == nullptr ? std::string_view() : call->path;
}

struct Noun {
  const char *one, *many;
};
Noun noun(const Repeat& repeat) {
  if (repeat.parameters == Repeat::Parameters::distinct) return {"layer", "layers"};
  return repeat.recurrent ? Noun{"step", "steps"} : Noun{"copy", "copies"};
}

/// "step 1", "steps 3 – 48", "encoder.2 – encoder.45".
std::string title_of(const Foldable& graph, const Repeat& repeat, std::size_t first, std::size_t count) {
  const std::string_view from = module_of(graph, repeat, first), to = module_of(graph, repeat, first + count - 1);
  const auto [one, many] = noun(repeat);
  if (!from.empty() && from != to) return shorten(from, longest_title / 2) + " – " + shorten(to, longest_title / 2);
  if (count == 1) {
    const std::string_view other = module_of(graph, repeat, first == 0 ? 1 : 0);
    return !from.empty() && from != other ? shorten(from, longest_title) : fmt::format("{} {}", one, first + 1);
  }
  return fmt::format("{} {} – {}", many, thousands(static_cast<std::int64_t>(first) + 1),
                     thousands(static_cast<std::int64_t>(first + count)));
}

Words of_blocks(const Foldable& graph, const Piece& piece) {
  const Repeat& repeat = graph.repeats[piece.of];
  Words words{title_of(graph, repeat, piece.block, piece.blocks), ""};
  if (piece.blocks == 1) {
    if (const Call* const call = call_of(graph, repeat, piece.block); call != nullptr)
      words.detail = call->path != words.title ? call->path : call->kind;
    return words;
  }
  using enum Repeat::Parameters;
  words.detail = "× " + thousands(piece.blocks);
  if (repeat.parameters == same) words.detail += ", same parameters";
  if (repeat.parameters == distinct) words.detail += ", distinct parameters";
  if (repeat.parameters == some) words.detail += ", some parameters the same";
  return words;
}

/// "46 of 50 steps of lstm"; "50 steps of lstm" where each is folded.
std::string sentence(const Foldable& graph, const Repeat& repeat, std::uint32_t folded) {
  const auto all = static_cast<std::int64_t>(repeat.blocks());
  const std::string_view module = module_of(graph, repeat, 0);
  const std::string_view path =
      module.empty() || module != module_of(graph, repeat, 1) ? graph.order.calls[repeat.call].path : module;
  return fmt::format("{}{} {}{}", folded == all ? "" : thousands(folded) + " of ", thousands(all), noun(repeat).many,
                     path.empty() ? "" : " of " + shorten(path, longest_title));
}

Words of_stretch(const Foldable& graph, const Piece& piece) {
  const std::string ops = count(piece.end - piece.first, "op");
  Words words{ops, names_in(graph, piece.first, piece.end)};
  if (piece.end - piece.first == 1) {
    words.title = shorten(op(graph, piece.first).op, longest_title);
    words.detail = count(std::ssize(op(graph, piece.first).operands), "operand");
    return words;
  }
  std::string_view path = op(graph, piece.first).scope;
  for (Place place = piece.first; place < piece.end; ++place) path = common(path, op(graph, place).scope);
  const std::string_view from = below(op(graph, piece.first).scope, path);
  const std::string_view to = below(op(graph, piece.end - 1).scope, path);
  if (!from.empty() && !to.empty() && from != to)
    words.title = shorten(from, longest_title / 2) + " – " + shorten(to, longest_title / 2);
  else if (!path.empty()) words.title = shorten(path, longest_title);
  else return words;
  words.detail = ops + ": " + words.detail;
  return words;
}

Words of_chain(const Foldable& graph, const Piece& piece) {
  std::string title;
  for (Place place = piece.first; place < piece.end && title.size() < 4 * longest_title; ++place)
    title += (title.empty() ? "" : " · ") + std::string(op(graph, place).op);
  return {shorten(title, longest_title), count(piece.end - piece.first, "pointwise op")};
}

}  // namespace

Words words_of(const Foldable& graph, const Piece& piece, const std::string& focus) {
  const auto beside_focus = [&](const char* where) {
    return Words{where + (" " + shorten(focus, longest_title)), names_in(graph, piece.first, piece.end)};
  };
  switch (piece.kind) {
    case Piece::Kind::module:
      return of_call(graph, piece.of);
    case Piece::Kind::block:
      return of_blocks(graph, piece);
    case Piece::Kind::chain:
      return of_chain(graph, piece);
    case Piece::Kind::before:
      return beside_focus("before");
    case Piece::Kind::between:
      return beside_focus("beside");
    case Piece::Kind::after:
      return beside_focus("after");
    case Piece::Kind::modules:
    case Piece::Kind::stretch:
      break;
  }
  return of_stretch(graph, piece);
}

std::vector<std::string> summary(const Foldable& graph, const std::vector<Piece>& pieces, const std::string& focus) {
  constexpr std::size_t most_repeats = 3;
  std::vector<std::string> text;
  const auto any = [&](auto... kinds) {
    return std::any_of(pieces.begin(), pieces.end(), [&](const Piece& p) { return ((p.kind == kinds) || ...); });
  };
  using enum Piece::Kind;
  if (any(before, between, after)) text.push_back("all but " + shorten(focus, longest_title));
  std::map<std::uint32_t, std::uint32_t> repeats;  // and how many of their blocks are folded
  bool inner = false;
  for (const Piece& piece : pieces) {
    if (piece.kind != block) continue;
    if (graph.repeats[piece.of].inner) inner = true;
    else repeats[piece.of] += piece.blocks;
  }
  std::size_t told = 0;
  for (const auto& [of, blocks] : repeats)
    if (told++ < most_repeats) text.push_back(sentence(graph, graph.repeats[of], blocks));
  if (repeats.size() > most_repeats)
    text.push_back(count(static_cast<std::int64_t>(repeats.size() - most_repeats), "more repeat"));
  if (inner) text.push_back("repeats within them");
  int level = 0;
  for (const Piece& piece : pieces)
    if (piece.kind == module && (level == 0 || graph.order.calls[piece.of].level < level))
      level = graph.order.calls[piece.of].level;
  if (level > 0) text.push_back(fmt::format("modules at depth {}", level));
  if (any(modules)) text.push_back("all modules as one");
  if (any(chain)) text.push_back("pointwise ops in a row");
  if (any(stretch)) text.push_back("neighbours");
  return text;
}

}  // namespace ebb::graphviz
