// What a Scalar op costs, recorded and differentiated, beside a bare tape that writes two operand ids and two partials
// for each op and sweeps back over them.
#include "timing.h"

#include <ebb/autograd/autograd.h>

#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <vector>

namespace {

using ebb::Graph;
using ebb::Scalar;

/// Two operand ids and two partials for each op, and nothing else.
struct BareTape {
  struct Entry {
    std::uint32_t a, b;
    double da, db;
  };
  std::vector<Entry> entry;
  std::vector<double> adjoint;
  std::uint32_t size = 1;
} bare;

struct Bare {
  double v;
  std::uint32_t id;
};
Bare written(double v, std::uint32_t a, double da, std::uint32_t b, double db) {
  bare.entry[bare.size] = {a, b, da, db};
  return {v, bare.size++};
}
inline Bare operator*(Bare a, Bare b) { return written(a.v * b.v, a.id, b.v, b.id, a.v); }
inline Bare operator+(Bare a, Bare b) { return written(a.v + b.v, a.id, 1, b.id, 1); }

void sweep(Bare y) {
  std::fill_n(bare.adjoint.begin(), bare.size, 0.0);
  bare.adjoint[y.id] = 1;
  for (std::uint32_t id = y.id; id > 0; --id) {
    const double g = bare.adjoint[id];
    if (g == 0) continue;
    const BareTape::Entry& e = bare.entry[id];
    bare.adjoint[e.a] += g * e.da;
    bare.adjoint[e.b] += g * e.db;
  }
}

/// x <- x·c + y, y <- y·d + x: four ops a round.
template <class T> [[gnu::noinline]] T program(T x, T y, T c, T d, int rounds) {
  for (int i = 0; i < rounds; ++i) {
    x = x * c + y;
    y = y * d + x;
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
    bare.entry.resize(static_cast<std::size_t>(ops) + 8);
    bare.adjoint.resize(bare.entry.size());
    double of_ebb = 0, of_bare = 0;
    const auto with_ebb = [&] {
      Graph graph;
      const Scalar x = graph.variable(0.5), y = graph.variable(0.25), c = graph.variable(0.3), d = graph.variable(0.2);
      program(x, y, c, d, rounds).backward();
      of_ebb = c.grad();
    };
    const auto with_bare = [&] {
      bare.size = 1;
      const Bare x = written(0.5, 0, 0, 0, 0), y = written(0.25, 0, 0, 0, 0), c = written(0.3, 0, 0, 0, 0),
                 d = written(0.2, 0, 0, 0, 0);
      sweep(program(x, y, c, d, rounds));
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
