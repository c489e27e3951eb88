#include "llm/local/normal_form.h"

#include <cstdlib>
#include <cstring>
#include <memory>

#include <re2/re2.h>
#include <utf8proc.h>

#include "engine/expr/unicode.h"

namespace thalweg::llm {

namespace {

using expr::code_point_at;

utf8proc_category_t category(char32_t c) {
  return c >= expr::kBroken ? UTF8PROC_CATEGORY_CO : utf8proc_category(static_cast<utf8proc_int32_t>(c));
}

bool is_control(char32_t c) {
  if (c == '\t' || c == '\n' || c == '\r') return false;
  const auto kind = category(c);
  return kind == UTF8PROC_CATEGORY_CC || kind == UTF8PROC_CATEGORY_CF || kind == UTF8PROC_CATEGORY_CO ||
         kind == UTF8PROC_CATEGORY_CS || kind == UTF8PROC_CATEGORY_CN;
}

bool is_chinese(char32_t c) {
  return (c >= 0x4E00 && c <= 0x9FFF) || (c >= 0x3400 && c <= 0x4DBF) || (c >= 0x20000 && c <= 0x2A6DF) ||
         (c >= 0x2A700 && c <= 0x2CEAF) || (c >= 0xF900 && c <= 0xFAFF) || (c >= 0x2F800 && c <= 0x2FA1F);
}

std::string mapped(const std::string& text, int options) {
  utf8proc_uint8_t* made = nullptr;
  const utf8proc_ssize_t size =
      utf8proc_map(reinterpret_cast<const utf8proc_uint8_t*>(text.data()), static_cast<utf8proc_ssize_t>(text.size()),
                   &made, static_cast<utf8proc_option_t>(options | UTF8PROC_STABLE));
  if (size < 0) return text;  // broken UTF-8
  std::string out(reinterpret_cast<const char*>(made), static_cast<std::size_t>(size));
  std::free(made);  // NOLINT: utf8proc allocates so
  return out;
}

template <class Use>
void each_point(const std::string& text, Use use) {
  for (std::size_t at = 0; at < text.size();) {
    const expr::CodePoint point = code_point_at(text, at);
    use(point.value, std::string_view(text).substr(at, point.bytes));
    at += point.bytes;
  }
}

std::string without_marks(const std::string& text) {
  std::string out;
  each_point(text, [&](char32_t c, std::string_view bytes) {
    if (c < 0x80 || category(c) != UTF8PROC_CATEGORY_MN) out += bytes;
  });
  return out;
}

std::string in_lower_case(const std::string& text) {
  std::string out;
  each_point(text, [&](char32_t c, std::string_view bytes) {
    if (c >= expr::kBroken)
      out += bytes;
    else
      expr::append_lower(c, out);
  });
  return out;
}

std::string cleaned(const std::string& text) {
  std::string out;
  each_point(text, [&](char32_t c, std::string_view bytes) {
    if (c == 0 || c == 0xFFFD || is_control(c)) return;
    if (is_white(c))
      out += ' ';
    else
      out += bytes;
  });
  return out;
}

std::string with_chinese_apart(const std::string& text) {
  std::string out;
  each_point(text, [&](char32_t c, std::string_view bytes) {
    const bool apart = is_chinese(c);
    if (apart) out += ' ';
    out += bytes;
    if (apart) out += ' ';
  });
  return out;
}

std::string replaced(const std::string& text, const std::string& what, const std::string& with) {
  std::string out;
  for (std::size_t at = 0;;) {
    const std::size_t found = what.empty() ? std::string::npos : text.find(what, at);
    out.append(text, at, found - at);
    if (found == std::string::npos) return out;
    out += with;
    at = found + what.size();
  }
}

// The table of a SentencePiece model: a trie of what is replaced, as a double array, and the replacements.
class CharacterMap {
 public:
  static std::shared_ptr<const CharacterMap> make(const std::string& base64) {
    auto out = std::make_shared<CharacterMap>();
    const std::string bytes = decoded(base64);
    std::uint32_t size = 0;
    if (bytes.size() < sizeof size) return nullptr;
    std::memcpy(&size, bytes.data(), sizeof size);
    if (size % 4 != 0 || size > bytes.size() - sizeof size) return nullptr;
    out->units_.resize(size / 4);
    std::memcpy(out->units_.data(), bytes.data() + sizeof size, size);
    out->texts_ = bytes.substr(sizeof size + size);
    return out;
  }
  [[nodiscard]] std::string apply(const std::string& text) const {
    std::string out;
    for (std::size_t at = 0; at < text.size();) {
      const auto [length, to] = longest(std::string_view(text).substr(at));
      if (length == 0) {
        const std::size_t bytes = code_point_at(text, at).bytes;
        out.append(text, at, bytes);
        at += bytes;
        continue;
      }
      if (to < texts_.size()) out += std::string_view(texts_).substr(to, texts_.find('\0', to) - to);
      at += length;
    }
    return out;
  }

