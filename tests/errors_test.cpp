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
      {[] { xlogy(zeros({2}), zeros({3})); },
       "ShapeError: xlogy([2], [3]): do not broadcast, the last axis is 2 and 3; each must be equal or 1"},
      {[] { xlogy(Tensor(), zeros({3})); },
       "UsageError: xlogy: the first operand holds nothing: a Tensor made without a value"},
      {[] { xlogy(zeros({3}), Tensor()); },
       "UsageError: xlogy: the second operand holds nothing: a Tensor made without a value"},
      {[] { xlogy(2, Tensor()); },
       "UsageError: xlogy: the second operand holds nothing: a Tensor made without a value"},
      {[] { minimum(tensor({1}, i64), 0.5); },
       "DTypeError: minimum(i64 [1], 0.5): a fraction does not fit an i64 tensor\n  help: to(f32)"},
      {[] { tensor({1}, i64) * 1e30; },
       "DTypeError: mul(i64 [1], 1e+30): the number does not fit an i64 tensor\n  help: to(f32)"},
      {[] { tensor({1}, i64) - std::numeric_limits<double>::infinity(); },
       "DTypeError: sub(i64 [1], inf): the number does not fit an i64 tensor\n  help: to(f32)"},
      {[] { Tensor a = zeros({3}); a += zeros({2, 4}); },
       "ShapeError: add([3], [2, 4]): do not broadcast, the last axis is 3 and 4; each must be equal or 1"},
      {[] { Tensor a = zeros({3}); a /= zeros({2}); },
       "ShapeError: div([3], [2]): do not broadcast, the last axis is 3 and 2; each must be equal or 1"},
      {[] { relu(Tensor()); }, "UsageError: relu: the first operand holds nothing: a Tensor made without a value"},
      {[] { sigmoid(Tensor()); },
       "UsageError: sigmoid: the first operand holds nothing: a Tensor made without a value"},
      {[] { log(Tensor()); }, "UsageError: log: the first operand holds nothing: a Tensor made without a value"},
      {[] { Tensor() / zeros({2}); },
       "UsageError: div: the first operand holds nothing: a Tensor made without a value"},
      {[] { 3 - Tensor(); }, "UsageError: sub: the second operand holds nothing: a Tensor made without a value"},
      {[] { maximum(zeros({2}), Tensor()); },
       "UsageError: maximum: the second operand holds nothing: a Tensor made without a value"},
      {[] { minimum(Tensor(), 1); },
       "UsageError: minimum: the first operand holds nothing: a Tensor made without a value"},
      {[] { (void)(Tensor() && zeros({2})); },
       "UsageError: not_equal: the first operand holds nothing: a Tensor made without a value"},
      {[] { (void)!Tensor(); }, "UsageError: equal: the first operand holds nothing: a Tensor made without a value"},
      {[] { (void)((zeros({2}) > 0) && (zeros({3}) > 0)); },
       "ShapeError: mul([2], [3]): do not broadcast, the last axis is 2 and 3; each must be equal or 1"},
      {[] { where(zeros({2}), 1.0, Tensor()); },
       "UsageError: where: the third operand holds nothing: a Tensor made without a value"},
      {[] { where(zeros({2}), Tensor(), 1.0); },
       "UsageError: where: the second operand holds nothing: a Tensor made without a value"},
      {[] { where(Tensor(), 1.0, 2.0); },
       "UsageError: where: the first operand holds nothing: a Tensor made without a value"},
      {[] { where(zeros({2, 2}), zeros({3}), 1.0); },
       "ShapeError: where([2, 2], [3], []): do not broadcast, the last axis is 3 and 2; each must be equal or 1"},
      {[] { clamp(zeros({2}), std::numeric_limits<double>::quiet_NaN(), 1); },
       "UsageError: clamp([2]): low nan is above high 1"},
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
      {[] { prod(zeros({2, 3}), 2); }, "IndexError: prod([2, 3]): axis 2 is out of range for rank 2"},
      {[] { prod(zeros({2, 3}), {1, -1}); }, "ShapeError: prod([2, 3]): axis -1 is named twice"},
      {[] { prod(Tensor()); }, "UsageError: prod: the first operand holds nothing: a Tensor made without a value"},
      {[] { norm(zeros({2, 3}), -3); }, "IndexError: norm([2, 3]): axis -3 is out of range for rank 2"},
      {[] { norm(zeros({2, 3}), {0, 0}); }, "ShapeError: norm([2, 3]): axis 0 is named twice"},
      {[] { norm(Tensor(), 0); }, "UsageError: norm: the first operand holds nothing: a Tensor made without a value"},
      {[] { cumsum(zeros({2, 3}), 2); }, "IndexError: cumsum([2, 3]): axis 2 is out of range for rank 2"},
      {[] { cumsum(zeros({})); }, "IndexError: cumsum([]): axis -1 is out of range for rank 0"},
      {[] { cumsum(Tensor()); }, "UsageError: cumsum: the first operand holds nothing: a Tensor made without a value"},
      {[] { mean(zeros({2, 3}), {0, 1, 0}); }, "ShapeError: mean([2, 3]): axis 0 is named twice"},
      {[] { mean(Tensor()); }, "UsageError: mean: the first operand holds nothing: a Tensor made without a value"},
      {[] { var(zeros({2, 3}), 2); }, "IndexError: var([2, 3]): axis 2 is out of range for rank 2"},
      {[] { var(Tensor()); }, "UsageError: var: the first operand holds nothing: a Tensor made without a value"},
      {[] { max(zeros({2, 3}), {0, -2}); }, "ShapeError: max([2, 3]): axis -2 is named twice"},
      {[] { max(Tensor()); }, "UsageError: max: the first operand holds nothing: a Tensor made without a value"},
      {[] { min(zeros({2, 3}), -3); }, "IndexError: min([2, 3]): axis -3 is out of range for rank 2"},
      {[] { min(Tensor()); }, "UsageError: min: the first operand holds nothing: a Tensor made without a value"},
      {[] { logsumexp(zeros({2}), {0, 0}); }, "ShapeError: logsumexp([2]): axis 0 is named twice"},
      {[] { logsumexp(Tensor()); },
       "UsageError: logsumexp: the first operand holds nothing: a Tensor made without a value"},
      {[] { argmax(Tensor(), 0); },
       "UsageError: argmax: the first operand holds nothing: a Tensor made without a value"},
      {[] { argmin(zeros({2}), -2); }, "IndexError: argmin([2]): axis -2 is out of range for rank 1"},
      {[] { softmax(Tensor()); },
       "UsageError: softmax: the first operand holds nothing: a Tensor made without a value"},
      {[] { log_softmax(zeros({}), 0); }, "IndexError: log_softmax([]): axis 0 is out of range for rank 0"},
      {[] { log_softmax(Tensor()); },
       "UsageError: log_softmax: the first operand holds nothing: a Tensor made without a value"},
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
      {[] { matmul(zeros({1, 2, 3, 4}), zeros({2, 2, 4, 1}), {.ta = true}); },
       "ShapeError: matmul([1, 2, 3, 4], [2, 2, 4, 1]): inner sizes differ, 3 != 4"},
      {[] { matmul(zeros({4}), zeros({3})); }, "ShapeError: matmul([4], [3]): inner sizes differ, 4 != 3"},
      {[] { matmul(zeros({3, 2}), zeros({3}), {.tb = true}); },
       "ShapeError: matmul([3, 2], [3]): a vector cannot be read transposed"},
      {[] { matmul(Tensor(), zeros({2, 2})); },
       "UsageError: matmul: the first operand holds nothing: a Tensor made without a value"},
      {[] { dot(zeros({}), zeros({})); }, "ShapeError: dot([], []): both must be vectors"},
      {[] { dot(Tensor(), zeros({2})); },
       "UsageError: dot: the first operand holds nothing: a Tensor made without a value"},
      {[] { outer(zeros({2}), zeros({})); }, "ShapeError: outer([2], []): both must be vectors"},
      {[] { outer(zeros({2}), Tensor()); },
       "UsageError: outer: the second operand holds nothing: a Tensor made without a value"},
      {[] { affine(zeros({2, 3}), zeros({5, 3}), Tensor()); },
       "UsageError: affine: the third operand holds nothing: a Tensor made without a value"},
      {[] { affine(zeros({2, 3}), zeros({5, 3}), zeros({1, 5})); },
       "ShapeError: affine([2, 3], [5, 3], [1, 5]): x needs at least one axis, the weight two, the bias one"},
      {[] { einsum("", zeros({2})); }, "UsageError: einsum(\"\", [2]): the formula is empty"},
      {[] { einsum("i1->i", zeros({2, 3})); },
       "UsageError: einsum(\"i1->i\", [2, 3]): '1' at 1 is neither a letter nor \",\", \"->\" or \"...\""},
      {[] { einsum("ij\x07", zeros({2, 3})); },
       "UsageError: einsum(\"ij\", [2, 3]): the byte 0x07 at 2 is neither a letter nor \",\", \"->\" or \"...\""},
      {[] { einsum("ij>i", zeros({2, 3})); },
       "UsageError: einsum(\"ij>i\", [2, 3]): '>' at 2 is neither a letter nor \",\", \"->\" or \"...\""},
      {[] { einsum("i..j", zeros({2, 3})); },
       "UsageError: einsum(\"i..j\", [2, 3]): '.' at 1 is neither a letter nor \",\", \"->\" or \"...\""},
      {[] { einsum("...i...", zeros({2, 3})); },
       "UsageError: einsum(\"...i...\", [2, 3]): \"...\" stands twice in one operand"},
      {[] { einsum("ij->i->j", zeros({2, 3})); },
       "UsageError: einsum(\"ij->i->j\", [2, 3]): \"->\" stands there twice"},
      {[] { einsum("ij->i,j", zeros({2, 3})); },
       "UsageError: einsum(\"ij->i,j\", [2, 3]): there is one result, without a comma"},
      {[] { einsum("ij,jk->ik", zeros({2, 3})); },
       "UsageError: einsum(\"ij,jk->ik\", [2, 3]): operands in the formula: 2, given: 1"},
      {[] { einsum("ij->ij", zeros({2, 3}), zeros({3})); },
       "UsageError: einsum(\"ij->ij\", [2, 3], [3]): operands in the formula: 1, given: 2"},
      {[] { einsum("i", std::vector<Tensor>{}); }, "UsageError: einsum(\"i\"): operands in the formula: 1, given: 0"},
      {[] { einsum("ij,jk->ik", zeros({2, 3}), zeros({4, 5})); },
       "ShapeError: einsum(\"ij,jk->ik\", [2, 3], [4, 5]): 'j' is 3 and 4"},
      {[] { einsum("ii->i", zeros({2, 3})); }, "ShapeError: einsum(\"ii->i\", [2, 3]): 'i' is 2 and 3"},
      {[] { einsum("ijk->i", zeros({2, 3})); },
       "ShapeError: einsum(\"ijk->i\", [2, 3]): operand 0 has 2 axes, and \"ijk\" names 3"},
      {[] { einsum("i->i", zeros({2, 3})); },
       "ShapeError: einsum(\"i->i\", [2, 3]): operand 0 has 2 axes, and \"i\" names 1"},
      {[] { einsum("...ijk->i", zeros({2, 3})); },
       "ShapeError: einsum(\"...ijk->i\", [2, 3]): operand 0 has 2 axes, and \"ijk\" names at least 3"},
      {[] { einsum("ij->ik", zeros({2, 3})); },
       "UsageError: einsum(\"ij->ik\", [2, 3]): the result has 'k', and no operand does"},
      {[] { einsum("ij->ii", zeros({2, 3})); }, "UsageError: einsum(\"ij->ii\", [2, 3]): the result has 'i' twice"},
      {[] { einsum("ij->...i", zeros({2, 3})); },
       "UsageError: einsum(\"ij->...i\", [2, 3]): the result has \"...\", and no operand does"},
      {[] { einsum("...i,...i->...", zeros({2, 3}), zeros({4, 3})); },
       "ShapeError: einsum(\"...i,...i->...\", [2, 3], [4, 3]): an axis of \"...\" is 2 and 4"},
      {[] { einsum("abcde,fghij", zeros({1, 1, 1, 1, 1}), zeros({1, 1, 1, 1, 1})); },
       "ShapeError: einsum(\"abcde,fghij\", [1, 1, 1, 1, 1], [1, 1, 1, 1, 1]): the result would have 10 axes, and a "
       "tensor has at most 8"},
      {[] { einsum("abcde,fghij,abcdefghij->", zeros({1, 1, 1, 1, 1}), zeros({1, 1, 1, 1, 1}), zeros({})); },
       "ShapeError: einsum(\"abcde,fghij,abcdefghij->\", [1, 1, 1, 1, 1], [1, 1, 1, 1, 1], []): operand 2 has 0 axes, "
       "and \"abcdefghij\" names 10"},
      {[] {
         const Tensor x = zeros({1, 1, 1, 1, 1});
         einsum("abcde,fghij,abcde,fghij->", x, x, x, x);
       },
       "ShapeError: einsum(\"abcde,fghij,abcde,fghij->\", [1, 1, 1, 1, 1], [1, 1, 1, 1, 1], [1, 1, 1, 1, 1], [1, 1, 1, "
       "1, 1]): a product on the way has 10 axes, and a tensor has at most 8"},
      {[] { einsum("i,i,i,i,i,i->i", zeros({2}), zeros({2}), zeros({2}), zeros({2}), zeros({2}), zeros({3})); },
       "ShapeError: einsum(\"i,i,i,i,i,i->i\", [2], [2], [2], [2], [2], +1 more): 'i' is 2 and 3"},
      {[] { einsum("i,i", zeros({2}), Tensor()); },
       "UsageError: einsum: the second operand holds nothing: a Tensor made without a value"},
      {[] { einsum("ab,bc,cd,de,ef,fg,gh,hi,ij,jk,kl,lm,mn,no,op,pq,qr,rs,st,tu,uv->av", zeros({2})); },
       "UsageError: einsum(\"ab,bc,cd,de,ef,fg,gh,hi,ij,jk,kl,lm,mn,no,op,pq,qr,rs,st,tu,...\", [2]): operands in the "
       "formula: 21, given: 1"},
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
      {[] { reshape(zeros({1}), {1, 1, 1, 1, 1, 1, 1, 1, 1}); },
       "ShapeError: reshape([1]): 9 axes are more than the 8 that a tensor can have"},
      {[] { flatten(Tensor()); },
       "UsageError: flatten: the first operand holds nothing: a Tensor made without a value"},
      {[] { squeeze(Tensor()); },
       "UsageError: squeeze: the first operand holds nothing: a Tensor made without a value"},
      {[] { unsqueeze(Tensor(), 0); },
       "UsageError: unsqueeze: the first operand holds nothing: a Tensor made without a value"},
      {[] { transpose(Tensor()); },
       "UsageError: transpose: the first operand holds nothing: a Tensor made without a value"},
      {[] { permute(Tensor(), {0}); },
       "UsageError: permute: the first operand holds nothing: a Tensor made without a value"},
      {[] { permute(zeros({2, 3}), {0, 1, 2}); }, "ShapeError: permute([2, 3]): the order [0, 1, 2] names 3 of 2 axes"},
      {[] { stack({zeros({2})}, -3); }, "IndexError: stack([2]): a new axis can stand at -2 to 1, not at -3"},
      {[] { stack({zeros({1, 1, 1, 1, 1, 1, 1, 1})}); },
       "ShapeError: stack([1, 1, 1, 1, 1, 1, 1, 1]): a tensor has at most 8 axes"},
      {[] { slice(Tensor(), 0, 1); },
       "UsageError: slice: the first operand holds nothing: a Tensor made without a value"},
      {[] { slice(zeros({2, 5}), 0, 6, -1); },
       "IndexError: slice([2, 5]): positions 0 to 6 are outside axis -1 of size 5"},
      {[] { split(zeros({5}), 0); }, "UsageError: split([5]): the size of a piece must be positive, got 0"},
      {[] { split(zeros({5}), -2); }, "UsageError: split([5]): the size of a piece must be positive, got -2"},
      {[] { split(zeros({2, 5}), 1, 2); }, "IndexError: split([2, 5]): axis 2 is out of range for rank 2"},
      {[] { split(zeros({}), 1); }, "IndexError: split([]): axis 0 is out of range for rank 0"},
      {[] { split(Tensor(), 1); }, "UsageError: split: the first operand holds nothing: a Tensor made without a value"},
      {[] { split(zeros({2, 5}), {2, 2}, 1); },
       "ShapeError: split([2, 5]): the pieces leave 1 of the 5 positions on axis 1"},
      {[] { split(zeros({2, 5}), {2, 4}, -1); },
       "ShapeError: split([2, 5]): piece 1 of size 4 does not fit into what is left of axis -1, 3"},
      {[] { split(zeros({5}), {6, -1}); },
       "ShapeError: split([5]): piece 0 of size 6 does not fit into what is left of axis 0, 5"},
      {[] { split(zeros({5}), {-1, 6}); }, "ShapeError: split([5]): the size of piece 0 must not be negative, got -1"},
      {[] { split(zeros({5}), {std::numeric_limits<std::int64_t>::max(), std::numeric_limits<std::int64_t>::max()}); },
       "ShapeError: split([5]): piece 0 of size 9223372036854775807 does not fit into what is left of axis 0, 5"},
      {[] { split(zeros({5}), {2, 3}, -2); }, "IndexError: split([5]): axis -2 is out of range for rank 1"},
      {[] { split(Tensor(), {1, 2}); },
       "UsageError: split: the first operand holds nothing: a Tensor made without a value"},
      {[] { pad(zeros({2}), {{1, 1}, {1, 1}}); },
       "ShapeError: pad([2]): there are widths for 2 axes, the tensor has 1"},
      {[] { pad(zeros({2, 3}), {{1, -1}}); }, "UsageError: pad([2, 3]): widths must not be negative, got {1, -1}"},
      {[] { pad(zeros({2, 3}), {{std::numeric_limits<std::int64_t>::max(), 1}}); },
       "ShapeError: pad([2, 3]): the widths {9223372036854775807, 1} are more than can be counted"},
      {[] { pad(tensor({1}, i64), {{1, 1}}, 0.5); },
       "DTypeError: pad(i64 [1]): 0.5 does not fit an i64 tensor\n  help: to(f32)"},
      {[] { pad(Tensor(), {{1, 1}}); },
       "UsageError: pad: the first operand holds nothing: a Tensor made without a value"},
      {[] { flip(zeros({2, 3}), 2); }, "IndexError: flip([2, 3]): axis 2 is out of range for rank 2"},
      {[] { flip(zeros({2, 3}), {0, -2}); }, "ShapeError: flip([2, 3]): axis -2 is named twice"},
      {[] { flip(zeros({}), 0); }, "IndexError: flip([]): axis 0 is out of range for rank 0"},
      {[] { flip(Tensor()); }, "UsageError: flip: the first operand holds nothing: a Tensor made without a value"},
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
      {[] { gather(zeros({2, 3}), Tensor()); },
       "UsageError: gather: the second operand holds nothing: a Tensor made without a value"},
      {[] { gather(zeros({0, 3}), zeros({1, 3}, i64), 0); },
       "IndexError: gather([0, 3], [1, 3]): index[0] = 0 is outside [0, 0)"},
      {[] { scatter_add(zeros({2, 3}), zeros({2}, i64), zeros({2})); },
       "ShapeError: scatter_add([2, 3], [2], [2]): the positions have rank 1, the tensor 2"},
      {[] { scatter_add(zeros({2, 3}), zeros({3, 1}, i64), zeros({3, 1})); },
       "ShapeError: scatter_add([2, 3], [3, 1], [3, 1]): there are positions for 3 of 2 on axis 0"},
      {[] { scatter_add(zeros({2, 3}), zeros({2, 1}, i64), zeros({2, 1}), -3); },
       "IndexError: scatter_add([2, 3], [2, 1], [2, 1]): axis -3 is out of range for rank 2"},
      {[] { scatter_add(zeros({2, 3}), full({2, 1}, -1, i64), zeros({2, 1})); },
       "IndexError: scatter_add([2, 3], [2, 1], [2, 1]): index[0] = -1 is outside [0, 3)"},
      {[] { take(zeros({2, 3}), zeros({2})); }, "DTypeError: take(f32 [2, 3], f32 [2]): positions must be i64"},
      {[] { take(zeros({2, 3}), tensor({0, 2}, i64)); },
       "IndexError: take([2, 3], [2]): index[1] = 2 is outside [0, 2)"},
      {[] { take(zeros({2, 3}), tensor({{0, 1}, {2, -1}}, i64), -1); },
       "IndexError: take([2, 3], [2, 2]): index[3] = -1 is outside [0, 3)"},
      {[] { take(zeros({2, 3}), zeros({2}, i64), 2); },
       "IndexError: take([2, 3], [2]): axis 2 is out of range for rank 2"},
      {[] { take(zeros({}), zeros({2}, i64)); }, "IndexError: take([], [2]): axis 0 is out of range for rank 0"},
      {[] { take(zeros({0, 3}), zeros({1}, i64)); }, "IndexError: take([0, 3], [1]): index[0] = 0 is outside [0, 0)"},
      {[] { take(zeros({1, 1, 1, 1, 1, 1, 1}), zeros({1, 1, 1}, i64)); },
       "ShapeError: take([1, 1, 1, 1, 1, 1, 1], [1, 1, 1]): the result would have 9 axes, and a tensor has at most 8"},
      {[] { take(Tensor(), zeros({2}, i64)); },
       "UsageError: take: the first operand holds nothing: a Tensor made without a value"},
      {[] { take(zeros({2, 3}), Tensor()); },
       "UsageError: take: the second operand holds nothing: a Tensor made without a value"},
      {[] { embedding(zeros({2}), zeros({10, 4})); },
       "DTypeError: embedding(f32 [2], f32 [10, 4]): positions must be i64"},
      {[] { embedding(tensor({3, 10}, i64), zeros({10, 4})); },
       "IndexError: embedding([2], [10, 4]): index[1] = 10 is outside [0, 10)"},
      {[] { embedding(tensor({-1}, i64), zeros({10, 4})); },
       "IndexError: embedding([1], [10, 4]): index[0] = -1 is outside [0, 10)"},
      {[] { embedding(tensor({0}, i64), zeros({10})); },
       "ShapeError: embedding([1], [10]): the weight must be [rows, width]"},
      {[] { embedding(tensor({0}, i64), zeros({10, 4, 2})); },
       "ShapeError: embedding([1], [10, 4, 2]): the weight must be [rows, width]"},
      {[] { embedding(zeros({1, 1, 1, 1, 1, 1, 1, 1}, i64), zeros({10, 4})); },
       "ShapeError: embedding([1, 1, 1, 1, 1, 1, 1, 1], [10, 4]): the result would have 9 axes, and a tensor has at "
       "most 8"},
      {[] { embedding(zeros({10, 4}), tensor({0}, i64)); },
       "ShapeError: embedding([10, 4], [1]): the weight must be [rows, width]"},
      {[] { embedding(Tensor(), zeros({10, 4})); },
       "UsageError: embedding: the first operand holds nothing: a Tensor made without a value"},
      {[] { embedding(zeros({2}, i64), Tensor()); },
       "UsageError: embedding: the second operand holds nothing: a Tensor made without a value"},
      {[] { one_hot(Tensor(), 3); },
       "UsageError: one_hot: the first operand holds nothing: a Tensor made without a value"},
      {[] { one_hot(tensor({0}, i64), 0); }, "IndexError: one_hot([1]): label[0] = 0 is outside [0, 0)"},
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
      {[] { bce_with_logits(zeros({2, 1}), zeros({1, 2})); },
       "ShapeError: bce_with_logits([2, 1], [1, 2]): logits and targets must have the same shape"},
      {[] { softmax_cross_entropy(zeros({2, 10}), tensor({0, -1}, i64)); },
       "IndexError: softmax_cross_entropy([2, 10], [2]): label[1] = -1 is outside [0, 10)"},
      {[] { softmax_cross_entropy(Tensor(), zeros({2}, i64)); },
       "UsageError: softmax_cross_entropy: the first operand holds nothing: a Tensor made without a value"},
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
      {[] { pad(zeros({2, 3}), {{std::int64_t{1} << 40, 0}, {std::int64_t{1} << 40, 0}}); },
       "ShapeError: Shape: [1099511627778, 1099511627779] has more elements than can be counted"},
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
  CHECK(bad_ops().size() + bad_others().size() >= 240);
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
  const std::vector<Tensor> many(10, x);
  CHECK_THROWS_AS(einsum("ab,cd,ef,gh,ij,ab,cd,ef,gh,ij->", many), ShapeError);
  CHECK(graph.size() == 1);  // the cast to f64 is taken back too, and the products before the one that was too large
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
