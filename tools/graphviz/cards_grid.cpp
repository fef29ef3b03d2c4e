#include "cards_grid.h"

#include <algorithm>
#include <limits>

namespace ebb::graphviz {

namespace {

constexpr double item_gap = 20, row_gap = 34, frame_margin = 16, first_gap = 60, start_gap = 10;

CardGrid::Key key_of(const CardItem& item) { return {item.id, item.operand}; }

Area unite(const Area& a, const Area& b) {
  return {std::min(a.left, b.left), std::min(a.top, b.top), std::max(a.right, b.right), std::max(a.bottom, b.bottom)};
}
bool overlap(const Area& a, const Area& b) {
  return a.left < b.right && b.left < a.right && a.top < b.bottom && b.top < a.bottom;
}

constexpr double far = std::numeric_limits<double>::max();
constexpr Area nothing{far, far, -far, -far};

class Maker {
 public:
  Maker(const Trace& trace, const Cards& plan, const CardSizes& sizes) : trace_(trace), plan_(plan), sizes_(sizes) {}

  CardGrid make() {
    const std::size_t columns = plan_.columns.size();
    grid_.columns.resize(columns);
    items_.resize(columns);
    frames_.resize(columns);
    for (std::size_t c = 0; c < columns; ++c) take_items(c);
    const double below = place_rows(0, 1, 0);
    place_rows(1, columns, plan_.columns[0].rows.rows.empty() ? 0 : below + first_gap);
    for (std::size_t c = 0; c < columns; ++c) place_column(c);
    count_lanes();
    place_columns();
    place_starts();
    place_loss();
    return std::move(grid_);
  }

 private:
  // What a band holds of its column: its items, and from which row to which, with the bands inside that end there too.
  struct Span {
    std::vector<std::size_t> items;
    std::size_t first = std::numeric_limits<std::size_t>::max(), last = 0;
    double above = 0, below = 0;
  };

  void take_items(std::size_t c) {
    const Cards::Column& column = plan_.columns[c];
    std::vector<double> widths;
    for (std::size_t i = 0; i < column.items.items.size(); ++i) {
      const CardItem& item = column.items.items[i];
      const CardSize size = item.operand == CardItem::entry ? CardSize{10, 4} : sizes_.card(item);
      widths.push_back(size.width);
      items_[c].push_back({-size.width / 2, -size.height / 2, size.width / 2, size.height / 2});
    }
    grid_.columns[c].x = spread(column.items, column.rows, widths, item_gap);
    for (std::size_t row = 0; row < column.rows.rows.size(); ++row)
      for (const std::size_t i : column.rows.rows[row])
        if (i < column.items.items.size()) grid_.rows[key_of(column.items.items[i])] = {c, row};
    std::map<std::uint32_t, std::size_t> leaves;
    std::map<std::uint32_t, std::vector<std::size_t>> of_op;
    for (std::size_t i = 0; i < column.items.items.size(); ++i) {
      const CardItem& item = column.items.items[i];
      if (item.operand == CardItem::entry) continue;
      if (item.operand >= 0 || trace_[item.id].is_op()) of_op[item.id].push_back(i);
      else leaves[item.id] = i;
    }
    for (const auto& [op, beside] : plan_.beside)
      for (const std::uint32_t leaf : beside)
        if (const auto place = leaves.find(leaf); place != leaves.end()) of_op[op].push_back(place->second);
    if (column.step > 0) span(column.band, c, of_op);
    else
      for (const Band& inner : column.band.inner) span(inner, c, of_op);
  }

  Span span(const Band& band, std::size_t c, const std::map<std::uint32_t, std::vector<std::size_t>>& of_op) {
    Span all;
    const auto row = [&](std::size_t i) { return grid_.rows.at(key_of(plan_.columns[c].items.items[i])).second; };
    for (const std::uint32_t op : band.ops) {
      const auto own = of_op.find(op);
      if (own == of_op.end()) continue;
      for (const std::size_t i : own->second) {
        all.items.push_back(i);
        all.first = std::min(all.first, row(i)), all.last = std::max(all.last, row(i));
      }
    }
    std::vector<Span> inner;
    for (const Band& band_inside : band.inner) {
      inner.push_back(span(band_inside, c, of_op));
      all.items.insert(all.items.end(), inner.back().items.begin(), inner.back().items.end());
      all.first = std::min(all.first, inner.back().first), all.last = std::max(all.last, inner.back().last);
    }
    for (const Span& s : inner) {
      if (s.first == all.first) all.above = std::max(all.above, s.above);
      if (s.last == all.last) all.below = std::max(all.below, s.below);
    }
    all.above += frame_margin + title_height;
    all.below += frame_margin;
    frames_[c].emplace_back(&band, all);
    return all;
  }

