// The cards: one for each op, forward above, backward below; any graph fits.
//
// Names of DOT nodes: n a card, s a parameter drawn once more beside an op that shares it; the number is the graph's id.
#include "pieces.h"
#include "write.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>

namespace ebb::graphviz {

namespace {

std::string_view symbol(const Record& r) {
  static const std::map<std::string_view, std::string_view> symbols{
      {"add", "+"}, {"sub", "−"}, {"mul", "×"}, {"div", "÷"}, {"neg", "−"}};
  const auto found = symbols.find(r.op);
  return r.scalar && found != symbols.end() ? found->second : std::string_view(r.op);
}

class Writer {
 public:
  Writer(const Trace& trace, const DotOptions& options)
      : trace_(trace), options_(options), style_(style_of(trace, options)), c_(style_.colours) {}

  std::string write() {
    out_ = "// cards view; ids are the graph's\n" + head(trace_, options_, style_, "", 0.42, 0.28);
    // A cluster's label below the cards: as a node it would move them.
    line("subgraph cluster_page {{");
    line("graph [peripheries=0 margin=0 labelloc=b labeljust=c {}]", label(foot()));
    if (trace_.records.empty()) line("empty [{}]", label(font("nothing was recorded", 12, c_.muted)));
    for (const Record& r : trace_.records)
      if (!r.is_op() && !is_shared(r) && !lives_in_band(r)) leaf(r);
    std::vector<std::uint32_t> ops;
    for (const Record& r : trace_.records)
      if (r.is_op()) ops.push_back(r.id);
    band(bands(trace_, ops, options_.depth, false));
    if (trace_.root != 0) line("loss [class=\"loss\" {}]", label(loss_markup(trace_, style_)));
    line("}}");
    for (const Link& link : links(trace_))
      join(fmt::format("n{}", link.from), link.to, flow(trace_, link), link.times, trace_[link.from].scalar);
    for (const Record& r : trace_.records) leaf_lines(r);
    if (trace_.root != 0) {
      Gradient seed = trace_[trace_.root].gradient;
      if (!trace_.differentiated) seed.state = Gradient::State::unneeded;
      line("n{} -> loss [{} weight=4]", trace_.root, duplex(seed, "class=\"seed"));
    }
    return out_ + "}\n";
  }

 private:
  template <class... T> void line(fmt::format_string<T...> text, T&&... values) {
    out_ += "  ";
    fmt::format_to(std::back_inserter(out_), text, std::forward<T>(values)...);
    out_ += '\n';
  }

  // A hub with long wires hides the rest: a shared parameter stands beside each op that uses it, and below with its sum.
  // Lines from one leaf to many ops would cross the picture, and cost dot most of its time.
  static constexpr int most_lines = 8;
  bool is_shared(const Record& r) const {
    return !r.is_op() && r.users > (r.kind == Node::Kind::parameter ? 1 : most_lines);
  }
  // A parameter of one op stands in the band of that op.
  bool lives_in_band(const Record& r) const { return r.kind == Node::Kind::parameter && r.users == 1; }

  // ---- cards --------------------------------------------------------------------------------------------------

  // The backward half of a card; nothing where no gradient was computed.
  std::string chip(const Record& r) const {
    const Gradient& g = r.gradient;
    if (g.state == Gradient::State::unneeded && r.is_op() && trace_.differentiated)
      return row(cell(font("no gradient", 9, c_.muted), "COLSPAN=\"2\" ALIGN=\"RIGHT\""));
    if (g.state != Gradient::State::known) {
      if (r.order == 0) return "";
      return row(cell(font(std::to_string(r.order), 10, c_.muted, true), "COLSPAN=\"2\" ALIGN=\"LEFT\""));
    }
    const std::string fill = style_.heat.fill(g.size);
    const std::string ink = style_.heat.ink(g.size);
    std::string number_text = std::string(r.scalar ? "grad" : r.is_op() ? "g" : "∇") + " <B>" + number(g.size) + "</B>";
    if (r.uses > 1 && r.is_op()) number_text += fmt::format("  <FONT POINT-SIZE=\"9\">Σ{}</FONT>", r.uses);
    const std::string order = r.order != 0 && r.is_op() ? std::to_string(r.order) : "";
    const double wide = r.scalar ? 92 : r.is_op() ? 120 : 60;
    const std::string cells =
        cell(font(order, 10, ink, true), fmt::format("WIDTH=\"{:.0f}\" ALIGN=\"LEFT\"", order.empty() ? 2 : 24.0)) +
        cell(font(number_text, 11, ink), fmt::format("WIDTH=\"{:.0f}\" ALIGN=\"RIGHT\"", wide - 28));
    const Frame frame{g.size == 0 ? c_.card_line : fill, fill, Frame::Corners::rounded, 1};
    return row(cell(table(frame, row(cells)), "COLSPAN=\"2\""));
  }

