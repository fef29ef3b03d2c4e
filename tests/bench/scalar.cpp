// What gradients of functions of many scalars cost: with Ebb's Scalars, every operation a node, and replayed over rows;
// with a bare tape; with other libraries where they are found; and what the functions alone cost.
#include "bare_tape.h"
#include "scalar_problems.h"
#include "timing.h"
#include "usage.h"

#include <ebb/autograd/autograd.h>

#include <cstdlib>

#ifdef __GLIBC__
#include <malloc.h>
#endif

namespace {

using bench::Bare;
using bench::Problem;
using ebb::Graph;
using ebb::Scalar;

double with_ebb(const Problem& f, std::vector<double>& gradient) {
  Graph graph;
  std::vector<Scalar> x;
  x.reserve(f.at.size());
  for (const double value : f.at) x.push_back(graph.variable(value));
  const Scalar y = f(x);
  y.backward();
  for (std::size_t i = 0; i < x.size(); ++i) gradient[i] = x[i].grad();
  return y.value();
}

double with_bare_tape(const Problem& f, std::vector<double>& gradient) {
  bench::bare.size = 1;
  std::vector<Bare> x;
  x.reserve(f.at.size());
  for (const double value : f.at) x.push_back(Bare::variable(value));
  const Bare y = f(x);
  bench::bare.sweep(y.id);
  for (std::size_t i = 0; i < x.size(); ++i) gradient[i] = bench::bare.adjoint[x[i].id];
  return y.v;
}

bool agree(const std::vector<double>& a, const std::vector<double>& b) {
  for (std::size_t i = 0; i < a.size(); ++i)
    if (!(std::abs(a[i] - b[i]) <= 1e-11 * (1 + std::abs(b[i])))) return false;
  return true;
}

/// Gradients of the three functions, every way beside the others.
bool gradients(bool quick) {
#ifdef __GLIBC__
  // ADOL-C asks for its buffers anew each time: let the C library keep them.
  mallopt(M_MMAP_THRESHOLD, 1 << 30);
  mallopt(M_TRIM_THRESHOLD, 1 << 30);
#endif
  std::vector<bench::Way> ways = bench::peers();
  const std::size_t peers = ways.size();
  ways.push_back({"Ebb", with_ebb});
  ways.push_back({"bare tape", with_bare_tape});
  bool all_agree = true;
  for (const Problem& f : bench::problems()) {
    std::vector<std::vector<double>> gradient(ways.size(), std::vector<double>(f.at.size()));
    bench::bare.reserve(static_cast<std::size_t>(f.operations) + f.at.size() + 1);
    volatile double value = 0;  // somebody reads it
    std::vector<std::function<void()>> runs;
    runs.emplace_back([&] { value = f(f.at); });
    for (std::size_t k = 0; k < ways.size(); ++k)
      runs.emplace_back([&, k] { value = ways[k].gradient(f, gradient[k]); });
    const auto t = bench::compare(runs, f.at.size() < 1000 ? 20 : 2, quick ? 7 : 21, bench::thread_seconds);

    std::printf("%s: %.0f operations\n", f.name.c_str(), f.operations);
    std::printf("  %-18s %9s %9s %14s %13s %12s\n", "", "ms", "ns an op", "/ bare tape", "/ function", "page faults");
    const double alone = t[0].seconds, ebb = t[peers + 1].seconds;
    std::printf("  %-18s %9.3f %9.2f\n", "function alone", alone * 1e3, alone / f.operations * 1e9);
    for (std::size_t k = 0; k < ways.size(); ++k) {
      const auto& [seconds, to_bare] = t[k + 1];
      const std::int64_t before = bench::usage().faults;
      runs[k + 1]();
      std::printf("  %-18s %9.3f %9.2f %14.2f %13.1f %12lld", ways[k].name.c_str(), seconds * 1e3,
                  seconds / f.operations * 1e9, to_bare, seconds / alone,
                  static_cast<long long>(bench::usage().faults - before));
      if (k < peers)
        std::printf("   Ebb is %.1f times faster (>= 3: %s)", seconds / ebb, seconds >= 3 * ebb ? "yes" : "NO");
      if (k == peers)
        std::printf("   <= 1.2 bare: %s, <= %.2f ms: %s", to_bare <= 1.2 ? "yes" : "NO", f.goal,
                    seconds * 1e3 <= f.goal ? "yes" : "NO");
      std::printf("\n");
      if (!agree(gradient[k], gradient.back())) {
        std::printf("  %s FINDS ANOTHER GRADIENT\n", ways[k].name.c_str());
        all_agree = false;
      }
    }
    std::printf("\n");
  }
  return all_agree;
}

/// x <- x·c + y, y <- y·d + x: four ops a round.
template <class T> [[gnu::noinline]] T chain(T x, T y, T c, T d, int rounds) {
  for (int i = 0; i < rounds; ++i) {
    x = x * c + y;
    y = y * d + x;
  }
  return y;
}

/// From lists that caches hold to those that they do not: time must grow as the list does.
bool growth(bool quick) {
  std::printf("a chain of + and *, each operation:\n  %12s %12s %12s %8s %20s\n", "operations", "Ebb", "bare tape",
              "ratio", "page faults of Ebb");
  bool all_agree = true;
  for (const int ops : {1000, 10'000, 100'000, 1'000'000, 10'000'000}) {
    const int rounds = ops / 4;
    bench::bare.reserve(static_cast<std::size_t>(ops) + 8);
    double of_ebb = 0, of_bare = 0;
    const auto ebb_run = [&] {
      Graph graph;
      const Scalar x = graph.variable(0.5), y = graph.variable(0.25), c = graph.variable(0.3), d = graph.variable(0.2);
      chain(x, y, c, d, rounds).backward();
      of_ebb = c.grad();
    };
    const auto bare_run = [&] {
      bench::bare.size = 1;
      const Bare x = Bare::variable(0.5), y = Bare::variable(0.25), c = Bare::variable(0.3), d = Bare::variable(0.2);
      bench::bare.sweep(chain(x, y, c, d, rounds).id);
      of_bare = bench::bare.adjoint[c.id];
    };
    const int turns = ops >= 10'000'000 ? 3 : quick ? 7 : 21;
    const auto t = bench::compare({ebb_run, bare_run}, std::max(1, 500'000 / ops), turns, bench::thread_seconds);
    all_agree = all_agree && of_ebb == of_bare;
    const std::int64_t before = bench::usage().faults;
    ebb_run();
    std::printf("  %12d %9.2f ns %9.2f ns %8.2f %20lld\n", ops, t[0].seconds / ops * 1e9, t[1].seconds / ops * 1e9,
                t[0].ratio, static_cast<long long>(bench::usage().faults - before));
  }
  std::printf(
      "\n%zu bytes an op with all that it keeps: operands, partials or what they are found from, value, adjoint "
      "and name (<= 42: %s)\n",
      Graph::bytes_per_scalar_op, Graph::bytes_per_scalar_op <= 42 ? "yes" : "NO");
  return all_agree;
}

/// A function over a batch of rows, recorded once and run on many rows at a time, beside the plain function on each row.
template <class Plain, class Recorded> bool rows(const char* name, std::int64_t n, Plain plain, Recorded recorded) {
  auto gradients = ebb::replay(recorded);
  bool agree = true;
  for (const std::int64_t batch : {8, 64, 512}) {
    ebb::seed(1);
    const ebb::Tensor x = ebb::rand({batch, n}, ebb::f64) * 1.6 - 0.8;
    const double* const numbers = x.data<double>().data();
    ebb::RowGradients found;
    std::vector<double> values(static_cast<std::size_t>(batch));
    const auto ebb_run = [&] { found = gradients(x); };
    const auto plain_run = [&] {
      for (std::int64_t row = 0; row < batch; ++row)
        values[static_cast<std::size_t>(row)] = plain(std::span(numbers + row * n, static_cast<std::size_t>(n)));
    };
    const int calls = static_cast<int>(std::max(std::int64_t{1}, (name[0] == 't' ? 512 : 100'000) / batch / 8));
    const auto t = bench::compare({ebb_run, plain_run}, calls, 15, bench::thread_seconds);
    const double rows_taken = static_cast<double>(batch);
    std::printf("  %-42s %6lld %12.3f %12.3f %8.2f   <= 2.5: %s\n", name, static_cast<long long>(batch),
                t[1].seconds / rows_taken * 1e6, t[0].seconds / rows_taken * 1e6, t[0].ratio,
                t[0].ratio <= 2.5 ? "yes" : "NO");
    if (!gradients.why().empty()) std::printf("  NOT REPLAYED: %s\n", gradients.why().c_str());
    agree = agree && gradients.why().empty();
    for (std::size_t row = 0; row < values.size(); ++row)
      agree = agree && std::abs(found.values.data<double>()[row] - values[row]) <= 1e-12 * (1 + std::abs(values[row]));
  }
  return agree;
}

bool over_rows() {
  std::printf("replayed over rows, for each row:\n  %-42s %6s %12s %12s %8s\n", "", "rows", "function us",
              "gradient us", "ratio");
  const auto of = [](const char* name, std::int64_t n, auto f) { return rows(name, n, f, f); };
  bool agree =
      of("Rosenbrock, 100 variables", 100, []<class T>(std::span<const T> x) { return bench::rosenbrock<T>(x); });
  agree &=
      of("tanh net (337 weights), 100 samples", 337, []<class T>(std::span<const T> x) { return bench::net<T>(x); });
  agree &= of("100 terms of sin, exp and tanh", 100, []<class T>(std::span<const T> x) { return bench::terms<T>(x); });
  std::printf("\n");
  return agree;
}

}  // namespace

int main(int argc, char** argv) {
  const bool quick = argc > 1 && std::string(argv[1]) == "--quick";
  std::printf("gradients of functions of scalars, on %s\n\n", bench::machine().c_str());
  const bool chains_agree = growth(quick), rows_agree = over_rows(), gradients_agree = gradients(quick);
  const bool agree = gradients_agree && rows_agree && chains_agree;
  std::printf("%s\n", agree ? "All find the same gradients; Ebb and the bare tape, bit for bit in the chain."
                            : "NOT ALL FIND THE SAME GRADIENTS.");
  return agree ? EXIT_SUCCESS : EXIT_FAILURE;
}
