#include "llm/index/kernels.h"

// Four vectors of 16 sums: enough to hide the latency of a fused multiply-add. The compiler splits them for processors
// with shorter registers.
#define THALWEG_FOR_PROCESSORS __attribute__((target_clones("avx512f", "avx2,fma", "default"), optimize("O3")))

namespace thalweg::llm {

namespace {

constexpr std::size_t kLanes = 32;

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
