// replay(): the same bits as eager, a reason wherever it runs eagerly, and what is handed out is nobody else's.
#include "op_table.h"

#include <ebb/autograd/autograd.h>
#include <ebb/nn/nn.h>
#include <ebb/optim/optim.h>

#include <doctest/doctest.h>

#include <bit>
#include <cstdint>
#include <cstring>
#include <string>
#include <thread>
#include <vector>

using namespace ebb;

namespace {

/// The same numbers to the last bit; NaN is NaN.
bool same(const Tensor& a, const Tensor& b) {
  if (a.shape() != b.shape() || a.dtype() != b.dtype()) return false;
  if (a.dtype() == f32)
    return std::memcmp(a.data<float>().data(), b.data<float>().data(), std::size_t(a.size()) * 4) == 0;
  if (a.dtype() == f64)
    return std::memcmp(a.data<double>().data(), b.data<double>().data(), std::size_t(a.size()) * 8) == 0;
  return a.to_vector<std::int64_t>() == b.to_vector<std::int64_t>();
}

/// Every number once more: what is compared is no buffer that changes.
Tensor copy(const Tensor& t) { return Parameter(t).value() * 1.0; }

}  // namespace

TEST_CASE("a replayed step gives eager's loss and gradients") {
  const Parameter w(randn({3, 4})), b(zeros({3}));
  auto step = replay([&](const Tensor& x, const Tensor& y) { return mean(square(affine(x, w, b) - y)); });
  for (int i = 0; i < 4; ++i) {
    const Tensor x = randn({5, 4}), y = randn({5, 3});
    Parameter ew(w), eb(b);
    Tensor expected;
    {
      Graph graph;
      const Tensor loss = mean(square(affine(x, ew, eb) - y));
      loss.backward();
      expected = detach(loss);
    }
    const Tensor loss = step(x, y);
    CHECK(step.why() == "");
    CHECK(same(loss, expected));
    CHECK(same(w.grad(), ew.grad()));
    CHECK(same(b.grad(), eb.grad()));
    const_cast<Parameter&>(w).clear_grad();
    const_cast<Parameter&>(b).clear_grad();
  }
  CHECK(step.recordings() == 1);
  CHECK(step.bytes() > 0);
}

TEST_CASE("every op of the table is replayed on other numbers with eager's bits") {
  for (const table::OpCase& op : table::op_cases()) {
    for (const std::vector<Shape>& shapes : op.shapes) {
      for (const DType dtype : {f64, f32}) {
        std::vector<Parameter> p, q;
        const auto loss_of = [&](const std::vector<Parameter>& of) {
          table::Operands x;
          for (const Parameter& each : of) x.push_back(each);
          const Tensor y = op.call(x);
          Tensor loss = sum(y.to(dtype) * 0.37);
          for (const Parameter& each : of) loss = loss + sum(each) * 0.0;
          return loss;
        };
        for (const Tensor& x : table::samples(op, shapes)) {
          p.emplace_back(x.to(dtype));
          q.emplace_back(x.to(dtype));
        }
        auto step = replay([&] { return loss_of(p); });
        for (std::uint64_t seed = 0; seed < 4; ++seed) {
          const table::Operands x = table::samples(op, shapes, seed % 3);
          for (std::size_t i = 0; i < x.size(); ++i) {
            // As an optimizer does: in place.
            std::memcpy(ebb::detail::writable(p[i].state()->value), ebb::detail::impl(x[i].to(dtype)).data,
                        std::size_t(x[i].size()) * ebb::size_of(dtype));
            q[i].assign(x[i].to(dtype));
            p[i].clear_grad();
            q[i].clear_grad();
          }
          ebb::seed(seed);
          Tensor expected;
          {
            Graph graph;
            expected = loss_of(q);
            expected.backward();
          }
          ebb::seed(seed);
          const Tensor loss = step();
          CAPTURE(op.name);
          CAPTURE(step.why());
          CAPTURE(seed);
          CHECK(same(loss, expected));
          for (std::size_t i = 0; i < p.size(); ++i) CHECK(same(p[i].grad(), q[i].grad()));
        }
      }
    }
  }
}

