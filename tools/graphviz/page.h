// What is drawn in one picture: a graph, or several one above the other.
#pragma once

#include "../graphviz.h"

#include <string>
#include <vector>

namespace ebb::graphviz {

/// The traces must live as long as the page.
class Page {
 public:
  /// Throw UsageError for options that mean nothing, for no parts, and for parts in another view than strips.
  Page(const Trace& trace, const DotOptions& options);
  Page(const std::vector<Part>& parts, const DotOptions& options);

  const DotOptions& options() const { return options_; }
  /// What is drawn, folded.
  const std::vector<Part>& parts() const { return folded_; }
  std::string dot() const { return dot(options_.theme); }
  std::string dot(Theme theme) const;

  /// Folds to half as many cards, if there are more than 25; `why` is for the subtitle.  False: nothing became smaller.
  bool fold_further(const std::string& why);

 private:
  void check() const;
  void fold();
  std::size_t cards() const;

  DotOptions options_;
  std::vector<const Trace*> whole_;
  std::vector<Part> folded_;
  bool strips_ = false;
};

}  // namespace ebb::graphviz
