#include <simdjson.h>

#include <cctype>
#include <memory>

#include "engine/types/from_text.h"

namespace thalweg {
namespace {

constexpr int kDepthMax = 1024;  // simdjson's own

// Whether the text is one JSON value, by the grammar alone: for what the parser refuses although it is JSON, that is,
// numbers of any length.
class Grammar {
 public:
  explicit Grammar(std::string_view text) : text_(text) {}
  bool holds() {
    if (!value(0)) return false;
    blanks();
    return at_ == text_.size();
  }

 private:
  [[nodiscard]] char peek() const { return at_ < text_.size() ? text_[at_] : '\0'; }
  bool eat(char c) {
    if (peek() != c) return false;
    ++at_;
    return true;
  }
  void blanks() {
    while (peek() == ' ' || peek() == '\t' || peek() == '\n' || peek() == '\r') ++at_;
  }
  bool word(std::string_view w) {
    if (!text_.substr(at_).starts_with(w)) return false;
    at_ += w.size();
    return true;
  }
  bool digits() {
    std::size_t from = at_;
    while (peek() >= '0' && peek() <= '9') ++at_;
    return at_ > from;
  }
  bool number() {
    eat('-');
    if (!eat('0') && !digits()) return false;
    if (eat('.') && !digits()) return false;
    if (peek() != 'e' && peek() != 'E') return true;
    ++at_;
    if (!eat('+')) eat('-');
    return digits();
  }
  bool string() {
    if (!eat('"')) return false;
    for (; at_ < text_.size(); ++at_) {
      if (text_[at_] == '"') return ++at_, true;
      if (static_cast<unsigned char>(text_[at_]) < 0x20) return false;
      if (text_[at_] != '\\') continue;
      ++at_;
      if (peek() == 'u') {
        for (int i = 1; i <= 4; ++i)
          if (at_ + 4 >= text_.size() ||
              !std::isxdigit(static_cast<unsigned char>(text_[at_ + static_cast<std::size_t>(i)])))
            return false;
        at_ += 4;
      } else if (std::string_view("\"\\/bfnrt").find(peek()) == std::string_view::npos) {
        return false;
      }
    }
    return false;
  }
  bool value(int depth) {
    if (depth > kDepthMax) return false;
    blanks();
    switch (peek()) {
      case '{': return members(depth);
      case '[': return elements(depth);
      case '"': return string();
      case 't': return word("true");
      case 'f': return word("false");
      case 'n': return word("null");
      default: return number();
    }
  }
  bool elements(int depth) {
    eat('[');
    blanks();
    if (eat(']')) return true;
    do {
      if (!value(depth + 1)) return false;
      blanks();
    } while (eat(','));
    return eat(']');
  }
  bool members(int depth) {
    eat('{');
    blanks();
    if (eat('}')) return true;
    do {
      blanks();
      if (!string()) return false;
      blanks();
      if (!eat(':') || !value(depth + 1)) return false;
      blanks();
    } while (eat(','));
    return eat('}');
  }

  std::string_view text_;
  std::size_t at_ = 0;
};

}  // namespace

std::optional<std::string> compact_json(std::string_view text) {
  thread_local simdjson::dom::parser parser;
  simdjson::dom::element element;
  const simdjson::error_code error = parser.parse(text.data(), text.size()).get(element);
  const bool long_number = error == simdjson::NUMBER_ERROR;
  if (error != simdjson::SUCCESS &&
      !(long_number && simdjson::validate_utf8(text.data(), text.size()) && Grammar(text).holds()))
    return std::nullopt;
  std::string out(text.size(), '\0');
  std::size_t length = 0;
  if (simdjson::minify(text.data(), text.size(), out.data(), length) != simdjson::SUCCESS) return std::nullopt;
  out.resize(length);
  return out;
}

std::string json_quoted(std::string_view text) {
  std::string out = "\"";
  for (const char c : text) {
    switch (c) {
      case '"': out += "\\\""; break;
      case '\\': out += "\\\\"; break;
      case '\n': out += "\\n"; break;
      case '\r': out += "\\r"; break;
      case '\t': out += "\\t"; break;
      case '\b': out += "\\b"; break;
      case '\f': out += "\\f"; break;
      default:
        if (static_cast<unsigned char>(c) < 0x20) {
          constexpr char kHex[] = "0123456789abcdef";
          out += "\\u00";
          out += kHex[(c >> 4) & 15];
          out += kHex[c & 15];
        } else {
          out += c;
        }
    }
  }
  return out + '"';
}

}  // namespace thalweg
