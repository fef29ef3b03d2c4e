// Saves a model with every layer that has weights, and prints the sum of each tensor: tests/state_dict.py reads it again.
#include <ebb/nn/nn.h>

#include <cstdio>

using namespace ebb;

namespace {

struct Model {
  nn::Dense linear{10, 7};
  nn::Dense plain{7, 3, {.bias = false}};
  nn::Conv1d conv1d{2, 4, 3};
  nn::Conv2d conv2d{4, 6, {3, 5}, {.groups = 2}};
  nn::ConvTranspose2d conv_transpose2d{6, 4, 3, {.groups = 2}};
  nn::BatchNorm2d batch_norm{6};
  nn::LayerNorm layer_norm{5};
  nn::Embedding embedding{11, 8};
  nn::MultiHeadAttention attention{8, 2};
  nn::RNN rnn{3, 4};
  nn::LSTM lstm{3, 4, {.layers = 2, .bidirectional = true}};
  nn::GRU gru{3, 4};
  nn::LSTMCell cell{3, 4};
  nn::Sequential block{nn::Dense(2, 3), nn::ReLU(), nn::Sequential{nn::Dense(3, 1)}};
  EBB_FIELDS(linear, plain, conv1d, conv2d, conv_transpose2d, batch_norm, layer_norm, embedding, attention, rnn, lstm, gru,
             cell, block)
};

}  // namespace

int main(int, char** argv) {
  seed(1);
  Model model;
  nn::save(model, argv[1]);
  for (const auto& [name, tensor] : nn::numbers(nn::contents(model)))
    std::printf("%s %.17g\n", name.c_str(), sum(tensor.to(f64)).item());
}
