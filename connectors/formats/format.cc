#include "connectors/formats/format.h"

#include <emmintrin.h>
#include <simdjson.h>

#include <cstring>

namespace thalweg {

std::size_t LineCutter::whole_records(std::string_view data) const {
  std::size_t at = data.rfind('\n');
  return at == std::string_view::npos ? 0 : at + 1;
}

std::size_t LineCutter::record_end(std::string_view data) const {
  std::size_t at = data.find('\n');
  return at == std::string_view::npos ? 0 : at + 1;
}

std::size_t count_lines(std::string_view data) {
  const char* p = data.data();
  std::size_t left = data.size();
  std::size_t lines = 0;
  const __m128i line_end = _mm_set1_epi8('\n');
  const __m128i zero = _mm_setzero_si128();
  while (left >= 16) {
    // Bytes count down from 0 by matches; 255 rounds at most before they are summed.
    __m128i counts = zero;
    std::size_t rounds = std::min<std::size_t>(left / 16, 255);
    for (std::size_t i = 0; i < rounds; ++i, p += 16)
      counts = _mm_sub_epi8(counts, _mm_cmpeq_epi8(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p)), line_end));
    left -= rounds * 16;
    __m128i sums = _mm_sad_epu8(counts, zero);
    lines += static_cast<std::size_t>(_mm_cvtsi128_si64(sums)) +
             static_cast<std::size_t>(_mm_cvtsi128_si64(_mm_unpackhi_epi64(sums, sums)));
  }
  for (; left; --left, ++p) lines += *p == '\n';
  return lines;
}

bool is_utf8(std::string_view data) { return simdjson::validate_utf8(data.data(), data.size()); }

}  // namespace thalweg
