// engine/expr/unicode.h
//
// Text as code points. Broken UTF-8 is kept: a byte that belongs to no code point counts as one.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace thalweg::expr {

// The code point at `at`, and how many bytes it takes (at least 1). A broken byte is its own value plus kBroken.
struct CodePoint {
  char32_t value = 0;
  std::size_t bytes = 1;
};
inline constexpr char32_t kBroken = 0x110000;
[[nodiscard]] CodePoint code_point_at(std::string_view text, std::size_t at);
void append_code_point(char32_t c, std::string& out);

[[nodiscard]] std::int64_t count_code_points(std::string_view text);
// The byte where code point number `index` begins; the end of the text if there are fewer.
[[nodiscard]] std::size_t byte_of_code_point(std::string_view text, std::int64_t index);
// The part of code points [start, end), with Python's rules for negative and large bounds.
[[nodiscard]] std::string_view slice_text(std::string_view text, std::int64_t start, std::int64_t end);

// Cases as in Unicode's simple mapping, plus the one-to-many forms that Python's str has (`ß` is `SS`).
void append_upper(char32_t c, std::string& out);
void append_lower(char32_t c, std::string& out);
void append_title(char32_t c, std::string& out);
[[nodiscard]] bool is_upper(char32_t c);
[[nodiscard]] bool is_lower(char32_t c);
[[nodiscard]] bool is_cased(char32_t c);
[[nodiscard]] bool is_case_ignorable(char32_t c);  // apostrophes, accents, …: no end of a word
[[nodiscard]] bool is_space(char32_t c);           // what Python's strip() takes away

}  // namespace thalweg::expr
