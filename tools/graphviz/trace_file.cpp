// Traces as files.  trace.md beside this file says how they are laid out.
#include "file.h"
#include "text.h"
#include "trace.h"

#include "../../autograd/error.h"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <array>
#include <cmath>
#include <fstream>
#include <iterator>
#include <unordered_set>

namespace ebb::graphviz {

namespace {

using Json = nlohmann::json;

constexpr int version = 1;
constexpr std::size_t most_bytes = std::size_t{1} << 28;

constexpr std::array kinds{"op", "parameter", "variable", "constant"};    // by Node::Kind
constexpr std::array fold_kinds{"module", "repeat", "chain", "stretch"};  // by Fold::Kind
constexpr std::array dtypes{"f32", "f64", "i64"};

// ---- writing --------------------------------------------------------------------------------------------------------

class Writer {
 public:
  Writer(const Trace& trace, bool times) : trace_(trace), times_(times && trace.timed) {}

  std::string write() {
    add("{{\"format\": \"ebb-trace\", \"version\": {},\n\"observed\": {}, \"differentiated\": {}, \"timed\": {},\n",
        version, trace_.observed, trace_.differentiated, times_);
    add("\"root\": {}, \"ops\": {}, \"steps\": {}, \"parameters\": {},\n\"folded\": [", trace_.root, trace_.ops,
        trace_.steps, trace_.parameters);
    for (std::size_t i = 0; i < trace_.folded.size(); ++i) out_ += i == 0 ? "" : ", ", out_ += text(trace_.folded[i]);
    out_ += "],\n\"nodes\": [";
    for (std::size_t i = 0; i < trace_.records.size(); ++i) {
      out_ += i == 0 ? "\n" : ",\n";
      record(trace_.records[i]);
    }
    out_ += "\n]}\n";
    return std::move(out_);
  }

 private:
  template <class... T> void add(fmt::format_string<T...> text, T&&... values) {
    fmt::format_to(std::back_inserter(out_), text, std::forward<T>(values)...);
  }
  static std::string text(std::string_view s) {
    const auto plain = [](char c) { return c >= ' ' && c <= '~' && c != '"' && c != '\\'; };
    if (std::all_of(s.begin(), s.end(), plain)) return '"' + std::string(s) + '"';
    return Json(s).dump(-1, ' ', false, Json::error_handler_t::replace);
  }
  void words(const char* key, std::string_view s) {
    if (!s.empty()) add(", \"{}\": {}", key, text(s));
  }
  static std::string digits(double v) {
    return std::isnan(v) ? "\"nan\"" : std::isinf(v) ? (v < 0 ? "\"-inf\"" : "\"inf\"") : fmt::format("{:.12g}", v);
  }
  void number(const char* key, double v) {
    if (!std::isnan(v)) add(", \"{}\": {}", key, digits(v));
  }
  template <class T> void count(const char* key, T n) {
    if (n != 0) add(", \"{}\": {}", key, n);
  }
  void gradient(const char* key, const Gradient& g) {
    if (g.state == Gradient::State::unneeded) add(", \"{}\": \"unneeded\"", key);
    if (g.state == Gradient::State::known) add(", \"{}\": {}", key, digits(g.size));
  }
  template <class List, class F> void list(const char* key, const List& all, F&& one) {
    if (all.empty()) return;
    add(", \"{}\": [", key);
    for (std::size_t i = 0; i < all.size(); ++i) {
      if (i != 0) out_ += ", ";
      one(all[i]);
    }
    out_ += ']';
  }

  void record(const Record& r) {
    add("{{\"id\": {}, \"kind\": \"{}\"", r.id, kinds[static_cast<std::size_t>(r.kind)]);
    words("op", r.op), words("formula", r.formula), words("rule", r.rule), words("name", r.name);
    words("module", r.scope), words("module_kind", r.scope_kind), count("call", r.scope_call);
    count("backward_of", r.backward_of);
    if (r.scalar) out_ += ", \"scalar\": true";
    if (r.pointwise) out_ += ", \"pointwise\": true";
    if (r.wants_gradient) out_ += ", \"wants_gradient\": true";
    list("in", r.operands, [&](const Operand& o) { operand(o); });
    add(", \"dtype\": \"{}\"", r.dtype);
    list("shape", r.shape, [&](std::int64_t n) { add("{}", n); });
    list("saved", r.saved, [&](const Saved& s) { add("{{\"what\": {}, \"bytes\": {}}}", text(s.what), s.bytes); });
    if (r.has_value) add(", \"value\": {}", digits(r.value));
    number("zeros", r.zeros), number("dead", r.dead);
    list("histogram", r.histogram, [&](std::uint8_t h) { add("{}", h); });
    gradient("gradient", r.gradient);
    count("step", r.order), count("uses", r.uses);
    if (times_) add(", \"seconds\": [{}, {}]", digits(r.forward_seconds), digits(r.backward_seconds));
    if (r.fold != nullptr) fold(*r.fold);
    out_ += '}';
  }

