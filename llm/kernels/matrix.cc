// The product of matrices: a few rows of A at a time against a panel of B, with all sums in registers.
#include <algorithm>
#include <cstring>

#include "llm/kernels/kernels.h"
#include "llm/kernels/targets.h"

namespace thalweg::llm {

namespace {

struct Tile {
  const float* a;
  std::size_t a_step, k;
  const float* panel;
  float* c;  // kPanel wide
  std::size_t c_step;
};

void plain_tile(const Tile& t, std::size_t rows) {
  for (std::size_t r = 0; r < rows; ++r) {
    float sums[kPanel] = {};
    for (std::size_t i = 0; i < t.k; ++i)
      for (std::size_t j = 0; j < kPanel; ++j) sums[j] += t.a[r * t.a_step + i] * t.panel[i * kPanel + j];
    std::copy_n(sums, kPanel, t.c + r * t.c_step);
  }
}

#if THALWEG_X86

template <int kRows>
THALWEG_AVX2 void avx2_tile(const Tile& t) {
  __m256 sums[kRows][4];
#pragma GCC unroll 3
  for (int r = 0; r < kRows; ++r)
#pragma GCC unroll 4
    for (int v = 0; v < 4; ++v) sums[r][v] = _mm256_setzero_ps();
  for (std::size_t i = 0; i < t.k; ++i) {
    const float* b = t.panel + i * kPanel;
#pragma GCC unroll 3
    for (int r = 0; r < kRows; ++r) {
      const __m256 a = _mm256_broadcast_ss(t.a + static_cast<std::size_t>(r) * t.a_step + i);
#pragma GCC unroll 4
      for (int v = 0; v < 4; ++v) sums[r][v] = _mm256_fmadd_ps(a, _mm256_loadu_ps(b + 8 * v), sums[r][v]);
    }
  }
#pragma GCC unroll 3
  for (int r = 0; r < kRows; ++r)
#pragma GCC unroll 4
    for (int v = 0; v < 4; ++v) _mm256_storeu_ps(t.c + static_cast<std::size_t>(r) * t.c_step + 8 * v, sums[r][v]);
}

template <int kRows>
THALWEG_AVX512 void avx512_tile(const Tile& t) {
  __m512 sums[kRows][2];
#pragma GCC unroll 12
  for (int r = 0; r < kRows; ++r) sums[r][0] = sums[r][1] = _mm512_setzero_ps();
  for (std::size_t i = 0; i < t.k; ++i) {
    const __m512 b0 = _mm512_loadu_ps(t.panel + i * kPanel), b1 = _mm512_loadu_ps(t.panel + i * kPanel + 16);
#pragma GCC unroll 12
    for (int r = 0; r < kRows; ++r) {
      const __m512 a = _mm512_set1_ps(t.a[static_cast<std::size_t>(r) * t.a_step + i]);
      sums[r][0] = _mm512_fmadd_ps(a, b0, sums[r][0]);
      sums[r][1] = _mm512_fmadd_ps(a, b1, sums[r][1]);
    }
  }
#pragma GCC unroll 12
  for (int r = 0; r < kRows; ++r) {
    _mm512_storeu_ps(t.c + static_cast<std::size_t>(r) * t.c_step, sums[r][0]);
    _mm512_storeu_ps(t.c + static_cast<std::size_t>(r) * t.c_step + 16, sums[r][1]);
  }
}

#endif

constexpr std::size_t kRowsMax = 12;

// As many rows as it did: up to `rows`.
std::size_t run_tile(const Tile& t, std::size_t rows) {
#if THALWEG_X86
  if (isa() == Isa::kAvx512) {
    if (rows >= 12) return avx512_tile<12>(t), 12;
    if (rows >= 8) return avx512_tile<8>(t), 8;
    if (rows >= 4) return avx512_tile<4>(t), 4;
    if (rows >= 2) return avx512_tile<2>(t), 2;
    return avx512_tile<1>(t), 1;
  }
  if (isa() == Isa::kAvx2) {
    if (rows >= 3) return avx2_tile<3>(t), 3;
    if (rows >= 2) return avx2_tile<2>(t), 2;
    return avx2_tile<1>(t), 1;
  }
#endif
  plain_tile(t, rows);
  return rows;
}

}  // namespace

void pack(const float* b, std::size_t rows, std::size_t columns, std::size_t row_step, std::size_t column_step,
          float* out) {
  for (std::size_t begin = 0; begin < columns; begin += kPanel)
    for (std::size_t row = 0; row < rows; ++row)
      for (std::size_t j = 0; j < kPanel; ++j)
        *out++ = begin + j < columns ? b[row * row_step + (begin + j) * column_step] : 0.0F;
}

void multiply(const float* a, std::size_t a_step, std::size_t m, std::size_t k, const float* packed, std::size_t n,
              const float* bias, float* c, std::size_t c_step) {
  float edge[kRowsMax * kPanel];
  for (std::size_t begin = 0; begin < n; begin += kPanel) {
    const std::size_t width = std::min(kPanel, n - begin);
    for (std::size_t row = 0; row < m;) {
      const bool whole = width == kPanel;
      float* const to = c + row * c_step + begin;
      const Tile tile{a + row * a_step, a_step, k, packed + begin * k, whole ? to : edge, whole ? c_step : kPanel};
      const std::size_t done = run_tile(tile, std::min(m - row, kRowsMax));
      for (std::size_t r = 0; r < done; ++r) {
        if (!whole) std::memcpy(to + r * c_step, edge + r * kPanel, width * sizeof(float));
        if (bias != nullptr) add_to(to + r * c_step, bias + begin, width);
      }
      row += done;
    }
  }
}

}  // namespace thalweg::llm