  // Rows of columns side by side stand at the same height.  Gives where they end.
  double place_rows(std::size_t begin, std::size_t end, double y) {
    std::size_t count = 0;
    for (std::size_t c = begin; c < end; ++c) count = std::max(count, plan_.columns[c].rows.rows.size());
    std::vector<double> high(count), above(count), below(count);
    for (std::size_t c = begin; c < end; ++c) {
      const auto& rows = plan_.columns[c].rows.rows;
      for (std::size_t row = 0; row < rows.size(); ++row)
        for (const std::size_t i : rows[row])
          if (i < items_[c].size()) high[row] = std::max(high[row], items_[c][i].bottom - items_[c][i].top);
      for (const auto& [band, s] : frames_[c]) {
        if (s.items.empty()) continue;
        above[s.first] = std::max(above[s.first], s.above);
        below[s.last] = std::max(below[s.last], s.below);
      }
    }
    std::vector<CardGrid::Row> spans;
    for (std::size_t row = 0; row < count; ++row) {
      y += (row > 0 ? row_gap : 0) + above[row];
      spans.push_back({y, y + high[row]});
      y += high[row] + below[row];
    }
    for (std::size_t c = begin; c < end; ++c) grid_.columns[c].rows = spans;
    return y;
  }

  // Each column for itself, from x = 0 on.
  void place_column(std::size_t c) {
    CardGrid::Column& column = grid_.columns[c];
    const Cards::Column& plan = plan_.columns[c];
    const double top = column.rows.empty() ? 0 : column.rows.front().top;
    column.area = items_[c].empty() ? Area{0, top, 0, top} : nothing;
    for (std::size_t i = 0; i < items_[c].size(); ++i) {
      const CardGrid::Row& row = column.rows[grid_.rows.at(key_of(plan.items.items[i])).second];
      Area& item = items_[c][i];
      const double y = (row.top + row.bottom) / 2;
      item = {item.left + column.x[i], item.top + y, item.right + column.x[i], item.bottom + y};
      column.area = unite(column.area, item);
    }
    for (std::size_t i = items_[c].size(); i < column.x.size(); ++i)
      column.area.left = std::min(column.area.left, column.x[i]),
      column.area.right = std::max(column.area.right, column.x[i]);
    for (const auto& [band, s] : frames_[c]) place_frame(*band, s, c);  // those inside come first
    for (const auto& [band, area] : grid_.frames)
      if (columns_of_frames_.at(band) == c) column.area = unite(column.area, area);
  }

  void place_frame(const Band& band, const Span& s, std::size_t c) {
    if (s.items.empty() || band.titles.empty()) return;
    Area area = nothing;
    for (const std::size_t i : s.items) area = unite(area, items_[c][i]);
    for (const Band& inner : band.inner)
      if (const auto frame = grid_.frames.find(&inner); frame != grid_.frames.end()) area = unite(area, frame->second);
    area = {area.left - frame_margin, area.top - frame_margin - title_height, area.right + frame_margin,
            area.bottom + frame_margin};
    area.right = std::max(area.right, area.left + sizes_.title(band) + 2 * frame_margin);
    for (std::size_t i = 0; i < items_[c].size(); ++i) {
      const bool own = std::find(s.items.begin(), s.items.end(), i) != s.items.end();
      if (!own && plan_.columns[c].items.items[i].operand != CardItem::entry && overlap(area, items_[c][i])) return;
    }
    for (const auto& [other, frame] : grid_.frames) {
      const bool inside =
          std::any_of(band.inner.begin(), band.inner.end(), [&, o = other](const Band& b) { return holds(b, o); });
      if (columns_of_frames_.at(other) == c && !inside && overlap(area, frame)) return;
    }
    grid_.frames[&band] = area;
    columns_of_frames_[&band] = c;
  }

  static bool holds(const Band& band, const Band* sought) {
    return &band == sought ||
           std::any_of(band.inner.begin(), band.inner.end(), [&](const Band& inner) { return holds(inner, sought); });
  }

