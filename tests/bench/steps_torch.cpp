// libtorch's side of the training steps: bench_steps_torch <workload>, with TORCH_THREADS, OPENBLAS_NUM_THREADS and
// ATEN_CPU_CAPABILITY.  See served.h.
#include "served.h"
#include "workloads.h"

#include <torch/torch.h>

#include <cstdlib>
#include <memory>

namespace {

using bench::Net;
using bench::Workload;
namespace F = torch::nn::functional;

struct Mlp : torch::nn::Module {
  torch::nn::Linear first{10, 64}, second{64, 32}, out{32, 1};
  explicit Mlp(const Workload&) {
    register_module("first", first);
    register_module("second", second);
    register_module("out", out);
  }
  torch::Tensor loss(const torch::Tensor& x, const torch::Tensor& y) {
    return torch::binary_cross_entropy(torch::sigmoid(out(torch::relu(second(torch::relu(first(x)))))), y);
  }
};

struct Digits : torch::nn::Module {
  torch::nn::Linear hidden{784, 128}, out{128, 10};
  explicit Digits(const Workload&) {
    register_module("hidden", hidden);
    register_module("out", out);
  }
  torch::Tensor loss(const torch::Tensor& x, const torch::Tensor& y) {
    return F::cross_entropy(out(torch::relu(hidden(x))), y);
  }
};

struct Cnn : torch::nn::Module {
  torch::nn::Conv2d first{torch::nn::Conv2dOptions(1, 16, 5).padding(2)},
      second{torch::nn::Conv2dOptions(16, 32, 5).padding(2)};
  torch::nn::Linear out{1568, 10};
  explicit Cnn(const Workload&) {
    register_module("first", first);
    register_module("second", second);
    register_module("out", out);
  }
  torch::Tensor loss(const torch::Tensor& x, const torch::Tensor& y) {
    torch::Tensor h = torch::max_pool2d(torch::relu(first(x)), 2);
    h = torch::max_pool2d(torch::relu(second(h)), 2);
    return F::cross_entropy(out(h.flatten(1)), y);
  }
};

struct Lstm : torch::nn::Module {
  torch::nn::LSTM lstm;
  torch::nn::Linear out;
  explicit Lstm(const Workload& w) : lstm(w.in, w.hidden), out(w.hidden, 1) {
    register_module("lstm", lstm);
    register_module("out", out);
  }
  torch::Tensor loss(const torch::Tensor& x, const torch::Tensor& y) {
    return torch::mse_loss(out(std::get<0>(lstm(x))[-1]), y);
  }
};

template <class Model> bench::Served training(const Workload& w) {
  struct Training {
    Model model;
    torch::optim::Adam adam;
    std::vector<torch::Tensor> parameters;
    torch::Tensor x, y, loss;
    explicit Training(const Workload& workload)
        : model(workload), adam(model.parameters(), torch::optim::AdamOptions(1e-3)), parameters(model.parameters()) {}
  };
  const auto t = std::make_shared<Training>(w);
  {
    const torch::NoGradGuard no_gradient;
    std::size_t p = 0;
    for (torch::Tensor& parameter : t->parameters) {
      std::vector<float> start = w.start(p++);
      parameter.copy_(torch::from_blob(start.data(), parameter.sizes()));
    }
  }
  std::vector<float> x = w.x(), y = w.y();
  std::vector<std::int64_t> labels = w.labels();
  t->x = torch::from_blob(x.data(), w.x_shape()).clone();
  if (w.net == Net::lstm) t->x = t->x.transpose(0, 1).contiguous();  // the layout that libtorch likes best
  t->y = w.classes() ? torch::from_blob(labels.data(), {w.n}, torch::kInt64).clone()
                     : torch::from_blob(y.data(), {w.n, 1}).clone();
  bench::Served served;
  served.loss = [t] { return t->loss.template item<double>(); };
  served.step = [t] {
    t->loss = t->model.loss(t->x, t->y);
    for (torch::Tensor& parameter : t->parameters) parameter.mutable_grad().reset();  // no zeroes to add to
    t->loss.backward();
    t->adam.step();
  };
  return served;
}

bench::Served chain(const Workload& w) {
  const torch::Tensor x = torch::full({1}, w.x()[0], torch::requires_grad());
  return {.step =
              [=] {
                x.mutable_grad().reset();
                torch::Tensor y = x;
                for (std::int64_t i = 0; i < w.t; ++i) y = y * x;
                y.backward();
              },
          .loss = [=] { return x.grad().item<double>(); }};
}

}  // namespace

int main(int argc, char** argv) {
  return bench::serve([&]() -> bench::Served {
    if (argc != 2) throw std::invalid_argument("usage: bench_steps_torch <workload>");
    const char* const threads = std::getenv("TORCH_THREADS");
    if (threads != nullptr) torch::set_num_threads(std::atoi(threads));
    const Workload w = bench::workload(argv[1]);
    switch (w.net) {
      case Net::mlp:
        return training<Mlp>(w);
      case Net::digits:
        return training<Digits>(w);
      case Net::cnn:
        return training<Cnn>(w);
      case Net::lstm:
        return training<Lstm>(w);
      case Net::chain:
        return chain(w);
    }
    throw std::logic_error("no such net");
  });
}