  void operand(const Operand& o) {
    add("{{\"id\": {}", o.id);
    words("name", o.name), number("number", o.number), number("gradient", o.contribution);
    if (o.times != 1) add(", \"times\": {}", o.times);
    out_ += '}';
  }

  void fold(const Fold& f) {
    add(", \"fold\": {{\"kind\": \"{}\"", fold_kinds[static_cast<std::size_t>(f.kind)]);
    words("title", f.title), words("detail", f.detail);
    add(", \"ops\": {}, \"times\": {}", f.ops, f.times);
    count("first_step", f.first_step), count("last_step", f.last_step);
    number("least", f.least), number("most", f.most);
    count("parameters", f.parameters), number("parameter_rms", f.parameter_rms);
    gradient("parameter_gradient", f.parameter_gradient);
    list("parameter_names", f.parameter_names, [&](std::string_view name) { out_ += text(name); });
    list("series", f.series, [&](const Fold::Series& s) {
      add("{{\"name\": {}", text(s.name));
      list("values", s.values, [&](double v) { out_ += digits(v); });
      out_ += '}';
    });
    out_ += '}';
  }

  const Trace& trace_;
  const bool times_;
  std::string out_;
};

// ---- reading --------------------------------------------------------------------------------------------------------

/// A value of a file that anybody may have written, with its place in it.
class Value {
 public:
  Value(const Json& json, std::string place) : json_(json), place_(std::move(place)) {}

  [[noreturn]] void fail(std::string_view what) const {
    throw ParseError(fmt::format("{}: {}", place_.empty() ? "the trace" : place_, what));
  }
  bool has(const char* key) const { return json_.contains(key); }
  Value operator[](const char* key) const {
    if (!json_.is_object()) fail("is no object");
    const auto found = json_.find(key);
    if (found == json_.end()) fail(fmt::format("has no \"{}\"", key));
    return {*found, place_.empty() ? key : place_ + '.' + key};
  }

  bool flag() const {
    if (!json_.is_boolean()) fail("is neither true nor false");
    return json_.get<bool>();
  }
  std::int64_t integer(std::int64_t least, std::int64_t most) const {
    const bool fits =
        json_.is_number_integer() && (!json_.is_number_unsigned() || json_.get<std::uint64_t>() <= INT64_MAX);
    const std::int64_t n = fits ? json_.get<std::int64_t>() : 0;
    if (!fits || n < least || n > most) fail(fmt::format("is no whole number from {} to {}", least, most));
    return n;
  }
  std::uint32_t id() const { return static_cast<std::uint32_t>(integer(0, UINT32_MAX)); }
  double number() const {
    if (json_ == "nan") return no_number;
    if (json_ == "inf") return std::numeric_limits<double>::infinity();
    if (json_ == "-inf") return -std::numeric_limits<double>::infinity();
    if (!json_.is_number()) fail("is no number");
    return json_.get<double>();
  }
  const std::string& text() const {
    if (!json_.is_string()) fail("is no text");
    return json_.get_ref<const std::string&>();
  }
  template <std::size_t n> std::size_t one_of(const std::array<const char*, n>& known) const {
    const auto found = std::find(known.begin(), known.end(), text());
    if (found == known.end()) fail(fmt::format("is none of {}", fmt::join(known, ", ")));
    return static_cast<std::size_t>(found - known.begin());
  }
  template <class F> void each(F&& f) const {
    if (!json_.is_array()) fail("is no list");
    for (std::size_t i = 0; i < json_.size(); ++i) f(Value(json_[i], fmt::format("{}[{}]", place_, i)));
  }

