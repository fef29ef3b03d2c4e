#include "cards_rows.h"

#include <algorithm>
#include <cmath>

namespace ebb::graphviz {

namespace {

constexpr int sweeps = 12, moves = 40;
constexpr double knot_width = 10;

struct Neighbours {
  std::vector<std::size_t> above, below;
};

std::vector<Neighbours> neighbours_of(std::size_t size, const std::vector<std::pair<std::size_t, std::size_t>>& lines) {
  std::vector<Neighbours> all(size);
  for (const auto& [from, to] : lines) all[from].below.push_back(to), all[to].above.push_back(from);
  return all;
}

// The row of each item.
std::vector<std::size_t> levels_of(const CardItems& graph) {
  const std::size_t size = graph.items.size();
  const std::vector<Neighbours> all = neighbours_of(size, graph.lines);
  std::vector<std::size_t> level(size), top(size), bottom(size);  // and the rows of its section
  const auto highest = [&](std::size_t i) {
    std::size_t row = top[i];
    for (const std::size_t above : all[i].above) row = std::max(row, level[above] + 1);
    return row;
  };
  const auto lowest = [&](std::size_t i) {
    std::size_t row = bottom[i];
    for (const std::size_t below : all[i].below) row = std::min(row, level[below] - 1);
    return row;
  };
  for (std::size_t begin = 0, first = 0; begin < size;) {
    std::size_t end = begin, last = first;
    for (; end < size && graph.sections[end] == graph.sections[begin]; ++end) {
      top[end] = first;
      level[end] = highest(end);
      last = std::max(last, level[end]);
    }
    for (; begin < end; ++begin) bottom[begin] = last;
    first = last + 1;
  }
  for (std::size_t i = size; i-- > 0;)
    if (all[i].above.empty() && !all[i].below.empty() && graph.items[i].operand != CardItem::entry)
      level[i] = lowest(i);
  // What could as well stand lower goes to where there is room.
  std::vector<std::size_t> crowd(size + 1);
  for (const std::size_t row : level) ++crowd[row];
  for (std::size_t i = 0; i < size; ++i) {
    if (all[i].above.empty() || all[i].above.size() != all[i].below.size()) continue;
    --crowd[level[i]];
    for (std::size_t row = highest(i), end = lowest(i); row <= end; ++row)
      if (crowd[row] < crowd[level[i]]) level[i] = row;
    ++crowd[level[i]];
  }
  return level;
}

// Rows with a knot wherever a line passes one, so that lines join neighbouring rows alone.
class Crossings {
 public:
  Crossings(const CardItems& graph) : graph_(graph), level_(levels_of(graph)) {
    std::vector<std::pair<std::size_t, std::size_t>> short_lines;
    for (const auto& [from, to] : graph.lines) {
      std::vector<std::size_t>& knots = best_.knots.emplace_back();
      std::size_t last = from;
      for (std::size_t row = level_[from] + 1; row < level_[to]; ++row) {
        knots.push_back(level_.size());
        level_.push_back(row);
        short_lines.emplace_back(last, knots.back());
        last = knots.back();
      }
      short_lines.emplace_back(last, to);
    }
    all_ = neighbours_of(level_.size(), short_lines);
    place_.resize(level_.size());
    if (!level_.empty()) rows_.resize(*std::max_element(level_.begin(), level_.end()) + 1);
    for (std::size_t i = 0; i < level_.size(); ++i) rows_[level_[i]].push_back(i);
    for (const std::vector<std::size_t>& row : rows_) number(row);
  }

