// The floor: the step of the 10-64-32-1 net written out by hand for the processor that this is compiled on, without a
// graph, shapes, checks or choices; and the probes of machine.h.  See served.h.
//
// Two floors: with products over OpenBLAS; and with products of its own, whose rows go in blocks that stay in the
// first cache, forward and backward at once.  Weights lie [in, out], so that a vector holds 16 outputs; the second
// layer's lie transposed as well, for the gradient of its input.
//
// Legend: n rows of the batch; x, h1, h2, z the layers; d1, d2, dz their gradients; w, b, dw, db weights and biases.
#include "machine.h"
#include "served.h"
#include "workloads.h"

#include <cblas.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <memory>
#include <stdexcept>
#include <utility>

namespace {

using Lanes = float __attribute__((vector_size(64), aligned(4), may_alias));
using Bits = std::int32_t __attribute__((vector_size(64), may_alias));
constexpr int lanes = 16;

Lanes load(const float* p) { return *reinterpret_cast<const Lanes*>(p); }
void store(float* p, Lanes v) { *reinterpret_cast<Lanes*>(p) = v; }
Lanes all(float v) { return v - Lanes{}; }
Lanes positive(Lanes v) { return v > 0 ? v : Lanes{}; }

/// M rows of V vectors, each begun at `start(m, v)`:  c[m, :] = start + Σ_k a[m, k] · b[k, :];  put(m, v, c) takes them.
template <int M, int V> [[gnu::always_inline]] inline void tile(int count, const float* a, int a_row, int a_k,
                                                                const float* b, int b_k, auto start, auto put) {
  Lanes c[M][V];
  for (int m = 0; m < M; ++m)
    for (int v = 0; v < V; ++v) c[m][v] = start(m, v);
  for (int k = 0; k < count; ++k) {
    Lanes row[V];
    for (int v = 0; v < V; ++v) row[v] = load(b + k * b_k + v * lanes);
    for (int m = 0; m < M; ++m)
      for (int v = 0; v < V; ++v) c[m][v] += a[m * a_row + k * a_k] * row[v];
  }
  for (int m = 0; m < M; ++m)
    for (int v = 0; v < V; ++v) put(m, v, c[m][v]);
}

/// Of two vectors one: lanes whose bit `w` is 0 are a's with their neighbour `w` away added, the others b's.
template <int w, int... lane> Lanes folded(Lanes a, Lanes b, std::integer_sequence<int, lane...>) {
  return __builtin_shufflevector(a, b, (lane & w ? lane + lanes : lane)...) +
         __builtin_shufflevector(a, b, ((lane & w ? lane + lanes : lane) ^ w)...);
}
template <int w> Lanes folded(Lanes a, Lanes b) { return folded<w>(a, b, std::make_integer_sequence<int, lanes>()); }
/// The sums of 16 vectors' lanes.
Lanes sums(const Lanes (&v)[lanes]) {
  Lanes f[lanes];
  for (int i = 0; i < 8; ++i) f[i] = folded<1>(v[2 * i], v[2 * i + 1]);
  for (int i = 0; i < 4; ++i) f[i] = folded<2>(f[2 * i], f[2 * i + 1]);
  for (int i = 0; i < 2; ++i) f[i] = folded<4>(f[2 * i], f[2 * i + 1]);
  return folded<8>(f[0], f[1]);
}

/// eᵛ for v <= 0, to 3 ULP: 2ⁱ times a Taylor polynomial of what is left.
Lanes exponential(Lanes v) {
  v = v < -87.0f ? all(-87.0f) : v;
  const Lanes magic = all(0x1.8p23f), shifted = v * 1.44269504f + magic, i = shifted - magic;
  const Lanes r = (v - i * 0.693359375f) + i * 2.12194440e-4f;
  Lanes p = all(1.0f / 5040);
  for (const float c : {1.0f / 720, 1.0f / 120, 1.0f / 24, 1.0f / 6, 0.5f, 1.0f, 1.0f}) p = p * r + c;
  const Bits power = (std::bit_cast<Bits>(shifted) + 127) << 23;
  return p * std::bit_cast<Lanes>(power);
}

class Mlp {
 public:
  Mlp(const bench::Workload& w, bool over_blas)
      : over_blas_(over_blas), n_(static_cast<int>(w.n)), x_(w.x()), y_(w.y()) {
    const int rows = over_blas ? n_ : rows_;
    for (std::vector<float>* const wide : {&h1_, &d1_}) wide->resize(static_cast<std::size_t>(rows * 64));
    for (std::vector<float>* const narrow : {&h2_, &d2_}) narrow->resize(static_cast<std::size_t>(rows * 32));
    const std::vector<float> w1 = w.start(0), b1 = w.start(1), w2 = w.start(2), b2 = w.start(3), w3 = w.start(4);
    for (int o = 0; o < 64; ++o)
      for (int i = 0; i < 10; ++i) p_.w1[i * 64 + o] = w1[static_cast<std::size_t>(o * 10 + i)];
    for (int o = 0; o < 32; ++o)
      for (int i = 0; i < 64; ++i) p_.w2[i * 32 + o] = w2[static_cast<std::size_t>(o * 64 + i)];
    std::ranges::copy(b1, p_.b1);
    std::ranges::copy(b2, p_.b2);
    std::ranges::copy(w3, p_.w3);
    p_.b3[0] = w.start(5)[0];
  }

