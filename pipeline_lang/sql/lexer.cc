#include "pipeline_lang/sql/lexer.h"

#include <array>

namespace thalweg::sql {
namespace {

bool is_digit(char c) { return c >= '0' && c <= '9'; }
bool is_word_start(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || static_cast<unsigned char>(c) >= 0x80;
}
bool is_word(char c) { return is_word_start(c) || is_digit(c) || c == '$'; }

class Lexer {
 public:
  explicit Lexer(std::string_view text) : text_(text) {}

  std::vector<Token> run() {
    for (;;) {
      skip_blanks();
      Token token = bad_.empty() ? next() : make_bad(bad_at_, bad_);
      bool last = token.kind == TokenKind::kEnd || token.kind == TokenKind::kBad;
      tokens_.push_back(std::move(token));
      if (last) return std::move(tokens_);
    }
  }

 private:
  [[nodiscard]] char at(std::size_t offset) const { return pos_ + offset < text_.size() ? text_[pos_ + offset] : '\0'; }
  Token make(TokenKind kind, std::size_t begin, std::string text) const {
    Token token;
    token.kind = kind;
    token.place = {static_cast<std::uint32_t>(begin), static_cast<std::uint32_t>(pos_)};
    token.text = std::move(text);
    return token;
  }
  Token make_bad(std::size_t begin, std::string why) {
    pos_ = text_.size();
    return make(TokenKind::kBad, begin, std::move(why));
  }

  void skip_blanks() {
    while (pos_ < text_.size()) {
      char c = text_[pos_];
      if (c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == '\f' || c == '\v') {
        ++pos_;
      } else if (c == '-' && at(1) == '-') {
        while (pos_ < text_.size() && text_[pos_] != '\n') ++pos_;
      } else if (c == '/' && at(1) == '*') {
        std::size_t end = text_.find("*/", pos_ + 2);
        if (end == std::string_view::npos) {
          bad_ = "a comment that does not end";
          bad_at_ = pos_;
          return;
        }
        pos_ = end + 2;
      } else {
        return;
      }
    }
  }

  Token next() {
    std::size_t begin = pos_;
    if (pos_ >= text_.size()) return make(TokenKind::kEnd, begin, {});
    char c = text_[pos_];
    if (c == '\'') return quoted('\'', TokenKind::kText);
    if (c == '"') return quoted('"', TokenKind::kQuotedName);
    if (c == '`') return quoted('`', TokenKind::kQuotedName);
    if (is_digit(c) || (c == '.' && is_digit(at(1)))) return number();
    if (is_word_start(c)) {
      while (pos_ < text_.size() && is_word(text_[pos_])) ++pos_;
      Token token = make(TokenKind::kWord, begin, std::string(text_.substr(begin, pos_ - begin)));
      token.upper = upper_case(token.text);
      return token;
    }
    return symbol();
  }

  Token quoted(char quote, TokenKind kind) {
    std::size_t begin = pos_++;
    std::string out;
    for (; pos_ < text_.size(); ++pos_) {
      if (text_[pos_] != quote) {
        out += text_[pos_];
      } else if (at(1) == quote) {
        out += quote;
        ++pos_;
      } else {
        ++pos_;
        if (kind == TokenKind::kQuotedName && out.empty()) return make_bad(begin, "an empty name");
        return make(kind, begin, std::move(out));
      }
    }
    return make_bad(begin, quote == '\'' ? "a text that does not end" : "a quoted name that does not end");
  }

  Token number() {
    std::size_t begin = pos_;
    bool real = false;
    while (is_digit(at(0))) ++pos_;
    if (at(0) == '.') {
      real = true;
      ++pos_;
      while (is_digit(at(0))) ++pos_;
    }
    if (at(0) == 'e' || at(0) == 'E') {
      std::size_t sign = at(1) == '+' || at(1) == '-' ? 2 : 1;
      if (is_digit(at(sign))) {
        real = true;
        pos_ += sign;
        while (is_digit(at(0))) ++pos_;
      }
    }
    if (is_word_start(at(0))) return make_bad(begin, "a number that runs into a word");
    return make(real ? TokenKind::kFloat : TokenKind::kInt, begin, std::string(text_.substr(begin, pos_ - begin)));
  }

  Token symbol() {
    static constexpr std::array<std::string_view, 7> kLong = {"||", "<=", ">=", "<>", "!=", "==", "::"};
    std::size_t begin = pos_;
    for (std::string_view text : kLong) {
      if (text_.substr(pos_, 2) != text) continue;
      pos_ += 2;
      return make(TokenKind::kSymbol, begin, std::string(text));
    }
    char c = text_[pos_];
    if (std::string_view("+-*/%=<>(),.;[]:?|&~^!@#$").find(c) == std::string_view::npos)
      return make_bad(begin, "a character that has no place in a query");
    ++pos_;
    return make(TokenKind::kSymbol, begin, std::string(1, c));
  }

  std::string_view text_;
  std::size_t pos_ = 0;
  std::string bad_;
  std::size_t bad_at_ = 0;
  std::vector<Token> tokens_;
};

}  // namespace

std::vector<Token> tokenize(std::string_view text) { return Lexer(text).run(); }

std::string upper_case(std::string_view text) {
  std::string out(text);
  for (char& c : out)
    if (c >= 'a' && c <= 'z') c = static_cast<char>(c - 'a' + 'A');
  return out;
}

}  // namespace thalweg::sql
