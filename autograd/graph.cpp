#include "graph.h"

#include "error.h"
#include "launch.h"
#include "list.h"
#include "ops.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <limits>
#include <map>
#include <mutex>
#include <new>
#include <set>

namespace ebb {
namespace detail {

constinit Tape no_tape;
constinit thread_local Tape* tape EBB_FAST_THREAD_LOCAL = &no_tape;
constinit thread_local bool tracing EBB_FAST_THREAD_LOCAL = false;
constinit thread_local List* open_list EBB_FAST_THREAD_LOCAL = nullptr;

namespace {

constinit thread_local int pauses EBB_FAST_THREAD_LOCAL = 0;
constinit thread_local List* set_aside EBB_FAST_THREAD_LOCAL = nullptr;  // the open list that waits for an Aside to end
// The last graph's list, emptied: the next graph finds its memory warm.
constinit thread_local List* spare EBB_FAST_THREAD_LOCAL = nullptr;
enum class Sparing : std::uint8_t { not_yet, at_work, over };
constinit thread_local Sparing sparing EBB_FAST_THREAD_LOCAL = Sparing::not_yet;

/// Ends the spare list with its thread.
struct SpareOwner {
  SpareOwner() { sparing = Sparing::at_work; }
  ~SpareOwner() {
    sparing = Sparing::over;
    delete std::exchange(spare, nullptr);
  }
};

void keep_spare(std::unique_ptr<List> list) {
  if (sparing == Sparing::not_yet) thread_local const SpareOwner owner;
  if (sparing == Sparing::at_work) delete std::exchange(spare, list.release());
}

// The serial numbers of all open graphs, so that a value can be asked whether its graph is one of them.
constexpr std::uint32_t slots = 4096;
std::atomic<std::uint32_t> open_graphs[slots];
std::atomic<std::uint32_t> last_serial{0};

std::uint32_t open_serial() {
  for (std::uint32_t tries = 0; tries < 4 * slots; ++tries) {
    const std::uint32_t serial = (last_serial.fetch_add(1) + 1) % cut_bit;
    std::uint32_t none = 0;
    if (serial != 0 && open_graphs[serial % slots].compare_exchange_strong(none, serial)) return serial;
  }
  throw GraphError(fmt::format("Graph: {} graphs are open at once, and that is the limit", slots));
}

bool is_open(std::uint32_t serial) { return open_graphs[serial % slots].load() == serial; }

[[noreturn]] void used_from_another_thread() {
  throw GraphError(
      "this value belongs to a graph that another thread is recording\n"
      "  help: pass its numbers on instead: value() of a Scalar, detach() of a Tensor on its own thread");
}

// Entered once and read without a lock: a code is given out after its rule stands here.
constexpr std::uint16_t most_rules = 4096;
constinit ScalarRule rules[most_rules]{};
std::atomic<std::uint16_t> rule_count{first_rule_code};
std::mutex own_mutex;

}  // namespace

void buried_inside() {
  throw GraphError(
      "this value was computed inside of checkpoint(), which forgets it: only what the function returns lives on\n"
      "  help: return it from the function");
}

// ---- the tape --------------------------------------------------------------------------------------------------

std::uint16_t register_scalar_rule(const ScalarRule& rule) {
  const std::uint16_t code = rule_count.fetch_add(1);
  if (code >= most_rules) {
    rule_count.store(most_rules);
    throw UsageError(
        fmt::format("elementwise(): {} kinds of scalar ops are the limit\n"
                    "  help: make each op once, not in a loop",
                    most_rules));
  }
  rules[code] = rule;
  return code;
}

const ScalarRule& scalar_rule(std::uint16_t code) { return rules[code]; }

namespace {

/// How pictures print an op of the user's.
struct OwnText {
  OwnText(std::string_view name, int arity) {
    for (int i = 0; i < std::min(arity, 26); ++i) {
      const char operand = arity == 1 ? 'x' : static_cast<char>('a' + i);
      formula += fmt::format("{}{}", i == 0 ? "" : ", ", operand);
      operands += fmt::format("{}{}", i == 0 ? "" : " ", operand);
      rule += fmt::format("{}∇{} = g·∂{}/∂{}", i == 0 ? "" : "   ", operand, name, operand);
    }
    formula = fmt::format("{}({})", name, formula);
  }
  std::string formula, operands, rule;
};

const char* interned(std::string_view text) {
  static std::set<std::string, std::less<>> all;
  const auto found = all.find(text);
  return (found != all.end() ? found : all.emplace(text).first)->c_str();
}

}  // namespace

void must_be_named(std::string_view name) {
  if (name.empty()) throw UsageError("elementwise(\"\"): an op needs a name, under which graphs and errors show it");
}

std::uint16_t own_code(std::string_view name, int arity, decltype(ScalarRule::gradient) gradient,
                       decltype(ScalarRule::on_lanes) on_lanes) {
  const std::lock_guard lock(own_mutex);
  const char* const known = interned(name);
  for (std::uint16_t code = first_rule_code; code < rule_count.load(); ++code)
    if (rules[code].gradient == gradient && rules[code].name == known) return code;
  const OwnText text(name, arity);
  return register_scalar_rule({known, interned(text.formula), interned(text.rule), arity, gradient, on_lanes});
}

const OpInfo& named_info(const OpInfo& like, std::string_view name, int arity) {
  const std::lock_guard lock(own_mutex);
  static std::map<std::tuple<const char*, decltype(like.gradient), int>, OpInfo> all;
  const char* const known = interned(name);
  const auto found = all.find({known, like.gradient, arity});
  if (found != all.end()) return found->second;
  OpInfo info = like;
  const OwnText text(name, arity);
  info.name = known;
  info.formula = interned(text.formula);
  info.rule = interned(text.rule);
  info.operands = interned(text.operands);
  return all.emplace(std::tuple(known, like.gradient, arity), info).first->second;
}

Scalar outside(const Scalar& s) {
  const std::uint32_t graph = Access::graph(s);
  const bool paused_here = (open_list != nullptr && open_list->graph() == graph) ||
                           (set_aside != nullptr && set_aside->graph() == graph);
  if (!paused_here && is_open(graph)) used_from_another_thread();
  return Access::value(s);
}

namespace {
/// A scalar op's value that is not recorded: it knows if its operands were cut from the open graph, or now are.
Scalar not_recorded(std::uint16_t code, double v, const Scalar* x, int n) {
  Place place = 0;
  for (int i = 0; i < n && open_list != nullptr; ++i)
    place = open_list->cut(pauses > 0 ? Cut::paused : Cut::none, rules[code].name, Access::place(x[i]), place);
  return Access::scalar(v, place);
}
}  // namespace

Scalar record_mixed(std::uint16_t code, double v, Scalar a, double da, Scalar b, double db) {
  Tape& t = *tape;
  const bool a_here = Access::graph(a) == t.graph(), b_here = Access::graph(b) == t.graph();
  const Scalar given[] = {a, b};
  if (!a_here && Access::graph(a) != 0) a = outside(a);
  if (!b_here && Access::graph(b) != 0) b = outside(b);
  if (!a_here && !b_here) return not_recorded(code, v, given, 2);
  if (!a_here) da = Access::value(a);
  if (!b_here) db = Access::value(b);
  const Place place = t.push(code, v, Access::id(a), da, Access::id(b), db);
  static_cast<List&>(t).note_cut_use(id_of(place), Access::place(given[a_here ? 1 : 0]));
  return Access::scalar(v, place);
}

Scalar record_scalars(std::uint16_t code, double y, const Scalar* x, const double* dx, int n) {
  if (n == 1) return record_scalar(code, y, x[0], dx[0]);
  if (n == 2) return record_scalar(code, y, x[0], dx[0], x[1], dx[1]);
  List* const list = recording_list();
  bool recorded = false;
  std::uint32_t id[4] = {};
  double d[4] = {};
  for (int i = 0; i < n; ++i) {
    if (Access::graph(x[i]) != 0 && (list == nullptr || Access::graph(x[i]) != list->graph())) {
      outside(x[i]);
    } else {
      id[i] = Access::id(x[i]);
    }
    d[i] = id[i] != 0 ? dx[i] : Access::value(x[i]);
    recorded = recorded || id[i] != 0;
  }
  if (list == nullptr || !recorded) return not_recorded(code, y, x, n);
  for (int i = 0; i < n; ++i) list->note_cut_use(list->size(), Access::place(x[i]));
  // The entry of an op holds two operands: further ones come in parts whose gradient passes straight on.
  const std::uint32_t first = id_of(list->push(part_code, 0, id[0], d[0], id[1], d[1]));
  ++list->parts;
  std::uint32_t second = id[2];
  double passes = d[2];
  if (n == 4) {
    second = id_of(list->push(part_code, 0, id[2], d[2], id[3], d[3]));
    ++list->parts;
    passes = 1;
  }
  return Access::scalar(y, list->push(code, y, first, 1, second, passes));
}

// ---- the list --------------------------------------------------------------------------------------------------

void Arena::go_on(std::size_t bytes) {
  while (current_ < chunks_.size() && used_ + bytes > chunks_[current_].second) {
    ++current_;
    used_ = 0;
  }
  if (current_ < chunks_.size()) return;
  const std::size_t size = std::max(chunk, bytes);
  chunks_.emplace_back(std::make_unique<std::byte[]>(size), size);
  used_ = 0;
}

List::List() { scopes.resize(1); }

List::~List() {
  reset();
  release();
}

void List::let_go_of(TensorNode& node, bool keep_output) noexcept {
  if (TensorImpl** kept = node.kept; kept != nullptr)
    for (TensorImpl** const end = kept + node.count; kept != end; ++kept)
      if (*kept != nullptr) Access::tensor(std::exchange(*kept, nullptr));
  if (!keep_output && node.output != nullptr) Access::tensor(std::exchange(node.output, nullptr));
  if (node.self != nullptr && node.op != nullptr && node.op->destroy != nullptr)
    node.op->destroy(std::exchange(node.self, nullptr));
}

void List::take_back(std::uint32_t size) noexcept {
  while (tensor_count > 0 && tensors[tensor_count - 1].id >= size) {
    TensorNode& node = tensors[--tensor_count];
    let_go_of(node, false);
    if (observing) observations[tensor_count].forget_backward();
    if (node.gradient != nullptr) Access::tensor(std::exchange(node.gradient, nullptr));
    if (node.kind == Node::Kind::parameter) {
      parameters.pop_back();
      parameter_leaves.pop_back();
    }
  }
  while (!stations.empty() && stations.back() >= size) stations.pop_back();
  hooks.erase(hooks.lower_bound(size), hooks.end());
  while (!names.empty() && names.back().first >= size) names.pop_back();
  while (!cut_uses.empty() && cut_uses.back().user >= size) cut_uses.pop_back();
  for (std::uint32_t id = this->size(); id-- > size;) {
    if (code[id] == part_code || code[id] == dead_code) --parts;
    if (code[id] == element_code && entry[id].a < size) tensor(entry[id].a).last_read = read_before(entry[id]);
  }
  for (auto* const all : {&marks, &origins})
    for (auto mark = all->rbegin(); mark != all->rend() && mark->first > size; ++mark) mark->first = size;
  next = place_of(graph(), size);
}

void List::bury(std::uint32_t size) noexcept {
  const Place after = next;
  buried = true;
  take_back(size);
  next = after;
  for (std::uint32_t id = size; id < this->size(); ++id) {
    entry[id] = {};
    value[id] = 0;
    code[id] = dead_code;
    adjoint[id] = 0;
    ++parts;
  }
}

void List::reset() noexcept {
  for (std::size_t i = 0; i < tensor_count; ++i) {
    TensorNode& node = tensors[i];
    let_go_of(node, false);
    if (node.gradient != nullptr) Access::tensor(std::exchange(node.gradient, nullptr));
    if (observing) observations[i].forget_backward();
  }
  tensor_count = 0;
  next = place_of(no_graph, 1);
  stations.clear();
  parts = 0;
  buried = false;
  arena.reset();
  parameters.clear();
  parameter_leaves.clear();
  names.clear();
  marks.clear();
  origins.clear();
  scope_count = 1;
  observing = checking = false;
  retained = failed = false;
  root = let_go_root = let_go_count = 0;
  gone.clear();
  going_back = sweeping = false;
  cuts.clear();
  cut_uses.clear();
  hooks.clear();
  watched_before = 0;
}

TensorNode& List::add_tensor() {
  if (size() == capacity) grow();
  if (stations.size() == stations.capacity()) stations.reserve(2 * stations.size() + 64);
  TensorNode& node = tensors.at(tensor_count);
  if (observing) observations.at(tensor_count).forget();
  static_cast<TensorNodeState&>(node) = {};
  node.id = id_of(push(tensor_code, 0, static_cast<std::uint32_t>(tensor_count), 0, 0, 0));
  stations.push_back(node.id);
  ++tensor_count;
  return node;
}

namespace {

/// Where in the graph's memory an op's ids, kept operands and the op itself go.
struct Room {
  std::uint32_t* input;
  TensorImpl** kept;
  void* self;

