#include "llm/text/bpe.h"

#include <array>
#include <cstdlib>
#include <limits>
#include <unordered_map>

#include <re2/re2.h>
#include <utf8proc.h>
#include <zstd.h>

#include "engine/base/ensure.h"
#include "engine/expr/unicode.h"

// The files lie in the program as they are.
#define THALWEG_EMBED(name, path)                                                                         \
  asm(".section .rodata\n.global " #name "_begin\n" #name "_begin:\n.incbin \"" path "\"\n.global " #name \
      "_end\n" #name "_end:\n.previous\n");                                                               \
  extern "C" const char name##_begin[], name##_end[]

THALWEG_EMBED(thalweg_cl100k, THALWEG_RANKS "/cl100k_base.zst");
THALWEG_EMBED(thalweg_o200k, THALWEG_RANKS "/o200k_base.zst");

namespace thalweg::llm {

namespace {

#define WS "[\\t-\\r \\x{85}\\p{Z}]"
#define NOT_LNS "[^\\t-\\r \\x{85}\\p{Z}\\p{L}\\p{N}]"
// What of the published patterns RE2 can say: `\s+(?!\S)` is done by hand, behind them.
constexpr const char* kCl100k = "((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}{1,3}| ?" NOT_LNS
                                "+[\\r\\n]*|" WS "*[\\r\\n]+)|" WS "+";
constexpr const char* kO200k =
    "([^\\r\\n\\p{L}\\p{N}]?[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]*[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]+(?i:'s|'t|'re|'ve|'m|'"
    "ll|"
    "'d)?|[^\\r\\n\\p{L}\\p{N}]?[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]+[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]*(?i:'s|'t|'re|'ve|"
    "'m|'ll|'d)?|\\p{N}{1,3}| ?" NOT_LNS "+[\\r\\n/]*|" WS "*[\\r\\n]+)|" WS "+";
#undef WS
#undef NOT_LNS

constexpr std::uint32_t kNoToken = std::numeric_limits<std::uint32_t>::max();

}  // namespace

struct Bpe::Tables {
  Tables(std::string_view packed, const char* pattern) : words(pattern) {
    ENSURE(words.ok());
    bytes.resize(ZSTD_getFrameContentSize(packed.data(), packed.size()));
    ENSURE(ZSTD_decompress(bytes.data(), bytes.size(), packed.data(), packed.size()) == bytes.size());
    std::uint32_t token = 0;
    for (std::size_t at = 0; at < bytes.size(); ++token) {
      const auto size = static_cast<std::size_t>(static_cast<unsigned char>(bytes[at]));
      ranks.emplace(std::string_view(bytes).substr(at + 1, size), token);
      at += 1 + size;
    }
  }
  [[nodiscard]] std::uint32_t rank(std::string_view text) const {
    const auto it = ranks.find(text);
    return it == ranks.end() ? kNoToken : it->second;
  }

  RE2 words;
  std::string bytes;
  std::unordered_map<std::string_view, std::uint32_t> ranks;  // views of `bytes`
};

Bpe::Bpe(std::unique_ptr<Tables> tables) : tables_(std::move(tables)) {}
Bpe::~Bpe() = default;

std::shared_ptr<const Bpe> Bpe::find(std::string_view encoding) {
  if (encoding == "cl100k_base") {
    static const std::shared_ptr<const Bpe> kOne(new Bpe(std::make_unique<Tables>(
        std::string_view(thalweg_cl100k_begin, static_cast<std::size_t>(thalweg_cl100k_end - thalweg_cl100k_begin)),
        kCl100k)));
    return kOne;
  }
  if (encoding == "o200k_base") {
    static const std::shared_ptr<const Bpe> kOne(new Bpe(std::make_unique<Tables>(
        std::string_view(thalweg_o200k_begin, static_cast<std::size_t>(thalweg_o200k_end - thalweg_o200k_begin)),
        kO200k)));
    return kOne;
  }
  return nullptr;
}

std::string Bpe::encoding_of_model(std::string_view model) {
  const std::size_t slash = model.rfind('/');
  if (slash != std::string_view::npos) model.remove_prefix(slash + 1);
  for (const std::string_view prefix : {"gpt-4o", "gpt-4.1", "gpt-4.5", "gpt-5", "chatgpt-4o", "o1", "o3", "o4"})
    if (model.starts_with(prefix)) return "o200k_base";
  return "cl100k_base";
}

template <class Use>
bool Bpe::merge(std::string_view word, std::size_t offset, Use& use) const {
  if (const std::uint32_t whole = tables_->rank(word); whole != kNoToken)
    return use(whole, offset, offset + word.size());
  // Where parts begin, and the rank of each with the one after it; the lowest is put together first.
  struct Part {
    std::size_t begin;
    std::uint32_t rank;
  };
  constexpr std::size_t kWordMax = 4096;  // longer ones are cut: merging is quadratic
  if (word.size() > kWordMax)
    return merge(word.substr(0, kWordMax), offset, use) && merge(word.substr(kWordMax), offset + kWordMax, use);
  std::vector<Part> parts;
  for (std::size_t i = 0; i <= word.size(); ++i) parts.push_back({i, kNoToken});
  const auto rank_at = [&](std::size_t i) {
    return i + 2 < parts.size() ? tables_->rank(word.substr(parts[i].begin, parts[i + 2].begin - parts[i].begin))
                                : kNoToken;
  };
  for (std::size_t i = 0; i < parts.size(); ++i) parts[i].rank = rank_at(i);
  for (;;) {
    std::size_t best = 0;
    for (std::size_t i = 1; i < parts.size(); ++i)
      if (parts[i].rank < parts[best].rank) best = i;
    if (parts[best].rank == kNoToken) break;
    parts.erase(parts.begin() + static_cast<std::ptrdiff_t>(best) + 1);
    parts[best].rank = rank_at(best);
    if (best > 0) parts[best - 1].rank = rank_at(best - 1);
  }
  for (std::size_t i = 0; i + 1 < parts.size(); ++i) {
    const std::string_view part = word.substr(parts[i].begin, parts[i + 1].begin - parts[i].begin);
    if (!use(tables_->rank(part), offset + parts[i].begin, offset + parts[i + 1].begin)) return false;
  }
  return true;
}

template <class Use>
void Bpe::each(std::string_view text, Use use) const {
  std::size_t at = 0;
  while (at < text.size()) {
    const re2::StringPiece rest(text.data() + at, text.size() - at);
    re2::StringPiece found[2];
    std::size_t size = 1;  // a broken byte that no class has
    if (tables_->words.Match(rest, 0, rest.size(), RE2::ANCHOR_START, found, 2) && !found[0].empty()) {
      size = found[0].size();
      // Blanks before a word leave the last one to it.
      if (found[1].data() == nullptr && at + size < text.size()) {
        std::size_t last = size - 1;
        while (last > 0 && (static_cast<unsigned char>(text[at + last]) & 0xC0) == 0x80) --last;
        if (last > 0) size = last;
      }
    }
    if (!merge(text.substr(at, size), at, use)) return;
    at += size;
  }
}

std::vector<std::size_t> Bpe::ends(std::string_view text, std::size_t limit) const {
  std::vector<std::size_t> out;
  if (limit == 0) return out;
  each(text, [&](std::uint32_t, std::size_t, std::size_t end) {
    out.push_back(end);
    return out.size() < limit;
  });
  return out;
}

std::vector<std::uint32_t> Bpe::encode(std::string_view text) const {
  std::vector<std::uint32_t> out;
  each(text, [&](std::uint32_t token, std::size_t, std::size_t) {
    out.push_back(token);
    return true;
  });
  return out;
}

std::string compatible_form(std::string_view text) {
  bool plain = true;
  for (const char c : text) plain = plain && static_cast<unsigned char>(c) < 0x80;
  if (plain) return std::string(text);
  utf8proc_uint8_t* made = nullptr;
  const auto options = static_cast<utf8proc_option_t>(UTF8PROC_COMPOSE | UTF8PROC_COMPAT | UTF8PROC_STABLE);
  const utf8proc_ssize_t size = utf8proc_map(reinterpret_cast<const utf8proc_uint8_t*>(text.data()),
                                             static_cast<utf8proc_ssize_t>(text.size()), &made, options);
  if (size < 0) return std::string(text);
  std::string out(reinterpret_cast<const char*>(made), static_cast<std::size_t>(size));
  std::free(made);  // NOLINT: utf8proc allocates so
  return out;
}

}  // namespace thalweg::llm
