// Layers give what PyTorch's give, to the last gradient: tests/parity/layers.py.
#include <doctest/doctest.h>
#include <ebb/nn/nn.h>

#include "parity.h"

#include <string>
#include <vector>

using namespace ebb;

namespace {

const Golden& golden() {
  static const Golden one("layers");
  return one;
}

/// The layer's own numbers came out of PyTorch; so must its output, and the gradients of its input and parameters.
template <class Layer>
void check_gradients(Layer& layer, const std::string& one, const std::string& dx, const Tensor& x) {
  if (x.dtype() != i64) CHECK_PARITY(x.grad(), golden()(one, dx), one);
  for (const nn::NamedParameter& p : nn::parameters(layer)) {
    CHECK_PARITY(p.parameter.grad(), golden()(one, "grad." + p.name), one);
    p.parameter.clear_grad();
  }
}

template <class Layer> void check_call(Layer& layer, const std::string& one) {
  INFO(one);
  Graph graph;
  const Tensor given = golden()(one, "x"), x = given.dtype() == i64 ? given : graph.variable(given);
  const Tensor y = layer(x);
  CHECK_PARITY(y, golden()(one, "y"), one);
  sum(y * golden()(one, "dy")).backward();
  check_gradients(layer, one, "dx", x);
}

template <class Layer> void check(Layer layer, const std::string& one) {
  INFO(one);
  golden().fill(layer, one);
  check_call(layer, one);
}

template <class Layer> void check_batch_norm(Layer layer, const std::string& one) {
  INFO(one);
  golden().fill(layer, one);
  for (const char* const step : {".train1", ".train2", ".eval"}) {
    if (step == std::string(".eval")) {
      const nn::Evaluating in_use;
      check_call(layer, one + step);
    } else {
      check_call(layer, one + step);
    }
    for (const nn::NamedBuffer& b : nn::buffers(layer)) {
      const Tensor& want = golden()(one + step, b.name);
      if (want.dtype() == i64) CHECK(b.tensor.item() == want.item());
      else CHECK_PARITY(b.tensor, want, one + step);
    }
  }
}

void check_attention(nn::MultiHeadAttention layer, const std::string& one, const nn::AttentionOptions& options = {}) {
  INFO(one);
  golden().fill(layer, one);
  Graph graph;
  const bool cross = golden().has(one, "key");
  const Tensor query = graph.variable(golden()(one, "query")),
               key = cross ? graph.variable(golden()(one, "key")) : query,
               value = cross ? graph.variable(golden()(one, "value")) : query;
  const Tensor y = layer(query, key, value, options);
  CHECK_PARITY(y, golden()(one, "y"), one);
  sum(y * golden()(one, "dy")).backward();
  if (cross) {
    CHECK_PARITY(key.grad(), golden()(one, "dkey"), one);
    CHECK_PARITY(value.grad(), golden()(one, "dvalue"), one);
  }
  check_gradients(layer, one, "dquery", query);
}

}  // namespace

TEST_CASE("Dense is PyTorch's Linear") {
  check(nn::Dense(5, 3, {.dtype = f64}), "linear");
  check(nn::Dense(5, 3, {.bias = false, .dtype = f64}), "linear.no_bias");
  check(nn::Dense(5, 3), "linear.f32");
}

TEST_CASE("convolutions are PyTorch's") {
  check(nn::Conv1d(3, 5, 3, {.dtype = f64}), "conv1d");
  check(nn::Conv1d(4, 6, 3, {.stride = 2, .padding = 2, .dilation = 2, .groups = 2, .dtype = f64}), "conv1d.all");
  check(nn::Conv2d(3, 5, 3, {.dtype = f64}), "conv2d");
  check(nn::Conv2d(3, 5, {3, 2}, {.stride = {2, 1}, .padding = {1, 0}, .dtype = f64}), "conv2d.strided");
  check(nn::Conv2d(3, 2, 3, {.padding = 2, .dilation = 2, .bias = false, .dtype = f64}), "conv2d.dilated");
  check(nn::Conv2d(4, 6, 3, {.padding = 1, .groups = 2, .dtype = f64}), "conv2d.grouped");
  check(nn::Conv2d(3, 5, 3, {.padding = 1}), "conv2d.f32");
  check(nn::ConvTranspose2d(3, 5, 3, {.dtype = f64}), "conv_transpose2d");
  check(nn::ConvTranspose2d(
            4, 6, {3, 2},
            {.stride = {2, 3}, .padding = 1, .output_padding = {1, 2}, .dilation = {2, 1}, .groups = 2, .dtype = f64}),
        "conv_transpose2d.all");
  check(nn::ConvTranspose2d(3, 5, 3, {.stride = 2, .bias = false}), "conv_transpose2d.f32");
}

