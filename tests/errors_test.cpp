// What every op refuses, with the exception and the whole message: one line for each bad call.
#include <doctest/doctest.h>
#include <ebb/autograd/autograd.h>

#include <limits>
#include <string>
#include <vector>

using namespace ebb;

namespace {

struct BadCall {
  void (*call)();
  std::string refusal;  // the exception's type and message
};

std::string refusal(void (*call)()) {
  try {
    call();
  } catch (const ShapeError& error) {
    return std::string("ShapeError: ") + error.what();
  } catch (const DTypeError& error) {
    return std::string("DTypeError: ") + error.what();
  } catch (const IndexError& error) {
    return std::string("IndexError: ") + error.what();
  } catch (const GraphError& error) {
    return std::string("GraphError: ") + error.what();
  } catch (const UsageError& error) {
    return std::string("UsageError: ") + error.what();
  }
  return "nothing was refused";
}

/// Ops: what they refuse names the op, the shapes (the types too, if these are the reason) and the module.
std::vector<BadCall> bad_ops() {
  return {
      // elementwise
      {[] { zeros({3, 4}) + zeros({5}); },
       "ShapeError: add([3, 4], [5]): do not broadcast, the last axis is 4 and 5; each must be equal or 1"},
      {[] { zeros({3, 4}) - zeros({4, 3}); },
       "ShapeError: sub([3, 4], [4, 3]): do not broadcast, the last axis is 4 and 3; each must be equal or 1"},
      {[] { zeros({2, 3}) * zeros({2, 1, 4}); },
       "ShapeError: mul([2, 3], [2, 1, 4]): do not broadcast, the last axis is 3 and 4; each must be equal "
       "or 1"},
      {[] { zeros({2}) / zeros({3}); },
       "ShapeError: div([2], [3]): do not broadcast, the last axis is 2 and 3; each must be equal or 1"},
      {[] { pow(zeros({2}), zeros({3})); },
       "ShapeError: pow([2], [3]): do not broadcast, the last axis is 2 and 3; each must be equal or 1"},
      {[] { maximum(zeros({0}), zeros({3})); },
       "ShapeError: maximum([0], [3]): do not broadcast, the last axis is 0 and 3; each must be equal or 1"},
      {[] { minimum(zeros({2, 2}), zeros({3, 2})); },
       "ShapeError: minimum([2, 2], [3, 2]): do not broadcast, axis -2 is 2 and 3; each must be equal or 1"},
      {[] { (void)(zeros({2}) < zeros({3})); },
       "ShapeError: less([2], [3]): do not broadcast, the last axis is 2 and 3; each must be equal or 1"},
      {[] { (void)(zeros({2}) <= zeros({3})); },
       "ShapeError: less_equal([2], [3]): do not broadcast, the last axis is 2 and 3; each must be equal or "
       "1"},
      {[] { (void)(zeros({2}) > zeros({3})); },
       "ShapeError: greater([2], [3]): do not broadcast, the last axis is 2 and 3; each must be equal or 1"},
      {[] { (void)(zeros({2}) >= zeros({3})); },
       "ShapeError: greater_equal([2], [3]): do not broadcast, the last axis is 2 and 3; each must be equal "
       "or 1"},
      {[] { (void)(zeros({2}) == zeros({3})); },
       "ShapeError: equal([2], [3]): do not broadcast, the last axis is 2 and 3; each must be equal or 1"},
      {[] { (void)(zeros({2}) != zeros({3})); },
       "ShapeError: not_equal([2], [3]): do not broadcast, the last axis is 2 and 3; each must be equal or 1"},
      {[] { where(zeros({2}), zeros({3}), zeros({3})); },
       "ShapeError: where([2], [3], [3]): do not broadcast, the last axis is 3 and 2; each must be equal or "
       "1"},
      {[] { where(zeros({3}), zeros({3}), zeros({4})); },
       "ShapeError: where([3], [3], [4]): do not broadcast, the last axis is 3 and 4; each must be equal or "
       "1"},
      {[] { tensor({1, 2}, i64) + 0.5; },
       "DTypeError: add(i64 [2], 0.5): a fraction does not fit an i64 tensor\n  help: to(f32)"},
      {[] { 1.5 - tensor({1, 2}, i64); },
       "DTypeError: sub(1.5, i64 [2]): a fraction does not fit an i64 tensor\n  help: to(f32)"},
      {[] { tensor({1, 2}, i64) * 0.1; },
       "DTypeError: mul(i64 [2], 0.1): a fraction does not fit an i64 tensor\n  help: to(f32)"},
      {[] { maximum(tensor({1}, i64), 0.5); },
       "DTypeError: maximum(i64 [1], 0.5): a fraction does not fit an i64 tensor\n  help: to(f32)"},
      {[] { clamp(zeros({2}), 1, -1); }, "UsageError: clamp([2]): low 1 is above high -1"},
      {[] { clamp(Scalar(2), 1, -1); }, "UsageError: clamp(): low 1 is above high -1"},
      {[] { clamp(tensor({1}, i64), 0.5, 2); },
       "DTypeError: clamp(i64 [1], 0.5, 2): a fraction does not fit an i64 tensor\n  help: to(f32)"},
      {[] { exp(Tensor()); }, "UsageError: exp: the first operand holds nothing: a Tensor made without a value"},
      {[] { -Tensor(); }, "UsageError: neg: the first operand holds nothing: a Tensor made without a value"},
      {[] { Tensor() + zeros({2}); },
       "UsageError: add: the first operand holds nothing: a Tensor made without a value"},
      {[] { zeros({2}) * Tensor(); },
       "UsageError: mul: the second operand holds nothing: a Tensor made without a value"},
      {[] { Tensor() * 2; }, "UsageError: mul: the first operand holds nothing: a Tensor made without a value"},
      {[] { pow(2, Tensor()); }, "UsageError: pow: the second operand holds nothing: a Tensor made without a value"},
      {[] { (void)(Tensor() < 1); },
       "UsageError: less: the first operand holds nothing: a Tensor made without a value"},
      {[] { (void)(zeros({2}) == Tensor()); },
       "UsageError: equal: the second operand holds nothing: a Tensor made without a value"},
      {[] { where(Tensor(), zeros({2}), zeros({2})); },
       "UsageError: where: the first operand holds nothing: a Tensor made without a value"},
      {[] { where(zeros({2}), zeros({2}), Tensor()); },
       "UsageError: where: the third operand holds nothing: a Tensor made without a value"},
      {[] { clamp(Tensor(), 0, 1); },
       "UsageError: clamp: the first operand holds nothing: a Tensor made without a value"},
      // reductions
      {[] { sum(zeros({2, 3}), 2); }, "IndexError: sum([2, 3]): axis 2 is out of range for rank 2"},
      {[] { sum(zeros({2, 3}), {0, -2}); }, "ShapeError: sum([2, 3]): axis -2 is named twice"},
      {[] { sum(Tensor()); }, "UsageError: sum: the first operand holds nothing: a Tensor made without a value"},
      {[] { mean(zeros({2, 3}), -3); }, "IndexError: mean([2, 3]): axis -3 is out of range for rank 2"},
      {[] { mean(zeros({}), 0); }, "IndexError: mean([]): axis 0 is out of range for rank 0"},
      {[] { var(zeros({2, 3}), {1, 1}); }, "ShapeError: var([2, 3]): axis 1 is named twice"},
      {[] { max(zeros({0})); }, "ShapeError: max([0]): there is no largest of nothing"},
      {[] { max(zeros({2, 0}), 1); }, "ShapeError: max([2, 0]): there is no largest of nothing"},
      {[] { max(zeros({2, 3}), 5); }, "IndexError: max([2, 3]): axis 5 is out of range for rank 2"},
      {[] { min(zeros({0, 3}), 0); }, "ShapeError: min([0, 3]): there is no smallest of nothing"},
      {[] { logsumexp(zeros({2}), 1); }, "IndexError: logsumexp([2]): axis 1 is out of range for rank 1"},
      {[] { argmax(zeros({0})); }, "ShapeError: argmax([0]): there is no largest of nothing"},
      {[] { argmax(zeros({2, 3}), 2); }, "IndexError: argmax([2, 3]): axis 2 is out of range for rank 2"},
      {[] { argmin(zeros({2, 0}), 1); }, "ShapeError: argmin([2, 0]): there is no smallest of nothing"},
      {[] { argmin(Tensor()); }, "UsageError: argmin: the first operand holds nothing: a Tensor made without a value"},
      {[] { softmax(zeros({2, 3}), 2); }, "IndexError: softmax([2, 3]): axis 2 is out of range for rank 2"},
      {[] { softmax(zeros({})); }, "IndexError: softmax([]): axis -1 is out of range for rank 0"},
      {[] { log_softmax(zeros({2}), -2); }, "IndexError: log_softmax([2]): axis -2 is out of range for rank 1"},
      // linear algebra
      {[] { matmul(zeros({32, 784}), zeros({512, 10})); },
       "ShapeError: matmul([32, 784], [512, 10]): inner sizes differ, 784 != 512"},
      {[] { matmul(zeros({2, 3}), zeros({2, 3}), {.ta = true, .tb = true}); },
       "ShapeError: matmul([2, 3], [2, 3]): inner sizes differ, 2 != 3"},
      {[] { matmul(zeros({2, 3, 4}), zeros({3, 4, 5})); },
       "ShapeError: matmul([2, 3, 4], [3, 4, 5]): the batches [2] and [3] do not broadcast"},
      {[] { matmul(zeros({}), zeros({2, 2})); }, "ShapeError: matmul([], [2, 2]): both must have at least one axis"},
      {[] { matmul(zeros({3}), zeros({4, 2})); }, "ShapeError: matmul([3], [4, 2]): inner sizes differ, 3 != 4"},
      {[] { matmul(zeros({4, 3}), zeros({4})); }, "ShapeError: matmul([4, 3], [4]): inner sizes differ, 3 != 4"},
      {[] { matmul(zeros({3}), zeros({3, 2}), {.ta = true}); },
       "ShapeError: matmul([3], [3, 2]): a vector cannot be read transposed"},
      {[] { matmul(zeros({2, 2}), Tensor()); },
       "UsageError: matmul: the second operand holds nothing: a Tensor made without a value"},
      {[] { dot(zeros({3}), zeros({4})); }, "ShapeError: dot([3], [4]): lengths differ, 3 != 4"},
      {[] { dot(zeros({3, 1}), zeros({3})); }, "ShapeError: dot([3, 1], [3]): both must be vectors"},
      {[] { outer(zeros({2, 2}), zeros({3})); }, "ShapeError: outer([2, 2], [3]): both must be vectors"},
      {[] { affine(zeros({2, 3}), zeros({5, 4}), zeros({5})); },
       "ShapeError: affine([2, 3], [5, 4], [5]): inner sizes differ, 3 != 4"},
      {[] { affine(zeros({2, 3}), zeros({5, 3}), zeros({4})); },
       "ShapeError: affine([2, 3], [5, 3], [4]): the bias has 4 numbers for 5 outputs"},
      {[] { affine(zeros({}), zeros({5, 3}), zeros({5})); },
       "ShapeError: affine([], [5, 3], [5]): x needs at least one axis, the weight two, the bias one"},
      {[] { affine(zeros({3}), zeros({3}), zeros({3})); },
       "ShapeError: affine([3], [3], [3]): x needs at least one axis, the weight two, the bias one"},
      // movement
      {[] { reshape(zeros({2, 3}), {4, 2}); }, "ShapeError: reshape([2, 3]): 6 elements do not fill [4, 2]"},
      {[] { reshape(zeros({2, 3}), {-1, 4}); }, "ShapeError: reshape([2, 3]): 6 elements do not fill [-1, 4]"},
      {[] { reshape(zeros({2, 3}), {-1, -1}); }, "ShapeError: reshape([2, 3]): only one size can be -1"},
      {[] { reshape(zeros({0, 3}), {-1, 0}); }, "ShapeError: reshape([0, 3]): 0 elements do not fill [-1, 0]"},
      {[] { reshape(zeros({2, 3}), {-2, -3}); }, "ShapeError: reshape([2, 3]): a size must not be negative, got -2"},
      {[] { reshape(zeros({4}), {std::int64_t{1} << 40, std::int64_t{1} << 40, -1}); },
       "ShapeError: reshape([4]): [1099511627776, 1099511627776, -1] has more elements than can be counted"},
      {[] { reshape(zeros({2, 3}), Shape{7}); }, "ShapeError: reshape([2, 3]): 6 elements do not fill [7]"},
      {[] { reshape(Tensor(), {1}); },
       "UsageError: reshape: the first operand holds nothing: a Tensor made without a value"},
      {[] { flatten(zeros({2, 3}), 2); }, "IndexError: flatten([2, 3]): axis 2 is out of range for rank 2"},
      {[] { squeeze(zeros({2, 1}), 0); }, "ShapeError: squeeze([2, 1]): axis 0 has size 2, not 1"},
      {[] { squeeze(zeros({2, 1}), 2); }, "IndexError: squeeze([2, 1]): axis 2 is out of range for rank 2"},
      {[] { unsqueeze(zeros({1, 1, 1, 1, 1, 1, 1, 1}), 0); },
       "ShapeError: unsqueeze([1, 1, 1, 1, 1, 1, 1, 1]): a tensor has at most 8 axes"},
      {[] { unsqueeze(zeros({2, 3}), 3); }, "IndexError: unsqueeze([2, 3]): a new axis can stand at -3 to 2, not at 3"},
      {[] { unsqueeze(zeros({2, 3}), -4); },
       "IndexError: unsqueeze([2, 3]): a new axis can stand at -3 to 2, not at -4"},
      {[] { transpose(zeros({3})); }, "IndexError: transpose([3]): axis -2 is out of range for rank 1"},
      {[] { transpose(zeros({2, 3}), 0, 2); }, "IndexError: transpose([2, 3]): axis 2 is out of range for rank 2"},
      {[] { permute(zeros({2, 3}), {0}); }, "ShapeError: permute([2, 3]): the order [0] names 1 of 2 axes"},
      {[] { permute(zeros({2, 3}), {0, 0}); }, "ShapeError: permute([2, 3]): axis 0 is named twice"},
      {[] { permute(zeros({2, 3}), {0, 2}); }, "IndexError: permute([2, 3]): axis 2 is out of range for rank 2"},
      {[] { broadcast_to(zeros({2, 3}), {3}); },
       "ShapeError: broadcast_to([2, 3]): does not broadcast to [3]; each axis must be equal or 1"},
      {[] { broadcast_to(zeros({3}), {2, 4}); },
       "ShapeError: broadcast_to([3]): does not broadcast to [2, 4]; each axis must be equal or 1"},
      {[] { broadcast_to(zeros({2, 3}), {1, 3}); },
       "ShapeError: broadcast_to([2, 3]): does not broadcast to [1, 3]; each axis must be equal or 1"},
      {[] { broadcast_to(Tensor(), {3}); },
       "UsageError: broadcast_to: the first operand holds nothing: a Tensor made without a value"},
      {[] { concat({zeros({2, 3}), zeros({3, 2})}); },
       "ShapeError: concat([2, 3], [3, 2]): part 1 and the first differ off axis 0"},
      {[] { concat({zeros({2, 3}), zeros({3})}); }, "ShapeError: concat([2, 3], [3]): part 1 has rank 1, the first 2"},
      {[] { concat({zeros({2, 3}), zeros({2, 3})}, 2); },
       "IndexError: concat([2, 3], [2, 3]): axis 2 is out of range for rank 2"},
      {[] { concat({zeros({2}), Tensor()}); },
       "UsageError: concat: the second operand holds nothing: a Tensor made without a value"},
      {[] { concat({zeros({}), zeros({})}); }, "IndexError: concat([], []): axis 0 is out of range for rank 0"},
      {[] { concat({zeros({2, 1}), zeros({2, 2}), zeros({2, 3}), zeros({2, 4}), zeros({2, 5}), zeros({3, 6})}, 1); },
       "ShapeError: concat([2, 1], [2, 2], [2, 3], [2, 4], [2, 5], +1 more): part 5 and the first differ "
       "off axis 1"},
      {[] { stack({zeros({2}), zeros({3})}); }, "ShapeError: stack([2], [3]): part 1 has another shape than the first"},
      {[] { stack({zeros({2}), zeros({2})}, 2); },
       "IndexError: stack([2], [2]): a new axis can stand at -2 to 1, not at 2"},
      {[] { stack({zeros({2}), Tensor()}); },
       "UsageError: stack: the second operand holds nothing: a Tensor made without a value"},
      {[] { slice(zeros({5}), 2, 7); }, "IndexError: slice([5]): positions 2 to 7 are outside axis 0 of size 5"},
      {[] { slice(zeros({5}), 4, 2); }, "IndexError: slice([5]): positions 4 to 2 run backwards"},
      {[] { slice(zeros({5}), -6, 2); }, "IndexError: slice([5]): positions -6 to 2 are outside axis 0 of size 5"},
      {[] { slice(zeros({2, 5}), 0, 1, 2); }, "IndexError: slice([2, 5]): axis 2 is out of range for rank 2"},
      {[] { slice(zeros({}), 0, 1); }, "IndexError: slice([]): axis 0 is out of range for rank 0"},
      // index
      {[] { gather(zeros({2, 3}), zeros({2, 1})); },
       "DTypeError: gather(f32 [2, 3], f32 [2, 1]): positions must be i64"},
      {[] { gather(zeros({2, 3}), zeros({2}, i64)); },
       "ShapeError: gather([2, 3], [2]): the positions have rank 1, the tensor 2"},
      {[] { gather(zeros({2, 3}), zeros({3, 1}, i64)); },
       "ShapeError: gather([2, 3], [3, 1]): there are positions for 3 of 2 on axis 0"},
      {[] { gather(zeros({2, 3}), full({2, 1}, 3, i64)); },
       "IndexError: gather([2, 3], [2, 1]): index[0] = 3 is outside [0, 3)"},
      {[] { gather(zeros({2, 3}), full({2, 1}, -1, i64)); },
       "IndexError: gather([2, 3], [2, 1]): index[0] = -1 is outside [0, 3)"},
      {[] { gather(zeros({2, 3}), zeros({2, 1}, i64), 2); },
       "IndexError: gather([2, 3], [2, 1]): axis 2 is out of range for rank 2"},
      {[] { gather(zeros({}), zeros({}, i64)); }, "IndexError: gather([], []): axis -1 is out of range for rank 0"},
      {[] { scatter_add(zeros({2, 3}), zeros({2, 1}, i64), zeros({2, 2})); },
       "ShapeError: scatter_add([2, 3], [2, 1], [2, 2]): what is added must have the positions' shape"},
      {[] { scatter_add(zeros({2, 3}), full({2, 1}, 5, i64), zeros({2, 1})); },
       "IndexError: scatter_add([2, 3], [2, 1], [2, 1]): index[0] = 5 is outside [0, 3)"},
      {[] { scatter_add(zeros({2, 3}), zeros({2, 1}), zeros({2, 1})); },
       "DTypeError: scatter_add(f32 [2, 3], f32 [2, 1], f32 [2, 1]): positions must be i64"},
      {[] { scatter_add(zeros({2, 3}), Tensor(), zeros({2, 1})); },
       "UsageError: scatter_add: the second operand holds nothing: a Tensor made without a value"},
      {[] { one_hot(tensor({0, 3}, i64), 3); }, "IndexError: one_hot([2]): label[1] = 3 is outside [0, 3)"},
      {[] { one_hot(tensor({-1}, i64), 3); }, "IndexError: one_hot([1]): label[0] = -1 is outside [0, 3)"},
      {[] { one_hot(tensor({0, 1}), 3); }, "DTypeError: one_hot(f32 [2]): labels must be i64"},
      {[] { one_hot(tensor({0}, i64), -2); },
       "UsageError: one_hot([1]): the number of classes must not be negative, got -2"},
      // convolution
      {[] { conv1d(zeros({3, 7}), zeros({2, 3, 3})); },
       "ShapeError: conv1d([3, 7], [2, 3, 3]): signals are [n, channels, length]\n  help: unsqueeze(x, 0) is a "
       "batch of one"},
      {[] { conv1d(zeros({1, 3, 7}), zeros({2, 3})); },
       "ShapeError: conv1d([1, 3, 7], [2, 3]): the weight must have 3 axes, not 2"},
      {[] { conv1d(zeros({1, 3, 7}), zeros({2, 4, 3})); },
       "ShapeError: conv1d([1, 3, 7], [2, 4, 3]): the weight is for 4 input channels, x has 3"},
      {[] { conv1d(zeros({1, 3, 4}), zeros({2, 3, 5})); },
       "ShapeError: conv1d([1, 3, 4], [2, 3, 5]): the kernel's length of 5 does not fit into the 4 of x, padding "
       "included"},
      {[] { conv1d(zeros({1, 3, 4}), zeros({2, 3, 0})); },
       "ShapeError: conv1d([1, 3, 4], [2, 3, 0]): the kernel has no length"},
      {[] { conv1d(zeros({1, 3, 7}), zeros({2, 3, 3}), {.stride = 0}); },
       "UsageError: conv1d([1, 3, 7], [2, 3, 3]): the stride must be at least 1, got 0"},
      {[] { conv1d(zeros({1, 3, 7}), zeros({2, 3, 3}), zeros({3})); },
       "ShapeError: conv1d([1, 3, 7], [2, 3, 3], [3]): the bias has 3 numbers for 2 outputs"},
      {[] { conv1d(Tensor(), zeros({2, 3, 3})); },
       "UsageError: conv1d: the first operand holds nothing: a Tensor made without a value"},
      {[] { conv2d(zeros({3, 8, 8}), zeros({4, 3, 3, 3})); },
       "ShapeError: conv2d([3, 8, 8], [4, 3, 3, 3]): images are [n, channels, height, width]\n  help: unsqueeze(x, "
       "0) is a batch of one"},
      {[] { conv2d(zeros({8, 8}), zeros({4, 3, 3, 3})); },
       "ShapeError: conv2d([8, 8], [4, 3, 3, 3]): images are [n, channels, height, width]"},
      {[] { conv2d(zeros({1, 3, 8, 8}), zeros({4, 3, 3})); },
       "ShapeError: conv2d([1, 3, 8, 8], [4, 3, 3]): the weight must have 4 axes, not 3"},
      {[] { conv2d(zeros({1, 3, 8, 8}), zeros({4, 2, 3, 3})); },
       "ShapeError: conv2d([1, 3, 8, 8], [4, 2, 3, 3]): the weight is for 2 input channels, x has 3"},
      {[] { conv2d(zeros({1, 6, 8, 8}), zeros({4, 6, 3, 3}), {.groups = 2}); },
       "ShapeError: conv2d([1, 6, 8, 8], [4, 6, 3, 3]): the weight is for 6 input channels in each of 2 groups, x "
       "has 6"},
      {[] { conv2d(zeros({1, 5, 8, 8}), zeros({4, 5, 3, 3}), {.groups = 2}); },
       "ShapeError: conv2d([1, 5, 8, 8], [4, 5, 3, 3]): 2 groups do not divide 5 input channels"},
      {[] { conv2d(zeros({1, 6, 8, 8}), zeros({5, 3, 3, 3}), {.groups = 2}); },
       "ShapeError: conv2d([1, 6, 8, 8], [5, 3, 3, 3]): 2 groups do not divide 5 output channels"},
      {[] { conv2d(zeros({1, 6, 8, 8}), zeros({4, 6, 3, 3}), {.groups = 0}); },
       "UsageError: conv2d([1, 6, 8, 8], [4, 6, 3, 3]): there must be at least 1 group, got 0"},
      {[] { conv2d(zeros({1, 3, 2, 8}), zeros({4, 3, 3, 3})); },
       "ShapeError: conv2d([1, 3, 2, 8], [4, 3, 3, 3]): the kernel's height of 3 does not fit into the 2 of x, "
       "padding included"},
      {[] { conv2d(zeros({1, 3, 8, 4}), zeros({4, 3, 3, 3}), {.dilation = {1, 2}}); },
       "ShapeError: conv2d([1, 3, 8, 4], [4, 3, 3, 3]): the kernel's width of 3, 5 with its gaps, does not fit into "
       "the 4 of x, padding included"},
      {[] { conv2d(zeros({1, 3, 8, 0}), zeros({4, 3, 1, 3}), {.padding = 1}); },
       "ShapeError: conv2d([1, 3, 8, 0], [4, 3, 1, 3]): the kernel's width of 3 does not fit into the 2 of x, "
       "padding included"},
      {[] { conv2d(zeros({1, 3, 8, 8}), zeros({4, 3, 0, 3})); },
       "ShapeError: conv2d([1, 3, 8, 8], [4, 3, 0, 3]): the kernel has no height"},
      {[] { conv2d(zeros({1, 3, 8, 8}), zeros({4, 3, 3, 0})); },
       "ShapeError: conv2d([1, 3, 8, 8], [4, 3, 3, 0]): the kernel has no width"},
      {[] { conv2d(zeros({1, 3, 8, 8}), zeros({4, 3, 3, 3}), {.stride = {1, 0}}); },
       "UsageError: conv2d([1, 3, 8, 8], [4, 3, 3, 3]): the stride must be at least 1, got 0"},
      {[] { conv2d(zeros({1, 3, 8, 8}), zeros({4, 3, 3, 3}), {.stride = -1}); },
       "UsageError: conv2d([1, 3, 8, 8], [4, 3, 3, 3]): the stride must be at least 1, got -1"},
      {[] { conv2d(zeros({1, 3, 8, 8}), zeros({4, 3, 3, 3}), {.padding = {0, -1}}); },
       "UsageError: conv2d([1, 3, 8, 8], [4, 3, 3, 3]): the padding must not be negative, got -1"},
      {[] { conv2d(zeros({1, 3, 8, 8}), zeros({4, 3, 3, 3}), {.dilation = 0}); },
       "UsageError: conv2d([1, 3, 8, 8], [4, 3, 3, 3]): the dilation must be at least 1, got 0"},
      {[] { conv2d(zeros({1, 3, 8, 8}), zeros({4, 3, 3, 3}), zeros({3})); },
       "ShapeError: conv2d([1, 3, 8, 8], [4, 3, 3, 3], [3]): the bias has 3 numbers for 4 outputs"},
      {[] { conv2d(zeros({1, 3, 8, 8}), zeros({4, 3, 3, 3}), zeros({4, 1})); },
       "ShapeError: conv2d([1, 3, 8, 8], [4, 3, 3, 3], [4, 1]): the bias must have one axis"},
      {[] { conv2d(zeros({1, 3, 8, 8}), zeros({4, 3, 3, 3}), Tensor()); },
       "UsageError: conv2d: the third operand holds nothing: a Tensor made without a value"},
      {[] { conv2d(zeros({1, 3, 8, 8}), Tensor()); },
       "UsageError: conv2d: the second operand holds nothing: a Tensor made without a value"},
      {[] { conv2d(zeros({1, 3, 8, 8}), zeros({4, 3, 3, 3}), {.stride = std::int64_t{1} << 40}); },
       "ShapeError: conv2d([1, 3, 8, 8], [4, 3, 3, 3]): a stride of 1099511627776 is more than the 2147483647 that "
       "can be counted"},
      {[] { conv2d(zeros({1, 3, 8, 8}), zeros({4, 3, 3, 3}), {.padding = std::numeric_limits<std::int64_t>::max()}); },
       "ShapeError: conv2d([1, 3, 8, 8], [4, 3, 3, 3]): a padding of 9223372036854775807 is more than the "
       "2147483647 that can be counted"},
      {[] { conv2d(zeros({1, 3, 8, 8}), zeros({4, 3, 3, 3}), {.dilation = std::numeric_limits<std::int64_t>::max()}); },
       "ShapeError: conv2d([1, 3, 8, 8], [4, 3, 3, 3]): a dilation of 9223372036854775807 is more than the "
       "2147483647 that can be counted"},
      {[] { conv2d(zeros({0, 3, std::int64_t{1} << 62, 8}), zeros({4, 3, 3, 3})); },
       "ShapeError: conv2d([0, 3, 4611686018427387904, 8], [4, 3, 3, 3]): a height of 4611686018427387904 is more "
       "than the 2147483647 that can be counted"},
      {[] { conv2d(zeros({1, 0, std::int64_t{1} << 20, std::int64_t{1} << 20}), zeros({1, 0, 1 << 20, 1 << 20})); },
       "ShapeError: conv2d([1, 0, 1048576, 1048576], [1, 0, 1048576, 1048576]): a kernel of 1099511627776 is more "
       "than the 2147483647 that can be counted"},
      {[] { conv2d(zeros({1, 1 << 12, 1, 1}), zeros({0, 1 << 12, 1 << 10, 1 << 10}), {.padding = 1 << 10}); },
       "ShapeError: conv2d([1, 4096, 1, 1], [0, 4096, 1024, 1024]): a kernel of 4294967296 is more than the "
       "2147483647 that can be counted"},
      {[] { conv2d(zeros({1, 0, 1, 1}), zeros({std::int64_t{1} << 40, 0, 1, 1})); },
       "ShapeError: conv2d([1, 0, 1, 1], [1099511627776, 0, 1, 1]): a number of channels of 1099511627776 is more "
       "than the 2147483647 that can be counted"},
      {[] { conv2d(zeros({std::int64_t{1} << 40, 0, 1, 1}), zeros({1 << 30, 0, 1, 1})); },
       "ShapeError: conv2d([1099511627776, 0, 1, 1], [1073741824, 0, 1, 1]): the result would have more elements "
       "than can be counted"},
      {[] { conv2d(zeros({1, 1, 1, 1}), zeros({1, 1, 1, 1}), {.padding = 1 << 28}); },
       "UsageError: there is no memory for f32 [1, 1, 536870913, 536870913]: 1152921508901814276 bytes"},
      {[] { conv_transpose2d(zeros({3, 8, 8}), zeros({3, 4, 3, 3})); },
       "ShapeError: conv_transpose2d([3, 8, 8], [3, 4, 3, 3]): images are [n, channels, height, width]\n  help: "
       "unsqueeze(x, 0) is a batch of one"},
      {[] { conv_transpose2d(zeros({1, 3, 8, 8}), zeros({3, 4, 3})); },
       "ShapeError: conv_transpose2d([1, 3, 8, 8], [3, 4, 3]): the weight must have 4 axes, not 3"},
      {[] { conv_transpose2d(zeros({1, 3, 8, 8}), zeros({4, 3, 3, 3})); },
       "ShapeError: conv_transpose2d([1, 3, 8, 8], [4, 3, 3, 3]): the weight is for 4 input channels, x has 3"},
      {[] { conv_transpose2d(zeros({1, 3, 8, 8}), zeros({3, 4, 3, 3}), {.groups = 2}); },
       "ShapeError: conv_transpose2d([1, 3, 8, 8], [3, 4, 3, 3]): 2 groups do not divide 3 input channels"},
      {[] { conv_transpose2d(zeros({1, 3, 8, 8}), zeros({3, 4, 3, 3}), {.groups = -1}); },
       "UsageError: conv_transpose2d([1, 3, 8, 8], [3, 4, 3, 3]): there must be at least 1 group, got -1"},
      {[] { conv_transpose2d(zeros({1, 4, 8, 8}), zeros({4, 3, 3, 3}), zeros({3}), {.groups = 2}); },
       "ShapeError: conv_transpose2d([1, 4, 8, 8], [4, 3, 3, 3], [3]): the bias has 3 numbers for 6 outputs"},
      {[] { conv_transpose2d(zeros({1, 3, 8, 0}), zeros({3, 4, 3, 3})); },
       "ShapeError: conv_transpose2d([1, 3, 8, 0], [3, 4, 3, 3]): x has no width"},
      {[] { conv_transpose2d(zeros({1, 3, 8, 8}), zeros({3, 4, 0, 3})); },
       "ShapeError: conv_transpose2d([1, 3, 8, 8], [3, 4, 0, 3]): the kernel has no height"},
      {[] { conv_transpose2d(zeros({1, 3, 8, 8}), zeros({3, 4, 3, 3}), {.stride = 0}); },
       "UsageError: conv_transpose2d([1, 3, 8, 8], [3, 4, 3, 3]): the stride must be at least 1, got 0"},
      {[] { conv_transpose2d(zeros({1, 3, 8, 8}), zeros({3, 4, 3, 3}), {.padding = -2}); },
       "UsageError: conv_transpose2d([1, 3, 8, 8], [3, 4, 3, 3]): the padding must not be negative, got -2"},
      {[] { conv_transpose2d(zeros({1, 3, 8, 8}), zeros({3, 4, 3, 3}), {.dilation = {0, 1}}); },
       "UsageError: conv_transpose2d([1, 3, 8, 8], [3, 4, 3, 3]): the dilation must be at least 1, got 0"},
      {[] { conv_transpose2d(zeros({1, 3, 1, 8}), zeros({3, 4, 3, 3}), {.padding = 2}); },
       "ShapeError: conv_transpose2d([1, 3, 1, 8], [3, 4, 3, 3]): a padding of 2 leaves a height of -1"},
      {[] { conv_transpose2d(zeros({1, 3, 8, 8}), zeros({3, 4, 3, 3}), {.stride = 2, .output_padding = 2}); },
       "UsageError: conv_transpose2d([1, 3, 8, 8], [3, 4, 3, 3]): the output padding 2 must be less than the stride "
       "2 or the dilation 1"},
      {[] { conv_transpose2d(zeros({1, 3, 8, 8}), zeros({3, 4, 3, 3}), {.stride = 2, .output_padding = {0, -1}}); },
       "UsageError: conv_transpose2d([1, 3, 8, 8], [3, 4, 3, 3]): the output padding must not be negative, got -1"},
      {[] { conv_transpose2d(zeros({1, 3, 8, 8}), zeros({3, 4, 3, 3}),
         {.stride = std::numeric_limits<std::int32_t>::max()}); },
       "ShapeError: conv_transpose2d([1, 3, 8, 8], [3, 4, 3, 3]): a height of 15032385532 is more than the "
       "2147483647 that can be counted"},
      {[] { conv_transpose2d(zeros({1, 0, 1, 1}), zeros({0, 1 << 20, 1, 1}), {.groups = 1 << 20}); },
       "ShapeError: conv_transpose2d([1, 0, 1, 1], [0, 1048576, 1, 1]): a number of channels of 1099511627776 is "
       "more than the 2147483647 that can be counted"},
      {[] { conv_transpose2d(zeros({1, 3, 8, 8}), Tensor()); },
       "UsageError: conv_transpose2d: the second operand holds nothing: a Tensor made without a value"},
      {[] { max_pool1d(zeros({3, 8}), 2); },
       "ShapeError: max_pool1d([3, 8]): signals are [n, channels, length]\n  help: unsqueeze(x, 0) is a batch of one"},
      {[] { max_pool1d(zeros({1, 3, 8}), 0); },
       "UsageError: max_pool1d([1, 3, 8]): the window's length must be at least 1, got 0"},
      {[] { max_pool1d(zeros({1, 3, 8}), 9); },
       "ShapeError: max_pool1d([1, 3, 8]): the window's length of 9 does not fit into the 8 of x, padding included"},
      {[] { max_pool1d(zeros({1, 3, 8}), 3, {.padding = 2}); },
       "UsageError: max_pool1d([1, 3, 8]): the padding 2 is more than half of the window's length of 3"},
      {[] { max_pool1d(zeros({1, 3, 0}), 2, {.padding = 1}); }, "ShapeError: max_pool1d([1, 3, 0]): x has no length"},
      {[] { max_pool2d(zeros({3, 8, 8}), 2); },
       "ShapeError: max_pool2d([3, 8, 8]): images are [n, channels, height, width]\n  help: unsqueeze(x, 0) is a "
       "batch of one"},
      {[] { max_pool2d(zeros({1, 3, 8, 8}), {2, 0}); },
       "UsageError: max_pool2d([1, 3, 8, 8]): the window's width must be at least 1, got 0"},
      {[] { max_pool2d(zeros({1, 3, 8, 8}), {9, 2}); },
       "ShapeError: max_pool2d([1, 3, 8, 8]): the window's height of 9 does not fit into the 8 of x, padding "
       "included"},
      {[] { max_pool2d(zeros({1, 3, 8, 8}), 3, {.stride = -1}); },
       "UsageError: max_pool2d([1, 3, 8, 8]): the stride must be at least 1, or 0 for the window's size, got -1"},
      {[] { max_pool2d(zeros({1, 3, 8, 8}), 3, {.padding = -1}); },
       "UsageError: max_pool2d([1, 3, 8, 8]): the padding must not be negative, got -1"},
      {[] { max_pool2d(zeros({1, 3, 8, 8}), 3, {.padding = {1, 2}}); },
       "UsageError: max_pool2d([1, 3, 8, 8]): the padding 2 is more than half of the window's width of 3"},
      {[] { max_pool2d(zeros({1, 3, 0, 8}), 2, {.padding = 1}); },
       "ShapeError: max_pool2d([1, 3, 0, 8]): x has no height"},
      {[] { max_pool2d(zeros({1, 3, 8, 8}), std::int64_t{1} << 40, {.padding = std::int64_t{1} << 39}); },
       "ShapeError: max_pool2d([1, 3, 8, 8]): a window of 1099511627776 is more than the 2147483647 that can be "
       "counted"},
      {[] { max_pool2d(Tensor(), 2); },
       "UsageError: max_pool2d: the first operand holds nothing: a Tensor made without a value"},
      {[] { avg_pool2d(zeros({1, 3, 8}), 2); },
       "ShapeError: avg_pool2d([1, 3, 8]): images are [n, channels, height, width]\n  help: unsqueeze(x, 0) is a "
       "batch of one"},
      {[] { avg_pool2d(zeros({1, 3, 8, 8}), -2); },
       "UsageError: avg_pool2d([1, 3, 8, 8]): the window's height must be at least 1, got -2"},
      {[] { avg_pool2d(zeros({1, 3, 8, 8}), {2, 10}, {.padding = {0, 0}}); },
       "ShapeError: avg_pool2d([1, 3, 8, 8]): the window's width of 10 does not fit into the 8 of x, padding "
       "included"},
      {[] { avg_pool2d(zeros({1, 3, 8, 8}), 2, {.padding = 2}); },
       "UsageError: avg_pool2d([1, 3, 8, 8]): the padding 2 is more than half of the window's height of 2"},
      {[] { avg_pool2d(zeros({1, 3, 8, 8}), 2, {.stride = {0, -2}}); },
       "UsageError: avg_pool2d([1, 3, 8, 8]): the stride must be at least 1, or 0 for the window's size, got -2"},
      {[] { avg_pool2d(zeros({1, 3, 8, 0}), 2, {.padding = 1}); },
       "ShapeError: avg_pool2d([1, 3, 8, 0]): x has no width"},
      {[] { avg_pool2d(Tensor(), 2); },
       "UsageError: avg_pool2d: the first operand holds nothing: a Tensor made without a value"},
      // losses
      {[] { bce_with_logits(zeros({64, 1}), zeros({64})); },
       "ShapeError: bce_with_logits([64, 1], [64]): logits and targets must have the same shape"},
      {[] { bce_with_logits(zeros({2}), Tensor()); },
       "UsageError: bce_with_logits: the second operand holds nothing: a Tensor made without a value"},
      {[] { softmax_cross_entropy(zeros({2, 10}), zeros({2, 10})); },
       "DTypeError: softmax_cross_entropy(f32 [2, 10], f32 [2, 10]): labels must be class numbers, i64"},
      {[] { softmax_cross_entropy(zeros({2, 10}), zeros({3}, i64)); },
       "ShapeError: softmax_cross_entropy([2, 10], [3]): logits must be [n, classes] and labels [n]"},
      {[] { softmax_cross_entropy(zeros({10}), zeros({1}, i64)); },
       "ShapeError: softmax_cross_entropy([10], [1]): logits must be [n, classes] and labels [n]"},
      {[] { softmax_cross_entropy(zeros({2, 10}), tensor({3, 10}, i64)); },
       "IndexError: softmax_cross_entropy([2, 10], [2]): label[1] = 10 is outside [0, 10)"},
      // tensors
      {[] { Tensor().to(f64); }, "UsageError: to: the first operand holds nothing: a Tensor made without a value"},
      {[] { detach(Tensor()); }, "UsageError: detach: the first operand holds nothing: a Tensor made without a value"},
      {[] { tensor({1e300}, f64).to(i64); }, "DTypeError: to(f64 [1]): 1e+300 is no 64-bit integer"},
      {[] { full({2}, std::numeric_limits<double>::quiet_NaN()).to(i64); },
       "DTypeError: to(f32 [2]): nan is no 64-bit integer"},
      // parameters and functional
      {[] { elementwise("ratio", [](auto a, auto b) { return a / b; })(zeros({2}), zeros({3})); },
       "ShapeError: ratio([2], [3]): do not broadcast, the last axis is 2 and 3; each must be equal or 1"},
      {[] { elementwise("twice", [](auto x) { return x + x; })(Tensor()); },
       "UsageError: twice: the first operand holds nothing: a Tensor made without a value"},
  };
}

/// What is not an op: tensors, shapes, random numbers, parameters, functions of functions.
std::vector<BadCall> bad_others() {
  return {
      // movement
      {[] { concat({}); }, "ShapeError: concat(): there is nothing to join"},
      {[] { stack(std::vector<Tensor>{}); }, "ShapeError: stack(): there is nothing to join"},
      {[] { zeros({3})[3]; }, "IndexError: t[3] of [3]: index 3 is outside axis 0 of size 3"},
      {[] { zeros({3, 2})[-4]; }, "IndexError: t[-4] of [3, 2]: index -4 is outside axis 0 of size 3"},
      {[] { zeros({})[0]; }, "IndexError: t[0]: a single number has no axis to index"},
      {[] { zeros({2, 3})(0); }, "IndexError: t(0) of [2, 3]: there must be 2 indices, one for each axis"},
      {[] { zeros({2, 3})(0, 3); }, "IndexError: t(0, 3) of [2, 3]: index 3 is outside axis 1 of size 3"},
      {[] { zeros({2, 3})(-3, 0); }, "IndexError: t(-3, 0) of [2, 3]: index -3 is outside axis 0 of size 2"},
      {[] { Tensor()(0); }, "UsageError: t(i, ...): the tensor holds nothing: it was made without a value"},
      {[] { Tensor()[0]; }, "UsageError: t[i]: the tensor holds nothing: it was made without a value"},
      // tensors
      {[] { Shape{2, -1}; }, "ShapeError: Shape: a size must not be negative, got [2, -1]"},
      {[] { Shape({1, 1, 1, 1, 1, 1, 1, 1, 1}); },
       "ShapeError: Shape: 9 axes are more than the 8 that a tensor can have"},
      {[] { Shape{std::int64_t{1} << 40, std::int64_t{1} << 40}; },
       "ShapeError: Shape: [1099511627776, 1099511627776] has more elements than can be counted"},
      {[] { Shape{2, 3}[2]; }, "IndexError: axis 2 is out of range for shape [2, 3] of rank 2"},
      {[] { broadcast(Shape{2, 3}, Shape{4}); },
       "ShapeError: broadcast([2, 3], [4]): do not broadcast, the last axis is 3 and 4; each must be equal or 1"},
      {[] { tensor({{1, 2}, {3}}); }, "ShapeError: tensor({...}): rows of one level differ in length, 2 and 1"},
      {[] { tensor({{1, 2}, 3}); }, "ShapeError: tensor({...}): numbers and braces stand side by side"},
      {[] { tensor({{{{{1}}}}}); }, "ShapeError: tensor({...}): more than 4 levels of braces; use from(values, shape)"},
      {[] { tensor({0.5}, i64); }, "DTypeError: tensor({...}, i64): 0.5 is no whole number"},
      {[] { from(std::vector<float>{1, 2, 3}, {2, 2}); },
       "ShapeError: from(): 3 values do not fill shape [2, 2] of 4 elements"},
      {[] { full({2}, 0.5, i64); }, "DTypeError: full([2], 0.5, i64): whole numbers only"},
      {[] { eye(-1); }, "ShapeError: eye(): the number of elements must not be negative, got -1"},
      {[] { arange(-1); }, "ShapeError: arange(): the number of elements must not be negative, got -1"},
      {[] { linspace(0, 1, -1); }, "ShapeError: linspace(): the number of elements must not be negative, got -1"},
      {[] { zeros({std::int64_t{1} << 50}); },
       "UsageError: there is no memory for f32 [1125899906842624]: 4503599627370496 bytes"},
      {[] { linspace(0, 1, 3, i64); },
       "DTypeError: linspace(..., i64): evenly spaced numbers are seldom whole; use f32 or f64"},
      {[] { zeros({2, 3}).item(); },
       "ShapeError: item(): the tensor has shape [2, 3]; only a single number is one item"},
      {[] { zeros({0}).item(); }, "ShapeError: item(): the tensor has shape [0]; only a single number is one item"},
      {[] { zeros({2}).data<double>(); },
       "DTypeError: data<f64>(): the tensor [2] is f32\n  help: to(f64) first, or to_vector"},
      {[] { ones({2}, f64).data<std::int64_t>(); },
       "DTypeError: data<i64>(): the tensor [2] is f64\n  help: to(i64) first, or to_vector"},
      {[] { Tensor().shape(); }, "UsageError: shape(): the tensor holds nothing: it was made without a value"},
      {[] { Tensor().item(); }, "UsageError: item(): the tensor holds nothing: it was made without a value"},
      {[] { Tensor().dtype(); }, "UsageError: dtype(): the tensor holds nothing: it was made without a value"},
      {[] { Tensor().name(); }, "UsageError: name(): the tensor holds nothing: it was made without a value"},
      {[] { Tensor().grad(); }, "UsageError: grad(): the tensor holds nothing"},
      {[] { Tensor().backward(); }, "UsageError: backward(): the tensor holds nothing"},
      // random
      {[] { rand({2}, i64); }, "DTypeError: rand([2], i64): the numbers are not whole\n  help: randint()"},
      {[] { randn({2}, i64); }, "DTypeError: randn([2], i64): the numbers are not whole\n  help: randint()"},
      {[] { randint(3, 3, {2}); }, "UsageError: randint(3, 3): the range must hold a number and be countable"},
      {[] { randint(std::numeric_limits<std::int64_t>::min(), std::numeric_limits<std::int64_t>::max(), {2}); },
       "UsageError: randint(-9223372036854775808, 9223372036854775807): the range must hold a number and be "
       "countable"},
      {[] { Generator(1).below(0); }, "UsageError: Generator::below(0): there is no number in [0, 0)"},
      {[] { randperm(-1); }, "ShapeError: randperm(): the number of elements must not be negative, got -1"},
      // parameters and functional
      {[] { Parameter(zeros({2}, i64)); },
       "DTypeError: Parameter(i64 [2]): whole numbers cannot be trained\n  help: to(f32) or to(f64)"},
      {[] { Parameter{Tensor()}; }, "UsageError: Parameter: the tensor holds nothing"},
      {[] { Parameter(zeros({2})).assign(zeros({3})); },
       "ShapeError: assign(): the parameter is [2], the new value [3]"},
      {[] { Parameter(zeros({2})).assign(zeros({2}, f64)); },
       "DTypeError: assign(): the parameter is f32, the new value f64\n  help: to(f32)"},
      {[] { Parameter(zeros({2})).assign(Tensor()); }, "UsageError: assign(): the tensor holds nothing"},
      {[] { Parameter(zeros({2})).grad(); },
       "GraphError: grad(): the parameter [2] has no gradient since the last step\n  help: call backward() "
       "on a loss that depends on it"},
      {[] { gradcheck([](const Tensor& x) { return x; }, {zeros({2})}, {.order = 3}); },
       "UsageError: gradcheck(): order must be 1 or 2, got 3"},
      {[] { gradcheck([](const Tensor& x) { return x; }, {zeros({2})}, {.step = 0}); },
       "UsageError: gradcheck(): step must be positive, got 0"},
  };
}

/// The message with the module where it belongs: before the help.
std::string in_module(std::string message, const std::string& path) {
  const std::size_t help = message.find("\n  help: ");
  return message.insert(help == std::string::npos ? message.size() : help, "\n  in " + path);
}

}  // namespace