  void step() {
    g_ = {};
    loss_ = 0;
    if (over_blas_) return all_over_blas();
    if (n_ >= lanes) transpose();
    for (int row = 0; row < n_; row += rows_) {
      if (n_ - row >= rows_) block<8, 4>(row, rows_);
      else
        for (int r = row; r < n_; ++r) block<1, 1>(r, 1);
    }
    adam();
  }
  double loss() const { return loss_ / n_; }

 private:
  /// What is learnt, or its gradients: one after the other, so that Adam is one loop.  b3 fills a vector.
  struct alignas(64) Parameters {
    float w1[640], b1[64], w2[2048], b2[32], w3[32], b3[lanes];
  };
  static constexpr int numbers = sizeof(Parameters) / sizeof(float);

  void all_over_blas() {
    const auto product = [](CBLAS_TRANSPOSE ta, CBLAS_TRANSPOSE tb, int m, int n, int k, const float* a, int a_row,
                            const float* b, int b_row,
                            float* c) { cblas_sgemm(CblasRowMajor, ta, tb, m, n, k, 1, a, a_row, b, b_row, 0, c, n); };
    const auto activate = [&](float* h, const float* b, int width) {
      for (int r = 0; r < n_; ++r)
        for (int v = 0; v < width; v += lanes)
          store(h + r * width + v, positive(load(h + r * width + v) + load(b + v)));
    };
    float *const h1 = h1_.data(), *const h2 = h2_.data(), *const d1 = d1_.data(), *const d2 = d2_.data();
    product(CblasNoTrans, CblasNoTrans, n_, 64, 10, x_.data(), 10, p_.w1, 64, h1);
    activate(h1, p_.b1, 64);
    product(CblasNoTrans, CblasNoTrans, n_, 32, 64, h1, 64, p_.w2, 32, h2);
    activate(h2, p_.b2, 32);
    for (int r = 0; r < n_; r += lanes) out(r, r, std::min(lanes, n_ - r));
    product(CblasTrans, CblasNoTrans, 64, 32, n_, h1, 64, d2, 32, g_.w2);
    product(CblasNoTrans, CblasTrans, n_, 64, 32, d2, 32, p_.w2, 32, d1);
    for (int v = 0; v < 64; v += lanes) {
      Lanes sum = {};
      for (int at = v; at < n_ * 64; at += 64) {
        const Lanes d = load(h1 + at) > 0 ? load(d1 + at) : Lanes{};
        store(d1 + at, d);
        sum += d;
      }
      store(g_.b1 + v, sum);
    }
    product(CblasTrans, CblasNoTrans, 10, 64, n_, x_.data(), 10, d1, 64, g_.w1);
    adam();
  }

