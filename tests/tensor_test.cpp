// Tensors: making, reading, printing, viewing; shapes; and that no tensor ever changes under another's hands.
#include <doctest/doctest.h>
#include <ebb/autograd/autograd.h>

#include <cmath>
#include <cstdint>
#include <limits>
#include <sstream>
#include <string>
#include <thread>
#include <vector>

using namespace ebb;

namespace {

template <class T> using Numbers = std::vector<T>;

std::string printed(const auto& value) {
  std::ostringstream text;
  text << value;
  return text.str();
}

}  // namespace

TEST_CASE("a tensor is made of a number, of nested braces up to rank 4, or of a span") {
  CHECK(tensor(1.5).shape() == Shape{});
  CHECK(tensor(1.5).item() == 1.5);
  CHECK(tensor({1, 2, 3}).shape() == Shape{3});
  CHECK(tensor({{1, 2}, {3, 4}}).shape() == Shape{2, 2});
  CHECK(tensor({{{1}, {2}}}).shape() == Shape{1, 2, 1});
  CHECK(tensor({{{{1, 2}}}}, f64).shape() == Shape{1, 1, 1, 2});
  CHECK(tensor({{1, 2}, {3, 4}}, i64).to_vector<std::int64_t>() == Numbers<std::int64_t>{1, 2, 3, 4});
  CHECK(tensor({0.5, -1}).dtype() == f32);
  CHECK(from(Numbers<float>{1, 2, 3, 4}, {2, 2}).dtype() == f32);
  CHECK(from(Numbers<double>{1}, {}).dtype() == f64);
  const std::int64_t whole[] = {7, 8};
  CHECK(from(std::span<const std::int64_t>(whole), {2, 1}).dtype() == i64);
}

TEST_CASE("zeros, ones, full, eye, arange and linspace hold what they say") {
  CHECK(zeros({2}).to_vector<double>() == Numbers<double>{0, 0});
  CHECK(ones({2}, f64).to_vector<double>() == Numbers<double>{1, 1});
  CHECK(full({2}, -3, i64).to_vector<double>() == Numbers<double>{-3, -3});
  CHECK(eye(2).to_vector<double>() == Numbers<double>{1, 0, 0, 1});
  CHECK(eye(0).shape() == Shape{0, 0});
  CHECK(arange(4).dtype() == i64);
  CHECK(arange(4).to_vector<double>() == Numbers<double>{0, 1, 2, 3});
  CHECK(arange(3, f32).dtype() == f32);
  CHECK(arange(0).size() == 0);
  CHECK(linspace(0, 1, 5).to_vector<double>() == Numbers<double>{0, 0.25, 0.5, 0.75, 1});
  CHECK(linspace(2, 9, 1).to_vector<double>() == Numbers<double>{2});
  CHECK(linspace(0.1, 0.7, 7, f64)(6).value() == 0.7);
  CHECK(linspace(0, 1, 0).size() == 0);
}

TEST_CASE("shape, rank, size, type and numbers can be asked for") {
  const Tensor t = tensor({{1, 2, 3}, {4, 5, 6}});
  CHECK(t.rank() == 2);
  CHECK(t.size() == 6);
  CHECK(t.shape()[-1] == 3);
  CHECK(t.dtype() == f32);
  CHECK(t.data<float>()[4] == 5);
  CHECK(t.data<float>().size() == 6);
  double total = 0;
  for (const float x : t.data<float>()) total += static_cast<double>(x);
  CHECK(total == 21);
  CHECK(t.to_vector<std::int64_t>() == Numbers<std::int64_t>{1, 2, 3, 4, 5, 6});
  CHECK(tensor({{2.5}}).item() == 2.5);
  CHECK(t.name() == "");
  CHECK_FALSE(Tensor().defined());
  CHECK(t.defined());
}

TEST_CASE("indexing the first axis gives a slice, and indexing every axis a Scalar") {
  const Tensor t = tensor({{1, 2, 3}, {4, 5, 6}});
  CHECK(t[1].to_vector<double>() == Numbers<double>{4, 5, 6});
  CHECK(t[-2][2].item() == 3);
  CHECK(t[0].shape() == Shape{3});
  CHECK(t(1, 0).value() == 4);
  CHECK(t(-1, -1).value() == 6);
  CHECK(tensor(7)().value() == 7);
  CHECK(tensor({std::int64_t{1} << 52}, i64)(0).value() == 4503599627370496.0);
}

TEST_CASE("reshapes and slices along the first axis view the same memory") {
  const Tensor t = randn({6, 4});
  CHECK(reshape(t, {4, 6}).data<float>().data() == t.data<float>().data());
  CHECK(t[2].data<float>().data() == t.data<float>().data() + 8);
  CHECK(slice(t, 1, 3).data<float>().data() == t.data<float>().data() + 4);
  CHECK(detach(t).data<float>().data() == t.data<float>().data());
  CHECK(slice(t, 0, 2, 1).data<float>().data() != t.data<float>().data());
}

