// engine/runtime/wake.h
//
// A flag to sleep on: the waker bumps a number, the sleeper waits for it to change from what it saw before it looked.
#pragma once

#include <atomic>
#include <cstdint>

namespace thalweg {

class WakeFlag {
 public:
  [[nodiscard]] std::uint32_t seen() const { return number_.load(std::memory_order_acquire); }
  void wake() {
    number_.fetch_add(1, std::memory_order_acq_rel);
    number_.notify_all();
  }
  // Returns once somebody woke after `seen` was taken.
  void wait(std::uint32_t seen) const {
    for (int spin = 0; spin < 64; ++spin) {
      if (number_.load(std::memory_order_acquire) != seen) return;
      __builtin_ia32_pause();
    }
    number_.wait(seen, std::memory_order_acquire);
  }

 private:
  std::atomic<std::uint32_t> number_{0};
};

}  // namespace thalweg
