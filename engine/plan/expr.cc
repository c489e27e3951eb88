#include "engine/plan/expr.h"

#include <algorithm>

#include <fmt/format.h>

#include "engine/base/ensure.h"
#include "engine/types/value_text.h"

namespace thalweg::plan {
namespace {

ExprPtr make(Expr expr) { return std::make_shared<const Expr>(std::move(expr)); }

// A cell of `from` is a cell of `to` as it lies; both differ in optional flags or in what is known of them only.
bool same_cells(const Type& from, const Type& to) {
  if (from.kind() != to.kind()) return false;
  switch (to.kind()) {
    case Kind::kTuple: {
      if (from.args().size() != to.args().size()) return false;
      for (std::size_t i = 0; i < to.args().size(); ++i)
        if (!same_cells(from.args()[i], to.args()[i])) return false;
      return true;
    }
    case Kind::kList: return same_cells(from.element(), to.element());
    // Elements of a composite lie with their kind: an int array is no float array, but it is an array.
    case Kind::kArray: return from.element() == to.element() || to.element().is(Kind::kAny);
    default: return true;
  }
}

// Inside composites every cell has its kind byte, so `any` elements lie like any element, and None like an absent one.
bool same_elements(const Type& from, const Type& to) {
  if (to.is(Kind::kAny) || from.is(Kind::kNone)) return true;
  if (from.is(Kind::kTuple) && to.is(Kind::kList)) {
    for (const Type& element : from.args())
      if (!same_elements(element, to.element())) return false;
    return true;
  }
  if (from.is(Kind::kTuple) && to.is(Kind::kTuple) && from.args().size() == to.args().size()) {
    for (std::size_t i = 0; i < to.args().size(); ++i)
      if (!same_elements(from.args()[i], to.args()[i])) return false;
    return true;
  }
  if (from.is(Kind::kList) && to.is(Kind::kList)) return same_elements(from.element(), to.element());
  return same_cells(from, to);
}

std::string list_text(const std::vector<ExprPtr>& args) {
  std::string text = "(";
  for (std::size_t i = 0; i < args.size(); ++i) {
    if (i > 0) text += ", ";
    text += identity(*args[i]);
  }
  return text + ")";
}

// Around the value of a secret in an identity. What is quoted or named has no such bytes.
constexpr char kSecretBegins = '\x01';
constexpr char kSecretEnds = '\x02';

std::string plain_literal_text(const Expr& expr) {
  const Value& v = expr.literal;
  std::string text;
  switch (v.tag()) {
    case Value::Tag::kStr: append_quoted(v.as_text(), text); return text;
    case Value::Tag::kNone:
    case Value::Tag::kBool:
    case Value::Tag::kInt:
    case Value::Tag::kFloat:
    case Value::Tag::kTuple: return v.to_text();
    default: return fmt::format("{}'{}'", kind_name(expr.type.kind()), v.to_text());
  }
}

std::string literal_text(const Expr& expr) {
  return expr.secret ? kSecretBegins + plain_literal_text(expr) + kSecretEnds : plain_literal_text(expr);
}

std::string_view form_name(ExprKind kind) {
  switch (kind) {
    case ExprKind::kIf: return "if_else";
    case ExprKind::kAnd: return "and";
    case ExprKind::kOr: return "or";
    case ExprKind::kCoalesce: return "coalesce";
    case ExprKind::kRequire: return "require";
    case ExprKind::kFillError: return "fill_error";
    case ExprKind::kColumn:
    case ExprKind::kKey:
    case ExprKind::kLiteral:
    case ExprKind::kCall: break;
  }
  return "";
}

}  // namespace

ExprPtr column(std::uint32_t index, Type type, SourceSpan span) {
  return make({.kind = ExprKind::kColumn, .type = std::move(type), .span = span, .column = index});
}
ExprPtr key(SourceSpan span) { return make({.kind = ExprKind::kKey, .type = Kind::kPointer, .span = span}); }
ExprPtr literal(Value value, Type type, SourceSpan span, bool secret) {
  Expr expr{.kind = ExprKind::kLiteral, .type = std::move(type), .span = span, .literal = std::move(value)};
  expr.secret = secret;
  return make(std::move(expr));
}
ExprPtr call(std::string function, std::vector<ExprPtr> args, Type result, SourceSpan span) {
  return make({.kind = ExprKind::kCall,
               .type = std::move(result),
               .span = span,
               .function = std::move(function),
               .args = std::move(args)});
}
ExprPtr user_call(UserFunctionPtr user, std::vector<ExprPtr> args, Type result, SourceSpan span) {
  return make({.kind = ExprKind::kCall,
               .type = std::move(result),
               .span = span,
               .function = "call",
               .args = std::move(args),
               .user = std::move(user)});
}
ExprPtr special(ExprKind kind, std::vector<ExprPtr> args, Type result, SourceSpan span) {
  return make({.kind = kind, .type = std::move(result), .span = span, .args = std::move(args)});
}

ExprPtr coerce(ExprPtr expr, const Type& type) {
  const Type& from = expr->type;
  if (from == type) return expr;
  if (expr->kind == ExprKind::kLiteral) {
    if (expr->literal.is_none() && type.admits_none()) return literal(Value::none(), type, expr->span, expr->secret);
    if (type.is(Kind::kFloat) && expr->literal.tag() == Value::Tag::kInt)
      return literal(Value::of(static_cast<double>(expr->literal.as_int())), type, expr->span, expr->secret);
  }
  bool lies_alike = from.phys() == type.phys() && !from.is(Kind::kNone) &&
                    !(type.is(Kind::kAny) && !from.is_encoded()) &&
                    (from.is_encoded() ? same_elements(from, type) : same_cells(from, type));
  if (lies_alike) return expr;
  SourceSpan span = expr->span;
  return call("cast", {std::move(expr)}, type, span);
}

std::string identity(const Expr& expr) {
  switch (expr.kind) {
    case ExprKind::kColumn: return fmt::format("#{}", expr.column);
    case ExprKind::kKey: return "id";
    case ExprKind::kLiteral: return literal_text(expr);
    case ExprKind::kCall:
      if (expr.function == "cast" || expr.function == "declare_type")
        return fmt::format("{}<{}>{}", expr.function, expr.type.to_text(), list_text(expr.args));
      if (expr.user) return fmt::format("call<{}>{}", expr.user->text(), list_text(expr.args));
      return expr.function + list_text(expr.args);
    case ExprKind::kIf:
    case ExprKind::kAnd:
    case ExprKind::kOr:
    case ExprKind::kCoalesce:
    case ExprKind::kRequire:
    case ExprKind::kFillError: return std::string(form_name(expr.kind)) + list_text(expr.args);
  }
  UNREACHABLE();
}

std::string without_secrets(std::string text) {
  for (std::size_t begin = text.find(kSecretBegins); begin != std::string::npos; begin = text.find(kSecretBegins)) {
    const std::size_t end = text.find(kSecretEnds, begin);
    text.replace(begin, end == std::string::npos ? end : end + 1 - begin, "***");
  }
  return text;
}

std::string to_text(const Expr& expr) { return without_secrets(identity(expr)); }

bool holds_secret(const Expr& expr) {
  return expr.secret || std::ranges::any_of(expr.args, [](const ExprPtr& arg) { return holds_secret(*arg); });
}

ExprPtr remap_columns(const ExprPtr& expr, const std::vector<std::uint32_t>& map) {
  if (expr->kind == ExprKind::kColumn) {
    ENSURE(expr->column < map.size());
    return map[expr->column] == expr->column ? expr : column(map[expr->column], expr->type, expr->span);
  }
  bool changed = false;
  std::vector<ExprPtr> args;
  args.reserve(expr->args.size());
  for (const ExprPtr& arg : expr->args) {
    args.push_back(remap_columns(arg, map));
    changed = changed || args.back() != arg;
  }
  if (!changed) return expr;
  Expr copy = *expr;
  copy.args = std::move(args);
  return make(std::move(copy));
}

void collect_columns(const Expr& expr, std::vector<bool>& used, bool& uses_key) {
  if (expr.kind == ExprKind::kKey) uses_key = true;
  if (expr.kind == ExprKind::kColumn) {
    if (expr.column >= used.size()) used.resize(expr.column + 1);
    used[expr.column] = true;
  }
  for (const ExprPtr& arg : expr.args) collect_columns(*arg, used, uses_key);
}

bool asks_anew(const Expr& expr) {
  if (expr.user && !expr.user->deterministic()) return true;
  for (const ExprPtr& arg : expr.args)
    if (asks_anew(*arg)) return true;
  return false;
}

}  // namespace thalweg::plan