TEST_CASE("a view outlives the tensor that it was taken of") {
  Tensor row;
  {
    const Tensor whole = tensor({{1, 2}, {3, 4}});
    row = reshape(whole[1], {2, 1});
  }
  for (int i = 0; i < 100; ++i) full({2, 2}, 9);  // would take the memory, were it free
  CHECK(row.to_vector<double>() == Numbers<double>{3, 4});
}

TEST_CASE("a tensor never changes: += makes a new one in the handle") {
  Tensor a = tensor({1, 2});
  const Tensor before = a, view = a[0];
  a += 1;
  a *= a;
  CHECK(a.to_vector<double>() == Numbers<double>{4, 9});
  CHECK(before.to_vector<double>() == Numbers<double>{1, 2});
  CHECK(view.item() == 1);
}

TEST_CASE("handles copy, move and assign to themselves") {
  Tensor a = tensor({1, 2});
  Tensor b = a, c = std::move(b);
  CHECK(c.data<float>().data() == a.data<float>().data());
  const Tensor& same = a;
  a = same;
  CHECK(a.to_vector<double>() == Numbers<double>{1, 2});
  a = a * 2 + a;
  CHECK(a.to_vector<double>() == Numbers<double>{3, 6});
  CHECK(c.to_vector<double>() == Numbers<double>{1, 2});
}

TEST_CASE("buffers lie on 64-byte boundaries") {
  for (const std::int64_t n : {1, 7, 33, 1000, 100000})
    CHECK(reinterpret_cast<std::uintptr_t>(ones({n}, f64).data<double>().data()) % 64 == 0);
}

TEST_CASE("tensors can be made on one thread and let go of on another") {
  std::vector<Tensor> made;
  std::thread([&] {
    for (int i = 0; i < 1000; ++i) made.push_back(full({33}, i));
  }).join();
  for (int i = 0; i < 1000; ++i) CHECK(made[static_cast<std::size_t>(i)](32).value() == i);
  std::thread([&] { made.clear(); }).join();
  CHECK(sum(ones({33})).item() == 33);
}

TEST_CASE("to() converts between all types, cutting fractions off") {
  const Tensor t = tensor({-1.75, 0.5, 3}, f64);
  CHECK(t.to(i64).to_vector<std::int64_t>() == Numbers<std::int64_t>{-1, 0, 3});
  CHECK(t.to(f32).to(f64).to_vector<double>() == t.to_vector<double>());
  CHECK(tensor({1, 2}, i64).to(f32).to_vector<float>() == Numbers<float>{1, 2});
  CHECK(std::isinf(tensor({1e300}, f64).to(f32).item()));
}

TEST_CASE("whole numbers wrap around at 64 bits, as NumPy's do") {
  const std::int64_t most = std::numeric_limits<std::int64_t>::max(), least = std::numeric_limits<std::int64_t>::min();
  const Tensor large = from(Numbers<std::int64_t>{most}, {1});
  CHECK((large + 1).to_vector<std::int64_t>()[0] == least);
  CHECK((large * 2).to_vector<std::int64_t>()[0] == -2);
  CHECK((-from(Numbers<std::int64_t>{least}, {1})).to_vector<std::int64_t>()[0] == least);
}

TEST_CASE("comparisons give 1 and 0 in i64, and nothing equals NaN") {
  const Tensor a = tensor({1, 2, std::numeric_limits<double>::quiet_NaN()});
  CHECK((a < 2).to_vector<double>() == Numbers<double>{1, 0, 0});
  CHECK((a <= 2).to_vector<double>() == Numbers<double>{1, 1, 0});
  CHECK((1 < a).to_vector<double>() == Numbers<double>{0, 1, 0});
  CHECK((a >= tensor({2, 2, 2})).to_vector<double>() == Numbers<double>{0, 1, 0});
  CHECK((a == a).to_vector<double>() == Numbers<double>{1, 1, 0});
  CHECK((a != a).to_vector<double>() == Numbers<double>{0, 0, 1});
  CHECK((tensor({1, 2}, i64) > 1.5).to_vector<double>() == Numbers<double>{0, 1});
  CHECK((a < 2).dtype() == i64);
}

TEST_CASE("one_hot has a 1 at each label") {
  CHECK(one_hot(tensor({2, 0}, i64), 3).to_vector<double>() == Numbers<double>{0, 0, 1, 1, 0, 0});
  CHECK(one_hot(tensor({{1}}, i64), 2, f64).shape() == Shape{1, 1, 2});
  CHECK(one_hot(zeros({0}, i64), 4).shape() == Shape{0, 4});
}

