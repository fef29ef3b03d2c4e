#include "deferred.h"

#include "kernels/blas.h"
#include "launch.h"
#include "ops.h"

#include <utility>
#include <vector>

namespace ebb::detail {

namespace {

// From so many terms on, a longer product is no faster; and what it is made of can be let go of.
constexpr std::int64_t enough_terms = 256;

/// Where the numbers of each lie, in `numbers`, whose memory serves again.
template <class T> const std::vector<const T*>& numbers_of(const std::vector<Tensor>& all, std::vector<const T*>& numbers) {
  numbers.clear();
  for (const Tensor& each : all) numbers.push_back(read<T>(each));
  return numbers;
}

}  // namespace

void settle(List& list, TensorNode& node) {
  if (node.deferred == 0) return;
  Deferred& noted = list.deferred[node.deferred - 1];
  if (noted.left.empty()) return;
  const bool first = node.gradient == nullptr;
  Tensor sum;
  if (first && noted.left.size() == 1) {
    sum = matmul(noted.left[0], noted.right[0], {.ta = true});
  } else {
    sum = first ? empty(node.shape, node.dtype) : Access::tensor(std::exchange(node.gradient, nullptr));
    dispatch_floating(node.dtype, [&]<class T>(T) {
      thread_local std::vector<const T*> left, right;
      launch([](const auto&... all) { kernels::gemm_pairs(all...); }, node.shape[0], node.shape[1],
             noted.left[0].shape()[0], numbers_of(noted.left, left), numbers_of(noted.right, right),
             static_cast<T*>(writable(sum)), !first);
    });
  }
  node.gradient = Access::take(sum);
  noted.forget();
}

void defer(List& list, TensorNode& node, Tensor left, Tensor right) {
  if (node.deferred == 0) {
    if (list.deferred_count == list.deferred.size()) list.deferred.emplace_back();
    node.deferred = static_cast<std::uint32_t>(++list.deferred_count);
  }
  const std::int64_t rows = left.shape()[0];
  const auto noted = [&]() -> Deferred& { return list.deferred[node.deferred - 1]; };
  if (!noted().left.empty() && noted().left[0].shape()[0] != rows) settle(list, node);
  noted().left.push_back(std::move(left));
  noted().right.push_back(std::move(right));
  if (rows * std::ssize(noted().left) >= enough_terms) settle(list, node);
}

}  // namespace ebb::detail
