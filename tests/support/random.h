// tests/support/random.h
//
// Randomness of tests: splitmix64, the same on every machine. A failing test prints the seed it began with.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <vector>

namespace thalweg::testing {

class Random {
 public:
  explicit Random(std::uint64_t seed) : state_(seed) {}
  std::uint64_t next() {
    std::uint64_t z = (state_ += 0x9E3779B97F4A7C15ULL);
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9ULL;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBULL;
    return z ^ (z >> 31);
  }
  // 0 … n - 1
  std::size_t below(std::size_t n) { return static_cast<std::size_t>(next() % n); }
  std::int64_t between(std::int64_t low, std::int64_t high) {
    return low + static_cast<std::int64_t>(below(static_cast<std::size_t>(high - low + 1)));
  }
  bool chance(int percent) { return below(100) < static_cast<std::size_t>(percent); }
  template <class T>
  const T& one_of(const std::vector<T>& items) {
    return items[below(items.size())];
  }

 private:
  std::uint64_t state_;
};

// How many cases a property test runs (THALWEG_PROPERTY_CASES), and where it begins (THALWEG_PROPERTY_SEED).
inline std::uint64_t setting_or(const char* variable, std::uint64_t fallback) {
  const char* text = std::getenv(variable);
  return text != nullptr && *text != '\0' ? std::strtoull(text, nullptr, 10) : fallback;
}
inline std::uint64_t property_cases(std::uint64_t fallback) { return setting_or("THALWEG_PROPERTY_CASES", fallback); }
inline std::uint64_t property_seed() { return setting_or("THALWEG_PROPERTY_SEED", 1); }

}  // namespace thalweg::testing
