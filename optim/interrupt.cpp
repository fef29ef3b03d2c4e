#include "interrupt.h"

#include <signal.h>  // sigaction is no part of <csignal>

#include <atomic>
#include <mutex>

namespace ebb::optim {

namespace {

std::atomic<int> signals = 0;
static_assert(std::atomic<int>::is_always_lock_free, "what a signal handler writes");

// Several threads may train at a time: the first to begin brings the handler, the last to end takes it away.
std::mutex mutex;
int alive = 0;
bool installed = false;

void note(int) { signals.fetch_add(1, std::memory_order_relaxed); }

}  // namespace

Interruptible::Interruptible(bool on) : on_(on), before_(signals) {
  if (!on_) return;
  const std::lock_guard lock(mutex);
  if (alive++ > 0) return;
  struct sigaction now {};
  if (sigaction(SIGINT, nullptr, &now) != 0 || (now.sa_flags & SA_SIGINFO) != 0 || now.sa_handler != SIG_DFL) return;
  struct sigaction ours {};
  ours.sa_handler = note;
  ours.sa_flags = static_cast<int>(SA_RESETHAND) | SA_RESTART;  // so the second kills
  sigemptyset(&ours.sa_mask);
  installed = sigaction(SIGINT, &ours, nullptr) == 0;
}

Interruptible::~Interruptible() {
  if (!on_) return;
  const std::lock_guard lock(mutex);
  if (--alive > 0 || !installed) return;
  installed = false;
  struct sigaction now {};
  // Unless a callback brought a handler of the user's own meanwhile.
  if (sigaction(SIGINT, nullptr, &now) == 0 && (now.sa_flags & SA_SIGINFO) == 0 && now.sa_handler == note)
    ::signal(SIGINT, SIG_DFL);
}

bool Interruptible::interrupted() const { return on_ && signals != before_; }

}  // namespace ebb::optim
