// Times several ways of doing one thing side by side: A B A B ..., so that what else the machine does meets all alike.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <fstream>
#include <functional>
#include <string>
#include <utility>
#include <vector>

namespace bench {

inline double seconds_of(const std::function<void()>& run) {
  const auto begin = std::chrono::steady_clock::now();
  run();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
}

inline double median(std::vector<double> v) {
  std::nth_element(v.begin(), v.begin() + static_cast<std::ptrdiff_t>(v.size() / 2), v.end());
  return v[v.size() / 2];
}

/// Median seconds of one call of each, over `rounds` rounds in which each is called `calls` times; and the median of the
/// rounds' ratios of each to the last.
struct Timing {
  double seconds, ratio;
};
inline std::vector<Timing> compare(const std::vector<std::function<void()>>& ways, int calls, int rounds = 31) {
  std::vector<std::vector<double>> seconds(ways.size()), ratios(ways.size());
  for (const auto& way : ways)
    for (int i = 0; i < calls; ++i) way();  // warm
  for (int round = 0; round < rounds; ++round) {
    for (std::size_t k = 0; k < ways.size(); ++k)
      seconds[k].push_back(seconds_of([&] {
                             for (int i = 0; i < calls; ++i) ways[k]();
                           }) /
                           calls);
    for (std::size_t k = 0; k < ways.size(); ++k) ratios[k].push_back(seconds[k].back() / seconds.back().back());
  }
  std::vector<Timing> result;
  for (std::size_t k = 0; k < ways.size(); ++k) result.push_back({median(seconds[k]), median(ratios[k])});
  return result;
}

/// The processor's name, as the system tells it.
inline std::string machine() {
  std::ifstream info("/proc/cpuinfo");
  for (std::string line; std::getline(info, line);)
    if (line.starts_with("model name")) return line.substr(line.find(':') + 2);
  return "unknown processor";
}

}  // namespace bench
