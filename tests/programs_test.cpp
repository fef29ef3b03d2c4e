// Random graph programs: what the library says of each, forward and in both orders of derivatives, against the
// interpreter in forward.h.  EBB_PROGRAMS=100000 runs so many instead of 10,000; EBB_PROGRAM=17 prints and runs number 17.
#include "programs.h"
#include "draw.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <map>
#include <set>
#include <string>

using namespace ebb;
using namespace ebb::programs;

namespace {

std::int64_t from_environment(const char* name, std::int64_t otherwise) {
  const char* const text = std::getenv(name);
  return text == nullptr ? otherwise : std::atoll(text);
}

/// What a person needs to find the fault.
std::string report(std::int64_t seed, const Program& program, const Comparison& found, const Library& library) {
  const Program small = shrunk(program, [&](const Program& p) { return !compare(p, library).agrees(); });
  return "EBB_PROGRAM=" + std::to_string(seed) + ": " + found.text() +
         "\n  made small: " + compare(small, library).text() + "\n" + to_text(small);
}

}  // namespace

TEST_CASE("the library has every op of the interpreter") {
  std::set<std::string> here, there;
  for (const auto& [name, op] : library()) here.insert(name);
  for (const auto& [name, op] : forward::ops()) there.insert(name);
  CHECK(here == there);
}

TEST_CASE("reverse and forward agree on values, gradients and second derivatives of random programs") {
  const std::int64_t chosen = from_environment("EBB_PROGRAM", -1), programs = from_environment("EBB_PROGRAMS", 10000);
  std::map<std::string, int> uses;
  std::int64_t steps = 0;
  std::size_t longest = 0;
  Comparison worst;
  for (std::int64_t seed = std::max<std::int64_t>(chosen, 0); seed < (chosen < 0 ? programs : chosen + 1); ++seed) {
    const Program program = Draw(static_cast<std::uint64_t>(seed)).program();
    if (chosen >= 0) MESSAGE("\n" << to_text(program));
    const Comparison found = compare(program);
    if (!found.agrees()) FAIL(report(seed, program, found, library()));
    for (const Step& step : program.steps) ++uses[step.op];
    steps += static_cast<std::int64_t>(program.steps.size());
    longest = std::max(longest, program.steps.size());
    worst.value = std::max(worst.value, found.value);
    worst.first = std::max(worst.first, found.first);
    worst.second = std::max(worst.second, found.second);
  }
  if (chosen >= 0) return;
  MESSAGE(programs << " programs of " << steps << " steps, up to " << longest << " each: " << worst.text());
  for (const auto& entry : library()) {
    CAPTURE(entry.first);
    CHECK(uses[entry.first] * 1000 >= programs);  // an op that hardly any program has is not tested
  }
}

TEST_CASE("a wrong gradient is found, and the program around it is made small") {
  Library wrong = library();
  wrong["tanh"] = of_one([](const auto& x) { return tanh(x) + (x - detach(x)) * 1e-6; });
  int found = 0;
  for (std::uint64_t seed = 0; seed < 200; ++seed) {
    const Program program = Draw(seed).program();
    if (compare(program, wrong).agrees()) continue;
    ++found;
    const Program small = shrunk(program, [&](const Program& p) { return !compare(p, wrong).agrees(); });
    CHECK(small.steps.size() == 2);
    CHECK(small.steps.back().op == "tanh");
  }
  CHECK(found > 5);
}