namespace {

/// Trains two copies of a model, one replayed, on batches of changing numbers: all that they learn must be the same bits.
template <class Make, class Loss>
void train_both(Make make, Loss loss_of, const std::function<std::vector<Tensor>()>& batch) {
  seed(5);
  auto ours = make();
  seed(5);
  auto theirs = make();
  optim::Adam adam(ours, {.lr = 0.01}), eager(theirs, {.lr = 0.01});
  auto step = replay([&](const Tensor& x, const Tensor& y) { return loss_of(ours, x, y); });
  Generator before = default_generator();
  for (int i = 0; i < 20; ++i) {
    default_generator() = before;
    const std::vector<Tensor> xy = batch();
    const Generator drawn = default_generator();
    const Tensor loss = step(xy[0], xy[1]);
    REQUIRE(step.why() == "");
    adam.step();
    const Generator after = default_generator();
    default_generator() = drawn;
    Graph graph;
    const Tensor expected = loss_of(theirs, xy[0], xy[1]);
    expected.backward();
    eager.step();
    REQUIRE(same(loss, expected));
    REQUIRE(after.position() == default_generator().position());
    before = default_generator();
  }
  CHECK(step.recordings() == 1);
  const auto a = nn::numbers(nn::contents(ours)), b = nn::numbers(nn::contents(theirs));
  REQUIRE(a.size() == b.size());
  for (const auto& learned : a) {
    CAPTURE(learned.first);
    CHECK(same(learned.second, b.at(learned.first)));
  }
}

}  // namespace

TEST_CASE("an MLP with dropout and batch norm trains to the same bits") {
  train_both(
      [] {
        return nn::Sequential{nn::Dense(10, 33), nn::BatchNorm1d(33), nn::ReLU(), nn::Dropout(0.3),
                              nn::Dense(33, 7),  nn::LayerNorm(7),    nn::GELU(), nn::Dense(7, 1)};
      },
      [](auto& model, const Tensor& x, const Tensor& y) { return nn::binary_cross_entropy_with_logits(model(x), y); },
      [] {
        return std::vector{randn({16, 10}), (rand({16, 1}) > 0.5).to(f32)};
      });
}

TEST_CASE("what a checkpoint computes again is computed again by a replay, with the same dropout") {
  train_both(
      [] {
        return nn::Sequential{nn::Dense(4, 9), nn::BatchNorm1d(9), nn::Dropout(0.4), nn::Tanh(), nn::Dense(9, 1)};
      },
      [](auto& model, const Tensor& x, const Tensor& y) {
        const Tensor p = checkpoint([&model](const Tensor& t) { return model(t); }, x * rand(x.shape()));
        return nn::mse_loss(p, y);
      },
      [] {
        return std::vector{randn({6, 4}), randn({6, 1})};
      });
}

TEST_CASE("a CNN trains to the same bits") {
  train_both(
      [] {
        return nn::Sequential{nn::Conv2d(1, 4, 5, {.padding = 2}),
                              nn::BatchNorm2d(4),
                              nn::ReLU(),
                              nn::MaxPool2d(2),
                              nn::Conv2d(4, 3, 3),
                              nn::Tanh(),
                              nn::AvgPool2d(2),
                              nn::Flatten(),
                              nn::Dense(3 * 2 * 2, 5)};
      },
      [](auto& model, const Tensor& x, const Tensor& y) { return nn::cross_entropy(model(x), y); },
      [] {
        return std::vector{randn({6, 1, 12, 12}), randint(0, 5, {6})};
      });
}

TEST_CASE("recurrent layers train to the same bits") {
  struct Net {
    nn::LSTM lstm{3, 8, {.layers = 2, .sequences = true}};
    nn::GRU gru{8, 5, {.bidirectional = true}};
    nn::Dense out{10, 2};
    Tensor operator()(const Tensor& x) const { return out(gru(lstm(x))); }
    EBB_FIELDS(lstm, gru, out)
  };
  train_both([] { return Net(); },
             [](auto& model, const Tensor& x, const Tensor& y) { return nn::huber_loss(model(x), y); },
             [] {
               return std::vector{randn({4, 6, 3}), randn({4, 2})};
             });
}

TEST_CASE("attention and embeddings train to the same bits") {
  struct Net {
    nn::Embedding words{11, 8};
    nn::MultiHeadAttention attention{8, 2};
    nn::LayerNorm norm{8};
    nn::Dense out{8, 11};
    Tensor operator()(const Tensor& i) const {
      const Tensor x = words(i);
      return out(norm(x + attention(x, x, x, {.causal = true})));
    }
    EBB_FIELDS(words, attention, norm, out)
  };
  train_both([] { return Net(); },
             [](auto& model, const Tensor& x, const Tensor& y) {
               return nn::cross_entropy(reshape(model(x), {-1, 11}), reshape(y, {-1}));
             },
             [] {
               return std::vector{randint(0, 11, {3, 5}), randint(0, 11, {3, 5})};
             });
}

