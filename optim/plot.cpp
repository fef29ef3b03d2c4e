#include "plot.h"

#include "../nn/io/text.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <string_view>
#include <utility>
#include <vector>

namespace ebb::optim {

namespace {

// In pixels: a panel's inner width and height, and what is around it.
constexpr double width = 480, height = 150, left = 72, right = 168, above = 40, below = 14, foot = 34;
// A scale turns logarithmic where its largest number is so many times its smallest.
constexpr double wide_range = 50;

constexpr std::string_view style = R"(
  .ground { fill: #ffffff }  .frame, .grid { stroke: #d8dee4; fill: none }  .frame { stroke: #8c959f }
  .ink { fill: #1f2328 }  .title { font-weight: 600 }  .quiet { fill: #59636e }  .best { stroke: #59636e; stroke-dasharray: 3 3 }
  .train { stroke: #0969da }  .train-text { fill: #0969da }  .judge { stroke: #bc4c00 }  .judge-text { fill: #bc4c00 }
  .line { fill: none; stroke-width: 2; stroke-linejoin: round; stroke-linecap: round }
  @media (prefers-color-scheme: dark) {
    .ground { fill: #0d1117 }  .grid { stroke: #30363d }  .frame { stroke: #656c76 }
    .ink { fill: #e6edf3 }  .quiet { fill: #9198a1 }  .best { stroke: #9198a1 }
    .train { stroke: #58a6ff }  .train-text { fill: #58a6ff }  .judge { stroke: #f0883e }  .judge-text { fill: #f0883e }
  }
)";

using Values = std::vector<double>;

/// A reading of the training part, of the validation part, or both, which share a panel.
struct Panel {
  std::string name;
  const Values* train = nullptr;
  const Values* judge = nullptr;
};

std::vector<Panel> panels(const History& history) {
  const std::vector<std::string> names = history.names();
  const auto has = [&](const std::string& name) { return std::find(names.begin(), names.end(), name) != names.end(); };
  std::vector<Panel> all;
  for (const std::string& name : names) {
    if (name == "seconds" || (name.starts_with("val_") && has(name.substr(4)))) continue;
    all.push_back({name, &history[name], has("val_" + name) ? &history["val_" + name] : nullptr});
  }
  return all;
}

/// Anybody's text as text of XML: at most 48 characters, markup escaped, and "?" for what XML or UTF-8 does not allow.
std::string escaped(std::string_view text) {
  std::string out;
  int characters = 0;
  while (!text.empty()) {
    if (++characters > 48) return out + "…";
    const std::size_t bytes = io::character_bytes(text);
    const std::string_view character = text.substr(0, std::max<std::size_t>(bytes, 1));
    const bool control = static_cast<unsigned char>(text[0]) < 0x20 || text[0] == 0x7F;
    if (bytes == 0 || control || character == "\uFFFE" || character == "\uFFFF") out += '?';
    else if (character == "&") out += "&amp;";
    else if (character == "<") out += "&lt;";
    else if (character == ">") out += "&gt;";
    else out += character;
    text.remove_prefix(character.size());
  }
  return out;
}

/// 1, 2 or 5 times a power of ten: the smallest such step that is not below `least`.
double nice_step(double least) {
  const double power = std::pow(10, std::floor(std::log10(least)));
  for (const double digit : {1.0, 2.0, 5.0})
    if (digit * power >= least * (1 - 1e-9)) return digit * power;
  return 10 * power;
}

/// From numbers to heights.
class Scale {
 public:
  Scale(const Panel& panel, double top) : bottom_(top + height) {
    bool any = false;
    for (const Values* values : {panel.train, panel.judge}) {
      if (values == nullptr) continue;
      for (const double v : *values) {
        if (!std::isfinite(v)) continue;
        low_ = any ? std::min(low_, drawn(v)) : drawn(v);
        high_ = any ? std::max(high_, drawn(v)) : drawn(v);
        any = true;
      }
    }
    logarithmic_ = low_ > 0 && high_ / low_ >= wide_range;
    if (logarithmic_) {
      low_ = std::log10(low_);
      high_ = std::log10(high_);
    }
    double margin = (high_ - low_) * 0.06;
    if (margin < std::abs(high_) * 1e-9 || margin == 0) margin = high_ == 0 ? 1 : std::abs(high_) * 0.1;
    low_ -= margin;
    high_ += margin;
  }

  double y(double v) const {
    const double at = logarithmic_ ? std::log10(std::max(drawn(v), 1e-320)) : drawn(v);
    return bottom_ - height * (at - low_) / (high_ - low_);
  }
  bool logarithmic() const { return logarithmic_; }

  Values ticks() const {
    Values all;
    if (!logarithmic_) {
      const double step = nice_step((high_ - low_) / 5);
      for (double k = std::ceil(low_ / step); k * step <= high_; ++k) all.push_back(k * step);
      return all;
    }
    const double decades = high_ - low_;
    const double every = std::max(1.0, std::ceil(decades / 6));
    for (double power = std::floor(low_ / every) * every; power <= high_; power += every)
      for (const double digit : {1.0, 2.0, 5.0}) {
        const double at = power + std::log10(digit);
        if ((digit == 1 || decades < 2.5) && at >= low_ && at <= high_) all.push_back(digit * std::pow(10, power));
      }
    return all;
  }

 private:
  /// So that differences do not overflow.
  static double drawn(double v) { return std::clamp(v, -1e300, 1e300); }

  double bottom_, low_ = 0, high_ = 0;
  bool logarithmic_ = false;
};

class Picture {
 public:
  explicit Picture(const History& history) : epochs_(history.epochs()), panels_(panels(history)) {
    const Panel& loss = panels_.front();
    const Values& judged = loss.judge != nullptr ? *loss.judge : *loss.train;
    for (std::size_t i = 0; i < judged.size(); ++i)
      if (std::isfinite(judged[i]) && (best_ == 0 || judged[i] < judged[best_ - 1])) best_ = i + 1;

    const double w = left + width + right;
    const double h = static_cast<double>(panels_.size()) * (above + height + below) + foot;
    add(R"(<svg xmlns="http://www.w3.org/2000/svg" width="{0:g}" height="{1:g}" viewBox="0 0 {0:g} {1:g}" )"
        R"(font-family="system-ui, 'DejaVu Sans', sans-serif" font-size="12">)",
        w, h);
    add("<title>Loss and metrics over {} epoch{}</title>\n<style>{}</style>", epochs_, epochs_ == 1 ? "" : "s", style);
    add(R"(<rect class="ground" width="{:g}" height="{:g}"/>)", w, h);
    double top = above;
    for (const Panel& panel : panels_) {
      draw(panel, top, &panel == &panels_.front(), &panel == &panels_.back());
      top += above + height + below;
    }
    text_ += "</svg>\n";
  }

  std::string take() { return std::move(text_); }

 private:
  template <class... T> void add(fmt::format_string<T...> format, T&&... values) {
    text_ += fmt::format(format, std::forward<T>(values)...) + "\n";
  }
  double x(double epoch) const {
    return epochs_ == 1 ? left + width / 2 : left + width * (epoch - 1) / static_cast<double>(epochs_ - 1);
  }

  void draw(const Panel& panel, double top, bool first, bool last) {
    const Scale scale(panel, top);
    add(R"(<text class="ink title" x="{:g}" y="{:g}">{}{}</text>)", left, top - 12, escaped(panel.name),
        scale.logarithmic() ? R"(<tspan class="quiet" font-weight="400" dx="8">(logarithmic)</tspan>)" : "");
    for (const double tick : scale.ticks()) {
      const double y = scale.y(tick);
      add(R"(<path class="grid" d="M{:g} {:.1f}h{:g}"/>)", left, y, width);
      add(R"(<text class="quiet" x="{:g}" y="{:.1f}" text-anchor="end">{:.6g}</text>)", left - 8, y + 4, tick + 0.0);
    }
    add(R"(<path class="frame" d="M{:g} {:g}v{:g}h{:g}"/>)", left, top, height, width);
    epochs_axis(top + height, last);
    if (best_ > 0) {
      const double at = x(static_cast<double>(best_));
      add(R"(<path class="best" d="M{:.1f} {:g}v{:g}"/>)", at, top, height);
      if (first)
        add(R"(<text class="quiet" x="{:.1f}" y="{:g}" text-anchor="{}">best: epoch {}</text>)", at, top - 4,
            at > left + width - 40 ? "end"
            : at < left + 160      ? "start"
                                   : "middle",
            best_);
    }
    curve(*panel.train, "train", scale);
    if (panel.judge != nullptr) curve(*panel.judge, "judge", scale);
    if (first && best_ > 0) {
      const Values& judged = panel.judge != nullptr ? *panel.judge : *panel.train;
      add(R"(<circle class="{} ground" stroke-width="2" cx="{:.1f}" cy="{:.1f}" r="4"/>)",
          panel.judge != nullptr ? "judge" : "train", x(static_cast<double>(best_)), scale.y(judged[best_ - 1]));
    }
    labels(panel, top, scale);
  }

  void epochs_axis(double y, bool labelled) {
    const auto step = static_cast<std::int64_t>(std::max(1.0, nice_step(static_cast<double>(epochs_) / 8)));
    std::vector<std::int64_t> ticks{1};
    for (std::int64_t epoch = step; epoch <= epochs_; epoch += step)
      if (epoch > 1 && epoch - 1 >= step / 2) ticks.push_back(epoch);
    for (const std::int64_t epoch : ticks) {
      const double at = x(static_cast<double>(epoch));
      add(R"(<path class="frame" d="M{:.1f} {:g}v4"/>)", at, y);
      if (labelled) add(R"(<text class="quiet" x="{:.1f}" y="{:g}" text-anchor="middle">{}</text>)", at, y + 18, epoch);
    }
    if (labelled) add(R"(<text class="quiet" x="{:g}" y="{:g}">epoch</text>)", left + width + 16, y + 18);
  }

  /// Broken where a value is not finite; a value between two such is a dot.
  void curve(const Values& values, const char* kind, const Scale& scale) {
    std::string path;
    for (std::size_t i = 0; i < values.size(); ++i) {
      if (!std::isfinite(values[i])) continue;
      const double across = x(static_cast<double>(i) + 1), up = scale.y(values[i]);
      const bool begins = i == 0 || !std::isfinite(values[i - 1]);
      const bool ends = i + 1 == values.size() || !std::isfinite(values[i + 1]);
      if (begins && ends) add(R"(<circle class="{}-text" cx="{:.1f}" cy="{:.1f}" r="3"/>)", kind, across, up);
      else path += fmt::format("{}{:.1f} {:.1f}", begins ? "M" : "L", across, up);
    }
    if (!path.empty()) add(R"(<path class="line {}" d="{}"/>)", kind, path);
  }

  /// At the ends of the lines, kept apart.
  void labels(const Panel& panel, double top, const Scale& scale) {
    constexpr double apart = 15;
    struct Label {
      const char *kind, *what;
      double value, y;
    };
    std::vector<Label> all;
    const auto enter = [&](const Values& values, const char* kind, const char* what) {
      const double v = values.back();
      all.push_back({kind, what, v, std::clamp(std::isfinite(v) ? scale.y(v) : top, top + 6, top + height - 6)});
    };
    enter(*panel.train, "train", panel.judge != nullptr || panel.name == "loss" ? "training" : "");
    if (panel.judge != nullptr) enter(*panel.judge, "judge", "validation");
    std::stable_sort(all.begin(), all.end(), [](const Label& a, const Label& b) { return a.y < b.y; });
    if (all.size() == 2 && all[1].y - all[0].y < apart) {
      const double middle = std::clamp((all[0].y + all[1].y) / 2, top + 6 + apart / 2, top + height - 6 - apart / 2);
      all[0].y = middle - apart / 2;
      all[1].y = middle + apart / 2;
    }
    const double line_end = x(static_cast<double>(epochs_));
    for (const Label& label : all)
      add(R"(<text class="{}-text" x="{:g}" y="{:.1f}">{}{}{}</text>)", label.kind, line_end + 10, label.y + 4,
          label.what, *label.what != '\0' ? " " : "",
          std::isfinite(label.value) ? fmt::format("{:.4g}", label.value) : "not finite");
  }

  std::int64_t epochs_;
  std::vector<Panel> panels_;
  std::size_t best_ = 0;  // the epoch, from 1, where the loss is smallest; 0 if it never is finite
  std::string text_;
};

}  // namespace

std::string plot(const History& history) { return Picture(history).take(); }

}  // namespace ebb::optim
