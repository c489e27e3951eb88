#include "tests/engine/small_expr.h"

#include <charconv>
#include <limits>
#include <optional>

#include "engine/expr/function_table.h"
#include "engine/expr/program.h"

namespace thalweg::tests {
namespace {

using plan::ExprKind;
using plan::ExprPtr;

struct Named {
  std::string name;
  ExprPtr expr;
};

bool is_name_char(char c) { return std::isalnum(static_cast<unsigned char>(c)) || c == '_'; }

Type type_of(const Value& value) {
  switch (value.tag()) {
    case Value::Tag::kBool: return Kind::kBool;
    case Value::Tag::kInt: return Kind::kInt;
    case Value::Tag::kFloat: return Kind::kFloat;
    case Value::Tag::kStr: return Kind::kStr;
    default: return Kind::kNone;
  }
}
ExprPtr literal(Value value) {
  Type type = type_of(value);
  return plan::literal(std::move(value), type);
}

std::optional<ExprKind> lazy_kind(std::string_view name) {
  if (name == "if_else") return ExprKind::kIf;
  if (name == "and") return ExprKind::kAnd;
  if (name == "or") return ExprKind::kOr;
  if (name == "coalesce") return ExprKind::kCoalesce;
  if (name == "require") return ExprKind::kRequire;
  if (name == "fill_error") return ExprKind::kFillError;
  return std::nullopt;
}

Result<ExprPtr> make_call(const std::string& name, const std::vector<Named>& args) {
  std::vector<expr::Argument> shapes;
  for (const Named& arg : args)
    shapes.push_back({arg.expr->type, arg.expr->kind == ExprKind::kLiteral ? &arg.expr->literal : nullptr, arg.name});
  expr::Resolved resolved = TRY(expr::resolve(name, shapes));
  std::vector<ExprPtr> coerced;
  for (std::size_t i = 0; i < resolved.order.size(); ++i) {
    int from = resolved.order[i];
    ExprPtr arg =
        from < 0 ? plan::literal(resolved.defaults[i], resolved.params[i]) : args[static_cast<std::size_t>(from)].expr;
    coerced.push_back(plan::coerce(std::move(arg), resolved.params[i]));
  }
  if (auto kind = lazy_kind(resolved.function)) return plan::special(*kind, std::move(coerced), resolved.result);
  return plan::call(resolved.function, std::move(coerced), resolved.result);
}

struct Operator {
  std::string_view sign;
  std::string_view function;
  int level;
};
// The longest sign first where one begins another.
constexpr Operator kOperators[] = {
    {"or", "or", 1},      {"and", "and", 2}, {"not in", "contains", 4}, {"in", "contains", 4}, {"==", "eq", 4},
    {"!=", "ne", 4},      {"<<", "shl", 8},  {">>", "shr", 8},          {"<=", "le", 4},       {">=", "ge", 4},
    {"<", "lt", 4},       {">", "gt", 4},    {"|", "bit_or", 5},        {"^", "bit_xor", 6},   {"&", "bit_and", 7},
    {"+", "add", 9},      {"-", "sub", 9},   {"**", "pow", 12},         {"*", "mul", 10},      {"//", "floordiv", 10},
    {"/", "truediv", 10}, {"%", "mod", 10},  {"@", "matmul", 10},
};
constexpr int kNotLevel = 3, kSignLevel = 11, kPowerLevel = 12;

class Reader {
 public:
  explicit Reader(std::string_view text) : text_(text) {}

  Result<ExprPtr> whole() {
    ExprPtr expr = TRY(ternary());
    blanks();
    if (at_ != text_.size()) return wrong("the end");
    return expr;
  }

 private:
  std::unexpected<Error> wrong(std::string_view expected) {
    return fail(Code::kInvalidArgument,
                "expected " + std::string(expected) + " at " + std::to_string(at_) + " of " + std::string(text_));
  }
  void blanks() {
    while (at_ < text_.size() && text_[at_] == ' ') ++at_;
  }
  bool eat(std::string_view sign) {
    blanks();
    if (!text_.substr(at_).starts_with(sign)) return false;
    bool word = is_name_char(sign.back()) && at_ + sign.size() < text_.size() && is_name_char(text_[at_ + sign.size()]);
    if (word) return false;
    at_ += sign.size();
    return true;
  }

