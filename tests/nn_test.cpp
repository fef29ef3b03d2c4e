#include <doctest/doctest.h>
#include <ebb/nn/nn.h>

#include <array>
#include <cmath>
#include <functional>
#include <limits>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <vector>

using namespace ebb;

namespace {

std::vector<std::string> names(auto& model) {
  std::vector<std::string> found;
  for (auto& [name, parameter] : nn::parameters(model)) found.push_back(name);
  return found;
}

using Names = std::vector<std::string>;

struct Block {
  nn::Dense in{3, 4}, out{4, 3};
  Tensor operator()(const Tensor& x) const { return out(relu(in(x))); }
  EBB_FIELDS(in, out)
};

/// What the picture and the errors of a graph call the ops of a model.
std::vector<std::string> scopes(const auto& model, const Tensor& x) {
  Graph graph;
  model(graph.variable(x));
  std::vector<std::string> found;
  for (const Node& node : graph.nodes())
    if (node.kind == Node::Kind::op) found.push_back(node.scope);
  return found;
}

}  // namespace

// ---- modules -----------------------------------------------------------------------------------------------------

TEST_CASE("fields of every allowed type give their parameters names") {
  struct Net {
    nn::Dense first{2, 3};
    std::vector<nn::Dense> blocks;
    std::array<Block, 1> pair;
    std::optional<nn::Dense> head, none;
    std::unique_ptr<nn::Dense> tail;
    nn::Dense both[2] = {nn::Dense(1, 1), nn::Dense(1, 1)};
    Parameter scale{ones({3})};
    Tensor table = zeros({5});
    nn::Sequential body;
    EBB_FIELDS(first, blocks, pair, head, none, tail, both, scale, table, body)
  };
  Net net;
  net.blocks.emplace_back(3, 3);
  net.blocks.emplace_back(3, 3);
  net.head.emplace(3, 1);
  net.tail = std::make_unique<nn::Dense>(1, 1);
  net.body = nn::Sequential{nn::Dense(1, 2), nn::ReLU(), nn::Sequential{nn::Dense(2, 2, {.bias = false}), Block()}};
  CHECK(names(net) == Names{"first.weight",
                            "first.bias",
                            "blocks.0.weight",
                            "blocks.0.bias",
                            "blocks.1.weight",
                            "blocks.1.bias",
                            "pair.0.in.weight",
                            "pair.0.in.bias",
                            "pair.0.out.weight",
                            "pair.0.out.bias",
                            "head.weight",
                            "head.bias",
                            "tail.weight",
                            "tail.bias",
                            "both.0.weight",
                            "both.0.bias",
                            "both.1.weight",
                            "both.1.bias",
                            "scale",
                            "body.0.weight",
                            "body.0.bias",
                            "body.2.0.weight",
                            "body.2.1.in.weight",
                            "body.2.1.in.bias",
                            "body.2.1.out.weight",
                            "body.2.1.out.bias"});
  const auto buffers = nn::buffers(net);
  REQUIRE(buffers.size() == 1);
  CHECK(buffers[0].name == "table");
  CHECK(&buffers[0].tensor == &net.table);

  const Net& same = net;
  CHECK(names(same) == names(net));
}

TEST_CASE("a visit gives parameters and errors the path in the model") {
  struct Net {
    Block encoder;
    EBB_FIELDS(encoder)
  } net;
  CHECK(net.encoder.in.weight.name() == "");
  CHECK(scopes(net.encoder, zeros({1, 3})) == Names{"Dense(3 -> 4)", "", "Dense(4 -> 3)"});
  nn::parameters(net);
  CHECK(net.encoder.in.weight.name() == "encoder.in.weight");
  CHECK(scopes(net.encoder, zeros({1, 3})) == Names{"encoder.in", "", "encoder.out"});

  SUBCASE("and a visit of a part does not shorten it") {
    CHECK(names(net.encoder) == Names{"in.weight", "in.bias", "out.weight", "out.bias"});
    CHECK(net.encoder.in.weight.name() == "encoder.in.weight");
    CHECK(scopes(net.encoder, zeros({1, 3})) == Names{"encoder.in", "", "encoder.out"});
  }
}

TEST_CASE("an empty model has no parameters") {
  struct Empty {
    EBB_FIELDS()
  } empty;
  CHECK(nn::parameters(empty).empty());
  nn::Sequential nothing;
  CHECK(nn::parameters(nothing).empty());
  CHECK(nothing(tensor({1, 2})).to_vector<float>() == std::vector<float>{1, 2});
}