TEST_CASE("pools are PyTorch's") {
  check(nn::MaxPool1d(3, {.stride = 2, .padding = 1}), "max_pool1d");
  check(nn::MaxPool2d(2), "max_pool2d");
  check(nn::MaxPool2d({3, 2}, {.stride = 2, .padding = {1, 0}}), "max_pool2d.padded");
  check(nn::AvgPool2d(2), "avg_pool2d");
  check(nn::AvgPool2d(3, {.stride = 2, .padding = 1}), "avg_pool2d.padded");
  check(nn::AvgPool2d(3, {.stride = 2, .padding = 1, .count_padding = false}), "avg_pool2d.inside");
  check(nn::GlobalAvgPool(), "global_avg_pool");
  check(nn::Flatten(), "flatten");
}

TEST_CASE("Embedding is PyTorch's, and its row for padding learns nothing") {
  check(nn::Embedding(7, 3, {.dtype = f64}), "embedding");
  check(nn::Embedding(7, 3, {.padding_idx = 2, .dtype = f64}), "embedding.padding");
}

TEST_CASE("BatchNorm is PyTorch's in training and in use, and keeps the same statistics") {
  check_batch_norm(nn::BatchNorm1d(3, {.dtype = f64}), "batch_norm1d");
  check_batch_norm(nn::BatchNorm1d(3, {.eps = 0.1, .momentum = 0.3, .dtype = f64}), "batch_norm1d.signal");
  check_batch_norm(nn::BatchNorm2d(3, {.dtype = f64}), "batch_norm2d");
  check_batch_norm(nn::BatchNorm2d(3, {.momentum = {}, .affine = false, .dtype = f64}), "batch_norm2d.plain");
  check_batch_norm(nn::BatchNorm2d(3, {.track_running_stats = false, .dtype = f64}), "batch_norm2d.untracked");
  check_batch_norm(nn::BatchNorm2d(3), "batch_norm2d.f32");
}

TEST_CASE("LayerNorm is PyTorch's") {
  check(nn::LayerNorm(7, {.dtype = f64}), "layer_norm");
  check(nn::LayerNorm({3, 5}, {.eps = 0.01, .dtype = f64}), "layer_norm.two");
  check(nn::LayerNorm(7, {.affine = false, .dtype = f64}), "layer_norm.plain");
  check(nn::LayerNorm(7), "layer_norm.f32");
}

TEST_CASE("MultiHeadAttention is PyTorch's MultiheadAttention") {
  check_attention({6, 3, {.dtype = f64}}, "attention");
  check_attention({6, 3, {.causal = true, .dtype = f64}}, "attention.causal");
  check_attention({6, 3, {.dtype = f64}}, "attention.causal", {.causal = true});
  check_attention({6, 3, {.bias = false, .dtype = f64}}, "attention.no_bias");
  check_attention({6, 3, {.dtype = f64}}, "attention.cross",
                  {.key_lengths = golden()("attention.cross", "key_lengths")});
  check_attention({6, 3, {.causal = true}}, "attention.f32");
}

TEST_CASE("activations are PyTorch's, far from 0 too") {
  const auto both = [](const auto& layer, const std::string& name) {
    check(layer, "activation." + name);
    check(layer, "activation." + name + ".f32");
  };
  both(nn::ReLU(), "relu");
  both(nn::LeakyReLU(), "leaky_relu");
  both(nn::LeakyReLU(0.2), "leaky_relu.0.2");
  both(nn::ELU(), "elu");
  both(nn::ELU(0.5), "elu.0.5");
  both(nn::GELU(), "gelu");
  both(nn::SiLU(), "silu");
  both(nn::Softplus(), "softplus");
  both(nn::Mish(), "mish");
  both(nn::Sigmoid(), "sigmoid");
  both(nn::Tanh(), "tanh");
  check(nn::Softmax(), "activation.softmax");
  check(nn::Softmax(0), "activation.softmax.0");
}
