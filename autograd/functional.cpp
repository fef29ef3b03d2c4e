#include "functional.h"

#include "error.h"
#include "graph.h"
#include "list.h"
#include "op.h"
#include "ops.h"
#include "random.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>

namespace ebb {

using namespace detail;

namespace {

using Function = std::function<Tensor(const std::vector<Tensor>&)>;

/// One number of whatever f returns: its elements, weighted at random, added up.
Tensor weighed(const Tensor& y) {
  Generator generator(0x5eed);
  return sum(y * rand(y.shape(), f64, generator));
}

/// The worst relative error of `gradient`s against 6th-order differences of `value`.
double worst_error(const std::function<double(const std::vector<Tensor>&)>& value, const std::vector<Tensor>& inputs,
                   const std::vector<Tensor>& gradients, double unit) {
  constexpr std::array<double, 3> weight = {45.0 / 60, -9.0 / 60, 1.0 / 60};
  double worst = 0;
  std::vector<Tensor> moved = inputs;
  for (std::size_t k = 0; k < inputs.size(); ++k) {
    for (std::int64_t i = 0; i < inputs[k].size(); ++i) {
      const double x = read<double>(inputs[k])[i], h = unit * std::max(1.0, std::abs(x));
      double difference = 0;
      for (int step = 1; step <= 3; ++step) {
        for (const int side : {1, -1}) {
          Tensor shifted = inputs[k];
          static_cast<double*>(writable(shifted))[i] = x + side * step * h;
          moved[k] = shifted;
          difference += side * weight[static_cast<std::size_t>(step - 1)] * value(moved);
        }
      }
      moved[k] = inputs[k];
      const double fd = difference / h,
                   error = std::abs(read<double>(gradients[k])[i] - fd) / std::max(1.0, std::abs(fd));
      if (std::isnan(error)) return error;  // nothing is worse
      worst = std::max(worst, error);
    }
  }
  return worst;
}

std::vector<Tensor> variables(Graph& graph, const std::vector<Tensor>& inputs) {
  std::vector<Tensor> x;
  for (const Tensor& input : inputs) x.push_back(graph.variable(input));
  return x;
}

std::vector<Tensor> first_order(const Function& f, const std::vector<Tensor>& inputs) {
  Graph graph;
  const std::vector<Tensor> x = variables(graph, inputs);
  const Tensor y = weighed(f(x));
  std::vector<Tensor> gradients;
  if (!recorded_in(impl(y).graph)) {  // it depends on none of them
    for (const Tensor& input : inputs) gradients.push_back(zeros(input.shape(), f64));
    return gradients;
  }
  List::of(graph)->backward(impl(y).node, false, /*to_parameters=*/false);
  for (const Tensor& each : x) gradients.push_back(each.grad());
  return gradients;
}

/// The gradients of f, taken as recorded values, weighed into one number.
Tensor slope(Graph& graph, const Function& f, const std::vector<Tensor>& x) {
  Tensor total = zeros({}, f64);
  for (const Tensor& g : graph.gradient(weighed(f(x)), x)) total = total + weighed(g);
  return total;
}

}  // namespace

namespace detail {

void gradcheck_takes(std::size_t takes, std::size_t given) {
  if (takes != given)
    throw UsageError(fmt::format("gradcheck(): the function takes {} tensors, and {} were given", takes, given));
}

double check_gradients(const Function& f, const std::vector<Tensor>& given, const GradcheckOptions& options) {
  if (recording())
    throw GraphError("gradcheck(): a graph is recording on this thread\n  help: call it outside of any graph");
  if (options.order != 1 && options.order != 2)
    throw UsageError(fmt::format("gradcheck(): order must be 1 or 2, got {}", options.order));
  if (!(options.step > 0)) throw UsageError(fmt::format("gradcheck(): step must be positive, got {}", options.step));
  std::vector<Tensor> inputs;
  for (const Tensor& input : given) inputs.push_back(detach(input.to(f64)));

  double worst = worst_error([&](const std::vector<Tensor>& x) { return weighed(f(x)).item(); }, inputs,
                             first_order(f, inputs), options.step);
  if (options.order == 2 && !std::isnan(worst)) {
    std::vector<Tensor> second;
    {
      Graph graph;
      const std::vector<Tensor> x = variables(graph, inputs);
      second = graph.gradient(slope(graph, f, x), x);
    }
    const auto slope_at = [&](const std::vector<Tensor>& at) {
      Graph graph;
      return slope(graph, f, variables(graph, at)).item();
    };
    const double of_second = worst_error(slope_at, inputs, second, options.step);
    worst = std::isnan(of_second) ? of_second : std::max(worst, of_second);
  }
  return worst;
}

}  // namespace detail
}  // namespace ebb