  // Those that may be missing.
  bool flag_of(const char* key) const { return has(key) && (*this)[key].flag(); }
  double number_of(const char* key) const { return has(key) ? (*this)[key].number() : no_number; }
  std::int64_t count_of(const char* key, std::int64_t otherwise = 0) const {
    return has(key) ? (*this)[key].integer(0, INT64_MAX) : otherwise;
  }
  std::uint32_t id_of(const char* key) const { return has(key) ? (*this)[key].id() : 0; }
  Gradient gradient_of(const char* key) const {
    if (!has(key)) return {};
    const Value g = (*this)[key];
    if (g.json_ == "unneeded") return {Gradient::State::unneeded, no_number};
    return {Gradient::State::known, g.number()};
  }
  template <class F> void each_of(const char* key, F&& f) const {
    if (has(key)) (*this)[key].each(f);
  }

 private:
  const Json& json_;
  std::string place_;
};

class Reader {
 public:
  Trace read(const Value& file) {
    if (!file.has("format") || file["format"].text() != "ebb-trace") file.fail("says nowhere that it is an ebb-trace");
    if (const std::int64_t n = file["version"].integer(1, INT64_MAX); n > version)
      file["version"].fail(fmt::format("is {}, and this program knows traces up to {}", n, version));
    trace_.observed = file["observed"].flag();
    trace_.differentiated = file["differentiated"].flag();
    trace_.timed = file.flag_of("timed");
    trace_.ops = file.count_of("ops"), trace_.steps = file.count_of("steps");
    trace_.parameters = file.count_of("parameters");
    file.each_of("folded", [&](const Value& words) { trace_.folded.push_back(words.text()); });
    file["nodes"].each([&](const Value& node) { record(node); });
    trace_.index();
    trace_.root = file["root"].id();
    if (trace_.root != 0 && (!trace_.holds(trace_.root) || !trace_[trace_.root].is_op()))
      file["root"].fail(fmt::format("is {}, which is no op of the trace", trace_.root));
    return std::move(trace_);
  }

 private:
  std::string_view words(const Value& in, const char* key) {
    return in.has(key) ? keep(in[key].text()) : std::string_view();
  }
  std::string_view keep(const std::string& text) {
    const auto found = words_.find(text);
    return found != words_.end() ? *found : *words_.insert(trace_.keep(std::string_view(text))).first;
  }

  void record(const Value& in) {
    if (trace_.records.size() >= static_cast<std::size_t>(most_nodes))
      in.fail(fmt::format("is one node more than {}", most_nodes));
    Record r;
    r.id = static_cast<std::uint32_t>(in["id"].integer(1, UINT32_MAX));
    if (!trace_.records.empty() && r.id <= trace_.records.back().id)
      in["id"].fail(fmt::format("is {}, and the node before it has {}: ids must rise", r.id, trace_.records.back().id));
    r.kind = static_cast<Node::Kind>(in["kind"].one_of(kinds));
    r.op = words(in, "op"), r.formula = words(in, "formula"), r.rule = words(in, "rule"), r.name = words(in, "name");
    r.scope = words(in, "module"), r.scope_kind = words(in, "module_kind"), r.scope_call = in.id_of("call");
    r.scalar = in.flag_of("scalar"), r.pointwise = in.flag_of("pointwise");
    r.wants_gradient = in.flag_of("wants_gradient");
    r.dtype = dtypes[in["dtype"].one_of(dtypes)];
    r.shape = shape(in);
    r.operands = operands(in, r);
    r.backward_of = in.id_of("backward_of");
    std::vector<Saved> saved;
    in.each_of("saved", [&](const Value& s) { saved.push_back({words(s, "what"), s.count_of("bytes")}); });
    r.saved = trace_.keep(saved);
    r.has_value = in.has("value");
    r.value = in.number_of("value"), r.zeros = in.number_of("zeros"), r.dead = in.number_of("dead");
    std::vector<std::uint8_t> heights;
    in.each_of("histogram", [&](const Value& h) { heights.push_back(static_cast<std::uint8_t>(h.integer(0, 7))); });
    if (heights.size() > 64) in["histogram"].fail("has more than 64 bars");
    r.histogram = trace_.keep(heights);
    r.gradient = in.gradient_of("gradient");
    r.order = in.id_of("step"), r.uses = in.id_of("uses");
    if (in.has("seconds")) {
      std::vector<double> seconds;
      in["seconds"].each([&](const Value& s) { seconds.push_back(s.number()); });
      if (seconds.size() != 2) in["seconds"].fail("are not two numbers");
      r.forward_seconds = seconds[0], r.backward_seconds = seconds[1];
    }
    if (in.has("fold")) r.fold = fold(in["fold"]);
    trace_.records.push_back(r);
  }

