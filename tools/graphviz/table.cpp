// The facts of a picture as a table for a terminal.
#include "../graphviz.h"
#include "fold.h"
#include "text.h"

#include "../../autograd/error.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>

namespace ebb::graphviz {

namespace {

constexpr std::size_t bar_columns = 12;

/// One column of the table.
struct Column {
  std::size_t wide;
  bool numbers;  // to the right
};
constexpr std::array<Column, 8> layout{
    {{7, true}, {21, false}, {16, false}, {12, false}, {8, true}, {9, true}, {8, true}, {bar_columns, false}}};
using Cells = std::array<std::string, layout.size()>;

std::string fitted(const std::string& text, std::size_t wide) {
  std::string out = plain(text);
  for (std::size_t n = wide; columns(out) > wide; --n) out = shorten(plain(text), n);
  return out;
}

// Broken at the dots between facts.
std::string wrapped(const std::string& facts, std::size_t wide) {
  constexpr std::string_view dot = " · ";
  std::string out;
  std::size_t used = 0;
  for (std::size_t begin = 0; begin < facts.size();) {
    const std::size_t end = std::min(facts.find(dot, begin), facts.size());
    const std::string fact = fitted(facts.substr(begin, end - begin), wide);
    const bool joins = used > 0 && used + 3 + columns(fact) <= wide;
    out.append(joins ? dot : used > 0 ? "\n" : "").append(fact);
    used = joins ? used + 3 + columns(fact) : columns(fact);
    begin = end == facts.size() ? end : end + dot.size();
  }
  return out;
}

std::string line(const Cells& cells) {
  std::string out;
  for (std::size_t i = 0; i < cells.size(); ++i) {
    const std::string text = fitted(cells[i], layout[i].wide);
    const std::string space(layout[i].wide - columns(text), ' ');
    out += (i == 0 ? "" : " ") + (layout[i].numbers ? space + text : text + space);
  }
  out.erase(out.find_last_not_of(' ') + 1);
  return out + '\n';
}

class Table {
 public:
  Table(const Trace& trace, const DotOptions& options) : trace_(trace), options_(options) {}

  std::string write() {
    for (const Record& r : trace_.records)
      if (r.kind != Node::Kind::constant) rows_.push_back(&r);
    if (sorted()) {
      std::stable_sort(rows_.begin(), rows_.end(), [&](const Record* a, const Record* b) { return before(*a, *b); });
      set_scale();
    }
    std::string out = title() + '\n' + facts() + '\n' + order() + "\n\n" + line(heads());
    for (const Record* r : rows_) out += line(row(*r));
    return out;
  }

 private:
  // What the rows are sorted by.
  double measure(const Record& r) const {
    switch (options_.color) {
      case Color::gradient:
        return std::abs(r.gradient.size);
      case Color::value:
        return r.has_value ? std::abs(r.value) : no_number;
      case Color::time:
        return r.is_op() ? r.forward_seconds + r.backward_seconds : no_number;
      case Color::memory:
        break;
    }
    double all = static_cast<double>(r.bytes());
    for (const Saved& s : r.saved) all += static_cast<double>(s.bytes);
    return all;
  }

  // Whatever is wrong comes first, then by size, then what has none.
  bool before(const Record& a, const Record& b) const {
    const auto rank = [&](const Record& r) {
      if (options_.color == Color::gradient && r.gradient.state == Gradient::State::unneeded) return 3;
      if (options_.color == Color::gradient && r.gradient.state == Gradient::State::unknown) return 2;
      const double size = measure(r);
      return std::isfinite(size) ? 1 : std::isnan(size) && options_.color != Color::gradient ? 2 : 0;
    };
    const int first = rank(a), second = rank(b);
    return first != second ? first < second : first == 1 && measure(a) > measure(b);
  }

  bool sorted() const { return options_.color != Color::gradient || trace_.differentiated; }

  // The scale of the bars: whole decades around what is measured.
  void set_scale() {
    double least = INFINITY, most = 0;
    for (const Record* r : rows_) {
      const double size = measure(*r);
      if (std::isfinite(size) && size > 0) least = std::min(least, size), most = std::max(most, size);
    }
    if (most == 0) return;
    low_ = std::floor(std::log10(least)), high_ = std::max(std::ceil(std::log10(most)), low_ + 1);
  }

  std::string title() const {
    if (!options_.title.empty()) return fitted(options_.title, 100);
    return trace_.compared ? "Gradients, as multiples of what they were" : "What the graph holds";
  }
  std::string facts() const {
    if (!options_.subtitle.empty()) return fitted(options_.subtitle, 100);
    std::string all = count(trace_.ops, "op");
    if (trace_.parameters > 0) all += " · " + count(trace_.parameters, "parameter");
    if (trace_.steps > 0) all += " · " + count(trace_.steps, "backward step");
    if (!trace_.observed) all += " · no numbers: graph.observe() before the forward pass keeps them";
    else if (!trace_.differentiated) all += " · no gradients: backward() has not run";
    for (const std::string& what : trace_.folded) all += " · folded: " + what;
    return wrapped(all, 100);
  }
  std::string order() const {
    switch (options_.color) {
      case Color::value:
        return "by value (root mean square), the largest first";
      case Color::time:
        return "by time, forward and backward, the slowest first";
      case Color::memory:
        return "by memory, of values and of what backward keeps, the largest first";
      case Color::gradient:
        break;
    }
    if (!sorted()) return "in the order of computing";
    return trace_.compared ? "by how many times larger the gradient is, the largest first"
                           : "by gradient (root mean square), the largest first: what vanishes is at the end";
  }