TEST_CASE("every bad call is refused with the exception and the message that the table quotes") {
  for (const BadCall& bad : bad_ops()) CHECK(refusal(bad.call) == bad.refusal);
  for (const BadCall& bad : bad_others()) CHECK(refusal(bad.call) == bad.refusal);
}

TEST_CASE("inside a module every op's refusal names the module, before the help") {
  const Scope outer("classifier", "Classifier"), scope("classifier.hidden", "Dense(10 -> 64)");
  for (const BadCall& bad : bad_ops()) CHECK(refusal(bad.call) == in_module(bad.refusal, "classifier.hidden"));
}

TEST_CASE("a module without a path is named by its kind, and one without either by the module around it") {
  const auto multiply = [] { matmul(zeros({32, 784}), zeros({512, 10})); };
  const std::string message = "ShapeError: matmul([32, 784], [512, 10]): inner sizes differ, 784 != 512";
  {
    const Scope scope("", "Dense(784 -> 10)");
    CHECK(refusal(multiply) == message + "\n  in Dense(784 -> 10)");
  }
  {
    const Scope outer("model"), scope("");
    CHECK(refusal(multiply) == message + "\n  in model");
  }
  CHECK(refusal(multiply) == message);
}

TEST_CASE("while a graph records the same calls are refused with the same words, and nothing is recorded") {
  Graph graph;
  for (const BadCall& bad : bad_ops()) CHECK(refusal(bad.call) == bad.refusal);
  CHECK(graph.size() == 0);
}

