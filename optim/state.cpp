#include "state.h"

#include "../autograd/error.h"
#include "../nn/io/text.h"

#include <fmt/format.h>

#include <cmath>
#include <limits>

namespace ebb::optim {

namespace {

std::string type(const Tensor& t) {
  return t.defined() ? fmt::format("{} {}", to_string(t.dtype()), to_string(t.shape())) : "nothing";
}

}  // namespace

double unsigned_nan(double v) { return std::isnan(v) ? std::numeric_limits<double>::quiet_NaN() : v; }

Tensor StateReader::take(const std::string& name, const Tensor& like) {
  const auto found = rest_.find(name);
  if (found == rest_.end()) {
    missing_.push_back(name);
    return {};
  }
  Tensor got = std::move(found->second);
  rest_.erase(found);
  if (type(got) == type(like)) return got;
  complain(fmt::format("{} is {}, not {}", name, type(got), type(like)));
  return {};
}

double StateReader::number(const std::string& name) {
  const Tensor got = take(name, tensor(0.0, f64));
  if (!got.defined()) return std::numeric_limits<double>::quiet_NaN();
  if (std::isnan(got.item())) complain(name + " is nan");
  return got.item();
}

std::int64_t StateReader::count(const std::string& name) {
  const Tensor got = take(name, tensor(0, i64));
  if (!got.defined()) return 0;
  const std::int64_t count = got.data<std::int64_t>()[0];
  if (count >= 0) return count;
  complain(fmt::format("{} is {}", name, count));
  return 0;
}

void StateReader::note_dotted() {
  for (const auto& [name, tensor] : rest_)
    if (name.find('.') != std::string::npos) unknown_.push_back(io::shown(name));
}

io::Tensors StateReader::rest() const {
  if (!differing_.empty() || !missing_.empty() || !unknown_.empty()) refuse();
  return rest_;
}

void StateReader::finish() {
  for (const auto& [name, tensor] : rest_) unknown_.push_back(io::shown(name));
  if (!differing_.empty() || !missing_.empty() || !unknown_.empty()) refuse();
}

void StateReader::refuse() const {
  std::vector<std::string> complaints;
  if (!differing_.empty()) complaints.push_back(io::listed(differing_, 5));
  if (!missing_.empty()) complaints.push_back("missing: " + io::listed(missing_, 5));
  if (!unknown_.empty()) complaints.push_back("unknown: " + io::listed(unknown_, 5));
  throw UsageError(fmt::format("{}::load_state: {}. Nothing was loaded", who_, fmt::join(complaints, "; ")));
}

}  // namespace ebb::optim