  Cells heads() const {
    Cells cells{"step",
                "module",
                "op",
                "shape",
                "value",
                trace_.compared ? "∇ ratio" : "gradient",
                trace_.compared ? "" : "‖∇‖/‖w‖",
                ""};
    if (options_.color == Color::time) cells[6] = "time";
    if (options_.color == Color::memory) cells[6] = "memory";
    if (high_ > low_) {
      const std::string from = decade(low_), to = decade(high_);
      cells[7] = from + std::string(bar_columns - std::min(bar_columns, from.size() + to.size()), ' ') + to;
    }
    return cells;
  }
  static std::string decade(double exponent) {
    return exponent >= 0 && exponent <= 2 ? fmt::format("{}", std::pow(10, exponent)) : fmt::format("1e{}", exponent);
  }

  Cells row(const Record& r) const {
    Cells cells;
    cells[0] = steps(r);
    cells[1] = r.fold != nullptr ? r.fold->title : r.is_op() ? r.scope : r.name;
    cells[2] = r.change == Change::added ? "+ " : r.change == Change::removed ? "− " : "";
    cells[2] += r.kind == Node::Kind::parameter  ? "parameter"
                : r.kind == Node::Kind::variable ? "variable"
                : r.fold != nullptr              ? count(r.fold->ops, "op")
                                                 : std::string(r.op);
    cells[3] = shape_text(r.shape);
    if (r.has_value) cells[4] = number(r.value);
    const bool known = r.gradient.state == Gradient::State::known;
    cells[5] = known ? (trace_.compared ? "×" : "") + number(r.gradient.size) : "–";
    cells[6] = options_.color == Color::time     ? (r.is_op() ? duration(measure(r)) : "")
               : options_.color == Color::memory ? bytes(static_cast<std::int64_t>(measure(r)))
                                                 : share(r);
    cells[7] = bar(r);
    return cells;
  }

  static std::string steps(const Record& r) {
    if (r.fold == nullptr) return r.order == 0 ? "" : fmt::format("{}", r.order);
    const Fold& f = *r.fold;
    if (f.first_step == f.last_step) return f.last_step == 0 ? "" : fmt::format("{}", f.last_step);
    return fmt::format("{}–{}", f.first_step, f.last_step);
  }

  // ‖∇‖/‖w‖ of a parameter, or of those that are folded.
  std::string share(const Record& r) const {
    const Gradient& g = r.fold != nullptr ? r.fold->parameter_gradient : r.gradient;
    const double of = r.fold != nullptr ? r.fold->parameter_rms : r.value;
    const bool learns = r.fold != nullptr || r.kind == Node::Kind::parameter;
    if (trace_.compared || !learns || g.state != Gradient::State::known || std::isnan(of) || of == 0) return "";
    return number(std::abs(g.size / of));
  }

  std::string bar(const Record& r) const {
    if (r.change == Change::added) return "added";
    if (r.change == Change::removed) return "removed";
    if (options_.color == Color::gradient) {
      if (r.gradient.state == Gradient::State::unneeded) return "none needed";
      if (r.gradient.state == Gradient::State::unknown)
        return !sorted() ? "" : trace_.compared ? "no ratio" : "not computed";
    }
    const double size = measure(r);
    if (std::isnan(size) && options_.color != Color::gradient) return "";
    if (!std::isfinite(size)) return "not finite!";
    if (size == 0) return options_.color == Color::gradient ? "exactly 0" : "";
    constexpr std::array eighths{"", "▏", "▎", "▍", "▌", "▋", "▊", "▉"};
    const double share = (std::log10(size) - low_) / (high_ - low_);
    const auto length = std::max<std::int64_t>(1, std::lround(share * static_cast<double>(8 * bar_columns)));
    std::string out;
    for (std::int64_t i = 0; i < length / 8; ++i) out += "█";
    return out + eighths[static_cast<std::size_t>(length % 8)];
  }

  const Trace& trace_;
  const DotOptions& options_;
  std::vector<const Record*> rows_;
  double low_ = 0, high_ = 0;  // powers of ten
};

}  // namespace

std::string text(const Trace& trace, const DotOptions& options) {
  if (options.color == Color::time && !trace.timed)
    throw UsageError(
        "graphviz: the trace holds no times\n  help: graphviz::save(graph, file, {.times = true}) keeps them");
  return Table(fold(trace, options), options).write();
}

std::string text(const Graph& graph, const DotOptions& options) { return text(trace(graph), options); }

}  // namespace ebb::graphviz
