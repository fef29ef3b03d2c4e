// The list: all that a graph holds.  One sequence of entries in the order in which they came, and two lanes in it: a
// scalar op is one Entry of the Tape; a tensor op, a leaf or a crossing between the lanes has an Entry too, and is
// named in `stations`, where backward stops on its way through the scalar entries.
#pragma once

#include "graph.h"
#include "op.h"
#include "parameter.h"
#include "tape.h"

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <initializer_list>
#include <limits>
#include <map>
#include <memory>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

namespace ebb::detail {

/// Codes of entries that are no scalar op of the table.
enum : std::uint16_t {
  constant_code = 0,
  leaf_code,     // a scalar variable
  part_code,     // carries two operands of the 3- or 4-operand op that follows
  tensor_code,   // the tensor lane: entry.a is the position in List::tensors
  element_code,  // a Scalar read from the tensor entry.a at the place da; db: the read before it (List::read_before)
  dead_code,     // was an entry once: what came to be inside of a checkpoint
  first_rule_code
};

/// One entry of the tensor lane, but for its shape.
struct TensorNodeState {
  const OpInfo* op = nullptr;       // nullptr: a leaf, or a tensor made of Scalars
  void* self = nullptr;             // the op; of a constant, its head
  std::uint32_t* input = nullptr;   // ids
  TensorImpl** kept = nullptr;      // each operand whose numbers backward reads, else nullptr
  TensorImpl* output = nullptr;     // kept for backward, or because it is a leaf or observed
  TensorImpl* gradient = nullptr;   // arrived so far
  std::uint32_t id = 0, count = 0;  // its entry; how many inputs
  std::uint32_t parameter = 0;      // position + 1 in List::parameters
  std::uint32_t readers = 0;        // operands that it is
  std::uint32_t deferred = 0;       // position + 1 in List::deferred
  Node::Kind kind = Node::Kind::op;
  DType dtype = f32;
  bool holds_output = false;  // backward reads the output
  bool let_go = false;        // what backward reads is gone
  bool reached = false;       // the last backward brought a gradient here
  bool watched = false;       // on_gradient() was asked for it
  bool gated = false;         // the gradient that arrived is already its operand's
  std::uint32_t last_read = 0;  // the last of its elements that was read as a Scalar
};
struct TensorNode : TensorNodeState {
  Shape shape;
};

/// What a tensor's numbers are, as far as reports ask.
struct Survey {
  std::int64_t size = 0, zeros = 0;
  std::int64_t infinite = 0, nan = 0;
  std::int64_t first = 0;  // of those that are not finite
  std::int64_t not_finite() const { return infinite + nan; }
  bool all_zero() const { return zeros == size; }
};
Survey survey(const Tensor& t);

/// What observe() keeps of a tensor node, beside its value and gradient.
struct Observation {
  /// What its backward sent to an operand.
  struct Sent {
    Tensor whole;  // undefined where it would be too large to keep: then only what follows
    double size = std::numeric_limits<double>::quiet_NaN();
    Survey numbers;

    /// Its root mean square; NaN if nothing was sent.
    double root_mean_square() const;
    Survey survey() const;
  };
  double forward_seconds = 0, backward_seconds = 0;
  std::uint32_t uses = 0;
  std::vector<Sent> sent;  // to each operand

  /// Keeps its memory.
  void forget_backward() noexcept {
    backward_seconds = 0;
    uses = 0;
    sent.clear();
  }
  void forget() noexcept {
    forward_seconds = 0;
    forget_backward();
  }
};

/// Gradients on their way to a tensor that has several readers, such as a weight in every step of a recurrent net: each
/// is leftᵀ·right, and all together are one product instead of one each, and a sum.
struct Deferred {
  std::vector<Tensor> left, right;  // of one shape each

