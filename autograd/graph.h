// Graph: the list of what was computed, its gradients, and what pictures and reports read from it.
#pragma once

#include "scalar.h"
#include "scope.h"
#include "tensor.h"

#include <cstdint>
#include <functional>
#include <initializer_list>
#include <memory>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

namespace ebb {

class Parameter;

namespace detail {
struct List;
}

/// One entry of the graph, as graph.nodes() shows it.
struct Node {
  /// Something that backward keeps: an input by its name in the formula ("x"), or the output ("y").
  struct Saved {
    std::string what;
    std::int64_t bytes = 0;
  };
  enum class Kind : std::uint8_t { op, parameter, variable, constant };

  std::uint32_t id = 0;
  Kind kind = Kind::op;
  bool scalar = false;                ///< of the scalar lane: value_number and gradient_number hold, not the tensors
  std::string op;                     ///< "matmul"; empty for leaves
  std::string formula;                ///< what it computes, e.g. "x·Wᵀ"
  std::string rule;                   ///< what its backward computes, e.g. "∇x = g·W   ∇W = gᵀ·x"
  bool pointwise = false;             ///< each element of the result comes from those at its place (operands broadcast)
  std::vector<std::uint32_t> inputs;  ///< ids, in the order of the operands; 0 for a number that is no node
  std::vector<std::string> operands;  ///< the operands' names in the formula, as far as the op names them
  std::vector<double> numbers;        ///< scalar lane: the operands' values
  Shape shape;
  DType dtype = f32;
  std::string scope;             ///< the module path, e.g. "encoder.0"; empty outside of any
  std::uint32_t scope_call = 0;  ///< tells one call of a module from the next
  std::string scope_kind;        ///< what the module is, e.g. "Dense(10 -> 64)"
  /// The node whose backward this one is a part of, as gradient() recorded it, and whose module it therefore belongs to; of
  /// what adds up gradients, the node that they arrive at.  0 of what the program itself computed.
  std::uint32_t backward_of = 0;
  std::string name;              ///< of a variable or parameter
  std::vector<Saved> saved;

  // What observe() kept.  Undefined tensors and NaN where there is nothing.
  Tensor value, gradient;
  double value_number = 0, gradient_number = 0;
  std::uint32_t order = 0;      ///< the position of this node's step in the last backward, from 1; 0: it took none
  bool differentiated = false;  ///< the last backward brought a gradient here
  std::uint32_t uses = 0;       ///< how many gradients were added up here
  double forward_seconds = 0, backward_seconds = 0;
  std::vector<double> contributions;  ///< root mean square of the gradient sent to each input; NaN if none was
  /// The gradient sent to each input; undefined where none was, where it is one number, and where many small parts of one
  /// input were read, whose gradients are each as large as the input.
  std::vector<Tensor> sent;
  std::vector<double> sent_numbers;  ///< the same of the scalar lane and where it meets the other, with signs
};

struct GraphOptions {
  bool observe = false;  ///< as graph.observe() does, from the beginning
  /// Throws GraphError, as graph.check() words it, as soon as a number is not finite: a tensor op instead of being recorded,
  /// backward() and gradient() before they begin for Scalars, and at the first gradient.  What where() will not choose
  /// counts too; -inf that a constant brings in, as masks do, does not.  Observes too.
  bool check = false;
};

/// Records what this thread computes, from its making until it goes out of scope, on the thread that made it.
/// Open a new one for each step of training: one that stays open grows, and each backward goes through all of it.
/// Throws GraphError if a graph is already recording on this thread.
class Graph {
 public:
  Graph() : Graph(GraphOptions{}) {}
  Graph(const GraphOptions& options);
  ~Graph();
  Graph(const Graph&) = delete;
  Graph& operator=(const Graph&) = delete;

  /// A leaf whose gradient you want: a copy of the value that is part of this graph.
  Tensor variable(const Tensor& value, std::string_view name = "");
  Scalar variable(double value, std::string_view name = "");

