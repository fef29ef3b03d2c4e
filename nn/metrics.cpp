#include "metrics.h"

#include "../autograd/graph.h"
#include "../autograd/op.h"
#include "../autograd/ops.h"

#include <fmt/format.h>

namespace ebb::nn {

namespace {

using ebb::detail::Complaint;

[[noreturn]] void refuse(Complaint::Kind kind, std::string reason, std::string help, const Tensor& prediction,
                         const Tensor& target) {
  const Tensor* operands[] = {&prediction, &target};
  ebb::detail::refuse({kind, std::move(reason), std::move(help)}, "accuracy", operands, 2);
}

/// Of ones among ones and zeros.
double share(const Tensor& right) { return sum(right).item() / static_cast<double>(right.size()); }

}  // namespace

double accuracy(const Tensor& prediction, const Tensor& target) {
  const Pause pause;  // a number for people is no part of the graph
  const Shape &p = prediction.shape(), &t = target.shape();
  if (p.size() == 0) refuse(Complaint::usage, "there are no rows", "", prediction, target);
  if (p == t && (p.rank() == 1 || (p.rank() == 2 && p[1] == 1))) return share((prediction >= 0.5) == (target >= 0.5));

  if (p.rank() != 2 || p[1] == 1 || t != Shape{p[0]}) {
    std::string help;
    if (p == t && p.rank() == 2) help = "for one-hot rows use argmax(target, 1)";
    else if (p.size() == t.size()) help = fmt::format("reshape(target, {{{}}})", fmt::join(p, ", "));
    refuse(Complaint::shape, "wants [n] or [n, 1] of one shape, or [n, classes] and class numbers [n]", std::move(help),
           prediction, target);
  }
  if (target.dtype() != i64)
    refuse(Complaint::dtype, fmt::format("class numbers must be i64, not {}", to_string(target.dtype())),
           "target.to(i64)", prediction, target);
  return share(argmax(prediction, 1) == target);
}

}  // namespace ebb::nn
