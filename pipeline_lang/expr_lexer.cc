#include "pipeline_lang/expr_lexer.h"

#include <array>
#include <charconv>
#include <optional>

#include "engine/types/from_text.h"

namespace thalweg::lang {
namespace {

bool is_digit(char c) { return c >= '0' && c <= '9'; }
bool is_word_start(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || static_cast<unsigned char>(c) >= 0x80;
}
bool is_word(char c) { return is_word_start(c) || is_digit(c); }
bool is_space(char c) { return c == ' ' || c == '\t' || c == '\n' || c == '\r'; }

int hex_digit(char c) {
  if (is_digit(c)) return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

void append_code_point(std::string& out, std::uint32_t point) {
  if (point < 0x80) {
    out += static_cast<char>(point);
  } else if (point < 0x800) {
    out += static_cast<char>(0xC0 | point >> 6);
    out += static_cast<char>(0x80 | (point & 63));
  } else if (point < 0x10000) {
    out += static_cast<char>(0xE0 | point >> 12);
    out += static_cast<char>(0x80 | (point >> 6 & 63));
    out += static_cast<char>(0x80 | (point & 63));
  } else {
    out += static_cast<char>(0xF0 | point >> 18);
    out += static_cast<char>(0x80 | (point >> 12 & 63));
    out += static_cast<char>(0x80 | (point >> 6 & 63));
    out += static_cast<char>(0x80 | (point & 63));
  }
}

// Longest first.
constexpr std::array<std::string_view, 36> kSymbols = {
    "...", "**", "//", "<<", ">>", "==", "!=", "<>", "<=", ">=", "&&", "||", "->", "::", "=", "<", ">", "+",
    "-",   "*",  "/",  "%",  "@",  "&",  "|",  "^",  "~",  "(",  ")",  "[",  "]",  "{",  "}", ",", ".", ":"};

class Lexer {
 public:
  explicit Lexer(std::string_view text) : text_(text) {}

  std::expected<std::vector<Token>, SyntaxError> run() {
    while (true) {
      while (at_ < text_.size() && is_space(text_[at_])) ++at_;
      begin_ = at_;
      if (at_ >= text_.size()) {
        add(TokenKind::kEnd, "");
        return std::move(tokens_);
      }
      if (auto error = next()) return std::unexpected(std::move(*error));
    }
  }

 private:
  using Failure = std::optional<SyntaxError>;

  char peek(std::size_t ahead = 0) const { return at_ + ahead < text_.size() ? text_[at_ + ahead] : '\0'; }

  Token& add(TokenKind kind, std::string text) {
    tokens_.push_back(
        {kind, static_cast<std::uint32_t>(begin_), static_cast<std::uint32_t>(at_), std::move(text), {}, false});
    return tokens_.back();
  }
  Failure error(std::string message, std::string hint = {}) const {
    return SyntaxError{std::move(message), begin_, std::max(at_, begin_ + 1), std::move(hint)};
  }

  Failure next() {
    const char c = peek();
    if (is_word_start(c)) {
      const bool quote = peek(1) == '"' || peek(1) == '\'';
      if (quote && (c == 'r' || c == 'b' || c == 'f' || c == 'u')) {
        ++at_;
        return error("texts have no prefix here", c == 'f' ? "use `+` to put texts together" : "leave it out");
      }
      while (is_word(peek())) ++at_;
      add(TokenKind::kWord, std::string(text_.substr(begin_, at_ - begin_)));
      return {};
    }
    if (is_digit(c) || (c == '.' && is_digit(peek(1)))) return number();
    if (c == '"' || c == '\'') return quoted_text(c);
    if (c == '`') return quoted_name();
    if (c == '$') return variable();
    for (const std::string_view symbol : kSymbols) {
      if (text_.substr(at_, symbol.size()) != symbol) continue;
      at_ += symbol.size();
      if (symbol == "&&") return error("`&&` is no operator", "write `and`");
      if (symbol == "||") return error("`||` is no operator", "write `or`, or `+` for texts");
      add(TokenKind::kSymbol, std::string(symbol));
      return {};
    }
    if (c == '?') {
      ++at_;
      add(TokenKind::kSymbol, "?");
      return {};
    }
    ++at_;
    if (c == '!') return error("`!` is no operator", "write `not`");
    return error("unexpected `" + std::string(1, c) + "`");
  }

  Failure number() {
    if (peek() == '0' &&
        (peek(1) == 'x' || peek(1) == 'X' || peek(1) == 'b' || peek(1) == 'B' || peek(1) == 'o' || peek(1) == 'O'))
      return based_number();
    std::string digits;
    const auto take_digits = [&] {
      while (is_digit(peek()) || (peek() == '_' && is_digit(peek(1)) && at_ > begin_)) {
        if (peek() != '_') digits += peek();
        ++at_;
      }
    };
    take_digits();
    bool is_float = false;
    if (peek() == '.' && !is_word_start(peek(1)) && peek(1) != '.') {
      is_float = true;
      digits += '.';
      ++at_;
      take_digits();
    }
    const bool signed_exponent = (peek(1) == '+' || peek(1) == '-') && is_digit(peek(2));
    if ((peek() == 'e' || peek() == 'E') && (is_digit(peek(1)) || signed_exponent)) {
      is_float = true;
      digits += 'e';
      ++at_;
      if (signed_exponent) digits += text_[at_++];
      take_digits();
    }
    if (is_word(peek())) {
      while (is_word(peek())) ++at_;
      return error("`" + std::string(text_.substr(begin_, at_ - begin_)) + "` is no number",
                   "a name that begins with a digit is written in backticks");
    }
    if (is_float) {
      const auto value = float_from_text(digits);
      if (!value) return error("`" + digits + "` is no number");
      add(TokenKind::kFloat, digits).value = Value::of(*value);
      return {};
    }
    if (const auto value = int_from_text(digits)) {
      add(TokenKind::kInt, digits).value = Value::of(*value);
      return {};
    }
    std::size_t zeros = 0;
    while (zeros + 1 < digits.size() && digits[zeros] == '0') ++zeros;
    if (digits.substr(zeros) == "9223372036854775808") {
      add(TokenKind::kInt, digits).is_min = true;
      return {};
    }
    return error("`" + digits + "` does not fit into int (64 bits)", "write it with a dot for a float");
  }

  Failure based_number() {
    const char letter = peek(1);
    const int base = letter == 'x' || letter == 'X' ? 16 : letter == 'b' || letter == 'B' ? 2 : 8;
    at_ += 2;
    std::string digits;
    while (is_word(peek())) {
      if (peek() != '_') digits += peek();
      ++at_;
    }
    std::int64_t value = 0;
    const auto [end, code] = std::from_chars(digits.data(), digits.data() + digits.size(), value, base);
    if (digits.empty() || code != std::errc{} || end != digits.data() + digits.size())
      return error("`" + std::string(text_.substr(begin_, at_ - begin_)) + "` is no number");
    add(TokenKind::kInt, digits).value = Value::of(value);
    return {};
  }

  Failure quoted_text(char quote) {
    std::string out;
    ++at_;
    while (true) {
      if (at_ >= text_.size()) return error("the text is not closed", std::string("it ends with ") + quote);
      const char c = text_[at_];
      if (c == quote) break;
      if (c != '\\') {
        out += c;
        ++at_;
        continue;
      }
      if (auto failure = escape(out)) return failure;
    }
    ++at_;
    add(TokenKind::kText, out).value = Value::str(out);
    return {};
  }

  Failure escape(std::string& out) {
    const std::size_t start = at_++;
    const char c = peek();
    ++at_;
    const auto bad = [&](std::string message, std::string hint = {}) {
      return Failure(SyntaxError{std::move(message), start, std::min(at_, text_.size()), std::move(hint)});
    };
    const auto code = [&](std::size_t count) -> std::optional<std::uint32_t> {
      std::uint32_t value = 0;
      for (std::size_t i = 0; i < count; ++i) {
        const int digit = hex_digit(peek());
        if (digit < 0) return std::nullopt;
        value = value * 16 + static_cast<std::uint32_t>(digit);
        ++at_;
      }
      return value;
    };
    switch (c) {
      case 'n': out += '\n'; return {};
      case 't': out += '\t'; return {};
      case 'r': out += '\r'; return {};
      case 'b': out += '\b'; return {};
      case 'f': out += '\f'; return {};
      case 'v': out += '\v'; return {};
      case 'a': out += '\a'; return {};
      case '0': out += '\0'; return {};
      case '\\':
      case '\'':
      case '"': out += c; return {};
      case 'x':
      case 'u':
      case 'U': {
        auto value = code(c == 'x' ? 2 : c == 'u' ? 4 : 8);
        if (!value)
          return bad(std::string("`\\") + c + "` needs " +
                     (c == 'x'   ? "2"
                      : c == 'u' ? "4"
                                 : "8") +
                     " hexadecimal digits");
        if (*value >= 0xD800 && *value < 0xDC00 && peek() == '\\' && peek(1) == 'u') {
          at_ += 2;
          const auto low = code(4);
          if (!low || *low < 0xDC00 || *low > 0xDFFF) return bad("half of a surrogate pair");
          value = 0x10000 + ((*value - 0xD800) << 10) + (*low - 0xDC00);
        }
        if (*value > 0x10FFFF || (*value >= 0xD800 && *value < 0xE000)) return bad("no such code point");
        append_code_point(out, *value);
        return {};
      }
      default: return bad(std::string("unknown escape `\\") + c + "`", "a backslash itself is written `\\\\`");
    }
  }

  Failure quoted_name() {
    const std::size_t close = text_.find('`', at_ + 1);
    if (close == std::string_view::npos) {
      at_ = text_.size();
      return error("the name is not closed", "it ends with `");
    }
    std::string name(text_.substr(at_ + 1, close - at_ - 1));
    at_ = close + 1;
    if (name.empty()) return error("an empty name");
    add(TokenKind::kQuoted, std::move(name));
    return {};
  }

  Failure variable() {
    ++at_;
    if (!is_word_start(peek())) return error("`$` is followed by no name");
    while (is_word(peek())) ++at_;
    add(TokenKind::kVariable, std::string(text_.substr(begin_ + 1, at_ - begin_ - 1)));
    return {};
  }

  std::string_view text_;
  std::size_t at_ = 0;
  std::size_t begin_ = 0;
  std::vector<Token> tokens_;
};

}  // namespace

std::expected<std::vector<Token>, SyntaxError> lex_expression(std::string_view text) {
  if (text.size() > kExprBytesMax) return std::unexpected(SyntaxError{"the expression is longer than 1 MiB", 0, 1, {}});
  return Lexer(text).run();
}

}  // namespace thalweg::lang