  void op(const Record& r) {
    std::string title, beside;
    if (r.scalar) {
      for (std::size_t i = 0; i < r.operands.size(); ++i) {
        if (r.operands[i].id == 0 && i == 0 && trace_.observed)
          title += font(number(r.operands[i].number), 10, c_.muted) + " ";
        if (i == 0) title += font(html(fit(symbol(r), 90, 13, true)), 13, {}, true);
        if (r.operands[i].id == 0 && i > 0 && trace_.observed)
          title += " " + font(number(r.operands[i].number), 10, c_.muted);
      }
      const bool of_a_tensor = r.operands.size() == 1 && r.operands[0].id != 0 && !trace_[r.operands[0].id].scalar;
      if (of_a_tensor) title += " " + font(html(r.formula), 10, c_.muted);  // "x[3]"
      beside = r.has_value ? font(number(r.value), 12, {}, true) : "";
    } else {
      title = font(html(fit(r.op, 130, 12, true)), 12, {}, true);
      const double rest = 140 - width(r.op, 12, true);
      if (width(r.formula, 10) <= rest) title += " " + font(html(r.formula), 10, c_.muted);
      beside = font(shape_text(r.shape), 10, c_.muted);
    }
    std::string rows = row(cell(title, fmt::format("WIDTH=\"{}\" ALIGN=\"LEFT\"", r.scalar ? 48 : 80)) +
                           cell(beside, "WIDTH=\"44\" ALIGN=\"RIGHT\""));
    if (!r.scalar && r.has_value)
      rows += row(cell(font(value_text(r), 9, c_.muted), "ALIGN=\"LEFT\"") +
                  cell(sparkline(r.histogram, 7, c_.forward), "ALIGN=\"RIGHT\""));
    line("n{} [class=\"op{}\" tooltip={} {}]", r.id, step_of(r), quoted(words_of(r)),
         label(table({c_.card_line, c_.card, Frame::Corners::rounded}, rows + chip(r))));
    for (std::size_t i = 0; i < r.operands.size(); ++i) {
      const std::uint32_t id = r.operands[i].id;
      if (id == 0) continue;
      const Record& leaf = trace_[id];
      if (is_shared(leaf)) stub(r, i);
      else if (lives_in_band(leaf)) this->leaf(leaf);
    }
  }

  // In full: a tooltip has room for all digits.
  std::string words_of(const Record& r) const {
    std::string text =
        r.is_op() ? fmt::format("{} = {}", r.op, shorten(r.formula, 200)) : shorten(leaf_name(trace_, r), 80);
    if (!r.scalar) text += fmt::format(": {} {}", shape_text(r.shape), r.dtype);
    if (r.has_value) text += r.scalar || r.size() == 1 ? fmt::format(", value {:.10g}", r.value) : ", " + value_text(r);
    if (r.order != 0) text += fmt::format("; backward step {}", r.order);
    if (r.gradient.state == Gradient::State::known && r.scalar)
      text += fmt::format(", gradient {:.10g}", r.gradient.size);
    else if (r.wants_gradient) text += ", " + gradient_words(r.gradient, r.scalar);
    if (r.is_op() && !r.rule.empty()) text += "; " + shorten(r.rule, 200);
    return text;
  }

