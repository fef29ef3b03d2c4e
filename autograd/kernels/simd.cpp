#include "simd.h"

#include <algorithm>
#include <cstdlib>
#include <string_view>

namespace ebb::kernels {

namespace {

Isa of_this_machine() {
#ifdef EBB_WIDE
  __builtin_cpu_init();
  if (!__builtin_cpu_supports("avx2") || !__builtin_cpu_supports("fma")) return Isa::baseline;
  const bool wide = __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
                    __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
  return wide ? Isa::avx512 : Isa::avx2;
#else
  return Isa::baseline;
#endif
}

Isa at_start() {
  const Isa best = of_this_machine();
  const char* const given = std::getenv("EBB_ISA");
  const std::string_view asked = given == nullptr ? "" : given;
  if (asked == "baseline") return Isa::baseline;
  return asked == "avx2" ? std::min(best, Isa::avx2) : best;
}

}  // namespace

// Whoever reads it before this line has run gets baseline, and so the same bits.
Isa detail::isa_in_use = at_start();

Isa use_isa(Isa most) { return detail::isa_in_use = std::min(most, of_this_machine()); }

}  // namespace ebb::kernels
