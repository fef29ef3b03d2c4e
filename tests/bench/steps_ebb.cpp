// Ebb's side of the training steps: bench_steps_ebb <workload> eager|replay, with EBB_NUM_THREADS.  See served.h.
#include "served.h"
#include "workloads.h"

#include <ebb/autograd/memory.h>
#include <ebb/optim/optim.h>

#include <memory>

namespace {

using namespace ebb;
using bench::Net;

Shape shape_of(const bench::Sizes& sizes) { return Shape(std::span<const std::int64_t>(sizes)); }

struct Mlp {
  nn::Dense first{10, 64}, second{64, 32}, out{32, 1};
  Tensor loss(const Tensor& x, const Tensor& y) const {
    return nn::binary_cross_entropy(sigmoid(out(relu(second(relu(first(x)))))), y);
  }
  EBB_FIELDS(first, second, out)
};

struct Digits {
  nn::Dense hidden{784, 128}, out{128, 10};
  Tensor loss(const Tensor& x, const Tensor& y) const { return nn::cross_entropy(out(relu(hidden(x))), y); }
  EBB_FIELDS(hidden, out)
};

struct Cnn {
  nn::Conv2d first{1, 16, 5, {.padding = 2}}, second{16, 32, 5, {.padding = 2}};
  nn::MaxPool2d pool{2};
  nn::Flatten flatten;
  nn::Dense out{1568, 10};
  Tensor loss(const Tensor& x, const Tensor& y) const {
    return nn::cross_entropy(out(flatten(pool(relu(second(pool(relu(first(x)))))))), y);
  }
  EBB_FIELDS(first, second, pool, flatten, out)
};

struct Lstm {
  nn::LSTM lstm;
  nn::Dense out;
  explicit Lstm(const bench::Workload& w) : lstm(w.in, w.hidden), out(w.hidden, 1) {}
  Tensor loss(const Tensor& x, const Tensor& y) const { return nn::mse_loss(out(lstm(x)), y); }
  EBB_FIELDS(lstm, out)
};

template <class Model> struct Training {
  Model model;
  optim::Adam adam;
  Tensor x, y, loss;

  Training(const bench::Workload& w, Model made) : model(std::move(made)), adam(model, {.lr = 1e-3}) {
    std::size_t p = 0;
    for (auto& [name, parameter] : nn::parameters(model)) {
      const std::vector<float> start = w.start(p++);
      parameter.assign(from(std::span<const float>(start), parameter.shape()));
    }
    const std::vector<float> numbers = w.x();
    x = from(std::span<const float>(numbers), shape_of(w.x_shape()));
    const std::vector<float> targets = w.y();
    const std::vector<std::int64_t> labels = w.labels();
    y = w.classes() ? from(std::span<const std::int64_t>(labels), {w.n})
                    : from(std::span<const float>(targets), {w.n, 1});
  }
};

template <class Model> bench::Served training(const bench::Workload& w, const std::string& way, Model made) {
  const auto t = std::make_shared<Training<Model>>(w, std::move(made));
  bench::Served served;
  served.loss = [t] { return t->loss.item(); };
  served.held = [] { return detail::bytes_held.most; };
  if (way == "eager") {
    served.step = [t] {
      Graph graph;
      t->loss = t->model.loss(t->x, t->y);
      t->loss.backward();
      t->adam.step();
    };
  } else if (way == "replay") {
    const auto loss = [t](const Tensor& x, const Tensor& y) { return t->model.loss(x, y); };
    served.step = [t, step = std::make_shared<decltype(replay(loss))>(replay(loss))] {
      t->loss = (*step)(t->x, t->y);
      t->adam.step();
      if (!step->why().empty()) throw std::runtime_error("no replay: " + step->why());
    };
  } else {
    throw std::invalid_argument("steps are eager or replay, not " + way);
  }
  return served;
}

/// As tensor_op.cpp: an op on tensors of one element costs overhead alone.
bench::Served chain(const bench::Workload& w) {
  const Tensor one = full({1}, w.x()[0]);
  const auto slope = std::make_shared<double>();
  return {.step =
              [=] {
                Graph graph;
                const Tensor x = graph.variable(one);
                Tensor y = x;
                for (std::int64_t i = 0; i < w.t; ++i) y = y * x;
                y.backward();
                *slope = x.grad().item();
              },
          .loss = [=] { return *slope; }};
}

}  // namespace

int main(int argc, char** argv) {
  return bench::serve([&]() -> bench::Served {
    if (argc != 3) throw std::invalid_argument("usage: bench_steps_ebb <workload> eager|replay");
    const bench::Workload w = bench::workload(argv[1]);
    switch (w.net) {
      case Net::mlp:
        return training(w, argv[2], Mlp());
      case Net::digits:
        return training(w, argv[2], Digits());
      case Net::cnn:
        return training(w, argv[2], Cnn());
      case Net::lstm:
        return training(w, argv[2], Lstm(w));
      case Net::chain:
        return chain(w);
    }
    throw std::logic_error("no such net");
  });
}