  Room(List& list, const OpInfo* info, int n) {
    const auto count = static_cast<std::size_t>(n);
    const std::size_t ids = (count * sizeof(std::uint32_t) + 15) / 16 * 16,
                      both = ids + (count * sizeof(TensorImpl*) + 15) / 16 * 16;
    auto* const memory = static_cast<std::byte*>(list.arena.take(both + (info != nullptr ? info->size : 0)));
    input = reinterpret_cast<std::uint32_t*>(memory);
    kept = reinterpret_cast<TensorImpl**>(memory + ids);
    for (std::size_t i = 0; i < count; ++i) kept[i] = nullptr;
    self = info != nullptr ? memory + both : nullptr;
  }
  void give_to(TensorNode& node, const OpInfo* op, int n) const {
    node.op = op;
    node.self = self;
    node.input = input;
    node.kept = kept;
    node.count = static_cast<std::uint32_t>(n);
  }
};

/// A reference of the list's own to a tensor's head.
TensorImpl* hold(const Tensor& t) {
  Tensor copy(t);
  return Access::take(copy);
}

}  // namespace

bool List::stands_for(std::uint32_t id, const TensorImpl& head) {
  return id < size() && is_tensor(id) && tensor(id).kind == Node::Kind::constant && tensor(id).self == &head;
}

std::uint32_t List::node_of_other(const Tensor& t) {
  TensorImpl& head = *Access::impl(t);
  if (head.graph == graph()) buried_inside();
  const std::uint64_t leaf = head.leaf.load(std::memory_order_relaxed);
  if (leaf >> 32 == graph() && stands_for(id_of(leaf), head)) return id_of(leaf);
  TensorNode& node = add_tensor();
  node.kind = Node::Kind::constant;
  node.self = &head;
  node.shape = head.shape;
  node.dtype = head.dtype;
  if (observing) node.output = hold(t);
  note_cut_use(node.id, place_in(t));
  head.leaf.store(place_of(graph(), node.id), std::memory_order_relaxed);
  return node.id;
}

Tensor List::parameter_leaf(const std::shared_ptr<ParameterState>& state) {
  std::uint64_t leaf = state->leaf.load(std::memory_order_relaxed);
  // A graph that was opened after this one is another thread's, and met the parameter while this one was open.
  const bool met_since = ((graph_of(leaf) - graph()) & (cut_bit - 1)) < cut_bit / 2 && graph_of(leaf) != graph();
  if ((met_since && leaf != 0) || (going_back && graph_of(leaf) != graph())) {
    const auto met = std::find(parameters.rbegin(), parameters.rend(), state);
    if (met != parameters.rend())
      leaf = place_of(graph(), parameter_leaves[static_cast<std::size_t>(parameters.rend() - met) - 1]);
  }
  if (graph_of(leaf) == graph() && id_of(leaf) < size() && is_tensor(id_of(leaf))) {
    // It stands for the parameter only while it shows its present numbers: a step may have changed them meanwhile.
    const TensorNode& known = tensor(id_of(leaf));
    if (known.kind == Node::Kind::parameter && parameters[known.parameter - 1] == state && known.output != nullptr &&
        known.output->data == impl(state->value).data)
      return share(known.output);
  }
  Tensor seen = view(state->value, state->value.shape());
  TensorNode& node = add_tensor();
  node.kind = Node::Kind::parameter;
  node.shape = seen.shape();
  node.dtype = seen.dtype();
  parameters.push_back(state);
  parameter_leaves.push_back(node.id);
  node.parameter = static_cast<std::uint32_t>(parameters.size());
  if (!state->name.empty()) names.emplace_back(node.id, state->name);
  Access::impl(seen)->node = node.id;
  Access::impl(seen)->graph = graph();
  node.output = hold(seen);
  if (checking) check_leaf(node.id);
  meet_as(state, seen);
  return seen;
}

std::vector<std::uint32_t> List::leaves_of(const ParameterState& state) const {
  std::vector<std::uint32_t> all;
  for (std::size_t i = 0; i < parameters.size(); ++i)
    if (parameters[i].get() == &state) all.push_back(parameter_leaves[i]);
  return all;
}

void List::meet_as(const std::shared_ptr<ParameterState>& state, const Tensor& leaf) {
  const std::uint32_t id = impl(leaf).node;
  if (tensor(id).output == nullptr) tensor(id).output = hold(leaf);
  state->leaf.store(place_of(graph(), id), std::memory_order_relaxed);
}

Tensor List::shadow(std::uint32_t id) {
  Tensor handle = empty({}, tensor(id).dtype);
  Access::impl(handle)->node = id;
  Access::impl(handle)->graph = graph();
  return handle;
}

std::string List::name_of(std::uint32_t id) const {
  const auto found = std::lower_bound(names.begin(), names.end(), id,
                                      [](const auto& known, std::uint32_t wanted) { return known.first < wanted; });
  return found != names.end() && found->first == id ? found->second : std::string();
}

void List::enter(const Scope* scope) {
  std::uint32_t index = 0;
  if (scope != nullptr) {
    if (scope->graph != graph()) {
      if (scope_count == scopes.size()) scopes.emplace_back();
      scopes[scope_count].path.assign(scope->path());
      scopes[scope_count].kind.assign(scope->kind());
      scope->graph = graph();
      scope->index = static_cast<std::uint32_t>(scope_count++);
    }
    index = scope->index;
  }
  mark(marks, index);
}

void List::mark(std::vector<Mark>& all, std::uint32_t what) {
  if (!all.empty() && all.back().first == size()) {
    all.back().second = what;
  } else if ((all.empty() ? 0 : all.back().second) != what) {
    if (all.capacity() < all.size() + 2) all.reserve(2 * all.size() + 16);  // the one that ends it must not throw
    all.emplace_back(size(), what);
  }
}

std::uint32_t List::marked(const std::vector<Mark>& all, std::uint32_t id) {
  const auto after = std::upper_bound(all.begin(), all.end(), id,
                                      [](std::uint32_t wanted, const Mark& m) { return wanted < m.first; });
  return after == all.begin() ? 0 : std::prev(after)->second;
}

// A Pause of any length keeps the memory that these need small: later ones only lose their story.
constexpr std::size_t most_cuts = std::size_t{1} << 16;

Place List::cut(Cut kind, const char* op, Place a, Place b) {
  if (sweeping) return 0;
  const auto related = [&](Place p) { return (graph_of(p) & ~cut_bit) == graph() ? p : 0; };
  const auto is_cut = [](Place p) { return (graph_of(p) & cut_bit) != 0; };
  a = related(a);
  b = related(b);
  if (a == 0) return b;
  if (a == b) b = 0;
  // What was made of one cut value alone was cut where that was.
  if (is_cut(a) && (b == 0)) return a;
  if (cuts.size() == most_cuts) return is_cut(a) ? a : is_cut(b) ? b : 0;
  cuts.push_back({kind, op, a, b});
  return place_of(graph() | cut_bit, static_cast<std::uint32_t>(cuts.size() - 1));
}

Tensor List::paused_parameter(const std::shared_ptr<ParameterState>& state) {
  if (sweeping || cuts.size() == most_cuts) return state->value;
  cuts.push_back({Cut::paused, "", 0, 0, state});
  Tensor seen = view(state->value, state->value.shape());
  Access::impl(seen)->graph = graph() | cut_bit;
  Access::impl(seen)->node = static_cast<std::uint32_t>(cuts.size() - 1);
  return seen;
}

void mark_cut(Tensor& y, Cut kind, const char* op, const Tensor* const* in, int n) {
  if (open_list == nullptr) return;
  Place place = 0;
  for (int i = 0; i < n; ++i) place = open_list->cut(kind, op, place_in(*in[i]), place);
  Access::impl(y)->graph = graph_of(place);
  Access::impl(y)->node = id_of(place);
}

List& list_of(std::uint32_t graph, const char* asked) {
  if (open_list != nullptr && open_list->graph() == graph) return *open_list;
  if (!recorded_in(graph)) {
    throw GraphError(
        fmt::format("{}: this value was not recorded: no graph was open when it was computed, or nothing "
                    "in it depends on a variable or Parameter\n"
                    "  help: open a Graph before computing it",
                    asked));
  }
  if (is_open(graph)) used_from_another_thread();
  throw GraphError(
      fmt::format("{}: the graph that recorded this value is closed\n"
                  "  help: keep the graph open, or make it a Parameter",
                  asked));
}

std::int64_t start_clock() {
  const List* const list = recording_list();
  if (list == nullptr || !list->observing) return 0;
  return std::chrono::steady_clock::now().time_since_epoch().count();
}

void record(Tensor& y, const OpInfo& info, const void* op, const Tensor* const* in, int n, std::int64_t started) {
  List* const list = recording_list();
  bool part_of_graph = false, any = false;
  for (int i = 0; i < n; ++i) {
    const std::uint32_t graph = impl(*in[i]).graph;
    if (graph == 0) continue;
    any = true;
    if (list != nullptr && graph == list->graph()) part_of_graph = true;
    else if ((open_list == nullptr || graph != open_list->graph()) && is_open(graph)) used_from_another_thread();
  }
  if (!part_of_graph || y.dtype() == i64) {
    if (any && open_list != nullptr && !open_list->sweeping)
      mark_cut(y, list == nullptr ? Cut::paused : part_of_graph ? Cut::whole : Cut::none, info.name, in, n);
    return;
  }
  if (list->checking) [[unlikely]]
    list->check_result(y, info, op, in, n);
  const Room room(*list, &info, n);
  for (int i = 0; i < n; ++i) room.input[i] = list->node_of(*in[i]);
  TensorNode& node = list->add_tensor();
  info.copy(room.self, op);
  room.give_to(node, &info, n);
  for (int i = 0; i < n; ++i) {
    ++list->tensor(room.input[i]).readers;
    if (keeps_input(info.keep, i)) room.kept[i] = hold(*in[i]);
  }
  TensorImpl& head = *Access::impl(y);
  head.node = node.id;
  head.graph = list->graph();
  node.shape = head.shape;
  node.dtype = head.dtype;
  node.holds_output = keeps_output(info.keep);
  if (node.holds_output || list->observing) node.output = hold(y);
  if (started != 0) list->observations[list->tensor_count - 1].forward_seconds = seconds_since(started);
}

// ---- crossings between the lanes -------------------------------------------------------------------------------

namespace {
constexpr char computes_scalars[] = "computes with Scalars";
constexpr OpInfo stack_info{
    "stack", "[a, b, …]", "∇a = g₀   ∇b = g₁   …", "", Keep::nothing, nullptr, nullptr, nullptr, 0, nullptr, nullptr,
    false,   nullptr};
}

Tensor from_scalars(std::span<const Scalar> parts, const Shape& shape, DType dtype) {
  for (const Scalar& s : parts)
    if (dtype == i64 && !is_whole(Access::value(s)))
      throw DTypeError(fmt::format("stack(..., i64): {} is no 64-bit integer{}", Access::value(s), where_in_model()));
  if (parts.size() != 1) cannot_replay(computes_scalars);
  Tensor y = empty(shape, dtype);
  dispatch(dtype, [&]<class T>(T) {
    T* const to = write<T>(y);
    for (std::size_t i = 0; i < parts.size(); ++i)
      launch([](T* at, T value) { *at = value; }, to + i, static_cast<T>(Access::value(parts[i])));
  });
  List* const list = recording_list();
  bool recorded = false;
  for (const Scalar& s : parts) {
    if (Access::graph(s) == 0) continue;
    if (list != nullptr && Access::graph(s) == list->graph()) recorded = true;
    else outside(s);
  }
  if (!recorded || dtype == i64) {
    Place place = 0;
    for (std::size_t i = 0; i < parts.size() && open_list != nullptr; ++i)
      if (Access::place(parts[i]) != 0)
        place = open_list->cut(list == nullptr ? Cut::paused
                               : recorded      ? Cut::whole
                                               : Cut::none,
                               "stack", Access::place(parts[i]), place);
    Access::impl(y)->graph = graph_of(place);
    Access::impl(y)->node = id_of(place);
    return y;
  }
  const Room room(*list, nullptr, static_cast<int>(parts.size()));
  TensorNode& node = list->add_tensor();
  room.give_to(node, &stack_info, static_cast<int>(parts.size()));
  for (std::size_t i = 0; i < parts.size(); ++i) {
    node.input[i] = Access::graph(parts[i]) == list->graph() ? Access::id(parts[i]) : 0;
    list->note_cut_use(node.id, Access::place(parts[i]));
  }
  Access::impl(y)->node = node.id;
  Access::impl(y)->graph = list->graph();
  node.shape = shape;
  node.dtype = dtype;
  if (list->observing) node.output = hold(y);
  return y;
}

Scalar element_of(const Tensor& t, std::int64_t place) {
  cannot_replay(computes_scalars);
  const double v = dispatch(t.dtype(), [&]<class T>(T) { return static_cast<double>(read<T>(t)[place]); });
  List* const list = recording_list();
  const std::uint32_t graph = impl(t).graph;
  if (graph == 0) return v;
  if (list == nullptr || graph != list->graph()) {
    outside(Access::scalar(v, place_of(graph, 0)));
    const Place cut = open_list == nullptr ? 0 : open_list->cut(Cut::paused, "element", place_in(t));
    return Access::scalar(v, cut);
  }
  TensorNode& node = list->tensor(list->node_of(t));
  const Place read =
      list->push(element_code, v, node.id, static_cast<double>(place), 0, static_cast<double>(node.last_read));
  node.last_read = id_of(read);
  return Access::scalar(v, read);
}

Tensor as_tensor(const Scalar& s, DType dtype) { return from_scalars({&s, 1}, {}, dtype); }

bool is_stack(const TensorNode& node) { return node.op == &stack_info; }

}  // namespace detail

// ---- Graph and Pause -------------------------------------------------------------------------------------------

using namespace detail;

bool recording() { return tape != &no_tape; }
bool detail::paused() { return pauses > 0; }

Graph::Graph(const GraphOptions& options) {
  if (open_list != nullptr) {
    throw GraphError(
        "Graph: a graph is already recording on this thread\n"
        "  help: let it go out of scope first, or record into the one that is open");
  }
  list_ = spare != nullptr ? std::unique_ptr<List>(std::exchange(spare, nullptr)) : std::make_unique<List>();
  if (list_->capacity == 0) list_->grow();
  list_->next = place_of(open_serial(), 1);
  open_list = list_.get();
  if (pauses == 0) tape = list_.get();
  if (Scope::current() != nullptr) list_->enter(Scope::current());
  if (options.observe || options.check) observe();
  list_->checking = options.check;
}

Graph::~Graph() {
  open_graphs[list_->graph() % slots].store(0, std::memory_order_release);
  if (open_list == list_.get()) {
    open_list = nullptr;
    tape = &no_tape;
  }
  // A large list stays while programs fill it, 1.4 GB of it at most: its pages would cost as much as recording does.
  constexpr std::uint32_t always_kept = 1u << 22, kept_in_use = 1u << 25;
  const bool keep =
      (list_->capacity <= always_kept || (list_->capacity <= kept_in_use && list_->size() > list_->capacity / 8)) &&
      list_->tensor_count <= always_kept / 16;
  list_->reset();
  if (keep) keep_spare(std::move(list_));
}

Tensor List::leaf(const Tensor& numbers) {
  Tensor seen = view(numbers, numbers.shape());
  TensorNode& node = add_tensor();
  node.kind = Node::Kind::variable;
  node.shape = seen.shape();
  node.dtype = seen.dtype();
  Access::impl(seen)->node = node.id;
  Access::impl(seen)->graph = graph();
  node.output = hold(seen);
  return seen;
}

Tensor Graph::variable(const Tensor& value, std::string_view name) {
  if (!value.defined()) throw UsageError("Graph::variable: the tensor holds nothing");
  if (value.dtype() == i64) {
    throw DTypeError(fmt::format("Graph::variable(i64 {}): whole numbers have no gradient\n  help: to(f32) or to(f64)",
                                 to_string(value.shape())));
  }
  if (open_list != list_.get()) used_from_another_thread();
  const Tensor leaf = list_->leaf(value);
  if (!name.empty()) list_->names.emplace_back(impl(leaf).node, name);
  if (list_->checking) list_->check_leaf(impl(leaf).node);
  return leaf;
}

Scalar Graph::variable(double value, std::string_view name) {
  if (open_list != list_.get()) used_from_another_thread();
  const Place place = list_->push(leaf_code, value, 0, 0, 0, 0);
  if (!name.empty()) list_->names.emplace_back(id_of(place), name);
  return Access::scalar(value, place);
}

void Graph::observe() {
  if (list_->observing) return;
  // What came before is observed from here on: with its gradient, but without its value and time.
  for (std::size_t i = 0; i < list_->tensor_count; ++i) list_->observations.at(i).forget();
  list_->observing = true;
}
void List::watch(std::uint32_t id, Hook hook) {
  cannot_replay("watches gradients (on_gradient())");
  if (id <= watched_before) return;
  if (is_tensor(id)) {
    tensor(id).watched = true;
  } else {
    const auto here = std::lower_bound(stations.begin(), stations.end(), id);
    if (here == stations.end() || *here != id) stations.insert(here, id);
  }
  hooks.emplace(id, std::move(hook));
}

void Graph::watch(const Tensor& t, std::function<Tensor(const Tensor&)> f) {
  list_->watch(id_in(*list_, t, "on_gradient()"), {std::move(f), {}});
}
void Graph::watch(const Scalar& s, std::function<Scalar(const Scalar&)> f) {
  list_->watch(id_in(*list_, s, "on_gradient()"), {{}, std::move(f)});
}

bool Graph::observing() const { return list_->observing; }
std::size_t Graph::size() const { return list_->size() - 1 - list_->parts; }

Recording::Recording(List& list)
    : list_(list),
      tape_(std::exchange(tape, &list)),
      pauses_(std::exchange(pauses, 0)),
      sweeping_(std::exchange(list.sweeping, false)) {}
Recording::~Recording() {
  tape = tape_;
  pauses = pauses_;
  list_.sweeping = sweeping_;
}

Aside::Aside(List& list)
    : list_(list), tape_(tape), open_(open_list), set_aside_(set_aside), pauses_(pauses) {
  if (list.capacity == 0) list.grow();
  list.next = place_of(open_serial(), 1);
  if (open_ != nullptr) set_aside = open_;
  open_list = &list;
  tape = &list;
  pauses = 0;
}
Aside::~Aside() {
  open_graphs[list_.graph() % slots].store(0);
  list_.reset();
  open_list = open_;
  set_aside = set_aside_;
  tape = tape_;
  pauses = pauses_;
}

Pause::Pause() {
  ++pauses;
  tape = &no_tape;
}
Pause::~Pause() {
  if (--pauses == 0) tape = open_list != nullptr ? open_list : &no_tape;
}

}  // namespace ebb