TEST_CASE("a Parameter that EBB_FIELDS forgot is reported, not silently untrained") {
  struct Net {
    nn::Dense in{2, 3};
    Parameter forgotten{zeros({64, 10})};
    EBB_FIELDS(in)
  } net;
  CHECK_THROWS_WITH_AS(nn::parameters(net),
                       "nn::parameters: a Parameter of shape [64, 10] inside the model is not reached by EBB_FIELDS; "
                       "add the field that holds it to EBB_FIELDS, or it will never train",
                       UsageError);
  CHECK(net.in.weight.name() == "");  // a visit that failed named nothing

  struct Outer {
    Net net;
    EBB_FIELDS(net)
  } outer;
  CHECK_THROWS_WITH_AS(nn::summary(outer),
                       "nn::parameters: a Parameter of shape [64, 10] inside net (Net) is not reached by EBB_FIELDS; "
                       "add the field that holds it to EBB_FIELDS, or it will never train",
                       UsageError);
}

TEST_CASE("a Sequential reports a layer that hides a Parameter") {
  struct Hider {
    Parameter w{zeros({3})};
    Tensor operator()(const Tensor& x) const { return x * w; }
  };
  nn::Sequential model{nn::ReLU(), Hider()};
  CHECK_THROWS_WITH_AS(nn::parameters(model),
                       "nn::parameters: a Parameter of shape [3] inside 1 (Hider) is not reached by EBB_FIELDS; "
                       "add the field that holds it to EBB_FIELDS, or it will never train",
                       UsageError);
}

TEST_CASE("a struct that inherits fields reports those it did not list") {
  struct Base {
    nn::Dense a{1, 1};
    EBB_FIELDS(a)
  };
  struct Derived : Base {
    nn::Dense b{1, 2};
  } derived;
  CHECK_THROWS_AS(nn::parameters(derived), UsageError);
}

TEST_CASE("shared weights are listed once, under their first name") {
  struct Tied {
    std::shared_ptr<nn::Dense> encode = std::make_shared<nn::Dense>(2, 2), decode = encode;
    nn::Dense& again = *encode;
    EBB_FIELDS(encode, decode, again)
  } tied;
  CHECK(names(tied) == Names{"encode.weight", "encode.bias"});

  nn::Dense shared(2, 2);
  nn::Sequential model{std::ref(shared), nn::ReLU(), std::ref(shared)};
  CHECK(names(model) == Names{"0.weight", "0.bias"});
}

TEST_CASE("a Sequential that has itself as a layer says so, visited and called") {
  nn::Sequential outer{nn::Dense(2, 2), nn::ReLU()}, inner{nn::ReLU(), std::ref(outer)};
  CHECK_NOTHROW(inner(zeros({1, 2})));
  outer.add(std::ref(inner));
  CHECK_THROWS_WITH_AS(nn::parameters(outer),
                       "nn::parameters: parts lie in parts 1000 deep: the model has itself as a part", UsageError);
  const char* const called = "Sequential: calls lie in calls 1000 deep: it has itself as a layer";
  CHECK_THROWS_WITH_AS(outer(zeros({1, 2})), called, UsageError);
  CHECK_THROWS_WITH_AS(inner(zeros({1, 2})), called, UsageError);
  Graph graph;
  CHECK_THROWS_WITH_AS(outer(zeros({1, 2})), called, UsageError);
  nn::Dense alone(2, 2);
  CHECK(nn::Sequential{std::ref(alone)}(zeros({1, 2})).shape() == Shape{1, 2});
}

TEST_CASE("a function that holds nothing is no layer") {
  using Function = std::function<Tensor(const Tensor&)>;
  CHECK_THROWS_WITH_AS((nn::Sequential{nn::ReLU(), Function()}), "Sequential: layer 1 is a function that holds nothing",
                       UsageError);
  Tensor (*const none)(const Tensor&) = nullptr;
  nn::Sequential model{nn::ReLU()};
  CHECK_THROWS_WITH_AS(model.add(none), "Sequential: layer 1 is a function that holds nothing", UsageError);
  CHECK(model.size() == 1);
  model.add(Function([](const Tensor& x) { return x * 2; })).add([](const Tensor& x) { return x + 1; });
  CHECK(model(ones({1})).item() == 3);
}

