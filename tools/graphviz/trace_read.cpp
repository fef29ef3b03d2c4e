// From a file to a Trace.  Anybody may have written the file: whatever is in it, a Trace that comes out holds what
// pictures rely on: ids rise, operands come before who uses them, sums of sizes can be counted.
#include "json.h"
#include "text.h"
#include "trace_words.h"

#include <array>
#include <cstring>
#include <fstream>
#include <unordered_set>

namespace ebb::graphviz {

namespace {

namespace words = trace_words;

constexpr std::size_t most_bytes = std::size_t{1} << 28;  // of a file
constexpr std::size_t most_records = 1'000'000;
constexpr std::int64_t most_elements = std::int64_t{1} << 40;  // of one tensor
constexpr std::int64_t most_counted = std::int64_t{1} << 53;   // what any reader of JSON takes exactly
constexpr std::int64_t most_in_all = std::int64_t{1} << 60;    // bytes of all tensors
constexpr std::uint32_t most_times = 1'000'000'000;
constexpr std::uint8_t highest_bar = 7;
constexpr std::size_t most_bars = 64;

// Of what may be missing.
bool flag(const Value& in, const char* key) { return in.has(key) && in[key].flag(); }
double number(const Value& in, const char* key) { return in.has(key) ? in[key].number() : no_number; }
std::uint32_t id(const Value& in, const char* key) { return in.has(key) ? in[key].id() : 0; }
std::int64_t count(const Value& in, const char* key, std::int64_t otherwise = 0) {
  return in.has(key) ? in[key].integer(0, most_counted) : otherwise;
}
template <class F> void each(const Value& in, const char* key, F&& f) {
  if (in.has(key)) in[key].each(f);
}
Gradient gradient(const Value& in, const char* key) {
  if (!in.has(key)) return {};
  const Value g = in[key];
  if (g.is("unneeded")) return {Gradient::State::unneeded, no_number};
  return {Gradient::State::known, g.number()};
}

class Reader {
 public:
  // What a reader must know first.
  void begin(const Value& file) {
    if (!file.has("format") || !file["format"].is(words::format))
      file.fail(fmt::format("does not begin with \"format\": \"{}\"", words::format));
    const std::int64_t n = file["version"].integer(1, most_counted);
    if (n > words::version)
      file["version"].fail(fmt::format("is {}, and this program knows traces up to {}", n, words::version));
  }

  void node(const Value& in) {
    if (trace_.records.size() >= most_records)
      in.fail(fmt::format("is one node more than {}", thousands(most_records)));
    Record r;
    r.id = static_cast<std::uint32_t>(in["id"].integer(1, std::numeric_limits<std::uint32_t>::max()));
    if (!trace_.records.empty() && r.id <= trace_.records.back().id)
      in["id"].fail(fmt::format("is {}, and the node before it has {}: ids must rise", r.id, trace_.records.back().id));
    r.kind = static_cast<Node::Kind>(in["kind"].one_of(words::kinds));
    r.op = text(in, "op"), r.formula = text(in, "formula"), r.rule = text(in, "rule"), r.name = text(in, "name");
    if (r.is_op() && r.op.empty()) in.fail("is an op, and has no \"op\", its name");
    r.scope = text(in, "module"), r.scope_kind = text(in, "module_kind"), r.scope_call = id(in, "call");
    r.scalar = flag(in, "scalar"), r.pointwise = flag(in, "pointwise"), r.wants_gradient = flag(in, "wants_gradient");
    r.dtype = words::dtypes[in["dtype"].one_of(words::dtypes)];
    r.shape = shape(in);
    r.operands = operands(in);
    if (!r.is_op() && !r.operands.empty()) in["in"].fail("is not empty, and only an op has operands");
    r.backward_of = id(in, "backward_of");
    if (r.backward_of >= r.id)
      in["backward_of"].fail(fmt::format("is {}, which is no node before {}", r.backward_of, r.id));
    r.saved = saved(in);
    take_bytes(r.bytes(), in);
    take_numbers(in, r);
    if (in.has("change")) r.change = static_cast<Change>(in["change"].one_of(words::changes));
    if (in.has("fold")) {
      if (!r.is_op()) in["fold"].fail("only an op stands for others");
      r.fold = fold(in["fold"]);
    }
    trace_.records.push_back(r);
  }

  Trace finish(const Value& file) {
    file["nodes"].each([](const Value&) {});  // taken one by one; here it must be a list
    trace_.observed = file["observed"].flag();
    trace_.differentiated = file["differentiated"].flag();
    trace_.timed = flag(file, "timed");
    trace_.compared = flag(file, "compared");
    trace_.ops = count(file, "ops"), trace_.steps = count(file, "steps");
    trace_.parameters = count(file, "parameters");
    each(file, "folded", [&](const Value& sentence) { trace_.folded.push_back(sentence.text()); });
    trace_.index();
    trace_.root = file["root"].id();
    if (trace_.root != 0 && (!trace_.holds(trace_.root) || !trace_[trace_.root].is_op()))
      file["root"].fail(fmt::format("is {}, which is no op of the trace", trace_.root));
    return std::move(trace_);
  }

 private:
  std::string_view text(const Value& in, const char* key) {
    return in.has(key) ? keep(in[key].text()) : std::string_view();
  }
  std::string_view keep(const std::string& text) {
    if (text.empty()) return {};
    const auto found = words_.find(text);
    return found != words_.end() ? *found : *words_.insert(trace_.keep(std::string_view(text))).first;
  }

