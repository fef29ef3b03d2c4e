// Matrix products.
#pragma once

#include <cstdint>

namespace ebb::kernels {

/// c [m, n] = op(a) · op(b) + beta · c, row-major and contiguous; op transposes if ta, tb.  a is [m, k] ([k, m] if ta),
/// b is [k, n] ([n, k] if tb).  With beta 0, c is only written.
void gemm(bool ta, bool tb, std::int64_t m, std::int64_t n, std::int64_t k, const float* a, const float* b, float beta,
          float* c);
void gemm(bool ta, bool tb, std::int64_t m, std::int64_t n, std::int64_t k, const double* a, const double* b,
          double beta, double* c);

}  // namespace ebb::kernels
