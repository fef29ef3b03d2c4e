#include "findings.h"

#include "text.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>

namespace ebb::graphviz {

namespace {

// Where a difference is worth a word.
constexpr double far_from_median = 100, far_above_weights = 1000;  // times
constexpr double far_along_layers = 300;                           // times, from the last layer to the first
constexpr std::size_t enough_layers = 4;                           // to lay a line through
constexpr double straight = 0.8;                                   // the correlation of such a line
constexpr double dead_share = 0.25;                                // of a ReLU's units
constexpr std::int64_t enough_rows = 8;                            // with fewer a unit is 0 in all of them by chance
constexpr double little_passed = 0.02;                             // of the most that a sigmoid or tanh can pass on
constexpr std::size_t most_names = 5;

using Kind = Finding::Kind;
using Layer = Health::Layer;

bool is_known(const Record& r) { return r.gradient.state == Gradient::State::known; }

std::string path_of(const Record& r) { return plain(shorten(r.scope.empty() ? r.scope_kind : r.scope, 60)); }

/// What a Sequential or an optimizer has not named yet goes by its kind, as others of its kind do.
bool is_nameless(const Record& r) { return r.scope.empty() || r.scope == r.scope_kind; }

/// "relu in encoder.1"
std::string op_name(const Record& r) {
  const std::string path = path_of(r);
  std::string text = plain(shorten(r.op, 40)) + (path.empty() ? "" : " in " + path);
  return is_nameless(r) ? text + fmt::format(" (node {})", r.id) : text;
}

std::string leaf_name(const Record& r) {
  return r.name.empty() ? "one of shape " + shape_text(r.shape) : plain(shorten(r.name, 60));
}

std::string name(const Record& r) { return r.is_op() ? op_name(r) : leaf_name(r); }

/// How many times, in as many digits as one wants to read.
std::string times(double ratio) {
  return ratio < 10 ? fmt::format("{:.1f}", ratio) : ratio < 1e6 ? thousands(std::llround(ratio)) : number(ratio);
}

double median_of(const std::vector<Layer>& layers) {
  std::vector<double> sizes;
  for (const Layer& layer : layers)
    if (moves(layer)) sizes.push_back(layer.gradient);
  if (sizes.empty()) return 0;
  const auto middle = sizes.begin() + std::ssize(sizes) / 2;
  std::nth_element(sizes.begin(), middle, sizes.end());
  return *middle;
}

/// The line through the logarithms of the layers' gradients, one layer to the right for each.
struct Line {
  double slope = 0, correlation = 0;
};

Line line_through(const std::vector<Layer>& layers) {
  const auto n = static_cast<double>(layers.size());
  double x = 0, y = 0, xx = 0, yy = 0, xy = 0, i = 0;
  for (const Layer& layer : layers) {
    const double size = std::log10(layer.gradient);
    x += i, y += size, xx += i * i, yy += size * size, xy += i * size;
    ++i;
  }
  const double of_x = xx - x * x / n, of_y = yy - y * y / n, of_both = xy - x * y / n;
  return {of_both / of_x, of_y > 0 ? of_both / std::sqrt(of_x * of_y) : 0};
}

class Examination {
 public:
  explicit Examination(const Trace& trace) : trace_(trace) {
    const auto is_parameter = [](const Record& r) { return r.kind == Node::Kind::parameter; };
    const bool any = std::any_of(trace.records.begin(), trace.records.end(), is_parameter);
    learning_ = any ? Node::Kind::parameter : Node::Kind::variable;
  }

  Health run() {
    values_not_finite();
    gradients_not_finite();
    off_path();
    gather_layers();
    along_layers();
    for (const Layer& layer : health_.layers) compare(layer);
    const std::vector<bool> read_by_layers = before_layers();
    for (std::size_t i = 0; i < trace_.records.size(); ++i) {
      dead(trace_.records[i]);
      if (read_by_layers[i]) saturated(trace_.records[i]);
    }
    std::stable_sort(health_.findings.begin(), health_.findings.end(),
                     [](const Finding& a, const Finding& b) { return a.kind < b.kind; });
    return std::move(health_);
  }

 private:
  void find(Kind kind, std::string place, std::string words) {
    health_.findings.push_back({kind, std::move(place), std::move(words)});
  }

  bool is_finite(std::uint32_t id) const { return id == 0 || !trace_[id].has_value || std::isfinite(trace_[id].value); }

