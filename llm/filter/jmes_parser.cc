// JMESPath text → tree: a lexer and an operator-precedence parser.
#include <charconv>

#include <fmt/format.h>

#include "llm/filter/jmes_node.h"

namespace thalweg::llm {

namespace {

constexpr std::size_t kTextMax = 64 * 1024;
constexpr int kDepthMax = 100;

struct JmesToken {
  enum class Kind : std::uint8_t { kEnd, kName, kQuotedName, kNumber, kLiteral, kSign } kind = Kind::kEnd;
  std::string text;
  nlohmann::json literal;
  std::int64_t number = 0;
  std::size_t at = 0;
};
using TokenKind = JmesToken::Kind;

bool is_name_start(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_'; }
bool is_jmes_digit(char c) { return c >= '0' && c <= '9'; }

class Lexer {
 public:
  explicit Lexer(std::string_view text) : text_(text) {}

  Result<std::vector<JmesToken>> run() {
    std::vector<JmesToken> out;
    for (;;) {
      while (at_ < text_.size() &&
             (text_[at_] == ' ' || text_[at_] == '\t' || text_[at_] == '\n' || text_[at_] == '\r'))
        ++at_;
      JmesToken token = TRY(next());
      out.push_back(std::move(token));
      if (out.back().kind == TokenKind::kEnd) return out;
    }
  }

 private:
  Result<JmesToken> next() {
    JmesToken token;
    token.at = at_;
    if (at_ == text_.size()) return token;
    const char c = text_[at_];
    if (is_name_start(c)) {
      token.kind = TokenKind::kName;
      while (at_ < text_.size() && (is_name_start(text_[at_]) || is_jmes_digit(text_[at_]))) token.text += text_[at_++];
      return token;
    }
    if (is_jmes_digit(c) || (c == '-' && at_ + 1 < text_.size() && is_jmes_digit(text_[at_ + 1]))) return number(token);
    if (c == '"') return quoted(token);
    if (c == '\'') return raw(token);
    if (c == '`') return literal(token);
    token.kind = TokenKind::kSign;
    for (const std::string_view sign : {"||", "&&", "==", "!=", "<=", ">=", "[?", "[]"})
      if (text_.substr(at_, 2) == sign) {
        token.text = sign;
        at_ += 2;
        return token;
      }
    if (std::string_view(".*[](){}|&@!<>,:").find(c) == std::string_view::npos)
      return fail(Code::kInvalidArgument, fmt::format("unexpected `{}` at {}", c, at_ + 1));
    token.text = c;
    ++at_;
    return token;
  }
  Result<JmesToken> number(JmesToken& token) {
    token.kind = TokenKind::kNumber;
    const std::size_t begin = at_++;
    while (at_ < text_.size() && is_jmes_digit(text_[at_])) ++at_;
    if (at_ + 1 < text_.size() && text_[at_] == '.' && is_jmes_digit(text_[at_ + 1])) {
      ++at_;
      while (at_ < text_.size() && is_jmes_digit(text_[at_])) ++at_;
    }
    const std::string_view digits = text_.substr(begin, at_ - begin);
    token.literal = nlohmann::json::parse(digits, nullptr, false);
    if (token.literal.is_discarded()) return fail(Code::kInvalidArgument, fmt::format("`{}` is no number", digits));
    std::from_chars(digits.data(), digits.data() + digits.size(), token.number);
    return std::move(token);
  }
  // The text up to the closing `quote`, which a backslash protects; at_ is behind it.
  Result<std::string> until(char quote) {
    const std::size_t begin = ++at_;
    while (at_ < text_.size() && text_[at_] != quote) at_ += text_[at_] == '\\' ? 2 : 1;
    if (at_ >= text_.size()) return fail(Code::kInvalidArgument, fmt::format("a `{}` without its end", quote));
    return std::string(text_.substr(begin, at_++ - begin));
  }
  static std::string without_escape(const std::string& text, char quote) {
    std::string out;
    for (std::size_t i = 0; i < text.size(); ++i) {
      if (text[i] == '\\' && i + 1 < text.size() && (text[i + 1] == quote || (quote == '\'' && text[i + 1] == '\\')))
        ++i;
      out += text[i];
    }
    return out;
  }
  Result<JmesToken> quoted(JmesToken& token) {
    token.kind = TokenKind::kQuotedName;
    const std::string inner = TRY(until('"'));
    const auto json = nlohmann::json::parse('"' + inner + '"', nullptr, false);
    if (!json.is_string()) return fail(Code::kInvalidArgument, "a broken escape in a quoted name");
    token.text = json.get<std::string>();
    return std::move(token);
  }
  Result<JmesToken> raw(JmesToken& token) {
    token.kind = TokenKind::kLiteral;
    token.literal = without_escape(TRY(until('\'')), '\'');
    return std::move(token);
  }
  Result<JmesToken> literal(JmesToken& token) {
    token.kind = TokenKind::kLiteral;
    const std::string inner = without_escape(TRY(until('`')), '`');
    token.literal = nlohmann::json::parse(inner, nullptr, false);
    if (token.literal.is_discarded()) token.literal = inner;  // `albert`: a text
    return std::move(token);
  }

  const std::string_view text_;
  std::size_t at_ = 0;
};

JmesNodePtr make(JmesKind kind, std::vector<JmesNodePtr> kids = {}, std::string text = {}) {
  auto node = std::make_shared<JmesNode>();
  node->kind = kind;
  node->kids = std::move(kids);
  node->text = std::move(text);
  return node;
}

// How tightly what follows holds on to what is before it.
int binding(const JmesToken& token) {
  if (token.kind != TokenKind::kSign) return 0;
  const std::string& sign = token.text;
  if (sign == "|") return 1;
  if (sign == "||") return 2;
  if (sign == "&&") return 3;
  if (sign == "==" || sign == "!=" || sign == "<" || sign == "<=" || sign == ">" || sign == ">=") return 5;
  if (sign == "[]") return 9;
  if (sign == "[?") return 21;
  if (sign == ".") return 40;
  if (sign == "[") return 55;
  if (sign == "(") return 60;
  return 0;
}
constexpr int kProjectionStop = 10;

class Parser {
 public:
  explicit Parser(std::vector<JmesToken> tokens) : tokens_(std::move(tokens)) {}

  Result<JmesNodePtr> run() {
    JmesNodePtr root = TRY(expression(0));
    if (here().kind != TokenKind::kEnd) return wrong("unexpected");
    return root;
  }

 private:
  [[nodiscard]] const JmesToken& here() const { return tokens_[at_]; }
  [[nodiscard]] bool is(std::string_view sign) const { return here().kind == TokenKind::kSign && here().text == sign; }
  bool take(std::string_view sign) {
    if (!is(sign)) return false;
    ++at_;
    return true;
  }
  [[nodiscard]] std::unexpected<Error> wrong(std::string_view what) const {
    if (here().kind == TokenKind::kEnd) return fail(Code::kInvalidArgument, "the filter ends too early");
    return fail(Code::kInvalidArgument, fmt::format("{} `{}` at {}", what, here().text, here().at + 1));
  }
  Result<void> expect(std::string_view sign) {
    if (take(sign)) return {};
    return wrong(fmt::format("expected `{}`, not", sign));
  }

  Result<JmesNodePtr> expression(int level) {
    if (++depth_ > kDepthMax) return fail(Code::kTooLarge, "the filter is nested too deeply");
    JmesNodePtr left = TRY(prefix());
    while (binding(here()) > level) left = TRY(infix(left));
    --depth_;
    return left;
  }

  Result<JmesNodePtr> prefix() {
    const JmesToken token = here();
    switch (token.kind) {
      case TokenKind::kEnd: return wrong("");
      case TokenKind::kName:
      case TokenKind::kQuotedName:
        ++at_;
        if (token.kind == TokenKind::kName && is("(")) return call(token.text);
        return make(JmesKind::kField, {}, token.text);
      case TokenKind::kNumber:
      case TokenKind::kLiteral: {
        ++at_;
        auto node = std::make_shared<JmesNode>();
        node->kind = JmesKind::kLiteral;
        node->literal = token.literal;
        return node;
      }
      case TokenKind::kSign: break;
    }
    if (take("@")) return make(JmesKind::kCurrent);
    if (take("!")) {
      JmesNodePtr of = TRY(expression(45));
      return make(JmesKind::kNot, {of});
    }
    if (take("&")) {
      JmesNodePtr of = TRY(expression(0));
      return make(JmesKind::kExpression, {of});
    }
    if (take("(")) {
      JmesNodePtr inner = TRY(expression(0));
      TRY(expect(")"));
      return inner;
    }
    if (take("*")) return value_projection(make(JmesKind::kCurrent));
    if (is("[?") || is("[]")) return infix(make(JmesKind::kCurrent));
    if (take("{")) return hash();
    if (take("[")) {
      if (here().kind == TokenKind::kNumber || is(":")) return bracket(make(JmesKind::kCurrent));
      if (is("*") && tokens_[at_ + 1].kind == TokenKind::kSign && tokens_[at_ + 1].text == "]")
        return bracket(make(JmesKind::kCurrent));
      return list();
    }
    return wrong("unexpected");
  }

  Result<JmesNodePtr> infix(const JmesNodePtr& left) {
    const std::string sign = here().text;
    ++at_;
    if (sign == ".") {
      if (take("*")) return value_projection(left);
      JmesNodePtr right = TRY(behind_dot());
      return make(JmesKind::kSub, {left, right});
    }
    if (sign == "|" || sign == "||" || sign == "&&") {
      JmesNodePtr right = TRY(expression(sign == "|" ? 1 : sign == "||" ? 2 : 3));
      return make(sign == "|" ? JmesKind::kPipe : sign == "||" ? JmesKind::kOr : JmesKind::kAnd, {left, right});
    }
    if (sign == "[]") {
      JmesNodePtr right = TRY(projected(9));
      return make(JmesKind::kProjection, {make(JmesKind::kFlatten, {left}), right});
    }
    if (sign == "[?") {
      JmesNodePtr condition = TRY(expression(0));
      TRY(expect("]"));
      JmesNodePtr right = is("[]") ? make(JmesKind::kCurrent) : TRY(projected(21));
      return make(JmesKind::kFilterProjection, {left, right, condition});
    }
    if (sign == "[") return bracket(left);
    if (sign == "(") {
      --at_;
      return wrong("unexpected");
    }
    JmesNodePtr right = TRY(expression(5));
    return make(JmesKind::kCompare, {left, right}, sign);
  }

  // What is done with each element of a projection.
  Result<JmesNodePtr> projected(int level) {
    if (binding(here()) < kProjectionStop) return make(JmesKind::kCurrent);
    if (is("[") || is("[?")) {
      JmesNodePtr first = TRY(infix(make(JmesKind::kCurrent)));
      while (binding(here()) > level) first = TRY(infix(first));
      return first;
    }
    if (take(".")) {
      JmesNodePtr first = take("*") ? TRY(value_projection(make(JmesKind::kCurrent))) : TRY(behind_dot());
      while (binding(here()) > level) first = TRY(infix(first));
      return first;
    }
    return wrong("unexpected");
  }
  Result<JmesNodePtr> value_projection(const JmesNodePtr& left) {
    JmesNodePtr right = TRY(projected(20));
    return make(JmesKind::kValueProjection, {left, right});
  }

  Result<JmesNodePtr> behind_dot() {
    if (here().kind == TokenKind::kName || here().kind == TokenKind::kQuotedName) return prefix();
    if (take("{")) return hash();
    if (take("[")) return list();
    return wrong("unexpected");
  }

  // Behind `[`: an index, a slice or `*`.
  Result<JmesNodePtr> bracket(const JmesNodePtr& left) {
    if (take("*")) {
      TRY(expect("]"));
      JmesNodePtr right = TRY(projected(20));
      return make(JmesKind::kProjection, {left, right});
    }
    auto node = std::make_shared<JmesNode>();
    node->kind = JmesKind::kIndex;
    for (std::size_t part = 0; part < 3; ++part) {
      if (here().kind == TokenKind::kNumber) {
        node->number[part] = here().number;
        ++at_;
      }
      if (take("]")) {
        if (node->kind == JmesKind::kIndex && !node->number[0]) break;
        const JmesNodePtr found = make(JmesKind::kSub, {left, node});
        if (node->kind == JmesKind::kIndex) return found;
        JmesNodePtr right = TRY(projected(20));
        return make(JmesKind::kProjection, {found, right});
      }
      if (!take(":")) break;
      node->kind = JmesKind::kSlice;
    }
    return wrong("unexpected");
  }

  Result<JmesNodePtr> list() {
    auto node = std::make_shared<JmesNode>();
    node->kind = JmesKind::kList;
    do node->kids.push_back(TRY(expression(0)));
    while (take(","));
    TRY(expect("]"));
    return node;
  }
  Result<JmesNodePtr> hash() {
    auto node = std::make_shared<JmesNode>();
    node->kind = JmesKind::kHash;
    do {
      if (here().kind != TokenKind::kName && here().kind != TokenKind::kQuotedName)
        return wrong("expected a name, not");
      node->names.push_back(here().text);
      ++at_;
      TRY(expect(":"));
      node->kids.push_back(TRY(expression(0)));
    } while (take(","));
    TRY(expect("}"));
    return node;
  }
  Result<JmesNodePtr> call(const std::string& name) {
    auto node = std::make_shared<JmesNode>();
    node->kind = JmesKind::kCall;
    node->text = name;
    TRY(expect("("));
    if (!is(")")) do
        node->kids.push_back(TRY(expression(0)));
      while (take(","));
    TRY(expect(")"));
    const auto arity = jmes_arity(name);
    if (!arity) return fail(Code::kInvalidArgument, fmt::format("there is no function `{}`", name));
    if (node->kids.size() < arity->min || node->kids.size() > arity->max)
      return fail(Code::kInvalidArgument, fmt::format("`{}` takes another number of arguments", name));
    return node;
  }

  const std::vector<JmesToken> tokens_;
  std::size_t at_ = 0;
  int depth_ = 0;
};

}  // namespace

Result<JmesNodePtr> parse_jmes(std::string_view text) {
  if (text.size() > kTextMax) return fail(Code::kTooLarge, "the filter is longer than 64 KiB");
  auto parsed = [&]() -> Result<JmesNodePtr> { return Parser(TRY(Lexer(text).run())).run(); }();
  if (!parsed) parsed.error().message = fmt::format("the filter `{}` is no JMESPath: {}", text, parsed.error().message);
  return parsed;
}

}  // namespace thalweg::llm