TEST_CASE("long chains of elementwise ops that run block by block give eager's bits, on one buffer or on several") {
  for (const std::int64_t n : {8191, 8192, 30001}) {
    Parameter w(randn({n})), v(w);
    const auto loss_of = [](const Parameter& p, const Tensor& x) {
      Tensor h = p * x;
      for (int i = 0; i < 4; ++i) h = tanh(h * 1.1 + x) - 0.3 * h;
      const Tensor turned = flip(h, 0);
      h = h * turned + (h > 0).to(f32) * sigmoid(turned);
      return mean(square(h) + where(h > x, h, x));
    };
    auto step = replay([&](const Tensor& x) { return loss_of(w, x); });
    for (int i = 0; i < 3; ++i) {
      const Tensor x = randn({n});
      const Tensor loss = step(x);
      Graph graph;
      const Tensor expected = loss_of(v, x);
      expected.backward();
      CHECK(step.why() == "");
      CHECK(same(loss, expected));
      CHECK(same(w.grad(), v.grad()));
      w.clear_grad();
      v.clear_grad();
    }
  }
}

TEST_CASE("ops that choose by their numbers are recorded anew when these choose otherwise") {
  Parameter w(ones({3, 4}));
  const auto loss_of = [](const Parameter& p, const Tensor& x, const Tensor& y) {
    return norm(p * x) + nn::cross_entropy(p * x, y, {.ignore_index = -1});
  };
  auto step = replay([&](const Tensor& x, const Tensor& y) { return loss_of(w, x, y); });
  for (int i = 0; i < 4; ++i) {
    const Tensor x = randn({3, 4}) * (i == 2 ? 1e-30 : 1.0), y = tensor({0, 1, 3}, i64);
    w.clear_grad();
    const Tensor loss = step(x, y);
    Parameter v(ones({3, 4}));
    Graph graph;
    const Tensor expected = loss_of(v, x, y);
    expected.backward();
    CHECK(same(loss, expected));
    CHECK(same(w.grad(), v.grad()));
    CHECK(step.why() == "");
  }
  step(randn({3, 4}), tensor({0, -1, 3}, i64));
  CHECK(step.why() != "");
}

// ---- what cannot be replayed -----------------------------------------------------------------------------------------

namespace {

/// The reason that a step of the function gives, having checked that its results are eager's at each call.
template <class F> std::string reason(F f) {
  Parameter w(tensor({0.5, -1.5, 2.0}));
  auto step = replay([&](const Tensor& x) { return f(w, x); });
  for (int i = 0; i < 3; ++i) {
    const Tensor x = randn({3});
    w.clear_grad();
    const Tensor loss = step(x);
    const Tensor got = copy(w.grad());
    w.clear_grad();
    Graph graph;
    const Tensor expected = f(w, x);
    expected.backward();
    CHECK(same(loss, expected));
    CHECK(same(got, w.grad()));
  }
  return step.why();
}

constexpr char reads[] =
    "the function reads numbers that other calls compute anew (item(), data(), to_vector() or printing)";

}  // namespace