  void forget() noexcept {
    left.clear();
    right.clear();
  }
};

/// Why a value that was computed from the graph's values is no part of it.
enum class Cut : std::uint8_t {
  none,      // it is: what it was computed from was cut
  detached,  // by detach()
  paused,    // computed while a Pause lived
  whole,     // whole numbers have no gradient: a comparison, argmax, to(i64)
};
/// One such value: the op that made it, and up to two operands, each an entry of the graph or another such value.
struct CutValue {
  Cut kind = Cut::none;
  const char* op = "";
  Place a = 0, b = 0;
  std::shared_ptr<ParameterState> parameter = {};  // taken while a Pause lived: then there is no operand
};
/// Entry `user` took such a value as a constant.
struct CutUse {
  std::uint32_t user, cut;
};

/// An array that grows without moving what it holds, and keeps its memory.
template <class T> class Chunked {
 public:
  T& operator[](std::size_t i) { return chunks_[i / chunk][i % chunk]; }
  const T& operator[](std::size_t i) const { return chunks_[i / chunk][i % chunk]; }
  /// The i-th element, made if there is none yet; i is at most the number made so far.
  T& at(std::size_t i) {
    if (i / chunk == chunks_.size()) chunks_.push_back(std::make_unique<T[]>(chunk));
    return (*this)[i];
  }

 private:
  static constexpr std::size_t chunk = 256;
  std::vector<std::unique_ptr<T[]>> chunks_;
};

/// Memory for what nodes hold, given back all at once.
class Arena {
 public:
  using Mark = std::pair<std::size_t, std::size_t>;

  void* take(std::size_t bytes) {
    bytes = (bytes + 15) / 16 * 16;
    if (current_ == chunks_.size() || used_ + bytes > chunks_[current_].second) [[unlikely]]
      go_on(bytes);
    void* const here = chunks_[current_].first.get() + used_;
    used_ += bytes;
    return here;
  }
  Mark mark() const { return {current_, used_}; }
  /// Gives back what was taken since the mark.
  void rewind(Mark mark) { std::tie(current_, used_) = mark; }
  void reset() { rewind({}); }

 private:
  static constexpr std::size_t chunk = std::size_t{1} << 16;
  /// To the next chunk that has room for so many bytes.
  [[gnu::cold]] void go_on(std::size_t bytes);
  std::vector<std::pair<std::unique_ptr<std::byte[]>, std::size_t>> chunks_;
  std::size_t current_ = 0, used_ = 0;
};

static_assert(sizeof(Entry) + 2 * sizeof(double) + sizeof(std::uint16_t) == Graph::bytes_per_scalar_op);

struct List : Tape {
  Chunked<TensorNode> tensors;
  std::size_t tensor_count = 0;  // of them in use
  std::vector<std::uint32_t> stations;
  std::uint32_t parts = 0;  // entries that are only a part of an op, or dead
  bool buried = false;      // whether there are dead ones
  Arena arena;
  std::vector<std::shared_ptr<ParameterState>> parameters;
  std::vector<std::uint32_t> parameter_leaves;  // beside parameters: the entry of each
  std::vector<std::pair<std::uint32_t, std::string>> names;
  struct ScopeEntry {
    std::string path, kind;
  };
  std::vector<ScopeEntry> scopes;  // entry 0: outside of all
  std::size_t scope_count = 1;
  using Mark = std::pair<std::uint32_t, std::uint32_t>;
  std::vector<Mark> marks;     // from this id on, the scope in force
  std::vector<Mark> origins;   // from this id on, Node::backward_of
  bool retracing_now = false;  // recorded gradients are on their way
  bool observing = false;
  bool checking = false;              // what is not finite throws
  Chunked<Observation> observations;  // beside tensors
  std::uint32_t root = 0;             // of the last backward; 0: none yet
  bool retained = false;              // whether that one kept what it passed through
  bool failed = false;                // whether an exception ended it
  std::uint32_t let_go_root = 0;      // of the last backward that did not
  std::uint32_t let_go_count = 0;     // how many nodes were let go
  std::vector<bool> gone;             // scalar ops among them, as far as noted
  bool going_back = false;  // backward is at work
  bool sweeping = false;    // the same, and what is computed is nobody's: no checkpoint runs again
  std::vector<Deferred> deferred;   // they keep their memory
  std::size_t deferred_count = 0;  // of them in use
  bool deferring = false;  // backward is at work, and not within what it computes again
  std::vector<CutValue> cuts;
  std::vector<CutUse> cut_uses;

  List();
  ~List();
  List(const List&) = delete;
  List& operator=(const List&) = delete;

  /// Empties it for the next graph; keeps its memory.
  void reset() noexcept;

