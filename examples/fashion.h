// Fashion-MNIST, for the examples: photographs of clothes, 28x28 pixels, in ten classes.
#pragma once

#include "example.h"

#include <ebb/optim/optim.h>
#include <ebb/tools/graphviz.h>

#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <string>

/// 60,000 photographs to train on and 10,000 to be judged by, from the folder asked for or where Debian's package puts
/// them; or, asked to be brief, the 2,000 and 500 that lie beside this file.
inline ebb::data::Split fashion_mnist(const Request& request) {
  const std::string usual = "/usr/share/datasets/fashion-mnist", slice = EBB_SOURCE_ROOT "/examples/data/fashion-mnist";
  const std::string folder = !request.data.empty() ? request.data : request.brief ? slice : usual;
  if (folder == usual && !std::filesystem::exists(usual))
    throw ebb::IoError("there is no " + usual +
                       "\n  help: install the package dataset-fashion-mnist (Debian and Ubuntu), name the folder with "
                       "the four files, or take the slice of it that is here: --short");
  const auto part = [&](const std::string& name) {
    const std::string beginning = folder + "/" + name;
    return ebb::data::idx(beginning + "-images-idx3-ubyte.gz", beginning + "-labels-idx1-ubyte.gz");
  };
  ebb::data::Split split{part("train"), part("t10k")};
  std::printf("Fashion-MNIST: %lld photographs to learn from, %lld to be judged by.  What is on them?\n\n",
              static_cast<long long>(split.train.size()), static_cast<long long>(split.test.size()));
  return split;
}

/// How a net is trained on it: a tenth of the photographs validates, the step size rises and falls once.
inline ebb::optim::FitOptions fashion_training(const ebb::data::Dataset& train, std::int64_t epochs,
                                               std::int64_t batch) {
  const std::int64_t steps = epochs * (train.size() * 9 / 10 / batch + 1);
  return {.epochs = epochs,
          .batch = batch,
          .validation = 0.1,
          .seed = 42,
          .callbacks = {ebb::optim::Scheduler(ebb::optim::one_cycle({.steps = steps}), {.each_step = true})}};
}

/// Says how well the model does on the photographs it never saw, and writes `name`.safetensors, `name`.svg (how training
/// went) and `name`_flow.svg (how gradients flow, through so many of the lowest rows of pixels).  Returns what main() does.
template <class Model> int report(const std::string& name, Model& model, const ebb::optim::Trainer& trainer,
                                  const ebb::optim::History& history, const ebb::data::Split& photographs,
                                  double must_reach, std::int64_t rows_drawn = 28) {
  const double accuracy = trainer.evaluate(photographs.test)["accuracy"];
  std::int64_t parameters = 0;
  for (const auto& [path, parameter] : ebb::nn::parameters(model)) parameters += parameter.size();
  std::printf("\n%.2f %% of the photographs that it never saw are right; %lld parameters\n", 100 * accuracy,
              static_cast<long long>(parameters));

  ebb::nn::save(model, name + ".safetensors");
  history.svg(name + ".svg");
  const ebb::data::Dataset batch = photographs.train.rows(0, 32);
  ebb::Graph graph;
  graph.observe();
  ebb::nn::cross_entropy(model(ebb::slice(batch.x, 28 - rows_drawn, 28, 2)), batch.y).backward();
  ebb::graphviz::render(graph, name + "_flow.svg", {.title = "How gradients flow: " + name});
  return verdict(name.c_str(), "the accuracy", accuracy, must_reach);
}
