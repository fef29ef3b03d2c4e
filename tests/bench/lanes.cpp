// What gradients of a function of Scalars cost over a batch of rows, replayed many rows at once: beside the plain function
// of doubles, and beside a graph for each row.
#include "scalar_problems.h"
#include "timing.h"

#include <ebb/autograd/autograd.h>

#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <span>
#include <string>
#include <vector>

namespace {

using ebb::Graph;
using ebb::Scalar;
using ebb::Tensor;

struct Rosenbrock {
  template <class T> T operator()(std::span<const T> x) const { return bench::rosenbrock(x); }
};

/// One sample of the net.
struct Net {
  template <class T> T operator()(std::span<const T> w) const { return bench::net_of(w, 0.3, -0.7, 0.2); }
};

/// Σ sin(xᵢ)·e^(−xᵢ) + log(1 + xᵢ²).
struct Terms {
  template <class T> T operator()(std::span<const T> x) const {
    using std::exp, std::log, std::sin;
    T sum = 0.0;
    for (const T& one : x) sum = sum + (sin(one) * exp(-one) + log(1.0 + one * one));
    return sum;
  }
};

template <class F> bool row(const char* name, F f, std::int64_t n, std::int64_t batch) {
  ebb::Generator generator(3);
  const Tensor x = ebb::randn({batch, n}, ebb::f64, generator);
  const auto row_of = [&](std::int64_t r) {
    return std::span(x.data<double>().data() + r * n, static_cast<std::size_t>(n));
  };
  auto replayed = ebb::replay([](std::span<const Scalar> s) { return F{}(s); });
  [[maybe_unused]] volatile double value = 0;  // to the compiler, somebody reads it
  double gradient = 0;
  const auto alone = [&] {
    for (std::int64_t r = 0; r < batch; ++r) value = f(row_of(r));
  };
  const auto in_lanes = [&] { value = replayed(x).gradients.template data<double>()[0]; };
  const auto one_by_one = [&] {
    std::vector<Scalar> inputs;
    for (std::int64_t r = 0; r < batch; ++r) {
      Graph graph;
      inputs.clear();
      for (const double v : row_of(r)) inputs.push_back(graph.variable(v));
      f(std::span<const Scalar>(inputs)).backward();
      if (r == 0) gradient = inputs[0].grad();
    }
  };
  const int calls = static_cast<int>(std::max<std::int64_t>(1, 100'000 / (n * batch)));
  const auto t = bench::compare({in_lanes, one_by_one, alone}, calls, 15, bench::thread_seconds);
  const bool agree = gradient == replayed(x).gradients.template data<double>()[0] && replayed.why().empty();
  std::printf("%-26s %6lld %12.2f %12.2f %12.2f %14.2f %14.1f%s\n", name, static_cast<long long>(batch),
              t[2].seconds * 1e6, t[0].seconds * 1e6, t[1].seconds * 1e6, t[0].ratio, t[1].ratio,
              agree ? "" : "   ANOTHER GRADIENT");
  return agree;
}

}  // namespace

int main() {
  std::printf("values and gradients of a batch of rows, on %s\n\n%-26s %6s %12s %12s %12s %14s %14s\n",
              bench::machine().c_str(), "", "rows", "function us", "in lanes us", "graphs us", "lanes/function",
              "graphs/function");
  bool agree = true;
  for (const std::int64_t batch : {8, 32, 256}) {
    agree &= row("tanh net, 337 weights", Net{}, 337, batch);
    agree &= row("sin, exp, log of 10", Terms{}, 10, batch);
    agree &= row("sin, exp, log of 100", Terms{}, 100, batch);
    agree &= row("Rosenbrock of 10", Rosenbrock{}, 10, batch);
    agree &= row("Rosenbrock of 100", Rosenbrock{}, 100, batch);
    agree &= row("Rosenbrock of 1,000", Rosenbrock{}, 1000, batch);
  }
  agree &= row("Rosenbrock of 100,000", Rosenbrock{}, 100'000, 8);
  std::printf("\n%s\n", agree ? "Lanes and graphs find the same gradients, bit for bit." : "THE TWO DISAGREE.");
  return agree ? EXIT_SUCCESS : EXIT_FAILURE;
}
