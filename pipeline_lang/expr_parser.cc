// Precedence climbing over the tokens of one expression.
#include <algorithm>
#include <array>
#include <limits>
#include <optional>
#include <set>
#include <string>

#include "pipeline_lang/expr_lexer.h"

namespace thalweg::lang {
namespace {

// Binding strengths of the binary operators between comparison and unary minus; all but `**` lean left.
int binary_strength(std::string_view op) {
  if (op == "|") return 1;
  if (op == "^") return 2;
  if (op == "&") return 3;
  if (op == "<<" || op == ">>") return 4;
  if (op == "+" || op == "-") return 5;
  if (op == "*" || op == "/" || op == "//" || op == "%" || op == "@") return 6;
  return 0;
}

bool is_comparison(std::string_view op) {
  constexpr std::array<std::string_view, 8> kOps = {"==", "=", "!=", "<>", "<", "<=", ">", ">="};
  for (const auto known : kOps)
    if (op == known) return true;
  return false;
}

using Parsed = std::expected<SyntaxPtr, SyntaxError>;

// As TRY, for this file's error type.
#define PARSE(expression)                                             \
  __extension__({                                                     \
    auto parsed_ = (expression);                                      \
    if (!parsed_) return std::unexpected(std::move(parsed_).error()); \
    std::move(*parsed_);                                              \
  })

class Parser {
 public:
  Parser(std::string_view text, std::vector<Token> tokens) : text_(text), tokens_(std::move(tokens)) {}

  Parsed run() {
    if (peek().kind == TokenKind::kEnd) return fail_at(peek(), "an expression is expected");
    SyntaxPtr out = PARSE(expression());
    if (peek().kind != TokenKind::kEnd) return fail_at(peek(), unexpected_text());
    return out;
  }

 private:
  // One level of nesting; `too_deep` once there are too many.
  class Level {
   public:
    explicit Level(int& depth) : depth_(depth) { ++depth_; }
    ~Level() { --depth_; }
    Level(const Level&) = delete;
    Level& operator=(const Level&) = delete;
    [[nodiscard]] bool too_deep() const { return depth_ > kExprDepthMax; }

   private:
    int& depth_;
  };

  const Token& peek(std::size_t ahead = 0) const { return tokens_[std::min(at_ + ahead, tokens_.size() - 1)]; }
  const Token& take() {
    const Token& token = peek();
    if (at_ + 1 < tokens_.size()) ++at_;
    return token;
  }
  bool is_symbol(std::string_view symbol, std::size_t ahead = 0) const {
    return peek(ahead).kind == TokenKind::kSymbol && peek(ahead).text == symbol;
  }
  bool is_word(std::string_view word, std::size_t ahead = 0) const {
    return peek(ahead).kind == TokenKind::kWord && peek(ahead).text == word;
  }
  bool take_symbol(std::string_view symbol) {
    if (!is_symbol(symbol)) return false;
    take();
    return true;
  }

  static std::unexpected<SyntaxError> fail_at(const Token& token, std::string message, std::string hint = {}) {
    return std::unexpected(SyntaxError{std::move(message), token.begin, token.end, std::move(hint)});
  }
  std::string unexpected_text() const {
    const Token& token = peek();
    if (token.kind == TokenKind::kEnd) return "the expression ends too early";
    return "unexpected `" + std::string(text_.substr(token.begin, token.end - token.begin)) + "`";
  }
  std::unexpected<SyntaxError> too_deep() const {
    return fail_at(peek(), "the expression is nested too deeply (200 levels)");
  }

  SyntaxPtr make(SyntaxKind kind, std::uint32_t begin, std::string text = {}) const {
    auto out = std::make_unique<Syntax>();
    out->kind = kind;
    out->begin = begin;
    out->end = at_ > 0 ? tokens_[at_ - 1].end : begin;
    out->text = std::move(text);
    return out;
  }
  // Bounds the height of the tree: chains like `a + b + …` grow it without nesting in the parser.
  Parsed seal(SyntaxPtr out) const {
    for (const SyntaxPtr& child : out->children) out->height = std::max(out->height, child->height + 1);
    if (out->height > kExprHeightMax) return too_deep();
    return out;
  }
  template <class... Children>
  Parsed join(SyntaxKind kind, std::uint32_t begin, std::string text, Children&&... children) const {
    SyntaxPtr out = make(kind, begin, std::move(text));
    (out->children.push_back(std::forward<Children>(children)), ...);
    return seal(std::move(out));
  }

