// The pictures of backpropagation that Ebb draws, each from a few lines: a ladder, cards, a strip, single numbers.
//
// It must write all of them, each the same whatever else is drawn.
// Usage: pictures [--out FOLDER]; without it they go into the current folder.
#include <ebb/optim/optim.h>
#include <ebb/tools/graphviz.h>
#include <ebb/tools/training.h>

#include <cstdio>
#include <cstring>
#include <exception>
#include <filesystem>
#include <functional>
#include <string>
#include <utility>
#include <vector>

using namespace ebb;

namespace {

/// What a picture needs to know of one backward from the loss that `compute` gives.
graphviz::Trace watched(const std::function<Tensor()>& compute) {
  Graph graph;
  graph.observe();
  compute().backward();
  return graphviz::trace(graph);
}

/// A model calls its layers by their names once it has been visited.
template <class Model> Model named(Model model) {
  nn::parameters(model);
  return model;
}

// ---- a ladder: forward down the left, backward up the right ----------------------------------------------------------

nn::Sequential guide() {
  return nn::Sequential{nn::Dense(10, 64), nn::ReLU(), nn::Dense(64, 32), nn::ReLU(), nn::Dense(32, 1), nn::Sigmoid()};
}

/// The guide's model before its first step: one file for screens light and dark, which plays; and two images.
void draw_guide(const data::Dataset& batch, const std::string& folder) {
  seed(1);
  nn::Sequential model = named(guide());
  const graphviz::Trace trace = watched([&] { return nn::binary_cross_entropy(model(batch.x), batch.y); });
  const std::string title = "How gradients flow through the guide's model";
  graphviz::render(trace, folder + "guide.svg", {.title = title, .play = true});
  graphviz::render(trace, folder + "guide_light.png", {.title = title, .theme = graphviz::Theme::light});
  graphviz::render(trace, folder + "guide_dark.png", {.title = title, .theme = graphviz::Theme::dark});
}

/// x + relu(Dense(x))
struct Block {
  nn::Dense dense{16, 16};
  nn::Label label{"x + relu(Dense(x))"};
  Tensor operator()(const Tensor& x) const {
    const Scope scope = label.scope();
    return x + relu(dense(x));
  }
  EBB_FIELDS(dense, label)
};

struct Residual {
  nn::Dense stem{10, 16};
  Block first, second;
  nn::Dense head{16, 1};
  Tensor operator()(const Tensor& x) const { return head(second(first(relu(stem(x))))); }
  EBB_FIELDS(stem, first, second, head)
};

/// Skips stand outside: forward at the left, and at the right the gradient's way around the blocks.
void draw_residual(const data::Dataset& batch, const std::string& folder) {
  seed(1);
  Residual model = named(Residual());
  graphviz::render(watched([&] { return nn::binary_cross_entropy_with_logits(model(batch.x), batch.y); }),
                   folder + "residual.svg", {.title = "Two residual blocks: the gradient has a way around"});
}

// ---- cards: steps in time from left to right -------------------------------------------------------------------------

/// An LSTM cell in single ops, as the textbooks have it.
struct Cell {
  Parameter wx, wh, b;
  nn::Label label{"LSTM"};
  std::int64_t hidden;

  Cell(std::int64_t inputs, std::int64_t units)
      : wx(nn::glorot_uniform({inputs, 4 * units})),
        wh(nn::orthogonal_init()({units, 4 * units}, f32, default_generator())),
        b(concat({zeros({units}), ones({units}), zeros({2 * units})}, 0)),  // to begin with it forgets little
        hidden(units) {}

  nn::State operator()(const Tensor& x, const nn::State& before) const {
    const Scope scope = label.scope();
    const Tensor z = matmul(x, wx) + matmul(before.h, wh) + b;
    const auto gate = [&](std::int64_t i) { return slice(z, i * hidden, (i + 1) * hidden, 1); };
    const Tensor i = sigmoid(gate(0)), f = sigmoid(gate(1)), candidate = tanh(gate(2)), o = sigmoid(gate(3));
    const Tensor c = f * before.c + i * candidate;
    return {o * tanh(c), c};
  }
  EBB_FIELDS(wx, wh, b, label)
};

struct Recurrent {
  Cell lstm{6, 16};
  nn::Dense head{16, 1};
  Tensor operator()(const Tensor& x) const {  // [batch, time, 6]
    nn::State state{zeros({x.shape()[0], 16}), zeros({x.shape()[0], 16})};
    const Tensor steps = permute(x, {1, 0, 2});
    for (std::int64_t t = 0; t < x.shape()[1]; ++t) state = lstm(steps[t], state);
    return head(state.h);
  }
  EBB_FIELDS(lstm, head)
};

/// Each use of a weight beside its op, and the sum of what they send it; of fifty steps the first, the last, and curves.
void draw_lstm(const std::string& folder) {
  seed(1);
  Recurrent model = named(Recurrent());
  const auto trace = [&](std::int64_t steps) {
    const Tensor x = randn({8, steps, 6}), y = randint(0, 2, {8, 1}).to(f32);
    return watched([&] { return nn::binary_cross_entropy_with_logits(model(x), y); });
  };
  graphviz::render(trace(3), folder + "lstm_three_steps.svg",
                   {.title = "Backpropagation through time: one LSTM cell, three steps"});
  graphviz::render(trace(50), folder + "lstm_fifty.svg",
                   {.title = "One LSTM cell, fifty steps: the gradient on its way back",
                    .view = graphviz::View::strip,
                    .heat_center = 4e-5,  // between the first step's and the last's
                    .heat_span = 3,
                    .max_nodes = 12});
}

// ---- a strip: one card for each module -------------------------------------------------------------------------------

using Activation = Tensor (*)(const Tensor&);

/// f(Dense(x)) as one module, which is one card.
struct Layer {
  nn::Dense dense;
  Activation f;
  nn::Label label;

