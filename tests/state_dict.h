// A model with every layer that has weights, named as State in tests/parity/state.py names them.
#pragma once

#include <ebb/nn/nn.h>

#include <string>

struct State {
  ebb::nn::Dense linear{10, 7};
  ebb::nn::Dense plain{7, 3, {.bias = false}};
  ebb::nn::Conv1d conv1d{2, 4, 3};
  ebb::nn::Conv2d conv2d{4, 6, {3, 5}, {.groups = 2}};
  ebb::nn::ConvTranspose2d conv_transpose2d{6, 4, 3, {.groups = 2}};
  ebb::nn::BatchNorm2d batch_norm{6};
  ebb::nn::LayerNorm layer_norm{5};
  ebb::nn::Embedding embedding{11, 8};
  ebb::nn::MultiHeadAttention attention{8, 2};
  ebb::nn::RNN rnn{3, 4, {.sequences = true}};
  ebb::nn::LSTM lstm{3, 4, {.layers = 2, .bidirectional = true, .sequences = true}};
  ebb::nn::GRU gru{3, 4, {.sequences = true}};
  ebb::nn::LSTMCell cell{3, 4};
  ebb::nn::Sequential block{ebb::nn::Dense(2, 3), ebb::nn::ReLU(), ebb::nn::Sequential{ebb::nn::Dense(3, 1)}};
  EBB_FIELDS(linear, plain, conv1d, conv2d, conv_transpose2d, batch_norm, layer_norm, embedding, attention, rnn, lstm,
             gru, cell, block)

  /// What the layer of that name makes of x; of the cell, h and c side by side.
  ebb::Tensor apply(const std::string& name, const ebb::Tensor& x) const {
    if (name == "linear") return linear(x);
    if (name == "plain") return plain(x);
    if (name == "conv1d") return conv1d(x);
    if (name == "conv2d") return conv2d(x);
    if (name == "conv_transpose2d") return conv_transpose2d(x);
    if (name == "batch_norm") return batch_norm(x);
    if (name == "layer_norm") return layer_norm(x);
    if (name == "embedding") return embedding(x);
    if (name == "attention") return attention(x);
    if (name == "rnn") return rnn(x);
    if (name == "lstm") return lstm(x);
    if (name == "gru") return gru(x);
    if (name == "block") return block(x);
    if (name != "cell") throw ebb::UsageError("there is no layer " + name);
    const ebb::nn::State state = cell(x);
    return ebb::concat({state.h, state.c}, -1);
  }
};
