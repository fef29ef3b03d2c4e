// Saves a model with every layer that has weights, and prints the sum of each tensor: tests/state_dict.py reads it again.
// With a second path it writes what tests/parity/back.py compares: an input "<layer>/x" of each layer, and its output, y.
// Usage: state_dict <model> [<inputs and outputs>]
#include "state_dict.h"

#include <cstdio>
#include <map>

using namespace ebb;

int main(int argc, char** argv) {
  seed(1);
  State model;
  for (auto& [name, parameter] : nn::parameters(model)) parameter.assign(1.4 * rand(parameter.shape()) - 0.7);
  {
    Graph graph;  // moves the running statistics
    model.batch_norm(1 + 2 * randn({5, 6, 3, 2}));
  }
  nn::save(model, argv[1]);
  for (const auto& [name, tensor] : nn::numbers(nn::contents(model)))
    std::printf("%s %.17g\n", name.c_str(), sum(tensor.to(f64)).item());
  if (argc < 3) return 0;

  const std::map<std::string, Shape> shapes{{"linear", {5, 10}},
                                            {"plain", {5, 7}},
                                            {"conv1d", {2, 2, 9}},
                                            {"conv2d", {2, 4, 7, 9}},
                                            {"conv_transpose2d", {2, 6, 5, 3}},
                                            {"batch_norm", {3, 6, 2, 5}},
                                            {"layer_norm", {3, 5}},
                                            {"attention", {2, 5, 8}},
                                            {"rnn", {2, 5, 3}},
                                            {"lstm", {2, 5, 3}},
                                            {"gru", {2, 5, 3}},
                                            {"cell", {5, 3}},
                                            {"block", {5, 2}}};
  io::Tensors all{{"embedding/x", tensor({{0, 10, 3}, {7, 3, 1}}, i64)}};
  for (const auto& [name, shape] : shapes) all[name + "/x"] = randn(shape);
  const io::Tensors inputs = all;
  for (const auto& [path, x] : inputs) {
    const std::string name = path.substr(0, path.size() - 2);
    all[name + "/y"] = model.apply(name, x);
  }
  io::write_safetensors(argv[2], all);
}