  void leaf(const Record& r) {
    const std::string name = leaf_name(trace_, r);
    std::string beside = r.scalar && r.has_value ? font(number(r.value), 12, {}, true) : "";
    if (!r.scalar) {
      beside = font(shape_text(r.shape), 10, c_.muted);
      if (r.size() == 1 && r.has_value) beside = font(number(r.value), 11, {}, true);
    }
    std::string title = font(html(fit(name, 160, 12, true)), 12, {}, true);
    if (title.empty()) title = font(r.kind == Node::Kind::constant ? "constant" : "", 10, c_.muted);
    const std::string rows =
        row(cell(title, "WIDTH=\"30\" ALIGN=\"LEFT\"") + cell(beside, "ALIGN=\"RIGHT\"")) + chip(r);
    const bool learns = r.kind != Node::Kind::constant;
    line("n{} [class=\"leaf\" tooltip={} {}]", r.id, quoted(words_of(r)),
         label(learns ? table({c_.parameter_line, c_.parameter}, rows)
                      : table({c_.card_line, c_.page, Frame::Corners::dashed}, rows)));
  }

  void stub(const Record& op, std::size_t operand) {
    const Record& leaf = trace_[op.operands[operand].id];
    const Gradient sent = flow(trace_, op, operand);
    const std::string name = leaf_name(trace_, leaf);
    std::string rows =
        row(cell(font(html(fit(name.empty() ? shape_text(leaf.shape) : name, 160, 12, true)), 12, {}, true), ""));
    if (sent.state == Gradient::State::known) {
      const std::string fill = style_.heat.fill(sent.size);
      rows +=
          row(cell(font("+" + number(sent.size), 9, style_.heat.ink(sent.size)), fmt::format("BGCOLOR=\"{}\"", fill)));
    }
    line("s{}_{} [class=\"stub{}\" tooltip={} {}]", op.id, operand, step_of(op),
         quoted(fmt::format("{}, one of {} uses: {}", shorten(name, 80), leaf.users, gradient_words(sent, false))),
         label(table({c_.parameter_line, c_.parameter}, rows)));
  }

  void band(const Band& band) {
    for (const std::uint32_t id : band.ops) op(trace_[id]);
    for (const Band& inner : band.inner) {
      line("subgraph cluster_{} {{", ++clusters_);
      line("{}", band_attributes(inner, style_, "l"));
      this->band(inner);
      line("}}");
    }
  }

  // ---- lines --------------------------------------------------------------------------------------------------

  // One line for both directions: dot lays out half as many.
  std::string duplex(const Gradient& g, std::string_view opening) const {
    if (g.state == Gradient::State::unknown && trace_.differentiated)
      return fmt::format("{}\" dir=both arrowhead=vee style=dashed color=\"{}:{}\" penwidth=1.2", opening, c_.forward,
                         c_.saved);
    if (g.state != Gradient::State::known) return fmt::format("{}\" penwidth=1.5 arrowhead=vee", opening);
    if (g.size == 0)
      return fmt::format("{} zero\" dir=both arrowhead=vee arrowtail=onormal color=\"{}:{}\" penwidth=1", opening,
                         c_.forward, c_.saved);
    const long lines = std::clamp(std::lround(style_.heat.pen_width(g.size) / 1.8), 1L, 3L);
    std::string colours = c_.forward;
    for (long i = 0; i < lines; ++i) colours += ":" + style_.heat.line(g.size);
    return fmt::format("{}\" dir=both arrowhead=vee arrowtail=normal color=\"{}\" penwidth=1.8", opening, colours);
  }

  void join(const std::string& from, std::uint32_t to, const Gradient& g, int times, bool scalar) {
    const Record& op = trace_[to];
    line("{} -> n{} [{} tooltip=\"{}{}\"{}]", from, to, duplex(g, "class=\"flow" + step_of(op)),
         op.order != 0 && g.state == Gradient::State::known ? fmt::format("step {}: ", op.order) : "",
         gradient_words(g, scalar), times > 1 ? fmt::format(" label=\"   ×{}\"", times) : "");
  }

