#include "llm/providers/rate.h"

#include <algorithm>
#include <thread>

namespace thalweg::llm {

void RateLimit::Bucket::fill(Clock::time_point now) {
  const double seconds = std::chrono::duration<double>(now - filled).count();
  const auto rate = static_cast<double>(per_minute);
  level = std::min(rate, level + seconds * rate / 60);
  filled = now;
}

double RateLimit::Bucket::seconds_until(double amount) const {
  if (per_minute <= 0 || level >= amount) return 0;
  return (amount - level) * 60 / static_cast<double>(per_minute);
}

void RateLimit::wait() {
  for (;;) {
    double seconds = 0;
    {
      const std::lock_guard lock(mutex_);
      const Clock::time_point now = Clock::now();
      requests_.fill(now);
      tokens_.fill(now);
      seconds = std::max(requests_.seconds_until(1), tokens_.seconds_until(1));
      if (seconds <= 0) {
        requests_.level -= 1;
        return;
      }
    }
    std::this_thread::sleep_for(std::chrono::duration<double>(std::min(seconds, 60.0)));
  }
}

void RateLimit::took(std::int64_t tokens) {
  const std::lock_guard lock(mutex_);
  tokens_.level -= static_cast<double>(tokens);
}

}  // namespace thalweg::llm