  TensorNode& tensor(std::uint32_t id) { return tensors[entry[id].a]; }
  bool is_tensor(std::uint32_t id) const { return code[id] == tensor_code; }
  /// A new node, to be given its shape.
  TensorNode& add_tensor();
  /// The node of a tensor that is an operand here; constants become leaves.
  std::uint32_t node_of(const Tensor& t) {
    const TensorImpl& head = impl(t);
    return head.graph == graph() && is_tensor(head.node) ? head.node : node_of_other(t);
  }
  std::uint32_t node_of_other(const Tensor& t);
  bool stands_for(std::uint32_t id, const TensorImpl& head);
  /// A new leaf with these numbers.
  Tensor leaf(const Tensor& numbers);
  /// What a Parameter is in this graph.
  Tensor parameter_leaf(const std::shared_ptr<ParameterState>& state);
  /// All entries that stand for a Parameter: a new one came whenever its numbers had changed.
  std::vector<std::uint32_t> leaves_of(const ParameterState& state) const;
  /// Makes it that leaf again, though it may have met this graph as others since.
  void meet_as(const std::shared_ptr<ParameterState>& state, const Tensor& leaf);
  /// What it is while a Pause lives: its numbers, which remember whose they are.
  Tensor paused_parameter(const std::shared_ptr<ParameterState>& state);
  /// A handle of a tensor of this list without its numbers.
  Tensor shadow(std::uint32_t id);
  std::string name_of(std::uint32_t id) const;
  void enter(const Scope* scope);
  /// From the entry to come on, `what` holds.
  void mark(std::vector<Mark>& all, std::uint32_t what);
  /// What holds at an entry; 0: nothing.
  static std::uint32_t marked(const std::vector<Mark>& all, std::uint32_t id);
  /// The place of a value that `op` made out of operands at these places, and that is no part of the graph; 0 where no
  /// operand is, or was, of this graph.
  Place cut(Cut kind, const char* op, Place a, Place b = 0);
  void note_cut_use(std::uint32_t user, Place operand) {
    if (graph_of(operand) == (graph() | cut_bit)) cut_uses.push_back({user, id_of(operand)});
  }

  /// A function to see, and to replace, the gradient of an entry.
  struct Hook {
    std::function<Tensor(const Tensor&)> whole;
    std::function<Scalar(const Scalar&)> number;
  };
  std::multimap<std::uint32_t, Hook> hooks;  // by entry; a function of the user's may add some while others run
  std::uint32_t watched_before = 0;          // while a checkpoint runs again: up to here, it watched the first time
  void watch(std::uint32_t id, Hook hook);
  Tensor watched(std::uint32_t id, Tensor gradient);
  Scalar watched(std::uint32_t id, Scalar gradient);

  // sweep.cpp
  /// Gradients of entry `from`, seeded with ones or `seed`.
  void backward(std::uint32_t from, bool retain, bool to_parameters = true, const Tensor& seed = {});
  /// The loop of it: from entry `from` down to the one above `floor`.
  void sweep(std::uint32_t from, std::uint32_t floor, bool retain);
  /// Recorded gradients of entry `from` (seeded with dy) by the entries `by`, passing through entries > `floor` only.
  std::vector<std::pair<Scalar, Tensor>> recorded_sweep(std::uint32_t from, const std::pair<Scalar, Tensor>& dy,
                                                        std::uint32_t floor, const std::vector<std::uint32_t>& by);
  void let_go_of(TensorNode& node, bool keep_output) noexcept;
  /// Forgets the entries from `size` on: what was recorded on the way to an op that then refused.
  void take_back(std::uint32_t size) noexcept;
  /// The same, but their ids are not given again, so that handles that live on cannot be taken for others.
  void bury(std::uint32_t size) noexcept;
  /// The element of the same tensor that was read before; 0: none.
  static std::uint32_t read_before(const Entry& read) { return static_cast<std::uint32_t>(read.db); }

  // check.cpp: while `checking`, each throws GraphError for the first number that is not finite
  /// Of the op whose result y is about to be recorded.
  void check_result(const Tensor& y, const OpInfo& info, const void* op, const Tensor* const* in, int n);
  /// Of a leaf.
  void check_leaf(std::uint32_t id);
  /// Of all values up to entry `last`, the loss.
  void check_values(std::uint32_t last, bool outcome = true);
  /// Of the gradient that has arrived at a node, and of what the node sends to operand i.
  void check_arrived(const TensorNode& node);
  void check_sent(const TensorNode& node, std::uint32_t i, const Tensor& dx);
  /// Of what the scalar entries lo < id <= hi have sent.
  void check_swept(std::uint32_t hi, std::uint32_t lo);