  // `a if condition else b`
  Parsed expression() {
    const Level level(depth_);
    if (level.too_deep()) return too_deep();
    if (is_word("if") || is_word("lambda")) return fail_at(peek(), unexpected_text(), "write `a if condition else b`");
    SyntaxPtr then = PARSE(disjunction());
    if (!is_word("if")) return then;
    take();
    SyntaxPtr condition = PARSE(disjunction());
    if (!is_word("else")) return fail_at(peek(), "`else` is expected", "write `a if condition else b`");
    take();
    SyntaxPtr otherwise = PARSE(expression());
    const std::uint32_t begin = then->begin;
    return join(SyntaxKind::kIfElse, begin, {}, std::move(condition), std::move(then), std::move(otherwise));
  }

  Parsed disjunction() {
    SyntaxPtr left = PARSE(conjunction());
    while (is_word("or")) {
      take();
      SyntaxPtr right = PARSE(conjunction());
      left = PARSE(join(SyntaxKind::kBinary, left->begin, "or", std::move(left), std::move(right)));
    }
    return left;
  }

  Parsed conjunction() {
    SyntaxPtr left = PARSE(negation());
    while (is_word("and")) {
      take();
      SyntaxPtr right = PARSE(negation());
      left = PARSE(join(SyntaxKind::kBinary, left->begin, "and", std::move(left), std::move(right)));
    }
    return left;
  }

  Parsed negation() {
    if (!is_word("not")) return comparison();
    const Level level(depth_);
    if (level.too_deep()) return too_deep();
    const std::uint32_t begin = take().begin;
    SyntaxPtr operand = PARSE(negation());
    return join(SyntaxKind::kUnary, begin, "not", std::move(operand));
  }

  // The comparison operator that comes next, consumed; empty if there is none.
  std::string take_comparison() {
    if (peek().kind == TokenKind::kSymbol && is_comparison(peek().text)) {
      const std::string op = take().text;
      return op == "=" ? "==" : op == "<>" ? "!=" : op;
    }
    if (is_word("in")) {
      take();
      return "in";
    }
    if (is_word("not") && is_word("in", 1)) {
      take();
      take();
      return "not in";
    }
    if (is_word("is")) {
      take();
      if (!is_word("not")) return "is";
      take();
      return "is not";
    }
    return {};
  }

  Parsed comparison() {
    SyntaxPtr left = PARSE(binary(1));
    const std::string op = take_comparison();
    if (op.empty()) return left;
    SyntaxPtr out;
    if (op == "is" || op == "is not") {
      if (!is_word("None") && !is_word("null"))
        return fail_at(peek(), "`is` is followed by `None` or `not None` only", "compare values with `==`");
      take();
      out = PARSE(join(SyntaxKind::kIsNone, left->begin, {}, std::move(left)));
      out->negated = op == "is not";
    } else {
      SyntaxPtr right = PARSE(binary(1));
      out = PARSE(join(SyntaxKind::kCompare, left->begin, op, std::move(left), std::move(right)));
    }
    const Token next = peek();
    if (!take_comparison().empty()) return fail_at(next, "comparisons do not chain", "write `a < b and b < c`");
    return out;
  }

  Parsed binary(int strength_min) {
    const Level level(depth_);
    if (level.too_deep()) return too_deep();
    SyntaxPtr left = PARSE(unary());
    while (true) {
      if (peek().kind != TokenKind::kSymbol) return left;
      const std::string op = peek().text;
      const int strength = binary_strength(op);
      if (strength == 0 || strength < strength_min) return left;
      take();
      SyntaxPtr right = PARSE(binary(strength + 1));
      left = PARSE(join(SyntaxKind::kBinary, left->begin, op, std::move(left), std::move(right)));
    }
  }

