// What PyTorch computed, from the golden files in tests/parity (golden.py there says how they are made and named).
#pragma once

#include <doctest/doctest.h>
#include <ebb/nn/nn.h>

#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

/// The golden file of one script.
class Golden {
 public:
  explicit Golden(const std::string& script)
      : tensors_(ebb::io::read_safetensors(EBB_SOURCE_ROOT "/tests/parity/" + script + ".safetensors")) {}

  /// "conv2d.strided", "x": the tensor of that name, which must be there.
  const ebb::Tensor& operator()(const std::string& one, const std::string& what) const {
    const auto found = tensors_.find(one + "/" + what);
    REQUIRE_MESSAGE(found != tensors_.end(), one << "/" << what << " is not in the golden file");
    return found->second;
  }
  bool has(const std::string& one, const std::string& what) const { return tensors_.count(one + "/" + what) > 0; }

  /// The cases, each once: what stands before the slash.
  std::vector<std::string> cases() const {
    std::vector<std::string> all;
    for (const auto& [name, tensor] : tensors_)
      if (std::string one = name.substr(0, name.find('/')); all.empty() || all.back() != one) all.push_back(one);
    return all;
  }

  /// Gives a model the numbers of a case; each of its parameters and buffers must be there.
  template <class Model> void fill(Model& model, const std::string& one) const {
    for (auto& [name, parameter] : ebb::nn::parameters(model)) parameter.assign((*this)(one, name));
    for (auto& [name, tensor] : ebb::nn::buffers(model)) tensor = (*this)(one, name);
  }

 private:
  ebb::io::Tensors tensors_;
};

/// How far apart two tensors are: the largest difference, relative to the largest number of `want`.
inline double apart(const ebb::Tensor& got, const ebb::Tensor& want) {
  REQUIRE_MESSAGE(got.shape() == want.shape(), to_string(got.shape()) << " and not " << to_string(want.shape()));
  REQUIRE(got.dtype() == want.dtype());
  if (want.size() == 0) return 0;
  const auto g = got.to(ebb::f64).to_vector<double>(), w = want.to(ebb::f64).to_vector<double>();
  double largest = 0, difference = 0;
  for (std::size_t i = 0; i < w.size(); ++i) {
    largest = std::max(largest, std::abs(w[i]));
    if (g[i] == w[i]) continue;  // infinities too
    const double d = std::abs(g[i] - w[i]);
    difference = d > difference || d != d ? d : difference;
    if (d != d) return d;
  }
  return difference / std::max(largest, 1e-30);
}

/// As near as the type of numbers allows: 1e-10 in f64, 1e-5 in f32.
inline double nearness(const ebb::Tensor& want) { return want.dtype() == ebb::f64 ? 1e-10 : 1e-5; }

/// CHECK_PARITY(layer(x), golden(one, "y"), one): and says which case it is.
#define CHECK_PARITY(got, want, one)                                                                                \
  do { /* computed before the check: clang 14 allows no structured bindings inside of it */                         \
    const ebb::Tensor parity_want = (want);                                                                         \
    const double parity_apart = apart((got), parity_want);                                                          \
    const std::string parity_case(one);                                                                             \
    CHECK_MESSAGE(parity_apart <= nearness(parity_want), parity_case << ": " #got " is apart by " << parity_apart); \
  } while (false)