  void count_lanes() {
    for (const CardLine& line : plan_.lines) {
      if (!goes_across(plan_, line)) continue;
      const auto from = plan_.places.find(line.from.id);
      const std::size_t begin = from == plan_.places.end() ? 0 : from->second, end = plan_.places.at(line.to);
      if (begin + 1 < grid_.columns.size()) grid_.columns[begin + 1].gap += lane_gap;
      if (end != begin + 1) grid_.columns[end].gap += lane_gap;
    }
  }

  void move(std::size_t c, double x) {
    CardGrid::Column& column = grid_.columns[c];
    x -= column.area.left;
    for (double& place : column.x) place += x;
    for (std::size_t i = 0; i < items_[c].size(); ++i) {
      Area& item = items_[c][i];
      item.left += x, item.right += x;
      grid_.cards[key_of(plan_.columns[c].items.items[i])] = item;
    }
    for (auto& [band, area] : grid_.frames)
      if (columns_of_frames_.at(band) == c) area.left += x, area.right += x;
    column.area.left += x, column.area.right += x;
  }

  // The first stands above the middle of all others.
  void place_columns() {
    double x = 0;
    for (const std::uint32_t id : plan_.starts) x = std::max(x, sizes_.card({id}).width);
    grid_.all = {0, 0, x, 0};
    for (std::size_t c = 1; c < grid_.columns.size(); ++c) {
      move(c, x + 2 * lane_margin + grid_.columns[c].gap);
      x = grid_.columns[c].area.right;
      grid_.all = unite(grid_.all, grid_.columns[c].area);
    }
    Area& first = grid_.columns[0].area;
    if (items_[0].empty()) {
      first = {0, grid_.all.top, 0, grid_.all.top};
      return;
    }
    move(0, std::max(0.0, (grid_.all.left + grid_.all.right - (first.right - first.left)) / 2));
    grid_.all = unite(grid_.all, first);
  }

  // At the height of what takes them, as far as there is room.
  void place_starts() {
    double y = -far;
    std::vector<std::pair<double, std::uint32_t>> wishes;
    for (const std::uint32_t id : plan_.starts)
      for (const CardLine& line : plan_.lines)
        if (line.from == CardItem{id}) {
          wishes.emplace_back(grid_.cards.at(key_of({line.to})).middle().y, id);
          break;
        }
    std::sort(wishes.begin(), wishes.end());
    for (const auto& [wish, id] : wishes) {
      const CardSize size = sizes_.card({id});
      const double middle = std::max(wish, y + size.height / 2);
      grid_.cards[key_of({id})] = {grid_.all.left, middle - size.height / 2, grid_.all.left + size.width,
                                   middle + size.height / 2};
      y = middle + size.height / 2 + start_gap;
      grid_.all.bottom = std::max(grid_.all.bottom, y);
    }
  }

  void place_loss() {
    const auto root = grid_.cards.find(key_of({trace_.root}));
    if (root == grid_.cards.end()) return;
    const double x = root->second.middle().x;
    const double y = grid_.columns[grid_.rows.at(key_of({trace_.root})).first].area.bottom + row_gap;
    grid_.loss = {x - sizes_.loss.width / 2, y, x + sizes_.loss.width / 2, y + sizes_.loss.height};
    grid_.all = unite(grid_.all, grid_.loss);
  }

  const Trace& trace_;
  const Cards& plan_;
  const CardSizes& sizes_;
  CardGrid grid_;
  std::vector<std::vector<Area>> items_;                           // by column, as the plan has them
  std::vector<std::vector<std::pair<const Band*, Span>>> frames_;  // by column, those inside before those around
  std::map<const Band*, std::size_t> columns_of_frames_;
};

}  // namespace

bool goes_across(const Cards& plan, const CardLine& line) {
  if (line.from.operand != CardItem::card || !plan.places.contains(line.to)) return false;
  if (std::find(plan.starts.begin(), plan.starts.end(), line.from.id) != plan.starts.end()) return true;
  const auto from = plan.places.find(line.from.id);
  return from != plan.places.end() && from->second > 0 && from->second != plan.places.at(line.to);
}

CardGrid grid_of(const Trace& trace, const Cards& plan, const CardSizes& sizes) {
  return Maker(trace, plan, sizes).make();
}

}  // namespace ebb::graphviz