TEST_CASE("a refused call on recorded values leaves the graph as it was") {
  Graph graph;
  const Tensor x = graph.variable(ones({2, 3}));
  CHECK_THROWS_WITH_AS(dot(x, x), "dot([2, 3], [2, 3]): both must be vectors", ShapeError);
  CHECK_THROWS_WITH_AS(matmul(x, x), "matmul([2, 3], [2, 3]): inner sizes differ, 3 != 2", ShapeError);
  CHECK_THROWS_WITH_AS(x + ones({2}, f64),
                       "add([2, 3], [2]): do not broadcast, the last axis is 3 and 2; each must be equal or 1",
                       ShapeError);
  CHECK(graph.size() == 1);  // the cast to f64 is taken back too
  sum(x).backward();
  CHECK(x.grad().to_vector<float>() == std::vector<float>(6, 1.0f));
}

TEST_CASE("a refused assign() leaves the parameter as it was") {
  Parameter p(tensor({1, 2}));
  p.rename("out.bias");
  CHECK_THROWS_WITH_AS(p.assign(zeros({3})), "assign() to out.bias: the parameter is [2], the new value [3]",
                       ShapeError);
  CHECK_THROWS_WITH_AS(p.assign(zeros({2}, f64)),
                       "assign() to out.bias: the parameter is f32, the new value f64\n  help: to(f32)", DTypeError);
  CHECK(p.value().to_vector<float>() == std::vector<float>{1, 2});
}

TEST_CASE("every exception of the library is an ebb::Error and a std::runtime_error") {
  CHECK_THROWS_AS(matmul(zeros({2}), zeros({3})), Error);
  CHECK_THROWS_AS(matmul(zeros({2}), zeros({3})), std::runtime_error);
  CHECK_THROWS_AS(Graph().gradient(Scalar(1), Scalar(2)), Error);
}
