// connectors/formats/json_scan.h
//
// Reading JSON in place, a line at a time. Every function takes a position in a sealed block and returns the position
// after what it read, or null where it is not JSON (RFC 8259). None of them passes a line end: `\n` is not allowed
// inside a record, and sealed blocks end with one (block.h, B1), so nothing here needs to know where the block ends.
#pragma once

#include <emmintrin.h>

#include <cstdint>
#include <string>
#include <string_view>

namespace thalweg::json {

inline constexpr int kDepthMax = 127;

inline const char* skip_blanks(const char* p) {
  while (*p == ' ' || *p == '\t' || *p == '\r') ++p;
  return p;
}

// From a backslash to the end of the escape.
[[nodiscard]] const char* skip_escape(const char* p);

// The closing quote of a string whose content begins at `p`; null for a control character or a bad escape.
inline const char* string_end(const char* p, bool& escaped) {
  const __m128i quote = _mm_set1_epi8('"');
  const __m128i backslash = _mm_set1_epi8('\\');
  const __m128i control = _mm_set1_epi8(0x1F);
  while (true) {
    __m128i bytes = _mm_loadu_si128(reinterpret_cast<const __m128i*>(p));
    __m128i stop = _mm_or_si128(_mm_or_si128(_mm_cmpeq_epi8(bytes, quote), _mm_cmpeq_epi8(bytes, backslash)),
                                _mm_cmpeq_epi8(_mm_min_epu8(bytes, control), bytes));
    auto mask = static_cast<std::uint32_t>(_mm_movemask_epi8(stop));
    if (mask == 0) {
      p += 16;
      continue;
    }
    p += __builtin_ctz(mask);
    if (*p == '"') return p;
    if (*p != '\\') return nullptr;
    escaped = true;
    p = skip_escape(p);
    if (!p) return nullptr;
  }
}

// The text that the bytes of a string mean. False for half a surrogate pair.
[[nodiscard]] bool unescape(std::string_view content, std::string& out);

struct NumberEnd {
  const char* end = nullptr;
  bool is_integer = true;
};
[[nodiscard]] NumberEnd skip_number(const char* p);

// Any value; `blanks` is set if there are blanks between its tokens.
[[nodiscard]] const char* skip_value(const char* p, bool& blanks, int depth = 0);

inline bool is_word(const char* p, std::string_view word) {
  for (std::size_t i = 0; i < word.size(); ++i)
    if (p[i] != word[i]) return false;
  return true;
}

}  // namespace thalweg::json
