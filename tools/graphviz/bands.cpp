#include "plan.h"

#include <algorithm>
#include <string_view>

namespace ebb::graphviz {

namespace {

// Ops of one call of one module.
struct Run {
  std::vector<Band::Title> titles;
  std::string path;
  std::uint32_t call = 0;
  std::vector<std::uint32_t> ops;
  bool has_parameters = false;
};

// A layer without a name goes by its kind, and the dot in "Dropout(0.5)" is none between modules.
std::string_view names_of(std::string_view path) { return path.substr(0, path.find('(')); }

std::string_view parent(std::string_view path) {
  const std::size_t dot = names_of(path).rfind('.');
  return dot == std::string_view::npos ? std::string_view() : path.substr(0, dot);
}

// "encoder.0" below "encoder" is "0"; below "" it is "encoder".
std::string_view component(std::string_view path, std::string_view above) {
  const std::string_view rest = above.empty() ? path : path.substr(std::min(path.size(), above.size() + 1));
  return rest.substr(0, names_of(rest).find('.'));
}

std::vector<Run> runs_of(const Trace& trace, const std::vector<std::uint32_t>& ops, bool in_rows) {
  std::vector<Run> runs;
  for (const std::uint32_t id : ops) {
    const Record& r = trace[id];
    const auto same = [&](const Run& run) { return run.path == r.scope && run.call == r.scope_call; };
    auto run = std::find_if(runs.rbegin(), runs.rend(), same);
    if (run == runs.rend() || (in_rows && run != runs.rbegin())) {
      const std::string path(r.scope);
      runs.push_back({{{path, std::string(r.scope_kind)}}, path, r.scope_call, {}, false});
      run = runs.rbegin();
    }
    run->ops.push_back(id);
    for (const Operand& o : r.operands)
      run->has_parameters = run->has_parameters || (o.id != 0 && trace[o.id].kind == Node::Kind::parameter);
  }
  return runs;
}

// A band for one activation is more frame than picture: it joins the layer before it, unless that is a module of layers,
// whose band would seem to hold the activation.
std::vector<Run> join_small(std::vector<Run> runs) {
  std::vector<Run> joined;
  const auto is_inside = [](const Run& run, const Run& outer) { return run.path.starts_with(outer.path + '.'); };
  const auto is_layer = [&](const std::vector<Run>& before) {
    return before.size() < 2 || !is_inside(before[before.size() - 2], before.back());
  };
  for (Run& run : runs) {
    const bool small = run.ops.size() == 1 && !run.has_parameters && !run.path.empty();
    if (small && !joined.empty() && !joined.back().path.empty() && parent(joined.back().path) == parent(run.path) &&
        is_layer(joined)) {
      joined.back().titles.push_back(run.titles[0]);
      joined.back().ops.push_back(run.ops[0]);
    } else {
      joined.push_back(std::move(run));
    }
  }
  return joined;
}

void gather(const std::vector<Run>& runs, Band& band) {
  for (const Run& run : runs) band.ops.insert(band.ops.end(), run.ops.begin(), run.ops.end());
}

// Fills `band`, whose module is `path`, with the runs inside of it.
void nest(const std::vector<Run>& runs, const std::string& path, int depth, bool in_rows, Band& band) {
  if (depth <= 0) return gather(runs, band);
  std::vector<std::pair<std::string, std::vector<Run>>> groups;
  for (const Run& run : runs) {
    const std::string name(component(run.path, path));
    const auto same = [&](const auto& group) { return group.first == name; };
    auto group = std::find_if(groups.rbegin(), groups.rend(), same);
    if (group == groups.rend() || (in_rows && group != groups.rbegin())) {
      groups.push_back({name, {}});
      group = groups.rbegin();
    }
    group->second.push_back(run);
  }
  for (const auto& [name, group] : groups) {
    if (name.empty()) {
      gather(group, band);
      continue;
    }
    const std::string inner_path = path.empty() ? name : path + '.' + name;
    const auto is_this = [&](const Run& run) { return run.path == inner_path; };
    const bool only_calls = std::all_of(group.begin(), group.end(), is_this);
    if (only_calls || group.size() == 1) {
      for (const Run& run : group) {
        Band inner;
        inner.titles = run.titles, inner.call = run.call, inner.ops = run.ops;
        band.inner.push_back(std::move(inner));
      }
      continue;
    }
    Band inner;
    const auto itself = std::find_if(group.begin(), group.end(), is_this);
    inner.titles = {{inner_path, itself == group.end() ? "" : itself->titles[0].kind}};
    nest(group, inner_path, depth - 1, in_rows, inner);
    band.inner.push_back(std::move(inner));
  }
}

void collect_calls(const Band& band, std::vector<std::pair<std::string, std::uint32_t>>& calls) {
  if (!band.titles.empty()) calls.emplace_back(band.titles[0].path, band.call);
  for (const Band& inner : band.inner) collect_calls(inner, calls);
}

// The graph numbers calls through; a picture counts those of each module, and is silent about a single one.
void count_calls(const std::vector<std::pair<std::string, std::uint32_t>>& calls, Band& band) {
  if (!band.titles.empty() && band.call != 0) {
    std::vector<std::uint32_t> mine;
    for (const auto& [path, call] : calls)
      if (path == band.titles[0].path && std::find(mine.begin(), mine.end(), call) == mine.end()) mine.push_back(call);
    const auto place = std::find(mine.begin(), mine.end(), band.call);
    band.call = mine.size() < 2 ? 0 : static_cast<std::uint32_t>(place - mine.begin()) + 1;
  }
  for (Band& inner : band.inner) count_calls(calls, inner);
}

}  // namespace

Band bands(const Trace& trace, const std::vector<std::uint32_t>& ops, int depth, bool in_rows) {
  std::vector<Run> runs = runs_of(trace, ops, in_rows);
  if (in_rows) runs = join_small(std::move(runs));
  Band all;
  nest(runs, "", depth, in_rows, all);
  std::vector<std::pair<std::string, std::uint32_t>> calls;
  collect_calls(all, calls);
  count_calls(calls, all);
  return all;
}

}  // namespace ebb::graphviz
