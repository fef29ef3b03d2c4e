// Trace: what a picture needs to know of a graph, as plain data that a file can hold: no tensors, no pointers into the
// graph.  Everything is drawn from it, so a model need not run again to be drawn another way.
#pragma once

#include "../../autograd/graph.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

namespace ebb::graphviz {

inline constexpr double no_number = std::numeric_limits<double>::quiet_NaN();

/// What the last backward brought to a value.
struct Gradient {
  enum class State : std::uint8_t {
    unknown,   ///< none ran, or its numbers were not kept
    unneeded,  ///< no gradient comes here: a constant, or off the path from the loss
    known
  };
  State state = State::unknown;
  double size = no_number;  ///< root mean square; of a scalar the number itself
};

/// One operand of an op.
struct Operand {
  std::uint32_t id = 0;       ///< 0: a plain number
  std::uint32_t times = 1;    ///< of a folded record: how many lines between the two became this one
  std::string_view name;      ///< in the op's formula; may be empty
  double number = no_number;  ///< scalar lane: its value
  /// What this op sent to it, as Gradient::size; of a folded record the largest that an op in it sent; NaN: unknown or none.
  double contribution = no_number;
};

/// Of a comparison of two traces: which of them holds the node.
enum class Change : std::uint8_t { none, added, removed };

/// Something that backward keeps: an input by its name in the formula ("x"), or the output ("y").
struct Saved {
  std::string_view what;
  std::int64_t bytes = 0;
};

/// What one record stands for, if it stands for several.
struct Fold {
  enum class Kind : std::uint8_t {
    module,   ///< all that a module computed in one call
    repeat,   ///< equal blocks in a row: layers of a stack, or steps in time
    chain,    ///< pointwise ops one after the other
    stretch,  ///< neighbours in the order of computing, with nothing else in common
  };
  /// A number for each of the blocks that were folded, the first computed first; of more than 4,096 for so many of them,
  /// at equal distances, the first and the last among them.
  struct Series {
    std::string_view name;
    std::span<const double> values;
  };
  Kind kind = Kind::module;
  std::string_view title;                             ///< "encoder.0", "steps 3 – 48", "relu · mul"
  std::string_view detail;                            ///< "Dense(10 -> 64)", "× 46, same parameters"
  std::int64_t ops = 0;                               ///< how many it stands for
  std::int64_t times = 1;                             ///< how many equal blocks
  std::uint32_t first_step = 0, last_step = 0;        ///< of backward; 0: it took none
  double least = no_number, most = no_number;         ///< the smallest and largest gradient at an op inside
  std::int64_t parameters = 0;                        ///< numbers in the parameters that only it uses
  double parameter_rms = no_number;                   ///< of their values
  Gradient parameter_gradient;                        ///< of all of them together
  std::span<const std::string_view> parameter_names;  ///< the first of them
  std::span<const Series> series;
};

/// One node, or several that are drawn as one.  The texts and lists belong to the Trace.
struct Record {
  std::uint32_t id = 0;
  Node::Kind kind = Node::Kind::op;
  bool scalar = false;
  bool pointwise = false;       ///< each element of the result comes from the same place of the operands
  bool wants_gradient = false;  ///< a parameter or variable, or made from one by ops that pass gradients
  bool has_value = false;
  std::string_view op, formula, rule, name, dtype;
  std::string_view scope, scope_kind;
  std::uint32_t scope_call = 0;
  std::uint32_t backward_of = 0;  ///< the op whose backward recorded it; 0: it is none of graph.gradient()'s
  std::span<const Operand> operands;
  std::span<const std::int64_t> shape;
  std::span<const Saved> saved;  ///< parameters, which live on anyway, not counted
  double value = no_number;      ///< the number if there is one, else the root mean square
  double zeros = no_number;      ///< the share of its elements that are exactly 0
  double dead = no_number;       ///< the share of its places that are 0 in every row of the first axis
  std::span<const std::uint8_t>
      histogram;  ///< of the values, in nine equal steps: 0 to 7, by the square root of the count
  Gradient gradient;
  std::uint32_t order = 0, uses = 0;  ///< as in Node
  std::uint32_t users = 0;            ///< of how many operands of ops it is the value
  double forward_seconds = 0, backward_seconds = 0;
  Change change = Change::none;
  const Fold* fold = nullptr;

