#include <algorithm>
#include <charconv>

#include "pipeline_lang/sql/parser_impl.h"

namespace thalweg::sql {
namespace {

// Looser operators have smaller levels.
enum Level : int { kOr = 1, kAnd, kNot, kEquality, kOrder, kSum, kProduct, kConcat, kUnary, kPostfix };

}  // namespace

AstPtr Parser::make(AstKind kind) {
  auto ast = std::make_unique<Ast>();
  ast->kind = kind;
  return ast;
}

// Sets the place, and the depth from the children; too deep a tree is refused here, before anyone walks it.
Result<AstPtr> Parser::finish(AstPtr ast, std::uint32_t begin) {
  ast->place = since(begin);
  std::uint32_t deepest = 0;
  for (const AstPtr& arg : ast->args) deepest = std::max(deepest, arg->depth);
  if (ast->filter) deepest = std::max(deepest, ast->filter->depth);
  ast->depth = deepest + 1;
  if (ast->depth > kQueryDepthMax)
    return error("the query is nested deeper than " + std::to_string(kQueryDepthMax) + " levels", ast->place);
  return ast;
}

int Parser::infix_level() const {
  const Token& token = peek();
  if (token.kind == TokenKind::kSymbol) {
    const std::string& s = token.text;
    if (s == "=" || s == "==" || s == "<>" || s == "!=") return kEquality;
    if (s == "<" || s == "<=" || s == ">" || s == ">=") return kOrder;
    if (s == "+" || s == "-") return kSum;
    if (s == "*" || s == "/" || s == "%") return kProduct;
    if (s == "||") return kConcat;
    if (s == "::") return kPostfix;
    return 0;
  }
  if (token.kind != TokenKind::kWord) return 0;
  const std::string& w = token.upper;
  if (w == "OR") return kOr;
  if (w == "AND") return kAnd;
  if (w == "IS" || w == "IN" || w == "LIKE" || w == "ILIKE" || w == "BETWEEN" || w == "ISNULL" || w == "NOTNULL")
    return kEquality;
  if (w == "NOT" && is_any_word({"IN", "LIKE", "ILIKE", "BETWEEN"}, 1)) return kEquality;
  if (w == "DIV") return kProduct;
  return 0;
}

Result<AstPtr> Parser::parse_expr(int loosest) {
  Level level(*this);
  TRY(descend());
  return parse_expr_levels(loosest);
}

Result<AstPtr> Parser::parse_expr_levels(int loosest) {
  AstPtr left = TRY(parse_prefix());
  for (;;) {
    int level = infix_level();
    if (level == 0 || level < loosest) return left;
    left = TRY(parse_infix(std::move(left), level));
  }
}

Result<AstPtr> Parser::parse_prefix() {
  std::uint32_t begin = peek().place.begin;
  AstKind kind;
  int level = kUnary;
  if (accept_word("NOT")) {
    kind = AstKind::kNot;
    level = kNot;
  } else if (accept_symbol("-")) {
    kind = AstKind::kNegate;
  } else if (accept_symbol("+")) {
    kind = AstKind::kPlus;
  } else {
    return parse_primary();
  }
  AstPtr ast = make(kind);
  ast->args.push_back(TRY(parse_expr(level)));
  return finish(std::move(ast), begin);
}

Result<AstPtr> Parser::parse_infix(AstPtr left, int level) {
  std::uint32_t begin = left->place.begin;
  if (level == kPostfix) {
    take();
    AstPtr ast = make(AstKind::kCast);
    ast->args.push_back(std::move(left));
    ast->name = TRY(parse_type());
    return finish(std::move(ast), begin);
  }
  if (level == kOr || level == kAnd) {
    AstKind kind = level == kOr ? AstKind::kOr : AstKind::kAnd;
    take();
    AstPtr right = TRY(parse_expr(level + 1));
    if (left->kind != kind) {
      AstPtr chain = make(kind);
      chain->args.push_back(std::move(left));
      left = std::move(chain);
    }
    left->args.push_back(std::move(right));
    return finish(std::move(left), begin);
  }
  if (peek().kind == TokenKind::kWord && !is_word("DIV")) {
    bool negated = accept_word("NOT");
    return parse_predicate(std::move(left), negated);
  }
  std::string op = peek().kind == TokenKind::kWord ? peek().upper : peek().text;
  take();
  if (op == "!=") op = "<>";
  if (op == "==") op = "=";
  if (is_any_word({"ANY", "SOME", "ALL"}) && is_symbol("(", 1)) {
    bool any = !is_word("ALL");
    Place place = take().place;
    // `= ANY (query)` is IN and `<> ALL (query)` is NOT IN.
    if ((any && op == "=") || (!any && op == "<>")) {
      if (!is_symbol("(") || !(is_any_word({"SELECT", "WITH", "VALUES"}, 1))) return expected("a subquery");
      return parse_in(std::move(left), !any);
    }
    return error("`" + op + (any ? " ANY`" : " ALL`") + " is not supported; compare with a MIN or MAX subquery", place);
  }
  AstPtr ast = make(AstKind::kBinary);
  ast->name = std::move(op);
  ast->args.push_back(std::move(left));
  ast->args.push_back(TRY(parse_expr(level + 1)));
  return finish(std::move(ast), begin);
}

Result<AstPtr> Parser::parse_predicate(AstPtr left, bool negated) {
  std::uint32_t begin = left->place.begin;
  if (accept_word("ISNULL") || is_word("NOTNULL")) {
    AstPtr ast = make(AstKind::kIsNull);
    ast->negated = accept_word("NOTNULL");
    ast->args.push_back(std::move(left));
    return finish(std::move(ast), begin);
  }
  if (is_word("IS")) return parse_is(std::move(left));
  if (accept_word("IN")) return parse_in(std::move(left), negated);
  if (accept_word("BETWEEN")) {
    if (is_any_word({"SYMMETRIC", "ASYMMETRIC"})) return error("BETWEEN SYMMETRIC is not supported", peek().place);
    AstPtr ast = make(AstKind::kBetween);
    ast->negated = negated;
    ast->args.push_back(std::move(left));
    ast->args.push_back(TRY(parse_expr(kOrder)));
    TRY(expect_word("AND"));
    ast->args.push_back(TRY(parse_expr(kOrder)));
    return finish(std::move(ast), begin);
  }
  AstPtr ast = make(AstKind::kLike);
  ast->name = take().upper;
  ast->negated = negated;
  ast->args.push_back(std::move(left));
  ast->args.push_back(TRY(parse_expr(kOrder)));
  if (accept_word("ESCAPE")) ast->args.push_back(TRY(parse_expr(kOrder)));
  return finish(std::move(ast), begin);
}

Result<AstPtr> Parser::parse_is(AstPtr left) {
  std::uint32_t begin = left->place.begin;
  take();
  bool negated = accept_word("NOT");
  AstPtr ast = make(AstKind::kIs);
  if (accept_word("NULL")) {
    ast->kind = AstKind::kIsNull;
  } else if (is_any_word({"TRUE", "FALSE", "UNKNOWN"})) {
    ast->kind = AstKind::kIsTruth;
    ast->name = take().upper;
  } else if (accept_word("DISTINCT")) {
    TRY(expect_word("FROM"));
    negated = !negated;
  }
  ast->negated = negated;
  ast->args.push_back(std::move(left));
  if (ast->kind == AstKind::kIs) ast->args.push_back(TRY(parse_expr(kOrder)));
  return finish(std::move(ast), begin);
}

Result<AstPtr> Parser::parse_in(AstPtr left, bool negated) {
  std::uint32_t begin = left->place.begin;
  TRY(expect_symbol("("));
  AstPtr ast = make(AstKind::kInList);
  ast->negated = negated;
  ast->args.push_back(std::move(left));
  if (at_query()) {
    ast->kind = AstKind::kInQuery;
    ast->query = TRY(parse_query());
  } else if (!is_symbol(")")) {
    do ast->args.push_back(TRY(parse_expr()));
    while (accept_symbol(","));
  }
  TRY(expect_symbol(")"));
  return finish(std::move(ast), begin);
}

Result<AstPtr> Parser::parse_primary() {
  const Token& token = peek();
  std::uint32_t begin = token.place.begin;
  switch (token.kind) {
    case TokenKind::kText: {
      AstPtr ast = make(AstKind::kLiteral);
      ast->literal = Value::str(take().text);
      return finish(std::move(ast), begin);
    }
    case TokenKind::kInt: {
      std::int64_t number = 0;
      const std::string& text = token.text;
      auto [end, fault] = std::from_chars(text.data(), text.data() + text.size(), number);
      if (fault != std::errc{}) return error("the number does not fit into 64 bits", token.place);
      take();
      AstPtr ast = make(AstKind::kLiteral);
      ast->literal = Value::of(number);
      return finish(std::move(ast), begin);
    }
    case TokenKind::kFloat: {
      double number = 0;
      const std::string& text = token.text;
      auto [end, fault] = std::from_chars(text.data(), text.data() + text.size(), number);
      if (fault != std::errc{}) return error("the number is out of the range of a float", token.place);
      take();
      AstPtr ast = make(AstKind::kLiteral);
      ast->literal = Value::of(number);
      return finish(std::move(ast), begin);
    }
    case TokenKind::kSymbol:
      if (token.text == "(") return parse_parenthesised();
      if (token.text == "*") {
        take();
        return finish(make(AstKind::kStar), begin);
      }
      return expected("an expression");
    case TokenKind::kWord:
    case TokenKind::kQuotedName: return parse_name();
    case TokenKind::kEnd:
    case TokenKind::kBad: break;
  }
  return expected("an expression");
}

Result<AstPtr> Parser::parse_parenthesised() {
  std::uint32_t begin = take().place.begin;
  if (at_query()) {
    AstPtr ast = make(AstKind::kScalar);
    ast->query = TRY(parse_query());
    TRY(expect_symbol(")"));
    return finish(std::move(ast), begin);
  }
  AstPtr inner = TRY(parse_expr());
  if (accept_symbol(")")) {
    inner->place = since(begin);
    return inner;
  }
  if (!is_symbol(",")) return expected("`)`");
  AstPtr row = make(AstKind::kRow);
  row->args.push_back(std::move(inner));
  while (accept_symbol(",")) row->args.push_back(TRY(parse_expr()));
  TRY(expect_symbol(")"));
  return finish(std::move(row), begin);
}

Result<AstPtr> Parser::parse_name() {
  const Token& token = peek();
  std::uint32_t begin = token.place.begin;
  if (token.kind == TokenKind::kWord) {
    const std::string& word = token.upper;
    if (word == "NULL" || word == "TRUE" || word == "FALSE") {
      AstPtr ast = make(AstKind::kLiteral);
      if (word != "NULL") ast->literal = Value::of(word == "TRUE");
      take();
      return finish(std::move(ast), begin);
    }
    if (word == "CASE") return parse_case();
    if ((word == "CAST" || word == "TRY_CAST") && is_symbol("(", 1)) return parse_cast();
    if (word == "EXTRACT" && is_symbol("(", 1)) return parse_extract();
    if (word == "INTERVAL" && (peek(1).kind == TokenKind::kText || peek(1).kind == TokenKind::kInt))
      return parse_interval();
    if (word == "EXISTS" && is_symbol("(", 1)) {
      take();
      take();
      AstPtr ast = make(AstKind::kExists);
      ast->query = TRY(parse_query());
      TRY(expect_symbol(")"));
      return finish(std::move(ast), begin);
    }
    if (is_any_word({"DATE", "TIME", "TIMESTAMP", "TIMESTAMPTZ", "DATETIME"}) && peek(1).kind == TokenKind::kText) {
      AstPtr ast = make(AstKind::kTyped);
      ast->name = take().upper;
      ast->text = take().text;
      return finish(std::move(ast), begin);
    }
    if (is_symbol("(", 1) && (!is_reserved(word) || word == "LEFT" || word == "RIGHT")) {
      std::string name = take().upper;
      return parse_call(std::move(name), begin);
    }
    if (is_reserved(word)) return expected("an expression");
  }
  AstPtr ast = make(AstKind::kColumn);
  ast->quoted = token.kind == TokenKind::kQuotedName;
  ast->name = take().text;
  if (accept_symbol(".")) {
    ast->qualifier = std::move(ast->name);
    if (accept_symbol("*")) {
      ast->kind = AstKind::kStar;
    } else {
      ast->name = TRY(parse_identifier("a column name"));
      if (is_symbol(".")) return error("names have at most two parts: table and column", peek().place);
    }
  }
  return finish(std::move(ast), begin);
}

Result<AstPtr> Parser::parse_case() {
  std::uint32_t begin = take().place.begin;
  AstPtr ast = make(AstKind::kCase);
  if (!is_word("WHEN")) {
    ast->has_operand = true;
    ast->args.push_back(TRY(parse_expr()));
  }
  if (!is_word("WHEN")) return expected("WHEN");
  while (accept_word("WHEN")) {
    ast->args.push_back(TRY(parse_expr()));
    TRY(expect_word("THEN"));
    ast->args.push_back(TRY(parse_expr()));
  }
  if (accept_word("ELSE")) {
    ast->has_else = true;
    ast->args.push_back(TRY(parse_expr()));
  }
  TRY(expect_word("END"));
  return finish(std::move(ast), begin);
}

Result<AstPtr> Parser::parse_cast() {
  std::uint32_t begin = take().place.begin;
  take();
  AstPtr ast = make(AstKind::kCast);
  ast->args.push_back(TRY(parse_expr()));
  TRY(expect_word("AS"));
  ast->name = TRY(parse_type());
  TRY(expect_symbol(")"));
  return finish(std::move(ast), begin);
}

Result<std::string> Parser::parse_type() {
  if (peek().kind == TokenKind::kText || peek().kind == TokenKind::kQuotedName) return take().text;
  if (peek().kind != TokenKind::kWord) return expected("a type");
  std::string type = take().text;
  std::string upper = upper_case(type);
  if (upper == "DOUBLE" && accept_word("PRECISION")) type += " precision";
  if (upper == "CHARACTER" && accept_word("VARYING")) type += " varying";
  if (accept_symbol("(")) {
    do {
      if (peek().kind != TokenKind::kInt) return expected("a size");
      take();
    } while (accept_symbol(","));
    TRY(expect_symbol(")"));
  }
  if (is_any_word({"WITH", "WITHOUT"}) && is_word("TIME", 1) && is_word("ZONE", 2)) {
    type += take().upper == "WITH" ? " with time zone" : " without time zone";
    take();
    take();
  }
  return type;
}

Result<AstPtr> Parser::parse_extract() {
  std::uint32_t begin = take().place.begin;
  take();
  AstPtr ast = make(AstKind::kExtract);
  if (peek().kind != TokenKind::kWord && peek().kind != TokenKind::kText) return expected("a field such as YEAR");
  ast->name = upper_case(take().text);
  TRY(expect_word("FROM"));
  ast->args.push_back(TRY(parse_expr()));
  TRY(expect_symbol(")"));
  return finish(std::move(ast), begin);
}

Result<AstPtr> Parser::parse_interval() {
  std::uint32_t begin = take().place.begin;
  AstPtr ast = make(AstKind::kInterval);
  ast->text = take().text;
  static constexpr std::string_view kUnits[] = {"NANOSECOND", "MICROSECOND", "MILLISECOND", "SECOND", "MINUTE",
                                                "HOUR",       "DAY",         "WEEK",        "MONTH",  "YEAR"};
  for (std::string_view unit : kUnits) {
    if (!is_word(unit) && !is_word(std::string(unit) + "S")) continue;
    ast->text += " " + upper_case(take().text);
    break;
  }
  return finish(std::move(ast), begin);
}

Result<AstPtr> Parser::parse_call(std::string name, std::uint32_t begin) {
  AstPtr ast = make(AstKind::kCall);
  ast->name = std::move(name);
  take();
  TRY(parse_call_args(*ast));
  TRY(expect_symbol(")"));
  TRY(parse_call_suffix(*ast));
  return finish(std::move(ast), begin);
}

// The spellings with words between the arguments become plain argument lists.
Result<void> Parser::parse_call_args(Ast& call) {
  if (is_symbol(")")) return {};
  if (call.name == "TRIM" && is_any_word({"LEADING", "TRAILING", "BOTH", "FROM"})) {
    std::string side = is_word("FROM") ? "BOTH" : take().upper;
    call.name = side == "LEADING" ? "LTRIM" : side == "TRAILING" ? "RTRIM" : "TRIM";
    AstPtr chars;
    if (!is_word("FROM")) chars = TRY(parse_expr());
    if (chars && is_symbol(")")) {
      call.args.push_back(std::move(chars));
      return {};
    }
    TRY(expect_word("FROM"));
    call.args.push_back(TRY(parse_expr()));
    if (chars) call.args.push_back(std::move(chars));
    return {};
  }
  if (call.name == "POSITION") {
    call.args.push_back(TRY(parse_expr(kOrder)));
    if (!accept_word("IN")) TRY(expect_symbol(","));
    call.args.push_back(TRY(parse_expr()));
    return {};
  }
  if (accept_word("DISTINCT"))
    call.distinct = true;
  else if (is_word("ALL") && !is_symbol(",", 1))
    take();
  if (is_symbol("*") && is_symbol(")", 1)) {
    take();
    call.star = true;
    return {};
  }
  call.args.push_back(TRY(parse_expr()));
  if (call.name == "TRIM" && accept_word("FROM")) {
    call.args.insert(call.args.begin(), TRY(parse_expr()));
    return {};
  }
  if ((call.name == "SUBSTRING" || call.name == "SUBSTR") && accept_word("FROM")) {
    call.args.push_back(TRY(parse_expr()));
    if (accept_word("FOR")) call.args.push_back(TRY(parse_expr()));
    return {};
  }
  while (accept_symbol(",")) call.args.push_back(TRY(parse_expr()));
  if (is_word("ORDER") && is_word("BY", 1)) call.order = TRY(parse_order());
  return {};
}

Result<void> Parser::parse_call_suffix(Ast& call) {
  if (is_word("WITHIN") && is_word("GROUP", 1)) return error("WITHIN GROUP is not supported", peek().place);
  if (is_word("FILTER") && is_symbol("(", 1)) {
    take();
    take();
    TRY(expect_word("WHERE"));
    call.filter = TRY(parse_expr());
    TRY(expect_symbol(")"));
  }
  if (accept_word("OVER")) call.window = TRY(parse_window());
  return {};
}

Result<std::unique_ptr<Window>> Parser::parse_window() {
  auto window = std::make_unique<Window>();
  if (!is_symbol("(")) return error("named windows are not supported; write OVER (…)", peek().place);
  take();
  if (accept_word("PARTITION")) {
    TRY(expect_word("BY"));
    do window->partition.push_back(TRY(parse_expr()));
    while (accept_symbol(","));
  }
  if (is_word("ORDER")) window->order = TRY(parse_order());
  if (is_any_word({"ROWS", "RANGE", "GROUPS"})) return error("window frames are not supported", peek().place);
  TRY(expect_symbol(")"));
  return window;
}

}  // namespace thalweg::sql
