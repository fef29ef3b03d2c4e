// How many spots will the sun have next year?  An RNN, an LSTM and a GRU answer from the last 30 years.
//
// It must reach: each of the three, over the last 60 years (1949-2008), a root mean square error below that of an
// autoregression over 9 years, AR(9), fitted by least squares, and so below persistence (next year is like this one).
// With --short: below persistence alone, with one small model of each kind, in a few seconds.
//
// Everything is fitted to the years before the judged ones, the scale of the numbers too.  Window, sizes, learning rate,
// epochs and the number of models were chosen by the 60 years before (--validation judges by those, 1889-1948, what was
// fitted to the years before 1889), not by the last 60.
// Usage: sunspots [--short] [--validation] [sunspots.csv]; writes sunspots_rnn.svg (how training went) and
// sunspots_rnn_flow.svg (how gradients flow back through the years), and so for lstm and gru, into the current folder.
#include <ebb/optim/optim.h>
#include <ebb/tools/graphviz.h>

#include <algorithm>
#include <cctype>
#include <cmath>
#include <cstdio>
#include <filesystem>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

using namespace ebb;

namespace {

constexpr std::int64_t window = 30, judged = 60, lags = 9;

using Series = std::vector<double>;

/// What one kind of layer makes of a window [n, 30, 1]: the change from its last year to the next, [n, 1].
template <class Layer> struct Forecaster {
  Layer memory{1, 16};
  nn::Dense out{16, 1};
  Tensor operator()(const Tensor& x) const { return out(memory(x)); }
  EBB_FIELDS(memory, out)
};

/// Models that differ in how they began.  Trained together; their mean errs less than each.
template <class Layer> struct Ensemble {
  std::vector<Forecaster<Layer>> members;
  Tensor operator()(const Tensor& x) const {  // [n, 30, 1] -> [n, members]
    std::vector<Tensor> changes;
    for (const auto& member : members) changes.push_back(member(x));
    return squeeze(slice(x, window - 1, window, 1), 1) + concat(changes, 1);
  }
  EBB_FIELDS(members)
};

/// Square roots, so that the large numbers do not err the most, scaled to mean 0 and deviation 1 over the first years.
struct Scale {
  double mean = 0, deviation = 0;

  Scale(const Series& spots, std::int64_t years) {
    const auto n = static_cast<double>(years);
    for (std::int64_t i = 0; i < years; ++i) mean += std::sqrt(spots[std::size_t(i)]) / n;
    for (std::int64_t i = 0; i < years; ++i) deviation += std::pow(std::sqrt(spots[std::size_t(i)]) - mean, 2) / n;
    deviation = std::sqrt(deviation);
  }
  double operator()(double spots) const { return (std::sqrt(spots) - mean) / deviation; }
  double back(double scaled) const { return std::pow(std::max(0.0, scaled * deviation + mean), 2); }
};

/// A row for each of the years: the window before it, and its own number.
data::Dataset windows(const Series& spots, const Scale& scale, std::int64_t begin, std::int64_t end) {
  std::vector<float> x, y;
  for (std::int64_t year = begin; year < end; ++year) {
    for (std::int64_t i = year - window; i < year; ++i) x.push_back(float(scale(spots[std::size_t(i)])));
    y.push_back(float(scale(spots[std::size_t(year)])));
  }
  return {from(x, {end - begin, window, 1}), from(y, {end - begin, 1})};
}

/// The solution of a·x = b by elimination, for the few unknowns of a least-squares fit.
Series solve(std::vector<Series> a, Series b) {
  const std::size_t n = b.size();
  for (std::size_t k = 0; k < n; ++k) {
    std::size_t pivot = k;
    for (std::size_t i = k + 1; i < n; ++i)
      if (std::abs(a[i][k]) > std::abs(a[pivot][k])) pivot = i;
    std::swap(a[k], a[pivot]);
    std::swap(b[k], b[pivot]);
    for (std::size_t i = k + 1; i < n; ++i) {
      const double factor = a[i][k] / a[k][k];
      for (std::size_t j = k; j < n; ++j) a[i][j] -= factor * a[k][j];
      b[i] -= factor * b[k];
    }
  }
  for (std::size_t k = n; k-- > 0;) {
    for (std::size_t j = k + 1; j < n; ++j) b[k] -= a[k][j] * b[j];
    b[k] /= a[k][k];
  }
  return b;
}

/// Forecasts of the years [first, end) by AR(9): a constant and a weight for each of the 9 years before, fitted by least
/// squares to the years before `first`.
Series autoregression(const Series& numbers, std::int64_t first, std::int64_t end) {
  const auto before = [&](std::int64_t year) {
    Series row{1.0};
    for (std::int64_t lag = 1; lag <= lags; ++lag) row.push_back(numbers[std::size_t(year - lag)]);
    return row;
  };
  std::vector<Series> normal(lags + 1, Series(lags + 1));
  Series right(lags + 1);
  for (std::int64_t year = lags; year < first; ++year) {
    const Series row = before(year);
    for (std::size_t i = 0; i <= lags; ++i) {
      for (std::size_t j = 0; j <= lags; ++j) normal[i][j] += row[i] * row[j];
      right[i] += row[i] * numbers[std::size_t(year)];
    }
  }
  const Series weights = solve(normal, right);
  Series forecasts;
  for (std::int64_t year = first; year < end; ++year) {
    const Series row = before(year);
    double sum = 0;
    for (std::size_t i = 0; i <= lags; ++i) sum += weights[i] * row[i];
    forecasts.push_back(sum);
  }
  return forecasts;
}

/// The root mean square error of forecasts of the years from `first` on.
double error_of(const Series& forecasts, const Series& spots, std::int64_t first) {
  double sum = 0;
  for (std::size_t i = 0; i < forecasts.size(); ++i) sum += std::pow(forecasts[i] - spots[std::size_t(first) + i], 2);
  return std::sqrt(sum / static_cast<double>(forecasts.size()));
}

/// The pictures of a kind are called this and an ending.
std::string pictures(std::string kind) {
  for (char& letter : kind) letter = static_cast<char>(std::tolower(letter));
  return "sunspots_" + kind;
}

/// One batch forward and backward through the last 4 years of each window, under observation, drawn.
template <class Layer> void draw(const Forecaster<Layer>& model, const data::Dataset& batch, const std::string& kind,
                                 const std::string& file) {
  Graph graph;
  graph.observe();
  const Tensor years = graph.variable(slice(batch.x, window - 4, window, 1), "years");
  nn::mse_loss(squeeze(slice(years, 3, 4, 1), 1) + model(years), batch.y).backward();
  graphviz::render(graph, file, {.title = "How gradients flow back through the years of a " + kind});
}

/// Trains an ensemble on the years before `first` and forecasts those in [first, end).
template <class Layer>
Series forecasts(const std::string& kind, const Series& spots, std::int64_t first, std::int64_t end, bool is_short) {
  const Scale scale(spots, first);
  seed(1);
  Ensemble<Layer> ensemble{std::vector<Forecaster<Layer>>(is_short ? 1 : 5)};
  std::printf("\n%s\n", kind.c_str());
  optim::Adam adam(ensemble, {.lr = 3e-3});
  optim::Trainer trainer(ensemble, adam,
                         {.loss = [](const Tensor& each, const Tensor& y) { return mean(square(each - y)); }});
  const data::Dataset train = windows(spots, scale, window, first);
  trainer.fit(train, {.epochs = is_short ? 15 : 60, .seed = 1}).svg(pictures(kind) + ".svg");
  draw(ensemble.members[0], train.rows(0, 32), kind, pictures(kind) + "_flow.svg");

  const Tensor scaled = trainer.predict(windows(spots, scale, first, end).x);
  Series all;
  for (std::int64_t i = 0; i < end - first; ++i) {
    double sum = 0;
    for (std::int64_t k = 0; k < scaled.shape()[1]; ++k) sum += scale.back(scaled(i, k).value());
    all.push_back(sum / static_cast<double>(scaled.shape()[1]));
  }
  return all;
}

Series numbers_of(const std::string& file) {
  const Tensor spots = data::csv(file, {.label = "SUNACTIVITY"}).y;
  if (spots.size() < 3 * judged) throw UsageError(file + ": too few years");
  return spots.to(f64).to_vector<double>();
}

Series roots(Series numbers) {
  for (double& x : numbers) x = std::sqrt(x);
  return numbers;
}
Series squares(Series numbers) {
  for (double& x : numbers) x *= x;
  return numbers;
}

}  // namespace

