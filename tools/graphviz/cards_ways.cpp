#include "cards_ways.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

namespace ebb::graphviz {

namespace {

constexpr double arrow = 7.5, corner = 12, widest_fan = 26, side_step = 11, track = 10;

CardGrid::Key key_of(const CardItem& item) { return {item.id, item.operand}; }

double apart(const Spot& a, const Spot& b) { return std::hypot(a.x - b.x, a.y - b.y); }

Spot towards(const Spot& from, const Spot& to, double far) {
  const double length = apart(from, to);
  if (length == 0) return from;
  const double share = std::min(far / length, 0.9);
  return {from.x + (to.x - from.x) * share, from.y + (to.y - from.y) * share};
}

// dot's y goes up.
std::string text(const Spot& spot) { return fmt::format("{:.1f},{:.1f}", spot.x, -spot.y + 0.0); }

// Points of Bézier curves, as dot has them: the first, then three for each piece; arrows stand at the ends.
std::string spline(const Spot& begin, const Spot& end, bool returns, const std::vector<Spot>& points) {
  std::string pos = returns ? "s," + text(begin) + " " : "";
  pos += "e," + text(end);
  for (const Spot& point : points) pos += " " + text(point);
  return pos;
}

// Down through all knees: straight between cards, upright where it passes a row.  Of rows that hold taller cards a line
// leaves upright, and comes so.
std::string curve(std::vector<Spot> knees, double free_from, double free_to, bool returns) {
  const Spot begin = knees.front(), end = knees.back();
  const std::size_t last = knees.size() - 1;
  std::vector<Spot> controls;
  for (std::size_t i = 1; i <= last; ++i) {
    const Spot &from = knees[i - 1], &to = knees[i];
    const double bend = (to.y - from.y) * 0.45, third = (to.x - from.x) / 3;
    const bool leaves = i == 1, comes = i == last;
    const double top = leaves ? std::max(from.y, free_from) : from.y, bottom = comes ? std::min(to.y, free_to) : to.y;
    controls.push_back(leaves && top == from.y ? Spot{from.x + third, from.y + (to.y - from.y) / 3}
                                               : Spot{from.x, std::max(top, from.y + bend)});
    controls.push_back(comes && bottom == to.y ? Spot{to.x - third, to.y - (to.y - from.y) / 3}
                                               : Spot{to.x, std::min(bottom, to.y - bend)});
  }
  if (returns) knees.front() = towards(begin, controls.front(), arrow);
  knees.back() = towards(end, controls.back(), arrow);
  std::vector<Spot> points{knees.front()};
  for (std::size_t i = 1; i <= last; ++i)
    points.insert(points.end(), {controls[2 * i - 2], controls[2 * i - 1], knees[i]});
  return spline(begin, end, returns, points);
}

// Straight from turn to turn, round at each.
std::string rounded(std::vector<Spot> turns, bool returns) {
  const Spot begin = turns.front(), end = turns.back();
  if (returns) turns.front() = towards(turns[0], turns[1], arrow);
  turns.back() = towards(turns.back(), turns[turns.size() - 2], arrow);
  std::vector<Spot> points{turns.front()};
  const auto straight = [&](const Spot& to) {
    const Spot from = points.back();
    points.insert(points.end(), {{from.x + (to.x - from.x) / 3, from.y + (to.y - from.y) / 3},
                                 {to.x - (to.x - from.x) / 3, to.y - (to.y - from.y) / 3},
                                 to});
  };
  for (std::size_t i = 1; i + 1 < turns.size(); ++i) {
    const double half = std::min(apart(turns[i], turns[i - 1]), apart(turns[i], turns[i + 1])) / 2;
    const Spot before = towards(turns[i], turns[i - 1], std::min(corner, half));
    const Spot after = towards(turns[i], turns[i + 1], std::min(corner, half));
    straight(before);
    points.insert(points.end(), {towards(before, turns[i], std::min(corner, half) * 0.55),
                                 towards(after, turns[i], std::min(corner, half) * 0.55), after});
  }
  straight(turns.back());
  return spline(begin, end, returns, points);
}

}  // namespace

CardWays::CardWays(const Cards& plan, const CardGrid& grid) : plan_(plan), grid_(grid) {
  for (std::size_t c = 0; c < plan.columns.size(); ++c)
    for (std::size_t i = 0; i < plan.columns[c].lines.size(); ++i) within_[plan.columns[c].lines[i]] = {c, i};
  bottom_ = grid.all.bottom;
  end_within();
  end_across();
  take_lanes();
}

// Several lines at one side of a card stand side by side, in the order of where they go.
void CardWays::end_within() {
  std::map<CardGrid::Key, std::vector<std::pair<double, std::size_t>>> out, in;  // by card: with where it is heading
  for (const auto& [number, place] : within_) {
    const Cards::Column& column = plan_.columns[place.first];
    const std::vector<double>& x = grid_.columns[place.first].x;
    const auto [from, to] = column.items.lines[place.second];
    const std::vector<std::size_t>& knots = column.rows.knots[place.second];
    out[key_of(plan_.lines[number].from)].emplace_back(x[knots.empty() ? to : knots.front()], number);
    in[key_of({plan_.lines[number].to})].emplace_back(x[knots.empty() ? from : knots.back()], number);
  }
  const auto fan = [&](auto& lines_of, bool leaving) {
    for (auto& [key, lines] : lines_of) {
      const Area& card = grid_.cards.at(key);
      std::sort(lines.begin(), lines.end());
      const double n = static_cast<double>(lines.size());
      const double step = std::min(widest_fan, (card.right - card.left) / (n + 1));
      for (std::size_t i = 0; i < lines.size(); ++i) {
        const double x = card.middle().x + (static_cast<double>(i) - (n - 1) / 2) * step;
        if (leaving) ends_[lines[i].second].begin = {x, card.bottom};
        else ends_[lines[i].second].end = {x, card.top};
      }
    }
  };
  fan(out, true), fan(in, false);
}

// Whether nothing stands between the card and that side of its column.
bool CardWays::is_last(const CardItem& item, bool right) const {
  const auto place = grid_.rows.find(key_of(item));
  if (place == grid_.rows.end()) return true;  // at the left of all columns
  const Cards::Column& column = plan_.columns[place->second.first];
  const std::vector<std::size_t>& row = column.rows.rows[place->second.second];
  const auto is_card = [&](std::size_t i) {
    return i < column.items.items.size() && column.items.items[i].operand != CardItem::entry;
  };
  const auto found = right ? std::find_if(row.rbegin(), row.rend(), is_card).base() - 1
                           : std::find_if(row.begin(), row.end(), is_card);
  return column.items.items[*found] == item;
}

// At the side, or, if others stand there, around them through the space between rows.
void CardWays::end_across() {
  std::map<CardGrid::Key, std::vector<std::size_t>> out, in;
  for (std::size_t number = 0; number < plan_.lines.size(); ++number) {
    const CardLine& line = plan_.lines[number];
    if (!goes_across(plan_, line)) continue;
    Ends& ends = ends_[number];
    ends.sideways_out = is_last(line.from, true), ends.sideways_in = is_last({line.to}, false);
    out[key_of(line.from)].push_back(number), in[key_of({line.to})].push_back(number);
  }
  const auto step = [](std::size_t i, std::size_t n) {
    return (static_cast<double>(i) - static_cast<double>(n - 1) / 2) * side_step;
  };
  for (const auto& [key, lines] : out) {
    const Area& card = grid_.cards.at(key);
    for (std::size_t i = 0; i < lines.size(); ++i) {
      Ends& ends = ends_[lines[i]];
      if (ends.sideways_out) ends.begin = {card.right, card.middle().y + step(i, lines.size())};
      else ends.begin = {card.right - 16 - side_step * static_cast<double>(i), card.bottom};
    }
  }
  for (const auto& [key, lines] : in) {
    const Area& card = grid_.cards.at(key);
    for (std::size_t i = 0; i < lines.size(); ++i) {
      Ends& ends = ends_[lines[i]];
      if (ends.sideways_in) ends.end = {card.left, card.middle().y + step(i, lines.size())};
      else ends.end = {card.left + 16 + side_step * static_cast<double>(i), card.top};
    }
  }
}

void CardWays::take_lanes() {
  const std::size_t columns = plan_.columns.size();
  std::vector<double> taken(columns + 1);
  const auto lane = [&](std::size_t column) {
    const double first = column < columns ? grid_.columns[column].area.left - lane_margin - grid_.columns[column].gap
                                          : grid_.columns.back().area.right + lane_margin;
    taken[column] += lane_gap;
    return first + taken[column] - lane_gap / 2;
  };
  double low = 0;  // below all columns that a line passes, and each below the one before
  for (const auto& [number, ends] : ends_) {
    if (within_.contains(number)) continue;
    const auto from = plan_.places.find(plan_.lines[number].from.id);
    const std::size_t begin = from == plan_.places.end() ? 0 : from->second,
                      end = plan_.places.at(plan_.lines[number].to);
    const double out = lane(begin + 1);
    if (end == begin + 1) {
      lanes_[number] = {out, out, 0};
      continue;
    }
    for (std::size_t c = std::min(begin + 1, end); c < std::max(begin + 1, end); ++c)
      low = std::max(low, grid_.columns[c].area.bottom);
    low += lane_gap;
    lanes_[number] = {out, lane(end), low};
  }
  bottom_ = std::max(bottom_, low);
}

std::vector<Spot> CardWays::knees(std::size_t number) const {
  const auto [c, i] = within_.at(number);
  const Cards::Column& column = plan_.columns[c];
  const CardGrid::Column& place = grid_.columns[c];
  const auto [from, to] = column.items.lines[i];
  std::vector<Spot> knees{ends_.at(number).begin};
  const auto pass = [&](std::size_t knot, std::size_t row) {
    knees.push_back({place.x[knot], place.rows[row].top});
    knees.push_back({place.x[knot], place.rows[row].bottom});
  };
  const CardItem& first = column.items.items[from];
  const std::size_t row = grid_.rows.at(key_of(first)).second;
  if (first.operand == CardItem::entry) pass(from, row);
  for (std::size_t n = 0; n < column.rows.knots[i].size(); ++n) pass(column.rows.knots[i][n], row + n + 1);
  knees.push_back(ends_.at(number).end);
  return knees;
}

std::vector<Spot> CardWays::turns(std::size_t number) const {
  const Ends& ends = ends_.at(number);
  const auto [out, in, low] = lanes_.at(number);
  std::vector<Spot> turns{ends.begin};
  const double leaves = ends.sideways_out ? ends.begin.y : ends.begin.y + track;
  const double comes = ends.sideways_in ? ends.end.y : ends.end.y - track;
  if (!ends.sideways_out) turns.push_back({ends.begin.x, leaves});
  if (out != in) turns.insert(turns.end(), {{out, leaves}, {out, low}, {in, low}, {in, comes}});
  else if (leaves != comes) turns.insert(turns.end(), {{out, leaves}, {out, comes}});
  if (!ends.sideways_in) turns.push_back({ends.end.x, comes});
  turns.push_back(ends.end);
  return turns;
}

std::string CardWays::line(std::size_t number, bool returns) const {
  if (!within_.contains(number)) return rounded(turns(number), returns);
  const auto row_of = [&](const CardItem& item) {
    const auto [column, row] = grid_.rows.at(key_of(item));
    return grid_.columns[column].rows[row];
  };
  const CardLine& l = plan_.lines[number];
  return curve(knees(number), row_of(l.from).bottom, row_of({l.to}).top, returns);
}

std::string CardWays::loss_line(std::uint32_t root, bool returns) const {
  const Area& card = grid_.cards.at(key_of({root}));
  return curve({{card.middle().x, card.bottom}, {card.middle().x, grid_.loss.top}}, card.bottom, grid_.loss.top,
               returns);
}

Spot CardWays::label(std::size_t number) const {
  const Ends& ends = ends_.at(number);
  return ends.sideways_in ? Spot{ends.end.x - 13, ends.end.y - 9} : Spot{ends.end.x + 16, ends.end.y - 14};
}

}  // namespace ebb::graphviz
