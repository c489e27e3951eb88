// pipeline_lang/sql/parser_impl.h
//
// The parser's class, shared by the file for expressions and the one for queries.
#pragma once

#include <initializer_list>
#include <string>
#include <string_view>
#include <vector>

#include "pipeline_lang/sql/lexer.h"
#include "pipeline_lang/sql/parser.h"

namespace thalweg::sql {

class Parser {
 public:
  Parser(std::vector<Token> tokens, const SpanOf& span_of) : tokens_(std::move(tokens)), span_of_(span_of) {}
  Result<QueryPtr> parse_all();

 private:
  // tokens
  [[nodiscard]] const Token& peek(std::size_t ahead = 0) const {
    return tokens_[std::min(pos_ + ahead, tokens_.size() - 1)];
  }
  const Token& take() {
    const Token& token = peek();
    if (pos_ + 1 < tokens_.size()) ++pos_;
    return token;
  }
  [[nodiscard]] bool is_word(std::string_view upper, std::size_t ahead = 0) const {
    const Token& token = peek(ahead);
    return token.kind == TokenKind::kWord && token.upper == upper;
  }
  [[nodiscard]] bool is_any_word(std::initializer_list<std::string_view> words, std::size_t ahead = 0) const;
  [[nodiscard]] bool is_symbol(std::string_view symbol, std::size_t ahead = 0) const {
    const Token& token = peek(ahead);
    return token.kind == TokenKind::kSymbol && token.text == symbol;
  }
  bool accept_word(std::string_view upper);
  bool accept_symbol(std::string_view symbol);
  Result<void> expect_word(std::string_view upper);
  Result<void> expect_symbol(std::string_view symbol);
  [[nodiscard]] std::unexpected<Error> error(std::string message, Place place) const;
  [[nodiscard]] std::unexpected<Error> expected(std::string_view what) const;
  [[nodiscard]] Place since(std::uint32_t begin) const;
  Result<void> descend();

  // expressions
  Result<AstPtr> parse_expr(int loosest = 0);
  Result<AstPtr> parse_expr_levels(int loosest);
  Result<AstPtr> parse_prefix();
  Result<AstPtr> parse_primary();
  Result<AstPtr> parse_parenthesised();
  Result<AstPtr> parse_name();
  Result<AstPtr> parse_case();
  Result<AstPtr> parse_cast();
  Result<AstPtr> parse_extract();
  Result<AstPtr> parse_interval();
  Result<AstPtr> parse_call(std::string name, std::uint32_t begin);
  Result<void> parse_call_args(Ast& call);
  Result<void> parse_call_suffix(Ast& call);
  Result<AstPtr> parse_infix(AstPtr left, int level);
  Result<AstPtr> parse_predicate(AstPtr left, bool negated);
  Result<AstPtr> parse_is(AstPtr left);
  Result<AstPtr> parse_in(AstPtr left, bool negated);
  Result<std::string> parse_type();
  Result<std::unique_ptr<Window>> parse_window();
  [[nodiscard]] int infix_level() const;
  Result<AstPtr> finish(AstPtr ast, std::uint32_t begin);
  static AstPtr make(AstKind kind);

  // queries
  Result<QueryPtr> parse_query();
  Result<void> parse_with(Query& query);
  Result<std::unique_ptr<Body>> parse_body();
  Result<std::unique_ptr<Body>> parse_intersect();
  Result<std::unique_ptr<Body>> parse_term();
  Result<std::unique_ptr<Select>> parse_select();
  Result<SelectItem> parse_item();
  Result<void> parse_from(Select& select);
  Result<FromItem> parse_from_item();
  Result<Factor> parse_factor();
  Result<void> parse_alias(Factor& factor);
  Result<std::optional<JoinStep>> parse_join();
  Result<void> parse_tail(Query& query);
  Result<std::vector<OrderItem>> parse_order();
  Result<std::uint64_t> parse_count(std::string_view what);
  Result<std::string> parse_identifier(std::string_view what);
  [[nodiscard]] bool at_query() const;
  [[nodiscard]] bool at_name() const;
  Result<void> refuse_statements() const;

  std::vector<Token> tokens_;
  const SpanOf& span_of_;
  std::size_t pos_ = 0;
  std::uint32_t depth_ = 0;

  // One level of nesting while it lives.
  struct Level {
    explicit Level(Parser& p) : parser(p) { ++parser.depth_; }
    ~Level() { --parser.depth_; }
    Level(const Level&) = delete;
    Level& operator=(const Level&) = delete;
    Parser& parser;
  };
};

// Words that cannot be a bare name.
[[nodiscard]] bool is_reserved(std::string_view upper);

}  // namespace thalweg::sql
