#include "trainer.h"

#include "../autograd/error.h"
#include "../autograd/graph.h"
#include "../autograd/list.h"
#include "../autograd/ops.h"
#include "../nn/data/loader.h"
#include "fit.h"
#include "tally.h"

#include <fmt/format.h>

#include <algorithm>

namespace ebb::optim {

Trainer::Trainer(Call model, Visit contents, Optimizer& optimizer, TrainerOptions options)
    : model_(std::move(model)), contents_(std::move(contents)), optimizer_(&optimizer), options_(std::move(options)) {
  if (!options_.loss) throw UsageError("Trainer: there is no loss; give one, e.g. {.loss = nn::mse_loss}");
  std::vector<std::string> names{"loss", "seconds", "epoch"};
  for (const Metric& metric : options_.metrics) {
    if (!metric.function) throw UsageError(fmt::format("Trainer: the metric \"{}\" has no function", metric.name));
    if (std::find(names.begin(), names.end(), metric.name) != names.end())
      throw UsageError(fmt::format("Trainer: a metric cannot be called \"{}\": that name is taken", metric.name));
    if (metric.name.empty() || metric.name.starts_with("val_"))
      throw UsageError(
          fmt::format("Trainer: a metric cannot be called \"{}\": {}", metric.name,
                      metric.name.empty() ? "it needs a name" : "val_ marks those of the validation part"));
    names.push_back(metric.name);
  }
  if (options_.loss.takes_logits())
    for (Metric& metric : options_.metrics)
      if (metric.cuts_at_half)
        metric.function = [measure = metric.function](const Tensor& p, const Tensor& y) {
          return measure(sigmoid(p), y);
        };
  check_optimizer("Trainer");
}

History Trainer::fit(const data::Dataset& train, const FitOptions& options) {
  check_optimizer("Trainer::fit");
  return Fit(*this, train, options).train();
}

void Trainer::check_optimizer(const char* who) const {
  if (optimizer_->parameters().empty())
    throw UsageError(fmt::format(
        "{}: the optimizer was moved from\n  help: make the Trainer with the one that it was moved to", who));
  if (!contents_) return;
  const nn::Contents contents = contents_();
  const auto& held = optimizer_->parameters();
  const auto trains = [&](const nn::Contents::Trained& p) {
    return std::find(held.begin(), held.end(), p.parameter->state()) != held.end();
  };
  if (contents.parameters.empty() || std::any_of(contents.parameters.begin(), contents.parameters.end(), trains))
    return;
  throw UsageError(fmt::format(
      "{}: {} trains none of the model's {} parameters\n  help: make it from this model; a copy, or a model that was "
      "replaced by one of other sizes, has parameters of its own",
      who, optimizer_->name(), contents.parameters.size()));
}

void Trainer::check_parameters(const Graph& graph) const {
  if (!contents_) return;
  const ParameterList::States& held = optimizer_->parameters();
  ParameterList::States listed;
  for (const nn::Contents::Trained& p : contents_().parameters) listed.push_back(p.parameter->state());

  constexpr std::size_t most = 5;
  std::vector<std::string> strangers;
  std::size_t count = 0;
  auto used = detail::List::of(graph)->parameters.begin();  // as many as there are nodes of this kind, in their order
  for (const Node& node : graph.nodes()) {
    if (node.kind != Node::Kind::parameter) continue;
    const auto& one = *used++;
    const auto is_in = [&one](const auto& all) { return std::find(all.begin(), all.end(), one) != all.end(); };
    if (is_in(held) || is_in(listed) || ++count > most) continue;
    const std::string& place = node.scope.empty() ? node.scope_kind : node.scope;
    strangers.push_back(fmt::format("{} {}{}", node.name.empty() ? "a parameter" : node.name, to_string(node.shape),
                                    place.empty() ? "" : " in " + place));
  }
  if (count == 0) return;
  throw UsageError(fmt::format(
      "Trainer::fit: the loss depends on what {} does not train and the model does not list: {}{}\n  help: EBB_FIELDS "
      "must list the field that holds it",
      optimizer_->name(), fmt::join(strangers, ", "), count > most ? fmt::format(" (+{} more)", count - most) : ""));
}

Scores Trainer::evaluate(const data::Dataset& dataset, const EvaluateOptions& options) const {
  data::detail::require_filled(dataset, "Trainer::evaluate");
  if (!dataset.y.defined())
    throw UsageError("Trainer::evaluate: the dataset has no answers y\n  help: predict() asks for none");
  check_weights(dataset);
  const Pause pause;
  Tally tally(options_.metrics);
  data::Loader loader = data::loader(dataset, {.batch = options.batch});
  for (const data::Batch& batch : loader) {
    const Tensor prediction = model_(batch.x);
    tally.add(prediction, batch.y, options_.loss(prediction, batch.y, batch.weight).item());
  }
  return Scores(tally.readings());
}

Tensor Trainer::predict(const Tensor& x) const {
  const Pause pause;
  return model_(x);
}

Tensor Trainer::predict(const data::Dataset& dataset, const EvaluateOptions& options) const {
  data::detail::require_filled(dataset, "Trainer::predict");
  const Pause pause;
  std::vector<Tensor> parts;
  data::Loader loader = data::loader(dataset, {.batch = options.batch});
  for (const data::Batch& batch : loader) parts.push_back(model_(batch.x));
  return concat(parts, 0);
}

}  // namespace ebb::optim