int main(int argc, char** argv) try {
  std::string file = EBB_SOURCE_ROOT "/examples/data/sunspots.csv";
  bool is_short = false, validation = false;
  for (const std::string_view argument : std::vector<std::string_view>(argv + 1, argv + argc)) {
    if (argument == "--short") is_short = true;
    else if (argument == "--validation") validation = true;
    else file = argument;
  }
  const Series spots = numbers_of(file);
  const std::int64_t end = static_cast<std::int64_t>(spots.size()) - (validation ? judged : 0), first = end - judged;

  const Series last_years(spots.begin() + first - 1, spots.begin() + end - 1);
  const std::vector<std::pair<const char*, Series>> networks{
      {"RNN", forecasts<nn::RNN>("RNN", spots, first, end, is_short)},
      {"LSTM", forecasts<nn::LSTM>("LSTM", spots, first, end, is_short)},
      {"GRU", forecasts<nn::GRU>("GRU", spots, first, end, is_short)}};

  const double persistence = error_of(last_years, spots, first);
  const double ar = error_of(autoregression(spots, first, end), spots, first);
  const double goal = is_short ? persistence : ar;
  std::printf("\none year ahead, %lld years: root mean square error\n", static_cast<long long>(judged));
  std::printf("  persistence                   %6.2f\n", persistence);
  std::printf("  AR(9)                         %6.2f\n", ar);
  std::printf("  AR(9) of the square roots     %6.2f\n",
              error_of(squares(autoregression(roots(spots), first, end)), spots, first));
  bool reached = true;
  for (const auto& [kind, years] : networks) {
    const double error = error_of(years, spots, first);
    std::printf("  %-4s                          %6.2f%s\n", kind, error, error < goal ? "" : "  too much");
    reached = reached && error < goal;
  }
  std::printf("\nhow training went, and how gradients flow\n");
  for (const auto& [kind, years] : networks)
    for (const char* const ending : {".svg", "_flow.svg"})
      std::printf("  %-5s %s\n", kind, std::filesystem::absolute(pictures(kind) + ending).string().c_str());
  if (reached) return 0;
  std::printf("sunspots: each network must err less than %s, %.2f\n", is_short ? "persistence" : "AR(9)", goal);
  return 1;
} catch (const Error& error) {
  std::fprintf(stderr, "sunspots: %s\n", error.what());
  return 1;
}
