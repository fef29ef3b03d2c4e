// How ops run their kernels: through launch(), which runs one now and, while this thread captures, notes it with what it
// was given, so that replay() can run the whole list again without the ops.
#pragma once

#include "kernels/map.h"
#include "tape.h"
#include "tensor.h"

#include <cstddef>
#include <cstdint>
#include <memory>
#include <new>
#include <tuple>
#include <type_traits>
#include <utility>
#include <vector>

namespace ebb::detail {

/// Kernels with what each was called with, in order.
class Launches {
 public:
  Launches();
  ~Launches();
  Launches(const Launches&) = delete;
  Launches& operator=(const Launches&) = delete;

  /// Notes f(args...); does not run it.
  template <class F, class... A> void add(const F& f, const A&... args) {
    using Call = Bound<std::decay_t<F>, std::decay_t<A>...>;
    auto* const bound = ::new (room(sizeof(Call), alignof(Call))) Call{f, std::tuple<std::decay_t<A>...>(args...)};
    if constexpr (!std::is_trivially_destructible_v<Call>)
      destroyed_.push_back({[](void* b) { static_cast<Call*>(b)->~Call(); }, bound});
    all_.push_back({[](const void* b) {
                      const Call& call = *static_cast<const Call*>(b);
                      std::apply(call.f, call.args);
                    },
                    bound});
  }
  /// Where a kernel reads or writes a number for each element, or (step 0) one for all.
  struct Buffer {
    const void* begin;
    std::size_t width;  // bytes of a number
    std::int64_t step = 1;
  };
  /// Notes f(args...), of whose n elements Part()(begin, end, args...) does some alone.  The first buffer is written.
  template <class Part, class F, class... A>
  void add_by_element(const Part&, std::int64_t n, std::vector<Buffer> buffers, const F& f, const A&... args) {
    add(f, args...);
    const auto run = [](const void* b, std::int64_t begin, std::int64_t end) {
      std::apply([&](const auto&... a) { Part()(begin, end, a...); },
                 static_cast<const Bound<std::decay_t<F>, std::decay_t<A>...>*>(b)->args);
    };
    by_element_.push_back({all_.size() - 1, n, run, std::move(buffers)});
  }
  /// Makes of neighbours that do the same number of elements one launch, which runs them all on a block that fits the
  /// first cache before it goes to the next.
  void join();
  /// Runs them all.  What one throws ends it.
  void run() const {
    for (const Launch& launch : all_) launch.run(launch.bound);
  }
  std::size_t size() const { return all_.size(); }

 private:
  struct Launch {
    void (*run)(const void* bound);
    const void* bound;
  };
  template <class F, class... A> struct Bound {
    F f;
    std::tuple<A...> args;
  };
  struct ByElement {
    std::size_t launch;
    std::int64_t n;
    void (*run)(const void* bound, std::int64_t begin, std::int64_t end);
    std::vector<Buffer> buffers;
  };
  struct Block;
  struct Destroyed {
    void (*destroy)(void* bound);
    void* bound;
  };
  void* room(std::size_t bytes, std::size_t alignment);
  static bool can_take_turns(const ByElement& a, const ByElement& b);

  std::vector<Launch> all_;
  std::vector<ByElement> by_element_;
  std::vector<std::unique_ptr<Block>> blocks_;
  std::vector<Destroyed> destroyed_;
  std::vector<std::unique_ptr<std::byte[]>> chunks_;
  void* free_ = nullptr;
  std::size_t left_ = 0;
};

struct ParameterState;

/// What replay() keeps of one call of its function.
struct Capture;
/// The one that this thread is at; nullptr: none.
extern constinit thread_local Capture* capturing EBB_FAST_THREAD_LOCAL;
Launches& launches_of(Capture& capture);
/// Something was done that launches do not tell: the capture cannot be replayed.  `why` goes on from "the function ..."
/// and outlives the capture.
[[gnu::cold]] void mark_unreplayable(Capture& capture, const char* why);
inline void cannot_replay(const char* why) {
  if (capturing != nullptr) [[unlikely]]
    mark_unreplayable(*capturing, why);
}

/// Ops read the numbers of the tensor with this head: a constant, if they were not computed in the capture.
[[gnu::cold]] void note_operand(const TensorImpl& head);
/// The same where the function itself asked: unlike an op, it may do otherwise with others.
[[gnu::cold]] void note_number_read(const TensorImpl& head);
/// The function takes a Parameter, whose numbers are others at each replay.
[[gnu::cold]] void note_parameter(const std::shared_ptr<ParameterState>& state);
/// The gradient that backward() gives a Parameter.
[[gnu::cold]] void note_gradient(const std::shared_ptr<ParameterState>& state, const Tensor& gradient);

/// While it lives, this thread does not capture: what is made meanwhile is a constant to the capture.
class Uncaptured {
 public:
  Uncaptured() : capture_(std::exchange(capturing, nullptr)) {}
  ~Uncaptured() { capturing = capture_; }
  Uncaptured(const Uncaptured&) = delete;
  Uncaptured& operator=(const Uncaptured&) = delete;

