#include <algorithm>
#include <bit>
#include <cmath>

#include "llm/kernels/kernels.h"
#include "llm/kernels/targets.h"

namespace thalweg::llm {

namespace {

// e^x to 1e-7 of it, for x up to 88; written so that it becomes vector instructions.
inline __attribute__((always_inline)) float exponential(float x) {
  constexpr float kLog2 = 1.44269504F, kHigh = 0.693359375F, kLow = -2.12194440e-4F;
  x = x < -87.0F ? -87.0F : x > 88.0F ? 88.0F : x;
  const float turns = x * kLog2;
  const auto whole = static_cast<std::int32_t>(turns + (turns < 0 ? -0.5F : 0.5F));
  const auto times = static_cast<float>(whole);
  const float rest = x - times * kHigh - times * kLow;
  float sum = 1.9875691500e-4F;
  sum = sum * rest + 1.3981999507e-3F;
  sum = sum * rest + 8.3334519073e-3F;
  sum = sum * rest + 4.1665795894e-2F;
  sum = sum * rest + 1.6666665459e-1F;
  sum = sum * rest + 5.0000001201e-1F;
  sum = sum * rest * rest + rest + 1.0F;
  return sum * std::bit_cast<float>((whole + 127) << 23);
}

// The error function to 1.5e-7 (Abramowitz and Stegun 7.1.26).
inline __attribute__((always_inline)) float error_function(float x) {
  const float size = x < 0 ? -x : x;
  const float t = 1.0F / (1.0F + 0.3275911F * size);
  const float sum =
      ((((1.061405429F * t - 1.453152027F) * t + 1.421413741F) * t - 0.284496736F) * t + 0.254829592F) * t;
  const float value = 1.0F - sum * exponential(-size * size);
  return x < 0 ? -value : value;
}

}  // namespace

THALWEG_FOR_PROCESSORS void add_to(float* to, const float* what, std::size_t n) {
  for (std::size_t i = 0; i < n; ++i) to[i] += what[i];
}

THALWEG_FOR_PROCESSORS void normalize_layer(float* row, std::size_t n, const float* scale, const float* shift,
                                            float epsilon) {
  float sum = 0;
  for (std::size_t i = 0; i < n; ++i) sum += row[i];
  const float mean = sum / static_cast<float>(n);
  float squares = 0;
  for (std::size_t i = 0; i < n; ++i) squares += (row[i] - mean) * (row[i] - mean);
  const float factor = 1.0F / std::sqrt(squares / static_cast<float>(n) + epsilon);
  for (std::size_t i = 0; i < n; ++i) row[i] = (row[i] - mean) * factor * scale[i] + shift[i];
}

THALWEG_FOR_PROCESSORS void softmax(float* row, std::size_t n, float factor) {
  float most = row[0];
  for (std::size_t i = 1; i < n; ++i) most = row[i] > most ? row[i] : most;
  float sum = 0;
  for (std::size_t i = 0; i < n; ++i) {
    row[i] = exponential((row[i] - most) * factor);
    sum += row[i];
  }
  const float part = 1.0F / sum;
  for (std::size_t i = 0; i < n; ++i) row[i] *= part;
}

THALWEG_FOR_PROCESSORS void gelu(float* row, std::size_t n) {
  for (std::size_t i = 0; i < n; ++i) row[i] = 0.5F * row[i] * (1.0F + error_function(row[i] * 0.70710678F));
}

THALWEG_FOR_PROCESSORS void gelu_tanh(float* row, std::size_t n) {
  for (std::size_t i = 0; i < n; ++i) {
    const float x = row[i];
    const float inner = 0.79788456F * (x + 0.044715F * x * x * x);
    row[i] = x - x / (exponential(2.0F * inner) + 1.0F);  // x/2 · (1 + tanh)
  }
}

}  // namespace thalweg::llm
