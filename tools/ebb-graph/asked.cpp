#include "asked.h"

#include "../../autograd/error.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <CLI/CLI.hpp>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <filesystem>
#include <limits>
#include <numeric>
#include <sstream>

namespace {

using namespace ebb::graphviz;
using ebb::UsageError;

// ---- help -----------------------------------------------------------------------------------------------------------

constexpr std::size_t names_wide = 25;
const std::vector<std::string> formats{"svg", "png", "pdf", "html", "dot", "json"};

constexpr const char* before_options =
    R"(ebb-graph draws how gradients flow back through a graph that Ebb recorded.

Usage: ebb-graph [OPTIONS] TRACE...

A TRACE is a .json file that graphviz::save wrote; - is standard input. Without
-o, the numbers come as a table. Several traces are strips on one scale.
)";

constexpr const char* after_options = R"(
Examples:
  ebb-graph step.json                       the numbers, largest gradient first
  ebb-graph step.json --report              what is wrong with them, in words
  ebb-graph step.json -o step.svg --play    a picture that plays backward
  ebb-graph step.json -o step.html          a page to zoom, search, step through
  ebb-graph step.json -o layers.png --depth 1          a card for each module
  ebb-graph step.json -o part.svg --focus encoder.0    one module, and around it
  ebb-graph --diff before.json after.json -o diff.svg  what became of gradients
  ebb-graph step-*.json -o training.svg --play         a film of a training

Where traces come from: a program that records one step,
  ebb::Graph graph({.observe = true});    // before the forward pass, and then
  loss.backward();  ebb::graphviz::save(graph, "step.json");
or a training with ebb::graphviz::Watch among the callbacks.

Exit status: 0: done. 1: a trace cannot be read, or a picture not be drawn or
written. 2: the command line makes no sense. Whatever fails prints nothing to
standard output and leaves no file half written.
)";

// The options by group, "-o, --output FILE" and what it does, at most 80 columns wide.
class Help : public CLI::Formatter {
 public:
  std::string make_help(const CLI::App* app, std::string, CLI::AppFormatMode) const override {
    std::string out = before_options;
    for (const std::string& group : app->get_groups()) {
      const auto of_group = [&](const CLI::Option* o) { return o->get_group() == group && !o->get_positional(); };
      const std::vector<const CLI::Option*> options = app->get_options(of_group);
      if (group.empty() || options.empty()) continue;
      out += '\n' + group + ":\n";
      for (const CLI::Option* option : options) out += entry(*option);
    }
    return out + after_options;
  }

 private:
  static std::string entry(const CLI::Option& option) {
    const std::string shorter = option.get_snames().empty() ? "    " : "-" + option.get_snames().front() + ", ";
    std::string names = "  " + shorter + "--" + option.get_lnames().front();
    if (!option.get_type_name().empty()) names += ' ' + option.get_type_name();
    std::string out;
    std::istringstream lines(option.get_description());
    for (std::string line; std::getline(lines, line); names.clear())
      out += fmt::format("{:<{}} {}\n", names, names_wide, line);
    return out;
  }
};

// ---- words ----------------------------------------------------------------------------------------------------------

// How many letters tell the two apart.
std::size_t distance(std::string_view a, std::string_view b) {
  std::vector<std::size_t> row(b.size() + 1);
  std::iota(row.begin(), row.end(), std::size_t{0});
  for (std::size_t i = 0; i < a.size(); ++i) {
    std::size_t corner = row[0]++;
    for (std::size_t j = 0; j < b.size(); ++j) {
      const std::size_t changed = corner + (a[i] == b[j] ? 0 : 1);
      corner = row[j + 1];
      row[j + 1] = std::min({changed, row[j] + 1, corner + 1});
    }
  }
  return row.back();
}

// "\n  help: did you mean cards?", or nothing if none is near.
std::string nearest(const std::string& word, const std::vector<std::string>& known) {
  const std::string* best = nullptr;
  std::size_t least = 3;
  for (const std::string& name : known) {
    const bool begins = word.size() >= 3 && name.starts_with(word);
    const std::size_t far = begins ? 0 : distance(word.substr(0, 40), name);
    if (far < least && 2 * far <= name.size()) best = &name, least = far;
  }
  return best == nullptr ? "" : fmt::format("\n  help: did you mean {}?", *best);
}

// As it may stand in a message.
std::string shown(const std::string& word) {
  std::string out = word.size() <= 60 ? word : word.substr(0, 57) + "...";
  for (char& c : out)
    if (static_cast<unsigned char>(c) < ' ' || c == 0x7F) c = '?';
  return out;
}

// The position of the word among those that it may be.
std::size_t one_of(const std::string& option, const std::string& word, const std::vector<std::string>& words) {
  const auto found = std::find(words.begin(), words.end(), word);
  if (found != words.end()) return static_cast<std::size_t>(found - words.begin());
  throw UsageError(
      fmt::format("{} {}: must be one of {}{}", option, shown(word), fmt::join(words, ", "), nearest(word, words)));
}