  void values_not_finite() {
    for (const Record& r : trace_.records) {
      if (is_finite(r.id)) continue;
      const bool begins_here =
          std::all_of(r.operands.begin(), r.operands.end(), [&](const Operand& o) { return is_finite(o.id); });
      // An infinite constant is meant, as in masks, until NaN comes of it.
      const bool meant = std::isinf(r.value) && (r.kind == Node::Kind::constant || !begins_here);
      if (meant) continue;
      return find(Kind::not_finite, name(r),
                  fmt::format("{} holds {}{}", name(r), number(r.value),
                              r.is_op() && begins_here ? ", and what it is computed from is finite" : ""));
    }
  }

  // Where the gradient that arrives is finite, and one that is sent is not.
  void gradients_not_finite() {
    const Record* first = nullptr;
    for (const Record& r : trace_.records) {
      if (r.order == 0 || (first != nullptr && r.order > first->order) || !std::isfinite(r.gradient.size)) continue;
      const auto is_broken = [&](const Operand& o) {
        return o.id != 0 && is_known(trace_[o.id]) && !std::isfinite(trace_[o.id].gradient.size) &&
               !std::isfinite(o.contribution);
      };
      if (std::any_of(r.operands.begin(), r.operands.end(), is_broken)) first = &r;
    }
    if (first == nullptr) return;
    find(Kind::not_finite, "the gradient of " + op_name(*first),
         fmt::format("the gradient that {} sends on, in step {} of backward, is not finite; the one that arrives "
                     "there is: {}",
                     op_name(*first), first->order, number(first->gradient.size)));
  }

  void off_path() {
    std::vector<std::string> names;
    for (const Record& r : trace_.records)
      if (r.kind == learning_ && r.size() > 0 && r.gradient.state == Gradient::State::unneeded)
        names.push_back(leaf_name(r));
    if (names.empty()) return;
    const std::size_t all = names.size();
    names.resize(std::min(all, most_names));
    const std::string listed = fmt::format("{}", fmt::join(names, ", "));
    find(Kind::off_path, listed,
         fmt::format("no gradient comes to {}{}", listed,
                     all > names.size() ? fmt::format(" and {} more", all - names.size()) : ""));
  }

  // ---- layers -------------------------------------------------------------------------------------------------

  void gather_layers() {
    struct Sums {
      double numbers = 0, gradient = 0, weight = 0;
      bool reached = false;
    };
    std::vector<std::pair<std::string, Sums>> all;
    std::map<std::string, std::size_t> places;
    for (const Record& r : trace_.records) {
      if (r.kind != learning_ || r.size() == 0) continue;
      std::string place = learning_ == Node::Kind::parameter ? path_of(r) : "";
      if (place.empty()) place = leaf_name(r);
      else if (is_nameless(r)) place += fmt::format(" (call {})", r.scope_call);
      const auto [at, is_new] = places.emplace(place, all.size());
      if (is_new) all.emplace_back(place, Sums());
      if (!is_known(r)) continue;
      Sums& sums = all[at->second].second;
      const auto n = static_cast<double>(r.size());
      sums.numbers += n;
      sums.gradient += n * r.gradient.size * r.gradient.size;
      sums.weight += n * r.value * r.value;
      sums.reached = true;
    }
    health_.learning = std::ssize(all);
    for (const auto& [place, sums] : all)
      if (sums.reached)
        health_.layers.push_back(
            {place, std::sqrt(sums.gradient / sums.numbers), std::sqrt(sums.weight / sums.numbers)});
    health_.median = median_of(health_.layers);
  }

  void along_layers() {
    std::vector<Layer> moving;
    for (const Layer& layer : health_.layers)
      if (moves(layer)) moving.push_back(layer);
    if (moving.size() < enough_layers) return;
    const Line line = line_through(moving);
    const double change = std::pow(10, std::abs(line.slope) * static_cast<double>(moving.size() - 1));
    if (change < far_along_layers || std::abs(line.correlation) < straight) return;
    shrinks_ = line.slope > 0, grows_ = line.slope < 0;
    const Layer &first = moving.front(), &last = moving.back();
    find(shrinks_ ? Kind::shrinking : Kind::growing, "towards the input",
         fmt::format("∇ rms {} from {} in {} to {} in {}, about {} times from a layer to the one before",
                     shrinks_ ? "falls" : "rises", number(last.gradient), last.name, number(first.gradient), first.name,
                     times(std::pow(10, std::abs(line.slope)))));
  }