  void take_bytes(std::int64_t bytes, const Value& of) {
    bytes_ += bytes;
    if (bytes_ > most_in_all) of.fail("makes more bytes, with those before, than can be counted");
  }

  void take_numbers(const Value& in, Record& r) {
    r.has_value = in.has("value");
    r.value = number(in, "value"), r.zeros = number(in, "zeros"), r.dead = number(in, "dead");
    std::vector<std::uint8_t> heights;
    each(in, "histogram",
         [&](const Value& h) { heights.push_back(static_cast<std::uint8_t>(h.integer(0, highest_bar))); });
    if (heights.size() > most_bars) in["histogram"].fail(fmt::format("has more than {} bars", most_bars));
    r.histogram = trace_.keep(heights);
    r.gradient = gradient(in, "gradient");
    r.order = id(in, "step"), r.uses = id(in, "uses");
    if (!in.has("seconds")) return;
    std::vector<double> seconds;
    in["seconds"].each([&](const Value& s) { seconds.push_back(s.number()); });
    if (seconds.size() != 2) in["seconds"].fail("are not two numbers: forward, backward");
    r.forward_seconds = seconds[0], r.backward_seconds = seconds[1];
  }

  std::span<const std::int64_t> shape(const Value& in) {
    std::vector<std::int64_t> sizes;
    std::int64_t all = 1;
    each(in, "shape", [&](const Value& n) {
      sizes.push_back(n.integer(0, most_elements));
      if (__builtin_mul_overflow(all, std::max<std::int64_t>(sizes.back(), 1), &all) || all > most_elements)
        n.fail(fmt::format("makes more than {} elements", thousands(most_elements)));
    });
    return trace_.keep(sizes);
  }

  std::span<const Operand> operands(const Value& in) {
    std::vector<Operand> all;
    each(in, "in", [&](const Value& from) {
      Operand o;
      o.id = from["id"].id();
      if (o.id != 0) ++record(from["id"], o.id).users;
      o.name = text(from, "name");
      o.number = number(from, "number"), o.contribution = number(from, "gradient");
      o.times = from.has("times") ? static_cast<std::uint32_t>(from["times"].integer(1, most_times)) : 1;
      all.push_back(o);
    });
    return trace_.keep(all);
  }

  // One of the nodes before.
  Record& record(const Value& from, std::uint32_t wanted) {
    const auto found = std::lower_bound(trace_.records.begin(), trace_.records.end(), wanted,
                                        [](const Record& r, std::uint32_t some) { return r.id < some; });
    if (found == trace_.records.end() || found->id != wanted)
      from.fail(fmt::format("is {}, and no node before has that id", wanted));
    return *found;
  }

  std::span<const Saved> saved(const Value& in) {
    std::vector<Saved> all;
    each(in, "saved", [&](const Value& s) {
      all.push_back({text(s, "what"), count(s, "bytes")});
      take_bytes(all.back().bytes, s);
    });
    return trace_.keep(all);
  }

  const Fold* fold(const Value& in) {
    Fold f;
    f.kind = static_cast<Fold::Kind>(in["kind"].one_of(words::fold_kinds));
    f.title = text(in, "title"), f.detail = text(in, "detail");
    f.ops = count(in, "ops"), f.times = count(in, "times", 1);
    f.first_step = id(in, "first_step"), f.last_step = id(in, "last_step");
    f.least = number(in, "least"), f.most = number(in, "most");
    f.parameters = count(in, "parameters"), f.parameter_rms = number(in, "parameter_rms");
    take_bytes(f.parameters, in);
    f.parameter_gradient = gradient(in, "parameter_gradient");
    std::vector<std::string_view> names;
    each(in, "parameter_names", [&](const Value& name) { names.push_back(keep(name.text())); });
    f.parameter_names = trace_.keep(names);
    std::vector<Fold::Series> series;
    each(in, "series", [&](const Value& s) {
      std::vector<double> values;
      each(s, "values", [&](const Value& v) { values.push_back(v.number()); });
      series.push_back({text(s, "name"), trace_.keep(values)});
    });
    f.series = trace_.keep(series);
    return trace_.keep(f);
  }

  Trace trace_;
  std::unordered_set<std::string_view> words_;  // kept in the trace
  std::int64_t bytes_ = 0;
};

std::string text_of(const std::string& file) {
  const auto cannot = [&](const char* what) {
    throw IoError(fmt::format("graphviz::load(\"{}\"): {}: {}", shorten(file, 200), what, std::strerror(errno)));
  };
  errno = 0;
  std::ifstream in(file, std::ios::binary);
  if (!in) cannot("cannot be opened");
  std::string text;
  std::vector<char> part(std::size_t{1} << 16);
  while (in.read(part.data(), std::ssize(part)) || in.gcount() > 0) {
    text.append(part.data(), static_cast<std::size_t>(in.gcount()));
    if (text.size() > most_bytes) throw ParseError("the file is larger than " + bytes(std::int64_t{most_bytes}));
  }
  if (in.bad()) cannot("cannot be read");
  return text;
}

}  // namespace

Trace load(const std::string& file) {
  try {
    Reader reader;
    OneList json(
        "nodes", [&](const Json& rest) { reader.begin(Value(rest, "")); },
        [&](const Json& node, std::size_t i) { reader.node(Value(node, fmt::format("nodes[{}]", i))); });
    const Json rest = json.read(text_of(file));
    return reader.finish(Value(rest, ""));
  } catch (const ParseError& error) {
    throw ParseError(fmt::format("graphviz::load(\"{}\"): {}", shorten(file, 200), error.what()));
  }
}

}  // namespace ebb::graphviz