 private:
  Capture* capture_;
};

/// A member of what keeps tensors that its calls change, as BatchNorm keeps its statistics: so a recording knows whether
/// the object is still there.  A copy or a moved object is another one.
class Anchor {
 public:
  Anchor() = default;
  Anchor(const Anchor&) {}
  Anchor& operator=(const Anchor&) { return *this; }
  const std::shared_ptr<char>& here() const { return here_; }

 private:
  std::shared_ptr<char> here_ = std::make_shared<char>();
};
/// To be called before such a tensor is read in a call.
[[gnu::cold]] void note_kept(const Anchor& anchor, Tensor& kept);
inline void meet(const Anchor& anchor, Tensor& kept) {
  if (capturing != nullptr) [[unlikely]]
    note_kept(anchor, kept);
}
/// kept = next, for this call and each replay; meet() came before.
void carry(Tensor& kept, const Tensor& next);

/// What layers make their work depend on besides the graph: nn::Training and nn::Evaluating set it.
extern constinit thread_local int layer_mode EBB_FAST_THREAD_LOCAL;

/// A test on numbers came out otherwise than when it was captured.
struct Diverged {};

template <class F, class... A> [[gnu::cold, gnu::noinline]] void note_launch(const F& f, const A&... args) {
  launches_of(*capturing).add(f, args...);
}

/// f(args...), now and at each replay.  f and args are copied: pointers to tensors' numbers, sizes, plain numbers.
template <class F, class... A> EBB_ALWAYS_INLINE void launch(const F& f, const A&... args) {
  f(args...);
  if (capturing != nullptr) [[unlikely]]
    note_launch(f, args...);
}

/// The truth of f(args...), by which an op chooses its way.  A replay in which it is another ends there.
template <class F, class... A> bool decided(const F& f, const A&... args) {
  const bool outcome = f(args...);
  if (capturing != nullptr) [[unlikely]]
    note_launch(
        [](bool expected, const auto& g, const auto&... again) {
          if (g(again...) != expected) throw Diverged();
        },
        outcome, f, args...);
  return outcome;
}

template <class Y, class F, class... X>
[[gnu::cold, gnu::noinline]] void note_map(Y* y, std::int64_t n, const F& f, const X*... x) {
  launches_of(*capturing)
      .add_by_element(
          [](std::int64_t begin, std::int64_t end, Y* to, std::int64_t, const F& g, const X*... from) {
            kernels::map(to + begin, end - begin, g, (from + begin)...);
          },
          n, {{y, sizeof(Y)}, {x, sizeof(X)}...},
          [](Y* to, std::int64_t count, const F& g, const X*... from) { kernels::map(to, count, g, from...); }, y, n, f,
          x...);
}
template <class Y, class F, std::size_t... K, class... X>
[[gnu::cold, gnu::noinline]] void note_map(std::index_sequence<K...>, Y* y,
                                           const kernels::Walk<int(sizeof...(X))>& walk, const F& f, const X*... x) {
  using Walk = kernels::Walk<int(sizeof...(X))>;
  const auto map = [](Y* to, const Walk& over, const F& g, const X*... from) { kernels::map(to, over, g, from...); };
  if (walk.rank != 1) return launches_of(*capturing).add(map, y, walk, f, x...);
  launches_of(*capturing)
      .add_by_element(
          [](std::int64_t begin, std::int64_t end, Y* to, const Walk& over, const F& g, const X*... from) {
            kernels::map(to + begin, over.part(begin, end), g, (from + begin * over.stride[K][0])...);
          },
          walk.size[0], {{y, sizeof(Y)}, {x, sizeof(X), walk.stride[K][0]}...}, map, y, walk, f, x...);
}

/// kernels::map(), launched.
template <class Y, class F, class... X>
EBB_ALWAYS_INLINE void launch_map(Y* y, std::int64_t n, const F& f, const X*... x) {
  kernels::map(y, n, f, x...);
  if (capturing != nullptr) [[unlikely]]
    note_map(y, n, f, x...);
}
template <class Y, class F, class... X>
EBB_ALWAYS_INLINE void launch_map(Y* y, const kernels::Walk<int(sizeof...(X))>& walk, const F& f, const X*... x) {
  kernels::map(y, walk, f, x...);
  if (capturing != nullptr) [[unlikely]]
    note_map(std::index_sequence_for<X...>(), y, walk, f, x...);
}

}  // namespace ebb::detail
