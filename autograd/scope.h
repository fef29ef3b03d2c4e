// Scope: the name of the part of a model that is at work.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace ebb {

/// While it lives, ops on this thread belong to `path`: errors say "in path", pictures draw a box with that name.
/// `path` is the part's whole path in the model, `kind` what it is, e.g. "Dense(10 -> 64)" (pictures say it once beside
/// the path, errors where there is no path).  Both strings must outlive the Scope.
class Scope {
 public:
  explicit Scope(std::string_view path, std::string_view kind = {});
  ~Scope();
  Scope(const Scope&) = delete;
  Scope& operator=(const Scope&) = delete;

  std::string_view path() const { return path_; }
  std::string_view kind() const { return kind_; }
  const Scope* outer() const { return outer_; }
  /// This thread's innermost scope, or nullptr.
  static const Scope* current() noexcept;

 private:
  std::string_view path_, kind_;
  const Scope* outer_;

 public:
  // Where the graph that records has noted this scope; its list's business.
  mutable std::uint32_t graph = 0, index = 0;
};

}  // namespace ebb