  Parsed unary() {
    if (!is_symbol("-") && !is_symbol("~") && !is_symbol("+")) return power();
    const Level level(depth_);
    if (level.too_deep()) return too_deep();
    const Token op = take();
    if (op.text == "-" && peek().kind == TokenKind::kInt && peek().is_min) {
      take();
      SyntaxPtr out = make(SyntaxKind::kLiteral, op.begin);
      out->value = Value::of(std::numeric_limits<std::int64_t>::min());
      return postfix(std::move(out));
    }
    SyntaxPtr operand = PARSE(unary());
    if (op.text == "+") return operand;
    // `-1` is a literal, so that constants are seen as such.
    if (op.text == "-" && operand->kind == SyntaxKind::kLiteral) {
      const Value& value = operand->value;
      if (value.tag() == Value::Tag::kInt && value.as_int() != std::numeric_limits<std::int64_t>::min())
        operand->value = Value::of(-value.as_int());
      else if (value.tag() == Value::Tag::kFloat)
        operand->value = Value::of(-value.as_float());
      else
        return fail_at(op, "`-` before something that is no number");
      operand->begin = op.begin;
      return operand;
    }
    return join(SyntaxKind::kUnary, op.begin, op.text, std::move(operand));
  }

  Parsed power() {
    SyntaxPtr base = PARSE(primary());
    if (!is_symbol("**")) return base;
    const Level level(depth_);
    if (level.too_deep()) return too_deep();
    take();
    SyntaxPtr exponent = PARSE(unary());  // binds tighter than a minus to its left, looser to its right
    const std::uint32_t begin = base->begin;
    return join(SyntaxKind::kBinary, begin, "**", std::move(base), std::move(exponent));
  }

  Parsed primary() {
    const Level level(depth_);
    if (level.too_deep()) return too_deep();
    return postfix(PARSE(atom()));
  }

  Parsed postfix(SyntaxPtr out) {
    while (true) {
      if (take_symbol(".")) {
        if (peek().kind != TokenKind::kWord && peek().kind != TokenKind::kQuoted)
          return fail_at(peek(), "a name is expected after `.`");
        const Token name = take();
        out = PARSE(join(SyntaxKind::kMember, out->begin, name.text, std::move(out)));
        out->quoted = name.kind == TokenKind::kQuoted;
      } else if (is_symbol("(")) {
        out = PARSE(call(std::move(out)));
      } else if (is_symbol("[")) {
        take();
        SyntaxPtr index = PARSE(expression());
        if (is_symbol(":")) return fail_at(peek(), "there are no slices", "text has `.str.slice(start, end)`");
        if (!take_symbol("]")) return fail_at(peek(), "`]` is expected");
        out = PARSE(join(SyntaxKind::kIndex, out->begin, {}, std::move(out), std::move(index)));
      } else {
        return out;
      }
    }
  }

  static bool takes_type(const Syntax& callee) {
    const bool named = callee.kind == SyntaxKind::kName || callee.kind == SyntaxKind::kMember;
    return named && !callee.quoted && (callee.text == "cast" || callee.text == "declare_type");
  }

  Parsed call(SyntaxPtr callee) {
    take();  // (
    const bool typed = takes_type(*callee);
    std::vector<SyntaxPtr> children;
    std::vector<std::string> names;
    const std::uint32_t begin = callee->begin;
    children.push_back(std::move(callee));
    while (!take_symbol(")")) {
      if (children.size() > 1 && !take_symbol(",")) return fail_at(peek(), "`,` or `)` is expected");
      if (children.size() > 1 && take_symbol(")")) break;  // a comma at the end
      std::string name;
      if (peek().kind == TokenKind::kWord && is_symbol("=", 1)) {
        name = take().text;
        take();
      }
      if (typed && children.size() == 1) {
        children.push_back(PARSE(type_argument()));
      } else if (is_symbol("*") && (is_symbol(")", 1) || is_symbol(",", 1))) {
        const std::uint32_t star = take().begin;
        children.push_back(make(SyntaxKind::kStar, star, "*"));
      } else {
        children.push_back(PARSE(expression()));
      }
      names.push_back(std::move(name));
    }
    SyntaxPtr out = make(SyntaxKind::kCall, begin);
    out->children = std::move(children);
    out->names = std::move(names);
    return seal(std::move(out));
  }

