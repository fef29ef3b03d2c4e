#include "trace.h"

#include <algorithm>
#include <functional>
#include <numeric>

namespace ebb::graphviz {

std::int64_t Record::size() const {
  return std::accumulate(shape.begin(), shape.end(), std::int64_t{1}, std::multiplies<>());
}

std::int64_t Record::bytes() const { return size() * (dtype == "f32" ? 4 : 8); }

void* Trace::Memory::take(std::size_t bytes, std::size_t alignment) {
  constexpr std::size_t chunk = std::size_t{1} << 16;
  if (left_ < bytes + alignment) {
    left_ = std::max(chunk, bytes + alignment);
    chunks_.push_back(std::make_unique<std::byte[]>(left_));
  }
  left_ -= bytes;  // from the end down
  left_ -= left_ % alignment;
  return chunks_.back().get() + left_;
}

// With memory of its own: two threads may fold one trace.
Trace Trace::without_records() const {
  Trace result;
  static_cast<Facts&>(result) = *this;
  result.memory_->of_others = memory_;
  return result;
}

void Trace::index() {
  places_.clear();
  if (records.empty() || records.back().id > 4 * records.size() + 1000) return;
  places_.resize(records.back().id + std::size_t{1});
  for (std::size_t i = 0; i < records.size(); ++i) places_[records[i].id] = static_cast<std::uint32_t>(i);
}

std::size_t Trace::at(std::uint32_t id) const {
  if (id < places_.size() && places_[id] < records.size() && records[places_[id]].id == id) return places_[id];
  const auto place = std::lower_bound(records.begin(), records.end(), id,
                                      [](const Record& r, std::uint32_t wanted) { return r.id < wanted; });
  return static_cast<std::size_t>(place - records.begin());
}

bool Trace::holds(std::uint32_t id) const {
  const std::size_t place = at(id);
  return place < records.size() && records[place].id == id;
}

std::vector<bool> ancestors(const Trace& trace, std::uint32_t id) {
  std::vector<bool> found(trace.records.size());
  if (id == 0) return found;
  found[trace.at(id)] = true;
  for (std::size_t i = trace.records.size(); i-- > 0;) {
    if (!found[i]) continue;
    for (const Operand& o : trace.records[i].operands)
      if (o.id != 0) found[trace.at(o.id)] = true;
  }
  return found;
}

}  // namespace ebb::graphviz
