// Files that are either the old or the new, never half of one; and Graphviz's own program.
#pragma once

#include "../../autograd/error.h"

#include <chrono>
#include <string>
#include <string_view>
#include <utility>

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

/// dot found the graph too much: it took longer than the limit, crashed, or made an image larger than its format holds.
/// A smaller graph may do.
struct TooMuch : IoError {
  TooMuch(const std::string& message, std::string why) : IoError(message), in_short(std::move(why)) {}
  std::string in_short;  ///< "dot crashed on more"
};

/// Runs Graphviz's `dot` on a DOT text; the picture goes to `out`.  `format` is an option of dot, such as "svg".
/// Throws IoError if dot is not installed or fails, and TooMuch.
void run_dot(std::string_view text, const std::string& format, Replacement& out,
             std::chrono::milliseconds limit = time_limit);
/// The same; returns the picture.
std::string run_dot(std::string_view text, const std::string& format, std::chrono::milliseconds limit = time_limit);

}  // namespace ebb::graphviz