  /// Rows in [row, row + rows), M2 rows at a time in the second layer and M1 where a row is twice as long.
  template <int M2, int M1> void block(int row, int rows) {
    const float* const x = &x_[static_cast<std::size_t>(row * 10)];
    float *const h1 = h1_.data(), *const h2 = h2_.data(), *const d1 = d1_.data();
    const float* const d2 = d2_.data();
    for (int r = 0; r < rows; r += M1)
      tile<M1, 4>(
          10, x + r * 10, 10, 1, p_.w1, 64, [&](int, int v) { return load(p_.b1 + v * lanes); },
          [&](int m, int v, Lanes c) { store(h1 + (r + m) * 64 + v * lanes, positive(c)); });
    for (int r = 0; r < rows; r += M2)
      tile<M2, 2>(
          64, h1 + r * 64, 64, 1, p_.w2, 32, [&](int, int v) { return load(p_.b2 + v * lanes); },
          [&](int m, int v, Lanes c) { store(h2 + (r + m) * 32 + v * lanes, positive(c)); });
    for (int r = 0; r < rows; r += lanes) out(row + r, r, std::min(lanes, rows - r));

    for (int i = 0; i < 64; i += 8)
      tile<8, 2>(
          rows, h1 + i, 1, 64, d2, 32, [&](int m, int v) { return load(g_.w2 + (i + m) * 32 + v * lanes); },
          [&](int m, int v, Lanes c) { store(g_.w2 + (i + m) * 32 + v * lanes, c); });
    if constexpr (M1 == 1) input_gradient_of_one_row();
    else
      for (int r = 0; r < rows; r += M1)
        tile<M1, 4>(
            32, d2 + r * 32, 32, 1, w2_transposed_, 64, [](int, int) { return Lanes{}; },
            [&](int m, int v, Lanes c) {
              const int at = (r + m) * 64 + v * lanes;
              store(d1 + at, load(h1 + at) > 0 ? c : Lanes{});
            });
    for (int v = 0; v < 64; v += lanes) {
      Lanes sum = load(g_.b1 + v);
      for (int r = 0; r < rows; ++r) sum += load(d1 + r * 64 + v);
      store(g_.b1 + v, sum);
    }
    for (int i = 0; i < 10; i += 5)
      tile<5, 4>(
          rows, x + i, 1, 10, d1, 64, [&](int m, int v) { return load(g_.w1 + (i + m) * 64 + v * lanes); },
          [&](int m, int v, Lanes c) { store(g_.w1 + (i + m) * 64 + v * lanes, c); });
  }

  /// The last layer, the loss, and the gradients of both and of the layer before, of up to 16 rows; `r` in the block.
  void out(int row, int r, int rows) {
    const Lanes w_low = load(p_.w3), w_high = load(p_.w3 + lanes);
    Lanes products[lanes] = {};
    for (int i = 0; i < rows; ++i) {
      const float* const h = h2_.data() + (r + i) * 32;
      products[i] = load(h) * w_low + load(h + lanes) * w_high;
    }
    float y[lanes] = {}, dz[lanes];
    std::copy_n(&y_[static_cast<std::size_t>(row)], rows, y);
    const Lanes z = sums(products) + p_.b3[0], e = exponential(z > 0 ? -z : z), one = all(1.0f);
    store(dz, ((z < 0 ? e : one) / (one + e) - load(y)) / static_cast<float>(n_));
    const Lanes linear = positive(z) - z * load(y);
    float product = 1;  // of up to 16 numbers in [1, 2], of which one logarithm is enough
    for (int i = 0; i < rows; ++i) {
      product *= 1 + e[i];
      loss_ += linear[i];
    }
    loss_ += std::log(product);

    Lanes w3_low = load(g_.w3), w3_high = load(g_.w3 + lanes), b2_low = load(g_.b2), b2_high = load(g_.b2 + lanes);
    for (int i = 0; i < rows; ++i) {
      float *const h = h2_.data() + (r + i) * 32, *const d = d2_.data() + (r + i) * 32;
      const Lanes low = load(h), high = load(h + lanes);
      const Lanes d_low = low > 0 ? dz[i] * w_low : Lanes{}, d_high = high > 0 ? dz[i] * w_high : Lanes{};
      w3_low += dz[i] * low;
      w3_high += dz[i] * high;
      b2_low += d_low;
      b2_high += d_high;
      store(d, d_low);
      store(d + lanes, d_high);
      g_.b3[0] += dz[i];
    }
    store(g_.w3, w3_low);
    store(g_.w3 + lanes, w3_high);
    store(g_.b2, b2_low);
    store(g_.b2 + lanes, b2_high);
  }