TEST_CASE("what a recording cannot tell runs eagerly, and why() says what it is") {
  CHECK(reason([](Parameter& w, const Tensor& x) { return sum(w * x) * (sum(x).item() > 0 ? 1.0 : -1.0); }) == reads);
  CHECK(reason([](Parameter& w, const Tensor& x) { return sum(w * x) * w.value().to_vector<double>()[0]; }) == reads);
  CHECK(reason([](Parameter& w, const Tensor& x) { return sum(w * x) * double(x.data<float>()[1]); }) == reads);
  CHECK(reason([](Parameter& w, const Tensor& x) { return sum(w * x) * static_cast<double>(to_string(x).size()); }) ==
        reads);
  CHECK(reason([](Parameter& w, const Tensor& x) { return sum(w * x * x(0)); }) ==
        "the function computes with Scalars");
  CHECK(reason([](Parameter& w, const Tensor& x) {
          return sum(w * x * from(std::vector{1.0F, 2.0F, 3.0F}, {3}));
        }) == "the function makes a tensor out of C++ numbers with from(), which may be others at each call");
  CHECK(reason([](Parameter& w, const Tensor& x) {
          Generator own(3);
          return sum(w * x * rand({3}, f32, own));
        }) == "the function draws from a Generator that is not the thread's default one");
  CHECK(reason([](Parameter& w, const Tensor& x) {
          const double by = 3;
          return sum(w * elementwise("by", [by](auto v) { return v * by; })(x));
        }) == "the function makes an elementwise() op whose formula captures");
  CHECK(reason([cube = replay([](Scalar s) { return s * s * s; })](Parameter& w, const Tensor& x) mutable {
          Tensor slope;
          {
            const Pause pause;
            slope = cube(x).gradients;
          }
          return sum(w * reshape(slope, {3}).to(f32));
        }) == "the function runs a replay() of Scalars");
  Tensor kept;
  CHECK(reason([&](Parameter& w, const Tensor& x) {
          kept = w * x;
          return sum(kept);
        }) == "the function computes a tensor that outlives it");
  CHECK(reason([&](Parameter& w, const Tensor& x) {
          kept = x;
          return sum(w * x);
        }) == "the function computes a tensor that outlives it");
  CHECK(reason([](Parameter& w, const Tensor& x) {
          try {
            return nn::cross_entropy(reshape(w * x, {1, 3}), x.to(i64) + 7);
          } catch (const Error&) {
            return sum(w * x);
          }
        }) == "the function makes a call that fails, and goes on");
  Parameter other(zeros({3}));
  CHECK(reason([&](Parameter& w, const Tensor& x) {
          other.assign(x);
          return sum(w * x * other);
        }) == "the function assigns to a Parameter");
  CHECK(reason([&](Parameter& w, const Tensor& x) { return sum(w * x) * (other.has_grad() ? 1.0 : 2.0); }) ==
        "the function asks a Parameter for its gradient");
}

TEST_CASE("an open graph is refused as by eager") {
  Parameter w(ones({2}));
  auto step = replay([&](const Tensor& x) { return sum(w * x); });
  const Tensor x = ones({2});
  step(x);
  Graph graph;
  CHECK_THROWS_AS(step(x), GraphError);
}

TEST_CASE("a wrong operand is refused in the function's own words, and changes nothing") {
  nn::Dense dense(4, 3);
  auto step = replay([&](const Tensor& x, const Tensor& y) { return nn::cross_entropy(dense(x), y); });
  const Tensor x = randn({2, 4});
  step(x, tensor({0, 2}, i64));
  const Tensor before = copy(dense.weight.grad());
  CHECK_THROWS_AS(step(x, tensor({0, 3}, i64)), IndexError);
  CHECK(same(dense.weight.grad(), before));
  CHECK_THROWS_AS(step(randn({2, 5}), tensor({0, 1}, i64)), ShapeError);
  dense.weight.clear_grad();
  step(x, tensor({0, 2}, i64));
  CHECK(step.why() == "");
  CHECK(same(dense.weight.grad(), before));
}

// ---- who holds what --------------------------------------------------------------------------------------------------

TEST_CASE("gradients that somebody keeps do not change") {
  Parameter w(tensor({1, 2, 3}));
  auto step = replay([&](const Tensor& x) { return sum(square(w) * x); });
  std::vector<Tensor> kept, copies;
  for (int i = 0; i < 5; ++i) {
    w.clear_grad();
    step(full({3}, i + 1.0));
    kept.push_back(w.grad());
    copies.push_back(copy(w.grad()));
    CHECK(w.grad().to_vector<double>()[2] == 6.0 * (i + 1));
  }
  for (std::size_t i = 0; i < kept.size(); ++i) CHECK(same(kept[i], copies[i]));
  CHECK(step.why() == "");
}

TEST_CASE("several steps before one of the optimizer add up") {
  Parameter w(tensor({1, 2, 3}));
  auto step = replay([&](const Tensor& x) { return sum(square(w) * x); });
  for (int round = 0; round < 3; ++round) {
    w.clear_grad();
    for (int i = 0; i < 4; ++i) step(full({3}, i + 1.0));
    CHECK(w.grad().to_vector<double>() == std::vector<double>{20, 40, 60});
  }
  CHECK(step.why() == "");
}

