// Gradients as ADOL-C and Sacado find them, each recorded anew, as the others' are.
#include "scalar_problems.h"

#ifdef EBB_BENCH_ADOLC
#include <adolc/adolc.h>
#endif
#ifdef EBB_BENCH_SACADO
#include <Sacado_trad.hpp>
#endif

namespace bench {

#ifdef EBB_BENCH_ADOLC
namespace {

double with_adolc(const Problem& f, std::vector<double>& gradient) {
  constexpr short tape = 1;
  constexpr int keep_for_reverse = 1, in_memory = 1 << 23;  // entries: nothing is written to files
  trace_on(tape, keep_for_reverse, in_memory, in_memory, in_memory, in_memory);
  std::vector<adouble> x(f.at.size());
  for (std::size_t i = 0; i < x.size(); ++i) x[i] <<= f.at[i];
  adouble y = f(x);
  double value = 0;
  y >>= value;
  trace_off();
  double one = 1;
  fos_reverse(tape, 1, static_cast<int>(x.size()), &one, gradient.data());
  return value;
}

}  // namespace
#endif

#ifdef EBB_BENCH_SACADO
namespace {

double with_sacado(const Problem& f, std::vector<double>& gradient) {
  using Number = Sacado::Rad::ADvar<double>;
  const std::vector<Number> x(f.at.begin(), f.at.end());
  const Number y = f(x);
  Sacado::Rad::ADcontext<double>::Gradcomp();
  for (std::size_t i = 0; i < x.size(); ++i) gradient[i] = x[i].adj();
  return y.val();
}

}  // namespace
#endif

std::vector<Way> peers() {
  std::vector<Way> found;
#ifdef EBB_BENCH_ADOLC
  found.push_back({"ADOL-C", with_adolc});
#endif
#ifdef EBB_BENCH_SACADO
  found.push_back({"Sacado", with_sacado});
#endif
  return found;
}

}  // namespace bench
