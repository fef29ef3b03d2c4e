// Convolutions by shape: GFLOP/s of y, of the gradient by x and of that by the weight, beside a product of large matrices.
#include "timing.h"

#include <ebb/autograd/autograd.h>

#include <cstdlib>

namespace {

using namespace ebb;

struct Case {
  const char* name;
  Shape x, w;
  Conv2dOptions options;
};

const std::vector<Case>& cases() {
  static const std::vector<Case> all = {
      {"1 to 16, 5x5", {64, 1, 28, 28}, {16, 1, 5, 5}, {.padding = 2}},
      {"16 to 32, 5x5", {64, 16, 14, 14}, {32, 16, 5, 5}, {.padding = 2}},
      {"3 to 32, 3x3", {64, 3, 32, 32}, {32, 3, 3, 3}, {.padding = 1}},
      {"64 to 64, 3x3", {16, 64, 28, 28}, {64, 64, 3, 3}, {.padding = 1}},
      {"the same, 1 image", {1, 64, 56, 56}, {64, 64, 3, 3}, {.padding = 1}},
      {"64 to 128, stride 2", {16, 64, 28, 28}, {128, 64, 3, 3}, {.stride = 2, .padding = 1}},
      {"3 to 64, 7x7, stride 2", {4, 3, 112, 112}, {64, 3, 7, 7}, {.stride = 2, .padding = 3}},
      {"64 to 128, 1x1", {16, 64, 28, 28}, {128, 64, 1, 1}, {}},
      {"512 to 512, 3x3", {4, 512, 7, 7}, {512, 512, 3, 3}, {.padding = 1}},
      {"4 groups of 16, 3x3", {16, 64, 28, 28}, {64, 16, 3, 3}, {.padding = 1, .groups = 4}},
      {"64 channels, each 3x3", {16, 64, 28, 28}, {64, 1, 3, 3}, {.padding = 1, .groups = 64}},
  };
  return all;
}

void row(const Case& c) {
  const Tensor x = randn(c.x), w = randn(c.w), dy = randn(conv2d(x, w, c.options).shape());
  const double flops = 2 * static_cast<double>(dy.size()) * static_cast<double>(w.size() / w.shape()[0]);
  const auto forward = [&] { conv2d(x, w, c.options); };
  const auto by_x = [&] { vjp([&](const Tensor& v) { return conv2d(v, w, c.options); }, x, dy); };
  const auto by_w = [&] { vjp([&](const Tensor& v) { return conv2d(x, v, c.options); }, w, dy); };
  const auto t = bench::compare({by_x, by_w, forward}, 2, 15);
  const auto speed = [&](double seconds) { return flops / seconds / 1e9; };
  std::printf("%24s %10.1f %10.1f %10.1f\n", c.name, speed(t[2].seconds), speed(t[0].seconds - t[2].seconds),
              speed(t[1].seconds - t[2].seconds));
}

}  // namespace

int main() {
  std::printf("GFLOP/s of convolutions, %d threads, on %s\n\n", num_threads(), bench::machine().c_str());
  std::printf("%24s %10s %10s %10s\n", "", "y", "by x", "by W");
  for (const Case& c : cases()) row(c);
  const Tensor a = randn({1024, 1024}), b = randn({1024, 1024});
  const auto t = bench::compare({[&] { matmul(a, b); }}, 1, 15);
  std::printf("%24s %10.1f\n", "a product of 1024³", 2 * 1024.0 * 1024 * 1024 / t[0].seconds / 1e9);
  return EXIT_SUCCESS;
}
