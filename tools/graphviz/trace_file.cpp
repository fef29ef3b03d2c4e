// From a Trace to a file.  trace.md beside this file says how it is laid out.
#include "file.h"
#include "fold.h"
#include "trace_words.h"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <cmath>
#include <iterator>
#include <limits>

namespace ebb::graphviz {

namespace {

namespace words = trace_words;
using Json = nlohmann::json;

constexpr int most_saved = 100'000;  // nodes

class Writer {
 public:
  Writer(const Trace& trace, bool times) : trace_(trace), times_(times && trace.timed) {}

  std::string write() {
    add("{{\"format\": \"{}\", \"version\": {},\n\"observed\": {}, \"differentiated\": {}, \"timed\": {}{},\n",
        words::format, words::version, trace_.observed, trace_.differentiated, times_,
        trace_.compared ? ", \"compared\": true" : "");
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
  void say(const char* key, std::string_view s) {
    if (!s.empty()) add(", \"{}\": {}", key, text(s));
  }
  static std::string digits(double v) {
    if (v == 0) return "0";  // without a sign, which JSON readers drop
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
    add("{{\"id\": {}, \"kind\": \"{}\"", r.id, words::kinds[static_cast<std::size_t>(r.kind)]);
    say("op", r.op), say("formula", r.formula), say("rule", r.rule), say("name", r.name);
    say("module", r.scope), say("module_kind", r.scope_kind), count("call", r.scope_call);
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
    if (r.change != Change::none) add(", \"change\": \"{}\"", words::changes[static_cast<std::size_t>(r.change)]);
    if (r.fold != nullptr) fold(*r.fold);
    out_ += '}';
  }

  void operand(const Operand& o) {
    add("{{\"id\": {}", o.id);
    say("name", o.name), number("number", o.number), number("gradient", o.contribution);
    if (o.times != 1) add(", \"times\": {}", o.times);
    out_ += '}';
  }

  void fold(const Fold& f) {
    add(", \"fold\": {{\"kind\": \"{}\"", words::fold_kinds[static_cast<std::size_t>(f.kind)]);
    say("title", f.title), say("detail", f.detail);
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
}  // namespace

void save(const Trace& trace, const std::string& file, const SaveOptions& options) {
  if (trace.records.size() > static_cast<std::size_t>(most_saved)) {
    DotOptions fewer;
    fewer.depth = std::numeric_limits<int>::max();
    fewer.max_nodes = most_saved;
    return save(fold(trace, fewer), file, options);
  }
  Replacement out(file);
  out.write(Writer(trace, options.times).write());
  out.commit();
}

void save(const Graph& graph, const std::string& file, const SaveOptions& options) {
  save(trace(graph), file, options);
}

}  // namespace ebb::graphviz
