// What the crossings between the lanes cost: a loop that reads a million elements of tensors as Scalars, combines them
// and writes the results into a tensor, beside the same loop on Scalars alone.
#include "timing.h"

#include <ebb/autograd/autograd.h>

#include <cstdint>
#include <cstdlib>
#include <vector>

namespace {

using namespace ebb;

constexpr std::int64_t n = 1'000'000;

Scalar combined(Scalar a, Scalar before) { return a * 0.5 + before * 0.25; }

/// Both pass the gradient 1 to each of n results.
double all_scalar(const std::vector<double>& numbers) {
  Graph graph;
  std::vector<Scalar> x, y;
  x.reserve(numbers.size());
  y.reserve(numbers.size());
  for (const double v : numbers) x.push_back(graph.variable(v));
  Scalar before = 0.5;
  for (std::size_t i = 0; i < numbers.size(); ++i) y.push_back(before = combined(x[i], before));
  Scalar total = 0;
  for (const Scalar& s : y) total += s;
  total.backward();
  return x[0].grad();
}

double crossing(const Tensor& numbers) {
  Graph graph;
  const Tensor x = graph.variable(numbers);
  std::vector<Scalar> y;
  y.reserve(static_cast<std::size_t>(n));
  Scalar before = 0.5;
  for (std::int64_t i = 0; i < n; ++i) y.push_back(before = combined(x(i), before));
  sum(stack(y)).backward();
  return x.grad().data<double>()[0];
}

}  // namespace

int main() {
  std::printf("%lld elements read, combined and written, forward and backward, on %s\n\n", static_cast<long long>(n),
              bench::machine().c_str());
  const Tensor numbers = linspace(-1, 1, n, f64);
  const std::vector<double> plain = numbers.to_vector<double>();
  double of_scalars = 0, of_tensors = 0;
  const auto t =
      bench::compare({[&] { of_tensors = crossing(numbers); }, [&] { of_scalars = all_scalar(plain); }}, 1, 21);
  std::printf(
      "  from and to tensors  %7.1f ms\n  Scalars alone        %7.1f ms\n  ratio                %7.2f      goal: <= "
      "2\n",
      t[0].seconds * 1e3, t[1].seconds * 1e3, t[0].ratio);
  std::printf("\n%s\n", of_scalars == of_tensors ? "Both find the same gradient, bit for bit." : "THE TWO DISAGREE.");
  return of_scalars == of_tensors ? EXIT_SUCCESS : EXIT_FAILURE;
}