  CardRows best() {
    best_.rows = rows_;
    double fewest = cost();
    for (int sweep = 0; sweep < sweeps && fewest > 0; ++sweep) {
      const bool down = sweep % 2 == 0;
      for (std::size_t i = 0; i < rows_.size(); ++i) settle(rows_[down ? i : rows_.size() - 1 - i], down);
      if (const double now = cost(); now < fewest) fewest = now, best_.rows = rows_;
    }
    return std::move(best_);
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
  std::vector<std::size_t> level_;  // of items, then of knots
  std::vector<Neighbours> all_;
  std::vector<double> place_;  // from 0 at the left to 1
  std::vector<std::vector<std::size_t>> rows_;
  CardRows best_;
};

// Moves each of a row as near to its wish as its neighbours allow: the least sum of squares, found by joining those
// that want into each other.
void settle(const std::vector<std::size_t>& row, const std::vector<double>& apart, const std::vector<double>& wish,
            const std::vector<double>& weight, std::vector<double>& x) {
  struct Block {
    double sum, weight;
    std::size_t size;
    double middle() const { return sum / weight; }
  };
  std::vector<Block> blocks;
  std::vector<double> offset(row.size());
  for (std::size_t i = 0; i < row.size(); ++i) {
    offset[i] = i == 0 ? 0 : offset[i - 1] + apart[i];
    blocks.push_back({(wish[row[i]] - offset[i]) * weight[row[i]], weight[row[i]], 1});
    while (blocks.size() > 1 && blocks[blocks.size() - 2].middle() > blocks.back().middle()) {
      const Block last = blocks.back();
      blocks.pop_back();
      blocks.back() = {blocks.back().sum + last.sum, blocks.back().weight + last.weight,
                       blocks.back().size + last.size};
    }
  }
  std::size_t i = 0;
  for (const Block& block : blocks)
    for (std::size_t n = 0; n < block.size; ++n, ++i) x[row[i]] = block.middle() + offset[i];
}

}  // namespace

CardRows rows_of(const CardItems& graph) { return Crossings(graph).best(); }

std::vector<double> spread(const CardItems& graph, const CardRows& rows, const std::vector<double>& widths,
                           double gap) {
  std::size_t size = widths.size();
  std::vector<std::vector<std::pair<std::size_t, double>>> near;  // with how much it counts
  for (const std::vector<std::size_t>& knots : rows.knots) size += knots.size();
  near.resize(size);
  for (std::size_t line = 0; line < graph.lines.size(); ++line) {
    std::vector<std::size_t> path{graph.lines[line].first};
    path.insert(path.end(), rows.knots[line].begin(), rows.knots[line].end());
    path.push_back(graph.lines[line].second);
    for (std::size_t i = 1; i < path.size(); ++i) {
      const bool straight = path[i - 1] >= widths.size() && path[i] >= widths.size();
      near[path[i - 1]].emplace_back(path[i], straight ? 8 : 1);
      near[path[i]].emplace_back(path[i - 1], straight ? 8 : 1);
    }
  }
  const auto wide = [&](std::size_t i) { return i < widths.size() ? widths[i] : knot_width; };
  std::vector<double> x(size), wish(size), weight(size, 1);
  std::vector<std::vector<double>> apart(rows.rows.size());
  for (std::size_t r = 0; r < rows.rows.size(); ++r) {
    const std::vector<std::size_t>& row = rows.rows[r];
    for (std::size_t i = 0; i < row.size(); ++i) {
      apart[r].push_back(i == 0 ? 0 : (wide(row[i - 1]) + wide(row[i])) / 2 + gap);
      x[row[i]] = i == 0 ? wide(row[0]) / 2 : x[row[i - 1]] + apart[r][i];
    }
  }
  for (int move = 0; move < moves; ++move) {
    for (std::size_t n = 0; n < rows.rows.size(); ++n) {
      const std::size_t r = move % 2 == 0 ? n : rows.rows.size() - 1 - n;
      for (const std::size_t i : rows.rows[r]) {
        double sum = 0, total = 0;
        for (const auto& [other, counts] : near[i]) sum += x[other] * counts, total += counts;
        wish[i] = total > 0 ? sum / total : x[i];
        weight[i] = std::max(total, 0.1);
      }
      settle(rows.rows[r], apart[r], wish, weight, x);
    }
  }
  double left = 0;
  for (std::size_t i = 0; i < size; ++i) left = i == 0 ? x[i] - wide(i) / 2 : std::min(left, x[i] - wide(i) / 2);
  // In whole points: the last digits differ from one compiler to the next, and a half is always rounded up.
  for (double& place : x) place = std::floor(place - left + 0.5 + 1e-6);
  return x;
}

}  // namespace ebb::graphviz