  // Everything up to the comma, as text: `float | None`, `"list[int]"`, `pw.DateTimeUtc`.
  Parsed type_argument() {
    const Token first = peek();
    if (first.kind == TokenKind::kText) {
      take();
      return make(SyntaxKind::kType, first.begin, first.text);
    }
    int open = 0;
    std::uint32_t end = first.begin;
    while (peek().kind != TokenKind::kEnd) {
      if (open == 0 && (is_symbol(",") || is_symbol(")"))) break;
      if (is_symbol("[") || is_symbol("(")) ++open;
      if (is_symbol("]") || is_symbol(")")) --open;
      end = take().end;
    }
    if (end == first.begin) return fail_at(first, "a type is expected");
    return make(SyntaxKind::kType, first.begin, std::string(text_.substr(first.begin, end - first.begin)));
  }

  Parsed atom() {
    const Token token = peek();
    switch (token.kind) {
      case TokenKind::kEnd: return fail_at(token, "the expression ends too early");
      case TokenKind::kInt:
        if (token.is_min) return fail_at(token, "`" + token.text + "` does not fit into int (64 bits)");
        [[fallthrough]];
      case TokenKind::kFloat:
      case TokenKind::kText: {
        take();
        // Neighbouring texts are one, as in Python.
        std::string text = token.text;
        while (token.kind == TokenKind::kText && peek().kind == TokenKind::kText) text += take().text;
        SyntaxPtr out = make(SyntaxKind::kLiteral, token.begin);
        out->value = token.kind == TokenKind::kText ? Value::str(std::move(text)) : token.value;
        return out;
      }
      case TokenKind::kQuoted: {
        take();
        SyntaxPtr out = make(SyntaxKind::kName, token.begin, token.text);
        out->quoted = true;
        return out;
      }
      case TokenKind::kVariable: take(); return make(SyntaxKind::kVariable, token.begin, token.text);
      case TokenKind::kWord: return word();
      case TokenKind::kSymbol: return bracketed();
    }
    return fail_at(token, unexpected_text());
  }

  Parsed word() {
    const Token token = take();
    const std::string& text = token.text;
    std::optional<Value> value;
    if (text == "True" || text == "true")
      value = Value::of(true);
    else if (text == "False" || text == "false")
      value = Value::of(false);
    else if (text == "None" || text == "null")
      value = Value::none();
    if (value && !is_symbol("(")) {
      SyntaxPtr out = make(SyntaxKind::kLiteral, token.begin);
      out->value = std::move(*value);
      return out;
    }
    constexpr std::array<std::string_view, 8> kReserved = {"and", "or", "not", "in", "is", "else", "if", "for"};
    for (const auto reserved : kReserved)
      if (text == reserved)
        return fail_at(token, "unexpected `" + text + "`", "a column of that name is written in backticks");
    return make(SyntaxKind::kName, token.begin, text);
  }

  Parsed bracketed() {
    const Token open = peek();
    if (open.text == "(") return parenthesised();
    if (open.text == "[") {
      take();
      return items(SyntaxKind::kList, open.begin, "]", {});
    }
    if (open.text == "{") return object();
    if (open.text == "==" || open.text == "=" || binary_strength(open.text) > 0)
      return fail_at(open, unexpected_text(), "an operand is missing before it");
    return fail_at(open, unexpected_text());
  }

  Parsed parenthesised() {
    const std::uint32_t begin = take().begin;
    if (take_symbol(")")) return make(SyntaxKind::kTuple, begin);
    SyntaxPtr first = PARSE(expression());
    if (take_symbol(")")) {
      first->begin = begin;
      first->end = tokens_[at_ - 1].end;
      return first;
    }
    if (!is_symbol(",")) return fail_at(peek(), "`)` is expected");
    std::vector<SyntaxPtr> children;
    children.push_back(std::move(first));
    return items(SyntaxKind::kTuple, begin, ")", std::move(children));
  }