TEST_CASE("a copied model has its own numbers and no path until it is visited") {
  struct Net {
    Block a;
    std::vector<Block> more{1};
    nn::Sequential s{Block(), nn::Dense(3, 1)};
    EBB_FIELDS(a, more, s)
  } net;
  nn::parameters(net);
  Net copy = net;
  CHECK(scopes(copy.a, zeros({1, 3})) == Names{"Dense(3 -> 4)", "", "Dense(4 -> 3)"});

  const std::vector<float> before = net.s.at<nn::Dense>(1).weight.value().to_vector<float>();
  auto mine = nn::parameters(net), its = nn::parameters(copy);
  REQUIRE(mine.size() == its.size());
  for (std::size_t i = 0; i < mine.size(); ++i) {
    CHECK(mine[i].name == its[i].name);
    CHECK(mine[i].parameter.value().to_vector<float>() == its[i].parameter.value().to_vector<float>());
    CHECK(mine[i].parameter.state() != its[i].parameter.state());
    its[i].parameter.assign(zeros(its[i].parameter.shape()));
  }
  CHECK(net.s.at<nn::Dense>(1).weight.value().to_vector<float>() == before);
}

TEST_CASE("moving a model keeps its parameters, assigning one keeps the storage and takes the numbers") {
  nn::Sequential a{nn::Dense(2, 3), [](const Tensor& x) { return relu(x); }, nn::Dense(3, 1)};
  const auto state = a.at<nn::Dense>(0).weight.state();
  nn::Sequential b = std::move(a);
  CHECK(b.at<nn::Dense>(0).weight.state() == state);

  nn::Sequential other{nn::Dense(2, 3), nn::Dense(3, 1)};
  b = other;
  CHECK(b.size() == 2);
  CHECK(b.at<nn::Dense>(0).weight.state() == state);
  CHECK(b.at<nn::Dense>(0).weight.value().to_vector<float>() ==
        other.at<nn::Dense>(0).weight.value().to_vector<float>());
  CHECK(other.at<nn::Dense>(0).weight.state() != state);
  const nn::Sequential& alias = b;
  b = alias;
  CHECK(b.size() == 2);
}

TEST_CASE("layers in a std::vector keep their parameters when it grows") {
  std::vector<nn::Dense> layers;
  layers.emplace_back(1, 1);
  const auto state = layers[0].weight.state();
  for (int i = 0; i < 10; ++i) layers.emplace_back(1, 1);
  CHECK(layers[0].weight.state() == state);
  CHECK(names(layers).size() == 22);
}

TEST_CASE("types have names that people wrote") {
  struct Local {};
  const auto closure = [] {};
  CHECK(nn::type_name(typeid(Local)) == "Local");
  CHECK(nn::type_name(typeid(nn::Dense)) == "Dense");
  CHECK(nn::type_name(typeid(closure)) == "lambda");
  CHECK(nn::type_name(typeid(Tensor(*)(const Tensor&))) == "function");
  CHECK(nn::type_name(typeid(std::vector<Block>)) == "vector");
}

// ---- Sequential --------------------------------------------------------------------------------------------------

Tensor doubled(const Tensor& x) { return x * 2.0; }

TEST_CASE("a Sequential holds layers, structs, lambdas, functions and other Sequentials") {
  nn::Sequential model{nn::Sequential{nn::Dense(3, 3), nn::Tanh()}, Block(), doubled,
                       [](const Tensor& x) { return x + 1.0; }};
  model.add(nn::ReLU());
  CHECK(model.size() == 5);
  const Tensor x = randn({2, 3});
  const Tensor y = relu(model.at<Block>(1)(tanh(model.at<nn::Sequential>(0).at<nn::Dense>(0)(x))) * 2.0 + 1.0);
  CHECK(model(x).to_vector<float>() == y.to_vector<float>());

  nn::parameters(model);
  CHECK(scopes(model, x) == Names{"0.0", "0.1", "1.in", "1", "1.out", "2", "3", "4"});
}

TEST_CASE("a Sequential's layers are reached by number and type") {
  nn::Sequential model{nn::Dense(2, 1), nn::ReLU()};
  CHECK_THROWS_WITH_AS(model.at<nn::Dense>(1), "Sequential::at<Dense>(1): layer 1 is ReLU", UsageError);
  CHECK_THROWS_WITH_AS(model.at<nn::Dense>(2), "Sequential::at(2): there are 2 layers", IndexError);
  const nn::Sequential& constant = model;
  CHECK(constant.at<nn::Dense>(0).weight.shape() == Shape{1, 2});
}

