// One module and what is near it.
#include "fold_pieces.h"
#include "text.h"

#include "../../autograd/error.h"

#include <fmt/format.h>

#include <algorithm>
#include <numeric>

namespace ebb::graphviz {

namespace {

bool lies_in(std::string_view path, std::string_view module) {
  return path.starts_with(module) && (path.size() == module.size() || path[module.size()] == '.');
}

/// How many letters must change to make one of the other.
std::size_t distance(std::string_view a, std::string_view b) {
  std::vector<std::size_t> row(b.size() + 1);
  std::iota(row.begin(), row.end(), std::size_t{0});
  for (std::size_t i = 0; i < a.size(); ++i) {
    std::size_t diagonal = std::exchange(row[0], i + 1);
    for (std::size_t j = 0; j < b.size(); ++j) {
      const std::size_t changed = diagonal + (a[i] == b[j] ? 0 : 1);
      diagonal = row[j + 1];
      row[j + 1] = std::min({changed, row[j] + 1, diagonal + 1});
    }
  }
  return row.back();
}

[[noreturn]] void refuse(const Order& order, const std::string& focus) {
  constexpr std::size_t most_compared = 5000, most_letters = 100, most_shown = 4;
  std::vector<std::string_view> paths;
  for (const Call& call : order.calls)
    if (!call.path.empty() && paths.size() < most_compared) paths.push_back(call.path);
  std::sort(paths.begin(), paths.end());
  paths.erase(std::unique(paths.begin(), paths.end()), paths.end());
  const auto far = [&](std::string_view path) {
    return distance(path.substr(0, most_letters), std::string_view(focus).substr(0, most_letters));
  };
  std::vector<std::pair<std::size_t, std::string_view>> near;
  for (const std::string_view path : paths) near.emplace_back(far(path), path);
  std::stable_sort(near.begin(), near.end(), [](const auto& a, const auto& b) { return a.first < b.first; });
  std::string shown;
  for (std::size_t i = 0; i < std::min(near.size(), most_shown); ++i)
    shown += (i == 0 ? "" : ", ") + ("\"" + shorten(near[i].second, 60) + "\"");
  throw UsageError(fmt::format("graphviz: no module \"{}\" to focus on\n  help: {}", shorten(focus, 200),
                               shown.empty() ? "the graph was computed outside of modules" : "there is " + shown));
}

/// Marks what is within `radius` steps from op to op, in either direction, of what is marked.
void widen(const Order& order, int radius, std::vector<bool>& marked) {
  std::vector<std::uint32_t> begin(order.size() + std::size_t{1});  // of an op: where its readers begin
  const auto each_edge = [&](auto&& f) {
    for (Place op = 0; op < order.size(); ++op)
      for (std::uint32_t i = order.begin[op]; i < order.begin[op + 1]; ++i)
        if (const std::uint32_t read = order.reads[i]; read != nowhere && order.place[read] != nowhere)
          f(order.place[read], op);
  };
  each_edge([&](Place from, Place) { ++begin[from + 1]; });
  std::partial_sum(begin.begin(), begin.end(), begin.begin());
  std::vector<Place> readers(begin.back());
  std::vector<std::uint32_t> filled = begin;
  each_edge([&](Place from, Place to) { readers[filled[from]++] = to; });

  std::vector<Place> edge;
  for (Place op = 0; op < order.size(); ++op)
    if (marked[op]) edge.push_back(op);
  for (int step = 0; step < radius && !edge.empty(); ++step) {
    std::vector<Place> next;
    const auto reach = [&](Place op) {
      if (marked[op]) return;
      marked[op] = true;
      next.push_back(op);
    };
    for (const Place op : edge) {
      for (std::uint32_t i = begin[op]; i < begin[op + 1]; ++i) reach(readers[i]);
      for (std::uint32_t i = order.begin[op]; i < order.begin[op + 1]; ++i)
        if (const std::uint32_t read = order.reads[i]; read != nowhere && order.place[read] != nowhere)
          reach(order.place[read]);
    }
    edge = std::move(next);
  }
}

}  // namespace

std::vector<Piece> outside_focus(const Foldable& graph, const DotOptions& options) {
  if (options.focus.empty()) return {};
  const Order& order = graph.order;
  std::vector<bool> near(order.size());
  for (Place op = 0; op < order.size(); ++op)
    near[op] = lies_in(graph.trace.records[order.record[op]].scope, options.focus);
  const auto first = static_cast<Place>(std::find(near.begin(), near.end(), true) - near.begin());
  if (first == order.size()) refuse(order, options.focus);
  const auto last = order.size() - 1 - static_cast<Place>(std::find(near.rbegin(), near.rend(), true) - near.rbegin());
  widen(order, options.radius, near);
  if (graph.trace.root != 0) near[order.place[graph.trace.at(graph.trace.root)]] = true;

  std::vector<Piece> outside;
  for (Place op = 0; op < order.size();) {
    Place end = op;
    while (end < order.size() && near[end] == near[op]) ++end;
    const Piece::Kind kind = end <= first ? Piece::Kind::before : op > last ? Piece::Kind::after : Piece::Kind::between;
    if (!near[op] && end - op > 1) outside.push_back({op, end, kind, 0, 0, 1});
    op = end;
  }
  return outside;
}

}  // namespace ebb::graphviz