  bool is_op() const { return kind == Node::Kind::op; }
  std::int64_t size() const;
  /// Of its numbers.
  std::int64_t bytes() const;
};

/// What is said of a graph as a whole.
struct Facts {
  bool observed = false;
  bool differentiated = false;  ///< a backward ran
  bool timed = false;           ///< the seconds are known
  bool compared = false;        ///< diff() made it: sizes of gradients are multiples of what they were
  std::uint32_t root = 0;       ///< where it started, or would start: the loss; 0: nowhere
  std::int64_t ops = 0, steps = 0, parameters = 0;  ///< of the whole graph: ops, steps of backward, numbers that learn
  std::vector<std::string> folded;                  ///< what was folded, in words; empty: every node is a record
};

/// Copies share the texts and lists, which never change.
struct Trace : Facts {
  std::vector<Record> records;  ///< by id, ascending

  /// Position in `records`, which must hold the id.
  std::size_t at(std::uint32_t id) const;
  const Record& operator[](std::uint32_t id) const { return records[at(id)]; }
  /// Whether there is a record with that id.
  bool holds(std::uint32_t id) const;
  /// Makes at() faster, once the records are there.
  void index();

  /// The same facts, and no record yet; records of this trace may be put into it.
  Trace without_records() const;

  /// Keeps what records point at for as long as this Trace or a copy lives.
  std::string_view keep(std::string_view text) {
    const std::span<const char> kept = keep(std::span(text.data(), text.size()));
    return {kept.data(), kept.size()};
  }
  template <class T> std::span<const T> keep(const std::vector<T>& list) { return keep(std::span<const T>(list)); }
  template <class T> std::span<const T> keep(std::span<const T> list) {
    static_assert(std::is_trivially_destructible_v<T> && std::is_trivially_copyable_v<T>);
    if (list.empty()) return {};
    auto* const to = static_cast<T*>(memory_->take(list.size_bytes(), alignof(T)));
    std::copy(list.begin(), list.end(), to);
    return {to, list.size()};
  }
  const Fold* keep(const Fold& fold) { return keep(std::span(&fold, 1)).data(); }

 private:
  // Given back all at once.
  class Memory {
   public:
    void* take(std::size_t bytes, std::size_t alignment);
    std::shared_ptr<const Memory> of_others;

   private:
    std::vector<std::unique_ptr<std::byte[]>> chunks_;
    std::size_t left_ = 0;
  };
  std::shared_ptr<Memory> memory_ = std::make_shared<Memory>();
  std::vector<std::uint32_t> places_;  // by id; empty where ids are far apart
};

/// What the graph holds, as far as pictures tell of it; without graph.observe() shapes and structure alone.
/// Throws UsageError for a graph of more than most_nodes.
Trace trace(const Graph& graph);
inline constexpr std::int64_t most_nodes = 5'000'000;

/// The same of nodes that graph.nodes() gave.
Trace trace(const std::vector<Node>& nodes, bool observed);

/// For each record, whether `id` was computed from it, or is it; none for id 0.
std::vector<bool> ancestors(const Trace& trace, std::uint32_t id);

struct SaveOptions {
  bool times = false;  ///< with the seconds that each op took, which differ from run to run
};

/// Writes what a picture needs into a file (JSON, laid out as tools/graphviz/trace.md says), for load() and ebb-graph:
/// the same program writes the same bytes.  A graph of more than 100,000 nodes is folded first.
/// The file is replaced only by a whole one.  Throws IoError if it cannot be written.
void save(const Trace& trace, const std::string& file, const SaveOptions& options = {});
void save(const Graph& graph, const std::string& file, const SaveOptions& options = {});

/// Reads what save() wrote.  Throws IoError if the file cannot be read, and ParseError, with the place, if it is no
/// trace, or is of a later version.
Trace load(const std::string& file);

}  // namespace ebb::graphviz
