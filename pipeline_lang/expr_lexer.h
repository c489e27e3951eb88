// pipeline_lang/expr_lexer.h
//
// Tokens of an expression with their places. Words are not told from keywords here.
#pragma once

#include <expected>
#include <string>
#include <string_view>
#include <vector>

#include "pipeline_lang/expr_syntax.h"

namespace thalweg::lang {

enum class TokenKind : std::uint8_t {
  kEnd,
  kWord,      // identifier or keyword
  kQuoted,    // `odd name`: a name, never a keyword
  kVariable,  // $name
  kInt,       // text: digits, without underscores and prefix; value, unless it is 2^63 (is_min)
  kFloat,
  kText,
  kSymbol,  // operators, brackets, commas: text
};

struct Token {
  TokenKind kind = TokenKind::kEnd;
  std::uint32_t begin = 0, end = 0;
  std::string text;
  Value value;
  bool is_min = false;  // 9223372036854775808: fits only behind a minus
};

[[nodiscard]] std::expected<std::vector<Token>, SyntaxError> lex_expression(std::string_view text);

}  // namespace thalweg::lang
