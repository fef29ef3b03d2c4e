// Interruptible: Ctrl-C as a wish instead of an end.
#pragma once

namespace ebb::optim {

/// While it lives, the first Ctrl-C (SIGINT) is noted, and the second kills as usual.  A program that has a handler of
/// its own, or ignores the signal, keeps that, and nothing is noted.
class Interruptible {
 public:
  /// Does nothing unless `on`.
  explicit Interruptible(bool on);
  ~Interruptible();
  Interruptible(const Interruptible&) = delete;
  Interruptible& operator=(const Interruptible&) = delete;

  /// Whether there was one since it was made.
  bool interrupted() const;

 private:
  bool on_;
  int before_;
};

}  // namespace ebb::optim
