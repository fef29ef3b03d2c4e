// Losses agree with PyTorch: values and gradients, for every reduction, weight and option (tests/parity/losses.py).
#include "parity.h"

#include <doctest/doctest.h>
#include <ebb/nn/nn.h>

#include <string>

using namespace ebb;
using nn::Reduction;

namespace {

/// The loss that a case is of, which its name begins with, under the options that stand beside it.
Tensor loss_of(const Golden& golden, const std::string& one, Reduction reduction, const Tensor& x,
               const Tensor& target) {
  const auto weights = [&](const char* what) { return golden.has(one, what) ? golden(one, what) : Tensor(); };
  const auto number = [&](const char* what, double otherwise) {
    return golden.has(one, what) ? golden(one, what).item() : otherwise;
  };
  const Tensor rows = weights("row_weights"), classes = weights("class_weights");
  const std::string kind = one.substr(0, one.find('.'));
  const nn::LossOptions plain{.reduction = reduction, .row_weights = rows};
  if (kind == "mse") return nn::mse_loss(x, target, plain);
  if (kind == "l1") return nn::l1_loss(x, target, plain);
  if (kind == "bce") return nn::binary_cross_entropy(x, target, plain);
  if (kind == "bce_logits")
    return nn::binary_cross_entropy_with_logits(
        x, target, {.reduction = reduction, .row_weights = rows, .pos_weight = weights("pos_weight")});
  if (kind == "huber")
    return nn::huber_loss(x, target, {.reduction = reduction, .row_weights = rows, .delta = number("delta", 1)});
  if (kind == "smooth_l1")
    return nn::smooth_l1_loss(x, target, {.reduction = reduction, .row_weights = rows, .beta = number("beta", 1)});
  if (kind == "nll") return nn::nll_loss(x, target, {.reduction = reduction, .class_weights = classes});
  if (kind == "ce")
    return nn::cross_entropy(x, target,
                             {.reduction = reduction,
                              .row_weights = rows,
                              .class_weights = classes,
                              .label_smoothing = number("label_smoothing", 0)});
  REQUIRE_MESSAGE((kind == "kl" || kind == "kl_log"), kind << " is no loss");
  return nn::kl_div_loss(x, target, {.reduction = reduction, .log_target = kind == "kl_log"});
}

}  // namespace

TEST_CASE("losses and their gradients are PyTorch's") {
  const Golden golden("losses");
  CHECK(golden.cases().size() == 92);
  for (const std::string& one : golden.cases())
    for (const std::string name : {"mean", "sum", "none"}) {
      const Reduction reduction = name == "mean" ? Reduction::mean : name == "sum" ? Reduction::sum : Reduction::none;
      Graph graph;
      const Tensor x = graph.variable(golden(one, "x"));
      const bool soft = golden.has(one, "grad.target." + name);
      const Tensor target = soft ? graph.variable(golden(one, "target")) : golden(one, "target");
      const Tensor y = loss_of(golden, one, reduction, x, target);
      CHECK_PARITY(y, golden(one, "y." + name), one + " " + name);
      sum(y * golden(one, "dy." + name)).backward();
      CHECK_PARITY(x.grad(), golden(one, "grad.x." + name), one + " " + name);
      if (soft) CHECK_PARITY(target.grad(), golden(one, "grad.target." + name), one + " " + name);
    }
}