  Layer(std::int64_t in, std::int64_t out, const nn::Init& init, const std::string& name, Activation activation)
      : dense(in, out, {.init = init}),
        f(activation),
        label(std::to_string(in) + " -> " + std::to_string(out) + " " + name) {}
  Tensor operator()(const Tensor& x) const {
    const Scope scope = label.scope();
    return f(dense(x));
  }
  EBB_FIELDS(dense, label)
};

nn::Sequential eight_layers(const nn::Init& init, const std::string& name, Activation f) {
  nn::Sequential model;
  for (int layer = 0; layer < 7; ++layer) model.add(Layer(layer == 0 ? 10 : 32, 32, init, name, f));
  model.add(nn::Dense(32, 1, {.init = init}));
  return named(std::move(model));
}

/// One scale of colours for both nets shows at first sight where gradients vanish; the reports say it in words.
void draw_vanishing(const data::Dataset& batch, const std::string& folder) {
  seed(1);
  const auto trace = [&](nn::Sequential model) {
    return watched([&] { return nn::binary_cross_entropy_with_logits(model(batch.x), batch.y); });
  };
  const graphviz::Trace vanishing = trace(eight_layers(nn::normal_init(0, 0.25), "sigmoid", sigmoid));
  const graphviz::Trace lasting = trace(eight_layers(nn::he_normal, "relu", relu));
  graphviz::render({{"sigmoid, small initialisation", "the gradient vanishes towards the input", vanishing},
                    {"relu, He initialisation", "the gradient keeps its size", lasting}},
                   folder + "vanishing.svg", {.title = "Same depth, same data, same colours", .depth = 1});
  std::printf("eight sigmoid layers: %s\n", graphviz::report(vanishing).c_str());
  std::printf("eight ReLU layers: %s\n", graphviz::report(lasting).c_str());
}

/// The strip over a training, as a film.
void draw_training(const data::Dataset& rows, const std::string& folder) {
  seed(1);
  nn::Sequential model = guide();
  optim::Adam adam(model, {.lr = 1e-3});
  optim::Trainer trainer(model, adam, {.loss = nn::binary_cross_entropy});
  graphviz::Watch watch(folder + "training", {.every = 50, .most = 20});
  trainer.fit(rows, {.epochs = 50, .seed = 42, .verbose = false, .drop_last = true, .callbacks = {std::ref(watch)}});
  std::printf("the guide's model, %s\n", watch.report().c_str());
}

// ---- single numbers --------------------------------------------------------------------------------------------------

/// The program that micrograd's page begins with.
void draw_micrograd(const std::string& folder) {
  Graph graph;
  graph.observe();
  const Scalar a = graph.variable(-4.0, "a"), b = graph.variable(2.0, "b");
  Scalar c = a + b;
  Scalar d = a * b + pow(b, 3);
  c += c + 1;
  c += 1 + c + (-a);
  d += d * 2 + relu(b + a);
  d += 3 * d + relu(b - a);
  const Scalar e = c - d;
  const Scalar f = pow(e, 2);
  Scalar g = f / 2.0;
  g += 10.0 / f;
  g.backward();
  graphviz::render(graph, folder + "micrograd.svg", {.title = "Every + and × with its value and its gradient"});
}

/// gradient() is recorded: what it computed is part of the picture, and differentiated again.
void draw_second_derivative(const std::string& folder) {
  seed(1);
  nn::Sequential model = named(nn::Sequential{nn::Dense(2, 8), nn::Tanh(), nn::Dense(8, 1)});
  Graph graph;
  graph.observe();
  const Tensor x = graph.variable(randn({16, 2}), "x");
  const Tensor slope = graph.gradient(sum(model(x)), x);
  mean(square(sum(square(slope), 1) - 1.0)).backward();
  graphviz::render(graph, folder + "second_derivative.svg",
                   {.title = "A penalty on the gradient: backward through backward"});
}

std::string folder_of(int argc, char** argv) {
  if (argc == 1) return "";
  if (argc == 3 && std::strcmp(argv[1], "--out") == 0) return std::string(argv[2]) + "/";
  throw UsageError("usage: pictures [--out FOLDER]");
}

}  // namespace

int main(int argc, char** argv) try {
  const std::string folder = folder_of(argc, argv);
  if (!folder.empty()) std::filesystem::create_directories(folder);
  const data::Dataset rows = data::csv(EBB_SOURCE_ROOT "/examples/data/wdbc.csv", {.label = "benign"})
                                 .split({.seed = 7, .standardize = true})
                                 .train;
  const data::Dataset batch = rows.rows(0, 32);
  draw_guide(batch, folder);
  draw_residual(batch, folder);
  draw_lstm(folder);
  draw_vanishing(batch, folder);
  draw_training(rows, folder);
  draw_micrograd(folder);
  draw_second_derivative(folder);
  for (const char* const file :
       {"guide.svg", "guide_light.png", "guide_dark.png", "residual.svg", "lstm_three_steps.svg", "lstm_fifty.svg",
        "vanishing.svg", "training/training.svg", "micrograd.svg", "second_derivative.svg"}) {
    const std::filesystem::path path = std::filesystem::absolute(folder + file);
    if (!std::filesystem::exists(path) || std::filesystem::file_size(path) == 0)
      throw IoError("it was not written: " + path.string());
    std::printf("%s\n", path.c_str());
  }
  return 0;
} catch (const std::exception& error) {
  std::fprintf(stderr, "pictures: %s\n", error.what());
  return 1;
}
