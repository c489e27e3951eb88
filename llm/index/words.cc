#include "llm/index/words.h"

#include <array>
#include <utility>

#include <libstemmer.h>

#include "engine/expr/unicode.h"

namespace thalweg::llm {

namespace {

constexpr std::size_t kWordBytesMax = 40;

enum class Sort : std::uint8_t { kBreak, kLetter, kAlone };

// Of what is not ASCII.
Sort sort_of(char32_t c) {
  if (c < 0xC0) return c == 0xAA || c == 0xB5 || c == 0xBA ? Sort::kLetter : Sort::kBreak;
  if (c == 0xD7 || c == 0xF7 || c >= expr::kBroken) return Sort::kBreak;
  if (c >= 0x2000 && c <= 0x2BFF) return Sort::kBreak;  // punctuation, symbols, arrows
  if (c >= 0x3000 && c <= 0x303F) return Sort::kBreak;
  if ((c >= 0x3040 && c <= 0x30FF) || (c >= 0x3400 && c <= 0x9FFF) || (c >= 0xF900 && c <= 0xFAFF) ||
      (c >= 0x20000 && c <= 0x3FFFF))
    return Sort::kAlone;
  if ((c >= 0xFE10 && c <= 0xFE6F) || (c >= 0xFF00 && c <= 0xFF0F) || (c >= 0xFF1A && c <= 0xFF20)) return Sort::kBreak;
  if (c >= 0x1F000 && c <= 0x1FAFF) return Sort::kBreak;
  return Sort::kLetter;
}

// Letters and digits in lower case; 0 where a word ends.
constexpr auto kAscii = [] {
  std::array<char, 128> out{};
  for (char c = '0'; c <= '9'; ++c) out[static_cast<std::size_t>(c)] = c;
  for (char c = 'a'; c <= 'z'; ++c) {
    out[static_cast<std::size_t>(c)] = c;
    out[static_cast<std::size_t>(c - 'a' + 'A')] = c;
  }
  return out;
}();

}  // namespace

Words::Words(const std::string& language) {
  if (!language.empty()) stemmer_ = sb_stemmer_new(language.c_str(), "UTF_8");
}
Words::~Words() { sb_stemmer_delete(stemmer_); }

void Words::each(std::string_view text, const std::function<void(std::string_view)>& use) {
  char word[kWordBytesMax];
  std::size_t size = 0;  // more than kWordBytesMax: too long
  const auto append = [&](std::string_view bytes) {
    for (const char c : bytes) {
      if (size < kWordBytesMax) word[size] = c;
      ++size;
    }
  };
  const auto flush = [&] {
    const std::size_t length = std::exchange(size, 0);
    if (length == 0 || length > kWordBytesMax) return;
    if (stemmer_ == nullptr) return use({word, length});
    const auto* stem = sb_stemmer_stem(stemmer_, reinterpret_cast<const sb_symbol*>(word), static_cast<int>(length));
    const auto stem_length = static_cast<std::size_t>(sb_stemmer_length(stemmer_));
    if (stem != nullptr && stem_length > 0) use({reinterpret_cast<const char*>(stem), stem_length});
  };
  std::string lower;
  for (std::size_t at = 0; at < text.size();) {
    const auto byte = static_cast<unsigned char>(text[at]);
    if (byte < 0x80) {  // the common case, without a call
      const char letter = kAscii[byte];
      if (letter == 0) {
        flush();
      } else {
        if (size < kWordBytesMax) word[size] = letter;
        ++size;
      }
      ++at;
      continue;
    }
    const expr::CodePoint point = expr::code_point_at(text, at);
    const Sort sort = sort_of(point.value);
    if (sort != Sort::kLetter) flush();
    if (sort != Sort::kBreak) {
      lower.clear();
      expr::append_lower(point.value, lower);
      append(lower);
    }
    if (sort == Sort::kAlone) flush();
    at += point.bytes;
  }
  flush();
}

std::vector<std::string> Words::languages() {
  std::vector<std::string> out;
  for (const char** name = sb_stemmer_list(); *name != nullptr; ++name) out.emplace_back(*name);
  return out;
}

bool Words::knows(const std::string& language) {
  sb_stemmer* const stemmer = sb_stemmer_new(language.c_str(), "UTF_8");
  sb_stemmer_delete(stemmer);
  return stemmer != nullptr;
}

}  // namespace thalweg::llm