  void leaf_lines(const Record& r) {
    std::vector<std::uint32_t> drawn;
    for (std::size_t i = 0; i < r.operands.size(); ++i) {
      const std::uint32_t id = r.operands[i].id;
      if (id == 0 || trace_[id].is_op()) continue;
      if (is_shared(trace_[id])) {
        join(fmt::format("s{}_{}", r.id, i), r.id, flow(trace_, r, i), 1, false);
        continue;
      }
      if (std::find(drawn.begin(), drawn.end(), id) != drawn.end()) continue;
      drawn.push_back(id);
      const auto times =
          std::count_if(r.operands.begin(), r.operands.end(), [&](const Operand& o) { return o.id == id; });
      join(fmt::format("n{}", id), r.id, flow(trace_, {id, r.id, i, static_cast<int>(times)}), static_cast<int>(times),
           trace_[id].scalar);
    }
  }

  static std::string step_of(const Record& r) { return r.order == 0 ? "" : fmt::format(" step{}", r.order); }

  // ---- the foot of the page -----------------------------------------------------------------------------------

  std::string shared_parameters() const {
    constexpr std::size_t most_shown = 8;
    std::string rows;
    for (const Record& leaf : trace_.records) {
      if (!is_shared(leaf) || leaf.kind == Node::Kind::constant) continue;
      std::string cells = cell(
          font(html(fit(leaf.name, 200, 12, true)), 12, {}, true) + " " + font(shape_text(leaf.shape), 10, c_.muted),
          "ALIGN=\"LEFT\"");
      std::size_t shown = 0;
      for (const Record& r : trace_.records) {
        for (std::size_t i = 0; i < r.operands.size(); ++i) {
          if (r.operands[i].id != leaf.id || ++shown > most_shown) continue;
          cells += amount(flow(trace_, r, i), "");
        }
      }
      for (std::size_t i = shown; i < most_shown && i < widest_share(); ++i) cells += cell("", "");
      if (widest_share() > most_shown)
        cells += cell(shown > most_shown ? font(fmt::format("+{} more", shown - most_shown), 9, c_.muted) : "", "");
      rows += row(cells + amount(leaf.gradient, "∇ "));
    }
    if (rows.empty()) return "";
    const std::string title =
        row(cell(font("shared parameters: one gradient from each use, and their sum", 10, c_.muted),
                 fmt::format("COLSPAN=\"{}\" ALIGN=\"LEFT\"", std::min(widest_share(), most_shown + 1) + 2)));
    return table({c_.parameter_line, c_.parameter}, title + rows);
  }

  std::size_t widest_share() const {
    std::size_t most = 0;
    for (const Record& r : trace_.records)
      if (is_shared(r)) most = std::max<std::size_t>(most, r.users);
    return most;
  }

  std::string amount(const Gradient& g, const char* before) const {
    if (g.state != Gradient::State::known) return cell(font("–", 9, c_.muted), "");
    const std::string fill = style_.heat.fill(g.size);
    return cell(font(before + number(g.size), before[0] != '\0' ? 11 : 9, style_.heat.ink(g.size), before[0] != '\0'),
                fmt::format("BGCOLOR=\"{}\"", fill));
  }

  std::string foot() const {
    const bool scalars =
        std::any_of(trace_.records.begin(), trace_.records.end(), [](const Record& r) { return r.scalar; });
    const bool tensors =
        std::any_of(trace_.records.begin(), trace_.records.end(), [](const Record& r) { return !r.scalar; });
    std::string words = trace_.observed ? "card: forward above" : "card: op and shape";
    if (trace_.differentiated && trace_.observed) {
      words += ", backward below (step number, ";
      words += scalars && tensors ? "gradient: of a scalar its value, of a tensor its rms"
               : scalars          ? "gradient"
                                  : "gradient rms";
      words += tensors ? ", Σn = sum of n contributions)" : ")";
    }
    std::string rows;
    if (const std::string panel = shared_parameters(); !panel.empty()) rows += row(cell(panel, ""));
    rows += row(cell(legend_markup(trace_, style_, words), ""));
    return table({"", "", Frame::Corners::square, 4}, rows);
  }

  const Trace& trace_;
  const DotOptions& options_;
  const Style style_;
  const Palette& c_;
  std::string out_;
  int clusters_ = 0;
};

}  // namespace

std::string write_cards(const Trace& trace, const DotOptions& options) { return Writer(trace, options).write(); }

}  // namespace ebb::graphviz
