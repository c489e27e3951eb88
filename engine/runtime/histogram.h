// engine/runtime/histogram.h
//
// Durations counted in fixed buckets. Threads  any.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>

namespace thalweg {

class Histogram {
 public:
  // Upper ends of the buckets; what is longer is in the last one.
  static constexpr std::array<std::int64_t, 15> kEndsNs = {
      500'000,     1'000'000,   2'500'000,     5'000'000,     10'000'000,    25'000'000,     50'000'000,    100'000'000,
      250'000'000, 500'000'000, 1'000'000'000, 2'500'000'000, 5'000'000'000, 10'000'000'000, 30'000'000'000};

  void observe(std::int64_t ns) {
    std::size_t bucket = 0;
    while (bucket < kEndsNs.size() && ns > kEndsNs[bucket]) ++bucket;
    counts_[bucket].fetch_add(1, std::memory_order_relaxed);
    sum_ns_.fetch_add(static_cast<std::uint64_t>(ns), std::memory_order_relaxed);
  }
  struct Counts {
    std::array<std::uint64_t, kEndsNs.size() + 1> by_bucket{};  // not cumulative
    std::uint64_t sum_ns = 0;
  };
  [[nodiscard]] Counts counts() const {
    Counts out;
    for (std::size_t i = 0; i < counts_.size(); ++i) out.by_bucket[i] = counts_[i].load(std::memory_order_relaxed);
    out.sum_ns = sum_ns_.load(std::memory_order_relaxed);
    return out;
  }

 private:
  std::array<std::atomic<std::uint64_t>, kEndsNs.size() + 1> counts_{};
  std::atomic<std::uint64_t> sum_ns_{0};
};

}  // namespace thalweg
