#include "describe.h"

#include "pieces.h"
#include "text.h"

#include <fmt/format.h>

#include <cmath>

namespace ebb::graphviz {

namespace {

// Long enough for any name that somebody chose, too short to stop a browser.
constexpr std::size_t most = 500;

const char* kind_of(const Record& leaf) {
  if (leaf.kind == Node::Kind::parameter) return "parameter";
  return leaf.kind == Node::Kind::variable ? "variable" : "constant";
}

std::string exact(double v) { return std::isfinite(v) ? fmt::format("{:.7g}", v) : number(v); }

class Lines {
 public:
  Lines(const Trace& trace, const Record& record, bool with_times)
      : trace_(trace), r_(record), with_times_(with_times && trace.timed) {}

  Description description() {
    if (r_.fold != nullptr) folded();
    else if (r_.is_op()) add("op", std::string(r_.op) + "  " + std::string(r_.formula));
    else add("kind", kind_of(r_));
    about_.title = title_of(r_);
    about_.path = std::string(r_.scope);
    if (!r_.scope_kind.empty() && r_.scope_kind != r_.scope) about_.path += "  " + std::string(r_.scope_kind);
    about_.path = shorten(about_.path, most);
    if (r_.is_op()) add("module", about_.path);
    add("shape", shape_text(r_.shape) + "  " + std::string(r_.dtype));
    values();
    backward();
    if (r_.is_op()) operands();
    add("parameters", r_.fold != nullptr && r_.fold->parameters > 0 ? thousands(r_.fold->parameters) : "");
    if (with_times_ && r_.is_op())
      add("time", fmt::format("{} forward, {} backward", duration(r_.forward_seconds), duration(r_.backward_seconds)));
    add("memory", r_.is_op() ? bytes(r_.bytes()) : "");
    if (r_.change != Change::none) add("compared", r_.change == Change::added ? "added" : "removed");
    return std::move(about_);
  }

 private:
  void add(const char* name, std::string_view value) {
    if (value.find_first_not_of(' ') != std::string_view::npos) about_.lines.emplace_back(name, shorten(value, most));
  }

  std::string title_of(const Record& r) const {
    const std::string title = r.fold != nullptr ? std::string(r.fold->title)
                              : r.is_op()       ? std::string(r.op)
                                                : leaf_name(trace_, r, "constant");
    return shorten(title, most);
  }

  void folded() {
    const Fold& fold = *r_.fold;
    add("folded", fold.detail);
    add("ops", thousands(fold.ops));
    if (!std::isnan(fold.least)) add("gradients inside", exact(fold.least) + " … " + exact(fold.most));
    for (const Fold::Series& series : fold.series) {
      std::string all;
      for (const double v : series.values) all += (all.empty() ? "" : ", ") + number(v);
      add("one by one", std::string(series.name) + ": " + all);
    }
  }

  void values() {
    if (r_.has_value) add(r_.size() == 1 ? "value" : "values, rms", exact(r_.value));
    if (!r_.histogram.empty()) {
      std::string bars;
      for (const std::uint8_t height : r_.histogram) bars += std::string("▁▂▃▄▅▆▇█").substr(3 * std::size_t{height}, 3);
      add("histogram", bars);
    }
    if (r_.zeros > 0) add("exactly 0", fmt::format("{:.3g} %", 100 * r_.zeros));
    if (r_.dead > 0) add("0 in every row", fmt::format("{:.3g} % of places", 100 * r_.dead));
  }

  void backward() {
    if (r_.wants_gradient || r_.gradient.state == Gradient::State::known)
      add("gradient",
          r_.gradient.state == Gradient::State::known
              ? fmt::format("{}{}{}", r_.scalar ? "" : "rms ", trace_.compared ? "×" : "", exact(r_.gradient.size))
              : gradient_words(r_.gradient, r_.scalar));
    const bool learned = !r_.is_op() && r_.gradient.state == Gradient::State::known && r_.has_value && r_.value != 0;
    if (learned) add("‖∇‖/‖w‖", exact(std::abs(r_.gradient.size / r_.value)));
    if (r_.fold != nullptr && r_.fold->last_step != 0)
      add("backward steps", fmt::format("{} – {}", r_.fold->first_step, r_.fold->last_step));
    else if (r_.order != 0) add("backward step", std::to_string(r_.order));
    if (r_.uses > 1) add("sum of", count(r_.uses, "contribution"));
    add("rule", r_.rule);
    if (!r_.is_op() && r_.users > 1) add("used by", count(r_.users, "op"));
    for (const Saved& saved : r_.saved) add("saved", std::string(saved.what) + "  " + bytes(saved.bytes));
  }

  void operands() {
    for (const Operand& o : r_.operands) {
      std::string text = o.name.empty() ? "" : std::string(o.name) + " = ";
      text += o.id == 0 ? exact(o.number) : title_of(trace_[o.id]) + "  " + shape_text(trace_[o.id].shape);
      if (o.times > 1) text += fmt::format("  ×{}", o.times);
      if (!std::isnan(o.contribution)) text += "; gradient sent: " + exact(o.contribution);
      add("operand", text);
    }
  }

  const Trace& trace_;
  const Record& r_;
  const bool with_times_;
  Description about_;
};

}  // namespace

Description describe(const Trace& trace, const Record& record, bool with_times) {
  return Lines(trace, record, with_times).description();
}

}  // namespace ebb::graphviz
