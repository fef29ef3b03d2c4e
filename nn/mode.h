// Whether layers that differ between training and use (Dropout, BatchNorm) train.
#pragma once

namespace ebb::nn {

/// True while a graph records on this thread, unless a guard says otherwise.
bool training();

/// True while backward() runs the function of a checkpoint() again: what layers keep for later has been counted in.
bool recomputing();

/// While it lives, layers on this thread train, even where no graph records.
class Training {
 public:
  Training();
  ~Training();
  Training(const Training&) = delete;
  Training& operator=(const Training&) = delete;

 private:
  int before_;
};

/// While it lives, layers on this thread work as in use, even where a graph records.
class Evaluating {
 public:
  Evaluating();
  ~Evaluating();
  Evaluating(const Evaluating&) = delete;
  Evaluating& operator=(const Evaluating&) = delete;

 private:
  int before_;
};

}  // namespace ebb::nn