  /// Without the transposed weights, which cost more to keep than one row saves.
  void input_gradient_of_one_row() {
    const Lanes low = load(d2_.data()), high = load(d2_.data() + lanes);
    for (int i = 0; i < 64; i += lanes) {
      Lanes products[lanes];
      for (int k = 0; k < lanes; ++k) {
        const float* const w = p_.w2 + (i + k) * 32;
        products[k] = load(w) * low + load(w + lanes) * high;
      }
      store(d1_.data() + i, load(h1_.data() + i) > 0 ? sums(products) : Lanes{});
    }
  }

  void transpose() {
    for (int o = 0; o < 32; ++o)
      for (int i = 0; i < 64; ++i) w2_transposed_[o * 64 + i] = p_.w2[i * 32 + o];
  }

  void adam() {
    first_power_ *= 0.9;
    second_power_ *= 0.999;
    const float rate = static_cast<float>(1e-3 / (1 - first_power_));
    const float root = static_cast<float>(1 / std::sqrt(1 - second_power_));
    float *const p = p_.w1, *const m = m_.w1, *const v = v_.w1;
    const float* const g = g_.w1;
    for (int k = 0; k < numbers; ++k) {
      m[k] = 0.9f * m[k] + 0.1f * g[k];
      v[k] = 0.999f * v[k] + 0.001f * g[k] * g[k];
      p[k] -= rate * m[k] / (std::sqrt(v[k]) * root + 1e-8f);
    }
  }

  static constexpr int rows_ = 32;
  bool over_blas_;
  int n_;
  std::vector<float> x_, y_, h1_, h2_, d1_, d2_;
  double loss_ = 0, first_power_ = 1, second_power_ = 1;
  Parameters p_{}, g_{}, m_{}, v_{};
  alignas(64) float w2_transposed_[2048];
};

/// fma1, fma2, copy1, copy2: the number is that of threads.  The "loss" is how many operations or bytes one step is.
bench::Served probe(const std::string& name) {
  const int threads = name.back() - '0';
  if (name.starts_with("fma")) {
    const auto fma = std::make_shared<bench::MultiplyAdd>();
    return {.step = [=] { fma->run(threads); }, .loss = [=] { return bench::MultiplyAdd::operations(threads); }};
  }
  if (name.starts_with("copy")) {
    const auto copier = std::make_shared<bench::Copier>();
    return {.step = [=] { copier->run(threads); }, .loss = [] { return bench::Copier::bytes; }};
  }
  throw std::invalid_argument("no probe named " + name);
}

}  // namespace

int main(int argc, char** argv) {
  if (argc == 2 && std::string(argv[1]) == "list") {
    for (const bench::Workload& w : bench::workloads())
      std::printf("%s %.0f %d\n", w.name.c_str(), w.flops(), static_cast<int>(w.net == bench::Net::chain ? w.t : 1));
    return 0;
  }
  return bench::serve([&]() -> bench::Served {
    if (argc < 2)
      throw std::invalid_argument("usage: bench_steps_by_hand <mlp workload> [blas]|fma1|fma2|copy1|copy2|list");
    const std::string name = argv[1];
    if (!name.starts_with("mlp")) return probe(name);
    const auto mlp = std::make_shared<Mlp>(bench::workload(name), argc == 3);
    return {.step = [=] { mlp->step(); }, .loss = [=] { return mlp->loss(); }};
  });
}