  Result<ExprPtr> ternary() {
    ExprPtr then = TRY(binary(1));
    if (!eat("if")) return then;
    ExprPtr condition = TRY(binary(1));
    if (!eat("else")) return wrong("else");
    ExprPtr otherwise = TRY(ternary());
    return make_call("if_else", {{"", condition}, {"", then}, {"", otherwise}});
  }

  const Operator* operator_of(int level) {
    std::size_t before = at_;
    for (const Operator& op : kOperators) {
      if (!eat(op.sign)) continue;
      if (op.level >= level && op.level != kPowerLevel) return &op;
      at_ = before;
      return nullptr;
    }
    return nullptr;
  }

  Result<ExprPtr> binary(int level) {
    ExprPtr left;
    if (level <= kNotLevel && eat("not")) {
      ExprPtr operand = TRY(binary(kNotLevel + 1));
      left = TRY(make_call("not", {{"", operand}}));
    } else {
      left = TRY(unary());
    }
    while (const Operator* op = operator_of(level)) {
      ExprPtr right = TRY(binary(op->level + 1));
      bool turned = op->function == "contains";
      left = TRY(make_call(std::string(op->function), turned ? std::vector<Named>{{"", right}, {"", left}}
                                                             : std::vector<Named>{{"", left}, {"", right}}));
      if (op->sign == "not in") left = TRY(make_call("not", {{"", left}}));
    }
    return left;
  }

  Result<ExprPtr> unary() {
    if (eat("-")) {
      blanks();
      // The least int has no positive counterpart.
      if (text_.substr(at_).starts_with("9223372036854775808")) {
        at_ += 19;
        return literal(Value::of(std::numeric_limits<std::int64_t>::min()));
      }
      return make_call("neg", {{"", TRY(unary())}});
    }
    if (eat("~")) return make_call("bit_not", {{"", TRY(unary())}});
    ExprPtr base = TRY(postfix());
    if (!eat("**")) return base;
    return make_call("pow", {{"", base}, {"", TRY(unary())}});
  }

  Result<ExprPtr> postfix() {
    ExprPtr expr = TRY(atom());
    while (true) {
      if (eat("[")) {
        ExprPtr index = TRY(ternary());
        if (!eat("]")) return wrong("]");
        expr = TRY(make_call("get_item", {{"", expr}, {"", index}}));
      } else if (eat(".")) {
        std::string name = path();
        std::vector<Named> args{{"", expr}};
        if (!eat("(")) return wrong("(");
        TRY(arguments(args, ")"));
        expr = TRY(make_call(name, args));
      } else {
        return expr;
      }
    }
  }

  std::string path() {
    std::size_t from = at_;
    while (at_ < text_.size() && (is_name_char(text_[at_]) || text_[at_] == '.')) ++at_;
    return std::string(text_.substr(from, at_ - from));
  }

  Result<void> arguments(std::vector<Named>& args, std::string_view end) {
    while (!eat(end)) {
      std::size_t before = at_;
      blanks();
      std::string name = path();
      bool named = !name.empty() && at_ < text_.size() && text_[at_] == '=' && !text_.substr(at_).starts_with("==");
      if (named) {
        ++at_;
      } else {
        at_ = before;
        name.clear();
      }
      args.push_back({name, TRY(ternary())});
      if (!eat(",") && !text_.substr(at_).starts_with(end)) return wrong(end);
    }
    return {};
  }

  Result<ExprPtr> call(const std::string& name) {
    std::vector<Named> args;
    if (name == "cast" || name == "declare_type") {
      // The type runs to the comma outside of brackets.
      int depth = 0;
      std::size_t from = at_;
      for (; at_ < text_.size() && (text_[at_] != ',' || depth > 0); ++at_)
        depth += text_[at_] == '[' ? 1 : text_[at_] == ']' ? -1 : 0;
      args.push_back({"", literal(Value::str(std::string(text_.substr(from, at_ - from))))});
      if (!eat(",")) return wrong(",");
    }
    TRY(arguments(args, ")"));
    return make_call(name, args);
  }

