#include "wide.h"

#include <cstdlib>
#include <string_view>

namespace ebb::kernels::wide {

extern const ConvLoops<float> baseline_conv_f32, avx2_conv_f32, avx512_conv_f32;
extern const ConvLoops<double> baseline_conv_f64, avx2_conv_f64, avx512_conv_f64;
extern const PoolLoops<float> baseline_pool_f32, avx2_pool_f32, avx512_pool_f32;
extern const PoolLoops<double> baseline_pool_f64, avx2_pool_f64, avx512_pool_f64;

namespace {

#ifdef __x86_64__

/// The widest vectors that this machine has, or as far as the environment's EBB_ISA (baseline, avx2, avx512) allows.
int width() {
  static const int widest = [] {
    const char* const given = std::getenv("EBB_ISA");
    const std::string_view most = given == nullptr ? "avx512" : given;
    if (most == "baseline" || !__builtin_cpu_supports("avx2") || !__builtin_cpu_supports("fma")) return 16;
    if (most == "avx2" || !__builtin_cpu_supports("avx512f") || !__builtin_cpu_supports("avx512bw") ||
        !__builtin_cpu_supports("avx512dq") || !__builtin_cpu_supports("avx512vl"))
      return 32;
    return 64;
  }();
  return widest;
}

#define EBB_BEST(loops) (width() == 64 ? avx512_##loops : width() == 32 ? avx2_##loops : baseline_##loops)

#else

#define EBB_BEST(loops) baseline_##loops

#endif

}  // namespace

template <> const ConvLoops<float>& conv_loops<float>() { return EBB_BEST(conv_f32); }
template <> const ConvLoops<double>& conv_loops<double>() { return EBB_BEST(conv_f64); }
template <> const PoolLoops<float>& pool_loops<float>() { return EBB_BEST(pool_f32); }
template <> const PoolLoops<double>& pool_loops<double>() { return EBB_BEST(pool_f64); }

}  // namespace ebb::kernels::wide