  static List* of(Graph& graph) { return graph.list_.get(); }
  static const List* of(const Graph& graph) { return graph.list_.get(); }
};

/// The list that this thread records into while no Pause lives; `open_list` also while one does.
inline List* recording_list() { return tape != &no_tape ? static_cast<List*>(tape) : nullptr; }
extern constinit thread_local List* open_list EBB_FAST_THREAD_LOCAL;

/// Whether a Pause lives on this thread.
bool paused();

/// While it lives, the open list records, though a Pause lives or backward is at work in it.
class Recording {
 public:
  explicit Recording(List& list);
  ~Recording();
  Recording(const Recording&) = delete;
  Recording& operator=(const Recording&) = delete;

 private:
  List& list_;
  Tape* tape_;
  int pauses_;
  bool sweeping_;
};

/// While it lives, this thread records into another list, which is emptied at its end; values of the graph that is open
/// meanwhile are constants there.
class Aside {
 public:
  explicit Aside(List& list);
  ~Aside();
  Aside(const Aside&) = delete;
  Aside& operator=(const Aside&) = delete;

 private:
  List& list_;
  Tape* tape_;
  List* open_;
  List* set_aside_;
  int pauses_;
};

/// While it lives, nothing records, and what is computed leaves no story in the list of where it was cut.
class Unnoted {
 public:
  explicit Unnoted(List* list) : list_(list), before_(list != nullptr && std::exchange(list->sweeping, true)) {}
  ~Unnoted() {
    if (list_ != nullptr) list_->sweeping = before_;
  }
  Unnoted(const Unnoted&) = delete;
  Unnoted& operator=(const Unnoted&) = delete;

 private:
  const Pause pause_;
  List* list_;
  bool before_;
};

/// The open list of this thread that the value belongs to.  Throws GraphError, beginning with `asked`, if the value is
/// a constant, its graph is closed, or it is another thread's.
List& list_of(std::uint32_t graph, const char* asked);

/// How often this thread's programs have asked tensors for numbers; what an op does with those is not recorded.
extern constinit thread_local std::uint64_t numbers_read EBB_FAST_THREAD_LOCAL;

/// Throws GraphError: a value was asked that a checkpoint forgot.
[[noreturn]] void buried_inside();
/// Throws GraphError: what `op` computed cannot be computed again.
[[noreturn]] void changed_since(const ParameterState& parameter, const char* op);
/// The entry of a value that must belong to this list.  Throws GraphError, beginning with `asked`.
std::uint32_t id_in(const List& list, const Scalar& s, const char* asked);
std::uint32_t id_in(const List& list, const Tensor& t, const char* asked);

/// Scalars as a tensor, and an element as a Scalar: the crossings between the lanes.
Tensor from_scalars(std::span<const Scalar> parts, const Shape& shape, DType dtype);
Scalar element_of(const Tensor& t, std::int64_t place);
bool is_stack(const TensorNode& node);
/// Throws GraphError if only a tensor of one element can be asked.
void must_be_single(const char* asked, const Shape& shape);

/// The names and derivatives of scalar ops, by code.
const ScalarRule& scalar_rule(std::uint16_t code);

inline double seconds_since(std::int64_t started) {
  const auto now = std::chrono::steady_clock::now().time_since_epoch().count();
  return static_cast<double>(now - started) * 1e-9;
}

double root_mean_square(const Tensor& t);

inline Place place_in(const Tensor& t) { return place_of(impl(t).graph, impl(t).node); }
/// Marks the new tensor y as one that an op made out of a graph's values without being part of it.
void mark_cut(Tensor& y, Cut kind, const char* op, const Tensor* const* in, int n);
inline void mark_cut(Tensor& y, Cut kind, const char* op, std::initializer_list<const Tensor*> in) {
  mark_cut(y, kind, op, in.begin(), static_cast<int>(in.size()));
}

}  // namespace ebb::detail
