#include "wide.h"

#include "simd.h"

namespace ebb::kernels::wide {

extern const ConvLoops<float> baseline_conv_f32, avx2_conv_f32, avx512_conv_f32;
extern const ConvLoops<double> baseline_conv_f64, avx2_conv_f64, avx512_conv_f64;
extern const PoolLoops<float> baseline_pool_f32, avx2_pool_f32, avx512_pool_f32;
extern const PoolLoops<double> baseline_pool_f64, avx2_pool_f64, avx512_pool_f64;

namespace {

#ifdef EBB_WIDE
#define EBB_BEST(loops) (isa() == Isa::avx512 ? avx512_##loops : isa() == Isa::avx2 ? avx2_##loops : baseline_##loops)
#else
#define EBB_BEST(loops) baseline_##loops
#endif

}  // namespace

template <> const ConvLoops<float>& conv_loops<float>() { return EBB_BEST(conv_f32); }
template <> const ConvLoops<double>& conv_loops<double>() { return EBB_BEST(conv_f64); }
template <> const PoolLoops<float>& pool_loops<float>() { return EBB_BEST(pool_f32); }
template <> const PoolLoops<double>& pool_loops<double>() { return EBB_BEST(pool_f64); }

}  // namespace ebb::kernels::wide