TEST_CASE("a Sequential with a layer that cannot be copied can be moved") {
  struct Once {
    std::unique_ptr<nn::Dense> layer = std::make_unique<nn::Dense>(2, 2);
    Tensor operator()(const Tensor& x) const { return (*layer)(x); }
    EBB_FIELDS(layer)
  };
  nn::Sequential model{Once()};
  CHECK_THROWS_WITH_AS(nn::Sequential{model}, "Sequential: a Once cannot be copied; move the model instead",
                       UsageError);
  nn::Sequential moved = std::move(model);
  CHECK(names(moved) == Names{"0.layer.weight", "0.layer.bias"});
}

// ---- layers ------------------------------------------------------------------------------------------------------

TEST_CASE("Dense is x·Wᵀ + b") {
  nn::Dense layer(2, 3);
  CHECK(layer.weight.shape() == Shape{3, 2});
  CHECK(layer.bias.value().to_vector<float>() == std::vector<float>{0, 0, 0});
  layer.weight.assign(tensor({{1, 2}, {3, 4}, {5, 6}}));
  layer.bias.assign(tensor({10, 20, 30}));
  CHECK(layer(tensor({{1, 1}, {0, 1}})).to_vector<float>() == std::vector<float>{13, 27, 41, 12, 24, 36});
  CHECK(layer(zeros({4, 5, 2})).shape() == Shape{4, 5, 3});

  nn::Dense bare(2, 3, {.bias = false, .init = nn::he_normal, .dtype = f64});
  CHECK(bare.weight.dtype() == f64);
  CHECK(names(bare) == Names{"weight"});
  bare.weight.assign(tensor({{1, 2}, {3, 4}, {5, 6}}, f64));
  CHECK(bare(tensor({{1, 1}}, f64)).to_vector<double>() == std::vector<double>{3, 7, 11});
}

TEST_CASE("Dense says where in the model a wrong size came") {
  nn::Sequential model{nn::Dense(10, 64)};
  std::string message;
  const auto failure = [&] {
    try {
      model(zeros({32, 9}));
    } catch (const ShapeError& e) {
      return std::string(e.what());
    }
    return std::string("nothing was thrown");
  };
  message = failure();
  CHECK(message.starts_with("affine([32, 9], [64, 10], [64]): "));
  CHECK(message.find("\n  in Dense(10 -> 64)") != std::string::npos);
  nn::parameters(model);
  CHECK(failure().find("\n  in 0") != std::string::npos);

  CHECK_THROWS_WITH_AS(nn::Dense(0, 64), "Dense(0 -> 64): sizes must be at least 1", UsageError);
}

TEST_CASE("the same seed gives the same weights") {
  seed(1);
  const nn::Dense a(4, 4);
  seed(1);
  const nn::Dense b(4, 4);
  CHECK(a.weight.value().to_vector<float>() == b.weight.value().to_vector<float>());
}

TEST_CASE("activations are their ops") {
  const Tensor x = tensor({-2, -0.5, 0, 0.5, 2});
  const auto same = [](const Tensor& a, const Tensor& b) { return a.to_vector<float>() == b.to_vector<float>(); };
  CHECK(same(nn::ReLU()(x), relu(x)));
  CHECK(same(nn::LeakyReLU()(x), leaky_relu(x)));
  CHECK(same(nn::ELU()(x), elu(x)));
  CHECK(same(nn::GELU()(x), gelu(x)));
  CHECK(same(nn::SiLU()(x), silu(x)));
  CHECK(same(nn::Softplus()(x), softplus(x)));
  CHECK(same(nn::Mish()(x), mish(x)));
  CHECK(same(nn::Sigmoid()(x), sigmoid(x)));
  CHECK(same(nn::Tanh()(x), tanh(x)));
  CHECK(same(nn::Softmax()(x), softmax(x)));
  CHECK(nn::Flatten()(zeros({2, 3, 4})).shape() == Shape{2, 12});
  CHECK(nn::Flatten(0)(zeros({2, 3, 4})).shape() == Shape{24});
}