template <class T> T in_range(const std::string& option, const std::string& word, T least, T most, const char* range) {
  T value{};
  const auto [end, error] = std::from_chars(word.data(), word.data() + word.size(), value);
  if (error != std::errc() || end != word.data() + word.size() || !(value >= least && value <= most))
    throw UsageError(fmt::format("{} {}: must be {}", option, shown(word), range));
  return value;
}

// ---- the command line -----------------------------------------------------------------------------------------------

class CommandLine {
 public:
  CommandLine() : app_("", "ebb-graph") {
    app_.formatter(std::make_shared<Help>());
    app_.set_help_flag();
    app_.allow_extras();  // to say more of them than CLI11 does
    app_.add_option("TRACE", asked_.traces);

    group_ = "What comes out";
    value("-o,--output", "FILE",
          "a picture: .svg .png .pdf .html .dot, or a trace:\n.json; - is standard output, as --format says");
    value("--format", "FORMAT", "of standard output: svg png pdf html dot json;\nof frames: svg (default) or png");
    value("--frames", "DIR",
          "an image for each step of the backward pass, or,\nof several traces, for each: all of one layout");
    flag("--play",
         "the picture plays: the backward pass in the order in\n"
         "which it ran (.svg .html), or several traces (.svg)");
    flag("--text", "the numbers as a table, at most 100 columns wide");
    flag("--report", "what is vanishing, exploding or dead, in words");
    flag("--diff", "compares two traces: gradients as multiples of what\nthey were, and what was added and removed");

    group_ = "How it is laid out";
    value("--view", "VIEW", "auto, ladder, cards, strip or scalar\n(default: auto, by the graph's form)");
    value("--depth", "N", "levels of modules that are opened; at 1 each module is\none card (from 0; default: 16)");
    value("--max-nodes", "N", "more cards than that are folded, and the subtitle says\nhow (from 2; default: 400)");
    value("--focus", "PATH", "only this module and what is near is drawn open");
    value("--radius", "N", "how near: ops from it (from 0; default: 2)");

    group_ = "How it looks";
    value("--theme", "THEME", "auto, light or dark (default: auto, the reader's in\n.svg and .html, elsewhere light)");
    value("--color", "WHAT",
          "what colours, widths and the table's order say:\ngradient, value, time or memory (default: gradient)");
    value("--heat-center", "SIZE", "the size in the middle of the scale of colours\n(above 0; default: the median)");
    value("--heat-span", "DECADES",
          "powers of ten from there to either end of the scale\n(above 0, to 300; default: 2, or as many as it takes)");
    value("--title", "TEXT", "default: says what is seen");
    value("--subtitle", "TEXT", "default: how many parameters, ops and steps there are");

    group_ = "Of this program";
    flag("-h,--help", "these words");
    flag("--version", "its version");
  }

  Asked read(int count, const char* const* words) {
    parse(count, words);
    if (given("--help")) asked_.answer = app_.help();
    else if (given("--version")) asked_.answer = "ebb-graph " EBB_VERSION "\n";
    if (!asked_.answer.empty()) return asked_;
    take_values();
    check();
    return asked_;
  }

 private:
  void value(const std::string& names, const std::string& type, const std::string& what) {
    app_.add_option(names, what)->expected(1)->type_size(1)->type_name(type)->group(group_);
  }
  void flag(const std::string& names, const std::string& what) { app_.add_flag(names, what)->group(group_); }

  void parse(int count, const char* const* words) {
    try {
      app_.parse(count, words);
    } catch (const CLI::ArgumentMismatch& error) {  // "--depth: 1 required N missing"
      const std::string said = error.what();
      const std::string option = said.substr(0, said.find(':'));
      throw UsageError(option + (given(option) ? " is given more than once" : " needs a value"));
    } catch (const CLI::ParseError& error) {
      throw UsageError(error.what());
    }
    if (given("--help") || given("--version")) return;
    std::vector<std::string> known;
    for (const CLI::Option* option : app_.get_options())
      if (!option->get_lnames().empty()) known.push_back("--" + option->get_lnames().front());
    for (const std::string& word : app_.remaining()) {
      if (word == "--") continue;
      const std::string near = nearest(word, known);
      throw UsageError(fmt::format("unknown option {}{}", shown(word),
                                   near.empty() ? "\n  help: ebb-graph --help lists them all" : near));
    }
    for (const std::string& name : known) {
      if (!given(name)) continue;
      const bool is_flag = app_[name]->get_type_name().empty();
      const CLI::results_t& values = app_[name]->results();
      if (is_flag && values.front() != "true") throw UsageError(name + " takes no value");
      if (values.size() > 1) throw UsageError(name + " is given more than once");
    }
  }

  bool given(const std::string& option) const {
    return app_.get_option_no_throw(option) != nullptr && app_.count(option) > 0;
  }
  // Empty: not given.
  std::string word(const std::string& option) const { return given(option) ? app_[option]->results().front() : ""; }
  template <class F> void with(const std::string& option, F&& f) {
    if (given(option)) f(option, word(option));
  }

