#include "cards_rows.h"

#include <algorithm>

namespace ebb::graphviz {

namespace {

constexpr int sweeps = 12;

struct Neighbours {
  std::vector<std::size_t> above, below;
};

std::vector<Neighbours> neighbours_of(std::size_t size, const std::vector<std::pair<std::size_t, std::size_t>>& lines) {
  std::vector<Neighbours> all(size);
  for (const auto& [from, to] : lines) all[from].below.push_back(to), all[to].above.push_back(from);
  return all;
}

std::vector<std::size_t> levels_of(const std::vector<Neighbours>& all) {
  std::vector<std::size_t> level(all.size());
  const auto highest = [&](std::size_t i) {
    std::size_t row = 0;
    for (const std::size_t above : all[i].above) row = std::max(row, level[above] + 1);
    return row;
  };
  const auto lowest = [&](std::size_t i) {
    std::size_t row = all.size();
    for (const std::size_t below : all[i].below) row = std::min(row, level[below] - 1);
    return row;
  };
  for (std::size_t i = 0; i < all.size(); ++i) level[i] = highest(i);
  for (std::size_t i = all.size(); i-- > 0;)
    if (all[i].above.empty() && !all[i].below.empty()) level[i] = lowest(i);
  // What could as well stand lower goes to where there is room.
  std::vector<std::size_t> crowd(all.size() + 1);
  for (const std::size_t row : level) ++crowd[row];
  for (std::size_t i = 0; i < all.size(); ++i) {
    if (all[i].above.empty() || all[i].above.size() != all[i].below.size()) continue;
    --crowd[level[i]];
    for (std::size_t row = highest(i); row <= lowest(i); ++row)
      if (crowd[row] < crowd[level[i]]) level[i] = row;
    ++crowd[level[i]];
  }
  return level;
}

// Items in rows, with a knot in each row that a line passes, so that lines join neighbouring rows alone.
class Crossings {
 public:
  Crossings(const CardItems& graph, const std::vector<std::size_t>& level) : graph_(graph), level_(level) {
    std::vector<std::pair<std::size_t, std::size_t>> short_lines;
    for (const auto& [from, to] : graph.lines) {
      std::size_t last = from;
      for (std::size_t row = level[from] + 1; row < level[to]; ++row) {
        level_.push_back(row);
        short_lines.emplace_back(last, level_.size() - 1);
        last = level_.size() - 1;
      }
      short_lines.emplace_back(last, to);
    }
    all_ = neighbours_of(level_.size(), short_lines);
    place_.resize(level_.size());
    if (!level_.empty()) rows_.resize(*std::max_element(level_.begin(), level_.end()) + 1);
    for (std::size_t i = 0; i < level_.size(); ++i) rows_[level_[i]].push_back(i);
    for (const std::vector<std::size_t>& row : rows_) number(row);
  }

  std::vector<std::vector<std::size_t>> best() {
    std::vector<std::vector<std::size_t>> best = rows_;
    double fewest = cost();
    for (int sweep = 0; sweep < sweeps && fewest > 0; ++sweep) {
      const bool down = sweep % 2 == 0;
      for (std::size_t i = 0; i < rows_.size(); ++i) settle(rows_[down ? i : rows_.size() - 1 - i], down);
      if (const double now = cost(); now < fewest) fewest = now, best = rows_;
    }
    for (std::vector<std::size_t>& row : best)
      row.erase(std::remove_if(row.begin(), row.end(), [&](std::size_t i) { return i >= graph_.items.size(); }),
                row.end());
    return best;
  }

 private:
  void number(const std::vector<std::size_t>& row) {
    for (std::size_t i = 0; i < row.size(); ++i)
      place_[row[i]] = (static_cast<double>(i) + 0.5) / static_cast<double>(row.size());
  }
  bool from_left(std::size_t i) const { return i < graph_.from_left.size() && graph_.from_left[i]; }
  bool to_right(std::size_t i) const { return i < graph_.to_right.size() && graph_.to_right[i]; }

  // Each to the middle of its neighbours in the row before, those at the sides counted in.
  void settle(std::vector<std::size_t>& row, bool down) {
    std::vector<double> wish(level_.size());
    for (const std::size_t i : row) {
      const std::vector<std::size_t>& near = down ? all_[i].above : all_[i].below;
      double sum = to_right(i) ? 1 : 0, n = (from_left(i) ? 1 : 0) + (to_right(i) ? 1 : 0);
      for (const std::size_t other : near) sum += place_[other], n += 1;
      wish[i] = n > 0 ? sum / n : place_[i];
    }
    std::stable_sort(row.begin(), row.end(), [&](std::size_t a, std::size_t b) { return wish[a] < wish[b]; });
    number(row);
  }

  // Lines that cross, and what lies between an item and the side that it is joined to.
  double cost() const {
    double crossings = 0;
    for (const std::vector<std::size_t>& row : rows_) {
      for (std::size_t i = 0; i < row.size(); ++i) {
        if (from_left(row[i])) crossings += static_cast<double>(i);
        if (to_right(row[i])) crossings += static_cast<double>(row.size() - 1 - i);
        for (std::size_t j = i + 1; j < row.size(); ++j)
          for (const std::size_t a : all_[row[i]].below)
            for (const std::size_t b : all_[row[j]].below) crossings += place_[a] > place_[b] ? 1 : 0;
      }
    }
    return crossings;
  }

  const CardItems& graph_;
  std::vector<std::size_t> level_;  // items, then knots
  std::vector<Neighbours> all_;
  std::vector<double> place_;  // from 0 at the left to 1
  std::vector<std::vector<std::size_t>> rows_;
};

}  // namespace

std::vector<std::vector<std::size_t>> rows_of(const CardItems& graph) {
  return Crossings(graph, levels_of(neighbours_of(graph.items.size(), graph.lines))).best();
}

}  // namespace ebb::graphviz
