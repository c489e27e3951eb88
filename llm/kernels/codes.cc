#include "llm/kernels/kernels.h"
#include "llm/kernels/targets.h"

namespace thalweg::llm {

namespace {

std::int32_t plain_dot(const std::int8_t* row, const std::int16_t* query, std::size_t n) {
  std::int32_t sum = 0;
  for (std::size_t i = 0; i < n; ++i) sum += row[i] * query[i];
  return sum;
}
std::int32_t plain_dot(const std::int8_t* a, const std::int8_t* b, std::size_t n) {
  std::int32_t sum = 0;
  for (std::size_t i = 0; i < n; ++i) sum += a[i] * b[i];
  return sum;
}

#if THALWEG_X86

// 16 codes as words.
THALWEG_AVX2 inline __m256i widened_256(const std::int8_t* codes) {
  return _mm256_cvtepi8_epi16(_mm_loadu_si128(reinterpret_cast<const __m128i*>(codes)));
}
THALWEG_AVX2 inline __m256i load_256(const std::int16_t* words) {
  return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(words));
}
THALWEG_AVX2 inline __m256i widened_256(const std::int16_t* words) { return load_256(words); }
THALWEG_AVX2 inline std::int32_t sum_of(__m256i lanes) {
  __m128i sum = _mm_add_epi32(_mm256_castsi256_si128(lanes), _mm256_extracti128_si256(lanes, 1));
  sum = _mm_add_epi32(sum, _mm_shuffle_epi32(sum, 0x4E));
  sum = _mm_add_epi32(sum, _mm_shuffle_epi32(sum, 0xB1));
  return _mm_cvtsi128_si32(sum);
}
template <class Other>
THALWEG_AVX2 std::int32_t avx2_dot(const std::int8_t* a, const Other* b, std::size_t n) {
  __m256i even = _mm256_setzero_si256(), odd = even;
  for (std::size_t i = 0; i < n; i += 32) {
    even = _mm256_add_epi32(even, _mm256_madd_epi16(widened_256(a + i), widened_256(b + i)));
    odd = _mm256_add_epi32(odd, _mm256_madd_epi16(widened_256(a + i + 16), widened_256(b + i + 16)));
  }
  return sum_of(_mm256_add_epi32(even, odd));
}

// 32 codes as words.
THALWEG_AVX512 inline __m512i widened_512(const std::int8_t* codes) {
  return _mm512_cvtepi8_epi16(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(codes)));
}
THALWEG_AVX512 inline __m512i widened_512(const std::int16_t* words) { return _mm512_loadu_si512(words); }
template <class Other>
THALWEG_AVX512 std::int32_t avx512_dot(const std::int8_t* a, const Other* b, std::size_t n) {
  __m512i even = _mm512_setzero_si512(), odd = even;
  std::size_t i = 0;
  for (; i + 64 <= n; i += 64) {
    even = _mm512_add_epi32(even, _mm512_madd_epi16(widened_512(a + i), widened_512(b + i)));
    odd = _mm512_add_epi32(odd, _mm512_madd_epi16(widened_512(a + i + 32), widened_512(b + i + 32)));
  }
  if (i < n) even = _mm512_add_epi32(even, _mm512_madd_epi16(widened_512(a + i), widened_512(b + i)));
  return _mm512_reduce_add_epi32(_mm512_add_epi32(even, odd));
}

// Processors read ahead on their own, but not far enough for rows that are used as quickly as this.
constexpr std::size_t kAheadBytes = 2048;

THALWEG_AVX2 void avx2_rows(const std::int8_t* rows, std::size_t count, const std::int16_t* query, std::size_t n,
                            std::int32_t* out) {
  for (std::size_t row = 0; row < count; ++row, rows += n) {
    for (std::size_t i = 0; i < n; i += 64) _mm_prefetch(rows + i + kAheadBytes, _MM_HINT_T0);
    out[row] = avx2_dot(rows, query, n);
  }
}
THALWEG_AVX512 void avx512_rows(const std::int8_t* rows, std::size_t count, const std::int16_t* query, std::size_t n,
                                std::int32_t* out) {
  for (std::size_t row = 0; row < count; ++row, rows += n) {
    for (std::size_t i = 0; i < n; i += 64) _mm_prefetch(rows + i + kAheadBytes, _MM_HINT_T0);
    out[row] = avx512_dot(rows, query, n);
  }
}

#endif

template <class Other>
std::int32_t dot(const std::int8_t* a, const Other* b, std::size_t n) {
#if THALWEG_X86
  if (isa() == Isa::kAvx512) return avx512_dot(a, b, n);
  if (isa() == Isa::kAvx2) return avx2_dot(a, b, n);
#endif
  return plain_dot(a, b, n);
}

}  // namespace

std::int32_t dot_codes(const std::int8_t* row, const std::int16_t* query, std::size_t n) { return dot(row, query, n); }
std::int32_t dot_codes(const std::int8_t* a, const std::int8_t* b, std::size_t n) { return dot(a, b, n); }

void dot_code_rows(const std::int8_t* rows, std::size_t count, const std::int16_t* query, std::size_t n,
                   std::int32_t* out) {
#if THALWEG_X86
  if (isa() == Isa::kAvx512) return avx512_rows(rows, count, query, n, out);
  if (isa() == Isa::kAvx2) return avx2_rows(rows, count, query, n, out);
#endif
  for (std::size_t row = 0; row < count; ++row, rows += n) out[row] = plain_dot(rows, query, n);
}

THALWEG_FOR_PROCESSORS void upper_bounds(const std::int32_t* dots, const float* scales, const float* errors,
                                         const float* reaches, std::size_t count, const BoundTerms& query, float* out) {
  const BoundTerms by = query;
  for (std::size_t i = 0; i < count; ++i)
    out[i] = by.scale * scales[i] * static_cast<float>(dots[i]) + by.length * errors[i] + by.error * reaches[i];
}

}  // namespace thalweg::llm