 private:
  static std::string decoded(const std::string& base64) {
    std::string out;
    std::uint32_t bits = 0;
    int count = 0;
    for (const char c : base64) {
      const int value = c >= 'A' && c <= 'Z'   ? c - 'A'
                        : c >= 'a' && c <= 'z' ? c - 'a' + 26
                        : c >= '0' && c <= '9' ? c - '0' + 52
                        : c == '+'             ? 62
                        : c == '/'             ? 63
                                               : -1;
      if (value < 0) continue;
      bits = bits << 6 | static_cast<std::uint32_t>(value);
      count += 6;
      if (count < 8) continue;
      count -= 8;
      out += static_cast<char>(bits >> count & 0xFF);
    }
    return out;
  }
  // Layout of a unit: value or label in the low bits, bit 8 a leaf below, bits 9 and up the offset.
  [[nodiscard]] std::pair<std::size_t, std::size_t> longest(std::string_view text) const {
    std::pair<std::size_t, std::size_t> best = {0, 0};
    if (units_.empty()) return best;
    const auto offset = [](std::uint32_t unit) {
      return static_cast<std::size_t>(unit >> 10) << ((unit & 0x200) >> 6);
    };
    std::size_t at = offset(units_[0]);
    for (std::size_t i = 0; i < text.size(); ++i) {
      at ^= static_cast<unsigned char>(text[i]);
      if (at >= units_.size()) break;
      const std::uint32_t unit = units_[at];
      if ((unit & 0x800000FF) != static_cast<unsigned char>(text[i])) break;
      at ^= offset(unit);
      if (at >= units_.size()) break;
      if ((unit & 0x100) != 0) best = {i + 1, units_[at] & 0x7FFFFFFF};
    }
    return best;
  }