TEST_CASE("new numbers, shapes and types between steps are seen") {
  Parameter w(tensor({1, 2, 3}));
  auto step = replay([&](const Tensor& x) { return sum(w * x); });
  CHECK(step(ones({3})).item() == 6);
  w.assign(tensor({10, 20, 30}));
  CHECK(step(ones({3})).item() == 60);
  CHECK(step(ones({2, 3})).item() == 120);
  CHECK(step(ones({3}, f64)).item() == 60);
  CHECK(step(ones({3})).item() == 60);
  CHECK(step.recordings() == 3);
  CHECK(step.why() == "");
}

TEST_CASE("operands of more kinds than are kept run eagerly, and those that are kept go on") {
  Parameter w(ones({1}));
  auto step = replay([&](const Tensor& x) { return sum(w * x); });
  for (std::int64_t round = 0; round < 3; ++round)
    for (std::int64_t n = 1; n <= 10; ++n) {
      CHECK(step(ones({n})).item() == static_cast<double>(n));
      CHECK(step.why() == (n <= 8 ? "" : "operands of more than 8 kinds take turns"));
    }
  CHECK(step.recordings() == 8);
}

TEST_CASE("two replayed steps of one model take turns") {
  Parameter w(tensor({1, 2, 3}));
  auto one = replay([&](const Tensor& x) { return sum(w * x); });
  auto two = replay([&](const Tensor& x) { return sum(square(w) * x); });
  for (int i = 1; i < 5; ++i) {
    w.clear_grad();
    one(full({3}, i));
    two(full({3}, i));
    CHECK(w.grad().to_vector<double>() == std::vector<double>{3.0 * i, 5.0 * i, 7.0 * i});
  }
}

TEST_CASE("a layer that is gone or was replaced is not trained on") {
  auto dense = std::make_unique<nn::Dense>(2, 1);
  auto step = replay([&](const Tensor& x) { return sum((*dense)(x)); });
  const Tensor x = ones({1, 2});
  step(x);
  step(x);
  dense = std::make_unique<nn::Dense>(2, 1);
  step(x);
  CHECK(dense->weight.has_grad());
}

TEST_CASE("statistics that somebody keeps do not change") {
  nn::BatchNorm1d norm(2);
  auto step = replay([&](const Tensor& x) { return sum(norm(x)); });
  step(randn({4, 2}));
  step(randn({4, 2}));
  const Tensor kept = norm.running_mean, then = copy(kept);
  step(randn({4, 2}));
  CHECK(same(kept, then));
  CHECK(!same(norm.running_mean, then));
  norm.running_mean = zeros({2});
  norm.running_var = ones({2});
  step(full({4, 2}, 1.0));
  CHECK(norm.running_mean.to_vector<float>()[0] == doctest::Approx(0.1));
}

TEST_CASE("layers under an Evaluating guard are recorded by themselves") {
  nn::Dropout dropout(0.5);
  Parameter w(ones({100}));
  auto step = replay([&] { return sum(dropout(w)); });
  step();
  step();
  {
    const nn::Evaluating guard;
    CHECK(step().item() == 100);
    CHECK(step().item() == 100);
  }
  CHECK(step().item() != 100);
  CHECK(step.recordings() == 2);
}

TEST_CASE("each thread replays its own step") {
  Parameter w(tensor({1, 2, 3}));
  const auto work = [&] {
    auto step = replay([&](const Tensor& x) { return sum(w * x); });
    for (int i = 0; i < 200; ++i) step(ones({3}));
  };
  w.clear_grad();
  {  // a first step settles where the numbers lie
    auto step = replay([&](const Tensor& x) { return sum(w * x); });
    step(zeros({3}));
  }
  std::thread a(work), b(work);
  a.join();
  b.join();
  CHECK(w.grad().to_vector<double>() == std::vector<double>{400, 400, 400});
}

TEST_CASE("threads that replay steps with one layer all move its statistics") {
  nn::BatchNorm1d norm(64);
  constexpr int calls = 3000;
  const auto work = [&] {
    auto step = replay([&](const Tensor& x) { return sum(square(norm(x))); });
    const Tensor x = randn({4, 64});
    for (int i = 0; i < calls; ++i) step(x);
  };
  std::thread a(work), b(work);
  a.join();
  b.join();
  CHECK(norm.num_batches_tracked.item() == 2 * calls);
}
