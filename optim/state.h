// What reads saved states: StateReader takes one apart, and complains once about all that does not fit.
#pragma once

#include "../nn/io/safetensors.h"

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace ebb::optim {

/// A NaN prints as "nan", whatever its sign.
double unsigned_nan(double v);

class StateReader {
 public:
  StateReader(std::string_view who, io::Tensors state) : who_(who), rest_(std::move(state)) {}

  /// The tensor of that name; undefined, and noted, if it is missing or differs from `like` in type or shape.
  Tensor take(const std::string& name, const Tensor& like);
  /// A single f64; NaN, and noted, if it is that or not there.
  double number(const std::string& name);
  /// A single i64; 0, and noted, if it is negative or not there.
  std::int64_t count(const std::string& name);

  /// Notes why something does not fit.
  void complain(std::string why) { differing_.push_back(std::move(why)); }
  /// Notes the names with a dot that were not taken: nobody else will.
  void note_dotted();
  /// Throws UsageError "Adam::load_state: ... Nothing was loaded" if there were complaints.  Gives back what was not taken.
  io::Tensors rest() const;
  /// The same, and what was not taken is a complaint too.
  void finish();

 private:
  [[noreturn]] void refuse() const;

  std::string who_;
  io::Tensors rest_;
  std::vector<std::string> differing_, missing_, unknown_;
};

}  // namespace ebb::optim
