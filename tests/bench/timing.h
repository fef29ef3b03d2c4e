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

#include <time.h>

namespace bench {

inline double wall_seconds() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

/// Seconds that this thread had the processor for: for work on one thread, beside which other programs run.
inline double thread_seconds() {
  timespec now{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) + static_cast<double>(now.tv_nsec) * 1e-9;
}

inline double median(std::vector<double> v) {
  std::nth_element(v.begin(), v.begin() + static_cast<std::ptrdiff_t>(v.size() / 2), v.end());
  return v[v.size() / 2];
}

/// Median seconds of one call of each, over `rounds` rounds in which each is called `calls` times; and the median of
/// the rounds' ratios of each to the last.  `now` is thread_seconds for work on one thread.
struct Timing {
  double seconds, ratio;
};
inline std::vector<Timing> compare(const std::vector<std::function<void()>>& ways, int calls, int rounds = 31,
                                   double (*now)() = wall_seconds) {
  std::vector<std::vector<double>> seconds(ways.size()), ratios(ways.size());
  for (const auto& way : ways)
    for (int i = 0; i < calls; ++i) way();  // warm
  for (int round = 0; round < rounds; ++round) {
    for (std::size_t k = 0; k < ways.size(); ++k) {
      const double begin = now();
      for (int i = 0; i < calls; ++i) ways[k]();
      seconds[k].push_back((now() - begin) / calls);
    }
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
    if (line.rfind("model name", 0) == 0) return line.substr(line.find(':') + 2);
  return "unknown processor";
}

}  // namespace bench