  void take_values() {
    constexpr int most = std::numeric_limits<int>::max();
    DotOptions& p = asked_.picture;
    asked_.output = word("--output"), asked_.frames = word("--frames");
    asked_.diff = given("--diff"), asked_.text = given("--text"), asked_.report = given("--report");
    p.play = given("--play"), p.title = word("--title"), p.subtitle = word("--subtitle"), p.focus = word("--focus");
    with("--format", [&](auto& o, auto w) { asked_.format = formats[one_of(o, w, formats)]; });
    with("--view", [&](auto& o, auto w) {
      p.view = static_cast<View>(one_of(o, w, {"auto", "ladder", "cards", "strip", "scalar"}));
    });
    with("--theme", [&](auto& o, auto w) { p.theme = static_cast<Theme>(one_of(o, w, {"auto", "light", "dark"})); });
    with("--color", [&](auto& o, auto w) {
      p.color = static_cast<Color>(one_of(o, w, {"gradient", "value", "time", "memory"}));
    });
    with("--depth", [&](auto& o, auto w) { p.depth = in_range(o, w, 0, most, "a whole number from 0"); });
    with("--max-nodes", [&](auto& o, auto w) { p.max_nodes = in_range(o, w, 2, most, "a whole number from 2"); });
    with("--radius", [&](auto& o, auto w) { p.radius = in_range(o, w, 0, most, "a whole number from 0"); });
    constexpr double least = std::numeric_limits<double>::min();
    with("--heat-center", [&](auto& o, auto w) { p.heat_center = in_range(o, w, least, 1e300, "a number above 0"); });
    with("--heat-span",
         [&](auto& o, auto w) { p.heat_span = in_range(o, w, least, 300.0, "a number above 0, to 300"); });
  }

  // Nothing that was given may be without effect.
  void check() {
    for (const char* name : {"--output", "--frames", "--focus", "--title", "--subtitle"})
      if (given(name) && word(name).empty()) throw UsageError(fmt::format("{} is empty", name));
    if (asked_.traces.empty())
      throw UsageError("which trace?\n  help: ebb-graph step.json; ebb-graph --help says more");
    if (asked_.diff && asked_.traces.size() != 2)
      throw UsageError(fmt::format("--diff compares two traces, before and after, not {}", asked_.traces.size()));
    if (given("--radius") && !given("--focus"))
      throw UsageError("--radius is how far around --focus, which is not given");
    find_format();
    const bool to_file = !asked_.output.empty();
    if (!to_file && asked_.frames.empty() && !asked_.report) asked_.text = true;
    const bool drawn = (to_file && kind_ != "json") || !asked_.frames.empty();
    for (const char* name : {"--view", "--theme", "--heat-center", "--heat-span", "--play"})
      if (given(name) && !drawn)
        throw UsageError(fmt::format("{} is about pictures, and none is asked for\n  help: add -o FILE", name));
    for (const char* name : {"--depth", "--max-nodes", "--focus", "--color", "--title", "--subtitle"})
      if (given(name) && !drawn && !asked_.text)
        throw UsageError(
            fmt::format("{} is about pictures and tables, and none is asked for\n  help: add -o FILE or --text", name));
    if (asked_.picture.play && !(to_file && (kind_ == "svg" || kind_ == "html")))
      throw UsageError("--play: only .svg and .html play\n  help: add -o FILE.svg");
    if (one_picture() && asked_.picture.play && kind_ != "svg")
      throw UsageError("--play: several traces play in an .svg only");
    if (one_picture() && kind_ == "json") throw UsageError("a .json is one trace, and several are given");
  }
  bool one_picture() const { return asked_.traces.size() > 1 && !asked_.diff && !asked_.output.empty(); }

  // Standard output and frames have no name that says it.
  void find_format() {
    if (!asked_.format.empty() && asked_.output.empty() && asked_.frames.empty()) asked_.output = "-";
    if (asked_.output == "-") {
      if (asked_.format.empty()) throw UsageError("-o - needs --format");
      kind_ = asked_.format;
    } else if (!asked_.output.empty()) {
      const std::string extension = std::filesystem::path(asked_.output).extension().string();
      kind_ = extension.empty() ? "" : extension.substr(1);
      if (std::find(formats.begin(), formats.end(), kind_) == formats.end())
        throw UsageError(
            fmt::format("-o {}: its extension must be one of {}", shown(asked_.output), fmt::join(formats, ", ")));
      if (!asked_.format.empty() && asked_.frames.empty())
        throw UsageError(
            fmt::format("--format is of standard output and of frames; {} is .{}", shown(asked_.output), kind_));
    }
    if (!asked_.frames.empty() && !asked_.format.empty() && asked_.format != "svg" && asked_.format != "png")
      throw UsageError("--format " + asked_.format + ": frames are svg or png");
  }

  Asked asked_;
  CLI::App app_;
  std::string group_, kind_;  // of the options being added; of the picture: "svg"
};

}  // namespace

Asked asked(int count, const char* const* words) { return CommandLine().read(count, words); }
