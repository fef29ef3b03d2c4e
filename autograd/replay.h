// replay(): a step of training that is recorded once and then run again without the graph.
#pragma once

#include "tensor.h"

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

namespace ebb {

namespace detail {

struct Recorded;

/// What Replay does, whatever its function: `call` takes operands and fills results, the first of which is the loss.
class Replayer {
 public:
  struct Call {
    void (*run)(void* function, const Tensor* const* x, Tensor* results);
    void* function;
  };

  Replayer();
  ~Replayer();
  Replayer(Replayer&&) noexcept;
  Replayer& operator=(Replayer&&) noexcept;

  void run(const Call& call, std::span<const Tensor* const> x, std::span<Tensor> results);
  const std::string& why() const { return why_; }
  std::size_t recordings() const { return all_.size(); }
  std::int64_t bytes() const;

 private:
  void eager(const Call& call, std::span<const Tensor* const> x, std::span<Tensor> results);
  void record(Recorded* before, const Call& call, std::span<const Tensor* const> x, std::span<Tensor> results);
  Recorded* find(std::span<const Tensor* const> x);

  std::vector<std::unique_ptr<Recorded>> all_;  // the last used first
  std::uint64_t calls_ = 0;
  std::string why_;
};

inline const Tensor& operand_of(const Tensor& t) { return t; }
template <class T> Tensor operand_of(const T& t) { return Tensor(t); }

}  // namespace detail

/// What replay() returns: call it with Tensors.
template <class F> class Replay {
 public:
  explicit Replay(F f) : f_(std::move(f)) {}

  /// The loss of the function on these operands; the gradients are added to those of the Parameters, as by backward().
  template <class... X>
  requires(std::convertible_to<const X&, Tensor>&&...) Tensor operator()(const X&... x) {
    return on(detail::operand_of(x)...);
  }
  /// Why the last call ran as without replay(); empty if it did not.
  const std::string& why() const { return replayer_.why(); }
  /// How many recordings it keeps, and the bytes of memory that these planned.
  std::size_t recordings() const { return replayer_.recordings(); }
  std::int64_t bytes() const { return replayer_.bytes(); }

 private:
  template <class... X> Tensor on(const X&... x) {
    const Tensor* const operands[] = {&x..., nullptr};
    const auto call = []<std::size_t... I>(std::index_sequence<I...>) {
      return [](void* f, const Tensor* const* in, Tensor* loss) { *loss = (*static_cast<F*>(f))(*in[I]...); };
    }
    (std::make_index_sequence<sizeof...(X)>());
    Tensor loss;
    replayer_.run({call, &f_}, {operands, sizeof...(X)}, {&loss, 1});
    return loss;
  }

  F f_;
  detail::Replayer replayer_;
};

/// A step of training: forward and backward of a function that returns a loss, recorded at the first call and then run
/// again as a mere list of kernels, with the same results to the last bit.
///   auto step = replay([&](Tensor x, Tensor y) { return mse_loss(model(x), y); });
///   Tensor loss = step(x, y);   // and the Parameters have their gradients
///   adam.step();
/// The operands can be others at each call; of other shapes or types, on another thread or under another nn::Training or
/// nn::Evaluating guard the function is recorded anew (8 recordings are kept).  What it draws from the default
/// generator is drawn anew, and BatchNorm's statistics move.  Where the function does what a recording cannot tell, such as
/// reading numbers that it computed, each call runs as without replay(), and why() says so.
/// What a recording cannot see are variables of C++: numbers, flags and tensors outside, by which the function or a model
/// works otherwise than when it was recorded, what threads of its own compute, and models that were replaced as a whole.
/// Make tensors that change operands, and a new replay() where the rest changes.
/// One Replay is for one thread at a time.  Throws what the function and backward() throw; then nothing has changed.
template <class F> Replay<F> replay(F f) { return Replay<F>(std::move(f)); }

}  // namespace ebb
