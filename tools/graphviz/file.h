// Files that are either the old or the new, never half of one; and Graphviz's own program.
#pragma once

#include <chrono>
#include <string>
#include <string_view>

namespace ebb::graphviz {

/// A new file beside `target`, which takes its place on commit(), and is gone if that never comes.
/// Throws IoError where a file cannot be made, written or moved.
class Replacement {
 public:
  explicit Replacement(std::string target);
  ~Replacement();
  Replacement(const Replacement&) = delete;
  Replacement& operator=(const Replacement&) = delete;

  int descriptor() const { return descriptor_; }
  void write(std::string_view text);
  void commit();

 private:
  [[noreturn]] void fail(const std::string& what) const;

  std::string target_, path_, temporary_;  // as given; with links followed; the new file
  int descriptor_ = -1;
};

inline constexpr std::chrono::seconds time_limit{20};

/// Runs Graphviz's `dot` on a DOT text; the picture goes to `out`.  `format` is an option of dot, such as "svg".
/// Throws IoError if dot is not installed, fails, or takes longer than the limit.
void run_dot(std::string_view text, const std::string& format, Replacement& out,
             std::chrono::milliseconds limit = time_limit);

}  // namespace ebb::graphviz