TEST_CASE("nothing adds up to 0, averages to NaN, and passes through every op") {
  const Tensor none = zeros({0, 3}, f64);
  CHECK(sum(none).item() == 0);
  CHECK(std::isnan(mean(none).item()));
  CHECK(sum(none, 0).to_vector<double>() == Numbers<double>{0, 0, 0});
  CHECK(matmul(zeros({2, 0}), zeros({0, 3})).to_vector<double>() == Numbers<double>(6, 0.0));
  CHECK(concat({none, ones({1, 3}, f64)}).shape() == Shape{1, 3});
  CHECK(max(none, 1).shape() == Shape{0});
}

// ---- shapes ------------------------------------------------------------------------------------------------------

TEST_CASE("a shape knows its rank and size, and prints as a list") {
  CHECK(Shape{}.size() == 1);
  CHECK(Shape{}.rank() == 0);
  CHECK(Shape{2, 3}.size() == 6);
  CHECK(Shape{2, 0, 3}.size() == 0);
  CHECK(printed(Shape{2, 3}) == "[2, 3]");
  CHECK(to_string(Shape{}) == "[]");
  CHECK(Shape{2, 3}[-2] == 2);
  CHECK(Shape{2, 3} != Shape{3, 2});
  CHECK(Shape{2, 3} != Shape{2, 3, 1});
}

TEST_CASE("a shape can lose an axis, gain one, or change one") {
  const Shape s{2, 3, 4};
  CHECK(s.without(1) == Shape{2, 4});
  CHECK(s.without(-1) == Shape{2, 3});
  CHECK(s.with(0, 7) == Shape{7, 3, 4});
  CHECK(s.inserted(0, 5) == Shape{5, 2, 3, 4});
  CHECK(s.inserted(3, 5) == Shape{2, 3, 4, 5});
  CHECK(s == Shape{2, 3, 4});
}

TEST_CASE("broadcasting aligns shapes at the last axis") {
  CHECK(broadcast({}, {}) == Shape{});
  CHECK(broadcast({3, 1}, {1, 4}) == Shape{3, 4});
  CHECK(broadcast({4}, {2, 3, 1}) == Shape{2, 3, 4});
  CHECK(broadcast({0}, {1}) == Shape{0});
  CHECK_THROWS_AS(broadcast({2}, {3}), ShapeError);
}

// ---- printing ----------------------------------------------------------------------------------------------------

TEST_CASE("a tensor prints its numbers, its type and its shape; long axes are shortened") {
  CHECK(printed(tensor({1, 2.5})) == "[1, 2.5]  f32 [2]");
  CHECK(printed(tensor({{1, 2}, {3, 4}}, f64)) == "[[1, 2],\n [3, 4]]  f64 [2, 2]");
  CHECK(printed(tensor(7)) == "7  f32 []");
  CHECK(printed(arange(1000000)) == "[0, 1, 2, ..., 999997, 999998, 999999]  i64 [1000000]");
  CHECK(to_string(zeros({0, 3})) == "[]  f32 [0, 3]");
  CHECK(to_string(Tensor()) == "no tensor");
}

TEST_CASE("shapes and values come from what programs have at hand") {
  const std::vector<float> v{1, 2, 3, 4};
  const std::array<double, 2> a{5, 6};
  const std::int64_t raw[] = {7, 8};
  CHECK(zeros({v.size(), 3}).shape() == Shape{4, 3});
  CHECK(from(v, {v.size() / 2, 2})(1, 1).value() == 4);
  CHECK(from(a, {2})(0).value() == 5);
  CHECK(from(raw, {2}).dtype() == i64);
  CHECK(from(std::span(v).subspan(2), {2})(0).value() == 3);
  CHECK(reshape(from(v, {4}), {v.size() / 2, -1}).shape() == Shape{2, 2});
  CHECK(where(from(v, {4}) > 2, 1.0, 0.0).to_vector<float>() == std::vector<float>{0, 0, 1, 1});
  const Parameter w(from(v, {2, 2}));
  CHECK(w[1].shape() == Shape{2});
  CHECK(w(1, 0).value() == 3);
}

TEST_CASE("64-bit numbers written in braces, and printed, are exact") {
  const Tensor t = tensor({9007199254740993LL, -1LL}, i64);
  CHECK(t.to_vector<std::int64_t>()[0] == 9007199254740993LL);
  CHECK(to_string(t) == "[9007199254740993, -1]  i64 [2]");
}

TEST_CASE("a tensor of one element is a condition, and of more is refused as one") {
  CHECK(bool(tensor(0.05) < 0.1));
  CHECK_FALSE(bool(tensor(0.0)));
  CHECK_THROWS_WITH_AS((void)bool(ones({2})), "item(): the tensor has shape [2]; only a single number is one item",
                       ShapeError);
}