  /// The derivative of the single number y by x, itself recorded, so that it can be differentiated again; zeros where
  /// y does not depend on x.  Throws GraphError if y has more than one element or belongs to another graph.
  Tensor gradient(const Tensor& y, const Tensor& x);
  Scalar gradient(const Scalar& y, const Scalar& x);
  Tensor gradient(const Scalar& y, const Tensor& x);
  Scalar gradient(const Tensor& y, const Scalar& x);
  std::vector<Tensor> gradient(const Tensor& y, std::initializer_list<Tensor> x) { return gradient(y, std::vector(x)); }
  std::vector<Scalar> gradient(const Scalar& y, std::initializer_list<Scalar> x) { return gradient(y, std::vector(x)); }
  std::vector<Tensor> gradient(const Tensor& y, const std::vector<Tensor>& x);
  std::vector<Scalar> gradient(const Scalar& y, const std::vector<Scalar>& x);
  std::vector<Tensor> gradient(const Scalar& y, const std::vector<Tensor>& x);
  std::vector<Scalar> gradient(const Tensor& y, const std::vector<Scalar>& x);

  /// Has f called with the whole gradient of t on its way, in backward() and in gradient(), each time that one arrives.
  /// What f returns goes on in its stead: a Tensor of the same shape and type, or a Scalar (a double) for a Scalar; an f
  /// that returns nothing only looks.  Of several, each sees what the one before let through.
  ///   graph.on_gradient(h, [](const Tensor& g) { return clamp(g, -1, 1); });
  /// f may compute, take vjp() and its kin, and watch more; backward() and gradient() of the same graph are refused there.
  /// In the function of a checkpoint it is asked once, however often that runs again.
  /// Throws GraphError if t is no part of this graph, and from backward() UsageError if the shape or type is another.
  template <class F> void on_gradient(const Tensor& t, F f) {
    watch(t, [f = std::move(f)](const Tensor& g) mutable -> Tensor {
      if constexpr (std::is_void_v<std::invoke_result_t<F&, const Tensor&>>) return f(g), Tensor();
      else return f(g);
    });
  }
  template <class F> void on_gradient(const Scalar& s, F f) {
    watch(s, [f = std::move(f)](const Scalar& g) mutable -> Scalar {
      if constexpr (std::is_invocable_v<F&, const Scalar&>) {
        if constexpr (std::is_void_v<std::invoke_result_t<F&, const Scalar&>>) return f(g), g;
        else return f(g);
      } else {
        if constexpr (std::is_void_v<std::invoke_result_t<F&, double>>) return f(g.value()), g;
        else return f(g.value());
      }
    });
  }

  /// From here on keeps every node's value, gradient, times and contributions, for pictures and reports.
  void observe();
  bool observing() const;

  /// Says in words why x has the gradient that the last backward() gave it: nothing uses x, or a detach(), a Pause or whole
  /// numbers cut it off the loss, and at which node; or where all of it is masked, saturated, multiplied by 0, too small for
  /// its type, or cancelled; or how large it is, and where it comes from.  Zeros are traced through tensors if the graph
  /// observed them.  Throws GraphError if x is no value of this graph.
  std::string explain(const Tensor& x) const;
  std::string explain(const Scalar& x) const;
  std::string explain(const Parameter& x) const;
  /// Says where the first number came to be that is not finite: the first node in creation order whose output is not while
  /// its inputs are; failing that, in backward's order, whose gradient is finite and what it sends is not.  Empty if there
  /// is none.  A constant -inf, and a constant single number, counts as meant until NaN comes of it or the loss is infinite.
  /// Throws GraphError if the graph holds tensors that it did not observe.
  std::string check() const;

  /// How many values it holds: leaves and results of ops, of both lanes.
  std::size_t size() const;
  /// All of them, in the order in which they came.
  std::vector<Node> nodes() const;
  /// Calls f with each of them in that order, in one Node that is filled again and again: a graph of any size needs no memory.
  void each_node(const std::function<void(const Node&)>& f) const;
  /// What an op of the scalar lane takes: two operands, two partials, value, adjoint and the op's name.
  static constexpr std::size_t bytes_per_scalar_op = 42;

 private:
  void watch(const Tensor& t, std::function<Tensor(const Tensor&)> f);
  void watch(const Scalar& s, std::function<Scalar(const Scalar&)> f);

  friend struct detail::List;
  std::unique_ptr<detail::List> list_;
};

/// While it lives, nothing on this thread is recorded.
class Pause {
 public:
  Pause();
  ~Pause();
  Pause(const Pause&) = delete;
  Pause& operator=(const Pause&) = delete;
};

/// Whether what this thread computes now is being recorded.
bool recording();

}  // namespace ebb
