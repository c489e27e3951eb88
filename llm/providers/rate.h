// llm/providers/rate.h
//
// At most so many requests and tokens a minute, by token buckets: who comes too early waits. Threads  any.
#pragma once

#include <chrono>
#include <cstdint>
#include <mutex>

namespace thalweg::llm {

class RateLimit {
 public:
  RateLimit(std::int64_t requests_per_minute, std::int64_t tokens_per_minute)  // 0: no limit
      : requests_(requests_per_minute), tokens_(tokens_per_minute) {}
  // Waits until a request may be sent.
  void wait();
  // Of a request that was sent: it is paid for afterwards, so that one larger than a minute's worth passes, too.
  void took(std::int64_t tokens);

 private:
  using Clock = std::chrono::steady_clock;
  struct Bucket {
    explicit Bucket(std::int64_t rate) : per_minute(rate), level(static_cast<double>(rate)) {}
    void fill(Clock::time_point now);
    [[nodiscard]] double seconds_until(double amount) const;
    std::int64_t per_minute;
    double level;
    Clock::time_point filled = Clock::now();
  };
  std::mutex mutex_;
  Bucket requests_, tokens_;  // guarded by mutex_
};

}  // namespace thalweg::llm