  void compare(const Layer& layer) {
    if (layer.gradient == 0) return find(Kind::zero, layer.name, fmt::format("∇ is exactly 0 in {}", layer.name));
    if (!moves(layer)) return;
    const double ratio = layer.gradient / health_.median;
    const std::string size = fmt::format("∇ rms {} in {} is ", number(layer.gradient), layer.name);
    // Where gradients change from layer to layer the other end is far off too, and nothing is wrong there.
    if (ratio <= 1 / far_from_median && !grows_)
      find(Kind::vanishing, layer.name,
           size + fmt::format("{} times below the layers' median, {}", times(1 / ratio), number(health_.median)));
    else if (ratio >= far_from_median && !shrinks_)
      find(Kind::exploding, layer.name,
           size + fmt::format("{} times above the layers' median, {}", times(ratio), number(health_.median)));
    else if (layer.weight > 0 && layer.gradient >= far_above_weights * layer.weight)
      find(Kind::exploding, layer.name,
           size + fmt::format("{} times the rms of its weights, {}", times(layer.gradient / layer.weight),
                              number(layer.weight)));
  }

  // ---- activations --------------------------------------------------------------------------------------------

  void dead(const Record& r) {
    if (r.op != "relu" || r.shape.size() < 2 || r.shape[0] < enough_rows || std::isnan(r.dead)) return;
    const auto units = static_cast<double>(r.size() / r.shape[0]);
    health_.relu_units += units, health_.dead_units += r.dead * units;
    if (r.dead < dead_share) return;
    find(Kind::dead, op_name(r),
         fmt::format("{} of {} units of {} are 0 in all {} rows, {:.0f}\u00a0% of its numbers are 0",
                     thousands(std::llround(r.dead * units)), thousands(std::llround(units)), op_name(r),
                     thousands(r.shape[0]), 100 * r.zeros));
  }

  /// For each record whether something that learns is used with what comes of it: what only the loss reads is meant to
  /// be sure.
  std::vector<bool> before_layers() const {
    std::vector<bool> found(trace_.records.size());
    for (std::size_t i = trace_.records.size(); i-- > 0;) {
      const std::span<const Operand> operands = trace_.records[i].operands;
      const auto learns = [&](const Operand& o) { return o.id != 0 && trace_[o.id].kind == learning_; };
      if (!found[i] && std::none_of(operands.begin(), operands.end(), learns)) continue;
      for (const Operand& o : operands)
        if (o.id != 0) found[trace_.at(o.id)] = true;
    }
    return found;
  }

  void saturated(const Record& r) {
    const bool is_sigmoid = r.op == "sigmoid";
    if ((!is_sigmoid && r.op != "tanh") || r.scalar || r.operands.size() != 1) return;
    const double arrives = r.gradient.size, leaves = r.operands[0].contribution;
    if (!is_known(r) || !std::isfinite(arrives) || arrives == 0 || !std::isfinite(leaves)) return;
    const double most = is_sigmoid ? 0.25 : 1, share = leaves / arrives;
    if (share > little_passed * most) return;
    find(Kind::saturated, op_name(r),
         fmt::format("{} passes {}\u00a0% of its gradient on, and could pass {:.0f}\u00a0%", op_name(r),
                     number(100 * share), 100 * most));
  }

  const Trace& trace_;
  Node::Kind learning_ = Node::Kind::parameter;
  Health health_;
  bool shrinks_ = false, grows_ = false;
};

}  // namespace

std::string_view name_of(Kind kind) {
  switch (kind) {
    case Kind::not_finite:
      return "not finite";
    case Kind::off_path:
      return "off the path to the loss";
    case Kind::zero:
      return "no gradient";
    case Kind::exploding:
      return "exploding";
    case Kind::growing:
      return "exploding towards the input";
    case Kind::vanishing:
      return "vanishing";
    case Kind::shrinking:
      return "vanishing towards the input";
    case Kind::dead:
      return "dead ReLUs";
    case Kind::saturated:
      return "saturated";
  }
  return "";
}

std::string_view help_for(Kind kind) {
  switch (kind) {
    case Kind::not_finite:
      return "standardize the inputs, try a smaller lr, and take losses of logits in place of log(softmax(x))";
    case Kind::off_path:
      return "graph.explain(parameter) says where the path ends";
    case Kind::zero:
      return "graph.explain(parameter) says why: dead units, a mask, or weights that are 0";
    case Kind::exploding:
    case Kind::growing:
      return "try clip_norm, a smaller lr, smaller weights to begin with (the layer's .init), or a norm between the "
             "layers";
    case Kind::vanishing:
    case Kind::shrinking:
      return "try ReLU or GELU for sigmoid, larger weights to begin with (the layer's .init), or skips or norms "
             "between the layers";
    case Kind::dead:
      return "try a smaller lr, or LeakyReLU, whose gradient never stops";
    case Kind::saturated:
      return "try smaller weights to begin with, standardized inputs, or a norm before it";
  }
  return "";
}

Health examine(const Trace& trace) { return Examination(trace).run(); }

}  // namespace ebb::graphviz