  std::span<const std::int64_t> shape(const Value& in) {
    std::vector<std::int64_t> sizes;
    std::int64_t all = 1;
    in.each_of("shape", [&](const Value& n) {
      sizes.push_back(n.integer(0, INT64_MAX));
      if (__builtin_mul_overflow(all, std::max<std::int64_t>(sizes.back(), 1), &all) || all > INT64_MAX / 8)
        n.fail("makes more elements than can be counted");
    });
    return trace_.keep(sizes);
  }

  std::span<const Operand> operands(const Value& in, const Record& r) {
    std::vector<Operand> all;
    in.each_of("in", [&](const Value& from) {
      Operand o;
      o.id = from["id"].id();
      const auto user = [&](Record& operand) { ++operand.users; };
      if (o.id != 0) {
        const auto found = std::lower_bound(trace_.records.begin(), trace_.records.end(), o.id,
                                            [](const Record& record, std::uint32_t id) { return record.id < id; });
        if (found == trace_.records.end() || found->id != o.id)
          from["id"].fail(fmt::format("is {}, and no node before {} has that id", o.id, r.id));
        user(*found);
      }
      o.name = words(from, "name");
      o.number = from.number_of("number"), o.contribution = from.number_of("gradient");
      o.times = from.has("times") ? static_cast<std::uint32_t>(from["times"].integer(1, UINT32_MAX)) : 1;
      all.push_back(o);
    });
    return trace_.keep(all);
  }

  const Fold* fold(const Value& in) {
    Fold f;
    f.kind = static_cast<Fold::Kind>(in["kind"].one_of(fold_kinds));
    f.title = words(in, "title"), f.detail = words(in, "detail");
    f.ops = in.count_of("ops"), f.times = in.count_of("times", 1);
    f.first_step = in.id_of("first_step"), f.last_step = in.id_of("last_step");
    f.least = in.number_of("least"), f.most = in.number_of("most");
    f.parameters = in.count_of("parameters"), f.parameter_rms = in.number_of("parameter_rms");
    f.parameter_gradient = in.gradient_of("parameter_gradient");
    std::vector<std::string_view> names;
    in.each_of("parameter_names", [&](const Value& name) { names.push_back(keep(name.text())); });
    f.parameter_names = trace_.keep(names);
    std::vector<Fold::Series> series;
    in.each_of("series", [&](const Value& s) {
      std::vector<double> values;
      s.each_of("values", [&](const Value& v) { values.push_back(v.number()); });
      series.push_back({words(s, "name"), trace_.keep(values)});
    });
    f.series = trace_.keep(series);
    return trace_.keep(f);
  }

  Trace trace_;
  std::unordered_set<std::string_view> words_;  // kept in the trace
};

std::string text_of(const std::string& file) {
  std::ifstream in(file, std::ios::binary);
  if (!in) throw IoError(fmt::format("graphviz::load(\"{}\"): cannot be opened", shorten(file, 200)));
  std::string text;
  std::array<char, 1 << 16> part;
  while (in.read(part.data(), part.size()) || in.gcount() > 0) {
    text.append(part.data(), static_cast<std::size_t>(in.gcount()));
    if (text.size() > most_bytes)
      throw ParseError(fmt::format("graphviz::load(\"{}\"): larger than {}", shorten(file, 200), bytes(most_bytes)));
  }
  if (in.bad()) throw IoError(fmt::format("graphviz::load(\"{}\"): cannot be read", shorten(file, 200)));
  return text;
}

}  // namespace

void save(const Trace& trace, const std::string& file, const SaveOptions& options) {
  Replacement out(file);
  out.write(Writer(trace, options.times).write());
  out.commit();
}

void save(const Graph& graph, const std::string& file, const SaveOptions& options) {
  save(trace(graph), file, options);
}

Trace load(const std::string& file) {
  const std::string text = text_of(file);
  try {
    const Json json = Json::parse(text);
    return Reader().read(Value(json, ""));
  } catch (const Json::parse_error& error) {
    const std::size_t end = std::min(error.byte, text.size());
    const auto line = std::count(text.begin(), text.begin() + static_cast<std::ptrdiff_t>(end), '\n') + 1;
    throw ParseError(
        fmt::format("graphviz::load(\"{}\"): line {} (byte {}) is no JSON", shorten(file, 200), line, error.byte));
  } catch (const Json::exception& error) {
    throw ParseError(fmt::format("graphviz::load(\"{}\"): {}", shorten(file, 200), error.what()));
  } catch (const ParseError& error) {
    throw ParseError(fmt::format("graphviz::load(\"{}\"): {}", shorten(file, 200), error.what()));
  }
}

}  // namespace ebb::graphviz
