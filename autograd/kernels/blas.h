// Matrix products.
#pragma once

#include <cstdint>
#include <vector>

namespace ebb::kernels {

/// c [m, n] = op(a) · op(b) + beta · c, row-major and contiguous; op transposes if ta, tb.  a is [m, k] ([k, m] if ta),
/// b is [k, n] ([n, k] if tb).  beta is 0, and c is only written, or 1.
void gemm(bool ta, bool tb, std::int64_t m, std::int64_t n, std::int64_t k, const float* a, const float* b, float beta,
          float* c);
void gemm(bool ta, bool tb, std::int64_t m, std::int64_t n, std::int64_t k, const double* a, const double* b,
          double beta, double* c);

/// c [m, n] = a · bᵀ + d.  a is [m, k], b is [n, k]; the rows of d are ldd numbers apart, so that 0 adds one row to all.
void gemm_onto(std::int64_t m, std::int64_t n, std::int64_t k, const float* a, const float* b, const float* d,
               std::int64_t ldd, float* c);
void gemm_onto(std::int64_t m, std::int64_t n, std::int64_t k, const double* a, const double* b, const double* d,
               std::int64_t ldd, double* c);

/// c [m, n] = Σ aₛᵀ·bₛ over all pairs of aₛ [k, m] and bₛ [k, n], as one product; if `adds`, + c.
void gemm_pairs(std::int64_t m, std::int64_t n, std::int64_t k, const std::vector<const float*>& a,
                const std::vector<const float*>& b, float* c, bool adds);
void gemm_pairs(std::int64_t m, std::int64_t n, std::int64_t k, const std::vector<const double*>& a,
                const std::vector<const double*>& b, double* c, bool adds);

}  // namespace ebb::kernels