  Parsed items(SyntaxKind kind, std::uint32_t begin, std::string_view close, std::vector<SyntaxPtr> children) {
    while (!take_symbol(close)) {
      if (!children.empty() && !take_symbol(","))
        return fail_at(peek(), "`,` or `" + std::string(close) + "` is expected");
      if (!children.empty() && take_symbol(close)) break;
      children.push_back(PARSE(expression()));
    }
    SyntaxPtr out = make(kind, begin);
    out->children = std::move(children);
    return seal(std::move(out));
  }

  Parsed object() {
    const std::uint32_t begin = take().begin;
    std::vector<SyntaxPtr> children;
    std::set<std::string> names;
    while (!take_symbol("}")) {
      if (!children.empty() && !take_symbol(",")) return fail_at(peek(), "`,` or `}` is expected");
      if (!children.empty() && take_symbol("}")) break;
      if (peek().kind != TokenKind::kText)
        return fail_at(peek(), "a key in quotes is expected", "write `{\"key\": value}`");
      const Token key = peek();
      children.push_back(PARSE(atom()));
      const Value& name = children.back()->value;
      if (name.tag() == Value::Tag::kStr && !names.insert(name.as_text()).second)
        return fail_at(key, "the key `" + name.as_text() + "` is there twice");
      if (!take_symbol(":")) return fail_at(peek(), "`:` is expected after the key");
      children.push_back(PARSE(expression()));
    }
    SyntaxPtr out = make(SyntaxKind::kObject, begin);
    out->children = std::move(children);
    return seal(std::move(out));
  }

  std::string_view text_;
  std::vector<Token> tokens_;
  std::size_t at_ = 0;
  int depth_ = 0;
};

std::string syntax_list(const Syntax& syntax, std::size_t from) {
  std::string out;
  for (std::size_t i = from; i < syntax.children.size(); ++i) {
    if (i > from) out += ", ";
    if (from == 1 && i - 1 < syntax.names.size() && !syntax.names[i - 1].empty()) out += syntax.names[i - 1] + "=";
    out += to_text(*syntax.children[i]);
  }
  return out;
}

}  // namespace

std::expected<SyntaxPtr, SyntaxError> parse_expression(std::string_view text) {
  auto tokens = lex_expression(text);
  if (!tokens) return std::unexpected(std::move(tokens).error());
  return Parser(text, std::move(*tokens)).run();
}

std::string to_text(const Syntax& syntax) {
  const auto child = [&](std::size_t i) { return to_text(*syntax.children[i]); };
  switch (syntax.kind) {
    case SyntaxKind::kLiteral:
      return syntax.value.tag() == Value::Tag::kStr ? "'" + syntax.value.as_text() + "'" : syntax.value.to_text();
    case SyntaxKind::kName: return syntax.quoted ? "`" + syntax.text + "`" : syntax.text;
    case SyntaxKind::kVariable: return "$" + syntax.text;
    case SyntaxKind::kMember: return child(0) + "." + syntax.text;
    case SyntaxKind::kCall: return child(0) + "(" + syntax_list(syntax, 1) + ")";
    case SyntaxKind::kIndex: return child(0) + "[" + child(1) + "]";
    case SyntaxKind::kUnary: return "(" + syntax.text + " " + child(0) + ")";
    case SyntaxKind::kBinary:
    case SyntaxKind::kCompare: return "(" + child(0) + " " + syntax.text + " " + child(1) + ")";
    case SyntaxKind::kIsNone: return "(" + child(0) + (syntax.negated ? " is not None)" : " is None)");
    case SyntaxKind::kIfElse: return "(" + child(1) + " if " + child(0) + " else " + child(2) + ")";
    case SyntaxKind::kList: return "[" + syntax_list(syntax, 0) + "]";
    case SyntaxKind::kTuple: return "tuple(" + syntax_list(syntax, 0) + ")";
    case SyntaxKind::kObject: return "{" + syntax_list(syntax, 0) + "}";
    case SyntaxKind::kType: return "<" + syntax.text + ">";
    case SyntaxKind::kStar: return "*";
  }
  return {};
}

}  // namespace thalweg::lang