TEST_CASE("Dropout drops while a graph records, and is the identity otherwise") {
  seed(3);
  const nn::Dropout dropout(0.25);
  const Tensor x = ones({1000});
  CHECK(dropout(x).to_vector<float>() == x.to_vector<float>());
  const auto dropped = [&] {
    int zeros = 0;
    for (const float v : dropout(x).to_vector<float>()) {
      if (v == 0) ++zeros;
      else CHECK(v == doctest::Approx(4.0 / 3));
    }
    return zeros;
  };
  {
    Graph graph;
    const int zeros = dropped();
    CHECK(zeros > 180);
    CHECK(zeros < 320);
    const nn::Evaluating guard;
    CHECK(dropout(x).to_vector<float>() == x.to_vector<float>());
    {
      const nn::Training inner;
      CHECK(dropped() > 0);
    }
    CHECK(!nn::training());
  }
  const nn::Training guard;
  CHECK(dropped() > 0);
  CHECK_THROWS_WITH_AS(nn::Dropout(1), "Dropout(1): the probability must be in [0, 1)", UsageError);
  CHECK_THROWS_WITH_AS(nn::Dropout(-0.5), "Dropout(-0.5): the probability must be in [0, 1)", UsageError);
}

TEST_CASE("Dropout's gradient passes where its numbers passed") {
  Graph graph;
  const Tensor x = graph.variable(ones({64}));
  const Tensor y = nn::Dropout(0.5)(x);
  sum(y).backward();
  CHECK(x.grad().to_vector<float>() == y.to_vector<float>());
  const Tensor infinite = nn::Dropout(0.5)(full({64}, std::numeric_limits<double>::infinity()));
  for (const float v : infinite.to_vector<float>()) CHECK((v == 0 || std::isinf(v)));
}

TEST_CASE("initialisers have the deviation of their formulas") {
  Generator generator(5);
  const auto deviation = [](const Tensor& w) { return std::sqrt(var(w).item()); };
  const Shape shape{200, 100, 3};  // fan-in 300, fan-out 600
  CHECK(deviation(nn::glorot_uniform(shape, f32, generator)) == doctest::Approx(std::sqrt(2.0 / 900)).epsilon(0.02));
  CHECK(deviation(nn::glorot_normal(shape, f64, generator)) == doctest::Approx(std::sqrt(2.0 / 900)).epsilon(0.02));
  CHECK(deviation(nn::he_uniform(shape, f32, generator)) == doctest::Approx(std::sqrt(2.0 / 300)).epsilon(0.02));
  CHECK(deviation(nn::he_normal(shape, f64, generator)) == doctest::Approx(std::sqrt(2.0 / 300)).epsilon(0.02));
  CHECK(max(abs(nn::glorot_uniform(shape, f64, generator))).item() <= std::sqrt(6.0 / 900));
  CHECK_THROWS_WITH_AS(nn::he_normal({5}), "he_normal([5]): a weight has at least two axes, [out, in, ...]",
                       ShapeError);
}

// ---- summary -----------------------------------------------------------------------------------------------------

TEST_CASE("a summary is a table of layers, parameters and counts") {
  struct Net {
    nn::Sequential body{nn::Dense(10, 64), nn::ReLU()};
    Parameter scale{ones({1200})};
    Tensor mean = zeros({10});
    EBB_FIELDS(body, scale, mean)
  } net;
  CHECK(nn::summary(net) ==
        "layer   kind             parameters                            count\n"
        "--------------------------------------------------------------------\n"
        "model   Net              scale [1200]; not trained: mean [10]  1,200\n"
        "body.0  Dense(10 -> 64)  weight [64, 10], bias [64]              704\n"
        "body.1  ReLU\n"
        "--------------------------------------------------------------------\n"
        "1,904 parameters, 7.4 KiB\n");
}

TEST_CASE("a Sequential that EBB_FIELDS forgot is reported") {
  struct Net {
    nn::Sequential body{nn::Dense(2, 2)};
    nn::Dense out{2, 1};
    Tensor operator()(const Tensor& x) const { return out(body(x)); }
    EBB_FIELDS(out)
  } net;
  CHECK_THROWS_WITH_AS(nn::parameters(net),
                       "nn::parameters: a Sequential or recurrent layer inside the model is not reached by EBB_FIELDS; "
                       "add the field that holds it to EBB_FIELDS, or it will never train",
                       UsageError);
  // Inside another Sequential, in a copy and after a move, it is found where it is listed.
  nn::Sequential outer{nn::Sequential{nn::Dense(2, 2)}, nn::Dense(2, 1)};
  const nn::Sequential copy = outer;
  const nn::Sequential moved = std::move(outer);
  CHECK_THROWS_AS(outer(ones({1, 2})), UsageError);
  CHECK(nn::parameters(copy).size() == 4);
  CHECK(nn::parameters(moved)[0].name == "0.0.weight");
}
