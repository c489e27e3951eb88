#include "pipeline_lang/sql/parser.h"

#include <algorithm>
#include <array>
#include <charconv>

#include "pipeline_lang/sql/parser_impl.h"

namespace thalweg::sql {
namespace {

constexpr std::array<std::string_view, 50> kReserved = {
    "ALL",   "AND",      "AS",    "ASC",     "ASOF",   "BETWEEN",   "BY",     "CASE", "CAST",  "CROSS",
    "DESC",  "DISTINCT", "ELSE",  "END",     "EXCEPT", "EXISTS",    "FETCH",  "FOR",  "FROM",  "FULL",
    "GROUP", "HAVING",   "ILIKE", "IN",      "INNER",  "INTERSECT", "INTO",   "IS",   "JOIN",  "LEFT",
    "LIKE",  "LIMIT",    "MINUS", "NATURAL", "NOT",    "NULL",      "OFFSET", "ON",   "OR",    "ORDER",
    "OUTER", "QUALIFY",  "RIGHT", "SELECT",  "THEN",   "UNION",     "USING",  "WHEN", "WHERE", "WITH"};

constexpr std::array<std::string_view, 10> kDml = {"INSERT",  "UPDATE",   "DELETE", "MERGE", "UPSERT",
                                                   "REPLACE", "TRUNCATE", "COPY",   "LOAD",  "CALL"};
constexpr std::array<std::string_view, 22> kDdl = {
    "CREATE", "DROP",    "ALTER",  "GRANT",  "REVOKE",  "COMMENT", "BEGIN",   "COMMIT",  "ROLLBACK", "SET",    "PRAGMA",
    "VACUUM", "ANALYZE", "ATTACH", "DETACH", "EXPLAIN", "USE",     "DECLARE", "EXECUTE", "REINDEX",  "RENAME", "SHOW"};

template <std::size_t n>
bool has(const std::array<std::string_view, n>& words, std::string_view word) {
  return std::find(words.begin(), words.end(), word) != words.end();
}

}  // namespace

bool is_reserved(std::string_view upper) { return has(kReserved, upper); }

// ---------------------------------------------------------------- tokens

bool Parser::is_any_word(std::initializer_list<std::string_view> words, std::size_t ahead) const {
  return std::any_of(words.begin(), words.end(), [&](std::string_view word) { return is_word(word, ahead); });
}

bool Parser::accept_word(std::string_view upper) {
  if (!is_word(upper)) return false;
  take();
  return true;
}

bool Parser::accept_symbol(std::string_view symbol) {
  if (!is_symbol(symbol)) return false;
  take();
  return true;
}

std::unexpected<Error> Parser::error(std::string message, Place place) const {
  return fail(Code::kInvalidPipeline, std::move(message), span_of_(place));
}

std::unexpected<Error> Parser::expected(std::string_view what) const {
  const Token& token = peek();
  std::string found;
  switch (token.kind) {
    case TokenKind::kEnd: found = "the end of the query"; break;
    case TokenKind::kBad: found = token.text; break;
    case TokenKind::kText: found = "the text '" + token.text.substr(0, 40) + "'"; break;
    case TokenKind::kWord:
    case TokenKind::kQuotedName:
    case TokenKind::kInt:
    case TokenKind::kFloat:
    case TokenKind::kSymbol: found = "`" + token.text.substr(0, 40) + "`"; break;
  }
  return error("expected " + std::string(what) + ", found " + found, token.place);
}

Result<void> Parser::expect_word(std::string_view upper) {
  if (accept_word(upper)) return {};
  return expected(upper);
}

Result<void> Parser::expect_symbol(std::string_view symbol) {
  if (accept_symbol(symbol)) return {};
  return expected("`" + std::string(symbol) + "`");
}

Place Parser::since(std::uint32_t begin) const {
  return {begin, pos_ == 0 ? begin : std::max(begin, tokens_[pos_ - 1].place.end)};
}

Result<void> Parser::descend() {
  if (depth_ <= kQueryDepthMax) return {};
  return error("the query is nested deeper than " + std::to_string(kQueryDepthMax) + " levels", peek().place);
}

Result<std::string> Parser::parse_identifier(std::string_view what) {
  if (!at_name()) return expected(what);
  return take().text;
}

bool Parser::at_name() const {
  const Token& token = peek();
  if (token.kind == TokenKind::kQuotedName) return true;
  return token.kind == TokenKind::kWord && !is_reserved(token.upper);
}

// A query, or parentheses that begin with one.
bool Parser::at_query() const {
  std::size_t ahead = 0;
  while (is_symbol("(", ahead)) ++ahead;
  if (ahead > 0) {
    // `((SELECT 1) + 2)` begins alike and is an expression: a query goes on after its parentheses as queries do.
    if (!is_any_word({"SELECT", "WITH", "VALUES"}, ahead)) return false;
    std::size_t open = ahead;
    std::size_t at = ahead;
    while (open > 0 && pos_ + at + 1 < tokens_.size()) {
      if (is_symbol("(", at)) ++open;
      if (is_symbol(")", at)) --open;
      ++at;
      if (open == 0) break;
    }
    return is_any_word({"UNION", "INTERSECT", "EXCEPT", "ORDER", "LIMIT"}, at) || is_symbol(")", at);
  }
  return is_any_word({"SELECT", "WITH"}) || (is_word("VALUES") && is_symbol("(", 1));
}

// ---------------------------------------------------------------- queries

Result<void> Parser::refuse_statements() const {
  const Token& token = peek();
  if (token.kind != TokenKind::kWord) return {};
  if (has(kDml, token.upper))
    return error("`" + token.upper + "` changes data (DML); a query can only SELECT", token.place);
  if (has(kDdl, token.upper))
    return error("`" + token.upper + "` is a statement of DDL or administration; a query can only SELECT", token.place);
  return {};
}

Result<QueryPtr> Parser::parse_all() {
  if (tokens_.back().kind == TokenKind::kBad) return error(tokens_.back().text, tokens_.back().place);
  TRY(refuse_statements());
  QueryPtr query = TRY(parse_query());
  bool ended = false;
  while (accept_symbol(";")) ended = true;
  if (peek().kind == TokenKind::kEnd) return query;
  TRY(refuse_statements());
  if (ended) return error("a query is one statement; another one begins here", peek().place);
  return expected("the end of the query");
}

Result<QueryPtr> Parser::parse_query() {
  Level level(*this);
  TRY(descend());
  auto query = std::make_unique<Query>();
  std::uint32_t begin = peek().place.begin;
  if (accept_word("WITH")) TRY(parse_with(*query));
  query->body = TRY(parse_body());
  TRY(parse_tail(*query));
  query->place = since(begin);
  return query;
}

Result<void> Parser::parse_with(Query& query) {
  if (is_word("RECURSIVE"))
    return error("WITH RECURSIVE is not supported; `!iterate` computes fixpoints", peek().place);
  do {
    Cte cte;
    cte.place = peek().place;
    cte.name = TRY(parse_identifier("a name for the query"));
    if (accept_symbol("(")) {
      do cte.columns.push_back(TRY(parse_identifier("a column name")));
      while (accept_symbol(","));
      TRY(expect_symbol(")"));
    }
    TRY(expect_word("AS"));
    if (accept_word("NOT"))
      TRY(expect_word("MATERIALIZED"));
    else
      accept_word("MATERIALIZED");
    TRY(expect_symbol("("));
    TRY(refuse_statements());
    cte.query = TRY(parse_query());
    TRY(expect_symbol(")"));
    query.ctes.push_back(std::move(cte));
  } while (accept_symbol(","));
  return refuse_statements();
}

Result<std::unique_ptr<Body>> Parser::parse_body() {
  std::uint32_t begin = peek().place.begin;
  auto chain = std::make_unique<Body>();
  chain->kind = Body::Kind::kChain;
  chain->parts.push_back(TRY(parse_intersect()));
  while (is_any_word({"UNION", "EXCEPT", "MINUS"})) {
    bool is_union = take().upper == "UNION";
    bool all = accept_word("ALL");
    if (!all) accept_word("DISTINCT");
    chain->ops.push_back(is_union ? (all ? SetOp::kUnionAll : SetOp::kUnion)
                                  : (all ? SetOp::kExceptAll : SetOp::kExcept));
    chain->parts.push_back(TRY(parse_intersect()));
  }
  if (chain->ops.empty()) return std::move(chain->parts.front());
  chain->place = since(begin);
  return chain;
}

Result<std::unique_ptr<Body>> Parser::parse_intersect() {
  std::uint32_t begin = peek().place.begin;
  auto chain = std::make_unique<Body>();
  chain->kind = Body::Kind::kChain;
  chain->parts.push_back(TRY(parse_term()));
  while (accept_word("INTERSECT")) {
    bool all = accept_word("ALL");
    if (!all) accept_word("DISTINCT");
    chain->ops.push_back(all ? SetOp::kIntersectAll : SetOp::kIntersect);
    chain->parts.push_back(TRY(parse_term()));
  }
  if (chain->ops.empty()) return std::move(chain->parts.front());
  chain->place = since(begin);
  return chain;
}

Result<std::unique_ptr<Body>> Parser::parse_term() {
  auto body = std::make_unique<Body>();
  std::uint32_t begin = peek().place.begin;
  if (accept_symbol("(")) {
    body->kind = Body::Kind::kQuery;
    body->query = TRY(parse_query());
    TRY(expect_symbol(")"));
  } else if (accept_word("VALUES")) {
    body->kind = Body::Kind::kValues;
    do {
      TRY(expect_symbol("("));
      auto& row = body->rows.emplace_back();
      do row.push_back(TRY(parse_expr()));
      while (accept_symbol(","));
      TRY(expect_symbol(")"));
    } while (accept_symbol(","));
  } else if (is_word("SELECT")) {
    body->select = TRY(parse_select());
  } else {
    TRY(refuse_statements());
    return expected("SELECT");
  }
  body->place = since(begin);
  return body;
}

Result<std::unique_ptr<Select>> Parser::parse_select() {
  std::uint32_t begin = take().place.begin;
  auto select = std::make_unique<Select>();
  if (accept_word("DISTINCT")) {
    select->distinct = true;
    if (is_word("ON")) return error("DISTINCT ON is not supported; use ROW_NUMBER() OVER (…)", peek().place);
  } else {
    accept_word("ALL");
  }
  if (is_word("TOP") && peek(1).kind == TokenKind::kInt) return error("TOP is not supported; use LIMIT", peek().place);
  do select->items.push_back(TRY(parse_item()));
  while (accept_symbol(","));
  if (is_word("INTO")) return error("`SELECT INTO` creates a table (DDL); a query can only SELECT", peek().place);
  if (accept_word("FROM")) TRY(parse_from(*select));
  if (accept_word("WHERE")) select->where = TRY(parse_expr());
  if (accept_word("GROUP")) {
    TRY(expect_word("BY"));
    if (is_any_word({"ROLLUP", "CUBE", "GROUPING"}) && (is_symbol("(", 1) || is_word("SETS", 1)))
      return error("`" + peek().upper + "` is not supported", peek().place);
    select->grouped = true;
    do select->group_by.push_back(TRY(parse_expr()));
    while (accept_symbol(","));
  }
  if (accept_word("HAVING")) select->having = TRY(parse_expr());
  if (is_word("WINDOW") && peek(1).kind == TokenKind::kWord)
    return error("named windows are not supported; write OVER (…)", peek().place);
  if (accept_word("QUALIFY")) select->qualify = TRY(parse_expr());
  select->place = since(begin);
  return select;
}

Result<SelectItem> Parser::parse_item() {
  SelectItem item;
  std::uint32_t begin = peek().place.begin;
  item.expr = TRY(parse_expr());
  if (accept_word("AS")) {
    bool named =
        peek().kind == TokenKind::kText || peek().kind == TokenKind::kQuotedName || peek().kind == TokenKind::kWord;
    if (!named || is_any_word({"FROM"})) return expected("a name after AS");
    if (peek().text.empty()) return error("a column name cannot be empty", peek().place);
    item.alias = take().text;
  } else if (at_name()) {
    item.alias = take().text;
  }
  item.place = since(begin);
  return item;
}

Result<void> Parser::parse_from(Select& select) {
  std::size_t tables = 0;
  do {
    select.from.push_back(TRY(parse_from_item()));
    tables += select.from.back().steps.size();
  } while (accept_symbol(","));
  if (tables > kTablesMax)
    return error("more than " + std::to_string(kTablesMax) + " tables in one FROM",
                 select.from.back().steps.back().place);
  return {};
}

Result<FromItem> Parser::parse_from_item() {
  Level level(*this);
  TRY(descend());
  FromItem item;
  JoinStep first;
  first.factor = TRY(parse_factor());
  first.place = first.factor.place;
  item.steps.push_back(std::move(first));
  for (;;) {
    std::optional<JoinStep> step = TRY(parse_join());
    if (!step) return item;
    item.steps.push_back(std::move(*step));
  }
}

Result<std::optional<JoinStep>> Parser::parse_join() {
  JoinStep step;
  std::uint32_t begin = peek().place.begin;
  if (is_word("NATURAL")) return error("NATURAL JOIN is not supported; name the columns with USING (…)", peek().place);
  if (accept_word("CROSS")) {
    step.kind = JoinKind::kCross;
  } else if (accept_word("INNER")) {
    step.kind = JoinKind::kInner;
  } else if (is_any_word({"LEFT", "RIGHT", "FULL"})) {
    std::string word = take().upper;
    step.kind = word == "LEFT" ? JoinKind::kLeft : word == "RIGHT" ? JoinKind::kRight : JoinKind::kFull;
    accept_word("OUTER");
    if (is_any_word({"SEMI", "ANTI"}))
      return error("`" + peek().upper + " JOIN` is not supported; use EXISTS", peek().place);
  } else if (accept_word("ASOF")) {
    step.kind = accept_word("LEFT") ? JoinKind::kAsofLeft : JoinKind::kAsof;
    if (step.kind == JoinKind::kAsofLeft)
      accept_word("OUTER");
    else
      accept_word("INNER");
  } else if (is_word("OUTER") && is_word("JOIN", 1)) {
    return error("`OUTER JOIN` needs LEFT, RIGHT or FULL", peek().place);
  } else if (is_word("JOIN")) {
    step.kind = JoinKind::kInner;
  } else {
    return std::optional<JoinStep>();
  }
  if (step.kind == JoinKind::kLeft && accept_word("ASOF")) step.kind = JoinKind::kAsofLeft;
  TRY(expect_word("JOIN"));
  step.place = since(begin);
  step.factor = TRY(parse_factor());
  if (accept_word("ON")) {
    step.on = TRY(parse_expr());
  } else if (accept_word("USING")) {
    TRY(expect_symbol("("));
    do {
      step.using_places.push_back(peek().place);
      step.using_columns.push_back(TRY(parse_identifier("a column name")));
    } while (accept_symbol(","));
    TRY(expect_symbol(")"));
  }
  if (step.kind == JoinKind::kCross && (step.on || !step.using_columns.empty()))
    return error("CROSS JOIN takes no condition", step.place);
  return std::optional<JoinStep>(std::move(step));
}

Result<Factor> Parser::parse_factor() {
  Factor factor;
  std::uint32_t begin = peek().place.begin;
  if (is_word("LATERAL")) return error("LATERAL is not supported", peek().place);
  if (is_symbol("(")) {
    if (at_query() || is_any_word({"SELECT", "WITH"}, 1) || (is_word("VALUES", 1) && is_symbol("(", 2))) {
      take();
      factor.kind = Factor::Kind::kQuery;
      factor.query = TRY(parse_query());
    } else {
      take();
      factor.kind = Factor::Kind::kJoin;
      factor.join = std::make_unique<FromItem>(TRY(parse_from_item()));
    }
    TRY(expect_symbol(")"));
  } else {
    // TABLE(TUMBLE(…)) is TUMBLE(…).
    if (is_word("TABLE") && is_symbol("(", 1)) {
      take();
      take();
      Level level(*this);
      TRY(descend());
      factor = TRY(parse_factor());
      TRY(expect_symbol(")"));
      TRY(parse_alias(factor));
      return factor;
    }
    factor.name = TRY(parse_identifier("a table"));
    if (is_symbol(".")) return error("tables have no schema or catalogue here", peek().place);
    if (accept_symbol("(")) {
      factor.kind = Factor::Kind::kFunction;
      factor.name = upper_case(factor.name);
      while (!is_symbol(")")) {
        if (is_word("TABLE") && peek(1).kind != TokenKind::kSymbol) take();  // TUMBLE(TABLE t, …)
        bool descriptor = is_word("DESCRIPTOR") && is_symbol("(", 1);
        if (descriptor) take(), take();
        factor.args.push_back(TRY(parse_expr()));
        if (descriptor) TRY(expect_symbol(")"));
        if (accept_word("PARTITION")) {
          TRY(expect_word("BY"));
          // The list ends where the time begins: only the first may be bare, more stand in parentheses.
          if (accept_symbol("(")) {
            do factor.partition.push_back(TRY(parse_expr()));
            while (accept_symbol(","));
            TRY(expect_symbol(")"));
          } else {
            factor.partition.push_back(TRY(parse_expr()));
          }
        }
        if (!accept_symbol(",")) break;
      }
      TRY(expect_symbol(")"));
    }
  }
  factor.place = since(begin);
  TRY(parse_alias(factor));
  return factor;
}

Result<void> Parser::parse_alias(Factor& factor) {
  if (accept_word("AS")) {
    if (peek().kind == TokenKind::kText && !peek().text.empty())
      factor.alias = take().text;
    else
      factor.alias = TRY(parse_identifier("a name for the table"));
  } else if (at_name()) {
    factor.alias = take().text;
  }
  if (factor.alias.empty() || !accept_symbol("(")) return {};
  do factor.column_aliases.push_back(TRY(parse_identifier("a column name")));
  while (accept_symbol(","));
  return expect_symbol(")");
}

Result<void> Parser::parse_tail(Query& query) {
  if (is_word("ORDER")) query.order = TRY(parse_order());
  bool more = true;
  while (more) {
    more = false;
    if (!query.limit && accept_word("LIMIT")) {
      more = true;
      if (accept_word("ALL") || accept_word("NULL")) {
      } else {
        query.limit = TRY(parse_count("LIMIT"));
        if (accept_symbol(",")) {  // LIMIT offset, count
          query.offset = query.limit;
          query.limit = TRY(parse_count("LIMIT"));
        }
      }
    } else if (!query.offset && accept_word("OFFSET")) {
      more = true;
      query.offset = TRY(parse_count("OFFSET"));
      if (!accept_word("ROWS")) accept_word("ROW");
    } else if (!query.limit && accept_word("FETCH")) {
      more = true;
      if (!accept_word("FIRST")) TRY(expect_word("NEXT"));
      query.limit = peek().kind == TokenKind::kInt ? TRY(parse_count("FETCH")) : 1;
      if (!accept_word("ROWS")) TRY(expect_word("ROW"));
      if (is_word("WITH")) return error("WITH TIES is not supported", peek().place);
      TRY(expect_word("ONLY"));
    }
  }
  if (is_word("FOR") || is_any_word({"LOCK"}))
    return error("`" + peek().upper + "` locks rows; a query can only SELECT", peek().place);
  return {};
}

Result<std::uint64_t> Parser::parse_count(std::string_view what) {
  const Token& token = peek();
  std::uint64_t count = 0;
  if (token.kind != TokenKind::kInt) return expected("a whole number after " + std::string(what));
  auto [end, fault] = std::from_chars(token.text.data(), token.text.data() + token.text.size(), count);
  if (fault != std::errc{}) return error("the number is too large", token.place);
  take();
  return count;
}

Result<std::vector<OrderItem>> Parser::parse_order() {
  TRY(expect_word("ORDER"));
  TRY(expect_word("BY"));
  std::vector<OrderItem> items;
  do {
    OrderItem item;
    item.expr = TRY(parse_expr());
    if (accept_word("DESC"))
      item.descending = true;
    else
      accept_word("ASC");
    if (accept_word("NULLS")) {
      bool first = accept_word("FIRST");
      if (!first) TRY(expect_word("LAST"));
      item.nulls = first ? NullsOrder::kFirst : NullsOrder::kLast;
    }
    items.push_back(std::move(item));
  } while (accept_symbol(","));
  return items;
}

Result<QueryPtr> parse_query(std::string_view text, const SpanOf& span_of) {
  if (text.size() > kQueryBytesMax)
    return fail(Code::kTooLarge, "the query is longer than " + std::to_string(kQueryBytesMax) + " bytes",
                span_of({0, 0}));
  return Parser(tokenize(text), span_of).parse_all();
}

}  // namespace thalweg::sql
