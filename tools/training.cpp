#include "training.h"

#include "graphviz/file.h"
#include "graphviz/text.h"

#include "../autograd/error.h"

#include <fmt/format.h>

#include <charconv>
#include <cstdio>
#include <filesystem>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

namespace ebb::graphviz {

namespace {

std::string file_name(std::int64_t step) { return fmt::format("step-{:06}.json", step); }

/// The step whose trace has that name; 0 if none has.
std::int64_t step_of(const std::string& name) {
  constexpr std::string_view before = "step-";
  std::int64_t step = 0;
  if (!name.starts_with(before)) return 0;
  std::from_chars(name.data() + before.size(), name.data() + name.size(), step);
  return file_name(step) == name ? step : 0;
}

/// Which steps are kept is a matter of the last one alone, so a training that is resumed keeps the same.
class Kept {
 public:
  Kept(std::int64_t last, const WatchOptions& options) : last_(last), every_(options.every) {
    while (1 + last / every_ > options.most) every_ *= 2;
  }
  bool holds(std::int64_t step) const { return step <= last_ && (step == 1 || step % every_ == 0); }
  std::vector<std::int64_t> steps() const {
    std::vector<std::int64_t> all;
    if (last_ > 0 && every_ > 1) all.push_back(1);
    for (std::int64_t step = every_; step <= last_; step += every_) all.push_back(step);
    return all;
  }

 private:
  std::int64_t last_, every_;
};

/// Removes traces of an earlier training, and what is thinned out.
void remove_others(const std::string& folder, const Kept& kept) {
  namespace fs = std::filesystem;
  std::error_code failed;
  std::vector<fs::path> others;
  for (auto file = fs::directory_iterator(folder, failed); !failed && file != fs::directory_iterator();
       file.increment(failed))
    if (const std::int64_t step = step_of(file->path().filename().string()); step != 0 && !kept.holds(step))
      others.push_back(file->path());
  for (const fs::path& file : others)
    if (!failed) fs::remove(file, failed);
  if (failed) throw IoError(fmt::format("Watch: cannot tidy up the folder \"{}\": {}", folder, failed.message()));
}

}  // namespace

Watch::Watch(std::string folder, const WatchOptions& options) : folder_(std::move(folder)), options_(options) {
  if (options.every < 1) throw UsageError(fmt::format("Watch: every must be at least 1, got {}", options.every));
  if (options.most < 2) throw UsageError(fmt::format("Watch: most must be at least 2, got {}", options.most));
}

void Watch::on_fit_begin(optim::Run&) {
  report_.clear();
  std::error_code failed;
  std::filesystem::create_directories(folder_, failed);
  if (failed) throw IoError(fmt::format("Watch: cannot make the folder \"{}\": {}", folder_, failed.message()));
  // What cannot be written or drawn shall not cost an epoch.
  Replacement never_committed(folder_ + "/training.svg");
  if (options_.film) run_dot("digraph {}", "svg", never_committed);
}

bool Watch::wants_graph(const optim::Run& run) {
  return optim::is_one_of({.every = options_.every}, run) && Kept(run.step(), options_).holds(run.step());
}

void Watch::on_graph(optim::Run& run, const Graph& graph) {
  save(graph, folder_ + "/" + file_name(run.step()));
  remove_others(folder_, Kept(run.step(), options_));
}

void Watch::on_fit_end(optim::Run& run) {
  std::vector<Moment> moments;
  for (const std::int64_t step : Kept(run.step(), options_).steps())
    if (const std::string file = folder_ + "/" + file_name(step); std::filesystem::exists(file))
      moments.push_back({step, load(file)});
  if (moments.empty()) return;
  report_ = graphviz::report(moments);
  if (options_.report && run.verbose()) std::fputs(("\n" + report_).c_str(), stdout);
  if (!options_.film) return;
  const std::string& title = options_.picture.title;
  std::vector<Part> parts;
  for (Moment& moment : moments)
    parts.push_back({.title = fmt::format("{}{}step {}", title, title.empty() ? "" : ", ", thousands(moment.step)),
                     .trace = std::move(moment.trace)});
  film(parts, folder_ + "/training.svg", options_.picture);
}

}  // namespace ebb::graphviz
