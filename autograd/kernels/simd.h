// One loop, compiled for several instruction sets; which of them runs is settled when the program starts.
#pragma once

#if defined(__x86_64__) && defined(__GNUC__)
#define EBB_WIDE
#endif

// Sanitizers see the same in each compilation of a loop, and with all that it calls inlined one file takes minutes.
#if defined(__SANITIZE_ADDRESS__)
#define EBB_ONE_LOOP
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define EBB_ONE_LOOP
#endif
#endif

namespace ebb::kernels {

/// What a loop can be compiled for: what every machine has, 256-bit and 512-bit vectors.  A loop gives the same bits on all.
enum class Isa { baseline, avx2, avx512 };

/// The best that this machine has, or as far as the environment's EBB_ISA (baseline, avx2 or avx512) allows.
Isa isa();
/// For tests and measurements: what loops run on from now on, at most what this machine has; returns that.
Isa use_isa(Isa most);

namespace detail {

extern Isa isa_in_use;

// In each of these, all that the loop calls is inlined, and thus compiled for the same instruction set.  AVX-512 comes with
// fused products and sums, which GCC would use unless told not to.  Nothing is inlined into clones that it makes of them.
#ifdef __clang__
#define EBB_LOOP gnu::flatten, gnu::noinline
#define EBB_LOOP_FOR(features) EBB_LOOP, gnu::target(features)
#else
#define EBB_LOOP gnu::flatten, gnu::noinline, gnu::noclone, gnu::optimize("fp-contract=off")
#define EBB_LOOP_FOR(features) EBB_LOOP, gnu::target(features ",prefer-vector-width=512")
#endif
template <class Loop, class... A> [[EBB_LOOP]] auto on_baseline(Loop loop, A... a) { return loop(a...); }
#ifdef EBB_WIDE
template <class Loop, class... A> [[EBB_LOOP_FOR("avx2")]] auto on_avx2(Loop loop, A... a) { return loop(a...); }
template <class Loop, class... A>
[[EBB_LOOP_FOR("avx512f,avx512bw,avx512dq,avx512vl")]] auto on_avx512(Loop loop, A... a) {
  return loop(a...);
}
#endif
#undef EBB_LOOP
#undef EBB_LOOP_FOR

}  // namespace detail

inline Isa isa() { return detail::isa_in_use; }

/// loop(a...), compiled for every instruction set, on the one in use.  Vectors come of loops without calls that cannot be
/// inlined, that choose between numbers with math::select.
template <class Loop, class... A> auto on_vectors(Loop loop, A... a) {
#ifdef EBB_ONE_LOOP
  return loop(a...);
#else
#ifdef EBB_WIDE
  if (isa() == Isa::avx512) return detail::on_avx512(loop, a...);
  if (isa() == Isa::avx2) return detail::on_avx2(loop, a...);
#endif
  return detail::on_baseline(loop, a...);
#endif
}

}  // namespace ebb::kernels
