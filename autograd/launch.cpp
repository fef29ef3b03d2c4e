#include "launch.h"

#include "capture.h"
#include "kernels/parts.h"
#include "kernels/threads.h"
#include "op.h"

#include <algorithm>
#include <cstring>
#include <functional>
#include <memory>

namespace ebb::detail {

constinit thread_local Capture* capturing EBB_FAST_THREAD_LOCAL = nullptr;
constinit thread_local int layer_mode EBB_FAST_THREAD_LOCAL = 0;

// ---- the list --------------------------------------------------------------------------------------------------------

struct Launches::Block {
  std::vector<std::pair<const ByElement*, const void*>> launches;
  std::int64_t n;
};

Launches::Launches() = default;
Launches::~Launches() {
  for (const Destroyed& each : destroyed_) each.destroy(each.bound);
}

void* Launches::room(std::size_t bytes, std::size_t alignment) {
  constexpr std::size_t chunk = std::size_t{1} << 14;
  if (std::align(alignment, bytes, free_, left_) == nullptr) {
    left_ = std::max(chunk, bytes + alignment);
    chunks_.push_back(std::make_unique<std::byte[]>(left_));
    free_ = chunks_.back().get();
    std::align(alignment, bytes, free_, left_);
  }
  void* const place = free_;
  free_ = static_cast<std::byte*>(free_) + bytes;
  left_ -= bytes;
  return place;
}

// If one writes what the other reads or writes, both must mean the same elements by the same numbers.
bool Launches::can_take_turns(const ByElement& a, const ByElement& b) {
  const auto apart = [n = a.n](const Buffer& written, const Buffer& other) {
    const auto* const first = static_cast<const std::byte*>(written.begin);
    const auto* const second = static_cast<const std::byte*>(other.begin);
    if (first == second && written.width == other.width && other.step == 1) return true;
    const std::less_equal<> before;
    return before(first + static_cast<std::size_t>(n) * written.width, second) ||
           before(second + static_cast<std::size_t>(other.step == 0 ? 1 : n) * other.width, first);
  };
  return std::all_of(b.buffers.begin(), b.buffers.end(), [&](const Buffer& own) { return apart(a.buffers[0], own); }) &&
         std::all_of(a.buffers.begin(), a.buffers.end(), [&](const Buffer& own) { return apart(b.buffers[0], own); });
}

void Launches::join() {
  constexpr std::int64_t in_cache = 2048, worth_while = 4 * in_cache;
  const auto run = [](const void* bound) {
    const Block& block = *static_cast<const Block*>(bound);
    const double numbers = static_cast<double>(block.n) * static_cast<double>(block.launches.size());
    const kernels::Parts parts((block.n + in_cache - 1) / in_cache, numbers, kernels::enough_numbers);
    kernels::parallel(parts.count, [&](std::int64_t part) {
      const std::int64_t end = std::min(parts.begin(part + 1) * in_cache, block.n);
      for (std::int64_t begin = parts.begin(part) * in_cache; begin < end; begin += in_cache)
        for (const auto& [launch, with] : block.launches) launch->run(with, begin, std::min(begin + in_cache, end));
    });
  };
  std::vector<Launch> joined;
  auto next = by_element_.cbegin();
  for (std::size_t i = 0; i < all_.size();) {
    while (next != by_element_.cend() && next->launch < i) ++next;
    auto end = next;
    const auto joins = [&] {
      return end != by_element_.cend() && end->launch == i + static_cast<std::size_t>(end - next) &&
             end->n == next->n && end->n >= worth_while &&
             std::all_of(next, end, [&](const ByElement& each) { return can_take_turns(each, *end); });
    };
    while (joins()) ++end;
    if (end - next < 2) {
      joined.push_back(all_[i++]);
      continue;
    }
    auto block = std::make_unique<Block>();
    block->n = next->n;
    for (auto each = next; each != end; ++each) block->launches.emplace_back(&*each, all_[i++].bound);
    joined.push_back({run, block.get()});
    blocks_.push_back(std::move(block));
  }
  all_ = std::move(joined);
}

std::mutex& keeping() {
  static std::mutex one;
  return one;
}

Launches& launches_of(Capture& capture) { return capture.launches; }

// ---- memory ----------------------------------------------------------------------------------------------------------

void* take_captured_block(std::size_t bytes, std::uint8_t& bucket) {
  Capture& capture = *capturing;
  // The smallest that is idle, though it may be four times too large: what a replay holds, it holds for good.
  const std::int64_t most = 4 * bytes_in(bucket_for(bytes));
  auto found = capture.idle.lower_bound(bucket_for(bytes));
  while (found != capture.idle.end() && found->second.empty()) ++found;
  void* block = nullptr;
  if (found != capture.idle.end() && bytes_in(found->first) <= most) {
    bucket = found->first;
    block = found->second.back();
    found->second.pop_back();
  } else {
    block = take_block(bytes, bucket);
    if (block == nullptr) return nullptr;
    capture.bytes += bytes_in(bucket);
  }
  capture.used.emplace(block, bucket);
  return block;
}

void give_captured_block(void* block, std::uint8_t bucket) noexcept {
  if (capturing == nullptr || capturing->used.erase(block) == 0) give_block(block, bucket);
  else capturing->idle[bucket].push_back(block);
}

void Capture::give_back() noexcept {
  for (const auto& [bucket, blocks] : idle)
    for (void* const block : blocks) give_block(block, bucket);
  idle.clear();
}

// ---- what is met on the way ------------------------------------------------------------------------------------------

void mark_unreplayable(Capture& capture, const char* why) {
  if (capture.why == nullptr) capture.why = why;
}

void note_operand(const TensorImpl& head) {
  TensorImpl* const base = base_of(head);
  if (head.data == nullptr || capturing->used.contains(base) || capturing->known.contains(base)) return;
  capturing->known.emplace(base, false);
  capturing->constants.push_back(share(base));
}

void note_number_read(const TensorImpl& head) {
  const auto found = capturing->known.find(base_of(head));
  if (capturing->used.contains(base_of(head)) || (found != capturing->known.end() && found->second))
    mark_unreplayable(*capturing,
                      "reads numbers that other calls compute anew (item(), data(), to_vector() or printing)");
  else note_operand(head);
}

namespace {

/// Where the numbers of a tensor lie that changes from call to call.
const void* place_of(const Tensor& t) {
  capturing->known.insert_or_assign(base_of(impl(t)), true);
  return impl(t).data;
}

}  // namespace

void note_parameter(const std::shared_ptr<ParameterState>& state) {
  for (const Capture::Met& met : capturing->parameters)
    if (met.parameter == state) return;
  capturing->parameters.push_back({state, place_of(state->value)});
}

void note_kept(const Anchor& anchor, Tensor& tensor) {
  for (const Capture::Kept& kept : capturing->kept)
    if (kept.tensor == &tensor) return;
  {
    const Uncaptured outside;
    writable(tensor);  // in a buffer of its own it can change in place
  }
  capturing->kept.push_back({anchor.here(), &tensor, place_of(tensor)});
}

void carry(Tensor& tensor, const Tensor& next) {
  if (capturing == nullptr) {
    tensor = next;
    return;
  }
  for (Capture::Kept& kept : capturing->kept)
    if (kept.tensor == &tensor) kept.changes = true;
  if (impl(tensor).refs.load(std::memory_order_relaxed) != 1 || impl(tensor).owner != nullptr)
    cannot_replay("changes a layer's statistics that something still reads");
  launch(std::memcpy, impl(tensor).data, read<void>(next),
         static_cast<std::size_t>(tensor.size()) * size_of(tensor.dtype()));
}

void note_gradient(const std::shared_ptr<ParameterState>& state, const Tensor& gradient) {
  capturing->gradients.emplace_back(state, gradient);
}

}  // namespace ebb::detail
