// pipeline_lang/sql/lexer.h
//
// Tokens of a query. Words keep their case; keywords are told apart by the parser.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "pipeline_lang/sql/ast.h"

namespace thalweg::sql {

enum class TokenKind : std::uint8_t { kEnd, kWord, kQuotedName, kText, kInt, kFloat, kSymbol, kBad };

struct Token {
  TokenKind kind = TokenKind::kEnd;
  Place place;
  std::string text;   // decoded; of a bad token, what is wrong with it
  std::string upper;  // of a word
};

// Ends with kEnd, or with the first kBad.
[[nodiscard]] std::vector<Token> tokenize(std::string_view text);
[[nodiscard]] std::string upper_case(std::string_view text);  // ASCII

}  // namespace thalweg::sql
