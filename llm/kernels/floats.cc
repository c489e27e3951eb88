#include "llm/kernels/kernels.h"
#include "llm/kernels/targets.h"

namespace thalweg::llm {

namespace {

// Enough sums to hide the latency of a multiplication.
constexpr std::size_t kLanes = 64;

}  // namespace

THALWEG_FOR_PROCESSORS float dot_product(const float* a, const float* b, std::size_t n) {
  float sums[kLanes] = {};
  std::size_t i = 0;
  for (; i + kLanes <= n; i += kLanes)
    for (std::size_t lane = 0; lane < kLanes; ++lane) sums[lane] += a[i + lane] * b[i + lane];
  for (std::size_t lane = 0; i + lane < n; ++lane) sums[lane] += a[i + lane] * b[i + lane];
  float sum = 0;
  for (const float part : sums) sum += part;
  return sum;
}

THALWEG_FOR_PROCESSORS float squared_distance(const float* a, const float* b, std::size_t n) {
  float sums[kLanes] = {};
  std::size_t i = 0;
  for (; i + kLanes <= n; i += kLanes)
    for (std::size_t lane = 0; lane < kLanes; ++lane) {
      const float difference = a[i + lane] - b[i + lane];
      sums[lane] += difference * difference;
    }
  for (std::size_t lane = 0; i + lane < n; ++lane) {
    const float difference = a[i + lane] - b[i + lane];
    sums[lane] += difference * difference;
  }
  float sum = 0;
  for (const float part : sums) sum += part;
  return sum;
}

}  // namespace thalweg::llm
