// Capture: what replay() keeps of one call of its function.
#pragma once

#include "launch.h"
#include "memory.h"
#include "parameter.h"

#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <unordered_map>
#include <utility>
#include <vector>

namespace ebb::detail {

struct Capture {
  Launches launches;
  const char* why = nullptr;  // it cannot be replayed

  /// A Parameter that was taken: a replay reads its numbers where they were.
  struct Met {
    std::shared_ptr<ParameterState> parameter;
    const void* data;
  };
  std::vector<Met> parameters;
  /// A tensor that an object keeps from call to call.
  struct Kept {
    std::weak_ptr<char> here;
    Tensor* tensor;
    const void* data;
    bool changes = false;
  };
  std::vector<Kept> kept;
  std::vector<std::pair<std::shared_ptr<ParameterState>, Tensor>> gradients;
  std::vector<Tensor> constants;
  std::unordered_map<const TensorImpl*, bool> known;  // buffers not to be held; whether their numbers change

  // Blocks of the capture: in use, and by bucket those that may be used again.
  std::unordered_map<void*, std::uint8_t> used;
  std::map<std::uint8_t, std::vector<void*>> idle;
  std::int64_t bytes = 0;

  Capture() = default;
  ~Capture() { give_back(); }
  Capture(const Capture&) = delete;
  Capture& operator=(const Capture&) = delete;

  /// Gives back the blocks that are not in use; the others belong to whoever holds them.
  void give_back() noexcept;
};

/// Held while a layer's statistics are read or changed, and while a replay works on them where they lie: several threads
/// may call one layer.
std::mutex& keeping();

/// The tensor in whose block the numbers lie.
inline TensorImpl* base_of(const TensorImpl& head) {
  return head.owner != nullptr ? head.owner : const_cast<TensorImpl*>(&head);
}

}  // namespace ebb::detail
