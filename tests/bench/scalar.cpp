// What a Scalar op costs, recorded and differentiated, beside a bare tape: a loop that writes two operand ids and two
// partials for each op and sweeps back over them, with nothing else.
#include "timing.h"

#include <ebb/autograd/autograd.h>

#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <memory>

namespace {

using ebb::Graph;
using ebb::Scalar;

struct BareTape {
  struct Entry {
    std::uint32_t a, b;
    double da, db;
  };
  struct Value {
    double v;
    std::uint32_t id;
  };
  explicit BareTape(std::size_t most) : entry(new Entry[most]), adjoint(new double[most]) {}
  std::unique_ptr<Entry[]> entry;
  std::unique_ptr<double[]> adjoint;
  std::uint32_t size = 1;

  Value leaf(double v) {
    entry[size] = {0, 0, 0, 0};
    return {v, size++};
  }
  Value mul(Value a, Value b) {
    entry[size] = {a.id, b.id, b.v, a.v};
    return {a.v * b.v, size++};
  }
  Value add(Value a, Value b) {
    entry[size] = {a.id, b.id, 1, 1};
    return {a.v + b.v, size++};
  }
  void sweep(Value y) {
    std::fill_n(adjoint.get(), size, 0.0);
    adjoint[y.id] = 1;
    for (std::uint32_t id = y.id; id > 0; --id) {
      const double g = adjoint[id];
      if (g == 0) continue;
      adjoint[entry[id].a] += g * entry[id].da;
      adjoint[entry[id].b] += g * entry[id].db;
    }
  }
};

/// A function in which every op has its own operands: x <- x·c + y, y <- y·d + x, four ops a round.
template <class T, class Add, class Mul>
T program(T x, T y, T c, T d, int rounds, Add add, Mul mul) {
  for (int i = 0; i < rounds; ++i) {
    x = add(mul(x, c), y);
    y = add(mul(y, d), x);
  }
  return y;
}

}  // namespace

int main() {
  std::printf("a scalar op (+ or *), recorded and differentiated, on %s\n\n", bench::machine().c_str());
  std::printf("%12s %12s %12s %8s   goal: <= 10 ns, ratio <= 1.3\n", "ops", "Ebb", "bare tape", "ratio");
  bool agree = true;
  for (const int ops : {1000, 10000, 100000, 1000000}) {
    const int rounds = ops / 4;
    BareTape bare(static_cast<std::size_t>(ops) + 8);
    double of_ebb = 0, of_bare = 0;
    const auto with_ebb = [&] {
      Graph graph;
      const Scalar x = graph.variable(0.5), y = graph.variable(0.25), c = graph.variable(0.3), d = graph.variable(0.2);
      program(x, y, c, d, rounds, [](Scalar a, Scalar b) { return a + b; }, [](Scalar a, Scalar b) { return a * b; })
          .backward();
      of_ebb = c.grad();
    };
    const auto with_bare = [&] {
      bare.size = 1;
      const auto x = bare.leaf(0.5), y = bare.leaf(0.25), c = bare.leaf(0.3), d = bare.leaf(0.2);
      bare.sweep(program(x, y, c, d, rounds, [&](auto a, auto b) { return bare.add(a, b); },
                         [&](auto a, auto b) { return bare.mul(a, b); }));
      of_bare = bare.adjoint[c.id];
    };
    const auto t = bench::compare({with_ebb, with_bare}, std::max(1, 2000000 / ops / 4), 21);
    agree = agree && of_ebb == of_bare;
    std::printf("%12d %9.2f ns %9.2f ns %8.2f\n", ops, t[0].seconds / ops * 1e9, t[1].seconds / ops * 1e9, t[0].ratio);
  }
  std::printf("\n%zu bytes an op: two operand ids, two partials, value, adjoint and the op's name\n",
              Graph::bytes_per_scalar_op);
  std::printf("%s\n", agree ? "Both find the same gradients, bit for bit." : "THE TWO DISAGREE.");
  return agree ? EXIT_SUCCESS : EXIT_FAILURE;
}
