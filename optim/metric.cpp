#include "metric.h"

#include "../autograd/error.h"
#include "../nn/metrics.h"

namespace ebb::optim {

Metric::Metric(double (*measure)(const Tensor&, const Tensor&)) : Metric("", measure) {
  const nn::KnownMetric* const known = nn::known_metric(measure);
  if (known == nullptr) throw UsageError("Metric: a function of your own needs a name: {\"name\", function}");
  name = known->name;
}

Metric::Metric(std::string called, double (*measure)(const Tensor&, const Tensor&)) : name(std::move(called)) {
  if (measure != nullptr) function = measure;
  if (const nn::KnownMetric* const known = nn::known_metric(measure); known != nullptr) {
    if (!known->mean_over_rows) over = Over::dataset;
    cuts_at_half = known->cuts_at_half;
  }
}

}  // namespace ebb::optim
