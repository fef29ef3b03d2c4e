// One training step of the guide's model, 10-64-32-1 with ReLU, Sigmoid, binary cross-entropy and Adam, beside the same
// step observed, and the same arithmetic written by hand over the same BLAS: the floor.
#include "timing.h"

#include <ebb/optim/optim.h>

#include <cblas.h>

#include <cmath>
#include <cstdlib>

namespace {

using namespace ebb;

/// The floor: no graph, no shapes, no checks, every buffer in its place.
class ByHand {
 public:
  ByHand(nn::Sequential& model, int batch) : n_(batch) {
    for (auto& [name, parameter] : nn::parameters(model)) {
      value_.push_back(parameter.value().to_vector<float>());
      gradient_.emplace_back(value_.back().size());
      first_.emplace_back(value_.back().size());
      second_.emplace_back(value_.back().size());
    }
    for (int l = 0; l < 3; ++l) {
      out_[l].resize(static_cast<std::size_t>(n_ * sizes_[l + 1]));
      delta_[l].resize(out_[l].size());
    }
  }

  float step(const float* x, const float* y) {
    const float* in = x;
    for (int l = 0; l < 3; ++l) {
      forward(l, in);
      in = out_[l].data();
    }
    double loss = 0;
    const float scale = 1.0f / static_cast<float>(n_);
    for (int i = 0; i < n_; ++i) {
      const float z = out_[2][at(i)], e = std::exp(-std::abs(z));
      loss += std::max(z, 0.0f) - z * y[i] + std::log1p(e);
      delta_[2][at(i)] = scale * ((z < 0 ? e : 1.0f) / (1.0f + e) - y[i]);
    }
    for (int l = 2; l >= 0; --l) backward(l, l == 0 ? x : out_[l - 1].data());
    adam();
    return static_cast<float>(loss / n_);
  }

 private:
  static std::size_t at(int i) { return static_cast<std::size_t>(i); }

  void forward(int l, const float* in) {
    const int i = sizes_[l], o = sizes_[l + 1];
    float* const z = out_[l].data();
    const float* const bias = value_[at(2 * l + 1)].data();
    for (int r = 0; r < n_; ++r) std::copy_n(bias, o, z + r * o);
    cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasTrans, n_, o, i, 1, in, i, value_[at(2 * l)].data(), i, 1, z, o);
    if (l < 2)
      for (int k = 0; k < n_ * o; ++k) z[k] = z[k] > 0 ? z[k] : 0.0f;
  }

  void backward(int l, const float* in) {
    const int i = sizes_[l], o = sizes_[l + 1];
    float* const dz = delta_[l].data();
    cblas_sgemm(CblasRowMajor, CblasTrans, CblasNoTrans, o, i, n_, 1, dz, o, in, i, 0, gradient_[at(2 * l)].data(), i);
    float* const db = gradient_[at(2 * l + 1)].data();
    std::fill_n(db, o, 0.0f);
    for (int r = 0; r < n_; ++r)
      for (int k = 0; k < o; ++k) db[k] += dz[r * o + k];
    if (l == 0) return;
    float* const dx = delta_[l - 1].data();
    cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, n_, i, o, 1, dz, o, value_[at(2 * l)].data(), i, 0, dx, i);
    for (int k = 0; k < n_ * i; ++k) dx[k] = out_[l - 1][at(k)] > 0 ? dx[k] : 0.0f;
  }

  void adam() {
    ++steps_;
    const float c1 = static_cast<float>(1 - std::pow(0.9, steps_)),
                c2 = static_cast<float>(1 - std::pow(0.999, steps_));
    const float rate = 1e-3f / c1, root = 1.0f / std::sqrt(c2);
    for (std::size_t p = 0; p < value_.size(); ++p) {
      float *w = value_[p].data(), *m = first_[p].data(), *v = second_[p].data();
      const float* const g = gradient_[p].data();
      const std::size_t count = value_[p].size();
      for (std::size_t k = 0; k < count; ++k) {
        m[k] = 0.9f * m[k] + 0.1f * g[k];
        v[k] = 0.999f * v[k] + 0.001f * g[k] * g[k];
        w[k] -= rate * m[k] / (std::sqrt(v[k]) * root + 1e-8f);
      }
    }
  }

  static constexpr int sizes_[4] = {10, 64, 32, 1};
  int n_, steps_ = 0;
  std::vector<std::vector<float>> value_, gradient_, first_, second_;
  std::vector<float> out_[3], delta_[3];
};

}  // namespace

int main() {
  std::printf("one training step of 10-64-32-1 (f32, Adam), on %s\n\n", bench::machine().c_str());
  std::printf("%8s %12s %12s %8s %7s %14s %7s %7s\n", "batch", "Ebb", "by hand", "ratio", "goal", "observed", "ratio",
              "goal");
  bool agree = true;
  for (const int batch : {1, 32, 1024}) {
    seed(1);
    nn::Sequential model{nn::Dense(10, 64), nn::ReLU(), nn::Dense(64, 32), nn::ReLU(), nn::Dense(32, 1), nn::Sigmoid()};
    ByHand by_hand(model, batch);
    optim::Adam adam(model, {.lr = 1e-3});
    const Tensor x = randn({batch, 10}), y = (rand({batch, 1}) > 0.5).to(f32);
    float loss = 0, floor_loss = 0;
    const auto step = [&](bool observe) {
      Graph graph({.observe = observe});
      const Tensor l = nn::binary_cross_entropy(model(x), y);
      l.backward();
      adam.step();
      loss = static_cast<float>(l.item());
    };
    const auto ebb_step = [&] { step(false); };
    const auto observed_step = [&] { step(true); };
    const auto floor_step = [&] { floor_loss = by_hand.step(x.data<float>(), y.data<float>()); };
    for (int i = 0; i < 100; ++i) {
      ebb_step();
      floor_step();
      agree = agree && std::abs(loss - floor_loss) < 1e-4f * (1 + std::abs(floor_loss));
    }
    const auto t = bench::compare({observed_step, floor_step, ebb_step}, batch == 1024 ? 20 : 500);
    std::printf("%8d %9.2f us %9.2f us %8.2f %7s %11.2f us %7.2f %7s\n", batch, t[2].seconds * 1e6, t[1].seconds * 1e6,
                1 / t[1].ratio, batch == 32 ? "<= 1.6" : "", t[0].seconds * 1e6, t[0].ratio, batch == 32 ? "<= 2" : "");
  }
  std::printf("\n%s\n", agree ? "Both arrive at the same losses, step by step, for 100 steps." : "THE TWO DISAGREE.");
  return agree ? EXIT_SUCCESS : EXIT_FAILURE;
}