  Result<ExprPtr> atom() {
    blanks();
    if (at_ >= text_.size()) return wrong("an expression");
    char c = text_[at_];
    if (c == '\'' || c == '"') return literal(Value::str(quoted()));
    if (std::isdigit(static_cast<unsigned char>(c)) || (c == '.' && at_ + 1 < text_.size())) return number();
    if (eat("(")) {
      ExprPtr first = TRY(ternary());
      if (eat(")")) return first;
      std::vector<Named> items{{"", first}};
      if (!eat(",")) return wrong(")");
      TRY(arguments(items, ")"));
      return make_call("make_tuple", items);
    }
    if (eat("[")) {
      std::vector<Named> items;
      TRY(arguments(items, "]"));
      return make_call("make_list", items);
    }
    if (eat("{")) return object();
    std::string name = path();
    if (name.empty()) return wrong("an expression");
    if (eat("(")) return call(name);
    return constant(name);
  }

  Result<ExprPtr> object() {
    std::vector<Named> items;
    while (!eat("}")) {
      items.push_back({"", TRY(ternary())});
      if (!eat(":")) return wrong(":");
      items.push_back({"", TRY(ternary())});
      if (!eat(",") && !text_.substr(at_).starts_with("}")) return wrong("}");
    }
    return make_call("json.object", items);
  }

  Result<ExprPtr> constant(const std::string& name) {
    if (name == "True") return literal(Value::of(true));
    if (name == "False") return literal(Value::of(false));
    if (name == "None") return literal(Value::none());
    if (name == "inf") return literal(Value::of(std::numeric_limits<double>::infinity()));
    if (name == "nan") return literal(Value::of(std::numeric_limits<double>::quiet_NaN()));
    return wrong("a known name, not " + name);
  }

  Result<ExprPtr> number() {
    std::size_t from = at_;
    bool point = false;
    while (at_ < text_.size()) {
      char c = text_[at_];
      bool exponent = c == 'e' && at_ + 1 < text_.size();
      bool sign = (c == '+' || c == '-') && at_ > from && text_[at_ - 1] == 'e';
      bool dot = c == '.' && at_ + 1 <= text_.size() &&
                 (at_ + 1 == text_.size() || !std::isalpha(static_cast<unsigned char>(text_[at_ + 1])));
      if (!std::isdigit(static_cast<unsigned char>(c)) && !exponent && !sign && !dot) break;
      point = point || dot || exponent;
      ++at_;
    }
    std::string_view text = text_.substr(from, at_ - from);
    if (point) {
      double v = 0;
      std::from_chars(text.data(), text.data() + text.size(), v);
      return literal(Value::of(v));
    }
    std::int64_t v = 0;
    if (std::from_chars(text.data(), text.data() + text.size(), v).ec != std::errc{}) return wrong("an int that fits");
    return literal(Value::of(v));
  }

  std::string quoted() {
    char quote = text_[at_++];
    std::string out;
    while (at_ < text_.size() && text_[at_] != quote) {
      char c = text_[at_++];
      if (c != '\\' || at_ >= text_.size()) {
        out += c;
        continue;
      }
      char e = text_[at_++];
      if (e == 'n')
        out += '\n';
      else if (e == 't')
        out += '\t';
      else if (e == 'r')
        out += '\r';
      else if (e == 'x') {
        int v = 0;
        std::from_chars(text_.data() + at_, text_.data() + at_ + 2, v, 16);
        out += static_cast<char>(v);
        at_ += 2;
      } else
        out += e;
    }
    ++at_;
    return out;
  }

  std::string_view text_;
  std::size_t at_ = 0;
};

class FirstError final : public expr::RowErrors {
 public:
  void report(std::size_t, SourceSpan, std::string_view message) override {
    if (text.empty()) text = message;
  }
  std::string text;
};

}  // namespace

Result<ExprPtr> read_expr(std::string_view text) { return Reader(text).whole(); }

std::string evaluate(std::string_view text) {
  Result<ExprPtr> expr = read_expr(text);
  if (!expr) return "REFUSED: " + expr.error().message;
  auto program = expr::Program::compile({*expr});
  if (!program) return "REFUSED: " + program.error().message;
  Batch batch;
  batch.num_rows = 1;
  FirstError errors;
  std::vector<Column> columns = (*program)->run(batch, errors);
  Value value = columns[0].value((*expr)->type, 0);
  return value.is_error() ? "ERROR: " + errors.text : value.to_text();
}

}  // namespace thalweg::tests
