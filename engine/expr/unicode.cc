#include "engine/expr/unicode.h"

#include <algorithm>
#include <iterator>
#include <limits>

namespace thalweg::expr {
namespace {

struct CaseRange {
  char32_t first, last;
  std::int32_t delta;
  std::uint32_t step;  // only every step-th code point from `first` on
};
struct CaseText {
  char32_t from;
  const char* to;  // UTF-8
};
struct PointRange {
  char32_t first, last;
  std::uint32_t step;
};

#include "engine/expr/unicode_tables.inc"

template <class Range, std::size_t N>
const Range* find_range(const Range (&ranges)[N], char32_t c) {
  auto it =
      std::upper_bound(std::begin(ranges), std::end(ranges), c, [](char32_t v, const Range& r) { return v < r.first; });
  if (it == std::begin(ranges)) return nullptr;
  --it;
  return c <= it->last && (c - it->first) % it->step == 0 ? it : nullptr;
}
template <std::size_t N>
const char* find_text(const CaseText (&texts)[N], char32_t c) {
  auto it =
      std::lower_bound(std::begin(texts), std::end(texts), c, [](const CaseText& t, char32_t v) { return t.from < v; });
  return it != std::end(texts) && it->from == c ? it->to : nullptr;
}

template <std::size_t N, std::size_t M>
void append_mapped(const CaseText (&texts)[N], const CaseRange (&ranges)[M], char32_t c, std::string& out) {
  if (const char* text = find_text(texts, c)) {
    out += text;
    return;
  }
  const CaseRange* range = find_range(ranges, c);
  append_code_point(range ? static_cast<char32_t>(static_cast<std::int64_t>(c) + range->delta) : c, out);
}

bool is_tail(char c) { return (static_cast<unsigned char>(c) & 0xC0) == 0x80; }

}  // namespace

CodePoint code_point_at(std::string_view text, std::size_t at) {
  auto byte = static_cast<unsigned char>(text[at]);
  if (byte < 0x80) return {byte, 1};
  std::size_t bytes = byte >= 0xF0 ? 4 : byte >= 0xE0 ? 3 : byte >= 0xC2 ? 2 : 0;
  if (bytes == 0 || byte > 0xF4 || at + bytes > text.size()) return {kBroken + byte, 1};
  char32_t value = byte & (0xFF >> (bytes + 1));
  for (std::size_t i = 1; i < bytes; ++i) {
    if (!is_tail(text[at + i])) return {kBroken + byte, 1};
    value = value << 6 | (static_cast<unsigned char>(text[at + i]) & 0x3F);
  }
  return {value, bytes};
}

void append_code_point(char32_t c, std::string& out) {
  if (c >= kBroken) {
    out += static_cast<char>(c - kBroken);
  } else if (c < 0x80) {
    out += static_cast<char>(c);
  } else if (c < 0x800) {
    out += static_cast<char>(0xC0 | (c >> 6));
    out += static_cast<char>(0x80 | (c & 0x3F));
  } else if (c < 0x10000) {
    out += static_cast<char>(0xE0 | (c >> 12));
    out += static_cast<char>(0x80 | ((c >> 6) & 0x3F));
    out += static_cast<char>(0x80 | (c & 0x3F));
  } else {
    out += static_cast<char>(0xF0 | (c >> 18));
    out += static_cast<char>(0x80 | ((c >> 12) & 0x3F));
    out += static_cast<char>(0x80 | ((c >> 6) & 0x3F));
    out += static_cast<char>(0x80 | (c & 0x3F));
  }
}

std::int64_t count_code_points(std::string_view text) {
  std::int64_t count = 0;
  for (char c : text) count += !is_tail(c);
  return count;
}

std::size_t byte_of_code_point(std::string_view text, std::int64_t index) {
  for (std::size_t at = 0; at < text.size(); ++at)
    if (!is_tail(text[at]) && index-- == 0) return at;
  return text.size();
}

std::string_view slice_text(std::string_view text, std::int64_t start, std::int64_t end) {
  if (start < 0 || end < 0) {
    std::int64_t count = count_code_points(text);
    if (start < 0) start = std::max<std::int64_t>(0, start + count);
    if (end < 0) end = std::max<std::int64_t>(0, end + count);
  }
  if (start >= end) return {};
  std::size_t first = byte_of_code_point(text, start);
  std::string_view rest = text.substr(first);
  return rest.substr(0, byte_of_code_point(rest, end - start));
}

void append_upper(char32_t c, std::string& out) { append_mapped(kUpperTexts, kUpperRanges, c, out); }
void append_lower(char32_t c, std::string& out) { append_mapped(kLowerTexts, kLowerRanges, c, out); }
void append_title(char32_t c, std::string& out) {
  if (const char* text = find_text(kTitleTexts, c))
    out += text;
  else
    append_upper(c, out);
}
bool is_upper(char32_t c) { return find_range(kUpperLetters, c) != nullptr; }
bool is_lower(char32_t c) { return find_range(kLowerLetters, c) != nullptr; }
bool is_cased(char32_t c) { return is_upper(c) || is_lower(c) || find_range(kTitleLetters, c) != nullptr; }
bool is_case_ignorable(char32_t c) { return find_range(kCaseIgnorable, c) != nullptr; }
bool is_space(char32_t c) { return find_range(kSpaces, c) != nullptr; }

}  // namespace thalweg::expr