  std::vector<std::uint32_t> units_;
  std::string texts_;
};

Result<TextStep> replacement(const nlohmann::json& step) {
  const std::string with = step.value("content", "");
  const nlohmann::json pattern = step.value("pattern", nlohmann::json());
  if (pattern.is_object() && pattern.contains("String"))
    return TextStep([what = pattern["String"].get<std::string>(), with](const std::string& text) {
      return replaced(text, what, with);
    });
  const std::string regex = pattern.is_object() ? pattern.value("Regex", "") : "";
  auto compiled = std::make_shared<const RE2>(regex, RE2::Quiet);
  if (regex.empty() || !compiled->ok()) return fail(Code::kInvalidArgument, "its replacement `" + regex + "`");
  return TextStep([compiled, with](std::string text) {
    RE2::GlobalReplace(&text, *compiled, replaced(with, "\\", "\\\\"));
    return text;
  });
}

Result<void> append_steps(const nlohmann::json& step, std::vector<TextStep>& out) {
  if (step.is_null()) return {};
  const std::string type = step.is_object() ? step.value("type", "") : "";
  const auto form = [&](int options) {
    out.emplace_back([options](const std::string& t) { return mapped(t, options); });
  };
  if (type == "Sequence") {
    for (const nlohmann::json& one : step.value("normalizers", nlohmann::json::array())) TRY(append_steps(one, out));
  } else if (type == "BertNormalizer") {
    const bool lower = step.value("lowercase", true);
    const nlohmann::json accents = step.value("strip_accents", nlohmann::json());
    out.push_back(bert_form(step.value("clean_text", true), step.value("handle_chinese_chars", true),
                            accents.is_boolean() ? accents.get<bool>() : lower, lower));
  } else if (type == "NFC") {
    form(UTF8PROC_COMPOSE);
  } else if (type == "NFD") {
    form(UTF8PROC_DECOMPOSE);
  } else if (type == "NFKC" || type == "Nmt") {
    form(type == "Nmt" ? UTF8PROC_COMPOSE : UTF8PROC_COMPOSE | UTF8PROC_COMPAT);
  } else if (type == "NFKD") {
    form(UTF8PROC_DECOMPOSE | UTF8PROC_COMPAT);
  } else if (type == "Lowercase") {
    out.emplace_back(in_lower_case);
  } else if (type == "StripAccents") {
    out.emplace_back(without_marks);
  } else if (type == "Prepend") {
    out.emplace_back([what = step.value("prepend", "")](const std::string& t) { return t.empty() ? t : what + t; });
  } else if (type == "Strip") {
    out.emplace_back([left = step.value("strip_left", true), right = step.value("strip_right", true)](std::string t) {
      while (left && !t.empty() && is_white(code_point_at(t, 0).value)) t.erase(0, code_point_at(t, 0).bytes);
      while (right && !t.empty() && static_cast<unsigned char>(t.back()) <= ' ') t.pop_back();
      return t;
    });
  } else if (type == "Replace") {
    out.push_back(TRY(replacement(step)));
  } else if (type == "Precompiled") {
    const auto map = CharacterMap::make(step.value("precompiled_charsmap", ""));
    if (map == nullptr) return fail(Code::kBadData, "its table of characters");
    out.emplace_back([map](const std::string& t) { return map->apply(t); });
  } else {
    return fail(Code::kInvalidArgument, "the normalizer `" + type + "`");
  }
  return {};
}

}  // namespace

bool is_white(char32_t c) {
  if (c == ' ' || (c >= 9 && c <= 13) || c == 0x85) return true;
  const auto kind = category(c);
  return kind == UTF8PROC_CATEGORY_ZS || kind == UTF8PROC_CATEGORY_ZL || kind == UTF8PROC_CATEGORY_ZP;
}
bool is_punctuation(char32_t c) {
  if (c < 0x80) return (c >= 33 && c <= 47) || (c >= 58 && c <= 64) || (c >= 91 && c <= 96) || (c >= 123 && c <= 126);
  const auto kind = category(c);
  return kind >= UTF8PROC_CATEGORY_PC && kind <= UTF8PROC_CATEGORY_PO;
}
bool is_letter(char32_t c) {
  const auto kind = category(c);
  return kind >= UTF8PROC_CATEGORY_LU && kind <= UTF8PROC_CATEGORY_LO;
}
bool is_digit(char32_t c) {
  const auto kind = category(c);
  return kind >= UTF8PROC_CATEGORY_ND && kind <= UTF8PROC_CATEGORY_NO;
}

TextStep bert_form(bool clean, bool chinese_apart, bool strip_accents, bool lower_case) {
  return [=](std::string text) {
    if (clean) text = cleaned(text);
    if (chinese_apart) text = with_chinese_apart(text);
    if (strip_accents) text = without_marks(mapped(text, UTF8PROC_DECOMPOSE));
    if (lower_case) text = in_lower_case(text);
    return text;
  };
}

Result<std::vector<TextStep>> normal_form(const nlohmann::json& normalizer) {
  std::vector<TextStep> out;
  TRY(append_steps(normalizer, out));
  return out;
}

}  // namespace thalweg::llm
