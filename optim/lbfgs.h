// LBFGS: for smooth losses over all of the data, where few and good steps pay.
#pragma once

#include "optimizer.h"

#include <concepts>
#include <cstdint>
#include <functional>
#include <optional>
#include <type_traits>
#include <vector>

namespace ebb::optim {

struct LBFGSOptions {
  double lr = 1;                     ///< share of the quasi-Newton step that is gone, or tried first by a line search
  std::int64_t max_iterations = 20;  ///< of one call of step()
  std::optional<std::int64_t> max_evaluations = {};  ///< no new iteration after so many losses (a line search may go
                                                     ///< beyond); if nothing is given, 5/4 of max_iterations
  double tolerance_gradient = 1e-7;                  ///< ends when no number of the gradient is larger
  double tolerance_change = 1e-9;                    ///< ends when neither parameters nor loss change more
  std::int64_t history = 100;  ///< how many steps the curvature is known from; two numbers each for every number
  bool line_search = false;    ///< chooses each step's length by the strong Wolfe conditions; evaluates more often
  bool allow_missing = false;  ///< parameters without a gradient rest, instead of being an error
};

/// Steps along −H·g, where H is the inverse Hessian as far as the last steps tell; all parameters are one vector, in f64.
/// It computes the loss several times in a step, so step() takes the function that does:
///   lbfgs.step([&] { Graph graph; Tensor loss = mse_loss(model(x), y); loss.backward(); return loss; });
/// Source: Nocedal & Wright 2006, "Numerical optimization", algorithms 3.5, 3.6, 7.4 and 7.5; iterations and stopping as
/// in PyTorch.
class LBFGS : public Optimizer {
 public:
  /// Throws UsageError for groups as well: there is one step for all.
  explicit LBFGS(const ParameterList& parameters, const LBFGSOptions& options = {});

  /// Minimises; `closure` computes the loss (a double or a Tensor), calls backward() and returns it.  Gradients from
  /// before are thrown away.  Returns the loss at the start.
  /// Throws UsageError if the loss or its gradient is not finite, GraphError as Optimizer::step() does, and whatever
  /// the closure throws, with the parameters and its own state as they were.
  template <std::invocable F> double step(F&& closure) {
    if constexpr (std::is_convertible_v<std::invoke_result_t<F&>, double>) return minimize(closure);
    else return minimize([&closure] { return closure().item(); });
  }
  /// Throws UsageError, with gradients or without: there is no way without a closure.
  void step() { Optimizer::step(); }

 private:
  /// What the next iteration must know.
  struct Course {
    std::int64_t iterations = 0;
    Tensor move, gradient;       // the last step, and the gradient where it began
    std::vector<Tensor> dy, dx;  // how gradient and parameters changed in the last steps
  };
  using Loss = std::function<double()>;
  struct Point;  // where the loss was computed
  struct Line;   // along which a step goes

  double minimize(const Loss& closure);
  double iterate(const Loss& closure, Course& course);
  Point evaluate(const Loss& closure);
  Tensor direction(Course& course, const Tensor& gradient) const;
  Point search(const Loss& closure, const Line& line, const Point& start, std::int64_t& evaluations, double& length);
  Tensor values() const;
  void put(const Tensor& values);

  void prepare() override;
  void update() override {}
  io::Tensors own_state() const override;
  void load_own_state(const io::Tensors& state) override;

  LBFGSOptions options_;
  std::int64_t max_evaluations_;
  std::int64_t size_ = 0;  // of all parameters together
  Course course_;
};

}  // namespace ebb::optim
